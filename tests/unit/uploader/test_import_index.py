"""How a record stands to what imports brought in before."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cdesk.contract.records import Record, without_credentials
from cdesk.core.errors import StateDirectoryError
from uploader.earlier_imports import as_readers_see
from uploader.import_index import ImportIndex, Standing, as_told, content_hash

EXPORT, NDJSON = "claude_export", "ndjson"


def record(number: int = 1, text: str = "Hi", **changes: Any) -> Record:
    return {
        **{"v": 1, "kind": "event", "id": str(uuid.UUID(int=number)), "ts": "t", "customer": "ada"},
        **{"session_id": "s", "activity": "cdesk.user_asked", "feature_json": {"question": text}},
        **{"anonymous_customer_id": None, "link": None, "revenue_impact": None},
        **{"source_system": "claude_export", **changes},
    }


class Index:
    """The index of one folder, import by import."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "imports.db"
        self.there: set[str] = set()
        self.asked: list[list[str]] = []

    def exists(self, names: Sequence[str]) -> Iterable[str]:
        self.asked.append(list(names))
        return self.there.intersection(names)

    def opened(self, **options: Any) -> ImportIndex:
        return ImportIndex(self.path, exists=self.exists, **options)

    def add(
        self, *records: Record, source: str = EXPORT, file: str | None = None, **options: Any
    ) -> list[Standing]:
        """One import, kept where it has a file."""
        with closing(self.opened(**options)) as index:
            found = [index.add(one, source=source) for one in records]
            if file is not None:
                index.commit([file])
                self.there.add(file)
        return found


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path)


def test_a_record_is_new_once(index: Index) -> None:
    both = (record(1), record(2), record(1, kind="insight"))
    assert index.add(*both, record(1), file="a") == ["new", "new", "new", "known"]
    assert index.add(*both) == ["known"] * 3
    assert index.add(record(3)) == index.add(record(3)) == ["new"], "nothing was kept of it"
    if os.name != "nt":
        assert index.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("first", "then", "standing"),
    [
        (EXPORT, EXPORT, "changed"),
        (EXPORT, NDJSON, "conflict"),
        (NDJSON, EXPORT, "conflict"),
        (NDJSON, NDJSON, "conflict"),
    ],
)
def test_another_content_is_a_change_of_an_export_and_a_conflict_else(
    index: Index, first: str, then: str, standing: str
) -> None:
    assert index.add(record(), source=first, file="a") == ["new"]
    assert index.add(record(text="Ho"), source=then, file="b") == [standing]
    again = "known" if standing == "changed" else "noted"
    assert index.add(record(text="Ho"), source=then) == [again]
    assert index.add(record(), source=first) == ["known"], "the first stays"
    assert index.add(record(text="Hey"), source=then) == [standing]


def test_where_a_record_comes_from_is_no_content_and_its_order_neither(index: Index) -> None:
    index.add(record(), file="a")
    other = record(source_system="import")
    turned = dict(reversed(other.items()))
    assert index.add(other, turned) == ["known", "known"]
    assert content_hash(other) == content_hash(turned) != content_hash(record(text="Ho"))


def test_revisions_are_numbered_by_the_contents_that_came(index: Index) -> None:
    with closing(index.opened()) as own:
        own.add(record(), source=EXPORT)
        assert own.revision(record()) == 0
        for number, text in enumerate(("Ho", "Hey"), start=1):
            assert own.add(record(text=text), source=EXPORT) == "changed"
            assert own.revision(record()) == number
        assert own.revision(record(kind="insight")) == -1


def test_an_import_counts_while_each_of_its_files_waits_or_has_landed(index: Index) -> None:
    assert index.add(record(1), file="a") == ["new"]
    assert index.asked == [], "nobody is asked of no file"
    assert index.add(record(2), file="b") == ["new"]
    index.there.remove("a")
    assert index.add(record(1), record(2)) == ["new", "known"]
    assert index.asked[-1] == ["a", "b"]
    with closing(sqlite3.connect(index.path)) as connection:
        rows = connection.execute("select source_file from files order by 1").fetchall()
        assert rows == [("a",), ("b",)], "what was not committed is as it was"
    assert index.add(record(3), file="c") == ["new"]
    assert index.add(record(1), record(2), record(3)) == ["new", "known", "known"]
    assert index.asked[-1] == ["b", "c"]
    index.there.clear()
    assert index.add(record(2), record(3)) == ["new", "new"]


def test_an_index_that_knows_nothing_asks_what_came_before(index: Index) -> None:
    asked: list[bool] = []
    revised = record(1, "Ho", kind="revision", id=str(uuid.UUID(int=9)), revision=1)
    revised["replaces"] = str(uuid.UUID(int=1))

    def earlier() -> list[tuple[str, Record]]:
        asked.append(True)
        first = [("a", record(number)) for number in (1, 2, 4)]
        return [*first, ("b", record(1)), ("b", revised)]

    index.there |= {"a", "b"}
    ones = (record(1), record(1, "Ho"), record(2), record(2, "Ho"), record(3))
    standings = ["known", "known", "known", "changed", "new"]
    assert index.add(*ones, earlier=earlier, file="c") == standings
    assert index.add(*ones, earlier=earlier) == ["known"] * 5
    assert len(asked) == 1
    index.there.remove("a")
    assert index.add(record(4), earlier=earlier) == ["new"], "what its file brought is gone"


def test_what_an_index_was_made_of_may_be_what_was_written_or_is_shown(index: Index) -> None:
    secret = "ghp_" + "a1B2" * 9
    told = record(text=f"mail bob@example.org of {secret}")
    written = dict(without_credentials("event", told))
    assert written != told
    shown = as_readers_see(written)
    assert shown != written
    for number, form in enumerate((written, shown)):
        one = Index(index.path.parent)
        one.path = one.path.with_name(f"{number}.db")
        one.there.add("a")
        assert one.add(told, earlier=lambda form=form: [("a", form)]) == ["known"]


def test_a_revision_is_told_as_the_event_of_its_source() -> None:
    revision = record(kind="revision", id="r", replaces="e", revision=2)
    assert as_told(revision) == record(id="e")
    other = record()
    assert as_told(other) is other


def test_one_import_waits_for_another(index: Index) -> None:
    with closing(index.opened()):
        with pytest.raises(StateDirectoryError, match="another import is running; try again when"):
            index.opened(timeout_seconds=0.01)
        connection = sqlite3.connect(index.path, timeout=0.0)
        with closing(connection), pytest.raises(sqlite3.OperationalError):
            connection.execute("insert into imports default values")
    with closing(index.opened(timeout_seconds=0.01)) as own:
        waits = own._connection.execute("pragma busy_timeout").fetchone()
        assert waits == (10,)
    with closing(index.opened()) as own:
        assert own._connection.execute("pragma busy_timeout").fetchone() == (10_000,)


def test_an_index_that_cannot_be_used_says_that_it_may_be_removed(index: Index) -> None:
    index.path.mkdir()
    with pytest.raises(StateDirectoryError, match=r"imports\.db cannot be used .*; remove it: it"):
        index.opened()
    index.path.rmdir()
    index.path.write_bytes(b"no database" * 100)
    with pytest.raises(StateDirectoryError, match="remove it"):
        index.opened()


def test_what_fails_meanwhile_gives_the_index_up(index: Index) -> None:
    def fails() -> list[tuple[str, Record]]:
        raise KeyError

    with pytest.raises(KeyError):
        index.opened(earlier=fails)
    assert index.add(record()) == ["new"]
