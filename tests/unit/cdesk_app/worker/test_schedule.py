"""When a build is due, on clocks that the test moves."""

from __future__ import annotations

import pytest

from cdesk_app.worker.schedule import (
    DEBOUNCE_SECONDS,
    FAILED_BUILD,
    GAP_SECONDS,
    INSIGHT_GAP_SECONDS,
    MANY_GAP_SECONDS,
    MANY_ROWS,
    BuildSchedule,
)

NOON = 1_769_860_800_000_000_000  # 2026-01-31T12:00:00Z


class Clock:
    """Both clocks of a schedule, moved together."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def monotonic(self) -> float:
        return self.seconds

    def now_ns(self) -> int:
        return NOON + int((self.seconds - 1_000.0) * 1e9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def schedule(clock: Clock) -> BuildSchedule:
    return BuildSchedule(monotonic=clock.monotonic, now_ns=clock.now_ns)


def test_nothing_landed_means_no_build(schedule: BuildSchedule, clock: Clock) -> None:
    assert schedule.due_in() is None
    schedule.succeeded()
    clock.seconds += 6 * 3600
    schedule.landed(0, insights=False)
    assert schedule.due_in() is None


def test_the_first_landing_after_a_pause_is_built_as_soon_as_its_turn_has_settled(
    schedule: BuildSchedule, clock: Clock
) -> None:
    schedule.succeeded()
    clock.seconds += GAP_SECONDS
    schedule.landed(3, insights=False)
    assert schedule.due_in() == DEBOUNCE_SECONDS
    clock.seconds += DEBOUNCE_SECONDS - 1
    schedule.landed(3, insights=False)
    assert schedule.due_in() == 1, "further records do not put it off"


def test_steady_landings_are_built_at_most_every_five_minutes(
    schedule: BuildSchedule, clock: Clock
) -> None:
    builds = 0
    for _ in range(3_600):
        clock.seconds += 1
        schedule.landed(1, insights=False)
        if schedule.due_in() == 0:
            builds += 1
            schedule.succeeded()
    assert builds == 3_600 // GAP_SECONDS


def test_where_much_lands_builds_keep_up_with_it(schedule: BuildSchedule) -> None:
    schedule.succeeded()
    schedule.landed(MANY_ROWS // 2, insights=False)
    assert not schedule.nears_many
    schedule.landed(1, insights=False)
    assert schedule.nears_many
    schedule.landed(MANY_ROWS // 2 - 1, insights=False)
    assert schedule.due_in() == GAP_SECONDS
    schedule.landed(1, insights=False)
    assert schedule.due_in() == MANY_GAP_SECONDS
    schedule.stretch = 4.0
    assert schedule.due_in() == 4 * MANY_GAP_SECONDS
    schedule.succeeded()
    schedule.stretch = 1.0
    schedule.landed(1, insights=False)
    assert schedule.due_in() == GAP_SECONDS, "it counts anew"
    assert not schedule.nears_many


def test_an_insight_is_built_within_its_shorter_gap(schedule: BuildSchedule, clock: Clock) -> None:
    schedule.succeeded()
    schedule.landed(5, insights=False)
    assert schedule.due_in() == GAP_SECONDS
    schedule.landed(1, insights=True)
    assert schedule.reason == "insight"
    assert schedule.due_in() == INSIGHT_GAP_SECONDS
    clock.seconds += INSIGHT_GAP_SECONDS
    assert schedule.due_in() == 0
    schedule.succeeded()
    assert schedule.due_in() is None


def test_a_request_is_due_at_once_whatever_went_before(schedule: BuildSchedule) -> None:
    schedule.succeeded()
    schedule.failed("build_error")
    schedule.request()
    assert schedule.due_in() == 0


def test_a_changed_project_is_built_at_once_and_in_full(schedule: BuildSchedule) -> None:
    schedule.succeeded()
    schedule.landed(1, insights=False)
    schedule.stale()
    assert schedule.due_in() == 0
    assert schedule.is_stale
    schedule.succeeded()
    assert not schedule.is_stale
    schedule.landed(1, insights=False)
    assert schedule.due_in() == DEBOUNCE_SECONDS, (
        "what waited for the tables does not wait for a gap as well"
    )


def test_a_new_day_is_built_because_counts_are_over_calendar_days(
    schedule: BuildSchedule, clock: Clock
) -> None:
    schedule.succeeded()
    clock.seconds += 12 * 3600 - 1
    assert schedule.due_in() is None
    clock.seconds += 1
    assert (schedule.reason, schedule.due_in()) == ("new_day", 0)
    schedule.succeeded()
    assert schedule.due_in() is None


def test_failures_are_retried_after_a_growing_pause(schedule: BuildSchedule, clock: Clock) -> None:
    schedule.landed(1, insights=False)
    pauses = []
    for _ in range(8):
        clock.seconds += schedule.due_in() or 0
        schedule.failed("build_error")
        pauses.append(schedule.due_in())
    assert pauses[:3] == [FAILED_BUILD.first, 2 * FAILED_BUILD.first, 4 * FAILED_BUILD.first]
    assert pauses[-1] == FAILED_BUILD.longest
    clock.seconds += FAILED_BUILD.longest
    assert schedule.due_in() == 0, "what landed still waits for its build"


def test_a_failed_request_is_answered_and_what_it_asked_for_is_tried_again_later(
    schedule: BuildSchedule, clock: Clock
) -> None:
    schedule.request()
    schedule.failed("build_error")
    assert schedule.due_in() == FAILED_BUILD.first
    clock.seconds += FAILED_BUILD.first
    assert schedule.due_in() == 0


def test_a_new_worker_goes_on_with_the_pace_of_the_last_one(
    schedule: BuildSchedule, clock: Clock
) -> None:
    schedule.resume(clock.now_ns() - 100 * 1_000_000_000)
    schedule.landed(1, insights=False)
    assert schedule.due_in() == pytest.approx(GAP_SECONDS - 100)


def test_a_build_of_the_future_does_not_keep_builds_away(
    schedule: BuildSchedule, clock: Clock
) -> None:
    schedule.resume(clock.now_ns() + 10**18)
    schedule.landed(1, insights=False)
    due = schedule.due_in()
    assert due is not None
    assert due <= GAP_SECONDS


def test_what_did_not_land_makes_nothing_an_insight(schedule: BuildSchedule) -> None:
    schedule.landed(0, insights=True)
    assert schedule.reason is None
    schedule.landed(1, insights=False)
    assert schedule.reason == "landed"
    schedule.landed(1, insights=True)
    schedule.landed(1, insights=False)
    assert schedule.reason == "insight"


def test_tables_that_were_brought_start_no_gap(schedule: BuildSchedule, clock: Clock) -> None:
    schedule.resume(clock.now_ns(), empty=True)
    schedule.landed(1, insights=False)
    assert schedule.due_in() == DEBOUNCE_SECONDS


def test_a_day_is_new_once_whenever_the_last_build_was(
    schedule: BuildSchedule, clock: Clock
) -> None:
    schedule.resume(clock.now_ns() - 6 * 3_600 * 10**9)
    assert schedule.reason is None, "this morning"
    schedule.resume(clock.now_ns() - 13 * 3_600 * 10**9)
    assert schedule.reason == "new_day", "yesterday, and no whole day ago"
    schedule.succeeded()
    clock.seconds += 11 * 3_600
    assert schedule.reason is None


def test_how_the_last_build_failed_is_known_until_one_succeeds(schedule: BuildSchedule) -> None:
    assert (schedule.failed_with, schedule.stretch, schedule.is_stale) == (None, 1.0, False)
    schedule.failed("build_failed")
    assert (schedule.failed_with, schedule.reason) == ("build_failed", None)
    schedule.succeeded()
    assert schedule.failed_with is None


def test_a_request_that_failed_leaves_what_had_landed_before_in_its_place(
    schedule: BuildSchedule, clock: Clock
) -> None:
    schedule.landed(1, insights=False)
    clock.seconds += 1_000
    schedule.request()
    assert schedule.reason == "requested"
    schedule.failed("build_failed")
    assert schedule.reason == "landed"
    clock.seconds += FAILED_BUILD.first
    assert schedule.due_in() == 0, "it has waited for long"
    schedule.failed("build_failed")
    assert schedule.due_in() == 2 * FAILED_BUILD.first
    schedule.succeeded()
    schedule.landed(1, insights=False)
    schedule.failed("build_failed")
    assert schedule.due_in() == GAP_SECONDS, "the gap is longer than the first pause"
