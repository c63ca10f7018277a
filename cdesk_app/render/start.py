"""Starting the renderer where none runs, and links to what it serves. Needs no extra itself."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode, urlsplit

import orjson

from cdesk.core.config import Settings
from cdesk.core.errors import ConfigurationError
from cdesk.core.home import StateDirectory
from cdesk.core.locks import is_held
from cdesk.core.processes import start_detached
from cdesk_app.render.links import LINK_SECONDS, Links

START_SECONDS: Final = 20.0
NEEDED: Final = ("duckdb", "jinja2", "pyarrow", "starlette", "uvicorn", "vl_convert")
_children: list[subprocess.Popen[bytes]] = []
"""What this process started and has not seen the end of."""
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Link:
    """An address that opens one page until `expires_at` (RFC 3339)."""

    url: str
    expires_at: str


def missing(needed: Sequence[str] = NEEDED) -> list[str]:
    """The packages without which no renderer can run here."""
    absent = [name for name in needed if name not in _there]
    absent = [name for name in absent if importlib.util.find_spec(name) is None]
    _there.update(name for name in needed if name not in absent)
    return absent


_there: Final[set[str]] = set()
"""Packages that were found: each answer asks for them, and a look takes as long as a short query.
"""


def card_link(
    settings: Settings,
    home: StateDirectory,
    *,
    artifact_id: str,
    customer: str,
    seconds: int = LINK_SECONDS,
) -> Link:
    """A signed link to the card of a stored result."""
    signed = Links(home).sign("card", customer=customer, subject=artifact_id, seconds=seconds)
    return Link(
        f"{base_url(settings, home)}/c/{artifact_id}?{urlencode({'t': signed.token})}",
        signed.expires_at,
    )


def dashboard_link(
    settings: Settings, home: StateDirectory, *, customer: str, seconds: int = LINK_SECONDS
) -> Link:
    """A signed link to the dashboard."""
    signed = Links(home).sign("dashboard", customer=customer, seconds=seconds)
    return Link(f"{base_url(settings, home)}/?{urlencode({'t': signed.token})}", signed.expires_at)


def base_url(settings: Settings, home: StateDirectory) -> str:
    """Where the renderer listens, or will."""
    try:
        return str(orjson.loads(home.render_json.read_bytes())["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return settings.render_url


def is_ours_to_start(settings: Settings) -> bool:
    """Whether cards are served from this computer; a team's service is run by whoever runs it."""
    return settings.render == "auto" and urlsplit(settings.render_url).hostname in _LOOPBACK


def start(settings: Settings, home: StateDirectory) -> bool:
    """Start a renderer if none runs; whether one was started. Does not wait for it.

    Raises:
        OSError: the process cannot be started.
    """
    _children[:] = [child for child in _children if child.poll() is None]
    if is_held(home.render_lock):
        return False
    command = [sys.executable, "-m", "cdesk_app.render.server"]
    _children.append(start_detached(command, settings, log=home.render_log))
    return True


def ensure(settings: Settings, home: StateDirectory) -> None:
    """Start a renderer if none runs, and wait until it listens.

    Raises:
        ConfigurationError: it did not come up; its log says why.
    """
    if not is_ours_to_start(settings):
        return
    start(settings, home)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if home.render_json.exists() and is_held(home.render_lock):
            return
        time.sleep(0.05)
    raise ConfigurationError(f"the renderer did not start; its log is {home.render_log}")
