"""Files streamed, sampled and exported."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdesk.artifacts import formats as artifacts
from cdesk.artifacts.formats import (
    export,
    first_bytes,
    parquet_columns,
    read_rows,
    rows_at,
    sample_positions,
    sampling_note,
    store,
    store_small,
)
from cdesk.core.errors import ArtifactUnreadable

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
    with pytest.raises(artifacts.WarehouseError, match="larger than 1,000 bytes; narrow"):
        store(NUMBERS, batches(10_000), tmp_path / "a", query_hash=HASH, byte_cap=10**9)
    exactly = next(batches(1)).nbytes
    monkeypatch.setattr(artifacts, "MAX_RESULT_BYTES", exactly)
    assert store(NUMBERS, batches(1), tmp_path / "a", query_hash=HASH, byte_cap=1).kept_rows == 1


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


@pytest.mark.parametrize(
    ("rows", "size", "cap", "kept"),
    [
        (10, 1000, 1000, 10),
        (10, 1000, 999, 9),
        (10, 1000, 200, 2),
        (10, 1000, 199, 1),
        (10, 1000, 1, 1),
        (0, 0, 0, 0),
    ],
)
def test_as_many_rows_are_kept_as_fit_under_the_cap_and_one_at_least(
    rows: int, size: int, cap: int, kept: int
) -> None:
    assert artifacts._kept(rows, size, cap) == kept


def test_a_sample_has_one_row_of_each_equal_part_chosen_by_the_querys_hash() -> None:
    """The same for whoever works it out again, in this version or another."""
    positions = list(sample_positions(HASH, 4, 1_000))
    digests = [hashlib.sha256(f"{HASH}:{part}".encode()).digest()[:8] for part in range(4)]
    assert positions == [
        250 * part + int.from_bytes(digest, "big") % 250 for part, digest in enumerate(digests)
    ]
    assert list(sample_positions(HASH, 3, 3)) == [0, 1, 2]


def test_a_sample_is_the_rows_at_its_positions_whatever_batches_they_lie_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "_GROUP_ROWS", 10)
    path = tmp_path / "a"
    pq.write_table(pa.Table.from_batches(batches(40, 10)), path)
    for wanted in ([], [0], [9, 10], [0, 5, 9, 19, 20, 39], list(range(40))):
        picked = [row for batch in artifacts._pick(path, iter(wanted)) for row in batch.to_pylist()]
        assert [row["n"] for row in picked] == wanted


@pytest.mark.parametrize(
    ("most_rows", "most_bytes", "groups"),
    [(8, 10**9, [8, 8, 4]), (9, 10**9, [12, 8]), (10**9, 1, [4, 4, 4, 4, 4]), (20, 10**9, [20])],
)
def test_row_groups_are_closed_once_they_are_large_enough(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    most_rows: int,
    most_bytes: int,
    groups: list[int],
) -> None:
    monkeypatch.setattr(artifacts, "_GROUP_ROWS", most_rows)
    monkeypatch.setattr(artifacts, "_GROUP_BYTES", most_bytes)
    store(NUMBERS, batches(20, 4), tmp_path / "a", query_hash=HASH, byte_cap=10**9)
    about = pq.read_metadata(tmp_path / "a")
    assert [about.row_group(n).num_rows for n in range(about.num_row_groups)] == groups
    assert about.row_group(0).column(0).compression == "ZSTD"


def test_a_row_group_is_closed_at_its_bytes_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(batch.nbytes for batch in batches(8, 4))
    monkeypatch.setattr(artifacts, "_GROUP_BYTES", size)
    store(NUMBERS, batches(20, 4), tmp_path / "a", query_hash=HASH, byte_cap=10**9)
    about = pq.read_metadata(tmp_path / "a")
    assert about.row_group(0).num_rows == 8


def test_who_looks_on_sees_each_batch_of_the_whole_and_how_far_it_is(tmp_path: Path) -> None:
    seen: list[int] = []
    told: list[int] = []
    stored = store(
        NUMBERS,
        batches(2500),
        tmp_path / "a",
        query_hash=HASH,
        byte_cap=1,
        watch=lambda batch: seen.append(batch.num_rows),
        progress=told.append,
    )
    assert (seen, told) == ([1000, 1000, 500], [1000, 2000, 2500])
    assert (stored.kept_rows, stored.row_count, stored.cut) == (1, 2500, False)
    assert stored.byte_count == sum(batch.nbytes for batch in batches(2500))
    assert sampling_note(tmp_path / "a") == stored.sampling_note == "sampled 1 of 2,500 rows"


def test_a_whole_file_says_nothing_of_a_sample(tmp_path: Path) -> None:
    store(NUMBERS, batches(1), tmp_path / "a", query_hash=HASH, byte_cap=10**9)
    assert sampling_note(tmp_path / "a") is None
    assert parquet_columns(tmp_path / "a") == [
        {"name": "n", "type": "integer"},
        {"name": "label", "type": "string"},
    ]


AT = dt.datetime(2026, 1, 31)  # noqa: DTZ001
MIXED = pa.schema(
    [("i", pa.duration("us")), ("at", pa.timestamp("us")), ("t", pa.string()), ("n", pa.int64())]
)


def mixed(count: int) -> list[pa.RecordBatch]:
    """Rows of which Parquet has no type for the first column, in batches of three."""
    rows = [
        {"i": dt.timedelta(days=n), "at": AT, "t": None if n == 1 else "x" * 300 * n, "n": 2**60}
        for n in range(count)
    ]
    whole = pa.RecordBatch.from_pylist(rows, schema=MIXED)
    return [whole.slice(start, 3) for start in range(0, count, 3)]


@pytest.mark.parametrize("count", [0, 3, 12])
def test_a_small_answer_is_told_and_kept_as_any_other(tmp_path: Path, count: int) -> None:
    seen: list[int] = []
    given = mixed(count)
    small, content = store_small(MIXED, given, watch=lambda batch: seen.append(batch.num_rows))
    path = tmp_path / "a"
    stored = store(MIXED, given, path, query_hash=HASH, byte_cap=10**9)
    for name in ("columns", "preview", "row_count", "byte_count", "kept_rows", "cut", "shown"):
        assert getattr(small, name) == getattr(stored, name), name
    assert small.file_bytes == len(content)
    assert stored.file_bytes == path.stat().st_size
    assert seen == [batch.num_rows for batch in given]
    assert stored.cut == (count > 7)
    assert len(stored.preview) == len(stored.shown) == min(count, 10)
    assert rows_at(content, 0, 99) == rows_at(path, 0, 99) == list(read_rows(path))
    if count:
        about = pq.read_metadata(io.BytesIO(content))
        assert about.row_group(0).column(0).compression == "ZSTD"
        assert small.preview[1] == [
            "1 days 0.000000 s",
            "2026-01-31T00:00:00.000000Z",
            None,
            str(2**60),
        ]
        assert small.shown[1] == {"i": "1 days 0.000000 s", "at": AT, "t": None, "n": 2**60}
    assert store_small(MIXED, given) == (small, content), "nobody has to look on"


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_first_bytes_takes_batches_until_they_are_more_than_the_limit(more: int) -> None:
    given = list(batches(40, 10))
    limit = given[0].nbytes + given[1].nbytes + more
    stream = iter(given)
    taken, ended = first_bytes(stream, limit)
    assert (len(taken), ended) == (2 if more < 0 else 3, False)
    assert [*taken, *stream] == given
    assert first_bytes(iter(given), 10**9) == (given, True)
    assert first_bytes(iter(given), sum(batch.nbytes for batch in given)) == (given, True)


# -- parts of a file


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve rows in groups of five."""
    path = tmp_path_factory.mktemp("grouped") / "a.parquet"
    pq.write_table(pa.Table.from_batches(batches(12)), path, row_group_size=5, compression="none")
    return path


@pytest.mark.parametrize("read_rows_at_once", [2, 5, 100])
def test_any_part_of_a_file_is_read(
    grouped: Path, monkeypatch: pytest.MonkeyPatch, read_rows_at_once: int
) -> None:
    monkeypatch.setattr(artifacts, "_READ_ROWS", read_rows_at_once)
    rows = [[n, f"row {n}"] for n in range(12)]
    for offset in range(14):
        for limit in range(14):
            assert rows_at(grouped, offset, limit) == rows[offset:][:limit], (offset, limit)
    for count in (None, 0, 1, 4, 5, 6, 12, 13):
        assert list(read_rows(grouped, limit=count)) == rows[:count]


def test_only_the_row_groups_that_hold_the_rows_are_read(grouped: Path) -> None:
    """What is wrong with the others is found by whoever reads them."""
    content = bytearray(grouped.read_bytes())
    about = pq.read_metadata(grouped)

    def damaged(group: int) -> bytes:
        column = about.row_group(group).column(0)
        start = column.dictionary_page_offset or column.data_page_offset
        one = bytearray(content)
        one[start : start + 8] = b"\xff" * 8
        return bytes(one)

    assert rows_at(damaged(0), 5, 5) == rows_at(grouped, 5, 5)
    assert rows_at(damaged(2), 5, 5) == rows_at(grouped, 5, 5)
    assert rows_at(damaged(2), 0, 10) == rows_at(grouped, 0, 10)
    for group, offset, limit in ((0, 0, 1), (0, 4, 2), (1, 0, 6), (2, 9, 2)):
        with pytest.raises(ArtifactUnreadable, match="damaged"):
            rows_at(damaged(group), offset, limit)


@pytest.mark.parametrize("small", [True, False])
def test_a_changed_byte_in_a_page_is_found(tmp_path: Path, small: bool) -> None:
    """By the page's own checksum, which says so where nobody knows the whole file."""
    schema = pa.schema([("n", pa.int64())])
    digests = [hashlib.sha256(bytes([n])).digest() for n in range(99)]
    values = [int.from_bytes(digest[:7], "big") for digest in digests]
    given = [pa.record_batch([pa.array(values, pa.int64())], schema=schema)]
    if small:
        _, content = store_small(schema, given)
    else:
        store(schema, given, tmp_path / "a", query_hash=HASH, byte_cap=10**9)
        content = (tmp_path / "a").read_bytes()
    # What zstd cannot shorten stands in the file as it is.
    place = content.index(values[50].to_bytes(8, "little"))
    changed = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    assert rows_at(content, 50, 1) == [[str(values[50])]]
    with pytest.raises(ArtifactUnreadable, match="damaged"):
        rows_at(changed, 50, 1)


def test_a_file_that_is_gone_or_none_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ArtifactUnreadable, match="is gone; run its query again with --fresh"):
        rows_at(tmp_path / "none.parquet", 0, 1)
    for content in (b"", b"PAR1", b"no Parquet at all"):
        (tmp_path / "a").write_bytes(content)
        for source in (tmp_path / "a", content):
            with pytest.raises(ArtifactUnreadable, match="damaged or half-written"):
                rows_at(source, 0, 1)


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


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("sampled", [False, True])
def test_json_is_the_result_with_all_rows_in_place_of_the_preview(
    tmp_path: Path, count: int, sampled: bool
) -> None:
    path = tmp_path / "a"
    stored = store(NUMBERS, batches(count), path, query_hash=HASH, byte_cap=10**9)
    result = {"columns": stored.columns, "rows": [], "truncated": None, "sampled": sampled, "n": 7}
    out = io.BytesIO()
    assert export(path, out, "json", result=result) == count
    rows = ",".join(f'\n[{n},"row {n}"]' for n in range(count))
    columns = '[{"name":"n","type":"integer"},{"name":"label","type":"string"}]'
    said = "true" if sampled else "false"
    assert out.getvalue().decode() == (
        f'{{"columns":{columns},"rows":[{rows}],"truncated":{said},"sampled":{said},"n":7}}\n'
    )


@pytest.mark.parametrize("count", [0, 1, 3])
def test_csv_and_parquet_say_how_many_rows_they_wrote(tmp_path: Path, count: int) -> None:
    path = tmp_path / "a"
    stored = store(NUMBERS, batches(count), path, query_hash=HASH, byte_cap=10**9)
    out = io.BytesIO()
    assert export(path, out, "csv", result={"columns": stored.columns}) == count
    assert out.getvalue() == b"n,label\r\n" + b"".join(
        b"%d,row %d\r\n" % (n, n) for n in range(count)
    )
    assert not out.closed, "it is the caller's"
    out = io.BytesIO()
    assert export(path, out, "parquet", result={}) == count
    assert out.getvalue() == path.read_bytes()


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (True, "true"),
        (False, "false"),
        (None, ""),
        (-5, "-5"),
        (-2.5, "-2.5"),
        ({"a": ["=1"]}, '{"a":["=1"]}'),
        (["x", ";=1"], '["x",";\'=1"]'),
        ("-Infinity", "-Infinity"),
        ("-Infinity!", "'-Infinity!"),
        ("-12.5%", "-12.5%"),
        ("-1+1", "'-1+1"),
        ("\r", "'\r"),
        ("a\r=1", "a\r'=1"),
        ("a =1", "a =1"),
        ("grüße", "grüße"),
    ],
)
def test_a_cell_of_csv_is_what_stands_in_it_and_no_formula(value: Any, cell: str) -> None:
    assert str("" if (told := artifacts._csv_cell(value, raw=False)) is None else told) == cell
    if isinstance(value, str):
        assert artifacts._csv_cell(value, raw=True) == value


def test_a_formula_in_a_text_is_none_unless_somebody_asks_for_it(tmp_path: Path) -> None:
    schema = pa.schema([("t", pa.string())])
    given = [pa.record_batch([pa.array(["=1"])], schema=schema)]
    stored = store(schema, given, tmp_path / "a", query_hash=HASH, byte_cap=10**9)
    for options, cell in (({}, b"'=1"), ({"raw": False}, b"'=1"), ({"raw": True}, b"=1")):
        out = io.BytesIO()
        export(tmp_path / "a", out, "csv", result={"columns": stored.columns}, **options)
        assert out.getvalue() == b"t\r\n" + cell + b"\r\n"
