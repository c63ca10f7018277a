"""The transport: lines out of bytes, messages out of lines, on the event loop and on
threads alike.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import anyio
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.message import SessionMessage
from mcp_types.jsonrpc import (
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)

from mcp_shim.transports.framing import (
    LineSplitter,
    MessageTooLong,
    encode_message,
    parse_message,
)
from mcp_shim.transports.stdio_descriptors import Mode, Transport, open_transport

MODES: list[Mode] = ["threads"] if os.name == "nt" else ["loop", "threads"]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.lists(
        st.binary(min_size=1, max_size=30).filter(
            lambda line: b"\n" not in line and not line.isspace()
        )
    ),
    st.lists(st.integers(1, 17), min_size=1),
)
def test_lines_come_out_as_they_went_in_however_the_bytes_are_cut(
    lines: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(line + b"\n" for line in lines)
    splitter = LineSplitter()
    found: list[bytes | MessageTooLong] = []
    position = number = 0
    while position < len(data):
        size = cuts[number % len(cuts)]
        found += splitter.feed(data[position : position + size])
        position, number = position + size, number + 1
    assert found == lines
    assert splitter.finish() is None


def test_a_last_line_without_its_end_is_a_line() -> None:
    splitter = LineSplitter()
    assert list(splitter.feed(b"one\ntwo")) == [b"one"]
    assert splitter.finish() == b"two"


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_an_overlong_line_is_reported_once_and_its_neighbours_stay(size: int) -> None:
    splitter = LineSplitter(limit=20)
    data = b"before\n" + b"x" * 200 + b"\nafter\n"
    found = [
        item
        for start in range(0, len(data), size)
        for item in splitter.feed(data[start : start + size])
    ]
    assert [item for item in found if isinstance(item, bytes)] == [b"before", b"after"]
    assert sum(isinstance(item, MessageTooLong) for item in found) == 1


@given(
    st.fixed_dictionaries(
        {"jsonrpc": st.just("2.0")},
        optional={
            "id": st.none()
            | st.integers()
            | st.text()
            | st.floats(allow_nan=False)
            | st.booleans(),
            "method": st.text() | st.integers(),
            "params": JSON,
            "result": JSON,
            "error": JSON | st.just({"code": 1, "message": "m"}),
        },
    )
)
def test_a_message_is_what_the_sdks_own_parser_makes_of_it(message: dict[str, object]) -> None:
    try:
        line = orjson.dumps(message)
    except TypeError:  # lone surrogates and integers that orjson does not write
        return
    found = parse_message(line)
    try:
        expected = jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:
        assert isinstance(found, ValueError)
    else:
        assert type(found) is type(expected)
        assert found == expected


@given(st.dictionaries(st.text(), JSON), st.integers() | st.text())
def test_an_answer_is_written_as_the_sdk_writes_it(
    result: dict[str, object], id: int | str
) -> None:
    message = JSONRPCResponse(jsonrpc="2.0", id=id, result=result)
    try:
        expected = message.model_dump_json(by_alias=True, exclude_unset=True)
    except ValueError:  # a lone surrogate
        return
    line = encode_message(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert jsonrpc_message_adapter.validate_json(line) == jsonrpc_message_adapter.validate_json(
        expected
    )


def test_fragments_are_written_as_they_stand_even_where_orjson_cannot_write_the_rest() -> None:
    for id in (1, 10**40):
        message = JSONRPCResponse(
            jsonrpc="2.0", id=id, result={"structuredContent": orjson.Fragment(b'{"a":[1]}')}
        )
        found = jsonrpc_message_adapter.validate_json(encode_message(message))
        assert isinstance(found, JSONRPCResponse)
        assert (found.id, found.result) == (id, {"structuredContent": {"a": [1]}})


class Pipes:
    """A transport with both far ends in the test's hands."""

    def __init__(self, mode: Mode) -> None:
        server_in, self.to_server = os.pipe()
        self.from_server, server_out = os.pipe()
        self._ours = [server_in, server_out]
        self.transport: Transport = open_transport(server_in, server_out, mode=mode)

    def close(self) -> None:
        self.transport.close()
        for fd in (self.to_server, self.from_server, *self._ours):
            if fd >= 0:
                os.close(fd)


def with_pipes(mode: Mode, test: Callable[[Pipes], object]) -> None:
    async def run() -> None:
        pipes = Pipes(mode)
        try:
            await test(pipes)  # type: ignore[misc]
        finally:
            os.close(pipes.to_server)
            pipes.to_server = -1
            await asyncio.sleep(0.05)  # the reading thread sees the end
            pipes.close()

    asyncio.run(run())


@pytest.mark.parametrize("mode", MODES)
def test_messages_pass_both_ways_in_order(mode: Mode) -> None:
    async def test(pipes: Pipes) -> None:
        for number in range(50):
            os.write(
                pipes.to_server, b'{"jsonrpc":"2.0","id":%d,"method":"ping"}\nno JSON\n' % number
            )
        reader, writer = pipes.transport.reader, pipes.transport.writer
        assert (await reader.first_request()) is not None
        for number in range(50):
            item = await reader.receive()
            assert isinstance(item, SessionMessage)
            assert isinstance(item.message, JSONRPCRequest)
            assert item.message.id == number
            assert isinstance(await reader.receive(), Exception)
            await writer.send(SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=number, result={})))
        lines = (await asyncio.to_thread(os.read, pipes.from_server, 65_536)).splitlines()
        assert [orjson.loads(line)["id"] for line in lines] == list(range(50))

    with_pipes(mode, test)


@pytest.mark.parametrize("mode", MODES)
def test_a_full_pipe_holds_the_writer_and_loses_nothing(mode: Mode) -> None:
    async def test(pipes: Pipes) -> None:
        big = SessionMessage(
            JSONRPCNotification(jsonrpc="2.0", method="m", params={"text": "x" * 300_000})
        )
        sending = asyncio.gather(*(pipes.transport.writer.send(big) for _ in range(4)))
        await asyncio.sleep(0.1)
        assert not sending.done()
        received = b""
        while received.count(b"\n") < 4:
            received += await asyncio.to_thread(os.read, pipes.from_server, 1 << 20)
        await sending
        assert len({len(line) for line in received.splitlines()}) == 1

    with_pipes(mode, test)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_written_while_a_line_waits_for_room_comes_after_it(mode: Mode) -> None:
    """The client makes room between the two: the second must not go where the first is not done."""

    async def test(pipes: Pipes) -> None:
        answer = pipes.transport.reader.answer
        lines = [letter * 300_000 + b"\n" for letter in (b"a", b"b")] + [b"c\n"]
        received = b""
        for line in lines:
            answer(line)
            received += os.read(pipes.from_server, 1 << 14)  # at once: nothing fills it meanwhile
            answer(b"between\n")
        while received.count(b"\n") < 6:
            received += await asyncio.to_thread(os.read, pipes.from_server, 1 << 20)
        assert received.splitlines(True) == [
            part for line in lines for part in (line, b"between\n")
        ]

    with_pipes(mode, test)


@pytest.mark.parametrize("mode", MODES)
def test_a_flood_stops_the_reading_until_the_server_catches_up(mode: Mode) -> None:
    async def test(pipes: Pipes) -> None:
        line = b'{"jsonrpc":"2.0","method":"notifications/x"}\n'

        def flood() -> None:
            for _ in range(5_000):
                os.write(pipes.to_server, line)

        flooding = asyncio.create_task(asyncio.to_thread(flood))
        await asyncio.sleep(0.2)
        for _ in range(5_000):
            assert isinstance(await pipes.transport.reader.receive(), SessionMessage)
        await flooding

    with_pipes(mode, test)


@pytest.mark.parametrize("mode", MODES)
def test_the_end_of_input_comes_after_the_last_answer(mode: Mode) -> None:
    async def test(pipes: Pipes) -> None:
        os.write(pipes.to_server, b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
        reader = pipes.transport.reader
        await reader.receive()
        os.close(pipes.to_server)
        pipes.to_server = os.open(os.devnull, os.O_WRONLY)
        ending = asyncio.create_task(reader.receive())
        await asyncio.sleep(0.1)
        assert not ending.done()
        answer = SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=1, result={}))
        await pipes.transport.writer.send(answer)
        with pytest.raises(anyio.EndOfStream):
            await ending

    with_pipes(mode, test)


@pytest.mark.parametrize("mode", MODES)
def test_a_client_that_went_away_ends_the_input(mode: Mode) -> None:
    async def test(pipes: Pipes) -> None:
        os.close(pipes.from_server)
        pipes.from_server = -1
        message = SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="m"))

        async def send_some() -> None:
            for _ in range(3):
                await pipes.transport.writer.send(message)

        with pytest.raises(anyio.BrokenResourceError):
            await send_some()
        with pytest.raises(anyio.EndOfStream):
            await pipes.transport.reader.receive()

    with_pipes(mode, test)
