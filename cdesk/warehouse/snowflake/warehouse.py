"""Snowflake behind the engine protocol: the plain connector, over which everything can be done.

Landing here is bulk bind, one transaction, MERGE; Snowpipe Streaming
(`cdesk.warehouse.snowflake.streaming`) takes its place by default. Queries run as the reader role,
each with its tag, its binds on the server, and the session variables that the row access policy
goes by.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn

import pyarrow as pa

from cdesk.contract.catalog import Template
from cdesk.contract.records import TAG_PATTERN
from cdesk.core.clock import NowNs, format_ts, parse_ts, to_ns
from cdesk.core.config import Settings
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
from cdesk.warehouse.snowflake.driver import FIELD_ID_TO_NAME
from cdesk.warehouse.snowflake.driver import errors as sf
from cdesk.warehouse.snowflake.login import Login, error_code, first_line

# All the SQL of this engine: static texts, values are bound. (A query tag is checked against its
# pattern: ALTER SESSION takes no binds.) A user's secondary roles, which are all of theirs by
# default, would be in force beside the role that was asked for.
_NO_OTHER_ROLE: Final = "use secondary roles none"
_BATCH_TABLE: Final = (
    "create temporary table if not exists landing_batch "
    "(id varchar, kind varchar, payload varchar, source_file varchar, source_offset number(38, 0))"
)
_CLEAR_BATCH: Final = "delete from landing_batch"
_FILL_BATCH: Final = "insert into landing_batch (id, kind, payload, source_file, source_offset) values (?, ?, ?, ?, ?)"
# With the account's clock, since each client has its own.
_LAST_LANDED_TODAY: Final = (
    "select max(landed_at), sysdate() from landing where landed_at >= dateadd(day, -1, sysdate())"
)
_LAST_LANDED: Final = "select max(landed_at) from landing"
_NOW: Final = "select sysdate()"
# A batch is sent again when its answer got lost: the same lines at the same places, so they are
# looked for among the recent ones only, which prunes. 'd': of a key that stands twice the last
# value counts, as it does where the record was checked.
_MERGE: Final = (
    "merge into landing using (select id, kind, parse_json(payload, 'd') as payload, source_file, source_offset, "
    "cast(? as timestamp_ntz) as landed_at from landing_batch) as batch "
    "on landing.landed_at >= dateadd(day, -3, batch.landed_at) and landing.id = batch.id "
    "and landing.source_file = batch.source_file and landing.source_offset = batch.source_offset "
    "when not matched then insert (id, kind, payload, source_file, source_offset, landed_at) "
    "values (batch.id, batch.kind, batch.payload, batch.source_file, batch.source_offset, batch.landed_at)"
)
_POSITIONS: Final = "select source_file, max(source_offset) from landing where source_file in ({places}) group by source_file"
_CONTEXT: Final = (
    "select customer, context, version, updated_at from context_cache "
    "where cast(? as timestamp_ntz) is null or updated_at > cast(? as timestamp_ntz) order by customer"
)
_CALLER: Final = "set (cdesk_scope, cdesk_customer) = (select ?, ?)"
# When landing last changed stands in the metadata (in the session's time zone, which is UTC): no
# warehouse runs for it, and readers, who see no row of landing, may ask.
_AS_OF: Final = (
    "select cast(max(last_altered) as timestamp_ntz) from information_schema.tables "
    "where table_schema = current_schema() and table_name = 'LANDING'"
)
_MARK: Final = (
    "select max(last_altered), sum(row_count) from information_schema.tables "
    "where table_schema = current_schema() and table_name in ('LANDING', 'EVENTS', 'INSIGHT_ATOMS', 'ARTIFACTS')"
)
_EXPLAIN: Final = "explain using text "

LOADER_ROLE: Final = "CDESK_LOADER"
READER_ROLE: Final = "CDESK_READER"
QUERY_WAREHOUSE: Final = "CDESK_WH"
STATEMENT_TIMEOUT_SECONDS: Final = 30
_READER_SESSION: Final[dict[str, object]] = {
    "STATEMENT_TIMEOUT_IN_SECONDS": STATEMENT_TIMEOUT_SECONDS,
    "MULTI_STATEMENT_COUNT": 1,
    "USE_CACHED_RESULT": True,
    "TIMEZONE": "UTC",
}
_LOADER_SESSION: Final[dict[str, object]] = {
    "MULTI_STATEMENT_COUNT": 1,
    "TIMEZONE": "UTC",
    "QUERY_TAG": "cdesk_00000000",
}
_BULK_ROWS: Final = 10_000
"""Below the connector's threshold of 65,280 values, above which it would stage a file, for which
the loader has no privilege.
"""
_FETCH_ROWS: Final = 10_000
_IDLE_SECONDS: Final = 180.0
_TAG: Final = re.compile(TAG_PATTERN[:-1] + r"\Z")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)


class SnowflakeWarehouse:
    """`Warehouse` on `CLAUDE_LOGS.ACTIVITIES`. Safe to use from several threads: a connection
    serves one at a time.
    """

    dialect = "snowflake"

    def __init__(
        self,
        login: Login,
        *,
        reader_role: str = READER_ROLE,
        loader_role: str = LOADER_ROLE,
        warehouse: str = QUERY_WAREHOUSE,
        now_ns: NowNs = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._readers = _Pool(login, reader_role, warehouse, _READER_SESSION, monotonic)
        self._loaders = _Pool(
            login, loader_role, warehouse, _LOADER_SESSION, monotonic, prepare=(_BATCH_TABLE,)
        )

    @classmethod
    def from_settings(cls, settings: Settings, login: Login | None = None) -> SnowflakeWarehouse:
        """From the environment as the settings hold it; nothing is connected yet."""
        environ = settings.environ
        return cls(
            login or Login(environ),
            reader_role=environ.get("CDESK_SNOWFLAKE_READER_ROLE") or READER_ROLE,
            loader_role=environ.get("CDESK_SNOWFLAKE_LOADER_ROLE") or LOADER_ROLE,
            warehouse=environ.get("SNOWFLAKE_WAREHOUSE") or QUERY_WAREHOUSE,
        )

    # -- writing

    def land(self, lines: Sequence[LandedLine], *, after: datetime | None = None) -> LandResult:
        batch = LineBatch.of(lines)
        rows = [
            (id_, kind, payload.decode("utf-8"), source_file, offset)
            for id_, kind, payload, source_file, offset in zip(
                batch.ids,
                batch.kinds,
                batch.payloads,
                batch.source_files,
                batch.offsets,
                strict=True,
            )
        ]
        with self._loaders.borrow() as connection, connection.cursor() as cursor:
            try:
                cursor.execute("begin")
                cursor.execute(_CLEAR_BATCH)
                for start in range(0, len(rows), _BULK_ROWS):
                    cursor.executemany(_FILL_BATCH, rows[start : start + _BULK_ROWS])
                previous, landed_at = map(_utc, cursor.execute(_LAST_LANDED_TODAY).fetchone())
                assert landed_at is not None
                if previous is None:
                    previous = _utc(cursor.execute(_LAST_LANDED).fetchone()[0])
                require_after(previous, after)
                if previous is not None and landed_at <= previous:
                    landed_at = previous + _TICK
                cursor.execute(_MERGE, (_naive_text(landed_at),))
                cursor.execute("commit")
            except BaseException as error:
                with contextlib.suppress(sf.Error):
                    cursor.execute("rollback")
                if isinstance(error, sf.Error | OSError):
                    _refuse(error)
                raise
        return LandResult(rows=len(rows), landed_at=landed_at, previous=previous)

    def clock_distance(self) -> timedelta:
        """How far the account's clock is ahead of this machine's."""
        with self._loaders.borrow() as connection, connection.cursor() as cursor, _refusing():
            before = self._now_ns()
            theirs = _utc(cursor.execute(_NOW).fetchone()[0]) or _EPOCH
            ours = (before + self._now_ns()) // 2
        return theirs - (_EPOCH + timedelta(microseconds=ours // 1000))

    @contextlib.contextmanager
    def bulk(self) -> Iterator[None]:
        """Nothing to share: connections are kept between landings anyway."""
        yield

    # -- reading

    @contextlib.contextmanager
    def reading(self, *, cancel: threading.Event | None = None) -> Iterator[None]:
        """Nothing to share: connections are kept between queries anyway."""
        del cancel
        yield

    def positions(self, source_files: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        with self._loaders.borrow() as connection, connection.cursor() as cursor, _refusing():
            for start in range(0, len(source_files), 500):
                names = tuple(source_files[start : start + 500])
                cursor.execute(_POSITIONS.format(places=", ".join("?" * len(names))), names)
                found.update((str(name), int(offset)) for name, offset in cursor)
        return found

    def last_landing(self) -> datetime | None:
        with self._loaders.borrow() as connection, connection.cursor() as cursor, _refusing():
            return _utc(cursor.execute(_LAST_LANDED).fetchone()[0])

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
        deadline = self._monotonic() + timeout_seconds
        with self._readers.borrow() as connection, connection.cursor() as cursor:
            with _refusing():
                _begin_query(cursor, template, binds, query_tag)
                as_of = _utc(cursor.execute(_AS_OF).fetchone()[0]) or _EPOCH
                query_id = cursor.execute_async(template.sql, _bindable(binds))["queryId"]
                self._wait(connection, cursor, query_id, deadline, cancel)
                cursor.get_results_from_sfqid(query_id)
                rows = cursor.fetchmany(_FETCH_ROWS)
                schema, converters = _arrow_schema(cursor.description)
            yield QueryOutcome(
                schema=schema,
                batches=self._stream(cursor, rows, schema, converters, deadline, cancel),
                as_of=as_of,
            )

    def _wait(
        self, connection: Any, cursor: Any, query_id: str, deadline: float, cancel: threading.Event
    ) -> None:
        """Until the query is done; cancels it on the server when its time is up or its caller has
        gone.
        """
        pause = 0.02
        try:
            while connection.is_still_running(connection.get_query_status_throw_if_error(query_id)):
                self._check(deadline, cancel)
                cancel.wait(pause)
                pause = min(pause * 1.5, 0.5)
        except (QueryCancelled, QueryTimedOut):
            with contextlib.suppress(sf.Error):
                cursor.abort_query(query_id)
            raise

    def _check(self, deadline: float, cancel: threading.Event) -> None:
        if cancel.is_set():
            raise QueryCancelled("the query was cancelled")
        if self._monotonic() >= deadline:
            raise QueryTimedOut(
                "the query ran past its time limit and was stopped; narrow its parameters"
            )

    def _stream(
        self,
        cursor: Any,
        rows: list[tuple[Any, ...]],
        schema: pa.Schema,
        converters: Sequence[Callable[[Any], Any] | None],
        deadline: float,
        cancel: threading.Event,
    ) -> Iterator[pa.RecordBatch]:
        while rows:
            self._check(deadline, cancel)
            with _refusing():
                yield _record_batch(rows, schema, converters)
                rows = cursor.fetchmany(_FETCH_ROWS)

    def explain_template(
        self, template: Template, binds: Sequence[object], *, query_tag: str
    ) -> str:
        with self._readers.borrow() as connection, connection.cursor() as cursor, _refusing():
            _begin_query(cursor, template, binds, query_tag)
            cursor.execute(_EXPLAIN + template.sql, _bindable(binds))
            return "\n".join(str(row[-1]) for row in cursor)

    def export_context(self, *, since: str | None) -> Iterator[ContextRow]:
        bound = None if since is None else _naive_text(parse_ts(since))
        with self._readers.borrow() as connection, connection.cursor() as cursor, _refusing():
            # the worker of a shared service refreshes everybody's; for a person the mapping table
            # decides all the same
            cursor.execute(_CALLER, ("org", ""))
            cursor.execute(_CONTEXT, (bound, bound))
            while rows := cursor.fetchmany(256):
                for customer, context, version, updated_at in rows:
                    stamp = _utc(updated_at) or _EPOCH
                    yield ContextRow(
                        customer, context.encode("utf-8"), version, format_ts(to_ns(stamp))
                    )

    def data_version(self) -> str:
        with self._readers.borrow() as connection, connection.cursor() as cursor, _refusing():
            altered, count = cursor.execute(_MARK).fetchone()
        return f"{altered}-{count}"

    def close(self) -> None:
        self._readers.close()
        self._loaders.close()


class _Pool:
    """Idle connections of one role. A borrowed connection is the borrower's alone; one that failed
    is not used again.
    """

    def __init__(
        self,
        login: Login,
        role: str,
        warehouse: str,
        session_parameters: dict[str, object],
        monotonic: Callable[[], float],
        *,
        prepare: Sequence[str] = (),
    ) -> None:
        self._login = login
        self._role = role
        self._warehouse = warehouse
        self._session_parameters = session_parameters
        self._monotonic = monotonic
        self._prepare = prepare
        self._lock = threading.Lock()
        self._idle: list[tuple[float, Any]] = []

    @contextlib.contextmanager
    def borrow(self) -> Iterator[Any]:
        connection = self._take()
        try:
            yield connection
        except BaseException:
            _close(connection)
            raise
        with self._lock:
            self._idle.append((self._monotonic(), connection))

    def _take(self) -> Any:
        stale: list[Any] = []
        with self._lock:
            while self._idle:
                since, connection = self._idle.pop()
                if self._monotonic() - since < _IDLE_SECONDS and not connection.is_closed():
                    break
                stale.append(connection)
            else:
                connection = None
        for old in stale:
            _close(old)
        if connection is not None:
            return connection
        connection = self._login.open(
            role=self._role, warehouse=self._warehouse, session_parameters=self._session_parameters
        )
        try:
            for statement in (_NO_OTHER_ROLE, *self._prepare):
                connection.cursor().execute(statement)
        except sf.Error as error:
            _close(connection)
            _refuse(error)
        return connection

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            _close(connection)


def _close(connection: Any) -> None:
    with contextlib.suppress(sf.Error, OSError):
        connection.close()


def _begin_query(cursor: Any, template: Template, binds: Sequence[object], query_tag: str) -> None:
    """Tag the session, and tell the row access policy for whom the service asks; people are known
    by their own user and role.
    """
    if not _TAG.match(query_tag):
        raise WarehouseError(f"query tag {query_tag[:20]!r} does not match {TAG_PATTERN}")
    identity = dict(zip(template.binds, binds, strict=True))
    is_org = template.scope == "org" or (
        template.scope == "caller" and identity.get("is_analyst") is True
    )
    customer = str(identity.get("customer") or "")
    if len(customer.encode("utf-8")) > 256:
        raise WarehouseError(
            "a customer of more than 256 bytes doesn't fit into a Snowflake session variable"
        )
    cursor.execute(f"alter session set query_tag = '{query_tag}'")
    cursor.execute(_CALLER, ("org" if is_org else "customer", customer))


def _bindable(binds: Sequence[object]) -> tuple[object, ...]:
    """A list travels as JSON text: a bind is a scalar, and the template parses it."""
    import orjson

    return tuple(
        orjson.dumps(value).decode() if isinstance(value, list) else value for value in binds
    )


_SPACE_OUTSIDE_STRINGS: Final = re.compile(r'("(?:[^"\\]|\\.)*")|\s+')


def _compact_json(text: str) -> str:
    """Snowflake hands a VARIANT out indented; only the white space goes, no number is read."""
    return _SPACE_OUTSIDE_STRINGS.sub(lambda match: match[1] or "", text)


def _arrow_schema(description: Any) -> tuple[pa.Schema, list[Callable[[Any], Any] | None]]:
    fields: list[pa.Field] = []
    converters: list[Callable[[Any], Any] | None] = []
    for column in description:
        kind = FIELD_ID_TO_NAME[column.type_code]
        converter: Callable[[Any], Any] | None = None
        if kind == "FIXED":
            type_ = pa.int64() if not column.scale else pa.decimal128(38, column.scale)
        elif kind in ("VARIANT", "OBJECT", "ARRAY"):
            type_, converter = pa.string(), _compact_json
        else:
            type_ = _ARROW_TYPES.get(kind, pa.string())
        fields.append(pa.field(column.name.lower(), type_))
        converters.append(converter)
    return pa.schema(fields), converters


_ARROW_TYPES: Final = {
    "REAL": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "TIMESTAMP_NTZ": pa.timestamp("us"),
    "TIMESTAMP_LTZ": pa.timestamp("us", "UTC"),
    "TIMESTAMP_TZ": pa.timestamp("us", "UTC"),
    "BINARY": pa.binary(),
}


def _record_batch(
    rows: list[tuple[Any, ...]],
    schema: pa.Schema,
    converters: Sequence[Callable[[Any], Any] | None],
) -> pa.RecordBatch:
    arrays = []
    for index, field in enumerate(schema):
        convert = converters[index]
        values = [row[index] for row in rows]
        if convert is not None:
            values = [None if value is None else convert(value) for value in values]
        try:
            arrays.append(pa.array(values, field.type))
        except (pa.ArrowException, OverflowError) as error:
            raise WarehouseError(
                f"column {field.name} holds a value beyond {field.type}: {error}"
            ) from None
    return pa.record_batch(arrays, schema=schema)


def _utc(value: datetime | None) -> datetime | None:
    """A TIMESTAMP_NTZ in UTC, as everything here is, as an aware one."""
    return None if value is None else value.replace(tzinfo=UTC)


def _naive_text(value: datetime) -> str:
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (sf.Error, OSError) as error:
        _refuse(error)


_SETUP: Final = "dbt run-operation setup_snowflake --target snowflake"


def _refuse(error: Exception) -> NoReturn:
    """A connector error as one of ours, naming what mends it.
    https://docs.snowflake.com/en/developer-guide/python-connector/python-connector-api#errors
    """
    code, text = error_code(error), first_line(error)
    state = getattr(error, "sqlstate", None)
    if 390000 <= code < 400000:
        raise WarehouseUnavailable(
            f"the session has ended ({text}); it is tried again with a new one"
        ) from None
    if code in (606, 2043) and "warehouse" in text.lower():
        raise WarehouseError(
            f"the warehouse is missing or not granted to this role; an administrator runs: {_SETUP} ({text})"
        ) from None
    if code == 90073 or "resource monitor" in text.lower():
        raise WarehouseUnavailable(
            f"the credit quota is used up; see 'dbt run-operation apply_resource_monitors' ({text})"
        ) from None
    if code in (2003, 2043) or state == "42S02":
        raise WarehouseNotBuilt(
            f"an object is missing or not granted to this role: {text}; run 'dbt build --target snowflake', and if it is built: {_SETUP}"
        ) from None
    if code == 904 or (state == "42000" and "invalid identifier" in text.lower()):
        raise WarehouseNotBuilt(
            f"the tables are of an older version ({text}); run: dbt build --target snowflake"
        ) from None
    if code == 3001 or state == "42501":
        raise WarehouseError(
            f"a privilege is missing: {text}; an administrator runs: {_SETUP}"
        ) from None
    if code == 630:
        raise QueryTimedOut(
            f"stopped after {STATEMENT_TIMEOUT_SECONDS} s by the statement timeout; narrow its parameters"
        ) from None
    if code == 604:
        raise QueryCancelled("the query was cancelled in Snowflake") from None
    if isinstance(error, sf.OperationalError | sf.InterfaceError | sf.InternalError | OSError):
        raise WarehouseUnavailable(f"Snowflake broke off ({text}); it is tried again") from None
    raise WarehouseError(text) from None
