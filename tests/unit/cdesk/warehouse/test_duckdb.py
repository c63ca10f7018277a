from __future__ import annotations

import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from landing_table import landed, landing_ddl, make_landing, query

from cdesk.contract.catalog import Template
from cdesk.core.errors import (
    QueryCancelled,
    QueryTimedOut,
    WarehouseError,
    WarehouseNotBuilt,
    WarehouseRewound,
    WarehouseUnavailable,
)
from cdesk.warehouse import duckdb as duckdb_module
from cdesk.warehouse.batch import LineBatch
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk.warehouse.duckdb_file import SCAN_MEMORY
from cdesk.warehouse.protocol import LandedLine

TAG = "cdesk_00c0ffee"
ENDLESS = (
    "select count(*) as n from range(10000000) a, range(10000000) b where a.range + b.range = ?"
)


def template(sql: str, *binds: str) -> Template:
    return Template("test", "", "org", (), sql, binds, {}, "0" * 16)


def line(number: int, *, source_file: str = "a.ndjson", payload: str = '{"a":1}') -> LandedLine:
    return LandedLine(f"id-{number}", "event", payload, source_file, number * 10)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_landing(tmp_path / "warehouse.duckdb")


@pytest.fixture
def warehouse(path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(path, land_wait=0.3, read_wait=0.5)


class TestLanding:
    def test_all_rows_of_a_transaction_share_one_landed_at(
        self, warehouse: DuckDBWarehouse, path: Path
    ) -> None:
        result = warehouse.land([line(1), line(2)])
        assert result.rows == 2
        rows = query(
            path,
            "select id, kind, payload, source_file, source_offset, landed_at from "
            "activities.landing",
        )
        stamp = result.landed_at.replace(tzinfo=None)
        assert sorted(rows) == [
            ("id-1", "event", '{"a":1}', "a.ndjson", 10, stamp),
            ("id-2", "event", '{"a":1}', "a.ndjson", 20, stamp),
        ]

    def test_landed_at_goes_forward_when_the_clock_goes_back(self, path: Path) -> None:
        clock = iter(
            [2_000_000_000_000_000_000, 1_000_000_000_000_000_000, 1_000_000_000_000_000_000]
        )
        warehouse = DuckDBWarehouse(path, now_ns=lambda: next(clock))
        first, second, third = (warehouse.land([line(number)]) for number in range(3))
        tick = timedelta(microseconds=1)
        assert first.previous is None
        assert second.previous == first.landed_at
        assert (second.landed_at, third.landed_at) == (
            first.landed_at + tick,
            first.landed_at + 2 * tick,
        )

    def test_landed_at_is_utc_whatever_the_zone(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TZ", "America/New_York")
        result = DuckDBWarehouse(path, now_ns=lambda: 1_767_225_600_123_456_789).land([line(1)])
        assert result.landed_at == datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)
        assert query(path, "select landed_at::varchar from activities.landing") == [
            ("2026-01-01 00:00:00.123456",)
        ]

    def test_a_refused_line_takes_the_whole_batch_with_it(
        self, warehouse: DuckDBWarehouse, path: Path
    ) -> None:
        with pytest.raises(WarehouseError, match="JSON"):
            warehouse.land([line(1), line(2, payload="{no json")])
        assert landed(path) == []

    def test_a_refused_batch_in_bulk_leaves_the_connection_usable(
        self, warehouse: DuckDBWarehouse, path: Path
    ) -> None:
        with warehouse.bulk():
            warehouse.land([line(1)])
            with pytest.raises(WarehouseError):
                warehouse.land([line(2), line(3, payload="{no json")])
            warehouse.land([line(4)])
        assert [row[0] for row in landed(path)] == ["id-1", "id-4"]

    def test_a_batch_of_columns_lands_as_its_lines(
        self, warehouse: DuckDBWarehouse, path: Path
    ) -> None:
        batch = LineBatch()
        batch.append("id-1", "event", '{"a":"é"}'.encode(), "a.ndjson", 0)
        warehouse.land(batch)
        assert query(path, "select payload->>'a' from activities.landing") == [("é",)]

    def test_a_landing_tells_how_long_others_had_the_file(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect, held, pauses = duckdb.connect, [3], list[float]()

        def in_turn(*given: Any, **options: Any) -> duckdb.DuckDBPyConnection:
            if held[0]:
                held[0] -= 1
                raise duckdb.IOException("Could not set lock on file")
            return connect(*given, **options)

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            time.sleep(0.02)

        monkeypatch.setattr(duckdb, "connect", in_turn)
        warehouse = DuckDBWarehouse(path, land_wait=600, sleep=sleep)
        with warehouse.bulk():
            assert warehouse.land([line(1)]).waited >= 0.06
            assert warehouse.land([line(2)]).waited == 0.0
        assert len(pauses) == 3
        assert max(pauses) <= 0.1

    def test_a_missing_file_is_not_built_and_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(WarehouseNotBuilt, match="cdesk worker --once"):
            DuckDBWarehouse(tmp_path / "none.duckdb").land([line(1)])
        assert list(tmp_path.iterdir()) == []

    def test_a_file_without_the_table_is_not_built(self, tmp_path: Path) -> None:
        duckdb.connect(tmp_path / "empty.duckdb").close()
        with pytest.raises(WarehouseNotBuilt):
            DuckDBWarehouse(tmp_path / "empty.duckdb").land([line(1)])

    def test_a_file_that_is_no_database_is_an_error_not_a_wait(self, tmp_path: Path) -> None:
        (tmp_path / "odd.duckdb").write_bytes(b"not a database at all" * 1000)
        with pytest.raises(WarehouseError) as caught:
            DuckDBWarehouse(tmp_path / "odd.duckdb").land([line(1)])
        assert caught.value.code == "warehouse_error"

    def test_positions_are_the_greatest_offsets(self, warehouse: DuckDBWarehouse) -> None:
        warehouse.land([line(1), line(3), line(2), line(9, source_file="b.ndjson")])
        assert warehouse.positions(["a.ndjson", "b.ndjson", "c.ndjson"]) == {
            "a.ndjson": 30,
            "b.ndjson": 90,
        }
        assert warehouse.positions([]) == {}


class TestTakingTurns:
    def test_another_process_that_holds_the_file_makes_it_unavailable(
        self, warehouse: DuckDBWarehouse, path: Path
    ) -> None:
        code = (
            f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('held', flush=True); "
            "sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            with pytest.raises(WarehouseUnavailable):
                warehouse.land([line(1)])
            with pytest.raises(WarehouseUnavailable):
                warehouse.data_version()
            other.communicate("")
        assert warehouse.land([line(1)]).rows == 1

    def test_a_landing_waits_for_a_query_in_this_process_and_then_gives_up(
        self, warehouse: DuckDBWarehouse
    ) -> None:
        with warehouse.run_template(
            template("select 1 as one"), [], query_tag=TAG, timeout_seconds=60
        ) as outcome:
            with pytest.raises(WarehouseUnavailable, match="queries"):
                warehouse.land([line(1)])
            assert [batch.num_rows for batch in outcome.batches] == [1]
        assert warehouse.land([line(1)]).rows == 1

    def test_queries_run_beside_each_other(self, warehouse: DuckDBWarehouse) -> None:
        with (
            warehouse.run_template(
                template("select 1 as n"), [], query_tag=TAG, timeout_seconds=60
            ) as one,
            warehouse.run_template(
                template("select 2 as n"), [], query_tag=TAG, timeout_seconds=60
            ) as two,
        ):
            values = [next(iter(outcome.batches)).column(0).to_pylist() for outcome in (one, two)]
        assert values == [[1], [2]]

    def test_nothing_of_a_closed_warehouse_runs_on_and_it_can_be_asked_again(
        self, warehouse: DuckDBWarehouse
    ) -> None:
        before = set(threading.enumerate())
        for number in range(2):
            with warehouse.run_template(
                template("select 1 as n"), [], query_tag=TAG, timeout_seconds=60
            ) as outcome:
                warehouse.close()
                values = [batch.column(0).to_pylist() for batch in outcome.batches]
            assert values == [[1]], number
            warehouse.close()
            assert set(threading.enumerate()) <= before

    def test_readers_and_writers_of_many_threads_all_get_their_turn(self, path: Path) -> None:
        warehouse = DuckDBWarehouse(path, land_wait=60, read_wait=60)
        failures: list[Exception] = []

        def work(number: int) -> None:
            try:
                for step in range(3):
                    if number % 2:
                        warehouse.land([line(number * 100 + step)])
                    else:
                        warehouse.positions(["a.ndjson"])
            except WarehouseError as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(landed(path)) == 9
        stamps = query(path, "select count(distinct landed_at) from activities.landing")
        assert stamps == [(9,)]


class TestQueries:
    def test_binds_are_bound_and_as_of_is_the_latest_landing(
        self, warehouse: DuckDBWarehouse
    ) -> None:
        result = warehouse.land([line(1), line(2)])
        sql = (
            "select id, ?::varchar as asked from activities.landing where id = ? and "
            "list_contains(?, kind)"
        )
        with warehouse.run_template(
            template(sql, "a", "b", "c"),
            ["x'; --", "id-2", ["event"]],
            query_tag=TAG,
            timeout_seconds=60,
        ) as outcome:
            rows = [row for batch in outcome.batches for row in batch.to_pylist()]
        assert rows == [{"id": "id-2", "asked": "x'; --"}]
        assert outcome.as_of == result.landed_at

    def test_the_tag_can_be_read_inside_the_query(self, warehouse: DuckDBWarehouse) -> None:
        sql = "select getvariable('query_tag') as tag"
        with warehouse.run_template(
            template(sql), [], query_tag=TAG, timeout_seconds=60
        ) as outcome:
            assert [batch.to_pylist() for batch in outcome.batches] == [[{"tag": TAG}]]

    def test_batches_are_streamed(self, warehouse: DuckDBWarehouse) -> None:
        with warehouse.run_template(
            template("select range as n from range(?)", "n"),
            [10_000_000],
            query_tag=TAG,
            timeout_seconds=20,
        ) as outcome:
            first = next(outcome.batches)
            assert first.num_rows < 200_000
        assert warehouse.land([line(1)]).rows == 1

    def test_a_query_past_its_time_is_stopped(self, warehouse: DuckDBWarehouse) -> None:
        with (
            pytest.raises(QueryTimedOut),
            warehouse.run_template(
                template(ENDLESS, "n"), [-1], query_tag=TAG, timeout_seconds=0.3
            ) as outcome,
        ):
            list(outcome.batches)

    def test_the_time_limit_holds_for_a_reader_that_dawdles(
        self, warehouse: DuckDBWarehouse
    ) -> None:
        with (
            pytest.raises(QueryTimedOut),
            warehouse.run_template(
                template("select range as n from range(100000000)"),
                [],
                query_tag=TAG,
                timeout_seconds=0.4,
            ) as outcome,
        ):
            list(map(lambda _: time.sleep(0.05), outcome.batches))  # noqa: C417

    def test_a_cancelled_query_is_stopped(self, warehouse: DuckDBWarehouse) -> None:
        cancel = threading.Event()
        threading.Timer(0.2, cancel.set).start()
        with (
            pytest.raises(QueryCancelled),
            warehouse.run_template(
                template(ENDLESS, "n"), [-1], query_tag=TAG, timeout_seconds=30, cancel=cancel
            ) as outcome,
        ):
            list(outcome.batches)

    def test_a_query_can_be_cancelled_while_it_waits_for_a_landing(self, path: Path) -> None:
        warehouse = DuckDBWarehouse(path, read_wait=60)
        cancel = threading.Event()
        threading.Timer(0.2, cancel.set).start()
        with warehouse.bulk():
            outcome: list[Exception] = []

            def ask() -> None:
                try:
                    with warehouse.run_template(
                        template("select 1"), [], query_tag=TAG, timeout_seconds=60, cancel=cancel
                    ):
                        pass
                except WarehouseError as error:
                    outcome.append(error)

            reader = threading.Thread(target=ask)
            reader.start()
            reader.join(timeout=20)
            assert [type(error) for error in outcome] == [QueryCancelled]

    @pytest.mark.parametrize(
        "sql",
        [
            "create table activities.x (a int)",
            "insert into activities.landing select * from activities.landing",
            "select 1; select 2",
            "attach 'other.db'",
            "copy (select 1) to 'out.csv'",
            "set threads = 1",
            "install httpfs",
            "not sql",
        ],
    )
    def test_anything_but_one_select_is_refused(self, warehouse: DuckDBWarehouse, sql: str) -> None:
        with (
            pytest.raises(WarehouseError),
            warehouse.run_template(template(sql), [], query_tag=TAG, timeout_seconds=60) as outcome,
        ):
            list(outcome.batches)

    @pytest.mark.parametrize(
        "sql", ["select * from read_csv('/etc/passwd')", "select * from '/etc/passwd'"]
    )
    def test_the_world_outside_the_file_cannot_be_read(
        self, warehouse: DuckDBWarehouse, sql: str
    ) -> None:
        with (
            pytest.raises(WarehouseError),
            warehouse.run_template(template(sql), [], query_tag=TAG, timeout_seconds=60) as outcome,
        ):
            list(outcome.batches)

    def test_the_settings_that_keep_queries_in_cannot_be_changed(
        self, warehouse: DuckDBWarehouse
    ) -> None:
        sql = (
            "select name, value from duckdb_settings() where name in ('enable_external_access', "
            "'lock_configuration', 'TimeZone')"
        )
        with warehouse.run_template(
            template(sql), [], query_tag=TAG, timeout_seconds=60
        ) as outcome:
            rows = [tuple(row.values()) for batch in outcome.batches for row in batch.to_pylist()]
        assert sorted(rows) == [
            ("TimeZone", "UTC"),
            ("enable_external_access", "false"),
            ("lock_configuration", "true"),
        ]

    def test_a_tag_that_was_not_made_here_is_refused(self, warehouse: DuckDBWarehouse) -> None:
        with (
            pytest.raises(WarehouseError, match="query tag"),
            warehouse.run_template(
                template("select 1"), [], query_tag="x */ select 2", timeout_seconds=60
            ),
        ):
            pass

    def test_a_missing_model_says_what_to_build(self, warehouse: DuckDBWarehouse) -> None:
        with (
            pytest.raises(WarehouseNotBuilt, match="cdesk worker --once"),
            warehouse.run_template(
                template("select * from activities.events"), [], query_tag=TAG, timeout_seconds=60
            ),
        ):
            pass

    def test_an_error_inside_the_with_block_is_left_alone(self, warehouse: DuckDBWarehouse) -> None:
        with (
            pytest.raises(KeyError),
            warehouse.run_template(template("select 1"), [], query_tag=TAG, timeout_seconds=60),
        ):
            raise KeyError("theirs")
        assert warehouse.land([line(1)]).rows == 1

    def test_explain_gives_a_plan_without_running(self, warehouse: DuckDBWarehouse) -> None:
        warehouse.land([line(1)])
        plan = warehouse.explain_template(
            template("select * from activities.landing where source_offset > ?", "least"),
            [1],
            query_tag=TAG,
        )
        assert "activities.landing" in plan


class TestReadingBack:
    def test_data_version_moves_with_each_landing_only(self, warehouse: DuckDBWarehouse) -> None:
        versions = [warehouse.data_version(), warehouse.data_version()]
        warehouse.land([line(1)])
        versions.append(warehouse.data_version())
        assert versions[0] == versions[1] != versions[2]

    def test_context_is_exported_by_delta(
        self, warehouse: DuckDBWarehouse, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limits: list[object] = []
        connect = duckdb.connect

        def noted(*arguments: Any, config: dict[str, object], **options: Any) -> Any:
            limits.append(config["memory_limit"])
            return connect(*arguments, config=config, **options)

        with duckdb.connect(path) as connection:
            connection.execute(
                "create table activities.context_cache (customer varchar, context json, "
                "version varchar, updated_at timestamp)"
            )
            connection.execute(
                "insert into activities.context_cache values "
                "('ada', '{\"a\":\"é\"}', 'v1', '2026-01-01 00:00:00.000001'), ('bob', '{}', "
                "'v2', '2026-01-02')"
            )
        monkeypatch.setattr(duckdb, "connect", noted)
        every = list(warehouse.export_context(since=None))
        assert [(row.customer, row.context, row.version, row.updated_at) for row in every] == [
            ("ada", '{"a":"é"}'.encode(), "v1", "2026-01-01T00:00:00.000001Z"),
            ("bob", b"{}", "v2", "2026-01-02T00:00:00.000000Z"),
        ]
        assert [row.customer for row in warehouse.export_context(since=every[0].updated_at)] == [
            "bob"
        ]
        assert limits == [SCAN_MEMORY, "1GB"], "all of them fill no memory of questions"


def test_the_table_is_the_one_that_dbt_makes() -> None:
    assert "create table if not exists activities.landing" in landing_ddl()


def ask(warehouse: DuckDBWarehouse, sql: str, **options: Any) -> list[dict[str, Any]]:
    given: dict[str, Any] = {"query_tag": TAG, "timeout_seconds": 600, **options}
    with warehouse.run_template(template(sql), [], **given) as outcome:
        return [row for batch in outcome.batches for row in batch.to_pylist()]


class TestWhatIsAsked:
    def test_an_installation_that_says_nothing_has_the_limits_that_are_documented(
        self, path: Path
    ) -> None:
        sql = (
            "select current_setting('threads') as threads, "
            "current_setting('memory_limit') as memory"
        )
        assert ask(DuckDBWarehouse(path), sql) == [{"threads": 2, "memory": "953.6 MiB"}]

    def test_before_anything_has_landed_an_answer_is_of_the_beginning_of_time(
        self, warehouse: DuckDBWarehouse
    ) -> None:
        assert warehouse.last_landing() is None
        with warehouse.run_template(
            template("select 1"), [], query_tag=TAG, timeout_seconds=60
        ) as outcome:
            assert outcome.as_of == datetime(1970, 1, 1, tzinfo=UTC)
        result = warehouse.land([line(1)])
        assert warehouse.last_landing() == result.landed_at

    @pytest.mark.parametrize("whole", [True, False])
    def test_an_answer_that_is_read_at_once_is_the_same(
        self, warehouse: DuckDBWarehouse, whole: bool
    ) -> None:
        assert ask(warehouse, "select range as n from range(3)", whole=whole) == [
            {"n": 0},
            {"n": 1},
            {"n": 2},
        ]
        with pytest.raises(WarehouseError, match="Conversion Error"):
            ask(warehouse, "select 'x'::integer as n", whole=whole)

    @pytest.mark.parametrize(
        ("sql", "said"),
        [
            ("select 1; select 2", "template test is not exactly one select statement"),
            ("set threads = 1", "template test is not exactly one select statement"),
            ("selec 1", "template test is no SQL of this engine: Parser Error: syntax error at"),
        ],
    )
    def test_what_keeps_a_template_from_being_run_is_said(
        self, warehouse: DuckDBWarehouse, sql: str, said: str
    ) -> None:
        for attempt in (
            lambda: ask(warehouse, sql),
            lambda: warehouse.explain_template(template(sql), [], query_tag=TAG),
        ):
            with pytest.raises(WarehouseError) as caught:
                attempt()
            assert str(caught.value).startswith(said)
            assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("tag", [f"{TAG}\n", f"x{TAG}", TAG[:-1], TAG.upper()])
    def test_a_tag_is_exactly_of_its_form(self, warehouse: DuckDBWarehouse, tag: str) -> None:
        with pytest.raises(WarehouseError, match="does not match"):
            ask(warehouse, "select 1", query_tag=tag)

    def test_the_engine_sees_the_tag_in_the_statement(self) -> None:
        assert duckdb_module._tagged(template("select 1"), TAG) == (
            f"/* QUERY_TAG='{TAG}' */ select 1"
        )

    def test_a_plan_is_of_several_lines_with_the_engines_estimates(
        self, warehouse: DuckDBWarehouse
    ) -> None:
        warehouse.land([line(1_000)])
        asked = template("select * from activities.landing where source_offset > ?", "least")
        plan = warehouse.explain_template(asked, [4711], query_tag=TAG)
        assert "Estimated Cardinality" in plan
        assert len(plan.splitlines()) > 9
        with pytest.raises(WarehouseNotBuilt):
            warehouse.explain_template(
                template("select * from activities.nothing"), [], query_tag=TAG
            )

    def test_a_question_whose_time_is_over_before_it_begins_is_not_waited_for(
        self, path: Path
    ) -> None:
        """As long as a landing has the file, as long as the question has time and no longer."""
        warehouse = DuckDBWarehouse(path, read_wait=60.0)
        raised: list[Exception] = []

        def late() -> None:
            try:
                ask(warehouse, "select 1", timeout_seconds=0.01)
            except WarehouseError as error:
                raised.append(error)

        with warehouse.bulk():
            thread = threading.Thread(target=late)
            thread.start()
            thread.join(30)
        assert [type(error) for error in raised] == [WarehouseUnavailable]

    def test_every_query_that_asks_for_what_is_not_there_says_what_to_build(
        self, tmp_path: Path
    ) -> None:
        duckdb.connect(tmp_path / "empty.duckdb").close()
        warehouse = DuckDBWarehouse(tmp_path / "empty.duckdb")
        for attempt in (
            warehouse.data_version,
            warehouse.last_landing,
            lambda: warehouse.positions(["a"]),
            lambda: list(warehouse.export_context(since=None)),
            lambda: list(warehouse.export_context(since="2026-01-01T00:00:00Z")),
        ):
            with pytest.raises(WarehouseNotBuilt, match="cdesk worker --once"):
                attempt()

    def test_without_a_copy_nobody_can_tell_whether_anything_has_changed(
        self, warehouse: DuckDBWarehouse
    ) -> None:
        assert warehouse.data_state("ada", system=True) is None
        with warehouse.building():
            assert warehouse.land([line(1)]).rows == 1

    def test_a_version_is_the_latest_landing_and_the_number_of_lines(self, path: Path) -> None:
        warehouse = DuckDBWarehouse(path, now_ns=lambda: 1_767_225_600_123_456_789)
        assert warehouse.data_version() == "0-0"
        warehouse.land([line(1), line(2)])
        assert warehouse.data_version() == "1767225600123456-2"

    def test_contexts_later_than_a_moment_of_any_zone_are_exported(
        self, warehouse: DuckDBWarehouse, path: Path
    ) -> None:
        with duckdb.connect(path) as connection:
            connection.execute(
                "create table activities.context_cache (customer varchar, context json, "
                "version varchar, updated_at timestamp)"
            )
            connection.execute(
                "insert into activities.context_cache select 'c' || range, '{}', 'v', "
                "'2026-01-01'::timestamp + to_seconds(range) from range(9)"
            )
        since = "2026-01-01T02:00:06.000000+02:00"
        assert [row.customer for row in warehouse.export_context(since=since)] == ["c7", "c8"]
        assert len(list(warehouse.export_context(since=None))) == 9


class TestBacklog:
    def test_batches_land_in_one_transaction_in_their_order(
        self, warehouse: DuckDBWarehouse, path: Path
    ) -> None:
        with warehouse.bulk() as stretch:
            assert stretch is not None
            result = stretch.land([[line(1), line(2)], [], [line(3)]], None)
            empty = stretch.land([], result.landed_at)
        assert (result.rows, empty.rows) == (3, 0)
        assert empty.previous == result.landed_at < empty.landed_at
        assert [row[0] for row in landed(path)] == ["id-1", "id-2", "id-3"]
        assert query(path, "select distinct landed_at from activities.landing") == [
            (result.landed_at.replace(tzinfo=None),)
        ]

    def test_what_appends_gives_way_where_a_thread_does_not_inherit_that(
        self, warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gave_way: list[str] = []
        monkeypatch.setattr(
            duckdb_module,
            "give_way_here",
            lambda: gave_way.append(threading.current_thread().name),
        )
        with warehouse.bulk() as stretch:
            assert stretch is not None
            assert stretch.land([[line(1)], [line(2)]], None).rows == 2
        assert gave_way == ["cdesk-landing_0"]

    @pytest.mark.parametrize("bad", [0, 1, 2])
    def test_a_refused_batch_takes_those_before_it_with_it(
        self, warehouse: DuckDBWarehouse, path: Path, bad: int
    ) -> None:
        batches = [[line(n, payload="{no" if n == bad else "1")] for n in range(3)]
        with warehouse.bulk() as stretch:
            assert stretch is not None
            with pytest.raises(WarehouseError, match="JSON"):
                stretch.land(batches, None)
            assert stretch.land([[line(9)]], None).rows == 1
        assert [row[0] for row in landed(path)] == ["id-9"]

    def test_a_warehouse_that_was_put_back_takes_nothing(
        self, warehouse: DuckDBWarehouse, path: Path
    ) -> None:
        later = warehouse.land([line(1)]).landed_at + timedelta(microseconds=1)
        with pytest.raises(WarehouseRewound):
            warehouse.land([line(2)], after=later)
        with warehouse.bulk() as stretch:
            assert stretch is not None
            with pytest.raises(WarehouseRewound):
                stretch.land([[line(2)]], later)
        assert warehouse.land([line(3)], after=later - timedelta(microseconds=1)).rows == 1
        assert [row[0] for row in landed(path)] == ["id-1", "id-3"]

    def test_a_text_that_is_no_unicode_is_refused_with_its_batch(
        self, warehouse: DuckDBWarehouse, path: Path
    ) -> None:
        batch = LineBatch.of([line(1)])
        batch.append("id-2", "event", b'"\xff"', "a.ndjson", 20)
        with pytest.raises(WarehouseError, match=r"(?i)utf-?8"):
            warehouse.land(batch)
        assert landed(path) == []

    def test_two_landings_within_a_microsecond_have_two_stamps(self, path: Path) -> None:
        moments = iter((10**18, 10**18 + 999, 10**18 + 2_000))
        warehouse = DuckDBWarehouse(path, now_ns=lambda: next(moments))
        stamps = [warehouse.land([line(n)]).landed_at for n in range(3)]
        assert [(stamp - stamps[0]).microseconds for stamp in stamps] == [0, 1, 2]


class TestWatch:
    @pytest.fixture
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(duckdb_module, "_WATCH_SECONDS", 0.001)
        monkeypatch.setattr(duckdb_module, "_WATCH_IDLE_TURNS", 3)

    def test_the_watch_is_there_while_a_query_runs_and_ends_by_itself(
        self, warehouse: DuckDBWarehouse, quick: None
    ) -> None:
        del quick
        watcher = warehouse._watcher
        for _ in range(2):
            with warehouse.run_template(
                template("select 1"), [], query_tag=TAG, timeout_seconds=60
            ):
                thread = watcher._thread
                assert thread is not None
                assert (thread.daemon, thread.name) == (True, "cdesk-query-watch")
                thread.join(0.05)
                assert thread.is_alive(), "however long that takes"
                with warehouse.run_template(
                    template("select 2"), [], query_tag=TAG, timeout_seconds=60
                ):
                    assert watcher._thread is thread, "one for all"
            thread.join(30)
            assert not thread.is_alive()
            assert watcher._thread is None
        warehouse.close()

    def test_a_watch_that_is_told_to_end_does_so_at_once_where_nothing_runs(
        self, warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(duckdb_module, "_WATCH_IDLE_TURNS", 10**9)
        monkeypatch.setattr(duckdb_module, "_CLOSE_SECONDS", 60.0)
        ask(warehouse, "select 1")
        thread = warehouse._watcher._thread
        assert thread is not None
        warehouse.close()
        assert not thread.is_alive()
        warehouse.close()
        assert ask(warehouse, "select 1 as n") == [{"n": 1}]
        warehouse.close()

    def test_an_interrupt_is_told_from_an_error_of_the_engine(self) -> None:
        for error, is_one in (
            (duckdb.InterruptException("INTERRUPT Error: Interrupted!"), True),
            (OSError("INTERRUPT Error: Interrupted!"), True),
            (OSError("no INTERRUPT"), False),
            (duckdb.BinderException("INTERRUPT"), False),
        ):
            assert duckdb_module._is_interrupt(error) is is_one

    @pytest.mark.parametrize("cancelled", [True, False])
    def test_an_interrupted_query_says_which_it_was(
        self, warehouse: DuckDBWarehouse, cancelled: bool
    ) -> None:
        cancel = threading.Event()
        now = time.monotonic()
        watch = duckdb_module._Watch(
            warehouse._watcher,
            None,  # type: ignore[arg-type]
            now + 60 if cancelled else now - 1,
            cancel,
        )
        if cancelled:
            watch.check()
            with pytest.raises(WarehouseError, match="Interrupted"):
                watch.explain(duckdb.InterruptException("Interrupted"))  # by nobody that we know
            cancel.set()
        expected = QueryCancelled if cancelled else QueryTimedOut
        with pytest.raises(expected):
            watch.check()
        with pytest.raises(expected):
            watch.explain(duckdb.InterruptException("Interrupted"))
        with pytest.raises(WarehouseError, match="Binder Error: x"):
            watch.explain(duckdb.BinderException("Binder Error: x"))
