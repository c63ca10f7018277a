"""docs/scale.md shows what its script prints, and the arithmetic holds where it is known."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scale() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scale", ROOT / "scripts/scale.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scale"] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_what_the_script_prints(scale: ModuleType) -> None:
    page = (ROOT / "docs/scale.md").read_text(encoding="utf-8")
    assert scale.duckdb_table() in page
    assert scale.snowflake_table() in page


def test_the_simulated_wait_is_the_known_one(scale: ModuleType) -> None:
    """One server at half load with constant service: 1.5 services on average (Pollaczek-
    Khinchine); nobody waits at hardly any load, and beyond the whole the line has no end.
    """
    assert scale.waiting(0.001, seconds=1.0)[1] == pytest.approx(1.0, rel=0.01)
    median, slow = scale.waiting(0.5, seconds=1.0, servers=1)
    assert 1.0 <= median <= 1.5 < slow < 4.0
    assert scale.waiting(2.5, seconds=1.0, servers=2) == (float("inf"), float("inf"))
