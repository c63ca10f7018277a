"""The vocabulary has one place, the seed; what repeats a part of it is held to it."""

from __future__ import annotations

import ast
import csv
import re
from pathlib import Path

import pytest

from cdesk.contract.activity_features import ACTIVITY_FEATURES
from cdesk.contract.events import PYTHON_TYPES, check_event
from cdesk.contract.vocabulary import SHED_PRIORITY, SYSTEM_ACTIVITIES, VOCABULARY
from cdesk.core.errors import InvalidField
from cdesk.core.identity import Caller
from mcp_shim.tools import tool_list
from scripts.activity_features import files

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


def features() -> list[dict[str, str]]:
    with (ROOT / "seeds" / "activity_features.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_activity_declares_its_features_once() -> None:
    names = [(row["activity"], row["key"]) for row in features()]
    assert len(names) == len(set(names))
    assert {activity for activity, _ in names} == set(VOCABULARY)
    setters = {who for row in features() for who in row["set_by"].split(", ")}
    assert setters == {"system", "model", "history"}
    assert "more" not in {key for _, key in names}, "customer_stream has the others there"


def test_the_macro_of_features_is_the_seed() -> None:
    text = (ROOT / "macros" / "contract" / "activity_features.sql").read_text(encoding="utf-8")
    literal = text[text.index("return(") + len("return(") : text.rindex(") }}")]
    assert ast.literal_eval(literal) == {
        name: {row["key"]: row["type"] for row in features() if row["activity"] == name}
        for name in VOCABULARY
    }


def test_what_is_written_from_the_seed_of_features_is_what_the_seed_says() -> None:
    for path, text in files().items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path.name}: run python scripts/activity_features.py"
        )
    assert {
        name: {row["key"]: row["type"] for row in features() if row["activity"] == name}
        for name in VOCABULARY
    } == ACTIVITY_FEATURES
    assert {row["type"] for row in features()} <= PYTHON_TYPES.keys()


def test_the_typed_views_read_declared_keys_as_what_they_are() -> None:
    """Each key of each view, for at least one of its activities."""
    types = {"string": {"string"}, "integer": {"integer"}, "number": {"number", "integer"}}
    found = 0
    for path in sorted((ROOT / "models" / "views").glob("vw_*.sql")):
        text = path.read_text(encoding="utf-8")
        activities = set(re.findall(r"'(cdesk\.\w+)'", text))
        declared = {
            (row["key"], row["type"]) for row in features() if row["activity"] in activities
        }
        for kind, key in re.findall(r"json_(\w+)\('_feature_json', '(\w+)'\)", text):
            found += 1
            assert {(key, type) for type in types[kind]} & declared, f"{path.name}: {key}"
    assert found > 15


def test_models_macros_and_templates_read_declared_keys_and_no_others() -> None:
    """Of some activity; a number is read of a key that is declared as one."""
    declared: dict[str, set[str]] = {}
    for row in features():
        declared.setdefault(row["key"], set()).add(row["type"])
    read = re.compile(r"json_(\w+)\(\s*(?:'[\w.]*_feature_json'|json)\s*,\s*'(\w+)'\s*\)")
    found = 0
    for folder in ("models", "macros", "analyses"):
        for path in sorted((ROOT / folder).rglob("*.sql")):
            for kind, key in read.findall(path.read_text(encoding="utf-8")):
                found += 1
                wanted = {"integer": {"integer"}, "number": {"integer", "number"}}.get(kind)
                assert declared.get(key, set()) & (wanted or declared.get(key, set())), (path, key)
    assert found > 40


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
