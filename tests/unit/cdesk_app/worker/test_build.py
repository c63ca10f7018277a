"""What a build asks of dbt, and what it makes of the answer."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cdesk.core.errors import BuildError
from cdesk_app.worker.dbt import build
from cdesk_app.worker.dbt.build import Builder, has_other_columns
from cdesk_app.worker.dbt.project import DbtProject

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
