"""One alert from a fact in state.db to a receiver, through Prometheus and Alertmanager themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from needs import need_program

ROOT = Path(__file__).resolve().parents[3]


def test_an_alert_is_fired_and_resolved_end_to_end() -> None:
    need_program("prometheus", "prometheus")
    need_program("prometheus-alertmanager", "prometheus-alertmanager")
    run = subprocess.run(
        [sys.executable, "scripts/observe.py", "--seconds", "100"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert (
        "fired: Queries are refused by decision. → docs/runbooks/credit_exhaustion.md" in run.stdout
    )
    assert run.stdout.rstrip().endswith("resolved")
