"""The worker as it runs: the real process, the real dbt project, one state directory."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import orjson
import psutil
import pytest

from cdesk.contract.catalog import load_catalog
from cdesk.contract.records import Kind, encode, make_record
from cdesk.core.clock import IdSource, format_ts
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.core.processes import NICENESS
from cdesk.core.wake import WakeSender, read_worker
from cdesk.queue.writer import QueueWriter
from cdesk.state.database import SCHEMA_VERSION, open_state
from cdesk.state.facts import read_status
from cdesk.state.snapshot import SnapshotReader
from cdesk.state.status import LastBuild, WorkerState
from cdesk.state.tickets import expiry_of, get_ticket, submit_ticket
from cdesk_app.cli.main import main
from cdesk_app.worker.alone import stop_worker
from cdesk_app.worker.dbt.project import locate_project
from cdesk_app.worker.main import RUNNING_ALREADY, run_once
from mcp_shim.worker_start import WORKER_COMMAND, WorkerStarter

ADA = "ada@example.com"


class Shim:
    """What a shim does to a state directory: records, pending insights, tickets."""

    def __init__(self, home: StateDirectory) -> None:
        self.home = home
        self.ids = IdSource()
        self.queue = QueueWriter(home.queue)
        self.state: sqlite3.Connection = open_state(home.state_db)
        self.wake = WakeSender(home)

    def record(self, kind: Kind, **fields: Any) -> str:
        id, ts = self.ids.uuid7(), format_ts(time.time_ns())
        line = encode(
            make_record(
                kind,
                id=id,
                ts=ts,
                customer=ADA,
                session_id=None,
                query_tag=self.ids.query_tag(),
                fields=fields,
            )
        )
        if kind == "insight":
            self.state.execute(
                "insert into pending_insights (id, customer, ts, subject, metric, value) "
                "values (?, ?, ?, ?, ?, ?)",
                (
                    id,
                    ADA,
                    ts,
                    fields["subject"],
                    fields["metric"],
                    orjson.dumps(fields["value"]).decode(),
                ),
            )
        self.queue.append(line)
        self.wake.send()
        return id

    def ask(self, question: str) -> str:
        return self.record(
            "event",
            activity="cdesk.user_asked",
            feature_json={"question": question},
            anonymous_customer_id=None,
            link=None,
            revenue_impact=None,
        )

    def learn(self, value: int) -> str:
        return self.record(
            "insight", subject="sales", metric="total", value=value, provenance_query_hash=None
        )

    def submit(self, template: str, **params: object) -> str:
        found = load_catalog(self.home.catalog).get(template)
        checked = found.check_params(params)
        id, now = self.ids.uuid7(), format_ts(time.time_ns())
        submit_ticket(
            self.state,
            ticket_id=id,
            customer=ADA,
            is_analyst=True,
            session_id=None,
            template=template,
            params=checked,
            query_hash=found.query_hash(checked, customer=ADA, is_analyst=True),
            query_tag=self.ids.query_tag(),
            byte_cap=None,
            submitted_at=now,
            expires_at=expiry_of(now),
        )
        self.wake.send()
        return id

    def close(self) -> None:
        self.queue.close()
        self.wake.close()
        self.state.close()


@pytest.fixture(scope="module")
def home(first_round: Path, tmp_path_factory: pytest.TempPathFactory) -> StateDirectory:
    """A copy of a state directory that was built elsewhere."""
    root = tmp_path_factory.mktemp("worker") / "home"
    shutil.copytree(first_round, root)
    return StateDirectory(root).ensure()


@pytest.fixture(scope="module")
def settings(home: StateDirectory) -> Settings:
    return Settings(home=home.root, customer=ADA, environ=dict(os.environ))


@pytest.fixture(scope="module")
def shim(home: StateDirectory, settings: Settings) -> Iterator[Shim]:
    """A shim with one question and one insight behind it, and one pipeline cycle."""
    shim = Shim(home)
    shim.ask("first")
    shim.learn(1)
    parse = home.dbt / "target" / "perf_info.json"  # what dbt writes of a parse
    parse.unlink(missing_ok=True)
    report = run_once(settings)
    assert report.builds == 1
    assert report.templates is None, "a copied directory is not exported again"
    assert not parse.exists(), "nor parsed anew"
    mark = home.dbt / "target" / "parsed_project"
    assert mark.read_text("utf-8") == locate_project(settings, home).fingerprint()
    yield shim
    shim.close()


class Running:
    """The worker of the tests in a row that leave it running; another once it has ended."""

    def __init__(self, home: StateDirectory) -> None:
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None

    def get(self) -> subprocess.Popen[bytes]:
        """One that has announced itself."""
        if self._process is None or self._process.poll() is not None:
            self.end()
            process = self._process = start(self._home)
            wait_for(
                lambda: (said := read_worker(self._home)) is not None and said.pid == process.pid
            )
        return self._process

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture(scope="module")
def running(home: StateDirectory, shim: Shim) -> Iterator[Running]:
    del shim
    running = Running(home)
    yield running
    running.end()


@pytest.fixture
def worker(running: Running) -> subprocess.Popen[bytes]:
    """A running worker, which other tests may have asked for something."""
    return running.get()


@pytest.fixture
def no_worker(running: Running) -> None:
    """None runs that a test before has left."""
    running.end()


def start(home: StateDirectory, **environ: str) -> subprocess.Popen[bytes]:
    """A worker by the arguments that the shim uses, its output at hand."""
    return subprocess.Popen(
        WORKER_COMMAND,
        env={**os.environ, "CDESK_HOME": str(home.root), "CDESK_CUSTOMER": ADA, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_for(found: Callable[[], object], seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def landed(home: StateDirectory, id: str) -> int:
    try:
        with duckdb.connect(str(home.warehouse), read_only=True) as connection:
            return int(
                connection.execute(
                    "select count(*) from activities.landing where id = ?", [id]
                ).fetchall()[0][0]
            )
    except duckdb.IOException:  # the worker has the file just now
        return -1


def context(home: StateDirectory) -> dict[str, Any]:
    with contextlib.closing(SnapshotReader(home.context_db)) as reader:
        row = reader.read(ADA)[0]
    assert row is not None
    found: dict[str, Any] = orjson.loads(row.context)
    return found


def test_one_round_lands_builds_and_renews_what_the_turn_path_reads(
    shim: Shim, home: StateDirectory
) -> None:
    assert [item["question"] for item in context(home)["recent_questions"]] == ["first"]
    assert [item["value"] for item in context(home)["unverified"]] == [1]
    assert shim.state.execute("select count(*) from pending_insights").fetchone() == (0,)
    assert read_status(shim.state, LastBuild).status == "succeeded"


@pytest.mark.usefixtures("no_worker")
def test_a_second_round_is_short_runs_tickets_and_lands_their_records(
    shim: Shim, home: StateDirectory, settings: Settings
) -> None:
    shim.ask("second")
    ticket = shim.submit("recent_activities", limit=5)
    report = run_once(settings)
    assert report.builds >= 1
    assert (report.tickets, report.waiting) == (1, 0)
    answered = get_ticket(shim.state, ticket, customer=ADA)
    assert answered.status == "succeeded"
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        kinds = connection.execute(
            "select kind, count(*) from activities.landing group by 1"
        ).fetchall()
    assert ("query_run", 1) in kinds


def test_it_leaves_the_processor_to_who_is_waited_for(worker: subprocess.Popen[bytes]) -> None:
    priority = psutil.Process(worker.pid).nice()
    if sys.platform == "win32":
        assert priority == psutil.NORMAL_PRIORITY_CLASS, "its first thread alone is below"
    else:
        assert priority == min(psutil.Process().nice() + NICENESS, 19)


def test_a_second_worker_says_that_one_runs_and_exits_well(
    home: StateDirectory, worker: subprocess.Popen[bytes]
) -> None:
    second = start(home)
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0
    assert err.decode().splitlines() == [RUNNING_ALREADY]
    assert out == b""
    assert worker.poll() is None


def test_a_running_worker_lands_and_answers_when_woken_and_hands_over_on_sigterm(
    home: StateDirectory, worker: subprocess.Popen[bytes], shim: Shim
) -> None:
    id = shim.ask("third")
    ticket = shim.submit("activity_counts")
    wait_for(lambda: landed(home, id) == 1)
    wait_for(lambda: get_ticket(shim.state, ticket, customer=ADA).status == "succeeded")
    if sys.platform == "win32":
        return
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=20) == 0
    assert not home.worker_json.exists()
    with FileLock(home.worker_lock) as free:
        assert free
    lines = [orjson.loads(line) for line in home.worker_log.read_bytes().splitlines()]
    assert [line["reason"] for line in lines if line["message"] == "worker ends"][-1] == "stopped"


def test_once_asks_a_running_worker_and_waits_for_it(
    home: StateDirectory, worker: subprocess.Popen[bytes], shim: Shim, settings: Settings
) -> None:
    id = shim.learn(2)
    report = run_once(settings)
    assert report.handed_over
    assert report.builds >= 1
    assert worker.poll() is None
    assert id in {item["insight_id"] for item in context(home)["unverified"]}
    assert shim.state.execute("select count(*) from pending_insights").fetchone() == (0,)


def test_rounds_asked_for_at_once_are_all_answered(
    worker: subprocess.Popen[bytes], shim: Shim, settings: Settings
) -> None:
    shim.ask("before the rounds")
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: run_once(settings), range(4)))
    assert all(report.handed_over for report in reports)
    assert worker.poll() is None


def test_a_worker_is_stopped_by_command(
    worker: subprocess.Popen[bytes],
    home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CDESK_HOME", str(home.root))
    assert main(["worker", "--stop"]) == 0
    assert worker.wait(60) == 0
    assert "The worker has ended." in capsys.readouterr().out
    assert main(["worker", "--stop"]) == 0
    assert capsys.readouterr().out == "No worker runs.\n"


@pytest.mark.usefixtures("no_worker")
def test_a_line_more_in_a_history_is_in_the_next_answer(
    home: StateDirectory, shim: Shim, tmp_path: Path
) -> None:
    """Capture in the running worker: no command, no import, no build is asked for."""
    history = tmp_path / "claude" / "projects" / "-work-atlas" / "s1.jsonl"
    history.parent.mkdir(parents=True)

    def respond(number: int, output_tokens: int) -> None:
        usage = {"input_tokens": 1, "output_tokens": output_tokens}
        model = "claude-sonnet-4-5-20250929"
        line = {
            "type": "assistant",
            "timestamp": format_ts(time.time_ns()),
            "sessionId": "s1",
            "cwd": str(tmp_path / "atlas"),
            "message": {"id": f"msg_{number}", "model": model, "usage": usage, "content": []},
        }
        with history.open("ab") as file:
            file.write(orjson.dumps(line) + b"\n")

    def used() -> int:
        ticket = shim.submit("token_usage", period="project")

        def ended() -> bool:
            return get_ticket(shim.state, ticket, customer=ADA).status == "succeeded"

        wait_for(ended)
        result = get_ticket(shim.state, ticket, customer=ADA).result
        assert result is not None
        place = [column["name"] for column in result["columns"]].index("output_tokens")
        return sum(row[place] for row in result["rows"] if "atlas" in row)

    respond(1, 7)
    folders = {
        "CLAUDE_CONFIG_DIR": str(tmp_path / "claude"),
        "XDG_CONFIG_HOME": str(tmp_path),
        "HOME": str(tmp_path),
    }
    process = start(home, CDESK_CAPTURE="on", **folders)
    try:
        wait_for(lambda: used() == 7)
        respond(2, 5)
        wait_for(lambda: used() == 12)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX word")
def test_a_killed_worker_leaves_nothing_that_the_next_round_does_not_mend(
    home: StateDirectory, worker: subprocess.Popen[bytes], shim: Shim, settings: Settings
) -> None:
    ids = [shim.ask(f"question {number}") for number in range(20)]
    worker.kill()
    worker.wait()
    report = run_once(settings)
    assert not report.handed_over
    assert report.waiting == 0
    assert [landed(home, id) for id in ids] == [1] * 20
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        assert connection.execute(
            "select count(*), count(distinct _activity_id) from activities.events where "
            "_feature_json->>'question' like 'question %'"
        ).fetchall() == [(20, 20)]


@pytest.mark.usefixtures("no_worker")
def test_a_shim_starts_a_worker_that_lands_what_waits(
    home: StateDirectory, shim: Shim, settings: Settings
) -> None:
    id = shim.ask("asked while no worker ran")
    starter = WorkerStarter(dataclasses.replace(settings, worker="auto"), home)
    assert starter.look(), starter.missing
    try:
        wait_for(lambda: landed(home, id) == 1)
        assert not starter.look(), "one runs"
    finally:
        starter.release()
        assert stop_worker(home, by_signal=False), "by a request alone, in the middle of a build"


def test_a_setting_that_cannot_be_used_is_one_line_and_exit_1(tmp_path: Path) -> None:
    home = StateDirectory(tmp_path / "home").ensure()
    (home.root / "config.toml").write_text('target = "oracle"\n', encoding="utf-8")
    process = start(home)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.decode().splitlines() == ["cdesk: target is 'oracle'; allowed: duckdb, snowflake"]


# -- versions


def test_a_worker_that_a_newer_version_overtakes_ends_and_tells_who_waits(
    worker: subprocess.Popen[bytes],
    home: StateDirectory,
    shim: Shim,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = "state.db was written by a newer cdesk; upgrade this one"
    ticket = shim.submit("activity_counts")
    shim.state.execute(f"pragma user_version = {SCHEMA_VERSION + 1}")
    try:
        shim.wake.send()
        assert worker.wait(30) == 1
        ended = get_ticket(shim.state, ticket, customer=ADA)
        if ended.status != "succeeded":  # it may have been answered just before
            assert (ended.status, ended.error_code) == ("failed", "newer_version")
            assert ended.error_message == words
        late = shim.submit("activity_counts")
        again = start(home)
        _, err = again.communicate(timeout=60)
        assert again.returncode == 1, "one of the same version that starts now does not stay"
        assert err.decode().splitlines() == [f"cdesk: {words}"]
        ended = get_ticket(shim.state, late, customer=ADA)
        assert (ended.status, ended.error_code) == ("failed", "newer_version")
    finally:
        shim.state.execute(f"pragma user_version = {SCHEMA_VERSION}")
    assert read_status(shim.state, WorkerState).problem == words
    lines = [
        orjson.loads(line) for line in home.worker_log.read_bytes().splitlines() if line[:1] == b"{"
    ]
    assert words in [line.get("reason") for line in lines]
    monkeypatch.setenv("CDESK_HOME", str(home.root))
    assert main(["status"]) == 0
    assert f"ended: {words}" in capsys.readouterr().out
    assert main(["doctor"]) == 1
    assert f"ended: {words}" in capsys.readouterr().out


@pytest.mark.usefixtures("no_worker")
def test_a_worker_ends_when_another_version_is_installed_under_it(
    home: StateDirectory, shim: Shim, tmp_path: Path
) -> None:
    metadata = tmp_path / "site" / "cdesk-99.0.1.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: cdesk\nVersion: 99.0.1\n", encoding="utf-8")
    process = start(home, PYTHONPATH=str(tmp_path / "site"))
    try:
        wait_for(lambda: (said := read_worker(home)) is not None and said.pid == process.pid)
        wait_for(lambda: read_status(shim.state, WorkerState).version == "99.0.1")
        id = shim.ask("asked just before the upgrade")
        metadata.write_text(metadata.read_text().replace("99.0.1", "99.0.2"), encoding="utf-8")
        shim.wake.send()
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.communicate()
    assert landed(home, id) == 1
    assert read_status(shim.state, WorkerState).reason == "upgraded"
