"""Getting a Snowflake connection, from the places where Snowflake's own tools keep theirs, without
ever locking an account out.

Parameters come from the environment when `SNOWFLAKE_ACCOUNT` is set, else from `connections.toml`
(the connector finds it). Both are read anew at each login, so a rotated key or token is taken up
without a restart. Nothing here is ever written to a file or a log.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from cdesk.core.backoff import Backoff
from cdesk.core.errors import ConfigurationError, WarehouseError, WarehouseUnavailable
from cdesk.warehouse.snowflake.driver import CONNECTIONS_FILE, connector
from cdesk.warehouse.snowflake.driver import errors as sf

_PARAMETERS: Final = {
    "SNOWFLAKE_ACCOUNT": "account",
    "SNOWFLAKE_USER": "user",
    "SNOWFLAKE_PASSWORD": "password",
    "SNOWFLAKE_AUTHENTICATOR": "authenticator",
    "SNOWFLAKE_PRIVATE_KEY_PATH": "private_key_file",
    "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": "private_key_file_pwd",
    "SNOWFLAKE_TOKEN": "token",
    "SNOWFLAKE_TOKEN_FILE_PATH": "token_file_path",
    "SNOWFLAKE_HOST": "host",
    "SNOWFLAKE_PORT": "port",
    "SNOWFLAKE_PROTOCOL": "protocol",
}
"""The connector's own parameters, by the environment variables that dbt's profile and Snowflake's
CLI use, too.
"""
_OTHER_NAMES: Final = {
    "private_key_path": "private_key_file",
    "private_key_passphrase": "private_key_file_pwd",
}
"""What Snowflake's CLI writes, by the connector's names."""
ENVIRONMENT: Final = (
    *_PARAMETERS,
    "SNOWFLAKE_DEFAULT_CONNECTION_NAME",
    "SNOWFLAKE_HOME",
    "SNOWFLAKE_DATABASE",
    "SNOWFLAKE_SCHEMA",
)

DATABASE: Final = "CLAUDE_LOGS"
SCHEMA: Final = "ACTIVITIES"
_REFUSED_LOGIN: Final = {
    390100: "the user or the password is wrong",
    390101: "the user is locked or disabled",
    390102: "the user is locked for a while after too many failures",
    390144: "the key is not the one that the user has in Snowflake, or it has expired",
    390189: "the role is not granted to this user",
    390195: "the single sign-on session has expired",
    390303: "the OAuth token is invalid",
    390318: "the OAuth token has expired",
    390422: "this address is not allowed by the account's network policy",
    394304: "the OAuth token was refused",
    394400: "the programmatic access token is invalid or has expired",
}
"""Login refusals that trying again at once cannot mend.
https://docs.snowflake.com/en/user-guide/key-pair-auth-troubleshooting
"""
_EMBEDDED: Final = re.compile(r"\b(39\d{4})\b")
_PHRASES: Final = {
    "incorrect username or password": 390100,
    "jwt token is invalid": 390144,
    "user temporarily locked": 390102,
    "specified in the connect string is not granted": 390189,
    "oauth access token expired": 390318,
    "invalid oauth access token": 390303,
    "programmatic access token is invalid": 394400,
    "is not allowed to access snowflake": 390422,
}
"""Where the connector leaves the number out of its message."""
_ROLE_NOT_GRANTED: Final = 390189
_REFUSED: Final = Backoff(30.0, 900.0, jitter=(1.0, 1.2))
_UNREACHABLE: Final = Backoff(2.0, 900.0, jitter=(1.0, 1.2))


class Login:
    """Opens connections for one purpose each; safe to use from several threads.

    After a refusal no login is tried for 30 s, then 60, … up to 15 min (Snowflake locks a user
    after 5 in a row), unless a credential file has changed meanwhile. Where the account cannot be
    reached at all the pause begins at 2 s.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        connect: Callable[..., Any] = connector.connect,
    ) -> None:
        self._environ = environ
        self._monotonic = monotonic
        self._rng = rng or random.Random()
        self._connect = connect
        self._lock = threading.Lock()
        self._failures = 0
        self._not_before = 0.0
        self._reason = ""
        self._credentials: tuple[object, ...] = ()
        self.database = environ.get("SNOWFLAKE_DATABASE") or DATABASE
        self.schema = environ.get("SNOWFLAKE_SCHEMA") or SCHEMA

    def open(self, *, role: str, warehouse: str, session_parameters: Mapping[str, object]) -> Any:
        """A new connection with server-side binds.

        Raises:
            WarehouseUnavailable: refused, unreachable, or still pausing after that.
            ConfigurationError: no connection is configured.
        """
        with self._lock:
            self._check_pause()
        try:
            connection = self._connect(
                **self.parameters(),
                database=self.database,
                schema=self.schema,
                role=role,
                warehouse=warehouse,
                paramstyle="qmark",
                autocommit=True,
                application="cdesk",
                login_timeout=20,
                network_timeout=60,
                client_session_keep_alive=False,
                session_parameters=dict(session_parameters),
            )
        except (sf.Error, OSError, ValueError, TypeError) as error:
            raise self._failed(error, role) from None
        with self._lock:
            self._failures, self._not_before, self._reason = 0, 0.0, ""
        return connection

    def parameters(self) -> dict[str, object]:
        """The connector's parameters as they stand now, without role, warehouse, database and
        schema, which are ours to say.

        Raises:
            ConfigurationError: no connection is configured.
        """
        values: dict[str, object] = {
            parameter: value
            for name, parameter in _PARAMETERS.items()
            if (value := self._environ.get(name))
        }
        if "account" in values:
            if "port" in values:
                values["port"] = int(str(values["port"]))
            if "private_key_file" in values:
                values.setdefault("authenticator", "SNOWFLAKE_JWT")
            return values
        found = connections()
        name = self._environ.get("SNOWFLAKE_DEFAULT_CONNECTION_NAME") or "default"
        if name not in found:
            raise ConfigurationError(
                f"no Snowflake connection: connections.toml has no {name!r}; "
                "run 'snow connection add', or set SNOWFLAKE_ACCOUNT and SNOWFLAKE_USER"
            )
        own = ("database", "schema", "role", "warehouse", "session_parameters")
        parameters: dict[str, object] = dict(found[name])
        return {
            _OTHER_NAMES.get(key, key): value for key, value in parameters.items() if key not in own
        }

    def _check_pause(self) -> None:
        if self._monotonic() >= self._not_before:
            return
        if self._fingerprint() != self._credentials:
            self._failures, self._not_before = 0, 0.0
            return
        left = round(self._not_before - self._monotonic())
        raise WarehouseUnavailable(
            f"{self._reason}; the next login is tried in {left} s, "
            "or when the credentials have changed"
        )

    def _failed(self, error: Exception, role: str) -> WarehouseError | ConfigurationError:
        code = error_code(error)
        if isinstance(error, ConfigurationError):
            return error
        with self._lock:
            self._failures += 1
            self._credentials = self._fingerprint()
            refused = _REFUSED_LOGIN.get(code)
            backoff = _REFUSED if refused else _UNREACHABLE
            pause = backoff.pause(self._failures, self._rng)
            self._not_before = self._monotonic() + pause
            if code == _ROLE_NOT_GRANTED:
                self._reason = (
                    f"Snowflake refuses the login: role {role} is not granted to this user; "
                    f"an administrator runs: grant role {role} to user …"
                )
            elif refused:
                self._reason = (
                    f"Snowflake refuses the login: {refused}; "
                    "check it with 'snow connection test' and mend the credential"
                )
            else:
                self._reason = (
                    f"Snowflake cannot be reached ({first_line(error)}); "
                    "check it with 'snow connection test'"
                )
            return WarehouseUnavailable(self._reason)

    def _fingerprint(self) -> tuple[object, ...]:
        """What changes when a credential is rotated: the times of the files."""
        try:
            parameters = self.parameters()
        except (ConfigurationError, ValueError):
            parameters = {}
        files = [
            str(parameters.get(name) or "") for name in ("private_key_file", "token_file_path")
        ]
        times: list[object] = []
        for path in [*(Path(file) for file in files if file), Path(CONNECTIONS_FILE)]:
            try:
                times.append(path.stat().st_mtime_ns)
            except OSError:
                times.append(None)
        return tuple(times)


def connections() -> Mapping[str, Any]:
    """The connections of connections.toml by name.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    from snowflake.connector.config_manager import CONFIG_MANAGER

    try:
        # which the connector does once a process: a rotated credential would go unnoticed
        CONFIG_MANAGER.read_config()
        found: Any = CONFIG_MANAGER["connections"]
    except (sf.Error, OSError, KeyError, ValueError) as error:
        raise ConfigurationError(
            f"connections.toml cannot be read ({error}); mend it, or set SNOWFLAKE_ACCOUNT"
        ) from None
    return dict(found)


def error_code(error: Exception) -> int:
    """Snowflake's own number: the connector puts a login's inside its message behind a 250001 of
    its own.
    """
    number = getattr(error, "errno", None)
    if number in (None, -1, 250001):
        found = _EMBEDDED.search(str(error))
        if found:
            return int(found[1])
        text = str(error).lower()
        for phrase, code in _PHRASES.items():
            if phrase in text:
                return code
    return number if isinstance(number, int) else -1


def first_line(error: Exception) -> str:
    """One line, without the values that an error may quote (failed rows, statements)."""
    text = str(getattr(error, "msg", None) or error).strip().partition("\n")[0]
    return text if len(text) <= 200 else text[:199] + "…"
