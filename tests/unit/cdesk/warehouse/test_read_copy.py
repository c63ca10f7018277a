"""The copy that questions read, over a warehouse of the project's shape in small: a stream, what is
live of it, and views beside it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from landing_table import event, landing_ddl, made_by

from cdesk.contract.catalog import Template
from cdesk.core.errors import QueryCancelled, WarehouseError, WarehouseUnavailable
from cdesk.warehouse import duckdb as duckdb_warehouse
from cdesk.warehouse import read_copy
from cdesk.warehouse.batch import LineBatch
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk.warehouse.lines import engine_lines
from cdesk.warehouse.protocol import LandedLine
from cdesk.warehouse.read_copy import ReadCopy
from tests.in_background import ONLY_WHERE_THREADS_DIFFER, in_background

ADA, BOB = "ada@example.com", "bob@example.com"
LINES = """
    select
        id as _activity_id, payload->>'$.customer' as customer, landed_at as _landed_at,
        1 as numbered
    from "w"."activities"."landing"
    where
        kind = 'event' and landed_at >= coalesce(
            (select max(_landed_at) from "w"."activities"."events"), '0001-01-01'::timestamp
        )
        and id not in (select _activity_id from "w"."activities"."events")
"""
CHANGES = f"create macro activities.live_changes() as table {LINES}"
"""Numbers what is new, and the stored activities of whoever has something new, by one more."""
RENUMBERED = """
    union all
    select _activity_id, customer, _landed_at, numbered + 1
    from "w"."activities"."events"
    where customer in (
        select payload->>'$.customer' from "w"."activities"."landing"
        where landed_at > (select max(_landed_at) from "w"."activities"."events")
    )
"""
STREAM = "select _activity_id, numbered from activities.events_live order by all"


def make_warehouse(path: Path) -> Path:
    return made_by(
        path,
        "create schema activities",
        landing_ddl(),
        "create table activities.events "
        "(_activity_id varchar, customer varchar, _landed_at timestamp, numbered integer)",
        f"{CHANGES}{RENUMBERED}",
        "create view activities.events_live as select * from w.activities.events as stored "
        "where not exists (select 1 from w.activities.live_changes() as changes "
        "where changes._activity_id = stored._activity_id) "
        "union all select * from w.activities.live_changes()",
        "create view activities.counted as select count(*) as n from w.activities.events_live",
        "create view activities.above as select n + 1 as n from w.activities.counted",
        "create view activities.unstored_activities as select id from w.activities.landing "
        "where id not in (select _activity_id from w.activities.events)",
        "create view activities.landed_imports as select id from w.activities.landing",
        "create table activities.notes (note varchar)",
    )


class Copied:
    """A warehouse that is read by its copy."""

    def __init__(self, folder: Path) -> None:
        self.path = make_warehouse(folder / "w.duckdb")
        self.folder = folder / "copies"
        self.warehouse = DuckDBWarehouse(self.path, copies=self.folder)
        self.directly = DuckDBWarehouse(self.path)
        self._offset = 0

    @property
    def copy(self) -> ReadCopy:
        assert self.warehouse._copy is not None
        return self.warehouse._copy

    @property
    def copies(self) -> list[str]:
        """The folders of the copies that lie on the disk."""
        self.copy.wait_ended()
        return sorted(one.name for one in self.folder.iterdir()) if self.folder.exists() else []

    def land(self, *customers: str, activity: str = "cdesk.user_asked") -> list[str]:
        lines = self.lines(*customers, activity=activity)
        self.warehouse.land(lines)
        return [line.id for line in lines]

    def lines(self, *customers: str, activity: str = "cdesk.user_asked") -> list[LandedLine]:
        lines = []
        for customer in customers:
            id, line = event(activity, customer=customer)
            self._offset += 1
            lines.append(LandedLine(id, "event", line.decode(), "a.ndjson", self._offset))
        return lines

    def build(self) -> None:
        """What has landed becomes the stream, by another process."""
        with duckdb.connect(self.path) as connection:
            connection.execute(
                "create or replace table activities.events as select * from activities.events_live"
            ).fetchall()

    def ask(self, sql: str, **options: Any) -> list[tuple[Any, ...]]:
        return ask(self.warehouse, sql, **options)


def ask(warehouse: DuckDBWarehouse, sql: str, **options: Any) -> list[tuple[Any, ...]]:
    template = Template("test", "", "org", (), sql, (), {}, "0" * 16)
    with warehouse.run_template(
        template, [], query_tag="cdesk_00c0ffee", timeout_seconds=600, **options
    ) as outcome:
        return [tuple(row.values()) for batch in outcome.batches for row in batch.to_pylist()]


@pytest.fixture
def copied(tmp_path: Path) -> Iterator[Copied]:
    made = Copied(tmp_path)
    yield made
    made.warehouse.close()


@contextmanager
def turn_taken(copy: ReadCopy) -> Iterator[None]:
    """Somebody else is about to make a copy, or does."""
    with copy._turn:
        yield


def in_another_thread(do: Any) -> None:
    thread = threading.Thread(target=do)
    thread.start()
    thread.join()


QUESTIONS = (
    STREAM,
    "select n from activities.above",
    "select n from activities.counted",
    "select id from activities.unstored_activities order by id",
    "select id from activities.landed_imports order by id",
    "select id, source_offset, landed_at from activities.landing order by id",
    "select count(*) from activities.events",
    "select note from activities.notes",
)


def test_the_copy_answers_what_the_file_does_whatever_lands(copied: Copied) -> None:
    copied.land(ADA, BOB)
    copied.build()
    for customers in ((), (BOB, ADA), ("cy@example.com",)):
        if customers:
            copied.land(*customers)
        by_copy = {sql: copied.ask(sql) for sql in QUESTIONS}
        with copied.directly.reading():
            assert by_copy == {sql: ask(copied.directly, sql) for sql in QUESTIONS}
    copied.land(ADA)
    copied.land(BOB)  # two that nobody has asked between
    assert copied.ask(STREAM) == ask(copied.directly, STREAM)
    assert copied.copies == ["1"], "one copy, which followed"


def test_a_project_without_live_changes_is_shown_as_its_views_have_it(copied: Copied) -> None:
    with duckdb.connect(copied.path) as connection:
        connection.execute(
            "create or replace view activities.events_live as select id as _activity_id, "
            "source_offset as numbered from w.activities.landing"
        ).fetchall()
        connection.execute("drop macro table activities.live_changes").fetchall()
    for _ in range(2):
        copied.land(ADA)
        assert copied.ask(STREAM) == ask(copied.directly, STREAM) != []
    assert copied.copies == ["1"]


def test_a_build_by_another_process_is_read_from_a_new_copy_and_the_old_one_goes(
    copied: Copied,
) -> None:
    (id,) = copied.land(ADA)
    assert copied.ask("select count(*) from activities.events") == [(0,)]
    copied.build()
    assert copied.ask("select count(*) from activities.events") == [(1,)]
    assert copied.copies == ["2"]
    assert copied.ask(STREAM) == [(id, 1)]


def test_what_another_process_lands_between_ours_is_seen_by_the_next_question(
    copied: Copied,
) -> None:
    copied.ask(STREAM)
    copied.land(ADA)
    id, line = event(customer=BOB)
    copied.directly.land([LandedLine(id, "event", line.decode(), "b.ndjson", 1)])
    copied.land(ADA)
    assert copied.ask(STREAM) == ask(copied.directly, STREAM)
    assert len(copied.ask(STREAM)) == 3
    assert copied.copies == ["2"]


def test_while_we_build_questions_are_answered_from_before_and_then_from_a_new_copy(
    copied: Copied,
) -> None:
    copied.land(ADA)
    copied.ask(STREAM)
    before = copied.warehouse.data_state(ADA, system=True)
    assert before is not None
    with copied.warehouse.building():
        copied.build()
        assert copied.ask("select count(*) from activities.events") == [(0,)]
        assert copied.warehouse.data_state(ADA, system=True) == before
    assert copied.warehouse.data_state(ADA, system=True) not in (None, before)
    assert copied.copies == ["2"], "made before anybody asks"
    assert copied.ask("select count(*) from activities.events") == [(1,)]
    with copied.warehouse.building():
        pass
    assert copied.copies == ["2"], "nothing was built"


def test_a_build_of_a_file_that_nobody_has_asked_makes_no_copy(copied: Copied) -> None:
    with copied.warehouse.building():
        copied.build()
    assert copied.copies == []


def test_too_much_that_landed_makes_a_new_copy_with_the_next_question(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied.ask(STREAM)
    with monkeypatch.context() as patch:
        patch.setattr(read_copy, "TAIL_BYTES", 0)
        copied.land(ADA)
    assert copied.copies == ["1"]
    assert len(copied.ask(STREAM)) == 1
    assert copied.copies == ["2"]
    copied.land(ADA)  # counted from the new copy on
    assert len(copied.ask(STREAM)) == 2
    assert copied.copies == ["2"]


def test_a_short_stretch_is_taken_in_by_the_copy_that_there_is(copied: Copied) -> None:
    copied.land(ADA)
    ask(copied.warehouse, STREAM)
    (copy,) = copied.copies
    known = copied.warehouse.data_state(None, system=False)
    with copied.warehouse.bulk() as stretch:
        assert stretch is not None
        stretch.land([copied.lines(BOB), copied.lines(ADA)], None)
        stretch.land([], None)
    assert copied.warehouse.data_state(None, system=False) not in (None, known)
    after = ask(copied.warehouse, STREAM)
    assert after == ask(copied.directly, STREAM)
    assert len(after) == 3
    assert copied.copies == [copy]


def test_while_a_backlog_lands_questions_are_answered_from_before_and_then_from_a_new_copy(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_warehouse, "STRETCH_TAIL_BYTES", 0)
    copied.land(ADA)
    before = ask(copied.warehouse, STREAM)
    known = copied.warehouse.data_state(None, system=False)
    found: list[Any] = []
    with copied.warehouse.bulk() as stretch:
        assert stretch is not None
        stretch.land([copied.lines(BOB), copied.lines(ADA)], None)
        copied.land(ADA)
        assert copied.warehouse.data_state(None, system=False) != known
        in_another_thread(lambda: found.extend(ask(copied.warehouse, STREAM)))
        assert found == before
    assert copied.warehouse.data_state(None, system=False) is None
    after = ask(copied.warehouse, STREAM)
    assert after == ask(copied.directly, STREAM)
    assert len(after) == 4
    assert len(copied.copies) == 1


def test_landings_that_a_copy_shows_are_let_go(copied: Copied) -> None:
    copied.land(ADA)
    assert list(copied.copy._landings) == [], "before there is a copy none is kept"
    copied.ask(STREAM)
    for _ in range(3):
        copied.land(ADA)
    copied.ask(STREAM)
    assert list(copied.copy._landings) == []


def test_a_landing_after_a_question_is_taken_in_at_once_and_others_wait_for_one(
    copied: Copied,
) -> None:
    copied.ask(STREAM)
    copied.land(ADA)
    assert not copied.copy._landings
    copied.land(ADA)
    assert len(copied.copy._landings) == 1
    with turn_taken(copied.copy):
        in_another_thread(lambda: copied.land(ADA))  # who has the turn keeps no landing waiting
    assert len(copied.ask(STREAM)) == 3


def test_a_file_that_can_not_be_copied_is_read_itself_and_tried_again_after_a_while(
    copied: Copied, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    copied.land(ADA)
    now = [1_000.0]
    monkeypatch.setattr(read_copy, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(read_copy, "_share_blocks", lambda *_: False)
    with monkeypatch.context() as patch:
        patch.setattr(read_copy, "COPY_BYTES", 1)
        assert len(copied.ask(STREAM)) == 1
    with copied.warehouse.reading():
        assert len(copied.ask(STREAM)) == 1
    assert copied.copies == []
    assert "no copy of the warehouse" in caplog.text
    now[0] += read_copy.RETRY_SECONDS - 0.5
    copied.ask(STREAM)
    assert copied.copies == []
    now[0] += 0.5
    copied.ask(STREAM)
    assert copied.copies == ["2"]
    copied.build()
    copied.ask(STREAM)
    assert copied.copies == ["3"], "one that was made is no reason to wait"


def test_a_file_of_exactly_the_most_bytes_is_copied(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_copy, "_share_blocks", lambda *_: False)
    monkeypatch.setattr(read_copy, "COPY_BYTES", copied.path.stat().st_size)
    copied.ask(STREAM)
    assert copied.copies == ["1"]


def test_why_no_copy_was_made_is_told_in_one_line(copied: Copied) -> None:
    failed = copied.copy._failed(OSError("\n no room \nfor\nit"))
    assert str(failed) == "the warehouse could not be copied: no room "


def test_a_question_that_names_what_is_not_there_leaves_the_copy_to_others(copied: Copied) -> None:
    with pytest.raises(WarehouseError):
        copied.ask("select * from activities.nothing")
    copied.ask(STREAM)
    assert copied.copies == ["1"]


def test_who_waits_for_a_copy_can_be_cancelled_and_gives_up_in_time(copied: Copied) -> None:
    copied.ask(STREAM)
    cancel = threading.Event()
    outcomes: list[BaseException] = []

    def read(wait: float, cancel: threading.Event | None) -> None:
        try:
            with copied.copy.reading(wait, cancel):
                pass
        except WarehouseError as error:
            outcomes.append(error)

    with turn_taken(copied.copy):
        in_another_thread(lambda: read(0.0, None))
        in_another_thread(lambda: read(0.0, cancel))
        cancel.set()
        in_another_thread(lambda: read(60.0, cancel))
    assert [type(one) for one in outcomes] == [
        WarehouseUnavailable,
        WarehouseUnavailable,
        QueryCancelled,
    ]


def test_reads_inside_a_block_see_one_state_and_make_what_the_block_names(copied: Copied) -> None:
    copied.land(ADA)
    kept = [STREAM, "select n from activities.counted"]
    with copied.copy.kept(1.0, None, kept):
        with copied.copy.reading(1.0, None, STREAM) as (cursor, last):
            first = cursor.execute(STREAM).fetchall()
        in_another_thread(lambda: copied.land(ADA))
        with copied.copy.reading(1.0, None, STREAM) as (again, last_again):
            assert (again, last_again) == (cursor, last)
            assert again.execute(STREAM).fetchall() == first
        # what the block did not name is read outside of its transaction
        with copied.copy.reading(1.0, None, "activities.notes") as (other, _):
            assert other is not cursor
            assert other.execute("select * from activities.notes").fetchall() == []
    with copied.copy.reading(1.0, None, STREAM) as (cursor, later):
        assert len(cursor.execute(STREAM).fetchall()) == 2
    assert last is not None
    assert later is not None
    assert later > last


def test_a_copy_that_is_read_stays_until_its_reader_leaves(copied: Copied) -> None:
    with copied.copy.reading(1.0, None, STREAM) as (cursor, _):
        instance = copied.copy._instance
        assert instance is not None
        copied.build()
        in_another_thread(lambda: copied.ask(STREAM))
        assert copied.copies == ["1", "2"]
        copied.copy.close()
        assert copied.copies == ["1"]
        assert cursor.execute(STREAM).fetchall() == []
    assert copied.copies == []
    with pytest.raises(duckdb.ConnectionException):
        instance.connection.execute("select 1")


def test_cursors_serve_the_next_reader_and_no_more_than_a_few_wait(copied: Copied) -> None:
    copied.ask(STREAM)
    instance = copied.copy._instance
    assert instance is not None
    (idle,) = instance._idle
    with copied.copy.reading(1.0, None, STREAM) as (cursor, _):
        assert cursor is idle
        assert instance._idle == []
    cursors = [instance.begin() for _ in range(read_copy._IDLE_CURSORS + 1)]
    for cursor in cursors:
        cursor.execute("rollback").fetchall()
        instance.rest(cursor)
    assert instance._idle == cursors[:-1]
    with pytest.raises(duckdb.ConnectionException):
        cursors[-1].execute("select 1")


def test_a_copy_that_nobody_reads_goes_and_a_question_makes_another(tmp_path: Path) -> None:
    copied = Copied(tmp_path)
    copied.copy._rest_seconds = 0.05
    with copied.copy.reading(1.0, None, STREAM):
        copied.copy._leave(*copied.copy._enter(1.0, None, ())[:2])  # another reader has left
        time.sleep(0.12)
        assert copied.copies == ["1"], "somebody reads it"
    until = time.monotonic() + 30
    while copied.copies and time.monotonic() < until:
        time.sleep(0.01)
    assert copied.copies == []
    assert copied.warehouse.data_state(ADA, system=False) is None
    copied.copy._rest_seconds = 60
    copied.ask(STREAM)
    assert copied.copies == ["2"]
    copied.warehouse.close()


def test_what_an_earlier_process_left_behind_goes(tmp_path: Path) -> None:
    (tmp_path / "copies" / "7").mkdir(parents=True)
    copied = Copied(tmp_path)
    assert copied.copies == []
    copied.ask(STREAM)
    assert (copied.folder / "1").stat().st_mode & 0o077 == 0
    copied.warehouse.close()


def test_the_state_of_the_data_moves_with_what_is_news_to_whom(copied: Copied) -> None:
    def states() -> list[str | None]:
        return [
            copied.warehouse.data_state(customer, system=system)
            for customer in (ADA, BOB, None)
            for system in (False, True)
        ]

    assert states() == [None] * 6, "no copy stands"
    copied.ask(STREAM)
    first = states()
    assert None not in first
    copied.land(ADA, activity="cdesk.sql_completed")
    moved = [one != other for one, other in zip(first, states(), strict=True)]
    assert moved == [False, True, False, False, False, True]
    copied.build()
    assert states() == [None] * 6, "another process has written"
    copied.ask(STREAM)
    assert all(one != other for one, other in zip(first, states(), strict=True))


def setting(copied: Copied, name: str) -> Any:
    return copied.ask(f"select current_setting('{name}')")[0][0]


def test_questions_on_the_copy_reach_nothing_else_and_have_the_files_limits(
    copied: Copied,
) -> None:
    assert (setting(copied, "threads"), setting(copied, "memory_limit")) == (2, "953.6 MiB")
    for name, value in (
        ("enable_external_access", False),
        ("lock_configuration", True),
        ("autoinstall_known_extensions", False),
        ("autoload_known_extensions", False),
        ("allow_community_extensions", False),
        ("python_enable_replacements", False),
        ("TimeZone", "UTC"),
    ):
        assert setting(copied, name) == value, name
    assert setting(copied, "temp_directory") == str(copied.folder / "1" / "w.tmp")
    assert copied.copies == ["1"]
    for sql in ("select * from '/etc/passwd'", "select * from read_csv('/etc/passwd')"):
        with pytest.raises(WarehouseError):
            copied.ask(sql)


def test_a_file_and_a_folder_of_any_name_are_copied(tmp_path: Path) -> None:
    folder = tmp_path / "o'clock"
    folder.mkdir()
    path = made_by(
        folder / 'the "file".duckdb',
        "create schema activities",
        landing_ddl(),
        "create table activities.notes (note varchar)",
        "insert into activities.notes values ('x')",
    )
    warehouse = DuckDBWarehouse(path, copies=folder / "copies")
    copy = warehouse._copy
    assert copy is not None
    with copy.reading(1.0, None, "activities.notes") as (cursor, last):
        assert cursor.execute("select note from activities.notes").fetchall() == [("x",)]
        assert last is None, "nothing has landed"
    assert [one.name for one in (folder / "copies" / "1").iterdir()] == [path.name]
    warehouse.close()


def test_what_only_the_log_of_the_file_holds_is_in_the_copy(copied: Copied) -> None:
    with duckdb.connect(copied.path) as connection:
        connection.execute("pragma disable_checkpoint_on_shutdown")
        connection.execute("pragma wal_autocheckpoint = '1GB'")
        connection.execute("insert into activities.notes values ('in the log')").fetchall()
    assert copied.path.with_name("w.duckdb.wal").exists()
    assert copied.ask("select note from activities.notes") == [("in the log",)]
    folder = copied.folder / "1"
    assert sorted(one.name for one in folder.iterdir()) == ["w.duckdb", "w.duckdb.wal"]
    assert {one.stat().st_mode & 0o077 for one in (folder, *folder.iterdir())} == {0}


@pytest.mark.parametrize("more", [0, 1])
def test_a_copy_takes_in_as_much_as_it_may_and_begins_anew_beyond(
    copied: Copied, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    copied.ask(STREAM)
    copied.land(ADA)
    size = copied.copy._landed_bytes
    assert size > 0
    monkeypatch.setattr(read_copy, "TAIL_BYTES", 3 * size - more)
    for _ in range(2):
        copied.land(ADA)
    assert len(copied.ask(STREAM)) == 3
    assert copied.copies == (["2"] if more else ["1"])
    assert (copied.copy._landed_bytes == 0) is bool(more), "counted anew"


def test_a_build_that_fails_leaves_the_copy_as_it_was(copied: Copied) -> None:
    copied.land(ADA)
    before = copied.ask(STREAM)
    for _ in range(2):
        with pytest.raises(KeyError), copied.warehouse.building():
            raise KeyError
    assert copied.ask(STREAM) == before
    assert copied.copies == ["1"]
    assert copied.warehouse.data_state(ADA, system=False) is not None, "nothing is built any more"


def test_builds_within_a_build_are_one(copied: Copied) -> None:
    copied.ask(STREAM)
    with copied.warehouse.building():
        with copied.warehouse.building():
            copied.build()
        assert copied.copy._building == 1, "one goes on"
    assert copied.copy._building == 0
    assert copied.warehouse.data_state(ADA, system=False) is not None


def test_what_lands_while_a_new_copy_is_made_is_in_it(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied.land(ADA)
    copied.ask(STREAM)
    opened = read_copy._opened

    def slowly(*given: Any) -> Any:
        made = opened(*given)
        in_another_thread(lambda: copied.land(BOB))
        assert len(copied.ask(STREAM)) == 2, "the one before answers meanwhile"
        return made

    with copied.warehouse.building():
        copied.build()
        monkeypatch.setattr(read_copy, "_opened", slowly)
    monkeypatch.undo()
    assert copied.copies == ["2"]
    assert copied.ask(STREAM) == ask(copied.directly, STREAM)
    assert list(copied.copy._landings) == []


@pytest.mark.parametrize("fails", ["opening", "taking in"])
def test_a_new_copy_that_cannot_be_made_after_a_build_leaves_nothing(
    copied: Copied, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    copied.land(ADA)
    copied.ask(STREAM)

    def broken(*_: Any) -> Any:
        raise duckdb.IOException("broken")

    with copied.warehouse.building():
        copied.build()
        if fails == "opening":
            monkeypatch.setattr(read_copy, "_opened", broken)
        else:
            monkeypatch.setattr(read_copy._Instance, "take", broken)
    monkeypatch.undo()
    assert copied.copies == ["1"]
    assert copied.ask("select count(*) from activities.events") == [(1,)], "of the file itself"
    assert copied.copies == ["1"], "for a while none is tried"


def test_a_copy_that_can_not_take_in_a_landing_is_given_up(
    copied: Copied, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    copied.ask(STREAM)

    def broken(*_: Any) -> Any:
        raise duckdb.OutOfMemoryException("too much")

    with monkeypatch.context() as patch:
        patch.setattr(read_copy._Instance, "take", broken)
        copied.land(ADA)
    assert copied.copies == []
    assert "no copy of the warehouse" in caplog.text
    assert len(copied.ask(STREAM)) == 1, "of the file itself"
    assert copied.copies == []


def test_what_stands_on_what_is_live_is_known() -> None:
    views = {
        "events_live": "select * from w.activities.events",
        "a": 'select * from "w"."activities"."events_live"',
        "b": "select * from activities.a join activities.c using (x)",
        "c": "select 1",
        "d": "select * from activities.b, activities.events_live",
    }
    assert read_copy._above(views, "events_live") == {"a", "b", "d"}
    assert read_copy._above(views, "c") == {"b", "d"}
    assert read_copy._named('select * from activities.a, "activities"."b", other.c') == {"a", "b"}


def test_an_idle_copy_rests_and_one_that_is_read_does_not(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock of the test's: after its rest, and not before."""
    now = [1_000.0]
    monkeypatch.setattr(read_copy, "time", SimpleNamespace(monotonic=lambda: now[0]))
    copy = copied.copy
    copied.ask(STREAM)
    thread = copy._resting
    assert thread is not None
    assert (thread.daemon, thread.name) == (True, "cdesk-copy-rest")
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        now[0] += seconds
        return False

    copy._closed.set()  # so that the thread looks at once, and finds nothing to do
    thread.join(30)
    assert copied.copies == []
    copy._closed.clear()
    copied.ask(STREAM)
    begun = now[0]
    second = copy._resting
    assert second is not None
    assert second is not thread
    copy._closed.set()
    second.join(30)
    copy._closed.clear()
    monkeypatch.setattr(copy._closed, "wait", wait)
    with copy.reading(1.0, None, STREAM):
        now[0] = begun + 30
    copy._resting = None
    copy._rest()
    assert waits == [60.0], "from the end of the last question"
    assert copied.copies == []


def test_an_answer_of_the_copy_is_as_of_the_latest_landing_that_it_shows(copied: Copied) -> None:
    def as_of() -> datetime:
        template = Template("test", "", "org", (), STREAM, (), {}, "0" * 16)
        with copied.warehouse.run_template(
            template, [], query_tag="cdesk_00c0ffee", timeout_seconds=600
        ) as outcome:
            return outcome.as_of

    assert as_of() == datetime(1970, 1, 1, tzinfo=UTC)
    copied.land(ADA)
    copied.land(ADA)
    assert as_of() == copied.directly.last_landing()


@pytest.mark.parametrize("more", [0, 1])
def test_a_stretch_of_as_much_as_the_copy_takes_in_is_taken_in(
    copied: Copied, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    copied.ask(STREAM)
    batches = [copied.lines(BOB), copied.lines(ADA)]
    size = sum(engine_lines(LineBatch.of(lines)).nbytes for lines in batches)
    monkeypatch.setattr(duckdb_warehouse, "STRETCH_TAIL_BYTES", size - more)
    with copied.warehouse.bulk() as stretch:
        assert stretch is not None
        stretch.land(batches, None)
    assert len(copied.ask(STREAM)) == 2
    assert copied.copies == (["2"] if more else ["1"])


def test_a_new_copy_has_what_questions_ask_for(copied: Copied) -> None:
    with copied.copy.kept(1.0, None, [STREAM, "select n from activities.above"]):
        pass
    copied.ask("select * from activities.notes")  # by the way
    with copied.warehouse.building():
        copied.build()
    instance = copied.copy._instance
    assert instance is not None
    assert copied.copies == ["2"]
    assert instance.has({"above", "counted"})
    assert not instance.has({"notes"})


def test_no_question_waits_for_a_landing_that_is_being_taken_in(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied.ask(STREAM)
    known = copied.warehouse.data_state(ADA, system=False)
    take, found = read_copy._Instance.take, list[Any]()

    def slowly(self: Any, landings: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(read_copy._Instance, "take", take)
            in_another_thread(lambda: found.append(copied.ask(STREAM)))
        found.append(copied.warehouse.data_state(ADA, system=False))
        take(self, landings)

    monkeypatch.setattr(read_copy._Instance, "take", slowly)
    copied.land(ADA)
    monkeypatch.undo()
    assert found == [[], known], "answered from before, and nobody is told of news yet"
    assert copied.warehouse.data_state(ADA, system=False) != known
    assert len(copied.ask(STREAM)) == 1


def test_what_has_landed_is_waited_for(copied: Copied) -> None:
    copied.ask(STREAM)
    instance = copied.copy._instance
    assert instance is not None
    found: list[Any] = []
    asks = threading.Thread(target=lambda: found.append(copied.ask(STREAM)))
    with instance.taking:
        in_another_thread(lambda: copied.land(ADA))
        asks.start()
        asks.join(0.2)
        assert found == []
    asks.join(60)
    assert len(found[0]) == 1


def test_a_relation_that_is_being_made_keeps_only_who_needs_one_waiting(copied: Copied) -> None:
    copied.ask(STREAM)
    instance = copied.copy._instance
    assert instance is not None
    found: list[Any] = []
    asks = threading.Thread(
        target=lambda: found.append(copied.ask("select n from activities.above"))
    )
    with instance.making:
        copied.land(ADA)
        assert len(copied.ask(STREAM)) == 1
        asks.start()
        asks.join(0.2)
        assert found == []
    asks.join(60)
    assert found == [[(2,)]]


def test_landings_and_relations_are_taken_in_and_made_side_by_side(copied: Copied) -> None:
    copied.ask(STREAM)
    instance = copied.copy._instance
    assert instance is not None
    seen: list[int] = []

    def land() -> None:
        for _ in range(20):
            copied.land(ADA)
            seen.append(len(copied.ask(STREAM)))

    lands = threading.Thread(target=land)
    lands.start()
    statement = instance._statements["above"]
    while lands.is_alive():
        assert copied.ask("select n from activities.above")[0][0] >= 1
        with instance.making:
            instance.connection.execute("drop view w.activities.above").fetchall()
            instance._statements = {**instance._statements, "above": statement}
    lands.join()
    assert seen == list(range(1, 21))
    assert copied.copies == ["1"], "neither has failed"
    assert copied.ask("select n from activities.above") == [(21,)]


@ONLY_WHERE_THREADS_DIFFER
def test_a_copy_that_follows_a_build_is_opened_by_no_background(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's threads are as nice as who opened it, and answer questions."""
    copied.ask(STREAM)
    opened: list[int] = []
    real = read_copy._opened
    monkeypatch.setattr(
        read_copy, "_opened", lambda *given: opened.append(os.nice(0)) or real(*given)
    )

    def build() -> None:
        with copied.warehouse.building():
            copied.build()

    with in_background() as run:
        run(build)
    assert opened == [os.nice(0)]


@ONLY_WHERE_THREADS_DIFFER
def test_what_questions_share_is_made_by_no_background_that_asks_first(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh or the dashboard: who asks next uses the same copy, and waits until it is there."""
    niceness: dict[str, set[int]] = {}

    def noted(of: Any, name: str) -> None:
        real, found = getattr(of, name), niceness.setdefault(name, set())

        def noting(*given: Any) -> Any:
            found.add(os.nice(0))
            return real(*given)

        monkeypatch.setattr(of, name, noting)

    noted(read_copy, "_copy")
    noted(read_copy, "_opened")
    noted(read_copy._Instance, "make")
    noted(read_copy._Instance, "take")
    copied.land(ADA)
    with in_background() as run:
        assert run(lambda: copied.ask("select n from activities.above")) == [(2,)]
    assert niceness == {name: {os.nice(0)} for name in ("_copy", "_opened", "make", "take")}
