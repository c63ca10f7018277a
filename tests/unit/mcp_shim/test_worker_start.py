"""When a worker is started and what is said where none can be: each decision, without a process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cdesk import __version__
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.core.processes import SET_UP_MODULE, WORKER_MODULE
from cdesk.core.runtime import wanted_in
from mcp_shim import worker_start
from mcp_shim.worker_start import LOOK_SECONDS, WAITED_FOR_SECONDS, WorkerStarter

SETTING_UP = "setting up: the worker's first round takes about half a minute"


class Child:
    """A process that runs until it has ended."""

    pid = 7

    def __init__(self) -> None:
        self.code: int | None = None
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self.code


class Started:
    """What was started; `failing` is what the system says instead."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.children: list[Child] = []
        self.logs: set[Path] = set()
        self.failing: OSError | None = None

    def __call__(self, command: Sequence[str], _: Settings, *, log: Path) -> Child:
        if self.failing is not None:
            raise self.failing
        self.commands.append([*command])
        self.children.append(Child())
        self.logs.add(log)
        return self.children[-1]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    found = Started()
    monkeypatch.setattr(worker_start, "start_detached", found)
    return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """`now` is what the monotonic clock says."""
    now = SimpleNamespace(now=1_000.0)
    monkeypatch.setattr(
        worker_start,
        "time",
        SimpleNamespace(monotonic=lambda: now.now, time_ns=lambda: 5),
    )
    return now


def starter(home: StateDirectory, **given: Any) -> WorkerStarter:
    return WorkerStarter(Settings(home=home.root, customer="ada", **given), home)


def test_one_is_started_where_none_runs(
    state_home: StateDirectory, started: Started, caplog: pytest.LogCaptureFixture
) -> None:
    begun = starter(state_home)
    with caplog.at_level(logging.INFO):
        assert begun.look() is True
    assert started.commands == [[sys.executable, "-m", WORKER_MODULE, "worker"]]
    assert started.logs == {state_home.worker_log}
    assert caplog.records[-1].facts == {"worker": 7}  # type: ignore[attr-defined]
    assert begun.look() is False, "it runs"
    started.children[0].code = 0
    with FileLock(state_home.worker_lock) as taken:
        assert taken
        assert begun.look() is False, "another does"
    assert begun.look() is True
    assert len(started.commands) == 2
    begun.release()
    assert begun._child is None


def test_a_child_is_let_go_of_with_what_it_ended_with(
    state_home: StateDirectory, started: Started
) -> None:
    for code, kept in ((None, 0), (3, 3)):
        begun = starter(state_home)
        assert begun.look()
        started.children[-1].code = code
        begun.release()
        assert started.children[-1].returncode == kept
        begun.release()  # of what has been let go nothing is left


def test_a_look_is_due_after_a_minute_and_sooner_where_somebody_waits(
    state_home: StateDirectory, started: Started, clock: SimpleNamespace
) -> None:
    assert (LOOK_SECONDS, WAITED_FOR_SECONDS) == (60.0, 5.0)
    begun = starter(state_home)
    assert begun.is_due()
    begun.look()
    for later, due, due_for_who_waits in (
        (0.0, False, False),
        (4.75, False, False),
        (5.0, False, True),
        (59.75, False, True),
        (60.0, True, True),
    ):
        clock.now = 1_000.0 + later
        assert begun.is_due() is due
        assert begun.is_due(waited_for=True) is due_for_who_waits
    off = starter(state_home, worker="off")
    assert not off.is_due()
    assert not off.is_due(waited_for=True)
    assert off.look() is False
    assert len(started.commands) == 1


def test_what_arrives_is_told_where_a_worker_runs_or_will(
    state_home: StateDirectory, started: Started
) -> None:
    assert starter(state_home).arriving() == SETTING_UP
    off = starter(state_home, worker="off")
    assert off.arriving() is None
    without = starter(state_home)
    without._missing = "no worker is installed here"
    assert without.arriving() is None
    with FileLock(state_home.worker_lock):
        assert off.arriving() == without.arriving() == SETTING_UP
    assert started.commands == []


@pytest.mark.parametrize(
    ("target", "absent", "extra"),
    [
        ("duckdb", ("cdesk_app",), "worker"),
        ("duckdb", ("dbt", "duckdb"), "worker"),
        ("snowflake", ("snowflake",), "snowflake"),
        ("snowflake", ("dbt",), "snowflake"),
        ("snowflake", ("duckdb",), None),
        ("duckdb", ("snowflake",), None),
    ],
)
def test_where_a_package_is_missing_it_is_said_which_extra_brings_it(
    state_home: StateDirectory,
    started: Started,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    target: str,
    absent: tuple[str, ...],
    extra: str | None,
) -> None:
    missing = set(absent)
    monkeypatch.setattr(
        worker_start.importlib.util,
        "find_spec",
        lambda name: None if name in missing else SimpleNamespace(),
    )
    begun = starter(state_home, target=target)
    if extra is None:
        assert begun.look() is True
        return
    for _ in range(2):
        assert begun.look() is False
        assert begun.missing == f"no worker is installed here (pip install 'cdesk[{extra}]')"
    (said,) = caplog.records  # once
    assert said.facts == {"packages": ", ".join(absent), "extra": extra}  # type: ignore[attr-defined]
    assert started.commands == []
    missing.clear()  # it has been installed meanwhile
    assert begun.look() is True
    assert begun.missing is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [(OSError(13, "Permission denied"), "Permission denied"), (OSError("odd"), "OSError")],
)
def test_a_worker_that_cannot_be_started_is_said_with_the_reason(
    state_home: StateDirectory,
    started: Started,
    caplog: pytest.LogCaptureFixture,
    error: OSError,
    reason: str,
) -> None:
    started.failing = error
    begun = starter(state_home)
    assert begun.look() is False
    assert caplog.records[0].message == "worker not started"
    assert caplog.records[0].facts == {"reason": reason}  # type: ignore[attr-defined]
    started.failing = None
    assert begun.look() is True


class Environment:
    """The worker's own environment, while it is being made."""

    python = Path("env/python")

    def __init__(self, folder: Path, wanted: object) -> None:
        self.folder, self.wanted = folder, wanted
        self.is_made = False
        self.due = True
        self.said: str | None = "the worker is about to be set up"
        self.asked_at: list[int] = []

    def is_ready(self) -> bool:
        return self.is_made

    def is_due(self, now_ns: int) -> bool:
        self.asked_at.append(now_ns)
        return self.due

    def told(self, now_ns: int) -> str | None:
        self.asked_at.append(now_ns)
        return self.said


def test_an_environment_of_its_own_is_made_first_and_once(
    state_home: StateDirectory,
    started: Started,
    clock: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("cdesk.core.runtime.Runtime", Environment)
    begun = starter(state_home, runtime="somewhere")
    runtime: Any = begun._runtime
    assert runtime.folder == state_home.runtime
    assert runtime.wanted == wanted_in(__version__, "duckdb")[1]
    assert begun.missing == begun.arriving() == "the worker is about to be set up"
    runtime.due = False
    assert begun.look() is False
    assert started.commands == [], "the last attempt was not long ago"
    runtime.due, started.failing = True, OSError(2, "No such file")
    assert begun.look() is False
    assert caplog.records[0].message == "set-up not started"
    assert caplog.records[0].facts == {"reason": "No such file"}  # type: ignore[attr-defined]
    started.failing = None
    for _ in range(2):
        assert begun.look() is False
    assert started.commands == [[sys.executable, "-m", SET_UP_MODULE]], "one at a time"
    assert started.logs == {state_home.worker_log}
    started.children[0].code = 1
    assert begun.look() is False
    assert len(started.commands) == 2, "and again where it failed"
    runtime.is_made, runtime.said = True, None
    assert begun.missing is None
    assert begun.arriving() == SETTING_UP
    assert begun.look() is True
    assert started.commands[2] == [*(str(Environment.python), "-I", "-m", WORKER_MODULE, "worker")]
    assert {*runtime.asked_at} == {5}
    begun.release()
    assert (begun._child, begun._setting_up) == (None, None)
    assert clock.now == 1_000.0
