"""The content of a key-value machine."""

from __future__ import annotations

from trioraft.kv.items import Item
from trioraft.machine import Machine
from trioraft.testing.stores import store_of


def contents_of(machine: Machine) -> list[tuple[str, Item]]:
    """All keys of a key-value machine, with their items, in order."""
    return store_of(machine).scan("", None, 10**9, 10**12)[0]
