"""The follower of columns itself: each way in which a value can be a caller's is seen."""

from __future__ import annotations

import pytest

from tests.lineage import Origin, origins

TABLES = {
    "events_live": {
        "customer": "varchar",
        "activity": "varchar",
        "ts": "timestamp",
        "_landed_at": "timestamp",
        "revenue_impact": "double",
        "_feature_json": "json",
        "_session_id": "varchar",
    },
    "provenance_chain": {"elapsed_ms": "double", "row_count": "bigint", "template": "varchar"},
}
TOKENS = """try_cast(json_extract_string(_feature_json, '$."input_tokens"') as bigint)"""


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select count(*) as n from events_live where activity = ?", {"data"}),
        ("select sum(case when activity = ? then 1 else 0 end) as n from events_live", {"data"}),
        ("select max(least(ts, _landed_at)) as n from events_live", {"data"}),
        ("select activity, max(ts) as n from events_live group by activity", {"data"}),
        ("select count(*) / nullif(cast(count(*) as double), 0) as n from events_live", {"data"}),
        ("select sum(elapsed_ms) / 1000 as n from provenance_chain", {"data"}),
        ("select sum(revenue_impact) as n from events_live", {"reported"}),
        (f"select sum({TOKENS}) as n from events_live", {"reported"}),
        (
            f"select percentile_cont(0.5) within group (order by {TOKENS}) as n from events_live",
            {"reported"},
        ),
        ("select ? as n", {"parameter"}),
        ("select cast(? as integer) as n from events_live", {"parameter"}),
        ("select coalesce(?, ts) as n from events_live", {"parameter", "data"}),
        ("with c as (select ? as x) select x as n from c", {"parameter"}),
        ("select count(*) + ? as n from events_live", {"data", "parameter"}),
        ("select case when ts is null then ? else count(*) end as n from events_live",
         {"data", "parameter"}),
        ("select 7 as n from events_live", {"constant"}),
        ("select case when ts is null then 'a' else 'b' end as n from events_live", {"constant"}),
        ("select 1 as n union all select count(*) from events_live", {"constant", "data"}),
        ("select row_number() over (order by ts) as n from events_live", {"row_number"}),
        ("with c as (select rank() over (order by ts) as r from events_live) "
         "select max(r) as n from c",
         {"row_number"}),
        ("select activity as n from events_live", {"written"}),
        ("select max(activity) as n from events_live", {"written"}),
        ("select json_extract_string(_feature_json, '$.model') as n from events_live", {"written"}),
        ("select upper(activity || 'x') as n from events_live", {"written"}),
        ("select customer as n from events_live", {"written"}),
        ("select _session_id as n from events_live", {"written"}),
        ("select row_count as n from provenance_chain", {"written"}),
        ("select (select max(activity) from events_live) as n", {"written"}),
        ("select date_trunc('day', ts) as n, count(*) as c from events_live "
         "group by date_trunc('day', ts)",
         {"data", "label"}),
        ("with c as (select activity as a, count(*) as k from events_live group by activity) "
         "select a as n from c",
         {"written", "label"}),
        ("with c as (select * from events_live) select activity as n from c", {"written"}),
        ("select unknown_function(activity) as n from events_live", {"written"}),
    ],
)  # fmt: skip
def test_where_a_value_comes_from(sql: str, expected: set[Origin]) -> None:
    assert origins(sql, "n", TABLES) == expected


def test_a_column_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        origins("select 1 as n", "m", TABLES)
