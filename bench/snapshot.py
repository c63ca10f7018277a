"""Renewing the context snapshot: 1,000 changed customers against all of them, and what a reader
notices meanwhile.

    python -m bench.snapshot [--customers 1000000] [--changed 1000] [--rounds 5]

The context cache is a real DuckDB table of contexts of about 1 KiB that hardly compress, the refresh the worker's own;
the first one, of all customers, runs in a process of its own, whose memory and processor time are
printed too. Prints seconds and the ratio; writes them to bench/results/snapshot.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import duckdb

from bench._memory import peak_mb
from cdesk.core.home import StateDirectory
from cdesk.state.snapshot import SnapshotReader
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk_app.worker.refresh import refresh_context

RESULTS = Path(__file__).resolve().parent / "results"
AIM = 0.05
WHOLE_SECONDS = 10.0
WHOLE_MB = 300
_CACHE = """
create schema activities;
create table activities.context_cache as
select 'customer-' || lpad(cast(n as varchar), 8, '0') as customer,
    cast(json_object('customer', cast(n as varchar), 'insights', array_to_string(list_transform(range(31), lambda i: md5(cast(n * 31 + i as varchar))), '')) as json) as context,
    timestamp '2026-01-31 12:00:00' as updated_at, '0' as version
from range(?) as numbers (n)
"""
_CHANGE = """
update activities.context_cache set version = cast($turn as varchar), updated_at = updated_at + to_seconds($turn)
where customer in (select 'customer-' || lpad(cast((n * 977 + $turn) % $customers as varchar), 8, '0') from range($changed) as numbers (n))
"""


class Watcher:
    """Reads one customer's context over and over; `times` in seconds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.times: list[float] = []

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        reader = SnapshotReader(self._path)
        while not self._stop.is_set():
            started = time.perf_counter()
            reader.read("customer-00000042")
            self.times.append(time.perf_counter() - started)
            time.sleep(0.002)
        reader.close()

    def at(self, share: float) -> float:
        """The time that so great a share of the reads stays below, in milliseconds."""
        return 1000 * sorted(self.times)[min(int(len(self.times) * share), len(self.times) - 1)]


def child_whole(root: Path) -> dict[str, float]:
    """All customers, in this process."""
    home = StateDirectory(root)
    processor = time.process_time()
    whole = refresh_context(DuckDBWarehouse(home.warehouse), home)
    return {
        "changed": whole.changed,
        "seconds": whole.seconds,
        "cpu_seconds": time.process_time() - processor,
        "peak_mb": peak_mb(),
    }


def in_child(root: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.snapshot", "--child", str(root)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--changed", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.child:
        print(json.dumps(child_whole(given.child)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        home = StateDirectory(Path(folder)).ensure()
        with duckdb.connect(str(home.warehouse)) as connection:
            connection.execute(_CACHE, [given.customers])
        warehouse = DuckDBWarehouse(home.warehouse)
        whole = in_child(home.root)
        assert whole["changed"] == given.customers
        seconds = []
        with Watcher(home.context_db) as quiet:
            time.sleep(2.0)
        with Watcher(home.context_db) as watcher:
            for turn in range(1, given.rounds + 1):
                with duckdb.connect(str(home.warehouse)) as connection:
                    connection.execute(
                        _CHANGE,
                        {"turn": turn, "customers": given.customers, "changed": given.changed},
                    )
                report = refresh_context(warehouse, home)
                assert report.changed == given.changed, report.changed
                seconds.append(report.seconds)
        size = home.context_db.stat().st_size / 2**20
    delta = statistics.median(seconds)
    result = {
        "customers": given.customers,
        "changed": given.changed,
        "whole_seconds": whole["seconds"],
        "whole_cpu_seconds": round(whole["cpu_seconds"], 2),
        "whole_peak_mb": round(whole["peak_mb"]),
        "delta_seconds": round(delta, 3),
        "delta_over_whole": round(delta / whole["seconds"], 4),
        "context_db_mib": round(size, 1),
        "read_p99_ms_quiet": round(quiet.at(0.99), 3),
        "read_p99_ms_during": round(watcher.at(0.99), 3),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "snapshot.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(
        f"all {given.customers:,} customers: {whole['seconds']:.1f} s (aim {WHOLE_SECONDS:.0f}), "
        f"{whole['cpu_seconds']:.1f} s of the processor, {whole['peak_mb']:.0f} MB of memory "
        f"(aim {WHOLE_MB}); the file {size:,.0f} MiB"
    )
    print(
        f"{given.changed:,} changed: {delta:.3f} s, {result['delta_over_whole']} of the whole "
        f"(aim: at most {AIM})"
    )
    print(
        f"a reader's 99th percentile: {result['read_p99_ms_quiet']} ms quiet, "
        f"{result['read_p99_ms_during']} ms during refreshes"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
