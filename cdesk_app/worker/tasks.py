"""What the worker does again and again: one table, each task with when it is due, what it runs and
its period. The loop (cdesk_app/worker/loop.py) drives it.

    version     every turn: a worker that does not belong here any more ends
    way         once an HTTP service runs here, for whose answers many wait: queries leave it the
                processor wholly; landings, builds and refreshes, which others wait for, do so for
                as long as they are in time
    begin       once: what was recorded before this worker lands before the first query is answered
    tickets     every turn: start what waits, end what has expired
    request     somebody asked for a whole cycle
    drain       every turn, but for the uploader's debounce and its pause after a failure
    warm        a few seconds before a build: what builds is started, and landing goes on meanwhile
    build       as the build schedule says; not where builds happen elsewhere
    tests       after the first build of a project and once a day, when no build is due: a slice of
                them a turn, so that landing and questions go on between
    catalog     where builds happen elsewhere: while a shim is there, ten minutes after something
                landed from here, more and more rarely after that; everywhere where it is not what
                was compiled
    refresh     the snapshot is behind the last build, or behind its period
    dashboard   after a refresh, once a minute at most; beside an HTTP service once in a quarter of
                an hour; the other tasks go on meanwhile
    clean up    once a day, whichever worker of the directory runs then
    seal        the worker's own queue file has come of age
    costs       once a minute while there are turns: what was used, against its caps
    counts      what was counted is handed over, when there is a turn anyway
"""

from __future__ import annotations

import contextlib
import logging
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cdesk.core.backoff import Backoff
from cdesk.core.errors import CdeskError, NewerVersion
from cdesk.core.metrics import ERRORS
from cdesk.core.processes import give_way_in_everything
from cdesk.state.counts import Counts
from cdesk.state.http_service import is_running
from cdesk_app.worker.cycle import run_cycle
from cdesk_app.worker.cycle_requests import answer_request, take_request
from cdesk_app.worker.pipeline import Pipeline
from cdesk_app.worker.version import (
    Upgraded,
    installed_version,
    require_current,
    require_installed,
)
from cdesk_app.worker.yielding import YieldingJobs

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 30.0
"""The longest pause between two turns: what a wake-up that got lost costs."""
BUSY_POLL_SECONDS: Final = 1.0
CATALOG_SECONDS: Final = 600.0
"""Below what makes a snapshot stale (mcp_shim/context.py, LATE_SECONDS)."""
QUIET_SECONDS: Final = 3600.0
DASHBOARD_SECONDS: Final = 60.0
SERVICE_DASHBOARD_SECONDS: Final = 900.0
"""Beside a service, where it is this host's own person's alone, and its queries run on what is left
of the processor.
"""
COUNTS_SECONDS: Final = 5.0
COSTS_SECONDS: Final = 60.0
WAY_SECONDS: Final = 2.0
WARM_UP_SECONDS: Final = 10.0
"""What it takes to start dbt and parse the project, on a slow computer."""
BEGIN_RECORDS: Final = 10_000
"""More than so many are not landed before the first query: it would wait for more than a moment."""
LANDING_SECONDS: Final = 2.0
REFRESH_SECONDS: Final = 2.0
BUILD_SECONDS: Final = 4.0
"""Beside a service, what takes longer is late, and for a while gives way no more: records are to
land within five seconds, and on the embedded engine a build keeps landings waiting.
"""
TESTS_PAUSE_SECONDS: Final = 3.0
"""From one slice of the data tests to the next: what landed and was asked meanwhile comes first."""
READY_SECONDS: Final = 30.0
"""So long a build waits for what builds to get ready, which is started when it is due or shortly
before; landing goes on meanwhile.
"""
READY_POLL_SECONDS: Final = 0.5
QUERY_SECONDS: Final = 0.2
"""How long a landing waits for queries that have just begun: on the embedded engine one keeps the
other out.
"""
RETRY: Final = Backoff(5.0, 5.0, jitter=(0.5, 1.5))
TEST_RETRY: Final = Backoff(600.0, 600.0)
AT_ONCE: Final = Backoff(0.0, 0.0)
"""For a task that knows itself when to try again."""


def _at_the_next_poll() -> float:
    return POLL_SECONDS


@dataclass(frozen=True, slots=True)
class Task:
    """One line of the table.

    due: seconds until there is something to do, 0 for now, None where nothing is in sight; given
        the seconds since the last run, infinite before the first.
    run: does it; true where somebody had work for the worker, which keeps it from idling out.
    period: seconds until it is worth another turn after a run.
    retry: the pause after a run that failed.
    """

    name: str
    due: Callable[[float], float | None]
    run: Callable[[], bool]
    period: Callable[[], float] = _at_the_next_poll
    retry: Backoff = RETRY


class AskingElsewhere:
    """How often a desktop asks for what is built elsewhere. Each question wakes a warehouse, and
    the context of somebody who does nothing stays as it is: two questions after a landing, since
    the first may come before the build, then ever fewer.
    """

    def __init__(self) -> None:
        self._asked = 0

    def landed(self) -> None:
        self._asked = 0

    def asked(self) -> None:
        self._asked += 1

    @property
    def seconds(self) -> float:
        """From one question to the next."""
        return min(CATALOG_SECONDS * 2.0 ** min(max(self._asked - 1, 0), 16), QUIET_SECONDS)


class TaskTable:
    """Runs what is due, in the order of the table. A task that fails keeps no other from its turn.

    active: called after a run that had something to do. failed: with what a run raised that is no
    error of ours.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        *,
        monotonic: Callable[[], float],
        active: Callable[[], None],
        failed: Callable[[Exception], None] = lambda _error: None,
        rng: random.Random | None = None,
        counts: Counts | None = None,
    ) -> None:
        self._failed = failed
        self._counts = counts or Counts()
        self._tasks = tasks
        self._monotonic = monotonic
        self._active = active
        self._rng = rng
        self._ran_at: dict[str, float] = {}
        self._not_before: dict[str, float] = {}

    def turn(self) -> float:
        """Run what is due; seconds until the next turn is worth it, at most POLL_SECONDS.

        Raises:
            NewerVersion, Upgraded: this worker must end.
        """
        return min([POLL_SECONDS, *map(self._turn, self._tasks)])

    def _turn(self, task: Task) -> float:
        """Run `task` if it is due; seconds until it is worth another turn."""
        try:
            pause = self._pause(task)
            if pause > 0:
                return pause
            self._ran_at[task.name] = self._monotonic()
            if task.run():
                self._active()
            return task.period()
        except (NewerVersion, Upgraded):
            raise
        except CdeskError as error:
            self._active()
            facts = {"task": task.name, "code": error.code, "reason": str(error)}
            logger.warning("task put off", extra={"facts": facts})
            self._counts.add(ERRORS, task.name, error.code)
            return self._put_off(task, task.retry)
        except Exception as error:  # the top of a loop: one bad task must not end the worker
            logger.exception("task %s failed", task.name)
            self._failed(error)
            self._counts.add(ERRORS, task.name, "internal")
            return self._put_off(task, RETRY)

    def _pause(self, task: Task) -> float:
        """Seconds until `task` is due and may run."""
        now = self._monotonic()
        due = task.due(now - self._ran_at.get(task.name, -math.inf))
        if due is None:
            return POLL_SECONDS
        return max(due, self._not_before.get(task.name, 0.0) - now, 0.0)

    def _put_off(self, task: Task, retry: Backoff) -> float:
        pause = retry.pause(1, self._rng)
        self._not_before[task.name] = self._monotonic() + pause
        return self._pause(task) if retry is AT_ONCE else pause


class PipelineTasks:
    """What the tasks of a worker do to its pipeline; `table` is the table of them.

    others_live: whether a shim is there. installed: which version a new process would have.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        others_live: Callable[[], bool],
        installed: Callable[[], str | None] = installed_version,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pipeline = pipeline
        self._others_live = others_live
        self._installed = installed
        self._monotonic = monotonic
        self._jobs = YieldingJobs(monotonic=monotonic)
        self._warming_since: float | None = None
        """Since when a build has waited for what builds to get ready."""
        self._begun = False
        self._asking = AskingElsewhere()
        self._behind = False
        """Whether more waits in the backlog."""
        self._blocked = False
        """Whether the last drain was kept from its end by something that may pass."""

    def table(self) -> list[Task]:
        pipeline = self._pipeline
        return [
            Task("version", _every_turn, self.version),
            Task("way", self.way_due, self.give_way),
            Task("begin", lambda _: None if self._begun else 0.0, self.begin, retry=AT_ONCE),
            Task("tickets", _every_turn, self.tickets, self.tickets_period),
            Task("request", self.request_due, self.request),
            Task("drain", self.drain_due, self.drain, self.drain_period),
            Task("warm", self.warm_due, self.warm),
            Task("build", self.build_due, self.build, self.build_period, retry=AT_ONCE),
            Task("tests", self.tests_due, self.tests, self.tests_period, retry=TEST_RETRY),
            Task("catalog", self.catalog_due, self.catalog),
            Task("refresh", lambda _: 0.0 if pipeline.refresh_due else None, self.refresh),
            Task("dashboard", self.dashboard_due, self.dashboard),
            Task("clean up", lambda _: pipeline.clean_up.due_in(), self.clean_up),
            Task("seal", lambda _: 0.0 if pipeline.queue.due else None, self.seal),
            # Idle means idle: it wakes nobody by itself.
            Task("costs", self.costs_due, self.costs),
            Task("counts", lambda since: 0.0 if since >= COUNTS_SECONDS else None, self.counts),
        ]

    def version(self) -> bool:
        require_current(self._pipeline.state, self._pipeline.home)
        require_installed(self._installed())
        return False

    def begin(self) -> bool:
        self._begun = True
        return self._pipeline.uploader.depth() <= BEGIN_RECORDS and self.drain()

    def tickets(self) -> bool:
        runner = self._pipeline.runner
        if runner.poll():
            runner.wait_idle(QUERY_SECONDS)
        return self._busy()

    def tickets_period(self) -> float:
        return BUSY_POLL_SECONDS if self._busy() else POLL_SECONDS

    def _busy(self) -> bool:
        return self._pipeline.runner.busy or self._pipeline.queued_tickets() > 0

    def request_due(self, _: float) -> float | None:
        return None if take_request(self._pipeline.status) is None else 0.0

    def request(self) -> bool:
        """Run the cycle that somebody asked for, and tell them what came of it."""
        status = self._pipeline.status
        request = take_request(status)
        if request is None:
            return False
        try:
            report = run_cycle(self._pipeline, full=request.full)
        except CdeskError as error:
            logger.warning("request failed", extra={"facts": {"reason": str(error)}})
            answer_request(status, request, error=str(error))
        except Exception as error:
            text = f"{type(error).__name__}; the worker's log says more"
            answer_request(status, request, error=text)
            raise
        else:
            answer_request(status, request, report=report)
        return True

    def drain_due(self, _: float) -> float:
        return self._pipeline.uploader.debounce_seconds

    def drain(self) -> bool:
        report = self._jobs.run("landing", self._pipeline.drain, seconds=LANDING_SECONDS)
        self._behind = report.blocked is None and bool(self._pipeline.backlog.waiting())
        self._blocked = report.blocked not in (None, "warehouse_not_built", "stopped")
        if report.landed:
            self._asking.landed()
        return report.landed > 0

    def drain_period(self) -> float:
        if self._behind:
            return 0.0
        if not self._blocked:
            return POLL_SECONDS
        return max(self._pipeline.uploader.debounce_seconds, BUSY_POLL_SECONDS)

    def warm_due(self, _: float) -> float | None:
        pipeline = self._pipeline
        due = pipeline.schedule.due_in() if pipeline.builds else None
        # What is due now starts it itself.
        if due is None or due == 0 or pipeline.is_warm:
            return None
        return 0.0 if pipeline.schedule.nears_many else max(due - WARM_UP_SECONDS, 0.0)

    def warm(self) -> bool:
        self._warm()
        return False

    def _warm(self) -> None:
        """From this thread: a process that one giving way starts would give way for good."""
        self._pipeline.warm(gives_way=self._jobs.gives_way_now("build"))

    def build_due(self, _: float) -> float | None:
        return self._pipeline.schedule.due_in() if self._pipeline.builds else None

    def build(self) -> bool:
        gives_way = self._jobs.gives_way_now("build")
        if (gives_way or self._pipeline.schedule.can_wait) and not self._is_ready(gives_way):
            return False
        self._jobs.run("build", self._pipeline.build, seconds=BUILD_SECONDS)
        self.drain()  # what waited for the tables, and what the build itself made
        return True

    def _is_ready(self, gives_way: bool) -> bool:
        """Whether to build now: landing goes on while what builds gets ready. After too long a
        build that gave way meanwhile runs as nice as the worker.
        """
        pipeline, now = self._pipeline, self._monotonic()
        if not pipeline.is_ready:
            self._warm()
            if self._warming_since is None:
                self._warming_since = now
            if now - self._warming_since < READY_SECONDS:
                return False
            if gives_way:
                self._jobs.hold("build")
        self._warming_since = None
        return True

    def build_period(self) -> float:
        if self._warming_since is not None:
            return READY_POLL_SECONDS
        due = self._pipeline.schedule.due_in()
        return POLL_SECONDS if due is None else due

    def tests_due(self, since: float) -> float | None:
        pipeline = self._pipeline
        wanted = pipeline.builds and pipeline.test_due and not pipeline.stop.is_set()
        if not wanted or pipeline.schedule.due_in() == 0:
            return None
        return max(TESTS_PAUSE_SECONDS - since, 0.0)

    def tests(self) -> bool:
        self._pipeline.test_part()
        return True

    def tests_period(self) -> float:
        return TESTS_PAUSE_SECONDS if self._pipeline.test_due else POLL_SECONDS

    def catalog_due(self, since: float) -> float | None:
        pipeline = self._pipeline
        if pipeline.home.catalog.exists() and pipeline.catalog.look() is None:
            return 0.0  # somebody changed it, or it is of another version
        if pipeline.builds or (since < math.inf and not self._others_live()):
            return None
        return max(self._asking.seconds - since, 0.0)

    def catalog(self) -> bool:
        self._pipeline.refresh_due = self._pipeline.refresh_due or not self._pipeline.builds
        self._asking.asked()
        self._pipeline.export()
        return False

    def refresh(self) -> bool:
        self._jobs.run("refresh", self._pipeline.refresh, seconds=REFRESH_SECONDS)
        return False

    def dashboard_due(self, since: float) -> float | None:
        if self._pipeline.is_dashboard_under_way:
            return None  # its end wakes the loop
        if self._pipeline.is_dashboard_begun:
            return 0.0
        period = SERVICE_DASHBOARD_SECONDS if self._jobs.gives_way else DASHBOARD_SECONDS
        return max(period - since, 0.0) if self._pipeline.dashboard_due else None

    def dashboard(self) -> bool:
        if self._pipeline.is_dashboard_begun:
            self._pipeline.end_dashboard()
        else:
            self._pipeline.begin_dashboard(gives_way=self._jobs.gives_way)
        return False

    def clean_up(self) -> bool:
        self._pipeline.clean_up.run()
        return False

    def way_due(self, since: float) -> float | None:
        return 0.0 if since >= WAY_SECONDS and not self._pipeline.runner.gives_way else None

    def give_way(self) -> bool:
        if is_running(self._pipeline.home):
            self._pipeline.runner.gives_way = True
            give_way_in_everything()
            # The client of a warehouse elsewhere keeps threads of its own beyond a job.
            self._jobs.gives_way = self._pipeline.builds
            logger.info("the worker gives way to the HTTP service")
        return False

    def costs_due(self, since: float) -> float | None:
        return 0.0 if since >= COSTS_SECONDS and self._pipeline.costs.enabled else None

    def costs(self) -> bool:
        self._pipeline.costs.look()
        return False

    def counts(self) -> bool:
        self._pipeline.hand_over_counts()
        return False

    def seal(self) -> bool:
        with contextlib.suppress(OSError):
            self._pipeline.queue.seal()
        return False


def _every_turn(_: float) -> float:
    return 0.0
