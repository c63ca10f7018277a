"""Tokens of an OAuth 2 authorization server: this service as the resource server that MCP
prescribes (RFC 9728 metadata, RFC 6750 answers). Signatures and claims are checked by PyJWT.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
import urllib.request
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from http.client import HTTPException
from typing import Any, Final

import jwt

from cdesk.core.checks import check_customer
from cdesk.core.config import HttpSettings
from cdesk.core.errors import CdeskError
from cdesk.core.identity import ADMIN, ANALYST, Caller
from mcp_shim.auth import Identity, Unauthorized

logger = logging.getLogger(__name__)

ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "EdDSA",
)
"""Signatures that a public key proves: never `none`, never a shared secret."""
SCOPES: Final = {"cdesk:analyst": ANALYST, "cdesk:admin": ADMIN}
"""Scope → the role that it gives."""
SKEW_SECONDS: Final = 60
"""How far the clocks of issuer and service may differ."""
MAX_TOKEN: Final = 8_192
FETCH_SECONDS: Final = 5.0
MAX_KEYS_BYTES: Final = 1024 * 1024
KEYS_SECONDS: Final = 300.0
"""The issuer's keys are fetched again after this time."""
KEYS_LAST_SECONDS: Final = 3600.0
"""So long they count while the issuer does not answer."""
PAUSE_SECONDS: Final = 5.0
"""Between two fetches because of a key that is not known, or after one that failed."""
KNOWN_SECONDS: Final = 60.0
"""A token that was checked is not checked again for so long, nor beyond its expiry."""
MAX_KNOWN: Final = 20_000


class IssuerUnavailable(CdeskError):
    """The issuer's keys cannot be had: nobody can be told from an impostor."""

    code = "issuer_unavailable"


def fetch_keys(url: str) -> Any:
    """The JSON document at `url`.

    Raises:
        OSError, HTTPException: it cannot be had, or takes longer than FETCH_SECONDS. ValueError: it
        is no JSON, or too large.
    """
    until = time.monotonic() + FETCH_SECONDS
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    document = bytearray()
    with urllib.request.urlopen(request, timeout=FETCH_SECONDS) as answer:
        while part := answer.read1(MAX_KEYS_BYTES):
            document += part
            if len(document) > MAX_KEYS_BYTES:
                raise ValueError("more than a set of keys")
            if time.monotonic() > until:  # a byte now and then is no answer
                raise TimeoutError("the keys do not come")
    return json.loads(document)


class OAuthTokens:
    """Access tokens as JWT, by issuer, audience, expiry and the issuer's keys (JWKS). Used on the
    event loop; keys are fetched in a thread, once for all that wait.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        jwks_url: str,
        customer_claim: str,
        fetch: Callable[[], Any] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._claim = customer_claim
        self._fetch: Callable[[], Any] = fetch or partial(fetch_keys, jwks_url)
        self._thread: asyncio.Future[Any] | None = None
        """The fetch that runs, or could not be waited for any longer."""
        self._monotonic = monotonic
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = self._tried = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self._known: OrderedDict[bytes, tuple[Identity, float]] = OrderedDict()

    @classmethod
    def of(cls, http: HttpSettings) -> OAuthTokens:
        return cls(
            issuer=http.issuer,
            audience=http.audience or f"{http.url}/mcp",
            jwks_url=http.jwks_url,
            customer_claim=http.customer_claim,
        )

    async def identify(self, token: str) -> Identity:
        """Whose token it is.

        Raises:
            Unauthorized: it does not count.
            IssuerUnavailable: that cannot be told now.
        """
        if len(token) > MAX_TOKEN:
            raise Unauthorized("token_too_long")
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and self._monotonic() < known[1] and self.still_valid(known[0]):
            return known[0]
        identity = await self._check(token)
        self._known[digest] = (identity, self._monotonic() + KNOWN_SECONDS)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return identity

    def still_valid(self, identity: Identity) -> bool:
        return identity.expires_at is not None and time.time() < identity.expires_at + SKEW_SECONDS

    async def _check(self, token: str) -> Identity:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise Unauthorized("malformed_token") from None
        if header.get("alg") not in ALGORITHMS:
            raise Unauthorized("algorithm_not_allowed")
        key = await self._key(header.get("kid"))
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self._audience,
                issuer=self._issuer,
                leeway=SKEW_SECONDS,
                options={"require": ["exp", "iss", "aud", self._claim]},
            )
        except jwt.PyJWTError as error:
            raise Unauthorized(type(error).__name__) from None
        return self._identity(claims)

    def _identity(self, claims: dict[str, Any]) -> Identity:
        customer = claims[self._claim]
        try:
            check_customer(customer)
        except ValueError:
            raise Unauthorized("no_customer") from None
        given = claims.get("scope", claims.get("scp", ""))
        scopes = given.split() if isinstance(given, str) else given
        scopes = [one for one in scopes if isinstance(one, str)] if isinstance(scopes, list) else []
        roles = frozenset(SCOPES[one] for one in scopes if one in SCOPES)
        subject = f"{self._issuer}\0{claims.get('sub', customer)}"
        token_id = (
            "jwt-" + hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        )
        return Identity(Caller(customer, roles), token_id, float(claims["exp"]))

    async def _key(self, kid: object) -> jwt.PyJWK:
        """The issuer's key of that id. One that is not known may be new."""
        if not isinstance(kid, str):
            raise Unauthorized("no_key_id")
        age = self._monotonic() - self._fetched
        if age > KEYS_LAST_SECONDS or kid not in self._keys:
            await self._renew(wait=True)
        elif age > KEYS_SECONDS:
            await self._renew(wait=False)
        if self._monotonic() - self._fetched > KEYS_LAST_SECONDS:
            raise IssuerUnavailable(f"{self._issuer} does not give its keys")
        if kid not in self._keys:
            raise Unauthorized("unknown_key")
        return self._keys[kid]

    async def _renew(self, *, wait: bool) -> None:
        """Fetch the keys, unless that was just tried. The old ones stay where it fails."""
        if self._fetching is None:
            if self._monotonic() - self._tried < PAUSE_SECONDS:
                return
            self._tried = self._monotonic()
            self._fetching = asyncio.create_task(self._fetch_keys())
        if wait:
            await asyncio.shield(self._fetching)

    async def _fetch_keys(self) -> None:
        try:
            if self._thread is None:  # else an issuer that never ends keeps one thread, not all
                self._thread = asyncio.ensure_future(asyncio.to_thread(self._fetch))
            fetching = self._thread
            async with asyncio.timeout(2 * FETCH_SECONDS):
                await asyncio.wait([fetching])
            self._thread = None
            document = fetching.result()
            keys = jwt.PyJWKSet.from_dict(document).keys
            self._keys = {
                key.key_id: key
                for key in keys
                if key.key_id is not None
                and key.key_type in ("RSA", "EC", "OKP")
                and key.public_key_use in (None, "sig")
            }
            self._fetched = self._monotonic()
        except (
            jwt.PyJWTError,
            OSError,
            HTTPException,
            AttributeError,
            TypeError,
            ValueError,
        ) as error:
            facts = {"issuer": self._issuer, "error": type(error).__name__}
            logger.warning("keys not fetched", extra={"facts": facts})
        finally:
            self._fetching = None
