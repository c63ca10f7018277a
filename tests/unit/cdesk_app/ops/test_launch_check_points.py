"""The points of the launch check: what each runs, and how its figures are read."""

from __future__ import annotations

import re
from pathlib import Path

import orjson

from bench.load import report as report_of_load
from bench.load.client import Tally
from bench.load.phases import Counted, People
from bench.load.servers import Memory
from cdesk_app.ops.launch_check_points import (
    POINTS,
    SUITE,
    Check,
    audit_figures,
    coverage_figures,
    load_figures,
    pytest_of,
    turn_figures,
)

ROOT = Path(__file__).resolve().parents[4]


def load_output(*, users: int = 1_000, lag: float = 1.0, **p95: float) -> str:
    """What `python -m bench load` prints, by its own hand."""
    ours, bare = Tally(), Tally()
    for name, limit in report_of_load.LIMITS.items():
        ours.times[name] = [p95.get(name, limit / 2)] * 20
        bare.times[name] = [1.0] * 20
    ours.turns, bare.turns = [p95.get("turn", 90.0)] * 20, [9.0] * 20
    ours.times["get_result"], bare.times["get_result"] = [900.0] * 20, [1.0] * 20
    counted = Counted(acknowledged=9)
    people = People(users, 60.0, (2, 5), ours, bare, counted, lag, Memory({}), worked=True)
    return "\n".join(report_of_load.people_lines(people))


def test_what_the_load_benchmark_prints_is_held_to_its_limits() -> None:
    evidence, problems = load_figures(load_output(), 0, ROOT)
    assert problems == []
    assert "get_context p95 12.5 ms" in evidence
    assert "ingestion lag p95 1000.0 ms" in evidence
    for told, output in (
        ("get_context p95 is 25.0 ms, the limit 25", load_output(get_context=25.0)),
        ("log_insight p95 is 10.5 ms, the limit 10", load_output(log_insight=10.5)),
        ("first token path p95 is 300.0 ms, the limit 300", load_output(turn=300.0)),
        ("ingestion lag p95 is 6000.0 ms, the limit 5000", load_output(lag=6.0)),
        ("ingestion lag p95 is nan ms, the limit 5000", load_output(lag=float("nan"))),
        ("999 users, at least 1,000", load_output(users=999)),
    ):
        assert load_figures(output, 0, ROOT)[1] == [told]
    whole = load_output().splitlines()
    for lost, told in (
        (" users, ", "all"),
        ("ingestion lag", "all"),
        ("errors: ", "all"),
        ("log_insight", "log_insight"),
    ):
        rest = "\n".join(line for line in whole if lost not in line)
        assert load_figures(rest, 0, ROOT) == (
            [],
            [f"the benchmark printed no figures for {told}"],
        )


def turn_results(root: Path, at: str, **calls: float) -> None:
    (root / "bench" / "results").mkdir(parents=True, exist_ok=True)
    rows = {name: {"p95_ms": value} for name, value in calls.items()}
    results = orjson.dumps({"at": at, "calls": rows})
    (root / "bench" / "results" / "turn_path.json").write_bytes(results)


def test_the_turn_path_is_held_to_its_limits_by_results_of_this_run(tmp_path: Path) -> None:
    at, started = "2026-01-31T12:00:00.000000Z", 1_769_860_800_000_000_000
    sound = {"get_context": 25.0, "log_event": 100.0, "submit_query": 175.0}
    assert turn_figures("", started, tmp_path)[1] == [
        "the benchmark left no results (FileNotFoundError)"
    ]
    turn_results(tmp_path, at, **sound)
    assert turn_figures("", started, tmp_path) == (
        [
            "get_context p95 25.00 ms",
            "first token path (get_context, log_event, submit_query) p95 300.0 ms",
        ],
        [],
    )
    assert turn_figures("", started + 1_000, tmp_path)[1] == [
        f"the results are of an earlier run ({at})"
    ]
    turn_results(tmp_path, at, **{**sound, "get_context": 25.1})
    assert turn_figures("", started, tmp_path)[1] == [
        "get_context p95 is over 25 ms",
        "the first token path is over 300 ms",
    ]
    turn_results(tmp_path, at, get_context=1.0)
    assert turn_figures("", started, tmp_path)[1] == ["the benchmark left no results (KeyError)"]


def test_the_total_of_a_coverage_report_is_held_to_its_bound() -> None:
    for share, problems in (
        (80, []),
        (79, ["79 % of branches and lines, at least 80 %"]),
    ):
        assert coverage_figures(f"TOTAL  100 20 30 5 {share}%\n", 0, ROOT) == (
            [f"{share} % of lines and branches, in all processes"],
            problems,
        )
    assert coverage_figures("nothing", 0, ROOT) == ([], ["coverage reported no total"])


def test_what_the_audit_says_of_itself_is_the_evidence() -> None:
    output = "audit: 1 of 2\na is under GPL\naudit: 2 pins\n"
    assert audit_figures(output, 0, ROOT) == (["audit: 1 of 2", "audit: 2 pins"], [])


def test_each_point_is_held_to_figures_where_there_are_any_and_says_what_is_quick() -> None:
    figures = {
        point.name: [check.figures for check in point.checks if check.figures] for point in POINTS
    }
    assert {name: found for name, found in figures.items() if found} == {
        "SLOs under load": [load_figures, turn_figures],
        "1,000 users": [load_figures],
        "first token path": [turn_figures],
        "dependency audit": [audit_figures],
        "coverage": [coverage_figures],
    }
    checks = [(point.name, check) for point in POINTS for check in point.checks]
    assert [name for name, check in checks if check.quick] == [
        "alerts firing",
        "documentation links and commands",
        "dependency audit",
    ]
    assert [name for name, check in checks if check.is_pytest and not check.in_suite] == [
        "chaos level 3",
        "runbook commands",
        "rollback",
    ]
    assert SUITE.most_seconds > max(check.most_seconds for _, check in checks if check != SUITE)


def test_a_check_is_shown_as_it_is_typed_and_tests_of_other_marks_run_apart() -> None:
    assert Check(("a", "b c", "")).shown == "a 'b c' ''"
    own, marked = pytest_of("tests/x"), pytest_of("tests/x", marked="chaos", quick=True)
    assert own == Check(("python", "-m", "pytest", "-q", "tests/x"), in_suite=True)
    assert marked == Check(("python", "-m", "pytest", "-q", "-m", "chaos", "tests/x"), quick=True)
    assert own.is_pytest
    assert not Check(("python", "-m", "bench")).is_pytest


def test_every_test_of_the_list_is_there() -> None:
    """A path that was renamed would be found only by the run that needs it."""
    for point in POINTS:
        for check in point.checks:
            for word in check.argv:
                if word.startswith("tests/"):
                    assert (ROOT / word).exists(), word


def test_no_test_of_the_list_leaves_itself_out_for_what_it_is_given() -> None:
    """A skip of one case would keep the whole point from ever passing. What is missing on a machine
    (a tag, a program, a privilege) is another thing.
    """
    missing = ("tag v0.1.0", "not a git checkout", "no mount here", "is not permitted here")
    for point in POINTS:
        for check in filter(lambda check: check.is_pytest, point.checks):
            for word in check.argv:
                path = ROOT / word
                files = path.rglob("test_*.py") if path.is_dir() else [path]
                for file in files if word.startswith("tests/") else ():
                    text = file.read_text(encoding="utf-8")
                    skips = re.findall(r"pytest\.skip\(\s*(.*)", text)
                    odd = [why for why in skips if not any(one in why for one in missing)]
                    assert odd == [], file.name
