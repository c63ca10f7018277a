"""Files that have landed: where they are kept, how long, and when they land again."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from cdesk.core.config import LEAST_RETENTION_DAYS
from cdesk.queue.files import QueueFile
from uploader import archive as module
from uploader.archive import Archive, ArchivedFile

DAY = 86_400
NOW = 1_800_000_000.0


def stem(number: int) -> str:
    return f"{'a' * 32}-{number:06d}"


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    (tmp_path / "archive").mkdir()
    return tmp_path


def put(
    queue: Path, number: int, *, last: int = 7, age: float = 0.0, packed: bytes | None = None
) -> Path:
    """An archived file, `age` seconds old at `NOW`."""
    name = f"{stem(number)}.{last}.ndjson" + (".gz" if packed is not None else "")
    path = queue / "archive" / name
    path.write_bytes(b"{}\n{}\n" if packed is None else packed)
    os.utime(path, (NOW - age, NOW - age))
    return path


def names(queue: Path) -> list[str]:
    return sorted(path.name for path in (queue / "archive").iterdir())


def test_a_file_is_put_away_under_the_place_of_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / f"{stem(1)}.ndjson"
    path.write_bytes(b"{}\n{}\n")
    os.utime(path, (NOW - 90 * DAY, NOW - 90 * DAY))
    before = time.time()
    Archive(tmp_path).put(QueueFile("a" * 32, 1, True, path), 3)
    (kept,) = (tmp_path / "archive").iterdir()
    assert (kept.name, path.exists()) == (f"{stem(1)}.3.ndjson", False)
    assert kept.stat().st_mtime >= before - 2, "it is kept for its days from now on"
    if os.name != "nt":
        assert (tmp_path / "archive").stat().st_mode & 0o777 == 0o700


def test_a_file_that_cannot_be_put_away_stays_where_it_was(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Archive(tmp_path).put(QueueFile("a" * 32, 1, True, tmp_path / "gone.ndjson"), 3)


def test_files_are_listed_by_name_and_nothing_else_is(queue: Path) -> None:
    assert Archive(queue / "nowhere").files() == []
    second = put(queue, 2, last=10, packed=gzip.compress(b"{}\n"))
    first = put(queue, 1, last=0)
    for other in ("notes.txt", f"{stem(3)}.ndjson", f".{stem(3)}.1.ndjson", f"{stem(3)}.x.ndjson"):
        (queue / "archive" / other).touch()
    (queue / "archive" / f"{stem(3)}.1.ndjson").mkdir()
    assert Archive(queue).files() == [
        ArchivedFile(f"{stem(1)}.ndjson", 0, first, compressed=False),
        ArchivedFile(f"{stem(2)}.ndjson", 10, second, compressed=True),
    ]
    (queue / "file").touch()
    assert Archive(queue / "file").files() == []


def test_what_an_earlier_version_archived_is_taken_over(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.take_over()
    assert not (tmp_path / "archive").exists()
    former = tmp_path / "shipped"
    former.mkdir()
    (former / f"{stem(1)}.3.ndjson").write_bytes(b"{}\n")
    (former / "notes.txt").touch()
    (former / f"{stem(2)}.3.ndjson").mkdir()
    archive.take_over()
    assert names(tmp_path) == [f"{stem(1)}.3.ndjson"]
    assert sorted(path.name for path in former.iterdir()) == [f"{stem(2)}.3.ndjson", "notes.txt"]
    (former / f"{stem(2)}.3.ndjson").rmdir()
    (former / "notes.txt").unlink()
    archive.take_over()
    assert not former.exists()
    former.write_bytes(b"no folder")
    archive.take_over()
    assert former.exists()


# -- landing again


def test_files_whose_last_line_is_gone_from_the_warehouse_land_again(queue: Path) -> None:
    for number in (1, 2, 3, 4):
        os.utime(put(queue, number, last=7))
    packed = put(queue, 5, last=0, packed=gzip.compress(b"{}\n"))
    os.utime(packed)
    (queue / f"{stem(4)}.ndjson").write_bytes(b"stands in the queue")
    positions = {f"{stem(1)}.ndjson": 7, f"{stem(2)}.ndjson": 6}
    returned = Archive(queue).put_back(positions)
    assert returned == [f"{stem(2)}.ndjson", f"{stem(3)}.ndjson", f"{stem(5)}.ndjson"]
    assert names(queue) == [f"{stem(1)}.7.ndjson", f"{stem(4)}.7.ndjson"]
    assert (queue / f"{stem(2)}.ndjson").read_bytes() == b"{}\n{}\n"
    assert (queue / f"{stem(5)}.ndjson").read_bytes() == b"{}\n"
    assert (queue / f"{stem(4)}.ndjson").read_bytes() == b"stands in the queue"
    if os.name != "nt":
        assert (queue / f"{stem(5)}.ndjson").stat().st_mode & 0o777 == 0o600


def test_what_retention_may_have_taken_stays_out(
    queue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: NOW))
    retention = LEAST_RETENTION_DAYS * DAY
    put(queue, 1, age=retention + 1)
    put(queue, 2, age=retention)
    assert Archive(queue).put_back({}) == [f"{stem(2)}.ndjson"]
    assert names(queue) == [f"{stem(1)}.7.ndjson"]


@pytest.mark.parametrize("damage", ["cut", "changed", "none of gzip"])
def test_a_damaged_file_is_set_aside_under_its_name(
    queue: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = gzip.compress(b"{}\n" * 100)
    packed = {
        "cut": whole[:-9],
        "changed": whole[:12] + b"\xff\xff\xff" + whole[15:],
        "none of gzip": b"{}\n",
    }[damage]
    path = put(queue, 1, packed=packed)
    os.utime(path)
    os.utime(put(queue, 2))
    assert Archive(queue).put_back({}) == [f"{stem(2)}.ndjson"]
    assert names(queue) == [f"{path.name}.damaged"]
    assert f"{path.name} is damaged" in caplog.text


def test_a_file_that_cannot_be_put_back_is_left_for_later(
    queue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        os.utime(put(queue, number, packed=gzip.compress(b"{}\n")))
    opened = gzip.open

    def refuse(path: Path, mode: str) -> object:
        if stem(1) in path.name:
            raise PermissionError(13, "Permission denied")
        return opened(path, mode)

    with monkeypatch.context() as broken:
        broken.setattr(module.gzip, "open", refuse)
        assert Archive(queue).put_back({}) == [f"{stem(2)}.ndjson"]
    assert names(queue) == [f"{stem(1)}.7.ndjson.gz"]
    assert Archive(queue).put_back({}) == [f"{stem(1)}.ndjson"]


def test_a_crash_while_unpacking_leaves_no_half_of_a_file(
    queue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(put(queue, 1, packed=gzip.compress(b"{}\n")))

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.shutil, "copyfileobj", crash)
    with pytest.raises(KeyboardInterrupt):
        Archive(queue).put_back({})
    assert names(queue) == [f"{stem(1)}.7.ndjson.gz"]
    assert [path.name for path in queue.iterdir()] == ["archive"]


# -- cleaning up


def test_a_file_is_packed_after_an_hour_and_goes_after_its_days(queue: Path) -> None:
    put(queue, 1, age=3_600)
    old = put(queue, 2, age=3_601)
    put(queue, 3, age=14 * DAY)
    put(queue, 4, age=14 * DAY + 1)
    put(queue, 5, age=14 * DAY, packed=gzip.compress(b"{}\n"))
    put(queue, 6, age=14 * DAY + 1, packed=gzip.compress(b"{}\n"))
    archive = Archive(queue)
    assert archive.clean_up(now=NOW, max_seconds=60.0) == 4
    assert names(queue) == [
        f"{stem(1)}.7.ndjson",
        f"{stem(2)}.7.ndjson.gz",
        f"{stem(3)}.7.ndjson.gz",
        f"{stem(5)}.7.ndjson.gz",
    ]
    packed = old.with_name(old.name + ".gz")
    raw = packed.read_bytes()
    assert gzip.decompress(raw) == b"{}\n{}\n"
    assert packed.stat().st_mtime == NOW - 3_601, "its days are those of what it holds"
    assert raw[3] & 0x08 == 0, "it says no name: one that is packed again is the same"
    if os.name != "nt":
        assert packed.stat().st_mode & 0o777 == 0o600
    assert archive.clean_up(now=NOW, max_seconds=60.0) == 0
    assert Archive(queue, keep_days=1.0).clean_up(now=NOW, max_seconds=60.0) == 2
    recent = Archive(queue, compress_after_seconds=3_599.0)
    assert recent.clean_up(now=NOW, max_seconds=60.0) == 1


def test_without_a_moment_files_are_as_old_as_they_are(queue: Path) -> None:
    os.utime(put(queue, 1))
    put(queue, 2, age=NOW - time.time() + 15 * DAY)
    assert Archive(queue).clean_up(max_seconds=60.0) == 1
    assert names(queue) == [f"{stem(1)}.7.ndjson"]


def test_cleaning_up_ends_after_its_time(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2, 3):
        put(queue, number, age=15 * DAY)
    ticks: Iterator[float] = iter([100.0, 100.5, 101.0, 101.5, 102.0])
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    assert Archive(queue).clean_up(now=NOW) == 2
    assert names(queue) == [f"{stem(3)}.7.ndjson"]


def test_what_cannot_be_cleaned_up_now_is_passed_by(
    queue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        put(queue, number, age=7_200)
    packs = module._compress

    def refuse(path: Path, modified: float) -> None:
        if stem(1) in path.name:
            raise PermissionError(13, "Permission denied")
        packs(path, modified)

    with monkeypatch.context() as broken:
        broken.setattr(module, "_compress", refuse)
        assert Archive(queue).clean_up(now=NOW, max_seconds=60.0) == 1
    assert names(queue) == [f"{stem(1)}.7.ndjson", f"{stem(2)}.7.ndjson.gz"]


def test_a_crash_while_packing_leaves_the_file_as_it_was(
    queue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever of it had been done: the packed file takes its place whole, or not at all."""
    path = put(queue, 1, age=7_200)
    real = os.fsync

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    for name in ("fsync", "utime"):
        with monkeypatch.context() as broken:
            broken.setattr(module.os, name, crash)
            with pytest.raises(KeyboardInterrupt):
                Archive(queue).clean_up(now=NOW, max_seconds=60.0)
        assert names(queue) == [path.name]
        assert path.read_bytes() == b"{}\n{}\n"
    seen: list[bytes] = []

    def synced(fd: int) -> None:
        (partial,) = (queue / "archive").glob(".*.partial")
        seen.append(gzip.decompress(partial.read_bytes()))
        real(fd)

    monkeypatch.setattr(module.os, "fsync", synced)
    Archive(queue).clean_up(now=NOW, max_seconds=60.0)
    assert seen == [b"{}\n{}\n"], "whole on the disk before the other one goes"
