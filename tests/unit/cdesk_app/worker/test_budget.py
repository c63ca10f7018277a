"""The word that get_context has of a budget."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from cdesk.core.clock import format_ts, to_ns
from cdesk.core.config import BudgetSettings
from cdesk.core.identity import Caller
from cdesk.state.status import BudgetWord
from cdesk_app.worker import budget
from cdesk_app.worker.budget import budget_word, end_of_day, words


def row(period: str, used_share: float | None, limit: float | None, **more: Any) -> dict[str, Any]:
    return {
        "period": period,
        "used_share": used_share,
        "limit_usd": limit,
        "unpriced_responses": 0,
        **more,
    }


def test_only_limits_that_are_near_or_passed_are_named() -> None:
    rows = [
        row("day", 0.7999, 20.0),
        row("week", 0.8, 100.0),
        row("month", None, None),
        row("month", None, 5.0),
        row("month", 0.9, None),
        row("month", 1.041, 7.5, unpriced_responses=3),
    ]
    assert words(rows) == [
        "80% of the week's 100 US dollars is used",
        "at least 104% of the month's 7.5 US dollars is used",
    ]


def test_what_is_said_of_a_day_counts_until_it_ends_where_the_person_is() -> None:
    def end(zone: str, *at: int) -> str:
        return format_ts(end_of_day(to_ns(datetime(2026, *at, tzinfo=UTC)), zone))[:19]

    assert end("UTC", 3, 1, 22, 59) == "2026-03-02T00:00:00"
    assert end("Europe/Berlin", 3, 1, 22, 59) == "2026-03-01T23:00:00"
    assert end("Europe/Berlin", 3, 1, 23, 0) == "2026-03-02T23:00:00"
    assert end("Europe/Berlin", 3, 29, 12, 0) == "2026-03-29T22:00:00", "a day of 23 hours"


def test_the_word_is_of_the_limits_that_are_set_and_ends_with_the_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []
    rows: list[dict[str, Any]] = []

    def read_rows(_: object, template: str, given: object, caller: Caller, **more: Any) -> Any:
        asked.append((template, given, caller, more["timezone"]))
        return SimpleNamespace(rows=rows)

    monkeypatch.setattr(budget, "read_rows", read_rows)
    now = to_ns(datetime(2026, 3, 1, 12, tzinfo=UTC))

    def told(limits: BudgetSettings, *templates: str) -> BudgetWord:
        catalog: Any = SimpleNamespace(templates={name: name for name in templates})
        return budget_word(
            SimpleNamespace(), catalog, Caller("ada"), limits,
            now_ns=lambda: now, timezone="Europe/Berlin",
        )  # type: ignore[arg-type]  # fmt: skip

    limits = BudgetSettings(day=20.0, month=7.5)
    assert told(limits) == told(BudgetSettings(), "budget") == BudgetWord()
    assert asked == [], "of a catalog of before, and without a limit, nobody is asked"
    assert told(limits, "budget") == BudgetWord(), "none is near"
    assert asked == [("budget", {"day": 20.0, "month": 7.5}, Caller("ada"), "Europe/Berlin")]
    rows += [row("day", 0.9, 20.0), row("month", 1.0, 7.5)]
    assert told(limits, "budget") == BudgetWord(
        customer="ada",
        text="Of this person's budget for Claude 90% of the day's 20 US dollars is used; "
        "100% of the month's 7.5 US dollars is used.",
        until="2026-03-01T23:00:00.000000Z",
    )
