"""Landing by Snowpipe Streaming: serverless, so that an idle installation costs nothing. Everything
but landing is the plain connector's.

One channel a queue file, its offset token the place of the last line that it has taken:
`<source_file>:<offset>`. Snowflake commits rows and token together, in order, so after a crash the
channel says where to go on. But a token proves no row: the service skips a row that it refuses and
moves on, and a landing that was put back to an older state leaves the token where it is. So what
comes again although the
token covers it, and a batch of which rows were refused, goes through the plain connector's MERGE:
it adds what is missing, and names what is at fault. `landed_at` is the account's clock, kept by its
distance from ours.
https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-overview
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Final, Protocol

from cdesk.contract.catalog import Template
from cdesk.core.backoff import Backoff
from cdesk.core.clock import NowNs
from cdesk.core.config import Settings
from cdesk.core.errors import CdeskError, ConfigurationError, WarehouseError, WarehouseUnavailable
from cdesk.state.snapshot import ContextRow
from cdesk.warehouse.batch import LineBatch
from cdesk.warehouse.protocol import LandedLine, LandResult, QueryOutcome, Warehouse
from cdesk.warehouse.snowflake.clock import AccountClock
from cdesk.warehouse.snowflake.login import Login, first_line
from cdesk.warehouse.snowflake.sessions import LOADER_ROLE
from cdesk.warehouse.snowflake.warehouse import SnowflakeWarehouse

PIPE: Final = "LANDING_PIPE"
_COMMIT_SECONDS: Final = 60.0
_VISIBLE_SECONDS: Final = 15.0
"""The longest time after which a commit is believed to be in a query."""
_ATTEMPTS: Final = 3
"""So often in a row a landing may break off before one is made without the service: it may be the
lines that it can't take.
"""
_COMMIT_POLLS: Final = Backoff(0.1, 2.0)
_APPEND_ROWS: Final = 5_000
_APPEND_BYTES: Final = 3 * 1024 * 1024
"""Below the 4 MB that one append may hold."""
_MAX_CHANNELS: Final = 64
_TICK: Final = timedelta(microseconds=1)


class ChannelStatus(Protocol):
    @property
    def latest_committed_offset_token(self) -> str | None: ...
    @property
    def rows_error_count(self) -> int: ...


class Channel(Protocol):
    """What is used of the SDK's StreamingIngestChannel."""

    def append_rows(
        self,
        rows: list[dict[str, Any]],
        start_offset_token: str | None = None,
        end_offset_token: str | None = None,
    ) -> Any: ...
    def get_channel_status(self) -> ChannelStatus: ...
    def close(
        self, drop: bool = False, wait_for_flush: bool = True, timeout_seconds: int | None = None
    ) -> None: ...


class Client(Protocol):
    """What is used of the SDK's StreamingIngestClient."""

    def open_channel(
        self, channel_name: str, offset_token: str | None = None
    ) -> tuple[Channel, ChannelStatus]: ...
    def close(self, wait_for_flush: bool = True, timeout_seconds: int | None = None) -> None: ...


@dataclass(slots=True)
class _OpenChannel:
    channel: Channel
    committed: int
    """The greatest offset that the token covers; -1 where there is none."""
    errors: int
    """Rows that the service has refused, all of them dealt with."""


class SnowpipeWarehouse:
    """`Warehouse` that lands by streaming. `land` returns when the rows are committed, so the
    protocol's promise is kept; it takes a few seconds."""

    dialect = "snowflake"

    def __init__(
        self,
        plain: SnowflakeWarehouse,
        open_client: Callable[[], Client],
        *,
        now_ns: NowNs = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        commit_seconds: float = _COMMIT_SECONDS,
    ) -> None:
        self._plain = plain
        self._open_client = open_client
        self._clock = AccountClock(plain.clock_distance, now_ns=now_ns, monotonic=monotonic)
        self._monotonic = monotonic
        self._sleep = sleep
        self._commit_seconds = commit_seconds
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._channels: dict[str, _OpenChannel] = {}
        """By source file."""
        self._last: datetime | None = None
        self._broken_off = 0
        """Landings in a row that the service didn't bring to an end."""

    # -- landing

    def land(self, lines: Sequence[LandedLine], *, after: datetime | None = None) -> LandResult:
        """Raises WarehouseUnavailable when the commit isn't seen in time: the same lines are sent
        again.

        `after` isn't looked at: only a query could tell, and each would wake a warehouse.
        `positions` tells what a landing that was put back lacks, and those lines find their way
        although the channel's token covers them.
        """
        del after
        batch = LineBatch.of(lines)
        with self._lock:
            previous, landed_at = self._last, self._stamp()
            self._last = landed_at
            if self._broken_off >= _ATTEMPTS:
                self._last = max(landed_at, self._plain.land(batch).landed_at)
                self._broken_off = _ATTEMPTS - 1
            else:
                self._stream(batch, landed_at)
                self._broken_off = 0
        return LandResult(rows=len(batch), landed_at=landed_at, previous=previous)

    def _stream(self, batch: LineBatch, landed_at: datetime) -> None:
        try:
            files = [
                (name, list(group), self._channel(name))
                for name, group in groupby(batch, key=lambda line: line.source_file)
            ]
            covered = [
                line
                for _, lines, known in files
                for line in lines
                if line.source_offset <= known.committed
            ]
            if covered:
                self._plain.land(covered)
            fresh = [
                (name, [line for line in lines if line.source_offset > known.committed])
                for name, lines, known in files
            ]
            waiting = [(name, lines) for name, lines in fresh if lines]
            for name, lines in waiting:
                self._append(name, lines, landed_at)
            refused = [
                line for name, lines in waiting if self._await_commit(name, lines) for line in lines
            ]
            if refused:
                self._plain.land(refused)
        except CdeskError as error:
            self._forget()
            if isinstance(error, WarehouseUnavailable):
                self._broken_off += 1
            raise
        except Exception as error:  # noqa: BLE001  # the SDK's errors, TimeoutError, ValueError: all of a client that is given up
            self._forget()
            self._broken_off += 1
            raise WarehouseUnavailable(
                f"Snowpipe Streaming broke off ({first_line(error)}); it is tried again"
            ) from None

    def _append(self, source_file: str, lines: list[LandedLine], landed_at: datetime) -> None:
        channel = self._channels[source_file].channel
        stamp = landed_at.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
        for part in _parts(lines):
            channel.append_rows(
                [
                    {
                        "id": line.id,
                        "kind": line.kind,
                        "payload": line.payload,
                        "source_file": line.source_file,
                        "source_offset": line.source_offset,
                        "landed_at": stamp,
                    }
                    for line in part
                ],
                start_offset_token=offset_token(source_file, part[0].source_offset),
                end_offset_token=offset_token(source_file, part[-1].source_offset),
            )

    def _await_commit(self, source_file: str, lines: list[LandedLine]) -> bool:
        """Until the token covers `lines`; whether the service has refused rows meanwhile."""
        known = self._channels[source_file]
        deadline = self._monotonic() + self._commit_seconds
        pauses = _COMMIT_POLLS.pauses()
        while True:
            status = known.channel.get_channel_status()
            known.committed = parse_offset_token(source_file, status.latest_committed_offset_token)
            if known.committed >= lines[-1].source_offset:
                has_refused = status.rows_error_count > known.errors
                known.errors = status.rows_error_count
                return has_refused
            if self._monotonic() >= deadline:
                raise WarehouseUnavailable(
                    f"Snowpipe Streaming has not committed within {self._commit_seconds:.0f} s; the lines are sent again"
                )
            self._sleep(next(pauses))

    def _channel(self, source_file: str) -> _OpenChannel:
        found = self._channels.get(source_file)
        if found is not None:
            return found
        if self._client is None:
            self._client = self._open_client()
        if len(self._channels) >= _MAX_CHANNELS:  # the oldest file is sealed and landed by now
            oldest = next(iter(self._channels))
            self._channels.pop(oldest).channel.close(
                drop=False, wait_for_flush=True, timeout_seconds=10
            )
        channel, status = self._client.open_channel(channel_name(source_file))
        committed = parse_offset_token(source_file, status.latest_committed_offset_token)
        self._channels[source_file] = _OpenChannel(channel, committed, status.rows_error_count)
        return self._channels[source_file]

    def _stamp(self) -> datetime:
        now = self._clock.now()
        return now if self._last is None or now > self._last else self._last + _TICK

    def _forget(self) -> None:
        """After a failure nothing of this client is believed: the next landing asks the channels
        anew.
        """
        client, self._client = self._client, None
        self._channels.clear()
        if client is not None:
            with contextlib.suppress(Exception):
                client.close(wait_for_flush=False, timeout_seconds=0)

    def positions(self, source_files: Sequence[str]) -> dict[str, int]:
        """From the table alone, once it shows what was committed a moment ago; or doesn't, since it
        was put back to an older state.
        """
        deadline = self._monotonic() + _VISIBLE_SECONDS
        while True:
            found = self._plain.positions(source_files)
            with self._lock:
                is_behind = any(
                    known.committed > found.get(name, -1)
                    for name, known in self._channels.items()
                    if name in source_files
                )
            if not is_behind or self._monotonic() >= deadline:
                return found
            self._sleep(2.0)

    # -- everything else

    def bulk(self) -> AbstractContextManager[None]:
        return self._plain.bulk()

    def reading(self, *, cancel: threading.Event | None = None) -> AbstractContextManager[None]:
        return self._plain.reading(cancel=cancel)

    def last_landing(self) -> datetime | None:
        return self._plain.last_landing()

    def run_template(
        self,
        template: Template,
        binds: Sequence[object],
        *,
        query_tag: str,
        timeout_seconds: float,
        cancel: threading.Event | None = None,
    ) -> AbstractContextManager[QueryOutcome]:
        return self._plain.run_template(
            template, binds, query_tag=query_tag, timeout_seconds=timeout_seconds, cancel=cancel
        )

    def explain_template(
        self, template: Template, binds: Sequence[object], *, query_tag: str
    ) -> str:
        return self._plain.explain_template(template, binds, query_tag=query_tag)

    def export_context(self, *, since: str | None) -> Iterator[ContextRow]:
        return self._plain.export_context(since=since)

    def data_version(self) -> str:
        return self._plain.data_version()

    def close(self) -> None:
        with self._lock:
            self._forget()
        self._plain.close()


def channel_name(source_file: str) -> str:
    """One channel a queue file: a file has one writer, and a channel keeps order."""
    return "cdesk-" + hashlib.sha256(source_file.encode()).hexdigest()[:32]


def offset_token(source_file: str, offset: int) -> str:
    return f"{source_file}:{offset}"


def parse_offset_token(source_file: str, token: str | None) -> int:
    """The offset in a token of this file; -1 where nothing is committed.

    Raises:
        WarehouseError: the token is another file's, so the channel is not the one that it should
        be.
    """
    if token is None:
        return -1
    name, _, offset = token.rpartition(":")
    if name != source_file or not offset.isdigit():
        raise WarehouseError(
            f"channel {channel_name(source_file)} holds a token that isn't of {source_file}; drop the channel"
        )
    return int(offset)


def _parts(lines: list[LandedLine]) -> Iterator[list[LandedLine]]:
    part: list[LandedLine] = []
    size = 0
    for line in lines:
        weight = len(line.payload.encode("utf-8")) + 200
        if part and (len(part) >= _APPEND_ROWS or size + weight > _APPEND_BYTES):
            yield part
            part, size = [], 0
        part.append(line)
        size += weight
    if part:
        yield part


# -- the SDK


def open_snowflake(settings: Settings) -> Warehouse:
    """Snowflake as the environment has it: streaming where there is a key pair for it, else, or
    when asked for, the plain connector.

    Raises:
        ConfigurationError: `CDESK_SNOWFLAKE_LANDING` is neither `streaming` nor `connector`.
    """
    environ = settings.environ
    login = Login(environ)
    plain = SnowflakeWarehouse.from_settings(settings, login)
    wanted = environ.get("CDESK_SNOWFLAKE_LANDING") or (
        "streaming" if _has_key(login) else "connector"
    )
    if wanted == "connector":
        return plain
    if wanted != "streaming":
        raise ConfigurationError(
            f"CDESK_SNOWFLAKE_LANDING is {wanted!r}; allowed: streaming, connector"
        )
    role = environ.get("CDESK_SNOWFLAKE_LOADER_ROLE") or LOADER_ROLE
    return SnowpipeWarehouse(plain, lambda: sdk_client(login, role))


def _has_key(login: Login) -> bool:
    try:
        return bool(login.parameters().get("private_key_file"))
    except (ConfigurationError, ValueError):  # told at the first login
        return False


def sdk_client(login: Login, role: str) -> Client:
    """The official SDK's client for the landing pipe, for the connection that `login` has. It takes
    a key pair; other credentials land by the plain connector.

    Raises:
        ConfigurationError: no key pair, or the SDK is not installed. WarehouseUnavailable: the
        login failed.
    """
    found = login.parameters()
    account, user, key = (
        str(found.get(name) or "") for name in ("account", "user", "private_key_file")
    )
    if not (account and user and key):
        raise ConfigurationError(
            "Snowpipe Streaming needs an account, a user and a private key (SNOWFLAKE_PRIVATE_KEY_PATH, or private_key_file in "
            "connections.toml); or set CDESK_SNOWFLAKE_LANDING=connector"
        )
    passphrase = found.get("private_key_file_pwd")
    properties = {
        "account": account,
        "user": user,
        "role": role,
        "url": f"https://{found.get('host') or account + '.snowflakecomputing.com'}:443",
        "private_key": _private_key(
            Path(key).expanduser(), str(passphrase) if passphrase else None
        ),
    }
    with standard_output_kept():
        try:
            from snowflake.ingest.streaming import StreamingIngestClient  # type: ignore[import-untyped]
        except ImportError:
            raise ConfigurationError(
                "the Snowpipe Streaming SDK is missing; run: pip install 'cdesk[snowflake]'"
            ) from None
        client: Client = StreamingIngestClient(
            client_name=f"cdesk-{os.getpid()}",
            db_name=login.database,
            schema_name=login.schema,
            pipe_name=PIPE,
            properties=properties,
        )
    return client


def _private_key(path: Path, passphrase: str | None) -> str:
    """The key as the SDK wants it: PKCS #8 in PEM, unencrypted, in memory only. Read at each
    opening, so a rotated key is taken up.
    """
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_private_key(
            path.read_bytes(), passphrase.encode() if passphrase else None
        )
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"the private key {path.name} cannot be read ({first_line(error)}); check SNOWFLAKE_PRIVATE_KEY_PATH or connections.toml"
        ) from None
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@contextlib.contextmanager
def standard_output_kept() -> Iterator[None]:
    """What native code writes to descriptor 1 meanwhile goes to standard error: standard output may
    carry a protocol.

    The SDK's logger says hello on import. Its level is turned down, too, unless the environment
    says otherwise.
    """
    os.environ.setdefault("SS_LOG_LEVEL", "warn")
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # a process without standard output
        yield
        return
    try:
        target = 2 if _is_open(2) else os.open(os.devnull, os.O_WRONLY)
        os.dup2(target, 1)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
