"""The background process: who may be it, what it tells when it ends, and who is there, which the
locks of the queue's writers tell.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from cdesk.core.config import Settings
from cdesk.core.errors import BuildError, NewerVersion, StateDirectoryError
from cdesk.core.features import Features
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock, is_held
from cdesk.core.wake import WakeListener
from cdesk.queue.writer import QueueWriter
from cdesk.state.counts import Counts
from cdesk.state.database import open_state
from cdesk.state.facts import read_status
from cdesk.state.status import WorkerState
from cdesk_app.worker import main
from cdesk_app.worker.cycle import CycleReport
from cdesk_app.worker.main import RUNNING_ALREADY, run, run_once, shims_live
from cdesk_app.worker.presentation import plain_presenter
from cdesk_app.worker.stop_request import StopEvent
from cdesk_app.worker.version import running_version


def aged(home: StateDirectory, seconds: float = 60.0) -> None:
    """Make every lock file as old as that."""
    then = time.time() - seconds
    for path in home.queue.glob("*.lock"):
        os.utime(path, (then, then))


@pytest.fixture
def writer(state_home: StateDirectory) -> QueueWriter:
    writer = QueueWriter(state_home.queue)
    writer.append(b"{}\n")
    return writer


def test_an_empty_queue_has_nobody(state_home: StateDirectory) -> None:
    assert not shims_live(state_home)


def test_a_living_writer_counts_until_it_closes(
    state_home: StateDirectory, writer: QueueWriter
) -> None:
    aged(state_home)
    assert shims_live(state_home)
    writer.close()
    assert not shims_live(state_home)


def test_our_own_writer_does_not_count(state_home: StateDirectory, writer: QueueWriter) -> None:
    aged(state_home)
    assert not shims_live(state_home, own=writer.writer)
    other = QueueWriter(state_home.queue)
    other.append(b"{}\n")
    assert shims_live(state_home, own=writer.writer)
    other.close()
    writer.close()


def test_a_lock_that_a_dead_writer_left_does_not_count_and_is_not_taken(
    state_home: StateDirectory,
) -> None:
    path = state_home.queue / ("a" * 32 + ".lock")
    path.touch()
    assert shims_live(state_home), "its maker may be about to take it"
    aged(state_home)
    assert not shims_live(state_home)
    with FileLock(path) as free:
        assert free


def test_the_uploaders_lock_is_nobodys_presence(state_home: StateDirectory) -> None:
    with FileLock(state_home.queue / "uploader.lock"):
        aged(state_home)
        assert not shims_live(state_home)


def test_a_lock_that_cannot_be_tried_counts_as_held_and_one_that_goes_does_not(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        (state_home.queue / (name * 32 + ".lock")).touch()
    aged(state_home)
    problem: OSError = FileNotFoundError()

    def acquire(_: FileLock) -> bool:
        raise problem

    monkeypatch.setattr(FileLock, "acquire", acquire)
    assert not shims_live(state_home)
    problem = PermissionError()
    assert shims_live(state_home)


def test_those_behind_one_that_does_not_count_are_looked_at(
    state_home: StateDirectory, writer: QueueWriter
) -> None:
    (state_home.queue / "0.lock").touch()
    (state_home.queue / ("0" * 32 + ".lock")).touch()
    aged(state_home)
    assert shims_live(state_home, own="0" * 32)
    writer.close()
    path = state_home.queue / ("0" * 32 + ".lock")
    assert not shims_live(state_home)
    assert not is_held(path), "who looks lets go again"


# -- the lock


class Lock:
    """Stands for FileLock: free from the given try on."""

    def __init__(self, path: Any, *, free_at: int = 1, error: OSError | None = None) -> None:
        self.path, self.free_at, self.error = path, free_at, error
        self.tries, self.released = 0, 0

    stands = True

    def acquire(self) -> bool:
        self.tries += 1
        if self.error is not None:
            raise self.error
        return self.tries >= self.free_at

    def release(self) -> None:
        self.released += 1


@pytest.mark.parametrize(
    ("free_at", "taken", "tries"), [(1, True, 1), (2, True, 2), (5, True, 5), (6, False, 5)]
)
def test_who_only_looks_at_the_lock_keeps_nobody_from_it(
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    free_at: int,
    taken: bool,
    tries: int,
) -> None:
    monkeypatch.setattr(main, "time", SimpleNamespace(sleep=lambda _: None))
    lock: Any = Lock(state_home.worker_lock, free_at=free_at)
    assert main._take(lock, state_home) is taken
    assert lock.tries == tries


def test_a_lock_that_cannot_be_used_says_what_to_mend(state_home: StateDirectory) -> None:
    lock: Any = Lock(state_home.worker_lock, error=PermissionError(13, "Permission denied"))
    with pytest.raises(StateDirectoryError) as caught:
        main._take(lock, state_home)
    assert str(caught.value) == (
        f"{state_home.worker_lock} cannot be used (Permission denied); mend the permissions of "
        f"{state_home.root}"
    )


# -- once and for longer


class Parts:
    """What a worker is made of, in place of the real parts; `asked` has what it does, in order."""

    def __init__(self, home: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.settings = Settings(home=home.root, customer="ada")
        self.asked: list[Any] = []
        self.lock: Any = Lock(home.worker_lock)
        self.report = CycleReport(landed=3, seconds=99.0)
        self.error: Exception | None = None
        self.answer: CycleReport | None = None
        self.told: list[tuple[str, int, int]] = []
        self.pipeline = SimpleNamespace(
            resume=lambda: self.asked.append("resume"),
            close=lambda: self.asked.append("closed"),
            counts=Counts(),
        )
        moments = itertools.count(10.0, 2.5)
        clock = SimpleNamespace(
            monotonic=lambda: next(moments), sleep=lambda _: None, time_ns=time.time_ns
        )
        monkeypatch.setattr(main, "time", clock)
        monkeypatch.setattr(main, "FileLock", lambda path: self._of(path))
        monkeypatch.setattr(main, "open_pipeline", self._open)
        monkeypatch.setattr(main, "run_cycle", self._run_cycle)
        monkeypatch.setattr(main, "ask_for_cycle", self._ask)
        monkeypatch.setattr(main, "_finish_erasures", lambda *_: self.asked.append("erasures end"))

    def _of(self, path: Any) -> Any:
        assert path == self.home.worker_lock
        return self.lock

    def _open(self, settings: Settings, home: StateDirectory, **named: Any) -> Any:
        assert (settings, home.root) == (self.settings, self.home.root)
        self.asked.append("open")
        self.opened = named
        return self.pipeline

    def _run_cycle(self, pipeline: Any, *, full: bool, tell: Callable[..., None]) -> CycleReport:
        assert pipeline is self.pipeline
        self.asked.append(("cycle", full))
        tell("landing", 0, 0)
        if self.error is not None:
            raise self.error
        return self.report

    def _ask(
        self, home: StateDirectory, lock: Any, *, full: bool, tell: Callable[..., None]
    ) -> CycleReport | None:
        assert (home.root, lock) == (self.home.root, self.lock)
        self.asked.append(("ask", full))
        tell("waiting", 0, 0)
        return self.answer

    def tell(self, *step: Any) -> None:
        self.told.append(step)


@pytest.fixture
def parts(state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> Parts:
    return Parts(state_home, monkeypatch)


def test_a_cycle_on_its_own_ends_what_was_begun_and_gives_the_lock_back(parts: Parts) -> None:
    report = run_once(parts.settings)
    assert parts.asked == ["erasures end", "open", "resume", ("cycle", False), "closed"]
    assert (report.landed, report.seconds) == (3, 2.5)
    assert parts.lock.released == 1
    assert (parts.opened["notify"], parts.opened["present"]) == (None, plain_presenter)
    assert not parts.opened["stop"].is_set()
    assert parts.told == [], "nobody listens"


def test_a_cycle_that_fails_gives_the_lock_back_too(parts: Parts) -> None:
    parts.error = BuildError("model events failed")
    with pytest.raises(BuildError):
        run_once(parts.settings, full=True, progress=parts.tell)
    assert parts.asked[-2:] == [("cycle", True), "closed"]
    assert parts.told == [("landing", 0, 0)]
    assert parts.lock.released == 1


def test_a_running_worker_is_asked_first_and_its_lock_left_alone(parts: Parts) -> None:
    parts.lock.free_at = 99
    parts.answer = CycleReport(landed=7, handed_over=True)
    assert run_once(parts.settings, full=True, progress=parts.tell) is parts.answer
    assert (parts.asked, parts.told) == ([("ask", True)], [("waiting", 0, 0)])
    assert parts.lock.released == 0
    parts.answer = None
    assert run_once(parts.settings).landed == 3, "it went away meanwhile, and left the lock"
    assert parts.asked[1:3] == [("ask", False), "erasures end"]
    assert parts.lock.released == 1


def test_a_second_worker_goes_at_once(parts: Parts, capsys: pytest.CaptureFixture[str]) -> None:
    parts.lock.free_at = 99
    (parts.home.root / "worker.stop").write_text(str(os.getpid()), encoding="utf-8")
    assert run(parts.settings) == 0
    assert capsys.readouterr().err == f"{RUNNING_ALREADY}\n"
    assert parts.asked == []
    assert parts.lock.released == 0
    assert parts.home.worker_stop.exists(), "that is for the one that runs"


def test_a_worker_stays_until_its_loop_ends_and_leaves_nothing_behind(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stay(pipeline: Any, listener: WakeListener, lock: Any, idle: float) -> None:
        assert (pipeline, lock, idle) == (parts.pipeline, parts.lock, 900.0)
        assert parts.opened["notify"] == listener.interrupt
        assert parts.home.worker_json.exists()
        stop = parts.opened["stop"]
        assert isinstance(stop, StopEvent)
        assert not stop.is_set(), "what was asked of the one before is forgotten"
        parts.home.worker_stop.write_text(str(os.getpid()), encoding="utf-8")
        assert stop.is_set()
        parts.asked.append("stay")

    parts.home.worker_stop.write_text(str(os.getpid()), encoding="utf-8")
    monkeypatch.setattr(main, "_stay", stay)
    assert run(parts.settings) == 0
    assert parts.asked == ["erasures end", "open", "stay", "closed"]
    assert parts.lock.released == 1
    assert not parts.home.worker_stop.exists()
    assert not parts.home.worker_json.exists()


@pytest.mark.parametrize(
    "error", [BuildError("no"), sqlite3.OperationalError("locked"), OSError("full")]
)
def test_a_worker_that_fails_says_so_in_its_log_and_gives_the_lock_back(
    parts: Parts,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    def stay(*_: object) -> None:
        raise error

    monkeypatch.setattr(main, "_stay", stay)
    with pytest.raises(type(error)):
        run(parts.settings)
    assert [record.message for record in caplog.records] == ["worker failed"]
    assert parts.lock.released == 1
    assert parts.asked[-1] == "closed"


def test_a_directory_that_a_newer_version_has_taken_over_is_left_with_the_reason(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_state(parts.home.state_db).close()

    def newer(*_: object, **__: object) -> None:
        raise NewerVersion("state.db was written by a newer cdesk")

    failed: list[dict[str, Any]] = []
    monkeypatch.setattr(main, "fail_open", lambda _state, **what: failed.append(what))
    monkeypatch.setattr(main, "open_pipeline", newer)
    with pytest.raises(NewerVersion):
        run_once(parts.settings)
    with closing(open_state(parts.home.state_db)) as state:
        assert read_status(state, WorkerState) == WorkerState(
            version=running_version(),
            reason="newer_version",
            problem="state.db was written by a newer cdesk",
        )
    (told,) = failed
    assert (told["code"], told["message"]) == (
        NewerVersion.code,
        "state.db was written by a newer cdesk",
    )
    assert parts.lock.released == 1


@pytest.mark.parametrize("begun", [False, True])
def test_an_erasure_that_has_begun_comes_before_anything_lands(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    ended: list[Any] = []
    monkeypatch.setattr("cdesk_app.worker.erasure.finish_erasures", lambda *of: ended.append(of))
    if begun:
        state_home.erasing.touch()
    settings = Settings(home=state_home.root, customer="ada")
    main._finish_erasures(settings, state_home)
    assert ended == ([(settings, state_home)] if begun else [])


@pytest.mark.parametrize(
    ("address", "features", "is_served"),
    [
        ("127.0.0.1:9", Features(), True),
        ("", Features(), False),
        ("127.0.0.1:9", Features(frozenset({"metrics"})), False),
        ("", Features(frozenset({"metrics"})), False),
    ],
)
def test_metrics_are_served_where_an_address_is_set(
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    features: Features,
    is_served: bool,
) -> None:
    served: list[Any] = []

    @contextlib.contextmanager
    def serving(*given: object) -> Iterator[None]:
        served.append(given)
        yield

    monkeypatch.setattr("cdesk_app.worker.metrics_server.serving_metrics", serving)
    settings = Settings(
        home=state_home.root, customer="ada", metrics_address=address, features=features
    )
    counts = Counts()
    with main._serving_metrics(settings, state_home, counts):
        assert served == ([(settings, state_home, counts)] if is_served else [])


class Turns:
    """Stands for Loop: what it was made of, and how it ends."""

    ending: Any = "idle"
    problem: str | None = None
    made: dict[str, Any]

    def __init__(self, pipeline: Any, wait: Any, stop: Any, **named: Any) -> None:
        Turns.made = {"pipeline": pipeline, "wait": wait, "stop": stop, **named}

    def run(self, seconds: float) -> str:
        Turns.made["pipeline"].asked.append(("run", seconds))
        if isinstance(Turns.ending, Exception):
            raise Turns.ending
        return str(Turns.ending)


@pytest.mark.parametrize(
    ("ending", "problem"),
    [("idle", None), ("newer_version", "upgrade this one"), (RuntimeError("no"), None)],
)
def test_a_worker_says_that_it_runs_follows_histories_meanwhile_and_why_it_ended(
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ending: Any,
    problem: str | None,
) -> None:
    caplog.set_level(logging.INFO)
    asked: list[Any] = []
    follower = SimpleNamespace(
        start=lambda: asked.append("follow"), close=lambda: asked.append("follow no more")
    )
    listener: Any = SimpleNamespace(interrupt="interrupt")
    pipeline: Any = SimpleNamespace(
        asked=asked,
        home=state_home,
        stop="stop",
        queue=SimpleNamespace(writer="w"),
        status=SimpleNamespace(keep=asked.append),
        resume=lambda: asked.append("resume"),
        runner=SimpleNamespace(
            look="look", wait_begun=lambda seconds: waits.append(("begun", seconds))
        ),
        follower=lambda notify: asked.append(notify) or follower,
    )
    waits: list[Any] = []
    live: list[Any] = []
    monkeypatch.setattr(main, "shims_live", lambda home, *, own: live.append((home, own)) or True)
    monkeypatch.setattr(main, "Loop", Turns)

    class Waking:
        def __init__(self, heard: Any, asked_for: Any) -> None:
            asked.append((heard is listener, asked_for))

        def wait(self, seconds: float) -> bool:
            waits.append(seconds)
            return seconds > 1

        def close(self) -> None:
            asked.append("hear no more")

    monkeypatch.setattr(main, "Waking", Waking)
    monkeypatch.setattr(main, "tell_of_newer_version", lambda *of: asked.append(of[0]))
    monkeypatch.setattr(Turns, "ending", ending)
    monkeypatch.setattr(Turns, "problem", problem)
    lock: Any = Lock(state_home.worker_lock)
    expected: Any = (
        pytest.raises(NewerVersion, match="upgrade this one")
        if problem
        else pytest.raises(RuntimeError)
        if isinstance(ending, Exception)
        else contextlib.nullcontext()
    )
    with expected:
        main._stay(pipeline, listener, lock, 60.0)
    version = running_version()
    assert asked[:8] == [
        WorkerState(pid=os.getpid(), state="running", version=version),
        *("resume", "interrupt", (True, "look"), "follow", ("run", 60.0)),
        *("follow no more", "hear no more"),
    ]
    last = [state_home] if problem else [WorkerState(version=version, reason="idle")]
    assert asked[8:] == ([] if isinstance(ending, Exception) else last)
    assert Turns.made["stop"] == "stop"
    assert [Turns.made["wait"](seconds) for seconds in (1.0, 2.0)] == [False, True]
    assert waits == [1.0, 2.0, ("begun", main.BEGUN_SECONDS)], "a query comes before a turn"
    assert Turns.made["owned"]()
    lock.stands = False
    assert not Turns.made["owned"]()
    assert Turns.made["others_live"]()
    assert live == [(state_home, "w")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_and_what_was_there_before_is_put_back(
    state_home: StateDirectory, number: signal.Signals
) -> None:
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    stop = threading.Event()
    with closing(WakeListener(state_home)) as listener:
        with main._signals(stop, listener):
            assert not stop.is_set()
            signal.raise_signal(number)
            assert stop.is_set()
            assert listener.wait(20.0)
        assert {one: signal.getsignal(one) for one in before} == before
        listener.interrupt = MagicMock()  # type: ignore[method-assign]
        with main._signals(stop, listener):
            signal.raise_signal(number)
        listener.interrupt.assert_called_once_with()
