"""The mistakes that people make in SQL, in the text of a model, a macro or a template: a
comparison, the kind of a join, the order or the frame of a window, a predicate that is missing,
`min` for `max`, `coalesce` left out, a number or a date off by one.

On text and not on a parse tree: what is mutated is the file before dbt renders it, SQL and Jinja
in one, which no parser of SQL reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from scripts.mutants.mutant import Mutant

LARGEST_NUMBER = 100
"""Of a number that is taken for a count, a rank or a span; what is beyond is a size or a format."""

SNOWFLAKES = ("macros/governance/", "macros/snowflake/")
"""Where what Snowflake alone renders is mutated, too: it is all that there is, and their tests ask
for it.
"""

_HIDDEN = re.compile(
    r"\{#.*?#\}|--[^\n]*|\{\{|\}\}|\{%-?|-?%\}|'(?:[^'\n]|'')*'|\"[^\"\n]*\"", re.DOTALL
)
_NOT_TOUCHED = re.compile(r"\bexists\s*\(\s*select\s+1\b|\bif not exists\b|\bcreate or replace\b")
"""What may stand otherwise without meaning anything else, or is no statement then."""
Edit = tuple[str, int, int, str]


def sql_mutants(file: str, text: str) -> list[Mutant]:
    """Every mutant of a file of SQL with Jinja."""
    shown = _blanked(text)
    is_for_both = not file.startswith(SNOWFLAKES)
    untouched = {place for one in _NOT_TOUCHED.finditer(shown) for place in range(*one.span())}
    found: dict[tuple[int, int, str], Mutant] = {}
    for operator in _OPERATORS:
        for kind, start, end, replacement in operator(shown, text):
            if start in untouched or (is_for_both and _is_snowflakes(text, start)):
                continue
            if text[start:end] != replacement:
                found.setdefault(
                    (start, end, replacement), Mutant(file, kind, start, end, replacement)
                )
    return list(found.values())


def _blanked(text: str) -> str:
    """The text with comments and what stands between quotes as blanks, so that a pattern
    finds SQL alone; `=` within Jinja is an assignment and goes as well.
    """
    shown = list(text)
    jinja = 0
    last = 0
    for match in _HIDDEN.finditer(text):
        if jinja:
            _blank_assignments(shown, text, last, match.start())
        token = match[0]
        if token.startswith(("{#", "--", "'", '"')) and not (token == "--" and jinja):
            for index in range(match.start(), match.end()):
                if text[index] != "\n":
                    shown[index] = " "
        elif token.startswith("{"):
            jinja += 1
        else:
            jinja = max(0, jinja - 1)
        last = match.end()
    return "".join(shown)


def _blank_assignments(shown: list[str], text: str, start: int, end: int) -> None:
    for match in re.compile(r"(?<![=!<>])=(?!=)").finditer(text, start, end):
        shown[match.start()] = " "


def _is_snowflakes(text: str, position: int) -> bool:
    """Whether a place lies in a macro that Snowflake alone renders: its own, or the default where
    DuckDB has one.
    """
    begun = list(re.finditer(r"\{%-?\s*macro\s+(\w+)", text[:position]))
    if not begun:
        return False
    engine, _, name = begun[-1][1].partition("__")
    return engine == "snowflake" or (
        engine == "default" and f" duckdb__{name}(" in text[begun[-1].start() :]
    )


def _replaced(kind: str, pattern: str, *replacements: str) -> Callable[[str, str], Iterator[Edit]]:
    """What a pattern finds, as each of the replacements; `\\1` is its first group."""
    compiled = re.compile(pattern, re.IGNORECASE)

    def operator(shown: str, _text: str) -> Iterator[Edit]:
        for match in compiled.finditer(shown):
            for replacement in replacements:
                yield kind, match.start(), match.end(), match.expand(replacement)

    return operator


def _unequal(shown: str, text: str) -> Iterator[Edit]:
    for match in re.finditer(r"<>|!=", shown):
        begun = max(text.rfind(mark, 0, match.start()) for mark in ("{%", "{{"))
        ended = max(text.rfind(mark, 0, match.start()) for mark in ("%}", "}}"))
        in_jinja = begun > ended
        yield "comparison", match.start(), match.end(), "==" if in_jinja else "="


def _swapped(kind: str, *pairs: tuple[str, str]) -> Callable[[str, str], Iterator[Edit]]:
    """One function for the other, where it is called."""
    names = {one: other for pair in pairs for one, other in (pair, pair[::-1])}
    compiled = re.compile(rf"\b({'|'.join(sorted(names, key=len, reverse=True))})\b(?=\s*\()")

    def operator(shown: str, _text: str) -> Iterator[Edit]:
        for match in compiled.finditer(shown):
            yield kind, match.start(), match.end(), names[match[1]]

    return operator


def _predicates(shown: str, text: str) -> Iterator[Edit]:
    """A predicate of its own line, as the house writes them, is always true (or, after `or`,
    never).
    """
    compiled = re.compile(
        r"^([ \t]+(?:(?:where|on|having|qualify)(?:[ \t]+|[ \t]*\n[ \t]+))?)(and|or)?\b(.*)$", re.M
    )
    for match in compiled.finditer(shown):
        begin = match.group(1).strip()
        joined = match.group(2)
        predicate = match.group(3)
        if not (begin or joined) or not predicate.strip():
            continue
        written = text[match.start(3) : match.end(3)]
        if any(
            part.count(one) != part.count(other)
            for part, one, other in (
                (predicate, "(", ")"),
                (written, "{{", "}}"),
                (written, "{%", "%}"),
            )
        ):
            continue
        if begin and re.match(r"\s*\(?\s*$", predicate):
            continue
        constant = " false" if joined == "or" else " true"
        stop = match.end(3)
        start = match.start(3)
        yield "predicate dropped", start, stop, constant if joined else constant.strip()


def _orders(shown: str, text: str) -> Iterator[Edit]:
    """The other direction, and without the last of several terms."""
    for match in re.finditer(r"\border by\s+", shown):
        terms = list(_terms(shown, match.end()))
        for start, end in terms:
            term = text[start:end]
            if not term.strip():
                continue
            turned = re.sub(r"\s+desc\b", "", term)
            if turned == term:
                term = re.sub(r"\s+asc\b", "", term)
                turned = re.sub(r"(\s+nulls\s+\w+)?\s*$", r" desc\1", term, count=1)
            yield "order turned", start, end, turned
        if len(terms) > 1:
            yield "order without its last term", terms[-2][1], terms[-1][1], ""
    for match in re.finditer(r"\bpartition by\s+", shown):
        terms = list(_terms(shown, match.end()))
        if len(terms) > 1:
            yield "partition without its last column", terms[-2][1], terms[-1][1], ""


def _terms(shown: str, start: int) -> Iterator[tuple[int, int]]:
    """Where the terms of a list stand that begins here: up to the bracket that ends it, or a word
    that ends the clause.
    """
    end_word = re.compile(r"\b(rows|range|limit|qualify|union|order by)\b|\n\s*\n|\{%")
    depth, begin, index = 0, start, start
    while index < len(shown):
        letter = shown[index]
        if depth == 0 and (end_word.match(shown, index) or letter in ")"):
            break
        if letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "," and depth == 0:
            yield begin, index
            begin = index + 1
            while begin < len(shown) and shown[begin].isspace():
                begin += 1
        index += 1
    end = len(shown[:index].rstrip())
    if end > begin:
        yield begin, end


def _first_of_several(shown: str, text: str) -> Iterator[Edit]:
    """`coalesce(a, b)` as `a`: the case of null is missing."""
    for match in re.finditer(r"\b(coalesce|nullif|ifnull)\(", shown):
        parts = list(_terms(shown, match.end()))
        if len(parts) < 2:
            continue
        close = shown.find(")", parts[-1][1])
        if close < 0:
            continue
        first = text[parts[0][0] : parts[0][1]].strip()
        yield f"{match[1]} left out", match.start(), close + 1, f"({first})"


def _numbers(shown: str, text: str) -> Iterator[Edit]:
    """One more; within quotes after `interval` as well."""
    for match in re.finditer(r"(?<![\w.:$'\[])(\d+)(?![\w.'])", shown):
        if int(match[1]) <= LARGEST_NUMBER:
            yield "off by one", match.start(), match.end(), str(int(match[1]) + 1)
    for match in re.finditer(r"\binterval\s+'(\d+)", text):
        yield "off by one", match.start(1), match.end(1), str(int(match[1]) + 1)


_OPERATORS: tuple[Callable[[str, str], Iterator[Edit]], ...] = (
    _replaced("comparison", r"(?<![<>=!|-])<(?![=>])", "<="),
    _replaced("comparison", r"(?<![<>=!|-])<=(?!>)", "<"),
    _replaced("comparison", r"(?<![<>=!|-])>(?![=>])", ">="),
    _replaced("comparison", r"(?<![<>=!|-])>=", ">"),
    _replaced("comparison", r"(?<![<>=!:])=(?![=>])", "<>"),
    _unequal,
    _replaced("comparison", r"==", "!="),
    _replaced("null", r"\bis null\b", "is not null"),
    _replaced("null", r"\bis not null\b", "is null"),
    _replaced("null", r"\bis not distinct from\b", "="),
    _replaced("null", r"\bis distinct from\b", "<>"),
    _replaced("not dropped", r"\bnot (?=in\b|exists\b|like\b|between\b|\()", ""),
    _replaced("join", r"\bleft (?:outer )?join\b", "inner join"),
    _replaced("join", r"\binner join\b", "left join"),
    _replaced("join", r"\bfull (?:outer )?join\b", "left join"),
    _replaced("frame", r"\bunbounded preceding\b", "1 preceding"),
    _replaced("frame", r"\bunbounded following\b", "current row"),
    _replaced("frame", r"\band current row\b", "and unbounded following"),
    _replaced("frame", r"\brows between\b", "range between"),
    _replaced("union", r"\bunion all\b", "union"),
    _replaced("distinct dropped", r"\bdistinct (?!from\b)", ""),
    _replaced("true/false", r"\btrue\b", "false"),
    _replaced("true/false", r"\bfalse\b", "true"),
    _replaced("and/or", r"(?<=\s)or(?=\s)", "and"),
    _replaced("arithmetic", r"(?<=[\w)\]}] )\+(?= )", "-"),
    _replaced("arithmetic", r"(?<=[\w)\]}] )-(?= )", "+"),
    _swapped(
        "min/max",
        ("min", "max"),
        ("least", "greatest"),
        ("min_by", "max_by"),
        ("arg_min", "arg_max"),
        ("first_value", "last_value"),
        ("lag", "lead"),
    ),
    _predicates,
    _orders,
    _first_of_several,
    _numbers,
)
