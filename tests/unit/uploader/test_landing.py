"""Bisection: exactly the refused records are quarantined, everything else lands, in order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import orjson
import pytest
from faulty_warehouse import MemoryWarehouse, unavailable
from hypothesis import given
from hypothesis import strategies as st

from cdesk.core.errors import WarehouseError, WarehouseUnavailable
from cdesk.warehouse.batch import LineBatch
from cdesk.warehouse.protocol import LandedLine, LandResult
from uploader.landing import TooManyRefused, land_around_poison


def batch_of(count: int) -> LineBatch:
    batch = LineBatch()
    for number in range(count):
        batch.append(f"id-{number}", "event", b'{"n":%d}' % number, "a.ndjson", number * 10)
    return batch


class Refusing(MemoryWarehouse):
    def __init__(self, poison: set[int]) -> None:
        super().__init__()
        self.attempts = 0
        self.before = self.look
        self.poison = {f"id-{number}" for number in poison}

    def look(self, lines: Sequence[LandedLine]) -> None:
        self.attempts += 1
        if any(line.id in self.poison for line in lines):
            raise WarehouseError("refused for the test")


@given(count=st.integers(1, 60), data=st.data())
def test_only_poison_is_quarantined_and_order_is_kept(count: int, data: st.DataObject) -> None:
    poison = data.draw(st.sets(st.integers(0, count - 1)))
    warehouse = Refusing(poison)
    told: list[int] = []

    def note(part: LineBatch, result: LandResult) -> None:
        assert len(part) == result.rows
        told.append(len(part))

    refused = land_around_poison(
        warehouse, batch_of(count), after=None, most_poison=60, on_landed=note
    )
    assert refused == len(poison)
    assert sum(told) == count
    assert [row.source_offset for row in warehouse.rows] == [number * 10 for number in range(count)]
    for number, row in enumerate(warehouse.rows):
        assert row.kind == ("quarantine" if number in poison else "event")
        if number in poison:
            payload = orjson.loads(row.payload)
            assert payload == {
                "raw": f'{{"n":{number}}}',
                "reason": "refused",
                "detail": "refused for the test",
            }
    # each refused record costs at most two attempts a level, and one for its quarantine row
    assert warehouse.attempts <= 1 + len(poison) * (2 * math.ceil(math.log2(max(count, 2))) + 1)


def test_a_warehouse_that_refuses_everything_quarantines_nothing() -> None:
    warehouse = MemoryWarehouse()

    def refuse(_: Sequence[LandedLine]) -> None:
        raise WarehouseError("no permission")

    warehouse.before = refuse
    with pytest.raises(WarehouseError, match="no permission"):
        land_around_poison(
            warehouse, batch_of(5), after=None, most_poison=100, on_landed=lambda *_: None
        )
    assert warehouse.rows == []


def test_too_many_refused_records_are_the_warehouses_fault() -> None:
    warehouse = Refusing(set(range(10)))
    told: list[str] = []
    with pytest.raises(TooManyRefused):
        land_around_poison(
            warehouse,
            batch_of(10),
            after=None,
            most_poison=3,
            on_landed=lambda part, _: told.extend(part.ids),
        )
    assert len(told) == len(warehouse.rows) == 3


def test_a_warehouse_that_goes_away_keeps_what_was_told() -> None:
    warehouse = Refusing({3})
    seen: list[str] = []

    def note(part: LineBatch, _: LandResult) -> None:
        seen.extend(part.ids)
        warehouse.before = unavailable

    with pytest.raises(WarehouseUnavailable):
        land_around_poison(warehouse, batch_of(8), after=None, most_poison=3, on_landed=note)
    assert seen == [row.id for row in warehouse.rows] == ["id-0", "id-1"]
