"""Values and findings in words: numbers, moments in the person's time zone, names of columns."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Final

import orjson

from cdesk.core.config import zone_named
from cdesk.core.errors import ConfigurationError
from cdesk_app.render.locales import PLAIN, Formats, formats_of

MAX_CELL: Final = 2_000
"""Characters of one text in a page; a longer one is cut where everybody sees it."""
_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_NOUNS: Final = {
    "cdesk.user_asked": "questions",
    "cdesk.claude_responded": "answers",
    "cdesk.llm_called": "model calls",
    "cdesk.session_started": "sessions",
    "cdesk.session_ended": "ended sessions",
    "cdesk.tool_called": "tool calls",
    "cdesk.context_refreshed": "context refreshes",
    "cdesk.file_read": "files read",
    "cdesk.file_written": "files written",
    "cdesk.sql_executed": "queries submitted",
    "cdesk.sql_completed": "queries completed",
    "cdesk.artifact_created": "stored results",
    "cdesk.insight_recorded": "insights",
    "cdesk.insight_forgotten": "forgotten insights",
    "cdesk.error_encountered": "errors",
    "cdesk.retry_attempted": "retries",
    "cdesk.fallback_triggered": "fallbacks",
}
_UNITS: Final = {"ms": "ms", "seconds": "s", "bytes": "bytes", "usd": "USD", "credits": "credits"}


def noun(activity: str) -> str:
    """What one counts when one counts an activity: `cdesk.user_asked` → `questions`."""
    return _NOUNS.get(activity, label(activity) + " activities")


def label(text: str) -> str:
    """A value as an axis names it: `cdesk.user_asked` → `user asked`; anything else as it is."""
    if text.startswith("cdesk.") and " " not in text:
        return text.removeprefix("cdesk.").replace("_", " ")
    return shown_text(text, limit=40)


def title(column: str) -> str:
    """A column's name for a person: `latency_p95_ms` → `latency p95 (ms)`."""
    words = shown_text(column, limit=60).strip("_").split("_")
    if len(words) > 1 and words[-1].lower() in _UNITS:
        return f"{' '.join(words[:-1])} ({_UNITS[words[-1].lower()]})"
    return " ".join(word for word in words if word) or "(no name)"


_formats = formats_of(PLAIN)


def use_locale(name: str) -> None:
    """Write numbers and moments as a locale does from now on, in the whole process: one renderer
    serves one person or team. What a model reads is written by processes that never call this.

    Raises:
        ConfigurationError: nobody knows the locale.
    """
    global _formats
    _formats = formats_of(name)


def locale_formats() -> Formats:
    """The formats in use."""
    return _formats


def number(value: float | int) -> str:
    """A number for reading: grouped, at most four significant digits behind the point."""
    return _formats.number(_number(value))


def _number(value: float | int) -> str:
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "−∞"}.get(value, "NaN")
    if abs(value) >= 1e15 or 0 < abs(value) < 1e-4:
        return f"{float(value):.3g}"
    if value == int(value):
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:,.1f}".removesuffix(".0")
    return f"{value:.4g}"


def percent(share: float) -> str:
    """0.183 → `18 %`; below ten percent with one decimal."""
    points = share * 100
    text = f"{points:.0f}" if abs(points) >= 10 else f"{points:.1f}"
    return f"{_formats.number(text.removesuffix('.0'))} %"


def change(before: float, after: float) -> str | None:
    """`18 % more`, `4.5 % fewer`, `as many`; None where there is nothing to compare with."""
    if before <= 0 or not math.isfinite(before) or not math.isfinite(after):
        return None
    ratio = after / before - 1
    if abs(ratio) < 0.005:
        return "as many"
    return f"{percent(abs(ratio))} {'more' if ratio > 0 else 'fewer'}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 row`, `2 rows`, `1,200 rows`."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def zone_asked(params: Mapping[str, Any], default: tzinfo) -> tzinfo:
    """The time zone that a question was about, by its parameter `timezone`; else the person's."""
    asked = params.get("timezone")
    try:
        return zone_named(asked) if isinstance(asked, str) and asked else default
    except ConfigurationError:
        return default


def moment(value: datetime | date | str, zone: tzinfo) -> str:
    """A moment in the person's time zone, to the minute: `2026-01-31 13:05`, or as the locale has
    it; a date as it is.
    """
    if isinstance(value, str):
        try:
            return moment(datetime.fromisoformat(value), zone)
        except ValueError:
            return value
    if not isinstance(value, datetime):
        return value.isoformat() if _formats.is_plain else _formats.day(value)
    local = in_zone(value, zone)
    if not _formats.is_plain:
        return _formats.moment(local)
    return local.strftime("%Y-%m-%d %H:%M").rjust(16, "0")


def lately(text: str, zone: tzinfo, now: datetime) -> str:
    """When it was, in short: the time of a moment of today, else its day."""
    local = in_zone(datetime.fromisoformat(text), zone)
    if local.date() == now.astimezone(zone).date():
        return _formats.clock(local)
    return moment(local.date(), zone)


def in_zone(value: datetime, zone: tzinfo) -> datetime:
    """The same instant on the person's clock (a naive one is UTC); at the calendar's ends as it
    is.
    """
    aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value
    try:
        return aware.astimezone(zone)
    except OverflowError:
        return aware


def shown_text(text: str, *, limit: int = MAX_CELL) -> str:
    """Text that keeps a page whole: control and direction characters are made visible, the rest
    cut at `limit` characters.
    """
    head = text[:limit]
    if not head.isprintable():
        head = "".join(map(_visible, head))
    return head if len(text) <= limit else f"{head}… ({len(text):,} characters)"


def _visible(character: str) -> str:
    code = ord(character)
    if character in _BIDI or 0xD800 <= code <= 0xDFFF:
        return f"⟨U+{code:04X}⟩"
    if character in "\n\t":
        return "↵" if character == "\n" else "⇥"
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if unicodedata.category(character) in ("Cc", "Cf", "Co", "Cn") and character not in "\u200d":
        return f"⟨U+{code:04X}⟩"
    return character


def cell(value: Any, kind: str, zone: tzinfo) -> str | None:
    """A value as a page shows it; None for null. `kind` is the column's type in words
    (cdesk.artifacts.values.column_type).
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        # An integer of so many digits is an id or a clock's reading: whole, and ungrouped.
        return number(value) if kind != "integer" or abs(value) < 10**15 else str(value)
    if isinstance(value, str):
        return moment(value, zone) if kind == "timestamp" else shown_text(value)
    return shown_text(orjson.dumps(value).decode())


def listed(names: Sequence[str], *, most: int = 3) -> str:
    """`a, b and c`, `a, b and 4 more`."""
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1:,} more"
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else "".join(names)
