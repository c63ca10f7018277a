"""A review as one page that needs nothing else, and as a card to share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from markupsafe import Markup

from cdesk_app.render import review_plots as plots
from cdesk_app.render.pages import page
from cdesk_app.render.review_figures import Figures


@dataclass(frozen=True, slots=True)
class Review:
    """The page (HTML) and the card (SVG, and PNG of twice its size)."""

    html: str
    card_svg: str
    card_png: bytes


def make_review(figures: Figures, *, zone: str, projects: bool = True) -> Review:
    """The review of `figures`. Without `projects` no name of one is shown.

    Raises:
        ImportError: the extra `render` is not installed.
    """
    import vl_convert

    card = plots.share_card(figures, zone)
    html = page("review.html", **_values(figures, zone, projects))
    return Review(html, card, vl_convert.svg_to_png(card, scale=2))


def _values(figures: Figures, zone: str, projects: bool) -> dict[str, Any]:
    streak = figures.streaks[0] if figures.streaks else None
    return {
        "title": f"{figures.period.title} with Claude",
        "kind": figures.period.kind,
        "span": f"{_day(figures.period.first)} to {_day(figures.period.last)}",
        "zone": zone,
        "hero": [
            (plots.short(figures.responses), "responses"),
            (plots.short(figures.questions), "questions asked"),
            (plots.short(figures.total_tokens), "tokens"),
            (plots.dollars(figures.cost_usd), "at list prices"),
        ],
        "is_empty": not figures.by_day,
        "calendar": Markup(plots.calendar(figures)),
        "pulse": Markup(plots.pulse(figures)),
        "hours": Markup(plots.hours(figures)),
        "favourite": _favourite(figures),
        "models": Markup(
            plots.bars(
                [
                    (
                        plots.model_title(one.name),
                        float(one.responses),
                        f"{one.responses:,} responses, {plots.dollars(one.cost_usd)}",
                    )
                    for one in sorted(figures.models, key=lambda one: -one.responses)
                ],
                label="Responses by model",
            )
        ),
        "projects": Markup(
            plots.bars(
                [
                    (
                        one.name if projects else f"Project {place}",
                        float(one.total_tokens),
                        f"{plots.short(one.total_tokens)} tokens, {plots.dollars(one.cost_usd)}",
                    )
                    for place, one in enumerate(figures.projects, start=1)
                ],
                label="Tokens by project",
                fill=plots.COOL,
            )
        ),
        "tools": Markup(
            plots.bars(
                [(name, float(calls), f"{calls:,}") for name, calls in figures.tools],
                label="Calls by tool",
                most=10,
            )
        ),
        "records": _records(figures, streak, projects),
        "saved": plots.dollars(figures.saved_usd) if (figures.saved_usd or 0) > 0 else None,
        "hit_rate": f"{figures.hit_rate:.0%}" if figures.hit_rate else None,
        "cost": plots.dollars(figures.cost_usd),
        "insights": figures.insights[:8],
        "unknown": _unknown(figures),
    }


def _day(day: date) -> str:
    return f"{day.day} {plots.MONTHS[day.month - 1]} {day.year}"


def _favourite(figures: Figures) -> str | None:
    if not figures.by_hour:
        return None
    by_hour: dict[int, int] = {}
    for (_, hour), count in figures.by_hour.items():
        by_hour[hour] = by_hour.get(hour, 0) + count
    hour = max(by_hour, key=lambda one: (by_hour[one], -one))
    weekend = sum(count for (weekday, _), count in figures.by_hour.items() if weekday > 4)
    total = max(sum(by_hour.values()), 1)
    return (
        f"The busiest hour is {hour:02}:00 to {(hour + 1) % 24:02}:00, with "
        f"{by_hour[hour] / total:.0%} of all responses; {weekend / total:.0%} are of weekends."
    )


def _records(figures: Figures, streak: Any, projects: bool) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    if figures.busiest:
        day, usage = figures.busiest
        found.append(("Busiest day", _day(day), f"{usage.responses:,} responses"))
    dearest = max(
        ((usage.cost_usd, day) for day, usage in figures.by_day.items() if usage.cost_usd),
        default=None,
    )
    if dearest:
        found.append(("Costliest day", _day(dearest[1]), plots.dollars(dearest[0])))
    if streak:
        days = "1 day" if streak.days == 1 else f"{streak.days} days"
        found.append(("Longest streak", days, f"{_day(streak.first)} to {_day(streak.last)}"))
    if figures.longest_minutes:
        hours, minutes = divmod(round(figures.longest_minutes), 60)
        spent = f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
        where = f"in {figures.longest_project}" if projects else "of all"
        found.append(("Longest conversation", spent, where))
    found.append(("Conversations", f"{figures.conversations:,}", "started or carried on"))
    if figures.lines_added:
        found.append(("Lines written", plots.short(figures.lines_added), "by Claude, into files"))
    return found


def _unknown(figures: Figures) -> list[str]:
    """What these figures do not know, so that nobody takes them for more than they are."""
    said = []
    if figures.known_from > figures.period.first:
        said.append(
            f"Nothing before {_day(figures.known_from)} is on record: Claude's programs delete "
            "histories after some weeks, and what was gone before it was read is not counted."
        )
    if figures.unpriced:
        said.append(
            f"{figures.unpriced:,} responses are of models without a published price; what they "
            "cost is not in these sums."
        )
    said.append(
        "Costs are list prices of the API. With a subscription you paid something else; discounts, "
        "taxes and web searches are not counted."
    )
    said.append(
        "Counted is what Claude Code, Claude Desktop's Code tab and Cowork kept on this computer; "
        "chats in a browser or on a phone are not, and other computers neither."
    )
    return said
