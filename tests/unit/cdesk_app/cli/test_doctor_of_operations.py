"""What `cdesk doctor` says of clock, logs, metrics, traces and costs that are not as they should
be: each named, each with what to do.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cdesk.core.clock import format_ts
from cdesk.core.config import Settings, load_settings
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.core.metrics import SCRAPE_PROBLEMS
from cdesk.queue.scrape import scrape
from cdesk.state.access import AccessStore
from cdesk.state.database import open_state
from cdesk.state.facts import write_status
from cdesk.state.status import Spent
from cdesk.warehouse.snowflake.warehouse import SnowflakeWarehouse
from cdesk_app.cli import doctor
from cdesk_app.cli.doctor import Finding, _monitoring, examine
from cdesk_app.cli.status import capture_told
from cdesk_app.ops.backup import make_backup
from cdesk_app.worker.erasure import erase_customer, finish_erasures
from uploader.capture_status import CaptureStatus

NOW = format_ts(time.time_ns())


def findings(home: StateDirectory, **settings: str) -> dict[str, Finding]:
    environ = {
        "CDESK_HOME": str(home.root),
        "CDESK_CUSTOMER": "ada@example.com",
        "CDESK_WORKER": "off",
        **{f"CDESK_{name.upper()}": value for name, value in settings.items()},
    }
    return {finding.check: finding for finding in examine(environ)}


def failed(finding: Finding, *words: str) -> None:
    """It failed, says these words, and has a remedy."""
    assert finding.level == "failed", finding
    assert [word for word in words if word not in f"{finding.found} {finding.todo}"] == []
    assert finding.todo


@pytest.fixture
def worker(state_home: StateDirectory) -> Iterator[None]:
    """A worker seems to run."""
    lock = FileLock(state_home.worker_lock)
    assert lock.acquire()
    yield
    lock.release()


def test_nothing_is_wrong_with_a_new_directory(state_home: StateDirectory) -> None:
    found = findings(state_home)
    for check in ("clock", "log", "metrics", "cost guard"):
        assert found[check].level == "ok", found[check]


def test_a_clock_that_is_hours_behind_what_was_written_is_named(
    state_home: StateDirectory,
) -> None:
    state_home.worker_log.write_text("", encoding="utf-8")
    ahead = time.time() + 5 * 3600
    os.utime(state_home.worker_log, (ahead, ahead))
    failed(findings(state_home)["clock"], "worker.log", "5.0 hours", "set the clock")


@pytest.mark.parametrize(("hours", "way"), [(-3, "3.0 hours ahead of"), (2, "2.0 hours behind")])
def test_a_clock_that_is_hours_off_the_accounts_is_named(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch, hours: int, way: str
) -> None:
    settings = Settings(home=state_home.root, customer="ada", target="snowflake")
    distance = timedelta(hours=hours)
    monkeypatch.setattr(SnowflakeWarehouse, "clock_distance", lambda _: distance)
    failed(doctor._clock(settings, state_home, answers=True), way, "set the clock")
    assert doctor._clock(settings, state_home, answers=False).level == "ok", "nobody is asked"
    distance = timedelta(seconds=3)
    assert doctor._clock(settings, state_home, answers=True).level == "ok"


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_log_that_is_no_file_is_named(state_home: StateDirectory) -> None:
    state_home.worker_log.mkdir()
    failed(findings(state_home)["log"], "worker.log", "mv ")
    state_home.worker_log.rmdir()
    state_home.render_log.symlink_to("/dev/null")
    failed(findings(state_home)["log"], "render.log", "mv ")


def test_a_folder_of_counts_that_is_none_is_named_and_the_scrape_says_so(
    state_home: StateDirectory,
) -> None:
    def problem() -> float:
        settings = Settings(home=state_home.root, customer="ada")
        return scrape(settings, state_home)[SCRAPE_PROBLEMS]["counts",].value

    assert "metrics folder" not in findings(state_home)
    assert problem() == 0
    state_home.metrics.write_text("no folder", encoding="utf-8")
    failed(findings(state_home)["metrics folder"], "is no folder", "mv ")
    assert problem() == 1


def forbidden(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """As who may not: the user of these tests may write everything, often."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda one, mode: one != path and access(one, mode))


@pytest.mark.parametrize("name", ["artifacts", "backlog", "dbt", "charts"])
def test_another_folder_that_is_none_is_named(state_home: StateDirectory, name: str) -> None:
    (state_home.root / name).write_text("no folder", encoding="utf-8")
    failed(findings(state_home)[f"{name} folder"], "is no folder", "mv ")


def test_a_folder_of_counts_without_permission_is_named(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_home.metrics.mkdir()
    forbidden(monkeypatch, state_home.metrics)
    failed(findings(state_home)["metrics folder"], "cannot be read and written", "chmod 700")


def test_a_log_without_permission_is_named(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_home.worker_log.write_text("", encoding="utf-8")
    forbidden(monkeypatch, state_home.worker_log)
    failed(findings(state_home)["log"], "cannot be written", "chmod 600")


def test_an_erasure_that_died_half_way_is_named_until_it_has_ended(
    state_home: StateDirectory,
) -> None:
    assert "erasure" not in findings(state_home)
    settings = load_settings({"CDESK_HOME": str(state_home.root), "CDESK_CUSTOMER": "ada"})
    step = ""

    def die(name: str) -> None:
        nonlocal step
        step = step or name
        if name != step:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        erase_customer(settings, state_home, "bob@example.com", local_only=True, tell=die)
    failed(findings(state_home)["erasure"], "bob@example.com", "has not ended", "worker --once")
    (report,) = finish_erasures(settings, state_home)  # of this computer alone, as it was begun
    assert any("dbt run-operation erase" in left for left in report.left)
    assert "erasure" not in findings(state_home)
    state_home.erasing.write_text("{", encoding="utf-8")
    failed(findings(state_home)["erasure"], "cannot be read", "cdesk erase CUSTOMER")


def test_a_backup_that_is_cut_edited_or_broken_off_is_named(
    state_home: StateDirectory, tmp_path: Path
) -> None:
    settings = Settings(home=state_home.root, customer="ada")
    assert "none was made yet" in findings(state_home)["backup"].found
    file = tmp_path / "b.zip"
    make_backup(settings, state_home, file)
    assert findings(state_home)["backup"].level == "ok"
    whole = file.read_bytes()
    edited = bytearray(whole)
    edited[len(whole) // 2] ^= 0xFF
    for damaged, word in ((whole[:-9], "bytes, and"), (bytes(edited), "no whole backup")):
        file.write_bytes(damaged)
        failed(findings(state_home)["backup"], str(file), word, "cdesk backup")
    file.unlink()
    assert findings(state_home)["backup"].level == "ok", "it is kept elsewhere"

    told = []
    make_backup(
        settings, state_home, file, tell=lambda _: told.append(findings(state_home)["backup begun"])
    )
    assert {(one.level, str(file) in one.found) for one in told} == {("note", True)}
    assert ".b.zip.*" in str(told[0].todo)
    assert "backup begun" not in findings(state_home)


def test_what_a_restore_left_is_named_and_goes_with_an_erasure(state_home: StateDirectory) -> None:
    for path in (state_home.restoring, state_home.restoring_beside):
        path.mkdir()
        (path / "state.db").write_bytes(b"of bob")
        found = findings(state_home)["restore"]
        assert (found.level, str(path) in found.found, str(path) in str(found.todo)) == (
            ("note", True, True)
        )
        settings = Settings(home=state_home.root, customer="ada")
        erase_customer(settings, state_home, "bob", local_only=True)
        assert not path.exists()
    for name in ("manifest.json", "seal"):
        assert "restore" not in findings(state_home)
        (state_home.root / name).write_bytes(b"{}")
    failed(findings(state_home)["restore"], "another program", "--with-queue-of")


@pytest.mark.usefixtures("worker")
def test_an_address_at_which_nothing_answers_is_named(state_home: StateDirectory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        assert findings(state_home, metrics_address=address)["metrics"].level == "ok"
    failed(
        findings(state_home, metrics_address=address)["metrics"], "nothing answers", "worker --stop"
    )


def test_a_collector_that_is_not_there_is_named(state_home: StateDirectory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert findings(state_home, otlp_endpoint=endpoint)["traces"].level == "ok"
    failed(findings(state_home, otlp_endpoint=endpoint)["traces"], endpoint, "start the collector")


def test_metrics_without_a_worker_are_a_note(state_home: StateDirectory) -> None:
    found = findings(state_home, metrics_address="127.0.0.1:9464")["metrics"]
    assert (found.level, found.todo) == ("note", "cdesk worker --stay")


def test_metrics_for_others_need_a_token_of_the_role(state_home: StateDirectory) -> None:
    asked = {"metrics_address": "0.0.0.0:9464"}
    failed(findings(state_home, **asked)["metrics"], "cdesk token add prometheus --role metrics")
    with closing(AccessStore(state_home.access_db)) as store:
        store.add_tokens(["ada"], roles=["analyst"], expires_at=None, now=NOW)
        assert findings(state_home, **asked)["metrics"].level == "failed", "of another role"
        store.add_tokens(["prometheus"], roles=["metrics"], expires_at=None, now=NOW)
    assert findings(state_home, **asked)["metrics"].level == "note", "no worker runs, and no more"


@pytest.mark.parametrize(
    ("missing", "settings", "check"),
    [
        ("prometheus_client", {"metrics_address": "127.0.0.1:9464"}, "part ops"),
        ("opentelemetry.sdk", {"otlp_endpoint": "http://127.0.0.1:4318"}, "traces"),
    ],
)
def test_what_is_configured_and_not_installed_is_named(
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
    settings: dict[str, str],
    check: str,
) -> None:
    there = doctor._installed
    monkeypatch.setattr(doctor, "_installed", lambda name: name != missing and there(name))
    failed(findings(state_home, **settings)[check], "pip install 'cdesk[ops]'")
    assert findings(state_home).get(check, Finding("", "ok", "")).level == "ok", "not configured"


def test_a_feature_that_is_off_under_its_setting_is_a_note(state_home: StateDirectory) -> None:
    (state_home.root / "config.toml").write_text(
        "[features]\nmetrics = false\ntraces = false\n", encoding="utf-8"
    )
    found = findings(
        state_home, metrics_address="127.0.0.1:9464", otlp_endpoint="http://127.0.0.1:4318"
    )
    for check in ("metrics", "traces"):
        assert found[check].level == "note"
        assert "[features]" in str(found[check].todo)


def test_an_address_of_no_form_is_a_setting_to_mend(state_home: StateDirectory) -> None:
    failed(findings(state_home, metrics_address="9464")["settings"], "host:port as 127.0.0.1:9464")


def test_a_certificate_that_is_none_is_named(state_home: StateDirectory, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("nothing", encoding="utf-8")
    for path in (tmp_path / "no.pem", tmp_path / "gone.pem"):
        found = findings(state_home, metrics_certificates=str(path))["certificate"]
        failed(found, path.name, "CDESK_METRICS_CERTIFICATES")


@pytest.mark.parametrize(("days", "level"), [(-1, "failed"), (5, "note"), (60, "ok")])
def test_a_snowflake_key_that_ends_is_named_with_the_runbook(
    state_home: StateDirectory, days: int, level: str
) -> None:
    end = (datetime.now(UTC) + timedelta(days=days)).date().isoformat()
    (found,) = (
        finding
        for finding in _monitoring(
            Settings(
                home=state_home.root, customer="ada", target="snowflake", snowflake_key_expires=end
            ),
            state_home,
        )
        if finding.check == "snowflake key"
    )
    assert (found.level, end in found.found) == (level, True)
    assert ("key_rotation" in str(found.todo)) == (level != "ok")


def test_a_meter_without_permission_is_named_with_the_grant(state_home: StateDirectory) -> None:
    with closing(open_state(state_home.state_db)) as state:
        fact = Spent(period="2026-03-02", at=NOW, problem="insufficient privileges")
        write_status(state, fact, now=NOW)
    failed(
        findings(state_home)["cost guard"],
        "insufficient privileges",
        "grant database role snowflake.usage_viewer",
    )


def test_a_cap_that_was_reached_says_how_to_go_on(state_home: StateDirectory) -> None:
    with closing(open_state(state_home.state_db)) as state:
        fact = Spent(period="2026-03-02", at=NOW, tripped="cost guard: 5.35 credits today")
        write_status(state, fact, now=NOW)
    found = findings(state_home)["cost guard"]
    assert "5.35 credits" in found.found
    assert "cdesk kill-switch off" in str(found.todo)


def test_capture_is_told_by_status_and_doctor(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = CaptureStatus(True, False, (), ("/h",), 412, 3 << 20, 0, 0)
    assert capture_told(None).startswith("off;")
    assert capture_told(base) == "on: 412 files, 3.0 MiB read; see 'cdesk capture'"
    behind = replace(
        base, behind_bytes=1 << 20, unknown={"a": 2, "b": 1}, unreadable={"/h/x": "denied"}
    )
    told = capture_told(behind)
    assert "1.0 MiB still to come" in told
    assert "3 lines or fields of kinds" in told
    assert "1 places that cannot be read" in told

    def said(status: CaptureStatus) -> Finding:
        monkeypatch.setattr("uploader.capture_status.capture_status", lambda *_: status)
        return findings(state_home, capture="on")["capture"]

    assert said(base).level == "ok"
    failed(said(behind), "/h/x", "denied", "chmod")
    assert said(replace(base, folders=())).level == "note"
    linked = said(replace(base, passed_by={"/h/x": "a link"}))
    assert (linked.level, linked.found) == ("note", "/h/x is passed by (a link)")
    assert "cdesk import '/h/x'" in str(linked.todo)
    assert said(replace(base, unknown={"a": 1})).todo.startswith("pip install --upgrade")
    assert "capture" not in findings(state_home), "off, and nothing is to be said"
