from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from landing_table import event

from cdesk.contract.vocabulary import SHED_PRIORITY
from cdesk.core.clock import IdSource
from cdesk.core.home import StateDirectory
from cdesk.queue.depth import Delivered, DepthCounter
from cdesk.queue.shedding import KEEP, LIMIT, Shedder, is_kept, level_for, weight_for
from cdesk.queue.writer import QueueWriter
from cdesk.state.database import open_state

NEVER = (
    "cdesk.user_asked",
    "cdesk.claude_responded",
    "cdesk.insight_recorded",
    "cdesk.error_encountered",
)


@pytest.mark.parametrize("activity", NEVER)
@given(level=st.integers(0, 8))
def test_questions_answers_insights_and_errors_are_never_shed(activity: str, level: int) -> None:
    assert weight_for(activity, level) == 1


@given(
    activity=st.sampled_from(sorted(SHED_PRIORITY)),
    other=st.sampled_from(sorted(SHED_PRIORITY)),
    level=st.integers(0, 8),
)
def test_what_has_a_higher_priority_number_is_shed_at_least_as_much(
    activity: str, other: str, level: int
) -> None:
    first, second = sorted((activity, other), key=lambda name: SHED_PRIORITY[name])
    assert weight_for(first, level) <= weight_for(second, level) <= weight_for(second, level + 1)


@pytest.mark.parametrize(
    ("priority", "weights"),
    [
        (100, [1, 4, 16, 64, 256, 256, 256, 256, 256]),
        (75, [1, 4, 16, 64, 256, 256, 256, 256, 256]),
        (74, [1, 1, 4, 16, 64, 256, 256, 256, 256]),
        (50, [1, 1, 4, 16, 64, 256, 256, 256, 256]),
        (49, [1, 1, 1, 4, 16, 64, 256, 256, 256]),
        (25, [1, 1, 1, 4, 16, 64, 256, 256, 256]),
        (24, [1, 1, 1, 1, 4, 16, 64, 256, 256]),
        (1, [1, 1, 1, 1, 4, 16, 64, 256, 256]),
        (0, [1] * 9),
    ],
)
def test_each_level_sheds_a_further_band_of_priorities(
    monkeypatch: pytest.MonkeyPatch, priority: int, weights: list[int]
) -> None:
    monkeypatch.setitem(SHED_PRIORITY, "made_up", priority)
    assert [weight_for("made_up", level) for level in range(9)] == weights


@given(session=st.text(max_size=40), exponent=st.integers(0, 3))
def test_a_session_kept_under_a_high_weight_is_kept_under_lower_ones(
    session: str, exponent: int
) -> None:
    if is_kept(session, 4 ** (exponent + 1)):
        assert is_kept(session, 4**exponent)


def test_the_kept_share_times_the_weight_is_the_whole() -> None:
    ids = IdSource()
    sessions = [ids.uuid7() for _ in range(20_000)]
    for weight in (4, 16, 64):
        kept = sum(is_kept(session, weight) for session in sessions)
        assert kept * weight == pytest.approx(len(sessions), rel=0.25)


def test_levels_rise_with_each_doubling_and_fall_with_hysteresis() -> None:
    assert [level_for(depth) for depth in (0, LIMIT, LIMIT + 1, 2 * LIMIT, 10**9)] == [
        0,
        0,
        1,
        2,
        8,
    ]
    assert level_for(90_000, current=1) == 1
    assert level_for(79_999, current=1) == 0
    assert level_for(190_000, current=2) == 2
    assert level_for(150_000, current=2) == 1


def test_a_long_queue_sheds_counts_reports_and_recovers(tmp_path: Path) -> None:
    home = StateDirectory(tmp_path).ensure()
    now = [0.0]
    shedder = Shedder(home, limit=10, monotonic=lambda: now[0])
    assert shedder.measure() == 0
    assert shedder.decide("cdesk.tool_called", customer="ada", session_id="s") is KEEP
    writer = QueueWriter(home.queue)
    for _ in range(15):
        writer.append(event()[1])
    assert shedder.measure() == 15
    assert shedder.level == 1
    sessions = [f"session-{number}" for number in range(100)]
    decisions = [
        shedder.decide("cdesk.tool_called", customer="ada", session_id=session)
        for session in sessions
    ]
    kept = sum(decision.keep for decision in decisions)
    assert 0 < kept < 100
    assert {decision.weight for decision in decisions} == {4}
    assert all(
        shedder.decide(activity, customer="ada", session_id=session).keep
        for activity in NEVER
        for session in sessions
    )
    assert [
        shedder.decide("cdesk.tool_called", customer="ada", session_id=session).keep
        for session in sessions
    ] == [decision.keep for decision in decisions]
    assert shedder.is_due()
    assert shedder.counted("bob")["activities"] == {}
    assert shedder.counted("ada")["activities"] == {
        "cdesk.tool_called": {"kept": 2 * kept, "shed": 200 - 2 * kept, "weight": 4}
    }
    shedder.told()
    shedder.decide("cdesk.tool_called", customer="ada", session_id="s")
    assert not shedder.is_due()  # once a minute
    assert shedder.is_due(last=True)
    now[0] += 60
    assert shedder.is_due()
    with open_state(home.state_db) as state:
        size = sum(path.stat().st_size for path in home.queue.glob("*.ndjson"))
        name = next(home.queue.glob("*.ndjson")).name.replace(".open", "")
        state.execute("insert into checkpoints values (?, ?, 0, 15, 0, '')", (name, size))
    state.close()
    assert shedder.measure() == 0
    assert shedder.decide("cdesk.tool_called", customer="ada", session_id=sessions[0]) is KEEP
    writer.close()


def test_tick_measures_beside_the_caller(tmp_path: Path) -> None:
    home = StateDirectory(tmp_path).ensure()
    writer = QueueWriter(home.queue)
    for _ in range(3):
        writer.append(event()[1])
    shedder = Shedder(home, limit=1)
    shedder.tick()
    assert shedder._thread is not None
    shedder._thread.join()
    assert shedder.depth == 3
    writer.close()


class TestDepth:
    def test_it_counts_whole_undelivered_lines_over_all_writers_and_survives_restarts(
        self, tmp_path: Path
    ) -> None:
        writers = [QueueWriter(tmp_path), QueueWriter(tmp_path)]
        counter = DepthCounter(tmp_path)
        for number, writer in enumerate(writers, start=1):
            for _ in range(number):
                writer.append(b"123456789\n")
        assert (counter.measure({}).lines, counter.measure({}).bytes) == (3, 30)
        writers[0].seal()
        writers[1].append(b"123456789\n")
        first = f"{writers[1]._writer}-000001.ndjson"
        delivered = {first: Delivered(next_offset=10, records=1)}
        assert counter.measure(delivered) == DepthCounter(tmp_path).measure(delivered)
        assert counter.measure(delivered).lines == 3
        assert counter.undelivered_bytes(delivered) == 30
        all_of_it = {
            f"{writer._writer}-000001.ndjson": Delivered(next_offset=99, records=9)
            for writer in writers
        }
        assert counter.undelivered_bytes(all_of_it) == 0, "and never less than nothing"
        for writer in writers:
            writer.close()

    def test_half_a_line_does_not_count(self, tmp_path: Path) -> None:
        (tmp_path / f"{'a' * 32}-000001.open.ndjson").write_bytes(b"one\ntw")
        assert DepthCounter(tmp_path).measure({}).lines == 1

    def test_an_empty_or_missing_queue_is_of_depth_zero(self, tmp_path: Path) -> None:
        assert DepthCounter(tmp_path / "none").measure({}).lines == 0

    @given(sizes=st.lists(st.integers(0, 30), max_size=6), landed=st.integers(0, 60))
    def test_it_is_exact_however_often_and_at_whatever_progress_one_asks(
        self, tmp_path_factory: pytest.TempPathFactory, sizes: list[int], landed: int
    ) -> None:
        folder = tmp_path_factory.mktemp("queue")
        path, counter, total = folder / f"{'a' * 32}-000001.open.ndjson", DepthCounter(folder), 0
        for size in sizes:
            with path.open("ab") as file:
                file.write(b"x\n" * size)
            total += size
            done = min(landed, total)
            delivered = {f"{'a' * 32}-000001.ndjson": Delivered(done * 2, done)}
            assert counter.measure(delivered).lines == total - done
            assert counter.measure({}).lines == total


def test_who_floods_the_queue_sheds_their_own(tmp_path: Path) -> None:
    shedder = Shedder(StateDirectory(tmp_path).ensure())
    shedder.level = 8
    session = next(id for id in map(str, range(1000)) if not is_kept(id, 256))
    activity = "cdesk.file_read"
    assert weight_for(activity, 8) == 256

    def kept(customer: str) -> bool:
        return shedder.decide(activity, customer=customer, session_id=session).keep

    for customer in range(50):
        kept(f"quiet {customer}")
    for _ in range(500):
        kept("noisy")
    assert not any(kept("noisy") for _ in range(500))
    for round_ in range(5):
        assert all(kept(f"quiet {customer}") for customer in range(50)), round_
    assert shedder.counted("noisy")["activities"]

    for _ in range(40):  # who has stopped is forgotten: all are alike again
        shedder._age()
    assert not any(kept(f"quiet {customer}") for customer in range(50))


def test_customers_who_write_alike_are_shed_alike(tmp_path: Path) -> None:
    shedder = Shedder(StateDirectory(tmp_path).ensure())
    shedder.level = 8
    session = next(id for id in map(str, range(1000)) if not is_kept(id, 256))
    for _ in range(20):
        for customer in "abcdef":
            decision = shedder.decide("cdesk.file_read", customer=customer, session_id=session)
            assert not decision.keep


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def shedding(tmp_path: Path) -> tuple[Shedder, Clock]:
    """At a level at which a session that is not kept is shed."""
    clock = Clock()
    shedder = Shedder(StateDirectory(tmp_path).ensure(), limit=10, monotonic=clock)
    shedder.level = 8
    return shedder, clock


SHED = next(id for id in map(str, range(1000)) if not is_kept(id, 4))
"""A session that is shed at every level."""


@pytest.mark.parametrize(("noisy", "is_quiet"), [(3, False), (4, True)])
def test_quiet_is_who_writes_less_than_half_of_the_mean(
    shedding: tuple[Shedder, Clock], noisy: int, is_quiet: bool
) -> None:
    shedder, _ = shedding
    for _ in range(noisy):
        assert not shedder.decide("cdesk.file_read", customer="noisy", session_id=SHED).keep
    quiet = shedder.decide("cdesk.file_read", customer="quiet", session_id=SHED)
    assert (quiet is KEEP) == is_quiet
    assert not is_quiet or (quiet.keep, quiet.weight) == (True, 1), "it stands for itself alone"


def test_what_was_written_longer_ago_counts_half_with_each_measurement(
    shedding: tuple[Shedder, Clock],
) -> None:
    shedder, _ = shedding
    for _ in range(8):
        shedder.decide("cdesk.file_read", customer="noisy", session_id=SHED)
    shedder._age()  # 4
    assert shedder.decide("cdesk.file_read", customer="quiet", session_id=SHED) is KEEP
    shedder._age()  # 2, and half a one
    assert not shedder.decide("cdesk.file_read", customer="quiet", session_id=SHED).keep
    for _ in range(3):
        shedder._age()
    assert shedder._recent == {}, "who wrote one is forgotten after the second measurement"


def test_what_is_shed_is_told_with_the_greatest_weight_and_since_when(
    shedding: tuple[Shedder, Clock],
) -> None:
    shedder, clock = shedding
    assert not shedder.is_due(last=True), "nothing has been counted"
    shedder.depth = 77
    for level in (1, 3, 2):
        shedder.level = level
        shedder.decide("cdesk.tool_called", customer="ada", session_id=SHED)
    shedder.decide("cdesk.user_asked", customer="ada", session_id=SHED)
    clock.now = 12.3456
    assert shedder.counted("ada") == {
        **{"from": "log", "to": "sampled", "reason": "queue_depth"},
        **{"depth": 77, "level": 2, "seconds": 12.346},
        "activities": {"cdesk.tool_called": {"kept": 0, "shed": 3, "weight": 64}},
    }
    assert shedder.is_due(), "for the first time at once"
    shedder.told()
    assert shedder.counted("ada")["activities"] == {}
    assert shedder.counted("ada")["seconds"] == 0
    shedder.decide("cdesk.tool_called", customer="ada", session_id=SHED)
    clock.now += 59.9
    assert not shedder.is_due()
    clock.now = 12.3456 + 60
    assert shedder.is_due()


def test_a_measurement_is_begun_every_two_seconds_and_one_at_a_time(
    shedding: tuple[Shedder, Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    shedder, clock = shedding
    goes_on, begun = threading.Event(), list[float]()

    def measure() -> int:
        begun.append(clock.now)
        goes_on.wait()
        return 0

    monkeypatch.setattr(shedder, "measure", measure)

    def tick(at: float) -> None:
        clock.now = at
        shedder.tick()

    def wait() -> None:
        assert shedder._thread is not None
        shedder._thread.join()

    tick(0)
    tick(5)
    goes_on.set()
    wait()
    tick(5)
    wait()
    tick(6.9)
    tick(7)
    wait()
    assert begun == [0, 5, 7]


@pytest.mark.parametrize(("size", "depth"), [(2_999, 0), (3_000, 3)])
def test_nothing_is_counted_before_there_can_be_too_much(
    tmp_path: Path, size: int, depth: int
) -> None:
    home = StateDirectory(tmp_path).ensure()
    lines = (b"x" * (size - 5)) + b"\n" + b"y\n" * 2
    (home.queue / f"{'a' * 32}-000001.open.ndjson").write_bytes(lines)
    assert Shedder(home, limit=10).measure() == depth


def test_what_cannot_be_known_of_the_queue_changes_nothing_or_counts_as_not_landed(
    tmp_path: Path,
) -> None:
    home = StateDirectory(tmp_path).ensure()
    (home.queue / f"{'a' * 32}-000001.open.ndjson").write_bytes(b"x" * 300 + b"\n" + b"y\n" * 14)

    def refuse() -> sqlite3.Connection:
        raise sqlite3.OperationalError("busy")

    shedder = Shedder(home, limit=1, connect=refuse)
    assert (shedder.measure(), shedder.level) == (15, 4)
    for path in home.queue.iterdir():
        path.unlink()
    home.queue.rmdir()
    home.queue.touch()
    assert (shedder.measure(), shedder.level) == (15, 4)


def test_what_is_known_to_have_landed_is_not_counted(tmp_path: Path) -> None:
    home = StateDirectory(tmp_path).ensure()
    path = home.queue / f"{'a' * 32}-000001.ndjson"
    path.write_bytes(b"x" * 299 + b"\n" + b"y" * 299 + b"\n")
    with contextlib.closing(open_state(home.state_db)) as state:
        state.execute("insert into checkpoints values (?, 300, 0, 1, 0, '')", (path.name,))
    assert Shedder(home, limit=1).measure() == 1
    assert Shedder(home, limit=2).measure() == 0
