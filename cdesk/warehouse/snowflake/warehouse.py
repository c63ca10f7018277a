"""Snowflake behind the engine protocol, over the plain connector, by which everything can be done.

Snowpipe Streaming (`cdesk.warehouse.snowflake.streaming`) takes the place of this landing by
default.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

from cdesk.contract.catalog import Template
from cdesk.core.clock import NowNs
from cdesk.core.config import Settings
from cdesk.state.snapshot import ContextRow
from cdesk.warehouse.protocol import LandedLine, LandResult, QueryOutcome, Stretch
from cdesk.warehouse.snowflake.landing import ConnectorLoader
from cdesk.warehouse.snowflake.login import Login
from cdesk.warehouse.snowflake.queries import Reader
from cdesk.warehouse.snowflake.sessions import (
    LOADER_ROLE,
    LOADER_SESSION,
    QUERY_WAREHOUSE,
    READER_ROLE,
    READER_SESSION,
    SessionPool,
)


class SnowflakeWarehouse:
    """`Warehouse` on `CLAUDE_LOGS.ACTIVITIES`. Safe to use from several threads: a connection
    serves one at a time.
    """

    dialect = "snowflake"

    def __init__(
        self,
        login: Login,
        *,
        reader_role: str = READER_ROLE,
        loader_role: str = LOADER_ROLE,
        warehouse: str = QUERY_WAREHOUSE,
        now_ns: NowNs = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._readers = SessionPool(login, reader_role, warehouse, READER_SESSION, monotonic)
        self._loaders = SessionPool(login, loader_role, warehouse, LOADER_SESSION, monotonic)
        self._loader = ConnectorLoader(self._loaders, now_ns=now_ns)
        self._reader = Reader(self._readers, monotonic=monotonic)

    @classmethod
    def from_settings(cls, settings: Settings, login: Login | None = None) -> SnowflakeWarehouse:
        """From the environment as the settings hold it; nothing is connected yet."""
        environ = settings.environ
        return cls(
            login or Login(environ),
            reader_role=environ.get("CDESK_SNOWFLAKE_READER_ROLE") or READER_ROLE,
            loader_role=environ.get("CDESK_SNOWFLAKE_LOADER_ROLE") or LOADER_ROLE,
            warehouse=environ.get("SNOWFLAKE_WAREHOUSE") or QUERY_WAREHOUSE,
        )

    # -- writing

    def land(self, lines: Sequence[LandedLine], *, after: datetime | None = None) -> LandResult:
        return self._loader.land(lines, after=after)

    def clock_distance(self) -> timedelta:
        """How far the account's clock is ahead of this machine's."""
        return self._loader.clock_distance()

    def positions(self, source_files: Sequence[str]) -> dict[str, int]:
        return self._loader.positions(source_files)

    def last_landing(self) -> datetime | None:
        return self._loader.last_landing()

    @contextlib.contextmanager
    def bulk(self) -> Iterator[Stretch | None]:
        """Nothing to share: connections are kept between landings anyway."""
        yield None

    # -- reading

    @contextlib.contextmanager
    def reading(
        self, templates: Sequence[Template] = (), *, cancel: threading.Event | None = None
    ) -> Iterator[None]:
        """Nothing to share: connections are kept between queries anyway."""
        del templates, cancel
        yield

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
        del whole  # rows come in pages anyway
        return self._reader.run_template(
            template, binds, query_tag, timeout_seconds, cancel or threading.Event()
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
        with self.run_template(
            template, binds, query_tag=query_tag, timeout_seconds=timeout_seconds, cancel=cancel
        ) as outcome:
            rows = [tuple(row.values()) for batch in outcome.batches for row in batch.to_pylist()]
            return list(outcome.schema.names), rows

    def explain_template(
        self, template: Template, binds: Sequence[object], *, query_tag: str
    ) -> str:
        return self._reader.explain_template(template, binds, query_tag=query_tag)

    def export_context(self, *, since: str | None) -> Iterator[ContextRow]:
        return self._reader.export_context(since=since)

    def building(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def data_state(self, customer: str | None, *, system: bool) -> str | None:  # noqa: ARG002
        """None: others land and build too."""
        return None

    def data_version(self) -> str:
        return self._reader.data_version()

    def close(self) -> None:
        self._readers.close()
        self._loaders.close()
