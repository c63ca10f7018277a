from __future__ import annotations

import threading

import pytest

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
