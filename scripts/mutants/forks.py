"""Runs of pytest, each forked from a process that has imported what tests import of others: a run
costs what its tests do, not the two seconds before them. Where there is no fork, each is a process
of its own.

`python -m scripts.mutants.forks` is that process: it reads a request a line (JSON: arguments,
environ, rc), and answers with the number of the fork and, once this has ended, with its exit code.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

import psutil

IMPORTED: Final = (
    *("pytest", "hypothesis", "hypothesis.strategies", "hypothesis.extra._patching", "coverage"),
    *("xdist.plugin", "anyio", "_pytest.assertion.rewrite", "_pytest.pytester"),
    *("orjson", "psutil", "platformdirs", "mashumaro", "mashumaro.mixins.dict", "tqdm"),
    *("asyncio", "sqlite3", "http.server", "ssl", "email.message", "zipfile", "multiprocessing"),
    *("duckdb", "pyarrow", "pyarrow.parquet", "pyarrow.compute", "pyarrow.csv", "mcp_types"),
)
"""No module of the project, which a mutant may change, and none that begins threads."""
IMPORTED_FOR_SQL: Final = (*IMPORTED, "scripts.mutants.parsed")
"""What changes SQL changes no module."""
LOOK_SECONDS: Final = 2.0
REWRITTEN: Final = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
"""Plug-ins that were imported before pytest could rewrite their assertions."""


class Forks:
    """Begins runs of pytest in a folder, one at a time."""

    def __init__(self, folder: Path, imported: Sequence[str] = IMPORTED) -> None:
        self._folder = folder
        self._imported = imported
        self._server: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    def run(
        self,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        *,
        seconds: float,
        rc: str | None = None,
    ) -> int | None:
        """Its exit code, or None where it had to be ended: after so many seconds of the processor
        and of sleep. rc: settings of coverage.py, where it is to be measured.
        """
        if not hasattr(os, "fork"):
            measured = ("-m", "coverage", "run", "--rcfile", rc) if rc else ()
            return self._alone([*measured, "-m", "pytest", *arguments], environ, seconds)
        self.begin(environ)
        assert self._server is not None
        assert self._server.stdin is not None
        request = {"arguments": [*REWRITTEN, *arguments], "environ": dict(environ)}
        self._server.stdin.write(json.dumps({**request, "rc": rc}) + "\n")
        self._server.stdin.flush()
        child = self._number(None)
        watched = Watched(child)
        while True:
            try:
                return self._number(LOOK_SECONDS)
            except queue.Empty:
                if watched.spent() > seconds:
                    _end(child)
                    self._number(None)
                    return None

    def begin(self, environ: Mapping[str, str]) -> None:
        """Import what runs share, where that has not been done."""
        if hasattr(os, "fork") and (self._server is None or self._server.poll() is not None):
            self._server = self._begun(environ)

    def _number(self, seconds: float | None) -> int:
        """The next answer. Raises queue.Empty where there is none in time."""
        answer = self._answers.get(timeout=seconds)
        if not answer:
            raise RuntimeError("the process that forks runs of pytest has gone")
        return int(answer)

    def close(self) -> None:
        if self._server is not None and self._reader is not None:
            _end(self._server.pid)
            self._server.wait()
            if self._server.stdin is not None:
                self._server.stdin.close()
            self._reader.join()

    def _begun(self, environ: Mapping[str, str]) -> subprocess.Popen[str]:
        server = subprocess.Popen(
            [sys.executable, "-m", "scripts.mutants.forks", *self._imported],
            cwd=self._folder,
            # Nobody measures what waits, and forks would go on with it.
            env={name: value for name, value in environ.items() if "COVERAGE" not in name},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        assert server.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(server.stdout,), daemon=True)
        self._reader.start()
        return server

    def _read(self, answers: IO[str]) -> None:
        with answers:
            for line in answers:
                self._answers.put(line)
        self._answers.put("")

    def _alone(
        self, command: Sequence[str], environ: Mapping[str, str], seconds: float
    ) -> int | None:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=self._folder,
            env={**environ},
            stdin=subprocess.DEVNULL,
            stdout=None if "VERBOSE" in environ else subprocess.DEVNULL,
            stderr=None if "VERBOSE" in environ else subprocess.DEVNULL,
        )
        watched = Watched(process.pid)
        try:
            while watched.spent() <= seconds:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(timeout=LOOK_SECONDS)
            return None
        finally:
            _end(process.pid)
            process.wait()


class Watched:
    """What a process and those that it started have spent: time of the processor, and time in which
    all of them slept. Not the time in which they waited for others to leave the processor: a run on
    a busy machine takes longer, and is no run that never ends.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._looked = time.monotonic()
        self._slept = 0.0

    def spent(self) -> float:
        """Seconds until now. To be asked every few seconds."""
        now = time.monotonic()
        used, is_asleep = 0.0, True
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self._pid)
            for one in [process, *process.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = one.cpu_times()
                    used += times.user + times.system
                    used += getattr(times, "children_user", 0) + getattr(
                        times, "children_system", 0
                    )
                    is_asleep &= one.status() == psutil.STATUS_SLEEPING
        if is_asleep:
            self._slept += now - self._looked
        self._looked = now
        return used + self._slept


def _end(pid: int) -> None:
    """A process and every process that it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


def serve() -> None:
    """Answer requests until nobody is there to make them."""
    for name in sys.argv[1:]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(request["arguments"], request["environ"], request["rc"])
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(arguments: Sequence[str], environ: Mapping[str, str], rc: str | None) -> None:
    """What a fork does, and it doesn't come back."""
    os.environ.clear()
    os.environ.update(environ)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0,) if "VERBOSE" in environ else (0, 1, 2):
        os.dup2(nothing, fd)
    if "VERBOSE" in environ:
        os.dup2(2, 1)  # the first is for answers
    importlib.invalidate_caches()
    import coverage
    import pytest

    measuring = coverage.Coverage(config_file=rc) if rc else None
    code = 3
    try:
        if measuring is not None:
            measuring.start()
        code = int(pytest.main([*arguments]))
        if measuring is not None:
            measuring.stop()
            measuring.save()
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve()
