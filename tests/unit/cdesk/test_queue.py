from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cdesk.core.errors import QueueWriteError
from cdesk.core.locks import FileLock
from cdesk.queue import writer as queue
from cdesk.queue.files import finish_leftovers
from cdesk.queue.writer import FILE_NAME, QueueWriter

LINE = b'{"n":1}\n'


def names(folder: Path) -> list[str]:
    return sorted(FILE_NAME.match(path.name)[0][33:] for path in folder.glob("*.ndjson"))  # type: ignore[index]


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("*.ndjson")))


def test_a_line_is_in_the_file_system_when_append_returns(tmp_path: Path) -> None:
    writer = QueueWriter(tmp_path)
    writer.append(LINE)
    assert (names(tmp_path), content(tmp_path)) == (["000001.open.ndjson"], LINE)
    writer.close()
    assert names(tmp_path) == ["000001.ndjson"]
    assert list(tmp_path.glob("*.lock")) == []


def test_a_line_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    real = os.write
    writer = QueueWriter(tmp_path)
    writer.append(LINE)
    monkeypatch.setattr(
        queue.os, "write", lambda fd, data: writes.append(len(data)) or real(fd, data)
    )
    writer.append(b"x" * 200_000 + b"\n")
    assert writes == [200_001]
    writer.close()


def test_nothing_is_made_before_the_first_line(tmp_path: Path) -> None:
    writer = QueueWriter(tmp_path)
    assert not writer.due
    writer.seal()
    writer.close()
    assert list(tmp_path.iterdir()) == []


def test_files_are_sealed_by_size_and_by_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "SEAL_BYTES", 20)
    writer = QueueWriter(tmp_path)
    for _ in range(4):
        writer.append(LINE)
    assert names(tmp_path) == ["000001.ndjson", "000002.open.ndjson"]
    assert not writer.due
    monkeypatch.setattr(queue, "SEAL_SECONDS", 0.0)
    assert writer.due
    writer.append(LINE)
    assert names(tmp_path) == ["000001.ndjson", "000002.ndjson", "000003.open.ndjson"]
    writer.close()


def test_a_sealed_file_is_closed(tmp_path: Path) -> None:
    writer = QueueWriter(tmp_path)
    writer.append(LINE)
    fd = writer._fd
    assert fd is not None
    writer.seal()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(fd)
    writer.close()


def test_a_lock_that_is_no_writers_stays(tmp_path: Path) -> None:
    """The uploader's own: who removed it would let a second one in."""
    (tmp_path / "uploader.lock").touch()
    (tmp_path / f"{'a' * 32}.lock").touch()
    finish_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["uploader.lock"]


def test_the_lock_is_held_while_the_writer_lives(tmp_path: Path) -> None:
    writer = QueueWriter(tmp_path)
    writer.append(LINE)
    lock = FileLock(next(tmp_path.glob("*.lock")))
    assert not lock.acquire()
    writer.seal()
    assert not lock.acquire()
    writer._lock.release()
    assert lock.acquire()
    lock.release()


def test_without_a_lock_nothing_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileLock, "acquire", lambda _: False)
    writer = QueueWriter(tmp_path)
    with pytest.raises(QueueWriteError, match="no locks"):
        writer.append(LINE)
    assert content(tmp_path) == b""


class Disk:
    """Writes as a disk that is about to be full: `room` bytes still fit."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.write_through = os.write

    def write(self, fd: int, data: bytes) -> int:
        fits = min(self.room, len(data))
        if fits == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= fits
        return self.write_through(fd, data[:fits])


@pytest.mark.parametrize("room", [0, 3])
def test_a_full_disk_is_a_clear_error_with_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    writer = QueueWriter(tmp_path)
    writer.append(LINE)
    disk = Disk(room)
    with monkeypatch.context() as patch:
        patch.setattr(queue.os, "write", disk.write)
        for _ in range(2):
            with pytest.raises(QueueWriteError, match="space"):
                writer.append(LINE)
            assert content(tmp_path) == LINE
    writer.append(LINE)  # it recovers by itself
    assert content(tmp_path) == LINE * 2
    assert writer.records == 2
    writer.close()


def test_where_a_torn_tail_cannot_be_cut_off_the_next_line_starts_a_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    writer = QueueWriter(tmp_path)
    writer.append(LINE)
    with monkeypatch.context() as patch:
        patch.setattr(queue.os, "write", Disk(3).write)
        patch.setattr(queue.os, "ftruncate", refuse)
        with pytest.raises(QueueWriteError):
            writer.append(LINE)
    writer.append(LINE)
    first, second = sorted(tmp_path.glob("*.ndjson"))
    assert (first.read_bytes(), second.read_bytes()) == (LINE + LINE[:3], LINE)
    assert names(tmp_path) == ["000001.ndjson", "000002.open.ndjson"]
    writer.close()


def test_a_file_that_cannot_be_renamed_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "held by a virus scanner")

    monkeypatch.setattr(queue, "SEAL_BYTES", 1)
    writer = QueueWriter(tmp_path)
    writer.append(LINE)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        writer.append(LINE)
    assert names(tmp_path) == ["000001.open.ndjson", "000002.open.ndjson"]
    assert content(tmp_path) == LINE * 2
    writer.close()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX descriptors")
def test_too_many_open_files_is_an_error_that_goes_by(tmp_path: Path) -> None:
    code = f"""
import resource, sys
from pathlib import Path
from cdesk.queue.writer import QueueWriter
from cdesk.core.errors import QueueWriteError
writer = QueueWriter(Path({str(tmp_path)!r}))
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
try:
    writer.append(b"one\\n")
except QueueWriteError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
writer.append(b"two\\n")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Too many open files" in done.stdout
    assert content(tmp_path) == b"two\n"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX resource limits")
def test_a_file_size_limit_of_the_system_leaves_whole_lines_only(tmp_path: Path) -> None:
    code = f"""
import resource, signal, sys
from pathlib import Path
from cdesk.queue.writer import QueueWriter
from cdesk.core.errors import QueueWriteError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
writer = QueueWriter(Path({str(tmp_path)!r}))
acknowledged = 0
for number in range(300):
    try:
        writer.append(b"%06d\\n" % number)
        acknowledged += 1
    except QueueWriteError:
        pass
print(acknowledged)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = content(tmp_path).split(b"\n")
    assert lines[-1] == b""
    assert lines[:-1] == [b"%06d" % number for number in range(142)]
    assert int(done.stdout) == 142


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_dev_full_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = QueueWriter(tmp_path)
    real: Callable[..., int] = os.open

    def open_full(path: Any, flags: int, mode: int = 0o600) -> int:
        return real("/dev/full", os.O_WRONLY) if "ndjson" in str(path) else real(path, flags, mode)

    with monkeypatch.context() as patch:
        patch.setattr(queue.os, "open", open_full)
        patch.setattr(QueueWriter, "_hold_lock", lambda _: None)
        with pytest.raises(QueueWriteError):
            writer.append(LINE)
    writer.append(LINE)
    assert content(tmp_path) == LINE
    writer.close()


def test_a_pending_line_joins_the_queue_once_in_its_last_form(tmp_path: Path) -> None:
    writer = QueueWriter(tmp_path)
    writer.append(b"first\n")
    writer.put_pending("a", b'{"n":1}\n')
    writer.put_pending("a", b'{"n":22,"more":[]}\n')
    assert not any(b"n" in path.read_bytes() for path in tmp_path.glob("*.ndjson"))
    writer.join_pending()
    writer.join_pending()
    writer.append(b"last\n")
    writer.put_pending("a", b'{"n":3}\n')
    writer.close()
    found = [path.read_bytes().split() for path in sorted(tmp_path.iterdir())]
    assert found == [[b"first"], [b'{"n":22,"more":[]}'], [b"last"], [b'{"n":3}']]


def pending(folder: Path) -> list[bytes]:
    """The lines of the pending file as a reader takes them."""
    (path,) = folder.glob("*.pending")
    return [line for line in map(bytes.strip, path.read_bytes().split(b"\n")) if line]


def test_each_pending_line_is_changed_in_its_place_and_may_outgrow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = QueueWriter(tmp_path)
    expected = dict[str, bytes]()
    written = list[int]()
    real = os.write

    def write(fd: int, data: bytes) -> int:
        written.append(len(data))
        return real(fd, data)

    monkeypatch.setattr(queue.os, "write", write)

    def put(key: str, size: int) -> None:
        expected[key] = f'{{"{key}":"{"x" * size}"}}'.encode()
        writer.put_pending(key, expected[key] + b"\n")
        assert pending(tmp_path) == list(expected.values())

    for number in range(50):
        put(f"key {number}", 10)
    written.clear()
    put("key 7", 20)
    assert sum(written) <= 512, "none of the others is written again"
    put("key 7", 2_000)
    put("key 49", 3_000)
    put("key 7", 5)
    put("one more", 1)

    def write_on_a_full_disk(fd: int, data: bytes) -> int:
        return real(fd, data[: len(data) // 2])

    before = pending(tmp_path)
    for key, size in (("key 3", 9_000), ("new", 10)):
        monkeypatch.setattr(queue.os, "write", write_on_a_full_disk)
        with pytest.raises(OSError, match="space"):
            writer.put_pending(key, b'{"n":"' + b"y" * size + b'"}\n')
        assert pending(tmp_path) == before
        monkeypatch.setattr(queue.os, "write", write)
    put("key 3", 8_000)
    put("new", 1)
    writer.close()


def test_lines_that_outgrow_their_places_alike_are_laid_out_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in turn: as many customers as are shed, every minute."""
    writer = QueueWriter(tmp_path)
    laid_out: list[int] = []
    lay_out = QueueWriter._lay_out_pending

    def counted(self: QueueWriter, of: Mapping[str, bytes]) -> None:
        laid_out.append(len(of))
        lay_out(self, of)

    monkeypatch.setattr(QueueWriter, "_lay_out_pending", counted)
    for _ in range(2):
        for size in (100, 600, 1_100):
            for key in range(40):
                writer.put_pending(f"{key}", b"x" * size + b"\n")
        assert len(pending(tmp_path)) == 40
        writer.join_pending()
    assert len(laid_out) == 2
    for key in range(40):
        writer.put_pending(f"{key}", b"x\n")
    for size in range(1_000, 100_000, 100):
        writer.put_pending("7", b"y" * size + b"\n")
    assert len(laid_out) < 20, "what one makes long by itself"
    (path,) = tmp_path.glob("*.pending")
    assert path.stat().st_size < 500_000, "is not room for each of the others"
    writer.close()


def test_a_dead_writers_pending_line_is_taken_in_and_a_living_ones_is_left(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys\nfrom cdesk.queue.writer import QueueWriter\n"
        "writer = QueueWriter(pathlib.Path(sys.argv[1]))\n"
        "writer.put_pending('a', b'{\"n\":1}\\n')\nos._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    living = QueueWriter(tmp_path)
    living.put_pending("a", b'{"n":2}\n')
    listing = finish_leftovers(tmp_path)
    assert [file.path.read_bytes().strip() for file in listing.files] == [b'{"n":1}']
    assert [name[:32] for name in listing.pending] == [living.writer]
    living.close()
    assert len(finish_leftovers(tmp_path).files) == 2


@pytest.mark.parametrize("is_sealed", [True, False])
def test_an_open_copy_beside_its_sealed_file_takes_nothing_from_it(
    tmp_path: Path, is_sealed: bool
) -> None:
    """Somebody put a copy of an open file back: both hold records, and both stay."""
    stem = tmp_path / f"{'a' * 32}-000001"
    stem.with_name(stem.name + ".open.ndjson").write_bytes(b"open\n")
    if is_sealed:
        stem.with_name(stem.name + ".ndjson").write_bytes(b"sealed\n")
    listing = finish_leftovers(tmp_path)
    assert all(file.sealed for file in listing.files)
    content = {file.path.read_bytes(): file.path for file in listing.files}
    assert set(content) == ({b"open\n", b"sealed\n"} if is_sealed else {b"open\n"})
    own = content[b"sealed\n" if is_sealed else b"open\n"]
    assert own.name == stem.name + ".ndjson", "what has landed by this name keeps it"


def test_lines_of_many_threads_stay_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "SEAL_BYTES", 500)
    writer = QueueWriter(tmp_path, durability="disk")

    def work(number: int) -> None:
        for step in range(25):
            writer.append(b"%d-%d\n" % (number, step))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    lines = content(tmp_path).split()
    assert sorted(lines) == sorted(
        b"%d-%d" % (number, step) for number in range(4) for step in range(25)
    )
    for number in range(4):
        own = [line for line in lines if line.startswith(b"%d-" % number)]
        assert own == [b"%d-%d" % (number, step) for step in range(25)]


class TestDiskDurability:
    def test_a_line_is_synced_before_append_returns(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[bytes] = []
        real = os.fsync
        monkeypatch.setattr(
            queue.os, "fsync", lambda fd: (synced.append(content(tmp_path)), real(fd))[1]
        )
        writer = QueueWriter(tmp_path, durability="disk")
        writer.append(LINE)
        assert synced == [LINE]
        writer.append(LINE)
        assert synced == [LINE, LINE * 2]
        writer.close()

    def test_a_sync_that_fails_is_an_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        writer = QueueWriter(tmp_path, durability="disk")
        writer.append(LINE)
        with monkeypatch.context() as patch:
            patch.setattr(queue.os, "fsync", refuse)
            with pytest.raises(QueueWriteError, match="Input/output"):
                writer.append(LINE)
        writer.append(LINE)
        writer.close()

    @pytest.mark.parametrize("has_next", [True, False])
    @pytest.mark.parametrize("is_on_disk", [True, False])
    def test_a_line_whose_file_was_sealed_meanwhile_counts_as_its_last_sync_says(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_on_disk: bool, has_next: bool
    ) -> None:
        """Another thread seals the file between a line's write and its sync, and may have begun
        the next one.
        """
        writer = QueueWriter(tmp_path, durability="disk")
        sync = writer._sync

        def sealed_first(place: tuple[int, int]) -> None:
            writer.seal()
            if has_next:
                writer._next_file()
            sync(place)

        def refuse(_: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(writer, "_sync", sealed_first)
            if is_on_disk:
                writer.append(LINE)
            else:
                patch.setattr(queue.os, "fsync", refuse)
                with pytest.raises(QueueWriteError, match="Input/output"):
                    writer.append(LINE)
        writer.append(LINE)  # of the next file, which is another matter
        writer.close()

    def test_one_sync_serves_all_who_wait(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        syncs: list[int] = []
        open_again, waiting = threading.Event(), threading.Event()

        def slow(_: int) -> None:
            syncs.append(1)
            waiting.set()
            assert open_again.wait(20)

        monkeypatch.setattr(queue.os, "fsync", slow)
        writer = QueueWriter(tmp_path, durability="disk")
        first = threading.Thread(target=writer.append, args=(LINE,))
        first.start()
        assert waiting.wait(20)
        others = [threading.Thread(target=writer.append, args=(LINE,)) for _ in range(5)]
        for thread in others:
            thread.start()
        while writer.records < 6:
            pass
        open_again.set()
        for thread in [first, *others]:
            thread.join()
        assert len(syncs) == 2
        writer.close()


def test_a_killed_process_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from cdesk.queue.writer import QueueWriter
writer = QueueWriter(Path({str(tmp_path)!r}))
number = 0
while True:
    writer.append(b"%d\\n" % number)
    sys.stdout.write(f"{{number}}\\n"); sys.stdout.flush()
    number += 1
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(500)]
        process.kill()
        seen += process.stdout.readlines()
    acknowledged = [line for line in seen if line.endswith(b"\n")]
    assert content(tmp_path).startswith(b"".join(acknowledged))
