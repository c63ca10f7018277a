"""`state.db` from the event loop: short statements that neither wait for a lock nor sync."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from cdesk.core.backoff import Backoff
from cdesk.core.errors import StateDirectoryError
from cdesk.state.checkpointer import Checkpointer
from cdesk.state.database import open_state

T = TypeVar("T")

BUSY_SECONDS: Final = 5.0
"""Retry a write for this long while another process holds the lock."""
POLL_SECONDS: Final = 0.004
FIRST_POLL_SECONDS: Final = 0.001
"""While few wait, and one no longer than a short query takes."""
FIRST_SECONDS: Final = 0.03
FEW_WAITERS: Final = 4
_BUSY: Final = Backoff(0.001, 0.01)
"""Others hold the lock for the time of one statement."""


class SharedState:
    """One connection, opened at first use, that follows the file when it is replaced (rebuilt after
    damage).

    The connection never checkpoints (that would sync on the loop, inside somebody's call): the
    worker's does, and `tick` in a thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = os.fspath(path)
        self._checkpointer = Checkpointer(path)
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._waiters: dict[asyncio.Future[None], int] = {}
        self._latest_wait = 0.0
        """When the last wait began, by the loop's clock."""
        self._poller: asyncio.Task[None] | None = None
        self.retries = 0
        """How often a write found the lock taken and was retried."""
        self._told = 0

    def take_retries(self) -> int:
        """Retries since this was asked last."""
        more, self._told = self.retries - self._told, self.retries
        return more

    def connection(self) -> sqlite3.Connection:
        """Raises StateDirectoryError where the file cannot be used."""
        if self._connection is not None:
            try:
                status = os.stat(self._name)  # noqa: PTH116 - on every call
                if (status.st_dev, status.st_ino) == self._file:
                    return self._connection
            except OSError:
                pass
            self.close()
        connection = open_state(self._path, timeout_seconds=BUSY_SECONDS)
        connection.execute("pragma wal_autocheckpoint = 0")
        connection.execute("pragma busy_timeout = 0")
        status = self._path.stat()
        self._file = (status.st_dev, status.st_ino)
        self._connection = connection
        return connection

    def read(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run a reading operation; readers never wait in WAL mode. Raises StateDirectoryError."""
        try:
            return operation(self.connection())
        except sqlite3.Error as error:
            self.close()
            raise StateDirectoryError(
                f"{self._path} cannot be read ({error}); see 'cdesk doctor'"
            ) from None

    async def write(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run `operation` in one transaction. Whatever it raises undoes the transaction.

        Raises:
            StateDirectoryError: the database cannot be used, or stays locked for 5 s.
        """
        deadline: float | None = None
        pauses: Iterator[float] = iter(())
        while True:
            try:
                connection = self.connection()
                connection.execute("begin immediate")
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                now = asyncio.get_running_loop().time()
                if deadline is None:
                    deadline, pauses = now + BUSY_SECONDS, _BUSY.pauses()
                if not busy or now >= deadline:
                    self.close()
                    raise self._unusable(error) from None
                self.retries += 1
            except sqlite3.Error as error:
                self.close()
                raise self._unusable(error) from None
            else:
                try:
                    result = operation(connection)
                    connection.execute("commit")
                except sqlite3.Error as error:
                    self._undo(connection)
                    raise self._unusable(error) from None
                except BaseException:
                    self._undo(connection)
                    raise
                return result
            await asyncio.sleep(next(pauses))

    def _undo(self, connection: sqlite3.Connection) -> None:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("rollback")
            return
        self.close()

    def _unusable(self, error: sqlite3.Error) -> StateDirectoryError:
        return StateDirectoryError(
            f"{self._path} cannot be written ({error}); try again, or see 'cdesk doctor'"
        )

    # -- waiting for another process

    def version(self) -> int:
        """A number that changes when another connection commits."""
        return int(
            self.read(lambda connection: connection.execute("pragma data_version").fetchone()[0])
        )

    async def changed(self, seen: int, seconds: float) -> None:
        """Return once `version` differs from `seen`, or after `seconds`. All waiting calls share
        one poll.
        """
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiters[waiter] = seen
        self._latest_wait = loop.time()
        if self._poller is None:
            self._poller = loop.create_task(self._poll())
        # Not asyncio.timeout: a call may be begun where no task is.
        timer = loop.call_later(seconds, _end, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiters.pop(waiter, None)

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiters:
                try:
                    version: int | None = self.version()
                except StateDirectoryError:
                    version = None  # the waiting call finds out when it reads
                for waiter, seen in self._waiters.items():
                    if version != seen:
                        _end(waiter)
                is_new = loop.time() - self._latest_wait < FIRST_SECONDS
                often = is_new and len(self._waiters) <= FEW_WAITERS
                await asyncio.sleep(FIRST_POLL_SECONDS if often else POLL_SECONDS)
        finally:
            self._poller = None

    def tick(self) -> None:
        """Have the write-ahead log checkpointed if it has grown large."""
        self._checkpointer.tick()

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None


def _end(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
