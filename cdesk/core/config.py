"""Settings: read once, from the environment and `config.toml`, into one frozen object. Nothing else
reads the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from cdesk.core.checks import check_customer
from cdesk.core.errors import ConfigurationError

Target = Literal["duckdb", "snowflake"]
WorkerMode = Literal["auto", "off"]
Durability = Literal["os", "disk"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "target": ("duckdb", "snowflake"),
    "worker": ("auto", "off"),
    "durability": ("os", "disk"),
}
SETTINGS = ("home", "customer", "target", "worker", "durability")
"""Every setting; in the environment `CDESK_` and the upper-case name, in config.toml the name."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process of cdesk needs to know before it starts.

    home: the state directory. customer: whose records these are (stdio has one customer). target:
        the warehouse engine.
    worker: `auto` starts a worker where none runs. durability: `os` survives the death of the
        process, `disk` the loss of power.
    """

    home: Path
    customer: str
    target: Target = "duckdb"
    worker: WorkerMode = "auto"
    durability: Durability = "os"
    environ: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """The environment as it was read, for child processes and for the engines' own variables (never
    logged).
    """


def default_home(environ: Mapping[str, str]) -> Path:
    """`CDESK_HOME`, or the platform's directory for application data."""
    if given := environ.get("CDESK_HOME"):
        return Path(given).expanduser().absolute()
    from platformdirs import (
        user_data_path,
    )  # only needed here: a shim with CDESK_HOME set starts without it

    return user_data_path("cdesk", appauthor=False)


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Settings from `environ` first, then `config.toml` in the state directory, then defaults.

    Raises:
        ConfigurationError: a value that is not allowed, an unknown key in config.toml, or a file
        that is no TOML.
    """
    home = default_home(environ)
    file_values = _read_file(home / "config.toml")

    def value(name: str, default: str) -> str:
        text = environ.get(f"CDESK_{name.upper()}") or file_values.get(name) or default
        allowed = _CHOICES.get(name)
        if allowed and text not in allowed:
            raise ConfigurationError(f"{name} is {text!r}; allowed: {', '.join(allowed)}")
        return text

    customer = value("customer", environ.get("USER") or environ.get("USERNAME") or "local")
    try:
        check_customer(customer)
    except ValueError as error:
        problem, allowed = error.args
        raise ConfigurationError(f"customer: {problem}; allowed: {allowed}") from None
    return Settings(
        home=home,
        customer=customer,
        target=cast(Target, value("target", "duckdb")),
        worker=cast(WorkerMode, value("worker", "auto")),
        durability=cast(Durability, value("durability", "os")),
        environ=dict(environ),
    )


def _read_file(path: Path) -> dict[str, str]:
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror}); mend its permissions"
        ) from None
    import tomllib

    try:
        values = tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from None
    for key, item in values.items():
        if key not in SETTINGS or key == "home":
            raise ConfigurationError(
                f"{path}: unknown setting {key!r}; allowed: {', '.join(SETTINGS[1:])}"
            )
        if not isinstance(item, str):
            raise ConfigurationError(f"{path}: {key} is not a string")
    return values
