"""A stored result as a table: pages, sorting, filters and aggregates straight from its Parquet
file.

DuckDB reads that one file and nothing else: every other path is closed to it, the configuration is
locked, identifiers are quoted and values bound. Columns are named by their place, since a result
may have two of one name. Results that are in memory share an instance, to which all paths are
closed: each is seen by its own connection alone.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from cdesk.artifacts.formats import readable, rows_at
from cdesk.artifacts.ranges import REMOTE_SCHEME, Source, opened
from cdesk.artifacts.values import column_type, json_value
from cdesk.core.errors import ArtifactUnreadable, CdeskError, InvalidField, QueryTimedOut
from cdesk.warehouse.duckdb_file import seal

if TYPE_CHECKING:
    from cdesk_app.render.remote import OneFile

PAGE_ROWS: Final = 100
FEW_ROWS: Final = 1_000
"""So many are gone through faster than a statement is planned."""
MAX_COLUMNS: Final = 200
"""Columns that a page shows; a download has them all."""
QUERY_SECONDS: Final = 10.0
MEMORY: Final = "512MB"
_THREADS: Final = 2

Operator = Literal["contains", "eq", "ne", "lt", "le", "gt", "ge", "null", "not_null"]
OPERATORS: Final = get_args(Operator)
_COMPARISONS: Final[dict[str, str]] = {
    "eq": "=",
    "ne": "<>",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
}
_CAST: Final[dict[str, str]] = {
    "integer": "decimal(38, 10)",
    "number": "double",
    "timestamp": "timestamptz",
    "date": "date",
    "time": "time",
    "boolean": "boolean",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its place from 0, its name as stored, its type in words."""

    place: int
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Filter:
    """`value` is text as a person types it; it is compared as the column's type."""

    column: int
    operator: Operator
    value: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """What is asked of a table: order (column's place, descending), filters, text anywhere."""

    sort: int | None = None
    descending: bool = False
    filters: tuple[Filter, ...] = ()
    text: str = ""

    @property
    def is_plain(self) -> bool:
        return self.sort is None and not self.filters and not self.text


@dataclass(frozen=True, slots=True)
class Page:
    """Rows from `offset`, as JSON carries them; `total`: rows that pass the filters."""

    offset: int
    total: int
    rows: list[list[Any]]


class Table:
    """One Parquet file, here, elsewhere or in memory. Opening it reads its footer alone; safe to
    use from several threads.

    Raises (every method):
        ArtifactUnreadable: the file is no Parquet, cut off, or damaged.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._is_in_memory = isinstance(source, bytes)
        self._named: pa.Table | None = None
        self._held = threading.local()
        if isinstance(source, bytes):
            self._literal = ""
        else:
            name = str(source) if isinstance(source, Path) else f"{REMOTE_SCHEME}://{source.name}"
            self._literal = name.replace("'", "''")
        with _readable():
            meta = pq.read_metadata(opened(source))
            schema = meta.schema.to_arrow_schema()
        self.columns = [
            Column(place, field.name, column_type(field.type)) for place, field in enumerate(schema)
        ]
        self.row_count = int(meta.num_rows)

    # -- pages

    def page(self, view: View, offset: int, limit: int = PAGE_ROWS) -> Page:
        """`limit` rows from `offset` of what `view` asks for.

        Raises:
            InvalidField: a column that is not there, or an operator that its type does not have.
            QueryTimedOut: it took longer than ten seconds.
        """
        offset = max(offset, 0)
        if view.is_plain:
            return Page(offset, self.row_count, self._slice(offset, limit))
        where, values = self._where(view)
        order = "file_row_number"
        if view.sort is not None:
            direction = "desc" if view.descending else "asc"
            order = f"{self._sql_name(view.sort)} {direction} nulls last, file_row_number"
        with self._connect() as query:
            ((total,),) = query.rows(f"select count(*) from source where {where}", values)
            found = query.arrow(
                f"select * exclude (file_row_number) from source where {where} "
                f"order by {order} limit ? offset ?",
                [*values, limit, offset],
            )
        return Page(offset, int(total), _json_rows(found))

    def _slice(self, offset: int, limit: int) -> list[list[Any]]:
        """Rows in stored order: only the row groups that hold them are read."""
        if isinstance(self.source, bytes):
            with _readable():
                named = self._named_rows(self.source)
            return _json_rows(named.slice(offset, limit).drop_columns("file_row_number"))
        return rows_at(self.source, offset, limit)

    def few(self, place: int) -> list[Any] | None:
        """A column's values, where the rows are few and in memory; None where they are not, or
        Python has no such values.
        """
        if not isinstance(self.source, bytes) or self.row_count > FEW_ROWS:
            return None
        with _readable():
            named = self._named_rows(self.source)
        try:
            found: list[Any] = named.column(place).to_pylist()
        except (ValueError, ArithmeticError):
            return None
        return found

    # -- aggregates

    def aggregate(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a statement of ours over `source`, whose columns are named by `sql_name`.

        Raises:
            QueryTimedOut: it took longer than ten seconds.
        """
        with self._connect() as query:
            return query.rows(sql, values)

    def sql_name(self, place: int) -> str:
        """The quoted name of a column in `source`."""
        return self._sql_name(place)

    # -- inside

    def _sql_name(self, place: int) -> str:
        if not 0 <= place < len(self.columns):
            allowed = f"0 to {len(self.columns) - 1}"
            raise InvalidField("column", f"there is no column {place}", allowed)
        return f"c{place}"

    def _where(self, view: View) -> tuple[str, list[Any]]:
        tests: list[str] = []
        values: list[Any] = []
        for wanted in view.filters:
            name = self._sql_name(wanted.column)
            kind = self.columns[wanted.column].type
            if wanted.operator == "null":
                tests.append(f"{name} is null")
            elif wanted.operator == "not_null":
                tests.append(f"{name} is not null")
            elif wanted.operator == "contains":
                tests.append(f"contains(lower(cast({name} as varchar)), lower(?))")
                values.append(wanted.value)
            elif sign := _COMPARISONS.get(wanted.operator):
                if (target := _CAST.get(kind)) is None:
                    tests.append(f"cast({name} as varchar) {sign} ?")
                else:
                    tests.append(f"cast({name} as {target}) {sign} try_cast(? as {target})")
                values.append(wanted.value)
            else:
                allowed = ", ".join(("contains", *_COMPARISONS, "null", "not_null"))
                raise InvalidField("filter", f"unknown operator {wanted.operator[:20]!r}", allowed)
        if view.text:
            anywhere = " or ".join(
                f"contains(lower(cast(c{column.place} as varchar)), lower(?))"
                for column in self.columns
            )
            tests.append(f"({anywhere or 'false'})")
            values += [view.text] * len(self.columns)
        return " and ".join(tests) or "true", values

    @contextlib.contextmanager
    def one_connection(self) -> Iterator[None]:
        """Statements of this thread inside the block share a connection, made for the first of
        them; after one that failed the next has a new one.
        """
        if getattr(self._held, "stack", None) is not None:
            yield
            return
        with contextlib.ExitStack() as stack:
            self._held.stack, self._held.query = stack, None
            try:
                yield
            finally:
                self._held.stack = self._held.query = None

    @contextlib.contextmanager
    def _connect(self) -> Iterator[_Query]:
        """To run statements over `source`, the file's rows with columns c0, c1, …"""
        stack: contextlib.ExitStack | None = getattr(self._held, "stack", None)
        if stack is None:
            with self._connection() as query:
                yield query
            return
        if self._held.query is None:
            self._held.query = stack.enter_context(self._connection())
        try:
            yield self._held.query
        except BaseException:
            self._held.query = None
            raise

    @contextlib.contextmanager
    def _connection(self) -> Iterator[_Query]:
        connection = _in_memory.connection() if self._is_in_memory else _instance()
        remote = self._attach(connection)
        query = _Query(connection, remote)
        try:
            if not self._is_in_memory:
                connection.execute(f"set allowed_paths = ['{self._literal}']")
                seal(connection)
            with query.bounded():
                self._name_columns(connection)
            yield query
        finally:
            if remote is not None:
                connection.unregister_filesystem(remote.protocol)
            connection.close()

    def _attach(self, connection: duckdb.DuckDBPyConnection) -> OneFile | None:
        if isinstance(self.source, Path | bytes):
            return None
        from cdesk_app.render.remote import attach  # needs what only a bucket needs

        return attach(connection, self.source)

    def _name_columns(self, connection: duckdb.DuckDBPyConnection) -> None:
        if isinstance(self.source, bytes):
            connection.register("source", self._named_rows(self.source))
            connection.execute("begin transaction read only")
            return
        names = ", ".join(f"c{column.place}" for column in self.columns)
        connection.execute(
            f"create temp view source({names}{', ' if names else ''}file_row_number) as "
            f"select * from read_parquet('{self._literal}', file_row_number = true)"
        )

    def _named_rows(self, content: bytes) -> pa.Table:
        """A result in memory, decoded once."""
        if self._named is None:
            # Not read_table: it knows columns by name alone, and here two may have one name.
            with pq.ParquetFile(opened(content), page_checksum_verification=True) as file:
                rows = file.read()
            numbers = pa.array(range(rows.num_rows), pa.int64())
            places = [f"c{column.place}" for column in self.columns]
            self._named = pa.table([*rows.columns, numbers], names=[*places, "file_row_number"])
        return self._named


def _instance(threads: int = _THREADS) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "memory_limit": MEMORY,
            "threads": threads,
        },
    )


class _InMemory:
    """The instance for results in memory, made at first use: a new one for each question took
    longer than the question.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._instance: duckdb.DuckDBPyConnection | None = None

    def connection(self) -> duckdb.DuckDBPyConnection:
        """What is registered with it, no other connection sees."""
        with self._turn:
            if self._instance is None:
                # These results are small: a second thread would only wait for the first.
                self._instance = _instance(threads=1)
                seal(self._instance)
                # DuckDB complains of what the process's end finds open.
                atexit.register(self.close)
            return self._instance.cursor()

    def close(self) -> None:
        with self._turn:
            if self._instance is not None:
                self._instance.close()
            self._instance = None


_in_memory: Final = _InMemory()


class _Query:
    """Statements on one connection, with values bound; each is bounded in time."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, remote: OneFile | None) -> None:
        self._connection = connection
        self._remote = remote

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.bounded():
            return self._connection.execute(sql, list(values)).fetchall()

    def arrow(self, sql: str, values: Sequence[Any] = ()) -> pa.Table:
        with self.bounded():
            return self._connection.sql(sql, params=list(values)).to_arrow_table()

    @contextlib.contextmanager
    def bounded(self) -> Iterator[None]:
        """A statement that ends in ten seconds, and whose failure is one of ours."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._connection.interrupt()

        timer = threading.Timer(QUERY_SECONDS, stop)
        timer.daemon = True
        timer.start()
        try:
            with _failures_of(self._remote), _readable():
                yield
        except duckdb.InterruptException:
            if late.is_set():
                raise QueryTimedOut(
                    f"the table took longer than {QUERY_SECONDS:.0f} s; narrow the filter"
                ) from None
            raise
        except duckdb.ConversionException as error:
            raise InvalidField(
                "filter", str(error).partition("\n")[0], "a value of its type"
            ) from None
        finally:
            timer.cancel()


@contextlib.contextmanager
def _failures_of(remote: OneFile | None) -> Iterator[None]:
    """Why a file elsewhere could not be read, where DuckDB only says that it could not."""
    try:
        yield
    except (duckdb.Error, CdeskError) as error:
        if remote is None or remote.failed is None:
            raise
        raise remote.failed from error


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """What a damaged file raises, as one error that says what to do."""
    try:
        with readable():
            yield
    except duckdb.Error as error:
        if _is_damage(error):
            raise ArtifactUnreadable(
                "the stored file is damaged or half-written; run its query again with --fresh"
            ) from error
        raise


def _is_damage(error: duckdb.Error) -> bool:
    """Whether DuckDB could not make sense of the file; it has no class of errors for that."""
    if isinstance(error, duckdb.InvalidInputException):
        return "configuration" not in str(error)
    return isinstance(error, duckdb.IOException) or type(error) is duckdb.Error


def _json_rows(rows: pa.Table | pa.RecordBatch) -> list[list[Any]]:
    """Rows as JSON carries them."""
    columns = [_json_values(column) for column in rows.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def _json_values(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    values: list[Any] = column.to_pylist()
    if pa.types.is_string(column.type) or pa.types.is_boolean(column.type):
        return values  # as they are
    return [json_value(value) for value in values]
