"""What taking credentials out costs a log_event call of 1 KiB, as a share of the rest of the call.

    python -m bench redaction [--calls N]

One run: the real server over its pipes, a call at a time, and the redaction of the very same
details in this process, in turns, so that a busy moment of the machine meets both.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import orjson

from cdesk.contract.redaction import redact_fields

SIZE = 1024
BLOCK = 50
FLOOR = 0.10
PROSE = (
    "the median of weekly reading minutes grew by a bit while questions about forecasts stayed "
    "where they were, and 12 of 30 answers weren't shorter than in the month before"
)
WORDS = PROSE.split()


def details(rng: random.Random) -> dict[str, Any]:
    """The details of an answer, as JSON of 1 KiB."""
    found: dict[str, Any] = {
        "model": "claude-x",
        "input_tokens": 1200,
        "output_tokens": 340,
        "latency_ms": 812.5,
        "summary": "",
    }
    room = SIZE - len(orjson.dumps(found))
    found["summary"] = " ".join(rng.choices(WORDS, k=room))[:room]
    return found


class Server:
    """The server's process, asked one thing after another."""

    def __init__(self, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self._stdin, self._stdout = stdin, stdout
        self._last = 0
        version = {"name": "bench", "version": "1"}
        self.ask(
            "initialize",
            {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": version},
        )
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def ask(self, method: str, params: dict[str, Any]) -> float:
        """Seconds until the answer came."""
        self._last += 1
        request = {"jsonrpc": "2.0", "id": self._last, "method": method, "params": params}
        begun = time.perf_counter()
        self._send(request)
        while (answer := orjson.loads(self._stdout.readline())).get("id") != self._last:
            pass
        seconds = time.perf_counter() - begun
        if "error" in answer or answer["result"].get("isError"):
            raise SystemExit(f"bench: {json.dumps(answer)[:300]}")
        return seconds

    def _send(self, message: dict[str, Any]) -> None:
        self._stdin.write(orjson.dumps(message) + b"\n")
        self._stdin.flush()


@contextmanager
def serving() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {
            "CDESK_HOME": home,
            "CDESK_CUSTOMER": "bench@example.com",
            "CDESK_WORKER": "off",
        }
        with subprocess.Popen(
            [sys.executable, "-m", "mcp_shim"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        ) as process:
            try:
                yield Server(cast(BinaryIO, process.stdin), cast(BinaryIO, process.stdout))
            finally:
                cast(BinaryIO, process.stdin).close()
                process.wait(10)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench redaction")
    parser.add_argument("--calls", type=int, default=2_000)
    wanted = parser.parse_args().calls
    rng = random.Random(1)
    calls: list[float] = []
    shares: list[float] = []
    with serving() as server:
        while len(calls) < wanted:
            feature = details(rng)
            call = {"activity": "cdesk.claude_responded", "feature_json": feature}
            given = {"feature_json": feature, "link": None}
            for _ in range(BLOCK):
                calls.append(server.ask("tools/call", {"name": "log_event", "arguments": call}))
                begun = time.perf_counter()
                redact_fields(given)
                shares.append(time.perf_counter() - begun)
    whole, redaction = statistics.median(calls[BLOCK:]), statistics.median(shares[BLOCK:])
    share = redaction / (whole - redaction)
    print(f"log_event of {SIZE} bytes   {whole * 1e6:7.1f} µs")
    print(f"redaction of it        {redaction * 1e6:7.1f} µs")
    print(f"share of the rest      {share:7.1%}   at most {FLOOR:.0%}: {share <= FLOOR}")
    return 0 if share <= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
