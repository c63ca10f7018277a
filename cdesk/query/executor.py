"""Execution of a query request: reuse or run, store, prove. Tickets (cdesk_app/worker/tickets.py)
and `cdesk query` (cdesk/query/direct.py) both come through here.

What a run leaves behind, in this order, so that no answer is ever given whose proof could be lost:

    1. `cdesk.sql_executed` in the queue, before the engine is asked
    2. the artifact, whole under its name
    3. `artifact`, `cdesk.artifact_created`, `query_run` and `cdesk.sql_completed` in the queue
    4. rows in state.db: the artifact, and the answer under its query_hash
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson

from cdesk.artifacts.local import LocalArtifacts
from cdesk.artifacts.packs import SMALL_BYTES
from cdesk.artifacts.records import RETENTION_DAYS, Artifact, keep_artifact
from cdesk.artifacts.redacted import redact_batches, redaction_version
from cdesk.artifacts.store import ArtifactStore
from cdesk.contract.catalog import Catalog, Template
from cdesk.core.backoff import FULL_JITTER, Backoff
from cdesk.core.clock import NowNs, format_ts, to_ns
from cdesk.core.errors import CdeskError, QueryCancelled, QueueWriteError, WarehouseUnavailable
from cdesk.core.home import StateDirectory
from cdesk.query.dry_run import estimate
from cdesk.query.evidence import Evidence, with_basis
from cdesk.query.in_flight import InFlight
from cdesk.query.least_customers import FewCustomers
from cdesk.query.provenance import Provenance
from cdesk.query.request import QueryRequest, make_request
from cdesk.query.reuse import (
    FINGERPRINT_TEMPLATE,
    Fingerprints,
    earlier_answer,
    fingerprint_params,
    keep_answer,
    keep_trend,
)
from cdesk.query.trend import PERIOD, finer_params, trend_reference
from cdesk.queue.writer import QueueWriter
from cdesk.state.catalog import open_catalog
from cdesk.state.kill_switch import read_switch
from cdesk.state.pages import page_count
from cdesk.warehouse.protocol import QueryOutcome, Warehouse

if TYPE_CHECKING:
    import pyarrow as pa

    from cdesk.artifacts.formats import Stored
    from cdesk.query.summary import Summary

log = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 30.0
PATIENCE_SECONDS: Final = 60.0
"""How long a request waits for a warehouse that is down or held before it fails with
`warehouse_unavailable`.
"""
_UNAVAILABLE: Final = Backoff(0.1, 5.0, jitter=FULL_JITTER)

_DAY_NS: Final = 86_400 * 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PROGRESS_SECONDS: Final = 0.5
_SHORT_ROWS: Final = 1_000

T = TypeVar("T")


class Executor:
    """Answers requests. Safe to use from several threads, each with its own `state` connection."""

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
        artifacts: ArtifactStore | None = None,
        card_url: Callable[[str], str] | None = None,
    ) -> None:
        self._warehouse = warehouse
        self._now_ns = now_ns
        self._timeout = timeout_seconds
        self._patience = patience_seconds
        self._rng = rng or random.Random()
        self._catalog = open_catalog(home)
        self._kill_switch = home.kill_switch
        self._fingerprints = Fingerprints(warehouse)
        self._in_flight = InFlight()
        self.artifacts = artifacts or LocalArtifacts(home.artifacts)
        self.provenance = Provenance(writer, now_ns, card_url=card_url)

    def new_id(self) -> str:
        return self.provenance.new_id()

    def new_tag(self) -> str:
        return self.provenance.new_tag()

    def catalog(self) -> Catalog:
        """The catalog as it is now; read again only when its file has changed.

        Raises:
            CatalogError: it is missing or unreadable.
        """
        return self._catalog.get()

    def answer(
        self,
        request: QueryRequest,
        state: sqlite3.Connection,
        *,
        cancel: threading.Event | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> dict[str, Any]:
        """What get_result answers: the earlier answer where it stands, else a new one; for a dry
        run, the estimate. One of one row names the series behind it (cdesk/query/trend.py).

        Raises:
            CdeskError: nothing came of it; a run is on record all the same.
        """
        read_switch(state, self._kill_switch).require_off()
        attempt = _Attempt(cancel or threading.Event(), progress or _say_nothing)
        if request.dry_run:
            return self._patiently(attempt, lambda: self._estimate(request, state))
        result = self._answer(request, state, attempt)
        if request.own_rows_only:  # a kept answer is also what they are told who ask of no other
            notes = (result["sampling_note"], FewCustomers(request).note)
            result = {**result, "sampling_note": "; ".join(filter(None, notes))}
        if "trend" in result or (finer := finer_params(request, result)) is None:
            return result
        trend = self._trend(request, finer, state, attempt.cancel)
        keep_trend(state, request, trend)
        return {**result, "trend": trend}

    def _answer(
        self, request: QueryRequest, state: sqlite3.Connection, attempt: _Attempt
    ) -> dict[str, Any]:
        try:
            with self._in_flight.turn(request, attempt.cancel):
                return self._patiently(attempt, lambda: self._reuse_or_run(request, state, attempt))
        except CdeskError as error:
            status = "cancelled" if attempt.cancel.is_set() else "failed"
            with contextlib.suppress(QueueWriteError):
                self.provenance.ended(
                    request, status=status, error_code=error.code, elapsed_ms=attempt.elapsed_ms
                )
            raise

    def _trend(
        self,
        request: QueryRequest,
        params: dict[str, Any],
        state: sqlite3.Connection,
        cancel: threading.Event,
    ) -> dict[str, Any] | None:
        """The series behind an answer of one row. None where there is none or it cannot be had: the
        answer stands without it.
        """
        try:
            finer = make_request(
                self.catalog(),
                request.caller,
                run_id=self.new_id(),
                query_tag=self.new_tag(),
                template=request.template.name,
                params=params,
                session_id=request.session_id,
                fresh=request.fresh,
            )
            answer = self._answer(finer, state, _Attempt(cancel, _say_nothing))
        except CdeskError as error:
            facts = {"template": request.template.name, "code": error.code}
            log.warning("an answer has no trend", extra={"facts": facts})
            return None
        return trend_reference(answer, str(params[PERIOD]))

    def _patiently(self, attempt: _Attempt, step: Callable[[], T]) -> T:
        """`step`, again with full jitter while the warehouse is unavailable, until patience ends or
        somebody cancels.
        """
        deadline = time.monotonic() + self._patience
        pauses = _UNAVAILABLE.pauses(self._rng)
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
            if attempt.cancel.wait(min(next(pauses), left)):
                raise QueryCancelled("the query was cancelled while it waited for the warehouse")

    def _estimate(self, request: QueryRequest, state: sqlite3.Connection) -> dict[str, Any]:
        plan = self._warehouse.explain_template(
            request.template, request.binds, query_tag=request.query_tag
        )
        return estimate(request, plan, state)

    def _reuse_or_run(
        self, request: QueryRequest, state: sqlite3.Connection, attempt: _Attempt
    ) -> dict[str, Any]:
        """One try. A fingerprint that has to be asked for comes over the query's own connection:
        the data that the query sees is the data that it is of.
        """
        marked = self.catalog().templates.get(FINGERPRINT_TEMPLATE)
        if not request.template.reuse:
            marked = None
        mark = None if marked is None else self._fingerprints.mark(request)
        fingerprint = None if marked is None else self._fingerprints.known(request, marked, mark)
        if (earlier := self._earlier(request, state, fingerprint)) is not None:
            return earlier
        templates = [one for one in (marked, request.template) if one is not None]
        with self._warehouse.reading(templates, cancel=attempt.cancel):
            if marked is not None and fingerprint is None:
                fingerprint = self._fingerprint(request, marked, mark, attempt)
                if (earlier := self._earlier(request, state, fingerprint)) is not None:
                    return earlier
            if not attempt.recorded:
                self.provenance.started(request)
                attempt.recorded = True
            return self._run(request, state, fingerprint, attempt)

    def _earlier(
        self, request: QueryRequest, state: sqlite3.Connection, fingerprint: str | None
    ) -> dict[str, Any] | None:
        if request.fresh or fingerprint is None:
            return None
        earlier = earlier_answer(state, request, fingerprint, now_ns=self._now_ns())
        if earlier is None:
            return None
        if not self.artifacts.is_whole(earlier["artifact"]["uri"]):
            return None
        return {**earlier, "reused": True}

    def _fingerprint(
        self, request: QueryRequest, template: Template, mark: str | None, attempt: _Attempt
    ) -> str:
        """A text that stays the same as long as the data that the request sees does."""
        caller = request.caller
        params = fingerprint_params(template, request)
        _, rows = self._warehouse.read_template(
            template,
            template.bind(params, customer=caller.customer, is_analyst=caller.is_analyst),
            query_tag=request.query_tag,
            timeout_seconds=self._timeout,
            cancel=attempt.cancel,
        )
        fingerprint = orjson.dumps([redaction_version(), rows], default=str).decode()
        self._fingerprints.keep(request, template, mark, fingerprint)
        return fingerprint

    def _run(
        self,
        request: QueryRequest,
        state: sqlite3.Connection,
        fingerprint: str | None,
        attempt: _Attempt,
    ) -> dict[str, Any]:
        # Here: a worker that has answered nothing yet does without Arrow's functions and Parquet.
        from cdesk.query.summary import Summary

        artifact_id = self.new_id()
        with self._warehouse.run_template(
            request.template,
            request.binds,
            query_tag=request.query_tag,
            timeout_seconds=self._timeout,
            cancel=attempt.cancel,
            whole=_is_short(request),
        ) as outcome:
            evidence = Evidence(outcome.schema, request.template.evidence_columns)
            summary = Summary(outcome.schema)
            few = FewCustomers(request)
            stored, uri = self._store(
                request, outcome, few, artifact_id, attempt, evidence, summary
            )
        evidence.put_first(stored.shown)
        as_of = None if outcome.as_of == _EPOCH else format_ts(to_ns(outcome.as_of))
        elapsed_ms = attempt.elapsed_ms
        artifact = self._artifact(request, stored, artifact_id, uri)
        result = _result(
            request, stored, artifact, summary.document(), as_of=as_of, elapsed_ms=elapsed_ms
        )
        if few.left_out:
            notes = (result["sampling_note"], few.note)
            result["sampling_note"] = "; ".join(filter(None, notes))
        self.provenance.succeeded(
            request, stored, artifact, evidence, as_of=as_of, elapsed_ms=elapsed_ms
        )
        # No transaction around both: others would wait for state.db while this thread is kept from
        # going on. An artifact whose answer is missing expires like any other.
        keep_artifact(state, artifact)
        keep_answer(
            state,
            request,
            result,
            fingerprint=fingerprint,
            values_complete=evidence.complete,
            finished_at=artifact.created_at,
        )
        return result

    def _store(
        self,
        request: QueryRequest,
        outcome: QueryOutcome,
        few: FewCustomers,
        artifact_id: str,
        attempt: _Attempt,
        evidence: Evidence,
        summary: Summary,
    ) -> tuple[Stored, str]:
        """The answer, redacted, in a file of its own unless it is small; its URI."""
        from cdesk.artifacts.formats import first_bytes, store, store_small

        def watch(batch: pa.RecordBatch) -> None:
            evidence.add(batch)
            summary.add(batch)

        batches = redact_batches(
            few.without(outcome.batches),
            personal=request.template.scope != "customer",
            safe=request.template.safe_columns,
        )
        if self.artifacts.keeps_small:
            first, is_all = first_bytes(batches, min(SMALL_BYTES, request.cap))
            if is_all:
                stored, content = store_small(outcome.schema, first, watch=watch)
                uri = self.artifacts.keep(request.caller.customer, artifact_id, content)
                return stored, uri
            batches = itertools.chain(first, batches)
        with self.artifacts.write(request.caller.customer, artifact_id) as draft:
            stored = store(
                outcome.schema,
                batches,
                draft.path,
                query_hash=request.query_hash,
                byte_cap=request.cap,
                watch=watch,
                progress=attempt.tell_rows,
            )
        return stored, draft.uri

    def _artifact(
        self, request: QueryRequest, stored: Stored, artifact_id: str, uri: str
    ) -> Artifact:
        now_ns = self._now_ns()
        return Artifact(
            artifact_id=artifact_id,
            customer=request.caller.customer,
            uri=uri,
            format="parquet",
            query_hash=request.query_hash,
            rows=stored.kept_rows,
            bytes=stored.file_bytes,
            sampled=stored.sampled,
            created_at=format_ts(now_ns),
            expires_at=format_ts(now_ns + RETENTION_DAYS * _DAY_NS),
        )


class _Attempt:
    """What the tries at one request share."""

    def __init__(self, cancel: threading.Event, say: Callable[[str], None]) -> None:
        self.cancel = cancel
        self.say = say
        self.started = time.monotonic()
        self.tries = 0
        self.recorded = False
        """Whether the run stands in the stream already."""

        self._told = self.started

    def tell_rows(self, rows: int) -> None:
        """Say how far the answer has come, twice a second at most."""
        if time.monotonic() - self._told >= _PROGRESS_SECONDS:
            self._told = time.monotonic()
            self.say(f"fetched {rows:,} rows")

    @property
    def elapsed_ms(self) -> float:
        """Of the try that runs or was the last."""
        return round((time.monotonic() - self.started) * 1000, 3)


def _is_short(request: QueryRequest) -> bool:
    """Whether the answer fits into memory whole, which spares the engine a second plan."""
    limit = request.params.get("limit")
    return isinstance(limit, int) and limit <= _SHORT_ROWS


def _say_nothing(_: str) -> None:
    return


def _result(
    request: QueryRequest,
    stored: Stored,
    artifact: Artifact,
    summary: dict[str, Any],
    *,
    as_of: str | None,
    elapsed_ms: float,
) -> dict[str, Any]:
    return {
        "template": request.template.name,
        "query_hash": request.query_hash,
        "query_tag": request.query_tag,
        "as_of": as_of,
        "params": dict(request.params),
        "columns": with_basis(stored.columns, request.template.evidence_columns),
        "rows": stored.preview,
        "row_count": stored.row_count,
        "byte_count": stored.byte_count,
        "page": 1,
        "pages": page_count(stored.kept_rows),
        "summary": summary,
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
