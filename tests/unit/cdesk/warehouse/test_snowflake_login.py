"""Logging in to Snowflake: where the parameters come from, and how a refusal is borne."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdesk.core.errors import (
    ConfigurationError,
    WarehouseError,
    WarehouseNotBuilt,
    WarehouseUnavailable,
)
from cdesk.warehouse.snowflake.driver import errors as sf
from cdesk.warehouse.snowflake.login import ENVIRONMENT, Login, error_code
from cdesk.warehouse.snowflake.refusal import refuse

KEY_ENVIRON = {"SNOWFLAKE_ACCOUNT": "a", "SNOWFLAKE_USER": "u"}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def refusing(code: int, message: str = "refused") -> Callable[..., Any]:
    def connect(**_: object) -> Any:
        connect.calls += 1  # type: ignore[attr-defined]
        raise sf.DatabaseError(
            msg=f"Failed to connect to DB: h:443. {message}", errno=code, sqlstate="08001"
        )

    connect.calls = 0  # type: ignore[attr-defined]
    return connect


def open_(login: Login) -> Any:
    return login.open(role="CDESK_READER", warehouse="CDESK_WH", session_parameters={})


@pytest.mark.parametrize(
    ("code", "message", "says"),
    [
        (
            250001,
            "Incorrect username or password was specified.",
            "the user or the password is wrong",
        ),
        (250001, "JWT token is invalid. [0ce9eb56]", "the key is not the one"),
        (390144, "JWT token is invalid.", "the key is not the one"),
        (
            250001,
            "Role 'CDESK_READER' specified in the connect string is not granted to this user.",
            "role CDESK_READER is not granted",
        ),
        (250001, "Programmatic access token is invalid.", "access token"),
    ],
)
def test_a_refused_login_says_why_and_is_not_repeated(code: int, message: str, says: str) -> None:
    clock, connect = Clock(), refusing(code, message)
    login = Login(KEY_ENVIRON, monotonic=clock, rng=random.Random(1), connect=connect)
    with pytest.raises(WarehouseUnavailable, match=says):
        open_(login)
    for _ in range(50):
        with pytest.raises(WarehouseUnavailable, match=r"the next login is tried in \d+ s"):
            open_(login)
    assert connect.calls == 1  # type: ignore[attr-defined]


def test_an_account_is_not_locked_out_within_an_hour() -> None:
    """Snowflake locks a user for 15 minutes after five wrong logins in a row: here the fifth comes
    after more than that.
    """
    clock, connect = Clock(), refusing(390100)
    login = Login(KEY_ENVIRON, monotonic=clock, rng=random.Random(1), connect=connect)
    seen: list[float] = []
    for _ in range(3600):
        before = connect.calls  # type: ignore[attr-defined]
        with pytest.raises(WarehouseUnavailable):
            open_(login)
        if connect.calls > before:  # type: ignore[attr-defined]
            seen.append(clock.now)
        clock.now += 1
    pauses = [b - a for a, b in itertools.pairwise(seen)]
    assert all(later >= earlier for earlier, later in itertools.pairwise(pauses) if earlier < 900)
    assert len(seen) <= 9


def test_a_rotated_key_is_tried_at_once(tmp_path: Path) -> None:
    key = tmp_path / "rsa_key.p8"
    key.write_text("old", encoding="utf-8")
    clock, connect = Clock(), refusing(390144)
    login = Login(
        {**KEY_ENVIRON, "SNOWFLAKE_PRIVATE_KEY_PATH": str(key)}, monotonic=clock, connect=connect
    )
    for _ in range(2):
        with pytest.raises(WarehouseUnavailable):
            open_(login)
    assert connect.calls == 1  # type: ignore[attr-defined]
    key.write_text("new", encoding="utf-8")
    os.utime(key, ns=(1, 10**18))
    with pytest.raises(WarehouseUnavailable):
        open_(login)
    assert connect.calls == 2  # type: ignore[attr-defined]


def test_a_key_rotated_where_connections_toml_points_is_tried_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "rsa_key.p8"
    key.write_text("old", encoding="utf-8")
    found = {
        "default": {"account": "a", "user": "u", "private_key_path": str(key), "role": "SYSADMIN"}
    }
    monkeypatch.setattr("cdesk.warehouse.snowflake.login.connections", lambda: found)
    connect = refusing(390144)
    login = Login({}, monotonic=Clock(), connect=connect)
    assert login.parameters() == {"account": "a", "user": "u", "private_key_file": str(key)}
    for stamp in (1, 1, 2):
        os.utime(key, ns=(1, stamp * 10**18))
        with pytest.raises(WarehouseUnavailable):
            open_(login)
    assert connect.calls == 2  # type: ignore[attr-defined]


def test_a_success_forgets_the_refusals() -> None:
    clock = Clock()
    answers: list[Any] = [sf.DatabaseError(msg="JWT token is invalid", errno=250001), "connection"]

    def connect(**_: object) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    login = Login(KEY_ENVIRON, monotonic=clock, connect=connect)
    with pytest.raises(WarehouseUnavailable):
        open_(login)
    clock.now += 60
    assert open_(login) == "connection"


def test_the_environment_reaches_the_connector_by_its_own_names() -> None:
    given: dict[str, Any] = {}
    environ = {
        **KEY_ENVIRON,
        "SNOWFLAKE_PRIVATE_KEY_PATH": "k.p8",
        "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": "p",
        "SNOWFLAKE_PORT": "443",
    }
    Login(environ, connect=lambda **kwargs: given.update(kwargs) or "connection").open(
        role="R", warehouse="W", session_parameters={"QUERY_TAG": "cdesk_00000000"}
    )
    assert given["private_key_file"] == "k.p8"
    assert given["authenticator"] == "SNOWFLAKE_JWT"
    assert (given["role"], given["warehouse"], given["database"], given["schema"]) == (
        "R",
        "W",
        "CLAUDE_LOGS",
        "ACTIVITIES",
    )
    assert given["port"] == 443
    assert given["paramstyle"] == "qmark"
    assert "SNOWFLAKE_ACCOUNT" in ENVIRONMENT


def test_no_connection_anywhere_says_how_to_make_one() -> None:
    with pytest.raises(ConfigurationError, match="snow connection add"):
        open_(
            Login({"SNOWFLAKE_DEFAULT_CONNECTION_NAME": "there-is-none"}, connect=lambda **_: None)
        )


@pytest.mark.parametrize(
    ("errno", "sqlstate", "message", "kind", "mends"),
    [
        (
            606,
            "57P03",
            "No active warehouse selected in the current session.",
            WarehouseError,
            "setup_snowflake",
        ),
        (
            2003,
            "42S02",
            "Object 'EVENTS' does not exist or not authorized.",
            WarehouseNotBuilt,
            "dbt build --target snowflake",
        ),
        (
            904,
            "42000",
            "invalid identifier 'VALUE_TYPE'",
            WarehouseNotBuilt,
            "dbt build --target snowflake",
        ),
        (
            3001,
            "42501",
            "Insufficient privileges to operate on table 'LANDING'",
            WarehouseError,
            "setup_snowflake",
        ),
        (
            90073,
            "22000",
            "Warehouse 'CDESK_WH' cannot be resumed because resource monitor 'X' has exceeded "
            "its quota.",
            WarehouseUnavailable,
            "apply_resource_monitors",
        ),
        (
            390114,
            "08001",
            "Authentication token has expired. The user must authenticate again.",
            WarehouseUnavailable,
            "tried again",
        ),
    ],
)
def test_each_refusal_names_what_mends_it(
    errno: int, sqlstate: str, message: str, kind: type[Exception], mends: str
) -> None:
    with pytest.raises(kind, match=mends):
        refuse(sf.ProgrammingError(msg=message, errno=errno, sqlstate=sqlstate))


def test_a_broken_network_is_worth_trying_again() -> None:
    with pytest.raises(WarehouseUnavailable):
        refuse(
            sf.OperationalError(msg="Failed to execute request: Connection aborted", errno=251011)
        )
    with pytest.raises(WarehouseUnavailable):
        refuse(ConnectionResetError("reset"))
    assert error_code(ValueError("x")) == -1


@pytest.mark.parametrize(
    ("message", "first", "most"),
    [
        ("JWT token is invalid", 30.0, 36.0),
        ("no route to host", 2.0, 2.4),
    ],
)
def test_each_failure_doubles_the_pause_and_a_success_begins_anew(
    message: str, first: float, most: float
) -> None:
    """An account that can't be reached is tried sooner than one that refuses."""
    clock = Clock()
    outcomes: list[Any] = []

    def connect(**_: object) -> Any:
        if outcomes:
            return outcomes.pop()
        raise sf.DatabaseError(msg=message, errno=250001)

    login = Login(KEY_ENVIRON, monotonic=clock, rng=random.Random(1), connect=connect)
    for begun in range(2):
        for failure in range(3):
            with pytest.raises(WarehouseUnavailable):
                open_(login)
            low, high = first * 2**failure, most * 2**failure
            clock.now += low - 0.01
            with pytest.raises(WarehouseUnavailable, match=r"; the next login is tried in \d+ s, "):
                open_(login)
            clock.now += high - low + 0.02
        outcomes.append("connection")
        assert open_(login) == "connection", begun


def test_why_a_login_failed_is_said_again_while_it_pauses() -> None:
    clock = Clock()
    login = Login(KEY_ENVIRON, monotonic=clock, connect=refusing(250001, "no route\nto the host"))
    with pytest.raises(WarehouseUnavailable) as caught:
        open_(login)
    said = str(caught.value)
    assert said.startswith("Snowflake cannot be reached (")
    assert said.endswith("no route); check it with 'snow connection test'")
    with pytest.raises(WarehouseUnavailable) as again:
        open_(login)
    assert str(again.value).startswith(said + "; the next login is tried in 2 s, or when the cred")


def test_a_refusal_names_the_credential_or_the_role_to_mend() -> None:
    for code, says in (
        (390144, "it has expired; check it with 'snow connection test' and mend the credential"),
        (390189, "an administrator runs: grant role CDESK_READER to user …"),
    ):
        login = Login(KEY_ENVIRON, monotonic=Clock(), connect=refusing(code))
        with pytest.raises(WarehouseUnavailable) as caught:
            open_(login)
        assert str(caught.value).startswith("Snowflake refuses the login: ")
        assert str(caught.value).endswith(says)


def test_without_a_configuration_nothing_is_counted_as_a_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cdesk.warehouse.snowflake.login.connections", dict)
    login = Login({}, monotonic=Clock(), connect=lambda **_: "connection")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"connections.toml has no 'default'"):
            open_(login)
    monkeypatch.setattr(
        "cdesk.warehouse.snowflake.login.connections", lambda: {"default": {"account": "a"}}
    )
    assert open_(login) == "connection"


def test_a_connection_of_connections_toml_is_taken_without_what_is_ours_to_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {
        "account": "a",
        "user": "u",
        "private_key_path": "k",
        "private_key_passphrase": "p",
        "port": 443,
        "database": "D",
        "schema": "S",
        "role": "R",
        "warehouse": "W",
        "session_parameters": {"X": 1},
    }
    monkeypatch.setattr(
        "cdesk.warehouse.snowflake.login.connections", lambda: {"mine": given, "default": {}}
    )
    login = Login({"SNOWFLAKE_DEFAULT_CONNECTION_NAME": "mine", "SNOWFLAKE_USER": "ignored"})
    assert login.parameters() == {
        "account": "a",
        "user": "u",
        "private_key_file": "k",
        "private_key_file_pwd": "p",
        "port": 443,
    }
    assert Login({}).parameters() == {}


def test_the_environment_is_taken_as_it_is_where_it_names_an_account() -> None:
    assert Login({"SNOWFLAKE_ACCOUNT": "a", "SNOWFLAKE_USER": ""}).parameters() == {"account": "a"}
    key = {"SNOWFLAKE_ACCOUNT": "a", "SNOWFLAKE_PRIVATE_KEY_PATH": "k"}
    assert Login(key).parameters()["authenticator"] == "SNOWFLAKE_JWT"
    oauth = {**key, "SNOWFLAKE_AUTHENTICATOR": "oauth"}
    assert Login(oauth).parameters()["authenticator"] == "oauth"
    wrong = Login(
        {"SNOWFLAKE_ACCOUNT": "a", "SNOWFLAKE_PORT": "x"}, monotonic=Clock(), connect=lambda **_: 1
    )
    for _ in range(2):
        with pytest.raises(WarehouseUnavailable, match="invalid literal"):
            open_(wrong)
    plain = Login({})
    assert (plain.database, plain.schema) == ("CLAUDE_LOGS", "ACTIVITIES")
    named = Login({"SNOWFLAKE_DATABASE": "D", "SNOWFLAKE_SCHEMA": "S"})
    assert (named.database, named.schema) == ("D", "S")


def test_a_rotated_token_begins_the_pauses_anew(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old", encoding="utf-8")
    clock, connect = Clock(), refusing(390303)
    environ = {**KEY_ENVIRON, "SNOWFLAKE_TOKEN_FILE_PATH": str(token)}
    login = Login(environ, monotonic=clock, rng=random.Random(1), connect=connect)
    for stamp in range(1, 4):
        os.utime(token, ns=(1, stamp * 10**18))
        with pytest.raises(WarehouseUnavailable):
            open_(login)
        with pytest.raises(WarehouseUnavailable, match=r"in 3\d s"):
            open_(login)
    token.unlink()
    with pytest.raises(WarehouseUnavailable, match="Snowflake refuses the login"):
        open_(login)
    assert connect.calls == 4  # type: ignore[attr-defined]
