"""Processes forked from one that has imported what they need (tests/preloaded.py), where the
platform can: a start of Python with dbt takes longer than what most tests then ask of it.

Builders that the tests of one process start are such forks (`start_builder`). Those of the worker's
own process, of the demo and of an installation start as a person's do. `start` is for any other.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
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


class Forked:
    """What tests and cdesk_app/worker/dbt/build.py use of `subprocess.Popen`."""

    def __init__(
        self,
        process: ForkServerProcess | SpawnProcess,
        stdin: IO[bytes],
        stdout: IO[bytes],
        stderr: IO[bytes] | None,
    ) -> None:
        self._process = process
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr

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
            raise subprocess.TimeoutExpired("fork", timeout or 0.0)
        return code

    def kill(self) -> None:
        self._process.kill()


def start(
    run: Callable[..., None],
    *arguments: str,
    environ: Mapping[str, str],
    errors: Path | None = None,
    buffering: int = -1,
) -> Forked:
    """A process that calls `run` (a function of a module) in this environment, with pipes for its
    standard input and output, and for standard error unless that goes to the file `errors`.
    buffering: of the pipes, as for `open`.
    """
    asked, requests = STARTS.Pipe(duplex=False)
    answers, answered = STARTS.Pipe(duplex=False)
    problems, told = (None, None) if errors is not None else STARTS.Pipe(duplex=False)
    process = STARTS.Process(
        target=_be,
        args=(run, arguments, dict(environ), (asked, answered, told), errors),
        daemon=True,
    )
    process.start()
    files: list[IO[bytes]] = []
    for ours, theirs, mode in (
        (requests, asked, "wb"),
        (answers, answered, "rb"),
        (problems, told, "rb"),
    ):
        if ours is not None and theirs is not None:
            theirs.close()
            files.append(os.fdopen(os.dup(ours.fileno()), mode, buffering))
            ours.close()
    return Forked(process, files[0], files[1], files[2] if len(files) > 2 else None)


def start_builder(arguments: str, environ: Mapping[str, str], output: IO[bytes]) -> Forked:
    """As `build.start_child`, its output in the file that `build` has just made for it."""
    del output
    log = Path(json.loads(arguments)["log_dir"]) / "builder.log"
    return start(_be_builder, arguments, environ=environ, errors=log)


def _be(
    run: Callable[..., None],
    arguments: tuple[str, ...],
    environ: dict[str, str],
    streams: tuple[Connection, Connection, Connection | None],
    errors: Path | None,
) -> None:
    os.setsid()
    with contextlib.ExitStack() as stack:
        for number, stream in enumerate(streams):
            found: Connection | IO[bytes] | None = stream
            if found is None:
                assert errors is not None
                found = errors.open("ab")
            stack.callback(found.close)
            os.dup2(found.fileno(), number)
    sys.stdin = os.fdopen(0, encoding="utf-8")
    sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", encoding="utf-8")
    os.environ.clear()
    os.environ.update(environ)
    run(*arguments)


def _be_builder(arguments: str) -> None:
    from cdesk_app.worker.dbt import builder

    sys.argv = ["builder", arguments]
    builder.main()
