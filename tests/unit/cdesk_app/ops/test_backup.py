"""A backup that is made while everything goes on, and what is refused of one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from landing_table import event, landed, make_landing

from cdesk import __version__
from cdesk.core.config import Settings
from cdesk.core.errors import CdeskError, NewerVersion, WarehouseUnavailable
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.queue.overview import gather
from cdesk.queue.writer import QueueWriter
from cdesk.state.database import SCHEMA_VERSION, open_state
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk_app.ops import backup as module
from cdesk_app.ops.backup import (
    FORMAT,
    MANIFEST,
    BackupRefused,
    Manifest,
    Member,
    _add,
    _copied,
    _is_ours,
    _queue_files,
    _told,
    check_backup,
    make_backup,
    read_manifest,
    restore_backup,
)
from uploader.backlog import BacklogWriter, HistoryBacklog
from uploader.uploader import Uploader


def settings(home: StateDirectory) -> Settings:
    return Settings(home=home.root, customer="ada")


def uploader(home: StateDirectory) -> Uploader:
    return Uploader(home, DuckDBWarehouse(home.warehouse))


@pytest.fixture
def full(state_home: StateDirectory) -> StateDirectory:
    """Something of everything."""
    make_landing(state_home.warehouse)
    with contextlib.closing(open_state(state_home.state_db)):
        pass
    writer = QueueWriter(state_home.queue)
    writer.append(event()[1])
    writer.close()
    waiting = BacklogWriter(state_home)
    waiting.write([event()[1]])
    waiting.close()
    result = state_home.artifacts / ("0" * 16) / "x.parquet"
    result.parent.mkdir(parents=True)
    result.write_bytes(b"PAR1")
    (state_home.root / "config.toml").write_text('customer = "ada"\n')
    return state_home


@pytest.fixture
def backup(full: StateDirectory, tmp_path: Path) -> Path:
    file = tmp_path / "backup.zip"
    make_backup(settings(full), full, file)
    return file


def test_what_was_acknowledged_before_it_is_there_once_after_it(
    full: StateDirectory, tmp_path: Path
) -> None:
    """A writer and an uploader go on all the while."""
    stop, before, ids = threading.Event(), [], set()

    def write() -> None:
        writer = QueueWriter(full.queue)
        while not stop.is_set():
            id, line = event()
            writer.append(line)
            before.append(id)
            if len(before) % 40 == 0:
                writer.seal()
                stop.wait(0.02)
        writer.close()

    def land() -> None:
        own = uploader(full)
        while not stop.is_set():
            own.drain()
            stop.wait(0.1)  # as the worker pauses
        own.close()

    threads = [threading.Thread(target=write), threading.Thread(target=land)]
    for thread in threads:
        thread.start()
    try:
        while len(before) < 200:
            stop.wait(0.01)
        ids = set(before)
        make_backup(settings(full), full, tmp_path / "b.zip")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    other = StateDirectory(tmp_path / "other")
    restore_backup(tmp_path / "b.zip", other.root)
    for path in other.queue.glob("*.lock"):
        path.unlink()
    own = uploader(other)
    assert own.drain().quarantined == 0
    own.close()
    found = [row[0] for row in landed(other.warehouse)]
    assert ids <= set(found)
    assert len(found) == len(set(found))
    assert gather(settings(full), full).last_backup.bytes == (tmp_path / "b.zip").stat().st_size


def test_it_is_private_and_comes_back_as_it_was(
    full: StateDirectory, backup: Path, tmp_path: Path
) -> None:
    assert backup.stat().st_mode & 0o077 == 0
    manifest = check_backup(backup)
    (tmp_path / "empty" / "queue").mkdir(parents=True)
    restore_backup(backup, tmp_path / "empty")
    for name in manifest.members:
        if not name.endswith(".db"):
            assert (tmp_path / "empty" / name).read_bytes() == (full.root / name).read_bytes()
            assert (tmp_path / "empty" / name).stat().st_mode & 0o077 == 0
    assert {"state.db", "warehouse.duckdb", "config.toml"} <= manifest.members.keys()
    for folder in ("artifacts/", "backlog/", "queue/"):
        assert any(name.startswith(folder) for name in manifest.members), folder
    with contextlib.closing(sqlite3.connect(tmp_path / "empty" / "state.db")) as state:
        assert state.execute("pragma quick_check").fetchone() == ("ok",)


def test_what_an_earlier_version_wrote_is_saved_as_it_reads_it(
    full: StateDirectory, tmp_path: Path
) -> None:
    """The way back to the release before."""
    with contextlib.closing(sqlite3.connect(full.state_db)) as state:
        state.execute("alter table tickets drop column least_customers")
        state.execute("pragma user_version = 5")
    make_backup(settings(full), full, tmp_path / "b.zip")
    restore_backup(tmp_path / "b.zip", tmp_path / "back")
    with contextlib.closing(sqlite3.connect(tmp_path / "back" / "state.db")) as state:
        assert state.execute("pragma user_version").fetchone() == (5,)
    assert not full.backing_up.exists()


def test_files_of_other_names_do_not_make_a_backup_that_nobody_can_restore(
    full: StateDirectory, tmp_path: Path
) -> None:
    """Somebody's own, put into our folders."""
    strays = ["queue/my export (1).ndjson", "queue/Übersicht.ndjson", "artifacts/a b/ü 1.parquet"]
    if sys.platform != "win32":
        (full.queue / "a:b\\c.ndjson").write_bytes(b"left out")
    if sys.platform == "linux":
        (full.queue / os.fsdecode(b"a\xffb.ndjson")).write_bytes(b"left out")
    for stray in strays:
        (full.root / stray).parent.mkdir(exist_ok=True)
        (full.root / stray).write_bytes(stray.encode())
    make_backup(settings(full), full, tmp_path / "b.zip")
    restore_backup(tmp_path / "b.zip", tmp_path / "back")
    for stray in strays:
        assert (tmp_path / "back" / stray).read_bytes() == stray.encode()
    restored = [path.read_bytes() for path in (tmp_path / "back" / "queue").iterdir()]
    assert b"left out" not in restored


def test_only_a_state_directory_around_it_forbids_a_place(backup: Path, tmp_path: Path) -> None:
    """Its database and its queue: one of both alone may be anybody's."""
    for name in ("database", "queue"):
        (tmp_path / name).mkdir()
    (tmp_path / "database" / "state.db").touch()
    (tmp_path / "queue" / "queue").mkdir()
    for name in ("database", "queue"):
        restore_backup(backup, tmp_path / name / "restored")
        assert (tmp_path / name / "restored" / "state.db").exists()


@pytest.mark.parametrize(
    ("mounted", "writable", "stays"),
    [(True, True, True), (False, False, True), (False, True, False)],
)
def test_a_volume_or_a_folder_among_others_is_filled_in_place(
    mounted: bool,
    writable: bool,
    stays: bool,
    backup: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / "root"
    for name in ("queue", "of/others"):
        (root / name).mkdir(parents=True)
    place, told = root.stat().st_ino, []
    (tmp_path / ".root.restoring").mkdir()
    (tmp_path / ".root.restoring" / "half").touch()
    monkeypatch.setattr(os.path, "ismount", lambda _: mounted)
    monkeypatch.setattr(os, "access", lambda *_: writable)
    manifest = restore_backup(backup, root, tell=told.append)
    assert (root.stat().st_ino == place) is stays
    assert told == list(manifest.members)
    assert not (root / "of").exists()
    assert not (tmp_path / ".root.restoring").exists()
    assert (root / "state.db").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_in_the_place_is_somebodys(backup: Path, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BackupRefused, match="is not empty"):
        restore_backup(backup, tmp_path / "root")


def test_a_living_directory_is_not_touched(full: StateDirectory, backup: Path) -> None:
    before = sorted(path for path in full.root.rglob("*"))
    with pytest.raises(BackupRefused, match=r"is not empty.*nothing in it was touched.*--to"):
        restore_backup(backup, full.root)
    with pytest.raises(BackupRefused, match=r"is within .*restore beside it"):
        restore_backup(backup, full.root / "sub" / "restored")
    assert sorted(path for path in full.root.rglob("*")) == before


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_to_another_disk_is_followed(backup: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "elsewhere")
    restore_backup(backup, tmp_path / "linked")
    assert (tmp_path / "linked").is_symlink()
    assert (tmp_path / "elsewhere" / "state.db").exists()


def test_a_folder_that_stays_takes_it_in_whole_also_after_one_that_died(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a container's volume, or the service's own folder in one of the system's."""
    volume = StateDirectory(tmp_path / "volume")
    (volume.root / "queue").mkdir(parents=True)
    place = volume.root.stat().st_ino
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == volume.root)
    volume.restoring.mkdir()
    (volume.restoring / "state.db").write_bytes(b"half")
    manifest = restore_backup(backup, volume.root)
    assert volume.root.stat().st_ino == place
    found = {p.relative_to(volume.root).as_posix() for p in volume.root.rglob("*") if p.is_file()}
    assert found == set(manifest.members)
    assert not volume.restoring.exists()
    assert not volume.restoring_beside.exists()
    with pytest.raises(BackupRefused, match="is not empty"):
        restore_backup(backup, volume.root)


def test_a_file_in_the_place_of_the_directory_is_left_alone(backup: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(BackupRefused, match="is no folder"):
        restore_backup(backup, tmp_path / "file")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_a_file_that_is_there_is_not_replaced(full: StateDirectory, backup: Path) -> None:
    before = backup.read_bytes()
    with pytest.raises(BackupRefused, match="is there already"):
        make_backup(settings(full), full, backup)
    assert backup.read_bytes() == before


def test_a_directory_is_not_backed_up_into_itself(full: StateDirectory, tmp_path: Path) -> None:
    folders = [full.root, full.root / "new"]
    if sys.platform != "win32":  # links need a privilege there
        (tmp_path / "link").symlink_to(full.root)
        folders.append(tmp_path / "link")
    for folder in folders:
        with pytest.raises(BackupRefused, match="within the directory"):
            make_backup(settings(full), full, folder / "b.zip")
    assert not (full.root / "new").exists()


def test_it_says_what_it_holds_and_who_made_it_when(full: StateDirectory, tmp_path: Path) -> None:
    for name in ("config.toml", "catalog.json", "link_keys.json", "kill_switch.json"):
        (full.root / name).write_text(name, encoding="utf-8")
    for name in ("access.db", "context.db", "imports.db", "capture.db", "others.db"):
        with contextlib.closing(sqlite3.connect(full.root / name)) as database:
            database.execute("create table t (x)")
    (full.root / "dashboard.html").write_text("made anew", encoding="utf-8")
    (full.artifacts / ("0" * 16) / "x.svg").write_text("made anew", encoding="utf-8")
    (full.queue / "archive").mkdir()
    (full.queue / "archive" / f"{'1' * 32}-000001.ndjson").write_text("old", encoding="utf-8")
    now_ns, told, seen = 1_790_000_000_000_000_000, [], []
    file = tmp_path / "new" / "b.zip"

    def tell(step: str) -> None:
        told.append(step)
        if step == "queue":
            seen.extend(path.name[:7] for path in file.parent.iterdir())
            assert orjson.loads(full.backing_up.read_bytes()) == {
                "file": str(file),
                "at": "2026-09-21T14:13:20.000000Z",
            }

    made = make_backup(settings(full), full, file, now_ns=lambda: now_ns, tell=tell)
    databases = ["state.db", "context.db", "access.db", "imports.db", "capture.db"]
    assert told == [*databases, "queue", "warehouse", "results"]
    assert sorted(seen) == [".b.zip.", ".cdesk-"], "the copies of databases are beside it meanwhile"
    assert [path.name for path in file.parent.iterdir()] == ["b.zip"]
    assert not full.backing_up.exists()
    assert (made.format, made.version, made.at, made.target, made.state) == (
        *(FORMAT, __version__, "2026-09-21T14:13:20.000000Z", "duckdb", SCHEMA_VERSION),
    )
    names = [name for name in made.members if not name.startswith(("queue/", "backlog/"))]
    assert names == [
        *databases,
        "warehouse.duckdb",
        f"artifacts/{'0' * 16}/x.parquet",
        *("config.toml", "catalog.json", "link_keys.json", "kill_switch.json"),
    ]
    assert f"queue/archive/{'1' * 32}-000001.ndjson" in made.members
    content = b"config.toml"
    assert made.members["config.toml"] == Member(11, hashlib.sha256(content).hexdigest())
    assert made.bytes == sum(one.bytes for one in made.members.values())
    assert read_manifest(file) == check_backup(file) == made
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist()[-2:] == [MANIFEST, "seal"]
        assert archive.read(MANIFEST).count(b"\n") > len(made.members), "a person reads it"
    last = gather(settings(full), full).last_backup
    assert (last.at, last.bytes, last.file) == (made.at, file.stat().st_size, str(file))


def test_a_directory_without_a_warehouse_is_saved_too(
    state_home: StateDirectory, tmp_path: Path
) -> None:
    """As one of Snowflake's, or one that has not been built."""
    made = make_backup(settings(state_home), state_home, tmp_path / "b.zip")
    assert "warehouse.duckdb" not in made.members
    assert restore_backup(tmp_path / "b.zip", tmp_path / "back") == made
    assert (tmp_path / "back" / "queue").is_dir()


def test_a_landing_under_way_is_waited_for_and_not_for_ever(
    full: StateDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = FileLock(full.queue / "uploader.lock")
    assert lock.acquire()
    sleeps: list[float] = []

    def sleep(seconds: float) -> None:
        if not sleeps:
            lock.release()
        sleeps.append(seconds)

    clock = SimpleNamespace(monotonic=time.monotonic, sleep=sleep)
    monkeypatch.setattr(module, "time", clock)
    make_backup(settings(full), full, tmp_path / "b.zip")
    assert lock.acquire(), "it is free again afterwards"
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.0)
    with pytest.raises(WarehouseUnavailable, match="a landing goes on and on"):
        make_backup(settings(full), full, tmp_path / "c.zip")
    lock.release()
    assert not (tmp_path / "c.zip").exists()
    assert not full.backing_up.exists()


def test_a_build_under_way_is_waited_for_as_long(
    full: StateDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    made = DuckDBWarehouse.__init__

    def init(warehouse: DuckDBWarehouse, path: Path, **more: Any) -> None:
        waited.append(more["read_wait"])
        made(warehouse, path, **more)

    monkeypatch.setattr(DuckDBWarehouse, "__init__", init)
    make_backup(settings(full), full, tmp_path / "b.zip")
    assert waited == [module.WAIT_SECONDS] == [60.0]


def test_an_erasure_that_has_not_ended_comes_first(full: StateDirectory, tmp_path: Path) -> None:
    full.erasing.touch()
    with pytest.raises(BackupRefused, match="an erasure has begun and not ended"):
        make_backup(settings(full), full, tmp_path / "b.zip")
    assert list(tmp_path.glob("*.zip")) == []


def test_what_is_no_queue_file_of_ours_stays_out(state_home: StateDirectory) -> None:
    queue = state_home.queue
    for name in ("b.ndjson", "a.ndjson", "uploader.lock", ".hidden"):
        (queue / name).touch()
    (queue / "folder").mkdir()
    if sys.platform != "win32":  # links need a privilege there
        (queue / "link.ndjson").symlink_to(queue / "a.ndjson")
    (queue / "archive").mkdir(exist_ok=True)
    (queue / "archive" / "c.ndjson").touch()
    state_home.backlog.mkdir(exist_ok=True)
    (state_home.backlog / "z.ndjson").touch()
    found = [path.relative_to(state_home.root).as_posix() for path in _queue_files(state_home)]
    assert found == [
        *("backlog/z.ndjson", "queue/a.ndjson", "queue/b.ndjson", "queue/archive/c.ndjson")
    ]


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("state.db", True),
        ("queue/archive/x.ndjson", True),
        ("a/b/c/d", True),
        ("a/b/c/d/e", False),
        ("/etc/passwd", False),
        ("../x", False),
        ("a/../x", False),
        ("./x", False),
        (".", False),
        ("a.b/..c", True),
        ("a//x", False),
        ("a\\x", False),
        ("C:x", False),
        ("a\nx", False),
        ("a\u202ex", False),
        ("", False),
    ],
)
def test_a_name_stays_below_the_directory_on_every_platform(name: str, ours: bool) -> None:
    assert _is_ours(name) is ours


def test_a_file_may_grow_beyond_what_its_entry_was_made_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue or a warehouse of more than 4 GiB."""
    (tmp_path / "file").write_bytes(b"x" * 200)
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    members: dict[str, Member] = {}
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        _add(archive, members, "file", tmp_path / "file")
    assert members["file"].bytes == 200


@pytest.mark.parametrize(
    ("said", "sound"),
    [
        (Member(8, hashlib.sha256(b"12345678").hexdigest()), True),
        (Member(9, hashlib.sha256(b"12345678").hexdigest()), False),
        (Member(8, hashlib.sha256(b"1234").hexdigest()), False),
        (Member(4, hashlib.sha256(b"1234").hexdigest()), False),
        (Member(0, hashlib.sha256(b"").hexdigest()), False),
    ],
)
def test_a_member_of_another_size_or_content_is_refused_before_it_fills_the_disk(
    said: Member, sound: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 4)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("file", b"12345678")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        if sound:
            _copied(archive, "file", said, tmp_path / "file", tmp_path / "b.zip")
        else:
            with pytest.raises(BackupRefused, match="file is not what was written"):
                _copied(archive, "file", said, tmp_path / "file", tmp_path / "b.zip")
    most = 8 if said.bytes > 0 else 4
    assert (tmp_path / "file").stat().st_size == most


def test_a_manifest_that_would_fill_the_memory_is_not_read(
    backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(backup) as archive:
        size = archive.getinfo(MANIFEST).file_size
    monkeypatch.setattr(module, "_MOST_MANIFEST", size)
    assert isinstance(read_manifest(backup), Manifest)
    monkeypatch.setattr(module, "_MOST_MANIFEST", size - 1)
    with pytest.raises(BackupRefused, match="its manifest is too large"):
        read_manifest(backup)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError(13, "Permission denied", "a.db"), "a.db: Permission denied"),
        (OSError("out of luck"), "out of luck"),
        (sqlite3.OperationalError("disk I/O error"), "disk I/O error"),
    ],
)
def test_what_an_error_says_is_told_with_its_file(error: Exception, told: str) -> None:
    assert _told(error) == told


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


def _halved(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def _flipped(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        at = archive.getinfo("warehouse.duckdb").header_offset + 200
    data = bytearray(file.read_bytes())
    data[at] ^= 0xFF
    file.write_bytes(bytes(data))


def _again(file: Path, name: str, content: bytes | None, *, as_name: str | None = None) -> None:
    """The archive written anew by somebody's tool, sound as a zip, one member another."""
    with zipfile.ZipFile(file) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    old = members.pop(name)
    if content is not None or as_name:
        members[as_name or name] = old if content is None else content
    with zipfile.ZipFile(file, "w") as archive:
        for one, data in members.items():
            archive.writestr(one, data)


def _edited(file: Path) -> None:
    _again(file, "config.toml", b'customer = "eve"\n')


def _lacking(file: Path) -> None:
    _again(file, "state.db", None)


def _outside(file: Path) -> None:
    _again(file, "config.toml", None, as_name="../config.toml")


def _other_manifest(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        manifest = orjson.loads(archive.read(MANIFEST))
    manifest["at"] = "2020-01-01T00:00:00.000000Z"
    _again(file, MANIFEST, orjson.dumps(manifest))


def _rewritten(file: Path, change: Callable[[Any], Any]) -> None:
    """With a manifest that somebody sealed again."""
    with zipfile.ZipFile(file) as archive:
        text = orjson.dumps(change(orjson.loads(archive.read(MANIFEST))))
    _again(file, MANIFEST, text)
    _again(file, "seal", hashlib.sha256(text).hexdigest().encode())


def _no_object(file: Path) -> None:
    _rewritten(file, lambda _: [])


def _no_members(file: Path) -> None:
    _rewritten(file, lambda manifest: manifest | {"members": []})


def _no_size(file: Path) -> None:
    member = {"bytes": "many", "sha256": ""}
    _rewritten(file, lambda one: one | {"members": one["members"] | {"state.db": member}})


def _no_format(file: Path) -> None:
    _rewritten(file, lambda manifest: manifest | {"format": "none"})


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _no_zip(file: Path) -> None:
    file.write_bytes(b"hello")


@pytest.mark.parametrize(
    "damage",
    [
        *(_cut, _halved, _flipped, _edited, _lacking, _outside, _other_manifest, _no_zip, _folder),
        *(_no_object, _no_members, _no_size, _no_format, Path.unlink),
    ],
)
def test_what_is_cut_or_edited_is_refused_and_nothing_is_left(
    backup: Path, tmp_path: Path, damage: object
) -> None:
    assert callable(damage)
    damage(backup)
    with pytest.raises(CdeskError, match=r"no whole backup|is not there"):
        check_backup(backup)
    with pytest.raises(CdeskError):
        restore_backup(backup, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert not (tmp_path / ".other.restoring").exists()


@pytest.mark.parametrize("grown", ["state", "format"])
def test_one_of_a_newer_version_is_refused_with_what_to_do(grown: str, backup: Path) -> None:
    with zipfile.ZipFile(backup) as archive:
        manifest = orjson.loads(archive.read(MANIFEST))
    manifest[grown] += 1
    _again(backup, MANIFEST, orjson.dumps(manifest))
    with pytest.raises(NewerVersion, match=r"made by a newer cdesk.*upgrade this one"):
        read_manifest(backup)


def test_a_full_disk_leaves_no_half_backup(
    full: StateDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full_disk)
    with pytest.raises(CdeskError, match="No space left on device"):
        make_backup(settings(full), full, tmp_path / "sub" / "b.zip")
    assert list((tmp_path / "sub").iterdir()) == []
    shutil.rmtree(tmp_path / "sub")


def test_a_file_that_may_not_be_read_is_named(
    full: StateDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (waiting,) = full.queue.glob("*.ndjson")
    opened = Path.open

    def refused(path: Path, *args: Any, **more: Any) -> Any:
        if path == waiting:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **more)

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(CdeskError, match=f"{waiting.name}: Permission denied"):
        make_backup(settings(full), full, tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()
    assert not full.backing_up.exists()


def test_a_directory_that_went_on_brings_its_small_results_along(
    full: StateDirectory, tmp_path: Path
) -> None:
    folder = full.artifacts / ("0" * 16)
    (folder / "01a219a.pack").write_bytes(b"as it is now")
    make_backup(settings(full), full, tmp_path / "again.zip")
    (folder / "01a219a.pack").write_bytes(b"as it went on")
    (folder / "01a219b.pack").write_bytes(b"new")
    root = tmp_path / "restored"
    (folder / "y.parquet").write_bytes(b"PAR1 new")
    (folder / "x.parquet").write_bytes(b"never written again")
    told: list[str] = []
    made = restore_backup(tmp_path / "again.zip", root, queue_of=full, tell=told.append)
    assert told == [*made.members, "queue"]
    results = {path.name: path.read_bytes() for path in root.rglob("*.parquet")}
    assert results == {"x.parquet": b"PAR1", "y.parquet": b"PAR1 new"}
    packs = {path.name: path.read_bytes() for path in root.rglob("*.pack")}
    assert packs == {"01a219a.pack": b"as it went on", "01a219b.pack": b"new"}


def test_histories_that_wait_come_along_once_wherever_they_stand_by_now(
    full: StateDirectory, backup: Path, tmp_path: Path
) -> None:
    """The index of imports says that they were brought in: nobody brings them in again."""
    (moved,) = HistoryBacklog(full).waiting()
    assert HistoryBacklog(full).admit(0) == 1
    waiting = BacklogWriter(full)
    waiting.write([event()[1]])
    waiting.close()
    (new,) = HistoryBacklog(full).waiting()
    root = tmp_path / "restored"
    restore_backup(backup, root, queue_of=full)
    found = [path.relative_to(root).as_posix() for path in root.rglob("*.ndjson")]
    assert f"queue/{moved.name}" in found
    assert f"backlog/{new.name}" in found
    assert f"backlog/{moved.name}" not in found


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        (("a.open.ndjson",), "a.open.ndjson"),
        (("a.ndjson",), "a.ndjson"),
        (("a.open.ndjson", "a.ndjson"), "a.open.ndjson"),
        ((), None),
    ],
)
def test_a_file_that_is_sealed_while_it_is_looked_for_comes_along_by_its_new_name(
    there: tuple[str, ...], taken: str | None, tmp_path: Path
) -> None:
    stem = f"{'0' * 32}-000001"
    for name in there:
        (tmp_path / name.replace("a", stem)).write_bytes(name.encode())
    members: dict[str, Member] = {}
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        name = f"{stem}.open.ndjson"
        _add(archive, members, f"queue/{name}", tmp_path / name)
        found = {one: archive.read(one) for one in archive.namelist()}
    expected = {f"queue/{taken.replace('a', stem, 1)}": taken.encode()} if taken else {}
    assert found == expected
    assert members.keys() == expected.keys()
