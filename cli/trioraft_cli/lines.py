"""One line of the prompt: read, carried out, and its result printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from trioraft_cli.connection import Connection
from trioraft_cli.groups import Commands
from trioraft_cli.outcomes import GIVEN_UP, USAGE, Failure, LeftOpen, code_of
from trioraft_cli.pipes import into
from trioraft_cli.streams import say
from trioraft_cli.tree import Leave, prompt_tree
from trioraft_cli.typed import PromptError, Sink, is_remark, read_line

PROMPT: Final = "trioraft> "


class Prompt:
    """The commands of one prompt, and the connection that they ask."""

    def __init__(self, connection: Connection, commands: Commands, extra: Sequence[click.Command] = ()) -> None:
        """`commands` are those of the command line, and `extra` are this prompt's own."""
        self.connection = connection
        self.root = prompt_tree(commands, extra)
        connection.carry_out = lambda line: run_line(self, line)


def run_line(prompt: Prompt, line: str) -> int | None:
    """Carry out one line; its exit code, None where it ends the prompt."""
    if is_remark(line):
        return 0
    try:
        typed = read_line(prompt.root, line)
        if typed.sink is None:
            return code_of(lambda: _invoke(prompt, typed.words), _complain_of_usage)
        return _into(prompt, typed.words, typed.sink)
    except PromptError as error:
        say(str(error))
        return USAGE
    except Leave:
        return None
    except LeftOpen:
        raise
    except KeyboardInterrupt:
        say(GIVEN_UP)
        raise


def _into(prompt: Prompt, words: list[str], sink: Sink) -> int:
    """Run a command with its output in a pipe or a file; its exit code, or that of the other side where it has none."""
    code = 0
    try:
        with prompt.connection.going_on.quiet(), into(sink) as side:
            code = code_of(lambda: _invoke(prompt, words), _complain_of_usage)
    except Failure as failure:
        return failure.code
    return code or side.code


def _invoke(prompt: Prompt, words: list[str]) -> object:
    """Run the command that the words are; what it returns."""
    try:
        with prompt.root.make_context("", list(words), obj=prompt.connection) as context:
            return prompt.root.invoke(context)
    except click.exceptions.Exit as told:  # --help was printed
        return told.exit_code


def _complain_of_usage(error: click.ClickException) -> int:
    """Say what is wrong with a command, and how it is typed, in one line; the exit code."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    message = error.format_message().rstrip(".")
    if isinstance(error, click.NoSuchOption):
        message += ": a word that begins with '-' and is no option stands in double quotes"
    if context is None or isinstance(context.command, Commands):
        say(message)
    else:
        usage = " ".join([context.command_path, *context.command.collect_usage_pieces(context)])
        say(f"{message}; usage: {usage}")
    return USAGE
