"""Histories with lines as long as those that people have published."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import orjson
import pytest

from uploader.sources.sample import write_history
from uploader.sources.sample_lengths import PublishedLengths

END = datetime(2026, 11, 1, tzinfo=UTC)


def _size(value: object) -> int:
    return len(orjson.dumps(value))


def test_tool_results_are_as_long_as_published_and_the_client_keeps_them_again() -> None:
    lengths = PublishedLengths(random.Random(3))
    results = [lengths.result("Read", lengths.given("Read", "/home/ada/a.py")) for _ in range(400)]

    contents, details = zip(*results, strict=True)

    assert 2_300 < median(map(_size, contents)) < 3_300  # published: 2,747
    assert 1_800 < median(map(_size, details)) < 2_700  # published: 2,157
    assert max(map(_size, contents)) > 40_000
    assert {len(one["file"]["content"]) > 0 for one in details} == {True}


@pytest.mark.parametrize("tool", ["Bash", "Edit", "Grep", "Write", "WebSearch"])
def test_each_tool_is_given_what_it_takes_and_answers(tool: str) -> None:
    lengths = PublishedLengths(random.Random(3))
    given = lengths.given(tool, "/home/ada/a.py")

    text, detail = lengths.result(tool, given)

    assert text
    assert detail
    assert ("file_path" in given) == (tool in ("Edit", "Write"))


def test_an_edit_keeps_the_file_before_it_and_its_patch() -> None:
    lengths = PublishedLengths(random.Random(5))
    given = lengths.given("Edit", "/home/ada/a.py")

    _, detail = lengths.result("Edit", given)

    assert len(detail["originalFile"]) > len(given["old_string"])
    assert {line[0] for line in detail["structuredPatch"][0]["lines"]} <= set(" +-")


def test_a_history_is_the_same_each_time_and_longer_than_a_short_one(
    tmp_path: Path,
) -> None:
    truths = [
        write_history(
            tmp_path / str(place), responses=60, days=3, end=END, seed=4, published_lengths=True
        )
        for place in range(2)
    ]
    short = write_history(tmp_path / "short", responses=60, days=3, end=END, seed=4)

    assert truths[0] == truths[1]
    assert truths[0].bytes / truths[0].lines > 2 * short.bytes / short.lines
    lines = itertools.chain.from_iterable(
        path.read_bytes().splitlines() for path in (tmp_path / "0").rglob("*.jsonl")
    )
    assert all(isinstance(orjson.loads(line), dict) for line in lines)
