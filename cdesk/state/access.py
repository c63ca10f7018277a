"""`access.db`: who may use the HTTP service, and which sessions are under way there. SQLite in WAL
mode, apart from `state.db`: it holds no work, and is never rebuilt from damaged pages.

A token is `cdt_<id>_<secret>`. The id is public and finds the row; of the secret (256 random bits)
only the SHA-256 is kept, compared in constant time.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cdesk.core.clock import format_ts
from cdesk.core.errors import NewerVersion, NotFound, StateDirectoryError
from cdesk.core.home import make_private_file
from cdesk.state.database import write_transaction

SCHEMA_VERSION: Final = 1
WAIT_SECONDS: Final = 0.25
"""A statement waits at most so long for another process's write: requests are behind it."""
TOKEN_PREFIX: Final = "cdt_"
_TOKEN: Final = re.compile(TOKEN_PREFIX + r"([0-9a-f]{12})_([A-Za-z0-9_-]{43})\Z")
_NOBODY: Final = hashlib.sha256(secrets.token_bytes(32)).digest()
"""Compared with where there is no such id, so that both refusals take the same time."""

_SCHEMA: Final = """
create table if not exists tokens (
    token_id text primary key,
    customer text not null,
    roles text not null,                -- names with commas between, sorted
    secret_hash blob not null,          -- SHA-256 of the secret part
    created_at text not null,
    expires_at text,                    -- null: does not expire
    revoked_at text
) without rowid;

create table if not exists sessions (
    session_key text primary key,       -- a digest: whose, and of which protocol session
    customer text not null,
    session_id text not null,
    started_at integer not null,        -- nanoseconds since the epoch, as last_used
    last_used integer not null,
    calls integer not null default 0,
    errors integer not null default 0
) without rowid;
create index if not exists sessions_by_use on sessions (last_used);

create table if not exists secrets (
    name text primary key,
    value blob not null
) without rowid;
"""


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token. Timestamps as in records; `expires_at` None: it does not expire."""

    id: str
    customer: str
    roles: tuple[str, ...]
    created_at: str
    expires_at: str | None
    revoked_at: str | None

    def state(self, now: str) -> str:
        """`valid`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token as it is shown once, when it is made."""

    id: str
    customer: str
    token: str


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session of the HTTP service. Times are nanoseconds since the epoch."""

    key: str
    customer: str
    session_id: str
    started_at: int
    last_used: int
    calls: int = 0
    errors: int = 0


class AccessStore:
    """One connection to `access.db`, opened (and the file made) at first use. All methods raise
    StateDirectoryError where the file cannot be used; then nobody is let in.

    checkpoints: whether its commits may checkpoint, which syncs; else somebody else has to
    (cdesk/state/checkpointer.py).
    """

    def __init__(self, path: Path, *, checkpoints: bool = True) -> None:
        self._path = path
        self._checkpoints = checkpoints
        self._connection: sqlite3.Connection | None = None

    # -- tokens

    def add_tokens(
        self,
        customers: Sequence[str],
        *,
        roles: Iterable[str] = (),
        expires_at: str | None,
        now: str,
    ) -> list[NewToken]:
        """Make one token for each customer, all or none."""
        kept = ",".join(sorted(set(roles)))
        made, rows = [], []
        for customer in customers:
            id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
            made.append(NewToken(id, customer, f"{TOKEN_PREFIX}{id}_{secret}"))
            rows.append((id, customer, kept, _digest(secret), now, expires_at))
        with self._transaction() as connection:
            connection.executemany(
                "insert into tokens (token_id, customer, roles, secret_hash, created_at, "
                "expires_at) values (?, ?, ?, ?, ?, ?)",
                rows,
            )
        return made

    def tokens(self) -> list[Token]:
        """All tokens, the oldest first."""
        with self._use() as connection:
            rows = connection.execute(
                f"select {_COLUMNS} from tokens order by created_at, customer, token_id"
            ).fetchall()
        return [_token(row) for row in rows]

    def revoke(self, token_ids: Sequence[str], *, now: str) -> None:
        """Revoke tokens, all or none; one that is revoked already stays as it is.

        Raises:
            NotFound: there is none of an id.
        """
        with self._transaction() as connection:
            for id in token_ids:
                found = connection.execute(
                    "update tokens set revoked_at = coalesce(revoked_at, ?) where token_id = ?",
                    (now, id),
                ).rowcount
                if not found:
                    raise NotFound(f"there is no token {id[:60]!r}; see 'cdesk token list'")

    def find_token(self, text: str, *, now: str) -> Token | None:
        """The valid token that a caller presents, or None whatever is wrong with it."""
        match = _TOKEN.match(text)
        id, secret = match.groups() if match else ("", "")
        with self._use() as connection:
            row = connection.execute(
                f"select {_COLUMNS}, secret_hash from tokens where token_id = ?", (id,)
            ).fetchone()
        if not hmac.compare_digest(_digest(secret), row[6] if row else _NOBODY) or not row:
            return None
        token = _token(row)
        return token if token.state(now) == "valid" else None

    def is_valid(self, token_id: str, *, now: str) -> bool:
        """Whether a token that was let in may still go on."""
        with self._use() as connection:
            row = connection.execute(
                f"select {_COLUMNS} from tokens where token_id = ?", (token_id,)
            ).fetchone()
        return row is not None and _token(row).state(now) == "valid"

    def has_valid_token(self, *, now: str) -> bool:
        """Whether there is anybody to let in."""
        with self._use() as connection:
            row = connection.execute(
                "select 1 from tokens where revoked_at is null "
                "and (expires_at is null or expires_at > ?) limit 1",
                (now,),
            ).fetchone()
        return row is not None

    # -- sessions

    def join_session(
        self, row: SessionRow, *, idle_ns: int
    ) -> tuple[SessionRow, SessionRow | None]:
        """The session that `row.key` has, and the one that ended by it: `row` itself begins where
        there is none, or where the last one has been idle for longer than `idle_ns`.
        """
        with self._transaction() as connection:
            found = connection.execute(
                f"select {_SESSION} from sessions where session_key = ?", (row.key,)
            ).fetchone()
            old = SessionRow(*found) if found else None
            if old is not None and row.last_used - old.last_used <= idle_ns:
                return old, None
            connection.execute(
                f"insert or replace into sessions ({_SESSION}) values (?, ?, ?, ?, ?, 0, 0)",
                (row.key, row.customer, row.session_id, row.started_at, row.last_used),
            )
        return row, old

    def touch_sessions(self, uses: Sequence[tuple[int, int, int, str, str]]) -> None:
        """Write down what has happened in sessions: (last_used, calls, errors, key, session id),
        the counts since the last time.
        """
        with self._transaction() as connection:
            connection.executemany(
                "update sessions set last_used = max(last_used, ?), calls = calls + ?, "
                "errors = errors + ? where session_key = ? and session_id = ?",
                uses,
            )

    def end_session(self, key: str) -> SessionRow | None:
        """Take out one session, where it is still there."""
        with self._transaction() as connection:
            row = connection.execute(
                f"delete from sessions where session_key = ? returning {_SESSION}", (key,)
            ).fetchone()
        return SessionRow(*row) if row else None

    def end_sessions(self, *, unused_since: int) -> list[SessionRow]:
        """Take out the sessions that nobody has used since; each is given to one process only."""
        with self._transaction() as connection:
            rows = connection.execute(
                f"delete from sessions where last_used < ? returning {_SESSION}", (unused_since,)
            ).fetchall()
        return [SessionRow(*row) for row in rows]

    def count_sessions(self) -> int:
        """How many are under way."""
        with self._use() as connection:
            return int(connection.execute("select count(*) from sessions").fetchone()[0])

    # -- secrets of the service itself

    def secret(self, name: str) -> bytes:
        """32 random bytes, made at first use and the same for all processes."""
        with self._transaction() as connection:
            connection.execute(
                "insert or ignore into secrets (name, value) values (?, ?)",
                (name, secrets.token_bytes(32)),
            )
            row = connection.execute("select value from secrets where name = ?", (name,)).fetchone()
        return bytes(row[0])

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    @contextlib.contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._connection is None:
                self._connection = _open(self._path)
                if not self._checkpoints:
                    self._connection.execute("pragma wal_autocheckpoint = 0")
            yield self._connection
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise StateDirectoryError(
                f"{self._path} cannot be used ({error}); see 'cdesk doctor'"
            ) from None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._use() as connection, write_transaction(connection):
            yield connection


_COLUMNS: Final = "token_id, customer, roles, created_at, expires_at, revoked_at"
_SESSION: Final = "session_key, customer, session_id, started_at, last_used, calls, errors"


def _token(row: tuple[str, str, str, str, str | None, str | None]) -> Token:
    id, customer, roles, created_at, expires_at, revoked_at = row[:6]
    names = tuple(roles.split(",")) if roles else ()
    return Token(id, customer, names, created_at, expires_at, revoked_at)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("ascii")).digest()


def _open(path: Path) -> sqlite3.Connection:
    if not path.exists():
        make_private_file(path)
    connection = sqlite3.connect(
        path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        version = int(connection.execute("pragma user_version").fetchone()[0])
        if version > SCHEMA_VERSION:
            raise NewerVersion("access.db was written by a newer cdesk; upgrade this one")
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
    return connection


def expiry(days: float, *, now_ns: int) -> str:
    """The timestamp that lies `days` ahead."""
    return format_ts(now_ns + int(days * 86_400_000_000_000))
