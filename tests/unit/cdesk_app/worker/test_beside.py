"""One job beside the loop: when it runs, what comes of it, and how it ends."""

from __future__ import annotations

import os
import threading
import time

import pytest

from cdesk_app.worker import beside as module
from cdesk_app.worker.beside import Beside


def test_a_job_runs_beside_and_what_came_of_it_is_taken_in_once() -> None:
    ended, go_on = threading.Event(), threading.Event()
    beside = Beside[str]("a-name", ended.set)
    assert (beside.is_begun, beside.is_running) == (False, False)

    def job(cancel: threading.Event) -> str:
        assert not cancel.is_set()
        assert go_on.wait(60)
        return threading.current_thread().name

    beside.begin(job)
    assert (beside.is_begun, beside.is_running) == (True, True)
    assert not ended.is_set()
    go_on.set()
    assert ended.wait(60)
    assert (beside.is_begun, beside.is_running) == (True, False)
    assert beside.take().startswith("a-name")
    assert not beside.is_begun
    deadline = time.monotonic() + 60
    while any(thread.name.startswith("a-name") for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "its thread ends with it"
        time.sleep(0.01)


def test_it_gives_way_where_a_thread_does_not_inherit_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gave_way: list[int] = []
    monkeypatch.setattr(module, "give_way_here", lambda: gave_way.append(threading.get_ident()))
    beside = Beside[int]("a-name", lambda: None)
    beside.begin(lambda _: threading.get_ident())
    assert gave_way == [beside.take()]


def test_what_it_raises_is_raised_where_it_is_taken_in() -> None:
    ended = threading.Event()
    beside = Beside[None]("a-name", ended.set)

    def job(_: threading.Event) -> None:
        raise LookupError("no")

    beside.begin(job)
    assert ended.wait(60)
    with pytest.raises(LookupError):
        beside.take()
    assert not beside.is_begun


def test_a_job_is_told_to_end_and_waited_for() -> None:
    beside = Beside[str]("a-name", lambda: None)
    beside.close(0.0)
    beside = Beside[str]("a-name", lambda: None)

    def job(cancel: threading.Event) -> str:
        assert cancel.wait(60)
        return "ended"

    beside.begin(job)
    beside.close(60.0)
    assert not beside.is_running
    assert beside.take() == "ended"


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="the system knows no such priority")
def test_a_job_gives_way_to_all_where_it_is_to() -> None:
    beside = Beside[int]("a-name", lambda: None)
    beside.begin(lambda _: os.sched_getscheduler(0), gives_way=True)
    assert beside.take() == os.SCHED_IDLE
    beside.begin(lambda _: os.sched_getscheduler(0))
    assert beside.take() == os.SCHED_OTHER
