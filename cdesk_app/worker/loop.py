"""The worker's rhythm: wait until something happens, do what it calls for, wait again. Idle means
idle.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Final, Literal

from cdesk.core.errors import CdeskError, NewerVersion
from cdesk.core.memory import give_memory_back
from cdesk.state.database import is_damage
from cdesk_app.worker.cycle import run_tickets
from cdesk_app.worker.pipeline import Pipeline
from cdesk_app.worker.tasks import PipelineTasks, TaskTable
from cdesk_app.worker.version import Upgraded, installed_version

logger = logging.getLogger(__name__)

FINISH_SECONDS: Final = 30.0
"""How long a worker that an upgrade has overtaken goes on with the queries that wait."""
REST_SECONDS: Final = 20.0
"""With nothing to do for so long after work, the memory of it is given back."""

Ending = Literal["stopped", "idle", "removed", "damaged", "upgraded", "newer_version"]
"""Why a loop ended: told to stop; nobody there; the state directory has gone, or another worker's
lock lies in it; state.db is damaged, or another than it was, and the next worker mends it before it
opens it; another version is installed than the one that runs; a newer version wrote here.
"""


class Loop:
    """`run` until `stop` is set, nobody is there any more, or this worker does not belong here.

    wait: blocks for that many seconds or until woken; whether it was.
    others_live: whether a shim is there.
    owned: whether the state directory is still this worker's.
    rest: called once after work, when nothing has come for REST_SECONDS.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        wait: Callable[[float], bool],
        stop: threading.Event,
        *,
        others_live: Callable[[], bool],
        owned: Callable[[], bool] = lambda: True,
        installed: Callable[[], str | None] = installed_version,
        rest: Callable[[], None] = give_memory_back,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pipeline = pipeline
        self._wait = wait
        self._stop = stop
        self._others_live = others_live
        self._owned = owned
        self._monotonic = monotonic
        self._active_at = monotonic()
        self._rest = rest
        self._has_rested = False
        self._table = TaskTable(
            PipelineTasks(pipeline, others_live, installed, monotonic=monotonic).table(),
            monotonic=monotonic,
            active=self._active,
            failed=self._look_at_state,
            counts=pipeline.counts,
        )
        self.problem: str | None = None
        """After an ending that somebody has to do something about: what happened."""

    def run(self, idle_exit_seconds: float) -> Ending:
        """Turn until there is a reason to end."""
        try:
            return self._run(idle_exit_seconds)
        except NewerVersion as error:
            self.problem = str(error)
            return "newer_version"
        except Upgraded as error:
            logger.info("upgraded", extra={"facts": {"reason": str(error)}})
            self._finish()
            return "upgraded"

    def _run(self, idle_exit_seconds: float) -> Ending:
        self._pipeline.look_at_project()
        while not self._stop.is_set():
            if not self._owned():
                return "removed"
            pause = self.turn()
            if self._stop.is_set():
                break
            if not self._pipeline.state_file.stands:
                return "damaged"
            if self.idle_for() >= idle_exit_seconds and not self._others_live():
                return "idle"
            if not self._has_rested and self.idle_for() >= REST_SECONDS:
                self._rest()
                self._has_rested = True
            self._wait(pause)
        return "stopped"

    def turn(self) -> float:
        """Everything that is due now; seconds until the next turn is worth it.

        Raises:
            NewerVersion, Upgraded: this worker must end.
        """
        return self._table.turn()

    def idle_for(self) -> float:
        """Seconds since there was last something to do, or somebody there."""
        return self._monotonic() - self._active_at

    def _active(self) -> None:
        self._active_at = self._monotonic()
        self._has_rested = False

    def _look_at_state(self, error: Exception) -> None:
        if isinstance(error, sqlite3.Error) and is_damage(error):
            self._pipeline.state_file.look()

    def _finish(self) -> None:
        """Answer what waits and land what was recorded; the worker that comes next is a new one."""
        with contextlib.suppress(CdeskError, sqlite3.Error):
            run_tickets(self._pipeline, seconds=FINISH_SECONDS)
            self._pipeline.drain()
