"""One drain: what it lands, counts, remembers and reports, when it stops, and when it comes again."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from faulty_warehouse import MemoryWarehouse, nothing, unavailable
from landing_table import event

from cdesk.core.backoff import Backoff, Breaker
from cdesk.core.errors import (
    CdeskError,
    ConfigurationError,
    WarehouseError,
    WarehouseNotBuilt,
    WarehouseUnavailable,
)
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.core.metrics import (
    LANDING_LAG_SECONDS,
    LANDING_ROWS,
    LANDING_SECONDS,
    RECORDS_LANDED,
    RECORDS_QUARANTINED,
    RETRIES,
    Metric,
)
from cdesk.queue.writer import QueueWriter
from cdesk.state.counts import Counts
from cdesk.state.database import open_state
from cdesk.warehouse.batch import LineBatch
from cdesk.warehouse.protocol import LandedLine
from uploader import uploader as module
from uploader.archive import Archive
from uploader.checkpoints import Progress
from uploader.reading import tail_crc
from uploader.uploader import DrainReport, Uploader, born_at

WRITER = "a" * 32
BORN_NS = 1_767_225_600_000_000_000
PAUSE = Backoff(10.0, 10.0)


class Desk:
    """A queue, a warehouse in memory, a clock, and what is counted."""

    def __init__(self, home: StateDirectory, *, stretch_rows: int = 0) -> None:
        self.home = home
        self.clock = [100.0]
        self.warehouse = MemoryWarehouse(stretch_rows=stretch_rows)
        self.counts = Counts()
        self._begun: list[Uploader] = []

    def uploader(self, **options: Any) -> Uploader:
        def monotonic() -> float:
            return self.clock[0]

        given: dict[str, Any] = {
            "breaker": Breaker(backoff=PAUSE, monotonic=monotonic),
            "monotonic": monotonic,
            "now_ns": lambda: BORN_NS + 5_000_000_000,
            "counts": self.counts,
            **options,
        }
        own = Uploader(self.home, self.warehouse, **given)
        self._begun.append(own)
        return own

    def write(self, *lines: bytes, writer: str = WRITER, sequence: int = 1) -> Path:
        """A sealed file with these lines."""
        path = self.home.queue / f"{writer}-{sequence:06d}.ndjson"
        path.write_bytes(b"".join(lines))
        return path

    def events(self, count: int, *, writer: str = WRITER, sequence: int = 1) -> Path:
        return self.write(*(event()[1] for _ in range(count)), writer=writer, sequence=sequence)

    def slow(self, seconds: float) -> None:
        """Each landing takes so long from now on."""

        def wait(_: object) -> None:
            self.clock[0] += seconds

        self.warehouse.before = wait

    def counted(self, metric: Metric) -> dict[tuple[str, ...], float]:
        return {labels: one.value for labels, one in self.counts._table.get(metric, {}).items()}

    def close(self) -> None:
        for own in self._begun:
            own.close()


@pytest.fixture
def desk(state_home: StateDirectory) -> Iterator[Desk]:
    own = Desk(state_home)
    yield own
    own.close()


def checkpoints(home: StateDirectory) -> dict[str, tuple[int, int, int]]:
    with closing(open_state(home.state_db)) as connection:
        rows = connection.execute(
            "select source_file, next_offset, last_offset, records from checkpoints"
        ).fetchall()
    return {name: tuple(rest) for name, *rest in rows}


# -- what it does, and says of it


@pytest.mark.parametrize("stretch_rows", [0, 100])
def test_a_drain_says_what_it_landed_and_counts_it(
    state_home: StateDirectory, stretch_rows: int, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(state_home, stretch_rows=stretch_rows)
    lines = [event(ts_ns=BORN_NS)[1] for _ in range(3)]
    path = desk.write(*lines, b"{}\n", b"[]\n", b"{}\n", b"torn")
    size = path.stat().st_size
    desk.slow(2.0)
    uploader = desk.uploader(most_rows=7)
    assert uploader.depth() == 6
    report = uploader.drain()
    assert report == DrainReport(
        landed=7,
        quarantined=4,
        batches=1,
        bytes=size,
        reasons={"unknown_version": 2, "not_an_object": 1, "torn": 1},
    )
    assert desk.counted(RECORDS_LANDED) == {(): 7}
    assert desk.counted(RECORDS_QUARANTINED) == {
        ("unknown_version",): 2,
        ("not_an_object",): 1,
        ("torn",): 1,
    }
    assert desk.counted(LANDING_SECONDS) == {(): 2.0}
    assert desk.counted(LANDING_ROWS) == {(): 7}
    assert desk.counted(LANDING_LAG_SECONDS) == {(): 5.0}
    assert desk.counted(RETRIES) == {}
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [
        f"lines quarantined: {report.reasons}"
    ]
    caplog.clear()
    assert uploader.drain() == DrainReport()
    assert not caplog.records
    desk.close()


@pytest.mark.parametrize(("stretch_rows", "batches"), [(0, 5), (4, 3)])
def test_counts_add_up_over_the_batches_of_a_drain(
    state_home: StateDirectory, stretch_rows: int, batches: int
) -> None:
    desk = Desk(state_home, stretch_rows=stretch_rows)
    size = desk.write(*[event()[1], b"{}\n"] * 5).stat().st_size
    report = desk.uploader(most_rows=2).drain()
    assert (report.landed, report.quarantined, report.bytes) == (10, 5, size)
    assert report.reasons == {"unknown_version": 5}
    assert report.batches == len(desk.warehouse.batches) == batches
    assert desk.counted(RECORDS_QUARANTINED) == {("unknown_version",): 5}
    assert desk.counted(RECORDS_LANDED) == {(): 10}
    desk.close()


def test_refused_records_are_quarantined_as_refused(desk: Desk) -> None:
    lines = [event() for _ in range(4)]
    poison = {lines[1][0], lines[2][0]}

    def refuse(batch: Sequence[LandedLine]) -> None:
        if any(line.id in poison for line in batch):
            raise WarehouseError("refused for the test")

    desk.warehouse.before = refuse
    desk.write(*(line for _, line in lines), b"{}\n")
    report = desk.uploader().drain()
    assert report.reasons == {"refused": 2, "unknown_version": 1}
    assert (report.landed, report.quarantined) == (5, 3)
    kinds = [(row.source_offset, row.kind) for row in desk.warehouse.rows]
    assert [kind for _, kind in sorted(kinds)] == [
        *("event", "quarantine", "quarantine", "event", "quarantine")
    ]
    assert [offset for offset, _ in kinds] == sorted(offset for offset, _ in kinds)


def test_each_landed_batch_is_told_with_its_seconds_and_none_lands_in_a_stretch(
    state_home: StateDirectory,
) -> None:
    desk = Desk(state_home, stretch_rows=100)
    told: list[tuple[int, float]] = []
    desk.slow(3.0)
    desk.events(5)
    uploader = desk.uploader(
        most_rows=2, landed=lambda batch, seconds: told.append((len(batch), seconds))
    )
    uploader.drain()
    assert desk.warehouse.batches[0] == 2
    assert told == [(rows, 3.0) for rows in desk.warehouse.batches]
    desk.close()


def test_a_lag_is_of_a_live_record_and_never_negative(desk: Desk) -> None:
    desk.write(event(ts_ns=BORN_NS + 60_000_000_000)[1])
    desk.uploader().drain()
    assert desk.counted(LANDING_LAG_SECONDS) == {(): 0.0}
    history = event()[1].replace(b'"source_system":"claude_desktop"', b'"source_system":"cowork"')
    desk.write(history, sequence=2)
    desk.uploader().drain()
    assert desk.counts._table[LANDING_LAG_SECONDS][()].buckets[0] == 1
    assert sum(desk.counts._table[LANDING_LAG_SECONDS][()].buckets) == 1


@pytest.mark.parametrize(
    ("payload", "seconds"),
    [
        (b'{"ts":"2026-01-31T12:00:00.500000Z"}', 1_769_860_800.5),
        (b'{"ts":"2026-01-31T12:00:00Z","source_system":"claude_desktop"}', 1_769_860_800.0),
        (b'{"ts":"2026-01-31T12:00:00Z","source_system":"cowork"}', None),
        (b'{"ts":"yesterday"}', None),
        (b'{"ts":5}', None),
        (b"{}", None),
        (b"[]", None),
        (b"torn", None),
    ],
)
def test_when_a_batch_was_born_is_told_by_its_first_live_record(
    payload: bytes, seconds: float | None
) -> None:
    later = b'{"ts":"2026-02-01T12:00:00Z"}'
    assert born_at(LineBatch(payloads=[payload, later])) == seconds
    assert born_at(LineBatch()) is None


def test_where_nothing_was_ever_queued_nobody_is_asked(tmp_path: Path) -> None:
    desk = Desk(StateDirectory(tmp_path / "nowhere"))
    assert desk.uploader().drain() == DrainReport()
    assert desk.warehouse.asked == 0


def test_an_empty_queue_asks_the_warehouse_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk.warehouse, "last_landing", unavailable)
    monkeypatch.setattr(desk.warehouse, "positions", unavailable)
    assert desk.uploader().drain() == DrainReport()


def test_names_that_are_not_of_the_queue_are_told(desk: Desk) -> None:
    (desk.home.queue / "mine.ndjson").touch()
    (desk.home.queue / f"{WRITER}-000001.ndjson").mkdir()
    report = desk.uploader().drain()
    assert report.unknown == ["mine.ndjson"]
    assert report.unreadable == {f"{WRITER}-000001.ndjson": "a folder"}


# -- one at a time


def test_who_finds_the_queue_taken_says_so_and_leaves_it_free(desk: Desk) -> None:
    desk.events(2)
    uploader = desk.uploader()
    with FileLock(desk.home.queue / "uploader.lock"):
        report = uploader.drain()
    assert (report.blocked, report.message) == ("busy", "another uploader drains this queue")
    assert (report.landed, desk.warehouse.asked) == (0, 0)
    assert uploader.drain().landed == 2
    assert desk.uploader().drain().blocked is None


def test_the_warehouse_is_asked_once_while_nobody_else_drains(desk: Desk) -> None:
    first, second = desk.uploader(), desk.uploader()
    for sequence in (1, 2, 3):
        desk.events(1, sequence=sequence)
        first.drain()
    assert desk.warehouse.asked == 1
    desk.events(1, sequence=4)
    assert second.drain().landed == 1
    desk.events(1, sequence=5)
    assert first.drain().landed == 1
    assert desk.warehouse.asked == 3


def test_a_lock_is_given_up_whatever_happens(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("for the test")

    uploader = desk.uploader()
    with monkeypatch.context() as broken:
        broken.setattr(uploader, "_drain", fail)
        with pytest.raises(RuntimeError):
            uploader.drain()
    assert FileLock(desk.home.queue / "uploader.lock").acquire()


# -- stopping and pausing


def test_a_drain_that_is_told_to_stop_lands_nothing_more(desk: Desk) -> None:
    desk.events(6)
    stop = threading.Event()
    stop.set()
    uploader = desk.uploader(most_rows=2)
    report = uploader.drain(stop)
    assert (report.landed, report.blocked, report.waiting) == (0, "stopped", 6)
    stop.clear()
    desk.warehouse.after = lambda _: stop.set()
    report = uploader.drain(stop)
    assert (report.landed, report.blocked, report.waiting) == (2, "stopped", 4)
    desk.warehouse.after = nothing
    assert uploader.drain(stop=None).landed == 4


def test_a_drain_that_stops_on_a_whole_batch_comes_again_at_once(desk: Desk) -> None:
    desk.events(2)
    stop = threading.Event()
    desk.warehouse.after = lambda _: stop.set()
    uploader = desk.uploader(most_rows=2)
    assert uploader.drain(stop).landed == 2
    assert uploader.debounce_seconds == 0.0
    assert uploader.drain(threading.Event()).landed == 0
    assert uploader.debounce_seconds == 0.25


def test_a_small_drain_is_put_off_for_a_moment_that_runs_out(desk: Desk) -> None:
    uploader = desk.uploader()
    desk.clock[0] = 0.0
    assert uploader.debounce_seconds == 0.0, "the first comes at once"
    desk.clock[0] = 100.0
    desk.events(1)
    uploader.drain()
    for passed, left in ((0.0, 0.25), (0.125, 0.125), (0.25, 0.0), (9.0, 0.0)):
        desk.clock[0] = 100.0 + passed
        assert uploader.debounce_seconds == left


def test_a_drain_that_lands_nothing_is_no_slow_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploader = desk.uploader()
    positions = desk.warehouse.positions

    def slowly(names: Sequence[str]) -> dict[str, int]:
        desk.clock[0] += 9.0
        return positions(names)

    monkeypatch.setattr(desk.warehouse, "positions", slowly)
    desk.write()  # an empty file
    assert uploader.drain().landed == 0
    assert uploader.debounce_seconds == 0.25


@pytest.mark.parametrize(
    ("error", "is_failure"),
    [
        (WarehouseUnavailable("down"), True),
        (WarehouseNotBuilt("not yet"), False),
        (ConfigurationError("no account"), True),
    ],
)
@pytest.mark.parametrize("stretch_rows", [0, 100])
def test_a_warehouse_that_cannot_take_anything_is_told_and_given_a_pause(
    state_home: StateDirectory, error: CdeskError, is_failure: bool, stretch_rows: int
) -> None:
    desk = Desk(state_home, stretch_rows=stretch_rows)

    def fail(_: object) -> None:
        raise error

    desk.warehouse.before = fail
    desk.events(3)
    uploader = desk.uploader(most_rows=3)
    report = uploader.drain()
    assert (report.landed, report.waiting, report.batches) == (0, 3, 0)
    assert (report.blocked, report.message) == (error.code, str(error))
    assert uploader.breaker.failures == int(is_failure)
    assert desk.counted(RETRIES) == ({("landing",): 1} if is_failure else {})
    asked = desk.warehouse.asked
    desk.warehouse.before = nothing
    if is_failure:
        assert uploader.debounce_seconds == 10.0
        desk.clock[0] += 4.0
        again = uploader.drain()
        assert (again.blocked, again.landed) == ("backing_off", 0)
        assert again.message == f"{report.blocked}: {report.message}"
        assert (desk.warehouse.asked, uploader.debounce_seconds) == (asked, 6.0)
        desk.clock[0] += 6.0
    assert uploader.drain().landed == 3
    assert desk.warehouse.asked == asked + 1, "what has landed is asked anew"
    assert (uploader.breaker.failures, uploader.debounce_seconds) == (0, 0.25)
    desk.close()


def test_a_warehouse_that_is_back_is_tried_with_a_few_lines_first(
    state_home: StateDirectory,
) -> None:
    desk = Desk(state_home, stretch_rows=1_000)
    uploader = desk.uploader(most_rows=400)
    desk.events(700)
    desk.warehouse.before = unavailable
    uploader.drain()
    desk.warehouse.before = nothing
    desk.clock[0] += 10.0
    assert uploader.drain().landed == 700
    assert desk.warehouse.batches == [100, 600]
    desk.close()


def test_a_failure_is_forgotten_when_a_drain_reaches_the_end(desk: Desk) -> None:
    path = desk.events(1)
    desk.warehouse.before = unavailable
    uploader = desk.uploader()
    uploader.drain()
    path.unlink()
    desk.clock[0] += 10.0
    assert uploader.drain().blocked is None
    assert uploader.breaker.failures == 0


def test_an_uploader_has_a_breaker_and_counts_of_its_own(desk: Desk) -> None:
    desk.warehouse.before = unavailable
    desk.events(1)
    with closing(Uploader(desk.home, desk.warehouse)) as uploader:
        assert uploader.drain().blocked == "warehouse_unavailable"
        assert uploader.breaker.failures == 1


# -- how much at once


@pytest.mark.parametrize(
    ("takes", "rows", "most", "then"),
    [
        (2.0, 400, 400, 400),
        (2.1, 400, 400, 200),
        (2.1, 101, 400, 200),
        (0.5, 400, 400, 400),
        (0.4, 400, 400, 400),
        (2.1, 90, 150, 100),
        (2.1, 50, 50, 50),
    ],
)
def test_a_batch_is_halved_where_landing_is_slow_within_bounds(
    desk: Desk, takes: float, rows: int, most: int, then: int
) -> None:
    uploader = desk.uploader(most_rows=most)
    desk.slow(takes)
    desk.events(rows)
    uploader.drain()
    assert uploader._rows == then


@pytest.mark.parametrize(
    ("takes", "rows", "then"), [(0.4, 100, 200), (0.5, 100, 100), (0.4, 99, 100)]
)
def test_a_batch_is_doubled_where_a_whole_one_lands_quickly(
    desk: Desk, takes: float, rows: int, then: int
) -> None:
    uploader = desk.uploader(most_rows=200)
    desk.slow(2.1)
    desk.events(1)
    uploader.drain()
    assert uploader._rows == 100
    desk.slow(takes)
    desk.events(rows, sequence=2)
    uploader.drain()
    assert uploader._rows == then


def test_a_first_batch_has_two_thousand_rows(desk: Desk) -> None:
    assert desk.uploader()._rows == 2_000
    assert desk.uploader(most_rows=7)._rows == 7


def test_batches_and_stretches_end_at_their_bytes() -> None:
    assert module.MOST_BYTES == 12 * 2**20
    assert module.STRETCH_BYTES == 64 * 2**20


@pytest.mark.parametrize(
    ("stretch_bytes", "batches"), [(10**9, [6, 4]), (1, [2, 2, 2, 2, 2]), (3, [4, 4, 2])]
)
def test_a_stretch_ends_at_its_rows_or_bytes(
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    stretch_bytes: int,
    batches: list[int],
) -> None:
    """The bytes are counted in lines."""
    desk = Desk(state_home, stretch_rows=6)
    lines = [event()[1] for _ in range(10)]
    desk.write(*lines)
    monkeypatch.setattr(module, "STRETCH_BYTES", stretch_bytes * len(lines[0]))
    report = desk.uploader(most_rows=2).drain()
    assert desk.warehouse.batches == batches
    assert (report.landed, report.batches) == (10, len(batches))
    desk.close()


@pytest.mark.parametrize(("takes", "batches"), [(1.0, [8, 2]), (2.0, [4, 4, 2]), (4.0, [2] * 5)])
def test_a_stretch_ends_after_four_seconds(
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    takes: float,
    batches: list[int],
) -> None:
    desk = Desk(state_home, stretch_rows=100)
    desk.events(10)
    uploader = desk.uploader(most_rows=2)
    land_all = desk.warehouse.land_all

    def slowly(parts: Any, after: datetime | None) -> Any:
        def taken() -> Iterator[LineBatch]:
            for part in parts:
                desk.clock[0] += takes
                yield part

        return land_all(taken(), after)

    monkeypatch.setattr(desk.warehouse, "land_all", slowly)
    monkeypatch.setattr(module, "LEAST_ROWS", 2)
    uploader.drain()
    assert desk.warehouse.batches == batches
    desk.close()


def test_a_stretch_takes_so_many_rows_and_not_one_more(state_home: StateDirectory) -> None:
    desk = Desk(state_home, stretch_rows=5)
    desk.events(10)
    assert desk.uploader(most_rows=2).drain().landed == 10
    assert desk.warehouse.batches == [5, 5]
    desk.close()


@pytest.mark.parametrize(("most_rows", "landed"), [(2, 3), (3, 2)])
def test_after_a_whole_batch_the_queue_is_looked_at_again(
    desk: Desk, most_rows: int, landed: int
) -> None:
    """What came meanwhile lands in the same drain; else with the next one."""
    desk.events(2)

    def more(_: object) -> None:
        desk.warehouse.after = nothing
        desk.events(1, sequence=2)

    desk.warehouse.after = more
    report = desk.uploader(most_rows=most_rows).drain()
    assert (report.landed, report.waiting) == (landed, 3 - landed)


def test_a_stretch_that_is_told_to_stop_lands_what_it_has(state_home: StateDirectory) -> None:
    desk = Desk(state_home, stretch_rows=100)
    desk.events(10)
    stop = threading.Event()
    uploader = desk.uploader(most_rows=2)
    advance = uploader._limit

    def limit() -> int:
        if uploader._stretch_rows is not None:
            stop.set()
        return advance()

    uploader._limit = limit  # type: ignore[method-assign]
    report = uploader.drain(stop)
    assert (report.blocked, report.landed + report.waiting) == ("stopped", 10)
    assert 0 < report.landed < 10
    desk.close()


def test_a_refused_stretch_lands_batch_by_batch_until_it_is_past(
    state_home: StateDirectory,
) -> None:
    desk = Desk(state_home, stretch_rows=6)
    lines = [event() for _ in range(18)]
    poison = lines[3][0]
    tried: list[int] = []

    def refuse(batch: Sequence[LandedLine]) -> None:
        tried.append(len(batch))
        if any(line.id == poison and line.kind == "event" for line in batch):
            raise WarehouseError("refused for the test")

    desk.warehouse.before = refuse
    desk.write(*(line for _, line in lines))
    report = desk.uploader(most_rows=2).drain()
    assert report.reasons == {"refused": 1}
    assert report.landed == 18
    assert desk.warehouse.batches == [2, 1, 1, 2, 6, 6]
    assert tried == [6, 2, 2, 1, 1, 1, 2, 6, 6]
    desk.close()


# -- what it remembers


def test_progress_is_kept_and_goes_with_its_file(desk: Desk) -> None:
    with closing(QueueWriter(desk.home.queue)) as writer:
        lines = [event()[1] for _ in range(3)]
        for line in lines:
            writer.append(line)
        uploader = desk.uploader()
        uploader.drain()
        size = sum(map(len, lines))
        (name,) = checkpoints(desk.home)
        assert checkpoints(desk.home)[name] == (size, size - len(lines[2]), 3)
        assert uploader._progress[name] == Progress(
            *(size, size - len(lines[2]), 3),
            tail_crc(next(desk.home.queue.glob("*.open.ndjson")), size),
        )
        writer.append(event()[1])
        assert desk.uploader().depth() == 1, "as state.db has it"
        writer.append(event()[1])
        assert uploader.depth() == 2
        assert desk.uploader().measure().files == 1
    assert uploader.drain().landed == 2
    assert checkpoints(desk.home) == {}
    assert uploader._progress == {}


def test_depth_is_known_where_state_db_is_not(desk: Desk) -> None:
    desk.events(3)
    desk.home.state_db.mkdir()
    assert desk.uploader().depth() == 3


def test_what_has_landed_is_noted_anew_of_what_the_warehouse_says(desk: Desk) -> None:
    with closing(QueueWriter(desk.home.queue)) as writer:
        for _ in range(2):
            writer.append(event()[1])
        desk.uploader().drain()
        known = checkpoints(desk.home)
        with closing(open_state(desk.home.state_db)) as state:
            state.execute("update checkpoints set source_file = 'gone', next_offset = 7")
        desk.uploader().drain()
        assert checkpoints(desk.home) == known
    assert len(desk.warehouse.rows) == 2


def test_many_files_are_asked_for_in_parts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POSITIONS_AT_ONCE", 2)
    asked: list[list[str]] = []
    positions = desk.warehouse.positions

    def noting(names: Sequence[str]) -> dict[str, int]:
        asked.append(list(names))
        return positions(names)

    monkeypatch.setattr(desk.warehouse, "positions", noting)
    for sequence in (1, 2):
        desk.events(1, sequence=sequence)
    desk.uploader().drain()
    names = [f"{WRITER}-{sequence:06d}.ndjson" for sequence in range(1, 6)]
    assert asked == [names[:2]]
    asked.clear()
    for sequence in (3, 4, 5):
        desk.events(1, sequence=sequence)
    desk.uploader().drain()
    assert asked == [names[2:4], [names[4], names[0]], [names[1]]], "archived ones too"
    assert len(desk.warehouse.rows) == 5


def damaged(home: StateDirectory) -> Path:
    home.state_db.write_bytes(b"no database" * 1_000)
    return home.state_db


def set_aside(home: StateDirectory) -> list[Path]:
    return list(home.root.glob("state.db.damaged-*"))


def test_a_damaged_state_db_is_set_aside_and_made_anew(desk: Desk) -> None:
    damaged(desk.home)
    desk.events(1)
    assert desk.uploader().drain().landed == 1
    assert len(set_aside(desk.home)) == 1
    assert checkpoints(desk.home) == {}


def test_a_state_db_that_is_found_damaged_later_is_mended_by_who_is_asked_to(desk: Desk) -> None:
    path = damaged(desk.home)

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None)

    desk.events(1)
    mended: list[bool] = []
    given = desk.uploader(connect=connect, repair=lambda: mended.append(True))
    assert given.drain().landed == 1
    assert set(mended) == {True}
    desk.events(1, sequence=2)
    assert desk.uploader(repair=lambda: None).drain().landed == 1
    assert set_aside(desk.home) == [], "nobody else mends it"
    with closing(QueueWriter(desk.home.queue)) as writer:
        writer.append(event()[1])
        assert desk.uploader(connect=connect).drain().landed == 1
        assert len(checkpoints(desk.home)) == 1
    assert len(set_aside(desk.home)) == 1


def test_a_given_connection_is_used_and_closed(desk: Desk) -> None:
    made: list[Any] = []

    def connect() -> Any:
        made.append(open_state(desk.home.state_db))
        return made[-1]

    uploader = desk.uploader(connect=connect)
    desk.events(1)
    uploader.drain()
    assert len(made) == 1
    uploader.close()
    with pytest.raises(Exception, match="closed database"):
        made[0].execute("select 1")


# -- files


def test_a_file_that_has_landed_is_put_away_and_an_empty_one_removed(desk: Desk) -> None:
    desk.events(1, sequence=1)
    desk.write(sequence=2)
    desk.write(b"   \n  \n", sequence=3)
    uploader = desk.uploader()
    assert uploader.drain() == DrainReport(landed=1, batches=1, bytes=len(event()[1]))
    assert [path.name for path in desk.home.queue.glob("*.ndjson")] == []
    archived = [path.name for path in (desk.home.queue / "archive").iterdir()]
    assert archived == [f"{WRITER}-000001.0.ndjson"]
    assert uploader._progress == {}


def test_files_are_put_away_while_others_are_still_written(desk: Desk) -> None:
    with closing(QueueWriter(desk.home.queue)) as writer:
        writer.append(event()[1])
        sealed = desk.events(1, writer="f" * 32)
        assert desk.uploader().drain().landed == 2
        assert not sealed.exists()
        assert len(list(desk.home.queue.glob("*.open.ndjson"))) == 1


def test_a_file_that_cannot_be_put_away_stays_for_the_next_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Archive.put
    first = f"{WRITER}-000001.ndjson"

    def refuse(archive: Archive, file: Any, last_offset: int) -> None:
        if file.name == first:
            raise PermissionError(13, "Permission denied")
        put(archive, file, last_offset)

    uploader = desk.uploader()
    with monkeypatch.context() as broken:
        broken.setattr(Archive, "put", refuse)
        for sequence in (1, 2):
            desk.events(1, sequence=sequence)
        assert uploader.drain().landed == 2
        assert [path.name for path in desk.home.queue.glob("*.ndjson")] == [first]
        assert checkpoints(desk.home).keys() == {first}
    assert uploader.drain().landed == 0
    assert [path.name for path in desk.home.queue.glob("*.ndjson")] == []
    assert checkpoints(desk.home) == {}


def test_a_file_that_grew_while_it_landed_stays_and_those_behind_it_are_put_away(
    desk: Desk,
) -> None:
    first, second = desk.events(1, sequence=1), desk.events(1, sequence=2)
    more = event()[1]

    def grow(_: object) -> None:
        desk.warehouse.after = nothing
        with first.open("ab") as file:
            file.write(more)

    desk.warehouse.after = grow
    uploader = desk.uploader()
    assert uploader.drain().landed == 2
    assert (first.exists(), second.exists(), uploader.depth()) == (True, False, 1)
    assert uploader.drain().landed == 1
    assert not first.exists()


def test_a_file_that_was_cut_under_its_writer_is_held_and_the_others_land(desk: Desk) -> None:
    with closing(QueueWriter(desk.home.queue)) as writer:
        writer.append(event()[1])
        uploader = desk.uploader()
        uploader.drain()
        (path,) = desk.home.queue.glob("*.open.ndjson")
        os.truncate(path, 5)
        desk.events(1, writer="0" * 32)
        report = uploader.drain()
        assert report.held == [path.name.replace(".open", "")]
        assert (report.landed, len(desk.warehouse.rows)) == (1, 2)
    report = uploader.drain()
    assert (report.held, report.reasons) == ([], {"torn": 1}), "sealed, it lands as another file"
    assert uploader.depth() == 0


def test_what_cannot_be_read_just_now_is_held_and_lands_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = module.read_blocks
    paths = [desk.events(1, sequence=number) for number in (1, 2)]
    other = desk.events(1, writer="b" * 32)

    def refuse(path: Path, *args: Any, **options: Any) -> Any:
        if path == paths[0]:
            raise PermissionError(13, "Permission denied")
        return read(path, *args, **options)

    uploader = desk.uploader()
    with monkeypatch.context() as broken:
        broken.setattr(module, "read_blocks", refuse)
        report = uploader.drain()
    assert report.held == [paths[0].name]
    assert [row.source_file for row in desk.warehouse.rows] == [other.name]
    assert uploader.drain() == DrainReport(
        landed=2, batches=1, bytes=sum(len(row.payload) + 1 for row in desk.warehouse.rows[1:])
    )
    names = [row.source_file for row in desk.warehouse.rows[1:]]
    assert names == [path.name for path in paths], "a writer's files in their order"


def test_a_file_that_is_sealed_meanwhile_lands_in_the_same_drain(desk: Desk) -> None:
    with closing(QueueWriter(desk.home.queue)) as writer:
        writer.append(event()[1])
        positions = desk.warehouse.positions

        def seal(names: Sequence[str]) -> dict[str, int]:
            writer.seal()
            return positions(names)

        desk.warehouse.positions = seal  # type: ignore[method-assign]
        report = desk.uploader().drain()
    assert (report.landed, report.held, report.blocked) == (1, [], None)


def test_where_a_file_goes_as_it_lands_the_warehouse_is_asked_again(desk: Desk) -> None:
    path = desk.events(1)

    def remove(_: object) -> None:
        path.unlink()

    desk.warehouse.after = remove
    uploader = desk.uploader()
    report = uploader.drain()
    assert (report.landed, report.blocked, report.waiting) == (1, None, 0)
    assert uploader._progress == {}, "as the queue has it, when it was listed anew"


def test_another_file_under_a_name_that_landed_lands_as_a_new_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    uploader = desk.uploader()
    path = desk.write(event(customer="ada")[1])
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(uploader, "_put_away", lambda _: None)
        uploader.drain()
    assert checkpoints(desk.home).keys() == {path.name}
    path.write_bytes(event(customer="zuleika")[1])
    assert uploader.drain().landed == 1
    assert checkpoints(desk.home) == {}
    assert uploader._progress == {}
    names = [row.source_file for row in desk.warehouse.rows]
    assert names[0] == path.name != names[1]
    assert "is not what has landed of it; it lands again as" in caplog.text


def test_files_that_the_warehouse_lost_land_again(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.events(2)
    uploader = desk.uploader()
    uploader.drain()
    rows = desk.warehouse.rows
    desk.warehouse.rows, desk.warehouse.stamps = [], []
    assert desk.uploader().drain().landed == 2
    assert [row.id for row in desk.warehouse.rows] == [row.id for row in rows]
    assert "1 files landed once and are gone from the warehouse" in caplog.text


@pytest.mark.parametrize("stretch_rows", [0, 10])
def test_a_warehouse_that_went_back_is_noticed_and_asked_again(
    state_home: StateDirectory, stretch_rows: int
) -> None:
    desk = Desk(state_home, stretch_rows=stretch_rows)
    uploader = desk.uploader(most_rows=1)
    desk.events(2)
    uploader.drain()
    desk.warehouse.rows, desk.warehouse.stamps = [], []
    desk.events(1, sequence=2)
    report = uploader.drain()
    assert (report.landed, report.blocked) == (3, None)
    assert desk.warehouse.asked == 2
    desk.close()


def test_archived_files_are_cleaned_up_every_ten_minutes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaned: list[float] = []
    monkeypatch.setattr(Archive, "clean_up", lambda _: cleaned.append(desk.clock[0]))
    uploader = desk.uploader()
    for at in (100.0, 700.0, 700.5, 1_300.0, 1_300.5, 1_301.0):
        desk.clock[0] = at
        uploader.drain()
    stop = threading.Event()
    stop.set()
    desk.clock[0] = 9_000.0
    uploader.drain(stop)
    assert cleaned == [700.5, 1_301.0]


@pytest.mark.parametrize(("keep_days", "is_kept"), [(1.0, False), (3.0, True)])
def test_archived_files_are_kept_as_long_as_asked(
    desk: Desk, keep_days: float, is_kept: bool
) -> None:
    uploader = desk.uploader(keep_days=keep_days)
    desk.events(1)
    uploader.drain()
    (archived,) = (desk.home.queue / "archive").iterdir()
    two_days_ago = time.time() - 2 * 86_400
    os.utime(archived, (two_days_ago, two_days_ago))
    desk.clock[0] += 601.0
    uploader.drain()
    assert bool(list((desk.home.queue / "archive").iterdir())) is is_kept


def test_what_the_uploader_was_given_is_what_it_uses(desk: Desk) -> None:
    breaker = Breaker()
    uploader = Uploader(desk.home, desk.warehouse, breaker=breaker)
    with closing(uploader):
        assert uploader.breaker is breaker
