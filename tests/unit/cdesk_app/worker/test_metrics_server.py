"""What the worker answers to a scrape, and what becomes of it where it cannot listen. The sockets
are in tests/unit/cdesk_app/ops/test_metrics.py.
"""

from __future__ import annotations

import io
import socket
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cdesk.core.config import Settings
from cdesk.core.errors import CatalogError, Forbidden
from cdesk.core.features import Features
from cdesk.core.home import StateDirectory
from cdesk.state.counts import Counts
from cdesk_app.worker import metrics_server as module
from cdesk_app.worker.metrics_server import serving_metrics
from mcp_shim.auth import Unauthorized
from mcp_shim.transports.http_metrics import Scraper


class Desk:
    """A handler without a socket, and what it asks."""

    def __init__(self, home: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[Any] = []
        self.home, self.error = home, None
        self.settings = Settings(home=home.root, customer="ada")
        self.counts: Any = SimpleNamespace(flush=lambda: self.steps.append("flush"))
        monkeypatch.setattr(module, "require_scraper", self._require)
        monkeypatch.setattr(module, "exposition", self._exposition)
        self.error: Exception | None = None

    def _require(self, scraper: Scraper, home: StateDirectory, *, behind_proxy: bool) -> None:
        self.steps.append((scraper, home, behind_proxy))
        if self.error is not None:
            raise self.error

    def _exposition(self, settings: Settings, home: StateDirectory, *, accept: str) -> Any:
        self.steps.append((settings, home, accept))
        return SimpleNamespace(body=b"cdesk_up 1\n", content_type="text/plain; version=1.0.0")

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        """The status, headers and body of an answer."""
        self.steps.clear()
        made: Any = object.__new__(module._handler(self.settings, self.home, self.counts))
        made.path, made.client_address = path, ("192.0.2.7", 4_711)
        made.request_version = made.protocol_version = "HTTP/1.1"
        made.requestline, made.command, made.wfile = f"GET {path}", "GET", io.BytesIO()
        made.headers = Message()
        for name, value in headers.items():
            made.headers[name] = value
        made.do_GET()
        head, _, body = made.wfile.getvalue().decode().partition("\r\n\r\n")
        status, *lines = head.split("\r\n")
        return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body


@pytest.fixture
def desk(state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(state_home, monkeypatch)


@pytest.mark.parametrize("path", ["/metrics", "/metrics?name=x"])
def test_a_scrape_is_answered_with_what_was_counted_until_then(desk: Desk, path: str) -> None:
    status, headers, body = desk.get(path, Accept="text/plain", Host="localhost")
    assert desk.steps == [
        (
            Scraper("192.0.2.7", {"accept": "text/plain", "host": "localhost"}),
            desk.home,
            False,
        ),
        "flush",
        (desk.settings, desk.home, "text/plain"),
    ]
    assert (status, body) == (200, "cdesk_up 1\n")
    assert headers["Content-Type"] == "text/plain; version=1.0.0"
    assert headers["Content-Length"] == "11"
    assert "WWW-Authenticate" not in headers
    assert headers["Server"].strip() == "cdesk"
    desk.get(path)
    assert desk.steps[-1] == (desk.settings, desk.home, "")


@pytest.mark.parametrize("path", ["/", "/?/metrics", "/metrics/", "/x?metrics"])
def test_there_is_nothing_else(desk: Desk, path: str) -> None:
    status, headers, body = desk.get(path)
    assert (status, body) == (404, "the metrics are at /metrics\n")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert desk.steps == []


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (Unauthorized("a word"), 401, "unauthorized: a valid bearer token is needed\n"),
        (Forbidden("not under this name"), 403, "not under this name\n"),
        (CatalogError("no catalog at /home/ada"), 503, f"{CatalogError.code}\n"),
    ],
)
def test_who_may_not_read_them_is_told_why_and_of_a_failure_its_code_alone(
    desk: Desk, error: Exception, status: int, body: str
) -> None:
    desk.error = error
    found, headers, text = desk.get("/metrics")
    assert (found, text) == (status, body)
    assert headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)
    assert "flush" not in desk.steps


# -- the server


class Server:
    """Stands for the one that listens."""

    made: list[Any]
    error: OSError | None = None

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        Server.made.append(address)
        if Server.error is not None:
            raise Server.error
        assert issubclass(handler, module.BaseHTTPRequestHandler)

    def serve_forever(self) -> None:
        Server.made.append("serves")

    def shutdown(self) -> None:
        Server.made.append("shut down")

    def server_close(self) -> None:
        Server.made.append("closed")


class Thread:
    """Stands for a thread: runs at once."""

    def __init__(self, *, target: Any, name: str, daemon: bool) -> None:
        assert (name, daemon) == ("cdesk-metrics", True)
        self._target = target

    def start(self) -> None:
        self._target()

    def join(self, seconds: float) -> None:
        Server.made.append(f"joined for {seconds}")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.setattr(Server, "made", [], raising=False)
    monkeypatch.setattr(Server, "error", None)
    monkeypatch.setattr(module, "_Server", Server)
    monkeypatch.setattr(module, "threading", SimpleNamespace(Thread=Thread))
    return Server.made


def serve(home: StateDirectory, address: str, **more: Any) -> None:
    settings = Settings(home=home.root, customer="ada", metrics_address=address, **more)
    with serving_metrics(settings, home, Counts()):
        Server.made.append("works")


@pytest.mark.parametrize(
    ("address", "bound"),
    [("127.0.0.1:9464", ("127.0.0.1", 9_464)), ("[::1]:9464", ("::1", 9_464))],
)
def test_it_listens_while_the_worker_works_and_no_longer(
    state_home: StateDirectory, made: list[Any], address: str, bound: tuple[str, int]
) -> None:
    serve(state_home, address)
    assert made == [bound, "serves", "works", "shut down", "closed", "joined for 5.0"]


@pytest.mark.parametrize(
    ("address", "features"),
    [
        ("", Features()),
        ("127.0.0.1:9464", Features(frozenset({"metrics"}))),
        ("", Features(frozenset({"metrics"}))),
    ],
)
def test_it_does_not_where_nobody_wants_it(
    state_home: StateDirectory, made: list[Any], address: str, features: Features
) -> None:
    serve(state_home, address, features=features)
    assert made == ["works"]


def test_a_port_that_is_taken_or_a_package_that_is_missing_costs_the_worker_nothing(
    state_home: StateDirectory,
    made: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    Server.error = OSError("Address already in use")
    serve(state_home, "127.0.0.1:9464")
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    serve(state_home, "127.0.0.1:9464")
    assert made == [("127.0.0.1", 9_464), "works", "works"]
    assert [record.facts for record in caplog.records] == [  # type: ignore[attr-defined]
        {"address": "127.0.0.1:9464", "reason": "Address already in use"},
        {
            "address": "127.0.0.1:9464",
            "reason": "prometheus-client is not installed: pip install 'cdesk[ops]'",
        },
    ]


def test_an_address_with_colons_is_of_the_sixth_version(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(
        module.ThreadingHTTPServer,
        "__init__",
        lambda self, address, handler: made.append((self.address_family, address, handler)),
    )
    handler: Any = "handler"
    assert module._Server(("::1", 1), handler).daemon_threads
    module._Server(("127.0.0.1", 1), handler)
    assert made == [
        (socket.AF_INET6, ("::1", 1), "handler"),
        (socket.AF_INET, ("127.0.0.1", 1), "handler"),
    ]


def test_no_scrape_is_written_down(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    desk.get("/metrics")
    assert capfd.readouterr() == ("", "")
    assert [*Path(desk.home.root).glob("*.log")] == []
