"""Building the warehouse with dbt, in a child process that stays warm between builds
(cdesk_app/worker/dbt/builder.py).
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal

import orjson

from cdesk.core.backoff import Backoff
from cdesk.core.errors import BuildError
from cdesk.core.home import open_private
from cdesk.core.processes import gives_way_to_all, own_group
from cdesk_app.worker.dbt.builder import IDLE_SECONDS
from cdesk_app.worker.dbt.project import DbtProject

logger = logging.getLogger(__name__)

REFRESH_SELECTOR: Final = "refresh"
"""The selector in selectors.yml that holds the models of an ordinary build."""
TESTS_AT_ONCE: Final = 25
"""Data tests of one slice, which keeps the warehouse for a few tenths of a second."""
LOCK_WAIT_SECONDS: Final = 15.0
"""How long a build waits for another holder of the DuckDB file before it is given up until the next
turn.
"""
_HELD: Final = Backoff(0.1, 2.0)
STOP_GRACE_SECONDS: Final = 2.0
"""A build under way may end by itself for so long after `stop` was set."""
TIMEOUT_SECONDS: Final = 3_600.0
YIELDING_SECONDS: Final = 10.0
"""What gives way to all is broken off after so long: it may hold the warehouse file."""
_LOCKED: Final = (
    "Could not set lock on file",
    "being used by another process",
    "Conflicting lock is held",
)
_FAILED: Final = ("error", "fail", "runtime error", "partial success")

SCHEMA_MISMATCH: Final = "schemas on this incremental model are out of sync"
"""dbt's words for a table whose columns are no longer its model's."""
_NO_SUCH_COLUMN: Final = ("does not have a column named", "invalid identifier")
"""An engine's words, where the model reads a new column of its own table."""


def has_other_columns(error: BuildError) -> bool:
    """Whether a build failed because a table has other columns than its model now."""
    return any(words in str(error) for words in (SCHEMA_MISMATCH, *_NO_SUCH_COLUMN))


Status = Literal["succeeded", "tests_failed"]
Progress = Callable[[int, int, str], None]
"""Called with (done, total, name) as dbt finishes its nodes."""


@dataclass(frozen=True, slots=True)
class NodeFailure:
    """A model, seed or test that failed. `message` is its first telling line."""

    name: str
    type: str
    message: str


@dataclass(frozen=True, slots=True)
class BuildReport:
    """One dbt command that ran to its end.

    `nodes` counts what ran, `failures` is empty unless `status` is `tests_failed`; `fingerprint` is
    the project's at that time, `parsed` whether it had to be parsed for this, `told` what macros
    logged for a person. `parts`: how many slices of data tests there are.
    """

    status: Status
    seconds: float
    nodes: int
    fingerprint: str
    parsed: bool
    failures: tuple[NodeFailure, ...] = ()
    told: tuple[str, ...] = ()
    parts: int = 1


class Builder:
    """Runs dbt for one project, one command at a time. Start and end of the child process are its
    own affair.

    Raises, from every command:
        BuildError: dbt failed (which node, the first line of its error, where the log is),
        or `stop` was set.
        BuildBlocked: another process holds the warehouse file; worth trying again.
    """

    def __init__(
        self,
        project: DbtProject,
        environ: Mapping[str, str],
        *,
        idle_seconds: float = IDLE_SECONDS,
        lock_wait_seconds: float = LOCK_WAIT_SECONDS,
    ) -> None:
        self._project = project
        self._environ = dict(environ)
        self._idle_seconds = idle_seconds
        self._lock_wait_seconds = lock_wait_seconds
        self._child: _Child | None = None

    def build(
        self,
        *,
        full: bool = False,
        rebuild: bool = False,
        select: Sequence[str] = (),
        stop: threading.Event | None = None,
        progress: Progress | None = None,
    ) -> BuildReport:
        """Bring the warehouse up to date: the models of the `refresh` selector, or with `full` all
        seeds and models.

        `rebuild`: tables are made from all that ever landed instead of what is new, for a project
        whose tables have other columns. Data tests are a command of their own (`test`): one that
        fails must not keep the models behind it from being built.
        """
        everything = [] if full else ["--selector", REFRESH_SELECTOR]
        chosen = ["--select", *select] if select else everything
        again = ["--full-refresh"] if rebuild else []
        argv = ["build", "--no-write-json", *chosen, *again, *_without("test", "unit_test")]
        return self._command(argv, stop, progress)

    def test(
        self,
        part: int,
        *,
        size: int = TESTS_AT_ONCE,
        stop: threading.Event | None = None,
        progress: Progress | None = None,
    ) -> BuildReport:
        """Run one slice of the data tests, from 0; those that fail are in the report, and how many
        slices there are.
        """
        argv = ["test", "--no-write-json", *_without("unit_test")]
        return self._command(argv, stop, progress, (part, size))

    def compile(self, *, stop: threading.Event | None = None) -> BuildReport:
        """Compile the SafeSQL templates into the manifest (`project.manifest`)."""
        return self._command(["compile", "--select", "path:analyses/safesql"], stop, None)

    def operate(
        self, macro: str, arguments: Mapping[str, object], *, stop: threading.Event | None = None
    ) -> BuildReport:
        """Run an operation of the project (`dbt run-operation`)."""
        told = orjson.dumps(arguments).decode()
        return self._command(["run-operation", macro, "--args", told], stop, None)

    @property
    def pid(self) -> int | None:
        """The warm child's process id, None where none runs."""
        return self._child.pid if self._child is not None and self._child.alive else None

    @property
    def is_ready(self) -> bool:
        """Whether a warm child has parsed the project."""
        return self.pid is not None and self._child is not None and self._child.is_ready

    def warm(self, *, gives_way: bool = False) -> None:
        """Start the child where none runs, without waiting for it: the project is parsed by the
        time that a build is due. gives_way: whether that runs only when nobody else wants the
        processor; another child takes its place where it gets nowhere and nobody is to wait.
        """
        child = self._child
        if child is None or not child.alive or (child.is_held_back and not gives_way):
            self.close()
            self._child = _Child(
                self._project, self._environ, self._idle_seconds, gives_way=gives_way
            )

    def close(self) -> None:
        """End the child, at once."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def _command(
        self,
        argv: list[str],
        stop: threading.Event | None,
        progress: Progress | None,
        part: tuple[int, int] | None = None,
    ) -> BuildReport:
        deadline = time.monotonic() + self._lock_wait_seconds
        pauses = _HELD.pauses()
        while True:
            answer = self._ask(argv, stop, progress, part)
            failed = [node for node in answer["nodes"] if node["status"] in _FAILED]
            if not _is_locked(answer, failed):
                break
            pause = next(pauses)
            if time.monotonic() + pause > deadline:
                raise _blocked(self._project.log)
            (stop or threading.Event()).wait(pause)
        failures = tuple(
            NodeFailure(node["name"], node["type"], _first_line(node)) for node in failed
        )
        broken = [failure for failure in failures if failure.type != "test"]
        if broken:
            more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
            raise BuildError(
                f"{broken[0].type} {broken[0].name} failed{more}: {broken[0].message}; the log "
                f"is {self._project.log}"
            )
        if not answer["ok"] and not failures:
            line = _telling_line(answer["error"] or "dbt gave no reason")
            raise BuildError(f"dbt {argv[0]} failed: {line}; the log is {self._project.log}")
        return BuildReport(
            status="tests_failed" if failures else "succeeded",
            seconds=answer["seconds"],
            nodes=sum(node["type"] != "operation" for node in answer["nodes"]),
            fingerprint=answer["fingerprint"],
            parsed=answer["parsed"],
            failures=failures,
            told=tuple(answer.get("told", ())),
            parts=answer.get("parts", 1),
        )

    def _ask(
        self,
        argv: list[str],
        stop: threading.Event | None,
        progress: Progress | None,
        part: tuple[int, int] | None,
    ) -> dict[str, Any]:
        """One request; a child that died of itself (idle, killed) before it was asked is replaced,
        one that dies over it is not. Asked by a thread that gives way to all, the child does too.
        """
        while True:
            self.warm(gives_way=gives_way_to_all())
            assert self._child is not None
            try:
                answer = self._child.ask(argv, stop, progress, part)
            except BuildError:
                self.close()
                raise
            if answer is not None:
                return answer
            self.close()


def start_child(
    arguments: str, environ: Mapping[str, str], output: IO[bytes]
) -> subprocess.Popen[bytes]:
    """The process alone, with pipes for its protocol. arguments: as `builder.main` takes them.

    Raises:
        OSError: it cannot be started.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "cdesk_app.worker.dbt.builder", arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=output,
        env=dict(environ),
        # A Ctrl-C reaches the worker alone, which then lets a build end.
        **own_group(),
    )


class _Child:
    """The process and the thread that reads its answers."""

    def __init__(
        self,
        project: DbtProject,
        environ: Mapping[str, str],
        idle_seconds: float,
        *,
        gives_way: bool,
    ) -> None:
        self._log = project.log
        self._gives_way_for_good = gives_way_to_all()
        self._gives_way = gives_way
        self.is_ready = False
        """Whether it has parsed the project."""
        self._ended_idle = False
        arguments = {
            "home_dir": str(project.home_dir),
            "project_dir": str(project.project_dir),
            "profiles_dir": str(project.profiles_dir),
            "target_dir": str(project.target_dir),
            "log_dir": str(project.log_dir),
            "target": project.target,
            "idle_seconds": idle_seconds,
            "gives_way": gives_way,
        }
        self.output: Path = project.log_dir / "builder.log"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(open_private(self.output, flags), "wb") as output:
            self._process = start_child(orjson.dumps(arguments).decode(), environ, output)
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._number = 0
        self._reader = threading.Thread(target=self._read, name="builder-answers", daemon=True)
        self._reader.start()
        logger.info("builder started", extra={"facts": {"builder_pid": self._process.pid}})

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def is_held_back(self) -> bool:
        """Whether it would keep waiting who is not to wait: a thread that gives way started it,
        which it has inherited, or it has not yet parsed the project and gives way meanwhile.
        """
        return self._gives_way_for_good or (self._gives_way and not self.is_ready)

    def ask(
        self,
        argv: list[str],
        stop: threading.Event | None,
        progress: Progress | None,
        part: tuple[int, int] | None = None,
    ) -> dict[str, Any] | None:
        """What dbt answered; None where the child ended idle before it took the request."""
        self._number += 1
        gives_way = gives_way_to_all()
        begun = time.monotonic()
        try:
            self._pipe(self._process.stdin).write(
                orjson.dumps(
                    {"id": self._number, "argv": argv, "gives_way": gives_way, "part": part},
                    option=orjson.OPT_APPEND_NEWLINE,
                )
            )
            self._pipe(self._process.stdin).flush()
        except OSError:
            self._reader.join(timeout=1.0)
            if self._ended_idle:
                return None
            raise self._died() from None
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            if stop is not None and stop.is_set():
                deadline = min(deadline, time.monotonic() + STOP_GRACE_SECONDS)
                stop = None
            if time.monotonic() > deadline:  # however much the child has to tell
                raise BuildError(f"dbt {argv[0]} was broken off; the next build goes on from there")
            if gives_way and time.monotonic() - begun > YIELDING_SECONDS:
                raise BuildBlocked(
                    f"dbt {argv[0]} hardly ran beside the HTTP service; it is tried again"
                )
            try:
                message = self._messages.get(timeout=0.1)
            except queue.Empty:
                continue
            if message is None:
                if self._ended_idle:
                    return None
                raise self._died()
            if message["id"] != self._number:
                continue
            if "progress" not in message:
                return message
            if progress is not None:
                step = message["progress"]
                progress(step["done"], step["total"], step["name"])

    def end(self) -> None:
        """End of input first, which ends it at once; then by force."""
        with contextlib.suppress(OSError):
            self._pipe(self._process.stdin).close()
        try:
            self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=1.0)
        self._pipe(self._process.stdout).close()

    def _read(self) -> None:
        with contextlib.suppress(ValueError, OSError):
            for line in self._pipe(self._process.stdout):
                message = orjson.loads(line)
                if "ready" in message:
                    self.is_ready = True
                elif "ended" in message:
                    self._ended_idle = True
                else:
                    self._messages.put(message)
        self._messages.put(None)

    def _died(self) -> BuildError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1.0)
        tail = self.output.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        reason = tail[0][:300] if tail else "no output"
        return BuildError(
            f"the build process ended (exit {self._process.returncode}): {reason}; the log is "
            f"{self.output}"
        )

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe


def _without(*resource_types: str) -> list[str]:
    return [f"--exclude-resource-type={name}" for name in resource_types]


class BuildBlocked(BuildError):
    """Another process holds the warehouse file, or the processor: nothing is wrong with the
    project, the build is worth trying again.
    """

    code = "warehouse_unavailable"


def _blocked(log: Path) -> BuildBlocked:
    return BuildBlocked(
        "another process holds the warehouse file, so it cannot be built now; close it (log: "
        f"{log})"
    )


def _is_locked(answer: Mapping[str, Any], failed: Sequence[Mapping[str, Any]]) -> bool:
    texts = [answer["error"] or "", *(node["message"] or "" for node in failed)]
    return any(sign in text for text in texts for sign in _LOCKED)


def _first_line(node: Mapping[str, Any]) -> str:
    return _telling_line(node["message"] or f"status {node['status']}")


def _telling_line(text: str) -> str:
    """The first line that says something: dbt heads its errors with "Runtime Error in model x
    (path)".
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [
        line for line in lines if " Error in " not in line and line.rstrip(":") not in _HEADINGS
    ]
    return (telling or lines or ["no message"])[0][:300]


_HEADINGS: Final = (
    "Runtime Error",
    "Compilation Error",
    "Parsing Error",
    "Database Error",
    "Dbt Internal Error",
)
