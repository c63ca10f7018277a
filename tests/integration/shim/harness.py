"""The real server process: by the SDK's own client, and by hand where bytes or signals matter."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mcp import Client, StdioServerParameters

from cdesk.contract.records import Record, parse_line
from cdesk.core.home import StateDirectory
from tests.forked import Forked

ROOT = Path(__file__).resolve().parents[3]
LEGACY = "legacy"
MODERN = "2026-07-28"
ERAS = (LEGACY, MODERN)
CUSTOMER = "ada@example.com"
EVENT = {"activity": "cdesk.user_asked", "feature_json": {"question": "why?"}}


def environment(home: StateDirectory, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "CDESK_HOME": str(home.root),
        "CDESK_CUSTOMER": CUSTOMER,
        "CDESK_WORKER": "off",
        "PYTHONWARNINGS": "error",
        **more,
    }


@asynccontextmanager
async def connect(
    home: StateDirectory, mode: str = LEGACY, *, roles: str = "", **options: Any
) -> AsyncIterator[Client]:
    """The SDK's client on a server of its own."""
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "mcp_shim"],
        env=environment(home, CDESK_ROLES=roles),
        cwd=ROOT,
    )
    async with Client(command, mode=mode, **options) as client:
        yield client


def records(home: StateDirectory) -> list[Record]:
    """Everything in the queue, in the order of writing within each file; every line must be a
    record of the contract.
    """
    found = []
    for path in sorted(home.queue.glob("*.ndjson")):
        content = path.read_bytes()
        assert not content or content.endswith(b"\n"), f"{path.name} ends within a line"
        found += [parse_line(line) for line in content.splitlines()]
    return found


def activities(home: StateDirectory) -> list[str]:
    return [record["activity"] for record in records(home) if record["kind"] == "event"]


class Wire:
    """The server by hand: lines in, lines out."""

    def __init__(
        self,
        home: StateDirectory,
        *,
        command: Sequence[str] = ("-m", "mcp_shim"),
        stdin: Any = subprocess.PIPE,
        environ: Mapping[str, str] | None = None,
        process: Forked | None = None,
    ) -> None:
        """process: one that serves `home` already."""
        self.process: Any = process or subprocess.Popen(
            [sys.executable, *command],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ or environment(home),
            cwd=ROOT,
            bufsize=0,
        )
        self._rest = b""
        self._id = 0

    def send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")

    def receive(self, seconds: float = 30.0) -> dict[str, Any]:
        """The next line, which must be a JSON-RPC message."""
        message: dict[str, Any] = json.loads(self.receive_line(seconds))
        assert message["jsonrpc"] == "2.0"
        return message

    def receive_line(self, seconds: float = 30.0) -> bytes:
        """The next line, whatever it is."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                assert selector.select(max(deadline - time.monotonic(), 0)), "no answer in time"
                data = self.process.stdout.read(65_536)
                assert data, f"the server ended: {self.error_text()}"
                self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def ask(self, method: str, params: Mapping[str, Any] | None = None) -> int:
        """Send a request; its id."""
        self._id += 1
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": self._id, "method": method}
        if params is not None:
            message["params"] = params
        self.send(json.dumps(message).encode())
        return self._id

    def request(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a request, wait for its answer."""
        number = self.ask(method, params)
        answer = self.receive()
        assert answer["id"] == number
        return answer

    def open(self, version: str = "2025-11-25") -> Self:
        """The handshake."""
        client = {"name": "wire", "version": "1"}
        self.request(
            "initialize",
            {"protocolVersion": version, "capabilities": {}, "clientInfo": client},
        )
        self.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        return self

    def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = self.request("tools/call", {"name": tool, "arguments": arguments})[
            "result"
        ]
        return result

    def error_text(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode() if self.process.poll() is not None else ""

    def end_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def close(self) -> int:
        """End the input, wait; the exit code."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            for stream in (self.process.stdout, self.process.stderr):
                if stream is not None:
                    stream.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
