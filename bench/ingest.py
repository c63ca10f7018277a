"""Queue to warehouse: a backlog against DuckDB's own NDJSON load, peak memory, lag at steady rates,
the price of an idle look.

    python -m bench.ingest [--rows 1000000] [--rates 200,2000] [--seconds 60]

The backlog is drained by the real uploader in a process of its own; the floor is DuckDB loading the
same files with `read_json` into an identical table, in a process of its own too, right before and
right after. Lag is measured from the record's birth to the moment at which another process finds it
in `events_live`, with a writer, the real worker and its builds in processes of their own. Writes
bench/results/ingest.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from bench._memory import peak_mb
from cdesk.contract.records import encode, make_record
from cdesk.core.clock import IdSource, format_ts
from cdesk.core.config import Durability
from cdesk.core.home import StateDirectory
from cdesk.core.wake import WakeSender, read_worker
from cdesk.queue.writer import SEAL_BYTES, QueueWriter
from cdesk.warehouse.duckdb import DuckDBWarehouse
from uploader.uploader import Uploader

BENCH = (sys.executable, "-m", "bench.ingest")
WITHOUT_NUMPY = (
    sys.executable,
    "-c",
    "import sys; sys.modules['numpy'] = None; from bench.ingest import main; main()",
)
"""As an installation is: numpy comes with what only development needs, and pyarrow imports it where
it finds it.
"""
SESSION = "measured"
PROBE_SECONDS = 0.2
RESULTS = Path(__file__).resolve().parent / "results" / "ingest.json"
LANDING = (
    "create table activities.landing (id varchar not null, kind varchar not null, payload "
    "json not null using compression zstd, "
    "source_file varchar not null, source_offset bigint not null, landed_at timestamp not null)"
)
DURABILITIES: tuple[Durability, ...] = ("os", "disk")
FLOORS = {
    "read_json": (
        "insert into activities.landing select id, kind, to_json(line), 'f', row_number() "
        "over (), now()::timestamp "
        "from read_json(?, format = 'newline_delimited') as line"
    ),
    "read_json_objects": (
        "insert into activities.landing select json->>'id', json->>'kind', json, 'f', "
        "row_number() over (), now()::timestamp "
        "from read_json_objects(?, format = 'newline_delimited')"
    ),
}
"""The second keeps the text as it is, as landing does; the first is what one would write."""
ACTIVITIES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("cdesk.user_asked", {"question_length": 132, "language": "en", "has_attachment": False}),
    (
        "cdesk.claude_responded",
        {"model": "claude-sonnet-4", "latency_ms": 1416.736, "tokens": 1564},
    ),
    ("cdesk.tool_called", {"tool": "get_context", "latency_ms": 3.25, "outcome": "ok"}),
    ("cdesk.file_read", {"path_hash": "9f86d081884c7d65", "bytes": 48_213, "kind": "text/csv"}),
    ("cdesk.sql_executed", {"query_hash": "2c26b46b68ffc68f", "template": "recent_activities"}),
)


def event(number: int, *, ids: IdSource, ts: str, session: str | None = None) -> bytes:
    activity, features = ACTIVITIES[number % len(ACTIVITIES)]
    return encode(
        make_record(
            "event",
            id=ids.uuid7(),
            ts=ts,
            customer=f"user{number % 50}@example.com",
            session_id=session or f"session-{number % 500}",
            query_tag=ids.query_tag(),
            fields={
                "anonymous_customer_id": None,
                "activity": activity,
                "feature_json": {**features, "n": number},
                "link": None,
                "revenue_impact": None,
            },
        )
    )


def backlog(rows: int, *, distinct: int = 20_000) -> Iterator[bytes]:
    """Lines of the contract, each with an id and a ts of its own; the rest repeats every `distinct`
    lines.
    """
    ids, start = IdSource(), 1_767_225_600_000_000_000
    models = [event(number, ids=ids, ts=format_ts(start)) for number in range(min(rows, distinct))]
    for number in range(rows):
        line = models[number % distinct]
        id = ids.uuid7().encode()
        yield (
            line[:28]
            + id
            + line[64:72]
            + format_ts(start + number * 37_000_000).encode()
            + line[99:]
        )


def fill_queue(folder: Path, rows: int) -> int:
    """Sealed files as a writer leaves them; their bytes."""
    total = size = number = 0
    out = None
    for line in backlog(rows):
        if out is None or size >= SEAL_BYTES:
            if out is not None:
                out.close()
            number += 1
            out = (folder / f"{'0' * 31}1-{number:06d}.ndjson").open("wb")
            size = 0
        out.write(line)
        size += len(line)
        total += len(line)
    if out is not None:
        out.close()
    return total


def make_landing(path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("create schema activities").fetchall()
        connection.execute(LANDING).fetchall()


# -- what runs in a process of its own; each prints one JSON object


def child_floor(name: str, queue: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "floor.duckdb"
        make_landing(path)
        started, cpu = time.perf_counter(), time.process_time()
        with duckdb.connect(path) as connection:
            connection.execute(FLOORS[name], [f"{queue}/*.ndjson"]).fetchall()
        return {
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - cpu,
        }


def child_drain(home_text: str) -> dict[str, Any]:
    home = StateDirectory(Path(home_text))
    uploader = Uploader(home, DuckDBWarehouse(home.warehouse))
    started, cpu = time.perf_counter(), time.process_time()
    report = uploader.drain()
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "landed": report.landed,
        "quarantined": report.quarantined,
        "batches": report.batches,
        "peak_mb": peak_mb(),
    }


def child_write(home_text: str, rate: str, seconds: str) -> dict[str, Any]:
    """Append `rate` events a second, evenly, for so many seconds; when each was born."""
    ids, writer = IdSource(), QueueWriter(StateDirectory(Path(home_text)).queue)
    total, pause = int(float(rate) * float(seconds)), 1 / float(rate)
    waker, woken, born = WakeSender(StateDirectory(Path(home_text))), 0.0, []
    started = time.perf_counter()
    for number in range(total):
        ahead = started + number * pause - time.perf_counter()
        if ahead > 0:
            time.sleep(ahead)
        born.append(time.time())
        writer.append(event(number, ids=ids, ts=format_ts(time.time_ns()), session=SESSION))
        if born[-1] - woken > 0.2:  # as the server does
            woken = born[-1]
            waker.send()
    writer.close()
    waker.send()
    return {"born": born}


def child_idle(home_text: str) -> dict[str, Any]:
    """CPU of one look at an idle queue."""
    home = StateDirectory(Path(home_text))
    uploader = Uploader(home, DuckDBWarehouse(home.warehouse))
    uploader.drain()
    looks, cpu = 200, time.process_time()
    for _ in range(looks):
        uploader.drain()
    return {"cpu_seconds_per_look": (time.process_time() - cpu) / looks}


def in_child(*arguments: str, command: Sequence[str] = BENCH) -> dict[str, Any]:
    done = subprocess.run([*command, "--child", *arguments], capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# -- the measurements


def measure_backlog(rows: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        home = StateDirectory(Path(folder)).ensure()
        size = fill_queue(home.queue, rows)
        make_landing(home.warehouse)
        before = {name: in_child("floor", name, str(home.queue)) for name in FLOORS}
        # A floor needs the files, and the drain takes them away: what comes after reads them where
        # they were archived in.
        drain = in_child("drain", str(home.root), command=WITHOUT_NUMPY)
        after = {name: in_child("floor", name, str(home.queue / "archive")) for name in FLOORS}
    floors, cpu = (
        {name: (before[name][unit] + after[name][unit]) / 2 for name in FLOORS}
        for unit in ("seconds", "cpu_seconds")
    )
    return {
        "rows": rows,
        "megabytes": size / 1e6,
        "floor_seconds": floors,
        "floor_before": before,
        "floor_after": after,
        "drain": drain,
        "ratio": {name: drain["seconds"] / seconds for name, seconds in floors.items()},
        "cpu_ratio": {name: drain["cpu_seconds"] / seconds for name, seconds in cpu.items()},
    }


def measure_lag(rate: float, seconds: float) -> dict[str, Any]:
    """From a record's birth until a query finds it in `events_live`, at `rate` events a second: the
    real worker lands and builds meanwhile.

    Somebody else asks five times a second, each time over a connection of its own, as another
    program would.
    """
    import psutil  # here, as what this needs would count to the memory of the drain

    from cdesk.core.config import Settings
    from cdesk.core.locks import is_held
    from cdesk_app.worker.main import run_once

    with tempfile.TemporaryDirectory() as folder:
        home = StateDirectory(Path(folder)).ensure()
        settings = Settings(
            home=home.root, customer="ada@example.com", worker="off", environ=dict(os.environ)
        )
        run_once(settings)
        environ = {**os.environ, "CDESK_HOME": str(home.root), "CDESK_CUSTOMER": settings.customer}
        probes: list[tuple[float, int]] = []
        with subprocess.Popen(
            [sys.executable, "-m", "cdesk_app.cli", "worker"], env=environ
        ) as worker:
            try:
                while read_worker(home) is None or not is_held(home.worker_lock):
                    time.sleep(0.05)
                births = home.root / "births.json"
                arguments = [*BENCH, "--child", "write", str(home.root), str(rate), str(seconds)]
                with subprocess.Popen(arguments, stdout=births.open("wb")) as writer:
                    born: list[float] = []
                    found, ended = 0, False
                    while not ended or found < len(born):
                        if not ended and writer.poll() is not None:
                            ended, born = True, json.loads(births.read_bytes())["born"]
                        found = queryable(home.warehouse)
                        probes.append((time.time(), found))
                        time.sleep(PROBE_SECONDS)
                used = psutil.Process(worker.pid).cpu_times()
            finally:
                worker.terminate()
    lags, index = [], 0
    for number, at in enumerate(born, 1):
        while probes[index][1] < number:
            index += 1
        lags.append(probes[index][0] - at)
    lags.sort()
    return {
        "rate": rate,
        "records": len(lags),
        "p50_seconds": lags[len(lags) // 2],
        "p95_seconds": lags[int(len(lags) * 0.95)],
        "max_seconds": lags[-1],
        "probes": len(probes),
        "worker_cpu_share": (used.user + used.system) / seconds,
    }


def queryable(path: Path) -> int:
    """How many of the writer's records `events_live` holds; waits while somebody else has
    the file.
    """
    while True:
        try:
            with duckdb.connect(path, read_only=True) as connection:
                rows = connection.execute(
                    "select count(*) from activities.events_live where _session_id = ?", [SESSION]
                ).fetchall()
            return int(rows[0][0])
        except duckdb.IOException:
            time.sleep(0.01)


def measure_append(records: int = 1_000) -> dict[str, Any]:
    """What one append costs with each durability."""
    found: dict[str, Any] = {}
    ids, ts = IdSource(), format_ts(time.time_ns())
    lines = [event(number, ids=ids, ts=ts) for number in range(records)]
    for durability in DURABILITIES:
        with tempfile.TemporaryDirectory(
            dir=Path.cwd()
        ) as folder:  # the memory file system that /tmp may be syncs nothing
            writer = QueueWriter(Path(folder), durability=durability)
            times = []
            for line in lines:
                started = time.perf_counter()
                writer.append(line)
                times.append(time.perf_counter() - started)
            writer.close()
        times.sort()
        found[durability] = {
            "p50_us": times[records // 2] * 1e6,
            "p95_us": times[int(records * 0.95)] * 1e6,
        }
    found["ratio_p50"] = found["disk"]["p50_us"] / found["os"]["p50_us"]
    return found


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="bench.ingest", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rates", default="200,2000")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.child:
        name, *arguments = given.child
        children = {
            "floor": child_floor,
            "drain": child_drain,
            "write": child_write,
            "idle": child_idle,
        }
        print(json.dumps(children[name](*arguments)))  # type: ignore[operator]
        return
    results: dict[str, Any] = {"cpus": os.cpu_count(), "duckdb": duckdb.__version__}
    one = results["backlog"] = measure_backlog(given.rows)
    drain = one["drain"]
    print(f"backlog of {one['rows']:,} events, {one['megabytes']:.0f} MB")
    for name, seconds in one["floor_seconds"].items():
        print(
            f"  floor {name:<18} {seconds:7.2f} s  ({one['floor_before'][name]['seconds']:.2f} "
            f"before, {one['floor_after'][name]['seconds']:.2f} after)"
        )
    print(
        f"  drain                    {drain['seconds']:7.2f} s  ({drain['landed']:,} rows in "
        f"{drain['batches']} transactions)"
    )
    for name, ratio in one["ratio"].items():
        aim = "  aim ≤ 1.4" if name == "read_json" else ""
        cpu = f"  (of the processor's time {one['cpu_ratio'][name]:.2f})"
        print(f"  ratio to {name:<18}{ratio:5.2f}{cpu}{aim}")
    print(f"  peak memory              {drain['peak_mb']:7.0f} MB  aim ≤ 200")
    results["lag"] = []
    for rate in (float(text) for text in given.rates.split(",") if text):
        lag = measure_lag(rate, given.seconds)
        results["lag"].append(lag)
        aim = f", aim ≤ {0.8 if rate <= 200 else 2.0}"
        print(
            f"lag at {rate:,.0f} events/s: p50 {lag['p50_seconds']:.2f} s, p95 "
            f"{lag['p95_seconds']:.2f} s{aim}, "
            f"max {lag['max_seconds']:.2f} s; the worker, without dbt: "
            f"{lag['worker_cpu_share']:.0%} of one core"
        )
    with tempfile.TemporaryDirectory() as folder:
        home = StateDirectory(Path(folder)).ensure()
        make_landing(home.warehouse)
        results["idle"] = in_child("idle", str(home.root))
    look = results["idle"]["cpu_seconds_per_look"]
    print(
        f"one look at an idle queue: {look * 1e6:,.0f} µs of CPU; every 30 s that is "
        f"{look / 30:.5%}, aim < 0.5 %"
    )
    append = results["append"] = measure_append()
    print(
        f"one append: os {append['os']['p50_us']:.0f} µs (p95 {append['os']['p95_us']:.0f}), "
        f"disk {append['disk']['p50_us']:,.0f} µs (p95 {append['disk']['p95_us']:,.0f}): "
        f"{append['ratio_p50']:,.0f} times as much"
    )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
