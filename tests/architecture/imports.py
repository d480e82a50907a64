"""The imports of each module, read from its source, and the imports that the architecture allows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Room -> the parts of the project that it may import: a room stands for all its modules, a module for itself.
ALLOWED = {
    "trioraft": set(),
    "trioraft.addresses": set(),
    "trioraft.background": set(),
    "trioraft.machine": {"trioraft.raft.runs"},
    "trioraft.key_values": {
        "trioraft.kv.machine",
        "trioraft.kv.sections",
        "trioraft.replica.replicated",
        "trioraft.wire",
    },
    "trioraft.names": {"trioraft.addresses", "trioraft.background"},
    "trioraft.raft": {"trioraft.raft"},
    "trioraft.kv": {"trioraft.kv"},
    "trioraft.wire": {
        "trioraft.addresses",
        "trioraft.wire",
        "trioraft.raft.messages",
        "trioraft.raft.runs",
        "trioraft.raft.membership",
        "trioraft.kv.bounds",
        "trioraft.kv.commands",
        "trioraft.kv.history",
        "trioraft.kv.interests",
        "trioraft.kv.items",
        "trioraft.kv.locks",
        "trioraft.kv.queries",
        "trioraft.kv.results",
        "trioraft.kv.transactions",
    },
    "trioraft.storage": {
        "trioraft.machine",
        "trioraft.storage",
        "trioraft.wire",
        "trioraft.raft.messages",
        "trioraft.raft.runs",
        "trioraft.raft.membership",
    },
    "trioraft.cluster": {
        "trioraft.addresses",
        "trioraft.machine",
        "trioraft.raft",
        "trioraft.wire",
        "trioraft.storage",
        "trioraft.cluster",
    },
    "trioraft.replica": {
        "trioraft",
        "trioraft.machine",
        "trioraft.raft",
        "trioraft.wire",
        "trioraft.storage",
        "trioraft.cluster",
        "trioraft.replica",
    },
    "trioraft.server": {
        "trioraft",
        "trioraft.addresses",
        "trioraft.background",
        "trioraft.key_values",
        "trioraft.machine",
        "trioraft.names",
        "trioraft.raft",
        "trioraft.wire",
        "trioraft.storage",
        "trioraft.cluster",
        "trioraft.replica",
        "trioraft.server",
    },
    "trioraft.client": {"trioraft", "trioraft.addresses", "trioraft.client", "trioraft.names", "trioraft.wire"},
    "trioraft.client.attempts": {
        "trioraft.addresses",
        "trioraft.client.errors",
        "trioraft.client.protocol",
        "trioraft.wire",
    },
    "trioraft.client.errors": {"trioraft.client.protocol"},
    "trioraft.client.protocol": {"trioraft.wire"},
    "trioraft.client.standing": {"trioraft.client.protocol"},
    "trioraft.client.tenure": {"trioraft.client.attempts"},
    "trioraft.testing": {
        "trioraft",
        "trioraft.addresses",
        "trioraft.key_values",
        "trioraft.machine",
        "trioraft.raft",
        "trioraft.kv",
        "trioraft.wire",
        "trioraft.storage",
        "trioraft.cluster",
        "trioraft.replica",
        "trioraft.server",
        "trioraft.client",
        "trioraft.testing",
    },
    "trioraft_cli": {
        "trioraft",
        "trioraft.addresses",
        "trioraft.background",
        "trioraft.client",
        "trioraft.wire",
        "trioraft_cli",
    },
    "trioraft_cli.checking": {"trioraft.addresses", "trioraft.wire", "trioraft_cli"},
    "trioraft_cli.checking.inquiry": {
        "trioraft.addresses",
        "trioraft.background",
        "trioraft.names",
        "trioraft.wire",
        "trioraft_cli",
    },
    "trioraft_cli.backup": {
        "trioraft.addresses",
        "trioraft.client",
        "trioraft.cluster.disaster",
        "trioraft.key_values",
        "trioraft.kv.sections",
        "trioraft.machine",
        "trioraft.storage.backups",
        "trioraft.storage.errors",
        "trioraft.storage.snapshots",
        "trioraft_cli.counts",
        "trioraft_cli.escapes",
        "trioraft_cli.outcomes",
    },
    "trioraft_cli.bench": {
        "trioraft.addresses",
        "trioraft.background",
        "trioraft.client",
        "trioraft.names",
        "trioraft.wire",
        "trioraft_cli",
    },
    "trioraft_cli.sim": {"trioraft.testing", "trioraft.wire", "trioraft_cli"},
    "trioraft_cli.node": {
        "trioraft",
        "trioraft.addresses",
        "trioraft.client",
        "trioraft.wire",
        "trioraft.server",
        "trioraft_cli",
    },
}

# What a room or module that only decides may import from outside the project.
_OF_NO_CONSEQUENCE = {
    "__future__",
    "bisect",
    "collections",
    "dataclasses",
    "enum",
    "functools",
    "heapq",
    "itertools",
    "math",
    "msgspec",
    "operator",
    "re",
    "typing",
    "struct",
    "zlib",
}
PURE = {
    "trioraft.raft": _OF_NO_CONSEQUENCE,
    "trioraft.kv": _OF_NO_CONSEQUENCE | {"hashlib"},
    "trioraft.wire": _OF_NO_CONSEQUENCE | {"difflib"},
    "trioraft.machine": _OF_NO_CONSEQUENCE,
    "trioraft.key_values": _OF_NO_CONSEQUENCE,
    "trioraft.client.attempts": _OF_NO_CONSEQUENCE,
    "trioraft.client.errors": _OF_NO_CONSEQUENCE,
    "trioraft.client.protocol": _OF_NO_CONSEQUENCE,
    "trioraft.client.standing": _OF_NO_CONSEQUENCE,
    "trioraft.client.tenure": _OF_NO_CONSEQUENCE,
    "trioraft.replica": _OF_NO_CONSEQUENCE | {"contextlib", "errno", "hashlib", "logging", "weakref"},
}
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "__import__", "breakpoint", "hash", "id"}

# Modules that are imported where they are used and not before, so that --help and completion stay quick.
HEAVY = {
    "concurrent.futures",  # it loads logging
    "prompt_toolkit",
    "rich",
    "shutil",
    "tempfile",
    "trio",
    "trioraft.server",
    "trioraft_cli.node",
    "trioraft_cli.demo",
    "trioraft_cli.demo_prompt",
    "trioraft_cli.checking",
    "trioraft_cli.overview",
    "trioraft_cli.backup",
    "trioraft_cli.sim",
    "trioraft_cli.shell",
    "trioraft_cli.keyboard",
    "trioraft_cli.cells",
    "trioraft_cli.bench.plan",
    "trioraft_cli.bench.run",
    "trioraft_cli.main",  # by the entry point, once Ctrl-C gives no traceback any more
    "trioraft_cli.outcomes",  # likewise
}


@dataclass(frozen=True)
class Import:
    """One name that a module imports: from where, on which line, and when."""

    module: str
    line: int
    deferred: bool
    """Whether the import is in a function, and so happens only when that is called."""
    typing_only: bool
    """Whether the import is under TYPE_CHECKING, and so never happens while the program runs."""


def sources() -> dict[str, Path]:
    """The file of every module of the program, by the module's name."""
    found = {}
    for base, package in ((ROOT, "trioraft"), (ROOT / "cli", "trioraft_cli")):
        for path in sorted((base / package).rglob("*.py")):
            parts = list(path.relative_to(base).with_suffix("").parts)
            if parts[-1] == "__init__":
                parts.pop()
            found[".".join(parts)] = path
    return found


@cache
def parsed(source: str) -> ast.Module:
    """The tree of a source, which nobody changes: each rule looks through it."""
    return ast.parse(source)


def imports(module: str, source: str, is_package: bool, known: set[str]) -> list[Import]:
    """All that a module imports. `from a import b` counts as a.b where that is a module of `known`."""
    found: list[Import] = []

    def visit(node: ast.AST, deferred: bool, typing_only: bool) -> None:
        match node:
            case ast.Import(names=names):
                found.extend(Import(name.name, node.lineno, deferred, typing_only) for name in names)
            case ast.ImportFrom(module=origin, names=names, level=level):
                base = _absolute(module, is_package, level, origin)
                for name in names:
                    inner = f"{base}.{name.name}"
                    found.append(Import(inner if inner in known else base, node.lineno, deferred, typing_only))
            case ast.FunctionDef(body=body) | ast.AsyncFunctionDef(body=body):
                for child in body:
                    visit(child, True, typing_only)
            case ast.If(
                test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"), body=body, orelse=other
            ):
                for child in body:
                    visit(child, deferred, True)
                for child in other:
                    visit(child, deferred, typing_only)
            case _:
                for part in ast.iter_child_nodes(node):
                    visit(part, deferred, typing_only)

    visit(parsed(source), False, False)
    return found


def _absolute(module: str, is_package: bool, level: int, origin: str | None) -> str:
    if level == 0:
        assert origin is not None
        return origin
    parts = module.split(".")
    parts = parts[: len(parts) - level + is_package]
    return ".".join([*parts, origin] if origin else parts)


def room_of(module: str) -> str:
    """The narrowest room that holds the module and has rules."""
    name = module
    while name not in ALLOWED or (name == "trioraft" and module != "trioraft"):
        name, dot, _ = name.rpartition(".")
        if not dot:
            raise LookupError(f"{module} is in no room that the architecture knows")
    return name


def forbidden_directions(module: str, found: list[Import]) -> Iterator[str]:
    """The imports of the project that the module may not make."""
    allowed = ALLOWED[room_of(module)]
    for item in found:
        if item.module.split(".")[0] not in ("trioraft", "trioraft_cli"):
            continue
        within = any(
            item.module == name or (name != "trioraft" and item.module.startswith(name + ".")) for name in allowed
        )
        if not within:
            yield f"{module}:{item.line} imports {item.module}"


def impurities(module: str, source: str, found: list[Import]) -> Iterator[str]:
    """The places at which a pure room depends on anything but its arguments."""
    pure = next((name for name in PURE if module == name or module.startswith(f"{name}.")), None)
    if pure is None:
        return
    for item in found:
        top = item.module.split(".")[0]
        if top not in PURE[pure] and top != "trioraft" and not item.typing_only:
            yield f"{module}:{item.line} imports {item.module}"
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            yield f"{module}:{node.lineno} calls {node.func.id}()"


def codec_uses(module: str, source: str, found: list[Import]) -> Iterator[str]:
    """The uses of a JSON codec outside `wire`."""
    if room_of(module) == "trioraft.wire":
        return
    for item in found:
        if item.module in ("json", "msgspec.json") or item.module.startswith("json."):
            yield f"{module}:{item.line} imports {item.module}"
    for node in ast.walk(parsed(source)):
        match node:
            case ast.ImportFrom(module="msgspec", names=names) if any(name.name == "json" for name in names):
                yield f"{module}:{node.lineno} imports msgspec.json"
            case ast.Attribute(value=ast.Name(id="msgspec"), attr="json"):
                yield f"{module}:{node.lineno} uses msgspec.json"


def deferred_imports(module: str, found: list[Import]) -> Iterator[str]:
    """The imports in functions, except the heavy ones of the command line, and of what it does beside its work."""
    for item in found:
        if not item.deferred:
            continue
        heavy = any(item.module == name or item.module.startswith(name + ".") for name in HEAVY)
        if not (heavy and module.startswith(("trioraft_cli", "trioraft.background", "trioraft.names"))):
            yield f"{module}:{item.line} imports {item.module} in a function"


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """A ring of modules that import each other; empty where there is none."""
    state: dict[str, int] = {}
    path: list[str] = []

    def visit(module: str) -> list[str]:
        if state.get(module) == 2:
            return []
        if state.get(module) == 1:
            return [*path[path.index(module) :], module]
        state[module] = 1
        path.append(module)
        for other in sorted(graph.get(module, ())):
            if ring := visit(other):
                return ring
        path.pop()
        state[module] = 2
        return []

    for module in sorted(graph):
        if ring := visit(module):
            return ring
    return []


def graph(everything: dict[str, list[Import]]) -> dict[str, set[str]]:
    """For each module, the modules that it imports in any way: deferred imports and imports for types count too."""
    return {
        module: {item.module for item in found if item.module in everything and item.module != module}
        for module, found in everything.items()
    }


def longest_functions(source: str) -> Iterator[tuple[int, str, int]]:
    """Yield the number of lines, the name and the first line of every function."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            yield node.end_lineno - node.lineno + 1, node.name, node.lineno
