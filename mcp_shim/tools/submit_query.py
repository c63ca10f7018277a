"""`submit_query`: start one of the cataloged queries, answered at once with a ticket."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from cdesk.contract.catalog import Catalog
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
from mcp_shim.tools.template_list import allowed_templates, template_list
from mcp_shim.tools.tool import SETTING_UP, Json, Progress, Tool, closed

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
    checked = template.check_params(params_as_sent(template, params), timezone=readers.timezone)
    asking = template.as_asked_by(caller)
    query_hash = template.query_hash(
        checked,
        customer=asking.customer,
        is_analyst=asking.is_analyst,
        least_customers=asking.least_customers,
    )
    ticket_id, submitted_at = recorder.stamp()
    query_tag = recorder.query_tag()
    expires_at = format_ts(readers.now_ns() + EXPIRY_SECONDS * 1_000_000_000)

    def submit(connection: sqlite3.Connection) -> None:
        read_switch(connection, readers.kill_switch).require_off()
        submit_ticket(
            connection,
            ticket_id=ticket_id,
            customer=caller.customer,
            is_analyst=caller.is_analyst,
            least_customers=caller.least_customers,
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
        binds = template.bind(checked, customer=asking.customer, is_analyst=asking.is_analyst)
        answer["dry_run"] = {"sql": template.sql, "binds": binds}
    if hints := template.hints(checked):
        answer["hints"] = hints
    return answer


_OWN: Final = "they see this person's data alone"
_ALL: Final = (
    "they see this person's data alone, but for those marked [all], which see everybody's (this "
    "connection has the analyst role): say whose data an answer is about"
)


def _for_caller(tool: Tool, catalog: Catalog | None, caller: Caller) -> tuple[str, Json]:
    """Text and input schema that name the templates which the caller may ask."""
    text = tool.text.replace(_OWN, _ALL) if caller.is_analyst else tool.text
    if catalog is None:
        return (
            f"{text}\n\nThe catalog is being built: its templates appear here within a minute.",
            tool.input,
        )
    listed = template_list(allowed_templates(catalog, caller), caller)
    return f"{text}\n\nTemplates (`?`: may be left out):\n{listed}", tool.input


SUBMIT_QUERY: Final = Tool(
    name="submit_query",
    title="Ask the warehouse",
    text=(
        "Start one of the cataloged queries over the activity stream; comes back at once with "
        "a ticket for get_result. Only these templates exist, and they see this person's data "
        "alone. describe_template tells a template's parameters in full. An unchanged question "
        "on unchanged data is answered by the earlier result, which then says reused."
    ),
    input=closed(
        {
            "template": {
                "type": "string",
                "maxLength": 255,
                "description": "Its name, from the list above.",
            },
            "params": {
                "type": "object",
                "default": {},
                "description": (
                    "Its parameters by name. Activities: cdesk.user_asked and the like; times: "
                    "RFC 3339 with an offset."
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
                "description": "Only estimate rows and bytes; answers with the SQL and its binds.",
            },
            "fresh": {
                "type": "boolean",
                "default": False,
                "description": "Run again even where an answer of the last 24 hours still holds.",
            },
        },
        ("template",),
    ),
    output=closed(
        {
            "ticket_id": {"type": "string"},
            "status": {"enum": ["queued", "setting_up"]},
            "query_hash": {"type": "string"},
            "query_tag": {"type": "string"},
            "expires_at": {"type": "string"},
            "dry_run": {"type": "object"},
            "hints": {"type": "array"},
            **SETTING_UP,
        }
    ),
    handler=_submit_query,
    idempotent=True,
    needs_worker=True,
    dynamic=_for_caller,
)
