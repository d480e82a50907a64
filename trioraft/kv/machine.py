"""The key-value store as a state machine (`trioraft.machine.Machine`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from trioraft.kv.commands import Command, Expire
from trioraft.kv.items import Item
from trioraft.kv.leases import Leases
from trioraft.kv.queries import Answer, Page, Query
from trioraft.kv.results import Result
from trioraft.kv.store import Store
from trioraft.kv.view import StoreView

KEYS: Final = "keys"
"""The one section of its snapshots: a line for each key, in order."""
MAX_SCAN_BYTES: Final = 1024 * 1024
"""The most bytes of keys and values that one scan gives, unless one item alone has more."""
MAX_SCAN_ITEM_BYTES: Final = 6 * 1024
"""What an item of a scan counts for in an estimate: a key, a value that is copied, and the numbers."""

Decode = Callable[[Any], list[Command]]
DecodeOne = Callable[[bytes], Command]
EncodeItems = Callable[[Sequence[tuple[str, Item]]], bytes]
DecodeItems = Callable[[Sequence[bytes]], list[tuple[str, Item]]]


class KeyValueMachine:
    """A store, and the encodings that are given to it."""

    def __init__(
        self, decode: Decode, decode_one: DecodeOne, encode_items: EncodeItems, decode_items: DecodeItems
    ) -> None:
        """`decode` reads the commands of a run, `decode_one` a single one.

        `encode_items` and `decode_items` write and read lines of a snapshot. What they cannot read raises ValueError.
        """
        self.level = 1
        self.store = Store()
        self.leasing = StoreLeasing(self.store.leases)
        self.decode = decode
        self.decode_one = decode_one
        self._encode_items = encode_items
        self._decode_items = decode_items

    @property
    def sections(self) -> Mapping[str, int]:
        """How many keys there are."""
        return {KEYS: len(self.store)}

    def raise_level(self, level: int, index: int) -> None:  # noqa: ARG002
        """The cluster is at that level from the entry `index` on."""
        self.level = level

    def renounce(self, index: int) -> None:
        """Nothing here belongs to clients of the old cluster."""

    def apply(self, first: int, commands: Sequence[Command]) -> Mapping[int, Result]:
        """Apply the commands of the entries from index `first` on; the results of those that are not simply written."""
        return self.store.apply_all(first, commands)

    def read(self, query: Query) -> Answer:
        """The item of a key, or None where the key is missing; or the keys that a scan finds."""
        if isinstance(query, str):
            return self.store.get(query)
        items, more = self.store.scan(query.prefix, query.after, query.limit, MAX_SCAN_BYTES, query.keys_only)
        return Page(items, more, query.keys_only)

    def size_of(self, query: Query) -> int:
        """About how many bytes `read` would give."""
        if isinstance(query, str):
            return self.store.value_size(query)
        return min(MAX_SCAN_BYTES, query.limit * MAX_SCAN_ITEM_BYTES)

    def freeze(self) -> KeyValueView:
        """A view of all keys as they are now. Raises ValueError while another is open."""
        return KeyValueView(self.store.freeze(), self._encode_items)

    def load(self, section: str, lines: Sequence[bytes]) -> None:
        """Add keys from their lines in a snapshot. Raises ValueError."""
        if section != KEYS:
            raise ValueError(f"it holds {section!r}, which is of a newer version: upgrade this node")
        self.store.load(self._decode_items(lines))


class StoreLeasing:
    """The leases of a store, as whoever leads sees them (`trioraft.machine.Leasing`)."""

    def __init__(self, leases: Leases) -> None:
        self.ttls: Mapping[int, int] = leases.ttls
        self._leases = leases

    def keys_of(self, lease: int) -> int:
        """How many keys go with that lease, which lives."""
        found = self._leases.get(lease)
        return 0 if found is None else len(found.keys)

    def weight(self, lease: int) -> int:
        """How many keys and locks go with it."""
        found = self._leases.get(lease)
        return 0 if found is None else len(found.keys) + len(found.locks)

    def expiry(self, leases: Sequence[int]) -> Expire:
        """Make the command that ends these leases."""
        return Expire(list(leases))


class KeyValueView:
    """All keys as they were at one moment, as the lines of a snapshot."""

    def __init__(self, view: StoreView, encode_items: EncodeItems) -> None:
        self.sections: Mapping[str, int] = {KEYS: view.count}
        self._view = view
        self._encode_items = encode_items

    def slices(self, most_lines: int, enough_bytes: int) -> Iterator[tuple[bytes, int]]:
        """Yield lines and how many they are: at most `most_lines`, and no more once values reach `enough_bytes`."""
        while items := self._view.next(most_lines, enough_bytes):
            yield self._encode_items(items), len(items)

    def close(self) -> None:
        """Let the store go on without putting anything aside."""
        self._view.close()
