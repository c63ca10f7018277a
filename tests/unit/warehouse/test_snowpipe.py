"""Landing by Snowpipe Streaming, against the service as `fake_snowpipe.py` stands for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdesk.config import Settings
from cdesk.errors import ConfigurationError, WarehouseError, WarehouseUnavailable
from tests.integration.warehouse_contract.fake_snowpipe import FakeSnowpipe
from warehouse.protocol import LandedLine
from warehouse.snowflake import SnowflakeWarehouse
from warehouse.snowpipe import (
    SnowpipeWarehouse,
    channel_name,
    offset_token,
    open_snowflake,
    parse_offset_token,
)

FILE = "0" * 32 + "-000001.ndjson"


class NoPlain:
    """The plain connector's part, which landing doesn't need."""

    def positions(self, source_files: Sequence[str]) -> dict[str, int]:  # noqa: ARG002
        return {}

    def bulk(self) -> AbstractContextManager[None]:
        return nullcontext()

    def close(self) -> None:
        pass


class Bench:
    def __init__(self, **options: Any) -> None:
        self.rows: list[dict[str, Any]] = []
        self.service = FakeSnowpipe(commit=self.rows.extend, **options)
        self.now = 0.0

    def warehouse(self) -> SnowpipeWarehouse:
        def sleep(seconds: float) -> None:
            self.now += seconds

        plain = cast(SnowflakeWarehouse, NoPlain())
        return SnowpipeWarehouse(plain, self.service.client, monotonic=lambda: self.now, sleep=sleep)


def line(offset: int, file: str = FILE, payload: str = '{"n":1}') -> LandedLine:
    return LandedLine(f"id-{file}-{offset}", "event", payload, file, offset)


@pytest.fixture
def bench() -> Iterator[Bench]:
    return Bench()


def test_a_landing_is_committed_when_it_returns(bench: Bench) -> None:
    bench.warehouse().land([line(0), line(10)])
    assert [row["source_offset"] for row in bench.rows] == [0, 10]
    assert bench.service.channels[channel_name(FILE)].token == offset_token(FILE, 10)


def test_the_payload_travels_as_the_text_that_it_was(bench: Bench) -> None:
    text = '{"big":123456789012345678901234567890,"f":0.10,"ü":"\\u2028"}'
    bench.warehouse().land([line(0, payload=text)])
    assert bench.rows[0]["payload"] == text


def test_a_restart_resumes_behind_the_last_committed_line(bench: Bench) -> None:
    bench.warehouse().land([line(0), line(10)])
    again = bench.warehouse()
    again.land([line(0), line(10), line(20)])
    assert [row["source_offset"] for row in bench.rows] == [0, 10, 20]


def test_a_commit_whose_answer_got_lost_is_not_repeated(bench: Bench) -> None:
    warehouse = bench.warehouse()
    bench.service.polls = 10**9
    with pytest.raises(WarehouseUnavailable, match="not committed"):
        warehouse.land([line(0)])
    bench.service.polls = 1
    # the service had the rows all along and commits them now
    bench.rows.append({"source_offset": 0})
    bench.service.channels[channel_name(FILE)].token = offset_token(FILE, 0)
    warehouse.land([line(0), line(5)])
    assert [row["source_offset"] for row in bench.rows] == [0, 5]


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
    assert [row["source_offset"] for row in bench.rows] == [0, 10, 20]


def test_rows_that_the_service_refuses_are_an_error_not_a_wait(bench: Bench) -> None:
    warehouse = bench.warehouse()
    warehouse.land([line(0)])
    bench.service.channels[channel_name(FILE)].errors = 1
    with pytest.raises(WarehouseError, match="refused 1 rows") as caught:
        bench.warehouse().land([line(10)])
    assert not isinstance(caught.value, WarehouseUnavailable)


def test_positions_count_what_the_channel_has_committed(bench: Bench) -> None:
    warehouse = bench.warehouse()
    warehouse.land([line(0), line(30)])
    assert warehouse.positions([FILE, "other"]) == {FILE: 30}


def test_many_files_keep_few_channels_open(bench: Bench) -> None:
    warehouse = bench.warehouse()
    for number in range(100):
        warehouse.land([line(0, f"{number:032x}-000001.ndjson")])
    assert len(bench.rows) == 100
    assert len(warehouse._channels) <= 64


@given(cuts=st.lists(st.integers(0, 30), max_size=6), crashes=st.sets(st.integers(0, 6)))
def test_every_line_is_committed_once_whatever_breaks(cuts: list[int], crashes: set[int]) -> None:
    """An uploader that sends overlapping batches, a process that dies now and then with what it had not committed."""
    bench = Bench(polls=1)
    warehouse = bench.warehouse()
    lines = [line(number * 7) for number in range(30)]
    for number, cut in enumerate([*cuts, 30]):
        if number in crashes:
            bench.service.stalled = True
            with (
                pytest.raises(WarehouseUnavailable)
                if lines[: cut + 1] and _fresh(bench, lines[: cut + 1])
                else nullcontext()
            ):
                warehouse.land(lines[: cut + 1])
            bench.service.stalled = False
            warehouse = bench.warehouse()
        warehouse.land(lines[: cut + 1])
    assert [row["source_offset"] for row in bench.rows] == [found.source_offset for found in lines]


def _fresh(bench: Bench, lines: list[LandedLine]) -> bool:
    stored = bench.service.channels.get(channel_name(FILE))
    committed = parse_offset_token(FILE, stored.token) if stored else -1
    return any(found.source_offset > committed for found in lines)


def test_a_token_of_another_file_is_refused() -> None:
    with pytest.raises(WarehouseError, match="drop the channel"):
        parse_offset_token(FILE, "other.ndjson:5")
    assert parse_offset_token(FILE, None) == -1


def test_the_environment_chooses_how_to_land(tmp_path: Path) -> None:
    def opened(**environ: str) -> object:
        return open_snowflake(Settings(home=tmp_path, customer="ada", target="snowflake", environ=environ))

    assert isinstance(opened(SNOWFLAKE_ACCOUNT="a"), SnowflakeWarehouse)
    assert isinstance(opened(SNOWFLAKE_ACCOUNT="a", SNOWFLAKE_PRIVATE_KEY_PATH="k"), SnowpipeWarehouse)
    assert isinstance(
        opened(SNOWFLAKE_PRIVATE_KEY_PATH="k", CDESK_SNOWFLAKE_LANDING="connector"), SnowflakeWarehouse
    )
    with pytest.raises(ConfigurationError, match="allowed: streaming, connector"):
        opened(CDESK_SNOWFLAKE_LANDING="carrier-pigeon")


def test_importing_the_real_sdk_leaves_standard_output_clean() -> None:
    pytest.importorskip("snowflake.ingest.streaming", reason="the SDK has no wheel for this platform")
    code = (
        "from warehouse.snowpipe import standard_output_kept\n"
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
