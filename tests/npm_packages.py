"""The packages from npm that tests run: public clients, and an authorization server."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from platformdirs import user_cache_path

from tests.needs import need, need_program

PACKAGES = (
    "@modelcontextprotocol/sdk@1.32.2",
    "@modelcontextprotocol/inspector-cli@0.15.0",
    "oidc-provider@9.13.3",
)


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """Where the packages are installed: once for all runs on this computer."""
    need_program("node", "Node.js (apt-get install nodejs)")
    npm = need_program("npm", "npm (apt-get install npm)")
    name = hashlib.sha256(" ".join(PACKAGES).encode()).hexdigest()[:16]
    folder = user_cache_path("cdesk-tests") / f"npm-{name}"
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", *PACKAGES]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
        need(ran.returncode == 0, f"the npm packages {', '.join(PACKAGES)}: {ran.stderr[-300:]}")
        (folder / "done").touch()
    return folder / "node_modules"
