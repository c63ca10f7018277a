"""A download is written by one thread while another reads it, or breaks off and says so."""

from __future__ import annotations

import asyncio
import queue
from pathlib import Path
from typing import Any
from unittest.mock import Mock, call

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdesk_app.render import download
from cdesk_app.render.download import exported

ROWS = 3_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "x.parquet"
    pq.write_table(pa.table({"n": range(ROWS), "text": ["x" * 20] * ROWS}), file)
    return file


def card(**changes: Any) -> Mock:
    """What a download tells of its card."""
    told = Mock(params={}, answer={}, template="numbers", **changes)
    told.artifact.configure_mock(
        artifact_id="a",
        query_hash="h",
        rows=ROWS,
        sampled=False,
        created_at="2026-01-01T00:00:00Z",
        expires_at="2026-04-01T00:00:00Z",
    )
    told.sampling_note.return_value = None
    return told


async def _all(path: Path) -> list[bytes]:
    return [chunk async for chunk in exported(card(), path, "csv")]


def test_chunks_are_the_whole_in_order(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = b"".join(asyncio.run(_all(path)))
    assert whole.count(b"\n") == ROWS + 1
    monkeypatch.setattr(download, "CHUNK_BYTES", 500)
    chunks = asyncio.run(_all(path))
    assert len(chunks) > download.WAITING_CHUNKS, "more than may wait at once"
    assert all(len(chunk) >= 500 for chunk in chunks[:-1])
    assert b"".join(chunks) == whole


def test_a_result_that_went_meanwhile_breaks_the_download_off_at_once(path: Path) -> None:
    """Not after the minute that a reader has patience for."""
    path.unlink()
    with pytest.raises(OSError, match="broke off"):
        asyncio.run(_all(path))


def test_a_reader_that_went_away_ends_the_writer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "CHUNK_BYTES", 100)
    pipe = download._Pipe()
    pipe.abandon()
    download._write(card(), path, "csv", pipe)
    assert pipe._chunks.empty()


def test_a_download_as_json_says_what_it_is_of(path: Path) -> None:
    async def whole() -> bytes:
        return b"".join([chunk async for chunk in exported(card(), path, "json")])

    found = orjson.loads(asyncio.run(whole()))
    assert (found["template"], found["artifact_id"], found["query_hash"]) == ("numbers", "a", "h")
    assert len(found["rows"]) == ROWS


def test_what_waits_is_handed_over_by_whole_chunks_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(download, "CHUNK_BYTES", 4)

    def taken(*given: bytes, error: Exception | None = None) -> list[bytes | None]:
        pipe = download._Pipe()
        assert pipe.writable()
        assert [pipe.write(part) for part in given] == [len(part) for part in given]
        pipe.finish(error)
        found: list[bytes | None] = []
        while not found or found[-1] is not None:
            found.append(pipe.take())
        return found

    assert taken(b"abc", b"d", b"efghi", b"jk") == [b"abcd", b"efghi", b"jk", None]
    assert taken(b"abcd") == [b"abcd", None]
    assert taken() == [None]
    with pytest.raises(OSError, match="broke off"):
        taken(b"ab", error=KeyError())
    pipe = download._Pipe()
    pipe.write(b"ab")
    pipe.finish(KeyError())
    assert pipe._chunks.qsize() == 1, "what is not whole is not handed over"


def test_a_reader_that_takes_nothing_for_a_minute_has_gone_away() -> None:
    pipe = download._Pipe()
    chunks = Mock(put=Mock(side_effect=queue.Full))
    pipe._chunks = chunks
    with pytest.raises(download._Abandoned):
        pipe._put(b"x")
    assert chunks.put.call_args_list == [call(b"x", timeout=0.5)] * 120
    pipe.finish(None)
    assert (download.CHUNK_BYTES, download.WAITING_CHUNKS) == (262_144, 8)


def test_nobody_writes_for_a_reader_that_has_left(path: Path) -> None:
    async def first_chunk() -> download._Pipe:
        made: list[download._Pipe] = []
        begin = download._Pipe
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(download, "_Pipe", lambda: made.append(begin()) or made[-1])
            patched.setattr(download, "CHUNK_BYTES", 100)
            chunks = exported(card(), path, "csv")
            await anext(chunks)
            await chunks.aclose()  # type: ignore[attr-defined]
        return made[0]

    assert asyncio.run(first_chunk())._abandoned.is_set()
