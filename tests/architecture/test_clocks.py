"""No duration is measured by the wall clock: that may be set while a node runs, even backwards."""

from __future__ import annotations

import ast

import pytest

from .imports import ROOT, sources

WALL = {"time.time", "time.time_ns", "time.ctime", "time.localtime", "time.gmtime", "datetime.now", "datetime.utcnow"}
ALLOWED = {"trioraft.server.logs", "trioraft.server.vitals", "trioraft.storage.backups"}
"""The uses that are right: the time of a log line, what a node shows of its own clock, and the age of a file."""


def looks_at_the_wall(source: str) -> list[int]:
    """The lines that read the wall clock."""
    if not any(name in source for name in (*WALL, "from time import")):
        return []  # most files; to parse all of them would take a second
    tree = ast.parse(source)
    found = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name | ast.Attribute)
        and f"{ast.unparse(node.value).rpartition('.')[2]}.{node.attr}" in WALL
    ]
    return found + [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module == "time"
        and {f"time.{name.name}" for name in node.names} & WALL
    ]


@pytest.mark.parametrize(
    "source",
    [
        "import time\ndeadline = time.time() + 5",
        "import time\nnow = time.time",
        "from time import time\nnow = time()",
        "import datetime\nnow = datetime.datetime.now()",
        "from datetime import datetime\nnow = datetime.now()",
    ],
)
def test_a_look_at_the_wall_is_found(source: str) -> None:
    assert looks_at_the_wall(source) == [2] or looks_at_the_wall(source) == [1]


@pytest.mark.parametrize("source", ["import time\nnow = time.monotonic()", "import trio\nnow = trio.current_time()"])
def test_other_clocks_are_not(source: str) -> None:
    assert looks_at_the_wall(source) == []


def test_nothing_is_measured_by_the_clock_on_the_wall() -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for module, path in sources().items()
        if module not in ALLOWED and (lines := looks_at_the_wall(path.read_text()))
    }
    assert found == {}
