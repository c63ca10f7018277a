"""What the worker does again and again: when each task is due, what it does, and when it comes to
the next one. The pipeline is a stand-in that says what it was asked.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from cdesk.core.backoff import Backoff
from cdesk.core.errors import BuildError, NewerVersion, WarehouseUnavailable
from cdesk.core.metrics import ERRORS
from cdesk.state.counts import Counts
from cdesk.state.status import CycleRequest
from cdesk_app.worker import tasks as module
from cdesk_app.worker.cycle import CycleReport
from cdesk_app.worker.tasks import (
    AT_ONCE,
    BEGIN_RECORDS,
    BUSY_POLL_SECONDS,
    CATALOG_SECONDS,
    COSTS_SECONDS,
    COUNTS_SECONDS,
    DASHBOARD_SECONDS,
    POLL_SECONDS,
    QUERY_SECONDS,
    READY_POLL_SECONDS,
    READY_SECONDS,
    SERVICE_DASHBOARD_SECONDS,
    TEST_RETRY,
    TESTS_PAUSE_SECONDS,
    WARM_UP_SECONDS,
    WAY_SECONDS,
    PipelineTasks,
    Task,
    TaskTable,
)
from cdesk_app.worker.version import Upgraded, running_version

# -- the table


class Desk:
    """A table of tasks on a clock of its own."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.counts = Counts()
        self.active = 0
        self.failed: list[Exception] = []
        self.since: list[float] = []
        self.ran: list[str] = []

    def table(self, *tasks: Task, **more: Any) -> TaskTable:
        return TaskTable(
            tasks,
            monotonic=lambda: self.seconds,
            active=self._active,
            failed=self.failed.append,
            counts=self.counts,
            **more,
        )

    def task(
        self,
        name: str,
        due: float | None = 0.0,
        *,
        error: Exception | None = None,
        worked: bool = False,
        **more: Any,
    ) -> Task:
        def when(since: float) -> float | None:
            self.since.append(since)
            return due

        def run() -> bool:
            self.ran.append(name)
            if error is not None:
                raise error
            return worked

        return Task(name, when, run, **more)

    def _active(self) -> None:
        self.active += 1

    def errors(self) -> dict[tuple[str, ...], float]:
        found = self.counts._table.get(ERRORS, {})
        return {labels: one.value for labels, one in found.items()}


def test_what_is_due_runs_in_the_order_of_the_table_and_the_soonest_ends_the_pause() -> None:
    desk = Desk()
    table = desk.table(
        desk.task("a", period=lambda: 20.0),
        desk.task("soon", 0.5),
        desk.task("never", None),
        desk.task("b", period=lambda: 12.0, worked=True),
    )
    assert table.turn() == 0.5
    assert desk.ran == ["a", "b"]
    assert desk.active == 1, "by the one that had work"
    assert desk.since == [math.inf] * 4
    desk.seconds += 7
    desk.since.clear()
    table.turn()
    assert desk.since == [7.0, math.inf, math.inf, 7.0]
    assert desk.table(desk.task("a")).turn() == POLL_SECONDS
    assert desk.table(desk.task("never", None), desk.task("late", 99.0)).turn() == POLL_SECONDS


def test_a_task_that_fails_is_put_off_and_counted_and_keeps_no_other_from_its_turn() -> None:
    desk = Desk()
    error = WarehouseUnavailable("held")
    retry = Backoff(10.0, 1_000.0)
    table = desk.table(desk.task("a", error=error, retry=retry), desk.task("b"))
    assert table.turn() == 10.0
    assert desk.ran == ["a", "b"]
    assert (desk.active, desk.failed) == (1, []), "somebody had work for the worker"
    assert desk.errors() == {("a", "warehouse_unavailable"): 1.0}
    desk.seconds += 9.5
    assert table.turn() == 0.5
    assert desk.ran == ["a", "b", "b"]
    desk.seconds += 0.5
    table.turn()
    assert desk.ran == ["a", "b", "b", "a", "b"]


def test_an_unexpected_error_is_told_and_tried_again_after_some_seconds() -> None:
    desk = Desk()
    error = ZeroDivisionError("no")
    table = desk.table(desk.task("a", error=error, retry=AT_ONCE), rng=random.Random(7))
    pause = table.turn()
    assert pause == 5.0 * random.Random(7).uniform(0.5, 1.5), "spread over those who wait"
    assert desk.failed == [error]
    assert desk.active == 0
    assert desk.errors() == {("a", "internal"): 1.0}
    table.turn()
    assert desk.ran == ["a"]
    desk.seconds += 10.0
    table.turn()
    assert desk.ran == ["a", "a"]


def test_a_task_that_knows_itself_when_to_try_again_is_asked_for_it() -> None:
    desk = Desk()
    due = iter((0.0, 17.0))

    def fail() -> bool:
        raise BuildError("no")

    table = desk.table(Task("build", lambda _: next(due), fail, retry=AT_ONCE))
    assert table.turn() == 17.0


@pytest.mark.parametrize("error", [NewerVersion("newer"), Upgraded("another")])
def test_a_worker_that_must_end_ends_at_once(error: Exception) -> None:
    desk = Desk()
    with pytest.raises(type(error)):
        desk.table(desk.task("a", error=error), desk.task("b")).turn()
    assert (desk.ran, desk.errors()) == (["a"], {})


def test_a_table_counts_for_nobody_where_it_is_given_no_counts() -> None:
    desk = Desk()
    table = TaskTable(
        [desk.task("a", error=BuildError("no"), retry=AT_ONCE)],
        monotonic=lambda: desk.seconds,
        active=desk._active,
    )
    assert table.turn() == 0.0


# -- the tasks


@dataclass
class Fake:
    """Stands for Pipeline: what it was asked, and what the tasks go by."""

    asked: list[Any] = field(default_factory=list)
    builds: bool = True
    is_warm: bool = False
    is_ready: bool = True
    test_due: bool = False
    refresh_due: bool = False
    dashboard_due: bool = False
    is_dashboard_begun: bool = False
    is_dashboard_under_way: bool = False
    nears_many: bool = False
    depth: int = 0
    debounce: float = 0.25
    due: float | None = None
    queued: int = 0
    landed: int = 0
    blocked: str | None = None
    behind: list[str] = field(default_factory=list)
    polled: int = 0
    catalog_exists: bool = True
    catalog_stands: bool = True

    def __post_init__(self) -> None:
        self.stop = threading.Event()
        self.state, self.status = "state.db", "status"
        self.uploader: Any = SimpleNamespace(depth=lambda: self.depth)
        self.runner = SimpleNamespace(
            poll=lambda: self.polled, wait_idle=self.says("idle"), busy=False, gives_way=False
        )
        self.schedule = SimpleNamespace(
            due_in=lambda: self.due, nears_many=self.nears_many, can_wait=False
        )
        self.backlog = SimpleNamespace(waiting=lambda: self.behind)
        self.catalog = SimpleNamespace(look=lambda: "catalog" if self.catalog_stands else None)
        self.home = SimpleNamespace(catalog=SimpleNamespace(exists=lambda: self.catalog_exists))
        self.clean_up = SimpleNamespace(due_in=lambda: 4_321.0, run=self.says("clean up"))
        self.queue = SimpleNamespace(due=False, seal=self.says("seal"))
        self.costs = SimpleNamespace(enabled=True, look=self.says("costs"))
        for name in (
            *("export", "refresh", "begin_dashboard", "end_dashboard", "test_part"),
            *("hand_over_counts", "build", "warm"),
        ):
            setattr(self, name, self.says(name))

    def says(self, name: str) -> Callable[..., None]:
        def say(*given: object, **named: object) -> None:
            self.asked.append((name, *given, *named.values()) if given or named else name)

        return say

    def drain(self) -> SimpleNamespace:
        self.asked.append("drain")
        return SimpleNamespace(landed=self.landed, blocked=self.blocked)

    def queued_tickets(self) -> int:
        return self.queued


class Worker:
    """The tasks of a worker on a clock of its own."""

    def __init__(self, *, others: bool = True, **pipeline: Any) -> None:
        self.seconds = 1_000.0
        self.pipeline = Fake(**pipeline)
        self.pipeline.uploader.debounce_seconds = self.pipeline.debounce
        self.installed: str | None = running_version()
        self.tasks = PipelineTasks(
            self.pipeline,  # type: ignore[arg-type]
            lambda: others,
            lambda: self.installed,
            monotonic=lambda: self.seconds,
        )
        self.by_name = {task.name: task for task in self.tasks.table()}

    def due(self, name: str, since: float = 0.0) -> float | None:
        return self.by_name[name].due(since)

    def run(self, name: str) -> bool:
        self.pipeline.asked.clear()
        return self.by_name[name].run()

    @property
    def asked(self) -> list[Any]:
        return self.pipeline.asked

    def give_way(self) -> None:
        self.tasks._jobs.gives_way = True


def test_the_tasks_come_in_their_order_and_each_knows_when_to_come_again() -> None:
    worker = Worker()
    assert [*worker.by_name] == [
        *("version", "way", "begin", "tickets", "request", "drain", "warm", "build", "tests"),
        *("catalog", "refresh", "dashboard", "clean up", "seal", "costs", "counts"),
    ]
    retries = {name: task.retry for name, task in worker.by_name.items()}
    assert {name for name, retry in retries.items() if retry is AT_ONCE} == {"begin", "build"}
    assert retries["tests"] is TEST_RETRY
    assert worker.by_name["seal"].period() == POLL_SECONDS


def test_a_worker_of_another_version_or_on_newer_files_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = Worker()
    looked: list[Any] = []
    monkeypatch.setattr(module, "require_current", lambda *given: looked.append(given))
    assert worker.due("version") == 0.0
    assert worker.run("version") is False
    assert looked == [("state.db", worker.pipeline.home)]
    worker.installed = "999.0"
    with pytest.raises(Upgraded):
        worker.run("version")

    def newer(*_: object) -> None:
        raise NewerVersion("newer")

    monkeypatch.setattr(module, "require_current", newer)
    with pytest.raises(NewerVersion):
        worker.run("version")


@pytest.mark.parametrize(
    ("depth", "asked"), [(0, ["drain"]), (BEGIN_RECORDS, ["drain"]), (BEGIN_RECORDS + 1, [])]
)
def test_a_worker_begins_with_what_lands_in_a_moment(depth: int, asked: list[str]) -> None:
    worker = Worker(depth=depth, landed=2)
    assert worker.due("begin") == 0.0
    assert worker.run("begin") is bool(asked)
    assert worker.asked == asked
    assert worker.due("begin") is None, "once"


@pytest.mark.parametrize(
    ("busy", "queued", "works"), [(False, 0, False), (True, 0, True), (False, 1, True)]
)
def test_queries_keep_the_worker_awake_and_a_landing_waits_a_moment_for_new_ones(
    busy: bool, queued: int, works: bool
) -> None:
    worker = Worker(queued=queued)
    worker.pipeline.runner.busy = busy
    assert worker.due("tickets") == 0.0
    assert worker.run("tickets") is works
    assert worker.asked == []
    assert worker.by_name["tickets"].period() == (BUSY_POLL_SECONDS if works else POLL_SECONDS)
    worker.pipeline.polled = 1
    worker.run("tickets")
    assert worker.asked == [("idle", QUERY_SECONDS)]


def test_a_cycle_that_was_asked_for_is_made_and_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    request: CycleRequest | None = None
    outcome: CycleReport | Exception = CycleReport(landed=3)
    told: list[Any] = []

    def run_cycle(pipeline: object, *, full: bool) -> CycleReport:
        told.append((pipeline, full))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(module, "take_request", lambda status: status and request)
    monkeypatch.setattr(module, "run_cycle", run_cycle)
    monkeypatch.setattr(
        module, "answer_request", lambda status, one, **what: told.append((status, one, what))
    )
    assert worker.due("request") is None
    assert worker.run("request") is False
    assert told == []
    request = CycleRequest(id="r", full=True)
    assert worker.due("request") == 0.0
    assert worker.run("request") is True
    assert told == [(worker.pipeline, True), ("status", request, {"report": outcome})]
    told.clear()
    outcome = BuildError("model events failed")
    assert worker.run("request") is True
    assert told[1:] == [("status", request, {"error": "model events failed"})]
    told.clear()
    outcome = ZeroDivisionError("no")
    with pytest.raises(ZeroDivisionError):
        worker.run("request")
    error = "ZeroDivisionError; the worker's log says more"
    assert told[1:] == [("status", request, {"error": error})]


@pytest.mark.parametrize(
    ("landed", "blocked", "behind", "pause"),
    [
        (0, None, [], POLL_SECONDS),
        (1, None, [], POLL_SECONDS),
        (2, None, ["a file"], 0.0),
        (0, "busy", ["a file"], BUSY_POLL_SECONDS),
        (1, "warehouse_unavailable", [], BUSY_POLL_SECONDS),
        (0, "warehouse_not_built", [], POLL_SECONDS),
        (0, "stopped", ["a file"], POLL_SECONDS),
    ],
)
def test_landing_comes_again_by_what_the_last_one_left(
    landed: int, blocked: str | None, behind: list[str], pause: float
) -> None:
    worker = Worker(landed=landed, blocked=blocked, behind=behind)
    assert worker.by_name["drain"].period() == POLL_SECONDS, "before the first"
    assert worker.due("drain") == 0.25, "the uploader says when"
    assert worker.run("drain") is (landed > 0)
    assert worker.by_name["drain"].period() == pause
    worker.pipeline.uploader.debounce_seconds = 7.0
    assert worker.by_name["drain"].period() == (7.0 if pause == BUSY_POLL_SECONDS else pause)


@pytest.mark.parametrize(
    ("builds", "due", "is_warm", "expected"),
    [
        (True, None, False, None),
        (True, 0.0, False, None),
        (True, 1.0, False, 0.0),
        (True, WARM_UP_SECONDS, False, 0.0),
        (True, 60.0, False, 60.0 - WARM_UP_SECONDS),
        (True, 60.0, True, None),
        (False, 60.0, False, None),
    ],
)
def test_what_builds_is_started_shortly_before(
    builds: bool, due: float | None, is_warm: bool, expected: float | None
) -> None:
    worker = Worker(builds=builds, due=due, is_warm=is_warm)
    assert worker.due("warm") == expected
    worker.pipeline.schedule.nears_many = True
    assert worker.due("warm") == (None if expected is None else 0.0)
    assert worker.run("warm") is False
    assert worker.asked == [("warm", False)]
    worker.give_way()
    worker.run("warm")
    assert worker.asked == [("warm", True)]


def test_a_build_is_made_when_it_is_due_and_what_it_made_lands() -> None:
    worker = Worker(due=12.0)
    assert worker.due("build") == 12.0
    assert worker.run("build") is True
    assert worker.asked == ["build", "drain"]
    assert worker.by_name["build"].period() == 12.0
    worker.pipeline.due = None
    assert worker.due("build") is None
    assert worker.by_name["build"].period() == POLL_SECONDS
    worker.pipeline.is_ready = False
    worker.run("build")
    assert worker.asked == ["build", "drain"], "what does not give way gets itself ready"
    assert Worker(due=12.0, builds=False).due("build") is None


def test_what_gives_way_gets_ready_first_for_a_while() -> None:
    worker = Worker(due=0.0, is_ready=False)
    worker.give_way()
    assert worker.run("build") is False
    assert worker.asked == [("warm", True)]
    assert worker.by_name["build"].period() == READY_POLL_SECONDS
    worker.seconds += READY_SECONDS - 1
    assert worker.run("build") is False
    worker.pipeline.is_ready = True
    assert worker.run("build") is True
    assert worker.asked == ["build", "drain"]
    assert worker.by_name["build"].period() == 0.0
    worker.pipeline.is_ready = False
    assert worker.run("build") is False, "the wait is another one"
    worker.seconds += READY_SECONDS
    assert worker.run("build") is True
    assert worker.asked == [("warm", True), "build", "drain"]
    assert not worker.tasks._jobs.gives_way_now("build"), "and builds as nice as the worker"


@pytest.mark.parametrize(
    ("wanted", "builds", "stopped", "due", "since", "expected"),
    [
        (True, True, False, None, math.inf, 0.0),
        (True, True, False, 60.0, 1.0, TESTS_PAUSE_SECONDS - 1.0),
        (True, True, False, 0.0, math.inf, None),
        (False, True, False, None, math.inf, None),
        (True, False, False, None, math.inf, None),
        (True, True, True, None, math.inf, None),
    ],
)
def test_data_tests_come_where_no_build_does_with_pauses_between_their_slices(
    wanted: bool,
    builds: bool,
    stopped: bool,
    due: float | None,
    since: float,
    expected: float | None,
) -> None:
    worker = Worker(test_due=wanted, builds=builds, due=due)
    if stopped:
        worker.pipeline.stop.set()
    assert worker.due("tests", since) == expected
    assert worker.by_name["tests"].period() == (TESTS_PAUSE_SECONDS if wanted else POLL_SECONDS)
    assert worker.run("tests") is True
    assert worker.asked == ["test_part"]


@pytest.mark.parametrize(
    ("builds", "exists", "stands", "others", "since", "expected"),
    [
        (True, True, False, True, 1.0, 0.0),
        (True, True, True, True, math.inf, None),
        (True, False, False, True, math.inf, None),
        (False, True, False, False, 1.0, 0.0),
        (False, True, True, True, math.inf, 0.0),
        (False, True, True, False, math.inf, 0.0),
        (False, True, True, True, 1.0, CATALOG_SECONDS - 1.0),
        (False, True, True, False, 1.0, None),
    ],
)
def test_the_catalog_is_renewed_where_it_was_changed_and_elsewhere_while_a_shim_is_there(
    builds: bool, exists: bool, stands: bool, others: bool, since: float, expected: float | None
) -> None:
    worker = Worker(builds=builds, catalog_exists=exists, catalog_stands=stands, others=others)
    assert worker.due("catalog", since) == expected


def test_who_does_not_build_renews_the_snapshot_with_the_catalog() -> None:
    for builds, before, after in (
        (True, False, False),
        (True, True, True),
        (False, False, True),
        (False, True, True),
    ):
        worker = Worker(builds=builds, refresh_due=before)
        assert worker.run("catalog") is False
        assert worker.asked == ["export"]
        assert worker.pipeline.refresh_due is after
    worker = Worker(builds=False, landed=1)
    for _ in range(3):
        worker.run("catalog")
    assert worker.due("catalog", 0.0) == 4 * CATALOG_SECONDS
    worker.run("drain")
    assert worker.due("catalog", 0.0) == CATALOG_SECONDS


def test_the_snapshot_is_renewed_where_it_is_behind() -> None:
    worker = Worker()
    assert worker.due("refresh") is None
    worker.pipeline.refresh_due = True
    assert worker.due("refresh") == 0.0
    assert worker.run("refresh") is False
    assert worker.asked == ["refresh"]


def test_the_dashboard_follows_a_refresh_once_in_its_period() -> None:
    worker = Worker()
    assert worker.due("dashboard", math.inf) is None
    worker.pipeline.dashboard_due = True
    assert worker.due("dashboard", math.inf) == 0.0
    assert worker.due("dashboard", 10.0) == DASHBOARD_SECONDS - 10.0
    assert worker.run("dashboard") is False
    assert worker.asked == [("begin_dashboard", False)]
    worker.give_way()
    assert worker.due("dashboard", 10.0) == SERVICE_DASHBOARD_SECONDS - 10.0
    worker.run("dashboard")
    assert worker.asked == [("begin_dashboard", True)]


def test_a_dashboard_is_ended_once_it_is_there_before_another_is_begun() -> None:
    worker = Worker(dashboard_due=True, is_dashboard_begun=True, is_dashboard_under_way=True)
    assert worker.due("dashboard", math.inf) is None, "its end wakes the loop"
    worker.pipeline.is_dashboard_under_way = False
    assert worker.due("dashboard", 0.0) == 0.0
    assert worker.run("dashboard") is False
    assert worker.asked == ["end_dashboard"]


def test_an_http_service_is_looked_for_until_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    worker, service = Worker(), Worker(builds=False)
    running = False
    monkeypatch.setattr(module, "is_running", lambda home: home is not None and running)
    calls: list[str] = []
    monkeypatch.setattr(module, "give_way_in_everything", lambda: calls.append("all"))
    assert worker.due("way", WAY_SECONDS) == 0.0
    assert worker.due("way", WAY_SECONDS - 0.5) is None
    assert worker.run("way") is False
    assert (worker.pipeline.runner.gives_way, worker.tasks._jobs.gives_way) == (False, False)
    assert calls == []
    running = True
    for one in (worker, service):
        assert one.run("way") is False
        assert one.pipeline.runner.gives_way
        assert one.due("way", math.inf) is None
    assert calls == ["all"] * 2
    assert worker.tasks._jobs.gives_way
    assert not service.tasks._jobs.gives_way, "a driver's threads outlive a job"


@pytest.mark.parametrize(
    ("enabled", "since", "expected"),
    [
        (True, COSTS_SECONDS, 0.0),
        (True, math.inf, 0.0),
        (True, COSTS_SECONDS - 1, None),
        (False, math.inf, None),
    ],
)
def test_costs_are_looked_at_once_a_minute_where_they_are_guarded(
    enabled: bool, since: float, expected: float | None
) -> None:
    worker = Worker()
    worker.pipeline.costs.enabled = enabled
    assert worker.due("costs", since) == expected
    assert worker.run("costs") is False
    assert worker.asked == ["costs"]


def test_small_things_are_done_with_a_turn_that_comes_anyway() -> None:
    worker = Worker()
    assert worker.due("clean up") == 4_321.0
    assert worker.run("clean up") is False
    assert worker.asked == ["clean up"]
    assert worker.due("counts", COUNTS_SECONDS) == 0.0
    assert worker.due("counts", COUNTS_SECONDS - 1) is None
    assert worker.run("counts") is False
    assert worker.asked == ["hand_over_counts"]
    assert worker.due("seal") is None
    worker.pipeline.queue.due = True
    assert worker.due("seal") == 0.0
    assert worker.run("seal") is False
    assert worker.asked == ["seal"]

    def full() -> None:
        raise OSError("full")

    worker.pipeline.queue.seal = full
    assert worker.run("seal") is False, "it stays open, and is sealed later"


def test_jobs_that_are_late_beside_a_service_give_way_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits: list[tuple[str, float]] = []
    worker = Worker()

    def run(kind: str, job: Callable[[], Any], *, seconds: float) -> Any:
        limits.append((kind, seconds))
        return job()

    monkeypatch.setattr(worker.tasks._jobs, "run", run)
    for name in ("drain", "build", "refresh"):
        worker.run(name)
    assert limits == [("landing", 2.0), ("build", 4.0), ("landing", 2.0), ("refresh", 2.0)]
