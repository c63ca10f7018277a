"""The MCP server over HTTP: the way in."""

from __future__ import annotations

import functools
import ipaddress
import logging
import os
import signal
import socket
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import httptools  # noqa: F401 - first, so that what is missing is the extra of this command
import uvicorn
from uvicorn.supervisors import Multiprocess

from cdesk.contract.redaction import redact_value
from cdesk.core.clock import format_ts
from cdesk.core.config import Settings
from cdesk.core.errors import ConfigurationError
from cdesk.core.features import HTTP
from cdesk.core.home import StateDirectory
from cdesk.core.log import set_up_logging
from cdesk.state.access import AccessStore
from cdesk.state.http_service import registered
from mcp_shim.transports.http_connection import GuardedConnection

if TYPE_CHECKING:
    from starlette.types import ASGIApp

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS: Final = 600
"""A person thinks, and comes back on the same connection."""
END_SECONDS: Final = 25
"""Calls under way may take this long after a signal: more than get_result waits."""
MAX_CONNECTIONS: Final = 20_000
"""Of one process."""
BACKLOG: Final = 2_048


def main(
    settings: Settings,
    *,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
) -> int:
    """Serve until a signal comes; the exit code. What is None comes from the settings.

    Raises:
        CdeskError: the state directory or the address cannot be used, or nobody could be known
        there.
    """
    settings.features.require(HTTP)
    http = settings.http
    http = replace(
        http,
        host=http.host if host is None else host,
        port=http.port if port is None else port,
        workers=http.workers if workers is None else workers,
    )
    if not 1 <= http.workers <= 64:
        raise ConfigurationError(f"workers is {http.workers}; allowed: from 1 to 64")
    if not 0 <= http.port <= 65_535:  # the system would listen on what is left of it by 65,536
        raise ConfigurationError(f"port is {http.port}; allowed: from 0 to 65535")
    settings = replace(settings, http=http)
    home = StateDirectory(settings.home).ensure()
    set_up_logging(None, settings.environ, credentials=redact_value, only_ours=True)
    require_authentication(settings, home)
    listener = listen(http.host, http.port)
    url = _url_of(listener)
    facts = {"url": url, "workers": http.workers}
    logger.info("listening", extra={"facts": facts})
    config = uvicorn.Config(
        functools.partial(create, settings),
        factory=True,
        http=GuardedConnection,
        ws="none",
        lifespan="on",
        workers=http.workers,
        log_config=None,
        access_log=False,
        server_header=False,
        # Otherwise the server would take the word of whoever comes from this computer.
        proxy_headers=bool(http.proxies),
        forwarded_allow_ips=list(http.proxies),
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=END_SECONDS,
        limit_concurrency=MAX_CONNECTIONS,
        backlog=BACKLOG,
        h11_max_incomplete_event_size=16 * 1024,
    )
    with closing(listener), registered(home, url, http):
        if http.workers > 1:
            Multiprocess(config, [listener]).run()
            return 0
        server = uvicorn.Server(config)
        _end_quietly()
        server.run([listener])
        return 0 if server.started else 1


def create(settings: Settings) -> ASGIApp:
    """What one process serves; called in that process."""
    from mcp_shim.transports.http import Service

    set_up_logging(None, settings.environ, credentials=redact_value, only_ours=True)
    return Service(settings, StateDirectory(settings.home)).asgi


def require_authentication(settings: Settings, home: StateDirectory) -> None:
    """Raises ConfigurationError: others could reach the service, and nobody is known to it."""
    with closing(AccessStore(home.access_db)) as store:
        known = store.has_valid_token(now=format_ts(time.time_ns()))
    if known or settings.http.issuer:
        return
    if not is_loopback(settings.http.host):
        raise ConfigurationError(
            f"not listening on {settings.http.host} without authentication: nobody has a token; "
            "make one by 'cdesk token add CUSTOMER', set CDESK_HTTP_ISSUER, or listen on 127.0.0.1"
        )
    logger.warning("nobody has a token yet: every call is refused; see 'cdesk token add'")


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches an address. Of names, `localhost` alone is sure."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises ConfigurationError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.set_inheritable(True)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise ConfigurationError(
            f"{host}:{port} cannot be listened on ({error.strerror}); "
            "choose another --port or --host"
        ) from None
    return listener


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/mcp" if ":" in host else f"http://{host}:{port}/mcp"


def _end_quietly() -> None:
    """uvicorn raises the signal that ended it once more at the end: it has been heeded."""

    def heeded(*_: Any) -> None:
        pass

    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, heeded)
