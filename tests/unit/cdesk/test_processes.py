"""How processes and threads of ours leave the processor to others."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cdesk.core.processes import MORE_NICENESS, NICENESS, give_way_to_all

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


def shares_by_sessions() -> bool:
    """Whether this session has a group of its own: where there is none, the file is empty."""
    try:
        return os.access(AUTOGROUP, os.W_OK) and bool(AUTOGROUP.read_text(encoding="ascii").strip())
    except OSError:
        return False


@pytest.mark.skipif(not shares_by_sessions(), reason="the system does not share by sessions")
@pytest.mark.parametrize("own_session", [True, False])
@pytest.mark.parametrize(("call", "more"), [("give_way", NICENESS), ("be_nicer", MORE_NICENESS)])
def test_a_session_of_its_own_is_as_nice_as_its_process(
    call: str, more: int, own_session: bool
) -> None:
    """And the session of others, of which the caller is one, stays as it is."""
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
    assert told == [niceness, niceness if own_session else before]
