"""`submit_query`: start one of the cataloged queries, answered at once with a ticket."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from cdesk.contract.catalog import FORMS, Catalog, Template
from cdesk.core.clock import format_ts
from cdesk.core.errors import InvalidField
from cdesk.core.identity import Caller
from cdesk.state.kill_switch import read_switch
from cdesk.state.tickets import (
    BYTE_CAP_DEFAULT,
    BYTE_CAP_MAX,
    BYTE_CAP_MIN,
    EXPIRY_SECONDS,
    submit_ticket,
)
from mcp_shim.tools.arguments import boolean, integer, params_as_sent, required
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
    checked = template.check_params(params_as_sent(template, params))
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


def describe_template(template: Template, *, is_analyst: bool) -> str:
    """One line on a template: name, parameters with bounds and defaults, what it answers."""
    parts = []
    for parameter in template.parameters:
        text = f"{parameter.name}: {parameter.brief}"
        if not parameter.required:
            text += f" = {parameter.default}"
        parts.append(text)
    scope = " [all customers]" if template.scope != "customer" and is_analyst else ""
    return f"- {template.name}({'; '.join(parts)}){scope}: {template.description}"


def _forms(templates: Iterable[Template]) -> str:
    """What values of the types look like that the templates take."""
    types = {
        parameter.type.removeprefix("list[").removesuffix("]")
        for template in templates
        for parameter in template.parameters
    }
    forms = "; ".join(f"{name}: {form}" for name, form in FORMS.items() if name in types)
    return f"Values: {forms}." if forms else ""


_OWN: Final = "they see this person's data alone"
_ALL: Final = (
    "they see this person's data alone, but for those marked [all customers], which see "
    "everybody's (this connection has the analyst role): say whose data an answer is about"
)


def _for_caller(tool: Tool, catalog: Catalog | None, caller: Caller) -> tuple[str, Json]:
    """Text and input schema that name the templates which the caller may ask."""
    text = tool.text.replace(_OWN, _ALL) if caller.is_analyst else tool.text
    if catalog is None:
        return (
            f"{text} The catalog is being built: its templates appear here within a minute.",
            tool.input,
        )
    templates = [
        template
        for template in catalog.templates.values()
        if template.scope != "org" or caller.is_analyst
    ]
    lines = "\n".join(
        describe_template(template, is_analyst=caller.is_analyst) for template in templates
    )
    properties = tool.input["properties"]
    names = {**properties["template"], "enum": [template.name for template in templates]}
    return (
        f"{text}\n\n{_forms(templates)}\n\nTemplates:\n{lines}",
        {**tool.input, "properties": {**properties, "template": names}},
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
    dynamic=_for_caller,
)
