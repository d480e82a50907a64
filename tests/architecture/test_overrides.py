"""The simulations do not change the code under test: they use observers and ports, and override no private method."""

from __future__ import annotations

from functools import cache

import pytest

from . import imports
from .overrides import Classes, classes_of, overridden

TESTING = "trioraft.testing"


@cache
def sources() -> dict[str, str]:
    """The source of each module."""
    return {module: path.read_text() for module, path in imports.sources().items()}


@cache
def known() -> Classes:
    """All classes, read at the first test that needs them: each process collects this file."""
    return {name: node for module, source in sources().items() for name, node in classes_of(module, source).items()}


def test_no_private_method_is_overridden_for_a_simulation() -> None:
    found = [
        problem
        for module, source in sources().items()
        if module.startswith(TESTING + ".")
        for problem in overridden(module, source, known(), TESTING)
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "from trioraft.raft.core import Core\nclass Watched(Core):\n    def _answer(self): ...",
        "from trioraft.raft.core import Core as C\ndef f():\n    class Watched(C):\n        def _answer(self): ...",
        "from trioraft.raft import core\nclass Watched(core.Core):\n    _answer = None",
        "import trioraft.raft.core\nclass Watched(trioraft.raft.core.Core):\n    _answer: object",
    ],
)
def test_an_override_is_found(source: str) -> None:
    assert list(overridden("trioraft.testing.simulation", source, known(), TESTING))


@pytest.mark.parametrize(
    "source",
    [
        "from trioraft.replica.ports import Observer\nclass Watched(Observer):\n    def said(self): ...",
        "from trioraft.raft.core import Core\nclass Own(Core):\n    def __init__(self): ...\n    def _mine(self): ...",
        "class One:\n    def _own(self): ...\nclass Two(One):\n    def _own(self): ...",
    ],
)
def test_what_is_ones_own_is_left_alone(source: str) -> None:
    assert list(overridden("trioraft.testing.simulation", source, known(), TESTING)) == []
