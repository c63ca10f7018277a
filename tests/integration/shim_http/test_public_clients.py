"""The public TypeScript SDK over HTTP: with a token, and by OAuth with a real authorization server
from discovery on. docs/http.md walks through the same.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.turn_path import fixtures
from cdesk.core.home import StateDirectory
from mcp_shim.tools import TOOLS
from scripts.ports import free_port
from tests.integration.shim_http.harness import ADA, Service, serving, token
from tests.npm_packages import node_modules

__all__ = ["node_modules"]

SCRIPTS = Path(__file__).parent


@pytest.fixture
def scripts(node_modules: Path, tmp_path: Path) -> Path:
    """A folder with our scripts where Node finds the packages."""
    (tmp_path / "node_modules").symlink_to(node_modules)
    for script in SCRIPTS.glob("*.mjs"):
        shutil.copy(script, tmp_path)
    return tmp_path


@contextmanager
def authorization_server(scripts: Path, *words: str) -> Iterator[str]:
    """The issuer, while it listens."""
    process = subprocess.Popen(
        ["node", str(scripts / "authorization_server.mjs"), *words],
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        assert process.stdout is not None
        issuer = process.stdout.readline().strip()
        assert issuer.startswith("http://127.0.0.1:")
        yield issuer
    finally:
        process.terminate()
        process.communicate(timeout=30)


def connect(scripts: Path, service: Service, *words: str) -> dict[str, Any]:
    """What the client found."""
    ran = subprocess.run(
        ["node", str(scripts / "typescript_client.mjs"), service.url, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def require_works(found: dict[str, Any]) -> None:
    assert found["tools"] == list(TOOLS)
    assert found["context"]["customer"] == ADA
    assert found["logged"]["accepted"] == "queued"
    assert found["other"].startswith("forbidden")


def test_the_typescript_sdk_works_with_a_token(scripts: Path, state_home: StateDirectory) -> None:
    fixtures.catalog(state_home)
    made = token(state_home, ADA)
    with serving(state_home) as service:
        found = connect(scripts, service, made.token)
    require_works(found)
    assert found["ticket"]["status"] == "queued"
    assert not found["refused"]


def test_the_typescript_sdk_signs_in_at_an_authorization_server_that_it_discovers(
    scripts: Path, state_home: StateDirectory
) -> None:
    fixtures.catalog(state_home, scope="org")
    port = free_port()
    resource = f"http://127.0.0.1:{port}/mcp"
    with authorization_server(scripts, ADA, resource, "cdesk:analyst") as issuer:
        settings = {
            "CDESK_HTTP_URL": f"http://127.0.0.1:{port}",
            "CDESK_HTTP_ISSUER": issuer,
            "CDESK_HTTP_JWKS_URL": f"{issuer}/jwks",
        }
        with serving(state_home, "--port", str(port), **settings) as service:
            found = connect(scripts, service)
            # asked for by the client, and refused to this person by the authorization server
            assert all("eyJ" not in line for line in service.raw_log)
    require_works(found)
    assert found["refused"]
    assert found["registered"]
    assert found["challenge"] == "S256"
    assert found["resource"] == resource
    assert found["ticket"]["status"] == "queued"  # an org template: the scope gave the role
