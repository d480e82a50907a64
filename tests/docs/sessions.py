"""The netcat sessions in docs/protocol.md: what is typed in which terminal, and what a node answers.

A session is a block of code that says `session` behind its fence:

    $ nc 127.0.0.1 8000      # terminal 1
    {"op":"put","key":"a","value":1}
    {"ok":true,"rev":12}
    # terminal 2

An object with `op` is typed, any other line is answered. `# terminal N` goes on in that terminal, and `^C` closes it.
Indexes of the log, clients and clusters differ from run to run: what the page shows stands for what the node says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
_BLOCK: Final = re.compile(r"^```session\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING: Final = re.compile(r"^#+ (.*)$", re.MULTILINE)
_OPENS: Final = re.compile(r"\$ nc 127\.0\.0\.1 800(?P<node>\d)(?: +# terminal (?P<terminal>\d+))?")
_TERMINAL: Final = re.compile(r"# terminal (\d+)")

INDEXES: Final = frozenset(
    [
        "rev",
        "at",
        "created",
        "if_rev",
        "rev_above",
        "after_rev",
        "min_rev",
        "first_rev",
        "lease",
        "leases",
        "expired",
        "fence",
        "index",
        "last_applied",
    ]
)
"""The fields that hold an index of the log. Larger ones on the page are larger in the run."""
NAMES: Final = frozenset(("client", "cluster"))
"""The fields whose text is drawn, or made of an index."""
TIMES: Final = frozenset(("remaining_ms",))
"""The fields that hold milliseconds that nobody can foretell."""
ANYTHING: Final = "…"
"""The text that stands for any text."""


class Opened(msgspec.Struct, frozen=True):
    """A terminal in which netcat is started, to that node."""

    terminal: str
    node: int


class Typed(msgspec.Struct, frozen=True):
    """A line that is typed."""

    terminal: str
    line: str


class Answered(msgspec.Struct, frozen=True):
    """A line that the node says."""

    terminal: str
    line: str


class Closed(msgspec.Struct, frozen=True):
    """A terminal in which netcat is interrupted."""

    terminal: str


Step = Opened | Typed | Answered | Closed


class Session(msgspec.Struct, frozen=True):
    """One session, with the heading above it."""

    name: str
    steps: list[Step]


def sessions(page: str) -> list[Session]:
    """All sessions of a page. Raises ValueError for a line that is none of a session."""
    found = []
    for block in _BLOCK.finditer(page):
        *_, heading = _HEADING.finditer(page, 0, block.start())
        found.append(Session(heading[1], list(_steps(block[1].splitlines()))))
    return found


def _steps(lines: list[str]) -> Iterator[Step]:
    terminal = ""
    for line in lines:
        if opens := _OPENS.fullmatch(line):
            terminal = opens["terminal"] or "1"
            yield Opened(terminal, int(opens["node"]))
        elif goes_on := _TERMINAL.fullmatch(line):
            terminal = goes_on[1]
        elif line == "^C":
            yield Closed(terminal)
        elif not line.startswith("{"):
            raise ValueError(f"this is no line of a session: {line}")
        else:
            yield (Typed if "op" in json.loads(line) else Answered)(terminal, line)


class Reading:
    """What the indexes and names of one session stand for in this run."""

    def __init__(self) -> None:
        self._indexes: dict[int, int] = {0: 0}
        self._names: dict[str, str] = {}

    def typed(self, line: str) -> bytes:
        """The line to send. Raises ValueError for an index or a name that no answer has shown before."""
        return json.dumps(self._meant("", json.loads(line)), separators=(",", ":")).encode() + b"\n"

    def _meant(self, field: str, shown: Any) -> Any:
        if isinstance(shown, dict):
            return {name: self._meant(name, each) for name, each in shown.items()}
        if isinstance(shown, list):
            return [self._meant(field, each) for each in shown]
        known: dict[Any, Any] = self._indexes if _is_index(field, shown) else self._names if field in NAMES else {}
        if known and shown not in known:
            raise ValueError(f"no answer has shown the {field} {shown} yet")
        return known.get(shown, shown)

    def answered(self, shown: str, said: Any) -> None:
        """Compare an answer with what the page shows. Raises ValueError where they differ."""
        try:
            self._compare("", json.loads(shown), said)
        except ValueError as error:
            raise ValueError(f"{error}\n  the page shows {shown}\n  the node said   {json.dumps(said)}") from None

    def _compare(self, field: str, shown: Any, said: Any) -> None:
        if isinstance(shown, dict) and isinstance(said, dict):
            if list(shown) != list(said):
                raise ValueError(f"the fields {', '.join(shown)} are now {', '.join(said)}")
            for name, each in shown.items():
                self._compare(name, each, said[name])
        elif isinstance(shown, list) and isinstance(said, list) and len(shown) == len(said):
            for each, other in zip(shown, said, strict=True):
                self._compare(field, each, other)
        elif _is_index(field, shown) and _is_index(field, said):
            self._bind(field, shown, said)
        elif field in NAMES and isinstance(said, str):
            if self._names.setdefault(shown, said) != said:
                raise ValueError(f"the {field} {shown} was {self._names[shown]}, and is now {said}")
        elif shown != said and not (shown == ANYTHING and isinstance(said, str)) and field not in TIMES:
            raise ValueError(f"{field or 'it'} is now {said!r}")

    def _bind(self, field: str, shown: int, said: int) -> None:
        """Note what an index stands for. All indexes of a session are in the same order as those of the run."""
        for other, meant in self._indexes.items():
            if (shown > other, shown == other) != (said > meant, said == meant):
                raise ValueError(f"the {field} {shown} is now {said}, while {other} is {meant}")
        self._indexes[shown] = said


def _is_index(field: str, value: Any) -> bool:
    return field in INDEXES and isinstance(value, int) and not isinstance(value, bool)
