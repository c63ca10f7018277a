"""Settings: environment first, then config.toml, then defaults; everything else is refused
by name.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cdesk.core.config import Settings, load_settings
from cdesk.core.errors import ConfigurationError


def load(home: Path, **environ: str) -> Settings:
    return load_settings({"CDESK_HOME": str(home), "USER": "ada", **environ})


def test_an_empty_environment_gives_the_embedded_default(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (
        settings.home,
        settings.customer,
        settings.target,
        settings.worker,
        settings.durability,
    ) == (
        tmp_path,
        "ada",
        "duckdb",
        "auto",
        "os",
    )


def test_without_cdesk_home_the_platform_says_where_data_goes() -> None:
    assert load_settings({"USER": "ada"}).home.name == "cdesk"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        'customer = "file@example.com"\ntarget = "snowflake"\n', encoding="utf-8"
    )
    settings = load(tmp_path, CDESK_CUSTOMER="env@example.com")
    assert (settings.customer, settings.target) == ("env@example.com", "snowflake")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('colour = "red"', "colour"),
        ("customer = 3", "customer"),
        ('target = "sqlite"', "duckdb, snowflake"),
        ('home = "/elsewhere"', "home"),
        ("customer =", "no TOML"),
        ('customer = "a\\u0007b"', "control character"),
    ],
)
def test_a_bad_file_is_refused_with_the_reason(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=named):
        load(tmp_path)


@pytest.mark.parametrize("name", ["CDESK_TARGET", "CDESK_WORKER", "CDESK_DURABILITY"])
def test_a_bad_choice_names_what_is_allowed(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="allowed"):
        load(tmp_path, **{name: "perhaps"})


def test_an_overlong_customer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="1 to 255"):
        load(tmp_path, CDESK_CUSTOMER="a" * 256)


def test_settings_never_show_the_environment(tmp_path: Path) -> None:
    assert "hush" not in repr(load(tmp_path, SNOWFLAKE_PASSWORD="hush"))


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/Argentina/Ushuaia", "UTC"])
def test_a_time_zone_is_known_by_its_name(name: str, tmp_path: Path) -> None:
    settings = load_settings({"CDESK_HOME": str(tmp_path), "CDESK_TIMEZONE": name})
    assert str(settings.zone) == name


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe", "CEST+2", "x\x00y"]
)
def test_an_unknown_time_zone_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"timezone is .*allowed: .*Europe/Berlin"
    ) as caught:
        load_settings({"CDESK_HOME": str(tmp_path), "CDESK_TIMEZONE": name})
    assert ascii(name)[1:6] in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("render_url", "javascript:alert(1)"),
        ("render_url", "https://user:pass@example.com"),
        ("artifacts_url", "https://bucket"),
        ("artifacts_url", "s3://Bucket_Name"),
        ("artifacts_endpoint", "s3.example.com"),
        ("artifacts_encryption", "rot13"),
        ("render", "maybe"),
        ("otlp_endpoint", "http://127.0.0.1:99999"),
        ("otlp_endpoint", "http://127.0.0.1:0"),
        ("otlp_endpoint", "http://[::1]:port/x"),
        ("otlp_endpoint", "http://user:pass@127.0.0.1:4318"),
    ],
)
def test_an_address_of_another_form_is_refused(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} is ") as caught:
        load_settings({"CDESK_HOME": str(tmp_path), f"CDESK_{name.upper()}": value})
    assert "pass" not in str(caught.value), "nor is a password told"


@pytest.mark.parametrize("value", ["http://[::1]:4318", "http://localhost", "https://a.b/c:d"])
def test_an_address_with_or_without_a_port_is_taken(value: str, tmp_path: Path) -> None:
    environ = {"CDESK_HOME": str(tmp_path), "CDESK_OTLP_ENDPOINT": value}
    assert load_settings(environ).otlp_endpoint == value


def test_a_card_has_a_lasting_address(tmp_path: Path) -> None:
    given = {"CDESK_HOME": str(tmp_path), "CDESK_RENDER_URL": "https://cards.example.com/"}
    assert load_settings(given).card_url("a1") == "https://cards.example.com/c/a1"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[capture]\nenabled = "yes"\n', "capture.enabled"),
        ('[capture]\nexclude = "x"\n', "capture.exclude"),
        ("[capture]\nother = 1\n", "other"),
        ("capture = true\n", "capture"),
        ("[budget]\nday = 0\n", "budget.day"),
        ("[budget]\nweek = true\n", "budget.week"),
    ],
)
def test_a_table_of_another_form_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=named):
        load_settings({"CDESK_HOME": str(tmp_path)})


def test_capture_is_off_by_default_and_the_environment_comes_first(tmp_path: Path) -> None:
    home = {"CDESK_HOME": str(tmp_path)}
    assert not load_settings(home).capture.enabled
    (tmp_path / "config.toml").write_text(
        'customer = "ada"\n[capture]\nenabled = true\nexclude = ["a"]\n[budget]\nweek = 20\n',
        encoding="utf-8",
    )
    found = load_settings(home)
    assert (found.customer, found.capture.enabled, found.capture.exclude) == ("ada", True, ("a",))
    assert (found.budget.day, found.budget.week) == (None, 20.0)
    assert not load_settings({**home, "CDESK_CAPTURE": "off"}).capture.enabled


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cost_grace_hours", "0"),
        ("cost_usd_an_hour", "nan"),
        ("cost_credits_a_day", "-1"),
        ("retention_days", "179"),
        ("retention_days", "-1"),
        ("retention_days", "a year"),
        ("retention_days", "9" * 9),
        ("snowflake_key_expires", "soon"),
        ("snowflake_key_expires", "2027-02-30"),
    ],
)
def test_how_long_what_holds_is_refused_by_name_where_it_is_no_such_thing(
    name: str, value: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is .*allowed: "):
        load(tmp_path, **{f"CDESK_{name.upper()}": value})


@pytest.mark.parametrize(
    "text",
    [
        'retention_days = "365"\nsnowflake_key_expires = "2027-01-31"\ncost_usd_an_hour = "50.5"\n',
        "retention_days = 365\nsnowflake_key_expires = 2027-01-31\ncost_usd_an_hour = 50.5\n",
    ],
    ids=["as text", "as TOML has them"],
)
def test_numbers_and_days_are_read_from_the_file(tmp_path: Path, text: str) -> None:
    assert load(tmp_path).retention_days == 0
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    settings = load(tmp_path)
    assert (settings.retention_days, settings.snowflake_key_expires) == (365, "2027-01-31")
    assert settings.costs.usd_an_hour == 50.5


@pytest.mark.parametrize(
    "text", ["retention_days = true", "customer = 3", "snowflake_key_expires = 2027-01-31T00:00:00"]
)
def test_what_is_no_text_where_text_is_wanted_says_how_to_write_it(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="is not a string; write "):
        load(tmp_path)


@pytest.mark.parametrize("workers", [1, 4, 64])
def test_processes_take_together_what_one_customer_may_ask(tmp_path: Path, workers: int) -> None:
    http = load(tmp_path, CDESK_HTTP_WORKERS=str(workers)).http
    calls, tickets = http.part_of_a_process
    assert (calls * workers, tickets * workers) == (600, 60)
