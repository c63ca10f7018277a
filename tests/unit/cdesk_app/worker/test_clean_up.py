"""What goes once a day, and what stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from query_desk import answer

from cdesk.artifacts.local import LocalArtifacts
from cdesk.artifacts.records import hold_artifact
from cdesk.state.status import LastCleanUp, read_status
from cdesk.state.tickets import KEEP_DAYS
from cdesk_app.worker.clean_up import CleanUp
from cdesk_app.worker.status_board import StatusBoard

if TYPE_CHECKING:
    from query_desk import Desk


def clean_up(desk: Desk) -> int:
    status = StatusBoard(desk.state, desk.clock)
    return CleanUp(desk.home, desk.state, status, desk.clock).run()


def count(desk: Desk, table: str) -> int:
    return int(desk.state.execute(f"select count(*) from {table}").fetchone()[0])


def test_tickets_go_after_a_week(desk: Desk) -> None:
    desk.submit("echo", {"text": "x"})
    desk.state.execute("update tickets set status = 'succeeded', finished_at = submitted_at")
    desk.clock.forward(hours=24 * KEEP_DAYS - 1)
    assert clean_up(desk) == 0
    desk.clock.forward(hours=2)
    assert clean_up(desk) == 1
    assert count(desk, "tickets") == 0
    assert read_status(desk.state, LastCleanUp).removed == 1


def test_results_and_answers_go_after_ninety_days_but_not_those_on_hold(desk: Desk) -> None:
    kept, gone = (answer(desk, "numbers", {"rows": rows}) for rows in (1, 2))
    hold_artifact(desk.state, kept["artifact"]["artifact_id"], on=True)
    desk.clock.forward(hours=24 * 91)
    clean_up(desk)
    store = LocalArtifacts(desk.home.artifacts)
    assert store.exists(kept["artifact"]["uri"])
    assert not store.exists(gone["artifact"]["uri"])
    assert count(desk, "query_runs") == 0


def test_an_answer_without_its_result_is_forgotten_and_others_are_not(desk: Desk) -> None:
    answer(desk, "numbers", {"rows": 1})
    lost = answer(desk, "numbers", {"rows": 2})
    desk.state.execute(
        "delete from artifacts where artifact_id = ?", (lost["artifact"]["artifact_id"],)
    )
    assert clean_up(desk) == 1
    assert count(desk, "query_runs") == 1
    assert answer(desk, "numbers", {"rows": 1})["reused"] is True
