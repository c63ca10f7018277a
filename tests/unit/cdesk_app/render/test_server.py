"""Where the renderer listens, under which names it may be asked, and when it has rested enough."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from dataclasses import replace
from unittest.mock import Mock

import orjson
import pytest

from cdesk.core.config import Settings
from cdesk.core.errors import ConfigurationError
from cdesk.core.home import StateDirectory
from cdesk_app.render import server
from cdesk_app.render.server import _announce, _listening, _Watched, make_renderer, own_port


def settings(home: StateDirectory, url: str = "http://127.0.0.1:8377") -> Settings:
    return Settings(home=home.root, customer="ada", render_url=url)


@pytest.mark.parametrize(
    ("url", "host", "port", "is_secure"),
    [
        ("http://127.0.0.1:8377", None, 8377, False),
        ("http://localhost", None, 80, False),
        ("https://localhost", None, 443, True),
        ("http://[::1]:99", None, 99, False),
        ("https://cards.example.com:8443", "cards.example.com", 0, True),
    ],
)
def test_the_address_says_the_port_and_the_names_that_may_be_asked_for(
    url: str, host: str | None, port: int, is_secure: bool, state_home: StateDirectory
) -> None:
    given = settings(state_home, url)
    assert own_port(given) == port
    made = make_renderer(given, state_home)
    loopback = ("127.0.0.1", "localhost", "::1", "[::1]")
    assert made.hosts == (loopback if host is None else (*loopback, host))
    assert (made.secure_cookie, made.verifier) == (is_secure, None)


def test_it_says_where_it_is_to_be_found(state_home: StateDirectory) -> None:
    def told(url: str, port: int) -> str:
        listener = Mock()
        listener.getsockname.return_value = ("127.0.0.1", port)
        _announce(settings(state_home, url), state_home, listener)
        facts = orjson.loads(state_home.render_json.read_bytes())
        assert facts["port"] == port
        return str(facts["url"])

    assert told("http://localhost:8377", 8377) == "http://localhost:8377"
    assert told("http://localhost:8377", 9001) == "http://127.0.0.1:9001"
    assert told("https://cards.example.com", 9001) == "https://cards.example.com"


def test_a_port_that_is_taken_is_exchanged_for_another_unless_it_was_asked_for(
    state_home: StateDirectory,
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        given = settings(state_home, f"http://127.0.0.1:{port}")
        with _listening(given, "127.0.0.1", None) as listener:
            assert listener.getsockname()[1] not in (0, port)
        with (
            pytest.raises(ConfigurationError, match=f"{port} cannot be listened on"),
            _listening(given, "127.0.0.1", port),
        ):
            raise AssertionError
    with _listening(given, "127.0.0.1", port) as listener:
        assert listener.getsockname()[1] == port


def test_it_rests_once_nobody_asks_and_nothing_is_being_answered(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    async def app(scope: object, *_: object) -> None:
        del scope
        seen.append(watched.open)
        raise KeyError

    watched = _Watched(app)
    for kind in ("lifespan", "http", "http"):
        watched.last = 0.0
        with pytest.raises(KeyError):
            asyncio.run(watched({"type": kind}, Mock(), Mock()))
        assert (watched.last > 0.0) is (kind == "http")
    assert (seen, watched.open) == ([0, 1, 1], 0)

    looks = iter((("busy", 1, 0.0), ("asked", 0, 901.0), ("idle", 0, 899.0)))
    states: list[str] = []
    process = Mock(should_exit=False)

    def a_look_later(_: float) -> None:
        assert not process.should_exit
        name, watched.open, watched.last = next(looks)
        states.append(name)

    monkeypatch.setattr(server, "time", Mock(monotonic=lambda: 1_000.0, sleep=a_look_later))
    monkeypatch.setattr(server, "threading", Mock(Thread=_AtOnce))
    state_home.render_lock.touch()
    server._end_when_idle(process, watched, state_home, 100.0)
    assert (states, process.should_exit) == (["busy", "asked", "idle"], True)

    process.should_exit = False
    looks = iter((("asked", 0, 1_000.0),))
    state_home.render_lock.unlink()
    server._end_when_idle(process, watched, state_home, 100.0)
    assert process.should_exit, "its directory is gone"


class _AtOnce:
    """A thread that has run when it has been started."""

    def __init__(self, target: object, **_: object) -> None:
        self.start = target


def test_who_asked_for_render_from_elsewhere_is_known_by_the_service(
    state_home: StateDirectory,
) -> None:
    given = replace(settings(state_home, "https://cards.example.com"), customer="team")
    source = server.make_source(given, state_home)
    assert (source.customer, source.stopping()) == ("team", False)
    assert source.gather().customer == "team"
