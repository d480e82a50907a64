"""A line of bash as it is completed: its words, what bash keeps of the last one, and how the rest is quoted. Pure."""

from __future__ import annotations

import re
from typing import Final

import msgspec

_PLAIN: Final = re.compile(r"[\w@%+=:,./-]")
_BEGINNING: Final = "@"
"""The break with which the word begins that is completed; behind the others."""
_BLANKS: Final = " \t\n"
_ESCAPABLE: Final = '"\\$`'
"""What a backslash escapes within double quotes."""


class BashCursor(msgspec.Struct, frozen=True):
    """What stands before the cursor in a line of bash."""

    words: list[str]
    """The whole words, the command first."""
    incomplete: str
    """The text of the word that is being typed."""
    kept: str
    """Its beginning, which bash keeps: a completion replaces what comes after it."""
    quote: str
    """The quote that is open; empty where none is."""


def before_cursor(line: str, breaks: str) -> BashCursor:
    """Read a line up to the cursor. Bash completes from the last of the signs `breaks` (COMP_WORDBREAKS) on."""
    words: list[str] = []
    word: str | None = None
    kept = quote = ""
    signs = iter(line)
    for sign in signs:
        if quote == "'" and sign != quote:
            word = f"{word}{sign}"
        elif quote == '"' and sign == "\\":
            following = next(signs, "")
            word = f"{word}{following if following in _ESCAPABLE else sign + following}"
        elif quote and sign != quote:
            word = f"{word}{sign}"
        elif sign in ("'", '"'):
            quote = "" if quote else sign
            kept = word = word or ""
        elif sign == "\\":
            word = f"{word or ''}{next(signs, '')}"
        elif sign in _BLANKS:
            words += [] if word is None else [word]
            word, kept = None, ""
        else:
            if sign in breaks:
                kept = f"{word or ''}{'' if sign == _BEGINNING else sign}"
            word = f"{word or ''}{sign}"
    return BashCursor(words, word or "", kept, quote)


def quoted(text: str, quote: str) -> str | None:
    """The text as it is typed behind that open quote, if any; None where that cannot be."""
    if quote and not (text.isprintable() and "!" not in text):  # bash takes a `!` for a line of its history
        return None
    if quote == "'":
        typed = text.replace("'", "'\\''")
    elif quote == '"':
        typed = "".join(f"\\{sign}" if sign in _ESCAPABLE else sign for sign in text)
    else:
        return "".join(map(_escaped, text))
    return typed + quote if typed.endswith(quote) else typed  # bash ends a quote only where it sees none at the end


def _escaped(sign: str) -> str:
    if not sign.isprintable():
        return "$'" + "".join(f"\\{byte:03o}" for byte in sign.encode()) + "'"
    return sign if _PLAIN.fullmatch(sign) or not sign.isascii() else f"\\{sign}"
