"""The public clients from npm: the TypeScript SDK, and the MCP Inspector on the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.turn_path import fixtures
from cdesk.core.home import StateDirectory
from mcp_shim.prompts import PROMPTS
from mcp_shim.tools import TOOLS
from tests.integration.shim.harness import ROOT, activities, environment
from tests.npm_packages import node_modules

__all__ = ["node_modules"]

SCRIPT = Path(__file__).with_name("typescript_client.mjs")
INSPECTOR = "@modelcontextprotocol/inspector-cli/build/index.js"


def run(home: StateDirectory, *command: str) -> Any:
    ran = subprocess.run(
        ["node", *command],
        env=environment(home),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_the_typescript_sdk_gets_all_that_it_asks_for(
    node_modules: Path, state_home: StateDirectory, tmp_path: Path
) -> None:
    fixtures.catalog(state_home)
    (tmp_path / "node_modules").symlink_to(node_modules)  # where Node looks for packages
    script = shutil.copy(SCRIPT, tmp_path)
    found = run(state_home, str(script), sys.executable, "-m", "mcp_shim")
    assert found["tools"] == list(TOOLS)
    assert found["prompts"] == list(PROMPTS)
    assert found["logged"]["accepted"] == "queued"
    assert [item["value"] for item in found["context"]["pending"]] == [3]
    assert found["after"]["pending"] == []
    assert found["state"]["status"] == "queued"
    assert found["described"]["name"] == "recent_activities"
    assert "forget_insight" in found["prompt"]["messages"][0]["content"]["text"]
    assert found["completion"]["completion"]["values"] == ["cdesk.file_read"]
    assert "cdesk://templates" in found["resources"]
    assert json.loads(found["resource"]["contents"][0]["text"])["name"] == "recent_activities"
    assert "cdesk.session_ended" in activities(state_home)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["--method", "tools/list"], "tools"),
        (
            [
                *("--method", "tools/call", "--tool-name", "log_event", "--tool-arg"),
                *("activity=cdesk.user_asked", "feature_json={}"),
            ],
            "structuredContent",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_inspector_gets_all_that_it_asks_for(
    node_modules: Path, state_home: StateDirectory, words: list[str], key: str
) -> None:
    fixtures.catalog(state_home)
    inspector = str(node_modules / INSPECTOR)
    found = run(state_home, inspector, sys.executable, "-m", "mcp_shim", *words)
    assert found[key]
    assert not found.get("isError"), found
