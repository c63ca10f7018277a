"""A call of a tool in a handshake revision of the protocol, answered in the task it came in.

The SDK serves those revisions over streams: each request that has no session there gets a
transport, a dispatcher and half a dozen tasks of its own, which is most of what a call costs. For
2026-07-28 it answers on the spot, and so does this, by the same runner, for the one method that is
asked all day. What is not plainly such a request goes the SDK's way, its refusals included.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import anyio
import mcp_types as types
from mcp.server.connection import Connection
from mcp.server.lowlevel.server import Server
from mcp.server.runner import ServerRunner
from mcp.server.streamable_http import check_accept_headers
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp.shared.jsonrpc_dispatcher import handler_exception_to_error_data
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.responses import Response

from mcp_shim.transports.framing import encode_message

logger = logging.getLogger(__name__)

JSON_TYPE: Final = "application/json"
_TRANSPORT: Final = TransportContext(kind="streamable-http", can_send_request=False)


def plain_call(request: Request, body: bytes) -> types.JSONRPCRequest | None:
    """The call of a tool that a request is, or None where the SDK has to look at it."""
    headers = request.headers
    if _version(request) not in HANDSHAKE_PROTOCOL_VERSIONS:
        return None
    if headers.get("content-type", "").partition(";")[0].strip() != JSON_TYPE:
        return None
    if not check_accept_headers(request)[0]:
        return None
    try:
        message = types.jsonrpc_message_adapter.validate_json(body, by_name=False)
    except ValueError:
        return None
    if isinstance(message, types.JSONRPCRequest) and message.method == "tools/call":
        return message
    return None


async def answer_call(
    server: Server[Any], call: types.JSONRPCRequest, request: Request
) -> Response:
    """What the server answers. Results may hold `orjson.Fragment`s."""
    exchange = _Exchange(call.id, ServerMessageMetadata(request_context=request))
    # Not `serve_one`: it ends the connection's exit stack under a shield, and nothing of ours is
    # ever put there.
    runner = ServerRunner(server, Connection.from_envelope(_version(request), None, None), {})
    message: types.JSONRPCResponse | types.JSONRPCError
    try:
        result = await runner.on_request(exchange, call.method, call.params)
        message = types.JSONRPCResponse(jsonrpc="2.0", id=call.id, result=result)
    except Exception as error:  # noqa: BLE001 - the top of a call: as an answer, as the SDK does
        told = handler_exception_to_error_data(error)
        if told is None:
            facts = {"error": type(error).__name__}
            logger.error("call failed", extra={"facts": facts})
            told = types.ErrorData(code=types.INTERNAL_ERROR, message="Internal server error")
        message = types.JSONRPCError(jsonrpc="2.0", id=call.id, error=told)
    return Response(encode_message(message)[:-1], media_type=JSON_TYPE)


def _version(request: Request) -> str:
    return request.headers.get(MCP_PROTOCOL_VERSION_HEADER, types.DEFAULT_NEGOTIATED_VERSION)


@dataclass
class _Exchange:
    """The SDK's `DispatchContext` of one request: its answer is all that reaches the client."""

    request_id: types.RequestId | None
    message_metadata: ServerMessageMetadata
    transport: TransportContext = _TRANSPORT
    can_send_request: bool = False

    @cached_property
    def cancel_requested(self) -> anyio.Event:
        return anyio.Event()

    async def send_raw_request(
        self,
        method: str,
        params: Mapping[str, Any] | None,  # noqa: ARG002 - the SDK's interface
        opts: CallOptions | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        """Dropped: an answer as JSON has no room for it."""

    async def progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        """Dropped, as any notification."""
