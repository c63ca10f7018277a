"""The project is found, fingerprinted, and needs nothing of the person's own dbt set-up."""

from __future__ import annotations

import dataclasses
import os
import shutil
import tomllib
from pathlib import Path

import pytest

from cdesk.core.config import Settings
from cdesk.core.errors import ConfigurationError
from cdesk.core.home import StateDirectory
from cdesk_app.worker.dbt import project as module
from cdesk_app.worker.dbt.project import (
    DbtProject,
    dbt_environment,
    locate_project,
    prepare_project,
)


@pytest.fixture
def settings(state_home: StateDirectory) -> Settings:
    return Settings(home=state_home.root, customer="ada@example.com")


@pytest.fixture
def small(tmp_path: Path, settings: Settings, state_home: StateDirectory) -> DbtProject:
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: small\n", encoding="utf-8")
    (folder / "profiles.yml").write_text("small: {}\n", encoding="utf-8")
    (folder / "models" / "a.sql").write_text("select 1\n", encoding="utf-8")
    return prepare_project(folder, folder / "profiles.yml", settings, state_home)


def test_this_checkout_or_wheel_holds_the_project(
    settings: Settings, state_home: StateDirectory
) -> None:
    project = locate_project(settings, state_home)
    assert (project.project_dir / "dbt_project.yml").is_file()
    assert (project.profiles_dir / "profiles.yml").is_file()
    for folder in (project.profiles_dir, project.target_dir, project.log_dir):
        assert folder.is_relative_to(state_home.root)


def test_the_wheel_carries_every_part_of_the_project() -> None:
    pyproject = module._CHECKOUT / "pyproject.toml"
    if not pyproject.is_file():
        pytest.skip("this is an installation, not a checkout")
    data = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    carried = data["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for name in (*module._FILES, *module._FOLDERS):
        if (module._CHECKOUT / name).exists():
            assert carried.get(name) == f"cdesk_app/worker/dbt/_dbt/{name}"
    assert carried["profiles.example.yml"] == "cdesk_app/worker/dbt/_dbt/profiles.yml"


def test_the_packaged_project_goes_before_a_checkout_around_it(
    tmp_path: Path, settings: Settings, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = tmp_path / "_dbt"
    packaged.mkdir()
    for name in ("dbt_project.yml", "profiles.yml"):
        (packaged / name).write_text("{}\n", encoding="utf-8")
    monkeypatch.setattr(module, "_PACKAGED", packaged)
    assert locate_project(settings, state_home).project_dir == packaged


def test_an_installation_without_a_project_says_what_to_do(
    tmp_path: Path, settings: Settings, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PACKAGED", tmp_path / "none")
    monkeypatch.setattr(module, "_CHECKOUT", tmp_path / "none")
    with pytest.raises(ConfigurationError, match="install cdesk again"):
        locate_project(settings, state_home)


def test_the_fingerprint_moves_with_any_file_of_the_project_and_with_nothing_else(
    small: DbtProject,
) -> None:
    first = small.fingerprint()
    assert small.fingerprint() == first
    small.target_dir.joinpath("manifest.json").write_text("{}", encoding="utf-8")
    small.project_dir.joinpath("README.md").write_text("x", encoding="utf-8")
    model = small.project_dir / "models" / "a.sql"
    os.utime(model, ns=(1, 1))
    assert small.fingerprint() == first, "a new time alone is no change"
    model.write_text("select 2\n", encoding="utf-8")
    second = small.fingerprint()
    assert second != first
    model.rename(model.with_name("b.sql"))
    third = small.fingerprint()
    assert third not in (first, second)
    (small.project_dir / "selectors.yml").write_text("selectors: []\n", encoding="utf-8")
    assert small.fingerprint() not in (first, second, third)


def test_the_fingerprint_moves_with_the_time_zone_that_days_go_by(small: DbtProject) -> None:
    there = dataclasses.replace(small, timezone="Asia/Tokyo")
    assert len({small.fingerprint(), there.fingerprint()}) == 2
    assert dbt_environment({"CDESK_TIMEZONE": "x"}, timezone="Asia/Tokyo")["CDESK_TIMEZONE"] == (
        "Asia/Tokyo"
    )


def test_the_fingerprint_of_a_copy_is_the_same(small: DbtProject, tmp_path: Path) -> None:
    project_dir, home = tmp_path / "elsewhere", StateDirectory(tmp_path / "moved").ensure()
    shutil.copytree(small.project_dir, project_dir, copy_function=shutil.copyfile)
    settings = Settings(home=home.root, customer="ada")
    copy = prepare_project(project_dir, project_dir / "profiles.yml", settings, home)
    assert copy.fingerprint() == small.fingerprint()


def test_a_new_profile_replaces_the_copy(
    small: DbtProject, settings: Settings, state_home: StateDirectory
) -> None:
    profile = small.project_dir / "profiles.yml"
    profile.write_text("small: {target: other}\n", encoding="utf-8")
    again = prepare_project(small.project_dir, profile, settings, state_home)
    assert (again.profiles_dir / "profiles.yml").read_text(
        encoding="utf-8"
    ) == "small: {target: other}\n"


def test_the_options_name_every_place_and_switch_the_network_off(small: DbtProject) -> None:
    options = small.options()
    for path in (small.project_dir, small.profiles_dir, small.target_dir, small.log_dir):
        assert str(path) in options
    assert "--no-send-anonymous-usage-stats" in options
    assert "--no-version-check" in options


def test_dbts_own_variables_are_kept_out_of_the_child() -> None:
    given = {
        "DBT_TARGET_PATH": "x",
        "dbt_profiles_dir": "y",
        "SNOWFLAKE_USER": "u",
        "CDESK_HOME": "old",
    }
    environ = dbt_environment(given)
    assert environ["SNOWFLAKE_USER"] == "u"
    assert environ["CDESK_HOME"] == "."
    assert {name for name in environ if name.upper().startswith("DBT_")} == {
        "DBT_SEND_ANONYMOUS_USAGE_STATS"
    }
