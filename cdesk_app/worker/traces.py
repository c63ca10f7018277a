"""Traces of turns for OpenTelemetry, over OTLP and HTTP, where `CDESK_OTLP_ENDPOINT` says so.

A turn is what follows a get_context in a session. The worker makes its spans from what passes it:
the calls from their own records, the wait in the queue, the landing, the build, the snapshot. So
the turn path knows nothing of traces, and without an endpoint nobody does.

    turn
    ├── get_context, log_event, …      the calls, as long as they took
    │   ├── queue                      from the record's birth until its landing began
    │   └── landing                    the batch that it was in
    ├── build                          the one that took it in
    └── snapshot                       and the refresh after it

A span says what was called and how it ended: no customer, no text, no parameter.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from cdesk import __version__
from cdesk.core.clock import NowNs, parse_ts, to_ns
from cdesk.core.errors import ConfigurationError
from cdesk.core.metrics import ERRORS
from cdesk.state.counts import Counts
from cdesk.warehouse.batch import LineBatch

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

logger = logging.getLogger(__name__)

CALLED: Final = b'"cdesk.tool_called"'
MOST_TURNS: Final = 1_000
"""Turns that are held until their snapshot is there."""
HELD_NS: Final = 600 * 1_000_000_000
"""A turn that no build has taken in by then goes without."""
MOST_WAITING: Final = 100
"""Exports that wait for a slow collector; what comes beyond is dropped, and counted."""
EXPORT_SECONDS: Final = 5.0
TRACES_PATH: Final = "/v1/traces"
"""Where a collector takes traces; an endpoint that names it as well means the same."""


@dataclass(frozen=True, slots=True)
class Span:
    """One span; times are nanoseconds since the epoch. `parent` empty: the root."""

    name: str
    id: bytes
    parent: bytes
    begins: int
    ends: int
    attributes: dict[str, str]
    failed: bool = False


@dataclass(slots=True)
class Turn:
    """A turn under way: what is known of it."""

    trace: bytes
    root: bytes
    spans: list[Span] = field(default_factory=list)
    landed_ns: int = 0


class Traces:
    """Gathers spans by turn and exports those turns that are done. For the worker's thread."""

    def __init__(
        self,
        export: Callable[[bytes, list[Span]], None],
        *,
        end: Callable[[], None] = lambda: None,
        now_ns: NowNs = time.time_ns,
    ) -> None:
        """export: takes a trace's id and its spans, and does not wait. end: sends what waits."""
        self._export = export
        self._end = end
        self._now_ns = now_ns
        self._turns: OrderedDict[bytes, Turn] = OrderedDict()
        self._current: OrderedDict[str, bytes] = OrderedDict()
        """Session → the trace of its turn at hand."""

    def landed(self, batch: LineBatch, seconds: float) -> None:
        """A batch has landed, which took so long."""
        now = self._now_ns()
        begun = now - int(seconds * 1e9)
        for record in _calls(batch):
            try:
                self._add_call(record, begun, now)
            except (KeyError, TypeError, ValueError):  # of another form than ours: no call
                continue
        while len(self._turns) > MOST_TURNS:
            self._done(next(iter(self._turns)))

    def _add_call(self, record: dict[str, Any], landing_begun: int, landed: int) -> None:
        session, features = record["session_id"], record["feature_json"]
        ended = to_ns(parse_ts(record["ts"]))
        begun = ended - int(float(features["latency_ms"]) * 1e6)
        tool, outcome = str(features["tool"]), str(features["outcome"])
        turn = self._turn(str(session), tool, record["id"])
        call = _id(record["id"], "call")
        told = {"cdesk.tool": tool, "cdesk.outcome": outcome}
        turn.spans += (
            Span(tool, call, turn.root, begun, ended, told, failed=outcome == "error"),
            Span("queue", _id(record["id"], "queue"), call, ended, max(ended, landing_begun), {}),
            Span("landing", _id(record["id"], "landing"), call, landing_begun, landed, {}),
        )
        turn.landed_ns = landed

    def _turn(self, session: str, tool: str, record_id: str) -> Turn:
        trace = self._current.get(session)
        if tool == "get_context" or trace is None or trace not in self._turns:
            trace = hashlib.sha256(f"{session}\0{record_id}".encode()).digest()[:16]
            self._current[session] = trace
            self._current.move_to_end(session)
            while len(self._current) > MOST_TURNS:
                self._current.popitem(last=False)
            self._turns[trace] = Turn(trace, _id(trace.hex(), "turn"))
        return self._turns[trace]

    def built(self, begun: int, ended: int, *, outcome: str) -> None:
        """A build has ended: it took in what had landed when it began."""
        for turn in self._turns.values():
            if turn.landed_ns <= begun:
                self._step(turn, "build", begun, ended, outcome)

    def refreshed(self, begun: int, ended: int) -> None:
        """The snapshot was renewed: turns that it shows are done."""
        for trace, turn in list(self._turns.items()):
            if turn.landed_ns <= begun:
                self._step(turn, "snapshot", begun, ended, "ok")
                self._done(trace)
        self.tick()

    def tick(self) -> None:
        """Export turns that have waited too long for a build."""
        late = self._now_ns() - HELD_NS
        for trace, turn in list(self._turns.items()):
            if turn.landed_ns < late:
                self._done(trace)

    def _step(self, turn: Turn, name: str, begun: int, ended: int, outcome: str) -> None:
        id = _id(f"{turn.trace.hex()}{begun}", name)
        failed = outcome not in ("ok", "succeeded", "tests_failed")
        told = {"cdesk.outcome": outcome}
        turn.spans.append(Span(name, id, turn.root, begun, ended, told, failed=failed))

    def _done(self, trace: bytes) -> None:
        turn = self._turns.pop(trace)
        begins = min(span.begins for span in turn.spans)
        ends = max(span.ends for span in turn.spans)
        root = Span("turn", turn.root, b"", begins, ends, {})
        self._export(trace, [root, *turn.spans])

    def close(self) -> None:
        """Export what is there, and send it."""
        for trace in list(self._turns):
            self._done(trace)
        self._end()


def _calls(batch: LineBatch) -> Iterator[dict[str, Any]]:
    """The records of tool calls in a batch."""
    for payload in batch.payloads:
        data = payload.encode() if isinstance(payload, str) else payload
        if CALLED not in data:
            continue
        try:
            record = orjson.loads(data)
        except ValueError:
            continue
        if isinstance(record, dict) and record.get("activity") == "cdesk.tool_called":
            yield record


def _id(*parts: str) -> bytes:
    """The eight bytes of a span's id, the same whenever it is made anew."""
    return hashlib.sha256("\0".join(parts).encode()).digest()[:8]


class OtlpExport:
    """Sends traces to a collector from a thread of its own: a slow one keeps nobody waiting.

    Raises ConfigurationError where the packages are missing.
    """

    def __init__(self, endpoint: str, counts: Counts) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ModuleNotFoundError:
            raise ConfigurationError(
                "otlp_endpoint is set, and OpenTelemetry is not installed: pip install 'cdesk[ops]'"
            ) from None
        self._exporter = OTLPSpanExporter(
            f"{endpoint.removesuffix(TRACES_PATH)}{TRACES_PATH}", timeout=EXPORT_SECONDS
        )
        self._counts = counts
        self._waiting: queue.Queue[tuple[bytes, list[Span]] | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="cdesk-traces", daemon=True)
        self._thread.start()

    def __call__(self, trace: bytes, spans: list[Span]) -> None:
        try:
            self._waiting.put_nowait((trace, spans))
        except queue.Full:
            self._counts.add(ERRORS, "traces", "dropped")

    def _run(self) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        while (item := self._waiting.get()) is not None:
            try:
                result = self._exporter.export([_readable(item[0], span) for span in item[1]])
            except Exception:  # the top of a thread: a collector must not end it
                logger.exception("traces were not sent")
                result = SpanExportResult.FAILURE
            if result is not SpanExportResult.SUCCESS:
                self._counts.add(ERRORS, "traces", "not_sent")

    def close(self) -> None:
        """Send what waits, for at most a few seconds."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=EXPORT_SECONDS)
            self._thread.join(EXPORT_SECONDS)
        # Also ends its tries at a collector that is away.
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def _readable(trace: bytes, span: Span) -> ReadableSpan:
    """A span as OpenTelemetry's exporters take it."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    def context(id: bytes) -> SpanContext:
        return SpanContext(
            int.from_bytes(trace),
            int.from_bytes(id),
            is_remote=False,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        )

    return ReadableSpan(
        span.name,
        context(span.id),
        parent=context(span.parent) if span.parent else None,
        resource=Resource({"service.name": "cdesk", "service.version": __version__}),
        attributes=span.attributes,
        kind=SpanKind.SERVER if span.name not in _INNER else SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
        start_time=span.begins,
        end_time=span.ends,
        instrumentation_scope=InstrumentationScope("cdesk", __version__),
    )


_INNER: Final = ("queue", "landing", "build", "snapshot", "turn")
