"""What a test needs beside Python: a program of the system, a package of another registry.

Where it is missing the test is skipped, by the name of what to install; in continuous integration,
which installs it (.ci/run), that is a failure.
"""

from __future__ import annotations

import os
import shutil

import pytest


def need(found: object, package: str) -> None:
    """Skip this test unless `found`; fail it where continuous integration runs it.

    package: what to install, with the command that does: `chromium (apt-get install chromium)`.
    """
    if found:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{package} is missing; .ci/run has to install it", pytrace=False)
    pytest.skip(f"needs {package}")


def need_program(name: str, package: str) -> str:
    """The path of a program; skips as `need` where it is not installed."""
    path = shutil.which(name)
    need(path, package)
    assert path is not None
    return path
