"""The server with its system calls, threads and imports counted from one log_event to the next; the
counts go to the file in argv[1].

argv[2] puts one slip back in, so that the guard can be seen to fail: `hop`, `import`, `open`,
`fsync` or `none`.
"""

from __future__ import annotations

import asyncio
import builtins
import json
import os
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from mcp_shim import lazy_sdk

lazy_sdk.install()

from mcp_shim import main, tools  # noqa: E402 - the counts begin once everything is imported

counts: Counter[str] = Counter()
rounds: list[dict[str, int]] = []


def counted(owner: Any, name: str, label: str) -> None:
    inner = getattr(owner, name)

    def outer(*arguments: Any, **keywords: Any) -> Any:
        counts[label] += 1
        return inner(*arguments, **keywords)

    setattr(owner, name, outer)


for function in (
    "read",
    "write",
    "open",
    "fsync",
    "stat",
    "rename",
    "urandom",
    "getpid",
    "lseek",
    "close",
):
    counted(os, function, function)
counted(builtins, "open", "open")
counted(threading.Thread, "start", "thread")
counted(asyncio.BaseEventLoop, "call_soon_threadsafe", "hop")
counted(asyncio.BaseEventLoop, "run_in_executor", "hop")


class Imports:
    """Sees every module that is looked for and not there yet."""

    def find_spec(self, name: str, *_: object) -> None:
        del name
        counts["import"] += 1


sys.meta_path.insert(0, Imports())  # type: ignore[arg-type]

slip = sys.argv[2]
inner_call = tools.call


async def call(*arguments: Any) -> bytes:
    rounds.append(dict(counts))
    counts.clear()
    if slip == "hop":
        await asyncio.to_thread(str)
    elif slip == "import":
        sys.modules.pop("colorsys", None)
        import colorsys

        assert colorsys
    elif slip == "open":
        os.close(os.open(os.devnull, os.O_RDONLY))
    elif slip == "fsync":
        descriptor = os.open(Path(sys.argv[1]).with_suffix(".sync"), os.O_CREAT | os.O_RDWR)
        os.fsync(descriptor)
        os.close(descriptor)
    return await inner_call(*arguments)


tools.call = call
code = main.run_as_module()
with Path(sys.argv[1]).open("w", encoding="utf-8") as file:
    json.dump({"rounds": rounds, "modules": sorted(sys.modules)}, file)
sys.exit(code)
