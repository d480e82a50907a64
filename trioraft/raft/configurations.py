"""The configurations that the log holds: the newest is in force, committed or not (thesis §4.1)."""

from __future__ import annotations

from trioraft.raft.membership import Configuration
from trioraft.raft.messages import NodeId


class Configurations:
    """Each with the index of the entry that carries it; the first, which none carries, has index 0."""

    def __init__(self, index: int, configuration: Configuration) -> None:
        """That of the snapshot, or of the formation."""
        self._history = [(index, configuration)]

    @property
    def current(self) -> Configuration:
        """The one in force."""
        return self._history[-1][1]

    @property
    def index(self) -> int:
        """The index of the one in force."""
        return self._history[-1][0]

    def at(self, index: int) -> tuple[int, Configuration]:
        """The one that was in force at that index, and its own index."""
        return next(found for found in reversed(self._history) if found[0] <= index)

    def append(self, index: int, configuration: Configuration) -> None:
        """An entry with a configuration was appended: from now on it is in force."""
        self._history.append((index, configuration))

    def truncate_from(self, index: int) -> None:
        """The log was cut there: what stood before is in force again."""
        while self.index >= index:
            self._history.pop()

    def compact(self, index: int) -> None:
        """Forget what was in force before that index."""
        while len(self._history) > 1 and self._history[1][0] <= index:
            del self._history[0]

    def replace(self, index: int, configuration: Configuration) -> None:
        """A snapshot brings this one; those that stand in the log after it remain."""
        self._history = [(index, configuration), *(later for later in self._history if later[0] > index)]

    def may_campaign(self, node: NodeId, commit_index: int) -> bool:
        """Whether the node may stand for leader: a voter, or one whose removal is not committed (thesis §4.2.2)."""
        return node in self.current.voters or node in self.at(commit_index)[1].voters
