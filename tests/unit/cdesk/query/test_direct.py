"""A query without a ticket."""

from __future__ import annotations

import io
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from cdesk.core.clock import format_ts, to_ns
from cdesk.core.errors import (
    InvalidField,
    KillSwitchActive,
    NotFound,
    QueryCancelled,
    WarehouseError,
)
from cdesk.core.identity import ANALYST, Caller
from cdesk.core.wake import WakeSender
from cdesk.query.direct import run_now
from cdesk.queue.writer import QueueWriter
from cdesk.state.database import open_state
from cdesk.state.kill_switch import turn_on
from cdesk.state.tickets import claim_ticket, count_by_status
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk_app.worker.cost_guard import read_runs

if TYPE_CHECKING:
    from query_desk import Desk


@pytest.mark.parametrize("format", ["json", "csv", "parquet"])
def test_cdesk_query_writes_the_whole_result(desk: Desk, format: str) -> None:
    out = io.BytesIO()
    result = run_now(desk.settings, "numbers", {"rows": 12}, Caller("ada@example.com"), format, out)  # type: ignore[arg-type]
    assert result["row_count"] == 12
    if format == "json":
        document = orjson.loads(out.getvalue())
        assert [column["name"] for column in document["columns"]] == ["n", "label", "who"]
        assert document["rows"][11] == [11, "row 11", "ada@example.com"]
        assert document["query_hash"] == result["query_hash"]
        assert document["truncated"] is False
    elif format == "csv":
        lines = out.getvalue().decode().split("\r\n")
        assert lines[0] == "n,label,who"
        assert lines[12] == "11,row 11,ada@example.com"
    else:
        assert out.getvalue()[:4] == out.getvalue()[-4:] == b"PAR1"
    assert len(desk.records("query_run")) == 1


def test_cdesk_query_has_the_hash_that_a_ticket_has(desk: Desk) -> None:
    result = run_now(desk.settings, "numbers", {"rows": 12}, Caller("ada@example.com"))
    assert result["query_hash"] == desk.request("numbers", {"rows": 12}).query_hash


def test_cdesk_query_refuses_what_the_catalog_does_not_hold(desk: Desk) -> None:
    with pytest.raises(NotFound, match="did you mean numbers"):
        run_now(desk.settings, "number", {}, Caller("ada@example.com"))
    with pytest.raises(InvalidField, match="rows"):
        run_now(desk.settings, "numbers", {"rows": "many"}, Caller("ada@example.com"))


def test_cdesk_query_counts_for_the_cost_guard_and_no_worker_runs_it_again(desk: Desk) -> None:
    """Its time and bytes, each time that it runs; what was refused or only estimated used none."""
    ada = Caller("ada@example.com")
    ran = [run_now(desk.settings, "numbers", {"rows": 12}, ada, fresh=True) for _ in range(2)]
    run_now(desk.settings, "numbers", {"rows": 12}, ada, dry_run=True)
    with pytest.raises(InvalidField):
        run_now(desk.settings, "numbers", {"rows": "many"}, ada)
    now = datetime.now(UTC)
    with closing(open_state(desk.home.state_db)) as state:
        runs = read_runs(state, since=now - timedelta(hours=1), now=now)
        assert count_by_status(state) == {"succeeded": 2}
        assert claim_ticket(state, runner="r", now=format_ts(to_ns(now))) is None
        turn_on(state, desk.home, reason="no more", now=format_ts(to_ns(now)))
        with pytest.raises(KillSwitchActive):
            run_now(desk.settings, "numbers", {"rows": 13}, ada)
        assert count_by_status(state) == {"succeeded": 2}
    assert [run.bytes for run in runs] == [result["byte_count"] for result in ran]
    assert all(run.ends > run.begins for run in runs)


def test_a_query_is_entered_among_the_tickets_as_it_was_asked(desk: Desk) -> None:
    bob = Caller("bob", frozenset((ANALYST,)), 3)
    result = run_now(desk.settings, "numbers", {"rows": 2}, bob, byte_cap=9_000, fresh=True)
    with pytest.raises(WarehouseError):
        run_now(desk.settings, "broken", {}, Caller("ada@example.com"))
    with closing(open_state(desk.home.state_db)) as state:
        rows = state.execute(
            "select customer, is_analyst, least_customers, session_id, template, params, "
            "query_hash, query_tag, byte_cap, fresh, status, error_code, result, "
            "started_at <= finished_at from tickets order by template desc"
        ).fetchall()
    assert rows[0][:12] == (
        "bob",
        1,
        3,
        None,
        "numbers",
        '{"rows":2}',
        result["query_hash"],
        result["query_tag"],
        9_000,
        1,
        "succeeded",
        None,
    )
    assert orjson.loads(rows[0][12]) == result
    assert rows[1][:5] == ("ada@example.com", 0, 1, None, "broken")
    assert rows[1][8:13] == (None, 0, "failed", "warehouse_error", None)
    assert rows[0][13] == rows[1][13] == 1


def test_what_was_asked_is_written_out_and_how_many_rows_that_were(desk: Desk) -> None:
    ada = Caller("ada@example.com")
    out = io.BytesIO()
    estimate = run_now(desk.settings, "numbers", {"rows": 12}, ada, "csv", out, dry_run=True)
    assert (estimate["dry_run"], out.getvalue()) == (True, b"")
    assert "exported_rows" not in run_now(desk.settings, "numbers", {"rows": 12}, ada, "csv", None)
    written = run_now(desk.settings, "numbers", {"rows": 12}, ada, "csv", out)
    assert written["exported_rows"] == len(out.getvalue().splitlines()) - 1 == 12
    for raw, cell in ((False, b"'=1"), (True, b"=1")):
        out = io.BytesIO()
        run_now(desk.settings, "echo", {"text": "=1"}, ada, "csv", out, raw=raw)
        assert out.getvalue() == b"said\r\n" + cell + b"\r\n"


def test_a_query_can_be_cancelled_and_says_how_far_it_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdesk.query.executor._PROGRESS_SECONDS", 0.0)
    said: list[str] = []
    ada, cancel = Caller("ada@example.com"), threading.Event()
    run_now(desk.settings, "numbers", {"rows": 9_000}, ada, cancel=cancel, progress=said.append)
    assert said[-1] == "fetched 9,000 rows"
    cancel.set()
    with pytest.raises(QueryCancelled):
        run_now(desk.settings, "numbers", {"rows": 9_001}, ada, cancel=cancel)


def test_what_the_query_left_behind_is_told_to_the_worker_and_nothing_stays_open(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it ended."""
    done: list[str] = []

    def note(owner: type, method: str) -> None:
        real = getattr(owner, method)

        def noting(self: Any) -> Any:
            done.append(f"{owner.__name__}.{method}")
            return real(self)

        monkeypatch.setattr(owner, method, noting)

    note(DuckDBWarehouse, "close")
    note(QueueWriter, "close")
    note(WakeSender, "send")
    note(WakeSender, "close")
    ada = Caller("ada@example.com")
    run_now(desk.settings, "numbers", {"rows": 2}, ada)
    expected = ["DuckDBWarehouse.close", "QueueWriter.close", "WakeSender.send", "WakeSender.close"]
    assert done == expected
    with pytest.raises(WarehouseError):
        run_now(desk.settings, "broken", {}, ada)
    assert done == expected * 2
