"""The lines of source that docs/architecture.md leads to: `python -m tests.docs` mends their numbers.

A step of the tour is code and, behind it, a link to the line where that code stands:

    `self.replica.turn()` ([server/driver.py](../trioraft/server/driver.py#L121)) begins the turn.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from tests.docs.rooms import PAGE

STEP: Final = re.compile(r"`(?P<code>[^`]+)`\s+\(\[(?P<name>[^\]]+)\]\((?P<path>[^)#]+)#L(?P<line>\d+)\)\)")
LINK: Final = re.compile(r"\]\([^)]*#L\d+\)")

Read = Callable[[str], str]
"""Gives the text of a file by its path from the page."""


def source(path: str) -> str:
    """The text of a file, by its path from the page."""
    return (PAGE.parent / path).read_text()


def line_of(code: str, text: str) -> int:
    """The number of the one line that holds the code. Raises LookupError where it is none, or several."""
    found = [number for number, line in enumerate(text.splitlines(), 1) if code in line]
    if len(found) != 1:
        raise LookupError(f"`{code}` stands in {len(found)} lines")
    return found[0]


def mended(page: str, read: Read = source) -> str:
    """The page with the line numbers of now. Raises LookupError where a step leads to no line, or to several.

    The page may break a line of code at a space.
    """

    def mend(step: re.Match[str]) -> str:
        try:
            line = line_of(" ".join(step["code"].split()), read(step["path"]))
        except LookupError as error:
            raise LookupError(f"{step['path']}: {error}") from None
        return step[0].replace(f"#L{step['line']})", f"#L{line})")

    return STEP.sub(mend, page)
