"""What an erasure does to files alone: whatever names the customer goes, held results stay and are
named, and no worker begins while one is under way that cannot be read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from landing_table import event

from cdesk.artifacts.local import LocalArtifacts
from cdesk.artifacts.records import Artifact, keep_artifact
from cdesk.core.clock import IdSource
from cdesk.core.config import Settings
from cdesk.core.errors import (
    ArtifactUnreadable,
    BuildError,
    InvalidField,
    LegalHold,
    NotFound,
    StateDirectoryError,
)
from cdesk.core.home import StateDirectory
from cdesk.core.identity import customer_key
from cdesk.core.locks import FileLock
from cdesk.queue.writer import QueueWriter
from cdesk.state.database import open_state
from cdesk.state.kill_switch import read_switch
from cdesk_app.cli.main import main
from cdesk_app.cli.output import to_json
from cdesk_app.worker import erasure
from cdesk_app.worker.erasure import (
    ErasureReport,
    Pending,
    erase_customer,
    erase_in_warehouse,
    erase_lines,
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


# -- its steps

BEGAN = "2026-01-31T12:00:00.000000Z"
NOON = 1_769_860_800_000_000_000
BOB = Pending("bob", "2026-01-01T00:00:00.000000Z", counts={"landing": 9})


class Rows:
    """Stands for Builder: what it was asked, and what its operation says."""

    def __init__(self, *told: str, error: BuildError | None = None) -> None:
        self.told, self.error = told, error
        self.asked: list[Any] = []

    def build(self, *, select: tuple[str, ...]) -> None:
        self.asked.append(("build", select))

    def operate(self, operation: str, arguments: dict[str, object]) -> SimpleNamespace:
        self.asked.append((operation, arguments))
        if self.error is not None:
            raise self.error
        return SimpleNamespace(told=self.told)

    def close(self) -> None:
        self.asked.append("closed")


@pytest.fixture
def rewritten(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Warehouse files that were rewritten."""
    found: list[Any] = []

    def warehouse(path: Path, *, land_wait: float) -> SimpleNamespace:
        return SimpleNamespace(rewrite=lambda: found.append((path, land_wait)))

    monkeypatch.setattr("cdesk.warehouse.duckdb.DuckDBWarehouse", warehouse)
    return found


def test_what_may_refuse_comes_first_and_each_step_is_noted_when_it_has_ended(
    state_home: StateDirectory, rewritten: list[Any]
) -> None:
    builder = Rows('erased: {"landing": 3, "events": 2}', "another line", 'erased: {"events": 1}')
    noted: list[tuple[str, list[Pending]]] = []
    report = erase_customer(
        settings(state_home),
        state_home,
        LEAVER,
        builder=builder,  # type: ignore[arg-type]
        now_ns=lambda: NOON,
        tell=lambda name: noted.append((name, pending_erasures(state_home))),
    )
    assert builder.asked == [
        ("build", ("erasures",)),
        ("erase", {"customer": LEAVER, "erased_at": BEGAN}),
        "closed",
    ]
    assert rewritten == [(state_home.warehouse, 30.0)], "no freed page keeps it"
    assert [name for name, _ in noted] == ["warehouse", "queue", "results", "state", "logs"]
    assert noted[0][1] == [Pending(LEAVER, BEGAN)]
    assert noted[1][1] == [Pending(LEAVER, BEGAN, counts={"landing": 3, "events": 3})]
    assert noted[2][1][0].counts.keys() > {"landing", "events"}
    assert pending_erasures(state_home) == []
    assert not state_home.erasing.exists()
    assert (report.customer, report.erased_at, report.left) == (LEAVER, BEGAN, [])
    assert "backups of this directory" in report.beyond[0]
    assert {name: count for name, count in report.counts.items() if count} == {
        "landing": 3,
        "events": 3,
    }


def test_one_that_died_goes_on_with_the_time_and_the_counts_that_it_had(
    state_home: StateDirectory,
) -> None:
    own = Pending(LEAVER, "2026-01-02T00:00:00.000000Z", counts={"queue lines": 4})
    state_home.erasing.write_bytes(orjson.dumps([asdict(BOB), asdict(own)]))
    noted: list[list[Pending]] = []
    report = erase_customer(
        settings(state_home),
        state_home,
        LEAVER,
        local_only=True,
        now_ns=lambda: NOON,
        tell=lambda _: noted.append(pending_erasures(state_home)),
    )
    assert report.erased_at == own.erased_at
    assert report.counts["queue lines"] == 4
    assert noted[0] == [BOB, Pending(LEAVER, own.erased_at, True, {"queue lines": 4})]
    assert {one[0] == BOB for one in noted} == {True}
    assert pending_erasures(state_home) == [BOB]
    assert report.left == ["the warehouse: dbt run-operation erase takes it out there"]


def test_what_the_warehouse_has_to_keep_is_not_erased_and_nothing_waits_for_it(
    state_home: StateDirectory, rewritten: list[Any]
) -> None:
    said = "dbt failed: erase: ada is under legal hold (2 results); lift the hold first; the log"
    held = Rows(error=BuildError(said))
    state_home.erasing.write_bytes(orjson.dumps([asdict(BOB)]))
    with pytest.raises(LegalHold) as caught:
        erase_customer(settings(state_home), state_home, LEAVER, builder=held)  # type: ignore[arg-type]
    assert str(caught.value) == "ada is under legal hold (2 results); lift the hold first"
    assert held.asked[-1] == "closed"
    assert pending_erasures(state_home) == [BOB]
    assert rewritten == []


@pytest.mark.parametrize("target", ["duckdb", "snowflake"])
def test_an_erasure_that_a_build_breaks_off_goes_on_at_the_next_start(
    state_home: StateDirectory, target: Any
) -> None:
    """On a shared warehouse one that had begun before: what is here may be gone already."""
    own = Pending(LEAVER, BEGAN)
    if target == "snowflake":
        state_home.erasing.write_bytes(orjson.dumps([asdict(own)]))
    chosen = Settings(home=state_home.root, customer=ADA, worker="off", target=target)
    broken = Rows(error=BuildError("no database"))
    with pytest.raises(BuildError, match=r"^no database$"):
        erase_customer(
            chosen,
            state_home,
            LEAVER,
            builder=broken,
            now_ns=lambda: NOON,  # type: ignore[arg-type]
        )
    assert pending_erasures(state_home) == [own]
    assert [one for one in broken.asked if one[0] == "build"] == (
        [("build", ("erasures",))] if target == "duckdb" else []
    )


def test_nobody_is_erased_whom_no_record_can_name(state_home: StateDirectory) -> None:
    with pytest.raises(InvalidField):
        erase_customer(settings(state_home), state_home, "")
    assert pending_erasures(state_home) == []


def test_what_has_begun_is_ended_as_it_was_begun(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def erase_customer(*given: object, **named: object) -> ErasureReport:
        asked.append((given[2], named))
        if given[2] == "bob":
            raise LegalHold("bob is under legal hold")
        return ErasureReport(str(given[2]), BEGAN)

    monkeypatch.setattr(erasure, "erase_customer", erase_customer)
    own = Pending(LEAVER, BEGAN, local_only=True)
    state_home.erasing.write_bytes(orjson.dumps([asdict(BOB), asdict(own)]))
    builder: Any = Rows()
    reports = finish_erasures(settings(state_home), state_home, builder=builder)
    assert [report.customer for report in reports] == [LEAVER]
    assert asked == [
        ("bob", {"local_only": False, "builder": builder}),
        (LEAVER, {"local_only": True, "builder": builder}),
    ]


def test_the_warehouse_is_the_engines_own_affair_elsewhere(
    state_home: StateDirectory, rewritten: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Rows('erased: {"landing": 1}')
    monkeypatch.setattr(erasure, "Builder", lambda *_: own)
    monkeypatch.setattr(erasure, "locate_project", lambda *_: None)
    shared = Settings(home=state_home.root, customer=ADA, target="snowflake")
    report = ErasureReport(LEAVER, BEGAN)
    erase_in_warehouse(shared, state_home, report, "forget", {"customer": LEAVER})
    assert own.asked == [("forget", {"customer": LEAVER}), "closed"]
    assert (report.counts, rewritten) == ({"landing": 1}, [])


def test_whoever_drains_next_asks_what_has_landed_and_one_who_drains_is_not_disturbed(
    state_home: StateDirectory,
) -> None:
    path = state_home.queue / "uploader.lock"
    erase_lines(state_home, lambda _: False)
    first = path.read_bytes()
    assert len(first) == 16
    erase_lines(state_home, lambda _: False)
    assert path.read_bytes() != first
    with FileLock(path), pytest.raises(StateDirectoryError, match="another process drains"):
        erase_lines(state_home, lambda _: False)


def test_what_an_import_left_behind_goes_and_counts_once(state_home: StateDirectory) -> None:
    index = state_home.import_index
    assert erase(state_home).counts["import index"] == 0
    for suffix in ("", "-journal", "-wal", "-shm"):
        index.with_name(index.name + suffix).touch()
    unpacked = state_home.root / "importing" / "export.zip"
    unpacked.parent.mkdir()
    unpacked.touch()
    assert erase(state_home).counts["import index"] == 1
    assert [*index.parent.glob(f"{index.name}*")] == []
    assert not unpacked.parent.exists()


def test_results_of_others_are_looked_through_to_the_last(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    purged: list[str] = []

    class Store:
        def artifact_ids(self) -> list[tuple[str, str]]:
            return [(name[:4], name) for name in ("none", "gone", "held", "text1", "torn", "text2")]

        def source(self, uri: str) -> str:
            if uri == "gone":
                raise NotFound("gone")
            return uri

        def purge(self, uri: str) -> bool:
            purged.append(uri)
            return uri != "text2"

    def names(uri: str, _: object) -> bool:
        if uri == "torn":
            raise ArtifactUnreadable("torn")
        return uri != "none"

    monkeypatch.setattr(erasure, "_names", names)
    folder = state_home.charts / "a"
    folder.mkdir(parents=True)
    for name in ("text.svg", "torn-2.json", "none.svg"):
        (folder / name).touch()
    report = ErasureReport(LEAVER, BEGAN)
    steps = erasure._Erasure(settings(state_home), state_home, report, True, None)
    monkeypatch.setattr(steps, "_is_held", lambda uri: uri == "held")
    assert steps._results_of_others(Store()) == 2  # type: ignore[arg-type]
    assert purged == ["text1", "torn", "text2"]
    assert report.left == ["result held of somebody else, under legal hold"]
    assert [path.name for path in folder.iterdir()] == ["none.svg"]


def test_what_was_set_aside_and_what_questions_left_goes(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = state_home
    aside = ("state.db.damaged-1", "context.db.damaged", "a.refused-2", ".b.part", "state.db.old")
    for name in aside:
        (home.root / name).touch()
    (home.root / "folder.damaged").mkdir()
    folders = (home.copies, home.restoring, home.restoring_beside)
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "file").touch()
    home.dashboard.touch()
    asked: list[Any] = []

    def says(name: str, answer: Any) -> Callable[..., Any]:
        def say(*given: object, **named: object) -> Any:
            asked.append((name, *given, *named.values()))
            return answer

        return say

    for name, answer in (
        ("erase_snapshot", 1),
        ("erase_access", 2),
        ("erase_capture", 3),
        ("erase_state", {"query_runs": 4}),
    ):
        monkeypatch.setattr(erasure, name, says(name, answer))
    report = ErasureReport(ADA, BEGAN)
    steps = erasure._Erasure(settings(home), home, report, True, None)
    steps._changed = {"b", "a"}
    steps._state()
    assert report.counts == {
        "damaged copies": len(aside),
        "contexts in the snapshot": 1,
        "tokens and sessions": 2,
        "captured activities": 3,
        "query runs": 4,
    }
    assert asked == [
        ("erase_snapshot", home.context_db, ADA),
        ("erase_access", home.access_db, ADA),
        ("erase_capture", home.capture, ADA, True),
        ("erase_state", home.state_db, ADA, ["a", "b"]),
    ]
    assert not any(folder.exists() for folder in folders)
    assert not home.dashboard.exists()
    assert (home.root / "folder.damaged").exists()
    asked.clear()
    other = erasure._Erasure(settings(home), home, ErasureReport(LEAVER, BEGAN), True, None)
    other._state()
    assert asked[2] == ("erase_capture", home.capture, LEAVER, False)


def test_a_kill_switch_that_names_nobody_is_left_as_it_is(state_home: StateDirectory) -> None:
    text = '{"on": true, "reason": "too much"}'
    state_home.kill_switch.write_text(text, encoding="utf-8")
    erase(state_home)
    assert state_home.kill_switch.read_text(encoding="utf-8") == text


def test_logs_lose_their_lines_and_what_dbt_wrote_of_a_run_goes(
    state_home: StateDirectory,
) -> None:
    logs, target = state_home.dbt / "logs", state_home.dbt / "target"
    for folder in (logs / "folder", target / "folder.json"):
        folder.mkdir(parents=True)
    for path in (
        state_home.root / "worker.log",
        state_home.root / "worker.log.1",
        logs / "dbt.log",
    ):
        path.write_text(f"of {LEAVER}\nof {ADA}\n", encoding="utf-8")
    (target / "run.json").write_text(f"of {LEAVER}", encoding="utf-8")
    (target / "manifest.json").write_text(f"of {ADA}", encoding="utf-8")
    assert erase(state_home).counts["log lines"] == 3
    assert b"leaver" not in (logs / "dbt.log").read_bytes()
    assert ADA.encode() in (logs / "dbt.log").read_bytes()
    assert {path.name for path in target.iterdir()} == {"manifest.json", "folder.json"}


def test_files_that_name_the_customer_are_told_from_those_that_name_somebody_else(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = state_home.root
    key = customer_key(LEAVER).encode()
    named, own = LEAVER.encode(), event(customer=LEAVER)[1]
    of_ada = event(customer=ADA, feature_json={"question": LEAVER})[1]
    longer = f"m{LEAVER}a".encode()
    for name, content in {
        "a.lock": named,
        "a-shm": named,
        "access.db-wal": longer,
        "backlog/a.ndjson": of_ada,
        "context.db": key,
        "gone": named,
        "key": key,
        "longer": longer,
        "nothing": b"",
        "other/b.ndjson": longer,
        "other/c.ndjson": of_ada,
        "queue/d.ndjson": own + of_ada,
        "queue/e.ndjson": event(customer=ADA)[1],
        "queue/notes.txt": longer,
        "z": named,
    }.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)
    (root / "link").symlink_to(root / "key")
    holds = erasure._holds

    def gone(path: Path, texts: tuple[bytes, ...]) -> bool:
        if path.name == "gone":
            raise FileNotFoundError
        return holds(path, texts)

    monkeypatch.setattr(erasure, "_holds", gone)
    assert [*erasure._naming(state_home, LEAVER)] == [
        ("access.db-wal", False),
        ("backlog/a.ndjson", False),
        ("context.db", False),
        ("key", True),
        ("other/c.ndjson", True),
        ("queue/d.ndjson", True),
        ("z", True),
    ]


@pytest.mark.parametrize("before", range(9))
def test_a_name_is_found_wherever_it_stands_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setattr(erasure, "_CHUNK", 4)
    (tmp_path / "file").write_bytes(b"." * before + b"leaver" + b"." * 9)
    assert erasure._holds(tmp_path / "file", (b"x", b"leaver"))
    assert not erasure._holds(tmp_path / "file", (b"leaves", b"lever"))


@pytest.mark.parametrize(
    ("column", "gone"),
    [
        (pa.array([ADA, LEAVER], pa.large_string()), True),
        (pa.array([[datetime(2026, 1, 1, tzinfo=UTC)]]), False),
        (pa.array([{"of": LEAVER, "at": datetime(2026, 1, 1, tzinfo=UTC)}]), True),
    ],
)
def test_a_name_is_found_in_columns_of_every_type(
    state_home: StateDirectory, column: pa.Array, gone: bool
) -> None:
    put(state_home, {"column": column})
    assert erase(state_home).counts["results of others"] == int(gone)
