"""The form in which a command prints: for a person, or a line a row for programs. `-o` chooses; else the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

OUTPUTS: Final = ("json", "plain", "table", "text")
"""What `-o` takes. `text` is what it is without `-o`: a table on a terminal, and plain when piped."""
_CHOSEN: Final[ContextVar[str]] = ContextVar("_CHOSEN", default="text")


@contextmanager
def chosen(output: str) -> Iterator[None]:
    """A context in which commands print so, one of OUTPUTS; `text` is as it is around the context."""
    before = _CHOSEN.set(_CHOSEN.get() if output == "text" else output)
    try:
        yield
    finally:
        _CHOSEN.reset(before)


def as_table() -> bool:
    """Whether a person's form is to be printed."""
    output = _CHOSEN.get()
    return output == "table" or (output == "text" and sys.stdout.isatty())
