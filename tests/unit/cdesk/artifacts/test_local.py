"""Stored results in the state directory: whole or not at all, and nothing else touched."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cdesk.artifacts.addresses import Checks
from cdesk.artifacts.local import LocalArtifacts
from cdesk.artifacts.records import Artifact, get_artifact, keep_artifact
from cdesk.core.errors import ArtifactUnreadable, NotFound
from cdesk.core.identity import customer_key
from cdesk.state.database import open_state

NOW = "2026-01-31T12:00:00.000000Z"
LATER = "2026-01-31T13:00:00.000000Z"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_state(tmp_path / "state.db")) as connection:
        yield connection


def put(store: LocalArtifacts, content: bytes, id: str, customer: str = "ada") -> str:
    """Store a result; its URI."""
    with store.write(customer, id) as draft:
        draft.path.write_bytes(content)
    return draft.uri


def artifact(store: LocalArtifacts, artifact_id: str, customer: str = "ada") -> Artifact:
    return Artifact(
        artifact_id,
        customer,
        put(store, b"rows", artifact_id, customer),
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
    with pytest.raises(RuntimeError), store.write("ada", ID) as draft:  # noqa: PT012
        draft.path.write_bytes(b"half")
        raise RuntimeError
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    with store.write("ada", ID) as draft:
        draft.path.write_bytes(b"whole")
        assert list(store.artifact_ids()) == []
    assert list(store.artifact_ids()) == [(ID, draft.uri)]
    assert store.path(draft.uri).read_bytes() == b"whole"


@pytest.mark.parametrize("id", ["..", "x", f"{ID}/x", ID.upper(), ""])
def test_what_is_no_id_makes_no_file(tmp_path: Path, id: str) -> None:
    store = LocalArtifacts(tmp_path / "artifacts")
    for attempt in (lambda: put(store, b"x", id), lambda: store.keep("ada", id, b"x")):
        with pytest.raises(NotFound):
            attempt()
    assert not list(tmp_path.rglob("*"))


# -- addressed by content

OTHER_ID = ID[:-1] + "1"


def test_the_address_is_of_the_owner_and_the_content(tmp_path: Path) -> None:
    """https://csrc.nist.gov/pubs/fips/180-4/upd1/final"""
    store = LocalArtifacts(tmp_path)
    uri = put(store, b"rows", ID)
    expected = hashlib.sha256(f"{customer_key('ada')}\nrows".encode()).hexdigest()
    assert uri == f"cdesk://artifacts/{customer_key('ada')}/{ID}-{expected}.parquet"
    assert store.keep("ada", ID, b"rows") == uri, "a small one has no other"
    digests = {
        one.rpartition("-")[2]
        for one in (
            put(store, b"rows", OTHER_ID),
            put(store, b"rovs", ID),
            put(store, b"rows", ID, "bob"),
        )
    }
    assert len(digests) == 3, "bob's name tells nobody that he has what ada has"
    assert f"{expected}.parquet" in digests


@pytest.mark.parametrize("content", [b"rovs", b"row", b"", b"rows\n"])
def test_what_is_not_what_was_stored_is_found_by_its_name(tmp_path: Path, content: bytes) -> None:
    store = LocalArtifacts(tmp_path)
    uri = put(store, b"rows", ID)
    assert store.path(uri).read_bytes() == b"rows"
    store.path(uri).write_bytes(content)
    assert store.exists(uri)
    assert not store.is_whole(uri)
    for read in (store.source, store.path):
        with pytest.raises(ArtifactUnreadable, match="damaged"):
            read(uri)


def test_another_owners_file_under_ones_name_is_found_too(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path)
    mine, theirs = put(store, b"rows", ID), put(store, b"rows", ID, "bob")
    foreign = store.path(theirs)
    place = store.path(mine).parent / foreign.name
    place.write_bytes(foreign.read_bytes())
    with pytest.raises(ArtifactUnreadable):
        store.path(f"cdesk://artifacts/{place.parent.name}/{place.name}")


def test_a_large_file_is_checked_beside_the_reading(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path)
    store._checks = Checks(at_once=3)
    uri = put(store, b"rows", ID)
    path = store.path(uri)
    path.write_bytes(b"rovs")
    assert store.source(uri) == path, "nobody waits"
    deadline = time.monotonic() + 10
    while store.is_whole(uri) and time.monotonic() < deadline:
        time.sleep(0.001)
    with pytest.raises(ArtifactUnreadable):
        store.source(uri)
    path.write_bytes(b"rovsx")
    with pytest.raises(ArtifactUnreadable):
        store.path(uri)  # who reads it whole waits for the check
    path.write_bytes(b"rows")
    assert store.path(uri) == path


def test_equal_results_of_one_owner_share_their_bytes_and_nothing_else(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path)
    first, second = put(store, b"rows", ID), put(store, b"rows", OTHER_ID)
    theirs = put(store, b"rows", OTHER_ID, "bob")
    inodes = [store.path(uri).stat().st_ino for uri in (first, second, theirs)]
    assert inodes[0] == inodes[1] != inodes[2]
    assert sorted(id for id, _ in store.artifact_ids("ada")) == [ID, OTHER_ID]
    assert store.remove(first)
    assert not store.exists(first)
    assert store.path(second).read_bytes() == b"rows"
    assert store.erase("ada") == 1
    assert store.path(theirs).read_bytes() == b"rows"


def test_a_damaged_twin_is_not_what_a_new_result_becomes(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path)
    first = put(store, b"rows", ID)
    store.path(first).write_bytes(b"rovs")
    second = put(store, b"rows", OTHER_ID)
    assert store.path(second).read_bytes() == b"rows"
    assert not list(tmp_path.rglob("*.part"))


def test_a_result_of_an_earlier_version_has_no_digest_and_opens(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path)
    path = tmp_path / customer_key("ada") / f"{ID}.parquet"
    path.parent.mkdir()
    path.write_bytes(b"rows of before")
    uri = f"cdesk://artifacts/{customer_key('ada')}/{ID}.parquet"
    assert list(store.artifact_ids()) == [(ID, uri)]
    assert store.is_whole(uri)
    assert store.path(uri).read_bytes() == b"rows of before"
    assert store.remove(uri)


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
    uri = put(elsewhere, b"precious", ID)
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
