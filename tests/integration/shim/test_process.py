"""The process: what it keeps when it is killed, when it ends, what it writes where, and that
several may live together.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cdesk.contract.records import parse_line
from cdesk.core.home import StateDirectory
from tests.integration.shim.harness import EVENT, ROOT, Wire, activities, environment, records
from tests.integration.shim.test_protocol import INITIALIZED, initialize, request


def test_what_was_acknowledged_survives_a_kill(state_home: StateDirectory) -> None:
    acknowledged = set()
    for round_number in range(3):
        wire = Wire(state_home).open()
        for _ in range(1 + 7 * round_number):
            acknowledged.add(wire.call("log_event", EVENT)["structuredContent"]["activity_id"])
        insight = wire.call("log_insight", {"subject": "s", "metric": "m", "value": round_number})
        acknowledged.add(insight["structuredContent"]["insight_id"])
        wire.process.kill()
        wire.close()
    assert acknowledged <= {record["id"] for record in records(state_home)}


def test_several_processes_share_one_state_directory(state_home: StateDirectory) -> None:
    def work(number: int) -> list[str]:
        with Wire(state_home) as wire:
            wire.open()
            made = []
            for step in range(25):
                made.append(wire.call("log_event", EVENT)["structuredContent"]["activity_id"])
                if step % 5 == 0:
                    insight = {"subject": f"process {number}", "metric": "step", "value": step}
                    made.append(
                        wire.call("log_insight", insight)["structuredContent"]["insight_id"]
                    )
            return made

    with ThreadPoolExecutor(3) as pool:
        made = [id for ids in pool.map(work, range(3)) for id in ids]
    found = [record["id"] for record in records(state_home)]
    assert len(found) == len(set(found))
    assert set(made) <= set(found)
    assert not list(state_home.queue.glob("*.open.ndjson"))
    assert not list(state_home.queue.glob("*.lock"))


def test_a_script_on_standard_input_gets_all_its_answers(
    state_home: StateDirectory, tmp_path: Path
) -> None:
    """Input is a file: no pipe for the event loop, so threads read and write; and it ends
    at once.
    """
    script = tmp_path / "script.ndjson"
    calls = [
        request(n, "tools/call", {"name": "log_event", "arguments": EVENT}) for n in range(2, 22)
    ]
    script.write_bytes(b"\n".join([initialize(), INITIALIZED, *calls]))
    with script.open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-m", "mcp_shim"],
            stdin=file,
            capture_output=True,
            env=environment(state_home),
            cwd=ROOT,
            timeout=60,
            check=True,
        )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(answer["id"] for answer in answers) == list(range(1, 22))
    assert activities(state_home).count("cdesk.user_asked") == 20
    assert done.stderr == b""


def test_the_end_of_input_ends_the_process_after_its_last_answers(
    state_home: StateDirectory,
) -> None:
    wire = Wire(state_home).open()
    numbers = [wire.ask("tools/call", {"name": "log_event", "arguments": EVENT}) for _ in range(20)]
    wire.end_input()
    assert [wire.receive()["id"] for _ in numbers] == numbers
    assert wire.close() == 0
    assert activities(state_home)[-1] == "cdesk.session_ended"
    assert not list(state_home.queue.glob("*.open.ndjson"))


@pytest.mark.skipif(sys.platform == "win32", reason="signals are a POSIX matter")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_process_within_five_seconds_and_flushes(
    state_home: StateDirectory, name: str
) -> None:
    from bench.turn_path import fixtures

    fixtures.catalog(state_home)
    wire = Wire(state_home).open()
    ticket = wire.call("submit_query", {"template": "recent_activities"})["structuredContent"][
        "ticket_id"
    ]
    wire.ask(
        "tools/call", {"name": "get_result", "arguments": {"ticket_id": ticket, "wait_seconds": 20}}
    )
    wire.request("ping")
    begun = time.monotonic()
    wire.process.send_signal(getattr(signal, name))
    assert wire.process.wait(60) == 0
    assert time.monotonic() - begun < 15  # five, where no other tests run meanwhile
    wire.close()
    last = records(state_home)[-1]
    assert last["activity"] == "cdesk.session_ended"
    assert last["feature_json"]["reason"] == name
    assert not list(state_home.queue.glob("*.open.ndjson"))


FAILS_ONCE = """
import sys
from cdesk.queue import writer
from mcp_shim import app, lazy_sdk
lazy_sdk.install()
from mcp_shim.transports import stdio
stdio.TICK_SECONDS = 0.05
writer.SEAL_SECONDS = 0.2
calls = []
inner = app.App.tick
def tick(self):
    calls.append(1)
    if len(calls) == 1:
        raise RuntimeError("something that nobody thought of")
    inner(self)
app.App.tick = tick
from mcp_shim.main import run_as_module
sys.exit(run_as_module())
"""


def test_an_exception_in_a_tick_ends_neither_sealing_nor_the_orderly_end(
    state_home: StateDirectory,
) -> None:
    wire = Wire(state_home, command=("-c", FAILS_ONCE)).open()
    wire.call("log_event", EVENT)
    deadline = time.monotonic() + 60
    while not [path for path in state_home.queue.glob("*.ndjson") if ".open." not in path.name]:
        assert time.monotonic() < deadline, "the queue file is never sealed"
        time.sleep(0.02)
    wire.end_input()
    assert wire.process.wait(60) == 0
    (line,) = wire.error_text().splitlines()
    assert json.loads(line)["message"] == "tick failed"
    wire.close()
    assert activities(state_home)[-1] == "cdesk.session_ended"


def test_a_client_that_goes_away_ends_the_process(state_home: StateDirectory) -> None:
    wire = Wire(state_home).open()
    assert wire.process.stdout is not None
    wire.process.stdout.close()
    wire.ask("ping")
    wire.ask("ping")
    assert wire.process.wait(60) == 0
    wire.process.stdout = None
    wire.close()


STRAY = """
import os, subprocess, sys
from mcp_shim import lazy_sdk
lazy_sdk.install()
from mcp_shim import tools
inner = tools.call
async def call(*arguments):
    print("a stray print", flush=True)
    os.write(1, b"a stray write\\n")
    child = "print('a stray child'); print(repr(input()))"
    subprocess.run([sys.executable, "-c", child], check=False)
    return await inner(*arguments)
tools.call = call
from mcp_shim.main import run_as_module
sys.exit(run_as_module())
"""


def test_standard_output_carries_the_protocol_alone(state_home: StateDirectory) -> None:
    wire = Wire(state_home, command=("-c", STRAY)).open()
    assert (
        wire.call("log_event", EVENT)["isError"] is False
    )  # `receive` takes JSON-RPC messages only
    wire.request("ping")
    wire.end_input()
    wire.process.wait(60)
    text = wire.error_text()
    for stray in ("a stray print", "a stray write", "a stray child", "EOFError"):
        assert stray in text
    wire.close()


def test_a_state_directory_that_cannot_be_used_is_said_in_one_line(tmp_path: Path) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("in the way", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mcp_shim"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(StateDirectory(blocked / "home")),
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.count(b"\n") == 1
    assert b"CDESK_HOME" in done.stderr


SMALL_FILES = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from mcp_shim.main import run_as_module
sys.exit(run_as_module())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file limits are a POSIX matter")
def test_a_full_disk_is_an_error_that_leaves_whole_lines_behind(state_home: StateDirectory) -> None:
    event = {"activity": "cdesk.file_read", "feature_json": {"path": "p" * 3_000}}
    acknowledged, refused = [], []
    with Wire(state_home, command=("-c", SMALL_FILES)) as wire:
        wire.open()
        for _ in range(12):
            result = wire.call("log_event", event)
            if result["isError"]:
                refused.append(result["content"][0]["text"])
            else:
                acknowledged.append(result["structuredContent"]["activity_id"])
    assert acknowledged
    assert refused
    assert all(text.startswith("queue_write_failed: ") for text in refused)
    lines = [
        line
        for path in state_home.queue.glob("*.ndjson")
        for line in path.read_bytes().splitlines()
    ]
    assert set(acknowledged) <= {parse_line(line)["id"] for line in lines}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a terminal or a named pipe")
def test_files_are_private(state_home: StateDirectory) -> None:
    with Wire(state_home) as wire:
        wire.open()
        wire.call("log_insight", {"subject": "s", "metric": "m", "value": 1})
        for path in state_home.root.rglob("*"):
            mode = path.stat().st_mode & 0o777
            assert mode == (0o700 if path.is_dir() else 0o600), path
