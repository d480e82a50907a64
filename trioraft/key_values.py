"""The key-value store that a node replicates: the machine with the encodings of its commands and snapshots."""

from __future__ import annotations

from trioraft.kv.machine import KeyValueMachine
from trioraft.wire.commands import commands_of
from trioraft.wire.items import decode_items, encode_items


def key_value_machine() -> KeyValueMachine:
    """Make an empty key-value store."""
    return KeyValueMachine(commands_of, encode_items, decode_items)
