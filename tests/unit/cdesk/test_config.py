"""Settings: environment first, then config.toml, then defaults; everything else is refused
by name.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cdesk.core.config import (
    HTTP_SETTINGS,
    OPS_SETTINGS,
    SETTINGS,
    CaptureSettings,
    CostCaps,
    HttpSettings,
    Settings,
    load_settings,
)
from cdesk.core.errors import ConfigurationError


def load(home: Path, **environ: str) -> Settings:
    return load_settings({"CDESK_HOME": str(home), "USER": "ada", **environ})


def test_an_empty_environment_gives_the_embedded_default(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings == Settings(home=tmp_path, customer="ada")
    assert (settings.target, settings.worker, settings.durability) == ("duckdb", "auto", "os")
    assert not settings.budget.is_set
    assert settings.environ["USER"] == "ada"


@pytest.mark.parametrize(
    ("environ", "customer"),
    [
        ({"USER": "ada", "USERNAME": "bob"}, "ada"),
        ({"USER": "", "USERNAME": "bob"}, "bob"),
        ({}, "local"),
        ({"USER": "ada", "CDESK_CUSTOMER": "eve"}, "eve"),
    ],
)
def test_who_is_not_named_is_the_systems_user(
    tmp_path: Path, environ: dict[str, str], customer: str
) -> None:
    assert load_settings({"CDESK_HOME": str(tmp_path), **environ}).customer == customer


EVERY = {
    "customer": "eve",
    "roles": " analyst, analyst,",
    "target": "snowflake",
    "worker": "off",
    "durability": "disk",
    "timezone": "Europe/Berlin",
    "locale": "de-DE",
    "runtime": "/wheels",
    "render": "off",
    "render_url": "https://cards.example.com/",
    "artifacts_url": "s3://bucket/prefix/",
    "artifacts_endpoint": "https://s3.example.com",
    "artifacts_region": "eu-central-1",
    "artifacts_encryption": "aws:kms",
    "artifacts_kms_key": "key",
    "http_host": "0.0.0.0",
    "http_port": "1",
    "http_workers": "2",
    "http_url": "https://cdesk.example.com",
    "http_hosts": "a.example, b.example",
    "http_origins": "https://c.example",
    "http_proxies": "192.0.2.1,",
    "http_calls_per_minute": "3",
    "http_tickets_per_minute": "4",
    "http_least_customers": "5",
    "http_issuer": "https://login.example.com/",
    "http_jwks_url": "https://login.example.com/keys",
    "http_audience": "us",
    "http_customer_claim": "email",
    "metrics_address": "127.0.0.1:9464",
    "metrics_certificates": "a.pem,b.pem",
    "otlp_endpoint": "http://127.0.0.1:4318",
    "cost_usd_an_hour": "1.5",
    "cost_credits_a_day": "2",
    "cost_query_seconds_a_day": "3",
    "cost_query_bytes_a_day": "4",
    "cost_credits_an_hour": "5",
    "cost_grace_hours": "0.5",
    "retention_days": "180",
    "snowflake_key_expires": "2027-01-31",
}


def every(home: Path) -> Settings:
    return Settings(
        home=home,
        customer="eve",
        roles=("analyst",),
        target="snowflake",
        worker="off",
        durability="disk",
        timezone="Europe/Berlin",
        locale="de-DE",
        runtime="/wheels",
        render="off",
        render_url="https://cards.example.com",
        artifacts_url="s3://bucket/prefix",
        artifacts_endpoint="https://s3.example.com",
        artifacts_region="eu-central-1",
        artifacts_encryption="aws:kms",
        artifacts_kms_key="key",
        http=HttpSettings(
            host="0.0.0.0",
            port=1,
            workers=2,
            url="https://cdesk.example.com",
            hosts=("a.example", "b.example"),
            origins=("https://c.example",),
            proxies=("192.0.2.1",),
            calls_per_minute=3,
            tickets_per_minute=4,
            least_customers=5,
            issuer="https://login.example.com/",
            jwks_url="https://login.example.com/keys",
            audience="us",
            customer_claim="email",
        ),
        metrics_address="127.0.0.1:9464",
        metrics_certificates=("a.pem", "b.pem"),
        otlp_endpoint="http://127.0.0.1:4318",
        costs=CostCaps(1.5, 2.0, 3.0, 4.0, 5.0, 0.5),
        retention_days=180,
        snowflake_key_expires="2027-01-31",
    )


def test_every_setting_is_read_from_the_environment_and_from_the_file(tmp_path: Path) -> None:
    assert set(EVERY) == {*SETTINGS[1:], *HTTP_SETTINGS, *OPS_SETTINGS}
    environ = {f"CDESK_{name.upper()}": value for name, value in EVERY.items()}
    assert load(tmp_path, **environ) == every(tmp_path)
    lines = [f"{name} = {json.dumps(value)}" for name, value in EVERY.items()]
    (tmp_path / "config.toml").write_text("\n".join(lines), encoding="utf-8")
    assert load(tmp_path) == every(tmp_path)


@pytest.mark.parametrize(
    ("name", "taken", "refused"),
    [
        ("http_port", ["0", "65535"], ["-1", "65536", "1.5", "٣", "9" * 20]),
        ("http_workers", ["1", "64"], ["0", "65"]),
        ("http_calls_per_minute", ["1", "1000000"], ["0", "1000001"]),
        ("http_tickets_per_minute", ["1", "1000000"], ["0", "1000001"]),
        ("http_least_customers", ["1", "1000000"], ["0", "1000001"]),
        ("cost_usd_an_hour", ["0", "0.01", "9e17"], ["-0.1", "inf", "1e18", "x"]),
        ("cost_grace_hours", ["0.01"], ["0", "-1"]),
        ("retention_days", ["0", "180", "999999"], ["1", "179", "1000000", "٣٦٥"]),
        ("metrics_address", ["a.example:1", "[::1]:65535"], [":1", "a:0", "a:65536", "a", "a:b"]),
        ("otlp_endpoint", ["http://a:1", "http://a:65535"], ["http://a:0", "http://a:65536"]),
        ("artifacts_url", ["s3://abc", "s3://a.b/c_d="], ["s3://ab", "s3://abc?x"]),
        ("locale", ["de", "deu", "de_DE", "zh-Hant-TW"], ["d", "de-", "german", "de-DE-a-b-c"]),
        ("roles", ["analyst"], ["admin", "analyst,admin"]),
        ("customer", ["a" * 255], ["a" * 256, "a\x00"]),
    ],
)
def test_a_setting_is_taken_at_its_bounds_and_refused_beyond(
    tmp_path: Path, name: str, taken: list[str], refused: list[str]
) -> None:
    for value in taken:
        load(tmp_path, **{f"CDESK_{name.upper()}": value})
    for value in refused:
        with pytest.raises(ConfigurationError, match=rf"{name}.*allowed: "):
            load(tmp_path, **{f"CDESK_{name.upper()}": value})


@pytest.mark.parametrize(("name", "allowed"), [("cost_grace_hours", "a number above 0"), ("cost_usd_an_hour", r"a number from 0 \(no cap\)")])  # fmt: skip
def test_what_a_cap_may_be_is_said(tmp_path: Path, name: str, allowed: str) -> None:
    with pytest.raises(ConfigurationError, match=f"allowed: {allowed}$"):
        load(tmp_path, **{f"CDESK_{name.upper()}": "-1"})


@pytest.mark.parametrize("missing", ["http_jwks_url", "http_url", "http_issuer"])
def test_an_issuer_needs_its_keys_and_where_it_is_reached(tmp_path: Path, missing: str) -> None:
    names = ("http_jwks_url", "http_url", "http_issuer")
    given = {f"CDESK_{name.upper()}": EVERY[name] for name in names if name != missing}
    if missing == "http_issuer":
        assert load(tmp_path, **given).http.issuer == ""
        given["CDESK_HTTP_ISSUER"] = "login.example.com"
    with pytest.raises(ConfigurationError, match="http_issuer needs an address"):
        load(tmp_path, **given)


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(ConfigurationError, match=r"cannot be read .*mend its permissions"):
        load(tmp_path)
    assert load(tmp_path / "none").customer == "ada"


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
        ("[budget]\nmonth = 1e9\n", "budget.month"),
        ('[budget]\nday = "1"\n', "budget.day"),
        ("[budget]\nyear = 1\n", "allowed: day, week, month"),
        ("[features]\nhttp = 1\n", "features.http"),
        ('[capture]\nexclude = ["a", 1]\n', "capture.exclude"),
        ("[capture]\ninclude_text = 1\n", "capture.include_text"),
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
    assert found.budget.is_set
    assert not found.capture.include_text
    assert not load_settings({**home, "CDESK_CAPTURE": "off"}).capture.enabled
    with pytest.raises(ConfigurationError, match="CDESK_CAPTURE is 'yes'; allowed: on, off"):
        load_settings({**home, "CDESK_CAPTURE": "yes"})
    (tmp_path / "config.toml").write_text("[capture]\ninclude_text = true\n", encoding="utf-8")
    found = load_settings({**home, "CDESK_CAPTURE": "on"})
    assert found.capture == CaptureSettings(enabled=True, include_text=True)
    (tmp_path / "config.toml").write_text("[features]\ncapture = false\n", encoding="utf-8")
    assert load_settings({**home, "CDESK_CAPTURE": "on"}).capture == CaptureSettings()


@pytest.mark.parametrize(("name", "limit"), [("day", 0.01), ("week", 7), ("month", 999_999_999)])
def test_any_limit_is_a_budget(tmp_path: Path, name: str, limit: float) -> None:
    (tmp_path / "config.toml").write_text(f"[budget]\n{name} = {limit}\n", encoding="utf-8")
    budget = load(tmp_path).budget
    assert budget.is_set
    assert getattr(budget, name) == limit


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
