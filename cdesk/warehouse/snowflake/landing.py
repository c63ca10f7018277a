"""Landing by the plain connector: lines go as JSON text to the procedure `land_lines`, which stamps
them with the session's user and adds what is missing, in one transaction.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from cdesk.core.clock import NowNs
from cdesk.warehouse.batch import LineBatch
from cdesk.warehouse.protocol import LandedLine, LandResult, require_after
from cdesk.warehouse.snowflake.driver import errors as sf
from cdesk.warehouse.snowflake.refusal import refuse_landing, refusing
from cdesk.warehouse.snowflake.sessions import SessionPool
from cdesk.warehouse.snowflake.times import EPOCH, utc

_LAND: Final = "call land_lines(?, ?)"
_LANDED_OF_LATE: Final = (
    "select max(landed_at) from landing where landed_at >= dateadd(day, -3, sysdate())"
)
_LAST_LANDED: Final = "select max(landed_at) from landing"
"""Under a row access policy this reads the column in all of the table, and is asked last."""
_NOW: Final = "select sysdate()"
_POSITIONS: Final = (
    "select source_file, max(source_offset) from landing "
    "where source_file in ({places}) group by source_file"
)
_CALL_BYTES: Final = 4 * 1024 * 1024
"""Of one bound text, well below what a VARCHAR holds."""


class ConnectorLoader:
    """Appends lines to `landing` over the sessions of a loader role. Safe to use from several
    threads.
    """

    def __init__(self, sessions: SessionPool, *, now_ns: NowNs = time.time_ns) -> None:
        self._loaders = sessions
        self._now_ns = now_ns

    def land(self, lines: Sequence[LandedLine], *, after: datetime | None = None) -> LandResult:
        """As `Warehouse.land`. Only a documented error in the data is the data's fault: it raises
        WarehouseError, and everything else that can be tried again WarehouseUnavailable.
        """
        batch = LineBatch.of(lines)
        stamp, before = "", ""
        with self._loaders.borrow() as connection, connection.cursor() as cursor:
            try:
                cursor.execute("begin")
                for text in _texts(batch):
                    answer = cursor.execute(_LAND, (text, stamp or None)).fetchone()[0]
                    first, _, previous_text = str(answer).partition("|")
                    if not stamp:
                        stamp, before = first, previous_text
                previous = _instant(before)
                if previous is None and after is not None:  # nothing for some days
                    previous = _before(cursor, stamp)
                require_after(previous, after)
                cursor.execute("commit")
            except BaseException as error:
                with contextlib.suppress(sf.Error):
                    cursor.execute("rollback")
                if isinstance(error, sf.Error | OSError):
                    refuse_landing(error)
                raise
        landed_at = _instant(stamp)
        assert landed_at is not None
        return LandResult(rows=len(batch), landed_at=landed_at, previous=previous)

    def clock_distance(self) -> timedelta:
        """How far the account's clock is ahead of this machine's."""
        with self._loaders.borrow() as connection, connection.cursor() as cursor, refusing():
            before = self._now_ns()
            theirs = utc(cursor.execute(_NOW).fetchone()[0]) or EPOCH
            ours = (before + self._now_ns()) // 2
        return theirs - (EPOCH + timedelta(microseconds=ours // 1000))

    def positions(self, source_files: Sequence[str]) -> dict[str, int]:
        """As `Warehouse.positions`."""
        found: dict[str, int] = {}
        with self._loaders.borrow() as connection, connection.cursor() as cursor, refusing():
            for start in range(0, len(source_files), 500):
                names = tuple(source_files[start : start + 500])
                cursor.execute(_POSITIONS.format(places=", ".join("?" * len(names))), names)
                found.update((str(name), int(offset)) for name, offset in cursor)
        return found

    def last_landing(self) -> datetime | None:
        """As `Warehouse.last_landing`."""
        with self._loaders.borrow() as connection, connection.cursor() as cursor, refusing():
            of_late = cursor.execute(_LANDED_OF_LATE).fetchone()[0]
            return utc(of_late or cursor.execute(_LAST_LANDED).fetchone()[0])


_BEFORE: Final = "select max(landed_at) from landing where landed_at < cast(? as timestamp_ntz)"


def _before(cursor: Any, stamp: str) -> datetime | None:
    return utc(cursor.execute(_BEFORE, (stamp,)).fetchone()[0])


def _instant(text: str) -> datetime | None:
    return utc(datetime.fromisoformat(text)) if text else None


def _texts(batch: LineBatch) -> Iterator[str]:
    """The calls' JSON texts; one for an empty batch, which is a landing, too."""
    rows: list[tuple[str, str, str, str, int]] = []
    size = 0
    for id_, kind, payload, source_file, offset in zip(
        batch.ids, batch.kinds, batch.payloads, batch.source_files, batch.offsets, strict=True
    ):
        weight = len(payload) + 200
        if rows and size + weight > _CALL_BYTES:
            yield orjson.dumps(rows).decode()
            rows, size = [], 0
        rows.append((id_, kind, payload.decode("utf-8"), source_file, offset))
        size += weight
    yield orjson.dumps(rows).decode()
