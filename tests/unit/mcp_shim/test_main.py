"""The way into the server over stdio: what is set up before a client is served, what a person sees."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from cdesk.contract.redaction import redact_value
from cdesk.core.config import Settings
from cdesk.core.errors import ConfigurationError, StateDirectoryError
from cdesk.core.home import StateDirectory
from mcp_shim import main as entry
from mcp_shim.transports import stdio


class Start:
    """A start without a client; `done` is what was done in it, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, home: StateDirectory) -> None:
        self.done: list[Any] = []
        self.settings = Settings(home=home.root, customer="ada", environ={"A": "b"})
        self.is_lazy = True
        self.unmeasured: str | None = None
        self.environ: dict[str, str] = {}
        do = self.done.append
        monkeypatch.setattr(entry, "set_up_logging", lambda *given, **more: do((given, more)))
        monkeypatch.setattr(entry, "gc", SimpleNamespace(disable=lambda: do("no collector")))
        monkeypatch.setattr(entry, "os", SimpleNamespace(environ=self.environ))
        monkeypatch.setattr(entry.lazy_sdk, "install", lambda: (do("install"), self.is_lazy)[1])
        monkeypatch.setattr(entry.lazy_sdk, "unmeasured", lambda: self.unmeasured)
        monkeypatch.setattr(entry.lazy_sdk, "light_dataclasses", self._light)
        monkeypatch.setattr(stdio, "serve", lambda settings, at: do(("serve", settings, at.root)))

    @contextmanager
    def _light(self) -> Iterator[None]:
        self.done.append("light")
        yield
        self.done.append("as usual")


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, state_home: StateDirectory) -> Start:
    return Start(monkeypatch, state_home)


def test_a_start_sets_up_what_makes_it_short_and_then_serves(
    start: Start, state_home: StateDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    assert entry.main(start.settings) == 0
    assert start.done == [
        ((None, {"A": "b"}), {"credentials": redact_value, "only_ours": True}),
        "no collector",
        "install",
        "light",
        "as usual",
        ("serve", start.settings, state_home.root),
    ]
    assert start.environ == {"PYDANTIC_DISABLE_PLUGINS": "__all__"}
    start.environ["PYDANTIC_DISABLE_PLUGINS"] = "one"
    entry.main(start.settings)
    assert start.environ == {"PYDANTIC_DISABLE_PLUGINS": "one"}, "as the person has it"
    assert caplog.records == []


def test_a_start_with_the_sdk_in_full_says_why(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    start.is_lazy = False
    assert entry.main(start.settings) == 0
    assert caplog.records == [], "it was there already"
    start.unmeasured = "mcp 9 was not measured"
    entry.main(start.settings)
    (said,) = caplog.records
    assert (said.levelno, said.message) == (logging.WARNING, "the SDK is imported in full")
    assert said.facts == {"reason": "mcp 9 was not measured"}  # type: ignore[attr-defined]
    assert start.environ == {}
    assert [one[0] for one in start.done if one[0] == "serve"] == ["serve"] * 2


@pytest.mark.parametrize(
    ("stdin", "is_told"),
    [(SimpleNamespace(isatty=lambda: True), True), (SimpleNamespace(isatty=lambda: False), False), (None, False)],
)  # fmt: skip
def test_a_person_at_a_terminal_is_told_what_it_waits_for(
    start: Start,
    stdin: Any,
    is_told: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    entry.main(start.settings)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (f"{entry.WAITS}\n" if is_told else "")


def test_as_a_module_it_says_what_is_wrong_in_one_line(
    start: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start.environ["CDESK_HOME"] = "somewhere"
    asked: list[Any] = []

    def load(environ: Any) -> Settings:
        asked.append(environ)
        return start.settings

    monkeypatch.setattr(entry, "load_settings", load)
    assert entry.run_as_module() == 0
    assert asked == [start.environ]

    def fails(_: Any) -> Settings:
        raise ConfigurationError("odd settings")

    monkeypatch.setattr(entry, "load_settings", fails)
    assert entry.run_as_module() == 1
    monkeypatch.setattr(entry, "load_settings", load)

    def cannot(_: Any) -> Any:
        raise StateDirectoryError("not yours")

    monkeypatch.setattr(StateDirectory, "ensure", cannot)
    assert entry.run_as_module() == 1
    assert capsys.readouterr() == ("", "cdesk: odd settings\ncdesk: not yours\n")
