"""JSON laid out for a person: indented where it does not fit into a line. Pure.

The text is cut into its tokens and put together again. No token changes, and none moves: a number keeps its digits, and
an object its order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Final, NamedTuple

_INDENT: Final = 2
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_BEHIND_KEY: Final = re.compile(r"\s*:")
_NUMBER: Final = re.compile(r"-?[0-9][0-9.eE+-]*")
_SPACED: Final = {",": ", ", ":": ": "}
"""What stands between the tokens of one line."""


class Token(NamedTuple):
    """A token of JSON and the place where it begins."""

    kind: str
    """key, string, number, word (true, false, null, and what is no JSON) or mark."""
    place: int
    text: str


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a text that is JSON, or the beginning of it."""
    for match in _TOKEN.finditer(text):
        found = match[0]
        if found[0] == '"':
            kind = "key" if _BEHIND_KEY.match(text, match.end()) else "string"
        elif found in "{}[],:":
            kind = "mark"
        else:
            kind = "number" if _NUMBER.fullmatch(found) else "word"
        yield Token(kind, match.start(), found)


def pretty(text: str, width: int) -> str:
    """Lay out one value of JSON in lines of `width` characters. What cannot be broken sticks out."""
    found = _TOKEN.findall(text)
    closing = _closing(found)
    ends = list(accumulate((len(_SPACED.get(token, token)) for token in found), initial=0))
    parts: list[str] = []
    depth = column = place = 0
    while place < len(found):
        token = found[place]
        end = closing.get(place)
        if end is not None and (end == place + 1 or column + ends[end + 1] - ends[place] < width):
            part = "".join(_SPACED.get(token, token) for token in found[place : end + 1])
            place = end
        elif end is not None:
            depth += 1
            part = token + _new_line(depth, width)
        elif token == ",":
            part = token + _new_line(depth, width)
        elif token in "}]":
            depth -= 1
            part = _new_line(depth, width) + token
        else:
            part = _SPACED.get(token, token)
        parts.append(part)
        column = len(part) - part.index("\n") - 1 if "\n" in part else column + len(part)
        place += 1
    return "".join(parts)


def _closing(found: list[str]) -> dict[int, int]:
    """The place of each opening bracket, and that of the one which closes it."""
    closing: dict[int, int] = {}
    opened: list[int] = []
    for place, token in enumerate(found):
        if token in "{[":
            opened.append(place)
        elif token in "}]":
            closing[opened.pop()] = place
    return closing


def _new_line(depth: int, width: int) -> str:
    """The end of a line, and the indent of the next. Very deep ones keep half of the line for what they hold."""
    return "\n" + " " * min(_INDENT * depth, width // 2)
