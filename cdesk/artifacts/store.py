"""The protocol that keeps stored results: in the state directory (cdesk/artifacts/local.py) or
elsewhere. A result is one Parquet file; its URI names it everywhere, and says what it holds
(cdesk/artifacts/addresses.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cdesk.artifacts.ranges import Source


@dataclass(slots=True)
class Draft:
    """A result that is being written: the `path` to write to, and its URI once it is stored."""

    path: Path
    uri: str = ""


class ArtifactStore(Protocol):
    """Results by URI. A result appears under its URI whole or not at all, and whoever reads one
    reads what was stored: other content raises ArtifactUnreadable.
    """

    @property
    def keeps_small(self) -> bool:
        """Whether a small result can be kept without a file of its own (`keep`)."""

    def keep(self, customer: str, artifact_id: str, content: bytes) -> str:
        """Keep a small result, the bytes of its Parquet file, until somebody opens it (`path`);
        its URI.

        Raises:
            StateDirectoryError: it cannot be kept.
        """

    def exists(self, uri: str) -> bool:
        """Whether the result is there; False also for a URI of another store."""

    def is_whole(self, uri: str) -> bool:
        """Whether the result is there and, as far as that is known here, what was stored."""

    def write(self, customer: str, artifact_id: str) -> AbstractContextManager[Draft]:
        """A draft to write to; the result takes its URI at the end of the block, and nothing is
        left of it after an error.

        Raises:
            StateDirectoryError, ArtifactStoreError: it cannot be stored.
        """

    def path(self, uri: str) -> Path:
        """A local path to read the result from.

        Raises:
            NotFound: the URI is none of this store.
            ArtifactUnreadable: what lies there is not what was stored.
        """

    def source(self, uri: str) -> Source:
        """Where to read parts of the result: a local path, the file where it lies, or the bytes of
        one that has no file yet.

        Raises:
            NotFound: the URI is none of this store, or nothing lies there.
            ArtifactUnreadable: what lies there is not what was stored, as far as that is known
                before all of it was read.
        """

    def hold(self, uri: str, *, on: bool) -> None:
        """Keep the result from whatever removes results without asking this system, or free it."""

    def remove(self, uri: str) -> bool:
        """Whether there was a result, and it is gone."""

    def purge(self, uri: str) -> bool:
        """As `remove`, with every version that the store keeps.

        Raises:
            ArtifactStoreError: one cannot be removed.
        """

    def artifact_ids(self, customer: str | None = None) -> Iterator[tuple[str, str]]:
        """(artifact_id, URI) of every stored result, or of one customer's."""

    def remove_abandoned(self) -> int:
        """Remove what was begun and never finished; how much."""

    def erase(self, customer: str) -> int:
        """Remove every result of a customer, begun ones and local copies too; how many files and
        objects went.

        Raises:
            StateDirectoryError, ArtifactStoreError: some of them cannot be removed.
        """

    def download_url(self, uri: str, *, filename: str, seconds: int = 900) -> str | None:
        """An address that downloads the result without this computer; None where there is none."""
