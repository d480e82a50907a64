"""The contract between a node and what it replicates: a state machine (§2), of which the node knows no more than this.

A machine is changed by nothing but commands in log order, on every node alike. To a node, its commands, its queries and
their results are opaque, and so are the lines of its snapshots. A machine sees the entries' bytes and indexes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from trioraft.raft.runs import Run


class MachineView(Protocol):
    """All that a machine held at one moment, to be read in slices while commands go on being applied."""

    @property
    def sections(self) -> Mapping[str, int]:
        """The number of lines of each section, in the order in which `slices` yields them."""

    def slices(self, most_lines: int, enough_bytes: int) -> Iterator[tuple[bytes, int]]:
        """Yields lines, each with its newline, and how many they are: no slice goes on once it has `enough_bytes`."""

    def close(self) -> None:
        """Let go of it."""


class Machine(Protocol):
    """A state machine. It depends on nothing but its commands: no clock, no randomness, no I/O."""

    @property
    def sections(self) -> Mapping[str, int]:
        """The number of lines that each section of a snapshot would have now."""

    def decode(self, run: Run) -> Sequence[Any]:
        """The commands that the entries of the run carry; none where they are of another kind.

        Raises ValueError where this version does not know a command: the node has to be upgraded.
        """

    def apply(self, first: int, commands: Sequence[Any]) -> Mapping[int, Any]:
        """Apply the commands of the entries from index `first` on, and give their results by index.

        Left out are the commands that are simply written at their own index: mostly that is all of them.
        """

    def read(self, query: Any) -> Any:
        """What the machine answers to that query, as of the commands that were applied; it changes nothing."""

    def size_of(self, query: Any) -> int:
        """About how many bytes the answer would have."""

    def freeze(self) -> MachineView:
        """A view of what it holds now; there is one at a time."""

    def load(self, section: str, lines: Sequence[bytes]) -> None:
        """Add lines of a snapshot, without their newlines, in the order in which a view yielded them.

        Raises ValueError where they are damaged, or of a newer version.
        """


def contents(sections: Mapping[str, int]) -> str:
    """What a machine or a snapshot holds, for people: 3 keys."""
    return " and ".join(f"{count} {name.removesuffix('s') if count == 1 else name}" for name, count in sections.items())
