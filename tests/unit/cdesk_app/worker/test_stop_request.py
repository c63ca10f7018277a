"""A worker that no signal can reach ends by a request in its state directory."""

from __future__ import annotations

import threading
import time

from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.core.wake import WakeListener
from cdesk_app.worker.alone import stop_worker
from cdesk_app.worker.stop_request import StopEvent, ask_to_stop


def test_the_worker_that_is_asked_ends_in_order_and_is_waited_for(
    state_home: StateDirectory,
) -> None:
    """In place of the worker: a thread that takes a moment to end, as one whose build ends does."""
    ended = threading.Event()

    def worker() -> None:
        lock = FileLock(state_home.worker_lock)
        assert lock.acquire()
        listener, stop = WakeListener(state_home), StopEvent(state_home)
        running.set()
        while not stop.is_set():
            assert listener.wait(20), "the request ends the wait"
        time.sleep(0.2)
        stop.forget_request()
        listener.close()
        ended.set()
        lock.release()

    running = threading.Event()
    thread = threading.Thread(target=worker)
    thread.start()
    assert running.wait(20)
    assert stop_worker(state_home, by_signal=False)
    assert ended.is_set(), "not before it has ended"
    thread.join()
    assert not state_home.worker_stop.exists()


def test_a_request_to_the_worker_before_is_none_to_this_one(state_home: StateDirectory) -> None:
    stop = StopEvent(state_home, 4_712)
    ask_to_stop(state_home, 4_711)
    assert not stop.is_set()
    ask_to_stop(state_home, 4_712)
    assert stop.is_set()
    stop.forget_request()
    assert stop.is_set(), "once asked, it stays so"
    assert not StopEvent(state_home, 4_712).is_set()
