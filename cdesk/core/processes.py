"""Processes that one of ours starts and that outlive it; what one takes of the computer."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

from cdesk.core.config import Settings
from cdesk.core.home import open_private

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")

WORKER_MODULE: Final = "cdesk_app.cli.main"
"""What `python -m` runs for a worker, with the word `worker`."""
NICENESS: Final = 10
"""Of the worker and what it starts, but for what a person waits for."""
MORE_NICENESS: Final = 5
"""Of what the worker starts and nobody waits for, beyond its own."""
SET_UP_MODULE: Final = "cdesk_app.ops.runtime"
"""What `python -m` runs to set up the worker's own environment."""


def start_detached(
    command: Sequence[str], settings: Settings, *, log: Path
) -> subprocess.Popen[bytes]:
    """Start a process of its own session with our settings, what it prints appended to `log`.

    Raises:
        OSError: it cannot be started, or `log` cannot be written.
    """
    environ = {
        **settings.environ,
        "CDESK_HOME": str(settings.home),
        "CDESK_CUSTOMER": settings.customer,
        "CDESK_TARGET": settings.target,
    }
    # Run beside our own packages: the current folder may hold others of the same name.
    beside = Path(__file__).resolve().parents[2]
    output = open_private(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NO_WINDOW
    try:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environ,
            cwd=beside,
            creationflags=flags,
            start_new_session=sys.platform != "win32",
        )
    finally:
        os.close(output)


def own_group() -> dict[str, Any]:
    """Options of `Popen` for a child of its own group, without a window: a Ctrl-C at the terminal
    reaches this process alone. The child gives way where this process does.
    """
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return {"creationflags": flags | (subprocess.BELOW_NORMAL_PRIORITY_CLASS * _gave_way)}
    return {"start_new_session": True}


def divert_stdout() -> IO[bytes]:
    """The stream on standard output, for a child's protocol; from here on anything that prints to
    standard output prints to standard error.
    """
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return channel


def give_way() -> None:
    """Let this thread, and what it starts, run when others leave the processor: what waits for an
    answer comes before what works in the background. Threads of `start_ordinary` stay as this
    process was, but on macOS, where niceness is of a whole process.
    """
    global _starter, _gave_way, _niceness_before
    _gave_way = True
    if sys.platform == "win32":
        give_way_here()
        return
    if sys.platform == "linux" and _starter is None:
        from concurrent.futures import ThreadPoolExecutor  # not for the server's start

        _niceness_before = os.getpriority(os.PRIO_PROCESS, 0)
        _starter = ThreadPoolExecutor(1, "cdesk-starter")
        _starter.submit(int).result()  # its thread is there from now on
    with contextlib.suppress(OSError):  # not allowed in some sandboxes
        os.nice(NICENESS)


def give_way_here() -> None:
    """Let this thread, which one that gave way has started, do so as well: on Windows a thread does
    not inherit that. Elsewhere nothing.
    """
    if sys.platform == "win32" and _gave_way:
        import ctypes

        kernel = ctypes.windll.kernel32
        kernel.GetCurrentThread.restype = ctypes.c_void_p
        kernel.SetThreadPriority.argtypes = (ctypes.c_void_p, ctypes.c_int)
        kernel.SetThreadPriority(kernel.GetCurrentThread(), _BELOW_NORMAL)


_BELOW_NORMAL: Final = -1  # winbase.h, THREAD_PRIORITY_BELOW_NORMAL
_gave_way = False
_niceness_before = 0
_starter: ThreadPoolExecutor | None = None
"""Its one thread is as this process was before `give_way`: Linux' niceness is a thread's, inherited
by what it starts, and the way back needs a privilege.
"""


def _starter_beyond_here() -> ThreadPoolExecutor | None:
    """What starts a thread that is less nice than this one; None where there is no such thing."""
    starter = _starter
    if starter is None or os.getpriority(os.PRIO_PROCESS, 0) == _niceness_before:
        return None
    return starter


def start_ordinary(thread: threading.Thread) -> None:
    """Start a thread that does what a person waits for: `give_way` is not for it."""
    starter = _starter_beyond_here()
    if starter is None:
        thread.start()
    else:
        starter.submit(thread.start).result()


def run_ordinary(job: Callable[[], T], name: str) -> T:
    """What `job` returns, or raises, from a thread of that name that `start_ordinary` would start;
    from this one where it is ordinary itself, or gives way to all.
    """
    starter = _starter_beyond_here()
    if starter is None or gives_way_to_all():
        return job()
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1, name) as thread:
        return starter.submit(thread.submit, job).result().result()


def give_way_in_everything() -> None:
    """From here on what `start_ordinary` and `run_ordinary` start is as nice as who calls them, and
    so is this session; on Windows the whole process is.
    """
    global _starter
    _starter = None
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        kernel.GetCurrentProcess.restype = ctypes.c_void_p
        kernel.SetPriorityClass.argtypes = (ctypes.c_void_p, ctypes.c_uint)
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), subprocess.BELOW_NORMAL_PRIORITY_CLASS)
    be_nice_among_sessions()


def be_nicer() -> None:
    """Let this process, which the worker has started, come after what the worker does itself: an
    answer that somebody waits for.
    """
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            os.nice(MORE_NICENESS)
    be_nice_among_sessions()


def give_way_to_all() -> None:
    """Let this thread, and those that it starts, run only when nobody else wants the processor,
    where the system knows such a thing (Linux). For good: the way back needs a privilege.
    """
    if not hasattr(os, "SCHED_IDLE"):
        return
    # Who is nice still runs out its slice before one who has just woken up; this one does not.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def run_giving_way(job: Callable[[], T], name: str) -> T:
    """What `job` returns, or raises, from a thread of that name that gives way to all."""
    from concurrent.futures import ThreadPoolExecutor  # not for the server's start

    with ThreadPoolExecutor(1, name, initializer=give_way_to_all) as thread:
        return thread.submit(job).result()


def gives_way_to_all() -> bool:
    """Whether this thread runs only when nobody else wants the processor."""
    return hasattr(os, "SCHED_IDLE") and os.sched_getscheduler(0) == os.SCHED_IDLE


def be_nice_among_sessions() -> None:
    """Give the session that this process began the niceness of the process: Linux shares the
    processor out between sessions first, and niceness counts within one alone. Nothing where it
    began none, or elsewhere.
    https://man7.org/linux/man-pages/man7/sched.7.html (autogroup)
    """
    if sys.platform == "win32" or os.getsid(0) != os.getpid():
        return
    for _ in range(5):
        try:
            with Path("/proc/self/autogroup").open("r+b", buffering=0) as autogroup:
                autogroup.write(str(os.nice(0)).encode())
        except BlockingIOError:  # the system takes ten changes a second
            time.sleep(0.1)
        except OSError:  # no Linux, or switched off
            return
        else:
            return
