"""A copy of the warehouse file that questions read, so that none waits for a build or a landing.

DuckDB lets one process write to a file or several read it. A worker therefore reads a copy, opened
read-only in an instance of its own, under relations of the same names:

    store       the copied file, read-only: as the last build left it
    <file>      in memory: a view on every relation of the copy, `landing` with the lines that
                this process has landed since, `events_live` with what follows from them

What `events_live` shows beyond `events` is worked out once after a landing, by the project's own
query (macro `live_changes`), and not by every question; and only for the customers who have landed
something, since nobody else's activities are numbered anew by it. The copy is disposable: it is
made anew after a build, where another process has written to the file, and where too much has
landed since.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import os
import re
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from cdesk.core.errors import QueryCancelled, WarehouseError, WarehouseUnavailable
from cdesk.core.home import make_private_folder, open_private
from cdesk.core.processes import run_ordinary
from cdesk.warehouse.batch import LineBatch
from cdesk.warehouse.duckdb_file import (
    READ_CONFIG,
    DuckDBFile,
    FileStamp,
    first_line,
    seal,
    transaction,
)
from cdesk.warehouse.landed_news import LandedNews
from cdesk.warehouse.lines import EngineLines

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

logger = logging.getLogger(__name__)

REST_SECONDS: Final = 60.0
"""A copy that nobody has read for so long is closed and removed."""
TAIL_BYTES: Final = 64 * 1024 * 1024
"""So much may have landed since a copy was made; then the next question makes a new one."""
COPY_BYTES: Final = 4 * 1024 * 1024 * 1024
"""A larger file is copied only where the file system can share its blocks."""
RETRY_SECONDS: Final = 60.0
"""After a copy that could not be made questions read the file itself for so long."""
_IDLE_CURSORS: Final = 8
"""So many cursors wait for the next reader; a new one has to be told its database first."""
_LOCK_POLL: Final = 0.05
_MOMENT: Final = 0.01
"""Longer than who begins or ends to read keeps the turn."""
_FICLONE: Final = 0x40049409  # linux/fs.h; shares blocks on Btrfs, XFS, bcachefs

_TABLES: Final = (
    "select table_name from duckdb_tables() where database_name = 'store' "
    "and schema_name = 'activities'"
)
_VIEWS: Final = (
    "select view_name, sql from duckdb_views() where database_name = 'store' "
    "and schema_name = 'activities' and not internal"
)
_CHANGES: Final = (
    "select macro_definition from duckdb_functions() where database_name = 'store' "
    "and schema_name = 'activities' and function_name = 'live_changes'"
)
_LANDED_SINCE: Final = (
    "create table activities.landed_since as select * from store.activities.landing limit 0"
)
_LANDING: Final = (
    "create view activities.landing as select * from store.activities.landing "
    "union all select * from activities.landed_since"
)
# What one landing brought, and what the relations of this copy take from it.
_JUST_LANDED: Final = (
    "create or replace table activities.just_landed as "
    "select * from activities.landed_since limit 0"
)
_KEEP_LANDED: Final = "insert into activities.landed_since select * from activities.just_landed"
_CHANGED: Final = "create table activities.changed as select * from store.activities.events limit 0"
# Of each line that may count: whose it is.
_WHOSE: Final = (
    "select id, json_extract_string(payload, '$.customer') as customer from {lines} "
    "where kind in ('event', 'revision')"
)
_RECENT: Final = (
    f"create table activities.recent as {_WHOSE.format(lines='store.activities.landing')} "
    "and landed_at >= ?"
)
_KEEP_RECENT: Final = (
    f"insert into activities.recent {_WHOSE.format(lines='activities.just_landed')}"
)
_NEWEST_STORED: Final = (
    "select coalesce(max(_landed_at), '0001-01-01'::timestamp) from store.activities.events "
    "where _landed_at <= timezone('UTC', now())"
)
_TOUCHED: Final = (
    "create or replace table activities.touched as "
    f"select distinct customer from ({_WHOSE.format(lines='activities.just_landed')})"
)
# What landed before the newest stored activity is looked up by what the build knows of it; lines
# of others with the same id say who had it first.
_LANDING_OF_TOUCHED: Final = (
    "create view activities.landing_of_touched as select * from activities.landing "
    "where landed_at < '{since}'::timestamp or id in (select id from activities.recent "
    "where customer in (select customer from activities.touched))"
)
# Made anew each time: what is deleted from a table in memory goes on to take its place there.
_CHANGE_ALL: Final = (
    "create or replace table activities.changed as "
    "(select * from activities.changed limit 0) union all by name ({changes})"
)
_CHANGE_TOUCHED: Final = (
    "create or replace table activities.changed as "
    "select * from activities.changed as old where not exists "
    "(select 1 from activities.touched where touched.customer = old.customer) "
    "union all by name select * from ({changes}) as new "
    "where new.customer in (select customer from activities.touched)"
)
_EVENTS_LIVE: Final = (
    "create view activities.events_live as select stored.* from store.activities.events as stored "
    "where not exists (select 1 from activities.changed "
    "where changed._activity_id = stored._activity_id) "
    "union all select * from activities.changed"
)
_UNSTORED: Final = "unstored_activities"
_KEEP_UNSTORED: Final = (
    f"insert into activities.{_UNSTORED} select * from activities.{_UNSTORED}_just_landed"
)
_RELATION: Final = re.compile(r'\bactivities"?\."?(\w+)')
_LANDING_NAMED: Final = re.compile(r'\bactivities"?\."?landing\b"?')
_LAST_LANDED: Final = "select max(landed_at) from activities.landing"


class CopyFailed(WarehouseError):
    """The copy could not be made; the file itself can be read."""


@dataclass(frozen=True, slots=True)
class _Landing:
    """Lines that this process has landed; `number` counts landings."""

    number: int
    lines: Sequence[EngineLines]
    landed_at: datetime


@dataclass(frozen=True, slots=True)
class _Held:
    """A thread's open transaction; `unmade` are the relations that it cannot see."""

    cursor: DuckDBPyConnection
    last: datetime | None
    unmade: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Changes:
    """The project's query of what events_live shows beyond events."""

    query: str

    def of(self, *, whole: bool) -> str:
        """The statement that renews `changed`: of everybody, or of those in `touched` alone."""
        own = _LANDING_NAMED.sub("activities.landing_of_touched", self.query)
        statement = _CHANGE_ALL if whole else _CHANGE_TOUCHED
        return statement.format(changes=self.query if whole else own)


@dataclass(frozen=True, slots=True)
class _Relations:
    """What a copy shows. changes: None where the project has none.

    statements: of each relation that waits until it is asked for, how it is made here: to make a
    view is to bind it. followers: what takes in a landing from `just_landed`.
    """

    changes: _Changes | None
    statements: dict[str, str]
    followers: tuple[str, ...]


class _Instance:
    """One copy, opened. `holds`: the number of the last landing that it shows.

    making, taking: to be held by who makes relations, and by who takes in a landing. Questions read
    on meanwhile: each sees what was committed when its transaction began.
    """

    def __init__(
        self,
        connection: DuckDBPyConnection,
        path: Path,
        relations: _Relations,
        holds: int,
    ) -> None:
        self.connection = connection
        self.path = path
        self.holds = holds
        self.making = threading.Lock()
        self.taking = threading.Lock()
        self.users = 0
        self.retired = False
        self.last: datetime | None = None
        """The latest landing that it shows."""
        self._idle: list[DuckDBPyConnection] = []
        self._changes = relations.changes
        self._statements = relations.statements
        self._followers = relations.followers
        self.is_fresh = False
        """Whether what events_live shows beyond events was worked out once."""
        if self._changes is not None:
            self.make(_named(self._changes.query))

    @property
    def unmade(self) -> set[str]:
        """The relations of the copy that nobody has asked for yet."""
        return set(self._statements)

    def has(self, relations: Iterable[str]) -> bool:
        """Whether nothing is to be made for a query that names these."""
        return not any(relation in self._statements for relation in relations)

    def make(self, relations: Iterable[str]) -> None:
        """Make the relations that a query names, and those that they name, where they are not
        there yet.
        """
        for relation in relations:
            statement = self._statements.get(relation)
            if statement is not None:
                self.make(_named(statement) - {relation})
                with contextlib.closing(self.cursor()) as cursor:
                    cursor.execute(statement).fetchall()
                # Another one: who does not change it reads it meanwhile.
                self._statements = {
                    name: text for name, text in self._statements.items() if name != relation
                }

    def take(self, landings: Sequence[_Landing]) -> None:
        """Show what has landed since, and work out anew what events_live shows beyond events."""
        new = [landing for landing in landings if landing.number > self.holds]
        if self.is_fresh and not new:
            return
        with contextlib.closing(self.cursor()) as cursor, transaction(cursor):
            cursor.execute(_JUST_LANDED).fetchall()
            for landing in new:
                for lines in landing.lines:
                    lines.append_to("activities.just_landed", cursor, landing.landed_at)
            for statement in self._followers:
                cursor.execute(statement).fetchall()
            if self._changes is not None:
                cursor.execute(self._changes.of(whole=not self.is_fresh)).fetchall()
            self.last = cursor.execute(_LAST_LANDED).fetchall()[0][0]
        self.holds = new[-1].number if new else self.holds
        self.is_fresh = True

    def cursor(self) -> DuckDBPyConnection:
        cursor = self.connection.cursor()
        cursor.execute(f"use {_quoted(self.path.stem)}").fetchall()
        return cursor

    def begin(self) -> DuckDBPyConnection:
        """A cursor in a read-only transaction; an earlier reader's where one rests."""
        try:
            cursor = self._idle.pop()
        except IndexError:
            cursor = self.cursor()
        cursor.execute("begin transaction read only").fetchall()
        return cursor

    def rest(self, cursor: DuckDBPyConnection) -> None:
        """Keep a cursor for the next reader; its transaction has ended (`_ended`)."""
        if self.retired or len(self._idle) >= _IDLE_CURSORS:
            cursor.close()
        else:
            self._idle.append(cursor)

    def close(self) -> None:
        for cursor in self._idle:
            cursor.close()
        self.connection.close()
        _remove(self.path.parent)


class ReadCopy:
    """The copy of one file. Safe to use from several threads.

    folder: where copies lie while they are open, this process's alone. memory: the limit of all
    queries together, as DuckDB writes it.
    """

    def __init__(
        self,
        file: DuckDBFile,
        folder: Path,
        *,
        memory: str,
        threads: int,
        rest_seconds: float = REST_SECONDS,
    ) -> None:
        self._file = file
        self._folder = folder
        self._memory = memory
        self._threads = threads
        self._rest_seconds = rest_seconds
        self._turn = threading.Lock()
        self._held = threading.local()
        self._instance: _Instance | None = None
        # What the landing side tells; it never waits for a copy that waits for it.
        self._told = threading.Lock()
        self._stamp: FileStamp | None = None
        self._writing = False
        self._landings: deque[_Landing] = deque()
        self._landed = 0
        self._wanted: set[str] = set()
        """The relations that questions have named since somebody began to ask."""
        self._arriving: set[int] = set()
        """Landings that are being taken in by who landed them, of which nobody was told yet."""
        self._landed_bytes = 0
        self._following = False
        self._outgrown = False
        self._numbers = itertools.count(1)
        self._news = LandedNews()
        self._building = 0
        self._used_at = 0.0
        self._asked = False
        self._failed_at: float | None = None
        self._resting: threading.Thread | None = None
        self._ending: list[threading.Thread] = []
        self._closed = threading.Event()
        _remove(folder)

    # -- reading

    @contextlib.contextmanager
    def reading(
        self, wait: float, cancel: threading.Event | None, sql: str = ""
    ) -> Iterator[tuple[DuckDBPyConnection, datetime | None]]:
        """A connection in a read-only transaction that can run `sql`, and the latest landing that
        it sees. Inside `kept` the one of that block.

        Raises:
            WarehouseUnavailable: there is no copy yet, and others keep the file. QueryCancelled:
            cancelled while it waited. CopyFailed: read the file itself.
        """
        relations = _named(sql)
        held: _Held | None = getattr(self._held, "one", None)
        if held is not None and relations.isdisjoint(held.unmade):
            yield held.cursor, held.last
            return
        instance, cursor, last = self._enter(wait, cancel, relations)
        try:
            yield cursor, last
        finally:
            self._leave(instance, _ended(cursor))

    @contextlib.contextmanager
    def kept(
        self, wait: float, cancel: threading.Event | None, sql: Sequence[str]
    ) -> Iterator[None]:
        """All reads of this thread inside the block see one state of the data, and are of `sql`."""
        self._wanted.update(*map(_named, sql))
        with self.reading(wait, cancel, "\n".join(sql)) as (cursor, last):
            instance = self._instance
            unmade = set() if instance is None else instance.unmade
            self._held.one = _Held(cursor, last, frozenset(unmade))
            try:
                yield
            finally:
                self._held.one = None

    # -- following the file

    def landed(
        self, batches: Sequence[LineBatch], lines: Sequence[EngineLines], landed_at: datetime
    ) -> None:
        """Take in what one transaction of this process has landed in the file: `batches`, for the
        engine in `lines`; at once where somebody has asked since the last landing, so that the
        next one need not wait.
        """
        with self._told:
            self._landed += 1
            number, is_kept = self._landed, self._stamp is not None and not self._outgrown
            if is_kept:
                self._landings.append(_Landing(number, lines, landed_at))
                self._arriving.add(number)
                self._landed_bytes += sum(one.nbytes for one in lines)
                if self._landed_bytes > TAIL_BYTES:
                    self._forget()
        try:
            if is_kept and self._asked:
                self._take_at_once()
        finally:
            # At last: who finds it here finds it in the copy, too.
            with self._told:
                self._arriving.discard(number)
                for batch in batches:
                    self._news.add(batch)

    def _take_at_once(self) -> None:
        """Take in what has just landed, while questions are answered from before it. Whoever keeps
        this from it does so.
        """
        # Who has the turn may wait for the file, which whoever lands may keep.
        if not self._turn.acquire(timeout=_MOMENT):
            return
        try:
            self._asked = False
            instance = self._instance
            if instance is None or not self._stands():
                return
            instance.users += 1
        finally:
            self._turn.release()
        try:
            if instance.taking.acquire(blocking=False):
                try:
                    self._bring_up_to_date(instance)
                finally:
                    instance.taking.release()
        except (duckdb.Error, WarehouseError) as error:
            self._give_up(instance, error)
        finally:
            self._let_go(instance)

    def outgrown(self) -> None:
        """This process has landed more than a copy takes in: from before it questions are answered
        until the file is closed, and then from a new copy.
        """
        with self._told:
            self._landed += 1
            self._news.everything()
            self._outgrown = True

    def opened(self, stamp: FileStamp) -> None:
        """This process begins to write to the file; somebody else may have before."""
        with self._told:
            if stamp != self._stamp:
                self._forget()
            self._writing = True

    def closed(self, stamp: FileStamp) -> None:
        """This process has written; the copy follows by `landed`."""
        with self._told:
            self._writing = False
            if self._outgrown:
                self._forget()
            if self._stamp is not None:
                self._stamp = stamp

    def state(self, customer: str | None, *, system: bool) -> str | None:
        """As `Warehouse.data_state`; None where no copy stands. While a build of ours runs that of
        the copy from before it, which questions are answered from.
        """
        if not self._stands():
            return None
        with self._told:
            return None if self._instance is None else self._news.mark(customer, system=system)

    def _forget(self) -> None:
        """The copy that there is can't be brought up to date."""
        self._stamp = None
        self._outgrown = False
        self._news.everything()
        self._landings.clear()
        self._landed_bytes = 0

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """A build of ours runs: questions are answered from before it, and from then on from a new
        copy.
        """
        with self._turn:
            self._building += 1
        try:
            yield
        finally:
            try:
                if self._instance is not None:
                    with contextlib.suppress(WarehouseError):
                        self._follow()
            finally:
                with self._turn:
                    self._building -= 1

    def close(self) -> None:
        """Remove the copy, now or after its last reader."""
        self._closed.set()
        with self._turn:
            self._retire()
        self.wait_ended()

    # -- the instance

    def _enter(
        self, wait: float, cancel: threading.Event | None, relations: Iterable[str]
    ) -> tuple[_Instance, DuckDBPyConnection, datetime | None]:
        until = time.monotonic() + wait
        with _having(self._turn, until, cancel):
            if self._instance is None or not self._stands():
                self._renew(wait, cancel)
            instance = self._instance
            assert instance is not None
            instance.users += 1
            self._asked = True
        is_in = False
        try:
            if not instance.has(relations):
                with _having(instance.making, until, cancel):
                    run_ordinary(lambda: self._make(instance, relations), "cdesk-copy")
            if not self._is_up_to_date(instance):
                with _having(instance.taking, until, cancel):  # what questions wait for, too
                    run_ordinary(lambda: self._bring_up_to_date(instance), "cdesk-copy")
            # Before the transaction, so that it sees no less.
            last = instance.last
            cursor = instance.begin()
            is_in = True
        except (CopyFailed, QueryCancelled, WarehouseUnavailable):  # of this question alone
            raise
        except (duckdb.Error, WarehouseError) as error:
            raise self._give_up(instance, error) from None
        finally:
            if not is_in:
                self._let_go(instance)
        return instance, cursor, last

    def _make(self, instance: _Instance, relations: Iterable[str]) -> None:
        try:
            instance.make(relations)
        except duckdb.Error as error:  # of this question alone: the file says what is wrong
            raise CopyFailed(str(error)) from None

    def _is_up_to_date(self, instance: _Instance) -> bool:
        """Whether the copy shows what has landed, but for what is just being taken in."""
        with self._told:
            new = {one.number for one in self._landings if one.number > instance.holds}
            return instance.is_fresh and new <= self._arriving

    def _give_up(self, instance: _Instance, error: Exception) -> CopyFailed:
        """Who reads it reads on; the next question finds no copy."""
        with self._turn:
            if self._instance is instance:
                self._retire()
        return self._failed(error)

    def _let_go(self, instance: _Instance) -> None:
        with self._turn:
            self._count_out(instance)

    def _count_out(self, instance: _Instance) -> None:
        """One reads it no more. For who has the turn."""
        instance.users -= 1
        if instance.retired and not instance.users:
            self._end(instance)

    def _stands(self) -> bool:
        """Whether the copy shows what the file holds, or held when a build of ours began."""
        with self._told:
            known, writing = self._stamp, self._writing
        return self._building > 0 or (known is not None and (writing or self._file.look() == known))

    def _bring_up_to_date(self, instance: _Instance) -> None:
        with self._told:
            landings = list(self._landings)
        instance.take(landings)
        with self._told:
            self._let_landings_go(instance)

    def _let_landings_go(self, instance: _Instance) -> None:
        """Forget the lines of landings that the copy shows, unless another is being made."""
        while not self._following and self._landings:
            if self._landings[0].number > instance.holds:
                break
            self._landings.popleft()

    def _leave(self, instance: _Instance, cursor: DuckDBPyConnection | None) -> None:
        with self._turn:
            if cursor is not None:
                instance.rest(cursor)
            self._count_out(instance)
            self._used_at = time.monotonic()
            if self._instance is not None and self._resting is None:
                self._resting = threading.Thread(
                    target=self._rest, name="cdesk-copy-rest", daemon=True
                )
                self._resting.start()

    def _follow(self) -> None:
        """A new copy beside the old one, which answers meanwhile: with what is asked for."""
        with self._told:
            if self._file.look() == self._stamp:
                return
            self._following = True
        try:
            made = self._open(None, None)
            try:
                with contextlib.suppress(duckdb.Error):  # who asks is told
                    made.make(list(self._wanted))
                self._bring_up_to_date(made)
            except BaseException as error:
                made.close()
                if isinstance(error, duckdb.Error):
                    raise self._failed(error) from None
                raise
            with self._turn:
                self._retire()
                with self._told:
                    self._instance = made
                    self._news.everything()
        except BaseException:
            with self._told:
                self._forget()  # the copy that there is does not show what was built
            raise
        finally:
            with self._told:
                self._following = False
                if self._instance is not None:
                    self._let_landings_go(self._instance)

    def _renew(self, wait: float, cancel: threading.Event | None) -> None:
        failed = self._failed_at
        if failed is not None and time.monotonic() - failed < RETRY_SECONDS:
            raise CopyFailed("the warehouse could not be copied a moment ago")
        self._retire()
        self._closed.clear()
        made = self._open(wait, cancel)
        with self._told:
            self._news.everything()
            self._instance = made

    def _open(self, wait: float | None, cancel: threading.Event | None) -> _Instance:
        """Its threads are as who opens it is, and answer questions, which wait for it, too."""
        return run_ordinary(lambda: self._copied(wait, cancel), "cdesk-copy")

    def _copied(self, wait: float | None, cancel: threading.Event | None) -> _Instance:
        folder = self._folder / str(next(self._numbers))
        path = folder / self._file.path.name
        try:
            with self._file.still(wait, cancel) as source:
                make_private_folder(folder)
                _copy(source, path)
                with self._told:
                    # Nobody lands now: what has landed is in the copy.
                    self._stamp, holds, self._landed_bytes = self._file.look(), self._landed, 0
            instance = _opened(path, self._memory, self._threads, holds)
        except (OSError, duckdb.Error) as error:
            _remove(folder)
            raise self._failed(error) from None
        except BaseException:
            _remove(folder)
            raise
        self._failed_at = None
        return instance

    def _failed(self, error: Exception) -> CopyFailed:
        """Questions read the file itself for a while."""
        self._failed_at = time.monotonic()
        reason = first_line(error)
        logger.warning("no copy of the warehouse", extra={"facts": {"reason": reason}})
        return CopyFailed(f"the warehouse could not be copied: {reason}")

    def _retire(self) -> None:
        instance, self._instance = self._instance, None
        if instance is not None:
            instance.retired = True
            if not instance.users:
                self._end(instance)

    def _end(self, instance: _Instance) -> None:
        """Close a copy that nobody reads, and remove it; beside whoever has just left it, who need
        not wait for that.
        """
        if self._closed.is_set():
            instance.close()
            return
        thread = threading.Thread(target=instance.close, name="cdesk-copy-end", daemon=True)
        thread.start()
        self._ending = [*(one for one in self._ending if one.is_alive()), thread]

    def wait_ended(self) -> None:
        """Block until the copies that nobody reads are removed."""
        for thread in self._ending:
            thread.join()

    def _rest(self) -> None:
        while True:
            left = self._used_at + self._rest_seconds - time.monotonic()
            if left > 0:
                self._closed.wait(left)
            with self._turn:
                used = self._instance is not None and self._instance.users
                rested = time.monotonic() - self._used_at >= self._rest_seconds
                if self._closed.is_set() or (rested and not used):
                    self._retire()
                    self._wanted.clear()
                    with self._told:
                        self._forget()
                    self._resting = None
                    return
                if rested:
                    self._used_at = time.monotonic()


@contextlib.contextmanager
def _having(lock: threading.Lock, until: float, cancel: threading.Event | None) -> Iterator[None]:
    """Hold a lock. `until`: by the monotonic clock."""
    while not lock.acquire(timeout=_LOCK_POLL):
        if cancel is not None and cancel.is_set():
            raise QueryCancelled("the query was cancelled before it started")
        if time.monotonic() >= until:
            raise WarehouseUnavailable("the warehouse is being copied; try again in a moment")
    try:
        yield
    finally:
        lock.release()


def _opened(path: Path, memory: str, threads: int, holds: int) -> _Instance:
    """An instance over the copied file with everything that questions name."""
    connection = duckdb.connect(
        ":memory:",
        config={
            **{name: value for name, value in READ_CONFIG.items() if "external" not in name},
            "threads": threads,
            "memory_limit": memory,
            "temp_directory": str(path.with_suffix(".tmp")),
        },
    )
    try:
        name = _quoted(path.stem)
        attached = str(path).replace("'", "''")
        connection.execute(f"attach '{attached}' as store (read_only)").fetchall()
        connection.execute(f"attach ':memory:' as {name}").fetchall()
        connection.execute(f"use {name}").fetchall()
        connection.execute("create schema activities").fetchall()
        relations = _make_relations(connection)
        seal(connection)
    except BaseException:
        connection.close()
        raise
    return _Instance(connection, path, relations, holds)


def _make_relations(connection: DuckDBPyConnection) -> _Relations:
    """`landing`, `events_live` and `unstored_activities` here, and what the rest is made by."""
    tables = {str(row[0]) for row in connection.execute(_TABLES).fetchall()}
    views = {str(row[0]): str(row[1]) for row in connection.execute(_VIEWS).fetchall()}
    found = connection.execute(_CHANGES).fetchall()
    relations = tables | views.keys()
    changes = None
    followers = [_KEEP_LANDED]
    made = {"landing", "events_live"}
    statements = {
        relation: f"create view activities.{_quoted(relation)} as "
        f"select * from store.activities.{_quoted(relation)}"
        for relation in relations - made
    }
    for statement in (_LANDED_SINCE, _LANDING, _JUST_LANDED):
        connection.execute(statement).fetchall()
    if found and {"events", "events_live"} <= relations:
        changes = _Changes(str(found[0][0]))
        followers += [_KEEP_RECENT, _TOUCHED]
        (since,) = connection.execute(_NEWEST_STORED).fetchall()[0]
        connection.execute(_RECENT, [since]).fetchall()
        for statement in (_TOUCHED, _LANDING_OF_TOUCHED.format(since=since), _CHANGED):
            connection.execute(statement).fetchall()
        connection.execute(_EVENTS_LIVE).fetchall()
    elif "events_live" in views:
        statements["events_live"] = views["events_live"]
    # what is to tell of lines that landed since the copy was made
    for view in _above(views, "events_live") | ({"landed_imports"} & views.keys()):
        statements[view] = views[view]
    if changes is not None and _UNSTORED in views:
        connection.execute(statements.pop("events")).fetchall()
        for statement in _followed(_UNSTORED, views[_UNSTORED]):
            connection.execute(statement).fetchall()
        del statements[_UNSTORED]
        followers.append(_KEEP_UNSTORED)
    return _Relations(changes, statements, tuple(followers))


def _followed(name: str, view: str) -> Iterator[str]:
    """What makes a table of a view that shows landing line by line, and beside it the view on what
    has just landed: a question need not read all that waits.
    """
    yield view.replace(name, f"{name}_all", 1)
    yield f"create table activities.{name} as select * from activities.{name}_all"
    yield _LANDING_NAMED.sub("activities.just_landed", view).replace(name, f"{name}_just_landed", 1)


def _ended(cursor: DuckDBPyConnection) -> DuckDBPyConnection | None:
    """The cursor after its transaction; None, and closed, where that could not be ended."""
    try:
        cursor.execute("rollback").fetchall()
    except duckdb.Error:
        cursor.close()
        return None
    return cursor


@functools.lru_cache(maxsize=512)
def _named(text: str) -> frozenset[str]:
    """The relations that a query names."""
    return frozenset(_RELATION.findall(text))


def _above(views: Mapping[str, str], name: str) -> set[str]:
    """The views that stand on `name`."""
    found: set[str] = set()
    wanted = [name]
    while wanted:
        one = wanted.pop()
        new = {view for view, text in views.items() if one in _named(text)} - found - {name}
        found |= new
        wanted += new
    return found


def _copy(source: Path, target: Path) -> None:
    """The file and what its write-ahead log holds, blocks shared where the file system can."""
    for suffix in ("", ".wal"):
        one, other = source.with_name(source.name + suffix), target.with_name(target.name + suffix)
        if suffix and not one.exists():
            continue
        with one.open("rb") as given:
            fd = open_private(other, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            with os.fdopen(fd, "wb") as made:
                size = os.fstat(given.fileno()).st_size
                if _share_blocks(given.fileno(), made.fileno()):
                    continue
                if size > COPY_BYTES:
                    raise OSError(
                        f"{size:,} bytes are too many where the file system shares no blocks"
                    )
                shutil.copyfileobj(given, made, 1 << 20)


def _share_blocks(given: int, made: int) -> bool:
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(made, _FICLONE, given)
    except OSError:
        return False
    return True


def _remove(folder: Path) -> None:
    """What cannot be removed now goes with the next start."""
    shutil.rmtree(folder, ignore_errors=True)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
