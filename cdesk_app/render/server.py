"""The renderer's process: cards and dashboard for one person, on loopback.

One runs a state directory; `render.json` says where it listens. It ends when nobody has asked for
anything for two hours: `cdesk card`, `cdesk dashboard` and the worker start it again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

import orjson
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from cdesk.artifacts.factory import open_artifacts
from cdesk.contract.events import make_event
from cdesk.contract.records import encode
from cdesk.contract.redaction import redact_value
from cdesk.core.clock import IdSource, format_ts
from cdesk.core.config import Settings, load_settings
from cdesk.core.errors import CdeskError, ConfigurationError, QueueWriteError
from cdesk.core.home import StateDirectory, keep_private, write_private
from cdesk.core.locks import FileLock
from cdesk.core.log import set_up_logging
from cdesk.core.metrics import CARD_SECONDS, ERRORS
from cdesk.core.wake import WakeSender
from cdesk.queue.overview import gather
from cdesk.queue.writer import QueueWriter
from cdesk.state.access import AccessStore
from cdesk.state.counts import Counts, counting
from cdesk_app.render.app import Renderer, make_app
from cdesk_app.render.board_pages import BoardSource, board_routes
from cdesk_app.render.card import Card, Cards
from cdesk_app.render.dashboard import Figures
from cdesk_app.render.links import Links
from cdesk_app.render.metrics import metrics_routes
from cdesk_app.render.paint import Painter
from cdesk_app.render.words import locale_formats, use_locale
from mcp_shim.transports.http_identity import verifier_of

logger = logging.getLogger(__name__)

IDLE_SECONDS: Final = 2 * 3600.0
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


class ReadyRecorder:
    """Records `cdesk.card_ready`: what a person waited for a card."""

    def __init__(self, settings: Settings, home: StateDirectory) -> None:
        self._ids = IdSource()
        self.counts = Counts(home, self._ids.uuid7().replace("-", ""))
        self._writer = QueueWriter(
            home.queue,
            durability=settings.durability,
            appended=counting(self.counts, "renderer"),
        )
        self._waker = WakeSender(home)
        self._lock = threading.Lock()

    def __call__(self, card: Card, elapsed_ms: float, kind: str) -> None:
        self.counts.observe(CARD_SECONDS, elapsed_ms / 1000, "browser")
        features = {
            "artifact_id": card.artifact_id,
            "query_hash": card.artifact.query_hash,
            "template": card.template,
            "chart": kind,
            "rows": card.artifact.rows,
            "elapsed_ms": round(elapsed_ms, 3),
            "shown_in": "browser",
        }
        with self._lock:
            record = make_event(
                "cdesk.card_ready",
                features,
                id=self._ids.uuid7(),
                ts=format_ts(time.time_ns()),
                customer=card.artifact.customer,
                session_id=None,
                query_tag=self._ids.query_tag(),
            )
            try:
                self._writer.append(encode(record))
            except QueueWriteError as error:
                logger.warning("card_ready lost", extra={"facts": {"reason": str(error)}})
                self.counts.add(ERRORS, "renderer", error.code)
                return
            finally:
                self.counts.flush()
        self._waker.send()

    def close(self) -> None:
        self._writer.close()
        self._waker.close()
        self.counts.close()


def make_renderer(
    settings: Settings, home: StateDirectory, *, access: AccessStore | None = None
) -> Renderer:
    """What the pages of a state directory are made from. `access`: the tokens of a team."""
    host = urlsplit(settings.render_url).hostname or ""
    use_locale(settings.locale)
    return Renderer(
        cards=Cards(home, open_artifacts(settings, home), settings.zone),
        links=Links(home),
        painter=Painter(locale_formats()),
        zone=settings.zone,
        hosts=(*LOOPBACK, "[::1]", *((host,) if host not in LOOPBACK else ())),
        secure_cookie=settings.render_url.startswith("https://"),
        verifier=None if access is None else verifier_of(settings.http, access),
    )


def make_source(settings: Settings, home: StateDirectory) -> BoardSource:
    """What the dashboard of a state directory is made from."""
    return BoardSource(settings.customer, Figures(home.dashboard), lambda: gather(settings, home))


def serve(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    idle_seconds: float | None = IDLE_SECONDS,
    team: bool = False,
) -> int:
    """Serve until told to stop, or idle that long; the exit code. A second one for the same state
    directory returns 0 at once.

    team: bearer tokens of the HTTP service count, too. port: None takes the one of `render_url`,
        or any where that is taken.

    Raises:
        CdeskError: it cannot be started.
    """
    home = StateDirectory(settings.home).ensure()
    lock = FileLock(home.render_lock)
    if not lock.acquire():
        sys.stderr.write("a renderer runs already for this state directory\n")
        return 0
    try:
        with (
            _listening(settings, host, port) as listener,
            _recorder(settings, home) as recorder,
            _access(home, team=team) as access,
        ):
            renderer = make_renderer(settings, home, access=access)
            source = replace(make_source(settings, home), stopping=lambda: server.should_exit)
            made = make_app(
                replace(renderer, painted=recorder),
                more=[*board_routes(renderer, source), *metrics_routes(settings, home)],
            )
            watched = _Watched(made)
            server = uvicorn.Server(
                uvicorn.Config(
                    watched,
                    log_config=None,
                    access_log=False,  # a request line holds the signature
                    server_header=False,
                    date_header=True,
                    timeout_graceful_shutdown=3,
                )
            )
            _announce(settings, home, listener)
            threading.Thread(target=renderer.painter.warm, name="warm", daemon=True).start()
            if idle_seconds is not None:
                _end_when_idle(server, watched, home, idle_seconds)
            server.run(sockets=[listener])
    finally:
        home.render_json.unlink(missing_ok=True)
        lock.release()
    return 0


class _Watched:
    """Remembers when somebody last asked for something, and what is still answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.last = time.monotonic()
        self.open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # as long as the server itself
            await self._app(scope, receive, send)
            return
        self.last = time.monotonic()
        self.open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self.open -= 1
            self.last = time.monotonic()


def _end_when_idle(
    server: uvicorn.Server, watched: _Watched, home: StateDirectory, seconds: float
) -> None:
    """End it when nobody has asked for so long, and when its state directory is gone."""

    def watch() -> None:
        while not server.should_exit:
            time.sleep(min(1.0, seconds))
            idle = not watched.open and time.monotonic() - watched.last > seconds
            if idle or not home.render_lock.exists():
                server.should_exit = True

    threading.Thread(target=watch, name="idle", daemon=True).start()


@contextlib.contextmanager
def _recorder(settings: Settings, home: StateDirectory) -> Iterator[ReadyRecorder]:
    recorder = ReadyRecorder(settings, home)
    try:
        yield recorder
    finally:
        recorder.close()


@contextlib.contextmanager
def _access(home: StateDirectory, *, team: bool) -> Iterator[AccessStore | None]:
    if not team:
        yield None
        return
    with contextlib.closing(AccessStore(home.access_db)) as store:
        yield store


@contextlib.contextmanager
def _listening(settings: Settings, host: str, port: int | None) -> Iterator[socket.socket]:
    wanted = port if port is not None else own_port(settings)
    if not 0 <= wanted <= 65_535:
        raise ConfigurationError(f"port is {wanted}; allowed: from 0 to 65535")
    listener = None
    for number in (wanted, 0) if port is None else (wanted,):
        try:
            listener = socket.create_server((host, number), backlog=256)
            break
        except OSError as error:
            if number == 0 or port is not None:
                raise ConfigurationError(
                    f"{host}:{number} cannot be listened on ({error.strerror}); give another --port"
                ) from None
    assert listener is not None
    try:
        yield listener
    finally:
        listener.close()


def own_port(settings: Settings) -> int:
    """The port of `render_url` where that is on loopback; 0 (any) where a proxy stands before."""
    address = urlsplit(settings.render_url)
    if address.hostname not in LOOPBACK:
        return 0
    return address.port or (443 if address.scheme == "https" else 80)


def _announce(settings: Settings, home: StateDirectory, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    url = settings.render_url if port == own_port(settings) else f"http://127.0.0.1:{port}"
    if urlsplit(settings.render_url).hostname not in LOOPBACK:
        url = settings.render_url
    facts = {"pid": os.getpid(), "port": port, "url": url}
    write_private(home.render_json, orjson.dumps(facts))
    logger.info("renderer started", extra={"facts": {"port": port}})


def main(argv: list[str] | None = None) -> int:
    """`python -m cdesk_app.render.server`: what the worker and `cdesk card` start."""
    del argv
    keep_private()
    try:
        settings = load_settings(os.environ)
        home = StateDirectory(settings.home).ensure()
        set_up_logging(home.render_log, settings.environ, credentials=redact_value)
        return serve(settings)
    except (CdeskError, OSError) as error:
        logger.error("renderer failed", extra={"facts": {"reason": str(error)}})
        sys.stderr.write(f"cdesk render: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
