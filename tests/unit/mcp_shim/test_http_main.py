"""The way into the HTTP service: where it listens, how uvicorn is told to serve, who has to be known
before others can reach it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
import uvicorn

from cdesk.contract.redaction import redact_value
from cdesk.core.config import HttpSettings, Settings
from cdesk.core.errors import ConfigurationError
from cdesk.core.home import StateDirectory
from cdesk.state.access import AccessStore
from mcp_shim import http_main
from mcp_shim.http_main import is_loopback, listen, main, require_authentication
from mcp_shim.transports.http_connection import GuardedConnection


@dataclass
class Served:
    """What was served in place of a server that waits for calls."""

    home: StateDirectory
    started: bool = True
    configs: list[uvicorn.Config] = field(default_factory=list)
    addresses: list[tuple[str, int]] = field(default_factory=list)
    listeners: list[socket.socket] = field(default_factory=list)
    registered: list[dict[str, Any]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    logging: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)

    def run(self, kind: str, config: uvicorn.Config, listener: socket.socket) -> None:
        self.kinds.append(kind)
        self.configs.append(config)
        self.addresses.append(listener.getsockname()[:2])
        self.listeners.append(listener)
        self.registered.append(orjson.loads(self.home.http_json.read_bytes()))
        assert listener.get_inheritable(), "its processes listen on the same"

    def main(self, http: HttpSettings | None = None, **given: Any) -> int:
        settings = Settings(
            home=self.home.root, customer="ada@example.com", http=http or HttpSettings(port=0)
        )
        return main(settings, **given)


@pytest.fixture
def served(state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    found = Served(state_home)

    class Server:
        def __init__(self, config: uvicorn.Config) -> None:
            self.config, self.started = config, found.started

        def run(self, sockets: list[socket.socket]) -> None:
            found.run("one", self.config, *sockets)

    class Several:
        def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
            self.config, self.sockets = config, sockets

        def run(self) -> None:
            found.run("several", self.config, *self.sockets)

    monkeypatch.setattr(uvicorn, "Server", Server)
    monkeypatch.setattr(http_main, "Multiprocess", Several)
    monkeypatch.setattr(
        http_main, "set_up_logging", lambda given, _, **more: found.logging.append((given, more))
    )
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    yield found
    for one, handler in before.items():
        signal.signal(one, handler)


def test_one_process_serves_where_the_settings_say(served: Served) -> None:
    assert served.main() == 0
    ((host, port),) = served.addresses
    assert (host, served.kinds) == ("127.0.0.1", ["one"])
    (config,) = served.configs
    told = {name: getattr(config, name) for name in (
        "factory", "http", "ws", "lifespan", "workers", "log_config", "access_log",
        "server_header", "proxy_headers", "forwarded_allow_ips", "timeout_keep_alive",
        "timeout_graceful_shutdown", "limit_concurrency", "backlog",
        "h11_max_incomplete_event_size",
    )}  # fmt: skip
    assert told == {
        "factory": True,
        "http": GuardedConnection,
        "ws": "none",
        "lifespan": "on",
        "workers": 1,
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "forwarded_allow_ips": [],
        "timeout_keep_alive": 600,
        "timeout_graceful_shutdown": 25,
        "limit_concurrency": 20_000,
        "backlog": 2_048,
        "h11_max_incomplete_event_size": 16_384,
    }
    (said,) = served.registered
    assert (said["url"], said["processes"]) == (f"http://127.0.0.1:{port}/mcp", 1)
    assert not served.home.http_json.exists(), "it runs no more"
    assert served.listeners[0].fileno() == -1, "it is closed"
    assert served.logging == [(None, {"credentials": redact_value, "only_ours": True})]
    for one in (signal.SIGINT, signal.SIGTERM):  # it has been heeded
        signal.raise_signal(one)


def test_what_is_given_goes_before_the_settings(served: Served) -> None:
    http = HttpSettings(
        host="192.0.2.1", port=1, workers=3, proxies=("192.0.2.7",), issuer="https://i.example"
    )
    assert served.main(http, host="127.0.0.1", port=0, workers=2) == 0
    assert served.kinds == ["several"]
    assert served.addresses[0][0] == "127.0.0.1"
    assert served.addresses[0][1] > 1
    (config,) = served.configs
    assert (config.workers, config.proxy_headers, config.forwarded_allow_ips) == (
        2,
        True,
        ["192.0.2.7"],
    )
    (said,) = served.registered
    assert (said["processes"], said["host"], said["behind_proxy"]) == (2, "127.0.0.1", True)
    assert config.app.args[0].http.workers == 2, "each process counts its part"
    assert config.app.func is http_main.create


def test_a_server_that_did_not_start_is_a_failure(served: Served) -> None:
    served.started = False
    assert served.main() == 1


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"workers": 0}, "workers is 0; allowed: from 1 to 64"),
        ({"workers": 65}, "workers is 65; allowed: from 1 to 64"),
        ({"port": -1}, "port is -1; allowed: from 0 to 65535"),
        ({"port": 65_536 + 1}, "port is 65537; allowed: from 0 to 65535"),
    ],
)
def test_a_number_out_of_its_bounds_is_refused(
    served: Served, given: dict[str, int], problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{problem}$"):
        served.main(**given)
    assert served.kinds == []


def test_the_highest_numbers_are_taken(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert served.main(workers=64) == 0
    assert served.configs[0].workers == 64
    asked: list[int] = []

    def listened(host: str, port: int) -> socket.socket:
        asked.append(port)
        return listen(host, 0)

    monkeypatch.setattr(http_main, "listen", listened)
    assert served.main(port=65_535) == 0
    assert asked == [65_535]


@pytest.mark.parametrize(
    ("host", "is_alone"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("localhost.example", False),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("", False),
    ],
)
def test_whoever_others_could_reach_has_to_know_somebody(
    state_home: StateDirectory, host: str, is_alone: bool, caplog: pytest.LogCaptureFixture
) -> None:
    assert is_loopback(host) == is_alone

    def asked(**http: str) -> None:
        settings = Settings(
            home=state_home.root, customer="ada", http=HttpSettings(host=host, **http)  # type: ignore[arg-type]
        )  # fmt: skip
        require_authentication(settings, state_home)

    refused = contextlib.nullcontext() if is_alone else pytest.raises(
        ConfigurationError, match=f"^not listening on {host} without authentication: nobody has"
    )  # fmt: skip
    with caplog.at_level(logging.WARNING), refused:
        asked()
    assert ("nobody has a token yet" in caplog.text) == is_alone
    caplog.clear()
    asked(issuer="https://issuer.example")
    with closing(AccessStore(state_home.access_db)) as store:
        store.add_tokens(["ada"], roles=(), expires_at=None, now="2026-01-01T00:00:00.000000Z")
    asked()
    assert caplog.text == ""


def test_an_address_that_cannot_be_listened_on_is_told_with_what_to_do() -> None:
    with closing(listen("127.0.0.1", 0)) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError) as refused:
            listen("127.0.0.1", port)
        assert str(refused.value) == (
            f"127.0.0.1:{port} cannot be listened on (Address already in use); "
            "choose another --port or --host"
        )
        if os.name == "posix":  # elsewhere it would share the port with others
            assert taken.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    with closing(listen("", 0)) as everywhere:
        assert everywhere.getsockname()[0] in ("0.0.0.0", "::")


@pytest.mark.parametrize(
    ("address", "url"),
    [(("127.0.0.1", 8), "http://127.0.0.1:8/mcp"), (("::1", 8, 0, 0), "http://[::1]:8/mcp")],
)
def test_a_service_is_reached_under_its_address(address: Any, url: str) -> None:
    class Listener:
        getsockname: Callable[[], Any] = staticmethod(lambda: address)

    assert http_main._url_of(Listener()) == url  # type: ignore[arg-type]


def test_each_process_serves_the_service_of_the_settings(served: Served) -> None:
    settings = Settings(home=served.home.root, customer="ada@example.com")
    service = http_main.create(settings)._mcp._service  # type: ignore[attr-defined]
    assert service._settings is settings
    assert service._home.root == served.home.root
    assert served.logging == [(None, {"credentials": redact_value, "only_ours": True})]
    service._store.close()
    service._checkpointer.close()
