"""`submit_query`: start one of the cataloged queries, answered at once with a ticket."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from cdesk.contract.catalog import FORMS, Catalog, Template
from cdesk.core.clock import format_ts
from cdesk.core.errors import InvalidField
from cdesk.state.kill_switch import read_switch
from cdesk.state.tickets import (
    BYTE_CAP_DEFAULT,
    BYTE_CAP_MAX,
    BYTE_CAP_MIN,
    EXPIRY_SECONDS,
    submit_ticket,
)
from mcp_shim.tools.arguments import boolean, integer, required
from mcp_shim.tools.tool import HASH, TS, Json, Progress, Tool, closed

if TYPE_CHECKING:
    from mcp_shim.session import Session


async def _submit_query(session: Session, given: Json, _: Progress | None) -> Json:
    name = required(given, "template", "the name of a cataloged template")
    params = given.get("params")
    if params is None:
        params = {}
    if not isinstance(params, dict):
        raise InvalidField(
            "params", f"is {type(params).__name__}", "an object of parameters by name"
        )
    byte_cap = integer(given, "byte_cap", low=BYTE_CAP_MIN, high=BYTE_CAP_MAX, default=None)
    dry_run, fresh = boolean(given, "dry_run"), boolean(given, "fresh")
    caller, readers, recorder = session.caller, session.app.readers, session.recorder
    template = readers.catalog.get().get(name)
    if template.scope == "org":
        caller.require_analyst(f"template {template.name}")
    checked = template.check_params(params)
    query_hash = template.query_hash(
        checked, customer=caller.customer, is_analyst=caller.is_analyst
    )
    ticket_id, submitted_at = recorder.stamp()
    query_tag = recorder.query_tag()
    expires_at = format_ts(readers.now_ns() + EXPIRY_SECONDS * 1_000_000_000)

    def submit(connection: sqlite3.Connection) -> None:
        read_switch(connection).require_off()
        submit_ticket(
            connection,
            ticket_id=ticket_id,
            customer=caller.customer,
            is_analyst=caller.is_analyst,
            session_id=recorder.session_id,
            template=template.name,
            params=checked,
            query_hash=query_hash,
            query_tag=query_tag,
            byte_cap=byte_cap,
            submitted_at=submitted_at,
            expires_at=expires_at,
            dry_run=dry_run,
            fresh=fresh,
        )

    await readers.state.write(submit)
    session.app.records.wake_worker(at_once=True)
    answer: Json = {
        "ticket_id": ticket_id,
        "status": "queued",
        "query_hash": query_hash,
        "query_tag": query_tag,
        "expires_at": expires_at,
    }
    if dry_run:
        binds = template.bind(checked, customer=caller.customer, is_analyst=caller.is_analyst)
        answer["dry_run"] = {"sql": template.sql, "binds": binds}
    if hints := template.hints(checked):
        answer["hints"] = hints
    return answer


def describe_template(template: Template) -> str:
    """One line on a template: name, parameters with bounds and defaults, what it answers."""
    parts = []
    for parameter in template.parameters:
        text = f"{parameter.name}: {parameter.brief}"
        if not parameter.required:
            text += f" = {parameter.default}"
        parts.append(text)
    scope = " [analyst]" if template.scope == "org" else ""
    return f"- {template.name}({'; '.join(parts)}){scope}: {template.description}"


def _forms(catalog: Catalog) -> str:
    """What values of the types look like that the templates take."""
    types = {
        parameter.type.removeprefix("list[").removesuffix("]")
        for template in catalog.templates.values()
        for parameter in template.parameters
    }
    forms = "; ".join(f"{name}: {form}" for name, form in FORMS.items() if name in types)
    return f"Values: {forms}." if forms else ""


def _with_templates(tool: Tool, catalog: Catalog | None) -> tuple[str, Json]:
    """Text and input schema that name the templates of the catalog."""
    if catalog is None:
        return (
            f"{tool.text} The catalog is being built: its templates appear here within a minute.",
            tool.input,
        )
    lines = "\n".join(describe_template(item) for item in catalog.templates.values())
    properties = tool.input["properties"]
    template = {**properties["template"], "enum": list(catalog.templates)}
    return (
        f"{tool.text}\n\n{_forms(catalog)}\n\nTemplates:\n{lines}",
        {**tool.input, "properties": {**properties, "template": template}},
    )


SUBMIT_QUERY: Final = Tool(
    name="submit_query",
    title="Ask the warehouse",
    text=(
        "Start one of the cataloged queries over the activity stream; comes back at once with "
        "a ticket for get_result. Only these templates exist, and they see this person's data "
        "alone. The same question on unchanged data is answered by the earlier result, which "
        "then says reused; fresh runs it again."
    ),
    input=closed(
        {
            "template": {"type": "string", "minLength": 1, "maxLength": 255},
            "params": {
                "type": "object",
                "default": {},
                "description": (
                    "The template's parameters by name. Those with a default may be left out."
                ),
            },
            "byte_cap": {
                "type": "integer",
                "minimum": BYTE_CAP_MIN,
                "maximum": BYTE_CAP_MAX,
                "default": BYTE_CAP_DEFAULT,
                "description": "A larger result is sampled, visibly.",
            },
            "dry_run": {
                "type": "boolean",
                "default": False,
                "description": (
                    "Only estimate: answers with the SQL and its binds, and the ticket brings "
                    "estimated rows and bytes."
                ),
            },
            "fresh": {
                "type": "boolean",
                "default": False,
                "description": (
                    "Run again even where an answer of the last 24 hours on unchanged data "
                    "stands; a result says reused."
                ),
            },
        },
        ("template",),
    ),
    output=closed(
        {
            "ticket_id": {"type": "string"},
            "status": {"const": "queued"},
            "query_hash": HASH,
            "query_tag": {"type": "string"},
            "expires_at": TS,
            "dry_run": closed(
                {"sql": {"type": "string"}, "binds": {"type": "array"}}, ("sql", "binds")
            ),
            "hints": {"type": "array", "items": {"type": "string"}},
        },
        ("ticket_id", "status", "query_hash", "query_tag", "expires_at"),
    ),
    handler=_submit_query,
    idempotent=True,
    needs_worker=True,
    dynamic=_with_templates,
)
