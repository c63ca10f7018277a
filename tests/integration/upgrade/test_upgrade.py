"""A directory of the release before is upgraded, used and rolled back, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import Counter
from pathlib import Path

import duckdb
import pytest
from landing_table import event

from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk.state.database import SCHEMA_VERSION, open_state
from cdesk_app.cli.main import main
from cdesk_app.worker.main import run_once
from tests.integration.upgrade.old_code import OldCode, aged, is_old, old_code

CUSTOMER = "ada@example.com"


def settings(home: StateDirectory) -> Settings:
    return Settings(home=home.root, customer=CUSTOMER, worker="off", environ=dict(os.environ))


def record(home: StateDirectory, count: int) -> set[str]:
    """Records that a server acknowledges; their ids."""
    writer = QueueWriter(home.queue)
    ids = set()
    for _ in range(count):
        id, line = event(customer=CUSTOMER)
        writer.append(line)
        ids.add(id)
    writer.close()
    return ids


def stored(home: StateDirectory) -> Counter[str]:
    """How often each of the caller's own ids stands in `events`."""
    with contextlib.closing(duckdb.connect(home.warehouse, read_only=True)) as engine:
        rows = engine.execute(
            "select cast(_activity_id as varchar) from activities.events "
            "where activity = 'cdesk.user_asked'"
        ).fetchall()
    return Counter(row[0] for row in rows)


def go_there_and_back(home: StateDirectory, work: Path, before: set[str]) -> StateDirectory:
    """Back up, upgrade, use, roll back into another directory; that directory."""
    assert is_old(home)
    assert main(["backup", str(work / "before.zip")]) == 0
    while_new = record(home, 3)
    report = run_once(settings(home))
    assert report.builds >= 1
    assert report.failed_tests == ()
    assert stored(home) == Counter(before | while_new), "each once, those of before included"
    assert not is_old(home)
    with contextlib.closing(open_state(home.state_db)) as state:
        assert state.execute("pragma user_version").fetchone() == (SCHEMA_VERSION,)
    back = StateDirectory(work / "back")
    words = ["restore", str(work / "before.zip"), "--to", str(back.root)]
    assert main([*words, "--with-queue-of", str(home.root)]) == 0
    assert is_old(back), "what the release before can read"
    return back


@pytest.mark.launch
@pytest.mark.timeout(900)
def test_an_older_layout_is_brought_up_to_date_and_back(
    first_round: Path, state_home: StateDirectory, tmp_path: Path
) -> None:
    shutil.copytree(first_round, state_home.root, dirs_exist_ok=True)
    aged(state_home)
    before = record(state_home, 3)
    back = go_there_and_back(state_home, tmp_path, before)
    assert (
        sum(
            file.read_bytes().count(b"user_asked")
            for file in back.queue.rglob("*")
            if file.is_file()
        )
        == 6
    ), "all that was recorded lands again"


@pytest.fixture
def old(tmp_path: Path) -> OldCode:
    code = old_code(tmp_path / "old_code")
    if code is None:
        pytest.skip("this clone has no tag v0.1.0: git fetch origin tag v0.1.0")
    return code


@pytest.mark.launch
@pytest.mark.timeout(900)
def test_a_directory_of_v0_1_0_itself(
    old: OldCode, state_home: StateDirectory, tmp_path: Path
) -> None:
    before = record(state_home, 3)
    first = old.cdesk(state_home, "worker", "--once")
    assert first.returncode == 0, first.stderr
    assert stored(state_home) == Counter(before)
    back = go_there_and_back(state_home, tmp_path, before)
    refused = old.cdesk(state_home, "worker", "--once")
    assert refused.returncode == 1
    assert "written by a newer cdesk" in refused.stderr
    again = old.cdesk(back, "worker", "--once")
    assert again.returncode == 0, again.stderr
    assert len(stored(back)) == 6
    assert set(stored(back).values()) == {1}, "before and after, each once"
