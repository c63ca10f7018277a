"""The degradation plan, driven: what is given up, in which order, counted and told."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from cdesk.core.home import StateDirectory
from cdesk.core.metrics import DEGRADED
from cdesk.query.request import QueryRequest
from cdesk.queue.shedding import LIMIT, level_for
from cdesk.state.counts import Counts, read_counts
from cdesk.state.database import open_state
from cdesk.state.status import Pressure
from cdesk_app.cli.main import main
from cdesk_app.worker.presentation import Presented
from cdesk_app.worker.pressure import (
    FRESH_BUILDS,
    MANY_QUERIES,
    PLAN,
    PREVIEWS,
    SAMPLING,
    STRETCH,
    SUMMARIES,
    Degradation,
)
from cdesk_app.worker.schedule import GAP_SECONDS, INSIGHT_GAP_SECONDS, BuildSchedule
from cdesk_app.worker.status_board import StatusBoard
from mcp_shim.context import CustomerContext
from mcp_shim.readers import Readers

if TYPE_CHECKING:
    from query_desk import Desk


class Driven:
    """A degradation over a state directory, and what it has counted."""

    def __init__(self, home: StateDirectory) -> None:
        self.home = home
        self.state = open_state(home.state_db)
        self.counts = Counts(home, "d" * 32)
        self.board = StatusBoard(self.state, time.time_ns)
        self.plan = self.fresh()

    def fresh(self, *, enabled: bool = True) -> Degradation:
        return Degradation(self.board, self.counts, enabled=enabled)

    @property
    def told(self) -> Pressure:
        return self.board.read(Pressure)

    def given_up(self) -> dict[str, float]:
        self.counts.flush()
        found = read_counts(self.home).get(DEGRADED, {})
        return {step: series.value for (step,), series in found.items()}


@pytest.fixture
def driven(state_home: StateDirectory) -> Iterator[Driven]:
    made = Driven(state_home)
    with closing(made.state):
        yield made


def test_steps_are_taken_in_the_order_of_the_plan(driven: Driven) -> None:
    taken = []
    for depth in range(0, LIMIT + 1, LIMIT // 20):
        step = driven.plan.look(depth=depth, queries=0)
        if step > len(taken):
            taken = [one for one in PLAN if driven.plan.gives_up(one)]
        assert len(taken) == step, "one after another, none left out"
    assert taken == [FRESH_BUILDS, PREVIEWS, SUMMARIES, SAMPLING]


def test_they_are_given_back_in_the_other_order_and_not_at_the_first_dip(driven: Driven) -> None:
    driven.plan.look(depth=75_000, queries=0)
    assert driven.plan.look(depth=70_000, queries=0) == 3
    assert driven.plan.look(depth=59_000, queries=0) == 2
    assert driven.plan.look(depth=0, queries=0) == 0
    assert driven.told.step == 0
    assert driven.told.reason is None


def test_a_change_is_told_once_with_its_time(driven: Driven) -> None:
    told: list[int] = []
    driven.plan.on_change = lambda: told.append(driven.plan.step)
    for depth in (0, 60_000, 60_000, 75_000, 75_000, 0, 0):
        driven.plan.look(depth=depth, queries=0)
    assert told == [2, 3, 0]
    assert driven.told.at is not None


def test_queries_that_wait_are_pressure_too(driven: Driven) -> None:
    assert driven.plan.look(depth=0, queries=MANY_QUERIES // 2) == 2


def test_sampling_begins_where_the_shedder_begins(driven: Driven) -> None:
    driven.plan.look(depth=LIMIT - 1, queries=0)
    assert not driven.plan.gives_up(SAMPLING)
    assert level_for(LIMIT) == 0
    driven.plan.look(depth=LIMIT + 1, queries=0)
    assert driven.plan.gives_up(SAMPLING)
    assert level_for(LIMIT + 1) == 1


def test_a_plan_that_is_switched_off_gives_nothing_up(driven: Driven) -> None:
    plan = driven.fresh(enabled=False)
    assert plan.look(depth=10 * LIMIT, queries=0) == 0
    assert driven.told == Pressure()


def test_a_new_worker_takes_back_what_the_last_one_told(driven: Driven) -> None:
    driven.plan.look(depth=60_000, queries=0)
    assert driven.fresh().look(depth=0, queries=0) == 0
    assert driven.told.step == 0


def test_status_and_the_context_say_what_is_given_up(
    driven: Driven, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Readers.of(driven.home)) as readers:
        context = CustomerContext(readers, "ada")
        driven.plan.look(depth=60_000, queries=3)
        reason = context.answer()[0]["stale_reason"]
        said = "60,000 records and 3 queries wait: given up are fresh builds, previews"
        assert f"under pressure, {said}; see 'cdesk status'" in reason
        assert main(["status"]) == 0
        assert said in capsys.readouterr().out
        driven.plan.look(depth=0, queries=0)
        assert "pressure" not in context.answer()[0]["stale_reason"]


def test_builds_for_what_has_landed_come_more_seldom_and_requested_ones_do_not() -> None:
    clock = [1_000_000.0]
    schedule = BuildSchedule(monotonic=lambda: clock[0], now_ns=lambda: int(clock[0] * 1e9))
    schedule.succeeded()
    for insights, gap in ((False, GAP_SECONDS), (True, INSIGHT_GAP_SECONDS)):
        schedule.landed(5, insights=insights)
        schedule.stretch = 1.0
        assert schedule.due_in() == gap
        schedule.stretch = STRETCH
        assert schedule.due_in() == gap * STRETCH
    schedule.request()
    assert schedule.due_in() == 0


# -- what a query's answer goes without


class Pictures:
    """A presenter that says a word and paints."""

    def __init__(self) -> None:
        self.painted = 0

    def present(self, request: QueryRequest, answer: Mapping[str, Any]) -> Presented:
        del request
        return Presented({**answer, "headline": "25 rows"}, self._paint)

    def _paint(self) -> None:
        self.painted += 1

    def clean_up(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("depth", "painted", "headline", "counted"),
    [
        (0, 1, True, {}),
        (25_000, 1, True, {}),
        (50_000, 0, True, {"previews": 1}),
        (75_000, 0, False, {"previews": 1, "summaries": 1}),
    ],
)
def test_an_answer_goes_without_its_picture_then_without_its_words_never_without_its_rows(
    desk: Desk, depth: int, painted: int, headline: bool, counted: dict[str, float]
) -> None:
    driven, pictures = Driven(desk.home), Pictures()
    driven.plan.look(depth=depth, queries=0)
    ticket_id = desk.submit("numbers", {"rows": 25})
    runner = desk.runner(presenter=pictures)
    runner.degradation = driven.plan
    try:
        runner.poll()
        assert runner.wait_idle(30)
    finally:
        runner.close()
        driven.state.close()
    result = desk.ticket(ticket_id).result
    assert result is not None
    assert result["row_count"] == 25
    assert ("headline" in result) is headline
    assert pictures.painted == painted
    assert driven.given_up() == counted
