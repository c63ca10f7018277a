"""One whole round of the worker's service: land, build, renew, run tickets, land what that made."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cdesk.core.errors import WarehouseUnavailable
from cdesk_app.worker.service import Service

TICKETS_SECONDS: Final = 120.0
DRAIN_SECONDS: Final = 60.0

Stage = Callable[[str, int, int], None]
"""Called with (what is being done, done, total); total is 0 where it is not known."""


@dataclass(slots=True)
class OnceReport:
    """What `run_once` did. `templates` is None when the catalog was as it should be, `failed_tests`
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
    def from_json(cls, data: object) -> OnceReport:
        """The report of another worker, of which fields that this version does not know are left
        out.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        values = {k: v for k, v in data.items() if k in known} if isinstance(data, dict) else {}
        values["failed_tests"] = tuple(values.get("failed_tests") or ())
        return dataclasses.replace(cls(**values), handed_over=True)


def do_everything(service: Service, *, full: bool = False, tell: Stage | None = None) -> OnceReport:
    """One whole round of `service`, as `run_once` has it. Raises CdeskError."""
    started = time.monotonic()
    say = tell or (lambda _what, _done, _total: None)
    report = OnceReport()

    def build(*, full: bool) -> None:
        built = service.build(
            full=full, progress=lambda done, total, _name: say("building", done, total)
        )
        report.builds += 1
        report.build_seconds += built.seconds
        report.contexts_changed += service.last_changed

    service.look_at_project()
    if service.builds and (full or service.schedule.is_stale):
        say("building", 0, 0)
        build(full=full)
    say("landing", 0, 0)
    _drain(service, report)
    if service.builds and (report.builds == 0 or service.schedule.reason is not None):
        build(full=False)
    if not service.builds:
        service.refresh()
        report.contexts_changed += service.last_changed
    service.export()
    report.templates = service.last_templates
    say("running tickets", 0, 0)
    report.tickets = _run_tickets(service)
    if service.builds and (full or service.test_due):
        say("testing", 0, 0)
        tests = service.test(progress=lambda done, total, _name: say("testing", done, total))
        report.failed_tests = tuple(failure.name for failure in tests.failures)
    service.tidy_if_due()
    say("landing", 0, 0)
    _drain(service, report)
    report.seconds = round(time.monotonic() - started, 3)
    return report


def _drain(service: Service, report: OnceReport) -> None:
    """Drain to the end; raises what keeps it from that."""
    patience = time.monotonic() + DRAIN_SECONDS
    while True:
        drained = service.drain()
        report.landed += drained.landed
        report.quarantined += drained.quarantined
        report.waiting = drained.waiting
        if drained.blocked is None or drained.blocked == "stopped":
            return
        if (
            drained.blocked in ("warehouse_not_built", "warehouse_error")
            or time.monotonic() > patience
        ):
            raise WarehouseUnavailable(
                f"{drained.waiting:,} records wait, landing is blocked: {drained.message or drained.blocked}"
            )
        time.sleep(max(service.uploader.hold_seconds, 0.05))


def _run_tickets(service: Service) -> int:
    waiting = service.queued_tickets()
    deadline = time.monotonic() + TICKETS_SECONDS
    while time.monotonic() < deadline:
        service.runner.poll()
        if service.runner.wait_idle(1.0) and not service.queued_tickets():
            break
    return waiting - service.queued_tickets()
