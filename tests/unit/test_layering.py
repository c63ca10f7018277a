"""The table of folders in the design: who may import whom, read from the source of every module."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAY_IMPORT: dict[str, set[str]] = {
    "cdesk": set(),
    "mcp_shim": {"cdesk"},
    "warehouse": {"cdesk"},
    "uploader": {"cdesk", "warehouse"},
    "worker": {"cdesk", "warehouse", "uploader"},
    "renderer": {"cdesk"},
    "cli": {"cdesk", "mcp_shim", "warehouse", "uploader", "worker", "renderer"},
}
FROM_OUTSIDE: dict[str, set[str]] = {
    "cdesk": {"orjson", "platformdirs"},
    "mcp_shim": {
        "mcp",
        "mcp_types",
        "anyio",
        "pydantic",
        "orjson",
    },  # anyio and pydantic are what the SDK is made of
}
"""Packages of others that a folder may use at all; folders that are not named here may use what pyproject.toml names."""


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every top-level package that a file imports anywhere in it, and the line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield path.relative_to(ROOT).parts[0], node.lineno
            else:
                yield (node.module or "").partition(".")[0], node.lineno


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_what_the_design_allows(folder: str) -> None:
    allowed = MAY_IMPORT[folder] | {folder}
    found = modules(folder)
    assert found, f"{folder}/ holds no module"
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in found
        for name, line in imports(path)
        if name in MAY_IMPORT and name not in allowed
    ]
    assert broken == []


@pytest.mark.parametrize("folder", FROM_OUTSIDE)
def test_the_turn_path_and_the_ground_floor_use_few_packages_of_others(folder: str) -> None:
    allowed = FROM_OUTSIDE[folder] | MAY_IMPORT[folder] | {folder} | set(sys.stdlib_module_names)
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(folder)
        for name, line in imports(path)
        if name not in allowed
    ]
    assert broken == []


def test_no_module_imports_tests_or_benchmarks() -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for folder in MAY_IMPORT
        for path in modules(folder)
        for name, line in imports(path)
        if name in ("tests", "bench", "pytest", "hypothesis")
    ]
    assert broken == []


def test_nothing_but_config_and_the_top_of_a_process_reads_the_environment() -> None:
    """`os.environ` is handed to `load_settings` (or to a child process) where a process starts, and read nowhere else."""
    tops = {
        "cli/settings.py",
        "cli/mcp.py",
        "cli/doctor.py",
        "cli/demo.py",
        "mcp_shim/main.py",
        "worker/main.py",
    }
    broken = [
        f"{path.relative_to(ROOT).as_posix()}:{line}"
        for folder in MAY_IMPORT
        for path in modules(folder)
        if path.relative_to(ROOT).as_posix() not in tops
        for line in environment_reads(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert broken == []


def environment_reads(tree: ast.AST) -> Iterator[int]:
    """Lines that use `os.environ` or `os.getenv`, but for a bare `os.environ.setdefault(…)`: that tells a library something."""
    told = {
        id(node.value.func.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr == "setdefault"
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and node.attr in ("environ", "environb", "getenv")
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
            and id(node) not in told
        ):
            yield node.lineno


def test_starting_cdesk_imports_nothing_heavy() -> None:
    """`cdesk mcp` costs what `python -m mcp_shim` costs: the dispatcher itself brings in the standard library's lightest part only."""
    code = (
        "import sys; before = set(sys.modules); import cli.main; "
        "print(*sorted(name for name in set(sys.modules) - before))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    )
    loaded = set(run.stdout.split())
    heavy = {"argparse", "mcp", "orjson", "duckdb", "dbt", "tqdm", "asyncio", "cdesk.config", "cdesk.records"}
    assert "cli.main" in loaded
    assert not loaded & heavy


def test_starting_the_server_imports_no_warehouse() -> None:
    code = (
        "import sys, cli.main; cli.main.load('mcp'); cli.main.build_parser('mcp'); "
        "import mcp_shim.main, mcp_shim.server, mcp_shim.service, mcp_shim.journal, mcp_shim.stdio; "
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    )
    forbidden = {
        "dbt", "duckdb", "snowflake", "boto3", "pandas", "pyarrow", "numpy", "ijson", "tqdm",
        "warehouse", "uploader", "worker", "renderer",
    }  # fmt: skip
    assert not set(run.stdout.split()) & forbidden
