"""How far each queue file has landed: a cache in state.db of what the warehouse itself says
(`positions`).

Losing it costs one question to the warehouse; a cache that contradicts a file is not believed
(`tail_crc`).
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from cdesk.core.errors import StateDirectoryError
from cdesk.state.database import is_damage

_SAVE: Final = """
insert into checkpoints (source_file, next_offset, last_offset, records, tail_crc, updated_at)
select
    json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]')
from json_each(?)
where true
on conflict (source_file) do update set
    next_offset = excluded.next_offset,
    last_offset = excluded.last_offset,
    records = excluded.records,
    tail_crc = excluded.tail_crc,
    updated_at = excluded.updated_at
"""
_FORGET: Final = "delete from checkpoints where source_file in (select value from json_each(?))"


@dataclass(slots=True)
class Progress:
    """One file. `next_offset`: first byte that has not landed. `last_offset`: where the last landed
    line starts, -1 before the first.

    records: lines landed. tail_crc: checksum of the bytes before next_offset
        (`uploader.reading.tail_crc`).
    """

    next_offset: int = 0
    last_offset: int = -1
    records: int = 0
    tail_crc: int = 0


class Checkpoints:
    """The table `checkpoints`. A state.db that cannot be used now is done without: the uploader
    goes on from what it knows.
    """

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], *, repair: Callable[[], object]
    ) -> None:
        self._connect = connect
        self._repair = repair
        self._connection: sqlite3.Connection | None = None

    def load(self) -> dict[str, Progress] | None:
        """All of them, or None when state.db cannot be read."""
        try:
            rows = (
                self._open()
                .execute(
                    "select source_file, next_offset, last_offset, records, tail_crc from "
                    "checkpoints"
                )
                .fetchall()
            )
        except (sqlite3.Error, StateDirectoryError) as error:
            self._give_up(error)
            return None
        return {row[0]: Progress(*row[1:]) for row in rows}

    def save(self, changed: Iterable[tuple[str, Progress]], *, now: str) -> bool:
        """Keep them, all or none; False when state.db cannot be written now."""
        return self._write(
            _SAVE,
            [
                (name, one.next_offset, one.last_offset, one.records, one.tail_crc, now)
                for name, one in changed
            ],
        )

    def forget(self, names: Iterable[str]) -> bool:
        return self._write(_FORGET, list(names))

    def _write(self, sql: str, rows: list[Any]) -> bool:
        """Run one statement over the rows as JSON: a thread that is kept from going on between two
        would keep others from state.db.
        """
        if not rows:
            return True
        try:
            self._open().execute(sql, (json.dumps(rows),))
        except (sqlite3.Error, StateDirectoryError) as error:
            self._give_up(error)
            return False
        return True

    def _give_up(self, error: Exception) -> None:
        """Go on without the cache for now; a damaged file is made anew for the next time."""
        self.close()
        if isinstance(error, sqlite3.Error) and is_damage(error):
            with contextlib.suppress(StateDirectoryError, sqlite3.Error, OSError):
                self._repair()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
