"""The worker's rhythm: wait until something happens, do what it calls for, wait again. Idle means
idle.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Final

from cdesk.core.errors import CdeskError
from cdesk_app.worker.round import do_everything
from cdesk_app.worker.service import REFRESH_SECONDS, Service

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 30.0
"""A wake-up that got lost costs at most so long."""
BUSY_POLL_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 5.0
"""A refresh that failed, or a step that ended in an unexpected error, is tried again after so long.
"""
TEST_RETRY_SECONDS: Final = 600.0
QUESTION_SECONDS: Final = 0.2
"""A landing waits so long for questions that have just been taken up: on the embedded engine one
keeps the other out.
"""


class Loop:
    """`run` until `stop` is set or nobody is there any more.

    wait: blocks for so many seconds or until woken; whether it was. others_live: whether a shim is
        there. owned: whether the state
    directory is still this worker's.
    """

    def __init__(
        self,
        service: Service,
        wait: Callable[[float], bool],
        stop: threading.Event,
        *,
        others_live: Callable[[], bool],
        owned: Callable[[], bool] = lambda: True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._wait = wait
        self._stop = stop
        self._others_live = others_live
        self._owned = owned
        self._monotonic = monotonic
        self._active_at = monotonic()
        self._refreshed_at: float | None = None
        self._retry_at = 0.0
        self._test_at = 0.0

    def run(self, idle_exit_seconds: float) -> str:
        """Why it ended: `stopped`, `idle`, or `removed` (the state directory has gone, or another
        worker's lock lies in it).
        """
        self._service.look_at_project()
        while not self._stop.is_set():
            if not self._owned():
                return "removed"
            try:
                pause = self.turn()
            except Exception:  # the top of the process: one bad turn must not end the worker
                logger.exception("a turn failed")
                pause = RETRY_SECONDS
            if self._stop.is_set():
                break
            if self.idle_for() >= idle_exit_seconds and not self._others_live():
                return "idle"
            self._wait(pause)
        return "stopped"

    def idle_for(self) -> float:
        """Seconds since there was last something to do, or somebody there."""
        return self._monotonic() - self._active_at

    def turn(self) -> float:
        """Everything that is due now; seconds until the next turn is worth it."""
        service = self._service
        if service.runner.poll():
            service.runner.wait_idle(QUESTION_SECONDS)
        self._answer_request()
        pause = POLL_SECONDS
        hold = service.uploader.hold_seconds
        if hold > 0:
            pause = min(pause, hold)
        else:
            report = service.drain()
            if report.landed:
                self._active()
            if report.blocked and report.blocked not in ("warehouse_not_built", "stopped"):
                pause = min(pause, max(service.uploader.hold_seconds, BUSY_POLL_SECONDS))
        if service.builds:
            pause = min(pause, self._build_if_due())
            self._test_if_due()
        else:
            self._refresh_by_the_clock()
        if service.refresh_due:
            pause = min(pause, self._retry_refresh())
        if service.runner.busy or service.queued_tickets():
            self._active()
            pause = min(pause, BUSY_POLL_SECONDS)
        self._once_a_day()
        service.seal_if_due()
        return pause

    def _active(self) -> None:
        self._active_at = self._monotonic()

    def _build_if_due(self) -> float:
        service = self._service
        due = service.schedule.due_in()
        if due is None:
            return POLL_SECONDS
        if due > 0:
            return due
        self._active()
        try:
            service.build()
        except CdeskError as error:
            logger.warning(
                "build put off", extra={"facts": {"code": error.code, "reason": str(error)}}
            )
        else:
            service.drain()  # what waited for the tables, and what the build itself made
        after = service.schedule.due_in()
        return POLL_SECONDS if after is None else after

    def _test_if_due(self) -> None:
        """Data tests come behind everything that somebody waits for, at the first quiet moment."""
        service, now = self._service, self._monotonic()
        if (
            now < self._test_at
            or not service.test_due
            or service.schedule.due_in() == 0
            or self._stop.is_set()
        ):
            return
        self._active()
        try:
            service.test()
        except CdeskError as error:
            logger.warning("tests put off", extra={"facts": {"reason": str(error)}})
            self._test_at = now + TEST_RETRY_SECONDS

    def _retry_refresh(self) -> float:
        now = self._monotonic()
        if now >= self._retry_at:
            try:
                self._service.refresh()
            except CdeskError as error:
                logger.warning("refresh put off", extra={"facts": {"reason": str(error)}})
                self._retry_at = now + RETRY_SECONDS * random.uniform(0.5, 1.5)
            else:
                return POLL_SECONDS
        return self._retry_at - now

    def _refresh_by_the_clock(self) -> None:
        """Where builds happen elsewhere."""
        now, before = self._monotonic(), self._refreshed_at
        if before is not None and (now - before < REFRESH_SECONDS or not self._others_live()):
            return
        self._refreshed_at = now
        self._service.refresh_due = True
        try:
            self._service.export()
        except CdeskError as error:
            logger.warning("catalog put off", extra={"facts": {"reason": str(error)}})

    def _answer_request(self) -> None:
        request = self._service.take_request()
        if request is None:
            return
        self._active()
        try:
            report = do_everything(self._service, full=bool(request.get("full")))
        except CdeskError as error:
            logger.warning("request failed", extra={"facts": {"reason": str(error)}})
            self._service.answer_request(request, error=str(error))
        except Exception as error:
            self._service.answer_request(
                request, error=f"{type(error).__name__}; the worker's log says more"
            )
            raise
        else:
            self._service.answer_request(request, report=report.to_json())

    def _once_a_day(self) -> None:
        self._service.tidy_if_due()
