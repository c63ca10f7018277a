"""Standard input and output: serving one client until its input ends.

How bytes become messages stands in `stdio_streams`, who reads and writes them in
`stdio_descriptors`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Final

from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.core.identity import stdio_caller
from mcp_shim import lazy_sdk
from mcp_shim.app import App
from mcp_shim.sdk_verdicts import Verdicts, remember
from mcp_shim.server import McpServer
from mcp_shim.session import Session
from mcp_shim.transports.stdio_descriptors import claim_standard_streams, open_transport
from mcp_shim.transports.stdio_exchange import serve_handshake
from mcp_shim.transports.stdio_streams import MessageReader, MessageWriter

logger = logging.getLogger(__name__)

TICK_SECONDS: Final = 5.0
END_SECONDS: Final = 5.0
"""The process is gone this long after a signal or the end of input."""


def serve(settings: Settings, home: StateDirectory) -> None:
    """Serve one client until its input ends or a signal comes."""
    asyncio.run(_serve(settings, home))


async def _serve(settings: Settings, home: StateDirectory) -> None:
    loop = asyncio.get_running_loop()
    app = App.open(settings, home)
    session = Session(app, stdio_caller(settings))
    server = McpServer(app, lambda _: session, fragments=lambda _: True)
    transport = open_transport(*claim_standard_streams())
    transport.reader.on_read = app.records.gather
    transport.reader.on_taken = app.records.flush
    verdicts = Verdicts(home.sdk_verdicts, lazy_sdk.versions())
    if lazy_sdk.is_installed():
        remember(verdicts)
    reason = "end_of_input"

    def stop(name: str) -> None:
        nonlocal reason
        reason = name
        transport.stop()
        _end_by_force()

    async def tick() -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for step in (app.tick, server.announce, verdicts.save):
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
        end.callback(verdicts.save)
        end.callback(lambda: session.end(reason))
        end.callback(ticker.cancel)
        await serve_streams(server, transport.reader, transport.writer)


async def serve_streams(server: McpServer, reader: MessageReader, writer: MessageWriter) -> None:
    """Serve the connection until its input ends.

    The SDK's driver for both protocol eras relays every message through one more task, because it
    must see the first request before it can choose. Here the transport shows it that request, and
    what opens with a handshake is served by the SDK's driver for the handshake era, but for the
    calls that can be answered at once.
    """
    sdk = server.sdk
    opening = await reader.first_request()
    if opening is None or opening.method != "initialize":
        await sdk.run(reader, writer, server.options)
        return
    async with sdk.lifespan(sdk) as state:
        await serve_handshake(
            sdk, reader, writer, lifespan_state=state, init_options=server.options
        )


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
