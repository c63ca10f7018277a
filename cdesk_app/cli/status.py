"""`cdesk status`: how far behind the warehouse is and what the worker last did. Needs no worker and
no warehouse.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cdesk_app.cli.output import age, pairs, size, to_json
from cdesk_app.cli.settings import settings_and_home

if TYPE_CHECKING:
    from cdesk.core.config import Settings
    from cdesk.core.home import StateDirectory
    from cdesk.queue.overview import FeatureState, Overview, Queue, Worker
    from cdesk.state.facts import KillSwitch
    from cdesk.state.status import LastBuild, LastTest, Quarantined, Spent
    from uploader.capture_status import CaptureStatus

EXAMPLE = "cdesk status --json"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    from dataclasses import asdict

    from cdesk.queue.overview import gather

    settings, home = settings_and_home()
    found = gather(settings, home)
    captured, problem = _capture(settings, home)
    if args.json:
        told = asdict(captured) if captured else {"enabled": settings.capture.enabled}
        print(to_json({**asdict(found), "capture": {**told, "problem": problem}}))
    else:
        print(pairs([*_lines(found), ("capture", problem or capture_told(captured))]))
    return 0


def _capture(settings: Settings, home: StateDirectory) -> tuple[CaptureStatus | None, str | None]:
    """How capture stands, None where it was never on; and why that cannot be told."""
    from cdesk.core.errors import CdeskError

    if not settings.capture.enabled and not home.capture.exists():
        return None, None
    try:
        from uploader.capture_status import capture_status

        return capture_status(settings, home), None
    except ModuleNotFoundError:
        return None, "on; what reads the histories is not installed: pip install 'cdesk[worker]'"
    except CdeskError as error:
        return None, str(error)


def capture_told(found: CaptureStatus | None) -> str:
    """Of Claude's own histories, how much was read and what was not."""
    if found is None:
        return "off; 'cdesk capture on' says what it would read"
    parts = [f"{found.files:,} files, {size(found.read_bytes)} read"]
    if found.sources:
        by_source = ", ".join(f"{count:,} of {name}" for name, count in found.sources.items())
        parts = [f"{found.files:,} files ({by_source}), {size(found.read_bytes)} read"]
    if found.last_read_at:
        parts.append(f"{found.sessions:,} sessions, last read {age(found.last_read_at)}")
    if waiting := found.behind_bytes + found.backlog_bytes:
        parts.append(f"{size(waiting)} still to come")
    for what, count in (
        ("lines or fields of kinds that this version does not know", sum(found.unknown.values())),
        ("bad lines left out", sum(found.bad_lines.values())),
        ("beyond limits left out", sum(found.left_out.values())),
        ("places that cannot be read", len(found.unreadable)),
        ("links or the like passed by", len(found.passed_by)),
    ):
        if count:
            parts.append(f"{count:,} {what}")
    if found.error:
        parts.append(f"looking fails since {found.error}")
    return f"{'on' if found.enabled else 'off'}: {'; '.join(parts)}; see 'cdesk capture'"


def _lines(found: Overview) -> Iterator[tuple[str, object]]:
    from cdesk_app.cli.http_service import service_told

    tickets = found.tickets
    yield "state directory", found.home
    yield "customer", found.customer
    yield "warehouse", found.target
    yield "worker", worker_told(found.worker)
    yield from _queue(found.queue)
    yield "last landing", _when(found.last_landing.at, f"{found.last_landing.rows:,} rows")
    yield "last build", _when(found.last_build.at, _built(found.last_build))
    yield "last tests", _when(found.last_test.at, _tested(found.last_test))
    refreshed = f"{found.last_refresh.changed:,} contexts changed"
    yield "last refresh", _when(found.last_refresh.at, refreshed)
    removed = f"{found.last_clean_up.removed:,} things removed"
    yield "last clean-up", _when(found.last_clean_up.at, removed)
    yield "last backup", _when(found.last_backup.at, size(found.last_backup.bytes))
    yield "snapshot", age(found.snapshot_at)
    yield "queries", f"{tickets.queued:,} waiting, {tickets.running:,} running"
    because = f" ({found.breaker.reason})" if found.breaker.reason else ""
    yield "breaker", found.breaker.state + because
    yield "quarantine", quarantined(found.quarantine)
    yield "pressure", found.pressure.reason or "none"
    yield "used today", used_told(found.spent)
    yield "kill switch", _switch(found.kill_switch)
    yield "HTTP service", service_told(found.http)
    yield from _features(found.features)


def worker_told(worker: Worker) -> str:
    """Whether a worker runs, and if not why."""
    if worker.running and worker.pid is None:
        return "running, and has not said more of itself yet"
    if worker.running:
        version = f", version {worker.version}" if worker.version else ""
        return f"running (pid {worker.pid}, started {age(worker.started_at)}{version})"
    if worker.setting_up:
        return f"not running: {worker.setting_up}"
    if worker.problem:
        return f"ended: {worker.problem}"
    return "not running; the MCP server starts one, or run 'cdesk worker'"


def quarantined(fact: Quarantined) -> str:
    """What waits in quarantine for somebody's decision."""
    if not fact.lines:
        return "empty"
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(fact.reasons.items()))
    return f"{fact.lines:,} lines, the last {age(fact.at)} ({reasons}); see 'cdesk quarantine list'"


def _features(features: Sequence[FeatureState]) -> Iterator[tuple[str, str]]:
    """One line each: on or off, the default where it is another, since when."""
    for one in features:
        state = "on" if one.on else "off"
        default = "" if one.on is one.default else f", by default {'on' if one.default else 'off'}"
        yield f"feature {one.name}", f"{state}{default}, since {one.since}: {one.text}"


def used_told(spent: Spent) -> str:
    """What the cost guard counts, against its caps."""
    if spent.at is None:
        return "nothing counted yet"
    parts = []
    for measure, used in sorted(spent.used.items()):
        cap = spent.caps.get(measure)
        counted = used - spent.allowed.get(measure, 0.0)
        of = f" of {cap:,.10g}" if cap else ""
        parts.append(f"{counted:,.4g}{of} {measure.replace('_', ' ')}")
    problem = f"; the meter cannot be read: {spent.problem}" if spent.problem else ""
    return f"{', '.join(parts)} ({age(spent.at)}){problem}"


def _queue(queue: Queue) -> Iterator[tuple[str, object]]:
    lag = f", the oldest from {age(queue.oldest)}" if queue.oldest else ""
    yield "queue", f"{queue.records:,} records ({size(queue.bytes)}) not landed yet{lag}"
    if queue.held:
        shown = "; ".join(f"{name} ({why})" for name, why in list(queue.held.items())[:3])
        yield (
            "held in the queue",
            f"{shown}: {len(queue.held):,} that cannot be read; all else lands",
        )
    if queue.foreign:
        names = ", ".join(queue.foreign[:3])
        yield "not of the queue", f"{names}: 'cdesk import' brings records in"


def _built(fact: LastBuild) -> str:
    if fact.message:
        return f"{fact.status}: {fact.message}"
    return f"{fact.status} in {fact.seconds or 0:.1f} s"


def _tested(fact: LastTest) -> str:
    came_of_it = f"failed: {', '.join(fact.failed)}" if fact.failed else "all passed"
    return f"{fact.tests:,} data tests, {came_of_it}"


def _switch(switch: KillSwitch) -> str:
    if not switch.on:
        return "off"
    why = switch.reason or "no reason given"
    return f"on since {age(switch.since)}: {why}; 'cdesk kill-switch off' ends it"


def _when(at: str | None, what: str) -> str:
    return f"{age(at)}, {what}" if at else "never"
