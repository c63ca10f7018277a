"""The worker's log: whole lines of JSON, no secret in any of them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from cdesk.core.log import Redactor, set_up_logging


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    for handler in handlers:
        root.removeHandler(handler)
    yield
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)


def test_a_line_is_json_with_its_facts(tmp_path: Path) -> None:
    set_up_logging(tmp_path / "worker.log", {})
    logging.getLogger("worker.x").info("landed", extra={"facts": {"rows": 3}})
    line = orjson.loads((tmp_path / "worker.log").read_bytes())
    assert line["message"] == "landed"
    assert line["rows"] == 3
    assert line["level"] == "info"
    assert line["ts"].endswith("Z")


def test_a_traceback_stays_on_one_line(tmp_path: Path) -> None:
    set_up_logging(tmp_path / "worker.log", {})
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger().exception("failed")
    lines = (tmp_path / "worker.log").read_bytes().splitlines()
    assert len(lines) == 1
    assert "two\nlines" in orjson.loads(lines[0])["traceback"]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("connect failed for hunter2hunter2", "hunter2hunter2"),
        ("password=open-sesame user=ada", "open-sesame"),
        ('{"token": "abc.def.ghi"}', "abc.def.ghi"),
        ("Authorization: Bearer eyJhbGciOi.J9", "eyJhbGciOi.J9"),
        ("sent Bearer eyJhbGciOi.J9 to host", "eyJhbGciOi.J9"),
        ("private_key_passphrase: 'x'; passphrase=letmein", "letmein"),
    ],
)
def test_secrets_are_hidden(text: str, secret: str) -> None:
    shown = Redactor({"SNOWFLAKE_PASSWORD": "hunter2hunter2", "HOME": "/home/ada"})(text)
    assert secret not in shown
    assert "[hidden]" in shown


def test_ordinary_text_stays_as_it_is() -> None:
    text = '{"message":"landed","rows":3,"tokens_in":12,"home":"/home/ada"}'
    assert Redactor({"HOME": "/home/ada"})(text) == text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
def test_the_log_is_private(tmp_path: Path) -> None:
    set_up_logging(tmp_path / "worker.log", {})
    assert (tmp_path / "worker.log").stat().st_mode & 0o077 == 0
