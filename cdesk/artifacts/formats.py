"""A query's answer on its way into a file: streamed to Parquet in bounded memory, sampled above the
byte cap, exported on request. What becomes of its values is said in cdesk/artifacts/values.py.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from cdesk.artifacts.ranges import Source, opened
from cdesk.artifacts.values import PREVIEW_ROWS, column_type, cut_cells, json_value
from cdesk.core.errors import ArtifactUnreadable, WarehouseError
from cdesk.core.plain import plain_json

Format = Literal["parquet", "csv", "json"]

MAX_RESULT_BYTES: Final = 4 * 1024 * 1024 * 1024
"""A result larger than that is refused rather than spooled to a disk that it could fill."""
_GROUP_BYTES: Final = 16 * 1024 * 1024
_GROUP_ROWS: Final = 100_000
_READ_ROWS: Final = 8_192


# -- the file


@dataclass(frozen=True, slots=True)
class Stored:
    """A result as it went into a Parquet file.

    row_count, byte_count: of the whole result (bytes as Arrow holds it in memory). kept_rows: in
    the file. shown, preview: its first rows, as the engine's values and as JSON carries them.
    sampling_note: says n of m where the file is a sample.
    """

    columns: list[dict[str, str]]
    preview: list[list[Any]]
    row_count: int
    byte_count: int
    kept_rows: int
    file_bytes: int
    cut: bool
    shown: list[dict[str, Any]]

    @property
    def sampled(self) -> bool:
        return self.kept_rows < self.row_count

    @property
    def sampling_note(self) -> str | None:
        return _note(self.kept_rows, self.row_count) if self.sampled else None


def _note(kept: int, total: int) -> str:
    return f"sampled {kept:,} of {total:,} rows"


NOTE_KEY: Final = "cdesk.sampling_note"
"""Key of a Parquet file's own metadata: there where the file is a sample, and says n of m."""


def store(
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    path: Path,
    *,
    query_hash: str,
    byte_cap: int,
    watch: Callable[[pa.RecordBatch], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Stored:
    """Write the streamed answer to `path`; above `byte_cap` a sample of it, the same for the same
    query_hash and rows. `watch` sees each batch of the whole answer.

    Memory holds one row group (16 MiB or 100,000 rows) whatever the size of the answer.

    Raises:
        WarehouseError: the answer is beyond what is spooled at all.
    """
    written = _storable(schema)
    whole = path.with_name(path.name + ".whole")
    try:
        row_count, byte_count = _spool(schema, batches, whole, written, watch, progress)
        kept = _kept(row_count, byte_count, byte_cap)
        if kept < row_count:
            with _Writer(path, written) as writer:
                for batch in _pick(whole, sample_positions(query_hash, kept, row_count)):
                    writer.add(batch)
                writer.tell({NOTE_KEY: _note(kept, row_count)})
        else:
            whole.replace(path)
    finally:
        whole.unlink(missing_ok=True)
    first = list(_first_rows(path, PREVIEW_ROWS))
    rows = [[json_value(value) for value in row] for row in first]
    preview = cut_cells(rows)
    return Stored(
        columns=_columns(schema),
        preview=preview,
        row_count=row_count,
        byte_count=byte_count,
        kept_rows=kept,
        file_bytes=path.stat().st_size,
        cut=preview != rows,
        shown=[dict(zip(schema.names, row, strict=True)) for row in first],
    )


def store_small(
    schema: pa.Schema,
    batches: Sequence[pa.RecordBatch],
    *,
    watch: Callable[[pa.RecordBatch], None] | None = None,
) -> tuple[Stored, bytes]:
    """A whole small answer as `store` would write it, and the bytes of its file. What it shows
    comes from the batches: nothing is read back.
    """
    written = _storable(schema)
    sink = pa.BufferOutputStream()
    converted = [_convert(batch, schema, written) for batch in batches]
    with pq.ParquetWriter(sink, written, compression="zstd", write_page_checksum=True) as writer:
        writer.write_table(pa.Table.from_batches(converted, written))
    if watch is not None:
        for batch in batches:
            watch(batch)
    content = sink.getvalue().to_pybytes()
    first = list(
        itertools.islice((row for batch in converted for row in _rows(batch)), PREVIEW_ROWS)
    )
    rows = [[json_value(value) for value in row] for row in first]
    preview = cut_cells(rows)
    row_count = sum(batch.num_rows for batch in batches)
    stored = Stored(
        columns=_columns(schema),
        preview=preview,
        row_count=row_count,
        byte_count=sum(batch.nbytes for batch in batches),
        kept_rows=row_count,
        file_bytes=len(content),
        cut=preview != rows,
        shown=[dict(zip(schema.names, row, strict=True)) for row in first],
    )
    return stored, content


def first_bytes(batches: Iterator[pa.RecordBatch], limit: int) -> tuple[list[pa.RecordBatch], bool]:
    """The batches until they hold more than `limit` bytes; whether that was the end of them."""
    taken: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        taken.append(batch)
        size += batch.nbytes
        if size > limit:
            return taken, False
    return taken, True


def _columns(schema: pa.Schema) -> list[dict[str, str]]:
    return [{"name": field.name, "type": column_type(field.type)} for field in schema]


def _spool(
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    path: Path,
    written: pa.Schema,
    watch: Callable[[pa.RecordBatch], None] | None,
    progress: Callable[[int], None] | None,
) -> tuple[int, int]:
    """Write the whole answer to `path`; its rows and bytes."""
    row_count = byte_count = 0
    with _Writer(path, written) as writer:
        for batch in batches:
            row_count += batch.num_rows
            byte_count += batch.nbytes
            if byte_count > MAX_RESULT_BYTES:
                raise WarehouseError(
                    f"the result is larger than {MAX_RESULT_BYTES:,} bytes; "
                    "narrow the time range or lower the limit"
                )
            if watch is not None:
                watch(batch)
            writer.add(_convert(batch, schema, written))
            if progress is not None:
                progress(row_count)
    return row_count, byte_count


def _kept(row_count: int, byte_count: int, byte_cap: int) -> int:
    """How many rows stay under the cap; one at least."""
    if byte_count <= byte_cap:
        return row_count
    return max(1, row_count * byte_cap // byte_count)


def sample_positions(query_hash: str, kept: int, total: int) -> Iterator[int]:
    """`kept` positions of `total`, ascending: one of each of `kept` equal strata, chosen by SHA-256
    of query_hash and stratum.
    """
    for stratum in range(kept):
        low, high = stratum * total // kept, (stratum + 1) * total // kept
        digest = hashlib.sha256(f"{query_hash}:{stratum}".encode()).digest()
        yield low + int.from_bytes(digest[:8], "big") % (high - low)


def _pick(path: Path, positions: Iterator[int]) -> Iterator[pa.RecordBatch]:
    """The rows at ascending `positions` of a Parquet file."""
    wanted = next(positions, None)
    start = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_GROUP_ROWS):
            inside: list[int] = []
            while wanted is not None and wanted < start + batch.num_rows:
                inside.append(wanted - start)
                wanted = next(positions, None)
            start += batch.num_rows
            if inside:
                yield batch.take(pa.array(inside, pa.int64()))


def _storable(schema: pa.Schema) -> pa.Schema:
    """The schema with what Parquet has no type for as text."""
    return pa.schema(
        [
            field.with_type(pa.string())
            if pa.types.is_interval(field.type) or pa.types.is_duration(field.type)
            else field
            for field in schema
        ]
    )


def _convert(batch: pa.RecordBatch, given: pa.Schema, written: pa.Schema) -> pa.RecordBatch:
    if given.equals(written):
        return batch
    columns = [
        column
        if before.type == after.type
        else pa.array([json_value(value) for value in column.to_pylist()], pa.string())
        for column, before, after in zip(batch.columns, given, written, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=written)


class _Writer:
    """Gathers batches into row groups of a useful size."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)
        self._waiting: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._flush()

    def tell(self, metadata: Mapping[str, str]) -> None:
        """Add to the file's own metadata."""
        self._writer.add_key_value_metadata(dict(metadata))

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema))
        self._waiting, self._rows, self._bytes = [], 0, 0

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._flush()
        finally:
            self._writer.close()


# -- the way out


def parquet_columns(path: Path) -> list[dict[str, str]]:
    """Name and type of each column of a stored result."""
    return [{"name": field.name, "type": column_type(field.type)} for field in pq.read_schema(path)]


def sampling_note(path: Path) -> str | None:
    """What a stored result says of itself where it is a sample, None where it is whole."""
    metadata = pq.read_metadata(path).metadata or {}
    found = metadata.get(NOTE_KEY.encode())
    return None if found is None else found.decode()


def read_rows(path: Path, *, limit: int | None = None) -> Iterator[list[Any]]:
    """The file's rows in order, at most `limit`, as JSON carries them."""
    for row in _first_rows(path, limit):
        yield [json_value(value) for value in row]


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """What Arrow raises for a stored file that is gone or damaged, as ArtifactUnreadable, which
    says what to do.
    """
    try:
        yield
    except FileNotFoundError:
        raise ArtifactUnreadable(
            "the stored file is gone; run its query again with --fresh"
        ) from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, EOFError, OSError) as error:
        raise ArtifactUnreadable(
            "the stored file is damaged or half-written; run its query again with --fresh"
        ) from error


def rows_at(source: Source, offset: int, limit: int) -> list[list[Any]]:
    """At most `limit` rows from `offset`, as JSON carries them. Only the row groups that hold them
    are read.

    Raises:
        ArtifactUnreadable: the file is gone, no Parquet, cut off, or damaged.
    """
    rows: list[list[Any]] = []
    with (
        readable(),
        pq.ParquetFile(opened(source), page_checksum_verification=True) as file,
    ):
        start = 0
        for group in range(file.metadata.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if start + count > offset and len(rows) < limit:
                rows += _rows_of_group(file, group, max(offset - start, 0), limit - len(rows))
            start += count
    return rows


def _rows_of_group(file: Any, group: int, offset: int, limit: int) -> list[list[Any]]:
    rows: list[list[Any]] = []
    seen = 0
    for batch in file.iter_batches(batch_size=_READ_ROWS, row_groups=[group]):
        if seen + batch.num_rows > offset:
            part = batch.slice(max(offset - seen, 0), limit - len(rows))
            rows += [[json_value(value) for value in row] for row in _rows(part)]
        seen += batch.num_rows
        if len(rows) >= limit:
            break
    return rows


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _first_rows(path: Path, limit: int | None) -> Iterator[tuple[Any, ...]]:
    size = _READ_ROWS if limit is None else max(min(limit, _READ_ROWS), 1)
    with pq.ParquetFile(path) as file:
        rows = (row for batch in file.iter_batches(batch_size=size) for row in _rows(batch))
        yield from itertools.islice(rows, limit)


def export(
    path: Path,
    out: BinaryIO,
    format: Format,
    *,
    result: Mapping[str, Any],
    raw: bool = False,
) -> int:
    """Write the stored rows to `out`: `parquet` as it is, `csv` (RFC 4180, header, null as nothing,
    UTF-8), or `json`. How many rows that were. A text that a spreadsheet would take for a formula
    gets an apostrophe before it in `csv`, unless `raw`.

    `json` is one object: `result` (what get_result answers) with all stored rows in place of the
    preview; `truncated` where they are a sample.
    """
    if format == "parquet":
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                out.write(chunk)
        return int(pq.read_metadata(path).num_rows)
    if format == "csv":
        header = [column["name"] for column in result["columns"]]
        return _write_csv(path, out, header, raw=raw)
    return _write_json(path, out, result)


def _write_csv(path: Path, out: BinaryIO, header: list[str], *, raw: bool) -> int:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="")
    count = 0
    try:
        writer = csv.writer(text)
        writer.writerow([_csv_cell(name, raw=raw) for name in header])
        for count, row in enumerate(read_rows(path), start=1):  # noqa: B007
            writer.writerow([_csv_cell(value, raw=raw) for value in row])
    finally:
        text.flush()
        text.detach()
    return count


def _write_json(path: Path, out: BinaryIO, result: Mapping[str, Any]) -> int:
    rest = {
        name: value
        for name, value in result.items()
        if name not in ("columns", "rows", "truncated")
    }
    truncated = b"true" if result.get("sampled") else b"false"
    count = 0
    out.write(b'{"columns":' + plain_json(orjson.dumps(result["columns"])) + b',"rows":[')
    for count, row in enumerate(read_rows(path), start=1):
        out.write((b",\n" if count > 1 else b"\n") + plain_json(orjson.dumps(row)))
    tail = plain_json(orjson.dumps(rest))[1:]
    out.write(b'],"truncated":' + truncated + b"," + tail + b"\n")
    return count


_UNSEEN = r"\s\x00-\x1f\x7f-\xa0\u200b-\u200f\u2060\ufeff"
_FORMULA = re.compile(rf"[{_UNSEEN}]*[=+\-@＝＋－＠]|[\t\r\n]")
# Where another separator is expected than the comma, quotes hold nothing together, and a cell
# begins after each separator within a text. An item of a list (`- one`) and a number stay.
_INNER_FORMULA = re.compile(
    rf'(?<![{_UNSEEN};"])[{_UNSEEN};"]++'
    r"(?=[=@＝＠]|[+\-＋－](?![\s\-]|[0-9][0-9.,]*+(?:[;\s]|\Z)))"
)
_SEPARATOR = re.compile(r"[;\t\r\n]")
_NUMBER = re.compile(r"([+-]?[0-9][0-9.,]*([eE][+-]?[0-9]+)?%?|-Infinity)\Z")


def _csv_cell(value: Any, *, raw: bool) -> Any:
    """The value as CSV has it. What begins a formula in a spreadsheet is kept from being one.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    if isinstance(value, list | dict):
        value = orjson.dumps(value).decode()
    if isinstance(value, str):
        return value if raw else _defused(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _defused(text: str) -> str:
    if _FORMULA.match(text) and not _NUMBER.match(text):
        text = f"'{text}"
    return _INNER_FORMULA.sub(
        lambda before: f"{before[0]}'" if _SEPARATOR.search(before[0]) else before[0], text
    )
