"""Setting up the worker's environment: by uv or pip, again after a failure, once."""

from __future__ import annotations

import json
import logging
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import typed

from cdesk import __version__
from cdesk.core.config import Settings
from cdesk.core.errors import ConfigurationError
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.core.processes import WORKER_MODULE
from cdesk.core.runtime import Runtime, SetUp, wanted_in
from cdesk_app.ops import runtime as module
from cdesk_app.ops.runtime import SetUpFailed, keep_customer, main, run_command, set_up

NOW = 1_790_000_000 * 10**9


class Installer:
    """Stands for the commands: notes them, makes the Python, fails where it is told to."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.commands: list[list[str]] = []
        self.error: str | None = None
        self.seen: list[SetUp | None] = []

    def __call__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        del environ
        self.commands.append(list(command))
        assert FileLock(self.runtime.lock).acquire() is False, "one process at a time"
        assert not self.runtime.is_ready()
        self.seen.append(self.runtime.progress())
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


SINCE = "2026-09-21T14:13:20.000000Z"


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


def test_how_far_it_is_can_be_read_all_the_while(installer: Installer, source: Path) -> None:
    runtime = installer.runtime
    runtime.keep_progress(SetUp("earlier", "2026-01-01T00:00:00.000000Z", 3, "no network"))
    assert ask(installer, source, UV="uv")
    assert installer.seen == [SetUp(SINCE, SINCE, 0, None)] * 2
    installer.error = "x" * 300
    runtime.unmark()
    with pytest.raises(SetUpFailed):
        ask(installer, source, UV="uv")
    assert runtime.progress() == SetUp(SINCE, SINCE, 1, "x" * 200)


def test_another_process_at_work_is_left_alone(installer: Installer, source: Path) -> None:
    """One that began between the look and the lock, too."""
    lock = FileLock(installer.runtime.lock)
    installer.runtime.folder.mkdir()
    assert lock.acquire()
    assert not ask(installer, source, UV="uv")
    taken = False

    def now_ns() -> int:
        nonlocal taken
        taken = taken or lock.acquire()
        return NOW

    lock.release()
    assert not set_up(
        installer.runtime, source, "worker", {"UV": "uv"}, run=installer, now_ns=now_ns
    )
    assert taken
    assert installer.commands == []
    lock.release()


def test_what_was_there_holds_nothing_until_the_new_is_whole(
    installer: Installer, source: Path
) -> None:
    assert ask(installer, source, UV="uv")
    other = Installer(Runtime(installer.runtime.folder, "cdesk 2 [worker]"))
    other.error = "no network"
    with pytest.raises(SetUpFailed):
        ask(other, source, UV="uv")
    assert not Runtime(installer.runtime.folder, "cdesk 1 [worker]").is_ready()


@pytest.mark.parametrize("pinned", [True, False])
def test_the_commands_by_uv_and_by_pip(
    installer: Installer, source: Path, pinned: bool, tmp_path: Path
) -> None:
    """Of several wheels the last; the same version once more is built anew."""
    constraints = ["--constraint", str(source / "constraints.txt")] if pinned else []
    if not pinned:
        (source / "constraints.txt").unlink()
    (source / "cdesk-0-py3-none-any.whl").touch()
    wheel = (source / "cdesk-1-py3-none-any.whl").absolute().as_uri()
    python, environment = str(installer.runtime.python), str(installer.runtime.environment)
    assert ask(installer, source, UV="/tools/uv", PATH=str(tmp_path))
    venv = ["/tools/uv", "venv", "--no-progress", "--allow-existing"]
    uv = ["/tools/uv", "pip", "install", "--no-progress", "--python", python]
    assert installer.commands == [
        [*venv, "--python", sys.executable, environment],
        [*uv, *constraints, "--reinstall-package", "cdesk", f"cdesk[worker] @ {wheel}"],
    ]
    installer.commands.clear()
    installer.runtime.unmark()
    assert ask(installer, source, PATH=str(tmp_path))
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    assert installer.commands == [
        [sys.executable, "-m", "venv", environment],
        [*pip, *constraints, f"cdesk[worker] @ {wheel}"],
        [*pip, "--force-reinstall", "--no-deps", f"cdesk[worker] @ {wheel}"],
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="a program is a script here")
def test_uv_is_looked_for_on_the_servers_own_path(
    installer: Installer, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = tmp_path / "ours", tmp_path / "other"
    for folder in (ours, other):
        folder.mkdir()
        (folder / "uv").touch(0o700)
    monkeypatch.setenv("PATH", str(other))
    assert ask(installer, source, PATH=str(ours))
    assert installer.commands[0][0] == str(ours / "uv")


def test_a_folder_without_a_wheel_says_what_to_do(installer: Installer, tmp_path: Path) -> None:
    with pytest.raises(SetUpFailed, match="install the bundle again"):
        ask(installer, tmp_path, UV="uv")


@pytest.mark.skipif(sys.platform == "win32", reason="a program is a script here")
@pytest.mark.parametrize(
    ("script", "said"),
    [
        (r"printf 'one\nERROR: no package\nan error\nlast' >&2; exit 1", "ERROR: no package"),
        (r"printf 'one\n last \n\n' >&2; echo error; exit 1", "last"),
        (r"printf 'first\nsecond\n'; exit 1", "second"),
        (r"printf 'caf\377' >&2; exit 1", "caf\ufffd"),
        ("exit 3", "exit code 3"),
        ('echo "read: $(cat), $MINE" >&2; exit 1', "read: , kept"),
        ("printf '%0300d' 0 >&2; exit 1", "0" * 200),
    ],
)
def test_a_step_that_fails_says_its_telling_line(
    script: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    environ = {"MINE": "kept", "PATH": os.environ["PATH"]}
    with typed(b"typed"), pytest.raises(SetUpFailed) as told:
        run_command(["/bin/sh", "-c", script], environ)
    assert str(told.value) == said
    assert capfd.readouterr() == ("", ""), "a server speaks to Claude on standard output"


def test_a_step_that_cannot_be_run_or_goes_on_and_on_is_one_that_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run_command([sys.executable, "-c", "print('ERROR: of no account')"], {})
    with pytest.raises(SetUpFailed, match=r"\Aprogram: FileNotFoundError\Z"):
        run_command(["/no/such/program"], {})
    monkeypatch.setattr(module, "STEP_SECONDS", 0)
    with pytest.raises(SetUpFailed, match="TimeoutExpired"):
        run_command([sys.executable, "-c", "import time; time.sleep(60)"], {})
    assert said_in(caplog) == []


def said_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == module.__name__]


def test_no_credential_of_a_step_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    address = "https://ada:" + "hunter" + "2pass@example.com/simple"
    with pytest.raises(SetUpFailed) as told:
        run_command([sys.executable, "-c", f"raise SystemExit('error at {address}')"], {})
    assert "example.com" in str(told.value)
    assert "hunter" not in str(told.value)
    assert said_in(caplog) == ["step failed"]


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


# -- the process itself


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """The workers that were started, as the words, the settings and the log of each."""
    found: list[tuple[Any, ...]] = []
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    monkeypatch.setattr(
        module, "start_detached", lambda *args, log=None: found.append((*args, log))
    )
    yield found
    root.handlers[:] = handlers
    root.setLevel(level)


def settings(home: StateDirectory, source: Path) -> Settings:
    return Settings(home=home.root, customer="ada@example.com", runtime=str(source))


def made(home: StateDirectory) -> Runtime:
    """An environment that is whole already."""
    runtime = Runtime(home.runtime, wanted_in(__version__, "duckdb")[1])
    runtime.python.parent.mkdir(parents=True)
    runtime.python.touch()
    runtime.mark_ready()
    return runtime


def test_once_it_is_there_the_worker_is_started(
    state_home: StateDirectory, source: Path, started: list[tuple[Any, ...]]
) -> None:
    runtime = made(state_home)
    own = settings(state_home, source)
    assert main(own) == 0
    words = (str(runtime.python), "-I", "-m", WORKER_MODULE, "worker")
    assert started == [(words, own, state_home.worker_log)]
    config = state_home.root / "config.toml"
    assert tomllib.loads(config.read_text(encoding="utf-8")) == {"customer": "ada@example.com"}


@pytest.mark.parametrize("why", ["runs already", "is off", "is being set up"])
def test_no_worker_is_started_that(
    why: str, state_home: StateDirectory, source: Path, started: list[tuple[Any, ...]]
) -> None:
    runtime = made(state_home)
    own = settings(state_home, source)
    lock = None
    if why == "runs already":
        lock = FileLock(state_home.worker_lock)
    elif why == "is off":
        own = replace(own, worker="off")
    else:
        runtime.unmark()
        lock = FileLock(runtime.lock)
    if lock is not None:
        assert lock.acquire()
    assert main(own) == 0
    assert started == []
    if lock is not None:
        lock.release()


def test_a_set_up_that_fails_says_so_in_the_log_and_ends_so(
    state_home: StateDirectory,
    tmp_path: Path,
    started: list[tuple[Any, ...]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (state_home.root / "config.toml").write_text("no = toml = at all", encoding="utf-8")
    secret = "ghp_" + "a1B2" * 9
    assert main(settings(state_home, tmp_path / secret)) == 1
    assert started == []
    text = capsys.readouterr().err
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["message"] for line in lines] == ["customer not kept", "set-up failed"]
    assert "holds no wheel of cdesk" in lines[1]["reason"]
    assert secret not in text
