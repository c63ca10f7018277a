"""A customer's lines go from queue and archive; what others landed is where it was."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import duckdb
import pytest
from landing_table import event, make_landing

from cdesk.core.home import StateDirectory
from cdesk.core.mentions import Mentions
from cdesk.queue.writer import QueueWriter
from cdesk.warehouse.duckdb import DuckDBWarehouse
from uploader.archive import Archive
from uploader.erasing import erase_queue, is_theirs, of_customer
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
