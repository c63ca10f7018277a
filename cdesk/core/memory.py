"""What a process that rests gives back of its memory. Linux alone knows how; elsewhere nothing
happens.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ctypes

LARGE: Final = 4 * 1024 * 1024
"""Smaller libraries are the interpreter's own, which it goes on using."""
_CODE: Final = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ [1-9]\d* +/", re.MULTILINE)


def give_memory_back() -> None:
    """Return to the system what this process has freed, where the C library keeps it for later
    (glibc), and the code of large libraries that it has used.
    """
    if sys.platform != "linux":
        return
    import ctypes  # not for the server's start

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    let_code_go()


def take_from_the_system() -> None:
    """Have Arrow, which is loaded later or never, take its memory from the system's allocator: its
    own keeps 6 MB beyond what it uses. https://arrow.apache.org/docs/cpp/env_vars.html
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def let_code_go() -> int:
    """Unmap the code of large libraries; how many bytes of addresses that are.

    Nothing is lost: it stays in the system's file cache for as long as nobody needs that memory
    more, and what is used again comes back from there, 16 pages at a time. The pages of a mapping
    that was never writable have no other content than the file's.
    """
    if sys.platform != "linux":
        return 0
    import ctypes
    from mmap import MADV_DONTNEED

    # Keeps the interpreter's lock, as who loads a library does: none is half mapped at the time.
    libc = ctypes.PyDLL(None)
    let_go = 0
    for found in _CODE.finditer(_mappings(libc)):
        start, end = (int(text, 16) for text in found.groups())
        if end - start >= LARGE:
            address, size = ctypes.c_void_p(start), ctypes.c_size_t(end - start)
            if libc.madvise(address, size, MADV_DONTNEED) == 0:
                let_go += end - start
    return let_go


def _mappings(libc: ctypes.PyDLL) -> bytes:
    """/proc/self/maps, read by `libc`; as far as it can be read."""
    import ctypes

    buffer = ctypes.create_string_buffer(64 * 1024)
    parts = []
    fd = libc.open(b"/proc/self/maps", os.O_RDONLY)
    if fd < 0:
        return b""
    while (size := libc.read(fd, buffer, ctypes.c_size_t(len(buffer)))) > 0:
        parts.append(buffer.raw[:size])
    libc.close(fd)
    return b"".join(parts)
