"""Starting the worker where none runs, off the turn path."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.core.locks import is_held
from cdesk.core.processes import start_detached

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 60.0
"""How often, while calls come in, the server checks that a worker still runs."""
WAITED_FOR_SECONDS: Final = 5.0
"""The same after a call whose answer only a worker can give."""
WORKER_COMMAND: Final = (sys.executable, "-m", "cdesk_app.cli.main", "worker")
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
    ) -> None:
        self._command = list(command)
        self._settings = settings
        self._home = home
        self._looked = float("-inf")
        self._child: subprocess.Popen[bytes] | None = None
        self.missing: str | None = None

    def is_due(self, *, waited_for: bool = False) -> bool:
        """Whether to check again; sooner if a caller waits for a worker."""
        pause = WAITED_FOR_SECONDS if waited_for else LOOK_SECONDS
        return self._settings.worker == "auto" and time.monotonic() - self._looked >= pause

    def look(self) -> bool:
        """Start a worker if none runs; True if one was started."""
        self._looked = time.monotonic()
        if self._settings.worker != "auto":
            return False
        if self._child is not None and self._child.poll() is None:
            return False
        if is_held(self._home.worker_lock):
            return False
        absent = [
            name
            for name in _NEEDED[self._settings.target]
            if importlib.util.find_spec(name) is None
        ]
        if absent:
            extra = "worker" if self._settings.target == "duckdb" else "snowflake"
            if self.missing is None:
                facts = {"packages": ", ".join(absent), "extra": extra}
                logger.warning("no worker is installed", extra={"facts": facts})
            self.missing = f"no worker is installed here (pip install 'cdesk[{extra}]')"
            return False
        self.missing = None
        try:
            self._child = start_detached(self._command, self._settings, log=self._home.worker_log)
        except OSError as error:
            facts = {"reason": error.strerror or type(error).__name__}
            logger.warning("worker not started", extra={"facts": facts})
            return False
        logger.info("worker started", extra={"facts": {"worker": self._child.pid}})
        return True

    def release(self) -> None:
        """Let the worker live on when this process ends."""
        if self._child is not None:
            # Suppresses the warning about a child that still runs.
            self._child.returncode = self._child.poll() or 0
            self._child = None
