"""Tokens and sessions of the HTTP service, in one file of all its processes."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cdesk.core.errors import NewerVersion, NotFound, StateDirectoryError
from cdesk.state.access import SCHEMA_VERSION, AccessStore, SessionRow, Token, expiry

NOW = "2026-01-31T12:00:00.000000Z"
BEFORE, LATER = "2026-01-31T11:59:59.999999Z", "2026-01-31T12:00:00.000001Z"
SESSION = SessionRow("key", "ada", "s1", started_at=100, last_used=100)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AccessStore]:
    with closing(AccessStore(tmp_path / "access.db")) as store:
        yield store


def test_a_token_is_found_by_all_of_its_text_and_by_nothing_less(store: AccessStore) -> None:
    ada, bob = store.add_tokens(["ada", "bob"], roles=["b", "a", "b"], expires_at=None, now=NOW)
    found = store.find_token(ada.token, now=NOW)
    assert found is not None
    assert (found.id, found.customer, found.roles) == (ada.id, "ada", ("a", "b"))
    head, _, secret = ada.token.rpartition(ada.id)
    for wrong in (ada.token[:-1], ada.token + "x", f"{head}{bob.id}{secret}", "", "x" * 10_000):
        assert store.find_token(wrong, now=NOW) is None


@pytest.mark.parametrize(
    ("expires_at", "is_valid"), [(None, True), (LATER, True), (NOW, False), (BEFORE, False)]
)
def test_a_token_counts_until_it_expires(
    store: AccessStore, expires_at: str | None, is_valid: bool
) -> None:
    (made,) = store.add_tokens(["ada"], expires_at=expires_at, now=BEFORE)
    assert (store.find_token(made.token, now=NOW) is not None) == is_valid
    assert store.is_valid(made.id, now=NOW) == is_valid
    assert store.has_valid_token(now=NOW) == is_valid


def test_a_revoked_or_unknown_token_may_not_go_on(store: AccessStore) -> None:
    ada, bob = store.add_tokens(["ada", "bob"], expires_at=None, now=BEFORE)
    store.revoke([ada.id], now=NOW)
    assert not store.is_valid(ada.id, now=LATER)
    assert store.find_token(ada.token, now=LATER) is None
    assert store.is_valid(bob.id, now=LATER)
    assert not store.is_valid("nobody", now=LATER)
    store.revoke([bob.id], now=NOW)
    assert not store.has_valid_token(now=LATER)


def test_a_session_goes_on_until_it_has_been_idle_for_longer_than_allowed(
    store: AccessStore,
) -> None:
    assert store.join_session(SESSION, idle_ns=10) == (SESSION, None)
    again = replace(SESSION, session_id="s2", started_at=110, last_used=110)
    assert store.join_session(again, idle_ns=10) == (SESSION, None)
    later = replace(again, started_at=111, last_used=111)
    assert store.join_session(later, idle_ns=10) == (later, SESSION)
    assert store.count_sessions() == 1


def test_what_happened_in_a_session_adds_up_and_a_late_word_takes_nothing_back(
    store: AccessStore,
) -> None:
    store.join_session(SESSION, idle_ns=10)
    store.touch_sessions([(150, 3, 1, "key", "s1"), (140, 2, 0, "key", "s1")])
    store.touch_sessions([(900, 9, 9, "key", "another")])
    assert store.end_session("key") == replace(SESSION, last_used=150, calls=5, errors=1)
    assert store.end_session("key") is None


def test_sessions_that_nobody_uses_are_ended_once(store: AccessStore) -> None:
    for number in range(3):
        row = replace(SESSION, key=f"k{number}", last_used=100 + number)
        store.join_session(row, idle_ns=0)
    assert [row.key for row in store.end_sessions(unused_since=102)] == ["k0", "k1"]
    assert store.end_sessions(unused_since=102) == []
    assert store.count_sessions() == 1


def test_a_secret_is_made_once_and_kept(store: AccessStore, tmp_path: Path) -> None:
    first = store.secret("links")
    assert len(first) == 32
    with closing(AccessStore(tmp_path / "access.db")) as other:
        assert other.secret("links") == first
        assert other.secret("pages") != first


def test_no_token_is_kept_in_words_that_open_anything(store: AccessStore, tmp_path: Path) -> None:
    (made,) = store.add_tokens(["ada"], expires_at=None, now=NOW)
    store.close()
    with closing(sqlite3.connect(tmp_path / "access.db")) as connection:
        kept = str(connection.execute("select * from tokens").fetchall())
    assert made.token.rpartition("_")[2] not in kept


def test_tokens_are_listed_as_they_are_kept(store: AccessStore) -> None:
    (late,) = store.add_tokens(["ada"], expires_at=LATER, now=NOW)
    zoe, bob = store.add_tokens(["zoe", "bob"], roles=["admin"], expires_at=None, now=BEFORE)
    store.revoke([zoe.id], now=NOW)
    assert store.tokens() == [
        Token(bob.id, "bob", ("admin",), BEFORE, None, None),
        Token(zoe.id, "zoe", ("admin",), BEFORE, None, NOW),
        Token(late.id, "ada", (), NOW, LATER, None),
    ]
    assert [token.state(NOW) for token in store.tokens()] == ["valid", "revoked", "valid"]
    assert [token.state(LATER) for token in store.tokens()] == ["valid", "revoked", "expired"]


def test_tokens_are_revoked_all_or_none_and_keep_when(store: AccessStore) -> None:
    ada, bob = store.add_tokens(["ada", "bob"], expires_at=None, now=BEFORE)
    with pytest.raises(NotFound, match=r"no token 'unknown'.*cdesk token list"):
        store.revoke([ada.id, "unknown", bob.id], now=NOW)
    assert [token.revoked_at for token in store.tokens()] == [None, None]
    store.revoke([ada.id], now=NOW)
    store.revoke([ada.id, bob.id], now=LATER)
    assert [token.revoked_at for token in store.tokens()] == [NOW, LATER]


def test_a_file_that_cannot_be_used_lets_nobody_in_and_one_put_in_its_place_does(
    tmp_path: Path,
) -> None:
    path = tmp_path / "access.db"
    path.write_bytes(b"this is no database" * 100)
    with closing(AccessStore(path)) as store:
        for asks in (store.tokens, lambda: store.is_valid("x", now=NOW), store.count_sessions):
            with pytest.raises(StateDirectoryError, match=r"cannot be used .*cdesk doctor"):
                asks()
        path.unlink()
        assert store.count_sessions() == 0


def test_one_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "access.db"
    with closing(AccessStore(path)) as store:
        store.add_tokens(["ada"], expires_at=None, now=NOW)
    with closing(AccessStore(path)) as store:
        assert len(store.tokens()) == 1, "opened a second time"
    if sys.platform != "win32":
        assert path.stat().st_mode & 0o077 == 0, "nobody else reads it"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
        assert connection.execute("pragma user_version").fetchone() == (SCHEMA_VERSION,)
        connection.execute(f"pragma user_version = {SCHEMA_VERSION + 1}")
    with closing(AccessStore(path)) as store, pytest.raises(NewerVersion, match="upgrade"):
        store.tokens()


def test_any_thread_of_a_process_may_ask(store: AccessStore) -> None:
    (made,) = store.add_tokens(["ada"], expires_at=None, now=NOW)
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(store.is_valid(made.id, now=NOW)))
    thread.start()
    thread.join()
    assert found == [True]


def test_a_token_expires_after_so_many_days() -> None:
    assert expiry(1.5, now_ns=0) == "1970-01-02T12:00:00.000000Z"
