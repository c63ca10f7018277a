"""Whether this worker is the one that belongs here: of the version that is installed, and not older
than what wrote the state directory.
"""

from __future__ import annotations

import contextlib
import functools
import re
import sqlite3
from importlib import metadata
from pathlib import Path
from typing import Final

import orjson

from cdesk import __version__
from cdesk.contract.catalog import CATALOG_VERSION, NEWER_CATALOG
from cdesk.core.errors import NewerVersion
from cdesk.core.home import StateDirectory
from cdesk.state.database import require_known_version
from cdesk.state.facts import read_status
from cdesk.state.snapshot import require_known_snapshot
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


def require_current(state: sqlite3.Connection, home: StateDirectory) -> None:
    """Raises NewerVersion where a newer cdesk wrote state.db, the catalog or the snapshot, or built
    the tables.
    """
    require_known_version(state)
    built_by = read_status(state, BuiltProject).version
    if built_by is not None and release(built_by) > release(running_version()):
        raise NewerVersion(
            f"the warehouse was built by a newer cdesk ({built_by}; this one is "
            f"{running_version()}); upgrade this one"
        )
    with contextlib.suppress(OSError):
        stat = home.catalog.stat()
        if _catalog_version(home.catalog, stat.st_mtime_ns, stat.st_size) > CATALOG_VERSION:
            raise NewerVersion(NEWER_CATALOG)
    if home.context_db.exists():
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(home.context_db, timeout=0.1)) as snapshot,
        ):
            require_known_snapshot(snapshot)


@functools.lru_cache(maxsize=4)
def _catalog_version(path: Path, mtime_ns: int, size: int) -> int:
    """The catalog's `v`, read again only when the file has changed; 0 where there is none."""
    del mtime_ns, size
    try:
        version = orjson.loads(path.read_bytes())["v"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return version if isinstance(version, int) else 0


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
