"""What every test gets: no setting of the person who runs it, and a state directory of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cdesk.home import StateDirectory


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads or writes the state directory of the person who runs it."""
    for name in [name for name in os.environ if name.startswith("CDESK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CDESK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CDESK_CUSTOMER", "ada@example.com")
    monkeypatch.setenv("CDESK_WORKER", "off")


@pytest.fixture
def state_home(tmp_path: Path) -> StateDirectory:
    """The state directory that a command run by this test uses."""
    return StateDirectory(tmp_path / "home").ensure()
