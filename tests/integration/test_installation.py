"""The wheel, and what each extra of it brings: tried in virtual environments that hold nothing
else.

A virtual environment is filled from the distributions of the running one, by the requirements that
the wheel and its dependencies declare, so nothing is downloaded and nothing undeclared is there.
"""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
import tomllib
import urllib.error
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cdesk_app.cli.extras import EXTRAS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cdesk", "mcp_shim", "uploader", "cdesk_app")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built once."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*command, "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)],
        check=True,
        timeout=120,
    )
    (built,) = folder.glob("*.whl")
    return built


def closure(requirements: list[str], extras: frozenset[str] = frozenset()) -> set[str]:
    """Names of all distributions that `requirements` pull in, as installed beside this process."""
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = [(Requirement(text), extras) for text in requirements]
    while waiting:
        requirement, asked = waiting.pop()
        if requirement.marker and not any(
            requirement.marker.evaluate({"extra": extra}) for extra in asked or {""}
        ):
            continue
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in found:
            continue
        found.add(key)
        inner = frozenset(requirement.extras) | {""}
        waiting += [
            (Requirement(text), inner) for text in distribution(requirement.name).requires or []
        ]
    return {name for name, _ in found}


def environment(folder: Path, wheel: Path, extra: str | None) -> Path:
    """A virtual environment with the wheel, its dependencies and those of `extra`; its Python."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    paths = sysconfig.get_paths("venv", {"base": str(folder), "platbase": str(folder)})
    site = Path(paths["purelib"])
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        lines = archive.read(metadata).decode("utf-8").splitlines()
    declared = [
        line.partition(":")[2].strip() for line in lines if line.startswith("Requires-Dist:")
    ]
    for name in closure(declared, frozenset({extra} if extra else {""})):
        link(name, site)
    return Path(paths["scripts"]) / ("python.exe" if os.name == "nt" else "python")


def link(name: str, site: Path) -> None:
    """Put the files of an installed distribution into `site`, without copying their bytes; compiled
    ones too, which stand for as long as their source has its time and size.
    """
    for file in distribution(name).files or []:
        source = Path(str(file.locate()))
        if ".." in file.parts or not source.is_file():
            continue
        target = site / Path(*file.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.symlink_to(source)


def cdesk(
    python: Path, home: Path, *words: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """`cdesk` with `words` in an environment of its own, away from this checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    home.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [str(python), "-m", "cdesk_app.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=home,
        env=kept | {"CDESK_HOME": str(home / "state"), "CDESK_WORKER": "off"} | settings,
    )


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with the wheel and no extra."""
    return environment(tmp_path_factory.mktemp("base") / "venv", wheel, None)


def test_the_wheel_holds_four_packages_and_nothing_else_at_its_top_level(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        top = {name.partition("/")[0] for name in archive.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == set(PACKAGES)


@pytest.mark.parametrize("command", ["status", "doctor", "context", "templates"])
def test_the_base_installation_answers_or_says_in_one_line_what_is_missing(
    base: Path, tmp_path: Path, command: str
) -> None:
    ran = cdesk(base, tmp_path, command)
    assert "Traceback" not in ran.stderr
    assert "ModuleNotFoundError" not in ran.stderr
    if command in ("status", "context"):
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout


@pytest.mark.parametrize(
    "words",
    [("import", "x.ndjson"), ("worker", "--once"), ("refresh",), ("quarantine", "list")],
    ids=lambda words: words[0],
)
def test_what_the_base_installation_cannot_do_names_the_extra(
    base: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "x.ndjson").write_text("{}\n", encoding="utf-8")
    ran = cdesk(base, tmp_path, *words)
    assert ran.returncode == 1
    assert "pip install 'cdesk[worker]'" in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
    on_snowflake = cdesk(base, tmp_path, *words, CDESK_TARGET="snowflake")
    assert "pip install 'cdesk[snowflake]'" in on_snowflake.stderr


def test_serving_http_needs_its_extra(base: Path, tmp_path: Path) -> None:
    ran = cdesk(base, tmp_path, "mcp", "--http")
    assert ran.returncode == 1
    assert "pip install 'cdesk[http]'" in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1


def test_the_http_extra_alone_serves_a_caller_with_a_token(wheel: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "venv", wheel, "http")
    made = cdesk(python, tmp_path, "token", "add", "ada@example.com", "--json")
    (token,) = json.loads(made.stdout)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with subprocess.Popen(
        [str(python), "-m", "cdesk_app.cli", "mcp", "--http", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=kept | {"CDESK_HOME": str(tmp_path / "state"), "CDESK_WORKER": "off"},
    ) as process:
        assert process.stderr is not None
        try:
            listening = json.loads(process.stderr.readline())
            ping = urllib.request.Request(
                listening["url"],
                data=b'{"jsonrpc":"2.0","id":1,"method":"ping"}',
                headers={
                    "Authorization": f"Bearer {token['token']}",
                    "Content-Type": "application/json",
                    "Accept": "application/json, text/event-stream",
                },
            )
            until = time.monotonic() + 60
            while True:
                try:
                    with urllib.request.urlopen(ping, timeout=30) as answer:
                        assert json.loads(answer.read())["result"] == {}
                    break
                except urllib.error.HTTPError:
                    raise
                except urllib.error.URLError:  # bound, but does not listen yet
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.1)
        finally:
            process.terminate()


def test_the_worker_extra_alone_builds_and_answers(wheel: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "venv", wheel, "worker")
    ran = cdesk(python, tmp_path, "worker", "--once", "--json")
    assert ran.returncode == 0, ran.stderr
    asked = cdesk(python, tmp_path, "query", "activity_counts", "--format", "json")
    assert asked.returncode == 0, asked.stderr


def test_the_render_extra_alone_serves_cards(wheel: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "venv", wheel, "render")
    ran = cdesk(
        python,
        tmp_path,
        "dashboard",
        CDESK_RENDER="auto",
        CDESK_RENDER_URL="http://127.0.0.1:18377",
    )
    assert ran.returncode == 0, ran.stderr
    try:
        cookies = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with cookies.open(ran.stdout.strip(), timeout=30) as page:
            assert page.status == 200
            assert b"Nothing has happened yet" in page.read()
    finally:
        started = json.loads((tmp_path / "state" / "render.json").read_text(encoding="utf-8"))
        os.kill(started["pid"], signal.SIGTERM)


def test_the_snowflake_extra_alone_gets_as_far_as_the_connection(
    wheel: Path, tmp_path: Path
) -> None:
    python = environment(tmp_path / "venv", wheel, "snowflake")
    doctor = cdesk(python, tmp_path, "doctor", CDESK_TARGET="snowflake")
    (part,) = (line for line in doctor.stdout.splitlines() if "part snowflake" in line)
    assert part.split() == ["ok", "part", "snowflake", "installed"]
    ran = cdesk(python, tmp_path, "worker", "--once", CDESK_TARGET="snowflake")
    assert ran.returncode == 1
    assert "pip install" not in ran.stderr, ran.stderr
    assert "ModuleNotFoundError" not in ran.stderr


def third_party_imports() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module:
                    names = [node.module]
                else:
                    continue
                for name in names:
                    top = name.partition(".")[0]
                    if top not in PACKAGES and top not in sys.stdlib_module_names:
                        yield top, path


def test_every_module_of_others_that_is_imported_belongs_to_the_base_or_to_a_known_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    for name in list(base):
        try:
            base |= closure([name])
        except PackageNotFoundError:  # pragma: no cover - a dependency of another platform
            continue
    known = {name.replace("-", "_") for name in base}
    known |= {module.partition(".")[0] for modules in EXTRAS.values() for module in modules}
    assert {top for top, _ in third_party_imports()} <= known
    assert set(EXTRAS) <= set(project["optional-dependencies"])
