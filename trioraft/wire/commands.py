"""Commands as the log carries them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from trioraft.kv.commands import Command
from trioraft.raft.messages import Entry
from trioraft.wire.codec import DecodeError, Decoder, encode_all


class UnknownCommand(ValueError):
    """A command that this program does not know: the node has to be upgraded."""


class _Line(msgspec.Struct, gc=False):
    """Of an entry's line what is of interest when it is applied."""

    command: Command


_decoder: Final = Decoder(Command)
_lines: Final = Decoder(_Line)


def encode_commands(commands: Sequence[Command]) -> list[bytes]:
    """The commands as the log's entries carry them; their values byte for byte."""
    return encode_all(commands)


def commands_of(entries: Sequence[Entry]) -> list[tuple[int, Command]]:
    """What those among the entries that are of the kind "command" carry, and their indexes. Raises UnknownCommand."""
    entries = [entry for entry in entries if entry.kind == "command"]
    try:
        lines: list[_Line] = _lines.decode_all([entry.line for entry in entries])
    except DecodeError as error:
        if len(entries) > 1:
            return [command for entry in entries for command in commands_of([entry])]  # to say which one it is
        why = f"entry {entries[0].index} comes from a newer version, upgrade this node: {error}"
        raise UnknownCommand(why) from None
    return [(entry.index, line.command) for entry, line in zip(entries, lines, strict=True)]


def decode_command(payload: bytes) -> Command:
    """Read a command from the log. Raises UnknownCommand."""
    try:
        command: Command = _decoder.decode(payload)
    except DecodeError as error:
        raise UnknownCommand(f"a command comes from a newer version, upgrade this node: {error}") from None
    return command
