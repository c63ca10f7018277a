"""Where the renderer listens, under which names it may be asked, and when it has rested enough."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import orjson
import pytest
from starlette.routing import Route

from cdesk.core.clock import parse_ts
from cdesk.core.config import Settings
from cdesk.core.errors import ConfigurationError, QueueWriteError
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock, is_held
from cdesk.core.metrics import CARD_SECONDS, ERRORS, RECORDS_QUEUED
from cdesk.state.counts import read_counts
from cdesk_app.render import server
from cdesk_app.render.app import Renderer
from cdesk_app.render.board_pages import BoardSource
from cdesk_app.render.server import (
    ReadyRecorder,
    _announce,
    _listening,
    _Watched,
    make_renderer,
    own_port,
)


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
            assert listener.getsockname()[1] not in (*range(1_024), port)
        with (
            pytest.raises(ConfigurationError, match=f"{port} cannot be listened on"),
            _listening(given, "127.0.0.1", port),
        ):
            raise AssertionError
    with _listening(given, "127.0.0.1", port) as listener:
        assert listener.getsockname()[1] == port


@pytest.mark.parametrize("port", [-1, 65_536, 2**40])
def test_a_number_that_is_no_port_is_refused_as_what_it_is(
    state_home: StateDirectory, port: int
) -> None:
    with (
        pytest.raises(ConfigurationError, match=rf"^port is {port}; allowed: from 0 to 65535$"),
        _listening(settings(state_home), "127.0.0.1", port),
    ):
        raise AssertionError


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


# -- serving


class Process:
    """A server that looks around while it runs, instead of serving."""

    def __init__(self, home: StateDirectory, while_it_runs: Callable[[], None]) -> None:
        self.home = home
        self.should_exit = False
        self.config: dict[str, Any] = {}
        self.watched: object = None
        self.ran = False
        self._look = while_it_runs

    def configured(self, watched: object, **config: Any) -> Mock:
        self.watched, self.config = watched, config
        return Mock()

    def run(self, *, sockets: list[socket.socket]) -> None:
        self.ran = True
        (listener,) = sockets
        facts = orjson.loads(self.home.render_json.read_bytes())
        assert facts["port"] == listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", facts["port"]), 5):
            pass
        assert is_held(self.home.render_lock)
        self._look()


def serve(
    home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    *,
    while_it_runs: Callable[[], None] = lambda: None,
    **given: Any,
) -> tuple[int, Process, dict[str, Any]]:
    """What `serve` returns, its server, and what the application is made of."""
    made: dict[str, Any] = {"threads": [], "idle": []}
    process = Process(home, while_it_runs)

    def board_routes(renderer: Renderer, source: BoardSource) -> list[Route]:
        made["source"] = source
        return server_board_routes(renderer, source)

    def app(renderer: Renderer, *, more: list[Route]) -> object:
        made.update(renderer=renderer, more=[route.path for route in more])
        return made.setdefault("app", Mock())

    server_board_routes = server.board_routes
    threads = Mock(
        Lock=threading.Lock, Thread=lambda **told: made["threads"].append(told) or Mock()
    )
    monkeypatch.setattr(server, "board_routes", board_routes)
    monkeypatch.setattr(server, "make_app", app)
    monkeypatch.setattr(server, "threading", threads)
    monkeypatch.setattr(server, "_end_when_idle", lambda *told: made["idle"].append(told))
    monkeypatch.setattr(
        server, "uvicorn", Mock(Config=process.configured, Server=lambda _: process)
    )
    code = server.serve(settings(home, "http://localhost:8377"), port=0, **given)
    return code, process, made


def test_a_server_is_announced_before_it_runs_and_gone_from_there_after_it(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def second() -> None:
        before = state_home.render_json.read_bytes()
        assert server.serve(settings(state_home)) == 0
        assert "runs already for this state directory" in capsys.readouterr().err
        assert state_home.render_json.read_bytes() == before

    class Lock(FileLock):
        def release(self) -> None:
            found.append((self.held, state_home.render_json.exists()))
            super().release()

    found: list[tuple[bool, bool]] = []
    monkeypatch.setattr(server, "FileLock", Lock)
    code, process, made = serve(state_home, monkeypatch, while_it_runs=second)
    assert (code, process.ran) == (0, True)
    assert found == [(True, False)], "the next one's announcement is not taken away"
    assert (state_home.render_json.exists(), is_held(state_home.render_lock)) == (False, False)
    assert process.config == {
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "date_header": True,
        "timeout_graceful_shutdown": 3,
    }
    assert made["more"] == ["/", "/board", "/board/{name:str}.svg", "/events", "/metrics"]
    renderer = made["renderer"]
    assert isinstance(renderer.painted, ReadyRecorder)
    assert renderer.verifier is None
    (warm,) = made["threads"]
    assert (warm["target"], warm["daemon"]) == (renderer.painter.warm, True)
    assert made["idle"] == [(process, process.watched, state_home, 7_200.0)]
    assert made["source"].stopping() is False
    process.should_exit = True
    assert made["source"].stopping() is True


def test_a_team_is_known_by_its_tokens_and_a_service_never_rests(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, made = serve(state_home, monkeypatch, team=True, idle_seconds=None)
    assert made["renderer"].verifier is not None
    assert made["idle"] == []


def test_a_server_that_fails_leaves_nothing_behind(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        serve(state_home, monkeypatch, while_it_runs=broken)
    assert (state_home.render_json.exists(), is_held(state_home.render_lock)) == (False, False)
    serve(state_home, monkeypatch)


CARD: Any = Mock(
    artifact_id="a1", template="numbers", artifact=Mock(customer="ada", query_hash="h1", rows=9)
)


def test_a_card_that_stands_is_on_record_and_counted(state_home: StateDirectory) -> None:
    recorder = ReadyRecorder(settings(state_home), state_home)
    woken = Mock()
    recorder._waker.close()
    recorder._waker = woken
    recorder(CARD, 1234.56789, "bars")
    (path,) = state_home.queue.glob("*.ndjson")
    record = orjson.loads(path.read_bytes())
    assert record["feature_json"] == {
        "artifact_id": "a1",
        "query_hash": "h1",
        "template": "numbers",
        "chart": "bars",
        "rows": 9,
        "elapsed_ms": 1234.568,
        "shown_in": "browser",
    }
    assert (record["activity"], record["customer"]) == ("cdesk.card_ready", "ada")
    assert record.get("session_id") is None
    assert record["query_tag"]
    assert abs(parse_ts(record["ts"]).timestamp() - time.time()) < 3_600
    woken.send.assert_called_once_with()
    counts = read_counts(state_home)
    ((labels, seen),) = counts[CARD_SECONDS].items()
    assert (labels, sum(seen.buckets or [])) == (("browser",), 1)
    assert seen.value == pytest.approx(1.23456789)
    assert counts[RECORDS_QUEUED][("renderer",)].value == 1

    def full(_: bytes) -> None:
        raise QueueWriteError("the disk is full")

    recorder._writer.append = full  # type: ignore[method-assign]
    recorder(CARD, 1.0, "bars")
    assert read_counts(state_home)[ERRORS][("renderer", "queue_write_failed")].value == 1
    woken.send.assert_called_once_with()
    recorder._writer.close()
    recorder.counts.close()
    recorder._writer, recorder.counts = Mock(), Mock()
    recorder.close()
    for closed in (recorder._writer, woken, recorder.counts):
        closed.close.assert_called_once_with()


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (None, 3, ""),
        (ConfigurationError("no port"), 1, "cdesk render: no port\n"),
        (OSError("no disk"), 1, "cdesk render: no disk\n"),
    ],
)
def test_a_process_says_why_it_does_not_serve(
    error: Exception | None,
    code: int,
    said: str,
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CDESK_HOME", str(state_home.root))
    private, logged, served = Mock(), Mock(), Mock(return_value=3, side_effect=error)
    monkeypatch.setattr(server, "keep_private", private)
    monkeypatch.setattr(server, "set_up_logging", logged)
    monkeypatch.setattr(server, "serve", served)
    assert server.main([]) == code
    assert capsys.readouterr().err == said
    private.assert_called_once_with()
    (given,) = served.call_args.args
    assert given.home == state_home.root
    logged.assert_called_once_with(
        state_home.render_log, given.environ, credentials=server.redact_value
    )
