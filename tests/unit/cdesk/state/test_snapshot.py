"""The snapshot: readers see whole refreshes, damage is an error to answer with."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cdesk.core.errors import NewerVersion, SnapshotDamaged, SnapshotError
from cdesk.state.snapshot import (
    SNAPSHOT_VERSION,
    ContextRow,
    Renewal,
    SnapshotReader,
    SnapshotWriter,
)

NOW = "2026-01-31T12:00:00.000000Z"


def row(customer: str, version: str = "a" * 16) -> ContextRow:
    return ContextRow(customer, b'{"customer":"x"}', version, NOW)


def test_what_was_written_is_read_by_a_reader_that_was_open_before(tmp_path: Path) -> None:
    path = tmp_path / "context.db"
    writer, reader = SnapshotWriter(path), SnapshotReader(path)
    assert writer.apply([row("ada")], refreshed_at=NOW, marks={"since": "m1"}) == 1
    assert reader.read("ada") == (row("ada"), NOW)
    assert writer.apply([row("ada", "b" * 16), row("bob")], refreshed_at=NOW) == 2
    assert reader.read("ada")[0] == row("ada", "b" * 16)
    assert writer.mark("since") == "m1"
    reader.close()


def test_who_asks_again_reads_the_row_again_only_where_something_was_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "context.db"
    writer, reader = SnapshotWriter(path), SnapshotReader(path)
    writer.apply([row("ada"), row("bob")], refreshed_at=NOW)
    statements: list[str] = []

    def read(customer: str) -> int:
        """How often a row was read."""
        statements.clear()
        assert reader.read(customer)[0] == row(customer, versions[customer])
        return sum("from context" in one or "join context" in one for one in statements)

    versions = {"ada": "a" * 16, "bob": "a" * 16}
    read("ada")
    assert reader._connection is not None
    reader._connection.set_trace_callback(statements.append)
    assert [read("ada"), read("ada"), read("ada")] == [1, 0, 0]
    assert [read("bob"), read("bob"), read("ada"), read("bob")] == [1, 1, 1, 1]
    assert [read("bob"), read("bob")] == [1, 0]
    versions["bob"] = "b" * 16
    writer.apply([row("bob", "b" * 16)], refreshed_at=NOW)
    assert [read("bob"), read("bob")] == [1, 0]
    reader.close()
    assert reader.read("bob")[0] == row("bob", "b" * 16), "over another connection"
    reader.close()


def test_an_unchanged_version_is_not_rewritten(tmp_path: Path) -> None:
    writer = SnapshotWriter(tmp_path / "context.db")
    writer.apply([row("ada")], refreshed_at=NOW)
    assert writer.apply([row("ada")], refreshed_at=NOW) == 0


def test_an_unknown_customer_is_no_row_but_a_known_refresh(tmp_path: Path) -> None:
    path = tmp_path / "context.db"
    SnapshotWriter(path).apply([], refreshed_at=NOW)
    reader = SnapshotReader(path)
    assert reader.read("nobody") == (None, NOW)
    reader.close()


def test_a_missing_snapshot_says_so_and_is_found_once_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "context.db"
    reader = SnapshotReader(path)
    with pytest.raises(SnapshotError, match="no snapshot yet"):
        reader.read("ada")
    assert not path.exists(), "asking makes no file"
    SnapshotWriter(path).apply([row("ada")], refreshed_at=NOW)
    assert reader.read("ada")[0] == row("ada")
    reader.close()


def test_a_damaged_snapshot_is_an_error_for_both_ends(tmp_path: Path) -> None:
    path = tmp_path / "context.db"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(SnapshotError, match="cannot be read"):
        SnapshotReader(path).read("ada")
    with pytest.raises(SnapshotError, match="cannot be written"):
        SnapshotWriter(path).apply([row("ada")], refreshed_at=NOW)
    assert SnapshotWriter(path).mark("since") is None


class Small(SnapshotWriter):
    """Whose transactions hold two rows, and whose sample three."""

    BATCH = 2
    SAMPLE = 3


def rows(*customers: str, day: int = 1) -> Iterator[ContextRow]:
    for number, customer in enumerate(customers):
        at = f"2026-02-{day:02d}T00:00:00.00000{number}Z"
        yield ContextRow(customer, b"{}", f"{customer} {day}", at)


def customers(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("select customer from context order by customer")
        return [customer for (customer,) in found]


def test_a_renewal_of_several_transactions_tells_what_came_of_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "context.db"
    writer = Small(path)
    first = writer.renew(rows(*"abcde"), refreshed_at=NOW, latest_mark="since", complete=True)
    assert first == Renewal(
        5, 0, "2026-02-01T00:00:00.000004Z", (("a", "a 1"), ("b", "b 1"), ("c", "c 1"))
    )
    assert writer.mark("since") == "2026-02-01T00:00:00.000004Z"
    changed = [*rows("a"), *rows("b", "d", day=2), *rows("f")]
    later = writer.renew(changed, refreshed_at=NOW, complete=True, marks={"more": "m"})
    assert later == Renewal(
        3, 2, "2026-02-02T00:00:00.000001Z", (("b", "b 2"), ("d", "d 2"), ("f", "f 1"))
    )
    assert customers(path) == ["a", "b", "d", "f"]
    assert writer.mark("since") == "2026-02-01T00:00:00.000004Z", "asked for by nobody"
    assert (writer.mark("more"), writer.mark("unknown")) == ("m", None)
    none = writer.renew([], refreshed_at="later", latest_mark="since")
    assert none == Renewal(0, 0, None, ())
    assert writer.mark("since") == "2026-02-01T00:00:00.000004Z", "no rows, no later mark"
    assert writer.mark("refreshed_at") == "later"
    assert writer.renew(iter(()), refreshed_at=NOW, complete=True).removed == 4
    assert customers(path) == []


@pytest.mark.parametrize(("count", "sampled"), [(2, 2), (3, 3), (4, 3), (6, 3)])
def test_a_sample_is_of_the_first_that_changed(tmp_path: Path, count: int, sampled: int) -> None:
    """Whether a transaction is full to the last row or not."""
    names = "abcdef"[:count]
    found = Small(tmp_path / "context.db").renew(rows(*names), refreshed_at=NOW)
    assert found.changed == count
    assert [customer for customer, _ in found.sample] == list(names[:sampled])


def test_a_renewal_that_is_cut_off_keeps_whole_transactions_and_no_mark(tmp_path: Path) -> None:
    path = tmp_path / "context.db"
    writer = Small(path)
    writer.renew(rows("a"), refreshed_at="first", marks={"since": "old"})

    def cut_off() -> Iterator[ContextRow]:
        yield from rows("b", "c", "d")
        raise sqlite3.OperationalError("the warehouse has gone")

    with pytest.raises(SnapshotError, match="the warehouse has gone") as caught:
        writer.renew(cut_off(), refreshed_at="second", marks={"since": "new"}, complete=True)
    assert not isinstance(caught.value, SnapshotDamaged)
    assert customers(path) == ["a", "b", "c"]
    assert (writer.mark("since"), writer.mark("refreshed_at")) == ("old", "first")


def test_readers_read_on_while_it_is_renewed(tmp_path: Path) -> None:
    path = tmp_path / "context.db"
    SnapshotWriter(path).apply([row("ada")], refreshed_at=NOW)
    if sys.platform != "win32":
        assert path.stat().st_mode & 0o077 == 0, "nobody else reads it"
    with closing(SnapshotReader(path)) as reader, closing(sqlite3.connect(path)) as writing:
        assert writing.execute("pragma journal_mode").fetchone() == ("wal",)
        assert writing.execute("pragma user_version").fetchone() == (SNAPSHOT_VERSION,)
        writing.execute("delete from context")
        assert reader.read("ada")[0] == row("ada")
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._open().execute("delete from context")


def test_a_reader_follows_the_file_that_was_put_in_place_of_the_one_it_had(tmp_path: Path) -> None:
    path = tmp_path / "context.db"
    SnapshotWriter(path).apply([row("ada")], refreshed_at=NOW)
    reader = SnapshotReader(path)
    assert reader.read("ada")[0] is not None
    before = reader._open()
    assert reader._open() is before
    SnapshotWriter(path).set_aside(".old")
    assert [one.name for one in tmp_path.iterdir() if not one.name.startswith("context.db.old")] == []  # fmt: skip
    assert (tmp_path / "context.db.old").exists()
    with pytest.raises(SnapshotError, match="no snapshot yet"):
        reader.read("ada")
    SnapshotWriter(path).apply([row("bob")], refreshed_at="later")
    assert reader.read("ada") == (None, "later")
    with pytest.raises(sqlite3.ProgrammingError):
        before.execute("select 1")
    reader.close()
    reader.close()


def test_a_file_is_checked_whole_and_damage_is_told_from_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "context.db"
    writer = SnapshotWriter(path)
    writer.apply([row(f"customer {number}") for number in range(900)], refreshed_at=NOW)
    writer.check()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    data = bytearray(path.read_bytes())
    data[9 * 4096 : 9 * 4096 + 1000] = b"\xff" * 1000
    path.write_bytes(bytes(data))
    with pytest.raises(SnapshotDamaged):
        writer.check()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(SnapshotDamaged, match="cannot be written"):
        writer.check()
    missing = SnapshotWriter(tmp_path / "none" / "context.db")
    with pytest.raises(SnapshotError) as caught:
        missing.check()
    assert not isinstance(caught.value, SnapshotDamaged)


def test_one_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "context.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"pragma user_version = {SNAPSHOT_VERSION + 1}")
    with pytest.raises(NewerVersion, match="upgrade"):
        SnapshotWriter(path).apply([], refreshed_at=NOW)
