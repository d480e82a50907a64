"""Cells of a table on a terminal."""

from __future__ import annotations

from typing import Any, Final

from rich.console import Console
from rich.containers import Lines
from rich.text import Text

_INDENT: Final = 2


class Cell(Text):
    """A text whose further lines are indented, so that nobody takes them for rows."""

    def wrap(self, console: Console, width: int, *args: Any, **options: Any) -> Lines:
        """The lines of the text at that width."""
        lines = super().wrap(console, width, *args, **options)
        if len(lines) < 2 or width <= _INDENT:
            return lines
        lines = super().wrap(console, width - _INDENT, *args, **options)
        for line in lines[1:]:
            line.pad_left(_INDENT)
        return lines
