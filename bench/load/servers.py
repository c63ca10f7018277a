"""The processes of a run: the service, the bare server, the worker; their memory; and what the
warehouse holds in the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import duckdb
import psutil

from cdesk.core.home import StateDirectory
from cdesk.core.locks import is_held
from cdesk.core.wake import read_worker
from scripts.ports import free_port

MIB: Final = 1 << 20
LEAST_OF_SECONDS: Final = 60.0
LEAST_POINTS: Final = 4


@contextlib.contextmanager
def running(
    command: list[str], environ: dict[str, str], *, port: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this interpreter that ends with the block; with a port, once it answers there."""
    process = subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, **environ},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 60
        while port is not None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > until or process.poll() is not None:
                    raise
                time.sleep(0.1)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def service(
    home: StateDirectory, *, workers: int = 1, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """`cdesk mcp --http` on a free port of loopback."""
    port = free_port()
    command = ["-m", "cdesk_app.cli", "mcp", "--http", "--port", str(port)]
    environ = {"CDESK_HOME": str(home.root), "CDESK_WORKER": "off", **(settings or {})}
    with running([*command, "--workers", str(workers)], environ, port=port) as process:
        yield port, process


@contextlib.contextmanager
def bare() -> Iterator[int]:
    port = free_port()
    with running(["-m", "bench.load.bare", str(port)], {}, port=port):
        yield port


@contextlib.contextmanager
def worker(home: StateDirectory) -> Iterator[subprocess.Popen[bytes]]:
    """`cdesk worker`, once it has taken the state directory."""
    environ = {
        "CDESK_HOME": str(home.root),
        "CDESK_CUSTOMER": "bench@example.com",
        "CDESK_RENDER": "off",
    }
    with running(["-m", "cdesk_app.cli", "worker", "--stay"], environ) as process:
        until = time.monotonic() + 60
        while read_worker(home) is None or not is_held(home.worker_lock):
            if time.monotonic() > until or process.poll() is not None:
                raise RuntimeError("the worker did not start")
            time.sleep(0.05)
        yield process


def query(home: StateDirectory, sql: str, values: list[object]) -> list[tuple[object, ...]]:
    """Rows of the warehouse, over a connection of its own; waits while it is held."""
    until = time.monotonic() + 60
    while True:
        try:
            with duckdb.connect(str(home.warehouse), read_only=True) as connection:
                return connection.execute(sql, values).fetchall()
        except duckdb.IOException:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def landed(home: StateDirectory, ids: list[str]) -> tuple[int, int]:
    """How many of `ids` the warehouse lacks, and how many the stream shows twice."""
    rows = query(
        home,
        "with told as (select unnest(?::varchar[]) as id) select "
        "(select count(*) from told where id not in (select id from activities.landing)), "
        "(select count(*) from (select _activity_id from activities.events_live "
        "where _activity_id in (select id from told) group by 1 having count(*) > 1))",
        [ids],
    )
    return int(str(rows[0][0])), int(str(rows[0][1]))


def lags(home: StateDirectory, ids: list[str]) -> list[float]:
    """Seconds from an acknowledged record's own time to its landing, as obs_ingestion_lag has it."""
    rows = query(
        home,
        "select epoch(min(landed_at) - min((payload ->> 'ts')::timestamp)) "
        "from activities.landing where id in (select unnest(?::varchar[])) group by id",
        [ids],
    )
    return [float(str(row[0])) for row in rows]


def wait_landed(home: StateDirectory, ids: list[str], seconds: float = 120.0) -> tuple[int, int]:
    """`landed` once nothing is missing, or as it is after so long."""
    until = time.monotonic() + seconds
    while True:
        missing, twice = landed(home, ids)
        if not missing or time.monotonic() > until:
            return missing, twice
        time.sleep(0.5)


def ids_in_queue(home: StateDirectory) -> list[str]:
    return [
        json.loads(line)["id"]
        for path in home.queue.glob("*.ndjson")
        for line in path.read_bytes().splitlines()
    ]


@dataclass
class Memory:
    """Resident memory of processes, once a second, in MiB by seconds run; that of children beside
    it, as those of the worker (dbt) come and go.
    """

    processes: dict[str, int]
    seen: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._begun = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(1.0):
            at = time.monotonic() - self._begun
            for name, pid in self.processes.items():
                own, children = resident(pid)
                self.seen.setdefault(name, []).append((at, own))
                if children:
                    self.seen.setdefault(f"{name}'s children", []).append((at, children))

    def slope(self, name: str) -> float:
        """MiB a minute over the second half, by least squares; of the least of each minute,
        where there are enough: what a build or a copy takes for a moment is no growth.
        """
        points = self.seen.get(name, [])[len(self.seen.get(name, [])) // 2 :]
        least: dict[int, tuple[float, float]] = {}
        for at, size in points:
            part = int(at // LEAST_OF_SECONDS)
            least[part] = min(least.get(part, (at, size)), (at, size), key=lambda one: one[1])
        if len(least) >= LEAST_POINTS:
            points = list(least.values())
        if len(points) < 3:
            return float("nan")
        mean_x = sum(x for x, _ in points) / len(points)
        mean_y = sum(y for _, y in points) / len(points)
        over = sum((x - mean_x) ** 2 for x, _ in points)
        return 60 * sum((x - mean_x) * (y - mean_y) for x, y in points) / over

    def most(self, name: str) -> float:
        return max((value for _, value in self.seen.get(name, [])), default=float("nan"))


def resident(pid: int) -> tuple[float, float]:
    """MiB of a process, and of all that it started."""
    try:
        own = psutil.Process(pid)
        family = [own, *own.children(recursive=True)]
    except psutil.Error:
        return 0.0, 0.0
    sizes = [0] * len(family)
    for place, one in enumerate(family):
        with contextlib.suppress(psutil.Error):
            sizes[place] = one.memory_info().rss
    return sizes[0] / MIB, sum(sizes[1:]) / MIB


def children(pid: int) -> list[int]:
    """The processes that a service of several answers with."""
    found = []
    for child in psutil.Process(pid).children():
        with contextlib.suppress(psutil.Error):
            if "resource_tracker" not in " ".join(child.cmdline()):
                found.append(child.pid)
    return found


def machine() -> str:
    """What ran it, in a line: processors, system, Python."""
    return f"{os.cpu_count()} processors, {platform.system()}, Python {platform.python_version()}"
