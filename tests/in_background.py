"""A thread that has given way, in this process, as the worker's own does in its."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar
from unittest import mock

import pytest

from cdesk.core import processes

T = TypeVar("T")

ONLY_WHERE_THREADS_DIFFER = pytest.mark.skipif(
    sys.platform != "linux", reason="niceness is of a whole process"
)


@contextmanager
def in_background() -> Iterator[Callable[[Callable[[], T]], T]]:
    """Calls a job in such a thread and returns what it returns."""
    with (
        mock.patch.multiple(processes, _starter=None, _gave_way=False),
        ThreadPoolExecutor(1, initializer=processes.give_way) as background,
    ):
        background.submit(int).result()
        starter = processes._starter
        try:
            yield lambda job: background.submit(job).result()
        finally:
            if starter is not None:
                starter.shutdown()
