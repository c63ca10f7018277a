"""A customer's lines go from queue and archive; what others landed is where it was."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import duckdb
import pytest
from landing_table import event, make_landing

from cdesk.contract.records import MAX_LINE_BYTES
from cdesk.core.home import StateDirectory
from cdesk.core.mentions import Mentions
from cdesk.queue.writer import QueueWriter
from cdesk.warehouse.duckdb import DuckDBWarehouse
from uploader import erasing
from uploader.archive import Archive
from uploader.erasing import (
    ErasedLines,
    erase_log,
    erase_queue,
    is_theirs,
    of_customer,
    of_queries,
    of_sources,
)
from uploader.uploader import Uploader

BOB = 'Bób "b" <bob@example.com>'


def uploader(home: StateDirectory) -> Uploader:
    return Uploader(home, DuckDBWarehouse(home.warehouse))


def lines(writer: QueueWriter, *customers: str) -> None:
    for customer in customers:
        writer.append(event(customer=customer)[1])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("folder", ["archive", "shipped"])
def test_an_archived_file_is_not_landed_again_for_what_was_erased(
    state_home: StateDirectory, packed: bool, folder: str
) -> None:
    """`shipped`: as earlier versions called the archive."""
    make_landing(state_home.warehouse)
    writer = QueueWriter(state_home.queue)
    lines(writer, "ada", BOB, "ada", BOB)
    writer.close()
    first = uploader(state_home)
    assert first.drain().landed == 4
    first.close()
    if packed:
        archive = Archive(state_home.queue, compress_after_seconds=-1)
        assert archive.clean_up() == 1
    with duckdb.connect(state_home.warehouse) as connection:
        connection.execute("delete from activities.landing where payload ->> 'customer' <> 'ada'")
    (state_home.queue / "archive").rename(state_home.queue / folder)
    assert erase_queue(state_home.queue, of_customer(BOB)).lines == 2
    (file,) = (state_home.queue / "archive").iterdir()
    data = file.read_bytes()
    data = gzip.decompress(data) if packed else data
    assert BOB.encode() not in data
    assert b"bob@" not in data
    assert data.count(b"\n") == 4
    again = uploader(state_home)
    assert again.drain().landed == 0, "the last line that is left is the last that has landed"
    assert again.depth() == 0
    again.close()


def test_a_file_that_is_still_written_keeps_its_neighbours_and_goes_on(
    state_home: StateDirectory,
) -> None:
    make_landing(state_home.warehouse)
    writer = QueueWriter(state_home.queue)
    lines(writer, BOB, "ada", BOB, BOB)
    writer.append(b'{"customer": "' + b"bob" + b'", broken\n')
    erased = erase_queue(state_home.queue, of_customer(BOB))
    assert (erased.lines, len(erased.files)) == (3, 1)
    assert erase_queue(state_home.queue, of_customer("eve")).files == set()
    lines(writer, "ada", BOB, "ada")
    assert erase_queue(state_home.queue, of_customer(BOB)).lines == 1
    own = uploader(state_home)
    report = own.drain()
    assert (report.landed, report.reasons) == (4, {"not_json": 1})
    assert own.depth() == 0
    lines(writer, BOB)
    erase_queue(state_home.queue, of_customer(BOB))
    writer.close()
    assert own.drain().landed == 0, "blank at the very end"
    assert own.depth() == 0
    own.close()
    assert len(list((state_home.queue / "archive").iterdir())) == 1, "and it was put away"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"customer":"bob","x":"ada"}', False),
        (b'{"customer":"ada"}', True),
        (b'{"customer":"a\\u0064a"}', True),
        (b'{"customer":"adam"}', False),
        (b'{"customer":"ada", torn', True),
        (b'{"raw":"of ada"}', True),
        (b"\xff\xfe ada", True),
        (b"[1, 2]", False),
        (b'{"customer":"nada", torn', False),
        (b'{"customer":"ada@example.com", torn', False),
        (b'{"note":"\\nada", torn', True),
        (b'{"note":"x\\u20acada", torn', True),
        ("of \u540dada, torn".encode(), True),
    ],
)
def test_whose_a_line_is(line: bytes, expected: bool) -> None:
    assert is_theirs(line, "ada", Mentions("ada")) is expected


def test_files_of_nobody_else_go_whole(state_home: StateDirectory, tmp_path: Path) -> None:
    writer = QueueWriter(state_home.queue)
    lines(writer, BOB, BOB)
    writer.close()
    assert erase_queue(state_home.queue, of_customer(BOB)).lines == 2
    assert list(state_home.queue.glob("*.ndjson")) == []
    assert erase_queue(tmp_path / "none", of_customer(BOB)).lines == 0


@pytest.mark.parametrize("ascii_alone", [False, True])
@pytest.mark.parametrize("customer", ["ada", BOB, "名前", "smile \U0001f600"])
def test_a_customer_is_found_however_json_writes_the_name(customer: str, ascii_alone: bool) -> None:
    text = json.dumps({"customer": customer}, ensure_ascii=ascii_alone)
    written = text.removeprefix('{"customer": "').removesuffix('"}').encode()
    mentions = Mentions(customer)
    assert written in mentions.spellings
    assert mentions.in_bytes(text.encode())


# -- which lines


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"customer": "ada", "source_system": "cowork"}, True),
        ({"customer": "ada", "source_system": "claude_export"}, False),
        ({"customer": "bob", "source_system": "cowork"}, False),
        ({"customer": "bob", "source_system": "claude_export"}, False),
        ({"customer": "ada"}, False),
        ([], False),
        (b"torn, of ada and cowork", False),
    ],
)
def test_what_came_from_a_source_is_told_by_its_record(line: Any, expected: bool) -> None:
    raw = line if isinstance(line, bytes) else json.dumps(line).encode()
    assert of_sources("ada", ("cowork", "claude_code"))(raw) is expected


def recorded(**fields: Any) -> bytes:
    return json.dumps({"v": 1, "customer": "ada", **fields}).encode()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (recorded(kind="query_run", query_hash="h1"), True),
        (recorded(kind="artifact", query_hash="h1"), True),
        (recorded(kind="insight", provenance_query_hash="h1"), True),
        (recorded(kind="insight", query_hash="h1"), False),
        (recorded(kind="query_run", provenance_query_hash="h1"), False),
        (recorded(kind="query_run", query_hash="h2"), False),
        (recorded(kind="query_run", query_hash="h1", customer="bob"), False),
        (b'{"kind":"event","customer":"ada","query_hash":"h1"}', False),
        (b'{"customer":"ada","query_hash":"h1","template":"x","kind":"event"}', True),
        (b"[]", False),
        (b"torn h1", False),
    ],
)
def test_what_rests_on_queries_is_told_by_their_hashes(line: bytes, expected: bool) -> None:
    assert of_queries("ada", {"h1"})(line) is expected
    assert of_queries("ada", set())(line) is False


# -- in which files

WRITER = "a" * 32
OURS = b'{"customer":"ada"}\n'
THEIRS = b'{"customer":"bob"}\n'
BLANK = b" " * (len(THEIRS) - 1) + b"\n"


def queue_of(root: Path, **files: bytes) -> Path:
    """A queue with these files, by what stands behind the writer in their names."""
    root.mkdir(exist_ok=True)
    for name, data in files.items():
        number, _, ending = name.partition("_")
        (root / f"{WRITER}-{int(number[1:]):06d}{ending.replace('_', '.')}").write_bytes(data)
    return root


def held_by(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix().replace(f"{WRITER}-", ""): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def test_lines_are_blanked_where_they_stand_and_counted(tmp_path: Path) -> None:
    queue = queue_of(
        tmp_path / "queue",
        n1__ndjson=OURS + THEIRS + OURS,
        n2__ndjson=THEIRS + BLANK + THEIRS,
        n3__open_ndjson=THEIRS + THEIRS,
        n4__ndjson=BLANK,
        n5__ndjson=OURS,
        n6__ndjson=OURS + THEIRS[:-1],
    )
    (queue / "mine.ndjson").write_bytes(THEIRS)
    (queue / f"{WRITER}.lock").write_bytes(THEIRS)
    outside = tmp_path / "outside"
    outside.write_bytes(THEIRS)
    (queue / f"{WRITER}-000007.ndjson").symlink_to(outside)
    (queue / "folder").mkdir()
    erased = erase_queue(queue, of_customer("bob"))
    assert erased == ErasedLines(
        lines=7, files={f"{WRITER}-{number:06d}.ndjson" for number in (1, 2, 3, 6)}
    )
    assert held_by(queue) == {
        "000001.ndjson": OURS + BLANK + OURS,
        "000003.open.ndjson": BLANK + BLANK,
        "000004.ndjson": BLANK,
        "000005.ndjson": OURS,
        "000006.ndjson": OURS + BLANK[:-1],
        "mine.ndjson": BLANK,
        f"{WRITER}.lock": THEIRS,
    }
    assert outside.read_bytes() == THEIRS
    assert erase_queue(queue, of_customer("bob")) == ErasedLines()


def test_archived_files_are_named_after_the_last_line_that_is_left(tmp_path: Path) -> None:
    size = len(THEIRS)
    folder = tmp_path / "archive"
    queue_of(
        folder,
        **{
            f"n1_.{2 * size}.ndjson": OURS + THEIRS + OURS,
            f"n2_.{2 * size}.ndjson": OURS + THEIRS + THEIRS,
            f"n3_.{size}.ndjson": THEIRS + THEIRS,
            f"n4_.{size}.ndjson.gz": gzip.compress(OURS + THEIRS),
            f"n5_.{size}.ndjson.gz": gzip.compress(THEIRS + THEIRS),
            "n6_.0.ndjson.gz": gzip.compress(OURS),
            "n7_.0.ndjson.gz": gzip.compress(OURS)[:-5],
            "n8_.0.ndjson": BLANK,
        },
    )
    (folder / "other.ndjson").write_bytes(OURS + THEIRS)
    (folder / "other.gz").write_bytes(gzip.compress(OURS + THEIRS))
    kept = folder / f"{WRITER}-000006.0.ndjson.gz"
    before = kept.stat()
    packed = folder / f"{WRITER}-000004.{size}.ndjson.gz"
    os.utime(packed, (1_700_000_000, 1_700_000_000))
    assert erase_queue(tmp_path, of_customer("bob")) == ErasedLines(lines=10)
    left = held_by(folder)
    unpacked = {
        name: gzip.decompress(data) if name.endswith("gz") else data for name, data in left.items()
    }
    assert unpacked == {
        f"000001.{2 * size}.ndjson": OURS + BLANK + OURS,
        "000002.0.ndjson": OURS + BLANK + BLANK,
        "000004.0.ndjson.gz": OURS + BLANK,
        "000006.0.ndjson.gz": OURS,
        "000008.0.ndjson": BLANK,
        "other.ndjson": OURS + BLANK,
        "other.gz": OURS + BLANK,
    }
    again = folder / f"{WRITER}-000004.0.ndjson.gz"
    assert again.stat().st_mtime == 1_700_000_000
    assert again.read_bytes()[3] & 0x08 == 0
    assert kept.stat().st_ino == before.st_ino, "of which nothing went stands as it is"


def test_a_file_that_cannot_be_unpacked_just_now_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = queue_of(tmp_path / "archive", **{"n1_.0.ndjson.gz": gzip.compress(THEIRS)})

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(erasing.gzip, "open", refuse)
    with pytest.raises(PermissionError):
        erase_queue(tmp_path, of_customer("bob"))
    assert list(held_by(folder)) == ["000001.0.ndjson.gz"]


def test_what_was_erased_is_on_the_disk_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = queue_of(tmp_path / "queue", n1__ndjson=OURS + THEIRS, n2__ndjson=OURS)
    seen: list[bytes] = []
    monkeypatch.setattr(
        erasing.os,
        "fsync",
        lambda _: seen.append((queue / f"{WRITER}-000001.ndjson").read_bytes()),
    )
    erase_queue(queue, of_customer("bob"))
    assert seen == [OURS + BLANK]


def test_lines_of_a_log_that_name_a_customer_go(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"of ada\nof bob\nand bob\nof ada")
    assert erase_log(log, "bob") == 2
    assert log.read_bytes() == b"of ada\n      \n       \nof ada"


def test_lines_are_found_over_the_pieces_in_which_a_file_is_read(tmp_path: Path) -> None:
    """A line that two pieces share, and one that is longer than there may be, which goes in
    parts.
    """
    path = tmp_path / "log"
    filler = b"x" * (1024 * 1024 - 5) + b"\n"
    path.write_bytes(filler + b"of bob, across the edge\n" + b"of ada\n")
    assert erase_log(path, "bob") == 1
    assert path.read_bytes() == filler + b" " * 23 + b"\nof ada\n"
    parts = 4 * MAX_LINE_BYTES // (1024 * 1024) + 1
    long = b"y" * (parts * 1024 * 1024)
    path.write_bytes(b"of ada\n" + long + b" of bob\nof bob\n")
    with path.open("rb") as file:
        found = list(erasing._lines(file))
    assert [offset for offset, _ in found] == [
        0,
        *range(7, found[-1][0] - len(found[-2][1]), MAX_LINE_BYTES),
        found[-1][0],
    ]
    assert b"".join(line for _, line in found[1:-1]) == long + b" of bob"
    assert all(len(line) <= MAX_LINE_BYTES for _, line in found[1:-2])
    assert found[-1] == (7 + len(long) + 8, b"of bob")
    assert erase_log(path, "bob") == 2
    assert b"bob" not in path.read_bytes()
    assert path.stat().st_size == 7 + len(long) + 8 + 7
