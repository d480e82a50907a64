"""The picture and the table of the rooms in docs/architecture.md: `python -m tests.docs` writes them.

The table shows the rules that `imports` holds; what a room is about is the first paragraph of its docstring. The
picture shows who imports whom in fact, and leaves out what follows from the other arrows.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

from tests.architecture import imports as rules

PAGE: Final = rules.ROOT / "docs" / "architecture.md"
BEGIN: Final = "<!-- made by `python -m tests.docs` -->\n"
END: Final = "<!-- until here -->\n"
SHARED: Final = ("trioraft", "trioraft.addresses", "trioraft.background", "trioraft.names")
"""Single modules that any room may lean on: the picture leaves them out."""


def picture() -> str:
    """The rooms as a graph in mermaid's words, each above what it imports."""
    sources = rules.sources()
    graph: dict[str, set[str]] = {}
    for module, path in sources.items():
        room = _room(module)
        if room in SHARED:
            continue
        others = graph.setdefault(room, set())
        for each in rules.imports(module, path.read_text(), path.name == "__init__.py", set(sources)):
            if each.module in sources and _room(each.module) not in (room, *SHARED):
                others.add(_room(each.module))
    lines = [
        f"    {_short(room)} --> {_short(other)}\n"
        for room in sorted(graph)
        for other in sorted(graph[room] - _further(graph, graph[room]))
    ]
    return "```mermaid\ngraph TD\n" + "".join(lines) + "```\n"


def _room(module: str) -> str:
    """A room that stands in the picture: a package, whatever rules of their own its modules have."""
    parts = rules.room_of(module).split(".")
    return ".".join(parts[: 1 if parts[0] == "trioraft_cli" else 2])


def _further(graph: dict[str, set[str]], rooms: set[str]) -> set[str]:
    """What these rooms import, or what those do, and so on."""
    found: set[str] = set()
    left = [other for room in rooms for other in graph[room]]
    while left:
        room = left.pop()
        if room not in found:
            found.add(room)
            left.extend(graph[room])
    return found


def table() -> str:
    """A row for each room: what it is about, and what it may import."""
    sources = rules.sources()
    rows = [
        f"| `{_short(room)}`{', pure' * (room in rules.PURE)} | {_about(sources[room])} | {_allowed(room)} |\n"
        for room in rules.ALLOWED
    ]
    return "| room | what it is about | may import |\n|---|---|---|\n" + "".join(rows)


def _about(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.partition("\n\n")[0].split())


def _allowed(room: str) -> str:
    """The names of what a room may import; of a room of which it may import some modules, these in brackets."""
    parts: dict[str, list[str]] = {}
    for name in rules.ALLOWED[room] - {room}:
        package, _, module = name.rpartition(".")
        if name in rules.ALLOWED or package not in rules.ALLOWED:
            parts.setdefault(name, [])
        else:
            parts.setdefault(package, []).append(module)
    cells = [f"`{_short(name)}`" + f" ({', '.join(sorted(some))})" * bool(some) for name, some in sorted(parts.items())]
    return ", ".join(cells) or "nothing of the project"


def _short(room: str) -> str:
    return room.removeprefix("trioraft.")


def updated(page: str) -> str:
    """The page with the picture and the table of now. Raises ValueError where it has no place for them."""
    made = f"{BEGIN}\n{picture()}\n{table()}\n{END}"
    new, count = re.subn(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: made, page, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"the page has {count} places between {BEGIN!r} and {END!r}")
    return new
