"""`cdesk context`: what get_context would answer."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from cdesk_app.cli.output import age, pairs, table, to_json
from cdesk_app.cli.settings import settings_and_home

EXAMPLE = "cdesk context"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "customer",
        nargs="?",
        metavar="CUSTOMER",
        help="whose; the configured customer's when left out, another's only with the analyst role",
    )
    parser.add_argument(
        "--max-bytes",
        type=int,
        metavar="N",
        help="leave sections out until it takes at most N bytes",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, as a client gets it")


def run(args: Namespace) -> int:
    from cdesk.core.clock import IdSource
    from cdesk.core.identity import Caller, local_caller
    from cdesk.core.wake import WakeSender
    from cdesk.queue.writer import QueueWriter
    from mcp_shim.recorder import Recorder
    from mcp_shim.service import Service
    from mcp_shim.state import SharedState
    from mcp_shim.surface import DEFAULT_CONTEXT_BYTES

    settings, home = settings_and_home()
    caller = local_caller(settings)
    customer = args.customer or caller.customer
    if customer != caller.customer:
        caller.require_analyst(f"the context of {customer}")
    recorder = Recorder(
        QueueWriter(home.queue), WakeSender(home), customer=customer, ids=IdSource()
    )
    with closing(SharedState(home.state_db)) as state:
        service = Service(home, Caller(customer, caller.roles), recorder, state)
        answer = service.context(max_bytes=args.max_bytes or DEFAULT_CONTEXT_BYTES)
    print(to_json(answer) if args.json else told(answer))
    return 0


def told(answer: Mapping[str, Any], *, rows: int = 10) -> str:
    """An answer of get_context for a person, at most so many rows a section."""
    context = answer["context"]
    head = pairs(
        (
            ("customer", answer["customer"]),
            (
                "as of",
                f"{answer['as_of']} ({age(answer['as_of'])})" if answer["as_of"] else "never built",
            ),
            ("version", answer["version"]),
            ("stale", answer["stale_reason"] if answer["stale"] else "no"),
        )
    )
    parts = [head]
    insights = [
        *((item, "verified") for item in context["insights"]),
        *((item, f"unverified: {item.get('reason')}") for item in context["unverified"]),
        *((item, "pending") for item in answer["pending"]),
    ]
    remembered = [
        (item["subject"], item["metric"], item["value"], state, item["provenance_query_hash"])
        for item, state in insights
    ]
    counts = sorted(context["counts"].items(), key=lambda item: (-item[1].get("d30", 0), item[0]))
    counted = [(name, count.get("d1"), count.get("d7"), count.get("d30")) for name, count in counts]
    asked = [(item["ts"], item["question"]) for item in context["recent_questions"]]
    last = [(item["ts"], item["activity"]) for item in context["last_activities"]]
    for title, columns, found in (
        ("insights", ("subject", "metric", "value", "state", "query_hash"), remembered),
        ("activities", ("activity", "today", "7 days", "30 days"), counted),
        ("recent questions", ("asked", "question"), asked),
        ("last activities", ("at", "activity"), last),
    ):
        if found:
            more = f" (the first {rows} of {len(found):,})" if len(found) > rows else ""
            parts.append(f"{title}{more}\n{table(columns, found[:rows], indent=2)}")
    if answer["omitted"]:
        parts.append("left out for size: " + ", ".join(answer["omitted"]))
    return "\n\n".join(parts)
