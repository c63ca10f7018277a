"""The parsed project that outlives the process which parsed it."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Any

import pytest
from dbt.contracts.graph.manifest import Manifest

from cdesk_app.worker.dbt import kept_manifest
from cdesk_app.worker.dbt.kept_manifest import KeptManifest

ROOT = Path(__file__).resolve().parents[4]


def contents(manifest: Manifest) -> dict[str, Any]:
    return {
        field.name: getattr(manifest, field.name)
        for field in dataclasses.fields(manifest)
        if not field.name.startswith("_")
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "manifest.bin"


@pytest.fixture
def manifest(file: Path) -> Manifest:
    """Kept, with something of its own in each field."""
    made = Manifest()
    for name in contents(made):
        setattr(made, name, {"field": name})
    KeptManifest(file, "project").keep(made)
    return made


def test_what_one_process_parsed_another_has(manifest: Manifest, file: Path) -> None:
    found = KeptManifest(file, "project").load()
    assert found is not None
    assert contents(found) == contents(manifest)


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
@pytest.mark.usefixtures("manifest")
def test_the_file_is_the_persons_alone(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("manifest")
def test_a_parse_of_another_project_or_by_other_versions_is_left_out(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert KeptManifest(file, "changed").load() is None
    monkeypatch.setattr(kept_manifest, "versions", lambda: "dbt-core=0")
    assert KeptManifest(file, "project").load() is None


@pytest.mark.usefixtures("manifest")
@pytest.mark.parametrize("place", [0, 40, 70, -1])
def test_a_damaged_file_is_not_read(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)
    assert KeptManifest(file, "project").load() is None


def test_a_manifest_of_other_classes_is_left_out(
    manifest: Manifest, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbt.contracts.graph.manifest.Manifest", lambda: None)
    assert KeptManifest(file, "project").load() is None
    monkeypatch.undo()
    monkeypatch.setattr(kept_manifest.pickle, "dumps", lambda *_: b"c__main__\nGone\n.")
    KeptManifest(file, "project").keep(manifest)
    assert KeptManifest(file, "project").load() is None


def test_nothing_kept_is_nothing_found(file: Path) -> None:
    assert KeptManifest(file, "project").load() is None
    KeptManifest(file / "no folder", "project").keep(Manifest())


def test_what_a_parse_reads_of_the_environment_is_in_the_fingerprint() -> None:
    """Else what is kept of a parse would serve where another value stands."""
    files = [ROOT / "dbt_project.yml", ROOT / "selectors.yml"]
    for folder in ("models", "macros", "analyses", "seeds", "tests/data"):
        files += [path for path in (ROOT / folder).rglob("*") if path.suffix in (".sql", ".yml")]
    read = {
        name
        for path in files
        for name in re.findall(r"env_var\(\s*['\"](\w+)", path.read_text(encoding="utf-8"))
    }
    assert read == {"CDESK_TIMEZONE"}  # DbtProject.timezone
