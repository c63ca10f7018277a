"""The plots of a review, as SVG that goes into a page or stands by itself. All text is escaped."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from itertools import zip_longest
from typing import Final

from cdesk_app.render.review_figures import Figures, Period

STEPS: Final = ("#262a33", "#5b3a2e", "#93492f", "#cf6238", "#f59a6c", "#ffd9c2")
"""No use, then little to much."""
INK: Final = "#f4efe8"
MUTED: Final = "#a39d94"
ACCENT: Final = "#f08a5d"
COOL: Final = "#7cc4b8"
LINE: Final = "#34373f"
OUTLINE: Final = "#4b4f59"
FONT: Final = "Inter, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif"
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def short(value: float) -> str:
    """A figure in few characters: 1,234 or 1.2M."""
    # From where on: 999,600 is 1M, not 1,000K.
    for least, scale, mark in ((999.5e6, 1e9, "B"), (999.5e3, 1e6, "M"), (1e4, 1e3, "K")):
        if abs(value) >= least:
            digits = 0 if abs(value) >= 100 * scale else 1
            text = f"{value / scale:,.{digits}f}".removesuffix(".0")
            return f"{text}{mark}"
    return f"{value:,.0f}"


def dollars(value: float | None) -> str:
    """A cost; one that is not known is said to be so."""
    if value is None:
        return "unpriced"
    return f"${value:,.0f}" if value >= 100 else f"${value:,.2f}"


def text(
    x: float,
    y: float,
    said: str,
    *,
    size: float = 12,
    fill: str = MUTED,
    weight: int = 400,
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" '
        f'font-weight="{weight}" text-anchor="{anchor}" font-family="{escape(FONT)}">'
        f"{escape(said)}</text>"
    )


@dataclass(frozen=True, slots=True)
class Levels:
    """What the colours of days stand for: from which number of responses on each holds. As many
    days have the one as the other, but for the brightest: one great day does not dim the rest.
    """

    bounds: tuple[int, ...]

    @classmethod
    def of(cls, counts: Iterable[int]) -> Levels:
        known = sorted(count for count in counts if count > 0)
        shares = (0.0, 0.25, 0.5, 0.75, 0.94)
        return cls(tuple(sorted({known[int(share * len(known))] for share in shares if known})))

    def fill(self, count: int) -> str:
        return self._fills[bisect_right(self.bounds, count)]

    @property
    def _fills(self) -> list[str]:
        """None, then one for each bound, from the whole range of brightness."""
        number, brightest = len(self.bounds), len(STEPS) - 1
        if number == 1:
            return [STEPS[0], STEPS[3]]
        steps = [1 + round(place * (brightest - 1) / (number - 1)) for place in range(number)]
        return [STEPS[0], *(STEPS[step] for step in steps)]

    def legend(self) -> list[tuple[str, str]]:
        """Colour and what it says."""
        said = ["none"]
        for low, following in zip_longest(self.bounds, self.bounds[1:]):
            if following is None:
                said.append(f"{low:,} or more" if low > 1 else "1 or more")
            else:
                said.append(f"{low:,}" if following == low + 1 else f"{low:,} to {following - 1:,}")
        return list(zip(self._fills, said, strict=True))


def _step(share: float) -> str:
    """The colour of a share of the most there was."""
    return STEPS[1 + int(math.sqrt(share) * (len(STEPS) - 1.001))] if share else STEPS[0]


def svg(width: float, height: float, label: str, *parts: str, sized: bool = False) -> str:
    """A picture with what it shows in words; `sized` where it stands by itself."""
    size = f'width="{width:.0f}" height="{height:.0f}" ' if sized else ""
    return (
        f'<svg {size}xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def _cell(x: float, y: float, size: float, fill: str | None, told: str) -> str:
    """A day's square; an outline where nothing is known of the day."""
    look = f'fill="{fill}"' if fill else f'fill="none" stroke="{OUTLINE}"'
    inset = 0.0 if fill else 0.5
    return (
        f'<rect x="{x + inset:.1f}" y="{y + inset:.1f}" width="{size - 2 * inset:.1f}" '
        f'height="{size - 2 * inset:.1f}" rx="{size / 5:.1f}" {look}>'
        f"<title>{escape(told)}</title></rect>"
    )


def calendar_cells(
    figures: Figures, *, x: float, y: float, size: float, gap: float, numbered: bool
) -> tuple[list[str], float]:
    """A square a day, a column a week, with the day's number where it is `numbered`; and how wide
    it is. One week by itself is a row.
    """
    period = figures.period
    levels = _levels(figures)
    parts: list[str] = []
    is_row = period.kind == "week"
    for day in period.days:
        usage = figures.by_day.get(day)
        count = usage.responses if usage else 0
        is_known = figures.known_from <= day <= figures.known_to
        fill = levels.fill(count) if is_known else None
        named = f"{day:%a} {day.day} {MONTHS[day.month - 1]} {day.year}"
        told = f"{named}: {count:,} responses" if is_known else f"{named}: not on record"
        left = x + _column(period, day) * (size + gap)
        top = y if is_row else y + day.weekday() * (size + gap)
        parts.append(_cell(left, top, size, fill, told))
        if numbered:
            ink = "#2a1a13" if fill in STEPS[4:] else INK if count else MUTED
            middle = (left + size / 2, top + size / 2 + size * 0.12)
            parts.append(text(*middle, f"{day.day}", size=size * 0.33, fill=ink, anchor="middle"))
    return parts, _columns(period) * (size + gap)


def _column(period: Period, day: date) -> int:
    """A week each, but one week by itself has a column a day."""
    if period.kind == "week":
        return day.weekday()
    return ((day - period.first).days + period.first.weekday()) // 7


def _columns(period: Period) -> int:
    return _column(period, period.last) + 1


def _weekdays(x: float, y: float, step: float, size: float) -> list[str]:
    """Names of the days of a week, each over the middle of its square."""
    return [
        text(x + place * step + step / 2, y, name, size=size, anchor="middle")
        for place, name in enumerate(_DAYS)
    ]


def _levels(figures: Figures) -> Levels:
    return Levels.of(usage.responses for usage in figures.by_day.values())


def _is_whole(figures: Figures) -> bool:
    """Whether every day of the time is on record."""
    period = figures.period
    return (figures.known_from, figures.known_to) == (period.first, period.last)


def _legend(figures: Figures, *, x: float, y: float, width: float) -> tuple[list[str], float]:
    """What the colours stand for, in lines of `width`; and how high it is."""
    entries: list[tuple[str | None, str]] = [*_levels(figures).legend()]
    if not _is_whole(figures):
        entries.append((None, "not on record"))
    parts = [text(x, y, "responses a day", size=11)]
    left, top = x + 104.0, y
    for fill, said in entries:
        wide = 17 + 6.3 * len(said) + 16
        if left + wide > x + width:
            left, top = x, top + 20
        parts += [_cell(left, top - 9.5, 11, fill, said), text(left + 16, top, said, size=11)]
        left += wide
    return parts, top - y + 14


def calendar(figures: Figures) -> str:
    """Every day of the time, the brighter the more responses, and what the colours stand for."""
    period = figures.period
    is_long = period.kind == "year"
    size, gap = (14.0, 3.4) if is_long else (46.0, 7.0)
    is_row = period.kind == "week"
    left, top = (2.0 if is_row else 38.0), 24.0
    cells, _ = calendar_cells(figures, x=left, y=top, size=size, gap=gap, numbered=not is_long)
    if is_row:
        parts = _weekdays(left - gap / 2, 13, size + gap, 11)
    else:
        parts = [
            text(
                left - 10, top + row * (size + gap) + size * 0.72, _DAYS[row], size=10, anchor="end"
            )
            for row in (range(0, 7, 2) if is_long else range(7))
        ]
    for day in period.days:
        if day.day == 1 and not is_row:
            column = _column(period, day) + (1 if day.weekday() > 2 and is_long else 0)
            parts.append(text(left + column * (size + gap), 13, MONTHS[day.month - 1], size=11))
    width = max(left + _columns(period) * (size + gap) + 4, 380.0)
    bottom = top + (1 if is_row else 7) * (size + gap)
    legend, high = _legend(figures, x=left if is_long else 2.0, y=bottom + 22, width=width - left)
    active = len(figures.by_day)
    return svg(
        width, bottom + 22 + high, f"A calendar: {active} active days", *cells, *parts, *legend
    )


def hours(figures: Figures) -> str:
    """Weekday by hour, a disc for how many responses."""
    most = max(figures.by_hour.values(), default=0.0)
    step, row, left, top = 34.0, 34.0, 44.0, 12.0
    parts: list[str] = []
    for weekday in range(7):
        y = top + weekday * row + row / 2
        parts.append(text(left - 14, y + 4, _DAYS[weekday], size=11, anchor="end"))
        for hour in range(24):
            count = figures.by_hour.get((weekday, hour), 0)
            x = left + hour * step + step / 2
            share = count / most if count else 0.0
            radius = 3.2 + 11.8 * math.sqrt(share) if share else 2.0
            told = f"{_DAYS[weekday]} {hour:02}:00: {count:,} responses"
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{_step(share)}">'
                f"<title>{told}</title></circle>"
            )
    bottom = top + 7 * row + 16
    for hour in range(0, 24, 3):
        at = left + hour * step + step / 2
        parts.append(text(at, bottom, f"{hour:02}", size=11, anchor="middle"))
    return svg(left + 24 * step + 6, bottom + 10, "When: weekday by hour", *parts)


def bars(
    rows: Sequence[tuple[str, float, str]], *, label: str, fill: str = ACCENT, most: int = 8
) -> str:
    """Names with a bar and what it says; what is beyond `most` is one row."""
    shown = list(rows[:most])
    if len(rows) > most:
        rest = sum(value for _, value, _ in rows[most:])
        shown.append((f"{len(rows) - most} others", rest, short(rest)))
    top = max([0.0, *(value for _, value, _ in shown)])
    width, height = 430.0, 38.0
    parts: list[str] = []
    for place, (name, value, said) in enumerate(shown):
        y = place * height
        long = max((width - 4) * value / top, 3) if top else 3
        parts += [
            text(2, y + 14, name if len(name) < 44 else f"{name[:42]}…", fill=INK),
            text(width - 2, y + 14, said, anchor="end"),
            f'<rect x="2" y="{y + 20:.1f}" width="{width - 4:.1f}" height="7" rx="3.5" '
            f'fill="{STEPS[0]}"/><rect x="2" y="{y + 20:.1f}" width="{long:.1f}" height="7" '
            f'rx="3.5" fill="{fill}"/>',
        ]
    return svg(width, max(len(shown), 1) * height, label, *parts)


def pulse(figures: Figures) -> str:
    """Tokens by day, a bar each, with the height of the highest named."""
    days = figures.period.days
    values = [usage.total_tokens if (usage := figures.by_day.get(day)) else 0 for day in days]
    width, height, base, high = 900.0, 170.0, 148.0, 124.0
    top = max(values)
    is_long = figures.period.kind == "year"
    step = (width - 8) / len(days)
    wide = min(max(step * 0.72, 1.4), 46.0)
    parts = [
        f'<path d="M4,{base} H{width - 4}" stroke="{LINE}"/>',
    ]
    if top:
        when = days[values.index(top)]
        said = f"{short(top)} on {when.day} {MONTHS[when.month - 1]}"
        parts += [
            f'<path d="M4,{base - high} H{width - 4}" stroke="{LINE}" stroke-dasharray="2 5"/>',
            text(4, base - high - 7, said, size=11),
        ]
    for place, day in enumerate(days):
        value = values[place]
        at = 4 + place * step + step / 2
        if value:
            tall = max(high * value / top, 1.5)
            told = f"{day.day} {MONTHS[day.month - 1]}: {value:,} tokens"
            parts.append(
                f'<rect x="{at - wide / 2:.1f}" y="{base - tall:.1f}" width="{wide:.1f}" '
                f'height="{tall:.1f}" rx="{min(wide / 3, 4):.1f}" fill="{ACCENT}">'
                f"<title>{told}</title></rect>"
            )
        marked = day.weekday() == 0 or figures.period.kind == "week"
        if day.day == 1 if is_long else marked:
            said = MONTHS[day.month - 1] if is_long else f"{day.day} {MONTHS[day.month - 1]}"
            begin = at - step / 2 if is_long else at
            anchor = "start" if is_long else "middle"
            parts.append(text(begin, height - 4, said, size=11, anchor=anchor))
    return svg(width, height, "Tokens by day", *parts)


def share_card(figures: Figures, zone: str) -> str:
    """One picture to show to a friend, 1200 by 630: figures and calendar, no name of a project."""
    period = figures.period
    streak = figures.streaks[0].days if figures.streaks else 0
    cards = (
        (short(figures.responses), "responses"),
        (short(figures.total_tokens), "tokens"),
        (f"{len(figures.by_day):,}", "active days"),
        (f"{streak:,}", "days in a row, at best"),
    )
    width, height = 1200.0, 630.0
    # Rings, each of one tone: a wash of colour over so much dark shows bands in eight bits.
    rings = [
        f'<circle cx="{width - 24}" cy="-18" r="{radius}" fill="{ACCENT}" fill-opacity=".075"/>'
        for radius in range(300, 60, -40)
    ]
    parts = [
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#17181d"/>',
        *rings,
        text(72, 98, f"{period.title} with Claude", size=54, fill=INK, weight=700),
    ]
    for place, (value, name) in enumerate(cards):
        x = 72 + place * 272
        fill = ACCENT if place == 0 else INK
        parts += [
            text(x, 216, value, size=60, fill=fill, weight=700),
            text(x + 2, 250, name, size=20),
        ]
    is_long = period.kind == "year"
    size, gap = (16.4, 3.6) if is_long else (28.0, 5.0)
    y = 318.0 if is_long else 296.0
    is_row = period.kind == "week"
    if is_row:
        size, gap, y = 56.0, 8.0, 388.0
        parts += _weekdays(72 - gap / 2, y - 14, size + gap, 18)
    cells, wide = calendar_cells(figures, x=72, y=y, size=size, gap=gap, numbered=is_row)
    parts += cells
    facts = _facts(figures)
    if is_long:
        parts.append(text(72, 520, "   ·   ".join(facts[:3]), size=21, fill=INK))
    else:
        for place, fact in enumerate(facts):
            parts.append(text(72 + wide + 60, 330 + place * 44, fact, size=24, fill=INK))
    parts.append(f'<path d="M72,556 H1128" stroke="{LINE}"/>')
    counted = "counted on this computer by cdesk"
    if not _is_whole(figures):
        counted += "; outlined days are not on record"
    parts += [text(72, 592, counted, size=18), text(1128, 592, zone, size=18, anchor="end")]
    return svg(width, height, f"{period.title} with Claude", *parts, sized=True)


def _facts(figures: Figures) -> list[str]:
    facts = []
    if figures.models:
        facts.append(f"mostly {model_title(figures.models[0].name)}")
    if figures.busiest:
        day, usage = figures.busiest
        facts.append(f"busiest on {day.day} {MONTHS[day.month - 1]}: {usage.responses:,} responses")
    if figures.saved_usd is not None and figures.saved_usd > 0:
        facts.append(f"{dollars(figures.saved_usd)} saved by caching")
    if figures.activities.get("cdesk.tool_called"):
        facts.append(f"{short(figures.activities['cdesk.tool_called'])} tool calls")
    if figures.lines_added:
        facts.append(f"{short(figures.lines_added)} lines written")
    return facts


def model_title(name: str) -> str:
    """A model's name as people say it: Claude Sonnet 4.5."""
    parts = filter(None, name.split("-"))
    words = [word for word in parts if not (word.isdigit() and len(word) == 8)]
    said: list[str] = []
    for word in words:
        if word.isdigit() and said and said[-1][-1].isdigit():
            said[-1] += f".{word}"
        else:
            said.append(word if word.isdigit() else word.capitalize())
    return " ".join(said)
