"""Bad input to the relationship macros is a compile error that names the model, the argument, what
was given and what is allowed.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from dbt_common.exceptions import CompilationError

from tests.unit.activity_schema.rendering import ROOT, Renderer

STREAM = ", stream=cdesk.stream('stream')"


def dataset(cohort: str, appends: str = "[]", rest: str = STREAM) -> str:
    return f"{{{{ cdesk.dataset({cohort}, {appends}{rest}) }}}}"


CASES = {
    "a misspelt relationship": (
        dataset("'a'", "[cdesk.append('frist_before', 'b')]"),
        ["relationship", "'frist_before'", "first_before, ", "last_in_between"],
    ),
    "a misspelt column": (
        dataset("'a'", "[cdesk.first_ever('b', columns=['revenue_impct'])]"),
        [
            "first_ever(b)",
            "column",
            "'revenue_impct'",
            "feature_json",
        ],
    ),
    "a misspelt cohort column": (
        dataset("cdesk.activity('a', columns=['custmer'])"),
        ["cohort", "'custmer'", "customer, "],
    ),
    "a column that the stream lacks": (
        dataset(
            "'a'",
            "[cdesk.first_ever('b', columns=['link'])]",
            ", stream=cdesk.stream('stream', {'link': none})",
        ),
        ["first_ever(b)", "link", "this stream has none of that name"],
    ),
    "a day that no calendar has": (
        dataset("cdesk.activity('a', filters=[cdesk.filter('ts', 'equals', '2026-02-29')])"),
        ["filter on ts", "2026-02-29", "of the calendar"],
    ),
    "a spine to a day that no calendar has": (
        dataset("cdesk.time_spine('day', '2026-01-01', '2026-13-01')"),
        ["time_spine", "until", "2026-13-01", "of the calendar"],
    ),
    "columns that are a number": (
        dataset("'a'", "[cdesk.first_ever('b', columns=5)]"),
        ["first_ever(b)", "columns", "given 5", "a list of columns"],
    ),
    "appends that are text": (dataset("'a'", "'b'"), ["dataset", "appends", "given b", "a list"]),
    "no appends at all": (dataset("'a'", "none"), ["dataset", "appends", "None", "a list"]),
    "nothing where something is needed": (
        dataset("'a'", "[cdesk.nth_after('b')]"),
        ["nth_after", "nth was given nothing", "an integer of at least 1"],
    ),
    "an argument of another relationship": (
        dataset("'a'", "[cdesk.first_after('b', nth=2)]"),
        ["first_after", "argument was given 'nth'", "activity, columns, conditions, prefix"],
    ),
    "a misspelt argument": (
        dataset("'a'", "[cdesk.nth_after('b', 2, column='ts')]"),
        ["nth_after", "argument was given 'column'", "activity, nth, columns, conditions, prefix"],
    ),
    "filters that are text": (
        dataset("cdesk.activity('a', filters='link')"),
        ["filters", "given link", "a list of cdesk.filter"],
    ),
    "an empty group": (
        dataset("cdesk.activity('a', filters=cdesk.any_of([]))"),
        ["group", "no filter", "at least one"],
    ),
    "a pattern for a number": (
        dataset("cdesk.activity('a', filters=[cdesk.filter('revenue_impact', 'like', '3%')])"),
        ["like on revenue_impact", "number", "type string"],
    ),
    "a comparison of two types": (
        dataset("'a'", "[cdesk.first_ever('b', conditions=[cdesk.condition('ts', '<', 'link')])]"),
        ["comparison of ts (timestamp)", "link (string)", "the same type"],
    ),
    "an interval of no known unit": (
        dataset("'a'", "[cdesk.first_after('b', conditions=[cdesk.within(7, 'days')])]"),
        ["interval", "unit", "'days'", "day, week"],
    ),
    "a span below zero": (
        dataset("'a'", "[cdesk.first_after('b', conditions=[cdesk.within(-7, 'day')])]"),
        ["interval", "amount", "-7", "at least 0"],
    ),
    "a least distance either way": (
        dataset(
            "'a'",
            "[cdesk.first_ever('b', conditions=[cdesk.within(7, 'day', cdesk.interval(1, 'day'))])]",
        ),
        ["first_ever(b)", "at_least", "nothing for"],
    ),
    "an interval added to a number": (
        dataset(
            "'a'",
            "[cdesk.first_ever('b', columns=[cdesk.calc('revenue_impact', '+', cdesk.interval(1, 'day'))])]",
        ),
        ["calc", "revenue_impact + an interval", "a timestamp"],
    ),
    "arithmetic with text": (
        dataset("'a'", "[cdesk.first_ever('b', columns=[cdesk.calc('link', '*', 2)])]"),
        ["calc", "link of type string", "numbers"],
    ),
    "a share beyond the whole": (
        dataset(
            "'a'",
            "[cdesk.aggregate_before('b', cdesk.agg('percentile', 'revenue_impact', share=90))]",
        ),
        ["share of percentile", "90", "from 0 to 1"],
    ),
    "a ratio of texts": (
        dataset(
            "'a'",
            "[cdesk.aggregate_before('b', cdesk.ratio(cdesk.agg('max', 'link'), cdesk.agg('count')))]",
        ),
        ["ratio", "max_link", "numbers"],
    ),
    "a column that comes later": (
        dataset(
            "'a'", "[cdesk.derive('d', cdesk.output('first_ever_b_ts')), cdesk.first_ever('b')]"
        ),
        ["derive", "'first_ever_b_ts'", "activity_id, customer, ts"],
    ),
    "an entity that is none": (
        dataset("'a'", "[]", STREAM + ", entity='session'"),
        ["dataset", "'session'", "customer, "],
    ),
    "a zone that is none": (
        dataset("cdesk.time_spine('day', '2026-01-01', '2026-02-01', time_zone='Lisbon')"),
        ["time_zone", "Lisbon", "Europe/Lisbon"],
    ),
    "no activity": (dataset("cdesk.activity([])"), ["name", "a list of them"]),
    "nth of zero": (
        dataset("'a'", "[cdesk.nth_before('b', 0)]"),
        ["nth_before", "nth", "given 0", "at least 1"],
    ),
    "nth below zero": (
        dataset("cdesk.activity('a', 'nth', nth=-1)"),
        ["activity(a)", "nth", "given -1", "at least 1"],
    ),
    "nth that is no integer": (
        dataset("'a'", "[cdesk.nth_ever('b', 1.5)]"),
        ["nth_ever", "nth", "given 1.5"],
    ),
    "nth that is a truth value": (
        dataset("'a'", "[cdesk.nth_ever('b', true)]"),
        ["nth_ever", "nth", "given True"],
    ),
    "nth without the occurrence": (
        dataset("cdesk.activity('a', nth=2)"),
        ["activity(a)", "nth", "given 2"],
    ),
    "an unknown occurrence": (
        dataset("cdesk.activity('a', occurrence='frist')"),
        ["occurrence", "'frist'", "all, first, last, nth"],
    ),
    "an occurrence on an appended activity": (
        dataset("'a'", "[cdesk.first_ever(cdesk.activity('b', 'last'))]"),
        ["first_ever", "occurrence", "last", "the relationship itself"],
    ),
    "a sum of text": (
        dataset(
            "'a'",
            "[cdesk.aggregate_before('b', [cdesk.agg('sum', cdesk.feature('name', 'string'))])]",
        ),
        ["aggregate_before(b)", "sum", "name of type string", "integer, number"],
    ),
    "an average of times": (
        dataset("'a'", "[cdesk.aggregate_before('b', [cdesk.agg('avg', 'ts')])]"),
        ["avg", "ts of type timestamp", "integer, number"],
    ),
    "an unknown aggregate": (
        dataset("'a'", "[cdesk.aggregate_before('b', [cdesk.agg('summ', 'ts')])]"),
        ["aggregate", "'summ'"],
    ),
    "an aggregate of nothing": (
        dataset("'a'", "[cdesk.aggregate_before('b', [cdesk.agg('max')])]"),
        ["max", "no column", "a column or feature"],
    ),
    "a plain column of an aggregate": (
        dataset("'a'", "[cdesk.aggregate_before('b', ['ts'])]"),
        ["aggregate_before(b)", "columns", "ts", "cdesk.agg"],
    ),
    "an aggregate of a single row": (
        dataset("'a'", "[cdesk.first_before('b', [cdesk.agg('count')])]"),
        ["first_before(b)", "columns", "count", "aggregate_"],
    ),
    "an unknown type of feature": (
        dataset("'a'", "[cdesk.first_before('b', [cdesk.feature('n', 'integr')])]"),
        ["type of feature n", "'integr'"],
    ),
    "an unknown filter operator": (
        dataset("cdesk.activity('a', filters=[cdesk.filter('link', 'equal', 'x')])"),
        ["filter operator", "'equal'", "between"],
    ),
    "a filter of another type": (
        dataset("cdesk.activity('a', filters=[cdesk.filter('revenue_impact', 'equals', '3')])"),
        ["filter on revenue_impact", "given 3", "number"],
    ),
    "between with one bound": (
        dataset("cdesk.activity('a', filters=[cdesk.filter('revenue_impact', 'between', [3])])"),
        ["between on revenue_impact", "[3]", "a list of two"],
    ),
    "in with nothing": (
        dataset("cdesk.activity('a', filters=[cdesk.filter('link', 'in', [])])"),
        ["in on link", "[]"],
    ),
    "a filter that is none": (
        dataset("cdesk.activity('a', filters=['x'])"),
        ["filters", "x", "cdesk.filter"],
    ),
    "a filter on the numbering": (
        dataset("cdesk.activity('a', filters=[cdesk.filter('activity_occurrence', 'equals', 1)])"),
        ["activity_occurrence", "numbered after filtering"],
    ),
    "a time that is none": (
        dataset("cdesk.activity('a', filters=[cdesk.filter('ts', 'equals', 'yesterday')])"),
        ["filter on ts", "yesterday", "YYYY-MM-DD"],
    ),
    "an unknown condition operator": (
        dataset(
            "'a'", "[cdesk.first_ever('b', conditions=[cdesk.condition('link', 'equalz', 'link')])]"
        ),
        ["condition operator", "'equalz'"],
    ),
    "a condition that is none": (
        dataset("'a'", "[cdesk.first_ever('b', conditions=['x'])]"),
        ["conditions", "cdesk.condition"],
    ),
    "two columns of one name": (
        dataset("'a'", "[cdesk.first_ever('b'), cdesk.first_ever('b')]"),
        ["output column", "'first_ever_b_activity_id' twice", "prefix"],
    ),
    "an output name that SQL could not hold": (
        dataset("'a'", "[cdesk.first_ever('b', columns=[cdesk.column('ts', as='x; drop')])]"),
        ["first_ever(b)", "as", "x; drop", "letters, digits and underscores"],
    ),
    "an append that is none": (dataset("'a'", "['b']"), ["appends", "b", "cdesk.first_before"]),
    "a cohort that is an append": (
        dataset("cdesk.first_ever('b')"),
        ["cohort", "append", "cdesk.time_spine"],
    ),
    "a dimension on no column": (
        dataset("'a'", "[]", STREAM + ", dims=[cdesk.dim('d', ['x'], on='custmer')]"),
        ["dim", "on", "'custmer'"],
    ),
    "an unknown period": (
        dataset("cdesk.time_spine('mnth', '2026-01-01', '2026-02-01')"),
        ["period", "'mnth'"],
    ),
    "a spine that ends before it begins": (
        dataset("cdesk.time_spine('month', '2026-01-02', '2026-01-01')"),
        ["since and until", "2026-01-02 to 2026-01-01"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_a_compile_error_that_says_what_and_what_instead(
    render: Renderer, case: str
) -> None:
    text, wanted = CASES[case]
    with pytest.raises(CompilationError) as error:
        render(text)
    message = str(error.value)
    assert "in model asking" in message
    for part in wanted:
        assert part in message


def signatures() -> dict[str, list[str]]:
    """Each macro for analysts and its arguments as it declares them, defaults included."""
    found = {}
    for path in sorted((ROOT / "macros" / "activity_schema").rglob("*.sql")):
        text = path.read_text(encoding="utf-8")
        declared = re.search(rf"{{% macro {path.stem}\((.*?)\) -%}}", text, re.DOTALL)
        if declared and not path.stem.startswith("_"):
            found[path.stem] = re.findall(r"(?:^|, |\s)(\w+(?:=[^,]+)?)", declared[1])
    return found


SIGNATURES = signatures()


def test_the_signatures_are_found() -> None:
    assert SIGNATURES["filter"] == ["value", "operator", "operand=none"]
    assert SIGNATURES["time_spine"][0] == "period"
    assert len(SIGNATURES) == 58


@pytest.mark.parametrize("macro", SIGNATURES)
def test_a_macro_says_which_arguments_it_takes(render: Renderer, macro: str) -> None:
    declared = SIGNATURES[macro]
    names = [argument.partition("=")[0] for argument in declared]
    allowed = ", ".join(names) or "none"
    given = ", ".join(["1"] * len(names))
    for text, wanted in [
        (f"cdesk.{macro}({given}{', ' * bool(names)}no_such=2)", "argument was given 'no_such'"),
        (f"cdesk.{macro}({given}{', ' * bool(names)}2)", f"{len(names) + 1} of them"),
    ]:
        with pytest.raises(CompilationError) as error:
            render(f"{{{{ {text} }}}}")
        assert f"in model asking: {macro}: " in str(error.value)
        assert f"{wanted}; allowed: {allowed}" in str(error.value)
    required = [argument for argument in declared if "=" not in argument]
    for missing in required:
        others = ", ".join(f"{name}='count'" for name in required if name != missing)
        with pytest.raises(CompilationError, match=rf"{macro}: {missing} was given nothing"):
            render(f"{{{{ cdesk.{macro}({others}) }}}}")


def test_an_unknown_activity_is_told_those_that_the_project_lists(tmp_path: Path) -> None:
    render = Renderer(
        tmp_path / "listed",
        "duckdb",
        "{cdesk__activity_schema_activities: [opened_email, placed_order]}",
    )
    with pytest.raises(
        CompilationError, match=r"'placed_ordr'; allowed: opened_email, placed_order"
    ):
        render(dataset("'opened_email'", "[cdesk.first_after('placed_ordr')]"))


@pytest.mark.parametrize(
    ("one", "several"),
    [
        (
            "cdesk.activity('a', filters=cdesk.filter('link', 'is null'))",
            "cdesk.activity('a', filters=[cdesk.filter('link', 'is null')])",
        ),
        ("cdesk.activity('a', columns='ts')", "cdesk.activity('a', columns=['ts'])"),
    ],
)
def test_a_list_of_one_may_be_the_one_alone(render: Renderer, one: str, several: str) -> None:
    appends = "cdesk.first_ever('b', columns={}, conditions={})"
    condition = "cdesk.condition('link', '=', 'link')"
    assert render(dataset(one, appends.format("'ts'", condition))) == render(
        dataset(several, "[" + appends.format("['ts']", f"[{condition}]") + "]")
    )


def test_output_names_say_relationship_activity_and_column(render: Renderer) -> None:
    sql = render(
        dataset(
            "'a'",
            "[cdesk.first_before('app.Placed Order', columns=['ts', cdesk.feature('Unit Price', 'number')]),"
            " cdesk.nth_after('b', 2), cdesk.aggregate_before('b', [cdesk.agg('count'), cdesk.agg('sum', 'revenue_impact')]),"
            " cdesk.last_ever('b', columns=['ts', cdesk.column('link', as='url')], prefix='latest')]",
        )
    )
    outputs = [
        line.strip().rstrip(",") for line in sql.rpartition("\nselect\n")[2].splitlines()[:-1]
    ]
    assert outputs == [
        "c.activity_id",
        "c.customer",
        "c.ts",
        "c.first_before_placed_order_ts",
        "c.first_before_placed_order_unit_price",
        "c.nth_after_2_b_activity_id",
        "c.nth_after_2_b_ts",
        "c.aggregate_before_b_count",
        "c.aggregate_before_b_sum_revenue_impact",
        "c.latest_ts",
        "c.url",
    ]
