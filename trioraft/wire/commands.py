"""Commands as the log carries them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from trioraft.kv.commands import Command
from trioraft.raft.messages import Entry
from trioraft.raft.runs import Entries, Run
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


def commands_of(entries: Iterable[Entry]) -> list[tuple[int, Command]]:
    """What those among the entries that are of the kind "command" carry, and their indexes. Raises UnknownCommand."""
    found: list[tuple[int, Command]] = []
    for run in Entries.of(entries).runs:
        if run.kind == "command":
            found += zip(range(run.first, run.last + 1), [line.command for line in _read(run)], strict=True)
    return found


def _read(run: Run) -> list[_Line]:
    try:
        lines: list[_Line] = _lines.decode_lines(run.data)
        if len(lines) == run.count:
            return lines
        why = "it is not one object a line"
    except DecodeError as error:
        why = str(error)
    if run.count > 1:  # to say which one it is
        return [line for index in range(run.first, run.last + 1) for line in _read(run.cut(index, index))]
    raise UnknownCommand(f"entry {run.first} comes from a newer version, upgrade this node: {why}")


def decode_command(payload: bytes) -> Command:
    """Read a command from the log. Raises UnknownCommand."""
    try:
        command: Command = _decoder.decode(payload)
    except DecodeError as error:
        raise UnknownCommand(f"a command comes from a newer version, upgrade this node: {error}") from None
    return command
