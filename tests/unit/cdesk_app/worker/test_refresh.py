"""The snapshot follows the context cache by delta, survives damage, and never shows less than it
did.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from contexts import row, stamp

from cdesk.core.clock import format_ts
from cdesk.core.errors import SnapshotError, WarehouseUnavailable
from cdesk.core.home import StateDirectory
from cdesk.state.database import open_state
from cdesk.state.snapshot import ContextRow, SnapshotReader, SnapshotWriter
from cdesk_app.worker import refresh as module
from cdesk_app.worker.refresh import RefreshReport, refresh_catalog, refresh_context


class Cache:
    """Stands for `Warehouse.export_context` alone: rows later than `since`, ordered by customer,
    streamed; may break off.
    """

    dialect = "duckdb"

    def __init__(self) -> None:
        self.rows: dict[str, ContextRow] = {}
        self.asked: list[str | None] = []
        self.breaks_after: int | None = None
        self.open = 0

    def put(self, *rows: ContextRow) -> None:
        self.rows |= {item.customer: item for item in rows}

    def export_context(self, *, since: str | None) -> Iterator[ContextRow]:
        self.asked.append(since)
        self.open += 1
        try:
            for number, customer in enumerate(sorted(self.rows)):
                if number == self.breaks_after:
                    raise WarehouseUnavailable("gone")
                if since is None or self.rows[customer].updated_at > since:
                    yield self.rows[customer]
        finally:
            self.open -= 1


@pytest.fixture
def cache() -> Cache:
    return Cache()


@pytest.fixture
def state(state_home: StateDirectory) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(open_state(state_home.state_db)) as connection:
        yield connection


def refresh(cache: Cache, home: StateDirectory, **given: Any):  # type: ignore[no-untyped-def]
    return refresh_context(cache, home, **given)  # type: ignore[arg-type]


def read(home: StateDirectory, customer: str) -> ContextRow | None:
    reader = SnapshotReader(home.context_db)
    try:
        return reader.read(customer)[0]
    finally:
        reader.close()


def test_the_first_refresh_takes_all_and_the_next_only_what_is_later(
    cache: Cache, state_home: StateDirectory
) -> None:
    cache.put(row("ada", "a1", 5), row("bob", "b1", 9))
    first = refresh(cache, state_home)
    assert (first.changed, first.whole) == (2, True)
    cache.put(row("ada", "a2", 12))
    second = refresh(cache, state_home)
    assert cache.asked == [None, stamp(9)]
    assert (second.changed, second.whole) == (1, False)
    assert second.changed_customers == (("ada", "a2"),)
    assert read(state_home, "ada") == row("ada", "a2", 12)
    assert read(state_home, "bob") == row("bob", "b1", 9)


def test_a_refresh_without_news_moves_the_time_but_not_the_mark(
    cache: Cache, state_home: StateDirectory
) -> None:
    cache.put(row("ada", "a1", 5))
    refresh(cache, state_home)
    report = refresh(cache, state_home)
    assert (report.changed, report.changed_customers) == (0, ())
    reader = SnapshotReader(state_home.context_db)
    assert reader.read("ada")[1] == report.at
    reader.close()
    refresh(cache, state_home)
    assert cache.asked == [None, stamp(5), stamp(5)]


def test_a_row_that_was_rebuilt_with_the_same_content_is_no_change(
    cache: Cache, state_home: StateDirectory
) -> None:
    cache.put(row("ada", "a1", 5))
    refresh(cache, state_home)
    cache.put(row("ada", "a1", 8))
    assert refresh(cache, state_home).changed == 0
    refresh(cache, state_home)
    assert cache.asked[-1] == stamp(8)


@pytest.mark.parametrize("hours", [25, -1], ids=["a day later", "by a clock that was set back"])
def test_who_is_gone_from_the_warehouse_goes_from_the_snapshot_within_a_day(
    cache: Cache, state_home: StateDirectory, hours: int
) -> None:
    cache.put(row("ada", "a1", 5), row("bob", "b1", 5))
    refresh(cache, state_home)
    del cache.rows["bob"]
    assert not refresh(cache, state_home).whole
    later = refresh(cache, state_home, now_ns=lambda: time.time_ns() + hours * 3_600 * 10**9)
    assert (later.whole, later.removed) == (True, 1)
    assert read(state_home, "bob") is None
    assert read(state_home, "ada") is not None


def test_a_whole_refresh_removes_customers_that_are_gone_and_a_delta_does_not(
    cache: Cache, state_home: StateDirectory
) -> None:
    cache.put(row("ada", "a1", 5), row("bob", "b1", 5))
    refresh(cache, state_home)
    del cache.rows["bob"]
    assert refresh(cache, state_home).removed == 0
    assert read(state_home, "bob") is not None
    report = refresh(cache, state_home, whole=True)
    assert (report.removed, report.changed) == (1, 0)
    assert read(state_home, "bob") is None
    assert read(state_home, "ada") is not None


def test_a_refresh_that_breaks_off_is_made_again_from_the_same_mark_and_removes_nobody(
    cache: Cache, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SnapshotWriter, "BATCH", 2)
    cache.put(*(row(f"c{n}", "v1", n) for n in range(7)))
    refresh(cache, state_home)
    cache.put(*(row(f"c{n}", "v2", 10 + n) for n in range(7)))
    cache.breaks_after = 5
    with pytest.raises(WarehouseUnavailable):
        refresh(cache, state_home)
    assert cache.open == 0, "the export is closed, so the warehouse file is free"
    versions = [read(state_home, f"c{n}").version for n in range(7)]  # type: ignore[union-attr]
    assert versions == ["v2"] * 4 + ["v1"] * 3, "whole batches are kept, each row whole"
    cache.breaks_after = None
    assert refresh(cache, state_home).changed == 3
    assert cache.asked == [None, stamp(6), stamp(6)]


def test_more_rows_than_a_batch_are_all_there(
    cache: Cache, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SnapshotWriter, "BATCH", 3)
    monkeypatch.setattr(SnapshotWriter, "SAMPLE", 4)
    for count in (3, 7, 9):
        cache.put(*(row(f"c{n}", f"v{count}", count) for n in range(count)))
        report = refresh(cache, state_home)
        assert report.changed == count
        assert len(report.changed_customers) == min(count, 4)
    assert refresh(cache, state_home, whole=True).removed == 0


def test_a_damaged_snapshot_is_set_aside_and_made_anew_from_all(
    cache: Cache, state_home: StateDirectory
) -> None:
    cache.put(row("ada", "a1", 5))
    refresh(cache, state_home)
    reader = SnapshotReader(state_home.context_db)
    assert reader.read("ada")[0] is not None
    state_home.context_db.write_bytes(b"no database at all" * 100)
    report = refresh(cache, state_home)
    assert (report.rebuilt, report.whole, report.changed) == (True, True, 1)
    assert reader.read("ada")[0] == row("ada", "a1", 5), "a reader that was open finds the new file"
    reader.close()
    assert state_home.context_db.with_name("context.db.damaged").exists()


def test_damage_inside_the_file_is_found_by_a_check(
    cache: Cache, state_home: StateDirectory
) -> None:
    cache.put(*(row(f"c{n}", "v", n, *(f"{n}-{i}" for i in range(40))) for n in range(50)))
    refresh(cache, state_home)
    writer = SnapshotWriter(state_home.context_db)
    writer.check()
    data = bytearray(state_home.context_db.read_bytes())
    data[8_192:16_384] = b"\xff" * 8_192
    state_home.context_db.write_bytes(data)
    with pytest.raises(SnapshotError, match=r"damaged|malformed"):
        writer.check()


def test_a_snapshot_that_cannot_be_written_is_not_thrown_away(
    cache: Cache, state_home: StateDirectory
) -> None:
    cache.put(row("ada", "a1", 5))
    refresh(cache, state_home)
    before = state_home.context_db.stat().st_ino
    with contextlib.closing(sqlite3.connect(state_home.context_db, isolation_level=None)) as other:
        other.execute("begin immediate")
        original = sqlite3.connect

        def hasty(*args: object, **given: object) -> sqlite3.Connection:
            return original(*args, **{**given, "timeout": 0})  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cdesk.state.snapshot.sqlite3.connect", hasty)
            with pytest.raises(SnapshotError, match="locked"):
                refresh(cache, state_home)
    assert state_home.context_db.stat().st_ino == before


def test_readers_are_answered_all_through_a_refresh(
    cache: Cache, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SnapshotWriter, "BATCH", 10)
    cache.put(*(row(f"c{n:04d}", "v1", 1) for n in range(300)))
    refresh(cache, state_home)
    seen: set[str] = set()
    errors: list[Exception] = []
    stop = threading.Event()

    def look() -> None:
        reader = SnapshotReader(state_home.context_db)
        try:
            while not stop.is_set():
                found = reader.read("c0299")[0]
                assert found is not None
                seen.add(found.version)
        except Exception as error:  # noqa: BLE001 - handed to the main thread
            errors.append(error)
        finally:
            reader.close()

    thread = threading.Thread(target=look)
    thread.start()
    for turn in range(2, 6):
        cache.put(*(row(f"c{n:04d}", f"v{turn}", turn) for n in range(300)))
        refresh(cache, state_home)
    stop.set()
    thread.join()
    assert not errors
    assert seen <= {"v1", "v2", "v3", "v4", "v5"}


NOON = 1_769_860_800_000_000_000
DAY = 86_400 * 10**9


@pytest.mark.parametrize(
    ("since_last", "is_whole"),
    [(0, False), (1_000, False), (DAY - 1_000, False), (DAY, True), (-1_000, True)],
)
def test_all_are_taken_once_a_day_to_the_microsecond(
    cache: Cache, state_home: StateDirectory, since_last: int, is_whole: bool
) -> None:
    cache.put(row("ada", "a1", 5))
    refresh(cache, state_home, now_ns=lambda: NOON)
    assert refresh(cache, state_home, now_ns=lambda: NOON + since_last).whole is is_whole
    # Whether all were taken last is what counts, not when anything was.
    half = refresh(cache, state_home, now_ns=lambda: NOON + DAY // 2)
    assert half.whole is (since_last > DAY // 2 and is_whole)


def test_a_mark_that_is_no_time_takes_all(cache: Cache, state_home: StateDirectory) -> None:
    writer = SnapshotWriter(state_home.context_db)
    writer.apply((), refreshed_at=stamp(1), marks={module.WHOLE: "yesterday"})
    assert refresh(cache, state_home).whole


def test_a_report_says_what_was_done(
    cache: Cache, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter((100.0, 101.23456) * 3)
    clock = SimpleNamespace(monotonic=lambda: next(moments))
    monkeypatch.setattr(module, "time", clock)
    cache.put(row("ada", "a1", 5))
    report = refresh(cache, state_home, now_ns=lambda: NOON)
    expected = RefreshReport(
        at=format_ts(NOON),
        changed=1,
        removed=0,
        whole=True,
        rebuilt=False,
        seconds=1.235,
        changed_customers=(("ada", "a1"),),
    )
    assert report == expected
    assert cache.open == 0
    report = refresh(cache, state_home, now_ns=lambda: NOON)
    assert report == replace(expected, changed=0, whole=False, changed_customers=())
    state_home.context_db.write_bytes(b"no database at all, and long enough to be told" * 99)
    assert refresh(cache, state_home, now_ns=lambda: NOON) == replace(expected, rebuilt=True)
    assert state_home.context_db.with_name("context.db.damaged").exists()


def test_an_engine_that_answers_with_a_list_is_read_as_one_that_streams(
    state_home: StateDirectory,
) -> None:
    listed: Any = SimpleNamespace(export_context=lambda **_: [row("ada", "a1", 5)])
    assert refresh_context(listed, state_home).changed == 1


def test_the_catalog_is_written_with_the_time_of_the_clock_that_is_given(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(module, "export_catalog", lambda *of, **how: asked.append((of, how)))
    refresh_catalog(Path("manifest.json"), state_home, "duckdb", now_ns=lambda: NOON)
    assert asked == [
        (
            (Path("manifest.json"), state_home.catalog),
            {"dialect": "duckdb", "now": format_ts(NOON)},
        )
    ]
