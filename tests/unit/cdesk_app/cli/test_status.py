"""What `cdesk status` says of each part, in each of its states."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cdesk.core.clock import format_ts
from cdesk.core.config import Settings
from cdesk.core.errors import StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk.queue.overview import FeatureState, Queue, Worker, gather
from cdesk.state.facts import KillSwitch
from cdesk.state.status import (
    BreakerState,
    LastBackup,
    LastBuild,
    LastCleanUp,
    LastLanding,
    LastRefresh,
    LastTest,
    Pressure,
    Quarantined,
    Spent,
)
from cdesk_app.cli import status
from cdesk_app.cli.main import main
from uploader import capture_status
from uploader.capture_status import CaptureStatus

LONG_AGO = format_ts(int((datetime.now(UTC) - timedelta(days=10)).timestamp()) * 10**9)
CAPTURE = CaptureStatus(
    enabled=True,
    include_text=False,
    exclude=(),
    folders=("/histories",),
    files=1_200,
    read_bytes=2048,
    behind_bytes=0,
    backlog_bytes=0,
)
QUEUE = Queue(records=0, bytes=0, files=0, oldest=None, foreign=[], held={})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"enabled": False}, "off: 1,200 files, 2.0 KiB read"),
        (
            {"sources": {"claude_code": 1_000, "cowork": 200}},
            "on: 1,200 files (1,000 of claude_code, 200 of cowork), 2.0 KiB read",
        ),
        (
            {"sessions": 3, "last_read_at": LONG_AGO},
            "on: 1,200 files, 2.0 KiB read; 3 sessions, last read 10 d ago",
        ),
        ({"sessions": 3}, "on: 1,200 files, 2.0 KiB read"),
        (
            {"behind_bytes": 1024, "backlog_bytes": 512},
            "on: 1,200 files, 2.0 KiB read; 1.5 KiB still to come",
        ),
        (
            {
                "unknown": {"a": 1, "b": 2},
                "bad_lines": {"a": 4, "b": 5},
                "left_out": {"a": 6_000},
                "unreadable": {"/x": "denied", "/y": "denied"},
                "passed_by": {"/z": "a link"},
                "error": "noon",
            },
            "on: 1,200 files, 2.0 KiB read; "
            "3 lines or fields of kinds that this version does not know; 9 bad lines left out; "
            "6,000 beyond limits left out; 2 places that cannot be read; "
            "1 links or the like passed by; looking fails since noon",
        ),
    ],
)
def test_how_capture_stands(given: dict[str, Any], told: str) -> None:
    assert status.capture_told(replace(CAPTURE, **given)) == f"{told}; see 'cdesk capture'"


def test_capture_that_was_never_on_says_what_would_be_read() -> None:
    assert status.capture_told(None) == "off; 'cdesk capture on' says what it would read"


@pytest.mark.parametrize(
    ("worker", "told"),
    [
        (Worker(True), "running, and has not said more of itself yet"),
        (Worker(True, 7, LONG_AGO), "running (pid 7, started 10 d ago)"),
        (Worker(True, 7, LONG_AGO, "1.2"), "running (pid 7, started 10 d ago, version 1.2)"),
        (Worker(False, setting_up="half"), "not running: half"),
        (Worker(False, problem="no disk", setting_up="half"), "not running: half"),
        (Worker(False, problem="no disk"), "ended: no disk"),
        (Worker(False), "not running; the MCP server starts one, or run 'cdesk worker'"),
    ],
)
def test_whether_a_worker_runs_and_if_not_why(worker: Worker, told: str) -> None:
    assert status.worker_told(worker) == told


@pytest.mark.parametrize(
    ("fact", "told"),
    [
        (Quarantined(LONG_AGO, 0, {"old": 2}), "empty"),
        (
            Quarantined(LONG_AGO, 1_003, {"b": 3, "a": 1_000}),
            "1,003 lines, the last 10 d ago (1,000 a, 3 b); see 'cdesk quarantine list'",
        ),
    ],
)
def test_what_waits_in_quarantine(fact: Quarantined, told: str) -> None:
    assert status.quarantined(fact) == told


@pytest.mark.parametrize(
    ("spent", "told"),
    [
        (Spent(used={"usd": 3.0}), "nothing counted yet"),
        (
            Spent(
                at=LONG_AGO,
                used={"warehouse_seconds": 12.0, "usd": 3.5},
                caps={"usd": 50.0},
                allowed={"usd": 1.5},
            ),
            "2 of 50 usd, 12 warehouse seconds (10 d ago)",
        ),
        (
            Spent(at=LONG_AGO, used={"usd": 3.5}, problem="no rights"),
            "3.5 usd (10 d ago); the meter cannot be read: no rights",
        ),
    ],
)
def test_what_was_used_against_its_caps(spent: Spent, told: str) -> None:
    assert status.used_told(spent) == told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, [("queue", "0 records (0 B) not landed yet")]),
        (
            {"records": 1_200, "bytes": 2048, "oldest": LONG_AGO},
            [("queue", "1,200 records (2.0 KiB) not landed yet, the oldest from 10 d ago")],
        ),
        (
            {"held": {"a": "a folder", "b": "a link", "c": "no access", "d": "a folder"}},
            [
                ("queue", "0 records (0 B) not landed yet"),
                (
                    "held in the queue",
                    "a (a folder); b (a link); c (no access): 4 that cannot be read; all else lands",
                ),
            ],
        ),
        (
            {"foreign": ["a", "b", "c", "d"]},
            [
                ("queue", "0 records (0 B) not landed yet"),
                ("not of the queue", "a, b, c: 'cdesk import' brings records in"),
            ],
        ),
    ],
)
def test_what_has_not_landed(given: dict[str, Any], told: list[tuple[str, str]]) -> None:
    assert list(status._queue(replace(QUEUE, **given))) == told


def test_a_feature_says_its_default_only_where_it_is_another() -> None:
    features = [
        FeatureState(f"{on}-{default}", on, default, "1.0", "does it")
        for on in (True, False)
        for default in (True, False)
    ]
    assert dict(status._features(features)) == {
        "feature True-True": "on, since 1.0: does it",
        "feature True-False": "on, by default off, since 1.0: does it",
        "feature False-True": "off, by default on, since 1.0: does it",
        "feature False-False": "off, since 1.0: does it",
    }


def test_what_a_build_and_its_tests_came_to() -> None:
    assert status._built(LastBuild(status="succeeded", seconds=1.25)) == "succeeded in 1.2 s"
    assert status._built(LastBuild(status="succeeded")) == "succeeded in 0.0 s"
    assert status._built(LastBuild(status="no_disk", message="full")) == "no_disk: full"
    assert status._tested(LastTest(tests=1_000)) == "1,000 data tests, all passed"
    assert status._tested(LastTest(tests=2, failed=("a", "b"))) == "2 data tests, failed: a, b"


def test_the_kill_switch_says_since_when_why_and_how_it_ends() -> None:
    assert status._switch(KillSwitch(reason="old", since=LONG_AGO)) == "off"
    ends = "'cdesk kill-switch off' ends it"
    on = KillSwitch(on=True, since=LONG_AGO)
    assert status._switch(on) == f"on since 10 d ago: no reason given; {ends}"
    assert status._switch(replace(on, reason="spend")) == f"on since 10 d ago: spend; {ends}"


def test_what_never_happened_says_so() -> None:
    assert status._when(None, "0 rows") == "never"
    assert status._when(LONG_AGO, "3 rows") == "10 d ago, 3 rows"


def lines(home: StateDirectory, **changes: Any) -> dict[str, object]:
    found = gather(Settings(home=home.root, customer="ada"), home)
    return dict(status._lines(replace(found, **changes)))


def test_each_part_of_a_new_directory_says_that_nothing_happened(
    state_home: StateDirectory,
) -> None:
    told = lines(state_home)
    assert {name: value for name, value in told.items() if not name.startswith("feature ")} == {
        "state directory": str(state_home.root),
        "customer": "ada",
        "warehouse": "duckdb",
        "worker": "not running; the MCP server starts one, or run 'cdesk worker'",
        "queue": "0 records (0 B) not landed yet",
        **dict.fromkeys(
            (
                "last landing",
                "last build",
                "last tests",
                "last refresh",
                "last clean-up",
                "last backup",
                "snapshot",
            ),
            "never",
        ),
        "queries": "0 waiting, 0 running",
        "breaker": "closed",
        "quarantine": "empty",
        "pressure": "none",
        "used today": "nothing counted yet",
        "kill switch": "off",
        "HTTP service": "not running",
    }


def test_what_holds_the_work_up_is_told_with_its_reason(state_home: StateDirectory) -> None:
    told = lines(
        state_home,
        breaker=BreakerState(state="open", reason="it does not answer"),
        pressure=Pressure(reason="the disk fills up"),
        last_landing=LastLanding(at=LONG_AGO, rows=1_200),
        last_refresh=LastRefresh(at=LONG_AGO, changed=1_300),
        last_clean_up=LastCleanUp(at=LONG_AGO, removed=1_400),
        last_backup=LastBackup(at=LONG_AGO, bytes=2_048),
    )
    assert told["breaker"] == "open (it does not answer)"
    assert told["pressure"] == "the disk fills up"
    assert told["last landing"] == "10 d ago, 1,200 rows"
    assert told["last refresh"] == "10 d ago, 1,300 contexts changed"
    assert told["last clean-up"] == "10 d ago, 1,400 things removed"
    assert told["last backup"] == "10 d ago, 2.0 KiB"


@pytest.mark.parametrize(
    ("enabled", "error", "problem"),
    [
        (False, None, None),
        (True, None, None),
        (
            True,
            ModuleNotFoundError("x", name="ijson"),
            "on; what reads the histories is not installed: pip install 'cdesk[worker]'",
        ),
        (True, StateDirectoryError("capture.db is torn"), "capture.db is torn"),
    ],
)
def test_capture_that_cannot_be_looked_at_says_why_in_both_forms(
    enabled: bool,
    error: Exception | None,
    problem: str | None,
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def look(*_: object) -> CaptureStatus:
        if error is not None:
            raise error
        return CAPTURE

    monkeypatch.setattr(capture_status, "capture_status", look)
    if enabled:
        (state_home.root / "config.toml").write_text(
            "[capture]\nenabled = true\n", encoding="utf-8"
        )
    assert main(["status"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    looked = enabled and error is None
    expected = problem or status.capture_told(CAPTURE if looked else None)
    assert last.split(None, 1) == ["capture", expected]
    assert main(["status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["customer"] == "ada@example.com"
    assert (told["capture"]["enabled"], told["capture"]["problem"]) == (enabled, problem)
    assert ("files" in told["capture"]) is looked


def test_capture_that_was_on_once_is_looked_at_though_it_is_off(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture_status, "capture_status", lambda *_: CAPTURE)
    own = Settings(home=state_home.root, customer="ada")
    assert status._capture(own, state_home) == (None, None)
    state_home.capture.touch()
    assert status._capture(own, state_home) == (CAPTURE, None)
