"""What the load benchmark says of a process's memory."""

from __future__ import annotations

import math

import pytest

from bench.load.servers import Memory


def of(*sizes: float) -> Memory:
    """One size a second."""
    memory = Memory({})
    memory.seen["worker"] = [(float(at), size) for at, size in enumerate(sizes)]
    return memory


@pytest.mark.parametrize("growth", [0.0, 3.0, -1.0])
@pytest.mark.parametrize("period", [20, 60])
def test_growth_is_that_of_what_stays_between_peaks(growth: float, period: int) -> None:
    sizes = (300 + at % period * 4 + at * growth / 60 for at in range(600))
    assert of(*sizes).slope("worker") == pytest.approx(growth, abs=0.5)


def test_a_short_run_is_told_by_all_it_has() -> None:
    assert of(*(100 + at / 60 for at in range(60))).slope("worker") == pytest.approx(1.0)
    assert math.isnan(of(1.0, 2.0).slope("worker"))
    assert math.isnan(Memory({}).slope("worker"))
