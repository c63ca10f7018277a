"""What spares dbt work takes hold on the installed dbt, and changes none of its answers."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import orjson
import pytest
from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
from dbt.contracts.project import Project
from dbt_common.behavior_flags import Behavior, BehaviorFlagRendered
from dbt_common.dataclass_schema import dbtClassMixin
from dbt_common.events.base_types import EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.logger import LoggerConfig
from dbt_common.events.types import Note
from mashumaro.config import BaseConfig
from mashumaro.exceptions import MissingField
from mashumaro.jsonschema import build_json_schema

from cdesk_app.worker.dbt import economy

REPLACED: tuple[tuple[Any, str], ...] = (
    (BaseConfig, "lazy_compilation"),
    (EventManager, "fire_event"),
    (BehaviorFlagRendered, "_default_source"),
    (MacroNamespaceBuilder, "add_macros"),
    (MacroNamespace, "keys"),
    (MacroNamespace, "__getitem__"),
    (jinja2.Environment, "compile"),
    (dbtClassMixin, "json_schema"),
)


@pytest.fixture(autouse=True)
def _dbt_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test puts in place is taken back, and what wraps was not there before."""
    for owner, name in REPLACED:
        found = owner.__dict__.get(name, getattr(owner, name))
        while inspect.isfunction(found) and hasattr(found, "__wrapped__"):
            found = found.__wrapped__
        monkeypatch.setattr(owner, name, found)
    monkeypatch.setattr(BaseConfig, "lazy_compilation", False)


def test_everything_takes_hold_on_the_installed_dbt(tmp_path: Path) -> None:
    before = [owner.__dict__.get(name) for owner, name in REPLACED]
    economy.save.__wrapped__(tmp_path / "schemas.json")
    for (owner, name), was in zip(REPLACED, before, strict=True):
        assert owner.__dict__[name] is not was, f"{owner.__name__}.{name}"


@pytest.mark.parametrize(
    ("level", "event_level", "is_heard"),
    [
        (EventLevel.INFO, EventLevel.DEBUG, False),
        (EventLevel.INFO, EventLevel.INFO, True),
        (EventLevel.ERROR, EventLevel.WARN, True),  # the log leaves it out, a callback hears it
        (EventLevel.DEBUG, EventLevel.DEBUG, True),
    ],
)
def test_an_event_is_made_for_whoever_hears_it(
    level: EventLevel, event_level: EventLevel, is_heard: bool
) -> None:
    economy.drop_unheard_events()
    manager, heard = EventManager(), list[str]()
    manager.add_logger(LoggerConfig(name="cdesk_test_economy", level=level))
    manager.add_callback(lambda message: heard.append(message.info.msg))
    manager.fire_event(Note(msg="hello"), level=event_level)
    assert heard == (["hello"] if is_heard else [])


def test_a_flag_is_on_or_off_as_before() -> None:
    economy.name_no_caller()
    flags: list[Any] = [
        {"name": "on", "default": False, "description": "x"},
        {"name": "off", "default": False, "description": "x"},
    ]
    behavior = Behavior(flags, {"on": True})
    assert (behavior.on.no_warn, behavior.off.no_warn) == (True, False)


def namespace() -> MacroNamespace:
    """Macros of the same names in the project, a package, dbt and an adapter."""
    builder = MacroNamespaceBuilder("root", "package", SimpleNamespace(), ["dbt_engine", "dbt"])  # type: ignore[arg-type]
    packages: dict[str, dict[str, Any]] = {
        package: {
            name: SimpleNamespace(name=name, package_name=package, unique_id=f"{package}.{name}")
            for name in names
        }
        for package, names in {
            "dbt": ("everywhere", "in_dbt", "engine_first"),
            "dbt_engine": ("everywhere", "engine_first"),
            "root": ("everywhere", "root_first", "root_only"),
            "package": ("everywhere", "root_first", "in_package"),
            "other": ("everywhere", "in_other"),
        }.items()
    }
    return builder.build_namespace(packages, {})


def seen(of: MacroNamespace) -> dict[str, Any]:
    context: dict[str, Any] = {}
    context.update(of)
    return {
        name: sorted(found) if isinstance(found, dict) else found.macro.unique_id
        for name, found in context.items()
    }


def test_a_name_means_the_same_macro() -> None:
    """The node's package, then the project, the packages by name, and dbt's own, the adapter's
    first: before and after.
    """
    expected = {
        "everywhere": "package.everywhere",
        "root_first": "package.root_first",
        "root_only": "root.root_only",
        "in_package": "package.in_package",
        "in_dbt": "dbt.in_dbt",
        "engine_first": "dbt_engine.engine_first",
        "dbt": ["engine_first", "everywhere", "in_dbt"],
        "root": ["everywhere", "root_first", "root_only"],
        "package": ["everywhere", "in_package", "root_first"],
        "other": ["everywhere", "in_other"],
    }
    assert seen(namespace()) == expected
    economy.flatten_macro_names()
    after = namespace()
    assert seen(after) == expected
    assert len(after) == len(expected)
    assert after.get("nothing") is None
    with pytest.raises(KeyError):
        after["nothing"]


def test_a_class_made_from_now_on_is_compiled_when_it_is_used() -> None:
    def made() -> type[Any]:
        @dataclass
        class Place(dbtClassMixin):
            name: str
            number: int = 1

        return Place

    at_once = made()
    economy.compile_when_used()
    when_used = made()
    for place in (at_once, when_used):
        assert place.from_dict({"name": "a", "number": 2}).to_dict() == {"name": "a", "number": 2}
        with pytest.raises(MissingField):
            place.from_dict({})


def test_a_text_is_compiled_once_and_a_wrong_one_refused_each_time() -> None:
    economy.compile_once()
    environment = jinja2.Environment()
    code = environment.compile("{{ 1 }}")
    assert environment.compile("{{ 1 }}") is code
    assert environment.compile("{{ 2 }}") is not code
    extended = jinja2.Environment(extensions=["jinja2.ext.do"])
    assert extended.compile("{{ 1 }}") is not code
    for _ in range(2):
        with pytest.raises(jinja2.TemplateSyntaxError):
            environment.compile("{{")


def test_schemas_are_kept_for_the_same_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "schemas.json"
    original = dbtClassMixin.__dict__["json_schema"]
    file.write_bytes(b"{broken")
    economy.keep_schemas(file)
    made = Project.json_schema()
    assert made == build_json_schema(Project).to_dict()
    kept = orjson.loads(file.read_bytes())
    assert kept["schemas"] == {"dbt.contracts.project.Project": made}

    kept["schemas"]["dbt.contracts.project.Project"] = {"type": "object"}
    file.write_bytes(orjson.dumps(kept))
    monkeypatch.setattr(dbtClassMixin, "json_schema", original)
    economy.keep_schemas(file)
    assert Project.json_schema() == {"type": "object"}, "read, not made"

    monkeypatch.setattr(economy, "versions", lambda: "dbt-core=another")
    monkeypatch.setattr(dbtClassMixin, "json_schema", original)
    economy.keep_schemas(file)
    assert Project.json_schema() == made
