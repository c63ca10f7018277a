"""The way of a record from the queue to the next conversation: land, build, renew what the turn
path reads. cdesk_app/worker/cycle.py goes the whole way once; cdesk_app/worker/tasks.py runs the
steps when they are due.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import re
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from cdesk.artifacts.factory import open_artifacts
from cdesk.artifacts.store import ArtifactStore
from cdesk.contract.catalog import Catalog, CatalogReader
from cdesk.contract.records import Record
from cdesk.core.clock import IdSource, NowNs, format_ts, parse_ts, to_ns
from cdesk.core.config import Settings
from cdesk.core.errors import (
    BuildError,
    CatalogError,
    CdeskError,
    ConfigurationError,
    SnapshotDamaged,
    WarehouseError,
    WarehouseUnavailable,
)
from cdesk.core.features import COST_GUARD, DEGRADATION, TRACES
from cdesk.core.home import StateDirectory
from cdesk.core.identity import Caller, local_caller
from cdesk.core.metrics import BUILD_SECONDS, BUILDS, RETRIES
from cdesk.queue.writer import QueueWriter
from cdesk.state.catalog import write_catalog
from cdesk.state.counts import Counts, counting, fold_ended
from cdesk.state.database import StateFile, open_state, repair_state
from cdesk.state.facts import BuildUnderWay, CatalogSeal
from cdesk.state.pending import clear_insights, pending_insights
from cdesk.state.snapshot import SnapshotWriter
from cdesk.state.status import (
    BUILT,
    Backlog,
    BreakerState,
    BudgetWord,
    BuiltProject,
    Insights,
    LastBuild,
    LastCatalog,
    LastLanding,
    LastRefresh,
    LastTest,
    Quarantined,
)
from cdesk.state.tickets import count_open
from cdesk.warehouse.factory import open_warehouse
from cdesk.warehouse.protocol import Warehouse
from cdesk_app.worker.beside import Beside
from cdesk_app.worker.bookkeeping import Bookkeeping
from cdesk_app.worker.budget import budget_word
from cdesk_app.worker.clean_up import CleanUp
from cdesk_app.worker.cost_guard import CostGuard, account_meter
from cdesk_app.worker.dashboard import Exported, export_dashboard
from cdesk_app.worker.dbt.build import (
    Builder,
    BuildReport,
    NodeFailure,
    Progress,
    has_other_columns,
)
from cdesk_app.worker.dbt.prebuilt import find_prebuilt
from cdesk_app.worker.dbt.project import DbtProject, dbt_environment, locate_project
from cdesk_app.worker.following import Follower, capture_once
from cdesk_app.worker.presentation import Presenter, PresenterFactory, plain_presenter
from cdesk_app.worker.pressure import FRESH_BUILDS, STRETCH, Degradation
from cdesk_app.worker.refresh import (
    DAMAGED_SUFFIX,
    RefreshReport,
    refresh_catalog,
    refresh_context,
)
from cdesk_app.worker.schedule import BuildSchedule
from cdesk_app.worker.status_board import StatusBoard
from cdesk_app.worker.tickets import TicketRunner
from cdesk_app.worker.traces import OtlpExport, Traces
from cdesk_app.worker.version import require_current, running_version
from uploader.backlog import HistoryBacklog
from uploader.earlier_imports import told_by_histories
from uploader.quarantine import TEMPLATE as QUARANTINED_LINES
from uploader.quarantine import Quarantine
from uploader.uploader import DrainReport, Uploader

logger = logging.getLogger(__name__)

Figures: TypeAlias = tuple[BudgetWord | None, Exported]
"""The word on the budget, where one was asked for, and what the dashboard shows."""

TEST_SECONDS: Final = 86_400.0
"""Data tests run after the first build of a project, and once in this time, slice by slice."""
COMPILE_SECONDS: Final = 86_400.0
"""The catalog is compiled anew once in this time, whatever seems to stand."""
CLOSE_SECONDS: Final = 1.5
"""How long running queries are waited for at the end, after they were interrupted."""
MOST_CONFLICTS: Final = 1_000
"""So many records whose id was taken are counted, and no more: each is read."""
_RETAINED: Final = re.compile(r'retained: \{"deleted": (\d+)\}')
PREBUILT: Final = "prebuilt"
"""The reason of a build that was none: the installation brought its result."""
CHECK_BYTES: Final = 64 * 1024 * 1024
"""A snapshot up to this size is read through once at the start of a worker."""


@dataclass(slots=True)
class _Testing:
    """How far the data tests have got."""

    fingerprint: str = ""
    parts: int = 0
    """Slices that have ended."""
    tests: int = 0
    seconds: float = 0.0
    failures: list[NodeFailure] = field(default_factory=list)

    def add(self, report: BuildReport) -> None:
        self.fingerprint = report.fingerprint
        self.parts += 1
        self.tests += report.nodes
        self.seconds += report.seconds
        self.failures += report.failures


class Pipeline:
    """The steps between queue and snapshot, for one thread; `stop` may be set from any.

    Where builds happen elsewhere (`builds` is false), `build` and `test` are not called; the
    builder then only compiles the catalog. A step's failure is kept in the status and raised.
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
        artifacts: ArtifactStore,
        presenter: Presenter,
        now_ns: NowNs = time.time_ns,
        ids: IdSource | None = None,
        counts: Counts | None = None,
        traces: Traces | None = None,
        state_file: StateFile | None = None,
        beside: Beside[Figures] | None = None,
    ) -> None:
        self._beside = beside
        self.state_file = state_file or StateFile(home.state_db)
        self.counts = counts or Counts()
        self._traces = traces
        self._settings = settings
        self.home = home
        self.warehouse = warehouse
        self.uploader = uploader
        self.runner = runner
        self.queue = queue
        self.state = state
        self._project = project
        self._builder = builder
        self.schedule = schedule
        self.stop = stop
        self.now_ns = now_ns
        self.status = StatusBoard(state, now_ns)
        self.catalog = CatalogReader(
            home.catalog, seal=lambda: self.status.read(CatalogSeal).digest
        )
        self._presenter = presenter
        self.clean_up = CleanUp(
            settings,
            home,
            warehouse,
            artifacts,
            presenter,
            state,
            self.status,
            now_ns,
            retain=self.retain,
        )
        self.costs = CostGuard(
            settings.costs,
            home,
            state,
            self.status,
            meter=(
                account_meter(warehouse, self.catalog.get, local_caller(settings))
                if settings.target == "snowflake"
                else None
            ),
            now_ns=now_ns,
            enabled=settings.features.has(COST_GUARD),
        )
        self.degradation = Degradation(
            self.status, self.counts, enabled=settings.features.has(DEGRADATION)
        )
        runner.degradation = self.degradation
        self._books = Bookkeeping(queue, now_ns, ids or IdSource(now_ns))
        self.backlog = HistoryBacklog(home)
        """What was imported and waits for its turn."""
        self._landed: frozenset[str] = frozenset()
        """Pending insights that have landed, still to be built."""
        self._built: frozenset[str] = frozenset()
        """Pending insights that are built, still to be in the snapshot."""
        self.dashboard_due = False
        """The snapshot was renewed, and what the dashboard shows was not yet."""
        self.refresh_due = False
        """A build has ended whose result the snapshot does not hold yet."""
        self.has_prebuilt = False
        """The warehouse is the one that the installation brought; nothing was built here yet."""
        self._testing = _Testing()
        self.last_templates: int | None = None
        """How many templates the last export wrote."""
        self.last_changed = 0
        """How many contexts the last refresh changed."""

    @property
    def builds(self) -> bool:
        """Whether this worker builds: on the embedded default. On Snowflake one place builds for
        all.
        """
        return self._settings.target == "duckdb"

    # -- landing

    def drain(self) -> DrainReport:
        """Land what is queued; note what that means for the next build."""
        pending = pending_insights(self.state)
        self.backlog.admit(self.uploader.depth() if self.backlog.waiting() else 0)
        report = self.uploader.drain(self.stop)
        own = self._books.take_landed(report.landed)
        news = pending - self._landed - self._built
        if report.blocked is None:
            self._books.waiting = 0
            if not report.held:
                self._landed |= news
        if report.blocked == "warehouse_not_built":
            self.schedule.stale()
        # An insight may have landed with an earlier drain or under an earlier worker: it waits for
        # its build all the same.
        insights = bool(news) and report.blocked is None
        self.schedule.landed(max(report.landed - own, int(insights)), insights=insights)
        self._tell_landing(report, own)
        self._look_at_pressure(report.waiting)
        return report

    def _look_at_pressure(self, waiting: int) -> None:
        step = self.degradation.step
        self.degradation.look(depth=waiting, queries=self.queued_tickets())
        given_up = self.degradation.gives_up(FRESH_BUILDS)
        self.schedule.stretch = STRETCH if given_up else 1.0
        if given_up and not step:
            self.degradation.gave_up(FRESH_BUILDS)

    def _tell_landing(self, report: DrainReport, own: int) -> None:
        if report.landed:
            facts = {
                "rows": report.landed,
                "quarantined": report.quarantined,
                "waiting": report.waiting,
            }
            logger.info("landed", extra={"facts": facts})
        if report.landed > own:  # what a build itself made is in no later snapshot
            self.status.keep(LastLanding(at=self._now(), rows=report.landed))
        if report.quarantined:
            self._alert(report.quarantined, report.reasons)
        held = len(report.held) + len(report.unreadable)
        self.status.show(Backlog(waiting=report.waiting, blocked=report.blocked, held=held))
        breaker = self.uploader.breaker
        until = (
            format_ts(self.now_ns() + int(breaker.wait * 1e9)) if breaker.state == "open" else None
        )
        self.status.show(BreakerState(state=breaker.state, reason=breaker.reason, until=until))

    def _alert(self, count: int, reasons: Mapping[str, int]) -> None:
        """Say that lines were quarantined, in the status and the doctor's findings, until somebody
        has decided about them.
        """
        known = self.status.read(Quarantined)
        summed = Counter(known.reasons) + Counter(reasons)
        self.status.keep(
            Quarantined(at=self._now(), lines=known.lines + count, reasons=dict(summed))
        )

    # -- building

    def look_at_project(self) -> None:
        """Note whether the tables are missing or of another project than the one that lies here."""
        missing = self.builds and not self.home.warehouse.exists()
        if missing or self.status.read(BuiltProject).built != self._project.fingerprint():
            self.schedule.stale()

    def resume(self) -> None:
        """Take up where the last worker of this directory stopped."""
        self.check_warehouse()
        self.status.show(BuildUnderWay())
        self._take_prebuilt()
        with contextlib.suppress(CdeskError):
            self.runner.recover()
        last = self.status.read(LastBuild)
        if last.at is not None and last.status in BUILT:
            with contextlib.suppress(ValueError):
                self.schedule.resume(to_ns(parse_ts(last.at)), empty=last.reason == PREBUILT)
        self.check_snapshot()

    def _take_prebuilt(self) -> None:
        """Begin an empty directory with what the installation brings, where it brings it."""
        prebuilt = find_prebuilt(self._project) if self.builds else None
        if prebuilt is None:
            return
        fingerprint, now = self._project.fingerprint(), self._now()
        prebuilt.take_parsed()
        try:
            if not self.home.catalog.exists():
                catalog = prebuilt.catalog()
                write_catalog(self.home, self.state, catalog, now=now, project=fingerprint)
                self._keep_project(exported=fingerprint)
                self.last_templates = len(catalog["templates"])
        except (OSError, ValueError, KeyError, sqlite3.Error) as error:
            logger.warning("prebuilt catalog not taken", extra={"facts": {"reason": str(error)}})
        is_new = self.status.read(BuiltProject).built is None
        if is_new and prebuilt.take_warehouse(self.home.warehouse):
            self._keep_project(
                built=fingerprint, version=running_version(), tested=fingerprint, tested_at=now
            )
            self.status.keep(LastBuild(at=now, status="succeeded", reason=PREBUILT))
            self.has_prebuilt = self.refresh_due = True
            logger.info("prebuilt warehouse taken", extra={"facts": {"project": fingerprint}})

    @property
    def is_warm(self) -> bool:
        """Whether what builds is there already."""
        return self._builder.pid is not None

    @property
    def is_ready(self) -> bool:
        """Whether a build would begin at once."""
        return self._builder.is_ready

    def warm(self, *, gives_way: bool = False) -> None:
        """Get ready for a build, without waiting; whether that gives way to all."""
        self._builder.warm(gives_way=gives_way)

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
            self.counts.add(RETRIES, "build")
            features = {"where": "build", "error_code": failed}
            self._books.note(self._settings.customer, "cdesk.retry_attempted", features)
        begun = self.now_ns()
        try:
            with self._under_way("build"):
                report = self._run_build(full, progress)
        except BuildError as error:
            if self._traces is not None:
                self._traces.built(begun, self.now_ns(), outcome=error.code)
            if not self.stop.is_set():
                self.schedule.failed(error.code)
                self._build_ended(LastBuild(status=error.code, message=str(error), reason=reason))
            raise
        if self._traces is not None:
            self._traces.built(begun, self.now_ns(), outcome=report.status)
        self.has_prebuilt = False
        self.schedule.succeeded()
        self._build_ended(
            LastBuild(
                status=report.status, reason=reason, seconds=report.seconds, nodes=report.nodes
            )
        )
        self._keep_project(built=report.fingerprint, version=running_version())
        self._landed -= landed
        self._built |= landed
        self.refresh_due = True
        self.refresh()
        self.export()
        self._look_for_conflicts()
        return report

    def _look_for_conflicts(self) -> None:
        """Say how many records wait in quarantine because their id was taken. Landing cannot tell:
        the build finds them.
        """
        try:
            lines = Quarantine(
                self.warehouse,
                self.catalog.get().get(QUARANTINED_LINES),
                self.state,
                customer=self._settings.customer,
            ).lines(reason="id_conflict", limit=MOST_CONFLICTS)
        except CdeskError as error:
            logger.warning("conflicts not counted", extra={"facts": {"reason": str(error)}})
            return
        known = self.status.read(Quarantined)
        reasons = {name: count for name, count in known.reasons.items() if name != "id_conflict"}
        if lines:
            reasons["id_conflict"] = len(lines)
        if reasons != known.reasons:
            at = max((line.landed_at for line in lines), default=known.at or self._now())
            self.status.keep(Quarantined(at=at, lines=sum(reasons.values()), reasons=reasons))

    def _run_build(self, full: bool, progress: Progress | None) -> BuildReport:
        with self.warehouse.building():
            try:
                return self._builder.build(full=full, stop=self.stop, progress=progress)
            except BuildError as error:
                if not full or not has_other_columns(error):
                    raise
                logger.warning("tables are rebuilt", extra={"facts": {"reason": str(error)}})
            return self._builder.build(full=True, rebuild=True, stop=self.stop, progress=progress)

    @contextlib.contextmanager
    def _under_way(self, what: str) -> Iterator[None]:
        """For whoever waits for a query meanwhile."""
        self.status.keep(BuildUnderWay(since=self._now(), what=what))
        try:
            yield
        finally:
            self.status.keep(BuildUnderWay())

    def _build_ended(self, fact: LastBuild) -> None:
        fact = dataclasses.replace(fact, at=self._now())
        facts = dataclasses.asdict(fact)
        facts["problem"] = facts.pop("message")  # a log line's own `message` is another thing
        level = logging.INFO if fact.message is None else logging.ERROR
        logger.log(level, "build ended", extra={"facts": facts})
        self.counts.add(BUILDS, str(fact.status))
        if fact.seconds is not None:
            self.counts.observe(BUILD_SECONDS, fact.seconds)
        self.status.keep(fact)

    def test(self, *, progress: Progress | None = None) -> tuple[str, ...]:
        """Run all data tests; the names of those that fail, which is no error. `progress` is told
        of slices.

        Raises:
            BuildError: the tests could not be run.
        """
        self._testing = _Testing()
        while (failed := self.test_part(progress=progress)) is None:
            pass
        return failed

    def test_part(self, *, progress: Progress | None = None) -> tuple[str, ...] | None:
        """Run the next slice of the data tests, of the whole anew where the project is another than
        at the last slice; after the last slice as `test`, before it None. In between, others have
        the warehouse.

        Raises:
            BuildError: the tests could not be run; the next call tries this slice again.
        """
        testing = self._testing
        with self._under_way("test"), self.warehouse.building():
            report = self._builder.test(testing.parts, stop=self.stop)
        if testing.parts and report.fingerprint != testing.fingerprint:
            self._testing = _Testing()
            return None
        testing.add(report)
        if progress is not None:
            progress(testing.parts, report.parts, "")
        if testing.parts < report.parts:
            return None
        self._testing = _Testing()
        self._keep_project(tested=report.fingerprint, tested_at=self._now())
        names = tuple(failure.name for failure in testing.failures)
        seconds = round(testing.seconds, 3)
        self.status.keep(
            LastTest(at=self._now(), seconds=seconds, tests=testing.tests, failed=names)
        )
        if names:
            logger.error("data tests failed", extra={"facts": {"failed": names}})
        return names

    @property
    def test_due(self) -> bool:
        known = self.status.read(BuiltProject)
        if known.built is None or known.tested != known.built or known.tested_at is None:
            return known.built is not None
        return self.now_ns() - to_ns(parse_ts(known.tested_at)) > TEST_SECONDS * 1e9

    def retain(self) -> int:
        """Delete what is past `retention_days`, where that is set and this worker builds; how many
        rows. The next build takes it out of what contexts remember.

        Raises:
            BuildError: it could not be done; tomorrow it is tried again.
        """
        days = self._settings.retention_days
        if not (self.builds and days and self.home.warehouse.exists()):
            return 0
        with self._under_way("retention"), self.warehouse.building():
            told = self._builder.operate(
                "apply_retention", {"events_days": days}, stop=self.stop
            ).told
        deleted = sum(int(match[1]) for line in told if (match := _RETAINED.search(line)))
        if deleted:
            logger.info("retention applied", extra={"facts": {"rows": deleted, "days": days}})
            self.schedule.landed(deleted, insights=False)
        return deleted

    def hand_over_counts(self) -> None:
        """Hand over what this process has counted, and take on what dead ones left."""
        self.counts.flush()
        with contextlib.suppress(OSError):
            fold_ended(self.home)

    # -- what the turn path reads

    def refresh(self, *, whole: bool = False) -> RefreshReport:
        """Renew the snapshot, then forget the pending insights that it holds; one
        `cdesk.context_refreshed` a changed customer.

        Raises:
            WarehouseError, SnapshotError: the snapshot stays as it is, and so do the pending
            insights.
        """
        begun = self.now_ns()
        report = refresh_context(self.warehouse, self.home, whole=whole, now_ns=self.now_ns)
        if self._traces is not None:
            self._traces.refreshed(begun, self.now_ns())
        cleared = clear_insights(self.state, self.home, built=self._built)
        self._built = frozenset()
        self.refresh_due = False
        self.dashboard_due = True
        self.last_changed = report.changed
        for customer, version in report.changed_customers:
            features = {
                "version": version,
                "elapsed_ms": round(report.seconds * 1000, 1),
                "rebuilt": report.rebuilt,
            }
            self._books.note(customer, "cdesk.context_refreshed", features)
        fact = LastRefresh(
            at=report.at,
            changed=report.changed,
            removed=report.removed,
            whole=report.whole,
            rebuilt=report.rebuilt,
            seconds=report.seconds,
            insights_cleared=cleared,
            events_left_out=report.changed - len(report.changed_customers),
        )
        logger.info("snapshot refreshed", extra={"facts": dataclasses.asdict(fact)})
        self.status.keep(fact)
        return report

    def export_dashboard(self) -> None:
        """Renew what the dashboard shows, and the word on the budget; a failure is logged, and what
        was there stays.
        """
        self.dashboard_due = False
        with self._dashboard_may_fail():
            self._tell_figures(self._dashboard_job()(threading.Event()))

    def begin_dashboard(self, *, gives_way: bool = False) -> None:
        """The same beside the loop, where there is one; `end_dashboard` takes in what came of it.
        Its questions go through a year of the stream, and landing need not wait for them.
        """
        if self._beside is None:
            self.export_dashboard()
            return
        self.dashboard_due = False
        with self._dashboard_may_fail():
            self._beside.begin(self._dashboard_job(), gives_way=gives_way)

    def end_dashboard(self) -> None:
        assert self._beside is not None
        with self._dashboard_may_fail():
            self._tell_figures(self._beside.take())

    @property
    def is_dashboard_begun(self) -> bool:
        """Whether there is something to end."""
        return self._beside is not None and self._beside.is_begun

    @property
    def is_dashboard_under_way(self) -> bool:
        return self._beside is not None and self._beside.is_running

    def _dashboard_job(self) -> Callable[[threading.Event], Figures]:
        """What asks for its figures, from any thread. Raises CdeskError."""
        catalog, caller = self.catalog.get(), local_caller(self._settings)
        says_budget = self._settings.budget.is_set or bool(self.status.read(BudgetWord).text)

        def ask(cancel: threading.Event) -> Figures:
            word = self._budget_word(catalog, caller, cancel) if says_budget else None
            exported = export_dashboard(
                self.warehouse,
                catalog,
                self.home,
                caller,
                now_ns=self.now_ns,
                timezone=self._settings.timezone,
                cancel=cancel,
            )
            return word, exported

        return ask

    def _budget_word(self, catalog: Catalog, caller: Caller, cancel: threading.Event) -> BudgetWord:
        return budget_word(
            self.warehouse,
            catalog,
            caller,
            self._settings.budget,
            now_ns=self.now_ns,
            timezone=self._settings.timezone,
            cancel=cancel,
        )

    def _tell_figures(self, figures: Figures) -> None:
        word, exported = figures
        if word is not None:
            self.status.show(word)
        logger.info("dashboard exported", extra={"facts": {"rows": exported.rows}})
        self.status.keep(
            Insights(at=self._now(), verified=exported.verified, unverified=exported.unverified)
        )

    @contextlib.contextmanager
    def _dashboard_may_fail(self) -> Iterator[None]:
        try:
            yield
        except (CdeskError, OSError) as error:
            logger.warning("dashboard put off", extra={"facts": {"reason": str(error)}})

    def check_warehouse(self) -> None:
        """Set a damaged log of the warehouse file aside: what it held lands again."""
        if self._settings.target != "duckdb" or not self.home.warehouse.exists():
            return
        from cdesk.warehouse.duckdb import DuckDBWarehouse

        try:
            aside = DuckDBWarehouse(self.home.warehouse).set_damaged_log_aside()
        except WarehouseUnavailable:
            return  # somebody reads it: nothing is known of its log
        except WarehouseError as error:
            logger.error("warehouse is damaged", extra={"facts": {"reason": str(error)}})
            return
        if aside is not None:
            logger.error("warehouse log set aside", extra={"facts": {"file": aside.name}})
            self.schedule.stale()

    def check_snapshot(self) -> None:
        """Set a damaged snapshot aside at the start, so that the first refresh makes a new one of
        the whole.
        """
        with contextlib.suppress(CdeskError, OSError):
            if not 0 < self.home.context_db.stat().st_size <= CHECK_BYTES:
                return
            writer = SnapshotWriter(self.home.context_db)
            try:
                writer.check()
            except SnapshotDamaged as error:
                logger.warning("snapshot set aside", extra={"facts": {"reason": str(error)}})
                writer.set_aside(DAMAGED_SUFFIX)

    def export(self, *, force: bool = False) -> int | None:
        """Renew the catalog if the project is another than at the last export, catalog.json
        another than what came of that, or that a day ago: who edits both the file and its seal has
        them compiled away. How many templates, None when nothing was to be done.

        Raises:
            BuildError, CatalogError: the catalog stays as it is.
        """
        exported = self.status.read(BuiltProject).exported
        as_it_was = exported == self._project.fingerprint() and self.catalog.look() is not None
        if as_it_was and not force and not self._compile_due:
            return None
        try:
            compiled = self._builder.compile(stop=self.stop)
            report = refresh_catalog(
                self._project.manifest, self.home, self.warehouse.dialect, now_ns=self.now_ns
            )
        except (BuildError, CatalogError) as error:
            self.status.keep(LastCatalog(at=self._now(), error=str(error)))
            raise
        self.status.keep(CatalogSeal(digest=report.digest, project=compiled.fingerprint))
        self._keep_project(exported=compiled.fingerprint)
        self.last_templates = report.templates
        fact = LastCatalog(
            at=self._now(),
            templates=report.templates,
            content_hash=report.content_hash,
            changed=report.changed,
        )
        logger.info("catalog refreshed", extra={"facts": dataclasses.asdict(fact)})
        self.status.keep(fact)
        return report.templates

    @property
    def _compile_due(self) -> bool:
        last = self.status.read(LastCatalog)
        try:
            age = self.now_ns() - to_ns(parse_ts(last.at)) if last.at else 0
        except ValueError:
            return True
        return last.error is not None or not 0 <= age <= COMPILE_SECONDS * 1e9

    # -- histories

    def follower(self, notify: Callable[[], None]) -> Follower:
        """What follows Claude's own histories while capture is on; not started yet."""
        return Follower(
            self._settings,
            self.home,
            self.queue,
            depth=self.uploader.depth,
            notify=notify,
            earlier=self._told_by_histories,
        )

    def capture(self) -> int:
        """Take in what is new of the histories, as far as the queue has room; records written.

        Raises:
            CdeskError: what is known of them cannot be kept, or the queue not be written.
        """
        if not self._settings.capture.enabled:
            return 0
        return capture_once(self._settings, self.home, self.queue, earlier=self._told_by_histories)

    def _told_by_histories(self) -> Iterator[Record]:
        caller = local_caller(self._settings)
        return told_by_histories(self.home, self.warehouse, self.catalog, caller, patient=True)

    # -- the rest

    def queued_tickets(self) -> int:
        return count_open(self.state)["queued"]

    def close(self) -> None:
        """Hand over: tickets go back, the child ends, the queue file is sealed."""
        beside = () if self._beside is None else (self._beside,)
        for step in (
            *(functools.partial(one.close, CLOSE_SECONDS) for one in beside),
            functools.partial(self.runner.close, seconds=CLOSE_SECONDS),
            self._presenter.close,
            self._builder.close,
            self.queue.close,
            *((self._traces.close,) if self._traces is not None else ()),
            self.counts.close,
            self.uploader.close,
            self.warehouse.close,
            self.state.close,
        ):
            with contextlib.suppress(CdeskError, OSError, sqlite3.Error):
                step()

    def _keep_project(self, **changes: str) -> None:
        self.status.keep(dataclasses.replace(self.status.read(BuiltProject), **changes))

    def _now(self) -> str:
        return self.status.now()


def open_pipeline(
    settings: Settings,
    home: StateDirectory,
    *,
    stop: threading.Event,
    notify: Callable[[], None] | None = None,
    present: PresenterFactory = plain_presenter,
) -> Pipeline:
    """The pipeline of a state directory with its real parts. `notify` is called from any thread
    when there is something new to land. `present` makes the presenter of answers.

    Raises:
        ConfigurationError, StateDirectoryError: it cannot be started. NewerVersion: a newer cdesk
        wrote here.
    """
    repair_state(home.state_db)
    with contextlib.closing(open_state(home.state_db)) as state:
        require_current(state, home)
    state_file = StateFile(home.state_db)
    project = locate_project(settings, home)
    warehouse = open_warehouse(settings, home, copies=notify is not None)
    counts = Counts(home, IdSource().uuid7().replace("-", ""))
    queue = QueueWriter(
        home.queue, durability=settings.durability, appended=counting(counts, "worker")
    )
    traces = _open_traces(settings, counts)
    artifacts = open_artifacts(settings, home)
    presenter = present(settings, home, artifacts, notify is not None)
    return Pipeline(
        settings,
        home,
        warehouse=warehouse,
        uploader=Uploader(
            home,
            warehouse,
            repair=state_file.look,
            counts=counts,
            landed=None if traces is None else traces.landed,
        ),
        runner=TicketRunner(
            settings,
            home,
            warehouse,
            queue,
            notify=notify,
            artifacts=artifacts,
            presenter=presenter,
            counts=counts,
        ),
        queue=queue,
        state=open_state(home.state_db, mends=False),
        project=project,
        builder=Builder(project, dbt_environment(settings.environ, timezone=settings.timezone)),
        schedule=BuildSchedule(),
        stop=stop,
        artifacts=artifacts,
        presenter=presenter,
        counts=counts,
        traces=traces,
        state_file=state_file,
        beside=None if notify is None else Beside("cdesk-dashboard", notify),
    )


def _open_traces(settings: Settings, counts: Counts) -> Traces | None:
    """Traces where an endpoint is set, and what sends them is installed; else none, and the log and
    `cdesk doctor` say so.
    """
    if not settings.otlp_endpoint or not settings.features.has(TRACES):
        return None
    try:
        export = OtlpExport(settings.otlp_endpoint, counts)
    except ConfigurationError as error:
        logger.error("no traces are sent", extra={"facts": {"reason": str(error)}})
        return None
    return Traces(export, end=export.close)
