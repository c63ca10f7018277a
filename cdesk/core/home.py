"""The state directory: where each file lies, and who may read it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from cdesk.core.errors import StateDirectoryError


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """Paths below `CDESK_HOME`. Folders are 0700 and files 0600, whoever makes them (where the
    platform knows modes).
    """

    root: Path

    @property
    def queue(self) -> Path:
        return self.root / "queue"

    @property
    def backlog(self) -> Path:
        """Histories that were brought in and wait for a short queue (uploader/backlog.py)."""
        return self.root / "backlog"

    @property
    def state_db(self) -> Path:
        return self.root / "state.db"

    @property
    def access_db(self) -> Path:
        """Who may use the HTTP service (cdesk/state/access.py)."""
        return self.root / "access.db"

    @property
    def http_json(self) -> Path:
        """Where the running HTTP service listens (cdesk/state/http_service.py)."""
        return self.root / "http.json"

    @property
    def http_lock(self) -> Path:
        return self.root / "http.lock"

    @property
    def context_db(self) -> Path:
        return self.root / "context.db"

    @property
    def catalog(self) -> Path:
        return self.root / "catalog.json"

    @property
    def kill_switch(self) -> Path:
        """Stands here while queries are switched off (cdesk/state/kill_switch.py)."""
        return self.root / "kill_switch.json"

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse.duckdb"

    @property
    def copies(self) -> Path:
        """The running worker's own copies of the warehouse file, which questions read."""
        return self.root / "copies"

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
    def sdk_verdicts(self) -> Path:
        """What the SDK has said of messages that each start repeats (mcp_shim/sdk_verdicts.py)."""
        return self.root / "sdk_verdicts.json"

    @property
    def worker_json(self) -> Path:
        return self.root / "worker.json"

    @property
    def worker_lock(self) -> Path:
        return self.root / "worker.lock"

    @property
    def worker_stop(self) -> Path:
        """The process id of a worker that is asked to end, where no signal can ask it."""
        return self.root / "worker.stop"

    @property
    def worker_log(self) -> Path:
        return self.root / "worker.log"

    @property
    def runtime(self) -> Path:
        """The worker's own environment, where Claude Desktop's extension set one up."""
        return self.root / "runtime"

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
    def metrics(self) -> Path:
        """What the processes have counted (cdesk/state/counts.py)."""
        return self.root / "metrics"

    @property
    def dashboard(self) -> Path:
        """What the dashboard shows, as the worker last exported it."""
        return self.root / "dashboard.json"

    @property
    def import_index(self) -> Path:
        """What earlier imports brought in."""
        return self.root / "imports.db"

    @property
    def capture(self) -> Path:
        """What capture remembers of Claude's own histories."""
        return self.root / "capture.db"

    @property
    def erasing(self) -> Path:
        """Erasures that have begun and not ended."""
        return self.root / "erasing.json"

    @property
    def backing_up(self) -> Path:
        """The file of a backup that has begun and not ended."""
        return self.root / "backing_up.json"

    @property
    def restoring(self) -> Path:
        """Where a backup is unpacked until it is whole, in a folder that cannot be replaced."""
        return self.root / ".restoring"

    @property
    def restoring_beside(self) -> Path:
        """The same for a folder that is replaced."""
        root = self.root.resolve()
        return root.with_name(f".{root.name}.restoring")

    def ensure(self) -> StateDirectory:
        """Make the directory and its queue where they are missing. From here on everything that
        this process makes is private (`keep_private`).

        Raises:
            StateDirectoryError: it cannot be made, read or written.
        """
        keep_private()
        try:
            for folder in (self.root, self.queue):
                make_private_folder(folder)
        except OSError as error:
            raise StateDirectoryError(
                f"state directory {self.root} cannot be used ({error.strerror}); "
                "set CDESK_HOME to a folder you can write"
            ) from None
        if not os.access(self.root, os.R_OK | os.W_OK | os.X_OK) or not os.access(
            self.queue, os.W_OK
        ):
            raise StateDirectoryError(
                f"state directory {self.root} cannot be read and written; "
                "mend its permissions or set CDESK_HOME to another folder"
            )
        return self


def keep_private() -> None:
    """Give what this process makes from now on to its user alone: files 0600, folders 0700. It is
    for what libraries make (DuckDB, dbt, Parquet); our own files name their mode themselves.
    """
    os.umask(0o077)


def make_private_folder(folder: Path) -> None:
    """Make a folder and those above it, 0700 each, where they are missing. Raises OSError."""
    for one in (*reversed(folder.parents), folder):
        if not one.is_dir():
            one.mkdir(mode=0o700, exist_ok=True)


def open_private(path: Path, flags: int) -> int:
    """`os.open` for a file of ours: mode 0600 where it is made, never through a link, not handed
    on to child processes, bytes as they are. Raises OSError.
    """
    return os.open(path, flags | _PRIVATE, 0o600)


_PRIVATE: Final = (
    getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)


def make_private_file(path: Path) -> None:
    """Make an empty file where there is none, for a library that opens it. Raises OSError."""
    os.close(open_private(path, os.O_RDWR | os.O_CREAT))


@contextlib.contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """A new file, 0600, that takes the place of `path` when the block ends well: a reader sees the
    old file or the new one, never a part. Until then it has a name that nobody can foresee; a link
    at `path` is replaced, not followed.

    Raises:
        OSError: it cannot be written; nothing is left of it.
    """
    temporary = path.with_name(f".{path.name[:100]}.{os.urandom(8).hex()}.part")
    fd = open_private(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_private(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step (`replacing`). Raises OSError."""
    with replacing(path) as file:
        file.write(data)
