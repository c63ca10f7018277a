"""The plots of a review, as SVG that goes into a page or stands by itself. All text is escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from html import escape
from typing import Final

from cdesk_app.render.review_figures import Figures, Period, Usage

STEPS: Final = ("#262a33", "#5b3a2e", "#93492f", "#cf6238", "#f59a6c", "#ffd9c2")
"""No use, then little to much."""
INK: Final = "#f4efe8"
MUTED: Final = "#a39d94"
ACCENT: Final = "#f08a5d"
COOL: Final = "#7cc4b8"
LINE: Final = "#34373f"
FONT: Final = "Inter, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif"
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def short(value: float) -> str:
    """A figure in few characters: 1,234 or 1.2M."""
    for limit, mark in ((1e9, "B"), (1e6, "M"), (1e4, "K")):
        if abs(value) >= limit:
            scale = 1e3 if mark == "K" else limit
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


def _step(value: float, most: float) -> str:
    if value <= 0 or most <= 0:
        return STEPS[0]
    place = 1 + int(math.sqrt(value / most) * (len(STEPS) - 1.001))
    return STEPS[min(place, len(STEPS) - 1)]


def svg(width: float, height: float, label: str, *parts: str) -> str:
    """A picture with what it shows in words."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'role="img" aria-label="{escape(label, quote=True)}">{"".join(parts)}</svg>'
    )


def _cell(x: float, y: float, size: float, fill: str, told: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="{size:.1f}" '
        f'rx="{size / 5:.1f}" fill="{fill}"><title>{escape(told)}</title></rect>'
    )


def calendar_cells(
    period: Period, by_day: Mapping[date, Usage], *, x: float, y: float, size: float, gap: float
) -> tuple[list[str], float]:
    """A square a day, a column a week; and how wide it is."""
    most = max((usage.responses for usage in by_day.values()), default=0)
    start = period.first - timedelta(days=period.first.weekday())
    parts: list[str] = []
    column = 0
    for day in period.days:
        column = (day - start).days // 7
        usage = by_day.get(day)
        count = usage.responses if usage else 0
        told = f"{day:%a} {day.day} {MONTHS[day.month - 1]} {day.year}: {count:,} responses"
        place = (x + column * (size + gap), y + day.weekday() * (size + gap))
        parts.append(_cell(*place, size, _step(count, most), told))
    return parts, (column + 1) * (size + gap)


def calendar(figures: Figures) -> str:
    """Every day of the time, the brighter the more responses."""
    period = figures.period
    weeks = ((period.last - period.first).days + period.first.weekday()) // 7 + 1
    size, gap = (14.0, 3.4) if weeks > 8 else (40.0, 7.0)
    left, top = 38.0, 24.0
    cells, _ = calendar_cells(period, figures.by_day, x=left, y=top, size=size, gap=gap)
    parts = [
        text(left - 10, top + row * (size + gap) + size * 0.72, _DAYS[row], size=10, anchor="end")
        for row in (range(0, 7, 2) if weeks > 8 else range(7))
    ]
    start = period.first - timedelta(days=period.first.weekday())
    for day in period.days:
        if day.day == 1:
            column = (day - start).days // 7 + (1 if day.weekday() > 2 and weeks > 8 else 0)
            parts.append(text(left + column * (size + gap), 13, MONTHS[day.month - 1], size=11))
    width = left + weeks * (size + gap) + 4
    height = top + 7 * (size + gap) + 24
    legend_x = width - 6 * 16 - 78
    if weeks > 8:
        parts.append(text(legend_x, height - 6, "less", size=10, anchor="end"))
        for place, fill in enumerate(STEPS):
            at = legend_x + 6 + place * 15
            parts.append(
                f'<rect x="{at}" y="{height - 15}" width="11" height="11" rx="2.5" fill="{fill}"/>'
            )
        parts.append(text(legend_x + 6 + 6 * 15 + 2, height - 6, "more", size=10))
    active = len(figures.by_day)
    return svg(max(width, 320), height, f"A calendar: {active} active days", *cells, *parts)


def hours(figures: Figures) -> str:
    """Weekday by hour, a disc for how many responses."""
    most = max(figures.by_hour.values(), default=0)
    step, row, left, top = 34.0, 34.0, 44.0, 12.0
    parts: list[str] = []
    for weekday in range(7):
        y = top + weekday * row + row / 2
        parts.append(text(left - 14, y + 4, _DAYS[weekday], size=11, anchor="end"))
        for hour in range(24):
            count = figures.by_hour.get((weekday, hour), 0)
            x = left + hour * step + step / 2
            radius = 2.0 if not count else 3.2 + 11.8 * math.sqrt(count / most)
            told = f"{_DAYS[weekday]} {hour:02}:00: {count:,} responses"
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{_step(count, most)}">'
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
    top = max((value for _, value, _ in shown), default=0) or 1
    width, height = 430.0, 38.0
    parts: list[str] = []
    for place, (name, value, said) in enumerate(shown):
        y = place * height
        long = max((width - 4) * value / top, 3)
        parts.append(text(2, y + 14, name if len(name) < 44 else f"{name[:42]}…", fill=INK))
        parts.append(text(width - 2, y + 14, said, anchor="end"))
        parts.append(
            f'<rect x="2" y="{y + 20:.1f}" width="{width - 4:.1f}" height="7" rx="3.5" '
            f'fill="{STEPS[0]}"/><rect x="2" y="{y + 20:.1f}" width="{long:.1f}" height="7" '
            f'rx="3.5" fill="{fill}"/>'
        )
    return svg(width, max(len(shown), 1) * height, label, *parts)


def pulse(figures: Figures) -> str:
    """Tokens by day, as an area."""
    days = figures.period.days
    known = [day for day in days if day <= max(figures.by_day, default=days[0])]
    values = [
        float(usage.total_tokens) if (usage := figures.by_day.get(day)) else 0.0 for day in known
    ]
    width, height, base = 900.0, 150.0, 130.0
    top = max(values, default=0) or 1
    step = (width - 8) / max(len(days) - 1, 1)
    points = [
        (4 + place * step, base - 112 * value / top) for place, value in enumerate(values)
    ] or [(4.0, base)]
    line = " L".join(f"{x:.1f},{y:.1f}" for x, y in points)
    area = f"M{points[0][0]:.1f},{base} L{line} L{points[-1][0]:.1f},{base} Z"
    parts = [
        '<defs><linearGradient id="glow" x1="0" x2="0" y1="0" y2="1">'
        f'<stop offset="0" stop-color="{ACCENT}" stop-opacity=".75"/>'
        f'<stop offset="1" stop-color="{ACCENT}" stop-opacity=".04"/></linearGradient></defs>',
        f'<path d="{area}" fill="url(#glow)"/>',
        f'<path d="M{line}" fill="none" stroke="{ACCENT}" stroke-width="1.8" '
        'stroke-linejoin="round"/>',
        f'<path d="M4,{base} H{width - 4}" stroke="{LINE}"/>',
    ]
    for place, day in enumerate(days):
        marked = day.day == 1 if len(days) > 62 else day.weekday() == 0 or len(days) < 10
        if marked:
            said = MONTHS[day.month - 1] if len(days) > 62 else f"{day.day} {MONTHS[day.month - 1]}"
            anchor = "end" if place * step > width - 60 else "start"
            parts.append(text(4 + place * step, height - 4, said, size=11, anchor=anchor))
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
    parts = [
        '<defs><linearGradient id="sky" x1="0" y1="0" x2="1" y2="1">'
        '<stop offset="0" stop-color="#1d1f26"/><stop offset=".55" stop-color="#17181d"/>'
        '<stop offset="1" stop-color="#33211b"/></linearGradient>'
        '<radialGradient id="sun" cx="1" cy="0" r="1">'
        f'<stop offset="0" stop-color="{ACCENT}" stop-opacity=".42"/>'
        f'<stop offset=".6" stop-color="{ACCENT}" stop-opacity="0"/></radialGradient></defs>',
        f'<rect width="{width}" height="{height}" fill="url(#sky)"/>',
        f'<rect width="{width}" height="{height}" fill="url(#sun)"/>',
        text(72, 98, f"{period.title} with Claude", size=54, fill=INK, weight=700),
    ]
    for place, (value, name) in enumerate(cards):
        x = 72 + place * 272
        parts.append(text(x, 216, value, size=60, fill=ACCENT if place == 0 else INK, weight=700))
        parts.append(text(x + 2, 250, name, size=20))
    weeks = ((period.last - period.first).days + period.first.weekday()) // 7 + 1
    size, gap = (16.4, 3.6) if weeks > 8 else (28.0, 5.0)
    y = 318.0 if weeks > 8 else 296.0
    cells, wide = calendar_cells(period, figures.by_day, x=72, y=y, size=size, gap=gap)
    parts += cells
    facts = _facts(figures)
    if weeks > 8:
        parts.append(text(72, 520, "   ·   ".join(facts[:3]), size=21, fill=INK))
    else:
        for place, fact in enumerate(facts[:5]):
            parts.append(text(72 + wide + 60, 330 + place * 44, fact, size=24, fill=INK))
    parts.append(f'<path d="M72,556 H1128" stroke="{LINE}"/>')
    parts.append(text(72, 592, "counted on this computer by cdesk", size=18))
    parts.append(text(1128, 592, zone, size=18, anchor="end"))
    return svg(width, height, f"{period.title} with Claude", *parts).replace(
        "<svg ", f'<svg width="{width:.0f}" height="{height:.0f}" ', 1
    )


def _facts(figures: Figures) -> list[str]:
    facts = []
    if figures.models:
        facts.append(f"mostly {model_title(figures.models[0].name)}")
    if figures.busiest:
        day, usage = figures.busiest
        facts.append(f"busiest on {day.day} {MONTHS[day.month - 1]}: {usage.responses:,} responses")
    if figures.saved_usd and figures.saved_usd > 0:
        facts.append(f"{dollars(figures.saved_usd)} saved by caching")
    if figures.activities.get("cdesk.tool_called"):
        facts.append(f"{short(figures.activities['cdesk.tool_called'])} tool calls")
    if figures.lines_added:
        facts.append(f"{short(figures.lines_added)} lines written")
    return facts


def model_title(name: str) -> str:
    """A model's name as people say it: Claude Sonnet 4.5."""
    words = [word for word in name.split("-") if not (word.isdigit() and len(word) == 8)]
    said: list[str] = []
    for word in words:
        if word.isdigit() and said and said[-1][-1].isdigit():
            said[-1] += f".{word}"
        else:
            said.append(word if word.isdigit() else word.capitalize())
    return " ".join(said)
