"""What an installation brings is taken where it fits, and where nothing is yet."""

from __future__ import annotations

from dataclasses import replace
from importlib import metadata
from pathlib import Path

import orjson
import pytest

from cdesk_app.worker.dbt.prebuilt import ABOUT, PARSED, Prebuilt, find_prebuilt, made_by
from cdesk_app.worker.dbt.project import DbtProject


@pytest.fixture
def project(tmp_path: Path) -> DbtProject:
    for name in ("target", "brought"):
        (tmp_path / name).mkdir()
    (tmp_path / "profiles.yml").write_text("-", encoding="utf-8")
    return DbtProject(
        home_dir=tmp_path,
        project_dir=tmp_path,
        profiles_dir=tmp_path,
        target_dir=tmp_path / "target",
        log_dir=tmp_path,
        target="duckdb",
    )


@pytest.fixture
def folder(project: DbtProject) -> Path:
    folder = project.home_dir / "brought"
    about = {"project": project.fingerprint(), "made_by": dict(made_by())}
    (folder / ABOUT).write_bytes(orjson.dumps(about))
    (folder / "catalog.json").write_text('{"templates": {}}', encoding="utf-8")
    for name in ("warehouse.duckdb", *PARSED):
        (folder / name).write_text(f"of {name}", encoding="utf-8")
    return folder


def test_it_fits_its_project_whatever_days_that_goes_by(project: DbtProject, folder: Path) -> None:
    for one in (project, replace(project, timezone="Asia/Tokyo")):
        assert find_prebuilt(one, folder) == Prebuilt(folder, one)
    found = Prebuilt(folder, project)
    assert found.catalog() == {"templates": {}}


def test_it_fits_no_other_project_engine_or_version(
    project: DbtProject, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_prebuilt(replace(project, target="snowflake"), folder) is None
    with monkeypatch.context() as patch:
        patch.setattr(metadata, "version", lambda _: "0")
        assert find_prebuilt(project, folder) is None
    (project.profiles_dir / "profiles.yml").write_text("another", encoding="utf-8")
    assert find_prebuilt(project, folder) is None
    (folder / ABOUT).write_text("{", encoding="utf-8")
    assert find_prebuilt(project, folder) is None
    assert find_prebuilt(project, folder / "nowhere") is None


def test_the_versions_are_of_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "dbt-core":
            raise metadata.PackageNotFoundError
        return f"{name} 1"

    monkeypatch.setattr(metadata, "version", version)
    assert dict(made_by()) == {"dbt-duckdb": "dbt-duckdb 1", "duckdb": "duckdb 1"}


def test_the_warehouse_is_taken_where_none_is_and_days_are_of_utc(
    project: DbtProject, folder: Path
) -> None:
    path = project.home_dir / "warehouse.duckdb"
    assert Prebuilt(folder, replace(project, timezone="Asia/Tokyo")).take_warehouse(path) is False
    assert not path.exists()
    assert Prebuilt(folder, project).take_warehouse(path) is True
    assert path.read_text(encoding="utf-8") == "of warehouse.duckdb"
    path.write_text("mine", encoding="utf-8")
    assert Prebuilt(folder, project).take_warehouse(path) is False
    assert path.read_text(encoding="utf-8") == "mine"
    path.unlink()
    (folder / "warehouse.duckdb").unlink()
    assert Prebuilt(folder, project).take_warehouse(path) is False
    assert not path.exists()


def test_a_parse_is_taken_whole_and_where_there_is_none(project: DbtProject, folder: Path) -> None:
    target = project.target_dir
    assert Prebuilt(folder, replace(project, timezone="Asia/Tokyo")).take_parsed() is False
    assert [*target.iterdir()] == []
    assert Prebuilt(folder, project).take_parsed() is True
    assert {path.name: path.read_text(encoding="utf-8") for path in target.iterdir()} == {
        name: f"of {name}" for name in PARSED
    }
    for name in PARSED:
        (target / PARSED[0]).unlink()
        (target / PARSED[1]).unlink()
        (target / name).write_text("mine", encoding="utf-8")
        assert Prebuilt(folder, project).take_parsed() is False
        assert [path.read_text(encoding="utf-8") for path in target.iterdir()] == ["mine"]
        for other in PARSED:
            (target / other).touch()
