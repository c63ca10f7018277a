"""Forgetting histories where the warehouse is the team's: what waits of them never leaves, the rest
lands before the warehouse's administrator takes out what rests on them.
"""

from __future__ import annotations

import orjson
import pytest
from faulty_warehouse import MemoryWarehouse, unavailable
from landing_table import event

from cdesk.core.config import Settings
from cdesk.core.errors import WarehouseUnavailable
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk_app.worker.erasure import ErasureReport
from cdesk_app.worker.forgetting import forget_histories


def forget(home: StateDirectory, warehouse: MemoryWarehouse) -> ErasureReport:
    settings = Settings(
        home=home.root, customer="ada@example.com", worker="off", target="snowflake"
    )
    return forget_histories(settings, home, open_=lambda *_: warehouse)


def test_what_waits_of_histories_never_lands_and_the_rest_does(state_home: StateDirectory) -> None:
    own, followed = (event()[1] for _ in range(2))
    followed = orjson.dumps(orjson.loads(followed) | {"source_system": "claude_code"}) + b"\n"
    writer = QueueWriter(state_home.queue)
    for line in (own, followed):
        writer.append(line)
    writer.close()
    warehouse = MemoryWarehouse()
    warehouse.before = unavailable
    with pytest.raises(WarehouseUnavailable, match="cannot land"):
        forget(state_home, warehouse)
    warehouse = MemoryWarehouse()
    report = forget(state_home, warehouse)
    assert [row.payload for row in warehouse.rows] == [own.decode().strip()]
    assert report.left == [
        "the warehouse: after its next build, dbt run-operation forget_histories takes it out there"
    ]
