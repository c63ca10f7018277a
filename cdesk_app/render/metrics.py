"""`/metrics` of the renderer."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cdesk.core.config import Settings
from cdesk.core.errors import CdeskError, Forbidden
from cdesk.core.features import METRICS
from cdesk.core.home import StateDirectory
from mcp_shim.auth import Unauthorized
from mcp_shim.transports.http_metrics import Scraper, exposition, require_scraper

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def metrics_routes(settings: Settings, home: StateDirectory) -> list[Route]:
    """The metrics of the whole state directory, for who may read them; none where that feature is
    off.
    """
    if not settings.features.has(METRICS):
        return []
    behind_proxy = urlsplit(settings.render_url).hostname not in LOOPBACK

    def answer(scraper: Scraper) -> Response:
        try:
            require_scraper(scraper, home, behind_proxy=behind_proxy)
            told = exposition(settings, home, accept=scraper.headers.get("accept", ""))
        except Unauthorized as error:
            challenge = {"WWW-Authenticate": "Bearer"}
            return PlainTextResponse(f"{error}\n", 401, headers=challenge)
        except Forbidden as error:
            return PlainTextResponse(f"{error}\n", 403)
        except CdeskError as error:
            return PlainTextResponse(f"{error.code}\n", 503)
        except ModuleNotFoundError:
            return PlainTextResponse("pip install 'cdesk[ops]'\n", 501)
        return Response(told.body, headers={"Content-Type": told.content_type})

    async def metrics(request: Request) -> Response:
        scraper = Scraper(request.client.host if request.client else "", request.headers)
        return await run_in_threadpool(answer, scraper)

    return [Route("/metrics", metrics, methods=["GET"])]
