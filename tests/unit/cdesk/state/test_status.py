"""Facts in `worker_status`: typed, and readable across versions."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cdesk.state import facts, status
from cdesk.state.database import open_state
from cdesk.state.facts import KEYS, Fact, KillSwitch, from_json, read_status, write_status
from cdesk.state.status import LastBuild, LastTest, Quarantined


@pytest.fixture
def state(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_state(tmp_path / "state.db")) as connection:
        yield connection


def test_every_kind_has_a_key_of_its_own() -> None:
    kinds = {
        kind
        for module in (facts, status)
        for kind in vars(module).values()
        if isinstance(kind, type)
    }
    assert set(KEYS) == {kind for kind in kinds if issubclass(kind, Fact) and kind is not Fact}
    assert len(set(KEYS.values())) == len(KEYS)


@pytest.mark.parametrize("kind", KEYS, ids=lambda kind: kind.__name__)
def test_a_fact_that_nobody_left_is_one_of_defaults(
    state: sqlite3.Connection, kind: type[Fact]
) -> None:
    found = read_status(state, kind)
    assert found == kind()
    numbers = [one for one in dataclasses.astuple(found) if type(one) in (int, float)]
    assert all(one == 0 for one in numbers), "nothing has been counted"


@pytest.mark.parametrize(
    "fact",
    [
        LastTest(at="2026-01-31T12:00:00.000000Z", seconds=1.5, tests=3, failed=("a", "b")),
        Quarantined(at="2026-01-31T12:00:00.000000Z", lines=2, reasons={"drift": 2}),
        LastBuild(at="2026-01-31T12:00:00.000000Z", status="succeeded", seconds=2.0, nodes=7),
    ],
)
def test_a_fact_comes_back_as_it_was_left(state: sqlite3.Connection, fact: Fact) -> None:
    write_status(state, fact, now="t")
    assert read_status(state, type(fact)) == fact


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, LastTest()),
        ([1], LastTest()),
        ({"tests": 3, "of_a_newer_version": 1}, LastTest(tests=3)),
        ({"tests": "three", "failed": "a", "seconds": 2}, LastTest(seconds=2)),
        ({"tests": True, "failed": ["a"]}, LastTest(failed=("a",))),
        ({"at": None, "tests": 1.5}, LastTest()),
        ({"at": "t", "seconds": "2"}, LastTest(at="t")),
        ({"at": ["t"]}, LastTest()),
        ({"on": 1, "reason": "r"}, KillSwitch(reason="r")),
        ({"on": True, "reason": {"a": 1}, "since": 7}, KillSwitch(on=True, since=7)),  # type: ignore[arg-type]
        ({"reasons": [["a", 1]], "lines": 2}, Quarantined(lines=2)),
        ({"reasons": {"a": 1}}, Quarantined(reasons={"a": 1})),
    ],
)
def test_what_another_version_wrote_is_read_as_far_as_it_is_known(
    value: object, expected: Fact
) -> None:
    assert from_json(type(expected), value) == expected


def test_every_field_has_a_default() -> None:
    for kind in KEYS:
        for field in dataclasses.fields(kind):
            assert field.default is not dataclasses.MISSING or (
                field.default_factory is not dataclasses.MISSING
            ), f"{kind.__name__}.{field.name}"
