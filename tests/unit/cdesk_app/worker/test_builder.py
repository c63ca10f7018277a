"""What the child process asks of dbt, what it keeps between commands and what it answers. dbt is a
stand-in here; tests/integration/worker/test_warm_builder.py has the real one.
"""

from __future__ import annotations

import io
import os
import queue
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from cdesk_app.worker.dbt import builder
from cdesk_app.worker.dbt.builder import WarmDbt, _answer, _node, _Progress
from cdesk_app.worker.dbt.project import DbtProject


class Manifest:
    """Stands for dbt's, with data tests of two models and one of none."""

    def __init__(self) -> None:
        nodes = [
            SimpleNamespace(resource_type="model", name="a_model"),
            SimpleNamespace(resource_type="test", name="unique_z", attached_node="model.a"),
            SimpleNamespace(resource_type="test", name="not_null_a", attached_node="model.b"),
            SimpleNamespace(resource_type="test", name="not_null_b", attached_node="model.a"),
            SimpleNamespace(resource_type="test", name="singular_b", attached_node=None),
            SimpleNamespace(resource_type="test", name="singular_a"),
        ]
        self.nodes = {str(number): node for number, node in enumerate(nodes)}


class Dbt:
    """Stands for dbt in this process: what it was asked, what it answers, what became of it all."""

    def __init__(self, project: DbtProject, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[Any] = []
        self.manifest = Manifest()
        self.kept: Manifest | None = None
        self.parse: Any = SimpleNamespace(result=self.manifest, exception=None)
        self.outcome: Any = SimpleNamespace(success=True, exception=None, result=None)
        self.events: list[Any] = []
        self.error: Exception | None = None
        self.connected: Any = SimpleNamespace(close=lambda: self.asked.append("closed"))
        manager = type(
            "Manager",
            (),
            {
                "_ENV": self.connected,
                "close_all_connections": lambda: self.asked.append("released"),
            },
        )
        self.manager: Any = manager
        modules = {
            "dbt.cli.main": SimpleNamespace(dbtRunner=self._runner),
            "dbt.contracts.graph.manifest": SimpleNamespace(Manifest=Manifest),
            "dbt.adapters.duckdb.connections": SimpleNamespace(DuckDBConnectionManager=manager),
        }
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        said = {name: self._says(name) for name in ("disable", "enable", "freeze", "collect")}
        monkeypatch.setattr(builder, "gc", SimpleNamespace(**said, set_threshold=self._threshold))
        monkeypatch.setattr(builder.economy, "save", lambda folder: self.asked.append(folder))
        monkeypatch.setattr(builder, "KeptManifest", self._kept_manifest)
        self.project = project

    def _says(self, name: str) -> Callable[[], None]:
        return lambda: self.asked.append(name)

    def _threshold(self, *given: int) -> None:
        self.asked.append(given)

    def _kept_manifest(self, path: Path, fingerprint: str) -> Any:
        assert (path, fingerprint) == (
            self.project.target_dir / builder.FILE,
            self.project.fingerprint(),
        )

        def keep(manifest: Manifest) -> None:
            self.asked.append("kept")
            self.kept = manifest

        return SimpleNamespace(load=lambda: self.kept, keep=keep)

    def _runner(
        self, *, manifest: Manifest | None = None, callbacks: Sequence[Any] = ()
    ) -> SimpleNamespace:
        def invoke(argv: list[str]) -> Any:
            assert argv[-len(self.project.options()) :] == self.project.options()
            own = argv[: -len(self.project.options())]
            self.asked.append(own)
            if own[0] == "parse":
                return self.parse
            assert manifest is self.manifest
            for event in self.events:
                for callback in callbacks:
                    callback(event)
            if self.error is not None:
                raise self.error
            return self.outcome

        return SimpleNamespace(invoke=invoke)

    def commands(self) -> list[list[str]]:
        """The commands since the last time."""
        found = [one for one in self.asked if isinstance(one, list)]
        self.asked.clear()
        return found


def project_of(folder: Path, **more: Any) -> DbtProject:
    (folder / "target").mkdir()
    (folder / "profiles.yml").write_text("-", encoding="utf-8")
    folders = dict.fromkeys(("home_dir", "project_dir", "profiles_dir"), folder)
    target: Any = more.pop("target", "duckdb")
    return DbtProject(
        **folders, target_dir=folder / "target", log_dir=folder / "logs", target=target, **more
    )


@pytest.fixture
def dbt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dbt:
    return Dbt(project_of(tmp_path), monkeypatch)


def nothing(*_: object) -> None:
    pass


def event(name: str, **data: Any) -> SimpleNamespace:
    return SimpleNamespace(info=SimpleNamespace(name=name), data=SimpleNamespace(**data))


PARSE = ["parse", "--no-write-json"]
ANEW = [*PARSE, "--no-partial-parse"]


def test_a_project_is_parsed_once_and_kept_for_the_next_process(dbt: Dbt) -> None:
    warm = WarmDbt(dbt.project)
    warm.warm()
    folder = dbt.project.target_dir
    assert dbt.asked == [
        *(folder, "disable", "freeze", "enable"),
        *("disable", ANEW, "kept", "collect", "freeze", "enable"),
        *("closed", "released"),
    ]
    mark = folder / "parsed_project"
    assert mark.read_text(encoding="utf-8") == dbt.project.fingerprint()
    dbt.asked.clear()
    first = warm.run(["build"], nothing)
    assert dbt.asked == [folder, ["build"], "closed", "released"]
    assert (first["parsed"], first["fingerprint"]) == (False, dbt.project.fingerprint())
    dbt.asked.clear()
    other = WarmDbt(dbt.project)
    assert other.run(["build"], nothing)["parsed"] is False, "by what the first one kept"
    assert dbt.commands() == [["build"]]
    (dbt.project.project_dir / "packages.yml").write_text("-", encoding="utf-8")
    dbt.kept = None
    second = other.run(["build"], nothing)
    assert dbt.commands() == [ANEW, ["build"]], "dbt's own parse is of another project"
    assert second["parsed"] is True
    assert second["fingerprint"] not in (first["fingerprint"], "")
    dbt.kept = None
    assert WarmDbt(dbt.project).run(["build"], nothing)["parsed"] is True
    assert dbt.commands() == [PARSE, ["build"]], "dbt's own parse is of this project"


def test_what_names_of_the_environment_go_into_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dbt = Dbt(project_of(tmp_path, target="snowflake"), monkeypatch)
    dbt.kept = dbt.manifest
    WarmDbt(dbt.project).warm()
    assert "kept" not in dbt.asked
    assert dbt.commands() == [ANEW]


@pytest.mark.parametrize(
    ("exception", "error"),
    [("Parsing Error", "Parsing Error"), (None, "the project cannot be parsed")],
)
def test_what_is_wrong_with_a_project_is_what_a_command_answers(
    dbt: Dbt, exception: str | None, error: str
) -> None:
    mark = dbt.project.target_dir / "parsed_project"
    mark.write_text(dbt.project.fingerprint(), encoding="utf-8")
    dbt.parse = SimpleNamespace(result=None, exception=exception)
    warm = WarmDbt(dbt.project)
    warm.warm()
    assert dbt.asked[-3:] == ["enable", "closed", "released"]
    answer = warm.run(["build"], nothing)
    assert answer.pop("seconds") >= 0
    assert answer == {
        "ok": False,
        "parsed": True,
        "fingerprint": dbt.project.fingerprint(),
        "error": error,
        "nodes": [],
        "told": [],
        "parts": 1,
    }
    assert not mark.exists(), "whatever dbt keeps of it now"
    assert dbt.asked[-2:] == ["closed", "released"]


def test_a_command_answers_with_what_came_of_each_node(dbt: Dbt) -> None:
    model = SimpleNamespace(name="events", resource_type="model")
    dbt.outcome.result = SimpleNamespace(
        results=[
            SimpleNamespace(node=model, status="success", execution_time=0.12349, message="OK"),
            SimpleNamespace(
                unique_id="macro.cdesk.erase", status="error", execution_time=0.0, message=None
            ),
        ]
    )
    dbt.outcome.success = False
    dbt.events = [
        event("JinjaLogInfo", msg="erased: {}"),
        event("RunningOperationCaughtError", exc="no such customer"),
    ]
    answer = WarmDbt(dbt.project).run(["build"], nothing)
    assert (answer["ok"], answer["parsed"], answer["error"]) == (False, True, None)
    assert answer["told"] == ["erased: {}"]
    assert answer["nodes"] == [
        {"name": "events", "type": "model", "status": "success", "seconds": 0.123, "message": "OK"},
        {
            "name": "erase",
            "type": "operation",
            "status": "error",
            "seconds": 0.0,
            "message": "no such customer",
        },
    ]


def test_after_a_command_that_broke_the_next_one_starts_from_a_fresh_manifest(dbt: Dbt) -> None:
    warm = WarmDbt(dbt.project)
    dbt.outcome.exception = ValueError("Compilation Error")
    assert warm.run(["build"], nothing)["error"] == "Compilation Error"
    dbt.kept, dbt.outcome.exception = None, None
    dbt.commands()
    assert warm.run(["build"], nothing)["error"] is None
    assert dbt.commands() == [PARSE, ["build"]]
    dbt.error = KeyboardInterrupt()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        warm.run(["build"], nothing)
    assert dbt.asked[-2:] == ["closed", "released"]


@pytest.mark.parametrize(
    ("part", "names", "parts"),
    [
        ((0, 2), ["singular_a", "singular_b"], 3),
        ((1, 2), ["not_null_b", "unique_z"], 3),
        ((2, 2), ["not_null_a"], 3),
        ((7, 2), ["not_null_a"], 3),
        ((0, 5), ["singular_a", "singular_b", "not_null_b", "unique_z", "not_null_a"], 1),
        ((1, 4), ["not_null_a"], 2),
    ],
)
def test_slices_of_the_data_tests_keep_those_of_a_model_together(
    dbt: Dbt, part: tuple[int, int], names: list[str], parts: int
) -> None:
    answer = WarmDbt(dbt.project).run(["test"], nothing, part)
    assert dbt.commands()[1:] == [["test", "--select", *names]]
    assert answer["parts"] == parts


def test_a_project_without_data_tests_has_one_slice_of_none(dbt: Dbt) -> None:
    dbt.manifest.nodes.clear()
    answer = WarmDbt(dbt.project).run(["test"], nothing, (0, 25))
    assert dbt.commands()[1:] == [["test", "--select"]]
    assert answer["parts"] == 1


def test_dbts_events_become_steps() -> None:
    steps: list[tuple[int, int, str]] = []
    progress = _Progress(lambda *step: steps.append(step))
    for name, total in (
        ("LogSeedResult", {"total": 3}),
        ("LogModelResult", {"total": 3, "num_models": 9}),
        ("LogTestResult", {"num_models": 7, "total": 9}),
        ("LogStartLine", {"total": 3}),
    ):
        progress(event(name, node_info=SimpleNamespace(node_name=f"of {name}"), **total))
    assert steps == [
        (1, 3, "of LogSeedResult"),
        (2, 3, "of LogModelResult"),
        (3, 7, "of LogTestResult"),
    ]
    assert (progress.told, progress.problem) == ([], None)


@pytest.mark.parametrize(
    ("node", "message", "told"),
    [(True, "m", "m"), (True, None, None), (False, "m", "m"), (False, None, "problem")],
)
def test_why_an_operation_failed_is_what_was_told_meanwhile(
    node: bool, message: str | None, told: str | None
) -> None:
    result = SimpleNamespace(unique_id="a.b.c", status="error", execution_time=1.0, message=message)
    if node:
        result.node = SimpleNamespace(name="n", resource_type="test")
    found = _node(result, "problem")
    assert found["message"] == told
    assert (found["name"], found["type"]) == (("n", "test") if node else ("c", "operation"))


def test_an_answer_says_how_long_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "time", SimpleNamespace(monotonic=lambda: 101.23456))
    answer = _answer(100.0, ok=True, parsed=False, fingerprint="f", error=None)
    assert (answer["seconds"], answer["parts"]) == (1.235, 1)
    assert (answer["nodes"], answer["told"]) == ([], [])


def test_no_warehouse_is_released_where_none_was_opened_or_another_engine_runs(
    dbt: Dbt, monkeypatch: pytest.MonkeyPatch
) -> None:
    dbt.manager._ENV = None
    builder.release_warehouse()
    assert dbt.asked == ["released"]
    monkeypatch.setitem(sys.modules, "dbt.adapters.duckdb.connections", None)
    builder.release_warehouse()
    assert dbt.asked == ["released"]


# -- the protocol


class Exit(BaseException):
    """In place of the end of the process."""


def exits(code: int) -> None:
    raise Exit(code)


class AtOnce:
    """In place of a thread: has ended when it has started."""

    def __init__(self, *, target: Callable[..., object], args: Sequence[Any], daemon: bool) -> None:
        assert daemon, "it would keep the process"
        self._target, self._args = target, args

    def start(self) -> None:
        self._target(*self._args)


def test_requests_are_answered_one_after_another_until_none_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways: list[Any] = []
    channel = io.BytesIO()

    class Warm:
        def __init__(self, project: DbtProject) -> None:
            assert project is given

        def warm(self) -> None:
            ways.append("warm")

        def run(self, argv: list[str], report: Any, part: Any) -> dict[str, Any]:
            ways.append((argv, part))
            report(1, 2, "events")
            return {"ok": True}

    def run(job: Callable[[], Any], name: str) -> Any:
        ways.append(name)
        return job()

    requests = [
        {"id": 1, "argv": ["build"], "gives_way": False},
        {"id": 2, "argv": ["test"], "gives_way": True, "part": [3, 25]},
    ]
    given = project_of(tmp_path)
    monkeypatch.setattr(builder, "WarmDbt", Warm)
    monkeypatch.setattr(builder, "run_giving_way", run)
    monkeypatch.setattr(builder, "divert_stdout", lambda: channel)
    monkeypatch.setattr(builder.threading, "Thread", AtOnce)
    monkeypatch.setattr(
        builder, "_read_requests", lambda to: [to.put(orjson.dumps(one)) for one in requests]
    )
    monkeypatch.setattr(os, "_exit", exits)
    for gives_way in (False, True):
        with pytest.raises(Exit) as ended:
            builder.serve(given, idle_seconds=0.001, gives_way=gives_way)
        assert ended.value.args == (0,)
    assert [orjson.loads(line) for line in channel.getvalue().splitlines()] == [
        {"ready": True},
        {"id": 1, "progress": {"done": 1, "total": 2, "name": "events"}},
        {"id": 1, "ok": True},
        {"id": 2, "progress": {"done": 1, "total": 2, "name": "events"}},
        {"id": 2, "ok": True},
        {"ended": "idle"},
    ] * 2
    asked = [(["build"], None), "dbt", (["test"], [3, 25])]
    assert ways == ["warm", *asked, "dbt", "warm", *asked]


def test_what_is_ready_is_told_when_it_is_and_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    channel = SimpleNamespace(
        write=lambda data: steps.append(data.decode()), flush=lambda: steps.append("flush")
    )
    warm = SimpleNamespace(warm=lambda: steps.append("warm"))
    monkeypatch.setattr(builder, "WarmDbt", lambda _: warm)
    monkeypatch.setattr(builder, "divert_stdout", lambda: channel)
    monkeypatch.setattr(builder.threading, "Thread", AtOnce)
    monkeypatch.setattr(builder, "_read_requests", lambda _: steps.append("reads"))
    monkeypatch.setattr(os, "_exit", exits)
    with pytest.raises(Exit):
        builder.serve(project_of(tmp_path), idle_seconds=0.001)
    ready, ended = '{"ready":true}\n', '{"ended":"idle"}\n'
    assert steps == ["reads", "warm", ready, "flush", ended, "flush"]


def test_the_end_of_input_is_the_end_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"one\ntwo\n")))
    monkeypatch.setattr(os, "_exit", exits)
    requests: queue.Queue[bytes] = queue.Queue()
    with pytest.raises(Exit) as ended:
        builder._read_requests(requests)
    assert ended.value.args == (0,)
    assert [requests.get_nowait() for _ in range(2)] == [b"one\n", b"two\n"]


def test_what_prints_to_standard_output_disturbs_no_answer(
    capfd: pytest.CaptureFixture[str],
) -> None:
    saved = os.dup(1)
    try:
        with builder.divert_stdout() as channel:
            os.write(1, b"printed")
            channel.write(b"an answer")
    finally:
        os.dup2(saved, 1)
        os.close(saved)
    assert capfd.readouterr() == ("an answer", "printed")


def test_the_process_is_private_nice_and_in_its_directory_before_it_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[Any] = []
    names = ("home_dir", "project_dir", "profiles_dir", "target_dir", "log_dir")
    folders = {name: str(tmp_path / name) for name in names}
    given = {**folders, "target": "snowflake", "idle_seconds": 75, "gives_way": True}
    monkeypatch.setattr(sys, "argv", ["builder", orjson.dumps(given).decode()])
    monkeypatch.setattr(builder, "keep_private", lambda: steps.append("private"))
    monkeypatch.setattr(builder, "be_nice_among_sessions", lambda: steps.append("nice"))
    monkeypatch.setattr(os, "chdir", lambda path: steps.append(path))
    collecting = SimpleNamespace(
        disable=lambda: steps.append("collects nothing"),
        set_threshold=lambda *at: steps.append(at),
    )
    monkeypatch.setattr(builder, "gc", collecting)
    monkeypatch.setattr(builder, "serve", lambda *of, **how: steps.append((*of, how)))
    builder.main()
    paths: dict[str, Any] = {name: tmp_path / name for name in names}
    project = DbtProject(**paths, target="snowflake")
    assert steps == [
        *("private", "nice", tmp_path / "home_dir", "collects nothing", (10_000, 20, 20)),
        (project, {"idle_seconds": 75.0, "gives_way": True}),
    ]
