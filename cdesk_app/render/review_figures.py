"""The figures of a review: a year, a month or a week with Claude, asked by catalogued templates."""

from __future__ import annotations

import re
from calendar import month_name, monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from cdesk.contract.catalog import Catalog
from cdesk.core.clock import IdSource
from cdesk.core.errors import InvalidField, NotFound
from cdesk.core.identity import Caller
from cdesk.query.internal import read_rows
from cdesk.warehouse.protocol import Warehouse

TIMEOUT_SECONDS: Final = 60.0
Kind = Literal["year", "month", "week"]
_PERIOD = re.compile(r"(?P<year>20\d\d)(?:-(?:(?P<month>0[1-9]|1[0-2])|W(?P<week>\d\d)))?\Z")
MOST_INSIGHTS: Final = 1_000
"""The latest, of which a review shows those of its time."""
FEW_DAYS: Final = 3
"""What a person may be away for without a word about it."""
ALLOWED: Final = "a year as 2026, a month as 2026-03, or a week as 2026-W12"


@dataclass(frozen=True, slots=True)
class Period:
    """A time by the calendar; `first` and `last` are days, both of it."""

    kind: Kind
    name: str
    title: str
    first: date
    last: date

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]


def period_named(text: str) -> Period:
    """The time that `text` names.

    Raises:
        InvalidField: it names none.
    """
    match = _PERIOD.match(text)
    if not match:
        raise InvalidField("period", f"{text!r:.30} is none", ALLOWED)
    year = int(match["year"])
    if month := match["month"]:
        number = int(month)
        last = date(year, number, monthrange(year, number)[1])
        return Period("month", text, f"{month_name[number]} {year}", date(year, number, 1), last)
    if week := match["week"]:
        try:
            monday = date.fromisocalendar(year, int(week), 1)
        except ValueError:
            raise InvalidField("period", f"{text} is no week", ALLOWED) from None
        title = f"Week {int(week)} of {year}"
        return Period("week", text, title, monday, monday + timedelta(days=6))
    return Period("year", text, str(year), date(year, 1, 1), date(year, 12, 31))


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and responses of a group; `cost_usd` is None where no price is known."""

    name: str
    output_tokens: int
    total_tokens: int
    responses: int
    cost_usd: float | None
    unpriced: int


@dataclass(frozen=True, slots=True)
class Streak:
    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True)
class Figures:
    """All that a review shows, on the person's clock."""

    period: Period
    by_day: Mapping[date, Usage]
    by_hour: Mapping[tuple[int, int], int]
    """(weekday, 0 for Monday; hour) → responses."""
    models: Sequence[Usage]
    projects: Sequence[Usage]
    tools: Sequence[tuple[str, int]]
    activities: Mapping[str, int]
    lines_added: int
    conversations: int
    longest_minutes: float | None
    longest_project: str | None
    saved_usd: float | None
    hit_rate: float | None
    insights: Sequence[tuple[str, str, str]] = field(default_factory=tuple)
    """(subject, metric, value) of verified insights of the time, newest first."""
    as_of: datetime | None = None
    begins_before: bool = False
    """Whether there is anything on record of an earlier time."""

    @property
    def known_from(self) -> date:
        """The first day of which it is known how much there was: histories of before the first that
        is on record may have been deleted, but for a few quiet days.
        """
        if self.begins_before:
            return self.period.first
        first = min(self.by_day, default=self.period.first)
        return first if (first - self.period.first).days > FEW_DAYS else self.period.first

    @property
    def known_to(self) -> date:
        """The last day of which it is known."""
        last = self.period.last if self.as_of is None else self.as_of.date()
        return min(max(last, max(self.by_day, default=last)), self.period.last)

    @property
    def responses(self) -> int:
        return sum(day.responses for day in self.by_day.values())

    @property
    def total_tokens(self) -> int:
        return sum(day.total_tokens for day in self.by_day.values())

    @property
    def output_tokens(self) -> int:
        return sum(day.output_tokens for day in self.by_day.values())

    @property
    def cost_usd(self) -> float | None:
        known = [day.cost_usd for day in self.by_day.values() if day.cost_usd is not None]
        return sum(known) if known else None

    @property
    def unpriced(self) -> int:
        return sum(day.unpriced for day in self.by_day.values())

    @property
    def questions(self) -> int:
        return self.activities.get("cdesk.user_asked", 0)

    @property
    def busiest(self) -> tuple[date, Usage] | None:
        return max(self.by_day.items(), key=lambda item: item[1].responses, default=None)

    @property
    def streaks(self) -> list[Streak]:
        """Runs of active days, the longest first."""
        found: list[Streak] = []
        for day in sorted(self.by_day):
            if found and found[-1].last == day - timedelta(days=1):
                found[-1] = Streak(found[-1].first, day)
            else:
                found.append(Streak(day, day))
        return sorted(found, key=lambda streak: (-streak.days, streak.first))


def gather(
    warehouse: Warehouse,
    catalog: Catalog,
    caller: Caller,
    period: Period,
    *,
    timezone: str,
    now: datetime,
) -> Figures:
    """Ask for all of it. `now` is the person's time: what comes later is not known.

    Raises:
        NotFound: a template is missing (the catalog is of an older project). CdeskError: the
        warehouse could not be asked.
    """

    def ask(name: str, **given: Any) -> list[dict[str, Any]]:
        answer = read_rows(
            warehouse,
            catalog.get(name),
            given,
            caller,
            query_tag=IdSource().query_tag(),
            timeout_seconds=TIMEOUT_SECONDS,
            timezone=timezone,
        )
        return [{name.lower(): value for name, value in row.items()} for row in answer.rows]

    if "review" not in catalog.templates:
        raise NotFound("the catalog has no template review; run 'cdesk refresh'")
    time = {"since": period.first.isoformat(), "until": period.last.isoformat()}
    by_day = {
        date.fromisoformat(row["period_start"]): _usage(row)
        for row in ask("token_usage", period="day", **time)
    }
    by_hour: dict[tuple[int, int], int] = {}
    for row in ask("token_usage", period="hour", **time):
        moment = datetime.strptime(row["period_start"], "%Y-%m-%d %H:%M")  # noqa: DTZ007 - local
        place = (moment.weekday(), moment.hour)
        by_hour[place] = by_hour.get(place, 0) + int(row["responses"])
    sections: dict[str, dict[str, float]] = {}
    for row in ask("review", **time):
        sections.setdefault(row["section"], {})[row["name"]] = float(row["figure"])
    eve = (period.first - timedelta(days=1)).isoformat()
    longest = sections.get("conversation", {})
    caching = sections.get("caching", {})
    project = max(longest, key=lambda name: longest[name], default=None)
    return Figures(
        period=period,
        by_day=by_day,
        by_hour=by_hour,
        models=[_usage(row) for row in ask("token_usage", period="model", **time)],
        projects=[_usage(row) for row in ask("token_usage", period="project", **time)],
        tools=[(name, int(calls)) for name, calls in sections.get("tool", {}).items()],
        activities={name: int(count) for name, count in sections.get("activity", {}).items()},
        lines_added=int(sum(sections.get("lines", {}).values())),
        conversations=int(sections.get("conversations", {}).get("all", 0)),
        longest_minutes=longest[project] if project else None,
        longest_project=project,
        saved_usd=caching.get("saved_usd"),
        hit_rate=caching.get("hit_rate"),
        insights=_insights(ask("insights", limit=MOST_INSIGHTS), period, ZoneInfo(timezone)),
        as_of=now,
        begins_before=bool(ask("token_usage", period="month", until=eve)),
    )


def _insights(
    rows: Sequence[Mapping[str, Any]], period: Period, zone: ZoneInfo
) -> list[tuple[str, str, str]]:
    found = []
    for row in rows:
        at = row.get("ts") or row.get("recorded_at")
        inside = not isinstance(at, datetime) or period.first <= _day(at, zone) <= period.last
        if inside and row.get("verified", row.get("is_verified")):
            value = str(row.get("value")).strip('"')
            found.append((str(row["subject"]), str(row["metric"]), value))
    return found


def _day(at: datetime, zone: ZoneInfo) -> date:
    """Of the person's calendar; what is stored is UTC."""
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(zone).date()


def _usage(row: Mapping[str, Any]) -> Usage:
    cost = row["cost_usd"]
    return Usage(
        name=str(row["period_start"]),
        output_tokens=int(row["output_tokens"]),
        total_tokens=int(row["total_tokens"]),
        responses=int(row["responses"]),
        cost_usd=None if cost is None else float(cost),
        unpriced=int(row["unpriced_responses"]),
    )
