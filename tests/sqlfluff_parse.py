"""sqlfluff's snowflake dialect as a judge of rendered SQL: one linter a process, its parser the one in
Rust (`sqlfluff[rs]`), whose match is read as it is: to make a tree of it takes twice as long again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlfluff.core import Linter

NOT_IN_SQLFLUFF = (
    # CREATE ROW ACCESS POLICY, in form a CREATE MASKING POLICY:
    # https://docs.snowflake.com/en/sql-reference/sql/create-row-access-policy
    (re.compile(r"create row access policy", re.IGNORECASE), "create masking policy"),
    # CREATE AUTHENTICATION POLICY … PAT_POLICY:
    # https://docs.snowflake.com/en/sql-reference/sql/create-authentication-policy
    (re.compile(r"\s+pat_policy = \([^()]*\)", re.IGNORECASE), ""),
    # ALTER TAG … SET MASKING POLICY <qualified name> [ FORCE ]:
    # https://docs.snowflake.com/en/sql-reference/sql/alter-tag
    (
        re.compile(r"(alter tag \S+ set masking policy )(?:\w+\.)*(\w+) force", re.IGNORECASE),
        r"\1\2",
    ),
)
"""What Snowflake documents and sqlfluff 4.4 cannot parse: said in words that it knows before it
looks, nothing else is.
"""

NO_GRAMMAR = {
    "create or replace semantic view": "https://docs.snowflake.com/en/sql-reference/sql/create-semantic-view",
    "create or replace mcp server": "https://docs.snowflake.com/en/sql-reference/sql/create-mcp-server",
    "alter network rule": "https://docs.snowflake.com/en/sql-reference/sql/alter-network-rule",
    "grant usage on mcp server": "https://docs.snowflake.com/en/sql-reference/sql/grant-privilege",
}
"""Statements that sqlfluff has no grammar for, with the page that each was read against."""


@cache
def _linter() -> Linter:
    from sqlfluff.core import FluffConfig, Linter

    return Linter(config=FluffConfig(overrides={"dialect": "snowflake", "templater": "raw"}))


@cache
def _matcher() -> Callable[[str], bool] | None:
    """Whether the parser in Rust matches a text from end to end. None where it isn't installed."""
    try:
        from sqlfluff.core.parser.lexer import PyRsLexer
        from sqlfluff.core.parser.rust_parser import RustParser
        from sqlfluffrs import RsParseError
    except ImportError:
        return None
    config = _linter().config
    lexer: Any = PyRsLexer(config=config)
    parser = RustParser(config=config)._rs_parser

    def is_parsed(match: Any) -> bool:
        return match.matched_class != "UnparsableSegment" and all(
            is_parsed(child) for child in match.child_matches
        )

    def matches(text: str) -> bool:
        tokens, errors = lexer._lex(text)
        code = [at for at, token in enumerate(tokens) if token.is_code]
        if errors or not code:
            return False
        try:
            match = parser.parse_match_result_from_tokens(tokens[code[0] : code[-1] + 1])
        except RsParseError:
            return False
        whole: bool = match.matched_slice == (0, code[-1] + 1 - code[0])
        return whole and is_parsed(match)

    return matches


def unparsable(statement: str) -> list[str]:
    """The parts that sqlfluff cannot parse; none for a good statement."""
    if any(statement.lstrip().lower().startswith(start) for start in NO_GRAMMAR):
        return []
    for pattern, replacement in NOT_IN_SQLFLUFF:
        statement = pattern.sub(replacement, statement)
    text = statement.rstrip().rstrip(";") + ";\n"
    matches = _matcher()
    if matches is not None and matches(text):
        return []
    parsed = _linter().parse_string(text)
    found = [str(violation) for violation in parsed.violations]
    if found or parsed.tree is None:
        return found or ["no tree"]
    return [segment.raw[:200] for segment in parsed.tree.recursive_crawl("unparsable")]
