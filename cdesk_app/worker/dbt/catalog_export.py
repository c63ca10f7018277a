"""dbt's manifest → `catalog.json`: each analysis under analyses/safesql becomes a template, or the
whole export fails (docs/contracts.md).

What a template declares, in `config.meta` of its YAML entry:

    scope: customer | caller | org
    parameters: [{name, type, description, required, default, min, max, max_length, values}]
        or a mapping name → the rest; `timezone` is added where the SQL binds it
    example: {hours_back: 24}
    reuse: false              optional
    evidence_columns: {activity_count: system}    optional: what can prove an insight, and whose
                                                  word it is (system, reported, or row)
    safe_columns: [customer]  optional: text columns that scope caller and org show as they are; all
                              other text is redacted there
    family: For each a, one b       optional: what templates of one kind do, the same text in each
    customers_behind_row: reached   optional, not in scope customer: the column that counts the
                              customers behind a row, `none` where rows are of the system itself;
                              left out, a row counts as one customer's (docs/safesql.md)
    listed: false             optional: cdesk asks it for itself; a model's list leaves it out
    semantic_query: {question, sql} optional: the same over the semantic view on Snowflake
                                    (macro apply_semantic_view)

An invalid template keeps the catalog that is there: a wrong one must never replace it in part.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, cast, get_args

import orjson

from cdesk.contract.catalog import (
    BASIS_COLUMN,
    IDENTITY_BINDS,
    NO_CUSTOMERS,
    TIMEZONE,
    TYPES,
    Basis,
    Parameter,
    Scope,
    Template,
    catalog_digest,
    load_catalog,
)
from cdesk.core.errors import CatalogError, InvalidField
from cdesk.core.home import write_private

FOLDER: Final = "analyses/safesql/"
_META: Final = frozenset(
    (
        "scope",
        "parameters",
        "example",
        "reuse",
        "evidence_columns",
        "safe_columns",
        "family",
        "listed",
        "customers_behind_row",
        "semantic_query",
    )
)
_PARAMETER: Final = {field.name: field for field in dataclasses.fields(Parameter)}
_BINDS_OF_SCOPE: Final[dict[str, frozenset[str]]] = {
    "customer": frozenset(("customer",)),
    "caller": frozenset(("customer", "is_analyst")),
    "org": frozenset(),
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_RENDERS_A_VALUE = re.compile(r"\b(?:env_var|var)\s*\(")


@dataclass(frozen=True, slots=True)
class ExportReport:
    """`changed` says whether catalog.json was written; `content_hash` is the catalog's either way,
    `digest` the same in full (`catalog_digest`).
    """

    templates: int
    content_hash: str
    changed: bool
    digest: str


def export_catalog(manifest_path: Path, target: Path, *, dialect: str, now: str) -> ExportReport:
    """Write the catalog of a compiled project to `target`, if it differs from the one that is
    there.

    Raises:
        CatalogError: the manifest is missing, or a template breaks a rule (the message names both).
    """
    try:
        manifest = orjson.loads(manifest_path.read_bytes())
    except (OSError, ValueError) as error:
        raise CatalogError(
            f"{manifest_path} cannot be read ({error}); run 'cdesk refresh'"
        ) from None
    templates = {
        template.name: template
        for node in _analyses(manifest)
        for template in [template_of(node, dialect)]
    }
    entries = {name: _entry(templates[name]) for name in sorted(templates)}
    digest = catalog_digest(dialect, entries)
    content_hash = digest[:16]
    report = ExportReport(len(entries), content_hash, changed=False, digest=digest)
    if _current_digest(target) == digest:
        return report
    document = {
        "v": 1,
        "dialect": dialect,
        "content_hash": content_hash,
        "generated_at": now,
        "templates": entries,
    }
    write_private(
        target, orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    )
    return dataclasses.replace(report, changed=True)


def _analyses(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for node in manifest["nodes"].values():
        path = str(node["original_file_path"]).replace("\\", "/")
        if node["resource_type"] == "analysis" and path.startswith(FOLDER):
            yield node


def template_of(node: Mapping[str, Any], dialect: str) -> Template:
    """The template that an analysis node of the manifest declares.

    Raises:
        CatalogError: naming the template and the rule that it breaks.
    """
    name = str(node["name"])
    rules = _Rules(name)
    if not _NAME.match(name):
        rules.broken("its name is not lower-case letters, digits and underscores")
    description = " ".join(str(node.get("description") or "").split())
    if not description:
        rules.broken("it has no description")
    meta = node.get("config", {}).get("meta")
    if not meta:
        rules.broken("it has no config.meta")
    if unknown := meta.keys() - _META:
        rules.broken(f"meta has {sorted(unknown)[0]!r}; allowed: {', '.join(sorted(_META))}")
    scope = meta.get("scope")
    if scope not in _BINDS_OF_SCOPE:
        rules.broken(f"scope is {scope!r}; allowed: {', '.join(_BINDS_OF_SCOPE)}")
    if _RENDERS_A_VALUE.search(str(node.get("raw_code"))):
        rules.broken("it renders var() or env_var() into its SQL; a value is bound")
    compiled = node.get("compiled_code")
    if not compiled:
        rules.broken("it is not compiled")
    parameters = _parameters(meta.get("parameters") or (), rules)
    sql, binds = bind_positions(str(compiled), rules, dialect)
    if TIMEZONE.name in binds:
        parameters = (*parameters, TIMEZONE)
    _check_query(sql, rules, dialect)
    _check_binds(cast(Scope, scope), parameters, binds, rules)
    evidence_columns = _evidence_columns(meta.get("evidence_columns"), parameters, sql, rules)
    for flag in ("reuse", "listed"):
        if not isinstance(meta.get(flag, True), bool):
            rules.broken(f"{flag} is {meta[flag]!r:.30}; allowed: true, false")
    example = meta.get("example") or {}
    template = Template(
        name=name,
        description=description,
        scope=cast(Scope, scope),
        parameters=parameters,
        sql=sql,
        binds=binds,
        example=example,
        hash="",
        reuse=meta.get("reuse", True),
        evidence_columns=evidence_columns,
        safe_columns=_safe_columns(meta.get("safe_columns"), rules),
        family=_family(meta.get("family"), rules),
        listed=meta.get("listed", True),
        customers_behind_row=_customers_behind_row(meta, sql, rules),
    )
    try:
        template.check_params(example)
    except InvalidField as error:
        rules.broken(f"its example does not hold: {error}")
    return dataclasses.replace(template, hash=_hash(_entry(template)))


class _Rules:
    """Says which template breaks which rule."""

    def __init__(self, template: str) -> None:
        self._template = template

    def broken(self, rule: str) -> NoReturn:
        raise CatalogError(f"template {self._template}: {rule}")


# -- parameters


def _parameters(declared: object, rules: _Rules) -> tuple[Parameter, ...]:
    if isinstance(declared, Mapping):
        declared = [{"name": name, **(rest or {})} for name, rest in declared.items()]
    if not isinstance(declared, list | tuple):
        rules.broken("parameters is neither a list nor a mapping")
    parameters = tuple(_parameter(item, rules) for item in declared)
    names = [parameter.name for parameter in parameters]
    for name in names:
        if names.count(name) > 1:
            rules.broken(f"parameter {name} is declared twice")
    return parameters


def _parameter(item: object, rules: _Rules) -> Parameter:
    if not isinstance(item, Mapping) or not _NAME.match(str(item.get("name"))):
        rules.broken(
            f"parameter {item!r:.60} has no name of lower-case letters, digits and underscores"
        )
    name = str(item["name"])
    if unknown := item.keys() - _PARAMETER.keys():
        rules.broken(
            f"parameter {name} has {sorted(unknown)[0]!r}; allowed: {', '.join(sorted(_PARAMETER))}"
        )
    if name in IDENTITY_BINDS:
        rules.broken(
            f"parameter {name} is declared, but it always comes from the caller's identity"
        )
    if name == TIMEZONE.name:
        rules.broken("parameter timezone is declared, but who binds it has it without that")
    parameter = Parameter(
        **{
            **item,
            "required": bool(item.get("required", item.get("default") is None)),
            "values": tuple(item.get("values") or ()),
            "description": " ".join(str(item.get("description") or "").split()),
        }
    )
    kind = parameter.type
    scalar = kind[5:-1] if kind.startswith("list[") and kind.endswith("]") else kind
    if scalar not in TYPES:
        rules.broken(
            f"parameter {name} has type {kind!r}; allowed: {', '.join(TYPES)}, or list[one of them]"
        )
    for bound in ("min", "max", "max_length"):
        value = getattr(parameter, bound)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            rules.broken(f"parameter {name}: {bound} is {value!r:.30}, which is no number")
    if not parameter.description:
        rules.broken(f"parameter {name} has no description")
    if (scalar == "enum") != bool(parameter.values):
        rules.broken(f"parameter {name}: an enum has values, and nothing else has")
    if parameter.min is not None and parameter.max is not None and parameter.min > parameter.max:
        rules.broken(f"parameter {name}: min is above max")
    if parameter.required and parameter.default is not None:
        rules.broken(f"parameter {name} is required and has a default")
    if parameter.default is not None:
        try:
            parameter.check(parameter.default)
        except InvalidField as error:
            rules.broken(f"parameter {name}: its default does not hold: {error}")
    return parameter


def _check_binds(
    scope: Scope, parameters: tuple[Parameter, ...], binds: tuple[str, ...], rules: _Rules
) -> None:
    declared = {parameter.name for parameter in parameters}
    bound = set(binds)
    for name in sorted(bound - declared - set(IDENTITY_BINDS)):
        rules.broken(f"bind {name} is not declared")
    for name in sorted(declared - bound):
        rules.broken(f"parameter {name} is never bound")
    identity, wanted = bound & set(IDENTITY_BINDS), _BINDS_OF_SCOPE[scope]
    for name in sorted(wanted - identity):
        rules.broken(f"scope {scope} must bind {name}")
    for name in sorted(identity - wanted):
        rules.broken(f"scope {scope} may not bind {name}")


def _safe_columns(declared: object, rules: _Rules) -> tuple[str, ...]:
    if declared is None:
        return ()
    if not isinstance(declared, list) or not all(
        isinstance(name, str) and _NAME.match(name) for name in declared
    ):
        rules.broken("safe_columns is no list of column names; leave it out where there is none")
    return tuple(declared)


def _customers_behind_row(meta: Mapping[str, Any], sql: str, rules: _Rules) -> str | None:
    declared = meta.get("customers_behind_row")
    if declared is None:
        return None
    if meta["scope"] == "customer":
        rules.broken("customers_behind_row is declared, but scope customer has one customer's rows")
    words = {match.group().lower() for match in _LEXEMES.finditer(sql) if match.group("word")}
    if declared != NO_CUSTOMERS and declared not in words:
        rules.broken(f"customers_behind_row is {declared!r:.60}, which does not stand in its SQL")
    return str(declared)


def _family(declared: object, rules: _Rules) -> str | None:
    if declared is None:
        return None
    if not isinstance(declared, str) or not declared.strip():
        rules.broken("family is no text; leave it out where there is none")
    return " ".join(declared.split())


def _evidence_columns(
    declared: object, parameters: tuple[Parameter, ...], sql: str, rules: _Rules
) -> dict[str, Basis]:
    """The declared evidence columns, as far as the text of the SQL says anything of them.

    What a column is made of is followed by a test over all templates
    (tests/integration/queries/test_evidence_columns.py).
    """
    if declared is None:
        return {}
    if not isinstance(declared, Mapping) or not declared:
        rules.broken(
            "evidence_columns is no mapping of column to basis; leave it out where there is none"
        )
    words = {match.group().lower() for match in _LEXEMES.finditer(sql) if match.group("word")}
    for name, basis in declared.items():
        if basis not in get_args(Basis):
            rules.broken(
                f"evidence column {name} has basis {basis!r:.30}; "
                f"allowed: {', '.join(get_args(Basis))}"
            )
        if name not in words:
            rules.broken(f"evidence column {name} does not stand in its SQL")
        if name == BASIS_COLUMN or name in {parameter.name for parameter in parameters}:
            rules.broken(
                f"evidence column {name} is a parameter or the basis itself, which proves nothing"
            )
        if basis == "row" and BASIS_COLUMN not in words:
            rules.broken(
                f"evidence column {name} has basis row, but no column is named {BASIS_COLUMN}"
            )
    return {str(name): cast(Basis, basis) for name, basis in declared.items()}


# -- SQL

_LEXEMES = re.compile(
    r"""(?P<string>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")*")
      | (?P<dollar>\$(?P<tag>[A-Za-z_]*)\$.*?\$(?P=tag)\$)
      | (?P<bind>\?(?:/\*(?P<name>[^*]*)\*/)?)
      | (?P<line>--[^\n]*)
      | (?P<block>/\*.*?\*/)
      | (?P<word>[A-Za-z_][A-Za-z0-9_$]*)
      | (?P<number>[0-9][0-9A-Za-z_.]*)
      | (?P<blank>\s+)
      | (?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)
_QUERY: Final = frozenset(("select", "with"))
_CHANGES: Final = frozenset(
    ("insert", "update", "delete", "merge", "copy", "create", "alter", "drop", "truncate")
)
"""Words that change something where a statement may start. Followed by a parenthesis they are
functions, but for `copy`.
"""


def bind_positions(sql: str, rules: _Rules, dialect: str) -> tuple[str, tuple[str, ...]]:
    """`sql` with a bare `?` for each `?/*name*/`, comments and empty lines gone, and the names in
    order.
    """
    out: list[str] = []
    binds: list[str] = []
    before, gap = "", ""
    for match in _LEXEMES.finditer(sql.strip()):
        text = match.group()
        if match.group("blank") is not None or match.group("line") is not None:
            gap += text if match.group("blank") is not None else " "
            continue
        if match.group("block") is not None:
            if "/*" in text[2:]:
                rules.broken("a comment stands within a comment")
            gap += " "
            continue
        _check_lexeme(match, "" if gap else before, rules, dialect)
        if (name := match.group("name")) is not None:
            binds.append(name)
        # A run of blanks and comments becomes one line feed with its indentation, or one blank.
        out.append(("\n" + gap.rpartition("\n")[2] if "\n" in gap else " ") if gap else "")
        out.append("?" if name is not None else text)
        before, gap = text, ""
    return "".join(out).strip().removesuffix(";").rstrip(), tuple(binds)


def _check_lexeme(match: re.Match[str], before: str, rules: _Rules, dialect: str) -> None:
    text = match.group()
    if match.group("bind") is not None:
        name = match.group("name")
        if name is None:
            rules.broken("a '?' has no name; write {{ cdesk.bind('…') }}")
        if not _NAME.match(name):
            rules.broken(
                f"a bind's name is {name!r}; allowed: lower-case letters, digits, underscores"
            )
    if match.group("string") is not None and "\\'" in text:
        rules.broken(
            "a string has a backslash before a quote, which engines read in different ways"
        )
    if match.group("dollar") is not None:
        rules.broken("a string is quoted with dollars; write it with single quotes")
    if match.group("other") is None:
        if match.group("number") is not None and before == ":" and dialect == "snowflake":
            rules.broken(f"':{text}' is a bind without a name; write {{{{ cdesk.bind('…') }}}}")
        return
    if text in ("'", '"'):
        rules.broken("a quote is not closed")
    if text == "$":
        rules.broken("a '$' stands outside of strings; write {{ cdesk.bind('…') }} for a bind")
    if text == "/" and before == "/" and dialect == "snowflake":
        rules.broken("'//' starts a comment on Snowflake")
    if before + text == "/*":
        rules.broken("a comment is not closed")


def _check_query(sql: str, rules: _Rules, dialect: str) -> None:
    """One statement, and it reads. Lexical, for both engines; DuckDB's own parser has its say where
    the dialect is its.
    """
    lexemes = [match for match in _LEXEMES.finditer(sql) if match.group("blank") is None]
    texts = [match.group().lower() for match in lexemes]
    head = next((text for text in texts if text != "("), "")
    if head not in _QUERY:
        rules.broken(f"it starts with {head[:30]!r}; a template is one query: select … or with …")
    if ";" in texts:
        rules.broken("it holds more than one statement")
    for before, text, after in zip(["", *texts], texts, [*texts[1:], ""], strict=False):
        if text in _CHANGES and before in ("(", ")") and (after != "(" or text == "copy"):
            rules.broken(f"it changes something ({text} {after[:30]})")
    if literal := _CUSTOMER_LITERAL.search(sql):
        rules.broken(
            f"it compares customer with a literal ({literal.group()[:60]}); a value is bound"
        )
    if dialect == "duckdb":
        _check_with_duckdb(sql, rules)


_CUSTOMER_LITERAL = re.compile(
    r"\bcustomer\"?\s*(?:=|<>|!=|\bin\b\s*\(|\bi?like\b)\s*'", re.IGNORECASE
)


def _check_with_duckdb(sql: str, rules: _Rules) -> None:
    import duckdb

    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        rules.broken(f"DuckDB cannot parse it: {str(error).splitlines()[0]}")
    if len(statements) != 1:
        rules.broken("it holds more than one statement")
    if statements[0].type != duckdb.StatementType.SELECT:
        rules.broken(f"DuckDB takes it for {statements[0].type.name.lower()}, which is no query")


# -- the document


def _entry(template: Template) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": template.name,
        "description": template.description,
        "scope": template.scope,
        "parameters": [dataclasses.asdict(parameter) for parameter in template.parameters],
        "sql": template.sql,
        "binds": list(template.binds),
        "example": dict(template.example),
        "reuse": template.reuse,
        "evidence_columns": dict(template.evidence_columns),
        "safe_columns": list(template.safe_columns),
        "family": template.family,
    }
    entry |= {} if template.listed else {"listed": False}
    if template.customers_behind_row is not None:
        entry["customers_behind_row"] = template.customers_behind_row
    return entry | ({"hash": template.hash} if template.hash else {})


def _hash(document: object) -> str:
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _current_digest(path: Path) -> str | None:
    """The digest of what stands in the file, not what the file says of itself."""
    try:
        load_catalog(path)
        data = orjson.loads(path.read_bytes())
        return catalog_digest(data["dialect"], data["templates"])
    except (CatalogError, OSError, ValueError):
        return None
