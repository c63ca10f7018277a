"""What one caller may ask in a time, and clients that take too long."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest
import uvicorn
from starlette.responses import Response, StreamingResponse

from bench.turn_path import fixtures
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from mcp_shim.transports import http, http_connection
from tests.integration.shim.harness import EVENT, records
from tests.integration.shim_http.harness import ADA, BOB, serving, token, wait_until


def test_a_flood_is_answered_by_429_for_its_caller_alone(state_home: StateDirectory) -> None:
    fixtures.catalog(state_home)
    ada, again, bob = (token(state_home, name).token for name in (ADA, ADA, BOB))
    limits = {"CDESK_HTTP_CALLS_PER_MINUTE": "120", "CDESK_HTTP_TICKETS_PER_MINUTE": "6"}
    with serving(state_home, **limits) as service:
        asked = {"template": "recent_activities"}
        answers = [service.call(ada, "submit_query", asked) for _ in range(12)]
        assert [answer.status for answer in answers].count(429) >= 2
        assert service.call(ada, "log_event", EVENT).status == 200, "other calls go on"
        refused = next(answer for answer in answers if answer.status == 429)
        assert int(refused.headers["Retry-After"]) >= 1
        assert "too many queries" in refused.json["error"]["message"]

        flood = [service.rpc(ada, "ping").status for _ in range(60)]
        assert flood[0] == 200
        assert 429 in flood
        others = [service.rpc(again, "ping").status for _ in range(3)]
        assert 429 in others, "another token of the same customer"
        assert service.rpc(bob, "ping").status == 200
        assert not service.call(bob, "submit_query", asked).result["isError"]
    denied = [
        record["feature_json"]
        for record in records(state_home)
        if record.get("feature_json", {}).get("error_code") == "rate_limited"
    ]
    assert {(one["tool"]) for one in denied} == {"submit_query"}
    assert len(denied) == 2, "the call and the error, once a minute: ada's own stream, no payload"


def test_headers_that_come_whole_in_one_read_are_bounded_too(
    state_home: StateDirectory, quick: tuple[str, int]
) -> None:
    ada = token(state_home, ADA).token
    head = f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ada}\r\n"
    for more in (f"X-More: {'x' * 20_000}\r\n", "X-More: x\r\n" * 1_500):
        with socket.create_connection(quick, timeout=30) as large:
            large.sendall(f"{head}{more}Content-Length: 2\r\n\r\n{{}}".encode())
            assert large.recv(65_536).startswith(b"HTTP/1.1 431")


def test_an_error_names_no_path_of_the_server(state_home: StateDirectory) -> None:
    ada = token(state_home, ADA).token
    with serving(state_home) as service:
        state_home.state_db.unlink(missing_ok=True)
        state_home.state_db.mkdir()
        for tool, arguments in (
            ("submit_query", {"template": "recent_activities"}),
            ("get_result", {"ticket_id": "00000000-0000-7000-8000-000000000000"}),
        ):
            answer = service.call(ada, tool, arguments)
            assert str(state_home.root) not in answer.body.decode()
            assert answer.status != 200 or answer.result["isError"]


@pytest.fixture
def quick(state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A service in this process whose patience is half a second; its address."""
    monkeypatch.setattr(http, "BODY_SECONDS", 0.5)
    monkeypatch.setattr(http_connection, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(http_connection, "FIRST_BYTE_SECONDS", 0.5)
    settings = Settings(home=state_home.root, customer="-", worker="off")
    config = uvicorn.Config(
        http.Service(settings, state_home).asgi,
        http=http_connection.GuardedConnection,
        port=0,
        log_config=None,
        ws="none",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    yield server.servers[0].sockets[0].getsockname()
    server.should_exit = True
    thread.join(30)


def test_slow_headers_and_silence_are_cut(quick: tuple[str, int]) -> None:
    with socket.create_connection(quick, timeout=30) as silent:
        assert silent.recv(1) == b""
    with socket.create_connection(quick, timeout=30) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        # A byte now and then does not buy time.
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                slow.sendall(b"X")
                time.sleep(0.05)
                slow.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    if slow.recv(1) == b"":
                        break
                slow.setblocking(True)
            else:
                pytest.fail("a client that takes for ever is served for ever")


def test_a_slow_body_is_answered_by_408(state_home: StateDirectory, quick: tuple[str, int]) -> None:
    ada = token(state_home, ADA).token
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ada}\r\n"
        "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        "Content-Length: 100\r\n\r\n{"
    )
    with socket.create_connection(quick, timeout=30) as slow:
        slow.sendall(head.encode())
        answer = slow.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 408")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


def test_a_kept_connection_may_think_longer_than_a_request_may_take(
    state_home: StateDirectory, quick: tuple[str, int]
) -> None:
    with socket.create_connection(quick, timeout=30) as kept:
        for _ in range(2):
            kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert kept.recv(65_536).startswith(b"HTTP/1.1 200")
            time.sleep(0.8)
    assert state_home.access_db.exists()


def test_a_failure_that_nobody_foresaw_is_answered_and_stands_in_the_log(
    state_home: StateDirectory,
    quick: tuple[str, int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ada = token(state_home, ADA).token
    secret = "what the caller wrote"
    lines: list[dict[str, object]] = []

    async def fail(*_: object) -> None:
        raise RuntimeError(secret)

    monkeypatch.setattr(http, "answer_call", fail)
    monkeypatch.setattr(http.RequestLog, "add", lambda _, line: lines.append(line))
    answer = asked(quick, ada)
    assert answer.startswith(b"HTTP/1.1 500")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == -32603
    assert secret.encode() not in answer
    assert secret not in caplog.text
    wait_until(lambda: bool(lines))
    (line,) = lines
    assert (line["tool"], line["status"], line["outcome"]) == ("get_context", 500, "internal_error")


@pytest.mark.parametrize("by_the_sdk", [False, True])
def test_a_client_that_does_not_read_is_given_up_with_its_line_in_the_log(
    state_home: StateDirectory,
    quick: tuple[str, int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    by_the_sdk: bool,
) -> None:
    ada = token(state_home, ADA).token
    lines: list[dict[str, object]] = []

    async def large(*_: object) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(1_000):
                yield b"x" * 100_000

        return StreamingResponse(parts())

    async def large_by_the_sdk(*given: Any) -> None:
        async with anyio.create_task_group() as group:  # as the SDK's streams are sent
            group.start_soon(await large(), *given[-3:])

    if by_the_sdk:
        monkeypatch.setattr(http, "plain_call", lambda *_: None)
        monkeypatch.setattr(
            http.StreamableHTTPSessionManager, "_handle_stateless_request", large_by_the_sdk
        )
    lost: list[object] = []
    seen = http_connection.GuardedConnection.connection_lost

    def connection_lost(self: http_connection.GuardedConnection, exc: Exception | None) -> None:
        seen(self, exc)
        lost.append(self)

    monkeypatch.setattr(http_connection.GuardedConnection, "connection_lost", connection_lost)
    monkeypatch.setattr(http, "answer_call", large)
    monkeypatch.setattr(http, "WRITE_SECONDS", 0.2)
    monkeypatch.setattr(http_connection, "UNREAD_SECONDS", 0.5)
    monkeypatch.setattr(http.RequestLog, "add", lambda _, line: lines.append(line))
    with socket.create_connection(quick, timeout=30) as silent:
        silent.sendall(call(ada))
        wait_until(lambda: bool(lines))
        wait_until(lambda: bool(lost))
    (line,) = lines
    assert (line["tool"], line["outcome"]) == ("get_context", "disconnected")
    assert "request failed" not in caplog.text


def test_nothing_is_kept_of_a_connection_that_was_reset(
    state_home: StateDirectory, quick: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[http_connection.GuardedConnection] = []
    seen = http_connection.GuardedConnection.connection_lost

    def connection_lost(self: http_connection.GuardedConnection, exc: Exception | None) -> None:
        seen(self, exc or ConnectionResetError())
        lost.append(self)

    monkeypatch.setattr(http_connection.GuardedConnection, "connection_lost", connection_lost)
    assert state_home.root.exists()
    with socket.create_connection(quick, timeout=30) as gone:
        gone.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert gone.recv(65_536).startswith(b"HTTP/1.1 200")
    wait_until(lambda: bool(lost))
    assert lost[0].timeout_keep_alive_task is None


def call(bearer: str) -> bytes:
    """A call of a tool as bytes."""
    body = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_context"}}
    )
    return (
        f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n"
        "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def asked(address: tuple[str, int], bearer: str) -> bytes:
    """What a call of a tool is answered."""
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(call(bearer))
        return connection.recv(65_536)
