"""A group of commands: each has its name with '-' or '_', and a wrong name is answered with one that may be meant."""

from __future__ import annotations

import difflib
from typing import Final

import click

OF_THE_PROMPT: Final = {
    **{f"{change}-member": f"members {change}" for change in ("add", "remove", "promote")},
    "help": "--help",
    "exit": "--help",
}
"""What the prompt has under names of its own, as the command line has it."""


class Commands(click.Group):
    """A click group with such names."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None where there is none."""
        return super().get_command(ctx, cmd_name.replace("_", "-"))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names. Raises click.UsageError with one that may be meant."""
        word = args[0]
        if not word.startswith("-") and self.get_command(ctx, word) is None:
            name = word.lower().replace("_", "-")
            near = OF_THE_PROMPT.get(name) or next(iter(difflib.get_close_matches(name, self.commands, 1)), "--help")
            raise click.UsageError(f"there is no command '{word}': did you mean '{ctx.command_path} {near}'?", ctx)
        return super().resolve_command(ctx, args)
