"""Where the dbt project lies, and everything dbt needs to run it without touching ~/.dbt or the
working directory.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cdesk.core.config import Settings, Target
from cdesk.core.errors import ConfigurationError
from cdesk.core.home import StateDirectory, make_private_folder, write_private

_PACKAGED: Final = Path(__file__).resolve().parent / "_dbt"
_CHECKOUT: Final = Path(__file__).resolve().parents[3]
_FILES: Final = ("dbt_project.yml", "selectors.yml", "packages.yml", "dependencies.yml")
_FOLDERS: Final = (
    "models",
    "macros",
    "analyses",
    "seeds",
    "snapshots",
    "tests/data",
    "dbt_packages",
)


@dataclass(frozen=True, slots=True)
class DbtProject:
    """One dbt project and where dbt writes. All paths are absolute; `target` names the profile's
    output.

    timezone: whose days the models go by.
    home_dir: the state directory, where dbt runs: its profile names the warehouse file relative to
        that, so that what dbt remembers of a parse stands in a moved or copied directory too.
    """

    home_dir: Path
    project_dir: Path
    profiles_dir: Path
    target_dir: Path
    log_dir: Path
    target: Target
    timezone: str = "UTC"

    @property
    def manifest(self) -> Path:
        return self.target_dir / "manifest.json"

    @property
    def log(self) -> Path:
        """dbt's own log: the whole text of an error stands here."""
        return self.log_dir / "dbt.log"

    def files(self) -> Iterator[tuple[str, str]]:
        """Every file that a parse of the project could read: its name within the project, and its
        path.
        """
        yield "profiles.yml", str(self.profiles_dir / "profiles.yml")
        for name in _FILES:
            path = self.project_dir / name
            if path.is_file():
                yield name, str(path)
        for folder in _FOLDERS:
            for entry, name in _files_in(str(self.project_dir / folder), folder):
                if not name.endswith(".pyc"):
                    yield name, entry.path

    def fingerprint(self) -> str:
        """16 hex digits over name and content of every project file: another one means parse again.

        No absolute path and no time of a file goes into it: a state directory that was moved or
        copied, and a project that was installed again as it was, have the same one.
        """
        digest = hashlib.sha256(self.target.encode())
        if self.timezone != "UTC":
            digest.update(f"\n{self.timezone}".encode())
        for name, path in self.files():
            try:
                stat = os.stat(path)  # noqa: PTH116
                content = _content_hash(path, stat.st_size, stat.st_mtime_ns)
            except OSError:  # gone since it was listed: the next look sees the folder as it stands
                continue
            digest.update(f"\n{name}\t{content}".encode())
        return digest.hexdigest()[:16]

    def options(self) -> list[str]:
        """What every dbt command of ours gets after its name."""
        return [
            *("--project-dir", str(self.project_dir)),
            *("--profiles-dir", str(self.profiles_dir)),
            *("--target", self.target),
            *("--target-path", str(self.target_dir)),
            *("--log-path", str(self.log_dir)),
            *("--log-level-file", "info"),
            "--quiet",
            "--no-use-colors",
            "--no-use-colors-file",
            "--no-send-anonymous-usage-stats",
            "--no-version-check",
        ]


def _files_in(folder: str, name: str) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Files below `folder`, which the project calls `name`, in the order of their names. Hundreds,
    before each build: no path is an object.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        inner = f"{name}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _files_in(entry.path, inner)
        elif entry.is_file():
            yield entry, inner


@functools.lru_cache(maxsize=4_096)
def _content_hash(path: str, size: int, mtime_ns: int) -> str:
    """SHA-256 of a file, read again only when its size or time has changed."""
    del size, mtime_ns
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def locate_project(settings: Settings, home: StateDirectory) -> DbtProject:
    """The project in the wheel (`_dbt/` beside this module), else the one at the root of this
    checkout; makes dbt's folders in the state directory.

    Raises:
        ConfigurationError: there is no project in either place.
    """
    for project_dir, profile in (
        (_PACKAGED, _PACKAGED / "profiles.yml"),
        (_CHECKOUT, _CHECKOUT / "profiles.example.yml"),
    ):
        if (project_dir / "dbt_project.yml").is_file() and profile.is_file():
            return prepare_project(project_dir, profile, settings, home)
    raise ConfigurationError(
        "the dbt project is missing from this installation; install cdesk again with: pip "
        "install 'cdesk[worker]'"
    )


def prepare_project(
    project_dir: Path, profile: Path, settings: Settings, home: StateDirectory
) -> DbtProject:
    """`project_dir` with its `profile` copied into the state directory, so that nobody's own
    profiles are read or needed.
    """
    project = DbtProject(
        home_dir=home.root,
        project_dir=project_dir,
        profiles_dir=home.dbt / "profiles",
        target_dir=home.dbt / "target",
        log_dir=home.dbt / "logs",
        target=settings.target,
        timezone=settings.timezone,
    )
    for folder in (project.profiles_dir, project.target_dir, project.log_dir):
        make_private_folder(folder)
    copy, text = project.profiles_dir / "profiles.yml", profile.read_bytes()
    if not copy.is_file() or copy.read_bytes() != text:
        write_private(copy, text)
    return project


def dbt_environment(environ: Mapping[str, str], *, timezone: str = "UTC") -> dict[str, str]:
    """The environment for a dbt process that runs in the state directory: the user's own, without
    DBT_* (which would override our options), without telemetry. `timezone` as in DbtProject.
    """
    kept = {name: value for name, value in environ.items() if not name.upper().startswith("DBT_")}
    return kept | {
        "CDESK_HOME": ".",
        "CDESK_TIMEZONE": timezone,
        "DO_NOT_TRACK": "1",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",
    }
