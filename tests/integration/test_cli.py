"""The commands on a state directory with a real warehouse, built by dbt once for this module."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from bench.turn_path import fixtures
from cdesk.core.config import load_settings
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.state.database import open_state
from cdesk_app.cli.main import main
from tests.kept_open import kept_open

ROOT = Path(__file__).resolve().parents[2]
CUSTOMER = "ada@example.com"
QUESTIONS = 12


def conversations() -> list[dict[str, Any]]:
    """One conversation of an export, QUESTIONS questions and as many answers, long ago."""
    messages = [
        {
            "uuid": f"message-{number}",
            "sender": "human" if number % 2 == 0 else "assistant",
            "created_at": f"2026-01-31T12:{number:02d}:00Z",
            "text": f"text {number}",
            "content": [],
            "attachments": [],
            "files": [],
        }
        for number in range(2 * QUESTIONS)
    ]
    return [
        {
            "uuid": "conversation",
            "name": "a",
            "created_at": "2026-01-31T12:00:00Z",
            "chat_messages": messages,
        }
    ]


@pytest.fixture(scope="module")
def built(first_round: Path, tmp_path_factory: pytest.TempPathFactory) -> StateDirectory:
    """Imported and built by the commands themselves, the first in a process of its own."""
    folder = tmp_path_factory.mktemp("built")
    shutil.copytree(first_round, folder / "home")
    export = folder / "conversations.json"
    export.write_text(json.dumps(conversations()), encoding="utf-8")
    settings = {
        "CDESK_HOME": str(folder / "home"),
        "CDESK_CUSTOMER": CUSTOMER,
        "CDESK_WORKER": "off",
    }
    with pytest.MonkeyPatch.context() as environ:
        for name in [name for name in os.environ if name.startswith("CDESK_")]:
            environ.delenv(name)
        for name, value in settings.items():
            environ.setenv(name, value)
        run = subprocess.run(
            [sys.executable, "-m", "cdesk_app.cli", "import", "--include-text", str(export)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        assert main(["worker", "--once"]) == 0
    return StateDirectory(folder / "home")


@pytest.fixture
def cdesk(
    built: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> Callable[..., str]:
    """Run a command that must succeed (or end with `code`); what it printed (on stderr, where
    `code` is not 0).
    """
    monkeypatch.setenv("CDESK_HOME", str(built.root))

    def run(*words: str, code: int = 0) -> str:
        assert main(words) == code, capfdbinary.readouterr().err
        streams = capfdbinary.readouterr()
        return (streams.err if code else streams.out).decode()

    return run


def test_status_says_what_landed_and_was_built(cdesk: Callable[..., str]) -> None:
    found = json.loads(cdesk("status", "--json"))
    assert found["last_landing"]["rows"] >= 1
    assert found["last_build"]["status"] == "succeeded"
    assert found["worker"]["running"] is False
    assert found["queue"]["records"] == 0
    text = cdesk("status")
    assert "last build" in text
    assert "succeeded in" in text


def test_context_answers_what_the_import_brought(cdesk: Callable[..., str]) -> None:
    answer = json.loads(cdesk("context", "--json"))
    assert answer["customer"] == CUSTOMER
    assert answer["stale"] is False
    assert len(answer["context"]["recent_questions"]) == 10
    assert answer["context"]["recent_questions"][0]["question"] == f"text {2 * QUESTIONS - 2}"
    text = cdesk("context")
    assert "recent questions" in text
    assert f"text {2 * QUESTIONS - 2}" in text


def test_the_local_person_may_look_at_another_customers_context_which_is_empty(
    cdesk: Callable[..., str],
) -> None:
    answer = json.loads(cdesk("context", "bob@example.com", "--json"))
    assert answer["customer"] == "bob@example.com"
    assert answer["context"]["recent_questions"] == []


def test_templates_lists_all_and_explains_one(cdesk: Callable[..., str]) -> None:
    listed = json.loads(cdesk("templates", "--json"))
    names = [template["name"] for template in listed]
    assert {"recent_activities", "activity_counts", "insights", "health"} <= set(names)
    for name in names:
        text = cdesk("templates", name)
        assert f"cdesk query {name}" in text
    assert "did you mean recent_activities" in cdesk("templates", "recent_activity", code=2)


def test_an_example_of_each_parameter_runs(
    cdesk: Callable[..., str], built: StateDirectory
) -> None:
    """By its words; that each template runs is shown by tests/integration/queries."""
    given = set[tuple[str, str]]()
    templates = json.loads(cdesk("templates", "--json"))
    with kept_open(built.warehouse):
        for template in templates:
            takes = {(name, str(value)) for name, value in template["example"].items()}
            if takes <= given:
                continue
            given |= takes
            words = ["query", template["name"], "--json"]
            for key, value in template["example"].items():
                for item in value if isinstance(value, list) else [value]:
                    words += [
                        "-p",
                        f"{key}={str(item).lower() if isinstance(item, bool) else item}",
                    ]
            result = json.loads(cdesk(*words))
            assert result["columns"], template["name"]
            assert result["template"] == template["name"]


def test_query_prints_a_table_with_its_proof(cdesk: Callable[..., str]) -> None:
    text = cdesk("query", "activity_counts", "-p", "days_back=365")
    lines = text.splitlines()
    assert lines[0].split()[:2] == ["activity", "activity_count"]
    assert any(line.split()[:2] == ["cdesk.user_asked", str(QUESTIONS)] for line in lines)
    assert "query_hash " in text


def test_query_writes_the_whole_result_in_each_format(
    cdesk: Callable[..., str], tmp_path: Path
) -> None:
    words = (
        "query",
        "feature_values",
        "-p",
        "activity=cdesk.user_asked",
        "-p",
        "key=question",
        "-p",
        "days_back=365",
    )
    as_json = json.loads(cdesk(*words, "--format", "json"))
    names = [column["name"] for column in as_json["columns"]]
    assert len(as_json["rows"]) == as_json["row_count"] == QUESTIONS
    as_csv = list(csv.reader(io.StringIO(cdesk(*words, "--format", "csv"))))
    assert as_csv[0] == names
    assert len(as_csv) == QUESTIONS + 1
    target = tmp_path / "result.parquet"
    said = cdesk(*words, "--out", str(target))
    assert f"{QUESTIONS} rows" in said
    assert pq.read_table(target).num_rows == QUESTIONS
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".result")] == []


def test_the_preview_says_that_there_is_more(cdesk: Callable[..., str]) -> None:
    text = cdesk(
        "query",
        "feature_values",
        "-p",
        "activity=cdesk.user_asked",
        "-p",
        "key=question",
        "-p",
        "days_back=365",
    )
    assert f"10 of {QUESTIONS} rows" in text
    assert "The whole result: --format csv, json or parquet." in text


def test_an_identical_query_says_that_its_answer_is_an_earlier_one(
    cdesk: Callable[..., str],
) -> None:
    words = ("query", "insights", "-p", "limit=7")
    first, again = cdesk(*words), cdesk(*words)
    assert "from an earlier run" not in first
    assert "from an earlier run" in again
    assert "from an earlier run" not in cdesk(*words, "--fresh")


def test_a_dry_run_shows_sql_binds_and_plan(cdesk: Callable[..., str]) -> None:
    text = cdesk("query", "recent_activities", "-p", "hours_back=5", "--dry-run")
    assert "customer = ?" in text
    assert f"'{CUSTOMER}'" in text
    assert "othing was run" in text


@pytest.mark.parametrize(
    ("given", "said", "code"),
    [
        (
            ("-p", "hours_back=5000"),
            "hours_back: 5000 is not allowed; allowed: integer from 1 to 720",
            2,
        ),
        (("-p", "hours_back=many"), "hours_back: 'many' is not allowed", 2),
        (("-p", "hour_back=5"), "did you mean hours_back?", 2),
        (("-p", "hours_back=5", "-p", "hours_back=6"), "hours_back: given twice", 2),
        (("--out", "/nowhere/at/all.csv"), "cannot be written", 1),
    ],
)
def test_bad_parameters_are_refused_by_name(
    cdesk: Callable[..., str], given: tuple[str, ...], said: str, code: int
) -> None:
    assert said in cdesk("query", "recent_activities", *given, code=code)


def test_an_activity_that_never_happened_is_asked_for_and_the_nearest_known_one_named(
    cdesk: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(sys.stderr, "write", said.append)
    told = cdesk(
        "query", "time_to_convert", "-p", "from=cdesk.user_askd", "-p", "to=cdesk.claude_responded"
    )
    assert (
        "from: cdesk.user_askd is not in the vocabulary; did you mean cdesk.user_asked?"
        in "".join(said)
    )
    assert "conversion" in told


def test_the_kill_switch_refuses_queries_and_is_seen_in_status(cdesk: Callable[..., str]) -> None:
    cdesk("kill-switch", "on", "--reason", "credits are used up")
    try:
        refused = cdesk("query", "health", code=1)
        assert "credits are used up" in refused
        assert "cdesk kill-switch off" in refused
        assert "credits are used up" in cdesk("status")
        assert "on (credits are used up)" in cdesk("kill-switch", "status")
    finally:
        assert cdesk("kill-switch", "off") == "off: queries run\n"
    assert json.loads(cdesk("kill-switch", "status", "--json"))["on"] is False
    cdesk("query", "health")


def test_refresh_makes_catalog_and_snapshot_anew(
    cdesk: Callable[..., str], built: StateDirectory
) -> None:
    built.catalog.unlink()
    built.context_db.unlink()
    done = json.loads(cdesk("refresh", "--json"))
    assert done["by"] == "this command"
    assert done["contexts_changed"] == 1
    assert done["templates"] == len(json.loads(cdesk("templates", "--json")))
    assert json.loads(cdesk("context", "--json"))["context"]["recent_questions"]


def test_an_import_of_what_has_landed_adds_nothing(
    cdesk: Callable[..., str], tmp_path: Path
) -> None:
    export = tmp_path / "conversations.json"
    export.write_text(json.dumps(conversations()), encoding="utf-8")
    report = json.loads(cdesk("import", "--include-text", str(export), "--json"))
    assert (report["added"], report["known"]) == (0, 2 * QUESTIONS + 1)
    without = json.loads(cdesk("import", str(export), "--json"))
    assert (without["added"], without["changed"], without["conflicts"]) == (0, 2 * QUESTIONS + 1, 0)


# -- doctor


def findings(text: str) -> dict[str, dict[str, Any]]:
    return {finding["check"]: finding for finding in json.loads(text)}


def test_doctor_finds_a_built_directory_well(cdesk: Callable[..., str]) -> None:
    found = findings(cdesk("doctor", "--json"))
    assert {check for check, finding in found.items() if finding["level"] == "failed"} == set()
    assert found["warehouse (duckdb)"]["found"] == "built, and answers"
    assert "templates" in found["catalog"]["found"]
    assert all(finding["todo"] for finding in found.values() if finding["level"] != "ok")


def test_doctor_says_who_holds_the_warehouse(
    cdesk: Callable[..., str], built: StateDirectory
) -> None:
    code = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); "
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(built.warehouse)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"held"
        found = findings(cdesk("doctor", "--json"))["warehouse (duckdb)"]
        assert holder.stdin is not None
        holder.stdin.close()
    assert found["level"] == "note"
    assert str(holder.pid) in found["found"]


def doctor_of(capsys: pytest.CaptureFixture[str], *, code: int) -> dict[str, dict[str, Any]]:
    assert main(["doctor", "--json"]) == code
    return findings(capsys.readouterr().out)


def test_doctor_on_a_new_computer_notes_what_is_to_come(capsys: pytest.CaptureFixture[str]) -> None:
    found = doctor_of(capsys, code=0)
    assert found["state directory"]["todo"] == "nothing: the first command makes it"
    assert not load_settings(os.environ).home.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no file modes there")
def test_doctor_fails_on_a_directory_that_others_can_read(
    state_home: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    state_home.root.chmod(0o755)
    assert doctor_of(capsys, code=1)["state directory"]["todo"] == f"chmod 700 '{state_home.root}'"


def test_doctor_sets_a_catalog_aside_that_was_edited(
    state_home: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    fixtures.catalog(state_home)
    assert doctor_of(capsys, code=0)["catalog"]["level"] == "ok"
    edited = state_home.catalog.read_bytes().replace(b"where customer = ?", b"where ? is not null")
    state_home.catalog.write_bytes(edited)
    found = doctor_of(capsys, code=1)["catalog"]
    assert "not the catalog that this installation compiled" in found["found"]
    assert found["todo"] == "cdesk refresh"
    assert not state_home.catalog.exists()
    assert state_home.catalog.with_name("catalog.json.refused").read_bytes() == edited


def test_doctor_leaves_a_catalog_alone_that_it_cannot_judge(
    state_home: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    fixtures.catalog(state_home)
    with closing(open_state(state_home.state_db)) as state:
        state.execute("delete from worker_status")
    found = doctor_of(capsys, code=0)["catalog"]
    assert (found["level"], found["todo"]) == ("note", "cdesk refresh")
    assert state_home.catalog.exists()


def test_doctor_fails_on_damaged_files_and_names_them(
    state_home: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    fixtures.catalog(state_home)
    state_home.catalog.write_bytes(b"{")
    state_home.context_db.write_bytes(b"nonsense" * 1_000)
    found = doctor_of(capsys, code=1)
    for check in ("catalog", "snapshot"):
        assert found[check]["level"] == "failed", check
        assert found[check]["todo"]


@pytest.mark.skipif(
    sys.platform == "win32", reason="a folder in place of a file fails in another way there"
)
def test_doctor_fails_on_a_state_db_that_cannot_be_used(
    state_home: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    state_home.state_db.mkdir()
    found = doctor_of(capsys, code=1)["state.db"]
    assert found["level"] == "failed"
    assert str(state_home.state_db) in found["todo"]


def test_doctor_fails_on_a_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CDESK_WORKER", "maybe")
    assert "worker is 'maybe'" in doctor_of(capsys, code=1)["settings"]["found"]


def test_doctor_sees_that_a_worker_runs(
    state_home: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = FileLock(state_home.worker_lock)
    assert lock.acquire()
    try:
        assert doctor_of(capsys, code=0)["worker"]["found"].startswith("running")
    finally:
        lock.release()


@pytest.mark.parametrize(
    ("configuration", "level", "said"),
    [
        (None, "note", "no configuration found"),
        ("{", "failed", "mend it: Claude Desktop cannot read it either"),
        ('{"mcpServers": {"other": {"command": "x"}}}', "note", "does not name cdesk"),
        (
            '{"mcpServers": {"mine": {"command": "/nowhere/cdesk", "args": ["mcp"]}}}',
            "failed",
            "is not there",
        ),
        (
            json.dumps(
                {
                    "mcpServers": {
                        "m": {
                            "command": sys.executable,
                            "args": ["-m", "cdesk_app.cli", "mcp"],
                            "env": "as here",
                        }
                    }
                }
            ),
            "ok",
            "starts cdesk",
        ),
    ],
)
@pytest.mark.skipif(
    sys.platform != "linux",
    reason="the path of the configuration is another there (tests/unit/cli)",
)
def test_doctor_reads_claude_desktops_configuration(
    configuration: str | None,
    level: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    if configuration is not None:
        path = tmp_path / "config" / "Claude" / "claude_desktop_config.json"
        path.parent.mkdir(parents=True)
        env = {name: value for name, value in os.environ.items() if name.startswith("CDESK_")}
        path.write_text(configuration.replace('"as here"', json.dumps(env)), encoding="utf-8")
    found = doctor_of(capsys, code=1 if level == "failed" else 0)["Claude Desktop"]
    assert found["level"] == level
    assert said in found["found"]


def test_a_warehouse_of_dbts_own_making_is_what_the_commands_read(
    cdesk: Callable[..., str], built: StateDirectory
) -> None:
    """Not our own bookkeeping: the rows stand in the file that anybody can open."""
    cdesk("status")
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        rows = connection.execute(
            "select activity, count(*) from activities.events where customer = ? and "
            "_session_id = 'conversation' group by 1",
            [CUSTOMER],
        ).fetchall()
    assert dict(rows) == {
        "cdesk.session_started": 1,
        "cdesk.user_asked": QUESTIONS,
        "cdesk.claude_responded": QUESTIONS,
    }
