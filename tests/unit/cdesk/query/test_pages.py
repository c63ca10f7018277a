"""Pages of stored results: written ahead with the answer, the others when somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cdesk.core.clock import format_ts
from cdesk.query.pages import AT_ONCE, PageWriter
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


def test_so_many_pages_are_written_together_and_none_beyond_the_end(
    desk: Desk, artifact_id: str
) -> None:
    """Of the pages asked for one is written in any case: whoever asked is told that it is empty."""

    def pages() -> list[int]:
        rows = desk.state.execute(
            "select page from result_pages where artifact_id = ? and rows is not null "
            "order by page",
            (artifact_id,),
        )
        return [row[0] for row in rows]

    writer = PageWriter(desk.executor().artifacts, desk.clock)
    desk.state.execute("delete from result_pages")
    for asked, written in (
        (20, range(20, 30)),
        (230, range(230, 236)),
        (235, range(235, 236)),
        (236, range(236, 237)),
        (400, range(400, 401)),
    ):
        desk.state.execute("delete from result_pages")
        ask(desk, artifact_id, asked)
        assert writer.write_waited_for(desk.state) == 1
        assert pages() == list(written), asked
        for page in written:
            first = (page - 1) * 10
            assert numbers(look(desk, artifact_id, page)) == list(
                range(first, max(first, min(first + 10, 2_345)))
            )
    assert writer.write_waited_for(desk.state) == 0


def test_each_that_is_waited_for_is_written_and_counted(desk: Desk, artifact_id: str) -> None:
    for page in (50, 100, 150):
        ask(desk, artifact_id, page)
    ask(desk, "another", 1)
    writer = PageWriter(desk.executor().artifacts, desk.clock)
    assert writer.write_waited_for(desk.state) == 4
    assert count_waited_for(desk.state) == 0
    failed = look(desk, "another", 1)
    assert failed is not None
    assert failed.error_code == "not_found"
    assert "is not known here" in (failed.error_message or "")


def test_pages_are_written_ahead_once_and_a_failure_is_no_error(
    desk: Desk, artifact_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    writer = PageWriter(desk.executor().artifacts, desk.clock)
    desk.state.execute("update result_pages set rows = '[]'")
    writer.write_ahead(desk.state, artifact_id, customer=ADA)
    assert numbers(look(desk, artifact_id, 1)) == [], "they are there"
    assert caplog.text == ""
    desk.state.execute("delete from result_pages")
    writer.write_ahead(desk.state, artifact_id, customer=BOB)
    assert "pages were not written ahead" in caplog.text
    assert look(desk, artifact_id, 1, BOB) is None
    writer.write_ahead(desk.state, artifact_id, customer=ADA)
    assert numbers(look(desk, artifact_id, AT_ONCE)) == list(range(90, 100))


def test_a_page_shows_a_long_text_cut(desk: Desk) -> None:
    echo = {**desk.templates["echo"], "sql": "select repeat(?, 3) as said from range(11)"}
    desk.write_catalog({**desk.templates, "echo": echo})
    ticket = desk.submit("echo", {"text": "x" * 667})
    run(desk)
    result = desk.ticket(ticket).result
    assert result is not None
    page = look(desk, result["artifact"]["artifact_id"], 2)
    assert numbers(page) == ["x" * 2_000 + "… (2,001 characters)"]
