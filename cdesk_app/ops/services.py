"""What an operating system needs to run cdesk by itself: a systemd unit, a launchd property list, a
task of the Windows Task Scheduler. `cdesk service install` writes or prints them.

https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html
https://www.manpagez.com/man/5/launchd.plist/
https://learn.microsoft.com/en-us/windows/win32/taskschd/task-scheduler-schema
"""

from __future__ import annotations

import plistlib
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Final, Literal
from xml.sax.saxutils import escape

Kind = Literal["systemd", "launchd", "windows"]
Process = Literal["worker", "http", "renderer"]
KINDS: Final[tuple[Kind, ...]] = ("systemd", "launchd", "windows")

STOP_SECONDS: Final = 40
"""More than the HTTP service takes for the calls under way, and the worker for its queries."""
SYSTEMD_HOME: Final = "cdesk"
"""Below /var/lib: the state directory that systemd makes for the unit's own user."""


@dataclass(frozen=True, slots=True)
class Service:
    """One process that an operating system runs."""

    process: Process
    words: tuple[str, ...]
    text: str


SERVICES: Final[Mapping[str, Service]] = {
    "worker": Service(
        "worker",
        ("worker", "--stay", "--foreground"),
        "cdesk worker: lands, builds, refreshes, runs queries",
    ),
    "http": Service("http", ("mcp", "--http"), "cdesk MCP server over HTTP"),
    "renderer": Service("renderer", ("render",), "cdesk cards and dashboard"),
}


@dataclass(frozen=True, slots=True)
class Installed:
    """Where and how cdesk runs: the command that is `cdesk`, and the state directory."""

    command: tuple[str, ...]
    home: Path


def text_of(kind: Kind, service: Service, installed: Installed) -> str:
    """The unit, property list or task."""
    match kind:
        case "systemd":
            return systemd_unit(service, installed)
        case "launchd":
            return launchd_plist(service, installed)
        case "windows":
            return windows_task(service, installed)


def place_of(kind: Kind, service: Service, user_home: Path) -> PurePath | None:
    """Where the operating system looks for it; None where a command has to bring it in."""
    match kind:
        case "systemd":
            return Path("/etc/systemd/system") / f"cdesk-{service.process}.service"
        case "launchd":
            return user_home / "Library" / "LaunchAgents" / f"{label(service)}.plist"
        case "windows":
            return None


def next_step(kind: Kind, service: Service) -> str:
    """The command that starts it."""
    match kind:
        case "systemd":
            return f"systemctl daemon-reload && systemctl enable --now cdesk-{service.process}"
        case "launchd":
            place = f"~/Library/LaunchAgents/{label(service)}.plist"
            return f"launchctl bootstrap gui/$(id -u) {place}"
        case "windows":
            return f'schtasks /Create /TN "cdesk {service.process}" /XML task.xml'


def label(service: Service) -> str:
    """The name of the service with launchd."""
    return f"io.cdesk.{service.process}"


# -- Linux


def systemd_unit(service: Service, installed: Installed) -> str:
    """A unit of the system, with a user and a state directory of its own."""
    command = " ".join(map(_systemd_word, (*installed.command, *service.words)))
    return f"""[Unit]
Description={service.text}
After=network-online.target
Wants=network-online.target

[Service]
Type=exec
ExecStart={command}
# Also after an upgrade, which ends the worker by itself.
Restart=always
RestartSec=5
# SIGTERM: calls and queries under way are finished, the queue is flushed.
KillSignal=SIGTERM
TimeoutStopSec={STOP_SECONDS}

# The settings are in config.toml there; secrets belong into a file of credentials:
# EnvironmentFile=/etc/cdesk/{service.process}.env
User={SYSTEMD_HOME}
DynamicUser=no
StateDirectory={SYSTEMD_HOME}
StateDirectoryMode=0700
Environment=CDESK_HOME=%S/{SYSTEMD_HOME}
Environment=CDESK_WORKER=off
WorkingDirectory=%S/{SYSTEMD_HOME}
UMask=0077

NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
CapabilityBoundingSet=
AmbientCapabilities=
SystemCallArchitectures=native
# The worker lowers its own priority, which is of @resources. What is not allowed fails, and ends
# nothing.
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


_HIDDEN: Final = ("/home", "/root", "/run/user")
"""What `ProtectHome=yes` hides."""


def hidden_from_unit(installed: Installed) -> str | None:
    """The command of a unit, where its hardening hides it: it could not be started."""
    command = PurePosixPath(installed.command[0])
    return str(command) if any(command.is_relative_to(one) for one in _HIDDEN) else None


def _systemd_word(word: str) -> str:
    """A word of ExecStart: specifiers and variables taken literally, quoted where it has blanks."""
    text = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return f'"{text}"' if any(mark in text for mark in " \t'\"\\;") else text


# -- macOS


def launchd_plist(service: Service, installed: Installed) -> str:
    """An agent of the person who is logged in."""
    found = {
        "Label": label(service),
        "ProgramArguments": [*installed.command, *service.words],
        "EnvironmentVariables": {"CDESK_HOME": str(installed.home), "CDESK_WORKER": "off"},
        "WorkingDirectory": str(installed.home),
        "RunAtLoad": True,
        "KeepAlive": True,
        "ThrottleInterval": 10,
        "ExitTimeOut": STOP_SECONDS,
        "ProcessType": "Standard",  # "Background" is slowed down, and a person waits for answers
        "Umask": 0o077,
        "StandardOutPath": "/dev/null",
        "StandardErrorPath": str(installed.home / f"{service.process}.launchd.log"),
    }
    return plistlib.dumps(found, sort_keys=False).decode()


# -- Windows


def windows_task(service: Service, installed: Installed) -> str:
    """A task of the person who is logged in, with the least privilege."""
    program, *words = (*installed.command, *service.words)
    # Priority: an ordinary one; without it tasks run below normal, and a person waits for answers.
    # No encoding: some shells save what is printed as UTF-16, others as UTF-8.
    return f"""<?xml version="1.0"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>{escape(service.text)}</Description>
  </RegistrationInfo>
  <Triggers>
    <LogonTrigger>
      <Repetition><Interval>PT5M</Interval></Repetition>
      <Enabled>true</Enabled>
    </LogonTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>true</AllowHardTerminate>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>5</Priority>
    <Hidden>true</Hidden>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>999</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>{escape(program)}</Command>
      <Arguments>{escape(subprocess.list2cmdline(words))}</Arguments>
      <WorkingDirectory>{escape(str(installed.home))}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
"""
