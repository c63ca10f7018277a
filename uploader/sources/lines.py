"""The shape of a transcript's line, as far as it is read: what nobody asks for is never built.

Most bytes of a history are texts, results of tools and copies of files, of which a length or
nothing is kept. msgspec decodes into these structures and passes by what they do not name. Nothing
is documented by the vendor, so each field may hold any JSON: one of another type than is known
counts for none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias, TypeVar, cast

import msgspec
import orjson
from msgspec import Raw, Struct, field

_S = TypeVar("_S", bound=Struct)

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
"""Of tokens: what every engine holds exactly."""
Other: TypeAlias = list[Any] | str | int | float | bool | None
"""What stands in a list where a structure is expected."""


class Part(Struct, gc=False):
    """A block within a tool's result."""

    text: str | None = None


class Block(Struct, gc=False):
    """A block of a message's content. `content` is what a tool gave back."""

    type: Any = None
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None
    tool_use_id: str | None = None
    content: list[Part | Other] | str | None = None
    is_error: bool | None = None


class Created(Struct, gc=False):
    """Tokens written to the cache, by how long they stay."""

    five_minutes: Count | None = field(default=None, name="ephemeral_5m_input_tokens")
    one_hour: Count | None = field(default=None, name="ephemeral_1h_input_tokens")


class Served(Struct, gc=False):
    """What the API's own tools did."""

    web_search_requests: Count | None = None


class Usage(Struct, gc=False):
    """What a response has used so far."""

    input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: Created | None = None
    output_tokens: Count | None = None
    server_tool_use: Served | None = None
    service_tier: str | None = None
    speed: str | None = None


class Message(Struct, gc=False):
    """What was said, as the API has it."""

    model: str | None = None
    id: str | None = None
    content: list[Block | Other] | str | None = None
    stop_reason: str | None = None
    usage: Usage | None = None


class Hunk(Struct, gc=False):
    """A place that a patch changes."""

    lines: list[Any] | None = None


class Detail(Struct, gc=False):
    """What a client notes beside a tool's result, of which the patch alone counts."""

    patch: list[Hunk | Other] | None = field(default=None, name="structuredPatch")


class Line(Struct, gc=False):
    """A line, or what is read of it. A field that holds something of another type holds None."""

    is_sidechain: bool | None = field(default=None, name="isSidechain")
    cwd: str | None = None
    session: str | None = field(default=None, name="sessionId")
    session_snake: str | None = field(default=None, name="session_id")
    version: str | None = None
    entry_point: str | None = field(default=None, name="entrypoint")
    agent: str | None = field(default=None, name="agentId")
    type: Any = None
    subtype: Any = None
    message: Message | None = None
    request: str | None = field(default=None, name="requestId")
    request_snake: str | None = field(default=None, name="request_id")
    is_error: bool | None = field(default=None, name="isApiErrorMessage")
    error: Any = None
    timestamp: str | None = None
    audit_timestamp: str | None = field(default=None, name="_audit_timestamp")
    detail: Detail | list[Raw] | str | None = field(default=None, name="toolUseResult")
    is_meta: bool | None = field(default=None, name="isMeta")
    is_summary: bool | None = field(default=None, name="isCompactSummary")
    is_synthetic: bool | None = field(default=None, name="isSynthetic")
    forked_from: Any = field(default=None, name="forkedFrom")
    parent_call: Any = field(default=None, name="parent_tool_use_id")


_INNER: Final[dict[str, type[Struct]]] = {
    "message": Message,
    "usage": Usage,
    "cache_creation": Created,
    "server_tool_use": Served,
    "toolUseResult": Detail,
}
_LISTED: Final[dict[tuple[type[Struct], str], type[Struct]]] = {
    (Message, "content"): Block,
    (Block, "content"): Part,
    (Detail, "structuredPatch"): Hunk,
}
"""Which structures stand in a field, and in the list in a field."""
_PASSED_BY: Final = (
    "parentUuid",
    "userType",
    "gitBranch",
    "uuid",
    "slug",
    "level",
    "thinkingMetadata",
    "todos",
    "permissionMode",
    "promptId",
    "sourceToolAssistantUUID",
    "sourceToolUseID",
    "logicalParentUuid",
    "isVisibleInTranscriptOnly",
    "teamName",
    "costUSD",
    "durationMs",
    "imagePasteIds",
    "tool_use_result",
    "_audit_hmac",
    "origin",
    "apiError",
    "apiErrorStatus",
    "errorDetails",
    "plan",
    "planContent",
    "isReplay",
    "attributionAgent",
    "attributionSkill",
    "attributionPlugin",
    "attributionMcpServer",
    "attributionMcpTool",
    "agentName",
    "agentColor",
    "agentSetting",
    "mcpMeta",
    "effort",
    "apiBlockIndex",
)
"""Fields of a message's line that are known and not read."""

KnownLine: Final = msgspec.defstruct(
    "KnownLine",
    [(f"passed_by_{place}", Raw, Raw()) for place in range(len(_PASSED_BY))],
    bases=(Line,),
    rename={f"passed_by_{place}": name for place, name in enumerate(_PASSED_BY)},
    forbid_unknown_fields=True,
    gc=False,
)
decode_known: Final = cast(Callable[[bytes], Line], msgspec.json.Decoder(KnownLine).decode)
"""A line of which every field is known, as most are; raises `UNREADABLE` otherwise."""
_decode_line: Final = msgspec.json.Decoder(Line).decode
_decode_document: Final = msgspec.json.Decoder(dict[str, Any]).decode
_decode_names: Final = msgspec.json.Decoder(dict[str, Raw]).decode
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What `read_line` raises."""
_NAMES: Final = frozenset(field.encode_name for field in msgspec.structs.fields(KnownLine))


@dataclass(frozen=True, slots=True)
class Mended:
    """A line that is no UTF-8, as it is read all the same; `line` is None where it can't be."""

    line: Line | None
    raw: bytes
    problem: str | None


def read_line(raw: bytes) -> Line:
    """A line as it stands, where `decode_known` refuses it.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is no object in JSON (`mend`).
    """
    try:
        return _decode_line(raw)
    except msgspec.ValidationError:
        return _fitting(Line, _decode_document(raw))


def _fitting(structure: type[_S], given: Mapping[str, Any]) -> _S:
    """A document as `structure`, field by field: what doesn't fit is left out."""
    values: dict[str, Any] = {}
    for one in msgspec.structs.fields(structure):
        if one.encode_name not in given:
            continue
        value = given[one.encode_name]
        inner = _INNER.get(one.encode_name)
        listed = _LISTED.get((structure, one.encode_name))
        if inner is not None and isinstance(value, dict):
            values[one.name] = _fitting(inner, value)
        elif listed is not None and isinstance(value, list):
            values[one.name] = [
                _fitting(listed, item) if isinstance(item, dict) else item for item in value
            ]
        else:
            with suppress(msgspec.ValidationError):
                values[one.name] = msgspec.convert(value, one.type)
    return structure(**values)


def mend(raw: bytes, *, is_ended: bool) -> Mended:
    """What `read_line` refuses. Nothing is wrong with what is torn and has not `is_ended`: it may
    still be written.
    """
    if not is_ended or not raw.strip(b" \t\r\n\0"):
        return Mended(None, raw, None)
    try:
        value = _replaced(raw)
        if not isinstance(value, dict):
            return Mended(None, raw, "a line that is no JSON object")
        whole = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        return Mended(read_line(whole), whole, "a line that is no UTF-8, read all the same")
    except (ValueError, *UNREADABLE):
        return Mended(None, raw, "a line that is no JSON")


def _replaced(raw: bytes) -> Any:
    """A line whatever bytes stand in it; halves of a surrogate pair are left."""
    return json.loads(raw.decode("utf-8", "replace"))


def read_document(raw: bytes) -> dict[str, Any]:
    """All of a line that `read_line` has read. Where it passes by what is no UTF-8, so does this;
    empty where nothing else can be read.
    """
    try:
        document = orjson.loads(raw)
    except ValueError:
        try:
            document = orjson.loads(
                json.dumps(_replaced(raw), ensure_ascii=False).encode("utf-8", "replace")
            )
        except (ValueError, RecursionError):
            return {}
    return document if isinstance(document, dict) else {}


def unknown_fields(line: bytes) -> Collection[str]:
    """Fields of a message's line that this version does not know. Only where the whole line could
    be read.
    """
    try:
        return _decode_names(line).keys() - _NAMES
    except UNREADABLE:
        return ()
