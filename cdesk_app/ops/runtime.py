"""Setting up the worker's environment: run in the background by a server that has the light part
alone (`python -m cdesk_app.ops.runtime`). Stopped at any moment, the next one goes on where it was:
what was downloaded is in the installer's cache, what was installed stays.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from cdesk import __version__
from cdesk.contract.redaction import redact_value
from cdesk.core.clock import NowNs
from cdesk.core.config import Settings, load_settings
from cdesk.core.errors import CdeskError, ConfigurationError
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock, is_held
from cdesk.core.log import set_up_logging
from cdesk.core.processes import WORKER_MODULE, start_detached
from cdesk.core.runtime import Runtime, SetUp, moment, wanted_in
from cdesk_app.ops.clients.config_file import changed, write

logger = logging.getLogger(__name__)

STEP_SECONDS: Final = 1_800
CONSTRAINTS: Final = "constraints.txt"
_SHOWN: Final = 200

Run = Callable[[Sequence[str], Mapping[str, str]], None]
"""Runs a command to its end. Raises SetUpFailed."""


class SetUpFailed(CdeskError):
    """A step of setting up failed; what its last line said."""

    code = "set_up_failed"


def run_command(command: Sequence[str], environ: Mapping[str, str]) -> None:
    """Run one step. Raises SetUpFailed."""
    try:
        ran = subprocess.run(
            list(command),
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=STEP_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetUpFailed(f"{Path(command[0]).name}: {type(error).__name__}") from None
    if ran.returncode:
        lines = [line.strip() for line in (ran.stderr or ran.stdout).splitlines() if line.strip()]
        logger.error("step failed", extra={"facts": {"said": "\n".join(lines[-20:])}})
        telling = next((line for line in lines if "error" in line.lower()), None)
        said = telling or (lines[-1] if lines else f"exit code {ran.returncode}")
        raise SetUpFailed(str(redact_value(said))[:_SHOWN])


def set_up(
    runtime: Runtime,
    source: Path,
    extras: str,
    environ: Mapping[str, str],
    *,
    run: Run = run_command,
    now_ns: NowNs = time.time_ns,
) -> bool:
    """Make the environment from the wheel in `source`; False where another process does.

    Raises:
        SetUpFailed: a step failed; the progress file says so, too.
    """
    if not runtime.is_due(now_ns()):
        return runtime.is_ready()
    runtime.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(runtime.lock) as alone:
        if not alone:
            return False
        before = runtime.progress()
        failures = before.failures if before else 0
        progress = SetUp(since=moment(now_ns()), at=moment(now_ns()), failures=0)
        runtime.unmark()
        runtime.keep_progress(progress)
        try:
            for command in _steps(runtime, source, extras, environ):
                run(command, environ)
            runtime.mark_ready()
        except (SetUpFailed, OSError) as error:
            runtime.keep_progress(
                SetUp(progress.since, moment(now_ns()), failures + 1, str(error)[:_SHOWN])
            )
            raise
        return True


def _steps(
    runtime: Runtime, source: Path, extras: str, environ: Mapping[str, str]
) -> list[list[str]]:
    """The commands, by uv where it is at hand (Claude Desktop brings it), else by pip.

    Raises:
        SetUpFailed: `source` holds no wheel.
    """
    wheels = sorted(source.glob("cdesk-*.whl"))
    if not wheels:
        raise SetUpFailed(f"{source} holds no wheel of cdesk; install the bundle again")
    wanted = f"cdesk[{extras}] @ {wheels[-1].absolute().as_uri()}"
    constraints = source / CONSTRAINTS
    pinned = ["--constraint", str(constraints)] if constraints.exists() else []
    python, environment = str(runtime.python), str(runtime.environment)
    uv = environ.get("UV") or shutil.which("uv", path=environ.get("PATH"))
    if uv:
        install = [uv, "pip", "install", "--no-progress", "--python", python]
        make = [uv, "venv", "--no-progress", "--allow-existing", "--python", sys.executable]
        return [[*make, environment], [*install, *pinned, "--reinstall-package", "cdesk", wanted]]
    install = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    again = [*install, "--force-reinstall", "--no-deps", wanted]  # the same version, built anew
    return [[sys.executable, "-m", "venv", environment], [*install, *pinned, wanted], again]


def keep_customer(home: StateDirectory, customer: str) -> None:
    """Write the customer into config.toml where none stands there, so that a terminal is the same
    person as Claude.

    Raises:
        ConfigurationError: the file cannot be changed.
    """
    path = home.root / "config.toml"
    if (
        load_settings({"CDESK_HOME": str(home.root), "USER": "", "USERNAME": ""}).customer
        != "local"
    ):
        return
    if (text := changed(path, {"customer": customer})) is not None:
        write(path, text)


def main(settings: Settings) -> int:
    """Set up, and start the worker; the exit code."""
    home = StateDirectory(settings.home).ensure()
    set_up_logging(None, settings.environ, credentials=redact_value)
    try:
        keep_customer(home, settings.customer)
    except ConfigurationError as error:
        logger.warning("customer not kept", extra={"facts": {"reason": str(error)}})
    extras, wanted = wanted_in(__version__, settings.target)
    runtime = Runtime(home.runtime, wanted)
    try:
        ready = set_up(runtime, Path(settings.runtime), extras, settings.environ)
    except (SetUpFailed, OSError) as error:
        logger.error("set-up failed", extra={"facts": {"reason": str(error)}})
        return 1
    if ready and settings.worker == "auto" and not is_held(home.worker_lock):
        command = (str(runtime.python), "-I", "-m", WORKER_MODULE, "worker")
        start_detached(command, settings, log=home.worker_log)
    return 0


if __name__ == "__main__":
    sys.exit(main(load_settings(os.environ)))
