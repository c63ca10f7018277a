"""Code of templates that outlives the process which compiled it."""

from __future__ import annotations

import os
from pathlib import Path
from types import CodeType

import pytest

from cdesk_app.worker.dbt import compiled_templates
from cdesk_app.worker.dbt.compiled_templates import CompiledTemplates


def code(text: str) -> CodeType:
    return compile(text, "<template>", "eval")


def value(kept: CompiledTemplates, compiled: str) -> object:
    found = kept.get(compiled)
    return None if found is None else eval(found)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "templates.bin"


@pytest.fixture
def full(file: Path) -> Path:
    """Of two texts."""
    kept = CompiledTemplates(file, "dbt=1")
    kept.keep("two", code("1 + 1"))
    kept.keep("\ud800", code("'odd'"))
    return file


def test_what_one_process_compiled_another_has(full: Path) -> None:
    kept = CompiledTemplates(full, "dbt=1")
    assert [value(kept, text) for text in ("two", "\ud800", "other")] == [2, "odd", None]
    kept.keep("two", code("'newer'"))
    assert value(CompiledTemplates(full, "dbt=1"), "two") == "newer"


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_the_file_is_the_persons_alone(full: Path) -> None:
    assert full.stat().st_mode & 0o777 == 0o600


def test_code_of_other_versions_is_left_out(full: Path) -> None:
    newer = CompiledTemplates(full, "dbt=2")
    assert value(newer, "two") is None
    newer.keep("two", code("2"))
    assert value(CompiledTemplates(full, "dbt=2"), "two") == 2
    assert value(CompiledTemplates(full, "dbt=1"), "two") is None


@pytest.mark.parametrize("cut", [1, 16, 30, 60])
def test_a_torn_record_costs_itself_alone(full: Path, cut: int) -> None:
    data = full.read_bytes()
    full.write_bytes(data[:-cut])
    kept = CompiledTemplates(full, "dbt=1")
    assert [value(kept, "two"), value(kept, "\ud800")] == [2, None]
    kept.keep("\ud800", code("'again'"))
    kept = CompiledTemplates(full, "dbt=1")
    assert [value(kept, "two"), value(kept, "\ud800")] == [2, "again"]


def test_a_changed_byte_is_noticed(full: Path) -> None:
    data = bytearray(full.read_bytes())
    data[80] ^= 1
    full.write_bytes(data)
    kept = CompiledTemplates(full, "dbt=1")
    assert [value(kept, "two"), value(kept, "\ud800")] == [None, None]


def test_a_file_that_has_grown_too_large_begins_anew(
    full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled_templates, "MOST_BYTES", full.stat().st_size - 1)
    assert value(CompiledTemplates(full, "dbt=1"), "two") is None
    assert full.stat().st_size == 32


def test_where_nothing_can_be_kept_nothing_fails(file: Path) -> None:
    file.mkdir()
    kept = CompiledTemplates(file, "dbt=1")
    kept.keep("two", code("2"))
    assert value(kept, "two") is None


def test_what_is_no_code_is_not_kept(file: Path) -> None:
    kept = CompiledTemplates(file, "dbt=1")
    size = file.stat().st_size
    kept.keep("two", "source = 2")
    assert file.stat().st_size == size
