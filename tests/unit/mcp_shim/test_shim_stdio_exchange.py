"""Calls that are answered where they are read, and those that go on in the SDK's dispatcher."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import mcp_types as types
import orjson
import pytest
from mcp.server.lowlevel.server import Server
from mcp.server.runner import serve_loop
from mcp.shared.exceptions import MCPError

from mcp_shim.transports import stdio_exchange
from mcp_shim.transports.stdio_streams import (
    MOST_AT_ONCE,
    MessageReader,
    MessageWriter,
    Output,
    Pending,
)

Handler = Callable[[str], Awaitable[None]]
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


class Lines(Output):
    """What was written; full while `idle` is false."""

    def __init__(self) -> None:
        self.written: list[Any] = []

    def write(self, data: bytes) -> None:
        self.written.append(orjson.loads(data))

    async def drained(self) -> None:
        while not self.idle:
            await asyncio.sleep(0)


class Line:
    """A connection that has been opened."""

    def __init__(self, handler: Handler) -> None:
        self.output = Lines()
        pending = Pending()
        self.reader = MessageReader(pending, self.output.write)
        self.writer = MessageWriter(self.output, pending)
        self.server: Server[Any] = Server("test")

        async def call_tool(_: Any, params: types.CallToolRequestParams) -> dict[str, Any]:
            await handler(params.name)
            return {"content": [], "isError": False, "resultType": "complete"}

        self.server.add_request_handler("tools/call", types.CallToolRequestParams, call_tool)

    def send(self, *messages: dict[str, Any]) -> None:
        lines = (orjson.dumps({"jsonrpc": "2.0", **message}) for message in messages)
        self.reader.feed(b"".join(line + b"\n" for line in lines))

    def call(self, id: int | str, name: str = "x", **more: Any) -> dict[str, Any]:
        return {"id": id, "method": "tools/call", "params": {"name": name, **more}}

    async def until(self, count: int) -> list[Any]:
        """So many answers after the first, which is that to `initialize`."""
        async with asyncio.timeout(30):
            while len(self.output.written) <= count:
                await asyncio.sleep(0)
        return self.output.written[1:]


def talk(
    handler: Handler, test: Callable[[Line], Awaitable[None]], *, plain: bool = False
) -> list[Any]:
    """Run `test` on an open connection; all answers after the first. `plain`: by the SDK alone."""

    async def body() -> list[Any]:
        line = Line(handler)
        serve = serve_loop if plain else stdio_exchange.serve_handshake
        serving = asyncio.create_task(
            serve(
                line.server,
                line.reader,
                line.writer,
                lifespan_state={},
                init_options=line.server.create_initialization_options(),
            )
        )
        line.send({"id": 0, "method": "initialize", "params": INITIALIZE})
        await line.until(0)
        while line.reader._waiter is None:
            await asyncio.sleep(0)
        await test(line)
        line.reader.feed(b"")
        await asyncio.wait_for(serving, 30)
        return line.output.written[1:]

    return asyncio.run(body())


async def nothing(_: str) -> None:
    pass


def test_a_call_that_does_not_wait_is_answered_before_the_read_ends() -> None:
    async def test(line: Line) -> None:
        line.send(line.call(1), line.call("two"))
        assert [answer["id"] for answer in line.output.written[1:]] == [1, "two"]

    answers = talk(nothing, test)
    assert answers == talk(nothing, lambda line: _sent(line, line.call(1), line.call("two")), plain=True)  # fmt: skip


async def _sent(line: Line, *messages: dict[str, Any]) -> None:
    line.send(*messages)
    await line.until(len(messages))


@pytest.mark.parametrize("id", [1, 0, "1", ""])
def test_a_call_that_waits_goes_on_where_it_stood_while_others_are_answered(id: int | str) -> None:
    begun: list[str] = []
    free: list[asyncio.Event] = []

    async def handler(name: str) -> None:
        begun.append(name)
        if name == "slow":
            free.append(asyncio.Event())
            await asyncio.sleep(0)
            await free[0].wait()

    async def test(line: Line) -> None:
        line.send(line.call(id, "slow"))
        assert begun == ["slow"], "it is begun on the spot"
        await asyncio.sleep(0)
        line.send(line.call(2))
        await line.until(1)
        while not free:
            await asyncio.sleep(0)
        free[0].set()
        await line.until(2)

    assert [answer["id"] for answer in talk(handler, test)] == [2, id]
    assert begun == ["slow", "x"], "each once"


@pytest.mark.parametrize(
    "error", [MCPError(-32001, "no", {"a": 1}), ValueError("odd"), KeyError("k")]
)
def test_an_error_is_told_in_the_dispatchers_words(error: Exception) -> None:
    async def handler(_: str) -> None:
        raise error

    def test(line: Line) -> Awaitable[None]:
        return _sent(line, line.call(1))

    (answer,) = talk(handler, test)
    assert "error" in answer
    assert [answer] == talk(handler, test, plain=True)


def test_a_call_that_waits_can_be_cancelled() -> None:
    seen: list[str] = []

    async def handler(name: str) -> None:
        if name == "slow":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

    async def test(line: Line) -> None:
        line.send(line.call(1, "slow"))
        line.send({"method": "notifications/cancelled", "params": {"requestId": 1}})
        async with asyncio.timeout(30):
            while not seen:
                await asyncio.sleep(0)
        await _sent(line, line.call(2))

    assert [answer["id"] for answer in talk(handler, test)] == [2]


def test_what_waits_at_the_end_of_input_is_given_its_moment() -> None:
    async def handler(_: str) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def test(line: Line) -> None:
        line.send(line.call(1))

    assert [answer["id"] for answer in talk(handler, test)] == [1]


def test_no_call_overtakes_what_was_sent_before_it_and_waits_still() -> None:
    async def test(line: Line) -> None:
        line.send({"id": 1, "method": "ping"}, line.call(2))
        assert len(line.output.written) == 1
        await line.until(2)

    assert [answer["id"] for answer in talk(nothing, test)] == [1, 2]


def test_no_call_overtakes_one_that_the_dispatcher_has_taken_and_not_begun() -> None:
    begun: list[str] = []

    async def note(name: str) -> None:
        begun.append(name)

    async def test(line: Line) -> None:
        progress = {"_meta": {"progressToken": 1}}  # with which it is not begun at once
        line.send(line.call(1, "first", **progress))
        for id in range(2, 50):  # a read at each turn of the loop
            await asyncio.sleep(0)
            line.send(line.call(id, str(id)))
        await line.until(49)
        line.send(line.call(50, "last"))
        assert begun[-1] == "last", "and then at once again"

    answers = talk(note, test)
    assert begun == ["first", *map(str, range(2, 50)), "last"]
    assert [one["id"] for one in answers] == list(range(1, 51))


def test_calls_take_turns_with_all_else_where_many_come_at_once() -> None:
    async def test(line: Line) -> None:
        line.send(*(line.call(number) for number in range(1, 101)))
        assert len(line.output.written) == 1 + MOST_AT_ONCE
        await line.until(100)

    assert [answer["id"] for answer in talk(nothing, test)] == [*range(1, 101)]


def test_while_the_client_does_not_read_calls_wait_for_room() -> None:
    async def test(line: Line) -> None:
        line.output.idle = False
        line.send(line.call(1))
        assert len(line.output.written) == 1
        line.output.idle = True
        await line.until(1)

    assert [answer["id"] for answer in talk(nothing, test)] == [1]


def test_who_asks_for_progress_gets_it_from_the_dispatcher() -> None:
    async def test(line: Line) -> None:
        line.send(line.call(1, _meta={"progressToken": "t"}))
        assert len(line.output.written) == 1
        await line.until(1)

    assert [answer["id"] for answer in talk(nothing, test)] == [1]


def test_what_a_call_says_beside_its_answer_goes_by_way_of_the_dispatcher() -> None:
    said: list[Any] = []

    class Inner:
        async def send_raw_request(self, *given: Any) -> dict[str, Any]:
            said.append(("request", *given))
            return {"answered": True}

        async def notify(self, *given: Any) -> None:
            said.append(("notification", *given))

    async def body() -> None:
        exchange = stdio_exchange._Exchange(Inner(), 7)  # type: ignore[arg-type]
        options: Any = {"timeout": 1}
        assert await exchange.send_raw_request("roots/list", None, options) == {"answered": True}
        await exchange.notify("notifications/x", {"a": 1}, options)
        await exchange.progress(1.0, 2.0, "nobody asked")
        assert said == [
            ("request", "roots/list", None, options),
            ("notification", "notifications/x", {"a": 1}, options),
        ]
        assert (exchange.request_id, exchange.can_send_request) == (7, True)
        assert exchange.transport.can_send_request
        event = exchange.cancel_requested
        assert not event.is_set()
        assert exchange.cancel_requested is event

    asyncio.run(body())


def test_a_call_that_the_end_overtakes_is_closed() -> None:
    closed: list[str] = []

    async def handler(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            closed.append(name)

    async def body() -> None:
        line = Line(handler)
        inner: Any = type("Inner", (), {})()

        async def run(*_: Any, **__: Any) -> None:
            receiving = asyncio.create_task(line.reader.receive())
            await asyncio.sleep(0)
            line.send(line.call(1, "slow"), line.call(1, "again"))
            await receiving

        inner.run = run
        dispatcher = stdio_exchange._AtOnce(inner, line.reader, line.writer)

        async def on_request(*_: Any) -> dict[str, Any]:
            await handler("slow")
            return {}

        await dispatcher.run(on_request, None)  # type: ignore[arg-type]
        assert closed == ["slow"]

    asyncio.run(body())
