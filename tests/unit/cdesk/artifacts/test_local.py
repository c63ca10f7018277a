"""Stored results in the state directory: whole or not at all, and nothing else touched."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cdesk.artifacts.local import LocalArtifacts
from cdesk.artifacts.records import Artifact, get_artifact, keep_artifact
from cdesk.core.errors import NotFound
from cdesk.core.identity import customer_key
from cdesk.state.database import open_state

NOW = "2026-01-31T12:00:00.000000Z"
LATER = "2026-01-31T13:00:00.000000Z"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_state(tmp_path / "state.db")) as connection:
        yield connection


def artifact(store: LocalArtifacts, artifact_id: str, customer: str = "ada") -> Artifact:
    return Artifact(
        artifact_id,
        customer,
        store.uri(customer, artifact_id),
        "parquet",
        "0" * 16,
        1,
        4,
        False,
        NOW,
        LATER,
    )


ID = "0190a5f0-0000-7000-8000-000000000000"


def test_a_result_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path / "artifacts")
    uri = store.uri("ada", ID)
    with pytest.raises(RuntimeError), store.write(uri) as path:  # noqa: PT012
        path.write_bytes(b"half")
        raise RuntimeError
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    with store.write(uri) as path:
        assert not store.exists(uri)
        path.write_bytes(b"whole")
    assert store.path(uri).read_bytes() == b"whole"


@pytest.mark.parametrize(
    "uri",
    [
        f"cdesk://artifacts/../../{ID}.parquet",
        f"cdesk://artifacts/{'0' * 16}/../{ID}.parquet",
        f"cdesk://artifacts/{'0' * 16}/{ID}.parquet\n",
        "file:///etc/passwd",
        "",
    ],
)
def test_a_uri_never_leads_out_of_the_store(tmp_path: Path, uri: str) -> None:
    with pytest.raises(NotFound):
        LocalArtifacts(tmp_path).path(uri)


def test_a_stored_result_is_its_customers_alone(tmp_path: Path, state: sqlite3.Connection) -> None:
    kept = artifact(LocalArtifacts(tmp_path), ID)
    keep_artifact(state, kept)
    assert get_artifact(state, ID, customer="ada") == kept
    with pytest.raises(NotFound):
        get_artifact(state, ID, customer="bob")
    assert "ada" not in kept.uri


def strangers(root: Path) -> list[Path]:
    """Files that are none of ours, old enough for any sweep."""
    made = []
    for name in (
        "report.docx",
        f"{ID}.parquet",
        f"{'0' * 16}/notes.txt",
        f"{'0' * 16}/{ID}.parquet.bak",
        f"{'0' * 16}/{ID.upper()}.parquet",
        f"{'0' * 16}/.{ID}.parquet.part.mine",
        f"holidays/{ID}.parquet",
        f"{'0' * 16}/folder/{ID}.parquet",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a stranger's")
        os.utime(path, (0, 0))
        made.append(path)
    return made


def test_files_that_are_none_of_ours_are_neither_listed_nor_removed(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    made = strangers(root)
    store = LocalArtifacts(root)
    assert list(store.artifact_ids()) == []
    assert store.remove_abandoned() == 0
    assert [path for path in made if not path.exists()] == []


def test_an_abandoned_temporary_file_goes_after_a_day_and_not_before(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path / "artifacts")
    folder = tmp_path / "artifacts" / customer_key("ada")
    folder.mkdir(parents=True)
    old, new = folder / f".{ID}.parquet.part", folder / f".{ID.replace('0', '1')}.parquet.part"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert store.remove_abandoned() == 1
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.skipif(os.name == "nt", reason="making a link needs a privilege there")
@pytest.mark.parametrize("linked", ["artifacts", "folder", "file"])
def test_nothing_is_listed_or_removed_through_a_link(tmp_path: Path, linked: str) -> None:
    real = tmp_path / "somebody's"
    store, elsewhere = LocalArtifacts(tmp_path / "artifacts"), LocalArtifacts(real)
    uri = store.uri("ada", ID)
    with elsewhere.write(uri) as path:
        path.write_bytes(b"precious")
    half = elsewhere.path(uri).with_name(f".{ID}.parquet.part")
    half.write_bytes(b"precious, too")
    os.utime(half, (0, 0))
    if linked == "artifacts":
        (tmp_path / "artifacts").symlink_to(real)
    elif linked == "folder":
        (tmp_path / "artifacts").mkdir()
        (tmp_path / "artifacts" / customer_key("ada")).symlink_to(real / customer_key("ada"))
    else:
        store.path(uri).parent.mkdir(parents=True)
        store.path(uri).symlink_to(elsewhere.path(uri))
    assert list(store.artifact_ids()) == []
    assert store.remove_abandoned() == 0
    assert store.remove(uri) is False
    assert elsewhere.path(uri).read_bytes() == b"precious"
    assert half.exists()
