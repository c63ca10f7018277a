"""The floor: one tool that answers a constant, on the SDK's own streamable HTTP and nothing else."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.routing import Route

ANSWER = "x" * 700


async def _call(_: ServerRequestContext[Any, Any], __: types.CallToolRequestParams) -> Any:
    return {"content": [{"type": "text", "text": ANSWER}], "isError": False}


def main(port: int) -> None:
    server: Server[Any] = Server("bare")
    server.add_request_handler("tools/call", types.CallToolRequestParams, _call)
    manager = StreamableHTTPSessionManager(server, json_response=True, stateless=True)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with manager.run():
            yield

    app = Starlette(
        routes=[Route("/mcp", endpoint=StreamableHTTPASGIApp(manager))], lifespan=lifespan
    )
    uvicorn.run(app, port=port, log_level="error", access_log=False, timeout_keep_alive=600)


if __name__ == "__main__":
    main(int(sys.argv[1]))
