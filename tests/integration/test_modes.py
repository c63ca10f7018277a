"""Every file of a state directory is its user's own, whoever makes it and whatever the
umask says.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdesk.core.home import StateDirectory, replacing
from tests.conftest import UNDER_UMASK_0
from tests.integration.shim.harness import EVENT, ROOT, Wire, environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")


def odd_modes(root: Path) -> Iterator[str]:
    """What others could read or write."""
    for path in (root, *sorted(root.rglob("*"))):
        mode = path.lstat().st_mode & 0o7777
        if mode != (0o700 if path.is_dir() else 0o600):
            yield f"{mode:04o} {path.relative_to(root)}"


def test_a_used_state_directory_is_private_under_umask_0(tmp_path: Path, first_round: Path) -> None:
    """A first build, a session, an import, a build, a query and its stored result."""
    assert list(odd_modes(first_round)) == []
    home = StateDirectory(tmp_path / "above" / "home")
    with Wire(home, command=("-c", UNDER_UMASK_0, "-m", "mcp_shim")) as wire:
        wire.open()
        wire.call("log_event", EVENT)
        wire.call("log_insight", {"subject": "s", "metric": "m", "value": 1})
        assert list(odd_modes(home.root)) == []
    assert (home.root.parent.stat().st_mode & 0o777) == 0o700

    built = StateDirectory(tmp_path / "built" / "home")
    shutil.copytree(first_round, built.root)
    for file in home.queue.glob("*.ndjson"):
        shutil.copy2(file, built.queue)
    environ = environment(built)

    def cdesk(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-c", UNDER_UMASK_0, "-m", "cdesk_app.cli.main", *words],
            capture_output=True,
            text=True,
            env=environ,
            cwd=ROOT,
            timeout=200,
            check=False,
        )
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout

    bad = tmp_path / "notes.ndjson"
    bad.write_text("no record\n", encoding="utf-8")
    cdesk("import", str(bad), code=1)
    cdesk("worker", "--once")
    out = tmp_path / "result.csv"
    cdesk("query", "recent_activities", "--out", str(out))
    assert len(out.read_text(encoding="utf-8").splitlines()) > 1
    assert (out.stat().st_mode & 0o777) == 0o600
    assert list(built.artifacts.rglob("*.parquet"))
    assert built.warehouse.exists()
    assert list(odd_modes(built.root)) == []


def test_an_export_replaces_a_link_and_follows_none(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious", encoding="utf-8")
    out = tmp_path / "out.csv"
    out.symlink_to(victim)
    before = set(tmp_path.iterdir())
    with replacing(out) as file:
        (part,) = set(tmp_path.iterdir()) - before
        assert str(os.getpid()) not in part.name
        assert part.stat().st_mode & 0o777 == 0o600
        file.write(b"new")
    assert victim.read_text(encoding="utf-8") == "precious"
    assert not out.is_symlink()
    assert out.read_bytes() == b"new"

    def half() -> None:
        with replacing(out) as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert out.read_bytes() == b"new"
    assert set(tmp_path.iterdir()) == before


def test_files_are_made_by_the_helpers_of_one_module() -> None:
    """No other module names a mode, or opens a file of the state directory for writing without."""
    found = []
    for package in ("cdesk", "mcp_shim", "uploader", "cdesk_app"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name == "cdesk/core/home.py":
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                called = ast.unparse(node.func)
                words = [
                    ast.unparse(one) for one in (*node.args, *(k.value for k in node.keywords))
                ]
                makes = called == "os.open" and any("O_CREAT" in word for word in words)
                # A member of a zip file is no file of its own.
                opens = (called.endswith(".open") and called != "archive.open") and any(
                    word in ("'wb'", "'w'", "'ab'", "'a'", "'xb'", "'x'") for word in words
                )
                if makes or opens or called.endswith((".write_bytes", ".write_text", ".touch")):
                    found.append(f"{name}:{node.lineno} {called}")
    assert found == []
