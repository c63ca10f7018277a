"""Running one question: reuse or run, store, prove. Tickets (cdesk_app/worker/tickets.py) and
`cdesk query` (run_now) both come through here.

What a run leaves behind, in this order, so that no answer is ever given whose proof could be lost:

    1. `cdesk.sql_executed` in the queue, before the engine is asked
    2. the artifact, whole under its name
    3. `artifact`, `cdesk.artifact_created`, `query_run` and `cdesk.sql_completed` in the queue
    4. rows in state.db: the artifact, and the answer under its query_hash
"""

from __future__ import annotations

import contextlib
import random
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import orjson

from cdesk.artifacts.formats import Format, Stored, export, store
from cdesk.artifacts.store import RETENTION_DAYS, Artifact, ArtifactFolder, keep_artifact
from cdesk.contract.catalog import Catalog, Template, load_catalog, normalise_sql
from cdesk.contract.records import Kind, encode, make_record
from cdesk.core.clock import IdSource, NowNs, format_ts, parse_ts, to_ns
from cdesk.core.config import Settings
from cdesk.core.errors import CdeskError, QueryCancelled, QueueWriteError, WarehouseUnavailable
from cdesk.core.home import StateDirectory
from cdesk.core.identity import Caller
from cdesk.core.wake import WakeSender
from cdesk.queue.writer import QueueWriter
from cdesk.state.database import open_state
from cdesk.state.kill_switch import read_switch
from cdesk.state.tickets import BYTE_CAP_DEFAULT
from cdesk.warehouse.factory import open_warehouse
from cdesk.warehouse.protocol import QueryOutcome, Warehouse

TIMEOUT_SECONDS: Final = 30.0
PATIENCE_SECONDS: Final = 60.0
"""So long a question waits for a warehouse that is down or held, before it fails with
`warehouse_unavailable`.
"""
REUSE_SECONDS: Final = 24 * 3600
"""So long an answer stands for the same question on unchanged data. One that no clock goes into
stands as long as its artifact.
"""
FINGERPRINT_TEMPLATE: Final = "data_fingerprint"
"""The template whose answer stays the same as long as the data does
(analyses/safesql/data_fingerprint.sql).
"""

_CLOCK = re.compile(
    r"\b(now|current_timestamp|current_date|current_time|localtimestamp|localtime|sysdate|systimestamp|getdate|today"
    r"|get_current_timestamp|transaction_timestamp|statement_timestamp|clock_timestamp)\b",
    re.IGNORECASE,
)
_DAY_NS: Final = 86_400 * 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PROGRESS_SECONDS: Final = 0.5
_PLAN_CHARACTERS: Final = 8_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """One run that somebody asked for. `run_id` is the ticket's id; `params` are checked;
    `byte_cap` None means the default.
    """

    run_id: str
    caller: Caller
    session_id: str | None
    template: Template
    params: Mapping[str, Any]
    query_hash: str
    query_tag: str
    byte_cap: int | None = None
    fresh: bool = False
    dry_run: bool = False

    @property
    def cap(self) -> int:
        return BYTE_CAP_DEFAULT if self.byte_cap is None else self.byte_cap

    @property
    def binds(self) -> list[Any]:
        return self.template.bind(
            self.params, customer=self.caller.customer, is_analyst=self.caller.is_analyst
        )


def ask(
    catalog: Catalog,
    caller: Caller,
    *,
    run_id: str,
    query_tag: str,
    template: str,
    params: Mapping[str, Any],
    session_id: str | None = None,
    byte_cap: int | None = None,
    fresh: bool = False,
    dry_run: bool = False,
) -> Question:
    """A checked question.

    Raises:
        NotFound: the catalog has no such template. Forbidden: it is not for this caller.
        InvalidField: a parameter.
    """
    found = catalog.get(template)
    if found.scope == "org":
        caller.require_analyst(f"template {found.name}")
    checked = found.check_params(params)
    query_hash = found.query_hash(checked, customer=caller.customer, is_analyst=caller.is_analyst)
    return Question(
        run_id, caller, session_id, found, checked, query_hash, query_tag, byte_cap, fresh, dry_run
    )


class Executor:
    """Answers questions. Safe to use from several threads, each with its own `state` connection."""

    def __init__(
        self,
        home: StateDirectory,
        warehouse: Warehouse,
        writer: QueueWriter,
        *,
        now_ns: NowNs = time.time_ns,
        timeout_seconds: float = TIMEOUT_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        rng: random.Random | None = None,
    ) -> None:
        self._warehouse = warehouse
        self._writer = writer
        self._now_ns = now_ns
        self._timeout = timeout_seconds
        self._patience = patience_seconds
        self._rng = rng or random.Random()
        self._ids = IdSource(now_ns)
        self._lock = threading.Lock()
        self._catalog_path = home.catalog
        self._catalog: tuple[tuple[int, int], Catalog] | None = None
        self.folder = ArtifactFolder(home.artifacts)

    def now(self) -> str:
        return format_ts(self._now_ns())

    def new_id(self) -> str:
        with self._lock:
            return self._ids.uuid7()

    def new_tag(self) -> str:
        with self._lock:
            return self._ids.query_tag()

    def catalog(self) -> Catalog:
        """The catalog as it is now; read again only when its file has changed.

        Raises:
            CatalogError: it is missing or unreadable.
        """
        try:
            stat = self._catalog_path.stat()
        except OSError:
            return load_catalog(self._catalog_path)
        key = (stat.st_mtime_ns, stat.st_ino)
        with self._lock:
            if self._catalog is None or self._catalog[0] != key:
                self._catalog = (key, load_catalog(self._catalog_path))
            return self._catalog[1]

    # -- answering

    def answer(
        self,
        question: Question,
        state: sqlite3.Connection,
        *,
        cancel: threading.Event | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> dict[str, Any]:
        """What get_result answers: the earlier answer where it stands, else a new one; for a dry
        run, the estimate.

        Raises:
            CdeskError: nothing came of it; a run is on record all the same.
        """
        read_switch(state).require_off()
        attempt = _Attempt(cancel or threading.Event(), progress or _say_nothing)
        if question.dry_run:
            return self._patiently(attempt, lambda: self._estimate(question, state))
        try:
            return self._patiently(attempt, lambda: self._reuse_or_run(question, state, attempt))
        except CdeskError as error:
            status = "cancelled" if attempt.cancel.is_set() else "failed"
            with contextlib.suppress(QueueWriteError):
                self.record_end(
                    question, status=status, error_code=error.code, elapsed_ms=attempt.elapsed_ms
                )
            raise

    def _patiently(self, attempt: _Attempt, step: Callable[[], T]) -> T:
        """`step`, again with full jitter while the warehouse is unavailable, until patience ends or
        somebody cancels.
        """
        deadline = time.monotonic() + self._patience
        pause = 0.1
        while True:
            attempt.started = time.monotonic()
            try:
                return step()
            except WarehouseUnavailable:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
            attempt.tries += 1
            attempt.say(f"waiting for the warehouse, try {attempt.tries + 1}")
            if attempt.cancel.wait(min(self._rng.uniform(0, pause), left)):
                raise QueryCancelled("the query was cancelled while it waited for the warehouse")
            pause = min(pause * 2, 5.0)

    def _reuse_or_run(
        self, question: Question, state: sqlite3.Connection, attempt: _Attempt
    ) -> dict[str, Any]:
        """One try, over one connection: the fingerprint is that of the data that the query then sees."""
        with self._warehouse.reading(cancel=attempt.cancel):
            fingerprint = (
                self._fingerprint_of(question, attempt) if question.template.reuse else None
            )
            if (
                not question.fresh
                and (earlier := self._earlier(question, state, fingerprint)) is not None
            ):
                return earlier
            if not attempt.recorded:
                self._emit_event(question, "cdesk.sql_executed", _about(question))
                attempt.recorded = True
            return self._run(question, state, fingerprint, attempt)

    def _run(
        self,
        question: Question,
        state: sqlite3.Connection,
        fingerprint: str | None,
        attempt: _Attempt,
    ) -> dict[str, Any]:
        customer = question.caller.customer
        artifact_id = self.new_id()
        uri = self.folder.uri(customer, artifact_id)
        with (
            self._warehouse.run_template(
                question.template,
                question.binds,
                query_tag=question.query_tag,
                timeout_seconds=self._timeout,
                cancel=attempt.cancel,
            ) as outcome,
            self.folder.write(uri) as path,
        ):
            stored = _store(question, outcome, path, attempt)
        as_of = None if outcome.as_of == _EPOCH else format_ts(to_ns(outcome.as_of))
        elapsed_ms = attempt.elapsed_ms
        now_ns = self._now_ns()
        artifact = Artifact(
            artifact_id=artifact_id,
            customer=customer,
            uri=uri,
            format="parquet",
            query_hash=question.query_hash,
            rows=stored.kept_rows,
            bytes=stored.file_bytes,
            sampled=stored.sampled,
            created_at=format_ts(now_ns),
            expires_at=format_ts(now_ns + RETENTION_DAYS * _DAY_NS),
        )
        result = _result(question, stored, artifact, as_of=as_of, elapsed_ms=elapsed_ms)
        self._record_success(question, stored, artifact, as_of=as_of, elapsed_ms=elapsed_ms)
        with _transaction(state):
            keep_artifact(state, artifact)
            state.execute(
                "insert or replace into query_runs (customer, query_hash, ticket_id, template, data_fingerprint, byte_cap, "
                "values_complete, finished_at, result) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    customer,
                    question.query_hash,
                    question.run_id,
                    question.template.name,
                    fingerprint,
                    question.byte_cap,
                    stored.values_complete,
                    artifact.created_at,
                    orjson.dumps(result).decode(),
                ),
            )
        return result

    def _estimate(self, question: Question, state: sqlite3.Connection) -> dict[str, Any]:
        """The engine's plan for the question and what it makes of its size; nothing runs.

        Where the plan names no bytes, they come from its rows and the width that the template's
        last answer here had.
        """
        plan = self._warehouse.explain_template(
            question.template, question.binds, query_tag=question.query_tag
        )
        rows, size = estimates(plan)
        if size is None and rows is not None:
            last = state.execute(
                "select json_extract(result, '$.byte_count'), json_extract(result, '$.row_count') from query_runs "
                "where customer = ? and template = ? and json_extract(result, '$.row_count') > 0 order by finished_at desc limit 1",
                (question.caller.customer, question.template.name),
            ).fetchone()
            size = None if last is None else rows * last[0] // last[1]
        return {
            "dry_run": True,
            "template": question.template.name,
            "query_hash": question.query_hash,
            "query_tag": question.query_tag,
            "sql": question.template.sql,
            "binds": [
                {"name": name, "value": value}
                for name, value in zip(question.template.binds, question.binds, strict=True)
            ],
            "estimated_rows": rows,
            "estimated_bytes": size,
            "plan": plan if len(plan) <= _PLAN_CHARACTERS else plan[:_PLAN_CHARACTERS] + "…",
        }

    # -- reuse

    def _fingerprint_of(self, question: Question, attempt: _Attempt) -> str | None:
        """A text that stays the same as long as the data that the question sees does; None where
        that is not known.
        """
        template = self.catalog().templates.get(FINGERPRINT_TEMPLATE)
        if template is None:
            return None
        caller = question.caller
        everyone = question.template.scope == "org" or (
            question.template.scope == "caller" and caller.is_analyst
        )
        given: dict[str, Any] = {"everyone": everyone}
        if any(parameter.name == "named" for parameter in template.parameters):
            given["named"] = f",{','.join(activities_of(question))},"
        params = template.check_params(given)
        with self._warehouse.run_template(
            template,
            template.bind(params, customer=caller.customer, is_analyst=caller.is_analyst),
            query_tag=question.query_tag,
            timeout_seconds=self._timeout,
            cancel=attempt.cancel,
        ) as outcome:
            rows = [row for batch in outcome.batches for row in batch.to_pylist()]
        return orjson.dumps(rows, default=str).decode()

    def _earlier(
        self, question: Question, state: sqlite3.Connection, fingerprint: str | None
    ) -> dict[str, Any] | None:
        """The earlier answer to the same question, if it is one still (docs/safesql.md, "Asked
        again").
        """
        row = state.execute(
            "select data_fingerprint, byte_cap, finished_at, result from query_runs where customer = ? and query_hash = ?",
            (question.caller.customer, question.query_hash),
        ).fetchone()
        if row is None or fingerprint is None or row[0] != fingerprint:
            return None
        age = (self._now_ns() - to_ns(parse_ts(row[2]))) / 1e9
        if not (0 <= age <= REUSE_SECONDS or _is_timeless(question.template)):
            return None
        result: dict[str, Any] = orjson.loads(row[3])
        if result["sampled"]:
            if (BYTE_CAP_DEFAULT if row[1] is None else row[1]) != question.cap:
                return None
        elif result["byte_count"] > question.cap:
            return None
        if not self.folder.exists(result["artifact"]["uri"]):
            return None
        return {**result, "reused": True}

    # -- records

    def record_end(
        self, question: Question, *, status: str, error_code: str | None, elapsed_ms: float = 0.0
    ) -> None:
        """Put on record that a question came to nothing (`failed`, `cancelled`, `expired`).

        Raises:
            QueueWriteError: it could not be written.
        """
        end = {
            "status": status,
            "error_code": error_code,
            "rows": 0,
            "bytes": 0,
            "elapsed_ms": elapsed_ms,
        }
        self._emit(question, "query_run", _query_run(question, end))
        self._emit_event(question, "cdesk.sql_completed", _about(question) | end)

    def record_retry(self, question: Question) -> None:
        """Put on record that a question is run once more, as the worker that ran it died."""
        self._emit_event(
            question,
            "cdesk.retry_attempted",
            {"where": "ticket", "error_code": "worker_lost", "message": question.template.name},
        )

    def _record_success(
        self,
        question: Question,
        stored: Stored,
        artifact: Artifact,
        *,
        as_of: str | None,
        elapsed_ms: float,
    ) -> None:
        about = {
            "format": artifact.format,
            "rows": artifact.rows,
            "bytes": artifact.bytes,
            "sampled": artifact.sampled,
            "query_hash": artifact.query_hash,
            "expires_at": artifact.expires_at,
        }
        end = {
            "status": "succeeded",
            "error_code": None,
            "rows": stored.row_count,
            "bytes": stored.byte_count,
            "sampled": stored.sampled,
            "elapsed_ms": elapsed_ms,
            "artifact_id": artifact.artifact_id,
        }
        self._emit(
            question,
            "artifact",
            {"uri": artifact.uri, **about, "legal_hold": False},
            id=artifact.artifact_id,
            ts=artifact.created_at,
        )
        self._emit_event(
            question,
            "cdesk.artifact_created",
            {"artifact_id": artifact.artifact_id, **about},
            link=artifact.uri,
        )
        self._emit(
            question,
            "query_run",
            _query_run(
                question,
                end
                | {
                    "as_of": as_of,
                    "result_values": stored.values,
                    "result_values_complete": stored.values_complete,
                },
            ),
        )
        self._emit_event(question, "cdesk.sql_completed", _about(question) | end)

    def _emit_event(
        self,
        question: Question,
        activity: str,
        features: dict[str, Any],
        *,
        link: str | None = None,
    ) -> None:
        fields = {
            "anonymous_customer_id": None,
            "activity": activity,
            "feature_json": features,
            "link": link,
            "revenue_impact": None,
        }
        self._emit(question, "event", fields)

    def _emit(
        self,
        question: Question,
        kind: Kind,
        fields: dict[str, Any],
        *,
        id: str | None = None,
        ts: str | None = None,
    ) -> None:
        with self._lock:
            line = encode(
                make_record(
                    kind,
                    id=id or self._ids.uuid7(),
                    ts=ts or self.now(),
                    customer=question.caller.customer,
                    session_id=question.session_id,
                    query_tag=question.query_tag,
                    fields=fields,
                )
            )
            self._writer.append(line)


class _Attempt:
    """What the tries at one question share."""

    def __init__(self, cancel: threading.Event, say: Callable[[str], None]) -> None:
        self.cancel = cancel
        self.say = say
        self.started = time.monotonic()
        self.tries = 0
        self.recorded = False
        """Whether the run stands in the stream already."""

    @property
    def elapsed_ms(self) -> float:
        """Of the try that runs or was the last."""
        return round((time.monotonic() - self.started) * 1000, 3)


def _say_nothing(_: str) -> None:
    return


def _store(question: Question, outcome: QueryOutcome, path: Path, attempt: _Attempt) -> Stored:
    told = time.monotonic()

    def progress(rows: int) -> None:
        nonlocal told
        if time.monotonic() - told >= _PROGRESS_SECONDS:
            told = time.monotonic()
            attempt.say(f"fetched {rows:,} rows")

    return store(
        outcome.schema,
        outcome.batches,
        path,
        query_hash=question.query_hash,
        byte_cap=question.cap,
        progress=progress,
    )


def _about(question: Question) -> dict[str, Any]:
    return {
        "ticket_id": question.run_id,
        "template": question.template.name,
        "query_hash": question.query_hash,
    }


def _query_run(question: Question, end: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "ticket_id": question.run_id,
        "template": question.template.name,
        "sql": question.template.sql,
        "params": dict(question.params),
        "query_hash": question.query_hash,
        "sampled": False,
        "as_of": None,
        "artifact_id": None,
        "result_values": [],
        "result_values_complete": False,
        **end,
    }


def _result(
    question: Question, stored: Stored, artifact: Artifact, *, as_of: str | None, elapsed_ms: float
) -> dict[str, Any]:
    return {
        "template": question.template.name,
        "query_hash": question.query_hash,
        "query_tag": question.query_tag,
        "as_of": as_of,
        "columns": stored.columns,
        "rows": stored.preview,
        "row_count": stored.row_count,
        "byte_count": stored.byte_count,
        "truncated": stored.cut or len(stored.preview) < stored.row_count,
        "sampled": stored.sampled,
        "sampling_note": stored.sampling_note,
        "artifact": {
            "artifact_id": artifact.artifact_id,
            "uri": artifact.uri,
            "format": artifact.format,
            "expires_at": artifact.expires_at,
            "open_with": f"cdesk artifact {artifact.artifact_id} --out result.csv",
        },
        "reused": False,
        "elapsed_ms": elapsed_ms,
    }


def activities_of(question: Question) -> list[str]:
    """The activities that the question asks for by name, the system's own among them."""
    named: set[str] = set()
    for parameter in question.template.parameters:
        value = question.params.get(parameter.name)
        if value is not None and parameter.type in ("activity", "list[activity]"):
            named.update(value if isinstance(value, list) else [value])
    return sorted(named)


def _is_timeless(template: Template) -> bool:
    """Whether no clock goes into the answer: it changes with the data alone."""
    return _CLOCK.search(normalise_sql(template.sql)) is None


@contextlib.contextmanager
def _transaction(state: sqlite3.Connection) -> Iterator[None]:
    state.execute("begin immediate")
    try:
        yield
    except BaseException:
        state.execute("rollback")
        raise
    state.execute("commit")


def estimates(plan: str) -> tuple[int | None, int | None]:
    """Rows and bytes that an engine's plan expects, None where it says nothing of them.

    DuckDB's plan names rows (`~12 rows`) operator by operator from the top: the first is the
    answer's. Snowflake's names `bytesAssigned`, the bytes of the partitions that would be read.
    """
    rows = re.search(r"~\s*([\d,]+)\s+rows?\b", plan, re.IGNORECASE)
    size = re.search(r'bytesAssigned"?\s*[:=]\s*(\d+)', plan)
    return (
        int(rows.group(1).replace(",", "")) if rows else None,
        int(size.group(1)) if size else None,
    )


# -- without a ticket


def run_now(
    settings: Settings,
    template: str,
    params: Mapping[str, Any],
    caller: Caller,
    format: Format | None = None,
    out: BinaryIO | None = None,
    *,
    byte_cap: int | None = None,
    fresh: bool = False,
    dry_run: bool = False,
    cancel: threading.Event | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run a cataloged template in this process, with the same hash, tag, records and proof as a
    ticket has.

    Returns what get_result answers. With `format` and `out` the whole result goes to `out` as well
    (not for a dry run).

    Raises:
        CdeskError: as `ask` and `Executor.answer`.
    """
    home = StateDirectory(settings.home).ensure()
    writer = QueueWriter(home.queue, durability=settings.durability)
    warehouse = open_warehouse(settings, home)
    try:
        executor = Executor(home, warehouse, writer)
        question = ask(
            executor.catalog(),
            caller,
            run_id=executor.new_id(),
            query_tag=executor.new_tag(),
            template=template,
            params=params,
            byte_cap=byte_cap,
            fresh=fresh,
            dry_run=dry_run,
        )
        with contextlib.closing(open_state(home.state_db)) as state:
            result = executor.answer(question, state, cancel=cancel, progress=progress)
        if format is not None and out is not None and not dry_run:
            export(executor.folder.path(result["artifact"]["uri"]), out, format, result=result)
    finally:
        warehouse.close()
        writer.close()
        waker = WakeSender(home)
        waker.send()
        waker.close()
    return result
