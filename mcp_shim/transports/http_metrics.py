"""The metrics as Prometheus reads them, and who may read them. Worker, HTTP service, renderer and
`cdesk metrics` answer by this; prometheus-client comes with the extra `ops`.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from cdesk.core.clock import NowNs, format_ts
from cdesk.core.config import Settings
from cdesk.core.errors import Forbidden
from cdesk.core.home import StateDirectory
from cdesk.core.identity import ADMIN, METRICS_ROLE
from cdesk.core.metrics import EXPIRY, METRICS, SCRAPE_PROBLEMS, Metric
from cdesk.queue.scrape import scrape
from cdesk.state.access import AccessStore
from cdesk.state.counts import Labels, Series, Table, empty
from mcp_shim.auth import Unauthorized, bearer_token

FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""What a proxy adds: behind one, everybody seems to come from this computer."""


@dataclass(frozen=True, slots=True)
class Exposition:
    """An answer to a scrape."""

    body: bytes
    content_type: str


def exposition(
    settings: Settings, home: StateDirectory, *, accept: str = "", now_ns: NowNs = time.time_ns
) -> Exposition:
    """All metrics of a state directory, in the format that `accept` asks for.

    Raises:
        ModuleNotFoundError: prometheus-client is not installed.
    """
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    table = scrape(settings, home, now_ns=now_ns)
    _add_certificates(table, settings)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(table))
    encoder, content_type = choose_encoder(accept)
    return Exposition(encoder(registry), content_type)


class _Collector:
    """The table as prometheus-client has metrics."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def collect(self) -> Iterable[Any]:
        return [
            _family(metric, self._table.get(metric) or _never(metric))
            for metric in METRICS
            if metric in self._table or not metric.labels
        ]


def _never(metric: Metric) -> Mapping[Labels, Series]:
    """A counter without labels begins at 0, so that its first increase is seen; a gauge that
    nobody has set is left out.
    """
    return {} if metric.kind == "gauge" else {(): empty(metric)}


def _family(metric: Metric, series: Mapping[Labels, Series]) -> Any:
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    family: Any
    if metric.kind == "counter":
        family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    elif metric.kind == "gauge":
        family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    else:
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        bounds = [*map(str, metric.buckets), "+Inf"]
        for labels, one in sorted(series.items()):
            below = accumulate(one.buckets or [])
            histogram.add_metric(labels, list(zip(bounds, below, strict=True)), one.value)
        return histogram
    for labels, one in sorted(series.items()):
        family.add_metric(labels, one.value)
    return family


def _add_certificates(table: Table, settings: Settings) -> None:
    """When the first of the certificates expires that the settings name."""
    ends, problem = [], 0.0
    for path in settings.metrics_certificates:
        try:
            ends.append(certificate_end(Path(path)))
        except (OSError, ValueError, ModuleNotFoundError):
            problem = 1.0
    if ends:
        table.setdefault(EXPIRY, {})[("certificate",)] = Series(min(ends))
    if settings.metrics_certificates:
        table.setdefault(SCRAPE_PROBLEMS, {})[("certificates",)] = Series(problem)


def certificate_end(path: Path) -> float:
    """When the first certificate of a PEM file expires, in seconds since the epoch.

    Raises:
        OSError: it cannot be read. ValueError: it holds no certificate. ModuleNotFoundError: the
        package that reads one is not installed.
    """
    from cryptography.x509 import load_pem_x509_certificates

    found = load_pem_x509_certificates(path.read_bytes())
    return min(one.not_valid_after_utc.timestamp() for one in found)


# -- who may


@dataclass(frozen=True, slots=True)
class Scraper:
    """Who asks: the address that the connection comes from, and the request's headers by their
    lower-case names.
    """

    peer: str
    headers: Mapping[str, str]


def require_scraper(
    scraper: Scraper, home: StateDirectory, *, behind_proxy: bool, now_ns: NowNs = time.time_ns
) -> None:
    """Let in who comes from this computer under its own name, or brings a token of the role
    `metrics` or `admin`. `behind_proxy`: a proxy hands requests on, so that where they come from
    says nothing.

    Raises:
        Unauthorized, Forbidden: neither is so. StateDirectoryError: tokens cannot be looked up.
    """
    headers = scraper.headers
    proxied = behind_proxy or any(name in headers for name in FORWARDED)
    given = headers.get("authorization")
    if given is None and not proxied and is_local(scraper.peer):
        if is_local(_host_of(headers.get("host", ""))):
            return
        raise Forbidden("forbidden: ask for the metrics under a name of this computer")
    text = bearer_token([given] if given is not None else [])
    with closing(AccessStore(home.access_db)) as store:
        token = store.find_token(text, now=format_ts(now_ns()))
    if token is None:
        raise Unauthorized("unknown_token")
    if not {METRICS_ROLE, ADMIN} & set(token.roles):
        raise Forbidden(
            f"forbidden: the metrics need a token of the role {METRICS_ROLE}; "
            f"'cdesk token add NAME --role {METRICS_ROLE}' makes one"
        )


def _host_of(header: str) -> str:
    """The host of a Host header, without port and brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"
