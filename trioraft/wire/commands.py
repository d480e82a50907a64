"""The encoding of commands in the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from trioraft.kv.commands import Command
from trioraft.raft.runs import Run
from trioraft.wire.codec import DecodeError, Decoder, encode, encode_all


class UnknownCommand(ValueError):
    """A command that this program does not know: the node has to be upgraded."""


class _Line(msgspec.Struct, gc=False):
    """The one field of an entry's line that matters when the entry is applied."""

    command: Command


_decoder: Final = Decoder(Command)
_lines: Final = Decoder(_Line)


def encode_commands(commands: Sequence[msgspec.Struct]) -> list[bytes]:
    """Encode commands for the log's entries; their values stay byte for byte."""
    # A single command may be long: encode it alone, so that splitting the lines does not copy it.
    return [encode(commands[0])] if len(commands) == 1 else encode_all(commands)


def commands_of(run: Run) -> list[Command]:
    """Read the commands of a run of entries; none for a run of another kind. Raises UnknownCommand."""
    if run.kind != "command":
        return []
    try:
        lines: list[_Line] = _lines.decode_lines(run.data)
        if len(lines) == run.count:
            return [line.command for line in lines]
        why = "it is not one object a line"
    except DecodeError as error:
        why = str(error)
    if run.count > 1:  # read them one by one, so that the error names the entry
        return [command for index in range(run.first, run.last + 1) for command in commands_of(run.cut(index, index))]
    raise UnknownCommand(f"entry {run.first} comes from a newer version, upgrade this node: {why}")


def decode_command(payload: bytes) -> Command:
    """Read a command from the log. Raises UnknownCommand."""
    try:
        command: Command = _decoder.decode(payload)
    except DecodeError as error:
        raise UnknownCommand(f"a command comes from a newer version, upgrade this node: {error}") from None
    return command
