"""What the ticket runner decides: how many threads begin, when one ends, how a ticket ends, and
what waits until nobody asks. Queries, pages and threads are stand-ins; test_tickets.py has the
real ones.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import orjson
import pytest

from cdesk.core.config import Settings
from cdesk.core.errors import CatalogError, InvalidField, KillSwitchActive, QueryCancelled
from cdesk.core.home import StateDirectory
from cdesk.core.identity import ANALYST, Caller
from cdesk.core.metrics import QUERIES, QUERY_SECONDS, RETRIES
from cdesk.query.executor import PATIENCE_SECONDS, TIMEOUT_SECONDS
from cdesk.state.counts import Counts
from cdesk.state.facts import KillSwitch
from cdesk_app.worker import tickets as module
from cdesk_app.worker.presentation import PlainPresenter, Presented
from cdesk_app.worker.pressure import PREVIEWS, SUMMARIES
from cdesk_app.worker.tickets import (
    LATE_PICTURE_SECONDS,
    MAX_RUNNING,
    PICTURE_PAUSE_SECONDS,
    CatalogChanged,
    TicketRunner,
)

NOON = 1_769_860_800_000_000_000
NOW = "2026-01-31T12:00:00.000000Z"


def until_true(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.001)


def ticket(name: str = "t", **more: Any) -> Any:
    known = {
        "ticket_id": name,
        "customer": "ada",
        "template": "numbers",
        "params": {"rows": 1},
        "query_hash": "h",
        "query_tag": "cdesk_00000000",
        "session_id": "s",
        "byte_cap": 7,
        "fresh": True,
        "dry_run": False,
        "is_analyst": False,
        "least_customers": 1,
        "attempts": 1,
        "started_at": "2026-01-31T11:59:58.000000Z",
        "status": "expired",
        "error_code": "expired",
    }
    return SimpleNamespace(**{**known, **more})


class Thread:
    """Stands for a thread that goes on until it is told otherwise."""

    made: list[Thread]
    lives = True

    def __init__(self, *, target: Any, name: str, daemon: bool) -> None:
        assert daemon, "it would keep the process"
        self.target, self.name, self.is_started = target, name, False
        self.joined: list[float] = []
        Thread.made.append(self)

    def start(self) -> None:
        self.is_started = True

    def is_alive(self) -> bool:
        return Thread.lives

    def join(self, seconds: float) -> None:
        self.joined.append(seconds)


class Given:
    """A runner, and what it asks of state.db, of the executor and of the presenter."""

    def __init__(self, home: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[Any] = []
        self.queued = self.pages = 0
        self.switch = KillSwitch()
        self.given_up: set[Any] = set()
        self.home = home
        self.seconds = 100.0
        self.settings = Settings(home=home.root, customer="ada", timezone="Asia/Tokyo")
        self.counts = Counts()
        self.executor = SimpleNamespace(
            artifacts="artifacts",
            new_id=lambda: "runner",
            catalog=lambda: "catalog",
            answer=self._answer,
            provenance=SimpleNamespace(
                retried=lambda request: self.asked.append(("retried", request)),
                ended=lambda request, **how: self.asked.append(("ended", request, how)),
            ),
        )
        self.answer: Any = {"rows": 1}
        pages = SimpleNamespace(
            write_ahead=lambda _, *of, **how: self.asked.append(("page", *of, how)),
            write_waited_for=lambda _: self.asked.append("waited for"),
        )
        for name, value in {
            "Executor": lambda *_, **__: self.executor,
            "PageWriter": lambda *_: pages,
            "count_open": lambda _: {"queued": self.queued, "running": 0},
            "count_waited_for": lambda _: self.pages,
            "read_switch": lambda *_: self.switch,
            "make_request": self._request,
            "open_artifacts": lambda *_: "artifacts",
        }.items():
            monkeypatch.setattr(module, name, value)
        for name, answer in {
            "recover_tickets": [ticket("a"), ticket("b")],
            "expire_tickets": [ticket("c")],
            "release_tickets": None,
            "finish_ticket": None,
            "cancel_all": None,
            "set_progress": None,
            "claim_ticket": None,
        }.items():
            monkeypatch.setattr(module, name, self._says(name, answer))
        monkeypatch.setattr(Thread, "made", [], raising=False)
        monkeypatch.setattr(Thread, "lives", True)
        names = {name: getattr(threading, name) for name in ("Lock", "Condition", "Event")}
        monkeypatch.setattr(module, "threading", SimpleNamespace(Thread=Thread, **names))
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.seconds))
        self.runner = TicketRunner(
            self.settings,
            home,
            None,  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
            now_ns=lambda: NOON,
            notify=lambda: self.asked.append("notified"),
            counts=self.counts,
        )
        self.runner.degradation = SimpleNamespace(  # type: ignore[assignment]
            gives_up=self.given_up.__contains__,
            gave_up=lambda step: self.asked.append(("gave up", step.name)),
        )

    def _says(self, name: str, answer: Any) -> Any:
        def say(_: object, *given: object, **named: object) -> Any:
            self.asked.append((name, *given, named))
            return answer

        return say

    def _request(self, catalog: str, caller: Caller, **named: Any) -> Any:
        if named["template"] == "gone":
            raise InvalidField("template", "gone", "is not there")
        return SimpleNamespace(
            catalog=catalog, caller=caller, query_hash=named.pop("hash", "h"), named=named
        )

    def _answer(self, request: Any, _: object, *, cancel: Any, progress: Any) -> Any:
        assert isinstance(cancel, threading.Event)
        progress("runs")
        self.asked.append(("answer", request.named["run_id"]))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def took(self) -> list[Any]:
        """What was asked since the last time."""
        asked, self.asked[:] = [*self.asked], []
        return asked

    def run(self, one: Any, *, cancelled: bool = False) -> list[Any]:
        """Run a ticket; what was asked meanwhile, its progress apart."""
        cancel = threading.Event()
        if cancelled:
            cancel.set()
        self.runner._running[one.ticket_id] = cancel
        self.took()
        self.runner._run(None, one, cancel)  # type: ignore[arg-type]
        assert self.runner._running == {}
        return [one for one in self.took() if one[0] not in ("set_progress", "answer")]

    def ended(self, status: str, **more: Any) -> Any:
        """How a ticket is said to have ended."""
        known = {"result": None, "error_code": None, "error_message": None}
        how = {"runner": "runner", "status": status, "now": NOW, **known, **more}
        return ("finish_ticket", "t", how)


@pytest.fixture
def given(state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Given]:
    given = Given(state_home, monkeypatch)
    yield given
    given.runner._state.close()


def test_a_runner_makes_what_it_is_not_given(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    opened: list[Any] = []

    def executor(*of: object, **how: object) -> Any:
        made.append((of, how))
        return SimpleNamespace(artifacts="artifacts", new_id=lambda: "runner")

    def open_state(path: Any, *, mends: bool) -> Any:
        opened.append((path, mends))
        return "state"

    monkeypatch.setattr(module, "Executor", executor)
    monkeypatch.setattr(module, "open_artifacts", lambda *of: ("store", *of))
    monkeypatch.setattr(module, "open_state", open_state)
    settings: Any = Settings(home=state_home.root, customer="ada")
    args: Any = (settings, state_home, "warehouse", "queue")
    runner = TicketRunner(*args, now_ns=lambda: NOON)
    ((of, how),) = made
    assert of == (state_home, "warehouse", "queue")
    assert how.pop("now_ns")() == NOON
    assert how == {
        "timeout_seconds": TIMEOUT_SECONDS,
        "patience_seconds": PATIENCE_SECONDS,
        "artifacts": ("store", settings, state_home),
        "card_url": settings.card_url,
    }
    assert opened == [(state_home.state_db, False)]
    assert isinstance(runner._counts, Counts)
    assert isinstance(runner._presenter, PlainPresenter)
    runner._notify()
    assert (runner.gives_way, runner.degradation, runner.busy) == (False, None, False)
    assert not runner._gives_up(PREVIEWS)
    parts: Any = {"artifacts": "mine", "presenter": "mine", "counts": "mine", "notify": "mine"}
    runner = TicketRunner(*args, timeout_seconds=1.0, patience_seconds=2.0, **parts)
    how = made[1][1]
    assert (how["timeout_seconds"], how["patience_seconds"]) == (1.0, 2.0)
    assert how["artifacts"] == "mine"
    assert {runner._counts, runner._presenter, runner._notify} == {"mine"}


def test_what_a_dead_worker_left_and_what_has_expired_is_on_record(given: Given) -> None:
    assert given.runner.recover() == 2
    asked = given.took()
    assert asked[0] == ("recover_tickets", {"runner": "runner", "now": NOW})
    assert [(one[0], one[1].named["run_id"], one[2]) for one in asked[1:]] == [
        ("ended", name, {"status": "expired", "error_code": "expired"}) for name in "ab"
    ]
    given.runner._record_ended([ticket("x", template="gone"), ticket("y")])
    assert [one[1].named["run_id"] for one in given.took()] == ["y"], "one that cannot be named"


@pytest.mark.parametrize(
    ("queued", "on", "pages", "running", "wanted"),
    [
        (0, False, 0, 0, 0),
        (1, False, 0, 0, 1),
        (9, False, 0, 0, MAX_RUNNING),
        (9, False, 0, MAX_RUNNING - 1, 1),
        (9, False, 0, MAX_RUNNING, 0),
        (9, False, 0, MAX_RUNNING + 1, 0),
        (9, True, 0, 0, 0),
        (0, True, 0, 0, 0),
        (0, False, 5, 0, 1),
        (1, False, 5, 0, 2),
        (3, True, 1, 0, 1),
    ],
)
def test_as_many_threads_begin_as_there_is_work_and_room(
    given: Given, queued: int, on: bool, pages: int, running: int, wanted: int
) -> None:
    given.queued, given.pages = queued, pages
    given.switch = KillSwitch(on=on, since=NOW)
    given.runner._threads = running
    polls = given.runner._polls
    assert given.runner.poll() == wanted
    assert given.runner._threads == running + wanted
    assert given.runner._polls == polls + 1
    names = [thread.name for thread in Thread.made]
    assert names == (["cdesk-ticket-guard"] if wanted else []) + ["cdesk-ticket"] * wanted
    assert all(thread.is_started for thread in Thread.made)
    targets = {thread.target for thread in Thread.made}
    assert targets <= {given.runner._work, given.runner._watch}
    assert given.runner.busy is (running + wanted > 0)
    cancelled = [one for one in given.took() if one[0] == "cancel_all"]
    assert len(cancelled) == (on and queued > 0)
    if cancelled:
        assert cancelled[0][1] == {
            "code": "kill_switch_active",
            "message": given.switch.message,
            "now": NOW,
        }


def test_one_guard_looks_after_all(given: Given) -> None:
    given.queued = 1
    for lives, guards in ((True, 1), (True, 1), (False, 2)):
        Thread.lives = lives
        given.runner.poll()
        names = [thread.name for thread in Thread.made]
        assert names.count("cdesk-ticket-guard") == guards


def test_what_hears_a_question_starts_it_once_the_worker_has_begun(given: Given) -> None:
    given.queued = 1
    given.runner.look()
    assert Thread.made == [], "what was recorded before lands first"
    given.runner.poll()
    Thread.made.clear()
    given.runner.look()
    assert [thread.name for thread in Thread.made] == ["cdesk-ticket"]
    given.runner._closing.set()
    Thread.made.clear()
    given.runner.look()
    assert (given.runner.poll(), Thread.made) == (0, [])


def test_a_thread_at_rest_is_called_before_another_is_started(given: Given) -> None:
    runner, called = given.runner, list[bool]()
    rests = threading.Thread(target=lambda: called.append(runner._is_called()))
    rests.start()
    until_true(lambda: runner._resting == 1)
    given.queued = 2
    assert runner.poll() == 2
    rests.join(60)
    assert called == [True]
    assert [thread.name for thread in Thread.made] == ["cdesk-ticket-guard", "cdesk-ticket"]
    assert (runner._threads, runner._resting, runner._called) == (2, 0, 0)


def test_a_thread_that_nobody_calls_ends(given: Given) -> None:
    given.runner._rest_seconds = 0.0
    assert not given.runner._is_called()
    given.runner._rest_seconds = 3600.0
    ended: list[bool] = []
    rests = threading.Thread(target=lambda: ended.append(given.runner._is_called()))
    rests.start()
    until_true(lambda: given.runner._resting == 1)
    state, given.runner._state = given.runner._state, SimpleNamespace(close=lambda: None)  # type: ignore[assignment]
    given.runner.close()
    given.runner._state = state
    rests.join(60)
    assert ended == [False]
    assert given.runner._resting == 0


def test_the_loop_leaves_what_has_just_begun_a_moment(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(given.runner._idle, "wait_for", lambda _, seconds: waits.append(seconds))
    given.runner.wait_begun(0.25)
    assert waits == [], "nothing has begun"
    given.queued = 1
    given.runner.poll()
    given.runner.wait_begun(0.25)
    given.seconds += 0.125
    given.runner.wait_begun(0.25)
    given.seconds += 0.125
    given.runner.wait_begun(0.25)
    assert waits == [0.25, 0.125]


def test_what_hears_questions_keeps_its_connection_until_it_fails(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    def open_state(*_: object, **__: object) -> Any:
        opened.append(SimpleNamespace(close=lambda: opened.append("closed")))
        return opened[-1]

    monkeypatch.setattr(module, "open_state", open_state)
    given.runner._polled.set()
    given.runner.look()
    given.runner.look()
    assert len(opened) == 1
    with monkeypatch.context() as broken:
        broken.setattr(module, "count_open", Mock(side_effect=sqlite3.OperationalError))
        with pytest.raises(sqlite3.OperationalError):
            given.runner.look()
    assert opened[1:] == ["closed"]
    given.runner.look()
    assert len(opened) == 3
    state, given.runner._state = given.runner._state, SimpleNamespace(close=lambda: None)  # type: ignore[assignment]
    given.runner.close()
    given.runner._state = state
    assert opened[3:] == ["closed"]


@pytest.mark.parametrize(
    ("seen", "closing", "ends"),
    [(3, False, True), (2, False, False), (2, True, True), (None, False, True)],
)
def test_a_thread_ends_unless_there_was_a_poll_since_it_looked(
    given: Given, seen: int | None, closing: bool, ends: bool
) -> None:
    given.runner._polls, given.runner._threads = 3, 2
    if closing:
        given.runner._closing.set()
    assert given.runner._leave(seen) is ends
    assert given.runner._threads == (1 if ends else 2)


def test_who_waits_for_the_last_thread_is_told(given: Given) -> None:
    assert given.runner.wait_idle(0.0)
    given.runner._threads = 1
    assert not given.runner.wait_idle(0.0)
    waits = threading.Thread(target=lambda: found.append(given.runner.wait_idle(60)))
    found: list[bool] = []
    waits.start()
    given.runner._leave(None)
    waits.join(60)
    assert found == [True]


def test_a_runner_that_is_closed_gives_its_tickets_back(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, steps = given.runner, list[Any]()
    cancel = threading.Event()
    runner._running["t"] = cancel

    def wait(seconds: float) -> bool:
        assert cancel.is_set()
        assert runner._closing.is_set()
        steps.append(seconds)
        return True

    monkeypatch.setattr(runner, "wait_idle", wait)
    state, runner._state = runner._state, SimpleNamespace(close=lambda: steps.append("closed"))  # type: ignore[assignment]
    monkeypatch.setattr(module, "release_tickets", lambda *_, runner: steps.append(runner))
    runner.close(seconds=1.5)
    assert steps == [1.5, "runner", "closed"]
    guard: Any = Thread(target=None, name="guard", daemon=True)
    runner._guard = guard
    runner.close()
    assert guard.joined == [3.0]
    runner._state = state


def test_a_thread_runs_what_waits_then_writes_pages_and_looks_again(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, steps = given.runner, given.asked
    waiting = [("a", "cancel"), ("b", "cancel"), None, ("c", "cancel"), None, None]
    leaves, calls = [False, True, True], [True, False]
    monkeypatch.setattr(runner, "_is_called", lambda: calls.pop(0))
    monkeypatch.setattr(runner, "_claim", lambda _: waiting.pop(0))
    monkeypatch.setattr(runner, "_run", lambda _, *of: steps.append(of))
    monkeypatch.setattr(runner, "_write_pages_ahead", lambda _: steps.append("ahead"))
    monkeypatch.setattr(runner, "_leave", lambda seen: steps.append(seen) or leaves.pop(0))
    runner._polls = 7
    runner._work()
    assert given.took() == [
        *(("a", "cancel"), "notified", ("b", "cancel"), "notified"),
        *("ahead", "waited for", 7),
        *(("c", "cancel"), "notified", "ahead", "waited for", 7),
        *("ahead", "waited for", 7),
    ]


def test_a_thread_that_breaks_leaves_its_place(
    given: Given, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(given.runner, "_claim", breaks)
    given.runner._threads = 1
    given.runner._work()
    assert given.runner._threads == 0
    assert "a ticket thread ended early" in caplog.text


# -- pictures


def test_pictures_are_painted_in_a_pause_or_when_they_are_late(
    given: Given, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runner, steps = given.runner, list[str]()

    def wait(seconds: float) -> bool:
        assert 0 < seconds < PICTURE_PAUSE_SECONDS
        steps.append("waits")
        given.seconds += 0.125
        return False

    monkeypatch.setattr(runner._closing, "wait", wait)

    def put(name: str, *, age: float = 0.0) -> None:
        runner._unpainted.append((given.seconds - age, lambda: steps.append(name)))

    def painted() -> list[str]:
        runner._paints = True
        runner._paint_all()
        assert not runner._paints
        found, steps[:] = [*steps], []
        return found

    assert painted() == []
    put("a")
    put("b")
    runner._answered_at = given.seconds
    assert painted() == ["waits", "a", "b"]
    put("late", age=LATE_PICTURE_SECONDS)
    put("not so late", age=LATE_PICTURE_SECONDS - 0.5)
    runner._answered_at = given.seconds
    assert painted() == ["late", "waits", "not so late"]
    runner._unpainted.append((0.0, lambda: 1 / 0))
    put("after it")
    assert painted() == ["after it"]
    assert "a picture was not painted" in caplog.text
    ways: list[str] = []
    monkeypatch.setattr(module, "give_way_to_all", lambda: ways.append("gives way"))
    runner.gives_way = True
    assert (painted(), ways) == ([], ["gives way"])
    put("at the end")
    runner._closing.set()
    assert painted() == [], "at the end nothing is painted"


def test_one_thread_paints(given: Given) -> None:
    runner = given.runner
    runner._begin_to_paint()
    assert Thread.made == [], "there is nothing to paint"
    runner._unpainted.append((0.0, lambda: None))
    runner._begin_to_paint()
    runner._begin_to_paint()
    assert [thread.name for thread in Thread.made] == ["cdesk-painting"]
    assert not runner.wait_idle(0.0)
    assert not runner.busy, "no question runs"
    runner._paints = False
    runner._closing.set()
    runner._begin_to_paint()
    assert len(Thread.made) == 1


# -- one ticket


def test_a_ticket_is_claimed_for_this_runner_and_may_be_cancelled(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways: list[str] = []
    state: Any = None
    monkeypatch.setattr(module, "give_way_to_all", lambda: ways.append("gives way"))
    assert given.runner._claim(state) is None
    assert given.took() == [("claim_ticket", {"runner": "runner", "now": NOW})]
    one = ticket()
    monkeypatch.setattr(module, "claim_ticket", lambda *_, **__: one)
    given.runner.gives_way = True
    found, cancel = given.runner._claim(state) or (None, None)
    assert (found, ways) == (one, ["gives way"])
    assert given.runner._running == {"t": cancel}
    given.runner._closing.set()
    assert given.runner._claim(state) is None


def test_an_answer_ends_its_ticket_and_what_can_wait_waits(given: Given) -> None:
    painted: list[str] = []
    answer = {"rows": 1, "pages": 2, "artifact": {"artifact_id": "a"}}
    given.runner._presenter = SimpleNamespace(  # type: ignore[assignment]
        present=lambda _, answer: Presented(dict(answer), lambda: painted.append("p"))
    )
    given.answer = answer
    assert given.run(ticket()) == [given.ended("succeeded", result=orjson.dumps(answer))]
    assert [since for since, _ in given.runner._unpainted] == [100.0]
    assert [*given.runner._unpaged] == [("a", "ada")]
    assert given.runner._answered_at == 100.0
    assert painted == []
    given.answer = {"rows": 1, "pages": 1}
    given.given_up.add(PREVIEWS)
    assert given.run(ticket())[1:] == [("gave up", "previews")]
    given.answer = {"rows": 1}
    given.given_up.clear()
    given.runner._presenter = PlainPresenter()
    given.run(ticket())
    assert len(given.runner._unpainted) == 1, "no picture, none to paint"
    assert len(given.runner._unpaged) == 1, "one page is there already"
    series = {labels: one.value for labels, one in given.counts._table[QUERIES].items()}
    assert series == {("succeeded",): 3.0}
    assert given.counts._table[QUERY_SECONDS][()].value == 6.0
    given.run(ticket(started_at="2026-01-31T13:00:00.000000Z"))
    given.run(ticket(started_at=None))
    assert given.counts._table[QUERY_SECONDS][()].value == 6.0, "by a clock that was set back"
    assert sum(given.counts._table[QUERY_SECONDS][()].buckets or ()) == 4


@pytest.mark.parametrize(
    ("error", "cancelled", "on", "status", "code", "message"),
    [
        (CatalogError("no"), False, False, "failed", CatalogError.code, "no"),
        (CatalogError("no"), False, True, "failed", CatalogError.code, "no"),
        (QueryCancelled("no"), True, False, "cancelled", "cancelled", "cancelled on request"),
        (QueryCancelled("no"), True, True, "cancelled", "kill_switch_active", None),
        (KillSwitchActive("off"), False, False, "cancelled", "kill_switch_active", "off"),
        (KillSwitchActive("off"), True, True, "cancelled", "kill_switch_active", "off"),
        (
            ZeroDivisionError("secret"),
            False,
            False,
            "failed",
            "internal_error",
            "ZeroDivisionError; the worker's log has the details",
        ),
    ],
)
def test_a_ticket_without_an_answer_says_why(
    given: Given,
    error: Exception,
    cancelled: bool,
    on: bool,
    status: str,
    code: str,
    message: str | None,
) -> None:
    given.answer = error
    given.switch = KillSwitch(on=on, since=NOW, reason="too much")
    told = given.run(ticket(), cancelled=cancelled)
    text = given.switch.message if message is None else message
    assert told == [given.ended(status, error_code=code, error_message=text)]


def test_a_ticket_that_a_closing_runner_breaks_off_goes_back(given: Given) -> None:
    given.answer = QueryCancelled("interrupted")
    given.runner._closing.set()
    assert given.run(ticket(), cancelled=True) == []


def test_what_a_ticket_asks_is_asked_as_it_was_submitted(given: Given) -> None:
    one = ticket(attempts=2, is_analyst=True, least_customers=5)
    state: Any = None
    given.runner._answer(state, one, threading.Event())
    retried, progress, answer = given.took()
    assert retried[0] == "retried"
    request = retried[1]
    assert request.caller == Caller("ada", frozenset((ANALYST,)), 5)
    assert request.named == {
        "run_id": "t",
        "query_tag": "cdesk_00000000",
        "template": "numbers",
        "params": {"rows": 1},
        "session_id": "s",
        "byte_cap": 7,
        "fresh": True,
        "dry_run": False,
        "timezone": "Asia/Tokyo",
    }
    assert progress == ("set_progress", "t", {"runner": "runner", "progress": "runs"})
    assert answer == ("answer", "t")
    assert given.counts._table[RETRIES][("ticket",)].value == 1
    given.runner._answer(state, ticket(), threading.Event())
    assert [one[0] for one in given.took()] == ["set_progress", "answer"]
    assert given.counts._table[RETRIES][("ticket",)].value == 1
    assert given.runner._request(ticket()).caller == Caller("ada", frozenset(), 1)
    with pytest.raises(CatalogChanged, match="template numbers was changed after this ticket"):
        given.runner._answer(state, ticket(query_hash="another"), threading.Event())
    assert given.took() == []


def test_under_pressure_an_answer_leaves_without_its_words(given: Given) -> None:
    state: Any = None
    given.runner._presenter = SimpleNamespace(  # type: ignore[assignment]
        present=lambda _, answer: Presented({**answer, "headline": "h"})
    )
    assert given.runner._answer(state, ticket(), threading.Event()).answer["headline"] == "h"
    given.given_up.add(SUMMARIES)
    assert given.runner._answer(state, ticket(), threading.Event()).answer == {"rows": 1}
    assert given.took()[-1] == ("gave up", "summaries")


# -- while nobody waits, and beside what runs


def test_pages_are_written_ahead_the_latest_answer_first_while_nobody_waits(given: Given) -> None:
    state: Any = None
    given.runner._unpaged.extend((("a", "ada"), ("b", "bob")))
    given.queued = 1
    given.runner._write_pages_ahead(state)
    assert given.took() == []
    given.queued = 0
    given.runner._closing.set()
    given.runner._write_pages_ahead(state)
    assert given.took() == []
    given.runner._closing.clear()
    given.runner._write_pages_ahead(state)
    assert given.took() == [("page", "b", {"customer": "bob"}), ("page", "a", {"customer": "ada"})]
    assert given.runner._unpaged.maxlen == 32


def test_what_runs_hears_of_a_request_to_cancel_until_nothing_runs(
    given: Given, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runner = given.runner
    first, second = threading.Event(), threading.Event()
    runner._running.update({"a": first, "b": second})
    runner._threads, runner._guard = 1, Thread(target=None, name="g", daemon=True)  # type: ignore[assignment]
    looks: list[float] = []

    def wait(seconds: float) -> bool:
        looks.append(seconds)
        if len(looks) == 3:
            runner._threads = 0
        return len(looks) > 9

    monkeypatch.setattr(runner._closing, "wait", wait)
    monkeypatch.setattr(
        module, "cancel_requests", lambda _, *, runner: ["gone", "b"] if runner == "runner" else []
    )
    given.switch = KillSwitch(on=True, since=NOW)
    runner._watch()
    assert (first.is_set(), second.is_set()) == (False, True)
    assert looks == [0.1] * 3
    assert runner._guard is None
    assert len(given.took()) == 2, "what waits is cancelled by the switch"
    runner._threads = 1
    looks.extend([0.1] * 9)
    runner._watch()
    assert given.took() == [], "a runner that closes needs no guard"
    looks.clear()
    monkeypatch.setattr(module, "open_state", lambda *_, **__: 1 / 0)
    runner._watch()
    assert "the guard over running tickets ended early" in caplog.text


def test_a_ticket_that_nothing_runs_any_more_ends(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = {"here", "nowhere"}
    monkeypatch.setattr(
        module, "running_tickets", lambda _, *, runner: standing if runner == "runner" else set()
    )
    given.runner._running["here"] = threading.Event()
    given.runner._end_orphans()
    assert given.took() == [
        (
            "finish_ticket",
            "nowhere",
            {
                "runner": "runner",
                "status": "failed",
                "now": NOW,
                "error_code": "internal_error",
                "error_message": "the answer could not be written to state.db; "
                "submit the query again",
            },
        )
    ]
