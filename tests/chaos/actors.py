"""What the chaos rounds run and kill, `main` in a process of its own each: a fork
(tests/forked.py), or `python actors.py NAME HOME SEED …`.

write HOME SEED [nofile=N] [fsize=N] [slow]
    appends events, prints each id once it is acknowledged; ends at end of input
upload HOME SEED [flaky] [memory=N]
    drains for ever with the real engine; `flaky` makes the engine's boundary fail
drain HOME
    drains to the end once, prints the report as JSON
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cdesk.contract.records import encode, make_record
from cdesk.core.clock import IdSource, format_ts
from cdesk.core.errors import QueueWriteError, WarehouseError, WarehouseUnavailable
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk.warehouse.protocol import LandedLine, LandResult
from uploader.uploader import Uploader


class FlakyWarehouse(DuckDBWarehouse):
    """The real engine behind a bad line: slow, down, or answering with an error though it has
    landed; by a seeded die.
    """

    def __init__(self, path: Path, rng: random.Random) -> None:
        super().__init__(path)
        self._die = rng

    def land(self, lines: Sequence[LandedLine], *, after: datetime | None = None) -> LandResult:
        roll = self._die.random()
        if roll < 0.15:
            raise WarehouseUnavailable("the line is down (injected)")
        if roll < 0.3:
            time.sleep(self._die.uniform(0, 0.3))
        result = super().land(lines, after=after)
        if 0.3 < roll < 0.45:
            raise WarehouseUnavailable("the answer was lost (injected)")
        if 0.45 < roll < 0.5:
            raise WarehouseError("an error that says nothing (injected)")
        return result

    def positions(self, source_files: Sequence[str]) -> dict[str, int]:
        if self._die.random() < 0.1:
            raise WarehouseUnavailable("the line is down (injected)")
        return super().positions(source_files)


class SkewedClock:
    """A wall clock that jumps back and forth by up to a day."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._offset = 0

    def __call__(self) -> int:
        if self._rng.random() < 0.05:
            self._offset = self._rng.randint(-86_400, 86_400) * 1_000_000_000
        return time.time_ns() + self._offset


def limit(name: str, value: int) -> None:
    import resource

    kind = getattr(resource, name)
    resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))


def write(home: StateDirectory, seed: int, *options: str) -> None:
    import signal

    given = dict(option.partition("=")[::2] for option in options)
    rng = random.Random(seed)
    clock = SkewedClock(rng)
    ids, writer = IdSource(clock), QueueWriter(home.queue)
    if "nofile" in given:
        limit("RLIMIT_NOFILE", int(given["nofile"]))
    if "fsize" in given:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limit("RLIMIT_FSIZE", int(given["fsize"]))
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    out = sys.stdout.buffer
    while not stop.is_set():
        id = ids.uuid7()
        features = {"text": "x" * rng.choice((1, 20, 400, 3000)), "n": rng.randrange(1000)}
        fields = {
            "anonymous_customer_id": None,
            "activity": "cdesk.user_asked",
            "feature_json": features,
            "link": None,
            "revenue_impact": None,
        }
        record = make_record(
            "event",
            id=id,
            ts=format_ts(clock()),
            customer="ada@example.com",
            session_id=str(seed),
            query_tag=ids.query_tag(),
            fields=fields,
        )
        line = encode(record)
        try:
            writer.append(line)
        except QueueWriteError:
            time.sleep(0.01)
            continue
        out.write(id.encode() + b"\n")
        out.flush()
        if rng.random() < 0.01:
            with contextlib.suppress(OSError):
                writer.seal()
        if "slow" in given:
            time.sleep(rng.uniform(0, 0.01))
    writer.close()


def upload(home: StateDirectory, seed: int, *options: str) -> None:
    given = dict(option.partition("=")[::2] for option in options)
    rng = random.Random(seed)
    if "memory" in given:
        limit("RLIMIT_AS", int(given["memory"]))
    warehouse = (
        FlakyWarehouse(home.warehouse, rng) if "flaky" in given else DuckDBWarehouse(home.warehouse)
    )
    uploader = Uploader(home, warehouse, most_rows=rng.choice((50, 500, 25_000)))
    parent = os.getppid()
    while os.getppid() == parent:
        uploader.drain()
        time.sleep(rng.uniform(0, 0.05))


def drain(home: StateDirectory) -> None:
    uploader = Uploader(home, DuckDBWarehouse(home.warehouse, land_wait=10))
    total = dataclasses.asdict(uploader.drain())
    for _ in range(20):
        report = uploader.drain()
        total["landed"] += report.landed
        if report.blocked is None and not report.landed and not report.waiting:
            break
        time.sleep(uploader.breaker.wait)
    total |= {"blocked": report.blocked, "waiting": report.waiting, "held": report.held}
    sys.stdout.write(json.dumps(total, default=str))


def main(name: str, folder: str, *rest: str) -> None:
    place = StateDirectory(Path(folder)).ensure()
    if name == "drain":
        drain(place)
    else:
        {"write": write, "upload": upload}[name](place, int(rest[0]), *rest[1:])
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
