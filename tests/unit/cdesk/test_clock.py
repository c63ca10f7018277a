"""Identifiers stay sound whatever the clock does; timestamps round-trip to the microsecond."""

from __future__ import annotations

import os
import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdesk.core.clock import IdSource, format_ts, parse_ts, to_ns


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
