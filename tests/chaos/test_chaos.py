"""Levels 1 to 3. Each scenario runs once in the default tests (its quick form) and many times under
`make chaos`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import orjson
import psutil
import pytest
from chaos_harness import ROOT, Outcome, Process, Round, Shim

from bench.ingest import fill_queue
from cdesk.core.locks import is_held
from cdesk.core.wake import read_worker
from cdesk.state.snapshot import SnapshotReader

ROUNDS = int(os.environ.get("CDESK_CHAOS_ROUNDS", "5"))
QUICK_AND_LONG = pytest.mark.parametrize(
    "rounds",
    [pytest.param(1, id="quick"), pytest.param(ROUNDS, id="long", marks=pytest.mark.chaos)],
)
LONG = pytest.mark.parametrize("rounds", [pytest.param(ROUNDS, id="long", marks=pytest.mark.chaos)])
Chaos = Callable[..., Round]
PATIENCE_SECONDS = 15.0
"""For what takes five seconds at most where nothing else runs: other tests do."""
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and resource limits are POSIX"),
    pytest.mark.timeout(900),
]


def writers(one: Round, count: int, *options: str) -> list[Process]:
    found = [one.actor("write", *options) for _ in range(count)]
    for process in found:
        one.wait_until_acknowledged(process, 1)
    return found


# -- level 1: one at a time


@QUICK_AND_LONG
def test_writers_killed_at_random_instants_lose_nothing(
    chaos: Chaos, outcomes: list[Outcome], rounds: int
) -> None:
    for number in range(rounds):
        one = chaos("1: writer killed", number)
        for _ in range(3):
            (process,) = writers(one, 1)
            one.sleep(0.0, 0.3)
            one.kill(process)
        outcomes.append(one.finish())
        assert one.acknowledged


@QUICK_AND_LONG
def test_an_uploader_killed_at_random_instants_neither_loses_nor_doubles(
    chaos: Chaos, outcomes: list[Outcome], rounds: int
) -> None:
    for number in range(rounds):
        one = chaos("1: uploader killed", number)
        (writer,) = writers(one, 1)
        for _ in range(4):
            uploader = one.actor("upload")
            one.sleep(0.0, 1.0)
            one.kill(uploader)
        writer.stop()
        one.note(writer)
        outcomes.append(one.finish())


@QUICK_AND_LONG
def test_the_real_server_killed_while_it_answers_loses_no_answered_record(
    chaos: Chaos, outcomes: list[Outcome], rounds: int
) -> None:
    for number in range(rounds):
        one = chaos("1: shim killed", number)
        for _ in range(2):
            shim = Shim(one)
            shim.wait_for(1)
            for _ in range(200):
                shim.log_event()
            shim.wait_for(one.rng.randrange(1, 150))
            shim.kill()
        outcomes.append(one.finish())
        assert one.acknowledged


def test_a_server_that_is_told_to_end_hands_over_within_five_seconds(chaos: Chaos) -> None:
    one = chaos("1: shim terminated")
    shim = Shim(one)
    for _ in range(20):
        shim.log_event()
    shim.wait_for(21)
    assert shim.terminate() < PATIENCE_SECONDS
    assert [path.name for path in one.home.queue.glob("*.open.ndjson")] == []
    one.finish()
    assert len(one.acknowledged) == 20


def test_a_worker_that_is_told_to_end_hands_over_within_five_seconds(
    chaos: Chaos, first_round: Path
) -> None:
    one = chaos("1: worker terminated")
    shutil.copytree(first_round, one.home.root, dirs_exist_ok=True)
    (writer,) = writers(one, 1, "slow")
    worker = one.start(
        "worker", [sys.executable, "-m", "cdesk_app.cli.main", "worker"], worker_environment(one)
    )
    deadline = time.monotonic() + 240
    while (said := read_worker(one.home)) is None or said.pid != worker.popen.pid:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    one.sleep(0.0, 8.0)  # before, in or after a build
    started = time.monotonic()
    worker.popen.send_signal(signal.SIGTERM)
    worker.end()
    assert time.monotonic() - started < PATIENCE_SECONDS
    one.processes.remove(worker)
    assert worker.popen.returncode == 0
    assert not is_held(one.home.worker_lock)
    writer.stop()
    one.note(writer)
    one.finish()


# -- level 2: several at once, and a hostile surrounding


@QUICK_AND_LONG
def test_writers_and_uploaders_killed_together_behind_a_flaky_warehouse(
    chaos: Chaos, outcomes: list[Outcome], rounds: int
) -> None:
    for number in range(rounds):
        one = chaos("2: all killed, flaky warehouse", number)
        running = writers(one, 3, "slow")
        uploaders = [
            one.actor("upload", "flaky"),
            one.actor("upload", "flaky"),
        ]  # they fight for the lock
        for _ in range(6):
            one.sleep(0.1, 0.8)
            if one.rng.random() < 0.5:
                index = one.rng.randrange(len(running))
                one.kill(running[index])
                running[index] = one.actor("write", "slow")
            else:
                index = one.rng.randrange(len(uploaders))
                one.kill(uploaders[index])
                uploaders[index] = one.actor("upload", "flaky")
        outcomes.append(one.finish())


@QUICK_AND_LONG
def test_what_is_shed_is_counted_though_the_server_is_killed(
    chaos: Chaos, outcomes: list[Outcome], rounds: int
) -> None:
    for number in range(rounds):
        one = chaos("2: shedding, shim killed", number)
        fill_queue(one.home.queue, 101_000)
        shims = []
        for _ in range(3):
            shim = Shim(one)
            shims.append(shim)
            shim.wait_for(1)
            sent, before = 0, set(one.home.queue.glob("*.pending"))
            while (
                set(one.home.queue.glob("*.pending")) == before and sent < 200
            ):  # until it has measured the queue
                shim.log_event("cdesk.retry_attempted")
                sent += 1
                time.sleep(0.05)
            for _ in range(100):
                shim.log_event("cdesk.retry_attempted")
            shim.wait_for(one.rng.randrange(sent, sent + 90))
            shim.kill()
        outcomes.append(one.finish())
        told = duckdb_rows(
            one,
            "select payload->>'session_id', "
            "cast(payload->'feature_json'->'activities'->'cdesk.tool_called'->>'shed' as bigint) "
            "from activities.landing where payload->>'activity' = 'cdesk.fallback_triggered'",
        )
        assert (
            len({session for session, _ in told}) == len(told) == len(shims)
        )  # one report each: killed within the minute
        shed = sum(int(str(count)) for _, count in told)
        answered = sum(shim.accepted["sampled"] for shim in shims)
        assert (
            answered <= shed
        )  # what was counted may not have been answered yet, or be the server's own note of a call


@LONG
def test_low_limits_of_files_and_memory(chaos: Chaos, outcomes: list[Outcome], rounds: int) -> None:
    for number in range(rounds):
        one = chaos("2: low limits", number)
        found = [
            one.actor("write", "nofile=8"),
            one.actor("write", "fsize=200000"),
            one.actor("upload", "memory=2000000000"),
        ]
        for process in found[:2]:
            one.wait_until_acknowledged(process, 50)
        one.sleep(0.5, 2)
        one.kill(found[2])
        outcomes.append(one.finish())
        assert one.acknowledged


def small_disk(folder: Path, megabytes: int) -> Path:
    """A file system of its own, or skip."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "cdesk-chaos", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount here")
    if done.returncode:
        pytest.skip(
            f"mounting a small file system is not permitted here: {done.stderr.decode().strip()}"
        )
    return folder


@QUICK_AND_LONG
def test_a_file_system_that_fills_up_and_is_cleared(
    chaos: Chaos, outcomes: list[Outcome], rounds: int
) -> None:
    for number in range(rounds):
        one = chaos("2: disk full", number)
        queue = small_disk(one.home.queue, 8)
        try:
            ballast = queue / "ballast"
            ballast.write_bytes(b"\0" * 4_000_000)
            running = writers(one, 2)
            one.sleep(1.0, 2.0)  # far more than fits is tried meanwhile
            ballast.unlink()
            one.sleep(0.3, 0.6)
            one.kill(running[0])
            outcomes.append(one.finish())
            assert one.acknowledged
        finally:
            one.close()
            subprocess.run(["umount", "-l", str(queue)], check=True)


def worker_environment(one: Round) -> dict[str, str]:
    return {
        "CDESK_HOME": str(one.home.root),
        "CDESK_CUSTOMER": "ada@example.com",
        "CDESK_WORKER": "off",
    }


def kill_tree(one: Round, process: Process) -> None:
    """The worker and its dbt child, in a random order, perhaps only one of them at first."""
    children = (
        psutil.Process(process.popen.pid).children(recursive=True)
        if process.popen.poll() is None
        else []
    )
    one.rng.shuffle(children)
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
        one.kills += 1
        one.sleep(0.0, 0.2)
    one.kill(process)


def once(one: Round, *options: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cdesk_app.cli.main", "worker", "--once", *options],
        cwd=ROOT,
        env={**os.environ, **worker_environment(one)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def events_of(one: Round) -> list[tuple[object, ...]]:
    """What the writers wrote; the worker goes on adding records of its own work."""
    sql = (
        "select * exclude (_landed_at) from activities.events where activity = 'cdesk.user_asked' "
        "order by _activity_id"
    )
    return duckdb_rows(one, sql)


@LONG
def test_worker_and_dbt_killed_while_they_land_and_build(
    chaos: Chaos, outcomes: list[Outcome], rounds: int
) -> None:
    for number in range(min(rounds, 3)):
        one = chaos("2: worker and dbt killed", number)
        once(one)
        running = writers(one, 2, "slow")
        for _ in range(3):
            worker = one.start(
                "worker",
                [sys.executable, "-m", "cdesk_app.cli.main", "worker"],
                worker_environment(one),
            )
            one.sleep(3, 15)
            kill_tree(one, worker)
        one.kill(running[0])
        outcome = one.finish()
        outcomes.append(outcome)
        once(one)
        built = events_of(one)
        found = [
            str(row[0]) for row in duckdb_rows(one, "select _activity_id from activities.events")
        ]
        ids = set(found)
        assert len(ids) == len(found)
        assert one.acknowledged <= ids
        for table in duckdb_rows(
            one,
            "select table_name from information_schema.tables where table_type = 'BASE TABLE' "
            "and table_name <> 'landing'",
        ):
            with duckdb.connect(one.home.warehouse) as connection:
                connection.execute(f'drop table activities."{table[0]}" cascade').fetchall()
        once(one, "--full")
        assert events_of(one) == built  # as if built anew from landing


def duckdb_rows(one: Round, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(one.home.warehouse, read_only=True) as connection:
        return connection.execute(sql).fetchall()


# -- level 3: damage


def spoil(one: Round, path: Path, times: int) -> None:
    """Overwrite single bytes of a file, line feeds left alone so that each spoils one line."""
    data = bytearray(path.read_bytes())
    for _ in range(times):
        index = one.rng.randrange(len(data))
        if data[index] != 0x0A:
            data[index] = one.rng.choice(b'\x00\xff{}x"')
    path.write_bytes(bytes(data))


@QUICK_AND_LONG
def test_corrupt_bytes_are_quarantined_and_their_neighbours_land(
    chaos: Chaos, outcomes: list[Outcome], rounds: int
) -> None:
    for number in range(rounds):
        one = chaos("3: mangled queue, state.db and locks", number)
        running = writers(one, 2)
        for process in running:
            one.wait_until_acknowledged(process, 300)
        uploader = one.actor("upload")
        one.sleep(0.5, 1.0)
        one.kill(uploader)
        for process in running:
            one.kill(process)
        before = set(one.acknowledged)
        files = [path for path in one.home.queue.glob("*.ndjson") if path.stat().st_size]
        spoiled: set[str] = set()
        lines: dict[str, int] = {}
        for path in files[:2]:
            whole = path.read_bytes().split(b"\n")
            spoil(one, path, 5)
            lines[path.name.replace(".open", "")] = path.read_bytes().count(b"\n")
            spoiled |= {
                id
                for was, now in zip(whole, path.read_bytes().split(b"\n"), strict=True)
                if was != now
                for id in before
                if id.encode() in was
            }
        if one.home.state_db.exists():
            one.home.state_db.write_bytes(one.rng.randbytes(20_000))
        one.acknowledged -= spoiled  # a changed byte may change the id itself: counted apart below
        outcome = one.finish(doubles_allowed=True)
        outcomes.append(outcome)
        places = dict(
            duckdb_rows(
                one,
                "select source_file, count(distinct source_offset) from activities.landing "
                "group by 1",
            )
        )
        for name, count in lines.items():  # every line stands somewhere: landed, or with its reason
            assert int(str(places[name])) >= count, (name, places)


@QUICK_AND_LONG
def test_copied_and_cut_files_and_old_backups_lose_nothing(
    chaos: Chaos, outcomes: list[Outcome], rounds: int, first_round: Path
) -> None:
    for number in range(rounds):
        one = chaos("3: old backups brought back", number)
        if rounds > 1:
            shutil.copytree(first_round, one.home.root, dirs_exist_ok=True)
        (writer,) = writers(one, 1)
        one.wait_until_acknowledged(writer, 200)
        one.kill(writer)
        one.drain()
        backup = one.home.root.parent / f"{one.home.root.name}-backup"
        shutil.copytree(one.home.root, backup)
        (writer,) = writers(one, 1)
        one.wait_until_acknowledged(writer, 200)
        one.kill(writer)
        one.drain()
        what = one.rng.choice(("warehouse", "state", "both", "files"))
        if what in ("warehouse", "both"):
            shutil.copyfile(backup / "warehouse.duckdb", one.home.warehouse)
        if what in ("state", "both"):
            for path in one.home.root.glob("state.db-*"):
                path.unlink()
            shutil.copyfile(backup / "state.db", one.home.state_db)
        if what == "files":  # archived files put back into the queue, one of them cut short
            for index, path in enumerate(sorted((one.home.queue / "archive").iterdir())):
                stem = path.name.split(".")[0]
                data = path.read_bytes()
                (one.home.queue / f"{stem}.ndjson").write_bytes(
                    data if index else data[: len(data) // 2]
                )
        (writer,) = writers(one, 1)
        one.wait_until_acknowledged(writer, 50)
        one.kill(writer)
        outcomes.append(one.finish(doubles_allowed=what == "files"))
        if rounds > 1:
            once(one)
            found = [
                str(row[0])
                for row in duckdb_rows(one, "select _activity_id from activities.events")
            ]
            assert len(found) == len(set(found))  # whatever stands twice in landing


@LONG
def test_a_corrupt_snapshot_is_answered_around_and_made_anew(
    chaos: Chaos, outcomes: list[Outcome], rounds: int, first_round: Path
) -> None:
    for number in range(rounds):
        one = chaos("3: corrupt snapshot", number)
        shutil.copytree(first_round, one.home.root, dirs_exist_ok=True)
        (writer,) = writers(one, 1)
        one.wait_until_acknowledged(writer, 20)
        writer.stop()
        one.note(writer)
        once(one)
        data = one.home.context_db.read_bytes()
        if one.rng.random() < 0.5:
            spoil(one, one.home.context_db, 200)
        else:
            one.home.context_db.write_bytes(data[: one.rng.randrange(len(data))])
        shim = Shim(one)
        shim.wait_for(1)
        for _ in range(20):
            shim.ask_context()
            shim.log_event()
        shim.wait_for(41)
        assert sum("context" in answer for answer in shim.answers) == 20
        shim.kill()
        once(one)
        with contextlib.closing(SnapshotReader(one.home.context_db)) as reader:
            row, _ = reader.read("ada@example.com")
        assert row is not None
        assert orjson.loads(row.context)["counts"]["cdesk.user_asked"]["d30"] >= 20
        outcomes.append(one.finish())


@LONG
@pytest.mark.timeout(2_400)  # of a slow machine; one that hangs is told by its drain
def test_a_backlog_of_a_million_drained_under_kills(
    chaos: Chaos, outcomes: list[Outcome], rounds: int
) -> None:
    one = chaos("3: backlog of 1 M, uploader killed")
    rows = int(os.environ.get("CDESK_CHAOS_BACKLOG", "1000000"))
    fill_queue(one.home.queue, rows)
    for path in sorted(one.home.queue.glob("*.ndjson")):
        for line in path.read_bytes().splitlines():
            one.acknowledged.add(line[28:64].decode())
    assert len(one.acknowledged) == rows
    for _ in range(5 * rounds):
        uploader = one.actor("upload")
        one.sleep(0.5, 4.0)
        one.kill(uploader)
    outcomes.append(one.finish())
