"""The mistakes that people make in Python: mutmut's operators for expressions, without those that a
type checker finds or that change words alone, and four of our own for conditions and statements.

Left out of mutmut's: text (messages), a value or an argument that becomes None (mypy finds it), and
numbers beyond 3 (sizes and times of which one more or less means nothing). Left out of all is what
changes time alone, which no test of the house goes by: a pause, and whether the very moment of a
clock's reading still belongs to what is before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper
from mutmut.mutation import mutators

from scripts.mutants.mutant import Mutant

LARGEST_NUMBER = 3
_QUIET = ("TypeVar", "cast", "log", "_log", "logger", "_logger", "warnings")
"""Receivers of calls that tell people something, and change nothing else."""
_CLOCKS = ("time.monotonic", "time.time", "time.perf_counter", "time.thread_time")
_STRICTNESS = {
    frozenset((cst.LessThan, cst.LessThanEqual)),
    frozenset((cst.GreaterThan, cst.GreaterThanEqual)),
}
_SPEED_ALONE = {"Rule": ("hints", "needs")}
"""Arguments of calls that only say where it isn't worth to look: without one it takes longer."""
_UNSEEN_DECORATORS = ("dataclass", "override", "overload", "final")

Node = TypeVar("Node", bound=cst.CSTNode)
Operator = Callable[[cst.CSTNode], Iterable[cst.CSTNode]]


def python_mutants(file: str, text: str) -> list[Mutant]:
    """Every mutant of a module's source, one that Python can't read among them now and then."""
    wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
    spans = wrapper.resolve(ByteSpanPositionProvider)
    encoded = text.encode("utf-8")
    found: dict[tuple[int, int, str], Mutant] = {}

    def add(kind: str, first: cst.CSTNode, last: cst.CSTNode, replacement: str) -> None:
        begin, stop = spans[first].start, spans[last].start + spans[last].length
        start = len(encoded[:begin].decode("utf-8"))
        end = start + len(encoded[begin:stop].decode("utf-8"))
        if text[start:end] != replacement:
            one = Mutant(file, kind, start, end, replacement)
            found.setdefault((start, end, replacement), one)

    for node in _walk(wrapper.module):
        for kind, new in _replacements(node):
            add(kind, node, node, _code(node, new))
        for kind, first, last, replacement in _statements(wrapper.module, node):
            add(kind, first, last, replacement)
    return list(found.values())


def _walk(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Nodes whose change a test could notice: no annotation, no log call, no import."""
    if isinstance(node, cst.Annotation | cst.Import | cst.ImportFrom):
        return
    if isinstance(node, cst.Call) and _is_quiet(node):
        return
    if isinstance(node, cst.Decorator) and _receiver(node.decorator) in _UNSEEN_DECORATORS:
        return
    if isinstance(node, cst.If) and _receiver(node.test) == "TYPE_CHECKING":
        return
    yield node
    for child in node.children:
        yield from _walk(child)


def _is_quiet(call: cst.BaseExpression) -> bool:
    """Whether a call tells people something or waits, and changes nothing else."""
    is_pause = isinstance(call, cst.Call) and _dotted(call.func) == "time.sleep"
    return is_pause or _receiver(call) in _QUIET


def _dotted(node: cst.CSTNode) -> str:
    if isinstance(node, cst.Attribute):
        return f"{_dotted(node.value)}.{node.attr.value}"
    return node.value if isinstance(node, cst.Name) else ""


def _reads_a_clock(node: cst.CSTNode) -> bool:
    if isinstance(node, cst.Call) and _dotted(node.func) in _CLOCKS:
        return True
    return any(_reads_a_clock(child) for child in node.children)


def _receiver(node: cst.CSTNode) -> str:
    """`a` of `a.b.c(…)`."""
    while isinstance(node, cst.Call | cst.Attribute):
        node = node.func if isinstance(node, cst.Call) else node.value
    return node.value if isinstance(node, cst.Name) else ""


def _replacements(node: cst.CSTNode) -> Iterator[tuple[str, cst.CSTNode]]:
    for kind, operator in _OPERATORS:
        for new in operator(node):
            yield kind, new


def _of(kind: type[Node], operator: Callable[[Node], Iterable[cst.CSTNode]]) -> Operator:
    return lambda node: operator(node) if isinstance(node, kind) else ()


def _small_number(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    if isinstance(node, cst.Integer) and node.evaluated_value <= LARGEST_NUMBER:
        yield from mutators.operator_number(node)


def _dropped_argument(call: cst.Call) -> Iterator[cst.CSTNode]:
    """Without one of its keyword arguments; a missing positional one is a TypeError."""
    unseen = _SPEED_ALONE.get(_dotted(call.func), ())
    for index, argument in enumerate(call.args):
        if argument.keyword is None or argument.keyword.value in unseen:
            continue
        if len(call.args) > 1:
            rest = [*call.args[:index], *call.args[index + 1 :]]
            rest[-1] = rest[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
            yield call.with_changes(args=rest)


def _dropped_condition(node: cst.BooleanOperation) -> Iterator[cst.CSTNode]:
    yield node.left
    yield node.right


def _comparison(node: cst.Comparison) -> Iterator[cst.CSTNode]:
    """`<` for `<=`, `is not` for `is`, and so on, one of them at a time."""
    for place, target in enumerate(node.comparisons):
        for new in (
            *mutators.operator_swap_op(target),
            *(
                target.with_changes(operator=new)
                for new in mutators.operator_keywords(target.operator)
            ),
        ):
            changed = [*node.comparisons]
            changed[place] = cst.ensure_type(new, cst.ComparisonTarget)
            kinds = frozenset((type(target.operator), type(changed[place].operator)))
            if kinds not in _STRICTNESS or not _reads_a_clock(node):
                yield node.with_changes(comparisons=changed)


def _arithmetic(node: cst.CSTNode) -> Iterable[cst.CSTNode]:
    """Not where paths or types are joined, which a type checker looks after."""
    if isinstance(node, cst.BinaryOperation):
        joined = (node.left, node.right)
        if isinstance(node.operator, cst.Divide) and any(_is_text(side) for side in joined):
            return ()
        if isinstance(node.operator, cst.BitOr) and any(_is_type(side) for side in joined):
            return ()
    return mutators.operator_swap_op(node)


def _is_text(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.SimpleString | cst.FormattedString | cst.ConcatenatedString)


def _is_type(node: cst.CSTNode) -> bool:
    name = node.attr if isinstance(node, cst.Attribute) else node
    return isinstance(name, cst.Name) and (
        name.value[:1].isupper() or name.value in ("None", "str", "int", "float", "bool", "bytes")
    )


_OPERATORS: Sequence[tuple[str, Operator]] = (
    ("comparison", _of(cst.Comparison, _comparison)),
    ("and/or", _of(cst.BooleanOperation, mutators.operator_swap_op)),
    ("condition dropped", _of(cst.BooleanOperation, _dropped_condition)),
    ("arithmetic", _of(cst.BinaryOperation, _arithmetic)),
    ("arithmetic", _of(cst.AugAssign, _arithmetic)),
    ("not dropped", _of(cst.UnaryOperation, mutators.operator_remove_unary_ops)),
    ("number", _small_number),
    ("true/false", _of(cst.Name, mutators.operator_name)),
    ("argument dropped", _of(cst.Call, _dropped_argument)),
    ("other method", _of(cst.Call, mutators.operator_symmetric_string_methods_swap)),
    ("case dropped", _of(cst.Match, mutators.operator_match)),
    ("one arm alone", _of(cst.IfExp, mutators.operator_if_exp)),
    ("break/continue", _of(cst.Continue, mutators.operator_keywords)),
)


def _statements(
    module: cst.Module, node: cst.CSTNode
) -> Iterator[tuple[str, cst.CSTNode, cst.CSTNode, str]]:
    """A condition the other way round, a call left out, two calls in the other order."""
    if isinstance(node, cst.If | cst.While) and not isinstance(node.test, cst.Comparison):
        yield "condition negated", node.test, node.test, f"not ({module.code_for_node(node.test)})"
    if not isinstance(node, cst.IndentedBlock | cst.Module):
        return
    calls = [_lone_call(statement) for statement in node.body]
    for call in calls:
        if call is not None and not _is_quiet(call):
            yield "call dropped", call, call, "pass"
    for call, following in pairwise(calls):
        if call is not None and following is not None and not _is_quiet(call):
            gap = "\n" + _indentation(module, node)
            swapped = module.code_for_node(following) + gap + module.code_for_node(call)
            yield "order swapped", call, following, swapped


def _lone_call(statement: cst.CSTNode) -> cst.BaseExpression | None:
    if isinstance(statement, cst.SimpleStatementLine) and len(statement.body) == 1:
        only = statement.body[0]
        if isinstance(only, cst.Expr) and isinstance(only.value, cst.Call | cst.Await):
            return only.value
    return None


def _indentation(module: cst.Module, block: cst.IndentedBlock | cst.Module) -> str:
    """Of a statement in a block, which only the way down to it tells."""
    depth = _depth(module, block)
    return module.default_indent * depth if depth is not None else ""


def _depth(node: cst.CSTNode, wanted: cst.CSTNode, depth: int = 0) -> int | None:
    if node is wanted:
        return depth + isinstance(node, cst.IndentedBlock)
    for child in node.children:
        found = _depth(child, wanted, depth + isinstance(node, cst.IndentedBlock))
        if found is not None:
            return found
    return None


def _code(old: cst.CSTNode, new: cst.CSTNode) -> str:
    """A node's span leaves its parentheses out, so a replacement of its kind goes without."""
    if type(old) is type(new) and hasattr(new, "lpar"):
        new = new.with_changes(lpar=[], rpar=[])
    elif isinstance(old, cst.BooleanOperation | cst.UnaryOperation) and isinstance(
        new, cst.BaseExpression
    ):
        return _in_parentheses(cst.Module([]).code_for_node(new), new)
    return cst.Module([]).code_for_node(new)


def _in_parentheses(code: str, node: cst.BaseExpression) -> str:
    if isinstance(node, cst.BooleanOperation) and not node.lpar:
        return f"({code})"
    return code


def can_be_read(text: str) -> bool:
    """Whether a module's source is Python: one that isn't would be noticed by anything."""
    try:
        compile(text, "mutant", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True
