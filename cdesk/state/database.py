"""`state.db`: small facts that the processes of one state directory share. SQLite in WAL mode."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cdesk.core.errors import NewerVersion, StateDirectoryError
from cdesk.core.home import make_private_file
from cdesk.core.locks import FileLock

SCHEMA_VERSION: Final = 7

_PENDING: Final = """(
    id text not null,
    customer text not null,
    ts text not null,
    subject text not null,
    metric text not null,
    value text not null,                -- JSON scalar
    provenance_query_hash text,
    -- as they are read: one tree to write to for each, where an index would be a second one
    primary key (customer, ts, id)
) without rowid"""
_SCHEMA: Final = f"""
create table if not exists checkpoints (
    source_file text primary key,
    next_offset integer not null,       -- first byte that has not landed
    last_offset integer not null,       -- where the last landed line starts, -1 before the first
    records integer not null,           -- lines landed from this file
    -- checksum of the bytes before next_offset: is it still that file?
    tail_crc integer not null,
    updated_at text not null
) without rowid;

create table if not exists tickets (
    ticket_id text primary key,
    customer text not null,
    is_analyst integer not null,
    -- of how many customers a row has to be that is not the caller's alone (cdesk/core/identity.py)
    least_customers integer not null default 1,
    session_id text,
    template text not null,
    -- JSON object: the caller's parameters, checked, defaults filled in
    params text not null,
    query_hash text not null,
    query_tag text not null,
    byte_cap integer,
    dry_run integer not null default 0, -- estimate only
    fresh integer not null default 0,   -- run even where an earlier answer would do
    status text not null,               -- queued, running, succeeded, failed, cancelled, expired
    attempts integer not null default 0,
    -- counts claims: fair order between customers (cdesk/state/tickets.py)
    turn integer,
    cancel_requested integer not null default 0,
    submitted_at text not null,
    started_at text,
    finished_at text,
    expires_at text not null,           -- not started by then: expired
    runner text,                        -- which worker process runs it
    progress text,
    error_code text,
    error_message text,
    result text                         -- JSON object: what get_result answers
) without rowid;
create index if not exists tickets_waiting on tickets (customer, submitted_at, ticket_id)
    where status = 'queued';
create index if not exists tickets_running on tickets (runner) where status = 'running';
create index if not exists tickets_by_turn on tickets (turn) where turn is not null;
create index if not exists tickets_customer_turn on tickets (customer, turn) where turn is not null;
create index if not exists tickets_by_end on tickets (finished_at) where finished_at is not null;

create table if not exists query_runs (
    customer text not null,
    query_hash text not null,
    ticket_id text not null,
    template text not null,
    -- of the data that the answer saw: while it is the same, the answer stands
    data_fingerprint text,
    -- the cap that the answer was made under, null for the default
    byte_cap integer,
    -- whether its query_run record holds every value of the result
    values_complete integer not null,
    finished_at text not null,
    result text not null,               -- JSON object as in tickets.result
    primary key (customer, query_hash)
) without rowid;

create table if not exists artifacts (
    artifact_id text primary key,
    customer text not null,
    uri text not null,
    format text not null,
    query_hash text not null,
    rows integer not null,
    bytes integer not null,
    sampled integer not null,
    created_at text not null,
    expires_at text not null,           -- the file goes then, unless held
    legal_hold integer not null default 0
) without rowid;
create index if not exists artifacts_by_expiry on artifacts (expires_at);

create table if not exists result_pages (
    artifact_id text not null,
    page integer not null,              -- from 1, ten rows each
    customer text not null,
    asked_at text not null,
    rows text,                          -- JSON: array of rows; null while it is waited for
    error_code text,                    -- why it cannot be written
    error_message text,
    primary key (artifact_id, page)
) without rowid;
create index if not exists result_pages_waited_for on result_pages (asked_at)
    where rows is null and error_code is null;

create table if not exists pending_insights {_PENDING};

create table if not exists forgotten_insights (
    customer text not null,
    insight_id text not null,
    ts text not null,
    primary key (customer, insight_id)
) without rowid;

create table if not exists quarantine_marks (
    quarantine_id text primary key,
    action text not null,               -- replayed, discarded
    at text not null
) without rowid;

create table if not exists worker_status (
    key text primary key,
    value text not null,                -- JSON
    updated_at text not null
) without rowid;
"""

_RENAME_NOTE: Final = """
update {table} set result = json_remove(
    json_set(result, '$.sampling_note', json_extract(result, '$.watermark')), '$.watermark')
where json_type(result, '$.watermark') is not null;
"""
_MIGRATIONS: Final = {
    3: "alter table query_runs rename column data_mark to data_fingerprint;"
    + _RENAME_NOTE.format(table="query_runs")
    + _RENAME_NOTE.format(table="tickets"),
    6: "alter table tickets add column least_customers integer not null default 1;",
    7: f"""
create table pending_by_customer_and_time {_PENDING};
insert into pending_by_customer_and_time
select id, customer, ts, subject, metric, value, provenance_query_hash from pending_insights;
drop table pending_insights;
alter table pending_by_customer_and_time rename to pending_insights;
""",
}
"""Schema version → what makes it of the one before."""

_DAMAGED: Final = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))


def open_state(
    path: Path, *, timeout_seconds: float = 5.0, mends: bool = True
) -> sqlite3.Connection:
    """A connection in autocommit mode to `state.db`, made with its tables where it is missing.

    A file that is no database any more is set aside and made anew (`repair_state`): queue and
    warehouse hold what matters. Not where `mends` is false, for who has another connection open in
    this process: Windows renames no open file, and elsewhere that connection would go on with the
    damaged one.

    Raises:
        StateDirectoryError: the file cannot be opened or mended. NewerVersion: a newer cdesk wrote
        it.
    """
    try:
        try:
            return _open(path, timeout_seconds)
        except sqlite3.DatabaseError as error:
            if not mends or not is_damage(error):
                raise
            repair_state(path)
            return _open(path, timeout_seconds)
    except (sqlite3.Error, OSError) as error:
        raise StateDirectoryError(f"{path} cannot be used ({error}); see 'cdesk doctor'") from None


class StateFile:
    """Whether `state.db` is still the file that connections of this process have open, and was
    sound when it was last looked at.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = self._now()
        self._is_sound = True

    def look(self) -> None:
        """Read it whole, after an error that may mean damage."""
        self._is_sound = _is_sound(self._path)

    @property
    def stands(self) -> bool:
        return self._is_sound and self._now() == self._file

    def _now(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error means that the file itself is broken, not that it is busy, full or
    forbidden.
    """
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGED


def repair_state(path: Path) -> Path | None:
    """Check `state.db` whole; a damaged one is set aside as `state.db.damaged-<n>` (the newest
    three stay), made anew, and filled with the rows that can still be read. Where it was set aside
    to, or None when nothing was wrong.

    Checkpoints are not taken over: the warehouse knows them. Other processes follow when they see
    another file under the name.

    Raises:
        StateDirectoryError, OSError: it cannot be mended.
    """
    with FileLock(path.with_name("state.repair.lock")) as alone:
        if not alone or _is_sound(path):  # somebody else mends it, or has
            return None
        numbers = (
            old.name.rpartition("-")[2] for old in path.parent.glob(f"{path.name}.damaged-*")
        )
        number = 1 + max((int(one) for one in numbers if one.isdigit()), default=0)
        aside = path.with_name(f"{path.name}.damaged-{number}")
        path.rename(aside)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
        with contextlib.closing(_open(path, 5.0)) as connection:
            _salvage(aside, connection)
        for suffix in ("", "-wal", "-shm"):
            path.with_name(f"{path.name}.damaged-{number - 3}{suffix}").unlink(missing_ok=True)
    return aside


@contextlib.contextmanager
def write_transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, with the write lock from the beginning. Raises sqlite3.Error."""
    connection.execute("begin immediate")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # where the disk is full SQLite has done so itself
            connection.execute("rollback")
        raise
    connection.execute("commit")


def _open(path: Path, timeout_seconds: float) -> sqlite3.Connection:
    if not path.exists():
        make_private_file(path)
    connection = sqlite3.connect(
        path, timeout=timeout_seconds, isolation_level=None, check_same_thread=False
    )
    try:
        version = require_known_version(connection)
        if version < SCHEMA_VERSION:
            connection.execute("pragma journal_mode = wal")
            _upgrade(connection, version)
        connection.execute("pragma synchronous = normal")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.close()
        raise
    return connection


def _upgrade(connection: sqlite3.Connection, version: int) -> None:
    """Bring schema `version` to the present one; 0 is an empty file."""
    steps = [_MIGRATIONS.get(step, "") for step in range(version + 1, SCHEMA_VERSION + 1)]
    script = " ".join([*(steps if version else []), _SCHEMA])
    try:
        connection.executescript(
            f"begin immediate; {script} pragma user_version = {SCHEMA_VERSION}; commit;"
        )
    except sqlite3.OperationalError:  # another process was quicker, or it cannot be done
        if connection.in_transaction:
            connection.execute("rollback")
        if require_known_version(connection) < SCHEMA_VERSION:
            raise


def require_known_version(connection: sqlite3.Connection) -> int:
    """The schema version of a state.db.

    Raises:
        NewerVersion: this version of cdesk does not know it.
    """
    version = int(connection.execute("pragma user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise NewerVersion("state.db was written by a newer cdesk; upgrade this one")
    return version


def _is_sound(path: Path) -> bool:
    """A missing file is sound: it will be made. So is one that cannot be judged now because it is
    busy.
    """
    if not path.exists():
        return True
    try:
        with contextlib.closing(
            sqlite3.connect(path, timeout=5.0, isolation_level=None)
        ) as connection:
            return bool(connection.execute("pragma quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.Error as error:
        return not is_damage(error)


def _salvage(damaged: Path, connection: sqlite3.Connection) -> None:
    """Copy every row that can be read, table by table, until the damage."""
    try:
        old = sqlite3.connect(
            f"{damaged.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None
        )
    except sqlite3.Error:
        return
    with contextlib.closing(old):
        tables = connection.execute(
            "select name from sqlite_master where type = 'table'"
        ).fetchall()
        for (table,) in tables:
            if table == "checkpoints":
                continue
            columns = [row[1] for row in connection.execute(f"pragma table_info({table})")]
            names, marks = ", ".join(columns), ", ".join("?" * len(columns))
            with contextlib.suppress(sqlite3.Error):
                for row in old.execute(f"select {names} from {table}"):
                    connection.execute(
                        f"insert or ignore into {table} ({names}) values ({marks})", row
                    )
