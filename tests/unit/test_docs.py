"""What exists is documented, what is documented exists, and nothing of one machine is in a tracked
file.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.__main__ import find
from cdesk.contract.records import FIELDS
from cdesk.core.config import HTTP_SETTINGS, OPS_SETTINGS, SETTINGS
from cdesk_app.cli.main import COMMANDS
from cdesk_app.worker.dbt import project
from mcp_shim.tools import TOOLS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROSE = sorted(
    path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if path.is_file()
)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def sql_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.sql"))


@cache
def described(section: str) -> dict[str, dict[str, Any]]:
    """Name → entry of every `section` (models, macros, analyses, seeds) in the project's
    YAML files.
    """
    found: dict[str, dict[str, Any]] = {}
    for folder in ("models", "macros", "analyses", "seeds"):
        for path in sorted((ROOT / folder).rglob("*.yml")):
            entries = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get(section) or []
            found.update({entry["name"]: entry for entry in entries})
    return found


# -- the command and the server


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_stands_in_the_readme(name: str) -> None:
    assert re.search(rf"`cdesk {name}\b", README)


@pytest.mark.parametrize("name", [*SETTINGS, *HTTP_SETTINGS, *OPS_SETTINGS])
def test_every_setting_stands_in_the_readme(name: str) -> None:
    assert f"`CDESK_{name.upper()}`" in README


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_is_explained(name: str) -> None:
    assert f"`{name}`" in text_of("docs/claude_desktop.md")


@pytest.mark.parametrize("name", find())
def test_every_benchmark_is_named_and_says_what_it_measures(name: str) -> None:
    assert find()[name]
    assert any(f"python -m bench {name}" in path.read_text(encoding="utf-8") for path in PROSE)


@pytest.mark.parametrize("kind", FIELDS)
def test_every_field_of_a_record_stands_in_the_contract(kind: str) -> None:
    contract = text_of("docs/contracts.md")
    assert [name for name in FIELDS[kind] if f"`{name}`" not in contract] == []


def test_every_make_target_in_the_prose_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    for path in PROSE:
        named = set(re.findall(r"`make (?:-\S+ )*([a-z][a-z-]*)", path.read_text(encoding="utf-8")))
        assert named <= targets, path.name


# -- the dbt project


def macros() -> Iterator[tuple[str, list[str], str]]:
    """Name, arguments and file of every public macro: no private helper, no engine's version of
    another.
    """
    pattern = re.compile(r"\{%-?\s*macro\s+(\w+)\s*\((.*?)\)\s*-?%\}", re.DOTALL)
    for path in sql_files("macros"):
        for name, arguments in pattern.findall(path.read_text(encoding="utf-8")):
            if not name.startswith(("_", "default__", "duckdb__", "snowflake__")):
                names = [part.partition("=")[0].strip() for part in _split(arguments)]
                yield name, [part for part in names if part], path.relative_to(ROOT).as_posix()


def _split(arguments: str) -> list[str]:
    """The arguments of a macro; a comma within brackets or quotes ends none."""
    parts, depth, quote = [""], 0, ""
    for character in arguments:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append("")
            continue
        parts[-1] += character
    return parts


def test_every_macro_and_each_of_its_arguments_is_documented() -> None:
    problems = []
    for name, arguments, file in macros():
        entry = described("macros").get(name, {})
        texts = {
            argument["name"]: argument.get("description")
            for argument in entry.get("arguments") or []
        }
        if not (entry.get("description") or "").strip():
            problems.append(f"{file}: {name} has no description")
        elif list(texts) != arguments:
            problems.append(f"{file}: {name} takes {arguments}, documented are {list(texts)}")
        else:
            problems += [
                f"{file}: {name}.{argument} has no description"
                for argument in arguments
                if not texts[argument]
            ]
    assert problems == []


def test_no_macro_is_documented_that_does_not_exist() -> None:
    everything = {
        name
        for path in sql_files("macros")
        for name in re.findall(r"macro\s+(\w+)\s*\(", path.read_text("utf-8"))
    }
    assert set(described("macros")) <= everything


def test_every_template_and_each_of_its_parameters_is_documented() -> None:
    problems = []
    for path in sql_files("analyses/safesql"):
        entry = described("analyses").get(path.stem, {})
        meta = (entry.get("config") or {}).get("meta") or {}
        if not (entry.get("description") or "").strip():
            problems.append(f"{path.stem} has no description")
        if meta.get("scope") not in ("customer", "caller", "org"):
            problems.append(f"{path.stem} has no scope")
        problems += [
            f"{path.stem}.{parameter['name']} has no description"
            for parameter in meta.get("parameters") or []
            if not parameter.get("description")
        ]
    assert problems == []


def test_every_model_states_its_grain() -> None:
    texts = {
        path.stem: (described("models").get(path.stem) or {}).get("description", "")
        for path in sql_files("models")
    }
    assert [name for name, text in texts.items() if "one row per" not in text.lower()] == []


# -- the prose


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_to_a_file_leads_to_one(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    gone = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert gone == []


def test_every_page_is_listed_in_the_index() -> None:
    index = text_of("docs/README.md")
    pages = [path for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"]
    assert [path.name for path in pages if f"({path.name})" not in index] == []


# -- what git tracks

FORBIDDEN = {
    "a path of one machine": r"(^|[^\w./-])/(work|farm|root)/\w",
    "a registry's host": r"(pypi|pythonhosted|npmjs|registry\.npm|deb\.debian)\.(org|com)",
    "unfinished work": r"\b(TO" + r"DO|FIX" + r"ME)\b|(#|--|//) *XXX\b",
}


def tracked() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    run = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return [ROOT / name for name in run.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_holds(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = []
    for path in tracked():
        raw = path.read_bytes()
        if b"\0" in raw or path == Path(__file__).resolve():
            continue
        for number, line in enumerate(raw.decode("utf-8").splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_nothing_generated_is_tracked() -> None:
    folders = {
        "target",
        "logs",
        "dist",
        "build",
        "dbt_packages",
        "node_modules",
        "__pycache__",
        ".venv",
        ".demo",
    }
    endings = {".whl", ".pyc", ".duckdb", ".db", ".parquet", ".egg-info"}
    found = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if folders & set(path.relative_to(ROOT).parts) or path.suffix in endings
    ]
    assert found == []


def test_the_lock_names_exact_versions_and_no_urls() -> None:
    lines = [
        line
        for line in text_of("requirements.lock").splitlines()
        if line and not line.startswith("#")
    ]
    assert [
        line
        for line in lines
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*==[\w.+!-]+( ; [\w\s.!=\"]+)?", line)
    ] == []
    assert lines == sorted(lines, key=lambda line: line.partition("==")[0])


def test_the_wheel_carries_the_whole_dbt_project() -> None:
    """A folder that is empty in a clone is not there, and the wheel, an editable one too, cannot be
    made.
    """
    pyproject = tomllib.loads(text_of("pyproject.toml"))
    carried = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    files = [path.relative_to(ROOT).as_posix() for path in tracked()]
    assert [
        name
        for name in carried
        if not any(file == name or file.startswith(f"{name}/") for file in files)
    ] == []
    parts = {
        name
        for name in (*project._FILES, *project._FOLDERS)
        if (ROOT / name).exists() and name in _tops(files)
    }
    assert parts <= set(carried)


def _tops(files: list[str]) -> set[str]:
    """Every tracked file and every folder that holds one."""
    return {*files, *(parent.as_posix() for file in files for parent in Path(file).parents)}
