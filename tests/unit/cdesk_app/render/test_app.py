"""What the pages answer before there is a card to show: who is let in, how it is told that nobody
is, and what is asked of the rows.
"""

from __future__ import annotations

import asyncio
from datetime import UTC
from http.cookies import SimpleCookie
from typing import Any
from unittest.mock import Mock

import orjson
import pytest
from starlette.datastructures import QueryParams
from starlette.responses import Response

from cdesk.core.errors import CdeskError, InvalidField, NotFound, StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk.core.identity import customer_key
from cdesk_app.render.app import COOKIE, HEADERS, Renderer, make_app, session_cookie, view_of
from cdesk_app.render.card import Gone
from cdesk_app.render.links import SESSION_SECONDS, Links
from cdesk_app.render.table import Column, Filter, Page, View

ID = "0192f0a1-1111-7abc-8def-0123456789ab"
OTHER = "0192f0a1-2222-7abc-8def-0123456789ab"


def renderer(home: StateDirectory, **changes: Any) -> Renderer:
    given: dict[str, Any] = {"cards": Mock(), "links": Links(home), "painter": Mock(), "zone": UTC}
    return Renderer(**{**given, **changes})


class Answer:
    def __init__(self, messages: list[dict[str, Any]]) -> None:
        start = messages[0]
        self.status: int = start["status"]
        self.headers = [(name.decode(), value.decode()) for name, value in start["headers"]]
        self.body = b"".join(message.get("body", b"") for message in messages[1:])

    def header(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known.lower() == name.lower()]


def ask(made: Renderer, path: str, *, host: str = "localhost:8377", **headers: str) -> Answer:
    """One request to the application, as a server hands it over."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
        "query_string": query.encode(), "root_path": "", "scheme": "http",
        "headers": [(b"host", host.encode()), *((name.encode(), text.encode()) for name, text in headers.items())],
    }  # fmt: skip
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    asyncio.run(make_app(made)(scope, receive, send))
    return Answer(messages)


def test_every_answer_has_the_headers_that_keep_a_page_to_itself(
    state_home: StateDirectory,
) -> None:
    for path in ("/healthz", "/nowhere", f"/c/{ID}/rows"):
        answer = ask(renderer(state_home), path)
        assert {name: answer.header(name) for name in HEADERS} == {
            name: [value] for name, value in HEADERS.items()
        }
    static = ask(renderer(state_home), "/static/page.css")
    assert (static.status, static.header("cache-control")) == (
        200, ["public, max-age=31536000, immutable"],
    )  # fmt: skip
    assert static.header("content-type") == ["text/css; charset=utf-8"]
    assert ask(renderer(state_home), "/static/other.css").status == 404


def test_another_sites_name_leads_nowhere(state_home: StateDirectory) -> None:
    made = renderer(state_home)
    assert [ask(made, "/healthz", host=host).status for host in ("127.0.0.1:8377", "evil.org")] == [
        200, 400,
    ]  # fmt: skip


def test_a_card_is_opened_by_its_own_link_or_a_session(state_home: StateDirectory) -> None:
    made = renderer(state_home)
    made.cards.open.side_effect = NotFound("there is no such result")  # type: ignore[attr-defined]
    own, foreign = (made.links.sign("card", customer="ada", subject=one) for one in (ID, OTHER))
    session = made.links.sign("session", customer="ada")
    for token in ("", f"?t={foreign.token}", f"?t={session.token}"):
        assert ask(made, f"/c/{ID}/rows{token}").status == 403
    assert made.cards.open.call_count == 0  # type: ignore[attr-defined]
    assert ask(made, f"/c/{ID}/rows?t={own.token}").status == 404
    asked, grant = made.cards.open.call_args.args  # type: ignore[attr-defined]
    assert (asked, grant.scope, grant.subject, grant.customer_key) == (
        ID, "card", ID, customer_key("ada"),
    )  # fmt: skip
    assert ask(made, f"/c/{ID}/rows", cookie=f"{COOKIE}={session.token}").status == 404
    asked, grant = made.cards.open.call_args.args  # type: ignore[attr-defined]
    assert (asked, grant.scope, grant.customer_key) == (ID, "session", customer_key("ada"))
    assert ask(made, f"/c/{ID}/rows", cookie=f"{COOKIE}={own.token}").status == 403
    for name in (f"{ID}0", ID.upper(), "x"):
        assert ask(made, f"/c/{name}?t={own.token}").status == 404


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (Gone("it was kept until then"), 410, "it was kept until then"),
        (StateDirectoryError("/home/ada/x is locked"), 503, "'cdesk doctor' says what is wrong"),
        (CdeskError("odd"), 500, "odd"),
        (KeyError("/home/ada"), 500, "The log of the renderer has more."),
    ],
)
def test_what_failed_is_told_without_what_others_own(
    error: Exception, status: int, message: str, state_home: StateDirectory
) -> None:
    made = renderer(state_home)
    made.cards.open.side_effect = error  # type: ignore[attr-defined]
    query = f"?t={made.links.sign('card', customer='ada', subject=ID).token}"
    answer = ask(made, f"/c/{ID}/rows{query}")
    code = error.code if isinstance(error, CdeskError) else "internal"
    assert (answer.status, orjson.loads(answer.body)) == (
        status, {"code": code, "message": message},
    )  # fmt: skip
    for part in ("chart.json", "chart.svg", "download/csv"):
        assert ask(made, f"/c/{ID}/{part}{query}").status == status
    page = ask(made, f"/c/{ID}/download/csv{query}")
    assert page.header("content-type") == ["text/html; charset=utf-8"]
    shown = (message[:1].upper() + message[1:]).replace("'", "&#39;")
    assert shown in page.body.decode()
    assert "/home/ada" not in page.body.decode()
    svg = ask(made, f"/c/{ID}/chart.svg{query}")
    assert svg.header("content-type") == ["image/svg+xml"]
    assert svg.body.startswith(b"<svg ")


def test_a_link_that_opens_nothing_says_how_to_get_another(state_home: StateDirectory) -> None:
    made = renderer(state_home)
    card = ask(made, f"/c/{ID}").body.decode()
    assert f"cdesk card {ID} --open" in card
    assert "403 Forbidden" in card
    assert "cdesk card" not in ask(made, "/nowhere").body.decode()
    link = made.links.sign("card", customer="ada", subject=ID).token
    made.links.revoke(ID)
    assert ask(made, f"/c/{ID}?t={link}").status == 410


def test_rows_are_as_the_page_shows_them(state_home: StateDirectory) -> None:
    made = renderer(state_home)
    table = Mock(columns=[Column(0, "n", "integer"), Column(1, "at", "timestamp")])
    table.page.return_value = Page(200, 1_234, [[5_000, "2026-01-31T12:00:00Z"], [None, "x"]])
    made.cards.open.return_value = Mock(table=table, params={"timezone": "Asia/Tokyo"})  # type: ignore[attr-defined]
    token = made.links.sign("card", customer="ada", subject=ID).token
    answer = ask(made, f"/c/{ID}/rows?t={token}&offset=200&sort=1&descending=1")
    assert orjson.loads(answer.body) == {
        "offset": 200,
        "total": 1_234,
        "rows": [["5,000", "2026-01-31 21:00"], [None, "x"]],
    }
    table.page.assert_called_once_with(View(sort=1, descending=True), 200, 100)


def view(query: str) -> tuple[View, int]:
    return view_of(QueryParams(query))


def test_what_is_asked_of_the_rows() -> None:
    assert view("") == (View(), 0)
    assert view("sort=3&descending=0&offset=100&text=" + "x" * 201) == (
        View(sort=3, text="x" * 200),
        100,
    )
    assert view("filter=0:eq:a:b&filter=12:not_null:&filter=1:contains:" + "y" * 201) == (
        View(
            filters=(
                Filter(0, "eq", "a:b"),
                Filter(12, "not_null", ""),
                Filter(1, "contains", "y" * 200),
            )
        ),
        0,
    )
    assert len(view("&".join(["filter=0:null"] * 20))[0].filters) == 20
    assert view(f"offset={'9' * 15}")[1] == 10**15 - 1


@pytest.mark.parametrize(
    "query",
    [
        *("filter=0:like:x", "filter=x:eq:1", "filter=:eq:1", "filter=0"),
        *("sort=-1", "sort=x", "sort=", "offset=1.5", f"offset={'9' * 16}", "offset=٣"),
        "&".join(["filter=0:null"] * 21),
    ],
)
def test_what_makes_no_sense_is_refused(query: str) -> None:
    with pytest.raises(InvalidField):
        view(query)


@pytest.mark.parametrize("secure", [False, True])
def test_a_session_is_the_browsers_alone(secure: bool, state_home: StateDirectory) -> None:
    made = renderer(state_home, secure_cookie=secure)
    response = session_cookie(made, Response(), "token")
    told = SimpleCookie(response.headers["set-cookie"])[COOKIE]
    assert told.value == "token"
    assert (told["httponly"], bool(told["secure"]), told["samesite"]) == (True, secure, "lax")
    assert (told["path"], told["max-age"]) == ("/", str(SESSION_SECONDS))
