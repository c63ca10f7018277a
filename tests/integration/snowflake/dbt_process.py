"""Talking to `dbt_driver.py`."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

from cdesk_app.worker.dbt import economy
from tests.integration.snowflake.account import ROOT, unmeasured


@dataclass(frozen=True, slots=True)
class DbtResult:
    ok: bool
    ran: int
    failures: list[str]
    printed: str

    @property
    def statements(self) -> list[str]:
        """What a dry run has printed."""
        text = "\n" + self.printed
        return [part.strip() for part in text.split(";\n\n") if part.strip()]


ROLES: Final = {
    **dict.fromkeys(
        ("setup_snowflake", "apply_resource_monitors", "add_person", "add_service", "teardown"),
        "ACCOUNTADMIN",
    ),
    **dict.fromkeys(
        ("apply_row_access", "apply_masking", "apply_semantic_view", "apply_mcp_server",
         "legal_hold"),
        "CDESK_ADMIN",
    ),
}  # fmt: skip
"""The role that docs/snowflake.md runs an operation as, where it isn't the one that builds."""


@dataclass(frozen=True, slots=True)
class Dbt:
    """dbt on this project, with profiles and targets of its own."""

    stdin: IO[str]
    stdout: IO[str]
    profiles: Path
    work: Path
    variables: dict[str, object]
    """The same for every command: dbt parses the whole project anew when they change, or the
    profile.
    """

    def __call__(self, *arguments: str, target: str = "snowflake") -> DbtResult:
        # The manifest takes longer to write than most commands take: it is the parse's, with what a
        # compilation adds.
        unwritten = [] if arguments[0] == "compile" else ["--no-write-json"]
        folders = [
            "--project-dir",
            str(ROOT),
            "--profiles-dir",
            str(self.profiles),
            "--target",
            target,
        ]
        folders += [
            "--target-path",
            str(self.work / target),
            "--log-path",
            str(self.work / "logs"),
            "--quiet",
            "--log-level-file",
            "none",
        ]
        folders += ["--vars", json.dumps(self.variables)]
        asked = uuid.uuid4().hex
        self.stdin.write(json.dumps([asked, [*arguments, *unwritten, *folders]]) + "\n")
        self.stdin.flush()
        while True:
            answer: dict[str, Any] = json.loads(self.stdout.readline())
            # Whoever gave up waiting has left an answer behind.
            if answer.pop("id") == asked:
                return DbtResult(**answer)

    def operation(self, name: str, **arguments: object) -> DbtResult:
        """In the role that it is documented for, where there is a profile with it beside ours."""
        theirs = self.profiles.with_name(f"{self.profiles.name}-{ROLES.get(name, '')}")
        dbt = replace(self, profiles=theirs) if theirs.exists() else self
        return dbt("run-operation", name, "--args", json.dumps(arguments))

    def manifest(self, target: str = "snowflake") -> Path:
        return self.work / target / "manifest.json"


@contextlib.contextmanager
def running_dbt(
    profiles: Path,
    work: Path,
    environ: dict[str, str],
    variables: dict[str, object],
    *,
    parsed: Path | None = None,
    kept: Path | None = None,
) -> Iterator[Dbt]:
    """dbt, for as long as the context lasts. `parsed`: what a parse with the same target left in
    `partial_parse.msgpack`; it serves for all variables that stand in SQL alone. `kept`: a folder in
    which an earlier process has kept what dbt makes once (economy.py); it is copied.
    """
    work.mkdir(parents=True, exist_ok=True)
    for name in (economy.SCHEMAS, economy.TEMPLATES):
        if kept is not None and (kept / name).exists():
            shutil.copy(kept / name, work / name)
    process = subprocess.Popen(
        [
            *(sys.executable, "-W", "ignore", "-m", "tests.integration.snowflake.dbt_driver"),
            *(str(work), *([] if parsed is None else [str(parsed)])),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=unmeasured(environ),
        text=True,
        encoding="utf-8",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Dbt(process.stdin, process.stdout, profiles, work, variables)
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()
