"""A client as thin as can be: what is measured is the server."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
import psutil

INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "bench", "version": "1"},
}


class Client:
    """One server process, spoken to over its pipes, one call after the other."""

    def __init__(self, command: list[str], environ: Mapping[str, str], cwd: Path) -> None:
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environ),
            cwd=cwd,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in = self._process.stdin
        self._out = self._process.stdout
        self._rest = b""
        self._id = 0
        self.stats = psutil.Process(self._process.pid)

    def _line(self) -> bytes:
        while (end := self._rest.find(b"\n")) < 0:
            data = self._out.read(1 << 20)
            if not data:
                raise RuntimeError("the server ended")
            self._rest += data
        line, self._rest = self._rest[:end], self._rest[end + 1 :]
        return line

    def encode(self, method: str, params: Mapping[str, Any]) -> tuple[int, bytes]:
        self._id += 1
        message = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        return self._id, orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE)

    def send(self, data: bytes) -> None:
        self._in.write(data)

    def notify(self, method: str) -> None:
        self.send(
            orjson.dumps({"jsonrpc": "2.0", "method": method}, option=orjson.OPT_APPEND_NEWLINE)
        )

    def receive(self) -> dict[str, Any]:
        """The next answer (notifications are passed over)."""
        while True:
            message: dict[str, Any] = orjson.loads(self._line())
            if "id" in message:
                return message

    def request(self, method: str, params: Mapping[str, Any]) -> Any:
        _, data = self.encode(method, params)
        self.send(data)
        message = self.receive()
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return message["result"]

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        result = self.request("tools/call", {"name": tool, "arguments": arguments})
        if result.get("isError"):
            raise RuntimeError(f"{tool}: {result['content'][0]['text']}")
        return result

    def timed_call(self, tool: str, arguments: Mapping[str, Any]) -> float:
        """Milliseconds from before the write to the whole line of the answer; its parsing is not
        counted.
        """
        _, data = self.encode("tools/call", {"name": tool, "arguments": arguments})
        begun = time.perf_counter_ns()
        self.send(data)
        line = self._line()
        taken = (time.perf_counter_ns() - begun) / 1e6
        if b'"error"' in line[:60] or b'"isError":true' in line:
            raise RuntimeError(f"{tool}: {line[:300]!r}")
        return taken

    def cpu_seconds(self) -> float:
        times = self.stats.cpu_times()
        return float(times.user + times.system)

    def rss_mib(self) -> float:
        return float(self.stats.memory_info().rss) / 2**20

    def close(self) -> None:
        self._in.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._out.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(slots=True)
class Started:
    """Seconds from the start of the process to its first answers."""

    tools_list: float
    first_call: float


@dataclass(slots=True)
class Server:
    """What is started and how it is called."""

    name: str
    arguments: list[str]
    tool: str
    call: dict[str, Any]
    environ: dict[str, str] = field(default_factory=dict)

    def start(self, root: Path) -> tuple[Client, Started]:
        client = Client([sys.executable, *self.arguments], self.environ, root)
        client.request("initialize", INITIALIZE)
        client.notify("notifications/initialized")
        client.request("tools/list", {})
        listed = time.perf_counter() - client.started
        client.call(self.tool, self.call)
        return client, Started(listed, time.perf_counter() - client.started)


def percentile(values: list[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]
