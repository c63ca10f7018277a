"""What `snow dbt deploy` checks before it takes a project (the CLI's own rules, restated)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
REQUIRED = {"account", "database", "role", "schema", "type", "user", "warehouse"}


def problems(profiles: dict[str, dict[str, object]], wanted: str) -> list[str]:
    """https://github.com/snowflakedb/snowflake-cli, _plugins/dbt/manager.py"""
    found = [f"unnecessary profile {name}" for name in profiles if name != wanted]
    outputs = profiles[wanted]["outputs"]
    assert isinstance(outputs, dict)
    for name, target in outputs.items():
        found += [f"{name} lacks {field}" for field in REQUIRED - set(target)]
        found += [f"{name} has {field}" for field in set(target) - REQUIRED - {"threads"}]
        if target.get("type") != "snowflake":
            found.append(f"{name} is no Snowflake target")
    if profiles[wanted]["target"] not in outputs:
        found.append("the default target is none of them")
    return found


def test_the_project_folder_is_one_that_the_command_takes(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts/snowflake_project.py"), str(folder)],
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
    profiles = yaml.safe_load((folder / "profiles.yml").read_text(encoding="utf-8"))
    assert problems(profiles, "cdesk") == []
    assert not [path for path in folder.rglob("*") if path.name in (".venv", ".git", "target")]
    for model in ROOT.glob("models/**/*.sql"):
        assert (folder / model.relative_to(ROOT)).read_bytes() == model.read_bytes()
    command = done.stdout.strip()
    assert "--default-target snowflake" in command
    assert f"--source {folder}" in command


def made(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts/snowflake_project.py"), str(folder), *options],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_names_of_the_accounts_own_go_into_profile_command_and_the_projects_vars(
    tmp_path: Path,
) -> None:
    """Its tasks run it without vars: what it isn't told here it takes for CDESK's."""
    own = (
        "{cdesk__snowflake_names: {transformer: claude_build_role, build_warehouse: COMPUTE_WH, "
        "reader: CLAUDE_DESKTOP_ROLE}, cdesk__snowflake_prefix: CLAUDE}"
    )
    done = made(tmp_path, "--vars", own)
    assert "--role CLAUDE_BUILD_ROLE" in done.stdout
    profiles = yaml.safe_load((tmp_path / "profiles.yml").read_text(encoding="utf-8"))
    target = profiles["cdesk"]["outputs"]["snowflake"]
    assert (target["role"], target["warehouse"]) == ("CLAUDE_BUILD_ROLE", "COMPUTE_WH")
    told = yaml.safe_load((tmp_path / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]
    assert {f"{name}: {value}" for name, value in told["cdesk__snowflake_names"].items()} == {
        "transformer: claude_build_role",
        "build_warehouse: COMPUTE_WH",
        "reader: CLAUDE_DESKTOP_ROLE",
    }
    assert told["cdesk__snowflake_prefix"] == "CLAUDE"
    done = made(tmp_path, "--prefix", "OTHER")
    assert "--role OTHER_TRANSFORMER" in done.stdout
    told = yaml.safe_load((tmp_path / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]
    assert (told["cdesk__snowflake_prefix"], told["cdesk__snowflake_names"]) == ("OTHER", {})


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ("{cdesk__snowflake_names: {reeder: A}}", "reeder; allowed: account_monitor"),
        ("{cdesk__snowflake_names: {reader: 'a; drop'}}", "a; drop is no name"),
        ("{cdesk__snowflake_names: [a]}", "cdesk__snowflake_names is no mapping"),
        ("[a]", "--vars is no mapping"),
        ("{", "--vars is no YAML"),
    ],
)
def test_a_name_that_is_none_is_refused(tmp_path: Path, own: str, says: str) -> None:
    done = made(tmp_path, "--vars", own)
    assert done.returncode == 2
    assert says in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_keys_are_those_of_the_macro() -> None:
    script = (ROOT / "scripts/snowflake_project.py").read_text(encoding="utf-8")
    macro = (ROOT / "macros/governance/_snowflake_names.sql").read_text(encoding="utf-8")
    account = macro.split("set account = {", 1)[1].split("}", 1)[0]
    keys = script.split("_KEYS = frozenset(", 1)[1].split('"""', 1)[0]
    assert set(re.findall(r'"(\w+)"', keys)) == set(re.findall(r"'(\w+)':", account))


def test_the_profile_of_the_repository_is_refused_by_those_rules() -> None:
    example = yaml.safe_load((ROOT / "profiles.example.yml").read_text(encoding="utf-8"))
    assert "duckdb is no Snowflake target" in problems(example, "cdesk")


def test_the_version_asked_for_is_one_that_the_project_allows() -> None:
    script = (ROOT / "scripts/snowflake_project.py").read_text(encoding="utf-8")
    version = re.search(r'DBT_VERSION = "(\d+)\.(\d+)\.\d+"', script)
    assert version is not None
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"dbt-core>={version[1]}.{version[2]},<1.12"' in pyproject
