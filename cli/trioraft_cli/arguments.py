"""The types of arguments: text, values, which may come from standard input, numbers, and what follows a `--`."""

from __future__ import annotations

import difflib
import math
import os
import re
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

from trioraft_cli import candidates
from trioraft_cli.streams import MOST_READ, read_all
from trioraft_cli.values import NotText, text_of

if TYPE_CHECKING:
    _TextType = click.ParamType[str]
else:
    _TextType = click.ParamType  # older versions have no generic one

_STANDARD_INPUT: Final = "-"
_DASHES: Final = "--"
_LONG_OPTION: Final = re.compile("--[a-z][a-z-]*")


def at_prompt(context: click.Context) -> bool:
    """Whether a command is typed at the prompt, whose connection its root context holds."""
    return context.find_root().obj is not None


class Whole(click.IntRange):
    """A whole number within bounds. Anything else is called no valid integer, and not no valid range."""

    name = "integer"


class Seconds(click.FloatRange):
    """A time, in seconds. Anything else is called no valid number."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds. Raises click.BadParameter."""
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):  # it is below no bound, and above none
            self.fail(f"{value!r} is not a valid {self.name}.", param, ctx)
        return seconds


class WithTail(click.Command):
    """A command that takes what follows the first `--` as it stands: `tail`, None where there is no `--`."""

    tail_metavar = "[-- COMMAND...]"
    tail_hint = "a command stands behind a '--'"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before the `--`. Raises click.UsageError."""
        tail = None
        if _DASHES in args:
            place = args.index(_DASHES)
            args, tail = args[:place], tuple(map(str, args[place + 1 :]))
        try:
            rest = super().parse_args(ctx, args)
        except click.UsageError as error:
            message = error.format_message()
            if tail is not None or not (isinstance(error, click.NoSuchOption) or "unexpected extra" in message):
                raise
            raise click.UsageError(f"{message.rstrip('.')}: {self.tail_hint}", ctx) from None
        ctx.params["tail"] = tail
        return rest

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """The words of its usage."""
        return [*super().collect_usage_pieces(ctx), self.tail_metavar]


class WithDashes(click.Command):
    """A command whose arguments may begin with `-`, as `-5` does. What looks like a long option has to be one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words. Raises click.UsageError."""
        options = {name for param in self.params for name in param.opts}
        words = args[: args.index(_DASHES)] if _DASHES in args else args
        for word in words if not ctx.resilient_parsing else ():
            if type(word) is str and _LONG_OPTION.fullmatch(word) and word not in {*options, *ctx.help_option_names}:
                near = difflib.get_close_matches(word, options, 1)
                raise click.NoSuchOption(word, possibilities=near, ctx=ctx)
        return super().parse_args(ctx, args)


class Text(_TextType):
    """Text. Bytes that the locale cannot decode are read as UTF-8, or refused."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text. Raises click.BadParameter."""
        try:
            value.encode()
        except UnicodeEncodeError:  # Python keeps such bytes as halves of surrogate pairs
            try:
                return text_of(os.fsencode(value))
            except (NotText, UnicodeEncodeError) as error:
                self.fail(f"it holds {error}", param, ctx)
        return str(value)


TEXT: Final = Text()


class Value(Text):
    """Text, or '-' for all of standard input, which is UTF-8 whatever the locale. At the prompt '-' is itself."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text. Raises click.BadParameter, StreamError."""
        if value != _STANDARD_INPUT or (ctx is not None and at_prompt(ctx)):
            return super().convert(value, param, ctx)
        data = read_all()
        if len(data) > MOST_READ:
            self.fail(f"standard input is longer than {MOST_READ} bytes, which no node takes", param, ctx)
        try:
            return text_of(data)
        except NotText as error:
            self.fail(f"standard input holds {error}", param, ctx)


class Name(Text):
    """Text that names something in the cluster, which completes it."""

    def __init__(self, find: candidates.Find) -> None:
        self._find = find

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        """What there is that begins so."""
        try:
            begins = self.convert(incomplete, param, ctx)
        except click.BadParameter:
            return []
        return self._find(ctx, begins)


class Number(Whole):
    """A whole number that names something in the cluster, which completes it."""

    def __init__(self, find: candidates.Find, least: int) -> None:
        super().__init__(min=least)
        self._find = find

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem[str]]:
        """What there is that begins so."""
        return self._find(ctx, incomplete)


KEY: Final = Name(candidates.keys)
PREFIX: Final = Name(candidates.keys)
LOCK: Final = Name(candidates.locks)
NODE: Final = Number(candidates.nodes, 0)
"""A node's id."""
LEASE: Final = Number(candidates.leases, 1)
VALUE: Final = Value()
REVISION: Final = Whole(min=0)
NUMBER: Final = Whole(min=1)
"""A fence, or how many."""
SECONDS: Final = Seconds(0.0, 86_400.0)
TTL: Final = Seconds(1.0, 86_400.0)
TIME_LIMIT: Final = Seconds(0.001, 86_400.0)
"""In less than a millisecond nothing can be done."""
