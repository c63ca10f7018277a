"""Tables of an earlier release are brought up to date by the build itself."""

from __future__ import annotations

from tests.integration.dbt.conftest import DbtWarehouse, event, insight, query_run


def test_a_table_that_lacks_a_column_is_built_anew_and_no_other_is(
    warehouse: DbtWarehouse,
) -> None:
    warehouse.land([event(1), query_run(2), insight(3)])
    warehouse.build()
    (atom,) = warehouse.query("select * from insight_atoms")
    with warehouse.connect() as connection:
        connection.execute("alter table insight_atoms drop column is_forgotten")
        connection.execute(
            "update insight_atoms set subject = 'what an earlier release made of it'"
        )
        connection.execute("delete from landing where kind = 'event'")
    warehouse.build()
    assert warehouse.query("select * from insight_atoms") == [atom]
    assert warehouse.query("select count(*) from events") == [(1,)], "landing no longer has it"
    warehouse.build()
    assert warehouse.query("select * from insight_atoms") == [atom]
