"""The page's tables are the script's, and the default monitors fit what it documents."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
DRY_RUNS = ROOT / "tests/integration/snowflake/dry_runs"


@pytest.fixture(scope="module")
def costs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("costs", ROOT / "scripts/snowflake_costs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["costs"] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_what_the_script_prints(costs: ModuleType) -> None:
    page = (ROOT / "docs/snowflake.md").read_text(encoding="utf-8")
    for table in (costs.build_table(), costs.cost_table()):
        assert table in page
    assert costs.storage_line() in " ".join(page.split())


def test_the_default_monitors_suspend_no_documented_installation(costs: ModuleType) -> None:
    macro = (ROOT / "macros/governance/apply_resource_monitors.sql").read_text(encoding="utf-8")
    found = re.search(r"daily_credits=(\d+), monthly_credits=(\d+)", macro)
    suspends = re.search(r"on (\d+) percent do suspend\n", macro)
    assert found is not None
    assert suspends is not None
    share = int(suspends[1]) / 100
    for one in costs.INSTALLATIONS:
        day = costs.a_day(one)
        assert day.queries < int(found[1]) * share, one.name
        assert day.builds * 31 < int(found[2]) * share, one.name


def test_what_nobody_uses_costs_the_minute_of_retention(costs: ModuleType) -> None:
    """Each task but that one waits for something to land."""
    idle = next(one for one in costs.INSTALLATIONS if one.name == "idle")
    assert 0 < costs.a_day(idle).credits < 0.02
    for name, task in re.findall(
        r"create or replace task \S+\.(\w+)(.*?)\bas\s+execute",
        "".join(path.read_text(encoding="utf-8") for path in DRY_RUNS.glob("apply_*.sql")),
        re.DOTALL,
    ):
        assert ("when system$stream_has_data" in task) != (name == "apply_retention"), name
    days = [costs.a_day(one).credits for one in costs.INSTALLATIONS]
    assert days == sorted(days)
    assert costs.share_up(0.0, 45.0) == 0.0
    assert 0.99 < costs.share_up(1.0, 45.0) <= 1.0
