"""The command for transactions: txn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

import click
import msgspec

from trioraft.client import Refused, Reply
from trioraft.wire.codec import DecodeError, decode
from trioraft_cli import render
from trioraft_cli.arguments import TEXT, WithTail
from trioraft_cli.asking import Asker, asks, write_options
from trioraft_cli.form import as_table
from trioraft_cli.notation import NotationError, cursor_in_line, of_words, words_of_line
from trioraft_cli.outcomes import NO
from trioraft_cli.streams import MOST_READ, say
from trioraft_cli.typed import Cursor, OwnWords, Typed, at_word, leading_options, split_sink
from trioraft_cli.words import has_ended

_GIVEN_BY: Final = {"lock": ("lock",), "fence": ("fence",), "once": ("client", "seq")}
"""The fields that an option gives a transaction."""


class _Txn(WithTail, OwnWords):
    tail_metavar = "-- OPERATION... [-- ELSE...]"
    tail_hint = "operations stand behind a '--'"

    def read(self, text: str) -> Typed:
        """Take apart the options, the transaction, and what its output goes into. Raises WordError, PromptError."""
        options, rest = leading_options(self, text, whole=True)
        rest, sink = split_sink(rest)
        return Typed([*options, *words_of_line(rest)], sink)

    def cursor(self, words: list[str], text: str) -> Cursor | None:
        """What stands before the cursor: an option, or the key of an operation or a check."""
        options, rest = leading_options(self, text, whole=False)
        return cursor_in_line(rest) if has_ended(rest) else at_word([*words, *options], rest)


@click.command(cls=_Txn)
@click.argument("checks", nargs=-1, type=TEXT, metavar="[CHECK]...")
@click.option(
    "--file",
    type=click.File("rb"),
    help="A transaction in JSON, as the protocol has it; '-' reads it from standard input.",
)
@click.option("--raw", is_flag=True, help="Strings without their quotes.")
@write_options
@asks
def txn(
    asker: Asker,
    checks: tuple[str, ...],
    file: BinaryIO | None,
    raw: bool,
    tail: tuple[str, ...] | None,
    **options: Any,
) -> int:
    """Do several operations at once, at one revision, if all the CHECKs hold; else the ELSE operations.

    \b
    A check:      'rev KEY = REVISION'   'value KEY = VALUE'   'exists KEY'   'missing KEY'
                  'lock NAME = FENCE'    'lease LEASE'
    An operation: get KEY, put KEY VALUE, delete KEY, incr KEY [BY]

    Each is one word in quotes, or several up to a comma that stands alone. What get and incr find is printed, a value a
    line. Where a check does not hold, the exit code is 1.

    \b
    Examples: trioraft txn 'rev a = 7' -- put a 1 -- get a
              trioraft txn 'missing b' 'exists a' -- put b 1 , incr n 5 -- get b , get a
              trioraft txn --file transfer.json --once
    """
    if file is not None:
        if checks or tail is not None:
            raise click.UsageError("a transaction is in the file, or in the words behind 'txn': choose")
        fields = _of_file(file, options)
    else:
        fields = _of_words(checks, tail or ())
    once = options.pop("once")
    with _naming_the_failed():
        reply = asker.ask("txn", {**options, **fields}, once=once)
    if not asker.as_json:
        _show(reply, render.show_raw if raw else render.show_value)
    return 0 if reply["succeeded"] else NO


@contextmanager
def _naming_the_failed() -> Iterator[None]:
    """A context in which a refusal says which operation cannot be done."""
    try:
        yield
    except Refused as refused:
        if place := refused.reply.raw("failed"):
            refused.message = f"operation {int(place) + 1} cannot be done: {refused.message}"
        raise


def _show(reply: Reply, show: Callable[[bytes], None]) -> None:
    """Print the values that a transaction has found, a line each, and for a person its revision."""
    is_forgotten = reply.raw("results") == b"null"
    for result in [] if is_forgotten else decode(reply.raw("results"), list[dict[str, msgspec.Raw]]):
        if "value" in result:
            show(bytes(result["value"]))
        elif "omitted" in result:
            say("a value is left out: the reply would be too long")
    if is_forgotten:
        say("it was applied when it was asked first; what it found is not remembered")
    if as_table() and reply["rev"]:
        print(f"revision {reply['rev']}")
    if not reply["succeeded"]:
        say("a check does not hold")


def _of_words(checks: tuple[str, ...], tail: tuple[str, ...]) -> dict[str, Any]:
    try:
        words = [TEXT.convert(word, None, None) for word in tail]
        return of_words(checks, words)
    except NotationError as error:
        raise click.UsageError(str(error)) from None


def _of_file(file: BinaryIO, options: dict[str, Any]) -> dict[str, Any]:
    """The fields of the transaction in the file. Raises click.UsageError, also where an option gives one of them."""
    try:
        fields = decode(file.read(MOST_READ + 1), dict[str, msgspec.Raw])
    except DecodeError as error:
        raise click.UsageError(f"{_name(file)} holds no transaction in JSON: {error}") from None
    op = bytes(fields.pop("op", b'"txn"'))
    if op != b'"txn"':
        raise click.UsageError(f"{_name(file)} holds no transaction: its 'op' is {op.decode()}")
    for option, names in _GIVEN_BY.items():
        if options[option] not in (None, False) and (both := [name for name in names if name in fields]):
            raise click.UsageError(f"{_name(file)} has '{both[0]}' already: leave it out, or --{option}")
    return dict(fields)


def _name(file: BinaryIO) -> str:
    return file.name if isinstance(file.name, str) and file.name != "<stdin>" else "standard input"


COMMANDS = (txn,)
