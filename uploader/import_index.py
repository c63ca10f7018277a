"""Which records earlier imports brought in, so that an import can leave out what is already there.

Only a help: the warehouse removes duplicates by id whatever the index says. So it may forget, but
it never claims that a record is there when it is not: an import counts only while each of its queue
files still waits in the queue or has landed. An index that is lost is made anew of what waits and
what has landed (`Earlier`): without it a record that was revised would come in once more as it is
now, under an id that has another content (`id_conflict`).
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import orjson

from cdesk.contract.records import Record, without_credentials
from cdesk.core.errors import StateDirectoryError
from cdesk.core.home import make_private_file
from uploader.earlier_imports import as_readers_see

Exists = Callable[[Sequence[str]], Iterable[str]]
"""Logical queue file names → those of them that wait in the queue or have landed."""

Earlier = Callable[[], Iterable[tuple[str, Record]]]
"""(logical queue file name, record) of all that earlier imports of exports brought in, revisions
behind events.
"""

_SCHEMA: Final = """
create table if not exists imports (import_id integer primary key);
create table if not exists files (
    source_file text primary key, import_id integer not null
) without rowid;
drop table if exists ids;
create table if not exists records (
    id blob, kind text, content blob, source text not null,
    is_first integer not null, import_id integer not null,
    primary key (id, kind, content)
) without rowid;
"""


Standing = Literal["new", "known", "conflict", "noted", "changed"]
"""How a record stands to those of the same id and kind that imports brought in.

new: there is none. known: the same. conflict: another content, for the first time. noted: a
conflict that an earlier import has noted. changed: another content from the same kind of source, an
export, which may have been taken in with less in it, or renamed since.
"""


def content_hash(record: Record) -> bytes:
    """A record's content, all but where it comes from, which an import stamps itself."""
    content = {name: value for name, value in record.items() if name != "source_system"}
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()[:16]


def as_told(record: Record) -> Record:
    """A revision as the event that its source told; any other record as it is."""
    if record["kind"] != "revision":
        return record
    told = {**record, "kind": "event", "id": record["replaces"]}
    del told["replaces"], told["revision"]
    return told


class ImportIndex:
    """The index during one import, which is one transaction; a second import waits for it up to
    `timeout_seconds`.

    Raises (all methods):
        StateDirectoryError: the file cannot be used, or another import holds it.
    """

    def __init__(
        self,
        path: Path,
        *,
        exists: Exists,
        earlier: Earlier = tuple,
        timeout_seconds: float = 10.0,
    ) -> None:
        self._path = path
        self._connection = self._open(timeout_seconds)
        try:
            with self._guard():
                self._forget_lost(exists)
                if not self._connection.execute("select 1 from imports limit 1").fetchone():
                    self._restore(earlier())
                self._import_id = self._new_import()
        except BaseException:
            self._connection.close()
            raise

    def add(self, record: Record, *, source: str) -> Standing:
        """Note a record of this import, and say how it stands to what came before."""
        key = (uuid.UUID(record["id"]).bytes, record["kind"])
        content = content_hash(record)
        with self._guard():
            noted = self._connection.execute(
                "select content, source, is_first from records where id = ? and kind = ?", key
            ).fetchall()
            first = next((row[1] for row in noted if row[2]), None)
            of_export = source == first == "claude_export"
            known = {row[0] for row in noted}
            if noted and content not in known:
                # The index may have been made anew of what was written, or of what is shown of it.
                written = dict(without_credentials(record["kind"], record))
                found = map(content_hash, (written, as_readers_see(written)))
                content = next((one for one in found if one in known), content)
            if content in known:
                is_first = (content, 1) in {(row[0], row[2]) for row in noted}
                return "known" if is_first or of_export else "noted"
            self._connection.execute(
                "insert into records (id, kind, content, source, is_first, import_id) values "
                "(?, ?, ?, ?, ?, ?)",
                (*key, content, source, int(not noted), self._import_id),
            )
        if not noted:
            return "new"
        return "changed" if of_export else "conflict"

    def _new_import(self) -> int:
        cursor = self._connection.execute("insert into imports default values")
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _restore(self, earlier: Iterable[tuple[str, Record]]) -> None:
        """Note what each file of earlier imports holds, as if this index had seen it come."""
        imports: dict[str, int] = {}
        for source_file, record in earlier:
            import_id = imports.get(source_file)
            if import_id is None:
                import_id = imports[source_file] = self._new_import()
                self._connection.execute(
                    "insert into files (source_file, import_id) values (?, ?)",
                    (source_file, import_id),
                )
            told = as_told(record)
            key = (uuid.UUID(told["id"]).bytes, told["kind"])
            self._connection.execute(
                "insert or ignore into records (id, kind, content, source, is_first, import_id) "
                "select ?1, ?2, ?3, ?4, not exists "
                "(select 1 from records where id = ?1 and kind = ?2), ?5",
                (*key, content_hash(told), "claude_export", import_id),
            )

    def revision(self, record: Record) -> int:
        """How many other contents than its first were noted for the record, the latest included:
        the number of the revision that it is.
        """
        key = (uuid.UUID(record["id"]).bytes, record["kind"])
        with self._guard():
            row = self._connection.execute(
                "select count(*) - 1 from records where id = ? and kind = ?", key
            ).fetchone()
        return int(row[0])

    def commit(self, files: Iterable[str]) -> None:
        """Keep what was noted; `files` are the queue files that hold this import's records."""
        with self._guard():
            self._connection.executemany(
                "insert into files (source_file, import_id) values (?, ?)",
                [(name, self._import_id) for name in files],
            )
            self._connection.execute("commit")

    def close(self) -> None:
        """Forget what was not committed."""
        self._connection.close()

    def _forget_lost(self, exists: Exists) -> None:
        files = dict(
            self._connection.execute("select source_file, import_id from files").fetchall()
        )
        lost = (
            {files[name] for name in files.keys() - set(exists(sorted(files)))} if files else set()
        )
        for import_id in lost:
            for statement in (
                "delete from records where import_id = ?",
                "delete from files where import_id = ?",
                "delete from imports where import_id = ?",
            ):
                self._connection.execute(statement, (import_id,))

    def _open(self, timeout_seconds: float) -> sqlite3.Connection:
        with self._guard():
            if not self._path.exists():
                make_private_file(self._path)
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=timeout_seconds)
            try:
                connection.executescript(_SCHEMA)
                connection.execute("begin immediate")
            except BaseException:
                connection.close()
                raise
            return connection

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise StateDirectoryError(
                    "another import is running; try again when it has ended"
                ) from None
            raise self._unusable(error) from None
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> StateDirectoryError:
        return StateDirectoryError(
            f"{self._path} cannot be used ({error}); remove it: it only speeds up repeated imports"
        )
