"""Claude Desktop's configuration is read, merged, put back and written without a loss."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from cdesk.core.errors import ConfigurationError
from cdesk_app.ops.clients import desktop
from cdesk_app.ops.clients.desktop import (
    Configuration,
    encode,
    merged,
    read_configuration,
    restored,
    write_configuration,
)

OTHER = {"command": "npx"}
OURS = {"command": "/old/cdesk", "args": ["mcp"], "env": {"CDESK_CUSTOMER": "ada"}}
NEW = {"command": "/new/cdesk", "args": ["mcp"], "env": {"CDESK_CUSTOMER": "grace"}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(os.path.realpath(tmp_path)) / "claude" / "config.json"


def kept(path: Path, values: Any, *, earlier: Any = None) -> Configuration:
    """The configuration of a file with these values, and with a backup of the earlier ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(values))
    if earlier is not None:
        path.with_name("config.json.cdesk-backup").write_bytes(encode(earlier))
    return read_configuration(path)


def test_no_file_and_a_marked_one_are_told_apart(path: Path) -> None:
    assert read_configuration(path) == Configuration(path, None, {}, marked=False)
    path.parent.mkdir()
    for raw, values, marked in (
        (b"", {}, False),
        (b"\0 \t\r\n", {}, False),
        (b"\xef\xbb\xbf\n", {}, True),
        (b"{}", {}, False),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}, True),
        ('{"a": "\u00fc"}'.encode("utf-16"), {"a": "\u00fc"}, True),
        ('\ufeff{"a": "\u00fc"}'.encode("utf-16-be"), {"a": "\u00fc"}, True),
        (b'{"mcpServers": null}', {"mcpServers": None}, False),
    ):
        path.write_bytes(raw)
        assert read_configuration(path) == Configuration(path, raw, values, marked)
    assert read_configuration(path).servers() == {}
    assert read_configuration(path).backup == path.with_name("config.json.cdesk-backup")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (
            b'{\n"a": "// no",\n  // mine\n "b": 1}',
            "line 3 holds a comment (//); JSON has none, and Claude Desktop cannot read the file "
            "either: take the comments out and run this again",
        ),
        (b'{"a": 1, "b": 2, "b": 3}', "'b' stands twice in one object; take one of them out"),
        (
            b'{"a": -Infinity}',
            "-Infinity is no JSON; mend it: Claude Desktop cannot read it either",
        ),
        (b"[" * 200_000, "is nested too deeply"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_to_the_letter(path: Path, raw: bytes, said: str) -> None:
    path.parent.mkdir()
    path.write_bytes(raw)
    with pytest.raises(ConfigurationError) as told:
        read_configuration(path)
    assert str(told.value) == f"{path}: {said}"


def test_an_entry_is_put_in_the_place_of_ours_whatever_its_name(path: Path) -> None:
    before = {"mcpServers": {"cdesk": OTHER, "diary": {**OURS, "disabled": True}}, "scale": 2}
    assert merged(kept(path, before), NEW) == {
        "mcpServers": {"cdesk": OTHER, "diary": {**NEW, "disabled": True}},
        "scale": 2,
    }
    assert merged(kept(path, {"mcpServers": None}), NEW) == {"mcpServers": {"cdesk": NEW}}
    with pytest.raises(ConfigurationError, match="has a server 'cdesk' that starts something else"):
        merged(kept(path, {"mcpServers": {"cdesk": OTHER}}), NEW)


@pytest.mark.parametrize(
    ("env", "after"),
    [
        ({"MINE": "1", "CDESK_WORKER": "off"}, {"MINE": "1", "CDESK_CUSTOMER": "grace"}),
        (["no", "object"], {"CDESK_CUSTOMER": "grace"}),
        (None, {"CDESK_CUSTOMER": "grace"}),
    ],
)
def test_variables_that_are_no_settings_stay(path: Path, env: Any, after: Any) -> None:
    found = merged(kept(path, {"mcpServers": {"cdesk": {**OURS, "env": env}}}), NEW)
    assert found["mcpServers"]["cdesk"]["env"] == after


@pytest.mark.parametrize(
    ("now", "earlier", "after"),
    [
        ({"mcpServers": {"cdesk": NEW}}, {}, {}),
        ({"mcpServers": {"cdesk": NEW}}, {"mcpServers": {}}, {"mcpServers": {}}),
        ({"mcpServers": {"cdesk": NEW, "a": OTHER}}, {}, {"mcpServers": {"a": OTHER}}),
        (
            {"mcpServers": {"mine": NEW, "a": OTHER}, "x": 1},
            {"mcpServers": {"diary": OURS}},
            {"mcpServers": {"a": OTHER, "diary": OURS}, "x": 1},
        ),
        ({"x": 1}, {"mcpServers": {"diary": OURS}}, {"x": 1, "mcpServers": {"diary": OURS}}),
        ({"mcpServers": {"a": OTHER}}, {}, None),
        ({"mcpServers": {"cdesk": OURS}}, {"mcpServers": {"cdesk": OURS}, "x": 2}, None),
    ],
)
def test_undone_it_has_the_entry_of_before_and_all_that_has_changed_since(
    path: Path, now: Any, earlier: Any, after: Any
) -> None:
    assert restored(kept(path, now, earlier=earlier)) == after


def test_it_is_written_as_claude_desktop_writes_it() -> None:
    assert encode({"a": {"b": "ü"}}) == '{\n  "a": {\n    "b": "ü"\n  }\n}\n'.encode()
    assert encode({"a": "\ud800"}) == b'{\n  "a": "\\ud800"\n}\n'


@pytest.mark.parametrize(
    ("before", "backup", "wanted", "after"),
    [
        (None, None, True, b"{}\n"),
        (None, None, False, None),
        ({"x": 1}, None, True, encode({"x": 1})),
        ({"x": 1}, {"old": 1}, True, encode({"x": 1})),
        ({"mcpServers": {"cdesk": OURS}}, {"old": 1}, True, encode({"old": 1})),
        (
            {"mcpServers": {"cdesk": OURS}},
            None,
            True,
            encode({"mcpServers": {"cdesk": OURS}}),
        ),
        ({"x": 1}, {"old": 1}, False, encode({"old": 1})),
    ],
)
def test_what_is_kept_is_the_state_before_the_first_connect(
    path: Path, before: Any, backup: Any, wanted: bool, after: bytes | None
) -> None:
    read = read_configuration(path) if before is None else kept(path, before, earlier=backup)
    write_configuration(read, {"y": 2}, backup=wanted)
    assert path.read_bytes() == encode({"y": 2})
    assert (read.backup.read_bytes() if read.backup.exists() else None) == after


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
def test_both_files_have_the_mode_that_the_one_had_and_a_new_one_is_private(path: Path) -> None:
    read = kept(path, {"x": 1})
    path.chmod(0o640)
    write_configuration(read, {"y": 2}, backup=True)
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path, read.backup)] == [0o640, 0o640]
    new = read_configuration(path.with_name("new.json"))
    write_configuration(new, {}, backup=False)
    assert stat.S_IMODE(new.path.stat().st_mode) == 0o600


def test_a_file_that_somebody_has_just_changed_is_left_to_them(path: Path) -> None:
    missing = read_configuration(path)
    read = kept(path, {"x": 1})
    path.write_text("{}", encoding="utf-8")
    for one in (read, missing):
        with pytest.raises(ConfigurationError, match="has just been changed by another"):
            write_configuration(one, {"y": 2}, backup=False)
    assert path.read_text(encoding="utf-8") == "{}"
    path.unlink()
    with pytest.raises(ConfigurationError, match="has just been changed by another"):
        write_configuration(read, {"y": 2}, backup=False)


def test_a_place_that_cannot_be_written_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = kept(path, {"x": 1})

    def refused(filename: str | None) -> Any:
        def replacing(_: Path) -> Any:
            raise OSError(28, "No space left on device", filename)

        return replacing

    for filename, told in (("elsewhere", "elsewhere"), (None, str(path))):
        monkeypatch.setattr(desktop, "replacing", refused(filename))
        with pytest.raises(ConfigurationError) as refusal:
            write_configuration(read, {}, backup=False)
        assert str(refusal.value) == (
            f"{told} cannot be written (No space left on device); mend its permissions"
        )


def test_values_survive_a_round_through_the_file(path: Path) -> None:
    values = {"ü": [None, 1.5, True, {"a": "\u2028"}], "mcpServers": {"a": OTHER}}
    assert json.loads(encode(values)) == kept(path, values).values == values
