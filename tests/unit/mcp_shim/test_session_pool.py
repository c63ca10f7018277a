"""The sessions of an HTTP service: which requests belong to one, in every process, and when it has
ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import pytest

from cdesk.core.errors import StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk.core.identity import Caller
from cdesk.state.access import AccessStore, SessionRow
from mcp_shim import session_pool
from mcp_shim.auth import Identity
from mcp_shim.session import Session
from mcp_shim.session_pool import GRACE_NS, IDLE_NS, SessionPool, session_key
from tests.unit.mcp_shim.desk import NOW_NS, Desk

ADA = Identity(Caller("ada@example.com"), "token-a")
SECOND = 10**9
COLUMNS = "session_key, customer, session_id, started_at, last_used, calls, errors"


class Service:
    """Two processes of one service, with one clock."""

    def __init__(self, desk: Desk, store: AccessStore) -> None:
        self.now = NOW_NS
        self.desk = desk
        self.store = store
        self.pool, self.other = (
            SessionPool(desk.app, store, now_ns=lambda: self.now) for _ in range(2)
        )

    def ended(self) -> list[dict[str, Any]]:
        """What was recorded of sessions that have ended, with whose they are."""
        return [
            {"customer": one["customer"], "id": one["session_id"], **one["feature_json"]}
            for one in self.desk.records("event")
            if one["activity"] == "cdesk.session_ended"
        ]

    def rows(self) -> dict[str, SessionRow]:
        """The sessions of access.db by their keys."""
        with self.store._use() as connection:
            found = connection.execute(f"select {COLUMNS} from sessions")
            return {row[0]: SessionRow(*row) for row in found.fetchall()}


def called(session: Session, error: str | None = None) -> None:
    session.called("get_context", latency_ms=1.0, error_code=error)


@pytest.fixture
def run(state_home: StateDirectory) -> Callable[..., None]:
    def run_test(test: Callable[[Service], Awaitable[None]]) -> None:
        async def body() -> None:
            with (
                closing(AccessStore(state_home.access_db)) as store,
                closing((desk := Desk(state_home)).app),
            ):
                await test(Service(desk, store))

        asyncio.run(body())

    return run_test


def test_a_token_has_one_session_until_it_has_been_idle_for_half_an_hour(
    run: Callable[..., None],
) -> None:
    async def test(service: Service) -> None:
        assert IDLE_NS == 1_800 * SECOND
        first = service.pool.session(ADA, None)
        assert (first.shared, first.begun, first.caller) == (True, False, ADA.caller)
        first.begin(client=None, protocol_version="x")
        called(first)
        called(first, "invalid_argument")
        for _ in range(2):
            service.now += IDLE_NS
            assert service.pool.session(ADA, None) is first
        assert service.ended() == []
        service.now += IDLE_NS + 1
        second = service.pool.session(ADA, None)
        assert second is not first
        assert not second.begun
        assert service.ended() == [
            {
                "customer": "ada@example.com",
                "id": first.recorder.session_id,
                "reason": "idle",
                "duration_ms": 3_600_000,
                "calls": 2,
                "errors": 1,
            }
        ]
        assert service.pool.session(ADA, None) is second

    run(test)


def test_what_names_another_token_or_session_is_another(run: Callable[..., None]) -> None:
    async def test(service: Service) -> None:
        bob = Caller("bob@example.com")
        sessions = [
            service.pool.session(Identity(caller, token), protocol)
            for caller in (ADA.caller, bob)
            for token in ("a", "b")
            for protocol in (None, "p", "q")
        ]
        assert len({one.recorder.session_id for one in sessions}) == 12
        assert len(service.rows()) == 12
        assert service.pool.session(Identity(bob, "b"), "q") is sessions[-1]
        assert session_key(ADA, None) == session_key(ADA, "")
        assert session_key(ADA, None) != session_key(Identity(ADA.caller, "token-"), "a")

    run(test)


def test_roles_are_those_that_the_latest_request_came_with(run: Callable[..., None]) -> None:
    async def test(service: Service) -> None:
        session = service.pool.session(ADA, None)
        analyst = Identity(Caller("ada@example.com", frozenset(("analyst",))), "token-a")
        assert service.pool.session(analyst, None) is session
        assert session.caller.is_analyst
        service.pool.session(ADA, None)
        assert not session.caller.is_analyst

    run(test)


def test_a_session_goes_on_in_another_process(run: Callable[..., None]) -> None:
    async def test(service: Service) -> None:
        here = service.pool.session(ADA, "p")
        service.now += 5 * SECOND
        there = service.other.session(ADA, "p")
        assert there.recorder.session_id == here.recorder.session_id
        assert (here.begun, there.begun) == (False, True), "its beginning is the first one's"
        called(here)
        called(there)
        called(there, "not_found")
        service.now += 5 * SECOND
        service.other.session(ADA, "p")
        service.pool.close()
        await service.other.tick()
        (row,) = service.rows().values()
        assert (row.calls, row.errors) == (3, 1)
        assert (row.started_at, row.last_used) == (NOW_NS, NOW_NS + 10 * SECOND)
        for _ in range(2):
            service.pool.close()
            await service.other.tick()
        assert [*service.rows().values()] == [row], "each use is written once"
        called(here)
        await service.pool.tick()
        assert [one.calls for one in service.rows().values()] == [4]

    run(test)


def test_a_session_that_nobody_has_used_is_ended_by_one_process(run: Callable[..., None]) -> None:
    async def test(service: Service) -> None:
        session = service.pool.session(ADA, None)
        called(session)
        service.other.session(ADA, None)
        service.now += IDLE_NS
        await service.pool.tick()
        assert [*service.pool._entries], "it may still be used"
        service.now += GRACE_NS
        await service.pool.tick()
        assert not service.pool._entries
        assert service.ended() == [], "another process may have seen it meanwhile"
        service.now += 1
        await service.pool.tick()
        await service.other.tick()
        (ended,) = service.ended()
        assert (ended["reason"], ended["calls"], ended["duration_ms"]) == ("idle", 1, 0)
        assert service.rows() == {}

    run(test)


def test_a_client_ends_its_session_with_all_that_happened_in_it(run: Callable[..., None]) -> None:
    async def test(service: Service) -> None:
        session = service.pool.session(ADA, "p")
        called(session, "not_found")
        service.now += 2 * SECOND
        service.pool.session(ADA, "p")
        service.other.session(ADA, "p")
        service.other.end(ADA, "of nobody")
        assert service.ended() == []
        service.pool.end(ADA, "p")
        (ended,) = service.ended()
        assert (ended["reason"], ended["calls"], ended["errors"], ended["duration_ms"]) == (
            "client",
            1,
            1,
            2_000,
        )
        service.other.end(ADA, "p")
        service.pool.end(ADA, "p")
        assert len(service.ended()) == 1
        assert not service.pool._entries
        assert service.pool.session(ADA, "p") is not session

    run(test)


def test_of_many_sessions_the_longest_unused_are_left_to_access_db(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_pool, "MAX_KEPT", 2)

    async def test(service: Service) -> None:
        a, b = service.pool.session(ADA, "a"), service.pool.session(ADA, "b")
        called(b)
        assert service.pool.session(ADA, "a") is a
        c = service.pool.session(ADA, "c")
        assert [*service.pool._entries] == [session_key(ADA, "a"), session_key(ADA, "c")]
        assert service.rows()[session_key(ADA, "b")].calls == 1, "written down before"
        again = service.pool.session(ADA, "b")
        assert again.recorder.session_id == b.recorder.session_id
        assert [*service.pool._entries] == [session_key(ADA, "c"), session_key(ADA, "b")]
        c.context.unsaved = [{"insight_id": "x"}]
        service.pool.session(ADA, "d")
        assert session_key(ADA, "c") in service.pool._entries, "what stands nowhere else is kept"
        assert len(service.pool._entries) == 3
        service.now += IDLE_NS + 1
        await service.pool.tick()
        assert [*service.pool._entries] == [session_key(ADA, "c")]

    run(test)


def test_where_access_db_fails_calls_go_on_and_nothing_is_lost(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(service: Service) -> None:
        def fails(*_: Any, **__: Any) -> Any:
            raise StateDirectoryError("busy " + "x" * 300)

        store = type(service.store)
        session = service.pool.session(ADA, "a")
        called(session)
        with monkeypatch.context() as patch:
            for name in ("join_session", "touch_sessions", "end_sessions"):
                patch.setattr(store, name, fails)
            alone = service.pool.session(ADA, "b")
            assert not alone.begun
            await service.pool.tick()
            service.pool.close()
        said = [one.message for one in caplog.records]
        assert said == [
            "session not shared",
            "sessions not written",
            "sessions not ended",
            "sessions not written",
        ]
        assert {len(one.facts["reason"]) for one in caplog.records} == {200}  # type: ignore[attr-defined]
        await service.pool.tick()
        assert service.rows()[session_key(ADA, "a")].calls == 1, "with the next tick"

    run(test)


def test_much_is_written_in_parts_between_which_others_are_answered(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_pool, "WRITTEN_AT_ONCE", 2)

    async def test(service: Service) -> None:
        parts: list[int] = []
        touch = service.store.touch_sessions

        def seen(uses: Any) -> None:
            parts.append(len(uses))
            touch(uses)

        service.store.touch_sessions = seen  # type: ignore[method-assign]
        for name in "abcde":
            called(service.pool.session(ADA, name))
        ticking = asyncio.create_task(service.pool.tick())
        await asyncio.sleep(0)
        assert parts == [2]
        service.pool.end(ADA, "e")
        await ticking
        assert parts == [2, 1, 2], "that of who went meanwhile was written with its end"

    run(test)
