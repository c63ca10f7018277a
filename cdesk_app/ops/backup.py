"""A state directory in one file, and back.

    cdesk.zip
      manifest.json    version, who made it when, and of each member its size and SHA-256
      state.db, access.db, context.db, imports.db, capture.db
      queue/…          what waits and what has landed, locks aside
      backlog/…        histories that wait for the queue
      warehouse.duckdb (embedded default)
      artifacts/…      stored results
      config.toml, catalog.json, link_keys.json, kill_switch.json
      seal             SHA-256 of manifest.json

It is made while the worker runs. Landings and builds wait for it: queue and warehouse are copied
under the uploader's lock, the warehouse file under a reader's. State comes first, then the backlog,
the queue, the warehouse and the results: what an earlier part names is in a later one. What is
derived (charts, dashboard, dbt's own files) is left out and made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
import sqlite3
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import orjson

from cdesk import __version__
from cdesk.core.clock import NowNs, format_ts
from cdesk.core.config import Settings
from cdesk.core.errors import CdeskError, NewerVersion, StateDirectoryError, WarehouseUnavailable
from cdesk.core.home import (
    StateDirectory,
    make_private_folder,
    open_private,
    replacing,
    write_private,
)
from cdesk.core.locks import FileLock
from cdesk.state.database import SCHEMA_VERSION, open_state
from cdesk.state.facts import write_status
from cdesk.state.status import LastBackup

logger = logging.getLogger(__name__)

FORMAT: Final = 1
WAIT_SECONDS: Final = 60.0
"""How long a landing or a build under way is waited for."""
MANIFEST: Final = "manifest.json"
SEAL: Final = "seal"
_DATABASES: Final = ("state.db", "context.db", "access.db", "imports.db", "capture.db")
_FILES: Final = ("config.toml", "catalog.json", "link_keys.json", "kill_switch.json")
_NAME: Final = re.compile(r"[^/\\:]+(/[^/\\:]+){0,3}\Z")
"""What lies in our folders has other names, too, where somebody put it there."""
_CHUNK: Final = 1 << 20
_MOST_MANIFEST: Final = 1 << 28

Step = Callable[[str], None]


class BackupRefused(CdeskError):
    """A backup cannot be made there, or a file is no sound backup; nothing was changed."""

    code = "backup_refused"


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a backup. `sha256` in hex."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. `state` is the schema version of its state.db."""

    format: int
    version: str
    at: str
    target: str
    state: int
    members: dict[str, Member] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.members.values())


# -- there


def make_backup(
    settings: Settings,
    home: StateDirectory,
    file: Path,
    *,
    now_ns: NowNs = time.time_ns,
    tell: Step = lambda _: None,
) -> Manifest:
    """Write a backup of `home` to `file`.

    Raises:
        BackupRefused: `file` is there already, or within `home`, or an erasure is under way.
        StateDirectoryError, WarehouseUnavailable: something cannot be read now; no file is left.
    """
    if file.exists():
        raise BackupRefused(f"{file} is there already; name a new file")
    if file.absolute().resolve().is_relative_to(home.root.resolve()):
        raise BackupRefused(
            f"{file} is within the directory that it is to save, and would be lost with it; name a "
            "file elsewhere"
        )
    if home.erasing.exists():
        raise BackupRefused("an erasure has begun and not ended; 'cdesk worker --once' ends it")
    members: dict[str, Member] = {}
    at = format_ts(now_ns())
    try:
        # Not in state.db, which opening may bring up to date before it is saved.
        write_private(home.backing_up, orjson.dumps({"file": str(file.absolute()), "at": at}))
        make_private_folder(file.absolute().parent)
        with (
            _no_landing(home),
            replacing(file) as raw,
            zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            tempfile.TemporaryDirectory(prefix=".cdesk-", dir=file.absolute().parent) as scratch,
        ):
            for name in _DATABASES:
                if (home.root / name).exists():
                    tell(name)
                    copy = Path(scratch) / name
                    _copy_database(home.root / name, copy)
                    _add(archive, members, name, copy)
            tell("queue")
            for path in _queue_files(home):
                _add(archive, members, path.relative_to(home.root).as_posix(), path)
            tell("warehouse")
            with _no_building(home):
                for path in (home.warehouse, home.warehouse.with_name("warehouse.duckdb.wal")):
                    if path.exists():
                        _add(archive, members, path.name, path)
            tell("results")
            for path in sorted(
                [*home.artifacts.glob("*/*.parquet"), *home.artifacts.glob("*/*.pack")]
            ):
                _add(archive, members, path.relative_to(home.root).as_posix(), path)
            for name in _FILES:
                if (home.root / name).exists():
                    _add(archive, members, name, home.root / name)
            manifest = Manifest(FORMAT, __version__, at, settings.target, SCHEMA_VERSION, members)
            text = orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2)
            archive.writestr(MANIFEST, text)
            archive.writestr(SEAL, hashlib.sha256(text).hexdigest())
    except (OSError, sqlite3.Error, zipfile.LargeZipFile) as error:
        raise StateDirectoryError(
            f"no backup was made: {_told(error)}; "
            f"free space on the disk of {file.parent}, or mend the permissions"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            home.backing_up.unlink(missing_ok=True)
    made = LastBackup(at=at, bytes=file.stat().st_size, file=str(file.absolute()))
    with contextlib.closing(open_state(home.state_db)) as state:
        write_status(state, made, now=at)
    return manifest


@contextlib.contextmanager
def _no_landing(home: StateDirectory) -> Iterator[None]:
    """Hold the uploader's lock: nothing leaves the queue meanwhile."""
    lock = FileLock(home.queue / "uploader.lock")
    deadline = time.monotonic() + WAIT_SECONDS
    while not lock.acquire():
        if time.monotonic() > deadline:
            raise WarehouseUnavailable("a landing goes on and on; try again in a moment")
        time.sleep(0.005)  # the pauses of an uploader with a backlog are short
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _no_building(home: StateDirectory) -> Iterator[None]:
    """Hold the warehouse file as a reader does: nobody writes it meanwhile."""
    if not home.warehouse.exists():
        yield
        return
    from cdesk.warehouse.duckdb import DuckDBWarehouse

    with DuckDBWarehouse(home.warehouse, read_wait=WAIT_SECONDS).reading():
        yield


def _copy_database(path: Path, copy: Path) -> None:
    with (
        contextlib.closing(sqlite3.connect(path)) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)


def _queue_files(home: StateDirectory) -> Iterator[Path]:
    """Each folder is listed when the one before is done: a file moves on, from the backlog into the
    queue, and is found there.
    """
    for folder in (home.backlog, home.queue, home.queue / "archive"):
        with contextlib.suppress(FileNotFoundError):
            yield from sorted(
                path
                for path in folder.iterdir()
                if path.suffix != ".lock"
                and not path.name.startswith(".")
                and path.is_file()
                and not path.is_symlink()
            )


def _add(archive: zipfile.ZipFile, members: dict[str, Member], name: str, path: Path) -> None:
    """Put a file in as it is at this moment; one that has gone since it was listed is left out (a
    queue file that was sealed meanwhile is there under its new name).
    """
    if not _is_ours(name):  # nor could it be restored everywhere
        logger.warning("left out of the backup", extra={"facts": {"file": ascii(name)[:200]}})
        return
    digest, size = hashlib.sha256(), 0
    try:
        source = path.open("rb")
    except FileNotFoundError:
        sealed = path.with_name(path.name.replace(".open.ndjson", ".ndjson"))
        if sealed == path or not sealed.exists():
            return
        source, name = sealed.open("rb"), name.replace(".open.ndjson", ".ndjson")
    with source, archive.open(name, "w", force_zip64=True) as target:
        while data := source.read(_CHUNK):
            digest.update(data)
            size += len(data)
            target.write(data)
    members[name] = Member(size, digest.hexdigest())


# -- and back


def read_manifest(file: Path) -> Manifest:
    """The manifest of a backup, itself checked; `check_backup` checks the rest.

    Raises:
        BackupRefused: it is no backup, or cut or edited. NewerVersion: a newer cdesk made it.
    """
    with _opened(file) as archive:
        return _manifest(archive, file)


def check_backup(file: Path) -> Manifest:
    """Read a backup from end to end. Raises as `read_manifest`."""
    with _opened(file) as archive:
        manifest = _manifest(archive, file)
        for name, member in manifest.members.items():
            _copied(archive, name, member, None, file)
    return manifest


def restore_backup(
    file: Path,
    root: Path,
    *,
    queue_of: StateDirectory | None = None,
    tell: Step = lambda _: None,
) -> Manifest:
    """Unpack a backup into `root`, in which there must be no file. It appears there whole or not at
    all.

    queue_of: a directory that went on after the backup: its queue and archive (what was recorded in
    the last fourteen days) and its stored results come along, and what the backup's warehouse does
    not hold lands again.

    Raises:
        BackupRefused: `root` is in use, or `file` is no sound backup. NewerVersion: a newer cdesk
        made it. StateDirectoryError: it cannot be written.
    """
    root = root.resolve()
    within, beside = StateDirectory(root).restoring, StateDirectory(root).restoring_beside
    if root.exists() and not root.is_dir():
        raise BackupRefused(f"{root} is no folder; name one that is empty or missing")
    if any(
        not path.is_dir() or path.is_symlink()
        for path in root.rglob("*")
        if within not in (path, *path.parents)
    ):
        raise BackupRefused(
            f"{root} is not empty, and nothing in it was touched; restore beside it "
            f"(--to {root}.restored), or end what runs there ('cdesk worker --stop', quit Claude) "
            f"and move it away"
        )
    for parent in root.parents:
        if StateDirectory(parent).state_db.exists() and StateDirectory(parent).queue.is_dir():
            raise BackupRefused(f"{root} is within {parent}, which is in use; restore beside it")
    unpacked = within if _stays(root) else beside
    for leftover in (within, beside):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        make_private_folder(unpacked)
        with _opened(file) as archive:
            manifest = _manifest(archive, file)
            for name, member in manifest.members.items():
                tell(name)
                make_private_folder((unpacked / name).parent)
                _copied(archive, name, member, unpacked / name, file)
        make_private_folder(unpacked / "queue")
        if queue_of is not None:
            tell("queue")
            _bring_along(queue_of, StateDirectory(unpacked))
        _take_place(unpacked, root)
    except OSError as error:
        raise StateDirectoryError(
            f"nothing was restored: {_told(error)}; free space on the disk of "
            f"{root.parent}, or mend its permissions"
        ) from None
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    return manifest


def _stays(root: Path) -> bool:
    """Whether `root` is a folder that cannot be replaced by another: a volume, or one in a folder
    of somebody else, as services have it.
    """
    return root.is_dir() and (os.path.ismount(root) or not os.access(root.parent, os.W_OK))


def _take_place(unpacked: Path, root: Path) -> None:
    """Make a whole restored directory `root`, in which there are only empty folders, as any command
    makes them. Raises OSError.
    """
    if unpacked.parent != root:
        if root.exists():
            shutil.rmtree(root)
        unpacked.rename(root)
        return
    for path in root.iterdir():
        if path != unpacked:
            shutil.rmtree(path)
    for path in unpacked.iterdir():
        path.rename(root / path.name)


def _bring_along(source: StateDirectory, target: StateDirectory) -> None:
    """Copy queue files and results that `target` lacks, or has a shorter version of. Raises
    OSError.
    """
    newer = {_writer_and_number(path): path for path in _queue_files(source)}
    for path in list(_queue_files(target)):
        if _writer_and_number(path) in newer:
            path.unlink()
    results = source.artifacts.glob("*/*.parquet")
    packs = source.artifacts.glob("*/*.pack")  # the same ones, with what came and went since
    for path in (*newer.values(), *results, *packs):
        place = target.root / path.relative_to(source.root)
        if path.suffix == ".pack":
            place.unlink(missing_ok=True)
        elif place.exists():
            continue
        make_private_folder(place.parent)
        # Nobody writes to it here: an open file is whole now.
        place = place.with_name(place.name.replace(".open.ndjson", ".ndjson"))
        with path.open("rb") as data, os.fdopen(_made(place), "wb") as out:
            shutil.copyfileobj(data, out, _CHUNK)


def _writer_and_number(path: Path) -> str:
    """What tells queue files apart, wherever they stand: `<writer>-<sequence>`."""
    return path.name.partition(".")[0]


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except FileNotFoundError:
        raise BackupRefused(f"{file} is not there; name a file that 'cdesk backup' wrote") from None
    except (IsADirectoryError, PermissionError) as error:
        if error.filename != str(file):
            raise
        raise _unsound(file, str(error.strerror)) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise _unsound(file, str(error)) from None


def _manifest(archive: zipfile.ZipFile, file: Path) -> Manifest:
    try:
        if archive.getinfo(MANIFEST).file_size > _MOST_MANIFEST:
            raise _unsound(file, "its manifest is too large")
        text, seal = archive.read(MANIFEST), archive.read(SEAL)
        data: dict[str, Any] = orjson.loads(text)
        if data["format"] > FORMAT or data["state"] > SCHEMA_VERSION:
            raise NewerVersion(
                f"{file.name} was made by a newer cdesk ({data['version']}; this one is "
                f"{__version__}); upgrade this one"
            )
        members = {name: Member(**one) for name, one in data.pop("members").items()}
        manifest = Manifest(**data, members=members)
        if not all(isinstance(one.bytes, int) for one in members.values()):
            raise TypeError
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _unsound(file, f"{type(error).__name__} in its manifest") from None
    if hashlib.sha256(text).hexdigest().encode() != seal:
        raise _unsound(file, "its manifest is not what was written")
    names = set(archive.namelist()) - {MANIFEST, SEAL}
    wrong = [one for one in manifest.members if not _is_ours(one)]
    if names != set(manifest.members) or wrong:
        raise _unsound(file, "its files are not those of its manifest")
    return manifest


def _is_ours(name: str) -> bool:
    """Whether a name stays below the directory, whatever the platform."""
    is_named = name.isprintable() and _NAME.match(name) is not None
    return is_named and not {".", ".."}.intersection(name.split("/"))


def _copied(
    archive: zipfile.ZipFile, name: str, member: Member, target: Path | None, file: Path
) -> None:
    digest, size = hashlib.sha256(), 0
    with archive.open(name) as source, _writer(target) as out:
        while (data := source.read(_CHUNK)) and size <= member.bytes:
            digest.update(data)
            size += len(data)
            out.write(data)
    if size != member.bytes or digest.hexdigest() != member.sha256:
        raise _unsound(file, f"{name} is not what was written")


def _writer(target: Path | None) -> IO[bytes]:
    if target is None:
        return open(os.devnull, "wb")  # noqa: PTH123  # no path of ours
    return os.fdopen(_made(target), "wb")


def _made(path: Path) -> int:
    return open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)


def _told(error: Exception) -> str:
    """What an error says, and of which file."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def _unsound(file: Path, why: str) -> BackupRefused:
    return BackupRefused(
        f"{file} is no whole backup ({why}); nothing was restored, take another one"
    )
