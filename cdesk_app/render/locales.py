"""How a locale writes numbers, dates and times, from the Unicode CLDR (Babel). The words of a page
stay English; what this changes is `1,234.5` and `2026-01-31 13:05`, and a chart's axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, Final

from cdesk.core.errors import ConfigurationError, shown

PLAIN: Final = "en"
"""The locale whose numbers are as Python writes them, and whose moments are ISO 8601."""


@dataclass(frozen=True, slots=True)
class Formats:
    """The formats of one locale. `name` is as Babel writes it."""

    name: str
    group: str
    decimal: str

    @property
    def is_plain(self) -> bool:
        return self.name == PLAIN

    def number(self, text: str) -> str:
        """A number as Python groups it (`1,234.5`) in the locale's signs."""
        return text.translate({ord(","): self.group, ord("."): self.decimal})

    def day(self, value: date) -> str:
        from babel.dates import format_date

        return str(format_date(value, "medium", locale=self.name))

    def clock(self, value: datetime) -> str:
        """The time to the minute; `value` is the person's clock."""
        if self.is_plain:
            return value.strftime("%H:%M")
        from babel.dates import format_time

        return str(format_time(value.replace(tzinfo=None), "short", locale=self.name))

    def moment(self, value: datetime) -> str:
        """Date and time to the minute; `value` is the person's clock."""
        return f"{self.day(value)}, {self.clock(value)}"

    def chart(self) -> dict[str, Any]:
        """Number and time formats of axes, as d3 takes them (vl-convert's `format_locale` and
        `time_format_locale`); nothing for the plain locale.
        """
        return {} if self.is_plain else _chart_formats(self)


@cache
def formats_of(name: str) -> Formats:
    """The formats of a locale, such as `de-DE`.

    Raises:
        ConfigurationError: nobody knows it, or Babel is not installed.
    """
    if name == PLAIN:
        return Formats(PLAIN, ",", ".")
    try:
        from babel import Locale, UnknownLocaleError
        from babel.numbers import get_decimal_symbol, get_group_symbol
    except ImportError:
        raise ConfigurationError(
            "locale: its formats are missing; run: pip install 'cdesk[render]'"
        ) from None
    try:
        known = str(Locale.parse(name, sep="-" if "-" in name else "_"))
    except (UnknownLocaleError, ValueError):
        raise ConfigurationError(
            f"locale is {shown(name)}; allowed: a locale of the Unicode CLDR, as de-DE"
        ) from None
    return Formats(known, get_group_symbol(known), get_decimal_symbol(known))


@cache
def _chart_formats(formats: Formats) -> dict[str, Any]:
    from babel import Locale

    locale = Locale.parse(formats.name)

    def names(kind: str, table: Any) -> list[str]:
        width = table["format"][kind]
        return [str(width[key]) for key in sorted(width)]

    days = {kind: names(kind, locale.days) for kind in ("wide", "abbreviated")}
    months = {kind: names(kind, locale.months) for kind in ("wide", "abbreviated")}
    periods = locale.day_periods["format"]["abbreviated"]
    return {
        "format_locale": {
            "decimal": formats.decimal,
            "thousands": formats.group,
            "grouping": [3],
            "currency": ["", ""],
        },
        "time_format_locale": {
            "dateTime": "%x %X",
            "date": "%Y-%m-%d",
            "time": "%H:%M:%S",
            "periods": [str(periods.get(one, one.upper())) for one in ("am", "pm")],
            # From Sunday on; Babel counts from Monday.
            "days": [days["wide"][6], *days["wide"][:6]],
            "shortDays": [days["abbreviated"][6], *days["abbreviated"][:6]],
            "months": months["wide"],
            "shortMonths": months["abbreviated"],
        },
    }
