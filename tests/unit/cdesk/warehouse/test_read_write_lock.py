from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from cdesk.core.errors import QueryCancelled
from cdesk.warehouse import read_write_lock
from cdesk.warehouse.read_write_lock import ReadWriteLock


def test_a_writer_waits_for_readers_and_gives_up() -> None:
    lock = ReadWriteLock()
    with lock.read(1), pytest.raises(TimeoutError), lock.write(0.05):
        pass
    with lock.write(0.05):
        pass


def test_a_reader_waits_for_a_writer_and_gives_up() -> None:
    lock = ReadWriteLock()
    with lock.write(1), pytest.raises(TimeoutError), lock.read(0.05):
        pass
    with lock.read(0.05):
        pass


def test_new_readers_let_a_waiting_writer_go_first() -> None:
    lock = ReadWriteLock()
    order: list[str] = []
    waits = threading.Event()

    def write() -> None:
        waits.set()
        with lock.write(5):
            order.append("writer")

    def read() -> None:
        with lock.read(5):
            order.append("reader")

    with lock.read(1):
        writer = threading.Thread(target=write)
        writer.start()
        waits.wait()
        with pytest.raises(TimeoutError), lock.read(0.1):  # the writer has come by now
            pass
        reader = threading.Thread(target=read)
        reader.start()
    for thread in (writer, reader):
        thread.join()
    assert order == ["writer", "reader"]


def test_a_writer_that_comes_again_at_once_does_not_starve_readers() -> None:
    lock = ReadWriteLock()
    read = threading.Event()

    def reader() -> None:
        with lock.read(10):
            read.set()

    thread: threading.Thread | None = None
    turns = 0
    while not read.is_set() and turns < 10_000:
        with lock.write(10):
            if thread is None:
                thread = threading.Thread(target=reader)
                thread.start()
                while not lock._waiting_readers:
                    pass
        turns += 1
    assert thread is not None
    thread.join()
    assert turns <= 2


def test_readers_share_and_a_writer_comes_after_the_last_of_them() -> None:
    lock = ReadWriteLock()
    with lock.read(0):
        with lock.read(0), pytest.raises(TimeoutError), lock.write(0):
            pass
        with pytest.raises(TimeoutError), lock.write(0):
            pass
    with lock.write(0), pytest.raises(TimeoutError), lock.write(0):
        pass
    with lock.write(0):
        pass


@pytest.mark.parametrize("gives_up", ["reader", "writer", "cancelled reader"])
def test_who_gives_up_keeps_nobody_out(gives_up: str) -> None:
    lock = ReadWriteLock()
    cancel = threading.Event()
    cancel.set()
    if gives_up == "writer":
        with lock.read(0), pytest.raises(TimeoutError), lock.write(0):
            pass
    elif gives_up == "reader":
        with lock.write(0), pytest.raises(TimeoutError), lock.read(0, cancel=threading.Event()):
            pass
    else:
        with (
            lock.write(0),
            pytest.raises(QueryCancelled, match="while it waited for a landing"),
            lock.read(9, cancel=cancel),
        ):
            pass
    for _ in range(2):
        with lock.write(0):
            pass
        with lock.read(0, cancel=cancel), lock.read(0):
            pass


def test_what_fails_inside_gives_the_lock_back() -> None:
    lock = ReadWriteLock()
    with pytest.raises(KeyError), lock.write(0):
        raise KeyError
    with pytest.raises(KeyError), lock.read(0):
        raise KeyError
    with lock.write(0):
        pass


def test_a_writer_that_is_waited_for_lets_those_go_first_who_were_there() -> None:
    """Both of two readers that waited, before the writer that came after them."""
    lock = ReadWriteLock()
    order: list[str] = []
    inside = threading.Barrier(2)

    def read() -> None:
        with lock.read(20):
            inside.wait(20)  # they are in it together
            order.append("reader")

    def write() -> None:
        with lock.write(20):
            order.append("writer")

    threads = [threading.Thread(target=one) for one in (read, read, write)]
    with lock.write(0):
        for count, thread in enumerate(threads, start=1):
            thread.start()
            until = time.monotonic() + 20
            while lock._waiting_readers + lock._waiting_writers < count:
                assert time.monotonic() < until
                time.sleep(0.001)
    for thread in threads:
        thread.join(20)
    assert order == ["reader", "reader", "writer"]


def test_a_reader_that_may_be_cancelled_waits_as_long_as_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    waits: list[float] = []
    monkeypatch.setattr(read_write_lock, "time", SimpleNamespace(monotonic=lambda: now[0]))
    lock = ReadWriteLock()

    def wait(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    with lock.write(0):
        monkeypatch.setattr(lock._condition, "wait", wait)
        with pytest.raises(TimeoutError), lock.read(0.12, cancel=threading.Event()):
            pass
    assert sum(waits) == pytest.approx(0.12)
    assert max(waits) <= 0.05, "so soon a cancelling is noticed"
