"""Characters that cannot be shown, escaped as in JSON. Pure.

Those that Python calls printable are shown as they are. They include no control character, none that is invisible or
turns the direction of the text, no blank but the space, and no half of a surrogate pair.
"""

from __future__ import annotations

import re
from typing import Final

from trioraft.wire.codec import encode

_BLANKS_OF_JSON: Final = str.maketrans("\t\n\r", "   ")
_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]")


def escape(sign: str) -> str:
    """A character as it is escaped in a JSON string; one beyond 16 bits as a surrogate pair."""
    if sign in '"\\\b\f\n\r\t':
        return encode(sign)[1:-1].decode()
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))


def safe(text: str, keep: str = "") -> str:
    """The text in one line, without what a terminal would obey, the characters in `keep` apart."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in keep else escape(sign) for sign in text)


def safe_json(text: str) -> str:
    """The same JSON in one line, without what a terminal would obey.

    Control characters below U+0020 can only be blanks between its tokens, and all others only in its strings.
    """
    return safe(text.translate(_BLANKS_OF_JSON))


def ascii_json(text: str) -> str:
    """The same JSON in ASCII, which nearly every encoding has."""
    return text if text.isascii() else _BEYOND_ASCII.sub(lambda match: escape(match[0]), text)


def escape_unencodable(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that an encoding lacks by escapes: an error handler for `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(escape, error.object[error.start : error.end])), error.end
