"""Ticket states and the kill switch as rows of state.db: each transition happens
once, whoever makes it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cdesk.core.errors import KillSwitchActive, NotFound
from cdesk.core.home import StateDirectory
from cdesk.state import tickets
from cdesk.state.database import open_state, repair_state
from cdesk.state.facts import KillSwitch
from cdesk.state.kill_switch import COST_GUARD, read_switch, turn_off, turn_on

NOW = "2026-01-31T12:00:00.000000Z"
LATER = "2026-01-31T13:00:00.000000Z"


@pytest.fixture
def home(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path)


@pytest.fixture
def state(home: StateDirectory) -> Iterator[sqlite3.Connection]:
    connection = open_state(home.state_db)
    yield connection
    connection.close()


def submit(state: sqlite3.Connection, ticket_id: str, customer: str = "ada") -> None:
    tickets.submit_ticket(
        state,
        ticket_id=ticket_id,
        customer=customer,
        is_analyst=False,
        session_id=None,
        template="health",
        params={"a": [1]},
        query_hash="0" * 16,
        query_tag="cdesk_00000000",
        byte_cap=None,
        submitted_at=NOW,
        expires_at=tickets.expiry_of(NOW),
    )


def test_a_ticket_reads_as_it_was_written(state: sqlite3.Connection) -> None:
    submit(state, "t1")
    ticket = tickets.get_ticket(state, "t1", customer="ada")
    assert (ticket.status, ticket.params, ticket.is_analyst, ticket.dry_run) == (
        "queued",
        {"a": [1]},
        False,
        False,
    )
    assert ticket.expires_at == "2026-01-31T12:15:00.000000Z"


def test_another_customers_ticket_is_not_known(state: sqlite3.Connection) -> None:
    submit(state, "t1")
    for asked in (("t1", "bob"), ("none", "ada")):
        with pytest.raises(NotFound):
            tickets.get_ticket(state, asked[0], customer=asked[1])
        with pytest.raises(NotFound):
            tickets.cancel_ticket(state, asked[0], customer=asked[1], now=NOW)
    assert tickets.get_ticket(state, "t1", customer="ada").status == "queued"


def test_a_ticket_is_claimed_by_one_of_many(tmp_path: Path, state: sqlite3.Connection) -> None:
    for number in range(60):
        submit(state, f"t{number:02}", f"c{number % 7}")
    claimed: list[str] = []

    def claim(name: str) -> None:
        connection = open_state(tmp_path / "state.db")
        while (ticket := tickets.claim_ticket(connection, runner=name, now=NOW)) is not None:
            claimed.append(ticket.ticket_id)
        connection.close()

    threads = [threading.Thread(target=claim, args=(f"r{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == [f"t{number:02}" for number in range(60)]


def test_looking_for_something_to_do_takes_nobodys_turn_to_write(
    home: StateDirectory, state: sqlite3.Connection
) -> None:
    with closing(open_state(home.state_db, timeout_seconds=0.0)) as runner:
        state.execute("begin immediate")
        assert tickets.claim_ticket(runner, runner="w", now=NOW) is None
        submit(state, "t1")
        state.execute("commit")
        state.execute("begin immediate")
        assert tickets.expire_tickets(runner, now=NOW) == []
        state.execute("commit")
        assert [one.ticket_id for one in tickets.expire_tickets(runner, now=LATER)] == ["t1"]


def test_no_customer_waits_for_more_than_one_round(state: sqlite3.Connection) -> None:
    for number in range(30):
        submit(state, f"t{number:02}", "greedy" if number < 20 else f"c{number}")
    order = []
    while (ticket := tickets.claim_ticket(state, runner="r", now=NOW)) is not None:
        order.append(ticket.customer)
    assert len(set(order[:11])) == 11


def test_only_its_runner_can_end_a_ticket_and_only_once(state: sqlite3.Connection) -> None:
    submit(state, "t1")
    tickets.claim_ticket(state, runner="r", now=NOW)
    assert not tickets.finish_ticket(state, "t1", runner="other", status="failed", now=NOW)
    assert tickets.finish_ticket(
        state, "t1", runner="r", status="succeeded", now=NOW, result=b'{"rows":[]}'
    )
    assert not tickets.finish_ticket(state, "t1", runner="r", status="failed", now=NOW)
    ticket = tickets.get_ticket(state, "t1", customer="ada")
    assert (ticket.status, ticket.result) == ("succeeded", {"rows": []})


def test_an_ended_ticket_cannot_be_cancelled(state: sqlite3.Connection) -> None:
    submit(state, "t1")
    tickets.claim_ticket(state, runner="r", now=NOW)
    tickets.finish_ticket(state, "t1", runner="r", status="succeeded", now=NOW, result=b"{}")
    assert tickets.cancel_ticket(state, "t1", customer="ada", now=NOW) == "succeeded"


def test_a_position_counts_the_customers_own_tickets_ahead(state: sqlite3.Connection) -> None:
    for number in range(3):
        submit(state, f"t{number}")
    submit(state, "other", "bob")
    assert tickets.queue_position(state, tickets.get_ticket(state, "t2", customer="ada")) == 2
    assert tickets.queue_position(state, tickets.get_ticket(state, "other", customer="bob")) == 0


def test_ended_tickets_are_forgotten_after_a_week(state: sqlite3.Connection) -> None:
    submit(state, "t1")
    submit(state, "t2")
    tickets.cancel_ticket(state, "t1", customer="ada", now=NOW)
    assert tickets.forget_tickets(state, now=datetime(2026, 2, 7, 11, tzinfo=UTC)) == 0
    assert tickets.forget_tickets(state, now=datetime(2026, 2, 7, 13, tzinfo=UTC)) == 1
    assert tickets.count_open(state) == {"queued": 1, "running": 0}


def test_claims_and_counts_go_by_their_indexes(state: sqlite3.Connection) -> None:
    """What runs at every wake costs by what is open, not by what has ended."""
    plans = [
        str(row)
        for sql in (
            "select count(*) from tickets where status = 'queued'",
            "select ticket_id from tickets where status = 'running' and runner = 'r'",
            "select distinct customer from tickets where status = 'queued'",
            "select max(turn) from tickets where turn is not null",
            "select max(turn) from tickets where customer = 'c' and turn is not null",
        )
        for row in state.execute(f"explain query plan {sql}")
    ]
    assert all("INDEX" in plan for plan in plans), plans


def status_of(state: sqlite3.Connection) -> dict[str, str]:
    return dict(state.execute("select ticket_id, status from tickets"))


def test_a_query_that_ran_at_once_is_kept_as_a_ticket_that_has_ended(
    state: sqlite3.Connection,
) -> None:
    told: dict[str, Any] = {
        "ticket_id": "t1",
        "customer": "ada",
        "is_analyst": True,
        "session_id": "s",
        "template": "health",
        "params": {"n": 1},
        "query_hash": "h",
        "query_tag": "q",
        "byte_cap": 2_048,
        "dry_run": True,
        "fresh": True,
        "least_customers": 5,
    }
    tickets.keep_ended_query(
        state,
        started_at=NOW,
        finished_at=LATER,
        status="failed",
        result=b'{"a":1}',
        error_code="query_timeout",
        **told,
    )
    assert tickets.get_ticket(state, "t1", customer="ada") == tickets.Ticket(
        **told,
        status="failed",
        attempts=1,
        submitted_at=NOW,
        started_at=NOW,
        finished_at=LATER,
        expires_at=NOW,
        progress=None,
        error_code="query_timeout",
        error_message=None,
        result={"a": 1},
    )
    assert tickets.claim_ticket(state, runner="r", now=NOW) is None
    submit(state, "t2")
    plain = tickets.get_ticket(state, "t2", customer="ada")
    assert (plain.dry_run, plain.fresh, plain.least_customers) == (False, False, 1)


def test_a_runner_tells_its_progress_and_hears_of_wishes_to_cancel_its_own(
    state: sqlite3.Connection,
) -> None:
    for id in ("t1", "t2", "t3"):
        submit(state, id)
    mine = tickets.claim_ticket(state, runner="mine", now=NOW)
    tickets.claim_ticket(state, runner="other", now=NOW)
    assert mine is not None
    assert (mine.ticket_id, mine.status, mine.attempts) == ("t1", "running", 1)
    assert (mine.started_at, mine.progress) == (NOW, "running")
    for id in ("t1", "t2", "t3"):
        tickets.set_progress(state, id, runner="mine", progress="half of it")
        tickets.cancel_ticket(state, id, customer="ada", now=LATER)
    assert dict(state.execute("select ticket_id, progress from tickets")) == {
        **{"t1": "half of it", "t2": "running", "t3": None}
    }
    assert status_of(state) == {"t1": "running", "t2": "running", "t3": "cancelled"}
    assert tickets.cancel_requests(state, runner="mine") == ["t1"]
    assert tickets.running_tickets(state, runner="other") == {"t2"}
    assert tickets.count_open(state) == {"queued": 0, "running": 2}
    assert tickets.count_by_status(state) == {"running": 2, "cancelled": 1}


def test_what_nobody_starts_in_time_expires(state: sqlite3.Connection) -> None:
    for id in ("t1", "t2"):
        submit(state, id)
    tickets.claim_ticket(state, runner="r", now=NOW)
    ends = tickets.expiry_of(NOW)
    assert ends == "2026-01-31T12:15:00.000000Z"
    assert tickets.expire_tickets(state, now=NOW) == []
    (expired,) = tickets.expire_tickets(state, now=ends)
    assert (expired.ticket_id, expired.status, expired.finished_at) == ("t2", "expired", ends)
    assert status_of(state) == {"t1": "running", "t2": "expired"}


def test_what_a_dead_worker_left_runs_once_more_and_then_fails(state: sqlite3.Connection) -> None:
    for id in ("t1", "t2"):
        submit(state, id)
        tickets.claim_ticket(state, runner="dead", now=NOW)
    tickets.cancel_ticket(state, "t2", customer="ada", now=NOW)
    (cancelled,) = tickets.recover_tickets(state, runner="next", now=LATER)
    assert (cancelled.ticket_id, cancelled.status, cancelled.error_code) == ("t2", "cancelled", "cancelled")  # fmt: skip
    again = tickets.claim_ticket(state, runner="next", now=LATER)
    assert again is not None
    assert (again.ticket_id, again.attempts) == ("t1", 2)
    assert tickets.recover_tickets(state, runner="next", now=LATER) == []
    (lost,) = tickets.recover_tickets(state, runner="third", now=LATER)
    assert (lost.status, lost.error_code) == ("failed", "worker_lost")
    assert "died 2 times" in (lost.error_message or "")


def test_an_orderly_stop_gives_tickets_back_and_all_can_be_ended_at_once(
    state: sqlite3.Connection,
) -> None:
    for id in ("t1", "t2", "t3"):
        submit(state, id)
    for _ in range(2):
        tickets.claim_ticket(state, runner="r", now=NOW)
    assert tickets.release_tickets(state, runner="r") == 2
    assert {row[0] for row in state.execute("select attempts from tickets")} == {0}
    tickets.claim_ticket(state, runner="r", now=NOW)
    assert tickets.cancel_all(state, code="c", message="m", now=LATER) == 3
    assert tickets.count_by_status(state) == {"running": 1, "cancelled": 2}
    submit(state, "t4")
    assert tickets.fail_open(state, code="c", message="m", now=LATER) == 2
    assert tickets.count_by_status(state) == {"failed": 2, "cancelled": 2}


# -- kill switch


def test_the_switch_is_off_until_somebody_turns_it(
    state: sqlite3.Connection, home: StateDirectory
) -> None:
    assert not read_switch(state, home.kill_switch).on
    read_switch(state, home.kill_switch).require_off()
    assert not read_switch(state, None).on, "as far as state.db alone knows"


def test_a_switch_without_a_reason_names_none() -> None:
    said = "queries are switched off since t; logging goes on. "
    assert KillSwitch(on=True, since="t").message.startswith(said)


def test_the_switch_tells_why_and_what_to_do(
    state: sqlite3.Connection, home: StateDirectory
) -> None:
    submit(state, "waits")
    assert turn_on(state, home, reason="credits", now=NOW) == 1
    with pytest.raises(KillSwitchActive, match=r"credits.*kill-switch off"):
        read_switch(state, home.kill_switch).require_off()
    assert tickets.get_ticket(state, "waits", customer="ada").error_code == "kill_switch_active"
    turn_off(state, home, now=LATER)
    switch = read_switch(state, home.kill_switch)
    assert (switch.on, switch.since) == (False, LATER)
    assert not home.kill_switch.exists()


def test_a_part_of_the_system_turns_off_only_what_it_has_turned_on(
    state: sqlite3.Connection, home: StateDirectory
) -> None:
    """A person may have turned it on since that part looked."""
    turn_on(state, home, reason="credits", now=NOW, by=COST_GUARD)
    turn_on(state, home, reason="a person says so", now=NOW)
    assert not turn_off(state, home, now=LATER, by=COST_GUARD)
    switch = read_switch(state, home.kill_switch)
    assert (switch.on, switch.reason) == (True, "a person says so")
    assert home.kill_switch.exists()
    turn_on(state, home, reason="credits", now=NOW, by=COST_GUARD)
    assert turn_off(state, home, now=LATER, by=COST_GUARD)
    assert not read_switch(state, home.kill_switch).on


@pytest.mark.parametrize("damage", ["random bytes", "removed", "rows gone", "older copy"])
def test_the_switch_stays_on_whatever_becomes_of_state_db(
    state: sqlite3.Connection, home: StateDirectory, damage: str
) -> None:
    state.execute("pragma wal_checkpoint(truncate)")
    older = home.state_db.read_bytes()
    turn_on(state, home, reason="credits", now=NOW)
    if damage == "rows gone":
        state.execute("delete from worker_status")
    else:
        state.close()
        for file in home.root.glob("state.db*"):
            file.unlink()
        if damage != "removed":
            home.state_db.write_bytes(older if damage == "older copy" else os.urandom(8_192))
        repair_state(home.state_db)
        state = open_state(home.state_db)
    switch = read_switch(state, home.kill_switch)
    assert (switch.on, switch.reason, switch.since) == (True, "credits", NOW)
    turn_off(state, home, now=LATER)
    assert not read_switch(state, home.kill_switch).on
    state.close()


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"[]", b'{"on": false}', b'{"reason": 7}'])
def test_a_damaged_file_of_the_switch_keeps_queries_off(
    state: sqlite3.Connection, home: StateDirectory, content: bytes
) -> None:
    home.kill_switch.write_bytes(content)
    assert read_switch(state, home.kill_switch).on
    with pytest.raises(KillSwitchActive, match="kill-switch off"):
        read_switch(state, home.kill_switch).require_off()
    turn_off(state, home, now=LATER)
    assert not read_switch(state, home.kill_switch).on


def test_the_switch_stays_on_where_turning_it_off_breaks_off(
    state: sqlite3.Connection, home: StateDirectory
) -> None:
    turn_on(state, home, reason=None, now=NOW)
    state.execute("pragma query_only = on")
    with pytest.raises(sqlite3.Error):
        turn_off(state, home, now=LATER)
    assert read_switch(state, home.kill_switch).on
