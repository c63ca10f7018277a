"""Serving one client over two pipes in this process: how a connection opens, what runs beside it,
in which order it ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from bench.turn_path import fixtures
from cdesk.contract.records import parse_line
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from mcp_shim.app import App
from mcp_shim.server import McpServer
from mcp_shim.session import Session
from mcp_shim.transports import stdio

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes are served by threads there")

CLIENT = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}  # fmt: skip
INITIALIZE = {"id": 0, "method": "initialize", "params": CLIENT}
CALL = {"id": 1, "method": "tools/call", "params": {"name": "get_context", "arguments": {}}}


class Client:
    """The far ends of the server's pipes."""

    def __init__(self) -> None:
        self.server_in, self._to_server = os.pipe()
        self._from_server, self.server_out = os.pipe()

    def send(self, *messages: dict[str, Any]) -> None:
        lines = (orjson.dumps({"jsonrpc": "2.0", **one}) + b"\n" for one in messages)
        os.write(self._to_server, b"".join(lines))

    def end(self) -> None:
        if self._to_server >= 0:
            os.close(self._to_server)
            self._to_server = -1

    def answers(self) -> list[Any]:
        """All that was answered, after the server has ended."""
        os.set_blocking(self._from_server, False)
        return [orjson.loads(line) for line in os.read(self._from_server, 1 << 16).splitlines()]

    def close(self) -> None:
        self.end()
        for end in (self.server_in, self._from_server, self.server_out):
            os.close(end)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    made = Client()
    monkeypatch.setattr(stdio, "claim_standard_streams", lambda: (made.server_in, made.server_out))
    monkeypatch.setattr(stdio, "_end_by_force", lambda: None)
    yield made
    made.close()


class Gc:
    """Of the process that runs the tests nothing is set; `told` is what would have been."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def freeze(self) -> None:
        self.told.append("freeze")

    def set_threshold(self, *given: int) -> None:
        self.told.append(given)

    def enable(self) -> None:
        self.told.append("enable")


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Gc:
    found = Gc()
    monkeypatch.setattr(stdio, "gc", found)
    return found


@pytest.fixture
def serve(state_home: StateDirectory, collector: Gc) -> Callable[[], None]:
    assert collector.told == []
    fixtures.catalog(state_home)
    settings = Settings(home=state_home.root, customer="ada@example.com", worker="off")
    return lambda: stdio.serve(settings, state_home)


def events(home: StateDirectory) -> list[tuple[str, Any]]:
    assert not list(home.queue.glob("*.open.ndjson")), "the queue's file was sealed"
    return [
        (record["activity"], record["feature_json"])
        for path in sorted(home.queue.glob("*.ndjson"))
        for record in map(parse_line, path.read_bytes().splitlines())
    ]


def test_a_client_is_served_until_its_input_ends(
    serve: Callable[[], None], client: Client, state_home: StateDirectory, collector: Gc
) -> None:
    client.send(INITIALIZE, {"method": "notifications/initialized"}, CALL)
    client.end()
    serve()
    hello, called = client.answers()
    assert hello["result"]["serverInfo"]["name"] == "cdesk"
    assert hello["result"]["capabilities"]["tools"]["listChanged"] is True
    assert called["result"]["structuredContent"]["customer"] == "ada@example.com"
    (begun, tool, ended) = events(state_home)
    assert begun[1]["client_name"] == "a"
    assert tool[1]["tool"] == "get_context"
    assert (ended[0], ended[1]["reason"], ended[1]["calls"]) == (
        "cdesk.session_ended",
        "end_of_input",
        1,
    )
    assert collector.told == ["freeze", (10_000, 20, 20), "enable"]
    assert os.get_blocking(client.server_in), "the descriptors are given back"


def test_a_signal_ends_it_and_is_named(
    serve: Callable[[], None],
    client: Client,
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched: list[str] = []
    monkeypatch.setattr(stdio, "_end_by_force", lambda: watched.append("watched"))
    monkeypatch.setattr(stdio, "TICK_SECONDS", 0.0)
    called = McpServer._call_tool

    async def and_then(self: McpServer, *given: Any) -> Any:
        answer = await called(self, *given)
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGTERM)
        return answer

    monkeypatch.setattr(McpServer, "_call_tool", and_then)
    client.send(INITIALIZE, CALL)
    serve()
    assert [one["id"] for one in client.answers()] == [0, 1]
    assert events(state_home)[-1][1]["reason"] == "SIGTERM"
    assert watched == ["watched"]


def test_what_has_time_is_done_beside_it_and_may_fail(
    serve: Callable[[], None],
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(stdio, "TICK_SECONDS", 0.0)
    done: list[str] = []

    def tick(_: App) -> None:
        done.append("tick")
        raise RuntimeError

    async def announce(_: McpServer) -> None:
        done.append("announce")
        if len(done) > 6:
            client.end()

    monkeypatch.setattr(App, "tick", tick)
    monkeypatch.setattr(McpServer, "announce", announce)
    serve()
    assert done[:6] == ["tick", "announce"] * 3
    assert "tick failed" in {record.message for record in caplog.records}


@pytest.mark.parametrize("failing", ["", "session", "app"])
def test_each_step_of_the_end_runs_whatever_another_does(
    serve: Callable[[], None], client: Client, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    done: list[str] = []

    def step(name: str) -> Callable[..., None]:
        def run(*given: Any) -> None:
            done.append(name)
            if name == "session":
                assert given[1:] == ("end_of_input",)
            if name == failing:
                raise RuntimeError(name)

        return run

    monkeypatch.setattr(Session, "end", step("session"))
    close = App.close
    monkeypatch.setattr(App, "close", lambda self: (close(self), step("app")()))
    opened = stdio.open_transport

    def open_transport(*given: Any) -> Any:
        transport = opened(*given)
        transport._closers.append(step("transport"))
        return transport

    monkeypatch.setattr(stdio, "open_transport", open_transport)
    client.end()
    if failing:
        with pytest.raises(RuntimeError, match=failing):
            serve()
    else:
        serve()
    assert done == ["session", "app", "transport"]


@pytest.mark.parametrize(
    ("method", "served"),
    [("initialize", "handshake"), ("server/discover", "either"), (None, "either")],
)
def test_what_opens_with_a_handshake_is_served_as_one(
    monkeypatch: pytest.MonkeyPatch, method: str | None, served: str
) -> None:
    done: list[Any] = []
    reader: Any = SimpleNamespace()
    writer: Any = SimpleNamespace()

    async def first_request() -> Any:
        return SimpleNamespace(method=method) if method else None

    reader.first_request = first_request

    class Sdk:
        async def run(self, *given: Any) -> None:
            done.append(("either", *given))

        @asynccontextmanager
        async def lifespan(self, sdk: object) -> Any:
            assert sdk is self
            done.append("begin")
            yield "state"
            done.append("end")

    async def serve_handshake(*given: Any, **more: Any) -> None:
        done.append(("handshake", given, more))

    monkeypatch.setattr(stdio, "serve_handshake", serve_handshake)
    sdk = Sdk()
    server: Any = SimpleNamespace(sdk=sdk, options="options")
    asyncio.run(stdio.serve_streams(server, reader, writer))
    if served == "either":
        assert done == [("either", reader, writer, "options")]
    else:
        told = {"lifespan_state": "state", "init_options": "options"}
        assert done == ["begin", ("handshake", (sdk, reader, writer), told), "end"]


def test_where_the_loop_takes_no_signals_the_interpreter_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handlers: dict[int, Callable[..., None]] = {}
    told: list[Any] = []
    monkeypatch.setattr(stdio.signal, "signal", handlers.__setitem__)
    for error in (NotImplementedError, RuntimeError):
        handlers.clear()

        class Loop:
            failing = error

            def add_signal_handler(self, *_: Any) -> None:
                raise self.failing

            def call_soon_threadsafe(self, *given: Any) -> None:
                told.append(given)

        stop: Any = object()
        stdio._on_signals(Loop(), stop)  # type: ignore[arg-type]
        assert handlers.keys() >= {signal.SIGTERM, signal.SIGINT}
        for number in (signal.SIGTERM, signal.SIGINT):
            handlers[number](number, None)
        assert told[-2:] == [(stop, "SIGTERM"), (stop, "SIGINT")]


def test_of_signals_those_are_heeded_that_the_system_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "signal", SimpleNamespace(SIGINT=2, SIGBREAK=21))
    heeded: list[Any] = []
    loop: Any = SimpleNamespace(add_signal_handler=lambda *given: heeded.append(given))
    stdio._on_signals(loop, print)
    assert heeded == [(2, print, "SIGINT"), (21, print, "SIGBREAK")]


def test_an_end_that_takes_too_long_is_made_short(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    ended = threading.Event()

    def leave(code: int) -> None:
        done.append(code)
        ended.set()

    monkeypatch.setattr(stdio, "time", SimpleNamespace(sleep=done.append))
    monkeypatch.setattr(stdio.os, "_exit", leave)
    stdio._end_by_force()
    assert ended.wait(600)
    assert done == [stdio.END_SECONDS - 0.5, 1]
