"""The rooms and the doors between them: who may import whom, and how large a file may grow.

Each rule is tried first on a few lines that break it: a check that cannot fail proves nothing.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from . import imports as rules

SOURCES = rules.sources()
KNOWN = set(SOURCES)

MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 70


@cache
def found() -> dict[str, list[rules.Import]]:
    """The imports of each module, read at the first test that needs them: each process collects this file."""
    return {
        module: rules.imports(module, path.read_text(), path.name == "__init__.py", KNOWN)
        for module, path in SOURCES.items()
    }


def look(module: str, source: str) -> list[rules.Import]:
    return rules.imports(module, source, False, KNOWN)


def test_modules_import_in_the_allowed_directions_alone() -> None:
    assert [problem for module in SOURCES for problem in rules.forbidden_directions(module, found()[module])] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("trioraft.raft.core", "from trioraft.kv.store import Store"),
        ("trioraft.raft.core", "import trioraft.wire.codec"),
        ("trioraft.raft.core", "from ..kv import store"),
        ("trioraft.raft.core", "def f():\n    from trioraft.storage import log"),
        ("trioraft.kv.store", "from trioraft.raft.messages import Entry"),
        ("trioraft.wire.peers", "from trioraft.raft.core import Core"),
        ("trioraft.wire.peers", "import trioraft.storage"),
        ("trioraft.storage.log", "from trioraft.kv.store import Store"),
        ("trioraft.storage.log", "from trioraft.raft.core import Core"),
        ("trioraft.client.protocol", "from trioraft.replica.session import Session"),
        ("trioraft.client.attempts", "from trioraft.client.connection import dial"),
        ("trioraft.server.node", "import trioraft.client"),
        ("trioraft.testing.disk", "import trioraft_cli"),
        ("trioraft_cli.commands", "from trioraft.server import run_node"),
        ("trioraft_cli.commands", "from trioraft.storage.log import SegmentedLog"),
    ],
)
def test_a_forbidden_direction_is_found(module: str, source: str) -> None:
    assert list(rules.forbidden_directions(module, look(module, source)))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("trioraft.raft.core", "from trioraft.raft.messages import Entry"),
        ("trioraft.wire.entries", "from trioraft.raft.messages import Entry"),
        ("trioraft_cli.node", "from trioraft.server import run_node"),
        ("trioraft_cli.commands", "from trioraft.client import connect"),
    ],
)
def test_an_allowed_direction_is_left_alone(module: str, source: str) -> None:
    assert list(rules.forbidden_directions(module, look(module, source))) == []


def test_what_is_pure_does_no_io() -> None:
    problems = [
        problem
        for module, path in SOURCES.items()
        for problem in rules.impurities(module, path.read_text(), found()[module])
    ]
    assert problems == []


@pytest.mark.parametrize(
    "source",
    [
        *(
            f"import {name}"
            for name in ("trio", "socket", "os", "time", "random", "threading", "select", "pathlib", "secrets")
        ),
        "from random import choice",
        "import os.path",
        "def f():\n    import time",
        "print('x')",
        "open('x')",
        "order = hash('x')",
    ],
)
@pytest.mark.parametrize(
    "module",
    [
        "trioraft.raft.core",
        "trioraft.kv.store",
        "trioraft.wire.codec",
        "trioraft.replica.ports",
        "trioraft.client.attempts",
    ],
)
def test_an_impurity_is_found(module: str, source: str) -> None:
    assert list(rules.impurities(module, source, look(module, source)))


def test_only_the_replica_among_them_may_log() -> None:
    assert list(rules.impurities("trioraft.raft.core", "", look("trioraft.raft.core", "import logging")))
    assert list(rules.impurities("trioraft.replica.ports", "", look("trioraft.replica.ports", "import logging"))) == []


def test_the_codec_is_known_to_the_wire_alone() -> None:
    problems = [
        problem
        for module, path in SOURCES.items()
        for problem in rules.codec_uses(module, path.read_text(), found()[module])
    ]
    assert problems == []


@pytest.mark.parametrize(
    "source",
    [
        "import json",
        "import msgspec.json",
        "from msgspec import json",
        "from msgspec.json import decode",
        "import msgspec\nx = msgspec.json.encode(1)",
        "def f():\n    import json",
    ],
)
def test_a_use_of_the_codec_is_found(source: str) -> None:
    assert list(rules.codec_uses("trioraft.server.node", source, look("trioraft.server.node", source)))
    assert list(rules.codec_uses("trioraft.wire.codec", source, look("trioraft.wire.codec", source))) == []


def test_functions_import_nothing_but_what_is_slow_to_load() -> None:
    assert [problem for module in SOURCES for problem in rules.deferred_imports(module, found()[module])] == []


def test_a_deferred_import_is_found() -> None:
    source = "def f():\n    from trioraft.server import run_node\n"
    assert list(rules.deferred_imports("trioraft.server.node", look("trioraft.server.node", source)))
    assert list(rules.deferred_imports("trioraft_cli.node", look("trioraft_cli.node", source))) == []
    lazy = "def f():\n    import random\n"
    assert list(rules.deferred_imports("trioraft_cli.node", look("trioraft_cli.node", lazy)))


def test_no_modules_import_each_other_in_a_ring() -> None:
    assert rules.cycle(rules.graph(found())) == []


@pytest.mark.parametrize(
    "back",
    [
        "import a",
        "from a import f",
        "def g():\n    import a",
        "if TYPE_CHECKING:\n    import a",
    ],
)
def test_a_ring_is_found_whenever_its_imports_happen(back: str) -> None:
    sources = {"a": "import b", "b": "import c", "c": back}
    found = {name: rules.imports(name, source, False, set(sources)) for name, source in sources.items()}
    assert rules.cycle(rules.graph(found)) == ["a", "b", "c", "a"]


def test_every_module_is_in_a_room() -> None:
    for module in SOURCES:
        rules.room_of(module)
    with pytest.raises(LookupError):
        rules.room_of("trioraft.misc.helpers")


def test_files_and_functions_stay_small() -> None:
    long_files = [
        f"{path} has {lines} lines"
        for path in SOURCES.values()
        if (lines := path.read_text().count("\n")) > MAX_FILE_LINES
    ]
    long_functions = [
        f"{path}:{first} {name}() has {lines} lines"
        for path in SOURCES.values()
        for lines, name, first in rules.longest_functions(path.read_text())
        if lines > MAX_FUNCTION_LINES
    ]
    assert long_files + long_functions == []


def test_help_loads_nothing_slow() -> None:
    program = (
        "import sys\n"
        "from trioraft_cli.__main__ import main\n"
        "sys.argv = ['trioraft', '--help']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "slow = [name for name in ('trio', 'prompt_toolkit', 'asyncio') if name in sys.modules]\n"
        "assert not slow, slow\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert run.returncode == 0, run.stderr
    assert "node" in run.stdout


def test_importing_the_client_does_not_import_trio() -> None:
    program = "import sys, trioraft.client; assert 'trio' not in sys.modules"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert run.returncode == 0, run.stderr


def test_the_program_is_where_these_tests_look() -> None:
    assert {"trioraft.raft.core", "trioraft.wire.codec", "trioraft.server.node"} <= KNOWN
    assert Path(SOURCES["trioraft.raft.core"]).is_file()
