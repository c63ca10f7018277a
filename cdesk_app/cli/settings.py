"""The settings and the state directory that a subcommand works on."""

from __future__ import annotations

import os

from cdesk.core.config import Settings, Target, load_settings
from cdesk.core.errors import ConfigurationError
from cdesk.core.home import StateDirectory


def settings_and_home(*, make: bool = True) -> tuple[Settings, StateDirectory]:
    """Settings of this process and its state directory, made where it is missing unless `make` is
    false.

    Raises:
        ConfigurationError, StateDirectoryError: one of them cannot be used.
    """
    settings = load_settings(os.environ)
    home = StateDirectory(settings.home)
    return settings, home.ensure() if make else home


def configured_target() -> Target:
    """The warehouse engine in the settings; the embedded one where they cannot be read."""
    try:
        return load_settings(os.environ).target
    except ConfigurationError:
        return "duckdb"
