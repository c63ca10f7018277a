"""`describe_template`: all that submit_query takes of one cataloged query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mcp_shim.tools.arguments import required
from mcp_shim.tools.tool import SETTING_UP, Json, Progress, Tool, closed

if TYPE_CHECKING:
    from mcp_shim.session import Session


async def _describe_template(session: Session, given: Json, _: Progress | None) -> Json:
    name = required(given, "template", "the name of a cataloged template")
    template = session.app.readers.catalog.get().get(name)
    if template.scope == "org":
        session.caller.require_analyst(f"template {template.name}")
    document = template.document()
    for plumbing in ("sql", "binds", "hash"):
        del document[plumbing]
    return document


DESCRIBE_TEMPLATE: Final = Tool(
    name="describe_template",
    title="Describe a query template",
    text=(
        "One template of submit_query in full: what it answers, each parameter with its meaning, "
        "bounds and default, which columns can prove an insight, and an example."
    ),
    input=closed(
        {
            "template": {
                "type": "string",
                "maxLength": 255,
                "description": "Its name, from the list of submit_query.",
            }
        },
        ("template",),
    ),
    output=closed(
        {
            "name": {"type": "string"},
            "description": {"type": "string"},
            "scope": {"type": "string"},
            "parameters": {"type": "array"},
            "evidence_columns": {"type": "object"},
            "example": {"type": "object"},
            "status": {"const": "setting_up"},
            **SETTING_UP,
        }
    ),
    handler=_describe_template,
    read_only=True,
    idempotent=True,
)
