"""What only a node has that stands for leader: whom it asked, and who granted its vote (§5.2, thesis §9.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from trioraft.raft import quorum
from trioraft.raft.messages import NodeId


class Campaign:
    """One poll of the voters: whether they would elect this node (a pre-vote), or the election itself."""

    def __init__(self, role: Literal["pre-candidate", "candidate"]) -> None:
        """Begin with no votes. A pre-candidate may count its own at once; a candidate only when it is synced."""
        self.role: Literal["pre-candidate", "candidate"] = role
        self._votes: dict[NodeId, bool] = {}

    @property
    def votes(self) -> list[NodeId]:
        """The nodes that granted their votes, in order."""
        return sorted(voter for voter, granted in self._votes.items() if granted)

    def count(self, voter: NodeId, granted: bool) -> None:
        """Note an answer. A granted vote stays: a refusal that comes later answers an older question."""
        self._votes[voter] = granted or self._votes.get(voter, False)

    def is_won(self, voters: Sequence[NodeId]) -> bool:
        """Whether a majority of these voters granted their votes."""
        return quorum.won(voters, self._votes)
