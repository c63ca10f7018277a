"""Small results in packs: whole, private, gone when removed, whatever happens to their neighbours."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from cdesk.artifacts import packs as module
from cdesk.artifacts.local import LocalArtifacts
from cdesk.artifacts.packs import Packs
from cdesk.core.errors import ArtifactUnreadable
from cdesk.core.locks import FileLock

FOLDER = "0123456789abcdef"
IDS = [f"01a219a7-c742-7ce1-8bd3-2f531aece5{n:02x}" for n in range(40)]


@pytest.fixture
def packs(tmp_path: Path) -> Packs:
    return Packs(tmp_path)


def pack(root: Path) -> Path:
    (found,) = (root / FOLDER).glob("*.pack")
    return found


def test_many_results_share_one_file(packs: Packs, tmp_path: Path) -> None:
    for number, id in enumerate(IDS):
        packs.put(FOLDER, id, b"\ncdesk1 " * number)  # what looks like a head is content
    assert pack(tmp_path).name == "01a219a.pack"
    assert pack(tmp_path).stat().st_mode & 0o777 == 0o600 or sys.platform == "win32"
    assert [packs.get(FOLDER, id) for id in IDS] == [b"\ncdesk1 " * n for n in range(40)]
    assert list(packs.names(tmp_path / FOLDER)) == IDS
    assert packs.get(FOLDER, IDS[0].replace("01a219a", "01a219b")) is None


def test_what_is_removed_is_gone_from_the_disk_and_an_empty_pack_with_it(
    packs: Packs, tmp_path: Path
) -> None:
    name = f"{IDS[0]}-{'d' * 64}"
    packs.put(FOLDER, name, b"only-bob-knows")
    packs.put(FOLDER, IDS[1], b"stays")
    assert packs.remove(FOLDER, name)
    assert not packs.remove(FOLDER, name)
    left = pack(tmp_path).read_bytes()
    assert b"only-bob-knows" not in left
    assert b"d" * 64 not in left, "nor what it was, by its digest"
    assert packs.get(FOLDER, name) is None
    assert packs.get(FOLDER, IDS[1]) == b"stays"
    assert packs.remove_empty(tmp_path / FOLDER) == 0
    packs.remove(FOLDER, IDS[1])
    assert packs.remove_empty(tmp_path / FOLDER) == 1
    assert not list((tmp_path / FOLDER).iterdir())


@pytest.mark.parametrize("torn", [1, 20, 60, 90])
def test_a_torn_entry_costs_its_neighbours_nothing(packs: Packs, tmp_path: Path, torn: int) -> None:
    packs.put(FOLDER, IDS[0], b"first" * 9)
    path = pack(tmp_path)
    whole = path.read_bytes()
    packs.put(FOLDER, IDS[1], b"second" * 9)
    path.write_bytes(path.read_bytes()[: len(whole) + torn])
    packs.put(FOLDER, IDS[2], b"third" * 9)
    assert packs.get(FOLDER, IDS[0]) == b"first" * 9
    assert packs.get(FOLDER, IDS[1]) is None
    assert packs.get(FOLDER, IDS[2]) == b"third" * 9


def test_a_changed_byte_is_no_result(packs: Packs, tmp_path: Path) -> None:
    packs.put(FOLDER, IDS[0], b"first")
    pack(tmp_path).write_bytes(pack(tmp_path).read_bytes().replace(b"first", b"frist"))
    assert packs.get(FOLDER, IDS[0]) is None
    assert packs.has(FOLDER, IDS[0])


def test_processes_take_turns(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from cdesk.artifacts.packs import Packs\n"
        "packs = Packs(Path(sys.argv[1]))\n"
        f"for n in range(50): packs.put('{FOLDER}', sys.argv[2][:-2] + f'{{n:02x}}', b'x' * 999)"
    )
    ids = [IDS[0][:-4] + "aa00", IDS[0][:-4] + "bb00"]
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), id]) for id in ids]
    assert [process.wait(60) for process in running] == [0, 0]
    assert len(set(Packs(tmp_path).names(tmp_path / FOLDER))) == 100


def test_a_small_result_gets_its_file_when_it_is_opened(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path / "artifacts")
    uri = store.keep("ada@example.com", IDS[0], b"rows")
    assert store.exists(uri)
    assert store.source(uri) == b"rows"
    assert list(store.artifact_ids()) == [(IDS[0], uri)]
    assert not list(tmp_path.rglob("*.parquet"))
    assert store.path(uri).read_bytes() == b"rows"
    assert store.source(uri) == store.path(uri)
    assert store.remove(uri)
    assert not store.exists(uri)
    assert store.remove_abandoned() == 1


def test_a_damaged_small_result_is_unreadable_and_not_gone(tmp_path: Path) -> None:
    """Changed with its checksum, too: its name knows."""
    store = LocalArtifacts(tmp_path / "artifacts")
    uri = store.keep("ada@example.com", IDS[0], b"rows")
    assert store.is_whole(uri)
    (file,) = tmp_path.rglob("*.pack")
    whole = file.read_bytes()
    for damaged in (
        whole.replace(b"\nrows\n", b"\nrovs\n"),
        whole.replace(b"\nrows\n", b"\nrovs\n").replace(
            f"{zlib.crc32(b'rows'):08x}".encode(), f"{zlib.crc32(b'rovs'):08x}".encode()
        ),
    ):
        file.write_bytes(damaged)
        assert store.exists(uri)
        assert not store.is_whole(uri)
        for read in (store.source, store.path):
            with pytest.raises(ArtifactUnreadable, match="damaged"):
                read(uri)
        assert not list(tmp_path.rglob("*.parquet"))


def test_a_pack_is_written_as_it_says(packs: Packs, tmp_path: Path) -> None:
    """Another version, and whoever has to repair one, read it by this."""
    packs.put(FOLDER, IDS[0], b"ab")
    packs.put(FOLDER, f"{IDS[1]}-{'d' * 64}", b"")
    first = f"cdesk1 {IDS[0]} 2 {zlib.crc32(b'ab'):08x}\nab\n"
    second = f"cdesk1 {IDS[1]}-{'d' * 64} 0 00000000\n\n"
    assert pack(tmp_path).read_bytes() == (first + second).encode()
    packs.remove(FOLDER, IDS[0])
    packs.remove(FOLDER, f"{IDS[1]}-{'d' * 64}")
    first = f"cdeskx {IDS[0]} 2 {zlib.crc32(b'ab'):08x}\n\0\0\n"
    second = f"cdeskx {IDS[1]}-{'0' * 64} 0 00000000\n\n"
    assert pack(tmp_path).read_bytes() == (first + second).encode()
    assert packs.counts(tmp_path / FOLDER) == (1, 0)


def test_what_is_not_here_is_not_and_makes_no_file(packs: Packs, tmp_path: Path) -> None:
    assert packs.has(FOLDER, IDS[0]) is False
    assert packs.get(FOLDER, IDS[0]) is None
    assert packs.remove(FOLDER, IDS[0]) is False
    assert list(tmp_path.iterdir()) == []
    packs.put(FOLDER, IDS[0], b"x")
    assert (packs.has(FOLDER, IDS[1]), packs.get(FOLDER, IDS[1])) == (False, None)
    assert packs.remove(FOLDER, IDS[1]) is False
    assert packs.get(FOLDER, IDS[0]) == b"x"


def test_a_result_that_was_removed_can_come_back(packs: Packs, tmp_path: Path) -> None:
    packs.put(FOLDER, IDS[0], b"before")
    packs.remove(FOLDER, IDS[0])
    assert (packs.has(FOLDER, IDS[0]), packs.get(FOLDER, IDS[0])) == (False, None)
    packs.put(FOLDER, IDS[0], b"after")
    assert packs.get(FOLDER, IDS[0]) == b"after"
    packs.put(FOLDER, IDS[0], b"twice")
    assert packs.counts(tmp_path / FOLDER) == (1, 2)
    assert packs.remove(FOLDER, IDS[0])
    assert packs.counts(tmp_path / FOLDER) == (1, 0), "every entry of it"


def test_what_else_lies_in_the_folder_is_no_pack(packs: Packs, tmp_path: Path) -> None:
    packs.put(FOLDER, IDS[0], b"x")
    for name in ("01a219a.pack.bak", "x01a219.pack", "01A219A.pack"):
        (tmp_path / FOLDER / name).write_bytes(b"theirs")
    assert packs.counts(tmp_path / FOLDER) == (1, 1)
    assert packs.remove_empty(tmp_path / FOLDER) == 0
    packs.remove(FOLDER, IDS[0])
    other = IDS[1].replace("01a219a", "01a219b")
    packs.put(FOLDER, other, b"y")
    assert packs.remove_empty(tmp_path / FOLDER) == 1, "the empty one alone"
    assert list(packs.names(tmp_path / FOLDER)) == [other]
    assert len(list((tmp_path / FOLDER).iterdir())) == 4


def test_a_head_that_is_none_is_passed_over_and_what_follows_is_found(
    packs: Packs, tmp_path: Path
) -> None:
    packs.put(FOLDER, IDS[0], b"first")
    path = pack(tmp_path)
    whole = path.read_bytes()
    for junk in (
        b"\n",
        b"x\n",
        b"cdesk1 \n",
        b"cdesk2" + whole[6:],
        whole[:-3] + b"\n",
        b"y" * 200 + b"\n",
    ):
        path.write_bytes(junk + whole)
        assert packs.get(FOLDER, IDS[0]) == b"first", junk
        path.write_bytes(whole + junk)
        packs.put(FOLDER, IDS[1], b"second")
        assert packs.get(FOLDER, IDS[0]) == b"first", junk
        assert packs.get(FOLDER, IDS[1]) == b"second", junk
    path.write_bytes(b"nothing of ours")
    assert list(packs.names(tmp_path / FOLDER)) == []


def test_a_torn_head_of_a_whole_entry_is_told_by_its_checksum(packs: Packs, tmp_path: Path) -> None:
    """Behind it stands something torn: only its checksum says that it is whole."""
    packs.put(FOLDER, IDS[0], b"first")
    path = pack(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"torn")
    assert packs.get(FOLDER, IDS[0]) == b"first"
    path.write_bytes(whole[:-2] + b"#torn")
    assert packs.get(FOLDER, IDS[0]) is None
    assert packs.has(FOLDER, IDS[0]) is False


@pytest.mark.parametrize("written", [0, 7])
def test_an_entry_that_finds_no_room_leaves_the_pack_as_it_was(
    packs: Packs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    packs.put(FOLDER, IDS[0], b"first")
    before = pack(tmp_path).read_bytes()
    write = os.write

    def full(fd: int, data: bytes) -> int:
        if written:
            return write(fd, data[:written])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            packs.put(FOLDER, IDS[1], b"second")
    assert pack(tmp_path).read_bytes() == before
    packs.put(FOLDER, IDS[1], b"second")
    assert packs.get(FOLDER, IDS[1]) == b"second"


def test_who_waits_for_the_lock_too_long_is_told(
    packs: Packs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOCK_SECONDS", 0.0)
    packs.put(FOLDER, IDS[0], b"first")
    other = FileLock(tmp_path / ".packs.lock")
    assert other.acquire(), "it is free between two uses"
    for attempt in (
        lambda: packs.put(FOLDER, IDS[1], b"second"),
        lambda: packs.remove(FOLDER, IDS[0]),
        lambda: packs.remove_empty(tmp_path / FOLDER),
    ):
        with pytest.raises(TimeoutError, match="another process keeps the results' lock"):
            attempt()
    assert packs.get(FOLDER, IDS[0]) == b"first", "who reads does not wait"
    other.release()
    packs.put(FOLDER, IDS[1], b"second")


@pytest.mark.skipif(os.name == "nt", reason="making a link needs a privilege there")
def test_a_pack_that_is_a_link_is_not_followed(packs: Packs, tmp_path: Path) -> None:
    Packs(tmp_path / "b").put(FOLDER, IDS[0], b"theirs")
    (tmp_path / FOLDER).mkdir()
    pack(tmp_path / "b").rename(tmp_path / "theirs")
    (tmp_path / FOLDER / "01a219a.pack").symlink_to(tmp_path / "theirs")
    assert (packs.has(FOLDER, IDS[0]), packs.get(FOLDER, IDS[0])) == (False, None)
    assert list(packs.names(tmp_path / FOLDER)) == []
    assert packs.remove_empty(tmp_path / FOLDER) == 0
