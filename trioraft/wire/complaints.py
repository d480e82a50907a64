"""The decoder's complaints about a request, in words for whoever sent it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_KINDS: Final = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number with a fraction",
    "bool": "true or false",
    "null": "null",
    "object": "an object",
    "array": "an array",
}
_PLACE: Final = r" - (?:at `\$\.|in `)(\w+)`"
_BOUNDS: Final = {">=": "at least", "<=": "at most"}


def _length(found: re.Match[str]) -> str:
    bound, number, name = found.groups()
    if (bound, number) == (">=", "1"):
        return f"'{name}' is empty"
    return f"'{name}' may have {_BOUNDS[bound]} {number} bytes"


def _kind(found: re.Match[str]) -> str:
    wanted, got, name = found.groups()
    kinds = " or ".join(_KINDS.get(kind, kind) for kind in wanted.split(" | "))
    return f"'{name}' must be {kinds}, and not {_KINDS.get(got, got)}"


_WORDS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]] = tuple(
    (re.compile(pattern + place, re.DOTALL), words)
    for pattern, place, words in (
        (r"Expected `str(?: \| null)?` of length (>=|<=) (\d+)", _PLACE, _length),
        (r"Expected `int(?: \| null)?` (>=|<=) (-?\d+)", _PLACE, lambda m: f"'{m[3]}' must be {_BOUNDS[m[1]]} {m[2]}"),
        (r"Expected `([^`]+)`, got `([^`]+)`", _PLACE, _kind),
        (r"Number out of range", _PLACE, lambda m: f"'{m[1]}' is out of the range of numbers"),
        (r"Invalid enum value (.+)", _PLACE, lambda m: f"'{m[2]}' cannot be {m[1]}"),
        (r"Object missing required field `(\w+)`", "", lambda m: f"the field '{m[1]}' is missing"),
        (r"Object contains unknown field `(.+)`", "", lambda m: f"there is no field '{m[1]}' here"),
    )
)


def in_words(why: str) -> str:
    """Translate msgspec's message about a request that is JSON. A message of no known form comes back unchanged."""
    for pattern, words in _WORDS:
        if (found := pattern.fullmatch(why)) is not None:
            return words(found)
    return why
