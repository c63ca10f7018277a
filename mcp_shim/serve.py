"""Putting the parts of the stdio server together, and taking them apart again."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Final

from cdesk.core.clock import IdSource
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.core.identity import local_caller
from cdesk.core.wake import WakeSender
from cdesk.queue.shedding import Shedder
from cdesk.queue.writer import QueueWriter
from mcp_shim.recorder import Recorder
from mcp_shim.server import ShimServer
from mcp_shim.service import Service
from mcp_shim.state import SharedState
from mcp_shim.transports.stdio import claim_standard_streams, open_transport
from mcp_shim.worker_start import WorkerStarter

TICK_SECONDS: Final = 5.0
END_SECONDS: Final = 5.0
"""After a signal or the end of input, the process is gone by then."""


def serve(settings: Settings, home: StateDirectory) -> None:
    """Serve one client until its input ends or a signal comes."""
    asyncio.run(_serve(settings, home))


async def _serve(settings: Settings, home: StateDirectory) -> None:
    loop = asyncio.get_running_loop()
    ids = IdSource()
    starter = WorkerStarter(settings, home)
    recorder = Recorder(
        QueueWriter(home.queue, durability=settings.durability, ids=ids),
        WakeSender(home),
        Shedder(home),
        customer=settings.customer,
        ids=ids,
    )
    service = Service(
        home,
        local_caller(settings),
        recorder,
        SharedState(home.state_db),
        worker_missing=lambda: starter.missing,
    )

    def after_call(tool: str | None) -> None:
        if starter.is_due(waited_for=tool in ("submit_query", "get_result")):
            loop.call_later(0.05, starter.look)

    server = ShimServer(service, recorder, after_call=after_call)
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
            service.tick()
            await server.announce()

    _on_signals(loop, stop)
    # What has been made so far lives as long as the process: the collector need not look at it
    # again.
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()
    ticker = asyncio.create_task(tick())
    try:
        await server.run(transport.reader, transport.writer)
    finally:
        ticker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticker
        server.end(reason)
        recorder.close()
        service.close()
        starter.release()
        transport.close()


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
    """A watch that ends the process should its orderly end take longer than promised."""

    def watch() -> None:
        time.sleep(END_SECONDS - 0.5)
        os._exit(1)

    threading.Thread(target=watch, name="end-by-force", daemon=True).start()
