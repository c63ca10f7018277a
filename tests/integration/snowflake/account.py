"""Starting and asking the fake account of `fake_account.py` (which says what it stands for)."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class FakeAccount:
    """A running account on loopback."""

    port: int

    @property
    def environ(self) -> dict[str, str]:
        """What a process needs in its environment to take this for Snowflake."""
        return {
            "SNOWFLAKE_ACCOUNT": "fakesnow",
            "SNOWFLAKE_USER": "CDESK_TEST",
            "SNOWFLAKE_AUTHENTICATOR": "snowflake",
            "SNOWFLAKE_PASSWORD": "not-a-secret",
            "SNOWFLAKE_HOST": "127.0.0.1",
            "SNOWFLAKE_PORT": str(self.port),
            "SNOWFLAKE_PROTOCOL": "http",
        }

    def _ask(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.port}/cdesk/{path}", data=data, timeout=30
        ) as answer:
            return json.loads(answer.read())

    def statements(self, after: int = 0) -> list[dict[str, Any]]:
        """What has run since statement number `after`: sql, tag, parameters, binds, query_id."""
        return list(self._ask(f"statements?after={after}"))

    def state(self) -> dict[str, Any]:
        """`policies` by name, `row_access` by relation, `masking` by relation.column."""
        return dict(self._ask("state"))

    def end_sessions(self) -> None:
        """Take back what sessions that have ended had begun and not committed."""
        self._ask("end")

    @contextlib.contextmanager
    def failing(self, *failures: dict[str, Any]) -> Iterator[None]:
        """Refuse logins or statements: on, code, message, times, and for statements pattern and
        sqlstate. Or pretend: on is role, warehouse or user, and name what the session is to say of
        itself."""
        self._ask("fail", [{"times": 1, "pattern": "", **failure} for failure in failures])
        try:
            yield
        finally:
            self._ask("fail", [])

    def connect(
        self, *, database: str = "CLAUDE_LOGS", schema: str = "ACTIVITIES", **options: Any
    ) -> Any:
        from cdesk.warehouse.snowflake.driver import connector

        return connector.connect(
            account="fakesnow",
            user="CDESK_TEST",
            password="not-a-secret",
            host="127.0.0.1",
            port=self.port,
            protocol="http",
            database=database,
            schema=schema,
            paramstyle="qmark",
            **options,
        )

    def profile(
        self,
        folder: Path,
        *,
        database: str = "CLAUDE_LOGS",
        schema: str = "ACTIVITIES",
        role: str = "CDESK_TRANSFORMER",
        target: str = "snowflake",
    ) -> Path:
        """A folder with a dbt profile for this account. One thread: DuckDB refuses concurrent
        changes of one table that Snowflake would queue."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "profiles.yml").write_text(
            f"cdesk:\n  target: {target}\n  outputs:\n    {target}:\n"
            f"      {{type: snowflake, account: fakesnow, user: CDESK_TEST, password: not-a-secret, host: 127.0.0.1, port: {self.port},\n"
            f"       protocol: http, database: {database}, schema: {schema}, warehouse: CDESK_BUILD_WH,\n"
            f"       role: {role}, threads: 1}}\n",
            encoding="utf-8",
        )
        return folder


def unmeasured(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that runs none of our code: coverage would only slow it down."""
    return {name: value for name, value in environ.items() if not name.startswith("COVERAGE_")}


@contextlib.contextmanager
def running_account() -> Iterator[FakeAccount]:
    """The account, for as long as the context lasts; it also ends when this process does."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.integration.snowflake.fake_account"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=unmeasured(os.environ),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield FakeAccount(json.loads(process.stdout.readline())["port"])
    finally:
        process.stdin.close()
        process.wait(timeout=20)
        process.stdout.close()
