"""Branches that the tests take, room by room and over all processes, and what no test runs: read
from what `make coverage` has measured, printed, and written into docs/tests.md where it is asked
for.

    python scripts/uncovered.py [--report docs/tests.md]

Exits 1 where fewer branches than the bound are taken in all.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

BOUND: Final = 0.85
BEGIN: Final = "<!-- coverage: begin -->"
END: Final = "<!-- coverage: end -->"
MOST_LINES: Final = 12
"""Of a file that are listed; what is beyond is counted."""


def room_of(file: str) -> str:
    """`cdesk/state/pages.py` belongs to `cdesk/state`."""
    parts = PurePosixPath(file).parts
    return "/".join(parts[:2]) if len(parts) > 2 else parts[0]


def measured() -> dict[str, Any]:
    """What coverage.py has, as its JSON report. Raises CalledProcessError where it has nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.json"
        command = [sys.executable, "-m", "coverage", "json", "--quiet", "-o", str(path)]
        subprocess.run(command, check=True)
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found


def share(taken: int, of: int) -> float:
    return taken / of if of else 1.0


def branches(report: Mapping[str, Any]) -> tuple[float, dict[str, float]]:
    """The share of branches that are taken, in all and by room."""
    rooms: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for file, own in report["files"].items():
        room = rooms[room_of(PurePosixPath(file.replace("\\", "/")).as_posix())]
        room[0] += own["summary"]["covered_branches"]
        room[1] += own["summary"]["num_branches"]
    taken, of = (sum(room[place] for room in rooms.values()) for place in (0, 1))
    return share(taken, of), {name: share(*room) for name, room in sorted(rooms.items())}


def table(report: Mapping[str, Any]) -> str:
    total, rooms = branches(report)
    lines = ["| room | branches taken |", "|---|---|"]
    lines += [f"| `{name}` | {found:.0%} |" for name, found in rooms.items()]
    return "\n".join([*lines, f"| all | **{total:.1%}** |"]) + "\n"


def uncovered(report: Mapping[str, Any]) -> str:
    """The lines that no test runs, and the branches that none takes, file by file."""
    lines = []
    for file, own in sorted(report["files"].items()):
        missing = [str(line) for line in own["missing_lines"]]
        missing += [
            f"{begin}→{end if end > 0 else 'end'}"
            for begin, end in own["missing_branches"]
            if begin not in own["missing_lines"] and end not in own["missing_lines"]
        ]
        if missing:
            more = len(missing) - MOST_LINES
            shown = ", ".join(missing[:MOST_LINES]) + (f" and {more} more" if more > 0 else "")
            lines.append(f"- `{file}`: {shown}")
    return "\n".join(lines) + "\n"


def write(page: Path, report: Mapping[str, Any]) -> None:
    """Put both between the marks of a page. Raises ValueError where it has none."""
    text = page.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"{page.name} has no place for the report: {BEGIN} … {END}")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    inside = f"{BEGIN}\n{table(report)}\nWhat no test runs:\n\n{uncovered(report)}{END}"
    page.write_text(before + inside + after, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, help="the page that keeps what was found")
    given = parser.parse_args(arguments)
    report = measured()
    print(table(report), end="")
    if given.report:
        write(given.report, report)
    return 0 if branches(report)[0] >= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
