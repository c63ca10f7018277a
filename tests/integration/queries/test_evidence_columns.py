"""Every declared evidence column, followed through its template's compiled SQL: none
repeats what a caller wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from tests.lineage import Origin, Tables, origins

if TYPE_CHECKING:
    from tests.integration.queries.conftest import Built

EXPLAINED: dict[tuple[str, str], set[Origin]] = {
    # Measured by this server for its own `cdesk.tool_called`; a row with anybody else's in it says
    # `reported`.
    ("tool_usage", "latency_p50_ms"): {"reported"},
    ("tool_usage", "latency_p95_ms"): {"reported"},
    ("tool_usage", "latency_p99_ms"): {"reported"},
    ("stream_metrics", "latency_p50_ms"): {"reported"},
    ("stream_metrics", "latency_p95_ms"): {"reported"},
    # How many rows lie between two rows: the difference of their numbers, which no caller chooses.
    ("aggregate_after", "append_count"): {"data", "row_number"},
    ("aggregate_before", "append_count"): {"data", "row_number"},
}
"""Columns whose origin says less than what is known of them."""
COMPUTED: set[Origin] = {"data", "reported"}


@pytest.fixture(scope="module")
def tables(original: Built) -> Tables:
    found: dict[str, dict[str, str]] = {}
    with duckdb.connect(str(original.home.warehouse), read_only=True) as connection:
        rows = connection.execute(
            "select table_name, column_name, data_type from information_schema.columns"
        ).fetchall()
    for table, column, kind in rows:
        found.setdefault(table, {})[column] = kind
    return found


def test_no_evidence_column_repeats_what_a_caller_wrote(
    original: Built, tables: Tables, template_name: str
) -> None:
    template = original.catalog.get(template_name)
    for column, basis in template.evidence_columns.items():
        found = origins(template.sql, column, tables)
        explained = EXPLAINED.get((template_name, column))
        if explained is not None:
            assert found == explained, f"{column} needs no explanation any more"
            continue
        assert found, f"{column} is always null"
        assert found <= COMPUTED, f"{column} is made of {sorted(found - COMPUTED)}"
        if "reported" in found:
            assert basis == "reported", f"{column} holds figures that callers gave"


def test_what_can_be_no_evidence_is_seen_as_such(original: Built, tables: Tables) -> None:
    """Columns that verified made-up values once: a label, an argument, a constant, a number
    of a row, a text.
    """
    for template, column, origin in (
        ("activity_counts", "activity", "written"),
        ("tool_usage", "tool", "written"),
        ("llm_usage", "model", "written"),
        ("llm_usage", "period_start", "label"),
        ("funnel", "activity", "parameter"),
        ("funnel", "step", "constant"),
        ("retention", "cohort_start", "label"),
        ("sessions", "session_id", "written"),
        ("top_customers", "customer", "written"),
        ("artifact", "artifact_id", "written"),
        ("recent_activities", "activity_occurrence", "written"),
        ("health", "basis", "constant"),
    ):
        assert origin in origins(original.catalog.get(template).sql, column, tables), (
            template,
            column,
        )


def test_a_template_that_only_repeats_declares_no_evidence(original: Built) -> None:
    silent = {
        name for name, item in original.catalog.templates.items() if not item.evidence_columns
    }
    assert silent >= {
        "artifact",
        "feature_values",
        "imported_records",
        "insights",
        "insight_history",
        "provenance",
        "quarantined_lines",
        "recent_activities",
    }
    assert len(silent) < len(original.catalog.templates) / 2 + 5
