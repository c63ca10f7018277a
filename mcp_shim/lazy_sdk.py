"""Importing only the part of the SDK that standard input and output need, and its message types
when they are first used.

The SDK's server is one import, and that import is most of a start: it loads an HTTP stack and a
tracing library for transports that a stdio process never opens, and it builds the types of every
message of every protocol version. What runs here is the SDK's own code,
unchanged; `install` only puts off some of it, for this process:

* **Packages whose `__init__` gathers everything** (`mcp`, `mcp.server`) are entered without it.
* **HTTP and tracing modules** are stood in for by placeholders: a name of theirs can be imported
  and held, and using it says what it is.
* **Wire types** (`mcp_types._v*`, internal validators of which a connection uses a dozen in three
  hundred) are made at first use.
* **Shapes of dictionaries** (`pydantic_core.core_schema`), of use to a type checker alone, are not
  made.
* **Message types** (`mcp_types._types`) are made at first use too, and get their validators when
  they are first needed.
* **What dataclasses seldom need** (comparison, `repr`, hash, refusing to be changed) is compiled
  when it is first called (`light_dataclasses`): a start makes more than a hundred dataclasses.

Every part has a test that compares what is said on the wire with the SDK imported in full, and an
SDK of another version than the one that was measured is simply imported in full.
`docs/decisions/0007-turn-path.md` has the figures.
"""

from __future__ import annotations

import builtins
import dataclasses
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import module_from_spec
from types import CodeType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
# the interpreter asks for their methods only, and importlib.abc brings importlib.resources along
else:
    Loader = MetaPathFinder = object

GATHERING: Final = frozenset(("mcp", "mcp.server"))
"""Packages whose `__init__` imports what we do not need; their submodules are imported one by one.
"""

UNUSED: Final = (
    "anyio._core._sockets",
    "anyio.streams.stapled",
    "anyio.streams.tls",
    "pydantic.json_schema",
    "ssl",
    "starlette",
    "sse_starlette",
    "uvicorn",
    "httpx2",
    "opentelemetry",
    "mcp.server._otel",
    "mcp.server.auth",
    "mcp.server.streamable_http",
    "mcp.server.streamable_http_manager",
    "mcp.server.transport_security",
    "mcp.shared._otel",
)
"""What serves HTTP, encrypts or traces; none of it happens over stdio."""

ON_CALL: Final = frozenset(("importlib.metadata",))
"""Modules of which functions are imported and, as a rule, never called: the real module is loaded
with the first call.
"""

ABSENT: Final = frozenset(("_hashlib",))
"""Modules without which the standard library does the same: OpenSSL's hashes, of which the server
uses one that Python has as well.
"""
HELD: Final = ("decimal", "fractions", "uuid", "zoneinfo")
"""Of the standard library: pydantic holds types of theirs, and no message has one. They are
placeholders while the SDK is imported, and themselves for whoever imports them afterwards.
"""

_BELOW_UNUSED: Final = tuple(f"{name}." for name in UNUSED)

WIRE: Final = "mcp_types._v"
TYPES: Final = ("mcp_types._types", "mcp_types.jsonrpc")
SHAPES: Final = "pydantic_core.core_schema"
RECORDS: Final = "mcp.server.models"
DECIDING: Final = ("mcp", "mcp_types", "pydantic", "pydantic_core")
"""The packages that say what a valid message is."""
KNOWN_VERSIONS: Final = {"mcp": "2.3.", "pydantic": "2.14."}
"""What was measured and compared. With any other version the SDK is imported in full: slower, and
as right.
"""


def install() -> bool:
    """Put the rest of the SDK off for this process; whether it is put off. It is not where the SDK
    is loaded already, or of a version that was not measured (`unmeasured` says which).

    For the process on standard input and output alone: what serves HTTP needs what this leaves out.
    """
    if is_installed():
        return True
    if "mcp" in sys.modules or "mcp_types" in sys.modules or unmeasured():
        return False
    sys.meta_path.insert(0, _Finder())
    return True


def is_installed() -> bool:
    """Whether the rest of the SDK is put off."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


def versions() -> tuple[str, ...]:
    """Which versions of the SDK, and of what checks its messages, are installed."""
    return tuple(f"{name} {_version(name)}" for name in DECIDING)


def settle() -> None:
    """Say that the SDK has been imported: from here on what it alone needs not is itself."""
    for finder in sys.meta_path:
        if isinstance(finder, _Finder):
            finder.held = frozenset()
    for name in HELD:
        if isinstance(sys.modules.get(name), _UnusedModule):
            del sys.modules[name]


def unmeasured() -> str | None:
    """Which installed version was not measured, in a few words; None where all were."""
    for name, measured in KNOWN_VERSIONS.items():
        version = _version(name)
        if not version.startswith(measured):
            return f"{name} {version} was not measured ({measured}x was)"
    return None


def _version(name: str) -> str:
    """The installed version of a package, by its metadata folder (importlib.metadata is slow to
    import); `?` where there is none.
    """
    spec = PathFinder.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return "?"
    site = os.path.dirname(next(iter(spec.submodule_search_locations)))  # noqa: PTH120
    for folder in _names(site):
        if folder.startswith(f"{name}-") and folder.endswith(".dist-info"):
            return folder.removesuffix(".dist-info").partition("-")[2]
    return "?"


@cache
def _names(folder: str) -> tuple[str, ...]:
    return tuple(os.listdir(folder))  # noqa: PTH208


class _Finder(MetaPathFinder):
    held = frozenset(HELD)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del target
        if fullname in ABSENT:
            raise ModuleNotFoundError(fullname, name=fullname)
        if fullname in GATHERING:
            return _instead(fullname, path, _Empty())
        if fullname.startswith(WIRE) or fullname in TYPES or fullname in (SHAPES, RECORDS):
            spec = PathFinder.find_spec(fullname, path)
            if spec is None or not isinstance(spec.loader, SourceFileLoader):
                return None
            kind = (
                _ShapesLoader
                if fullname == SHAPES
                else _RecordsLoader
                if fullname == RECORDS
                else _TypesLoader
                if fullname in TYPES
                else _WireLoader
            )
            spec.loader = kind(spec.loader)
            return spec
        if fullname in ON_CALL:
            return _instead(fullname, path, _OnCall())
        if fullname in self.held:
            return ModuleSpec(fullname, _Unused(), is_package=True)
        if fullname in UNUSED or fullname.startswith(_BELOW_UNUSED):
            return ModuleSpec(fullname, _Unused(), is_package=True)
        return None


def _instead(fullname: str, path: Sequence[str] | None, loader: Loader) -> ModuleSpec | None:
    """The real spec of a package, so that its submodules are found, with another loader."""
    spec = PathFinder.find_spec(fullname, path)
    if spec is not None:
        spec.loader = loader
    return spec


class _Empty(Loader):
    """A package without what its `__init__` would do."""

    def create_module(self, spec: ModuleSpec) -> None:
        del spec

    def exec_module(self, module: ModuleType) -> None:
        del module


# -- placeholders


class NotLoaded(RuntimeError):
    """A part of the SDK was used that the stdio process does not load."""


class _Placeholder:
    """Stands in for a class or function of an UNUSED module: may be held, subscripted and made, not
    used.
    """

    def __init__(self, *_: object, **__: object) -> None: ...

    def __class_getitem__(cls, _: object) -> type:
        return cls

    def __call__(self, *_: object, **__: object) -> Any:
        raise NotLoaded(
            f"{type(self).__module__}.{type(self).__name__} is not loaded in the stdio server "
            "(mcp_shim.lazy_sdk)"
        )


class _UnusedModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        placeholder = type(name, (_Placeholder,), {"__module__": self.__name__})
        setattr(self, name, placeholder)
        return placeholder


class _Unused(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _UnusedModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        del module


class _OnCallModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments: Any, **keywords: Any) -> Any:
            return getattr(_real_module(self.__name__), name)(*arguments, **keywords)

        return call


class _OnCall(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _OnCallModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        del module


def _real_module(name: str) -> ModuleType:
    """The module itself, in place of what stood in for it."""
    found = sys.modules[name]
    if isinstance(found, _OnCallModule):
        package = sys.modules[name.rpartition(".")[0]]
        spec = PathFinder.find_spec(name, package.__path__)
        assert spec is not None
        assert spec.loader is not None
        found = module_from_spec(spec)
        sys.modules[name] = found
        spec.loader.exec_module(found)
        setattr(package, name.rpartition(".")[2], found)
    return found


# -- dataclasses

_SELDOM: Final = frozenset(("__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"))


@contextmanager
def light_dataclasses() -> Iterator[None]:
    """For imports: dataclasses that are made meanwhile have their rarely used methods compiled at
    their first call. With a Python whose dataclasses are made otherwise nothing is put off.
    """
    create = getattr(dataclasses, "_create_fn", None)
    if create is None:
        yield
        return

    def create_later(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name not in _SELDOM:
            return create(name, *arguments, **keywords)
        made: list[Any] = []

        def method(self: Any, *given: Any) -> Any:
            if not made:
                made.append(create(name, *arguments, **keywords))
            return made[0](self, *given)

        method.__name__ = name
        return method

    dataclasses._create_fn = create_later  # type: ignore[attr-defined]
    try:
        yield
    finally:
        dataclasses._create_fn = create  # type: ignore[attr-defined]


# -- patterns

_LATER: Final = frozenset(("cdesk", "mcp_shim", "string", "textwrap"))
"""Packages whose patterns are compiled when they are first used."""


@contextmanager
def light_patterns() -> Iterator[None]:
    """For imports: patterns that are made meanwhile, by packages known to use their methods alone,
    are compiled at their first use.
    """
    compile_now = re.compile

    def compile_later(pattern: Any, flags: Any = 0) -> Any:
        caller = str(sys._getframe(1).f_globals.get("__name__"))
        if caller.partition(".")[0] in _LATER and isinstance(pattern, str | bytes):
            return _LaterPattern(compile_now, pattern, flags)
        return compile_now(pattern, flags)

    re.compile = compile_later
    try:
        yield
    finally:
        re.compile = compile_now


class _LaterPattern:
    """A pattern by its methods; each is the real one's after its first use."""

    def __init__(self, compile_now: Callable[..., Any], pattern: Any, flags: Any) -> None:
        self._compile = cache(lambda: compile_now(pattern, flags))

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._compile(), name)
        setattr(self, name, value)
        return value


# -- types at first use


class _SourceLoader(Loader):
    """Runs a module's own code with other builtins than usual."""

    def __init__(self, inner: SourceFileLoader) -> None:
        self._inner = inner

    def create_module(self, spec: ModuleSpec) -> None:
        del spec

    def exec_module(self, module: ModuleType) -> None:
        code = self._inner.get_code(module.__name__)
        assert isinstance(code, CodeType)
        namespace = module.__dict__
        namespace["__builtins__"] = {**vars(builtins), **self.replaced(module)}
        exec(code, namespace)
        self.finish()

    def replaced(self, module: ModuleType) -> Mapping[str, Any]:
        raise NotImplementedError

    def finish(self) -> None:
        """Called when the module's code has run."""


class _Later(type):
    """The type of a class that is made at first use. It says so to pydantic, and hands everything
    else on to the real class.
    """

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = getattr(real_class(cls), name)
        if isinstance(value, MethodType):  # bound to the real class: asked for with each message
            type.__setattr__(cls, name, value)
        return value

    def __call__(cls, *arguments: Any, **keywords: Any) -> Any:
        return real_class(cls)(*arguments, **keywords)

    def __getitem__(cls, parameters: Any) -> type:
        """A generic model with its parameters, made at first use as well."""
        return _later(cls.__name__, cls.__module__, lambda: real_class(cls)[parameters])

    def __instancecheck__(cls, instance: object) -> bool:
        made = vars(cls)["_made"]
        return bool(made) and isinstance(instance, made[0])

    def __subclasscheck__(cls, subclass: type) -> bool:
        if isinstance(subclass, _Later) and not vars(subclass)["_made"]:
            # Its class statement says so: neither has to be made.
            bases = vars(subclass)["_bases"]
            if bases is not None:
                return subclass is cls or any(issubclass(base, cls) for base in bases)
        return issubclass(real_class(subclass), real_class(cls))


def real_class(cls: Any) -> Any:
    """The class itself; made now if it was not yet."""
    return vars(cls)["_make"].__func__() if isinstance(cls, _Later) else cls


def _later(
    name: str, module: str, create: Callable[[], Any], bases: tuple[Any, ...] | None = None
) -> type:
    """A class that `create` makes at first use. `bases`: those that its statement names."""
    made: list[Any] = []

    def make() -> Any:
        if not made:
            made.append(create())
        return made[0]

    def schema(source: Any, handler: Callable[[Any], Any]) -> Any:
        del source
        return handler(make())

    namespace = {
        "__module__": module,
        "_bases": bases,
        "_made": made,
        "_make": staticmethod(make),
        "__get_pydantic_core_schema__": staticmethod(schema),
    }
    return _Later(name, (), namespace)


def _class_later(
    namespace: dict[str, Any],
    body: Callable[[], Any],
    name: str,
    bases: tuple[Any, ...],
    keywords: Mapping[str, Any],
) -> type:
    """What a class statement leaves behind that is run at first use; the class itself then takes
    its place in the module.
    """

    def create() -> Any:
        made = builtins.__build_class__(
            body, name, *(real_class(base) for base in bases), **keywords
        )
        if isinstance(namespace.get(name), _Later):
            namespace[name] = made
        return made

    return _later(name, namespace["__name__"], create, bases)


class _WireLoader(_SourceLoader):
    """A class statement leaves a `_Later` behind, which runs the statement when the class is
    needed.
    """

    def replaced(self, module: ModuleType) -> Mapping[str, Any]:
        def build_class(body: Callable[[], Any], name: str, *bases: Any, **keywords: Any) -> type:
            return _class_later(module.__dict__, body, name, bases, keywords)

        return {"__build_class__": build_class}


class _Shape(type):
    """Stands for a TypedDict: making one gives a plain dictionary, as it does with the real one."""

    def __call__(cls, *arguments: Any, **keywords: Any) -> Any:
        return dict(*arguments, **keywords)


class _ShapesLoader(_SourceLoader):
    """Class statements of TypedDicts leave a `_Shape`; all others make their class."""

    def replaced(self, module: ModuleType) -> Mapping[str, Any]:
        namespace = module.__dict__

        def build_class(body: Callable[[], Any], name: str, *bases: Any, **keywords: Any) -> Any:
            if namespace["TypedDict"] in bases or any(isinstance(base, _Shape) for base in bases):
                return _Shape(name, (), {"__module__": module.__name__})
            return builtins.__build_class__(body, name, *bases, **keywords)

        return {"__build_class__": build_class}


class _RecordsLoader(_SourceLoader):
    """Models leave a plain class of the same fields behind: what the server says of itself, by code
    and not by a message, is not checked.
    """

    def replaced(self, module: ModuleType) -> Mapping[str, Any]:
        def build_class(body: Callable[[], Any], name: str, *bases: Any, **keywords: Any) -> Any:
            del bases, keywords
            return builtins.__build_class__(body, name, _Record)

        del module
        return {"__build_class__": build_class}


class _Record:
    def __init__(self, **values: Any) -> None:
        for name in type(self).__annotations__:
            setattr(self, name, values[name] if name in values else getattr(type(self), name))


def _nothing(*_: object, **__: object) -> None:
    """Stands for `model_rebuild` while the module runs."""


class _TypesLoader(_SourceLoader):
    """Models of the module are made at first use, but for the base of them all; models and adapters
    build their validators at first use.
    """

    def __init__(self, inner: SourceFileLoader) -> None:
        super().__init__(inner)
        self._held_back: list[Any] = []

    def finish(self) -> None:
        for model in self._held_back:
            del model.model_rebuild

    def replaced(self, module: ModuleType) -> Mapping[str, Any]:
        import pydantic

        class DeferredAdapter:
            """`TypeAdapter[T](T)` and `TypeAdapter(T)`, with the validator built at first use."""

            def __class_getitem__(cls, _: object) -> Callable[[Any], Any]:
                return cls

            def __new__(cls, adapted: Any) -> Any:
                return pydantic.TypeAdapter(
                    adapted, config=pydantic.ConfigDict(defer_build=True), _parent_depth=3
                )

        class Pydantic(ModuleType):
            TypeAdapter = DeferredAdapter

            def __getattr__(self, name: str) -> Any:
                return getattr(pydantic, name)

        standing_in = Pydantic("pydantic")

        def build_class(body: Callable[[], Any], name: str, *bases: Any, **keywords: Any) -> Any:
            if pydantic.BaseModel in bases:
                return builtins.__build_class__(body, name, *bases, defer_build=True, **keywords)
            if any(isinstance(base, _Later) or _is_model(base) for base in bases):
                later: Any = _class_later(module.__dict__, body, name, bases, keywords)
                # The module rebuilds some of its models to find mistakes early; made at first use
                # they come out the same.
                later.model_rebuild = staticmethod(_nothing)
                self._held_back.append(later)
                return later
            return builtins.__build_class__(body, name, *bases, **keywords)

        def _is_model(base: Any) -> bool:
            return isinstance(base, type) and issubclass(base, pydantic.BaseModel)

        def import_name(
            name: str,
            globals: Mapping[str, object] | None = None,
            locals: Mapping[str, object] | None = None,
            names: Sequence[str] = (),
            level: int = 0,
        ) -> ModuleType:
            if name == "pydantic" and names:
                return standing_in
            return builtins.__import__(name, globals, locals, names, level)

        return {"__build_class__": build_class, "__import__": import_name}
