"""How lines get into a table of the embedded engine."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from landing_table import landed, make_landing

from cdesk.core.errors import WarehouseError
from cdesk.warehouse.batch import LineBatch
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk.warehouse.lines import FEW, FewLines, ManyLines, engine_lines
from cdesk.warehouse.protocol import LandedLine

AT = datetime(2026, 1, 31, 12, tzinfo=UTC) + timedelta(microseconds=123_456)
IDLE = """
import sys
from pathlib import Path
from cdesk.contract.catalog import Template
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk.warehouse.protocol import LandedLine
import cdesk_app.render.presentation, cdesk_app.worker.main

path = Path(sys.argv[1])
warehouse = DuckDBWarehouse(path, copies=path.parent / "copies")
asked = Template("test", "", "org", (), "select kind from activities.landing", (), {}, "0" * 16)
for number in range(2):
    warehouse.land([LandedLine(f"id-{number}", "event", '{"a": 1}', "a.ndjson", number)])
    print(warehouse.positions(["a.ndjson"]))
    print(warehouse.read_template(asked, [], query_tag="cdesk_00c0ffee", timeout_seconds=60))
    print([row.customer for row in warehouse.export_context(since="2026-01-01T00:00:00.000000Z")])
print(sorted(name for name in sys.modules if name.partition(".")[0] in ("pyarrow", "numpy")))
warehouse.close()
"""


def lines(number: int) -> LineBatch:
    return LineBatch.of(
        [
            LandedLine(
                f"id-{one}", "event", f'{{"said": "ü {one}"}}', f"{one % 3}.ndjson", one * 10
            )
            for one in range(number)
        ]
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_landing(tmp_path / "warehouse.duckdb")


@pytest.mark.parametrize("number", [1, FEW, FEW + 1])
def test_few_and_many_lines_stand_there_alike(path: Path, number: int) -> None:
    batch = lines(number)
    given = engine_lines(batch)
    assert isinstance(given, FewLines if number <= FEW else ManyLines)
    assert len(given) == number
    assert given.nbytes >= sum(map(len, batch.payloads))
    with duckdb.connect(path) as connection:
        given.append_to("activities.landing", connection, AT)
        rows = connection.execute(
            "select id, kind, payload, source_file, source_offset, landed_at "
            "from activities.landing order by source_offset"
        ).fetchall()
    stamp = AT.replace(tzinfo=None)
    assert rows == [
        (one.id, one.kind, one.payload, one.source_file, one.source_offset, stamp) for one in batch
    ]


@pytest.mark.parametrize("number", [2, FEW + 1])
def test_a_line_that_is_no_utf_8_lands_nothing(path: Path, number: int) -> None:
    batch = lines(number)
    batch.payloads[1] = b'{"said": "\xff"}'
    with pytest.raises(WarehouseError, match="UTF-8"):
        DuckDBWarehouse(path).land(batch)
    assert landed(path) == []


def test_few_and_many_batches_land_in_one_transaction(path: Path) -> None:
    warehouse = DuckDBWarehouse(path)
    with warehouse.bulk() as stretch:
        assert stretch is not None
        result = stretch.land([lines(3), lines(FEW + 1), lines(2), lines(FEW + 2)], None)
    assert result.rows == 2 * FEW + 8
    with duckdb.connect(path, read_only=True) as connection:
        counted = connection.execute(
            "select count(*), count(distinct landed_at) from activities.landing"
        ).fetchall()
    assert counted == [(2 * FEW + 8, 1)]


def test_who_lands_and_reads_a_little_never_loads_arrow(path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute(
            "create table activities.context_cache as select 'ada' as customer, "
            "'{}'::json as context, 'v' as version, timestamp '2026-02-01' as updated_at"
        ).fetchall()
    done = subprocess.run(
        [sys.executable, "-c", IDLE, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[3:] == ["{'a.ndjson': 1}", "(['kind'], [('event',), ('event',)])", "['ada']", "[]"]
