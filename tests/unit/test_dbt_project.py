"""The manner of the dbt project: what is declared is used, what is used is declared and
documented.
"""

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
    """File, name and default of every `var(…)` and of `cdesk._as_var(…)`, which stands for it."""
    pattern = re.compile(r"(?:\b|_as_)var\('(cdesk__\w+)'(?:,\s*([^)]+?))?\)")
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
    """In a project that uses this one as a package dbt doesn't see what this one declares,
    so each use repeats it.
    """
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


# -- macros

MACRO = re.compile(r"\{%-?\s*(?:macro|test)\s+(\w+)\s*\(")


def defined() -> dict[str, list[str]]:
    """File → the macros that it defines, an engine's version of a macro of ours aside."""
    found = {
        file: MACRO.findall(text)
        for file, text in sources("*.sql").items()
        if file.startswith("macros/")
    }
    ours = {name for names in found.values() for name in names}
    return {
        file: [name for name in names if not _is_version(name, ours)]
        for file, names in found.items()
    }


def _is_version(name: str, ours: set[str]) -> bool:
    engine, _, of = name.partition("__")
    return engine in ("default", "duckdb", "snowflake") and of in ours


def test_a_file_holds_one_public_macro_and_bears_its_name() -> None:
    """Private helpers (a leading underscore) may stand beside the macro that they serve."""
    wrong = {
        file: names
        for file, names in defined().items()
        if not Path(file).stem.startswith("_as_")
        and (
            Path(file).stem not in names
            or [n for n in names if n[0] != "_" and n != Path(file).stem]
        )
    }
    assert wrong == {}


def test_a_folder_documents_its_macros_in_one_file_named_after_it() -> None:
    files = {file for file in sources("*.yml") if file.startswith("macros/")}
    folders = {
        Path(file).parent
        for file, names in defined().items()
        if any(not name.startswith("_") for name in names)
    }
    assert files == {f"{folder.as_posix()}/_{folder.name}__macros.yml" for folder in folders}


def test_every_documented_argument_has_a_type() -> None:
    untyped = [
        (entry["name"], argument["name"])
        for text in sources("*__macros.yml").values()
        for entry in yaml.safe_load(text)["macros"]
        for argument in entry.get("arguments", [])
        if not argument.get("type")
    ]
    assert untyped == []


def test_every_macro_is_called() -> None:
    """By the project, by dbt (its own, overridden), by a person, or by a project that uses
    this one.
    """
    texts = [_without_comments(text) for text in sources("*.sql").values()]
    texts += [text for file, text in sources("*.yml").items() if not file.startswith("macros/")]
    project = "\n".join([*texts, (ROOT / "dbt_project.yml").read_text(encoding="utf-8")])
    for_packages = (ROOT / "docs" / "relationships.md").read_text(encoding="utf-8")
    for_people = (ROOT / "docs" / "snowflake.md").read_text(encoding="utf-8")
    called = set(re.findall(r"\bcdesk\.(\w+)\(", project))
    called |= set(re.findall(r"- (\w+):", project))
    called |= set(re.findall(r"\bcdesk\.(\w+)\(", for_packages))
    called |= set(re.findall(r"`(\w+)[(`]", for_packages))
    called |= set(re.findall(r"run-operation (\w+)\b", for_people))
    strategies = re.findall(r"incremental_strategy='(\w+)'", project)
    called |= {f"get_incremental_{strategy}_sql" for strategy in strategies}
    unused = [
        name
        for names in defined().values()
        for name in names
        if name not in called
        and not name.startswith("snowflake__")
        and name not in ("generate_schema_name", "should_full_refresh")
    ]
    assert unused == []


# -- lines

WIDTH = 100
# SQL that goes to the account as it stands here, a few lines of it longer (a policy of another text
# is another policy, and applied anew), and what scripts/redaction_macros.py writes.
WIDER = (
    "macros/governance/apply_row_access.sql",
    "macros/governance/erase.sql",
    "macros/governance/setup_snowflake.sql",
    "macros/governance/unguarded.sql",
    "macros/redaction/redaction_passes.sql",
    "macros/redaction/redaction_python.sql",
)


def test_a_line_of_sql_has_at_most_100_columns() -> None:
    long = [
        f"{file}:{number}"
        for file, text in sources("*.sql").items()
        for number, line in enumerate(text.splitlines(), start=1)
        if len(line) > WIDTH and not file.startswith(WIDER) and "https://" not in line
    ]
    assert long == []


# -- views


def test_every_text_of_a_view_is_masked_unless_it_is_declared_safe() -> None:
    models = yaml.safe_load(
        (ROOT / "models" / "views" / "_views__models.yml").read_text(encoding="utf-8")
    )["models"]
    for model in models:
        texts = [
            column["name"]
            for column in model["columns"]
            if column.get("data_type", "varchar") == "varchar"
            and not column.get("config", {}).get("meta", {}).get("safe")
        ]
        sql = (ROOT / "models" / "views" / f"{model['name']}.sql").read_text(encoding="utf-8")
        call = re.search(r"cdesk\.mask_text_columns\(\s*'\w+',\s*\[([^\]]*)\]", sql)
        assert call, model["name"]
        assert re.findall(r"'(\w+)'", call[1]) == texts, model["name"]
        assert sql.rstrip().endswith("}}"), f"{model['name']}: nothing may follow the masking"
