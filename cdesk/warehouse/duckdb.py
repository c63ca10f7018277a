"""The embedded engine: one DuckDB file, opened for each use and closed again, so that worker, dbt
and readers take turns.

DuckDB lets one process write or several read. Another process that holds the file is waited for
with back-off; within this process reads share one read-only instance and a landing waits for them
(`cdesk.warehouse.read_write_lock`).
"""

from __future__ import annotations

import contextlib
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import duckdb
import pyarrow as pa

from cdesk.contract.catalog import Template
from cdesk.contract.records import TAG_PATTERN
from cdesk.core.backoff import FULL_JITTER, Backoff
from cdesk.core.clock import NowNs, format_ts, parse_ts, to_ns
from cdesk.core.errors import (
    QueryCancelled,
    QueryTimedOut,
    WarehouseError,
    WarehouseNotBuilt,
    WarehouseUnavailable,
)
from cdesk.state.snapshot import ContextRow
from cdesk.warehouse.batch import LineBatch
from cdesk.warehouse.protocol import LandedLine, LandResult, QueryOutcome, require_after
from cdesk.warehouse.read_write_lock import ReadWriteLock

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# All the SQL of this engine: static texts, values are bound.
_LAST_LANDED: Final = "select max(landed_at) from activities.landing"
_INSERT: Final = (
    "insert into activities.landing (id, kind, payload, source_file, source_offset, landed_at) "
    "select id, kind, payload, source_file, source_offset, ? from landing_batch"
)
_POSITIONS: Final = (
    "select source_file, max(source_offset) from activities.landing "
    "where source_file in (select name from wanted_files) group by source_file"
)
_CONTEXT: Final = (
    "select customer, cast(context as varchar), version, updated_at from activities.context_cache "
    "where ?::timestamp is null or updated_at > ?::timestamp order by customer"
)
_MARK: Final = "select max(landed_at), count(*) from activities.landing"
_EXPLAIN: Final = "explain "

_TAG = re.compile(TAG_PATTERN[:-1] + r"\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_HELD: Final = Backoff(0.01, 0.5, jitter=FULL_JITTER)
_CANCEL_POLL: Final = 0.05
_CANCELLED_EARLY: Final = "the query was cancelled before it started"
_BATCH_ROWS: Final = 65_536
_NOT_BUILT: Final = (
    "the warehouse is not built yet; the worker builds it, or run 'cdesk worker --once'"
)
_READ_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
}


class DuckDBWarehouse:
    """`Warehouse` on one file. Safe to use from several threads.

    land_wait, read_wait: seconds to go on trying while somebody else holds the file.
    land_memory, read_memory: the limits of a landing and of all queries together, as DuckDB writes
    them ('1GB').
    """

    dialect = "duckdb"

    def __init__(
        self,
        path: Path,
        *,
        now_ns: NowNs = time.time_ns,
        land_wait: float = 2.0,
        read_wait: float = 30.0,
        land_memory: str = "96MB",
        read_memory: str = "1GB",
        threads: int = 2,
        rng: random.Random | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = path
        self._now_ns = now_ns
        self._land_wait = land_wait
        self._read_wait = read_wait
        self._land_memory = land_memory
        self._read_memory = read_memory
        self._threads = threads
        self._rng = rng or random.Random()
        self._sleep = sleep
        self._read_write = ReadWriteLock()
        self._shared_state = threading.Condition()
        self._is_opening = False
        self._shared: DuckDBPyConnection | None = None
        self._shared_users = 0
        self._bulk = threading.local()
        self._held = threading.local()

    # -- writing

    def land(self, lines: Sequence[LandedLine], *, after: datetime | None = None) -> LandResult:
        batch = LineBatch.of(lines)
        with self._writing() as connection, _transaction(connection):
            try:
                previous = _utc(connection.execute(_LAST_LANDED).fetchall()[0][0])
                require_after(previous, after)
                landed_at = datetime.fromtimestamp(0, UTC) + timedelta(
                    microseconds=self._now_ns() // 1000
                )
                if previous is not None and landed_at <= previous:
                    landed_at = previous + _TICK
                connection.register("landing_batch", _arrow(batch))
                connection.execute(_INSERT, [landed_at.replace(tzinfo=None)]).fetchall()
                connection.unregister("landing_batch")
            except (duckdb.Error, pa.ArrowException) as error:
                _refuse(error)
        return LandResult(rows=len(batch), landed_at=landed_at, previous=previous)

    @contextlib.contextmanager
    def bulk(self) -> Iterator[None]:
        with self._writing() as connection:
            self._bulk.connection = connection
            try:
                yield
            finally:
                self._bulk.connection = None

    # -- reading

    @contextlib.contextmanager
    def reading(self, *, cancel: threading.Event | None = None) -> Iterator[None]:
        with self._reading(cancel=cancel) as cursor:
            self._held.cursor = cursor
            try:
                yield
            finally:
                self._held.cursor = None

    def positions(self, source_files: Sequence[str]) -> dict[str, int]:
        if not source_files:
            return {}
        with self._reading() as cursor:
            try:
                cursor.register(
                    "wanted_files", pa.table({"name": pa.array(source_files, pa.string())})
                )
                rows = cursor.execute(_POSITIONS).fetchall()
            except duckdb.Error as error:
                _refuse(error)
        return {str(name): int(offset) for name, offset in rows}

    def last_landing(self) -> datetime | None:
        with self._reading() as cursor:
            try:
                return _utc(cursor.execute(_LAST_LANDED).fetchall()[0][0])
            except duckdb.Error as error:
                _refuse(error)

    def run_template(
        self,
        template: Template,
        binds: Sequence[object],
        *,
        query_tag: str,
        timeout_seconds: float,
        cancel: threading.Event | None = None,
    ) -> AbstractContextManager[QueryOutcome]:
        return self._run(template, binds, query_tag, timeout_seconds, cancel or threading.Event())

    @contextlib.contextmanager
    def _run(
        self,
        template: Template,
        binds: Sequence[object],
        query_tag: str,
        timeout_seconds: float,
        cancel: threading.Event,
    ) -> Iterator[QueryOutcome]:
        deadline = time.monotonic() + timeout_seconds
        sql = _tagged(template, query_tag)
        with (
            self._reading(min(self._read_wait, timeout_seconds), cancel) as cursor,
            _Watch(cursor, deadline, cancel) as watch,
        ):
            try:
                cursor.execute("set variable query_tag = ?", [query_tag]).fetchall()
                as_of = _utc(cursor.execute(_LAST_LANDED).fetchall()[0][0]) or _EPOCH
                reader = cursor.sql(sql, params=list(binds)).to_arrow_reader(_BATCH_ROWS)
            except (duckdb.Error, OSError, pa.ArrowException) as error:
                watch.explain(error)
            try:
                yield QueryOutcome(
                    schema=reader.schema, batches=_stream(reader, watch), as_of=as_of
                )
            finally:
                reader.close()

    def explain_template(
        self, template: Template, binds: Sequence[object], *, query_tag: str
    ) -> str:
        sql = _EXPLAIN + _tagged(template, query_tag)
        with self._reading() as cursor:
            try:
                rows = cursor.execute(sql, list(binds)).fetchall()
            except duckdb.Error as error:
                _refuse(error)
        return "\n".join(str(row[-1]) for row in rows)

    def export_context(self, *, since: str | None) -> Iterator[ContextRow]:
        bound = None if since is None else parse_ts(since).replace(tzinfo=None)
        with self._reading() as cursor:
            try:
                cursor.execute(_CONTEXT, [bound, bound])
                while rows := cursor.fetchmany(256):
                    for customer, context, version, updated_at in rows:
                        stamp = _utc(updated_at) or _EPOCH
                        yield ContextRow(
                            customer, context.encode("utf-8"), version, format_ts(to_ns(stamp))
                        )
            except duckdb.Error as error:
                _refuse(error)

    def data_version(self) -> str:
        with self._reading() as cursor:
            try:
                last, count = cursor.execute(_MARK).fetchall()[0]
            except duckdb.Error as error:
                _refuse(error)
        return f"{to_ns(_utc(last) or _EPOCH) // 1000}-{count}"

    def close(self) -> None:
        """Nothing stays open between uses; this is here for the protocol."""

    # -- connections

    @contextlib.contextmanager
    def _writing(self) -> Iterator[DuckDBPyConnection]:
        shared: DuckDBPyConnection | None = getattr(self._bulk, "connection", None)
        if shared is not None:
            yield shared
            return
        deadline = time.monotonic() + self._land_wait
        try:
            with self._read_write.write(self._land_wait):
                connection = self._connect(
                    deadline,
                    read_only=False,
                    config={
                        "threads": self._threads,
                        "memory_limit": self._land_memory,
                        "python_enable_replacements": "false",
                    },
                )
                try:
                    yield connection
                finally:
                    connection.close()
        except TimeoutError:
            raise WarehouseUnavailable(
                "running queries keep the warehouse; landing waits for them"
            ) from None

    @contextlib.contextmanager
    def _reading(
        self, wait: float | None = None, cancel: threading.Event | None = None
    ) -> Iterator[DuckDBPyConnection]:
        held: DuckDBPyConnection | None = getattr(self._held, "cursor", None)
        if held is not None:
            with contextlib.closing(held.cursor()) as cursor:
                yield cursor
            return
        wait = self._read_wait if wait is None else wait
        deadline = time.monotonic() + wait
        entered = contextlib.ExitStack()
        try:
            entered.enter_context(self._read_write.read(wait, cancel=cancel))
        except TimeoutError:
            raise WarehouseUnavailable(
                "a landing keeps the warehouse; try again in a moment"
            ) from None
        with entered:
            cursor = self._share(deadline, cancel)
            try:
                yield cursor
            finally:
                cursor.close()
                self._unshare()

    def _share(self, deadline: float, cancel: threading.Event | None) -> DuckDBPyConnection:
        """A cursor of the one read-only instance, opened by the first who needs it."""
        with self._shared_state:
            while self._shared is None:
                if not self._is_opening:
                    self._open_shared(deadline, cancel)
                    continue
                if cancel is not None and cancel.is_set():
                    raise QueryCancelled(_CANCELLED_EARLY)
                left = deadline - time.monotonic()
                if left <= 0:
                    raise WarehouseUnavailable(
                        f"another process holds {self._path.name}; it is tried again"
                    )
                self._shared_state.wait(min(left, _CANCEL_POLL) if cancel is not None else left)
            cursor = self._shared.cursor()
            self._shared_users += 1
            return cursor

    def _open_shared(self, deadline: float, cancel: threading.Event | None) -> None:
        """Open the read-only instance. The lock is free meanwhile: whoever waits for the instance
        can still be cancelled.
        """
        self._is_opening = True
        self._shared_state.release()
        connection = None
        try:
            connection = self._connect(
                deadline,
                read_only=True,
                config={
                    **_READ_CONFIG,
                    "threads": self._threads,
                    "memory_limit": self._read_memory,
                },
                cancel=cancel,
            )
            try:
                connection.execute("set global TimeZone = 'UTC'").fetchall()
                connection.execute("set global lock_configuration = true").fetchall()
            except duckdb.Error as error:
                connection.close()
                connection = None
                _refuse(error)
        finally:
            self._shared_state.acquire()
            self._shared = connection
            self._is_opening = False
            self._shared_state.notify_all()

    def _unshare(self) -> None:
        """Close the instance after its last user: an open reader keeps dbt and landings out."""
        with self._shared_state:
            self._shared_users -= 1
            if self._shared_users == 0 and self._shared is not None:
                self._shared.close()
                self._shared = None

    def _connect(
        self,
        deadline: float,
        *,
        read_only: bool,
        config: dict[str, str | bool | int | float | list[str]],
        cancel: threading.Event | None = None,
    ) -> DuckDBPyConnection:
        """Open the file, trying again with full jitter while another process holds it.

        Raises:
            WarehouseNotBuilt: there is no file. WarehouseUnavailable: held until the deadline.
            WarehouseError: unreadable.
        """
        pauses = _HELD.pauses(self._rng)
        while True:
            if not self._path.exists():
                raise WarehouseNotBuilt(_NOT_BUILT)
            try:
                return duckdb.connect(self._path, read_only=read_only, config=config)
            except duckdb.Error as error:
                if not _is_held(error):
                    _refuse(error)
                if cancel is not None and cancel.is_set():
                    raise QueryCancelled(_CANCELLED_EARLY) from None
                left = deadline - time.monotonic()
                if left <= 0:
                    raise WarehouseUnavailable(
                        f"another process holds {self._path.name} ({_holder(error)}); "
                        "it is tried again"
                    ) from None
            pause = min(next(pauses), left)
            if cancel is None:
                self._sleep(pause)
            else:
                cancel.wait(pause)


@contextlib.contextmanager
def _transaction(connection: DuckDBPyConnection) -> Iterator[None]:
    """All or nothing, also on a connection that is used again."""
    try:
        connection.execute("begin").fetchall()
        yield
        connection.execute("commit").fetchall()
    except BaseException as failure:
        with contextlib.suppress(duckdb.Error):
            connection.execute("rollback").fetchall()
        if isinstance(failure, duckdb.Error):
            _refuse(failure)
        raise


class _Watch:
    """Interrupts a cursor at its deadline or when its caller cancels, and says which it was."""

    def __init__(
        self, cursor: DuckDBPyConnection, deadline: float, cancel: threading.Event
    ) -> None:
        self._cursor = cursor
        self._deadline = deadline
        self._cancel = cancel
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="cdesk-query-watch", daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        # An interrupt between two statements is forgotten by DuckDB, so it is repeated until the
        # query has gone.
        while not self._done.wait(0.05):
            if self._cancel.is_set() or time.monotonic() >= self._deadline:
                self._cursor.interrupt()

    def check(self) -> None:
        """Raises QueryCancelled or QueryTimedOut once it is time to stop."""
        if self._cancel.is_set():
            raise QueryCancelled("the query was cancelled")
        if time.monotonic() >= self._deadline:
            raise QueryTimedOut(
                "the query ran past its time limit and was stopped; narrow its parameters"
            )

    def explain(self, error: Exception) -> NoReturn:
        if _is_interrupt(error):
            self.check()
        _refuse(error)


def _stream(reader: pa.RecordBatchReader, watch: _Watch) -> Iterator[pa.RecordBatch]:
    while True:
        watch.check()
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            watch.explain(error)
        yield batch


def _tagged(template: Template, query_tag: str) -> str:
    """The template's one statement behind a comment that carries the tag (a generated one: checked,
    never a caller's text).
    """
    if not _TAG.match(query_tag):
        raise WarehouseError(f"query tag {query_tag[:20]!r} does not match {TAG_PATTERN}")
    try:
        statements = duckdb.extract_statements(template.sql)
    except duckdb.Error as error:
        raise WarehouseError(
            f"template {template.name} is no SQL of this engine: {_first_line(error)}"
        ) from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise WarehouseError(f"template {template.name} is not exactly one select statement")
    return f"/* QUERY_TAG='{query_tag}' */ {template.sql}"


def _arrow(batch: LineBatch) -> pa.Table:
    pool = pa.system_memory_pool()  # gives back what it took; the default pool keeps it

    def column(values: list[str] | list[bytes] | list[int], kind: pa.DataType) -> pa.Array:
        return pa.array(values, kind, memory_pool=pool)

    return pa.table(
        {
            "id": column(batch.ids, pa.string()),
            "kind": column(batch.kinds, pa.string()),
            "payload": column(batch.payloads, pa.binary()).cast(pa.string(), memory_pool=pool),
            "source_file": column(batch.source_files, pa.string()),
            "source_offset": column(batch.offsets, pa.int64()),
        }
    )


def _utc(value: datetime | None) -> datetime | None:
    """A naive UTC timestamp from the engine as an aware one."""
    return None if value is None else value.replace(tzinfo=UTC)


def _is_held(error: Exception) -> bool:
    """Whether an error on opening means that somebody else has the file (POSIX lock, Windows
    sharing, other mode here).
    """
    text = str(error)
    return (isinstance(error, duckdb.IOException) and ("lock" in text or "being used" in text)) or (
        isinstance(error, duckdb.ConnectionException) and "different configuration" in text
    )


def _holder(error: Exception) -> str:
    match = re.search(r"PID (\d+)", str(error))
    return f"process {match[1]}" if match else "busy"


def _is_interrupt(error: Exception) -> bool:
    return isinstance(error, duckdb.InterruptException) or (
        isinstance(error, OSError) and str(error).startswith("INTERRUPT")
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]


def _refuse(error: Exception) -> NoReturn:
    """An engine error as one of ours."""
    if isinstance(error, duckdb.CatalogException):
        raise WarehouseNotBuilt(f"{_NOT_BUILT} ({_first_line(error)})") from None
    if isinstance(error, duckdb.IOException) and "not a valid DuckDB" not in str(error):
        raise WarehouseUnavailable(
            f"the warehouse file cannot be used: {_first_line(error)}"
        ) from None
    if isinstance(error, duckdb.OutOfMemoryException):
        raise WarehouseError(f"out of memory: {_first_line(error)}") from None
    raise WarehouseError(_first_line(error)) from None
