"""The key-value store that a node replicates: the machine with the encodings of its commands, results and snapshots."""

from __future__ import annotations

from typing import Final

from trioraft.kv.machine import KeyValueMachine
from trioraft.kv.sections import Coding, Codings
from trioraft.replica.replicated import Replicated
from trioraft.wire import events, items
from trioraft.wire.commands import commands_of, decode_command
from trioraft.wire.results import decode_outcome, encode_outcome

_CODINGS: Final = Codings(
    settings=Coding(items.encode_settings, items.decode_settings),
    leases=Coding(items.encode_leases, items.decode_leases),
    keys=Coding(items.encode_items, items.decode_items),
    locks=Coding(items.encode_locks, items.decode_locks),
    history=Coding(items.encode_changes, items.decode_changes),
)


def key_value_machine() -> Replicated:
    """Make an empty key-value store, for a cluster at level 1."""
    machine = KeyValueMachine(commands_of, decode_command, _CODINGS, events)
    return Replicated(machine, encode_outcome, decode_outcome)
