"""`scripts/live.sh --dry-run`: what the one command would do on an account, without one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cdesk.warehouse.snowflake.login import Login
from tests.integration.snowflake.account import ROOT, FakeAccount
from tests.integration.snowflake.dbt_process import Dbt
from tests.integration.snowflake.statement_forms import without_form
from tests.integration.snowflake.test_governance import OPERATIONS
from tests.live.run import DATABASE, PREFIX, STEPS, dry_run, page, run


def test_the_command_is_one_that_a_shell_runs() -> None:
    environ = {name: value for name, value in os.environ.items() if "SNOWFLAKE" not in name}
    done = subprocess.run(
        ["sh", str(ROOT / "scripts/live.sh"), "--help"],
        env={**environ, "PYTHON": sys.executable},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--dry-run" in done.stdout


def test_the_dry_run_names_nothing_that_is_not_its_own(
    dbt: Dbt, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dry_run(dbt) == 0
    printed = capsys.readouterr().out
    statements = [
        part for part in re.sub(r"(?m)^--.*$", "", printed).split(";\n\n") if part.strip()
    ]
    assert len(statements) > 100
    assert without_form(statements) == []
    # a template's tables stand where the project was parsed for, which is another database here
    asked = r"(create or replace function \S+\.ask_\w+\(.*?\$\$).*?\$\$"
    assert "CLAUDE_LOGS" not in re.sub(asked, r"\1", printed, flags=re.DOTALL)
    variables = {"CDESK_SCOPE", "CDESK_CUSTOMER"}  # of a session
    assert set(re.findall(r"\bCDESK_[A-Z]+", printed)) - variables == {PREFIX}
    # what is made is taken away
    kinds = "role|warehouse|resource monitor|network policy|user"
    made = set(re.findall(rf"create ({kinds}) if not exists (\w+)", printed))
    dropped = set(re.findall(rf"drop ({kinds}) if exists (\w+)", printed))
    assert made - dropped == {
        ("role", f"{PREFIX}_PIPE_CDESK_LIVE_USER"),  # found by its name then
        ("user", f"{PREFIX}_SERVICE_USER"),  # the account's own; the suite drops it
    }
    assert f"drop database if exists {DATABASE}" in printed
    assert "test_streaming_lands_and_resumes" in printed


def test_it_prints_every_operation_that_can_be_looked_at() -> None:
    macros = (ROOT / "macros" / "governance").glob("*.sql")
    known = {
        found[1]
        for file in macros
        if (found := re.search(r"macro (\w+)\([^)]*\bdry_run=", file.read_text(encoding="utf-8")))
    }
    assert len(known) > 10
    assert {step for step, _ in STEPS} == known == OPERATIONS.keys()


def test_a_teardown_takes_away_what_was_made_and_leaves_what_is_the_accounts(
    account: FakeAccount, dbt: Dbt, tmp_path: Path
) -> None:
    """A database is not dropped while its policy is set on a user."""
    own = replace(
        dbt,
        profiles=account.profile(tmp_path, database=DATABASE, role="ACCOUNTADMIN"),
        variables={**dbt.variables, "cdesk__snowflake_prefix": PREFIX},
    )
    user = f"{PREFIX}_SERVICE_USER"
    with account.failing({"on": "role", "name": "ACCOUNTADMIN"}):
        for operation, arguments in (
            ("setup_snowflake", {}),
            ("apply_resource_monitors", {}),
            ("add_service", {"user": user, "addresses": ["203.0.113.0/24"]}),
        ):
            result = own.operation(operation, **arguments)
            assert result.ok, result.failures
        assert account.state()["users"][user]["network"] == f"{PREFIX}_SERVICE_HOSTS"
        with account.connect(database=DATABASE) as connection, connection.cursor() as cursor:
            for statement, says in (
                (f"drop database if exists {DATABASE}", "is set on user"),
                (f"drop network policy if exists {PREFIX}_SERVICE_HOSTS", "drop-network-policy"),
            ):
                with pytest.raises(Exception, match=says):
                    cursor.execute(statement)
        for _ in range(2):  # the second time of what is gone
            result = own.operation("teardown", confirm=DATABASE, drop_data=True)
            assert result.ok, result.failures
    assert account.state()["users"] == {user: {"disabled": "TRUE"}}
    with account.connect() as connection, connection.cursor() as cursor:
        for kind in ("databases", "roles", "warehouses", "resource monitors", "network policies"):
            cursor.execute(f"show {kind} like '{PREFIX}%'")
            assert cursor.fetchall() == [], kind
        cursor.execute(f"drop user if exists {user}")


def test_without_an_account_it_says_what_to_set(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if "SNOWFLAKE" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "tests.live.run", "--report", str(tmp_path / "r.md")],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 2
    assert "SNOWFLAKE_ACCOUNT" in done.stderr


def test_the_report_says_of_each_test_how_it_went(tmp_path: Path) -> None:
    results = tmp_path / "results.xml"
    results.write_text(
        "<testsuites><testsuite><testcase name='test_a_line_lands'/>"
        "<testcase name='test_it_is_masked'><failure message='x'/></testcase>"
        "<testcase name='test_a_key'><skipped/></testcase></testsuite></testsuites>",
        encoding="utf-8",
    )
    text = page(results, 90.0, ["roles: CDESK_LIVE_ADMIN"])
    assert "| a line lands | passed |" in text
    assert "| it is masked | failure |" in text
    assert "| a key | skipped |" in text
    assert "Left behind: roles: CDESK_LIVE_ADMIN" in text


SUITE = """
import signal, sys, time
def written(outcome):
    with open(sys.argv[-1].removeprefix("--junitxml="), "w") as file:
        file.write(f"<testsuites><testsuite><testcase name='test_it_lands'>{outcome}"
                   "</testcase></testsuite></testsuites>")
if sys.argv[1] == "hangs":
    def torn_down(*_):
        written("<error/>")
        sys.exit(2)
    signal.signal(signal.SIGINT, torn_down)
    time.sleep(60)
written("")
"""
"""In place of the tests that need an account: what pytest writes, at its end or when it is told to
end."""


def test_a_run_reports_how_it_went_and_what_it_left_behind(
    account: FakeAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in account.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_PATH", "")
    report = tmp_path / "report.md"
    assert run(report) == 2  # it says what to set, and makes nothing
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_PATH", str(tmp_path / "key.p8"))
    monkeypatch.setattr(
        "tests.live.run.Login", lambda environ: Login({**environ, "SNOWFLAKE_PRIVATE_KEY_PATH": ""})
    )
    with account.connect() as connection, connection.cursor() as cursor:
        cursor.execute("create role if not exists cdesk_live_reader")
        cursor.execute(
            "create warehouse if not exists cdesk_live_wh with warehouse_size = 'XSMALL'"
        )
        cursor.execute("create role if not exists somebody_elses")
        assert run(report, suite=("-c", SUITE, "ends")) == 0
        text = report.read_text(encoding="utf-8")
        assert "| it lands | passed |" in text
        assert "Left behind: roles: CDESK_LIVE_READER, warehouses: CDESK_LIVE_WH." in text
        cursor.execute("drop role if exists cdesk_live_reader")
        cursor.execute("drop warehouse if exists cdesk_live_wh")
        cursor.execute("drop role somebody_elses")
    assert run(report, suite=("-c", SUITE, "hangs"), seconds=0.5) == 2
    text = report.read_text(encoding="utf-8")
    assert "| it lands | error |" in text
    assert "Left behind: nothing." in text
