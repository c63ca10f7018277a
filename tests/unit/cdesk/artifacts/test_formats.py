"""Files streamed, sampled and exported."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdesk.artifacts import formats as artifacts
from cdesk.artifacts.formats import (
    export,
    read_rows,
    sample_positions,
    store,
)

HASH = "0123456789abcdef"
NUMBERS = pa.schema([("n", pa.int64()), ("label", pa.string())])


def batches(count: int, size: int = 1000) -> Iterator[pa.RecordBatch]:
    for start in range(0, count, size):
        rows = range(start, min(start + size, count))
        yield pa.record_batch(
            [pa.array(rows, pa.int64()), pa.array([f"row {i}" for i in rows])], schema=NUMBERS
        )


def test_a_result_under_the_cap_is_stored_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    stored = store(NUMBERS, batches(2500), path, query_hash=HASH, byte_cap=10**9)
    assert (stored.row_count, stored.kept_rows, stored.sampled, stored.sampling_note) == (
        2500,
        2500,
        False,
        None,
    )
    assert [row[0] for row in read_rows(path)] == list(range(2500))
    assert stored.preview == [[i, f"row {i}"] for i in range(10)]
    assert stored.file_bytes == path.stat().st_size
    assert list(tmp_path.iterdir()) == [path]


def test_above_the_cap_a_sample_that_says_so_is_stored_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    stored = store(NUMBERS, batches(48_211), path, query_hash=HASH, byte_cap=20_000)
    rows = [row[0] for row in read_rows(path)]
    assert stored.sampled
    assert stored.sampling_note == f"sampled {len(rows):,} of 48,211 rows"
    assert len(rows) == stored.kept_rows
    assert rows == sorted(set(rows))
    assert [row[0] for row in stored.preview] == rows[:10]
    assert stored.byte_count > 20_000


def test_the_sample_depends_on_nothing_but_query_and_rows(tmp_path: Path) -> None:
    def sample(name: str, size: int, query_hash: str) -> list[list[Any]]:
        store(
            NUMBERS, batches(30_000, size), tmp_path / name, query_hash=query_hash, byte_cap=20_000
        )
        return list(read_rows(tmp_path / name))

    def positions(query_hash: str) -> list[int]:
        return list(sample_positions(query_hash, 500, 30_000))

    assert sample("a", 1000, HASH) == sample("b", 1000, HASH)
    assert positions(HASH) == positions(HASH) != positions("f" * 16)


@given(st.integers(1, 500), st.integers(0, 2000))
def test_sample_positions_are_distinct_ascending_and_within(kept: int, more: int) -> None:
    total = kept + more
    positions = list(sample_positions(HASH, kept, total))
    assert len(positions) == kept
    assert positions == sorted(set(positions))
    assert 0 <= positions[0] <= positions[-1] < total


def test_one_row_is_never_sampled_away(tmp_path: Path) -> None:
    stored = store(NUMBERS, batches(1), tmp_path / "a", query_hash=HASH, byte_cap=1)
    assert (stored.kept_rows, stored.sampled) == (1, False)


def test_an_empty_result_keeps_its_columns(tmp_path: Path) -> None:
    stored = store(NUMBERS, iter(()), tmp_path / "a", query_hash=HASH, byte_cap=1000)
    assert stored.columns == [{"name": "n", "type": "integer"}, {"name": "label", "type": "string"}]
    assert (stored.row_count, stored.preview, stored.sampled) == (0, [], False)


def test_a_failing_stream_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from batches(1000)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store(NUMBERS, broken(), tmp_path / "a", query_hash=HASH, byte_cap=10**9)
    assert list(tmp_path.iterdir()) == []


def test_a_result_beyond_all_bounds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "MAX_RESULT_BYTES", 1000)
    with pytest.raises(artifacts.WarehouseError, match="narrow"):
        store(NUMBERS, batches(10_000), tmp_path / "a", query_hash=HASH, byte_cap=10**9)


def test_types_that_parquet_lacks_are_stored_as_text(tmp_path: Path) -> None:
    kind = pa.month_day_nano_interval()
    schema = pa.schema([("i", kind)])
    batch = pa.record_batch(
        [pa.array([pa.MonthDayNano([1, 2, 500_000_000]), None], kind)], schema=schema
    )
    stored = store(schema, [batch], tmp_path / "a", query_hash=HASH, byte_cap=10**9)
    assert stored.columns == [{"name": "i", "type": "interval"}]
    assert stored.preview == [["1 mons 2 days 0.500000 s"], [None]]


def test_long_texts_are_cut_where_everybody_sees_it(tmp_path: Path) -> None:
    schema = pa.schema([("t", pa.string())])
    batch = pa.record_batch([pa.array(["x" * 5000])], schema=schema)
    stored = store(schema, [batch], tmp_path / "a", query_hash=HASH, byte_cap=10**9)
    assert stored.cut
    assert stored.preview[0][0].endswith("… (5,000 characters)")
    assert next(read_rows(tmp_path / "a")) == ["x" * 5000]


# -- export


def test_exports_carry_every_row_and_type(tmp_path: Path) -> None:
    schema = pa.schema([("b", pa.bool_()), ("l", pa.list_(pa.int8())), ("t", pa.string())])
    rows = [
        pa.array([True, None]),
        pa.array([[1, 2], None], pa.list_(pa.int8())),
        pa.array(['say "x",\n', None]),
    ]
    path = tmp_path / "a"
    stored = store(
        schema, [pa.record_batch(rows, schema=schema)], path, query_hash=HASH, byte_cap=10**9
    )
    result = {"columns": stored.columns, "rows": stored.preview, "truncated": False, "row_count": 2}

    def exported(format: artifacts.Format) -> bytes:
        out = io.BytesIO()
        export(path, out, format, result=result)
        return out.getvalue()

    assert exported("csv") == b'b,l,t\r\ntrue,"[1,2]","say ""x"",\n"\r\n,,\r\n'
    assert orjson.loads(exported("json"))["rows"] == [
        [True, [1, 2], 'say "x",\n'],
        [None, None, None],
    ]
    assert exported("parquet") == path.read_bytes()
