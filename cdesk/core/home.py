"""The state directory: where each file lies, and who may read it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cdesk.core.errors import StateDirectoryError


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """Paths below `CDESK_HOME`. Directories are 0700, files 0600 (where the platform knows modes)."""

    root: Path

    @property
    def queue(self) -> Path:
        return self.root / "queue"

    @property
    def state_db(self) -> Path:
        return self.root / "state.db"

    @property
    def context_db(self) -> Path:
        return self.root / "context.db"

    @property
    def catalog(self) -> Path:
        return self.root / "catalog.json"

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse.duckdb"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def artifacts_cache(self) -> Path:
        """Copies of results that are stored elsewhere."""
        return self.root / "artifacts_cache"

    @property
    def dbt(self) -> Path:
        """dbt's own target and log folders."""
        return self.root / "dbt"

    @property
    def worker_json(self) -> Path:
        return self.root / "worker.json"

    @property
    def worker_lock(self) -> Path:
        return self.root / "worker.lock"

    @property
    def worker_log(self) -> Path:
        return self.root / "worker.log"

    @property
    def render_json(self) -> Path:
        """Where the running renderer listens."""
        return self.root / "render.json"

    @property
    def render_lock(self) -> Path:
        return self.root / "render.lock"

    @property
    def render_log(self) -> Path:
        return self.root / "render.log"

    @property
    def link_keys(self) -> Path:
        """Keys that sign the links of cards, and which links are revoked."""
        return self.root / "link_keys.json"

    @property
    def charts(self) -> Path:
        """Charts of stored results, painted ahead."""
        return self.root / "charts"

    @property
    def dashboard(self) -> Path:
        """What the dashboard shows, as the worker last exported it."""
        return self.root / "dashboard.json"

    def ensure(self) -> StateDirectory:
        """Make the directory and its queue where they are missing.

        Raises:
            StateDirectoryError: it cannot be made, read or written.
        """
        try:
            for folder in (self.root, self.queue):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StateDirectoryError(
                f"state directory {self.root} cannot be used ({error.strerror}); set CDESK_HOME to a folder you can write"
            ) from None
        if not os.access(self.root, os.R_OK | os.W_OK | os.X_OK) or not os.access(
            self.queue, os.W_OK
        ):
            raise StateDirectoryError(
                f"state directory {self.root} cannot be read and written; mend its permissions or set CDESK_HOME to another folder"
            )
        return self


def write_private(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step, mode 0600: a reader sees the old file or the new one,
    never a part.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    fd = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600
    )
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
