"""Processes forked from one that has imported what they need (tests/preloaded.py), where the
platform can: a start of Python with dbt takes longer than what most tests then ask of it.

Builders that the tests of one process start are such forks (`start_builder`). Those of the worker's
own process, of the demo and of an installation start as a person's do.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from cdesk_app.worker.dbt import build

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess, SpawnProcess

CAN_FORK = "forkserver" in multiprocessing.get_all_start_methods()
STARTS = multiprocessing.get_context("forkserver" if CAN_FORK else "spawn")
STARTS.set_forkserver_preload(["tests.preloaded"])

start_builder_anew = build.start_child
"""As outside of tests."""


class ForkedBuilder:
    """What cdesk_app/worker/dbt/build.py uses of `subprocess.Popen`."""

    def __init__(
        self, process: ForkServerProcess | SpawnProcess, stdin: IO[bytes], stdout: IO[bytes]
    ) -> None:
        self._process = process
        self.stdin = stdin
        self.stdout = stdout

    @property
    def pid(self) -> int:
        return cast(int, self._process.pid)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("builder", timeout or 0.0)
        return code

    def kill(self) -> None:
        self._process.kill()


def start_builder(arguments: str, environ: Mapping[str, str], output: IO[bytes]) -> ForkedBuilder:
    """As `build.start_child`, its output in the file that `build` has just made for it."""
    del output
    asked, requests = STARTS.Pipe(duplex=False)
    answers, answered = STARTS.Pipe(duplex=False)
    process = STARTS.Process(
        target=_be_builder,
        args=(arguments, dict(environ), asked, answered),
        daemon=True,
    )
    process.start()
    for connection in (asked, answered):
        connection.close()
    stdin = os.fdopen(os.dup(requests.fileno()), "wb")
    stdout = os.fdopen(os.dup(answers.fileno()), "rb")
    for connection in (requests, answers):
        connection.close()
    return ForkedBuilder(process, stdin, stdout)


def _be_builder(
    arguments: str,
    environ: dict[str, str],
    asked: Connection,
    answered: Connection,
) -> None:
    from cdesk_app.worker.dbt import builder

    os.setsid()
    log = Path(json.loads(arguments)["log_dir"]) / "builder.log"
    with contextlib.closing(asked), contextlib.closing(answered), log.open("ab") as output:
        for stream, number in ((asked, 0), (answered, 1), (output, 2)):
            os.dup2(stream.fileno(), number)
    sys.stdin = os.fdopen(0, encoding="utf-8")
    sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", encoding="utf-8")
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["builder", arguments]
    builder.main()
