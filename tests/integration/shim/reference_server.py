"""The same server with more of the SDK: `full` imports all of it; `stock` also uses its transport
and its driver for both eras.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import orjson
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.stdio import stdio_server

from mcp_shim import lazy_sdk, serve
from mcp_shim.main import run_as_module
from mcp_shim.server import ShimServer
from mcp_shim.transports.stdio import MessageReader, MessageWriter

assert not lazy_sdk.install(), "the SDK is loaded already"


async def run_on_the_sdks_transport(self: ShimServer, _: MessageReader, __: MessageWriter) -> None:
    around = self.sdk.middleware.pop()

    async def plain(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        result = await around(ctx, call_next)
        if isinstance(result, dict) and isinstance(
            part := result.get("structuredContent"), orjson.Fragment
        ):
            result["structuredContent"] = orjson.loads(
                orjson.dumps(part)
            )  # the SDK's transport knows no fragments
        return result

    self.sdk.middleware.append(plain)
    async with stdio_server() as (read, write):
        await self.sdk.run(read, write, self.options)


def nothing_claimed() -> tuple[int, int]:
    return os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_WRONLY)


if sys.argv[1] == "stock":
    serve.claim_standard_streams = nothing_claimed
    ShimServer.run = run_on_the_sdks_transport  # type: ignore[method-assign]

sys.exit(run_as_module())
