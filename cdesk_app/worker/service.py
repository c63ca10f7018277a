"""One state directory's background work, put together: land, build, refresh, run tickets.
`cdesk_app.worker.main` gives it a process and a rhythm.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cdesk.contract.records import encode, make_record
from cdesk.core.clock import IdSource, NowNs, format_ts, parse_ts, to_ns
from cdesk.core.config import Settings
from cdesk.core.errors import BuildError, CatalogError, CdeskError, SnapshotDamaged
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk.state.database import QUARANTINE_STATUS, get_status, open_state, repair_state, set_status
from cdesk.state.snapshot import SnapshotWriter
from cdesk.state.tickets import count_open
from cdesk.warehouse.factory import open_warehouse
from cdesk.warehouse.protocol import Warehouse
from cdesk_app.worker.dbt.build import OTHER_COLUMNS, Builder, BuildReport, Progress
from cdesk_app.worker.dbt.project import DbtProject, dbt_environment, locate_project
from cdesk_app.worker.refresh import (
    DAMAGED_SUFFIX,
    RefreshReport,
    pending_insights,
    refresh_catalog,
    refresh_context,
    settle_insights,
)
from cdesk_app.worker.schedule import BuildSchedule
from cdesk_app.worker.tickets import TicketRunner
from uploader.uploader import DrainReport, Uploader

logger = logging.getLogger(__name__)

TEST_SECONDS: Final = 86_400.0
"""Data tests run after the first build of a project, and once in so long."""
CLOSE_SECONDS: Final = 1.5
"""How long running queries are waited for at the end, after they were interrupted."""
TIDY_SECONDS: Final = 86_400.0
CHECK_BYTES: Final = 64 * 1024 * 1024
"""A snapshot up to this size is read through once at the start of a worker."""
REFRESH_SECONDS: Final = 300.0
"""Where builds happen elsewhere (Snowflake), the snapshot is renewed so often while somebody is
there to read it.
"""


@dataclass(frozen=True, slots=True)
class Project:
    """What is known of the built project (status `project`): fingerprints of what was built,
    exported, tested, and when (RFC 3339).
    """

    built: str | None = None
    exported: str | None = None
    tested: str | None = None
    tested_at: str | None = None


class Service:
    """Everything that the worker does, one step a method. For one thread; `stop` may be set from
    any.

    builder: None where builds happen elsewhere. A step's failure is kept in the status and raised.
    """

    def __init__(
        self,
        settings: Settings,
        home: StateDirectory,
        *,
        warehouse: Warehouse,
        uploader: Uploader,
        runner: TicketRunner,
        queue: QueueWriter,
        state: sqlite3.Connection,
        project: DbtProject,
        builder: Builder,
        schedule: BuildSchedule,
        stop: threading.Event,
        now_ns: NowNs = time.time_ns,
        ids: IdSource | None = None,
    ) -> None:
        self._settings = settings
        self._home = home
        self.warehouse = warehouse
        self.uploader = uploader
        self.runner = runner
        self._queue = queue
        self._state = state
        self._project = project
        self._builder = builder
        self.schedule = schedule
        self._stop = stop
        self._now_ns = now_ns
        self._ids = ids or IdSource(now_ns)
        self._own_waiting = 0  # bookkeeping records of ours that have not landed
        self._landed: frozenset[str] = (
            frozenset()
        )  # pending insights that landed, still to be built
        self._built: frozenset[str] = (
            frozenset()
        )  # pending insights that are built, still to be in the snapshot
        self.refresh_due = False
        """A build has ended whose result the snapshot does not hold yet."""
        self.last_templates: int | None = None
        """How many templates the last export wrote."""
        self.last_changed = 0
        """How many contexts the last refresh changed."""
        self._shown: dict[str, object] = {}
        self._tidied_ns: int | None = None

    @property
    def writer(self) -> str:
        """The name of our own queue files."""
        return self._queue.writer

    @property
    def builds(self) -> bool:
        """Whether this worker builds: on the embedded default. On Snowflake one place builds for
        all.
        """
        return self._settings.target == "duckdb"

    # -- landing

    def drain(self) -> DrainReport:
        """Land what is queued; note what that means for the next build."""
        pending = pending_insights(self._state)
        report = self.uploader.drain(self._stop)
        own = min(self._own_waiting, report.landed)
        self._own_waiting -= own
        news = pending - self._landed - self._built
        if report.blocked is None:
            self._own_waiting = 0
            if not report.held:
                self._landed |= news
        if report.blocked == "warehouse_not_built":
            self.schedule.stale()
        # An insight may have landed with an earlier drain or under an earlier worker: it waits for
        # its build all the same.
        insights = bool(news) and report.blocked is None
        self.schedule.landed(max(report.landed - own, int(insights)), insights=insights)
        if report.landed:
            logger.info(
                "landed", extra={"facts": {"rows": report.landed, "quarantined": report.quarantined, "waiting": report.waiting}}
            )  # fmt: skip
            self.status("last_landing", {"at": self._now(), "rows": report.landed})
        if report.quarantined:
            self._alert(report.quarantined, report.reasons)
        self.show(
            "queue",
            {"waiting": report.waiting, "blocked": report.blocked, "held": len(report.held)},
        )
        breaker = self.uploader.breaker
        until = (
            format_ts(self._now_ns() + int(breaker.wait * 1e9)) if breaker.state == "open" else None
        )
        self.show("breaker", {"state": breaker.state, "reason": breaker.reason, "until": until})
        return report

    def _alert(self, count: int, reasons: Mapping[str, int]) -> None:
        """Say that lines were quarantined: in the status and the doctor's findings, until somebody
        has decided about them.
        """
        before = get_status(self._state, QUARANTINE_STATUS)
        known = before if isinstance(before, dict) else {}
        summed = Counter(known.get("reasons") or {}) + Counter(reasons)
        self.status(
            QUARANTINE_STATUS,
            {"at": self._now(), "lines": known.get("lines", 0) + count, "reasons": dict(summed)},
        )

    # -- building

    def look_at_project(self) -> None:
        """Note whether the tables are missing or of another project than the one that lies here."""
        missing = self._settings.target == "duckdb" and not self._home.warehouse.exists()
        if missing or self._known().built != self._project.fingerprint():
            self.schedule.stale()

    def resume(self) -> None:
        """Take up where the last worker of this directory stopped."""
        with contextlib.suppress(CdeskError):
            self.runner.recover()
        last = get_status(self._state, "last_build")
        if isinstance(last, dict) and last.get("status") in ("succeeded", "tests_failed"):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                self.schedule.resume(to_ns(parse_ts(last["at"])))
        self.check_snapshot()

    def build(self, *, full: bool = False, progress: Progress | None = None) -> BuildReport:
        """dbt build, seeds included where the project is another than last time; then the catalog,
        the snapshot, the insights.

        Raises:
            BuildError: dbt failed. The other errors of `refresh`.
        """
        self.look_at_project()
        full = full or self.schedule.is_stale
        reason = self.schedule.reason or "requested"
        landed = self._landed
        logger.info("build begins", extra={"facts": {"reason": reason, "full": full}})
        if (failed := self.schedule.failed_with) is not None:
            self._note(
                self._settings.customer,
                "cdesk.retry_attempted",
                {"where": "build", "error_code": failed},
            )
        try:
            report = self._run_build(full, progress)
        except BuildError as error:
            if not self._stop.is_set():
                self.schedule.failed(error.code)
                self._build_ended(error.code, str(error), None, reason)
            raise
        self.schedule.succeeded()
        self._build_ended(report.status, None, report, reason)
        self._keep(built=report.fingerprint)
        self._landed -= landed
        self._built |= landed
        self.refresh_due = True
        self.refresh()
        self.export()
        return report

    def _run_build(self, full: bool, progress: Progress | None) -> BuildReport:
        try:
            return self._builder.build(full=full, stop=self._stop, progress=progress)
        except BuildError as error:
            if not full or OTHER_COLUMNS not in str(error):
                raise
            logger.warning("tables are rebuilt", extra={"facts": {"reason": str(error)}})
        return self._builder.build(full=True, rebuild=True, stop=self._stop, progress=progress)

    def test(self, *, progress: Progress | None = None) -> BuildReport:
        """Run the data tests. Those that fail stand in the report and in the status; they are no
        error.

        Raises:
            BuildError: the tests could not be run.
        """
        report = self._builder.test(stop=self._stop, progress=progress)
        self._keep(tested=report.fingerprint, tested_at=self._now())
        names = [failure.name for failure in report.failures]
        self.status(
            "last_test",
            {"at": self._now(), "seconds": report.seconds, "tests": report.nodes, "failed": names},
        )
        if names:
            logger.error("data tests failed", extra={"facts": {"failed": names}})
        return report

    @property
    def test_due(self) -> bool:
        known = self._known()
        if known.built is None or known.tested != known.built or known.tested_at is None:
            return known.built is not None
        return self._now_ns() - to_ns(parse_ts(known.tested_at)) > TEST_SECONDS * 1e9

    def _build_ended(
        self, status: str, message: str | None, report: BuildReport | None, reason: str
    ) -> None:
        facts: dict[str, Any] = {
            "at": self._now(),
            "status": status,
            "reason": reason,
            "message": message,
        }
        if report is not None:
            facts |= {"seconds": report.seconds, "nodes": report.nodes}
        logged = {name: value for name, value in facts.items() if name != "message"} | {
            "problem": message
        }
        logger.log(
            logging.INFO if message is None else logging.ERROR,
            "build ended",
            extra={"facts": logged},
        )
        self.status("last_build", facts)

    # -- what the turn path reads

    def refresh(self, *, whole: bool = False) -> RefreshReport:
        """Renew the snapshot, then forget the pending insights that it holds; one
        `cdesk.context_refreshed` a changed customer.

        Raises:
            WarehouseError, SnapshotError: the snapshot stays as it is, and so do the pending
            insights.
        """
        report = refresh_context(self.warehouse, self._home, whole=whole, now_ns=self._now_ns)
        settled = settle_insights(self._state, self._home, built=self._built)
        self._built = frozenset()
        self.refresh_due = False
        self.last_changed = report.changed
        for customer, version in report.changed_customers:
            self._note(
                customer,
                "cdesk.context_refreshed",
                {
                    "version": version,
                    "elapsed_ms": round(report.seconds * 1000, 1),
                    "rebuilt": report.rebuilt,
                },
            )
        facts = {
            "changed": report.changed,
            "removed": report.removed,
            "whole": report.whole,
            "rebuilt": report.rebuilt,
            "seconds": report.seconds,
            "insights_settled": settled,
            "events_left_out": report.changed - len(report.changed_customers),
        }
        logger.info("snapshot refreshed", extra={"facts": facts})
        self.status("last_refresh", {"at": report.at, **facts})
        return report

    def check_snapshot(self) -> None:
        """Set a damaged snapshot aside at the start, so that the first refresh makes a new one of
        the whole.
        """
        with contextlib.suppress(CdeskError, OSError):
            if not 0 < self._home.context_db.stat().st_size <= CHECK_BYTES:
                return
            writer = SnapshotWriter(self._home.context_db)
            try:
                writer.check()
            except SnapshotDamaged as error:
                logger.warning("snapshot set aside", extra={"facts": {"reason": str(error)}})
                writer.set_aside(DAMAGED_SUFFIX)

    def export(self, *, force: bool = False) -> int | None:
        """Renew the catalog if the project is another than at the last export; how many templates,
        None when nothing was to be done.

        Raises:
            BuildError, CatalogError: the catalog stays as it is.
        """
        fingerprint = self._project.fingerprint()
        if not force and self._known().exported == fingerprint and self._home.catalog.exists():
            return None
        try:
            compiled = self._builder.compile(stop=self._stop)
            report = refresh_catalog(
                self._project.manifest, self._home, self.warehouse.dialect, now_ns=self._now_ns
            )
        except (BuildError, CatalogError) as error:
            self.status("last_catalog", {"at": self._now(), "error": str(error)})
            raise
        self._keep(exported=compiled.fingerprint)
        self.last_templates = report.templates
        facts = {
            "templates": report.templates,
            "content_hash": report.content_hash,
            "changed": report.changed,
        }
        logger.info("catalog refreshed", extra={"facts": facts})
        self.status("last_catalog", {"at": self._now(), **facts})
        return report.templates

    # -- the rest

    def tidy_if_due(self) -> None:
        """Once a day, whichever worker of this directory runs then: forget old tickets, remove
        results past their retention.
        """
        now = self._now_ns()
        if self._tidied_ns is None:
            last = get_status(self._state, "last_tidy")
            with contextlib.suppress(ValueError, KeyError, TypeError):
                self._tidied_ns = to_ns(parse_ts(last["at"])) if isinstance(last, dict) else 0
        if 0 <= now - (self._tidied_ns or 0) < TIDY_SECONDS * 1e9:
            return
        self._tidied_ns = now
        with contextlib.suppress(CdeskError, sqlite3.Error, OSError):
            self.status("last_tidy", {"at": self._now(), "removed": self.runner.tidy()})

    def queued_tickets(self) -> int:
        return count_open(self._state).get("queued", 0)

    def seal_if_due(self) -> None:
        """Seal our own queue file where its time has come, so that nothing of ours is held back
        while idle.
        """
        if self._queue.due:
            with contextlib.suppress(OSError):
                self._queue.seal()

    def take_request(self) -> dict[str, Any] | None:
        """The request for a build that somebody left in the status, if it has not been answered."""
        asked, done = (
            get_status(self._state, "build_request"),
            get_status(self._state, "build_request_done"),
        )
        if not isinstance(asked, dict) or "id" not in asked:
            return None
        answered = isinstance(done, dict) and done.get("id") == asked["id"]
        return None if answered else asked

    def answer_request(
        self,
        request: dict[str, Any],
        *,
        report: dict[str, object] | None = None,
        error: str | None = None,
    ) -> None:
        """Tell whoever asked what came of it."""
        facts = {
            "id": request["id"],
            "asked_at": request.get("at"),
            "at": self._now(),
            "ok": error is None,
            "message": error,
        }
        self.status("build_request_done", {**facts, "report": report})

    def status(self, key: str, value: object) -> None:
        """Keep a fact in worker_status; a state.db that is busy or full costs the fact, never the
        work.
        """
        self._shown[key] = value
        with contextlib.suppress(sqlite3.Error):
            set_status(self._state, key, value, now=self._now())

    def show(self, key: str, value: object) -> None:
        """As `status`, but only when it says something new: an idle worker writes nothing."""
        if key not in self._shown or self._shown[key] != value:
            self.status(key, value)

    def close(self) -> None:
        """Hand over: tickets go back, the child ends, the queue file is sealed."""
        for step in (
            functools.partial(self.runner.close, seconds=CLOSE_SECONDS),
            self._builder.close,
            self._queue.close,
            self.uploader.close,
            self.warehouse.close,
            self._state.close,
        ):
            with contextlib.suppress(CdeskError, OSError, sqlite3.Error):
                step()

    def _note(self, customer: str, activity: str, feature_json: dict[str, Any]) -> None:
        """One bookkeeping event; a queue that cannot be written loses it, and says so."""
        fields = {
            "anonymous_customer_id": None,
            "activity": activity,
            "feature_json": feature_json,
            "link": None,
            "revenue_impact": None,
        }
        try:
            record = make_record(
                "event",
                id=self._ids.uuid7(),
                ts=self._now(),
                customer=customer,
                session_id=None,
                query_tag=self._ids.query_tag(),
                fields=fields,
            )
            self._queue.append(encode(record))
        except CdeskError as error:
            logger.warning(
                "event lost", extra={"facts": {"activity": activity, "code": error.code}}
            )
        else:
            self._own_waiting += 1

    def _known(self) -> Project:
        value = get_status(self._state, "project")
        if not isinstance(value, dict):
            return Project()
        return Project(**{name: value.get(name) for name in Project.__slots__})

    def _keep(self, **changes: str) -> None:
        known = self._known()
        self.status("project", {name: getattr(known, name) for name in Project.__slots__} | changes)

    def _now(self) -> str:
        return format_ts(self._now_ns())


def open_service(
    settings: Settings,
    home: StateDirectory,
    *,
    stop: threading.Event,
    notify: Callable[[], None] | None = None,
) -> Service:
    """The service of a state directory with its real parts. `notify` is called from any thread when
    there is something new to land.

    Raises:
        ConfigurationError, StateDirectoryError: it cannot be started.
    """
    repair_state(home.state_db)
    project = locate_project(settings, home)
    warehouse = open_warehouse(settings, home)
    queue = QueueWriter(home.queue, durability=settings.durability)
    return Service(
        settings,
        home,
        warehouse=warehouse,
        uploader=Uploader(home, warehouse),
        runner=TicketRunner(settings, home, warehouse, queue, notify=notify),
        queue=queue,
        state=open_state(home.state_db),
        project=project,
        builder=Builder(project, dbt_environment(settings.environ, home)),
        schedule=BuildSchedule(),
        stop=stop,
    )
