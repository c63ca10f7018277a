"""What a build asks of dbt, and what it makes of the answer."""

from __future__ import annotations

import functools
import io
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from cdesk.core.errors import BuildError
from cdesk_app.worker.dbt import build
from cdesk_app.worker.dbt.build import (
    TIMEOUT_SECONDS,
    YIELDING_SECONDS,
    BuildBlocked,
    Builder,
    _Child,
    has_other_columns,
)
from cdesk_app.worker.dbt.project import DbtProject
from tests.forked import start_builder_anew

LOCKED = 'IO Error: Could not set lock on file "x"'


class Child:
    """In place of the warm child (tests/integration/worker/test_warm_builder.py has the real one):
    gives its answers one after another, the last again and again. None: it has ended idle.
    """

    pid = 4_711

    def __init__(self, *answers: Mapping[str, Any] | BuildError | None) -> None:
        self.answers = [*answers]
        self.asked: list[list[str]] = []
        self.parts: list[tuple[int, int] | None] = []
        self.alive = True
        self.is_ready = True
        self.is_held_back = False

    def ask(
        self, argv: list[str], _stop: object, _progress: object, part: tuple[int, int] | None
    ) -> Mapping[str, Any] | None:
        assert self.alive
        self.parts.append(part)
        self.asked.append(argv)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BuildError):
            raise answer
        return answer

    def end(self) -> None:
        self.alive = False


def node(name: str, status: str = "error", type: str = "model", message: str | None = "") -> Any:
    return {"name": name, "type": type, "status": status, "seconds": 0.1, "message": message}


def answer(*nodes: Any, ok: bool = True, error: str | None = None, told: Any = ()) -> Any:
    return {
        "ok": ok,
        "parsed": False,
        "fingerprint": "f1",
        "seconds": 0.5,
        "error": error,
        "nodes": [*nodes],
        "told": [*told],
    }


def builder(tmp_path: Path, child: Child, *, lock_wait_seconds: float = 15.0) -> Builder:
    folders = dict.fromkeys(("home_dir", "project_dir", "profiles_dir"), tmp_path)
    project = DbtProject(**folders, target_dir=tmp_path, log_dir=tmp_path / "logs", target="duckdb")
    made = Builder(project, {}, lock_wait_seconds=lock_wait_seconds)
    made._child = child  # type: ignore[assignment]
    return made


def at_once() -> threading.Event:
    """With it nothing waits."""
    (stop := threading.Event()).set()
    return stop


@pytest.mark.parametrize(
    ("given", "selection"),
    [
        ({}, ["--selector", "refresh"]),
        ({"full": True}, []),
        ({"select": ("erasures", "events")}, ["--select", "erasures", "events"]),
        ({"full": True, "rebuild": True}, ["--full-refresh"]),
    ],
)
def test_a_build_asks_for_its_models_and_runs_no_tests(
    given: dict[str, Any], selection: Sequence[str], tmp_path: Path
) -> None:
    child = Child(answer(node("events", "success"), told=["said"]))
    report = builder(tmp_path, child).build(**given)
    assert child.asked == [
        [
            *("build", "--no-write-json", *selection),
            *("--exclude-resource-type=test", "--exclude-resource-type=unit_test"),
        ]
    ]
    assert (report.status, report.nodes, report.seconds) == ("succeeded", 1, 0.5)
    assert (report.fingerprint, report.parsed, report.told) == ("f1", False, ("said",))


def test_the_other_commands(tmp_path: Path) -> None:
    child = Child(answer())
    made = builder(tmp_path, child)
    made.test(3, size=7)
    made.compile()
    made.operate("erase", {"customer": "it's ada"})
    assert child.asked == [
        ["test", "--no-write-json", "--exclude-resource-type=unit_test"],
        ["compile", "--select", "path:analyses/safesql"],
        ["run-operation", "erase", "--args", '{"customer":"it\'s ada"}'],
    ]
    assert child.parts == [(3, 7), None, None]


def test_data_tests_that_fail_stand_in_the_report(tmp_path: Path) -> None:
    nodes = (
        node("unique_id", "fail", "test", "Got 3 results, configured to fail if != 0"),
        node("not_null_id", "pass", "test"),
        node("broken", "error", "test", "Runtime Error in test broken (x.yml)\n  No such table"),
    )
    hook = node("cdesk-on-run-start-0", "success", "operation")
    child = Child(answer(hook, *nodes, ok=False) | {"parts": 8})
    report = builder(tmp_path, child).test(0)
    assert report.status == "tests_failed"
    assert (report.nodes, report.parts) == (3, 8)
    assert [(one.name, one.message) for one in report.failures] == [
        ("unique_id", "Got 3 results, configured to fail if != 0"),
        ("broken", "No such table"),
    ]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (answer(node("a"), ok=False), "model a failed: status error; the log is"),
        (answer(node("a", message=None), ok=False), "model a failed: status error; the log is"),
        (answer(node("s", "fail", "seed", "x\ny"), ok=False), "seed s failed: x; the log is"),
        (
            answer(node("t", "fail", "test"), node("a"), node("b", "success"), ok=False),
            "model a failed: status error; the log is",
        ),
        (
            answer(node("a"), node("b", "runtime error"), node("c", "partial success"), ok=False),
            "model a failed (and 2 more): status error; the log is",
        ),
        (
            answer(ok=False, error="Compilation Error\n\n  Model x depends on y\n  called by z"),
            "dbt build failed: Model x depends on y; the log is",
        ),
        (answer(ok=False, error="Runtime Error:\n "), "dbt build failed: Runtime Error:; the log"),
        (answer(ok=False), "dbt build failed: dbt gave no reason; the log is"),
        (answer(ok=False, error="x" * 400), f"dbt build failed: {'x' * 300}; the log is"),
    ],
)
def test_a_failure_is_told_by_what_failed_and_the_first_line_that_says_something(
    told: Any, said: str, tmp_path: Path
) -> None:
    with pytest.raises(BuildError) as failed:
        builder(tmp_path, Child(told)).build()
    assert str(failed.value).startswith(said)
    assert str(failed.value).endswith("dbt.log")


@pytest.mark.parametrize(
    "locked",
    [answer(ok=False, error=LOCKED), answer(node("a"), node("b", message=LOCKED), ok=False)],
    ids=["at the start", "at a model"],
)
def test_a_held_warehouse_is_waited_for_and_no_longer_than_so(locked: Any, tmp_path: Path) -> None:
    child = Child(locked, locked, answer())
    assert builder(tmp_path, child).build(stop=at_once()).status == "succeeded"
    assert len(child.asked) == 3
    child = Child(locked)
    with pytest.raises(BuildError, match="another process holds the warehouse file") as held:
        builder(tmp_path, child, lock_wait_seconds=0.0).build(stop=at_once())
    assert held.value.code == "warehouse_unavailable"
    assert len(child.asked) == 1


def test_what_another_error_says_of_locks_is_no_held_warehouse(tmp_path: Path) -> None:
    done = answer(node("a", "success", message=LOCKED))
    assert builder(tmp_path, Child(done), lock_wait_seconds=0.0).build().status == "succeeded"


def test_a_child_that_ended_idle_or_waits_for_others_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Child] = []
    ways: list[bool] = []

    def another(*_: object, gives_way: bool) -> Child:
        made.append(Child(answer()))
        ways.append(gives_way)
        return made[-1]

    monkeypatch.setattr(build, "_Child", another)
    idle = Child(None)
    asking = builder(tmp_path, idle)
    assert asking.is_ready
    assert asking.build().status == "succeeded"
    assert (idle.alive, len(made), ways) == (False, 1, [False])
    asking.warm()
    assert len(made) == 1
    made[0].is_held_back = True
    asking.warm(gives_way=True)
    assert len(made) == 1, "whoever gives way itself may wait for it"
    asking.warm()
    assert (made[0].alive, len(made)) == (False, 2)
    made[1].is_ready = False
    assert not asking.is_ready
    made[1].alive, made[1].is_ready = False, True
    assert (asking.pid, asking.is_ready) == (None, False)
    asking.warm(gives_way=True)
    assert ways == [False, False, True]
    asking.close()
    assert (made[2].alive, asking.pid) == (False, None)


def test_a_child_that_died_over_a_request_is_not_asked_again(tmp_path: Path) -> None:
    child = Child(BuildError("the build process ended"))
    asking = builder(tmp_path, child)
    with pytest.raises(BuildError, match="process ended"):
        asking.build()
    assert (len(child.asked), child.alive, asking.pid) == (1, False, None)


def test_other_columns_are_known_by_the_words_of_dbt_and_the_engines() -> None:
    for words in (
        "The source and target schemas on this incremental model are out of sync!",
        'Binder Error: Table "t" does not have a column named "x"',
        "000904 (42000): SQL compilation error: invalid identifier 'X'",
    ):
        assert has_other_columns(BuildError(words))
    assert not has_other_columns(BuildError("model a failed: no such table"))


# -- the child's end of it


class Process:
    """Stands for the child process: what it is given, and what it says."""

    pid = 4_712

    def __init__(self, *said: dict[str, Any] | None) -> None:
        self.said: queue.Queue[bytes | None] = queue.Queue()
        self.say(*said)
        self.stdin: Any = SimpleNamespace(
            write=self._write, flush=self._flush, close=lambda: self.steps.append("stdin closed")
        )
        self.stdout: Any = self
        self.steps: list[str] = []
        self.given: list[dict[str, Any]] = []
        self.returncode: int | None = None
        self.hangs = False
        self.answers: list[dict[str, Any] | None] = []
        """What it says to a request."""

    def say(self, *said: dict[str, Any] | None) -> None:
        """None is the end of it."""
        for one in said:
            self.said.put(None if one is None else orjson.dumps(one))

    def _write(self, data: bytes) -> None:
        if self.returncode is not None:
            raise BrokenPipeError
        assert data.endswith(b"\n")
        self.given.append(orjson.loads(data))

    def _flush(self) -> None:
        self.say(*self.answers)

    def __iter__(self) -> Iterator[bytes]:
        while (line := self.said.get()) is not None:
            yield line
        self.steps.append("read to its end")

    def close(self) -> None:
        self.steps.append("stdout closed")

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self.steps.append(f"waited {timeout}")
        if self.hangs and timeout is not None:
            raise subprocess.TimeoutExpired("dbt", timeout)
        self.said.put(None)
        return 0

    def kill(self) -> None:
        self.steps.append("killed")


ENDED: dict[str, Any] = {"ended": "idle"}


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., _Child]]:
    """A child of a process that says this; what it says later too, is taken in at once."""
    processes: list[Process] = []
    started: list[Any] = []

    def make(process: Process, *, gives_way: bool = False) -> _Child:
        def start(arguments: str, environ: Mapping[str, str], output: Any) -> Process:
            started.append((orjson.loads(arguments), environ))
            output.write(b"of dbt\nthe last line\n")
            return process

        processes.append(process)
        monkeypatch.setattr(build, "start_child", start)
        folders = {
            name: tmp_path / name
            for name in ("home_dir", "project_dir", "profiles_dir", "target_dir", "log_dir")
        }
        folders["log_dir"].mkdir(exist_ok=True)
        project = DbtProject(**folders, target="duckdb")
        made = _Child(project, {"A": "b"}, 75.0, gives_way=gives_way)
        assert started[-1] == (
            {
                **{name: str(path) for name, path in folders.items()},
                "target": "duckdb",
                "idle_seconds": 75.0,
                "gives_way": gives_way,
            },
            {"A": "b"},
        )
        return made

    yield make
    for process in processes:
        process.say(None)


def ended(made: _Child, process: Process, *said: dict[str, Any]) -> _Child:
    """The same once its process has said the rest, and all of that was read."""
    process.say(*said, None)
    made._reader.join(20.0)
    assert not made._reader.is_alive()
    return made


def test_a_child_is_ready_once_it_says_so(child: Callable[..., _Child]) -> None:
    process = Process()
    made = child(process)
    assert (made.pid, made.alive, made.is_ready) == (4_712, True, False)
    assert made._reader.daemon, "it keeps no process"
    ended(made, process, {"ready": True})
    assert made.is_ready
    process.returncode = 0
    assert not made.alive


@pytest.mark.parametrize(
    ("for_good", "gives_way", "is_ready", "is_held_back"),
    [
        (False, False, False, False),
        (False, True, False, True),
        (False, True, True, False),
        (True, False, False, True),
        (True, True, True, True),
    ],
)
def test_who_is_not_to_wait_waits_for_no_child_that_gives_way(
    child: Callable[..., _Child],
    monkeypatch: pytest.MonkeyPatch,
    for_good: bool,
    gives_way: bool,
    is_ready: bool,
    is_held_back: bool,
) -> None:
    monkeypatch.setattr(build, "gives_way_to_all", lambda: for_good)
    made = child(Process(), gives_way=gives_way)
    made.is_ready = is_ready
    assert made.is_held_back is is_held_back


def test_a_request_is_answered_by_what_has_its_number(child: Callable[..., _Child]) -> None:
    steps: list[tuple[int, int, str]] = []
    process = Process({"ready": True})
    made = child(process)
    step = {"progress": {"done": 1, "total": 2, "name": "events"}}
    process.answers = [{"id": 0, "ok": False}, {"id": 1, **step}, {"id": 1, "ok": True}]
    assert made.ask(["build"], None, lambda *one: steps.append(one)) == {"id": 1, "ok": True}
    assert steps == [(1, 2, "events")]
    process.answers = [{"id": 1, "late": True}, {"id": 2, **step}, {"id": 2, "ok": True}]
    assert made.ask(["test"], threading.Event(), None, (3, 25)) == {"id": 2, "ok": True}
    assert process.given == [
        {"id": 1, "argv": ["build"], "gives_way": False, "part": None},
        {"id": 2, "argv": ["test"], "gives_way": False, "part": [3, 25]},
    ]


def die(process: Process, timeout: float) -> None:
    assert timeout > 0
    process.returncode = 3


def test_a_child_that_died_says_its_last_words_and_one_that_ended_idle_nothing(
    child: Callable[..., _Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    for said, before in (((), True), ((ENDED,), True), ((), False), ((ENDED,), False)):
        process = Process()
        made = child(process)
        if before:  # it is asked
            ended(made, process, *said)
            process.returncode = 3
        else:
            process.answers = [*said, None]
        if said:
            assert made.ask(["build"], None, None) is None
            continue
        monkeypatch.setattr(process, "wait", functools.partial(die, process))
        with pytest.raises(BuildError) as caught:
            made.ask(["build"], None, None)
        assert str(caught.value) == (
            f"the build process ended (exit 3): the last line; the log is {made.output}"
        )
        made.output.write_bytes(b"")
        assert "(exit 3): no output; the log" in str(made._died())
        made.output.write_bytes(b"\xff" + b"x" * 400)
        assert f": \N{REPLACEMENT CHARACTER}{'x' * 299}; the log" in str(made._died())


class Clock:
    """Goes on by a second with each look for a message, of which there is none."""

    def __init__(self) -> None:
        self.seconds = 50_000.0
        self.looks = 0

    def monotonic(self) -> float:
        return self.seconds

    def get(self, timeout: float) -> None:
        assert timeout > 0
        self.seconds += 1
        self.looks += 1
        raise queue.Empty


@pytest.mark.parametrize(
    ("stopped", "gives_way", "looks", "error"),
    [
        (False, False, TIMEOUT_SECONDS + 1, "dbt build was broken off"),
        (True, False, 3, "dbt build was broken off"),
        (False, True, YIELDING_SECONDS + 1, "dbt build hardly ran beside the HTTP service"),
    ],
)
def test_a_command_is_waited_for_by_what_has_become_of_the_worker(
    monkeypatch: pytest.MonkeyPatch, stopped: bool, gives_way: bool, looks: int, error: str
) -> None:
    clock, stop = Clock(), threading.Event()
    monkeypatch.setattr(build, "time", clock)
    monkeypatch.setattr(build, "gives_way_to_all", lambda: gives_way)
    made = object.__new__(_Child)
    made._number = 0
    made._process = SimpleNamespace(stdin=io.BytesIO())  # type: ignore[assignment]
    made._messages = clock  # type: ignore[assignment]
    if stopped:
        stop.set()
    with pytest.raises(BuildError, match=error) as caught:
        made.ask(["build"], stop, None)
    assert clock.looks == looks
    assert isinstance(caught.value, BuildBlocked) is gives_way


@pytest.mark.parametrize("hangs", [False, True])
def test_a_child_ends_by_the_end_of_its_input_or_by_force(
    child: Callable[..., _Child], hangs: bool
) -> None:
    process = Process()
    made = child(process)
    process.hangs = hangs
    made.end()
    by_force = ["killed", "waited None"] if hangs else []
    assert process.steps == [
        *("stdin closed", "waited 1.0", *by_force, "read to its end", "stdout closed")
    ]


def test_a_child_is_a_process_of_its_own_group_with_pipes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(subprocess, "Popen", lambda argv, **named: started.append((argv, named)))
    with (tmp_path / "log").open("wb") as output:
        start_builder_anew("{}", {"A": "b"}, output)  # as outside of tests
    ((argv, named),) = started
    assert argv == [sys.executable, "-m", "cdesk_app.worker.dbt.builder", "{}"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": output}
    own = {} if sys.platform == "win32" else {"start_new_session": True}
    assert named == {**pipes, "env": {"A": "b"}, **(own or build.own_group())}
