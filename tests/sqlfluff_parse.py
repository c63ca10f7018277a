"""sqlfluff's snowflake dialect as a judge of rendered SQL: one linter a process, its parser the one in
Rust (`sqlfluff[rs]`).
"""

from __future__ import annotations

import re
from functools import cache

from sqlfluff.core import FluffConfig, Linter

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
    return Linter(config=FluffConfig(overrides={"dialect": "snowflake", "templater": "raw"}))


def unparsable(statement: str) -> list[str]:
    """The parts that sqlfluff cannot parse; none for a good statement."""
    if any(statement.lstrip().lower().startswith(start) for start in NO_GRAMMAR):
        return []
    for pattern, replacement in NOT_IN_SQLFLUFF:
        statement = pattern.sub(replacement, statement)
    parsed = _linter().parse_string(statement.rstrip().rstrip(";") + ";\n")
    found = [str(violation) for violation in parsed.violations]
    if parsed.tree is None:
        return found or ["no tree"]
    return found + [segment.raw[:200] for segment in parsed.tree.recursive_crawl("unparsable")]
