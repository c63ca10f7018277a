"""The two descriptors of the stdio server, by the event loop and by threads: room, a client that
goes away, how they are given back.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_shim.transports import stdio_descriptors
from mcp_shim.transports.stdio_descriptors import (
    LoopOutput,
    ThreadOutput,
    choose_mode,
    open_transport,
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes are not waited for there")
BIG = b"x" * 300_000
PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'


class Pipe:
    """A pipe with both ends open until they are closed here."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self._open = {self.read_end, self.write_end}

    def close(self, *ends: int) -> None:
        for end in ends or tuple(self._open):
            self._open.discard(end)
            os.close(end)

    def read(self, count: int) -> bytes:
        """So many bytes; waits for them."""
        found = b""
        while len(found) < count:
            found += os.read(self.read_end, count - len(found))
        return found


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


@pytest.fixture
def other() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def is_watched(fd: int) -> bool:
    """Whether the loop waits for room in a pipe; it does no longer."""
    return asyncio.get_running_loop().remove_writer(fd)


@contextlib.contextmanager
def reader_ends() -> Iterator[None]:
    """At the end the thread that reads has seen its own, and reads from no other pipe of the same
    number.
    """
    before = {*threading.enumerate()}
    yield
    for thread in {*threading.enumerate()} - before:
        if thread.name == "stdio-reader":
            thread.join(600)


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


# -- writing by the event loop


def by_loop(pipe: Pipe, test: Callable[[LoopOutput, list[str]], Awaitable[None]]) -> None:
    async def body() -> None:
        os.set_blocking(pipe.write_end, False)
        broken: list[str] = []
        output = LoopOutput(pipe.write_end, lambda: broken.append("broken"))
        try:
            await test(output, broken)
        finally:
            output.close()

    asyncio.run(body())


def test_what_does_not_fit_follows_in_order_once_there_is_room(pipe: Pipe) -> None:
    async def test(output: LoopOutput, broken: list[str]) -> None:
        output.write(b"first\n")
        assert output.idle
        assert pipe.read(6) == b"first\n"
        await output.drained()
        output.write(BIG)
        assert not output.idle
        output.write(b"behind\n")
        draining = [asyncio.create_task(output.drained()) for _ in range(2)]
        draining[1].cancel()
        await asyncio.sleep(0)
        assert not draining[0].done()
        reading = asyncio.to_thread(pipe.read, len(BIG) + 7)
        assert await reading == BIG + b"behind\n"
        await draining[0]
        assert output.idle
        assert not is_watched(pipe.write_end), "a pipe with room wakes nobody"
        output.write(b"at once")
        assert pipe.read(7) == b"at once"
        assert broken == []

    by_loop(pipe, test)


def test_a_pipe_that_is_full_takes_nothing_and_loses_nothing(pipe: Pipe) -> None:
    async def test(output: LoopOutput, broken: list[str]) -> None:
        filled = 0
        for size in (4_096, 1):  # to the last byte
            with contextlib.suppress(BlockingIOError):
                while True:
                    filled += os.write(pipe.write_end, b"f" * size)
        output.write(b"abc")
        assert not output.idle
        output._on_writable()  # a wake-up for nothing
        assert not output.idle
        pipe.read(filled)
        await output.drained()
        assert pipe.read(3) == b"abc"
        assert broken == []

    by_loop(pipe, test)


def test_a_client_that_has_gone_is_noticed_by_the_next_line(pipe: Pipe) -> None:
    async def test(output: LoopOutput, broken: list[str]) -> None:
        pipe.close(pipe.read_end)
        with pytest.raises(anyio.BrokenResourceError):
            output.write(b"a")
        with pytest.raises(anyio.BrokenResourceError):
            output.write(b"b")
        assert broken == ["broken"], "once"
        assert output.idle

    by_loop(pipe, test)


def test_a_client_that_goes_while_a_line_waits_for_room_ends_the_waiting(pipe: Pipe) -> None:
    async def test(output: LoopOutput, broken: list[str]) -> None:
        output.write(BIG)
        draining = asyncio.create_task(output.drained())
        await asyncio.sleep(0)
        pipe.close(pipe.read_end)
        with pytest.raises(anyio.BrokenResourceError):
            await draining
        assert broken == ["broken"]
        assert (output.idle, output._rest) == (True, b"")
        assert not is_watched(pipe.write_end)

    by_loop(pipe, test)


# -- writing by a thread


def by_thread(pipe: Pipe, test: Callable[[ThreadOutput, list[str]], Awaitable[None]]) -> None:
    async def body() -> None:
        broken: list[str] = []
        output = ThreadOutput(pipe.write_end, lambda: broken.append("broken"))
        try:
            await test(output, broken)
        finally:
            output.close()
            output._thread.join(600)  # a busy machine gives it longer than `close` does
            assert not output._thread.is_alive()

    asyncio.run(body())


def test_a_thread_writes_in_order_and_is_waited_for(pipe: Pipe) -> None:
    async def test(output: ThreadOutput, broken: list[str]) -> None:
        assert output.idle
        await output.drained()
        output.write(BIG)
        output.write(b"behind\n")
        assert not output.idle
        draining = [asyncio.create_task(output.drained()) for _ in range(2)]
        await asyncio.sleep(0)
        draining[1].cancel()
        assert await asyncio.to_thread(pipe.read, len(BIG) + 7) == BIG + b"behind\n"
        await draining[0]
        assert output.idle
        assert broken == []

    by_thread(pipe, test)


def test_a_thread_that_finds_the_client_gone_says_so(pipe: Pipe) -> None:
    async def test(output: ThreadOutput, broken: list[str]) -> None:
        pipe.close(pipe.read_end)
        output.write(b"a")
        output.write(b"never")
        with pytest.raises(anyio.BrokenResourceError):
            await output.drained()
        assert (broken, output.idle) == (["broken"], True)
        with pytest.raises(anyio.BrokenResourceError):
            output.write(b"b")
        with pytest.raises(anyio.BrokenResourceError):
            await output.drained()

    by_thread(pipe, test)


# -- both


def test_the_loop_serves_pipes_and_sockets_and_threads_all_else(
    pipe: Pipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    one, two = socket.socketpair()
    try:
        for read_fd, write_fd, mode in (
            (pipe.read_end, pipe.write_end, "loop"),
            (one.fileno(), two.fileno(), "loop"),
            (pipe.read_end, one.fileno(), "loop"),
            (file, pipe.write_end, "threads"),
            (pipe.read_end, file, "threads"),
        ):
            assert choose_mode(read_fd, write_fd) == mode
        monkeypatch.setattr(stdio_descriptors.sys, "platform", "win32")
        assert choose_mode(pipe.read_end, pipe.write_end) == "threads"
    finally:
        os.close(file)
        one.close()
        two.close()


@pytest.mark.parametrize("mode", ["loop", "threads", None])
def test_descriptors_are_given_back_as_they_were(pipe: Pipe, other: Pipe, mode: Any) -> None:
    os.set_blocking(other.write_end, False)

    async def body() -> None:
        transport = open_transport(pipe.read_end, other.write_end, mode=mode)
        assert transport.mode == (mode or "loop")
        by_loop = transport.mode == "loop"
        assert os.get_blocking(pipe.read_end) is not by_loop
        os.write(pipe.write_end, PING)
        assert (await transport.reader.receive()).message.id == 1  # type: ignore[union-attr]
        transport.reader.answer(b"answer")
        await until(lambda: transport.writer.is_idle)
        assert other.read(6) == b"answer"
        transport.stop()
        with pytest.raises(anyio.EndOfStream):
            await transport.reader.receive()
        pipe.close(pipe.write_end)
        for _ in range(2):
            transport.close()
        loop = asyncio.get_running_loop()
        assert not loop.remove_reader(pipe.read_end)
        assert not loop.remove_writer(other.write_end)

    with reader_ends():
        asyncio.run(body())
    assert os.get_blocking(pipe.read_end)
    assert not os.get_blocking(other.write_end)


def test_a_pause_leaves_what_comes_in_the_pipe(pipe: Pipe, other: Pipe) -> None:
    async def body() -> None:
        transport = open_transport(pipe.read_end, other.write_end, mode="loop")
        reader = transport.reader
        reader.pause()
        os.write(pipe.write_end, PING)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not reader._items
        reader.resume()
        await reader.receive()
        reader._pending.clear()
        pipe.close(pipe.write_end)
        with pytest.raises(anyio.EndOfStream):
            await reader.receive()
        transport.close()

    asyncio.run(body())


@pytest.mark.parametrize("mode", ["loop", "threads"])
@pytest.mark.parametrize("fault", [errno.EIO, errno.EAGAIN])
def test_an_input_that_cannot_be_read_has_ended(
    pipe: Pipe, other: Pipe, mode: Any, fault: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for one that has nothing at the moment, of which the loop may be told in vain."""
    read = os.read
    faults = [fault]

    def failing(fd: int, count: int) -> bytes:
        if fd == pipe.read_end and faults:
            raise OSError(faults.pop(), "fault")
        return read(fd, count)

    async def body() -> None:
        monkeypatch.setattr(stdio_descriptors.os, "read", failing)
        os.write(pipe.write_end, PING)
        transport = open_transport(pipe.read_end, other.write_end, mode=mode)
        if fault == errno.EAGAIN and mode == "loop":
            assert (await transport.reader.receive()).message.id == 1  # type: ignore[union-attr]
        else:
            with pytest.raises(anyio.EndOfStream):
                await transport.reader.receive()
        transport.close()

    with reader_ends():
        asyncio.run(body())


WITHOUT_STANDARD_ERROR = """
import os, sys
from mcp_shim.transports.stdio_descriptors import claim_standard_streams
print("before")
os.close(2)
read_fd, write_fd = claim_standard_streams()
print("stray", flush=True)
os.system("echo of a child; echo to standard error >&2")
assert sys.stdin.read() == "", "nothing is read by others"
os.write(write_fd, b"said " + os.read(read_fd, 100))
"""


def test_what_others_print_goes_nowhere_where_there_is_no_standard_error() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_STANDARD_ERROR],
        input="asked\n",
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        cwd=Path(__file__).resolve().parents[3],
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "before\nsaid asked\n", "")
