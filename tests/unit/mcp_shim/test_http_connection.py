"""How long a client may take and in how many bytes, on uvicorn's own protocol without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from mcp_shim.transports.http_connection import (
    FIRST_BYTE_SECONDS,
    HEAD_SECONDS,
    MAX_HEAD_BYTES,
    UNREAD_SECONDS,
    GuardedConnection,
)

HEAD = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n"


class Wire(asyncio.Transport):
    """The transport: what was written, and whether the connection was closed or cut."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.done: list[str] = []

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 5) if name in ("peername", "sockname") else default

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return bool(self.done)

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Connected:
    """A connection that has been made. `timers` are those that would go off, by their seconds."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.answered = 0
        self.free = asyncio.Event()
        self._timers: list[tuple[float, asyncio.TimerHandle]] = []
        self.service = SimpleNamespace(drained=0, drain=self._drain)
        loop = asyncio.get_running_loop()
        later = loop.call_later

        def call_later(delay: float, *given: Any, **more: Any) -> asyncio.TimerHandle:
            handle = later(delay, *given, **more)
            if delay in (FIRST_BYTE_SECONDS, HEAD_SECONDS, UNREAD_SECONDS):
                self._timers.append((delay, handle))
            return handle

        loop.call_later = call_later  # type: ignore[method-assign]
        config = uvicorn.Config(
            self._app, interface="asgi3", ws="none", lifespan="off", log_config=None
        )
        config.load()
        self.protocol = GuardedConnection(
            config=config, server_state=ServerState(), app_state={"service": self.service}
        )
        self.protocol.connection_made(self.wire)

    def _drain(self) -> None:
        self.service.drained += 1

    async def _app(self, _: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await self.free.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})  # fmt: skip
        await send({"type": "http.response.body", "body": b""})
        self.answered += 1

    @property
    def timers(self) -> list[float]:
        return [delay for delay, handle in self._timers if not handle.cancelled()]

    def go_off(self) -> None:
        for _, handle in self._timers:
            if not handle.cancelled():
                handle._run()

    async def until_answered(self, count: int) -> None:
        self.free.set()
        for _ in range(100):
            await asyncio.sleep(0)
        assert self.answered == count, self.wire.written


def connected(test: Callable[[Connected], Awaitable[None]]) -> None:
    async def body() -> None:
        connection = Connected()
        try:
            await test(connection)
        finally:
            connection.protocol.connection_lost(None)
            assert connection.timers == [], "nothing goes off after the end"

    asyncio.run(body())


def test_a_client_that_says_nothing_is_cut() -> None:
    async def test(connection: Connected) -> None:
        assert (FIRST_BYTE_SECONDS, HEAD_SECONDS) == (30.0, 10.0)
        assert connection.timers == [FIRST_BYTE_SECONDS]
        connection.go_off()
        assert connection.wire.done == ["abort"]

    connected(test)


def test_a_head_has_its_time_from_its_first_byte_and_a_body_has_none() -> None:
    async def test(connection: Connected) -> None:
        protocol = connection.protocol
        for number in (1, 2):  # the second on the same connection
            protocol.data_received(HEAD[:10])
            assert connection.timers == [HEAD_SECONDS]
            protocol.data_received(HEAD[10:])
            assert connection.timers == [HEAD_SECONDS], "one for all of it"
            protocol.data_received(b"\r\n")
            assert connection.timers == []
            protocol.data_received(b"bo")
            assert connection.timers == []
            protocol.data_received(b"dy")
            await connection.until_answered(number)
            assert connection.timers == []
        protocol.data_received(HEAD[:10])
        connection.go_off()
        assert connection.wire.done == ["abort"]

    connected(test)


def test_the_next_head_that_comes_while_an_answer_is_made_waits_without_a_clock() -> None:
    async def test(connection: Connected) -> None:
        protocol = connection.protocol
        protocol.data_received(HEAD + b"\r\nbody")
        protocol.data_received(HEAD[:10])
        assert connection.timers == [], "its client waits for us"
        await connection.until_answered(1)
        protocol.data_received(HEAD[10:] + b"\r\nbody")
        await connection.until_answered(2)
        assert connection.timers == []

    connected(test)


def test_a_head_beyond_its_bound_is_answered_and_cut_off() -> None:
    async def test(connection: Connected) -> None:
        protocol, wire = connection.protocol, connection.wire
        protocol.data_received(HEAD)
        protocol.data_received(b"x: " + b"y" * (MAX_HEAD_BYTES - len(HEAD) - 3))
        assert wire.written == b""
        protocol.data_received(b"y")
        assert wire.written.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
        head, _, body = wire.written.partition(b"\r\n\r\n")
        assert f"content-length: {len(body)}".encode() in head
        assert b"connection: close" in head
        assert wire.done == ["close"]
        protocol.data_received(b"y")
        assert wire.done == ["close"]
        assert wire.written.count(b"HTTP/1.1") == 1, "once"

    connected(test)

    async def separate(connection: Connected) -> None:
        long = HEAD + b"x: " + b"y" * (MAX_HEAD_BYTES - 200) + b"\r\n"
        for number in (1, 2):
            connection.protocol.data_received(long[:100])
            connection.protocol.data_received(long[100:])
            connection.protocol.data_received(b"\r\nbody")
            await connection.until_answered(number)
        assert connection.wire.done == [], "each head is counted by itself, and no body"

    connected(separate)


def test_a_client_that_reads_nothing_is_cut_and_one_that_reads_again_is_not() -> None:
    async def test(connection: Connected) -> None:
        protocol = connection.protocol
        protocol.data_received(HEAD + b"\r\nbody")
        assert UNREAD_SECONDS == 35.0
        for _ in range(2):
            protocol.pause_writing()
            assert connection.timers == [UNREAD_SECONDS], "from when it stopped"
        assert not protocol.flow._is_writable_event.is_set()
        protocol.resume_writing()
        assert connection.timers == []
        assert protocol.flow._is_writable_event.is_set()
        protocol.pause_writing()
        connection.go_off()
        assert connection.wire.done == ["abort"]

    connected(test)


def test_at_the_end_the_service_is_told_and_nothing_is_kept() -> None:
    async def test(connection: Connected) -> None:
        protocol = connection.protocol
        protocol.data_received(HEAD + b"\r\nbody")
        await connection.until_answered(1)
        assert protocol.timeout_keep_alive_task is not None
        protocol.shutdown()
        assert connection.service.drained == 1
        assert connection.wire.done == ["close"]
        protocol.pause_writing()
        protocol.connection_lost(ConnectionResetError())
        assert protocol.timeout_keep_alive_task is None, "of one that was reset, too"
        assert connection.timers == []
        protocol.app_state = {}
        protocol.shutdown()

    connected(test)
