"""One state directory with a worker's pipeline over real queue, uploader, DuckDB and snapshot, on a
clock that the test moves. Only dbt and tickets are stand-ins.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TypeVar

import duckdb

from cdesk.artifacts.local import LocalArtifacts
from cdesk.contract.records import encode, make_record
from cdesk.core.clock import IdSource, format_ts
from cdesk.core.config import Settings
from cdesk.core.errors import BuildError
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk.state.catalog import write_catalog
from cdesk.state.database import open_state
from cdesk.state.facts import BuildUnderWay, read_status
from cdesk.state.snapshot import SnapshotReader
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk_app.worker.dbt.build import BuildReport, NodeFailure
from cdesk_app.worker.dbt.project import locate_project
from cdesk_app.worker.loop import Loop
from cdesk_app.worker.pipeline import Pipeline
from cdesk_app.worker.presentation import PlainPresenter
from cdesk_app.worker.schedule import BuildSchedule
from cdesk_app.worker.version import running_version
from uploader.uploader import Uploader

NOON = 1_769_860_800_000_000_000
_TABLES = """
create schema if not exists activities;
create table if not exists activities.landing (
    id varchar, kind varchar, payload json, source_file varchar, source_offset bigint,
    landed_at timestamp
);
create table if not exists activities.context_cache (
    customer varchar primary key, context json, updated_at timestamp, version varchar
);
"""
_MODELS = """
insert or replace into activities.context_cache
select
    payload->>'customer',
    json_object(
        'customer', payload->>'customer',
        'events', count(distinct id),
        'insights', list({'insight_id': id}) filter (kind = 'insight')
    ),
    $built_at,
    cast(count(distinct id) as varchar)
from activities.landing where kind <> 'quarantine' group by 1
"""


T = TypeVar("T")


class Clock:
    def __init__(self) -> None:
        self.seconds = 10_000.0

    def monotonic(self) -> float:
        return self.seconds

    def now_ns(self) -> int:
        return NOON + int((self.seconds - 10_000.0) * 1e9)


class Way:
    """Stands for the system's policies: whether the job at hand gives way to all. What really does
    hardly runs on a busy machine, and its test with it.
    """

    def __init__(self) -> None:
        self.is_given = False

    def run(self, job: Callable[[], T], _: str) -> T:
        """As `run_giving_way`."""
        self.is_given = True
        try:
            return job()
        finally:
            self.is_given = False


@dataclass
class SmallDbt:
    """Stands for Builder: tables and one model in the same DuckDB file, and a count of what was
    asked for.
    """

    home: StateDirectory
    clock: Clock
    fingerprint: str
    way: Way = field(default_factory=Way)
    calls: list[str] = field(default_factory=list)
    said: list[BuildUnderWay] = field(default_factory=list)
    """What stood in state.db meanwhile, for whoever waits for a query."""
    error: BuildError | None = None
    pid: int | None = None
    warmed: list[float] = field(default_factory=list)
    """When it was told to get ready."""
    is_ready: bool = True
    warmed_yielding: bool = False
    built_yielding: bool = False
    schema_mismatch: str | None = None
    failures: tuple[NodeFailure, ...] = ()
    parts: int = 1
    """Slices of the data tests."""
    test_error: BuildError | None = None
    during_tests: Callable[[], object] = lambda: None
    told: tuple[str, ...] = ('retained: {"deleted": 3}',)
    """What an operation logs for a person."""
    asked_with: list[tuple[object, object]] = field(default_factory=list)
    """`stop` and `progress` of each build, test, compilation and operation."""

    def build(
        self,
        *,
        full: bool = False,
        rebuild: bool = False,
        stop: object = None,
        progress: object = None,
    ) -> BuildReport:
        self.asked_with.append((stop, progress))
        self.built_yielding = self.way.is_given
        self.calls.append("rebuild" if rebuild else "full" if full else "build")
        self._listen()
        if self.schema_mismatch and not rebuild:
            raise BuildError(f"model events failed: {self.schema_mismatch}!")
        if self.error is not None:
            raise self.error
        self.clock.seconds += 0.001
        with duckdb.connect(str(self.home.warehouse)) as connection:
            connection.execute(_TABLES)
            connection.execute("set timezone = 'UTC'")
            at = format_ts(self.clock.now_ns())[:-1]
            connection.execute(_MODELS, {"built_at": at})
        return self._report()

    def test(self, part: int, *, stop: object = None) -> BuildReport:
        self.asked_with.append((stop, None))
        self.calls.append(f"test {part}")
        self._listen()
        self.during_tests()
        if self.test_error is not None:
            raise self.test_error
        return replace(self._report(), parts=self.parts)

    def compile(self, *, stop: object = None) -> BuildReport:
        self.asked_with.append((stop, None))
        self.calls.append("compile")
        return self._report()

    def operate(
        self, macro: str, arguments: dict[str, object], *, stop: object = None
    ) -> BuildReport:
        self.asked_with.append((stop, None))
        self.calls.append(f"{macro} {arguments}")
        self._listen()
        return replace(self._report(), told=self.told)

    def warm(self, *, gives_way: bool = False) -> None:
        self.warmed_yielding = gives_way
        self.pid = 1
        self.warmed.append(self.clock.seconds)

    def close(self) -> None:
        self.calls.append("close")

    def _listen(self) -> None:
        with closing(open_state(self.home.state_db)) as state:
            self.said.append(read_status(state, BuildUnderWay))

    def _report(self) -> BuildReport:
        return BuildReport(
            "tests_failed" if self.failures else "succeeded",
            0.1,
            1,
            self.fingerprint,
            False,
            self.failures,
        )


class NoTickets:
    """Stands for TicketRunner with nothing to do."""

    busy = False
    polls = 0
    gives_way = False

    def poll(self) -> int:
        self.polls += 1
        return 0

    def recover(self) -> int:
        return 0

    def wait_idle(self, seconds: float) -> bool:
        return seconds >= 0

    def close(self, *, seconds: float) -> None:
        assert seconds > 0


class Desk:
    """One state directory with everything in it."""

    def __init__(self, home: StateDirectory) -> None:
        self.home, self.clock = home, Clock()
        settings = Settings(home=home.root, customer="ada", render="off", environ=dict(os.environ))
        self.settings = settings
        project = locate_project(settings, home)
        self.dbt = SmallDbt(home, self.clock, project.fingerprint())
        self.warehouse = DuckDBWarehouse(home.warehouse, land_wait=0.0, read_wait=0.0)
        self.tickets = NoTickets()
        self.stop = threading.Event()
        self.ids = IdSource(self.clock.now_ns)
        self.shim = QueueWriter(home.queue)
        self.state = open_state(home.state_db)
        self.shims_live = True
        self.installed: str | None = running_version()
        self.waits: list[float] = []
        self.pipeline = Pipeline(
            settings,
            home,
            warehouse=self.warehouse,
            uploader=Uploader(
                home, self.warehouse, now_ns=self.clock.now_ns, monotonic=self.clock.monotonic
            ),
            runner=self.tickets,  # type: ignore[arg-type]
            queue=QueueWriter(home.queue),
            state=open_state(home.state_db),
            project=project,
            builder=self.dbt,  # type: ignore[arg-type]
            schedule=BuildSchedule(monotonic=self.clock.monotonic, now_ns=self.clock.now_ns),
            stop=self.stop,
            artifacts=LocalArtifacts(home.artifacts),
            presenter=PlainPresenter(),
            now_ns=self.clock.now_ns,
        )
        catalog = {"dialect": "duckdb", "content_hash": "0", "generated_at": "-", "templates": {}}
        write_catalog(home, self.pipeline.state, catalog, now=format_ts(self.clock.now_ns()))
        self.pipeline._keep_project(exported=project.fingerprint())
        self.loop = Loop(
            self.pipeline,
            self.wait,
            self.stop,
            others_live=lambda: self.shims_live,
            installed=lambda: self.installed,
            monotonic=self.clock.monotonic,
        )

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.clock.seconds += max(seconds, 0.01)
        return False

    def record(self, kind: str = "event", customer: str = "ada") -> str:
        """What a shim would have written; an insight is pending as well."""
        id, ts = self.ids.uuid7(), format_ts(self.clock.now_ns())
        event = {"activity": "cdesk.user_asked", "feature_json": {}}
        event |= dict.fromkeys(("anonymous_customer_id", "link", "revenue_impact"))
        insight = {"subject": "s", "metric": "m", "value": 1, "provenance_query_hash": None}
        fields = insight if kind == "insight" else event
        record = make_record(
            kind,
            id=id,
            ts=ts,
            customer=customer,
            session_id=None,
            query_tag=self.ids.query_tag(),
            fields=fields,
        )  # type: ignore[arg-type]
        if kind == "insight":
            self.state.execute(
                "insert into pending_insights (id, customer, ts, subject, metric, value) "
                "values (?, ?, ?, 's', 'm', '1')",
                (id, customer, ts),
            )
        self.shim.append(encode(record))
        return id

    def spend(self, seconds: float) -> None:
        """Let the loop turn for so long."""
        until = self.clock.seconds + seconds
        while self.clock.seconds < until:
            self.wait(min(self.loop.turn(), until - self.clock.seconds))

    def let_pass(self, seconds: float) -> None:
        """Let the loop turn every ten minutes alone, where nothing shorter is asked about."""
        until = self.clock.seconds + seconds
        while self.clock.seconds < until:
            self.clock.seconds += 600
            self.loop.turn()

    def builds(self) -> list[str]:
        return [call for call in self.dbt.calls if call in ("full", "build", "rebuild")]

    def context(self, customer: str = "ada") -> bytes | None:
        reader = SnapshotReader(self.home.context_db)
        with closing(reader):
            row = reader.read(customer)[0]
        return row.context if row else None
