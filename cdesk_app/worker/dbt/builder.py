"""The child process that keeps dbt and the parsed project warm: `python -m
cdesk_app.worker.dbt.builder`. Its parent is cdesk_app/worker/dbt/build.py.

One JSON object a line in each direction, over standard input and what was standard output (dbt's
own prints go to standard error):

    ← {"ready": true} → {"id": 1, "argv": ["build", "--selector", "refresh"], "gives_way": false}
    ← {"id": 1, "progress": {"done": 3, "total": 12, "name": "events"}} ← {"id": 1, "ok": true,
    "parsed": false, "fingerprint": "…", "seconds": 0.61, "error": null,
       "nodes": [{"name", "type", "status", "seconds", "message"}], "told": ["…"]}

`part` of a request chooses some of the project's data tests: the number of a slice, and how many
tests have room in one; `parts` of the answer says how many slices there are.

`told` is what macros logged for a person. What `gives_way` runs only when nobody else wants the
processor: in a thread of its own, whose threads (dbt's, DuckDB's) inherit that.

It ends at end of input, at once and in the middle of a build too: the parent is gone then, another
worker may want the file, and the models mend themselves with the next build. It ends as well after
`idle_seconds` without a request, to give its memory back, and says so: → {"ended": "idle"}. What
was asked meanwhile has not begun.
"""

from __future__ import annotations

import functools
import gc
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import orjson

from cdesk.core.home import keep_private, write_private
from cdesk.core.processes import be_nice_among_sessions, divert_stdout, run_giving_way
from cdesk_app.worker.dbt import economy
from cdesk_app.worker.dbt.kept_manifest import FILE, KeptManifest
from cdesk_app.worker.dbt.project import DbtProject

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

T = TypeVar("T")

IDLE_SECONDS: Final = 75.0
"""So long a child waits for the next build: those for insights come a minute apart, all others five
minutes or more.
"""


class WarmDbt:
    """dbt in this process, with the manifest kept until a project file changes."""

    def __init__(self, project: DbtProject) -> None:
        self._project = project
        self._manifest: Manifest | None = None
        self._fingerprint = ""

    def warm(self) -> None:
        """Parse the project before anybody asks. What is wrong with it, the first command says."""
        try:
            self._parse()
        finally:
            release_warehouse()

    def run(
        self,
        argv: list[str],
        progress: Callable[[int, int, str], None],
        part: tuple[int, int] | None = None,
    ) -> dict[str, Any]:
        """Run one dbt command. What came of it, as in the module's docstring (without `id`); never
        raises for a failed command.
        """
        started = time.monotonic()
        try:
            parsed = self._parse()
            from dbt.cli.main import dbtRunner

            if isinstance(parsed, str):
                return _answer(
                    started, ok=False, parsed=True, fingerprint=self._fingerprint, error=parsed
                )
            parts = 1
            if part is not None:
                names, parts = self._tests(*part)
                argv = [*argv, "--select", *names]
            watcher = _Progress(progress)
            runner = dbtRunner(manifest=self._manifest, callbacks=[watcher])
            outcome = runner.invoke([*argv, *self._project.options()])
        finally:
            release_warehouse()
        if outcome.exception is not None:
            self._manifest = None  # whatever state it is in, the next run starts from a fresh one
        return _answer(
            started,
            ok=outcome.success,
            parsed=parsed,
            fingerprint=self._fingerprint,
            error=None if outcome.exception is None else str(outcome.exception),
            nodes=[
                _node(result, watcher.problem)
                for result in getattr(outcome.result, "results", None) or ()
            ],
            told=watcher.told,
            parts=parts,
        )

    def _tests(self, number: int, size: int) -> tuple[list[str], int]:
        """The names of the data tests in one slice, those of a model together, and how many slices
        there are. Beyond the last slice there is the last.
        """
        assert self._manifest is not None
        tests = sorted(
            (getattr(node, "attached_node", None) or "", node.name)
            for node in self._manifest.nodes.values()
            if str(node.resource_type) == "test"
        )
        parts = max(-(-len(tests) // size), 1)
        first = min(number, parts - 1) * size
        return [name for _, name in tests[first : first + size]], parts

    def _parse(self) -> bool | str:
        """Parse the project if need be: whether it was parsed, or what is wrong with it. What first
        imports dbt in this process.

        An earlier process's parse serves the same project, where nothing but what its fingerprint
        is made of went into it: the profile of Snowflake takes names from the environment.
        """
        economy.save(self._project.target_dir)
        from dbt.cli.main import dbtRunner
        from dbt.contracts.graph.manifest import Manifest

        fingerprint = self._project.fingerprint()
        if self._manifest is not None and fingerprint == self._fingerprint:
            return False
        self._manifest, self._fingerprint = None, fingerprint
        kept = None
        if self._project.target == "duckdb":
            kept = KeptManifest(self._project.target_dir / FILE, fingerprint)
            gc.disable()
            try:
                self._manifest = kept.load()
                gc.freeze()
            finally:
                gc.enable()
            if self._manifest is not None:
                return False
        # What dbt keeps of its last parse serves the same project alone: of another one it misses
        # what a model now depends on by way of a macro that another macro has begun to call.
        mark = self._project.target_dir / "parsed_project"
        known = mark.read_text("utf-8") if mark.exists() else None
        again = [] if known == fingerprint else ["--no-partial-parse"]
        mark.unlink(missing_ok=True)
        gc.disable()  # nothing that a parse makes is garbage
        try:
            command = ["parse", "--no-write-json", *again, *self._project.options()]
            outcome = dbtRunner().invoke(command)
            if not isinstance(outcome.result, Manifest):
                return str(outcome.exception or "the project cannot be parsed")
            write_private(mark, fingerprint.encode())
            self._manifest = outcome.result
            if kept is not None:
                kept.keep(outcome.result)
            gc.collect()
            # tens of thousands of objects that live as long as this process: no collection walks
            # them again
            gc.freeze()
        finally:
            gc.enable()
        return True


class _Progress:
    """Turns dbt's events into (done, total, name)."""

    def __init__(self, report: Callable[[int, int, str], None]) -> None:
        self._report = report
        self._done = 0
        self.told: list[str] = []
        """What macros logged for a person."""
        self.problem: str | None = None
        """Why an operation failed, which its result does not say."""
        self._lock = threading.Lock()  # dbt runs several nodes at once

    def __call__(self, message: Any) -> None:
        if message.info.name == "JinjaLogInfo":
            self.told.append(message.data.msg)
        elif message.info.name == "RunningOperationCaughtError":
            self.problem = message.data.exc
        elif message.info.name in ("LogModelResult", "LogTestResult", "LogSeedResult"):
            data = message.data
            total = data.num_models if message.info.name == "LogTestResult" else data.total
            with self._lock:
                self._done += 1
                self._report(self._done, total, data.node_info.node_name)


def _answer(
    started: float,
    *,
    ok: bool,
    parsed: bool,
    fingerprint: str,
    error: str | None,
    nodes: list[dict[str, Any]] | None = None,
    told: list[str] | None = None,
    parts: int = 1,
) -> dict[str, Any]:
    return {
        "ok": ok,
        "parsed": parsed,
        "fingerprint": fingerprint,
        "seconds": round(time.monotonic() - started, 3),
        "error": error,
        "nodes": nodes or [],
        "told": told or [],
        "parts": parts,
    }


def _node(result: Any, problem: str | None) -> dict[str, Any]:
    node = getattr(result, "node", None)  # an operation has only the name of its macro
    return {
        "name": result.unique_id.rpartition(".")[2] if node is None else node.name,
        "type": "operation" if node is None else str(node.resource_type),
        "status": str(result.status),
        "seconds": round(result.execution_time, 3),
        "message": result.message or (problem if node is None else None),
    }


def release_warehouse() -> None:
    """Close the DuckDB file, which dbt-duckdb keeps open for as long as anything still points at
    its environment.
    """
    try:
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    except ImportError:  # another engine
        return
    environment = DuckDBConnectionManager._ENV
    if environment is not None:
        environment.close()
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]


def _read_requests(requests: queue.Queue[bytes]) -> None:
    for line in sys.stdin.buffer:
        requests.put(line)
    os._exit(0)  # not sys.exit: dbt's threads would be waited for


def _run(job: Callable[[], T], *, gives_way: bool) -> T:
    return run_giving_way(job, "dbt") if gives_way else job()


def serve(project: DbtProject, *, idle_seconds: float, gives_way: bool = False) -> NoReturn:
    """Answer requests until end of input or `idle_seconds` without one. gives_way: getting ready
    for the first does.
    """
    channel = divert_stdout()

    def send(message: dict[str, Any]) -> None:
        channel.write(orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE))
        channel.flush()

    requests: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    dbt = WarmDbt(project)
    _run(dbt.warm, gives_way=gives_way)
    send({"ready": True})
    while True:
        try:
            line = requests.get(timeout=idle_seconds)
        except queue.Empty:
            send({"ended": "idle"})
            # not sys.exit: Python aborts where a thread still reads standard input
            os._exit(0)
        request = orjson.loads(line)
        number = request["id"]

        def report(done: int, total: int, name: str, number: int = number) -> None:
            send({"id": number, "progress": {"done": done, "total": total, "name": name}})

        job = functools.partial(dbt.run, request["argv"], report, request.get("part"))
        send({"id": number, **_run(job, gives_way=request["gives_way"])})


def main() -> NoReturn:
    """Arguments: one JSON object with the project's paths and target, and `idle_seconds`."""
    keep_private()
    be_nice_among_sessions()
    given = orjson.loads(sys.argv[1])
    project = DbtProject(
        home_dir=Path(given["home_dir"]),
        project_dir=Path(given["project_dir"]),
        profiles_dir=Path(given["profiles_dir"]),
        target_dir=Path(given["target_dir"]),
        log_dir=Path(given["log_dir"]),
        target=given["target"],
    )
    os.chdir(project.home_dir)
    gc.disable()  # until dbt is imported and the project parsed
    gc.set_threshold(10_000, 20, 20)
    serve(project, idle_seconds=float(given["idle_seconds"]), gives_way=bool(given["gives_way"]))


if __name__ == "__main__":
    main()
