"""Identity: another customer's anything is forbidden, whether or not it exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdesk.core.config import Settings, Target, load_settings
from cdesk.core.errors import ConfigurationError, Forbidden
from cdesk.core.identity import ADMIN, ANALYST, Caller, local_caller, stdio_caller


def test_a_caller_has_its_own_customer_only() -> None:
    caller = Caller("ada@example.com")
    caller.require_customer("ada@example.com")
    for other in ("bob@example.com", "", "ADA@example.com"):
        with pytest.raises(Forbidden, match="forbidden"):
            caller.require_customer(other)


def test_no_other_role_stands_for_the_one_that_is_asked_for() -> None:
    Caller("ada", frozenset({ADMIN})).require_admin("the kill switch")
    for roles in ((), (ANALYST,)):
        with pytest.raises(Forbidden, match="the kill switch needs the admin role"):
            Caller("ada", frozenset(roles)).require_admin("the kill switch")
    with pytest.raises(Forbidden, match="needs the analyst role"):
        Caller("ada", frozenset({ADMIN})).require_analyst("top_customers")


def test_the_analyst_role_is_asked_for_by_name() -> None:
    Caller("ada", frozenset({ANALYST})).require_analyst("top_customers")
    with pytest.raises(Forbidden, match="top_customers needs the analyst role"):
        Caller("ada").require_analyst("top_customers")


@pytest.mark.parametrize(
    ("roles", "target", "claude", "command"),
    [
        ((), "duckdb", False, True),
        ((), "snowflake", False, False),
        (("analyst",), "duckdb", True, True),
        (("analyst",), "snowflake", True, True),
    ],
)
def test_claude_has_the_roles_of_the_setting_and_no_other(
    tmp_path: Path, roles: tuple[str, ...], target: Target, claude: bool, command: bool
) -> None:
    settings = Settings(tmp_path, "ada", roles=roles, target=target)
    assert stdio_caller(settings).is_analyst is claude
    assert local_caller(settings).is_analyst is command
    assert stdio_caller(settings).customer == local_caller(settings).customer == "ada"


def test_roles_come_from_the_setting_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    home = {"CDESK_HOME": str(tmp_path)}
    assert load_settings(home).roles == ()
    assert load_settings({**home, "CDESK_ROLES": " analyst ,"}).roles == ("analyst",)
    (tmp_path / "config.toml").write_text('roles = "analyst"', encoding="utf-8")
    assert load_settings(home).roles == ("analyst",)
    with pytest.raises(ConfigurationError, match="roles names 'root'; allowed: analyst"):
        load_settings({**home, "CDESK_ROLES": "analyst,root"})
