"""The exception tree in the docstring is the tree of the code, and codes are stable names."""

from __future__ import annotations

import importlib
import pkgutil
import re

from cdesk.core import errors
from cdesk.core.errors import CdeskError


def of_the_code() -> dict[str, str]:
    """Class → base, over every module of ours."""
    for package in ("cdesk", "mcp_shim", "uploader", "cdesk_app"):
        for module in pkgutil.walk_packages(
            importlib.import_module(package).__path__, f"{package}."
        ):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found: dict[str, str] = {}
    level = [CdeskError]
    while level:
        deeper = [sub for base in level for sub in base.__subclasses__()]
        found |= {sub.__name__: sub.__mro__[1].__name__ for sub in deeper if _is_ours(sub)}
        level = deeper
    return found


def _is_ours(error: type) -> bool:
    return error.__module__.partition(".")[0] in ("cdesk", "mcp_shim", "uploader", "cdesk_app")


def of_the_docstring() -> dict[str, str]:
    found: dict[str, str] = {}
    above = {0: "CdeskError"}
    for line in str(errors.__doc__).splitlines():
        if match := re.match(r"([│ ]*)[├└]── (\w+)", line):
            depth = len(match[1]) // 4 + 1
            above[depth] = match[2]
            found[match[2]] = above[depth - 1]
    return found


def test_the_tree_names_every_error() -> None:
    assert of_the_docstring() == of_the_code()


def test_every_code_is_a_name() -> None:
    of_the_code()
    for error in CdeskError.__subclasses__():
        assert re.fullmatch(r"[a-z][a-z_]+", error.code), error
