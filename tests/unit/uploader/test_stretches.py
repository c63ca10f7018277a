"""A backlog lands many batches a transaction: one for a row group, whatever is wrong with a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from faulty_warehouse import MemoryWarehouse, nothing, unavailable
from landing_table import event, landed, make_landing

from cdesk.core.backoff import Breaker
from cdesk.core.errors import WarehouseError
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk.warehouse.batch import LineBatch
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk.warehouse.protocol import LandedLine
from uploader.uploader import Uploader

ROWS = 50


def uploader(home: StateDirectory, warehouse: MemoryWarehouse) -> Uploader:
    return Uploader(home, warehouse, most_rows=7, breaker=Breaker(monotonic=lambda: 0.0))


def queued(home: StateDirectory, lines: Sequence[bytes]) -> None:
    with closing(QueueWriter(home.queue)) as queue:
        for line in lines:
            queue.append(line)


def test_a_backlog_takes_a_transaction_for_so_many_rows_as_the_engine_likes(
    state_home: StateDirectory,
) -> None:
    lines = [event() for _ in range(ROWS)]
    queued(state_home, [line for _, line in lines])
    warehouse = MemoryWarehouse(stretch_rows=20)
    with closing(uploader(state_home, warehouse)) as drained:
        report = drained.drain()
    assert warehouse.batches == [20, 20, 10]
    assert [row.id for row in warehouse.rows] == [id for id, _ in lines]
    assert (report.landed, report.batches, report.waiting) == (ROWS, 3, 0)


def test_a_stretch_ends_where_its_bytes_are_many(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploader.uploader.STRETCH_BYTES", 1)
    queued(state_home, [event()[1] for _ in range(14)])
    warehouse = MemoryWarehouse(stretch_rows=20)
    with closing(uploader(state_home, warehouse)) as drained:
        drained.drain()
    assert warehouse.batches == [7, 7]


def test_a_stretch_ends_where_it_takes_long(state_home: StateDirectory) -> None:
    queued(state_home, [event()[1] for _ in range(21)])
    warehouse = MemoryWarehouse(stretch_rows=20)
    slow = Uploader(state_home, warehouse, most_rows=7, monotonic=_ticks())
    with closing(slow):
        slow.drain()
    assert warehouse.batches == [7, 7, 7]


def test_a_line_that_is_refused_in_a_stretch_is_quarantined_alone(
    state_home: StateDirectory,
) -> None:
    lines = [event() for _ in range(ROWS)]
    queued(state_home, [*(line for _, line in lines[:30]), b"{}\n", *(ln for _, ln in lines[30:])])
    poison = lines[13][0]
    warehouse = MemoryWarehouse(stretch_rows=20)

    def refuse(batch: Sequence[LandedLine]) -> None:
        if any(line.id == poison for line in batch):
            raise WarehouseError("refused for the test")

    warehouse.before = refuse
    with closing(uploader(state_home, warehouse)) as drained:
        report = drained.drain()
    assert report.blocked is None
    assert report.reasons == {"refused": 1, "unknown_version": 1}
    assert len(warehouse.rows) == report.landed == ROWS + 1
    good = [row.id for row in warehouse.rows if row.kind == "event"]
    assert good == [id for id, _ in lines if id != poison]
    assert max(warehouse.batches[-2:]) > 7  # once past it, by the stretch again


def test_batches_that_got_small_grow_again_where_stretches_are_quick(
    state_home: StateDirectory,
) -> None:
    warehouse = MemoryWarehouse(stretch_rows=20)
    at = 0.0

    def slow(_: object) -> None:
        nonlocal at
        at += 10.0

    with closing(
        Uploader(
            state_home,
            warehouse,
            most_rows=400,
            breaker=Breaker(monotonic=lambda: 0.0),
            monotonic=lambda: at,
        )
    ) as drained:
        warehouse.before = slow
        for _ in range(2):  # each halves it
            queued(state_home, [event()[1]])
            drained.drain()
        assert drained._rows == 100
        warehouse.before = nothing
        for _ in range(2):
            queued(state_home, [event()[1] for _ in range(drained._rows)])
            drained.drain()
        assert drained._rows == 400


def test_what_a_landing_waited_for_others_makes_no_batch_smaller(
    state_home: StateDirectory,
) -> None:
    warehouse = MemoryWarehouse()
    at = 0.0

    def waits(_: object) -> None:
        nonlocal at
        at += 10.0
        warehouse.waited = 10.0

    warehouse.before = waits
    uploader_ = Uploader(state_home, warehouse, most_rows=400, monotonic=lambda: at)
    with closing(uploader_) as drained:
        queued(state_home, [event()[1]])
        drained.drain()
        assert drained._rows == 400


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("error", [unavailable, None])
def test_a_stretch_that_fails_lands_once(
    state_home: StateDirectory, when: str, error: Callable[[object], None] | None
) -> None:
    lines = [event() for _ in range(ROWS)]
    queued(state_home, [line for _, line in lines])
    warehouse = MemoryWarehouse(stretch_rows=20)

    def fail(batch: object) -> None:
        setattr(warehouse, when, nothing)
        if error is not None:
            error(batch)
        raise WarehouseError("an error that says nothing")

    setattr(warehouse, when, fail)
    drained = Uploader(state_home, warehouse, most_rows=7, breaker=Breaker(monotonic=_ticks()))
    with closing(drained):
        for _ in range(3):
            drained.drain()
    assert [row.id for row in warehouse.rows] == [id for id, _ in lines]


def _ticks() -> Callable[[], float]:
    """A clock on which every pause is over at the next look."""
    at = 0.0

    def now() -> float:
        nonlocal at
        at += 1_000.0
        return at

    return now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_landing(tmp_path / "warehouse.duckdb")


def batches(*sizes: int, last: bytes = b"{}") -> Iterator[LineBatch]:
    number = 0
    for size in sizes:
        batch = LineBatch()
        for _ in range(size):
            batch.append(f"id-{number}", "event", b"{}", "a.ndjson", number * 10)
            number += 1
        if number == sum(sizes):
            batch.payloads[-1] = last
        yield batch


def test_duckdb_lands_a_stretch_with_one_instant_in_order(path: Path) -> None:
    with DuckDBWarehouse(path).bulk() as stretch:
        assert stretch is not None
        one = stretch.land(batches(3, 4, 1), None)
        two = stretch.land(batches(2), one.landed_at)
    assert (one.rows, two.rows, two.previous) == (8, 2, one.landed_at)
    assert [row[3] for row in landed(path)] == [0, 10, 20, 30, 40, 50, 60, 70, 0, 10]


def test_duckdb_lands_all_of_a_stretch_or_nothing(path: Path) -> None:
    def breaks() -> Iterator[LineBatch]:
        yield from batches(3, 2)
        raise RuntimeError("for the test")

    warehouse = DuckDBWarehouse(path)
    with warehouse.bulk() as stretch:
        assert stretch is not None
        with pytest.raises(WarehouseError, match="JSON"):
            stretch.land(batches(3, 2, last=b"{no json"), None)
        with pytest.raises(WarehouseError, match="UTF-8"):
            stretch.land(batches(3, 2, last=b'"\xff"'), None)
        with pytest.raises(RuntimeError):
            stretch.land(breaks(), None)
        assert stretch.land(batches(1), None).rows == 1
    assert [row[0] for row in landed(path)] == ["id-0"]


def test_a_whole_row_group_is_written_once_and_by_zstd(path: Path) -> None:
    with DuckDBWarehouse(path).bulk() as stretch:
        assert stretch is not None
        stretch.land(batches(*[stretch.rows // 3] * 3), None)
        assert not path.with_name("warehouse.duckdb.wal").stat().st_size > 100_000
    with duckdb.connect(path, read_only=True) as connection:
        groups = connection.execute(
            "select distinct row_group_id, compression from pragma_storage_info("
            "'activities.landing') where column_name = 'payload' and segment_type <> 'VALIDITY'"
        ).fetchall()
    assert groups == [(0, "ZSTD")]
