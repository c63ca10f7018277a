"""What answers without writing: the snapshot, the catalog and the shared state."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cdesk.contract.catalog import CatalogReader
from cdesk.core.clock import NowNs
from cdesk.core.errors import CatalogError, StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk.state.facts import CatalogSeal, read_status
from cdesk.state.snapshot import SnapshotReader
from mcp_shim.state import SharedState


@dataclass(frozen=True, slots=True)
class Readers:
    """The readers of one process, for all its callers.

    `worker_missing` says why no worker can run here, or gives None.
    """

    snapshot: SnapshotReader
    catalog: CatalogReader
    state: SharedState
    worker_missing: Callable[[], str | None] = lambda: None
    now_ns: NowNs = time.time_ns
    charts: Path | None = None
    """Where the charts of stored results are painted ahead."""
    kill_switch: Path | None = None
    """Stands there while queries are switched off."""
    timezone: str = "UTC"
    """The person's, by its IANA name."""

    @classmethod
    def of(
        cls,
        home: StateDirectory,
        worker_missing: Callable[[], str | None] = lambda: None,
        *,
        timezone: str = "UTC",
    ) -> Readers:
        """Readers of a state directory; each file is opened at its first use."""
        state = SharedState(home.state_db)
        return cls(
            SnapshotReader(home.context_db),
            CatalogReader(home.catalog, seal=lambda: _read_seal(state)),
            state,
            worker_missing,
            charts=home.charts,
            kill_switch=home.kill_switch,
            timezone=timezone,
        )

    def close(self) -> None:
        self.snapshot.close()
        self.state.close()


def _read_seal(state: SharedState) -> str | None:
    """The digest that catalog.json must have. Raises CatalogError."""
    try:
        return state.read(lambda connection: read_status(connection, CatalogSeal)).digest
    except StateDirectoryError as error:
        raise CatalogError(f"the catalog cannot be checked: {error}") from None
