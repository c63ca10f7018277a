"""Files that have landed whole: kept for some days, compressed, then removed.

`queue/archive/<writer>-<seq>.<last offset>.ndjson[.gz]`: the name says where the last line starts,
so that one question to the warehouse tells whether a file is still landed there (a warehouse that
was put back to an older state gets it again).
"""

from __future__ import annotations

import contextlib
import gzip
import logging
import os
import re
import shutil
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cdesk.core.config import LEAST_RETENTION_DAYS
from cdesk.core.home import make_private_folder, open_private
from cdesk.queue.files import QueueFile, look_at

log = logging.getLogger("cdesk.uploader")

_NAME = re.compile(r"(?P<stem>[0-9a-f]{32}-\d{6})\.(?P<last>\d+)\.ndjson(?P<gz>\.gz)?\Z")
_FORMER_FOLDER: Final = "shipped"


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """`name` is the logical one; `last_offset` where its last line starts."""

    name: str
    last_offset: int
    path: Path
    compressed: bool


class Archive:
    """The folder of archived files below the queue."""

    def __init__(
        self, queue: Path, *, keep_days: float = 14.0, compress_after_seconds: float = 3600.0
    ) -> None:
        self._queue = queue
        self._folder = queue / "archive"
        self._keep_seconds = keep_days * 86_400
        self._compress_after = compress_after_seconds

    def put(self, file: QueueFile, last_offset: int) -> None:
        """Move a landed file out of the queue. Raises OSError; the file then stays where it was,
        and is moved later.
        """
        make_private_folder(self._folder)
        stem = file.name.removesuffix(".ndjson")
        target = self._folder / f"{stem}.{last_offset}.ndjson"
        os.utime(file.path)  # kept for N days from now on, not from its last record
        file.path.replace(target)

    def take_over(self) -> None:
        """Bring in what earlier versions archived in a folder of another name; a file that cannot
        be moved now is moved later.
        """
        former = self._queue / _FORMER_FOLDER
        try:
            entries = list(os.scandir(former))
        except (FileNotFoundError, NotADirectoryError):
            return
        make_private_folder(self._folder)
        with contextlib.suppress(OSError):
            for entry in entries:
                if _NAME.match(entry.name) and isinstance(look_at(entry), int):
                    Path(entry.path).replace(self._folder / entry.name)
            former.rmdir()

    def files(self) -> list[ArchivedFile]:
        try:
            entries = list(os.scandir(self._folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(
            (
                ArchivedFile(
                    f"{match['stem']}.ndjson",
                    int(match["last"]),
                    self._folder / entry.name,
                    match["gz"] is not None,
                )
                for entry in entries
                if (match := _NAME.match(entry.name)) and isinstance(look_at(entry), int)
            ),
            key=lambda file: file.path.name,
        )

    def put_back(self, positions: Mapping[str, int]) -> list[str]:
        """Return to the queue each file of which the warehouse (`positions`) no longer holds the
        last line; their logical names. What retention may have taken out of the warehouse stays
        out (a computer that was off for half a year has such files).

        One that is damaged is set aside under its name with `.damaged` behind it, and told in the
        log.
        """
        returned = []
        for file in self.files():
            if positions.get(file.name, -1) >= file.last_offset:
                continue
            target = self._queue / file.name
            if target.exists() or self._is_past_retention(file):
                continue
            try:
                if file.compressed:
                    self._unpack(file, target)
                    file.path.unlink()
                else:
                    file.path.replace(target)
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                log.error(
                    "%s is damaged (%s) and set aside: what it held cannot land again",
                    file.path.name,
                    error,
                )
                with contextlib.suppress(OSError):
                    file.path.rename(file.path.with_name(file.path.name + ".damaged"))
                continue
            except OSError as error:
                log.warning(
                    "%s cannot be put back (%s); left for later", file.path.name, error.strerror
                )
                continue
            returned.append(file.name)
        return returned

    @staticmethod
    def _is_past_retention(file: ArchivedFile) -> bool:
        try:
            age = time.time() - file.path.stat().st_mtime
        except OSError:
            return False
        return age > LEAST_RETENTION_DAYS * 86_400

    def _unpack(self, file: ArchivedFile, target: Path) -> None:
        partial = self._folder / f".{file.name}.partial"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            with (
                gzip.open(file.path, "rb") as source,
                os.fdopen(open_private(partial, flags), "wb") as out,
            ):
                shutil.copyfileobj(source, out, 1024 * 1024)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def clean_up(self, *, max_seconds: float = 1.0, now: float | None = None) -> int:
        """Compress files older than an hour and remove those past their days, for about
        `max_seconds`; how many were touched.
        """
        started = time.monotonic()
        now = time.time() if now is None else now
        touched = 0
        for file in self.files():
            if time.monotonic() - started > max_seconds:
                break
            with contextlib.suppress(OSError):  # tried again with the next clean-up
                modified = file.path.stat().st_mtime
                if now - modified > self._keep_seconds:
                    file.path.unlink()
                    touched += 1
                elif not file.compressed and now - modified > self._compress_after:
                    _compress(file.path, modified)
                    touched += 1
        return touched


def _compress(path: Path, modified: float) -> None:
    target = path.with_name(path.name + ".gz")
    partial = path.with_name(f".{path.name}.partial")
    fd = open_private(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        with path.open("rb") as source, os.fdopen(fd, "wb") as raw:
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6) as out:
                shutil.copyfileobj(source, out, 1024 * 1024)
            raw.flush()
            os.fsync(raw.fileno())
        os.utime(partial, (modified, modified))
        partial.replace(target)
        path.unlink()
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
