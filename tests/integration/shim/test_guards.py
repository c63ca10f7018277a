"""What keeps the turn path fast, as counts that are the same on every machine. Each guard is also
seen to fail.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from cdesk.core.home import StateDirectory
from tests.integration.shim.harness import EVENT, ROOT, Wire, environment
from tests.integration.shim.test_protocol import INITIALIZED, initialize, request

COUNTED = Path(__file__).with_name("counted_server.py")
CALLS = 30
WARM = 5

# -- budgets

PER_LOG_EVENT: Mapping[str, int] = {
    "read": 1,  # the request
    "write": 3,  # the record, the answer, and afterwards tool_called
}
"""At most so many of each in every log_event; what is not named may not happen at all."""
PER_RUN: Mapping[str, int] = {"urandom": 2, "stat": 3, "open": 1, "close": 1}
"""At most so many over all calls together: random bits by the block; looking for the worker's
address, and further times if the calls take long.
"""
PER_SECOND: Mapping[str, int] = {"stat": 5}

# Of packages that mcp_shim.lazy_sdk puts a placeholder for, a module is named that only the real
# one has.
FORBIDDEN = frozenset(
    (
        "boto3", "cdesk.state.status", "dbt", "duckdb", "httpx2._client", "jinja2", "jsonschema",
        "numpy", "opentelemetry.sdk", "pandas", "pyarrow", "requests", "snowflake",
        "sse_starlette.sse", "starlette.requests", "uploader", "urllib.request",
        "uvicorn.config", "cdesk.warehouse", "cdesk_app",
    )
)  # fmt: skip
MOST_MODULES = 405
MOST_MESSAGE_TYPES = 80


def over_budget(rounds: Iterable[Mapping[str, int]], seconds: float) -> list[str]:
    """What the rounds did beyond the budgets."""
    found = []
    total: Counter[str] = Counter()
    for counts in rounds:
        total.update(counts)
        found += [
            f"{name}: {count} in one call"
            for name, count in counts.items()
            if name not in PER_RUN and count > PER_LOG_EVENT.get(name, 0)
        ]
    found += [
        f"{name}: {total[name]} in all"
        for name, most in PER_RUN.items()
        if total[name] > most + int(PER_SECOND.get(name, 0) * seconds)
    ]
    return found


def unwanted(modules: Iterable[str]) -> list[str]:
    """Modules that have no place on the turn path."""
    loaded = set(modules)
    return sorted(
        name
        for name in loaded
        if any(name == bad or name.startswith(f"{bad}.") for bad in FORBIDDEN)
    )


def count(home: StateDirectory, target: Path, slip: str) -> tuple[list[dict[str, int]], float]:
    """What each call did, and how long all took."""
    with Wire(home, command=(str(COUNTED), str(target), slip)) as wire:
        wire.open()
        wire.request("tools/list")
        begun = time.monotonic()
        for _ in range(CALLS):
            assert wire.call("log_event", EVENT)["isError"] is False
        seconds = time.monotonic() - begun
    rounds: list[dict[str, int]] = json.loads(target.read_text(encoding="utf-8"))["rounds"]
    assert len(rounds) == CALLS
    return rounds[WARM:], seconds


@pytest.mark.skipif(
    os.name == "nt", reason="the event loop cannot wait for pipes there: threads read and write"
)
def test_a_log_event_stays_within_its_system_calls(
    state_home: StateDirectory, tmp_path: Path
) -> None:
    rounds, seconds = count(state_home, tmp_path / "counts.json", "none")
    assert over_budget(rounds, seconds) == []
    assert all(counts["write"] >= 2 for counts in rounds), "the counting itself does not work"


@pytest.mark.skipif(os.name == "nt", reason="as above")
@pytest.mark.parametrize("slip", ["hop", "import", "open", "fsync"])
def test_the_guard_fails_when_a_slip_is_put_back(
    state_home: StateDirectory, tmp_path: Path, slip: str
) -> None:
    found = over_budget(*count(state_home, tmp_path / "counts.json", slip))
    assert any(line.startswith(f"{slip}:") for line in found)


def seen_at_the_end(home: StateDirectory, first: str, look: str, *calls: bytes) -> list[str]:
    """The words that `look` prints in a server process after the handshake, tools/list and `calls`;
    `first` runs before all else.
    """
    code = f"import sys\n{first}\nfrom mcp_shim.main import run_as_module\nrun_as_module()\n{look}"
    # Without what `make coverage` brings into each process.
    env = {k: v for k, v in environment(home).items() if not k.startswith("COVERAGE_")}
    lines = [initialize(), INITIALIZED, request(2, "tools/list"), *calls]
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=b"\n".join(lines) + b"\n",
        capture_output=True,
        env=env,
        cwd=ROOT,
        timeout=60,
        check=True,
    )
    assert done.stdout.count(b"\n") == 2 + len(calls)
    return done.stderr.decode().split()


def modules_of(home: StateDirectory, first: str) -> list[str]:
    """The modules of a server process after the handshake, tools/list and one call; `first` runs
    before all else.
    """
    call = request(3, "tools/call", {"name": "log_event", "arguments": EVENT})
    return seen_at_the_end(home, first, "print(*sorted(sys.modules), file=sys.stderr)", call)


def message_types(home: StateDirectory, first: str) -> tuple[int, int]:
    """How many models of the SDK's message module have been made by the first answer to tools/list,
    of how many.
    """
    look = (
        "from mcp_shim.lazy_sdk import _Later\n"
        "found = [value for value in vars(sys.modules['mcp_types._types']).values() if "
        "isinstance(value, type)]\n"
        "print(sum(not isinstance(value, _Later) for value in found), len(found), file=sys.stderr)"
    )
    made, known = seen_at_the_end(home, first, look)[-2:]
    return int(made), int(known)


def test_a_start_makes_few_of_the_sdks_message_types(state_home: StateDirectory) -> None:
    made, known = message_types(state_home, "")
    assert made < MOST_MESSAGE_TYPES < known
    in_full, _ = message_types(
        state_home, "from mcp_shim import lazy_sdk; lazy_sdk.install = lambda: False"
    )
    assert in_full > 2 * MOST_MESSAGE_TYPES, "the guard sees a slip"


def test_a_start_imports_only_what_stdio_needs(state_home: StateDirectory) -> None:
    modules = modules_of(state_home, "")
    assert "mcp.server.runner" in modules, "the SDK does not serve here"
    assert unwanted(modules) == []
    assert len(modules) <= MOST_MODULES


@pytest.mark.parametrize("slip", ["import starlette.applications", "import duckdb"])
def test_the_import_guard_fails_when_an_import_is_put_back(
    state_home: StateDirectory, slip: str
) -> None:
    assert unwanted(modules_of(state_home, slip))


def test_the_import_guard_sees_the_sdk_imported_in_full(state_home: StateDirectory) -> None:
    """Without mcp_shim.lazy_sdk the SDK brings its HTTP stack along: that is what the guard would
    say if it stopped working.
    """
    modules = modules_of(
        state_home, "from mcp_shim import lazy_sdk; lazy_sdk.install = lambda: False"
    )
    assert "starlette.requests" in unwanted(modules)
    assert len(modules) > MOST_MODULES


def test_calls_leave_no_memory_behind(state_home: StateDirectory) -> None:
    code = (
        "import gc, sys\nfrom mcp_shim import lazy_sdk\nlazy_sdk.install()\nfrom mcp_shim "
        "import main, tools\n"
        "inner = tools.call\nseen = []\n"
        "async def call(*arguments):\n"
        "    seen.append(1)\n"
        "    if len(seen) in (200, 600):\n"
        "        gc.collect(); print(sys.getallocatedblocks(), file=sys.stderr)\n"
        "    return await inner(*arguments)\n"
        "tools.call = call\nmain.run_as_module()"
    )
    with Wire(state_home, command=("-c", code)) as wire:
        wire.open()
        for _ in range(601):
            wire.call("log_event", EVENT)
        wire.end_input()
        wire.process.wait(60)
        before, after = map(int, wire.error_text().split())
    assert after - before < 2_000, "blocks are left behind by each of 400 calls"
