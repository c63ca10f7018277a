"""Questions of a worker that stays read a copy: they answer what the file would, and wait for
nobody who holds it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from landing_table import event

from cdesk.contract.catalog import Template
from cdesk.core.clock import IdSource
from cdesk.core.errors import WarehouseError
from cdesk.core.identity import Caller
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk.warehouse.protocol import LandedLine
from cdesk.warehouse.read_copy import _Instance
from tests.integration.queries.conftest import ADA, BOB, Built

HOLD = (
    "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); "
    "sys.stdin.read()"
)
WHOLE_STREAM = Template(
    "stream",
    "",
    "org",
    (),
    'select * from "warehouse"."activities"."events_live" order by _activity_id, ts',
    (),
    {},
    "0" * 16,
)
LANDING = Template(
    "landing", "", "org", (), "select count(*) from activities.landing", (), {}, "1" * 16
)


class Two:
    """One warehouse file, asked by its copy and directly."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "warehouse.duckdb"
        self.copies = folder / "copies"
        self.by_copy = DuckDBWarehouse(self.path, copies=self.copies, read_wait=10)
        self.directly = DuckDBWarehouse(self.path)
        self._offset = 0

    def both(
        self, template: Template, binds: list[Any], *, whole: bool = False
    ) -> tuple[list[Any], list[Any]]:
        by_copy = ask(self.by_copy, template, binds, whole=whole)
        return by_copy, ask(self.directly, template, binds, whole=whole)

    def ask_both(self) -> list[Any]:
        """The stream by the copy, which is what the file shows."""
        by_copy, directly = self.both(WHOLE_STREAM, [])
        assert by_copy == directly
        assert self.instance is not None  # else the file itself was asked
        return by_copy

    @property
    def instance(self) -> _Instance | None:
        assert self.by_copy._copy is not None
        return self.by_copy._copy._instance

    def revision(self, of: str | bytes, number: int) -> LandedLine:
        """A line that says more about an activity."""
        record = orjson.loads(of)
        id = IdSource().uuid7()
        more = {"kind": "revision", "replaces": record["id"], "revision": number, "id": id}
        feature_json = {"question": f"as of {number}"}
        return self.line(
            id, orjson.dumps({**record, **more, "feature_json": feature_json}), "revision"
        )

    def line(self, id: str, payload: bytes, kind: str = "event") -> LandedLine:
        self._offset += len(payload) + 1
        return LandedLine(id, kind, payload.decode(), "late.ndjson", self._offset)


def ask(
    warehouse: DuckDBWarehouse, template: Template, binds: list[Any], *, whole: bool = False
) -> list[Any]:
    with warehouse.run_template(
        template, binds, query_tag="cdesk_00c0ffee", timeout_seconds=30, whole=whole
    ) as outcome:
        rows = [row for batch in outcome.batches for row in batch.to_pylist()]
        for row in rows:
            row.pop("as_of", None)  # the moment of the question
        return [outcome.as_of, outcome.schema.names, *(tuple(row.values()) for row in rows)]


@pytest.fixture
def two(original: Built, tmp_path: Path) -> Iterator[Two]:
    shutil.copy(original.home.warehouse, tmp_path / "warehouse.duckdb")
    made = Two(tmp_path)
    yield made
    made.by_copy.close()


def binds_of(template: Template, caller: Caller) -> list[Any]:
    return template.bind(
        template.check_params(template.example),
        customer=caller.customer,
        is_analyst=caller.is_analyst,
    )


def test_every_template_of_the_stream_answers_from_the_copy_as_from_the_file(
    original: Built, two: Two
) -> None:
    now = time.time_ns()
    id, new = event(customer=BOB.customer, ts_ns=now)
    two.by_copy.land([two.line(id, new)])
    for template in original.catalog.templates.values():
        if not re.search(r'"(events|events_live|landing)"', template.sql):
            continue  # relations that the copy shows as they are
        for caller in (ADA, BOB):
            if template.scope == "org" and not caller.is_analyst:
                continue
            binds = binds_of(template, caller)
            by_copy, directly = two.both(template, binds, whole=True)  # planned once
            assert sorted(map(str, by_copy)) == sorted(map(str, directly)), template.name


def test_what_lands_is_in_the_stream_at_once_numbered_as_a_build_would(two: Two) -> None:
    """Late, repeated, broken and other customers' lines, in several landings."""
    with duckdb.connect(two.path, read_only=True) as connection:
        stored = connection.execute(
            "select payload::varchar from activities.landing where kind = 'event' "
            "and payload ->> 'source_system' = 'claude_desktop' order by id limit 1"
        ).fetchall()[0][0]
    day = 86_400 * 10**9
    late = [event(customer="ada@example.com", ts_ns=time.time_ns() - n * day) for n in range(12)]
    ids = [id for id, _ in late]
    landings = [
        [two.line(*late[0]), two.line(*late[7])],
        [two.line(*late[0]), two.line(ids[1], b'{"v":1}'), two.line(*late[1])],
        [two.line(id, line) for id, line in late],
        [two.line(*event(customer="new@example.com", ts_ns=time.time_ns()))],
        # an id that somebody else had first, beside one of one's own
        [
            two.line(*event(id=ids[5], customer=BOB.customer)),
            two.line(*event(customer=BOB.customer)),
        ],
        [two.revision(late[3][1], 1), two.line(*event(customer="new@example.com"))],
        [two.revision(late[3][1], 3), two.revision(late[3][1], 2), two.revision(stored, 1)],
        [two.revision(stored, 2)],
        [two.line(*event(customer="new@example.com"))],
    ]
    for lines in landings:
        two.by_copy.land(lines)
        shown = two.ask_both()
    assert {row[12] for row in shown[2:]} >= set(ids)
    assert {"as of 3", "as of 2"} <= {orjson.loads(row[7]).get("question") for row in shown[2:]}


def test_a_copy_grows_with_what_landed_and_not_with_how_often_it_was_asked(two: Two) -> None:
    """What is deleted from a table in memory goes on to take its place there."""
    for number in range(4):
        two.by_copy.land([two.line(*event(customer=f"{number % 2}@example.com")) for _ in range(5)])
        two.ask_both()
    assert two.instance is not None
    with closing(two.instance.cursor()) as cursor:
        for table, least in (("changed", 20), ("landed_since", 15), ("just_landed", 5)):
            # Of all rows in storage, deleted ones among them, none that is not shown.
            ((stored, shown),) = cursor.execute(
                "select (select sum(count) from pragma_storage_info(?) "
                "where column_id = 0 and segment_type != 'VALIDITY'), "
                f"(select count(*) from activities.{table})",
                [f"activities.{table}"],
            ).fetchall()
            assert stored == shown >= least, table


def test_a_question_does_not_wait_for_a_build_that_holds_the_file(two: Two) -> None:
    before = ask(two.by_copy, WHOLE_STREAM, [])
    with (
        two.by_copy.building(),
        subprocess.Popen(
            [sys.executable, "-c", HOLD, str(two.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as build,
    ):
        assert build.stdout is not None
        assert build.stdout.readline().strip() == b"held"
        held = duckdb.connect(":memory:")  # the file can't be had by anybody else
        with pytest.raises(duckdb.IOException), closing(held):
            held.execute(f"attach '{two.path}' (read_only)")
        assert ask(two.by_copy, WHOLE_STREAM, []) == before
        assert build.poll() is None
        build.communicate()


def test_one_cursor_serves_question_after_question_and_sees_what_lands(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(two.by_copy, LANDING, [])
    made: list[None] = []
    as_before = _Instance.cursor
    monkeypatch.setattr(_Instance, "cursor", lambda self: made.append(None) or as_before(self))
    for _ in range(3):
        by_copy, directly = two.both(LANDING, [])
        assert by_copy == directly
    assert not made
    two.by_copy.land([two.line(*event())])
    by_copy, directly = two.both(LANDING, [])
    assert by_copy == directly
    assert len(made) == 1  # what takes in the landing
    with pytest.raises(WarehouseError):
        ask(two.by_copy, LANDING, [1])
    by_copy, directly = two.both(LANDING, [])
    assert by_copy == directly


def test_a_landing_under_way_keeps_no_question_waiting(two: Two) -> None:
    ask(two.by_copy, LANDING, [])
    with two.by_copy.bulk():
        two.by_copy.land([two.line(*event())])
        found: list[Any] = []
        asking = threading.Thread(target=lambda: found.extend(ask(two.by_copy, LANDING, [])))
        asking.start()
        asking.join(60)
        assert found == ask(two.by_copy, LANDING, [])


def test_a_copy_is_as_closed_as_the_file(two: Two) -> None:
    """The second wall: even SQL that is none of the catalog could do nothing."""
    for sql in (
        "insert into activities.landed_since select * from activities.landing",
        "delete from activities.changed",
        "create table activities.own (n integer)",
        "copy activities.landing to 'stolen.csv'",
        "attach 'other.db'",
        "detach store",
        "set enable_external_access = true",
        "select * from read_text('/etc/hosts')",
    ):
        statement = Template("own", "", "org", (), sql, (), {}, "2" * 16)
        with pytest.raises(WarehouseError):
            ask(two.by_copy, statement, [])
    with two.by_copy._questions(LANDING.sql) as (cursor, _):
        for sql in (
            "insert into activities.landed_since select * from activities.landing",
            "attach 'other.db'",
            "set enable_external_access = true",
            "copy (select 1) to 'stolen.csv'",
        ):
            with pytest.raises(duckdb.Error):
                cursor.execute(sql).fetchall()


def test_a_query_that_the_copy_cannot_answer_keeps_no_other_from_it(two: Two) -> None:
    with duckdb.connect(two.path) as connection:
        connection.execute("create table activities.gone (n integer)")
        connection.execute("create view activities.broken as select * from activities.gone")
        connection.execute("drop table activities.gone")
    broken = Template("own", "", "org", (), "select * from activities.broken", (), {}, "3" * 16)
    ask(two.by_copy, LANDING, [])
    with pytest.raises(WarehouseError):
        ask(two.by_copy, broken, [])
    (folder,) = two.copies.iterdir()
    ask(two.by_copy, LANDING, [])
    assert list(two.copies.iterdir()) == [folder]
