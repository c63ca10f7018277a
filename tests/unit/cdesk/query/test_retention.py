"""Which results are asked about together, and what happens to those that may go."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cdesk.artifacts.records import Artifact, get_artifact, keep_artifact
from cdesk.contract.catalog import MAX_STRING, Parameter, Template
from cdesk.core.errors import ArtifactStoreError, NotFound, QueueWriteError
from cdesk.core.identity import ANALYST, Caller
from cdesk.query.retention import _batches, hold_artifact, sweep_artifacts
from cdesk.state.database import open_state

TAG = "cdesk_00000001"


def template(max_length: int | None) -> Template:
    return Template(
        "expired_artifacts",
        "For tests.",
        "caller",
        (
            Parameter("other", "string", required=False, default="", max_length=1),
            Parameter("uris", "string", max_length=max_length),
        ),
        "select ?",
        ("uris", "is_analyst"),
        {},
        "0" * 16,
    )


class Store:
    """In place of the artifact store: results by URI, and some that can't be removed now."""

    def __init__(self, *uris: str, held_open: Sequence[str] = ()) -> None:
        self.stored = {uri: f"id of {uri}" for uri in uris}
        self.held_open = held_open
        self.holds: list[tuple[str, bool]] = []
        self.refuses = False

    def artifact_ids(self) -> Iterator[tuple[str, str]]:
        return iter([(id, uri) for uri, id in self.stored.items()])

    def remove_abandoned(self) -> int:
        return 10

    def remove(self, uri: str) -> bool:
        if uri in self.held_open:
            return False
        return self.stored.pop(uri, None) is not None

    def exists(self, uri: str) -> bool:
        return uri in self.stored

    def hold(self, uri: str, *, on: bool) -> None:
        if self.refuses:
            raise ArtifactStoreError("not now")
        self.holds.append((uri, on))


class Warehouse:
    """Says of some results that they have expired."""

    def __init__(self, *expired: str) -> None:
        self.expired = expired
        self.asked: list[tuple[list[Any], dict[str, Any]]] = []

    def read_template(
        self, _: Template, binds: Any, **options: Any
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        self.asked.append((list(binds), options))
        return ["uri"], [(uri,) for uri in self.expired if f",{uri}," in binds[0]]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_state(tmp_path / "state.db")) as connection:
        yield connection


def known(state: sqlite3.Connection, uri: str, *, held: bool = False) -> Artifact:
    made = Artifact(f"id of {uri}", "ada", uri, "parquet", "0" * 16, 1, 1, False, "", "", held)
    keep_artifact(state, made)
    return made


def left(state: sqlite3.Connection) -> list[str]:
    return [row[0] for row in state.execute("select uri from artifacts order by uri")]


def sweep(state: sqlite3.Connection, store: Store, warehouse: Warehouse, **given: Any) -> int:
    caller = Caller("system", frozenset((ANALYST,)))
    asked = template(given.get("max_length"))
    return sweep_artifacts(state, store, warehouse, asked, caller, query_tag=TAG)  # type: ignore[arg-type]


def test_what_the_warehouse_says_has_expired_goes_and_everything_else_stays(
    state: sqlite3.Connection,
) -> None:
    store = Store("a", "b", "c", "held", "open", held_open=["open"])
    for uri in ("a", "b", "c", "open"):
        known(state, uri)
    known(state, "held", held=True)
    warehouse = Warehouse("a", "c", "held", "open")
    assert sweep(state, store, warehouse) == 12, "two, and ten that nobody writes to any more"
    assert list(store.stored) == ["b", "held", "open"]
    assert left(state) == ["b", "held", "open"], "one that is held open waits for the next sweep"
    [(binds, options)] = warehouse.asked
    assert binds == [",a,b,c,held,open,", True]
    assert (options["query_tag"], options["timeout_seconds"]) == (TAG, 30.0)


def test_what_was_not_asked_about_stays_whatever_comes_back(state: sqlite3.Connection) -> None:
    class Wrong(Warehouse):
        def read_template(
            self, *given: Any, **options: Any
        ) -> tuple[list[str], list[tuple[Any, ...]]]:
            del given, options
            return ["uri"], [("another",), ("a",)]

    store = Store("a")
    store.exists = lambda uri: uri == "another"  # type: ignore[method-assign]
    known(state, "another")
    assert sweep(state, store, Wrong()) == 11
    assert left(state) == ["another"]


def test_nothing_is_asked_where_nothing_is_stored(state: sqlite3.Connection) -> None:
    warehouse = Warehouse()
    assert sweep(state, Store(), warehouse) == 10
    assert warehouse.asked == []


def test_more_than_one_question_has_room_for_is_asked_in_several(
    state: sqlite3.Connection,
) -> None:
    store, warehouse = Store("a", "b", "c"), Warehouse("a", "b", "c")
    assert sweep(state, store, warehouse, max_length=5) == 13
    assert [binds[0] for binds, _ in warehouse.asked] == [",a,b,", ",c,"]


@pytest.mark.parametrize(
    ("longest", "batches"),
    [(1, ["aa", "bb", "c"]), (6, ["aa", "bb c"]), (7, ["aa bb", "c"]), (9, ["aa bb c"])],
)
def test_a_question_is_no_longer_than_its_parameter_may_be(
    longest: int, batches: list[str]
) -> None:
    stored = [(f"id of {uri}", uri) for uri in ("aa", "bb", "c")]
    found = list(_batches(iter(stored), longest))
    assert [" ".join(ids) for ids in found] == batches
    assert all(id == f"id of {uri}" for ids in found for uri, id in ids.items())
    fitting = [f",{','.join(ids)}," for ids in found if len(ids) > 1]
    assert all(len(text) <= longest for text in fitting)


def test_a_template_that_names_no_length_has_that_of_any_text(state: sqlite3.Connection) -> None:
    uris = [f"{n:03}" + "x" * 400 for n in range(3)]
    warehouse = Warehouse()
    sweep(state, Store(*uris), warehouse)
    lengths = [len(binds[0]) for binds, _ in warehouse.asked]
    assert max(lengths) <= MAX_STRING
    assert len(lengths) == -(-3 * 404 // MAX_STRING)


# -- holds


class Proof:
    """In place of the records: which holds they say."""

    def __init__(self, *, full: bool = False) -> None:
        self.said: list[bool] = []
        self.full = full

    def held(self, artifact: Artifact) -> None:
        if self.full:
            raise QueueWriteError("no space left")
        self.said.append(artifact.legal_hold)


@pytest.mark.parametrize("fails", [None, "the store", "the record"])
def test_a_hold_is_of_the_store_of_the_record_and_of_what_is_known_here(
    state: sqlite3.Connection, fails: str | None
) -> None:
    made, store, proof = known(state, "u"), Store("u"), Proof(full=fails == "the record")
    store.refuses = fails == "the store"

    def hold(on: bool, customer: str = "ada") -> Artifact:
        return hold_artifact(
            state,
            store,  # type: ignore[arg-type]
            proof,  # type: ignore[arg-type]
            made.artifact_id,
            customer=customer,
            on=on,
        )

    if fails is not None:
        with pytest.raises((ArtifactStoreError, QueueWriteError)):
            hold(True)
        assert get_artifact(state, made.artifact_id, customer="ada") == made
        assert proof.said == []
        assert store.holds == ([] if fails == "the store" else [("u", True)])
        return
    for on in (True, False):
        held = hold(on)
        assert held.legal_hold is on
        assert get_artifact(state, made.artifact_id, customer="ada") == held
    assert (store.holds, proof.said) == ([("u", True), ("u", False)], [True, False])
    with pytest.raises(NotFound):
        hold(True, "bob")
