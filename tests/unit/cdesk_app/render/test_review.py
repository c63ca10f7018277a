"""A review says what it knows and what it does not, and shows no name where none is wanted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest

from cdesk.core.errors import InvalidField, NotFound
from cdesk.core.identity import Caller
from cdesk_app.render import review, review_figures
from cdesk_app.render.review import make_review
from cdesk_app.render.review_figures import Figures, Period, Usage, _insights, period_named
from cdesk_app.render.review_plots import (
    ACCENT,
    COOL,
    STEPS,
    Levels,
    bars,
    calendar,
    dollars,
    model_title,
    pulse,
    share_card,
    short,
)

SVG = "{http://www.w3.org/2000/svg}"
SECRET = "<plan> & 'b'"


def figures(name: str = "2026", *, every: int = 2, **changes: Any) -> Figures:
    period = period_named(name)
    days = period.days[:: max(every, 1)] if every else []
    usage = {day: Usage(str(day), 10, 1_000, 3, 0.5, 0) for day in days}
    given: dict[str, Any] = {
        "period": period,
        "by_day": usage,
        "by_hour": {(0, 9): 4, (6, 22): 1},
        "models": [Usage("claude-sonnet-4-5-20250929", 1, 9, 4, 1.5, 0)],
        "projects": [Usage(SECRET, 1, 9, 4, None, 4)],
        "tools": [("Read", 7)],
        "activities": {"cdesk.user_asked": 12},
        "lines_added": 42,
        "conversations": 3,
        "longest_minutes": 75.0,
        "longest_project": SECRET,
        "saved_usd": 3.0,
        "hit_rate": 0.9,
    }
    return Figures(**{**given, **changes})


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026", date(2026, 1, 1), date(2026, 12, 31)),
        ("2024-02", date(2024, 2, 1), date(2024, 2, 29)),
        ("2026-W01", date(2025, 12, 29), date(2026, 1, 4)),
        ("2020-W53", date(2020, 12, 28), date(2021, 1, 3)),
    ],
)
def test_a_period_is_named_by_year_month_or_week(text: str, first: date, last: date) -> None:
    assert (period_named(text).first, period_named(text).last) == (first, last)


@pytest.mark.parametrize("text", ["26", "2026-13", "2026-W54", "2021-W53", "last year", "2026-1"])
def test_what_names_no_period_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(InvalidField, match="2026-W12"):
        period_named(text)


@pytest.mark.parametrize("name", ["2026", "2026-02", "2026-W12"])
def test_the_page_needs_nothing_else_and_the_card_names_no_project(name: str) -> None:
    made = make_review(figures(name), zone="Europe/Berlin")
    for foreign in ("http://", "https://", "<script", 'src="'):
        assert foreign not in made.html.replace("http://www.w3.org/2000/svg", "")
    assert SECRET not in made.html, "escaped"
    assert "&lt;plan&gt; &amp; &#x27;b&#x27;" in made.html or "&lt;plan&gt;" in made.html
    assert "&lt;plan" not in made.card_svg
    ET.fromstring(made.card_svg)
    assert made.card_png.startswith(b"\x89PNG")
    assert int.from_bytes(made.card_png[16:20]) == 2_400, "twice its size"


def test_no_project_is_named_where_none_is_to_be() -> None:
    made = make_review(figures(), zone="UTC", projects=False)
    assert "plan" not in made.html
    assert "Project 1" in made.html


def test_it_says_what_it_does_not_know() -> None:
    late = {date(2026, 9, 1): Usage("d", 1, 2, 3, None, 3)}
    html = make_review(figures(by_day=late), zone="UTC").html
    assert "Nothing before 1 Sep 2026 is on record" in html
    assert "3 responses are of models without a published price" in html
    assert "<b>unpriced</b>" in html, "a cost that is not known is none of 0"


def values(**changes: Any) -> dict[str, Any]:
    """What the page of February is given."""
    return review._values(figures("2026-02", **changes), "Europe/Berlin", True)


def said(svg: str) -> list[str | None]:
    return [node.text for node in ET.fromstring(svg).iter(f"{SVG}text")]


def test_a_page_begins_with_what_there_was_and_when() -> None:
    told = values(begins_before=True)
    assert (told["title"], told["kind"]) == ("February 2026 with Claude", "month")
    assert (told["span"], told["zone"]) == ("1 Feb 2026 to 28 Feb 2026", "Europe/Berlin")
    assert told["hero"] == [
        ("42", "responses"),
        ("12", "questions asked"),
        ("14K", "tokens"),
        ("$7.00", "at list prices"),
    ]
    assert (told["cost"], told["saved"], told["hit_rate"]) == ("$7.00", "$3.00", "90%")
    assert not told["is_empty"]
    for saved, shown in ((None, None), (0.0, None), (-1.0, None), (0.5, "$0.50")):
        assert values(saved_usd=saved)["saved"] == shown
    assert [values(hit_rate=rate)["hit_rate"] for rate in (None, 0.0, 0.004)] == [None, None, "0%"]
    nothing = values(by_day={}, by_hour={}, insights=[("a", "b", "c")] * 9)
    assert (nothing["is_empty"], nothing["favourite"]) == (True, None)
    assert len(nothing["insights"]) == 8


def test_models_projects_and_tools_are_bars_with_what_they_cost() -> None:
    def one(name: str, tokens: int, responses: int, cost: float | None) -> Usage:
        return Usage(name, 1, tokens, responses, cost, 0)

    told = values(
        models=[one("claude-3-opus", 9, 1_000, 2.5), one("gpt-5", 9, 1_001, None)],
        projects=[one("atlas", 12_345, 1, 150.0), one("birch", 90, 9, None)],
        tools=[(f"tool{n}", 1_000 - n) for n in range(12)],
    )
    assert said(told["models"]) == [
        *("Gpt 5", "1,001 responses, unpriced"),
        *("Claude 3 Opus", "1,000 responses, $2.50"),
    ]
    assert said(told["projects"]) == [
        *("atlas", "12.3K tokens, $150"),
        *("birch", "90 tokens, unpriced"),
    ]
    assert said(told["tools"])[:4] == ["tool0", "1,000", "tool1", "999"]
    assert said(told["tools"])[18:] == ["tool9", "991", "2 others", "1,979"]
    assert [ET.fromstring(told[name]).get("aria-label") for name in ("models", "projects", "tools")] == [
        *("Responses by model", "Tokens by project", "Calls by tool"),
    ]  # fmt: skip
    widths = {
        name: [
            float(bar.get("width", ""))
            for bar in ET.fromstring(told[name]).iter(f"{SVG}rect")
            if bar.get("fill") == fill
        ]
        for name, fill in (("models", ACCENT), ("projects", COOL), ("tools", ACCENT))
    }
    assert widths["projects"] == [426, 3.1]
    assert widths["models"] == [426, 425.6]
    assert len(widths["tools"]) == 11


def test_where_no_project_is_to_be_named_each_has_its_place() -> None:
    usage = [Usage(name, 1, 9, 4, None, 0) for name in ("atlas", "birch")]
    told = review._values(figures("2026-02", projects=usage), "UTC", False)
    assert said(told["projects"])[::2] == ["Project 1", "Project 2"]
    assert ("Longest conversation", "1 h 15 min", "of all") in told["records"]


@pytest.mark.parametrize(
    ("by_hour", "favourite"),
    [
        ({(0, 9): 1}, "09:00 to 10:00, with 100% of all responses; 0% are of weekends."),
        ({(0, 9): 0}, "09:00 to 10:00, with 0% of all responses; 0% are of weekends."),
        ({(4, 23): 3, (5, 8): 1}, "23:00 to 00:00, with 75% of all responses; 25% are of weekends."),
        ({(0, 9): 2, (1, 9): 2, (6, 8): 3}, "09:00 to 10:00, with 57% of all responses; 43% are of weekends."),
        ({(5, 11): 2, (6, 10): 2}, "10:00 to 11:00, with 50% of all responses; 100% are of weekends."),
    ],
)  # fmt: skip
def test_the_busiest_hour_is_that_of_all_days_the_earliest_of_equals(
    by_hour: dict[tuple[int, int], int], favourite: str
) -> None:
    assert values(by_hour=by_hour)["favourite"] == f"The busiest hour is {favourite}"


def test_records_are_of_what_there_was() -> None:
    usage = {
        date(2026, 2, 3): Usage("d", 1, 10, 1_300, 0.5, 0),
        date(2026, 2, 4): Usage("d", 1, 10, 7, 120.0, 0),
        date(2026, 2, 9): Usage("d", 1, 10, 7, None, 0),
    }
    assert values(by_day=usage, longest_project="atlas", conversations=1_234)["records"] == [
        ("Busiest day", "3 Feb 2026", "1,300 responses"),
        ("Costliest day", "4 Feb 2026", "$120"),
        ("Longest streak", "2 days", "3 Feb 2026 to 4 Feb 2026"),
        ("Longest conversation", "1 h 15 min", "in atlas"),
        ("Conversations", "1,234", "started or carried on"),
        ("Lines written", "42", "by Claude, into files"),
    ]
    nothing = {"by_day": {}, "longest_minutes": None, "lines_added": 0, "conversations": 0}
    assert values(**nothing)["records"] == [("Conversations", "0", "started or carried on")]
    free = {date(2026, 2, 3): Usage("d", 1, 10, 1, 0.0, 0)}
    found = values(by_day=free, longest_minutes=59.6, lines_added=0)["records"]
    assert [record[:2] for record in found] == [
        ("Busiest day", "3 Feb 2026"),
        ("Longest streak", "1 day"),
        ("Longest conversation", "1 h 00 min"),
        ("Conversations", "3"),
    ]
    short = values(longest_minutes=59.4)["records"]
    assert ("Longest conversation", "59 min") in [record[:2] for record in short]


def test_what_a_review_cannot_know_is_said_each_time_and_the_rest_where_it_is_so() -> None:
    always = values(begins_before=True)["unknown"]
    assert [text.split(".")[0] for text in always] == [
        "Costs are list prices of the API",
        "Counted is what Claude Code, Claude Desktop's Code tab and Cowork kept on this computer; "
        "chats in a browser or on a phone are not, and other computers neither",
    ]
    late = {date(2026, 2, 5): Usage("d", 1, 2, 3, None, 1_200)}
    more = values(by_day=late)["unknown"]
    assert more[2:] == always
    assert more[0].startswith("Nothing before 5 Feb 2026 is on record")
    assert more[1].startswith("1,200 responses are of models without a published price")


def test_a_time_without_anything_is_told_as_such() -> None:
    html = make_review(figures(every=0, models=[], projects=[]), zone="UTC").html
    assert "No response of Claude is on record" in html


def test_a_streak_is_of_days_one_after_the_other() -> None:
    start = date(2026, 3, 1)
    days = [start + timedelta(days=n) for n in (0, 1, 2, 5, 6)]
    found = figures(by_day={day: Usage("d", 1, 1, 1, 1.0, 0) for day in days}).streaks
    assert [(streak.first, streak.days) for streak in found] == [(start, 3), (days[3], 2)]


def test_every_day_of_the_time_has_its_cell() -> None:
    period: Period = period_named("2026-02")
    root = ET.fromstring(calendar(figures("2026-02")))
    titles = [node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}title")]
    titles = titles[:28]  # the legend stands behind
    assert len(titles) == len(period.days) == 28
    assert titles[0] == "Sun 1 Feb 2026: 3 responses"
    assert share_card(figures("2026-02"), "UTC").count("<title>") == 28


def test_days_that_nothing_is_known_of_are_told_from_those_without_use() -> None:
    """Before the first day on record, and after today."""
    days = {
        date(2026, 2, 9): Usage("d", 1, 2, 3, 0.1, 0),
        date(2026, 2, 11): Usage("d", 1, 2, 9, 0.1, 0),
    }
    found = figures("2026-02", by_day=days, as_of=datetime(2026, 2, 20, tzinfo=UTC))
    root = ET.fromstring(calendar(found))
    titles = [node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}title")]
    told = {title.partition(": ")[0].split()[1]: title.partition(": ")[2] for title in titles[:28]}
    assert [day for day, said in told.items() if said == "not on record"] == [
        str(day) for day in (*range(1, 9), *range(21, 29))
    ]
    assert (told["9"], told["10"], told["20"]) == ("3 responses", "0 responses", "0 responses")
    assert titles[28:] == ["none", "3 to 8", "9 or more", "not on record"], "the legend"
    assert "outlined days are not on record" in share_card(found, "UTC")
    assert "outlined" not in share_card(figures("2026-02", every=1), "UTC")


def test_a_quiet_beginning_of_what_was_on_record_before_is_known() -> None:
    late = {date(2026, 2, 20): Usage("d", 1, 2, 3, 0.1, 0)}
    unknown, known = (
        figures("2026-02", by_day=late, begins_before=before) for before in (False, True)
    )
    assert (unknown.known_from, known.known_from) == (date(2026, 2, 20), date(2026, 2, 1))
    assert "Nothing before" in make_review(unknown, zone="UTC").html
    assert "Nothing before" not in make_review(known, zone="UTC").html
    assert "not on record" not in calendar(known)


def test_a_week_is_a_row_under_the_names_of_its_days() -> None:
    """Of which the last may be of another month."""
    for picture in (calendar(figures("2026-W44")), share_card(figures("2026-W44"), "UTC")):
        root = ET.fromstring(picture)
        squares = [node for node in root.iter(f"{SVG}rect") if list(node)][:7]
        assert len({node.get("y") for node in squares}) == 1
        lefts = [float(node.get("x", "")) for node in squares]
        assert lefts == sorted(set(lefts))
        texts = [node.text for node in root.iter(f"{SVG}text")]
        assert sorted(said for said in texts if said in ("Mon", "Sun", "26", "30")) == [
            "26", "30", "Mon", "Sun",
        ]  # fmt: skip
        assert "Nov" not in texts


def test_an_insight_is_of_the_day_on_which_it_was_where_the_person_is() -> None:
    row = {
        "ts": datetime(2026, 2, 28, 23, 30, tzinfo=UTC),
        "subject": "a",
        "metric": "b",
        "value": 1,
    }
    verified = [{**row, "verified": True}, {**row, "verified": False}]
    found = {
        name: _insights(verified, period_named(name), ZoneInfo("Europe/Berlin"))
        for name in ("2026-02", "2026-03")
    }
    assert found == {"2026-02": [], "2026-03": [("a", "b", "1")]}


def test_insights_are_those_of_the_days_that_were_verified_however_their_columns_are_called() -> (
    None
):
    def found(**row: Any) -> bool:
        given = {"subject": "a", "metric": "b", "value": 1, "verified": True, **row}
        return bool(_insights([given], period_named("2026-02"), ZoneInfo("America/New_York")))

    # 05:00 in UTC is midnight in New York: a moment without a zone is UTC.
    month = [datetime(2026, 2, 1, 5, tzinfo=UTC), datetime(2026, 3, 1, 5, tzinfo=UTC)]
    (early, first), (last, late) = ((at - timedelta(minutes=1), at) for at in month)
    for name in ("ts", "recorded_at"):
        for zone in (None, UTC):
            at = [moment.replace(tzinfo=zone) for moment in (early, first, last, late)]
            assert [found(**{name: moment}) for moment in at] == [False, True, True, False]
    assert found(ts=None, recorded_at="yesterday")
    assert not found(verified=False)
    assert not found(verified=False, is_verified=True)
    row = {"subject": "a", "metric": "b", "value": '"x"', "is_verified": True}
    assert _insights([row], period_named("2026-02"), ZoneInfo("UTC")) == [("a", "b", "x")]
    assert _insights([{**row, "is_verified": False}], period_named("2026"), ZoneInfo("UTC")) == []


def test_a_review_is_asked_for_its_time_and_told_on_the_persons_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usage = {"output_tokens": 1, "total_tokens": 9, "responses": 4, "cost_usd": None}
    usage["unpriced_responses"] = 2
    rows: dict[str, list[dict[str, Any]]] = {
        "day": [{"period_start": "2026-02-03", **usage, "cost_usd": "1.5"}],
        "hour": [
            {"period_start": f"2026-02-{day} 22:00", **usage, "responses": n}
            for day, n in (("02", 3), ("09", 4), ("10", 5))
        ],
        "model": [{"period_start": "m", **usage}],
        "project": [{"period_start": "p", **usage}],
        "month": [],
        "review": [
            {"SECTION": section, "name": name, "figure": figure}
            for section, name, figure in (
                ("conversation", "short", 5),
                ("conversation", "long", 75.5),
                ("caching", "hit_rate", 0.9),
                ("tool", "Read", 7.0),
                ("activity", "cdesk.user_asked", 12),
                ("lines", "a", 40),
                ("lines", "b", 2),
                ("conversations", "all", 3),
            )
        ],
        "insights": [{"subject": "a", "metric": "b", "value": '"x"', "verified": True}],
    }
    asked: list[tuple[str, dict[str, Any]]] = []

    def read_rows(_: object, template: str, given: dict[str, Any], *__: Any, **more: Any) -> Any:
        assert (more["timezone"], more["timeout_seconds"]) == ("Europe/Berlin", 60.0)
        asked.append((template, given))
        return SimpleNamespace(rows=rows[given.get("period", template)])

    monkeypatch.setattr(review_figures, "read_rows", read_rows)
    catalog: Any = SimpleNamespace(templates={"review": 1}, get=lambda name: name)

    def gathered() -> Figures:
        return review_figures.gather(
            Mock(),
            catalog,
            Caller("ada", frozenset()),
            period_named("2026-02"),
            timezone="Europe/Berlin",
            now=datetime(2026, 2, 20, tzinfo=UTC),
        )

    found = gathered()
    assert found.by_day == {date(2026, 2, 3): Usage("2026-02-03", 1, 9, 4, 1.5, 2)}
    assert found.by_hour == {(0, 22): 7, (1, 22): 5}
    assert (found.models, found.projects) == (
        [Usage("m", 1, 9, 4, None, 2)],
        [Usage("p", 1, 9, 4, None, 2)],
    )
    assert (found.longest_project, found.longest_minutes) == ("long", 75.5)
    assert (found.saved_usd, found.hit_rate) == (None, 0.9)
    assert (found.tools, found.activities) == ([("Read", 7)], {"cdesk.user_asked": 12})
    assert (found.lines_added, found.conversations) == (42, 3)
    assert found.insights == [("a", "b", "x")]
    assert not found.begins_before
    time = {"since": "2026-02-01", "until": "2026-02-28"}
    assert asked == [
        ("token_usage", {"period": "day", **time}),
        ("token_usage", {"period": "hour", **time}),
        ("review", time),
        ("token_usage", {"period": "model", **time}),
        ("token_usage", {"period": "project", **time}),
        ("insights", {"limit": 1_000}),
        ("token_usage", {"period": "month", "until": "2026-01-31"}),
    ]
    rows["month"], rows["review"] = [{"period_start": "2025-12"}], []
    found = gathered()
    assert found.begins_before
    assert (found.longest_project, found.longest_minutes, found.lines_added) == (None, None, 0)
    catalog.templates.clear()
    with pytest.raises(NotFound, match="cdesk refresh"):
        gathered()


def test_the_figures_of_a_time_are_the_sums_of_its_days() -> None:
    days = {
        date(2026, 2, 3): Usage("d", 1, 10, 3, 0.5, 1),
        date(2026, 2, 5): Usage("d", 2, 20, 7, None, 2),
        date(2026, 2, 6): Usage("d", 4, 40, 7, 1.0, 0),
    }
    found = figures("2026-02", by_day=days)
    assert (found.responses, found.total_tokens, found.output_tokens) == (17, 70, 7)
    assert (found.cost_usd, found.unpriced, found.questions) == (1.5, 3, 12)
    assert found.busiest is not None
    assert found.busiest[0] == date(2026, 2, 5), "the first of two"
    assert found.known_from == date(2026, 2, 1), "two quiet days are no gap"
    late = figures(
        "2026-02", by_day={date(2026, 2, day): Usage("d", 1, 1, 1, None, 0) for day in (5, 27)}
    )
    assert (late.known_from, late.cost_usd) == (date(2026, 2, 5), None)
    early = figures("2026-02", by_day={date(2026, 2, 4): Usage("d", 1, 1, 1, None, 0)})
    assert early.known_from == date(2026, 2, 1)
    for now, last in ((20, 27), (28, 28)):
        told = replace(late, as_of=datetime(2026, 2, now, tzinfo=UTC))
        assert told.known_to == date(2026, 2, last)
    assert replace(late, as_of=datetime(2026, 3, 9, tzinfo=UTC)).known_to == date(2026, 2, 28)
    nothing = figures("2026-02", every=0)
    assert (nothing.busiest, nothing.streaks, nothing.known_from) == (None, [], date(2026, 2, 1))


@pytest.mark.parametrize(
    ("name", "marks"),
    [
        ("2026-W09", [f"{day} Feb" for day in range(23, 29)] + ["1 Mar"]),
        ("2026-02", ["2 Feb", "9 Feb", "16 Feb", "23 Feb"]),
        ("2026", ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]),
    ],
)  # fmt: skip
def test_a_time_is_marked_by_days_mondays_or_months(name: str, marks: list[str]) -> None:
    root = ET.fromstring(pulse(figures(name)))
    said = [node.text for node in root.iter(f"{SVG}text")]
    assert [text for text in said if text and " on " not in text] == marks


def test_one_great_day_does_not_dim_the_others() -> None:
    levels = Levels.of([*range(1, 41), 5_000])
    assert len({levels.fill(count) for count in (0, 1, 15, 25, 35, 5_000)}) == 6
    assert Levels.of([]).legend() == [(STEPS[0], "none")]
    assert Levels.of([7, 7]).legend() == [(STEPS[0], "none"), (STEPS[3], "7 or more")]
    assert Levels.of([7, 7]).fill(7) == STEPS[3]


def test_figures_are_short_and_models_have_their_names() -> None:
    assert [short(value) for value in (999, 9_999, 12_345, 297_600_000, 1.5e9)] == [
        "999", "9,999", "12.3K", "298M", "1.5B",
    ]  # fmt: skip
    assert (dollars(None), dollars(0.5), dollars(1234.5)) == ("unpriced", "$0.50", "$1,234")
    assert (dollars(99.99), dollars(100.0)) == ("$99.99", "$100")
    assert model_title("claude-opus-4-1-20250805") == "Claude Opus 4.1"
    assert model_title("claude-3-5-haiku") == "Claude 3.5 Haiku"


def test_what_is_beyond_eight_names_is_one_row() -> None:
    def said(count: int) -> list[str | None]:
        rows = [(f"n{n}", 100.0 - n, f"said{n}") for n in range(count)]
        return [node.text for node in ET.fromstring(bars(rows, label="b")).iter(f"{SVG}text")]

    assert said(8)[-2:] == ["n7", "said7"]
    assert (len(said(8)), len(said(10))) == (16, 18)
    assert said(10)[-2:] == ["2 others", "183"]
