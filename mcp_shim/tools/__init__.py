"""The tools: names, schemas and texts for a model, and what each does. One module a tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from cdesk.contract.catalog import Catalog
from cdesk.core.checks import nearest
from cdesk.core.errors import CatalogPending, InvalidField
from cdesk.core.identity import Caller
from mcp_shim.tools.arguments import as_sent
from mcp_shim.tools.describe_template import DESCRIBE_TEMPLATE
from mcp_shim.tools.forget_insight import FORGET_INSIGHT
from mcp_shim.tools.get_context import GET_CONTEXT
from mcp_shim.tools.get_result import GET_RESULT
from mcp_shim.tools.log_event import LOG_EVENT
from mcp_shim.tools.log_insight import LOG_INSIGHT
from mcp_shim.tools.submit_query import SUBMIT_QUERY
from mcp_shim.tools.tool import Answer, Json, Progress, Tool, closed, setting_up

if TYPE_CHECKING:
    from mcp_shim.session import Session

TOOLS: Final[Mapping[str, Tool]] = {
    tool.name: tool
    for tool in (
        GET_CONTEXT,
        LOG_EVENT,
        SUBMIT_QUERY,
        DESCRIBE_TEMPLATE,
        GET_RESULT,
        LOG_INSIGHT,
        FORGET_INSIGHT,
    )
}
"""Every tool by its name, in the order in which they are listed."""


def tool_list(catalog: Catalog | None, caller: Caller) -> list[Json]:
    """The tools as the protocol lists them to `caller`. A tool that depends on the catalog shows
    what the caller may use of it, as far as there is one.
    """
    return [tool.listed(catalog, caller) for tool in TOOLS.values()]


def parse_arguments(params: dict[str, Any]) -> None:
    """Put the object in place of all arguments of a call that came as one text, as `as_sent` does
    with each.
    """
    if isinstance(params.get("arguments"), str):
        whole = as_sent(_CALL, {"arguments": params["arguments"]})
        params["arguments"] = whole.get("arguments")


_CALL: Final[Json] = closed({"arguments": {"type": "object"}})


async def call(
    session: Session, name: str, arguments: Mapping[str, Any] | None, progress: Progress | None
) -> Answer:
    """Run the tool `name` for the caller of `session`.

    Raises:
        CdeskError: what is wrong and what to do; nothing half-written is left.
    """
    tool = TOOLS[name]
    given = dict(arguments or {})
    is_plain = True  # as all clients send most calls: `as_sent` would leave it as it is
    for argument, value in given.items():
        if argument not in tool.arguments:
            near = nearest(argument, tool.arguments)
            hint = f" (did you mean {near}?)" if near else ""
            raise InvalidField(
                argument[:60], f"unknown for {name}{hint}", ", ".join(tool.arguments)
            )
        if value is None or (
            isinstance(value, str) and not (argument in tool.texts and value.strip())
        ):
            is_plain = False
    try:
        meant = given if is_plain else as_sent(tool.input, given)
        answer = await tool.handler(session, meant, progress)
    except CatalogPending:
        if (told := session.app.arriving()) is None:
            raise
        answer = setting_up(told)
    if isinstance(answer, Answer):
        return answer
    return Answer(answer if isinstance(answer, bytes) else orjson.dumps(answer))
