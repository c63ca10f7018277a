"""Starting the worker where none runs, off the turn path."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cdesk import __version__
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.core.locks import is_held
from cdesk.core.processes import SET_UP_MODULE, WORKER_MODULE, start_detached

if TYPE_CHECKING:
    from cdesk.core.runtime import Runtime

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 60.0
"""How often, while calls come in, the server checks that a worker still runs."""
WAITED_FOR_SECONDS: Final = 5.0
"""The same after a call whose answer only a worker can give."""
WORKER_COMMAND: Final = (sys.executable, "-m", WORKER_MODULE, "worker")
SET_UP_COMMAND: Final = (sys.executable, "-m", SET_UP_MODULE)
_NEEDED: Final = {
    "duckdb": ("cdesk_app", "dbt", "duckdb"),
    "snowflake": ("cdesk_app", "dbt", "snowflake"),
}
"""Target → the packages without which no worker can run."""


class WorkerStarter:
    """Checks for a worker and starts one if the settings allow it. `missing` says why none can run
    here, or is None.
    """

    def __init__(
        self,
        settings: Settings,
        home: StateDirectory,
        *,
        command: Sequence[str] = WORKER_COMMAND,
        set_up_command: Sequence[str] = SET_UP_COMMAND,
    ) -> None:
        self._command = list(command)
        self._set_up_command = list(set_up_command)
        self._runtime: Runtime | None = None
        if settings.runtime:
            # Not before it is needed: most servers run where their worker does.
            from cdesk.core.runtime import Runtime, wanted_in

            _, wanted = wanted_in(__version__, settings.target)
            self._runtime = Runtime(home.runtime, wanted)
        self._settings = settings
        self._home = home
        self._looked = float("-inf")
        self._child: subprocess.Popen[bytes] | None = None
        self._setting_up: subprocess.Popen[bytes] | None = None
        self._missing: str | None = None

    @property
    def missing(self) -> str | None:
        if self._runtime is not None and (told := self._runtime.told(time.time_ns())):
            return told
        return self._missing

    def arriving(self) -> str | None:
        """What is told while a worker has yet to do something; None where none runs or will."""
        if self._runtime is not None and (told := self._runtime.told(time.time_ns())):
            return told
        starts = self._settings.worker == "auto" and self._missing is None
        if starts or is_held(self._home.worker_lock):
            return "setting up: the worker's first round takes about half a minute"
        return None

    def is_due(self, *, waited_for: bool = False) -> bool:
        """Whether to check again; sooner if a caller waits for a worker."""
        pause = WAITED_FOR_SECONDS if waited_for else LOOK_SECONDS
        return self._settings.worker == "auto" and time.monotonic() - self._looked >= pause

    def look(self) -> bool:
        """Start a worker if none runs; True if one was started."""
        self._looked = time.monotonic()
        if self._settings.worker != "auto":
            return False
        if self._runtime is not None and not self._runtime.is_ready():
            self._begin_set_up(self._runtime)
            return False
        if self._child is not None and self._child.poll() is None:
            return False
        if is_held(self._home.worker_lock):
            return False
        if self._runtime is not None:
            # Isolated: of the light part's packages none may come before its own.
            self._command = [str(self._runtime.python), "-I", "-m", WORKER_MODULE, "worker"]
        elif absent := [
            name
            for name in _NEEDED[self._settings.target]
            if importlib.util.find_spec(name) is None
        ]:
            extra = "worker" if self._settings.target == "duckdb" else "snowflake"
            if self._missing is None:
                facts = {"packages": ", ".join(absent), "extra": extra}
                logger.warning("no worker is installed", extra={"facts": facts})
            self._missing = f"no worker is installed here (pip install 'cdesk[{extra}]')"
            return False
        self._missing = None
        try:
            self._child = start_detached(self._command, self._settings, log=self._home.worker_log)
        except OSError as error:
            facts = {"reason": error.strerror or type(error).__name__}
            logger.warning("worker not started", extra={"facts": facts})
            return False
        logger.info("worker started", extra={"facts": {"worker": self._child.pid}})
        return True

    def _begin_set_up(self, runtime: Runtime) -> None:
        """Have the worker's environment set up by a process of its own, unless one is at it."""
        if self._setting_up is not None and self._setting_up.poll() is None:
            return
        if not runtime.is_due(time.time_ns()):
            return
        try:
            self._setting_up = start_detached(
                self._set_up_command, self._settings, log=self._home.worker_log
            )
        except OSError as error:
            facts = {"reason": error.strerror or type(error).__name__}
            logger.warning("set-up not started", extra={"facts": facts})

    def release(self) -> None:
        """Let the worker, and what sets it up, live on when this process ends."""
        for child in (self._child, self._setting_up):
            if child is not None:
                # Suppresses the warning about a child that still runs.
                child.returncode = child.poll() or 0
        self._child = self._setting_up = None
