"""A call of a tool over standard input, answered where it is read.

The SDK's dispatcher gives each request a task of its own, with a cancel scope and an event, by way
of two turns of the event loop: more than half of what a short call costs. Nearly every call of ours
ends without ever waiting. So it is begun on the spot, by the SDK's runner, and where it does end
its answer leaves at once. One that has to wait, or that fails, goes on in the SDK's dispatcher from
where it stands: cancelling, the words of an error and the end of input are the dispatcher's own.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator, Mapping
from functools import partial
from types import coroutine
from typing import Any, Final

import anyio
import anyio.abc
from mcp.server.connection import Connection
from mcp.server.lowlevel.server import Server
from mcp.server.models import InitializationOptions
from mcp.server.runner import serve_connection
from mcp.shared.dispatcher import (
    CallOptions,
    DispatchContext,
    Dispatcher,
    OnNotify,
    OnNotifyIntercept,
    OnRequest,
)
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.transport_context import TransportContext
from mcp_types import RequestId
from mcp_types.jsonrpc import JSONRPCRequest

from mcp_shim.transports.stdio_streams import MessageReader, MessageWriter

Result = dict[str, Any]

_PIPE: Final = TransportContext(kind="jsonrpc", can_send_request=True)


async def serve_handshake(
    server: Server[Any],
    reader: MessageReader,
    writer: MessageWriter,
    *,
    lifespan_state: Any,
    init_options: InitializationOptions,
) -> None:
    """The SDK's `serve_loop`, with calls of tools answered at once where they can be."""
    # `initialize` in the loop that reads, as there: what a client sends behind it finds it done.
    inner = JSONRPCDispatcher[TransportContext](
        reader, writer, inline_methods=frozenset({"initialize"})
    )
    await serve_connection(
        server,
        _AtOnce(inner, reader, writer),
        connection=Connection.for_loop(inner),
        lifespan_state=lifespan_state,
        init_options=init_options,
    )


class _Outward:
    """What goes to the client on the server's own account: by way of the dispatcher."""

    __slots__ = ("_inner",)

    def __init__(self, inner: JSONRPCDispatcher[TransportContext]) -> None:
        self._inner = inner

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> Result:
        return await self._inner.send_raw_request(method, params, opts)

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        await self._inner.notify(method, params, opts)


class _AtOnce(_Outward, Dispatcher[TransportContext]):
    """The dispatcher `inner`, but for calls that end without waiting."""

    def __init__(
        self,
        inner: JSONRPCDispatcher[TransportContext],
        reader: MessageReader,
        writer: MessageWriter,
    ) -> None:
        super().__init__(inner)
        self._reader = reader
        self._writer = writer
        self._begun: dict[RequestId, Coroutine[Any, Any, Result]] = {}
        """Calls that have been begun and are on their way to the dispatcher, by their ids."""

    async def run(
        self,
        on_request: OnRequest,
        on_notify: OnNotify,
        on_notify_intercept: OnNotifyIntercept | None = None,
        *,
        task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        async def go_on(
            context: DispatchContext[TransportContext],
            method: str,
            params: Mapping[str, Any] | None,
        ) -> Result:
            begun = None
            if context.request_id is not None:
                self._reader.begun(context.request_id)
                begun = self._begun.pop(context.request_id, None)
            return await (on_request(context, method, params) if begun is None else begun)

        self._reader.at_once = partial(self._answer, on_request)
        try:
            await self._inner.run(go_on, on_notify, on_notify_intercept, task_status=task_status)
        finally:
            for begun in self._begun.values():
                begun.close()

    def _answer(self, on_request: OnRequest, request: JSONRPCRequest) -> bool:
        """Answer a call, or begin it; whether it has been answered."""
        params = request.params
        if (
            request.method != "tools/call"
            or params is None
            or "_meta" in params  # progress is reported from a task of the dispatcher's
            or request.id in self._begun
            or not self._writer.is_idle
        ):
            return False
        exchange = _Exchange(self._inner, request.id)
        call: Coroutine[Any, Any, Result] = on_request(exchange, request.method, params)  # type: ignore[assignment]
        try:
            waits_for = call.send(None)
        except StopIteration as ended:
            self._writer.answer(request.id, ended.value)
            return True
        except Exception as error:  # noqa: BLE001 - the dispatcher says it to the client
            self._begun[request.id] = _failed(error)
        else:
            self._begun[request.id] = _going_on(call, waits_for)
        return False


async def _failed(error: Exception) -> Result:
    raise error


@coroutine
def _rest(call: Coroutine[Any, Any, Result], waits_for: Any) -> Generator[Any, Any, Result]:
    """A call from where it stands: it has been begun, and waits."""
    try:
        while True:
            try:
                sent = yield waits_for
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - into the call, where it is waited
                waits_for = call.throw(error)
            else:
                waits_for = call.send(sent)
    except StopIteration as ended:
        result: Result = ended.value
        return result
    finally:
        call.close()


async def _going_on(call: Coroutine[Any, Any, Result], waits_for: Any) -> Result:
    return await _rest(call, waits_for)


class _Exchange(_Outward):
    """The SDK's `DispatchContext` of one call."""

    __slots__ = ("_cancel_requested", "request_id")

    transport = _PIPE
    can_send_request = True
    message_metadata = None

    def __init__(self, inner: JSONRPCDispatcher[TransportContext], request_id: RequestId) -> None:
        self._inner = inner
        self.request_id = request_id
        self._cancel_requested: anyio.Event | None = None

    @property
    def cancel_requested(self) -> anyio.Event:
        if self._cancel_requested is None:
            self._cancel_requested = anyio.Event()
        return self._cancel_requested

    async def progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        """Nobody asked for it: a call that does is not begun at once."""
