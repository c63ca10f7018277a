"""`state.db`: the small facts that the processes of one state directory share. SQLite in WAL mode."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final

import orjson

from cdesk.errors import StateDirectoryError

SCHEMA_VERSION: Final = 1

_SCHEMA: Final = """
create table if not exists checkpoints (
    source_file text primary key,
    next_offset integer not null,       -- first byte that has not landed
    last_offset integer not null,       -- where the last landed line starts, -1 before the first
    records integer not null,           -- lines landed from this file
    tail_crc integer not null,          -- checksum of the bytes before next_offset: is it still that file?
    updated_at text not null
) without rowid;

create table if not exists tickets (
    ticket_id text primary key,
    customer text not null,
    is_analyst integer not null,
    session_id text,
    template text not null,
    params text not null,               -- JSON object: the caller's parameters, checked, defaults filled in
    query_hash text not null,
    query_tag text not null,
    byte_cap integer,
    dry_run integer not null default 0, -- estimate only
    fresh integer not null default 0,   -- run even where an earlier answer would do
    status text not null,               -- queued, running, succeeded, failed, cancelled, expired
    attempts integer not null default 0,
    turn integer,                       -- counts claims: fair order between customers (cdesk/tickets.py)
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
create index if not exists tickets_waiting on tickets (customer, submitted_at, ticket_id) where status = 'queued';
create index if not exists tickets_running on tickets (runner) where status = 'running';
create index if not exists tickets_by_customer on tickets (customer, submitted_at);
create index if not exists tickets_by_turn on tickets (turn) where turn is not null;
create index if not exists tickets_customer_turn on tickets (customer, turn) where turn is not null;
create index if not exists tickets_by_end on tickets (finished_at) where finished_at is not null;

create table if not exists query_runs (
    customer text not null,
    query_hash text not null,
    ticket_id text not null,
    template text not null,
    data_mark text,                     -- what the data looked like (template data_mark): while that stands, the answer stands
    byte_cap integer,                   -- the cap that the answer was made under, null for the default
    values_complete integer not null,   -- whether its query_run record holds every value of the result
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

create table if not exists pending_insights (
    id text primary key,
    customer text not null,
    ts text not null,
    subject text not null,
    metric text not null,
    value text not null,                -- JSON scalar
    provenance_query_hash text
) without rowid;
create index if not exists pending_by_customer on pending_insights (customer, ts);

create table if not exists worker_status (
    key text primary key,
    value text not null,                -- JSON
    updated_at text not null
) without rowid;
"""


def open_state(path: Path, *, timeout_seconds: float = 5.0) -> sqlite3.Connection:
    """A connection in autocommit mode to `state.db`, made with its tables where it is missing.

    Raises:
        StateDirectoryError: the file cannot be opened, is no database, or was written by a newer version.
    """
    try:
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(
            path, timeout=timeout_seconds, isolation_level=None, check_same_thread=False
        )
        try:
            version = connection.execute("pragma user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StateDirectoryError(f"{path} was written by a newer cdesk; upgrade this one")
            if version < SCHEMA_VERSION:
                connection.execute("pragma journal_mode = wal")
                connection.executescript(
                    f"begin immediate; {_SCHEMA} pragma user_version = {SCHEMA_VERSION}; commit;"
                )
            connection.execute("pragma synchronous = normal")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise StateDirectoryError(f"{path} cannot be used ({error}); see 'cdesk doctor'") from None
    return connection


def set_status(connection: sqlite3.Connection, key: str, value: object, *, now: str) -> None:
    """Keep a fact under `key` in worker_status; `now` is an RFC 3339 timestamp."""
    connection.execute(
        "insert into worker_status (key, value, updated_at) values (?, ?, ?) "
        "on conflict (key) do update set value = excluded.value, updated_at = excluded.updated_at",
        (key, orjson.dumps(value).decode(), now),
    )


def get_status(connection: sqlite3.Connection, key: str) -> object | None:
    """The fact kept under `key`, or None."""
    row = connection.execute("select value from worker_status where key = ?", (key,)).fetchone()
    return orjson.loads(row[0]) if row else None
