"""Forgetting Claude's own histories: what capture, or an import of the same histories, brought in
of a customer, and what rests on it: answers, their results, insights drawn from them. What the
customer logged, and insights of other queries, stay.

Each step can be done again, and the first ones keep out what has not landed yet: one that broke off
is begun anew.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Final

import orjson

from cdesk.artifacts.factory import open_artifacts
from cdesk.artifacts.local import erase_folder
from cdesk.core.clock import NowNs, format_ts
from cdesk.core.config import Settings
from cdesk.core.errors import WarehouseUnavailable
from cdesk.core.home import StateDirectory
from cdesk.state.erasing import erase_answers, erase_snapshot
from cdesk.warehouse.factory import open_warehouse
from cdesk.warehouse.protocol import Warehouse
from cdesk_app.worker.dbt.build import Builder
from cdesk_app.worker.erasure import ErasureReport, Step, erase_in_warehouse, erase_lines
from uploader.erasing import of_queries, of_sources
from uploader.histories import reading_alone
from uploader.uploader import Uploader

HISTORY_SOURCES: Final = ("claude_code", "cowork")
"""What a record that came from a followed history bears as its source."""
_BEYOND: Final = (
    "Claude's own histories, which Claude keeps as before",
    "backups, and blocks that the file system has freed and not yet overwritten",
)
_TABLES: Final = ("config.materialized:incremental",)
"""What has to know all that has landed, so that the operation sees what rests on histories."""
_RESTED: Final = re.compile(r"rested: (\[.*\])")
_BEYOND_SNOWFLAKE: Final = (
    "Time Travel (1 day, as set up) and Fail-safe (7 days) of the warehouse's tables",
)


def forget_histories(
    settings: Settings,
    home: StateDirectory,
    *,
    builder: Builder | None = None,
    open_: Callable[[Settings, StateDirectory], Warehouse] = open_warehouse,
    now_ns: NowNs = time.time_ns,
    tell: Step = lambda _: None,
) -> ErasureReport:
    """Take out what came from this customer's histories. The caller holds the worker's lock, and
    capture is off; nobody imports histories meanwhile. A cycle afterwards builds what the turn path
    reads.

    On Snowflake the warehouse is its transformer's (`dbt run-operation forget_histories`), once
    what waited here has landed and is built; the report says so.

    Raises:
        LegalHold: it must be kept. StateDirectoryError: an import does not end.
        WarehouseUnavailable: what waits cannot land. Other CdeskErrors: begin again.
    """
    beyond = _BEYOND if settings.target == "duckdb" else (*_BEYOND_SNOWFLAKE, *_BEYOND)
    report = ErasureReport(settings.customer, format_ts(now_ns()), beyond=beyond)
    forgetting = _Forgetting(settings, home, report, builder, open_)
    with reading_alone(home):
        for name, step in forgetting.steps():
            tell(name)
            step()
    return report


class _Forgetting:
    def __init__(
        self,
        settings: Settings,
        home: StateDirectory,
        report: ErasureReport,
        builder: Builder | None,
        open_: Callable[[Settings, StateDirectory], Warehouse],
    ) -> None:
        self._settings = settings
        self._home = home
        self._report = report
        self._builder = builder
        self._open = open_
        self._rested: frozenset[str] = frozenset()
        self._is_here = settings.target == "duckdb" and home.warehouse.exists()

    def steps(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """The warehouse first where it may refuse; but what waits must not land after it. What
        waits is landed before, since only the warehouse can tell what of it rests on histories. A
        warehouse that others empty, later, gets no more of them.
        """
        if self._settings.target == "duckdb":
            if self._is_here:
                yield "landing", self._land
            yield "warehouse", self._warehouse
            yield "queue", self._queue
        else:
            yield "queue", self._queue
            yield "landing", self._land
            yield "warehouse", self._warehouse
        yield "results", self._results

    def _land(self) -> None:
        warehouse = self._open(self._settings, self._home)
        try:
            drained = Uploader(self._home, warehouse).drain()
        finally:
            warehouse.close()
        is_empty = self._is_here and drained.blocked == "warehouse_not_built"
        if drained.blocked is not None and not is_empty:
            raise WarehouseUnavailable(
                f"what waits in the queue cannot land ({drained.blocked}); try again in a moment"
            )

    def _warehouse(self) -> None:
        if self._settings.target != "duckdb":
            self._report.left.append(
                "the warehouse: after its next build, dbt run-operation forget_histories takes it "
                "out there"
            )
            return
        if not self._is_here:
            return
        operated = erase_in_warehouse(
            self._settings,
            self._home,
            self._report,
            "forget_histories",
            {"customer": self._report.customer},
            build_first=_TABLES,
            builder=self._builder,
        )
        for line in operated.told:
            if match := _RESTED.search(line):
                self._rested = frozenset(orjson.loads(match[1]))

    def _queue(self) -> None:
        customer = self._report.customer
        captured = of_sources(customer, HISTORY_SOURCES)
        resting = of_queries(customer, self._rested)

        def wanted(line: bytes) -> bool:
            return captured(line) or resting(line)

        erased, waiting = erase_lines(self._home, wanted)
        self._report.count("queue lines", erased.lines)
        self._report.count("lines of histories that wait", waiting.lines)
        self._changed = erased.files
        for path in self._home.root.glob(self._home.capture.name + "*"):
            if path.name == self._home.capture.name:
                self._report.count("reading positions", 1)
            path.unlink(missing_ok=True)

    def _results(self) -> None:
        """Answers may show what is forgotten, and would be given again."""
        home, customer = self._home, self._report.customer
        store = open_artifacts(self._settings, home)
        for uri in erase_answers(
            home.state_db,
            customer,
            changed_files=sorted(self._changed),
            rested=sorted(self._rested),
        ):
            self._report.count("stored results", int(store.purge(uri)))
        for folder in (home.charts, home.artifacts_cache):
            self._report.count("pages and charts", erase_folder(folder, customer))
        shutil.rmtree(home.copies, ignore_errors=True)
        erase_snapshot(home.context_db, customer)
        home.dashboard.unlink(missing_ok=True)
