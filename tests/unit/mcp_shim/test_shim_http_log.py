"""The line for each request: whole, in order, in batches that do not mix."""

from __future__ import annotations

import asyncio
import io
import json

from mcp_shim.transports.http_log import BATCH_BYTES, RequestLog


class Stream(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str, /) -> int:
        self.writes.append(text)
        return len(text)


def test_lines_are_written_whole_in_order_and_by_themselves() -> None:
    async def scenario() -> Stream:
        stream = Stream()
        log = RequestLog("x", stream)
        for number in range(100):
            log.add({"status": number, "tool": None})
        assert not stream.writes
        await asyncio.sleep(0.5)
        return stream

    stream = asyncio.run(scenario())
    lines = [json.loads(line) for write in stream.writes for line in write.splitlines()]
    assert [line["status"] for line in lines] == list(range(100))
    assert all(write.endswith("\n") and len(write) <= BATCH_BYTES for write in stream.writes)
    assert 1 < len(stream.writes) < 20


def test_a_closed_stream_is_no_reason_to_stop() -> None:
    async def scenario() -> None:
        stream = io.StringIO()
        log = RequestLog("x", stream)
        stream.close()
        log.add({"status": 200})
        log.flush()

    asyncio.run(scenario())


def test_a_batch_is_as_large_as_its_bound_and_one_timer_waits_for_it() -> None:
    async def scenario() -> Stream:
        stream = Stream()
        log = RequestLog("x", stream)
        log.add({"tool": ""})
        timer = log._timer
        size = len(log._waiting.pop())
        for more in (BATCH_BYTES - size - size, 0, 1, BATCH_BYTES):
            log.add({"tool": "y" * more})
        assert log._timer is timer
        assert timer is not None
        log.flush()
        assert timer.cancelled()
        assert log._timer is None
        log.flush()
        return stream

    stream = asyncio.run(scenario())
    assert [write.count("\n") for write in stream.writes] == [2, 1, 1]
    assert len(stream.writes[0]) == BATCH_BYTES, "to the last byte"
    facts = json.loads(stream.writes[1])
    assert (facts["level"], facts["logger"], facts["message"], facts["tool"]) == (
        "info",
        "x",
        "request",
        "y",
    )
