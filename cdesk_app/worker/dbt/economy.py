"""What dbt does for each log line, node and command though it comes out the same each time, done
once. No answer of dbt changes by it.

Each function puts one thing in place. Where dbt no longer has what it replaces, dbt stays as it is:
these are internals, which another version may have under another name or not need to be helped with
(tests/unit/cdesk_app/worker/test_economy.py says so for the installed one).
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterable, KeysView
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import orjson

from cdesk.core.home import write_private

_MISSING: Final = (ImportError, AttributeError, KeyError)
_VERSIONED: Final = ("dbt-core", "dbt-common", "dbt-adapters", "dbt-duckdb", "dbt-snowflake")


@functools.cache
def save(schemas: Path | None = None) -> None:
    """Put everything in place, once a process. `schemas`: a file that keeps the schemas by which
    dbt checks its settings.
    """
    for step in (
        compile_when_used,
        drop_unheard_events,
        name_no_caller,
        flatten_macro_names,
        compile_once,
    ):
        with contextlib.suppress(*_MISSING):
            step()
    if schemas is not None:
        with contextlib.suppress(*_MISSING):
            keep_schemas(schemas)


def _replace(owner: type, name: str, new: object) -> None:
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


def flatten_macro_names() -> None:
    """For each node all macros, more than a thousand, are looked up in five dictionaries in turn,
    one after the other.
    """
    from dbt.clients.jinja import MacroGenerator
    from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
    from dbt.include.global_project import PROJECT_NAME

    def add_macros(self: Any, macros: Iterable[Any], ctx: dict[str, Any]) -> None:
        for macro in macros:
            made = MacroGenerator(macro, ctx, self.node, self.thread_ctx)
            is_internal = macro.package_name in self.internal_package_names
            hierarchy = self.internal_packages if is_internal else self.packages
            self._add_macro_to(hierarchy, macro, made)
            if not is_internal and macro.package_name == self.search_package:
                self.locals[macro.name] = made
            elif not is_internal and macro.package_name == self.root_package:
                self.globals[macro.name] = made

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

    _replace(MacroNamespaceBuilder, "add_macros", add_macros)
    _replace(MacroNamespace, "keys", keys)
    _replace(MacroNamespace, "__getitem__", getitem)


def compile_once() -> None:
    """Jinja compiles a text to the same code each time, and dbt asks for it with every build."""
    import jinja2

    original: Callable[..., Any] = jinja2.Environment.compile
    if hasattr(original, "__wrapped__"):
        return
    compiled: dict[tuple[object, ...], Any] = {}

    @functools.wraps(original)
    def compile_(self: Any, source: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(source, str):
            return original(self, source, *args, **kwargs)
        key = (type(self), tuple(self.extensions), source, args, tuple(sorted(kwargs.items())))
        if key not in compiled:
            compiled[key] = original(self, source, *args, **kwargs)
        return compiled[key]

    _replace(jinja2.Environment, "compile", compile_)


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
