"""The metrics as Prometheus reads them, from a table made up for it, and who may read them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdesk.core.config import Settings
from cdesk.core.errors import Forbidden
from cdesk.core.home import StateDirectory
from cdesk.core.metrics import METRICS
from cdesk.state.access import AccessStore
from cdesk.state.counts import Series, Table
from mcp_shim.auth import Unauthorized
from mcp_shim.transports import http_metrics
from mcp_shim.transports.http_metrics import (
    Scraper,
    _host_of,
    exposition,
    is_local,
    require_scraper,
)
from tests.unit.mcp_shim.desk import NOW_NS, at

BY_NAME = {metric.name: metric for metric in METRICS}
EXPIRY = "cdesk_credential_expiry_timestamp_seconds"


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Table:
    """What a scrape of the state directory finds."""
    found: Table = {}
    monkeypatch.setattr(http_metrics, "scrape", lambda *_, **__: found)
    return found


def told(home: StateDirectory, **given: Any) -> list[str]:
    """The lines of an exposition, without those that explain."""
    settings = Settings(home=home.root, customer="ada", **given)
    text = exposition(settings, home).body.decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_a_counter_begins_at_0_and_what_was_never_seen_is_left_out(
    state_home: StateDirectory, table: Table
) -> None:
    lines = told(state_home)
    names = {line.partition(" ")[0].partition("{")[0] for line in lines}
    for metric in METRICS:
        if metric.labels or metric.kind == "gauge":
            assert names.isdisjoint((metric.name, f"{metric.name}_count"))
        else:
            count = "_count" if metric.kind == "histogram" else ""
            assert f"{metric.name}{count} 0.0" in lines
    calls = BY_NAME["cdesk_tool_calls_total"]
    gauge = next(one for one in METRICS if one.kind == "gauge" and not one.labels)
    table[calls] = {("b", "stdio", "ok"): Series(2.0), ("a", "http", "error"): Series(1.0)}
    table[gauge] = {(): Series(0.0)}
    lines = told(state_home)
    assert [line for line in lines if line.startswith("cdesk_tool_calls_total")] == [
        'cdesk_tool_calls_total{outcome="error",tool="a",transport="http"} 1.0',
        'cdesk_tool_calls_total{outcome="ok",tool="b",transport="stdio"} 2.0',
    ]
    assert f"{gauge.name} 0.0" in lines


def test_when_the_first_certificate_expires_is_told_with_whether_all_can_be_read(
    state_home: StateDirectory, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert table == {}
    ends: dict[str, float | Exception] = {
        "a": 20.0,
        "b": 10.0,
        "gone": FileNotFoundError(),
        "odd": ValueError(),
        "unreadable": ModuleNotFoundError(),
    }

    def end(path: Path) -> float:
        found = ends[path.name]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(http_metrics, "certificate_end", end)
    for names, first, problem in (
        ((), None, None),
        (("a", "b"), "10.0", "0.0"),
        (("b", "gone", "a"), "10.0", "1.0"),
        (("odd",), None, "1.0"),
        (("unreadable", "a"), "20.0", "1.0"),
    ):
        table.clear()
        lines = told(state_home, metrics_certificates=names)
        expiry = [line.split()[-1] for line in lines if line.startswith(EXPIRY)]
        problems = [line for line in lines if line.startswith("cdesk_scrape_problems")]
        assert expiry == ([first] if first else [])
        assert problems == (
            [f'cdesk_scrape_problems{{part="certificates"}} {problem}'] if problem else []
        )


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("localhost", "localhost"),
        ("localhost:9464", "localhost"),
        ("[::1]:9464", "::1"),
        ("[::1]", "::1"),
        ("", ""),
    ],
)
def test_a_host_is_named_without_its_port(header: str, host: str) -> None:
    assert _host_of(header) == host


def test_an_address_of_this_computer_is_one_of_loopback() -> None:
    for host in ("127.0.0.1", "127.1.2.3", "::1", "::1%lo", "localhost"):
        assert is_local(host)
    for host in ("", "192.0.2.1", "fe80::1%lo", "localhost.example", "0.0.0.0"):
        assert not is_local(host)


def test_who_comes_from_this_computer_needs_no_token_unless_a_proxy_may_stand_before(
    state_home: StateDirectory,
) -> None:
    here = Scraper("127.0.0.1", {"host": "localhost:1"})
    require_scraper(here, state_home, behind_proxy=False)
    for who in (
        *(replace(here, headers={**here.headers, name: "x"}) for name in http_metrics.FORWARDED),
        replace(here, peer="192.0.2.1"),
        replace(here, peer="localhost.example"),
    ):
        with pytest.raises(Unauthorized) as refused:
            require_scraper(who, state_home, behind_proxy=False)
        assert refused.value.reason == "no_token"
    with pytest.raises(Unauthorized):
        require_scraper(here, state_home, behind_proxy=True)
    for host in ("evil.example", ""):
        with pytest.raises(Forbidden, match="under a name of this computer"):
            require_scraper(replace(here, headers={"host": host}), state_home, behind_proxy=False)
    with pytest.raises(Forbidden, match="under a name"):
        require_scraper(replace(here, headers={}), state_home, behind_proxy=False)


def test_a_token_counts_until_it_expires_wherever_it_comes_from(
    state_home: StateDirectory,
) -> None:
    with closing(AccessStore(state_home.access_db)) as store:
        (made,) = store.add_tokens(["p"], roles=["metrics"], expires_at=at(10), now=at(0))
    headers = {"authorization": f"Bearer {made.token}"}
    for behind_proxy in (True, False):
        for peer in ("127.0.0.1", "192.0.2.1"):
            who = Scraper(peer, headers)
            require_scraper(who, state_home, behind_proxy=behind_proxy, now_ns=lambda: NOW_NS)
    late = NOW_NS + 11 * 10**9
    with pytest.raises(Unauthorized) as refused:
        require_scraper(
            Scraper("127.0.0.1", headers), state_home, behind_proxy=False, now_ns=lambda: late
        )
    assert refused.value.reason == "unknown_token"
