"""How processes and threads of ours leave the processor to others."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cdesk.core import processes
from cdesk.core.processes import (
    MORE_NICENESS,
    NICENESS,
    give_way_in_everything,
    give_way_to_all,
    run_ordinary,
    start_ordinary,
)
from tests.in_background import ONLY_WHERE_THREADS_DIFFER, in_background

AUTOGROUP = Path("/proc/self/autogroup")


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="the system knows no such priority")
def test_a_thread_that_gives_way_passes_it_on_and_changes_no_other() -> None:
    found: dict[str, int] = {}

    def look(name: str) -> None:
        found[name] = os.sched_getscheduler(0)

    def run() -> None:
        give_way_to_all()
        look("own")
        inner = threading.Thread(target=look, args=("started",))
        inner.start()
        inner.join()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == {"own": os.SCHED_IDLE, "started": os.SCHED_IDLE}
    assert os.sched_getscheduler(0) != os.SCHED_IDLE


@ONLY_WHERE_THREADS_DIFFER
def test_what_a_person_waits_for_is_as_nice_as_the_process_was() -> None:
    """And so is what such a thread starts; an ordinary thread of who gave way is as nice as that."""
    found: dict[str, int] = {}

    def look(name: str) -> None:
        found[name] = os.nice(0)

    def start(started: Callable[[threading.Thread], None], name: str) -> None:
        thread = threading.Thread(target=look, args=(name,))
        started(thread)
        thread.join()

    before = os.nice(0)
    with in_background() as run:
        run(lambda: look("its own"))
        run(lambda: start(threading.Thread.start, "started"))
        run(lambda: start(start_ordinary, "ordinary"))
        run(lambda: run_ordinary(lambda: look("job"), "job"))
        run(lambda: run_ordinary(lambda: start(threading.Thread.start, "of job"), "job"))
    nicer = min(before + NICENESS, 19)
    assert found == {
        **{"its own": nicer, "started": nicer},
        **{"ordinary": before, "job": before, "of job": before},
    }
    assert os.nice(0) == before


@ONLY_WHERE_THREADS_DIFFER
def test_beside_a_service_nothing_is_ordinary_any_more() -> None:
    found: list[int] = []

    def look() -> None:
        found.append(os.nice(0))

    def start() -> None:
        give_way_in_everything()
        thread = threading.Thread(target=look)
        start_ordinary(thread)
        thread.join()
        run_ordinary(look, "job")

    with in_background() as run:
        run(start)
    assert found == [min(os.nice(0) + NICENESS, 19)] * 2


@ONLY_WHERE_THREADS_DIFFER
def test_what_a_job_returns_or_raises_is_its_callers() -> None:
    def fail() -> None:
        raise KeyError("of the job")

    with in_background() as run:
        assert run(lambda: run_ordinary(lambda: 7, "job")) == 7
        with pytest.raises(KeyError, match="of the job"):
            run(lambda: run_ordinary(fail, "job"))


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="the system knows no such priority")
def test_a_job_of_who_gives_way_to_all_does_too() -> None:
    def job() -> int:
        return os.sched_getscheduler(0)

    def run_it() -> int:
        give_way_to_all()
        return run_ordinary(job, "job")

    with in_background() as run:
        assert run(run_it) == os.SCHED_IDLE


@ONLY_WHERE_THREADS_DIFFER
def test_a_job_of_who_is_ordinary_needs_no_other_thread() -> None:
    def inside() -> bool:
        return run_ordinary(threading.get_ident, "job") == threading.get_ident()

    with in_background() as run:
        assert run(lambda: run_ordinary(inside, "job"))
        assert not run(inside)
    assert run_ordinary(threading.get_ident, "job") == threading.get_ident()


def test_without_a_background_all_threads_are_alike() -> None:
    here = threading.get_ident()
    assert run_ordinary(threading.get_ident, "job") == here
    thread = threading.Thread(target=time.sleep, args=(0,))
    start_ordinary(thread)
    thread.join()


@pytest.mark.skipif(sys.platform != "win32", reason="elsewhere a thread inherits it")
def test_on_windows_each_thread_gives_way_for_itself() -> None:
    import ctypes

    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    kernel.GetCurrentThread.restype = ctypes.c_void_p
    kernel.GetThreadPriority.argtypes = (ctypes.c_void_p,)

    def priority() -> int:
        return int(kernel.GetThreadPriority(kernel.GetCurrentThread()))

    found: list[int] = []

    def start(*before: Callable[[], None]) -> None:
        thread = threading.Thread(
            target=lambda: [*(one() for one in before), found.append(priority())]
        )
        thread.start()
        thread.join()

    start(processes.give_way_here)
    with in_background() as run:
        run(lambda: found.append(priority()))
        run(start)
        run(lambda: start(processes.give_way_here))
    assert found == [0, -1, 0, -1]


def shares_by_sessions() -> bool:
    """Whether this session has a group of its own: where there is none, the file is empty."""
    try:
        return os.access(AUTOGROUP, os.W_OK) and bool(AUTOGROUP.read_text(encoding="ascii").strip())
    except OSError:
        return False


@pytest.mark.skipif(not shares_by_sessions(), reason="the system does not share by sessions")
@pytest.mark.parametrize("own_session", [True, False])
@pytest.mark.parametrize(
    ("call", "more", "of_session"),
    [("give_way", NICENESS, False), ("be_nicer", MORE_NICENESS, True)],
)
def test_a_session_of_its_own_is_as_nice_as_a_process_that_is_nice_as_a_whole(
    call: str, more: int, of_session: bool, own_session: bool
) -> None:
    """And the session of others, of which the caller is one, stays as it is; so does that of who
    has threads that people wait for.
    """
    before = AUTOGROUP.read_text(encoding="ascii").split()[-1]
    code = (
        f"import os, pathlib; from cdesk.core.processes import {call}; {call}(); "
        "print(os.nice(0), pathlib.Path('/proc/self/autogroup').read_text().split()[-1])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        start_new_session=own_session,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    niceness = str(min(os.nice(0) + more, 19))
    assert told[0] == niceness
    if not own_session:
        assert told[1] == before
    else:
        assert (told[1] == niceness) == of_session
