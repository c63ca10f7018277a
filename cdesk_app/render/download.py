"""Downloads: a stored result as CSV or JSON, written while it is read, in bounded memory."""

from __future__ import annotations

import io
import logging
import queue
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from starlette.concurrency import run_in_threadpool

from cdesk.artifacts.formats import Format, export, parquet_columns
from cdesk_app.render.card import Card

logger = logging.getLogger(__name__)

CHUNK_BYTES: Final = 256 * 1024
WAITING_CHUNKS: Final = 8
STALLED_SECONDS: Final = 60.0
"""A reader that takes nothing for so long has gone away."""


async def exported(card: Card, path: Path, format: Format) -> AsyncIterator[bytes]:
    """The whole stored result, which lies in `path`, chunk by chunk.

    Raises:
        OSError: it broke off; what was sent so far is not whole, and the connection says so.
    """
    pipe = _Pipe()
    writer = threading.Thread(
        target=_write, args=(card, path, format, pipe), name="cdesk-download", daemon=True
    )
    writer.start()
    try:
        while (chunk := await run_in_threadpool(pipe.take)) is not None:
            yield chunk
    finally:
        pipe.abandon()


def _write(card: Card, path: Path, format: Format, pipe: _Pipe) -> None:
    artifact = card.artifact
    try:
        about = {
            "columns": parquet_columns(path),
            "template": card.template,
            "params": dict(card.params),
            "artifact_id": artifact.artifact_id,
            "query_hash": artifact.query_hash,
            "as_of": card.answer.get("as_of"),
            "stored_rows": artifact.rows,
            "sampled": artifact.sampled,
            "sampling_note": card.sampling_note(),
            "created_at": artifact.created_at,
            "expires_at": artifact.expires_at,
        }
        export(path, cast(BinaryIO, pipe), format, result=about)
        pipe.finish(None)
    except _Abandoned:
        return
    except Exception as error:  # the top of a thread
        logger.exception("a download broke off")
        pipe.finish(error)


class _Abandoned(Exception):
    """Nobody reads any more."""


class _Pipe(io.RawIOBase):
    """Bytes from a thread that writes to another that reads, a few chunks apart."""

    def __init__(self) -> None:
        self._chunks: queue.Queue[bytes | Exception | None] = queue.Queue(WAITING_CHUNKS)
        self._waiting = bytearray()
        self._abandoned = threading.Event()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        given = bytes(cast(bytes, data))
        self._waiting += given
        if len(self._waiting) >= CHUNK_BYTES:
            self._put(bytes(self._waiting))
            self._waiting.clear()
        return len(given)

    def finish(self, error: Exception | None) -> None:
        """Nothing more comes; `error` where that is too early."""
        try:
            if self._waiting and error is None:
                self._put(bytes(self._waiting))
            self._put(error)
        except _Abandoned:
            return

    def take(self) -> bytes | None:
        """The next chunk; None at the end."""
        chunk = self._chunks.get(timeout=STALLED_SECONDS)
        if isinstance(chunk, Exception):
            raise OSError("the download broke off") from chunk
        return chunk

    def abandon(self) -> None:
        self._abandoned.set()

    def _put(self, chunk: bytes | Exception | None) -> None:
        deadline = STALLED_SECONDS
        while deadline > 0:
            if self._abandoned.is_set():
                raise _Abandoned
            try:
                self._chunks.put(chunk, timeout=0.5)
            except queue.Full:
                deadline -= 0.5
            else:
                return
        raise _Abandoned
