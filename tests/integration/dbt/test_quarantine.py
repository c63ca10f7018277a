"""What is no record of the contract is kept with its reason; what is one is accepted. The
warehouse's check agrees with the shim's.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from cdesk.contract.records import parse_line
from cdesk.core.errors import Drift
from tests.integration.dbt.conftest import (
    DbtWarehouse,
    Row,
    envelope,
    event,
    insight,
    query_run,
)
from tests.integration.dbt.in_step import BUILD, BUILD_ANEW, Own, Steps, in_step

ARTIFACT = {
    "uri": "s3://bucket/key",
    "format": "parquet",
    "rows": 0,
    "bytes": 0,
    "sampled": True,
    "query_hash": "0" * 16,
    "expires_at": "2027-01-01T00:00:00.000000Z",
    "legal_hold": False,
}
GOOD: list[dict[str, Any]] = [
    event(1),
    event(
        2,
        feature_json={"a": {"b": [1, "é\u0000", None]}},
        link="cdesk://artifact/1",
        revenue_impact=-0.5,
    ),
    event(
        3, customer="Ünïcode 客", session_id="s", anonymous_customer_id="a", revenue_impact=10**15
    ),
    insight(4, value=None),
    insight(5, value=False, provenance_query_hash=None),
    insight(6, value="x" * 4096),
    query_run(
        7,
        status="failed",
        error_code="timeout",
        as_of="2026-01-31T12:00:00.123456Z",
        evidence=[],
    ),
    envelope("artifact", 8, **ARTIFACT),
    event(9, source_system="import"),
    event(10, source_system="claude_export", activity="cdesk.tool_called"),
]
BAD: list[dict[str, Any]] = [
    event(21, v=2),
    event(22, ts="2026-02-30T00:00:00.000000Z"),
    event(23, ts="2026-02-01T00:00:00Z"),
    event(24, ts="2026-02-01T00:00:00.000000+00:00"),
    event(25, customer=""),
    event(26, customer="x" * 256),
    event(27, customer="a\nb"),
    event(28, customer=None),
    event(29, activity="user_asked"),
    event(30, activity="cdesk.User"),
    event(31, feature_json=[]),
    event(32, feature_json="{}"),
    event(33, link="ftp://x"),
    event(34, link="https://" + "x" * 2000),
    event(35, revenue_impact="1"),
    event(36, revenue_impact=True),
    event(37, extra=1),
    {name: value for name, value in event(38).items() if name != "link"},
    event(39, query_tag="cdesk_1"),
    event(40, session_id=7),
    insight(41, value=[1]),
    insight(42, subject=""),
    insight(43, provenance_query_hash="XYZ"),
    query_run(44, status="done"),
    query_run(45, rows=-1),
    query_run(46, rows=1.5),
    query_run(47, params="[]"),
    query_run(48, evidence={}),
    query_run(49, sampled="true"),
    query_run(54, params="{"),
    query_run(55, params={}),
    query_run(56, query_hash="0" * 16),
    query_run(57, sql="select 43"),
    envelope("artifact", 50, **{**ARTIFACT, "format": "xlsx"}),
    envelope("artifact", 51, **{**ARTIFACT, "expires_at": None}),
    envelope("note", 52),
    event(53, id="53"),
    event(58, source_system="elsewhere"),
]


def test_the_warehouse_accepts_what_keeps_the_contract_and_quarantines_what_does_not(
    warehouse: DbtWarehouse,
) -> None:
    warehouse.land([*GOOD, *BAD])
    warehouse.build()
    accepted = warehouse.query("select id from _ingest_ids where rejection is null")
    assert {id_ for (id_,) in accepted} == {record["id"] for record in GOOD}
    refused = warehouse.query("select record_id, reason, detail, raw from quarantined_events")
    assert {id_ for id_, *_ in refused} == {record["id"] for record in BAD}
    by_id = {record["id"]: record for record in BAD}
    for id_, reason, detail, raw in refused:
        assert reason in (
            "unknown_version",
            "unknown_kind",
            "missing_field",
            "unknown_field",
            "wrong_value",
        ), detail
        assert json.loads(raw) == by_id[id_]


@pytest.mark.parametrize("record", GOOD, ids=lambda record: record["id"][-2:])
def test_what_the_warehouse_accepts_the_reader_of_lines_accepts(record: dict[str, Any]) -> None:
    parse_line(json.dumps(record).encode())


@pytest.mark.parametrize("record", BAD, ids=lambda record: record["id"][-2:])
def test_what_the_warehouse_refuses_the_reader_of_lines_refuses(record: dict[str, Any]) -> None:
    with pytest.raises(Drift):
        parse_line(json.dumps(record).encode())


@in_step
def test_a_corrected_record_is_accepted_under_the_same_id(own: Own) -> Steps:
    own.land([event(1, revenue_impact="much")])
    yield BUILD
    own.land([event(1, revenue_impact=2)])
    yield BUILD
    assert own.query("select revenue_impact from events") == [(2.0,)]
    assert own.query("select count(*) from quarantined_events") == [(1,)]


@in_step
def test_a_line_landed_twice_at_one_place_counts_once(own: Own) -> Steps:
    lines = [event(1), insight(2), event(3, revenue_impact="much")]
    instant = own.land(lines, source_file="same")
    own.land(lines, source_file="same", landed_at=instant)
    yield BUILD
    own.land(lines, source_file="same")
    assert own.query("select count(*) from events_live") == [(1,)]
    yield BUILD
    for relation in (
        "events",
        "events_live",
        "insight_atoms",
        "quarantined_events",
        "context_cache",
    ):
        assert own.query(f"select count(*) from {relation}") == [(1,)], relation


@in_step
def test_a_refused_line_beside_an_accepted_one_of_its_id_stops_no_build(own: Own) -> Steps:
    """Who may land can land lines at one place, of one id and instant, of which the contract takes
    one: whatever their texts, that one counts, in each build that follows.
    """
    for number, metric in ((1, 7), (2, None)):
        good = insight(number, metric="held", value=number)
        instant = own.land([good], source_file=f"file {number}")
        bad = {**good, "metric": metric, "value": "made up"}
        own.land([bad], source_file=f"file {number}", landed_at=instant)
    good = event(3, feature_json={"question": "genuine"})
    instant = own.land([good], source_file="file 3")
    for system in ("aaa", "zzz"):  # of the same content, for that is noted without it
        own.land([{**good, "source_system": system}], source_file="file 3", landed_at=instant)
    for _ in range(2):
        yield BUILD
        own.land([event(4)])
        assert own.query("select metric, value from insight_atoms order by insight_id") == [
            ("held", "1"),
            ("held", "2"),
        ]
        for relation in ("events", "events_live"):
            assert own.query(
                f"select _source_system from {relation} where _feature_json like '%genuine%'"
            ) == [(good["source_system"],)]
    yield BUILD_ANEW
    assert own.query("select count(*) from insight_atoms") == [(2,)]


def refused(own: Own) -> list[Row]:
    return own.query(
        "select kind, record_id, reason, detail, customer, source_offset from "
        "quarantined_events order by landed_at, source_offset"
    )


@in_step
def test_the_same_id_with_other_content_is_quarantined_and_the_first_stays(
    own: Own,
) -> Steps:
    """Of every kind; in one batch, in a later one, and again: nothing is lost in silence,
    nothing twice.
    """
    artifact = envelope("artifact", 9, **ARTIFACT)
    first = [event(1), insight(2), query_run(3), artifact]
    others = [
        event(1, revenue_impact=7),
        insight(2, value=43),
        query_run(3, status="failed"),
        {**artifact, "legal_hold": True},
    ]
    own.land([*first, others[0], first[1]], source_file="one")
    yield BUILD
    own.land([*others, *first], source_file="two")
    yield BUILD
    found = refused(own)
    assert [(kind, id_, reason) for kind, id_, reason, *_ in found] == [
        ("event", event(1)["id"], "id_conflict"),
        *((record["kind"], record["id"], "id_conflict") for record in others),
    ]
    assert [row[3] for row in found] == [
        f"first landed as one:{at * 500}" for at in (0, 0, 1, 2, 3)
    ]
    assert own.query("select revenue_impact from events") == [(None,)]
    assert own.query("select value_text from insight_atoms") == [("42",)]
    assert own.query("select status from provenance_chain") == [("succeeded",)]
    assert own.query("select has_legal_hold from artifacts") == [(False,)]
    yield BUILD
    assert refused(own) == found
    ids = "select * from _ingest_ids order by kind, id"
    built = own.query(ids)
    yield BUILD_ANEW
    assert refused(own) == found
    assert own.query(ids) == built


@in_step
def test_the_same_content_again_is_a_repetition_whatever_its_keys_order_and_who_brings_it(
    own: Own,
) -> Steps:
    """An import stamps `source_system` anew: the record that it brings in once more is the same."""
    record = event(1, feature_json={"question": "Why?"})
    own.land([record])
    yield BUILD
    turned = dict(reversed(record.items()))
    own.land([turned, {**record, "source_system": "import"}, record])
    yield BUILD
    assert refused(own) == []
    assert own.query("select count(*), min(_source_system) from events") == [(1, "claude_desktop")]


@pytest.mark.parametrize("noted", ["null", "uuid()"])
@in_step
def test_a_conflict_is_seen_whatever_a_version_before_noted_of_the_content(
    own: Own, noted: str
) -> Steps:
    """Nothing, or its content in another form: the line is read again."""
    own.land([event(1), event(2), insight(3)], source_file="one")
    yield BUILD
    with own.connect() as connection:
        connection.execute(
            f"update _ingest_ids set content_key = {noted} where starts_with(landing_id, ?)",
            [own.ids],
        )
    own.land([event(1, revenue_impact=7), event(2), insight(3, value=43)], source_file="two")
    yield BUILD
    found = [(id_, reason) for _, id_, reason, *_ in refused(own)]
    assert found == [(event(1)["id"], "id_conflict"), (insight(3)["id"], "id_conflict")]
    yield BUILD
    assert len(refused(own)) == 2
    assert own.query("select count(*) from events where revenue_impact is null") == [(2,)]


@in_step
def test_an_id_is_one_of_its_kind(own: Own) -> Steps:
    own.land([event(1), insight(1), insight(2)])
    yield BUILD
    own.land([event(2), insight(2)])
    yield BUILD
    assert refused(own) == []
    assert own.query("select count(*) from events") == [(2,)]
    assert own.query("select count(*) from insight_atoms") == [(2,)], "one of each kind stays"


@in_step
def test_an_id_claimed_before_the_genuine_record_came_is_shown(own: Own) -> Steps:
    """Who guesses the id of a record of an export (UUIDv5) keeps it out of the stream, and
    everybody sees it.
    """
    genuine = event(1, source_system="claude_export", feature_json={"question": "genuine"})
    own.land([{**genuine, "feature_json": {"question": "made up"}}])
    yield BUILD
    own.land([genuine])
    yield BUILD
    ((kind, id_, reason, *_),) = refused(own)
    assert (kind, id_, reason) == ("event", genuine["id"], "id_conflict")
    ((raw,),) = own.query("select raw from quarantined_events")
    assert json.loads(raw) == genuine


@in_step
def test_a_place_that_was_landed_with_several_contents_is_quarantined_once(
    own: Own,
) -> Steps:
    """A file that was written anew under its name: a conflict and a refused line share a place."""
    own.land([event(1)], source_file="one")
    yield BUILD
    own.land([event(1, revenue_impact=2)], source_file="two")
    yield BUILD
    own.land([event(2, revenue_impact="much")], source_file="two")
    yield BUILD
    assert [row[2] for row in refused(own)] == ["id_conflict"]
    yield BUILD_ANEW
    assert [row[2] for row in refused(own)] == ["id_conflict"]
