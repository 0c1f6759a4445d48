"""What the forward of a module does besides calling its submodules, read from its source."""

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, NamedTuple

from torch import nn

_TORCH_NN = "torch.nn.modules."


class Forward(NamedTuple):
    """What the forward of a class does, including the functions of its package that it calls.

    Attributes:
        calls: Sorted names of the sought functions that it calls.
        reads: Attributes of self that it reads.
        with_arguments: Attributes of self that it calls with more than one argument.
    """

    calls: tuple[str, ...] = ()
    reads: frozenset[str] = frozenset()
    with_arguments: frozenset[str] = frozenset()


def read_forward(kind: type[nn.Module], sought: Callable[[str], bool]) -> Forward:
    """Reads the forward of a class, the methods that it uses, and the functions of its package.

    Code without source, such as that of an interactive session, is judged by the names in it. The
    code of other packages is not followed.

    Args:
        kind: a class of modules; the classes of `torch.nn` are not read.
        sought: whether to report a function of this name.
    """
    reader = _Reader(kind, sought)
    reader.read_method("forward")
    return Forward(
        tuple(sorted(reader.calls)), frozenset(reader.reads), frozenset(reader.with_arguments)
    )


class _Reader:
    """Follows the forward of a class; reads each function once."""

    def __init__(self, kind: type[nn.Module], sought: Callable[[str], bool]) -> None:
        self.calls: set[str] = set()
        self.reads: set[str] = set()
        self.with_arguments: set[str] = set()
        self._kind, self._sought = kind, sought
        self._package = kind.__module__.partition(".")[0]
        self._seen: set[Any] = set()

    def read_method(self, name: str) -> None:
        """Reads a method and, if it uses `super()`, the one that it overrides."""
        for base in self._kind.__mro__:
            if base.__module__.startswith(_TORCH_NN):
                return
            if name not in vars(base):
                continue
            function = _plain(vars(base)[name])
            if not isinstance(function, FunctionType):
                return
            self._read(function)
            if "super" not in function.__code__.co_names:
                return

    def _read(self, function: FunctionType) -> None:
        code = function.__code__
        if code in self._seen:
            return
        self._seen.add(code)
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        except (OSError, TypeError, SyntaxError):
            self.calls.update(filter(self._sought, code.co_names))
            return
        me = code.co_varnames[0] if code.co_argcount else ""
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                self.calls.update(filter(self._sought, (each.name for each in node.names)))
            elif isinstance(node, ast.Attribute) and _is(node.value, me):
                self._read_attribute(node.attr)
            elif isinstance(node, ast.Call):
                if isinstance(node.func, ast.Attribute) and _is(node.func.value, me):
                    if len(node.args) + len(node.keywords) > 1:
                        self.with_arguments.add(node.func.attr)
                else:
                    self._read_call(node.func, function, me)

    def _read_attribute(self, name: str) -> None:
        """Notes `self.name`, and reads it if it is a method."""
        self.reads.add(name)
        found = _plain(inspect.getattr_static(self._kind, name, None))
        if not self._note(name, found):
            self.read_method(name)

    def _note(self, name: str, found: Any) -> bool:
        """Notes a sought function by the name under which it is sought; returns whether it is."""
        if not callable(found) or isinstance(found, type):
            return False
        names = [each for each in (name, _name(found)) if self._sought(each)]
        self.calls.update(names[:1])
        return bool(names)

    def _read_call(self, called: ast.expr, function: FunctionType, me: str) -> None:
        """Notes the call of a sought function; reads any other function of the same package."""
        *owners, last = _dotted(called)
        if not last or (owners and owners[0] == me):
            return  # a submodule, or an attribute of another expression
        scope = {**function.__globals__, **dict(_closure(function))}
        root = owners[0] if owners else last
        if root not in scope:  # a variable, whose method may have a sought name
            if owners and self._sought(last):
                self.calls.add(last)
            return
        found = scope[root]
        for name in [*owners, last][1:]:
            found = getattr(found, name, None)
        found = _plain(found)
        if not self._note(last, found) and isinstance(found, FunctionType):
            if str(found.__module__).partition(".")[0] == self._package:
                self._read(found)


def _plain(function: Any) -> Any:
    """Removes the wrappers around a function."""
    if isinstance(function, staticmethod | classmethod):
        function = function.__func__
    if isinstance(function, property):
        function = function.fget
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.unwrap(function) if callable(function) else function


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", "")).partition(".")[0]  # of ops: "relu.default"


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _dotted(node: ast.expr) -> list[str]:
    """Splits `a.b.c` into its names; any other expression in front of a name becomes ""."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [*_dotted(node.value), node.attr]
    return [""]


def _closure(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The variables that this function captures from enclosing functions."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not yet assigned
            continue
