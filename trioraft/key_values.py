"""The key-value store that a node replicates: the machine with the encodings of its commands, results and snapshots."""

from __future__ import annotations

from trioraft.kv.machine import KeyValueMachine
from trioraft.replica.replicated import Replicated
from trioraft.wire.commands import commands_of, decode_command
from trioraft.wire.items import decode_items, encode_items
from trioraft.wire.results import decode_outcome, encode_outcome


def key_value_machine() -> Replicated:
    """Make an empty key-value store, for a cluster at level 1."""
    machine = KeyValueMachine(commands_of, decode_command, encode_items, decode_items)
    return Replicated(machine, encode_outcome, decode_outcome)
