"""The private methods of other classes that a class overrides, read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .imports import parsed

Classes = dict[str, ast.ClassDef]
"""The full names of the bases."""


def classes_of(module: str, source: str) -> Classes:
    """Every class at the top level of a module."""
    return {f"{module}.{node.name}": node for node in parsed(source).body if isinstance(node, ast.ClassDef)}


def overridden(module: str, source: str, known: Classes, inside: str) -> Iterator[str]:
    """The private names that classes of the module, nested ones too, override from a class outside of `inside`."""
    tree = parsed(source)
    names = _imported(tree) | {
        node.name: f"{module}.{node.name}" for node in tree.body if isinstance(node, ast.ClassDef)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            own = set(_private(node))
            for base in _bases(node, names):
                for owner, name in _inherited(base, known):
                    if name in own and not owner.startswith(inside + "."):
                        yield f"{module}.{node.name} overrides {owner}.{name}"


def _imported(tree: ast.Module) -> dict[str, str]:
    """The full name of each imported name."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.asname or name.name: name.name for name in node.names}
    return found


def _bases(node: ast.ClassDef, names: dict[str, str]) -> Iterator[str]:
    for base in node.bases:
        first, dot, rest = ast.unparse(base).partition(".")
        yield names.get(first, first) + dot + rest


def _private(node: ast.ClassDef) -> Iterator[str]:
    for statement in node.body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names = [name]
            case ast.Assign(targets=targets):
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
            case _:
                names = []
        yield from (name for name in names if name.startswith("_") and not name.endswith("__"))


def _inherited(name: str, known: Classes) -> Iterator[tuple[str, str]]:
    """Yield the private names of the class and its known bases, each with its class."""
    if (node := known.get(name)) is None:
        return
    module = name.rpartition(".")[0]
    yield from ((name, own) for own in _private(node))
    for base in node.bases:
        yield from _inherited(f"{module}.{ast.unparse(base)}", known)
