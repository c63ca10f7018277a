"""What `cdesk doctor` says of each part in each of its states."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from cdesk.core.clock import format_ts, to_ns
from cdesk.core.config import Settings
from cdesk.core.errors import CatalogError, WarehouseError, WarehouseNotBuilt, WarehouseUnavailable
from cdesk.core.home import StateDirectory
from cdesk.queue.overview import Queue, Worker
from cdesk.state import catalog
from cdesk.state.database import open_state
from cdesk.state.facts import CatalogSeal
from cdesk.state.kill_switch import turn_on
from cdesk.state.snapshot import SnapshotWriter
from cdesk.state.status import Quarantined
from cdesk_app.cli import doctor
from cdesk_app.cli.doctor import FULL_DISK_BYTES, LOW_DISK_BYTES, Finding
from cdesk_app.ops.clients import desktop, entry
from cdesk_app.worker.version import running_version

QUEUE = Queue(records=0, bytes=0, files=0, oldest=None, foreign=[], held={})


def ago(**span: float) -> str:
    return format_ts(to_ns(datetime.now(UTC) - timedelta(**span)))


def overview(**parts: Any) -> Any:
    return SimpleNamespace(**parts)


def settings(home: StateDirectory, **changes: Any) -> Settings:
    return Settings(home=home.root, customer="ada", **changes)


@pytest.mark.parametrize("as_json", [False, True])
def test_findings_are_marked_and_only_a_failure_is_one(
    as_json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [Finding("a", "ok", "fine"), Finding("longer", "note", "hm", "do this")]
    monkeypatch.setattr(doctor, "examine", lambda _: iter(found))
    assert doctor.run(Namespace(json=as_json)) == 0
    told = capsys.readouterr().out
    if as_json:
        assert json.loads(told) == [
            {"check": "a", "level": "ok", "found": "fine", "todo": None},
            {"check": "longer", "level": "note", "found": "hm", "todo": "do this"},
        ]
    else:
        assert told.splitlines() == [
            "ok      a       fine",
            "note    longer  hm",
            "                → do this",
        ]
    found.append(Finding("b", "failed", "broken"))
    assert doctor.run(Namespace(json=as_json)) == 1


@pytest.mark.parametrize(
    ("free", "level"),
    [
        (FULL_DISK_BYTES - 1, "failed"),
        (FULL_DISK_BYTES, "note"),
        (LOW_DISK_BYTES - 1, "note"),
        (LOW_DISK_BYTES, "ok"),
    ],
)
def test_a_disk_that_fills_up_is_named(
    free: int, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> Any:
        asked.append(path)
        return SimpleNamespace(free=free)

    monkeypatch.setattr(doctor.shutil, "disk_usage", usage)
    found = doctor._disk(tmp_path / "not" / "there")
    assert (found.level, asked) == (level, [tmp_path])
    assert (str(tmp_path) in str(found.todo)) is (level != "ok")


@pytest.mark.parametrize(
    ("worker", "setting", "level", "word"),
    [
        (Worker(True, 7, version=running_version()), "auto", "ok", "running"),
        (Worker(True, 7), "auto", "ok", "running"),
        (Worker(True, 7, version="0.0.1"), "auto", "note", "while this command is version"),
        (Worker(False, version="0.0.1"), "auto", "ok", "the server starts one"),
        (Worker(False, problem="newer"), "auto", "failed", "ended: newer"),
        (Worker(True, 7, problem="of before"), "auto", "ok", "running"),
        (Worker(False), "off", "note", "CDESK_WORKER=off"),
        (Worker(False), "auto", "ok", "the server starts one"),
    ],
)
def test_whether_a_worker_does_its_work(
    worker: Worker, setting: Any, level: str, word: str, state_home: StateDirectory
) -> None:
    found = doctor._worker(overview(worker=worker), settings(state_home, worker=setting))
    assert (found.level, word in found.found) == (level, True)
    assert (found.todo is None) is (level == "ok")


@pytest.mark.parametrize(
    ("given", "level", "told", "todo"),
    [
        ({}, "ok", "0 records not landed yet", None),
        ({"records": 10_000}, "ok", "10,000 records not landed yet", None),
        ({"records": 10_001}, "note", "10,001 records not landed yet", "worker --once"),
        ({"foreign": ["a", "b", "c", "d"]}, "note", "a, b, c in ", "cdesk import"),
        ({"held": dict.fromkeys("abcd", "a folder")}, "failed", "4 in ", "permissions"),
        (
            {"held": {"a": "x"}, "foreign": ["b"], "records": 10**6},
            "failed",
            "1 in ",
            "permissions",
        ),
    ],
)
def test_what_does_not_land_is_named(
    given: dict[str, Any], level: str, told: str, todo: str | None, state_home: StateDirectory
) -> None:
    found = doctor._queue(overview(queue=replace(QUEUE, **given)), state_home)
    assert (found.level, found.found.startswith(told)) == (level, True)
    assert (todo or "None") in str(found.todo)
    if "held" in given:
        assert ("c (a folder)" in found.found, "d (a folder)" in found.found) == (
            len(given["held"]) > 2,
            False,
        )


def test_the_oldest_that_waits_is_told(state_home: StateDirectory) -> None:
    waits = replace(QUEUE, records=3, oldest=ago(hours=2.1))
    found = doctor._queue(overview(queue=waits), state_home)
    assert found.found == "3 records not landed yet, the oldest from 2 h ago"


def test_lines_in_quarantine_wait_for_a_decision() -> None:
    assert doctor._quarantine(overview(quarantine=Quarantined())).level == "ok"
    found = doctor._quarantine(overview(quarantine=Quarantined(ago(days=1), 3, {"x": 3})))
    assert (found.level, found.todo) == ("note", "cdesk quarantine list")


@pytest.mark.parametrize(
    ("days", "level", "said"),
    [
        (-1, "failed", "was good until"),
        (0, "note", "is good until"),
        (13, "note", "is good until"),
        (14, "ok", "is good until"),
    ],
)
def test_what_ends_is_named_two_weeks_before(days: int, level: str, said: str) -> None:
    today = datetime.now(UTC).date()
    found = doctor._expiry("certificate", "x.pem", today + timedelta(days=days))
    if datetime.now(UTC).date() == today:  # else midnight has passed meanwhile
        assert (found.level, said in found.found) == (level, True)


def test_a_snapshot_that_is_missing_old_or_damaged_is_named(state_home: StateDirectory) -> None:
    def look() -> Finding:
        return doctor._snapshot(settings(state_home), state_home)

    assert (look().level, look().todo) == ("note", "cdesk worker --once")
    for hours, level in ((23, "ok"), (25, "note")):
        SnapshotWriter(state_home.context_db).renew(
            iter(()), refreshed_at=ago(hours=hours), latest_mark="m", complete=True
        )
        assert look().level == level
        assert look().found.startswith("refreshed ")
    state_home.context_db.write_bytes(b"no database" * 999)
    assert (look().level, look().todo) == ("failed", "cdesk refresh")


@pytest.mark.parametrize(
    ("given", "told", "is_offered"),
    [
        ({"roles": ("analyst",)}, "Claude has the role analyst", False),
        ({}, "Claude sees the data of ada alone", True),
        ({"target": "snowflake"}, "Claude sees the data of ada alone", False),
    ],
)
def test_what_claude_may_ask_is_told(
    given: dict[str, Any], told: str, is_offered: bool, state_home: StateDirectory
) -> None:
    found = doctor._roles(settings(state_home, **given))
    assert (found.level, found.found.startswith(told)) == ("ok", True)
    assert ("cdesk connect --roles analyst" in found.found) is is_offered


def test_a_state_that_cannot_be_used_or_is_switched_off_is_named(
    state_home: StateDirectory,
) -> None:
    def look() -> Finding:
        return doctor._state(settings(state_home), state_home)

    assert look() == Finding("state.db", "ok", "can be read and written")
    with closing(open_state(state_home.state_db)) as state:
        turn_on(state, state_home, reason="spend", now=ago(hours=2.1))
        assert look() == Finding(
            "state.db", "note", "the kill switch is on since 2 h ago", "cdesk kill-switch off"
        )
        state.execute("pragma user_version = 9999")
    assert (look().level, look().todo) == ("failed", "pip install --upgrade cdesk")


def test_a_warehouse_that_is_not_built_or_whose_log_was_damaged_is_named(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> Finding:
        return doctor._warehouse(settings(state_home), state_home)

    assert (look().level, look().found) == ("note", "not built yet")
    state_home.warehouse.touch()
    answers = SimpleNamespace(data_version=lambda: "1")
    monkeypatch.setattr(doctor, "_impatient", lambda *_: answers)
    assert look() == Finding("warehouse (duckdb)", "ok", "built, and answers")
    for name in ("1", "2"):
        (state_home.root / f"warehouse.duckdb.wal.damaged-{name}").touch()
    found = look()
    assert (found.level, "damaged-2" in found.found, "damaged-1" in found.found) == (
        "note", True, False,
    )  # fmt: skip


def test_a_catalog_that_is_missing_is_compiled_by_the_worker(state_home: StateDirectory) -> None:
    found = doctor._catalog(settings(state_home), state_home)
    assert (found.level, found.todo) == ("note", "cdesk worker --once")
    state_home.catalog.write_bytes(b"{}")
    found = doctor._catalog(settings(state_home), state_home)
    assert (found.level, found.todo) == ("note", "cdesk refresh"), "its seal is not there"


@pytest.mark.parametrize(
    ("error", "level", "todo"),
    [
        (ModuleNotFoundError("x", name="duckdb"), "note", "pip install 'cdesk[worker]'"),
        (WarehouseNotBuilt("no table"), "note", "cdesk worker --once"),
        (WarehouseUnavailable("held"), "note", "end the program that holds it"),
        (WarehouseError("torn"), "failed", "restore the file from a backup"),
    ],
)
def test_a_warehouse_that_does_not_answer_is_named(
    error: Exception,
    level: str,
    todo: str,
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state_home.warehouse.touch()
    monkeypatch.setattr(
        doctor, "_impatient", lambda *_: Mock(**{"data_version.side_effect": error})
    )
    found = doctor._warehouse(settings(state_home), state_home)
    assert (found.level, todo in str(found.todo)) == (level, True)


def test_a_catalog_of_another_version_is_to_be_compiled_anew(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_home.catalog.write_bytes(b"{}")
    seal = CatalogSeal(digest="d", project="p1")
    monkeypatch.setattr(catalog, "read_seal", lambda _: seal)
    monkeypatch.setattr(catalog, "sealed_catalog", lambda _: Mock(templates={"a": 1, "b": 2}))
    for installed, level in (("p1", "ok"), (None, "ok"), ("p2", "note")):
        monkeypatch.setattr(doctor, "_project_fingerprint", lambda *_, made=installed: made)
        found = doctor._catalog(settings(state_home), state_home)
        assert (found.level, found.found.startswith("2 templates, ")) == (level, True)
    seal = CatalogSeal(digest="d")
    assert doctor._catalog(settings(state_home), state_home).level == "ok", "of before"


@pytest.mark.parametrize(
    ("endpoint", "host", "port"),
    [
        ("http://collector:4318", "collector", 4318),
        ("http://collector/v1/traces", "collector", 80),
        ("https://collector", "collector", 443),
    ],
)
def test_a_collector_is_looked_for_at_its_port(
    endpoint: str, host: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(doctor, "_answers", lambda *place: asked.append(place) or len(asked) == 1)
    assert [doctor._traces(endpoint).level for _ in range(2)] == ["ok", "failed"]
    assert asked == [(host, port)] * 2


PIP = "pip install 'cdesk[{}]'"


@pytest.mark.parametrize(
    ("given", "levels"),
    [
        ({}, {"worker": "note", "render": "note", "http": "ok", "ops": "ok"}),
        ({"worker": "off"}, {"worker": "ok", "render": "ok", "http": "ok", "ops": "ok"}),
        (
            {"target": "snowflake", "worker": "off"},
            {"snowflake": "failed", "render": "ok", "http": "ok", "ops": "ok"},
        ),
        (
            {
                "worker": "off",
                "artifacts_url": "s3://b/p",
                "metrics_address": "127.0.0.1:9",
            },
            {"worker": "ok", "render": "ok", "http": "ok", "s3": "failed", "ops": "failed"},
        ),
    ],
)
def test_a_part_that_is_missing_counts_as_much_as_what_it_is_for(
    given: dict[str, Any],
    levels: dict[str, str],
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = settings(state_home, **given)
    monkeypatch.setattr(doctor, "_installed", lambda _: False)
    found = {one.check.removeprefix("part "): one for one in doctor._parts(own)}
    assert {extra: one.level for extra, one in found.items()} == levels
    for extra, one in found.items():
        assert one.todo == (None if one.level == "ok" else PIP.format(extra))
    monkeypatch.setattr(doctor, "_installed", lambda _: True)
    assert list(doctor._parts(own)) == [
        Finding(f"part {extra}", "ok", "installed") for extra in levels
    ]


def test_what_a_missing_part_leaves_out_is_said(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_installed", lambda name: name in ("duckdb", "jwt"))
    found = {one.check: one for one in doctor._parts(settings(state_home))}
    assert found["part http"].found == "not installed: no service over HTTP"
    assert found["part worker"].found.startswith("not installed (agate, dbt, ")
    assert found["part worker"].found.endswith("): nothing lands from this computer")
    assert "duckdb, ijson" not in found["part worker"].found


def test_a_module_is_installed_where_it_can_be_found() -> None:
    assert doctor._installed("json.decoder")
    assert not doctor._installed("json.no_such")
    assert not doctor._installed("no_such_package.at_all")


def test_the_sdk_says_whether_its_quick_start_was_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mcp_shim import lazy_sdk

    monkeypatch.setattr(lazy_sdk, "unmeasured", lambda: None)
    assert doctor._sdk().level == "ok"
    monkeypatch.setattr(lazy_sdk, "unmeasured", lambda: "mcp is 99")
    found = doctor._sdk()
    assert (found.level, found.found.startswith("mcp is 99: it is imported in full")) == (
        *("note", True),
    )
    assert "pip install 'mcp==" in str(found.todo)


def test_the_bounds_are_those_of_the_documentation() -> None:
    assert (LOW_DISK_BYTES, FULL_DISK_BYTES) == (1_073_741_824, 104_857_600)
    assert doctor.OLD_SNAPSHOT_SECONDS == 86_400
    assert doctor.CHECKED_BACKUP_BYTES == 268_435_456


@pytest.mark.skipif(os.name == "nt", reason="no file modes there")
@pytest.mark.parametrize("mode", [0o700, 0o701, 0o740, 0o720])
def test_a_directory_is_its_persons_alone(mode: int, state_home: StateDirectory) -> None:
    state_home.root.chmod(mode)
    found = doctor._directory(state_home)
    if mode == 0o700:
        assert found == Finding("state directory", "ok", str(state_home.root))
    else:
        assert found.level == "failed"
        assert f"has mode {mode:04o}: " in found.found
        assert found.todo == f"chmod 700 '{state_home.root}'"
    state_home.root.chmod(0o700)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = doctor._directory(StateDirectory(tmp_path / "file"))
    assert (found.check, found.level) == ("state directory", "failed")
    assert "CDESK_HOME" in str(found.todo)


def test_what_one_finding_rests_on_comes_before_it_and_what_cannot_be_looked_at_is_left_out(
    tmp_path: Path,
) -> None:
    def checks(**environ: str) -> list[str]:
        home = str(tmp_path / "state")
        found = doctor.examine({"CDESK_HOME": home, "CDESK_CUSTOMER": "ada", **environ})
        return [one.check for one in found if not one.check.startswith("part ")]

    assert checks(CDESK_TARGET="oracle") == ["python", "settings"]
    new = ["python", "settings", "MCP SDK", "disk", "state directory"]
    assert checks() == [*new, "Claude Desktop", "roles"]
    StateDirectory(tmp_path / "state").ensure()
    assert checks() == [
        *("python", "settings", "MCP SDK", "disk", "state directory", "state.db", "backup"),
        *("worker", "queue", "quarantine", "cost guard", "HTTP service", "warehouse (duckdb)"),
        *("catalog", "snapshot", "clock", "log", "metrics", "Claude Desktop", "roles"),
    ]
    if os.name != "nt":
        (tmp_path / "state").chmod(0o755)
        assert checks() == [*new, "metrics", "Claude Desktop", "roles"]
        (tmp_path / "state").chmod(0o700)


def test_the_python_that_runs_it_is_named() -> None:
    version = ".".join(map(str, sys.version_info[:3]))
    assert doctor._python() == Finding("python", "ok", f"{version} ({sys.executable})")


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("target", ["duckdb", "snowflake"])
def test_the_accounts_clock_is_asked_where_it_answers(
    answers: bool, target: Any, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_account_ahead", lambda _: 7_200.0)
    found = doctor._clock(settings(state_home, target=target), state_home, answers=answers)
    assert (found.level == "failed") is (answers and target == "snowflake")
    if found.level == "failed":
        assert found.found == "this computer's clock is 2.0 hours behind the account's"
        monkeypatch.setattr(doctor, "_account_ahead", lambda _: -5_400.0)
        found = doctor._clock(settings(state_home, target=target), state_home, answers=True)
        assert found.found == "this computer's clock is 1.5 hours ahead of the account's"
        monkeypatch.setattr(doctor, "_account_ahead", lambda _: doctor.FUTURE_SECONDS)
        found = doctor._clock(settings(state_home, target=target), state_home, answers=True)
        assert found.level == "ok"


def test_the_newest_file_says_how_far_the_clock_is_behind(state_home: StateDirectory) -> None:
    now = datetime.now(UTC).timestamp()
    for path, hours in (
        (state_home.state_db, 1),
        (state_home.queue / "z.ndjson", 7),
        (state_home.queue / "a.ndjson", 5),
        (state_home.worker_log, 3),
    ):
        path.touch()
        os.utime(path, (now, now + hours * 3_600 + 1_200))
    found = doctor._clock(settings(state_home), state_home, answers=False)
    assert found.level == "failed"
    assert found.found.startswith("z.ndjson was written 7.")


def test_a_warehouse_that_is_held_is_not_waited_for_long(state_home: StateDirectory) -> None:
    state_home.warehouse.touch()
    impatient: Any = doctor._impatient(settings(state_home), state_home)
    assert impatient._read_wait == doctor.LOCK_WAIT_SECONDS
    impatient.close()


def test_a_refused_catalog_is_set_aside(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object) -> Any:
        raise CatalogError("it was edited")

    state_home.catalog.write_bytes(b"edited")
    monkeypatch.setattr(catalog, "read_seal", lambda _: CatalogSeal(digest="d"))
    monkeypatch.setattr(catalog, "sealed_catalog", refused)
    found = doctor._catalog(settings(state_home), state_home)
    aside = state_home.catalog.with_name("catalog.json.refused")
    assert (found.level, found.todo) == ("failed", "cdesk refresh")
    assert found.found.startswith(f"it was edited. It stands now in {aside}; ")
    assert aside.read_bytes() == b"edited"
    monkeypatch.setattr(catalog, "read_seal", refused)
    state_home.catalog.write_bytes(b"edited")
    found = doctor._catalog(settings(state_home), state_home)
    assert (found.level, found.todo) == ("failed", f"mend {state_home.state_db}")


@pytest.mark.parametrize(
    ("setting", "level"),
    [("home", "failed"), ("customer", "failed"), ("target", "failed"), ("timezone", "note")],
)
def test_an_entry_of_other_settings_is_told_with_both_sides(
    setting: str, level: str, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = SimpleNamespace(raw=b"{}", values={}, marked=False)
    server = {"command": sys.executable}
    monkeypatch.setattr(desktop, "read_configuration", lambda _: configuration)
    monkeypatch.setattr(entry, "find_entry", lambda _: ("mine", server))
    monkeypatch.setattr(
        entry, "differences", lambda *_: [(setting, "here", "there"), ("worker", "auto", "off")]
    )
    found = doctor._claude_desktop(settings(state_home))
    assert (found.level, found.found) == (
        level,
        f"its entry 'mine' has other settings than this terminal: {setting} is there, here here; "
        "worker is off, here auto",
    )
    assert str(found.todo).endswith(", or give this terminal the settings of the entry")
    monkeypatch.setattr(entry, "differences", lambda *_: [])
    assert doctor._claude_desktop(settings(state_home)).level == "ok"
    server["command"] = "/no/such/cdesk"
    found = doctor._claude_desktop(settings(state_home))
    assert (found.level, "starts /no/such/cdesk, which is not there" in found.found) == (
        *("failed", True),
    )
    configuration.marked = True
    found = doctor._claude_desktop(settings(state_home))
    assert found.found.endswith("begins with a byte order mark")
    monkeypatch.setattr(entry, "find_entry", lambda _: None)
    found = doctor._claude_desktop(settings(state_home))
    assert (found.level, found.found) == ("note", "its configuration does not name cdesk")
    configuration.raw = None  # type: ignore[assignment]
    assert doctor._claude_desktop(settings(state_home)).found == "no configuration found"
