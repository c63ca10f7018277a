"""The cost guard: adds up what queries use, and turns the kill switch where a cap is reached.

On Snowflake the account's own meter counts (template `hourly_costs`), which is hours behind; what
it does not show yet is estimated from the time that our own queries ran. On the embedded default
seconds and bytes of queries count, and nobody invents credits.

A period is a day (UTC). The switch that the guard has turned is turned back by a person, or by the
guard when the next period begins; after a person has, the cap counts from what was used then. All
that is known stands in `state.db` (`Spent`), so a restart changes nothing. A meter that cannot be
read for longer than the grace turns the switch too: nobody knows then what is spent.
"""

from __future__ import annotations

import dataclasses
import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cdesk.contract.catalog import Catalog
from cdesk.core.clock import IdSource, NowNs, format_ts, parse_ts, to_ns
from cdesk.core.config import CostCaps
from cdesk.core.errors import CdeskError
from cdesk.core.home import StateDirectory
from cdesk.core.identity import Caller
from cdesk.query.executor import TIMEOUT_SECONDS
from cdesk.query.internal import read_rows
from cdesk.state.kill_switch import COST_GUARD, read_switch, turn_off, turn_on
from cdesk.state.status import Spent
from cdesk.warehouse.protocol import Warehouse
from cdesk_app.worker.status_board import StatusBoard

logger = logging.getLogger(__name__)

TEMPLATE: Final = "hourly_costs"
HOURS_BACK: Final = 48
METER_SECONDS: Final = 600.0
"""The meter is read this often while queries run; reading it costs, too."""
HOUR: Final = timedelta(hours=1)
FRESH: Final = timedelta(hours=3)
"""A metered hour that began longer ago says nothing of the present."""

USD_AN_HOUR: Final = "usd_an_hour"
CREDITS: Final = "credits"
QUERY_SECONDS: Final = "query_seconds"
QUERY_BYTES: Final = "query_bytes"
BLIND_SECONDS: Final = "blind_seconds"
_SAID: Final = {
    USD_AN_HOUR: "${used:,.2f} an hour, the cap is ${cap:,.2f}",
    CREDITS: "{used:,.2f} credits today, the cap is {cap:,.2f}",
    QUERY_SECONDS: "{used:,.0f} seconds of queries today, the cap is {cap:,.0f}",
    QUERY_BYTES: "{used:,.0f} bytes of results today, the cap is {cap:,.0f}",
    BLIND_SECONDS: "what is spent could not be read for {used:,.0f} s, the grace is {cap:,.0f} s",
}


@dataclass(frozen=True, slots=True)
class MeteredHour:
    """What the account's meter says of an hour; `usd` None where no price is known."""

    begins: datetime
    credits: float
    usd: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A query of ours: when it ran, and the bytes that it answered with."""

    begins: datetime
    ends: datetime
    bytes: float


Meter = Callable[[], Sequence[MeteredHour]]
"""Reads the account's meter. Raises CdeskError."""


class CostGuard:
    """Looks at what was used; one a state directory, in its worker's thread. `meter` is None on the
    embedded default.
    """

    def __init__(
        self,
        caps: CostCaps,
        home: StateDirectory,
        state: sqlite3.Connection,
        status: StatusBoard,
        *,
        meter: Meter | None,
        now_ns: NowNs,
        enabled: bool = True,
    ) -> None:
        self.enabled = enabled
        self._caps = caps
        self._home = home
        self._state = state
        self._status = status
        self._meter = meter
        self._now_ns = now_ns
        self._hours: tuple[MeteredHour, ...] | None = None
        self._asked: datetime | None = None

    def look(self) -> bool:
        """Add up, and turn the switch if need be; whether it was turned on."""
        if not self.enabled:
            return False
        now = datetime.fromtimestamp(self._now_ns() / 1e9, UTC)
        before = self._status.read(Spent)
        spent = self._begin(before, now)
        runs = read_runs(self._state, since=_midnight(now), now=now)
        if self._meter is None:
            used = {
                QUERY_SECONDS: sum((run.ends - run.begins).total_seconds() for run in runs),
                QUERY_BYTES: sum(run.bytes for run in runs),
            }
            # Tickets go with an erased customer; what they used was used all the same.
            most = {name: max(value, spent.used.get(name, 0.0)) for name, value in used.items()}
            spent = dataclasses.replace(spent, used=most)
        else:
            spent = self._with_meter(spent, runs, now)
        # Of what has fallen since (a rate, a time without the meter), less is allowed again.
        allowed = {
            name: min(most, spent.used.get(name, 0.0)) for name, most in spent.allowed.items()
        }
        spent = dataclasses.replace(spent, allowed=allowed, caps=self._capped())
        spent, turned = self._decide(spent, now)
        if spent != before or before.at is None:
            self._status.keep(dataclasses.replace(spent, at=self._text(now)))
        return turned

    def _begin(self, spent: Spent, now: datetime) -> Spent:
        """The period at hand. What an earlier one brought about ends with it."""
        period = now.date().isoformat()
        switch = read_switch(self._state, self._home.kill_switch)
        if spent.period == period:
            if spent.tripped is None or switch.on:
                return spent
            # A person has turned it off: from here on it counts anew.
            return dataclasses.replace(spent, tripped=None, allowed=dict(spent.used))
        if spent.tripped is not None and switch.on and period < str(spent.period):
            return spent  # a clock that was set back begins no period
        if spent.period is None and switch.by == COST_GUARD and period <= str(switch.since)[:10]:
            # state.db is new, and the switch was turned in this period: it begins no other.
            return Spent(period=period, tripped=switch.reason or COST_GUARD)
        if turn_off(self._state, self._home, now=self._text(now), by=COST_GUARD):
            logger.info("kill switch turned off", extra={"facts": {"reason": "a new period"}})
        kept = {"read_at": spent.read_at, "usd_per_credit": spent.usd_per_credit}
        return Spent(period=period, problem=spent.problem, **kept)  # type: ignore[arg-type]

    def _with_meter(self, spent: Spent, runs: Sequence[Run], now: datetime) -> Spent:
        problem = spent.problem
        if self._is_due(runs, now, failed=problem is not None):
            self._asked, problem = now, None
            assert self._meter is not None
            try:
                self._hours = tuple(self._meter())
                spent = dataclasses.replace(spent, read_at=self._text(now))
            except CdeskError as error:
                problem = str(error)[:300]
                logger.warning("meter not read", extra={"facts": {"reason": problem}})
        read_at = spent.read_at or self._text(now)
        hours = self._hours or ()
        prices = [hour.usd / hour.credits for hour in hours if hour.usd and hour.credits]
        price = prices[-1] if prices else spent.usd_per_credit
        today = [hour for hour in hours if hour.begins.date() == now.date()]
        through = max((hour.begins + HOUR for hour in today), default=_midnight(now))
        estimated = self._credits(runs, since=through, now=now)
        metered = (
            sum(hour.credits for hour in today)
            if self._hours is not None
            else spent.used.get(CREDITS, 0.0) - spent.estimated
        )
        latest = [hour.credits for hour in hours if now - hour.begins <= FRESH]
        an_hour = max([self._credits(runs, since=now - HOUR, now=now), *latest[-1:]])
        used = {CREDITS: metered + estimated, USD_AN_HOUR: an_hour * price}
        if problem is not None:
            used[BLIND_SECONDS] = max(0.0, (now - parse_ts(read_at)).total_seconds())
        return dataclasses.replace(
            spent,
            read_at=read_at,
            problem=problem,
            used=used,
            estimated=estimated,
            usd_per_hour=used[USD_AN_HOUR],
            usd_per_credit=price,
        )

    def _is_due(self, runs: Sequence[Run], now: datetime, *, failed: bool) -> bool:
        """At the start, and every ten minutes while queries run, or after a read that failed: a
        grace is over for what cannot be read, not for what was not asked. An idle account is let
        sleep.
        """
        if self._asked is None:
            return True
        late = (now - self._asked).total_seconds() >= METER_SECONDS
        return late and (failed or any(run.ends > self._asked for run in runs))

    def _credits(self, runs: Iterable[Run], *, since: datetime, now: datetime) -> float:
        """What the warehouse used for our queries since then: it is paid for while any runs."""
        seconds = time_covered(runs, since=since, until=now)
        return seconds / 3600 * self._caps.credits_an_hour

    def _capped(self) -> dict[str, float]:
        caps = self._caps
        if self._meter is None:
            found = {
                QUERY_SECONDS: caps.query_seconds_a_day,
                QUERY_BYTES: caps.query_bytes_a_day,
            }
        else:
            found = {
                USD_AN_HOUR: caps.usd_an_hour,
                CREDITS: caps.credits_a_day,
                BLIND_SECONDS: caps.grace_hours * 3600,
            }
        return {measure: cap for measure, cap in found.items() if cap > 0}

    def _decide(self, spent: Spent, now: datetime) -> tuple[Spent, bool]:
        if spent.tripped is not None or read_switch(self._state, self._home.kill_switch).on:
            return spent, False
        over = [
            measure
            for measure, cap in spent.caps.items()
            if spent.used.get(measure, 0.0) - spent.allowed.get(measure, 0.0) >= cap
        ]
        if not over:
            return spent, False
        measure = over[0]
        said = _SAID[measure].format(used=spent.used[measure], cap=spent.caps[measure])
        if spent.problem is not None:
            said += f" ({spent.problem})"
        reason = f"cost guard: {said}"
        turn_on(self._state, self._home, reason=reason, now=self._text(now), by=COST_GUARD)
        logger.error("kill switch turned on", extra={"facts": {"reason": reason}})
        return dataclasses.replace(spent, tripped=reason), True

    def _text(self, at: datetime) -> str:
        return format_ts(to_ns(at))


def read_runs(state: sqlite3.Connection, *, since: datetime, now: datetime) -> list[Run]:
    """The queries of ours that ran since then, also those that still do. Raises sqlite3.Error."""
    rows = state.execute(
        "select started_at, finished_at, "
        "coalesce(json_extract(result, '$.byte_count') "
        "* not coalesce(json_extract(result, '$.reused'), 0), 0) "
        "from tickets where started_at is not null and coalesce(finished_at, ?) >= ?",
        (format_ts(to_ns(now)), format_ts(to_ns(since))),
    ).fetchall()
    return [
        Run(max(parse_ts(began), since), parse_ts(ended) if ended else now, float(size))
        for began, ended, size in rows
    ]


def time_covered(runs: Iterable[Run], *, since: datetime, until: datetime) -> float:
    """Seconds between the two in which at least one query ran."""
    seconds, reached = 0.0, since
    for run in sorted(runs, key=lambda one: one.begins):
        begins, ends = max(run.begins, reached), min(run.ends, until)
        if ends > begins:
            seconds += (ends - begins).total_seconds()
            reached = ends
    return seconds


def account_meter(warehouse: Warehouse, catalog: Callable[[], Catalog], caller: Caller) -> Meter:
    """The meter of a Snowflake account, by the catalogued template."""

    def read() -> list[MeteredHour]:
        answer = read_rows(
            warehouse,
            catalog().get(TEMPLATE),
            {"hours_back": HOURS_BACK},
            caller,
            query_tag=IdSource().query_tag(),
            timeout_seconds=TIMEOUT_SECONDS,
        )
        found = [
            MeteredHour(_utc(row["hour_at"]), float(row["credits"]), _number(row["usd"]))
            for row in answer.rows
            if row["credits"] is not None
        ]
        return sorted(found, key=lambda hour: hour.begins)

    return read


def _midnight(now: datetime) -> datetime:
    """When the day began (UTC)."""
    return datetime.combine(now.date(), datetime.min.time(), UTC)


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))
