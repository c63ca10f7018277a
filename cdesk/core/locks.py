"""An exclusive lock on a file, freed by the operating system when its holder dies.

The same system calls that the filelock package makes (flock, msvcrt.locking); importing that
package costs the shim a tenth of its start budget, which is why these lines stand here.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from types import TracebackType

from cdesk.core.home import open_private


class FileLock:
    """Held from `acquire` to `release`; the file stays. Use one object from one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self) -> bool:
        """Take the lock without waiting: True if it is ours now. OSError if the file cannot be
        opened.
        """
        if self._fd is not None:
            return True
        fd = open_private(self.path, os.O_RDWR | os.O_CREAT)
        try:
            _lock(fd)
        except OSError:
            os.close(fd)
            return False
        self._fd = fd
        return True

    def release(self) -> None:
        """Give the lock up; nothing happens when it is not held."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            with contextlib.suppress(OSError):
                _unlock(fd)
            os.close(fd)

    def claim(self, mark: bytes) -> bool:
        """Write `mark` into the file of the lock that is held; False where it held another mark:
        somebody else may have had the lock since.

        On a full disk the file stays empty, which is nobody's mark: the next holder gets False,
        too.
        """
        assert self._fd is not None
        os.lseek(self._fd, 0, os.SEEK_SET)
        if os.read(self._fd, len(mark) + 1) == mark:
            return True
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        with contextlib.suppress(OSError):
            os.write(self._fd, mark)
        return False

    @property
    def held(self) -> bool:
        return self._fd is not None

    @property
    def stands(self) -> bool:
        """Whether it is held and its file is still there. Once that is removed, another process can
        hold a lock on a new one.
        """
        if self._fd is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._fd), self.path.stat())
        except OSError:
            return False

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

    def _unlock(fd: int) -> None:
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock on `path` now. A file that is missing or cannot be opened
    counts as free.
    """
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        free = lock.acquire()
    except OSError:
        return False
    lock.release()
    return not free
