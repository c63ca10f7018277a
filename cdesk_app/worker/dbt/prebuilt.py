"""What an installation brings so that the first round of a directory need not parse, compile or
build: dbt's parsed state, the compiled catalog, and an empty warehouse.

    _prebuilt/prebuilt.json    of which project, by which versions
    _prebuilt/…                the files, as a first round on an empty directory left them

Made by `scripts/prebuilt.py` before a wheel is built. Where it is missing, or of another project or
version, everything is made when it is needed, as always.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import orjson

from cdesk.core.home import replacing
from cdesk_app.worker.dbt.project import DbtProject

FOLDER: Final = Path(__file__).resolve().parent / "_prebuilt"
ABOUT: Final = "prebuilt.json"
CATALOG: Final = "catalog.json"
WAREHOUSE: Final = "warehouse.duckdb"
PARSED: Final = ("partial_parse.msgpack", "parsed_project")
MADE_BY: Final = ("dbt-core", "dbt-duckdb", "duckdb")
"""Packages of which another version may read or write another form."""


@dataclass(frozen=True, slots=True)
class Prebuilt:
    """Prebuilt files that fit `project`. They were made with days of UTC, by which the views on
    metrics go; the rest knows no time zone.
    """

    folder: Path
    project: DbtProject

    def catalog(self) -> dict[str, Any]:
        """The compiled catalog's document. Raises OSError, ValueError."""
        document: dict[str, Any] = orjson.loads((self.folder / CATALOG).read_bytes())
        return document

    def take_warehouse(self, path: Path) -> bool:
        """Put the empty warehouse where there is none yet; whether it is built with that."""
        if path.exists() or self.project.timezone != "UTC":
            return False
        return self._take(WAREHOUSE, path)

    def take_parsed(self) -> bool:
        """Put dbt's parsed state where there is none yet."""
        target = self.project.target_dir
        if self.project.timezone != "UTC" or any((target / name).exists() for name in PARSED):
            return False
        return all(self._take(name, target / name) for name in PARSED)

    def _take(self, name: str, path: Path) -> bool:
        with contextlib.suppress(OSError):
            with (self.folder / name).open("rb") as given, replacing(path, sync=False) as taken:
                shutil.copyfileobj(given, taken)
            return True
        return False


def find_prebuilt(project: DbtProject, folder: Path = FOLDER) -> Prebuilt | None:
    """What this installation brings for `project`; None where it brings nothing that fits."""
    if project.target != "duckdb":
        return None
    try:
        about = orjson.loads((folder / ABOUT).read_bytes())
    except (OSError, ValueError):
        return None
    in_utc = dataclasses.replace(project, timezone="UTC")
    fits = about == {"project": in_utc.fingerprint(), "made_by": dict(made_by())}
    return Prebuilt(folder, project) if fits else None


def made_by() -> Iterator[tuple[str, str]]:
    """(package, version) of those that matter."""
    for name in MADE_BY:
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield name, metadata.version(name)
