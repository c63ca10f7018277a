"""Numbering, revisions, and what `events_live` shows beyond the last build: on rows made by hand."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.integration.dbt.conftest import event
from tests.unit.activity_schema.rendering import Renderer
from tests.unit.governance.account import Account, Named, one_line

ADA, BOB = "ada@example.com", "bob@example.com"
COLUMNS = (
    "customer",
    "activity",
    "ts",
    "_activity_id",
    "activity_occurrence",
    "activity_repeated_at",
)
Row = tuple[Any, ...]


def numbered(rows: list[Row]) -> list[Row]:
    """(customer, activity, ts, id, occurrence, next ts) of (customer, activity, ts, id)."""
    found = []
    for row in rows:
        own = sorted(
            (ts, id_) for customer, activity, ts, id_ in rows if (customer, activity) == row[:2]
        )
        place = own.index((row[2], row[3]))
        later = own[place + 1][0] if place + 1 < len(own) else None
        found.append((*row, place + 1, later))
    return sorted(found, key=str)


def test_a_batch_renumbers_what_it_changes_and_nothing_else(local: Account) -> None:
    """Of a dozen draws: the stored rows with what came out in their place are numbered as if all of
    them had been numbered at once.
    """
    assert local.connection is not None
    execute = local.connection.execute
    execute(
        "create table stored (customer varchar, activity varchar, ts integer, _activity_id varchar, "
        "activity_occurrence bigint, activity_repeated_at integer)"
    )
    execute(
        "create table new_events (customer varchar, activity varchar, ts integer, _activity_id varchar)"
    )
    sql = local("renumber", "stored", "new_events")
    rng = random.Random(7)
    for _ in range(12):
        rows = [
            (rng.choice("ab"), rng.choice("xy"), rng.randrange(6), f"{number:02}")
            for number in rng.sample(range(20), 14)
        ]
        cut = rng.randrange(14)
        execute("delete from stored")
        execute("delete from new_events")
        for table, given in (("stored", numbered(rows[:cut])), ("new_events", rows[cut:])):
            if given:
                marks = ", ".join("?" * len(given[0]))
                local.connection.executemany(f"insert into {table} values ({marks})", given)
        found = execute(f"select {', '.join(COLUMNS)}, is_new from ({sql})").fetchall()
        changed = {row[3]: row[:6] for row in found}
        assert len(changed) == len(found)
        assert {row[3] for row in found if row[6]} == {row[3] for row in rows[cut:]}
        stored = {row[3]: row for row in numbered(rows[:cut])}
        assert sorted({**stored, **changed}.values(), key=str) == numbered(rows)
        touched = {row[:2] for row in rows[cut:]}
        assert {row[:2] for row in found} == touched
    execute("delete from new_events")
    assert execute(sql).fetchall() == []


# -- beyond the last build


TABLES = """
    create table landing (id varchar, kind varchar, payload json, source_file varchar,
        source_offset bigint, landed_at timestamp, landed_by varchar);
    create table _ingest_ids (id varchar, kind varchar, source_file varchar, source_offset bigint,
        landed_at timestamp, replaces_key varchar, id_key uuid, content_key uuid,
        landing_id varchar);
    create table erasures (customer_hash varchar, hash_key varchar, erased_at timestamp);
    create table events (activity varchar, customer varchar, ts timestamp,
        activity_repeated_at timestamp, activity_occurrence bigint, link varchar,
        revenue_impact double, _feature_json json, _source_system varchar,
        _source_version varchar, _session_id varchar, _query_tag varchar, _activity_id varchar,
        _anonymous_customer_id varchar, _landed_at timestamp);
"""


def at(hour: int) -> str:
    return f"2026-02-01T{hour:02}:00:00.000000Z"


class Stream:
    """Landed lines, and which of them a build has taken in."""

    def __init__(self, local: Account) -> None:
        assert local.connection is not None
        self.local, self.execute = local, local.connection.execute
        for statement in TABLES.strip().split(";\n"):
            self.execute(statement)
        self._lines = 0

    def land(self, record: dict[str, Any], day: int, *, file: str = "f", offset: int | None = None,
             ingested: bool = False) -> None:  # fmt: skip
        self._lines += 1
        place = (file, self._lines if offset is None else offset, f"2026-03-{day:02}")
        self.execute(
            "insert into landing values (?, ?, ?, ?, ?, ?, null)",
            [record["id"], record["kind"], json.dumps(record), *place],
        )
        if ingested:
            keys = self.execute(
                f"select {self.local('compact_key', '?')}, {self.local('compact_key', '?')}",
                [record.get("replaces"), record["id"]],
            ).fetchall()[0]
            self.execute(
                "insert into _ingest_ids values (?, ?, ?, ?, ?, ?, ?, null, ?)",
                [record["id"], record["kind"], *place, *keys, record["id"]],
            )

    def store(
        self, record: dict[str, Any], day: int, occurrence: int, repeated: int | None
    ) -> None:
        self.execute(
            "insert into events select ?, ?, ?, ?, ?, ?, null, ?, ?, '2.0', null, ?, ?, null, ?",
            [
                *(record["activity"], record["customer"], record["ts"][:-1]),
                *(at(repeated)[:-1] if repeated else None, occurrence, record["link"]),
                *(json.dumps(record["feature_json"]), record["source_system"]),
                *(record["query_tag"], record["id"], f"2026-03-{day:02}"),
            ],
        )

    def changes(self) -> dict[str, Row]:
        """The last digits of the id → occurrence, hour of the next, what was said, link."""
        sql = (
            "select right(_activity_id, 2), activity_occurrence, hour(activity_repeated_at), "
            "json_extract_string(_feature_json, '$.said'), link, customer "
            f"from ({self.local('live_changes')}) order by 1"
        )
        rows = self.execute(sql).fetchall()
        assert len({row[0] for row in rows}) == len(rows)
        return {row[0]: tuple(row[1:]) for row in rows}


def asked(number: int, hour: int, said: str, **given: Any) -> dict[str, Any]:
    return event(number, ts=at(hour), feature_json={"said": said}, **given)


def revision(
    number: int, of: dict[str, Any], said: str, degree: int, **given: Any
) -> dict[str, Any]:
    own = {**of, "id": asked(number, 1, "")["id"], "kind": "revision", "replaces": of["id"]}
    return {**own, "revision": degree, "feature_json": {"said": said}, **given}


@pytest.fixture
def stream(local: Account) -> Stream:
    """Two activities of ada's and one of bob's are built: as they landed on the second of March."""
    made = Stream(local)
    for number, hour, said, occurrence, repeated, customer in (
        (1, 10, "first", 1, 12, ADA), (2, 12, "second", 2, None, ADA), (3, 10, "bob's", 1, None, BOB),
    ):  # fmt: skip
        record = asked(number, hour, said, customer=customer)
        made.land(record, 2, ingested=True)
        made.store(record, 2, occurrence, repeated)
    return made


FIRST, SECOND = asked(1, 10, "first"), asked(2, 12, "second")
BOBS = asked(3, 10, "bob's", customer=BOB)


def test_nothing_pending_is_nothing_to_show(stream: Stream) -> None:
    assert stream.changes() == {}


def test_what_lands_between_is_numbered_with_what_it_moves(stream: Stream) -> None:
    between = asked(10, 11, "between")
    stream.land(between, 3, file="b", offset=1)
    stream.land({**between, "link": "https://a.b/other"}, 3, file="b", offset=2)
    stream.land({**between, "link": "https://a.b/file"}, 3, file="c", offset=0)
    stream.land({**between, "link": "https://a.b/day"}, 4, file="a", offset=0)
    stream.land({**between, "link": "https://a.b/z"}, 3, file="b", offset=1)  # a place twice
    stream.land({**asked(11, 9, "of a later contract"), "v": 2}, 3)
    stream.land(asked(12, 9, "before the last build"), 1)
    stream.land({**FIRST, "feature_json": {"said": "again, otherwise"}}, 3)
    assert stream.changes() == {
        "01": (1, 11, "first", None, ADA),
        "0a": (2, 12, "between", "https://a.b/z", ADA),
        "02": (3, None, "second", None, ADA),
    }


def test_what_a_build_has_known_at_its_place_alone_is_shown(stream: Stream) -> None:
    """By id, day, file and place: the same id elsewhere is a repetition."""
    known = asked(20, 13, "known")
    stream.land(known, 3, file="b", offset=5, ingested=True)
    for day, file, offset in ((2, "b", 5), (3, "a", 5), (3, "b", 4), (4, "b", 5)):
        stream.land({**known, "link": "https://a.b/again"}, day, file=file, offset=offset)
    other_kind = revision(20, FIRST, "of a kind that was not known", 1)
    stream.land(other_kind, 3)
    assert stream.changes() == {
        "01": (1, 12, "of a kind that was not known", None, ADA),
        "02": (2, 13, "second", None, ADA),
        "14": (3, None, "known", None, ADA),
    }


def test_the_latest_revision_counts_wherever_it_stands(stream: Stream) -> None:
    stream.land(revision(30, SECOND, "known, the second", 2), 2, ingested=True)
    stream.land(revision(31, SECOND, "known, the first", 1), 2, ingested=True)
    stream.land(revision(32, SECOND, "pending, of the same degree", 2), 3)
    stream.land(revision(33, FIRST, "pending, the first", 1), 3)
    stream.land(revision(34, FIRST, "pending, the second", 2, link="https://a.b/c"), 3)
    pending = asked(35, 13, "pending")
    stream.land(pending, 3)
    stream.land(revision(36, pending, "pending, and revised", 1), 3)
    waiting = asked(37, 14, "what it said before")
    stream.land(revision(38, waiting, "known before its event", 1), 2, ingested=True)
    stream.land(waiting, 3)
    assert stream.changes() == {
        "01": (1, 12, "pending, the second", "https://a.b/c", ADA),
        "02": (2, 13, "pending, of the same degree", None, ADA),
        "23": (3, 14, "pending, and revised", None, ADA),
        "25": (4, None, "known before its event", None, ADA),
    }


OTHERWISE: list[dict[str, Any]] = [
    {"customer": ADA},
    {"activity": "cdesk.claude_responded"},
    {"ts": at(11)},
    {"source_system": "claude_code"},
    {"replaces": asked(99, 1, "")["id"]},
    {"revision": -1},
]


def test_a_revision_says_nothing_of_another_activity(stream: Stream) -> None:
    for number, given in enumerate(OTHERWISE, start=60):
        stream.land(revision(number, BOBS, f"otherwise in {given}", 1, **given), 3)
    assert stream.changes() == {}
    stream.land(revision(41, BOBS, "of bob's", 1), 3)
    assert stream.changes() == {"03": (1, None, "of bob's", None, BOB)}


def test_an_id_that_is_none_is_refused_and_looked_for_by_nobody(stream: Stream) -> None:
    stream.land({**asked(51, 13, "with an id of its own kind"), "id": "q-51"}, 3)
    assert stream.changes() == {}


def test_a_line_at_the_newest_instant_that_is_stored_may_be_new(stream: Stream) -> None:
    stream.land(asked(50, 13, "landed at the same time"), 2)
    assert stream.changes() == {
        "02": (2, 13, "second", None, ADA),
        "32": (3, None, "landed at the same time", None, ADA),
    }


# -- from when on is looked


def test_a_model_reads_again_from_its_newest_row_that_is_not_of_the_future(local: Account) -> None:
    assert local.connection is not None
    execute = local.connection.execute
    execute("create table events (_landed_at timestamp, other timestamp)")

    def since(*arguments: Any) -> str:
        return str(
            execute(f"select {local('since', Named('events'), *arguments)}").fetchall()[0][0]
        )

    assert since() == "0001-01-01 00:00:00"
    execute("insert into events values ('2026-01-01', '2025-01-01'), ('2026-01-02', '2024-01-01')")
    assert since() == "2026-01-02 00:00:00"
    assert since("other") == "2025-01-01 00:00:00"
    execute("insert into events values ('9999-01-01', null)")
    assert since() == "2026-01-02 00:00:00"
    found = execute(f"select cast({local('live_since')} as varchar)").fetchall()
    assert found == [("2026-01-02 00:00:00",)]
    execute("delete from events")
    found = execute(f"select cast({local('live_since')} as varchar)").fetchall()
    assert found == [("0001-01-01 00:00:00",)]


def test_a_row_is_held_by_its_id_and_instant(local: Account) -> None:
    assert local.connection is not None
    execute = local.connection.execute
    execute(
        "create table held as select * from (values (1, 10), (2, 20), (3, 5)) as t (id, _landed_at)"
    )
    execute(
        "create table given as select * from (values (1, 10), (1, 20), (2, 10), (2, 20), (3, 5)) as t (id, _landed_at)"
    )
    sql = f"select id, _landed_at from given where {local('not_held', 'held', 'given', 'id', 10)} order by all"
    assert execute(sql).fetchall() == [(1, 20), (2, 10), (3, 5)]


def test_what_counts_from_when(local: Account) -> None:
    assert local("recorded_at") == "least(ts, _landed_at)"
    assert local("recorded_at", "a") == "least(a.ts, a._landed_at)"


def test_what_a_build_looks_back_and_in_which_order_it_stores(local: Account) -> None:
    assert local("overlap_seconds") == 0
    local.variables = {"cdesk__overlap_seconds": "7"}
    assert local("overlap_seconds") == 7
    assert local("in_storage_order", ["ts", "id"]).strip() == "order by ts, id"


@pytest.mark.parametrize("revisions", [True, False])
def test_an_account_notes_how_far_a_build_has_come(
    tmp_path_factory: pytest.TempPathFactory, revisions: bool
) -> None:
    """The newest row that is not of the future; of revisions the oldest as well, where asked."""
    snowflake = Renderer(tmp_path_factory.mktemp("macros") / "snowflake", "snowflake")
    account = Account(
        snowflake,
        {" where mark = ": [{"at": None}]},
        relations={"build_marks"},
        names={"this": Named("events")},
    )
    asked: tuple[Any, ...] = (True,) if revisions else ()
    sql = one_line(account("note_build_marks", "_landed_at", *asked))
    newest = (
        "merge into DB.PUBLIC.build_marks as known using ( select 'newest in events' as mark, "
        "max(_landed_at) as instant from events where _landed_at <= sysdate()"
    )
    assert sql.startswith(newest)
    oldest = " union all select 'oldest revision' as mark, min(_landed_at) as instant from events"
    assert (oldest in sql) is revisions
    account.relations.clear()
    assert account("note_build_marks", "_landed_at") == ""


# -- where ids are looked for


@pytest.fixture(scope="module")
def snowflake(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    return Renderer(tmp_path_factory.mktemp("macros") / "snowflake", "snowflake")


@pytest.mark.parametrize(
    ("since", "key"),
    [
        ("cast('2026-03-02 00:00:00' as timestamp)", "019ca6b1-dc00-0000-0000-000000000000"),
        ("cast('0001-01-01 00:00:00' as timestamp)", "00000000-0000-0000-0000-000000000000"),
    ],
)
def test_ids_of_the_day_before_are_fresh(
    local: Account, snowflake: Renderer, since: str, key: str
) -> None:
    assert local.connection is not None
    found = local.connection.execute(f"select {local('first_fresh_key', since)}").fetchall()
    assert str(found[0][0]) == key
    account = Account(snowflake)
    assert account("first_fresh_key", since).strip() == f"'{key}'"
    every = "00000000-0000-0000-0000-000000000000"
    assert account("first_fresh_key", "(select max(at) from t)").strip() == f"'{every}'"


def test_few_ids_among_many_are_found_by_reading_few_rows(local: Account) -> None:
    """A lookup by two columns reads and compares the kind of every row, which takes four times as
    long.
    """
    assert local.connection is not None
    execute = local.connection.execute
    execute("set threads = 1")
    execute(
        "create table _ingest_ids as select 'event' as kind, cast(id as varchar) as id, "
        "id as id_key, id as content_key, cast(id as varchar) as landing_id, 'f' as source_file, "
        "i as source_offset, timestamp '2026-01-01' + to_seconds(i) as landed_at "
        "from (select i, cast(printf('019b7%07x-0000-0000-000000000000', i * 64)[:8] || '-' || "
        "printf('019b7%07x', i * 64)[9:] || '-7000-8000-000000000000' as uuid) as id "
        "from range(300000) as numbers (i))"
    )
    execute("create table keys as select id_key from _ingest_ids where source_offset % 3000 = 7")
    since = "timestamp '2026-01-04'"
    sql = local("known_ids", "_ingest_ids", "keys", since)
    assert len(execute(sql).fetchall()) == 100
    assert scanned(local, sql, "_ingest_ids") < 30_000
    by_kind = sql.replace("= keys.id_key", "= keys.id_key and known.kind = keys.kind")
    execute("alter table keys add column kind varchar default 'event'")
    assert scanned(local, by_kind, "_ingest_ids") > 200_000, "or this tells nothing"


def scanned(local: Account, sql: str, table: str) -> int:
    """How many rows of a table a query reads beyond what its filters take out."""
    assert local.connection is not None
    plan = json.loads(
        local.connection.execute(f"explain (analyze, format json) {sql}").fetchall()[0][1]
    )

    def count(node: dict[str, Any]) -> int:
        own = node.get("extra_info", {}).get("Table", "").endswith(table)
        rows = int(node.get("intermediate_rows", 0)) if own else 0
        return rows + sum(map(count, node.get("children", [])))

    return sum(map(count, plan.get("operator", plan.get("children", []))))
