"""`cdesk mcp`, `cdesk metrics` and `cdesk service`: what is started, printed or written."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_line import runner

import mcp_shim.http_main
import mcp_shim.main
from cdesk.core.home import StateDirectory
from cdesk.core.metrics import METRICS
from cdesk_app.cli.service import own_kind
from cdesk_app.ops.alerts import RUNBOOKS, rules
from cdesk_app.ops.grafana import dashboard
from cdesk_app.ops.services import SERVICES, Installed, text_of
from mcp_shim.transports import http_metrics


@pytest.fixture
def cdesk(state_home: StateDirectory, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    del state_home

    return runner(capsys)


def test_the_server_is_on_standard_input_unless_it_is_to_be_over_http(
    cdesk: Callable[..., str], state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    def serve(settings: Any) -> int:
        assert not hasattr(sys.stdout, "_out"), "its output is the protocol's, untouched"
        calls.append((settings.home, None))
        return 3

    def serve_http(settings: Any, **given: Any) -> int:
        calls.append((settings.home, given))
        return 4

    monkeypatch.setattr(mcp_shim.main, "main", serve)
    monkeypatch.setattr(mcp_shim.http_main, "main", serve_http)
    cdesk("mcp", code=3)
    cdesk("mcp", "--http", code=4)
    cdesk("mcp", "--http", "--host", "h", "--port", "5", "--workers", "6", code=4)
    home = state_home.root
    assert calls == [
        (home, None),
        (home, {"host": None, "port": None, "workers": None}),
        (home, {"host": "h", "port": 5, "workers": 6}),
    ]
    for words in (("--host", "h"), ("--port", "0"), ("--workers", "0")):
        assert "--host, --port and --workers go with --http" in cdesk("mcp", *words, code=1)


def test_metrics_are_printed_as_each_reads_them(
    cdesk: Callable[..., str], state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exposition(settings: Any, home: StateDirectory) -> Any:
        assert (settings.home, home) == (state_home.root, state_home)
        return SimpleNamespace(body=b"a 1\n")

    monkeypatch.setattr(http_metrics, "exposition", exposition)
    assert cdesk("metrics") == "a 1\n"
    assert cdesk("metrics", "--rules") == rules(runbooks=RUNBOOKS)
    assert cdesk("metrics", "--rules", "--runbooks", "x/") == rules(runbooks="x")
    assert json.loads(cdesk("metrics", "--dashboard")) == dashboard()
    listed = json.loads(cdesk("metrics", "--list"))
    assert [(one["name"], one["unit"]) for one in listed] == [
        (metric.name, metric.unit) for metric in METRICS
    ]
    for words in ((), ("--list",), ("--dashboard",)):
        assert "--runbooks: is given without --rules" in cdesk(
            "metrics", *words, "--runbooks", "x", code=2
        )
    assert "not allowed with argument" in cdesk("metrics", "--rules", "--list", code=2)


@pytest.mark.parametrize(
    ("platform", "kind"),
    [("darwin", "launchd"), ("win32", "windows"), ("linux", "systemd"), ("freebsd", "systemd")],
)
def test_the_kind_of_a_service_is_the_systems_own(
    platform: str, kind: Any, cdesk: Callable[..., str], state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(sys, "platform", platform)
    assert own_kind() == kind
    command = (sys.executable, "-m", "cdesk_app.cli")
    installed = Installed(command, state_home.root)
    assert cdesk("service", "install", "--print") == (text_of(kind, SERVICES["worker"], installed))


def test_a_unit_is_written_where_the_system_looks_and_says_how_it_is_started(
    cdesk: Callable[..., str],
    state_home: StateDirectory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = tmp_path / "etc" / "systemd" / "cdesk-http.service"
    monkeypatch.setattr(shutil, "which", lambda name: f"/opt/{name}")
    monkeypatch.setattr("cdesk_app.cli.service.place_of", lambda *_: place)
    shutil.rmtree(state_home.root)
    assert cdesk("service", "install", "--kind", "systemd", "http") == (
        f"{place} is written. To start it: "
        "systemctl daemon-reload && systemctl enable --now cdesk-http\n"
    )
    installed = Installed(("/opt/cdesk",), state_home.root)
    assert place.read_text(encoding="utf-8") == text_of("systemd", SERVICES["http"], installed)
    assert not state_home.root.exists(), "systemd makes the directory of its own user"
    cdesk("service", "install", "--kind", "systemd", "http")


def test_a_task_of_windows_is_brought_in_by_a_command(
    cdesk: Callable[..., str], state_home: StateDirectory
) -> None:
    assert cdesk("service", "install", "--kind", "windows", "renderer").splitlines() == [
        "cdesk service install --print renderer > task.xml",
        'schtasks /Create /TN "cdesk renderer" /XML task.xml',
    ]
    assert state_home.root.exists()
