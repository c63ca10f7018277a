"""The records of a run: what goes into the queue so that every answer can be traced to its query.

cdesk.sql_executed                  before the engine is asked
artifact, cdesk.artifact_created    once the result is stored
query_run, cdesk.sql_completed      at the end, whatever came of it
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cdesk.artifacts.records import Artifact
from cdesk.contract.catalog import canonical_params, normalise_sql
from cdesk.contract.events import make_event
from cdesk.contract.records import Kind, encode, make_record
from cdesk.core.clock import IdSource, NowNs, format_ts
from cdesk.query.evidence import Evidence
from cdesk.query.request import QueryRequest
from cdesk.queue.writer import QueueWriter

if TYPE_CHECKING:
    from cdesk.artifacts.formats import Stored


class Provenance:
    """Writes the records of runs. Safe to use from several threads.

    Every method raises QueueWriteError where a record cannot be written.
    """

    def __init__(
        self,
        writer: QueueWriter,
        now_ns: NowNs,
        *,
        card_url: Callable[[str], str] | None = None,
    ) -> None:
        """card_url: where the card of an artifact_id is, which a stored result then links to."""
        self._card_url = card_url
        self._writer = writer
        self._now_ns = now_ns
        self._ids = IdSource(now_ns)
        self._lock = threading.Lock()

    def new_id(self) -> str:
        with self._lock:
            return self._ids.uuid7()

    def new_tag(self) -> str:
        with self._lock:
            return self._ids.query_tag()

    def started(self, request: QueryRequest) -> None:
        """The engine is about to be asked."""
        self._write(self._event(request, "cdesk.sql_executed", _about(request)))

    def retried(self, request: QueryRequest) -> None:
        """The request runs once more, because the worker that ran it died."""
        features = {
            "where": "ticket",
            "error_code": "worker_lost",
            "message": request.template.name,
        }
        self._write(self._event(request, "cdesk.retry_attempted", features))

    def ended(
        self,
        request: QueryRequest,
        *,
        status: str,
        error_code: str | None,
        elapsed_ms: float = 0.0,
    ) -> None:
        """Nothing came of the request: `status` is failed, cancelled or expired."""
        end = {
            "status": status,
            "error_code": error_code,
            "rows": 0,
            "bytes": 0,
            "elapsed_ms": elapsed_ms,
        }
        self._write(
            self._record(request, "query_run", _query_run(request, end)),
            self._event(request, "cdesk.sql_completed", _about(request) | end),
        )

    def succeeded(
        self,
        request: QueryRequest,
        stored: Stored,
        artifact: Artifact,
        evidence: Evidence,
        *,
        as_of: str | None,
        elapsed_ms: float,
    ) -> None:
        """The result is stored under `artifact`, and `evidence` is what it can prove. One write: a
        reader of the queue sees all records or none.
        """
        end = {
            "status": "succeeded",
            "error_code": None,
            "rows": stored.row_count,
            "bytes": stored.byte_count,
            "sampled": stored.sampled,
            "elapsed_ms": elapsed_ms,
            "artifact_id": artifact.artifact_id,
        }
        proof = {
            "as_of": as_of,
            "evidence": evidence.record(),
            "evidence_complete": evidence.complete,
        }
        self._write(
            *self._stored(request, artifact),
            self._record(request, "query_run", _query_run(request, end | proof)),
            self._event(request, "cdesk.sql_completed", _about(request) | end),
        )

    def held(self, artifact: Artifact) -> None:
        """A legal hold on a stored result was placed or freed: its record once more, the latest
        counts.
        """
        with self._lock:
            record = make_record(
                "artifact",
                id=self._ids.uuid7(),
                ts=format_ts(self._now_ns()),
                customer=artifact.customer,
                session_id=None,
                query_tag=self._ids.query_tag(),
                fields=_artifact_fields(artifact),
            )
            self._writer.append(encode(record))

    def _stored(self, request: QueryRequest, artifact: Artifact) -> tuple[bytes, bytes]:
        fields = _artifact_fields(artifact)
        about = {name: fields[name] for name in fields if name not in ("uri", "legal_hold")}
        return (
            self._record(
                request, "artifact", fields, id=artifact.artifact_id, ts=artifact.created_at
            ),
            self._event(
                request,
                "cdesk.artifact_created",
                {"artifact_id": artifact.artifact_id, **about},
                link=self._card_url(artifact.artifact_id) if self._card_url else artifact.uri,
            ),
        )

    def _write(self, *lines: bytes) -> None:
        self._writer.append(b"".join(lines))

    def _event(
        self,
        request: QueryRequest,
        activity: str,
        features: dict[str, Any],
        *,
        link: str | None = None,
    ) -> bytes:
        record = make_event(
            activity,
            features,
            id=self.new_id(),
            ts=format_ts(self._now_ns()),
            customer=request.caller.customer,
            session_id=request.session_id,
            query_tag=request.query_tag,
            link=link,
        )
        return encode(record, ours=True)

    def _record(
        self,
        request: QueryRequest,
        kind: Kind,
        fields: dict[str, Any],
        *,
        id: str | None = None,
        ts: str | None = None,
    ) -> bytes:
        record = make_record(
            kind,
            id=id or self.new_id(),
            ts=ts or format_ts(self._now_ns()),
            customer=request.caller.customer,
            session_id=request.session_id,
            query_tag=request.query_tag,
            fields=fields,
        )
        return encode(record, ours=kind == "artifact")


def _artifact_fields(artifact: Artifact) -> dict[str, Any]:
    return {
        "uri": artifact.uri,
        "format": artifact.format,
        "rows": artifact.rows,
        "bytes": artifact.bytes,
        "sampled": artifact.sampled,
        "query_hash": artifact.query_hash,
        "expires_at": artifact.expires_at,
        "legal_hold": artifact.legal_hold,
    }


def _about(request: QueryRequest) -> dict[str, Any]:
    return {
        "ticket_id": request.run_id,
        "template": request.template.name,
        "query_hash": request.query_hash,
    }


def _query_run(request: QueryRequest, end: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "ticket_id": request.run_id,
        "template": request.template.name,
        "sql": normalise_sql(request.template.sql),
        "params": canonical_params(request.bound),
        "query_hash": request.query_hash,
        "sampled": False,
        "as_of": None,
        "artifact_id": None,
        "evidence": [],
        "evidence_complete": False,
        **end,
    }
