"""Tickets: from submission to preview against the query's own time, 1,000 tickets of 50 customers
drained in fair order, and questions while a build holds the file and while the worker is at it.

    python -m bench.queries [--rounds 30] [--tickets 1000] [--customers 50]

A real warehouse that the worker built; the real server over stdio and a real worker process for the
first figure (submit_query, then get_result that waits, as a model asks), the ticket runner for the
second. The floors are measured in the same run: DuckDB alone opens the same file and runs the same
SQL with the same binds. Writes bench/results/queries.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from bench.turn_path.driver import Server
from cdesk.contract.catalog import Catalog, load_catalog
from cdesk.contract.records import encode, make_record
from cdesk.core.clock import IdSource, format_ts
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk.state.database import open_state
from cdesk.state.tickets import ENDED, count_open, expiry_of, get_ticket, submit_ticket
from cdesk.warehouse.factory import open_warehouse
from cdesk_app.worker.main import run_once
from cdesk_app.worker.tickets import TicketRunner

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results" / "queries.json"
AIM_OVERHEAD_MS = 150.0
TEMPLATES = ("recent_activities", "activity_counts", "insights")
EVENTS = 5_000
HOLD = (
    "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); "
    "sys.stdin.read()"
)
PAUSE_SECONDS = 0.5
"""Between questions, as people leave it: the worker lands what the last one recorded."""


class Desk:
    """A state directory with a built warehouse of EVENTS activities."""

    def __init__(self, root: Path, customers: int) -> None:
        self.home = StateDirectory(root).ensure()
        self.settings = Settings(
            home=root, customer=name(0), worker="off", environ=dict(os.environ)
        )
        self.ids = IdSource()
        self._fill(customers)
        run_once(self.settings)
        self.catalog: Catalog = load_catalog(self.home.catalog)
        self.state: sqlite3.Connection = open_state(self.home.state_db)

    def _fill(self, customers: int) -> None:
        rng, writer = random.Random(1), QueueWriter(self.home.queue)
        for _ in range(EVENTS):
            record = make_record(
                "event",
                id=self.ids.uuid7(),
                ts=format_ts(time.time_ns() - rng.randrange(24 * 3600) * 10**9),
                customer=name(rng.randrange(customers)),
                session_id=f"s{rng.randrange(100)}",
                query_tag=self.ids.query_tag(),
                fields={
                    "anonymous_customer_id": None,
                    "activity": rng.choice(
                        ("cdesk.user_asked", "cdesk.claude_responded", "cdesk.file_read")
                    ),
                    "feature_json": {"length": rng.randrange(1_000)},
                    "link": None,
                    "revenue_impact": None,
                },
            )
            writer.append(encode(record))
        writer.close()

    def submit(self, template: str, customer: str, limit: int) -> str:
        """A ticket as submit_query writes it; its id."""
        found = self.catalog.get(template)
        params = found.check_params({"limit": limit})
        now, ticket_id = format_ts(time.time_ns()), self.ids.uuid7()
        submit_ticket(
            self.state,
            ticket_id=ticket_id,
            customer=customer,
            is_analyst=False,
            session_id=None,
            template=template,
            params=params,
            query_hash=found.query_hash(params, customer=customer, is_analyst=False),
            query_tag=self.ids.query_tag(),
            byte_cap=None,
            submitted_at=now,
            expires_at=expiry_of(now, seconds=3_600),
        )
        return ticket_id

    def wait(self, ticket_id: str, customer: str) -> dict[str, Any]:
        """Its result, looked for every millisecond as get_result's waiting does."""
        while True:
            ticket = get_ticket(self.state, ticket_id, customer=customer)
            if ticket.status in ENDED:
                if ticket.result is None:
                    raise RuntimeError(f"ticket {ticket.status}: {ticket.error_message}")
                return dict(ticket.result)
            time.sleep(0.001)

    def bare(
        self,
        template: str,
        customer: str,
        limit: int,
        connection: duckdb.DuckDBPyConnection | None = None,
    ) -> float:
        """Seconds that DuckDB alone needs for the same question, opening the file included unless a
        connection is given.
        """
        found = self.catalog.get(template)
        binds = found.bind(
            found.check_params({"limit": limit}), customer=customer, is_analyst=False
        )
        started = time.perf_counter()
        with contextlib.ExitStack() as stack:
            if connection is None:
                connection = stack.enter_context(
                    duckdb.connect(str(self.home.warehouse), read_only=True)
                )
            connection.execute(found.sql, binds).fetchall()
        return time.perf_counter() - started


def name(number: int) -> str:
    return f"customer-{number:03d}@example.com"


def milliseconds(seconds: list[float], share: float) -> float:
    return round(1000 * sorted(seconds)[min(int(len(seconds) * share), len(seconds) - 1)], 1)


@contextlib.contextmanager
def worker_process(desk: Desk) -> Iterator[None]:
    """The worker as the shim starts it, up and at rest."""
    environ = {**os.environ, "CDESK_HOME": str(desk.home.root), "CDESK_CUSTOMER": name(0)}
    with subprocess.Popen(
        [sys.executable, "-m", "cdesk_app.cli", "worker"], env=environ, stderr=subprocess.DEVNULL
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while not desk.home.worker_json.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            desk.wait(desk.submit("insights", name(0), 999), name(0))  # up and warm
            time.sleep(2)
            yield
        finally:
            process.terminate()
            process.wait(30)


def latency(desk: Desk, rounds: int) -> dict[str, Any]:
    """Submission to preview, each round another question, beside the bare query."""
    first: dict[str, list[float]] = {}
    again: dict[str, list[float]] = {}
    environ = {
        **os.environ,
        "CDESK_HOME": str(desk.home.root),
        "CDESK_CUSTOMER": name(0),
        "CDESK_WORKER": "off",
    }
    server = Server("cdesk", ["-m", "mcp_shim"], "get_context", {}, environ)
    with worker_process(desk), server.start(ROOT)[0] as client:
        for template in TEMPLATES:
            for limit in range(1, rounds + 1):
                for times in (first, again):
                    started = time.perf_counter()
                    question = {"template": template, "params": {"limit": limit}}
                    ticket = client.call("submit_query", question)["structuredContent"]
                    wait = {"ticket_id": ticket["ticket_id"], "wait_seconds": 20}
                    result = client.call("get_result", wait)["structuredContent"]["result"]
                    times.setdefault(template, []).append(time.perf_counter() - started)
                    if result["reused"] is not (times is again):
                        raise RuntimeError(f"{template}: reused is {result['reused']}")
                time.sleep(PAUSE_SECONDS)
    figures: dict[str, Any] = {}
    for template in TEMPLATES:
        own = [desk.bare(template, name(0), limit) for limit in range(1, rounds + 1)]
        with duckdb.connect(str(desk.home.warehouse), read_only=True) as connection:
            warm = [
                desk.bare(template, name(0), limit, connection) for limit in range(1, rounds + 1)
            ]
        total = first[template]
        figures[template] = {
            "submit_to_preview_p50_ms": milliseconds(total, 0.5),
            "submit_to_preview_p95_ms": milliseconds(total, 0.95),
            "asked_again_p50_ms": milliseconds(again[template], 0.5),
            "bare_query_p50_ms": milliseconds(own, 0.5),
            "bare_query_warm_p50_ms": milliseconds(warm, 0.5),
            "overhead_p50_ms": round(milliseconds(total, 0.5) - milliseconds(own, 0.5), 1),
            "ratio": round(statistics.median(total) / statistics.median(own), 2),
        }
    return figures


def drain(desk: Desk, tickets: int, customers: int) -> dict[str, Any]:
    """Half of the tickets are one customer's and stand before all others."""
    questions = [("recent_activities", 0, number) for number in range(tickets // 2)]
    questions += [
        ("recent_activities", 1 + number % (customers - 1), number // (customers - 1))
        for number in range(tickets - len(questions))
    ]
    asked = [
        (desk.submit(template, name(who), 1 + limit), name(who))
        for template, who, limit in questions
    ]
    warehouse = open_warehouse(desk.settings, desk.home, copies=True)
    writer = QueueWriter(desk.home.queue)
    runner = TicketRunner(desk.settings, desk.home, warehouse, writer)
    started, cpu = time.perf_counter(), time.process_time()
    while count_open(desk.state)["queued"]:
        runner.poll()
        runner.wait_idle(1.0)
    runner.wait_idle(60)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    runner.close()
    writer.close()
    warehouse.close()
    states = Counter(
        get_ticket(desk.state, ticket_id, customer=who).status for ticket_id, who in asked
    )
    with duckdb.connect(str(desk.home.warehouse), read_only=True) as connection:
        floor = sum(
            desk.bare(template, name(who), 1 + limit, connection)
            for template, who, limit in questions
        )
    return {
        "tickets": tickets,
        "customers": customers,
        "succeeded": states["succeeded"],
        "seconds": round(seconds, 2),
        "tickets_per_second": round(tickets / seconds, 1),
        "cpu_ms_per_ticket": round(1000 * cpu / tickets, 1),
        "bare_queries_one_after_another_seconds": round(floor, 2),
        "ratio": round(seconds / floor, 2),
        "longest_wait_in_turns": longest_wait(desk.state),
        "first_answer_to_every_customer_within_turns": first_answers(desk.state, customers),
    }


def while_held(desk: Desk, questions: int = 60) -> dict[str, Any]:
    """Questions while another process holds the file for writing, as a build does, beside the same
    questions while nobody does.
    """
    template = desk.catalog.get("recent_activities")
    warehouse = open_warehouse(desk.settings, desk.home, copies=True)

    def ask(number: int) -> float:
        params = template.check_params({"limit": 1 + number})
        binds = template.bind(params, customer=name(number % 5), is_analyst=False)
        started = time.perf_counter()
        with warehouse.run_template(
            template, binds, query_tag="cdesk_00000000", timeout_seconds=30
        ) as outcome:
            list(outcome.batches)
        return time.perf_counter() - started

    ask(0)
    quiet = [ask(number) for number in range(questions)]
    with (
        warehouse.building(),
        subprocess.Popen(
            [sys.executable, "-c", HOLD, str(desk.home.warehouse)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as holder,
    ):
        assert holder.stdout is not None
        holder.stdout.readline()
        held = [ask(number) for number in range(questions)]
        holder.communicate()
    warehouse.close()
    return {
        "quiet_p95_ms": milliseconds(quiet, 0.95),
        "held_p95_ms": milliseconds(held, 0.95),
        "ratio": round(milliseconds(held, 0.95) / milliseconds(quiet, 0.95), 2),
    }


def while_building(desk: Desk, questions: int = 60) -> dict[str, Any]:
    """Submission to preview by the real server and the real worker, while that builds the tables
    one time after the other, beside the same while it is at rest.
    """
    environ = {
        **os.environ,
        "CDESK_HOME": str(desk.home.root),
        "CDESK_CUSTOMER": name(0),
        "CDESK_WORKER": "off",
    }
    server = Server("cdesk", ["-m", "mcp_shim"], "get_context", {}, environ)
    ended = threading.Event()

    def build() -> None:
        while not ended.is_set():
            run_once(desk.settings)  # which the running worker does

    with worker_process(desk), server.start(ROOT)[0] as client:

        def ask(number: int) -> float:
            started = time.perf_counter()
            question = {"template": "recent_activities", "params": {"limit": 500 + number}}
            ticket = client.call("submit_query", question)["structuredContent"]
            wait = {"ticket_id": ticket["ticket_id"], "wait_seconds": 20}
            client.call("get_result", wait)
            taken = time.perf_counter() - started
            time.sleep(PAUSE_SECONDS)
            return taken

        quiet = [ask(number) for number in range(questions)]
        builder = threading.Thread(target=build)
        builder.start()
        time.sleep(1.0)
        busy = [ask(questions + number) for number in range(questions)]
        ended.set()
        builder.join()
    return {
        "quiet_p50_ms": milliseconds(quiet, 0.5),
        "quiet_p95_ms": milliseconds(quiet, 0.95),
        "building_p50_ms": milliseconds(busy, 0.5),
        "building_p95_ms": milliseconds(busy, 0.95),
        "building_max_ms": milliseconds(busy, 1.0),
    }


def turns(state: sqlite3.Connection) -> list[str]:
    """Whose ticket was claimed, in order, in the drain."""
    rows = state.execute(
        "select customer from tickets where turn is not null order by turn"
    ).fetchall()
    return [row[0] for row in rows]


def longest_wait(state: sqlite3.Connection) -> int:
    """The most claims that went to others between two of a customer who had tickets waiting all the
    while.
    """
    last: dict[str, int] = {}
    longest = 0
    for turn, customer in enumerate(turns(state)):
        if customer in last:
            longest = max(longest, turn - last[customer] - 1)
        last[customer] = turn
    return longest


def first_answers(state: sqlite3.Connection, customers: int) -> int:
    """After how many claims every customer had had one."""
    seen: set[str] = set()
    for turn, customer in enumerate(turns(state), 1):
        seen.add(customer)
        if len(seen) == customers:
            return turn
    return -1


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--tickets", type=int, default=1_000)
    parser.add_argument("--customers", type=int, default=50)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="cdesk-bench-") as folder:
        print("building a warehouse …", flush=True)
        desk = Desk(Path(folder), args.customers)
        try:
            figures: dict[str, Any] = {"latency": latency(desk, args.rounds)}
            for template, row in figures["latency"].items():
                print(
                    f"{template:<20} submit to preview {row['submit_to_preview_p50_ms']:>7} "
                    f"ms (p95 {row['submit_to_preview_p95_ms']}), "
                    f"bare query {row['bare_query_p50_ms']:>7} ms, overhead "
                    f"{row['overhead_p50_ms']:>6} ms (aim {AIM_OVERHEAD_MS:.0f}), "
                    f"{row['ratio']} ×; asked again {row['asked_again_p50_ms']} ms"
                )
            desk.state.execute("delete from tickets")
            figures["drain"] = row = drain(desk, args.tickets, args.customers)
            figures["while_held"] = held = while_held(desk)
            figures["while_building"] = built = while_building(desk)
        finally:
            desk.state.close()
    print(
        f"{row['succeeded']:,} of {row['tickets']:,} tickets of {row['customers']} customers "
        f"in {row['seconds']} s "
        f"({row['tickets_per_second']} a second, {row['cpu_ms_per_ticket']} ms of processor time "
        f"each), {row['ratio']} × the bare queries one after "
        "another "
        f"({row['bare_queries_one_after_another_seconds']} s)\n"
        "every customer had a first turn within "
        f"{row['first_answer_to_every_customer_within_turns']} claims; "
        f"nobody who waited saw more than {row['longest_wait_in_turns']} claims go to others"
    )
    print(
        f"a question while a build holds the file: p95 {held['held_p95_ms']} ms, "
        f"{held['quiet_p95_ms']} ms while nobody does ({held['ratio']} ×)\n"
        "submit to preview while the worker builds, one time after the other: p50 "
        f"{built['building_p50_ms']}, p95 {built['building_p95_ms']}, at most "
        f"{built['building_max_ms']} ms; at rest {built['quiet_p50_ms']} and "
        f"{built['quiet_p95_ms']} ms"
    )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0 if row["succeeded"] == row["tickets"] else 1


if __name__ == "__main__":
    sys.exit(main())
