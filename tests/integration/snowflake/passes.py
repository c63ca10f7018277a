"""fakesnow rewrites a statement in seventy-five passes, each over all of its nodes, nearly all of
which look for something that isn't there. Here a pass is left out when the statement has nothing
that it acts on.

What a pass acts on is what its function asks for first (fakesnow/transforms); one that is not named
here always runs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from sqlglot import exp

_T = exp.DataType.Type
_SHOW = ("databases", "functions", "procedures", "parameters", "warehouses", "schemas", "tables_etc",
         "columns", "stages", "sequences", "keys", "users")  # fmt: skip
ACTS_ON: dict[str, set[object]] = {
    "as_it_is": set(),
    **{f"show_{what}": {exp.Show, exp.Command} for what in _SHOW},
    "identifier": {"IDENTIFIER", exp.DynamicIdentifier},
    "alter_session": {exp.Alter},
    "update_variables": {exp.Set, "UNSET"},
    "current_version": {exp.CurrentVersion},
    "set_schema": {exp.Use},
    "create_database": {exp.Create},
    "extract_comment_on_table": {exp.Create, exp.Comment, exp.Alter},
    "extract_comment_on_columns": {exp.Alter},
    "information_schema_fs": {"INFORMATION_SCHEMA"},
    "information_schema_databases": {"DATABASES"},
    "drop_schema_cascade": {exp.Drop},
    "tag": {exp.Alter, exp.Command, exp.Create, exp.Drop},
    "semi_structured_types": {_T.ARRAY, _T.OBJECT, _T.VARIANT},
    "try_parse_json": {"TRY_PARSE_JSON"},
    "split": {exp.Split},
    "trim_cast_varchar": {exp.Trim},
    "indices_to_json_extract": {exp.Bracket},
    "json_extract_cast_as_varchar": {exp.JSONExtract},
    "json_extract_cased_as_varchar": {exp.JSONExtract},
    "json_extract_precedence": {exp.JSONExtract, exp.JSONExtractScalar},
    "flatten_value_cast_as_varchar": {exp.Explode},
    "flatten": {exp.Explode},
    "regex_replace": {exp.RegexpReplace},
    "regex_substr": {exp.RegexpExtract},
    "result_scan": {"RESULT_SCAN"},
    "sequence_nextval": {"NEXTVAL"},
    "values_columns": {exp.Values},
    "to_date": {"TO_DATE"},
    "timestamp_offsets": {_T.TIMESTAMPTZ, _T.TIMESTAMPLTZ},
    "to_decimal": {exp.ToNumber},
    "to_timestamp": {
        *(exp.UnixToTime, "TO_TIMESTAMP", "TO_TIMESTAMP_NTZ", _T.TIMESTAMP, _T.TIMESTAMPNTZ),
    },
    "to_variant": {exp.ToVariant},
    "object_construct": {exp.StarMap, exp.Struct, exp.JSONObject},
    "timestamp_ntz": {_T.TIMESTAMPNTZ},
    "float_to_double": {_T.FLOAT},
    "integer_precision": {_T.DECIMAL, _T.INT, _T.SMALLINT, _T.TINYINT},
    "extract_text_length": {exp.Create, exp.Alter},
    "sample": {exp.TableSample},
    "array_size": {exp.ArraySize},
    "random": {exp.Rand},
    "array_agg_within_group": {exp.WithinGroup},
    "array_agg": {exp.ArrayAgg},
    "object_agg": {exp.ObjectAgg},
    "array_construct_etc": {exp.ArrayConstructCompact, exp.Array, exp.ArrayConcat},
    "dateadd_date_cast": {exp.DateAdd},
    "dateadd_string_literal_timestamp_cast": {exp.DateAdd},
    "datediff_string_literal_timestamp_cast": {exp.DateDiff},
    "create_user": {exp.Command},
    "haversine": {"HAVERSINE"},
    "hex_string": {exp.HexString},
    "sha256": {exp.SHA2, exp.SHA2Digest, "SHA2_HEX", "SHA2_BINARY"},
    "create_clone": {exp.Clone},
    "alias_in_join": {exp.Join},
    "alias_in_where": {"_FS_OBJECT_CONSTRUCT"},
    "alter_table_strip_cluster_by": {exp.Alter, exp.Command},
    "create_stage": {exp.Create},
    "create_file_format": {exp.Create},
    "list_stage": {exp.ListStage},
    "put_stage": {exp.Put},
    "create_table_as": {exp.Create},
}
"""pass → one of these has to be in the statement: a kind of node, a type of data, or the name of a
function or an identifier in upper case
"""


@cache
def _kinds(kind: type[exp.Expression]) -> tuple[object, ...]:
    return kind.__mro__[:-1]


def _name(rewrite: Callable[..., Any]) -> str:
    """Of the function of fakesnow's that a pass calls, by itself or in a lambda."""
    if rewrite.__name__ != "<lambda>":
        return rewrite.__name__
    names = rewrite.__code__.co_names
    return names[1] if names[:1] == ("transforms",) else ""


def found_in(tree: exp.Expression) -> set[object]:
    """What a pass may look for."""
    found: set[object] = set()
    kinds: set[type[exp.Expression]] = set()
    for node in tree.walk():
        kinds.add(type(node))
        if isinstance(node, exp.Identifier | exp.Anonymous):
            found.add(str(node.this).upper())
        elif isinstance(node, exp.DataType):
            found.add(node.this)
    for kind in kinds:
        found.update(_kinds(kind))
    return found


class Passes:
    """A statement that is rewritten pass by pass, as fakesnow asks for it."""

    def __init__(self, tree: exp.Expression) -> None:
        self.tree = tree
        self._found = found_in(tree)

    def transform(self, rewrite: Callable[..., Any], *args: Any, **named: Any) -> Passes:
        acts_on = ACTS_ON.get(_name(rewrite))
        if acts_on is None or not acts_on.isdisjoint(self._found):
            self.tree = self.tree.transform(rewrite, *args, **named)
            self._found = found_in(self.tree)
        return self
