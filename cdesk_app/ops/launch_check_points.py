"""The points of the launch check (cdesk_app/ops/launch_check.py): what runs for each, and how the
figures that it prints are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from cdesk.core.clock import parse_ts, to_ns

GET_CONTEXT_MS: Final = 25.0
FIRST_TOKEN_MS: Final = 300.0
COVERAGE: Final = 80
LOAD_USERS: Final = 1_000

Figures = Callable[[str, int, Path], tuple[list[str], list[str]]]
"""(output, when the command began in ns, the checkout) → evidence, problems."""


@dataclass(frozen=True, slots=True)
class Check:
    """A command. `python` stands for this interpreter, `{folder}` for the folder that is the
    command's own. quick: it takes seconds. in_suite: these tests are among those of `SUITE`, and
    where that runs they are judged by what it left of them.
    """

    argv: tuple[str, ...]
    quick: bool = False
    figures: Figures | None = None
    most_seconds: int = 3_600
    in_suite: bool = False

    @property
    def shown(self) -> str:
        return " ".join(f"'{word}'" if " " in word or not word else word for word in self.argv)

    @property
    def is_pytest(self) -> bool:
        return self.argv[:3] == ("python", "-m", "pytest")


@dataclass(frozen=True, slots=True)
class Point:
    """A point of the list, by the name that the report gives it."""

    name: str
    checks: tuple[Check, ...]


def pytest_of(*words: str, quick: bool = False, marked: str | None = None) -> Check:
    """Tests by their paths and options; `marked` selects other marks than `make test` does."""
    marks = () if marked is None else ("-m", marked)
    return Check(
        ("python", "-m", "pytest", "-q", *marks, *words), quick=quick, in_suite=marked is None
    )


# -- figures


_LIMITED: Final = re.compile(
    r"^(\w[\w ]*?) {2,}[\d.]+ +(?P<p95>[\d.]+|nan) +(?P<limit>[\d.]+) +[\d.]+ +[\d.]+$",
    re.MULTILINE,
)
"""A row with a limit, of the table of `python -m bench load`: p50, p95, limit, bare, ratio."""
_MEASURED: Final = ("get_context", "log_event", "log_insight", "submit_query", "first token path")


def load_figures(output: str, _started: int, _root: Path) -> tuple[list[str], list[str]]:
    """Of `python -m bench load`: each call under load against its limit, how long a record waits
    for its landing, and that nothing was lost.
    """
    users = re.search(r"^([\d,]+) users, .*$", output, re.MULTILINE)
    lag = re.search(r"^ingestion lag p95 ([\d.]+|nan) s \(limit ([\d.]+)\)$", output, re.MULTILINE)
    errors = re.search(r"^errors: .*$", output, re.MULTILINE)
    rows = {row[1]: (float(row["p95"]), float(row["limit"])) for row in _LIMITED.finditer(output)}
    missing = [name for name in _MEASURED if name not in rows]
    if not (users and lag and errors) or missing:
        return [], [f"the benchmark printed no figures for {', '.join(missing) or 'all'}"]
    rows["ingestion lag"] = (1e3 * float(lag[1]), 1e3 * float(lag[2]))
    evidence = [users[0], errors[0]]
    evidence += [f"{name} p95 {p95:.1f} ms" for name, (p95, _) in rows.items()]
    problems = [
        f"{name} p95 is {p95:.1f} ms, the limit {limit:g}"
        for name, (p95, limit) in rows.items()
        if not p95 < limit
    ]
    if int(users[1].replace(",", "")) < LOAD_USERS:
        problems.append(f"{users[1]} users, at least {LOAD_USERS:,}")
    return evidence, problems


def turn_figures(_output: str, started: int, root: Path) -> tuple[list[str], list[str]]:
    """Of `python -m bench turn_path`, by the results that it wrote in this run."""
    try:
        results = orjson.loads((root / "bench" / "results" / "turn_path.json").read_bytes())
        at = to_ns(parse_ts(results["at"]))
        calls = {name: row["p95_ms"] for name, row in results["calls"].items()}
        path = sum(calls[name] for name in ("get_context", "log_event", "submit_query"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [], [f"the benchmark left no results ({type(error).__name__})"]
    if at < started:
        return [], [f"the results are of an earlier run ({results['at']})"]
    evidence = [
        f"get_context p95 {calls['get_context']:.2f} ms",
        f"first token path (get_context, log_event, submit_query) p95 {path:.1f} ms",
    ]
    problems = []
    if calls["get_context"] > GET_CONTEXT_MS:
        problems.append(f"get_context p95 is over {GET_CONTEXT_MS:g} ms")
    if path > FIRST_TOKEN_MS:
        problems.append(f"the first token path is over {FIRST_TOKEN_MS:g} ms")
    return evidence, problems


def coverage_figures(output: str, _started: int, _root: Path) -> tuple[list[str], list[str]]:
    """Of `make coverage`: the last line of coverage's report."""
    total = re.search(r"^TOTAL\s.*?(\d+)%\s*$", output, re.MULTILINE)
    if total is None:
        return [], ["coverage reported no total"]
    short = int(total[1]) < COVERAGE
    problem = [f"{total[1]} % of branches and lines, at least {COVERAGE} %"] if short else []
    return [f"{total[1]} % of lines and branches, in all processes"], problem


def audit_figures(output: str, _started: int, _root: Path) -> tuple[list[str], list[str]]:
    """Of the dependency audit: what it says it could look at."""
    return [line for line in output.splitlines() if line.startswith("audit: ")], []


# -- the list

SUITE: Final = Check(
    ("make", "coverage", "RESULTS={folder}/results.xml", "--no-print-directory"),
    figures=coverage_figures,
    most_seconds=7_200,
)
"""Every test of `make test`, once: those of other points among them."""

# Without the phases that look for the end of what the machine can bear.
_PHASES: Final = "people,abuser,hostile,killed"
_LOAD: Final = Check(
    ("python", "-m", "bench", "load", "--users", str(LOAD_USERS), "--only", _PHASES),
    figures=load_figures,
)
_TURN: Final = Check(
    ("python", "-m", "bench", "turn_path", "--calls", "500", "--customers", "0"),
    figures=turn_figures,
)
_SNOWFLAKE: Final = "tests/integration/snowflake"

POINTS: Final = (
    Point("SLOs under load", (_LOAD, _TURN)),
    Point("1,000 users", (_LOAD, pytest_of("tests/integration/shim_http/test_load.py"))),
    Point("first token path", (_TURN,)),
    Point(
        "injection corpus",
        (
            pytest_of("tests/integration/queries/test_injection.py"),
            pytest_of(f"{_SNOWFLAKE}/test_injection_on_snowflake.py"),
        ),
    ),
    Point("isolation", (pytest_of("tests/integration/shim_http/test_isolation.py"),)),
    Point(
        "masking and policies present",
        (pytest_of(f"{_SNOWFLAKE}/test_governance.py"), pytest_of("tests/redaction")),
    ),
    Point(
        "verified memory attacked",
        (
            pytest_of("tests/integration/dbt/test_memory.py"),
            pytest_of("tests/integration/queries/test_evidence_columns.py"),
        ),
    ),
    Point(
        "chaos level 3",
        (
            pytest_of(
                "tests/chaos",
                "-k",
                "(corrupt_bytes or copied_and_cut or corrupt_snapshot or backlog_of_a_million)"
                " and not quick",
                marked="chaos or not chaos",
            ),
        ),
    ),
    Point(
        "alerts firing",
        (
            pytest_of("tests/unit/cdesk_app/ops/test_alerts.py", quick=True),
            pytest_of("tests/integration/ops"),
        ),
    ),
    Point(
        "runbook commands",
        (
            pytest_of("tests/integration/runbooks"),
            pytest_of("tests/integration/runbooks", marked="launch"),
        ),
    ),
    Point(
        "rollback",
        (pytest_of("tests/integration/upgrade", marked="launch"),),
    ),
    Point(
        "erasure and backup",
        (
            pytest_of(
                "tests/integration/queries/test_erasure.py",
                "tests/integration/dbt/test_erase.py",
                "tests/integration/artifacts/test_s3.py",
                "tests/unit/cdesk_app/worker/test_erasure.py",
                "tests/unit/cdesk_app/ops/test_backup.py",
            ),
        ),
    ),
    Point(
        "documentation links and commands",
        (pytest_of("tests/unit/test_docs.py", "tests/unit/test_docs_commands.py", quick=True),),
    ),
    Point(
        "dependency audit",
        (
            Check(
                ("python", "-m", "cdesk_app.ops.launch_check_dependencies"),
                quick=True,
                figures=audit_figures,
            ),
        ),
    ),
    Point("coverage", (SUITE,)),
)

LIVE: Final = {
    "policies on real readers": "row access and masking seen by roles of an account, not by a "
    "stand-in",
    "statements as the vendor parses them": "each form stands in docs/snowflake_statements.md with "
    "how it was checked",
    "Snowpipe Streaming": "channels, offsets and lag of a real pipe",
    "credits": "what builds, landings and questions cost, and that the monitors suspend",
    "first token path and landing over a network": "the latencies here are of one computer",
    "erasure": "Time Travel, Fail-safe and clones after `dbt run-operation erase`",
}
"""What the verdict does not speak of, since only a live Snowflake account can show it."""
