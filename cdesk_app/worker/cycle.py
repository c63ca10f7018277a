"""A pipeline cycle: the whole way once, with a report of what it did."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cdesk.core.errors import WarehouseUnavailable
from cdesk_app.worker.pipeline import Pipeline

TICKETS_SECONDS: Final = 120.0
"""How long a cycle waits for the queries that were queued."""
DRAIN_SECONDS: Final = 60.0
"""How long a cycle waits for a warehouse that is held or down."""

Stage = Callable[[str, int, int], None]
"""Called with (what is being done, done, total); total is 0 where it is not known."""


@dataclass(slots=True)
class CycleReport:
    """What a cycle did. `templates` is None when the catalog was as it should be, `failed_tests`
    names data tests.

    handed_over: another worker runs here and did the work.
    """

    landed: int = 0
    quarantined: int = 0
    builds: int = 0
    build_seconds: float = 0.0
    contexts_changed: int = 0
    templates: int | None = None
    tickets: int = 0
    waiting: int = 0
    seconds: float = 0.0
    failed_tests: tuple[str, ...] = ()
    handed_over: bool = False

    def to_json(self) -> dict[str, object]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> CycleReport:
        """The report of another worker, of which fields that this version does not know are left
        out.
        """
        known = {one.name for one in dataclasses.fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        failed = values.get("failed_tests")
        values["failed_tests"] = tuple(failed) if isinstance(failed, list | tuple) else ()
        return dataclasses.replace(cls(**values), handed_over=True)  # type: ignore[arg-type]


def run_cycle(pipeline: Pipeline, *, full: bool = False, tell: Stage | None = None) -> CycleReport:
    """Land what is queued, build, renew what the turn path reads, run the queued tickets, land what
    that made.

    `full` builds seeds and every model, and runs the data tests. Raises CdeskError.
    """
    started = time.monotonic()
    say = tell or (lambda _what, _done, _total: None)
    report = CycleReport()
    pipeline.look_at_project()
    if pipeline.builds and (full or pipeline.schedule.is_stale):
        _build(pipeline, report, say, full=full)
    say("landing", 0, 0)
    _drain(pipeline, report)
    while pipeline.capture() or pipeline.backlog.waiting():
        before = report.landed
        _drain(pipeline, report)
        if report.landed == before:
            break
    nothing_to_build = pipeline.has_prebuilt and report.landed == 0
    if pipeline.builds and (
        (report.builds == 0 and not nothing_to_build) or pipeline.schedule.reason is not None
    ):
        _build(pipeline, report, say, full=False)
    if not pipeline.builds or pipeline.refresh_due:
        pipeline.refresh()
        report.contexts_changed += pipeline.last_changed
    pipeline.export()
    report.templates = pipeline.last_templates
    pipeline.costs.look()
    say("running tickets", 0, 0)
    report.tickets = run_tickets(pipeline, seconds=TICKETS_SECONDS)
    if pipeline.builds and (full or pipeline.test_due):
        say("testing", 0, 0)
        report.failed_tests = pipeline.test(
            progress=lambda done, total, _name: say("testing", done, total)
        )
    if pipeline.clean_up.due_in() == 0:
        pipeline.clean_up.run()
    say("landing", 0, 0)
    _drain(pipeline, report)
    pipeline.export_dashboard()
    report.seconds = round(time.monotonic() - started, 3)
    return report


def run_tickets(pipeline: Pipeline, *, seconds: float) -> int:
    """Run the tickets that wait, for at most `seconds`; how many wait no longer."""
    waiting = pipeline.queued_tickets()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pipeline.runner.poll()
        if pipeline.runner.wait_idle(1.0) and not pipeline.queued_tickets():
            break
    return waiting - pipeline.queued_tickets()


def _build(pipeline: Pipeline, report: CycleReport, say: Stage, *, full: bool) -> None:
    say("building", 0, 0)
    built = pipeline.build(
        full=full, progress=lambda done, total, _name: say("building", done, total)
    )
    report.builds += 1
    report.build_seconds += built.seconds
    report.contexts_changed += pipeline.last_changed


def _drain(pipeline: Pipeline, report: CycleReport) -> None:
    """Drain to the end; raises what keeps it from that."""
    patience = time.monotonic() + DRAIN_SECONDS
    while True:
        drained = pipeline.drain()
        report.landed += drained.landed
        report.quarantined += drained.quarantined
        report.waiting = drained.waiting
        if drained.blocked is None or drained.blocked == "stopped":
            return
        hopeless = drained.blocked in ("warehouse_not_built", "warehouse_error")
        if hopeless or time.monotonic() > patience:
            raise WarehouseUnavailable(
                f"{drained.waiting:,} records wait, landing is blocked: "
                f"{drained.message or drained.blocked}"
            )
        time.sleep(max(pipeline.uploader.debounce_seconds, 0.05))
