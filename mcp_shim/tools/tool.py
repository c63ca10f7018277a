"""What a tool is, and the parts that the tools' schemas are made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from cdesk.contract.catalog import Catalog
from cdesk.contract.records import HASH_PATTERN
from cdesk.core.identity import Caller

if TYPE_CHECKING:
    from mcp_shim.session import Session

Json: TypeAlias = dict[str, Any]
Progress: TypeAlias = Callable[[float, float, str], Awaitable[None]]
"""(seconds waited, seconds to wait, what is going on)"""
Handler: TypeAlias = Callable[
    ["Session", Json, Progress | None], Awaitable["Json | bytes | Answer"]
]
"""Runs a tool: (session, arguments by name, progress) to structured content, as an object, as UTF-8
JSON, or with more beside it. Raises CdeskError.
"""

TEMPLATES_URI: Final = "cdesk://templates"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool answers. `structured` is UTF-8 JSON. `text` is what a model reads; None: the
    structured content itself. `more` is further content, `meta` for the client alone.
    """

    structured: bytes
    text: str | None = None
    more: tuple[Json, ...] = ()
    meta: Json | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool.

    `input` and `output` are JSON schemas of the arguments and of the structured content. `text` is
    written for a model. `needs_worker`: the answer depends on a worker that runs. `dynamic` makes
    the text and the input schema for a catalog (None where there is none yet) and a caller. `meta`
    is for the client alone.
    """

    name: str
    title: str
    text: str
    input: Json
    output: Json
    handler: Handler
    read_only: bool = False
    idempotent: bool = False
    destructive: bool = False
    needs_worker: bool = False
    dynamic: Callable[[Tool, Catalog | None, Caller], tuple[str, Json]] | None = None
    meta: Json | None = None
    arguments: tuple[str, ...] = field(init=False)
    """Every argument that the tool takes."""
    texts: frozenset[str] = field(init=False)
    """Those that may be text."""

    def __post_init__(self) -> None:
        properties = self.input["properties"]
        object.__setattr__(self, "arguments", tuple(properties))
        texts = frozenset(name for name in properties if "string" in kinds_of(properties[name]))
        object.__setattr__(self, "texts", texts)

    def listed(self, catalog: Catalog | None, caller: Caller) -> Json:
        """The tool as the protocol lists it to `caller`."""
        text, schema = self.text, self.input
        if self.dynamic is not None:
            text, schema = self.dynamic(self, catalog, caller)
        # What is as the specification has it by default is left out, each word costs tokens.
        annotations: Json = {"openWorldHint": False}
        if self.read_only:
            annotations["readOnlyHint"] = True
        else:
            annotations["destructiveHint"] = self.destructive
            if self.idempotent:
                annotations["idempotentHint"] = True
        listed: Json = {
            "name": self.name,
            "title": self.title,
            "description": text,
            "inputSchema": schema,
            "outputSchema": self.output,
            "annotations": annotations,
        }
        return listed if self.meta is None else listed | {"_meta": self.meta}


# -- parts of schemas


def kinds_of(schema: Json) -> set[str]:
    """The JSON types that a value may have."""
    if (kind := schema.get("type")) and isinstance(kind, str):
        return {kind}
    found: set[str] = set()
    for one in (schema, *schema.get("anyOf", ())):
        kinds = one.get("type", ())
        found.update((kinds,) if isinstance(kinds, str) else kinds)
    return found


HASH: Final[Json] = {"type": "string", "pattern": HASH_PATTERN}
TS: Final[Json] = {"type": "string"}


def closed(properties: Json, required: tuple[str, ...] = ()) -> Json:
    """The schema of an object with these properties and no other."""
    schema: Json = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": list(required)} if required else schema


RETRY_SECONDS: Final = 10
SETTING_UP: Final[Json] = {
    "message": {"type": "string"},
    "retry_after_seconds": {"type": "integer"},
}
"""What an answer has where the catalog isn't there yet, beside the status `setting_up`."""


def setting_up(told: str) -> Json:
    """The answer of a tool for which a worker has yet to write the catalog."""
    return {
        "status": "setting_up",
        "message": f"{told}; call this again in {RETRY_SECONDS} seconds",
        "retry_after_seconds": RETRY_SECONDS,
    }


def nullable(kind: str, **more: Any) -> Json:
    """The schema of a value of this kind, or null. Without a list of types, which several clients
    cannot read.
    """
    return {"anyOf": [{"type": kind, **more}, {"type": "null"}]}
