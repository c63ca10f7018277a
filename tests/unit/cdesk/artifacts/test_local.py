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
from cdesk.artifacts.local import ABANDONED_SECONDS, LocalArtifacts, erase_folder, own_files
from cdesk.artifacts.records import Artifact, get_artifact, is_held, keep_artifact
from cdesk.artifacts.store import Draft
from cdesk.core.errors import ArtifactUnreadable, NotFound, StateDirectoryError
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
    deadline = time.monotonic() + 60
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


@pytest.mark.skipif(os.name == "nt", reason="making a link needs a privilege there")
def test_a_twin_that_is_a_link_is_none(tmp_path: Path) -> None:
    """Whoever it points to may change it."""
    store = LocalArtifacts(tmp_path / "artifacts")
    first = store.path(put(store, b"rows", ID))
    first.rename(tmp_path / "elsewhere")
    first.symlink_to(tmp_path / "elsewhere")
    second = store.path(put(store, b"rows", OTHER_ID))
    assert not second.is_symlink()
    assert second.stat().st_ino != first.stat().st_ino


def test_where_files_cannot_share_their_bytes_each_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "link", refused)
    store = LocalArtifacts(tmp_path)
    first, second = (store.path(put(store, b"rows", id)) for id in (ID, OTHER_ID))
    assert first.stat().st_ino != second.stat().st_ino
    assert first.read_bytes() == second.read_bytes() == b"rows"
    assert not list(tmp_path.rglob("*.part"))


def test_a_junction_is_a_link_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which Windows shows as a folder, with a tag."""
    store = LocalArtifacts(tmp_path / "artifacts")
    uri = put(store, b"rows", ID)
    lstat = Path.lstat

    class Junction:
        st_reparse_tag = 0xA0000003

        def __init__(self, status: os.stat_result) -> None:
            self.st_mode = status.st_mode

    monkeypatch.setattr(Path, "lstat", lambda path: Junction(lstat(path)))
    assert list(store.artifact_ids()) == []
    assert store.remove(uri) is False


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


@pytest.mark.parametrize(
    "name",
    [
        f".{ID}.parquet.part",
        f".{ID}.parquet.part.whole",
        f".{ID}-{'d' * 63}.0123456789abcdef.part",
    ],
    ids=["a draft", "the whole of a sample", "the file of a small result"],
)
def test_an_abandoned_temporary_file_goes_after_a_day_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    store = LocalArtifacts(tmp_path / "artifacts")
    half = tmp_path / "artifacts" / customer_key("ada") / name
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    now = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    os.utime(half, (now, now - ABANDONED_SECONDS))
    assert store.remove_abandoned() == 0
    os.utime(half, (now, now - ABANDONED_SECONDS - 1))
    assert store.remove_abandoned() == 1
    assert not half.exists()


def test_what_a_killed_process_left_of_a_small_results_file_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalArtifacts(tmp_path)
    uri = store.keep("ada", ID, b"rows")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        store.path(uri)
    monkeypatch.undo()
    (half,) = tmp_path.rglob("*.part")
    os.utime(half, (0, 0))
    assert store.remove_abandoned() == 1
    assert store.path(uri).read_bytes() == b"rows"


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


# -- where it cannot be written, and what is told


def test_folders_and_files_are_their_users_alone(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path / "artifacts")
    with store.write("ada", ID) as draft:
        assert draft.path.name == f".{ID}.parquet.part"
        assert draft.path.stat().st_size == 0, "it is there, before anything writes to it"
        assert draft.uri == Draft(draft.path).uri == ""
        modes = [
            path.stat().st_mode & 0o777 for path in (draft.path, *list(draft.path.parents)[:2])
        ]
        draft.path.write_bytes(b"rows")
    assert modes == [0o600, 0o700, 0o700] or os.name == "nt"


def test_two_drafts_of_one_result_do_not_write_into_each_other(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path / "artifacts")

    def again() -> None:
        with store.write("ada", ID):
            pytest.fail("somebody else writes it")

    with store.write("ada", ID) as draft:
        draft.path.write_bytes(b"rows")
        with pytest.raises(StateDirectoryError, match=r"cannot be stored in .*File exists"):
            again()
    assert store.path(draft.uri).read_bytes() == b"rows"


def test_where_it_cannot_be_stored_it_says_where_and_what_to_do(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    root.write_bytes(b"a file stands in the way")
    store = LocalArtifacts(root)
    said = f"the result cannot be stored in {root} \\(.*\\); free space or mend its permissions"
    for attempt in (lambda: put(store, b"x", ID), lambda: store.keep("ada", ID, b"x")):
        with pytest.raises(StateDirectoryError, match=said):
            attempt()


def test_a_small_result_whose_file_cannot_be_made_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalArtifacts(tmp_path)
    uri = store.keep("ada", ID, b"rows")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StateDirectoryError, match="No space left"):
        store.path(uri)
    assert not list(tmp_path.rglob("*.par*"))
    assert store.source(uri) == b"rows", "it can still be read"


def test_what_was_never_stored_is_not_there_and_no_error(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path / "artifacts")
    uri = f"cdesk://artifacts/{customer_key('ada')}/{ID}.parquet"
    for _ in range(2):
        assert (store.exists(uri), store.is_whole(uri)) == (False, False)
        assert (store.remove(uri), store.purge(uri)) == (False, False)
        assert not store.path(uri).exists()
        assert store.source(uri) == store.path(uri)
        assert (store.erase("ada"), store.remove_abandoned()) == (0, 0)
        put(store, b"rows", OTHER_ID)
        assert store.erase("ada") == 1
    assert (store.exists("s3://a/b"), store.is_whole("s3://a/b")) == (False, False)
    assert (store.remove("s3://a/b"), store.purge("s3://a/b")) == (False, False)
    assert store.keeps_small


def test_a_result_that_is_held_or_linked_to_stays_as_it_is(tmp_path: Path) -> None:
    """Nobody else removes what lies here, and it has no address elsewhere."""
    store = LocalArtifacts(tmp_path)
    uri = put(store, b"rows", ID)
    store.hold(uri, on=True)
    assert store.download_url(uri, filename="x") is None
    assert store.purge(uri)
    assert (store.exists(uri), store.purge(uri)) == (False, False)


def test_a_result_in_a_pack_and_in_its_file_goes_from_both(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path)
    uri = store.keep("ada", ID, b"rows")
    file = store.path(uri)
    assert [found for _, found in store.artifact_ids()] == [uri, uri]
    assert store.remove(uri)
    assert not file.exists()
    assert not store.exists(uri)
    assert store.remove(uri) is False
    in_pack = store.keep("ada", OTHER_ID, b"rows")
    assert store.remove(in_pack), "without a file of its own, too"
    assert list(store.artifact_ids()) == []


def test_an_erasure_counts_files_and_small_results_and_leaves_others_alone(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path / "artifacts")
    ids = [f"{ID[:-1]}{n}" for n in range(5)]
    for id in ids[:3]:
        store.keep("ada", id, b"small")
    put(store, b"large", ids[3])
    theirs = store.keep("bob", ids[4], b"theirs")
    assert sorted(id for id, _ in store.artifact_ids("ada")) == ids[:4]
    assert [id for id, _ in store.artifact_ids("bob")] == ids[4:]
    assert sorted(id for id, _ in store.artifact_ids()) == ids
    assert {
        path.parent.name for path in own_files(tmp_path / "artifacts", customer_key("ada"))
    } == {customer_key("ada")}
    assert store.erase("ada") == 4
    assert not (tmp_path / "artifacts" / customer_key("ada")).exists()
    assert store.source(theirs) == b"theirs"


def test_a_folder_that_cannot_be_erased_is_named(tmp_path: Path) -> None:
    folder = tmp_path / customer_key("ada")
    (folder / "z").mkdir(parents=True)
    (folder / "a").write_bytes(b"x")
    with pytest.raises(StateDirectoryError, match=f"{folder} cannot be removed .*permissions"):
        erase_folder(tmp_path, "ada")
    assert not (folder / "a").exists(), "what could be removed is gone"


@pytest.mark.skipif(os.name == "nt", reason="making a link needs a privilege there")
def test_a_folder_that_is_a_link_holds_no_small_results_and_stays(tmp_path: Path) -> None:
    elsewhere = LocalArtifacts(tmp_path / "somebody's")
    uri = elsewhere.keep("ada", ID, b"precious")
    root = tmp_path / "artifacts"
    root.mkdir()
    (root / customer_key("ada")).symlink_to(tmp_path / "somebody's" / customer_key("ada"))
    store = LocalArtifacts(root)
    assert (store.exists(uri), store.remove(uri), store.erase("ada")) == (False, False, 0)
    assert store.source(uri) == root / customer_key("ada") / uri.rpartition("/")[2]
    assert elsewhere.source(uri) == b"precious"


# -- what state.db knows


def test_what_is_known_of_a_result_comes_back_as_it_was_and_the_last_word_counts(
    state: sqlite3.Connection,
) -> None:
    one = Artifact(ID, "ada", "u", "parquet", "0" * 16, 7, 99, True, NOW, LATER, legal_hold=True)
    keep_artifact(state, one)
    found = get_artifact(state, ID, customer="ada")
    assert found == one
    assert (found.sampled, found.legal_hold) == (True, True)
    assert (is_held(state, "u"), is_held(state, "v")) == (True, False)
    free = Artifact(ID, "ada", "u", "parquet", "0" * 16, 7, 99, False, NOW, LATER)
    keep_artifact(state, free)
    again = get_artifact(state, ID, customer="ada")
    assert (again, again.sampled, again.legal_hold) == (free, False, False)
    assert is_held(state, "u") is False


def test_a_result_that_is_not_known_is_named_and_not_at_length(state: sqlite3.Connection) -> None:
    with pytest.raises(NotFound, match=f"^artifact '{'x' * 60}' is not known here; run its query"):
        get_artifact(state, "x" * 99, customer="ada")
