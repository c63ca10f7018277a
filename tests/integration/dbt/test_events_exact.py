"""`events` is exact: at any order of arrival an incremental build equals a full refresh, and both
equal the definition in plain Python.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.dbt.conftest import FIRST_LANDING, DbtWarehouse, Row, event

CUSTOMERS = ("ada@example.com", "bob@example.com", "eve@example.com")
ACTIVITIES = ("cdesk.user_asked", "cdesk.tool_called")
EPOCH = datetime(2026, 2, 1)  # noqa: DTZ001
SAME = ("customer", "activity", "ts")
COLUMNS = (
    "_activity_id, customer, activity, ts, activity_occurrence, activity_repeated_at, "
    "cast(_feature_json ->> 'copy' as integer), _landed_at"
)


@dataclass(frozen=True)
class Line:
    """One line to land: few ids, instants and groups, so that repetitions and ties abound."""

    number: int
    tick: int
    customer: str
    activity: str
    is_valid: bool

    def record(self, copy: int) -> dict[str, Any]:
        ts = (EPOCH + timedelta(microseconds=self.tick)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        record = event(
            self.number,
            ts=ts,
            customer=self.customer,
            activity=self.activity,
            feature_json={"copy": copy},
        )
        return record if self.is_valid else {**record, "revenue_impact": "much"}


@dataclass(frozen=True)
class Said:
    """One revision to land, often of an event that is not there, or that is another's."""

    own_number: int
    number: int
    tick: int
    customer: str
    activity: str
    revision: int
    is_valid: bool = True
    is_aimed: bool = False

    def record(self, copy: int) -> dict[str, Any]:
        known = Line(self.number, self.tick, self.customer, self.activity, self.is_valid)
        return {
            **known.record(10 + copy + 10 * self.own_number),
            "kind": "revision",
            "id": str(UUID(int=self.own_number + 1_000, version=4)),
            "replaces": str(UUID(int=self.number, version=4)),
            "revision": self.revision,
        }


@dataclass(frozen=True)
class Batch:
    """One landing transaction. `same_instant`: it lands with the `landed_at` of the one before;
    `built` says which models run then.
    """

    lines: list[Line | Said]
    same_instant: bool
    built: str


LINES = st.builds(
    Line,
    number=st.integers(1, 40),
    tick=st.integers(0, 5),
    customer=st.sampled_from(CUSTOMERS),
    activity=st.sampled_from(ACTIVITIES),
    is_valid=st.integers(0, 9).map(bool),
)
SAID = st.builds(
    Said,
    own_number=st.integers(1, 20),
    number=st.integers(1, 40),
    tick=st.integers(0, 5),
    customer=st.sampled_from(CUSTOMERS),
    activity=st.sampled_from(ACTIVITIES),
    revision=st.integers(1, 3),
    is_valid=st.integers(0, 9).map(bool),
    is_aimed=st.integers(0, 4).map(bool),
)
# A build that dies between the two models is one that runs the first alone; `nothing` leaves the
# batch to a later build; `events only` is somebody who builds the one table by itself.
BATCHES = st.builds(
    Batch,
    lines=st.lists(st.one_of(LINES, LINES, SAID), max_size=24),
    same_instant=st.integers(0, 4).map(lambda number: number == 0),
    built=st.sampled_from(["both", "both", "_ingest_ids only", "events only", "nothing"]),
)
BUILT = {
    "both": ("_ingest_ids", "events"),
    "_ingest_ids only": ("_ingest_ids",),
    "events only": ("events",),
}


def expected(landed: list[tuple[datetime, int, dict[str, Any]]]) -> list[Row]:
    """The definition: the first valid line of an id counts; (customer, activity) is numbered by
    (ts, id); of what revises an activity the highest revision counts, of equals the greater id.
    """
    first: dict[str, tuple[datetime, dict[str, Any]]] = {}
    for landed_at, _, record in sorted(landed, key=lambda line: line[:2]):
        if record["revenue_impact"] is None:
            first.setdefault(record["id"], (landed_at, record))
    latest: dict[tuple[str, ...], dict[str, Any]] = {}
    for _, record in sorted(
        first.values(), key=lambda one: (one[1].get("revision", 0), one[1]["id"])
    ):
        if record["kind"] == "revision":
            latest[record["replaces"], *(record[name] for name in SAME)] = record
    groups = defaultdict(list)
    for landed_at, record in first.values():
        if record["kind"] == "revision":
            continue
        ts = datetime.strptime(record["ts"], "%Y-%m-%dT%H:%M:%S.%fZ")  # noqa: DTZ007
        groups[record["customer"], record["activity"]].append((ts, record["id"], record, landed_at))
    rows = []
    for (customer, activity), members in groups.items():
        members.sort(key=lambda member: member[:2])
        for position, (ts, id_, record, landed_at) in enumerate(members):
            following = members[position + 1][0] if position + 1 < len(members) else None
            rows.append(
                (
                    id_,
                    customer,
                    activity,
                    ts,
                    position + 1,
                    following,
                    latest.get((record["id"], *(record[name] for name in SAME)), record)[
                        "feature_json"
                    ]["copy"],
                    landed_at,
                )
            )
    return sorted(rows, key=lambda row: row[0])


def conflicts(landed: list[tuple[datetime, int, dict[str, Any]]]) -> list[tuple[datetime, str]]:
    """The definition: a valid line whose id came before with other content; the same
    content is no conflict.
    """
    first: dict[str, dict[str, Any]] = {}
    found = []
    for landed_at, _, record in sorted(landed, key=lambda line: line[:2]):
        if record["revenue_impact"] is None and first.setdefault(record["id"], record) != record:
            found.append((landed_at, record["id"]))
    return sorted(found)


def quarantined(warehouse: DbtWarehouse) -> list[Row]:
    return warehouse.query(
        "select landed_at, landing_id from _ingest_ids where rejection = 'id_conflict' order "
        "by 1, 2"
    )


def stored(warehouse: DbtWarehouse, relation: str) -> list[Row]:
    return warehouse.query(f"select {COLUMNS} from {relation} order by _activity_id")


def check(warehouse: DbtWarehouse, batches: list[Batch]) -> None:
    warehouse.empty()
    landed: list[tuple[datetime, int, dict[str, Any]]] = []
    instant = FIRST_LANDING
    known: dict[int, dict[str, Any]] = {}
    for number, batch in enumerate(batches):
        instant += timedelta(seconds=0 if batch.same_instant else 1)
        aimed = [
            replace(line, **known[line.number])
            if isinstance(line, Said) and line.is_aimed and line.number in known
            else line
            for line in batch.lines
        ]
        for line in batch.lines:
            if isinstance(line, Line):
                place = {"tick": line.tick, "customer": line.customer, "activity": line.activity}
                known.setdefault(line.number, place)
        # Few contents, so that an id comes again with the same one and with another.
        records = [line.record((number + place) % 2) for place, line in enumerate(aimed)]
        # The name of the file decides between two lines of one instant.
        warehouse.land(records, source_file=f"{number:032x}-000001.ndjson", landed_at=instant)
        landed += [
            (instant, number * 1_000 + place, record) for place, record in enumerate(records)
        ]
        assert stored(warehouse, "events_live") == expected(landed), "events_live, before the build"
        if batch.built in BUILT:
            warehouse.build(*BUILT[batch.built])
            assert stored(warehouse, "events_live") == expected(landed), (
                f"events_live, built {batch.built}"
            )
    warehouse.build("_ingest_ids", "events")
    assert stored(warehouse, "events") == expected(landed)
    assert stored(warehouse, "events_live") == expected(landed)
    assert quarantined(warehouse) == conflicts(landed)
    warehouse.build("_ingest_ids", "events", full=True)
    assert stored(warehouse, "events") == expected(landed)
    assert quarantined(warehouse) == conflicts(landed)


def schedules(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@schedules(6)
@given(batches=st.lists(BATCHES, min_size=2, max_size=4))
def test_an_incremental_build_equals_a_full_refresh_and_the_definition(
    shared_warehouse: DbtWarehouse, batches: list[Batch]
) -> None:
    check(shared_warehouse, batches)


@pytest.mark.chaos
@pytest.mark.timeout(3_600)
@schedules(100)
@given(batches=st.lists(BATCHES, min_size=2, max_size=6))
def test_a_hundred_schedules_of_arrival_are_exact(
    shared_warehouse: DbtWarehouse, batches: list[Batch]
) -> None:
    check(shared_warehouse, batches)


def test_a_revised_activity_keeps_its_place_and_says_what_was_learnt_last(
    warehouse: DbtWarehouse,
) -> None:
    """In any order of arrival, alive and built; what another customer or another source says of it
    has no effect.
    """
    ada, eve = CUSTOMERS[0], CUSTOMERS[2]
    asked = Line(1, 1, ada, ACTIVITIES[0], is_valid=True)
    later = Line(2, 2, ada, ACTIVITIES[0], is_valid=True)

    def said(own: int, revision: int, customer: str = ada, tick: int = 1) -> dict[str, Any]:
        return Said(own, 1, tick, customer, ACTIVITIES[0], revision).record(0)

    def seen(relation: str) -> list[Row]:
        return warehouse.query(
            "select activity_occurrence, cast(_feature_json ->> 'copy' as integer) from "
            f"{relation} where customer = ? order by ts",
            [ada],
        )

    foreign = {"source_system": "import"}
    warehouse.land([said(3, 2), said(9, 9, eve), said(8, 8, tick=3), said(7, 9) | foreign])
    warehouse.build("_ingest_ids", "events")
    assert seen("events_live") == []
    warehouse.land([asked.record(0), later.record(0), said(1, 1)])
    for relation in ("events_live", "events"):
        assert seen(relation) == [(1, 40), (2, 0)], relation
        warehouse.build("_ingest_ids", "events")
    warehouse.land([said(4, 5), said(6, 10) | foreign])
    assert seen("events_live") == [(1, 50), (2, 0)]
    warehouse.build("_ingest_ids", "events")
    assert seen("events") == [(1, 50), (2, 0)]
    warehouse.land([Line(3, 0, ada, ACTIVITIES[0], is_valid=True).record(0), said(5, 6)])
    for relation in ("events_live", "events"):
        assert seen(relation) == [(1, 0), (2, 60), (3, 0)], relation
        warehouse.build("_ingest_ids", "events")
    warehouse.build("_ingest_ids", "events", full=True)
    assert seen("events") == [(1, 0), (2, 60), (3, 0)]
