"""How lines get into a table of the embedded engine: a few row by row, many as columns of Arrow. An
idle worker, which lands a few at a time, never loads Arrow: its library takes 25 MB.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from cdesk.core.errors import WarehouseError
from cdesk.warehouse.batch import LineBatch

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

FEW: Final = 200
"""So many lines cost the same both ways: one takes half row by row, a thousand take twice."""
COLUMNS: Final = ["id", "kind", "payload", "source_file", "source_offset", "landed_at"]
_INSERT: Final = (
    f"insert into {{table}} ({', '.join(COLUMNS)}) "
    "select id, kind, payload, source_file, source_offset, ? from landing_batch"
)
_OVERHEAD: Final = 256
"""Bytes that a line takes beside its payload."""


class FewLines:
    """Lines that go in row by row. nbytes: about what they take in memory."""

    def __init__(self, batch: LineBatch) -> None:
        self._batch = batch
        self.nbytes = sum(map(len, batch.payloads)) + _OVERHEAD * len(batch)

    def __len__(self) -> int:
        return len(self._batch)

    def append_to(self, table: str, connection: DuckDBPyConnection, landed_at: datetime) -> None:
        """Raises duckdb.Error; WarehouseError where a payload is no UTF-8."""
        batch = self._batch
        try:
            payloads = [payload.decode("utf-8") for payload in batch.payloads]
        except UnicodeDecodeError as error:
            raise WarehouseError(f"a line is no UTF-8: {error}") from None
        stamps = itertools.repeat(landed_at.replace(tzinfo=None), len(batch))
        with connection.appender(table, columns=COLUMNS) as appender:
            appender.append_rows(
                zip(
                    batch.ids,
                    batch.kinds,
                    payloads,
                    batch.source_files,
                    batch.offsets,
                    stamps,
                    strict=True,
                )
            )


class ManyLines:
    """Lines that go in as columns of Arrow, which the engine reads where they lie."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.nbytes: int = table.nbytes

    def __len__(self) -> int:
        return len(self.table)

    def append_to(self, table: str, connection: DuckDBPyConnection, landed_at: datetime) -> None:
        """Raises duckdb.Error."""
        connection.register("landing_batch", self.table)
        _insert(table, connection, landed_at)
        connection.unregister("landing_batch")


class ManyInTurn:
    """Batches of many lines in one transaction. What a transaction has registered it keeps to its
    end: one relation is registered, and knows the batch at hand. It knows no connection, since what
    a connection knows that knows it is never given back.
    """

    def __init__(self, connection: DuckDBPyConnection) -> None:
        self._none = self._at_hand = _table(LineBatch())
        connection.register("landing_batch", self)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._at_hand.__arrow_c_stream__(requested_schema)

    def append_to(
        self, table: str, connection: DuckDBPyConnection, lines: ManyLines, landed_at: datetime
    ) -> None:
        """Raises duckdb.Error."""
        self._at_hand = lines.table
        try:
            _insert(table, connection, landed_at)
        finally:
            self._at_hand = self._none


def _insert(table: str, connection: DuckDBPyConnection, landed_at: datetime) -> None:
    """What is registered as `landing_batch` goes in."""
    statement = _INSERT.format(table=table)
    connection.execute(statement, [landed_at.replace(tzinfo=None)]).fetchall()


EngineLines: TypeAlias = FewLines | ManyLines


def engine_lines(batch: LineBatch) -> EngineLines:
    """The lines as the engine takes them with the least work.

    Raises:
        WarehouseError: of many, a payload is no UTF-8.
    """
    return FewLines(batch) if len(batch) <= FEW else ManyLines(_table(batch))


def _table(batch: LineBatch) -> pa.Table:
    import pyarrow as pa

    pool = pa.system_memory_pool()  # gives back what it took; the default pool keeps it

    def column(values: list[str] | list[int], kind: pa.DataType) -> pa.Array:
        return pa.array(values, kind, memory_pool=pool)

    try:
        payloads = _texts(batch.payloads)
    except pa.ArrowInvalid as error:
        raise WarehouseError(f"a line is no UTF-8: {error}") from None
    return pa.table(
        {
            "id": column(batch.ids, pa.string()),
            "kind": column(batch.kinds, pa.string()),
            "payload": payloads,
            "source_file": column(batch.source_files, pa.string()),
            "source_offset": column(batch.offsets, pa.int64()),
        }
    )


def _texts(values: Sequence[bytes]) -> pa.Array:
    """UTF-8 texts as a column that reads them where Python has put them together.

    Raises:
        pa.ArrowInvalid: one is no UTF-8.
    """
    import pyarrow as pa

    ends = array("i", itertools.accumulate(map(len, values), initial=0))
    text = b"".join(values)
    column = pa.StringArray.from_buffers(len(values), pa.py_buffer(ends), pa.py_buffer(text))
    column.validate(full=True)
    return column
