"""`cdesk card`, `cdesk dashboard`, `cdesk render`: the renderer as a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from urllib.error import HTTPError

import orjson
import pytest

from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.core.locks import is_held
from cdesk_app.cli.main import main
from cdesk_app.render import start
from cdesk_app.render.server import serve
from scripts import ports
from tests.integration.render.conftest import Site


@pytest.fixture
def free_port() -> int:
    return ports.free_port()


@pytest.fixture
def site(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> Iterator[Site]:
    """A state directory without a renderer; one that a test starts is ended."""
    url = f"http://127.0.0.1:{free_port}"
    monkeypatch.setenv("CDESK_RENDER", "auto")
    monkeypatch.setenv("CDESK_RENDER_URL", url)
    settings = Settings(
        home=state_home.root,
        customer="ada@example.com",
        render_url=url,
        environ=dict(os.environ),
    )
    yield Site(state_home, settings, free_port)
    if state_home.render_json.exists():
        os.kill(orjson.loads(state_home.render_json.read_bytes())["pid"], signal.SIGTERM)
        deadline = time.monotonic() + 60
        while is_held(state_home.render_lock) and time.monotonic() < deadline:
            time.sleep(0.05)


def fetch(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.strip()


def test_a_card_opens_from_the_command_line(
    site: Site, capsys: pytest.CaptureFixture[str], free_port: int
) -> None:
    id = site.put({"day": ["a", "b"], "total": [1, 2]})
    assert main(["card", id, "--json"]) == 0
    link = json.loads(said(capsys))
    assert set(link) == {"url", "expires_at"}
    assert link["url"].startswith(f"http://127.0.0.1:{free_port}/c/{id}?t=")
    status, page = fetch(link["url"])
    assert (status, id in page) == (200, True)
    pid = orjson.loads(site.home.render_json.read_bytes())["pid"]
    assert main(["card", id]) == 0
    assert orjson.loads(site.home.render_json.read_bytes())["pid"] == pid, "one renderer is enough"
    assert fetch(said(capsys))[0] == 200
    assert main(["card", id, "--revoke"]) == 0
    assert fetch(link["url"])[0] == 410
    log = site.home.render_log.read_text(encoding="utf-8")
    assert link["url"].partition("t=")[2] not in log


def test_a_port_that_is_taken_is_no_reason_to_fail(
    site: Site, capsys: pytest.CaptureFixture[str], free_port: int
) -> None:
    id = site.put({"v": [1]})
    with socket.create_server(("127.0.0.1", free_port)):
        assert main(["card", id]) == 0
        url = said(capsys)
        assert f":{free_port}/" not in url
        assert fetch(url)[0] == 200


def test_another_customers_card_is_not_known(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    id = site.put({"v": [1]}, customer="bob@example.com")
    assert main(["card", id]) == 1
    assert "is not known here" in capsys.readouterr().err
    assert not site.home.render_json.exists()


def test_a_teams_service_is_linked_to_and_not_started(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDESK_RENDER_URL", "https://cards.example.com")
    id = site.put({"v": [1]})
    assert main(["card", id]) == 0
    assert said(capsys).startswith(f"https://cards.example.com/c/{id}?t=")
    assert not site.home.render_json.exists()


def test_a_renderer_that_nobody_asks_ends(site: Site) -> None:
    assert serve(site.settings, idle_seconds=0.2) == 0
    assert not site.home.render_json.exists()


@pytest.mark.skipif(os.name == "nt", reason="what is open cannot be removed there")
def test_a_renderer_ends_when_its_directory_is_gone(site: Site) -> None:
    def remove() -> None:
        while not site.home.render_json.exists():
            time.sleep(0.02)
        shutil.rmtree(site.home.root, ignore_errors=True)

    remover = threading.Thread(target=remove)
    remover.start()
    assert serve(site.settings, idle_seconds=60) == 0
    remover.join()


def test_a_state_directory_that_cannot_be_listened_for_says_so(site: Site) -> None:
    site.home.render_log.mkdir()
    with pytest.raises(OSError, match=r"render\.log"):
        start.start(site.settings, site.home)
