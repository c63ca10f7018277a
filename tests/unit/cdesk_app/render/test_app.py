"""What the pages answer before there is a card to show: who is let in, how it is told that nobody
is, and what is asked of the rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import orjson
import pytest
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.responses import Response

from cdesk.core.errors import CdeskError, InvalidField, NotFound, StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk.core.identity import customer_key
from cdesk_app.render import app as render_app
from cdesk_app.render.app import COOKIE, HEADERS, Renderer, make_app, session_cookie, view_of
from cdesk_app.render.card import Gone
from cdesk_app.render.chart import Chart
from cdesk_app.render.links import SESSION_SECONDS, Links
from cdesk_app.render.locales import PLAIN
from cdesk_app.render.table import Column, Filter, Page, View
from cdesk_app.render.words import use_locale

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


def ask(
    made: Renderer | Starlette,
    path: str,
    *,
    host: str = "localhost:8377",
    method: str = "GET",
    **headers: str,
) -> Answer:
    """One request to the application, as a server hands it over."""
    app = make_app(made) if isinstance(made, Renderer) else made
    path, _, query = path.partition("?")
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": query.encode(), "root_path": "", "scheme": "http",
        "headers": [(b"host", host.encode()), *((name.encode(), text.encode()) for name, text in headers.items())],
    }  # fmt: skip
    messages: list[Any] = []

    asked = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not asked:  # whoever asked stays connected
            await asyncio.Event().wait()
        return asked.pop()

    async def send(message: Any) -> None:
        messages.append(message)

    asyncio.run(app(scope, receive, send))
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
    assert not ask(made, f"/c/{ID}").header("www-authenticate")
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


CHART = Chart("bars", "the headline", "the finding", "the alt", {"mark": "bar"}, (("total", "9"),))
BARE = Chart("none", "no chart", "rows", "", None)


def opened(home: StateDirectory, chart: Chart, **changes: Any) -> tuple[Renderer, Mock, str]:
    """A renderer with one card, its cards and painter, and the query that opens the card."""
    made = renderer(home, **changes)
    cards: Any = made.cards
    painter: Any = made.painter
    cards.open.return_value = Mock(artifact_id=ID, template=None, params={})
    cards.chart.return_value = cards.known_chart.return_value = chart
    painter.svg.return_value, painter.png.return_value = "<svg/>", b"png"
    return (
        made,
        Mock(cards=cards, painter=painter),
        made.links.sign("card", customer="ada", subject=ID).token,
    )


def test_a_chart_is_painted_as_the_browser_asks_for_it(state_home: StateDirectory) -> None:
    made, used, token = opened(state_home, CHART)
    for query, theme, narrow in (
        ("", "light", False),
        ("&theme=dark&narrow=1", "dark", True),
        ("&theme=pink&narrow=0", "light", False),
    ):
        answer = ask(made, f"/c/{ID}/chart.svg?t={token}{query}")
        assert (answer.status, answer.body) == (200, b"<svg/>")
        assert answer.header("content-type") == ["image/svg+xml"]
        used.painter.svg.assert_called_with(CHART.spec, theme, narrow=narrow)
    answer = ask(made, f"/c/{ID}/chart.png?t={token}&theme=dark")
    assert (answer.status, answer.body, answer.header("content-type")) == (
        200,
        b"png",
        ["image/png"],
    )
    used.painter.png.assert_called_once_with(CHART.spec, "dark")
    words = ask(made, f"/c/{ID}/chart.json?t={token}")
    assert words.header("content-type") == ["application/json"]
    assert orjson.loads(words.body) == {
        "kind": "bars",
        "headline": "the headline",
        "finding": "the finding",
        "alt": "the alt",
        "totals": [["total", "9"]],
    }


def test_a_result_without_a_chart_has_an_empty_picture_and_no_png(
    state_home: StateDirectory,
) -> None:
    made, used, token = opened(state_home, BARE)
    answer = ask(made, f"/c/{ID}/chart.svg?t={token}")
    assert (answer.status, answer.body.startswith(b"<svg ")) == (200, True)
    assert ask(made, f"/c/{ID}/chart.png?t={token}").status == 404
    assert not used.painter.method_calls


@pytest.mark.parametrize("chart", [CHART, None])
def test_that_a_chart_stands_is_told_once_for_a_page_that_was_asked_for(
    chart: Chart | None, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, float, str]] = []
    waited: list[str] = []

    def painted(card: Any, elapsed_ms: float, kind: str) -> Any:
        told.append((card.artifact_id, elapsed_ms, kind))

        async def wait() -> None:
            waited.append(kind)

        return wait() if chart else None

    clock = iter((10.0, 10.5, 12.0, 99.0))
    monkeypatch.setattr(render_app, "time", Mock(monotonic=lambda: next(clock)))
    monkeypatch.setattr(render_app, "page_parts", lambda *_, **__: iter(["page"]))
    made, used, token = opened(state_home, CHART, painted=painted)
    used.cards.known_chart.return_value = chart
    used.cards.open.return_value.configure_mock(answer={}, **{"table.columns": []})
    app = make_app(made)
    asked = f"/c/{ID}/painted?t={token}"
    assert ask(app, asked, method="POST").status == 204
    assert told == [], "nobody has asked for the page"
    for _ in range(2):  # asked for again while it is painted: it is the first who waits
        assert ask(app, f"/c/{ID}?t={token}").body == b"page"
    for _ in range(2):
        answer = ask(app, asked, method="POST")
        assert (answer.status, answer.body) == (204, b"")
    kind = "bars" if chart else "none"
    assert told == [(ID, 2_000.0, kind)]
    assert waited == (["bars"] if chart else [])
    assert ask(app, asked).status == 404
    silent, _, token = opened(state_home, CHART)
    assert ask(silent, f"/c/{ID}/painted?t={token}", method="POST").status == 204


@pytest.mark.parametrize(
    ("template", "format", "media"),
    [
        ("activity_by_period", "csv", "text/csv; charset=utf-8"),
        (None, "json", "application/json"),
        ("numbers", "parquet", "application/vnd.apache.parquet"),
    ],
)
def test_a_download_is_named_after_its_question(
    template: str | None,
    format: str,
    media: str,
    state_home: StateDirectory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def exported(*given: object) -> AsyncIterator[bytes]:
        assert given[1:] == (tmp_path / "x", format)
        yield b"all"
        yield b" of it"

    monkeypatch.setattr(render_app, "exported", exported)
    (tmp_path / "x").write_bytes(b"all of it")
    made, used, token = opened(state_home, CHART)
    used.cards.open.return_value.template = template
    used.cards.path.return_value = tmp_path / "x"
    used.cards.download_url.return_value = None
    answer = ask(made, f"/c/{ID}/download/{format}?t={token}")
    assert (answer.status, answer.body) == (200, b"all of it")
    assert answer.header("content-type") == [media]
    name = f"{template or 'result'}_{ID[:8]}.{format}"
    assert answer.header("content-disposition") == [f'attachment; filename="{name}"']
    used.cards.download_url.return_value = "https://bucket/x?signed"
    answer = ask(made, f"/c/{ID}/download/{format}?t={token}")
    assert answer.status == (302 if format == "parquet" else 200)
    if format == "parquet":
        assert answer.header("location") == ["https://bucket/x?signed"]
        used.cards.download_url.assert_called_with(used.cards.open.return_value, name)
    assert ask(made, f"/c/{ID}/download/xlsx?t={token}").status == 404


def test_a_pages_words_are_the_charts_or_those_of_the_answer(state_home: StateDirectory) -> None:
    words = {"headline": "said before", "finding": "f", "alt": "a"}
    made, used, token = opened(state_home, CHART)
    card = used.cards.open.return_value
    card.table.columns = [Column(n, f"c{n}" + "x" * 250, "integer") for n in range(201)]
    card.table.columns[1] = Column(1, "latency_ms", "string")
    card.template = "t" * 81
    card.preview.return_value = [[str(n) for n in range(201)]]

    def told(chart: Chart | None, answer: dict[str, str]) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def parts(name: str, **values: Any) -> Iterator[str]:
            found.update(values, name=name)
            yield "page"

        used.cards.known_chart.return_value, card.answer = chart, answer
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(render_app, "page_parts", parts)
            page = ask(made, f"/c/{ID}?t={token}")
        assert (page.status, page.body) == (200, b"page")
        assert page.header("content-type") == ["text/html; charset=utf-8"]
        return found

    def said(found: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(found[name] for name in ("headline", "finding", "alt", "totals"))

    whole = told(CHART, words)
    assert said(whole) == ("the headline", "the finding", "the alt", CHART.totals)
    assert said(told(None, words)) == ("said before", "f", "a", ())
    assert said(told(None, {"headline": "said before"})) == ("said before", "", "", ())
    assert said(told(None, {"finding": "f"})) == (None, "", "", ())
    use_locale("de-DE")
    try:
        assert said(told(None, words)) == (None, "", "", ()), "an answer's words are English"
    finally:
        use_locale(PLAIN)
    assert (whole["name"], whole["base"], whole["query"]) == (
        "card.html",
        f"/c/{ID}",
        f"?t={token}",
    )
    assert (whole["hidden"], len(whole["columns"])) == (1, 200)
    assert [(one["place"], one["label"], one["right"]) for one in whole["columns"][:2]] == [
        (0, "c0" + "x" * 58 + "… (252 characters)", True), (1, "latency (ms)", False),
    ]  # fmt: skip
    assert whole["columns"][0]["title"].endswith("… (252 characters): integer")
    assert len(whole["preview"]()[0]) == 200
    assert (whole["stored"], whole["zone"]) == ("t" * 80 + "… (81 characters)", "UTC")
    card.template = None
    assert told(None, {})["stored"] == ""
    session = made.links.sign("session", customer="ada").token
    with pytest.MonkeyPatch.context() as patched:
        queries: list[str] = []
        patched.setattr(
            render_app,
            "page_parts",
            lambda _, **values: iter([queries.append(values["query"]) or ""]),
        )
        ask(made, f"/c/{ID}", cookie=f"{COOKIE}={session}")
    assert queries == ["?s=1"]


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
