"""Reading: catalogued templates, their plans, and the context for the snapshot. Each query runs in
a session of the reader role with its tag, its binds on the server, and the session variables that
the row access policy goes by.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import orjson
import pyarrow as pa

from cdesk.contract.catalog import Template
from cdesk.contract.records import TAG_PATTERN
from cdesk.core.backoff import Backoff
from cdesk.core.clock import format_ts, parse_ts, to_ns
from cdesk.core.errors import QueryCancelled, QueryTimedOut, WarehouseError
from cdesk.state.snapshot import ContextRow
from cdesk.warehouse.protocol import QueryOutcome
from cdesk.warehouse.snowflake.arrow import arrow_schema, record_batch
from cdesk.warehouse.snowflake.driver import errors as sf
from cdesk.warehouse.snowflake.refusal import refusing
from cdesk.warehouse.snowflake.sessions import Caller, SessionPool
from cdesk.warehouse.snowflake.times import EPOCH, naive_text, utc

_CONTEXT: Final = (
    "select customer, context, version, updated_at from context_cache "
    "where cast(? as timestamp_ntz) is null or updated_at > cast(? as timestamp_ntz) "
    "order by customer"
)
# When landing last changed, in the session's time zone, which is UTC: readers, who see no row of
# landing, may ask. It needs a running warehouse, as all of INFORMATION_SCHEMA does.
_AS_OF: Final = (
    "select cast(max(last_altered) as timestamp_ntz) from information_schema.tables "
    "where table_schema = current_schema() and table_name = 'LANDING'"
)
_MARK: Final = (
    "select max(last_altered), sum(row_count) from information_schema.tables "
    "where table_schema = current_schema() "
    "and table_name in ('LANDING', 'EVENTS', 'INSIGHT_ATOMS', 'ARTIFACTS')"
)
_EXPLAIN: Final = "explain using text "

_ORG: Final[Caller] = ("org", "")
_FETCH_ROWS: Final = 10_000
_STILL_RUNNING: Final = Backoff(0.02, 0.5, factor=1.5)
_TAG: Final = re.compile(TAG_PATTERN[:-1] + r"\Z")


class Reader:
    """Runs what the catalog holds. Safe to use from several threads: a session serves one at a
    time.
    """

    def __init__(
        self, sessions: SessionPool, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._readers = sessions
        self._monotonic = monotonic

    @contextlib.contextmanager
    def run_template(
        self,
        template: Template,
        binds: Sequence[object],
        query_tag: str,
        timeout_seconds: float,
        cancel: threading.Event,
    ) -> Iterator[QueryOutcome]:
        deadline = self._monotonic() + timeout_seconds
        caller = _caller(template, binds)
        with self._readers.borrow(caller) as connection, connection.cursor() as cursor:
            with refusing():
                _tag(cursor, query_tag)
                as_of = utc(cursor.execute(_AS_OF).fetchone()[0]) or EPOCH
                query_id = cursor.execute_async(template.sql, _bindable(binds))["queryId"]
                self._wait(connection, cursor, query_id, deadline, cancel)
                # Not get_results_from_sfqid: it selects from RESULT_SCAN, which promises no order.
                # https://docs.snowflake.com/en/sql-reference/functions/result_scan
                cursor.query_result(query_id)
                rows = cursor.fetchmany(_FETCH_ROWS)
                schema, converters = arrow_schema(cursor.description)
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
        pauses = _STILL_RUNNING.pauses()
        try:
            while connection.is_still_running(connection.get_query_status_throw_if_error(query_id)):
                self._check(deadline, cancel)
                cancel.wait(next(pauses))
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
            with refusing():
                yield record_batch(rows, schema, converters)
                rows = cursor.fetchmany(_FETCH_ROWS)

    def explain_template(
        self, template: Template, binds: Sequence[object], *, query_tag: str
    ) -> str:
        caller = _caller(template, binds)
        with (
            self._readers.borrow(caller) as connection,
            connection.cursor() as cursor,
            refusing(),
        ):
            _tag(cursor, query_tag)
            cursor.execute(_EXPLAIN + template.sql, _bindable(binds))
            return "\n".join(str(row[-1]) for row in cursor)

    def export_context(self, *, since: str | None) -> Iterator[ContextRow]:
        """As `Warehouse.export_context`: the worker of a shared service refreshes everybody's; for
        a person the mapping table decides all the same.
        """
        bound = None if since is None else naive_text(parse_ts(since))
        with self._readers.borrow(_ORG) as connection, connection.cursor() as cursor, refusing():
            cursor.execute(_CONTEXT, (bound, bound))
            while rows := cursor.fetchmany(256):
                for customer, context, version, updated_at in rows:
                    stamp = utc(updated_at) or EPOCH
                    yield ContextRow(
                        customer, context.encode("utf-8"), version, format_ts(to_ns(stamp))
                    )

    def data_version(self) -> str:
        with self._readers.borrow(_ORG) as connection, connection.cursor() as cursor, refusing():
            altered, count = cursor.execute(_MARK).fetchone()
        return f"{altered}-{count}"


def _tag(cursor: Any, query_tag: str) -> None:
    if not _TAG.match(query_tag):
        raise WarehouseError(f"query tag {query_tag[:20]!r} does not match {TAG_PATTERN}")
    cursor.execute(f"alter session set query_tag = '{query_tag}'")


def _caller(template: Template, binds: Sequence[object]) -> Caller:
    """For whom the service asks, as the row access policy reads it from the session's variables;
    people are known by their own user and role.
    """
    identity = dict(zip(template.binds, binds, strict=True))
    if template.scope == "org" or (
        template.scope == "caller" and identity.get("is_analyst") is True
    ):
        return _ORG
    customer = str(identity.get("customer") or "")
    if len(customer.encode("utf-8")) > 256:
        raise WarehouseError(
            "a customer of more than 256 bytes doesn't fit into a Snowflake session variable"
        )
    return "customer", customer


def _bindable(binds: Sequence[object]) -> tuple[object, ...]:
    """A list travels as JSON text: a bind is a scalar, and the template parses it."""
    return tuple(
        orjson.dumps(value).decode() if isinstance(value, list) else value for value in binds
    )
