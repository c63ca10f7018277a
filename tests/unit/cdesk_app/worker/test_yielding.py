"""Which policy a job of the worker runs under: all others first, until it was late."""

from __future__ import annotations

import os
import threading

import pytest

from cdesk_app.worker.yielding import HOLD_SECONDS, LONGEST_HOLD_SECONDS, YieldingJobs

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="no such policies")
IDLE = getattr(os, "SCHED_IDLE", 5)
ORDINARY = 0  # SCHED_OTHER


class Jobs:
    """Yielding jobs on a clock of their own."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.yielding = YieldingJobs(monotonic=lambda: self.seconds)
        self.yielding.gives_way = True

    def policy(self, kind: str = "landing", *, takes: float = 0.0) -> int:
        def job() -> int:
            self.seconds += takes
            return os.sched_getscheduler(0)

        return self.yielding.run(kind, job, seconds=2.0)


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


def test_a_job_in_time_leaves_the_next_one_giving_way(jobs: Jobs) -> None:
    assert [jobs.policy(takes=2.0), jobs.policy()] == [IDLE, IDLE]
    assert os.sched_getscheduler(0) == ORDINARY


def test_a_late_one_makes_those_of_its_kind_ordinary_for_a_while(jobs: Jobs) -> None:
    assert jobs.policy(takes=2.1) == IDLE
    assert jobs.policy(takes=1.0) == ORDINARY
    assert jobs.policy("build") == IDLE
    jobs.seconds += HOLD_SECONDS
    assert jobs.policy() == IDLE


def test_one_that_is_late_each_time_it_is_tried_is_tried_ever_more_seldom(jobs: Jobs) -> None:
    waits = []
    for _ in range(10):
        assert jobs.policy(takes=2.1) == IDLE
        began = jobs.seconds
        while jobs.policy() == ORDINARY:
            jobs.seconds += HOLD_SECONDS
            if not jobs.yielding.gives_way_now("landing"):
                continue
            waits.append(round((jobs.seconds - began) / HOLD_SECONDS))
            break
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == LONGEST_HOLD_SECONDS / HOLD_SECONDS
    assert jobs.policy(takes=1.0) == IDLE
    assert jobs.policy(takes=2.1) == IDLE
    jobs.seconds += HOLD_SECONDS
    assert jobs.policy() == IDLE, "one in time, and it begins anew"


def test_what_is_late_anyway_stays_ordinary(jobs: Jobs) -> None:
    found = []
    for _ in range(5):
        found.append(jobs.policy(takes=2.1))
        jobs.seconds += HOLD_SECONDS / 2
    assert found == [IDLE, *[ORDINARY] * 4]


def test_a_late_one_that_fails_counts_and_its_error_is_the_callers(jobs: Jobs) -> None:
    def fail() -> None:
        jobs.seconds += 3.0
        raise LookupError("as it was raised")

    with pytest.raises(LookupError, match="as it was raised"):
        jobs.yielding.run("landing", fail, seconds=2.0)
    assert jobs.policy() == ORDINARY


def test_without_a_service_it_runs_where_it_is_called(jobs: Jobs) -> None:
    jobs.yielding.gives_way = False
    ran = jobs.yielding.run("landing", threading.current_thread, seconds=2.0)
    assert ran is threading.current_thread()


def test_elsewhere_than_on_linux_it_is_as_nice_as_it_was(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "SCHED_IDLE", raising=False)
    assert jobs.policy() == ORDINARY
