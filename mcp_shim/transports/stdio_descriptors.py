"""Reading and writing the two descriptors of standard input and output.

Where both are pipes (a client that starts a server uses pipes) the event loop reads and writes them
itself: no thread stands between a client and its answer. Everywhere else (Windows, a terminal, a
file) one thread reads and one writes. The SDK's own `stdio_server` hops to a thread three times a
call.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import stat
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import anyio

from mcp_shim.transports.stdio_streams import MessageReader, MessageWriter, Output, Pending

Mode = Literal["loop", "threads"]

READ_BYTES: Final = 64 * 1024
"""What a pipe holds as a rule. The interpreter makes room for all of it before each read: from
128 KiB on that is memory mapped, moved and given back, three system calls for each message.
"""


class LoopOutput(Output):
    """Writes a non-blocking descriptor; what does not fit waits until the event loop finds it
    writable.
    """

    def __init__(self, fd: int, on_broken: Callable[[], None]) -> None:
        self._fd = fd
        self._on_broken = on_broken
        self._rest = bytearray()
        self._broken = False
        self._waiters: list[asyncio.Future[None]] = []
        self._loop = asyncio.get_running_loop()

    def write(self, data: bytes) -> None:
        if self._broken:
            raise anyio.BrokenResourceError
        if self._rest:
            self._rest += data
            return
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:
            written = 0
        except OSError:
            self._break()
            raise anyio.BrokenResourceError from None
        if written < len(data):
            self._rest += memoryview(data)[written:]
            self.idle = False
            self._loop.add_writer(self._fd, self._on_writable)

    def _on_writable(self) -> None:
        try:
            written = os.write(self._fd, self._rest)
        except BlockingIOError:
            return
        except OSError:
            self._break()
            return
        del self._rest[:written]
        if not self._rest:
            self._loop.remove_writer(self._fd)
            self._release()

    async def drained(self) -> None:
        if self.idle:
            return
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter
        if self._broken:
            raise anyio.BrokenResourceError

    def _release(self) -> None:
        self.idle = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def _break(self) -> None:
        self._broken = True
        self._loop.remove_writer(self._fd)
        self._rest.clear()
        self._release()
        self._on_broken()

    def close(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._loop.remove_writer(self._fd)


class ThreadOutput(Output):
    """One thread writes, in order. `drained` returns once it has written everything."""

    def __init__(self, fd: int, on_broken: Callable[[], None]) -> None:
        self._fd = fd
        self._on_broken = on_broken
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._outstanding = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._broken = False
        self._thread = threading.Thread(target=self._run, name="stdio-writer", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        if self._broken:
            raise anyio.BrokenResourceError
        self.idle = False
        self._outstanding += 1
        self._queue.put(data)

    def _run(self) -> None:
        while (data := self._queue.get()) is not None:
            failed = False
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(self._fd, view) :]
            except OSError:
                failed = True
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._written, failed)
            if failed:
                return

    def _written(self, failed: bool) -> None:
        self._outstanding -= 1
        if failed:
            self._broken = True
            self._on_broken()
        if failed or not self._outstanding:
            self.idle = True
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiters.clear()

    async def drained(self) -> None:
        if not self.idle:
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter
        if self._broken:
            raise anyio.BrokenResourceError

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join(1.0)


@dataclass(slots=True)
class Transport:
    """An open pair of streams. `stop` ends the input, `close` gives the descriptors back."""

    reader: MessageReader
    writer: MessageWriter
    mode: Mode
    _closers: list[Callable[[], None]]

    def stop(self) -> None:
        self.reader.end()

    def close(self) -> None:
        for closer in reversed(self._closers):
            closer()
        self._closers.clear()


def choose_mode(read_fd: int, write_fd: int) -> Mode:
    """`loop` where the event loop can wait for both descriptors and no other process shares their
    blocking mode.
    """
    if sys.platform == "win32":
        return "threads"
    kinds = [os.fstat(fd).st_mode for fd in (read_fd, write_fd)]
    return (
        "loop" if all(stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) for kind in kinds) else "threads"
    )


def open_transport(read_fd: int, write_fd: int, *, mode: Mode | None = None) -> Transport:
    """Streams over two descriptors, to be used on the running event loop."""
    chosen = mode or choose_mode(read_fd, write_fd)
    pending = Pending()
    reader = MessageReader(pending)
    if chosen == "loop":
        return _on_loop(read_fd, write_fd, reader, pending)
    return _on_threads(read_fd, write_fd, reader, pending)


def _on_loop(read_fd: int, write_fd: int, reader: MessageReader, pending: Pending) -> Transport:
    loop = asyncio.get_running_loop()
    blocking = [(fd, os.get_blocking(fd)) for fd in (read_fd, write_fd)]
    for fd, _ in blocking:
        os.set_blocking(fd, False)

    def on_readable() -> None:
        try:
            data = os.read(read_fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            loop.remove_reader(read_fd)
        reader.feed(data)

    output = LoopOutput(write_fd, reader.end)
    reader.answer = output.write

    def pause() -> None:
        loop.remove_reader(read_fd)

    reader.pause = pause
    reader.resume = lambda: loop.add_reader(read_fd, on_readable)
    loop.add_reader(read_fd, on_readable)

    def close() -> None:
        loop.remove_reader(read_fd)
        output.close()
        for fd, was in blocking:
            with contextlib.suppress(OSError):
                os.set_blocking(fd, was)

    return Transport(reader, MessageWriter(output, pending), "loop", [close])


def _on_threads(read_fd: int, write_fd: int, reader: MessageReader, pending: Pending) -> Transport:
    loop = asyncio.get_running_loop()
    open_for_reading = threading.Event()
    open_for_reading.set()
    reader.pause = open_for_reading.clear
    reader.resume = open_for_reading.set

    def read() -> None:
        while True:
            open_for_reading.wait()
            try:
                data = os.read(read_fd, READ_BYTES)
            except OSError:
                data = b""
            try:
                loop.call_soon_threadsafe(reader.feed, data)
            except RuntimeError:  # the loop has ended
                return
            if not data:
                return

    output = ThreadOutput(write_fd, reader.end)
    reader.answer = output.write
    # A daemon: it may wait in `read` for ever, and the process must be able to end.
    threading.Thread(target=read, name="stdio-reader", daemon=True).start()
    return Transport(reader, MessageWriter(output, pending), "threads", [output.close])


def claim_standard_streams() -> tuple[int, int]:
    """Private descriptors for the protocol; 0 then reads nothing and 1 writes to standard error.

    So that a stray print, here or in a child, cannot break the protocol. Both numbers stay valid
    until the process ends.
    """
    sys.stdout.flush()
    try:
        os.fstat(2)
    except OSError:  # no standard error: else its number, the next that is free, would be ours
        _open_nothing(2, os.O_WRONLY)
    read_fd, write_fd = os.dup(0), os.dup(1)
    _open_nothing(0, os.O_RDONLY)
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        for fd in (read_fd, write_fd):
            msvcrt.setmode(fd, os.O_BINARY)
    return read_fd, write_fd


def _open_nothing(fd: int, flags: int) -> None:
    """Have a descriptor, that children inherit, lead nowhere."""
    nothing = os.open(os.devnull, flags)
    os.dup2(nothing, fd)
    if nothing == fd:
        os.set_inheritable(fd, True)
    else:
        os.close(nothing)
