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
