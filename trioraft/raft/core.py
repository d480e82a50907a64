"""The core: Raft's decisions, and nothing else. It does no I/O and has no clock and no randomness of its own.

Calls come in: `tick`, `step`, `propose`, `read_index`, `peer_lost`, and the completions `persisted` and `applied`.
One value goes out: `ready`. AppendEntries are pulled, one peer at a time (`next_append`), when that peer's
connection is free: so nothing can pile up.

Section numbers are those of the Raft paper (extended version) or, where it is named, of Ongaro's thesis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from trioraft.raft.campaign import Campaign
from trioraft.raft.configurations import Configurations
from trioraft.raft.leadership import Leadership
from trioraft.raft.log import Log
from trioraft.raft.membership import ChangeRefused, Configuration
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
    Won,
)
from trioraft.raft.runs import NO_ENTRIES, Entries, Run
from trioraft.raft.settings import Settings

MAX_TERM_STEP: Final = 2**32
"""A node cannot have missed this many elections."""


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
        """Start as a follower from what was recovered from the disk, all of it durable.

        `entries` follow `base`. `snapshot` is where the state machine stands. `configuration` was in force there, and
        its own entry is at `configuration_index`.
        """
        self.node = node
        self.settings = settings or Settings()
        self.hard_state = hard_state
        self.log = Log((), base.index, base.term)
        self.snapshot = snapshot
        """The end of this node's newest snapshot."""
        self.leadership: Leadership | None = None
        """What only a leader has; None unless this node leads."""
        self.leader: NodeId | None = None
        self.commit_index = snapshot.index
        self.last_applied = snapshot.index
        self.told_commit_index: int | None = None
        """The commit_index in the newest message of a leader, until it is looked at."""
        self._codec = codec
        self._random = random
        self._configurations = Configurations(configuration_index, configuration)
        self.configuration = configuration
        """The configuration in force: the newest in the log, committed or not (thesis §4.1)."""
        self._append(Entries.of(entries))

        self._campaign: Campaign | None = None
        self._leader_lost = False
        self._elapsed = 0
        self._timeout = self._draw_timeout()
        self._answered_round = 0

        self._outbox = Outbox(hard_state, self.log.last_index)
        self._committed_handed = snapshot.index
        self._pieces: list[tuple[NodeId, InstallSnapshot]] = []
        self._leadership_news: Won | Lost | None = None

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
    def role(self) -> Role:
        """This node's role."""
        if self.leadership is not None:
            return "leader"
        return "follower" if self._campaign is None else self._campaign.role

    @property
    def term(self) -> int:
        """The current term."""
        return self.hard_state.term

    @property
    def durable_index(self) -> int:
        """The index up to which this node has synced its log; a truncation lowers it at once."""
        return self._outbox.durable_index

    @property
    def last_index(self) -> int:
        """The index of the newest entry of the log, durable or not."""
        return self.log.last_index

    @property
    def ticks_until_due(self) -> int:
        """The number of ticks after which this node has something to do, if nothing else happens."""
        return self._timeout - self._elapsed if self.leadership is None else self.leadership.ticks_until_due

    @property
    def silent_ticks(self) -> int | None:
        """The number of ticks since the leader that this node follows was heard; None where it follows none."""
        return None if self.leader is None or self.leadership is not None else self._elapsed

    @property
    def progress(self) -> Mapping[NodeId, Progress]:
        """What this leader knows of each peer; empty unless this node leads."""
        return {} if self.leadership is None else self.leadership.progress

    @property
    def _other_voters(self) -> list[NodeId]:
        return [voter for voter in self.configuration.voters if voter != self.node]

    @property
    def votes(self) -> list[NodeId]:
        """The nodes that elected this leader, or have granted this candidate their votes so far."""
        standing = self.leadership or self._campaign
        return [] if standing is None else standing.votes

    # Calls in: time, messages, requests

    def tick(self) -> None:
        """Count one unit of time."""
        self._outbox.tick()
        if self.leadership is not None:
            self._tick_leader(self.leadership)
            return
        self._elapsed += 1
        if self._elapsed >= self._timeout:
            self._pre_campaign()

    def step(self, sender: NodeId, message: Message) -> None:
        """Handle one message from a peer. A message that no correct peer would send changes nothing."""
        own = self.term
        if message.term > own + MAX_TERM_STEP:
            return  # terms rise by one with each election: a jump would only use them up
        if message.term > own:
            if isinstance(message, RequestVote) and not message.transfer and self._follows_a_live_leader():
                return  # the leader is alive, whatever the candidate believes (thesis §4.2.3)
            asks_only = isinstance(message, PreVote) or (isinstance(message, PreVoteReply) and message.granted)
            if not asks_only:
                self._become_follower(message.term)
        elif message.term < own:
            self._answer_stale(sender, message)
            return
        self._handlers[type(message)](sender, message)

    def propose(self, payloads: Sequence[bytes]) -> int:
        """Append one entry for each command; return the index of the first.

        Raises NotLeader, Transferring or Overloaded; nothing is appended then.
        """
        leadership = self.leadership
        if leadership is None:
            raise NotLeader
        if leadership.transfer is not None:
            raise Transferring
        if leadership.uncommitted_bytes > self.settings.max_uncommitted_bytes:
            raise Overloaded
        first = self.log.last_index + 1
        entries = self._codec.seal_commands(first, self.term, payloads)
        self.log.append(entries)
        leadership.uncommitted_bytes += entries.size
        return first

    @property
    def may_change(self) -> bool:
        """Whether the members may be changed: one change at a time, and none before this term's first commit."""
        leadership = self.leadership
        if leadership is None or leadership.transfer is not None:
            return False
        return self.commit_index >= max(self._configurations.index, leadership.start)

    def propose_configuration(self, configuration: Configuration) -> int:
        """Append a configuration that differs from the one in force by one member; return its index (thesis §4.1).

        Raises NotLeader, or ChangeRefused unless `may_change`.
        """
        leadership = self.leadership
        if leadership is None:
            raise NotLeader
        if not self.may_change:
            raise ChangeRefused("another change of the members is under way, or the leader is new")
        index = self.log.last_index + 1
        payload = self._codec.write_configuration(configuration)
        entry = self._codec.seal(index, self.term, "configuration", payload)
        leadership.uncommitted_bytes += len(entry.line)
        self._append(Entries.of([entry]))
        return index

    @property
    def transferring(self) -> bool:
        """Whether this leader is handing over the lead: it accepts nothing new meanwhile."""
        return self.leadership is not None and self.leadership.transfer is not None

    def transfer_leadership(self, target: NodeId | None) -> NodeId:
        """Hand over the lead to `target`, or else to the voter whose log is longest; return it (thesis §3.10).

        The outcome shows in time: either another node leads, or this one goes on after an election timeout.
        Raises NotLeader, or ChangeRefused where no such other voter exists.
        """
        if self.leadership is None:
            raise NotLeader
        return self.leadership.begin_transfer(target)

    def is_live(self, configuration: Configuration) -> bool | None:
        """Whether a majority of the configuration's voters answers this leader; None where that is not known yet."""
        return None if self.leadership is None else self.leadership.is_live(configuration)

    def read_index(self, context: int) -> None:
        """Ask to serve a linearizable read; `context` comes back in `Ready.reads` once the read may be served.

        Reads that are outstanding when the node steps down are dropped: `Ready.leadership` says so. Raises NotLeader.
        """
        if self.leadership is None:
            raise NotLeader
        self.leadership.reads.add(context)

    def peer_lost(self, peer: NodeId) -> None:
        """Note that the peer's process is dead: it broke its connection and refuses a new one.

        If the peer led, nobody need wait for the election timeout: this node campaigns after a short random wait, and
        may grant its vote at once. If this node leads, the peer does not count as live until it answers again.
        """
        if (progress := self.progress.get(peer)) is not None:
            progress.lost()
        if peer == self.leader and self.role == "follower":
            self._leader_lost = True
            self._wait_shortly()

    def peer_connected(self, peer: NodeId) -> None:
        """Note that a new connection to the peer is up; messages on the old one may be lost."""
        if (progress := self.progress.get(peer)) is not None:
            progress.probe(progress.next_index if progress.state == "probe" else progress.match_index + 1)
            progress.heartbeat_due = True

    def want_commit(self, peer: NodeId, index: int) -> None:
        """Tell the peer as soon as that index is committed: a request forwarded by it waits."""
        if (progress := self.progress.get(peer)) is not None:
            progress.commit_wanted = max(progress.commit_wanted, index)

    # Completions

    def persisted(self, number: int) -> None:
        """Note that the batch of that number is durable; the caller sends its messages."""
        batch = self._outbox.persisted(number)
        for receiver, message in batch.messages:
            if receiver == self.node:
                self.step(self.node, message)
        if self.leadership is not None:
            self._advance_commit_index(self.leadership)

    def persisting(self) -> None:
        """Note that a further part of the batch is durable: the disk does not hang."""
        self._outbox.persisting(self.settings.heartbeat_ticks)

    def applied(self, index: int) -> None:
        """Note that the state machine has applied every entry up to that index."""
        self.last_applied = index

    @property
    def lacking_index(self) -> int:
        """The first index that a responsive follower may still lack; last_index + 1 unless this node leads."""
        return self.last_index + 1 if self.leadership is None else self.leadership.lacking_index

    def compacted(self, snapshot: Point, index: int) -> list[Run]:
        """Note that a snapshot is durable; drop the entries up to `index` that it covers, and return their runs."""
        self.snapshot = snapshot
        # Entries that are not synced yet stay: the log on the disk must not get a hole.
        before = self.log.compact(min(snapshot.index, index, self.durable_index))
        self._configurations.compact(self.log.base_index)
        return before

    def snapshot_stored(self, last_included_index: int, offset: int) -> None:
        """Acknowledge the leader's snapshot up to `offset`: that much of it is stored."""
        if self.role == "follower" and self.leader is not None:
            self._answer(self.leader, InstallSnapshotReply(self.term, last_included_index, offset))

    def installed(self, snapshot: Point, configuration_index: int, configuration: Configuration) -> None:
        """Go on from a leader's snapshot: it is durable, and the state machine has been loaded from it (§7).

        A log that holds the snapshot's last entry keeps the entries after it; any other log is discarded whole.
        Raises ValueError where the snapshot holds nothing that is not committed already.
        """
        if snapshot.index <= self.commit_index:
            raise ValueError(f"the snapshot ends at {snapshot.index}, and {self.commit_index} is committed")
        if self.log.term_at(snapshot.index) == snapshot.term:
            self.log.compact(min(snapshot.index, self.durable_index))
        else:
            self.log.begin_anew(snapshot.index, snapshot.term)
            self._configurations.truncate_from(configuration_index + 1)
            self._outbox.begin_anew(snapshot)
        self._configurations.replace(configuration_index, configuration)
        self._adopt_configuration()
        self.snapshot = snapshot
        self.commit_index = self.last_applied = self._committed_handed = snapshot.index
        if self.leader is not None:
            self._acknowledge(self.leader, snapshot.index, 0)

    def configuration_at(self, index: int) -> tuple[int, Configuration]:
        """The index of the configuration in force at `index`, and the configuration; `index` must be in the log."""
        return self._configurations.at(index)

    # Calls out

    def ready(self) -> Ready | None:
        """What the caller must do now; None when there is nothing."""
        reads: list[int] = []
        leadership = self.leadership
        if leadership is not None:
            leadership.begin_read_round(self.commit_index)
            if leadership.transfer is not None:
                leadership.urge_successor(leadership.transfer, self.commit_index)
            reads = leadership.reads.take_servable(self.last_applied)
        batch = None
        if leadership is None:
            batch = self._outbox.next_batch(self.hard_state, self.log)
        elif not (leadership.disk_may_wait(self.commit_index) and self._outbox.holds_entries_alone(self.hard_state)):
            batch = self._outbox.next_batch(self.hard_state, self.log)
            leadership.disk_due = False
        messages = self._outbox.take_messages()
        committed = NO_ENTRIES
        if self._committed_handed < self.commit_index:
            committed = self.log.slice(self._committed_handed + 1, self.commit_index)
            self._committed_handed = self.commit_index
        news, self._leadership_news = self._leadership_news, None
        pieces, self._pieces = self._pieces, []
        if batch is None and not messages and not committed and not reads and news is None and not pieces:
            return None
        return Ready(batch, messages, committed, reads, news, pieces)

    def next_append(self, peer: NodeId) -> AppendEntries | InstallSnapshot | None:
        """The next message for that peer; None where there is nothing to send, or another node leads.

        Call it while the peer's connection has room, until it returns None.
        """
        leadership = self.leadership
        return None if leadership is None else leadership.next_append(peer, self.commit_index, self.snapshot)

    # Elections (§5.2, thesis §9.6)

    def _draw_timeout(self) -> int:
        return self._random.randrange(self.settings.election_ticks, 2 * self.settings.election_ticks)

    def _wait_shortly(self) -> None:
        self._elapsed = 0
        self._timeout = self._random.randrange(0, self.settings.lost_ticks + 1)

    def _follows_a_live_leader(self) -> bool:
        """Whether the leader spoke a moment ago: a reason to refuse every candidate (thesis §4.2.3)."""
        if self.leadership is not None:
            return True  # check-quorum ends this where nobody answers
        return self.leader is not None and not self._leader_lost and self._elapsed < self.settings.election_ticks

    def _pre_campaign(self) -> None:
        """Ask whether an election could be won, before raising the term."""
        self._elapsed = 0
        self._timeout = self._draw_timeout()
        self.leader = None  # whoever may stand: requests that wait for that leader must be told
        disk_hangs = self._outbox.batch_elapsed >= self.settings.election_ticks
        if disk_hangs or not self._configurations.may_campaign(self.node, self.commit_index):
            return  # a node that cannot sync its own vote must not ask for others'
        self._campaign = Campaign("pre-candidate")
        self._ask_for_votes(PreVote(self.term + 1, self.log.last_index, self.log.last_term), self._outbox.send)
        self._count_vote(self._campaign, self.node, True)

    def _stand(self, transfer: bool = False) -> None:
        """Raise the term and ask for votes. The node's own vote counts, like any other, once it is synced."""
        self._campaign = Campaign("candidate")
        self.leader = None
        self._elapsed = 0
        self._timeout = self._draw_timeout()
        self.hard_state = HardState(self.term + 1, self.node)
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
        campaign = self._campaign
        if campaign is None or campaign.role != "pre-candidate":
            return
        if not message.granted or message.term == self.term + 1:
            self._count_vote(campaign, sender, message.granted)

    def _on_request_vote(self, sender: NodeId, message: RequestVote) -> None:
        granted = self.hard_state.voted_for in (None, sender) and self.log.is_up_to_date(
            message.last_index, message.last_term
        )
        if granted and self.leadership is None:
            self._campaign = None
            self.hard_state = HardState(self.term, sender)
            self._elapsed = 0
            self._timeout = self._draw_timeout()
        self._answer(sender, RequestVoteReply(self.term, granted))

    def _on_request_vote_reply(self, sender: NodeId, message: RequestVoteReply) -> None:
        if self._campaign is not None and self._campaign.role == "candidate":
            self._count_vote(self._campaign, sender, message.granted)

    def _on_timeout_now(self, sender: NodeId, message: TimeoutNow) -> None:  # noqa: ARG002
        """Stand at once, without a pre-vote: the leader itself wishes it (thesis §3.10)."""
        disk_hangs = self._outbox.batch_elapsed >= self.settings.election_ticks
        if sender == self.leader and self.node in self.configuration.voters and not disk_hangs:
            self._stand(transfer=True)

    def _count_vote(self, campaign: Campaign, voter: NodeId, granted: bool) -> None:
        campaign.count(voter, granted)
        if campaign.is_won(self.configuration.voters):
            if campaign.role == "pre-candidate":
                self._stand()
            else:
                self._become_leader(campaign)
        elif not granted:
            self._vote_refused()

    def _vote_refused(self) -> None:
        """With the leader known dead, try again after a fresh short wait.

        Silence is no reason to: a voter whose disk is slow would see the term raised before it could answer.
        """
        if self._leader_lost:
            self._wait_shortly()
            self._timeout += 1

    def _become_follower(self, term: int) -> None:
        """Adopt a higher term, whose leader is not known yet."""
        self._end_leadership("leader_changed")
        self.hard_state = HardState(term, None)
        self._campaign = None
        self.leader = None
        self._answered_round = 0
        if self._leader_lost:
            self._wait_shortly()

    def _become_leader(self, campaign: Campaign) -> None:
        """Lead this term, and open it with a no-op: only entries of its own term can be counted (§5.4.2, §8)."""
        self._campaign = None
        self.leader = self.node
        self._leader_lost = False
        self.leadership = Leadership(
            self.node,
            self.term,
            self.configuration,
            log=self.log,
            outbox=self._outbox,
            settings=self.settings,
            votes=campaign.votes,
        )
        self._leadership_news = Won(self.term)
        noop = self._codec.seal(self.leadership.start, self.term, "noop", b"null")
        self.log.append(Entries.of([noop]))
        self.leadership.uncommitted_bytes = self.log.slice(self.commit_index + 1, self.log.last_index).size

    def _end_leadership(self, reason: LostReason) -> None:
        if self.leadership is None:
            return
        self.leadership = None
        self.leader = None
        self._leadership_news = Lost(reason)
        self._elapsed = 0
        self._timeout = self._draw_timeout()

    def _tick_leader(self, leadership: Leadership) -> None:
        """Do what falls due: heartbeats, a removed member's end, the check of the quorum."""
        if leadership.tick():
            leadership.forget_removed(self._configurations.index, self.commit_index)
        if leadership.must_step_down():
            self._end_leadership("no_quorum")

    # Replication (§5.3)

    def _answer_stale(self, sender: NodeId, message: Message) -> None:
        """Tell a sender whose term is stale what the term is, so that it catches up or steps down."""
        match message:
            case AppendEntries():
                self._answer(sender, AppendEntriesReply(self.term, False, 0, 0, message.prev_index))
            case InstallSnapshot():
                self._answer(sender, InstallSnapshotReply(self.term, message.last_included_index, message.offset))
            case PreVote():
                self._answer(sender, PreVoteReply(self.term, False))
            case RequestVote() if self.hard_state.voted_for != sender:  # a candidate that it voted for knows this term
                self._answer(sender, RequestVoteReply(self.term, False))

    def _on_append_entries(self, sender: NodeId, message: AppendEntries) -> None:
        if not self._follow(sender):
            return
        self.told_commit_index = message.commit_index
        base = self.log.base_index
        if message.prev_index >= base and self.log.term_at(message.prev_index) != message.prev_term:
            hint_index, hint_term = self.log.agreement_bound(message.prev_index, message.prev_term)
            refusal = AppendEntriesReply(self.term, False, 0, message.round, message.prev_index, hint_index, hint_term)
            self._answer(sender, refusal)
            return
        # Entries before the base are committed, and so the leader has the same.
        entries = Entries.of(message.entries)
        if not self._take_entries(entries[max(0, base - message.prev_index) :]):
            return
        agreed = max(base, message.prev_index + len(entries))
        self.commit_index = max(self.commit_index, min(message.commit_index, agreed))
        self._acknowledge(sender, agreed, message.round)

    def _follow(self, sender: NodeId) -> bool:
        """Accept the sender as the leader of this term; return False where that cannot be."""
        if self.leadership is not None or (self.leader is not None and self.leader != sender):
            return False  # a term has one leader (Election Safety): somebody lies
        if self.leader is None:
            self._answered_round = 0
        self._campaign = None
        self.leader = sender
        self._leader_lost = False
        self._elapsed = 0
        self._timeout = self._draw_timeout() if self._timeout < self.settings.election_ticks else self._timeout
        return True

    def _take_entries(self, entries: Entries) -> bool:
        """Append the new entries in place of conflicting ones; return False where those are committed."""
        new = entries[self.log.first_conflict(entries) :]
        if not new:
            return True
        first = new.first_index
        if first <= self.commit_index:
            return False  # no leader lacks a committed entry (Leader Completeness): it lies, or has lost its disk
        if first <= self.log.last_index:
            self.log.truncate_from(first)
            self._outbox.truncate_from(first)
            self._configurations.truncate_from(first)
        self._append(new)
        return True

    def _append(self, entries: Entries) -> None:
        """Append to the log. A configuration is in force from then on, committed or not (thesis §4.1)."""
        self.log.append(entries)
        for entry in entries.of_kind("configuration"):
            if entry.index > self._configurations.index:
                self._configurations.append(entry.index, self._codec.read_configuration(entry))
        self._adopt_configuration()

    def _adopt_configuration(self) -> None:
        if self.configuration is not self._configurations.current:
            self.configuration = self._configurations.current
            if self.leadership is not None:
                self.leadership.follow(self.configuration)

    def _acknowledge(self, leader: NodeId, agreed: int, round: int) -> None:
        """Acknowledge the synced part of what agrees now, and the rest once that is synced too.

        Where a round asks or the disk is slow, say before the sync that this node still follows.
        """
        durable = min(agreed, self.durable_index)
        slow = self.settings.heartbeat_ticks <= self._outbox.batch_elapsed < self.settings.election_ticks
        if durable == agreed or round > self._answered_round or slow:
            self._answered_round = round
            self._answer(leader, AppendEntriesReply(self.term, True, durable, round))
        if durable < agreed:
            self._outbox.gate(leader, AppendEntriesReply(self.term, True, agreed, round))

    def _on_append_entries_reply(self, sender: NodeId, message: AppendEntriesReply) -> None:
        leadership = self.leadership
        if leadership is not None and leadership.on_append_entries_reply(sender, message):
            self._advance_commit_index(leadership)

    # Snapshots (§7)

    def _on_install_snapshot(self, sender: NodeId, message: InstallSnapshot) -> None:
        if not self._follow(sender):
            return
        if message.last_included_index <= self.commit_index:
            self._acknowledge(sender, message.last_included_index, 0)
        else:
            self._pieces.append((sender, message))

    def _on_install_snapshot_reply(self, sender: NodeId, message: InstallSnapshotReply) -> None:
        if self.leadership is not None:
            self.leadership.on_install_snapshot_reply(sender, message)

    # Commitment

    def _advance_commit_index(self, leadership: Leadership) -> None:
        """Commit what a majority has synced. A removed leader steps down when that is committed (thesis §4.2.2)."""
        index = leadership.committable(self.commit_index)
        if index == self.commit_index:
            return
        leadership.uncommitted_bytes -= self.log.slice(self.commit_index + 1, index).size
        self.commit_index = index
        if self.node not in self.configuration.voters and self._configurations.index <= index:
            self._end_leadership("leader_changed")

    def _answer(self, receiver: NodeId, message: Message) -> None:
        """Send at once if term and vote are synced, or else with the batch that syncs them."""
        self._outbox.answer(self.hard_state, receiver, message)
