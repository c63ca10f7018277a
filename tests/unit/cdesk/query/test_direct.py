"""A query without a ticket."""

from __future__ import annotations

import io
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import orjson
import pytest

from cdesk.core.clock import format_ts, to_ns
from cdesk.core.errors import (
    InvalidField,
    KillSwitchActive,
    NotFound,
)
from cdesk.core.identity import Caller
from cdesk.query.direct import run_now
from cdesk.state.database import open_state
from cdesk.state.kill_switch import turn_on
from cdesk.state.tickets import claim_ticket, count_by_status
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
