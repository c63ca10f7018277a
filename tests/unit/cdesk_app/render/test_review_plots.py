"""Where the marks of a review's plots lie, what they say, and that nothing lies over another: read
back from the pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import combinations, pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from cdesk_app.render import review_plots as plots
from cdesk_app.render.review_figures import Figures, Usage, period_named
from cdesk_app.render.review_plots import ACCENT, COOL, INK, LINE, MUTED, OUTLINE, STEPS, Levels

SVG = "{http://www.w3.org/2000/svg}"
PERIODS = ("2026", "2026-02", "2026-03", "2026-W09")


def near(*values: float) -> Any:
    """Equal as far as a picture says it: to a tenth of a unit."""
    return pytest.approx(values, abs=0.06)


def close(value: float) -> Any:
    return pytest.approx(value, abs=0.06)


@dataclass(frozen=True)
class Box:
    """A rectangle of a picture, with what it says to who points at it."""

    left: float
    top: float
    wide: float
    tall: float
    fill: str | None
    look: dict[str, str]
    told: str | None = None

    @property
    def right(self) -> float:
        return self.left + self.wide

    @property
    def bottom(self) -> float:
        return self.top + self.tall

    @property
    def middle(self) -> float:
        return self.left + self.wide / 2

    def overlaps(self, other: Box) -> bool:
        return (
            min(self.right, other.right) - max(self.left, other.left) > 0.1
            and min(self.bottom, other.bottom) - max(self.top, other.top) > 0.1
        )


@dataclass(frozen=True)
class Words:
    x: float
    y: float
    said: str
    size: float
    fill: str
    weight: str
    anchor: str

    @property
    def box(self) -> Box:
        """Where it is written, as wide as letters of a common font are on average."""
        wide = 0.55 * self.size * len(self.said)
        left = self.x - {"start": 0.0, "middle": wide / 2, "end": wide}[self.anchor]
        return Box(left, self.y - 0.75 * self.size, wide, 0.95 * self.size, None, {}, self.said)


@dataclass
class Picture:
    """A picture's parts; `squares` are the rectangles that tell of something."""

    width: float
    height: float
    label: str
    boxes: list[Box] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)
    circles: list[tuple[float, float, float, str, str | None]] = field(default_factory=list)
    paths: list[dict[str, str]] = field(default_factory=list)

    @property
    def squares(self) -> list[Box]:
        return [box for box in self.boxes if box.told]

    def saying(self, *said: str) -> list[Words]:
        return [one for one in self.words if one.said in said]

    def require_order(self) -> None:
        """All lies in the picture, and no words and no square over others."""
        marks = [*(one.box for one in self.words), *self.squares]
        for box in marks:
            assert min(box.left, box.top) >= 0, box
            assert box.right <= self.width, box
            assert box.bottom <= self.height, box
        for one, other in combinations(marks, 2):
            is_number = (one.told or "").isdigit() != (other.told or "").isdigit()
            assert not one.overlaps(other) or is_number, (one, other)


def picture(svg: str) -> Picture:
    root = ET.fromstring(svg)
    left, top, width, height = map(float, root.get("viewBox", "").split())
    assert (left, top, root.get("role")) == (0, 0, "img")
    made = Picture(width, height, root.get("aria-label", ""))
    for node in root:
        look = dict(node.attrib)
        told = node.findtext(f"{SVG}title")
        number = {name: float(value) for name, value in look.items() if name in _NUMBERS}
        match node.tag.removeprefix(SVG):
            case "rect":
                place = (number.get(name, 0.0) for name in ("x", "y", "width", "height"))
                made.boxes.append(Box(*place, look.get("fill"), look, told))
            case "text":
                named = (look[name] for name in ("fill", "font-weight", "text-anchor"))
                made.words.append(
                    Words(number["x"], number["y"], node.text or "", number["font-size"], *named)
                )
            case "circle":
                made.circles.append((number["cx"], number["cy"], number["r"], look["fill"], told))
            case "path":
                made.paths.append(look)
    return made


_NUMBERS = ("x", "y", "width", "height", "font-size", "cx", "cy", "r")


def usage(responses: int, tokens: int = 1_000) -> Usage:
    return Usage("d", 10, tokens, responses, 0.5, 0)


def figures(name: str = "2026-02", **changes: Any) -> Figures:
    """A time with something on every second day, the more the later."""
    period = period_named(name)
    given: dict[str, Any] = {
        "period": period,
        "by_day": {
            day: usage(n + 1, 100 * (n + 1)) for n, day in enumerate(period.days) if n % 2 == 0
        },
        "by_hour": {(0, 9): 4, (6, 22): 1},
        "models": [Usage("claude-sonnet-4-5-20250929", 1, 9, 4, 1.5, 0)],
        "projects": [],
        "tools": [],
        "activities": {"cdesk.tool_called": 12_345},
        "lines_added": 42,
        "conversations": 3,
        "longest_minutes": None,
        "longest_project": None,
        "saved_usd": 3.0,
        "hit_rate": None,
    }
    return Figures(**{**given, **changes})


def day_of(box: Box) -> tuple[date, str]:
    """The day that a square is of, and what it says of it."""
    named, _, said = (box.told or "").partition(": ")
    return datetime.strptime(named, "%a %d %b %Y").replace(tzinfo=UTC).date(), said


# -- words


@pytest.mark.parametrize(
    ("value", "said"),
    [
        *((0, "0"), (9_999, "9,999"), (-9_999, "-9,999"), (10_000, "10K"), (-12_345, "-12.3K")),
        *((99_900, "99.9K"), (100_000, "100K"), (100_400, "100K"), (999_499, "999K")),
        *((999_500, "1M"), (1_250_000, "1.2M"), (99.9e6, "99.9M"), (100.4e6, "100M")),
        *((999.4e6, "999M"), (999.5e6, "1B"), (1.26e9, "1.3B"), (1_234e9, "1,234B")),
    ],
)
def test_a_figure_is_short_and_of_the_unit_that_it_is_rounded_to(value: float, said: str) -> None:
    assert plots.short(value) == said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("claude-opus-4-1-20250805", "Claude Opus 4.1"),
        ("claude-3-5-haiku-20241022", "Claude 3.5 Haiku"),
        ("claude-3-opus", "Claude 3 Opus"),
        ("gpt-5", "Gpt 5"),
        ("x-1234567", "X 1234567"),
        ("4-x", "4 X"),
        ("odd--1-", "Odd 1"),
        ("", ""),
    ],
)
def test_a_model_is_named_as_people_name_it(name: str, said: str) -> None:
    assert plots.model_title(name) == said


def test_words_stand_where_they_are_put_and_stay_words() -> None:
    made = picture(plots.svg(9.6, 20, "<a> & \"b\" 'c'", plots.text(1.25, 2, "<i>&")))
    assert (made.width, made.height, made.label) == (10, 20, "<a> & \"b\" 'c'")
    (words,) = made.words
    assert (words.x, words.y) == near(1.25, 2)
    assert (words.said, words.size, words.fill) == ("<i>&", 12, MUTED)
    assert (words.weight, words.anchor) == ("400", "start")


def test_a_square_is_filled_or_outlined_in_its_own_place() -> None:
    filled, outlined = (
        picture(plots.svg(9, 9, "", plots._cell(10, 20, 5, fill, "<told>"))).squares[0]
        for fill in (ACCENT, None)
    )
    assert (filled.left, filled.top, filled.wide, filled.tall) == (10, 20, 5, 5)
    assert (filled.fill, filled.look["rx"], filled.told) == (ACCENT, "1.0", "<told>")
    assert "stroke" not in filled.look
    assert (outlined.left, outlined.top, outlined.wide, outlined.tall) == (10.5, 20.5, 4, 4)
    assert (outlined.fill, outlined.look["stroke"]) == ("none", OUTLINE)


# -- what colours mean


@pytest.mark.parametrize(
    ("counts", "legend"),
    [
        ([], [(0, "none")]),
        ([0, 0], [(0, "none")]),
        ([1, 1], [(0, "none"), (3, "1 or more")]),
        ([2, 2], [(0, "none"), (3, "2 or more")]),
        ([0, 1, 2, 2], [(0, "none"), (1, "1"), (5, "2 or more")]),
        ([1, 4], [(0, "none"), (1, "1 to 3"), (5, "4 or more")]),
        ([1, 2, 1_000], [(0, "none"), (1, "1"), (3, "2 to 999"), (5, "1,000 or more")]),
        (
            range(1, 101),
            [
                *((0, "none"), (1, "1 to 25"), (2, "26 to 50"), (3, "51 to 75")),
                *((4, "76 to 94"), (5, "95 or more")),
            ],
        ),
    ],
)
def test_a_colour_stands_for_as_many_days_as_another_and_the_legend_says_so(
    counts: Sequence[int], legend: list[tuple[int, str]]
) -> None:
    levels = Levels.of(counts)
    assert levels.legend() == [(STEPS[step], said) for step, said in legend]
    for fill, said in levels.legend()[1:]:
        low, _, high = said.replace(" or more", "").replace(",", "").partition(" to ")
        for count in (int(low), int(high or low)):
            assert levels.fill(count) == fill
    assert levels.fill(0) == STEPS[0]


def test_the_area_and_colour_of_an_hour_go_with_its_share() -> None:
    given = {(0, 0): 10_000, (0, 1): 401, (0, 2): 400, (3, 23): 1_601, (6, 12): 1_600, (2, 2): 0}
    made = picture(plots.hours(figures(by_hour=given)))
    assert len(made.circles) == 7 * 24
    rows = {one.said: one for one in made.words if not one.said.isdigit()}
    columns = {int(one.said): one for one in made.words if one.said.isdigit()}
    assert list(rows) == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    assert list(columns) == list(range(0, 24, 3))
    known: dict[tuple[int, int], tuple[float, str]] = {}
    for n, (x, y, radius, fill, told) in enumerate(made.circles):
        weekday, hour = divmod(n, 24)
        assert (x, y) == near(44 + 34 * hour + 17, 12 + 34 * weekday + 17)
        label = list(rows.values())[weekday]
        assert told == f"{label.said} {hour:02}:00: {given.get((weekday, hour), 0):,} responses"
        assert (label.anchor, label.size) == ("end", 11)
        assert (label.x, label.y) == near(30, y + 4)
        known[weekday, hour] = (radius, fill)
    assert [known[place] for place in given] == [
        (15, STEPS[5]), (close(5.56), STEPS[2]), (close(5.56), STEPS[1]),
        (close(7.92), STEPS[3]), (close(7.92), STEPS[2]), (2, STEPS[0]),
    ]  # fmt: skip
    assert {one for place, one in known.items() if place not in given} == {(2, STEPS[0])}
    for hour, label in columns.items():
        assert (label.x, label.y, label.anchor, label.size) == (61 + 34 * hour, 266, "middle", 11)
    assert (made.width, made.height) == (866, 276)
    made.require_order()
    nothing = picture(plots.hours(figures(by_hour={})))
    assert {circle[2:4] for circle in nothing.circles} == {(2, STEPS[0])}


# -- the calendar


@pytest.mark.parametrize("name", PERIODS)
def test_the_days_of_a_calendar_stand_in_the_column_of_their_week(name: str) -> None:
    given = figures(name)
    made = picture(plots.calendar(given))
    days = given.period.days
    squares = made.squares[: len(days)]
    weeks = list(dict.fromkeys(day.isocalendar()[:2] for day in days))
    size, step = (14.0, 17.4) if name == "2026" else (46.0, 53.0)
    left = 2.0 if "W" in name else 38.0
    levels = Levels.of(one.responses for one in given.by_day.values())
    for square, day in zip(squares, days, strict=True):
        count = given.by_day[day].responses if day in given.by_day else 0
        assert day_of(square) == (day, f"{count:,} responses")
        column = weeks.index(day.isocalendar()[:2])
        place = (day.weekday(), 0) if "W" in name else (column, day.weekday())
        assert (square.left, square.top) == near(left + place[0] * step, 24 + place[1] * step)
        assert (square.wide, square.tall) == (size, size)
        assert square.fill == levels.fill(count)
    last = max(square.bottom for square in squares)
    said, first = made.saying("responses a day")[0], made.squares[len(days)]
    assert (said.x, said.y) == near(left if name == "2026" else 2, last + step - size + 22)
    assert (first.left, first.top) == near(said.x + 104, said.y - 9.5)
    lowest = max(one.y for one in made.words)
    assert made.height == pytest.approx(lowest + 14, abs=0.6)
    assert made.width >= 380
    assert made.width == pytest.approx(
        max(380, max(square.right for square in squares) + step - size + 4), abs=0.6
    )
    assert made.label == f"A calendar: {len(given.by_day)} active days"
    made.require_order()


@pytest.mark.parametrize("name", ["2026", "2026-03"])
def test_rows_are_named_by_weekdays_and_columns_by_months(name: str) -> None:
    made = picture(plots.calendar(figures(name)))
    days = {day_of(square)[0]: square for square in made.squares[: 365 if name == "2026" else 31]}
    names = [one for one in made.words if one.said in plots._DAYS]
    every = ["Mon", "Wed", "Fri", "Sun"] if name == "2026" else list(plots._DAYS)
    assert [one.said for one in names] == every
    for one in names:
        square = next(box for day, box in days.items() if f"{day:%a}" == one.said)
        assert (one.x, one.anchor, one.size) == (28, "end", 10)
        assert one.y == pytest.approx(square.top + 0.72 * square.tall, abs=0.06)
    months = [one for one in made.words if one.said in plots.MONTHS]
    assert [one.said for one in months] == (plots.MONTHS if name == "2026" else ["Mar"])
    for month, one in enumerate(months, start=1 if name == "2026" else 3):
        # A year's month is named over the first column that is its own for the most part.
        square = days[date(2026, month, 5 if name == "2026" else 1)]
        assert (one.x, one.y) == near(square.left, 13)
        assert one.size == 11


def test_a_weeks_days_are_named_over_their_middle() -> None:
    given = figures("2026-W09")
    calendar, card = picture(plots.calendar(given)), picture(plots.share_card(given, "UTC"))
    for made, above, size in ((calendar, 13, 11), (card, 388 - 14, 18)):
        names = [one for one in made.words if one.said in plots._DAYS]
        assert [one.said for one in names] == list(plots._DAYS)
        for one, square in zip(names, made.squares, strict=False):
            assert (one.x, one.y) == near(square.middle, above)
            assert (one.anchor, one.size) == ("middle", size)


def test_a_days_number_stands_in_its_square_in_a_colour_that_is_read() -> None:
    period = period_named("2026-02")
    counts = {1: 1, 2: 26, 3: 51, 4: 76, 5: 100}
    by_day = {date(2026, 2, day): usage(count) for day, count in counts.items()}
    given = figures(by_day=by_day, as_of=datetime(2026, 2, 20, tzinfo=UTC), begins_before=True)
    made = picture(plots.calendar(given))
    numbers = {int(one.said): one for one in made.words if one.said.isdigit()}
    assert list(numbers) == [day.day for day in period.days]
    for square in made.squares[:28]:
        one = numbers[day_of(square)[0].day]
        assert (one.x, one.y) == near(square.middle, square.top + square.tall / 2 + 46 * 0.12)
        assert (one.anchor, one.size) == ("middle", 46 * 0.33)
    dark = "#2a1a13"
    levels = Levels.of(counts.values())
    assert [levels.fill(count) for count in counts.values()] == list(STEPS[1:])
    assert [numbers[day].fill for day in (1, 2, 3, 4, 5, 6, 20, 21)] == [
        *(INK, INK, INK, dark, dark, MUTED, MUTED, MUTED),
    ]
    numbered = picture(plots.calendar(figures("2026"))).words
    assert not [one for one in numbered if one.said.isdigit() and one.size != 11]


def test_days_that_nothing_is_known_of_are_outlined() -> None:
    by_day = {date(2026, 2, day): usage(1) for day in (9, 11)}
    given = figures(by_day=by_day, as_of=datetime(2026, 2, 20, tzinfo=UTC))
    for made in (picture(plots.calendar(given)), picture(plots.share_card(given, "UTC"))):
        known = {day_of(one)[0].day: one for one in made.squares[:28]}
        outlined = [day for day, one in known.items() if one.fill == "none"]
        assert outlined == [*range(1, 9), *range(21, 29)]
        assert {day_of(known[day])[1] for day in outlined} == {"not on record"}
        made.require_order()


def test_a_legend_goes_on_below_where_its_line_is_full() -> None:
    given = figures(by_day={date(2026, 2, n + 1): usage(10**n) for n in range(5)})
    entries = Levels.of(10**n for n in range(5)).legend()
    assert len(entries) == 6

    def lines(width: float) -> list[list[str]]:
        parts, high = plots._legend(given, x=5, y=50, width=width)
        made = picture(plots.svg(1_000, 500, "", *parts))
        assert [one.told for one in made.squares] == [one.said for one in made.words[1:]]
        assert [one.fill for one in made.squares] == [fill for fill, _ in entries]
        assert (made.words[0].said, made.words[0].size) == ("responses a day", 11)
        found: dict[float, list[str]] = {}
        left = 109.0
        for square, words in zip(made.squares, made.words[1:], strict=True):
            if words.y not in found and found:
                left = 5.0
            found.setdefault(words.y, []).append(words.said)
            assert (square.left, square.top) == near(left, words.y - 9.5)
            assert (square.wide, square.tall, words.size) == (11, 11, 11)
            assert (words.x, words.y) == near(square.left + 16, 50 + 20 * (len(found) - 1))
            left += 33 + 6.3 * len(words.said)
        assert high == 20 * (len(found) - 1) + 14
        return list(found.values())

    said = [name for _, name in entries]
    whole = 104 + sum(33 + 6.3 * len(name) for name in said)
    assert lines(whole + 1) == [said]
    assert lines(whole - 1) == [said[:-1], said[-1:]]
    assert len(lines(200)) == 5
    thousands = {date(2026, 2, n + 1): usage(1_000 * (n + 1)) for n in range(28)}
    picture(plots.calendar(figures(by_day=thousands))).require_order()
    # What fits to the point is on the line.
    exact = plots._legend(figures(by_day={}), x=0, y=0, width=104.0 + (17 + 6.3 * 4 + 16))
    assert exact[1] == 14


# -- bars and the pulse


def test_bars_are_as_long_as_their_values_and_others_are_the_rest() -> None:
    rows = [(f"n{n}", float(2_000 - 100 * n), f"said {n}") for n in range(12)]
    made = picture(plots.bars(rows, label="<b>"))
    assert (made.label, made.width, made.height) == ("<b>", 430, 9 * 38)
    names, said = made.words[::2], made.words[1::2]
    rest = sum(value for _, value, _ in rows[8:])
    assert [one.said for one in names] == [*(f"n{n}" for n in range(8)), "4 others"]
    assert [one.said for one in said] == [*(f"said {n}" for n in range(8)), plots.short(rest)]
    assert [one.fill for one in made.words[:2]] == [INK, MUTED]
    values = [*(value for _, value, _ in rows[:8]), rest]
    assert sum(values) == sum(value for _, value, _ in rows)
    tracks, bars = made.boxes[::2], made.boxes[1::2]
    for place, (value, track, bar) in enumerate(zip(values, tracks, bars, strict=True)):
        assert (track.left, track.top, track.wide, track.tall) == (2, 38 * place + 20, 426, 7)
        assert (bar.left, bar.top, bar.tall) == (2, track.top, 7)
        assert bar.wide == pytest.approx(426 * value / rest, abs=0.06)
        assert (track.fill, bar.fill) == (STEPS[0], ACCENT)
        one, other = names[place], said[place]
        assert (one.x, one.y, one.anchor) == (2, 38 * place + 14, "start")
        assert (other.x, other.y, other.anchor) == (428, 38 * place + 14, "end")
    made.require_order()


def test_bars_show_a_little_of_the_least_and_cut_names_that_are_long() -> None:
    names = ("n" * 43, "m" * 44)
    made = picture(plots.bars([(names[0], 1_000.0, ""), (names[1], 1.0, "")], label="b", fill=COOL))
    assert [one.said for one in made.words[::2]] == ["n" * 43, "m" * 42 + "…"]
    assert [(bar.wide, bar.fill) for bar in made.boxes[1::2]] == [(426, COOL), (3, COOL)]
    assert [box.wide for box in picture(plots.bars([("a", 0.0, "")], label="b")).boxes] == [426, 3]
    few = picture(plots.bars([(str(n), 1.0, "") for n in range(3)], label="b", most=2))
    assert [one.said for one in few.words[::2]] == ["0", "1", "1 others"]
    assert picture(plots.bars([], label="b")).height == 38


@pytest.mark.parametrize("name", PERIODS)
def test_a_days_tokens_stand_on_one_line_as_high_as_they_are(name: str) -> None:
    given = figures(name)
    days = given.period.days
    made = picture(plots.pulse(given))
    assert (made.width, made.height, made.label) == (900, 170, "Tokens by day")
    active = sorted(given.by_day)
    most = max(given.by_day[day].total_tokens for day in active)
    step = 892 / len(days)
    wide = min(step * 0.72, 46)
    for box, day in zip(made.boxes, active, strict=True):
        value = given.by_day[day].total_tokens
        assert box.told == f"{day.day} {plots.MONTHS[day.month - 1]}: {value:,} tokens"
        assert box.fill == ACCENT
        assert (box.wide, float(box.look["rx"])) == near(wide, min(wide / 3, 4))
        at = 4 + (day - days[0]).days * step + step / 2
        assert box.middle == pytest.approx(at, abs=0.11)
        assert box.bottom == pytest.approx(148, abs=0.11)
        assert box.tall == pytest.approx(max(124 * value / most, 1.5), abs=0.06)
    base, top = made.paths
    assert (base["d"], base["stroke"]) == ("M4,148.0 H896.0", LINE)
    assert (top["d"], "stroke-dasharray" in top) == ("M4,24.0 H896.0", True)
    highest = next(day for day in active if given.by_day[day].total_tokens == most)
    said = f"{plots.short(most)} on {highest.day} {plots.MONTHS[highest.month - 1]}"
    assert (made.words[0].said, made.words[0].x, made.words[0].y) == (said, 4, 17)
    marks = made.words[1:]
    assert {(one.y, one.size) for one in made.words[1:]} == {(166, 11)}
    for one in marks:
        if name == "2026":
            day = date(2026, plots.MONTHS.index(one.said) + 1, 1)
            assert (one.anchor, one.x) == ("start", close(4 + (day - days[0]).days * step))
        else:
            number, month = one.said.split()
            day = date(2026, plots.MONTHS.index(month) + 1, int(number))
            at = 4 + (day - days[0]).days * step + step / 2
            assert (one.anchor, one.x) == ("middle", close(at))
    for one, other in combinations([word.box for word in made.words], 2):
        assert not one.overlaps(other)


def test_a_time_without_tokens_has_its_line_alone_and_the_first_of_two_highest_is_named() -> None:
    for by_day in ({}, {date(2026, 2, 1): usage(1, 0)}):
        made = picture(plots.pulse(figures(by_day=by_day)))
        assert (len(made.boxes), len(made.paths)) == (0, 1)
        assert "on" not in " ".join(one.said for one in made.words).split()
    two = {date(2026, 2, day): usage(1, 12_000) for day in (4, 9)}
    two[date(2026, 2, 5)] = usage(1, 1)
    made = picture(plots.pulse(figures(by_day=two)))
    assert made.words[0].said == "12K on 4 Feb"
    assert [box.tall for box in made.boxes] == [124, 1.5, 124], "a little is seen, too"


# -- the card to share


@pytest.mark.parametrize("name", PERIODS)
def test_a_card_has_its_figures_its_days_and_its_facts_side_by_side(name: str) -> None:
    given = figures(name, as_of=datetime(2027, 1, 1, tzinfo=UTC))
    svg = plots.share_card(given, "Europe/Berlin")
    root = ET.fromstring(svg)
    assert (root.get("width"), root.get("height")) == ("1200", "630")
    made = picture(svg)
    assert (made.width, made.height) == (1200, 630)
    title = f"{given.period.title} with Claude"
    assert made.label == title
    back = made.boxes[0]
    assert (back.wide, back.tall, back.fill) == (1200, 630, "#17181d")
    assert [circle[:3] for circle in made.circles] == [
        (1176, -18, radius) for radius in (300, 260, 220, 180, 140, 100)
    ]
    (heading,) = made.saying(title)
    assert (heading.x, heading.y, heading.size) == (72, 98, 54)
    assert (heading.fill, heading.weight) == (INK, "700")
    names = ("responses", "tokens", "active days", "days in a row, at best")
    values = (
        plots.short(given.responses),
        plots.short(given.total_tokens),
        f"{len(given.by_day):,}",
        "1",
    )
    for place, (value, said) in enumerate(zip(values, names, strict=True)):
        (under,) = made.saying(said)
        assert (under.x, under.y, under.size, under.fill) == (74 + 272 * place, 250, 20, MUTED)
        (figure,) = [one for one in made.saying(value) if (one.x, one.y) == (under.x - 2, 216)]
        assert (figure.size, figure.weight) == (60, "700")
        assert figure.fill == (ACCENT if place == 0 else INK)
    facts = [
        "mostly Claude Sonnet 4.5",
        f"busiest on {max(given.by_day):%-d %b}: {given.by_day[max(given.by_day)].responses:,} "
        "responses",
        "$3.00 saved by caching",
        "12.3K tool calls",
        "42 lines written",
    ]
    squares = made.squares
    assert [day_of(square)[0] for square in squares] == given.period.days
    size, step, top = {
        "2026": (16.4, 20.0, 318.0),
        "2026-W09": (56.0, 64.0, 388.0),
    }.get(name, (28.0, 33.0, 296.0))
    assert min(square.left for square in squares) == 72
    assert min(square.top for square in squares) == top
    assert {(square.wide, square.tall) for square in squares} == {(size, size)}
    lefts = sorted({square.left for square in squares})
    assert all(right - left == pytest.approx(step, abs=0.11) for left, right in pairwise(lefts))
    if name == "2026":
        (line,) = made.saying("   ·   ".join(facts[:3]))
        assert (line.x, line.y, line.size, line.fill) == (72, 520, 21, INK)
    else:
        beside = lefts[-1] + step + 60
        for place, fact in enumerate(facts):
            (line,) = made.saying(fact)
            assert (line.x, line.y) == near(beside, 330 + 44 * place)
            assert (line.size, line.fill) == (24, INK)
    assert [path["d"] for path in made.paths] == ["M72,556 H1128"]
    (counted,) = made.saying("counted on this computer by cdesk")
    (zone,) = made.saying("Europe/Berlin")
    assert (counted.x, counted.y, counted.size, counted.anchor) == (72, 592, 18, "start")
    assert (zone.x, zone.y, zone.size, zone.anchor) == (1128, 592, 18, "end")
    numbers = [one for one in made.words if one.said.isdigit() and one.y > 300]
    assert len(numbers) == (7 if name == "2026-W09" else 0), "a year and a month have no room"
    made.require_order()


def test_a_card_says_what_it_knows_alone() -> None:
    nothing = figures(
        by_day={}, models=[], activities={}, lines_added=0, saved_usd=None, as_of=None
    )
    assert plots._facts(nothing) == []
    made = picture(plots.share_card(nothing, "UTC"))
    assert [one.said for one in made.words if one.y == 216] == ["0", "0", "0", "0"]
    for saved in (0.0, -1.0):
        assert plots._facts(figures(by_day={}, models=[], saved_usd=saved))[:1] == [
            "12.3K tool calls"
        ]
    three = {date(2026, 2, 9) + timedelta(days=n): usage(1) for n in (0, 1, 2, 5)}
    made = picture(plots.share_card(figures(by_day=three), "UTC"))
    assert [one.said for one in made.words if one.y == 216] == ["4", "4,000", "4", "3"]
    (counted,) = (one for one in made.words if one.said.startswith("counted"))
    assert counted.said.endswith("cdesk; outlined days are not on record")
