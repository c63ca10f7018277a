"""The log of every process: whole lines of JSON, no secret in any of them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from cdesk.core.log import OURS, Redactor, set_up_logging


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
    for name in OURS:
        logging.getLogger(name).setLevel(logging.NOTSET)


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


def test_of_other_packages_the_server_tells_only_where_a_line_comes_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A library may put a payload into its message."""
    set_up_logging(None, {}, only_ours=True)
    logging.getLogger("mcp.server").warning("cannot read %s", "the person's own words")
    logging.getLogger("mcp.server").info("not even that")
    try:
        raise ValueError("the person's own words")
    except ValueError:
        logging.getLogger("mcp.server").exception("failed on the person's own words")
    logging.getLogger("mcp_shim.app").info("ours", extra={"facts": {"rows": 3}})
    text = capsys.readouterr().err
    lines = [orjson.loads(line) for line in text.splitlines()]
    assert "own words" not in text
    assert [line["level"] for line in lines] == ["warning", "error", "info"]
    assert lines[0]["message"].startswith("test_log:")
    assert lines[1]["error"] == "ValueError"
    assert (lines[2]["message"], lines[2]["rows"]) == ("ours", 3)


def test_a_standard_error_that_is_closed_is_no_reason_to_stop(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    closed = (tmp_path / "closed").open("w", encoding="utf-8")
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    set_up_logging(None, {}, only_ours=True)
    logging.getLogger("mcp_shim.app").warning("into nothing")
