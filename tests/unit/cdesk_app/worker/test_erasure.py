"""What an erasure does to files alone: whatever names the customer goes, held results stay and are
named, and no worker begins while one is under way that cannot be read.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from landing_table import event

from cdesk.artifacts.local import LocalArtifacts
from cdesk.artifacts.records import Artifact, keep_artifact
from cdesk.core.clock import IdSource
from cdesk.core.config import Settings
from cdesk.core.errors import BuildError, StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk.state.database import open_state
from cdesk.state.kill_switch import read_switch
from cdesk_app.cli.main import main
from cdesk_app.cli.output import to_json
from cdesk_app.worker import erasure
from cdesk_app.worker.erasure import (
    ErasureReport,
    erase_customer,
    finish_erasures,
    pending_erasures,
)
from cdesk_app.worker.main import run, run_once
from uploader.backlog import BacklogWriter

ADA = "ada@example.com"
LEAVER = 'o\'leaver "x\\y" é'
SHOWN = '{"customer": "o\'leaver \\"x\\\\y\\" \\u00e9"}'
TABLES = {
    "text": {"customer": [ADA, LEAVER]},
    "text of JSON": {"params": ["{}", SHOWN]},
    "lists": {"customers": [[ADA], [ADA, LEAVER]]},
    "nobody": {"customer": [ADA], "n": [1]},
    "others": {"customer": [ADA, f"m{LEAVER}"], "customers": [[], [f"{LEAVER}a", f"x@{LEAVER}"]]},
}


def settings(home: StateDirectory) -> Settings:
    return Settings(home=home.root, customer=ADA, worker="off")


def erase(home: StateDirectory) -> ErasureReport:
    return erase_customer(settings(home), home, LEAVER, local_only=True)


def put(home: StateDirectory, table: dict[str, list[object]]) -> str:
    """A result of an analyst; its URI."""
    with LocalArtifacts(home.artifacts).write(ADA, IdSource().uuid7()) as draft:
        pq.write_table(pa.table(table), draft.path)
    return draft.uri


@pytest.mark.parametrize("what", TABLES)
def test_a_result_of_somebody_else_goes_where_the_customer_stands_in_it(
    state_home: StateDirectory, what: str
) -> None:
    uri = put(state_home, TABLES[what])
    report = erase(state_home)
    gone = what not in ("nobody", "others")
    assert LocalArtifacts(state_home.artifacts).exists(uri) != gone
    assert report.counts["results of others"] == int(gone)


def test_a_damaged_result_goes_since_nobody_can_tell_whose_rows_it_holds(
    state_home: StateDirectory,
) -> None:
    uri = put(state_home, TABLES["nobody"])
    (path,) = state_home.artifacts.rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    assert erase(state_home).counts["results of others"] == 1
    assert not LocalArtifacts(state_home.artifacts).exists(uri)


def test_a_held_result_of_somebody_else_stays_and_is_named(state_home: StateDirectory) -> None:
    uri = put(state_home, TABLES["text"])
    id = uri.rpartition("/")[2][:36]
    held = Artifact(
        artifact_id=id,
        customer=ADA,
        uri=uri,
        format="parquet",
        query_hash="0" * 16,
        rows=2,
        bytes=1,
        sampled=False,
        created_at="2026-01-01T00:00:00.000000Z",
        expires_at="2026-02-01T00:00:00.000000Z",
        legal_hold=True,
    )
    with closing(open_state(state_home.state_db)) as state:
        keep_artifact(state, held)
    report = erase(state_home)
    assert LocalArtifacts(state_home.artifacts).exists(uri)
    assert f"result {id} of somebody else, under legal hold" in report.left


def test_the_report_tells_what_is_left_from_what_others_recorded(
    state_home: StateDirectory,
) -> None:
    writer = QueueWriter(state_home.queue)
    of_ada = event(customer=ADA, feature_json={"question": f"who is {LEAVER}?"})[1]
    for line in (of_ada, event(customer=LEAVER)[1]):
        writer.append(line)
    writer.close()
    (file,) = state_home.queue.glob("*.ndjson")
    (state_home.root / "note.txt").write_text(f"of m{LEAVER}", encoding="utf-8")
    config = state_home.root / "config.toml"
    config.write_text(f'customer = "{LEAVER}"', encoding="utf-8")
    report = erase(state_home)
    assert [one.partition(":")[0] for one in report.mentioned] == [
        "config.toml",
        f"queue/{file.name}",
    ]
    assert "cdesk connect" in report.mentioned[0]
    assert of_ada.strip() in file.read_bytes()
    assert [one for one in report.left if "dbt run-operation" not in one] == []
    (state_home.root / "note.txt").write_text(f"of {LEAVER}", encoding="utf-8")
    assert "note.txt" in erase(state_home).left


@pytest.mark.parametrize("switch", ['{"on": true, "by": "cost_guard", "reason": "R"}', "R [", "[R"])
def test_a_kill_switch_stays_on_without_who_was_named(
    state_home: StateDirectory, switch: str
) -> None:
    text = switch.replace("R", f"{LEAVER} asked".replace('"', '\\"').replace("x\\y", "x\\\\y"))
    state_home.kill_switch.write_text(text, encoding="utf-8")
    assert erase(state_home).mentioned == []
    assert b"leaver" not in state_home.kill_switch.read_bytes()
    with closing(open_state(state_home.state_db)) as state:
        kept = read_switch(state, state_home.kill_switch)
    assert (kept.on, kept.reason) == (True, None)
    assert kept.by == ("cost_guard" if switch.startswith("{") else None)


def test_a_file_that_cannot_be_read_is_told_as_left(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell what is in it. The user of these tests may read everything, often."""
    secret = state_home.root / "secret"
    secret.write_bytes(b"nothing")
    holds = erasure._holds

    def refused(path: Path, texts: tuple[bytes, ...]) -> bool:
        if path == secret:
            raise PermissionError(13, "Permission denied")
        return holds(path, texts)

    monkeypatch.setattr(erasure, "_holds", refused)
    assert "secret: cannot be read (Permission denied)" in erase(state_home).left


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_file_whose_name_is_no_text_is_cleaned_and_told_as_any_other(
    state_home: StateDirectory,
) -> None:
    stray = state_home.queue / os.fsdecode(b"my \xff.ndjson")
    of_ada = event(customer=ADA)[1]
    stray.write_bytes(event(customer=LEAVER)[1] + of_ada)
    (state_home.root / os.fsdecode(b"note\xff")).write_text(f"of {LEAVER}", encoding="utf-8")
    report = erase(state_home)
    assert stray.read_bytes().strip() == of_ada.strip()
    assert "note\\udcff" in orjson.loads(to_json(report))["left"]


def test_what_waits_in_the_backlog_and_what_the_engine_spilled_goes(
    state_home: StateDirectory,
) -> None:
    waiting = BacklogWriter(state_home)
    of_ada = event(customer=ADA)[1]
    waiting.write([event(customer=LEAVER)[1], of_ada])
    waiting.close()
    spilled = state_home.root / "warehouse.duckdb.tmp" / "duckdb_temp_block-1.block"
    spilled.parent.mkdir()
    spilled.write_bytes(LEAVER.encode())
    assert erase(state_home).counts["lines of histories that wait"] == 1
    (left,) = (state_home.root / "backlog").glob("*.ndjson")
    assert left.read_bytes().split() == of_ada.split()
    assert not spilled.exists()


@pytest.mark.parametrize(("target", "local_only"), [("duckdb", False), ("snowflake", True)])
def test_local_leaves_a_shared_warehouse_alone_and_no_other(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch, target: str, local_only: bool
) -> None:
    """The embedded default's own warehouse knows who is under legal hold."""
    asked = []

    def erase_customer(*_: object, **options: object) -> ErasureReport:
        asked.append(options["local_only"])
        return ErasureReport(LEAVER, "2026-01-01T00:00:00.000000Z")

    monkeypatch.setattr(erasure, "erase_customer", erase_customer)
    monkeypatch.setenv("CDESK_HOME", str(state_home.root))
    monkeypatch.setenv("CDESK_TARGET", target)
    assert main(["erase", LEAVER, "--local", "--yes"]) == 0
    assert asked == [local_only]


class NoRights:
    """A builder whose role may not delete."""

    def operate(self, *_: object) -> None:
        raise BuildError("dbt run-operation failed: insufficient privileges")

    def close(self) -> None:
        pass


def test_a_shared_warehouse_that_refuses_leaves_no_erasure_that_keeps_records_from_landing(
    state_home: StateDirectory,
) -> None:
    waiting = QueueWriter(state_home.queue)
    waiting.append(event(customer=LEAVER)[1])
    waiting.close()
    shared = Settings(home=state_home.root, customer=ADA, worker="off", target="snowflake")
    with pytest.raises(BuildError, match=r"insufficient privileges; nothing was erased.*--local"):
        erase_customer(shared, state_home, LEAVER, builder=NoRights())  # type: ignore[arg-type]
    assert pending_erasures(state_home) == []
    (file,) = state_home.queue.glob("*.ndjson")
    assert b"leaver" in file.read_bytes()


def test_an_erasure_of_somebody_who_is_held_by_now_is_given_up(state_home: StateDirectory) -> None:
    begun = [{"customer": LEAVER, "erased_at": "2026-01-01T00:00:00.000000Z", "local_only": True}]
    state_home.erasing.write_bytes(orjson.dumps(begun))
    with closing(open_state(state_home.state_db)) as state:
        state.execute(
            "insert into artifacts values ('a', ?, 'u', 'parquet', 'h', 1, 1, 0, 'z', 'z', 1)",
            (LEAVER,),
        )
    assert finish_erasures(settings(state_home), state_home) == []
    assert pending_erasures(state_home) == [], "nothing waits for it any more"


def test_nothing_runs_while_it_cannot_be_told_who_is_being_erased(
    state_home: StateDirectory,
) -> None:
    state_home.erasing.write_bytes(b"[{")
    for start in (run_once, run):
        with pytest.raises(StateDirectoryError, match=r"erasing\.json cannot be read"):
            start(settings(state_home))
