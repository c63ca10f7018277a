"""The cost guard against rows of the account's meter as they come, hour by hour, and against
queries of the embedded default.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from cdesk.core.clock import format_ts, to_ns
from cdesk.core.config import CostCaps
from cdesk.core.errors import WarehouseError
from cdesk.core.home import StateDirectory
from cdesk.core.identity import Caller
from cdesk.state.database import open_state
from cdesk.state.facts import KillSwitch, read_status
from cdesk.state.kill_switch import COST_GUARD, read_switch, turn_off, turn_on
from cdesk.state.status import Spent
from cdesk_app.worker import cost_guard
from cdesk_app.worker.cost_guard import (
    CREDITS,
    HOUR,
    QUERY_BYTES,
    QUERY_SECONDS,
    CostGuard,
    MeteredHour,
    Run,
    time_covered,
)
from cdesk_app.worker.status_board import StatusBoard

DAY = datetime(2026, 3, 2, tzinfo=UTC)
RECORDED = (
    # WAREHOUSE_METERING_HISTORY of an X-Small: two quiet hours, one busy, one with a rush.
    (DAY - 2 * HOUR, 0.20),
    (DAY + 8 * HOUR, 0.35),
    (DAY + 9 * HOUR, 1.00),
    (DAY + 10 * HOUR, 4.00),
)
USD = 3.0


def text(at: datetime) -> str:
    return format_ts(to_ns(at))


class Account:
    """A clock, a meter that shows an hour when it is over and `behind` has passed, and state.db."""

    def __init__(self, home: StateDirectory) -> None:
        self.now = DAY + 9 * HOUR
        self.behind = timedelta(0)
        self.down = False
        self.reads = 0
        self.home = home
        self.state = open_state(home.state_db)
        self.number = 0

    def meter(self) -> list[MeteredHour]:
        self.reads += 1
        if self.down:
            raise WarehouseError("insufficient privileges on WAREHOUSE_METERING_HISTORY")
        return [
            MeteredHour(begins, credits, credits * USD)
            for begins, credits in RECORDED
            if begins + HOUR + self.behind <= self.now
        ]

    def guard(self, *, metered: bool = True, **caps: float) -> CostGuard:
        def now_ns() -> int:
            return to_ns(self.now)

        return CostGuard(
            CostCaps(**{"usd_an_hour": 0.0, **caps}),
            self.home,
            self.state,
            StatusBoard(self.state, now_ns),
            meter=self.meter if metered else None,
            now_ns=now_ns,
        )

    def run(
        self, begins: datetime, seconds: float, *, bytes: int = 0, reused: bool = False
    ) -> None:
        """A query that ran."""
        self.number += 1
        result = f'{{"byte_count": {bytes}, "reused": {"true" if reused else "false"}}}'
        self.state.execute(
            "insert into tickets (ticket_id, customer, is_analyst, template, params, query_hash, "
            "query_tag, status, submitted_at, started_at, finished_at, expires_at, result) values "
            "(?, 'ada', 0, 'insights', '{}', 'h', 't', 'succeeded', ?, ?, ?, ?, ?)",
            (
                str(self.number),
                text(begins),
                text(begins),
                text(begins + timedelta(seconds=seconds)),
                text(begins),
                result,
            ),
        )

    @property
    def switch(self) -> KillSwitch:
        return read_switch(self.state, self.home.kill_switch)

    @property
    def spent(self) -> Spent:
        return read_status(self.state, Spent)


@pytest.fixture
def account(state_home: StateDirectory) -> Iterator[Account]:
    made = Account(state_home)
    with closing(made.state):
        yield made


# -- Snowflake


def test_credits_of_the_day_add_up_and_yesterdays_do_not_count(account: Account) -> None:
    account.now = DAY + 10 * HOUR
    assert not account.guard(credits_a_day=2.0).look()
    assert account.spent.used[CREDITS] == pytest.approx(1.35)
    assert account.spent.usd_per_credit == pytest.approx(USD)


def test_the_switch_is_turned_at_the_cap_and_says_why(account: Account) -> None:
    guard = account.guard(credits_a_day=5.0)
    account.now = DAY + 10 * HOUR
    assert not guard.look()
    account.now = DAY + 11 * HOUR
    account.run(account.now - timedelta(minutes=1), 10)
    assert guard.look()
    assert account.switch.on
    assert account.switch.by == COST_GUARD
    assert account.switch.reason == "cost guard: 5.35 credits today, the cap is 5.00"
    assert "5.35 credits" in account.switch.message, "who is refused is told"


def test_what_the_meter_does_not_show_yet_is_estimated_from_our_own_time(account: Account) -> None:
    account.behind = 3 * HOUR
    account.now = DAY + 12 * HOUR  # the meter shows 8 to 9 o'clock alone
    account.run(DAY + 10 * HOUR, 1_800)
    account.run(DAY + 10 * HOUR + timedelta(minutes=15), 1_800)  # half of it beside the first
    account.guard(credits_a_day=9.0, credits_an_hour=2.0).look()
    assert account.spent.estimated == pytest.approx(0.75 * 2.0)
    assert account.spent.used[CREDITS] == pytest.approx(0.35 + 1.5)


def test_the_estimate_gives_way_to_the_meter(account: Account) -> None:
    account.behind = HOUR
    account.now = DAY + 11 * HOUR
    account.run(DAY + 10 * HOUR, 600)
    guard = account.guard()
    guard.look()
    assert account.spent.estimated > 0
    account.now = DAY + 12 * HOUR  # the meter shows 10 to 11 o'clock now
    account.run(account.now - timedelta(seconds=36), 36)
    guard.look()
    assert account.spent.used[CREDITS] == pytest.approx(5.35 + 0.01)


def test_a_rush_past_the_dollars_of_an_hour_turns_it(account: Account) -> None:
    account.now = DAY + 11 * HOUR
    assert account.guard(usd_an_hour=12.0).look()
    assert account.switch.reason == "cost guard: $12.00 an hour, the cap is $12.00"


def test_an_hour_long_past_says_nothing_of_the_present(account: Account) -> None:
    account.now = DAY + 20 * HOUR
    assert not account.guard(usd_an_hour=1.0).look()


def test_a_restart_forgets_nothing(account: Account) -> None:
    account.now = DAY + 11 * HOUR
    account.guard(credits_a_day=6.0).look()
    account.down = True
    account.run(DAY + 11 * HOUR, 1_800)
    account.now = DAY + 11.5 * HOUR
    assert not account.guard(credits_a_day=5.9).look(), "the estimate comes beside what was known"
    assert account.spent.used[CREDITS] == pytest.approx(5.35 + 0.5)
    assert account.guard(credits_a_day=5.8).look()


def test_after_the_switch_a_restart_does_not_turn_it_back(account: Account) -> None:
    account.now = DAY + 11 * HOUR
    assert account.guard(credits_a_day=5.0).look()
    for _ in range(2):
        assert not account.guard(credits_a_day=5.0).look()
        assert account.switch.on


@pytest.mark.parametrize("metered", [True, False])
def test_a_state_that_is_made_anew_turns_nothing_back_before_the_next_period(
    account: Account, metered: bool
) -> None:
    """All that the guard knew is gone but for the switch's own file."""
    account.now, account.down = DAY + 11 * HOUR, True
    guard = account.guard(metered=metered, grace_hours=1.0, query_seconds_a_day=5.0)
    account.run(account.now, 10)
    guard.look()
    account.now += 1.5 * HOUR
    guard.look()
    assert account.switch.on
    account.state.close()
    for path in account.home.root.glob("state.db*"):
        path.unlink()
    account.state = open_state(account.home.state_db)
    for _ in range(2):
        again = account.guard(metered=metered, grace_hours=1.0, query_seconds_a_day=5.0)
        assert not again.look()
        assert account.switch.on
        assert account.spent.tripped == account.switch.reason
        account.now += HOUR
    account.now, account.down = DAY + 25 * HOUR, False
    account.guard(metered=metered, grace_hours=1.0, query_seconds_a_day=5.0).look()
    assert not account.switch.on


def test_the_next_period_turns_it_back(account: Account) -> None:
    account.now = DAY + 11 * HOUR
    account.guard(credits_a_day=5.0).look()
    account.now = DAY + 24 * HOUR + timedelta(minutes=1)
    assert not account.guard(credits_a_day=5.0).look()
    assert not account.switch.on
    assert account.spent.used[CREDITS] == 0
    assert account.spent.tripped is None


def test_the_next_period_leaves_a_persons_switch_alone(account: Account) -> None:
    account.guard().look()
    turn_on(account.state, account.home, reason="maintenance", now=text(account.now))
    account.now += 24 * HOUR
    account.guard().look()
    assert account.switch.on
    assert account.switch.reason == "maintenance"


def test_a_person_turns_it_back_and_the_cap_counts_from_there(account: Account) -> None:
    account.now = DAY + 11 * HOUR
    guard = account.guard(credits_a_day=1.0)
    assert guard.look()
    turn_off(account.state, account.home, now=text(account.now))
    assert not guard.look(), "what was used before is allowed now"
    account.now = DAY + 12 * HOUR
    account.run(DAY + 11 * HOUR, 3_000)
    assert not guard.look()
    account.run(DAY + 11 * HOUR + timedelta(seconds=3_000), 600)
    assert guard.look(), "another credit"


def test_a_rate_that_has_fallen_since_a_person_allowed_it_counts_from_there(
    account: Account,
) -> None:
    account.now = DAY + 11 * HOUR
    guard = account.guard(usd_an_hour=12.0)
    assert guard.look()
    turn_off(account.state, account.home, now=text(account.now))
    assert not guard.look(), "that rush is allowed"
    account.now = DAY + 15 * HOUR
    assert not guard.look()
    assert account.spent.usd_per_hour == 0
    account.run(account.now, 3_600)
    account.now += HOUR
    again = account.guard(usd_an_hour=3.0, credits_an_hour=1.0)
    assert again.look(), "a rush of another time is not"


def test_a_grace_that_a_person_prolonged_ends_with_the_next_reading(account: Account) -> None:
    guard = account.guard(grace_hours=2.0)
    guard.look()
    account.down = True
    account.now += 2.5 * HOUR
    account.run(account.now, 1)
    assert guard.look()
    turn_off(account.state, account.home, now=text(account.now))
    account.now += HOUR
    assert not guard.look()
    account.down = False
    account.now += HOUR
    guard.look()
    account.down = True
    account.now += 2.5 * HOUR
    account.run(account.now, 1)
    assert guard.look(), "two hours, not four and a half"


def test_a_meter_that_cannot_be_read_is_borne_for_the_grace_and_no_longer(account: Account) -> None:
    guard = account.guard(grace_hours=2.0)
    guard.look()
    account.down = True
    for hours, turned in ((1.0, False), (1.9, False), (2.1, True)):
        account.now = DAY + (9 + hours) * HOUR
        account.run(account.now - timedelta(seconds=9), 5)
        assert guard.look() is turned, hours
    assert "could not be read for 7,560 s" in str(account.switch.reason)
    assert "WAREHOUSE_METERING_HISTORY" in str(account.switch.reason), "and why"


def test_a_meter_that_never_could_be_read_is_no_free_ride(account: Account) -> None:
    account.down = True
    assert not account.guard(grace_hours=2.0).look()
    account.now += 3 * HOUR
    assert account.guard(grace_hours=2.0).look(), "by a worker that has just begun"


def test_a_meter_that_answers_again_is_believed(account: Account) -> None:
    guard = account.guard(grace_hours=2.0)
    account.down = True
    guard.look()
    account.down = False
    account.now += HOUR
    account.run(account.now - timedelta(seconds=9), 5)
    guard.look()
    assert account.spent.problem is None
    account.now += 3 * HOUR
    assert not guard.look()


def test_after_a_pause_the_meter_is_asked_before_the_grace_is_said_to_be_over(
    account: Account,
) -> None:
    """One read failed in the morning, nothing ran over noon: that is no reason to refuse."""
    guard = account.guard(grace_hours=2.0)
    account.down = True
    guard.look()
    account.down = False
    account.now += 6 * HOUR
    assert not guard.look()
    assert not account.switch.on
    assert account.spent.problem is None


def test_a_clock_that_is_set_back_turns_no_switch_back(account: Account) -> None:
    account.now = DAY + 11 * HOUR
    assert account.guard(credits_a_day=5.0).look()
    account.now -= 20 * HOUR
    assert account.now < DAY
    account.guard(credits_a_day=5.0).look()
    assert account.switch.on
    turn_off(account.state, account.home, now=text(account.now))
    account.guard(credits_a_day=5.0).look()
    assert not account.switch.on, "a person may, whatever the clock says"


def test_an_idle_account_is_not_woken_to_be_read(account: Account) -> None:
    guard = account.guard()
    for _ in range(30):
        guard.look()
        account.now += timedelta(minutes=10)
    assert account.reads == 1
    account.run(account.now - timedelta(minutes=1), 5)
    guard.look()
    guard.look()
    assert account.reads == 2


# -- the embedded default


def test_seconds_and_bytes_of_queries_count_and_nobody_invents_credits(account: Account) -> None:
    account.run(DAY - HOUR, 500, bytes=500)
    account.run(DAY + 8 * HOUR, 3, bytes=1_000)
    account.run(DAY + 8 * HOUR, 1, bytes=1_000, reused=True)
    account.guard(metered=False).look()
    assert account.spent.used == {QUERY_SECONDS: 4.0, QUERY_BYTES: 1_000.0}
    assert account.reads == 0
    assert account.spent.usd_per_hour == 0


def test_what_was_used_is_not_less_where_tickets_go(account: Account) -> None:
    """As with an erased customer; the next day begins at nothing."""
    account.run(DAY + 8 * HOUR, 3, bytes=1_000)
    guard = account.guard(metered=False)
    guard.look()
    account.state.execute("delete from tickets")
    guard.look()
    assert account.spent.used == {QUERY_SECONDS: 3.0, QUERY_BYTES: 1_000.0}
    account.now += 24 * HOUR
    guard.look()
    assert account.spent.used == {QUERY_SECONDS: 0.0, QUERY_BYTES: 0.0}


@pytest.mark.parametrize(
    ("cap", "said"),
    [
        ({"query_seconds_a_day": 30.0}, "30 seconds of queries today, the cap is 30"),
        ({"query_bytes_a_day": 2_000.0}, "2,048 bytes of results today, the cap is 2,000"),
    ],
)
def test_a_cap_of_the_embedded_default_turns_it(
    account: Account, cap: dict[str, float], said: str
) -> None:
    guard = account.guard(metered=False, **cap)
    account.run(DAY + 8 * HOUR, 29, bytes=1_024)
    assert not guard.look()
    account.run(DAY + 8 * HOUR, 1, bytes=1_024)
    assert guard.look()
    assert account.switch.reason == f"cost guard: {said}"


def test_without_a_cap_nothing_is_turned(account: Account) -> None:
    account.run(DAY + 1 * HOUR, 25_000, bytes=10**15)
    assert not account.guard(metered=False).look()


def test_time_beside_other_time_is_paid_once() -> None:
    at = [DAY + timedelta(seconds=second) for second in (0, 5, 8, 20, 30)]
    runs = [Run(at[0], at[2], 0), Run(at[1], at[2], 0), Run(at[3], at[4], 0)]
    assert time_covered(runs, since=at[0], until=at[4]) == 18
    assert time_covered(runs, since=at[1], until=at[3]) == 3
    assert time_covered([], since=at[0], until=at[4]) == 0


def test_what_waits_is_cancelled_with_the_reason(account: Account) -> None:
    account.state.execute(
        "insert into tickets (ticket_id, customer, is_analyst, template, params, query_hash, "
        "query_tag, status, submitted_at, expires_at) values "
        "('waits', 'ada', 0, 'insights', '{}', 'h', 't', 'queued', ?, ?)",
        (text(DAY), text(DAY + 24 * HOUR)),
    )
    account.now = DAY + 11 * HOUR
    account.guard(credits_a_day=5.0).look()
    status, code = ended(account.state, "waits")
    assert (status, code) == ("cancelled", "kill_switch_active")


def ended(state: sqlite3.Connection, ticket_id: str) -> tuple[str, str]:
    row: tuple[str, str] = state.execute(
        "select status, error_code from tickets where ticket_id = ?", (ticket_id,)
    ).fetchone()
    return row


def test_the_meter_of_an_account_is_read_by_its_template_in_the_order_of_hours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    naive = datetime(2026, 3, 2, 9)  # noqa: DTZ001 - as the connector hands it out
    elsewhere = datetime(2026, 3, 2, 9, tzinfo=timezone(timedelta(hours=1)))
    rows = [
        {"hour_at": naive, "credits": "0.5", "usd": None},
        {"hour_at": elsewhere, "credits": 1, "usd": "3.25"},
        {"hour_at": naive, "credits": None, "usd": 1},
    ]
    asked: list[Any] = []

    def read_rows(_: object, *question: object, **__: object) -> Any:
        asked.append(question)
        return SimpleNamespace(rows=rows)

    monkeypatch.setattr(cost_guard, "read_rows", read_rows)
    catalog: Any = SimpleNamespace(get=lambda name: name)
    caller = Caller("ada")
    read = cost_guard.account_meter(SimpleNamespace(), lambda: catalog, caller)  # type: ignore[arg-type]
    assert read() == [
        MeteredHour(datetime(2026, 3, 2, 8, tzinfo=UTC), 1.0, 3.25),
        MeteredHour(datetime(2026, 3, 2, 9, tzinfo=UTC), 0.5, None),
    ]
    assert asked == [("hourly_costs", {"hours_back": 48}, caller)]


def test_when_it_was_looked_at_is_kept_with_what_was_found(account: Account) -> None:
    guard = account.guard(metered=False, query_seconds_a_day=100.0)
    guard.look()
    assert account.spent.at == text(account.now)
    looked, account.now = account.now, account.now + HOUR
    guard.look()
    assert account.spent.at == text(looked), "nothing is new"
    account.run(account.now - HOUR, 5)
    guard.look()
    assert account.spent.at == text(account.now)


def test_of_a_query_over_midnight_what_ran_today_counts(account: Account) -> None:
    account.now = DAY + timedelta(hours=9, minutes=30, seconds=15, microseconds=7)
    account.run(DAY - timedelta(seconds=600), 1_200)
    account.run(account.now - timedelta(seconds=5), 0)
    account.state.execute("update tickets set finished_at = null where ticket_id = '2'")
    account.guard(metered=False).look()
    assert account.spent.used[QUERY_SECONDS] == 605.0, "and of one that runs what has passed"
    account.behind = timedelta(hours=30)
    account.guard(credits_an_hour=3_600.0).look()
    assert account.spent.estimated == pytest.approx(605.0)


def test_the_last_hour_of_the_meter_is_the_rate_until_three_hours_have_passed(
    account: Account,
) -> None:
    guard = account.guard(usd_an_hour=100.0)
    account.now = DAY + 13 * HOUR
    guard.look()
    assert account.spent.usd_per_hour == pytest.approx(12.0), "of ten o'clock"
    account.now += timedelta(seconds=1)
    guard.look()
    assert account.spent.usd_per_hour == 0


def test_the_meter_is_read_ten_minutes_after_the_last_time_where_something_ran(
    account: Account,
) -> None:
    guard = account.guard()
    guard.look()
    asked = account.now
    account.run(asked - timedelta(seconds=5), 5)
    account.now = asked + timedelta(seconds=600)
    guard.look()
    assert account.reads == 1, "nothing has run since"
    account.run(asked, 1)
    account.now = asked + timedelta(seconds=599)
    guard.look()
    assert account.reads == 1
    account.now = asked + timedelta(seconds=600)
    guard.look()
    assert account.reads == 2
    account.down = True
    account.run(account.now, 1)
    account.now += timedelta(seconds=600)
    guard.look()
    account.now += timedelta(seconds=599)
    guard.look()
    assert account.reads == 3
    account.now += timedelta(seconds=1)
    guard.look()
    assert account.reads == 4, "what failed is tried again though nothing runs"


def test_a_guard_that_is_switched_off_looks_at_nothing(account: Account) -> None:
    guard = account.guard(credits_a_day=0.1)
    account.now = DAY + 11 * HOUR
    guard.enabled = False
    assert guard.look() is False
    assert account.spent == Spent()
    assert account.reads == 0


def test_what_is_known_of_a_day_is_kept_whole(account: Account) -> None:
    account.now = DAY + 11 * HOUR
    account.guard(credits_a_day=50.0, usd_an_hour=60.0, grace_hours=2.0).look()
    spent = account.spent
    assert spent == Spent(
        period="2026-03-02",
        at=text(account.now),
        read_at=text(account.now),
        used=spent.used,
        caps={"usd_an_hour": 60.0, "credits": 50.0, "blind_seconds": 7_200.0},
        usd_per_hour=spent.used["usd_an_hour"],
        usd_per_credit=USD,
    )
    account.now = DAY + 25 * HOUR
    account.down = True
    account.guard(grace_hours=3.0).look()
    again = account.spent
    assert (again.period, again.read_at, again.usd_per_credit) == ("2026-03-03", spent.read_at, USD)
    assert again.used["blind_seconds"] == 14 * 3_600.0
    assert "privileges" in str(again.problem)
    assert again.tripped is not None
