"""What the system promises, and that the dashboard holds it to that."""

from __future__ import annotations

import csv
from pathlib import Path

from cdesk_app.render.dashboard import LEVELS

ROOT = Path(__file__).parents[2]


def targets() -> dict[str, tuple[str, float, str]]:
    with (ROOT / "seeds" / "slo_targets.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["metric"]: (row["comparison"], float(row["target"]), row["unit"])
            for row in csv.DictReader(file)
        }


def test_the_targets_are_those_that_were_promised() -> None:
    found = targets()
    assert {name: found[name] for name in found if name.endswith(("_ms", "_s"))} == {
        "first_token_path_p95_ms": ("at_most", 300.0, "ms"),
        "get_context_p95_ms": ("at_most", 25.0, "ms"),
        "log_p95_ms": ("at_most", 10.0, "ms"),
        "submit_query_p95_ms": ("at_most", 50.0, "ms"),
        "ingestion_lag_p95_s": ("at_most", 5.0, "s"),
        "card_ready_p95_s": ("at_most", 8.0, "s"),
    }


def test_every_target_is_measured_and_the_boards_plots_have_one() -> None:
    measured = (ROOT / "models" / "observability" / "obs_service_levels.sql").read_text("utf-8")
    assert [name for name in targets() if f"'{name}' as metric" not in measured] == []
    assert {f"{name}_p95_{unit}" for _, name, _, _, unit in LEVELS} <= targets().keys()
