"""Starting the worker: once, only where none runs, only where it can run, and so that it outlives
us.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cdesk import __version__
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock, is_held
from cdesk.core.runtime import Runtime, wanted_in
from mcp_shim.worker_start import WAITED_FOR_SECONDS, WorkerStarter

SAY = (
    "import os, sys; print(os.environ['CDESK_HOME'], os.environ['CDESK_CUSTOMER'], os.getcwd(), "
    "os.getsid(0) == os.getpid())"
)


@pytest.fixture
def settings(state_home: StateDirectory) -> Settings:
    return Settings(home=state_home.root, customer="ada@example.com", environ=dict(os.environ))


def starter(settings: Settings, home: StateDirectory, code: str = SAY) -> WorkerStarter:
    return WorkerStarter(settings, home, command=(sys.executable, "-c", code))


def wait(home: StateDirectory) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if home.worker_log.exists() and (
            text := home.worker_log.read_text(encoding="utf-8")
        ).endswith("\n"):
            return text
        time.sleep(0.05)
    raise AssertionError("the worker said nothing")


@pytest.mark.skipif(os.name == "nt", reason="sessions are a POSIX matter")
def test_a_worker_is_started_apart_with_our_settings_and_beside_our_packages(
    settings: Settings, state_home: StateDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cdesk_app" / "cli").mkdir(parents=True)
    (tmp_path / "cdesk_app" / "cli" / "main.py").write_text(
        "raise SystemExit('a stranger')", encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    begun = starter(settings, state_home)
    assert begun.look()
    home, customer, folder, own_session = wait(state_home).split()
    assert (home, customer, own_session) == (str(state_home.root), "ada@example.com", "True")
    assert (Path(folder) / "mcp_shim").is_dir()
    begun.release()


def test_none_is_started_while_one_runs_or_where_the_setting_says_no(
    settings: Settings, state_home: StateDirectory
) -> None:
    lock = FileLock(state_home.worker_lock)
    assert lock.acquire()
    assert not starter(settings, state_home).look()
    lock.release()
    off = starter(replace(settings, worker="off"), state_home)
    assert not off.is_due()
    assert not off.look()
    assert not state_home.worker_log.exists()


def test_a_worker_that_cannot_be_started_is_none(
    settings: Settings, state_home: StateDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = WorkerStarter(settings, state_home, command=[str(state_home.root / "no program")])
    assert nowhere.look() is False
    assert "worker not started" in caplog.text
    nowhere.release()


@pytest.mark.skipif(os.name == "nt", reason="a script stands for the environment's Python")
def test_where_the_worker_has_its_own_environment_that_is_set_up_first_and_then_used(
    settings: Settings, state_home: StateDirectory, tmp_path: Path
) -> None:
    own = replace(settings, runtime=str(tmp_path))
    begun = WorkerStarter(
        own, state_home, set_up_command=(sys.executable, "-c", "print('setting up')")
    )
    assert "about to be set up" in (begun.missing or "")
    assert not begun.look(), "no worker yet"
    assert wait(state_home) == "setting up\n"
    runtime = Runtime(state_home.runtime, wanted_in(__version__, "duckdb")[1])
    runtime.python.parent.mkdir(parents=True)
    runtime.python.write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    runtime.python.chmod(0o700)
    runtime.mark_ready()
    assert begun.missing is None
    state_home.worker_log.unlink()
    assert begun.look()
    assert wait(state_home) == "-I -m cdesk_app.cli.main worker\n"
    begun.release()


def test_looking_leaves_the_lock_to_whoever_wants_it(state_home: StateDirectory) -> None:
    state_home.worker_lock.touch()
    assert not is_held(state_home.worker_lock)
    assert FileLock(state_home.worker_lock).acquire()


def test_who_waits_for_a_worker_that_has_gone_gets_another_within_seconds(
    settings: Settings, state_home: StateDirectory
) -> None:
    begun = starter(settings, state_home, "pass")
    assert begun.look()
    child = begun._child
    assert child is not None
    child.wait()
    begun._looked -= WAITED_FOR_SECONDS
    assert not begun.is_due()
    assert begun.is_due(waited_for=True)
    assert begun.look()
    begun._child.wait()  # type: ignore[union-attr]


def test_a_second_look_is_not_due_at_once_and_starts_no_second_worker(
    settings: Settings, state_home: StateDirectory
) -> None:
    begun = starter(settings, state_home, "import time; time.sleep(30)")
    assert begun.is_due()
    assert begun.look()
    assert not begun.is_due()
    assert not begun.look()
    child = begun._child
    assert child is not None
    child.kill()
    child.wait()


def test_the_command_as_it_stands_starts_a_worker(
    settings: Settings, state_home: StateDirectory
) -> None:
    starter = WorkerStarter(settings, state_home)
    assert starter.look()
    child = starter._child
    assert child is not None
    try:
        deadline = time.monotonic() + 60
        while not is_held(state_home.worker_lock):
            assert child.poll() is None, state_home.worker_log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert not WorkerStarter(settings, state_home).look(), "one runs already"
    finally:
        child.kill()
        child.wait()
