"""Token buckets and calls at a time."""

from __future__ import annotations

import pytest

from mcp_shim.limits import MAX_KEYS, AtATime, Denials, RateLimit, TooMany


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(limit: RateLimit, key: str, most: int = 1000) -> int:
    """How many can be taken at once."""
    for count in range(most):
        try:
            limit.take(key)
        except TooMany:
            return count
    return most


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    clock = Clock()
    limit = RateLimit("calls", per_minute=120, monotonic=clock)
    assert taken(limit, "ada") == 20
    with pytest.raises(TooMany, match="too many calls; try again in 1 s") as refused:
        limit.take("ada")
    clock.now += refused.value.retry_after
    assert taken(limit, "ada") == 2
    clock.now += 3600
    assert taken(limit, "ada") == 20


def test_who_comes_back_after_the_time_named_is_served() -> None:
    clock = Clock()
    limit = RateLimit("queries", per_minute=7, monotonic=clock)
    taken(limit, "ada")
    for _ in range(20):
        with pytest.raises(TooMany) as refused:
            limit.take("ada")
        clock.now += refused.value.retry_after
        limit.take("ada")


def test_one_customer_takes_nothing_from_another() -> None:
    limit = RateLimit("calls", per_minute=60, monotonic=Clock())
    assert taken(limit, "ada") == taken(limit, "bob") == 10


def test_many_customers_cost_bounded_memory() -> None:
    limit = RateLimit("calls", per_minute=60, monotonic=Clock())
    for number in range(MAX_KEYS + 100):
        limit.take(str(number))
    assert len(limit._buckets) == MAX_KEYS


def test_places_are_counted_and_given_back() -> None:
    places = AtATime(2)
    with places.one("ada"), places.one("ada"):
        with pytest.raises(TooMany), places.one("ada"):
            pytest.fail("a third place")
        with places.one("bob"):
            pass
    with places.one("ada"), pytest.raises(KeyError), places.one("ada"):
        raise KeyError
    assert not places._under_way


def test_one_refusal_a_minute_is_recorded_for_each_customer() -> None:
    clock = Clock()
    denials = Denials(60, monotonic=clock)
    assert [denials.is_due(key) for key in ("ada", "ada", "bob")] == [True, False, True]
    clock.now += 59.9
    assert not denials.is_due("ada")
    clock.now += 0.1
    assert denials.is_due("ada")
    assert list(denials._recorded) == ["ada"], "who is quiet is forgotten"
