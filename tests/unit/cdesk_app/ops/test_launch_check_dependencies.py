"""The audit of what the lock pins."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import orjson
import pytest

from cdesk_app.ops import launch_check_dependencies
from cdesk_app.ops.launch_check_dependencies import (
    NO_DATA,
    Pin,
    advisories,
    main,
    pins,
    problems_of,
    read_audit,
)


def test_a_lock_with_a_loose_pin_is_told() -> None:
    found, loose = pins(
        "# by hand\n-r other\n\na==1.0  # one # two\n# b\nc==2; sys_platform == 'win32'\nd>=3\n"
    )
    assert found == {"a": Pin("1.0"), "c": Pin("2", is_conditional=True)}
    assert loose == ["d>=3"]


def test_a_pin_that_nobody_could_look_at_is_told() -> None:
    version = metadata.version("pytest")
    assert problems_of({"pytest": Pin(version), "no-such-a": Pin("1", is_conditional=True)}) == []
    pinned = {"no-such-b": Pin("1"), "pytest": Pin("0.1"), "no-such-c": Pin("1")}
    assert problems_of(pinned) == [
        f"pytest is {version} here and 0.1 in the lock",
        "2 pins are not installed here, so nobody looked at them: no-such-b, no-such-c; "
        "pip install -r requirements.lock",
    ]


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (["License-Expression: MIT"], None),
        (["License-Expression: GPL-3.0-only"], "GPL-3.0-only"),
        (["License-Expression: AGPL-3.0-only OR MIT"], None),
        (["License-Expression: LGPL-3.0-only"], None),
        (["License-Expression: Something of our own"], None),
        (
            ["Classifier: License :: OSI Approved :: GNU Affero General Public License v3"],
            "GNU Affero General Public License v3",
        ),
        (
            ["Classifier: Programming Language :: Python", "License: Proprietary"],
            "Proprietary",
        ),
        (["License: GPL-3.0", "License-Expression: BSD-3-Clause"], None),
    ],
)
def test_a_licence_is_free_or_told(
    told: list[str], problem: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "sample_of_a_pin-1.0.dist-info"
    info.mkdir()
    head = ["Metadata-Version: 2.4", "Name: sample-of-a-pin", "Version: 1.0"]
    (info / "METADATA").write_text("\n".join([*head, *told, ""]), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    problems = problems_of({"sample-of-a-pin": Pin("1.0")})
    assert problems == ([] if problem is None else [f"sample-of-a-pin is under {problem}"])


def test_a_package_without_a_licence_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "sample_of_a_pin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: sample-of-a-pin\nVersion: 1.0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    pinned = {"sample-of-a-pin": Pin("1.0", is_conditional=True)}
    assert problems_of(pinned) == ["sample-of-a-pin says nothing of its licence"]


def test_an_audit_that_could_ask_about_nothing_is_no_evidence() -> None:
    skipped = {"name": "a", "skip_reason": "not found"}
    sound = {"name": "b", "version": "1.0", "vulns": []}
    known = {"id": "PYSEC-1", "fix_versions": ["1.1"]}
    for text in ("", "[]", orjson.dumps({"dependencies": [skipped]}).decode()):
        assert read_audit(text) == (NO_DATA, [])
    told, found = read_audit(orjson.dumps({"dependencies": [skipped, sound]}).decode())
    assert (told, found) == ("pip-audit has asked about 1 of 2 packages; vulnerabilities: 0", [])
    _, found = read_audit(orjson.dumps({"dependencies": [sound | {"vulns": [known]}]}).decode())
    assert found == ["b 1.0: PYSEC-1, fixed in 1.1"]
    known["fix_versions"] = []
    _, found = read_audit(orjson.dumps({"dependencies": [sound | {"vulns": [known]}]}).decode())
    assert found == ["b 1.0: PYSEC-1, fixed in no version"]


@pytest.fixture
def pip_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for the installed program: prints what `says.json` beside it holds and, as the real
    one does over a vulnerability, ends with 1.
    """
    folder = tmp_path / "pip_audit"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "__main__.py").write_text(
        "import pathlib, sys\n"
        "assert sys.argv[1] == '-r' and sys.argv[-2:] == ['--format', 'json']\n"
        "print(pathlib.Path(__file__).with_name('says.json').read_text(encoding='utf-8'))\n"
        "print('Found 1 known vulnerability', file=sys.stderr)\n"
        "sys.exit(1)\n",
        encoding="utf-8",
    )
    (folder / "says.json").write_text(
        '{"dependencies": [{"name": "b", "version": "1.0", "vulns": '
        '[{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}]}',
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return folder


@pytest.mark.usefixtures("pip_audit")
def test_what_pip_audit_prints_is_read_whatever_it_ends_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert advisories(tmp_path / "lock") == (
        "pip-audit has asked about 1 of 1 packages; vulnerabilities: 1",
        ["b 1.0: PYSEC-1, fixed in 1.1"],
    )
    monkeypatch.setattr(launch_check_dependencies, "_AUDIT_SECONDS", 0)
    assert advisories(tmp_path / "lock") == (NO_DATA, [])


def test_a_lock_without_a_problem_ends_well_and_any_problem_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = tmp_path / "requirements.lock"
    monkeypatch.setattr(launch_check_dependencies, "LOCK", lock)
    monkeypatch.setattr(launch_check_dependencies, "find_spec", lambda _: None)
    version = metadata.version("pytest")
    told = "audit: no advisories: pip-audit is not installed\n"
    lock.write_text(f"pytest=={version}\n", encoding="utf-8")
    assert main() == 0
    assert capsys.readouterr().out == f"{told}audit: 1 exact pins, licences looked at\n"
    found = ("gone 1: PYSEC-2, fixed in 2",)
    monkeypatch.setattr(launch_check_dependencies, "advisories", lambda _: ("told", [*found]))
    lock.write_text("pytest==0\npytest>=1\n", encoding="utf-8")
    assert main() == 1
    assert capsys.readouterr().out.splitlines() == [
        "audit: told",
        "audit: 1 exact pins, licences looked at",
        "not pinned: pytest>=1",
        f"pytest is {version} here and 0 in the lock",
        *found,
    ]
