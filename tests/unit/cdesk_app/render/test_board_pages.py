"""Who sees the dashboard, and what an open page of it is told."""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import Any
from unittest.mock import Mock

import pytest
from starlette.testclient import TestClient

from cdesk.core.errors import Forbidden
from cdesk.core.home import StateDirectory
from cdesk.core.identity import customer_key
from cdesk_app.render import board_pages
from cdesk_app.render.app import COOKIE, Renderer, make_app
from cdesk_app.render.board_pages import BoardSource, board_routes
from cdesk_app.render.dashboard import Board, Figures
from cdesk_app.render.links import Links


def renderer(home: StateDirectory, **changes: Any) -> Renderer:
    given: dict[str, Any] = {"cards": Mock(), "links": Links(home), "painter": Mock(), "zone": UTC}
    return Renderer(**{**given, **changes})


def source(home: StateDirectory, **changes: Any) -> BoardSource:
    return BoardSource("ada", Figures(home.dashboard), Mock(), **changes)


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    made = Board([], [], [], [("in the queue", "7")], [], [], [])
    monkeypatch.setattr(board_pages, "make_board", lambda *_: made)
    return made


def visit(made: Renderer, home: StateDirectory, session: str | None = None) -> TestClient:
    app = make_app(made, more=board_routes(made, source(home, stopping=lambda: True)))
    cookies = {} if session is None else {COOKIE: session}
    return TestClient(app, "http://localhost", cookies=cookies, follow_redirects=False)


def test_a_link_begins_a_session_of_its_customer_alone(state_home: StateDirectory) -> None:
    made = renderer(state_home)
    visitor = visit(made, state_home)
    for scope, customer, status in (
        ("dashboard", "ada", 303),
        ("dashboard", "bob", 403),
        ("session", "ada", 403),
    ):
        token = made.links.sign(scope, customer=customer).token  # type: ignore[arg-type]
        answer = visitor.get("/", params={"t": token})
        assert answer.status_code == status
        assert (COOKIE in answer.cookies) is (status == 303)
        if status == 303:
            assert answer.headers["location"] == "/"
            grant = made.links.check(answer.cookies[COOKIE], "session")
            assert grant.customer_key == customer_key("ada")
            half_a_day = made.links.sign("session", customer="ada", seconds=43_200 + 60)
            assert grant.expires_at < half_a_day.expires_at
            visitor.cookies.clear()


def test_every_part_of_the_dashboard_needs_a_session_of_its_customer(
    state_home: StateDirectory, board: Board
) -> None:
    made = renderer(state_home)
    painter: Any = made.painter
    painter.svg.return_value = "<svg/>"
    board.charts["costs"], board.alts["costs"] = {"mark": "bar"}, "4 credits"
    mine, theirs = (made.links.sign("session", customer=one).token for one in ("ada", "bob"))
    for path in ("/", "/board", "/board/costs.svg", "/events"):
        for session in (None, theirs, made.links.sign("dashboard", customer="ada").token):
            assert visit(made, state_home, session).get(path).status_code == 403
    painter.svg.assert_not_called()
    visitor = visit(made, state_home, mine)
    for path in ("/", "/board"):
        answer = visitor.get(path)
        assert (answer.status_code, answer.headers["x-version"]) == (200, board.version())
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "in the queue" in answer.text
    for query, theme, narrow in (("", "light", False), ("?theme=dark&narrow=1", "dark", True)):
        answer = visitor.get(f"/board/costs.svg{query}")
        assert (answer.text, answer.headers["content-type"]) == ("<svg/>", "image/svg+xml")
        painter.svg.assert_called_with({"mark": "bar"}, theme, narrow=narrow)
    assert visitor.get("/board/none.svg").status_code == 404
    answer = visitor.get("/events")
    assert (answer.status_code, answer.text) == (200, ""), "it is about to end"
    told = {name: answer.headers[name] for name in ("content-type", "cache-control")}
    assert told == {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store"}
    assert answer.headers["x-accel-buffering"] == "no", "a proxy hands each event on at once"


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize("is_analyst", [True, False])
def test_of_a_team_the_analysts_see_it(is_analyst: bool, state_home: StateDirectory) -> None:
    def require(what: str) -> None:
        if not is_analyst:
            raise Forbidden(f"{what} is for analysts")

    async def identify(_: object) -> Any:
        return Mock(caller=Mock(require_analyst=require))

    made = renderer(state_home, verifier=Mock(identify=identify))
    visitor = visit(made, state_home)
    answer = visitor.get("/board", headers={"Authorization": "Bearer abc"})
    assert answer.status_code == (200 if is_analyst else 403)


def test_an_open_page_is_told_of_each_change_and_now_and_then_of_nothing(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(versions: list[str], *, gone_after: int = 99, stops_after: int = 99) -> list[str]:
        shown = iter(versions)
        looks = {"asked": 0, "stopping": 0}

        async def disconnected() -> bool:
            looks["asked"] += 1
            return looks["asked"] > gone_after

        def stopping() -> bool:
            looks["stopping"] += 1
            return looks["stopping"] > stops_after

        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        monkeypatch.setattr(board_pages, "make_board", lambda *_: Mock(version=lambda: next(shown)))
        monkeypatch.setattr(board_pages, "asyncio", Mock(sleep=sleep))
        monkeypatch.setattr(board_pages, "ALIVE_SECONDS", 6.0)
        pages = board_pages._Boards(renderer(state_home), source(state_home, stopping=stopping))

        async def all_of_it() -> list[str]:
            return [text async for text in pages._changes(Mock(is_disconnected=disconnected))]

        found = asyncio.run(all_of_it())
        assert set(slept) <= {2.0}
        assert len(slept) == len(versions)
        return found

    def board(version: str) -> str:
        return f"event: board\ndata: {version}\n\n"

    assert told(["a"] * 5, gone_after=5) == [board("a"), ": alive\n\n"]
    assert told(["a"] * 3, gone_after=3) == [board("a")]
    assert told(["a", "a", "b", "b", "b", "b", "a"], stops_after=7) == [
        board("a"), board("b"), ": alive\n\n", board("a"),
    ]  # fmt: skip
    assert told([], gone_after=0) == told([], stops_after=0) == []
