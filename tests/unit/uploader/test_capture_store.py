"""What capture remembers: each thing comes back as it was kept, and a new file knows what was told
before it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from cdesk.core.errors import StateDirectoryError
from uploader.capture_store import CaptureStore, Known, LastRead, Place, fact_of, told_content
from uploader.sources.facts import Fact

Record = dict[str, Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "capture.db"


@pytest.fixture
def store(path: Path) -> Iterator[CaptureStore]:
    with closing(CaptureStore(path)) as own:
        yield own


def known(key: str, activity: str = "user_asked", due: str | None = None) -> Known:
    fact = Fact(activity, key, "2026-03-01T09:00:00.000000Z", (True, "s1"), {"length": 3})
    return Known(fact, {"user_asked": ["content", 1, "ts", "cowork"]}, due)


def state(one: Known) -> tuple[Any, ...]:
    fact = one.fact
    said = (
        fact.activity,
        fact.key,
        fact.ts,
        fact.session,
        fact.features,
        fact.blocks,
        fact.request,
    )
    return (*said, one.made, one.due)


def test_it_is_a_private_database_that_others_can_read_meanwhile(
    store: CaptureStore, path: Path
) -> None:
    if os.name != "nt":
        assert path.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("pragma journal_mode").fetchone() == ("wal",)
    store.put_setting("a", "b")
    with closing(CaptureStore(path)) as again:
        assert again.setting("a") == "b"


def test_what_is_no_database_says_what_to_do(path: Path) -> None:
    path.write_bytes(b"no database" * 100)
    with pytest.raises(StateDirectoryError, match=r"capture\.db cannot be used .* removed, it is"):
        CaptureStore(path)
    with pytest.raises(StateDirectoryError):
        CaptureStore(path.parent / "no" / "folder.db")


def test_places_come_back(store: CaptureStore) -> None:
    first = Place(1, 2, 3, 4, 5, b"tail", {"session": "s1", "excluded": True})
    second = Place(6, 7, 8, 9, 10, b"", {})
    store.put_place("/a", first)
    store.put_place("/b", first)
    store.put_place("/b", second)
    assert store.places() == {"/a": first, "/b": second}
    store.forget_places()
    assert store.places() == {}


def test_activities_come_back_whole(store: CaptureStore) -> None:
    whole = known("k1", due="2026-03-01T10:00:00.000000Z")
    whole.fact.blocks = {"b": ["text", 1, "ts"]}
    whole.fact.request = "q1"
    ones = [whole, known("k2"), known("k1", "tool_called")]
    store.put([one.row() for one in ones])
    asked = [("user_asked", "k1"), ("tool_called", "k1"), ("user_asked", "k3")]
    found = store.load(asked)
    assert {key: state(one) for key, one in found.items()} == {
        key: state(one) for key, one in zip(asked, (whole, ones[2]), strict=False)
    }
    assert store.load([]) == {}
    changed = known("k1")
    store.put([changed.row()])
    assert state(store.load([("user_asked", "k1")])["user_asked", "k1"]) == state(changed)
    fact = fact_of("a", "k", orjson.dumps(["ts", [0, "s"], {}, None, None]))
    assert (fact.session, fact.blocks, fact.request) == ((False, "s"), {}, None)
    assert whole.row()[3] == b'{"user_asked":["content",1,"ts","cowork"]}'


@pytest.mark.parametrize("notes_keys", [False, True])
def test_many_are_asked_for_at_once(store: CaptureStore, notes_keys: bool) -> None:
    if notes_keys:
        store.note_keys()
    keys = [("user_asked", f"k{number}") for number in range(1_001)]
    store.put([known(key).row() for _, key in keys])
    assert store.load([*keys, ("tool_called", "k1")]).keys() == set(keys)
    store.put_requests([(f"q{number}", "m:1") for number in range(1_001)])
    asked = [f"q{number}" for number in range(1_002)]
    assert store.answered_requests(asked) == set(asked[:-1])
    assert store.answered_requests([]) == set()


def test_who_asks_for_many_notices_in_memory_what_is_known(store: CaptureStore) -> None:
    """Only in a store that knows nothing: of others it doesn't know what there is."""
    store.note_keys()
    store.put([known("k1").row()])
    assert store.load([("user_asked", "k1")]).keys() == {("user_asked", "k1")}
    statements: list[str] = []
    store._connection.set_trace_callback(statements.append)
    assert store.load([("user_asked", "k2")]) == {}
    assert statements == [], "nobody is asked"
    store.note_keys()
    assert store.load([("user_asked", "k1")]).keys() == {("user_asked", "k1")}
    assert store.load([("user_asked", "k2")]) == {}
    assert len(statements) >= 2


def test_what_is_due_comes_earliest_first(store: CaptureStore) -> None:
    dues = {"k1": "2026-03-01T10:00:02", "k2": "2026-03-01T10:00:01", "k3": None, "k4": "2027"}
    store.put([known(key, due=due).row() for key, due in dues.items()])
    now = "2026-03-01T10:00:02"
    assert store.due(now, 10) == [("user_asked", "k2"), ("user_asked", "k1")]
    assert store.due(now, 1) == [("user_asked", "k2")]


def test_a_request_keeps_the_answer_that_it_was_first_of(store: CaptureStore) -> None:
    store.put_requests([("q1", "m:1"), ("q1", "m:2")])
    assert store.answered_requests(["q1", "q2"]) == {"q1"}


def test_counts_add_up_and_come_greatest_first(store: CaptureStore) -> None:
    store.add_counts("unknown", {"b": 1, "a": 1, "c": 2})
    store.add_counts("unknown", {"b": 4})
    store.add_counts("records", {"x": 7})
    assert list(store.counts("unknown").items()) == [("b", 5), ("c", 2), ("a", 1)]
    assert store.counts("records") == {"x": 7}
    assert store.counts("left_out") == {}


def test_settings_come_back(store: CaptureStore) -> None:
    assert store.setting("a") is None
    store.put_setting("a", "1")
    store.put_setting("a", "2")
    assert store.setting("a") == "2"


def test_it_says_when_something_was_read_last_and_whether_looking_fails(
    store: CaptureStore,
) -> None:
    assert store.last_read() == LastRead()
    store.put_setting("error", "since then: no space")
    assert store.last_read().error == "since then: no space"
    store.put_seen(None)
    assert store.last_read() == LastRead()
    seen = LastRead("2026-03-01T10:00:00.000000Z", {"/a": "Permission denied"})
    store.put_setting("error", "again")
    store.put_seen(seen)
    assert store.last_read() == seen
    store.put_seen(None)
    assert store.last_read() == seen, "nothing was read since"
    store.put_setting("error", "")
    assert store.last_read().error is None


def test_conversations_are_counted(store: CaptureStore) -> None:
    assert store.sessions() == 0
    store.put([known(key, "session_started").row() for key in ("s1", "s2")])
    store.put([known("k").row()])
    assert store.sessions() == 2


def test_whose_histories_are_in_it_is_kept(store: CaptureStore) -> None:
    for customer in ("ada", "bob", "ada"):
        store.note_owner(customer)
    rows = store._connection.execute("select name, value from settings order by name").fetchall()
    assert rows == [("customer:ada", "yes"), ("customer:bob", "yes")]


def test_a_look_is_kept_whole_or_not_at_all(store: CaptureStore) -> None:
    def broken() -> None:
        with store.transaction():
            store.put([known("k").row()])
            store.put_place("/a", Place(1, 2, 3, 4, 5, b"", {}))
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert (store.places(), store.load([("user_asked", "k")])) == ({}, {})
    with store.transaction():
        store.put([known("k").row()])
    assert store.load([("user_asked", "k")])


def test_two_at_once_wait_for_each_other(store: CaptureStore) -> None:
    (waits,) = store._connection.execute("pragma busy_timeout").fetchone()
    assert waits == 10_000


# -- what was told before it


def event(id_: str, length: int, ts: str = "t1") -> Record:
    return {
        **{"kind": "event", "id": id_, "session_id": "s1", "feature_json": {"length": length}},
        **{"ts": ts, "source_system": "cowork"},
    }


def revision(replaces: str, number: int, length: int) -> Record:
    return {
        **{"kind": "revision", "replaces": replaces, "revision": number, "session_id": "s1"},
        "feature_json": {"length": length},
    }


def test_a_new_store_notes_what_was_told_and_its_latest_revision(store: CaptureStore) -> None:
    assert store.knows_told, "until it is known that nothing was"
    store.restore(
        lambda: [
            event("a", 1),
            event("a", 9, "t9"),
            event("b", 2),
            {"kind": "insight", "session_id": None, "feature_json": None},
            revision("a", 2, 5),
            revision("a", 1, 4),
            revision("c", 1, 7),
        ]
    )
    assert store.knows_told
    assert store.told("a") == [told_content("s1", {"length": 5}), 2, "t1", "cowork"]
    assert store.told("b") == [told_content("s1", {"length": 2}), 0, "t1", "cowork"]
    assert store.told("c") is None


def test_it_is_asked_once_and_only_where_nothing_is_known(store: CaptureStore) -> None:
    asked: list[bool] = []

    def earlier() -> list[Record]:
        asked.append(True)
        return []

    store.restore(earlier)
    assert (len(asked), store.knows_told, store.told("a")) == (1, False, None)
    store.restore(earlier)
    assert len(asked) == 1, "it has been asked"


def test_a_store_that_knows_activities_asks_nobody(store: CaptureStore) -> None:
    store.put([known("k").row()])

    def earlier() -> list[Record]:
        raise AssertionError

    store.restore(earlier)
    assert not store.knows_told


def test_a_warehouse_that_fails_meanwhile_is_asked_again(store: CaptureStore) -> None:
    def fails() -> Iterator[Record]:
        yield event("a", 1)
        raise KeyError

    with pytest.raises(KeyError):
        store.restore(fails)
    store.restore(lambda: [event("b", 2)])
    assert (store.told("a"), store.told("b")) == (
        None,
        [told_content("s1", {"length": 2}), 0, "t1", "cowork"],
    )
