"""Where an incremental model goes on reading."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.integration.dbt.conftest import DbtWarehouse, event


def test_a_line_stamped_in_the_future_hides_no_other(warehouse: DbtWarehouse) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    for number, landed_at in enumerate(
        (now - timedelta(days=2), now + timedelta(days=2), now - timedelta(days=1)), 1
    ):
        warehouse.land([event(number)], landed_at=landed_at)
        warehouse.build("_ingest_ids", "events")
        assert len(warehouse.query("select _activity_id from events")) == number


def test_a_landing_of_an_earlier_version_is_brought_up_to_date_by_a_build(
    warehouse: DbtWarehouse,
) -> None:
    warehouse.land([event(1)])
    warehouse.build("_ingest_ids", "events")
    with warehouse.connect() as connection:
        connection.execute("create table old as select * exclude (landed_by) from landing")
        connection.execute("drop table landing")
        connection.execute("alter table old rename to landing")
        connection.execute(
            "insert into landing select replace(id, id[-1], 'f'), kind, payload, 'b', 0, "
            "landed_at + interval 1 second from landing"
        )
    warehouse.build("_ingest_ids", "events")
    assert len(warehouse.query("select landed_by from landing where landed_by is null")) == 2
    assert len(warehouse.query("select id from _ingest_ids")) == 2
