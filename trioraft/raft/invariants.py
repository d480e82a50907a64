"""Raft's properties as code: what must hold after every event (Figure 3, and what it rests on).

`Invariants` sees all nodes at once, as only a test can. It is told of every event, and compares the nodes with each
other and with their own past. The first broken property is raised as a Violation, by its name.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

from trioraft.raft import quorum
from trioraft.raft.core import Core
from trioraft.raft.membership import Configuration
from trioraft.raft.messages import (
    AppendEntriesReply,
    Entry,
    HardState,
    Message,
    NodeId,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from trioraft.raft.ready import Batch
from trioraft.raft.runs import Run


class Violation(AssertionError):
    """Raised where a property does not hold; the text begins with its name."""


class _Watched:
    """One node's past, and the content of its disk."""

    def __init__(self) -> None:
        self.hard_state = HardState()
        self.disk: list[Entry] = []
        self.configuration = Configuration((), 0)
        self.batch: Batch | None = None
        """The batch that is being written: a crash may leave any beginning of it."""
        self.seen = HardState()
        self.commit_index = 0
        self.log: list[Entry] = []
        self.newest: Run | None = None
        """The last run of its log when the log was compared last."""
        self.snapshot = 0
        """The end of its newest known snapshot."""
        self.leads = 0
        """The term that it leads; 0 where it leads none."""
        self.match_index: dict[NodeId, int] = {}

    def holds(self, entry: Entry, term: int) -> bool:
        """Whether its disk holds that entry, or held it when the node acknowledged it in that term.

        A node that has moved on to a higher term may have truncated it since, for a leader elected without it.
        """
        synced = len(self.disk) >= entry.index and self.disk[entry.index - 1] == entry
        return synced or self.hard_state.term > term


class Invariants:
    """The observer of one cluster."""

    def __init__(self) -> None:
        self.committed: list[Entry] = []
        """The entries that any leader has committed, by index."""
        self.leaders: dict[int, NodeId] = {}
        """The leader of each term."""
        self.truncations = 0
        """The number of truncated logs; without any, a simulation has not tried much."""
        self.installations = 0
        """The number of snapshots installed from a leader."""
        self._committed_in: list[int] = []
        """The term in which each of `committed` was; terms never fall."""
        self._nodes: defaultdict[NodeId, _Watched] = defaultdict(_Watched)
        self._votes: dict[tuple[int, NodeId], NodeId] = {}
        self._consents: set[tuple[int, NodeId, NodeId]] = set()
        """(term, candidate, voter): pre-votes granted."""
        self._urged: set[tuple[int, NodeId]] = set()
        """(term, candidate): nodes that the leader of the term before has asked to stand."""
        self._lines: dict[tuple[int, int], tuple[bytes, int]] = {}
        """The line of each (index, term), and the term of the entry before it."""
        self._starts: dict[int, list[Entry]] = {}
        """The log of each term's leader at its election."""

    # Events

    def started(self, core: Core) -> None:
        """A node starts from its disk: all that it ever synced must be there."""
        node = self._nodes[core.node]
        log = self._log_of(core)
        snapshot = core.snapshot.index
        _hold(node.snapshot <= snapshot, "Durability", f"node {core.node} has lost its snapshot up to {node.snapshot}")
        _hold(core.log.base_index <= snapshot, "No gap", f"node {core.node}: log from {core.log.base_index}")
        node.snapshot = snapshot
        _hold(
            any(log == possible for possible in self._recoverable(node)),
            "Durability",
            f"node {core.node} comes back with a log that ends at {len(log)}, and had synced {len(node.disk)} entries",
        )
        states = [node.hard_state] + ([node.batch.hard_state] if node.batch else [])
        _hold(core.hard_state in states, "Durability", f"node {core.node} comes back with {core.hard_state}")
        node.hard_state = node.seen = core.hard_state
        node.disk, node.log, node.batch = log, list(log), None
        node.commit_index, node.leads = core.commit_index, 0
        self.observe(core)

    def installed(self, core: Core) -> None:
        """A node goes on from a leader's snapshot, which its disk holds."""
        node = self._nodes[core.node]
        index = core.snapshot.index
        known = index <= len(self.committed) and self.committed[index - 1].term == core.snapshot.term
        _hold(known, "State Machine Safety", f"node {core.node} installs {core.snapshot}, which nobody has committed")
        self.installations += 1
        node.snapshot = index
        node.disk = self._superseded(node.disk, index)
        node.log = self._superseded(node.log, index)
        node.commit_index = core.commit_index
        self.observe(core)

    def writing(self, node: NodeId, batch: Batch) -> None:
        """A node begins to write a batch."""
        self._nodes[node].batch = batch

    def written(self, node: NodeId) -> None:
        """The batch being written is synced."""
        watched = self._nodes[node]
        batch = watched.batch
        assert batch is not None
        watched.batch = None
        old, new = watched.hard_state, batch.hard_state
        _hold(new.term >= old.term, "Term", f"node {node} writes term {new.term} over {old.term}")
        _hold(
            new.term > old.term or old.voted_for in (None, new.voted_for),
            "One vote a term",
            f"node {node} has synced {old} and now {new}",
        )
        watched.hard_state = new
        watched.disk = self._after(watched, batch, len(batch.entries))

    def said(self, sender: NodeId, receiver: NodeId, message: Message) -> None:
        """A message leaves its sender: what it promises must be on the sender's disk."""
        node = self._nodes[sender]
        if isinstance(message, AppendEntriesReply):
            _hold(node.hard_state.term >= message.term, "Sync before answer", f"node {sender}: {message}")
            if message.accepted and node.hard_state.term == message.term:
                # A node in a higher term may have truncated it since; it voted by the log that it acknowledged.
                enough = len(node.disk) >= message.match_index
                _hold(enough, "Sync before answer", f"node {sender} has synced {len(node.disk)} entries: {message}")
        elif isinstance(message, RequestVoteReply):
            self._said_vote(sender, receiver, message)
        elif isinstance(message, TimeoutNow):
            self._urged.add((message.term + 1, receiver))
        elif isinstance(message, PreVoteReply) and message.granted:
            self._consents.add((message.term, receiver, sender))
        elif isinstance(message, RequestVote):
            synced = node.hard_state.term > message.term or node.hard_state == HardState(message.term, sender)
            _hold(synced, "Sync before answer", f"node {sender} has synced {node.hard_state}: {message}")

    def observe(self, core: Core) -> None:
        """Compare a node with its past and with the others, after any event."""
        node = self._nodes[core.node]
        if core.configuration is not node.configuration:
            self._observe_members(core, node)
        if core.hard_state is not node.seen:
            self._observe_hard_state(core, node)
        node.snapshot = max(node.snapshot, core.snapshot.index)  # the log now relies on it
        end = core.last_index
        if end != len(node.log) or core.log.newest is not node.newest:
            node.newest = core.log.newest
            self._observe_log(core, node)
        if core.role == "leader":
            self._observe_leader(core, node)
        if core.commit_index != node.commit_index:
            self._observe_commit(core, node)
        if core.role != "leader":
            node.leads = 0

    def settled(self, cores: Sequence[Core]) -> None:
        """Nothing is under way any more: all logs and disks must be the same, and committed."""
        for core in cores:
            log = self._log_of(core)
            _hold(log == self.committed, "Convergence", f"node {core.node} ends at {len(log)} of {len(self.committed)}")
            _hold(self._nodes[core.node].disk == log, "Convergence", f"node {core.node}'s disk differs from its log")

    # Properties

    def _said_vote(self, sender: NodeId, receiver: NodeId, message: RequestVoteReply) -> None:
        durable = self._nodes[sender].hard_state
        _hold(durable.term >= message.term, "Sync before answer", f"node {sender} has synced {durable}: {message}")
        if message.granted:
            kept = durable.term > message.term or durable.voted_for == receiver
            _hold(kept, "Sync before answer", f"node {sender} has synced {durable}, and votes for {receiver}")
            self._vote(message.term, sender, receiver)
        else:
            # Once the candidate leads, the voter's log may have outgrown the one in the request.
            broken = self._votes.get((message.term, sender)) == receiver and message.term not in self.leaders
            _hold(not broken, "A vote is repeated", f"node {sender} voted for {receiver}, and now refuses it")

    def _vote(self, term: int, voter: NodeId, candidate: NodeId) -> None:
        given = self._votes.setdefault((term, voter), candidate)
        _hold(given == candidate, "One vote a term", f"in term {term} node {voter} votes for {given} and {candidate}")

    def _observe_members(self, core: Core, node: _Watched) -> None:
        old, new = node.configuration, core.configuration
        node.configuration = new
        if core.role == "leader" and node.leads == core.term:
            changed = set(old.voters) ^ set(new.voters)
            _hold(len(changed) <= 1, "Configurations share a quorum", f"node {core.node}: {old}, then {new}")
            _hold(new.next_id >= old.next_id, "Ids are not used again", f"node {core.node}: {old}, then {new}")

    def _observe_hard_state(self, core: Core, node: _Watched) -> None:
        old, new = node.seen, core.hard_state
        _hold(new.term >= old.term, "Term", f"node {core.node} goes back from term {old.term} to {new.term}")
        same_vote = new.term > old.term or old.voted_for in (None, new.voted_for)
        _hold(same_vote, "One vote a term", f"node {core.node}: {old}, then {new}")
        if core.role == "candidate" and new.term > old.term:
            self._observe_candidate(core)
        node.seen = new

    def _observe_candidate(self, core: Core) -> None:
        """Check the consents as soon as the term is raised: the voters may change before it is synced."""
        node, term, voters = core.node, core.term, core.configuration.voters
        consents = sum(voter == node or (term, node, voter) in self._consents for voter in voters)
        asked = consents >= quorum.majority(len(voters)) or (term, node) in self._urged
        _hold(asked, "Pre-vote", f"node {node} raises its term to {term} with {consents} consents")

    def _observe_log(self, core: Core, node: _Watched) -> None:
        old, log = node.log, core.log
        index, configuration = core.configuration_at(core.last_index)
        stands = index <= log.base_index or log.entry(index).kind == "configuration"
        in_force = core.configuration is configuration and stands
        _hold(in_force, "The configuration is the log's", f"node {core.node}: {core.configuration}, of entry {index}")
        base = log.base_index
        _hold(base <= core.last_applied, "No gap", f"node {core.node} has compacted {base}: {core.last_applied}")
        _hold(base <= core.snapshot.index, "No gap", f"node {core.node} has compacted {base}: {core.snapshot}")
        kept = min(len(old), core.last_index)
        while kept > base and log.entry(kept) != old[kept - 1]:
            kept -= 1
        if kept < len(old):
            self.truncations += 1
            leads = core.role == "leader" and node.leads == core.term
            _hold(not leads, "Leader Append-Only", f"node {core.node} cuts its log at {kept + 1}")
            for entry in old[kept : len(self.committed)]:
                lost = self.committed[entry.index - 1] == entry
                _hold(not lost, "Nothing committed is truncated", f"node {core.node} cuts {entry}")
        del old[kept:]
        for entry in log.slice(kept + 1, core.last_index):
            before = old[-1].term if old else 0
            known = self._lines.setdefault((entry.index, entry.term), (entry.line, before))
            _hold(known == (entry.line, before), "Log Matching", f"node {core.node} holds {entry} after term {before}")
            _hold(before <= entry.term, "Log Matching", f"node {core.node}: terms fall at {entry}")
            old.append(entry)

    def _observe_leader(self, core: Core, node: _Watched) -> None:
        if node.leads != core.term:
            node.leads = core.term
            node.match_index = {}
            self._elected(core, node)
        for peer, progress in core.progress.items():
            match = progress.match_index
            seen = node.match_index.get(peer, 0)
            if match == seen:
                continue
            _hold(match > seen, "match_index", f"node {core.node}: node {peer} goes back from {seen} to {match}")
            entry = core.log.entry(match) if match > core.log.base_index else self.committed[match - 1]
            holds = self._nodes[peer].holds(entry, core.term)
            _hold(holds, "match_index", f"node {core.node} takes it that node {peer} has synced {match}")
            node.match_index[peer] = match

    def _elected(self, core: Core, node: _Watched) -> None:
        leader = self.leaders.setdefault(core.term, core.node)
        _hold(leader == core.node, "Election Safety", f"nodes {leader} and {core.node} lead in term {core.term}")
        synced = node.hard_state == HardState(core.term, core.node)
        _hold(synced, "Sync before answer", f"node {core.node} counts its own vote, and has synced {node.hard_state}")
        self._vote(core.term, core.node, core.node)
        voters = core.configuration.voters
        votes = sum(self._votes.get((core.term, voter)) == core.node for voter in voters)
        enough = votes >= quorum.majority(len(voters))
        _hold(enough, "Election Safety", f"node {core.node} leads in term {core.term} with {votes} votes")
        start = self._log_of(core)
        # It need not hold the entries that a higher term has committed meanwhile.
        before = bisect_left(self._committed_in, core.term)
        complete = start[:before] == self.committed[:before]
        _hold(
            complete, "Leader Completeness", f"node {core.node} leads in term {core.term} without all that is committed"
        )
        self._starts[core.term] = start

    def _observe_commit(self, core: Core, node: _Watched) -> None:
        commit = core.commit_index
        _hold(commit > node.commit_index, "commit_index", f"node {core.node} goes back to {commit}")
        _hold(commit <= core.last_index, "commit_index", f"node {core.node} commits {commit} of {core.last_index}")
        if node.leads == core.term:  # or did, until it committed its own removal
            old_term = core.log.term_at(commit) != core.term
            _hold(not old_term, "§5.4.2", f"node {core.node} counts copies of entry {commit}, of an older term")
            self._commit(core)
        known = len(self.committed) >= commit
        _hold(known, "Leader Completeness", f"node {core.node} commits {commit}, and no leader has")
        agrees = core.log.slice(node.commit_index + 1, commit) == self.committed[node.commit_index : commit]
        _hold(agrees, "State Machine Safety", f"node {core.node} commits another entry between these and {commit}")
        node.commit_index = commit

    def _commit(self, core: Core) -> None:
        for index in range(len(self.committed) + 1, core.commit_index + 1):
            entry = core.log.entry(index)
            voters = core.configuration.voters
            copies = sum(self._nodes[voter].holds(entry, core.term) for voter in voters)
            enough = copies >= quorum.majority(len(voters))
            _hold(enough, "Durability", f"node {core.node} commits entry {index}, which {copies} disks hold")
            self.committed.append(entry)
            self._committed_in.append(core.term)
            for term, start in self._starts.items():
                complete = term <= core.term or (len(start) >= index and start[index - 1] == entry)
                _hold(complete, "Leader Completeness", f"term {term} was begun without entry {index}, committed now")

    # Whole logs, with the committed entries in place of a snapshot

    def _log_of(self, core: Core) -> list[Entry]:
        base = core.log.base_index
        _hold(base <= len(self.committed), "No gap", f"node {core.node} has compacted {base}, which nobody committed")
        return [*self.committed[:base], *core.log.slice(base + 1, core.last_index)]

    def _superseded(self, log: list[Entry], index: int) -> list[Entry]:
        """The log that remains beside a snapshot up to that index."""
        if not index:
            return log
        goes_on = log[index - 1 : index] == [self.committed[index - 1]]
        return self.committed[:index] + (log[index:] if goes_on else [])

    def _after(self, node: _Watched, batch: Batch, count: int) -> list[Entry]:
        """The log on the disk once `count` entries of a batch are written."""
        disk, entries = node.disk, batch.entries[:count]
        if batch.base is not None:
            disk = self.committed[: batch.base.index]
        if entries:
            disk = disk[: entries[0].index - 1] + list(entries)
        return self._superseded(list(disk), node.snapshot)

    def _recoverable(self, node: _Watched) -> list[list[Entry]]:
        """The logs that a node may come back with: the synced one, and any beginning of the batch being written."""
        before = self._superseded(node.disk, node.snapshot)
        if node.batch is None:
            return [before]
        counts = range(len(node.batch.entries), -1, -1)
        return [*(self._after(node, node.batch, count) for count in counts), before]


def _hold(holds: bool, name: str, found: str) -> None:
    if not holds:
        raise Violation(f"{name}: {found}")
