"""Identifiers stay sound whatever the clock does; timestamps round-trip to the microsecond."""

from __future__ import annotations

import os
import re
import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdesk.core.clock import IdSource, format_ts, local_iso, parse_ts, to_ns


@given(st.lists(st.integers(min_value=0, max_value=2**60), min_size=2, max_size=50))
def test_identifiers_increase_under_any_clock(readings: list[int]) -> None:
    clock = iter(readings)
    source = IdSource(lambda: next(clock))
    made = [source.uuid7() for _ in readings]
    assert made == sorted(set(made))
    assert all(uuid.UUID(text).version == 7 and str(uuid.UUID(text)) == text for text in made)


def test_an_identifier_carries_its_millisecond() -> None:
    ms = 1_769_860_800_123
    assert int(IdSource(lambda: ms * 1_000_000).uuid7().replace("-", "")[:12], 16) == ms


def test_what_is_made_within_a_millisecond_is_told_apart_by_the_fraction_and_a_counter() -> None:
    now = [1_769_860_800_123_000_000]
    source = IdSource(lambda: now[0])

    def place() -> tuple[int, int]:
        digits = source.uuid7().replace("-", "")
        return int(digits[:12], 16) - 1_769_860_800_123, int(digits[13:16], 16)

    assert [place(), place()] == [(0, 0), (0, 1)]
    now[0] += 500_000
    assert [place(), place()] == [(0, 2_048), (0, 2_049)]
    now[0] += 499_999
    assert [place(), place()] == [(0, 4_095), (1, 0)], "and goes on into the next one"
    now[0] += 1_000_000
    assert place() == (1, 4_095)


def test_random_digits_are_handed_out_once() -> None:
    source = IdSource(lambda: 0)
    tags = [source.query_tag() for _ in range(2_000)]
    assert len(set(tags)) > 1_990, "of more than are fetched at a time"


def test_a_moment_is_shown_as_a_zone_has_it() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert local_iso("2026-01-31T12:00:00.000000Z", berlin) == "2026-01-31T13:00:00+01:00"
    assert local_iso("2026-07-31T12:00:00.500000Z", berlin) == "2026-07-31T14:00:00.500000+02:00"
    for text in ("no time", "2026-01-31T12:00:00", "9999-12-31T23:59:59.000000Z"):
        assert local_iso(text, berlin) == text


def test_a_timestamp_is_cut_to_microseconds() -> None:
    assert format_ts(0) == "1970-01-01T00:00:00.000000Z"
    assert format_ts(1_999) == "1970-01-01T00:00:00.000001Z"
    assert format_ts(1_769_860_800_123_456_789) == "2026-01-31T12:00:00.123456Z"
    assert format_ts(1_769_860_801_000_000_000) == "2026-01-31T12:00:01.000000Z"


def test_query_tags_have_the_agreed_form() -> None:
    assert re.fullmatch(r"cdesk_[0-9a-f]{8}", IdSource().query_tag())


@given(
    st.datetimes(
        min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - the zone follows
        max_value=datetime(2199, 1, 1),  # noqa: DTZ001
        timezones=st.just(UTC),
    )
)
def test_timestamps_round_trip(moment: datetime) -> None:
    assert parse_ts(format_ts(to_ns(moment))) == moment


def test_an_offset_is_turned_into_utc_and_a_naive_text_is_refused() -> None:
    assert parse_ts("2026-01-31T14:00:00+02:00").utcoffset() == timedelta(0)
    assert parse_ts("2026-01-31T14:00:00+02:00").hour == 12
    with pytest.raises(ValueError, match="no offset"):
        parse_ts("2026-01-31T14:00:00")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forking is a POSIX matter")
def test_a_forked_child_does_not_repeat_its_parents_random_bits() -> None:
    source = IdSource(lambda: 0)
    source.query_tag()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, source.query_tag().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 64).decode() != source.query_tag()
    os.close(read)
    os.close(write)
