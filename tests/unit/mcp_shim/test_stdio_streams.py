"""The two message streams, without a pipe: what reaches the server, what is answered before it,
when there is an end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import orjson
import pytest
from mcp.shared.message import SessionMessage
from mcp_types.jsonrpc import (
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
)

from mcp_shim.transports import stdio_streams
from mcp_shim.transports.framing import MAX_MESSAGE_BYTES, MessageTooLong
from mcp_shim.transports.stdio_streams import (
    MAX_WAITING,
    MOST_AT_ONCE,
    MessageReader,
    MessageWriter,
    Output,
    Pending,
)


class Lines(Output):
    """What was written. While `idle` is false, `drained` waits for `free`."""

    def __init__(self) -> None:
        self.written: list[Any] = []
        self.free = asyncio.Event()
        self.is_broken = False

    def write(self, data: bytes) -> None:
        if self.is_broken:
            raise anyio.BrokenResourceError
        self.written.append(orjson.loads(data))

    async def drained(self) -> None:
        await self.free.wait()


class Streams:
    def __init__(self) -> None:
        self.output = Lines()
        self.pending = Pending()
        self.reader = MessageReader(self.pending, self.output.write)
        self.writer = MessageWriter(self.output, self.pending)
        self.pauses: list[str] = []
        self.reader.pause = lambda: self.pauses.append("pause")
        self.reader.resume = lambda: self.pauses.append("resume")

    def feed(self, *messages: Any) -> None:
        self.reader.feed(b"".join(orjson.dumps(message) + b"\n" for message in messages))

    def waiting(self) -> list[Any]:
        """What the server would receive next: ids of requests, methods of the rest."""
        return [
            type(item).__name__
            if isinstance(item, Exception)
            else getattr(item.message, "id", None) or item.message.method  # type: ignore[union-attr]
            for item in self.reader._items
        ]

    async def answer(self, id: int | str, **result: Any) -> None:
        await self.writer.send(SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=id, result=result)))


def request(id: Any, method: str = "ping") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method}


def notification(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def cancelled(id: Any) -> dict[str, Any]:
    return notification("notifications/cancelled", requestId=id)


def run(test: Callable[[Streams], Awaitable[None]]) -> None:
    async def body() -> None:
        await test(Streams())

    asyncio.run(body())


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# -- what reaches the server


def test_it_says_when_a_read_is_taken_and_when_what_was_ready_has_been_answered() -> None:
    async def test(streams: Streams) -> None:
        reader, seen = streams.reader, list[object]()
        receiving = asyncio.create_task(reader.receive())
        await turns()
        reader.on_read = lambda: seen.append("read")
        reader.on_taken = lambda: seen.append("taken")
        reader.at_once = lambda message: bool(seen.append(message.id) or True)
        streams.feed(request(1), request(2))
        assert seen == ["read", 1, 2, "taken"]

        def fail(_: object) -> bool:
            raise RuntimeError("no")

        seen.clear()
        reader.at_once = fail
        with pytest.raises(RuntimeError):
            streams.feed(request(3))
        assert seen == ["read", "taken"], "whatever becomes of it"
        receiving.cancel()

    run(test)


def test_what_reaches_the_server_and_what_is_answered_before_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(streams: Streams) -> None:
        reader, written = streams.reader, streams.output.written
        reader.feed(b'\xef\xbb\xbf {"jsonrpc":"2.0","id":1,"method":"ping"}\n \x00 \n')
        streams.feed(notification("notifications/x"))
        reader.feed(b"no JSON\n")
        assert streams.waiting() == [1, "notifications/x", "ValidationError"]
        assert written == []
        reader.feed(b'{"id":2,"method":"x"\n')
        assert [one["id"] for one in written] == [2], "which the server could not have read"
        with caplog.at_level(logging.WARNING):
            reader.feed(b'{"id":3,"method":"x","a":"' + b"x" * MAX_MESSAGE_BYTES + b'"}\n')
            reader.feed(b"x" * (MAX_MESSAGE_BYTES + 1) + b"\n")
        assert [one["id"] for one in written] == [2, 3]
        assert [one.message for one in caplog.records] == ["message too long"] * 2
        assert len(streams.waiting()) == 4, "one that is no request is the server's to report"
        assert isinstance(reader._items[3], MessageTooLong)
        streams.output.is_broken = True
        reader.feed(b'{"id":2,"method":"x"\n')  # the client is gone: nobody is told

    run(test)


def test_a_last_line_without_its_end_is_taken_and_nothing_after_it() -> None:
    async def test(streams: Streams) -> None:
        streams.reader.feed(b'{"jsonrpc":"2.0","method":"a"}')
        assert streams.waiting() == []
        streams.reader.feed(b"")
        assert streams.waiting() == ["a"]
        streams.feed(notification("b"))
        assert streams.waiting() == ["a"]
        await streams.reader.receive()
        with pytest.raises(anyio.EndOfStream):
            await streams.reader.receive()

    run(test)


@pytest.mark.parametrize("how", ["end", "aclose", "with"])
def test_a_stream_that_is_ended_takes_nothing_more_and_waits_for_no_answer(how: str) -> None:
    async def test(streams: Streams) -> None:
        streams.feed(request(1))
        await streams.reader.receive()
        receiving = asyncio.create_task(streams.reader.receive())
        await turns()
        if how == "end":
            streams.reader.end()
            with pytest.raises(anyio.EndOfStream):
                await receiving
        else:
            receiving.cancel()
            async with streams.reader as same:
                assert same is streams.reader
        streams.feed(request(2))
        assert streams.waiting() == []

    run(test)


def test_messages_come_one_at_a_time_until_the_end() -> None:
    async def test(streams: Streams) -> None:
        found: list[Any] = []

        async def read() -> None:
            async for item in streams.reader:
                assert isinstance(item, SessionMessage)
                found.append(item.message)

        reading = asyncio.create_task(read())
        await turns()
        streams.feed(notification("a"))
        await turns()
        streams.feed(notification("b"), notification("c"))
        streams.reader.feed(b"")
        await reading
        assert [one.method for one in found] == ["a", "b", "c"]

    run(test)


def test_the_first_request_is_found_behind_what_is_none_and_left_there() -> None:
    async def test(streams: Streams) -> None:
        finding = asyncio.create_task(streams.reader.first_request())
        await turns()
        streams.reader.feed(b"no JSON\n")
        streams.feed(notification("a"))
        await turns()
        assert not finding.done()
        streams.feed(request(1), request(2))
        first = await finding
        assert isinstance(first, JSONRPCRequest)
        assert first.id == 1
        assert streams.waiting() == ["ValidationError", "a", 1, 2]

    run(test)

    async def none(streams: Streams) -> None:
        streams.reader.feed(b"")
        assert await streams.reader.first_request() is None

    run(none)

    async def flooded(streams: Streams) -> None:
        streams.feed(*[notification("a")] * MAX_WAITING)
        assert await streams.reader.first_request() is None, "which would never come"

    run(flooded)


def test_reading_pauses_while_much_waits_and_goes_on_at_half_of_it() -> None:
    async def test(streams: Streams) -> None:
        streams.feed(*[notification("a")] * (MAX_WAITING - 1))
        assert streams.pauses == []
        for _ in range(2):
            streams.feed(notification("a"))
            assert streams.pauses == ["pause"], "once"
        for _ in range(MAX_WAITING // 2):
            await streams.reader.receive()
        assert streams.pauses == ["pause"]
        await streams.reader.receive()
        assert streams.pauses == ["pause", "resume"]
        await streams.reader.receive()
        assert streams.pauses == ["pause", "resume"]
        streams.feed(*[notification("a")] * MAX_WAITING)
        assert streams.pauses == ["pause", "resume", "pause"]

    run(test)


# -- what is answered on the spot


def test_a_request_is_offered_on_the_spot_where_the_server_waits_for_nothing_else() -> None:
    async def test(streams: Streams) -> None:
        offered: list[Any] = []

        def at_once(message: JSONRPCRequest) -> bool:
            offered.append(message.id)
            return message.method == "fast"

        reader = streams.reader
        reader.at_once = at_once
        streams.feed(request(1, "fast"))
        assert offered == [], "the server does not wait"
        await reader.receive()
        streams.pending.answered(1, None)
        receiving = asyncio.create_task(reader.receive())
        await turns()
        streams.feed(request(2, "fast"), request(3, "fast"))
        assert offered == [2, 3]
        streams.feed([request(4, "fast")])
        assert offered == [2, 3], "the answers of a batch go together"
        assert streams.waiting() == [4]
        await receiving
        receiving = asyncio.create_task(reader.receive())
        await turns()
        streams.feed(request(5, "fast"))
        assert offered == [2, 3], "the one before has not begun"
        await receiving
        reader.begun(4)
        reader.begun(5)
        receiving = asyncio.create_task(reader.receive())
        await turns()
        streams.feed(request(6, "slow"), request(7, "fast"))
        assert offered == [2, 3, 6], "and none overtakes it"
        await receiving

    run(test)


def test_of_one_read_so_many_are_answered_on_the_spot_and_no_more() -> None:
    async def test(streams: Streams) -> None:
        streams.reader.at_once = lambda _: True
        for first in (1, 101):  # each read anew
            receiving = asyncio.create_task(streams.reader.receive())
            await turns()
            streams.feed(*(request(first + n) for n in range(MOST_AT_ONCE + 1)))
            assert streams.waiting() == [first + MOST_AT_ONCE]
            await receiving
            streams.pending.clear()

    run(test)


# -- batches, cancelling, the end


def test_a_batch_has_one_answer_once_all_its_requests_are_answered_or_cancelled() -> None:
    async def test(streams: Streams) -> None:
        written = streams.output.written
        broken = {"jsonrpc": "2.0", "id": 9, "method": 5}
        streams.feed([request(1), notification("n"), request("b"), broken, 7, request(3)])
        assert streams.waiting() == [1, "n", "b", "ValidationError", 3]
        await streams.answer(1)
        await streams.answer("b")
        assert written == []
        streams.feed(cancelled(3))
        (batch,) = written
        assert [(one["id"], "error" in one) for one in batch] == [
            (9, True),
            (None, True),
            (1, False),
            ("b", False),
        ]
        assert "a part of the batch is no message" in batch[1]["error"]["message"]
        await streams.answer(4)
        assert written[1:] == [{"jsonrpc": "2.0", "id": 4, "result": {}}], "of no batch"

    run(test)

    async def unreadable(streams: Streams) -> None:
        for line in (b"[]\n", b"[1,\n", b'[{"jsonrpc":"2.0","method":"n"}]\n'):
            streams.reader.feed(line)
        said = [one["error"]["message"].partition(":")[0] for one in streams.output.written]
        assert said == ["it is empty", "the batch cannot be read"]
        assert streams.waiting() == ["n"]

    run(unreadable)


@pytest.mark.parametrize("how", ["answer", "error", "cancel", "end", "clear"])
def test_the_end_of_input_waits_for_what_is_under_way(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdio_streams, "LAST_ANSWERS_SECONDS", 3_600.0)

    async def test(streams: Streams) -> None:
        streams.feed(request(1), request(2))
        await streams.reader.receive()
        await streams.reader.receive()
        if how == "cancel":  # a notification like any other for the server, too
            streams.feed(cancelled([1]), cancelled(3), cancelled(2))
            for _ in range(3):
                await streams.reader.receive()
        else:
            streams.pending.answered(2, None)
        streams.reader.feed(b"")
        receiving = asyncio.create_task(streams.reader.receive())
        await turns()
        assert not receiving.done()
        match how:
            case "answer":
                await streams.answer(1)
            case "error":
                failed = {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "m"}}
                await streams.writer.send(SessionMessage(JSONRPCError.model_validate(failed)))
            case "cancel":
                streams.pending.answered(1, None)
            case "end":
                streams.reader.end()
            case _:
                streams.pending.clear()
        with pytest.raises(anyio.EndOfStream):
            await receiving
        assert streams.pending.to_begin == set()

    run(test)


def test_the_end_of_input_waits_for_a_while_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio_streams, "LAST_ANSWERS_SECONDS", 0.01)

    async def test(streams: Streams) -> None:
        streams.feed(request(1))
        await streams.reader.receive()
        streams.reader.feed(b"")
        with pytest.raises(anyio.EndOfStream):
            await streams.reader.receive()

    run(test)


# -- writing


def test_a_message_waits_for_room_and_counts_as_answered_when_it_has_left() -> None:
    async def test(streams: Streams) -> None:
        output, writer = streams.output, streams.writer
        streams.feed(request(1))
        output.idle = False
        assert not writer.is_idle
        sending = asyncio.create_task(streams.answer(1))
        await turns()
        assert [one["id"] for one in output.written] == [1], "it is written at once"
        assert not sending.done()
        assert streams.pending._ids.keys() == {1}
        output.free.set()
        await sending
        assert streams.pending._ids.keys() == set()
        output.idle = True
        assert writer.is_idle
        said = SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="n"))
        await writer.send(said)
        assert output.written[1] == {"jsonrpc": "2.0", "method": "n"}
        async with writer:
            pass
        assert not writer.is_idle
        with pytest.raises(anyio.ClosedResourceError):
            await writer.send(said)
        assert len(output.written) == 2

    run(test)


def test_an_answer_of_a_batch_waits_for_the_others_and_for_no_room() -> None:
    async def test(streams: Streams) -> None:
        streams.output.idle = False
        streams.feed([request(1), request(2)])
        await streams.answer(1)
        assert streams.output.written == []
        await streams.answer(2)
        (batch,) = streams.output.written
        assert [one["id"] for one in batch] == [1, 2]

    run(test)


def test_an_answer_on_the_spot_is_written_whoever_reads_it_and_was_never_pending() -> None:
    async def test(streams: Streams) -> None:
        streams.feed(request(1))
        streams.writer.answer(2, {"a": 1})
        assert streams.output.written == [{"jsonrpc": "2.0", "id": 2, "result": {"a": 1}}]
        streams.output.is_broken = True
        streams.writer.answer(3, {})
        assert streams.pending._ids == {1: None}, "what others wait for they still wait for"

    run(test)
