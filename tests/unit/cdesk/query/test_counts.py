"""What a question costs, counted: speed itself is measured in bench/, but a query or a file more for
each question shows here.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from landing_table import event
from query_desk import CUSTOMER, Desk

from cdesk.state.database import open_state
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk.warehouse.protocol import LandedLine


class Counting(DuckDBWarehouse):
    """Counts the templates that run, and can keep one running."""

    def __init__(self, path: Path, copies: Path) -> None:
        super().__init__(path, copies=copies)
        self.ran: Counter[str] = Counter()
        self.going = threading.Event()
        self.may_end = threading.Event()
        self.may_end.set()

    @contextlib.contextmanager
    def _run(self, template: Any, *rest: Any) -> Iterator[Any]:
        self.ran[template.name] += 1
        with super()._run(template, *rest) as outcome:
            self.going.set()
            assert self.may_end.wait(60)
            yield outcome

    def read_template(
        self, template: Any, *given: Any, **options: Any
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        self.ran[template.name] += 1
        return super().read_template(template, *given, **options)


@pytest.fixture
def counting(desk: Desk) -> Iterator[Counting]:
    warehouse = Counting(desk.home.warehouse, desk.home.copies)
    desk.warehouse = warehouse
    # what is known of the data is kept from the first copy on, which the first question makes
    desk.executor().answer(desk.request("echo", {"text": "warm"}), desk.state)
    warehouse.ran.clear()
    yield warehouse
    warehouse.close()


def lands(warehouse: DuckDBWarehouse, activity: str, customer: str = CUSTOMER) -> None:
    id, line = event(activity, customer=customer)
    warehouse.land([LandedLine(id, "event", line.decode(), "own.ndjson", 0)])


def test_the_fingerprint_is_asked_for_once_a_landing_that_concerns_the_customer(
    desk: Desk, counting: Counting
) -> None:
    executor = desk.executor()

    def ask(rows: int) -> None:
        executor.answer(desk.request("numbers", {"rows": rows}), desk.state)

    def asked() -> int:
        return counting.ran["data_fingerprint"]

    for rows in range(5):
        ask(rows)
    assert asked() == 1
    lands(counting, "cdesk.sql_completed")  # a question's own records
    lands(counting, "cdesk.user_asked", customer="somebody@example.com")
    ask(6)
    assert asked() == 1
    lands(counting, "cdesk.user_asked")
    ask(7)
    ask(8)
    assert asked() == 2
    desk.land()  # another process
    ask(9)
    assert asked() == 3
    assert counting.ran["numbers"] == 9


def test_a_question_asked_again_asks_the_warehouse_nothing(desk: Desk, counting: Counting) -> None:
    executor = desk.executor()
    first = executor.answer(desk.request("numbers", {"rows": 3}), desk.state)
    before = counting.ran.total()
    again = executor.answer(desk.request("numbers", {"rows": 3}), desk.state)
    assert again == {**first, "reused": True}
    assert counting.ran.total() == before


def test_identical_questions_at_one_time_run_once(desk: Desk, counting: Counting) -> None:
    executor = desk.executor()
    counting.going.clear()
    counting.may_end.clear()

    def ask(_: int) -> dict[str, Any]:
        with contextlib.closing(open_state(desk.home.state_db)) as state:
            return executor.answer(desk.request("numbers", {"rows": 3}), state)

    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(ask, number) for number in range(4)]
        assert counting.going.wait(60)
        counting.may_end.set()
        found = [answer.result(30) for answer in answers]
    assert counting.ran["numbers"] == 1
    assert sorted(answer["reused"] for answer in found) == [False, True, True, True]
    assert len({answer["artifact"]["uri"] for answer in found}) == 1


@pytest.mark.usefixtures("counting")
def test_small_answers_make_no_file_and_a_large_one_does(desk: Desk) -> None:
    executor = desk.executor()
    for rows in range(20):
        executor.answer(desk.request("numbers", {"rows": rows}), desk.state)
    packs = list(desk.home.artifacts.rglob("*.pack"))
    assert 1 <= len(packs) <= 2  # two, where a quarter of an hour ends meanwhile
    assert not list(desk.home.artifacts.rglob("*.parquet"))
    large = executor.answer(desk.request("numbers", {"rows": 9_000}), desk.state)
    assert executor.artifacts.path(large["artifact"]["uri"]).is_file()
    assert len(list(desk.home.artifacts.rglob("*.parquet"))) == 1


def test_a_runs_records_are_two_writes(
    desk: Desk, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    whole = desk.writer.append

    def append(line: bytes) -> None:
        written.append(line.count(b"\n"))
        whole(line)

    monkeypatch.setattr(desk.writer, "append", append)
    desk.executor().answer(desk.request("numbers", {"rows": 3}), desk.state)
    assert written == [1, 4]
    assert counting.ran == {"numbers": 1, "data_fingerprint": 1}
