"""One chaos round: a state directory, processes that are killed at random instants, what was
acknowledged, and the account at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import actors
import orjson
from landing_table import make_landing, query

from cdesk.core.home import StateDirectory
from tests import forked

ROOT = Path(__file__).resolve().parents[2]
ACTORS = Path(__file__).with_name("actors.py")
STALLED_SECONDS = 120.0
"""How long a drain may write nothing at all: a landing of 25,000 lines is a second's work."""


def _environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@dataclass
class Outcome:
    """What a round came to. lost: acknowledged and nowhere. doubled: ids that stand twice in
    `landing`.
    """

    scenario: str
    seed: int
    acknowledged: int
    kills: int
    lost: int
    doubled: int
    quarantined: int
    recovery_seconds: float


@dataclass
class Process:
    """A child whose output lines are collected as they come."""

    popen: subprocess.Popen[bytes] | forked.Forked
    name: str
    lines: list[bytes] = field(default_factory=list)
    reader: threading.Thread | None = None

    def kill(self) -> None:
        """SIGKILL, and take in what it had said."""
        self.popen.kill()
        self.end()

    def stop(self) -> None:
        """End of input: it finishes by itself."""
        assert self.popen.stdin is not None
        self.popen.stdin.close()
        self.end()

    def end(self) -> None:
        self.popen.wait(60)
        assert self.reader is not None
        self.reader.join()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()


class Round:
    """Start processes, kill them, and `finish`, which holds what was acknowledged against
    what landed. All chance comes from `rng`.
    """

    def __init__(self, scenario: str, seed: int, home: Path) -> None:
        sys.stdout.write(f"chaos: {scenario}: replay with CDESK_CHAOS_SEED={seed}\n")
        self.scenario = scenario
        self.seed = seed
        self.rng = random.Random(seed)
        self.home = StateDirectory(home).ensure()
        self.processes: list[Process] = []
        self.acknowledged: set[str] = set()
        self.kills = 0
        if not self.home.warehouse.exists():
            make_landing(self.home.warehouse)

    # -- processes

    def start(
        self, name: str, command: list[str], environ: Mapping[str, str] | None = None
    ) -> Process:
        popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env={**_environ(), **(environ or {})},
        )
        return self._watch(popen, name)

    def actor(self, name: str, *options: str) -> Process:
        arguments = (name, str(self.home.root), str(self.rng.randrange(2**32)), *options)
        if any(option.startswith("memory=") for option in options):  # a fork begins with more
            return self.start(name, [sys.executable, str(ACTORS), *arguments])
        nowhere = Path(os.devnull)
        popen = forked.start(actors.main, *arguments, environ=_environ(), errors=nowhere)
        return self._watch(popen, name)

    def _watch(self, popen: subprocess.Popen[bytes] | forked.Forked, name: str) -> Process:
        process = Process(popen, name)
        assert popen.stdout is not None
        out = popen.stdout
        process.reader = threading.Thread(target=lambda: process.lines.extend(out), daemon=True)
        process.reader.start()
        self.processes.append(process)
        return process

    def sleep(self, low: float, high: float) -> None:
        time.sleep(self.rng.uniform(low, high))

    def kill(self, process: Process) -> None:
        process.kill()
        self.kills += 1
        self.note(process)

    def note(self, process: Process) -> None:
        """Take over what a writer has acknowledged: whole lines of its output."""
        if process in self.processes:
            self.processes.remove(process)
            self.acknowledged |= {
                line[:-1].decode()
                for line in process.lines
                if len(line) == 37 and line.endswith(b"\n")
            }

    def wait_until_acknowledged(self, process: Process, count: int, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while (
            len(process.lines) < count
            and time.monotonic() < deadline
            and process.popen.poll() is None
        ):
            time.sleep(0.01)

    def close(self) -> None:
        for process in list(self.processes):
            process.kill()
            self.note(process)

    # -- the account

    def drain(self) -> dict[str, Any]:
        """A clean uploader, to the end. A million lines take as long as the machine needs; what
        writes nothing for STALLED_SECONDS hangs.
        """
        with tempfile.NamedTemporaryFile() as said:
            process = forked.start(
                *(actors.main, "drain", str(self.home.root)),
                environ=_environ(),
                errors=Path(said.name),
            )
            seen, since = self._written(), time.monotonic()
            while True:
                try:
                    code = process.wait(timeout=1)
                    break
                except subprocess.TimeoutExpired:
                    now = self._written()
                    if now != seen:
                        seen, since = now, time.monotonic()
                    elif time.monotonic() - since > STALLED_SECONDS:
                        process.kill()
                        process.wait()
                        raise AssertionError(
                            f"{self.scenario} seed {self.seed}: the drain stands still"
                        ) from None
            process.stdin.close()
            with process.stdout as out:
                report = out.read()
            assert code == 0, said.read().decode()
            found: dict[str, Any] = json.loads(report)
            return found

    def _written(self) -> list[tuple[str, int, int]]:
        """What changes while lines land: the warehouse, the checkpoints, the queue."""
        found = []
        for folder in (self.home.root, self.home.queue):
            for path in sorted(folder.iterdir()):
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    found.append((str(path), status.st_size, status.st_mtime_ns))
        return found

    def finish(self, *, doubles_allowed: bool = False) -> Outcome:
        """End everything, drain, and hold what was acknowledged against what landed."""
        for process in list(self.processes):
            if process.name == "write" and process.popen.poll() is None:
                process.stop()
            else:
                process.kill()
            self.note(process)
        started = time.monotonic()
        report = self.drain()
        recovery = time.monotonic() - started
        assert report["blocked"] is None, report
        assert report["waiting"] == 0, report
        rows = query(
            self.home.warehouse,
            "select id, kind, source_file, source_offset, landed_at, case when kind = "
            "'quarantine' then payload->>'raw' end "
            "from activities.landing order by landed_at, source_file, source_offset",
        )
        landed = [row[0] for row in rows if row[1] != "quarantine"]
        raw = "\n".join(row[5] for row in rows if row[1] == "quarantine")
        lost = {id for id in self.acknowledged.difference(landed) if id not in raw}
        outcome = Outcome(
            scenario=self.scenario,
            seed=self.seed,
            acknowledged=len(self.acknowledged),
            kills=self.kills,
            lost=len(lost),
            doubled=len(landed) - len(set(landed)),
            quarantined=len(rows) - len(landed),
            recovery_seconds=recovery,
        )
        assert lost == set(), f"{outcome}: lost {sorted(lost)[:5]}"
        if not doubles_allowed:
            assert outcome.doubled == 0, outcome
            self._check_order(rows)
        return outcome

    def _check_order(self, rows: list[tuple[Any, ...]]) -> None:
        """Each file's checkpoint moves forward only, and no place lands twice."""
        reached: dict[str, int] = {}
        for id, _, source_file, offset, _, _ in rows:
            assert offset > reached.get(source_file, -1), (
                f"{self.scenario} seed {self.seed}: {id} at {source_file}:{offset}"
            )
            reached[source_file] = offset


class Shim:
    """The real server, driven over its pipes; what it has answered is acknowledged."""

    def __init__(self, chaos: Round) -> None:
        self._chaos = chaos
        self._process = chaos.start(
            "shim",
            [sys.executable, "-m", "cdesk_app.cli.main", "mcp"],
            {
                "CDESK_HOME": str(chaos.home.root),
                "CDESK_WORKER": "off",
                "CDESK_CUSTOMER": "ada@example.com",
            },
        )
        self._number = 1
        self.accepted: Counter[str] = Counter()
        """What `log_event` answered, by its `accepted`."""
        self._send(
            "initialize",
            {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "chaos", "version": "1"},
            },
        )
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def log_event(self, activity: str = "cdesk.user_asked") -> None:
        arguments = {"activity": activity, "feature_json": {"n": self._number}}
        self._send("tools/call", {"name": "log_event", "arguments": arguments})

    def wait_for(self, answers: int, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while len(self._process.lines) < answers and time.monotonic() < deadline:
            time.sleep(0.01)

    def terminate(self) -> float:
        """SIGTERM; seconds until it was gone."""
        started = time.monotonic()
        self._process.popen.send_signal(signal.SIGTERM)
        self._process.end()
        self._take_over()
        return time.monotonic() - started

    def kill(self) -> None:
        self._process.kill()
        self._chaos.kills += 1
        self._take_over()

    def ask_context(self) -> None:
        self._send("tools/call", {"name": "get_context", "arguments": {}})

    @property
    def answers(self) -> list[dict[str, Any]]:
        """The structured contents so far."""
        found = [
            orjson.loads(line).get("result", {})
            for line in self._process.lines
            if line.endswith(b"\n")
        ]
        return [result["structuredContent"] for result in found if result.get("structuredContent")]

    def _take_over(self) -> None:
        self._chaos.processes.remove(self._process)
        for line in self._process.lines:
            if not line.endswith(b"\n"):
                continue
            content = orjson.loads(line).get("result", {}).get("structuredContent") or {}
            if content.get("accepted"):
                self.accepted[content["accepted"]] += 1
            if content.get("accepted") == "queued":
                self._chaos.acknowledged.add(content["activity_id"])

    def _send(self, method: str, params: Mapping[str, Any]) -> None:
        self._write({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
        self._number += 1

    def _write(self, message: Mapping[str, Any]) -> None:
        assert self._process.popen.stdin is not None
        try:
            self._process.popen.stdin.write(orjson.dumps(message) + b"\n")
            self._process.popen.stdin.flush()
        except BrokenPipeError:
            pass
