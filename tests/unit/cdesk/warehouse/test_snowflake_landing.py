"""What a loader sends to Snowflake by the plain connector: all of a landing in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from cdesk.core.errors import WarehouseError, WarehouseRewound, WarehouseUnavailable
from cdesk.warehouse.batch import LineBatch
from cdesk.warehouse.snowflake import landing
from cdesk.warehouse.snowflake.driver import errors
from cdesk.warehouse.snowflake.landing import ConnectorLoader
from tests.unit.cdesk.warehouse.test_snowflake_queries import Connection, Pool

STAMP, BEFORE = "2026-01-31 12:00:00.000001", "2026-01-31 11:00:00.000000"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def batch(count: int) -> LineBatch:
    made = LineBatch()
    for n in range(count):
        made.append(f"id{n}", "event", f'{{"n":{n}}}'.encode(), "f.ndjson", n * 10)
    return made


class Account(Connection):
    """Answers calls in their order, and what else is asked by `rows`."""

    def __init__(self, *answers: str | Exception, **rows: Any) -> None:
        super().__init__(**rows)
        self.answers = [*answers]

    def execute(self, sql: str, binds: Any = None) -> Connection:
        super().execute(sql, binds)
        if sql.startswith("call "):
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            self._left = [(answer,)]
        return self


def loader(account: Connection, now_ns: Callable[[], int] = lambda: 0) -> ConnectorLoader:
    return ConnectorLoader(Pool(account), now_ns=now_ns)  # type: ignore[arg-type]


def test_a_large_landing_is_several_calls_with_one_stamp_in_one_transaction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(landing, "_CALL_BYTES", 2 * (len(b'{"n":0}') + 200))
    account = Account(f"{STAMP}|{BEFORE}", f"{STAMP}|{STAMP}")
    done = loader(account).land(batch(3), after=at(BEFORE))
    assert (done.rows, done.landed_at, done.previous) == (3, at(STAMP), at(BEFORE))
    begun, first, second, ended = account.told
    assert (begun, ended) == ("begin", "commit")
    assert [sql for sql, _ in (first, second)] == ["call land_lines(?, ?)"] * 2
    assert [stamp for _, (_, stamp) in (first, second)] == [None, STAMP]
    rows = [orjson.loads(text) for _, (text, _) in (first, second)]
    assert rows == [
        [["id0", "event", '{"n":0}', "f.ndjson", 0], ["id1", "event", '{"n":1}', "f.ndjson", 10]],
        [["id2", "event", '{"n":2}', "f.ndjson", 20]],
    ]


def test_a_call_holds_four_mebibytes_at_most() -> None:
    made = LineBatch()
    for n in range(4):
        made.append(f"id{n}", "event", b"1" * 2**20, "f.ndjson", n)
    assert [len(orjson.loads(text)) for text in landing._texts(made)] == [3, 1]


def test_an_empty_landing_is_one_too() -> None:
    account = Account(f"{STAMP}|")
    done = loader(account).land([])
    assert (done.rows, done.landed_at, done.previous) == (0, at(STAMP), None)
    assert account.told[1][1] == ("[]", None)


def test_where_nothing_landed_of_late_what_came_before_is_looked_for() -> None:
    account = Account(f"{STAMP}|", landed_at=[(at(BEFORE).replace(tzinfo=None),)])
    assert loader(account).land(batch(1), after=at(BEFORE)).previous == at(BEFORE)
    assert account.told[-1] == "commit"
    (asked,) = [told for told in account.told if "max(landed_at)" in told[0]]
    assert asked[1] == (STAMP,)


def test_a_warehouse_that_was_put_back_takes_nothing() -> None:
    account = Account(f"{STAMP}|{BEFORE}")
    with pytest.raises(WarehouseRewound):
        loader(account).land(batch(1), after=at(BEFORE) + timedelta(microseconds=1))
    assert account.told[-1] == "rollback"
    assert "commit" not in account.told


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (errors.ProgrammingError("100069: not JSON", errno=100069), WarehouseError),
        (errors.ProgrammingError("something else", errno=1), WarehouseUnavailable),
        (errors.OperationalError("broke off"), WarehouseUnavailable),
        (OSError("no route"), WarehouseUnavailable),
        (KeyError("ours"), KeyError),
    ],
)
def test_only_what_is_wrong_with_the_lines_is_their_fault(
    error: Exception, refused: type[Exception]
) -> None:
    account = Account(error)
    with pytest.raises(refused) as failed:
        loader(account).land(batch(1))
    assert type(failed.value) is refused
    assert account.told[-1] == "rollback"


def test_positions_are_asked_for_five_hundred_files_at_a_time() -> None:
    account = Connection(source_file=[("a", 7), ("b", 9)])
    assert loader(account).positions([f"f{n}" for n in range(501)]) == {"a": 7, "b": 9}
    assert [(sql.count("?"), len(binds)) for sql, binds in account.told] == [(500, 500), (1, 1)]
    assert loader(account).positions([]) == {}


def test_the_last_landing_is_looked_for_among_late_ones_first() -> None:
    late = datetime(2026, 1, 31, 12)  # noqa: DTZ001 - as the connector hands it out
    account = Connection(dateadd=[(late,)])
    assert loader(account).last_landing() == late.replace(tzinfo=UTC)
    assert len(account.told) == 1
    account = Connection(dateadd=[(None,)], max=[(None,)])
    assert loader(account).last_landing() is None
    assert len(account.told) == 2


def test_the_accounts_clock_is_taken_half_way_through_the_question() -> None:
    moments = iter((10_000_000_000, 14_000_000_000))
    theirs = datetime(1970, 1, 1, 0, 0, 15)  # noqa: DTZ001 - as the connector hands it out
    account = Connection(sysdate=[(theirs,)])
    assert loader(account, lambda: next(moments)).clock_distance() == timedelta(seconds=3)
