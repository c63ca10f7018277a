"""The warehouse's own check of what has landed: each rule on both sides of its edge, and the reason
that each wrong record gets.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from dbt.exceptions import CompilationError

from cdesk.contract.records import parse_line
from tests.integration.dbt.conftest import envelope, event, insight, query_run
from tests.unit.governance.account import Account

UUID = "01890a5d-ac96-7b2e-bd3c-0123456789ab"
INSTANT = "2026-01-31T12:00:00.123456Z"
RULES: dict[str, tuple[list[Any], list[Any]]] = {
    "object": ([{}, {"a": 1}], [[], "{}", None, 1]),
    "array": ([[], [1]], [{}, "[]", None]),
    "boolean": ([True, False], ["true", 1, None]),
    "string": (["", "x"], [1, None, {}]),
    "object text": (["{}", '{"a":1}'], ["[]", "{", "", {}, None]),
    "text": (["x", " "], ["", 5, None]),
    "text or null": (["x", None], ["", 5]),
    "customer": (["x", "x" * 255, "ß" * 255], ["", "x" * 256, "a\u0001b", "a\nb", 5, None]),
    "number": ([0, -1.5, 1e308, 10**15], ["1", True, None, []]),
    "number or null": ([None, 1], ["1"]),
    "count": ([0, 1, 2**63 - 1], [-1, 1.5, 2**63, "1", True, None]),
    "scalar": ([None, True, 1.5, "", "x" * 4096], ["x" * 4097, [], {}]),
    "timestamp": (
        [INSTANT, "2024-02-29T23:59:59.000000Z"],
        ["2026-02-30T12:00:00.000000Z", "2026-01-31T12:00:00Z", INSTANT[:-1], "", 5, None],
    ),
    "link": (
        ["https://a", "http://a.b/c?d#e", "s3://b/k", "cdesk://x", "https://" + "a" * 1992],
        ["https://" + "a" * 1993, "ftp://a", "https://", "https://a b", "a https://b", 5, None],
    ),
    "uuid": ([UUID], [UUID.upper(), UUID[:-1], UUID + "0", UUID.replace("-", ""), 5, None]),
    "uuid or null": ([UUID, None], ["null", ""]),
    "hash": (["0123456789abcdef"], ["0" * 15, "0" * 17, "0123456789ABCDEF", None]),
    "query_tag": (["cdesk_0123abcd"], ["cdesk_0123abc", "x_cdesk_0123abcd", "cdesk_0123abcde"]),
    "activity": (
        ["cdesk.a", "cdesk.a" + "_" * 63],
        ["cdesk.a" + "_" * 64, "cdesk.", "cdesk.1", "cdesk_a", "cdeskXa", "x.cdesk.a", None],
    ),
    "format": (["parquet", "csv", "json"], ["pdf", "csvx", ""]),
    "source": (["claude_desktop", "import"], ["claude", ""]),
    "status": (["succeeded", "expired"], ["done", ""]),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_kept_or_broken_and_never_unknown(local: Account, rule: str) -> None:
    good, bad = RULES[rule]
    sql = local("record_rule", "value", rule)

    def kept(text: str | None) -> Any:
        assert local.connection is not None
        asked = local.connection.execute(
            f"select {sql} from (select cast(? as json) as value)", [text]
        )
        return asked.fetchall()[0][0]

    assert [one for one in good if kept(json.dumps(one)) is not True] == []
    assert [one for one in bad if kept(json.dumps(one)) is not False] == []
    assert kept(None) is False, "where there is no value at all"


def test_a_rule_that_nobody_knows_is_refused(local: Account) -> None:
    with pytest.raises(CompilationError, match="record_rule: unknown rule 'colour'"):
        local("record_rule", "value", "colour")
    with pytest.raises(CompilationError, match="kind 'colour' is none of event, revision, "):
        local("record_fields", "colour")


GOOD: dict[str, dict[str, Any]] = {
    "event": event(1, feature_json={"a": 1}),
    "revision": {**event(2), "kind": "revision", "replaces": UUID, "revision": 1},
    "insight": insight(3),
    "artifact": envelope(
        "artifact", 4, uri="s3://b/k", format="csv", rows=1, bytes=2, sampled=False,
        query_hash="0" * 16, expires_at=INSTANT, legal_hold=False,
    ),
    "query_run": query_run(5),
}  # fmt: skip


def wrong(record: dict[str, Any]) -> list[tuple[str, dict[str, Any], str]]:
    """(what was done, the record, why it is refused) of every field."""
    found = []
    for field in record:
        if field not in ("v", "kind", "id"):
            without = {name: value for name, value in record.items() if name != field}
            found.append((f"no {field}", without, f"missing_field: {field}"))
            # of no rule's type
            odd: Any = [[]] if field != "evidence" else {"a": 1}
            found.append((f"odd {field}", {**record, field: odd}, f"wrong_value: {field}"))
    return found


@pytest.mark.parametrize("kind", GOOD)
def test_each_record_is_refused_for_its_own_fault(local: Account, kind: str) -> None:
    assert local.connection is not None
    good = GOOD[kind]
    parse_line(json.dumps(good).encode())  # as the other check says
    cases: list[tuple[str, Any, str | None]] = [
        ("as it should be", good, None),
        *wrong(good),
        ("a later version", {**good, "v": 2}, "unknown_version: v"),
        ("a version in words", {**good, "v": "one"}, "unknown_version: v"),
        ("no version", {k: v for k, v in good.items() if k != "v"}, "unknown_version: v"),
        ("another kind", {**good, "kind": "other"}, "wrong_value: kind"),
        ("no kind", {k: v for k, v in good.items() if k != "kind"}, "wrong_value: kind"),
        ("another id", {**good, "id": UUID}, "wrong_value: id"),
        ("no id", {k: v for k, v in good.items() if k != "id"}, "wrong_value: id"),
        ("one field more", {**good, "colour": None}, "unknown_field: payload"),
        ("no object", [good], "not_an_object: payload"),
        ("a text", "x", "not_an_object: payload"),
    ]
    if kind == "query_run":
        cases += [
            ("another hash", {**good, "query_hash": "0" * 16}, "wrong_value: query_hash"),
            ("another sql", {**good, "sql": "select 43"}, "wrong_value: query_hash"),
            ("redacted", {**good, "params": '{"a":"[secret:token]"}'}, None),
        ]
    local.connection.execute(
        "create table lines (case_ varchar, kind varchar, id varchar, payload json)"
    )
    local.connection.executemany(
        "insert into lines values (?, ?, ?, ?)",
        [(name, kind, good["id"], json.dumps(payload)) for name, payload, _ in cases],
    )
    names = list(local("record_fields"))
    reason = local("rejection", "kind", "id", "payload", "fields", names)
    rows = local.connection.execute(
        f"select case_, {reason} from (select *, {local('json_fields', 'payload', names)} as fields from lines)"
    ).fetchall()
    assert dict(rows) == {name: reason for name, _, reason in cases}
    assert len(cases) > 2 * len(good)


def test_a_kind_that_may_not_stand_there_is_unknown(local: Account) -> None:
    assert local.connection is not None
    names = list(local("record_fields", "event"))
    for kinds, expected in ((["event"], None), (["insight", "artifact"], "unknown_kind: event")):
        wide = list(local("record_fields"))
        reason = local("rejection", "kind", "id", "payload", "fields", wide, kinds)
        found = local.connection.execute(
            f"select {reason} from (select 'event' as kind, ? as id, payload, "
            f"{local('json_fields', 'payload', wide)} as fields from (select cast(? as json) as payload))",
            [GOOD["event"]["id"], json.dumps(GOOD["event"])],
        ).fetchall()
        assert found == [(expected,)]
    assert names == list(GOOD["event"]) or set(names) == set(GOOD["event"])


def test_fields_of_a_kind_are_the_envelopes_and_its_own(local: Account) -> None:
    common = set(local("record_fields", "envelope"))
    for kind, record in GOOD.items():
        assert set(local("record_fields", kind)) == set(record) > common
    assert set(local("record_fields")) == {name for one in GOOD.values() for name in one}


def test_content_is_all_of_a_record_but_the_source(local: Account) -> None:
    """By it an id that comes again is told from one with other content."""
    assert local.connection is not None
    names = list(local("record_fields", "event"))
    content = local("record_content", "fields", names)

    def of(record: dict[str, Any]) -> str:
        assert local.connection is not None
        ((text,),) = local.connection.execute(
            f"select {content} from (select {local('json_fields', 'payload', names)} as fields "
            "from (select cast(? as json) as payload))",
            [json.dumps(record)],
        ).fetchall()
        return str(text)

    good = GOOD["event"]
    assert of({**good, "source_system": "import"}) == of(good)
    for field in set(good) - {"source_system"}:
        assert of({**good, field: "other"}) != of(good), field
        assert of({k: v for k, v in good.items() if k != field}) != of(good), field


def test_a_line_that_is_no_record_has_an_id_of_its_place(local: Account) -> None:
    assert local.connection is not None
    sql = local("quarantine_id", "'a.ndjson'", "500")
    ((found,),) = local.connection.execute(
        f"select {sql} = 'q-' || left(sha256('a.ndjson:500'), 32)"
    ).fetchall()
    assert found is True
    assert local.connection.execute(f"select {local('not_foreign', 'lines')}").fetchall() == [
        (True,)
    ]


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({}, {"more": None}),
        ({"mine": 1}, {"more": {"mine": 1}}),
        ({"mine": 1, "yours": None}, {"more": {"mine": 1, "yours": None}}),
    ],
)
def test_what_an_activity_declares_stands_and_the_rest_in_more(
    local: Account, features: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert local.connection is not None
    own, keys = next(
        (name, list(keys)) for name, keys in local("activity_features").items() if len(keys) > 1
    )
    sql = local("public_features", "activity", "features")
    asked = f"select {sql} from (select ? as activity, cast(? as json) as features)"

    def public(activity: str, given: dict[str, Any]) -> Any:
        assert local.connection is not None
        found = local.connection.execute(asked, [activity, json.dumps(given)]).fetchall()
        return json.loads(found[0][0])

    assert public("cdesk.of_ones_own", features) == expected
    declared = {keys[0]: "said"}
    assert public(own, {**declared, **features}) == {
        **dict.fromkeys(keys), **declared, "more": features or None,
    }  # fmt: skip
