"""Lines become batches that are bounded both ways, whichever bound is met first."""

from __future__ import annotations

from pathlib import Path

from landing_table import event

from cdesk.queue.files import QueueFile
from uploader.batching import Batcher, Prepared
from uploader.reading import Block

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
