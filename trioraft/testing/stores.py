"""The key-value stores of simulated nodes: access to their content, and a check against the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from zlib import crc32

from trioraft.key_values import key_value_machine
from trioraft.kv.invariants import KnownHistory, digest
from trioraft.kv.machine import KeyValueMachine
from trioraft.kv.store import Store
from trioraft.machine import Machine
from trioraft.raft.invariants import Violation
from trioraft.raft.log import Log
from trioraft.replica.replicated import Replicated
from trioraft.testing.store_model import StoreModel

HISTORY_CHANGES: Final = 100
"""How many changes the history of a simulated node holds: few, so that some are cut in every run,"""
HISTORY_BYTES: Final = 16 * 1024
"""and how many bytes."""


def store_of(machine: Machine) -> Store:
    """The store of a key-value machine."""
    assert isinstance(machine, Replicated)
    assert isinstance(machine.machine, KeyValueMachine)
    return machine.machine.store


def digest_of(machine: Machine, index: int, known: KnownHistory) -> int:
    """A checksum of all that a key-value machine replicates, as of that index. Raises BrokenStore."""
    checksum = digest(store_of(machine), index, known if machine.level > 1 else None)
    assert isinstance(machine, Replicated)
    for line in machine.sessions.lines():
        checksum = crc32(line, checksum)
    return checksum + machine.level


def empty_model() -> StoreModel:
    """A model of a simulated node's store before the first entry."""
    return StoreModel(HISTORY_CHANGES, HISTORY_BYTES)


def checked_machine(log: Callable[[], Log]) -> Replicated:
    """Make an empty key-value store which checks that it applies exactly the commands in the log.

    Its `apply` raises Violation where they differ.
    """
    machine = key_value_machine()
    store_of(machine).history.bound(HISTORY_CHANGES, HISTORY_BYTES)
    apply = machine.apply

    def checked(first: int, commands: Sequence[Any]) -> Mapping[int, Any]:
        entries = log().slice(first, first + len(commands) - 1)
        carried = [command for run in entries.runs for command in machine.decode(run)]
        if carried != list(commands):
            raise Violation(
                f"State Machine Safety: {commands} are applied from index {first} on; the log has {carried}"
            )
        return apply(first, commands)

    machine.apply = checked  # type: ignore[method-assign]
    return machine
