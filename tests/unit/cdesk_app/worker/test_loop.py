"""The worker's rhythm over real queue, uploader, DuckDB and snapshot, on a clock that the test
moves.

Only dbt and tickets are stand-ins.
"""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from worker_desk import Desk

from cdesk.artifacts.local import LocalArtifacts
from cdesk.core.clock import format_ts
from cdesk.core.config import HttpSettings
from cdesk.core.errors import BuildError, QueryCancelled, WarehouseUnavailable
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.state.catalog import write_catalog
from cdesk.state.database import open_state
from cdesk.state.facts import BuildUnderWay, read_status, write_status
from cdesk.state.http_service import registered
from cdesk.state.pending import pending_insights
from cdesk.state.snapshot import ContextRow
from cdesk.state.status import (
    Backlog,
    BreakerState,
    CycleAnswer,
    CycleRequest,
    Insights,
    LastBuild,
    LastCatalog,
    LastCleanUp,
    LastTest,
)
from cdesk_app.worker import yielding
from cdesk_app.worker.beside import Beside
from cdesk_app.worker.clean_up import CleanUp
from cdesk_app.worker.dashboard import Exported
from cdesk_app.worker.dbt.build import SCHEMA_MISMATCH, BuildReport, NodeFailure
from cdesk_app.worker.loop import REST_SECONDS, Loop
from cdesk_app.worker.pipeline import TEST_SECONDS, Pipeline
from cdesk_app.worker.presentation import PlainPresenter
from cdesk_app.worker.schedule import (
    GAP_SECONDS,
    INSIGHT_GAP_SECONDS,
    MANY_ROWS,
)
from cdesk_app.worker.tasks import (
    CATALOG_SECONDS,
    POLL_SECONDS,
    QUIET_SECONDS,
    READY_SECONDS,
    AskingElsewhere,
)
from mcp_shim.context import LATE_SECONDS
from uploader.uploader import DrainReport


@pytest.fixture
def desk(state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    desk = Desk(state_home)
    monkeypatch.setattr(yielding, "run_giving_way", desk.dbt.way.run)
    yield desk
    desk.pipeline.close()
    desk.shim.close()
    desk.state.close()


@pytest.fixture
def built(desk: Desk) -> Desk:
    """A desk whose first build and tests lie behind it, long ago."""
    desk.pipeline.look_at_project()
    desk.spend(400)
    desk.dbt.calls.clear()
    desk.waits.clear()
    return desk


def test_a_new_directory_is_built_in_full_then_tested_and_what_waited_lands(desk: Desk) -> None:
    desk.record()
    desk.pipeline.look_at_project()
    desk.spend(10)
    assert desk.dbt.calls == ["full", "test 0", "build"]
    assert b'"events":1' in (desk.context() or b"")


def test_a_build_says_that_it_is_under_way_until_it_ends_or_fails(desk: Desk) -> None:
    write_status(desk.state, BuildUnderWay(since="of a worker that died"), now="-")
    desk.pipeline.resume()
    assert read_status(desk.state, BuildUnderWay) == BuildUnderWay()
    desk.record()
    desk.pipeline.look_at_project()
    desk.spend(10)
    assert [said.what for said in desk.dbt.said] == ["build", "test", "build"]
    assert all(said.since for said in desk.dbt.said)
    assert read_status(desk.state, BuildUnderWay) == BuildUnderWay()
    desk.dbt.error = BuildError("model events failed")
    desk.record()
    desk.spend(400)
    assert len(desk.dbt.said) > 3
    assert read_status(desk.state, BuildUnderWay) == BuildUnderWay()


def test_an_idle_worker_polls_slowly_and_writes_nothing(built: Desk) -> None:
    before = built.state.execute("select max(updated_at) from worker_status").fetchone()
    built.spend(3_600)
    assert built.dbt.calls == []
    assert set(built.waits[2:-1]) == {POLL_SECONDS}
    assert built.state.execute("select max(updated_at) from worker_status").fetchone() == before


def test_records_of_one_turn_are_built_together(built: Desk) -> None:
    for _ in range(5):
        built.record()
        built.spend(0.5)
    built.spend(20)
    assert built.builds() == ["build"]
    built.record()
    built.spend(GAP_SECONDS - 30)
    assert built.builds() == ["build"]
    built.spend(40)
    assert built.builds() == ["build", "build"]


def test_what_a_build_records_of_itself_is_no_reason_for_the_next(built: Desk) -> None:
    built.record()
    built.spend(3_600)
    assert built.builds() == ["build"]
    with duckdb.connect(str(built.home.warehouse), read_only=True) as connection:
        landed = connection.execute(
            "select payload->>'activity', count(*) from activities.landing group by 1 order by 1"
        ).fetchall()
    assert landed == [("cdesk.context_refreshed", 1), ("cdesk.user_asked", 1)], (
        "it landed all the same"
    )


def test_an_insight_is_pending_until_the_snapshot_holds_it_and_not_longer(built: Desk) -> None:
    built.record()
    built.spend(10)
    id = built.record("insight")
    built.spend(INSIGHT_GAP_SECONDS - 20)
    assert pending_insights(built.state) == {id}
    built.spend(30)
    assert pending_insights(built.state) == frozenset()
    assert id.encode() in (built.context() or b"")


def test_a_build_that_fails_keeps_insights_pending_and_is_tried_again(built: Desk) -> None:
    id = built.record("insight")
    built.dbt.error = BuildError("model events failed: no; the log is dbt.log")
    built.spend(20)
    assert built.builds() == ["build"]
    assert pending_insights(built.state) == {id}
    status = read_status(built.state, LastBuild)
    assert status.status == "build_failed"
    assert "model events failed" in status.message
    built.dbt.error = None
    built.spend(60)
    assert built.builds() == ["build", "build"]
    assert pending_insights(built.state) == frozenset()


def test_a_build_that_is_tried_again_stands_in_the_stream(built: Desk) -> None:
    built.record()
    built.dbt.error = BuildError("model events failed: no; the log is dbt.log")
    built.spend(20)
    built.dbt.error = None
    built.spend(120)
    built.record()
    built.spend(GAP_SECONDS + 10)
    with duckdb.connect(str(built.home.warehouse), read_only=True) as connection:
        retried = connection.execute(
            "select payload->>'customer', payload->'feature_json' from activities.landing "
            "where payload->>'activity' = 'cdesk.retry_attempted'"
        ).fetchall()
    assert retried == [("ada", '{"where":"build","error_code":"build_failed"}')]


def test_a_worker_ends_when_its_directory_is_removed_or_another_holds_it(built: Desk) -> None:
    lock = FileLock(built.home.worker_lock)
    assert lock.acquire()
    loop = Loop(
        built.pipeline,
        built.wait,
        built.stop,
        others_live=lambda: True,
        owned=lambda: lock.stands,
        monotonic=built.clock.monotonic,
    )
    built.home.worker_lock.unlink()
    assert loop.run(60.0) == "removed"
    other = FileLock(built.home.worker_lock)
    assert other.acquire()
    assert other.stands
    assert not lock.stands
    lock.release()
    other.release()
    assert not other.stands


def test_what_was_recorded_before_a_worker_lands_before_its_first_query(
    built: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    built.record()
    loop = Loop(
        built.pipeline,
        built.wait,
        built.stop,
        others_live=lambda: True,
        monotonic=built.clock.monotonic,
    )
    waiting: list[int] = []

    def poll() -> int:
        waiting.append(built.pipeline.uploader.depth())
        return 0

    monkeypatch.setattr(built.pipeline.runner, "poll", poll)
    loop.turn()
    built.record()
    loop.turn()
    assert waiting == [0, 1], "later ones keep no query waiting"


@pytest.mark.parametrize("how", ["another", "gone", "damaged", "another file's damage"])
def test_a_worker_ends_when_its_state_is_no_longer_the_one_that_it_opened(
    built: Desk, how: str
) -> None:
    """The next one mends it before it opens it: nothing renames a file that is open here."""
    path, waits = built.home.state_db, iter((True, False, False))

    def wait(_seconds: float) -> bool:
        if not next(waits):
            built.stop.set()
        elif how == "another":
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).rename(path.with_name("aside" + suffix))
            open_state(path).close()
        elif how == "gone":
            path.unlink()
        elif how == "damaged":
            damage_pages(path, built.pipeline.state)
        else:
            built.pipeline.state = Damaged()  # type: ignore[assignment]
        return False

    built.loop._wait = wait
    assert built.loop.run(60.0) == ("damaged" if how != "another file's damage" else "stopped")


class Damaged:
    def execute(self, *_: object) -> None:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    def close(self) -> None:
        pass


def damage_pages(path: Path, connection: sqlite3.Connection) -> None:
    """All but the first page, of which the connection has nothing in memory any more."""
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.execute("pragma cache_size = 0")
    connection.execute("pragma shrink_memory")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


def test_a_refresh_that_fails_is_made_up_for_without_another_build(
    built: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = built.record("insight")
    built.loop.turn()
    fails = 2
    original = built.warehouse.export_context

    def away(*, since: str | None):  # type: ignore[no-untyped-def]
        nonlocal fails
        fails -= 1
        if fails >= 0:
            raise WarehouseUnavailable("held")
        return original(since=since)

    monkeypatch.setattr(built.warehouse, "export_context", away)
    built.spend(60)
    assert built.builds() == ["build"]
    assert pending_insights(built.state) == frozenset()
    assert id.encode() in (built.context() or b"")


def test_an_insight_that_is_logged_while_a_drain_runs_is_pending_until_it_has_landed(
    built: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drain has read the queue when the insight comes: the build after it is not the
    insight's.
    """
    uploader = built.pipeline.uploader
    drain = uploader.drain
    late: list[str] = []

    def with_a_late_one(stop: threading.Event | None = None) -> DrainReport:
        report = drain(stop)
        late.append(built.record("insight"))
        return report

    first = built.record("insight")
    with monkeypatch.context() as patch:
        patch.setattr(uploader, "drain", with_a_late_one)
        built.pipeline.drain()
    built.pipeline.build()
    assert pending_insights(built.state) == {*late}
    assert first.encode() in (built.context() or b"")
    built.pipeline.drain()
    built.pipeline.build()
    assert pending_insights(built.state) == frozenset()


def test_where_builds_happen_elsewhere_an_idle_desktop_asks_a_handful_of_times_an_hour(
    built: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question wakes a warehouse that costs by the second."""
    monkeypatch.setattr(Pipeline, "builds", property(lambda _: False))
    asked: list[float] = []
    real = built.warehouse.export_context

    def export_context(*arguments: Any, **options: Any) -> Any:
        asked.append(built.clock.seconds)
        return real(*arguments, **options)

    monkeypatch.setattr(built.warehouse, "export_context", export_context)
    built.pipeline.refresh()
    asked.clear()
    built.spend(2 * CATALOG_SECONDS)
    assert 1 <= len(asked) <= 2
    assert min(b - a for a, b in pairwise(asked)) >= CATALOG_SECONDS
    assert built.builds() == []


def test_an_insight_that_landed_under_an_earlier_worker_is_built_by_the_next(desk: Desk) -> None:
    desk.pipeline.build(full=True)
    id = desk.record("insight")
    desk.pipeline.uploader.drain()
    desk.clock.seconds += 3_600
    desk.loop.turn()
    desk.spend(10)
    assert desk.builds() == ["full", "build"]
    assert pending_insights(desk.state) == frozenset()
    assert id.encode() in (desk.context() or b"")


@pytest.mark.parametrize(
    "said",
    [
        f"The source and target {SCHEMA_MISMATCH}",
        'Binder Error: Table "known" does not have a column named "is_new"',
        "SQL compilation error: invalid identifier 'KNOWN.IS_NEW'",
    ],
)
def test_tables_of_schema_mismatch_are_rebuilt_when_the_project_changed_and_not_otherwise(
    built: Desk, said: str
) -> None:
    built.dbt.schema_mismatch = said
    built.record()
    built.spend(10)
    assert built.builds() == ["build"], "an ordinary build that fails so says so"
    built.dbt.calls.clear()
    built.pipeline._keep_project(built="another")
    built.spend(120)
    assert built.builds() == ["full", "rebuild"]
    assert b'"events":1' in (built.context() or b"")


def test_an_unexpected_error_answers_a_request_too(
    built: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: object) -> BuildReport:
        raise ZeroDivisionError

    monkeypatch.setattr(built.dbt, "build", broken)
    write_status(built.state, CycleRequest(id="r1"), now="x")
    built.loop.turn()
    done = read_status(built.state, CycleAnswer)
    assert (done.id, done.ok) == ("r1", False)


def test_a_build_that_was_broken_off_by_a_stop_is_no_failure(built: Desk) -> None:
    before = read_status(built.state, LastBuild)
    built.dbt.error = BuildError("dbt build was broken off")
    built.stop.set()
    with pytest.raises(BuildError):
        built.pipeline.build()
    assert read_status(built.state, LastBuild) == before


def test_a_warehouse_that_was_removed_is_built_in_full_again(built: Desk) -> None:
    built.home.warehouse.unlink()
    built.record()
    built.spend(GAP_SECONDS)
    assert built.builds()[0] == "full"
    assert b'"events":1' in (built.context() or b"")


def test_a_held_warehouse_is_tried_again_with_pauses(built: Desk) -> None:
    with duckdb.connect(str(built.home.warehouse)):
        built.record()
        built.spend(120)
        status = read_status(built.state, Backlog)
        assert status.waiting == 1
        breaker = read_status(built.state, BreakerState)
        assert breaker.reason
    built.spend(POLL_SECONDS * 4)
    status = read_status(built.state, Backlog)
    assert (status.waiting, status.blocked) == (0, None)


def test_a_request_is_carried_out_at_once_and_answered_once(built: Desk) -> None:
    built.record()
    write_status(built.state, CycleRequest(id="r1", full=False), now="x")
    built.loop.turn()
    done = read_status(built.state, CycleAnswer)
    assert (done.id, done.ok, done.report["landed"] >= 1) == ("r1", True, True)
    assert built.builds() == ["build"]
    built.spend(5)
    assert built.builds() == ["build"]


def test_a_request_that_cannot_be_met_is_answered_with_the_reason(built: Desk) -> None:
    built.dbt.error = BuildError("model events failed: no; the log is dbt.log")
    write_status(built.state, CycleRequest(id="r1", full=True), now="x")
    built.loop.turn()
    done = read_status(built.state, CycleAnswer)
    assert (done.id, done.ok) == ("r1", False)
    assert "model events failed" in done.message


def test_data_tests_run_once_a_day_and_a_failure_is_shown(built: Desk) -> None:
    built.dbt.failures = (NodeFailure("unique_events", "test", "Got 1 result"),)
    built.record()
    built.spend(10)
    assert built.dbt.calls == ["build"]
    built.let_pass(2 * 86_400 + 1_800)
    assert built.dbt.calls.count("test 0") == 2
    status = read_status(built.state, LastTest)
    assert status.failed == ("unique_events",)


def test_between_slices_of_the_data_tests_what_is_recorded_lands(built: Desk) -> None:
    built.dbt.parts = 3
    built.dbt.failures = (NodeFailure("unique_events", "test", "Got 1 result"),)
    built.let_pass(TEST_SECONDS - 1_500)
    before = read_status(built.state, LastTest)
    built.dbt.calls.clear()
    landings: list[datetime | None] = []

    def record() -> None:
        landings.append(built.warehouse.last_landing())
        built.record()

    built.dbt.during_tests = record
    built.spend(1_200)
    slices = [call for call in built.dbt.calls if call.startswith("test")]
    assert slices == ["test 0", "test 1", "test 2"], "once a day"
    assert "build" in built.dbt.calls[: built.dbt.calls.index("test 2")]
    assert len(set(landings)) == 3
    status = read_status(built.state, LastTest)
    assert status != before
    assert (status.tests, status.failed) == (3, ("unique_events",) * 3)


def test_tests_of_another_project_begin_anew_and_a_slice_that_fails_comes_again(
    built: Desk,
) -> None:
    built.dbt.parts = 3
    built.let_pass(TEST_SECONDS - 1_500)
    built.dbt.calls.clear()
    built.dbt.test_error = BuildError("no database")
    while not built.dbt.calls:
        built.spend(30)
    assert built.dbt.calls == ["test 0"]
    built.dbt.test_error = None
    built.pipeline.test_part()
    built.dbt.fingerprint = "another"
    assert [built.pipeline.test_part() for _ in range(4)] == [None, None, None, ()]
    assert built.dbt.calls[1:] == ["test 0", "test 1", "test 0", "test 1", "test 2"]


def test_the_clean_up_runs_once_a_day_however_short_a_worker_lives(built: Desk) -> None:
    def cleaned_by_a_new_worker() -> str | None:
        clean_up = CleanUp(
            built.settings,
            built.home,
            built.warehouse,
            LocalArtifacts(built.home.artifacts),
            PlainPresenter(),
            built.state,
            built.pipeline.status,
            built.clock.now_ns,
            retain=lambda: 0,
        )
        if clean_up.due_in() == 0:
            clean_up.run()
        return read_status(built.state, LastCleanUp).at

    first = read_status(built.state, LastCleanUp).at
    assert first is not None, "by the first worker"
    assert cleaned_by_a_new_worker() == first
    built.clock.seconds += 86_400
    second = cleaned_by_a_new_worker()
    assert second is not None
    assert second > first


def test_retention_runs_once_a_day_where_it_is_set_and_a_build_follows(built: Desk) -> None:
    built.let_pass(2 * 86_400)
    assert [call for call in built.dbt.calls if "retention" in call] == [], "not set"
    built.pipeline._settings = replace(built.settings, retention_days=365)
    before = len(built.dbt.calls)
    built.let_pass(86_400)
    built.spend(600)
    calls = built.dbt.calls[before:]
    assert calls.count("apply_retention {'events_days': 365}") == 1
    assert "build" in calls[calls.index("apply_retention {'events_days': 365}") :]
    assert "retention" in {said.what for said in built.dbt.said}


def test_the_worker_ends_when_nobody_is_there_and_only_then(built: Desk) -> None:
    ends: list[str] = []

    def wait(seconds: float) -> bool:
        if built.clock.seconds > 13_000:
            built.shims_live = False
        return built.wait(seconds)

    loop = Loop(
        built.pipeline,
        wait,
        built.stop,
        others_live=lambda: built.shims_live,
        monotonic=built.clock.monotonic,
    )
    ends.append(loop.run(900))
    assert ends == ["idle"]
    assert built.clock.seconds > 13_000


def test_the_memory_of_work_is_given_back_once_nothing_comes_any_more(built: Desk) -> None:
    def turn_for(seconds: float) -> int:
        """How often it was given back meanwhile."""
        until, rested = built.clock.seconds + seconds, list[float]()

        def wait(pause: float) -> bool:
            built.wait(min(pause, until - built.clock.seconds))
            if built.clock.seconds >= until:
                built.stop.set()
            return False

        built.stop.clear()
        loop = Loop(
            built.pipeline,
            wait,
            built.stop,
            others_live=lambda: True,
            rest=lambda: rested.append(built.clock.seconds),
            monotonic=built.clock.monotonic,
        )
        loop.run(math.inf)
        return len(rested)

    built.record()
    assert turn_for(REST_SECONDS - 1) == 0, "work has just been done"
    built.record()
    assert turn_for(REST_SECONDS + 2 * POLL_SECONDS) == 1
    assert turn_for(GAP_SECONDS + REST_SECONDS + 2 * POLL_SECONDS) == 2, "and after the build"


def test_a_stop_ends_the_loop_before_its_next_wait(built: Desk) -> None:
    built.stop.set()
    assert built.loop.run(900) == "stopped"
    assert built.waits == []


def test_one_bad_turn_is_logged_and_survived(
    built: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> int:
        built.tickets.polls += 1
        if built.tickets.polls > 100:
            built.stop.set()
        raise RuntimeError("no")

    built.tickets.polls = 98
    monkeypatch.setattr(built.tickets, "poll", broken)
    assert built.loop.run(900) == "stopped"
    assert "task tickets failed" in caplog.text


def test_a_task_that_fails_keeps_no_other_from_its_turn(
    built: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> int:
        raise RuntimeError("no")

    monkeypatch.setattr(built.tickets, "poll", broken)
    built.record()
    built.spend(10)
    assert built.builds() == ["build"]


# -- a worker that does not belong here any more


@pytest.mark.parametrize("name", ["state.db", "context.db", "catalog.json"])
def test_a_worker_ends_when_a_newer_version_has_written_a_file(built: Desk, name: str) -> None:
    path = built.home.root / name
    if name == "catalog.json":
        path.write_text('{"v": 2}', encoding="utf-8")
    else:
        with closing(sqlite3.connect(path)) as database:
            database.execute("pragma user_version = 99")
    before = path.read_bytes()
    assert built.loop.run(900) == "newer_version"
    assert built.loop.problem == f"{name} was written by a newer cdesk; upgrade this one"
    assert path.read_bytes() == before
    assert built.builds() == []


@pytest.mark.parametrize(
    ("version", "ending"), [("999.1", "newer_version"), ("0.0.1", "stopped"), ("?", "stopped")]
)
def test_a_worker_ends_when_a_newer_version_has_built_the_tables(
    built: Desk, version: str, ending: str
) -> None:
    built.pipeline._keep_project(version=version)
    built.dbt.calls.clear()

    def wait(_: float) -> bool:
        built.stop.set()
        return False

    loop = Loop(
        built.pipeline,
        wait,
        built.stop,
        others_live=lambda: True,
        installed=lambda: None,
        monotonic=built.clock.monotonic,
    )
    assert loop.run(900) == ending
    assert built.builds() == [], "nothing is built over the other's tables"


def test_a_worker_that_an_upgrade_overtakes_finishes_and_ends(built: Desk) -> None:
    id = built.record()
    built.installed = "999.0.0"
    assert built.loop.run(900) == "upgraded"
    with duckdb.connect(str(built.home.warehouse), read_only=True) as connection:
        landed = connection.execute(
            "select count(*) from activities.landing where id = ?", [id]
        ).fetchone()
    assert landed == (1,)
    assert built.loop.problem is None


def test_in_the_middle_of_an_upgrade_the_worker_goes_on(built: Desk) -> None:
    built.installed = None
    built.spend(60)
    assert built.dbt.calls == []


def test_a_catalog_that_somebody_changed_is_compiled_anew(built: Desk) -> None:
    built.spend(10)
    assert "compile" not in built.dbt.calls
    document = orjson.loads(built.home.catalog.read_bytes())
    document["templates"]["mine"] = {}
    built.home.catalog.write_bytes(orjson.dumps(document))
    built.spend(10)
    assert "compile" in built.dbt.calls


def test_a_catalog_edited_together_with_its_seal_lasts_no_longer_than_a_day(built: Desk) -> None:
    """Nobody can tell the two from what was compiled here, so it is compiled again."""
    now = format_ts(built.clock.now_ns())
    built.pipeline.status.keep(LastCatalog(at=now))
    document = orjson.loads(built.home.catalog.read_bytes()) | {"dialect": "mine"}
    write_catalog(built.home, built.pipeline.state, document, now=now)
    built.pipeline._project.manifest.write_bytes(b'{"nodes": {}}')
    built.record()
    built.spend(60)
    assert built.builds()
    assert "compile" not in built.dbt.calls
    built.clock.seconds += 86_400
    built.record()
    built.spend(60)
    assert built.dbt.calls.count("compile") == 1
    assert orjson.loads(built.home.catalog.read_bytes())["dialect"] == "duckdb"


def test_a_desktop_that_builds_elsewhere_asks_often_only_after_a_landing() -> None:
    asking = AskingElsewhere()
    pauses = []
    for _ in range(8):
        asking.asked()
        pauses.append(asking.seconds)
    assert (
        pauses[:5]
        == [CATALOG_SECONDS] + [CATALOG_SECONDS * 2**n for n in (1, 2)] + [QUIET_SECONDS] * 2
    )
    assert pauses[-1] == QUIET_SECONDS
    asking.landed()
    assert asking.seconds == CATALOG_SECONDS
    assert CATALOG_SECONDS < LATE_SECONDS  # what landed shows before the context is called stale


def test_what_builds_is_started_a_little_before_a_build_is_due(built: Desk) -> None:
    built.record()
    built.spend(5)
    assert built.builds() == ["build"]
    assert len(built.dbt.warmed) == 1
    built.dbt.pid = None  # it has ended for want of work
    built.record()
    built.spend(GAP_SECONDS - 75)
    assert len(built.dbt.warmed) == 1  # it would end again
    built.spend(75)
    assert built.builds() == ["build"] * 2
    assert len(built.dbt.warmed) == 2
    built.record("insight")
    built.spend(INSIGHT_GAP_SECONDS + 5)
    assert built.builds() == ["build"] * 3
    assert len(built.dbt.warmed) == 2  # it was still there


def test_what_builds_is_started_where_much_lands_before_a_build_is_due(built: Desk) -> None:
    built.pipeline.schedule.succeeded()
    built.pipeline.schedule.landed(MANY_ROWS // 2, insights=False)
    built.loop.turn()
    assert built.dbt.warmed == []
    built.pipeline.schedule.landed(1, insights=False)
    built.loop.turn()
    assert len(built.dbt.warmed) == 1
    assert built.builds() == []


def test_records_land_while_the_dashboard_is_asked_for(
    built: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, go_on, threads = threading.Event(), threading.Event(), []

    def slowly(*_: object, **__: object) -> Exported:
        threads.append(threading.current_thread())
        assert go_on.wait(60)
        return Exported(7, 3, 4)

    monkeypatch.setattr("cdesk_app.worker.pipeline.export_dashboard", slowly)
    built.pipeline._beside = Beside("dashboard", told.set)
    built.record("insight")
    built.spend(INSIGHT_GAP_SECONDS + 120)
    assert built.builds() == ["build"]
    assert built.pipeline.is_dashboard_under_way
    landed = built.warehouse.last_landing()
    built.record()
    built.spend(10)
    assert built.warehouse.last_landing() != landed
    go_on.set()
    assert told.wait(60)
    assert len(threads) == 1, "no second one meanwhile"
    assert not built.pipeline.is_dashboard_under_way
    built.spend(1)
    assert not built.pipeline.is_dashboard_begun
    insights = built.pipeline.status.read(Insights)
    assert (insights.verified, insights.unverified) == (3, 4)


def test_a_dashboard_that_fails_beside_the_loop_is_put_off_and_asked_again(
    built: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def fails(*_: object, **__: object) -> Exported:
        raise WarehouseUnavailable("it is held")

    monkeypatch.setattr("cdesk_app.worker.pipeline.export_dashboard", fails)
    built.pipeline._beside = Beside("dashboard", ended.set)
    for _ in range(2):
        ended.clear()
        built.pipeline.dashboard_due = True
        built.spend(120)
        assert ended.wait(60)
        built.spend(1)
        assert not built.pipeline.is_dashboard_begun


def test_a_worker_that_ends_ends_what_asks_for_the_dashboard(
    built: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def until_told(*_: object, cancel: threading.Event, **__: object) -> Exported:
        assert cancel.wait(60)
        raise QueryCancelled("it was told to end")

    monkeypatch.setattr("cdesk_app.worker.pipeline.export_dashboard", until_told)
    built.pipeline._beside = Beside("dashboard", ended.set)
    built.pipeline.begin_dashboard()
    built.pipeline.close()
    assert ended.is_set()


def test_it_gives_way_once_an_http_service_runs(
    built: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed: list[bool] = []
    renewed: list[bool] = []
    drain, renew = built.pipeline.uploader.drain, built.warehouse.export_context

    def draining(stop: threading.Event) -> DrainReport:
        landed.append(built.dbt.way.is_given)
        return drain(stop)

    def renewing(*, since: str | None) -> Iterator[ContextRow]:
        renewed.append(built.dbt.way.is_given)
        return renew(since=since)

    monkeypatch.setattr(built.pipeline.uploader, "drain", draining)
    monkeypatch.setattr(built.warehouse, "export_context", renewing)

    def work() -> tuple[set[bool], set[bool], bool]:
        landed.clear()
        renewed.clear()
        built.record("insight")
        built.spend(120)
        return set(landed), set(renewed), built.dbt.built_yielding

    assert work() == ({False}, {False}, False)
    assert not built.tickets.gives_way
    with registered(built.home, "http://127.0.0.1:8378/mcp", HttpSettings()):
        built.spend(5)
        assert work() == ({True}, {True}, True)
    assert built.tickets.gives_way


def test_beside_a_service_landing_goes_on_while_what_builds_gets_ready(built: Desk) -> None:
    with registered(built.home, "http://127.0.0.1:8378/mcp", HttpSettings()):
        built.spend(5)
        built.dbt.is_ready = False
        built.record("insight")
        built.spend(READY_SECONDS - 5)
        assert built.builds() == []
        assert built.dbt.warmed_yielding
        assert built.pipeline.uploader.depth() == 0
        built.dbt.is_ready = True
        built.spend(2)
        assert built.builds() == ["build"]
        assert built.dbt.built_yielding


def test_a_build_for_which_nobody_waits_lets_landing_go_on_until_it_can_begin(built: Desk) -> None:
    built.dbt.is_ready = False
    built.record("insight")
    built.spend(READY_SECONDS - 5)
    built.record("event")
    built.spend(2)
    assert built.builds() == []
    assert built.dbt.warmed_yielding is False
    assert built.pipeline.uploader.depth() == 0
    built.dbt.is_ready = True
    built.spend(2)
    assert built.builds() == ["build"]


def test_one_that_somebody_asked_for_does_not(built: Desk) -> None:
    built.dbt.is_ready = False
    built.pipeline.schedule.request()
    built.spend(1)
    assert built.builds() == ["build"]


def test_what_does_not_get_ready_builds_as_nice_as_the_worker(built: Desk) -> None:
    with registered(built.home, "http://127.0.0.1:8378/mcp", HttpSettings()):
        built.spend(5)
        built.dbt.is_ready = False
        built.record("insight")
        built.spend(READY_SECONDS + 30)
        assert built.builds() == ["build"]
        assert not built.dbt.built_yielding
