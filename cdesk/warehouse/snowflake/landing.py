"""Landing by the plain connector: a bulk bind into a temporary table and one statement that takes
over what is missing, in one transaction.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from cdesk.core.clock import NowNs
from cdesk.warehouse.batch import LineBatch
from cdesk.warehouse.protocol import LandedLine, LandResult, require_after
from cdesk.warehouse.snowflake.driver import errors as sf
from cdesk.warehouse.snowflake.refusal import refuse, refusing
from cdesk.warehouse.snowflake.sessions import SessionPool
from cdesk.warehouse.snowflake.times import EPOCH, TICK, naive_text, utc

BATCH_TABLE: Final = (
    "create temporary table if not exists landing_batch "
    "(id varchar, kind varchar, payload varchar, source_file varchar, source_offset number(38, 0))"
)
_CLEAR_BATCH: Final = "delete from landing_batch"
_FILL_BATCH: Final = "insert into landing_batch (id, kind, payload, source_file, source_offset) values (?, ?, ?, ?, ?)"
# With the account's clock, since each client has its own.
_LAST_LANDED_TODAY: Final = (
    "select max(landed_at), sysdate() from landing where landed_at >= dateadd(day, -1, sysdate())"
)
_LAST_LANDED: Final = "select max(landed_at) from landing"
_NOW: Final = "select sysdate()"
# A batch is sent again when its answer got lost: the same lines at the same places, so they are
# looked for among the recent ones only, which prunes. 'd': of a key that stands twice the last
# value counts, as it does where the record was checked.
_MERGE: Final = (
    "merge into landing using (select id, kind, parse_json(payload, 'd') as payload, source_file, source_offset, "
    "cast(? as timestamp_ntz) as landed_at from landing_batch) as batch "
    "on landing.landed_at >= dateadd(day, -3, batch.landed_at) and landing.id = batch.id "
    "and landing.source_file = batch.source_file and landing.source_offset = batch.source_offset "
    "when not matched then insert (id, kind, payload, source_file, source_offset, landed_at) "
    "values (batch.id, batch.kind, batch.payload, batch.source_file, batch.source_offset, batch.landed_at)"
)
_POSITIONS: Final = "select source_file, max(source_offset) from landing where source_file in ({places}) group by source_file"
_BULK_ROWS: Final = 10_000
"""Below the connector's threshold of 65,280 values, above which it would stage a file, for which
the loader has no privilege.
"""


class ConnectorLoader:
    """Appends lines to `landing` over the sessions of a loader role. Safe to use from several
    threads.
    """

    def __init__(self, sessions: SessionPool, *, now_ns: NowNs = time.time_ns) -> None:
        self._loaders = sessions
        self._now_ns = now_ns

    def land(self, lines: Sequence[LandedLine], *, after: datetime | None = None) -> LandResult:
        batch = LineBatch.of(lines)
        rows = [
            (id_, kind, payload.decode("utf-8"), source_file, offset)
            for id_, kind, payload, source_file, offset in zip(
                batch.ids,
                batch.kinds,
                batch.payloads,
                batch.source_files,
                batch.offsets,
                strict=True,
            )
        ]
        with self._loaders.borrow() as connection, connection.cursor() as cursor:
            try:
                cursor.execute("begin")
                cursor.execute(_CLEAR_BATCH)
                for start in range(0, len(rows), _BULK_ROWS):
                    cursor.executemany(_FILL_BATCH, rows[start : start + _BULK_ROWS])
                previous, landed_at = map(utc, cursor.execute(_LAST_LANDED_TODAY).fetchone())
                assert landed_at is not None
                if previous is None:
                    previous = utc(cursor.execute(_LAST_LANDED).fetchone()[0])
                require_after(previous, after)
                if previous is not None and landed_at <= previous:
                    landed_at = previous + TICK
                cursor.execute(_MERGE, (naive_text(landed_at),))
                cursor.execute("commit")
            except BaseException as error:
                with contextlib.suppress(sf.Error):
                    cursor.execute("rollback")
                if isinstance(error, sf.Error | OSError):
                    refuse(error)
                raise
        return LandResult(rows=len(rows), landed_at=landed_at, previous=previous)

    def clock_distance(self) -> timedelta:
        """How far the account's clock is ahead of this machine's."""
        with self._loaders.borrow() as connection, connection.cursor() as cursor, refusing():
            before = self._now_ns()
            theirs = utc(cursor.execute(_NOW).fetchone()[0]) or EPOCH
            ours = (before + self._now_ns()) // 2
        return theirs - (EPOCH + timedelta(microseconds=ours // 1000))

    def positions(self, source_files: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        with self._loaders.borrow() as connection, connection.cursor() as cursor, refusing():
            for start in range(0, len(source_files), 500):
                names = tuple(source_files[start : start + 500])
                cursor.execute(_POSITIONS.format(places=", ".join("?" * len(names))), names)
                found.update((str(name), int(offset)) for name, offset in cursor)
        return found

    def last_landing(self) -> datetime | None:
        with self._loaders.borrow() as connection, connection.cursor() as cursor, refusing():
            return utc(cursor.execute(_LAST_LANDED).fetchone()[0])
