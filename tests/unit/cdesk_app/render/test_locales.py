"""Numbers and dates as a locale writes them; the words, and what a model reads, stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdesk.core.config import load_settings
from cdesk.core.errors import ConfigurationError
from cdesk_app.render.charts import chart_of
from cdesk_app.render.locales import PLAIN, formats_of
from cdesk_app.render.paint import Painter
from cdesk_app.render.table import Table
from cdesk_app.render.words import cell, lately, locale_formats, moment, number, percent, use_locale

NOON = datetime(2026, 1, 31, 12, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _english_again() -> Iterator[None]:
    yield
    use_locale(PLAIN)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("en", ["1,234,567", "1,234.6", "3.4 %", "2026-01-31 13:05", "2026-01-31"]),
        ("de-DE", ["1.234.567", "1.234,6", "3,4 %", "31.01.2026, 13:05", "31.01.2026"]),
        ("de_DE", ["1.234.567", "1.234,6", "3,4 %", "31.01.2026, 13:05", "31.01.2026"]),
        ("fr-FR", ["1\u202f234\u202f567", "1\u202f234,6", "3,4 %", "31 janv. 2026, 13:05", "31 janv. 2026"]),
    ],
)  # fmt: skip
def test_numbers_and_moments_are_the_locales(name: str, said: list[str]) -> None:
    use_locale(name)
    berlin = ZoneInfo("Europe/Berlin")
    assert [
        number(1_234_567),
        number(1_234.56),
        percent(0.034),
        moment(NOON, berlin),
        moment(date(2026, 1, 31), berlin),
    ] == said
    assert cell(1_234, "integer", UTC) == number(1_234)
    late = "2026-01-30T23:30:00.000000Z"  # the 31st there
    assert lately(late, berlin, NOON) == "00:30"
    assert lately(late, UTC, NOON) == moment(date(2026, 1, 30), UTC)


def test_a_locale_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    home = {"CDESK_HOME": str(tmp_path)}
    with pytest.raises(ConfigurationError, match="as de-DE"):
        formats_of("xx-YY")
    for name in ("<b>", "de;", "../x", "x" * 40):
        with pytest.raises(ConfigurationError, match="locale"):
            load_settings({**home, "CDESK_LOCALE": name})
    assert load_settings({**home, "CDESK_LOCALE": "pt_BR"}).locale == "pt_BR"


@pytest.mark.parametrize("name", ["de-DE", "ja", "ar", "hi", "fr-CA", "zh-Hant-TW"])
def test_a_chart_is_drawn_in_any_locale(name: str, tmp_path: Path) -> None:
    days = [datetime(2026, 1, 20, tzinfo=UTC) + timedelta(days=n) for n in range(60)]
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"day": days, "total": [1_500 * n for n in range(60)]}), path)
    use_locale(name)
    made = chart_of(Table(path), {}, UTC)
    assert made.spec is not None
    svg = Painter(locale_formats()).svg(made.spec, "light")
    english = Painter().svg(made.spec, "light")
    months = formats_of(name).chart()["time_format_locale"]["shortMonths"]
    assert len(set(months)) == 12
    assert months[1] in svg
    assert "Feb" in english
