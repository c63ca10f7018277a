"""The wheel, and what each extra of it brings: tried in virtual environments that hold nothing
else.

A virtual environment is filled from the distributions of the running one, by the requirements that
the wheel and its dependencies declare, so nothing is downloaded and nothing undeclared is there.
"""

from __future__ import annotations

import ast
import asyncio
import functools
import json
import os
import secrets
import shutil
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
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, distribution, distributions
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any

import boto3
import pytest
from mcp import Client, StdioServerParameters
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cdesk import __version__
from cdesk.core.config import SETTINGS, Settings
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.core.runtime import Runtime, SetUp, moment, wanted_in
from cdesk_app.cli.extras import EXTRAS
from cdesk_app.worker.dbt.project import locate_project
from mcp_shim.tools import TOOLS
from tests.needs import need_program
from tests.prebuilt_files import make_prebuilt
from tests.s3_service import s3_service

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
        waiting += [(needed, inner) for needed in requirements_of(requirement.name)]
    return {name for name, _ in found}


@functools.cache
def requirements_of(name: str) -> tuple[Requirement, ...]:
    """What an installed distribution declares, of all extras."""
    return tuple(map(Requirement, distribution(name).requires or []))


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
    link(closure(declared, frozenset({extra} if extra else {""})), site)
    return Path(paths["scripts"]) / ("python.exe" if os.name == "nt" else "python")


@functools.cache
def owners() -> dict[PurePath, set[str]]:
    """Folder of the running installation → the distributions that have files in it."""
    found: dict[PurePath, set[str]] = {}
    for one in distributions():
        for folder in {parent for file in one.files or () for parent in file.parents}:
            found.setdefault(PurePath(folder), set()).add(canonicalize_name(one.name))
    return found


def link(names: set[str], site: Path) -> None:
    """Put the files of installed distributions into `site`, without copying their bytes; compiled
    ones too, which stand for as long as their source has its time and size. A folder in which no
    other distribution has anything is one link.
    """
    linked: set[PurePath] = set()
    for name in names:
        for file in distribution(name).files or ():
            if ".." in file.parts:
                continue
            _, *folders = (PurePath(one) for one in reversed(file.parents))
            place = next((one for one in folders if owners()[one] <= names), PurePath(file))
            source = Path(str(distribution(name).locate_file(place)))
            if place in linked or not source.exists():
                continue
            linked.add(place)
            target = site / place
            target.parent.mkdir(parents=True, exist_ok=True)
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


@pytest.fixture(scope="module")
def bundle(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the extension for Claude Desktop holds, as it is unpacked."""
    folder = tmp_path_factory.mktemp("bundle")
    make_bundle().lay_out(folder, wheel)
    return folder


def make_bundle() -> ModuleType:
    """scripts/bundle.py, which is no package's."""
    spec = spec_from_file_location("bundle", ROOT / "scripts" / "bundle.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def filled_in(bundle: Path, **given: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment of the manifest, as Claude Desktop fills them in; what has no value
    is left as it stands.
    """
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    config = manifest["server"]["mcp_config"]
    options = manifest["user_config"]
    values = {
        name: str(one.get("default", f"${{user_config.{name}}}")) for name, one in options.items()
    }
    values |= given

    def fill(text: str) -> str:
        for name, value in values.items():
            text = text.replace(f"${{user_config.{name}}}", value)
        return text.replace("${__dirname}", str(bundle))

    command = [config["command"], *config["args"]]
    return [fill(word) for word in command], {
        name: fill(value) for name, value in config["env"].items()
    }


def test_the_bundles_manifest_lists_the_tools_of_the_code_and_says_what_stays_where(
    bundle: Path,
) -> None:
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    assert [tool["name"] for tool in manifest["tools"]] == list(TOOLS)
    assert all(30 <= len(tool["description"]) <= 121 for tool in manifest["tools"])
    assert manifest["version"] == __version__
    assert manifest["server"]["type"] == "uv"
    assert (bundle / manifest["server"]["entry_point"]).is_file()
    assert (bundle / manifest["icon"]).read_bytes().startswith(b"\x89PNG")
    assert "stays in one folder on this computer" in " ".join(manifest["long_description"].split())
    settings = {
        name.removeprefix("CDESK_").lower() for name in manifest["server"]["mcp_config"]["env"]
    }
    assert settings - {"bundle_follow"} - {"snowflake_account", "snowflake_user", "snowflake_private_key_path"} <= set(SETTINGS)  # fmt: skip


def end_worker(python: Path, folder: Path) -> None:
    """End the worker, also where a busy machine lets it take longer than `--stop` waits."""
    tries = (cdesk(python, folder, "worker", "--stop") for _ in range(6))
    assert any(stopped.returncode == 0 for stopped in tries)


@pytest.mark.timeout(600)
@pytest.mark.skipif(os.name == "nt", reason="the environments here are made of links")
def test_a_person_installs_the_bundle_asks_and_learns_a_first_fact(
    wheel: Path, bundle: Path, first_round: Path, tmp_path: Path
) -> None:
    """From the light part alone, over the worker that arrives later, to a verified insight. The
    worker's environment holds the extra `worker` and nothing else, and what a release's wheel
    brings for its first round.
    """
    python = environment(tmp_path / "light", wheel, None)
    home = StateDirectory(tmp_path / "state").ensure()
    runtime = Runtime(home.runtime, wanted_in(__version__, "duckdb")[1])
    # As if an installer were at it.
    runtime.keep_progress(SetUp(since=moment(time.time_ns()), at=moment(time.time_ns())))
    installing = FileLock(runtime.lock)
    assert installing.acquire()
    (_, *words), settings = filled_in(bundle, customer="ada@example.com")
    assert words[:2] == ["run", "--directory"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environ = kept | settings | {"CDESK_HOME": str(home.root), "CDESK_RENDER": "off"}
    environ.pop("CDESK_WORKER")
    server = StdioServerParameters(
        command=str(python), args=[str(Path(words[2]) / words[3])], env=environ, cwd=tmp_path
    )

    async def call(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
        result = await client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        return dict(result.structured_content or {})

    async def until(client: Client, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + 250
        while not done(context := await call(client, "get_context")):
            assert time.monotonic() < deadline, context
            await asyncio.sleep(0.2)
        return context

    async def scenario() -> None:
        async with Client(server, mode="legacy") as client:
            for question in ("why?", "how?"):
                details = {"question": question}
                await call(client, "log_event", activity="cdesk.user_asked", feature_json=details)
            context = await call(client, "get_context")
            assert "setting up, 1 of about 3 minutes" in context["stale_reason"]
            environment(runtime.environment, wheel, "worker")
            (worker_rooms,) = runtime.environment.rglob("site-packages/cdesk_app/worker/dbt")
            checkout = Settings(home=tmp_path / "checkout", customer="ada@example.com")
            project = locate_project(checkout, StateDirectory(checkout.home).ensure())
            make_prebuilt(worker_rooms / "_prebuilt", first_round, project)
            runtime.mark_ready()
            installing.release()
            asked = {"template": "activity_by_period"}
            assert (await call(client, "submit_query", **asked))["status"] == "setting_up"
            await until(client, lambda context: not context["stale"])
            params = {"activity": "cdesk.user_asked", "days_back": 1}
            query = {"template": "activity_by_period", "params": params}
            while (ticket := await call(client, "submit_query", **query))["status"] != "queued":
                assert ticket["status"] == "setting_up", ticket
                await asyncio.sleep(0.2)
            answer: dict[str, Any] = {"status": "queued"}
            while answer["status"] in ("queued", "running"):
                answer = await call(
                    client, "get_result", ticket_id=ticket["ticket_id"], wait_seconds=20
                )
            result = answer["result"]
            names = [column["name"] for column in result["columns"]]
            count = result["rows"][0][names.index("activity_count")]
            assert count == 2
            fact = {"subject": "questions", "metric": "on the first day", "value": count}
            await call(client, "log_insight", **fact, provenance_query_hash=ticket["query_hash"])
            context = await until(client, lambda context: bool(context["context"]["insights"]))
            (learned,) = context["context"]["insights"]
            assert learned["value"] == 2

    try:
        asyncio.run(scenario())
    finally:
        end_worker(runtime.python, tmp_path)
    assert "prebuilt warehouse taken" in home.worker_log.read_text(encoding="utf-8")


def test_the_public_tool_validates_and_packs_the_bundle(bundle: Path, tmp_path: Path) -> None:
    need_program("npx", "npm (apt-get install npm)")
    script = make_bundle()
    packed = tmp_path / "cdesk.mcpb"
    script.mcpb("validate", str(bundle / "manifest.json"))
    script.mcpb("pack", str(bundle), str(packed))
    with zipfile.ZipFile(packed) as archive:
        assert {"manifest.json", "server.py", "pyproject.toml"} <= set(archive.namelist())
    broken = tmp_path / "manifest.json"
    broken.write_text((bundle / "manifest.json").read_text().replace('"0.4"', '"9"'))
    with pytest.raises(SystemExit):
        script.mcpb("validate", str(broken))


@pytest.mark.bundle
@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_the_command_is_there_after_an_installation_of_the_wheel(
    wheel: Path, tmp_path: Path, tool: str
) -> None:
    if tool == "pip":
        venv.create(tmp_path / "venv", with_pip=True)
        scripts = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
        install = [str(scripts / "python"), "-m", "pip", "install", "--quiet", str(wheel)]
        environ = dict(os.environ)
    else:
        scripts = tmp_path / "bin"
        uv = need_program("uv", "uv (pip install uv)")
        install = [uv, "tool", "install", "--quiet", str(wheel)]
        folders = {"UV_TOOL_DIR": tmp_path / "tools", "UV_TOOL_BIN_DIR": scripts}
        environ = dict(os.environ) | {name: str(folder) for name, folder in folders.items()}
    subprocess.run(install, check=True, timeout=300, env=environ, cwd=tmp_path)
    path = os.pathsep.join((str(scripts), environ["PATH"]))
    command = shutil.which("cdesk", path=path)
    assert command is not None
    assert Path(command).parent == scripts
    settings = {"CDESK_HOME": str(tmp_path / "state"), "CDESK_CUSTOMER": "ada@example.com"}
    ran = subprocess.run(
        [command, "status", "--json"], capture_output=True, check=True, cwd=tmp_path, timeout=60,
        env=environ | settings,
    )  # fmt: skip
    assert json.loads(ran.stdout)["customer"] == "ada@example.com"


@pytest.mark.bundle
def test_the_bundle_starts_by_its_manifest_and_sets_its_worker_up(
    bundle: Path, tmp_path: Path
) -> None:
    """With uv and the package registry, as Claude Desktop does it: a few minutes."""
    uv = need_program("uv", "uv (pip install uv)")
    (_, *words), settings = filled_in(bundle, customer="ada@example.com")
    home = StateDirectory(tmp_path / "state").ensure()
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "CDESK_")) and name != "VIRTUAL_ENV"
    }
    environ = kept | settings | {"CDESK_HOME": str(home.root), "CDESK_RENDER": "off"}
    server = StdioServerParameters(command=uv, args=words, env=environ, cwd=tmp_path)

    async def scenario() -> None:
        async with Client(server, mode="legacy") as client:
            logged = {"activity": "cdesk.user_asked", "feature_json": {}}
            assert not (await client.call_tool("log_event", logged)).is_error
            deadline = time.monotonic() + 600
            while True:
                context = (await client.call_tool("get_context", {})).structured_content or {}
                if not context["stale"]:
                    break
                assert "failed" not in context["stale_reason"], context
                assert time.monotonic() < deadline, context
                await asyncio.sleep(1)
            ticket: dict[str, Any] = {"status": "setting_up"}
            while ticket["status"] == "setting_up":
                asked = await client.call_tool("submit_query", {"template": "activity_counts"})
                ticket = asked.structured_content or {}
                await asyncio.sleep(0.2)
            wait = {"ticket_id": ticket["ticket_id"], "wait_seconds": 20}
            answer: dict[str, Any] = {"status": "queued"}
            while answer["status"] in ("queued", "running"):
                answer = (await client.call_tool("get_result", wait)).structured_content or {}
            assert answer["status"] == "succeeded"

    try:
        asyncio.run(scenario())
    finally:
        end_worker(Runtime(home.runtime, "").python, tmp_path)


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


S3 = """
import os
from cdesk.artifacts.factory import open_artifacts
from cdesk.core.config import load_settings
from cdesk.core.home import StateDirectory

settings = load_settings(os.environ)
store = open_artifacts(settings, StateDirectory(settings.home).ensure())
with store.write("ada@example.com", "0190a5f0-0000-7000-8000-000000000001") as draft:
    draft.path.write_bytes(b"a result")
print(draft.uri, store.exists(draft.uri))
"""


def test_the_s3_extra_alone_stores_into_a_bucket_and_without_it_the_doctor_names_it(
    wheel: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = environment(tmp_path / "venv", wheel, "s3")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", secrets.token_hex(8))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secrets.token_hex(16))
    with s3_service() as service:
        client = boto3.client("s3", endpoint_url=service.url, region_name="us-east-1")
        client.create_bucket(Bucket="results")
        client.close()
        settings = {
            "CDESK_HOME": str(tmp_path / "state"),
            "CDESK_ARTIFACTS_URL": "s3://results/team",
            "CDESK_ARTIFACTS_ENDPOINT": service.url,
            "CDESK_ARTIFACTS_REGION": "us-east-1",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        ran = subprocess.run(
            [str(python), "-c", S3],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=tmp_path,
            env=kept | settings,
        )
        assert ran.returncode == 0, ran.stderr
        uri, is_there = ran.stdout.split()
        assert uri.startswith("s3://results/team/")
        assert is_there == "True"
        assert ("PUT", f"/results/{uri.removeprefix('s3://results/')}") in {
            (method, path.partition("?")[0]) for method, path in service.asked
        }
        told = {one: cdesk(one, tmp_path, "doctor", **settings).stdout for one in (python, base)}
    (part,) = (line for line in told[python].splitlines() if "part s3" in line)
    assert part.split() == ["ok", "part", "s3", "installed"]
    assert "pip install 'cdesk[s3]'" in told[base]


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
