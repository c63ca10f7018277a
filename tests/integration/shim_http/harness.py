"""The real service in a process of its own, called by hand and by the SDK's own client."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from cdesk.core.clock import format_ts
from cdesk.core.home import StateDirectory
from cdesk.state.access import AccessStore, NewToken
from tests.integration.shim.harness import environment

ROOT = Path(__file__).resolve().parents[3]
ADA, BOB = "ada@example.com", "bob@example.com"
JSON_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
}


def wait_until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """For what follows an answer."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def token(home: StateDirectory, customer: str, *roles: str) -> NewToken:
    with closing(AccessStore(home.access_db)) as store:
        (made,) = store.add_tokens(
            [customer], roles=roles, expires_at=None, now=format_ts(time.time_ns())
        )
    return made


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def result(self) -> dict[str, Any]:
        assert self.status == 200, self
        result: dict[str, Any] = self.json["result"]
        return result

    @property
    def text(self) -> str:
        """What a tool's result says."""
        content = self.result["content"]
        return str(content[0]["text"])


class Service:
    """A service that listens; `log` grows while it runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log: list[dict[str, Any]] = []
        self.raw_log: list[str] = []
        self.url = ""
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.raw_log.append(line)
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            self.log.append(entry)
            if entry["message"] == "listening":
                self.url = entry["url"]
                self._listening.set()
        self._listening.set()

    def wait_ready(self) -> None:
        assert self._listening.wait(60)
        assert self.url, self.raw_log
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if self.get("/readyz").status == 200:
                    return
            except OSError:
                pass
            assert self.process.poll() is None, self.raw_log
            time.sleep(0.05)
        raise AssertionError(self.raw_log)

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").removesuffix("/mcp").rpartition(":")
        return host, int(port)

    def send(
        self,
        path: str = "/mcp",
        body: bytes | None = None,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        request = urllib.request.Request(
            self.url.removesuffix("/mcp") + path,
            data=body,
            headers=dict(headers or {}),
            method=method or ("GET" if body is None else "POST"),
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def get(self, path: str) -> Answer:
        return self.send(path)

    def rpc(
        self,
        token: str | None,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One message of the handshake era, as JSON."""
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
        bearer = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.send(
            body=json.dumps(message).encode(), headers={**JSON_HEADERS, **bearer, **(headers or {})}
        )

    def call(
        self, token: str | None, tool: str, arguments: Mapping[str, Any] | None = None, **more: Any
    ) -> Answer:
        return self.rpc(
            token, "tools/call", {"name": tool, "arguments": dict(arguments or {})}, **more
        )

    def stop(self) -> int:
        """End it as a service manager does; its exit code."""
        self.process.terminate()
        code = self.process.wait(60)
        self._reader.join(60)
        return code

    def requests(self, last: int) -> list[dict[str, Any]]:
        """The last lines of the log on requests, those on its own request left out."""

        def lines() -> list[dict[str, Any]]:
            return [entry for entry in self.log if entry["message"] == "request"]

        def marks() -> int:
            return sum(line["outcome"] == "several_tokens" for line in lines())

        before = marks()
        data = b"GET /mcp HTTP/1.0\r\nHost: localhost\r\n" + b"Authorization: x\r\n" * 2
        with socket.create_connection(self.address, timeout=30) as connection:
            connection.sendall(data + b"\r\n")  # its line follows those of what came before
            connection.recv(1)
        wait_until(lambda: marks() > before)
        return [line for line in lines() if line["outcome"] != "several_tokens"][-last:]


@contextmanager
def serving(home: StateDirectory, *words: str, **settings: str) -> Iterator[Service]:
    """The service on a free port of loopback."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cdesk_app.cli", "mcp", "--http", "--port", "0", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**environment(home), "PYTHONWARNINGS": "default", **settings},
        cwd=ROOT,
        text=True,
        encoding="utf-8",
    )
    service = Service(process)
    try:
        service.wait_ready()
        yield service
    finally:
        if process.poll() is None:
            service.stop()
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        service._reader.join(60)
        process.stderr.close()


@asynccontextmanager
async def connect(service: Service, token: str, mode: str) -> AsyncIterator[Client]:
    """The SDK's client with a token."""
    headers = {"Authorization": f"Bearer {token}"}
    async with create_mcp_http_client(headers=headers) as http:
        transport = streamable_http_client(service.url, http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


def run_cdesk(home: StateDirectory, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cdesk_app.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "CDESK_HOME": str(home.root)},
        cwd=ROOT,
    )
