"""Telling the worker that something changed, without waiting for it (docs/contracts.md, "Waking the
worker").
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import orjson

from cdesk.core.clock import format_ts
from cdesk.core.home import StateDirectory, write_private

_HOST = "127.0.0.1"


class WakeSender:
    """Sends datagrams to the worker of a state directory. Never raises, never blocks."""

    def __init__(self, home: StateDirectory) -> None:
        self._path: Path = home.worker_json
        self._seen: tuple[int, int] | None = None
        self._target: tuple[str, int] | None = None
        self._token = b""
        self._socket: socket.socket | None = None

    def send(self) -> bool:
        """Whether a datagram left for a worker that has announced itself. It may have died
        since.
        """
        try:
            stat = self._path.stat()
            key = (stat.st_mtime_ns, stat.st_ino)
            if key != self._seen:
                data = orjson.loads(self._path.read_bytes())
                self._target = (_HOST, int(data["port"]))
                self._token = str(data["token"]).encode("ascii")
                self._seen = key
            if self._target is None:
                return False
            if self._socket is None:
                self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            self._socket.sendto(self._token, self._target)
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return True

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class WakeListener:
    """The worker's end: announces itself in `worker.json` and waits for datagrams."""

    def __init__(self, home: StateDirectory) -> None:
        self._path = home.worker_json
        self._token = os.urandom(16).hex().encode("ascii")
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((_HOST, 0))
        write_private(
            self._path,
            orjson.dumps(
                {
                    "pid": os.getpid(),
                    "port": self._socket.getsockname()[1],
                    "token": self._token.decode("ascii"),
                    "started_at": format_ts(time.time_ns()),
                }
            ),
        )

    def wait(self, seconds: float) -> bool:
        """Block until a datagram with our token arrives (True; whatever else has arrived is taken
        too) or `seconds` have passed (False).
        """
        deadline = time.monotonic() + seconds
        woken = False
        while True:
            self._socket.settimeout(0.0 if woken else max(deadline - time.monotonic(), 0.0))
            try:
                data, _ = self._socket.recvfrom(64)
            except (TimeoutError, BlockingIOError):
                return woken
            except OSError:  # Windows reports an earlier ICMP "port unreachable" here
                continue
            woken = woken or data == self._token

    @property
    def address(self) -> tuple[str, int]:
        """Where datagrams go: host and port."""
        host, port = self._socket.getsockname()
        return str(host), int(port)

    def interrupt(self) -> None:
        """End the `wait` under way, or the next one. For any thread or a signal handler; never
        raises.
        """
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        ):
            sender.sendto(self._token, self.address)

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class RunningWorker:
    """What the worker says of itself in `worker.json`, but for its token. `started_at` is
    RFC 3339.
    """

    pid: int
    port: int
    started_at: str


def read_worker(home: StateDirectory) -> RunningWorker | None:
    """The worker that announced itself last, or None. It may have died since."""
    try:
        said = orjson.loads(home.worker_json.read_bytes())
        return RunningWorker(int(said["pid"]), int(said["port"]), str(said["started_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
