"""A build for 100 new events in the warm builder against a cold `dbt build`, how long readers wait,
and what an idle worker costs.

One state directory, the real queue, uploader, builder and worker. The cold run is `dbt build` as a
process of its own with the parsed project cached on disk (`partial_parse.msgpack`), as somebody
would schedule it, and without its tests, which would only flatter the warm one; a second cold
figure runs the `refresh` selector alone, the same models as the warm build.

    python -m bench.build_warm [--history 20000] [--events 100] [--rounds 5] [--idle-seconds 60]
    [--after-work]

With --after-work the idle worker's memory is told once more when it has landed and built events and
the builder has gone again, some seven minutes later. It runs as installed: without numpy, which
development alone brings and Arrow loads, and from compiled bytecode. Memory is told three times:
resident, with what it shares counted by its part (PSS, Linux), and what is its own. A worker at rest
unmaps the code of large libraries, which then counts in none of them; the system's file cache keeps
it for as long as it has room.

Prints seconds and ratios; writes them to bench/results/build_warm.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import psutil

from cdesk.contract.records import Record, encode, make_record
from cdesk.core.clock import IdSource, format_ts
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.core.wake import WakeSender, read_worker
from cdesk.queue.writer import QueueWriter
from cdesk.warehouse.factory import open_warehouse
from cdesk_app.worker.dbt.build import Builder
from cdesk_app.worker.dbt.project import DbtProject, dbt_environment, locate_project
from cdesk_app.worker.main import run_once
from uploader.uploader import Uploader

RESULTS = Path(__file__).resolve().parent / "results"
AIM = 0.3
AIM_MIB = 90
WORKER = (
    sys.executable,
    "-c",
    "import sys; sys.modules['numpy'] = None; from cdesk_app.cli.main import main; sys.exit(main())",
    "worker",
)
_DBT = "from dbt.cli.main import cli; cli()"


def an_event(ids: IdSource, number: int) -> Record:
    return make_record(
        "event",
        id=ids.uuid7(),
        ts=format_ts(time.time_ns()),
        customer=f"customer-{number % 10}",
        session_id=None,
        query_tag=ids.query_tag(),
        fields={
            "anonymous_customer_id": None,
            "activity": "cdesk.user_asked",
            "feature_json": {"question": f"question {number}", "length": number},
            "link": None,
            "revenue_impact": None,
        },
    )


class Stream:
    """Events of ten customers, through the queue into landing."""

    def __init__(self, home: StateDirectory, uploader: Uploader) -> None:
        self._ids = IdSource()
        self._queue = QueueWriter(home.queue)
        self._uploader = uploader

    def land(self, events: int) -> None:
        for number in range(events):
            self._queue.append(encode(an_event(self._ids, number)))
        if (report := self._uploader.drain()).waiting:
            raise RuntimeError(f"landing is blocked: {report.message}")

    def close(self) -> None:
        self._queue.close()


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def cold(project: DbtProject, environ: dict[str, str], *words: str) -> None:
    """`dbt build` without tests, as a process of its own."""
    untested = ("--exclude-resource-type=test", "--exclude-resource-type=unit_test")
    ended = subprocess.run(
        [sys.executable, "-c", _DBT, "build", *words, *untested, *project.options()],
        env=environ,
        cwd=project.home_dir,
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    if ended.returncode:
        raise RuntimeError(f"dbt build failed: {ended.stdout[-2000:]}")


class Reader:
    """A reader that wants the DuckDB file all the time; `longest` is the longest it had to wait, in
    seconds.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.longest = 0.0

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        since = time.perf_counter()
        while not self._stop.is_set():
            try:
                duckdb.connect(str(self._path), read_only=True).close()
            except duckdb.Error:
                self.longest = max(self.longest, time.perf_counter() - since)
            else:
                since = time.perf_counter()
            time.sleep(0.02)


def family_of(pid: int) -> list[psutil.Process]:
    """A worker and what it has started that still runs."""
    worker = psutil.Process(pid)
    children = worker.children(recursive=True)
    return [worker, *(one for one in children if one.status() != psutil.STATUS_ZOMBIE)]


def memory(pid: int) -> dict[str, float]:
    """Of a worker and its children in MiB: resident, the same with what they share counted by their
    part (0 where the system does not tell), and what is theirs alone.
    """
    told = [one.memory_full_info() for one in family_of(pid)]
    return {
        f"{kind}_mib": round(sum(getattr(one, kind, 0) for one in told) / 2**20, 1)
        for kind in ("rss", "pss", "uss")
    }


def in_words(found: dict[str, float], prefix: str = "") -> str:
    return (
        f"{found[f'{prefix}rss_mib']} MiB resident, {found[f'{prefix}pss_mib']} with its part of "
        f"what is shared, {found[f'{prefix}uss_mib']} its own"
    )


def let_work(home: StateDirectory, pid: int, events: int) -> None:
    """Have the worker land and build, and wait until its builder has gone."""
    ids, queue = IdSource(), QueueWriter(home.queue)
    for number in range(events):
        queue.append(encode(an_event(ids, number)))
    queue.close()
    WakeSender(home).send()
    for is_there in (True, False):
        deadline = time.monotonic() + 900
        while (len(family_of(pid)) > 1) is not is_there and time.monotonic() < deadline:
            time.sleep(1.0)
    time.sleep(30.0)


def idle_cpu(
    home: StateDirectory, environ: dict[str, str], seconds: float, *, events: int
) -> dict[str, float]:
    """CPU share and memory of a worker, its builder included, over `seconds` with nothing to do;
    memory once more after work on `events`, where there are any.
    """
    environ = {
        **environ,
        "CDESK_HOME": str(home.root),
        "CDESK_CUSTOMER": "customer-0",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(home.root.with_name(f"{home.root.name}-bytecode")),
    }
    once = [*WORKER, "--once"]  # compiles what it imports
    subprocess.run(once, env=environ, check=True, stdout=subprocess.DEVNULL)
    process = subprocess.Popen(WORKER, env=environ)
    try:
        while (said := read_worker(home)) is None or said.pid != process.pid:
            time.sleep(0.1)
        time.sleep(5.0)  # its start lies behind it
        family = family_of(process.pid)
        before = sum(sum(one.cpu_times()[:2]) for one in family)
        time.sleep(seconds)
        after = sum(sum(one.cpu_times()[:2]) for one in family)
        found = {
            "cpu_percent": round(100 * (after - before) / seconds, 3),
            **memory(process.pid),
        }
        if events:
            let_work(home, process.pid, events)
            found |= {f"worked_{name}": size for name, size in memory(process.pid).items()}
        return found
    finally:
        process.terminate()
        process.wait()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--history", type=int, default=20_000, help="events before the first timed build"
    )
    parser.add_argument("--events", type=int, default=100, help="new events for each build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle-seconds", type=float, default=60.0)
    parser.add_argument("--after-work", action="store_true")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        home = StateDirectory(Path(folder) / "home").ensure()
        settings = Settings(home=home.root, customer="customer-0", environ=dict(os.environ))
        first = timed(lambda: run_once(settings))
        environ = dbt_environment(os.environ)
        project = locate_project(settings, home)
        warehouse = open_warehouse(settings, home)
        uploader = Uploader(home, warehouse)
        stream = Stream(home, uploader)
        builder = Builder(project, environ)
        try:
            stream.land(given.history)
            start = timed(builder.build)  # starts the child and parses
            figures: dict[str, list[float]] = {"warm": [], "cold_refresh": [], "cold_build": []}
            blocked = []
            for _ in range(
                given.rounds
            ):  # in turn, so that a slow moment of the machine hits all of them
                stream.land(given.events)
                figures["warm"].append(timed(builder.build))
                stream.land(given.events)
                with Reader(home.warehouse) as reader:
                    builder.build()
                blocked.append(reader.longest)
                stream.land(given.events)
                figures["cold_refresh"].append(
                    timed(lambda: cold(project, environ, "--selector", "refresh"))
                )
                stream.land(given.events)
                figures["cold_build"].append(timed(lambda: cold(project, environ)))
            child = psutil.Process(builder.pid).memory_info().rss / 2**20 if builder.pid else 0.0
        finally:
            builder.close()
            stream.close()
            uploader.close()
            warehouse.close()
        worked = given.events if given.after_work else 0
        idle = idle_cpu(home, environ, given.idle_seconds, events=worked)
    medians = {name: round(statistics.median(values), 3) for name, values in figures.items()}
    result = {
        "events": given.events,
        "history": given.history,
        "rounds": given.rounds,
        "first_round_seconds": round(first, 2),
        "first_warm_seconds": round(start, 2),
        **{f"{name}_seconds": value for name, value in medians.items()},
        "warm_over_cold_build": round(medians["warm"] / medians["cold_build"], 3),
        "warm_over_cold_refresh": round(medians["warm"] / medians["cold_refresh"], 3),
        "reader_waits_seconds": round(statistics.median(blocked), 3),
        "reader_waits_over_cold_build": round(
            statistics.median(blocked) / medians["cold_build"], 3
        ),
        "builder_rss_mib": round(child, 1),
        "idle": idle,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "build_warm.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(
        f"first round on an empty directory: {first:.1f} s; starting the builder and its "
        f"first build: {start:.1f} s"
    )
    print(f"build for {given.events} new events on {given.history:,}, median of {given.rounds}:")
    print(f"  warm builder              {medians['warm']:7.2f} s")
    print(
        f"  cold dbt build            {medians['cold_build']:7.2f} s   warm is "
        f"{result['warm_over_cold_build']} of it (aim: at most {AIM})"
    )
    print(
        f"  cold, refresh selector    {medians['cold_refresh']:7.2f} s   warm is "
        f"{result['warm_over_cold_refresh']} of it"
    )
    print(
        f"  a reader waits at most    {result['reader_waits_seconds']:7.2f} s   "
        f"{result['reader_waits_over_cold_build']} of a cold build"
    )
    print(
        f"idle worker over {given.idle_seconds:.0f} s: {idle['cpu_percent']} % of one CPU, "
        f"{in_words(idle)} (aim {AIM_MIB} resident); "
        f"a warm builder holds {child:.0f} MiB more, until it has been idle for 75 seconds"
    )
    if worked:
        print(f"after landing and building: {in_words(idle, 'worked_')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
