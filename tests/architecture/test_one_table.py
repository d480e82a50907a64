"""Everything known by operation stands in the table of wire/operations.py, and in no other table."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from trioraft.wire.operations import OPERATIONS

from . import imports as rules

ENOUGH = 3
"""From this many names of operations on, a collection is a table."""
OTHERS = {
    "trioraft.testing.node_clients": "how often each is drawn, by the kind of key",
    "trioraft.testing.pipelines": "which fields are legal together, and what a transaction may do",
    "trioraft.testing.simulated_clients": "how often each is drawn",
    "trioraft.testing.store_model": "what the judge expects of each command",
    "trioraft.testing.streams": "the events of what goes on",
    "trioraft_cli.checking.inquiry": "what a node is asked to learn how it is",
}
"""The other tables that are allowed, and why."""


def tables(source: str) -> Iterator[tuple[int, set[str]]]:
    """Yield the collections with names of several operations: the line and the names."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
                pass
            case ast.Dict(keys=keys):
                parts = [key for key in keys if key is not None]
            case _:
                continue
        names = {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}
        if len(named := names & set(OPERATIONS)) >= ENOUGH:
            yield node.lineno, named


def test_there_is_no_second_table_of_operations() -> None:
    found = {name for name, path in rules.sources().items() if list(tables(path.read_text()))}
    assert found <= set(OTHERS)


@pytest.mark.parametrize(
    "source",
    [
        'X = ("get", "put", "delete")',
        'X = {"get": 1, "put": 2, "scan": 3}',
        'X = frozenset(("status", "ping", "help"))',
    ],
)
def test_a_second_table_is_found(source: str) -> None:
    assert list(tables(source))
