"""What dbt does for each log line, node and command though it comes out the same each time, done
once. No answer of dbt changes by it.

Each function puts one thing in place. Where dbt no longer has what it replaces, dbt stays as it is:
these are internals, which another version may have under another name or not need to be helped with
(tests/unit/cdesk_app/worker/test_economy.py says so for the installed one).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import threading
from collections.abc import Callable, Iterable, KeysView
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import orjson

from cdesk.core.home import write_private
from cdesk_app.worker.dbt.compiled_templates import CompiledTemplates

_MISSING: Final = (ImportError, AttributeError, KeyError)
SCHEMAS: Final = "schemas.json"
TEMPLATES: Final = "templates.bin"
_SYNTAX: Final = (
    *("autoescape", "optimized", "is_async", "block_start_string", "block_end_string"),
    *("variable_start_string", "variable_end_string", "comment_start_string"),
    *("comment_end_string", "line_statement_prefix", "line_comment_prefix", "trim_blocks"),
    *("lstrip_blocks", "newline_sequence", "keep_trailing_newline"),
)
"""What of a Jinja environment a text's code goes by, its class and extensions apart."""
_VERSIONED: Final = ("dbt-core", "dbt-common", "dbt-adapters", "dbt-duckdb", "dbt-snowflake")


@functools.cache
def save(kept: Path | None = None) -> None:
    """Put everything in place, once a process. `kept`: a folder that keeps, for the processes that
    come, the schemas by which dbt checks its settings and the code of its templates.
    """
    for step in (
        lock_among_threads,
        compile_when_used,
        compare_when_used,
        drop_unheard_events,
        fill_in_events_when_read,
        name_no_caller,
        flatten_macro_names,
        parse_macros_once,
        share_calendars,
        look_for_plugins_once,
        summarize_no_graph,
    ):
        with contextlib.suppress(*_MISSING):
            step()
    with contextlib.suppress(*_MISSING):
        compile_once(None if kept is None else kept / TEMPLATES)
    if kept is not None:
        with contextlib.suppress(*_MISSING):
            keep_schemas(kept / SCHEMAS)


def _replace(owner: object, name: str, new: object) -> None:
    """Raises AttributeError where there is nothing to replace."""
    getattr(owner, name)
    setattr(owner, name, new)


def versions() -> str:
    """Those of dbt and its adapters: what one of them has remembered is of no use to another."""
    found = []
    for name in _VERSIONED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{name}={metadata.version(name)}")
    return " ".join(found)


def compile_when_used() -> None:
    """How each class of dbt is read and written is compiled while dbt is imported, a quarter of
    that time, though a command uses a few of them: for classes made from now on, on first use.
    https://github.com/Fatal1ty/mashumaro#lazy_compilation-config-option
    """
    from mashumaro.config import BaseConfig

    _replace(BaseConfig, "lazy_compilation", True)


def lock_among_threads() -> None:
    """dbt runs its nodes in threads, and takes locks for that which processes could share: for the
    first of them Python starts a process that would tidy up after them all. For what is made from
    now on, and classes that name a lock when they are imported.
    """
    import dbt.mp_context

    own = SimpleNamespace(Lock=threading.Lock, RLock=threading.RLock)
    _replace(dbt.mp_context, "_MP_CONTEXT", own)


def compare_when_used() -> None:
    """A dataclass gets text compiled for how two are compared and how one is shown, a seventh of
    the time that dbt's import takes, though few are ever compared or shown: for classes made from
    now on, on first use.
    """
    owner: Any = dataclasses
    compiled: Callable[..., Any] = owner._cmp_fn
    guarded: Callable[..., Any] = owner._recursive_repr
    if hasattr(compiled, "__wrapped__"):
        return

    @functools.wraps(compiled)
    def compare(name: str, *parts: Any, **named: Any) -> Callable[[Any, Any], Any]:
        made: list[Any] = []

        def compare_(self: Any, other: Any) -> Any:
            if not made:
                made.append(compiled(name, *parts, **named))
            return made[0](self, other)

        compare_.__name__ = name
        return compare_

    @functools.wraps(owner._repr_fn)
    def show(fields: Iterable[Any], *_: Any, **__: Any) -> Any:
        names = [field.name for field in fields]

        def __repr__(self: Any) -> str:  # noqa: N807
            held = ", ".join([f"{name}={getattr(self, name)!r}" for name in names])
            return f"{self.__class__.__qualname__}({held})"

        return guarded(__repr__)

    _replace(owner, "_cmp_fn", compare)
    _replace(owner, "_repr_fn", show)


def drop_unheard_events() -> None:
    """A debug event is made into a message, scrubbed of secrets and formatted for each log before
    the log looks at its level: not at all where none takes it. Callbacks get no such event.
    """
    from dbt_common.events.base_types import EventLevel
    from dbt_common.events.event_manager import EventManager
    from dbt_common.events.logger import _log_level_map

    original = EventManager.fire_event
    if hasattr(original, "__wrapped__"):
        return
    debug = EventLevel.DEBUG

    @functools.wraps(original)
    def fire_event(
        self: Any, e: Any, level: Any = None, node: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        if (level or e.level_tag()) is debug and all(
            _log_level_map[log.level] > logging.DEBUG for log in self.loggers
        ):
            return
        original(self, e, level, node, *args, **kwargs)

    _replace(EventManager, "fire_event", fire_event)


def name_no_caller() -> None:
    """An adapter's flags are each told by the module that made them, found by reading the source of
    the whole call stack; for a message that is given where such a flag is asked for and off.
    """
    from dbt_common.behavior_flags import BehaviorFlagRendered

    _replace(BehaviorFlagRendered, "_default_source", staticmethod(lambda: "dbt"))


def fill_in_events_when_read() -> None:
    """What a debug event holds is made into a protocol buffer though nobody hears of it: once
    somebody reads the event.
    """
    import dbt.adapters.events.base_types as of_adapters
    import dbt.events.base_types as of_core
    import dbt_common.events.base_types as of_common

    given = "cdesk_given"

    def defer(level: type[Any]) -> None:
        own: Any = level
        initialize, read, write = own.__init__, own.__getattr__, own.__setattr__
        if hasattr(initialize, "__wrapped__"):
            return

        def fill_in(self: Any) -> None:
            known = self.__dict__.pop(given, None)
            if known is not None:
                initialize(self, *known[0], **known[1])

        @functools.wraps(initialize)
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            self.__dict__[given] = (args, kwargs)

        @functools.wraps(read)
        def getattr_(self: Any, key: str) -> Any:
            fill_in(self)
            return read(self, key)

        @functools.wraps(write)
        def setattr_(self: Any, key: str, value: Any) -> None:
            fill_in(self)
            write(self, key, value)

        _replace(level, "__init__", init)
        _replace(level, "__getattr__", getattr_)
        _replace(level, "__setattr__", setattr_)

    for module in (of_common, of_adapters, of_core):
        defer(module.DebugLevel)


def flatten_macro_names() -> None:
    """For each node all macros, more than a thousand, are made callable by four calls each, and
    looked up in five dictionaries in turn, one after the other.
    """
    from dbt.clients.jinja import MacroGenerator
    from dbt.context.configured import ConfiguredContext
    from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
    from dbt.context.manifest import ManifestContext
    from dbt.include.global_project import PROJECT_NAME

    fields = ("macro", "context", "node", "stack")
    generator: Any = MacroGenerator
    if vars(generator(*fields)) != dict(zip(fields, fields, strict=True)):
        raise AttributeError("a macro's caller holds something else")
    plain = ManifestContext.__dict__["to_dict"]
    plain = getattr(plain, "__wrapped__", plain)

    build = MacroNamespaceBuilder.__dict__["build_namespace"]
    build = getattr(build, "__wrapped__", build)

    @functools.wraps(build)
    def build_namespace(self: Any, macros_by_package: dict[str, dict[str, Any]], ctx: Any) -> Any:
        node, stack, make = self.node, self.thread_ctx, object.__new__
        for package, macros in macros_by_package.items():
            names = {}
            for name, macro in macros.items():
                names[name] = made = make(MacroGenerator)
                made.macro = macro
                made.context = ctx
                made.node = node
                made.stack = stack
            if package in self.internal_package_names:
                self.internal_packages[package] = names
            else:
                self.packages[package] = names
                if package == self.search_package:
                    self.locals.update(names)
                elif package == self.root_package:
                    self.globals.update(names)
        return build(self, {}, ctx)

    def flat(self: Any) -> dict[str, Any]:
        found: dict[str, Any] | None = self.__dict__.get("cdesk_flat")
        if found is None:
            internal = self.global_project_namespace
            found = self.__dict__["cdesk_flat"] = {
                **internal,
                PROJECT_NAME: internal,
                **self.packages,
                **self.global_namespace,
                **self.local_namespace,
            }
        return found

    def keys(self: Any) -> KeysView[str]:
        return flat(self).keys()

    def getitem(self: Any, key: str) -> Any:
        return flat(self)[key]

    @functools.wraps(plain)
    def to_dict(self: Any) -> Any:
        if not isinstance(self.namespace, MacroNamespace):
            return plain(self)
        found = ConfiguredContext.to_dict(self)
        found.update(flat(self.namespace))
        return found

    _replace(MacroNamespaceBuilder, "build_namespace", build_namespace)
    _replace(MacroNamespace, "keys", keys)
    _replace(MacroNamespace, "__getitem__", getitem)
    _replace(ManifestContext, "to_dict", to_dict)


def parse_macros_once() -> None:
    """Jinja parses each macro twice in a parse of the project: to find it, and to see which macros
    it calls. What the first look came to is kept until the second.
    """
    import jinja2
    from dbt_common.clients.jinja import MacroFuzzEnvironment

    original: Callable[..., Any] = jinja2.Environment.parse
    kept: dict[tuple[object, ...], Any] = {}

    @functools.wraps(original)
    def parse(self: Any, source: Any, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs or not isinstance(source, str) or not source.startswith("{%"):
            return original(self, source, *args, **kwargs)
        key = (type(self), tuple(self.extensions), source)
        found = kept.pop(key, None)
        if found is None:
            found = kept[key] = original(self, source)
        return found

    _replace(MacroFuzzEnvironment, "parse", parse)


def compile_once(kept: Path | None = None) -> None:
    """Jinja compiles a text to the same code each time, and dbt asks for it with every build, and
    anew in every process. `kept`: a file that keeps the code.
    """
    import jinja2

    original: Callable[..., Any] = jinja2.Environment.compile
    if hasattr(original, "__wrapped__"):
        return
    compiled: dict[tuple[object, ...], Any] = {}
    earlier = None if kept is None else CompiledTemplates(kept, versions())

    @functools.wraps(original)
    def compile_(self: Any, source: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(source, str):
            return original(self, source, *args, **kwargs)
        settings = tuple(getattr(self, name) for name in _SYNTAX)
        named = tuple(sorted(kwargs.items()))
        key = (type(self), tuple(self.extensions), settings, source, args, named)
        if key not in compiled:
            # a function for autoescape has another name in each process
            kept_code = earlier if isinstance(self.autoescape, bool) else None
            code = None if kept_code is None else kept_code.get(repr(key))
            if code is None:
                code = original(self, source, *args, **kwargs)
                if kept_code is not None:
                    kept_code.keep(repr(key), code)
            compiled[key] = code
        return compiled[key]

    _replace(jinja2.Environment, "compile", compile_)


def share_calendars() -> None:
    """Each table of a few rows that dbt reads gets types for dates, each with a calendar that knows
    dates in words. Calendars keep nothing of what they were asked; one a thread and locale will do.
    """
    import parsedatetime
    from agate.data_types import date, date_time

    kept = threading.local()

    def once(made: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(made)
        def make(**given: Any) -> Any:
            known: dict[object, Any] = kept.__dict__.setdefault(made.__name__, {})
            key = tuple(sorted(given.items()))
            if key not in known:
                known[key] = made(**given)
            return known[key]

        return make

    shared = SimpleNamespace(
        Constants=once(parsedatetime.Constants),
        Calendar=once(parsedatetime.Calendar),
        VERSION_CONTEXT_STYLE=parsedatetime.VERSION_CONTEXT_STYLE,
    )
    for module in (date, date_time):
        _replace(module, "parsedatetime", shared)


def look_for_plugins_once() -> None:
    """Every module that could be imported is listed with each command, to find dbt's plugins."""
    from dbt.plugins.manager import PluginManager

    found = PluginManager.__dict__["get_prefixed_modules"].__func__
    once: Any = functools.cache(getattr(found, "__wrapped__", found))
    _replace(PluginManager, "get_prefixed_modules", classmethod(once))


def summarize_no_graph() -> None:
    """A summary of the graph for who looks for faults in dbt, each node made into a dictionary for
    its name and type.
    """
    from dbt.compilation import Linker

    def get_graph_summary(self: Any, manifest: Any) -> dict[int, dict[str, Any]]:
        del self, manifest
        return {}

    _replace(Linker, "get_graph_summary", get_graph_summary)


def keep_schemas(file: Path) -> None:
    """The JSON schemas that dbt makes of its classes, half a second in each process: kept in
    `file`, for the same versions.
    """
    from dbt_common.dataclass_schema import dbtClassMixin

    made_by = versions()
    try:
        kept: dict[str, Any] = orjson.loads(file.read_bytes())
    except (OSError, ValueError):
        kept = {}
    if kept.get("made_by") != made_by:
        kept = {"made_by": made_by, "schemas": {}}
    schemas: dict[str, Any] = kept["schemas"]
    original = dbtClassMixin.__dict__["json_schema"].__func__

    def json_schema(cls: Any) -> Any:
        name = f"{cls.__module__}.{cls.__qualname__}"
        if name not in schemas:
            schemas[name] = original(cls)
            with contextlib.suppress(OSError, TypeError):
                write_private(file, orjson.dumps(kept))
        return schemas[name]

    _replace(dbtClassMixin, "json_schema", classmethod(json_schema))
