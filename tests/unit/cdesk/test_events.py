"""Event records are made in one place, and the fast way makes what the checked way makes."""

from __future__ import annotations

import ast
from pathlib import Path

import orjson
import pytest

from cdesk.contract.activity_features import ACTIVITY_FEATURES
from cdesk.contract.events import (
    check_event,
    event_line,
    event_record,
    make_event,
    make_revision,
)
from cdesk.contract.records import FIELDS, encode, parse_line
from cdesk.core.errors import InvalidField

ROOT = Path(__file__).resolve().parents[3]
ENVELOPE = {
    "id": "0190a5f0-0000-7000-8000-000000000000",
    "ts": "2026-01-31T12:00:00.123456Z",
    "customer": "ada@example.com",
    "session_id": "s",
    "query_tag": "cdesk_1a2b3c4d",
}


def test_the_fast_way_makes_the_record_of_the_checked_way() -> None:
    given = {"link": "https://a/b", "revenue_impact": 1.5}
    fast = event_record("cdesk.user_asked", {"a": 1}, **ENVELOPE, **given)  # type: ignore[arg-type]
    checked = make_event("cdesk.user_asked", {"a": 1}, **ENVELOPE, **given)  # type: ignore[arg-type]
    assert fast == checked == parse_line(encode(fast))
    assert fast.keys() == FIELDS["event"].keys()


@pytest.mark.parametrize("session_id", [None, "s", 'a "quoted" ü\n'])
@pytest.mark.parametrize("customer", ["ada@example.com", 'b"\\'])
def test_a_line_made_of_its_parts_is_that_of_the_whole_record(
    session_id: str | None, customer: str
) -> None:
    features = {"a": 1, "b": 'x"\u00e9'}
    given = {**ENVELOPE, "session_id": session_id, "customer": customer}
    whole = event_record("cdesk.user_asked", features, source_system="cowork", **given)  # type: ignore[arg-type]
    for id_ in ("0190a5f0-0000-7000-8000-000000000000", "0190a5f0-0000-7000-8000-000000000001"):
        line = event_line(
            "cdesk.user_asked",
            orjson.dumps(features),
            source_system="cowork",
            **{**given, "id": id_},  # type: ignore[arg-type]
        )
        assert line == orjson.dumps({**whole, "id": id_}) + b"\n"


@pytest.mark.parametrize(
    ("field", "value"),
    [("activity", "x"), ("feature_json", []), ("link", "a b"), ("revenue_impact", True)],
)
def test_what_a_caller_gave_is_checked_by_name(field: str, value: object) -> None:
    good = {"activity": "cdesk.x", "feature_json": {}, "link": None, "revenue_impact": None}
    check_event(**good)
    with pytest.raises(InvalidField, match=f"^{field}: "):
        check_event(**{**good, field: value})


GOOD = {"string": "a", "integer": 7, "number": 1.5, "boolean": True, "object": {"a": 1}}
"""A value of each type that a key may have."""


@pytest.mark.parametrize(
    ("activity", "key", "kind"),
    [
        ("cdesk.user_asked", "question", "string"),
        ("cdesk.user_asked", "length", "integer"),
        ("cdesk.claude_responded", "latency_ms", "number"),
        ("cdesk.claude_responded", "is_repeated", "boolean"),
    ],
)
def test_a_declared_key_holds_its_type_or_nothing(activity: str, key: str, kind: str) -> None:
    assert ACTIVITY_FEATURES[activity][key] == kind
    good = [None, GOOD[kind], *([3] if kind == "number" else [])]
    for value in good:
        check_event(activity, {key: value}, None, None)
    wrong = [value for name, value in GOOD.items() if name != kind and value not in good]
    for value in [*wrong, []]:
        if kind == "number" and type(value) is int:
            continue
        with pytest.raises(InvalidField, match=f"^feature_json.{key}: .+ of type .+{kind}"):
            check_event(activity, {key: value}, None, None)


def test_keys_that_an_activity_does_not_declare_are_free() -> None:
    check_event("cdesk.user_asked", {"mood": [1], "latency_ms": {}}, None, None)
    check_event("cdesk.invoice_paid", {"length": "long"}, None, None)


def test_a_revision_is_the_event_anew_and_made_again_the_same() -> None:
    given = {"link": "https://a/b", "revenue_impact": 1.5}
    event = make_event("cdesk.user_asked", {"a": 1}, **ENVELOPE, **given, source_system="import")  # type: ignore[arg-type]
    revision = make_revision(event, {"a": 2, "b": 3}, revision=1)
    own = {"kind", "id", "feature_json", "replaces", "revision"}
    assert {k: v for k, v in revision.items() if k not in own} == {
        k: v for k, v in event.items() if k not in own
    }
    assert (revision["kind"], revision["replaces"], revision["revision"]) == ("revision", event["id"], 1)  # fmt: skip
    assert revision["feature_json"] == {"a": 2, "b": 3}
    assert make_revision(event, {"b": 3, "a": 2}, revision=1)["id"] == revision["id"]
    others = [
        make_revision(event, {"a": 2, "b": 3}, revision=2),
        make_revision(event, {"a": 2, "b": 4}, revision=1),
        make_revision(event, {"a": 2, "b": 3}, revision=1, session_id="t"),
        make_revision({**event, "id": "0190a5f0-0000-7000-8000-000000000001"}, {"a": 2, "b": 3}, revision=1),
    ]  # fmt: skip
    assert len({revision["id"], *(one["id"] for one in others)}) == 5
    assert [one["session_id"] for one in others] == ["s", "s", "t", "s"]


def test_no_other_module_makes_an_event_record() -> None:
    """By hand, as a dictionary of the kind, or by `make_record`."""
    found = []
    for package in ("cdesk", "mcp_shim", "uploader", "cdesk_app"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path == ROOT / "cdesk" / "contract" / "events.py":
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                keys = [ast.unparse(key) for key in getattr(node, "keys", []) or [] if key]
                called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
                first = (
                    ast.unparse(node.args[0]) if isinstance(node, ast.Call) and node.args else ""
                )
                if "'anonymous_customer_id'" in keys and path.name != "records.py":
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")  # type: ignore[attr-defined]
                if called == "make_record" and first == "'event'":
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")  # type: ignore[attr-defined]
    assert found == []
