"""The vocabulary has one place, the seed; what repeats a part of it is held to it."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from cdesk.contract.events import check_event
from cdesk.contract.vocabulary import SHED_PRIORITY, SYSTEM_ACTIVITIES, VOCABULARY
from cdesk.core.errors import InvalidField
from cdesk.core.identity import Caller
from mcp_shim.tools import tool_list

ROOT = Path(__file__).resolve().parents[2]


def seed() -> dict[str, dict[str, str]]:
    with (ROOT / "seeds" / "activity_vocabulary.csv").open(encoding="utf-8", newline="") as file:
        return {row["activity"]: row for row in csv.DictReader(file)}


def test_python_knows_the_seed() -> None:
    assert {
        name: (int(row["shed_priority"]), row["recorded_by"]) for name, row in seed().items()
    } == VOCABULARY
    assert {name: int(row["shed_priority"]) for name, row in seed().items()} == SHED_PRIORITY


@pytest.mark.parametrize(
    ("macro", "recorders"),
    [("system_activities", {"system", "either"}), ("system_only_activities", {"system"})],
)
def test_a_macro_lists_what_the_system_records(macro: str, recorders: set[str]) -> None:
    text = (ROOT / "macros" / "safesql" / f"{macro}.sql").read_text(encoding="utf-8")
    listed = re.findall(r"'(cdesk\.\w+)'", text.partition(f"macro {macro}")[2])
    assert sorted(listed) == sorted(
        name for name, row in seed().items() if row["recorded_by"] in recorders
    )


def test_the_page_of_features_says_of_each_activity_who_records_it() -> None:
    page = (ROOT / "docs" / "feature_json.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`cdesk\.\w+`(?:, )?)+) \| (\w+) \|", page, re.MULTILINE)
    said = {name: who for names, who in rows for name in re.findall(r"`(cdesk\.\w+)`", names)}
    assert said == {name: row["recorded_by"] for name, row in seed().items()}


def test_the_tool_recommends_only_what_a_caller_may_record() -> None:
    (tool,) = [
        tool for tool in tool_list(None, Caller("ada@example.com")) if tool["name"] == "log_event"
    ]
    named = set(re.findall(r"cdesk\.[a-z_]+", str(tool)))
    assert named
    assert named & SYSTEM_ACTIVITIES == set()


@pytest.mark.parametrize("activity", sorted(VOCABULARY))
def test_a_caller_records_its_own_activities_and_none_of_the_systems(activity: str) -> None:
    if activity not in SYSTEM_ACTIVITIES:
        check_event(activity, {}, None, None)
        return
    with pytest.raises(InvalidField, match="recorded by the system itself") as refused:
        check_event(activity, {}, None, None)
    assert "cdesk.user_asked" in str(refused.value), "says what is allowed"


def test_an_activity_of_ones_own_is_free() -> None:
    check_event("cdesk.invoice_paid", {}, None, None)
