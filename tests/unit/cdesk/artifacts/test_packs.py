from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from cdesk.artifacts.local import LocalArtifacts
from cdesk.artifacts.packs import Packs
from cdesk.core.errors import ArtifactUnreadable

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
