"""What capture remembers between two looks: how far each file is read, and what is known of each
activity. `capture.db` in the state directory; without it everything is read again, and comes to the
same ids, of which what was told is noted anew (`restore`).
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import orjson
from msgspec import Struct

from cdesk.contract.records import Record
from cdesk.core.errors import StateDirectoryError
from cdesk.core.home import make_private_file
from cdesk.state.database import write_transaction
from uploader.sources.facts import Fact, digest

_SCHEMA: Final = """
create table if not exists files (
    path text primary key, device integer, inode integer, size integer not null,
    mtime_ns integer not null, read_to integer not null, tail blob not null, context text not null
) without rowid;
create index if not exists files_by_identity on files (device, inode);
create table if not exists facts (
    activity text, key text, state text not null, made text not null, due text,
    primary key (activity, key)
);  -- rows as they come, the small index alone out of order
create index if not exists facts_by_due on facts (due) where due is not null;
create table if not exists told (
    id text primary key, content text not null, revision integer not null, ts text not null,
    source text not null
) without rowid;
create table if not exists requests (request text primary key, key text not null) without rowid;
create table if not exists counts (
    kind text, name text, count integer not null, primary key (kind, name)
) without rowid;
create table if not exists settings (name text primary key, value text not null) without rowid;
"""


_as_json: Final = msgspec.json.Encoder().encode
"""What orjson gives occupies 4 KB however short it is, which counts where so many are kept."""
_RESTORED: Final = "restored"
_OWNER: Final = "customer:"
"""Before whose histories are in it; an erasure goes by that (cdesk/state/erasing.py)."""


def told_content(session_id: str | None, features: Mapping[str, Any]) -> str:
    """A short hash of what a record tells."""
    return digest([session_id, features])


def told_content_of(session_id: bytes, features: bytes) -> str:
    """The same, of both as JSON with sorted keys."""
    return hashlib.sha256(b"[%b,%b]" % (session_id, features)).hexdigest()[:16]


Row: TypeAlias = tuple[str, str, bytes, bytes, str | None]
"""Activity, key, state, what was told (JSON both), and when it is due."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file is read. `tail` is a hash of the bytes just before that, which tells whether
    it is still the same file.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    read_to: int
    tail: bytes
    context: dict[str, Any] = field(default_factory=dict)


class Known(Struct, gc=False, eq=False):
    """A fact with the records made of it: name → [hash of the content, revision, ts, source]. due:
    when it is looked at again, whatever is read.
    """

    fact: Fact
    made: dict[str, list[Any]] = msgspec.field(default_factory=dict)
    due: str | None = None

    def row(self) -> Row:
        """As the store keeps it."""
        fact = self.fact
        state = [fact.ts, fact.session, fact.features, fact.blocks or None, fact.request]
        return fact.activity, fact.key, _as_json(state), _as_json(self.made), self.due


@dataclass(frozen=True, slots=True)
class LastRead:
    """When something new was read last, what could not be read then, and since when and why
    looking fails, where it does.
    """

    at: str | None = None
    unreadable: dict[str, str] = field(default_factory=dict)
    error: str | None = None


class CaptureStore:
    """One process at a time writes; each look is one transaction.

    Raises (all methods):
        StateDirectoryError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._guard():
            if not path.exists():
                make_private_file(path)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=10.0)
            self._connection.executescript(
                "pragma journal_mode = wal; pragma synchronous = normal;"
            )
            self._connection.executescript(_SCHEMA)

        self.knows_told = True
        """Whether there is anything of which `told` may know."""
        self._is_known: set[int] | None = None

    def note_keys(self) -> None:
        """From now on notice in memory of which activities something is known, if that is none as
        yet: who brings in years asks for many and finds few. About 60 bytes for each.
        """
        with self._guard():
            knows = self._connection.execute("select 1 from facts limit 1").fetchone()
        self._is_known = None if knows else set()

    def close(self) -> None:
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        with self._guard(), write_transaction(self._connection):
            yield

    # -- files

    def places(self) -> dict[str, Place]:
        with self._guard():
            rows = self._connection.execute(
                "select path, device, inode, size, mtime_ns, read_to, tail, context from files"
            ).fetchall()
        return {
            row[0]: Place(row[1], row[2], row[3], row[4], row[5], row[6], orjson.loads(row[7]))
            for row in rows
        }

    def put_place(self, path: str, place: Place) -> None:
        self._connection.execute(
            "insert or replace into files values (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                path,
                place.device,
                place.inode,
                place.size,
                place.mtime_ns,
                place.read_to,
                place.tail,
                orjson.dumps(place.context).decode(),
            ),
        )

    # -- facts

    def load(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Known]:
        """What is known of these, by (activity, key)."""
        found: dict[tuple[str, str], Known] = {}
        if (noted := self._is_known) is not None:
            keys = [key for key in keys if hash(key) in noted]
        by_activity: dict[str, list[str]] = {}
        for activity, key in keys:
            by_activity.setdefault(activity, []).append(key)
        with self._guard():
            for activity, names in by_activity.items():
                for start in range(0, len(names), 500):
                    part = names[start : start + 500]
                    marks = ", ".join("?" * len(part))
                    rows = self._connection.execute(
                        "select key, state, made, due from facts where activity = ? and key in "
                        f"({marks})",
                        (activity, *part),
                    ).fetchall()
                    for key, state, made, due in rows:
                        found[activity, key] = Known(
                            fact_of(activity, key, state), orjson.loads(made), due
                        )
        return found

    def note_owner(self, customer: str) -> None:
        """Keep that `customer`'s activities are in it."""
        if self.setting(_OWNER + customer) is None:
            self.put_setting(_OWNER + customer, "yes")

    def restore(self, earlier: Callable[[], Iterable[Record]]) -> None:
        """In a store that knows nothing yet, note what was told before it: without that, an
        activity that was revised would be told once more, under an id that has another content.

        `earlier`: the records of histories, revisions behind events.
        """
        with self._guard():
            knows = self._connection.execute("select 1 from facts limit 1").fetchone()
        if not knows and self.setting(_RESTORED) is None:
            self._restore(earlier())
        with self._guard():
            row = self._connection.execute("select 1 from told limit 1").fetchone()
        self.knows_told = row is not None

    def _restore(self, earlier: Iterable[Record]) -> None:
        with self.transaction():
            for record in earlier:
                content = told_content(record["session_id"], record["feature_json"])
                if record["kind"] == "event":
                    self._connection.execute(
                        "insert or ignore into told values (?, ?, 0, ?, ?)",
                        (record["id"], content, record["ts"], record["source_system"]),
                    )
                elif record["kind"] == "revision":
                    self._connection.execute(
                        "update told set content = ?1, revision = ?2 "
                        "where id = ?3 and revision < ?2",
                        (content, record["revision"], record["replaces"]),
                    )
            self._connection.execute(
                "insert or replace into settings values (?, 'yes')", (_RESTORED,)
            )

    def told(self, id: str) -> list[Any] | None:
        """What `restore` noted of a record, as `Known.made` has it."""
        if not self.knows_told:
            return None
        with self._guard():
            row = self._connection.execute(
                "select content, revision, ts, source from told where id = ?", (id,)
            ).fetchone()
        return None if row is None else list(row)

    def due(self, now: str, limit: int) -> list[tuple[str, str]]:
        """(activity, key) of what is to be looked at again."""
        with self._guard():
            return self._connection.execute(
                "select activity, key from facts where due <= ? order by due limit ?", (now, limit)
            ).fetchall()

    def put(self, rows: Sequence[Row]) -> None:
        self._connection.executemany("insert or replace into facts values (?, ?, ?, ?, ?)", rows)
        if self._is_known is not None:
            self._is_known.update([hash(row[:2]) for row in rows])

    def put_requests(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._connection.executemany("insert or ignore into requests values (?, ?)", pairs)

    def answered_requests(self, requests: Sequence[str]) -> set[str]:
        """Those of the requests that an answer with an id of its own belongs to."""
        found: set[str] = set()
        with self._guard():
            for start in range(0, len(requests), 500):
                part = requests[start : start + 500]
                marks = ", ".join("?" * len(part))
                found |= {
                    row[0]
                    for row in self._connection.execute(
                        f"select request from requests where request in ({marks})",
                        tuple(part),
                    )
                }
        return found

    # -- counts and settings

    def add_counts(self, kind: str, counts: Mapping[str, int]) -> None:
        self._connection.executemany(
            "insert into counts values (?, ?, ?) "
            "on conflict (kind, name) do update set count = count + excluded.count",
            [(kind, name, count) for name, count in counts.items()],
        )

    def counts(self, kind: str) -> dict[str, int]:
        with self._guard():
            return dict(
                self._connection.execute(
                    "select name, count from counts where kind = ? order by count desc, name",
                    (kind,),
                ).fetchall()
            )

    def setting(self, name: str) -> str | None:
        with self._guard():
            row = self._connection.execute(
                "select value from settings where name = ?", (name,)
            ).fetchone()
        return None if row is None else str(row[0])

    def put_setting(self, name: str, value: str) -> None:
        with self._guard():
            self._connection.execute("insert or replace into settings values (?, ?)", (name, value))

    def last_read(self) -> LastRead:
        read = self.setting("last_read")
        at, unreadable = orjson.loads(read) if read else (None, {})
        return LastRead(at, unreadable, self.setting("error") or None)

    def put_seen(self, seen: LastRead | None) -> None:
        """Keep when something was read, None where nothing was; looking works."""
        if seen is not None:
            said = orjson.dumps([seen.at, seen.unreadable]).decode()
            self._connection.execute(
                "insert or replace into settings values ('last_read', ?)", (said,)
            )
        self._connection.execute("delete from settings where name = 'error'")

    def sessions(self) -> int:
        """How many conversations are known."""
        with self._guard():
            row = self._connection.execute(
                "select count(*) from facts where activity = 'session_started'"
            ).fetchone()
        return int(row[0])

    def forget_places(self) -> None:
        """Read all files again from their start; what is known of activities stays."""
        with self._guard():
            self._connection.execute("delete from files")

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StateDirectoryError(
                f"{self._path} cannot be used ({error}); free space or mend its permissions; "
                "removed, it is made anew by reading every history again"
            ) from None


def fact_of(activity: str, key: str, state: str | bytes) -> Fact:
    """What a row says of an activity."""
    ts, session, features, blocks, request = orjson.loads(state)
    return Fact(activity, key, ts, (bool(session[0]), session[1]), features, blocks or {}, request)
