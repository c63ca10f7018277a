"""What `make coverage` says of branches, and of what no test runs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def uncovered() -> ModuleType:
    spec = importlib.util.spec_from_file_location("uncovered", ROOT / "scripts/uncovered.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def of_file(taken: int, of: int, lines: list[int], branches: list[list[int]]) -> dict[str, Any]:
    return {
        "summary": {"covered_branches": taken, "num_branches": of},
        "missing_lines": lines,
        "missing_branches": branches,
    }


@pytest.fixture
def report() -> dict[str, Any]:
    return {
        "files": {
            "cdesk/state/a.py": of_file(8, 10, [3, 4], [[2, 3], [7, -1]]),
            "cdesk/state/b.py": of_file(10, 10, [], []),
            "uploader/c.py": of_file(0, 0, list(range(1, 15)), []),
        }
    }


def test_branches_are_told_by_room_and_in_all(
    uncovered: ModuleType, report: dict[str, Any]
) -> None:
    assert uncovered.branches(report) == (0.9, {"cdesk/state": 0.9, "uploader": 1.0})
    assert "| `cdesk/state` | 90% |\n" in uncovered.table(report)
    assert uncovered.table(report).endswith("| all | **90.0%** |\n")


def test_what_no_test_runs_is_listed_once(uncovered: ModuleType, report: dict[str, Any]) -> None:
    assert uncovered.uncovered(report) == (
        "- `cdesk/state/a.py`: 3, 4, 7→end\n"
        "- `uploader/c.py`: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 2 more\n"
    )


def test_a_page_keeps_what_stands_around_it(
    uncovered: ModuleType, report: dict[str, Any], tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{uncovered.BEGIN}\nold\n{uncovered.END}\nafter\n", encoding="utf-8")
    uncovered.write(page, report)
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{uncovered.BEGIN}\n| room |")
    assert text.endswith(f"and 2 more\n{uncovered.END}\nafter\n")
    assert "old" not in text
    page.write_text("no place", encoding="utf-8")
    with pytest.raises(ValueError, match="no place"):
        uncovered.write(page, report)


@pytest.mark.parametrize(("taken", "code"), [(17, 0), (16, 1)])
def test_too_few_branches_are_an_error(
    uncovered: ModuleType, monkeypatch: pytest.MonkeyPatch, taken: int, code: int
) -> None:
    found = {"files": {"cdesk/state/a.py": of_file(taken, 20, [], [])}}
    monkeypatch.setattr(uncovered, "measured", lambda: found)
    assert uncovered.main([]) == code
