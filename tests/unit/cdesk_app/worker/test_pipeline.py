"""The steps between queue and snapshot one at a time: what each decides, keeps in the status for
others and hands on to the next.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import orjson
import pytest
from worker_desk import NOON, Desk

from cdesk.core.clock import IdSource, format_ts
from cdesk.core.config import BudgetSettings, CaptureSettings, Settings
from cdesk.core.errors import (
    BuildError,
    CatalogError,
    ConfigurationError,
    NewerVersion,
    SnapshotError,
    WarehouseError,
    WarehouseUnavailable,
)
from cdesk.core.features import Features
from cdesk.core.home import StateDirectory
from cdesk.core.identity import local_caller
from cdesk.core.metrics import BUILD_SECONDS, BUILDS, DEGRADED, RETRIES
from cdesk.state.counts import Counts
from cdesk.state.database import StateFile, open_state
from cdesk.state.facts import BuildUnderWay, CatalogSeal, read_status, write_status
from cdesk.state.snapshot import SnapshotWriter
from cdesk.state.status import (
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
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk_app.worker import pipeline as module
from cdesk_app.worker.dashboard import Exported
from cdesk_app.worker.dbt.build import SCHEMA_MISMATCH, NodeFailure
from cdesk_app.worker.dbt.catalog_export import ExportReport
from cdesk_app.worker.dbt.prebuilt import Prebuilt
from cdesk_app.worker.pipeline import CLOSE_SECONDS, PREBUILT, Pipeline, open_pipeline
from cdesk_app.worker.refresh import RefreshReport
from cdesk_app.worker.schedule import GAP_SECONDS, MANY_ROWS, BuildSchedule
from cdesk_app.worker.version import running_version
from uploader.uploader import DrainReport

NOW = format_ts(NOON)
DAY = timedelta(days=1)


def at(moment: timedelta) -> str:
    """So long before now."""
    return format_ts(NOON - int(moment.total_seconds() * 1e6) * 1_000)


@dataclass
class Drains:
    """Stands for Uploader: the one drain to come."""

    report: DrainReport
    breaker: Any = field(
        default_factory=lambda: SimpleNamespace(state="closed", reason=None, wait=0.0)
    )

    def depth(self) -> int:
        return 7

    def drain(self, _: threading.Event) -> DrainReport:
        return self.report

    def close(self) -> None:
        pass


class Traced:
    """Stands for Traces."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def built(self, begun: int, ended: int, *, outcome: str) -> None:
        self.told.append(("built", begun, ended, outcome))

    def refreshed(self, begun: int, ended: int) -> None:
        self.told.append(("refreshed", begun, ended))

    def close(self) -> None:
        self.told.append(("closed",))


@pytest.fixture
def desk(state_home: StateDirectory) -> Iterator[Desk]:
    desk = Desk(state_home)
    yield desk
    desk.pipeline.close()
    desk.shim.close()
    desk.state.close()


def drained(desk: Desk, **report: Any) -> BuildSchedule:
    """A drain with this report, and what a schedule that knew of nothing makes of it."""
    schedule = BuildSchedule(monotonic=desk.clock.monotonic, now_ns=desk.clock.now_ns)
    desk.pipeline.schedule = schedule
    desk.pipeline.uploader = Drains(DrainReport(**report))  # type: ignore[assignment]
    desk.pipeline.drain()
    return schedule


def said(caplog: pytest.LogCaptureFixture, message: str) -> list[dict[str, Any]]:
    """The facts of each log line of that text."""
    found = [record for record in caplog.records if record.getMessage() == message]
    return [record.facts for record in found]  # type: ignore[attr-defined]


# -- landing


def test_what_lands_is_a_reason_to_build_and_shown(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    schedule = drained(desk, landed=3, quarantined=1, waiting=2, held=["a"], unreadable={"b": "?"})
    assert schedule.reason == "landed"
    assert read_status(desk.state, LastLanding) == LastLanding(at=NOW, rows=3)
    assert read_status(desk.state, Backlog) == Backlog(waiting=2, held=2)
    assert said(caplog, "landed") == [{"rows": 3, "quarantined": 1, "waiting": 2}]
    caplog.clear()
    schedule = drained(desk, waiting=4, blocked="busy")
    assert (schedule.reason, schedule.is_stale) == (None, False)
    assert read_status(desk.state, Backlog) == Backlog(waiting=4, blocked="busy")
    assert said(caplog, "landed") == []
    assert drained(desk, blocked="warehouse_not_built").is_stale


def test_what_the_worker_wrote_of_its_builds_is_no_landing(desk: Desk) -> None:
    books = desk.pipeline._books
    books.waiting = 3
    assert drained(desk, landed=3).reason is None
    assert read_status(desk.state, LastLanding) == LastLanding()
    books.waiting = 2
    schedule = drained(desk, landed=MANY_ROWS + 1)
    schedule.resume(NOON)
    assert schedule.due_in() == GAP_SECONDS, "not so many that they are built sooner"
    books.waiting = 5
    drained(desk, landed=1, blocked="busy")
    assert books.waiting == 4
    drained(desk)
    assert books.waiting == 0, "the queue is empty: they were shed, or another worker landed them"


@pytest.mark.parametrize(
    ("report", "reason", "is_in"),
    [
        ({}, "insight", True),
        ({"landed": 1}, "insight", True),
        ({"held": ["a file"]}, "insight", False),
        ({"landed": 1, "blocked": "busy"}, "landed", False),
        ({"blocked": "busy"}, None, False),
    ],
)
def test_an_insight_is_on_its_way_into_the_next_build_once_nothing_is_left_in_the_queue(
    desk: Desk, report: dict[str, Any], reason: str | None, is_in: bool
) -> None:
    id = desk.record("insight")
    assert drained(desk, **report).reason == reason
    assert desk.pipeline._landed == ({id} if is_in else set())
    if is_in:
        assert drained(desk).reason is None, "it is known"
        desk.pipeline._landed, desk.pipeline._built = frozenset(), frozenset({id})
        assert drained(desk).reason is None, "and built"


def test_what_is_quarantined_adds_up_until_somebody_decides(desk: Desk) -> None:
    drained(desk, quarantined=2, reasons={"not_json": 2})
    desk.clock.seconds += 1
    drained(desk, quarantined=1, reasons={"drift": 1})
    told = read_status(desk.state, Quarantined)
    later = format_ts(desk.clock.now_ns())
    assert told == Quarantined(at=later, lines=3, reasons={"not_json": 2, "drift": 1})
    desk.clock.seconds += 1
    drained(desk)
    assert read_status(desk.state, Quarantined) == told


def test_histories_are_let_in_by_the_length_of_the_queue(desk: Desk) -> None:
    lengths: list[int] = []
    waiting = ["a file"]
    desk.pipeline.backlog = SimpleNamespace(  # type: ignore[assignment]
        waiting=lambda: waiting, admit=lengths.append
    )
    drained(desk)
    waiting.clear()
    drained(desk)
    assert lengths == [7, 0], "whose length nobody asks for where nothing waits"


def test_queries_that_wait_put_builds_off_as_records_do(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk.pipeline, "queued_tickets", lambda: 50)
    assert drained(desk).stretch > 1


def test_an_open_breaker_says_until_when_and_no_other(desk: Desk) -> None:
    breaker = desk.pipeline.uploader.breaker

    def told() -> BreakerState:
        desk.pipeline._tell_landing(DrainReport(), 0)
        return read_status(desk.state, BreakerState)

    assert (told().state, told().until) == ("closed", None)
    breaker.failures, breaker.reason, breaker._until = 3, "no disk", desk.clock.seconds + 90.5
    until = format_ts(desk.clock.now_ns() + 90_500_000_000)
    assert told() == BreakerState(state="open", reason="no disk", until=until)
    desk.clock.seconds += 90.5
    assert told() == BreakerState(state="half_open", reason="no disk", until=None)


def test_a_deep_queue_puts_builds_off_and_counts_it(desk: Desk) -> None:
    desk.pipeline._look_at_pressure(30_000)
    assert desk.pipeline.schedule.stretch > 1
    desk.pipeline._look_at_pressure(30_000)
    (series,) = desk.pipeline.counts._table[DEGRADED].values()
    assert series.value == 1, "once, as long as it lasts"
    desk.pipeline._look_at_pressure(0)
    assert desk.pipeline.schedule.stretch == 1


# -- a worker's beginning


@pytest.mark.parametrize(
    ("builds", "exists", "is_same", "is_stale"),
    [
        (True, True, True, False),
        (True, False, True, True),
        (True, True, False, True),
        (False, False, True, False),
        (False, True, False, True),
    ],
)
def test_tables_are_stale_where_they_are_missing_or_of_another_project(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    builds: bool,
    exists: bool,
    is_same: bool,
    is_stale: bool,
) -> None:
    monkeypatch.setattr(Pipeline, "builds", property(lambda _: builds))
    if exists:
        desk.home.warehouse.touch()
    desk.pipeline._keep_project(built=desk.dbt.fingerprint if is_same else "another")
    desk.pipeline.look_at_project()
    assert desk.pipeline.schedule.is_stale == is_stale


def test_a_new_worker_mends_first_then_takes_up_what_the_last_one_left(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    for name in ("check_warehouse", "_take_prebuilt", "check_snapshot"):
        monkeypatch.setattr(desk.pipeline, name, lambda name=name: steps.append(name))

    def recover() -> int:
        steps.append("tickets")
        raise CatalogError("no catalog")

    monkeypatch.setattr(desk.tickets, "recover", recover)
    write_status(desk.state, BuildUnderWay(since="then", what="build"), now="-")
    desk.pipeline.resume()
    assert steps == ["check_warehouse", "_take_prebuilt", "tickets", "check_snapshot"]
    assert read_status(desk.state, BuildUnderWay) == BuildUnderWay()


@pytest.mark.parametrize(
    ("last", "resumed"),
    [
        (LastBuild(), None),
        (LastBuild(at=NOW, status="build_failed"), None),
        (LastBuild(status="succeeded"), None),
        (LastBuild(at="yesterday", status="succeeded"), None),
        (LastBuild(at=NOW, status="succeeded"), (NOON, False)),
        (LastBuild(at=NOW, status="tests_failed", reason="landed"), (NOON, False)),
        (LastBuild(at=NOW, status="succeeded", reason=PREBUILT), (NOON, True)),
    ],
)
def test_the_rhythm_of_builds_goes_on_from_the_last_that_ended_well(
    desk: Desk, last: LastBuild, resumed: tuple[int, bool] | None
) -> None:
    schedule = MagicMock()
    desk.pipeline.schedule = schedule
    desk.pipeline.status.keep(last)
    desk.pipeline.resume()
    told = [(call.args[0], call.kwargs["empty"]) for call in schedule.resume.mock_calls]
    assert told == ([] if resumed is None else [resumed])


# -- what the installation brings


@pytest.fixture
def brought(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What an installation brings, on a directory without catalog, warehouse and parse."""
    folder = tmp_path / "prebuilt"
    folder.mkdir()
    catalog = {"dialect": "duckdb", "templates": {"mine": {}}}
    (folder / "catalog.json").write_bytes(orjson.dumps(catalog))
    for name in ("warehouse.duckdb", "partial_parse.msgpack", "parsed_project"):
        (folder / name).write_text(name, encoding="utf-8")
    monkeypatch.setattr(module, "find_prebuilt", lambda project: Prebuilt(folder, project))
    desk.home.catalog.unlink()
    desk.pipeline.status.keep(BuiltProject())
    return folder


@pytest.mark.usefixtures("brought")
def test_an_empty_directory_begins_with_what_the_installation_brings(desk: Desk) -> None:
    pipeline = desk.pipeline
    pipeline._take_prebuilt()
    project = desk.dbt.fingerprint
    assert desk.home.warehouse.read_text(encoding="utf-8") == "warehouse.duckdb"
    target = pipeline._project.target_dir
    assert (target / "parsed_project").read_text(encoding="utf-8") == "parsed_project"
    assert orjson.loads(desk.home.catalog.read_bytes())["templates"] == {"mine": {}}
    assert read_status(desk.state, CatalogSeal).project == project
    assert read_status(desk.state, BuiltProject) == BuiltProject(
        built=project, exported=project, tested=project, tested_at=NOW, version=running_version()
    )
    assert read_status(desk.state, LastBuild) == LastBuild(
        at=NOW, status="succeeded", reason=PREBUILT
    )
    assert (pipeline.has_prebuilt, pipeline.refresh_due, pipeline.last_templates) == (True, True, 1)


def test_a_catalog_that_is_there_stays_and_one_that_is_damaged_is_not_taken(
    desk: Desk, brought: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (brought / "catalog.json").write_text("{", encoding="utf-8")
    desk.pipeline._take_prebuilt()
    assert len(said(caplog, "prebuilt catalog not taken")) == 1
    assert not desk.home.catalog.exists()
    assert desk.home.warehouse.exists(), "the rest is taken"
    assert read_status(desk.state, BuiltProject).exported is None
    desk.home.catalog.write_text("mine", encoding="utf-8")
    desk.pipeline._take_prebuilt()
    assert desk.home.catalog.read_text(encoding="utf-8") == "mine"
    assert len(said(caplog, "prebuilt catalog not taken")) == 1


@pytest.mark.parametrize("why", ["built before", "a warehouse lies there", "builds elsewhere"])
@pytest.mark.usefixtures("brought")
def test_nothing_takes_the_place_of_tables_that_were_built(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why == "built before":
        desk.pipeline._keep_project(built="this or another")
    elif why == "builds elsewhere":
        monkeypatch.setattr(Pipeline, "builds", property(lambda _: False))
    else:
        desk.home.warehouse.write_text("mine", encoding="utf-8")
    desk.pipeline._take_prebuilt()
    assert read_status(desk.state, LastBuild) == LastBuild()
    assert desk.home.warehouse.exists() == (why == "a warehouse lies there")
    assert desk.home.catalog.exists() == (why != "builds elsewhere")
    assert (desk.pipeline.has_prebuilt, desk.pipeline.refresh_due) == (False, False)


# -- building


@pytest.fixture
def steps(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What follows a build, in its order."""
    steps: list[str] = []
    for name in ("refresh", "export", "_look_for_conflicts"):
        monkeypatch.setattr(desk.pipeline, name, lambda name=name: steps.append(name))
    return steps


def series(desk: Desk, metric: Any) -> dict[tuple[str, ...], float]:
    return {name: one.value for name, one in desk.pipeline.counts._table.get(metric, {}).items()}


def test_a_build_leaves_what_the_next_steps_go_by(desk: Desk, steps: list[str]) -> None:
    pipeline, traces = desk.pipeline, Traced()
    pipeline._traces = traces  # type: ignore[assignment]
    pipeline._landed, pipeline._built = frozenset({"new"}), frozenset({"old"})
    pipeline.has_prebuilt = True

    def progress(*_: object) -> None:
        pass

    pipeline.build(progress=progress)
    ended = format_ts(desk.clock.now_ns())
    assert steps == ["refresh", "export", "_look_for_conflicts"]
    assert desk.dbt.calls == ["full"], "nothing was there"
    assert desk.dbt.asked_with == [(desk.stop, progress)]
    assert desk.dbt.said == [BuildUnderWay(since=NOW, what="build")]
    assert (pipeline._landed, pipeline._built) == (frozenset(), {"new", "old"})
    assert (pipeline.refresh_due, pipeline.has_prebuilt) == (True, False)
    assert read_status(desk.state, LastBuild) == LastBuild(
        at=ended, status="succeeded", reason="stale", seconds=0.1, nodes=1
    )
    known = read_status(desk.state, BuiltProject)
    assert (known.built, known.version) == (desk.dbt.fingerprint, running_version())
    assert (pipeline.schedule.reason, pipeline.schedule.is_stale) == (None, False)
    assert series(desk, BUILDS) == {("succeeded",): 1.0}
    assert series(desk, BUILD_SECONDS) == {(): 0.1}
    assert traces.told == [("built", NOON, desk.clock.now_ns(), "succeeded")]
    assert series(desk, RETRIES) == {}
    pipeline.build()
    assert read_status(desk.state, LastBuild).reason == "requested"
    pipeline.schedule.landed(1, insights=False)
    pipeline.build(full=True)
    assert read_status(desk.state, LastBuild).reason == "landed"
    assert desk.dbt.calls == ["full", "build", "full"]


def test_a_build_that_fails_says_why_and_the_next_one_is_counted_as_another_try(
    desk: Desk, steps: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pipeline, traces = desk.pipeline, Traced()
    pipeline._traces = traces  # type: ignore[assignment]
    pipeline._landed = frozenset({"new"})
    desk.dbt.error = BuildError("model events failed")
    with pytest.raises(BuildError, match="model events"):
        pipeline.build()
    assert steps == []
    assert read_status(desk.state, LastBuild) == LastBuild(
        at=NOW, status="build_failed", reason="stale", message="model events failed"
    )
    assert pipeline._landed == {"new"}
    assert (pipeline.schedule.failed_with, pipeline.schedule.reason) == ("build_failed", "stale")
    assert traces.told == [("built", NOON, NOON, "build_failed")]
    assert series(desk, BUILDS) == {("build_failed",): 1.0}
    assert series(desk, BUILD_SECONDS) == {}
    levels = [record.levelno for record in caplog.records if record.message == "build ended"]
    desk.dbt.error = None
    pipeline.build()
    levels += [record.levelno for record in caplog.records if record.message == "build ended"][1:]
    assert levels == [logging.ERROR, logging.INFO]
    assert series(desk, RETRIES) == {("build",): 1.0}
    assert pipeline._books.waiting == 1, "cdesk.retry_attempted"
    pipeline.build()
    assert series(desk, RETRIES) == {("build",): 1.0}


@pytest.mark.usefixtures("steps")
def test_tables_that_do_not_fit_are_rebuilt_in_one_go_and_other_failures_are_not(
    desk: Desk,
) -> None:
    def progress(*_: object) -> None:
        pass

    desk.dbt.schema_mismatch = SCHEMA_MISMATCH
    desk.pipeline.build(full=True, progress=progress)
    assert desk.dbt.calls == ["full", "rebuild"]
    assert desk.dbt.asked_with == [(desk.stop, progress)] * 2
    desk.dbt.schema_mismatch = None
    desk.dbt.error = BuildError("model events failed")
    with pytest.raises(BuildError):
        desk.pipeline.build(full=True)
    assert desk.dbt.calls == ["full", "rebuild", "full"]


def test_conflicts_that_the_build_found_are_told_beside_what_landing_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = []
    asked: list[Any] = []

    class Lines:
        def __init__(self, *_: object, customer: str) -> None:
            asked.append(customer)

        def lines(self, *, reason: str, limit: int) -> list[Any]:
            asked.append((reason, limit))
            if found == ["away"]:
                raise WarehouseUnavailable("held")
            return found

    monkeypatch.setattr(module, "Quarantine", Lines)
    desk.pipeline.catalog = MagicMock()

    def told() -> Quarantined:
        desk.pipeline._look_for_conflicts()
        return read_status(desk.state, Quarantined)

    assert told() == Quarantined(), "none"
    assert asked == ["ada", ("id_conflict", 1_000)]
    found += [SimpleNamespace(landed_at=at(DAY)), SimpleNamespace(landed_at=at(2 * DAY))]
    assert told() == Quarantined(at=at(DAY), lines=2, reasons={"id_conflict": 2})
    desk.pipeline.status.keep(
        Quarantined(at=at(3 * DAY), lines=5, reasons={"drift": 3, "id_conflict": 2})
    )
    before = read_status(desk.state, Quarantined)
    assert told() == before, "known"
    found[:] = ["away"]
    assert told() == before
    found.clear()
    assert told() == Quarantined(at=at(3 * DAY), lines=3, reasons={"drift": 3})
    desk.pipeline.status.keep(Quarantined(lines=1, reasons={"id_conflict": 1}))
    assert told() == Quarantined(at=NOW, lines=0, reasons={})


# -- data tests


def test_all_data_tests_are_slices_one_after_the_other_and_their_sum_is_kept(desk: Desk) -> None:
    steps: list[tuple[int, int, str]] = []
    desk.dbt.parts = 3
    desk.dbt.failures = (NodeFailure("unique_events", "test", "Got 1 result"),)
    names = desk.pipeline.test(progress=lambda *step: steps.append(step))
    assert names == ("unique_events",) * 3
    assert steps == [(1, 3, ""), (2, 3, ""), (3, 3, "")]
    assert desk.dbt.calls == ["test 0", "test 1", "test 2"]
    assert desk.dbt.asked_with == [(desk.stop, None)] * 3
    assert {(said.since, said.what) for said in desk.dbt.said} == {(NOW, "test")}
    assert read_status(desk.state, LastTest) == LastTest(at=NOW, seconds=0.3, tests=3, failed=names)
    known = read_status(desk.state, BuiltProject)
    assert (known.tested, known.tested_at) == (desk.dbt.fingerprint, NOW)


def test_a_whole_run_begins_with_the_first_slice_whatever_was_under_way(desk: Desk) -> None:
    desk.dbt.parts = 2
    assert desk.pipeline.test_part() is None
    assert desk.pipeline.test() == ()
    assert desk.dbt.calls == ["test 0", "test 0", "test 1"]
    assert read_status(desk.state, LastTest).tests == 2


@pytest.mark.parametrize(
    ("known", "is_due"),
    [
        (BuiltProject(), False),
        (BuiltProject(tested="a", tested_at=NOW), False),
        (BuiltProject(built="a"), True),
        (BuiltProject(built="a", tested="b", tested_at=NOW), True),
        (BuiltProject(built="a", tested="a"), True),
        (BuiltProject(built="a", tested="a", tested_at=NOW), False),
        (BuiltProject(built="a", tested="a", tested_at=at(DAY)), False),
        (BuiltProject(built="a", tested="a", tested_at=at(DAY + timedelta(seconds=1))), True),
    ],
)
def test_data_tests_are_due_for_each_project_that_was_built_and_once_a_day(
    desk: Desk, known: BuiltProject, is_due: bool
) -> None:
    desk.pipeline.status.keep(known)
    assert desk.pipeline.test_due == is_due


# -- retention


def test_retention_deletes_where_it_is_set_and_there_is_something(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pipeline = desk.pipeline
    desk.home.warehouse.touch()
    assert pipeline.retain() == 0
    pipeline._settings = replace(desk.settings, retention_days=30)
    pipeline.schedule.landed(0, insights=True)
    desk.dbt.told = ('retained: {"deleted": 3}', "another line", 'retained: {"deleted": 2}')
    assert pipeline.retain() == 5
    assert desk.dbt.calls == ["apply_retention {'events_days': 30}"]
    assert desk.dbt.asked_with == [(desk.stop, None)]
    assert desk.dbt.said == [BuildUnderWay(since=NOW, what="retention")]
    assert pipeline.schedule.reason == "landed", "the next build takes it out of the contexts"
    assert said(caplog, "retention applied") == [{"rows": 5, "days": 30}]
    pipeline.schedule.succeeded()
    desk.dbt.told = ('retained: {"deleted": 0}',)
    assert pipeline.retain() == 0
    assert pipeline.schedule.reason is None
    assert len(said(caplog, "retention applied")) == 1


@pytest.mark.parametrize("why", ["builds elsewhere", "no warehouse"])
def test_retention_is_left_to_who_has_the_warehouse(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    desk.pipeline._settings = replace(desk.settings, retention_days=30)
    if why == "builds elsewhere":
        monkeypatch.setattr(Pipeline, "builds", property(lambda _: False))
        desk.home.warehouse.touch()
    assert desk.pipeline.retain() == 0
    assert desk.dbt.calls == []


def test_counts_are_handed_over_and_those_of_the_dead_taken_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[object] = []
    monkeypatch.setattr(desk.pipeline.counts, "flush", lambda: steps.append("flush"))

    def fold(home: StateDirectory) -> int:
        steps.append(home)
        raise OSError("full")

    monkeypatch.setattr(module, "fold_ended", fold)
    desk.pipeline.hand_over_counts()
    assert steps == ["flush", desk.home]


# -- what the turn path reads


def test_a_refresh_clears_what_was_built_and_tells_of_each_changed_customer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = RefreshReport(
        at=at(DAY),
        changed=5,
        removed=1,
        whole=True,
        rebuilt=True,
        seconds=0.0567,
        changed_customers=(("ada", "v1"), ("bob", "v2")),
    )
    asked: list[Any] = []

    def refresh(warehouse: object, home: object, *, whole: bool, now_ns: Any) -> RefreshReport:
        asked.append((warehouse, home, whole, now_ns()))
        desk.clock.seconds += 1
        return report

    def clear(_: object, home: StateDirectory, *, built: frozenset[str]) -> int:
        asked.append((home, built))
        return 2

    monkeypatch.setattr(module, "refresh_context", refresh)
    monkeypatch.setattr(module, "clear_insights", clear)
    pipeline, traces, notes = desk.pipeline, Traced(), []
    pipeline._traces = traces  # type: ignore[assignment]
    monkeypatch.setattr(pipeline._books, "note", lambda *told: notes.append(told))
    pipeline._built, pipeline.refresh_due = frozenset({"an insight"}), True
    assert pipeline.refresh() is report
    assert asked == [(desk.warehouse, desk.home, False, NOON), (desk.home, {"an insight"})]
    assert (pipeline.refresh_due, pipeline.dashboard_due, pipeline.last_changed) == (False, True, 5)
    assert pipeline._built == frozenset()
    assert traces.told == [("refreshed", NOON, NOON + 1_000_000_000)]
    assert notes == [
        (customer, "cdesk.context_refreshed", {"version": v, "elapsed_ms": 56.7, "rebuilt": True})
        for customer, v in report.changed_customers
    ]
    assert read_status(desk.state, LastRefresh) == LastRefresh(
        at=at(DAY),
        changed=5,
        removed=1,
        whole=True,
        rebuilt=True,
        seconds=0.0567,
        insights_cleared=2,
        events_left_out=3,
    )
    pipeline.refresh(whole=True)
    assert asked[2][2]


def test_the_dashboard_is_renewed_with_the_word_on_the_budget(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = desk.pipeline
    settings = replace(desk.settings, timezone="Europe/Berlin")
    pipeline._settings = settings
    asked: list[Any] = []
    cancels: list[threading.Event] = []
    word = BudgetWord(customer="ada", text="80 %", until=NOW)

    def export(*given: object, now_ns: Any, timezone: str, cancel: threading.Event) -> Exported:
        asked.append((*given, now_ns(), timezone))
        cancels.append(cancel)
        if pipeline._settings.budget.week:
            raise WarehouseUnavailable("held")
        return Exported(9, 2, 1)

    def budget(*given: object, now_ns: Any, timezone: str, cancel: threading.Event) -> BudgetWord:
        asked.append((*given, now_ns(), timezone))
        cancels.append(cancel)
        return word

    monkeypatch.setattr(module, "export_dashboard", export)
    monkeypatch.setattr(module, "budget_word", budget)
    catalog, caller = pipeline.catalog.get(), local_caller(settings)
    exported = (desk.warehouse, catalog, desk.home, caller, NOON, "Europe/Berlin")
    pipeline.dashboard_due = True
    pipeline.export_dashboard()
    assert not pipeline.dashboard_due
    assert asked == [exported], "no word where no limit is set"
    assert read_status(desk.state, Insights) == Insights(at=NOW, verified=2, unverified=1)
    limits = BudgetSettings(day=20.0)
    pipeline._settings = replace(settings, budget=limits)
    pipeline.export_dashboard()
    assert asked[1:] == [(desk.warehouse, catalog, caller, limits, NOON, "Europe/Berlin"), exported]
    assert cancels[1] is cancels[2]
    assert not cancels[1].is_set()
    assert read_status(desk.state, BudgetWord) == word
    pipeline._settings, word = settings, BudgetWord()
    pipeline.export_dashboard()
    assert read_status(desk.state, BudgetWord) == BudgetWord(), "the limit was taken away"
    pipeline._settings = replace(settings, budget=BudgetSettings(week=1.0))
    pipeline.export_dashboard()
    assert said(caplog, "dashboard put off") == [{"reason": "held"}]


class Beside:
    """Stands for what runs a job beside the loop: holds it until it is taken in."""

    def __init__(self) -> None:
        self.begun: list[tuple[Any, bool]] = []
        self.is_begun = self.is_running = False
        self.error: Exception | None = None

    def begin(self, job: Any, *, gives_way: bool) -> None:
        self.begun.append((job, gives_way))

    def take(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.begun[-1][0](threading.Event())

    def close(self, seconds: float) -> None:
        pass


def test_the_dashboard_is_asked_for_beside_the_loop_where_there_is_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[Any] = []

    def export(*_: object, **__: object) -> Exported:
        asked.append("figures")
        return Exported(9, 2, 1)

    monkeypatch.setattr(module, "export_dashboard", export)
    pipeline = desk.pipeline
    assert (pipeline.is_dashboard_begun, pipeline.is_dashboard_under_way) == (False, False)
    pipeline.begin_dashboard()
    assert asked == ["figures"], "here and now"
    beside: Any = Beside()
    pipeline._beside = beside
    pipeline.dashboard_due = True
    pipeline.begin_dashboard()
    pipeline.begin_dashboard(gives_way=True)
    assert [gives_way for _, gives_way in beside.begun] == [False, True]
    assert (asked, pipeline.dashboard_due) == (["figures"], False)
    for is_begun, is_running in ((True, True), (True, False), (False, False)):
        beside.is_begun, beside.is_running = is_begun, is_running
        assert pipeline.is_dashboard_begun is is_begun
        assert pipeline.is_dashboard_under_way is is_running
    desk.clock.seconds += 1
    pipeline.end_dashboard()
    assert asked == ["figures", "figures"]
    later = format_ts(desk.clock.now_ns())
    assert read_status(desk.state, Insights) == Insights(at=later, verified=2, unverified=1)
    beside.error = WarehouseUnavailable("held")
    pipeline.end_dashboard()
    assert said(caplog, "dashboard put off") == [{"reason": "held"}]


@pytest.mark.parametrize("what", ["log", "sound", "damaged", "held", "none", "elsewhere"])
def test_a_damaged_log_of_the_warehouse_is_set_aside_and_what_it_held_built_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    looked: list[str] = []

    def look(_: DuckDBWarehouse) -> Path | None:
        looked.append(what)
        if what == "damaged":
            raise WarehouseError("no database")
        if what == "held":
            raise WarehouseUnavailable("held")
        return Path("warehouse.duckdb.wal.damaged") if what == "log" else None

    monkeypatch.setattr(DuckDBWarehouse, "set_damaged_log_aside", look)
    if what != "none":
        desk.home.warehouse.touch()
    if what == "elsewhere":
        desk.pipeline._settings = replace(desk.settings, target="snowflake")
    desk.pipeline.check_warehouse()
    assert looked == ([] if what in ("none", "elsewhere") else [what])
    assert desk.pipeline.schedule.is_stale == (what == "log")
    aside = [{"file": "warehouse.duckdb.wal.damaged"}] if what == "log" else []
    assert said(caplog, "warehouse log set aside") == aside
    assert len(said(caplog, "warehouse is damaged")) == (what == "damaged")


@pytest.mark.parametrize(
    ("size", "is_set_aside"), [(0, False), (512, True), (4_096, True), (4_097, False)]
)
def test_a_damaged_snapshot_is_set_aside_where_reading_it_takes_no_long(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, size: int, is_set_aside: bool
) -> None:
    monkeypatch.setattr(module, "CHECK_BYTES", 4_096)
    desk.pipeline.check_snapshot()
    path = desk.home.context_db
    assert not path.exists(), "nothing is made where nothing was"
    path.write_bytes(b"x" * size)
    desk.pipeline.check_snapshot()
    assert path.with_name("context.db.damaged").exists() == is_set_aside
    assert is_set_aside or path.stat().st_size == size, "left as it is"


def test_a_sound_snapshot_stays_and_up_to_64_mib_are_read(desk: Desk) -> None:
    SnapshotWriter(desk.home.context_db).apply((), refreshed_at=NOW)
    before = desk.home.context_db.stat().st_ino
    desk.pipeline.check_snapshot()
    assert desk.home.context_db.stat().st_ino == before
    assert module.CHECK_BYTES == 67_108_864


@dataclass
class Exports:
    """Stands for refresh_catalog."""

    asked: list[Any] = field(default_factory=list)
    error: CatalogError | None = None

    def __call__(
        self, manifest: Path, home: StateDirectory, dialect: str, *, now_ns: Any
    ) -> ExportReport:
        self.asked.append((manifest, home, dialect, now_ns()))
        if self.error is not None:
            raise self.error
        return ExportReport(4, "a" * 16, changed=True, digest="a" * 64)


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> Exports:
    exports = Exports()
    monkeypatch.setattr(module, "refresh_catalog", exports)
    return exports


def test_the_catalog_is_compiled_with_its_seal_and_again_where_it_is_asked_for(
    desk: Desk, exports: Exports
) -> None:
    pipeline = desk.pipeline
    assert pipeline.export() is None, "it is as it was"
    assert (desk.dbt.calls, pipeline.last_templates) == ([], None)
    assert pipeline.export(force=True) == 4
    assert desk.dbt.calls == ["compile"]
    assert desk.dbt.asked_with == [(desk.stop, None)]
    assert exports.asked == [(pipeline._project.manifest, desk.home, "duckdb", NOON)]
    assert read_status(desk.state, CatalogSeal) == CatalogSeal(
        digest="a" * 64, project=desk.dbt.fingerprint
    )
    assert read_status(desk.state, BuiltProject).exported == desk.dbt.fingerprint
    assert pipeline.last_templates == 4
    assert read_status(desk.state, LastCatalog) == LastCatalog(
        at=NOW, templates=4, content_hash="a" * 16, changed=True
    )


@pytest.mark.parametrize("why", ["another project", "edited", "both, and a word too much"])
@pytest.mark.usefixtures("exports")
def test_a_catalog_that_is_not_the_projects_is_compiled_away(desk: Desk, why: str) -> None:
    if why != "edited":
        desk.pipeline._keep_project(exported="another")
    if why != "another project":
        desk.home.catalog.write_text("{}", encoding="utf-8")
    assert desk.pipeline.export() == 4


def test_a_catalog_that_breaks_a_rule_says_so_and_stays_as_it_was(
    desk: Desk, exports: Exports
) -> None:
    exports.error = CatalogError("template mine has no scope")
    seal = read_status(desk.state, CatalogSeal)
    with pytest.raises(CatalogError):
        desk.pipeline.export(force=True)
    assert read_status(desk.state, LastCatalog) == LastCatalog(
        at=NOW, error="template mine has no scope"
    )
    assert read_status(desk.state, CatalogSeal) == seal
    exports.error = None
    assert desk.pipeline.export() == 4, "the next try"


@pytest.mark.parametrize(
    ("last", "is_due"),
    [
        (LastCatalog(), False),
        (LastCatalog(at=NOW), False),
        (LastCatalog(at=at(DAY)), False),
        (LastCatalog(at=at(DAY + timedelta(microseconds=1))), True),
        (LastCatalog(at=at(timedelta(microseconds=-1))), True),
        (LastCatalog(at=NOW, error="no scope"), True),
        (LastCatalog(at="yesterday"), True),
    ],
)
@pytest.mark.usefixtures("exports")
def test_the_catalog_is_compiled_anew_once_a_day_whatever_seems_to_stand(
    desk: Desk, last: LastCatalog, is_due: bool
) -> None:
    desk.pipeline.status.keep(last)
    assert (desk.pipeline.export() is not None) == is_due


# -- histories


def test_histories_are_captured_into_the_own_queue_where_that_is_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = desk.pipeline
    once, follower, told = MagicMock(return_value=3), MagicMock(), MagicMock()
    monkeypatch.setattr(module, "capture_once", once)
    monkeypatch.setattr(module, "Follower", follower)
    monkeypatch.setattr(module, "told_by_histories", told)
    assert pipeline.capture() == 0
    once.assert_not_called()
    settings = replace(desk.settings, capture=CaptureSettings(enabled=True))
    pipeline._settings = settings
    assert pipeline.capture() == 3
    earlier = once.call_args.kwargs["earlier"]
    once.assert_called_once_with(settings, desk.home, pipeline.queue, earlier=earlier)
    earlier()
    caller = local_caller(settings)
    told.assert_called_once_with(desk.home, desk.warehouse, pipeline.catalog, caller, patient=True)

    def notify() -> None:
        pass

    assert pipeline.follower(notify) is follower.return_value
    follower.assert_called_once_with(
        settings,
        desk.home,
        pipeline.queue,
        depth=pipeline.uploader.depth,
        notify=notify,
        earlier=earlier,
    )


# -- its parts


def test_what_builds_is_asked_whether_it_is_there_and_ready(desk: Desk) -> None:
    pipeline = desk.pipeline
    assert not pipeline.is_warm
    pipeline.warm()
    assert pipeline.is_warm
    assert not desk.dbt.warmed_yielding
    pipeline.warm(gives_way=True)
    assert desk.dbt.warmed_yielding


def test_a_pipeline_ends_its_parts_in_order_whatever_one_of_them_says(desk: Desk) -> None:
    pipeline, ended = desk.pipeline, list[object]()

    class Part:
        def __init__(self, name: str) -> None:
            self.name = name

        def close(self, seconds: float | None = None) -> None:
            ended.append(self.name if seconds is None else (self.name, seconds))
            raise OSError(self.name)

    own = [pipeline.counts, pipeline.queue, pipeline.state, pipeline.warehouse]
    parts: Any = pipeline
    parts.runner, parts._builder, parts.queue = Part("tickets"), Part("builder"), Part("queue")
    parts._traces, parts.counts, parts.uploader = Part("traces"), Part("counts"), Part("uploader")
    parts.warehouse, parts.state = Part("warehouse"), Part("state")
    parts._beside = Part("beside")
    pipeline.close()
    assert ended == [
        ("beside", CLOSE_SECONDS),
        ("tickets", CLOSE_SECONDS),
        *("builder", "queue", "traces", "counts", "uploader", "warehouse", "state"),
    ]
    parts._traces = parts._beside = None
    ended.clear()
    pipeline.close()
    assert "traces" not in ended
    assert len(ended) == 7
    for part in own:
        part.close()


class Part:
    """Stands for a part that `open_pipeline` makes: what it was made of."""

    made: dict[str, Part]

    def __init__(self, name: str, *given: Any, **named: Any) -> None:
        self.name, self.given, self.named = name, given, named


def opened(
    home: StateDirectory, monkeypatch: pytest.MonkeyPatch, *, notify: Any = None, **settings: Any
) -> tuple[Any, dict[str, Any]]:
    """What the pipeline of a directory is made of, and its parts by their class."""
    parts: dict[str, Any] = {}

    def recorded(name: str) -> Any:
        def make(*given: Any, **named: Any) -> Part:
            parts[name] = Part(name, *given, **named)
            return parts[name]

        return make

    for name in ("Pipeline", "Uploader", "TicketRunner", "QueueWriter", "Builder"):
        monkeypatch.setattr(module, name, recorded(name))
    monkeypatch.setattr(module, "open_warehouse", recorded("warehouse"))
    monkeypatch.setattr(module, "open_artifacts", recorded("artifacts"))
    monkeypatch.setattr(module, "counting", recorded("counting"))
    monkeypatch.setattr(module, "_open_traces", lambda *_: parts.get("traces"))
    if "traces" in settings:
        parts["traces"] = settings.pop("traces")
    stop = threading.Event()
    chosen = Settings(home=home.root, customer="ada", timezone="Asia/Tokyo", **settings)
    made: Any = open_pipeline(chosen, home, stop=stop, notify=notify, present=recorded("presenter"))
    made.named["state"].close()
    assert made.given == (chosen, home)
    assert made.named["stop"] is stop
    return made.named, parts


@pytest.mark.parametrize("stays", [True, False])
def test_the_parts_of_a_pipeline_share_what_there_is_one_of(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch, stays: bool
) -> None:
    notify = (lambda: None) if stays else None
    named, parts = opened(state_home, monkeypatch, notify=notify, durability="disk")
    counts, queue, artifacts = named["counts"], named["queue"], named["artifacts"]
    assert isinstance(counts, Counts)
    assert counts._folder == state_home.metrics
    assert len(counts._name) == 32
    assert parts["counting"].given == (counts, "worker")
    assert queue.given == (state_home.queue,)
    assert queue.named == {"durability": "disk", "appended": parts["counting"]}
    warehouse = named["warehouse"]
    assert warehouse.named == {"copies": stays}
    assert parts["presenter"].given[1:] == (state_home, artifacts, stays)
    runner = named["runner"]
    assert runner.given[1:] == (state_home, warehouse, queue)
    assert runner.named == {
        "notify": notify,
        "artifacts": artifacts,
        "presenter": parts["presenter"],
        "counts": counts,
    }
    uploader = named["uploader"]
    assert uploader.given == (state_home, warehouse)
    assert uploader.named == {
        "repair": named["state_file"].look,
        "counts": counts,
        "landed": None,
    }
    assert (named["presenter"], named["traces"]) == (parts["presenter"], None)
    assert (named["beside"] is not None) is stays
    if stays:
        assert named["beside"]._notify is notify
    assert isinstance(named["schedule"], BuildSchedule)
    project, environ = named["builder"].given
    assert project is named["project"]
    assert "Asia/Tokyo" in environ.values(), "the days that the models go by"


def test_what_lands_is_traced_where_traces_are_made(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = MagicMock()
    named, parts = opened(state_home, monkeypatch, traces=traces)
    assert named["traces"] is traces
    assert parts["Uploader"].named["landed"] is traces.landed


def test_a_damaged_state_is_mended_before_it_is_opened_and_not_while_it_is_open(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[Any] = []
    monkeypatch.setattr(module, "repair_state", lambda path: steps.append(path))

    def open_(path: Path, **options: bool) -> Any:
        steps.append(options)
        return open_state(path, **options)

    monkeypatch.setattr(module, "open_state", open_)
    opened(state_home, monkeypatch)
    assert steps == [state_home.state_db, {}, {"mends": False}]


def test_no_pipeline_is_opened_on_what_a_newer_version_has_built(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_state(state_home.state_db) as state:
        write_status(state, BuiltProject(version="999.0"), now=NOW)
    state.close()
    with pytest.raises(NewerVersion):
        opened(state_home, monkeypatch)


@pytest.mark.parametrize(
    ("endpoint", "features", "installed", "is_traced"),
    [
        ("http://127.0.0.1:4318", Features(), True, True),
        ("", Features(), True, False),
        ("http://127.0.0.1:4318", Features(frozenset({"traces"})), True, False),
        ("http://127.0.0.1:4318", Features(), False, False),
    ],
)
def test_traces_are_made_where_they_can_be_sent(
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    endpoint: str,
    features: Features,
    installed: bool,
    is_traced: bool,
) -> None:
    export, counts = MagicMock(), Counts()

    def make(*given: object) -> MagicMock:
        assert given == (endpoint, counts)
        if not installed:
            raise ConfigurationError("not installed")
        return export

    monkeypatch.setattr(module, "OtlpExport", make)
    settings = Settings(
        home=state_home.root, customer="ada", otlp_endpoint=endpoint, features=features
    )
    traces = module._open_traces(settings, counts)
    assert (traces is not None) == is_traced
    assert said(caplog, "no traces are sent") == (
        [] if installed else [{"reason": "not installed"}]
    )
    if traces is not None:
        traces.close()
        export.close.assert_called_once_with()


def made(home: StateDirectory, monkeypatch: pytest.MonkeyPatch, **more: Any) -> tuple[Any, Any]:
    """A pipeline of parts that do nothing, and what its own parts were made of."""
    own: dict[str, MagicMock] = {}
    for name in ("CleanUp", "CostGuard", "Degradation", "Bookkeeping", "account_meter"):
        own[name] = MagicMock()
        monkeypatch.setattr(module, name, own[name])
    settings = Settings(
        home=home.root,
        customer="ada",
        target=more.pop("target", "duckdb"),
        features=more.pop("features", Features()),
    )
    others = ("warehouse", "uploader", "runner", "queue", "state", "project", "builder")
    parts: dict[str, Any] = {name: MagicMock() for name in (*others, "artifacts", "presenter")}
    pipeline = Pipeline(
        settings,
        home,
        schedule=BuildSchedule(),
        stop=threading.Event(),
        now_ns=lambda: NOON,
        **parts,
        **more,
    )
    return pipeline, own


def test_what_a_pipeline_makes_for_itself_goes_by_the_settings(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, own = made(state_home, monkeypatch)
    assert isinstance(pipeline.state_file, StateFile)
    assert isinstance(pipeline.counts, Counts)
    assert isinstance(own["Bookkeeping"].call_args.args[2], IdSource)
    assert own["CleanUp"].call_args.kwargs == {"retain": pipeline.retain}
    costs = own["CostGuard"].call_args.kwargs
    assert (costs["meter"], costs["enabled"], costs["now_ns"]()) == (None, True, NOON)
    assert own["Degradation"].call_args.args == (pipeline.status, pipeline.counts)
    assert own["Degradation"].call_args.kwargs == {"enabled": True}
    assert pipeline.runner.degradation is pipeline.degradation
    assert (pipeline.dashboard_due, pipeline.refresh_due, pipeline.has_prebuilt) == (False,) * 3
    assert (pipeline.last_changed, pipeline.builds) == (0, True)
    features = Features(frozenset({"cost_guard", "degradation"}))
    given: dict[str, Any] = {"counts": Counts(), "ids": IdSource(), "state_file": MagicMock()}
    pipeline, own = made(state_home, monkeypatch, target="snowflake", features=features, **given)
    assert (pipeline.counts, pipeline.state_file) == (given["counts"], given["state_file"])
    assert own["Bookkeeping"].call_args.args[2] is given["ids"]
    costs = own["CostGuard"].call_args.kwargs
    assert costs["meter"] is own["account_meter"].return_value
    assert not costs["enabled"]
    assert not own["Degradation"].call_args.kwargs["enabled"]
    assert not pipeline.builds


def test_a_catalog_is_read_only_as_its_seal_has_it(desk: Desk) -> None:
    desk.home.catalog.write_bytes(desk.home.catalog.read_bytes().replace(b'"0"', b'"1"') + b"\n")
    assert desk.pipeline.catalog.look() is not None, "what was compiled is the same"
    desk.pipeline.status.keep(CatalogSeal(digest="another"))
    desk.home.catalog.write_bytes(desk.home.catalog.read_bytes() + b"\n")
    assert desk.pipeline.catalog.look() is None


def test_errors_of_a_snapshot_that_cannot_be_read_end_no_worker(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.home.context_db.write_bytes(b"x")

    def check(_: SnapshotWriter) -> None:
        raise SnapshotError("no permission")

    monkeypatch.setattr(SnapshotWriter, "check", check)
    desk.pipeline.check_snapshot()
    assert desk.home.context_db.exists(), "nobody knows that it is damaged"
