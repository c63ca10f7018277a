"""What may be asked, and what is refused before a ticket exists."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdesk.contract.catalog import (
    CATALOG_VERSION,
    MAX_PARAMS_BYTES,
    MAX_STRING,
    NO_CUSTOMERS,
    TIMEZONE,
    Catalog,
    CatalogReader,
    Parameter,
    Template,
    catalog_digest,
    load_catalog,
    normalise_sql,
    query_hash,
)
from cdesk.core.errors import CatalogError, CatalogPending, CdeskError, InvalidField, NotFound
from cdesk.core.identity import ANALYST, Caller

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def template(
    *parameters: Parameter, sql: str = "select ?", binds: tuple[str, ...] = ("customer",)
) -> Template:
    return Template("example", "For tests.", "customer", parameters, sql, binds, {}, "0" * 16)


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


EVERY_TYPE = [
    Parameter("p", "string", max_length=20),
    Parameter("p", "integer", min=1, max=10),
    Parameter("p", "number", min=0.5),
    Parameter("p", "boolean"),
    Parameter("p", "timestamp"),
    Parameter("p", "date"),
    Parameter("p", "enum", values=("hour", "day")),
    Parameter("p", "activity"),
    Parameter("p", "uuid"),
    Parameter("p", "list[string]"),
    Parameter("p", "list[integer]", min=2, max=3),
]


@pytest.mark.parametrize(
    ("parameter", "given", "bound"),
    [
        (EVERY_TYPE[0], "x' or 1=1 --", "x' or 1=1 --"),
        (EVERY_TYPE[1], 10, 10),
        (EVERY_TYPE[1], 10.0, 10),
        (EVERY_TYPE[2], 24, 24.0),
        (EVERY_TYPE[3], False, False),
        (EVERY_TYPE[4], "2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00+00:00"),
        (EVERY_TYPE[5], "20260131", "2026-01-31"),
        (EVERY_TYPE[6], "day", "day"),
        (EVERY_TYPE[7], "cdesk.user_asked", "cdesk.user_asked"),
        (
            EVERY_TYPE[8],
            "0190a5f0-0000-7000-8000-000000000000",
            "0190a5f0-0000-7000-8000-000000000000",
        ),
        (EVERY_TYPE[9], ["a", "b"], ["a", "b"]),
        (EVERY_TYPE[9], ["a"] * 100, ["a"] * 100),
        (EVERY_TYPE[10], [5, -6.0], [5, -6]),  # the bounds are the list's
        (EVERY_TYPE[10], [5, 6, 7], [5, 6, 7]),
        (EVERY_TYPE[0], "x" * 20, "x" * 20),
        (Parameter("p", "string"), "x" * MAX_STRING, "x" * MAX_STRING),
        (EVERY_TYPE[1], 1, 1),
        (EVERY_TYPE[2], 0.5, 0.5),
        (Parameter("p", "integer"), -(2**63), -(2**63)),
        (Parameter("p", "integer"), 2**63 - 1, 2**63 - 1),
        (Parameter("p", "number"), 2**53, 2.0**53),
        (Parameter("p", "number"), -(2**53), -(2.0**53)),
        (Parameter("p", "number"), 2**53 + 1, 2**53 + 1),
        (Parameter("p", "number", max=3), 3, 3.0),
    ],
)
def test_a_fitting_value_is_bound_in_one_form(parameter: Parameter, given: Any, bound: Any) -> None:
    found = parameter.check(given)
    assert found == bound
    assert type(found) is type(bound)


def test_minus_nothing_is_nothing() -> None:
    assert str(Parameter("p", "number").check(-0.0)) == "0.0"


@pytest.mark.parametrize(
    ("parameter", "given"),
    [
        (EVERY_TYPE[0], "x" * 21),
        (EVERY_TYPE[0], "a\x00b"),
        (EVERY_TYPE[0], "\ud800"),
        (EVERY_TYPE[0], "x" * 10_000_000),
        (EVERY_TYPE[0], 5),
        (EVERY_TYPE[1], 11),
        (EVERY_TYPE[1], 1.5),
        (EVERY_TYPE[1], 1e300),
        (EVERY_TYPE[1], True),
        (EVERY_TYPE[1], 2**64),
        (EVERY_TYPE[1], 10**5000),
        (EVERY_TYPE[2], float("nan")),
        (EVERY_TYPE[2], 0.4),
        (EVERY_TYPE[3], 1),
        (EVERY_TYPE[4], "2026-01-31T12:00:00"),
        (EVERY_TYPE[4], "yesterday"),
        (EVERY_TYPE[4], "0001-01-01T00:00:00+23:59"),
        (EVERY_TYPE[5], "2026-02-30"),
        (EVERY_TYPE[6], "week"),
        (EVERY_TYPE[6], "day'; drop table x; --"),
        (EVERY_TYPE[7], "user_asked"),
        (EVERY_TYPE[8], "0190A5F0-0000-7000-8000-000000000000"),
        (EVERY_TYPE[9], "a"),
        (EVERY_TYPE[9], []),
        (EVERY_TYPE[9], ["a"] * 101),
        (EVERY_TYPE[9], [deep(3)]),
        (EVERY_TYPE[10], [1]),
        (EVERY_TYPE[10], [1, 2, 3, 4]),
        (EVERY_TYPE[10], [1, 2.5]),
        (Parameter("p", "string"), "x" * (MAX_STRING + 1)),
        (Parameter("p", "number", max=3), 3.1),
        (Parameter("p", "integer"), 2**63),
        (Parameter("p", "integer"), -(2**63) - 1),
        (Parameter("p", "number"), float("-inf")),
        (Parameter("p", "number"), True),
        (EVERY_TYPE[1], 0),
        (EVERY_TYPE[6], None),
        (EVERY_TYPE[1], deep(100_000)),
        (EVERY_TYPE[1], {"$ne": 1}),
    ],
    ids=lambda value: value.type if isinstance(value, Parameter) else type(value).__name__,
)
def test_an_unfitting_value_is_refused_with_name_problem_and_allowed(
    parameter: Parameter, given: Any
) -> None:
    with pytest.raises(InvalidField) as caught:
        parameter.check(given)
    assert caught.value.field == "p"
    assert caught.value.allowed
    assert len(str(caught.value)) < 300
    str(caught.value).encode("utf-8")  # an answer that JSON can carry


@given(st.sampled_from(EVERY_TYPE), JSON)
def test_whatever_is_given_is_bound_as_its_type_or_refused(
    parameter: Parameter, value: Any
) -> None:
    try:
        bound = parameter.check(value)
    except InvalidField as error:
        str(error).encode("utf-8")
    else:
        orjson.dumps(bound)
        assert parameter.check(bound) == bound


def test_missing_unknown_and_extra_parameters_are_named() -> None:
    wanted = template(
        Parameter("hours_back", "integer", min=1, max=720),
        Parameter("limit", "integer", required=False, default=5),
    )
    with pytest.raises(InvalidField, match=r"hours_back: missing .* from 1 to 720"):
        wanted.check_params({})
    with pytest.raises(InvalidField, match="did you mean hours_back"):
        wanted.check_params({"hour_back": 3})
    with pytest.raises(InvalidField, match="customer"):
        wanted.check_params({"hours_back": 3, "customer": "bob"})
    with pytest.raises(InvalidField):
        wanted.check_params({"hours_back": 3, "x" * 10_000_000: 1})
    assert wanted.check_params({"hours_back": 3}) == {"hours_back": 3, "limit": 5}
    assert wanted.check_params({"hours_back": 3, "limit": None}) == {"hours_back": 3, "limit": 5}


def test_a_time_zone_is_the_persons_unless_another_is_asked_about() -> None:
    wanted = template(TIMEZONE)
    assert wanted.check_params({}) == {"timezone": "UTC"}
    assert wanted.check_params({}, timezone="Europe/Berlin") == {"timezone": "Europe/Berlin"}
    asked = wanted.check_params({"timezone": "Asia/Tokyo"}, timezone="Europe/Berlin")
    assert asked == {"timezone": "Asia/Tokyo"}
    for wrong in ("Mars/Phobos", "../etc/passwd", "/etc/localtime", "", "UTC\n", "x" * 300, 1):
        with pytest.raises(InvalidField, match="IANA"):
            wanted.check_params({"timezone": wrong})


def test_all_parameters_together_are_bounded() -> None:
    wanted = template(Parameter("names", "list[string]"))
    with pytest.raises(
        InvalidField, match="params: 100,311 bytes; allowed: at most 65,536 bytes in all"
    ):
        wanted.check_params({"names": ["x" * 1000] * 100})
    assert MAX_PARAMS_BYTES == 65_536
    names = [["x" * 1000] * 65 + ["x" * last] for last in (327, 328)]
    assert wanted.check_params({"names": names[0]}) == {"names": names[0]}
    with pytest.raises(InvalidField, match="65,537 bytes"):
        wanted.check_params({"names": names[1]})


def test_what_is_searched_for_is_redacted_as_what_is_found_was() -> None:
    secret = "ghp_" + "Ab1" * 12
    found = template(Parameter("text", "string")).check_params({"text": f"who has {secret}?"})
    assert secret not in found["text"]
    assert "[secret:" in found["text"]


def test_a_template_without_parameters_says_so() -> None:
    with pytest.raises(InvalidField, match=r"unknown for example; allowed: no parameters"):
        template().check_params({"a": 1})


@pytest.mark.parametrize(
    ("scope", "behind", "analyst_sees_all", "others_see_all", "asks_as"),
    [
        ("customer", None, False, False, True),
        ("caller", None, True, False, False),
        ("caller", "customers", True, False, True),
        ("caller", NO_CUSTOMERS, True, False, True),
        ("org", None, True, True, True),
    ],
)
def test_whose_rows_go_into_an_answer(
    scope: Any, behind: str | None, analyst_sees_all: bool, others_see_all: bool, asks_as: bool
) -> None:
    """asks_as: whether an analyst of whom rows of few customers are kept stays one."""
    wanted = replace(template(), scope=scope, customers_behind_row=behind)
    assert wanted.sees_everyone(is_analyst=True) == analyst_sees_all
    assert wanted.sees_everyone(is_analyst=False) == others_see_all
    analyst = Caller("ada", roles=frozenset({ANALYST, "metrics"}), least_customers=5)
    assert wanted.as_asked_by(analyst).is_analyst == asks_as
    assert wanted.as_asked_by(analyst).roles >= {"metrics"}
    for same in (replace(analyst, least_customers=1), replace(analyst, roles=frozenset())):
        assert wanted.as_asked_by(same) == same
    for is_analyst, sees in ((True, analyst_sees_all), (False, others_see_all)):
        for least, named in ((1, False), (2, sees)):
            bound = wanted.bound({"n": 1}, customer="ada", is_analyst=is_analyst, least_customers=least)  # fmt: skip
            assert bound == {"n": 1, "customer": "ada"} | ({"least_customers": 2} if named else {})


def test_the_customer_comes_from_the_caller_alone() -> None:
    wanted = template(
        Parameter("limit", "integer"), binds=("customer", "limit", "customer", "is_analyst")
    )
    assert wanted.bind({"limit": 5}, customer="ada", is_analyst=False) == ["ada", 5, "ada", False]


@pytest.mark.parametrize(
    "name",
    ["recent", "../../etc/passwd", "recent_activities; drop table x", 5, None, [[]], "", "\ud800"],
)
def test_an_unknown_template_is_refused(name: Any) -> None:
    catalog = Catalog("duckdb", "-", "-", {"recent_activities": template()})
    with pytest.raises(NotFound) as caught:
        catalog.get(name)
    str(caught.value).encode("utf-8")


def test_the_nearest_template_is_suggested() -> None:
    catalog = Catalog("duckdb", "-", "-", {"recent_activities": template(), "health": template()})
    with pytest.raises(NotFound, match="did you mean recent_activities"):
        catalog.get("recent_activity")
    with pytest.raises(NotFound):
        catalog.get("x" * 10_000_000)


# -- the hash


def test_the_hash_is_over_normalised_sql_and_canonical_parameters() -> None:
    import hashlib

    expected = hashlib.sha256(
        b'select 1 where a = ?\n{"customer":"ada","x":[1,{"a":2,"b":3}]}'
    ).hexdigest()[:16]
    assert (
        query_hash(
            "select 1 /* why */\n  where a = ? -- said",
            {"x": [1, {"b": 3, "a": 2}], "customer": "ada"},
        )
        == expected
    )


def test_blanks_and_comments_inside_of_strings_stand() -> None:
    assert normalise_sql("select '--  a', \"b  /* c\"") == "select '--  a', \"b  /* c\""
    assert normalise_sql("select 'it''s  --'  ,1") == "select 'it''s  --' ,1"


def test_customer_and_role_go_into_the_hash_where_they_are_bound() -> None:
    wanted = template(binds=("customer", "is_analyst"))
    hashes = {
        wanted.query_hash({}, customer=customer, is_analyst=is_analyst)
        for customer in ("ada", "bob")
        for is_analyst in (True, False)
    }
    assert len(hashes) == 4


@given(st.dictionaries(st.text(min_size=1), JSON.filter(lambda value: _is_json(value)), min_size=1))
def test_the_order_of_keys_does_not_matter(params: dict[str, Any]) -> None:
    if _is_json(params):
        assert query_hash("select ?", params) == query_hash(
            "select ?", dict(reversed(params.items()))
        )


def _is_json(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


# -- the file


def test_a_missing_catalog_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="cdesk worker --once"):
        load_catalog(tmp_path / "catalog.json")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"templates": {"a": {}}}', '{"templates": 5}', "\xff"]
)
def test_a_catalog_of_another_shape_is_one_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "catalog.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(CdeskError, match="cdesk refresh"):
        load_catalog(path)


LEAST = {
    "description": "-",
    "scope": "customer",
    "parameters": [{"name": "n", "type": "integer"}],
    "sql": "select ?",
    "binds": ["n"],
    "hash": "0",
}
FULL = {
    **LEAST,
    "description": "Everything said.",
    "scope": "caller",
    "parameters": [
        {"name": "n", "type": "integer", "description": "N.", "min": 1, "max": 9},
        {"name": "unit", "type": "enum", "required": False, "default": "day", "values": ["day"]},
    ],
    "example": {"n": 3},
    "reuse": False,
    "evidence_columns": {"n": "system"},
    "safe_columns": ["name"],
    "family": "All of a kind.",
    "listed": False,
    "customers_behind_row": "customers",
}


def document(templates: dict[str, Any], **more: Any) -> str:
    kept = {"dialect": "duckdb", "content_hash": "c", "generated_at": "g", "templates": templates}
    return json.dumps({**kept, **more})


def test_a_catalog_is_read_with_all_that_it_says_and_what_it_does_not_say_is_usual(
    tmp_path: Path,
) -> None:
    path = tmp_path / "catalog.json"
    path.write_text(document({"least": LEAST, "full": FULL}), encoding="utf-8")
    catalog = load_catalog(path)
    assert (catalog.dialect, catalog.content_hash, catalog.generated_at) == ("duckdb", "c", "g")
    least = Template("least", "-", "customer", (Parameter("n", "integer"),), "select ?", ("n",), {}, "0")  # fmt: skip
    assert catalog.get("least") == least
    assert (least.reuse, least.listed) == (True, True)
    assert catalog.get("full") == Template(
        "full",
        "Everything said.",
        "caller",
        (
            Parameter("n", "integer", "N.", min=1, max=9),
            Parameter("unit", "enum", required=False, default="day", values=("day",)),
        ),
        "select ?",
        ("n",),
        {"n": 3},
        "0",
        reuse=False,
        evidence_columns={"n": "system"},
        safe_columns=("name",),
        family="All of a kind.",
        listed=False,
        customers_behind_row="customers",
    )
    assert catalog.get("full").document() == {
        "name": "full",
        "description": "Everything said.",
        "scope": "caller",
        "parameters": [
            {
                **{"name": "n", "type": "integer", "description": "N."},
                **{"required": True, "default": None, "allowed": "integer from 1 to 9"},
            },
            {
                **{"name": "unit", "type": "enum", "description": ""},
                **{"required": False, "default": "day", "allowed": "one of day"},
            },
        ],
        "evidence_columns": {"n": "system"},
        "example": {"n": 3},
        "sql": "select ?",
        "binds": ["n"],
        "hash": "0",
    }


def test_a_catalog_is_believed_where_it_is_what_was_compiled_here(tmp_path: Path) -> None:
    path = tmp_path / "catalog.json"
    path.write_text(document({"least": LEAST}, v=CATALOG_VERSION), encoding="utf-8")
    seal = catalog_digest("duckdb", {"least": LEAST})
    assert list(load_catalog(path, seal=lambda: seal).templates) == ["least"]
    for other in (None, "0" * 64, catalog_digest("snowflake", {"least": LEAST})):
        with pytest.raises(CatalogPending, match=r"not the catalog .*cdesk refresh"):
            load_catalog(path, seal=lambda other=other: other)  # type: ignore[misc]
    path.write_text(document({"least": LEAST}, v=CATALOG_VERSION + 1), encoding="utf-8")
    with pytest.raises(CatalogError, match="newer cdesk; upgrade"):
        load_catalog(path)


def test_a_reader_reads_a_catalog_once_and_again_when_its_file_is_another(tmp_path: Path) -> None:
    path = tmp_path / "catalog.json"
    path.write_text(document({"least": LEAST}), encoding="utf-8")
    seals = iter([{"least": LEAST}, {"full": FULL}])
    reader = CatalogReader(path, seal=lambda: catalog_digest("duckdb", next(seals)))
    first = reader.get()
    assert reader.get() is reader.look() is first
    path.write_text(document({"full": FULL}), encoding="utf-8")
    assert list(reader.get().templates) == ["full"]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("activity", ("matches", "cdesk.user_asked")),
        ("timestamp", ("offset", "2026-01-31T12:00:00Z")),
        ("date", ("2026-01-31",)),
        ("uuid", ("36 lower-case", "0190a5f0-0000-7000-8000-000000000000")),
        ("boolean", ("true or false",)),
        ("list[activity]", ("cdesk.user_asked",)),
    ],
)
def test_what_is_allowed_says_the_form_and_not_the_types_name_alone(
    kind: str, says: tuple[str, ...]
) -> None:
    parameter = Parameter("p", kind, "-")
    with pytest.raises(InvalidField) as caught:
        parameter.check(["?"] if kind.startswith("list[") else "?")
    assert all(text in str(caught.value) for text in says)
    assert all(text in parameter.allowed for text in says)


@pytest.mark.parametrize(
    "given", ["user_asked", "cdesk.user-asked", "cdesk.User_Asked", "user_aksed"]
)
def test_a_misspelt_activity_is_refused_with_the_nearest_known(given: str) -> None:
    with pytest.raises(InvalidField, match=r"did you mean cdesk\.user_asked\?"):
        Parameter("activity", "activity", "-").check(given)


def test_what_is_much_like_an_activity_of_the_vocabulary_is_hinted_at_and_not_refused() -> None:
    """One that is left out has nothing to be hinted at."""
    template = Template(
        name="t",
        description="-",
        scope="caller",
        parameters=(
            Parameter("one", "activity"),
            Parameter("many", "list[activity]"),
            Parameter("none", "activity", required=False),
            Parameter("text", "string", required=False),
        ),
        sql="select 1",
        binds=(),
        example={},
        hash="0",
    )
    asked = {
        "one": "cdesk.user_askd",
        "text": "cdesk.user_askd",
        "many": ["cdesk.user_asked", "cdesk.greenhouse_watered", "cdesk.files_read"],
    }
    assert template.hints(template.check_params(asked)) == [
        "one: cdesk.user_askd is not in the vocabulary; did you mean cdesk.user_asked?",
        "many: cdesk.files_read is not in the vocabulary; did you mean cdesk.file_read?",
    ]


def test_nested_parameters_go_into_the_hash_at_every_depth() -> None:
    sql = "select ?"
    one = query_hash(sql, {"a": {"b": [1, {"c": 2}]}, "d": 1})
    assert one == query_hash("select  ? -- said twice", {"d": 1, "a": {"b": [1, {"c": 2}]}})
    assert one != query_hash(sql, {"a": {"b": [1, {"c": 3}]}, "d": 1})
    assert one != query_hash(sql, {"a": {"b": [1, {"x": 2}]}, "d": 1})


@pytest.mark.parametrize(
    ("parameter", "told"),
    [
        (Parameter("p", "string", max_length=20), "string of at most 20 characters"),
        (Parameter("p", "string"), f"string of at most {MAX_STRING} characters"),
        (Parameter("p", "list[string]"), f"list[string] of at most {MAX_STRING} characters"),
        (Parameter("p", "integer", min=1, max=10), "integer from 1 to 10"),
        (Parameter("p", "number", min=0.5), "number of at least 0.5"),
        (Parameter("p", "enum", values=("hour", "day")), "one of hour, day"),
        (Parameter("p", "list[integer]", min=2, max=3), "list[integer] from 2 to 3 items"),
        (Parameter("p", "boolean"), "boolean"),
    ],
)
def test_a_parameter_is_told_in_a_few_words(parameter: Parameter, told: str) -> None:
    assert parameter.brief == told


def test_a_catalog_is_read_again_when_its_file_has_changed_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "catalog.json"
    document = {"v": 1, "dialect": "duckdb", "content_hash": "0", "generated_at": "-"}
    seals: list[str] = []

    def seal() -> str | None:
        seals.append("asked")
        return None

    reader = CatalogReader(path, seal=seal)
    assert reader.look() is None
    path.write_text(json.dumps({**document, "templates": {}}), encoding="utf-8")
    asked = len(seals)
    assert reader.look() is None, "without a seal it is not used"
    assert len(seals) > asked
    asked = len(seals)
    assert reader.look() is None
    assert len(seals) > asked, "and is looked at again: the seal may follow the file"
