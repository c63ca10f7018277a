"""Where links lead, and when a renderer is started for them."""

from __future__ import annotations

import importlib.util
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock
from urllib.parse import parse_qs, urlsplit

import pytest

from cdesk.core.clock import parse_ts
from cdesk.core.config import Settings
from cdesk.core.errors import ConfigurationError
from cdesk.core.home import StateDirectory
from cdesk.core.identity import customer_key
from cdesk_app.render import start
from cdesk_app.render.links import LinkRefused, Links

URL = "http://127.0.0.1:8377"


def settings(home: StateDirectory, **changes: Any) -> Settings:
    given: dict[str, Any] = {"render": "auto", "render_url": URL, **changes}
    return Settings(home=home.root, customer="ada", **given)


def test_links_lead_to_where_the_renderer_listens_or_will(state_home: StateDirectory) -> None:
    given = settings(state_home)
    assert start.base_url(given, state_home) == URL
    for damaged in (b"", b"[]", b"{}", b"null"):
        state_home.render_json.write_bytes(damaged)
        assert start.base_url(given, state_home) == URL
    state_home.render_json.write_bytes(b'{"url": "http://127.0.0.1:9"}')
    card = start.card_link(given, state_home, artifact_id="a1", customer="bob", seconds=60)
    board = start.dashboard_link(given, state_home, customer="bob", seconds=60)
    links = Links(state_home)
    for link, path, scope, subject in (
        (card, "/c/a1", "card", "a1"),
        (board, "/", "dashboard", ""),
    ):
        address = urlsplit(link.url)
        assert (address.netloc, address.path) == ("127.0.0.1:9", path)
        (token,) = parse_qs(address.query)["t"]
        grant = links.check(token, scope, subject=subject)  # type: ignore[arg-type]
        assert (grant.customer_key, grant.expires_at) == (customer_key("bob"), link.expires_at)
        with pytest.raises(LinkRefused):
            links.check(token, scope, subject="other")  # type: ignore[arg-type]
    long = [
        start.dashboard_link(given, state_home, customer="bob"),
        start.card_link(given, state_home, artifact_id="a1", customer="bob"),
    ]
    for link, hours in ((card, 0), (board, 0), (long[0], 24), (long[1], 24)):
        left = parse_ts(link.expires_at) - datetime.now(UTC)
        assert abs(left - timedelta(hours=hours)) < timedelta(hours=1)


def test_packages_that_are_there_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def find(name: str) -> object:
        looked.append(name)
        return None if name.startswith("no_") else object()

    monkeypatch.setattr(importlib.util, "find_spec", find)
    monkeypatch.setattr(start, "_there", set())
    for _ in range(2):
        assert start.missing(("one", "no_such", "two")) == ["no_such"]
    assert looked == ["one", "no_such", "two", "no_such"]


@pytest.mark.parametrize(
    ("changes", "is_ours"),
    [
        ({}, True),
        ({"render_url": "https://localhost"}, True),
        ({"render_url": "http://[::1]:99"}, True),
        ({"render": "off"}, False),
        ({"render_url": "https://cards.example.com"}, False),
    ],
)
def test_a_renderer_on_this_computer_is_started_one_elsewhere_is_not(
    changes: dict[str, Any],
    is_ours: bool,
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = settings(state_home, **changes)
    assert start.is_ours_to_start(given) is is_ours
    begun: list[object] = []

    def begin(*told: object) -> bool:
        begun.append(told)
        state_home.render_json.write_bytes(b"{}")
        return True

    monkeypatch.setattr(start, "start", begin)
    monkeypatch.setattr(start, "is_held", lambda path: path == state_home.render_lock)
    start.ensure(given, state_home)
    assert begun == ([(given, state_home)] if is_ours else [])


@pytest.mark.parametrize(("listens", "is_held"), [(True, False), (False, True), (False, False)])
def test_a_renderer_that_does_not_come_up_within_twenty_seconds_is_told_with_its_log(
    listens: bool, is_held: bool, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    clock = Mock(monotonic=lambda: now[0], sleep=lambda _: now.__setitem__(0, now[0] + 4.0))
    monkeypatch.setattr(start, "time", clock)
    monkeypatch.setattr(start, "start", Mock())
    monkeypatch.setattr(start, "is_held", lambda _: is_held)
    if listens:
        state_home.render_json.write_bytes(b"{}")
    with pytest.raises(ConfigurationError, match=state_home.render_log.name):
        start.ensure(settings(state_home), state_home)
    assert now == [120.0]


def test_one_that_runs_is_not_started_again(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = settings(state_home)
    begun: list[tuple[Any, ...]] = []
    made = [Mock(**{"poll.return_value": None}), Mock(**{"poll.return_value": 0})]

    def detached(command: list[str], told: Settings, *, log: object) -> Any:
        begun.append((command, told, log))
        return made[len(begun) - 1]

    ended, running = Mock(**{"poll.return_value": 1}), Mock(**{"poll.return_value": None})
    held = [True, False]
    monkeypatch.setattr(start, "_children", [ended, running])
    monkeypatch.setattr(start, "is_held", lambda _: held.pop(0))
    monkeypatch.setattr(start, "start_detached", detached)
    assert start.start(given, state_home) is False
    assert (begun, start._children) == ([], [running])
    assert start.start(given, state_home) is True
    command = [sys.executable, "-m", "cdesk_app.render.server"]
    assert begun == [(command, given, state_home.render_log)]
    assert start._children == [running, made[0]]
