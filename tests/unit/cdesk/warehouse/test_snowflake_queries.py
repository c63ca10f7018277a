"""What a reader sends to Snowflake, in which order and for whom. In place of the account (its
stand-in is in tests/integration/snowflake): a connection that notes what it is told.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from cdesk.contract.catalog import Template
from cdesk.core.errors import QueryCancelled, QueryTimedOut, WarehouseError
from cdesk.warehouse.snowflake.arrow import arrow_schema, record_batch
from cdesk.warehouse.snowflake.driver import FIELD_ID_TO_NAME, errors
from cdesk.warehouse.snowflake.queries import Reader
from cdesk.warehouse.snowflake.sessions import SessionPool
from cdesk.warehouse.snowflake.warehouse import SnowflakeWarehouse

TAG = "cdesk_1a2b3c4d"
CODES = {name: code for code, name in FIELD_ID_TO_NAME.items()}
LANDED = datetime(2026, 1, 31, 12, 0, 0, 123456)  # noqa: DTZ001 - as the connector hands it out


def template(*binds: str, scope: Any = "customer") -> Template:
    return Template(
        name="t", description="", scope=scope, parameters=(), sql="select ?", binds=binds,
        example={}, hash="",
    )  # fmt: skip


class Connection:
    """Its cursor, too. `rows` are what each statement answers, by a word of it."""

    def __init__(self, **rows: Sequence[tuple[Any, ...]]) -> None:
        self.rows = rows
        self.told: list[Any] = []
        self.running = 0
        self.aborted: list[str] = []
        self.closed = False
        self.on_look = lambda: None
        self.description = [SimpleNamespace(name="N", type_code=CODES["FIXED"], scale=0)]
        self._left: list[tuple[Any, ...]] = []

    def cursor(self) -> contextlib.AbstractContextManager[Connection]:
        return contextlib.nullcontext(self)

    def execute(self, sql: str, binds: Any = None) -> Connection:
        self.told.append((sql, binds) if binds is not None else sql)
        self._left = [row for word, rows in self.rows.items() if word in sql for row in rows]
        return self

    def execute_async(self, sql: str, binds: Any) -> dict[str, str]:
        self.told.append((sql, binds))
        return {"queryId": "q1"}

    def query_result(self, query_id: str) -> None:
        assert self.running < 0, "it has ended"
        self.told.append(query_id)
        self._left = [*self.rows["result"]]

    def get_query_status_throw_if_error(self, query_id: str) -> int:
        assert query_id == "q1"
        self.on_look()
        self.running -= 1
        return self.running

    def is_still_running(self, status: int) -> bool:
        return status >= 0

    def abort_query(self, query_id: str) -> None:
        self.aborted.append(query_id)
        raise errors.OperationalError("it had ended")

    def fetchone(self) -> Any:
        return self._left.pop(0)

    def fetchmany(self, count: int) -> list[Any]:
        some, self._left = self._left[:count], self._left[count:]
        return some

    def __iter__(self) -> Iterator[Any]:
        return iter(self._left)

    def is_closed(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


class Pool:
    """In place of the sessions: notes for whom each was."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.callers: list[Any] = []

    @contextlib.contextmanager
    def borrow(self, caller: Any = None) -> Iterator[Connection]:
        self.callers.append(caller)
        yield self.connection


def asking(connection: Connection, now: Any = lambda: 0.0) -> tuple[Reader, Pool]:
    pool = Pool(connection)
    return Reader(pool, monotonic=now), pool  # type: ignore[arg-type]


def run(reader: Reader, asked: Template, binds: Sequence[object], **more: Any) -> list[Any]:
    cancel = more.pop("cancel", None) or threading.Event()
    with reader.run_template(asked, binds, TAG, more.pop("timeout", 30.0), cancel) as outcome:
        return [outcome.as_of, *(batch.to_pylist() for batch in outcome.batches)]


def test_a_query_is_tagged_before_it_runs_and_its_rows_come_in_order() -> None:
    connection = Connection(last_altered=[(LANDED,)], result=[(n,) for n in range(10_001)])
    reader, _ = asking(connection)
    as_of, first, second = run(reader, template("a", "b"), [["x", "y"], 2])
    assert as_of == LANDED.replace(tzinfo=UTC)
    assert (first[0], len(first), second) == ({"n": 0}, 10_000, [{"n": 10_000}])
    tagged, looked, asked, fetched = connection.told
    assert tagged == f"alter session set query_tag = '{TAG}'"
    assert "last_altered" in looked
    assert (asked, fetched) == (("select ?", ('["x","y"]', 2)), "q1")


def test_an_account_in_which_nothing_has_landed_is_as_of_the_beginning_of_time() -> None:
    reader, _ = asking(Connection(last_altered=[(None,)], result=[]))
    assert run(reader, template(), []) == [datetime(1970, 1, 1, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("scope", "binds", "values", "caller"),
    [
        ("org", ("customer",), ["ada"], ("org", "")),
        ("caller", ("customer", "is_analyst"), ["ada", True], ("org", "")),
        ("caller", ("is_analyst", "customer"), [False, "ada"], ("customer", "ada")),
        ("caller", ("customer", "is_analyst"), ["ada", "true"], ("customer", "ada")),
        ("caller", ("customer",), ["ada"], ("customer", "ada")),
        ("customer", ("customer", "is_analyst"), ["ada", True], ("customer", "ada")),
        ("customer", ("days",), [7], ("customer", "")),
        ("customer", ("customer",), ["ä" * 128], ("customer", "ä" * 128)),
    ],
)
def test_a_session_is_for_the_customer_unless_everybody_is_asked_about(
    scope: str, binds: tuple[str, ...], values: list[object], caller: tuple[str, str]
) -> None:
    reader, pool = asking(Connection(last_altered=[(None,)], result=[], explain=[]))
    run(reader, template(*binds, scope=scope), values)
    reader.explain_template(template(*binds, scope=scope), values, query_tag=TAG)
    assert pool.callers == [caller, caller]


def test_a_customer_beyond_a_sessions_variable_and_a_foreign_tag_are_refused() -> None:
    reader, pool = asking(Connection())
    with pytest.raises(ValueError, match="shorter"):
        run(reader, template("customer", "days"), ["ada"])
    with pytest.raises(WarehouseError, match="more than 256 bytes"):
        run(reader, template("customer"), ["ä" * 128 + "x"])
    assert pool.callers == []
    for tag in ("'; drop table x; --", f"{TAG}\n", f"x{TAG}"):
        with pytest.raises(WarehouseError, match="does not match"):
            reader.explain_template(template(), [], query_tag=tag)
    assert pool.connection.told == []


def test_a_query_is_waited_for_and_stopped_on_the_server_when_nobody_waits_any_more() -> None:
    connection = Connection(last_altered=[(None,)], result=[(1,)])
    connection.running = 3
    assert run(asking(connection)[0], template(), [])[1:] == [[{"n": 1}]]
    assert connection.aborted == []
    cancel = threading.Event()
    connection.running, connection.on_look = 9, cancel.set
    with pytest.raises(QueryCancelled):
        run(asking(connection)[0], template(), [], cancel=cancel)
    assert connection.aborted == ["q1"]
    connection.running, connection.on_look = 9, lambda: None
    moments = iter((0.0, 29.9, 30.0))
    with pytest.raises(QueryTimedOut):
        run(asking(connection, lambda: next(moments))[0], template(), [])
    assert connection.aborted == ["q1", "q1"]


def test_rows_that_come_too_late_are_not_given_out() -> None:
    connection = Connection(last_altered=[(None,)], result=[(1,)])
    moments = iter((0.0, 5.0))
    with pytest.raises(QueryTimedOut):
        run(asking(connection, lambda: next(moments))[0], template(), [], timeout=5.0)


def test_a_plan_is_asked_for_in_place_of_the_query() -> None:
    connection = Connection(explain=[("", "GlobalStats"), ("", "1:0 Result")])
    reader, _ = asking(connection)
    assert reader.explain_template(template("a"), [1], query_tag=TAG) == "GlobalStats\n1:0 Result"
    assert connection.told == [
        f"alter session set query_tag = '{TAG}'",
        ("explain using text select ?", (1,)),
    ]


def test_contexts_are_everybodys_and_those_of_later_than_a_mark() -> None:
    rows = [(f"c{n}", '{"ö":1}', "v", LANDED if n else None) for n in range(257)]
    connection = Connection(context_cache=rows)
    reader, pool = asking(connection)
    found = list(reader.export_context(since="2026-01-31T13:00:00.5+01:00"))
    assert len(found) == 257
    assert found[0].updated_at == "1970-01-01T00:00:00.000000Z"
    assert (found[256].customer, found[256].context) == ("c256", '{"ö":1}'.encode())
    assert found[256].updated_at == "2026-01-31T12:00:00.123456Z"
    list(reader.export_context(since=None))
    bound = [binds for _, binds in connection.told]
    assert bound == [("2026-01-31 12:00:00.500000",) * 2, (None, None)]
    assert pool.callers == [("org", "")] * 2


def test_values_come_by_their_columns_type() -> None:
    kinds = {
        "FIXED": (2**53 + 1, 2**53 + 1),
        "REAL": (0.5, 0.5),
        "VARIANT": ('{\n  "a b": [1,  "\\" x"]\n}', '{"a b":[1,"\\" x"]}'),
        "TIMESTAMP_NTZ": (LANDED, LANDED),
        "TIMESTAMP_TZ": (LANDED.replace(tzinfo=UTC),) * 2,
        "TIME": (time(1, 2, 3), time(1, 2, 3)),
        "BINARY": (b"x", b"x"),
        "TEXT": ("x  y", "x  y"),
        "GEOGRAPHY": ("POINT(1 2)", "POINT(1 2)"),
    }
    columns = [SimpleNamespace(name=kind, type_code=CODES[kind], scale=0) for kind in kinds]
    columns.append(SimpleNamespace(name="PRICE", type_code=CODES["FIXED"], scale=2))
    schema, converters = arrow_schema(columns)
    row = (*(given for given, _ in kinds.values()), Decimal("1.25"))
    batch = record_batch([row, (None,) * len(row)], schema, converters)
    first, second = batch.to_pylist()
    assert first == {
        **{kind.lower(): expected for kind, (_, expected) in kinds.items()},
        "price": Decimal("1.25"),
    }
    assert set(second.values()) == {None}
    assert schema.field("price").type == pa.decimal128(38, 2)
    with pytest.raises(WarehouseError, match="column fixed holds a value beyond int64"):
        record_batch([(10**20, *row[1:])], schema, converters)


class Login:
    def __init__(self) -> None:
        self.opened: list[Connection] = []
        self.fails = False

    def open(self, **given: Any) -> Connection:
        assert given == {"role": "R", "warehouse": "W", "session_parameters": {"TIMEZONE": "UTC"}}
        self.opened.append(connection := Connection())
        connection.cursor = lambda: connection  # type: ignore[method-assign]
        if self.fails:
            connection.execute = _refused  # type: ignore[method-assign]
        return connection


def _refused(*_: Any) -> Any:
    raise errors.ProgrammingError("not authorized", errno=3001)


def test_a_session_has_one_caller_for_its_life_and_is_used_again_while_it_is_sound() -> None:
    login, now = Login(), [0.0]
    parameters: dict[str, object] = {"TIMEZONE": "UTC"}
    pool = SessionPool(login, "R", "W", parameters, lambda: now[0])  # type: ignore[arg-type]
    ada, bob = ("customer", "ada"), ("customer", "bob")
    with pool.borrow(ada) as one, pool.borrow(ada) as two:
        assert one is not two
    assert one.told == [
        "use secondary roles none",
        ("set (cdesk_scope, cdesk_customer) = (?, ?)", ada),
    ]
    with pool.borrow(bob) as other, pool.borrow() as nobodys:
        assert other not in (one, two)
        assert nobodys.told == ["use secondary roles none"]
    with pool.borrow(ada) as again:
        assert again in (one, two)
    one.closed = two.closed = True
    with pool.borrow(ada) as third:
        assert third not in (one, two)
    with pytest.raises(KeyError), pool.borrow(ada) as failed:
        raise KeyError
    assert failed is third
    assert third.closed, "what failed is not used again"
    now[0] = 180.0
    with pool.borrow(bob) as fresh:
        assert fresh is not other
    assert other.closed
    assert nobodys.closed
    pool.close()
    assert fresh.closed
    login.fails = True
    with pytest.raises(WarehouseError), pool.borrow(ada):
        pass
    assert login.opened[-1].closed


def test_who_gives_no_way_to_cancel_gets_one_that_nobody_sets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warehouse = SnowflakeWarehouse(Login())  # type: ignore[arg-type]
    given: list[Any] = []
    reader = SimpleNamespace(run_template=lambda *asked: given.append(asked[-1]))
    monkeypatch.setattr(warehouse, "_reader", reader)
    own = threading.Event()
    for cancel in (own, None):
        warehouse.run_template(template(), [], query_tag=TAG, timeout_seconds=1.0, cancel=cancel)
    assert given[0] is own
    assert (given[1] is own, given[1].is_set()) == (False, False)
