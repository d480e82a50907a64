"""Colours on a terminal: when they are wanted, and how a text gets them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, TextIO

from trioraft_cli.pretty import tokens

if TYPE_CHECKING:
    from rich.console import Console

NAMED: Final = {"key": "ansicyan", "string": "ansigreen", "number": "ansiyellow", "word": "ansimagenta"}
"""The colour of each kind of token of JSON, by the names that prompt-toolkit has for those of a terminal."""
_CODES: Final = {"ansicyan": 36, "ansigreen": 32, "ansiyellow": 33, "ansimagenta": 35}


def is_dumb() -> bool:
    """Whether the terminal obeys nothing: no colours, no cursor that moves."""
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")


def wanted(stream: TextIO) -> bool:
    """Whether what is written to that stream is to have colours.

    The first that says so decides: NO_COLOR, not; FORCE_COLOR, also piped; TERM=dumb, not; else whether it is a
    terminal. A variable that is empty says nothing.
    """
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and not is_dumb())


def console(stream: TextIO) -> Console:
    """What tables and progress are drawn with. Without colours bold letters stay, on a terminal that has them."""
    from rich.console import Console

    is_wanted = wanted(stream)
    return Console(
        file=stream,
        no_color=not is_wanted,
        color_system="standard" if is_wanted else "auto",
        force_terminal=is_wanted or stream.isatty(),
        highlight=False,
        legacy_windows=False,
    )


def paint(text: str, code: int) -> str:
    """The text in the colour that a terminal has under that number."""
    return f"\x1b[{code}m{text}\x1b[0m"


def painted_json(text: str) -> str:
    """The same JSON with colours."""
    parts: list[str] = []
    end = 0
    for kind, place, token in tokens(text):
        parts.append(text[end:place])
        parts.append(paint(token, _CODES[NAMED[kind]]) if kind in NAMED else token)
        end = place + len(token)
    parts.append(text[end:])
    return "".join(parts)
