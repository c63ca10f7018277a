"""The HTTP service as others see it: whether and where one runs, who may use it, its refusals."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from typing import Any

import orjson

from cdesk.core.clock import format_ts
from cdesk.core.config import HttpSettings
from cdesk.core.home import StateDirectory, write_private
from cdesk.core.locks import FileLock, is_held
from cdesk.core.metrics import AUTH_REFUSALS, RATE_LIMITED, Metric
from cdesk.state.access import AccessStore
from cdesk.state.counts import read_counts

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Registration:
    """What a service says of itself in `http.json` while it runs. `behind_proxy`: whether it knows
    the address that clients use, or a proxy.
    """

    pid: int
    url: str
    host: str
    processes: int
    started_at: str
    issuer: str
    behind_proxy: bool


@dataclass(frozen=True, slots=True)
class HttpService:
    """`registration` is None where none runs. tokens: how many are valid, expired, revoked.
    refused, rate_limited: requests since the first one, over all processes, dead ones too.
    """

    registration: Registration | None
    tokens: dict[str, int]
    sessions: int
    refused: int
    rate_limited: int


@contextlib.contextmanager
def registered(home: StateDirectory, url: str, http: HttpSettings) -> Iterator[None]:
    """Say that a service runs, for as long as this lasts. One of several speaks for all."""
    lock = FileLock(home.http_lock)
    if not lock.acquire():
        logger.warning("another service runs on this state directory; 'cdesk status' tells of it")
        yield
        return
    try:
        said = Registration(
            pid=os.getpid(),
            url=url,
            host=http.host,
            processes=http.workers,
            started_at=format_ts(time.time_ns()),
            issuer=http.issuer,
            behind_proxy=bool(http.url or http.proxies),
        )
        write_private(home.http_json, orjson.dumps(asdict(said)))
        yield
    finally:
        home.http_json.unlink(missing_ok=True)
        lock.release()


def is_running(home: StateDirectory) -> bool:
    """Whether a service runs. One that begins is not disturbed: it says so once it has the lock."""
    return home.http_json.exists() and is_held(home.http_lock)


def look_at_service(home: StateDirectory) -> HttpService:
    """Raises StateDirectoryError: access.db cannot be used."""
    tokens = dict.fromkeys(("valid", "expired", "revoked"), 0)
    sessions = 0
    if home.access_db.exists():
        now = format_ts(time.time_ns())
        with closing(AccessStore(home.access_db)) as store:
            for token in store.tokens():
                tokens[token.state(now)] += 1
            sessions = store.count_sessions()
    counts = read_counts(home)

    def total(metric: Metric) -> int:
        return round(sum(series.value for series in counts.get(metric, {}).values()))

    return HttpService(
        _registration(home), tokens, sessions, total(AUTH_REFUSALS), total(RATE_LIMITED)
    )


def _registration(home: StateDirectory) -> Registration | None:
    """None where the one that wrote it has died, too: then nobody holds the lock."""
    if not is_running(home):
        return None
    try:
        said: dict[str, Any] = orjson.loads(home.http_json.read_bytes())
        return Registration(**{one.name: said[one.name] for one in fields(Registration)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
