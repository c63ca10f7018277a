"""The load of `make load` in a small form: no error, and no acknowledged record lost or doubled."""

from __future__ import annotations

import subprocess
import sys

from tests.integration.shim_http.harness import ROOT


def test_forty_people_at_once_lose_nothing() -> None:
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "bench",
            "load",
            "--users",
            "40",
            "--seconds",
            "6",
            "--think",
            "0.3",
            "--only",
            "people",
            "--no-worker",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        cwd=ROOT,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "errors: 0;" in ran.stdout
    assert "lost 0, twice 0" in ran.stdout
