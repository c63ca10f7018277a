"""Pages of stored results: written ahead with the answer, the others when somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cdesk.core.clock import format_ts
from cdesk.query.pages import AT_ONCE
from cdesk.state.pages import ResultPage, ask_for_page, count_waited_for, forget_pages, get_page

if TYPE_CHECKING:
    from query_desk import Desk

ADA, BOB = "ada@example.com", "bob@example.com"


def run(desk: Desk) -> None:
    runner = desk.runner()
    try:
        runner.poll()
        assert runner.wait_idle(30)
    finally:
        runner.close()


@pytest.fixture
def artifact_id(desk: Desk) -> str:
    """Of a result of 2,345 rows, as a worker has answered it."""
    ticket_id = desk.submit("numbers", {"rows": 2_345})
    run(desk)
    result = desk.ticket(ticket_id).result
    assert result is not None
    assert (result["page"], result["pages"]) == (1, 235)
    return str(result["artifact"]["artifact_id"])


def ask(desk: Desk, artifact_id: str, page: int, customer: str = ADA) -> None:
    now = format_ts(desk.clock())
    ask_for_page(desk.state, artifact_id, page, customer=customer, now=now)


def look(desk: Desk, artifact_id: str, page: int, customer: str = ADA) -> ResultPage | None:
    return get_page(desk.state, artifact_id, page, customer=customer)


def numbers(page: ResultPage | None) -> list[Any]:
    assert page is not None
    assert page.rows is not None
    return [row[0] for row in page.rows]


def test_the_first_pages_are_there_with_the_answer(desk: Desk, artifact_id: str) -> None:
    for page in range(1, AT_ONCE + 1):
        first = (page - 1) * 10
        assert numbers(look(desk, artifact_id, page)) == list(range(first, first + 10))
    assert look(desk, artifact_id, AT_ONCE + 1) is None
    assert look(desk, artifact_id, 1, BOB) is None


def test_a_page_further_down_is_written_when_somebody_asks_with_those_that_follow(
    desk: Desk, artifact_id: str
) -> None:
    ask(desk, artifact_id, 200)
    waiting = look(desk, artifact_id, 200)
    assert waiting is not None
    assert waiting.is_waited_for
    assert count_waited_for(desk.state) == 1
    run(desk)
    assert count_waited_for(desk.state) == 0
    assert numbers(look(desk, artifact_id, 200)) == list(range(1_990, 2_000))
    assert numbers(look(desk, artifact_id, 201)) == list(range(2_000, 2_010))
    ask(desk, artifact_id, 235)
    run(desk)
    assert numbers(look(desk, artifact_id, 235)) == list(range(2_340, 2_345))


def test_a_result_that_is_gone_or_anothers_says_so_and_is_tried_again(
    desk: Desk, artifact_id: str
) -> None:
    ask(desk, artifact_id, 50, BOB)
    ask(desk, artifact_id, 60)
    (path,) = desk.home.artifacts.rglob(f"{artifact_id}-*.parquet")
    away = path.rename(path.with_suffix(".away"))
    run(desk)
    for page, customer, code in ((50, BOB, "not_found"), (60, ADA, "artifact_unreadable")):
        failed = look(desk, artifact_id, page, customer)
        assert failed is not None
        assert (failed.error_code, failed.rows) == (code, None), failed
    away.rename(path)
    ask(desk, artifact_id, 60)
    run(desk)
    assert numbers(look(desk, artifact_id, 60)) == list(range(590, 600))


@pytest.mark.usefixtures("artifact_id")
def test_pages_go_with_their_result_and_after_a_week_without_a_look(desk: Desk) -> None:
    assert forget_pages(desk.state, before=format_ts(desk.clock() - 10**12)) == 0
    desk.state.execute("delete from artifacts")
    assert forget_pages(desk.state, before="") == AT_ONCE
