"""`cdesk status`: how far behind the warehouse is and what the worker last did. Needs no worker and
no warehouse.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from cdesk_app.cli.output import age, pairs, size, to_json
from cdesk_app.cli.settings import settings_and_home

if TYPE_CHECKING:
    from cdesk.core.config import Settings
    from cdesk.core.home import StateDirectory
    from cdesk.queue.depth import Delivered

EXAMPLE = "cdesk status --json"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    settings, home = settings_and_home()
    found = gather(settings, home)
    print(to_json(found) if args.json else _told(found))
    return 0


def gather(settings: Settings, home: StateDirectory) -> dict[str, Any]:
    """Everything `cdesk status` says, as JSON: timestamps are RFC 3339, facts that nobody has left
    yet are null.

    Raises:
        StateDirectoryError: state.db cannot be used.
    """
    import sqlite3

    from cdesk.core.errors import SnapshotError, StateDirectoryError
    from cdesk.core.locks import is_held
    from cdesk.core.wake import read_worker
    from cdesk.queue.depth import DepthCounter, read_delivered
    from cdesk.queue.files import list_queue
    from cdesk.state.database import QUARANTINE_STATUS, get_status, open_state
    from cdesk.state.kill_switch import read_switch
    from cdesk.state.snapshot import SnapshotReader
    from cdesk.state.tickets import count_open

    try:
        with closing(open_state(home.state_db)) as state:
            delivered = read_delivered(state)
            names = (
                "last_landing",
                "last_build",
                "last_test",
                "last_refresh",
                "breaker",
                QUARANTINE_STATUS,
            )
            facts = {name: get_status(state, name) for name in names}
            tickets = count_open(state)
            switch = read_switch(state)
    except sqlite3.Error as error:
        raise StateDirectoryError(
            f"{home.state_db} cannot be read ({error}); see 'cdesk doctor'"
        ) from None
    depth = DepthCounter(home.queue).measure(delivered)
    with closing(SnapshotReader(home.context_db)) as snapshot:
        try:
            _, refreshed_at = snapshot.read(settings.customer)
        except SnapshotError:
            refreshed_at = None
    running = is_held(home.worker_lock)
    return {
        "home": str(home.root),
        "customer": settings.customer,
        "target": settings.target,
        "worker": {"running": running, **((read_worker(home) if running else None) or {})},
        "queue": {
            "records": depth.lines,
            "bytes": depth.bytes,
            "files": depth.files,
            "oldest": min(_oldest(home, delivered), default=None),
            "foreign": list_queue(home.queue).unknown,
        },
        "snapshot_at": refreshed_at,
        "tickets": {"queued": tickets.get("queued", 0), "running": tickets.get("running", 0)},
        "kill_switch": {"on": switch.on, "reason": switch.reason, "since": switch.since},
        **facts,
    }


def _oldest(home: StateDirectory, delivered: Mapping[str, Delivered]) -> Iterator[str]:
    """For each queue file, when its first undelivered record was born. A line that is no record has
    no birth.
    """
    import orjson

    from cdesk.contract.records import MAX_LINE_BYTES
    from cdesk.queue.writer import FILE_NAME, SEALED_SUFFIX

    for path in home.queue.iterdir():
        if not (match := FILE_NAME.match(path.name)):
            continue
        landed = delivered.get(f"{match['writer']}-{match['sequence']}{SEALED_SUFFIX}")
        try:
            with path.open("rb") as file:
                file.seek(landed.next_offset if landed else 0)
                ts = orjson.loads(file.readline(MAX_LINE_BYTES)).get("ts")
        except (OSError, ValueError, AttributeError):
            continue
        if isinstance(ts, str):
            yield ts


def _told(found: Mapping[str, Any]) -> str:
    worker, queue, switch = found["worker"], found["queue"], found["kill_switch"]
    landing, build, tests, refresh = (
        found[name] if isinstance(found[name], dict) else {}
        for name in ("last_landing", "last_build", "last_test", "last_refresh")
    )
    breaker = found["breaker"] if isinstance(found["breaker"], dict) else {"state": "closed"}
    lag = f", the oldest from {age(queue['oldest'])}" if queue["oldest"] else ""
    lines: list[tuple[str, object]] = [
        ("state directory", found["home"]),
        ("customer", found["customer"]),
        ("warehouse", found["target"]),
        (
            "worker",
            f"running (pid {worker.get('pid')}, started {age(worker.get('started_at'))})"
            if worker["running"]
            else "not running; the MCP server starts one, or run 'cdesk worker'",
        ),
        ("queue", f"{queue['records']:,} records ({size(queue['bytes'])}) not landed yet{lag}"),
        *(
            [
                (
                    "not of the queue",
                    f"{', '.join(queue['foreign'][:3])}: 'cdesk import' brings records in",
                )
            ]
            if queue["foreign"]
            else []
        ),
        ("last landing", _when(landing, f"{landing.get('rows', 0):,} rows")),
        ("last build", _when(build, _built(build))),
        ("last tests", _when(tests, _tested(tests))),
        ("last refresh", _when(refresh, f"{refresh.get('changed', 0):,} contexts changed")),
        ("snapshot", age(found["snapshot_at"])),
        (
            "queries",
            f"{found['tickets']['queued']:,} waiting, {found['tickets']['running']:,} running",
        ),
        (
            "breaker",
            breaker["state"] + (f" ({breaker['reason']})" if breaker.get("reason") else ""),
        ),
        ("quarantine", quarantined(found["quarantine"])),
        (
            "kill switch",
            f"on since {age(switch['since'])}: {switch['reason'] or 'no reason given'}; 'cdesk kill-switch off' ends it"
            if switch["on"]
            else "off",
        ),
    ]
    return pairs(lines)


def quarantined(fact: object) -> str:
    """What waits in quarantine for somebody's decision."""
    if not isinstance(fact, dict) or not fact.get("lines"):
        return "empty"
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(fact["reasons"].items()))
    return f"{fact['lines']:,} lines, the last {age(fact['at'])} ({reasons}); see 'cdesk quarantine list'"


def _built(fact: Mapping[str, Any]) -> str:
    if fact.get("message"):
        return f"{fact.get('status')}: {fact['message']}"
    return f"{fact.get('status')} in {fact.get('seconds') or 0:.1f} s"


def _tested(fact: Mapping[str, Any]) -> str:
    failed = fact.get("failed") or []
    return f"{fact.get('tests', 0):,} data tests, " + (
        f"failed: {', '.join(failed)}" if failed else "all passed"
    )


def _when(fact: Mapping[str, Any], what: str) -> str:
    return f"{age(fact['at'])}, {what}" if fact.get("at") else "never"
