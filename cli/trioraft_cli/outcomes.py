"""How a command ends: every exit code of the command line, and what is said on standard error when it fails."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click

from trioraft.client import BadRequest, ClientError, NoNode, Refused, Unknown
from trioraft.client.relay import NO_NODE_CODE
from trioraft_cli.streams import StreamError, end_soon, flush, say
from trioraft_cli.words import quote

NO: Final = 1
"""The answer is no: a key that is missing, a conflict, a file that cannot be used, a simulation that failed."""
USAGE: Final = 2
NO_NODE: Final = 3
NOT_NOW: Final = 4
UNKNOWN: Final = 5
"""A write may or may not have been applied."""
INTERNAL: Final = 70
BROKEN: Final = 74
"""An input or output error, as the system's headers number it."""
INTERRUPTED: Final = 130
"""What a shell reports of a program that Ctrl-C has ended."""
NO_READER: Final = 141
"""What a shell reports of a program that was ended because nobody reads its output."""

NOT_WAITED_FOR: Final = "not waited for any more: what was asked may have been applied, or may still be"
GIVEN_UP: Final = "not waited for any more"
LONGEST_COMPLAINT: Final = 1000
"""In characters: what was given on the command line may be repeated in a message, and may be long."""

_APPLIED: Final = {"no": " It was not applied.", "unknown": " It may have been applied."}
_WORDS: Final = {"lease_grant": "'lease grant'", "'initial'": "--initial", "give wait_ms": "wait with --timeout"}
"""Words of the protocol in hints, and what is typed for them."""
_NO_CODES: Final = ("conflict", "fenced", "lease_expired")
"""The codes of answers that are no."""
_USAGE_CODES: Final = ("bad_json", "bad_request", "unknown_op", "too_deep", "line_too_long")
"""The codes of errors that the request itself is to blame for."""


class Failure(Exception):
    """The command ends with that exit code; what there is to say has been said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class LeftOpen(KeyboardInterrupt):
    """Ctrl-C that leaves a change open, of which that has been said."""


class NoSuchNode(click.UsageError):
    """An INDEX that a servers.txt does not have, and what the file has."""

    def __init__(self, message: str, listed: str) -> None:
        super().__init__(f"{message}:")
        self.listed = listed


def left_open() -> LeftOpen:
    """Say that a change is not waited for any more; what to raise then."""
    say(NOT_WAITED_FOR)
    return LeftOpen()


def conclude(command: Callable[[], object]) -> int:
    """Run a command, and write what is left of its output; the exit code.

    An output that fails only at the end fails all the same. A signal that ends the command decides the code, whatever
    else fails then.
    """
    try:
        return _flushed(_code_of(command))
    except SystemExit as told:
        end_soon()
        _flushed(0)
        return told.code if isinstance(told.code, int) else INTERNAL


def by_signal(number: int) -> int:
    """The exit code that a shell reports of a program which that signal has ended."""
    return 128 + number


def exit_code(error: ClientError) -> int:
    """The exit code of a command that failed so."""
    if isinstance(error, NoNode):
        return NO_NODE
    if isinstance(error, Unknown):
        return UNKNOWN
    if isinstance(error, BadRequest):
        return USAGE
    assert isinstance(error, Refused)
    if error.applied == "unknown":
        return UNKNOWN
    if error.code == NO_NODE_CODE:
        return NO_NODE
    if error.code in _NO_CODES:
        return NO
    if error.code in _USAGE_CODES:
        return USAGE
    return INTERNAL if error.code == "internal" else NOT_NOW


def complain(error: ClientError) -> int:
    """Say what happened and what to do; the exit code."""
    code = f"{error.code}: " if isinstance(error, Refused) else ""
    state = _APPLIED.get(error.applied or "", "")
    hint = f" ({_as_typed(error.hint)})" if error.hint else ""
    say(f"{code}{error.message}.{state}{hint}")
    return exit_code(error)


@contextmanager
def telling(about: str, message: str) -> Iterator[None]:
    """A context in which a refusal that mentions `about`, a field of the protocol, is told in these words instead."""
    try:
        yield
    except Refused as refused:
        if about in f"{refused.message} {refused.hint}":
            refused.message = message
        raise


def fail(code: int, message: str, hint: str) -> int:
    """Say what is wrong with a file or a disk, and what to do; the exit code, which is given."""
    say(f"{message} ({hint})")
    return code


def no_key(key: str, which: str = "") -> int:
    """Say that the key, or one that is like it in the way that `which` says, is missing; the exit code."""
    say(f"there is no key {which}{' ' if which else ''}{quote(key, sys.stderr.encoding)}")
    return NO


def _as_typed(hint: str) -> str:
    for word, typed in _WORDS.items():
        hint = hint.replace(word, typed)
    return hint


def code_of(command: Callable[[], object], complain_of_usage: Callable[[click.ClickException], int]) -> int:
    """Run a command, and say why it failed; its exit code. Raises StreamError, and what is no Exception."""
    try:
        code = command()
        return code if isinstance(code, int) else 0
    except Failure as failure:
        return failure.code
    except click.ClickException as error:
        return complain_of_usage(error)
    except click.Abort:
        raise KeyboardInterrupt from None
    except ClientError as error:
        return complain(error)
    except StreamError:
        raise
    except Exception as error:  # a bug of ours: a line says so, and no traceback
        say(f"internal error: {type(error).__name__}: {error}")
        return INTERNAL


def _code_of(command: Callable[[], object]) -> int:
    try:
        return code_of(command, _complain_of_usage)
    except KeyboardInterrupt:
        end_soon()
        return INTERRUPTED
    except StreamError as error:
        return _complain_of_stream(error)


def _flushed(code: int) -> int:
    try:
        flush()
    except StreamError as error:
        return _complain_of_stream(error)
    return code


def _complain_of_stream(error: StreamError) -> int:
    """Say why a stream failed; nothing of a reader that left with what it wanted."""
    if error.reader_left:
        return NO_READER
    say(error.message)
    return BROKEN


def _complain_of_usage(error: click.ClickException) -> int:
    context = error.ctx if isinstance(error, click.UsageError) else None
    message = error.format_message().replace("\n\t", " ")  # click lists the choices of a missing argument, one a line
    if context is not None and message == context.get_help():  # no command was given
        print(message, file=sys.stderr)
        return USAGE
    if context is not None:
        print(f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n", file=sys.stderr)
    say(message if len(message) <= LONGEST_COMPLAINT else f"{message[:LONGEST_COMPLAINT]}…")
    if isinstance(error, NoSuchNode):
        print(error.listed, file=sys.stderr)
    return USAGE
