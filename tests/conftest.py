"""What every test gets: no setting of the person who runs it, and a state directory of its own."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from cdesk.config import Settings
from cdesk.home import StateDirectory
from cdesk.locks import FileLock

TOGETHER = (
    "tests/integration/snowflake/",
    "tests/integration/activity_schema/test_relationships_on_snowflake.py",
)
"""One process runs all of these: what they share takes a minute to make."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For `--dist loadgroup`: tests that share what was built for them stay together, and what takes long begins first."""

    def file(item: pytest.Item) -> str:
        return item.nodeid.partition("::")[0]

    for item in items:
        name = "snowflake" if file(item).startswith(TOGETHER) else file(item)
        item.add_marker(pytest.mark.xdist_group(name))
    items.sort(key=lambda item: (not file(item).startswith(TOGETHER), "/integration/" not in file(item)))


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


@pytest.fixture(scope="session")
def first_round(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory after the first round of its worker, with nothing in it yet: made once for all processes of a test run. Copy it."""
    from worker.main import run_once

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made, lock = shared / "first_round", FileLock(shared / "first_round.lock")
    while not lock.acquire():
        time.sleep(0.2)
    try:
        if not made.exists():
            home = base / "first_round_in_work"
            run_once(Settings(home=home, customer="ada@example.com", worker="off", environ=dict(os.environ)))
            shutil.copytree(home, shared / "first_round_copy")
            (shared / "first_round_copy").rename(made)
    finally:
        lock.release()
    return made
