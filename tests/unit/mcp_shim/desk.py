"""One serving process within a test: a session, its clock, its queue and its state.db."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import orjson

from cdesk.contract.records import Record, parse_line
from cdesk.core.clock import IdSource, format_ts
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.core.identity import Caller
from cdesk.queue.shedding import Shedder
from cdesk.queue.writer import QueueWriter
from cdesk.state.counts import Counts
from mcp_shim import tools
from mcp_shim.app import App, RecordQueue
from mcp_shim.readers import Readers
from mcp_shim.session import Session
from mcp_shim.tools.tool import Answer, Progress
from mcp_shim.worker_start import WorkerStarter

T = TypeVar("T")
ADA = Caller("ada@example.com")
NOW_NS = 1_800_000_000 * 10**9


def at(seconds: float) -> str:
    return format_ts(NOW_NS + int(seconds * 1e9))


class Waking:
    """Counts the datagrams to the worker."""

    def __init__(self) -> None:
        self.sent = 0

    def send(self) -> bool:
        self.sent += 1
        return True

    def close(self) -> None:
        pass


class Desk:
    """`session` is the caller's; `ask` calls a tool, `state` runs a statement in state.db."""

    def __init__(
        self,
        home: StateDirectory,
        caller: Caller = ADA,
        *,
        shared: bool = False,
        worker: str = "off",
        **settings: Any,
    ) -> None:
        self.home = home
        self.now_ns = NOW_NS
        self.waking = Waking()
        ids = IdSource()
        self.counts = Counts(home, ids.uuid7().replace("-", ""))
        self.shedder = Shedder(home)
        records = RecordQueue(
            QueueWriter(home.queue, ids=ids),
            self.waking,  # type: ignore[arg-type]
            self.shedder,
            ids=ids,
            now_ns=lambda: self.now_ns,
            counts=self.counts,
        )
        starter = WorkerStarter(
            Settings(home=home.root, customer=caller.customer, worker=worker, **settings),  # type: ignore[arg-type]
            home,
        )
        readers = dataclasses.replace(
            Readers.of(home, lambda: starter.missing), now_ns=lambda: self.now_ns
        )
        self.app = App(records, readers, starter)
        self.session = Session(self.app, caller, shared=shared)

    async def answer(self, tool: str, progress: Progress | None = None, /, **given: Any) -> Answer:
        return await tools.call(self.session, tool, given, progress)

    async def ask(self, tool: str, progress: Progress | None = None, /, **given: Any) -> Any:
        """The structured content of an answer."""
        return orjson.loads((await self.answer(tool, progress, **given)).structured)

    def state(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.app.readers.state.read(
            lambda connection: connection.execute(sql, values).fetchall()
        )

    def rows(self, table: str) -> list[dict[str, Any]]:
        def read(connection: Any) -> list[dict[str, Any]]:
            cursor = connection.execute(f"select * from {table} order by 1, 2")
            names = [one[0] for one in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

        return self.app.readers.state.read(read)

    def records(self, *kinds: str) -> list[Record]:
        """What stands in the queue, notes included."""
        self.app.records.flush()
        found = [
            parse_line(line)
            for path in sorted(self.home.queue.glob("*.ndjson"))
            for line in path.read_bytes().splitlines()
        ]
        return [one for one in found if not kinds or one["kind"] in kinds]

    def events(self) -> list[tuple[str, Mapping[str, Any]]]:
        return [(one["activity"], one["feature_json"]) for one in self.records("event")]


def serve(desk: Callable[[], Desk], test: Callable[[Desk], Awaitable[T]]) -> T:
    """Run a test on a loop with a process of its own."""

    async def body() -> T:
        served = desk()
        try:
            return await test(served)
        finally:
            served.app.close()

    return asyncio.run(body())
