"""When the worker's loop waits, rests and ends. Its tasks are stand-ins (test_loop.py has them all
over real parts).
"""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from cdesk.core.errors import BuildError, NewerVersion
from cdesk.core.metrics import ERRORS
from cdesk.state.counts import Counts
from cdesk_app.worker import loop as module
from cdesk_app.worker.loop import FINISH_SECONDS, REST_SECONDS, Loop
from cdesk_app.worker.tasks import POLL_SECONDS, Task
from cdesk_app.worker.version import Upgraded, installed_version


class Desk:
    """A loop with one task, on a clock that each wait moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1_000.0
        self.steps: list[Any] = []
        self.stop = threading.Event()
        self.others = True
        self.owned = True
        self.turns = 0
        self.does: Callable[[], bool] = lambda: False
        self.after_wait: Callable[[], None] = lambda: None
        self.pipeline: Any = SimpleNamespace(
            counts=Counts(),
            look_at_project=lambda: self.steps.append("project"),
            drain=lambda: self.steps.append("drain"),
            state_file=SimpleNamespace(stands=True, look=lambda: self.steps.append("look")),
        )
        monkeypatch.setattr(module, "PipelineTasks", self._tasks)
        self.loop = self.made()

    def made(self, **more: Any) -> Loop:
        return Loop(
            self.pipeline,
            self._wait,
            self.stop,
            others_live=lambda: self.others,
            owned=lambda: self.owned,
            rest=lambda: self.steps.append(("rest", self.seconds)),
            monotonic=lambda: self.seconds,
            **more,
        )

    def _tasks(
        self, pipeline: Any, others_live: Any, installed: Any, *, monotonic: Callable[[], float]
    ) -> Any:
        assert (pipeline, others_live()) == (self.pipeline, self.others)
        assert monotonic() == self.seconds
        self.installed = installed
        return SimpleNamespace(table=lambda: [Task("one", lambda _: 0.0, self._turn)])

    def _turn(self) -> bool:
        self.turns += 1
        return self.does()

    def _wait(self, seconds: float) -> bool:
        self.steps.append(seconds)
        self.seconds += seconds
        self.after_wait()
        return False

    def until(self, seconds: float) -> None:
        """Stop once so much time has passed."""
        end = self.seconds + seconds

        def stop() -> None:
            if self.seconds >= end:
                self.stop.set()

        self.after_wait = stop


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(monkeypatch)


def test_a_loop_looks_at_the_project_then_turns_and_waits_until_it_is_stopped(desk: Desk) -> None:
    desk.until(POLL_SECONDS)
    assert desk.loop.run(math.inf) == "stopped"
    assert (desk.steps[0], desk.turns) == ("project", 1)
    assert desk.steps[-1] == POLL_SECONDS
    assert desk.installed is installed_version
    assert desk.loop.run(math.inf) == "stopped"
    assert desk.turns == 1


def test_a_stop_in_a_turn_ends_it_without_a_wait(desk: Desk) -> None:
    desk.does = lambda: desk.stop.set() or True
    assert desk.loop.run(math.inf) == "stopped"
    assert desk.steps == ["project"]


def test_who_no_longer_owns_the_directory_does_nothing_more_in_it(desk: Desk) -> None:
    desk.owned = False
    assert desk.loop.run(math.inf) == "removed"
    assert desk.turns == 0
    default = Loop(
        desk.pipeline,
        desk._wait,
        desk.stop,
        others_live=lambda: True,
        monotonic=lambda: desk.seconds,
    )
    desk.until(POLL_SECONDS)
    assert default.run(math.inf) == "stopped"
    assert desk.turns == 1, "one that nobody tells owns it"


def test_a_directory_whose_state_is_another_is_left_to_the_next_worker(desk: Desk) -> None:
    desk.pipeline.state_file.stands = False
    assert desk.loop.run(math.inf) == "damaged"
    assert desk.turns == 1


def test_a_worker_ends_where_nobody_was_there_for_so_long(desk: Desk) -> None:
    desk.others = False
    assert desk.made().run(3 * POLL_SECONDS) == "idle"
    assert desk.turns == 4
    assert desk.loop.idle_for() == 3 * POLL_SECONDS
    desk.turns = 0
    desk.others = True
    desk.until(5 * POLL_SECONDS)
    assert desk.made().run(3 * POLL_SECONDS) == "stopped"
    assert desk.turns == 5
    desk.stop.clear()
    desk.others, desk.turns = False, 0
    desk.until(4 * POLL_SECONDS)
    desk.does = lambda: desk.turns < 3
    assert desk.made().run(3 * POLL_SECONDS) == "stopped", "there was something to do"


def test_memory_is_given_back_once_after_each_work(desk: Desk) -> None:
    desk.until(6 * POLL_SECONDS)
    desk.does = lambda: desk.turns == 4
    desk.loop.run(math.inf)
    begun = 1_000.0
    assert [step for step in desk.steps if isinstance(step, tuple)] == [
        ("rest", begun + POLL_SECONDS),
        ("rest", begun + 4 * POLL_SECONDS),
    ]
    desk.seconds = begun = 5_000.0
    loop = desk.made()
    loop._wait = lambda _: desk.stop.set() or False
    for since, rests in ((REST_SECONDS - 0.5, 0), (REST_SECONDS, 1)):
        desk.steps.clear()
        desk.stop.clear()
        desk.seconds = begun + since
        loop.run(math.inf)
        assert len(desk.steps) == 1 + rests


def test_one_that_an_upgrade_overtakes_answers_what_waits_and_lands_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[Exception] = []

    def run_tickets(pipeline: Any, *, seconds: float) -> int:
        assert pipeline is desk.pipeline
        desk.steps.append(("tickets", seconds))
        if errors:
            raise errors.pop()
        return 0

    def overtaken() -> bool:
        raise Upgraded("2 is installed, 1 runs")

    monkeypatch.setattr(module, "run_tickets", run_tickets)
    desk.does = overtaken
    assert desk.loop.run(math.inf) == "upgraded"
    assert desk.steps == ["project", ("tickets", FINISH_SECONDS), "drain"]
    assert desk.loop.problem is None
    errors += (BuildError("no"), sqlite3.OperationalError("locked"))
    assert [desk.loop.run(math.inf) for _ in range(2)] == ["upgraded"] * 2
    assert errors == []


def test_one_that_a_newer_version_overtakes_leaves_everything_as_it_is(desk: Desk) -> None:
    def overtaken() -> bool:
        raise NewerVersion("upgrade this one")

    desk.does = overtaken
    assert desk.loop.run(math.inf) == "newer_version"
    assert (desk.loop.problem, desk.steps) == ("upgrade this one", ["project"])


def error_of(code: int) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "is_looked_at"),
    [
        (error_of(sqlite3.SQLITE_CORRUPT), True),
        (error_of(sqlite3.SQLITE_NOTADB), True),
        (error_of(sqlite3.SQLITE_BUSY), False),
        (ZeroDivisionError("no"), False),
        (BuildError("no"), False),
    ],
)
def test_the_state_is_looked_at_after_an_error_that_may_mean_damage(
    desk: Desk, error: Exception, is_looked_at: bool
) -> None:
    def fails() -> bool:
        raise error

    desk.does = fails
    desk.loop.turn()
    assert ("look" in desk.steps) is is_looked_at
    counted = desk.pipeline.counts._table[ERRORS]
    assert {labels[0] for labels in counted} == {"one"}
