"""Access tokens of an authorization server: which count, and whose they are."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from mcp_shim.auth import Identity, Unauthorized
from mcp_shim.transports import http_oauth
from mcp_shim.transports.http_oauth import (
    FETCH_SECONDS,
    KEYS_LAST_SECONDS,
    KEYS_SECONDS,
    MAX_KEYS_BYTES,
    PAUSE_SECONDS,
    IssuerUnavailable,
    OAuthTokens,
    fetch_keys,
)

ISSUER = "https://login.example.com"
AUDIENCE = "https://cdesk.example.com/mcp"
KEY, NEXT_KEY, FOREIGN_KEY = (
    rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(3)
)


def jwks(**keys: rsa.RSAPrivateKey) -> dict[str, Any]:
    return {
        "keys": [
            {**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"}
            for kid, key in keys.items()
        ]
    }


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    whole = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada@example.com", "iat": now, "exp": now + 600}
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


def signed(key: Any = KEY, *, kid: str | None = "one", alg: str = "RS256", **changes: Any) -> str:
    headers = {"kid": kid} if kid else {}
    return jwt.encode(claims(**changes), key, algorithm=alg, headers=headers)


class Clock:
    now = 5_000.0

    def __call__(self) -> float:
        return self.now


class Issuer:
    """What the address of the keys answers, and how often it was asked."""

    def __init__(self) -> None:
        self.document: Any = jwks(one=KEY)
        self.error: Exception | None = None
        self.asked = 0

    def __call__(self) -> dict[str, Any]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        document: dict[str, Any] = self.document
        return document


def verifier(issuer: Callable[[], dict[str, Any]], clock: Clock, claim: str = "sub") -> OAuthTokens:
    return OAuthTokens(
        issuer=ISSUER,
        audience=AUDIENCE,
        jwks_url="https://login.example.com/keys",
        customer_claim=claim,
        fetch=issuer,
        monotonic=clock,
    )


def identify(token: str, claim: str = "sub") -> Identity:
    return asyncio.run(verifier(Issuer(), Clock(), claim).identify(token))


def test_a_token_names_its_customer_and_roles() -> None:
    assert identify(signed()).caller.customer == "ada@example.com"
    assert identify(signed()).caller.roles == frozenset()
    scoped = identify(signed(scope="openid cdesk:analyst other"))
    assert scoped.caller.roles == {"analyst"}
    assert identify(signed(scp=["cdesk:admin"])).caller.roles == {"admin"}
    assert identify(signed(email="x@y"), "email").caller.customer == "x@y"
    assert identify(signed(aud=["else", AUDIENCE])).caller.customer == "ada@example.com"
    renewed = identify(signed(jti="another"))
    assert renewed.token_id == identify(signed()).token_id, "a renewed token goes on"


def with_public_key_as_secret() -> str:
    pem = KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    text = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(claims())}"
    seal = hmac.new(pem, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(seal).rstrip(b'=').decode()}"


NOW = int(time.time())
BAD: dict[str, Callable[[], str]] = {
    "expired": lambda: signed(exp=NOW - 3600),
    "not valid yet": lambda: signed(nbf=NOW + 10 * 365 * 86_400),
    "no expiry": lambda: signed(exp=None),
    "foreign audience": lambda: signed(aud="https://else.example.com"),
    "no audience": lambda: signed(aud=None),
    "foreign issuer": lambda: signed(iss="https://evil.example.com"),
    "issuer with a slash": lambda: signed(iss=f"{ISSUER}/"),
    "no customer": lambda: signed(sub=None),
    "empty customer": lambda: signed(sub=""),
    "control characters": lambda: signed(sub="a\nb"),
    "alg none": lambda: signed(None, alg="none"),
    "HS256 by the public key": with_public_key_as_secret,
    "foreign key under a known id": lambda: signed(FOREIGN_KEY),
    "unknown key": lambda: signed(FOREIGN_KEY, kid="two"),
    "no key id": lambda: signed(kid=None),
    "oversized": lambda: signed(more="x" * 9000),
    "tampered": lambda: signed()[:-8] + "AAAAAAAA",
    "cut": lambda: signed().rpartition(".")[0],
    "no token at all": lambda: "abc",
    "dots": lambda: "..",
    "empty": lambda: "",
}


@pytest.mark.parametrize("what", BAD)
def test_a_token_that_does_not_count_is_refused(what: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        identify(BAD[what]())
    assert "eyJ" not in f"{refused.value} {refused.value.reason}"


def test_clocks_may_differ_by_a_minute() -> None:
    assert identify(signed(exp=int(time.time()) - 30))
    assert identify(signed(nbf=int(time.time()) + 30))


def test_keys_are_rotated_and_withdrawn() -> None:
    async def scenario() -> None:
        issuer, clock = Issuer(), Clock()
        tokens = verifier(issuer, clock)
        await tokens.identify(signed())
        issuer.document = jwks(two=NEXT_KEY)
        with pytest.raises(Unauthorized):
            await tokens.identify(signed(NEXT_KEY, kid="two"))  # it was just fetched
        clock.now += PAUSE_SECONDS + 1
        assert await tokens.identify(signed(NEXT_KEY, kid="two"))
        with pytest.raises(Unauthorized):
            await tokens.identify(signed(jti="after the withdrawal"))

    asyncio.run(scenario())


def test_unknown_keys_do_not_flood_the_issuer() -> None:
    async def scenario() -> None:
        issuer = Issuer()
        tokens = verifier(issuer, Clock())
        for number in range(50):
            with pytest.raises(Unauthorized):
                await tokens.identify(signed(FOREIGN_KEY, kid=f"made up {number}"))
        assert issuer.asked == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "lie",
    [
        TimeoutError(), jwt.exceptions.PyJWKClientConnectionError("down"), {}, {"keys": []}, [], None,
        {"keys": [{"kty": "oct", "kid": "one", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]},
    ],
    ids=str,
)  # fmt: skip
def test_an_issuer_that_is_down_or_lies_lets_nobody_in_and_none_out(lie: Any) -> None:
    def break_(issuer: Issuer) -> None:
        if isinstance(lie, Exception):
            issuer.error = lie
        else:
            issuer.document = lie

    async def from_the_start() -> None:
        issuer = Issuer()
        break_(issuer)
        with pytest.raises((IssuerUnavailable, Unauthorized)):
            await verifier(issuer, Clock()).identify(signed())

    async def later() -> None:
        issuer, clock = Issuer(), Clock()
        tokens = verifier(issuer, clock)
        await tokens.identify(signed())
        issuer.error = TimeoutError()
        clock.now += KEYS_SECONDS + 1
        assert await tokens.identify(signed(jti="known key"))
        clock.now += KEYS_LAST_SECONDS
        with pytest.raises(IssuerUnavailable):
            await tokens.identify(signed(jti="too old a key"))

    asyncio.run(from_the_start())
    asyncio.run(later())


class Document:
    """An answer that comes in these parts."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = [*parts, b""]

    def __enter__(self) -> Document:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read1(self, most: int) -> bytes:
        assert most == MAX_KEYS_BYTES
        return self._parts.pop(0)


def test_keys_are_fetched_as_json_of_a_bounded_size_in_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[Any, float]] = []
    now = [100.0]
    parts: tuple[bytes, ...] = ()

    def urlopen(request: Any, *, timeout: float) -> Document:
        asked.append((request, timeout))
        return Document(*parts)

    monkeypatch.setattr(http_oauth.urllib.request, "urlopen", urlopen)
    monkeypatch.setattr(http_oauth, "time", SimpleNamespace(monotonic=lambda: now[0]))
    parts = (b'{"keys"', b": []}")
    assert fetch_keys("https://issuer.example/keys") == {"keys": []}
    ((request, timeout),) = asked
    assert request.full_url == "https://issuer.example/keys"
    assert request.get_header("Accept") == "application/json"
    assert timeout == FETCH_SECONDS
    parts = (b"[]".ljust(MAX_KEYS_BYTES - 1), b" ")
    assert fetch_keys("https://issuer.example/keys") == []
    parts = (*parts, b" ")
    with pytest.raises(ValueError, match="more than a set of keys"):
        fetch_keys("https://issuer.example/keys")
    times = [100.0, 105.0, 105.0625]
    monkeypatch.setattr(http_oauth, "time", SimpleNamespace(monotonic=lambda: times.pop(0)))
    parts = (b"[", b"]")
    with pytest.raises(TimeoutError, match="the keys do not come"):
        fetch_keys("https://issuer.example/keys")
    assert times == []


class Dishonest(BaseHTTPRequestHandler):
    """Keys that never come to an end, one way or another."""

    def do_GET(self) -> None:
        self.server.asked += 1  # type: ignore[attr-defined]
        self.wfile.write(b"HTTP/1.0 200 OK\r\n" + (b"" if "head" in self.path else b"\r\n"))
        part = b" " * 65_536 if "endless" in self.path else b"x"
        with contextlib.suppress(OSError):
            while not self.server.ended.wait(0.0 if "endless" in self.path else 0.02):  # type: ignore[attr-defined]
                self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def dishonest() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Dishonest) as server:
        server.asked, server.ended = 0, threading.Event()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.ended.set()  # type: ignore[attr-defined]
        server.shutdown()


@pytest.mark.parametrize(("path", "threads"), [("slow", 3), ("endless", 3), ("slow head", 1)])
def test_keys_that_do_not_come_to_an_end_keep_nobody_else_waiting(
    dishonest: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, path: str, threads: int
) -> None:
    """Each try ends, and where a thread cannot be ended there is one, however often it is tried."""
    monkeypatch.setattr("mcp_shim.transports.http_oauth.FETCH_SECONDS", 0.3)
    clock = Clock()
    tokens = OAuthTokens(
        issuer=ISSUER,
        audience=AUDIENCE,
        jwks_url=f"http://127.0.0.1:{dishonest.server_port}/{path.replace(' ', '-')}",
        customer_claim="sub",
        monotonic=clock,
    )

    async def scenario() -> int:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                await asyncio.sleep(0.01)
                beats += 1

        beating = asyncio.create_task(beat())
        for _ in range(3):
            with pytest.raises(IssuerUnavailable):
                await tokens.identify(signed())
            clock.now += PAUSE_SECONDS + 1
        beating.cancel()
        dishonest.ended.set()  # type: ignore[attr-defined]
        return beats

    beats = asyncio.run(scenario())
    assert beats > 3 or path == "endless"  # the loop went on meanwhile; endless is refused at once
    assert dishonest.asked == threads  # type: ignore[attr-defined]


def test_a_checked_token_counts_until_its_expiry_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        tokens = verifier(Issuer(), Clock())
        token = signed(exp=int(time.time()) + 10)
        identity = await tokens.identify(token)
        assert tokens.still_valid(identity)
        later = time.time() + 100
        monkeypatch.setattr(time, "time", lambda: later)
        assert not tokens.still_valid(identity)

    asyncio.run(scenario())
