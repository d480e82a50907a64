"""Raft in one page, each idea naming the type that carries it.

Several nodes keep the same **log** (`log.Log`): entries numbered from 1, each with the term in which a leader made it
(`messages.Entry`), kept and sent in runs (`runs.Run`). Nodes that apply the same entries in the same order reach the
same state. So Raft has two tasks: it makes the logs agree, and it says up to which index they are final.

**Terms and votes.** Time is cut into terms, each with at most one leader (Election Safety). A node that hears from no
leader for an election timeout becomes a candidate: it raises the term and asks for votes (`messages.RequestVote`,
`campaign.Campaign`). The timeout is random, so that two nodes seldom stand at once. A node votes once a term, and only
for a candidate whose log is at least as up to date as its own. It syncs its term and vote (`messages.HardState`)
before it answers: it could give a vote twice that a crash made it forget. A question that costs nothing precedes the
election (`messages.PreVote`): could I win? A node that is cut off asks again and again, but its term stays, so that it
disturbs nobody when it returns. Nodes that hear a live leader refuse both questions.

**Replication.** The leader (`leadership.Leadership`) appends commands to its log and sends them
(`messages.AppendEntries`) with the index and term of the entry before them. A follower accepts them only if it holds
that entry. Two logs with the same term at an index are therefore the same up to there (Log Matching). A follower that
refuses says where the logs could agree (`Log.agreement_bound`); the leader steps back to that place, and its entries
replace the follower's. What the leader knows of each follower is in `progress.Progress`: it probes first, and streams
once the logs agree.

**Commitment.** An entry of the leader's own term that a majority (`quorum`) has synced is committed, with all before
it. No leader without it can be elected any more: a majority holds it, a majority must vote, and a node in both refuses
a log that lacks it (Leader Completeness). Entries of older terms do not count on their own (Figure 8). This is why a
new leader first appends a no-op.

**Reads** (`reads.Reads`) need no entry in the log, but proof that the leader was not deposed without its knowledge: a
round of messages that begins after the read arrived, and that a majority answers. No clock is trusted. A leader steps
down if no majority answers it for an election timeout (check-quorum), so that its clients are told instead of left
waiting.

**A dead leader** need not be waited for: when its process breaks its connections and refuses new ones
(`Core.peer_lost`), its followers campaign after a few milliseconds, and grant each other their votes at once.

**The disk.** `core.Core` does no I/O. It hands out a `ready.Batch` of what must be durable, with the messages that
rest on it: these go when the batch is synced, all others at once. `outbox.Outbox` keeps the two kinds apart. The
leader counts itself, like any other node, only as far as it has synced.

**Snapshots.** A snapshot of the state can take the place of the entries that led to it: the log then begins at a base
(`Log.compact`). A follower that lacks dropped entries is sent the snapshot in pieces (`messages.InstallSnapshot`), and
goes on from there (`Core.installed`).

**Members.** The log also says who votes (`membership.Configuration`). A configuration is in force as soon as it is
appended (`configurations.Configurations`). Members come and go one at a time, so that the majorities of successive
configurations overlap. A newcomer learns before it votes.

**Handing over.** A leader that is to stop brings another node up to date and tells it to stand (`transfer.Transfer`,
`messages.TimeoutNow`): nobody waits for a timeout, and no write is lost.
"""
