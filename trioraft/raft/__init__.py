"""Raft in one page, each idea naming the type that carries it.

Several nodes keep the same **log** (`log.Log`): entries numbered from 1, each with the term in which a leader
made it (`messages.Entry`), kept and sent as they came together (`runs.Run`). Who applies the same entries in the same
order reaches the same state, so all that Raft has to do is to make the logs agree, and to say from which index on
nothing can change any more.

**Terms and votes.** Time is cut into terms, each with at most one leader (Election Safety). A node that hears
from no leader for an election timeout, drawn at random so that seldom two stand at once, becomes a candidate:
it raises the term and asks for votes (`messages.RequestVote`). A node votes once a term, only for a log at
least as up to date as its own, and has term and vote (`messages.HardState`) synced before it answers: a vote
that a crash could forget could be given twice. Before that comes a question that costs nothing
(`messages.PreVote`): could I win? A node cut off from the rest asks and asks, but its term stays, so that its
return disturbs nobody. Who hears a living leader refuses both.

**Replication.** The leader appends commands to its log and sends them (`messages.AppendEntries`) with the
index and term of the entry before them. A follower takes them only if it has that entry: so two logs that hold
the same term at an index are the same up to there (Log Matching). If not, both step back to where they could
agree (`Log.agreement_bound`), and the leader's entries replace the follower's. What the leader knows of each
follower is in `progress.Progress`: first it probes, then it streams.

**Commitment.** An entry that a majority (`quorum`) has synced, in the leader's own term, is committed, with
all before it. No leader without it can be elected any more: a majority voted, a majority has it, and whoever
is in both refuses a log that lacks it (Leader Completeness). Entries of older terms do not count on their own
(Figure 8): hence a new leader's first act, a no-op.

**Reads** (`reads.Reads`) need no entry in the log, but a proof that the leader was not deposed unknown to it:
a round of messages, begun after the read came, that a majority answers. No clock is trusted with it. On the
other hand, a leader that a majority has not answered for an election timeout steps down (check-quorum), so
that its clients are told and not left waiting.

**A dead leader** need not be waited for: when its process breaks its connection and refuses the next one
(`Core.peer_lost`), its followers campaign after a few milliseconds, and grant each other their votes at once.

**What goes to disk first.** `core.Core` does no I/O. It hands out a `ready.Batch` of what must be durable and
the messages that rest on it; these are sent when the batch is synced, everything else at once. The leader
counts itself, like any other, only as far as it has synced. `outbox.Outbox` keeps the two kinds of message apart.

**Snapshots.** What is applied can be kept as the state that it led to, and the entries let go: the log begins at
a base then (`Log.compact`). Who lacks what is gone is sent the snapshot, piece by piece (`messages.InstallSnapshot`),
and goes on from there (`Core.installed`).

**Members.** Who votes stands in the log too (`membership.Configuration`), and is in force from the moment that it is
appended (`configurations.Configurations`). One member at a time comes or goes, so that majorities of any two
configurations that follow each other share somebody. A newcomer learns before it votes.

**Handing over.** A leader that is to stop brings another up to date and tells it to stand (`transfer.Transfer`,
`messages.TimeoutNow`): nobody waits for a timeout, and nobody's write is lost.
"""
