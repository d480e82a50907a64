"""Lines typed on a terminal that obeys nothing (`TERM=dumb`): the system edits them, and nothing is drawn."""

from __future__ import annotations

import sys
from typing import Final, Self

from trioraft_cli.lines import PROMPT, Prompt
from trioraft_cli.signals import Interrupts
from trioraft_cli.typed import is_open

CONTINUED: Final = "       .. "
"""What stands before the further lines of a command."""


class PlainLines:
    """Reads lines. A context, as the other way to type them is one."""

    def __init__(self, prompt: Prompt, interrupts: Interrupts) -> None:
        self._prompt = prompt
        self._interrupts = interrupts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def next(self) -> str | None:
        """Return the next line; an empty one where Ctrl-C cleared it, None at the end. Raises StreamError."""
        text = ""
        try:
            with self._interrupts.breaking_off():
                while True:
                    sys.stdout.write(CONTINUED if text else PROMPT)
                    sys.stdout.flush()
                    line = sys.stdin.readline()
                    text += line
                    if not line.endswith("\n"):
                        sys.stdout.write("\n")
                        return text or None
                    if not line.strip() or not is_open(self._prompt.root, text):
                        return text.removesuffix("\n")
        except KeyboardInterrupt:
            self._prompt.connection.going_on.break_off()
            return ""
