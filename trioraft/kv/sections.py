"""The state in parts, each of which is a section of a snapshot: how much it holds, and how it is frozen and loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from trioraft.kv.history import Gone, Settings
from trioraft.kv.items import Item
from trioraft.kv.locks import Lock
from trioraft.kv.store import Store

KEYS: Final = "keys"
"""The section with a line for each key, in order: at level 1 the only one."""
_LINE: Final = 64
"""What a record that holds no value counts for, in bytes."""

T = TypeVar("T")


class Coding(msgspec.Struct, Generic[T], frozen=True):
    """How the lines of a section are written and read."""

    encode: Callable[[Sequence[T]], bytes]
    """Gives a line with its newline for each record."""
    decode: Callable[[Sequence[bytes]], Sequence[T]]
    """Reads lines without their newlines. Raises ValueError."""


class Codings(msgspec.Struct, frozen=True):
    """How the lines of each section are written and read."""

    settings: Coding[Settings]
    leases: Coding[tuple[int, int]]
    keys: Coding[tuple[str, Item]]
    locks: Coding[tuple[str, Lock]]
    history: Coding[tuple[str, Item | Gone]]


class Records(Protocol):
    """The records of a section as they were at one moment."""

    @property
    def count(self) -> int:
        """How many there are."""

    def next(self, limit: int, enough_bytes: float) -> Sequence[Any]:
        """The next ones: at most `limit`, and no more once they reach `enough_bytes`. Empty once all were given."""

    def close(self) -> None:
        """Release them."""


class _Listed(Generic[T]):
    """Records that are in a list already."""

    def __init__(self, records: Sequence[T], size: Callable[[T], int] = lambda _: _LINE) -> None:
        self.count = len(records)
        self._records = records
        self._size = size
        self._given = 0

    def next(self, limit: int, enough_bytes: float) -> Sequence[T]:
        size, end = 0.0, self._given
        while end < min(self.count, self._given + limit) and size < enough_bytes:
            size += self._size(self._records[end])
            end += 1
        given = self._records[self._given : end]
        self._given = end
        return given

    def close(self) -> None:
        """Release the records."""
        self._records = ()


class Section(msgspec.Struct, frozen=True):
    """A part of the state."""

    coding: Coding[Any]
    count: Callable[[], int]
    freeze: Callable[[], Records]
    load: Callable[[Sequence[Any]], None]


def sections_of(store: Store, codings: Codings) -> dict[str, Section]:
    """The parts of the state, in the order in which they are loaded: leases before what names them."""
    leases, locks, history = store.leases, store.locks, store.history
    return {
        "settings": Section(codings.settings, lambda: 1, lambda: _Listed([history.settings]), history.restore),
        "leases": Section(codings.leases, lambda: len(leases), lambda: _Listed(leases.freeze()), leases.load),
        KEYS: Section(codings.keys, lambda: len(store), store.freeze, store.load),
        "locks": Section(
            codings.locks,
            lambda: len(locks),
            lambda: _Listed(locks.freeze(), lambda named: _LINE * (1 + len(named[1].queue))),
            locks.load,
        ),
        "history": Section(
            codings.history,
            lambda: history.end - history.first,
            history.freeze,
            store.load_history,
        ),
    }


class View:
    """Sections as they were at one moment, as the lines of a snapshot."""

    def __init__(self, sections: Mapping[str, Section]) -> None:
        """Freeze these sections. Raises ValueError while another view is open."""
        self._frozen = {name: (section.coding, section.freeze()) for name, section in sections.items()}
        self.sections: Mapping[str, int] = {name: records.count for name, (_, records) in self._frozen.items()}

    def slices(self, most_lines: int, enough_bytes: int) -> Iterator[tuple[bytes, int]]:
        """Yield lines and how many they are: at most `most_lines`, and no more once values reach `enough_bytes`."""
        for coding, records in self._frozen.values():
            while some := records.next(most_lines, enough_bytes):
                yield coding.encode(some), len(some)

    def close(self) -> None:
        """Let the state go on without putting anything aside."""
        for _, records in self._frozen.values():
            records.close()
