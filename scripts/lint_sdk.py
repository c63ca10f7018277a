"""Run the protocol tests against the newest MCP SDK and pydantic that the registry serves.

Both are installed into a folder of their own, before the pinned ones on the path. There the lazy
import (mcp_shim/lazy_sdk.py) is on whatever their versions are: so it is seen whether these can be
added to its KNOWN_VERSIONS. `make lint-sdk` runs this.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = [
    f"tests/integration/shim/test_{name}.py" for name in ("protocol", "tools", "guards", "process")
]
ALWAYS_ON = """\
from mcp_shim import lazy_sdk

lazy_sdk.KNOWN_VERSIONS = {}
"""
"""Run by every Python process at its start, as `sitecustomize`."""


def main() -> int:
    """Exit code of the tests; 1 where nothing could be installed."""
    with tempfile.TemporaryDirectory(prefix="cdesk-sdk-") as folder:
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(
            [*install, "--upgrade", "--target", folder, "mcp", "pydantic"], check=False
        )
        if done.returncode:
            return 1
        for name in ("mcp", "pydantic"):
            for found in sorted(Path(folder).glob(f"{name}-*.dist-info")):
                print(found.name.removesuffix(".dist-info").replace("-", " "), flush=True)
        (Path(folder) / "sitecustomize.py").write_text(ALWAYS_ON, encoding="utf-8")
        path = os.pathsep.join((folder, str(ROOT)))
        tests = [sys.executable, "-m", "pytest", "-q", *TESTS]
        environ = {**os.environ, "PYTHONPATH": path}
        return subprocess.run(tests, cwd=ROOT, env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
