"""What Snowflake's loaders are made of: bounded calls, the account's clock, instants, the parts of
a landing, the SDK's client, and that everything else is the plain connector's.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cdesk.contract.catalog import Template
from cdesk.core.config import Settings
from cdesk.core.errors import (
    ConfigurationError,
    StateDirectoryError,
    WarehouseUnavailable,
)
from cdesk.warehouse.protocol import LandedLine
from cdesk.warehouse.snowflake import snowpipe_sdk, streaming
from cdesk.warehouse.snowflake.bounded import BoundedCalls
from cdesk.warehouse.snowflake.clock import AccountClock
from cdesk.warehouse.snowflake.login import Login
from cdesk.warehouse.snowflake.streaming import SnowpipeWarehouse, writer_id
from cdesk.warehouse.snowflake.times import EPOCH, naive_text, utc
from cdesk.warehouse.snowflake.warehouse import SnowflakeWarehouse

HOUR = 3_600.0


# -- calls


def test_a_call_gives_what_it_returns_or_raises_in_time() -> None:
    calls = BoundedCalls("X")
    assert calls(lambda: 7, 30) == 7
    with pytest.raises(KeyError, match="theirs"):
        calls(lambda: {}["theirs"], 30)
    assert calls(lambda: None, 30) is None


def test_a_call_that_hangs_is_left_and_no_other_is_begun_until_it_ends() -> None:
    calls, go = BoundedCalls("The service"), threading.Event()
    late: list[int] = []

    def hang() -> int:
        assert go.wait(60)
        return 7

    with pytest.raises(WarehouseUnavailable, match=r"^The service has not answered within 0 s; it"):
        calls(hang, 0.01, abandoned=late.append)
    thread = calls._hanging
    assert thread is not None
    assert (thread.daemon, thread.name) == (True, "cdesk-snowpipe")
    with pytest.raises(WarehouseUnavailable, match=r"^The service still doesn't answer an earlier"):
        calls(lambda: 1, 30)
    go.set()
    thread.join(60)
    assert late == [7], "who gave it up puts away what came"
    assert calls(lambda: 1, 30, abandoned=late.append) == 1
    assert late == [7]


def test_an_error_that_comes_too_late_is_nobodys() -> None:
    calls, go = BoundedCalls("X"), threading.Event()
    late: list[Any] = []

    def fail() -> None:
        assert go.wait(60)
        raise KeyError

    with pytest.raises(WarehouseUnavailable):
        calls(fail, 0.01, abandoned=late.append)
    thread = calls._hanging
    assert thread is not None
    go.set()
    thread.join(60)
    assert late == []
    assert calls(lambda: 1, 30) == 1


# -- clock and instants


class Clocks:
    """This machine's two, and how often the account was asked."""

    def __init__(self) -> None:
        self.wall = 1_000 * HOUR
        self.steady = 50.0
        self.ahead = timedelta(seconds=10)
        self.asked = 0
        self.fails = False

    def distance(self) -> timedelta:
        self.asked += 1
        if self.fails:
            raise WarehouseUnavailable("x")
        return self.ahead

    def later(self, seconds: float, *, set_by: float = 0.0) -> None:
        self.wall += seconds + set_by
        self.steady += seconds

    def clock(self) -> AccountClock:
        return AccountClock(
            self.distance, now_ns=lambda: int(self.wall * 1e9), monotonic=lambda: self.steady
        )


def test_the_accounts_time_is_this_machines_by_the_distance() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    assert clock.now() == EPOCH + timedelta(hours=1_000, seconds=10)
    clocks.later(1.5)
    clocks.ahead = timedelta(0)
    assert clock.now() == EPOCH + timedelta(hours=1_000, seconds=11.5)
    assert clocks.asked == 1


@pytest.mark.parametrize(
    ("seconds", "set_by", "asked"),
    [
        (60.0, 2.0, 1),
        (60.0, -2.0, 1),
        (60.0, 2.5, 2),
        (60.0, -2.5, 2),
        (6 * HOUR, 0.0, 1),
        (6 * HOUR + 1, 0.0, 2),
    ],
)
def test_the_account_is_asked_again_after_six_hours_or_a_jump_of_two_seconds(
    seconds: float, set_by: float, asked: int
) -> None:
    clocks = Clocks()
    clock = clocks.clock()
    clock.now()
    clocks.later(seconds, set_by=set_by)
    clocks.ahead = timedelta(seconds=20)
    now = clock.now()
    assert clocks.asked == asked
    ahead = 20 if asked == 2 else 10
    assert (now - EPOCH).total_seconds() == pytest.approx(clocks.wall + ahead, abs=1e-3)
    clocks.later(60)
    clock.now()
    if asked == 2:
        assert clocks.asked == 2, "from then on it is good for as long again"


def test_an_account_that_cannot_be_asked_is_asked_hours_later_or_said() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    clocks.fails = True
    with pytest.raises(WarehouseUnavailable):
        clock.now()
    clocks.fails = False
    clock.now()
    clocks.fails = True
    clocks.later(7 * HOUR)
    assert clock.now() == EPOCH + timedelta(hours=1_007, seconds=10), "the old distance is good"
    clocks.later(60)
    clock.now()
    assert clocks.asked == 3, "it isn't asked with each landing"
    clocks.later(60, set_by=60)
    with pytest.raises(WarehouseUnavailable):
        clock.now()


def test_instants_are_utc_in_the_warehouse_and_here() -> None:
    naive = datetime(2026, 1, 31, 12, 0, 0, 7)  # noqa: DTZ001 - as the connector hands it out
    assert utc(None) is None
    assert utc(naive) == naive.replace(tzinfo=UTC)
    elsewhere = naive.replace(tzinfo=timezone(timedelta(hours=2)))
    assert naive_text(elsewhere) == "2026-01-31 10:00:00.000007"
    assert naive_text(EPOCH) == "1970-01-01 00:00:00.000000"


# -- parts of a landing


def line(number: int, size: int = 10) -> LandedLine:
    return LandedLine(f"id-{number}", "event", "ü" * (size // 2), "f", number)


@pytest.mark.parametrize(
    ("rows", "size", "most_rows", "most_bytes", "parts"),
    [
        (0, 10, 3, 9_999, []),
        (3, 10, 3, 9_999, [3]),
        (4, 10, 3, 9_999, [3, 1]),
        (4, 10, 9, 420, [2, 2]),
        (4, 10, 9, 419, [1, 1, 1, 1]),
        (2, 10, 9, 1, [1, 1]),
    ],
)
def test_an_append_holds_no_more_rows_and_bytes_than_it_may(
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
    size: int,
    most_rows: int,
    most_bytes: int,
    parts: list[int],
) -> None:
    monkeypatch.setattr(streaming, "_APPEND_ROWS", most_rows)
    monkeypatch.setattr(streaming, "_APPEND_BYTES", most_bytes)
    lines = [line(number, size) for number in range(rows)]
    found = list(streaming._parts(lines))
    assert [len(part) for part in found] == parts
    assert [one for part in found for one in part] == lines


# -- who writes


def test_a_writers_id_is_made_once_and_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    made = writer_id(tmp_path)
    assert (tmp_path / "writer_id").read_text(encoding="ascii") == f"{made}\n"
    assert writer_id(tmp_path) == made
    (tmp_path / "writer_id").write_text("  \n", encoding="ascii")
    again = writer_id(tmp_path)
    assert again not in ("", made)
    (tmp_path / "writer_id").write_bytes(b"\xff")
    with pytest.raises(StateDirectoryError, match=r"writer_id cannot be used \(.*\); remove it$"):
        writer_id(tmp_path)
    with pytest.raises(StateDirectoryError, match="cannot be used"):
        writer_id(tmp_path / "none")


@pytest.mark.parametrize(
    ("environ", "role", "pipe"),
    [
        ({}, "CDESK_LOADER", "LANDING_PIPE"),
        ({"CDESK_SNOWFLAKE_LOADER_ROLE": "L"}, "L", "LANDING_PIPE"),
        (
            {"CDESK_SNOWFLAKE_LOADER_ROLE": "L", "CDESK_SNOWFLAKE_PIPE_ROLE": "P"},
            "P",
            "LANDING_PIPE",
        ),
        ({"CDESK_SNOWFLAKE_PIPE": "MY_PIPE"}, "CDESK_LOADER", "MY_PIPE"),
    ],
)
def test_the_client_is_opened_with_the_role_the_pipe_and_the_channel_of_the_settings(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    role: str,
    pipe: str,
) -> None:
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(streaming, "sdk_client", lambda _, **options: given.append(options))
    warehouse = streaming.open_snowflake(
        Settings(
            home=tmp_path,
            customer="ada",
            target="snowflake",
            environ={"CDESK_SNOWFLAKE_LANDING": "streaming", **environ},
        )
    )
    assert isinstance(warehouse, SnowpipeWarehouse)
    warehouse._open_client()
    channel = streaming.channel_name(writer_id(tmp_path))
    assert given == [{"role": role, "pipe": pipe, "name": channel}]
    assert warehouse._channel_name == channel


@pytest.mark.parametrize(
    ("environ", "roles"),
    [
        ({}, ("CDESK_READER", "CDESK_LOADER", "CDESK_WH")),
        (
            {
                "CDESK_SNOWFLAKE_READER_ROLE": "R",
                "CDESK_SNOWFLAKE_LOADER_ROLE": "L",
                "SNOWFLAKE_WAREHOUSE": "W",
            },
            ("R", "L", "W"),
        ),
    ],
)
def test_sessions_have_the_roles_and_the_warehouse_of_the_settings(
    tmp_path: Path, environ: dict[str, str], roles: tuple[str, str, str]
) -> None:
    settings = Settings(home=tmp_path, customer="ada", target="snowflake", environ=environ)
    opened: list[dict[str, Any]] = []

    class Connection(contextlib.AbstractContextManager[Any]):
        def __exit__(self, *_: object) -> None:
            pass

        def cursor(self) -> Connection:
            return self

        def execute(self, *_: object) -> Connection:
            return self

        def fetchone(self) -> tuple[None, None]:
            return None, None

        def is_closed(self) -> bool:
            return False

        def close(self) -> None:
            closed.append(self)

    closed: list[Any] = []

    def connect(**given: Any) -> Connection:
        opened.append(given)
        return Connection()

    login = Login({"SNOWFLAKE_ACCOUNT": "a"}, connect=connect)
    warehouse = SnowflakeWarehouse.from_settings(settings, login)
    warehouse.data_version()
    warehouse.last_landing()
    assert [(one["role"], one["warehouse"]) for one in opened] == [
        (roles[0], roles[2]),
        (roles[1], roles[2]),
    ]
    assert opened[0]["session_parameters"] == {
        "STATEMENT_TIMEOUT_IN_SECONDS": 30,
        "MULTI_STATEMENT_COUNT": 1,
        "USE_CACHED_RESULT": True,
        "TIMEZONE": "UTC",
    }
    assert opened[1]["session_parameters"] == {
        "MULTI_STATEMENT_COUNT": 1,
        "TIMEZONE": "UTC",
        "QUERY_TAG": "cdesk_00000000",
    }
    for one in opened:
        assert (one["autocommit"], one["client_session_keep_alive"]) == (True, False)
        assert (one["login_timeout"], one["network_timeout"]) == (20, 60)
        assert (one["application"], one["paramstyle"]) == ("cdesk", "qmark")
    assert closed == []
    warehouse.close()
    assert len(closed) == 2, "readers and loaders"
    assert SnowflakeWarehouse.from_settings(settings)._readers is not None


# -- everything else is the plain connector's


def test_what_is_no_landing_goes_to_the_plain_connector_as_it_was_asked() -> None:
    calls: list[Any] = []

    class Plain:
        def __getattr__(self, name: str) -> Callable[..., Any]:
            def called(*given: Any, **options: Any) -> str:
                calls.append((name, given, options))
                return f"of {name}"

            return called

    warehouse = SnowpipeWarehouse(Plain(), lambda: None, channel="c")  # type: ignore[arg-type, return-value]
    template = Template("t", "", "org", (), "select 1", (), {}, "0" * 16)
    cancel = threading.Event()
    run = {"query_tag": "t", "timeout_seconds": 5.0, "cancel": cancel, "whole": True}
    asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("reading", ([template],), {"cancel": cancel}),
        ("last_landing", (), {}),
        ("run_template", (template, [1]), run),
        ("explain_template", (template, [1]), {"query_tag": "t"}),
        ("export_context", (), {"since": "2026"}),
        ("building", (), {}),
        ("data_state", ("ada",), {"system": True}),
        ("data_version", (), {}),
    ]
    for name, given, options in asked:
        assert getattr(warehouse, name)(*given, **options) == f"of {name}"
    assert calls == asked
    calls.clear()
    warehouse.run_template(template, [1], query_tag="t", timeout_seconds=5.0)
    assert calls[0][2] == {**run, "cancel": None, "whole": False}
    with warehouse.bulk() as stretch:
        assert stretch is None


def test_the_plain_connector_lands_by_its_loaders_and_reads_by_its_readers() -> None:
    calls: list[Any] = []

    def recorder(who: str) -> Any:
        class Recorder:
            def __getattr__(self, name: str) -> Callable[..., Any]:
                def called(*given: Any, **options: Any) -> str:
                    calls.append((who, name, given, options))
                    return f"{name} of {who}"

                return called

        return Recorder()

    warehouse = SnowflakeWarehouse(Login({}))
    warehouse._loader, warehouse._reader = recorder("loader"), recorder("reader")
    template = Template("t", "", "org", (), "select 1", (), {}, "0" * 16)
    after, cancel = datetime.now(UTC), threading.Event()
    asked: list[tuple[str, str, tuple[Any, ...], dict[str, Any]]] = [
        ("loader", "land", ([line(1)],), {"after": after}),
        ("loader", "clock_distance", (), {}),
        ("loader", "positions", (["f"],), {}),
        ("loader", "last_landing", (), {}),
        ("reader", "explain_template", (template, [1]), {"query_tag": "t"}),
        ("reader", "export_context", (), {"since": "2026"}),
        ("reader", "data_version", (), {}),
    ]
    for who, name, given, options in asked:
        assert getattr(warehouse, name)(*given, **options) == f"{name} of {who}"
    assert calls == asked
    calls.clear()
    warehouse.run_template(template, [1], query_tag="t", timeout_seconds=5.0, cancel=cancel)
    assert calls == [("reader", "run_template", (template, [1], "t", 5.0, cancel), {})]
    calls.clear()
    with warehouse.bulk() as stretch, warehouse.reading([template], cancel=cancel):
        assert stretch is None
    with warehouse.building():
        assert warehouse.data_state("ada", system=True) is None
    assert calls == []


# -- the SDK


@pytest.fixture
def key(tmp_path: Path) -> Callable[..., Path]:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    def make(passphrase: str | None = None) -> Path:
        made = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        encryption = (
            serialization.BestAvailableEncryption(passphrase.encode())
            if passphrase
            else serialization.NoEncryption()
        )
        path = tmp_path / "rsa_key.p8"
        path.write_bytes(
            made.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
            )
        )
        return path

    return make


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """In place of the SDK's client: with what each was opened."""
    opened: list[dict[str, Any]] = []
    module = ModuleType("snowflake.ingest.streaming")
    module.StreamingIngestClient = lambda **given: opened.append(given) or "client"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "snowflake.ingest", ModuleType("snowflake.ingest"))
    monkeypatch.setitem(sys.modules, "snowflake.ingest.streaming", module)
    return opened  # type: ignore[return-value]


@pytest.mark.parametrize("passphrase", [None, "pass"])
@pytest.mark.parametrize("host", [None, "snow.example.com"])
def test_the_sdks_client_is_opened_for_the_connection_that_there_is(
    key: Callable[..., Path],
    sdk: list[dict[str, Any]],
    passphrase: str | None,
    host: str | None,
) -> None:
    path = key(passphrase)
    environ = {
        "SNOWFLAKE_ACCOUNT": "acc",
        "SNOWFLAKE_USER": "u",
        "SNOWFLAKE_PRIVATE_KEY_PATH": str(path),
        "SNOWFLAKE_DATABASE": "DB",
        "SNOWFLAKE_SCHEMA": "SC",
        **({"SNOWFLAKE_HOST": host} if host else {}),
        **({"SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": passphrase} if passphrase else {}),
    }
    client: object = snowpipe_sdk.sdk_client(Login(environ), role="R", pipe="P", name="N")
    assert client == "client"
    [given] = sdk
    properties = given.pop("properties")
    assert given == {"client_name": "N", "db_name": "DB", "schema_name": "SC", "pipe_name": "P"}
    secret = properties.pop("private_key")
    assert secret.startswith("-----BEGIN PRIVATE KEY-----")
    assert properties == {
        "account": "acc",
        "user": "u",
        "role": "R",
        "url": f"https://{host or 'acc.snowflakecomputing.com'}:443",
    }


@pytest.mark.parametrize("missing", ["ACCOUNT", "USER", "PRIVATE_KEY_PATH"])
def test_without_an_account_a_user_and_a_key_it_says_what_to_do(
    key: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    parameters: dict[str, object] = {
        "account": "acc",
        "user": "u",
        "private_key_file": str(key()),
    }
    del parameters[
        {"ACCOUNT": "account", "USER": "user", "PRIVATE_KEY_PATH": "private_key_file"}[missing]
    ]
    login = Login({})
    monkeypatch.setattr(login, "parameters", lambda: parameters)
    with pytest.raises(ConfigurationError, match="needs an account, a user and a private key"):
        snowpipe_sdk.sdk_client(login, role="R", pipe="P", name="N")


def test_a_key_that_cannot_be_read_and_a_missing_sdk_are_named(
    key: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {
        "SNOWFLAKE_ACCOUNT": "acc",
        "SNOWFLAKE_USER": "u",
        "SNOWFLAKE_PRIVATE_KEY_PATH": str(key("pass")),
    }
    login = Login(environ)
    with pytest.raises(ConfigurationError, match=r"rsa_key.p8 cannot be read .*SNOWFLAKE_PRIVATE"):
        snowpipe_sdk.sdk_client(login, role="R", pipe="P", name="N")
    key()
    monkeypatch.setitem(sys.modules, "snowflake.ingest.streaming", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cdesk\[snowflake\]'"):
        snowpipe_sdk.sdk_client(login, role="R", pipe="P", name="N")


def test_what_native_code_prints_meanwhile_goes_to_standard_error(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SS_LOG_LEVEL", raising=False)

    def speaking() -> None:
        with snowpipe_sdk.standard_output_kept():
            os.write(1, b"hello of the logger\n")
            out.write("inside\n")
            raise KeyError

    with open(1, "w", encoding="utf-8", closefd=False) as out:
        monkeypatch.setattr(sys, "stdout", out)
        out.write("before\n")
        with pytest.raises(KeyError):
            speaking()
        out.write("after\n")
        out.flush()
        monkeypatch.undo()
    assert capfd.readouterr() == ("before\nafter\n", "hello of the logger\ninside\n")


def test_the_sdks_logger_is_quiet_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environ: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", environ)
    for given in ("warn", "info"):
        with snowpipe_sdk.standard_output_kept():
            assert environ["SS_LOG_LEVEL"] == given
        environ["SS_LOG_LEVEL"] = "info"


def test_a_process_without_standard_output_has_none_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def closed(_: int) -> int:
        raise OSError

    swapped: list[Any] = []
    monkeypatch.setattr(
        snowpipe_sdk,
        "os",
        SimpleNamespace(environ={}, dup=closed, dup2=lambda *given: swapped.append(given)),
    )
    with snowpipe_sdk.standard_output_kept():
        pass
    assert swapped == []


def test_a_process_without_standard_error_drops_what_is_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which descriptors go where, in their order."""
    done: list[Any] = []

    def fstat(_: int) -> None:
        raise OSError

    def note(name: str, answer: int) -> Callable[..., int]:
        def called(*given: object) -> int:
            done.append((name, *given))
            return answer

        return called

    monkeypatch.setattr(
        snowpipe_sdk,
        "os",
        SimpleNamespace(
            environ={},
            dup=note("dup", 7),
            dup2=note("dup2", 0),
            open=note("open", 8),
            close=note("close", 0),
            fstat=fstat,
            devnull="/dev/null",
            O_WRONLY=os.O_WRONLY,
        ),
    )
    with snowpipe_sdk.standard_output_kept():
        assert done == [("dup", 1), ("open", "/dev/null", os.O_WRONLY), ("dup2", 8, 1)]
    assert done[3:] == [("dup2", 7, 1), ("close", 7)]


def test_what_is_no_error_of_ours_is_told_of_the_landing() -> None:
    """Where the service cannot be opened, the SDK's own words reach whoever reads the log."""

    def fails() -> Any:
        raise TimeoutError("no route\nto the service")

    plain = SimpleNamespace(clock_distance=lambda: timedelta(0), close=lambda: None)
    warehouse = SnowpipeWarehouse(plain, fails, channel="c")  # type: ignore[arg-type]
    with pytest.raises(
        WarehouseUnavailable,
        match=r"^Snowpipe Streaming broke off \(no route\); it is tried again$",
    ):
        warehouse.land([line(1)])
