"""The table of folders in the design: who may import whom, read from the source of every module."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.imported import modules_after

ROOT = Path(__file__).resolve().parents[2]
ROOMS: dict[str, tuple[str, ...]] = {
    "cdesk": ("core", "contract", "state", "queue", "artifacts", "warehouse", "query"),
    "cdesk_app": ("worker", "render", "ops", "cli"),
}
"""The rooms of a package from the ground floor up: a room imports itself and those before it."""
SHIM_ROOMS: set[str] = {"core", "contract", "state", "queue"}
"""The part of `cdesk` that the turn path may use."""
MAY_IMPORT: dict[str, set[str]] = {
    "cdesk": set(),
    "mcp_shim": {"cdesk"},
    "uploader": {"cdesk"},
    "cdesk_app": {"cdesk", "mcp_shim", "uploader"},
}
FROM_OUTSIDE: dict[str, set[str]] = {
    **{f"cdesk/{room}": {"orjson", "platformdirs"} for room in sorted(SHIM_ROOMS)},
    # anyio and pydantic are what the SDK is made of
    "mcp_shim": {"mcp", "mcp_types", "anyio", "pydantic", "orjson"},
}
"""Packages of others that a folder may use at all; folders that are not named here may use what
pyproject.toml names.
"""
HTTP_MODULES = ("mcp_shim/http_main.py", "mcp_shim/transports/http")
HTTP_PACKAGES = {
    "starlette",
    "uvicorn",
    "httptools",
    "jwt",
    "prometheus_client",
    "cryptography",
}
"""What serves HTTP, and what it may use beside that; stdio imports none of it."""


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported_modules(path: Path) -> Iterator[tuple[str, int]]:
    """Every module, by its full name, that a file imports anywhere in it, and the line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno} imports relatively"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every top-level package that a file imports anywhere in it, and the line."""
    for name, line in imported_modules(path):
        yield name.partition(".")[0], line


def test_the_wheel_installs_the_packages_of_the_design_and_no_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == list(MAY_IMPORT)


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_imports_no_room_above_it(package: str) -> None:
    rooms = ROOMS[package]
    entries = [entry for entry in (ROOT / package).iterdir() if entry.name != "__pycache__"]
    assert {entry.name for entry in entries} <= {*rooms, "__init__.py"}
    broken = []
    for path in modules(package):
        parts = path.relative_to(ROOT / package).parts
        if parts[0] not in rooms:
            continue
        above = set(rooms[rooms.index(parts[0]) + 1 :])
        for name, line in imported_modules(path):
            words = name.split(".")
            if words[0] == package and len(words) > 1 and words[1] in above:
                broken.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert broken == []


def test_the_turn_path_uses_its_part_of_the_library_alone() -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules("mcp_shim")
        for name, line in imported_modules(path)
        if name.startswith("cdesk.") and name.split(".")[1] not in {*SHIM_ROOMS, "__version__"}
    ]
    assert broken == []


SHIM_ORDER = (
    "card_looks",
    "lazy_sdk",
    "sdk_verdicts",
    "worker_start",
    "state",
    "limits",
    "auth",
    "readers",
    "context",
    "app",
    "session",
    "session_pool",
    "result_pages",
    "tools",
    "prompts",
    "resources",
    "completion",
    "server",
    "transports",
    "main",
    "http_main",
    "__main__",
)
"""The modules of the turn path from the ground floor up."""


def test_a_module_of_the_turn_path_imports_none_above_it() -> None:
    """A process knows nothing of its callers, a caller nothing of the tools, a tool nothing of the
    protocol."""
    found = {path.stem for path in (ROOT / "mcp_shim").iterdir() if not path.stem.startswith("__p")}
    assert found == {*SHIM_ORDER, "__init__"}
    broken = []
    for path in modules("mcp_shim"):
        place = path.relative_to(ROOT / "mcp_shim").parts[0].removesuffix(".py")
        if place == "__init__":
            continue
        above = set(SHIM_ORDER[SHIM_ORDER.index(place) + 1 :])
        for name, line in imported_modules(path):
            words = name.split(".")
            if words[0] == "mcp_shim" and len(words) > 1 and words[1] in above:
                broken.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert broken == []


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
    allowed = FROM_OUTSIDE[folder] | {"cdesk", folder} | set(sys.stdlib_module_names)
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(folder)
        for name, line in imports(path)
        if name not in allowed | packages_of_http(path)
    ]
    assert broken == []


def packages_of_http(path: Path) -> set[str]:
    serves = path.relative_to(ROOT).as_posix().startswith(HTTP_MODULES)
    return HTTP_PACKAGES if serves else set()


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
    """`os.environ` is handed to `load_settings` (or to a child process) where a process starts, and
    read nowhere else.
    """
    tops = {
        "cdesk_app/cli/settings.py",
        "cdesk_app/cli/mcp.py",
        "cdesk_app/cli/doctor.py",
        "cdesk_app/cli/demo.py",
        "mcp_shim/main.py",
        "cdesk_app/worker/main.py",
        "cdesk_app/render/server.py",
        "cdesk_app/ops/launch_check.py",
        "cdesk_app/ops/runtime.py",
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
    """Lines that use `os.environ` or `os.getenv`, but for a bare `os.environ.setdefault(…)`: that
    tells a library something.
    """
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
    """`cdesk mcp` costs what `python -m mcp_shim` costs: the dispatcher itself brings in the
    standard library's lightest part only.
    """
    code = (
        "import sys; before = set(sys.modules); import cdesk_app.cli.main; "
        "print(*sorted(name for name in set(sys.modules) - before))"
    )
    loaded = modules_after(code)
    heavy = {
        "argparse",
        "mcp",
        "orjson",
        "duckdb",
        "dbt",
        "tqdm",
        "asyncio",
        "cdesk.core.config",
        "cdesk.contract.records",
    }
    assert "cdesk_app.cli.main" in loaded
    assert not loaded & heavy


def test_an_idle_worker_has_imported_only_what_landing_needs() -> None:
    """What questions, pictures, histories, backlogs and metrics need stays out until somebody asks
    for it: Arrow alone takes 30 MB, its functions and Parquet 20 more.
    """
    code = (
        "import sys, cdesk_app.cli.worker, cdesk_app.render.presentation, cdesk_app.worker.main; "
        "import cdesk.warehouse.duckdb; print(*sorted(sys.modules))"
    )
    loaded = modules_after(code)
    assert {"duckdb", "uploader.uploader"} <= loaded
    unwanted = {
        "numpy", "pyarrow", "asyncio", "http.server", "multiprocessing", "ssl",
        "babel", "boto3", "dbt", "ijson", "jinja2", "mcp_shim", "opentelemetry",
        "prometheus_client", "snowflake", "starlette", "tqdm", "vl_convert",
    }  # fmt: skip
    assert not loaded & unwanted


def test_starting_the_server_imports_no_warehouse() -> None:
    code = (
        "import sys, cdesk_app.cli.main; cdesk_app.cli.main.load('mcp'); "
        "cdesk_app.cli.main.build_parser('mcp'); "
        "import mcp_shim.main, mcp_shim.app, mcp_shim.session, mcp_shim.transports.stdio; "
        "print(*sorted(sys.modules))"
    )
    loaded = modules_after(code)
    forbidden = {
        "dbt", "duckdb", "snowflake", "boto3", "pandas", "pyarrow", "numpy", "ijson", "tqdm",
        "uploader",
    }  # fmt: skip
    assert not {name.partition(".")[0] for name in loaded} & forbidden
    rooms = ("cdesk.warehouse", "cdesk.query", "cdesk.artifacts", "cdesk_app.worker")
    assert not [name for name in loaded if name.startswith(rooms)]
