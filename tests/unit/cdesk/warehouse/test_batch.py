"""Landed lines as columns, what a landing answers, and which engine takes it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cdesk.core.config import Settings
from cdesk.core.errors import ConfigurationError, WarehouseRewound
from cdesk.core.home import StateDirectory
from cdesk.warehouse.batch import LineBatch
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk.warehouse.factory import open_warehouse
from cdesk.warehouse.protocol import LandedLine, LandResult, require_after
from cdesk.warehouse.snowflake.warehouse import SnowflakeWarehouse

LINES = [LandedLine(f"id-{n}", f"k{n}", f'{{"ü":{n}}}', f"f{n}", n * 10) for n in range(4)]
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def test_a_batch_is_its_lines() -> None:
    batch = LineBatch.of(LINES)
    assert LineBatch.of(batch) is batch
    assert (len(batch), list(batch)) == (4, LINES)
    assert [batch[n] for n in (0, 3, -1)] == [LINES[0], LINES[3], LINES[-1]]
    part = batch[1:3]
    assert isinstance(part, LineBatch)
    assert list(part) == LINES[1:3]
    assert list(batch[:0]) == []
    with pytest.raises(IndexError):
        batch[4]
    assert (batch.payloads[0], batch.offsets) == ('{"ü":0}'.encode(), [0, 10, 20, 30])


def test_an_empty_batch_is_its_own_and_columns_are_taken_as_they_are() -> None:
    one, other = LineBatch(), LineBatch()
    one.append("a", "event", b"1", "f", 0)
    assert (len(one), len(other)) == (1, 0)
    ids: list[str] = []
    assert LineBatch(ids).ids is ids


def test_a_landing_that_says_no_more_waited_for_nobody() -> None:
    result = LandResult(1, AT)
    assert (result.previous, result.waited) == (None, 0.0)


@pytest.mark.parametrize(
    ("previous", "after", "rewound"),
    [
        (None, None, False),
        (AT, None, False),
        (AT, AT, False),
        (AT + TICK, AT, False),
        (AT - TICK, AT, True),
        (None, AT, True),
    ],
)
def test_a_warehouse_that_has_forgotten_a_landing_was_put_back(
    previous: datetime | None, after: datetime | None, rewound: bool
) -> None:
    if not rewound:
        require_after(previous, after)
        return
    with pytest.raises(WarehouseRewound, match="put back to an older state; it is asked anew"):
        require_after(previous, after)


def test_the_settings_choose_the_engine_and_nothing_is_opened(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(target: str, **options: bool) -> object:
        given = Settings(home=state_home.root, customer="ada", target=target)  # type: ignore[arg-type]
        return open_warehouse(given, state_home, **options)

    plain, with_copies = of("duckdb"), of("duckdb", copies=True)
    assert isinstance(plain, DuckDBWarehouse)
    assert isinstance(with_copies, DuckDBWarehouse)
    assert (plain._file.path, plain._copy) == (state_home.warehouse, None)
    assert with_copies._copy is not None
    assert with_copies._copy._folder == state_home.copies
    assert isinstance(of("snowflake"), SnowflakeWarehouse)
    assert not Path(state_home.warehouse).exists()
    monkeypatch.setitem(sys.modules, "cdesk.warehouse.snowflake.streaming", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cdesk\[snowflake\]'"):
        of("snowflake")
