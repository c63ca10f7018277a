from __future__ import annotations

import random
import re
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdesk.core.backoff import FULL_JITTER, Backoff, Breaker

ROOT = Path(__file__).parents[3]


def test_pauses_grow_to_the_longest() -> None:
    assert list(islice(Backoff(1.0, 5.0).pauses(), 5)) == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert list(islice(Backoff(1.0, 3.0, factor=1.5).pauses(), 4)) == [1.0, 1.5, 2.25, 3.0]


def test_attempts_count_from_one() -> None:
    with pytest.raises(ValueError, match="count from 1"):
        Backoff(1.0, 5.0).pause(0)


@given(seed=st.integers(), attempt=st.integers(1, 10_000), low=st.floats(0, 1))
def test_jitter_takes_a_share_of_the_pause(seed: int, attempt: int, low: float) -> None:
    plain = Backoff(0.5, 60.0).pause(attempt)
    pause = Backoff(0.5, 60.0, jitter=(low, 1.2)).pause(attempt, random.Random(seed))
    assert low * plain <= pause <= 1.2 * plain


def test_full_jitter_spreads_over_the_whole_pause() -> None:
    rng = random.Random(7)
    pauses = [Backoff(8.0, 8.0, jitter=FULL_JITTER).pause(1, rng) for _ in range(200)]
    assert min(pauses) < 1.0
    assert max(pauses) > 7.0


def test_a_breaker_opens_with_the_third_failure_and_lets_one_try_after_its_pause() -> None:
    now = [100.0]
    breaker = Breaker(backoff=Backoff(2.0, 60.0), monotonic=lambda: now[0])
    assert (breaker.state, breaker.wait, breaker.reason) == ("closed", 0.0, None)
    for pause, state in ((2.0, "closed"), (4.0, "closed"), (8.0, "open")):
        assert breaker.failed("no disk") == pause
        assert (breaker.state, breaker.wait, breaker.reason) == (state, pause, "no disk")
    now[0] += 7.5
    assert (breaker.state, breaker.wait) == ("open", 0.5)
    now[0] += 0.5
    assert (breaker.state, breaker.wait) == ("half_open", 0.0)
    assert breaker.failed("no disk yet") == 16.0
    assert breaker.state == "open"
    breaker.succeeded()
    assert (breaker.state, breaker.wait, breaker.reason) == ("closed", 0.0, None)
    assert breaker.failed("again") == 2.0


def test_no_loop_doubles_a_pause_by_hand() -> None:
    by_hand = re.compile(r"min\((?:pause|delay|wait) \*|\* 2 \*\* |\*= 2\b")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for package in ("cdesk", "cdesk_app", "mcp_shim", "uploader")
        for path in (ROOT / package).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if by_hand.search(line)
    ]
    assert found == []
