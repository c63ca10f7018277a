"""Landing by Snowpipe Streaming, against the service as `fake_snowpipe.py` stands for it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdesk.core.config import Settings
from cdesk.core.errors import ConfigurationError, WarehouseError, WarehouseUnavailable
from cdesk.warehouse.protocol import LandedLine, LandResult, Stretch
from cdesk.warehouse.snowflake import streaming
from cdesk.warehouse.snowflake.login import Login
from cdesk.warehouse.snowflake.snowpipe_sdk import sdk_client
from cdesk.warehouse.snowflake.streaming import (
    SnowpipeWarehouse,
    channel_name,
    offset_token,
    open_snowflake,
    parse_sequence,
    writer_id,
)
from cdesk.warehouse.snowflake.times import EPOCH, TICK
from cdesk.warehouse.snowflake.warehouse import SnowflakeWarehouse
from tests.integration.warehouse_contract.fake_snowpipe import FakeChannel, FakeSnowpipe

FILE = "0" * 32 + "-000001.ndjson"
CHANNEL = "cdesk-writer"
POISON = '{"n":1e999999}'


class Plain:
    """The plain connector over the same table: a MERGE on id and place, which refuses a poison row
    with an error of its own.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.asked = 0
        self.landed: list[int] = []

    def clock_distance(self) -> timedelta:
        self.asked += 1
        return self._bench.account_ahead

    def land(self, lines: Sequence[LandedLine]) -> LandResult:
        if any(line.payload == POISON for line in lines):
            raise WarehouseError("a value that Snowflake can't take")
        self.landed += [line.source_offset for line in lines]
        present = {(row["source_file"], row["source_offset"]) for row in self._bench.rows}
        self._bench.rows += [
            {"source_file": line.source_file, "source_offset": line.source_offset}
            for line in lines
            if (line.source_file, line.source_offset) not in present
        ]
        return LandResult(len(lines), datetime.now(UTC))

    def positions(self, source_files: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in self._bench.rows:
            if row["source_file"] in source_files:
                found[row["source_file"]] = max(
                    found.get(row["source_file"], -1), row["source_offset"]
                )
        return found

    def bulk(self) -> AbstractContextManager[Stretch | None]:
        return nullcontext()

    def close(self) -> None:
        pass


class Bench:
    def __init__(self, **options: Any) -> None:
        self.rows: list[dict[str, Any]] = []
        self.service = FakeSnowpipe(
            commit=self.rows.extend, refuses=lambda row: row["payload"] == POISON, **options
        )
        self.now = 0.0
        self.account_ahead = timedelta(0)
        self.plain = Plain(self)

    def warehouse(self, **options: Any) -> SnowpipeWarehouse:
        def sleep(seconds: float) -> None:
            self.now += seconds

        plain = cast(SnowflakeWarehouse, self.plain)
        return SnowpipeWarehouse(
            plain,
            self.service.client,
            monotonic=lambda: self.now,
            sleep=sleep,
            **{"channel": CHANNEL, **options},
        )

    def offsets(self) -> list[int]:
        return [row["source_offset"] for row in self.rows]


def line(offset: int, file: str = FILE, payload: str = '{"n":1}') -> LandedLine:
    return LandedLine(f"id-{file}-{offset}", "event", payload, file, offset)


@pytest.fixture
def bench() -> Iterator[Bench]:
    return Bench()


def test_a_landing_is_committed_when_it_returns(bench: Bench) -> None:
    bench.warehouse().land([line(0), line(10)])
    assert [row["source_offset"] for row in bench.rows] == [0, 10]
    assert bench.service.channels[CHANNEL].token == offset_token(1, 10)


def test_the_payload_travels_as_the_text_that_it_was(bench: Bench) -> None:
    text = '{"big":123456789012345678901234567890,"f":0.10,"ü":"\\u2028"}'
    bench.warehouse().land([line(0, payload=text)])
    assert bench.rows[0]["payload"] == text


def test_a_restart_goes_on_with_the_channel_that_was_left_behind(bench: Bench) -> None:
    bench.warehouse().land([line(0), line(10)])
    again = bench.warehouse()
    assert again.positions([FILE]) == {FILE: 10}
    assert bench.now >= 15  # what the earlier process had committed is in the table by then
    again.land([line(20)])
    assert bench.offsets() == [0, 10, 20]
    assert list(bench.service.channels) == [CHANNEL]
    assert parse_sequence(bench.service.channels[CHANNEL].token) == 2


def test_a_commit_whose_answer_got_lost_is_not_repeated(bench: Bench) -> None:
    warehouse = bench.warehouse()
    bench.service.polls = 10**9
    with pytest.raises(WarehouseUnavailable, match="not committed"):
        warehouse.land([line(0)])
    bench.service.polls = 1
    # the service had the rows all along and commits them now
    bench.rows.append({"source_file": FILE, "source_offset": 0})
    warehouse.land([line(0), line(5)])
    assert bench.offsets() == [0, 5]
    warehouse.land([line(10)])
    assert bench.plain.landed == [0]  # only what was in doubt


def test_rows_that_were_lost_with_their_channel_are_sent_again(bench: Bench) -> None:
    warehouse = bench.warehouse()
    bench.service.stalled = True
    with pytest.raises(WarehouseUnavailable):
        warehouse.land([line(0)])
    bench.service.stalled = False
    warehouse.land([line(0)])
    assert [row["source_offset"] for row in bench.rows] == [0]


def test_an_error_of_the_sdk_is_worth_trying_again(bench: Bench) -> None:
    bench.service.dies.append(RuntimeError("ReceiverSaturated: HTTP 429"))
    warehouse = bench.warehouse()
    with pytest.raises(WarehouseUnavailable, match="broke off"):
        warehouse.land([line(0)])
    warehouse.land([line(0)])
    assert len(bench.rows) == 1


def test_a_channel_cut_off_by_another_client_is_opened_again(bench: Bench) -> None:
    first, second = bench.warehouse(), bench.warehouse()
    first.land([line(0)])
    second.land([line(10)])
    with pytest.raises(WarehouseUnavailable, match="another client"):
        first.land([line(20)])
    first.land([line(20)])
    assert bench.offsets() == [0, 10, 20]


def test_a_writer_drops_its_channel_at_the_end_and_loses_nothing(bench: Bench) -> None:
    warehouse = bench.warehouse()
    warehouse.land([line(0)])
    warehouse.close()
    assert bench.service.channels == {}
    assert bench.service.closed == 1
    warehouse.land([line(10)])
    assert bench.offsets() == [0, 10]
    assert list(bench.service.channels) == [CHANNEL]


def test_a_thousand_desktops_for_a_month_stay_below_the_channels_of_a_pipe() -> None:
    """Each works one day in five and has a queue file of its own for it; every third of them ends
    its day in a crash, which leaves the channel behind until its next start. On the last day all of
    them work at once. A tenth of them, with a tenth of the channels.
    """
    bench = Bench(polls=1, limit=FakeSnowpipe.limit // 10)
    most, files = 0, 0
    for day in range(30):
        at_work = [desktop for desktop in range(100) if day == 29 or (day + desktop) % 5 == 0]
        running = []
        for desktop in at_work:
            warehouse = bench.warehouse(channel=f"cdesk-{desktop}")
            name = f"{desktop:016x}{day:016x}-000001.ndjson"
            warehouse.land([LandedLine(name, "event", "{}", name, 0)])
            files += 1
            running.append((desktop, warehouse))
        most = max(most, len(bench.service.channels))
        for desktop, warehouse in running:
            if (day + desktop) % 3:
                warehouse.close()
    assert len(bench.rows) == files > 3 * bench.service.limit
    assert most == 100 < bench.service.limit


def test_the_service_refuses_a_channel_past_its_limit() -> None:
    bench = Bench(limit=3)
    for number in range(3):
        bench.warehouse(channel=f"cdesk-{number}").land([line(number * 10)])
    with pytest.raises(WarehouseUnavailable, match="high-performance-limitations"):
        bench.warehouse(channel="cdesk-3").land([line(30)])
    bench.warehouse(channel="cdesk-0").land([line(40)])


def test_one_channel_serves_all_files_of_a_writer(bench: Bench) -> None:
    warehouse = bench.warehouse()
    for number in range(300):
        warehouse.land([line(0, f"{number:032x}-000001.ndjson")])
    assert len(bench.rows) == 300
    assert list(bench.service.channels) == [CHANNEL]
    assert len(warehouse._committed) <= 256


@pytest.mark.parametrize("when", ["opening", "landing", "closing"])
def test_a_client_that_hangs_is_given_up(bench: Bench, when: str) -> None:
    """Without a network the SDK tries for minutes; the uploader has other work, and an end."""
    network = threading.Event()
    warehouse = bench.warehouse(call_seconds=0.1)
    if when != "opening":
        warehouse.land([line(0)])
    bench.service.hangs = network
    if when == "closing":
        warehouse.close()
    else:
        for says in ("has not answered", "still doesn't answer"):
            with pytest.raises(WarehouseUnavailable, match=says):
                warehouse.land([line(10)])
    network.set()
    for thread in threading.enumerate():
        if thread.name == "cdesk-snowpipe":
            thread.join(timeout=20)
    bench.service.hangs = None
    warehouse.land([line(10)])
    assert bench.offsets()[-1] == 10
    if when == "opening":
        assert bench.service.closed == 1  # the client that came too late


def test_the_client_itself_has_no_end_without_a_network(bench: Bench) -> None:
    """It was called by the thread that holds the landing's lock; now with a deadline."""
    network = threading.Event()
    bench.service.hangs = network
    client = threading.Thread(target=bench.service.client, daemon=True)
    client.start()
    with pytest.raises(WarehouseUnavailable, match="has not answered"):
        bench.warehouse(call_seconds=0.1).land([line(0)])
    assert client.is_alive()
    network.set()
    client.join(timeout=20)
    assert not client.is_alive()


def test_a_landing_that_was_put_back_is_filled_again(bench: Bench) -> None:
    """The table is of an older state, the pipe's channel still has its token: by the same process,
    and by the next.
    """
    lines = [line(0), line(10), line(20)]
    warehouse = bench.warehouse()
    for fresh in (False, True):
        warehouse.land(lines)
        loader = bench.warehouse() if fresh else warehouse
        del bench.rows[1:]
        assert loader.positions([FILE]) == {FILE: 0}
        loader.land(lines[1:])
        assert bench.offsets() == [0, 10, 20]
        loader.land([line(30)])
        assert bench.offsets() == [0, 10, 20, 30]
        bench.rows.clear()
        loader.close()


def test_what_the_pipe_refuses_comes_to_light_as_its_own_error(bench: Bench) -> None:
    """Its neighbours have landed by then, and the token stands behind it: sent alone, it is refused
    again, and not taken for landed.
    """
    warehouse = bench.warehouse()
    batch = [line(0), line(10, payload=POISON), line(20)]
    with pytest.raises(WarehouseError, match="can't take") as caught:
        warehouse.land(batch)
    assert not isinstance(caught.value, WarehouseUnavailable)
    with pytest.raises(WarehouseError, match="can't take"):
        warehouse.land(batch[1:2])
    warehouse.land(batch[:1])
    warehouse.land(batch[2:])
    warehouse.land([line(10)])  # as the uploader does: in its place what says why it was refused
    warehouse.land([line(30)])
    assert sorted(bench.offsets()) == [0, 10, 20, 30]
    assert bench.plain.landed[-1] != 30  # errors of the past make nothing slow


def test_a_landing_that_broke_off_is_made_up_for_without_the_service(bench: Bench) -> None:
    """It may have been committed, or be lines that the SDK can't take."""
    warehouse = bench.warehouse()
    bench.service.dies.append(RuntimeError("SchemaError: a row that the SDK cannot encode"))
    with pytest.raises(WarehouseUnavailable):
        warehouse.land([line(0)])
    warehouse.land([line(0)])
    assert bench.plain.landed == [0]
    warehouse.land([line(10)])
    assert bench.plain.landed == [0]
    assert bench.offsets() == [0, 10]


def test_a_service_that_cannot_be_opened_is_done_without(bench: Bench) -> None:
    warehouse = bench.warehouse()
    bench.service.limit = 0
    for _ in range(3):
        with pytest.raises(WarehouseUnavailable):
            warehouse.land([line(0)])
    warehouse.land([line(0)])
    assert bench.plain.landed == [0]
    bench.service.limit = 1
    warehouse.land([line(10)])
    assert bench.plain.landed == [0]
    assert bench.offsets() == [0, 10]


def test_positions_wait_for_what_was_committed_a_moment_ago(bench: Bench) -> None:
    warehouse = bench.warehouse()
    warehouse.land([line(0), line(30)])
    held, bench.rows[:] = list(bench.rows), []
    asked = bench.plain.positions
    answers = iter([{}, asked])

    def positions(source_files: Sequence[str]) -> dict[str, int]:
        answer = next(answers)
        if callable(answer):
            bench.rows[:] = held
            return answer(source_files)
        return answer

    bench.plain.positions = positions  # type: ignore[method-assign]
    assert warehouse.positions([FILE, "other"]) == {FILE: 30}


def test_two_loaders_whose_clocks_differ_stamp_by_the_account() -> None:
    """One desktop is a quarter of an hour slow, the other an hour fast: models look back 300 s from
    the newest stamp.
    """
    bench = Bench()
    account = datetime(2026, 1, 31, 12, tzinfo=UTC)
    stamps = []
    for number, wrong in enumerate((timedelta(minutes=-15), timedelta(hours=1))):
        bench.account_ahead = -wrong
        wall = int((account + wrong).timestamp() * 1_000_000_000)
        result = bench.warehouse(now_ns=lambda wall=wall: wall).land([line(number)])
        stamps.append(result.landed_at)
    assert stamps == [account, account]
    assert [row["landed_at"] for row in bench.rows] == ["2026-01-31 12:00:00.000000"] * 2


def test_the_account_is_asked_for_its_time_seldom_and_whenever_the_clock_was_set(
    bench: Bench,
) -> None:
    wall = [1_000_000 * 10**9]
    warehouse = bench.warehouse(now_ns=lambda: wall[0])

    def later(seconds: float, *, set_by: float = 0.0) -> None:
        bench.now += seconds
        wall[0] += int((seconds + set_by) * 10**9)

    for number in range(20):
        later(60)
        with_pauses = bench.now
        warehouse.land([line(number)])
        wall[0] += int((bench.now - with_pauses) * 10**9)
    assert bench.plain.asked == 1
    later(60, set_by=-600)
    warehouse.land([line(20)])
    assert bench.plain.asked == 2
    later(7 * 3600)
    warehouse.land([line(21)])
    assert bench.plain.asked == 3


@settings(max_examples=30)
@given(cuts=st.lists(st.integers(0, 30), max_size=6), crashes=st.sets(st.integers(0, 6)))
def test_every_line_is_committed_once_whatever_breaks(cuts: list[int], crashes: set[int]) -> None:
    """An uploader that sends overlapping batches, a process that dies now and then with what it had
    not committed.
    """
    bench = Bench(polls=1)
    warehouse = bench.warehouse()
    lines = [line(number * 7) for number in range(30)]
    for number, cut in enumerate([*cuts, 30]):
        if number in crashes:
            bench.service.stalled = True
            with contextlib.suppress(WarehouseUnavailable):
                warehouse.land([one for one in lines[: cut + 1] if _is_new(bench, one)])
            bench.service.stalled = False
            warehouse = bench.warehouse()
        warehouse.land([one for one in lines[: cut + 1] if _is_new(bench, one)])
    assert bench.offsets() == [found.source_offset for found in lines]


def _is_new(bench: Bench, one: LandedLine) -> bool:
    """What the uploader sends: what lies behind the place that the table says."""
    return one.source_offset > max(bench.offsets(), default=-1)


def test_a_landing_says_when_it_was_and_what_came_before() -> None:
    bench = Bench()
    now, results = [0], []
    warehouse = bench.warehouse(now_ns=lambda: now[0] * 1_000)
    for number, moment in enumerate((1_000_000, 1_000_000, 999_000, 1_000_007)):
        now[0] = moment
        results.append(warehouse.land([line(number), line(number + 10)]))
    stamps = [int((one.landed_at - EPOCH) / TICK) for one in results]
    assert stamps == [1_000_000, 1_000_001, 1_000_002, 1_000_007], "each is later than any before"
    assert [one.previous for one in results] == [None, *(one.landed_at for one in results[:-1])]
    assert [one.rows for one in results] == [2] * 4
    assert warehouse.land([]).rows == 0
    assert bench.rows[0] == {
        "id": f"id-{FILE}-0",
        "kind": "event",
        "payload": '{"n":1}',
        "source_file": FILE,
        "source_offset": 0,
        "landed_at": "1970-01-01 00:00:01.000000",
    }


@pytest.mark.parametrize(("polls", "committed"), [(1, True), (20, True), (10**9, False)])
def test_a_commit_is_waited_for_as_long_as_it_may_take(
    bench: Bench, polls: int, committed: bool
) -> None:
    """Its status is asked for ever less often, and once more when the time is over."""
    bench.service.polls = polls
    warehouse = bench.warehouse()
    if committed:
        warehouse.land([line(0)])
        assert bench.now < 60
        return
    with pytest.raises(WarehouseUnavailable, match="has not committed within 60 s; the lines are"):
        warehouse.land([line(0)])
    assert 60 <= bench.now <= 62


def test_a_large_landing_is_appended_in_parts_and_committed_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_APPEND_ROWS", 2)
    warehouse = bench.warehouse()
    warehouse.land([line(number) for number in range(5)])
    assert bench.offsets() == [0, 1, 2, 3, 4]
    assert bench.service.channels[CHANNEL].token == offset_token(1, 4)
    warehouse.land([line(5)])
    assert bench.service.channels[CHANNEL].token == offset_token(2, 5)


def test_positions_are_the_tables_and_wait_no_longer_than_a_commit_takes_to_show(
    bench: Bench,
) -> None:
    warehouse = bench.warehouse()
    warehouse.land([line(0), line(30)])
    before = bench.now
    assert warehouse.positions([FILE, "other"]) == {FILE: 30}
    assert warehouse.positions([]) == {}
    assert bench.now == before, "it shows already"
    del bench.rows[1:]
    assert warehouse.positions(["other"]) == {}
    assert bench.now == before, "of this file nothing is missing"
    assert warehouse.positions([FILE]) == {FILE: 0}
    assert 15 <= bench.now - before <= 17, "and then the table is believed"


def test_what_an_earlier_process_left_is_waited_for_once(bench: Bench) -> None:
    bench.warehouse().land([line(0)])
    again = bench.warehouse()
    begun = bench.now
    again.positions([FILE])
    assert bench.now == begun + 15
    again.positions([FILE])
    assert bench.now == begun + 15
    late = bench.warehouse()
    late.land([line(10)])
    bench.now += 10
    begun = bench.now
    late.positions([FILE])
    assert begun + 4 <= bench.now <= begun + 5, "so long ago it was taken over"
    fresh = bench.warehouse(channel="cdesk-another")
    begun = bench.now
    fresh.positions([FILE])
    assert bench.now == begun, "nobody was before it"


def test_positions_are_told_though_the_service_cannot_be_opened(bench: Bench) -> None:
    bench.warehouse().land([line(0)])
    bench.service.limit = 0
    assert bench.warehouse(channel="cdesk-another").positions([FILE]) == {FILE: 0}
    assert bench.service.closed == 1, "a client that cannot be used is closed"


def test_after_a_failure_the_client_is_closed_and_another_opened(bench: Bench) -> None:
    warehouse = bench.warehouse()
    bench.service.dies.append(RuntimeError("x"))
    with pytest.raises(WarehouseUnavailable):
        warehouse.land([line(0)])
    assert bench.service.closed == 1
    warehouse.land([line(0)])
    warehouse.land([line(10)])
    assert bench.service.opened == [CHANNEL] * 2
    warehouse.close()
    warehouse.close()
    assert bench.service.closed == 2


def test_what_was_sent_without_an_answer_stays_in_doubt_until_it_has_landed(bench: Bench) -> None:
    """Of each file as far as it was sent; what comes behind it is streamed."""
    warehouse = bench.warehouse()
    bench.service.stalled = True
    with pytest.raises(WarehouseUnavailable):
        warehouse.land([line(0), line(10), line(5, "other")])
    bench.service.stalled = False
    warehouse.land([line(0), line(5, "other"), line(6, "other"), line(7, "third")])
    assert bench.plain.landed == [0, 5]
    warehouse.land([line(10), line(20)])
    assert bench.plain.landed == [0, 5, 10]
    warehouse.land([line(30), line(8, "other")])
    assert bench.plain.landed == [0, 5, 10]
    assert sorted(bench.offsets()) == [0, 5, 6, 7, 8, 10, 20, 30]


def test_an_error_of_ours_counts_as_broken_off_only_where_trying_again_helps(
    bench: Bench,
) -> None:
    """Three in a row, and the next goes by the plain connector; then the service has another try."""
    warehouse = bench.warehouse()
    for _ in range(3):
        with pytest.raises(WarehouseError, match="can't take"):
            warehouse.land([line(0, payload=POISON)])
    warehouse.land([line(10)])
    assert bench.plain.landed == [], "the lines were wrong, and not the service"
    bench.service.limit = 0
    other = bench.warehouse(channel="cdesk-another")
    for _ in range(3):
        with pytest.raises(WarehouseUnavailable):
            other.land([line(20)])
    other.land([line(20)])
    assert bench.plain.landed == [20]
    with pytest.raises(WarehouseUnavailable):
        other.land([line(30)])
    other.land([line(30)])
    assert bench.plain.landed == [20, 30]


def test_the_files_that_landed_last_are_remembered(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_REMEMBERED_FILES", 4)
    warehouse = bench.warehouse()
    for number in (*range(4), 0, 4):
        warehouse.land([line(number, f"{number}")])
    assert list(warehouse._committed) == ["2", "3", "0", "4"], "and the one that landed again"
    assert warehouse._in_doubt == {}


def test_the_end_of_a_writer_waits_for_its_rows_and_ends_the_plain_connector(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []
    close = FakeChannel.close

    def noting(channel: FakeChannel, **given: Any) -> None:
        done.append(given)
        close(channel, **given)

    monkeypatch.setattr(FakeChannel, "close", noting)
    bench.plain.close = lambda: done.append("plain")  # type: ignore[method-assign]
    warehouse = bench.warehouse()
    warehouse.close()
    assert done == ["plain"], "nothing was opened"
    warehouse.land([line(0)])
    warehouse.close()
    assert done[1:] == [{"drop": True, "wait_for_flush": True, "timeout_seconds": 10}, "plain"]
    monkeypatch.setattr(FakeChannel, "close", lambda *_, **__: 1 / 0)
    warehouse.land([line(10)])
    warehouse.close()
    assert done[-1] == "plain", "whatever the SDK raises"


@pytest.mark.parametrize(
    ("token", "sequence"), [(None, 0), ("7:120", 7), ("a.ndjson:5", 0), ("", 0), (":", 0)]
)
def test_a_token_says_the_number_of_its_landing(token: str | None, sequence: int) -> None:
    assert parse_sequence(token) == sequence


def test_a_state_directory_is_one_writer(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for home in (first, second):
        home.mkdir()
    assert writer_id(first) == writer_id(first) != writer_id(second)
    assert channel_name(writer_id(first)) != channel_name(writer_id(second))


def opened(tmp_path: Path, **environ: str) -> object:
    return open_snowflake(
        Settings(home=tmp_path, customer="ada", target="snowflake", environ=environ)
    )


def test_the_environment_chooses_how_to_land(tmp_path: Path) -> None:
    assert isinstance(opened(tmp_path, SNOWFLAKE_ACCOUNT="a"), SnowflakeWarehouse)
    key = {"SNOWFLAKE_ACCOUNT": "a", "SNOWFLAKE_PRIVATE_KEY_PATH": "k"}
    assert isinstance(opened(tmp_path, **key), SnowflakeWarehouse)
    assert isinstance(opened(tmp_path, **key, CDESK_SNOWFLAKE_PIPE="P"), SnowpipeWarehouse)
    assert isinstance(opened(tmp_path, CDESK_SNOWFLAKE_LANDING="streaming"), SnowpipeWarehouse)
    assert isinstance(
        opened(tmp_path, **key, CDESK_SNOWFLAKE_PIPE="P", CDESK_SNOWFLAKE_LANDING="connector"),
        SnowflakeWarehouse,
    )
    with pytest.raises(ConfigurationError, match="allowed: streaming, connector"):
        opened(tmp_path, CDESK_SNOWFLAKE_LANDING="carrier-pigeon")


def test_a_key_pair_in_connections_toml_is_enough_for_streaming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = {
        "keyed": {"account": "a", "user": "u", "private_key_path": str(tmp_path / "none.p8")},
        "plain": {"account": "a", "user": "u", "authenticator": "externalbrowser"},
    }
    monkeypatch.setattr("cdesk.warehouse.snowflake.login.connections", lambda: connections)
    keyed = {"SNOWFLAKE_DEFAULT_CONNECTION_NAME": "keyed", "CDESK_SNOWFLAKE_PIPE": "P"}
    assert isinstance(opened(tmp_path, **keyed), SnowpipeWarehouse)
    assert isinstance(
        opened(tmp_path, **{**keyed, "SNOWFLAKE_DEFAULT_CONNECTION_NAME": "plain"}),
        SnowflakeWarehouse,
    )
    assert isinstance(
        opened(tmp_path, **{**keyed, "SNOWFLAKE_DEFAULT_CONNECTION_NAME": "missing"}),
        SnowflakeWarehouse,
    )
    with pytest.raises(ConfigurationError, match=r"none\.p8 cannot be read"):
        sdk_client(Login(keyed), role="CDESK_LOADER", pipe="P", name="cdesk")
    with pytest.raises(ConfigurationError, match="CDESK_SNOWFLAKE_LANDING=connector"):
        sdk_client(
            Login({"SNOWFLAKE_DEFAULT_CONNECTION_NAME": "plain"}),
            role="CDESK_LOADER",
            pipe="P",
            name="cdesk",
        )


def test_importing_the_real_sdk_leaves_standard_output_clean() -> None:
    pytest.importorskip(
        "snowflake.ingest.streaming", reason="the SDK has no wheel for this platform"
    )
    code = (
        "from cdesk.warehouse.snowflake.snowpipe_sdk import standard_output_kept\n"
        "with standard_output_kept():\n    import snowflake.ingest.streaming\n"
        "print('the only line')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    assert done.stdout == "the only line\n"
