"""Commands as the log carries them."""

from __future__ import annotations

from typing import Final

from trioraft.kv.commands import Command
from trioraft.wire.codec import DecodeError, Decoder, encode


class UnknownCommand(ValueError):
    """A command that this program does not know: the node has to be upgraded."""


_decoder: Final = Decoder(Command)


def encode_command(command: Command) -> bytes:
    """The command as the log's entries carry it; its value byte for byte."""
    return encode(command)


def decode_command(payload: bytes) -> Command:
    """Read a command from the log. Raises UnknownCommand."""
    try:
        command: Command = _decoder.decode(payload)
    except DecodeError as error:
        raise UnknownCommand(f"a command comes from a newer version, upgrade this node: {error}") from None
    return command
