"""The core: Raft's decisions, and nothing else. No I/O, no clock, no randomness of its own.

Calls come in (`tick`, `step`, `propose`, `read_index`, `peer_lost`, and the completions `persisted` and
`applied`); one value goes out (`ready`), and AppendEntries are pulled a peer at a time (`next_append`) when
that peer's connection is free, so that nothing can pile up.

Section numbers are those of the Raft paper (extended version) and, where so named, of Ongaro's thesis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trioraft.raft import quorum
from trioraft.raft.configurations import Configurations
from trioraft.raft.log import Log
from trioraft.raft.membership import ChangeRefused, Configuration, with_vote
from trioraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    HardState,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    NodeId,
    PreVote,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from trioraft.raft.outbox import Outbox
from trioraft.raft.progress import Progress
from trioraft.raft.reads import Reads
from trioraft.raft.ready import (
    NOWHERE,
    Codec,
    Lost,
    LostReason,
    NotLeader,
    Overloaded,
    Point,
    Random,
    Ready,
    Role,
    Transferring,
)
from trioraft.raft.runs import NO_ENTRIES, Entries, Run
from trioraft.raft.settings import Settings
from trioraft.raft.transfer import Transfer

FEW_ENTRIES = 4
"""So few uncommitted entries are synced by the leader at once."""
MAX_TERM_STEP = 2**32
"""More elections than a node can have missed."""


class Core:
    """One node's part in Raft (Figure 2)."""

    def __init__(
        self,
        node: NodeId,
        configuration: Configuration,
        *,
        hard_state: HardState,
        entries: Sequence[Entry],
        codec: Codec,
        random: Random,
        settings: Settings | None = None,
        base: Point = NOWHERE,
        snapshot: Point = NOWHERE,
        configuration_index: int = 0,
    ) -> None:
        """Start as a follower from what was recovered; all of `entries` and `hard_state` is durable.

        `entries` follow `base`. The state machine is as of `snapshot`, and so is `configuration`, from that index.
        """
        self.node = node
        self.settings = settings or Settings()
        self.hard_state = hard_state
        self.log = Log((), base.index, base.term)
        self.snapshot = snapshot
        """Where the newest snapshot of this node ends."""
        self.role: Role = "follower"
        self.leader: NodeId | None = None
        self.commit_index = snapshot.index
        self.last_applied = snapshot.index
        self.progress: dict[NodeId, Progress] = {}
        self._codec = codec
        self._random = random
        self._configurations = Configurations(configuration_index, configuration)
        self.configuration = configuration
        """The members in force: the newest that the log holds, committed or not (thesis §4.1)."""
        self._append(Entries.of(entries))

        self._votes: dict[NodeId, bool] = {}
        self._leader_lost = False
        self._elapsed = 0
        self._timeout = self._draw_timeout()
        self._heartbeat_elapsed = 0
        self._reads = Reads()
        self._term_start = 0
        self._uncommitted_bytes = 0
        self._answered_round = 0

        self._outbox = Outbox(hard_state, self.log.last_index)
        self._disk_due = True
        """Whether what is not synced waits for the disk no longer."""
        self._lost: Lost | None = None
        self._transfer: Transfer | None = None
        self._committed_handed = snapshot.index
        self._pieces: list[tuple[NodeId, InstallSnapshot]] = []
        self._commit_at_check = 0

        self._handlers: dict[type, Callable[[NodeId, Any], None]] = {
            AppendEntries: self._on_append_entries,
            AppendEntriesReply: self._on_append_entries_reply,
            InstallSnapshot: self._on_install_snapshot,
            InstallSnapshotReply: self._on_install_snapshot_reply,
            TimeoutNow: self._on_timeout_now,
            PreVote: self._on_pre_vote,
            PreVoteReply: self._on_pre_vote_reply,
            RequestVote: self._on_request_vote,
            RequestVoteReply: self._on_request_vote_reply,
        }

    @property
    def term(self) -> int:
        """The current term."""
        return self.hard_state.term

    @property
    def durable_index(self) -> int:
        """Up to where the log is synced by this node, and never beyond a truncation."""
        return self._outbox.durable_index

    @property
    def last_index(self) -> int:
        """The index of the newest entry of the log, durable or not."""
        return self.log.last_index

    @property
    def ticks_until_due(self) -> int:
        """After how many ticks, if nothing else happens, this node will have something to do."""
        if self.role != "leader":
            return self._timeout - self._elapsed
        if self.durable_index < self.last_index or self._reads.recent:
            return 1
        settings = self.settings
        return min(settings.heartbeat_ticks - self._heartbeat_elapsed, settings.election_ticks - self._elapsed)

    @property
    def _other_voters(self) -> list[NodeId]:
        return [voter for voter in self.configuration.voters if voter != self.node]

    @property
    def votes(self) -> list[NodeId]:
        """Who granted this node its vote in the last election that it stood in."""
        return sorted(voter for voter, granted in self._votes.items() if granted)

    # Calls in: time, messages, wishes

    def tick(self) -> None:
        """One unit of time has passed."""
        self._outbox.tick()
        self._disk_due = True
        if self.role == "leader":
            self._tick_leader()
            return
        self._elapsed += 1
        if self._elapsed >= self._timeout:
            self._pre_campaign()

    def step(self, sender: NodeId, message: Message) -> None:
        """Take one message from a peer. Whatever is malformed in its meaning is dropped, not obeyed."""
        if message.term > self.term + MAX_TERM_STEP:
            return  # terms rise by one an election: this would only use them up
        if message.term > self.term:
            if isinstance(message, RequestVote) and not message.transfer and self._follows_a_live_leader():
                return  # the leader is alive, whatever the candidate believes (thesis §4.2.3)
            asks_only = isinstance(message, PreVote) or (isinstance(message, PreVoteReply) and message.granted)
            if not asks_only:
                self._become_follower(message.term)
        elif message.term < self.term:
            self._answer_stale(sender, message)
            return
        self._handlers[type(message)](sender, message)

    def propose(self, payloads: Sequence[bytes]) -> int:
        """Append one entry for each command; the index of the first.

        Raises NotLeader, Transferring or Overloaded, and then has appended nothing.
        """
        if self.role != "leader":
            raise NotLeader
        if self._transfer is not None:
            raise Transferring
        if self._uncommitted_bytes > self.settings.max_uncommitted_bytes:
            raise Overloaded
        first = self.log.last_index + 1
        entries = self._codec.seal_commands(first, self.term, payloads)
        self.log.append(entries)
        self._uncommitted_bytes += entries.size
        return first

    @property
    def may_change(self) -> bool:
        """Whether the members may be changed: one change at a time, after an entry of this term was committed."""
        free = self.role == "leader" and self._transfer is None
        return free and self.commit_index >= max(self._configurations.index, self._term_start)

    def propose_configuration(self, configuration: Configuration) -> int:
        """Append a configuration, which differs by one member from that in force; its index (thesis §4.1).

        Raises NotLeader, or ChangeRefused: one change at a time, and only after an entry of this term was committed.
        """
        if self.role != "leader":
            raise NotLeader
        if not self.may_change:
            raise ChangeRefused("another change of the members is under way, or the leader is new")
        index = self.log.last_index + 1
        payload = self._codec.write_configuration(configuration)
        entry = self._codec.seal(index, self.term, "configuration", payload)
        self._uncommitted_bytes += len(entry.line)
        self._append(Entries.of([entry]))
        return index

    @property
    def transferring(self) -> bool:
        """Whether this leader is handing over the lead, and takes nothing new."""
        return self._transfer is not None

    def transfer_leadership(self, target: NodeId | None) -> NodeId:
        """Hand over the lead to that voter, or to the one that has most; to whom (thesis §3.10).

        What comes of it shows in time: another leads, or after an election timeout this one goes on.
        Raises NotLeader or ChangeRefused.
        """
        if self.role != "leader":
            raise NotLeader
        others = self._other_voters
        if not others:
            raise ChangeRefused("there is no other node that votes")
        if target is not None and target not in others:
            raise ChangeRefused(f"node {target} is not another node that votes")
        self._transfer = Transfer(self._nearest if target is None else target, target is not None)
        return self._transfer.target

    @property
    def _nearest(self) -> NodeId:
        """The other voter that has most, of those that live if there are any."""
        return max(self._other_voters, key=lambda voter: (self.progress[voter].live, self.progress[voter].match_index))

    def read_index(self, context: int) -> None:
        """Ask to serve a linearizable read; `context` comes back in Ready.reads once it may be served.

        Raises NotLeader. A read that is outstanding when leadership ends is dropped: Ready.lost says so.
        """
        if self.role != "leader":
            raise NotLeader
        self._reads.add(context)

    def peer_lost(self, peer: NodeId) -> None:
        """The peer's process is dead: it broke its connection and refuses a new one.

        Where that peer leads, there is no need to wait for the election timeout: a campaign begins after a
        short random wait, and others that lost the leader too may be granted a vote at once. Where this node leads,
        the peer does not live until it answers again.
        """
        if (progress := self.progress.get(peer)) is not None:
            progress.lost()
        if peer == self.leader and self.role == "follower":
            self._leader_lost = True
            self._wait_shortly()

    def peer_connected(self, peer: NodeId) -> None:
        """A new connection to the peer is up; what was on its way on the old one may be lost."""
        if (progress := self.progress.get(peer)) is not None:
            progress.probe(progress.next_index if progress.state == "probe" else progress.match_index + 1)
            progress.heartbeat_due = True

    def want_commit(self, peer: NodeId, index: int) -> None:
        """Tell the peer as soon as that index is committed: a request passed on through it waits."""
        if (progress := self.progress.get(peer)) is not None:
            progress.commit_wanted = max(progress.commit_wanted, index)

    # Completions

    def persisted(self, number: int) -> None:
        """The batch of that number is durable; its messages have been or are about to be sent."""
        batch = self._outbox.persisted(number)
        for receiver, message in batch.messages:
            if receiver == self.node:
                self.step(self.node, message)
        if self.role == "leader":
            self._advance_commit_index()

    def persisting(self) -> None:
        """The batch under way is not durable yet, but a part more of it: the disk does not hang."""
        self._outbox.persisting(self.settings.heartbeat_ticks)

    def applied(self, index: int) -> None:
        """The state machine has applied every entry up to that index."""
        self.last_applied = index

    @property
    def lacking_index(self) -> int:
        """The first index that a follower may still lack and ask for: all but those that have been silent for long."""
        has = [max(one.match_index, one.snapshot.index) for one in self.progress.values() if one.may_lack]
        return min(has, default=self.last_index) + 1

    def compacted(self, snapshot: Point, index: int) -> list[Run]:
        """A snapshot of this node is durable; the log lets go of the entries that it covers up to that index."""
        self.snapshot = snapshot
        # What is not on the disk yet stays: the log there must not get a hole.
        before = self.log.compact(min(snapshot.index, index, self.durable_index))
        self._configurations.compact(self.log.base_index)
        return before

    def snapshot_stored(self, last_included_index: int, offset: int) -> None:
        """What has come of that snapshot is stored up to there."""
        if self.role == "follower" and self.leader is not None:
            self._answer(self.leader, InstallSnapshotReply(self.term, last_included_index, offset))

    def installed(self, snapshot: Point, configuration_index: int, configuration: Configuration) -> None:
        """A leader's snapshot is durable, and the state machine is as of it, which is more than was applied (§7).

        The log goes on from there where it holds the snapshot's last entry, and is discarded whole where not.
        """
        if snapshot.index <= self.commit_index:
            raise ValueError(f"the snapshot ends at {snapshot.index}, and {self.commit_index} is committed")
        if self.log.term_at(snapshot.index) == snapshot.term:
            self.log.compact(min(snapshot.index, self.durable_index))
        else:
            self.log = Log((), snapshot.index, snapshot.term)
            self._configurations.truncate_from(configuration_index + 1)
            self._outbox.begin_anew(snapshot)
        self._configurations.replace(configuration_index, configuration)
        self.configuration = self._configurations.current
        self.snapshot = snapshot
        self.commit_index = self.last_applied = self._committed_handed = snapshot.index
        if self.leader is not None:
            self._acknowledge(self.leader, snapshot.index, 0)

    def configuration_at(self, index: int) -> tuple[int, Configuration]:
        """The configuration in force at that index, which is not compacted away, and the index of its own entry."""
        return self._configurations.at(index)

    # What comes out

    def ready(self) -> Ready | None:
        """What is to be done now; None when there is nothing."""
        if self.role == "leader":
            self._begin_read_round()
            if self._transfer is not None:
                self._urge_successor(self._transfer)
        batch = None
        if not self._disk_may_wait():
            batch = self._outbox.next_batch(self.hard_state, self.log)
            self._disk_due = False
        messages = self._outbox.take_messages()
        committed = NO_ENTRIES
        if self._committed_handed < self.commit_index:
            committed = self.log.slice(self._committed_handed + 1, self.commit_index)
            self._committed_handed = self.commit_index
        reads = self._reads.take_servable(self.last_applied)
        lost, self._lost = self._lost, None
        pieces, self._pieces = self._pieces, []
        if batch is None and not messages and not committed and not reads and lost is None and not pieces:
            return None
        return Ready(batch, messages, committed, reads, lost, pieces)

    def _disk_may_wait(self) -> bool:
        """Whether the entries that this leader has not synced may wait for the next tick (thesis §10.2.1).

        The others commit them without it, and sooner, where all nodes share a disk or a processor; one sync then
        covers many batches. A few entries do not wait: their commitment gains by every disk that is quick.
        """
        if self.role != "leader" or self._disk_due or self._outbox.handed_index == self.last_index:
            return False
        if 0 < self.last_index - self.commit_index <= FEW_ENTRIES:
            return False
        if not self._outbox.holds_entries_alone(self.hard_state):
            return False
        others = [
            voter
            for voter in self._other_voters
            if (progress := self.progress[voter]).state == "replicate" and progress.live
        ]
        return quorum.heard_from(self.configuration.voters, others)

    def next_append(self, peer: NodeId) -> AppendEntries | InstallSnapshot | None:
        """What goes to that peer next, if this node leads and there is reason to send something.

        To be called when the peer's connection can take it, until it gives None.
        """
        progress = self.progress.get(peer)
        if progress is None or self.role != "leader":
            return None
        log = self.log
        if progress.state != "snapshot" and progress.next_index <= log.base_index:
            progress.begin_snapshot(self.snapshot)
        if progress.state == "snapshot" and progress.take_piece():
            return InstallSnapshot(self.term, progress.snapshot.index, progress.snapshot.term, progress.offset)
        entries = NO_ENTRIES
        if progress.next_index <= log.last_index and progress.may_send_entries:
            entries = progress.fitting(log.slice_bytes(progress.next_index, self.settings.max_append_bytes))
        elif not (
            progress.heartbeat_due
            or progress.round_sent < progress.round_wanted
            or progress.commit_sent < progress.commit_wanted <= self.commit_index
        ):
            return None
        # Who is sent a snapshot agrees with nobody knows what; that this node leads it has to hear all the same.
        prev_index = progress.next_index - 1 if progress.state != "snapshot" else 0
        prev_term = log.term_at(prev_index)
        assert prev_term is not None  # next_index is at most last_index + 1, and beyond the base
        progress.heartbeat_due = False
        progress.round_sent = self._reads.round
        progress.commit_sent = self.commit_index
        progress.sent(prev_index + len(entries), entries.size)
        return AppendEntries(self.term, prev_index, prev_term, self.commit_index, self._reads.round, entries)

    # Elections (§5.2, thesis §9.6)

    def _draw_timeout(self) -> int:
        return self._random.randrange(self.settings.election_ticks, 2 * self.settings.election_ticks)

    def _wait_shortly(self) -> None:
        self._elapsed = 0
        self._timeout = self._random.randrange(0, self.settings.lost_ticks + 1)

    def _follows_a_live_leader(self) -> bool:
        """Whether there is reason to refuse every candidate: the leader spoke a moment ago (thesis §4.2.3)."""
        if self.role == "leader":
            return True  # check-quorum sees to it that this does not last
        return self.leader is not None and not self._leader_lost and self._elapsed < self.settings.election_ticks

    def _pre_campaign(self) -> None:
        """Ask whether an election could be won, before raising any term."""
        self._elapsed = 0
        self._timeout = self._draw_timeout()
        self.leader = None  # whoever may stand: those whose requests wait for that leader are to hear of it
        disk_hangs = self._outbox.batch_elapsed >= self.settings.election_ticks
        if disk_hangs or not self._configurations.may_campaign(self.node, self.commit_index):
            return  # a node that cannot sync its own vote had better not ask for others'
        self.role = "pre-candidate"
        self._votes = {self.node: True}
        self._ask_for_votes(PreVote(self.term + 1, self.log.last_index, self.log.last_term), self._outbox.send)
        if quorum.won(self.configuration.voters, self._votes):
            self._campaign()

    def _campaign(self, transfer: bool = False) -> None:
        """Raise the term and ask for votes; the own vote counts, like any other, once it is synced."""
        self.role = "candidate"
        self.leader = None
        self._elapsed = 0
        self._timeout = self._draw_timeout()
        self.hard_state = HardState(self.term + 1, self.node)
        self._votes = {}
        request = RequestVote(self.term, self.log.last_index, self.log.last_term, transfer)
        self._ask_for_votes(request, self._outbox.gate)
        self._outbox.gate(self.node, RequestVoteReply(self.term, True))

    def _ask_for_votes(self, request: Message, send: Callable[[NodeId, Message], None]) -> None:
        for voter in self._other_voters:
            send(voter, request)

    def _on_pre_vote(self, sender: NodeId, message: PreVote) -> None:
        granted = (
            message.term > self.term
            and not self._follows_a_live_leader()
            and self.log.is_up_to_date(message.last_index, message.last_term)
        )
        self._answer(sender, PreVoteReply(message.term if granted else self.term, granted))

    def _on_pre_vote_reply(self, sender: NodeId, message: PreVoteReply) -> None:
        if self.role != "pre-candidate" or (message.granted and message.term != self.term + 1):
            return
        self._count_vote(sender, message.granted)
        if quorum.won(self.configuration.voters, self._votes):
            self._campaign()
        elif not message.granted:
            self._vote_refused()

    def _on_request_vote(self, sender: NodeId, message: RequestVote) -> None:
        granted = self.hard_state.voted_for in (None, sender) and self.log.is_up_to_date(
            message.last_index, message.last_term
        )
        if granted and self.role != "leader":
            self.role = "follower"
            self.hard_state = HardState(self.term, sender)
            self._elapsed = 0
            self._timeout = self._draw_timeout()
        self._answer(sender, RequestVoteReply(self.term, granted))

    def _on_request_vote_reply(self, sender: NodeId, message: RequestVoteReply) -> None:
        if self.role != "candidate":
            return
        self._count_vote(sender, message.granted)
        if quorum.won(self.configuration.voters, self._votes):
            self._become_leader()
        elif not message.granted:
            self._vote_refused()

    def _on_timeout_now(self, sender: NodeId, message: TimeoutNow) -> None:  # noqa: ARG002
        """Stand at once, as the leader wishes; nobody has to be asked first."""
        disk_hangs = self._outbox.batch_elapsed >= self.settings.election_ticks
        if sender == self.leader and self.node in self.configuration.voters and not disk_hangs:
            self._campaign(transfer=True)

    def _urge_successor(self, transfer: Transfer) -> None:
        if not transfer.chosen and not self.progress[transfer.target].live:
            transfer.target = self._nearest
        progress = self.progress[transfer.target]
        if transfer.take_due(progress.match_index == self.last_index == self.commit_index):
            self._outbox.send(transfer.target, TimeoutNow(self.term))

    def _count_vote(self, voter: NodeId, granted: bool) -> None:
        """Note an answer. What is granted stays so: a refusal that comes later answers an older question."""
        self._votes[voter] = granted or self._votes.get(voter, False)

    def _vote_refused(self) -> None:
        """A refusal is an answer: with the leader known dead, try again after a fresh short wait.

        Silence is not: a slow disk at the other end would see the term raised before it could answer.
        """
        if self._leader_lost:
            self._wait_shortly()
            self._timeout += 1

    def _become_follower(self, term: int) -> None:
        """Adopt a higher term, of which the leader is not known yet."""
        self._end_leadership("leader_changed")
        self.hard_state = HardState(term, None)
        self.role = "follower"
        self.leader = None
        self._answered_round = 0
        if self._leader_lost:
            self._wait_shortly()

    def _become_leader(self) -> None:
        """Lead this term, and open it with a no-op: only an entry of this term can be counted (§5.4.2, §8)."""
        self.role = "leader"
        self.leader = self.node
        self._leader_lost = False
        self._elapsed = 0
        self._heartbeat_elapsed = 0
        self._reads = Reads()
        self.progress = {}
        self._follow_members()
        self._term_start = self.log.last_index + 1
        noop = self._codec.seal(self._term_start, self.term, "noop", b"null")
        self.log.append(Entries.of([noop]))
        self._commit_at_check = self._term_start  # what is committed already this leader does not know
        self._uncommitted_bytes = self.log.slice(self.commit_index + 1, self.log.last_index).size

    def _end_leadership(self, reason: LostReason) -> None:
        if self.role != "leader":
            return
        self.role = "follower"
        self.leader = None
        self._lost = Lost(reason)
        self._transfer = None
        self.progress = {}
        self._reads = Reads()
        self._elapsed = 0
        self._timeout = self._draw_timeout()

    def _tick_leader(self) -> None:
        """Send heartbeats, and step down where a majority is silent or the own disk hangs (check-quorum)."""
        settings = self.settings
        if self._reads.tick():
            self._ask_to_confirm(list(self.progress))
        self._heartbeat_elapsed += 1
        if self._heartbeat_elapsed >= settings.heartbeat_ticks:
            self._heartbeat_elapsed = 0
            for progress in self.progress.values():
                progress.heartbeat()
            if self._transfer is not None:
                self._transfer.heartbeat()
            self._promote_learner()
            self._forget_removed()
        if self._transfer is not None and self._transfer.tick(settings.election_ticks):
            self._transfer = None
        self._elapsed += 1
        if self._elapsed < settings.election_ticks:
            return
        self._elapsed = 0
        active = [self.node, *[peer for peer, progress in self.progress.items() if progress.check()]]
        disk_hangs = self._outbox.batch_elapsed >= settings.election_ticks
        if disk_hangs or not quorum.heard_from(self.configuration.voters, active):
            self._end_leadership("no_quorum")

    # Replication (§5.3)

    def _answer_stale(self, sender: NodeId, message: Message) -> None:
        """Tell a sender that is behind which term it is, so that it catches up or steps down."""
        match message:
            case AppendEntries():
                self._answer(sender, AppendEntriesReply(self.term, False, 0, 0, message.prev_index))
            case InstallSnapshot():
                self._answer(sender, InstallSnapshotReply(self.term, message.last_included_index, message.offset))
            case PreVote():
                self._answer(sender, PreVoteReply(self.term, False))
            case RequestVote() if self.hard_state.voted_for != sender:  # whom it voted for is not behind
                self._answer(sender, RequestVoteReply(self.term, False))

    def _on_append_entries(self, sender: NodeId, message: AppendEntries) -> None:
        if not self._follow(sender):
            return
        base = self.log.base_index
        if message.prev_index >= base and self.log.term_at(message.prev_index) != message.prev_term:
            hint_index, hint_term = self.log.agreement_bound(message.prev_index, message.prev_term)
            refusal = AppendEntriesReply(self.term, False, 0, message.round, message.prev_index, hint_index, hint_term)
            self._answer(sender, refusal)
            return
        # What is compacted away is committed, and so the leader has it too.
        entries = Entries.of(message.entries)
        if not self._take_entries(entries[max(0, base - message.prev_index) :]):
            return
        agreed = max(base, message.prev_index + len(entries))
        self.commit_index = max(self.commit_index, min(message.commit_index, agreed))
        self._acknowledge(sender, agreed, message.round)

    def _follow(self, sender: NodeId) -> bool:
        """Take the sender for the leader of this term; False where that cannot be."""
        if self.role == "leader" or (self.leader is not None and self.leader != sender):
            return False  # Election Safety: a term has one leader, so somebody is lying
        if self.leader is None:
            self._answered_round = 0
        self.role = "follower"
        self.leader = sender
        self._leader_lost = False
        self._elapsed = 0
        self._timeout = self._draw_timeout() if self._timeout < self.settings.election_ticks else self._timeout
        return True

    def _take_entries(self, entries: Entries) -> bool:
        """Append what is new, over what conflicts; False where that would undo what is committed."""
        new = entries[self.log.first_conflict(entries) :]
        if not new:
            return True
        first = new.first_index
        if first <= self.commit_index:
            return False  # no leader can do this (Leader Completeness): a lie, or a lost disk on the other side
        if first <= self.log.last_index:
            self.log.truncate_from(first)
            self._outbox.truncate_from(first)
            self._configurations.truncate_from(first)
        self._append(new)
        return True

    def _append(self, entries: Entries) -> None:
        """Append to the log; a configuration is in force from then on, committed or not (thesis §4.1)."""
        self.log.append(entries)
        for entry in entries.of_kind("configuration"):
            if entry.index > self._configurations.index:
                self._configurations.append(entry.index, self._codec.read_configuration(entry))
        if self.configuration is not self._configurations.current:
            self.configuration = self._configurations.current
            self._follow_members()

    def _acknowledge(self, leader: NodeId, agreed: int, round: int) -> None:
        """Answer for what is synced; what is not yet is answered for once it is.

        Whether this node still follows is said before the log's sync: where a round asks, and while the disk is slow.
        """
        durable = min(agreed, self.durable_index)
        slow = self.settings.heartbeat_ticks <= self._outbox.batch_elapsed < self.settings.election_ticks
        if durable == agreed or round > self._answered_round or slow:
            self._answered_round = round
            self._answer(leader, AppendEntriesReply(self.term, True, durable, round))
        if durable < agreed:
            self._outbox.gate(leader, AppendEntriesReply(self.term, True, agreed, round))

    def _on_append_entries_reply(self, sender: NodeId, message: AppendEntriesReply) -> None:
        progress = self.progress.get(sender)
        if progress is None or self.role != "leader":
            return
        if message.match_index > self.log.last_index or message.round > self._reads.round:
            return  # nobody can hold what was never sent: a lie
        progress.heard()
        if message.round > progress.round_answered:
            progress.round_answered = message.round
            self._confirm_reads()
        if message.accepted:
            behind = message.match_index < min(progress.snapshot.index, self.log.base_index)
            if progress.state == "snapshot" and behind:
                return  # it has answered a heartbeat, and still lacks what the log does not hold
            if progress.accepted(message.match_index):
                self._advance_commit_index()
            return
        bound, _ = self.log.agreement_bound(message.hint_index, message.hint_term)
        progress.refused(message.rejected_index, min(bound, message.rejected_index) + 1)

    # Snapshots (§7)

    def _on_install_snapshot(self, sender: NodeId, message: InstallSnapshot) -> None:
        if not self._follow(sender):
            return
        if message.last_included_index <= self.commit_index:
            self._acknowledge(sender, message.last_included_index, 0)
        else:
            self._pieces.append((sender, message))

    def _on_install_snapshot_reply(self, sender: NodeId, message: InstallSnapshotReply) -> None:
        if (progress := self.progress.get(sender)) is not None and self.role == "leader":
            progress.heard()
            progress.snapshot_held(message.last_included_index, message.offset)

    # Commitment

    def _advance_commit_index(self) -> None:
        """Commit what a majority has synced, if it is of this term; what precedes it comes along (§5.4.2)."""
        progress = self.progress
        index = quorum.reached_by_majority(
            [
                self.durable_index if voter == self.node else progress[voter].match_index
                for voter in self.configuration.voters
            ]
        )
        if index <= self.commit_index or self.log.term_at(index) != self.term:
            return
        self._uncommitted_bytes -= self.log.slice(self.commit_index + 1, index).size
        self.commit_index = index
        if self.node not in self.configuration.voters and self._configurations.index <= index:
            self._end_leadership("leader_changed")  # its own removal is committed (thesis §4.2.2)

    # Members (thesis §4)

    def _follow_members(self) -> None:
        """As leader, keep track of every member; who is removed hears of it before it is forgotten."""
        if self.role != "leader":
            return
        for member in self.configuration.members:
            if member.id != self.node and member.id not in self.progress:
                self.progress[member.id] = Progress(self.log.last_index + 1, self.settings)

    def _forget_removed(self) -> None:
        """Who is removed has been told so, and that it is committed: it is nobody's peer any more."""
        changed = self._configurations.index
        for peer in [peer for peer in self.progress if self.configuration.member(peer) is None]:
            progress = self.progress[peer]
            if changed <= self.commit_index and min(progress.match_index, progress.commit_sent) >= changed:
                del self.progress[peer]

    def _promote_learner(self) -> None:
        """Give a learner its vote that is to have one, and has what was committed a heartbeat ago."""
        committed, self._commit_at_check = self._commit_at_check, self.commit_index
        for member in self.configuration.members:
            if not member.promote or not member.folder:
                continue
            if self.progress[member.id].live and self.progress[member.id].match_index >= committed:
                promoted = with_vote(self.configuration, member.id)
                if self.is_live(promoted) and self.may_change:
                    self.propose_configuration(promoted)
                return

    def is_live(self, configuration: Configuration) -> bool | None:
        """Whether a majority of its voters has answered this leader lately; None while it may yet turn out so.

        Of whom a new leader has not heard, it knows only after an election timeout that they are silent.
        """
        live = [self.node, *[peer for peer, one in self.progress.items() if one.live]]
        silent = [peer for peer, one in self.progress.items() if one.silent]
        return quorum.live(configuration.voters, live, silent)

    # Reads (thesis §6.4)

    def _begin_read_round(self) -> None:
        """Number a round for the reads at hand, once an entry of this term is committed."""
        if self.commit_index >= self._term_start and self._reads.begin_round(self.commit_index):
            voters = self.configuration.voters
            others = self._other_voters
            others.sort(
                key=lambda voter: (self.progress[voter].live, self.progress[voter].round_answered), reverse=True
            )
            self._ask_to_confirm(others[: quorum.majority(len(voters)) - (self.node in voters)])
            self._confirm_reads()

    def _ask_to_confirm(self, peers: Sequence[NodeId]) -> None:
        for peer in peers:
            self.progress[peer].round_wanted = self._reads.round

    def _confirm_reads(self) -> None:
        answered = [
            self._reads.round if voter == self.node else self.progress[voter].round_answered
            for voter in self.configuration.voters
        ]
        self._reads.round_answered(quorum.reached_by_majority(answered))

    def _answer(self, receiver: NodeId, message: Message) -> None:
        """Send at once if term and vote are synced, else with the batch that syncs them."""
        self._outbox.answer(self.hard_state, receiver, message)
