"""`cdesk service`: what the operating system needs to run worker, HTTP service and renderer."""

from __future__ import annotations

import shutil
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from cdesk_app.cli.settings import settings_and_home
from cdesk_app.ops.services import (
    KINDS,
    SERVICES,
    Installed,
    Kind,
    hidden_from_unit,
    next_step,
    place_of,
    text_of,
)

EXAMPLE = "cdesk service install --print worker"


def add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="install", help="what to do"
    )
    install = actions.add_parser(
        "install", help="write the unit, property list or task where the system looks for it"
    )
    install.add_argument(
        "process", nargs="?", default="worker", choices=SERVICES, help="which process (worker)"
    )
    install.add_argument(
        "--print", action="store_true", dest="printed", help="print it, and write nothing"
    )
    install.add_argument(
        "--kind", choices=KINDS, help="for which system (the one this is)", default=None
    )


def run(args: Namespace) -> int:
    settings, home = settings_and_home(make=False)
    kind: Kind = args.kind or own_kind()
    service = SERVICES[args.process]
    found = shutil.which("cdesk")
    command = (found,) if found else (sys.executable, "-m", "cdesk_app.cli")
    installed = Installed(command, settings.home)
    text = text_of(kind, service, installed)
    if kind == "systemd" and (hidden := hidden_from_unit(installed)):
        sys.stderr.write(
            f"cdesk: {hidden} is in somebody's home, which the unit does not see; install cdesk "
            "elsewhere, as in /opt/cdesk, and run this by its command there\n"
        )
    if args.printed:
        sys.stdout.write(text)
        return 0
    if kind != "systemd":  # which makes the directory itself
        home.ensure()
    return _write(kind, args.process, text)


def own_kind() -> Kind:
    """The kind of this operating system."""
    return {"darwin": "launchd", "win32": "windows"}.get(sys.platform, "systemd")  # type: ignore[return-value]


def _write(kind: Kind, process: str, text: str) -> int:
    from cdesk.core.errors import ConfigurationError
    from cdesk.core.home import write_private

    service = SERVICES[process]
    place = place_of(kind, service, Path.home())
    if place is None:
        print(f"cdesk service install --print {process} > task.xml")
        print(next_step(kind, service))
        return 0
    path = Path(place)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, text.encode("utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror}); print it by --print, "
            "and write it as who may"
        ) from None
    print(f"{path} is written. To start it: {next_step(kind, service)}")
    return 0
