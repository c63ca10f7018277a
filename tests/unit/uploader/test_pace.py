"""How often a trickle of records is landed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import pytest
from faulty_warehouse import MemoryWarehouse
from landing_table import event

from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk.warehouse.protocol import LandedLine
from uploader.uploader import Uploader


@pytest.mark.parametrize(("takes", "pause"), [(0.01, 0.5), (0.3, 1.5), (7.0, 2.0)])
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
        assert uploader.debounce_seconds == pytest.approx(0.5)
