"""The snapshot: readers see whole refreshes, damage is an error to answer with."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdesk.core.errors import SnapshotError
from cdesk.state.snapshot import ContextRow, SnapshotReader, SnapshotWriter

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
