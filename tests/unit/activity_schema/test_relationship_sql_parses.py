"""Every form and template, as rendered for Snowflake, parses in sqlfluff's Snowflake dialect."""

from __future__ import annotations

import json
import re

import pytest

from tests.sqlfluff_parse import unparsable
from tests.unit.activity_schema import reference
from tests.unit.activity_schema.rendering import Renderer

TEMPLATES = (*reference.TEMPLATES, "funnel", "retention", "time_to_convert", "paths")
# `at_or_` differs from its strict namesake by one sign.
RELATIONSHIPS = [name for name in reference.RELATIONSHIPS if "at_or_" not in name]
FILTERED = "cdesk.activity('b', filters=[cdesk.filter('link', 'in', ['x', 'it\\'s'])])"
COLUMNS = "['activity_id', cdesk.feature('n', 'integer'), cdesk.feature('at', 'timestamp')]"
AGGREGATES = (
    "[cdesk.agg('count'), cdesk.agg('list', 'link'), cdesk.agg('count_distinct', 'link'), "
    "cdesk.agg('text', 'link'), cdesk.agg('list_distinct', 'link'), cdesk.agg('first_value', 'link'), "
    "cdesk.agg('any', cdesk.filter('link', 'like', 'h%')), cdesk.agg('median', 'revenue_impact'), "
    "cdesk.ratio(cdesk.agg('sum', 'revenue_impact'), cdesk.agg('count'))]"
)
# Those that are put together from two parts of a window that moves with the cohort row.
ROLLING_AGGREGATES = (
    "[cdesk.agg('count'), cdesk.agg('sum', 'revenue_impact'), cdesk.agg('avg', 'revenue_impact'), "
    "cdesk.agg('min', 'revenue_impact'), cdesk.agg('max', 'revenue_impact'), "
    "cdesk.agg('any', cdesk.filter('link', 'like', 'h%')), cdesk.agg('first_value', 'link'), "
    "cdesk.agg('all', cdesk.filter('link', 'like', 'h%')), cdesk.agg('last_value', 'link'), "
    "cdesk.ratio(cdesk.agg('sum', 'revenue_impact'), cdesk.agg('count'))]"
)
REGISTRY = {
    "a": {
        "model": "events",
        "where": "not is_robot",
        "columns": {"activity_id": "id", "ts": "visited_at", "customer": "user_id"},
    },
    "b": {
        "model": "events",
        "features": {
            "n": "integer",
            "at": {"type": "timestamp", "column": "bought_at"},
            "day": "date",
            "tags": "json",
            "it's/a key": {"type": "boolean", "column": "is_it"},
        },
    },
}
REGISTERED = {
    "activities_stream": "cdesk.activities_stream()",
    "activity_rows": "cdesk.activity_rows('b')",
    "numbered_stream": "cdesk._as_numbered_sql(cdesk.stream('(' ~ cdesk.activities_stream() "
    "~ ') as activities'), none)",
    "numbered_stream, built before": "cdesk._as_numbered_sql(cdesk.stream('stream'), 'held')",
    "describe_activities": "cdesk._as_activities_sql(cdesk.stream('stream'))",
    "describe_activities, features": "cdesk._as_found_features_sql(cdesk.stream('stream'))",
}


@pytest.fixture(scope="module")
def render_snowflake(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    folder = tmp_path_factory.mktemp("render") / "snowflake"
    registry = {"cdesk__activity_schema_activities": REGISTRY}
    return Renderer(folder, "snowflake", json.dumps(registry))


def violations(sql: str) -> list[str]:
    """What sqlfluff can't parse. A bind stands as a literal, because sqlfluff knows binds only by a
    templater of its own.
    """
    return unparsable(re.sub(r"\?/\*\w+\*/", "'bound'", sql))


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_parses(render_snowflake: Renderer, template: str) -> None:
    sql, _ = render_snowflake.template(template)
    assert violations(sql) == []


@pytest.mark.parametrize("registered", REGISTERED.values(), ids=REGISTERED)
def test_what_the_registry_makes_parses(render_snowflake: Renderer, registered: str) -> None:
    assert violations(render_snowflake(f"{{{{ {registered} }}}}")) == []


@pytest.mark.parametrize("relationship", RELATIONSHIPS)
@pytest.mark.parametrize(
    ("activity", "conditions", "stream"),
    [
        ("'b'", "[]", "cdesk.events_stream('events')"),
        (FILTERED, "[]", "cdesk.stream('stream')"),
        (FILTERED, "[cdesk.condition('link', 'equals', 'link')]", "cdesk.stream('stream')"),
        (
            "'b'",
            "[cdesk.condition('revenue_impact', 'greater than', 'revenue_impact')]",
            "cdesk.events_stream('events')",
        ),
        ("'b'", "[cdesk.within(7, 'day')]", "cdesk.events_stream('events')"),
    ],
    ids=["numbered", "filtered", "equality", "order", "within"],
)
def test_a_form_parses(
    render_snowflake: Renderer, relationship: str, activity: str, conditions: str, stream: str
) -> None:
    columns = AGGREGATES if relationship.startswith("aggregate_") else COLUMNS
    nth = ", nth=2" if relationship.startswith("nth_") else ""
    append = f"cdesk.{relationship}({activity}, columns={columns}, conditions={conditions}{nth})"
    assert violations(render_snowflake(f"{{{{ cdesk.dataset('a', [{append}], {stream}) }}}}")) == []


@pytest.mark.parametrize("relationship", ["aggregate_after", "aggregate_before"])
def test_a_window_that_moves_with_the_cohort_row_parses(
    render_snowflake: Renderer, relationship: str
) -> None:
    append = (
        f"cdesk.{relationship}('b', columns={ROLLING_AGGREGATES}, "
        "conditions=[cdesk.within(7, 'day')])"
    )
    sql = render_snowflake(f"{{{{ cdesk.dataset('a', [{append}], cdesk.stream('stream')) }}}}")
    assert "append_1_dense as (" in sql
    assert violations(sql) == []


def test_a_spine_with_dimensions_and_a_stitched_stream_parse(render_snowflake: Renderer) -> None:
    spine = (
        "{{ cdesk.dataset(cdesk.time_spine('week', '2026-01-01', 'now', activity='a', "
        "time_zone='Europe/Lisbon'), [cdesk.aggregate_in_between('b')], "
        "dims=[cdesk.customer_dim('customers', ['country'])], stream=cdesk.stream('stream')) }}"
    )
    assert violations(render_snowflake(spine)) == []
    assert violations(render_snowflake("{{ cdesk.stitch(cdesk.stream('stream')) }}")) == []
