"""The manner of the dbt project: what is declared is used, what is used is declared and documented."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DBT = ("models", "macros", "analyses", "tests/data")


def sources(*patterns: str) -> dict[str, str]:
    """Path from the root → text of every file of the dbt project that matches."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for folder in DBT
        for pattern in patterns
        for path in sorted((ROOT / folder).rglob(pattern))
    }


# -- vars


def declared() -> dict[str, Any]:
    project: dict[str, Any] = yaml.safe_load((ROOT / "dbt_project.yml").read_text(encoding="utf-8"))
    variables: dict[str, Any] = project["vars"]
    return variables


def calls() -> list[tuple[str, str, str | None]]:
    """File, name and default of every `var(…)`."""
    pattern = re.compile(r"\bvar\('(\w+)'(?:,\s*([^)]+?))?\)")
    return [
        (file, name, default or None)
        for file, text in sources("*.sql", "*.yml").items()
        for name, default in pattern.findall(_without_comments(text))
    ]


def _without_comments(text: str) -> str:
    return re.sub(r"\{#.*?#\}", "", text, flags=re.DOTALL)


def test_every_var_that_is_read_is_declared_and_every_declared_one_is_read() -> None:
    assert {name for _, name, _ in calls()} == set(declared())


def test_every_var_bears_the_prefix_of_the_project() -> None:
    assert [name for name in declared() if not name.startswith("cdesk__")] == []


def test_a_default_beside_a_use_is_the_declared_one() -> None:
    """In a project that uses this one as a package dbt doesn't see what this one declares, so each use repeats it."""
    literals = {"none": "null", "true": "true", "false": "false"}
    wrong = [
        (file, name, default)
        for file, name, default in calls()
        if default is None or yaml.safe_load(literals.get(default, default)) != declared()[name]
    ]
    assert wrong == []


def test_the_page_of_vars_lists_each_with_its_default() -> None:
    page = (ROOT / "docs" / "dbt_vars.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| \S", page, re.MULTILINE)
    assert {name: yaml.safe_load(default) for name, default in rows} == declared()
    assert [name for name, _ in rows] == sorted(declared())


def test_no_page_names_a_var_that_does_not_exist() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    named = {
        (path.name, name)
        for path in pages
        for name in re.findall(r"\bcdesk__\w+", path.read_text(encoding="utf-8"))
    }
    assert {(page, name) for page, name in named if name not in declared()} == set()
