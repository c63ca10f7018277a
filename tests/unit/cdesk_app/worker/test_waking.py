"""What wakes the worker's loop, and what happens at once then."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from cdesk.core.home import StateDirectory
from cdesk.core.wake import WakeListener
from cdesk_app.worker import waking as module
from cdesk_app.worker.waking import Waking


@pytest.fixture
def listener(state_home: StateDirectory) -> Iterator[WakeListener]:
    listener = WakeListener(state_home)
    yield listener
    listener.close()


def test_a_wake_up_is_told_at_once_and_ends_one_wait(listener: WakeListener) -> None:
    told = threading.Event()
    waking = Waking(listener, told.set)
    try:
        assert not waking.wait(0.0)
        listener.interrupt()
        assert told.wait(60), "though nobody waits"
        assert waking.wait(60)
        assert not waking.wait(0.0), "one wake-up, one turn"
    finally:
        waking.close()


def test_what_fails_keeps_nobody_from_being_woken(listener: WakeListener) -> None:
    told = threading.Semaphore(0)

    def fails() -> None:
        told.release()
        raise RuntimeError("state.db is busy")

    waking = Waking(listener, fails)
    try:
        for _ in range(2):
            listener.interrupt()
            assert told.acquire(timeout=60)
            assert waking.wait(60)
    finally:
        waking.close()


def test_nothing_is_told_as_it_closes(listener: WakeListener) -> None:
    calls: list[int] = []
    waking = Waking(listener, lambda: calls.append(1))
    waking.close()
    assert calls == []
    assert not waking._thread.is_alive()


def test_a_wait_in_pieces_is_as_long_as_it_is_to_be(
    listener: WakeListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SIGNAL_SECONDS", 0.01)
    waking = Waking(listener, lambda: None)
    try:
        began = time.monotonic()
        assert not waking.wait(0.05)
        assert time.monotonic() - began >= 0.05
        listener.interrupt()
        assert waking.wait(60)
    finally:
        waking.close()
