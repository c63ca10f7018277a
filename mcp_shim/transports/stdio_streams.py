"""The pair of message streams that the SDK serves (`ReadStream` and `WriteStream` of
`SessionMessage`, its extension point for transports), over lines of bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import RequestId
from mcp_types.jsonrpc import (
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
)

from mcp_shim.transports.framing import (
    Batch,
    LineSplitter,
    MessageTooLong,
    encode_message,
    encode_result,
    normalise,
    parse_message,
    refuse,
    refuse_batch,
    split_batch,
)

logger = logging.getLogger(__name__)

CANCELLED: Final = "notifications/cancelled"
MOST_AT_ONCE: Final = 16
"""So many calls of one read are answered on the spot; those behind them take their turn in the
event loop.
"""
MAX_WAITING: Final = 1_000
"""Pause reading once this many messages are queued, until the server has caught up."""
LAST_ANSWERS_SECONDS: Final = 2.0
"""After the end of input, the calls under way may take this long."""


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
        self.at_once: Callable[[JSONRPCRequest], bool] = lambda _: False
        """Answers a request before it is queued; whether it has. Asked while nothing else waits."""
        self._at_once = 0
        """How many of one read have been answered so."""
        self.on_read: Callable[[], None] = lambda: None
        """Called before what was read is taken."""
        self.on_taken: Callable[[], None] = lambda: None
        """Called when it has been, and the answers that were ready have left."""

    def feed(self, data: bytes) -> None:
        """Take what was read; empty bytes mean the end of input."""
        if self._ended:
            return
        self.on_read()
        try:
            self._feed(data)
        finally:
            self.on_taken()

    def _feed(self, data: bytes) -> None:
        self._at_once = 0
        if data:
            for line in self._splitter.feed(data):
                if type(line) is bytes and line.startswith(b"{"):
                    self._parse(line, self._say)
                else:
                    self._take(line)
        else:
            rest = self._splitter.finish()
            if rest is not None:
                self._take(rest)
            self._ended = True
        if len(self._items) >= MAX_WAITING and not self._paused:
            self._paused = True
            self.pause()
        if self._items or self._ended:
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
        if type(item) is JSONRPCRequest:
            if batch is None and self._takes_at_once and self.at_once(item):
                self._at_once += 1
                return
            self._pending.add(item.id, batch)
            self._pending.to_begin.add(item.id)
        elif (refusal := refuse(line, item)) is not None:
            answer(refusal)
            return
        elif batch is not None and isinstance(item, Exception):
            answer(refuse_batch("a part of the batch is no message"))
        elif isinstance(item, JSONRPCNotification) and item.method == CANCELLED:
            # A cancelled call is never answered: nobody waits for it any more.
            self._pending.answered((item.params or {}).get("requestId"), None)
        self._items.append(item if isinstance(item, Exception) else SessionMessage(item))

    @property
    def _takes_at_once(self) -> bool:
        """Whether all that came before has been begun, and the server waits for more."""
        return (
            self._waiter is not None
            and not self._items
            and not self._pending.to_begin
            and self._at_once < MOST_AT_ONCE
        )

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

    def begun(self, request_id: RequestId) -> None:
        """The server works on it now; what comes behind it may be answered at once again."""
        self._pending.to_begin.discard(request_id)

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
        self.to_begin: set[object] = set()
        """Those that were left to the server and whose work has not begun. None overtakes them."""

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
        self.to_begin.discard(request_id)
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
        self.to_begin.clear()
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

    @property
    def is_idle(self) -> bool:
        """Whether a message would leave at once."""
        return self._output.idle and not self._closed

    def answer(self, request_id: RequestId, result: dict[str, Any]) -> None:
        """Answer a request that is not pending, while the stream is idle."""
        line = encode_result(request_id, result)
        try:  # noqa: SIM105 - on every call, and a context manager costs more than the attempt
            self._output.write(line)
        except anyio.BrokenResourceError:  # the client is gone
            pass

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
