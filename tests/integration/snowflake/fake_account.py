"""A Snowflake account that isn't one: fakesnow (DuckDB behind Snowflake's wire protocol) on
loopback, in a process of its own.

What it stands for, and what not. The client side is real: dbt-snowflake and
snowflake-connector-python speak HTTP to it. Query semantics are DuckDB's after transpilation. This
file adds what fakesnow lacks, so that the SQL under test stays as Snowflake
wants it:

- statements that DuckDB has no notion of (roles, grants, warehouses, resource monitors, streams,
  tasks) succeed and do nothing;
- policies do nothing to rows, but *attachments* are kept as Snowflake keeps them: `create or
  replace` without the clause loses
them, one row access
  policy a relation, one masking policy a column, none without the policy's own existence;
  `policy_references` reads them back;
- types that only DuckDB has (`json`, `uuid`) are refused as Snowflake would;
- session parameters (`QUERY_TAG`, …) are kept by session, and every statement is written to
  `query_history` with its tag;
- a session of a reader's or a loader's role has to put the user's other roles out of force first;
  a statement that changes rows waits for its table's lock, and the 21st that would is refused;
- a statement that makes something commits the transaction that it stands in;
- in a schema of managed access its owner grants, and nobody else but who manages the account's
  grants;
- logins and statements fail on purpose, with the codes that Snowflake documents, when a test asks
  for it through `/cdesk/fail`.

Run as `python -m tests.integration.snowflake.fake_account`: prints `{"port": n}` and ends when its
standard input does.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import gzip
import json
import re
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import fakesnow.cursor
import fakesnow.server
import pyarrow as pa
import snowflake.connector.errors
import sqlglot
import uvicorn
from fakesnow.transforms import SUCCESS_NOP
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.integration.snowflake import dialect_gaps, procedures, speed
from tests.integration.snowflake.logins import Logins, Refused
from tests.integration.snowflake.managed_access import ManagedAccess
from tests.integration.snowflake.refused_forms import refusal_of

NOTHING_TO_DO = re.compile(
    r"""\s*(
        (grant|revoke)\s
      |
      (create|alter|drop)\s+(or\s+replace\s+)?
        (role|warehouse|resource\s+monitor|user|procedure|network\s+(policy|rule)|authentication\s+policy|mcp\s+server|account|tag|task|stream|pipe|function|schema\s+\S+\s+set)\b
      | (create|alter|drop)\s+database\s+(if\s+(not\s+)?exists\s+)?\S+\s+set\b
      | create\s+or\s+replace\s+semantic\s+view\b
      | alter\s+(database|schema)\b
      | alter\s+table\s+\S+\s+(set|unset)\s+(tag|data_retention|change_tracking)
      | execute\s+task\b
      | use\s+secondary\s+roles\b
      | comment\s+(if\s+exists\s+)?on\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
SESSION = re.compile(
    r"\s*alter\s+session\s+(?P<verb>set|unset)\s+(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)
ASSIGNMENT = re.compile(r"(\w+)\s*=\s*('(?:[^']|'')*'|[^\s,]+)")
RESULT_SCAN = re.compile(
    r"\s*select\s+\*\s+from\s+table\(\s*result_scan\(\s*'([^']+)'\s*\)\s*\)", re.IGNORECASE
)
WRITES_LANDING = re.compile(
    r"\s*(insert\s+into|merge\s+into|delete\s+from|update|truncate\s+table)\s+([\w$\"]+\.)*landing\b",
    re.IGNORECASE,
)
NO_SECONDARY = re.compile(r"\s*use\s+secondary\s+roles\s+none\b", re.IGNORECASE)
BEGINS, ENDS = (
    re.compile(rf"\s*({words})\b", re.IGNORECASE)
    for words in (r"begin|start\s+transaction", "commit|rollback")
)
DEFINES = re.compile(
    r"\s*(create|alter(?!\s+session)|drop|truncate|grant|revoke|comment|undrop)\b", re.IGNORECASE
)
SHOW_PARAMETERS = re.compile(r"\s*show\s+parameters\s+like\s+'(\w+)'", re.IGNORECASE)
NAME = r'(?P<name>[\w$."]+)'
DROP_DATABASE = re.compile(rf"\s*drop\s+database\s+(?:if\s+exists\s+)?{NAME}", re.IGNORECASE)
LOCKS = re.compile(rf"\s*(?:merge\s+into|delete\s+from|update)\s+{NAME}", re.IGNORECASE)
POLICY = re.compile(
    rf"\s*(?P<verb>create|alter|drop)\s+(or\s+replace\s+)?(?P<kind>masking|row\s+access)\s+policy\s+(if\s+(not\s+)?exists\s+)?{NAME}",
    re.IGNORECASE,
)
ALTER = re.compile(
    rf"\s*alter\s+(table|view)\s+(if\s+exists\s+)?{NAME}\s+(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)
CREATE = re.compile(
    rf"\s*create\s+(?P<replace>or\s+replace\s+)?(?P<modifiers>((secure|transient|temporary|temp)\s+)*)(?P<kind>table|view)\s+(if\s+not\s+exists\s+)?{NAME}",
    re.IGNORECASE,
)
WITH_ROW_ACCESS = re.compile(
    r"\bwith\s+row\s+access\s+policy\s+([\w$.\"]+)\s+on\s*\(\s*([\w\", ]+?)\s*\)", re.IGNORECASE
)
WITH_MASKING = re.compile(r"\s+(?:with\s+)?masking\s+policy\s+[\w$.\"]+", re.IGNORECASE)
NO_TYPE_OF_SNOWFLAKE = re.compile(
    r"(?:\bas\s+|::\s*)(json|uuid|hugeint|ubigint)\b\s*(?:\)|,|$)|[(,]\s*\w+\s+(json|uuid|hugeint)\b",
    re.IGNORECASE,
)
PIPE = re.compile(
    rf"\s*(?P<verb>create|drop)\s+(or\s+replace\s+)?pipe\s+(if\s+(not\s+)?exists\s+)?{NAME}",
    re.IGNORECASE,
)
STREAM = re.compile(
    rf"\s*create\s+(?P<replace>or\s+replace\s+)?stream\s+(if\s+not\s+exists\s+)?{NAME}",
    re.IGNORECASE,
)
SHOW_STREAMS = re.compile(
    r"\s*show\s+streams\s+like\s+'([^']+)'\s+in\s+schema\s+([\w.\"]+)", re.IGNORECASE
)
SHOW_NAMES = re.compile(
    r"\s*show\s+(?P<kind>databases|pipes|roles|users|warehouses|resource\s+monitors|"
    r"network\s+policies)(\s+like\s+'(?P<begin>[^'%]*)%')?",
    re.IGNORECASE,
)
OBJECT = re.compile(
    r"\s*(?P<verb>create|drop)\s+(?P<kind>role|warehouse|resource\s+monitor)\s+"
    rf"(if\s+(not\s+)?exists\s+)?{NAME}",
    re.IGNORECASE,
)
KINDS = {"text": "varchar", "string": "varchar", "character": "varchar"}
SHOW_POLICIES = re.compile(
    r"\s*show\s+(masking|row\s+access)\s+policies\s+like\s+'([^']+)'\s+in\s+schema\s+([\w.\"]+)",
    re.IGNORECASE,
)
SET_VARIABLES = re.compile(r"\s*set\s*\(([^)]*)\)\s*=\s*\(\s*[?,\s]+\)\s*$", re.IGNORECASE)
REFERENCES = re.compile(
    r"table\(\s*([\w\"]+\.)?information_schema\.policy_references\(\s*(?P<what>\w+)\s*=>\s*'(?P<value>[^']*)'[^)]*\)\s*\)",
    re.IGNORECASE,
)
ONE_TABLE = re.compile(r"\btable_name = '(\w+)'\s*$")
TABLES = re.compile(r"([\w\"]+\.)?information_schema\.tables\b", re.IGNORECASE)


def name_of(text: str, conn: Any) -> str:
    """DATABASE.SCHEMA.NAME in upper case."""
    parts = [part.strip('"').upper() for part in text.split(".")]
    known = [str(conn.database).upper(), str(conn.schema).upper()]
    return ".".join(known[: 3 - len(parts)] + parts)


@dataclass
class Account:
    """What the account remembers beside its tables."""

    policies: dict[str, str] = field(default_factory=dict)
    row_access: dict[str, tuple[str, str]] = field(default_factory=dict)
    """relation → (policy, column)"""
    altered: dict[str, float] = field(default_factory=dict)
    """relation → when it was last written"""
    masking: dict[tuple[str, str], str] = field(default_factory=dict)
    """(relation, column) → policy"""
    statements: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    objects: set[tuple[str, str]] = field(default_factory=set)
    """(kind, name) of roles, warehouses and resource monitors"""
    pipes: set[str] = field(default_factory=set)
    """All of them load landing."""
    logins: Logins = field(default_factory=Logins)
    managed: ManagedAccess = field(default_factory=ManagedAccess)
    stale: set[str] = field(default_factory=set)
    """Streams that can't be read any more."""
    procedures: dict[str, procedures.Procedure] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    unlocked: threading.Condition = field(default_factory=threading.Condition)
    locked: dict[str, Any] = field(default_factory=dict)
    """table → the session whose transaction holds its lock"""
    waiting: dict[str, int] = field(default_factory=dict)

    def attach_masking(self, relation: str, column: str, policy: str, *, force: bool) -> None:
        key = (relation, column.strip('"').upper())
        if self.masking.get(key, policy) != policy and not force:
            raise refused(
                f"Specified column already attached to another masking policy: {key}", 3544
            )
        self.masking[key] = policy

    def attach_row_access(self, relation: str, policy: str, column: str) -> None:
        if relation in self.row_access:
            raise refused(
                f"Object {relation} already has a ROW_ACCESS_POLICY. Only one is allowed at a time.",
                3553,
            )
        self.row_access[relation] = (policy, column.replace('"', "").upper())

    def forget(self, relation: str) -> None:
        self.row_access.pop(relation, None)
        for key in [key for key in self.masking if key[0] == relation]:
            del self.masking[key]

    def forget_database(self, name: str) -> None:
        """What stood in a database goes with it."""
        prefix = name + "."
        for kept in (self.policies, self.row_access, self.procedures, self.altered):
            for key in [key for key in kept if key.startswith(prefix)]:
                del kept[key]  # type: ignore[attr-defined]
        for relation, column in [key for key in self.masking if key[0].startswith(prefix)]:
            del self.masking[relation, column]
        for schema in [name for name in self.managed.owners if name.startswith(prefix)]:
            del self.managed.owners[schema]
        for names in (self.pipes, self.stale):
            names -= {one for one in names if one.startswith(prefix)}


ACCOUNT = Account()


def refused(
    message: str, errno: int, sqlstate: str = "42601"
) -> snowflake.connector.errors.ProgrammingError:
    return snowflake.connector.errors.ProgrammingError(msg=message, errno=errno, sqlstate=sqlstate)


def require_one_role(conn: Any) -> None:
    """All roles of a user are in force beside the one asked for, unless a session says otherwise.
    Snowflake lets it go on; a session that is to have a reader's or a loader's rights alone has to
    say so first: https://docs.snowflake.com/en/sql-reference/sql/use-secondary-roles
    """
    role = conn.__dict__.get("cdesk_role", "")
    if role.endswith(("_READER", "_LOADER", "_SERVICE")) and "cdesk_one_role" not in conn.__dict__:
        raise refused(
            f"the secondary roles of the user are in force beside {role}; first: use secondary "
            "roles none [https://docs.snowflake.com/en/sql-reference/sql/use-secondary-roles]",
            3001,
            "42501",
        )


MOST_WAITERS = 20
"""Of a table's lock: https://docs.snowflake.com/en/sql-reference/transactions#resource-locking"""


def wait_for_lock(conn: Any, bare: str) -> None:
    """A statement that changes rows takes its table's lock until its transaction ends; an insert
    takes none. The 21st that would wait is refused.
    """
    if found := LOCKS.match(bare):
        table = name_of(found["name"], conn)
        with ACCOUNT.unlocked:
            if ACCOUNT.waiting.get(table, 0) >= MOST_WAITERS and table in ACCOUNT.locked:
                raise refused(
                    "Statement aborted because the number of waiters for this lock exceeds the "
                    f"{MOST_WAITERS} statement limit [https://docs.snowflake.com/en/sql-reference/"
                    "transactions#resource-locking]",
                    625,
                    "57014",
                )
            ACCOUNT.waiting[table] = ACCOUNT.waiting.get(table, 0) + 1
            try:
                ACCOUNT.unlocked.wait_for(
                    lambda: ACCOUNT.locked.get(table, conn) is conn, timeout=20
                )
            finally:
                ACCOUNT.waiting[table] -= 1
            if conn.__dict__.get("cdesk_begun"):
                ACCOUNT.locked[table] = conn
    elif ENDS.match(bare):
        end_transaction(conn)
    elif BEGINS.match(bare):
        conn.__dict__["cdesk_begun"] = True


def end_transaction(conn: Any) -> None:
    conn.__dict__["cdesk_begun"] = False
    with ACCOUNT.unlocked:
        for table in [t for t, holder in ACCOUNT.locked.items() if holder is conn]:
            del ACCOUNT.locked[table]
        ACCOUNT.unlocked.notify_all()


def commit_before(conn: Any, bare: str) -> None:
    """A statement that makes, changes or drops something, temporary or not, commits what was begun
    and stands by itself: https://docs.snowflake.com/en/sql-reference/transactions#ddl
    """
    if conn.__dict__.get("cdesk_begun", False) and DEFINES.match(bare):
        conn._duck_conn.execute("commit")
        end_transaction(conn)


def require_policy(name: str) -> None:
    if name not in ACCOUNT.policies:
        raise refused(
            f"SQL compilation error: Policy '{name}' does not exist or not authorized.",
            2003,
            "02000",
        )


def handle_alter(relation: str, rest: str, conn: Any) -> bool:
    """Policy actions of `alter table|view`; False when the statement is another one."""
    rest = " ".join(rest.split())
    if re.match(r"drop all row access policies", rest, re.IGNORECASE):
        ACCOUNT.row_access.pop(relation, None)
        return True
    if found := re.match(
        r"(?:drop row access policy ([\w$.\"]+) ?,? ?)?(?:add row access policy ([\w$.\"]+) on ?\( ?([\w\", ]+?) ?\))?;?$",
        rest,
        re.IGNORECASE,
    ):
        dropped, added, column = found.groups()
        if dropped:
            if ACCOUNT.row_access.get(relation, ("",))[0] != name_of(dropped, conn):
                raise refused(f"Policy {dropped} is not attached to {relation}", 3554)
            del ACCOUNT.row_access[relation]
        if added:
            require_policy(name_of(added, conn))
            ACCOUNT.attach_row_access(relation, name_of(added, conn), column)
        return bool(dropped or added)
    if found := re.match(
        r"(?:modify|alter) column ([\w\"]+) (set|unset) masking policy ?([\w$.\"]+)?( force)?;?$",
        rest,
        re.IGNORECASE,
    ):
        column, verb, policy, force = found.groups()
        if verb.lower() == "unset":
            ACCOUNT.masking.pop((relation, column.strip('"').upper()), None)
        else:
            require_policy(name_of(policy, conn))
            ACCOUNT.attach_masking(relation, column, name_of(policy, conn), force=bool(force))
        return True
    return False


def handle_policy(found: re.Match[str], command: str, conn: Any) -> None:
    name = name_of(found["name"], conn)
    verb = found["verb"].lower()
    attached = name in set(ACCOUNT.masking.values()) | {
        policy for policy, _ in ACCOUNT.row_access.values()
    }
    if verb == "alter":
        require_policy(name)
        ACCOUNT.policies[name] = command
    elif verb == "drop":
        if attached:
            raise refused(
                f"Policy {name} cannot be dropped/replaced as it is associated with one or more entities.",
                3541,
            )
        ACCOUNT.policies.pop(name, None)
    elif re.search(r"if\s+not\s+exists", found[0], re.IGNORECASE):
        ACCOUNT.policies.setdefault(name, command)
    else:
        if attached:
            raise refused(
                f"Policy {name} cannot be dropped/replaced as it is associated with one or more entities.",
                3541,
            )
        ACCOUNT.policies[name] = command


def handle_create(
    found: re.Match[str], command: str, conn: Any
) -> tuple[str, str, list[tuple[str, str]], tuple[str, str] | None]:
    """The statement without its policy clauses, and what to attach once it has succeeded."""
    relation = name_of(found["name"], conn)
    head, middle, body = split_create(command, found.end())
    row_access = WITH_ROW_ACCESS.search(middle)
    masks = [(column, name_of(policy, conn)) for column, _, policy in masked_columns(middle)]
    for column, type_, policy in masked_columns(middle):
        require_policy(name_of(policy, conn))
        require_type(column, type_, name_of(policy, conn))
    if row_access:
        require_policy(name_of(row_access[1], conn))
        middle = WITH_ROW_ACCESS.sub("", middle)
    # the column list of `create … as` only carries policies and comments: the columns are the
    # query's
    if body:
        middle = re.sub(
            r"^\s*\(.*?\)\s*(?=$|copy|with|comment|change_tracking)",
            " ",
            middle,
            flags=re.IGNORECASE | re.DOTALL,
        )
    middle = WITH_MASKING.sub("", middle)
    if (
        "." in found["name"]
        # DuckDB keeps temporary relations outside every database; dbt drops its own by name in the
        # end
    ):
        head = re.sub(r"\b(temporary|temp)\s+", "", head, flags=re.IGNORECASE)
    middle = re.sub(
        r"\bcopy\s+(grants|tags)\b|\bcluster\s+by\s*\([^)]*\)", " ", middle, flags=re.IGNORECASE
    )
    return (
        relation,
        head + middle + body,
        masks,
        (name_of(row_access[1], conn), row_access[2]) if row_access else None,
    )


def require_type(column: str, type_: str, policy: str) -> None:
    """A masking policy's type is that of its column:
    https://docs.snowflake.com/en/user-guide/security-column-intro
    """
    takes = re.search(r"\bas\s*\(\s*\w+\s+(\w+)", ACCOUNT.policies[policy], re.IGNORECASE)
    if type_ and takes and KINDS.get(type_, type_) != KINDS.get(takes[1].lower(), takes[1].lower()):
        raise refused(
            f"Column '{column}' of type {type_} cannot have a masking policy of type {takes[1]} "
            "[https://docs.snowflake.com/en/user-guide/security-column-intro]",
            3002,
        )


def masked_columns(clauses: str) -> list[tuple[str, str, str]]:
    """(column, type or nothing, policy) of a column list, whatever stands between the two: a type
    has commas and parentheses of its own.
    """
    found: list[tuple[str, str, str]] = []
    depth, definition = 0, ""
    for character in clauses:
        depth += (character == "(") - (character == ")")
        if (depth == 1 and character in "(,") or (depth == 0 and character == ")"):
            policy = re.search(r"\bmasking\s+policy\s+([\w$.\"]+)", definition, re.IGNORECASE)
            if policy:
                words = definition.lower().replace("(", " ").split()
                type_ = "" if words[1] in ("with", "masking") else words[1]
                found.append((words[0], type_, policy[1]))
            definition = ""
        else:
            definition += character
    return found


def split_create(command: str, end: int) -> tuple[str, str, str]:
    """`create … name`, what stands before `as`, and `as …`; the `as` of a cast or alias stands
    inside parentheses, this one does not.
    """
    depth, quote = 0, ""
    for match in re.finditer(r"\$\$|[()'\"]|\bas\b", command[end:], re.IGNORECASE):
        text = match[0]
        if quote:
            quote = "" if text == quote else quote
        elif text in ("'", '"', "$$"):
            quote = text
        elif text in "()":
            depth += 1 if text == "(" else -1
        elif depth == 0 and text.lower() == "as":
            at = end + match.start()
            return command[:end], command[end:at], command[at:]
    return command[:end], command[end:], ""


def references_sql(found: re.Match[str], conn: Any) -> str:
    """`policy_references` by policy or by entity, as a subquery."""
    wanted = name_of(found["value"], conn)
    rows = [
        (policy, "ROW_ACCESS_POLICY", relation, column, True)
        for relation, (policy, column) in ACCOUNT.row_access.items()
    ] + [
        (policy, "MASKING_POLICY", relation, column, False)
        for (relation, column), policy in ACCOUNT.masking.items()
    ]
    key = 0 if found["what"].lower() == "policy_name" else 2
    rows = [row for row in rows if row[key] == wanted]
    values = [
        "('{}', '{}', '{}', '{}', '{}', '{}', '{}', ".format(*p.split("."), kind, *r.split("."))
        + f"{'null' if by_row else repr(column)}, {repr(json.dumps([column])) if by_row else 'null'}, 'ACTIVE')"
        for p, kind, r, column, by_row in rows
    ]
    columns = (
        "policy_db, policy_schema, policy_name, policy_kind, ref_database_name, ref_schema_name, ref_entity_name, ref_column_name, "
        "ref_arg_column_names, policy_status"
    )
    nothing = (
        "select "
        + ", ".join(f"cast(null as varchar) as {name}" for name in columns.split(", "))
        + " where false"
    )
    return (
        f"(select * from (values {', '.join(values)}) as r ({columns}))"
        if values
        else f"({nothing})"
    )


def tables_sql(tables: str, conn: Any, asked: str) -> str:
    """`information_schema.tables` with the time of the last change and the number of rows, which
    fakesnow leaves out. Where a statement asks for one table, its text stays the same until that
    table changes.
    """
    here = f"{conn.database}.{conn.schema}.".upper()
    one = ONE_TABLE.search(asked)
    rows = [
        (name.removeprefix(here), at)
        for name, at in ACCOUNT.altered.items()
        if name.startswith(here) and (one is None or name == here + one[1])
    ] or [("-", 0.0)]
    values = ", ".join(
        f"('{name}', to_timestamp_ntz({int(at * 1_000_000)}, 6))" for name, at in rows
    )
    return (
        f"(select t.* exclude (last_altered), a.changed as last_altered from {tables} as t "
        f"left join (values {values}) as a (name, changed) on t.table_name = a.name)"
    )


original_execute = fakesnow.cursor.FakeSnowflakeCursor.execute


def execute(self: Any, command: str, params: Any = None, *args: Any, **kwargs: Any) -> Any:
    conn = self._conn
    parameters: dict[str, str] = conn.__dict__.setdefault("cdesk_parameters", {})
    started = time.time()
    with ACCOUNT.lock:
        for failure in ACCOUNT.failures:
            if (
                failure["on"] == "statement"
                and failure["times"] > 0
                and re.search(failure["pattern"], command, re.IGNORECASE | re.DOTALL)
            ):
                failure["times"] -= 1
                raise refused(
                    failure["message"], int(failure["code"]), failure.get("sqlstate", "42501")
                )
    try:
        return dispatch(self, conn, parameters, command, params, *args, **kwargs)
    except snowflake.connector.errors.Error:
        raise
    # what fakesnow lets through becomes HTTP 500, which the connector tries again for ever
    except Exception as error:
        raise refused(f"fakesnow: {error!r}", 999, "XX000") from error
    finally:
        ACCOUNT.statements.append(
            {
                "sql": command,
                "tag": parameters.get("QUERY_TAG", ""),
                "parameters": dict(parameters),
                "binds": kwargs.get("binding_params") is not None,
                "query_id": self._sfqid,
                "seconds": time.time() - started,
            }
        )


def dispatch(
    self: Any,
    conn: Any,
    parameters: dict[str, str],
    command: str,
    params: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    bare = re.sub(
        r"^\s*(/\*.*?\*/\s*|--[^\n]*\n\s*)*|(\s*/\*[^*]*\*/)?\s*;?\s*$",
        "",
        command,
        flags=re.DOTALL,
    )
    commit_before(conn, bare)
    wait_for_lock(conn, bare)
    role = conn.__dict__.get("cdesk_role", "")
    said = ACCOUNT.managed.refusal(bare, role, lambda name: name_of(name, conn))
    if said is not None:
        raise refused(said, 3001, "42501")
    if found := PIPE.match(bare):
        name = name_of(found["name"], conn)
        if found["verb"].lower() == "drop":
            ACCOUNT.pipes.discard(name)
        elif name not in ACCOUNT.pipes and len(ACCOUNT.pipes) >= 10:
            raise refused(
                "a table has at most 10 pipes for Snowpipe Streaming [https://docs.snowflake.com/en/"
                "user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-limitations]",
                90_180,
            )
        else:
            ACCOUNT.pipes.add(name)
        return nothing(self)
    if found := STREAM.match(bare):
        if found["replace"]:
            ACCOUNT.stale.discard(name_of(found["name"], conn))
        return nothing(self)
    if found := SHOW_STREAMS.match(bare):
        name = name_of(f"{found[2]}.{found[1]}", conn)
        is_stale = str(name in ACCOUNT.stale).lower()
        return answer(self, f"select '{found[1]}' as \"name\", '{is_stale}' as \"stale\"")
    try:
        said = ACCOUNT.logins.answer(bare, lambda name: name_of(name, conn))
    except Refused as error:
        raise refused(str(error), 3541) from None
    if said is not None:
        return answer(self, said) if said else nothing(self)
    if found := DROP_DATABASE.match(bare):
        name = found["name"].strip('"').upper()
        ACCOUNT.forget_database(name)
        self._conn._duck_conn.execute("use memory")
        self._conn._duck_conn.execute(f'detach database if exists "{name}"')
        return nothing(self)
    if found := OBJECT.match(bare):
        one = (" ".join(found["kind"].lower().split()), found["name"].upper())
        (ACCOUNT.objects.add if found["verb"].lower() == "create" else ACCOUNT.objects.discard)(one)
        return nothing(self)
    if found := SHOW_NAMES.match(bare):
        kind = " ".join(found["kind"].lower().split()).removesuffix("s")
        known = {("pipe", name.rsplit(".", 1)[-1]) for name in ACCOUNT.pipes} | ACCOUNT.objects
        known |= {("user", name) for name in ACCOUNT.logins.users}
        known |= {("network policie", name) for name in ACCOUNT.logins.policies["network"]}
        begin = (found["begin"] or "").upper()
        if kind == "database":
            made = "select database_name from duckdb_databases() where not internal"
            known = {(kind, row[0].upper()) for row in conn._duck_conn.execute(made).fetchall()}
        names = sorted(name for of, name in known if of == kind and name.startswith(begin))
        rows = ", ".join(f"('{name}')" for name in names) or "(null)"
        return answer(
            self, f'select "name" from (values {rows}) as r ("name") where "name" is not null'
        )
    if (made := procedures.created(bare)) is not None:
        ACCOUNT.procedures[name_of(made[0], conn)] = made[1]
        return nothing(self)
    if (name := procedures.called(bare)) is not None:
        return call(self, name_of(name, conn), kwargs["binding_params"])
    if NO_SECONDARY.match(bare):
        conn.__dict__["cdesk_one_role"] = True
        return nothing(self)
    require_one_role(conn)
    if WRITES_LANDING.match(bare) and conn.__dict__.get("cdesk_role", "").endswith("_LOADER"):
        raise refused(
            "SQL access control error: Insufficient privileges to operate on table 'LANDING' "
            "[https://docs.snowflake.com/en/user-guide/security-access-control-privileges]",
            3001,
            "42501",
        )
    if (refusal := refusal_of(bare)) is not None:
        raise refused(refusal.text, refusal.errno, refusal.sqlstate)
    if found := RESULT_SCAN.match(bare):
        return shuffled(self, found[1])
    if found := SESSION.match(bare):
        for name, value in (
            ASSIGNMENT.findall(found["rest"]) if found["verb"].lower() == "set" else []
        ):
            parameters[name.upper()] = value.strip("'").replace("''", "'")
        if found["verb"].lower() == "unset":
            parameters.pop(found["rest"].strip().rstrip(";").upper(), None)
        return nothing(self)
    if found := SHOW_PARAMETERS.match(bare):
        key = found[1].upper()
        return answer(
            self, f"select '{key.lower()}' as \"key\", '{parameters.get(key, '')}' as \"value\""
        )
    if found := SET_VARIABLES.match(bare):
        for name, value in zip(found[1].split(","), kwargs["binding_params"], strict=True):
            conn.variables._set(name.strip(), "'" + str(value).replace("'", "''") + "'")
        return nothing(self)
    if found := SHOW_POLICIES.match(bare):
        name = name_of(f"{found[3]}.{found[2]}", conn)
        return answer(
            self,
            f"select '{name}' as \"name\"" + ("" if name in ACCOUNT.policies else " where false"),
        )
    with ACCOUNT.lock:
        if found := POLICY.match(bare):
            handle_policy(found, bare, conn)
            return nothing(self)
        if (found := ALTER.match(bare)) and handle_alter(
            name_of(found["name"], conn), found["rest"], conn
        ):
            return nothing(self)
    if found := re.match(r"\s*use\s+role\s+(\w+)\s*$", bare, re.IGNORECASE):
        conn.__dict__["cdesk_role"] = found[1].upper()
        return nothing(self)
    if NOTHING_TO_DO.match(bare):
        return nothing(self)
    if found := NO_TYPE_OF_SNOWFLAKE.search(bare):
        raise refused(
            f"SQL compilation error: Unsupported data type '{(found[1] or found[2]).upper()}'.",
            2040,
            "42601",
        )
    if found := CREATE.match(bare):
        relation, bare, masks, row_access = handle_create(found, bare, conn)
        result = original_execute(self, bare, params, *args, **kwargs)
        with ACCOUNT.lock:
            if found["replace"]:
                ACCOUNT.forget(relation)
            for column, policy in masks:
                ACCOUNT.attach_masking(relation, column, policy, force=False)
            if row_access:
                ACCOUNT.attach_row_access(relation, *row_access)
        return result
    if found := re.match(rf"\s*drop\s+(table|view)\s+(if\s+exists\s+)?{NAME}", bare, re.IGNORECASE):
        with ACCOUNT.lock:
            ACCOUNT.forget(name_of(found["name"], conn))
    if found := re.match(
        rf"\s*(?:insert\s+into|merge\s+into|delete\s+from|update|truncate\s+table)\s+{NAME}",
        bare,
        re.IGNORECASE,
    ):
        ACCOUNT.altered[name_of(found["name"], conn)] = time.time()
    if "last_altered" in bare.lower():
        bare = TABLES.sub(lambda match, asked=bare: tables_sql(match[0], conn, asked), bare)
    if re.search(r"account_usage|vw_sql_events|obs_hourly_costs", bare, re.IGNORECASE):
        refresh_history(conn)
    bare = re.sub(
        r"^(\s*create\s+schema\s.*?)\s+with\s+managed\s+access", r"\1", bare, flags=re.IGNORECASE
    )
    if "policy_references" in bare.lower():
        bare = REFERENCES.sub(lambda match: references_sql(match, conn), bare)
    pretended = {
        failure["on"]: failure["name"] for failure in ACCOUNT.failures if "name" in failure
    }
    for name in ("role", "warehouse", "user"):
        value = pretended.get(name) or conn.__dict__.get("cdesk_" + name, "")
        bare = re.sub(rf"\bcurrent_{name}\(\)", f"'{value}'", bare, flags=re.IGNORECASE)
    return original_execute(self, bare, params, *args, **kwargs)


def call(cursor: Any, name: str, binds: tuple[Any, ...]) -> Any:
    """Run a procedure as its owner; the caller's user stays."""
    conn = cursor._conn
    procedure = ACCOUNT.procedures.get(name)
    if procedure is None:
        raise refused(f"SQL compilation error: Unknown user-defined function {name}.", 2141)
    role = conn.__dict__.get("cdesk_role", "")

    def run(statement: str) -> Any:
        inner = conn.cursor()
        inner.execute(statement)
        rows = inner.fetchall()
        return rows[0][0] if rows else None

    conn.__dict__["cdesk_role"] = "CDESK_TRANSFORMER"
    try:
        answered = procedures.run(procedure, tuple(binds), run)
    finally:
        conn.__dict__["cdesk_role"] = role
    return answer(cursor, "select " + procedures._literal(answered) + " as answer")


def shuffled(cursor: Any, query_id: str) -> Any:
    """`select * from table(result_scan('…'))`, in an order of its own: Snowflake promises none.
    https://docs.snowflake.com/en/sql-reference/functions/result_scan
    """
    found = cursor._conn.results_cache.get(query_id)
    if found is not None and found[0] is not None:
        table = found[0]
        order = sorted(range(table.num_rows), key=lambda row: (row % 2 == 0, -row))
        cursor._conn.results_cache[query_id] = (table.take(order), *found[1:])
    try:
        return original_execute(cursor, f"select * from table(result_scan('{query_id}'))")
    finally:
        if found is not None:
            cursor._conn.results_cache[query_id] = found


def refresh_history(conn: Any) -> None:
    """`snowflake.account_usage`, from what has run: seconds are real, bytes and credits are made up
    (1,000 and 0.001 a statement); no hour is metered yet.
    """
    duck = conn._duck_conn
    duck.execute(
        "attach if not exists ':memory:' as snowflake; create schema if not exists snowflake.account_usage"
    )
    duck.execute(
        "create or replace table snowflake.account_usage.query_history (query_id varchar, query_tag varchar, total_elapsed_time bigint, "
        "bytes_scanned bigint, credits_used_cloud_services double, start_time timestamptz default now()); "
        "create or replace table snowflake.account_usage.query_attribution_history as select null::varchar as query_id, "
        "null::double as credits_attributed_compute, null::timestamptz as start_time where false; "
        "create or replace table snowflake.account_usage.warehouse_metering_history as "
        "select null::timestamptz as start_time, null::varchar as warehouse_name, "
        "null::double as credits_used where false"
    )
    done = [s for s in ACCOUNT.statements if s.get("query_id") and s.get("tag")]
    history = pa.table(
        {
            "query_id": [statement["query_id"] for statement in done],
            "query_tag": [statement["tag"] for statement in done],
            "elapsed": [round(statement["seconds"] * 1000) for statement in done],
        },
        schema=pa.schema(
            [("query_id", pa.string()), ("query_tag", pa.string()), ("elapsed", pa.int64())]
        ),
    )
    duck.register("cdesk_history", history)
    duck.execute(
        "insert into snowflake.account_usage.query_history "
        "select query_id, query_tag, elapsed, 1000, 0.001, now() from cdesk_history"
    )
    duck.unregister("cdesk_history")


def nothing(cursor: Any) -> Any:
    cursor._execute(SUCCESS_NOP, None)
    return cursor


def answer(cursor: Any, sql: str) -> Any:
    cursor._execute(sqlglot.parse_one(sql, read="duckdb"), None)
    return cursor


async def login(request: Request) -> Response:
    """The login, with the session parameters kept, and refused when a test asked for it."""
    raw = await request.body()
    data = json.loads(
        gzip.decompress(raw) if request.headers.get("Content-Encoding") == "gzip" else raw
    )["data"]
    ACCOUNT.statements.append(
        {
            "sql": "login",
            "login": {k: v for k, v in data.items() if k != "PASSWORD"},
            "at": time.time(),
        }
    )
    for failure in ACCOUNT.failures:
        if failure["on"] == "login" and failure["times"] > 0:
            failure["times"] -= 1
            return JSONResponse(
                {
                    "data": {},
                    "code": failure["code"],
                    "message": failure["message"],
                    "success": False,
                }
            )
    response = await fakesnow.server.login_request(request)
    token = json.loads(bytes(response.body))["data"]["token"]
    session = fakesnow.server.sessions[token].__dict__
    session["cdesk_user"] = data.get("LOGIN_NAME", "")
    for name, parameter in (("role", "roleName"), ("warehouse", "warehouse")):
        session[f"cdesk_{name}"] = request.query_params.get(parameter, "")
    session["cdesk_parameters"] = {
        key.upper(): str(value) for key, value in data.get("SESSION_PARAMETERS", {}).items()
    }
    return response


async def end(_: Request) -> Response:
    """The end of sessions that nobody uses any more, which takes back what they have not committed:
    https://docs.snowflake.com/en/sql-reference/transactions. fakesnow isn't told of it.
    """
    for conn in fakesnow.server.sessions.values():
        if conn.__dict__.get("cdesk_begun"):
            conn._duck_conn.execute("rollback")
            end_transaction(conn)
    return JSONResponse({})


async def query_result(request: Request) -> Response:
    """A query's own result, in its own order, as the connector's `query_result` fetches it."""
    token = request.headers["Authorization"][17:-1]
    conn = fakesnow.server.sessions[token]
    query_id = request.path_params["query_id"]
    found = conn.results_cache.get(query_id)
    if found is None:
        return JSONResponse(
            {
                "data": {},
                "code": "000709",
                "message": f"Statement {query_id} not found",
                "success": False,
            }
        )
    cursor = conn.cursor()
    table, _, cursor._last_sql, cursor._last_params, cursor._last_transformed = found
    cursor.__dict__["cdesk_described"] = conn.__dict__.get("cdesk_described", {}).get(query_id)
    rowtype = fakesnow.server.describe_as_rowtype(cursor._describe_last_sql())
    rows = fakesnow.server.to_ipc(fakesnow.server.to_sf(table, rowtype)) if table else b""
    return JSONResponse(
        {
            "data": {
                "parameters": [{"name": "TIMEZONE", "value": "Etc/UTC"}],
                "rowtype": rowtype,
                "total": table.num_rows if table else 0,
                "queryId": query_id,
                "queryResultFormat": "arrow",
                "rowsetBase64": base64.b64encode(rows).decode(),
            },
            "success": True,
        }
    )


async def statements(request: Request) -> Response:
    """What has run, oldest first, from `after` on."""
    return JSONResponse(ACCOUNT.statements[int(request.query_params.get("after", "0")) :])


async def fail(request: Request) -> Response:
    """Take a list of failures to raise; an empty list clears. `on` stale: streams by name."""
    ACCOUNT.failures[:] = await request.json()
    ACCOUNT.stale |= {one["name"] for one in ACCOUNT.failures if one["on"] == "stale"}
    return JSONResponse({})


async def state(_: Request) -> Response:
    return JSONResponse(
        {
            "policies": ACCOUNT.policies,
            "users": ACCOUNT.logins.users,
            "network_policies": sorted(ACCOUNT.logins.policies["network"]),
            "row_access": ACCOUNT.row_access,
            "masking": {
                f"{relation}.{column}": policy
                for (relation, column), policy in ACCOUNT.masking.items()
            },
        }
    )


def main() -> None:
    fakesnow.cursor.FakeSnowflakeCursor.execute = execute  # type: ignore[method-assign]
    dialect_gaps.install()
    speed.install()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # trees of statements: most are kept, none is in a cycle
    # Tables of a few rows: a second thread only waits for its turn.
    fakesnow.server.shared_fs.duck_conn.execute("set threads = 1")
    routes = [
        Route("/session/v1/login-request", login, methods=["POST"]),
        Route("/cdesk/end", end),
        Route("/queries/{query_id}/result", query_result),
        Route("/cdesk/statements", statements),
        Route("/cdesk/fail", fail, methods=["POST"]),
        Route("/cdesk/state", state),
        *(
            route
            for route in fakesnow.server.routes
            if getattr(route, "path", "") != "/session/v1/login-request"
        ),
    ]
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)  # so that who reads the port may connect at once
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="critical"))

    def end_with_parent() -> None:
        with contextlib.suppress(OSError):
            sys.stdin.buffer.read()
        server.should_exit = True

    threading.Thread(target=end_with_parent, daemon=True).start()
    sys.stdout.write(json.dumps({"port": listener.getsockname()[1]}) + "\n")
    sys.stdout.flush()
    asyncio.run(server.serve(sockets=[listener]))


if __name__ == "__main__":
    main()
