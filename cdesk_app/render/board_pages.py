"""The dashboard over HTTP: the page, its plots, and what changes."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from cdesk.core.errors import NotFound
from cdesk.core.identity import customer_key
from cdesk.queue.overview import Overview
from cdesk_app.render.app import COOKIE, Renderer, guarded, session_cookie, theme_of
from cdesk_app.render.dashboard import Board, Figures, make_board
from cdesk_app.render.links import SESSION_SECONDS, LinkRefused
from cdesk_app.render.pages import page

LOOK_SECONDS: Final = 2.0
"""How often a connected page is looked after."""
ALIVE_SECONDS: Final = 15.0
SSE: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@dataclass(frozen=True, slots=True)
class BoardSource:
    """What the dashboard of one customer is made from."""

    customer: str
    figures: Figures
    gather: Callable[[], Overview]
    stopping: Callable[[], bool] = lambda: False
    """Whether the server is about to end: open pages are let go."""


def board_routes(renderer: Renderer, source: BoardSource) -> list[Route]:
    """The routes of the dashboard."""
    pages = _Boards(renderer, source)
    return [
        Route("/", guarded(pages.page)),
        Route("/board", guarded(pages.fragment)),
        Route("/board/{name:str}.svg", guarded(pages.chart)),
        Route("/events", guarded(pages.events)),
    ]


class _Boards:
    def __init__(self, renderer: Renderer, source: BoardSource) -> None:
        self._renderer = renderer
        self._source = source

    async def _require(self, request: Request) -> None:
        """Raises LinkRefused without a session of this customer, Forbidden for a bearer of a token
        who is not an analyst: the figures are everybody's.
        """
        if (caller := await self._renderer.caller(request)) is not None:
            caller.require_analyst("the dashboard")
            return
        token = request.cookies.get(COOKIE)
        if token is None:
            raise LinkRefused("link_invalid", "the dashboard needs a signed link; ask for one")
        self._require_ours(self._renderer.links.check(token, "session").customer_key)

    def _require_ours(self, key: str) -> None:
        ours = customer_key(self._source.customer)
        if not hmac.compare_digest(key.encode(), ours.encode()):
            raise LinkRefused("link_invalid", "this link is not valid here; ask for a new one")

    def _board(self) -> Board:
        return make_board(self._source.figures, self._source.gather, self._renderer.zone)

    async def page(self, request: Request) -> Response:
        token = request.query_params.get("t")
        if token is not None:
            grant = self._renderer.links.check(token, "dashboard")
            self._require_ours(grant.customer_key)
            session = self._renderer.links.sign(
                "session", customer=self._source.customer, seconds=SESSION_SECONDS
            )
            # The address that stays in the browser's history opens nothing by itself.
            return session_cookie(self._renderer, RedirectResponse("/", 303), session.token)
        await self._require(request)
        return await self._html("dashboard.html")

    async def fragment(self, request: Request) -> Response:
        await self._require(request)
        return await self._html("board.html")

    async def _html(self, template: str) -> Response:
        board = await run_in_threadpool(self._board)
        version = board.version()
        html = page(
            template,
            board=board,
            version=version,
            customer=self._source.customer,
            zone=str(self._renderer.zone),
        )
        return Response(html, media_type="text/html", headers={"X-Version": version})

    async def chart(self, request: Request) -> Response:
        await self._require(request)
        name, theme = request.path_params["name"], theme_of(request)
        narrow = request.query_params.get("narrow") == "1"

        def draw() -> str:
            spec = self._board().charts.get(name)
            if spec is None:
                raise NotFound("there is no plot of that name")
            return self._renderer.painter.svg(spec, theme, narrow=narrow)

        return Response(await run_in_threadpool(draw), media_type="image/svg+xml")

    async def events(self, request: Request) -> Response:
        await self._require(request)
        return StreamingResponse(
            self._changes(request), media_type="text/event-stream", headers=SSE
        )

    async def _changes(self, request: Request) -> AsyncIterator[str]:
        """An event whenever the board has changed, and a comment now and then to keep the line."""
        said, quiet = None, 0.0
        while not (self._source.stopping() or await request.is_disconnected()):
            version = (await run_in_threadpool(self._board)).version()
            if version != said:
                said, quiet = version, 0.0
                yield f"event: board\ndata: {version}\n\n"
            elif quiet >= ALIVE_SECONDS:
                quiet = 0.0
                yield ": alive\n\n"
            await asyncio.sleep(LOOK_SECONDS)
            quiet += LOOK_SECONDS
