"""The pages over HTTP: cards, their rows and downloads, and the dashboard.

Who may see what is decided by a signed link (cdesk_app/render/links.py), by the session that a
dashboard's link began in the browser, or, for a team, by the bearer token of its HTTP service.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import tzinfo
from http import HTTPStatus
from typing import Final, cast
from urllib.parse import urlencode

import orjson
from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cdesk.core.errors import CdeskError, InvalidField, NotFound
from cdesk.core.identity import Caller, customer_key
from cdesk_app.render.card import Card, Cards
from cdesk_app.render.download import exported
from cdesk_app.render.links import SESSION_SECONDS, Grant, LinkRefused, Links
from cdesk_app.render.pages import STATIC, page, page_parts, static
from cdesk_app.render.paint import Painter
from cdesk_app.render.table import MAX_COLUMNS, OPERATORS, PAGE_ROWS, Filter, Operator, View
from cdesk_app.render.vega import ThemeName
from cdesk_app.render.words import cell, locale_formats, shown_text, title, zone_asked
from mcp_shim.auth import Verifier, bearer_token

logger = logging.getLogger(__name__)

COOKIE: Final = "cdesk_session"
MAX_FILTERS: Final = 20
MAX_TEXT: Final = 200
_ID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_BLANK: Final = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
_MEDIA: Final[dict[str, str]] = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "private, no-store",
}

_PROBLEMS: Final[dict[str, tuple[int, str]]] = {
    "link_invalid": (403, "This link opens nothing"),
    "link_expired": (410, "This link has expired"),
    "link_revoked": (410, "This link was revoked"),
    "forbidden": (403, "This is not for you"),
    "unauthorized": (401, "Nobody here knows you"),
    "not_found": (404, "Nothing lies here"),
    "gone": (410, "This result is gone"),
    "artifact_unreadable": (500, "This result cannot be read"),
    "artifact_store_unavailable": (503, "This result cannot be fetched now"),
    "query_timeout": (503, "This took too long"),
    "invalid_argument": (400, "This cannot be shown"),
    "state_directory": (503, "The state directory cannot be used"),
    "newer_version": (503, "This cdesk is too old"),
}

Painted = Callable[[Card, float, str], Awaitable[None] | None]
"""Called once a card when its chart is painted: the card, milliseconds, the chart's kind."""


@dataclass(frozen=True, slots=True)
class Renderer:
    """What the pages are made from. `hosts`: names that a browser may ask for; others are refused,
    so that no other site's name leads here.
    """

    cards: Cards
    links: Links
    painter: Painter
    zone: tzinfo
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]", "::1")
    painted: Painted | None = None
    secure_cookie: bool = False
    verifier: Verifier | None = None
    """Knows the bearer tokens of a team's HTTP service, where pages are served behind its identity;
    without one, such a token says nothing.
    """
    now_ns: Callable[[], int] = time.time_ns

    async def caller(self, request: Request) -> Caller | None:
        """Whom the request's bearer token stands for; None where it has none that counts here.

        Raises:
            Unauthorized: it has one that nobody knows.
        """
        headers = request.headers.getlist("authorization")
        if self.verifier is None or not headers:
            return None
        return (await self.verifier.identify(bearer_token(headers))).caller


def make_app(renderer: Renderer, *, more: list[Route] | None = None) -> Starlette:
    """The ASGI application; `more` routes beside those of the cards."""
    pages = _Pages(renderer)
    routes = [
        *(
            Route(f"/c/{{artifact:str}}{path}", guarded(endpoint), methods=[method])
            for path, endpoint, method in (
                ("", pages.card, "GET"),
                ("/rows", pages.rows, "GET"),
                ("/chart.json", pages.chart_words, "GET"),
                ("/chart.svg", pages.chart_svg, "GET"),
                ("/chart.png", pages.chart_png, "GET"),
                ("/painted", pages.painted, "POST"),
                ("/download/{format:str}", pages.download, "GET"),
            )
        ),
        Route("/static/{name:str}", guarded(serve_static)),
        Route("/healthz", healthy),
        *(more or []),
        Route("/{rest:path}", guarded(_nowhere)),
    ]
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(SecureHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(renderer.hosts)),
        ],
    )


class SecureHeaders:
    """Adds HEADERS to every answer that does not set them itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.encode(), value.encode())
                        for name, value in HEADERS.items()
                        if name.lower().encode() not in given
                    ),
                ]
            await send(message)

        await self._app(scope, receive, with_headers)


Endpoint = Callable[[Request], Awaitable[Response]]


def guarded(endpoint: Endpoint) -> Endpoint:
    """Turns errors meant for a person into a page (JSON for a script) with its status."""

    async def run(request: Request) -> Response:
        try:
            return await endpoint(request)
        except CdeskError as error:
            status, heading = _PROBLEMS.get(error.code, (500, "Something failed"))
            if status >= 500:
                logger.warning("page failed", extra={"facts": {"code": error.code}})
            return problem(request, status, heading, error)
        except Exception:  # the top of a request
            logger.exception("a page failed")
            return problem(request, 500, "Something failed", None)

    return run


def problem(request: Request, status: int, heading: str, error: CdeskError | None) -> Response:
    """The error as a page or as JSON. It says nothing of what others own."""
    message = str(error) if error else "The log of the renderer has more."
    if error and error.code == "state_directory":
        message = "'cdesk doctor' says what is wrong"  # the error itself names a path
    if request.url.path.endswith(("/rows", ".json", "/painted", "/events")):
        body = {"code": error.code if error else "internal", "message": message}
        return Response(orjson.dumps(body), status, media_type="application/json")
    if request.url.path.endswith(".svg"):
        return Response(_BLANK, status, media_type="image/svg+xml")
    artifact = request.path_params.get("artifact")
    command = None
    if isinstance(error, LinkRefused):
        command = f"cdesk card {artifact} --open" if _is_id(artifact) else "cdesk dashboard --open"
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    html = page(
        "error.html",
        status=f"{status} {HTTPStatus(status).phrase}",
        heading=heading,
        message=message[:1].upper() + message[1:],
        command=command,
    )
    return Response(html, status, media_type="text/html", headers=headers)


async def _streamed(first: str, rest: Iterator[str]) -> AsyncIterator[str]:
    """A page whose first piece is made; the others are made in a thread."""
    yield first
    async for part in iterate_in_threadpool(rest):
        yield part


class _Pages:
    """The endpoints of cards."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._asked: dict[str, float] = {}
        """Artifact → when its page was first asked for (monotonic), until it is painted."""

    # -- who asks

    async def _grant(self, request: Request) -> tuple[str, Grant]:
        """The artifact and what the request may see of it."""
        artifact = request.path_params["artifact"]
        token = request.query_params.get("t")
        if not _is_id(artifact):
            raise NotFound("there is no card of that name")
        if token is not None:
            return artifact, self._renderer.links.check(token, "card", subject=artifact)
        if (caller := await self._renderer.caller(request)) is not None:
            return artifact, Grant("session", "", customer_key(caller.customer), "")
        session = request.cookies.get(COOKIE)
        if session is None:
            raise LinkRefused("link_invalid", "this address needs a signed link; ask for one")
        grant = self._renderer.links.check(session, "session")
        return artifact, grant

    async def _open(self, request: Request) -> Card:
        artifact, grant = await self._grant(request)
        return await run_in_threadpool(self._renderer.cards.open, artifact, grant)

    # -- pages

    async def card(self, request: Request) -> Response:
        artifact, grant = await self._grant(request)
        begun = time.monotonic()

        def html() -> tuple[str, Iterator[str]]:  # in one go: each change of threads is a wait
            parts = self._card_html(self._renderer.cards.open(artifact, grant), request)
            return next(parts), parts

        first, rest = await run_in_threadpool(html)
        self._asked.setdefault(artifact, begun)
        while len(self._asked) > 1_000:
            self._asked.pop(next(iter(self._asked)))
        return StreamingResponse(_streamed(first, rest), media_type="text/html")

    def _card_html(self, card: Card, request: Request) -> Iterator[str]:
        """The page: what stands above the rows at once, the preview after it."""
        zone = zone_asked(card.params, self._renderer.zone)
        chart = self._renderer.cards.known_chart(card)
        # An answer's words are written for a model, in English.
        is_said = card.answer.get("headline") and locale_formats().is_plain
        words = card.answer if is_said else None
        headline = chart.headline if chart else (words["headline"] if words else None)
        finding = chart.finding if chart else (words.get("finding", "") if words else "")
        columns = card.table.columns
        shown = columns[:MAX_COLUMNS]

        def preview() -> list[list[str | None]]:
            return [row[:MAX_COLUMNS] for row in card.preview(zone)]

        return page_parts(
            "card.html",
            card=card,
            base=f"/c/{card.artifact_id}",
            query=_query(request),
            headline=headline,
            finding=finding,
            alt=chart.alt if chart else (words.get("alt", "") if words else ""),
            sampling=card.sampling_note(),
            parameters=card.asked(),
            totals=chart.totals if chart else (),
            total=card.table.row_count,
            hidden=len(columns) - len(shown),
            columns=[
                {
                    "place": column.place,
                    "label": title(column.name),
                    "title": f"{shown_text(column.name, limit=200)}: {column.type}",
                    "right": column.type in ("integer", "number"),
                }
                for column in shown
            ],
            preview=preview,
            provenance=card.provenance(zone),
            stored=shown_text(card.template or "", limit=80),
            zone=str(zone),
        )

    async def rows(self, request: Request) -> Response:
        card = await self._open(request)
        view, offset = view_of(request.query_params)
        found = await run_in_threadpool(card.table.page, view, offset, PAGE_ROWS)
        kinds = [column.type for column in card.table.columns][:MAX_COLUMNS]
        zone = zone_asked(card.params, self._renderer.zone)
        rows = [
            [cell(v, kind, zone) for v, kind in zip(row, kinds, strict=False)] for row in found.rows
        ]
        body = {"offset": found.offset, "total": found.total, "rows": rows}
        return Response(orjson.dumps(body), media_type="application/json")

    async def chart_words(self, request: Request) -> Response:
        card = await self._open(request)
        chart = await run_in_threadpool(self._renderer.cards.chart, card)
        body = {
            "kind": chart.kind,
            "headline": chart.headline,
            "finding": chart.finding,
            "alt": chart.alt,
            "totals": chart.totals,
        }
        return Response(orjson.dumps(body), media_type="application/json")

    async def chart_svg(self, request: Request) -> Response:
        card = await self._open(request)
        theme, narrow = theme_of(request), request.query_params.get("narrow") == "1"

        def draw() -> str:
            chart = self._renderer.cards.chart(card)
            if chart.spec is None:
                return _BLANK
            return self._renderer.painter.svg(chart.spec, theme, narrow=narrow)

        return Response(await run_in_threadpool(draw), media_type="image/svg+xml")

    async def chart_png(self, request: Request) -> Response:
        card = await self._open(request)
        theme = theme_of(request)

        def draw() -> bytes:
            chart = self._renderer.cards.chart(card)
            if chart.spec is None:
                raise NotFound("this result has no chart; its table says it best")
            return self._renderer.painter.png(chart.spec, theme)

        return Response(await run_in_threadpool(draw), media_type="image/png")

    async def painted(self, request: Request) -> Response:
        """The browser says that the chart stands. Counts from the answer's end or from the first
        look at the page, whichever came later.
        """
        card = await self._open(request)
        asked = self._asked.pop(card.artifact_id, None)
        if asked is not None and self._renderer.painted is not None:
            elapsed_ms = (time.monotonic() - asked) * 1000
            chart = self._renderer.cards.known_chart(card)
            done = self._renderer.painted(card, elapsed_ms, chart.kind if chart else "none")
            if done is not None:
                await done
        return Response(status_code=204)

    async def download(self, request: Request) -> Response:
        card = await self._open(request)
        format = request.path_params["format"]
        if format not in _MEDIA:
            raise NotFound(f"there is no such format; there are {', '.join(_MEDIA)}")
        name = f"{card.template or 'result'}_{card.artifact_id[:8]}.{format}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        if format == "parquet":
            if (url := self._renderer.cards.download_url(card, name)) is not None:
                return RedirectResponse(url, 302)
            path = await run_in_threadpool(self._renderer.cards.path, card)
            return FileResponse(path, headers=headers, media_type=_MEDIA[format])
        path = await run_in_threadpool(self._renderer.cards.path, card)
        chunks = exported(card, path, format)
        return StreamingResponse(chunks, headers=headers, media_type=_MEDIA[format])


# -- small things


def view_of(given: QueryParams) -> tuple[View, int]:
    """What is asked of the rows, from the query string.

    Raises:
        InvalidField: it makes no sense.
    """
    filters = []
    for value in given.getlist("filter"):
        column, _, rest = value.partition(":")
        operator, _, text = rest.partition(":")
        if operator not in OPERATORS:
            raise InvalidField(
                "filter", f"{operator[:20]!r} is no comparison", ", ".join(OPERATORS)
            )
        filters.append(Filter(_whole("filter", column), cast(Operator, operator), text[:MAX_TEXT]))
    if len(filters) > MAX_FILTERS:
        raise InvalidField("filter", f"there are {len(filters)}", f"at most {MAX_FILTERS}")
    sort = given.get("sort")
    view = View(
        sort=None if sort is None else _whole("sort", sort),
        descending=given.get("descending") == "1",
        filters=tuple(filters),
        text=given.get("text", "")[:MAX_TEXT],
    )
    return view, _whole("offset", given.get("offset", "0"))


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise InvalidField(name, f"{text[:20]!r} is no whole number", "0 and more")
    return int(text)


def _is_id(text: object) -> bool:
    return isinstance(text, str) and re.fullmatch(_ID, text) is not None


def theme_of(request: Request) -> ThemeName:
    """The colors that the browser asks for."""
    return "dark" if request.query_params.get("theme") == "dark" else "light"


def _query(request: Request) -> str:
    """The signature for the page's own requests, as it came; `?` alone under a session."""
    token = request.query_params.get("t")
    return f"?{urlencode({'t': token})}" if token is not None else "?s=1"


async def serve_static(request: Request) -> Response:
    try:
        content = static(request.path_params["name"])
    except KeyError:
        raise NotFound("there is no such file") from None
    return Response(
        content,
        media_type=STATIC[request.path_params["name"]],
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )


async def healthy(_: Request) -> Response:
    return Response("ok", media_type="text/plain")


async def _nowhere(_: Request) -> Response:
    raise NotFound("there is no page of that name")


def session_cookie(renderer: Renderer, response: Response, token: str) -> Response:
    """Begin a session of the browser."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=SESSION_SECONDS,
        httponly=True,
        secure=renderer.secure_cookie,
        samesite="lax",
        path="/",
    )
    return response
