"""The tree of commands at the prompt: those of the command line that make sense there, and its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click
from click.shell_completion import CompletionItem

from trioraft_cli.groups import Commands

ELSEWHERE: Final = ("node", "shell", "demo", "pipe", "completion")
"""The commands that are typed into a shell alone."""
PROMPT_SECTION: Final = "prompt"
_HELP: Final = """\b
    The value of put is the rest of the line, whatever stands there: options come before the key.
    A word with blanks, or one that begins with a quote, - | or >, stands in double quotes, as JSON has them.
    'get x | jq .' passes the output to a shell's command, and 'scan > FILE' or '>> FILE' writes it to a file.
    Several lines, pasted, are a command each, up to the first that fails; a value in JSON may go on over lines.
    A line that begins with # is a remark.
    """


class Leave(BaseException):
    """The prompt is to end. It is no Exception, as it is no failure of a command."""


class _Tree(Commands):
    """The prompt's commands, of which the prompt itself is none: its help has no usage, and the commands first."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, and how lines are typed."""
        self.format_commands(ctx, formatter)
        self.format_help_text(ctx, formatter)


class _Name(click.ParamType):  # type: ignore[type-arg]
    """A word of a command's name."""

    name = "command"

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem[str]]:
        """The commands that may follow the words before."""
        try:
            group = named(ctx, ctx.params.get("words") or ()).command
        except click.UsageError:
            return []
        return group.shell_complete(ctx, incomplete) if isinstance(group, Commands) else []


@click.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND]", type=_Name())
@click.pass_context
def help_(context: click.Context, words: tuple[str, ...]) -> int:
    """List the commands, or tell all about one.

    \b
    Examples: help
              help members add
    """
    print(named(context, words).get_help())
    return 0


@click.command("exit")
def exit_() -> int:
    """Leave the prompt, as Ctrl-D does.

    \b
    Example: exit
    """
    raise Leave


def named(context: click.Context, words: Sequence[str]) -> click.Context:
    """A context of the command that the words name, from one of the prompt. Raises click.UsageError."""
    found = context.find_root()
    for word in words:
        if not isinstance(found.command, Commands):
            raise click.UsageError(f"there is no command '{word}' in '{found.command_path}'", context)
        name, command, _ = found.command.resolve_command(found, [word])
        if command is not None:
            found = click.Context(command, found, name)
    return found


def prompt_tree(commands: Commands, extra: Sequence[click.Command] = ()) -> Commands:
    """The commands of a prompt: those of the command line, `help`, `exit`, and `extra`."""
    tree = _Tree(help=_HELP, context_settings=commands.context_settings)
    tree.elsewhere = ELSEWHERE
    for title, section in commands.sections.items():
        if here := [command for command in section if command.name not in ELSEWHERE]:
            tree.section(title, *here)
    tree.section(PROMPT_SECTION, *extra, help_, exit_)
    return tree
