"""The lazy import of the SDK: on for versions that were measured, for stdio alone, and said where
it is off. What it leaves out is tested on the wire (tests/integration/shim/test_protocol.py).
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from cdesk.core.home import StateDirectory
from cdesk_app.cli import doctor
from mcp_shim import lazy_sdk

ROOT = Path(__file__).resolve().parents[3]


def test_the_pinned_versions_were_measured() -> None:
    assert lazy_sdk.unmeasured() is None
    assert doctor._sdk().level == "ok"


def test_a_version_that_was_not_measured_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_sdk, "KNOWN_VERSIONS", {"mcp": "1.0.", "pydantic": "1.0."})
    reason = lazy_sdk.unmeasured()
    assert reason is not None
    assert reason.startswith("mcp 2.")
    finding = doctor._sdk()
    assert finding.level == "note"
    assert reason in finding.found
    assert "'mcp==1.0.*'" in str(finding.todo)


def test_the_log_says_that_the_sdk_is_imported_in_full(state_home: StateDirectory) -> None:
    code = (
        "from mcp_shim import lazy_sdk\n"
        "lazy_sdk.KNOWN_VERSIONS = {'mcp': '1.0.'}\n"
        "from mcp_shim.main import run_as_module\n"
        "run_as_module()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "CDESK_HOME": str(state_home.root), "CDESK_WORKER": "off"},
    )
    (line,) = done.stderr.splitlines()
    assert orjson.loads(line)["message"] == "the SDK is imported in full"
    assert "mcp 2." in orjson.loads(line)["reason"]


def test_only_the_way_into_stdio_installs_it() -> None:
    callers = [
        path.relative_to(ROOT).as_posix()
        for package in ("cdesk", "mcp_shim", "uploader", "cdesk_app")
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy_sdk.install"
    ]
    assert callers == ["mcp_shim/__main__.py", "mcp_shim/main.py"]


@pytest.mark.parametrize("name", ["cdesk.made_up", "mcp_shim", "cdesk_app.made_up"])
def test_a_pattern_of_ours_is_compiled_at_its_first_use(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    compiled: list[str] = []
    compile_now = re.compile

    def seen(pattern: Any, flags: Any = 0) -> Any:
        compiled.append(pattern)
        return compile_now(pattern, flags)

    monkeypatch.setattr(re, "compile", seen)
    namespace: dict[str, Any] = {"__name__": name, "re": re}
    with lazy_sdk.light_patterns():
        exec("found = re.compile('a(B)', re.I); other = re.compile(b'x')", namespace)
    assert re.compile is seen, "only what is made meanwhile"
    found, is_ours = namespace["found"], name != "cdesk_app.made_up"
    assert compiled == ([] if is_ours else ["a(B)", b"x"])
    for _ in range(2):
        assert found.match("Ab").group(1) == "b"
        assert found.sub("-", "xab") == "x-"
    assert found.pattern == "a(B)"
    assert found.flags & re.IGNORECASE
    assert compiled[:1] == ["a(B)"]
    assert compiled.count("a(B)") == 1, "once"
    with pytest.raises(AttributeError):
        _ = found.no_such


@dataclasses.dataclass(frozen=True, slots=True)
class Plain:
    """Made as any dataclass."""

    a: int
    b: tuple[str, ...] = ()


@pytest.mark.skipif(
    not hasattr(dataclasses, "_create_fn"), reason="this Python makes dataclasses otherwise"
)
def test_what_a_dataclass_seldom_needs_is_compiled_at_its_first_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create = dataclasses._create_fn  # type: ignore[attr-defined]
    compiled: list[str] = []

    def seen(name: str, *arguments: Any, **keywords: Any) -> Any:
        compiled.append(name)
        return create(name, *arguments, **keywords)

    for name in ("_cmp_fn", "_repr_fn"):  # a builder of this process may put them off itself
        monkeypatch.setattr(dataclasses, name, inspect.unwrap(getattr(dataclasses, name)))
    monkeypatch.setattr(dataclasses, "_create_fn", seen)
    with lazy_sdk.light_dataclasses():

        @dataclasses.dataclass(frozen=True, slots=True)
        class Light:
            """Made for a start."""

            a: int
            b: tuple[str, ...] = ()

    assert dataclasses._create_fn is seen, "only what is made meanwhile"  # type: ignore[attr-defined]
    assert compiled == ["__init__"]
    one, same, other = Light(1, ("x",)), Light(a=1, b=("x",)), Light(2)
    for _ in range(2):
        assert one == same != other
        assert one != (1, ("x",))
    assert compiled == ["__init__", "__eq__"], "once"
    assert repr(one).endswith("Light(a=1, b=('x',))")
    assert hash(one) == hash(same) == hash(Plain(1, ("x",)))
    assert {one: 3}[same] == 3
    for made in (one, Plain(1)):
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'a'"):
            made.a = 2  # type: ignore[misc]
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'a'"):
            del made.a  # type: ignore[misc]
    assert dataclasses.replace(one, a=2, b=()) == other
    assert sorted(compiled) == sorted(("__init__", *lazy_sdk._SELDOM))
