"""`make demo`, twice in one folder, as a newcomer runs it whose dbt has parsed the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import orjson
import pytest

from cdesk.core.home import StateDirectory
from cdesk.core.locks import is_held
from tests.declared import assert_declared

ROOT = Path(__file__).resolve().parents[2]

HEADINGS = (
    "A conversation",
    "The worker lands them",
    "A question to the warehouse",
    "A month of Claude's own history",
    "The worker lands, builds and checks",
    "The next conversation",
    "What was called",
    "What landed",
    "Ingestion lag",
    "What get_context says now",
    "The five slowest calls",
    "Where everything lies",
    "Connect Claude Desktop",
    "What Claude can now answer",
    "The demo took",
)


def demo(folder: Path) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CDESK_")}
    run = subprocess.run(
        [sys.executable, "-m", "cdesk_app.cli.demo"],
        cwd=folder,
        env={**environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return run.stdout


@pytest.mark.timeout(900)
def test_the_demo_shows_a_conversation_that_the_next_one_remembers_and_can_be_run_twice(
    tmp_path: Path, first_round: Path
) -> None:
    # That it is parsed from nothing and built, the first round of a run shows.
    shutil.copytree(first_round / "dbt", tmp_path / ".demo" / "dbt")
    first = demo(tmp_path)
    headings = [line for line in first.splitlines() if line and not line.startswith(" ")]
    for heading, expected in zip(headings, HEADINGS, strict=True):
        assert heading.startswith(expected)
    assert "get_context answers: nothing is known yet." in first
    assert "get_context knows it as a verified fact: questions asked in 7 days = 3." in first
    assert re.search(r"pricing work +questions asked in 7 days +3 +verified", first)
    assert '"mcpServers"' in first
    assert re.search(r"\d+ responses, each once", first)
    assert re.search(r"Which conversations cost most\?\n +title +project +turns", first)
    home = StateDirectory(tmp_path / ".demo")
    assert not is_held(home.worker_lock), "the demo left a worker behind"

    with duckdb.connect(str(home.warehouse), read_only=True) as warehouse:
        events = warehouse.execute(
            "select activity, cast(_feature_json as varchar) from activities.events"
        ).fetchall()
        streamed = warehouse.execute(
            "select distinct activity, array_to_string(json_keys(feature_json), ' ') "
            "from activities.customer_stream where activity in "
            "(select activity from activities.activity_features)"
        ).fetchall()
    for activity, features in events:
        assert_declared(activity, orjson.loads(features))
    assert len(streamed) == len({activity for activity, _ in streamed}) > 10, "the same keys"

    second = demo(tmp_path)
    assert "nothing came in twice" in second
    assert "get_context answers: 1 verified insights" in second
    assert "get_context knows it as a verified fact: questions asked in 7 days = 6." in second
    assert not is_held(home.worker_lock)
