"""Who has the file open when, with what limits, and what is said to those who can't have it."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from landing_table import make_landing, query

from cdesk.core.errors import (
    QueryCancelled,
    WarehouseError,
    WarehouseNotBuilt,
    WarehouseUnavailable,
)
from cdesk.core.processes import NICENESS
from cdesk.warehouse import duckdb_file
from cdesk.warehouse.duckdb_file import DuckDBFile, first_line, refuse, transaction
from tests.in_background import ONLY_WHERE_THREADS_DIFFER, in_background

HELD = duckdb.IOException(
    'IO Error: Could not set lock on file "w.duckdb": Conflicting lock is held in python (PID 4711)'
    "\nSee also the docs"
)
INSERT = (
    "insert into activities.landing (id, kind, payload, source_file, source_offset, landed_at) "
    "values (?, 'event', '1', 'f', 0, now()::timestamp)"
)
COUNT = "select count(*) from activities.landing"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_landing(tmp_path / "warehouse.duckdb")


def file_of(path: Path, **options: Any) -> DuckDBFile:
    given: dict[str, Any] = {
        "land_wait": 0.0,
        "read_wait": 0.0,
        "land_memory": "61MB",
        "read_memory": "201MB",
        "threads": 3,
        "rng": random.Random(1),
        "sleep": time.sleep,
        **options,
    }
    return DuckDBFile(path, **given)


@pytest.fixture
def file(path: Path) -> DuckDBFile:
    return file_of(path)


def setting(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    return str(connection.execute(f"select current_setting('{name}')").fetchall()[0][0])


def settings(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    names = ("memory_limit", "threads", "enable_external_access", "lock_configuration")
    return {name: setting(connection, name) for name in names}


def in_another_thread(do: Callable[[], object]) -> list[Exception]:
    """Runs it to its end; what it raised."""
    raised: list[Exception] = []

    def run() -> None:
        try:
            do()
        except (WarehouseError, AssertionError) as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    return raised


@contextmanager
def others_hold_it(
    monkeypatch: pytest.MonkeyPatch, times: int = 10**9, error: Exception = HELD
) -> Iterator[list[int]]:
    """DuckDB refuses the file so many times; how often it was asked."""
    connect, asked = duckdb.connect, [0]

    def refusing(*given: Any, **options: Any) -> duckdb.DuckDBPyConnection:
        asked[0] += 1
        if asked[0] <= times:
            raise error
        return connect(*given, **options)

    with monkeypatch.context() as patched:
        patched.setattr(duckdb, "connect", refusing)
        yield asked


# -- what each has


def test_each_has_the_limits_that_it_was_given_and_readers_nothing_but_the_file(
    file: DuckDBFile,
) -> None:
    closed = {"enable_external_access": "False", "lock_configuration": "True"}
    with file.reading() as cursor:
        assert settings(cursor) == {"memory_limit": "191.6 MiB", "threads": "3", **closed}
        assert setting(cursor, "TimeZone") == "UTC"
    with file.scanning() as connection:
        assert settings(connection) == {"memory_limit": "91.5 MiB", "threads": "3", **closed}
        assert setting(connection, "TimeZone") == "UTC"
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("create table x (y integer)")
    with file.writing() as connection:
        found = settings(connection)
        assert (found["memory_limit"], found["threads"]) == ("58.1 MiB", "1")
        assert setting(connection, "python_enable_replacements") == "False"


def test_reads_share_one_instance_and_the_last_closes_it(file: DuckDBFile, path: Path) -> None:
    with file.reading() as one:
        with file.reading() as other:
            assert one is not other
            one.execute("set variable x = 1")
            assert other.execute(COUNT).fetchall() == [(0,)]
        assert one.execute(COUNT).fetchall() == [(0,)], "one of two has left"
        with pytest.raises(duckdb.Error, match="different configuration"):
            duckdb.connect(path)
    with file.writing() as connection:
        assert connection.execute(COUNT).fetchall() == [(0,)]
    with pytest.raises(duckdb.ConnectionException):
        one.execute(COUNT)


@ONLY_WHERE_THREADS_DIFFER
def test_what_reads_share_is_opened_by_no_background_and_what_writes_is(
    file: DuckDBFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's threads are as nice as who opened it, and a question may read it next."""
    opened: list[int] = []
    real = DuckDBFile._connect

    def noting(*given: Any, **options: Any) -> Any:
        opened.append(os.nice(0))
        return real(*given, **options)

    def use() -> None:
        with file.reading() as cursor:
            assert cursor.execute(COUNT).fetchall() == [(0,)]
        with file.writing():
            pass

    monkeypatch.setattr(DuckDBFile, "_connect", noting)
    with in_background() as run:
        run(use)
    assert opened == [os.nice(0), min(os.nice(0) + NICENESS, 19)]


def test_reads_inside_a_block_use_what_it_opened(
    file: DuckDBFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not file.kept_here
    with others_hold_it(monkeypatch, 0) as asked:
        with file.kept_for_reading(None):
            assert file.kept_here
            elsewhere: list[bool] = []
            in_another_thread(lambda: elsewhere.append(file.kept_here))
            assert elsewhere == [False]
            for _ in range(2):
                with file.reading() as cursor:
                    assert cursor.execute(COUNT).fetchall() == [(0,)]
        assert asked == [1]
    assert not file.kept_here
    with file.reading() as cursor:
        assert cursor.execute(COUNT).fetchall() == [(0,)]


def test_landings_inside_a_block_use_one_connection(file: DuckDBFile) -> None:
    with file.kept_for_writing():
        with file.writing() as one, file.writing() as other:
            assert one is other
        assert one.execute(COUNT).fetchall() == [(0,)], "it stays open"
        [refused] = in_another_thread(lambda: enter(file.writing()))
        assert isinstance(refused, WarehouseUnavailable), "it is of this thread alone"
    with file.writing() as after:
        assert after is not one
    with pytest.raises(duckdb.ConnectionException):
        one.execute(COUNT)


def enter(context: AbstractContextManager[Any]) -> None:
    with context:
        pass


def test_who_writes_says_so_before_and_after_with_the_file_as_it_stands(
    file: DuckDBFile, path: Path
) -> None:
    told: list[Any] = []
    file.opened = lambda stamp: told.append(("opened", stamp))
    file.closed = lambda stamp: told.append(("closed", stamp))
    before = file.look()
    assert before[0] == (path.stat().st_mtime_ns, path.stat().st_size, path.stat().st_ino)
    assert before[1] is None, "there is no log"
    with file.writing() as connection:
        assert told == [("opened", before)]
        connection.execute(INSERT, ["a"]).fetchall()
    assert told[1:] == [("closed", file.look())]
    assert file.look() != before
    with pytest.raises(KeyError), file.writing():
        raise KeyError
    assert [name for name, _ in told] == ["opened", "closed"] * 2
    path.with_name("warehouse.duckdb.wal").write_bytes(b"")
    assert file.look()[1] is not None
    assert DuckDBFile.look(file_of(path.with_name("none"))) == (None, None)


# -- taking turns


def test_who_keeps_the_file_here_is_named_to_who_waits(file: DuckDBFile) -> None:
    with file.writing():
        for attempt, said in (
            (lambda: enter(file.reading()), "a landing keeps the warehouse; try again in a mo"),
            (lambda: enter(file.still()), "a landing keeps the warehouse; try again in a moment"),
            (lambda: enter(file.scanning()), "queries keep the warehouse; it is tried again"),
        ):
            [error] = in_another_thread(attempt)
            assert isinstance(error, WarehouseUnavailable)
            assert said in str(error)
    with file.reading():
        [error] = in_another_thread(lambda: enter(file.writing()))
        assert str(error) == "running queries keep the warehouse; landing waits for them"
        [error] = in_another_thread(lambda: enter(file.still()))
        assert isinstance(error, WarehouseUnavailable)
    for use in (file.writing, file.reading, file.still, file.scanning):
        enter(use())


def test_the_file_is_still_while_it_is_copied(file: DuckDBFile, path: Path) -> None:
    with file.still() as found:
        assert found == path == file.path
        for use in (file.writing, file.reading):
            [error] = in_another_thread(lambda use=use: enter(use()))  # type: ignore[misc]
            assert isinstance(error, WarehouseUnavailable)
    for use in (file.still, file.writing, file.reading, file.scanning):
        with pytest.raises(TimeoutError, match="mine"), use():  # of the block, and no wait of ours
            raise_(TimeoutError("mine"))


def raise_(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("use", ["reading", "still", "scanning", "writing"])
def test_a_file_that_another_process_holds_is_tried_again_until_it_is_free(
    path: Path, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    pauses: list[float] = []
    file = file_of(path, read_wait=60.0, land_wait=60.0, sleep=pauses.append)
    with others_hold_it(monkeypatch, 3) as asked, getattr(file, use)():
        pass
    assert asked == [4]
    assert len(pauses) == 3
    assert all(0 <= pause <= 0.5 for pause in pauses)


@pytest.mark.parametrize(("use", "longest"), [("writing", 0.1), ("reading", 0.5)])
def test_those_who_wait_do_not_try_in_step_and_a_landing_tries_more_often(
    path: Path, monkeypatch: pytest.MonkeyPatch, use: str, longest: float
) -> None:
    """By the same numbers each time: what is drawn is the test's own."""
    tried: list[list[float]] = []
    for seed in (1, 2):
        pauses: list[float] = []
        rng = random.Random(seed)
        file = file_of(path, read_wait=60.0, land_wait=60.0, rng=rng, sleep=pauses.append)
        with others_hold_it(monkeypatch, 40), getattr(file, use)():
            pass
        tried.append(pauses)
    assert tried[0] != tried[1]
    assert longest / 2 < max(*tried[0], *tried[1]) <= longest


@pytest.mark.parametrize("use", ["reading", "still", "scanning", "writing"])
def test_who_waits_too_long_for_another_process_is_told_which(
    file: DuckDBFile, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    with (
        others_hold_it(monkeypatch),
        pytest.raises(WarehouseUnavailable) as caught,
        getattr(file, use)(),
    ):
        pass
    assert str(caught.value) == (
        "another process holds warehouse.duckdb (process 4711); it is tried again"
    )
    assert caught.value.__suppress_context__
    enter(getattr(file, use)())  # nothing is left of the attempt


def test_a_pause_ends_with_the_time_there_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(duckdb_file, "time", SimpleNamespace(monotonic=lambda: now[0]))
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    file = file_of(path, read_wait=7.0, sleep=sleep)
    with others_hold_it(monkeypatch), pytest.raises(WarehouseUnavailable), file.reading():
        pass
    assert sum(pauses) == pytest.approx(7.0)
    pauses.clear()
    with others_hold_it(monkeypatch), pytest.raises(WarehouseUnavailable), file.reading(3.0):
        pass
    assert sum(pauses) == pytest.approx(3.0)


@pytest.mark.parametrize("use", ["reading", "still"])
def test_who_waits_for_another_process_can_be_cancelled(
    path: Path, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    file = file_of(path, sleep=lambda _: pytest.fail("it waits for the cancelling, too"))
    cancel = threading.Event()
    with others_hold_it(monkeypatch, 2), getattr(file, use)(60.0, cancel):
        pass
    cancel.set()
    with (
        others_hold_it(monkeypatch),
        pytest.raises(QueryCancelled, match="cancelled before it started"),
        getattr(file, use)(60.0, cancel),
    ):
        pass


@pytest.mark.parametrize("ends", ["opened", "failed", "cancelled", "too late"])
def test_who_comes_while_the_file_is_opened_waits_for_that(
    path: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """One instance is opened for both, and each can be cancelled."""
    file = file_of(path, read_wait=60.0)
    opening, go = threading.Event(), threading.Event()
    connect, asked = duckdb.connect, [0]

    def slowly(*given: Any, **options: Any) -> duckdb.DuckDBPyConnection:
        asked[0] += 1
        if asked[0] == 1:
            opening.set()
            assert go.wait(30)
            if ends == "failed":
                raise duckdb.FatalException("broken")
        return connect(*given, **options)

    monkeypatch.setattr(duckdb, "connect", slowly)
    first: list[Exception] = []
    thread = threading.Thread(target=lambda: first.extend(in_another_thread(read)))

    def read() -> None:
        with file.reading() as cursor:
            assert cursor.execute(COUNT).fetchall() == [(0,)]

    thread.start()
    assert opening.wait(30)
    cancel = threading.Event()
    if ends == "cancelled":
        cancel.set()
        with pytest.raises(QueryCancelled, match="before it started"), file.reading(60.0, cancel):
            pass
    elif ends == "too late":
        for given in (None, cancel):
            with (
                pytest.raises(WarehouseUnavailable, match=r"holds warehouse.duckdb; it is tried"),
                file.reading(0.01, given),
            ):
                pass
    go.set()
    with file.reading(60.0, cancel if ends == "opened" else None) as cursor:
        assert cursor.execute(COUNT).fetchall() == [(0,)]
    thread.join(30)
    assert [type(error) for error in first] == ([WarehouseError] if ends == "failed" else [])
    enter(file_of(path, land_wait=1.0).writing())


def test_a_landing_tells_how_long_it_waited_for_others(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(duckdb_file, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def sleep(_: float) -> None:
        now[0] += 2.0

    file = file_of(path, land_wait=60.0, sleep=sleep)
    assert file.waited == 0.0
    with others_hold_it(monkeypatch, 2), file.writing():
        assert file.waited == 4.0


def test_a_missing_file_is_not_built_and_not_waited_for(tmp_path: Path) -> None:
    file = file_of(tmp_path / "none.duckdb", read_wait=60.0)
    for use in (file.reading, file.writing, file.scanning, file.still):
        with (
            pytest.raises(WarehouseNotBuilt, match="is not built yet; the worker builds it"),
            use(),
        ):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("use", ["reading", "scanning"])
def test_a_file_that_cannot_be_closed_to_the_outside_is_not_given_out(
    file: DuckDBFile, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(
            duckdb_file, "seal", lambda _: raise_(duckdb.InvalidInputException("refused\nso"))
        )
        with pytest.raises(WarehouseError, match=r"^refused$"), getattr(file, use)():
            pytest.fail("it was given out")
    for again in (file.reading, file.scanning, file.writing):
        enter(again())


# -- a damaged log


def logged(path: Path) -> Path:
    """What landed last stands in the log alone, which is returned."""
    with duckdb.connect(path) as connection:
        connection.execute("pragma disable_checkpoint_on_shutdown")
        connection.execute("pragma wal_autocheckpoint = '1GB'")
        for number in range(5):
            connection.execute(INSERT, [f"landed-{number}" * 9]).fetchall()
    return path.with_name(f"{path.name}.wal")


def damaged(path: Path) -> Path:
    """A log with another value, which its checksum gives away."""
    log = logged(path)
    log.write_bytes(log.read_bytes().replace(b"landed-2", b"landed-x"))
    return log


def test_a_damaged_log_is_set_aside_and_the_file_is_as_of_its_last_checkpoint(
    file: DuckDBFile, path: Path
) -> None:
    assert file.set_damaged_log_aside() is None, "there is none"
    with file.writing() as connection:
        connection.execute(INSERT, ["a"]).fetchall()
    for number, neighbour in ((1, None), (8, "7"), (9, "x")):
        if neighbour is not None:
            path.with_name(f"warehouse.duckdb.wal.damaged-{neighbour}").write_bytes(b"")
        content = damaged(path).read_bytes()
        aside = file.set_damaged_log_aside()
        assert aside == path.with_name(f"warehouse.duckdb.wal.damaged-{number}")
        assert aside.read_bytes() == content
        assert query(path, COUNT) == [(1,)]
        assert file.set_damaged_log_aside() is None


def test_a_log_that_can_be_read_is_read(file: DuckDBFile, path: Path) -> None:
    assert logged(path).exists()
    assert file.set_damaged_log_aside() is None
    assert not list(path.parent.glob("*.damaged-*"))
    assert query(path, COUNT) == [(5,)]


def test_a_damaged_file_is_no_damaged_log(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(b"no database at all" * 1_000)
    log = path.with_name(f"{path.name}.wal")
    log.write_bytes(b"anything")
    with pytest.raises(WarehouseError, match="not a valid DuckDB"):
        file_of(path).set_damaged_log_aside()
    assert log.exists()


def test_a_damaged_log_that_cannot_be_moved_is_named(
    file: DuckDBFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged(path)
    monkeypatch.setattr(Path, "rename", lambda *_: raise_(OSError(13, "Permission denied")))
    with pytest.raises(
        WarehouseUnavailable,
        match=r"^warehouse.duckdb.wal is damaged and cannot be moved away \(Permission denied\)$",
    ):
        file.set_damaged_log_aside()


# -- written anew


def test_a_rewritten_file_holds_all_that_stands_and_nothing_that_was_deleted(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "o'clock"
    folder.mkdir()
    path = make_landing(folder / 'the "file".duckdb')
    file = file_of(path)
    with file.writing() as connection:
        connection.execute("create view activities.ids as select id from activities.landing")
        for id in ("stays", "GOES" * 500):
            connection.execute(INSERT, [id]).fetchall()
        connection.execute("checkpoint").fetchall()
        connection.execute("delete from activities.landing where id like 'GOES%'").fetchall()
    assert b"GOESGOES" in path.read_bytes()
    log = path.with_name(f"{path.name}.wal")
    log.write_bytes(b"")
    (folder / ".rewriting").mkdir()
    (folder / ".rewriting" / path.name).write_bytes(b"of one that was killed")
    file.rewrite()
    assert b"GOESGOES" not in path.read_bytes()
    assert query(path, "select id from activities.ids") == [("stays",)]
    assert [one.name for one in folder.iterdir()] == [path.name], "and no log, and no folder"
    with file.writing() as connection:
        connection.execute(INSERT, ["more"]).fetchall()


def test_a_rewrite_has_what_readers_have_of_memory_and_threads(
    file: DuckDBFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, str]] = []
    writing = file.writing

    @contextmanager
    def noting() -> Iterator[duckdb.DuckDBPyConnection]:
        with writing() as connection:
            yield connection
            seen.append(settings(connection))

    monkeypatch.setattr(file, "writing", noting)
    file.rewrite()
    [found] = seen
    assert (found["memory_limit"], found["threads"]) == ("191.6 MiB", "3")


@pytest.mark.parametrize("fails", ["the copy", "the replacing"])
def test_a_file_that_cannot_be_written_anew_stays_as_it_was(
    file: DuckDBFile, path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    before = path.read_bytes()
    if fails == "the copy":
        # DuckDB's own word for what it finds in the way
        monkeypatch.setattr(duckdb_file.shutil, "rmtree", lambda *_, **__: None)
        (path.parent / ".rewriting").mkdir()
        (path.parent / ".rewriting" / path.name).write_bytes(b"no database at all" * 1_000)
        said: tuple[type[Exception], str] = (WarehouseError, "not a valid DuckDB")
    else:
        monkeypatch.setattr(Path, "replace", lambda *_: raise_(OSError(13, "Permission denied")))
        said = (
            WarehouseUnavailable,
            r"^warehouse.duckdb cannot be replaced \(Permission denied\)$",
        )
    with pytest.raises(said[0], match=said[1]):
        file.rewrite()
    assert path.read_bytes() == before
    assert fails == "the copy" or not (path.parent / ".rewriting").exists()
    assert query(path, COUNT) == [(0,)]


# -- words


@pytest.mark.parametrize(
    ("then", "kind"),
    [
        (lambda _: raise_(KeyError()), KeyError),
        (lambda one: one.execute("select * from activities.nothing"), WarehouseNotBuilt),
        (lambda one: one.close(), WarehouseError),
    ],
    ids=["ours", "the engine's", "a lost connection"],
)
def test_a_transaction_is_whole_or_nothing_and_says_why(
    path: Path, then: Callable[[duckdb.DuckDBPyConnection], object], kind: type[Exception]
) -> None:
    def attempt(connection: duckdb.DuckDBPyConnection) -> None:
        with transaction(connection):
            connection.execute(INSERT, ["b"]).fetchall()
            then(connection)

    with duckdb.connect(path) as connection:
        with transaction(connection):
            connection.execute(INSERT, ["a"]).fetchall()
        with pytest.raises(kind):
            attempt(connection)
        if kind is not WarehouseError:
            with transaction(connection):
                connection.execute(INSERT, ["c"]).fetchall()
    expected = ["a"] if kind is WarehouseError else ["a", "c"]
    assert [row[0] for row in query(path, "select id from activities.landing")] == expected


@pytest.mark.parametrize(
    ("error", "held"),
    [
        (HELD, True),
        (duckdb.IOException("The process cannot access it: it is being used by another"), True),
        (duckdb.IOException("No space left on device"), False),
        (duckdb.ConnectionException("Can't open it with a different configuration than"), True),
        (duckdb.ConnectionException("it was closed"), False),
        (duckdb.FatalException("a lock is being used with a different configuration"), False),
    ],
    ids=range(6),
)
def test_a_file_is_held_where_duckdb_says_so_of_its_lock_or_its_mode(
    error: Exception, held: bool
) -> None:
    assert duckdb_file._is_held(error) is held


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (
            duckdb.CatalogException("Catalog Error: no table x\nDid you mean y"),
            WarehouseNotBuilt,
            "the warehouse is not built yet; the worker builds it, or run 'cdesk worker --once' "
            "(Catalog Error: no table x)",
        ),
        (
            duckdb.IOException("IO Error: x\ny"),
            WarehouseUnavailable,
            "the warehouse file cannot be used: IO Error: x",
        ),
        (
            duckdb.IOException("IO Error: x is not a valid DuckDB file\ny"),
            WarehouseError,
            "IO Error: x is not a valid DuckDB file",
        ),
        (duckdb.OutOfMemoryException("failed\nto"), WarehouseError, "out of memory: failed"),
        (duckdb.BinderException("\n Binder Error: x\ny "), WarehouseError, "Binder Error: x"),
    ],
    ids=lambda one: one.__name__ if isinstance(one, type) else None,
)
def test_each_error_of_the_engine_is_one_of_ours_in_one_line(
    error: Exception, kind: type[Exception], said: str
) -> None:
    with pytest.raises(WarehouseError) as caught:
        refuse(error)
    assert type(caught.value) is kind
    assert str(caught.value) == said
    assert first_line(error) == str(error).strip().splitlines()[0]


def test_who_holds_the_file_is_said_as_far_as_it_is_known() -> None:
    assert duckdb_file._holder(HELD) == "process 4711"
    assert duckdb_file._holder(duckdb.IOException("lock")) == "busy"
