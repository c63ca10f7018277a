"""Standard input and output: serving one client over the pair of message streams that the SDK
serves.

Where both are pipes (a client that starts a server uses pipes) the event loop reads and writes them
itself: no thread stands between a client and its answer. Everywhere else (Windows, a terminal, a
file) one thread reads and one writes. The SDK's own `stdio_server` hops to a thread three times a
call; what this module exchanges with the SDK is the same (`ReadStream` and `WriteStream` of
`SessionMessage`, its extension point for transports).
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import logging
import os
import queue
import signal
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self

import anyio
from mcp.server.runner import serve_loop
from mcp.shared.message import SessionMessage
from mcp_types.jsonrpc import (
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
)

from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.core.identity import stdio_caller
from mcp_shim.app import App
from mcp_shim.server import McpServer
from mcp_shim.session import Session
from mcp_shim.transports.framing import (
    Batch,
    LineSplitter,
    MessageTooLong,
    encode_message,
    normalise,
    parse_message,
    refuse,
    refuse_batch,
    split_batch,
)

logger = logging.getLogger(__name__)

Mode = Literal["loop", "threads"]

TICK_SECONDS: Final = 5.0
END_SECONDS: Final = 5.0
"""The process is gone this long after a signal or the end of input."""
READ_BYTES: Final = 256 * 1024
CANCELLED: Final = "notifications/cancelled"
MAX_WAITING: Final = 1_000
"""Pause reading once this many messages are queued, until the server has caught up."""
LAST_ANSWERS_SECONDS: Final = 2.0
"""After the end of input, the calls under way may take this long."""


# -- serving


def serve(settings: Settings, home: StateDirectory) -> None:
    """Serve one client until its input ends or a signal comes."""
    asyncio.run(_serve(settings, home))


async def _serve(settings: Settings, home: StateDirectory) -> None:
    loop = asyncio.get_running_loop()
    app = App.open(settings, home)
    session = Session(app, stdio_caller(settings))
    server = McpServer(app, lambda _: session, fragments=True)
    transport = open_transport(*claim_standard_streams())
    reason = "end_of_input"

    def stop(name: str) -> None:
        nonlocal reason
        reason = name
        transport.stop()
        _end_by_force()

    async def tick() -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for step in (app.tick, server.announce):
                try:
                    if (waiting := step()) is not None:
                        await waiting
                except Exception:  # the top of a loop: the next round tries again
                    logger.exception("tick failed")

    _on_signals(loop, stop)
    # What has been made so far lives as long as the process: the collector need not look at it
    # again.
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()
    ticker = asyncio.create_task(tick())
    with contextlib.ExitStack() as end:  # each step runs, whatever another does
        end.callback(transport.close)
        end.callback(app.close)
        end.callback(lambda: session.end(reason))
        end.callback(ticker.cancel)
        await serve_streams(server, transport.reader, transport.writer)


async def serve_streams(server: McpServer, reader: MessageReader, writer: MessageWriter) -> None:
    """Serve the connection until its input ends.

    The SDK's driver for both protocol eras relays every message through one more task, because it
    must see the first request before it can choose. Here the transport shows it that request, and
    the SDK's driver for the handshake era serves what opens with a handshake.
    """
    sdk = server.sdk
    opening = await reader.first_request()
    if opening is None or opening.method != "initialize":
        await sdk.run(reader, writer, server.options)
        return
    async with sdk.lifespan(sdk) as state:
        await serve_loop(sdk, reader, writer, lifespan_state=state, init_options=server.options)


def _on_signals(loop: asyncio.AbstractEventLoop, stop: Callable[[str], None]) -> None:
    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is None:
            continue
        try:
            loop.add_signal_handler(number, stop, name)
        except (NotImplementedError, RuntimeError):  # Windows
            signal.signal(number, lambda *_, name=name: loop.call_soon_threadsafe(stop, name))


def _end_by_force() -> None:
    """Start a watchdog that ends the process if its orderly end takes too long."""

    def watch() -> None:
        time.sleep(END_SECONDS - 0.5)
        os._exit(1)

    threading.Thread(target=watch, name="end-by-force", daemon=True).start()


# -- streams


class _Stream:
    """What both streams need as asynchronous context managers."""

    async def aclose(self) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        await self.aclose()
        return None


class MessageReader(_Stream):
    """`ReadStream` of the SDK. Filled by `feed` on the event loop, emptied by the SDK's loop."""

    def __init__(self, pending: Pending, answer: Callable[[bytes], None] = lambda _: None) -> None:
        self.answer = answer
        """Sends a line to the client, for what never reaches the server."""
        self._items: deque[SessionMessage | Exception] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._pending = pending
        self._splitter = LineSplitter()
        self.last_context = contextvars.copy_context()
        """Every message is handled in this context: a pipe has one sender."""
        self.pause: Callable[[], None] = lambda: None
        self.resume: Callable[[], None] = lambda: None
        self._paused = False

    def feed(self, data: bytes) -> None:
        """Take what was read; empty bytes mean the end of input."""
        if self._ended:
            return
        if data:
            for line in self._splitter.feed(data):
                self._take(line)
        else:
            rest = self._splitter.finish()
            if rest is not None:
                self._take(rest)
            self._ended = True
        if len(self._items) >= MAX_WAITING and not self._paused:
            self._paused = True
            self.pause()
        self._wake()

    def end(self) -> None:
        """Take no more input: a signal came, or the client went away."""
        self._ended = True
        self._pending.clear()
        self._wake()

    def _take(self, line: bytes | MessageTooLong) -> None:
        if isinstance(line, MessageTooLong):
            logger.warning("message too long", extra={"facts": {"problem": str(line)}})
            self._parse(line, self._say)
            return
        line = normalise(line)
        if line[:1] == b"[":
            self._take_batch(line)
        elif line:
            self._parse(line, self._say)

    def _parse(
        self,
        line: bytes | MessageTooLong,
        answer: Callable[[bytes], None],
        batch: Batch | None = None,
    ) -> None:
        """Queue a line's message for the server; what cannot be served gets an error answer."""
        item = line if isinstance(line, MessageTooLong) else parse_message(line)
        message = item.message if isinstance(item, SessionMessage) else None
        if isinstance(message, JSONRPCRequest):
            self._pending.add(message.id, batch)
        elif (refusal := refuse(line, item)) is not None:
            answer(refusal)
            return
        elif batch is not None and message is None:
            answer(refuse_batch("a part of the batch is no message"))
        elif isinstance(message, JSONRPCNotification) and message.method == CANCELLED:
            # A cancelled call is never answered: nobody waits for it any more.
            self._pending.answered((message.params or {}).get("requestId"), None)
        self._items.append(item)

    def _take_batch(self, line: bytes) -> None:
        parts = split_batch(line)
        if not parts:
            self._say(refuse_batch("the batch cannot be read" if parts is None else "it is empty"))
            return
        batch = Batch(self._say)
        for part in parts:
            self._parse(part, batch.add, batch)
        batch.finish()

    def _say(self, line: bytes) -> None:
        with contextlib.suppress(anyio.BrokenResourceError):
            self.answer(line)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def first_request(self) -> JSONRPCRequest | None:
        """The client's first request, left in the queue; None if the input ends without one."""
        while True:
            for item in self._items:
                if isinstance(item, SessionMessage) and isinstance(item.message, JSONRPCRequest):
                    return item.message
            if self._ended or self._paused:
                return None
            await self._more()

    async def _more(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def receive(self) -> SessionMessage | Exception:
        while not self._items:
            if self._ended:
                await self._pending.empty(LAST_ANSWERS_SECONDS)
                raise anyio.EndOfStream
            await self._more()
        item = self._items.popleft()
        if self._paused and len(self._items) <= MAX_WAITING // 2:
            self._paused = False
            self.resume()
        return item

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self._ended = True


class Pending:
    """Which requests have not been answered, and which of them belong to a batch.

    At the end of input they are given a moment, so that `… | cdesk mcp` gets its answers.
    """

    def __init__(self) -> None:
        self._ids: dict[object, Batch | None] = {}
        self._waiter: asyncio.Future[None] | None = None

    def add(self, request_id: object, batch: Batch | None = None) -> None:
        self._ids[request_id] = batch
        if batch is not None:
            batch.waiting.add(request_id)

    def batch_of(self, request_id: object) -> Batch | None:
        return self._ids.get(request_id)

    def answered(self, request_id: object, answer: bytes | None) -> None:
        """Forget a request. `answer` goes into its batch, if it has one (None: it gets none)."""
        if not isinstance(request_id, str | int):
            return
        batch = self._ids.pop(request_id, None)
        if batch is not None:
            batch.waiting.discard(request_id)
            batch.add(answer)
            batch.finish()
        self._tell()

    def _tell(self) -> None:
        if not self._ids and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def clear(self) -> None:
        self._ids.clear()
        self._tell()

    async def empty(self, seconds: float) -> None:
        """Return once all are answered, or after `seconds`."""
        if not self._ids:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._waiter, seconds)


class MessageWriter(_Stream):
    """`WriteStream` of the SDK: a message is one write, where the pipe takes it."""

    def __init__(self, output: Output, pending: Pending) -> None:
        self._output = output
        self._pending = pending
        self._closed = False

    async def send(self, item: SessionMessage, /) -> None:
        """Hand one message to the pipe; waits only while the pipe is full.

        Raises:
            anyio.ClosedResourceError, anyio.BrokenResourceError: the stream is closed, the client
            is gone.
        """
        if self._closed:
            raise anyio.ClosedResourceError
        message = item.message
        line = encode_message(message)
        answered = message.id if isinstance(message, JSONRPCResponse | JSONRPCError) else None
        if answered is None or self._pending.batch_of(answered) is None:
            self._output.write(line)
            if not self._output.idle:
                await self._output.drained()
        self._pending.answered(answered, line)

    async def aclose(self) -> None:
        self._closed = True


class Output:
    """Where encoded lines go. `write` never blocks; `idle` is false while lines wait for room."""

    idle = True

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    async def drained(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


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


# -- opening


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
    read_fd, write_fd = os.dup(0), os.dup(1)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    try:
        os.dup2(2, 1)
    except OSError:  # no standard error: stray output goes nowhere
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.close(sink)
    if sys.platform == "win32":
        import msvcrt

        for fd in (read_fd, write_fd):
            msvcrt.setmode(fd, os.O_BINARY)
    return read_fd, write_fd
