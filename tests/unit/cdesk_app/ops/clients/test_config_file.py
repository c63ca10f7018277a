"""config.toml is changed where it is to be, and nowhere else."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from cdesk.core.errors import ConfigurationError
from cdesk_app.ops.clients import config_file


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'customer = "ada"\n'),
        ('# mine\ntarget = "duckdb"', '# mine\ntarget = "duckdb"\ncustomer = "ada"\n'),
        ('customer = "x" # who\ntimezone = "UTC"\n', 'customer = "ada"\ntimezone = "UTC"\n'),
        ("'customer' = 'x'\r\n", 'customer = "ada"\n'),
        ('customer = "ada"', None),
    ],
)
def test_the_rest_of_config_toml_stays(before: str, after: str | None, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(before.encode())
    assert config_file.changed(path, {"customer": "ada", "roles": None}) == after


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ('timezone = """\ncustomer = 1\n"""\n', "is not in a form .* write: customer = 'ada'"),
        ("customer", "is no TOML"),
    ],
)
def test_a_config_toml_of_another_form_is_left_alone(
    before: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(before, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=rf"config\.toml {said}"):
        config_file.changed(path, {"customer": "ada"})


def test_a_setting_goes_before_the_tables_and_a_table_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('# mine\ntimezone = "UTC"\n[budget]\nday = 5\n', encoding="utf-8")
    path.write_text(config_file.changed(path, {"customer": "ada"}) or "", encoding="utf-8")
    for enabled in (True, False):
        text = config_file.changed_table(
            path, "capture", {"enabled": enabled, "exclude": ['a "b"', "c"]}
        )
        path.write_text(text, encoding="utf-8")
        assert tomllib.loads(text) == {
            "timezone": "UTC",
            "customer": "ada",
            "budget": {"day": 5},
            "capture": {"enabled": enabled, "exclude": ['a "b"', "c"]},
        }
    assert text.startswith("# mine\n")


@pytest.mark.parametrize(
    ("before", "values", "after"),
    [
        ("", {"customer": "Ädä"}, 'customer = "Ädä"\n'),
        ('worker = "off"\ntarget = "x"\n', {"worker": None}, 'target = "x"\n'),
        ('worker = "off"\n', {"worker": None, "customer": None}, ""),
        ("[budget]\nday = 5\n", {"worker": "off"}, 'worker = "off"\n[budget]\nday = 5\n'),
        (
            'worker = "on"\n[budget]\nworker = "on"\n',
            {"worker": "off"},
            'worker = "off"\n[budget]\nworker = "on"\n',
        ),
        ('target = "x"', {"worker": "off"}, 'target = "x"\nworker = "off"\n'),
        ('target = "x"\n', {"worker": None}, None),
    ],
)
def test_a_setting_is_changed_added_or_taken_out_above_the_tables(
    before: str, values: dict[str, str | None], after: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(before, encoding="utf-8")
    assert config_file.changed(path, values) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, '[capture]\nfrom = "Ü"\nenabled = true\n'),
        ("", '[capture]\nfrom = "Ü"\nenabled = true\n'),
        ('target = "x"', 'target = "x"\n\n[capture]\nfrom = "Ü"\nenabled = true\n'),
        ('target = "x"\n', 'target = "x"\n\n[capture]\nfrom = "Ü"\nenabled = true\n'),
        (
            'a = 1\n [capture] # mine\nold = 1\n\n# why\nfrom = "b"\n[budget]\nday = 5',
            'a = 1\n[capture]\nfrom = "Ü"\nenabled = true\n[budget]\nday = 5',
        ),
        ("[capture]\nold = 1", '[capture]\nfrom = "Ü"\nenabled = true\n'),
        ("[capture]", '[capture]\nfrom = "Ü"\nenabled = true\n'),
    ],
)
def test_a_table_is_put_in_the_place_of_the_one_of_its_name_or_at_the_end(
    before: str | None, after: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.toml"
    if before is not None:
        path.write_text(before, encoding="utf-8")
    assert config_file.changed_table(path, "capture", {"from": "Ü", "enabled": True}) == after


@pytest.mark.parametrize(
    "before",
    ["capture = {from = 1}\n", "capture.from = 1\n", 'text = """\n[capture]\n"""\n'],
)
def test_a_table_in_another_form_is_left_alone(before: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(before, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="has capture in a form that can't be changed"):
        config_file.changed_table(path, "capture", {"from": 2})


def test_it_is_written_privately_and_what_cannot_be_is_said(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    config_file.write(path, 'customer = "Ädä"\n')
    assert path.read_bytes() == 'customer = "Ädä"\n'.encode()
    assert sys.platform == "win32" or path.stat().st_mode & 0o777 == 0o600
    beyond = path / "config.toml"
    with pytest.raises(ConfigurationError, match=r"config\.toml cannot be (written|read) \("):
        config_file.write(beyond, "")
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=r"config\.toml cannot be read \("):
        config_file.changed(path, {"customer": "ada"})
