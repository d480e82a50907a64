"""What only a leader has (Figure 2, "volatile state on leaders"): the progress of its peers, and what rests on it.

The core makes a `Leadership` when it wins an election and drops it when it steps down, so that nothing of one term
of leadership can leak into the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trioraft.raft import quorum
from trioraft.raft.log import Log
from trioraft.raft.membership import ChangeRefused, Configuration
from trioraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    NodeId,
    TimeoutNow,
)
from trioraft.raft.outbox import Outbox
from trioraft.raft.progress import Progress
from trioraft.raft.reads import Reads
from trioraft.raft.ready import Point
from trioraft.raft.runs import NO_ENTRIES
from trioraft.raft.settings import Settings
from trioraft.raft.transfer import Transfer

FEW_ENTRIES: Final = 4
"""Up to this many uncommitted entries, the leader syncs at once."""


class Leadership:
    """One node's lead in one term, from the election until it steps down.

    It decides what each peer is sent, what a majority holds, which reads are confirmed, and when to step down. The
    commit index stays the core's: followers have one too.
    """

    def __init__(
        self,
        node: NodeId,
        term: int,
        configuration: Configuration,
        *,
        log: Log,
        outbox: Outbox,
        settings: Settings,
        votes: list[NodeId],
    ) -> None:
        """Begin the term, before its first entry is appended. `log` and `outbox` are the core's own."""
        self.term = term
        self.votes = votes
        """The voters that elected this leader."""
        self.start = log.last_index + 1
        """The index of the first entry of this term, the no-op: only from there on does counting commit (§5.4.2)."""
        self.progress: dict[NodeId, Progress] = {}
        """Every other member, and each removed one until it knows that it is removed."""
        self.reads = Reads()
        self.transfer: Transfer | None = None
        """The handing over of the lead that is under way; nothing new is accepted meanwhile."""
        self.uncommitted_bytes = 0
        """The size of the entries after the commit index."""
        self._node = node
        self._log = log
        self._outbox = outbox
        self._settings = settings
        self._heartbeat_elapsed = 0
        self._check_elapsed = 0
        self.disk_due = True
        """Whether unsynced entries have waited for the disk long enough."""
        self.follow(configuration)

    def follow(self, configuration: Configuration) -> None:
        """Track the members of the configuration in force. A removed one is tracked until `forget_removed`."""
        self._configuration = configuration
        for member in configuration.members:
            if member.id != self._node and member.id not in self.progress:
                self.progress[member.id] = Progress(self._log.last_index + 1, self._settings)
        self._is_voter = self._node in configuration.voters
        self._others = [voter for voter in configuration.voters if voter != self._node]
        self._progress_of_others = [self.progress[voter] for voter in self._others]
        self._majority = quorum.majority(len(configuration.voters))

    # Time

    @property
    def waits_for_tick(self) -> bool:
        """Whether the next tick has something to do: the disk has been left alone, or reads are not confirmed."""
        return self._outbox.handed_index < self._log.last_index or self.reads.unconfirmed

    @property
    def ticks_until_due(self) -> int:
        """The number of ticks after which this leader has something to do, if nothing else happens."""
        if self._outbox.durable_index < self._log.last_index or self.reads.recent:
            return 1
        settings = self._settings
        return min(settings.heartbeat_ticks - self._heartbeat_elapsed, settings.election_ticks - self._check_elapsed)

    def tick(self) -> bool:
        """Count one unit of time; return whether a heartbeat interval is over."""
        self.disk_due = True
        if self.reads.tick():
            self._ask_to_confirm(list(self.progress))
        if self.transfer is not None and self.transfer.tick(self._settings.election_ticks):
            self.transfer = None
        for progress in self.progress.values():
            progress.silent_ticks += 1
        self._check_elapsed += 1
        self._heartbeat_elapsed += 1
        if self._heartbeat_elapsed < self._settings.heartbeat_ticks:
            return False
        self._heartbeat_elapsed = 0
        for progress in self.progress.values():
            progress.heartbeat()
        if self.transfer is not None:
            self.transfer.heartbeat()
        return True

    def must_step_down(self) -> bool:
        """Whether a majority was silent for an election timeout, or the own disk hangs (check-quorum)."""
        if self._check_elapsed < self._settings.election_ticks:
            return False
        self._check_elapsed = 0
        active = [self._node, *[peer for peer, progress in self.progress.items() if progress.check()]]
        disk_hangs = self._outbox.batch_elapsed >= self._settings.election_ticks
        return disk_hangs or not quorum.heard_from(self._configuration.voters, active)

    @property
    def is_followed(self) -> bool:
        """Whether a majority, this node included, has answered within the last election timeout.

        This is so at every tick; the check of the quorum looks only once an election timeout.
        """
        patience = self._settings.election_ticks
        heard = [peer for peer, progress in self.progress.items() if progress.silent_ticks < patience]
        return quorum.heard_from(self._configuration.voters, [self._node, *heard])

    # Replication (§5.3)

    def next_append(self, peer: NodeId, commit_index: int, snapshot: Point) -> AppendEntries | InstallSnapshot | None:
        """The next message for that peer, or None; `snapshot` is the newest one that this node could send."""
        progress = self.progress.get(peer)
        if progress is None:
            return None
        log = self._log
        if progress.state == "snapshot" or progress.next_index <= log.base_index:
            if progress.state != "snapshot":
                progress.begin_snapshot(snapshot)
            if progress.take_piece():
                return InstallSnapshot(self.term, progress.snapshot.index, progress.snapshot.term, progress.offset)
        entries = NO_ENTRIES
        if progress.next_index <= log.last_index and progress.may_send_entries:
            entries = progress.fitting(log.slice_bytes(progress.next_index, self._settings.max_append_bytes))
        elif not (
            progress.heartbeat_due
            or progress.round_sent < progress.round_wanted
            or progress.commit_sent < progress.commit_wanted <= commit_index
        ):
            return None
        # A peer that is sent a snapshot agrees with this log nowhere yet, and must hear its leader all the same.
        prev_index = progress.next_index - 1 if progress.state != "snapshot" else 0
        prev_term = log.term_at(prev_index)
        assert prev_term is not None  # next_index is at most last_index + 1, and beyond the base
        progress.heartbeat_due = False
        progress.round_sent = self.reads.round
        progress.commit_sent = commit_index
        progress.sent(prev_index + len(entries), entries.size)
        return AppendEntries(self.term, prev_index, prev_term, commit_index, self.reads.round, entries)

    def on_append_entries_reply(self, sender: NodeId, message: AppendEntriesReply) -> bool:
        """Note what a peer holds; return whether more may be committed."""
        progress = self.progress.get(sender)
        if progress is None or message.match_index > self._log.last_index or message.round > self.reads.round:
            return False  # a peer cannot hold, or answer, what was never sent
        progress.heard()
        if message.round > progress.round_answered:
            progress.round_answered = message.round
            self._confirm_reads()
        if message.accepted:
            behind = message.match_index < min(progress.snapshot.index, self._log.base_index)
            if progress.state == "snapshot" and behind:
                return False  # it answers a heartbeat, and still lacks what the log no longer holds
            return progress.accepted(message.match_index)
        bound, _ = self._log.agreement_bound(message.hint_index, message.hint_term)
        progress.refused(message.rejected_index, min(bound, message.rejected_index) + 1)
        return False

    def on_install_snapshot_reply(self, sender: NodeId, message: InstallSnapshotReply) -> None:
        """Note how much of its snapshot a peer holds (§7)."""
        if (progress := self.progress.get(sender)) is not None:
            progress.heard()
            progress.snapshot_held(message.last_included_index, message.offset)

    def committable(self, commit_index: int) -> int:
        """The index up to which the log may be committed, `commit_index` at least (§5.3, §5.4.2).

        A majority has synced the log up to there, and that entry is of this term: those before it come along.
        """
        matches = [progress.match_index for progress in self._progress_of_others]
        if self._is_voter:
            matches.append(self._outbox.durable_index)
        index = quorum.reached_by_majority(matches)
        return index if index > commit_index and index >= self.start else commit_index

    def disk_may_wait(self, commit_index: int) -> bool:
        """Whether the entries that this leader has not synced may wait for the next tick (thesis §10.2.1).

        The others commit them without it, and sooner where all nodes share a disk or a processor; one sync then
        covers many batches. A few entries do not wait: any disk that is quick may complete their majority.
        """
        if self.disk_due or self._outbox.handed_index == self._log.last_index:
            return False
        if 0 < self._log.last_index - commit_index <= FEW_ENTRIES:
            return False
        followers = sum([progress.state == "replicate" and progress.live for progress in self._progress_of_others])
        return followers >= self._majority

    # Reads (thesis §6.4)

    def begin_read_round(self, commit_index: int) -> None:
        """Number a round for the reads at hand, once an entry of this term is committed."""
        if commit_index >= self.start and self.reads.begin_round(commit_index):
            nearest = sorted(
                self._others,
                key=lambda voter: (self.progress[voter].live, self.progress[voter].round_answered),
                reverse=True,
            )
            self._ask_to_confirm(nearest[: self._majority - self._is_voter])
            self._confirm_reads()

    def _ask_to_confirm(self, peers: Sequence[NodeId]) -> None:
        for peer in peers:
            self.progress[peer].round_wanted = self.reads.round

    def _confirm_reads(self) -> None:
        answered = [progress.round_answered for progress in self._progress_of_others]
        if self._is_voter:
            answered.append(self.reads.round)
        self.reads.round_answered(quorum.reached_by_majority(answered))

    # Handing over (thesis §3.10)

    def begin_transfer(self, target: NodeId | None) -> NodeId:
        """Hand over the lead to that voter, or to the nearest; return the target. Raises ChangeRefused."""
        if not self._others:
            raise ChangeRefused("there is no other node that votes")
        if target is not None and target not in self._others:
            raise ChangeRefused(f"node {target} is not another node that votes")
        self.transfer = Transfer(self._nearest if target is None else target, target is not None)
        return self.transfer.target

    def urge_successor(self, transfer: Transfer, commit_index: int) -> None:
        """Tell the target to stand, as soon as it has all that this leader has and all of that is committed."""
        if not transfer.chosen and not self.progress[transfer.target].live:
            transfer.target = self._nearest
        match_index = self.progress[transfer.target].match_index
        if transfer.take_due(match_index == self._log.last_index == commit_index):
            self._outbox.send(transfer.target, TimeoutNow(self.term))

    @property
    def _nearest(self) -> NodeId:
        """The other voter whose log is longest, a live one if there is any."""
        return max(self._others, key=lambda voter: (self.progress[voter].live, self.progress[voter].match_index))

    # Members (thesis §4)

    def is_live(self, configuration: Configuration) -> bool | None:
        """Whether a majority of the configuration's voters answers this leader; None while that is open.

        A new leader must wait for an election timeout before it may call a peer silent.
        """
        live = [self._node, *[peer for peer, progress in self.progress.items() if progress.live]]
        silent = [peer for peer, progress in self.progress.items() if progress.silent]
        return quorum.live(configuration.voters, live, silent)

    def forget_removed(self, configuration_index: int, commit_index: int) -> None:
        """Stop tracking each removed member that holds the configuration and knows that it is committed."""
        for peer in [peer for peer in self.progress if self._configuration.member(peer) is None]:
            progress = self.progress[peer]
            told = min(progress.match_index, progress.commit_sent) >= configuration_index
            if configuration_index <= commit_index and told:
                del self.progress[peer]

    @property
    def lacking_index(self) -> int:
        """The first index that a responsive follower may still lack."""
        has = [max(one.match_index, one.snapshot.index) for one in self.progress.values() if one.may_lack]
        return min(has, default=self._log.last_index) + 1
