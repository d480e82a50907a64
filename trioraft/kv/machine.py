"""The key-value store as a state machine (`trioraft.machine.Machine`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from trioraft.kv.bounds import MAX_INTEGER
from trioraft.kv.commands import Command, Expire
from trioraft.kv.leases import Leases
from trioraft.kv.queries import Answer, LockItem, LockPage, LocksQuery, Page, Query
from trioraft.kv.results import Result
from trioraft.kv.sections import KEYS, Codings, Section, View, sections_of
from trioraft.kv.store import Store
from trioraft.kv.streams import Events, KeyStreams
from trioraft.kv.transactions import Txn

MAX_SCAN_BYTES: Final = 1024 * 1024
"""The most bytes of keys and values that one scan gives, unless one item alone has more."""
MAX_SCAN_ITEM_BYTES: Final = 6 * 1024
"""What an item of a scan counts for in an estimate: a key, a value that is copied, and the numbers."""

Decode = Callable[[Any], list[Command]]
DecodeOne = Callable[[bytes], Command]


class KeyValueMachine:
    """A store, and the encodings that are given to it."""

    def __init__(self, decode: Decode, decode_one: DecodeOne, codings: Codings, events: Events) -> None:
        """`decode` reads the commands of a run, `decode_one` a single one; `codings` are for snapshots, and
        `events` makes the text of events.

        What they cannot read raises ValueError.
        """
        self.level = 1
        self.store = Store()
        self.leasing = StoreLeasing(self.store.leases)
        self.streams = KeyStreams(self.store, events)
        self.decode = decode
        self.decode_one = decode_one
        self._all_sections = sections_of(self.store, codings)

    @property
    def _sections(self) -> Mapping[str, Section]:
        """The sections of a snapshot taken now."""
        return self._all_sections if self.level > 1 else {KEYS: self._all_sections[KEYS]}

    @property
    def sections(self) -> Mapping[str, int]:
        """How many lines each section of a snapshot taken now has."""
        return {name: section.count() for name, section in self._sections.items()}

    def raise_level(self, level: int, index: int) -> None:
        """The cluster is at that level from the entry `index` on, and the history begins there."""
        self.level = level
        self.store.history.begin(index)

    def renounce(self, index: int) -> None:
        """End all leases, with their keys and locks, and the history: a new cluster begins at that index."""
        self.store.end(list(self.store.leases), index)
        self.store.locks.news.clear()
        self.store.history.begin(index)

    def apply(self, first: int, commands: Sequence[Command]) -> Mapping[int, Result]:
        """Apply the commands of the entries from index `first` on; the results of those that are not simply written."""
        return self.store.apply_all(first, commands)

    def read(self, query: Query) -> Answer:
        """The item of a key, or None where the key is missing; or what a scan or a transaction that reads finds."""
        if isinstance(query, str):
            return self.store.get(query)
        if isinstance(query, Txn):
            return query.apply(self.store, 0)
        if isinstance(query, LocksQuery):
            locks, more = self.store.locks.page(query.after, query.limit, MAX_SCAN_BYTES)
            return LockPage([LockItem(name, one.lease, one.fence, len(one.queue)) for name, one in locks], more)
        items, more = self.store.scan(query.prefix, query.after, query.limit, MAX_SCAN_BYTES, query.keys_only)
        return Page(items, more, query.keys_only)

    def size_of(self, query: Query) -> int:
        """About how many bytes `read` would give."""
        if isinstance(query, str):
            return self.store.value_size(query)
        if isinstance(query, Txn):
            return sum(self.store.value_size(operation.key) for operation in (*query.then, *query.otherwise))
        return min(MAX_SCAN_BYTES, query.limit * MAX_SCAN_ITEM_BYTES)

    def freeze(self) -> View:
        """A view of the whole state as it is now. Raises ValueError while another is open."""
        return View(self._sections)

    def load(self, section: str, lines: Sequence[bytes]) -> None:
        """Add lines of a section of a snapshot. Raises ValueError."""
        if section not in self._sections:
            raise ValueError(f"it holds {section!r}, which is of a newer version: upgrade this node")
        if self.level == 1:  # the removals before the snapshot are known to nobody
            self.store.history.begin(MAX_INTEGER)
        part = self._sections[section]
        try:
            part.load(part.coding.decode(lines))
        except KeyError as error:
            raise ValueError(f"it names lease {error}, and does not hold it") from None


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
