"""When two values are equal: they are the same bytes once the blanks outside strings are removed.

Nothing else is made alike: `1.0` is not `1`, an escaped letter is not the letter, and the order of fields counts.
"""

from __future__ import annotations

import re
from typing import Final

_BLANKS: Final = b" \t\n\r"
# The quantifiers are possessive, and a string without an end reaches to the end of the value: each byte is seen once.
_STRING_OR_BLANKS: Final = re.compile(rb'("(?:[^"\\]++|\\.)*+"?)|[ \t\n\r]++', re.DOTALL)


def equal(one: bytes, other: bytes) -> bool:
    """Whether two values, as raw JSON, are equal."""
    return one == other or without_blanks(one) == without_blanks(other)


def without_blanks(value: bytes) -> bytes:
    """The value without the blanks outside its strings."""
    dense = value.translate(None, _BLANKS)
    if len(dense) == len(value) or b'"' not in value:
        return dense
    return _STRING_OR_BLANKS.sub(rb"\1", value)
