"""Setting up the worker's environment: by uv or pip, again after a failure, once."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from cdesk.core.errors import ConfigurationError
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.core.runtime import Runtime
from cdesk_app.ops.runtime import SetUpFailed, keep_customer, run_command, set_up

NOW = 1_790_000_000 * 10**9


class Installer:
    """Stands for the commands: notes them, makes the Python, fails where it is told to."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.commands: list[list[str]] = []
        self.error: str | None = None

    def __call__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        del environ
        self.commands.append(list(command))
        assert FileLock(self.runtime.lock).acquire() is False, "one process at a time"
        assert not self.runtime.is_ready()
        if self.error:
            raise SetUpFailed(self.error)
        self.runtime.python.parent.mkdir(parents=True, exist_ok=True)
        self.runtime.python.touch()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "cdesk-1-py3-none-any.whl").touch()
    (folder / "constraints.txt").touch()
    return folder


@pytest.fixture
def installer(tmp_path: Path) -> Installer:
    return Installer(Runtime(tmp_path / "runtime", "cdesk 1 [worker]"))


def ask(installer: Installer, source: Path, now_ns: int = NOW, **environ: str) -> bool:
    return set_up(
        installer.runtime, source, "worker", environ, run=installer, now_ns=lambda: now_ns
    )


@pytest.mark.parametrize("environ", [{"UV": "/tools/uv"}, {"PATH": ""}])
def test_the_wheel_is_installed_with_its_extras_and_pins(
    installer: Installer, source: Path, environ: dict[str, str]
) -> None:
    assert ask(installer, source, **environ)
    assert installer.runtime.is_ready()
    make, install, *_ = installer.commands
    assert make[0] == (environ.get("UV") or sys.executable)
    assert install[-1].startswith("cdesk[worker] @ file:///")
    assert "a%20folder" in install[-1]
    assert str(source / "constraints.txt") in install
    count = len(installer.commands)
    assert ask(installer, source, **environ)
    assert len(installer.commands) == count, "it is there already"


def test_a_failure_is_told_and_the_next_attempt_goes_on(installer: Installer, source: Path) -> None:
    installer.error = "no network"
    for attempt in (1, 2):
        with pytest.raises(SetUpFailed):
            ask(installer, source, NOW + attempt * 3_600 * 10**9, UV="uv")
        progress = installer.runtime.progress()
        assert progress is not None
        assert (progress.failures, progress.error) == (attempt, "no network")
    installer.error = None
    assert not ask(installer, source, NOW + 7_200 * 10**9 + 1, UV="uv"), "not at once"
    assert ask(installer, source, NOW + 4 * 3_600 * 10**9, UV="uv")


def test_a_folder_without_a_wheel_says_what_to_do(installer: Installer, tmp_path: Path) -> None:
    with pytest.raises(SetUpFailed, match="install the bundle again"):
        ask(installer, tmp_path, UV="uv")


def test_a_step_that_fails_says_its_telling_line() -> None:
    said = "import sys; sys.exit('one\\nERROR: no such package\\nlast')"
    with pytest.raises(SetUpFailed, match=r"\AERROR: no such package\Z"):
        run_command([sys.executable, "-c", said], {})
    with pytest.raises(SetUpFailed, match="FileNotFoundError"):
        run_command(["/no/such/program"], {})


def test_the_customer_is_kept_for_the_terminal_and_one_that_stands_there_stays(
    state_home: StateDirectory,
) -> None:
    path = state_home.root / "config.toml"
    keep_customer(state_home, "ada@example.com")
    keep_customer(state_home, "bob@example.com")
    assert tomllib.loads(path.read_text(encoding="utf-8")) == {"customer": "ada@example.com"}
    path.write_text("no = toml = at all", encoding="utf-8")
    with pytest.raises(ConfigurationError):
        keep_customer(state_home, "ada@example.com")
