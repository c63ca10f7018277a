"""Stored results in the state directory:

    artifacts/<customer key>/<artifact_id>-<digest>.parquet   (a small one once somebody opens it)
    artifacts/<customer key>/<…>.pack                         (until then: cdesk/artifacts/packs.py)
    cdesk://artifacts/<customer key>/<artifact_id>-<digest>.parquet

The customer key is the first 16 hex digits of SHA-256 over the customer: a folder holds one
customer's results and can be removed as a whole, and neither path nor URI tells who it is. The
digest says what the file holds (cdesk/artifacts/addresses.py); where a customer has a file of the
same content already, the new one is a hard link to it.

Only names of this form are ever listed or removed, and never through a link: what else lies in
the folder belongs to somebody else.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cdesk.artifacts.addresses import (
    ID_PATTERN,
    NAME_PATTERN,
    Checks,
    digest_in,
    digest_of,
    id_in,
    name_of,
    require_content,
    require_id,
)
from cdesk.artifacts.packs import Packs
from cdesk.artifacts.store import Draft
from cdesk.core.errors import ArtifactUnreadable, NotFound, StateDirectoryError
from cdesk.core.home import make_private_folder, open_private, replacing
from cdesk.core.identity import customer_key

SCHEME: Final = "cdesk://artifacts/"
ABANDONED_SECONDS: Final = 24 * 3600
"""After this long without a write a temporary file is left over from a process that died."""
_URI = re.compile(rf"{re.escape(SCHEME)}([0-9a-f]{{16}})/({NAME_PATTERN})\.parquet\Z")
_FOLDER = re.compile(r"[0-9a-f]{16}\Z")
_FILE = re.compile(rf"({NAME_PATTERN})\.parquet\Z")
# A draft, its whole before it is sampled, and what `replacing` writes a small result's file to.
_TEMPORARY = re.compile(
    rf"\.{ID_PATTERN}(\.parquet\.part(\.whole)?|-[0-9a-f]+\.[0-9a-f]{{16}}\.part)\Z"
)


def own_files(root: Path, only: str | None = None) -> Iterator[Path]:
    """Regular files in the customers' folders under `root`, or in the one named `only`. Links are
    left alone, and so is everything where `root` itself is one.
    """
    for folder in _folders(root, only):
        yield from (path for path in _entries(folder) if _is_regular(path))


def erase_folder(root: Path, customer: str) -> int:
    """Remove what lies in a customer's folder under `root`, and the folder; how many files.

    Raises:
        StateDirectoryError: something in it cannot be removed.
    """
    folder = root / customer_key(customer)
    removed = 0
    try:
        for path in _entries(folder):
            path.unlink()
            removed += 1
        if _is_real_folder(folder):
            folder.rmdir()
    except OSError as error:
        raise StateDirectoryError(
            f"{folder} cannot be removed ({error.strerror}); mend its permissions"
        ) from None
    return removed


class LocalArtifacts:
    """The artifact store of a state directory."""

    keeps_small = True

    def __init__(self, root: Path) -> None:
        self._root = root
        self._packs = Packs(root)
        self._checks = Checks()

    def path(self, uri: str) -> Path:
        """Where the file of `uri` lies, or would. A small result gets its file by that.

        Raises:
            NotFound: the URI is none of this store. StateDirectoryError: its file cannot be made.
            ArtifactUnreadable: what lies there is not what was stored.
        """
        path = self._place(uri)
        if path.exists():
            self._checks.require(path, whole=True)
        elif isinstance(content := self.source(uri), bytes):
            with self._storing(), replacing(path, sync=False) as file:
                file.write(content)
        return path

    def keep(self, customer: str, artifact_id: str, content: bytes) -> str:
        folder = customer_key(customer)
        name = name_of(folder, require_id(artifact_id), content)
        with self._storing():
            self._packs.put(folder, name, content)
        return f"{SCHEME}{folder}/{name}.parquet"

    def _kept(self, path: Path) -> bytes | None:
        with contextlib.suppress(OSError):
            if _is_real_folder(path.parent):
                return self._packs.get(path.parent.name, path.stem)
        return None

    def _place(self, uri: str) -> Path:
        match = _URI.match(uri)
        if match is None:
            raise NotFound(f"{uri[:100]!r} is no artifact of this installation")
        return self._root / match.group(1) / f"{match.group(2)}.parquet"

    def source(self, uri: str) -> Path | bytes:
        """The file of `uri`, or its bytes where it has none yet. A large file is checked beside
        the reading.

        Raises:
            NotFound: the URI is none of this store.
            ArtifactUnreadable: what lies there is not what was stored.
        """
        path = self._place(uri)
        if path.exists():
            self._checks.require(path, whole=False)
            return path
        if (content := self._kept(path)) is not None:
            require_content(path.parent.name, path.stem, content)
            return content
        if self.exists(uri):
            raise ArtifactUnreadable(
                "the stored result is damaged or half-written; run its query again with --fresh"
            )
        return path

    def hold(self, uri: str, *, on: bool) -> None:
        """Nothing: nobody else removes what lies in the state directory."""
        del uri, on

    @contextlib.contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StateDirectoryError(
                f"the result cannot be stored in {self._root} ({error.strerror}); "
                "free space or mend its permissions"
            ) from None

    def exists(self, uri: str) -> bool:
        try:
            path = self._place(uri)
        except NotFound:
            return False
        if path.is_file():
            return True
        with contextlib.suppress(OSError):
            return _is_real_folder(path.parent) and self._packs.has(path.parent.name, path.stem)
        return False

    def is_whole(self, uri: str) -> bool:
        try:
            return self.exists(uri) and self.source(uri) is not None
        except ArtifactUnreadable:
            return False

    @contextlib.contextmanager
    def write(self, customer: str, artifact_id: str) -> Iterator[Draft]:
        """A draft to write to; at the end of the block the file takes its final name, after an
        error it is gone.

        Raises:
            StateDirectoryError: the folder cannot be written.
        """
        folder = self._root / customer_key(customer)
        draft = Draft(folder / f".{require_id(artifact_id)}.parquet.part")
        with self._storing():
            make_private_folder(folder)
            os.close(open_private(draft.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        try:
            yield draft
            name = name_of(folder.name, artifact_id, draft.path)
            _settle(draft.path, folder / f"{name}.parquet")
            draft.uri = f"{SCHEME}{folder.name}/{name}.parquet"
        except BaseException:
            with contextlib.suppress(OSError):
                draft.path.unlink(missing_ok=True)
            raise

    def remove(self, uri: str) -> bool:
        """Whether there was a result, and it is gone."""
        try:
            path = self._place(uri)
            if not (_is_real_folder(self._root) and _is_real_folder(path.parent)):
                return False
            removed = self._packs.remove(path.parent.name, path.stem)
            if not _is_regular(path):
                return removed
            path.unlink()
        except (OSError, NotFound):
            return False
        return True

    def purge(self, uri: str) -> bool:
        return self.remove(uri)

    def artifact_ids(self, customer: str | None = None) -> Iterator[tuple[str, str]]:
        """(artifact_id, URI) of every stored result, or of one customer's."""
        only = None if customer is None else customer_key(customer)
        for path in own_files(self._root, only):
            if match := _FILE.match(path.name):
                yield id_in(match.group(1)), f"{SCHEME}{path.parent.name}/{path.name}"
        for folder in _folders(self._root, only):
            for name in self._packs.names(folder):
                yield id_in(name), f"{SCHEME}{folder.name}/{name}.parquet"

    def remove_abandoned(self) -> int:
        """Remove temporary files that no process writes to any more, and packs that hold nothing
        any more; how many.
        """
        removed = sum(self._packs.remove_empty(folder) for folder in _folders(self._root))
        for path in own_files(self._root):
            if not _TEMPORARY.match(path.name):
                continue
            with contextlib.suppress(OSError):
                if time.time() - path.lstat().st_mtime > ABANDONED_SECONDS:
                    path.unlink()
                    removed += 1
        return removed

    def erase(self, customer: str) -> int:
        """Remove the customer's folder; how many files and results in packs were in it.

        Raises:
            StateDirectoryError: it cannot be removed.
        """
        folder = self._root / customer_key(customer)
        packs, results = self._packs.counts(folder) if _is_real_folder(folder) else (0, 0)
        return erase_folder(self._root, customer) - packs + results

    def download_url(self, uri: str, *, filename: str, seconds: int = 900) -> str | None:
        """None: a local result has no address of its own."""


def _settle(temporary: Path, final: Path) -> None:
    """Give a written file its name, or, where its folder holds the same content already, give that
    file one more name. Raises OSError.
    """
    digest = digest_in(final.stem)
    for twin in final.parent.glob(f"*-{digest}.parquet"):
        with contextlib.suppress(OSError):  # another file system may know no such links
            if _is_regular(twin) and digest_of(final.parent.name, twin) == digest:
                os.link(twin, final)
                temporary.unlink()
                return
    temporary.replace(final)


def _folders(root: Path, only: str | None = None) -> list[Path]:
    """The customers' folders, or the one named `only`."""
    return [
        folder
        for folder in _entries(root)
        if _FOLDER.match(folder.name) and only in (None, folder.name) and _is_real_folder(folder)
    ]


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder; nothing where it is a link or missing."""
    if not _is_real_folder(folder):
        return []
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is_real_folder(path: Path) -> bool:
    """Whether `path` is a folder, and neither a symbolic link nor a junction (Windows' own kind of
    link, which `lstat` shows as a folder).
    """
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and not getattr(status, "st_reparse_tag", 0)


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
