"""Lines become batches that are bounded both ways, whichever bound is met first."""

from __future__ import annotations

from pathlib import Path

import orjson
from landing_table import event

from cdesk.contract.records import encode, make_record
from cdesk.queue.files import QueueFile
from uploader.batching import Batcher, Prepared, Reached
from uploader.reading import Block
from uploader.validation import quarantine_id

NAME = f"{'a' * 32}-000001.ndjson"


def batches(lines: list[bytes], *, rows: int, most_bytes: int) -> list[Prepared]:
    """What a batcher makes of a file with these lines."""
    file = QueueFile("a" * 32, 1, True, Path(NAME))
    batcher = Batcher(rows=lambda: rows, most_bytes=most_bytes)
    block = Block(0, [line.rstrip(b"\n") for line in lines], sum(map(len, lines)))
    found = list(batcher.add(file, block))
    rest = batcher.rest()
    return found if rest is None else [*found, rest]


def test_a_batch_has_no_more_rows_than_allowed_however_small_they_are() -> None:
    lines = [event()[1] for _ in range(10)]
    found = batches(lines, rows=4, most_bytes=1 << 40)
    assert [len(batch.ends) for batch in found] == [4, 4, 2]


def test_a_batch_ends_at_its_bytes_however_few_rows_it_has() -> None:
    lines = [event()[1] for _ in range(10)]
    size = len(lines[0])
    assert {len(line) for line in lines} == {size}
    for most_bytes in (3 * size, 3 * size - 1):
        found = batches(lines, rows=1_000, most_bytes=most_bytes)
        assert [len(batch.ends) for batch in found] == [3, 3, 3, 1]
    assert [batch.bytes for batch in found] == [3 * size] * 3 + [size]


def test_batches_hold_every_line_once_at_its_place() -> None:
    lines = [event()[1] for _ in range(7)]
    found = batches(lines, rows=3, most_bytes=1 << 40)
    offsets = [offset for batch in found for offset in batch.batch.offsets]
    assert offsets == [sum(map(len, lines[:index])) for index in range(7)]
    assert [end for batch in found for end in batch.ends] == [*offsets[1:], sum(map(len, lines))]
    assert [id for batch in found for id in batch.batch.ids] == [
        line.split(b'"id":"')[1][:36].decode() for line in lines
    ]
    assert all(batch.files.keys() == {NAME} for batch in found)


def test_blank_lines_of_an_erased_customer_count_to_the_line_after_them() -> None:
    first, second = event()[1], event()[1]
    found = batches([first, b"   \n", b" \n", second, b"  \n", second], rows=2, most_bytes=1 << 40)
    assert [batch.blank for batch in found] == [{1: 2}, {0: 1}]


def file(number: int) -> QueueFile:
    return QueueFile("a" * 32, number, sealed=True, path=Path(str(number)))


def test_each_line_is_a_row_of_its_kind_at_its_place() -> None:
    """Whether the fast check takes it, the contract does, or nothing."""
    id, line = event()
    insight = make_record(
        "insight",
        id="019b76da-a800-7000-8000-000000000001",
        ts="2026-01-31T12:00:00.123456Z",
        customer="ada",
        session_id=None,
        query_tag="cdesk_0a1b2c3d",
        fields={"subject": "s", "metric": "m", "value": 1, "provenance_query_hash": None},
    )
    other = encode(insight)[:-1]
    lines = [line[:-1], other, b"{}", b"", line[:-1]]
    batcher = Batcher(rows=lambda: 100, most_bytes=1 << 40)
    block = Block(10, lines, 10 + sum(len(one) + 1 for one in lines))
    assert list(batcher.add(file(1), block)) == []
    prepared = batcher.rest()
    assert prepared is not None
    name, batch = file(1).name, prepared.batch
    offsets = [10 + sum(len(one) + 1 for one in lines[:place]) for place in range(6)]
    assert batch.offsets == offsets[:-1]
    assert prepared.ends == offsets[1:]
    assert batch.kinds == ["event", "insight", "quarantine", "quarantine", "event"]
    refused = [quarantine_id(name, offset) for offset in offsets[2:4]]
    assert batch.ids == [id, insight["id"], *refused, id]
    assert batch.source_files == [name] * 5
    assert prepared.reasons == {2: "unknown_version", 3: "not_json"}
    assert [orjson.loads(batch.payloads[row])["raw"] for row in (2, 3)] == ["{}", ""]
    assert (batch.payloads[0], batch.payloads[1]) == (line[:-1], other)
    assert prepared.bytes == offsets[-1] - 10
    assert (prepared.torn, prepared.blank, prepared.files) == (set(), {}, {name: file(1)})
    assert batcher.rest() is None


def test_a_line_that_is_torn_or_too_long_is_quarantined_with_what_is_known_of_it() -> None:
    _, line = event()
    batcher = Batcher(rows=lambda: 100, most_bytes=1 << 40)
    long = Block(0, [b"head"], 700, overlong=699)
    torn = Block(700, [line[:-1], line[:-1]], 700 + 2 * len(line) - 1, torn=True)
    both = Block(0, [b"   "], 3, torn=True, overlong=3)
    for number, block in ((1, long), (1, torn), (2, both)):
        assert list(batcher.add(file(number), block)) == []
    prepared = batcher.rest()
    assert prepared is not None
    assert prepared.ends == [700, 700 + len(line), 700 + 2 * len(line) - 1, 3]
    assert prepared.reasons == {0: "too_long", 2: "torn", 3: "torn"}
    assert prepared.torn == {2, 3}
    details = [orjson.loads(prepared.batch.payloads[row]) for row in (0, 2, 3)]
    assert [one["raw"] for one in details] == ["head", line[:-1].decode(), "   "]
    assert details[0]["detail"].startswith("699 bytes")
    assert prepared.bytes == 700 + 2 * len(line) - 1 + 3


def test_the_bound_of_rows_is_asked_for_anew_with_each_batch() -> None:
    bounds = iter([2, 3, 9, 9])
    batcher = Batcher(rows=lambda: next(bounds), most_bytes=1 << 40)
    lines = [event()[1][:-1]] * 7
    size = len(lines[0]) + 1
    found = list(batcher.add(file(1), Block(0, lines, 7 * size)))
    assert [len(one.ends) for one in found] == [2, 3]
    assert list(batcher.add(file(2), Block(0, lines[:1], size))) == []
    rest = batcher.rest()
    assert rest is not None
    assert rest.batch.offsets == [5 * size, 6 * size, 0]
    assert rest.files == {file(1).name: file(1), file(2).name: file(2)}


def test_blank_lines_that_end_a_block_count_to_nothing_here() -> None:
    """The next drain passes them by."""
    batcher = Batcher(rows=lambda: 100, most_bytes=1 << 40)
    line = event()[1][:-1]
    assert list(batcher.add(file(1), Block(0, [line, b"  ", b" "], len(line) + 6))) == []
    assert list(batcher.add(file(1), Block(len(line) + 6, [b" ", line], 2 * len(line) + 9))) == []
    rest = batcher.rest()
    assert rest is not None
    assert rest.blank == {1: 1}
    assert rest.ends == [len(line) + 1, 2 * len(line) + 9]
    only_blank = Batcher(rows=lambda: 100, most_bytes=1 << 40)
    assert list(only_blank.add(file(1), Block(0, [b" "], 2))) == []
    assert only_blank.rest() is None


def test_lines_reach_so_far_in_each_of_their_files() -> None:
    prepared = Prepared(ends=[10, 20, 30, 5, 15, 40], torn={2, 5}, blank={1: 3, 3: 2})
    one, two, three = file(1), file(2), file(3)
    for offset, of in ((0, one), (10, one), (20, one), (0, two), (5, two), (30, three)):
        prepared.batch.append("id", "event", b"{}", of.name, offset)
        prepared.files[of.name] = of
    assert prepared.reached() == [
        Reached(one, 30, 20, 2 + 3),
        Reached(two, 15, 5, 2 + 2),
        Reached(three, 40, 30, 0),
    ]
    assert prepared.reached(1, 4) == [Reached(one, 30, 20, 1 + 3), Reached(two, 5, 0, 1 + 2)]
    assert prepared.reached(2, 3) == [Reached(one, 30, 20, 0)]
    assert prepared.reached(0, 1) == [Reached(one, 10, 0, 1)]
    assert prepared.reached(4) == [Reached(two, 15, 5, 1), Reached(three, 40, 30, 0)]
    assert prepared.reached(3, 3) == []
    assert Prepared().bytes == 0
