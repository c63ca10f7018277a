"""Who a bearer token stands for: how it has to be sent, and which of two kinds it is."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from cdesk.core.clock import format_ts
from cdesk.core.home import StateDirectory
from cdesk.core.identity import Caller
from cdesk.state.access import TOKEN_PREFIX, AccessStore
from mcp_shim.auth import EitherToken, Identity, StaticTokens, Unauthorized, bearer_token
from tests.unit.mcp_shim.desk import NOW_NS, at


@pytest.mark.parametrize(
    "header", ["Bearer abc", "bearer abc", "BEARER  abc  ", "Bearer abc="], ids=repr
)
def test_a_token_stands_behind_its_scheme(header: str) -> None:
    assert bearer_token([header]).startswith("abc")
    assert " " not in bearer_token([header])


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], "no_token"),
        (["Bearer a", "Bearer a"], "several_tokens"),
        ([""], "malformed_header"),
        (["Bearer"], "malformed_header"),
        (["Bearer "], "malformed_header"),
        (["Bearer  "], "malformed_header"),
        (["Bearer a b"], "malformed_header"),
        (["Bearer \u00e9"], "malformed_header"),
        (["Basic abc"], "malformed_header"),
        (["abc"], "malformed_header"),
    ],
)
def test_a_header_that_holds_no_token_is_refused(headers: list[str], reason: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        bearer_token(headers)
    assert refused.value.reason == reason
    assert str(refused.value) == "unauthorized: a valid bearer token is needed"


def test_a_token_of_ours_is_its_customers_until_it_expires_or_is_revoked(
    state_home: StateDirectory,
) -> None:
    now = NOW_NS
    with closing(AccessStore(state_home.access_db)) as store:
        tokens = StaticTokens(store, now_ns=lambda: now)
        (made,) = store.add_tokens(["ada"], roles=("analyst",), expires_at=at(10), now=at(0))
        identity = asyncio.run(tokens.identify(made.token))
        assert identity == Identity(Caller("ada", frozenset(("analyst",))), made.id)
        assert tokens.still_valid(identity)
        now += 11 * 10**9
        assert not tokens.still_valid(identity)
        (other,) = store.add_tokens(["ada"], roles=(), expires_at=None, now=at(0))
        store.revoke([other.id], now=format_ts(now))
        for gone in (made.token, other.token, f"{TOKEN_PREFIX}unknown"):
            with pytest.raises(Unauthorized) as refused:
                asyncio.run(tokens.identify(gone))
            assert refused.value.reason == "unknown_token"


def test_whose_a_token_is_says_the_one_who_gave_it_out() -> None:
    class Known:
        def __init__(self, name: str, expires_at: float | None) -> None:
            self.identity = Identity(Caller(name), name, expires_at)
            self.asked: list[str] = []

        async def identify(self, token: str) -> Identity:
            self.asked.append(token)
            return self.identity

        def still_valid(self, identity: Identity) -> bool:
            self.asked.append(identity.token_id)
            return self.identity is identity

    ours, theirs = Known("ours", None), Known("theirs", 5.0)
    either = EitherToken(ours, theirs)  # type: ignore[arg-type]
    for token, known in ((f"{TOKEN_PREFIX}x", ours), ("ey.x", theirs)):
        identity = asyncio.run(either.identify(token))
        assert identity is known.identity
        assert either.still_valid(identity)
        assert known.asked == [token, identity.token_id]
