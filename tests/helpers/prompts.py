"""A prompt in this process, without a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

from trioraft_cli.asking import Asker
from trioraft_cli.connection import Connection
from trioraft_cli.lines import Prompt, run_line
from trioraft_cli.main import cli
from trioraft_cli.outcomes import Failure
from trioraft_cli.typed import PromptError, read_line

from trioraft.addresses import Address
from trioraft.client import Reply

COMMANDS = cli
"""The tree of the command line."""
NOBODY = Address("127.0.0.1", 1)


def prompt_at(addresses: Sequence[Address]) -> Prompt:
    """Open a prompt on these nodes."""
    return Prompt(Connection(addresses), COMMANDS)


def prompt_of(asker: Asker) -> Prompt:
    """Open a prompt whose commands ask that one."""
    return Prompt(cast(Connection, asker), COMMANDS)


ROOT = prompt_at([NOBODY]).root
"""The tree of a prompt."""


class _Noting(Asker):
    """Notes what is asked, and has no answer."""

    def __init__(self) -> None:
        super().__init__([NOBODY])
        self.asked: dict[str, Any] | None = None

    def ask(self, op: str, fields: dict[str, Any], *, once: bool = False) -> Reply:  # noqa: ARG002
        self.asked = {"op": op, **{name: value for name, value in fields.items() if value is not None}}
        raise Failure(0)


def asked_by(line: str) -> dict[str, Any] | None:
    """The request that a line of the prompt asks; None where it is refused as wrongly typed.

    A line that would write a file or start a shell is not carried out.
    """
    with suppress(PromptError):
        if read_line(ROOT, line).sink is not None:
            return None
    asker = _Noting()
    run_line(prompt_of(asker), line)
    return asker.asked
