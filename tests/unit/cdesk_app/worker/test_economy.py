"""What spares dbt work takes hold on the installed dbt, and changes none of its answers."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import threading
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import agate.data_types.date
import agate.data_types.date_time
import dbt.adapters.events.base_types
import dbt.events.base_types
import dbt.mp_context
import dbt_common.events.base_types
import jinja2
import orjson
import pytest
from dbt.clients.jinja import MacroGenerator
from dbt.clients.jinja_static import statically_extract_macro_calls
from dbt.compilation import Linker
from dbt.context.configured import ConfiguredContext
from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
from dbt.context.manifest import ManifestContext
from dbt.contracts.project import Project
from dbt.plugins.manager import PluginManager
from dbt_common.behavior_flags import Behavior, BehaviorFlagRendered
from dbt_common.clients.jinja import MacroFuzzEnvironment, get_environment
from dbt_common.dataclass_schema import dbtClassMixin
from dbt_common.events.base_types import EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.logger import LoggerConfig
from dbt_common.events.types import Note, SystemExecutingCmd
from mashumaro.config import BaseConfig
from mashumaro.exceptions import MissingField
from mashumaro.jsonschema import build_json_schema

from cdesk_app.worker.dbt import economy

REPLACED: tuple[tuple[Any, str], ...] = (
    *([(dataclasses, "_cmp_fn"), (dataclasses, "_repr_fn")] if sys.version_info < (3, 13) else []),
    (dbt.mp_context, "_MP_CONTEXT"),
    (BaseConfig, "lazy_compilation"),
    (EventManager, "fire_event"),
    (BehaviorFlagRendered, "_default_source"),
    (MacroNamespaceBuilder, "build_namespace"),
    (MacroNamespace, "keys"),
    (MacroNamespace, "__getitem__"),
    *(
        (module.DebugLevel, name)
        for module in (
            dbt_common.events.base_types,
            dbt.adapters.events.base_types,
            dbt.events.base_types,
        )
        for name in ("__init__", "__getattr__", "__setattr__")
    ),
    (ManifestContext, "to_dict"),
    (MacroFuzzEnvironment, "parse"),
    (agate.data_types.date, "parsedatetime"),
    (agate.data_types.date_time, "parsedatetime"),
    (PluginManager, "get_prefixed_modules"),
    (Linker, "get_graph_summary"),
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
    economy.save.__wrapped__(tmp_path)
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


def test_a_debug_event_holds_what_it_was_given_once_it_is_read() -> None:
    def made(**given: Any) -> Any:
        return SystemExecutingCmd(**given)

    before = made(cmd=["ls", "-l"])
    economy.fill_in_events_when_read()
    unread = made(cmd=["ls", "-l"])
    assert "pb_msg" not in vars(unread)
    assert (unread.message(), list(unread.cmd)) == (before.message(), ["ls", "-l"])
    assert made(cmd=["ls", "-l"]).to_dict() == before.to_dict()
    written = made(cmd=[])
    written.pb_msg.cmd.append("more")
    assert list(written.cmd) == ["more"]
    with pytest.raises(Exception, match="Unable to parse logging event dictionary"):
        made(nothing_such=1).message()
    with pytest.raises(AttributeError):
        _ = made(cmd=[]).nothing_such


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


def test_a_context_has_the_same_macros_and_each_what_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ConfiguredContext, "to_dict", lambda _: {"own": 1, "in_dbt": 1})

    def context(of: object) -> dict[str, Any]:
        made = object.__new__(ManifestContext)
        made.namespace = of
        return made.to_dict()  # type: ignore[no-any-return, no-untyped-call]

    def told(of: dict[str, Any]) -> dict[str, Any]:
        return {
            name: vars(one).keys() if isinstance(one, MacroGenerator) else type(one)
            for name, one in of.items()
        }

    before = context(namespace())
    economy.flatten_macro_names()
    after = context(namespace())
    assert told(after) == told(before)
    assert after["own"] == 1
    assert after["in_dbt"].macro.unique_id == "dbt.in_dbt"
    assert context({"alone": 2}) == {"own": 1, "in_dbt": 1, "alone": 2}


def test_a_macro_is_parsed_once_to_be_found_and_to_see_what_it_calls() -> None:
    text = "{% macro a() %}{{ b() }}{{ c.d() }}{% endmacro %}"
    before = statically_extract_macro_calls(text, {})
    economy.parse_macros_once()
    assert [statically_extract_macro_calls(text, {}) for _ in range(3)] == [before] * 3
    other = text.replace("b()", "e()")
    first = get_environment().parse(other)
    assert get_environment(None, capture_macros=True).parse(other) is first
    assert get_environment().parse(other) is not first, "kept for one more look alone"
    select = "select {{ a() }}"
    assert get_environment().parse(select) is not get_environment().parse(select)
    for _ in range(2):
        with pytest.raises(jinja2.TemplateSyntaxError):
            get_environment().parse("{% macro a() %}")


def test_dates_are_read_as_before_by_a_calendar_of_each_thread() -> None:
    def read() -> tuple[object, ...]:
        day, instant = agate.data_types.Date, agate.data_types.DateTime
        return (
            day().cast("May 4 2026"),
            day(date_format="%d.%m.%Y").cast("4.5.2026"),
            instant().cast("2026-05-04T10:20:30"),
            instant(datetime_format="%Y-%m-%d %H:%M:%S").cast("2026-05-04 10:20:30"),
        )

    before = read()
    assert before[0] == before[1] == date(2026, 5, 4)
    assert before[2] == before[3] == datetime(2026, 5, 4, 10, 20, 30)  # noqa: DTZ001
    economy.share_calendars()
    assert [read(), read()] == [before, before]

    def calendar() -> object:
        return agate.data_types.DateTime()._parser

    assert calendar() is calendar()
    elsewhere: list[object] = []
    thread = threading.Thread(target=lambda: elsewhere.append(calendar()))
    thread.start()
    thread.join()
    assert elsewhere != [calendar()]


def test_locks_are_those_of_threads() -> None:
    economy.lock_among_threads()
    context = dbt.mp_context.get_mp_context()
    assert isinstance(context.Lock(), type(threading.Lock()))
    assert isinstance(context.RLock(), type(threading.RLock()))


def test_a_graph_is_the_same_without_its_summary() -> None:
    economy.summarize_no_graph()
    linker = Linker()
    linker.dependency("a", "b")
    assert linker.get_graph_summary(SimpleNamespace()) == {}
    assert list(linker.edges()) == [("b", "a")]


def test_plugins_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[int] = []

    def modules(_: type[PluginManager]) -> dict[str, Any]:
        listed.append(1)
        return {"dbt_none": SimpleNamespace()}

    monkeypatch.setattr(PluginManager, "get_prefixed_modules", classmethod(modules))
    economy.look_for_plugins_once()
    for _ in range(2):
        assert not PluginManager.from_modules("a project").hooks
    assert listed == [1]


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


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Python compiles a class's text at once")
def test_a_dataclass_is_compared_and_shown_as_before() -> None:
    def made() -> type[Any]:
        @dataclass(order=True)
        class Place:
            name: str
            inner: Any = None
            hidden: int = dataclasses.field(default=1, repr=False, compare=False)

        return Place

    def told(place: type[Any]) -> list[object]:
        ring = place("ring")
        ring.inner = ring
        return [
            repr(place("a", place("b"))),
            repr(ring),
            place("a") == place("a", hidden=2),
            place("a") == place("b"),
            place("a") == "a",
            place("a", 1) < place("a", 2),
            place("a", 1) >= place("a", 2),
            place.__hash__ is None,
            sorted(vars(place)),
        ]

    before = told(made())
    economy.compare_when_used()
    assert told(made()) == before
    place = made()
    assert [place("a") == place("b"), place("a") == place("a")] == [False, True]


def test_a_text_is_compiled_once_and_a_wrong_one_refused_each_time() -> None:
    economy.compile_once()
    environment = jinja2.Environment()
    code = environment.compile("{{ 1 }}")
    assert environment.compile("{{ 1 }}") is code
    assert environment.compile("{{ 2 }}") is not code
    extended = jinja2.Environment(extensions=["jinja2.ext.do"])
    assert extended.compile("{{ 1 }}") is not code
    escaping = jinja2.Environment(autoescape=True)
    assert [one.from_string("{{ '<' }}").render() for one in (environment, escaping)] == [
        "<",
        "&lt;",
    ]
    for _ in range(2):
        with pytest.raises(jinja2.TemplateSyntaxError):
            environment.compile("{{")


def test_what_was_compiled_serves_the_next_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = jinja2.Environment.compile
    compiled: list[str] = []

    def compile_(self: Any, source: str, *args: Any, **kwargs: Any) -> Any:
        compiled.append(source)
        return original(self, source, *args, **kwargs)

    text = "{% for n in numbers %}{{ n + 1 }},{% endfor %}"
    for expected in (["{{ 2 }}", text], []):
        compiled.clear()
        monkeypatch.setattr(jinja2.Environment, "compile", compile_)
        economy.compile_once(tmp_path / "templates.bin")
        environment = get_environment()
        assert environment.from_string("{{ 2 }}").render({}) == "2"
        assert environment.from_string(text).render({"numbers": [1, 41]}) == "2,42,"
        with pytest.raises(jinja2.TemplateSyntaxError):
            environment.from_string("{{")
        assert [one for one in compiled if one != "{{"] == expected


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
