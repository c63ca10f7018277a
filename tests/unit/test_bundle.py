"""The extension's switch is a person's consent: it reaches capture through the environment."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from cdesk.core.config import load_settings

ROOT = Path(__file__).resolve().parents[2]


def loaded(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("by_command", [False, True])
@pytest.mark.parametrize("switch", ["true", "false", "", None])
def test_the_switch_of_the_extension_or_the_command_turns_capture_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch: str | None, by_command: bool
) -> None:
    if by_command:
        (tmp_path / "config.toml").write_text("[capture]\nenabled = true\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(ROOT))
    manifest = loaded("bundle_script", ROOT / "scripts" / "bundle.py").manifest()
    asked = manifest["user_config"]["follow_histories"]
    assert (asked["type"], asked["default"], asked["required"]) == ("boolean", False, False)
    given = {"customer": "ada", "follow_histories": switch}
    environ = {"CDESK_HOME": str(tmp_path), "USER": "ada"}
    for name, value in manifest["server"]["mcp_config"]["env"].items():
        field = value.removeprefix("${user_config.").removesuffix("}")
        filled = given.get(field)
        environ[name] = value if filled is None else filled  # as Claude Desktop leaves it
    prepared = loaded("bundle_server", ROOT / "bundle" / "server.py").prepare(environ, tmp_path)
    settings = load_settings(prepared)
    assert settings.capture.enabled is (by_command or switch == "true")
    assert not settings.capture.include_text
    assert settings.customer == "ada"
    sys.modules.pop("bundle_script", None)
