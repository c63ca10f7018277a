from __future__ import annotations

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
