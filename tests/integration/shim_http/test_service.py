"""The service over HTTP: protocol, sessions, bad input, and its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.turn_path import fixtures
from cdesk.core.home import StateDirectory
from cdesk.core.metrics import TOOL_CALLS
from cdesk.state.counts import read_counts
from cdesk.state.http_service import look_at_service
from mcp_shim.tools import TOOLS
from tests.imported import modules_after
from tests.integration.shim.harness import ERAS, EVENT, environment, records
from tests.integration.shim_http.harness import (
    ADA,
    BOB,
    JSON_HEADERS,
    Service,
    connect,
    run_cdesk,
    serving,
    token,
    wait_until,
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> StateDirectory:
    home = StateDirectory(tmp_path_factory.mktemp("service") / "home").ensure()
    fixtures.catalog(home)
    return home


@pytest.fixture(scope="module")
def ada(home: StateDirectory) -> str:
    return token(home, ADA).token


@pytest.fixture(scope="module")
def service(home: StateDirectory) -> Iterator[Service]:
    with serving(home) as service:
        yield service


def exchange(service: Service, data: bytes, *, seconds: float = 30.0) -> bytes:
    """What the service answers to bytes on a connection of their own, until it closes it."""
    with socket.create_connection(service.address, timeout=seconds) as connection:
        connection.sendall(data)
        received = b""
        while part := connection.recv(65_536):
            received += part
    return received


@pytest.mark.parametrize("era", ERAS)
def test_the_sdks_client_calls_every_tool(service: Service, ada: str, era: str) -> None:
    async def scenario() -> None:
        async with connect(service, ada, era) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == set(TOOLS)
            logged = await client.call_tool("log_event", EVENT)
            assert logged.structured_content is not None
            assert logged.structured_content["accepted"] == "queued"
            learned = await client.call_tool(
                "log_insight", {"subject": "atlas", "metric": f"open in {era}", "value": 3}
            )
            assert not learned.is_error
            context = (await client.call_tool("get_context", {})).structured_content
            assert context is not None
            assert context["customer"] == ADA
            assert f"open in {era}" in {one["metric"] for one in context["pending"]}
            submitted = await client.call_tool("submit_query", {"template": "recent_activities"})
            assert submitted.structured_content is not None
            ticket = submitted.structured_content["ticket_id"]
            state = await client.call_tool("get_result", {"ticket_id": ticket})
            assert state.structured_content is not None
            assert state.structured_content["status"] == "queued"
            assert (await client.list_resources()).resources

    asyncio.run(scenario())


ODD_CALLS = [
    {"params": {"name": "get_context"}},
    {"params": {"name": "get_context", "arguments": {}, "_meta": {"progressToken": 1}}},
    {"params": {"name": "get_context", "arguments": "{}"}},
    {"params": {"name": "get_context", "arguments": None}},
    {"params": {"name": "get_context", "arguments": [1]}},
    {"params": {"name": "get_context", "arguments": {"max_bytes": 10**30}}},
    {"params": {"name": "get_context", "arguments": {"customer_id": BOB}}},
    {"params": {"name": "log_event", "arguments": {"activity": "?", "feature_json": {}}}},
    {"params": {"name": "no_such_tool", "arguments": {}}},
    {"params": {"name": 7}},
    {"params": {}},
    {"params": {"name": "get_context", "_meta": {"io.modelcontextprotocol/protocolVersion": "x"}}},
    {"params": {"name": "get_context", "_meta": 7}},
    {"params": {"name": "get_context"}, "id": "ä"},
    {"params": {"name": "get_context"}, "id": 10**30},
    {"params": {"name": "get_context"}, "more": 1},
]


@pytest.mark.parametrize("message", ODD_CALLS)
def test_a_call_answered_on_the_spot_is_answered_as_the_sdks_transport_does(
    service: Service, ada: str, message: dict[str, object]
) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", **message}).encode()
    told = []
    for kind in ("application/json", "application/json,application/json"):
        headers = {**JSON_HEADERS, "Authorization": f"Bearer {ada}", "Content-Type": kind}
        answer = service.send(body=body, headers=headers)
        told.append((answer.status, answer.headers["Content-Type"], answer.json))
    assert told[0] == told[1]


def test_health_and_readiness_need_no_token_and_tell_nothing(service: Service) -> None:
    assert service.get("/healthz").json == {"status": "ok"}
    assert service.get("/readyz").json == {"status": "ready"}


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer",
        "Bearer  ",
        "Basic YWRhOmFkYQ==",
        "Bearer cdt_000000000000_" + "A" * 43,
        "Bearer cdt_000000000000_" + "A" * 9000,
        "Bearer two words",
        "bearer ÿ",
        f"Bearer {ADA}",
    ],
)
def test_nobody_gets_in_without_a_token_that_counts(service: Service, header: str | None) -> None:
    headers = {**JSON_HEADERS, **({"Authorization": header} if header is not None else {})}
    answer = service.send(body=b'{"jsonrpc":"2.0","id":1,"method":"ping"}', headers=headers)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert ("invalid_token" in answer.headers["WWW-Authenticate"]) is (header is not None)


def test_a_token_tampered_with_is_none(service: Service, ada: str) -> None:
    assert service.rpc(ada, "ping").status == 200
    assert service.rpc(ada[:-1] + ("A" if ada[-1] != "A" else "B"), "ping").status == 401
    assert service.rpc(ada + "A", "ping").status == 401


def test_a_session_is_the_protocols_else_the_tokens(home: StateDirectory, service: Service) -> None:
    own = token(home, "sessions@example.com").token
    hello = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "7"},
    }
    first, second = (
        service.rpc(own, "initialize", hello).headers["Mcp-Session-Id"] for _ in range(2)
    )
    for session in (first, second, first, None, None):
        headers = {"Mcp-Session-Id": session} if session else {}
        assert not service.call(own, "log_event", EVENT, headers=headers).result["isError"]
    mine = [one for one in records(home) if one["customer"] == "sessions@example.com"]
    used = [one["session_id"] for one in mine if one["activity"] == "cdesk.user_asked"]
    assert used[0] == used[2]
    assert used[3] == used[4]
    assert len({used[0], used[1], used[3]}) == 3
    begun = [one for one in mine if one["activity"] == "cdesk.session_started"]
    assert sorted(one["session_id"] for one in begun) == sorted({*used})
    assert [one["feature_json"]["client_name"] for one in begun].count("test") == 2

    ended = service.send(
        method="DELETE", headers={"Authorization": f"Bearer {own}", "Mcp-Session-Id": first}
    )
    assert ended.status == 204

    def ends() -> list[int]:
        return [
            one["feature_json"]["calls"]
            for one in records(home)
            if one.get("activity") == "cdesk.session_ended" and one["session_id"] == used[0]
        ]

    wait_until(lambda: bool(ends()))
    assert ends() == [2]


def test_an_id_that_comes_again_is_a_call_of_its_own(
    service: Service, home: StateDirectory
) -> None:
    """Ids of messages are each client's to count: a replayed one is another call, and nobody's
    cancellation reaches the call of somebody else that has the same.
    """
    ada, bob = token(home, ADA).token, token(home, BOB).token
    told = [json.loads(service.call(ada, "log_event", EVENT).text) for _ in range(2)]
    assert len({one["activity_id"] for one in told}) == 2
    submitted = json.loads(
        service.call(ada, "submit_query", {"template": "recent_activities"}).text
    )
    waits = {"ticket_id": submitted["ticket_id"], "wait_seconds": 1}
    with ThreadPoolExecutor(1) as threads:
        begun = time.monotonic()
        waiting = threads.submit(service.call, ada, "get_result", waits)
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        while not waiting.done():
            headers = {**JSON_HEADERS, "Authorization": f"Bearer {bob}"}
            cancelled = service.send(body=json.dumps(cancel).encode(), headers=headers)
            assert cancelled.status == 202
            assert json.loads(service.call(bob, "get_context").text)["customer"] == BOB
            time.sleep(0.1)
        answer = waiting.result().result["structuredContent"]
    assert answer["ticket_id"] == submitted["ticket_id"]
    assert answer["status"] == "queued"
    assert time.monotonic() - begun >= 1


def test_somebody_elses_session_id_is_no_session(
    home: StateDirectory, service: Service, ada: str
) -> None:
    bob = token(home, BOB).token
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}}
    hello["clientInfo"] = {"name": "test", "version": "7"}  # type: ignore[assignment]
    session = service.rpc(ada, "initialize", hello).headers["Mcp-Session-Id"]
    made_up = f"{session.partition('.')[0]}.{'0' * 32}"
    for given in (session, made_up, "x", "é"):
        answers = {
            service.send(
                body=json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode(),
                headers={
                    **JSON_HEADERS,
                    "Authorization": f"Bearer {bob}",
                    "Mcp-Session-Id": given,
                },
            ).status,
            service.send(
                method="DELETE",
                headers={"Authorization": f"Bearer {bob}", "Mcp-Session-Id": given},
            ).status,
        }
        assert answers == {404}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:80"}, 421),
        ({"Host": "localhost.evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"X-Forwarded-Host": "evil.example", "X-Forwarded-For": "1.2.3.4"}, 200),
    ],
)
def test_host_and_origin_are_checked(
    service: Service, ada: str, headers: dict[str, str], status: int
) -> None:
    assert service.rpc(ada, "ping", headers=headers).status == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'{"jsonrpc":"2.0","id":1}', 400),
        (b'{"jsonrpc":"2.0","id":1,"method":"no/such"}', 200),
        (b"[" * 70 + b"]" * 70, 400),
        (b"[" * 200_000 + b"]" * 200_000, 400),
        (b'{"a":' * 70 + b"1" + b"}" * 70, 400),
        (b'"' + b"x" * 1024 * 1024 + b'"', 413),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else str(value),
)
def test_bad_bodies_are_refused_and_the_service_stands(
    service: Service, ada: str, body: bytes, status: int
) -> None:
    headers = {**JSON_HEADERS, "Authorization": f"Bearer {ada}"}
    answer = service.send(body=body, headers=headers)
    assert answer.status == status
    assert "error" in answer.json
    assert service.rpc(ada, "ping").status == 200


def test_a_body_of_the_greatest_depth_passes(service: Service, ada: str) -> None:
    inner: object = 1
    for _ in range(30):
        inner = {"a": inner}
    arguments = {"activity": "cdesk.user_asked", "feature_json": inner}
    assert not service.call(ada, "log_event", arguments).result["isError"]


def test_other_methods_are_not_allowed(service: Service, ada: str) -> None:
    bearer = {"Authorization": f"Bearer {ada}"}
    for method in ("GET", "PUT", "PATCH"):
        answer = service.send(method=method, headers=bearer)
        assert answer.status == 405
        assert answer.headers["Allow"] == "POST, DELETE"


def test_endless_and_large_headers_are_cut_off(service: Service, ada: str) -> None:
    line = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    assert exchange(service, line + b"X-A: " + b"a" * 40_000).startswith(b"HTTP/1.1 431")
    assert service.rpc(ada, "ping").status == 200


def test_garbage_http_1_0_and_pipelines_are_answered(service: Service) -> None:
    assert exchange(service, b"\x16\x03\x01\x02\x00 no http\r\n\r\n").startswith(b"HTTP/1.1 400")
    old = exchange(service, b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert old.startswith(b"HTTP/1.1 200")
    asked = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    answered = exchange(service, (asked + b"\r\n") * 4 + asked + b"Connection: close\r\n\r\n")
    assert answered.count(b'{"status":"ok"}') == 5


def test_a_client_that_goes_away_within_its_body_leaves_nothing_behind(
    service: Service, home: StateDirectory, ada: str
) -> None:
    body = json.dumps(
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {
                "name": "log_event",
                "arguments": {**EVENT, "feature_json": {"question": "half"}},
            },
        }
    ).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ada}\r\n"
        "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.create_connection(service.address, timeout=30) as connection:
        connection.sendall(head + body[:-5])
    assert service.rpc(ada, "ping").status == 200
    assert not [one for one in records(home) if one.get("feature_json") == {"question": "half"}]


def test_a_request_leaves_one_line_in_the_log_and_no_secret(service: Service, ada: str) -> None:
    service.call(ada, "log_event", {"activity": "cdesk.user_asked", "feature_json": "p4yl0ad"})
    service.call(ada, "p4yl0ad", {})
    service.send(
        body=b'{"jsonrpc":"2.0","id":1,"method":"tools/call"}',
        headers={**JSON_HEADERS, "Authorization": f"Bearer {ada}"},
    )
    service.rpc(ada, "p4yl0ad")
    service.rpc(f"{ada}x", "ping")
    lines = service.requests(5)
    assert [(line["tool"], line["outcome"], line["status"]) for line in lines] == [
        ("log_event", "invalid_argument", 200),
        ("unknown", "protocol_error", 200),
        ("unknown", "protocol_error", 200),
        (None, "ok", 200),
        (None, "unknown_token", 401),
    ]
    assert len({line["customer"] for line in lines[:4]}) == 1
    assert lines[4]["customer"] is None
    everything = "".join(service.raw_log)
    for secret in ("p4yl0ad", ada, ada[17:], ADA):
        assert secret not in everything


def test_the_end_finishes_calls_and_flushes_the_queue(tmp_path: Path) -> None:
    home = StateDirectory(tmp_path / "home").ensure()
    fixtures.catalog(home)
    own = token(home, ADA).token
    with serving(home) as service:
        ticket = json.loads(
            service.call(own, "submit_query", {"template": "recent_activities"}).text
        )["ticket_id"]
        answers = []
        waiting = threading.Thread(
            target=lambda: answers.append(
                service.call(own, "get_result", {"ticket_id": ticket, "wait_seconds": 2})
            )
        )
        waiting.start()
        time.sleep(0.7)
        assert service.stop() == 0
        waiting.join(30)
    assert json.loads(answers[0].text)["status"] == "queued"
    called = [
        one["feature_json"]["tool"]
        for one in records(home)
        if one["activity"] == "cdesk.tool_called"
    ]
    assert called == ["submit_query", "get_result"]
    assert not list(home.queue.glob("*.open.ndjson"))
    assert not list(home.queue.glob("*.lock"))


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_processes_share_sessions_and_one_that_dies_is_replaced(tmp_path: Path) -> None:
    home = StateDirectory(tmp_path / "home").ensure()
    own = token(home, ADA).token
    with serving(home, "--workers", "2") as service:
        for _ in range(12):
            assert not service.call(own, "log_event", EVENT).result["isError"]
        wait_until(lambda: calls_counted(service) == 12)
        ours = subprocess.run(
            ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(service.process.pid)],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout.splitlines()
        victim = next(line.split()[0] for line in ours if "spawn_main" in line)
        os.kill(int(victim), signal.SIGKILL)
        for _ in range(12):
            assert not service.call(own, "log_event", EVENT).result["isError"]
        said = look_at_service(home).registration
        assert said is not None
        assert (said.url, said.pid, said.processes) == (service.url, service.process.pid, 2)
        assert service.stop() == 0
        assert look_at_service(home).registration is None
        assert not home.http_json.exists()
    asked = [one for one in records(home) if one["activity"] == "cdesk.user_asked"]
    assert len(asked) == 24
    assert len({one["session_id"] for one in asked}) == 1
    begun = [one for one in records(home) if one["activity"] == "cdesk.session_started"]
    assert len(begun) == 1
    counted = read_counts(home)[TOOL_CALLS]
    assert {labels: one.value for labels, one in counted.items()} == {
        ("log_event", "http", "ok"): 24
    }, "the one that died had handed its counts over"


def calls_counted(service: Service) -> float:
    """Calls of log_event by all processes, as whichever is asked tells them."""
    text = service.get("/metrics").body.decode()
    lines = [line for line in text.splitlines() if line.startswith("cdesk_tool_calls_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_metrics_are_for_this_computer_or_a_token_of_the_role(
    home: StateDirectory, service: Service, ada: str
) -> None:
    assert service.get("/metrics").status == 200
    wait_until(lambda: "cdesk_http_requests_total" in service.get("/metrics").body.decode())
    answer = service.get("/metrics")
    assert 'cdesk_http_requests_total{status="200"}' in answer.body.decode()
    assert ADA not in answer.body.decode()
    forwarded = {"X-Forwarded-For": "192.0.2.1"}
    asked = {
        name: service.send("/metrics", headers=headers).status
        for name, headers in {
            "nobody": forwarded,
            "a person": forwarded | {"Authorization": f"Bearer {ada}"},
            "prometheus": forwarded
            | {"Authorization": f"Bearer {token(home, 'prometheus', 'metrics').token}"},
        }.items()
    }
    assert asked == {"nobody": 401, "a person": 403, "prometheus": 200}


def test_it_listens_on_loopback_alone_until_somebody_has_a_token(tmp_path: Path) -> None:
    home = StateDirectory(tmp_path / "home").ensure()
    refused = run_cdesk(home, "mcp", "--http", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 1
    assert "without authentication" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    token(home, ADA)
    with serving(home, "--host", "0.0.0.0") as service:
        assert service.get("/healthz").status == 200


def test_the_port_of_another_is_a_one_line_error(service: Service, home: StateDirectory) -> None:
    refused = run_cdesk(home, "mcp", "--http", "--port", str(service.address[1]))
    assert refused.returncode == 1
    assert "cannot be listened on" in refused.stderr


def test_options_of_http_need_it(home: StateDirectory) -> None:
    refused = run_cdesk(home, "mcp", "--port", "1")
    assert refused.returncode == 1
    assert "go with --http" in refused.stderr


def test_stdio_imports_nothing_of_http(home: StateDirectory) -> None:
    code = (
        "import sys, mcp_shim.main, mcp_shim.lazy_sdk; mcp_shim.lazy_sdk.install(); "
        "import mcp_shim.transports.stdio; print(*sorted(sys.modules))"
    )
    loaded = modules_after(code, environment(home))
    ours = {"mcp_shim.auth", "mcp_shim.limits", "mcp_shim.session_pool", "cdesk.state.access"}
    assert not loaded & {"httptools", "uvloop", "mcp_shim.transports.http", *ours}
