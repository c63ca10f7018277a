"""`/metrics` of the worker, where the settings name an address: a thread beside the loop, so that a
scrape waits for no build.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

from cdesk.core.config import Settings
from cdesk.core.errors import CdeskError, Forbidden
from cdesk.core.features import METRICS
from cdesk.core.home import StateDirectory
from cdesk.state.counts import Counts
from mcp_shim.auth import Unauthorized
from mcp_shim.transports.http_metrics import Scraper, exposition, require_scraper

logger = logging.getLogger(__name__)

READ_SECONDS = 5.0


@contextlib.contextmanager
def serving_metrics(settings: Settings, home: StateDirectory, counts: Counts) -> Iterator[None]:
    """Answer Prometheus meanwhile. Where that cannot be, the log and `cdesk doctor` say so, and the
    worker works on.
    """
    if not settings.metrics_address or not settings.features.has(METRICS):
        yield
        return
    host, _, port = settings.metrics_address.rpartition(":")
    try:
        if find_spec("prometheus_client") is None:
            raise OSError("prometheus-client is not installed: pip install 'cdesk[ops]'")
        server = _Server((host.strip("[]"), int(port)), _handler(settings, home, counts))
    except OSError as error:
        facts = {"address": settings.metrics_address, "reason": str(error)}
        logger.error("no metrics are served", extra={"facts": facts})
        yield
        return
    thread = threading.Thread(target=server.serve_forever, name="cdesk-metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(READ_SECONDS)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)


def _handler(
    settings: Settings, home: StateDirectory, counts: Counts
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = READ_SECONDS
        server_version = "cdesk"
        sys_version = ""

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self._say(HTTPStatus.NOT_FOUND, "the metrics are at /metrics")
                return
            scraper = Scraper(
                self.client_address[0], {name.lower(): text for name, text in self.headers.items()}
            )
            try:
                require_scraper(scraper, home, behind_proxy=False)
                counts.flush()
                told = exposition(settings, home, accept=self.headers.get("Accept", ""))
            except Unauthorized as error:
                self._say(HTTPStatus.UNAUTHORIZED, str(error))
            except Forbidden as error:
                self._say(HTTPStatus.FORBIDDEN, str(error))
            except CdeskError as error:
                self._say(HTTPStatus.SERVICE_UNAVAILABLE, error.code)
            else:
                self._answer(HTTPStatus.OK, told.body, told.content_type)

        def _say(self, status: HTTPStatus, text: str) -> None:
            self._answer(status, f"{text}\n".encode(), "text/plain; charset=utf-8")

        def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            if status == HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", "Bearer")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a scrape every few seconds is no news."""

    return Handler
