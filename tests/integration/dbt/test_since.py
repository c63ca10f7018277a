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
