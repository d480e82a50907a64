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
_PATH: Final = r"[\w.\[\]]+"
_PLACE: Final = rf" - (?:at `\$\.|in `)({_PATH})`"
_INSIDE: Final = rf"(?: - at `\$\.({_PATH})`)?"
"""Where an object stands that is not the request itself."""
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


def _in(path: str | None) -> str:
    return f" in '{path}'" if path else ""


_WORDS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]] = tuple(
    (re.compile(pattern + place, re.DOTALL), words)
    for pattern, place, words in (
        (r"Expected `str(?: \| null)?` of length (>=|<=) (\d+)", _PLACE, _length),
        (r"Expected `int(?: \| null)?` (>=|<=) (-?\d+)", _PLACE, lambda m: f"'{m[3]}' must be {_BOUNDS[m[1]]} {m[2]}"),
        (r"Expected `([^`]+)`, got `([^`]+)`", _PLACE, _kind),
        (
            r"Expected `str(?: \| null)?` matching regex .*",
            _PLACE,
            lambda m: f"'{m[1]}' must be one that open_session gave",
        ),
        (r"Number out of range", _PLACE, lambda m: f"'{m[1]}' is out of the range of numbers"),
        (r"Invalid enum value (.+)", _PLACE, lambda m: f"'{m[2]}' cannot be {m[1]}"),
        (r"Expected `array` of length <= (\d+)", _PLACE, lambda m: f"'{m[2]}' may have {m[1]} elements at most"),
        (r"Expected `([^`]+)`", _PLACE, lambda m: f"'{m[2]}' must be {_KINDS.get(m[1], m[1])}"),
        (r"Invalid value (.+)", _PLACE, lambda m: f"'{m[2]}' cannot be {m[1]}"),
        (r"Object missing required field `(\w+)`", _INSIDE, lambda m: f"the field '{m[1]}' is missing{_in(m[2])}"),
        (
            r"Object contains unknown field `(.+?)`",
            _INSIDE,
            lambda m: f"there is no field '{m[1]}'{_in(m[2]) or ' here'}",
        ),
        (r"a check (must have .+)", _PLACE, lambda m: f"'{m[2]}' {m[1]}"),
    )
)


def in_words(why: str) -> str:
    """Translate msgspec's message about a request that is JSON. A message of no known form comes back unchanged."""
    for pattern, words in _WORDS:
        if (found := pattern.fullmatch(why)) is not None:
            return words(found)
    return why
