"""A turn as a trace: from its calls to the snapshot that shows it, told to a collector."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SpanExportResult

from cdesk import __version__
from cdesk.contract.events import make_event
from cdesk.contract.records import encode
from cdesk.core.clock import IdSource, format_ts
from cdesk.core.errors import ConfigurationError
from cdesk.core.metrics import ERRORS
from cdesk.state.counts import Counts
from cdesk.warehouse.batch import LineBatch
from cdesk_app.worker import traces
from cdesk_app.worker.traces import HELD_NS, MOST_WAITING, OtlpExport, Span, Traces

SECOND = 1_000_000_000
SERVER = 2
"""https://github.com/open-telemetry/opentelemetry-proto: SPAN_KIND_SERVER"""
IDS = IdSource()


class Told:
    """What was exported, and a clock."""

    def __init__(self) -> None:
        self.now = 1_800_000_000 * SECOND
        self.exports: list[tuple[bytes, list[Span]]] = []
        self.traces = Traces(
            lambda trace, spans: self.exports.append((trace, spans)), now_ns=lambda: self.now
        )

    def land(self, *calls: tuple[str, str], ms: float = 20.0, seconds: float = 0.5) -> None:
        """Calls (session, tool) that ended two seconds ago land now."""
        batch = LineBatch()
        for session, tool in calls:
            record = make_event(
                "cdesk.tool_called",
                {"tool": tool, "latency_ms": ms, "outcome": "ok", "error_code": None},
                id=IDS.uuid7(),
                ts=format_ts(self.now - 2 * SECOND),
                customer="zuleika@example.com",
                session_id=session,
                query_tag=IDS.query_tag(),
            )
            batch.append(record["id"], "event", encode(record), "file", len(batch))
        self.traces.landed(batch, seconds)

    def named(self, number: int = -1) -> dict[str, Span]:
        return {span.name: span for span in self.exports[number][1]}


def a_turn(told: Told) -> dict[str, Span]:
    told.land(("s1", "get_context"), ("s1", "log_event"), ("s1", "submit_query"))
    told.now += 5 * SECOND
    told.traces.built(told.now, told.now + 3 * SECOND, outcome="succeeded")
    told.now += 3 * SECOND
    told.traces.refreshed(told.now, told.now + SECOND)
    return told.named()


def test_a_turn_is_one_trace_from_its_calls_to_the_snapshot() -> None:
    told = Told()
    spans = a_turn(told)
    assert len(told.exports) == 1
    assert set(spans) == {
        *("turn", "get_context", "log_event", "submit_query"),
        *("queue", "landing", "build", "snapshot"),
    }
    root = spans["turn"]
    assert root.parent == b""
    for name in ("get_context", "log_event", "submit_query", "build", "snapshot"):
        assert spans[name].parent == root.id
    calls = {spans[name].id for name in ("get_context", "log_event", "submit_query")}
    assert spans["queue"].parent in calls
    assert spans["landing"].parent in calls
    ids = [span.id for span in told.exports[0][1]]
    assert len(set(ids)) == len(ids)
    assert not any(span.failed for span in told.exports[0][1])


def test_spans_follow_one_another_in_time() -> None:
    told = Told()
    start = told.now
    spans = a_turn(told)
    call, queue = spans["submit_query"], spans["queue"]
    assert (call.begins, call.ends) == (start - 2 * SECOND - SECOND // 50, start - 2 * SECOND)
    assert (queue.begins, queue.ends) == (call.ends, start - SECOND // 2)
    assert (spans["landing"].begins, spans["landing"].ends) == (queue.ends, start)
    assert spans["landing"].ends <= spans["build"].begins
    assert spans["build"].ends <= spans["snapshot"].begins
    assert spans["turn"].begins == call.begins
    assert spans["turn"].ends == spans["snapshot"].ends


def test_each_get_context_begins_a_turn_and_sessions_are_apart() -> None:
    told = Told()
    told.land(("s1", "get_context"), ("s2", "get_context"), ("s1", "log_event"))
    told.land(("s1", "get_context"), ("s2", "submit_query"))
    told.now += SECOND
    told.traces.refreshed(told.now, told.now)
    tools = [
        sorted(span.name for span in spans if "cdesk.tool" in span.attributes)
        for _, spans in told.exports
    ]
    assert sorted(tools) == [
        ["get_context"],
        ["get_context", "log_event"],
        ["get_context", "submit_query"],
    ]
    assert len({trace for trace, _ in told.exports}) == 3


def test_what_landed_while_a_build_ran_waits_for_the_next() -> None:
    told = Told()
    begun = told.now - SECOND
    told.land(("s1", "get_context"))
    told.traces.built(begun, told.now, outcome="succeeded")
    told.traces.refreshed(begun, told.now)
    assert told.exports == []


def test_a_turn_that_no_build_takes_in_is_told_without() -> None:
    told = Told()
    told.land(("s1", "get_context"))
    told.now += HELD_NS + SECOND
    told.traces.tick()
    assert set(told.named()) == {"turn", "get_context", "queue", "landing"}


def test_a_failed_build_shows_in_the_trace() -> None:
    told = Told()
    told.land(("s1", "get_context"))
    told.now += SECOND
    told.traces.built(told.now, told.now + SECOND, outcome="build_failed")
    told.traces.close()
    assert told.named()["build"].failed


def test_lines_of_another_form_are_no_calls() -> None:
    told = Told()
    batch = LineBatch()
    for payload in (
        b'{"activity":"cdesk.tool_called"}',
        b'{"activity":"cdesk.tool_called","id":"x","ts":"yesterday","session_id":"s",'
        b'"feature_json":{"tool":"t","latency_ms":1,"outcome":"ok"}}',
        b'"cdesk.tool_called',
        orjson.dumps(["cdesk.tool_called"]),
    ):
        batch.append("id", "event", payload, "file", 0)
    told.traces.landed(batch, 0.1)
    told.traces.close()
    assert told.exports == []


def test_what_landed_just_as_a_build_began_is_in_it() -> None:
    told = Told()
    told.land(("s1", "get_context"), ms=20.0)
    now = told.now
    told.traces.built(now, now + SECOND, outcome="tests_failed")
    told.traces.refreshed(now, now + 2 * SECOND)
    spans = told.named()
    assert not spans["build"].failed
    assert spans["build"].attributes == {"cdesk.outcome": "tests_failed"}
    assert spans["snapshot"].attributes == {"cdesk.outcome": "ok"}
    assert spans["get_context"].attributes == {"cdesk.tool": "get_context", "cdesk.outcome": "ok"}
    assert spans["queue"].attributes == spans["landing"].attributes == {}


def test_a_record_that_lands_before_it_ends_waited_for_nothing() -> None:
    told = Told()
    told.land(("s1", "get_context"), seconds=9.0)
    told.traces.close()
    queue = told.named()["queue"]
    assert queue.begins == queue.ends


def test_a_failed_call_shows_in_the_trace_and_those_behind_what_is_no_call_do_too() -> None:
    told = Told()
    batch = LineBatch()
    call = {
        "activity": "cdesk.tool_called",
        "id": "x",
        "ts": format_ts(told.now),
        "session_id": "s",
        "feature_json": {"tool": "get_result", "latency_ms": 0, "outcome": "error"},
    }
    for payload in (
        b'{"activity":"cdesk.user_asked"}',
        b'"cdesk.tool_called',
        b'{"activity":"cdesk.user_asked","x":"cdesk.tool_called"}',
        b'{"activity":"cdesk.tool_called"}',
        orjson.dumps(call),
    ):
        batch.append("id", "event", payload, "file", 0)
    batch.payloads[-1] = orjson.dumps({**call, "id": "y"}).decode()
    told.traces.landed(batch, 0.1)
    told.traces.close()
    assert told.named()["get_result"].failed
    assert len(told.exports) == 1


def test_turns_that_no_build_takes_in_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "MOST_TURNS", 2)
    told = Told()
    told.land(("a", "get_context"), ("b", "get_context"))
    assert told.exports == []
    told.land(("c", "get_context"))
    assert len(told.exports) == 1, "the oldest"
    assert [*told.traces._current] == ["b", "c"]
    told.land(("b", "log_event"), ("a", "log_event"))
    assert [*told.traces._current] == ["c", "a"], "as the sessions began their turns"
    assert len(told.exports) == 2


def test_a_session_goes_on_in_the_turn_that_it_began_until_that_was_told() -> None:
    told = Told()
    told.land(("a", "get_context"), ("b", "get_context"))
    told.land(("a", "log_event"))
    told.now += SECOND
    told.traces.refreshed(told.now, told.now)
    assert [len(spans) for _, spans in told.exports] == [8, 5]
    told.land(("a", "log_event"))
    told.traces.close()
    assert set(told.named()) == {"turn", "log_event", "queue", "landing"}


def test_a_turn_is_held_for_ten_minutes() -> None:
    told = Told()
    told.land(("s1", "get_context"))
    told.now += HELD_NS
    told.traces.tick()
    assert told.exports == []
    told.now += 1
    told.traces.refreshed(0, 0)
    assert len(told.exports) == 1, "a refresh looks after those, too"
    assert HELD_NS == 600 * SECOND


def test_what_waits_is_told_and_sent_at_the_end() -> None:
    steps: list[str] = []
    told = Told()
    told.traces = traces.Traces(
        lambda *_: steps.append("told"), end=lambda: steps.append("sent"), now_ns=lambda: told.now
    )
    told.land(("s1", "get_context"), ("s2", "get_context"))
    told.traces.close()
    assert steps == ["told", "told", "sent"]


# -- over the wire


@pytest.fixture
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """A collector that keeps what it is told."""
    received: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", received
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("path", ["", "/v1/traces"])
def test_a_collector_gets_the_trace_without_a_word_of_whose_it_is(
    collector: tuple[str, list[ExportTraceServiceRequest]], path: str
) -> None:
    url, received = collector
    told, counts = Told(), Counts()
    a_turn(told)
    export = OtlpExport(url + path, counts)
    export(*told.exports[0])
    export.close()
    (request,) = received
    spans = [
        span
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(told.exports[0][1])
    assert {span.trace_id for span in spans} == {told.exports[0][0]}
    served = {span.name for span in spans if span.kind == SERVER}
    assert served == {"get_context", "log_event", "submit_query"}
    for span in spans:
        names = [span.name]
        while span.parent_span_id:
            span = by_id[span.parent_span_id]
            names.append(span.name)
        assert names[-1] == "turn", names
    assert b"zuleika" not in request.SerializeToString()
    assert counts._table == {}


def test_a_collector_that_is_away_is_counted_and_keeps_nobody_waiting() -> None:
    counts = Counts()
    export = OtlpExport("http://127.0.0.1:9", counts)
    span = Span("turn", b"12345678", b"", 1, 2, {})
    for _ in range(MOST_WAITING + 50):
        export(b"x" * 16, [span])
    dropped: Any = counts._table[ERRORS][("traces", "dropped")]
    assert dropped.value >= 1
    export._exporter.shutdown()
    export.close()
    assert not export._thread.is_alive()
    assert counts._table[ERRORS][("traces", "not_sent")].value >= 1


def test_without_an_endpoint_nothing_of_it_is_there() -> None:
    code = (
        "import sys; from pathlib import Path; from cdesk.core.config import Settings;"
        "from cdesk.state.counts import Counts; from cdesk_app.worker import pipeline;"
        "made = pipeline._open_traces(Settings(home=Path('.'), customer='a'), Counts());"
        "print(made, sorted(n for n in sys.modules if n.startswith('opentelemetry.')))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.split(maxsplit=1)[0] == "None"
    assert "opentelemetry.sdk" not in run.stdout
    assert "opentelemetry.exporter" not in run.stdout


class Exporter:
    """Stands for OpenTelemetry's: what it was given."""

    def __init__(self) -> None:
        self.given: list[Any] = []
        self.result: Any = SpanExportResult.SUCCESS
        self.made: tuple[Any, ...] = ()

    def __call__(self, endpoint: str, **named: Any) -> Exporter:
        self.made = (endpoint, named)
        return self

    def export(self, spans: list[Any]) -> Any:
        self.given.append(spans)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def shutdown(self) -> None:
        self.given.append("ended")


@pytest.mark.parametrize(
    ("result", "count"),
    [
        (SpanExportResult.SUCCESS, 0),
        (SpanExportResult.FAILURE, 2),
        (ConnectionError("away"), 2),
    ],
)
def test_what_a_collector_does_not_take_is_counted(
    monkeypatch: pytest.MonkeyPatch, result: Any, count: int
) -> None:
    exporter, counts = Exporter(), Counts()
    exporter.result = result
    monkeypatch.setattr(trace_exporter, "OTLPSpanExporter", exporter)
    export = OtlpExport("http://collector:4318", counts)
    assert exporter.made == ("http://collector:4318/v1/traces", {"timeout": 5.0})
    assert export._thread.daemon
    for _ in range(2):
        export(b"x" * 16, [Span("turn", b"12345678", b"", 1, 2, {})])
    export.close()
    assert not export._thread.is_alive()
    assert [len(one) for one in exporter.given] == [1, 1, len("ended")]
    found = counts._table.get(ERRORS, {})
    assert {name: one.value for name, one in found.items()} == (
        {("traces", "not_sent"): float(count)} if count else {}
    )


def test_without_the_packages_somebody_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cdesk\[ops\]'"):
        OtlpExport("http://collector:4318", Counts())


def test_a_span_says_when_it_was_and_how_it_ended() -> None:
    trace = b"0123456789abcdef"
    call = Span("get_context", b"12345678", b"87654321", 5, 9, {"cdesk.tool": "t"}, failed=True)
    shown = traces._readable(trace, call)
    assert (shown.name, shown.start_time, shown.end_time) == ("get_context", 5, 9)
    assert (shown.kind.name, shown.status.status_code.name) == ("SERVER", "ERROR")
    assert shown.context is not None
    assert shown.context.trace_id.to_bytes(16) == trace
    assert shown.context.span_id.to_bytes(8) == b"12345678"
    assert (shown.context.is_remote, shown.context.trace_flags.sampled) == (False, True)
    assert shown.parent is not None
    assert shown.parent.span_id.to_bytes(8) == b"87654321"
    assert shown.attributes == {"cdesk.tool": "t"}
    assert shown.resource.attributes == {"service.name": "cdesk", "service.version": __version__}
    assert shown.instrumentation_scope is not None
    assert shown.instrumentation_scope.name == "cdesk"
    for name in ("queue", "landing", "build", "snapshot", "turn"):
        inner = traces._readable(trace, Span(name, b"12345678", b"", 5, 9, {}))
        assert (inner.kind.name, inner.status.status_code.name) == ("INTERNAL", "UNSET")
        assert inner.parent is None
