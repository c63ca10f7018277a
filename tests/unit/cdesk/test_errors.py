"""The exception tree in the docstring is the tree of the code, and codes are stable names."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

from cdesk.core import errors
from cdesk.core.errors import CdeskError, shown


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


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("why?", "'why?'"),
        ("é", "'é'"),
        ("a\x00b", "'a\\x00b'"),
        ("x" * 58, repr("x" * 58)),
        ("x" * 59, "'" + "x" * 56 + "…"),
        ("x" * 10**7, "'" + "x" * 56 + "…"),
        ("x" * 61 + "\x00", "'" + "x" * 56 + "…"),
        ([1] * 1_000, "an array of 1,000"),
        ((), "an array of 0"),
        ({"a": 1}, "an object of 1"),
        (2**64 - 1, str(2**64 - 1)),
        (2**64, "an integer beyond 64 bits"),
        (-(2**64), "an integer beyond 64 bits"),
        (True, "True"),
        (None, "None"),
        (1.5, "1.5"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_is_told_in_sixty_characters_at_most(value: object, told: str) -> None:
    assert shown(value) == told
    assert len(told) <= 60
