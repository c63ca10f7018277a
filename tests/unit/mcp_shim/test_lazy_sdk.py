"""The parts of the lazy import, each on a module made up for it: what is put off, when it is made
after all, and that it then is what it would have been.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import mcp_types
import pydantic
import pydantic_core
import pytest

from mcp_shim import lazy_sdk
from mcp_shim.lazy_sdk import (
    NotLoaded,
    _Empty,
    _Finder,
    _Later,
    _OnCall,
    _RecordsLoader,
    _ShapesLoader,
    _TypesLoader,
    _Unused,
    _version,
    _WireLoader,
    real_class,
)

Load = Callable[..., Any]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Run a module's source by a loader; `done` in it is a list that it may write to."""

    def load_module(loader: type[Any], source: str) -> Any:
        path = tmp_path / "made_up.py"
        path.write_text(source, encoding="utf-8")
        spec = spec_from_file_location("made_up", path)
        assert spec is not None
        assert isinstance(spec.loader, SourceFileLoader)
        spec.loader = loader(spec.loader)
        module: Any = module_from_spec(spec)
        module.done = []
        monkeypatch.setitem(sys.modules, "made_up", module)
        assert spec.loader is not None
        spec.loader.exec_module(module)
        return module

    return load_module


# -- what is looked for where


@pytest.mark.parametrize(
    ("name", "path", "loader"),
    [
        ("mcp", None, _Empty),
        ("mcp.server", "mcp", _Empty),
        ("mcp.shared", "mcp", None),
        ("mcp_types._types", "mcp_types", _TypesLoader),
        ("mcp_types.jsonrpc", "mcp_types", _TypesLoader),
        ("mcp_types._v2025_11_25", "mcp_types", _WireLoader),
        ("mcp_types.version", "mcp_types", None),
        ("pydantic_core.core_schema", "pydantic_core", _ShapesLoader),
        ("pydantic_core", None, None),
        ("importlib.metadata", "importlib", _OnCall),
        ("ssl", None, _Unused),
        ("anyio.streams.tls", "anyio", _Unused),
        ("anyio.streams.memory", "anyio", None),
        ("pydantic.json_schema", "pydantic", _Unused),
        ("mcp.server.models", "mcp.server", _RecordsLoader),
        ("decimal", None, _Unused),
        ("zoneinfo", None, _Unused),
        ("starlette", None, _Unused),
        ("starlette.requests", None, _Unused),
        ("starlette_more", None, None),
        ("mcp.server.auth.routes", None, _Unused),
        ("mcp_types._v_of_nobody", "mcp_types", None),
        ("json", None, None),
    ],
)
def test_each_module_is_put_off_in_its_way(
    name: str, path: str | None, loader: type[Any] | None
) -> None:
    folders = importlib.import_module(path).__path__ if path else None
    spec = _Finder().find_spec(name, folders)
    assert (spec and type(spec.loader)) == loader
    if spec is not None and loader is _Unused:
        assert spec.submodule_search_locations == [], "a package, of which anything can be imported"
    elif spec is not None and loader is _Empty:
        assert spec.submodule_search_locations, "its submodules are the real ones"


def test_what_pydantic_alone_holds_is_itself_again_once_the_sdk_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finder = _Finder()
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    for name in lazy_sdk.HELD:
        monkeypatch.delitem(sys.modules, name, raising=False)
    held = {name: importlib.import_module(name) for name in lazy_sdk.HELD[:-1]}
    assert all(isinstance(module, lazy_sdk._UnusedModule) for module in held.values())
    with pytest.raises(NotLoaded, match=r"uuid\.UUID"):
        held["uuid"].UUID()()
    lazy_sdk.settle()
    assert not set(held) & set(sys.modules)
    assert str(importlib.import_module("fractions").Fraction(1, 2)) == "1/2"
    lazy_sdk.settle()
    assert "fractions" in sys.modules, "the real one stays"


def test_hashes_are_those_of_python_where_it_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModuleNotFoundError):
        _Finder().find_spec("_hashlib", None)
    monkeypatch.setattr(lazy_sdk, "ABSENT", frozenset())
    assert _Finder().find_spec("_hashlib", None) is None


def test_there_is_a_wire_type_to_put_off() -> None:
    """What the table above names."""
    folder = Path(next(iter(mcp_types.__path__)))
    assert (folder / "_v2025_11_25").exists() or (folder / "_v2025_11_25.py").exists()
    assert hasattr(pydantic_core, "__path__")


def test_the_version_of_a_package_is_that_of_its_metadata() -> None:
    assert _version("pydantic") == pydantic.VERSION
    assert _version("no_such_package_at_all") == "?"
    assert _version("typing_extensions") == "?", "a module has no folder"
    assert _version("xml") == "?", "of the standard library there is none"


def test_it_is_installed_once_and_for_what_was_measured_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "meta_path", before := [*sys.meta_path])
    for loaded in ("mcp", "mcp_types"):
        with monkeypatch.context() as patch:
            for name in {"mcp", "mcp_types"} - {loaded}:
                patch.delitem(sys.modules, name, raising=False)
            patch.setitem(sys.modules, loaded, ModuleType(loaded))
            assert lazy_sdk.install() is False
    for name in ("mcp", "mcp_types"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with monkeypatch.context() as patch:
        patch.setattr(lazy_sdk, "KNOWN_VERSIONS", {"mcp": "1.0."})
        assert lazy_sdk.install() is False
    assert sys.meta_path == before
    count = len(before)
    assert lazy_sdk.install() is True
    assert isinstance(sys.meta_path[0], _Finder)
    assert lazy_sdk.install() is True
    assert len(sys.meta_path) == count + 1


# -- placeholders


def test_what_is_unused_can_be_held_and_says_what_it_is_when_it_is_used() -> None:
    module = _Unused().create_module(ModuleSpec("starlette.made_up", None))
    _Unused().exec_module(module)
    request: Any = module.Request
    assert module.Request is request
    assert request["State"] is request
    made = request(1, a=2)
    for given in ((), (1,)):
        with pytest.raises(NotLoaded, match=r"^starlette\.made_up\.Request is not loaded in the"):
            made(*given)
    for dunder in ("__path__", "__all__"):
        assert not hasattr(module, dunder)
    assert not vars(_Empty().create_module(ModuleSpec("x", None)) or ModuleType("x")).get("a")


def test_a_module_of_functions_is_loaded_with_the_first_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "made_up_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("runs = []\n", encoding="utf-8")
    (folder / "inner.py").write_text(
        "from made_up_package import runs\nruns.append(1)\ndef said(a, *, b=0):\n    return a, b\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    package = importlib.import_module("made_up_package")
    standing_in: Any = _OnCall().create_module(ModuleSpec("made_up_package.inner", None))
    _OnCall().exec_module(standing_in)
    monkeypatch.setitem(sys.modules, "made_up_package.inner", standing_in)
    said = standing_in.said
    assert package.runs == []
    assert not hasattr(standing_in, "__wrapped__")
    for _ in range(2):
        assert said(1, b=2) == (1, 2)
    assert package.runs == [1]
    real = sys.modules["made_up_package.inner"]
    assert real is not standing_in
    assert package.inner is real
    assert real.said(3) == (3, 0)
    monkeypatch.delitem(sys.modules, "made_up_package")


# -- types at first use

WIRE = """
class Base:
    done.append("Base")
    kind = "base"

    @classmethod
    def named(cls):
        return cls.__name__

class Child(Base, metaclass=type):
    done.append("Child")

class Other:
    done.append("Other")

    def __class_getitem__(cls, parameters):
        return type("Other" + parameters.__name__, (cls,), {})
"""


def test_a_class_of_the_wire_is_made_when_it_is_needed(load: Load) -> None:
    module = load(_WireLoader, WIRE)
    child, base, other = module.Child, module.Base, module.Other
    assert module.done == []
    assert all(isinstance(one, _Later) for one in (child, base, other))
    assert (child.__name__, child.__module__) == ("Child", "made_up")
    assert not isinstance(object(), base)
    assert module.done == [], "to ask whether something is one makes none"
    assert child.kind == "base"
    assert module.done == ["Base", "Child"], "with what it stands on"
    assert isinstance(module.Child, type)
    assert not isinstance(module.Child, _Later)
    assert module.Child is real_class(child)
    assert module.Base is real_class(base)
    made = child()
    assert type(made) is module.Child
    assert isinstance(made, child)
    assert isinstance(made, base)
    assert not isinstance(module.Base(), child)
    assert issubclass(child, base)
    assert issubclass(module.Child, base)
    assert not issubclass(base, child)
    assert child.named() == "Child"
    assert vars(child)["named"].__self__ is module.Child, "kept, for it is asked for with each"
    with pytest.raises(AttributeError):
        _ = child.__no_such__
    with pytest.raises(AttributeError):
        _ = child.no_such
    assert real_class(int) is int
    of_int = other[int]
    assert (of_int.__name__, of_int.__module__) == ("Other", "made_up")
    assert module.done == ["Base", "Child"]
    assert real_class(of_int).__name__ == "Otherint"
    assert module.done == ["Base", "Child", "Other"]
    assert real_class(of_int) is real_class(of_int)
    schemas: list[Any] = []
    base.__get_pydantic_core_schema__(None, schemas.append)
    assert schemas == [module.Base]


def test_what_stands_on_what_is_known_without_making_either(load: Load) -> None:
    module = load(_WireLoader, WIRE)
    child, base, other = module.Child, module.Base, module.Other
    assert issubclass(child, base)
    assert issubclass(base, base)
    assert not issubclass(base, child)
    assert not issubclass(child, other)
    assert module.done == []
    assert not issubclass(int, base), "of another class it has to be"
    assert module.done == ["Base"]
    assert issubclass(child, base), "one made, the other not"
    assert issubclass(other[int], other), "nobody has named what this one stands on"


def test_a_class_that_has_another_in_its_place_leaves_it_there(load: Load) -> None:
    module = load(_WireLoader, WIRE)
    base = module.Base
    module.Base = "else"
    assert base().kind == "base"
    assert module.Base == "else"


SHAPES = """
from typing import TypedDict

class Shape(TypedDict, total=False):
    a: int

class More(Shape):
    b: int

class Plain:
    c = 1

class Child(Plain):
    pass
"""


def test_a_shape_of_a_dictionary_makes_plain_dictionaries(load: Load) -> None:
    module = load(_ShapesLoader, SHAPES)
    assert module.Shape(a=1) == {"a": 1}
    assert module.More({"a": 1}, b=2) == {"a": 1, "b": 2}
    assert type(module.More()) is dict
    assert not hasattr(module.Shape, "__total__"), "nothing is made of it"
    assert module.More.__module__ == "made_up"
    assert module.Child().c == 1


RECORDS = """
from pydantic import BaseModel

class Options(BaseModel):
    name: str
    icons: list[str] | None = None
"""


def test_a_record_has_the_fields_of_its_model_and_checks_none(load: Load) -> None:
    module = load(_RecordsLoader, RECORDS)
    assert not issubclass(module.Options, pydantic.BaseModel)
    made = module.Options(name=1)
    assert (made.name, made.icons) == (1, None)
    assert module.Options(name="a", icons=["b"]).icons == ["b"]
    with pytest.raises(AttributeError):
        module.Options()


MODELS = """
import dataclasses
from pydantic import BaseModel, TypeAdapter
import json.decoder

class Base(BaseModel):
    done.append("Base")

class First(Base):
    done.append("First")
    a: "Later"

class Later(Base, frozen=True):
    done.append("Later")
    b: int = 1

First.model_rebuild()
adapter = TypeAdapter[First](First)
numbers = TypeAdapter(list[int])

class Plain:
    done.append("Plain")
"""


def test_a_model_is_made_and_gets_its_validator_at_first_use(load: Load) -> None:
    module = load(_TypesLoader, MODELS)
    assert module.done == ["Base", "Plain"], "but for what others stand on, and what is no model"
    assert issubclass(module.Base, pydantic.BaseModel)
    assert not module.Base.__pydantic_complete__
    assert isinstance(module.First, _Later)
    first = module.First
    assert "model_rebuild" not in vars(first), "which it stood in for while the module ran"
    assert module.numbers.validate_python(["1"]) == [1]
    assert module.done == ["Base", "Plain"]
    made = module.adapter.validate_python({"a": {"b": 2}})
    assert module.done == ["Base", "Plain", "First", "Later"]
    assert type(made) is module.First
    assert made.a == module.Later(b=2)
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        made.a.b = 3
    assert module.dataclasses is dataclasses
    assert module.json is sys.modules["json"]
    assert first(a={"b": 5}).a.b == 5
