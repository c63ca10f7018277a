"""The audit of what the lock pins: `python -m cdesk_app.ops.launch_check_dependencies`.

Advisories by pip-audit, where it is installed and its data can be had. Otherwise, and beside it,
what needs nobody: every pin is exact and is the version that is installed, and every licence is one
that the project may be shipped with. A pin that is not installed is no evidence of either, but for
one that the lock keeps for other platforms.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import orjson

LOCK: Final = Path(__file__).resolve().parents[2] / "requirements.lock"
_PIN: Final = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)(?:\s*;(.*))?\Z")
_AUDIT_SECONDS: Final = 300
NO_DATA: Final = "no advisories: their data could not be had"
_FREE: Final = re.compile(
    r"apache|\bmit\b|bsd|isc|python|psf|mozilla|mpl|unlicense|public domain|zlib|zpl|hpnd|cc0|"
    r"0bsd|matplotlib|lgpl|lesser general|artistic",
    re.IGNORECASE,
)
_NOT_FREE: Final = re.compile(r"(?<!l)gpl|affero|proprietary|commercial", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pin:
    """A version. is_conditional: of some platforms alone."""

    version: str
    is_conditional: bool = False


def pins(text: str) -> tuple[dict[str, Pin], list[str]]:
    """Package → pin of a lock file, and its lines that are no exact pin."""
    found, loose = {}, []
    for line in text.splitlines():
        bare = line.partition("#")[0].strip()
        if not bare or bare.startswith("-"):
            continue
        match = _PIN.match(bare)
        if match is None:
            loose.append(bare)
        else:
            found[match[1]] = Pin(match[2], match[3] is not None)
    return found, loose


def licence(about: metadata.PackageMetadata) -> str:
    """What a package says of its licence, in one line; empty where it says nothing."""
    said = about.get_all("Classifier") or []
    classified = [one.rpartition("::")[2].strip() for one in said if one.startswith("License ::")]
    for told in (about.get_all("License-Expression"), classified, about.get_all("License")):
        if told:
            return " ".join(" / ".join(told).split())[:80]
    return ""


def problems_of(pinned: dict[str, Pin]) -> list[str]:
    """Pins that are not what is installed, and licences that are not free or not said."""
    problems, missing = [], []
    for name, pin in pinned.items():
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if not pin.is_conditional:
                missing.append(name)
            continue
        if found.version != pin.version:
            problems.append(f"{name} is {found.version} here and {pin.version} in the lock")
        told = licence(found.metadata)
        if not told:
            problems.append(f"{name} says nothing of its licence")
        elif _NOT_FREE.search(told) and not _FREE.search(told):
            problems.append(f"{name} is under {told}")
    if missing:
        problems.append(
            f"{len(missing):,} pins are not installed here, so nobody looked at them: "
            f"{', '.join(missing)}; pip install -r requirements.lock"
        )
    return problems


def advisories(lock: Path) -> tuple[str, list[str]]:
    """What pip-audit says: evidence in a line, and what it found. What it could not ask about is no
    evidence, though it ends well over it.
    """
    if find_spec("pip_audit") is None:
        return "no advisories: pip-audit is not installed", []
    words = ["-r", str(lock), "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "pip_audit", *words, "--format", "json"],
            capture_output=True,
            text=True,
            timeout=_AUDIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return NO_DATA, []
    return read_audit(ended.stdout)


def read_audit(text: str) -> tuple[str, list[str]]:
    """Of what pip-audit prints as JSON: as `advisories`."""
    try:
        dependencies = orjson.loads(text)["dependencies"]
        asked = [one for one in dependencies if "vulns" in one]
        found = [
            f"{one['name']} {one['version']}: {vulnerability['id']}, fixed in "
            f"{', '.join(vulnerability['fix_versions']) or 'no version'}"
            for one in asked
            for vulnerability in one["vulns"]
        ]
    except (ValueError, KeyError, TypeError):
        return NO_DATA, []
    if not asked:
        return NO_DATA, []
    told = f"pip-audit has asked about {len(asked):,} of {len(dependencies):,} packages"
    return f"{told}; vulnerabilities: {len(found):,}", found


def main() -> int:
    """Print the findings: 0 where there is nothing to do."""
    pinned, loose = pins(LOCK.read_text(encoding="utf-8"))
    told, found = advisories(LOCK)
    problems = [f"not pinned: {line}" for line in loose] + problems_of(pinned) + found
    lines = [f"audit: {told}", f"audit: {len(pinned):,} exact pins, licences looked at", *problems]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
