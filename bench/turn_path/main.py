"""Measure, print ratios, write JSON, draw."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from bench.turn_path import fixtures
from bench.turn_path.driver import Client, Server, percentile
from cdesk.core.clock import format_ts
from cdesk.core.home import StateDirectory
from cdesk.state.snapshot import SnapshotReader, SnapshotWriter

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench" / "results"
EVENT = {
    "activity": "cdesk.user_asked",
    "feature_json": {
        "question": "How many sessions did I have last week?",
        "topic": "usage",
        "tokens": 14,
    },
}
INSIGHT = {"subject": "project atlas", "metric": "median minutes", "value": 12.5}
PENDING = 200
"""Insights that no snapshot shows yet, as after an hour's work while nothing could be built."""
QUERY = {"template": "recent_activities", "params": {"hours_back": 48}}


def _environ(home: Path) -> dict[str, str]:
    keep = {
        name: os.environ[name]
        for name in ("PATH", "SYSTEMROOT", "TEMP", "TMP")
        if name in os.environ
    }
    return {
        **keep,
        "PYTHONPATH": str(ROOT),
        "CDESK_HOME": str(home),
        "CDESK_CUSTOMER": fixtures.CUSTOMER,
        "CDESK_WORKER": "off",
    }


def _servers(base: Path) -> list[Server]:
    plain = {name: value for name, value in _environ(base).items() if not name.startswith("CDESK_")}
    echo = {"text": "How many sessions did I have last week?"}
    ours = ["-m", "mcp_shim"]
    return [
        Server("floor", ["bench/turn_path/floor.py"], "echo", echo, plain),
        Server("stock", ["bench/turn_path/stock.py"], "echo", echo, plain),
        Server("cdesk", ours, "get_context", {}, _environ(base / "reading")),
        Server("cdesk-writing", ours, "log_event", EVENT, _environ(base / "writing")),
        Server("cdesk-pending", ours, "get_context", {}, _environ(base / "pending")),
    ]


def measure_start(servers: Sequence[Server], rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds to the first tools/list and to the first answered call, the servers taking
    turns.
    """
    taken: dict[str, list[tuple[float, float]]] = {server.name: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            client, started = server.start(ROOT)
            client.close()
            taken[server.name].append((started.tools_list, started.first_call))
    return {
        name: {
            "tools_list_s": statistics.median(value[0] for value in values),
            "tools_list_min_s": min(value[0] for value in values),
            "first_call_s": statistics.median(value[1] for value in values),
        }
        for name, values in taken.items()
    }


def measure_calls(base: Path, servers: Sequence[Server], calls: int) -> dict[str, Any]:
    """Percentiles in ms of each operation, taking turns in short runs; CPU per call, RSS, idle CPU
    of each server.
    """
    clients: dict[str, Client] = {server.name: server.start(ROOT)[0] for server in servers}
    by_name = {server.name: server for server in servers}
    try:
        ticket = clients["cdesk-writing"].call("submit_query", QUERY)["structuredContent"][
            "ticket_id"
        ]
        fixtures.finish(StateDirectory(base / "writing"), ticket)
        for number in range(PENDING):
            metric = {"metric": f"median minutes of step {number}"}
            clients["cdesk-pending"].call("log_insight", INSIGHT | metric)
        operations: dict[str, tuple[str, str, dict[str, Any]]] = {
            "floor echo": ("floor", "echo", by_name["floor"].call),
            "stock echo": ("stock", "echo", by_name["stock"].call),
            "get_context": ("cdesk", "get_context", {}),
            f"{PENDING} pending": ("cdesk-pending", "get_context", {}),
            "log_event": ("cdesk-writing", "log_event", EVENT),
            "log_insight": ("cdesk-writing", "log_insight", INSIGHT),
            "submit_query": ("cdesk-writing", "submit_query", QUERY),
            "get_result": ("cdesk-writing", "get_result", {"ticket_id": ticket}),
        }
        taken: dict[str, list[float]] = {name: [] for name in operations}
        cpu: dict[str, float] = dict.fromkeys(operations, 0.0)
        block = 100
        for round_number in range(-1, max(calls // block, 1)):  # the first round warms up
            for name, (server, tool, arguments) in operations.items():
                client = clients[server]
                before = client.cpu_seconds()
                values = [client.timed_call(tool, arguments) for _ in range(block)]
                if round_number >= 0:
                    cpu[name] += client.cpu_seconds() - before
                    taken[name] += values
        time.sleep(1.0)
        idle_seconds = 5.0
        idle_before = {name: client.cpu_seconds() for name, client in clients.items()}
        time.sleep(idle_seconds)
        weight = {
            name: {
                "rss_mib": client.rss_mib(),
                "idle_cpu_percent": 100 * (client.cpu_seconds() - idle_before[name]) / idle_seconds,
            }
            for name, client in clients.items()
        }
    finally:
        for client in clients.values():
            client.close()
    return {
        "calls": {
            name: {
                "p50_ms": percentile(values, 0.50),
                "p95_ms": percentile(values, 0.95),
                "p99_ms": percentile(values, 0.99),
                "cpu_ms": 1e3 * cpu[name] / len(values),
                "n": len(values),
            }
            for name, values in taken.items()
        },
        "weight": weight,
    }


def measure_snapshot(base: Path, count: int, calls: int) -> dict[str, Any]:
    """get_context over a small and a large snapshot in turns; a full and a partial refresh, with a
    reader looking on.
    """
    writer_home = StateDirectory(base / "large").ensure()
    fixtures.catalog(writer_home)
    writer = SnapshotWriter(writer_home.context_db)
    begun = time.perf_counter()
    writer.apply(fixtures.customers(count), refreshed_at=format_ts(time.time_ns()))
    full = time.perf_counter() - begun
    large = Server("large", ["-m", "mcp_shim"], "get_context", {}, _environ(base / "large"))
    small = Server("small", ["-m", "mcp_shim"], "get_context", {}, _environ(base / "reading"))
    taken: dict[str, list[float]] = {"small": [], "large": []}
    clients = {server.name: server.start(ROOT)[0] for server in (small, large)}
    try:
        for round_number in range(-1, max(calls // 100, 1)):
            for name, client in clients.items():
                values = [client.timed_call("get_context", {}) for _ in range(100)]
                if round_number >= 0:
                    taken[name] += values
    finally:
        for client in clients.values():
            client.close()
    changed = min(1_000, count // 10)
    waits: list[float] = []
    stop = threading.Event()

    def look() -> None:
        reader = SnapshotReader(writer_home.context_db)
        while not stop.is_set():
            at = time.perf_counter()
            reader.read(fixtures.CUSTOMER)
            waits.append(1e3 * (time.perf_counter() - at))
            time.sleep(0.001)
        reader.close()

    thread = threading.Thread(target=look)
    thread.start()
    begun = time.perf_counter()
    writer.apply(fixtures.customers(changed, seed=1), refreshed_at=format_ts(time.time_ns()))
    partial = time.perf_counter() - begun
    stop.set()
    thread.join()
    return {
        "customers": count,
        "changed": changed,
        "full_refresh_s": full,
        "partial_refresh_s": partial,
        "partial_ratio": partial / full,
        "reader_longest_wait_ms": max(waits, default=0.0),
        "get_context": {
            name: {"p50_ms": percentile(values, 0.5), "p95_ms": percentile(values, 0.95)}
            for name, values in taken.items()
        },
        "p95_ratio": percentile(taken["large"], 0.95) / percentile(taken["small"], 0.95),
    }


def report(results: dict[str, Any]) -> str:
    calls, start, weight = results["calls"], results["start"], results["weight"]
    floor, stock = calls["floor echo"], calls["stock echo"]
    lines = [
        f"{'':14}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'CPU ms':>9}{'p95/floor':>11}{'p95/stock':>11}",
    ]
    for name, row in calls.items():
        lines.append(
            f"{name:14}{row['p50_ms']:9.3f}{row['p95_ms']:9.3f}{row['p99_ms']:9.3f}{row['cpu_ms']:9.3f}"
            f"{row['p95_ms'] / floor['p95_ms']:11.2f}{row['p95_ms'] / stock['p95_ms']:11.2f}"
        )
    lines += [
        "",
        f"{'start':14}{'list s':>9}{'call s':>9}{'list/stock':>12}{'RSS MiB':>9}{'/stock':>8}{'idle CPU %':>12}",
    ]
    for name, row in start.items():
        heavy = weight[name]
        lines.append(
            f"{name:14}{row['tools_list_s']:9.3f}{row['first_call_s']:9.3f}"
            f"{row['tools_list_s'] / start['stock']['tools_list_s']:12.2f}{heavy['rss_mib']:9.1f}"
            f"{heavy['rss_mib'] / weight['stock']['rss_mib']:8.2f}{heavy['idle_cpu_percent']:12.2f}"
        )
    snapshot = results.get("snapshot")
    if snapshot:
        lines += [
            "",
            f"snapshot of {snapshot['customers']:,} customers: get_context p95 "
            f"{snapshot['p95_ratio']:.2f} × that with 1,000; "
            f"refresh of {snapshot['changed']:,} takes {snapshot['partial_ratio']:.3f} × a "
            "full one "
            f"({snapshot['partial_refresh_s']:.2f} s of {snapshot['full_refresh_s']:.1f} s); "
            f"longest wait of a reader meanwhile {snapshot['reader_longest_wait_ms']:.1f} ms",
        ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.turn_path", description=__doc__)
    parser.add_argument("--calls", type=int, default=2_000, help="calls of each operation")
    parser.add_argument("--starts", type=int, default=7, help="starts of each server")
    parser.add_argument(
        "--customers", type=int, default=100_000, help="size of the large snapshot; 0 leaves it out"
    )
    parser.add_argument(
        "--plot", type=Path, default=None, help="draw the figures into this SVG or PNG file"
    )
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="cdesk-bench-") as folder:
        base = Path(folder)
        for name in ("reading", "writing", "pending"):
            fixtures.state_directory(base / name, contexts=1_000)
        servers = _servers(base)
        results: dict[str, Any] = {
            "machine": {
                "system": platform.platform(),
                "python": platform.python_version(),
                "cpus": os.cpu_count(),
            },
            "at": format_ts(time.time_ns()),
        }
        results.update(measure_calls(base, servers, options.calls))
        results["start"] = measure_start(servers, options.starts)
        if options.customers:
            results["snapshot"] = measure_snapshot(base, options.customers, options.calls)
    print(report(results))
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / "turn_path.json"
    target.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2))
    print(f"\nwritten to {target.relative_to(ROOT)}")
    if options.plot:
        from bench.turn_path.plot import draw

        draw(results, options.plot)
        print(f"drawn to {options.plot}")
    return 0
