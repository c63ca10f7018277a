"""What lands by the account's procedure, and which lines of an erased customer stay out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pytest

from tests.integration.snowflake import procedures
from tests.unit.activity_schema.rendering import Renderer
from tests.unit.governance.account import Account, model

NOW = datetime(2026, 3, 10, 12)  # noqa: DTZ001 -- as the column has it
DAYS, MICROSECOND = timedelta(days=3), timedelta(microseconds=1)
DIALECT = """
    create macro sysdate() as getvariable('now');
    create macro dateadd(unit, n, instant) as instant + case unit
        when 'day' then to_days(n) when 'minute' then to_minutes(n) else to_microseconds(n) end;
    create macro parse_json(content, mode) as cast(content as json);
    create macro get(list, place) as json_extract_string(list, '$[' || place || ']');
    create macro to_varchar(instant, form) as strftime(instant, '%Y-%m-%d %H:%M:%S.%f');
"""
"""What the procedure uses of Snowflake, in DuckDB's words."""


class Landing:
    """A table, and the procedure that lands in it."""

    def __init__(self, account: Account) -> None:
        self.connection = duckdb.connect()
        for statement in DIALECT.strip().split(";\n"):
            self.connection.execute(statement)
        self.connection.execute(
            "create table landing (id varchar, kind varchar, payload json, source_file varchar, "
            "source_offset bigint, landed_at timestamp, landed_by varchar)"
        )
        self.connection.execute("set variable now = cast(? as timestamp)", [NOW])
        created = procedures.created(account("land_lines_sql", "land", "landing"))
        assert created is not None
        assert created[0] == "land"
        self._procedure = created[1]

    def _execute(self, sql: str) -> Any:
        sql = sql.replace("\\\\", "\\")  # by which Snowflake escapes in a literal
        sql = sql.replace("timestamp_ntz", "timestamp").replace("number(38, 0)", "decimal(38, 0)")
        sql = re.sub(r"\bdateadd\((\w+),", r"dateadd('\1',", sql).replace("current_user()", "'ADA'")
        sql = re.sub(
            r"table\(flatten\(input => parse_json\((.*)\)\)\) as line",
            r"(select unnest(cast(\1 as json[])) as value) as line",
            sql,
            flags=re.DOTALL,
        )
        return self.connection.execute(sql).fetchall()[0][0]

    def land(self, *lines: list[Any], same: str | None = None) -> tuple[datetime, datetime | None]:
        """The stamp, and the latest one before it."""
        text = procedures.run(self._procedure, (json.dumps(lines), same), self._execute)
        stamp, _, before = str(text).partition("|")
        return datetime.fromisoformat(stamp), datetime.fromisoformat(before) if before else None

    def put(self, landed_at: datetime, id_: str = "old", file: str = "f", offset: int = 7) -> None:
        row = [id_, "event", "{}", file, offset, landed_at, "BOB"]
        self.connection.execute("insert into landing values (?, ?, ?, ?, ?, ?, ?)", row)

    def ids(self) -> list[str]:
        found = self.connection.execute("select id from landing order by id").fetchall()
        return [row[0] for row in found]


@pytest.fixture(scope="module")
def on_snowflake(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    return Renderer(tmp_path_factory.mktemp("macros") / "snowflake", "snowflake")


@pytest.fixture
def landing(on_snowflake: Renderer) -> Iterator[Landing]:
    made = Landing(Account(on_snowflake))
    yield made
    made.connection.close()


def line(id_: str = "new", file: str = "a.ndjson", offset: int = 0) -> list[Any]:
    return [id_, "event", '{"it\'s": [1, "two"]}', file, offset]


def test_a_line_lands_with_the_accounts_time_and_its_sessions_user(landing: Landing) -> None:
    assert landing.land(line(), line("more", "b.ndjson", 2**40)) == (NOW, None)
    rows = landing.connection.execute("select * from landing order by source_offset").fetchall()
    payload = '{"it\'s": [1, "two"]}'
    assert rows == [
        ("new", "event", payload, "a.ndjson", 0, NOW, "ADA"),
        ("more", "event", payload, "b.ndjson", 2**40, NOW, "ADA"),
    ]


@pytest.mark.parametrize(
    ("latest", "stamp", "before"),
    [
        (NOW - timedelta(seconds=1), NOW, NOW - timedelta(seconds=1)),
        (NOW, NOW + MICROSECOND, NOW),
        (NOW + timedelta(seconds=5), NOW + timedelta(seconds=5) + MICROSECOND, NOW + timedelta(seconds=5)),
        (NOW - DAYS, NOW, NOW - DAYS),
        (NOW - DAYS - MICROSECOND, NOW, None),
    ],
)  # fmt: skip
def test_a_stamp_is_later_than_each_of_the_last_days(
    landing: Landing, latest: datetime, stamp: datetime, before: datetime | None
) -> None:
    landing.put(latest - timedelta(hours=1))
    landing.put(latest)
    landing.put(NOW - timedelta(days=9))
    if before is None:
        landing.connection.execute("delete from landing where landed_at = ?", [latest])
        landing.put(latest)
    assert landing.land(line()) == (stamp, before)


@pytest.mark.parametrize(
    ("same", "is_believed"),
    [
        (NOW - timedelta(minutes=10), True),
        (NOW - timedelta(minutes=10) - MICROSECOND, False),
        (NOW + timedelta(minutes=1), True),
        (NOW + timedelta(minutes=1) + MICROSECOND, False),
        (NOW - timedelta(seconds=1), True),
    ],
)
def test_calls_of_one_transaction_share_a_stamp_of_the_last_minutes(
    landing: Landing, same: datetime, is_believed: bool
) -> None:
    stamp, _ = landing.land(line(), same=same.isoformat(sep=" "))
    assert stamp == (same if is_believed else NOW)
    assert landing.land(line("other"), same="no time")[0] >= NOW


def test_a_line_lands_once_as_long_as_anybody_may_send_it_again(landing: Landing) -> None:
    own = line("old", "f", 7)
    landing.put(NOW - DAYS)
    landing.land(own)
    assert landing.ids() == ["old"]
    landing.land(line("old", "f", 8), line("old", "g", 7), line("older", "f", 7))
    assert landing.ids() == ["old", "old", "old", "older"]
    landing.connection.execute("delete from landing")
    landing.put(NOW - DAYS - MICROSECOND)
    landing.land(own)
    assert landing.ids() == ["old", "old"], "beyond that nobody looks"


# -- erased customers


def hashed(key: str, customer: str) -> str:
    inner = hashlib.sha256(f"{key}{customer}".encode()).hexdigest()
    return hashlib.sha256(f"{key}{inner}".encode()).hexdigest()


def test_what_an_erased_customer_recorded_until_then_stays_out(local: Account) -> None:
    assert local.connection is not None
    execute = local.connection.execute
    execute("create table landing (id varchar, kind varchar, payload json)")
    execute("create table erasures (customer_hash varchar, hash_key varchar, erased_at timestamp)")

    def land(id_: str, customer: str | None, ts: str | None, kind: str = "event") -> None:
        record: Any = {"customer": customer, "ts": ts}
        if kind == "quarantine":
            record = {"raw": json.dumps(record) if customer else "{ torn ada"}
        execute("insert into landing values (?, ?, ?)", [id_, kind, json.dumps(record)])

    def day(number: int, microsecond: int = 0) -> str:
        return f"2026-01-{number:02}T00:00:00.{microsecond:06}Z"

    land("before", "ada", day(1))
    land("between", "ada", day(6))
    land("then", "ada", day(10))
    land("after", "ada", day(10, 1))
    land("at no time", "ada", "yesterday")
    land("others", "bob", day(1))
    land("nobody's", None, day(1))
    land("quarantined", "ada", day(1), "quarantine")
    land("quarantined after", "ada", day(11), "quarantine")
    land("torn", None, None, "quarantine")
    kept = f"select id from ({local('unerased_lines')}) order by id"
    assert len(execute(kept).fetchall()) == 10, "as long as nobody was erased"
    for number in (10, 5):
        execute(
            "insert into erasures values (?, 'k', cast(? as timestamp))",
            [hashed("k", "ada"), f"2026-01-{number:02}"],
        )
    execute("insert into erasures values (?, 'k', '2027-01-01')", [hashed("k", "cy")])
    assert [row[0] for row in execute(kept).fetchall()] == [
        "after", "at no time", "nobody's", "others", "quarantined after", "torn",
    ]  # fmt: skip


def test_the_table_of_a_selected_seed_gains_its_new_columns(render: Renderer) -> None:
    def seed(name: str, **given: Any) -> dict[str, Any]:
        made = model(name, resource_type="seed", database="db", schema="s", unique_id=name)
        made["config"]["column_types"] = {"a": "varchar", "b": "double"}
        return {**made, **given}

    account = Account(
        render,
        relations={"prices", "others", "a_model"},
        nodes=[
            seed("prices"),
            seed("others"),
            seed("gone"),
            seed("a_model", resource_type="model"),
        ],
        names={"selected_resources": ["prices", "gone", "a_model"]},
    )
    account("add_seed_columns")
    added = "alter table prices add column if not exists"
    assert account.ran == [f"{added} a varchar", f"{added} b double"]
