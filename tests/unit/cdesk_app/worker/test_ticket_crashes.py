"""kill -9 in the middle of tickets: nothing stays in limbo, nothing is answered twice, no half
result is ever shown.
"""

from __future__ import annotations

import random
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from cdesk.artifacts.local import LocalArtifacts
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk.state.tickets import count_open
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk_app.worker.tickets import TicketRunner
from tests.forked import STARTS

if TYPE_CHECKING:
    from query_desk import Desk

PATIENCE = 240.0


def run_tickets(root: Path, ready: Connection) -> None:
    """Be a worker of `root` until killed."""
    home = StateDirectory(root)
    settings = Settings(home=home.root, customer="ada@example.com")
    runner = TicketRunner(settings, home, DuckDBWarehouse(home.warehouse), QueueWriter(home.queue))
    runner.recover()
    ready.send("ready")
    while True:
        runner.poll()
        time.sleep(0.005)


def worker(desk: Desk) -> BaseProcess:
    """A process that runs tickets until it is killed."""
    here, there = STARTS.Pipe(duplex=False)
    process = STARTS.Process(target=run_tickets, args=(desk.home.root, there), daemon=True)
    process.start()
    there.close()
    with here:
        assert here.recv() == "ready"
    return process


def kill(process: BaseProcess) -> None:
    process.kill()
    process.join(60)
    process.close()


def wait_for(desk: Desk, ticket_id: str, status: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while desk.ticket(ticket_id).status != status:
        assert time.monotonic() < deadline, desk.ticket(ticket_id)
        time.sleep(0.01)


def finish(desk: Desk) -> None:
    """The next worker, which nobody kills."""
    runner = desk.runner()
    runner.recover()
    deadline = time.monotonic() + PATIENCE
    while sum(count_open(desk.state).values()):
        assert time.monotonic() < deadline, "a ticket stays in limbo"
        runner.poll()
        runner.wait_idle(0.5)
    runner.close()


def test_a_ticket_survives_one_killed_worker_and_fails_with_the_second(desk: Desk) -> None:
    ticket_id = desk.submit("slow", {"rows": 3_000_000})
    for attempt in (1, 2):
        process = worker(desk)
        try:
            wait_for(desk, ticket_id, "running")
            assert desk.ticket(ticket_id).attempts == attempt
        finally:
            kill(process)
    finish(desk)
    ticket = desk.ticket(ticket_id)
    assert (ticket.status, ticket.error_code) == ("failed", "worker_lost")
    assert "2 times" in str(ticket.error_message)


@pytest.mark.parametrize("seed", range(3))
def test_workers_killed_at_random_instants_lose_no_ticket_and_show_no_half_result(
    desk: Desk, seed: int
) -> None:
    rng = random.Random(seed)
    tickets = [desk.submit("numbers", {"rows": 20_000 + number}) for number in range(12)]
    for _ in range(3):
        process = worker(desk)
        try:
            time.sleep(rng.uniform(0, 0.4))
        finally:
            kill(process)
    finish(desk)
    ended = [desk.ticket(ticket_id) for ticket_id in tickets]
    assert {(ticket.status, ticket.error_code) for ticket in ended} <= {
        ("succeeded", None),
        ("failed", "worker_lost"),
    }
    folder = LocalArtifacts(desk.home.artifacts)
    runs = {run["query_hash"] for run in desk.records("query_run") if run["status"] == "succeeded"}
    for number, ticket in enumerate(ended):
        if ticket.result is None:
            continue
        assert ticket.query_hash in runs, "an answer without its proof"
        path = folder.path(ticket.result["artifact"]["uri"])
        assert pq.read_metadata(path).num_rows == ticket.result["row_count"] == 20_000 + number
