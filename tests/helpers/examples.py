"""The examples in the help of the commands."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

_MARK = re.compile(r"^Examples?: ")


def commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield each command of the tree with its whole name."""
    for name, command in group.commands.items():
        yield f"{before}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")


def examples(command: click.Command) -> list[str]:
    """The examples that a command's help ends with, each a line for a shell."""
    lines = inspect.cleandoc(command.help or "").splitlines()
    starts = [place for place, line in enumerate(lines) if _MARK.match(line)]
    if not starts:
        return []
    return [_MARK.sub("", line).strip() for line in lines[starts[-1] :] if line.strip()]
