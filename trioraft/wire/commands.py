"""Commands as the log carries them."""

from __future__ import annotations

from typing import Final

import msgspec

from trioraft.kv.commands import Command
from trioraft.raft.messages import Entry
from trioraft.wire.codec import DecodeError, Decoder, encode


class UnknownCommand(ValueError):
    """A command that this program does not know: the node has to be upgraded."""


class _Line(msgspec.Struct, gc=False):
    """Of an entry's line what is of interest when it is applied."""

    command: Command


_decoder: Final = Decoder(Command)
_lines: Final = Decoder(_Line)


def encode_command(command: Command) -> bytes:
    """The command as the log's entries carry it; its value byte for byte."""
    return encode(command)


def command_of(entry: Entry) -> Command:
    """What an entry of the kind "command" carries. Raises UnknownCommand."""
    try:
        line: _Line = _lines.decode(entry.line)
    except DecodeError as error:
        raise UnknownCommand(f"entry {entry.index} comes from a newer version, upgrade this node: {error}") from None
    return line.command


def decode_command(payload: bytes) -> Command:
    """Read a command from the log. Raises UnknownCommand."""
    try:
        command: Command = _decoder.decode(payload)
    except DecodeError as error:
        raise UnknownCommand(f"a command comes from a newer version, upgrade this node: {error}") from None
    return command
