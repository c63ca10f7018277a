"""Signed links to cards and the dashboard.

    <base64url of a JSON object> . <base64url of HMAC-SHA256 over it>

The object names what the link opens (`s`: card, dashboard or session; `a`: the artifact), for whom
(`c`: the customer's key), when it was made (`i`, milliseconds) and until when it holds (`x`,
seconds), and the key that signed it (`k`). Keys lie in the state directory, mode 0600, and change
every thirty days; an old one is known until no link that it signed can hold any more.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from cdesk.core.clock import NowNs, format_ts
from cdesk.core.errors import CdeskError, StateDirectoryError
from cdesk.core.home import StateDirectory, write_private
from cdesk.core.identity import customer_key
from cdesk.core.locks import FileLock

Scope = Literal["card", "dashboard", "session"]

LINK_SECONDS: Final = 24 * 3600
"""How long a link holds unless somebody asks for another time."""
MAX_SECONDS: Final = 30 * 24 * 3600
SESSION_SECONDS: Final = 12 * 3600
ROTATION_SECONDS: Final = 30 * 24 * 3600
MAX_TOKEN: Final = 1_000
EVERYTHING: Final = "*"
"""Revokes what was signed before, whatever it opens."""
_LOCK_SECONDS: Final = 5.0


class LinkRefused(CdeskError):
    """A link that opens nothing. `code`: `link_invalid`, `link_expired` or `link_revoked`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Grant:
    """What a valid link opens. `subject` is the artifact, empty for the dashboard."""

    scope: Scope
    subject: str
    customer_key: str
    expires_at: str


@dataclass(frozen=True, slots=True)
class SignedLink:
    """A token and until when it holds (RFC 3339)."""

    token: str
    expires_at: str


class Links:
    """Signs and checks links with the keys of one state directory; safe from several threads and
    processes.
    """

    def __init__(self, home: StateDirectory, *, now_ns: NowNs = time.time_ns) -> None:
        self._path = home.link_keys
        self._lock_path = home.link_keys.with_suffix(".lock")
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._read: tuple[tuple[int, int], dict[str, Any]] | None = None

    def sign(
        self, scope: Scope, *, customer: str, subject: str = "", seconds: int = LINK_SECONDS
    ) -> SignedLink:
        """A token for `customer` that opens `subject` for so many seconds, at most thirty days.

        Raises:
            StateDirectoryError: the keys cannot be read or written.
        """
        now = self._now_ns()
        key = self._newest_key()
        until = now // 10**9 + max(1, min(seconds, MAX_SECONDS))
        body = orjson.dumps(
            {
                "s": scope,
                "a": subject,
                "c": customer_key(customer),
                "i": now // 10**6,
                "x": until,
                "k": key["id"],
            }
        )
        token = f"{_encode(body)}.{_encode(_mac(key, body))}"
        return SignedLink(token, format_ts(until * 10**9))

    def check(self, token: str, scope: Scope, *, subject: str = "") -> Grant:
        """What `token` opens.

        Raises:
            LinkRefused: it is no token of ours, of another scope or subject, expired or revoked.
        """
        claims = self._verified(token)
        if not (
            hmac.compare_digest(str(claims.get("s")).encode(), scope.encode())
            and hmac.compare_digest(str(claims.get("a")).encode(), subject.encode())
        ):
            raise _invalid()
        expires, issued = int(claims["x"]), int(claims["i"])
        revoked = self._document()["revoked"]
        if any(issued <= revoked[name] for name in (subject, EVERYTHING) if name in revoked):
            raise LinkRefused("link_revoked", "this link was revoked; ask for a new one")
        if self._now_ns() >= expires * 10**9:
            raise LinkRefused("link_expired", "this link has expired; ask for a new one")
        return Grant(scope, subject, str(claims["c"]), format_ts(expires * 10**9))

    def revoke(self, subject: str) -> None:
        """No link to `subject` signed until now opens anything any more; EVERYTHING: none at all.

        Raises:
            StateDirectoryError: the keys cannot be written.
        """
        with self._changing() as document:
            document["revoked"][subject] = self._now_ns() // 10**6
            self._write(document)

    # -- keys

    def _verified(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN or token.count(".") != 1:
            raise _invalid()
        first, second = token.split(".")
        try:
            body, given = _decode(first), _decode(second)
            claims = orjson.loads(body)
            key_id = claims["k"]
        except (ValueError, KeyError, TypeError, binascii.Error):
            raise _invalid() from None
        key = next((k for k in self._document()["keys"] if k["id"] == key_id), None)
        # An unknown key costs what a known one does.
        expected = _mac(key or {"secret": "00"}, body)
        if not hmac.compare_digest(expected, given) or key is None:
            raise _invalid()
        return dict(claims)

    def _newest_key(self) -> dict[str, Any]:
        now = self._now_ns() // 10**9
        keys = self._document()["keys"]
        if keys and now - keys[-1]["made_at"] < ROTATION_SECONDS:
            return dict(keys[-1])
        with self._changing() as document:
            keys = document["keys"]
            if not keys or now - keys[-1]["made_at"] >= ROTATION_SECONDS:
                keys.append(
                    {"id": secrets.token_hex(4), "secret": secrets.token_hex(32), "made_at": now}
                )
                oldest = now - ROTATION_SECONDS - MAX_SECONDS
                document["keys"] = [key for key in keys if key["made_at"] > oldest]
                long_ago = (now - MAX_SECONDS) * 1000
                document["revoked"] = {
                    name: at for name, at in document["revoked"].items() if at > long_ago
                }
                self._write(document)
            return dict(document["keys"][-1])

    def _document(self) -> dict[str, Any]:
        """Keys and revocations as they are now; read again only when the file has changed."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return {"keys": [], "revoked": {}}
        except OSError as error:
            raise _unusable(self._path, error.strerror) from None
        version = (status.st_mtime_ns, status.st_ino)
        with self._lock:
            if self._read is None or self._read[0] != version:
                self._read = (version, self._load())
            return self._read[1]

    def _load(self) -> dict[str, Any]:
        try:
            document = orjson.loads(self._path.read_bytes())
            if isinstance(document["keys"], list) and isinstance(document["revoked"], dict):
                return {"keys": document["keys"], "revoked": document["revoked"]}
        except OSError as error:
            raise _unusable(self._path, error.strerror) from None
        except (ValueError, KeyError, TypeError):
            pass
        raise _unusable(self._path, "it is damaged; remove it, and all links with it")

    def _changing(self) -> _Change:
        return _Change(self)

    def _write(self, document: dict[str, Any]) -> None:
        try:
            write_private(self._path, orjson.dumps(document))
        except OSError as error:
            raise _unusable(self._path, error.strerror) from None
        with self._lock:
            self._read = None


class _Change:
    """Alone with the file, whatever other processes do."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._lock = FileLock(links._lock_path)

    def __enter__(self) -> dict[str, Any]:
        deadline = time.monotonic() + _LOCK_SECONDS
        try:
            while not self._lock.acquire():
                if time.monotonic() > deadline:
                    raise _unusable(self._lock.path, "somebody else holds it")
                time.sleep(0.01)
        except OSError as error:
            raise _unusable(self._lock.path, error.strerror) from None
        with self._links._lock:
            self._links._read = None
        known = self._links._document()
        return {"keys": list(known["keys"]), "revoked": dict(known["revoked"])}

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _mac(key: dict[str, Any], body: bytes) -> bytes:
    return hmac.new(bytes.fromhex(key["secret"]), body, hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    """Raises ValueError for what `_encode` would not have written."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _encode(data) != text:
        raise ValueError(text)
    return data


def _invalid() -> LinkRefused:
    return LinkRefused("link_invalid", "this link is not valid; ask for a new one")


def _unusable(path: object, problem: object) -> StateDirectoryError:
    return StateDirectoryError(f"{path} cannot be used ({problem})")
