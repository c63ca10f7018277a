"""Snowpipe Streaming's service and client, as far as `cdesk.warehouse.snowflake.streaming` leans on
them. The promises that this stands for:

- rows of a channel are committed in the order in which they were appended, each append as a whole,
  together with its end offset token;
- a channel's token outlives the client: opening it again, from any process, tells the last
  committed one;
- opening a channel again cuts the earlier handle off, and what it had appended but not committed is
  lost;
- a commit comes some time after the append, and is seen by asking for the channel's status;
- a pipe has at most `limit` channels, and keeps each until it is dropped: past the limit none is
  opened
  (https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-limitations);
- without a network the client's calls don't return for minutes (`hangs`);
- a row that the pipe can't take is left out and counted, and the token moves on (the pipe's
  ON_ERROR = CONTINUE).

What it can't stand for: the service's own latency, throttling, authentication, and how the pipe's
`copy into` reads a row.
"""

# ruff: noqa: ARG002  # the signatures are the SDK's
from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

LIMITS = (
    "https://docs.snowflake.com/en/user-guide/snowpipe-streaming/"
    "snowpipe-streaming-high-performance-limitations"
)


@dataclass
class Status:
    latest_committed_offset_token: str | None
    rows_error_count: int = 0


@dataclass
class StoredChannel:
    name: str
    token: str | None = None
    generation: int = 0
    errors: int = 0


@dataclass
class FakeSnowpipe:
    """The service. `commit` puts rows into the table; `polls` is how many status calls a commit
    takes; `dies` is raised by the next append."""

    commit: Callable[[list[dict[str, Any]]], None]
    polls: int = 2
    dies: list[Exception] = field(default_factory=list)
    stalled: bool = False
    refuses: Callable[[dict[str, Any]], bool] = lambda _: False
    channels: dict[str, StoredChannel] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    limit: int = 2_000
    hangs: threading.Event | None = None
    """While it is not set no call comes back."""
    closed: int = 0

    def client(self) -> FakeClient:
        self.answer()
        return FakeClient(self)

    def answer(self) -> None:
        if self.hangs is not None:
            self.hangs.wait()


class FakeClient:
    def __init__(self, service: FakeSnowpipe) -> None:
        self._service = service

    def open_channel(
        self, channel_name: str, offset_token: str | None = None
    ) -> tuple[FakeChannel, Status]:
        self._service.answer()
        stored = self._service.channels.get(channel_name)
        if stored is None:
            if len(self._service.channels) >= self._service.limit:
                raise RuntimeError(
                    f"ChannelLimitExceeded: the pipe has {self._service.limit} channels [{LIMITS}]"
                )
            stored = self._service.channels[channel_name] = StoredChannel(name=channel_name)
        stored.generation += 1
        self._service.opened.append(channel_name)
        return FakeChannel(self._service, stored), Status(stored.token, stored.errors)

    def close(self, wait_for_flush: bool = True, timeout_seconds: int | None = None) -> None:
        self._service.answer()
        self._service.closed += 1


class FakeChannel:
    def __init__(self, service: FakeSnowpipe, stored: StoredChannel) -> None:
        self._service = service
        self._stored = stored
        self._generation = stored.generation
        self._buffer: list[tuple[list[dict[str, Any]], str | None]] = []
        self._polls = 0

    def append_rows(
        self,
        rows: list[dict[str, Any]],
        start_offset_token: str | None = None,
        end_offset_token: str | None = None,
    ) -> None:
        self._service.answer()
        self._still_open()
        if self._service.dies:
            raise self._service.dies.pop()
        self._buffer.append((rows, end_offset_token))

    def get_channel_status(self) -> Status:
        self._service.answer()
        self._still_open()
        self._polls += 1
        if self._polls >= self._service.polls and not self._service.stalled:
            self._polls = 0
            self._commit()
        return Status(self._stored.token, self._stored.errors)

    def _commit(self) -> None:
        for rows, token in self._buffer:
            taken = [row for row in rows if not self._service.refuses(row)]
            self._service.commit(taken)
            self._stored.errors += len(rows) - len(taken)
            self._stored.token = token
        self._buffer.clear()

    def close(
        self, drop: bool = False, wait_for_flush: bool = True, timeout_seconds: int | None = None
    ) -> None:
        self._service.answer()
        self._still_open()
        if wait_for_flush:
            self._commit()
        if drop:
            del self._service.channels[self._stored.name]
        self._generation = -1

    def _still_open(self) -> None:
        if self._generation != self._stored.generation:
            raise RuntimeError("InvalidChannelError: the channel was opened by another client")
