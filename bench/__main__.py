"""`python -m bench [NAME [ARGUMENT…]]`: without a name all benchmarks one after the other, with
`list` only their names.

A benchmark is a module of this folder with a `main`, or a package with a `__main__`. Each runs in a
process of its own, so that none measures what another left in memory.
"""

from __future__ import annotations

import ast
import difflib
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
LONG = frozenset(("load",))
"""Not part of a run without a name: they have a make target of their own."""


def find() -> dict[str, str]:
    """Name → first line of its docstring, of every benchmark here. Nothing is imported."""
    found = {}
    for path in sorted((*FOLDER.glob("*.py"), *FOLDER.glob("*/__main__.py"))):
        name = path.parent.name if path.parent != FOLDER else path.stem
        if name.startswith("_"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.stem == "__main__" or any(
            isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body
        ):
            about = path.with_name("__init__.py") if path.stem == "__main__" else path
            text = ast.get_docstring(ast.parse(about.read_text(encoding="utf-8"))) or ""
            found[name] = text.partition("\n")[0]
    return found


def run(name: str, arguments: list[str]) -> int:
    """Run one benchmark; its exit code."""
    return subprocess.run(
        [sys.executable, "-m", f"bench.{name}", *arguments], check=False
    ).returncode


def main(argv: list[str]) -> int:
    found = find()
    if argv and argv[0] not in ("list", "--help", "-h"):
        name, *arguments = argv
        if name not in found:
            near = difflib.get_close_matches(name, found, n=1)
            hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(found)
            print(f"bench: there is no benchmark {name!r}; {hint}", file=sys.stderr)
            return 2
        return run(name, arguments)
    if argv:
        width = max(map(len, found), default=0)
        print(*(f"{name:<{width}}  {text}" for name, text in found.items()), sep="\n")
        return 0
    failed = []
    for name, text in found.items():
        if name in LONG:
            continue
        print(f"\n=== {name}: {text}", flush=True)
        started = time.monotonic()
        if run(name, []):
            failed.append(name)
        print(f"=== {name} took {time.monotonic() - started:.0f} s", flush=True)
    if failed:
        print(f"bench: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
