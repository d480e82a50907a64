"""Colours on a terminal: when they are wanted, and how a text gets them."""

from __future__ import annotations

import os
from typing import Final, TextIO

from trioraft_cli.pretty import tokens

NAMED: Final = {"key": "ansicyan", "string": "ansigreen", "number": "ansiyellow", "word": "ansimagenta"}
"""The colour of each kind of token of JSON, by the names that prompt-toolkit has for those of a terminal."""
_CODES: Final = {"ansicyan": 36, "ansigreen": 32, "ansiyellow": 33, "ansimagenta": 35}


def is_dumb() -> bool:
    """Whether the terminal obeys nothing: no colours, no cursor that moves."""
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")


def wanted(stream: TextIO) -> bool:
    """Whether what is written to that stream is to have colours."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and not is_dumb())


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
