"""The contract between a node and the state machine that it replicates (§2). The node knows no more than this.

Only commands in log order change a machine, in the same way on every node. Commands, queries, results and the lines of
snapshots are opaque to the node. The machine sees the bytes and the indexes of the entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from trioraft.raft.runs import Run


class MachineView(Protocol):
    """The state of a machine at one moment, which can be read in slices while more commands are applied."""

    @property
    def sections(self) -> Mapping[str, int]:
        """The number of lines of each section, in the order in which `slices` yields them."""

    def slices(self, most_lines: int, enough_bytes: int) -> Iterator[tuple[bytes, int]]:
        """Yield slices: lines with their newlines, and how many they are.

        A slice has at most `most_lines` lines, and ends with the line that reaches `enough_bytes`.
        """

    def close(self) -> None:
        """Release the view."""


class Leasing(Protocol):
    """What a machine with leases shows of them: the node that leads counts their time."""

    @property
    def ttls(self) -> Mapping[int, int]:
        """The leases that live, and of each how long it is to live, in ms; in the order in which they were granted.

        A lease is a number that only rises. The mapping shows the present state at all times.
        """

    def keys_of(self, lease: int) -> int:
        """How many keys go with that lease."""

    def weight(self, lease: int) -> int:
        """How many keys and locks go with that lease."""

    def expiry(self, leases: Sequence[int]) -> Any:
        """Make the command that ends these leases."""


class PlaceNews(Protocol):
    """What became of a place in the queue of a lock."""

    @property
    def entry(self) -> int:
        """The index of the entry that owns the place, or owned it."""

    @property
    def kind(self) -> str:
        """One of locked, superseded, lease_expired, given_up."""

    @property
    def fence(self) -> int:
        """The fence under which the lock is held, where it is locked."""


class Streams(Protocol):
    """The changes of a machine, for those who want to be told of them.

    A change has a position in the history. The history forgets the oldest changes. Interests are opaque to the node.
    """

    @property
    def begin(self) -> int:
        """The first position that can still be read."""

    @property
    def end(self) -> int:
        """The position that the next change will have."""

    @property
    def first_rev(self) -> int:
        """The least revision from which on every change is known, on every node alike."""

    def position_after(self, rev: int) -> int:
        """The position of the first change above that revision, which must not be below `first_rev`."""

    def rev_at(self, position: int) -> int:
        """The revision of the change at that position, which can still be read."""

    def __bool__(self) -> bool:
        """Whether anybody has entered."""

    def enter(self, interest: Any, who: Any) -> None:
        """Let `find` find `who`."""

    def leave(self, interest: Any, who: Any) -> None:
        """Let `find` find `who` no more."""

    def find(self, position: int) -> tuple[int, int, list[tuple[list[Any], bytes]]] | None:
        """The first change from that position on that anybody wants who has entered; None where there is none.

        Its position, its revision, and who is told what: the text of an event, without the part that names a request.
        """

    def read(self, interest: Any, position: int, most: int, room: int, upto: str | None) -> tuple[list[bytes], int]:
        """Events of interest from that position on, and the position at which to go on.

        They come out of some `most` changes, until they have `room` bytes. With `upto` only those of keys up to that
        one.
        """

    def page(self, interest: Any, after: str | None, most: int, room: int) -> tuple[list[bytes], str | None]:
        """The first keys of interest after that one, as they are now, as events: `most`, until they have `room` bytes.

        With the last of them; None where no key follows.
        """

    @property
    def news(self) -> list[Any]:
        """What became of places in the queues of locks (`PlaceNews`); whoever applies entries empties it."""

    def place(self, name: str, lease: int, entry: int) -> PlaceNews | None:
        """What has become of the place that this entry owned; None where it owns it still."""

    def giving_up(self, name: str, lease: int, entry: int) -> Any:
        """Make the command that gives up the place that this entry owns."""

    def look(self, interest: Any, at: int) -> bytes | None:
        """The state that is waited for, as the end of a reply, if it holds now, at that revision."""


class Machine(Protocol):
    """A state machine. It depends on nothing but its commands: no clock, no randomness, no I/O."""

    @property
    def level(self) -> int:
        """The level of the cluster, as of the commands applied so far."""

    def raise_level(self, level: int, index: int) -> None:
        """From the entry `index` on, the cluster is at that level; 0 where it begins so, or a snapshot says it."""

    def renounce(self, index: int) -> None:
        """Let go of all that belongs to clients of the old cluster, as this state begins a new one at that index."""

    @property
    def sections(self) -> Mapping[str, int]:
        """The number of lines that each section of a snapshot taken now would have."""

    @property
    def leasing(self) -> Leasing | None:
        """Its leases; None for a machine that knows none."""

    @property
    def streams(self) -> Streams | None:
        """Its changes, for those who want to be told of them; None where it tells nobody."""

    def decode(self, run: Run) -> Sequence[Any]:
        """Read the commands of a run of entries; none for a run of another kind.

        Raises ValueError for a command that this version does not know: the node has to be upgraded.
        """

    def decode_one(self, payload: bytes) -> Any:
        """Read one command. Raises ValueError as `decode` does."""

    def apply(self, first: int, commands: Sequence[Any]) -> Mapping[int, Any]:
        """Apply the commands of the entries from index `first` on, and return their results by index.

        A command that is simply written at its own index has no result: mostly these are all of them.
        """

    def read(self, query: Any) -> Any:
        """Answer the query from the commands applied so far; this changes nothing."""

    def size_of(self, query: Any) -> int:
        """About how many bytes the answer to the query would have."""

    def freeze(self) -> MachineView:
        """Make a view of the present state; there is at most one view at a time."""

    def load(self, section: str, lines: Sequence[bytes]) -> None:
        """Add lines of a snapshot, without their newlines, in the order in which a view yielded them.

        Raises ValueError for lines that are damaged, or of a newer version.
        """


_UNCOUNTED: Final = frozenset(("cluster", "settings", "history"))
"""Sections that people are not told of: how many lines they have means nothing to them."""


def counted(sections: Mapping[str, int]) -> dict[str, int]:
    """The sections that hold any number of things, and how many."""
    return {name: count for name, count in sections.items() if name not in _UNCOUNTED}


def contents(sections: Mapping[str, int]) -> str:
    """Describe the content of a machine or a snapshot for people: "3 keys"."""
    all = counted(sections)
    some = {name: count for name, count in all.items() if count} or all
    return " and ".join(f"{count} {name.removesuffix('s') if count == 1 else name}" for name, count in some.items())
