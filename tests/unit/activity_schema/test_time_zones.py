"""Days, weeks and hours by the person's clock, against Python's own calendar."""

# ruff: noqa: DTZ001 - the stream's timestamps bear no zone: they are UTC

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from dbt_common.context import get_invocation_context
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.unit.activity_schema.rendering import Renderer

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",  # half an hour
    "Asia/Kathmandu",  # a quarter
    "America/Sao_Paulo",  # midnights that never were
    "America/Havana",  # midnights that were twice
    "Pacific/Apia",  # a day that never was
)
PERIOD_START = "{{ cdesk.period_start('ts', cdesk.bind_as('period', 'varchar')) }}"
PERIODS = ("hour", "day", "week", "month")


def starts(at: datetime, zone: str, period: str) -> set[datetime]:
    """When the period began in which `at` lies; both where the clock showed that twice."""
    local = at.astimezone(ZoneInfo(zone))
    if period == "hour":
        return {at - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)}  # fmt: skip
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "week":
        day -= timedelta(days=day.weekday())
    if period == "month":
        day = day.replace(day=1)
    return {day.replace(fold=fold).astimezone(UTC) for fold in (0, 1)}


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    at=st.datetimes(datetime(2000, 1, 1), datetime(2035, 12, 31)),
    zone=st.sampled_from(ZONES),
    period=st.sampled_from(PERIODS),
)
@example(datetime(2026, 10, 25, 0, 30), "Europe/Berlin", "hour")
@example(datetime(2026, 10, 25, 1, 30), "Europe/Berlin", "hour")
@example(datetime(2026, 3, 29, 22, 30), "Europe/Berlin", "day")
@example(datetime(2011, 12, 30, 9, 59), "Pacific/Apia", "day")
@example(datetime(2018, 11, 4, 12, 0), "America/Sao_Paulo", "day")
@example(datetime(2026, 2, 28, 23, 30), "Europe/Berlin", "month")
def test_a_period_begins_when_the_persons_clock_says(
    render: Renderer, connection: duckdb.DuckDBPyConnection, at: datetime, zone: str, period: str
) -> None:
    sql = render(f"select {PERIOD_START} from moments")
    connection.execute(
        "create or replace temp table moments as select cast(? as timestamp) as ts", [at]
    )
    bound = [{"timezone": zone, "period": period}[name] for name in re.findall(r"/\*(\w+)\*/", sql)]
    ((found,),) = connection.execute(sql, bound).fetchall()
    assert found.replace(tzinfo=UTC) in starts(at.replace(tzinfo=UTC), zone, period)


def test_figures_by_day_go_by_the_configured_zone(
    render: Renderer, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "select {{ cdesk.local_day(\"timestamp '2026-01-30 23:30:00'\") }} -- "
    environment: Any = get_invocation_context().env
    for zone, day in (("UTC", 30), ("Asia/Tokyo", 31), ("America/New_York", 30)):
        monkeypatch.setitem(environment, "CDESK_TIMEZONE", zone)
        ((found,),) = connection.execute(render(text + zone)).fetchall()
        assert (found.day, found.hour) == (day, 0)
    monkeypatch.setitem(environment, "CDESK_TIMEZONE", "'; drop table x")
    with pytest.raises(Exception, match="is no time zone"):
        render(text + "x")
