"""A whole cycle that somebody else's worker makes, and how long a cycle waits for what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from cdesk.core.clock import format_ts
from cdesk.core.errors import BuildError, WarehouseUnavailable
from cdesk.core.home import StateDirectory
from cdesk.state.database import open_state
from cdesk.state.status import CycleAnswer, CycleRequest
from cdesk_app.worker import cycle, cycle_requests
from cdesk_app.worker.cycle import CycleReport, run_tickets
from cdesk_app.worker.cycle_requests import answer_request, ask_for_cycle, take_request
from cdesk_app.worker.status_board import StatusBoard
from uploader.uploader import DrainReport

NOW = 1_769_860_800_000_000_000


class Worker:
    """The running worker, in place of its lock: it looks when it is seen to be held."""

    def __init__(self, status: StatusBoard) -> None:
        self.status = status
        self.does: Callable[[CycleRequest], None] = lambda _: None
        self.is_there = True
        self.asked: list[CycleRequest] = []

    def acquire(self) -> bool:
        if self.is_there and (request := take_request(self.status)) is not None:
            self.asked.append(request)
            self.does(request)
        return not self.is_there


@pytest.fixture
def worker(state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setattr(cycle_requests, "_LOOK_SECONDS", 0.0)
    with closing(open_state(state_home.state_db)) as state:
        yield Worker(StatusBoard(state, lambda: NOW))


def ask(home: StateDirectory, worker: Worker, *, full: bool = False) -> CycleReport | None:
    told: list[Any] = []
    report = ask_for_cycle(home, worker, full=full, tell=lambda *step: told.append(step))  # type: ignore[arg-type]
    assert told == [("waiting for the running worker", 0, 0)]
    return report


def test_a_running_worker_is_asked_and_its_report_is_handed_over(
    worker: Worker, state_home: StateDirectory
) -> None:
    done = CycleReport(landed=3, builds=1, templates=None, failed_tests=("a", "b"))
    worker.does = lambda request: answer_request(worker.status, request, report=done)
    assert ask(state_home, worker) == replace(done, handed_over=True)
    assert [request.full for request in worker.asked] == [False]
    assert take_request(worker.status) is None, "it is answered"


def test_what_it_could_not_do_is_told_in_its_own_words(
    worker: Worker, state_home: StateDirectory
) -> None:
    worker.does = lambda request: answer_request(worker.status, request, error="model a failed")
    with pytest.raises(BuildError, match="model a failed"):
        ask(state_home, worker)


def test_a_worker_that_ends_meanwhile_leaves_the_cycle_to_who_asked(
    worker: Worker, state_home: StateDirectory
) -> None:
    worker.is_there = False
    assert ask(state_home, worker) is None


def test_a_worker_that_says_nothing_is_not_waited_for_without_end(
    worker: Worker, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter((0.0, 600.0, 600.1))
    monkeypatch.setattr(
        cycle_requests,
        "time",
        SimpleNamespace(monotonic=lambda: next(moments), time_ns=lambda: NOW, sleep=lambda _: None),
    )
    with pytest.raises(BuildError, match="did not answer"):
        ask(state_home, worker)
    moments = iter((0.0, 599.9, 600.0))
    with pytest.raises(BuildError, match="did not answer"):
        ask(state_home, worker)
    assert len(worker.asked) == cycle_requests._WAKE_EVERY


def test_a_request_that_waits_is_part_of_the_one_that_takes_its_place(
    worker: Worker, state_home: StateDirectory
) -> None:
    worker.does = lambda request: answer_request(worker.status, request, report=CycleReport())
    waits = CycleRequest(id="earlier", at="2026-01-31T11:00:00.000000Z", full=True)
    worker.status.keep(waits)
    ask(state_home, worker)
    assert worker.asked[-1].full, "the earlier one asked for all"
    ask(state_home, worker)
    assert not worker.asked[-1].full, "that one is answered"
    ask(state_home, worker, full=True)
    assert worker.asked[-1].full


@pytest.mark.parametrize("passed", [0, -1_000_000_000], ids=["stands still", "was set back"])
def test_who_asks_after_another_is_later_whatever_the_clock_says(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch, passed: int
) -> None:
    """Or the report on the second request would not be one on the first."""
    moments = iter((NOW, NOW + passed, NOW + 2 * passed))
    monkeypatch.setattr(
        cycle_requests, "time", SimpleNamespace(time_ns=lambda: next(moments), sleep=None)
    )
    with closing(open_state(state_home.state_db)) as state:
        status = StatusBoard(state, lambda: NOW)
        asked = [cycle_requests._leave_request(state, False) for _ in range(2)]
        answer_request(status, asked[1], report=CycleReport(builds=2))
        for one in asked:
            report = cycle_requests._answer_to(state, one)
            assert report is not None
            assert report.builds == 2
        after = cycle_requests._leave_request(state, False)
        assert cycle_requests._answer_to(state, after) is None, "that was on those before"
        status.keep(CycleRequest(id="a", at="no time"))
        monkeypatch.undo()
        assert (cycle_requests._leave_request(state, False).at or "") > format_ts(NOW)


def test_requests_left_at_one_time_are_told_apart(state_home: StateDirectory) -> None:
    """The one that stays is the latest."""

    def leave() -> CycleRequest:
        with closing(open_state(state_home.state_db)) as state:
            return cycle_requests._leave_request(state, False)

    with ThreadPoolExecutor(8) as pool:
        asked = list(pool.map(lambda _: leave(), range(64)))
    with closing(open_state(state_home.state_db)) as state:
        stays = StatusBoard(state, lambda: NOW).read(CycleRequest)
    assert stays == max(asked, key=lambda one: one.at or "")
    assert len({one.at for one in asked}) == len(asked)


def test_the_report_on_a_later_request_is_one_on_those_before(
    worker: Worker, state_home: StateDirectory
) -> None:
    def answered(asked_at: str) -> Callable[[CycleRequest], None]:
        def does(_: CycleRequest) -> None:
            other = CycleAnswer(id="another", asked_at=asked_at, ok=True, report={"landed": 7})
            worker.status.keep(other)
            worker.is_there = asked_at > "2100"

        return does

    worker.does = answered("2001-01-01T00:00:00.000000Z")
    assert ask(state_home, worker) is None, "an earlier one says nothing of this"
    worker.does, worker.is_there = answered("2999-01-01T00:00:00.000000Z"), True
    report = ask(state_home, worker)
    assert report is not None
    assert (report.landed, report.handed_over) == (7, True)


def test_an_answer_says_to_which_request_and_when(worker: Worker) -> None:
    at = "2026-01-31T12:00:00.000000Z"
    assert take_request(worker.status) is None, "nobody has asked"
    asked = CycleRequest(id="r", at="2026-01-31T11:00:00.000000Z")
    worker.status.keep(asked)
    assert take_request(worker.status) == asked
    answer_request(worker.status, asked, report=CycleReport(landed=3))
    assert worker.status.read(CycleAnswer) == CycleAnswer(
        id="r",
        asked_at=asked.at,
        at=at,
        ok=True,
        report={**CycleReport(landed=3).to_json(), "failed_tests": []},
    )
    answer_request(worker.status, asked, error="no")
    assert worker.status.read(CycleAnswer) == CycleAnswer(
        id="r", asked_at=asked.at, at=at, message="no"
    )


@pytest.mark.parametrize(
    ("answer", "is_one"),
    [
        (CycleAnswer(), False),
        (CycleAnswer(id="a", ok=True), True),
        (CycleAnswer(id="b", ok=True), False),
        (CycleAnswer(id="b", ok=True, asked_at="2026-02"), True),
        (CycleAnswer(id="b", ok=True, asked_at="2026-01"), False),
        (CycleAnswer(id="b", ok=True, asked_at="2025-12"), False),
    ],
)
def test_whose_answer_it_is(state_home: StateDirectory, answer: CycleAnswer, is_one: bool) -> None:
    with closing(open_state(state_home.state_db)) as state:
        StatusBoard(state, lambda: NOW).keep(answer)
        asked = CycleRequest(id="a", at="2026-01")
        assert (cycle_requests._answer_to(state, asked) is not None) is is_one
        told = cycle_requests._answer_to(state, CycleRequest(id="a"))
        assert (told is not None) is (answer.id == "a"), "of one without a time nothing is later"


def test_a_worker_that_says_nothing_of_why_is_told_of_all_the_same(
    state_home: StateDirectory,
) -> None:
    with closing(open_state(state_home.state_db)) as state:
        StatusBoard(state, lambda: NOW).keep(CycleAnswer(id="a"))
        with pytest.raises(BuildError, match="the running worker could not do it"):
            cycle_requests._answer_to(state, CycleRequest(id="a", at="2026-01"))


def test_a_report_of_another_version_is_read_as_far_as_it_is_known() -> None:
    told = {"landed": 2, "new_field": 1, "failed_tests": ["a"], "templates": 40}
    assert CycleReport.from_json(told) == CycleReport(
        landed=2, failed_tests=("a",), templates=40, handed_over=True
    )
    assert CycleReport.from_json({"failed_tests": None}).failed_tests == ()
    whole = CycleReport(landed=1, failed_tests=("x",))
    assert CycleReport.from_json(whole.to_json()) == replace(whole, handed_over=True)


def draining(*reports: DrainReport) -> Any:
    waiting = iter(reports)
    return SimpleNamespace(
        drain=lambda: next(waiting), uploader=SimpleNamespace(debounce_seconds=0.0)
    )


def test_a_cycle_drains_to_the_end_or_says_what_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    moments = [0.0]
    clock = SimpleNamespace(monotonic=lambda: moments[0], sleep=pauses.append)
    monkeypatch.setattr(cycle, "time", clock)
    busy = DrainReport(landed=2, quarantined=1, blocked="warehouse_unavailable", waiting=5)
    report = CycleReport()
    cycle._drain(draining(busy, DrainReport(landed=3, waiting=0)), report)
    assert (report.landed, report.quarantined, report.waiting, pauses) == (5, 1, 0, [0.05])
    cycle._drain(draining(DrainReport(blocked="stopped", waiting=4)), report)
    assert report.waiting == 4
    for blocked in ("warehouse_not_built", "warehouse_error"):
        with pytest.raises(WarehouseUnavailable, match=f"1,200 records wait.*{blocked}"):
            cycle._drain(draining(DrainReport(blocked=blocked, waiting=1_200)), report)
    told = DrainReport(blocked="busy", message="another drains", waiting=1)
    assert len(pauses) == 1, "what no pause mends is not waited for"

    def later(seconds: float) -> None:
        pauses.append(seconds)
        moments[0] += 30.5

    clock.sleep = later
    with pytest.raises(WarehouseUnavailable, match="another drains"):
        cycle._drain(draining(told, told, told, told), report)
    assert len(pauses) == 3, "for a minute"


def test_tickets_are_waited_for_until_none_waits_or_it_takes_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moments = [0.0]
    monkeypatch.setattr(cycle, "time", SimpleNamespace(monotonic=lambda: moments[0]))

    def running(*left: int, idle: bool = True) -> tuple[Any, list[str]]:
        counts, done = [*left], list[str]()

        def poll() -> None:
            done.append("poll")

        def wait_idle(seconds: float) -> bool:
            moments[0] += seconds
            return idle

        runner = SimpleNamespace(poll=poll, wait_idle=wait_idle)
        queued = lambda: counts.pop(0) if len(counts) > 1 else counts[0]  # noqa: E731
        return SimpleNamespace(runner=runner, queued_tickets=queued), done

    pipeline, done = running(3, 2, 0)
    assert (run_tickets(pipeline, seconds=120.0), len(done)) == (3, 2)
    pipeline, done = running(0)
    assert (run_tickets(pipeline, seconds=120.0), len(done)) == (0, 1)
    pipeline, done = running(3, idle=False)
    assert (run_tickets(pipeline, seconds=5.0), len(done)) == (0, 5)


# -- the whole way once


class Fake:
    """Stands for Pipeline: what a cycle asks of it, in its order, between what it tells."""

    def __init__(
        self,
        *,
        builds: bool = True,
        stale: bool = False,
        reason: str | None = None,
        has_prebuilt: bool = False,
        refresh_due: bool = False,
        test_due: bool = False,
        clean_up_in: float = 1.0,
        landed: tuple[int, ...] = (),
        captured: tuple[int, ...] = (),
        waiting: tuple[list[str], ...] = (),
        again: str | None = None,
    ) -> None:
        self.asked: list[Any] = []
        self.builds, self.has_prebuilt = builds, has_prebuilt
        self.refresh_due, self.test_due = refresh_due, test_due
        self.last_changed, self.last_templates = 0, 40
        self.schedule = SimpleNamespace(is_stale=stale, reason=reason)
        self.uploader = SimpleNamespace(debounce_seconds=0.0)
        self.clean_up = SimpleNamespace(
            due_in=lambda: clean_up_in, run=lambda: self.asked.append("clean up")
        )
        self.costs = SimpleNamespace(look=lambda: self.asked.append("costs"))
        self.runner = SimpleNamespace(poll=lambda: self.asked.append("poll"), wait_idle=bool)
        self.backlog = SimpleNamespace(waiting=lambda: next(self._waiting, []))
        self._landed, self._captured, self._waiting = iter(landed), iter(captured), iter(waiting)
        self._again = again
        self._tickets = iter((2, 0))

    def tell(self, what: str, done: int, total: int) -> None:
        self.asked.append((what, done, total))

    def look_at_project(self) -> None:
        self.asked.append("look")

    def build(self, *, full: bool, progress: Callable[[int, int, str], None]) -> Any:
        self.asked.append(("build", full))
        progress(1, 2, "events")
        self.schedule = SimpleNamespace(is_stale=False, reason=None)
        self.last_changed, self.refresh_due = 2, False
        return SimpleNamespace(seconds=0.5)

    def drain(self) -> DrainReport:
        self.asked.append("drain")
        report = DrainReport(landed=next(self._landed, 0))
        if report.landed and self._again:
            self.schedule.reason = self._again
        return report

    def capture(self) -> int:
        return next(self._captured, 0)

    def refresh(self) -> None:
        self.asked.append("refresh")
        self.last_changed = 3

    def export(self) -> None:
        self.asked.append("export")

    def queued_tickets(self) -> int:
        return next(self._tickets, 0)

    def test(self, *, progress: Callable[[int, int, str], None]) -> tuple[str, ...]:
        self.asked.append("test")
        progress(1, 3, "")
        return ("unique_events",)

    def export_dashboard(self) -> None:
        self.asked.append("dashboard")


def cycled(full: bool = False, **pipeline: Any) -> tuple[CycleReport, list[Any]]:
    fake = Fake(**pipeline)
    return cycle.run_cycle(fake, full=full), fake.asked  # type: ignore[arg-type]


def test_a_whole_cycle_goes_from_the_queue_to_the_next_conversation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moments = [1_000.0]
    monkeypatch.setattr(cycle, "time", SimpleNamespace(monotonic=lambda: moments[0]))
    fake = Fake(stale=True, landed=(3, 1), test_due=True, clean_up_in=0.0, again="landed")

    def idle(seconds: float) -> bool:
        moments[0] += 1.2346 * seconds
        return True

    fake.runner.wait_idle = idle  # type: ignore[assignment]
    report = cycle.run_cycle(fake, full=True, tell=fake.tell)  # type: ignore[arg-type]
    assert fake.asked == [
        "look",
        *(("building", 0, 0), ("build", True), ("building", 1, 2)),
        *(("landing", 0, 0), "drain"),
        *(("building", 0, 0), ("build", False), ("building", 1, 2)),
        *("export", "costs"),
        *(("running tickets", 0, 0), "poll"),
        *(("testing", 0, 0), "test", ("testing", 1, 3)),
        "clean up",
        *(("landing", 0, 0), "drain"),
        "dashboard",
    ]
    assert report == CycleReport(
        landed=4,
        builds=2,
        build_seconds=1.0,
        contexts_changed=4,
        templates=40,
        tickets=2,
        seconds=1.235,
        failed_tests=("unique_events",),
    )


@pytest.mark.parametrize(
    ("full", "pipeline", "builds"),
    [
        (False, {}, [False]),
        (True, {}, [True]),
        (False, {"stale": True}, [False]),
        (False, {"stale": True, "landed": (1,), "again": "landed"}, [False, False]),
        (False, {"has_prebuilt": True}, []),
        (True, {"has_prebuilt": True}, [True]),
        (False, {"has_prebuilt": True, "landed": (1,)}, [False]),
        (False, {"has_prebuilt": True, "reason": "new_day"}, [False]),
        (True, {"builds": False, "stale": True, "reason": "landed"}, []),
    ],
)
def test_a_cycle_builds_what_is_asked_for_or_has_landed_where_builds_are_made(
    full: bool, pipeline: dict[str, Any], builds: list[bool]
) -> None:
    report, asked = cycled(full, **pipeline)
    assert [one[1] for one in asked if one[0] == "build"] == builds
    assert report.builds == len(builds)


@pytest.mark.parametrize(
    ("pipeline", "changed"),
    [
        ({}, 2),
        ({"has_prebuilt": True}, 0),
        ({"has_prebuilt": True, "refresh_due": True}, 3),
        ({"builds": False}, 3),
    ],
)
def test_a_cycle_renews_the_snapshot_where_no_build_of_it_has(
    pipeline: dict[str, Any], changed: int
) -> None:
    report, asked = cycled(**pipeline)
    assert report.contexts_changed == changed
    assert ("refresh" in asked) == (changed == 3)


@pytest.mark.parametrize(
    ("full", "pipeline", "is_tested"),
    [
        (False, {}, False),
        (True, {}, True),
        (False, {"test_due": True}, True),
        (True, {"test_due": True, "builds": False}, False),
    ],
)
def test_a_cycle_tests_what_it_builds(
    full: bool, pipeline: dict[str, Any], is_tested: bool
) -> None:
    report, asked = cycled(full, **pipeline)
    assert ("test" in asked) == is_tested
    assert report.failed_tests == (("unique_events",) if is_tested else ())
    assert "clean up" not in asked, "it is not due"


@pytest.mark.parametrize(
    ("captured", "waiting", "landed", "drains"),
    [
        ((), (), (5,), 1),
        ((3,), (), (0, 3), 2),
        ((0,), (["a file"],), (0, 2_000), 2),
        ((3, 3), (), (1, 3, 3), 3),
        ((3, 3, 3, 3), (), (1, 3, 0, 3), 3),
    ],
)
def test_histories_are_taken_in_until_none_is_left_or_none_of_it_lands(
    captured: tuple[int, ...], waiting: tuple[list[str], ...], landed: tuple[int, ...], drains: int
) -> None:
    _, asked = cycled(captured=captured, waiting=waiting, landed=landed)
    before_builds = asked[: asked.index(("build", False))]
    assert before_builds.count("drain") == drains


def test_a_report_of_nothing_says_nothing() -> None:
    assert CycleReport().to_json() == {
        "landed": 0,
        "quarantined": 0,
        "builds": 0,
        "build_seconds": 0.0,
        "contexts_changed": 0,
        "templates": None,
        "tickets": 0,
        "waiting": 0,
        "seconds": 0.0,
        "failed_tests": (),
        "handed_over": False,
    }
