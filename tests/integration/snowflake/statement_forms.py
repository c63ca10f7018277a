"""The table of docs/snowflake_statements.md, and which of its forms a statement has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "snowflake_statements.md"
_ROW = re.compile(
    r"^\| `(?P<form>[^|]+)` \| <(?P<page>https://docs\.snowflake\.com/\S+)> \| (?P<how>[^|]+) \|$"
)
_CHECKS = ("parsed", "run", "kept", "accepted", "read", "that each role", "ten a table")
_VERBS = re.compile(
    r"\s*(alter|begin|call|commit|create|delete|drop|explain|grant|insert|merge|revoke|rollback"
    r"|select|set|show|truncate|use|with)\b",
)


@dataclass(frozen=True, slots=True)
class Form:
    text: str
    page: str
    how: str

    def has(self, statement: str) -> bool:
        return _pattern(self.text).fullmatch(normal(statement)) is not None

    @property
    def words(self) -> int:
        """How much of it is said: of several forms of a statement the one that says most counts."""
        return len(self.text.replace("…", ""))


@cache
def _pattern(form: str) -> re.Pattern[str]:
    parts = (re.escape(part.strip()) for part in form.lower().split("…"))
    return re.compile(r"\s*.*?\s*".join(parts), re.DOTALL)


@cache
def forms() -> tuple[Form, ...]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| `")]
    found = [match for line in rows if (match := _ROW.match(line))]
    assert len(found) == len(rows), [line for line in rows if not _ROW.match(line)]
    return tuple(Form(match["form"], match["page"], match["how"]) for match in found)


@cache
def normal(statement: str) -> str:
    """Without comments, in one line and in lower case."""
    bare = re.sub(r"/\*.*?\*/|--[^\n]*", " ", statement, flags=re.DOTALL)
    return " ".join(bare.split()).rstrip("; ").lower()


@cache
def form_of(statement: str) -> Form | None:
    return max(
        (form for form in forms() if form.has(statement)), key=lambda f: f.words, default=None
    )


def in_python() -> set[str]:
    """The texts of statements in the Snowflake engine."""
    found = set()
    for file in (ROOT / "cdesk" / "warehouse" / "snowflake").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Assign | ast.AnnAssign | ast.Call):
                continue
            values = node.args if isinstance(node, ast.Call) else [node.value]
            for value in values:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    text = value.value
                    if _VERBS.match(text) and text[0].islower():
                        found.add(text)
    return found


def printed() -> set[str]:
    """What set-up and governance print with `dry_run: true`."""
    return {
        statement
        for file in (Path(__file__).parent / "dry_runs").glob("*.sql")
        for statement in file.read_text(encoding="utf-8").split(";\n\n")
        if statement.strip()
    }


def without_form(statements: Iterable[str]) -> list[str]:
    return sorted({normal(one)[:160] for one in statements if form_of(one) is None})


@dataclass(frozen=True, slots=True)
class Reading:
    """A claim that rests on reading alone: the forms and the live tests that it names."""

    text: str

    @property
    def quoted(self) -> set[str]:
        return set(re.findall(r"`([^`]+)`", self.text))

    @property
    def forms(self) -> set[str]:
        return self.quoted & {form.text for form in forms()}

    @property
    def tests(self) -> set[str]:
        return {one for one in self.quoted if one.startswith("test_")}


def readings() -> list[Reading]:
    _, _, section = PAGE.read_text(encoding="utf-8").partition("## What rests on reading alone")
    return [Reading(" ".join(one.split())) for one in re.split(r"(?m)^- ", section)[1:]]


def is_checked(form: Form) -> bool:
    return any(form.how.startswith(check) for check in _CHECKS)
