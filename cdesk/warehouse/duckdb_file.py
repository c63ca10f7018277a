"""A DuckDB file, opened for each use and closed again, so that worker, dbt and readers take turns.

DuckDB lets one process write or several read. Another process that holds the file is waited for
with back-off; within this process reads share one read-only instance and a landing waits for them
(`cdesk.warehouse.read_write_lock`).
"""

from __future__ import annotations

import contextlib
import functools
import random
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

import duckdb

from cdesk.core.backoff import FULL_JITTER, Backoff
from cdesk.core.errors import (
    QueryCancelled,
    WarehouseError,
    WarehouseNotBuilt,
    WarehouseUnavailable,
)
from cdesk.core.home import make_private_folder
from cdesk.core.processes import run_ordinary
from cdesk.warehouse.read_write_lock import ReadWriteLock

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_HELD: Final = Backoff(0.01, 0.5, jitter=FULL_JITTER)
_HELD_FROM_LANDING: Final = Backoff(0.01, 0.1, jitter=FULL_JITTER)
"""Whoever asks one question after another leaves the file for a moment only. An attempt takes 7 ms
of the processor.
"""
_CANCEL_POLL: Final = 0.05
_REPLAY: Final = "replaying WAL"
"""Stands in what DuckDB says where it cannot read its log."""
_CANCELLED_EARLY: Final = "the query was cancelled before it started"
_NOT_BUILT: Final = (
    "the warehouse is not built yet; the worker builds it, or run 'cdesk worker --once'"
)
Config: TypeAlias = dict[str, str | bool | int | float | list[str]]

READ_CONFIG: Final[Config] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
}

SCAN_MEMORY: Final = "96MB"


def seal(connection: DuckDBPyConnection) -> None:
    """Close an instance, for all of its connections, to everything but what it was opened with:
    UTC, no path beyond what was attached or allowed, no setting changed any more.
    """
    for setting in (
        "set global TimeZone = 'UTC'",
        "set global enable_external_access = false",
        "set global lock_configuration = true",
    ):
        connection.execute(setting).fetchall()


FileStamp: TypeAlias = tuple[tuple[int, int, int] | None, tuple[int, int, int] | None]
"""What tells one state of a file, and of its write-ahead log, from the next."""


class DuckDBFile:
    """One file and the turns of those who use it here. Safe to use from several threads.

    land_wait, read_wait: seconds to go on trying while somebody else holds the file.
    land_memory, read_memory: the limits of a landing and of all queries together, as DuckDB writes
    them ('1GB').
    """

    def __init__(
        self,
        path: Path,
        *,
        land_wait: float,
        read_wait: float,
        land_memory: str,
        read_memory: str,
        threads: int,
        rng: random.Random,
        sleep: Callable[[float], None],
    ) -> None:
        self._path = path
        self._land_wait = land_wait
        self._read_wait = read_wait
        self._land_memory = land_memory
        self._read_memory = read_memory
        self._threads = threads
        self._rng = rng
        self._sleep = sleep
        self._read_write = ReadWriteLock()
        self._shared_state = threading.Condition()
        self._is_opening = False
        self._shared: DuckDBPyConnection | None = None
        self._shared_users = 0
        self._bulk = threading.local()
        self.waited = 0.0
        """How long who writes has waited for others. Its to read and reset, inside `writing`."""
        self._held = threading.local()
        self.opened: Callable[[FileStamp], None] = _nothing
        self.closed: Callable[[FileStamp], None] = _nothing
        """Called before this process writes, and when it has, with the file as it stands then."""

    @property
    def path(self) -> Path:
        return self._path

    def look(self) -> FileStamp:
        """The file as it stands now. Nothing is opened."""
        return _stamp(self._path), _stamp(self._path.with_name(self._path.name + ".wal"))

    @property
    def kept_here(self) -> bool:
        """Whether this thread is inside `kept_for_reading`."""
        return getattr(self._held, "cursor", None) is not None

    @contextlib.contextmanager
    def still(
        self, wait: float | None = None, cancel: threading.Event | None = None
    ) -> Iterator[Path]:
        """The file while nobody writes to it, to be copied.

        Nobody here has it open meanwhile either: on POSIX, closing any descriptor of a file gives
        up every lock that the process holds on it.

        Raises:
            As `reading`.
        """
        wait = self._read_wait if wait is None else wait
        said = "a landing keeps the warehouse; try again in a moment"
        with self._alone(wait, {}, said, cancel):
            yield self._path

    @contextlib.contextmanager
    def scanning(self) -> Iterator[DuckDBPyConnection]:
        """A connection for who reads a whole table once: what it reads is cached in SCAN_MEMORY,
        where that of all queries would fill with it. Nobody here has the file open meanwhile.

        Raises:
            As `reading`.
        """
        config = {**READ_CONFIG, "threads": self._threads, "memory_limit": SCAN_MEMORY}
        said = "running queries keep the warehouse; it is tried again"
        with self._alone(self._read_wait, config, said) as connection:
            try:
                seal(connection)
            except duckdb.Error as error:
                refuse(error)
            yield connection

    @contextlib.contextmanager
    def _alone(
        self, wait: float, config: Config, said: str, cancel: threading.Event | None = None
    ) -> Iterator[DuckDBPyConnection]:
        """A read-only connection, the only one of this process. `said`: what is wrong where others
        of this process keep the file.
        """
        deadline = time.monotonic() + wait
        with (
            _turn(self._read_write.write(wait), said),
            contextlib.closing(
                self._connect(deadline, read_only=True, config=config, cancel=cancel)
            ) as connection,
        ):
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[DuckDBPyConnection]:
        """A connection that has the file alone; the kept one inside `kept_for_writing`.

        Raises:
            WarehouseUnavailable: readers here or another process keep the file.
        """
        shared: DuckDBPyConnection | None = getattr(self._bulk, "connection", None)
        if shared is not None:
            yield shared
            return
        begun = time.monotonic()
        said = "running queries keep the warehouse; landing waits for them"
        with _turn(self._read_write.write(self._land_wait), said):
            connection = self._connect(
                begun + self._land_wait,
                read_only=False,
                config={
                    "threads": 1,  # more of them keep more rows in memory before they write
                    "memory_limit": self._land_memory,
                    "python_enable_replacements": "false",
                },
                pauses=_HELD_FROM_LANDING,
                free=functools.partial(self._note_wait, begun),
            )
            self.opened(self.look())
            try:
                yield connection
            finally:
                connection.close()
                self.closed(self.look())

    def _note_wait(self, begun: float, opened: float) -> None:
        self.waited = opened - begun

    def set_damaged_log_aside(self) -> Path | None:
        """Where the write-ahead log can no longer be read, which keeps everybody out, move it away;
        to where, None where nothing was wrong. The file is then as of its last checkpoint, and what
        landed since lands again from the archive.

        Raises:
            WarehouseUnavailable: another process holds the file. WarehouseError: it is the file
            itself that is damaged.
        """
        log = self._path.with_name(f"{self._path.name}.wal")
        if not log.exists():
            return None
        try:
            with self.writing():
                return None
        except WarehouseError as error:
            if _REPLAY not in str(error):
                raise
        numbers = (one.name.rpartition("-")[2] for one in log.parent.glob(f"{log.name}.damaged-*"))
        number = 1 + max((int(one) for one in numbers if one.isdigit()), default=0)
        aside = log.with_name(f"{log.name}.damaged-{number}")
        try:
            log.rename(aside)
        except OSError as error:
            raise WarehouseUnavailable(
                f"{log.name} is damaged and cannot be moved away ({error.strerror})"
            ) from None
        with self.writing():
            return aside

    def rewrite(self) -> None:
        """Write the file anew from what is in it, so that nothing that was deleted stays behind in
        free pages or in its log.

        Raises:
            WarehouseUnavailable: another process holds the file. WarehouseError: it cannot be
            copied; it stays as it was.
        """
        folder = self._path.with_name(".rewriting")
        shutil.rmtree(folder, ignore_errors=True)
        make_private_folder(folder)
        # The same name: the views in it name the catalog, which is called after the file.
        copy = folder / self._path.name
        try:
            with self.writing() as connection:
                connection.execute("checkpoint").fetchall()
                # ATTACH and COPY take names and no bound values; both are our own.
                place = str(copy).replace("'", "''")
                name = self._path.stem.replace('"', '""')
                connection.execute(f"set memory_limit = '{self._read_memory}'").fetchall()
                connection.execute(f"set threads = {self._threads}").fetchall()
                connection.execute(f"attach '{place}' as rewritten").fetchall()
                connection.execute(f'copy from database "{name}" to rewritten').fetchall()
                connection.execute("detach rewritten").fetchall()
            copy.replace(self._path)
            self._path.with_name(f"{self._path.name}.wal").unlink(missing_ok=True)
        except duckdb.Error as error:
            refuse(error)
        except OSError as error:
            raise WarehouseUnavailable(
                f"{self._path.name} cannot be replaced ({error.strerror})"
            ) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def reading(
        self, wait: float | None = None, cancel: threading.Event | None = None
    ) -> Iterator[DuckDBPyConnection]:
        """A cursor of the instance that all reads of this process share.

        Raises:
            WarehouseUnavailable: a landing here or another process keeps the file.
            QueryCancelled: cancelled while it waited.
        """
        held: DuckDBPyConnection | None = getattr(self._held, "cursor", None)
        if held is not None:
            with contextlib.closing(held.cursor()) as cursor:
                yield cursor
            return
        wait = self._read_wait if wait is None else wait
        deadline = time.monotonic() + wait
        said = "a landing keeps the warehouse; try again in a moment"
        with _turn(self._read_write.read(wait, cancel=cancel), said):
            cursor = self._share(deadline, cancel)
            try:
                yield cursor
            finally:
                cursor.close()
                self._unshare()

    @contextlib.contextmanager
    def kept_for_writing(self) -> Iterator[None]:
        """Every landing of this thread inside the block uses one connection."""
        with self.writing() as connection:
            self._bulk.connection = connection
            try:
                yield
            finally:
                self._bulk.connection = None

    @contextlib.contextmanager
    def kept_for_reading(self, cancel: threading.Event | None) -> Iterator[None]:
        """Every read of this thread inside the block uses one opened instance."""
        with self.reading(cancel=cancel) as cursor:
            self._held.cursor = cursor
            try:
                yield
            finally:
                self._held.cursor = None

    def _share(self, deadline: float, cancel: threading.Event | None) -> DuckDBPyConnection:
        """A cursor of the one read-only instance, opened by the first who needs it."""
        with self._shared_state:
            while self._shared is None:
                if not self._is_opening:
                    self._open_shared(deadline, cancel)
                    continue
                if cancel is not None and cancel.is_set():
                    raise QueryCancelled(_CANCELLED_EARLY)
                left = deadline - time.monotonic()
                if left <= 0:
                    raise WarehouseUnavailable(
                        f"another process holds {self._path.name}; it is tried again"
                    )
                self._shared_state.wait(min(left, _CANCEL_POLL) if cancel is not None else left)
            cursor = self._shared.cursor()
            self._shared_users += 1
            return cursor

    def _open_shared(self, deadline: float, cancel: threading.Event | None) -> None:
        """Open the read-only instance, whose threads are as who opens it is, and answer questions.
        The lock is free meanwhile: whoever waits for the instance can still be cancelled.
        """
        self._is_opening = True
        self._shared_state.release()
        connection = None
        try:
            connection = run_ordinary(
                lambda: self._connect(
                    deadline,
                    read_only=True,
                    config={
                        **READ_CONFIG,
                        "threads": self._threads,
                        "memory_limit": self._read_memory,
                    },
                    cancel=cancel,
                ),
                "cdesk-reading",
            )
            try:
                seal(connection)
            except duckdb.Error as error:
                connection.close()
                connection = None
                refuse(error)
        finally:
            self._shared_state.acquire()
            self._shared = connection
            self._is_opening = False
            self._shared_state.notify_all()

    def _unshare(self) -> None:
        """Close the instance after its last user: an open reader keeps dbt and landings out."""
        with self._shared_state:
            self._shared_users -= 1
            if self._shared_users == 0 and self._shared is not None:
                self._shared.close()
                self._shared = None

    def _connect(
        self,
        deadline: float,
        *,
        read_only: bool,
        config: Config,
        cancel: threading.Event | None = None,
        pauses: Backoff = _HELD,
        free: Callable[[float], None] | None = None,
    ) -> DuckDBPyConnection:
        """Open the file, trying again with full jitter while another process holds it. free: told
        when the attempt began that succeeded.

        Raises:
            WarehouseNotBuilt: there is no file. WarehouseUnavailable: held until the deadline.
            WarehouseError: unreadable.
        """
        waits = pauses.pauses(self._rng)
        while True:
            if not self._path.exists():
                raise WarehouseNotBuilt(_NOT_BUILT)
            try:
                at = time.monotonic()
                connection = duckdb.connect(self._path, read_only=read_only, config=config)
            except duckdb.Error as error:
                if not _is_held(error):
                    refuse(error)
                if cancel is not None and cancel.is_set():
                    raise QueryCancelled(_CANCELLED_EARLY) from None
                left = deadline - time.monotonic()
                if left <= 0:
                    raise WarehouseUnavailable(
                        f"another process holds {self._path.name} ({_holder(error)}); "
                        "it is tried again"
                    ) from None
            else:
                if free is not None:
                    free(at)
                return connection
            pause = min(next(waits), left)
            if cancel is None:
                self._sleep(pause)
            else:
                cancel.wait(pause)


@contextlib.contextmanager
def _turn(lock: AbstractContextManager[None], said: str) -> Iterator[None]:
    """Hold the lock. Raises WarehouseUnavailable, saying `said`, where it isn't free in time; what
    the block raises stays as it is.
    """
    with contextlib.ExitStack() as entered:
        try:
            entered.enter_context(lock)
        except TimeoutError:
            raise WarehouseUnavailable(said) from None
        yield


def _nothing(_: FileStamp) -> None:
    return


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


@contextlib.contextmanager
def transaction(connection: DuckDBPyConnection) -> Iterator[None]:
    """All or nothing, also on a connection that is used again."""
    try:
        connection.execute("begin").fetchall()
        yield
        connection.execute("commit").fetchall()
    except BaseException as failure:
        with contextlib.suppress(duckdb.Error):
            connection.execute("rollback").fetchall()
        if isinstance(failure, duckdb.Error):
            refuse(failure)
        raise


def _is_held(error: Exception) -> bool:
    """Whether an error on opening means that somebody else has the file (POSIX lock, Windows
    sharing, other mode here).
    """
    text = str(error)
    return (isinstance(error, duckdb.IOException) and ("lock" in text or "being used" in text)) or (
        isinstance(error, duckdb.ConnectionException) and "different configuration" in text
    )


def _holder(error: Exception) -> str:
    match = re.search(r"PID (\d+)", str(error))
    return f"process {match[1]}" if match else "busy"


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def refuse(error: Exception) -> NoReturn:
    """An engine error as one of ours."""
    if isinstance(error, duckdb.CatalogException):
        raise WarehouseNotBuilt(f"{_NOT_BUILT} ({first_line(error)})") from None
    if isinstance(error, duckdb.IOException) and "not a valid DuckDB" not in str(error):
        raise WarehouseUnavailable(
            f"the warehouse file cannot be used: {first_line(error)}"
        ) from None
    if isinstance(error, duckdb.OutOfMemoryException):
        raise WarehouseError(f"out of memory: {first_line(error)}") from None
    raise WarehouseError(first_line(error)) from None
