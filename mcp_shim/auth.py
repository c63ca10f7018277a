"""Who asks over HTTP: the bearer token of a request, and the caller that it stands for. Nothing
else of a request says whose data it is about.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from cdesk.core.clock import NowNs, format_ts
from cdesk.core.errors import CdeskError
from cdesk.core.identity import Caller
from cdesk.state.access import TOKEN_PREFIX, AccessStore


class Unauthorized(CdeskError):
    """Nobody whom the service knows. `reason` is for the log: the caller is told no more than that
    the token does not count.
    """

    code = "unauthorized"

    def __init__(self, reason: str) -> None:
        super().__init__("unauthorized: a valid bearer token is needed")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller, and `token_id`: which credential of theirs, the same for all its requests.
    `expires_at`: seconds since the epoch, where the credential itself says so.
    """

    caller: Caller
    token_id: str
    expires_at: float | None = None


class Verifier(Protocol):
    """Knows one kind of token."""

    async def identify(self, token: str) -> Identity:
        """Whose token it is. Raises Unauthorized."""
        ...

    def still_valid(self, identity: Identity) -> bool:
        """Whether an identity from `identify` may go on."""
        ...


class StaticTokens:
    """Tokens of `cdesk token add`. Each request looks the token up, so a revoked one counts no
    more in any process from the next request on.
    """

    def __init__(self, store: AccessStore, *, now_ns: NowNs = time.time_ns) -> None:
        self._store = store
        self._now_ns = now_ns

    async def identify(self, token: str) -> Identity:
        found = self._store.find_token(token, now=format_ts(self._now_ns()))
        if found is None:
            raise Unauthorized("unknown_token")
        return Identity(Caller(found.customer, frozenset(found.roles)), found.id)

    def still_valid(self, identity: Identity) -> bool:
        return self._store.is_valid(identity.token_id, now=format_ts(self._now_ns()))


class EitherToken:
    """Static tokens, known by how they begin, and those of an issuer."""

    def __init__(self, static: StaticTokens, issued: Verifier) -> None:
        self._static = static
        self._issued = issued

    async def identify(self, token: str) -> Identity:
        ours: Verifier = self._static if token.startswith(TOKEN_PREFIX) else self._issued
        return await ours.identify(token)

    def still_valid(self, identity: Identity) -> bool:
        ours: Verifier = self._static if identity.expires_at is None else self._issued
        return ours.still_valid(identity)


def bearer_token(values: list[str]) -> str:
    """The token in the Authorization headers of a request. Raises Unauthorized."""
    if not values:
        raise Unauthorized("no_token")
    if len(values) > 1:
        raise Unauthorized("several_tokens")
    scheme, _, token = values[0].partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token or not token.isascii() or " " in token:
        raise Unauthorized("malformed_header")
    return token
