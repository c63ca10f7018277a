"""Taking one customer's lines out of files that hold lines of several: queue, archive, logs.

A line is overwritten by blanks where it stands: its neighbours keep their offsets, which is how the
warehouse knows what has landed, and a writer that has the file open goes on appending. The reader
of the queue passes blank lines over (uploader/batching.py).
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import orjson

from cdesk.contract.records import MAX_LINE_BYTES
from cdesk.core.home import open_private
from cdesk.core.mentions import Mentions
from cdesk.queue.files import look_at
from cdesk.queue.writer import FILE_NAME, SEALED_SUFFIX
from uploader.archive import Archive

_ARCHIVED: Final = re.compile(r"(?P<stem>[0-9a-f]{32}-\d{6})\.(?P<last>\d+)\.ndjson(?P<gz>\.gz)?\Z")
_ZIPPED_MAGIC: Final = b"\x1f\x8b"
_CHUNK: Final = 1024 * 1024


@dataclass(slots=True)
class ErasedLines:
    """What went from a queue. files: logical names of the files that lost lines."""

    lines: int = 0
    files: set[str] = field(default_factory=set)


Wanted = Callable[[bytes], bool]
"""Whether a line is to go."""


def of_customer(customer: str) -> Wanted:
    """Lines of `customer` (`is_theirs`)."""
    mentions = Mentions(customer)
    return lambda line: is_theirs(line, customer, mentions)


def of_sources(customer: str, sources: Collection[str]) -> Wanted:
    """Records of `customer` that came from one of `sources`."""

    def is_wanted(line: bytes) -> bool:
        try:
            record = orjson.loads(line)
        except ValueError:
            return False
        return (
            isinstance(record, dict)
            and record.get("customer") == customer
            and record.get("source_system") in sources
        )

    return is_wanted


def of_queries(customer: str, queries: Collection[str]) -> Wanted:
    """What `customer` recorded of `queries` (by hash): runs, results, insights drawn from them."""

    def is_wanted(line: bytes) -> bool:
        if not queries or b'"event"' in line[:40]:
            return False
        try:
            record = orjson.loads(line)
        except ValueError:
            return False
        if not isinstance(record, dict) or record.get("customer") != customer:
            return False
        name = "provenance_query_hash" if record.get("kind") == "insight" else "query_hash"
        return record.get(name) in queries

    return is_wanted


def is_theirs(line: bytes, customer: str, mentions: Mentions) -> bool:
    """Whether a line of the queue is of `customer`: by its field, and where it is no record because
    it names them.
    """
    try:
        record = orjson.loads(line)
    except ValueError:
        return mentions.in_bytes(line)
    owner = record.get("customer") if isinstance(record, dict) else None
    return owner == customer if isinstance(owner, str) else mentions.in_bytes(line)


def erase_queue(queue: Path, is_wanted: Wanted) -> ErasedLines:
    """Blank the lines that `is_wanted` names in every file of the queue and its archive; files of
    which nothing is left go. Nobody may drain the queue meanwhile.

    Raises:
        OSError: a file cannot be read or written; what was blanked stays so, and it can be done
        again.
    """
    erased = ErasedLines()
    for path in _files(queue):
        match = FILE_NAME.match(path.name)
        count, last = _rewrite(path, is_wanted)
        erased.lines += count
        if count and match is not None:  # of what no writer of ours made nothing has landed
            erased.files.add(f"{match['writer']}-{match['sequence']}{SEALED_SUFFIX}")
        if last is None and count and match is not None and match["open"] is None:
            path.unlink()
    Archive(queue).take_over()
    for path in _files(queue / "archive"):
        erased.lines += _erase_archived(path, is_wanted)
    return erased


def erase_log(path: Path, customer: str) -> int:
    """Blank the lines of a log that name the customer; how many. Raises OSError."""
    return _rewrite(path, Mentions(customer).in_bytes)[0]


def _files(folder: Path) -> list[Path]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return sorted(
            Path(entry.path)
            for entry in os.scandir(folder)
            if not entry.is_symlink()
            and not entry.name.endswith(".lock")
            and isinstance(look_at(entry), int)
        )
    return []


def _rewrite(path: Path, is_wanted: Wanted) -> tuple[int, int | None]:
    """Blank the lines that `is_wanted` names; how many, and where the last line that is not blank
    starts.
    """
    blanked, last = 0, None
    with path.open("r+b", buffering=0) as file:
        for offset, line in _lines(file):
            if not line.strip(b" "):
                continue
            if is_wanted(line):
                file.seek(offset)
                file.write(b" " * len(line))  # in one write, so that none is blanked by half
                blanked += 1
            else:
                last = offset
        if blanked:
            os.fsync(file.fileno())
    return blanked, last


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Offset and text of each line without its line feed; a longer one than there may be in
    parts.
    """
    offset = 0
    rest = b""
    while True:
        file.seek(offset + len(rest))
        data = file.read(_CHUNK)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield offset, line
            offset += len(line) + 1
        while len(rest) > 4 * MAX_LINE_BYTES:
            part, rest = rest[:MAX_LINE_BYTES], rest[MAX_LINE_BYTES:]
            yield offset, part
            offset += len(part)
    if rest:
        yield offset, rest


def _erase_archived(path: Path, is_wanted: Wanted) -> int:
    match = _ARCHIVED.match(path.name)
    with path.open("rb") as file:
        zipped = file.read(2) == _ZIPPED_MAGIC
    if not zipped:
        count, last = _rewrite(path, is_wanted)
        if count and last is None:
            path.unlink()
        elif count and match is not None:
            path.replace(path.with_name(f"{match['stem']}.{last}.ndjson"))
        return count
    plain = path.with_name(f".{path.name}.erasing")
    modified = path.stat().st_mtime
    try:
        try:
            with gzip.open(path, "rb") as packed, os.fdopen(_made(plain), "wb") as out:
                shutil.copyfileobj(packed, out, _CHUNK)
        except (EOFError, OSError) as error:
            if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
                raise
            path.unlink()  # damaged: whose lines it held cannot be told, and it never lands again
            return 0
        count, last = _rewrite(plain, is_wanted)
        if count and last is not None:
            packed_again = path.with_name(f".{path.name}.partial")
            with (
                plain.open("rb") as source,
                os.fdopen(_made(packed_again), "wb") as raw,
                gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6) as zipped_again,
            ):
                shutil.copyfileobj(source, zipped_again, _CHUNK)
            os.utime(packed_again, (modified, modified))
            packed_again.replace(path)
            if match is not None:
                path.replace(path.with_name(f"{match['stem']}.{last}.ndjson.gz"))
        elif count:
            path.unlink()
    finally:
        plain.unlink(missing_ok=True)
    return count


def _made(path: Path) -> int:
    return open_private(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
