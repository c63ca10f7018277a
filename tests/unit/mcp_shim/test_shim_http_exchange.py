"""Which requests are answered on the spot: plain calls of tools, all else is the SDK's."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import mcp_types as types
import pytest
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from starlette.requests import Request

from mcp_shim.transports.http_exchange import answer_call, plain_call

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_context"}}
HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


def request(**headers: str | None) -> Request:
    """One with these headers beside the usual ones, or without where one is None."""
    given = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
    pairs = [(k.encode(), v.encode()) for k, v in given.items() if v is not None]
    return Request({"type": "http", "method": "POST", "path": "/mcp", "headers": pairs})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"mcp_protocol_version": "2025-06-18"},
        {"mcp_protocol_version": "2024-11-05"},
        {"content_type": "application/json; charset=utf-8"},
        {"accept": "*/*"},
    ],
)
def test_a_plain_call_is_read_as_the_sdk_reads_it(headers: dict[str, str]) -> None:
    large = 2**70
    message = CALL | {"params": {"name": "x", "arguments": {"value": large}}}
    call = plain_call(request(**headers), json.dumps(message).encode())
    assert call is not None
    assert call.params == {"name": "x", "arguments": {"value": large}}


@pytest.mark.parametrize(
    "headers",
    [
        {"mcp_protocol_version": "2026-07-28"},
        {"mcp_protocol_version": "1999-01-01"},
        {"content_type": "text/plain"},
        {"content_type": "application/json,application/json"},
        {"content_type": None},
        {"accept": "text/event-stream"},
        {"accept": None},
    ],
)
def test_what_the_sdk_might_refuse_is_left_to_it(headers: dict[str, str | None]) -> None:
    assert plain_call(request(**headers), json.dumps(CALL).encode()) is None


@pytest.mark.parametrize(
    "message",
    [
        [CALL],
        {**CALL, "method": "tools/list"},
        {**CALL, "jsonrpc": "1.0"},
        {**CALL, "id": None},
        {**CALL, "id": 1.5},
        {**CALL, "params": [1]},
        {name: value for name, value in CALL.items() if name != "id"},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
    ],
)
def test_a_message_that_is_no_call_is_left_to_the_sdk(message: Any) -> None:
    assert plain_call(request(), json.dumps(message).encode()) is None


@pytest.mark.parametrize(
    ("raised", "code", "text"),
    [
        (MCPError(-32042, "as it was raised"), -32042, "as it was raised"),
        (RuntimeError("what only the log may know"), types.INTERNAL_ERROR, "Internal server error"),
    ],
)
def test_an_error_is_answered_under_the_calls_id(raised: Exception, code: int, text: str) -> None:
    async def fail(
        _: ServerRequestContext[Any, Any], __: types.CallToolRequestParams
    ) -> dict[str, Any]:
        raise raised

    server: Server[Any] = Server("test")
    server.add_request_handler("tools/call", types.CallToolRequestParams, fail)
    call = plain_call(request(), json.dumps(CALL | {"id": "seven"}).encode())
    assert call is not None
    answer = asyncio.run(answer_call(server, call, request()))
    assert answer.status_code == 200
    assert json.loads(bytes(answer.body)) == {
        "jsonrpc": "2.0",
        "id": "seven",
        "error": {"code": code, "message": text},
    }
