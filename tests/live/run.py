"""One command for somebody with a trial account: everything that no stand-in can show, in a
database, roles and warehouses of its own, taken away again; then a report.

    scripts/live.sh --dry-run     what it would do, without an account
    scripts/live.sh               does it: at most 15 minutes and 2 credits
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cdesk.warehouse.snowflake.login import Login
from tests.integration.snowflake.dbt_process import Dbt, running_dbt

ROOT = Path(__file__).parents[2]
DATABASE, PREFIX = "CDESK_LIVE_TEST", "CDESK_LIVE"
MINUTES = 15
CREDITS = {"daily_credits": 1, "monthly_credits": 1}
"""Of the two monitors, which suspend at that: the least that they take, and 2 together."""
STEPS: tuple[tuple[str, dict[str, object]], ...] = (
    ("setup_snowflake", {}),
    ("apply_resource_monitors", dict(CREDITS)),
    ("apply_row_access", {}),
    ("apply_masking", {}),
    ("add_person", {"user": "CDESK_LIVE_USER", "customer": "ada@example.com", "streaming": True}),
    ("apply_streams_tasks", {}),
    ("apply_retention", {}),
    ("apply_semantic_view", {}),
    ("apply_mcp_server", {}),
    ("add_service", {"user": f"{PREFIX}_SERVICE_USER", "addresses": ["203.0.113.0/24"]}),
    ("forget_histories", {"customer": "ada@example.com"}),
    ("erase", {"customer": "ada@example.com"}),
    ("teardown", {"confirm": DATABASE, "drop_data": True}),
)
SUITE = ("-m", "pytest", "-q", "-m", "live", "tests/live")
_PROFILE = f"""cdesk:
  target: snowflake
  outputs:
    snowflake: {{type: snowflake, account: none, user: none, password: none, threads: 1,
      role: {PREFIX}_ADMIN, warehouse: {PREFIX}_BUILD_WH, database: {DATABASE}, schema: ACTIVITIES}}
"""


def dry_run(parsed: Dbt | None = None) -> int:
    """Print every statement of set-up, governance and teardown, and the tests between. `parsed`: a
    process that has parsed the project already.
    """
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        work = Path(name)
        (work / "profiles.yml").write_text(_PROFILE, encoding="utf-8")
        variables: dict[str, object] = {"cdesk__snowflake_prefix": PREFIX}
        if parsed is None:
            dbt = stack.enter_context(running_dbt(work, work, dict(os.environ), variables))
        else:
            dbt = replace(parsed, profiles=work, work=work, variables=variables)
        for step, arguments in STEPS:
            result = dbt.operation(step, dry_run=True, **arguments)
            if not result.ok:
                sys.stderr.write(f"{step}: {'; '.join(result.failures)}\n{result.printed}\n")
                return 1
            sys.stdout.write(f"-- {step}\n{result.printed}\n")
    sys.stdout.write("-- between add_person and teardown, build and tests\n")
    source = (Path(__file__).parent / "test_account.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            sys.stdout.write(f"-- tests/live/test_account.py::{node.name}\n")
    return 0


def run(
    report: Path, *, suite: tuple[str, ...] = SUITE, seconds: float = MINUTES * 60 - 120
) -> int:
    """Run the suite, with an end after `seconds`; the teardown stands in its fixture's end."""
    missing = [
        name
        for name in ("SNOWFLAKE_ACCOUNT", "SNOWFLAKE_USER", "SNOWFLAKE_PRIVATE_KEY_PATH")
        if not os.environ.get(name)
    ]
    if missing:
        sys.stderr.write(f"set {', '.join(missing)} (docs/snowflake.md, Connections)\n")
        return 2
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        results = Path(name) / "results.xml"
        running = subprocess.Popen([sys.executable, *suite, f"--junitxml={results}"], cwd=ROOT)
        try:
            code = running.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGINT)  # pytest then runs the fixture's teardown
            code = running.wait(timeout=120)
        took = time.monotonic() - started
        if not results.exists():
            sys.stderr.write("the suite came to no result; look for what it left behind\n")
            return code or 1
        report.write_text(page(results, took, left_behind()), encoding="utf-8")
    sys.stdout.write(f"report: {report}\n")
    return code


def left_behind() -> list[str]:
    """Objects of this run that are still in the account."""
    connection = Login(os.environ).open(role="ACCOUNTADMIN", warehouse="", session_parameters={})
    try:
        cursor = connection.cursor()
        found = []
        for kind in ("databases", "roles", "users", "warehouses", "resource monitors"):
            cursor.execute(f"show {kind} like '{PREFIX}%'")
            found += [f"{kind}: {name}" for name in _names(cursor)]
        cursor.execute("show network policies")  # which takes no pattern
        found += [f"network policies: {one}" for one in _names(cursor) if one.startswith(PREFIX)]
        return found
    finally:
        connection.close()


def _names(cursor: Any) -> list[str]:
    name = [column.name for column in cursor.description].index("name")
    return [str(row[name]) for row in cursor.fetchall()]


def page(results: Path, seconds: float, left: list[str]) -> str:
    """The report, from pytest's JUnit file."""
    cases = ET.parse(results).getroot().iter("testcase")
    rows = []
    for case in cases:
        said = next(
            (kind for kind in ("failure", "error", "skipped") if case.find(kind) is not None),
            "passed",
        )
        words = str(case.get("name")).removeprefix("test_").replace("_", " ")
        rows.append(f"| {words} | {said} |")
    head = (
        f"# What ran on an account\n\n{datetime.now(UTC):%Y-%m-%d}, in {seconds / 60:.1f} minutes, "
        f"by `scripts/live.sh`. Left behind: {', '.join(left) or 'nothing'}.\n\n"
        "| test | outcome |\n|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/live.sh", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="print what it would do")
    parser.add_argument("--report", type=Path, default=ROOT / "docs" / "live_report.md")
    arguments = parser.parse_args()
    return dry_run() if arguments.dry_run else run(arguments.report)


if __name__ == "__main__":
    sys.exit(main())
