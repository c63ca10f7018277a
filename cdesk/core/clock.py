"""Time and identifiers, passed in so that a test can move them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Final

NowNs = Callable[[], int]
"""Wall clock: nanoseconds since 1970-01-01T00:00:00Z."""


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    """A timestamp without its fraction: calls come in bursts, and name few other moments."""
    stamp = time.gmtime(seconds)
    return (
        f"{stamp.tm_year:04d}-{stamp.tm_mon:02d}-{stamp.tm_mday:02d}"
        f"T{stamp.tm_hour:02d}:{stamp.tm_min:02d}:{stamp.tm_sec:02d}"
    )


def format_ts(ns: int) -> str:
    """RFC 3339 in UTC with six decimals and `Z`; `ns` are nanoseconds since the epoch, cut to
    microseconds.
    """
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1000:06d}Z"


def parse_ts(text: str) -> datetime:
    """The inverse of `format_ts`, also for other RFC 3339 texts with an offset.

    Raises:
        ValueError: the text is no timestamp, or has no offset.
    """
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError(f"{text!r} has no offset")
    return value.astimezone(UTC)


def to_ns(value: datetime) -> int:
    """Nanoseconds since the epoch of an aware datetime, exact to the microsecond."""
    delta = value - datetime(1970, 1, 1, tzinfo=UTC)
    return ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1000


_DRAWN: Final = 128
"""Identifiers, and as many tags, that random bits are drawn for at a time."""
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_forks = 0
"""How many forks separate this process from the first: a child must not reuse its parent's random
bits.
"""


def _forked() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class IdSource:
    """UUID version 7 (RFC 9562), strictly increasing within a process whatever the clock does.

    Layout: 48 bits of Unix milliseconds, 12 bits of sub-millisecond fraction used as a counter, 62
    random bits. When the clock stands still or goes back, the counter goes on from the last value
    and overflows into the milliseconds. Random bits are fetched for some hundred identifiers at a
    time, and afresh in a forked child. Not for use from several threads.
    """

    def __init__(self, now_ns: NowNs = time.time_ns) -> None:
        self._now_ns = now_ns
        self._last = 0
        self._tails: list[str] = []
        self._tags: list[str] = []
        self._fork = _forks

    def uuid7(self) -> str:
        """A new identifier: 36 lower-case characters."""
        ms, ns = divmod(self._now_ns(), 1_000_000)
        tick = (ms << 12) | (ns * 4096 // 1_000_000)
        if tick <= self._last:
            tick = self._last + 1
        self._last = tick
        if not self._tails or self._fork != _forks:
            self._draw()
        head = f"{tick:015x}"
        return f"{head[:8]}-{head[8:12]}-7{head[12:]}-{self._tails.pop()}"

    def query_tag(self) -> str:
        """A new `QUERY_TAG`: `cdesk_` and eight hex digits."""
        if not self._tags or self._fork != _forks:
            self._draw()
        return self._tags.pop()

    def _draw(self) -> None:
        """Draw random bits for the next identifiers and tags, in place of what is left."""
        self._fork = _forks
        digits = os.urandom(12 * _DRAWN).hex()
        drawn = [digits[place : place + 24] for place in range(0, 24 * _DRAWN, 24)]
        self._tails = [f"{_VARIANT[one[0]]}{one[1:4]}-{one[4:16]}" for one in drawn]
        self._tags = [f"cdesk_{one[16:]}" for one in drawn]


def local_iso(text: str, zone: tzinfo) -> str:
    """An RFC 3339 timestamp as the clock of a zone shows it, with its offset and without a fraction
    of zero; text that is no timestamp, or has no place in that calendar, as it is.
    """
    try:
        return parse_ts(text).astimezone(zone).isoformat()
    except (ValueError, OverflowError):
        return text
