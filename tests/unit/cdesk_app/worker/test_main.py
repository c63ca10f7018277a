"""Who is there: the locks of the queue's writers tell."""

from __future__ import annotations

import os
import time

import pytest

from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.queue.writer import QueueWriter
from cdesk_app.worker.main import shims_live


def aged(home: StateDirectory, seconds: float = 60.0) -> None:
    """Make every lock file as old as that."""
    then = time.time() - seconds
    for path in home.queue.glob("*.lock"):
        os.utime(path, (then, then))


@pytest.fixture
def writer(state_home: StateDirectory) -> QueueWriter:
    writer = QueueWriter(state_home.queue)
    writer.append(b"{}\n")
    return writer


def test_an_empty_queue_has_nobody(state_home: StateDirectory) -> None:
    assert not shims_live(state_home)


def test_a_living_writer_counts_until_it_closes(
    state_home: StateDirectory, writer: QueueWriter
) -> None:
    aged(state_home)
    assert shims_live(state_home)
    writer.close()
    assert not shims_live(state_home)


def test_our_own_writer_does_not_count(state_home: StateDirectory, writer: QueueWriter) -> None:
    aged(state_home)
    assert not shims_live(state_home, own=writer.writer)
    other = QueueWriter(state_home.queue)
    other.append(b"{}\n")
    assert shims_live(state_home, own=writer.writer)
    other.close()
    writer.close()


def test_a_lock_that_a_dead_writer_left_does_not_count_and_is_not_taken(
    state_home: StateDirectory,
) -> None:
    path = state_home.queue / ("a" * 32 + ".lock")
    path.touch()
    assert shims_live(state_home), "its maker may be about to take it"
    aged(state_home)
    assert not shims_live(state_home)
    with FileLock(path) as free:
        assert free


def test_the_uploaders_lock_is_nobodys_presence(state_home: StateDirectory) -> None:
    with FileLock(state_home.queue / "uploader.lock"):
        aged(state_home)
        assert not shims_live(state_home)
