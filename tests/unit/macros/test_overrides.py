"""What this project has in place of dbt's own: when a table is built anew, and how one is merged."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.activity_schema.rendering import Renderer
from tests.unit.governance.account import Account, Named, one_line

REBUILT = {"meta": {"rebuilt_from_landing": True}}


@pytest.mark.parametrize(
    ("configured", "asked", "there", "expected"),
    [
        ({}, False, None, False),
        ({}, True, None, True),
        ({"full_refresh": False}, True, None, False),
        ({"full_refresh": True}, False, None, True),
        (REBUILT, False, None, False),  # a first build makes it anyway
        (REBUILT, False, ("table", ["ID", "Name"]), False),
        (REBUILT, False, ("table", ["ID", "name", "gone"]), False),
        (REBUILT, False, ("table", ["ID"]), True),
        (REBUILT, False, ("view", ["ID"]), False),
        ({"full_refresh": False, **REBUILT}, False, ("table", ["ID"]), True),
        ({"meta": {}}, False, ("table", ["ID"]), False),
        ({"meta": {"rebuilt_from_landing": False}}, False, ("table", ["ID"]), False),
    ],
)
def test_a_table_of_an_earlier_release_is_built_anew_where_landing_has_all_of_it(
    render: Renderer,
    configured: dict[str, Any],
    asked: bool,
    there: tuple[str, list[str]] | None,
    expected: bool,
) -> None:
    found = None if there is None else SimpleNamespace(type=there[0])
    looked: list[Any] = []
    own: dict[str, Any] = {"columns": {"id": {}, "name": {}}}
    account = Account(
        render,
        columns=there[1] if there else [],
        is_full_refresh=asked,
        names={
            "config": configured,
            "model": own,
            "this": "this",
            "load_relation": lambda relation: looked.append(relation) or found,
        },
    )
    assert account("should_full_refresh") is expected
    once = list(looked)
    assert account("should_full_refresh") is expected
    assert looked == once, "the account is asked once"


def test_a_merge_tells_a_renumbered_row_from_a_revised_one(render: Renderer) -> None:
    columns = [
        SimpleNamespace(name=name)
        for name in ("ACTIVITY", "customer", "ts", "activity_repeated_at", "activity_occurrence",
                     "link", "_query_tag", "_activity_id", "_landed_at")
    ]  # fmt: skip
    sql = Account(render)(
        "get_incremental_revising_merge_sql",
        {
            "target_relation": "events",
            "temp_relation": "batch",
            "unique_key": ["customer", "ts", "_activity_id"],
            "dest_columns": columns,
        },
    )
    numbers = (
        "activity_repeated_at = changed.activity_repeated_at, "
        "activity_occurrence = changed.activity_occurrence"
    )
    names = [column.name.lower() for column in columns]
    assert one_line(sql) == (
        "merge into events as stored using batch as changed on "
        "stored.customer = changed.customer and stored.ts = changed.ts and "
        "stored._activity_id = changed._activity_id "
        f"when matched and changed._query_tag is not null then update set {numbers}, "
        "link = changed.link, _query_tag = changed._query_tag "
        f"when matched then update set {numbers} "
        f"when not matched then insert ({', '.join(names)}) "
        f"values ({', '.join(f'changed.{name}' for name in names)})"
    )


@pytest.mark.parametrize(
    ("rows", "is_set_up", "sources"),
    [
        (1, True, ["given", "added"]),
        (2, True, ["given", "added"]),
        (1, False, ["given"]),
        (0, True, ["added"]),
        (0, False, ["added"]),
    ],
)
def test_who_may_see_what_is_filled_in_one_step(
    render: Renderer, rows: int, is_set_up: bool, sources: list[str]
) -> None:
    account = Account(
        render,
        relations={"added_people"} if is_set_up else set(),
        names={"this": Named("customer_access")},
    )
    table = SimpleNamespace(
        rows=[
            {"principal_kind": "user", "principal": f"u{n}", "customer": f"c{n}"}
            for n in range(rows)
        ]
    )
    account("_fill_customer_access", table)
    [sql], [bound] = account.ran, account.bound
    names = "principal_kind, principal, customer"
    given = f"select given.* from (values {', '.join(['(%s, %s, %s)'] * rows)}) as given ({names})"
    own = {
        "given": given,
        "added": f'select {names} from "memory"."main"."added_people"',
    }
    assert sql == f"insert overwrite into customer_access ({names}) " + " union ".join(
        own[one] for one in sources
    )
    assert bound == [value for n in range(rows) for value in ("user", f"u{n}", f"c{n}")]
