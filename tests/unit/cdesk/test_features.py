"""`[features]` in config.toml: what can be switched, and that switching it does something."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from cdesk.core.config import Settings, load_settings
from cdesk.core.errors import ConfigurationError
from cdesk.core.features import FEATURES, HTTP, METRICS, Features, read_features
from cdesk.core.home import StateDirectory
from cdesk.state.counts import Counts
from cdesk_app.cli.main import main
from cdesk_app.render.metrics import metrics_routes
from cdesk_app.worker.metrics_server import serving_metrics
from mcp_shim.app import App
from mcp_shim.http_main import main as serve_http

ROOT = Path(__file__).resolve().parents[3]


def settings_of(home: Path, text: str) -> Settings:
    (home / "config.toml").write_text(text, encoding="utf-8")
    return load_settings({"CDESK_HOME": str(home)})


def test_a_feature_has_its_default_until_it_is_switched(tmp_path: Path) -> None:
    for feature in FEATURES:
        for switched in (True, False):
            value = str(feature.default is not switched).lower()
            settings = settings_of(tmp_path, f"[features]\n{feature.name} = {value}\n")
            assert settings.features.has(feature) is (feature.default is not switched)
        assert settings_of(tmp_path, "").features.has(feature) is feature.default


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[features]\nhttpd = true\n",
            "unknown setting 'httpd' in .features.; allowed: capture, http",
        ),
        ('[features]\nhttp = "yes"\n', "features.http is 'yes'; allowed: true, false"),
        ('features = "http"\n', "features is no table"),
    ],
)
def test_another_name_or_value_is_refused_with_what_is_allowed(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        settings_of(tmp_path, text)


def test_status_lists_each_with_its_default_and_since_when(
    state_home: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    (state_home.root / "config.toml").write_text("[features]\nhttp = false\n", encoding="utf-8")
    assert main(["status"]) == 0
    told = capsys.readouterr().out
    assert [one.name for one in FEATURES if f"feature {one.name} " not in told] == []
    line = next(line for line in told.splitlines() if line.startswith("feature http "))
    assert line.split(maxsplit=2)[2].startswith("off, by default on, since 0.1.0: ")


def test_every_feature_stands_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [one.name for one in FEATURES if f"`{one.name}`" not in readme] == []


# -- what switching does


def without(feature: str, home: StateDirectory) -> Settings:
    return Settings(
        home=home.root,
        customer="ada@example.com",
        worker="off",
        features=read_features({feature: False}),
    )


@pytest.mark.parametrize("environ", [{}, {"CDESK_CAPTURE": "on"}])
def test_capture_that_is_off_follows_nothing(tmp_path: Path, environ: dict[str, str]) -> None:
    text = "[capture]\nenabled = true\n"
    assert settings_of(tmp_path, text).capture.enabled
    (tmp_path / "config.toml").write_text(f"{text}[features]\ncapture = false\n", encoding="utf-8")
    assert not load_settings({"CDESK_HOME": str(tmp_path), **environ}).capture.enabled


def test_http_that_is_off_is_not_served(state_home: StateDirectory) -> None:
    with pytest.raises(ConfigurationError, match=r"http = true under \[features\]"):
        serve_http(without("http", state_home), port=0)
    Features().require(HTTP)


def test_cards_that_are_off_are_shown_to_no_client(state_home: StateDirectory) -> None:
    for name, cards in (("apps", False), ("http", True)):
        app = App.open(without(name, state_home), state_home)
        try:
            assert app.cards is cards
        finally:
            app.records._queue.close()
            app.readers.close()


def test_metrics_that_are_off_are_answered_nowhere(state_home: StateDirectory) -> None:
    from dataclasses import replace

    off = replace(without("metrics", state_home), metrics_address="256.0.0.1:1")
    assert metrics_routes(off, state_home) == []
    with serving_metrics(off, state_home, Counts()):
        pass
    assert metrics_routes(replace(off, features=Features()), state_home) != []
    assert not off.features.has(METRICS)


def test_streaming_that_is_off_lands_by_the_connector(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from cdesk.warehouse.snowflake import streaming

    environ = {"CDESK_SNOWFLAKE_LANDING": "streaming", "SNOWFLAKE_ACCOUNT": "a"}
    plain = SimpleNamespace(clock_distance=lambda: 0.0)
    monkeypatch.setattr(
        streaming.SnowflakeWarehouse, "from_settings", lambda *_args, **_named: plain
    )
    off = replace(without("streaming", state_home), target="snowflake", environ=environ)
    assert streaming.open_snowflake(off) is plain
    on = replace(off, features=Features())
    assert isinstance(streaming.open_snowflake(on), streaming.SnowpipeWarehouse)
