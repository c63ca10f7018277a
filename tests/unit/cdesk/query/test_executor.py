"""Execution: stored, proven, refused or given up."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from query_desk import answer

from cdesk.core.errors import (
    KillSwitchActive,
    QueryCancelled,
    QueueWriteError,
    WarehouseError,
    WarehouseUnavailable,
)
from cdesk.state.kill_switch import turn_off, turn_on

if TYPE_CHECKING:
    from query_desk import Desk


def test_an_answer_whose_proof_cannot_be_stored_is_not_given(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, request = desk.executor(), desk.request("numbers", {"rows": 3})
    whole = desk.writer.append

    def full(line: bytes) -> None:
        if b'"query_run"' in line:
            raise QueueWriteError("no space left")
        whole(line)

    monkeypatch.setattr(desk.writer, "append", full)
    with pytest.raises(QueueWriteError):
        executor.answer(request, desk.state)
    assert desk.state.execute("select count(*) from query_runs").fetchone() == (0,)


def test_the_result_is_kept_for_ninety_days(desk: Desk) -> None:
    result = answer(desk, "numbers", {"rows": 1})
    row = desk.state.execute(
        "select julianday(expires_at) - julianday(created_at) from artifacts"
    ).fetchone()
    assert round(row[0], 6) == 90
    assert result["artifact"]["expires_at"].endswith("Z")


def test_the_kill_switch_refuses_until_it_is_off(desk: Desk) -> None:
    turn_on(desk.state, desk.home, reason="too dear", now="2026-01-01T00:00:00.000000Z")
    with pytest.raises(KillSwitchActive, match=r"too dear.*cdesk kill-switch off"):
        answer(desk, "clock")
    turn_off(desk.state, desk.home, now="2026-01-01T00:00:01.000000Z")
    assert answer(desk, "clock")["row_count"] == 1


def test_a_cancelled_question_says_so_and_is_on_record(desk: Desk) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(QueryCancelled):
        desk.executor().answer(desk.request("slow", {"rows": 1_000_000}), desk.state, cancel=cancel)
    assert [run["status"] for run in desk.records("query_run")] == ["cancelled"]


def test_a_warehouse_that_stays_held_is_unavailable_after_patience(desk: Desk) -> None:
    with desk.held_by_another_process(), pytest.raises(WarehouseUnavailable):
        desk.executor(patience_seconds=0.3).answer(desk.request("clock"), desk.state)
    (run,) = desk.records("query_run")
    assert (run["status"], run["error_code"]) == ("failed", "warehouse_unavailable")


def test_an_engine_error_leaves_no_file_behind(desk: Desk) -> None:
    with pytest.raises(WarehouseError):
        answer(desk, "broken")
    assert [path for path in desk.home.artifacts.rglob("*") if path.is_file()] == []
