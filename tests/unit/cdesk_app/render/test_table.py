"""Pages, sorting and filters over one Parquet file, which is all that a table can see."""

from __future__ import annotations

import io
import math
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdesk.core.errors import ArtifactUnreadable, InvalidField
from cdesk_app.render import table as table_module
from cdesk_app.render.table import Filter, Table, View


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thousand rows in four row groups; two columns of one name."""
    file = tmp_path_factory.mktemp("it's a folder") / "x.parquet"
    names = ["n", "text", "n", "at"]
    rows = pa.Table.from_arrays(
        [
            pa.array(range(1_000)),
            pa.array([f"row {n % 7}'\"; drop table source" for n in range(1_000)]),
            pa.array([None if n % 10 == 0 else -n / 2 for n in range(1_000)]),
            pa.array([datetime(2026, 1, 1 + n % 28, tzinfo=UTC) for n in range(1_000)]),
        ],
        names=names,
    )
    pq.write_table(rows, file, row_group_size=300)
    return file


@pytest.fixture(params=["in a file", "in memory"])
def source(request: pytest.FixtureRequest, path: Path) -> Path | bytes:
    return path if request.param == "in a file" else path.read_bytes()


def in_parquet(rows: pa.Table) -> bytes:
    pq.write_table(rows, file := io.BytesIO())
    return file.getvalue()


def numbers(table: Table, view: View, offset: int = 0, limit: int = 100) -> list[Any]:
    return [row[0] for row in table.page(view, offset, limit).rows]


@pytest.mark.parametrize("offset", [0, 250, 299, 300, 995, 1_000, 5_000])
def test_a_page_is_a_slice_across_row_groups(source: Path | bytes, offset: int) -> None:
    assert numbers(Table(source), View(), offset) == list(range(1_000))[offset : offset + 100]


def test_sorting_puts_nulls_last_and_keeps_equal_rows_in_order(source: Path | bytes) -> None:
    table = Table(source)
    assert numbers(table, View(sort=2), limit=3) == [999, 998, 997]
    assert numbers(table, View(sort=2, descending=True), limit=3) == [1, 2, 3]
    assert numbers(table, View(sort=2), offset=998) == [980, 990]
    assert numbers(table, View(sort=1), limit=3) == [0, 7, 14]


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (Filter(0, "ge", "990"), 10),
        (Filter(0, "eq", "17.0"), 1),
        (Filter(0, "ne", "17"), 999),
        (Filter(0, "lt", "not a number"), 0),
        (Filter(1, "contains", "ROW 3'"), 143),
        (Filter(1, "contains", "%"), 0),
        (Filter(1, "eq", "' or 1=1 --"), 0),
        (Filter(2, "null"), 100),
        (Filter(2, "not_null"), 900),
        (Filter(3, "gt", "2026-01-27"), 35),
    ],
)
def test_filters_compare_as_the_column_does(
    source: Path | bytes, wanted: Filter, count: int
) -> None:
    assert Table(source).page(View(filters=(wanted,)), 0).total == count


def test_text_is_looked_for_in_every_column(path: Path) -> None:
    assert Table(path).page(View(text="row 6"), 0).total == 142
    assert Table(path).page(View(text="499.5"), 0).total == 1


def test_filters_hold_together(path: Path) -> None:
    view = View(filters=(Filter(0, "ge", "100"), Filter(0, "lt", "200")), text="row 1", sort=0)
    assert numbers(Table(path), view, limit=2) == [106, 113]


def test_a_column_that_is_not_there_is_refused(path: Path) -> None:
    with pytest.raises(InvalidField, match="0 to 3"):
        Table(path).page(View(sort=4), 0)
    with pytest.raises(InvalidField):
        Table(path).page(View(sort=-1), 0)
    with pytest.raises(InvalidField):
        Table(path).page(View(filters=(Filter(0, "; drop", "1"),)), 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "statement",
    [
        "select * from read_text('/etc/hostname')",
        "select * from glob('/*')",
        "copy source to 'x.parquet'",
        "attach 'x.db'",
        "install httpfs",
        "set memory_limit = '99GB'",
        "set enable_external_access = true",
    ],
)
@pytest.mark.parametrize("in_memory", [False, True])
def test_nothing_but_the_file_can_be_reached(path: Path, statement: str, in_memory: bool) -> None:
    table = Table(path.read_bytes() if in_memory else path)
    refusals = r"(?i)permission|disabled|locked|cannot" + ("|damaged" if in_memory else "")
    with pytest.raises(Exception, match=refusals):
        table.aggregate(statement)


def test_results_in_memory_share_an_instance_and_nothing_in_it() -> None:
    one, other = (Table(in_parquet(pa.table({"n": [number]}))) for number in (1, 2))
    with one._connect() as first, other._connect() as second:
        assert (first.rows("select c0 from source"), second.rows("select c0 from source")) == (
            [(1,)],
            [(2,)],
        )
        with pytest.raises(duckdb.Error, match="read-only"):
            first.rows("create table kept as select * from source")
    assert (
        one.aggregate("from duckdb_tables()")
        == one.aggregate("from duckdb_views() where not internal and view_name != 'source'")
        == []
    )


def test_statements_of_a_block_share_a_connection_and_one_that_failed_takes_it_with_it(
    source: Path | bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, made = Table(source), []
    connect = Table._connection
    monkeypatch.setattr(
        Table, "_connection", lambda self: made.append(threading.get_ident()) or connect(self)
    )
    count = "select count(*) from source"
    with table.one_connection():
        assert table.aggregate(count) == table.aggregate(count)
        with table.one_connection():
            assert table.aggregate(count) == [(table.row_count,)]
        assert len(made) == 1
        with ThreadPoolExecutor(1) as elsewhere:
            elsewhere.submit(table.aggregate, count).result()
        assert len(set(made)) == len(made) == 2
        with pytest.raises(InvalidField):
            table.aggregate("select cast('x' as integer) from source")
        assert table.aggregate(count) == [(table.row_count,)]
        assert len(made) == 3
    table.aggregate(count)
    assert len(made) == 4


def test_a_value_that_is_none_of_its_type_is_refused_in_one_line(source: Path | bytes) -> None:
    with pytest.raises(InvalidField, match="Could not convert string 'x'") as refused:
        Table(source).aggregate("select cast('x' as integer) from source")
    assert "\n" not in str(refused.value)


def test_the_instance_for_results_in_memory_is_closed_with_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registered: list[Any] = []
    monkeypatch.setattr(table_module.atexit, "register", registered.append)
    shared = table_module._InMemory()
    one, other = shared.connection(), shared.connection()
    assert registered == [shared.close], "once"
    with pytest.raises(duckdb.Error, match=r"(?i)locked"):
        one.execute("set threads = 2")
    assert one.execute("select current_setting('threads')").fetchall() == [(1,)]
    instance = shared._instance
    assert instance is not None
    for connection in (one, other):
        connection.close()
    shared.close()
    shared.close()
    with pytest.raises(duckdb.ConnectionException):
        instance.execute("select 1")
    assert shared.connection() is not one
    shared.close()


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "scrambled", "not parquet", "a folder"])
def test_a_damaged_file_says_so(path: Path, tmp_path: Path, damage: str) -> None:
    other = tmp_path / "x.parquet"
    whole = path.read_bytes()
    if damage == "a folder":
        other.mkdir()
    elif damage != "gone":
        other.write_bytes(
            {
                "empty": b"",
                "cut": whole[: len(whole) // 2],
                "scrambled": whole[:4]
                + bytes(byte ^ 0x5A for byte in whole[4:3_000])
                + whole[3_000:],
                "not parquet": b"PAR1" + b"x" * 100,
            }[damage]
        )
    with pytest.raises(ArtifactUnreadable, match="run its query again"):
        Table(other).page(View(), 0)
    with pytest.raises(ArtifactUnreadable, match="run its query again"):
        Table(other).page(View(sort=1), 0)


def test_odd_values_come_as_json_has_them(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    rows = {"v": [math.nan, math.inf, 1e308, None], "big": [2**60, -(2**60), 1, 0]}
    pq.write_table(pa.table(rows), file)
    view = View(sort=1)
    assert Table(file).page(view, 0).rows == [
        ["Infinity", str(-(2**60))],
        [None, 0],
        [1e308, 1],
        ["NaN", str(2**60)],
    ]


@given(
    st.lists(st.integers(-50, 50) | st.none(), min_size=1, max_size=60),
    st.booleans(),
    st.integers(0, 70),
    st.integers(1, 30),
)
@settings(max_examples=25, deadline=None)
def test_sorted_pages_agree_with_sorting_everything(
    values: list[int | None], descending: bool, offset: int, limit: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.parquet"
        pq.write_table(pa.table({"v": pa.array(values, pa.int64())}), file, row_group_size=7)
        found = Table(file).page(View(sort=0, descending=descending), offset, limit).rows
    filled = sorted((v for v in values if v is not None), reverse=descending)
    expected = [*filled, *(None for v in values if v is None)][offset : offset + limit]
    assert [row[0] for row in found] == expected
