"""Makes the extension for Claude Desktop: dist/cdesk-<version>.mcpb ('make bundle').

The wheel, what pins its dependencies, a launcher, an icon and a manifest (version 0.4, server type
`uv`: Claude Desktop brings Python). Validated and packed by the public tool @anthropic-ai/mcpb.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from cdesk.core.identity import Caller
from mcp_shim.tools import tool_list
from mcp_shim.tools.template_list import phrase

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "bundle"
MCPB = "@anthropic-ai/mcpb@2.1.2"
FOLDER = "${__dirname}"


def project() -> dict[str, Any]:
    """The table `project` of pyproject.toml."""
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return dict(found["project"])


def manifest() -> dict[str, Any]:
    """The manifest; tools and version come from the code."""
    about = project()
    return {
        "manifest_version": "0.4",
        "name": "cdesk",
        "display_name": "cdesk",
        "version": about["version"],
        "description": "A memory with proof, and answers about your own work with Claude",
        "long_description": (SOURCE / "about.md").read_text(encoding="utf-8"),
        "author": {"name": "The cdesk authors"},
        "license": about["license"],
        "keywords": ["memory", "analytics", "activity", "duckdb", "snowflake"],
        "icon": "icon.png",
        "server": {
            "type": "uv",
            "entry_point": "server.py",
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--directory", FOLDER, "server.py"],
                "env": {
                    "CDESK_CUSTOMER": "${user_config.customer}",
                    "CDESK_BUNDLE_FOLLOW": "${user_config.follow_histories}",
                    "CDESK_TARGET": "${user_config.warehouse}",
                    "SNOWFLAKE_ACCOUNT": "${user_config.snowflake_account}",
                    "SNOWFLAKE_USER": "${user_config.snowflake_user}",
                    "SNOWFLAKE_PRIVATE_KEY_PATH": "${user_config.snowflake_key}",
                },
            },
        },
        "tools": [
            {"name": tool["name"], "description": phrase(tool["description"], 120)}
            for tool in tool_list(None, Caller("anybody"))
        ],
        "prompts_generated": True,
        "compatibility": {
            "platforms": ["darwin", "win32", "linux"],
            "runtimes": {"python": about["requires-python"]},
        },
        "user_config": {
            "customer": {
                "type": "string",
                "title": "Your name or e-mail address",
                "description": "Whose records these are; it stays on this computer.",
                "required": True,
            },
            "follow_histories": {
                "type": "boolean",
                "title": "Follow Claude's local histories",
                "description": (
                    "Bring in what Claude Code and Cowork keep on this computer, as it grows: when "
                    "and how long, never the text."
                ),
                "required": False,
                "default": False,
            },
            "warehouse": {
                "type": "string",
                "title": "Advanced: warehouse",
                "description": "duckdb keeps all in a file on this computer; or snowflake.",
                "required": False,
                "default": "duckdb",
            },
            "snowflake_account": _snowflake("account", "The account's identifier."),
            "snowflake_user": _snowflake("user", "Your user name there."),
            "snowflake_key": _snowflake("key file", "Path of your private key (PEM)."),
        },
    }


def _snowflake(what: str, description: str) -> dict[str, Any]:
    return {
        "type": "string",
        "title": f"Advanced: Snowflake {what}",
        "description": f"{description} With the warehouse snowflake alone.",
        "required": False,
        "default": "",
    }


def pins() -> list[str]:
    """The exact versions of requirements.lock."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if re.match(r"[A-Za-z0-9._-]+==", line)]


def pyproject(wheel: str) -> str:
    """What uv makes the light environment from: the wheel without an extra, pinned."""
    about = project()
    lines = [
        "[project]",
        'name = "cdesk-extension"',
        f"version = {json.dumps(about['version'])}",
        f"requires-python = {json.dumps(about['requires-python'])}",
        'dependencies = ["cdesk"]',
        "",
        "[tool.uv]",
        "package = false",
        f"constraint-dependencies = {json.dumps(pins(), indent=4)}",
        "",
        "[tool.uv.sources]",
        f"cdesk = {{ path = {json.dumps(wheel)} }}",
    ]
    return "\n".join(lines) + "\n"


def build_wheel(folder: Path) -> Path:
    """The wheel of this checkout."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([*command, *options], check=True)
    (built,) = folder.glob("cdesk-*.whl")
    return built


def lay_out(folder: Path, wheel: Path) -> None:
    """Put what the bundle holds into `folder`."""
    import vl_convert

    shutil.copy(wheel, folder / wheel.name)
    shutil.copy(SOURCE / "server.py", folder / "server.py")
    shutil.copy(ROOT / "LICENSE", folder / "LICENSE")
    (folder / "constraints.txt").write_text("\n".join(pins()) + "\n", encoding="utf-8")
    (folder / "pyproject.toml").write_text(pyproject(wheel.name), encoding="utf-8")
    text = json.dumps(manifest(), indent=2, ensure_ascii=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")
    icon = vl_convert.svg_to_png((SOURCE / "icon.svg").read_text(encoding="utf-8"))
    (folder / "icon.png").write_bytes(icon)


def mcpb(*words: str) -> None:
    """Run the public tool. SystemExit where npm is missing or it refuses."""
    if (npx := shutil.which("npx")) is None:
        raise SystemExit("npm is needed to pack the bundle: install Node.js, then 'make bundle'")
    ran = subprocess.run([npx, "--yes", MCPB, *words], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"mcpb {words[0]} failed:\n{ran.stdout}{ran.stderr}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    folder = parser.parse_args().out
    folder.mkdir(exist_ok=True)
    target = folder / f"cdesk-{project()['version']}.mcpb"
    with tempfile.TemporaryDirectory() as temporary:
        laid = Path(temporary) / "bundle"
        laid.mkdir()
        lay_out(laid, build_wheel(Path(temporary)))
        mcpb("validate", str(laid / "manifest.json"))
        mcpb("pack", str(laid), str(target))
    print(f"{target} ({target.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
