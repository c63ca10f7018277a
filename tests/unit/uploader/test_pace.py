"""How often a trickle of records is landed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime

import pytest
from faulty_warehouse import MemoryWarehouse
from landing_table import event

from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk.warehouse.protocol import LandedLine, LandResult
from uploader.uploader import FIRST_ROWS, Uploader


@pytest.mark.parametrize(("takes", "pause"), [(0.01, 0.25), (0.3, 1.5), (7.0, 2.0)])
def test_where_landing_is_slow_it_comes_less_often_within_bounds(
    state_home: StateDirectory, takes: float, pause: float
) -> None:
    clock = [100.0]
    warehouse = MemoryWarehouse()

    def slowly(_: Sequence[LandedLine]) -> None:
        clock[0] += takes

    warehouse.before = slowly
    uploader = Uploader(state_home, warehouse, monotonic=lambda: clock[0])
    with closing(QueueWriter(state_home.queue)) as queue, closing(uploader):
        queue.append(event()[1])
        assert uploader.drain().landed == 1
        assert uploader.debounce_seconds == pytest.approx(pause)
        assert uploader.drain().landed == 0
        assert uploader.debounce_seconds == pytest.approx(0.25)


def test_what_caught_up_puts_the_next_landing_off_no_longer(state_home: StateDirectory) -> None:
    clock = [100.0]
    warehouse = MemoryWarehouse()

    def slowly(lines: Sequence[LandedLine]) -> None:
        clock[0] += 0.1 + len(lines) / 10_000

    warehouse.before = slowly
    uploader = Uploader(state_home, warehouse, monotonic=lambda: clock[0])
    with closing(QueueWriter(state_home.queue)) as queue, closing(uploader):

        def pause_after(rows: int) -> float:
            for _ in range(rows):
                queue.append(event()[1])
            assert uploader.drain().landed == rows
            return uploader.debounce_seconds

        assert pause_after(1) == pytest.approx(0.5, abs=0.01)
        assert pause_after(FIRST_ROWS) == pytest.approx(1.5, abs=0.01)
        assert pause_after(2 * FIRST_ROWS) == pytest.approx(1.25, abs=0.01), "and not 2.5"


class Kept(MemoryWarehouse):
    """Others keep it for eight seconds before each landing."""

    def __init__(self, clock: list[float]) -> None:
        super().__init__()
        self._clock = clock

    def land(self, lines: Sequence[LandedLine], *, after: datetime | None = None) -> LandResult:
        self._clock[0] += 8.0
        return dataclasses.replace(super().land(lines, after=after), waited=8.0)


def test_a_landing_that_waits_for_whoever_keeps_the_warehouse_is_not_slow(
    state_home: StateDirectory,
) -> None:
    clock = [100.0]
    uploader = Uploader(state_home, Kept(clock), monotonic=lambda: clock[0])
    with closing(QueueWriter(state_home.queue)) as queue, closing(uploader):
        for _ in range(2):
            queue.append(event()[1])
            assert uploader.drain().landed == 1
            assert uploader.debounce_seconds == pytest.approx(0.25)
