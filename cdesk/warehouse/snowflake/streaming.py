"""Landing by Snowpipe Streaming: serverless, so that an idle installation costs nothing. Everything
but landing is the plain connector's.

One channel a writer, which is a state directory: a pipe has 2,000 of them. Its offset token is
`<sequence>:<offset>`, the number of a landing and the place of its last line. Snowflake commits
rows and token together, in order. The channel is dropped when the writer closes; after a crash the
next start takes it over, which cuts the old process off.

A token proves no row: the service skips a row that it refuses and moves on. So a batch of which
rows were refused, and lines that were sent before without an answer, go through the plain
connector, which adds what is missing and names what is at fault. `landed_at` is the account's
clock, kept by its distance from ours.
https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-overview
https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-limitations
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from cdesk.contract.catalog import Template
from cdesk.core.backoff import Backoff
from cdesk.core.clock import NowNs
from cdesk.core.config import Settings
from cdesk.core.errors import (
    CdeskError,
    ConfigurationError,
    StateDirectoryError,
    WarehouseUnavailable,
)
from cdesk.core.features import STREAMING
from cdesk.core.home import write_private
from cdesk.state.snapshot import ContextRow
from cdesk.warehouse.batch import LineBatch
from cdesk.warehouse.protocol import (
    LandedLine,
    LandResult,
    QueryOutcome,
    Stretch,
    Warehouse,
)
from cdesk.warehouse.snowflake.bounded import BoundedCalls
from cdesk.warehouse.snowflake.clock import AccountClock
from cdesk.warehouse.snowflake.login import Login, first_line
from cdesk.warehouse.snowflake.sessions import LOADER_ROLE
from cdesk.warehouse.snowflake.snowpipe_sdk import Channel, Client, sdk_client
from cdesk.warehouse.snowflake.times import TICK
from cdesk.warehouse.snowflake.warehouse import SnowflakeWarehouse

PIPE: Final = "LANDING_PIPE"
WRITER_FILE: Final = "writer_id"
_COMMIT_SECONDS: Final = 60.0
_CALL_SECONDS: Final = 20.0
"""How long one call of the SDK may take: without a network its client tries for minutes."""
_VISIBLE_SECONDS: Final = 15.0
"""The longest time after which a commit is believed to be in a query."""
_ATTEMPTS: Final = 3
"""How many landings in a row may break off before one is made without the service: it may be the
lines that it can't take.
"""
_COMMIT_POLLS: Final = Backoff(0.1, 2.0)
_APPEND_ROWS: Final = 5_000
_APPEND_BYTES: Final = 3 * 1024 * 1024
"""Below the 4 MB that one append may hold."""
_REMEMBERED_FILES: Final = 256

T = TypeVar("T")


@dataclass(slots=True)
class _Writer:
    """The one channel of this process."""

    channel: Channel
    sequence: int
    """Of the last landing that was sent."""
    errors: int
    """Rows that the service has refused, all of them dealt with."""
    opened: float
    took_over: bool
    """Whether an earlier process left the channel behind."""


class SnowpipeWarehouse:
    """`Warehouse` that lands by streaming. `land` returns when the rows are committed, so the
    protocol's promise is kept; it takes a few seconds. No call of it hangs without a network.
    """

    dialect = "snowflake"

    def __init__(
        self,
        plain: SnowflakeWarehouse,
        open_client: Callable[[], Client],
        *,
        channel: str,
        now_ns: NowNs = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        commit_seconds: float = _COMMIT_SECONDS,
        call_seconds: float = _CALL_SECONDS,
    ) -> None:
        self._plain = plain
        self._open_client = open_client
        self._channel_name = channel
        self._clock = AccountClock(plain.clock_distance, now_ns=now_ns, monotonic=monotonic)
        self._monotonic = monotonic
        self._sleep = sleep
        self._commit_seconds = commit_seconds
        self._call_seconds = call_seconds
        self._bounded = BoundedCalls("Snowpipe Streaming")
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._writer: _Writer | None = None
        self._committed: dict[str, int] = {}
        """By source file, the greatest offset that this process has seen committed."""
        self._in_doubt: dict[str, int] = {}
        """By source file, the greatest offset that was sent without an answer."""
        self._last: datetime | None = None
        self._broken_off = 0
        """Landings in a row that the service didn't bring to an end."""

    # -- landing

    def land(self, lines: Sequence[LandedLine], *, after: datetime | None = None) -> LandResult:
        """As `Warehouse.land`, but `after` isn't looked at: only a query could tell, and each would
        wake a warehouse.

        Raises:
            WarehouseUnavailable: the commit isn't seen in time; the same lines are sent again.
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
            writer = self._open_writer()  # cuts off what an earlier channel had not committed
            doubtful = [line for line in batch if self._is_in_doubt(line)]
            if doubtful:
                self._plain.land(doubtful)
            fresh = [line for line in batch if not self._is_in_doubt(line)] if doubtful else batch
            if len(fresh) and self._send(writer, fresh, landed_at):
                self._plain.land(fresh)
        except CdeskError as error:
            self._forget()
            if isinstance(error, WarehouseUnavailable):
                self._broken_off += 1
            raise
        except Exception as error:  # noqa: BLE001  # the SDK's, TimeoutError, ValueError: of a client that is given up
            self._forget()
            self._broken_off += 1
            raise WarehouseUnavailable(
                f"Snowpipe Streaming broke off ({first_line(error)}); it is tried again"
            ) from None
        for line in batch:
            self._committed.pop(line.source_file, None)  # so that the last one named is the newest
            self._committed[line.source_file] = line.source_offset
            if self._in_doubt.get(line.source_file, -1) <= line.source_offset:
                self._in_doubt.pop(line.source_file, None)
        while len(self._committed) > _REMEMBERED_FILES:
            self._committed.pop(next(iter(self._committed)))

    def _is_in_doubt(self, line: LandedLine) -> bool:
        return line.source_offset <= self._in_doubt.get(line.source_file, -1)

    def _send(self, writer: _Writer, lines: Sequence[LandedLine], landed_at: datetime) -> bool:
        """Append and wait for the commit; whether the service has refused rows meanwhile."""
        stamp = landed_at.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
        writer.sequence += 1
        for part in _parts(lines):
            rows = [
                {
                    "id": line.id,
                    "kind": line.kind,
                    "payload": line.payload,
                    "source_file": line.source_file,
                    "source_offset": line.source_offset,
                    "landed_at": stamp,
                }
                for line in part
            ]
            for line in part:
                self._in_doubt[line.source_file] = max(
                    line.source_offset, self._in_doubt.get(line.source_file, -1)
                )
            token = offset_token(writer.sequence, part[-1].source_offset)
            self._call(partial(writer.channel.append_rows, rows, end_offset_token=token))
        return self._await_commit(writer, offset_token(writer.sequence, lines[-1].source_offset))

    def _await_commit(self, writer: _Writer, token: str) -> bool:
        deadline = self._monotonic() + self._commit_seconds
        pauses = _COMMIT_POLLS.pauses()
        while True:
            status = self._call(writer.channel.get_channel_status)
            if status.latest_committed_offset_token == token:
                has_refused = status.rows_error_count > writer.errors
                writer.errors = status.rows_error_count
                return has_refused
            if self._monotonic() >= deadline:
                raise WarehouseUnavailable(
                    f"Snowpipe Streaming has not committed within {self._commit_seconds:.0f} s; "
                    "the lines are sent again"
                )
            self._sleep(next(pauses))

    def _open_writer(self) -> _Writer:
        if self._writer is not None:
            return self._writer
        if self._client is None:
            self._client = self._call(self._open_client, abandoned=_close_client)
        client = self._client
        channel, status = self._call(lambda: client.open_channel(self._channel_name))
        token = status.latest_committed_offset_token
        self._writer = _Writer(
            channel,
            parse_sequence(token),
            status.rows_error_count,
            self._monotonic(),
            token is not None,
        )
        return self._writer

    def _call(self, call: Callable[[], T], *, abandoned: Callable[[T], None] = lambda _: None) -> T:
        return self._bounded(call, self._call_seconds, abandoned=abandoned)

    def _stamp(self) -> datetime:
        now = self._clock.now()
        return now if self._last is None or now > self._last else self._last + TICK

    def _forget(self) -> None:
        """After a failure nothing of this client is believed. What it had sent stays in doubt."""
        client, self._client, self._writer = self._client, None, None
        if client is not None:
            with contextlib.suppress(Exception):
                self._call(lambda: _close_client(client))

    def positions(self, source_files: Sequence[str]) -> dict[str, int]:
        """From the table alone, once it shows what was committed a moment ago; or doesn't, since it
        was put back to an older state.
        """
        self._wait_for_an_earlier_writer()
        deadline = self._monotonic() + _VISIBLE_SECONDS
        while True:
            found = self._plain.positions(source_files)
            with self._lock:
                is_behind = any(
                    self._committed.get(name, -1) > found.get(name, -1) for name in source_files
                )
            if not is_behind or self._monotonic() >= deadline:
                return found
            self._sleep(2.0)

    def _wait_for_an_earlier_writer(self) -> None:
        """Take the channel over from a process that crashed, which loses what it had not committed,
        and let the table show what it had.
        """
        with self._lock:
            try:
                writer = self._open_writer()
            except Exception:  # noqa: BLE001  # whatever the SDK raises: landing will say it
                self._forget()
                return
            seconds = writer.opened + _VISIBLE_SECONDS - self._monotonic()
            has_to_wait, writer.took_over = writer.took_over, False
        if has_to_wait and seconds > 0:
            self._sleep(seconds)

    def close(self) -> None:
        """Drop the channel, whose rows are all committed, and give up every connection."""
        with self._lock:
            writer = self._writer
            if writer is not None:
                with contextlib.suppress(Exception):
                    self._call(
                        lambda: writer.channel.close(
                            drop=True, wait_for_flush=True, timeout_seconds=10
                        )
                    )
            self._forget()
        self._plain.close()

    # -- everything else

    def bulk(self) -> AbstractContextManager[Stretch | None]:
        return contextlib.nullcontext()

    def reading(
        self, templates: Sequence[Template] = (), *, cancel: threading.Event | None = None
    ) -> AbstractContextManager[None]:
        return self._plain.reading(templates, cancel=cancel)

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
        whole: bool = False,
    ) -> AbstractContextManager[QueryOutcome]:
        return self._plain.run_template(
            template,
            binds,
            query_tag=query_tag,
            timeout_seconds=timeout_seconds,
            cancel=cancel,
            whole=whole,
        )

    def read_template(
        self,
        template: Template,
        binds: Sequence[object],
        *,
        query_tag: str,
        timeout_seconds: float,
        cancel: threading.Event | None = None,
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        return self._plain.read_template(
            template, binds, query_tag=query_tag, timeout_seconds=timeout_seconds, cancel=cancel
        )

    def explain_template(
        self, template: Template, binds: Sequence[object], *, query_tag: str
    ) -> str:
        return self._plain.explain_template(template, binds, query_tag=query_tag)

    def export_context(self, *, since: str | None) -> Iterator[ContextRow]:
        return self._plain.export_context(since=since)

    def building(self) -> AbstractContextManager[None]:
        return self._plain.building()

    def data_state(self, customer: str | None, *, system: bool) -> str | None:
        return self._plain.data_state(customer, system=system)

    def data_version(self) -> str:
        return self._plain.data_version()


def _close_client(client: Client) -> None:
    with contextlib.suppress(Exception):
        client.close(wait_for_flush=False, timeout_seconds=0)


def channel_name(writer_id: str) -> str:
    """The channel of a writer, on this machine: a copied state directory is another writer."""
    machine = f"{writer_id}:{uuid.getnode():x}"
    return "cdesk-" + hashlib.sha256(machine.encode()).hexdigest()[:32]


def writer_id(home: Path) -> str:
    """The id of the writer that a state directory is, made at its first use.

    Raises:
        StateDirectoryError: it can be neither read nor written.
    """
    path = home / WRITER_FILE
    try:
        with contextlib.suppress(FileNotFoundError):
            if found := path.read_text(encoding="ascii").strip():
                return found
        made = uuid.uuid4().hex
        write_private(path, f"{made}\n".encode("ascii"))
        return made
    except (OSError, UnicodeDecodeError) as error:
        raise StateDirectoryError(f"{path} cannot be used ({error}); remove it") from None


def offset_token(sequence: int, offset: int) -> str:
    return f"{sequence}:{offset}"


def parse_sequence(token: str | None) -> int:
    """The number of the landing that a token belongs to; 0 where it is none of ours."""
    sequence = (token or "").partition(":")[0]
    return int(sequence) if sequence.isdecimal() else 0


def _parts(lines: Sequence[LandedLine]) -> Iterator[list[LandedLine]]:
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


def open_snowflake(settings: Settings) -> Warehouse:
    """Snowflake as the environment has it: streaming where there is a pipe and a key pair for it,
    or when asked for; else the plain connector.

    Raises:
        ConfigurationError: `CDESK_SNOWFLAKE_LANDING` is neither `streaming` nor `connector`.
    """
    environ = settings.environ
    login = Login(environ)
    plain = SnowflakeWarehouse.from_settings(settings, login)
    pipe = environ.get("CDESK_SNOWFLAKE_PIPE")
    wanted = environ.get("CDESK_SNOWFLAKE_LANDING") or (
        "streaming" if pipe and _has_key(login) else "connector"
    )
    if wanted == "connector" or (wanted == "streaming" and not settings.features.has(STREAMING)):
        return plain
    if wanted != "streaming":
        raise ConfigurationError(
            f"CDESK_SNOWFLAKE_LANDING is {wanted!r}; allowed: streaming, connector"
        )
    role = environ.get("CDESK_SNOWFLAKE_PIPE_ROLE") or (
        environ.get("CDESK_SNOWFLAKE_LOADER_ROLE") or LOADER_ROLE
    )
    channel = channel_name(writer_id(settings.home))

    def open_client() -> Client:
        return sdk_client(login, role=role, pipe=pipe or PIPE, name=channel)

    return SnowpipeWarehouse(plain, open_client, channel=channel)


def _has_key(login: Login) -> bool:
    try:
        return bool(login.parameters().get("private_key_file"))
    except (ConfigurationError, ValueError):  # told at the first login
        return False
