"""A download is written by one thread while another reads it, or breaks off and says so."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdesk_app.render import download
from cdesk_app.render.download import exported

ROWS = 300


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
