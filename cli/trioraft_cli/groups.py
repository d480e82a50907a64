"""A group of commands, listed in sections: it takes old names, and answers a wrong one with one that may be meant."""

from __future__ import annotations

import difflib
from collections.abc import Container
from typing import Final

import click
from click.shell_completion import CompletionItem

OLD_NAMES: Final = {
    **{f"{change}-member": ("members", change) for change in ("add", "remove", "promote")},
    "quit": ("exit",),
}
"""What was typed in former versions, as words of today."""
_ELSEWHERE_CALLED: Final = {"set": "put", "rm": "delete", "ls": "scan", "list": "scan", "keys": "scan"}
"""What other stores and shells call a command, where its name here is not spelt alike."""
_PROGRAM: Final = "trioraft"
_WIDEST_SUMMARY: Final = 1000
"""Click cuts a summary that is longer, in characters. None is."""


class Commands(click.Group):
    """A click group. Each command's name may be typed with '-' or '_'."""

    elsewhere: Container[str] = ()
    """The names of the commands that are there in a shell, and not at this prompt."""

    @property
    def sections(self) -> dict[str, list[click.Command]]:
        """The commands by the titles of their sections, in order."""
        self._sections: dict[str, list[click.Command]] = getattr(self, "_sections", {})
        return self._sections

    def section(self, title: str, *commands: click.Command) -> None:
        """Add commands, listed under that title."""
        for command in commands:
            self.add_command(command)
        self.sections.setdefault(title, []).extend(commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name; None where there is none."""
        return self.commands.get(_normal(cmd_name))

    def words_of(self, word: str) -> tuple[str, ...]:
        """The words of today that an old name stands for; else the word itself."""
        name = _normal(word)
        new = OLD_NAMES.get(name, (word,))
        return new if name not in self.commands and new[0] in self.commands else (word,)

    def named(self, word: str) -> click.Command | None:
        """The command that a word names, an old name too; None where it names none."""
        found: click.Command | None = self
        for name in self.words_of(word):
            found = found.commands.get(_normal(name)) if isinstance(found, Commands) else None
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names. Raises click.UsageError with one that may be meant."""
        word = args[0]
        args = [*self.words_of(word), *args[1:]]
        if not ctx.resilient_parsing and not word.startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(self._no_command(ctx, word), ctx)
        name, command, rest = super().resolve_command(ctx, args)
        return command.name if command is not None else name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands, a section after the other, each with its whole summary."""
        width = max(map(len, self.commands))
        for title, commands in (self.sections or {"commands": list(self.commands.values())}).items():
            with formatter.section(title.capitalize()):
                formatter.write_dl([(f"{command.name:{width}}", summary(command)) for command in commands])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """The commands, and options, that begin so."""
        begins = _normal(incomplete)
        found = [
            CompletionItem(name, help=summary(command))
            for name, command in self.commands.items()
            if name.startswith(begins)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def _no_command(self, ctx: click.Context, word: str) -> str:
        name = _normal(word).lower()
        if name in self.elsewhere:
            return f"'{word}' is no command of this prompt: type 'trioraft {name}' into a shell outside of it"
        if name == _PROGRAM and self.elsewhere:
            return f"there is no command '{word}': this prompt takes commands without that word before them"
        to_help = "help" if "help" in self.commands else "--help"
        near = _ELSEWHERE_CALLED.get(name)
        if near not in self.commands:
            near = to_help if name == "help" else next(iter(difflib.get_close_matches(name, self.commands, 1)), to_help)
        return f"there is no command '{word}': did you mean '{f'{ctx.command_path} {near}'.strip()}'?"


def summary(command: click.Command) -> str:
    """The first sentence of a command's help, whole."""
    return command.get_short_help_str(_WIDEST_SUMMARY)


def _normal(name: str) -> str:
    return name.replace("_", "-")
