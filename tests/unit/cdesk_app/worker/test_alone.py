"""Having a state directory to oneself: the running worker is told to end, and waited for."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import pytest

from cdesk.core.errors import StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock, is_held
from cdesk_app.worker import alone as module
from cdesk_app.worker.alone import alone, stop_worker


class Others:
    """Workers that come and go: for each look at the lock who has announced itself, None for one
    that has not yet. The clock goes on by a second with each.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *workers: int | None) -> None:
        self.workers = [*workers]
        self.told: list[tuple[str, int]] = []
        self.seconds = 100.0
        self.error: OSError | None = None
        clock = SimpleNamespace(monotonic=lambda: self.seconds, sleep=self._sleep)
        monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(module, "is_held", lambda _: bool(self.workers))
        monkeypatch.setattr(module, "read_worker", self._read)
        monkeypatch.setattr(module, "ask_to_stop", lambda _, pid: self._tell("asked", pid))
        monkeypatch.setattr(os, "kill", self._kill)

    def _sleep(self, _: float) -> None:
        self.seconds += 1
        self.workers.pop(0)

    def _read(self, _: StateDirectory) -> SimpleNamespace | None:
        pid = self.workers[0]
        return None if pid is None else SimpleNamespace(pid=pid)

    def _tell(self, how: str, pid: int) -> None:
        self.told.append((how, pid))
        if self.error is not None:
            raise self.error

    def _kill(self, pid: int, number: int) -> None:
        assert number == signal.SIGTERM
        self._tell("signalled", pid)


def test_each_worker_is_told_once_by_request_and_by_signal(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = Others(monkeypatch, None, 7, 7, 8)
    assert stop_worker(state_home, by_signal=True) is True
    assert others.told == [("asked", 7), ("signalled", 7), ("asked", 8), ("signalled", 8)]
    others = Others(monkeypatch, 7, 7)
    assert stop_worker(state_home, by_signal=False) is True
    assert others.told == [("asked", 7)]
    others = Others(monkeypatch)
    assert stop_worker(state_home) is True
    assert others.told == []


def test_one_that_cannot_be_told_is_told_again(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = Others(monkeypatch, 7, 7)
    others.error = PermissionError()
    assert stop_worker(state_home, by_signal=True) is True
    assert others.told == [("asked", 7)] * 2


def test_a_worker_that_does_not_end_is_waited_for_so_long(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = Others(monkeypatch, *[7] * 99)
    assert stop_worker(state_home, seconds=15.0) is False
    assert others.seconds == 116.0
    others = Others(monkeypatch, *[7] * 15)
    assert stop_worker(state_home, seconds=15.0) is True


def test_who_is_alone_holds_the_lock_and_gives_it_back(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[StateDirectory] = []
    monkeypatch.setattr(module, "stop_worker", lambda home: asked.append(home) or True)
    with alone(state_home):
        assert is_held(state_home.worker_lock)
    assert not is_held(state_home.worker_lock)
    assert asked == [state_home]


def test_nobody_is_alone_beside_one_that_does_not_end(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "stop_worker", lambda _: False)
    with pytest.raises(StateDirectoryError, match="has not ended in 15 s"), alone(state_home):
        pass


def test_workers_that_start_again_and_again_are_ended_for_some_seconds(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter((0.0, 4.0, 5.0, 5.5))
    stopped: list[int] = []
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(moments)))
    monkeypatch.setattr(module, "stop_worker", lambda _: stopped.append(1) or True)
    held = FileLock(state_home.worker_lock)
    with (
        held,
        pytest.raises(StateDirectoryError, match="starts again and again"),
        alone(state_home),
    ):
        pass
    assert len(stopped) == 3
    assert not is_held(state_home.worker_lock)
