"""The unused definitions of the program, read from its source.

Types are not known here. So a method counts as used if any attribute of its name is read, and two classes that share
a name hide each other's. Every definition that is found, though, is truly unused.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .imports import Import

REGISTERED = {"command", "group", "add", "Operation", "_reply_to"}
"""Decorators that use a function or a class: as a command, for a key of the prompt, in the table of operations."""


@dataclass(frozen=True)
class Module:
    """The source of a module."""

    name: str
    tree: ast.Module
    imports: list[Import]
    is_door: bool = False
    """Whether it is a package's `__init__`, whose imports are for others."""


@dataclass(frozen=True)
class Definition:
    """A function, method, class, constant or field, with its lines."""

    module: str
    name: str
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.module} {self.name}"

    @property
    def short(self) -> str:
        """The name that others use."""
        return self.name.rpartition(".")[2]

    def holds(self, place: tuple[str, int]) -> bool:
        """Whether the place is within the definition: a definition that only uses itself is unused."""
        module, line = place
        return module == self.module and self.first <= line <= self.last


def definitions(module: Module) -> Iterator[Definition]:
    """Yield the definitions of a module and its classes, except the names that Python itself uses."""

    def within(body: Iterable[ast.stmt], prefix: str) -> Iterator[Definition]:
        for node in body:
            names: list[str] = []
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    names = [] if _is_registered(node) else [name]
                case ast.ClassDef(name=name):
                    names = [] if _is_registered(node) else [name]
                    yield from within(node.body, f"{prefix}{name}.")
                case ast.Assign(targets=targets):
                    names = [target.id for target in targets if isinstance(target, ast.Name)]
                case ast.AnnAssign(target=ast.Name(id=name)):
                    names = [name]
                case ast.If(body=inner, orelse=other):
                    yield from within([*inner, *other], prefix)
                case _:
                    pass
            for name in names:
                if not (name.startswith("__") and name.endswith("__")):
                    yield Definition(module.name, prefix + name, node.lineno, node.end_lineno or node.lineno)

    yield from within(module.tree.body, "")


def _is_registered(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    for decorator in node.decorator_list:
        match decorator:
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)) if name in REGISTERED:
                return True
            case _:
                pass
    return False


class Uses:
    """The uses of each name, as modules and lines."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self._names: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
        self._attributes: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
        self._handed_out: set[str] = set()
        self._importers: defaultdict[str, set[str]] = defaultdict(set)
        for module in modules:
            self._look_through(module)
            for each in module.imports:
                self._importers[each.module].add(module.name)
        doors = {module.name for module in modules if module.is_door}
        for importers in list(self._importers.values()):
            for door in importers & doors:
                importers |= self._importers.get(door, set())

    def _look_through(self, module: Module) -> None:
        for node in ast.walk(module.tree):
            match node:
                case ast.Name(id=name, ctx=ast.Load()):
                    self._names[name].append((module.name, node.lineno))
                case ast.Attribute(attr=name, ctx=ast.Load()):
                    self._attributes[name].append((module.name, node.lineno))
                case ast.MatchClass(kwd_attrs=names):
                    for name in names:
                        self._attributes[name].append((module.name, node.lineno))
                case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name)), *_]):
                    self._attributes[name].append((module.name, node.lineno))
                case ast.ImportFrom(names=aliases) if module.is_door:
                    self._handed_out.update(alias.name for alias in aliases)
                case _:
                    pass

    def has(self, definition: Definition) -> bool:
        """Whether anything but itself uses the definition."""
        if "." not in definition.name and definition.short in self._handed_out:
            return True
        nearby = {definition.module}
        if "." not in definition.name:
            nearby |= self._importers[definition.module]
        places = [place for place in self._names[definition.short] if place[0] in nearby]
        return not all(definition.holds(place) for place in places + self._attributes[definition.short])


def unused(modules: Iterable[Module]) -> list[Definition]:
    """The definitions in these modules that none of them uses."""
    modules = list(modules)
    uses = Uses(modules)
    return [each for module in modules for each in definitions(module) if not uses.has(each)]
