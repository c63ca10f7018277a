"""The warm builder with real dbt and real DuckDB: it builds, frees the file, notices changes, and
survives the death of its child.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import psutil
import pytest

from cdesk.core.config import Settings
from cdesk.core.errors import BuildError
from cdesk.core.home import StateDirectory
from cdesk.core.processes import run_giving_way
from cdesk_app.worker.dbt import build
from cdesk_app.worker.dbt.build import SCHEMA_MISMATCH, BuildBlocked, Builder, _Child
from cdesk_app.worker.dbt.project import DbtProject, dbt_environment, prepare_project
from tests.forked import start_builder_anew


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def rows(home: StateDirectory, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_a_full_build_makes_seeds_and_models_and_reports_progress(
    builder: Builder, home: StateDirectory
) -> None:
    steps: list[tuple[int, int, str]] = []
    report = builder.build(full=True, progress=lambda *step: steps.append(step))
    assert report.status == "succeeded"
    assert report.nodes == 3
    assert sorted(done for done, _, _ in steps) == [1, 2, 3]
    assert {total for _, total, _ in steps} == {3}
    assert {name for _, _, name in steps} == {"words", "numbers", "total"}
    assert rows(home, "select count(*) from activities.words") == [(2,)]


def test_a_warm_build_keeps_the_process_and_goes_on_incrementally(
    builder: Builder, home: StateDirectory
) -> None:
    builder.build()
    pid = builder.pid
    before = rows(home, "select max(n), count(distinct invocation) from activities.numbers")[0]
    report = builder.build()
    after = rows(home, "select max(n), count(distinct invocation) from activities.numbers")[0]
    assert not report.parsed
    assert builder.pid == pid
    assert [now - then for then, now in zip(before, after, strict=True)] == [1, 1]  # type: ignore[operator]


def test_the_file_is_free_for_writers_as_soon_as_a_build_has_ended(
    builder: Builder, home: StateDirectory
) -> None:
    builder.build()
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("select 1")


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="the system knows no such priority")
def test_asked_by_a_thread_that_gives_way_it_does_for_that_command(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dbt's threads and DuckDB's with it, and none of them afterwards."""
    monkeypatch.setattr("cdesk_app.worker.dbt.build.YIELDING_SECONDS", 250.0)
    found: list[list[int]] = []

    def look(*_: object) -> None:
        tasks = [int(task.name) for task in Path(f"/proc/{builder.pid}/task").iterdir()]
        policies: list[int] = []
        for task in tasks:
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                policies.append(os.sched_getscheduler(task))
        found.append(sorted(policies))

    builder.build(progress=look)
    assert {policy for policies in found for policy in policies} == {os.SCHED_OTHER}
    for _ in range(10):  # on a busy machine who looks gives way too, and comes when all is over
        found.clear()
        run_giving_way(lambda: builder.build(progress=look), "yielding")
        if any(policies.count(os.SCHED_IDLE) >= 2 for policies in found):
            break
    assert any(policies.count(os.SCHED_IDLE) >= 2 for policies in found), found
    found.clear()
    builder.build(progress=look)
    assert {policy for policies in found for policy in policies} == {os.SCHED_OTHER}


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="the system knows no such priority")
def test_a_child_that_gives_way_keeps_nobody_waiting_who_is_not_to_wait(
    project: DbtProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "start_child", start_builder_anew)  # a fork would inherit nothing
    monkeypatch.setattr("cdesk_app.worker.dbt.build.YIELDING_SECONDS", 0.0)
    with contextlib.closing(Builder(project, dbt_environment(os.environ))) as builder:
        builder.warm(gives_way=True)
        first = builder.pid
        builder.warm(gives_way=True)
        assert builder.pid == first
        builder.warm()
        assert builder.pid not in (first, None)
        run_giving_way(builder.close, "yielding")
        run_giving_way(builder.warm, "yielding")  # the process inherits it
        inherited = builder.pid
        builder.warm()
        assert builder.pid not in (inherited, None)
        with pytest.raises(BuildBlocked, match="hardly ran"):
            run_giving_way(builder.build, "yielding")
        assert builder.pid is None


def test_a_changed_file_is_parsed_again_by_the_same_process(
    builder: Builder, home: StateDirectory, project: DbtProject, small_files: dict[str, str]
) -> None:
    builder.build()
    pid, before = builder.pid, project.fingerprint()
    write(
        project.project_dir / "models/total.sql",
        "select 41 + 1 as rows from {{ ref('numbers') }} limit 1\n",
    )
    report = builder.build()
    write(project.project_dir / "models/total.sql", small_files["models/total.sql"])
    assert report.parsed
    assert report.fingerprint not in (before, "")
    assert builder.pid == pid
    assert rows(home, "select rows from activities.total") == [(42,)]


def test_a_failed_test_is_reported_and_is_no_error(
    builder: Builder, project: DbtProject, home: StateDirectory, small_files: dict[str, str]
) -> None:
    builder.build()
    slices = [builder.test(number, size=1) for number in range(2)]
    assert [(one.status, one.nodes, one.parts) for one in slices] == [("succeeded", 1, 2)] * 2
    write(
        project.project_dir / "models/total.sql",
        "select cast(null as integer) as rows from {{ ref('numbers') }}\n",
    )
    try:
        assert builder.build().status == "succeeded", (
            "a test that would fail keeps no model from being built"
        )
        report = builder.test(0)
    finally:
        write(project.project_dir / "models/total.sql", small_files["models/total.sql"])
    assert report.status == "tests_failed"
    assert [failure.name for failure in report.failures] == ["not_null_total_rows"]
    assert rows(home, "select count(*) from activities.total where rows is null")[0] > (0,)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (
            "select nowhere from {{ ref('numbers') }}\n",
            ("model total failed", "nowhere", "dbt.log"),
        ),
        ("select {{ no_such_macro() }} from {{ ref('numbers') }}\n", ("no_such_macro", "dbt.log")),
        ("select 1 from {{ ref('gone') }}\n", ("gone", "dbt.log")),
    ],
)
def test_a_broken_model_is_named_with_the_first_line_of_its_error_and_mends(
    builder: Builder,
    project: DbtProject,
    small_files: dict[str, str],
    sql: str,
    words: tuple[str, ...],
) -> None:
    path = project.project_dir / "models/total.sql"
    write(path, sql)
    try:
        with pytest.raises(BuildError) as caught:
            builder.build()
    finally:
        write(path, small_files["models/total.sql"])
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert builder.build().status == "succeeded"


def test_a_table_of_other_columns_is_told_by_dbts_words_and_rebuilt_on_demand(
    builder: Builder, project: DbtProject, home: StateDirectory, small_files: dict[str, str]
) -> None:
    builder.build()
    path = project.project_dir / "models/numbers.sql"
    write(
        path,
        "{{ config(materialized='incremental', on_schema_change='fail') }}\nselect 1 as n, 2 as other\n",
    )
    try:
        with pytest.raises(BuildError, match=SCHEMA_MISMATCH):
            builder.build(full=True)
        assert builder.build(full=True, rebuild=True).status == "succeeded"
        assert rows(home, "select n, other from activities.numbers") == [(1, 2)]
    finally:
        write(path, small_files["models/numbers.sql"])
    builder.build(full=True, rebuild=True)


def test_a_warehouse_that_somebody_holds_is_waited_for_then_told_apart(
    builder: Builder, home: StateDirectory
) -> None:
    builder.build()
    with (
        duckdb.connect(str(home.warehouse)),
        pytest.raises(BuildBlocked, match="another process holds"),
    ):
        builder.build()
    assert builder.build().status == "succeeded"


def test_a_build_goes_ahead_once_the_holder_has_gone(
    builder: Builder, home: StateDirectory
) -> None:
    builder.build()
    connection = duckdb.connect(str(home.warehouse))
    timer = threading.Timer(0.5, connection.close)
    timer.start()
    try:
        assert builder.build().status == "succeeded"
    finally:
        timer.join()


def test_a_killed_child_is_replaced_and_the_next_build_repairs(
    builder: Builder, home: StateDirectory
) -> None:
    builder.build()
    pid = builder.pid
    assert pid is not None
    before = rows(home, "select max(n) from activities.numbers")[0][0]

    def kill(_done: int, _total: int, _name: str) -> None:
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    with pytest.raises(BuildError, match="the build process ended"):
        builder.build(progress=kill)
    assert builder.build().status == "succeeded"
    assert builder.pid not in (pid, None)
    after = rows(home, "select max(n) from activities.numbers")[0][0]
    assert after - before in (1, 2)  # type: ignore[operator]


def test_a_build_that_is_told_to_stop_is_broken_off(
    project: DbtProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdesk_app.worker.dbt.build.STOP_GRACE_SECONDS", 0.0)
    builder = Builder(project, dbt_environment(os.environ))
    stop = threading.Event()
    stop.set()
    with pytest.raises(BuildError, match="broken off"):
        builder.build(stop=stop)
    assert builder.pid is None


def test_the_child_ends_with_its_parents_pipe_in_the_middle_of_a_build_too(
    project: DbtProject,
) -> None:
    builder = Builder(project, dbt_environment(os.environ))

    def cut(_done: int, _total: int, _name: str) -> None:
        builder._child._pipe(builder._child._process.stdin).close()  # type: ignore[union-attr]

    with pytest.raises(BuildError, match=r"the build process ended \(exit 0\)"):
        builder.build(progress=cut)
    builder.close()


def test_an_idle_child_ends_itself_and_one_that_was_asked_meanwhile_is_replaced(
    project: DbtProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = Builder(project, dbt_environment(os.environ), idle_seconds=0.2)
    builder.compile()
    child = builder._child
    assert child is not None
    assert child._process.wait(60) == 0
    assert builder.pid is None
    monkeypatch.setattr(_Child, "alive", True)  # as a moment before
    assert builder.compile().status == "succeeded"
    assert builder._child is not child
    builder.close()


def test_no_telemetry_is_switched_on_and_nothing_is_written_outside_the_state_directory(
    builder: Builder, project: DbtProject, home: StateDirectory, small_files: dict[str, str]
) -> None:
    builder.build()
    written = {
        path.relative_to(project.project_dir).as_posix()
        for path in project.project_dir.rglob("*")
        if path.is_file()
    }
    assert written == small_files.keys()
    assert not list(home.root.rglob(".user.yml"))
    environ = dbt_environment({"DBT_TARGET": "elsewhere", "PATH": "p"})
    assert environ["DO_NOT_TRACK"] == "1"
    assert "DBT_TARGET" not in environ


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
def test_dbts_folders_are_private(project: DbtProject) -> None:
    for folder in (project.profiles_dir, project.target_dir, project.log_dir):
        assert Path(folder).stat().st_mode & 0o077 == 0


def test_a_moved_state_directory_is_not_parsed_again(
    builder: Builder,
    project: DbtProject,
    home: StateDirectory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = builder.build()
    shutil.copytree(home.root, tmp_path / "moved")
    moved = StateDirectory(tmp_path / "moved")
    settings = Settings(home=moved.root, customer="ada@example.com")
    copy = prepare_project(
        project.project_dir, project.project_dir / "profiles.example.yml", settings, moved
    )
    read = copy.target_dir / "perf_info.json"  # what dbt writes of a parse
    read.unlink(missing_ok=True)
    monkeypatch.setattr(build, "start_child", start_builder_anew)  # as outside of tests
    with contextlib.closing(Builder(copy, dbt_environment(os.environ))) as other:
        report = other.build()
        assert psutil.Process(other.pid).children() == [], "locks need no process"
    assert report.fingerprint == before.fingerprint
    assert not read.exists()
    count = "select max(n) from activities.numbers"
    assert rows(moved, count)[0][0] == rows(home, count)[0][0] + 1  # type: ignore[operator]
    monkeypatch.undo()
    (copy.target_dir / "manifest.bin").write_bytes(b"of other versions")
    with contextlib.closing(Builder(copy, dbt_environment(os.environ))) as other:
        other.compile()
    assert json.loads(read.read_bytes())["parsed_path_count"] == 0, "by what dbt itself keeps"


def test_a_build_with_something_to_tell_all_the_time_is_broken_off_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Talkative:
        def get(self, timeout: float) -> dict[str, Any]:
            assert timeout > 0
            return {"id": 1, "progress": {"done": 1, "total": 2, "name": "events"}}

    monkeypatch.setattr("cdesk_app.worker.dbt.build.STOP_GRACE_SECONDS", 0.01)
    child = object.__new__(_Child)
    child._number = 0
    child._process = SimpleNamespace(stdin=io.BytesIO())  # type: ignore[assignment]
    child._messages = Talkative()  # type: ignore[assignment]
    stop = threading.Event()
    stop.set()
    with pytest.raises(BuildError, match="broken off"):
        child.ask(["build"], stop, None)
