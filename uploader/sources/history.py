"""Bringing in history: a Claude data export, or NDJSON in the event contract, through the queue.

An import is all or nothing: its queue files are written beside the queue, and moved into it when
the whole source was read. Memory is bounded by the largest conversation (or line), whatever the
size of the source.
"""

from __future__ import annotations

import io
import re
import shutil
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain, pairwise
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, Literal

import orjson

from cdesk.contract.events import check_features, make_revision
from cdesk.contract.records import MAX_LINE_BYTES, SOURCE_SYSTEM, Record, encode, parse_line
from cdesk.contract.redaction import redact_fields
from cdesk.contract.vocabulary import check_recordable
from cdesk.core.clock import format_ts, to_ns
from cdesk.core.errors import CdeskError, Drift, InvalidField, StateDirectoryError, WarehouseError
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import SEALED_SUFFIX, QueueWriter
from uploader.earlier_imports import EXPORT, waiting_records
from uploader.import_index import ImportIndex, Standing
from uploader.sources.claude_export import Tally, conversation_records, is_conversation
from uploader.sources.export_extras import (
    MEMORIES,
    PROJECTS,
    Beside,
    memory_records,
    project_of,
    read_extras,
)

Format = Literal["claude_export", "ndjson"]
Progress = Callable[[int, int], None]
"""Told bytes read and bytes in all."""
Landed = Callable[[Sequence[str]], Mapping[str, int]]
"""Logical queue file names → the last landed offset of those of which something has landed
(`Warehouse.positions`).
"""

_EXPECTED: Final = (
    "expected a Claude data export (the zip, or the conversations.json in it: a list of "
    "conversations, each with uuid and chat_messages), "
    "or records as NDJSON (docs/contracts.md)"
)
_EXPORT_MEMBER: Final = "conversations.json"
_EXPORT_BATCH: Final = re.compile(r"conversations(?:[-_. ]?\(?\d+\)?)?\.json", re.IGNORECASE)
_BOM: Final = b"\xef\xbb\xbf"
_CHUNK: Final = 256 * 1024
_PIECE: Final = 64 * 1024
_MOST_LEVELS: Final = 200
"""An export nests a dozen."""
_UNPACKED: Final = 256 * 1024 * 1024
_RATIO: Final = 200
"""Text packs to a tenth; what is larger than _UNPACKED and packed harder than this is no export."""
_BAD_ZIP: Final = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
"""What zipfile raises for a damaged archive, one with a password, and one packed by a method that
it does not know.
"""


_PROOF: Final = frozenset(("query_run", "artifact"))


class ImportRefused(CdeskError):
    """The source cannot be imported; nothing of it was."""

    code = "import_refused"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did. `added` and `known` count records, `left_out` parts of the source that
    are no record.
    """

    format: Format
    conversations: int
    added: int
    known: int
    """Records that had come in already, the same."""
    conflicts: int
    """Records whose id had come in with other content: the first stays, the warehouse
    quarantines these.
    """
    changed: int
    """Records of an export that an earlier one had brought in with other content: left as
    they were.
    """
    revised: int
    """The same with `include_text`: brought up to date, in their place."""
    by_kind: Mapping[str, int]
    """Activity (or the kind of a record that is no event) → records added."""
    first_ts: str | None
    last_ts: str | None
    left_out: int
    reasons: Sequence[str]
    """The first ten parts left out, each with its place and reason."""
    cut: int
    """Texts that were shortened to fit the record limit."""


def import_file(
    path: Path,
    *,
    home: StateDirectory,
    customer: str,
    landed: Landed,
    earlier: Callable[[], Iterable[tuple[str, Record]]] = tuple,
    include_text: bool = False,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Put the records of `path` into the queue of `home`.

    A Claude export becomes events of `customer`; NDJSON keeps the customers that it names. With
    `include_text` questions, answers, titles and file names go in as well. With `skip_bad` lines of
    an NDJSON file that are no record, or that this system alone may write, are left out, without it
    they refuse the whole file.

    `earlier` is asked for what exports brought in, as (logical queue file name, record), where this
    directory has no note of any.

    Raises:
        ImportRefused: the file cannot be read, has another shape, or holds bad lines; nothing was
        imported. StateDirectoryError, QueueWriteError: the records could not be stored; nothing was
        imported.
    """
    folder = home.root / "importing"
    tally = Tally()
    with (
        _open_source(path, progress or _no_progress) as source,
        closing(
            ImportIndex(
                home.import_index,
                exists=partial(_existing, home.queue, landed),
                earlier=lambda: chain(earlier(), waiting_records(home, EXPORT)),
            )
        ) as index,
        _emptied(folder),  # under the index's lock: one import at a time
    ):
        with closing(QueueWriter(folder)) as writer:
            report = _write(source, writer, index, customer, include_text, tally)
        if source.format == "ndjson" and tally.left_out and not skip_bad:
            raise ImportRefused(_bad_lines(path, source.parts, tally))
        if report.added or report.conflicts or report.revised:
            index.commit(_publish(folder, home.queue))
    return report


# -- the source


@dataclass(slots=True)
class _Source:
    path: Path
    format: Format
    streams: Iterator[IO[bytes]]
    """One after the other, each at its start; an export in batches has several."""
    beside: list[Beside]
    """What else an export holds."""
    parts: int = 0
    """Conversations or lines read."""


@contextmanager
def _open_source(path: Path, progress: Progress) -> Iterator[_Source]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            zipped = file.read(4) == b"PK\x03\x04"
            file.seek(0)
            archive = stack.enter_context(zipfile.ZipFile(file)) if zipped else None
            members = _export_members(archive, path) if archive else []
            _refuse_bomb(path, members)
        except OSError as error:
            raise ImportRefused(
                f"{path} cannot be read ({error.strerror or error}); name a file that you can read"
            ) from None
        except _BAD_ZIP as error:
            raise _damaged(path, error) from None
        total = sum(one.file_size for one in members) if archive else path.stat().st_size

        def opened(member: zipfile.ZipInfo | None, before: int) -> io.BufferedReader[_Counted]:
            try:
                raw: IO[bytes] = archive.open(member) if archive and member else file
            except _BAD_ZIP as error:
                raise _damaged(path, error) from None
            counted = _Counted(path, raw, total, progress, done=before)
            return stack.enter_context(io.BufferedReader(counted, _CHUNK))

        first = opened(members[0] if members else None, 0)
        found = _recognised(path, first, zipped=zipped)

        def streams() -> Iterator[IO[bytes]]:
            yield first
            before = 0
            for last, member in pairwise(members):
                before += last.file_size
                stream = opened(member, before)
                _recognised(path, stream, zipped=True)
                yield stream

        beside = _in_archive(path, archive, members) if archive else _in_folder(path)
        yield _Source(path, found, streams(), beside if found == "claude_export" else [])


def _damaged(path: Path, error: Exception) -> ImportRefused:
    return ImportRefused(
        f"{path} cannot be read: a damaged or encrypted file "
        f"({' '.join(str(error).split())}); nothing was imported, "
        "download the export again"
    )


def _export_members(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    """All batches of conversations, in the order of their names; what macOS adds is none."""
    found = [
        info
        for info in archive.infolist()
        if _EXPORT_BATCH.fullmatch((name := PurePosixPath(info.filename)).name)
        and "__MACOSX" not in name.parts
    ]
    if not found:
        raise ImportRefused(f"{path} holds no {_EXPORT_MEMBER}; {_EXPECTED}")
    return sorted(found, key=lambda info: info.filename)


def _in_archive(
    path: Path, archive: zipfile.ZipFile, taken: Sequence[zipfile.ZipInfo]
) -> list[Beside]:
    """The JSON files of an archive beside those that are `taken`."""

    def reader(info: zipfile.ZipInfo) -> Callable[[], bytes]:
        def read() -> bytes:
            try:
                return archive.read(info)
            except _BAD_ZIP as error:
                raise _damaged(path, error) from None

        return read

    return [
        Beside(
            PurePosixPath(info.filename).name,
            info.file_size,
            _written_at(info),
            reader(info),
        )
        for info in archive.infolist()
        if info.filename.endswith(".json")
        and info not in taken
        and "__MACOSX" not in PurePosixPath(info.filename).parts
    ]


def _written_at(info: zipfile.ZipInfo) -> str:
    """When a member was written; the archive format's first day where it says none that exists."""
    try:
        return format_ts(to_ns(datetime(*info.date_time, tzinfo=UTC)))
    except ValueError:
        return format_ts(to_ns(datetime(1980, 1, 1, tzinfo=UTC)))


def is_batch(path: Path) -> bool:
    """Whether a file's name is that of an export's conversations, or of a batch of them."""
    return _EXPORT_BATCH.fullmatch(path.name) is not None


def _in_folder(path: Path) -> list[Beside]:
    """What lies beside the conversations of an unpacked export."""
    if not is_batch(path):
        return []
    found = []
    for name in (PROJECTS, MEMORIES):
        file = path.with_name(name)
        with suppress(OSError):
            status = file.stat()
            found.append(
                Beside(name, status.st_size, format_ts(status.st_mtime_ns), file.read_bytes)
            )
    return found


def _refuse_bomb(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse an archive that unpacks to what would fill a disk or take hours. zipfile unpacks no
    more of a member than it says of itself.
    """
    packed, unpacked = (
        sum(getattr(one, name) for one in members) for name in ("compress_size", "file_size")
    )
    if unpacked > max(_UNPACKED, _RATIO * packed):
        raise ImportRefused(
            f"{path} would unpack {packed / 1e6:,.1f} MB to {unpacked / 1e9:,.1f} GB, more than "
            f"{_RATIO} times as much, which no export does; nothing was imported. If it is one, "
            "unpack it and import its conversations.json"
        )


def _recognised(path: Path, stream: io.BufferedReader[_Counted], *, zipped: bool) -> Format:
    """The format by the first character; a byte order mark is taken off the stream."""
    if stream.peek()[:3] == _BOM:
        stream.read(3)
    if stream.peek()[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ImportRefused(
            f"{path} is text in UTF-16, as PowerShell's '>' writes it; save it as UTF-8 and import "
            "it again"
        )
    head = stream.peek().lstrip()[:1]
    if head == b"[":
        return "claude_export"
    if head == b"{" and not zipped:
        _refuse_document(path, stream)
        return "ndjson"
    raise ImportRefused(f"{path} {'is empty' if not head else 'is of another shape'}; {_EXPECTED}")


def _refuse_document(path: Path, stream: io.BufferedReader[_Counted]) -> None:
    """Refuse one JSON object over several lines, which is no NDJSON.

    Raises:
        ImportRefused: saying what it is, as far as that is known, and what to do.
    """
    line, end, _ = stream.peek(_CHUNK).partition(b"\n")
    with suppress(ValueError):
        orjson.loads(line)
        return
    if not end:  # one line longer than can be looked at, or one that is cut off
        return
    found = _top_level(path)
    if found is None:
        return
    keys, links = found
    if {"uuid", "chat_messages"} <= keys:
        told = "one conversation; put '[' before it and ']' behind, and import it again"
    elif {"v", "kind", "id"} <= keys:
        told = f"a record over several lines; put it on one: jq -c . {path.name} > records.ndjson"
    elif links:
        told = "a list of links; download what they name, and import those files"
    else:
        told = f"JSON of another shape; {_EXPECTED}"
    raise ImportRefused(f"{path} is {told}")


def _top_level(path: Path) -> tuple[set[str], int] | None:
    """Keys of the one JSON object that a file holds, and how many links are in it; None where it
    holds something else.
    """
    import ijson

    keys: set[str] = set()
    depth = links = 0
    try:
        with path.open("rb") as file:
            if file.read(3) != _BOM:
                file.seek(0)
            for event, value in parsed(file):
                depth += event in ("start_map", "start_array")
                depth -= event in ("end_map", "end_array")
                if depth > _MOST_LEVELS:
                    return None
                if event == "map_key" and depth == 1:
                    keys.add(value)
                links += event == "string" and value.startswith(("http://", "https://"))
    except (ijson.JSONError, OSError):
        return None
    return keys, links


def _no_progress(done: int, total: int) -> None:
    del done, total


class _Counted(io.RawIOBase):
    """Tells `progress` how much of a stream has been read."""

    def __init__(
        self, path: Path, raw: IO[bytes], total: int, progress: Progress, *, done: int
    ) -> None:
        self._path = path
        self._raw = raw
        self._total = total
        self._done = done
        self._progress = progress

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._raw.read(len(buffer))
        except (OSError, *_BAD_ZIP) as error:
            raise _damaged(self._path, error) from None
        buffer[: len(data)] = data
        self._done += len(data)
        self._progress(self._done, self._total)
        return len(data)


# -- the records


def _write(
    source: _Source,
    writer: QueueWriter,
    index: ImportIndex,
    customer: str,
    include_text: bool,
    tally: Tally,
) -> ImportReport:
    is_export = source.format == "claude_export"
    records = (
        _export_records(source, customer, include_text, tally)
        if is_export
        else _ndjson_records(source, tally)
    )
    by_kind: Counter[str] = Counter()
    standings: Counter[Standing] = Counter()
    first: str | None = None
    last: str | None = None
    for record in records:
        standing = index.add(record, source=source.format)
        standings[standing] += 1
        if standing in ("new", "conflict"):
            writer.append(encode(record))
        elif standing == "changed" and include_text and record["kind"] == "event":
            # Without the text nothing is revised: it would take away a text that is there.
            revision = index.revision(record)
            writer.append(encode(make_revision(record, record["feature_json"], revision=revision)))
        if standing != "new":
            continue
        by_kind[record.get("activity") or record["kind"]] += 1
        ts = record["ts"]
        first = ts if first is None or ts < first else first
        last = ts if last is None or ts > last else last
    return ImportReport(
        format=source.format,
        conversations=source.parts if is_export else 0,
        added=by_kind.total(),
        known=standings["known"],
        conflicts=standings["conflict"] + standings["noted"],
        changed=0 if include_text else standings["changed"],
        revised=standings["changed"] if include_text else 0,
        by_kind=dict(by_kind.most_common()),
        first_ts=first,
        last_ts=last,
        left_out=tally.left_out,
        reasons=tuple(tally.reasons),
        cut=tally.cut,
    )


def _export_records(
    source: _Source, customer: str, include_text: bool, tally: Tally
) -> Iterator[Record]:
    import ijson  # the worker's extra brings it

    extras = read_extras(source.beside, tally)
    try:
        for conversation in _conversations(source):
            source.parts += 1
            where = f"conversation {source.parts:,}"
            if is_conversation(conversation):
                yield from conversation_records(
                    conversation,
                    where=where,
                    customer=customer,
                    include_text=include_text,
                    tally=tally,
                    project=project_of(conversation, extras),
                )
            elif source.parts == 1:
                raise ImportRefused(f"{source.path} is {_other_shape(conversation)}")
            else:
                tally.leave_out(where, "it has no uuid or no chat_messages")
    except ijson.JSONError as error:
        text = " ".join(str(error).split())
        raise ImportRefused(
            f"{source.path} is no whole JSON after conversation {source.parts:,} "
            f"({text[:120]}); nothing was imported: "
            "download the export again"
        ) from None
    yield from memory_records(extras, customer=customer, include_text=include_text, tally=tally)


def _other_shape(value: object) -> str:
    """What a list holds that is none of conversations, and what to do."""
    texts = value.values() if isinstance(value, dict) else [value]
    if any(isinstance(text, str) and text.startswith(("http://", "https://")) for text in texts):
        return "a list of links; download what they name, and import those files"
    if isinstance(value, dict) and {"v", "kind", "id"} <= set(value):
        return "a list of records; put each on a line of its own: jq -c '.[]' FILE > records.ndjson"
    return f"JSON of another shape; {_EXPECTED}"


def _conversations(source: _Source) -> Iterator[Any]:
    for stream in source.streams:
        yield from _items(source, stream)


def _items(source: _Source, stream: IO[bytes]) -> Iterator[Any]:
    """The items of a JSON array, one in memory at a time.

    Not by `ijson.items`: it keeps a path for each level, so that what a file of some kilobytes
    nests deep takes all the memory there is.
    """
    from ijson.common import ObjectBuilder

    depth, builder = 0, ObjectBuilder()
    for event, value in parsed(stream):
        if event in ("start_map", "start_array"):
            depth += 1
            if depth == 1:
                continue
            if depth > _MOST_LEVELS:
                raise ImportRefused(
                    f"{source.path} nests deeper than {_MOST_LEVELS} levels in conversation "
                    f"{source.parts + 1:,}; nothing was "
                    "imported: download the export again"
                )
        elif event in ("end_map", "end_array"):
            depth -= 1
            if depth == 0:
                continue
        builder.event(event, value)
        if depth == 1:
            yield builder.value
            builder = ObjectBuilder()


def parsed(stream: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """The events of ijson's `basic_parse`.

    The parser goes over an unfinished text again with each piece of it, so pieces grow while none
    brings an event: what a text of some hundred megabytes takes stays in proportion to its length.

    Raises:
        ijson.JSONError: it is no whole JSON.
    """
    import ijson

    events = ijson.sendable_list()
    parser = ijson.basic_parse_coro(events)
    size = _PIECE
    while piece := stream.read(size):
        try:
            parser.send(piece)
        except ijson.JSONError:
            yield from events  # what came before it
            raise
        size = _PIECE if events else 2 * size
        yield from events
        del events[:]
    parser.close()
    yield from events


def _ndjson_records(source: _Source, tally: Tally) -> Iterator[Record]:
    stream = next(source.streams)
    while line := stream.readline(MAX_LINE_BYTES + 1):
        source.parts += 1
        rest = line
        while rest and not rest.endswith(b"\n"):  # of a line that is too long anyway
            rest = stream.readline(MAX_LINE_BYTES + 1)
        if not line.strip():
            continue
        try:
            record = parse_line(line.rstrip(b"\r\n"))
            _check_importable(record)
            if record["source_system"] == SOURCE_SYSTEM:
                record["source_system"] = "import"  # a file's word, not this server's
            encode(record)
        except (Drift, InvalidField) as error:
            tally.leave_out(f"line {source.parts:,}", str(error))
        else:
            yield record


def _check_importable(record: Record) -> None:
    """Refuse what this system alone writes: proof, and activities about its own work.

    Raises:
        InvalidField: saying what a file may bring.
    """
    if record["kind"] in _PROOF:
        raise InvalidField(
            "kind",
            f"a {record['kind']} is proof, which this system's executor alone writes",
            "event, insight",
        )
    for name in ("customer", "anonymous_customer_id"):
        if redact_fields(identity := record.get(name)) != identity:
            raise InvalidField(name, "is a credential", "an identity that may be shown")
    if record["kind"] in ("event", "revision"):
        try:
            check_recordable(record["activity"])
        except ValueError as error:
            raise InvalidField("activity", *error.args) from None
        check_features(record["activity"], record["feature_json"])


def _bad_lines(path: Path, lines: int, tally: Tally) -> str:
    if tally.left_out == lines and lines <= 1:
        return f"{path} holds no record, so nothing was imported ({tally.reasons[0]}); {_EXPECTED}"
    shown = "; ".join(tally.reasons[:3])
    more = f"; and {tally.left_out - 3:,} more" if tally.left_out > 3 else ""
    return (
        f"{tally.left_out:,} of {lines:,} lines of {path} cannot be taken in, so nothing was "
        f"imported ({shown}{more}); "
        "mend them, or leave them out with --skip-bad"
    )


# -- into the queue


@contextmanager
def _emptied(folder: Path) -> Iterator[None]:
    """The folder, new and empty, and gone afterwards; an earlier import that was killed may have
    left one.
    """
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise StateDirectoryError(
            f"{folder} cannot be made ({error.strerror}); mend the permissions of its parent"
        ) from None
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(folder: Path, queue: Path) -> list[str]:
    """Move the sealed files into the queue; their logical names."""
    names = []
    try:
        for file in sorted(folder.glob(f"*{SEALED_SUFFIX}")):
            file.rename(queue / file.name)
            names.append(file.name)
    except OSError as error:
        raise StateDirectoryError(
            f"the import could not be moved into {queue} ({error.strerror}); import the file "
            "again: nothing comes in twice"
        ) from None
    return names


def _existing(queue: Path, landed: Landed, names: Sequence[str]) -> set[str]:
    waiting = {name for name in names if (queue / name).exists()}
    rest = [name for name in names if name not in waiting]
    if rest:
        with suppress(
            WarehouseError
        ):  # unknown: these records come in again, and the warehouse removes them by id
            waiting |= landed(rest).keys()
    return waiting
