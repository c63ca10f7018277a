"""What an operating system is given to run: read as it reads it."""

from __future__ import annotations

import plistlib
import re
import shutil
import tomllib
from pathlib import Path, PurePath, PurePosixPath
from xml.etree import ElementTree

import pytest

from cdesk_app.cli.main import build_parser, main
from cdesk_app.ops.services import (
    KINDS,
    SERVICES,
    STOP_SECONDS,
    Installed,
    Kind,
    hidden_from_unit,
    launchd_plist,
    next_step,
    place_of,
    systemd_unit,
    text_of,
    windows_task,
)
from mcp_shim.http_main import END_SECONDS

ROOT = Path(__file__).resolve().parents[4]
ODD = Installed(("/opt/my tools/100% $HOME/cdesk",), Path("/srv/a & b"))
each_service = pytest.mark.parametrize("name", SERVICES)


def unit(text: str) -> dict[str, dict[str, list[str]]]:
    """Section → key → values of a unit, in which keys may repeat."""
    found: dict[str, dict[str, list[str]]] = {}
    section = ""
    for line in text.splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
            found[section] = {}
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[section].setdefault(key, []).append(value)
    return found


@each_service
def test_a_unit_is_hardened_and_has_its_own_state(name: str) -> None:
    service = unit(systemd_unit(SERVICES[name], ODD))["Service"]
    hardened = {
        "NoNewPrivileges": "yes",
        "PrivateTmp": "yes",
        "PrivateDevices": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "RestrictNamespaces": "yes",
        "RestrictSUIDSGID": "yes",
        "CapabilityBoundingSet": "",
        "UMask": "0077",
        "StateDirectory": "cdesk",
        "StateDirectoryMode": "0700",
        "User": "cdesk",
    }
    assert {key: service[key][0] for key in hardened} == hardened
    assert "CDESK_HOME=%S/cdesk" in service["Environment"]
    assert not [value for value in service["Environment"] if re.search("(?i)token|secret", value)]


@each_service
def test_a_stop_is_graceful(name: str) -> None:
    service = unit(systemd_unit(SERVICES[name], ODD))["Service"]
    assert service["KillSignal"] == ["SIGTERM"]
    assert int(service["TimeoutStopSec"][0]) == STOP_SECONDS > END_SECONDS


@each_service
def test_a_unit_does_not_end_what_lowers_its_priority(name: str) -> None:
    """`os.nice` and the scheduling of background work are of systemd's set @resources; what a
    filter denies without an error number ends the process.
    """
    service = unit(systemd_unit(SERVICES[name], ODD))["Service"]
    denied = [one for one in service["SystemCallFilter"] if one.startswith("~")]
    assert denied == ["~@privileged"]
    assert service["SystemCallErrorNumber"] == ["EPERM"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_that_the_unit_cannot_see_is_said(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command, told in (("/home/ada/.venv/bin/cdesk", True), ("/opt/cdesk/bin/cdesk", False)):
        monkeypatch.setattr(shutil, "which", lambda _, command=command: command)
        assert main(["service", "install", "--print", "--kind", kind]) == 0
        assert (f"{command} is in somebody's home" in capsys.readouterr().err) == (
            told and kind == "systemd"
        )


def test_a_unit_takes_a_path_literally() -> None:
    (start,) = unit(systemd_unit(SERVICES["http"], ODD))["Service"]["ExecStart"]
    assert start == '"/opt/my tools/100%% $$HOME/cdesk" mcp --http'


@each_service
def test_a_property_list_is_one(name: str) -> None:
    found = plistlib.loads(launchd_plist(SERVICES[name], ODD).encode())
    assert found["ProgramArguments"] == [*ODD.command, *SERVICES[name].words]
    assert found["EnvironmentVariables"]["CDESK_HOME"] == str(ODD.home)
    assert found["Umask"] == 0o077
    assert found["RunAtLoad"] is found["KeepAlive"] is True
    assert found["ExitTimeOut"] == STOP_SECONDS
    assert found["ProcessType"] == "Standard", "another is slowed down"


@each_service
def test_a_task_is_xml_with_the_least_privilege(name: str) -> None:
    text = windows_task(SERVICES[name], ODD)
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    saved = [ElementTree.fromstring(text.encode(encoding)) for encoding in ("utf-8", "utf-16")]
    task = saved[0]
    assert ElementTree.tostring(saved[1]) == ElementTree.tostring(task), "as any shell saves it"
    assert task.findtext(".//t:RunLevel", namespaces=space) == "LeastPrivilege"
    assert task.findtext(".//t:Command", namespaces=space) == ODD.command[0]
    assert task.findtext(".//t:WorkingDirectory", namespaces=space) == str(ODD.home)
    assert task.findtext(".//t:ExecutionTimeLimit", namespaces=space) == "PT0S", "no end by itself"
    assert task.findtext(".//t:Priority", namespaces=space) == "5", "7 is below normal"


@each_service
def test_what_is_run_can_be_typed(name: str) -> None:
    command, *words = SERVICES[name].words
    build_parser(command).parse_args(words)


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_prints_each(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install", "--print", "--kind", kind, "http"]) == 0
    told = capsys.readouterr().out
    assert "mcp" in told
    assert next_step(kind, SERVICES["http"])  # type: ignore[arg-type]
    assert text_of(kind, SERVICES["http"], ODD)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "begins", "place", "step"),
    [
        (
            "systemd",
            "[Unit]\n",
            Path("/etc/systemd/system/cdesk-worker.service"),
            "systemctl daemon-reload && systemctl enable --now cdesk-worker",
        ),
        (
            "launchd",
            "<?xml",
            Path("/home/Library/LaunchAgents/io.cdesk.worker.plist"),
            "launchctl bootstrap gui/$(id -u) ~/Library/LaunchAgents/io.cdesk.worker.plist",
        ),
        ("windows", "<?xml", None, 'schtasks /Create /TN "cdesk worker" /XML task.xml'),
    ],
)
def test_each_system_has_its_form_its_place_and_its_next_step(
    kind: Kind, begins: str, place: PurePath | None, step: str
) -> None:
    service = SERVICES["worker"]
    assert text_of(kind, service, ODD).startswith(begins)
    assert ("<plist" in text_of(kind, service, ODD)) == (kind == "launchd")
    assert place_of(kind, service, Path("/home")) == place
    assert next_step(kind, service) == step


def test_a_property_list_begins_with_what_it_is_of() -> None:
    keys = re.findall(r"<key>(\w+)</key>", launchd_plist(SERVICES["worker"], ODD))
    assert keys[:2] == ["Label", "ProgramArguments"]


@pytest.mark.parametrize(
    ("folder", "hidden"),
    [
        ("/home/ada", True),
        ("/root", True),
        ("/run/user/1", True),
        ("/homes", False),
        ("/usr/bin", False),
    ],
)
def test_what_the_hardening_hides_is_told(folder: str, hidden: bool) -> None:
    command = f"{folder}/cdesk"
    found = hidden_from_unit(Installed((command, "/home/ada"), Path("/srv")))
    assert found == (command if hidden else None)


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ("semi;colon", '"semi;colon"'),
        ("it's", '"it\'s"'),
        ("C:\\x", '"C:\\\\x"'),
        ('say "x"', '"say \\"x\\""'),
        ("a\tb", '"a\tb"'),
    ],
)
def test_a_word_is_quoted_where_systemd_would_part_it(word: str, written: str) -> None:
    installed = Installed((word,), Path("/srv"))
    (start,) = unit(systemd_unit(SERVICES["renderer"], installed))["Service"]["ExecStart"]
    assert start == f"{written} render"


def test_a_place_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Library").write_text("no folder", encoding="utf-8")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("CDESK_HOME", str(tmp_path / "state"))
    assert main(["service", "install", "--kind", "launchd", "worker"]) == 1
    assert "print it by --print" in capsys.readouterr().err


def test_it_is_written_where_the_system_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("CDESK_HOME", str(tmp_path / "state"))
    assert main(["service", "install", "--kind", "launchd", "worker"]) == 0
    written = tmp_path / "Library" / "LaunchAgents" / "io.cdesk.worker.plist"
    agent = plistlib.loads(written.read_bytes())
    assert agent["Label"] == "io.cdesk.worker"
    assert Path(agent["WorkingDirectory"]).is_dir(), (
        "launchd starts nothing in a folder that is not"
    )
    assert "launchctl bootstrap" in capsys.readouterr().out


# -- the container file, as text


def steps() -> list[tuple[str, str]]:
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    return [(one.partition(" ")[0], one.partition(" ")[2]) for one in lines if one]


def test_the_image_takes_in_what_exists_and_all_that_the_wheel_needs() -> None:
    copied = [
        name
        for step, rest in steps()
        if step == "COPY" and not rest.startswith("--from")
        for name in rest.split()[:-1]
    ]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [*wheel["packages"], *wheel["force-include"], project["project"]["readme"]]
    assert [name for name in needed if name not in copied] == []


def test_the_image_has_exact_versions_and_extras_that_exist() -> None:
    (install,) = (rest for step, rest in steps() if step == "RUN" and "pip install" in rest)
    assert "--constraint requirements.lock" in install
    extras = re.search(r"\.\[([\w,]+)\]", install)
    assert extras is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(extras[1].split(",")) == set(project["optional-dependencies"]) - {"dev"}
    bases = {rest.split()[0] for step, rest in steps() if step == "FROM"}
    assert bases == {"docker.io/library/python:3.11-slim"}
    assert project["requires-python"] == ">=3.11"


def test_the_image_runs_as_nobody_much_and_holds_no_secret() -> None:
    last = steps()[[step for step, _ in steps()].index("USER") :]
    assert dict(last)["USER"] == "cdesk"
    assert dict(steps())["STOPSIGNAL"] == "SIGTERM"
    assert not [
        rest for step, rest in steps() if step in ("ENV", "ARG") and "TOKEN" in rest.upper()
    ]
    (volume,) = (rest for step, rest in steps() if step == "VOLUME")
    assert PurePosixPath(volume) == PurePosixPath("/var/lib/cdesk")
    command = next(rest for step, rest in steps() if step == "CMD")
    assert command == '["mcp", "--http"]'


@pytest.mark.parametrize("page", ["Containerfile", "docs/services.md"])
def test_a_worker_is_not_asked_whether_it_serves_http(page: str) -> None:
    """The image's health check asks the HTTP service, and some systems restart who fails it."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    starts = [line for line in lines if "podman run" in line and "worker --stay" in line]
    assert starts
    assert [line for line in starts if "--no-healthcheck" not in line] == []
