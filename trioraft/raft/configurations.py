"""The configurations in the log: the newest is in force, committed or not (thesis §4.1)."""

from __future__ import annotations

from trioraft.raft.membership import Configuration
from trioraft.raft.messages import NodeId


class Configurations:
    """Each configuration with the index of its entry; that of the formation has no entry, and index 0."""

    def __init__(self, index: int, configuration: Configuration) -> None:
        """Begin with the snapshot's configuration, or the formation's."""
        self._history = [(index, configuration)]

    @property
    def current(self) -> Configuration:
        """The configuration in force."""
        return self._history[-1][1]

    @property
    def index(self) -> int:
        """The index of the configuration in force."""
        return self._history[-1][0]

    def at(self, index: int) -> tuple[int, Configuration]:
        """The own index of the configuration in force at `index`, and the configuration."""
        return next(found for found in reversed(self._history) if found[0] <= index)

    def append(self, index: int, configuration: Configuration) -> None:
        """Put a configuration in force: its entry was appended."""
        self._history.append((index, configuration))

    def truncate_from(self, index: int) -> None:
        """Put the configuration before `index` in force again: the log was truncated there."""
        while self.index >= index:
            self._history.pop()

    def compact(self, index: int) -> None:
        """Forget the configurations that were superseded by `index`."""
        while len(self._history) > 1 and self._history[1][0] <= index:
            del self._history[0]

    def replace(self, index: int, configuration: Configuration) -> None:
        """Begin anew with a snapshot's configuration; those after it in the log remain."""
        self._history = [(index, configuration), *(later for later in self._history if later[0] > index)]

    def may_campaign(self, node: NodeId, commit_index: int) -> bool:
        """Whether the node may stand: as a voter, or while its removal is not committed (thesis §4.2.2)."""
        return node in self.current.voters or node in self.at(commit_index)[1].voters
