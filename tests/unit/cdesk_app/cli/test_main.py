"""The `cdesk` command's manners: help, exit codes, one line for what went wrong."""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cdesk.core.errors import CdeskError, ConfigurationError, InvalidField
from cdesk.core.home import StateDirectory
from cdesk.core.plain import plain
from cdesk_app.cli import main as cli_main
from cdesk_app.cli.extras import EXTRAS
from cdesk_app.cli.main import COMMANDS, build_parser, main

ROOT = Path(__file__).resolve().parents[3]


def test_without_arguments_it_shows_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    for name, (_, text) in COMMANDS.items():
        assert f"  {name} " in out
        assert text in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: cdesk {name}")
    assert f"example:\n  cdesk {name}" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str) -> None:
    for action in build_parser(name)._actions:
        assert action.help, f"{name} {action.option_strings or action.dest}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_a_command_that_its_parser_takes(name: str) -> None:
    for line in cli_main.load(name).EXAMPLE.splitlines():
        words = shlex.split(line, comments=True)
        assert words[:2] == ["cdesk", name]
        build_parser(name).parse_args(words[2:])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["quary"], 2, "there is no command 'quary'; did you mean 'cdesk query'?"),
        (["zzz"], 2, "'cdesk --help' lists the commands"),
        (["query"], 2, "the following arguments are required: TEMPLATE"),
        (["status", "--jso"], 2, "unrecognized arguments: --jso"),
        (["context", "--max-bytes", "10"], 2, "10 is not a number from 2,048 to 262,144"),
        (["context", "--max-bytes", "0"], 2, "0 is not a number from 2,048 to 262,144"),
        (["context", "--max-bytes", "1e4"], 2, "'1e4' is not a number from 2,048 to 262,144"),
        (["query", "recent", "-p", "x"], 2, "'x' is not of the form KEY=VALUE"),
        (["kill-switch", "maybe"], 2, "invalid choice: 'maybe'"),
        (["query", "recent_activities"], 1, "the query catalog is not there yet"),
        (["import", "nowhere.zip"], 1, "nowhere.zip cannot be read"),
    ],
)
def test_what_went_wrong_is_said_on_stderr_with_the_exit_code(
    words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == code
    streams = capsys.readouterr()
    assert streams.out == ""
    assert said in streams.err
    assert "Traceback" not in streams.err
    if code == 1:
        assert streams.err.count("\n") == 1


def failing(error: BaseException) -> object:
    class Command:
        EXAMPLE = "cdesk status"

        @staticmethod
        def add_arguments(parser: argparse.ArgumentParser) -> None:
            del parser

        @staticmethod
        def run(args: argparse.Namespace) -> int:
            del args
            raise error

    return Command


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (CdeskError("first line\nsecond line"), 1, "cdesk: first line second line\n"),
        (
            ModuleNotFoundError("No module named 'dbt.cli'", name="dbt.cli"),
            1,
            "cdesk: this command needs dbt, which is not installed; run: pip install "
            "'cdesk[worker]'\n",
        ),
        (
            ModuleNotFoundError("No module named 'snowflake'", name="snowflake"),
            1,
            "cdesk: this command needs snowflake, which is not installed; run: pip install "
            "'cdesk[snowflake]'\n",
        ),
        (RuntimeError("odd"), 1, "cdesk: RuntimeError: odd; 'cdesk --debug …' shows where\n"),
        (RuntimeError(), 1, "cdesk: RuntimeError: no message; 'cdesk --debug …' shows where\n"),
        (
            ModuleNotFoundError("No module named 'own'", name="own"),
            1,
            "cdesk: ModuleNotFoundError: No module named 'own'; 'cdesk --debug …' shows where\n",
        ),
        (
            ModuleNotFoundError("gone"),
            1,
            "cdesk: ModuleNotFoundError: gone; 'cdesk --debug …' shows where\n",
        ),
        (NameError("x", name="duckdb"), 1, "cdesk: NameError: x; 'cdesk --debug …' shows where\n"),
        (InvalidField("f", "p", "a"), 2, "cdesk: f: p; allowed: a\n"),
        (CdeskError("a\x1b[31mb"), 1, f"cdesk: {plain('a' + chr(27) + '[31mb')}\n"),
        (SystemExit("a text"), 1, ""),
        (SystemExit(7), 7, ""),
        (KeyboardInterrupt(), 130, "cdesk: interrupted\n"),
    ],
)
def test_errors_become_one_line(
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli_main, "load", lambda _name: failing(error))
    assert main(["status"]) == code
    assert capsys.readouterr().err == said


def test_with_debug_the_traceback_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_main, "load", lambda _name: failing(ConfigurationError("x")))
    with pytest.raises(ConfigurationError):
        main(["--debug", "status"])


def test_a_setting_that_cannot_be_used_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CDESK_TARGET", "oracle")
    assert main(["status"]) == 1
    assert capsys.readouterr().err == "cdesk: target is 'oracle'; allowed: duckdb, snowflake\n"


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cdesk {version('cdesk')}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a closed pipe is another error there")
def test_a_reader_that_went_away_is_no_traceback(state_home: StateDirectory) -> None:
    del state_home
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run(
        [sys.executable, "-m", "cdesk_app.cli", "status"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
    )
    os.close(write)
    assert run.returncode == 1
    assert run.stderr == ""


def test_python_dash_m_cli_is_cdesk() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "cdesk_app.cli", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=ROOT,
    )
    assert run.stdout.startswith("cdesk ")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize("words", [["--help"], ["doctor"], ["doctor", "--json"]])
def test_a_stream_that_lacks_characters_prints_all_the_same(
    words: list[str], encoding: str, state_home: StateDirectory
) -> None:
    environ = {**os.environ, "CDESK_HOME": str(state_home.root), "CDESK_CUSTOMER": "Ада 🙂"}
    done = subprocess.run(
        [sys.executable, "-m", "cdesk_app.cli", *words],
        env={**environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert b"UnicodeEncodeError" not in done.stderr
    text = done.stdout.decode(encoding)
    if words == ["doctor"]:
        assert "-> " in text
        assert r"\u0410\u0434\u0430 \ud83d\ude42" in text
    elif words == ["doctor", "--json"]:
        found = {one["check"]: one for one in json.loads(text)}
        assert "customer Ада 🙂" in found["settings"]["found"]


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal is made with pty")
@pytest.mark.parametrize(
    ("words", "said"),
    [(["mcp"], b"it waits for a client's messages"), (["worker"], b"it waits for records")],
)
def test_what_waits_says_so_in_a_terminal(
    words: list[str], said: bytes, state_home: StateDirectory
) -> None:
    import pty
    import select

    leader, follower = pty.openpty()
    environ = {**os.environ, "CDESK_HOME": str(state_home.root), "CDESK_WORKER": "off"}
    process = subprocess.Popen(
        [sys.executable, "-m", "cdesk_app.cli", *words],
        env=environ,
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=follower,
    )
    try:
        seen = b""
        while said not in seen:
            assert select.select([leader], [], [], 60)[0], seen
            seen += os.read(leader, 4096)
    finally:
        process.terminate()
        out, _ = process.communicate(timeout=60)
        os.close(leader)
        os.close(follower)
    assert out == b"", "standard output is the protocol's"


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_what_is_held_in_the_queue_is_named(
    command: str,
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CDESK_HOME", str(state_home.root))
    name = f"{'0' * 32}-000001.ndjson"
    (state_home.queue / name).mkdir()
    main([command])
    assert f"{name} (a folder)" in capsys.readouterr().out


@pytest.mark.parametrize("target", ["duckdb", "snowflake"])
def test_doctor_says_of_each_part_that_is_not_installed_what_is_not_there(
    target: str,
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CDESK_HOME", str(state_home.root))
    monkeypatch.setenv("CDESK_TARGET", target)
    monkeypatch.setenv("CDESK_ARTIFACTS_URL", "s3://bucket/prefix")
    monkeypatch.setattr("cdesk_app.cli.doctor._installed", lambda _: False)
    main(["doctor", "--json"])
    found = {one["check"]: one for one in json.loads(capsys.readouterr().out)}
    parts = {check: one for check, one in found.items() if check.startswith("part ")}
    unused = "worker" if target == "snowflake" else "snowflake"
    assert parts.keys() == {f"part {extra}" for extra in EXTRAS if extra != unused}
    assert all("not installed" in one["found"] for one in parts.values())
    assert parts["part http"]["level"] == "ok", "a person alone needs no service"


def test_its_own_words_are_those_of_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["--version"], ["-V"], ["--debug", "--version"]):
        monkeypatch.setattr(sys, "argv", ["cdesk", *words])
        assert main() == 0
        assert capsys.readouterr().out.startswith("cdesk ")
    for words in (["-h"], ["help"], ["--debug"], []):
        assert main(words) == 0
        assert capsys.readouterr().out.startswith("usage: cdesk ")
    assert main(["--debug", "zzz"]) == 2


def test_an_installation_for_snowflake_is_told_its_own_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = ModuleNotFoundError("No module named 'dbt'", name="dbt.cli")
    monkeypatch.setattr(cli_main, "load", lambda _name: failing(missing))
    monkeypatch.setenv("CDESK_TARGET", "snowflake")
    assert main(["status"]) == 1
    assert "this command needs dbt, which is not installed" in (told := capsys.readouterr().err)
    assert told.endswith("run: pip install 'cdesk[snowflake]'\n")


@pytest.mark.parametrize("encoding", ["ascii", "UTF-8", None])
def test_each_stream_that_lacks_characters_is_made_printable(
    encoding: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    monkeypatch.setattr("cdesk_app.cli.encoding.make_printable", made.append)
    raw = io.StringIO() if encoding is None else io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", raw)
    assert main(["--version"]) == 0
    assert made == ([raw] if encoding == "ascii" else [])
    monkeypatch.undo()


def test_what_was_printed_is_out_before_the_command_ends(
    monkeypatch: pytest.MonkeyPatch, state_home: StateDirectory
) -> None:
    """Where a closed pipe is still told from a failure."""
    del state_home
    flushed: list[str] = []

    class Out(io.StringIO):
        def flush(self) -> None:
            if sys.stdout is not self:  # the command's own output stands before it
                flushed.append(self.getvalue())

    monkeypatch.setattr(sys, "stdout", Out())
    assert main(["kill-switch", "status"]) == 0
    assert flushed == ["off: queries run\n"]
    monkeypatch.undo()


def test_the_nearest_command_alone_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["restor"]) == 2
    assert capsys.readouterr().err == (
        "cdesk: there is no command 'restor'; did you mean 'cdesk restore'?\n"
    )
