"""The same server with more of the SDK: `full` imports all of it; `stock` also uses its transport
and its driver for both eras.
"""

from __future__ import annotations

import os
import sys

from mcp.server.stdio import stdio_server

from mcp_shim import lazy_sdk
from mcp_shim.main import run_as_module
from mcp_shim.server import McpServer
from mcp_shim.transports import stdio
from mcp_shim.transports.stdio_streams import MessageReader, MessageWriter


async def serve_on_the_sdks_transport(
    server: McpServer, _: MessageReader, __: MessageWriter
) -> None:
    server._fragments = lambda _: False
    async with stdio_server() as (read, write):
        await server.sdk.run(read, write, server.options)


def nothing_claimed() -> tuple[int, int]:
    return os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_WRONLY)


def main(variant: str) -> None:
    assert not lazy_sdk.install(), "the SDK is loaded already"
    if variant == "stock":
        stdio.claim_standard_streams = nothing_claimed
        stdio.serve_streams = serve_on_the_sdks_transport
    sys.exit(run_as_module())
