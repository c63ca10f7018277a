"""A first round on an empty directory with what an installation brings: no dbt, and nothing differs
from a round that builds everything.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import threading
from pathlib import Path

import duckdb
import orjson
import pytest
from landing_table import event

from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.core.identity import Caller
from cdesk.query.direct import run_now
from cdesk.queue.writer import QueueWriter
from cdesk_app.worker.dbt.build import Builder
from cdesk_app.worker.dbt.prebuilt import ABOUT, PARSED, find_prebuilt
from cdesk_app.worker.dbt.project import DbtProject, locate_project
from cdesk_app.worker.main import run_once
from cdesk_app.worker.pipeline import open_pipeline
from cdesk_app.worker.schedule import DEBOUNCE_SECONDS
from tests.prebuilt_files import make_prebuilt

ADA = "ada@example.com"


def settings_of(root: Path, timezone: str = "UTC") -> Settings:
    return Settings(
        home=root, customer=ADA, worker="off", environ=dict(os.environ), timezone=timezone
    )


def project_of(root: Path, timezone: str = "UTC") -> DbtProject:
    settings = settings_of(root, timezone)
    return locate_project(settings, StateDirectory(root).ensure())


@pytest.fixture(scope="module")
def brought(first_round: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What scripts/prebuilt.py makes, of a first round that has been."""
    folder = tmp_path_factory.mktemp("prebuilt")
    make_prebuilt(folder, first_round, project_of(folder / "home"))
    return folder


@pytest.fixture
def installed(brought: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "cdesk_app.worker.pipeline.find_prebuilt", functools.partial(find_prebuilt, folder=brought)
    )


@pytest.mark.usefixtures("installed")
def test_a_first_round_runs_no_dbt_and_the_next_builds_what_landed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path / "home")
    asked: list[str] = []
    whole = Builder._ask

    def ask(self: Builder, argv: list[str], *rest: object) -> dict[str, object]:
        asked.append(argv[0])
        return whole(self, argv, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Builder, "_ask", ask)
    report = run_once(settings)
    home = StateDirectory(settings.home)
    assert (report.builds, report.failed_tests, asked) == (0, (), [])
    assert report.templates
    assert home.context_db.exists()
    if os.name != "nt":
        assert home.warehouse.stat().st_mode & 0o777 == 0o600
    assert run_now(settings, "activity_counts", {}, Caller(ADA, frozenset()))["row_count"] == 0

    writer = QueueWriter(home.queue)
    _, line = event(customer=ADA)
    writer.append(line)
    writer.close()
    report = run_once(settings)
    assert report.builds == 1
    assert asked == ["build"], "neither seeds nor views nor templates again"
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        found = connection.execute(
            "select activity, customer from activities.events where customer = ?", [ADA]
        ).fetchall()
    assert ("cdesk.user_asked", ADA) in found


@pytest.mark.usefixtures("installed")
def test_what_lands_first_is_built_without_a_gap(tmp_path: Path) -> None:
    """By the worker that took the prebuilt files, and by one that is started after it."""
    settings = settings_of(tmp_path / "home")
    home = StateDirectory(settings.home).ensure()
    for _ in range(2):
        with contextlib.closing(open_pipeline(settings, home, stop=threading.Event())) as pipeline:
            pipeline.resume()
            pipeline.schedule.landed(1, insights=False)
            due = pipeline.schedule.due_in()
        assert due is not None
        assert due <= DEBOUNCE_SECONDS


def test_what_is_of_another_project_or_version_is_not_taken(brought: Path, tmp_path: Path) -> None:
    project = project_of(tmp_path / "home")
    assert find_prebuilt(project, brought) is not None
    other = tmp_path / "other"
    shutil.copytree(brought, other)
    about = orjson.loads((other / ABOUT).read_bytes())
    for changed in (
        {**about, "project": "0" * 16},
        {**about, "made_by": {**about["made_by"], "duckdb": "1.0.0"}},
        [],
    ):
        (other / ABOUT).write_bytes(orjson.dumps(changed))
        assert find_prebuilt(project, other) is None
    (other / ABOUT).write_bytes(b"{")
    assert find_prebuilt(project, other) is None
    assert find_prebuilt(project, tmp_path / "nothing") is None


def test_days_of_another_time_zone_are_built_here(brought: Path, tmp_path: Path) -> None:
    """The views on metrics go by the zone: the catalog alone is taken."""
    project = project_of(tmp_path / "home", "Europe/Berlin")
    prebuilt = find_prebuilt(project, brought)
    assert prebuilt is not None
    assert prebuilt.catalog()["templates"]
    assert not prebuilt.take_warehouse(tmp_path / "warehouse.duckdb")
    assert not prebuilt.take_parsed()


def test_nothing_that_is_there_is_replaced(brought: Path, tmp_path: Path) -> None:
    project = project_of(tmp_path / "home")
    prebuilt = find_prebuilt(project, brought)
    assert prebuilt is not None
    own = tmp_path / "warehouse.duckdb"
    own.write_bytes(b"own")
    (project.target_dir / PARSED[0]).write_bytes(b"own")
    assert not prebuilt.take_warehouse(own)
    assert not prebuilt.take_parsed()
    assert own.read_bytes() == (project.target_dir / PARSED[0]).read_bytes() == b"own"
