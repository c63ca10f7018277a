"""The log of every process: whole lines of JSON, no secret in any of them."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from cdesk.contract.redaction import key_label, redact_text, redact_value
from cdesk.core.log import OURS, Redactor, is_secret_name, set_up_logging
from tests.redaction.examples import examples


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
    set_up_logging(tmp_path / "worker.log", {}, credentials=redact_value)
    logging.getLogger("worker.x").info("landed", extra={"facts": {"rows": 3}})
    line = orjson.loads((tmp_path / "worker.log").read_bytes())
    assert line["message"] == "landed"
    assert line["rows"] == 3
    assert line["level"] == "info"
    assert line["ts"].endswith("Z")


def test_a_traceback_stays_on_one_line(tmp_path: Path) -> None:
    set_up_logging(tmp_path / "worker.log", {}, credentials=redact_value)
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
    shown = Redactor({"SNOWFLAKE_PASSWORD": "hunter2hunter2", "HOME": "/home/ada"}, redact_value)(
        text
    )
    assert secret not in shown
    assert "[hidden]" in shown


def test_ordinary_text_stays_as_it_is() -> None:
    text = '{"message":"landed","rows":3,"tokens_in":12,"home":"/home/ada"}'
    assert Redactor({"HOME": "/home/ada"}, redact_value)(text) == text


def test_the_log_holds_none_of_what_the_list_of_credentials_finds(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    set_up_logging(log, {}, credentials=redact_value)
    found = [one for one in examples() if one.secret not in redact_text(one.text)]
    assert len(found) >= 200
    for one in found:
        facts = {"reason": one.text, "deep": [{"api_key": one.secret}]}
        try:
            raise ValueError(one.text)
        except ValueError:
            logging.getLogger("cdesk.x").exception(one.text, extra={"facts": facts})
    lines = log.read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(found)
    for one, line in zip(found, lines, strict=True):
        said = orjson.loads(line)
        for part in ("message", "reason", "deep"):
            assert one.secret not in str(said[part])
        if len(one.text) > 40:  # a traceback has words of its own
            assert one.text not in said["traceback"]


@pytest.mark.parametrize(
    "name",
    [
        *("PGPASSWORD", "DB_PASS", "MYSQL_PWD", "SNOWFLAKE_PASSWORD", "AWS_SECRET_ACCESS_KEY"),
        *("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "OPENAI_API_KEY", "APIKEY", "CLIENT_SECRET"),
        *("SIGNING_KEY", "ENCRYPTION_KEY", "STORAGE_ACCOUNT_KEY", "SHARED_ACCESS_KEY", "AUTH"),
        *("PROXY_AUTHORIZATION", "SESSION_COOKIE", "DB_CREDS", "SENTRY_DSN", "CONNECTION_STRING"),
        *("AZURE_STORAGE_CONNECTION_STRING", "JWT", "TOTP", "SEED_PHRASE", "WEBHOOK_URL", "SAS"),
    ],
)
def test_a_variable_is_secret_that_the_list_of_credentials_calls_so(name: str) -> None:
    assert key_label(name).startswith("secret:")
    assert is_secret_name(name)
    shown = Redactor({name: "open sesame"}, redact_value)({"reason": "refused: open sesame"})
    assert shown == {"reason": "refused: [hidden]"}


def test_variables_of_no_secret_are_shown() -> None:
    for name in ("HOME", "PATH", "SNOWFLAKE_AUTHENTICATOR", "PWDX", "SHIPPING", "SNOWFLAKE_USER"):
        assert not is_secret_name(name)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
def test_the_log_is_private(tmp_path: Path) -> None:
    set_up_logging(tmp_path / "worker.log", {}, credentials=redact_value)
    assert (tmp_path / "worker.log").stat().st_mode & 0o077 == 0


def test_of_other_packages_the_server_tells_only_where_a_line_comes_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A library may put a payload into its message."""
    set_up_logging(None, {}, credentials=redact_value, only_ours=True)
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
    set_up_logging(None, {}, credentials=redact_value, only_ours=True)
    logging.getLogger("mcp_shim.app").warning("into nothing")


def test_a_log_that_cannot_be_written_goes_to_standard_error_and_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "worker.log").mkdir()
    set_up_logging(tmp_path / "worker.log", {}, credentials=lambda document: document)
    logging.getLogger("cdesk.test").info("work goes on")
    told = capfd.readouterr().err
    assert "the log cannot be written" in told
    assert "worker.log" in told
    assert "work goes on" in told


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
def test_a_full_log_disk_loses_lines_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    set_up_logging(tmp_path / "worker.log", {}, credentials=lambda document: document)
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, logging.FileHandler)
    kept, full = handler.stream, Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115
    handler.stream = full
    logging.getLogger("cdesk.test").info("nobody reads this")
    handler.stream = kept
    logging.getLogger("cdesk.test").info("there is room again")
    with contextlib.suppress(OSError):
        full.close()
    assert "there is room again" in (tmp_path / "worker.log").read_text(encoding="utf-8")
    assert "Traceback" not in capfd.readouterr().err
