"""The address of a stored result: whose it is, which one, and what it holds.

    <customer key>/<artifact_id>-<digest>.parquet

The digest is SHA-256 over the customer key, a line feed and the file, in hex. What lies under an
address is checked against it, so that content which was changed, cut or exchanged is found by its
name, wherever it was kept. The owner goes into it: equal results of two owners have nothing in
common that a third could see. Addresses of earlier versions have no digest and nothing to check.

Two results of equal content have two addresses: each has its own date, hold and end.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Final

from cdesk.core.errors import ArtifactUnreadable, NotFound

ID_PATTERN: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
DIGEST_PATTERN: Final = "[0-9a-f]{64}"
NAME_PATTERN: Final = f"{ID_PATTERN}(?:-{DIGEST_PATTERN})?"
"""The name of a stored result without its suffix."""
WHOLE_BYTES: Final = 16 * 1024 * 1024
"""A file up to this size is checked before a part of it is read."""
_ID_LENGTH: Final = 36
_ID: Final = re.compile(rf"{ID_PATTERN}\Z")
_REMEMBERED: Final = 4_096
_TICK_NS: Final = 50_000_000


def digest_of(owner: str, content: Path | bytes) -> str:
    """The digest of a file, or of the bytes of one, that belongs to the customer key `owner`.

    Raises:
        OSError: the file cannot be read.
    """
    start = hashlib.sha256(f"{owner}\n".encode())
    if isinstance(content, bytes):
        start.update(content)
        return start.hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, lambda: start).hexdigest()


def name_of(owner: str, artifact_id: str, content: Path | bytes) -> str:
    """The name of a result, without its suffix. Raises OSError as `digest_of`."""
    return f"{artifact_id}-{digest_of(owner, content)}"


def require_id(artifact_id: str) -> str:
    """The artifact_id. Raises NotFound for what is none."""
    if _ID.match(artifact_id) is None:
        raise NotFound(f"{artifact_id[:60]!r} is no artifact_id")
    return artifact_id


def id_in(name: str) -> str:
    """The artifact_id in a name."""
    return name[:_ID_LENGTH]


def digest_in(name: str) -> str:
    """The digest in a name; empty for one of an earlier version."""
    return name[_ID_LENGTH + 1 :]


def require_content(owner: str, name: str, content: bytes) -> None:
    """Raises ArtifactUnreadable unless the bytes are those that the name stands for."""
    if (digest := digest_in(name)) and digest_of(owner, content) != digest:
        raise _changed()


class Checks:
    """Which files hold what their address says. A file is read for that once, as long as it does
    not change. Safe to use from several threads.

    at_once: bytes up to which a check is waited for; a larger file that is read in parts is
    checked beside the reading.
    """

    def __init__(self, *, at_once: int = WHOLE_BYTES) -> None:
        self._at_once = at_once
        self._known: OrderedDict[Path, tuple[tuple[int, ...], bool | None]] = OrderedDict()
        self._lock = threading.Lock()
        self._reading = threading.Lock()

    def require(self, path: Path, *, whole: bool) -> None:
        """Check `path`, which lies under its address. `whole`: whatever its size, it is waited for.
        A file that is missing passes: who reads it says so.

        Raises:
            ArtifactUnreadable: its content is not what its name says.
        """
        if not digest_in(path.stem):
            return
        try:
            status = path.stat()
        except OSError:
            return
        version = (status.st_mtime_ns, status.st_size, status.st_ino)
        waits = whole or status.st_size <= self._at_once
        with self._lock:
            known, sound = self._known.get(path, (None, None))
            is_new = known != version
            if is_new:
                sound = None
                self._known[path] = (version, None)  # under way
                while len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        if sound is None and waits:
            sound = self._check(path, version)
        elif is_new:
            threading.Thread(
                target=self._check, args=(path, version), name="cdesk-check", daemon=True
            ).start()
        if sound is False:
            raise _changed()

    def _check(self, path: Path, version: tuple[int, ...]) -> bool | None:
        try:
            with self._reading:  # one file at a time: a disk has one head, a laptop few cores
                sound = digest_of(path.parent.name, path) == digest_in(path.stem)
        except OSError:
            sound = None
        # Within a tick of the clock a file may change once more and keep its stamp.
        is_settled = abs(time.time_ns() - version[0]) > _TICK_NS
        with self._lock:
            if sound is None or not is_settled:
                self._known.pop(path, None)
            else:
                self._known[path] = (version, sound)
        return sound


def _changed() -> ArtifactUnreadable:
    return ArtifactUnreadable(
        "the stored file is damaged or half-written: it is not what its name says; run its query "
        "again with --fresh"
    )
