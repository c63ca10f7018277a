"""`cdesk context`: what get_context would answer."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from cdesk_app.cli.output import age, pairs, table, terminal_width, to_json
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
        type=_max_bytes,
        metavar="N",
        help="leave sections out until it takes at most N bytes (2048 to 262144; default 16384)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, as a client gets it")


def _max_bytes(text: str) -> int:
    from mcp_shim.context import MAX_CONTEXT_BYTES, MIN_CONTEXT_BYTES

    allowed = f"a number from {MIN_CONTEXT_BYTES:,} to {MAX_CONTEXT_BYTES:,}"
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise ArgumentTypeError(f"{text!r} is not {allowed}")
    if not MIN_CONTEXT_BYTES <= (value := int(text)) <= MAX_CONTEXT_BYTES:
        raise ArgumentTypeError(f"{value:,} is not {allowed}")
    return value


def run(args: Namespace) -> int:
    from cdesk.core.identity import local_caller
    from mcp_shim.context import DEFAULT_CONTEXT_BYTES, CustomerContext
    from mcp_shim.readers import Readers

    settings, home = settings_and_home()
    caller = local_caller(settings)
    customer = args.customer or caller.customer
    if customer != caller.customer:
        caller.require_analyst(f"the context of {customer}")
    max_bytes = DEFAULT_CONTEXT_BYTES if args.max_bytes is None else args.max_bytes
    with closing(Readers.of(home)) as readers:
        answer, _ = CustomerContext(readers, customer).answer(max_bytes)
    print(to_json(answer) if args.json else told(answer))
    return 0


def told(answer: Mapping[str, Any], *, rows: int = 10) -> str:
    """An answer of get_context for a person, at most `rows` rows a section."""
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
    for title, columns, found in (
        ("insights", ("subject", "metric", "value", "state", "query_hash"), remembered),
        ("activities", ("activity", "today", "7 days", "30 days"), counted),
        ("recent questions", ("asked", "question"), asked),
    ):
        if found:
            more = f" (the first {rows} of {len(found):,})" if len(found) > rows else ""
            parts.append(
                f"{title}{more}\n{table(columns, found[:rows], indent=2, width=terminal_width())}"
            )
    if answer["omitted"]:
        parts.append("left out for size: " + ", ".join(answer["omitted"]))
    return "\n\n".join(parts)
