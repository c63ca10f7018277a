"""`cdesk quarantine`: lines that are no records; see them, replay them after a fix, or discard
them.
"""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

from cdesk_app.cli.output import age, table, terminal_width, to_json
from cdesk_app.cli.settings import settings_and_home

if TYPE_CHECKING:
    import sqlite3

    from uploader.quarantine import Quarantine, QuarantinedLine

EXAMPLE = "cdesk quarantine list --reason unknown_field\n  cdesk quarantine replay --all"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("list", "show", "replay", "discard"),
        help="list: what waits for a decision; show: one line whole, without credentials; "
        "replay: put lines that keep the contract now back into the queue; "
        "discard: nothing is to be made of them",
    )
    parser.add_argument("ids", nargs="*", metavar="ID", help="which lines, as list shows them")
    parser.add_argument(
        "--all", action="store_true", help="with replay or discard: every line that list would show"
    )
    parser.add_argument("--reason", help="only lines refused for this reason")
    parser.add_argument(
        "--limit",
        type=_count,
        default=50,
        help="with list: at most so many, 1 to 10,000 (default 50)",
    )
    parser.add_argument(
        "--done", action="store_true", help="with list: also what was replayed or discarded"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise ArgumentTypeError(f"{text!r} is not a number from 1 to 10,000")
    return int(text)


def run(args: Namespace) -> int:
    import pyarrow  # noqa: F401 - first, so that what is missing is the extra of this command

    from cdesk.core.errors import CdeskError
    from cdesk.core.identity import local_caller
    from cdesk.state.catalog import sealed_catalog
    from cdesk.state.database import open_state
    from cdesk.warehouse.factory import open_warehouse
    from uploader.quarantine import TEMPLATE, Quarantine

    settings, home = settings_and_home()
    if settings.target == "snowflake":
        raise CdeskError(
            "on Snowflake the quarantine is read in a worksheet as CDESK_ADMIN, and mended "
            "lines come back with 'cdesk import'; "
            "docs/snowflake.md has the queries"
        )
    caller = local_caller(settings)
    caller.require_analyst("the quarantine")
    template = sealed_catalog(home).get(TEMPLATE)
    with (
        closing(open_state(home.state_db)) as state,
        closing(open_warehouse(settings, home)) as warehouse,
    ):
        room = Quarantine(warehouse, template, state, customer=caller.customer)
        if args.action == "list":
            return _list(room, args)
        lines = _chosen(room, args)
        if args.action == "show":
            return _show(lines, args)
        if args.action == "discard":
            import time

            from cdesk.core.clock import format_ts

            count = room.discard(lines, now=format_ts(time.time_ns()))
            _tell(room, state)
            print(to_json({"discarded": count}) if args.json else f"{count:,} lines discarded")
            return 0
        code = _replay(room, lines, args)
        _tell(room, state)
        return code


def _tell(room: Quarantine, state: sqlite3.Connection) -> None:
    """Leave in the status what is still to be decided."""
    import time

    from cdesk.core.clock import format_ts
    from cdesk.state.facts import write_status
    from cdesk.state.status import Quarantined
    from uploader.quarantine import MOST_ROWS

    left, now = room.lines(limit=MOST_ROWS), format_ts(time.time_ns())
    reasons = Counter(str(line.reason) for line in left)
    at = max((line.landed_at for line in left), default=now)
    write_status(state, Quarantined(at=at, lines=len(left), reasons=dict(reasons)), now=now)


def _list(room: Quarantine, args: Namespace) -> int:
    from dataclasses import asdict

    found = room.lines(reason=args.reason, limit=args.limit, done_too=args.done)
    lines = [_without_credentials(line) for line in found]
    if args.json:
        print(to_json([asdict(line) for line in lines]))
    elif not lines:
        print("nothing in quarantine")
    else:
        rows = [
            (
                line.quarantine_id,
                line.reason,
                line.detail or "",
                line.action or "",
                age(line.landed_at),
            )
            for line in lines
        ]
        print(table(("id", "reason", "detail", "done", "landed"), rows, width=terminal_width()))
    return 0


def _show(lines: list[QuarantinedLine], args: Namespace) -> int:
    from dataclasses import asdict

    for line in map(_without_credentials, lines):
        if args.json:
            print(to_json(asdict(line)))
            continue
        print(f"{line.quarantine_id}  {line.reason}: {line.detail}")
        print(
            f"{line.source_file} at byte {line.source_offset:,}, landed "
            f"{age(line.landed_at)}, {line.action or 'open'}"
        )
        print(line.raw)
    return 0


def _without_credentials(line: QuarantinedLine) -> QuarantinedLine:
    """The line as it may be shown: what never came through the door may hold anything. A replay
    takes the line itself, which is redacted where it is a record again.
    """
    from dataclasses import replace

    from cdesk.contract.redaction import redact_value

    return replace(
        line,
        raw=redact_value(line.raw),
        detail=redact_value(line.detail),
        source_file=redact_value(line.source_file),
    )


def _replay(room: Quarantine, lines: list[QuarantinedLine], args: Namespace) -> int:
    import time
    from dataclasses import asdict

    from cdesk.core.clock import format_ts
    from cdesk.core.wake import WakeSender
    from cdesk.queue.writer import QueueWriter

    settings, home = settings_and_home()
    with closing(QueueWriter(home.queue, durability=settings.durability)) as queue:
        done = room.replay(lines, queue, now=format_ts(time.time_ns()))
    with closing(WakeSender(home)) as waker:
        waker.send()
    if args.json:
        print(to_json([asdict(one) for one in done]))
        return 0
    counts = Counter(one.verdict for one in done)
    print(
        f"{counts['replayed']:,} back in the queue, {counts['already']:,} were already, "
        f"{counts['still_refused'] + counts['not_whole']:,} are still no records"
    )
    for one in done:
        if one.detail:
            print(f"  {one.quarantine_id}  {one.detail}")
    return 0


def _chosen(room: Quarantine, args: Namespace) -> list[QuarantinedLine]:
    from cdesk.core.errors import InvalidField
    from uploader.quarantine import MOST_ROWS

    if args.ids:
        return [room.line(id) for id in args.ids]
    if args.all and args.action != "show":
        return room.lines(reason=args.reason, limit=MOST_ROWS)
    raise InvalidField(
        "ID", "missing", f"the ids of the lines to {args.action}, or --all with replay and discard"
    )
