"""What a process that rests gives back, and that nothing of it is lost."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cdesk.core import memory

CODE_GOES = r"""
import re
from pathlib import Path
import duckdb
from cdesk.core.memory import LARGE, give_memory_back, let_code_go

def ask():
    with duckdb.connect() as connection:
        return connection.execute("select sum(x * x) from range(1000) t (x)").fetchall()

def resident():
    found = re.findall(
        r"r-xp .*_duckdb.*\n(?:[A-Z].*\n)*?Rss: +(\d+) kB", Path("/proc/self/smaps").read_text()
    )
    return sum(map(int, found)) * 1024

first, before = ask(), resident()
give_memory_back()
after = resident()
assert before > LARGE > after, (before, after)
assert let_code_go() >= LARGE
assert ask() == first
assert resident() > after, "what is used is there again"
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what is tested is Linux's")
def test_the_code_of_a_large_library_goes_and_comes_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE_GOES], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_arrow_takes_its_memory_from_the_system() -> None:
    code = (
        "from cdesk.core.memory import take_from_the_system; take_from_the_system(); "
        "import pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    )
    environ = {k: v for k, v in os.environ.items() if k != "ARROW_DEFAULT_MEMORY_POOL"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environ
    )
    assert (done.stdout.strip(), done.returncode) == ("system", 0), done.stderr


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    memory.give_memory_back()
    assert memory.let_code_go() == 0
