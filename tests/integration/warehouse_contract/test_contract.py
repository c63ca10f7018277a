"""What every engine promises (cdesk/warehouse/protocol.py), asked of each that can run here.

duckdb: the real thing. connector: the real Snowflake connector over HTTP against fakesnow.
    streaming: as connector, with the
Snowpipe Streaming service replaced by `fake_snowpipe.py`, which says what it stands for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from landing_table import land_lines_ddl

from cdesk.contract.catalog import Template
from cdesk.core.errors import QueryCancelled, WarehouseError, WarehouseNotBuilt
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk.warehouse.protocol import LandedLine, Warehouse
from cdesk.warehouse.snowflake.login import Login
from cdesk.warehouse.snowflake.streaming import SnowpipeWarehouse
from cdesk.warehouse.snowflake.warehouse import SnowflakeWarehouse
from tests.integration.snowflake.account import FakeAccount, running_account
from tests.integration.warehouse_contract.fake_snowpipe import FakeSnowpipe

ENGINES = ("duckdb", "connector", "streaming")
TABLES = (
    "create table landing (id varchar not null, kind varchar not null, payload {json} not "
    "null, source_file varchar not null, "
    "source_offset bigint not null, landed_at timestamp{ntz} not null, landed_by varchar)",
    "create table context_cache (customer varchar, context varchar, version varchar, "
    "updated_at timestamp{ntz})",
    "create table facts (customer varchar, n bigint, x double{precision}, seen "
    "timestamp{ntz}, flag boolean, doc {json})",
)
FACT = "insert into facts select ?, ?, ?, cast(? as timestamp{ntz}), ?, {json}"


@pytest.fixture(scope="module")
def account() -> Iterator[FakeAccount]:
    with running_account() as running:
        yield running


class Engine:
    """A warehouse with empty tables, and a way to look behind its back."""

    def __init__(self, name: str, account: FakeAccount, folder: Path, database: str) -> None:
        self.name = name
        self.query: Callable[..., list[tuple[Any, ...]]]
        self.warehouse: Warehouse
        if name == "duckdb":
            file = folder / "warehouse.duckdb"
            with duckdb.connect(file) as connection:
                connection.execute("create schema activities")

            def on_duckdb(sql: str, *binds: object) -> list[tuple[Any, ...]]:
                with duckdb.connect(file) as connection:
                    connection.execute("set schema = 'activities'")
                    return connection.execute(sql, list(binds)).fetchall()

            self.query = on_duckdb
            self.warehouse = DuckDBWarehouse(file)
            forms = {"json": "json", "ntz": "", "precision": ""}
        else:
            remote = account.connect(database=database)

            def on_snowflake(sql: str, *binds: object) -> list[tuple[Any, ...]]:
                return list(remote.cursor().execute(sql, binds or None).fetchall())

            self.query = on_snowflake
            plain = SnowflakeWarehouse(Login({**account.environ, "SNOWFLAKE_DATABASE": database}))
            self.service = FakeSnowpipe(commit=self._commit)
            self.warehouse = (
                plain
                if name == "connector"
                else SnowpipeWarehouse(
                    plain, self.service.client, channel="cdesk-contract", sleep=lambda _: None
                )
            )
            forms = {"json": "variant", "ntz": "_ntz", "precision": " precision"}
        for table in TABLES:
            self.query(table.format(**forms))
        if name != "duckdb":
            self.query(land_lines_ddl())
        self.insert_fact = FACT.format(
            ntz=forms["ntz"], json="parse_json(?)" if name != "duckdb" else "cast(? as json)"
        )

    def _commit(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self.query(
                "insert into landing select ?, ?, parse_json(?), ?, ?, cast(? as "
                "timestamp_ntz), 'LANDING_PIPE'",
                *(
                    row[column]
                    for column in (
                        "id",
                        "kind",
                        "payload",
                        "source_file",
                        "source_offset",
                        "landed_at",
                    )
                ),
            )

    def landed(self) -> list[tuple[Any, ...]]:
        return self.query(
            "select id, kind, payload, source_file, source_offset, landed_at from landing "
            "order by landed_at, source_offset"
        )


@pytest.fixture(params=ENGINES)
def engine(
    request: pytest.FixtureRequest, account: FakeAccount, tmp_path: Path
) -> Iterator[Engine]:
    made = Engine(
        request.param, account, tmp_path, f"CONTRACT_{abs(hash(request.node.name)) % 10**8}"
    )
    yield made
    made.warehouse.close()


def line(offset: int, *, file: str = "a-000001.ndjson", payload: object = None) -> LandedLine:
    return LandedLine(
        f"{file}-{offset}",
        "event",
        json.dumps(payload or {"n": offset}, ensure_ascii=False),
        file,
        offset,
    )


def template(sql: str, *binds: str, scope: str = "customer") -> Template:
    return Template("probe", "", scope, (), sql, binds, {}, "0" * 16)  # type: ignore[arg-type]


def test_a_landing_holds_every_line_with_one_instant(engine: Engine) -> None:
    payloads = [
        {"text": 'ü \u2028 "quoted" \\ 😀'},
        {"deep": {"a": [1, {"b": None}]}},
        {"big": 12345678901234567890},
    ]
    result = engine.warehouse.land(
        [line(index, payload=payload) for index, payload in enumerate(payloads)]
    )
    landed = engine.landed()
    assert [json.loads(row[2]) for row in landed] == payloads
    assert {row[5].replace(tzinfo=UTC) for row in landed} == {result.landed_at}
    assert result.rows == 3


def test_the_account_says_who_landed_a_line(engine: Engine) -> None:
    engine.warehouse.land([line(0)])
    by = {"duckdb": None, "connector": "CDESK_TEST", "streaming": "LANDING_PIPE"}[engine.name]
    assert engine.query("select landed_by from landing") == [(by,)]


def test_lines_that_come_again_are_landed_once(engine: Engine) -> None:
    """A batch whose answer got lost, with one line more; the connector's calls are several."""
    if engine.name != "connector":
        pytest.skip("the others are asked first how far they have come")
    big = [line(number * 10, payload={"text": "x" * 1_500_000}) for number in range(4)]
    engine.warehouse.land(big[:3])
    result = engine.warehouse.land(big)
    assert [row[4] for row in engine.landed()] == [0, 10, 20, 30]
    assert len({row[5] for row in engine.landed()}) == 2
    assert result.previous is not None


def test_a_later_landing_has_a_later_instant(engine: Engine) -> None:
    first = engine.warehouse.land([line(0)])
    second = engine.warehouse.land([line(1)])
    assert second.landed_at > first.landed_at
    assert second.previous == first.landed_at
    assert len(engine.landed()) == 2


def test_positions_are_the_greatest_landed_offset_of_a_file(engine: Engine) -> None:
    engine.warehouse.land([line(0), line(70), line(10, file="b-000001.ndjson")])
    assert engine.warehouse.positions(
        ["a-000001.ndjson", "b-000001.ndjson", "c-000001.ndjson"]
    ) == {
        "a-000001.ndjson": 70,
        "b-000001.ndjson": 10,
    }
    assert engine.warehouse.positions([]) == {}


def test_an_empty_landing_is_one(engine: Engine) -> None:
    assert engine.warehouse.land([]).rows == 0
    assert engine.landed() == []


def test_a_query_streams_typed_columns(engine: Engine) -> None:
    engine.query(
        engine.insert_fact,
        "ada",
        9007199254740993,
        0.5,
        "2026-01-31 12:00:00.123456",
        True,
        '{"a": [1, "x  y"]}',
    )
    engine.query(engine.insert_fact, "ada", None, None, None, None, None)
    engine.query(engine.insert_fact, "bob", 1, 1.0, "2026-01-31 12:00:00", False, "{}")
    prefix = "activities." if engine.name == "duckdb" else ""
    wanted = template(
        f"select n, x, seen, flag, doc from {prefix}facts where customer = ? order by n nulls last",
        "customer",
    )
    with engine.warehouse.run_template(
        wanted, ["ada"], query_tag="cdesk_00000001", timeout_seconds=20
    ) as outcome:
        assert outcome.schema.names == ["n", "x", "seen", "flag", "doc"]
        rows = [row for batch in outcome.batches for row in batch.to_pylist()]
    assert rows[1] == dict.fromkeys(outcome.schema.names)
    assert rows[0]["n"] == 9007199254740993
    assert (rows[0]["x"], rows[0]["flag"]) == (0.5, True)
    assert rows[0]["seen"].replace(tzinfo=None) == datetime(2026, 1, 31, 12, 0, 0, 123456)  # noqa: DTZ001
    assert json.loads(rows[0]["doc"]) == {"a": [1, "x  y"]}
    assert outcome.as_of.tzinfo is not None


def test_rows_come_in_the_order_of_the_query(engine: Engine) -> None:
    for number in range(40):
        engine.query(engine.insert_fact, "ada", number, None, None, None, None)
    prefix = "activities." if engine.name == "duckdb" else ""
    wanted = template(f"select n from {prefix}facts order by n desc")
    with engine.warehouse.run_template(
        wanted, [], query_tag="cdesk_00000006", timeout_seconds=20
    ) as outcome:
        rows = [row["n"] for batch in outcome.batches for row in batch.to_pylist()]
    assert rows == list(range(40))[::-1]


def test_a_small_answer_is_read_as_a_streamed_one(engine: Engine) -> None:
    for number, said in enumerate(("Zoë", None)):
        engine.query(engine.insert_fact, said, number, None, None, None, None)
    prefix = "activities." if engine.name == "duckdb" else ""
    wanted = template(f"select * from {prefix}facts where n >= ? order by n", "n")
    with engine.warehouse.run_template(
        wanted, [0], query_tag="cdesk_00000007", timeout_seconds=20
    ) as outcome:
        rows = [tuple(row.values()) for batch in outcome.batches for row in batch.to_pylist()]
        names = list(outcome.schema.names)
    assert len(rows) == 2
    read = engine.warehouse.read_template(
        wanted, [0], query_tag="cdesk_00000008", timeout_seconds=20
    )
    assert read == (names, rows)


def test_values_are_bound_and_never_read_as_sql(engine: Engine) -> None:
    evil = "x' or '1'='1"
    wanted = template("select ? as said", "customer")
    with engine.warehouse.run_template(
        wanted, [evil], query_tag="cdesk_00000002", timeout_seconds=20
    ) as outcome:
        assert [row for batch in outcome.batches for row in batch.to_pylist()] == [{"said": evil}]


def test_as_of_follows_a_landing(engine: Engine) -> None:
    wanted = template("select 1 as one")
    engine.warehouse.land([line(0)])
    with engine.warehouse.run_template(
        wanted, [], query_tag="cdesk_00000003", timeout_seconds=20
    ) as outcome:
        before = outcome.as_of
    landed = engine.warehouse.land([line(1)])
    with engine.warehouse.run_template(
        wanted, [], query_tag="cdesk_00000003", timeout_seconds=20
    ) as outcome:
        assert outcome.as_of > before
    assert abs((outcome.as_of - landed.landed_at).total_seconds()) < 30


def test_a_cancelled_query_says_so(engine: Engine) -> None:
    cancel = threading.Event()
    cancel.set()
    wanted = template("select 1 as one")
    with (
        pytest.raises(QueryCancelled),
        engine.warehouse.run_template(
            wanted, [], query_tag="cdesk_00000004", timeout_seconds=20, cancel=cancel
        ) as outcome,
    ):
        list(outcome.batches)


def test_a_tag_of_another_form_is_refused(engine: Engine) -> None:
    with (
        pytest.raises(WarehouseError, match="query tag"),
        engine.warehouse.run_template(
            template("select 1"), [], query_tag="cdesk_x'; drop", timeout_seconds=20
        ),
    ):
        pass


def test_a_missing_table_is_a_warehouse_not_built(engine: Engine) -> None:
    with (
        pytest.raises(WarehouseNotBuilt),
        engine.warehouse.run_template(
            template("select * from never_built"),
            [],
            query_tag="cdesk_00000005",
            timeout_seconds=20,
        ),
    ):
        pass


def test_context_is_exported_by_delta(engine: Engine) -> None:
    for customer, at in (("ada", "2026-01-01 00:00:00.000001"), ("Zoë", "2026-01-02 00:00:00")):
        cast = "timestamp" if engine.name == "duckdb" else "timestamp_ntz"
        engine.query(
            f"insert into context_cache select ?, ?, ?, cast(? as {cast})",
            customer,
            '{"ü": 1}',
            "0123456789abcdef",
            at,
        )
    rows = sorted(engine.warehouse.export_context(since=None), key=lambda row: row.customer)
    assert [row.customer for row in rows] == ["Zoë", "ada"]
    assert rows[0].context == '{"ü": 1}'.encode()
    assert rows[1].updated_at == "2026-01-01T00:00:00.000001Z"
    assert [row.customer for row in engine.warehouse.export_context(since=rows[1].updated_at)] == [
        "Zoë"
    ]


def test_the_data_version_moves_with_a_landing(engine: Engine) -> None:
    engine.warehouse.land([line(0)])
    before = engine.warehouse.data_version()
    assert engine.warehouse.data_version() == before
    engine.warehouse.land([line(1)])
    assert engine.warehouse.data_version() != before


def test_it_can_be_used_again_after_close(engine: Engine) -> None:
    engine.warehouse.land([line(0)])
    engine.warehouse.close()
    engine.warehouse.land([line(1)])
    assert len(engine.landed()) == 2
