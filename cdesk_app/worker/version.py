"""Whether this worker is the one that belongs here: of the version that is installed, and not older
than what wrote the state directory.
"""

from __future__ import annotations

import re
import sqlite3
from importlib import metadata
from typing import Final

from cdesk import __version__
from cdesk.core.errors import NewerVersion
from cdesk.state.database import require_known_version
from cdesk.state.facts import read_status
from cdesk.state.status import BuiltProject


def installed_version() -> str | None:
    """The version that a process started now would have; None in the middle of an upgrade, and
    where cdesk is not installed as a package.
    """
    try:
        return metadata.version("cdesk")
    except metadata.PackageNotFoundError:
        return None


_RUNNING: Final = installed_version() or __version__


def running_version() -> str:
    """The version of this process, as it was installed when the process began."""
    return _RUNNING


def require_current(state: sqlite3.Connection) -> None:
    """Raises NewerVersion where a newer cdesk wrote state.db or built the tables."""
    require_known_version(state)
    built_by = read_status(state, BuiltProject).version
    if built_by is not None and release(built_by) > release(running_version()):
        raise NewerVersion(
            f"the warehouse was built by a newer cdesk ({built_by}; this one is "
            f"{running_version()}); upgrade this one"
        )


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version, for comparing; what follows them does not count."""
    match = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(number) for number in match.group().split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


class Upgraded(Exception):
    """Another version is installed than the one that runs: the worker finishes and ends."""


def require_installed(installed: str | None) -> None:
    """Raises Upgraded where `installed` is another version than the running one."""
    if installed is not None and installed != running_version():
        raise Upgraded(f"{installed} is installed, {running_version()} runs")
