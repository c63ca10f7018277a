"""Every command, module, macro, make target and file that a page names exists."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from cdesk_app.cli.main import COMMANDS, build_parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
each_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix()
)


# What docs/contributing.md has its reader make.
MADE_BY_READERS = {
    "analyses/safesql/activity_by_weekday.sql",
    "models/observability/obs_file_volume.sql",
}


def code(page: Path) -> list[str]:
    """What a page shows as code: spans between backticks, fenced blocks and indented lines."""
    text = page.read_text(encoding="utf-8")
    fenced = [
        line
        for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]
    prose = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    return [*spans, *re.findall(r"^    (.+)$", prose, re.MULTILINE), *fenced]


def uses(page: Path) -> list[str]:
    """Each use of the `cdesk` command, up to the end of the line or of the shell's command."""
    found = [re.search(r"(?:^|[\s/])(cdesk [a-z][^#;&>]*)", line) for line in code(page)]
    return [match[1].strip() for match in found if match]


@each_page
def test_a_page_names_no_command_that_does_not_exist(page: Path) -> None:
    assert [use for use in uses(page) if use.split()[1] not in COMMANDS] == []


@each_page
def test_a_command_line_on_a_page_can_be_typed(page: Path) -> None:
    """Those with arguments, unless they are left open or to choose from."""
    refused = [
        use
        for use in uses(page)
        if len(use.split()) > 2 and not re.search(r"[|…\[\]]", use) and not _can_be_typed(use)
    ]
    assert refused == []


def _can_be_typed(use: str) -> bool:
    _, name, *words = shlex.split(use)
    parser = build_parser(name)
    if len(words) == 1 and words[0].startswith("--"):  # prose names an option without its value
        return words[0] in parser.format_help()
    try:
        parser.parse_args(words)
    except SystemExit:
        return False
    return True


@each_page
def test_a_page_names_no_module_that_does_not_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"python -m ((?:bench|cdesk|mcp_shim|uploader|cdesk_app)[\w.]*)", text)
    assert [name for name in named if importlib.util.find_spec(name) is None] == []


@each_page
def test_a_page_names_no_operation_that_does_not_exist(page: Path) -> None:
    macros = {path.stem for path in (ROOT / "macros").rglob("*.sql")}
    named = re.findall(r"run-operation (?:cdesk\.)?(\w+)", page.read_text(encoding="utf-8"))
    assert [name for name in named if name not in macros] == []


@each_page
def test_a_page_names_no_file_of_the_project_that_does_not_exist(page: Path) -> None:
    """Paths from the root; NAME and its like stand for a name of the reader's."""
    tops = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "target"}
    named = [
        span
        for span in code(page)
        if re.fullmatch(r"[\w.-]+(?:/[\w.-]+)+/?", span)
        and span.split("/")[0] in tops
        and not re.search(r"\b[A-Z]{2,}\b|/results/", span)
    ]
    assert [
        name for name in named if not (ROOT / name).exists() and name not in MADE_BY_READERS
    ] == []


@each_page
def test_a_page_names_no_issue_by_its_number(page: Path) -> None:
    assert re.findall(r"(?i)\bissues? (?:no\.? ?)?#?\d+", page.read_text(encoding="utf-8")) == []


def test_a_comment_names_no_file_of_the_project_that_does_not_exist() -> None:
    tops = "bench|cdesk|cdesk_app|docs|macros|mcp_shim|models|seeds|scripts|tests|uploader"
    named = re.compile(rf"(?<![\w./{{}}-])(?:{tops})/[\w./-]+\.(?:py|sql|md|yml|csv|sh)\b")
    code = [
        path
        for top in ("bench", "cdesk", "cdesk_app", "macros", "mcp_shim", "models", "uploader")
        for ending in ("*.py", "*.sql", "*.yml")
        for path in sorted((ROOT / top).rglob(ending))
    ]
    gone = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in code
        for name in named.findall(path.read_text(encoding="utf-8"))
        if not (ROOT / name).exists()
    ]
    assert gone == []
