"""The embedded engine: landing into and querying one DuckDB file (`duckdb_file` says who may have
it open when).
"""

from __future__ import annotations

import contextlib
import functools
import random
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import duckdb

from cdesk.contract.catalog import Template
from cdesk.contract.records import TAG_PATTERN
from cdesk.core.clock import NowNs, parse_ts, to_ns
from cdesk.core.errors import (
    QueryCancelled,
    QueryTimedOut,
    WarehouseError,
)
from cdesk.core.processes import give_way_here
from cdesk.state.snapshot import ContextRow
from cdesk.warehouse.batch import LineBatch
from cdesk.warehouse.duckdb_file import DuckDBFile, first_line, refuse, transaction
from cdesk.warehouse.lines import EngineLines, ManyInTurn, ManyLines, engine_lines
from cdesk.warehouse.protocol import LandedLine, LandResult, QueryOutcome, Stretch, require_after
from cdesk.warehouse.read_copy import CopyFailed, ReadCopy

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

# All the SQL of this engine: static texts, values are bound.
_LAST_LANDED: Final = "select max(landed_at) from activities.landing"
_TABLE: Final = "activities.landing"
_ROW_GROUP: Final = 122_880
"""A transaction that appends whole row groups writes each once, compressed, and nothing of it to
the log. Of fewer rows every commit writes a log, and checkpoints write the same rows again.
"""
STRETCH_TAIL_BYTES: Final = 4 * 1024 * 1024
"""After a stretch of more questions are answered from a new copy; what is to be taken in by the one
that there is stays in memory while the stretch lands.
"""
_POSITIONS: Final = (
    "select source_file, max(source_offset) from activities.landing "
    "where source_file in (select unnest(?::varchar[])) group by source_file"
)
_CONTEXT: Final = (
    "select customer, encode(cast(context as varchar)) as context, version, "
    "strftime(updated_at, '%Y-%m-%dT%H:%M:%S.%fZ') as updated_at from activities.context_cache "
    "where ?::timestamp is null or updated_at > ?::timestamp"
)
_MARK: Final = "select max(landed_at), count(*) from activities.landing"
_EXPLAIN: Final = "explain (format yaml) "
"""To draw boxes around a wide plan takes several times as long as to make it."""

warnings.filterwarnings(
    "ignore", "Arrow output on a DB-API result makes an extra copy", UserWarning
)  # of a small one, which is quicker than to plan it twice
_TAG = re.compile(TAG_PATTERN[:-1] + r"\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_BATCH_ROWS: Final = 65_536
_CONTEXT_ROWS: Final = 4_096
_FEW_CONTEXTS: Final = 1_000
"""So many are read at once; more are streamed, by Arrow, which a worker may not have loaded yet."""
_WATCH_SECONDS: Final = 0.05
_WATCH_IDLE_TURNS: Final = 20
_CLOSE_SECONDS: Final = 1.0


class DuckDBWarehouse:
    """`Warehouse` on one file. Safe to use from several threads.

    Waits and limits are those of `DuckDBFile`. copies: a folder of this process alone, where it
    keeps the copy that questions read (`ReadCopy`); without it they read the file itself.
    """

    dialect = "duckdb"

    def __init__(
        self,
        path: Path,
        *,
        now_ns: NowNs = time.time_ns,
        land_wait: float = 2.0,
        read_wait: float = 30.0,
        land_memory: str = "56MB",
        read_memory: str = "1GB",
        threads: int = 2,
        rng: random.Random | None = None,
        sleep: Callable[[float], None] = time.sleep,
        copies: Path | None = None,
    ) -> None:
        self._now_ns = now_ns
        self._read_wait = read_wait
        self._file = DuckDBFile(
            path,
            land_wait=land_wait,
            read_wait=read_wait,
            land_memory=land_memory,
            read_memory=read_memory,
            threads=threads,
            rng=rng or random.Random(),
            sleep=sleep,
        )
        self._watcher = _Watcher()
        self._copy: ReadCopy | None = None
        if copies is not None:
            self._copy = ReadCopy(self._file, copies, memory=read_memory, threads=threads)
            self._file.opened, self._file.closed = self._copy.opened, self._copy.closed

    # -- writing

    def land(self, lines: Sequence[LandedLine], *, after: datetime | None = None) -> LandResult:
        batch = LineBatch.of(lines)
        with self._landing(after) as landing:
            given = engine_lines(batch)
            landing.append(given)
        if self._copy is not None:
            self._copy.landed([batch], [given], landing.landed_at)
        return landing.result()

    def _land_stretch(
        self, batches: Iterable[Sequence[LandedLine]], after: datetime | None
    ) -> LandResult:
        """As `Stretch.land`: the engine appends one batch while the next is made."""
        # What the copy is to take in; None where there is none, or too much for it.
        kept: list[tuple[LineBatch, EngineLines]] | None = None if self._copy is None else []
        # The pool ends before the transaction does: nothing is appended behind a rollback.
        with (
            self._landing(after) as landing,
            ThreadPoolExecutor(1, "cdesk-landing", initializer=give_way_here) as pool,
        ):
            appending: Future[None] | None = None
            for lines in batches:
                batch = LineBatch.of(lines)
                given = engine_lines(batch)
                if appending is not None:
                    appending.result()
                appending = pool.submit(landing.append, given)
                if kept is not None:
                    kept.append((batch, given))
                    if sum(one.nbytes for _, one in kept) > STRETCH_TAIL_BYTES:
                        kept = None
                del lines, batch, given
            if appending is not None:
                appending.result()
        if self._copy is not None:
            if kept is None:
                self._copy.outgrown()
            elif kept:
                batches, given_lines = zip(*kept, strict=True)
                self._copy.landed(batches, given_lines, landing.landed_at)
        return landing.result()

    @contextlib.contextmanager
    def _landing(self, after: datetime | None) -> Iterator[_Landing]:
        """One transaction of landing; committed at the end of the block."""
        with self._file.writing() as connection, transaction(connection):
            try:
                previous = _utc(connection.execute(_LAST_LANDED).fetchall()[0][0])
                require_after(previous, after)
                landed_at = datetime.fromtimestamp(0, UTC) + timedelta(
                    microseconds=self._now_ns() // 1000
                )
                if previous is not None and landed_at <= previous:
                    landed_at = previous + _TICK
                waited, self._file.waited = self._file.waited, 0.0
                yield _Landing(connection, landed_at, previous, waited)
            except duckdb.Error as error:
                refuse(error)

    @contextlib.contextmanager
    def bulk(self) -> Iterator[Stretch | None]:
        with self._file.kept_for_writing():
            yield Stretch(_ROW_GROUP, self._land_stretch)

    # -- reading

    @contextlib.contextmanager
    def reading(
        self, templates: Sequence[Template] = (), *, cancel: threading.Event | None = None
    ) -> Iterator[None]:
        sql = [template.sql for template in templates]
        with contextlib.ExitStack() as stack:
            if self._copy is not None:
                try:
                    stack.enter_context(self._copy.kept(self._read_wait, cancel, sql))
                except CopyFailed:
                    stack.enter_context(self._file.kept_for_reading(cancel))
            else:
                stack.enter_context(self._file.kept_for_reading(cancel))
            yield

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        with contextlib.nullcontext() if self._copy is None else self._copy.building():
            yield

    @contextlib.contextmanager
    def _questions(
        self, sql: str, wait: float | None = None, cancel: threading.Event | None = None
    ) -> Iterator[tuple[DuckDBPyConnection, datetime | None]]:
        """A connection that can run `sql`, and the latest landing that it sees, where that is known
        already.
        """
        wait = self._read_wait if wait is None else wait
        with contextlib.ExitStack() as stack:
            if self._copy is not None and not self._file.kept_here:
                try:
                    cursor, last = stack.enter_context(self._copy.reading(wait, cancel, sql))
                except CopyFailed:
                    pass
                else:
                    yield cursor, _utc(last) or _EPOCH
                    return
            yield stack.enter_context(self._file.reading(wait, cancel)), None

    def positions(self, source_files: Sequence[str]) -> dict[str, int]:
        if not source_files:
            return {}
        with self._file.reading() as cursor:
            try:
                rows = cursor.execute(_POSITIONS, [list(source_files)]).fetchall()
            except duckdb.Error as error:
                refuse(error)
        return {str(name): int(offset) for name, offset in rows}

    def last_landing(self) -> datetime | None:
        with self._file.reading() as cursor:
            try:
                return _utc(cursor.execute(_LAST_LANDED).fetchall()[0][0])
            except duckdb.Error as error:
                refuse(error)

    def run_template(
        self,
        template: Template,
        binds: Sequence[object],
        *,
        query_tag: str,
        timeout_seconds: float,
        cancel: threading.Event | None = None,
        whole: bool = False,
    ) -> AbstractContextManager[QueryOutcome]:
        return self._run(
            template, binds, query_tag, timeout_seconds, cancel or threading.Event(), whole
        )

    @contextlib.contextmanager
    def _run(
        self,
        template: Template,
        binds: Sequence[object],
        query_tag: str,
        timeout_seconds: float,
        cancel: threading.Event,
        whole: bool,
    ) -> Iterator[QueryOutcome]:
        import pyarrow as pa  # here: an idle worker does without

        sql = _tagged(template, query_tag)
        with self._asking(template, query_tag, timeout_seconds, cancel) as (cursor, as_of, watch):
            try:
                if as_of is None:
                    as_of = _utc(cursor.execute(_LAST_LANDED).fetchall()[0][0]) or _EPOCH
                # A relation is planned for its schema, and again when it runs; only it streams.
                asked = (
                    cursor.execute(sql, list(binds))
                    if whole
                    else cursor.sql(sql, params=list(binds))
                )
                reader: pa.RecordBatchReader = asked.to_arrow_reader(_BATCH_ROWS)
            except (duckdb.Error, OSError, pa.ArrowException) as error:
                watch.explain(error)
            try:
                yield QueryOutcome(
                    schema=reader.schema, batches=_stream(reader, watch), as_of=as_of
                )
            finally:
                reader.close()

    def read_template(
        self,
        template: Template,
        binds: Sequence[object],
        *,
        query_tag: str,
        timeout_seconds: float,
        cancel: threading.Event | None = None,
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        sql = _tagged(template, query_tag)
        cancel = cancel or threading.Event()
        with self._asking(template, query_tag, timeout_seconds, cancel) as (cursor, _, watch):
            try:
                rows = cursor.execute(sql, list(binds)).fetchall()
                columns = [str(column[0]) for column in cursor.description or ()]
            except (duckdb.Error, OSError) as error:
                watch.explain(error)
        return columns, rows

    @contextlib.contextmanager
    def _asking(
        self, template: Template, query_tag: str, timeout_seconds: float, cancel: threading.Event
    ) -> Iterator[tuple[DuckDBPyConnection, datetime | None, _Watch]]:
        """As `_questions`, under a watch, with the tag set."""
        deadline = time.monotonic() + timeout_seconds
        with (
            self._questions(template.sql, min(self._read_wait, timeout_seconds), cancel) as (
                cursor,
                as_of,
            ),
            _Watch(self._watcher, cursor, deadline, cancel) as watch,
        ):
            try:
                cursor.execute("set variable query_tag = ?", [query_tag]).fetchall()
            except (duckdb.Error, OSError) as error:
                watch.explain(error)
            yield cursor, as_of, watch

    def explain_template(
        self, template: Template, binds: Sequence[object], *, query_tag: str
    ) -> str:
        sql = _EXPLAIN + _tagged(template, query_tag)
        with self._questions(template.sql) as (cursor, _):
            try:
                rows = cursor.execute(sql, list(binds)).fetchall()
            except duckdb.Error as error:
                refuse(error)
        return "\n".join(str(row[-1]) for row in rows)

    def export_context(self, *, since: str | None) -> Iterator[ContextRow]:
        """Streamed: memory holds a few thousand rows, whatever the number of customers. All of them
        are read from the file itself, even where questions read a copy.
        """
        bound = None if since is None else parse_ts(since).replace(tzinfo=None)
        with contextlib.ExitStack() as stack:
            if since is None:
                cursor = stack.enter_context(self._file.scanning())
            else:
                cursor, _ = stack.enter_context(self._questions(_CONTEXT))
                few = _few_contexts(cursor, bound)
                if few is not None:
                    yield from few
                    return
            import pyarrow as pa  # here: an idle worker does without

            try:
                reader = cursor.sql(_CONTEXT, params=[bound, bound]).to_arrow_reader(_CONTEXT_ROWS)
                for batch in reader:
                    columns = [column.to_pylist() for column in batch.columns]
                    yield from map(ContextRow, *columns)
            except (duckdb.Error, OSError, pa.ArrowException) as error:
                refuse(error)

    def data_state(self, customer: str | None, *, system: bool) -> str | None:
        return None if self._copy is None else self._copy.state(customer, system=system)

    def data_version(self) -> str:
        with self._file.reading() as cursor:
            try:
                last, count = cursor.execute(_MARK).fetchall()[0]
            except duckdb.Error as error:
                refuse(error)
        return f"{to_ns(_utc(last) or _EPOCH) // 1000}-{count}"

    def set_damaged_log_aside(self) -> Path | None:
        """As `DuckDBFile.set_damaged_log_aside`."""
        return self._file.set_damaged_log_aside()

    def rewrite(self) -> None:
        """Write the file anew without what was deleted from it (`DuckDBFile.rewrite`)."""
        self._file.rewrite()

    def close(self) -> None:
        """End the watch and remove the copy that questions read. The file is closed between uses
        anyway.
        """
        self._watcher.close()
        if self._copy is not None:
            self._copy.close()


class _Landing:
    """A transaction in which lines land. Appends come one after another, from any thread."""

    def __init__(
        self,
        connection: DuckDBPyConnection,
        landed_at: datetime,
        previous: datetime | None,
        waited: float,
    ) -> None:
        self.landed_at = landed_at
        self._connection = connection
        self._previous = previous
        self._waited = waited
        self._rows = 0
        self._many: ManyInTurn | None = None

    def append(self, lines: EngineLines) -> None:
        """Raises duckdb.Error; WarehouseError where a line cannot be read."""
        if isinstance(lines, ManyLines):
            if self._many is None:
                self._many = ManyInTurn(self._connection)
            self._many.append_to(_TABLE, self._connection, lines, self.landed_at)
        else:
            lines.append_to(_TABLE, self._connection, self.landed_at)
        self._rows += len(lines)

    def result(self) -> LandResult:
        return LandResult(self._rows, self.landed_at, self._previous, self._waited)


class _Watcher:
    """One thread for all running queries, there while any runs: interrupts those whose time is
    over.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._watched: set[_Watch] = set()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def add(self, watch: _Watch) -> None:
        with self._turn:
            self._watched.add(watch)
            self._closing.clear()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._look, name="cdesk-query-watch", daemon=True
                )
                self._thread.start()

    def remove(self, watch: _Watch) -> None:
        """From here on the watch's cursor is not touched any more."""
        with self._turn:
            self._watched.discard(watch)

    def close(self) -> None:
        """End the thread where nothing runs: one that a process's end finds with DuckDB in its
        hands makes the module complain of leaks on standard error. A later query starts another.
        """
        with self._turn:
            thread = self._thread
            if thread is None or self._watched:
                return
            self._closing.set()
        thread.join(_CLOSE_SECONDS)

    def _look(self) -> None:
        # An interrupt between two statements is forgotten by DuckDB, so it is repeated until the
        # query has gone.
        idle = 0
        while idle < _WATCH_IDLE_TURNS:
            closing = self._closing.wait(_WATCH_SECONDS)
            with self._turn:
                for watch in self._watched:
                    watch.interrupt_if_over()
                idle = 0 if self._watched else _WATCH_IDLE_TURNS if closing else idle + 1
                if idle >= _WATCH_IDLE_TURNS:
                    self._thread = None


class _Watch:
    """Interrupts a cursor at its deadline or when its caller cancels, and says which it was."""

    def __init__(
        self,
        watcher: _Watcher,
        cursor: DuckDBPyConnection,
        deadline: float,
        cancel: threading.Event,
    ) -> None:
        self._watcher = watcher
        self._cursor = cursor
        self._deadline = deadline
        self._cancel = cancel

    def __enter__(self) -> _Watch:
        self._watcher.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._watcher.remove(self)

    def interrupt_if_over(self) -> None:
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
        refuse(error)


def _stream(reader: pa.RecordBatchReader, watch: _Watch) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

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
    if (problem := _problem(template.sql)) is not None:
        raise WarehouseError(f"template {template.name} is {problem}")
    return f"/* QUERY_TAG='{query_tag}' */ {template.sql}"


@functools.lru_cache(maxsize=512)
def _problem(sql: str) -> str | None:
    """What keeps a template's text from being run, None for exactly one select statement."""
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        return f"no SQL of this engine: {first_line(error)}"
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        return "not exactly one select statement"
    return None


def _few_contexts(cursor: DuckDBPyConnection, since: datetime | None) -> list[ContextRow] | None:
    """The contexts that are newer, None where they are many."""
    most = _FEW_CONTEXTS + 1
    try:
        rows = cursor.execute(f"{_CONTEXT} limit {most}", [since, since]).fetchall()
    except duckdb.Error as error:
        refuse(error)
    return None if len(rows) == most else [ContextRow(*row) for row in rows]


def _utc(value: datetime | None) -> datetime | None:
    """A naive UTC timestamp from the engine as an aware one."""
    return None if value is None else value.replace(tzinfo=UTC)


def _is_interrupt(error: Exception) -> bool:
    return isinstance(error, duckdb.InterruptException) or (
        isinstance(error, OSError) and str(error).startswith("INTERRUPT")
    )
