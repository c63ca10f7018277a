"""`cdesk worker` and `cdesk refresh`: how they are run, and what they say they did."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from command_line import runner

from cdesk.core import log, processes
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk_app.cli.worker import _told, describe
from cdesk_app.render.presentation import CardPresenter
from cdesk_app.worker import alone, pipeline
from cdesk_app.worker import main as worker_main
from cdesk_app.worker.cycle import CycleReport


@pytest.fixture(autouse=True)
def logs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Where the log of each run goes."""
    found: list[Any] = []

    def set_up(path: Any, environ: Any, *, credentials: Callable[[Any], Any]) -> None:
        assert "CDESK_HOME" in environ
        assert "[secret" in credentials("password=" + "hunter" + "22x")
        found.append(path)

    monkeypatch.setattr(log, "set_up_logging", set_up)
    return found


@pytest.fixture
def cdesk(state_home: StateDirectory, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    del state_home

    return runner(capsys)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """How the worker was run. The first is what a cycle reports."""
    calls: list[Any] = [CycleReport(landed=1_200, builds=1, build_seconds=0.4, seconds=1.5)]

    def run_once(settings: Any, **given: Any) -> CycleReport:
        given["progress"]("building", 3, 7)
        calls.append(("once", settings, given))
        report: CycleReport = calls[0]
        return report

    def run(settings: Any, **given: Any) -> int:
        calls.append(("run", settings, given))
        return 7

    monkeypatch.setattr(worker_main, "run_once", run_once)
    monkeypatch.setattr(worker_main, "run", run)
    monkeypatch.setattr(processes, "give_way", lambda: calls.append("gives way"))
    return calls


@pytest.mark.parametrize(
    ("words", "idle", "here"),
    [
        ((), worker_main.IDLE_EXIT_SECONDS, False),
        (("--stay",), math.inf, False),
        (("--stay", "--foreground"), math.inf, True),
    ],
)
def test_it_ends_when_nobody_is_there_unless_it_is_to_stay(
    words: tuple[str, ...],
    idle: float,
    here: bool,
    cdesk: Callable[..., str],
    ran: list[Any],
    logs: list[Any],
    state_home: StateDirectory,
) -> None:
    assert cdesk("worker", *words, code=7) == "", "nobody looks on"
    assert logs == [None if here else state_home.worker_log]
    assert ran[1] == "gives way"
    kind, settings, given = ran[2]
    assert (kind, settings.home) == ("run", state_home.root)
    assert given == {"idle_exit_seconds": idle, "present": CardPresenter}


@pytest.mark.parametrize("foreground", [True, False])
def test_somebody_who_looks_on_is_told_what_it_does(
    foreground: bool,
    cdesk: Callable[..., str],
    ran: list[Any],
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    told = cdesk("worker", *(["--foreground"] if foreground else []), code=7)
    where = "here" if foreground else str(state_home.worker_log)
    assert told == (
        "cdesk: this is the worker; it waits for records and queries, and lands, builds and "
        f"answers. Its log is {where}; Ctrl-C ends it\n"
    )
    assert len(ran) == 3


@pytest.mark.parametrize("full", [True, False])
def test_once_is_one_cycle_and_its_report(
    full: bool, cdesk: Callable[..., str], ran: list[Any], logs: list[Any]
) -> None:
    words = ("worker", "--once", *(["--full"] if full else []))
    assert cdesk(*words) == (
        "1,200 records landed; 1 build in 0.4 s; 0 contexts changed (1.5 s in all).\n"
    )
    given = ran[1][2]
    assert (given["full"], given["present"], len(logs)) == (full, CardPresenter, 1)
    assert json.loads(cdesk(*words, "--json"))["landed"] == 1_200


def test_a_data_test_that_failed_is_a_failure_though_all_else_was_done(
    cdesk: Callable[..., str], ran: list[Any], state_home: StateDirectory
) -> None:
    ran[0].failed_tests = ("a", "b")
    assert f"data tests failed: a, b; their rows and SQL stand in {state_home.dbt}" in cdesk(
        "worker", "--once", code=1
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {},
            "0 records landed; 0 builds in 0.0 s; 0 contexts changed (0.0 s in all).",
        ),
        (
            {
                "landed": 1_000,
                "quarantined": 2_000,
                "builds": 2,
                "build_seconds": 3.5,
                "contexts_changed": 4_000,
                "templates": 5_000,
                "tickets": 6_000,
                "waiting": 7_000,
                "seconds": 8.5,
            },
            "1,000 records landed; 2,000 of them quarantined; 2 builds in 3.5 s; "
            "4,000 contexts changed; 5,000 query templates compiled; 6,000 queries run; "
            "7,000 records still wait (8.5 s in all).",
        ),
        ({"templates": 0, "builds": 1}, "0 query templates compiled"),
        (
            {"handed_over": True, "seconds": 2.0, "landed": 9},
            "The running worker did it, in 2.0 s; 'cdesk status' has the figures.",
        ),
    ],
)
def test_the_report_in_words(given: dict[str, Any], told: str) -> None:
    assert told in _told(CycleReport(**given))
    assert "\n" not in _told(CycleReport(**given))


def test_a_stage_says_how_far_it_is_where_that_is_known() -> None:
    assert describe("building", 3, 7) == "building, 3 of 7"
    assert describe("building", 0, 0) == "building"


def test_a_stop_waits_for_the_end(
    cdesk: Callable[..., str], state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone, "stop_worker", lambda _: pytest.fail("there is none"))
    assert cdesk("worker", "--stop") == "No worker runs.\n"
    lock = FileLock(state_home.worker_lock)
    assert lock.acquire()
    for has_ended in (True, False):
        monkeypatch.setattr(alone, "stop_worker", lambda _, ended=has_ended: ended)
        told = cdesk("worker", "--stop", code=0 if has_ended else 1)
        assert told == (
            "The worker has ended. The MCP server starts another with its next call; "
            "CDESK_WORKER=off keeps it from that.\n"
            if has_ended
            else f"cdesk: the worker has not ended in 15 s; its log is {state_home.worker_log}\n"
        )
    lock.release()


# -- refresh


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What is asked of the pipeline."""
    calls: list[Any] = []

    class Pipeline:
        def refresh(self, *, whole: bool = False) -> object:
            calls.append(("refresh", whole))
            return SimpleNamespace(changed=1_200)

        def export(self, *, force: bool = False) -> int:
            calls.append(("export", force))
            return 60

        def close(self) -> None:
            calls.append("closed")

    def open_pipeline(settings: Any, home: StateDirectory, *, stop: Any) -> Pipeline:
        assert (settings.home, stop.is_set()) == (home.root, False)
        assert not FileLock(home.worker_lock).acquire(), "nobody else builds meanwhile"
        return Pipeline()

    monkeypatch.setattr(pipeline, "open_pipeline", open_pipeline)
    yield calls
    logging.getLogger("cdesk").setLevel(logging.NOTSET)


def test_a_refresh_makes_all_of_it_anew(
    cdesk: Callable[..., str],
    opened: list[Any],
    ran: list[Any],
    logs: list[Any],
    state_home: StateDirectory,
) -> None:
    assert cdesk("refresh") == "1,200 contexts changed, 60 query templates compiled.\n"
    assert opened == [("refresh", True), ("export", True), "closed"]
    assert json.loads(cdesk("refresh", "--json")) == {
        "by": "this command",
        "contexts_changed": 1_200,
        "templates": 60,
    }
    assert logs == [state_home.worker_log] * 2
    assert len(ran) == 1
    assert FileLock(state_home.worker_lock).acquire(), "free again"


def test_a_running_worker_is_asked_to_refresh(
    cdesk: Callable[..., str], opened: list[Any], ran: list[Any], state_home: StateDirectory
) -> None:
    lock = FileLock(state_home.worker_lock)
    assert lock.acquire()
    assert cdesk("refresh") == "The running worker has landed, built and refreshed.\n"
    assert json.loads(cdesk("refresh", "--json")) == {
        "by": "the running worker",
        "contexts_changed": None,
        "templates": None,
    }
    assert opened == []
    assert [one[0] for one in ran[1:]] == ["once", "once"]
    lock.release()
