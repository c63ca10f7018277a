"""After an erasure no byte of the customer is left in the state directory, and others have all
that they had.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from landing_table import event

from cdesk.contract.records import encode, make_record
from cdesk.core.clock import IdSource, format_ts
from cdesk.core.errors import LegalHold
from cdesk.core.identity import Caller, customer_key
from cdesk.queue.writer import QueueWriter
from cdesk.state.access import AccessStore
from cdesk.state.database import open_state
from cdesk.state.snapshot import SnapshotReader
from cdesk_app.cli.main import main
from cdesk_app.worker.erasure import erase_customer, finish_erasures, pending_erasures
from cdesk_app.worker.forgetting import forget_histories
from tests.integration.queries.conftest import (
    ADA,
    BOB,
    SECRET,
    Built,
    CallerRecorder,
    Living,
    alive,
    copy,
)
from uploader.backlog import BacklogWriter
from uploader.capture_store import CaptureStore

MARKS = (SECRET.encode(), BOB.customer.encode(), customer_key(BOB.customer).encode())


@pytest.fixture(scope="module")
def living(original: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    """One of the module's own: what is taken out here would be missed by others."""
    with alive(original, tmp_path_factory.mktemp("erasing") / "home") as living:
        yield living


def files_with(root: Path, *marks: bytes) -> list[str]:
    """Files whose bytes (unpacked, where they are packed) hold one of the marks."""
    found = []
    for path in sorted(root.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            data += gzip.decompress(data) if data[:2] == b"\x1f\x8b" else b""
            if any(mark in data for mark in marks):
                found.append(path.relative_to(root).as_posix())
    return found


def tables_with(root: Path, *marks: bytes) -> list[str]:
    """Tables with a row that holds one of the marks, whatever the file's pages look like."""
    texts = [mark.decode() for mark in marks]
    found = []
    with contextlib.closing(duckdb.connect(root / "warehouse.duckdb", read_only=True)) as engine:
        names = [
            row[0]
            for row in engine.execute(
                "select table_name from information_schema.tables where table_schema = 'activities'"
            ).fetchall()
        ]
        for name in names:
            rows = str(engine.execute(f'select * from activities."{name}"').fetchall())
            found += [name] if any(text in rows for text in texts) else []
    for path in root.glob("*.db"):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            for (name,) in connection.execute("select name from sqlite_master where type='table'"):
                rows = str(connection.execute(f'select * from "{name}"').fetchall())
                found += [f"{path.name}.{name}"] if any(text in rows for text in texts) else []
    return found


def counted(built: Built) -> list[Any]:
    with contextlib.closing(duckdb.connect(built.home.warehouse, read_only=True)) as engine:
        return engine.execute(
            "select (select count(*) from activities.events where customer = ?), "
            "(select count(*) from activities.insight_atoms where customer = ? and verified), "
            "(select count(*) from activities.quarantined_events)",
            [ADA.customer] * 2,
        ).fetchall()


def scatter(built: Built) -> QueueWriter:
    """Bob wherever a customer may be; a writer of both that goes on writing."""
    home = built.home
    for template, caller in (("recent_activities", BOB), ("top_customers", ADA)):
        built.query(template, {}, caller)
    writer = QueueWriter(home.queue)
    of_ada, of_bob = (CallerRecorder(writer, caller.customer, IdSource()) for caller in (ADA, BOB))
    for number in range(3):
        of_ada.event("user_asked", {"question": f"ada asks {number}"})
        of_bob.event("user_asked", {"question": f"{SECRET} {number}"})
    writer.append(b'{"customer": "bob@example.com", "broken": "' + SECRET.encode() + b"\n")
    with contextlib.closing(AccessStore(home.access_db)) as access:
        now = format_ts(time.time_ns())
        access.add_tokens([BOB.customer], expires_at=None, now=now)
    waiting = BacklogWriter(home)
    waiting.write([event(customer=ADA.customer)[1], event(customer=BOB.customer)[1]])
    waiting.close()
    for name in (
        "warehouse.duckdb.tmp/duckdb_temp_block-1.block",
        "copies/1.duckdb",
        "importing/part.ndjson",
        ".restoring/state.db",
        "imports.db-journal",
        "dashboard.json",
        "state.db.old",
        "warehouse.duckdb.broken",
    ):
        (home.root / name).parent.mkdir(exist_ok=True)
        (home.root / name).write_bytes(SECRET.encode())
    with contextlib.closing(CaptureStore(home.capture)) as captured:
        captured.note_owner(BOB.customer)
        captured.put([("user_asked", "k", f'["{SECRET}"]'.encode(), b"{}", None)])
    for name in ("worker.log", "state.db.damaged-1", "dbt/logs/dbt.log"):
        with (home.root / name).open("ab") as file:
            file.write(b"a line\nabout bob@example.com\n")
    for folder in (home.charts, home.artifacts_cache):
        (folder / customer_key(BOB.customer)).mkdir(parents=True)
        (folder / customer_key(BOB.customer) / "x.svg").write_bytes(SECRET.encode())
    with contextlib.closing(open_state(home.state_db)) as state:
        state.execute(
            "insert into pending_insights values ('i', ?, 't', 's', 'm', ?, null)",
            (BOB.customer, f'"{SECRET}"'),
        )
        state.execute(
            "insert into result_pages (artifact_id, page, customer, asked_at, rows) "
            "values ('a', 2, ?, 'z', ?)",
            (BOB.customer, f'[["{SECRET}"]]'),
        )
    return writer


CAPTURED = "sekrit-project-of-a-history"


def captured(caller: Caller, number: int, **more: Any) -> bytes:
    """A question as a followed history tells it."""
    return encode(
        make_record(
            "event",
            id=IdSource().uuid7(),
            ts=format_ts(time.time_ns() - number * 60 * 10**9),
            customer=caller.customer,
            session_id=None,
            query_tag="cdesk_0a1b2c3d",
            source_system="claude_code",
            fields={
                "anonymous_customer_id": None,
                "activity": "cdesk.user_asked",
                "feature_json": {"question": CAPTURED, "project": CAPTURED, **more},
                "link": None,
                "revenue_impact": None,
            },
        )
    )


def test_histories_are_forgotten_and_what_was_logged_stays(living: Living) -> None:
    home, builder = living.home, living.pipeline._builder
    writer = QueueWriter(home.queue)
    of_ada = CallerRecorder(writer, ADA.customer, IdSource())
    of_ada.event("user_asked", {"question": "long ago"}, ago_ns=3_600 * 10**9)
    first = captured(ADA, 1)
    for line in (first, captured(ADA, 2), captured(BOB, 3), captured(ADA, 4)):
        writer.append(line)
        for number in range(10, 13):
            writer.append(captured(ADA, number))
        of_ada.event("user_asked", {"question": "own"})
    bad = orjson.loads(captured(ADA, 5)) | {"ts": "yesterday"}
    writer.append(orjson.dumps(bad) + b"\n")
    writer.seal()
    living.land_and_build()
    living.query("recent_activities", {}, ADA, fresh=True)
    writer.append(captured(ADA, 6))
    writer.close()
    waiting = BacklogWriter(home)
    waiting.write([captured(ADA, 7)])
    waiting.close()
    home.capture.write_bytes(CAPTURED.encode())

    def of(caller: Caller, sources: str) -> int:
        with contextlib.closing(duckdb.connect(home.warehouse, read_only=True)) as engine:
            row = engine.execute(
                "select count(*) from activities.events where customer = ? "
                f"and _source_system {sources}",
                [caller.customer],
            ).fetchone()
        return int(row[0]) if row else 0

    def remembered() -> bytes:
        with contextlib.closing(SnapshotReader(home.context_db)) as reader:
            row = reader.read(ADA.customer)[0]
        assert row is not None
        return row.context

    theirs = of(ADA, "= 'claude_code'")
    assert theirs >= 3
    assert b"long ago" not in remembered(), "ten others are newer"
    logged = "<> 'claude_code' and activity = 'cdesk.user_asked'"
    own, bobs = of(ADA, logged), of(BOB, "= 'claude_code'")
    report = forget_histories(living.settings, home, builder=builder)
    assert report.counts["events"] == theirs + 1  # what waited in the queue is landed first
    assert report.counts["quarantined_events"] == 1
    assert report.counts["queue lines"] >= 1
    assert report.counts["lines of histories that wait"] == 1
    living.land_and_build()
    assert (of(ADA, "= 'claude_code'"), of(ADA, logged)) == (0, own)
    assert of(BOB, "= 'claude_code'") == bobs > 0
    assert b"long ago" in remembered(), "it is among the newest ten again"
    with contextlib.closing(duckdb.connect(home.warehouse, read_only=True)) as engine:
        assert engine.execute(
            "select count(*) from (select *, row_number() over (partition by customer, activity "
            "order by ts, _activity_id) as n, lead(ts) over (partition by customer, activity "
            "order by ts, _activity_id) as next_ts from activities.events) "
            "where n <> activity_occurrence or next_ts is distinct from activity_repeated_at"
        ).fetchall() == [(0,)]
        for table in ("landing", "context_cache", "quarantined_events"):
            rows = engine.execute(f"select * from activities.{table}").fetchall()
            assert not [row for row in rows if CAPTURED in str(row) and ADA.customer in str(row)]
    answer = living.query("recent_activities", {}, ADA)
    assert CAPTURED not in str(answer), "no earlier answer is given again"

    with contextlib.closing(
        QueueWriter(home.queue)
    ) as again:  # capture that is turned on again brings it back, once
        again.append(first)
        again.append(first)
    living.land_and_build()
    assert of(ADA, "= 'claude_code'") == 1


class Died(Exception):
    """Stands for the death of the process."""


def test_an_erasure_that_died_goes_on_and_leaves_no_byte(living: Living) -> None:
    home, pipeline = living.home, living.pipeline
    writer = scatter(living)
    before = counted(living)
    assert len(files_with(home.root, *MARKS)) > 8
    assert {"landing", "events", "context_cache"} <= set(tables_with(home.root, *MARKS))

    def die(step: str) -> None:
        if step == "results":
            raise Died

    with pytest.raises(Died):
        erase_customer(living.settings, home, BOB.customer, builder=pipeline._builder, tell=die)
    (begun,) = pending_erasures(home)
    (report,) = finish_erasures(living.settings, home, builder=pipeline._builder)
    assert (report.erased_at, report.left) == (begun.erased_at, [])
    assert report.counts["results of others"] >= 1
    assert report.counts["events"] >= 1, "what went before it died is counted as well"
    assert pending_erasures(home) == []
    assert files_with(home.root, *MARKS) == []
    assert tables_with(home.root, *MARKS) == []

    CallerRecorder(writer, ADA.customer, IdSource()).event("user_asked", {"question": "and now?"})
    writer.close()
    with living.recorder_of(BOB) as recorder:  # a copy of before stays out, a new beginning not
        recorder.event("user_asked", {"question": "old"}, ago_ns=3_600 * 10**9)
        recorder.event("user_asked", {"question": "new"})
    living.land_and_build()
    after = counted(living)
    assert after[0][1:] == before[0][1:], "nothing verified is lost, nothing blank is quarantined"
    assert after[0][0] >= before[0][0] + 4
    with contextlib.closing(SnapshotReader(home.context_db)) as reader:
        row = reader.read(ADA.customer)[0]
    assert row is not None
    assert b"and now?" in row.context
    with contextlib.closing(duckdb.connect(home.warehouse, read_only=True)) as engine:
        found = engine.execute(
            "select _feature_json ->> 'question' from activities.events where customer = ?",
            [BOB.customer],
        ).fetchall()
    assert found == [("new",)]


def test_a_held_customer_is_refused_by_name_before_anything_is_touched(built: Built) -> None:
    answer = built.query("recent_activities", {}, BOB)
    with contextlib.closing(open_state(built.home.state_db)) as state:
        state.execute(
            "update artifacts set legal_hold = 1 where artifact_id = ?",
            (answer["artifact"]["artifact_id"],),
        )
    marks = files_with(built.home.root, *MARKS)
    with pytest.raises(LegalHold, match=r"bob@example\.com is under legal hold"):
        erase_customer(built.settings, built.home, BOB.customer)
    assert files_with(built.home.root, *MARKS) == marks
    assert pending_erasures(built.home) == []


def test_the_command_places_a_hold_and_says_who_is_held(
    original: Built,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    built = copy(original, tmp_path / "own")  # with dbt's state, so that nothing is parsed
    monkeypatch.setenv("CDESK_HOME", str(built.home.root))
    assert main(["hold", BOB.customer, "--reason", 'case "4711"']) == 0
    assert re.search(r'bob@example\.com  since 20.*: case "4711"', capsys.readouterr().out)
    with contextlib.closing(duckdb.connect(built.home.warehouse)) as engine:
        assert engine.execute("delete from activities.legal_holds").fetchall() == [(1,)]
    for words in (["hold", "--lift"], ["hold", "a\nb"]):
        assert main(words) != 0
        assert "customer" in capsys.readouterr().err
