"""The usage that is still to come, of the command that is being typed: the grey hint behind the cursor. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import click

from trioraft_cli.groups import Commands
from trioraft_cli.typed import OwnWords, PromptError, read_line
from trioraft_cli.words import Quoted

_HIDDEN: Final = frozenset(("servers", "connect", "output", "timeout", "retry", "help"))
"""Options that every command has. A hint that named them would hide what this command takes."""


def usage_to_come(root: Commands, text: str) -> str:
    """What the text before the cursor still lacks, as it is to be put behind the cursor; empty where nothing is."""
    if not text.strip():
        return ""
    try:
        typed = read_line(root, text)
    except PromptError:
        return ""
    words = list(typed.words)
    if typed.sink is not None or not words:
        return ""
    command: click.Command = root
    while words and isinstance(command, Commands):
        found = command.named(words.pop(0))
        if found is None:
            return ""
        command = found
    hint = " ".join(_to_come(click.Context(command, resilient_parsing=True), words))
    return hint if not hint or text[-1].isspace() else f" {hint}"


def _to_come(context: click.Context, words: Sequence[str]) -> Iterator[str]:
    """Yield what may follow these words of a command, in the order of its usage."""
    command = context.command
    options = {name: param for param in command.params if isinstance(param, click.Option) for name in param.opts}
    given: set[click.Option] = set()
    count = 0
    left = list(words)
    while left:
        word = left.pop(0)
        option = None if isinstance(word, Quoted) else options.get(word.partition("=")[0])
        if option is None:
            count += 1
            if word.startswith("-") and not isinstance(word, Quoted):
                return  # the beginning of an option, or what follows a --
            continue
        given.add(option)
        if not option.is_flag and "=" not in word:
            if not left:
                yield option.make_metavar(context)
            left = left[1:]
    for argument in command.params:
        if isinstance(argument, click.Argument):
            if not count or argument.nargs == -1:
                yield _metavar(argument, context)
            count = max(0, count - 1)
    if isinstance(command, Commands):
        yield "|".join(command.commands)
    if isinstance(command, OwnWords) and len(words) > len(given):
        return  # options come before its arguments
    for param in command.params:
        if isinstance(param, click.Option) and not param.hidden and not {param, param.name} & {*given, *_HIDDEN}:
            name = max(param.opts, key=len)
            yield f"[{name}]" if param.is_flag else f"[{name} {param.make_metavar(context)}]"


def _metavar(argument: click.Argument, context: click.Context) -> str:
    metavar = argument.make_metavar(context)
    return metavar if argument.required or metavar.startswith("[") else f"[{metavar}]"
