"""The operations: each type of request that a client may send, under its row of the table (`trioraft.wire.table`).

All else that depends on the operation is derived from here: how a line is read, which requests write, what a client may
try again, `help`, the word commands, and the table in docs/protocol.md. To add an operation, add a type of request with
its row. The row of a write names its `command`, a class of `trioraft.kv.commands`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Annotated, ClassVar, Final, Literal

import msgspec

from trioraft.addresses import parse_address
from trioraft.kv import commands
from trioraft.kv.bounds import MAX_INTEGER, Index, Key, Prefix, Revision, Step
from trioraft.kv.interests import Condition, Interest, KeyInterest, PrefixInterest, comparable
from trioraft.kv.queries import LocksQuery, ScanQuery
from trioraft.kv.transactions import Branch, Checks, GetInside
from trioraft.wire import cluster_commands
from trioraft.wire.cluster_commands import ClusterCommand
from trioraft.wire.faults import FaultRequest
from trioraft.wire.replies import get_reply, locks_reply, scan_reply, transaction_reply
from trioraft.wire.table import OPERATION_OF as OPERATION_OF
from trioraft.wire.table import OPERATIONS as OPERATIONS
from trioraft.wire.table import (
    Client,
    FencedWrite,
    InSession,
    KeyRead,
    Node,
    Operation,
    PlainRequest,
    Read,
    ReadRequest,
    Request,
    WaitMs,
    Write,
)

USUAL_LIMIT: Final = 1000
"""How many keys, leases or locks a request is about that names no limit."""
Limit = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
MOST_LEASES: Final = 10_000
"""The most leases that one keepalive names."""
_ABSENT: Final = msgspec.Raw(b"")


class PlainGet(PlainRequest, kw_only=True, gc=False):
    """The value of a key, never a stale one."""

    op: Literal["get"]
    key: Key


@Operation(
    kind="read",
    summary='the value of a key; "read":"stale" asks this node alone',
    example='{"op":"get","key":"name"}',
    fields='`key`; `read`: `"linearizable"` (default) or `"stale"`, then `max_age_ms`; `min_rev`',
    answer="`value`, `rev`, `created`, `version`; missing: null and zeros; `at`",
    word=True,
    plain=PlainGet,
    query=attrgetter("key"),
    reply=get_reply,
)
class Get(KeyRead, tag="get", kw_only=True, gc=False):
    """The value of a key."""

    key: Key


class PlainPut(PlainRequest, kw_only=True, gc=False):
    """Give a key a value, whatever it has now."""

    op: Literal["put"]
    key: Key
    value: msgspec.Raw


@Operation(
    kind="write",
    summary='give a key a value; "if_rev":0 only if it does not exist, "if_rev":12 only if it has that revision',
    example='{"op":"put","key":"name","value":"Alice"}',
    fields="`key`, `value`; `if_rev`: the revision it must have, 0: must not exist; `lease`: the key goes when that"
    " ends; without it the key is tied to none any more",
    answer="`rev`",
    plain=PlainPut,
    command=commands.Put,
    newer=("lease",),
)
class Put(FencedWrite, tag="put", kw_only=True, gc=False):
    """Give a key a value."""

    key: Key
    value: msgspec.Raw
    if_rev: Revision | None = None
    lease: Index | None = None


@Operation(
    kind="write",
    summary="remove a key; takes if_rev too; or with prefix the first keys that begin so, at most limit",
    example='{"op":"delete","key":"name"}',
    fields="`key`; `if_rev`; or `prefix`, `limit` (1000; at most 10000)",
    answer="`deleted`: how many, `rev`, 0 where there was nothing; with `prefix` `more`: whether others are left",
    command=commands.Delete,
    newer=("prefix",),
)
class Delete(FencedWrite, tag="delete", kw_only=True, gc=False):
    """Remove a key, or the first keys with a prefix."""

    key: Key | None = None
    if_rev: Revision | None = None
    prefix: Prefix | None = None
    limit: Limit | None = None

    def __post_init__(self) -> None:
        """Check that the fields fit each other. Raises ValueError."""
        FencedWrite.__post_init__(self)
        if (self.key is None) == (self.prefix is None):
            raise ValueError("it takes either 'key' or 'prefix'")
        if self.prefix is not None and self.if_rev is not None:
            raise ValueError("'if_rev' is for a 'key'")
        if self.key is not None and self.limit is not None:
            raise ValueError("'limit' is for a 'prefix'")

    def enveloped(self, command: commands.Command) -> commands.Command | ClusterCommand:
        """The command that the log is to carry: for a prefix another one than for a key."""
        if self.prefix is not None:
            command = commands.DeletePrefix(self.prefix, self.limit or USUAL_LIMIT)
        return FencedWrite.enveloped(self, command)


@Operation(
    kind="read",
    summary="the keys with a prefix, in order; takes after, limit, keys_only, read",
    example='{"op":"scan","prefix":"na","limit":10}',
    fields="`prefix`, `after`, `limit` (1000; at most 10000), `keys_only`, `read`, `max_age_ms`, `min_rev`",
    answer="`items` in key order, at most 1 MiB of keys and values, with `keys_only` of keys, `more`, and `at`",
    query=lambda scan: ScanQuery(scan.prefix, scan.after, scan.limit, scan.keys_only),
    reply=scan_reply,
    large=True,
)
class Scan(KeyRead, tag="scan", kw_only=True, gc=False):
    """The keys with a prefix, in order."""

    prefix: Prefix = ""
    after: Prefix | None = None
    limit: Limit = USUAL_LIMIT
    keys_only: bool = False


@Operation(
    kind="write",
    summary="add to the integer at a key",
    example='{"op":"incr","key":"visits","by":1}',
    fields="`key`, `by` (1)",
    answer="`value` after, `rev`; integers within ±(2^63−1), a missing key counts as 0",
    command=commands.Incr,
    codes=("conflict",),
)
class Incr(FencedWrite, tag="incr", kw_only=True, gc=False):
    """Add to the integer at a key."""

    key: Key
    by: Step = 1


class ReadTxn(ReadRequest, tag="txn", kw_only=True, gc=False):
    """A transaction that changes nothing, whatever its checks find."""

    checks: Checks
    then: Branch
    otherwise: Branch = msgspec.field(name="else")


@Operation(
    kind="write",
    summary="if all checks hold do then, else do else: whole and at once; without writes it makes no entry",
    example='{"op":"txn","checks":[{"key":"a","rev":0}],"then":[{"op":"put","key":"a","value":1}],'
    '"else":[{"op":"get","key":"a"}]}',
    fields='`checks`, each one of `{"key","rev"}`, `{"key","value"}`, `{"key","exists"}`, `{"lock","fence"}`,'
    ' `{"lease"}`: it lives; `then` and `else`: `get`, `put` (with `lease`), `delete` of one key, `incr`; at most 128'
    " each, and in a branch no key is written twice; without writes also `min_rev`",
    answer="`succeeded`: whether all checks held; `results` of that branch: the fields that each operation answers, the"
    ' values up to 4 MiB, then `"omitted":true`; `rev` of all that was written, 0 where nothing changed; `at`. If an'
    " operation cannot be done, its error with `failed`: its place from 0 on, and nothing is changed",
    command=commands.Txn,
    codes=("conflict", "lease_expired"),
    level=2,
)
class Txn(FencedWrite, tag="txn", kw_only=True, gc=False):
    """Checks, and operations of which one branch is carried out, whole or not at all."""

    inside: ClassVar[int] = 3

    then: Branch
    checks: Checks = msgspec.field(default_factory=list)
    otherwise: Branch = msgspec.field(name="else", default_factory=list)
    min_rev: Revision = 0
    """For one that only reads. What writes comes after every revision that its client can have seen."""

    def __post_init__(self) -> None:
        """Check that no branch writes a key twice. Raises ValueError."""
        FencedWrite.__post_init__(self)
        for branch, name in ((self.then, "then"), (self.otherwise, "else")):
            written = [operation.key for operation in branch if not isinstance(operation, GetInside)]
            if len(set(written)) < len(written):
                raise ValueError(f"'{name}' writes a key twice")

    @property
    def parts(self) -> Iterable[msgspec.Struct]:
        """The checks, and the operations of both branches."""
        return (*self.checks, *self.then, *self.otherwise)

    def narrowed(self) -> Request:
        """As a read, if it only reads, and nothing says what a write is to do."""
        if self.client is not None or self.lock is not None:
            return self
        if not all(isinstance(operation, GetInside) for operation in (*self.then, *self.otherwise)):
            return self
        return ReadTxn(
            id=self.id,
            timeout_ms=self.timeout_ms,
            forward=self.forward,
            min_rev=self.min_rev,
            checks=self.checks,
            then=self.then,
            otherwise=self.otherwise,
        )


OPERATION_OF[ReadTxn] = Operation(
    kind="read",
    name="txn",
    request=ReadTxn,
    summary="",
    example=OPERATIONS["txn"].example,
    fields="",
    answer="",
    query=lambda txn: commands.Txn(txn.checks, txn.then, txn.otherwise),
    reply=transaction_reply,
    level=2,
)


@Operation(
    kind="write",
    summary="begin a lease: keys and locks that are tied to it go when it ends",
    example='{"op":"lease_grant","ttl_ms":10000}',
    fields="`ttl_ms` (10000; 1000 to 86400000): it lives at least so long after it was begun, or last kept alive",
    answer="`lease`, a number that no other gets",
    command=commands.LeaseGrant,
    repeatable=True,
    level=2,
)
class LeaseGrant(FencedWrite, tag="lease_grant", kw_only=True, gc=False):
    """Begin a lease."""

    ttl_ms: Annotated[int, msgspec.Meta(ge=1000, le=86_400_000)] = 10_000


@Operation(
    kind="write",
    summary="end a lease, with its keys and locks",
    example='{"op":"lease_revoke","lease":1234}',
    fields="`lease`",
    answer="`deleted`: how many keys went, `rev`, 0 where it had ended",
    command=commands.LeaseRevoke,
    repeatable=True,
    level=2,
)
class LeaseRevoke(FencedWrite, tag="lease_revoke", kw_only=True, gc=False):
    """End a lease."""

    lease: Index


@Operation(
    kind="write",
    summary='take a lock for a lease, or a place in its queue; "wait_ms":0 only if it is free',
    example='{"op":"lock","name":"job","lease":1234,"wait_ms":0}',
    fields="`name`, `lease`; `wait_ms`: how long to wait; absent: for ever, 0: not at all",
    answer="`fence`: the index of the entry that granted it; or `waiting`: true, `ahead`: how many, its holder"
    " included, and then [an event](#locks-that-are-waited-for); `timeout` with `applied` no where another holds it and"
    " `wait_ms` is 0",
    command=commands.Lock,
    repeatable=True,
    codes=("lease_expired",),
    level=2,
)
class Lock(FencedWrite, tag="lock", kw_only=True, gc=False):
    """Take a lock, or a place in its queue."""

    name: Key
    lease: Index
    wait_ms: WaitMs | None = None

    @property
    def waits(self) -> bool:
        """Whether it takes a place in the queue where another holds the lock."""
        return self.wait_ms != 0


@Operation(
    kind="write",
    summary="release a lock, which passes on to the first that waits",
    example='{"op":"unlock","name":"job","lease":1234}',
    fields="`name`, `lease`; `fence`: only if it is held under that one",
    answer="`rev`: the index of the entry that released it, 0 where it was not held so",
    command=commands.Unlock,
    repeatable=True,
    level=2,
)
class Unlock(Write, tag="unlock", kw_only=True, gc=False):
    """Release a lock."""

    name: Key
    lease: Index
    fence: Index | None = None


@Operation(
    kind="read",
    summary="the locks that are held, in order; takes after, limit",
    example='{"op":"locks"}',
    fields="`after`: a name, `limit` (1000; at most 10000), `min_rev`",
    answer="`locks` (`name`, `lease`, `fence`, `waiters`: how many wait), at most 1 MiB, `more`, `at`",
    query=lambda locks: LocksQuery(locks.after, locks.limit),
    reply=locks_reply,
    large=True,
    level=2,
)
class Locks(ReadRequest, tag="locks", kw_only=True, gc=False):
    """The locks that are held."""

    after: Prefix | None = None
    limit: Limit = USUAL_LIMIT


@Operation(
    kind="write",
    summary="how many changes and bytes of keys and values the cluster keeps for watches that resume",
    example='{"op":"set_history","changes":100000,"bytes":16777216}',
    fields="`changes` (1 to 10000000), `bytes` (1 to 1073741824): of keys and values; at first 100000 and 16 MiB",
    answer="`rev`; what is beyond is cut, by whole entries, but never the newest",
    command=commands.SetHistory,
    level=2,
)
class SetHistory(FencedWrite, tag="set_history", kw_only=True, gc=False):
    """Set the bounds of the history."""

    changes: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
    bytes: Annotated[int, msgspec.Meta(ge=1, le=1024 * 1024 * 1024)]


@Operation(
    kind="write",
    summary="open a session: writes with its client and seq 1, 2, ... are applied once, however often they are asked",
    example='{"op":"open_session"}',
    fields="",
    answer="`client`, for the writes of this session",
    command=cluster_commands.OpenSession,
    repeatable=True,
    level=2,
)
class OpenSession(Request, tag="open_session", kw_only=True, gc=False):
    """Open a session."""


@Operation(
    kind="write",
    summary="close a session; what it remembers is forgotten",
    example='{"op":"close_session","client":"3fa9c2d1-118"}',
    fields="`client`",
    answer="also where it was not open; `session_expired` where it is another cluster's",
    command=cluster_commands.CloseSession,
    repeatable=True,
    codes=("session_expired",),
    level=2,
)
class CloseSession(InSession, tag="close_session", kw_only=True, gc=False):
    """Close a session."""

    client: Client


@Operation(
    kind="stream",
    summary="each change of the keys with a prefix, or of a key, from now on; takes after_rev, initial, read",
    example='{"op":"watch","id":7,"prefix":"na"}',
    fields="`prefix` or `key`; `after_rev`: from there on; or `initial`: the present keys first; `read`, `min_rev`;"
    " `progress_ms` (5000; 100 to 60000); `cluster`: refuse another one",
    answer="`waiting`: true, `at`, `cluster`, and then [events](#watches-and-waits)",
    codes=("bad_request", "compacted", "membership", "no_quorum", "overloaded", "shutting_down"),
    newer=("initial",),
)
class Watch(ReadRequest, tag="watch", kw_only=True, gc=False):
    """Each change of some keys."""

    key: Key | None = None
    prefix: Prefix | None = None
    after_rev: Revision | None = None
    initial: bool = False
    read: Read = "linearizable"
    progress_ms: Annotated[int, msgspec.Meta(ge=100, le=60_000)] = 5000
    cluster: str | None = None

    def __post_init__(self) -> None:
        """Check which fields go together. Raises ValueError, which the decoder turns into its own error."""
        if (self.key is None) == (self.prefix is None):
            raise ValueError("a watch has either a 'key' or a 'prefix'")
        if self.initial and self.after_rev is not None:
            raise ValueError("a watch has either 'initial' or an 'after_rev'")

    @property
    def is_stale(self) -> bool:
        """Whether nothing is confirmed before it begins."""
        return self.read == "stale" or self.after_rev is not None

    @property
    def interest(self) -> Interest:
        """What it is to be told of."""
        return PrefixInterest(self.prefix or "") if self.key is None else KeyInterest(self.key)


@Operation(
    kind="stream",
    summary="until a key exists, is missing, has a value, or a revision above one; takes wait_ms",
    example='{"op":"wait","id":8,"key":"name","exists":true,"wait_ms":1000}',
    fields="`key`; one of `exists`: true, `missing`: true, `value`, `rev_above`; `wait_ms`: how long, 0 not at all;"
    " `read`, `min_rev`; `cluster`",
    answer="the key's state as `get` shows it, if it holds already; else `waiting`: true, `at`, `cluster`, and then"
    " [an event](#watches-and-waits)",
    codes=("bad_request", "membership", "no_quorum", "overloaded", "shutting_down", "timeout"),
)
class Wait(ReadRequest, tag="wait", kw_only=True, gc=False):
    """The moment when a key is in a certain state."""

    key: Key
    exists: bool | None = None
    missing: bool | None = None
    value: msgspec.Raw = _ABSENT
    rev_above: Revision | None = None
    wait_ms: WaitMs | None = None
    read: Read = "linearizable"
    cluster: str | None = None

    def __post_init__(self) -> None:
        """Check that there is one condition. Raises ValueError, which the decoder turns into its own error."""
        given = (self.exists, self.missing, self.rev_above, bytes(self.value) or None)
        if sum(one is not None for one in given) != 1 or False in (self.exists, self.missing):
            raise ValueError("a wait has one of 'exists':true, 'missing':true, 'value', 'rev_above'")

    @property
    def interest(self) -> Condition:
        """What it waits for."""
        if self.rev_above is not None:
            return Condition(self.key, "rev_above", rev=self.rev_above)
        if self.exists or self.missing:
            return Condition(self.key, "exists" if self.exists else "missing")
        return Condition(self.key, "value", comparable(bytes(self.value)))


@Operation(
    kind="stream",
    summary="end what was asked with that id on this connection, and goes on",
    example='{"op":"cancel","request":7}',
    fields="`request`: the `id` of it",
    answer="once no event of it can come any more; also where it is not open; `fence` where it waited for a lock that"
    " it holds now",
    codes=("timeout",),
)
class Cancel(Request, tag="cancel", kw_only=True, gc=False):
    """End what was asked with that id."""

    request: msgspec.Raw

    @property
    def is_stale(self) -> bool:
        """True: it needs nobody's confirmation."""
        return True


@Operation(
    kind="local",
    summary="who leads, the term, and how far this node is",
    example='{"op":"status"}',
    fields="",
    answer="`node`, `role`, `term`, `leader`, `leader_address`, `commit_index`, `last_applied`, `first_index`,"
    " `last_index`, `at`, `members`, `level`: the cluster's, as applied here, `supported_level`: this program's;"
    " `cluster`: its id, null before it has formed, `folder`: the id of the data folder, `servers`: the lines of"
    " servers.txt, `troubles`: what keeps this node and others [apart](#troubles-between-nodes) now; a node"
    " of no cluster yet has the `role` `unformed`, and `waiting_for`: for which nodes it waits, and why; empty while"
    " they agree; a node that knows that it was removed has the `role` `removed`, and as `members` those that it was"
    " told of",
    word=True,
)
class Status(Request, tag="status", kw_only=True, gc=False):
    """How this node sees itself and the cluster."""


@Operation(
    kind="local",
    summary="this node's figures: how far it is, what it holds, how quick its disk is, whom it hears",
    example='{"op":"metrics"}',
    fields="",
    answer="[figures](#the-figures-of-a-node), each where this node knows it",
    word=True,
)
class Metrics(Request, tag="metrics", kw_only=True, gc=False):
    """This node's figures."""


@Operation(
    kind="local",
    summary="entries of this node's log; takes from, limit",
    example='{"op":"show_log","limit":10}',
    fields="`from`, `limit` (100, the newest; at most 1000)",
    answer="`entries` (`index`, `term`, `command`, `committed`, `applied`), at most 1 MiB or one entry, and `more`",
    word=True,
    large=True,
)
class ShowLog(Request, tag="show_log", kw_only=True, gc=False):
    """Entries of this node's own log."""

    from_: Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)] | None = msgspec.field(name="from", default=None)
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


@Operation(
    kind="local",
    summary="whether the node answers",
    example='{"op":"ping"}',
    fields="",
    answer="",
    word=True,
)
class Ping(Request, tag="ping", kw_only=True, gc=False):
    """Whether the node answers."""


class HelpInWords(Request, tag="help", kw_only=True, gc=False):
    """What can be asked, as lines of text for a person. JSON cannot ask for it, since there each reply is one line."""

    as_text: ClassVar[bool] = True


@Operation(
    kind="local",
    summary="this",
    example='{"op":"help"}',
    fields="",
    answer="`operations`",
    word=True,
    spoken=HelpInWords,
)
class Help(Request, tag="help", kw_only=True, gc=False):
    """What can be asked."""

    as_text: ClassVar[bool] = False


@Operation(
    kind="local",
    summary="the program's version, the node, and the protocol versions that it speaks",
    example='{"op":"hello"}',
    fields="",
    answer="`version`, `node`, `protocol`: the lowest and highest version spoken between nodes, `level`: the cluster's,"
    " as applied here, `supported_level`: the newest that this program supports",
)
class Hello(Request, tag="hello", kw_only=True, gc=False):
    """Which program, node and versions answer."""


@Operation(
    kind="local",
    summary="who belongs to the cluster, who follows how far, and how many may fail",
    example='{"op":"members"}',
    fields="",
    answer="`members` (`id`, `address`, `role`, and where it is known `match_index`, `live`, `leader`), `next_id`,"
    " `voters`; from the leader alone, which knows who lives, `can_lose`: how many more voters may fail; from a node"
    " that knows that it was removed `removed`: true",
    word=True,
)
class Members(Request, tag="members", kw_only=True, gc=False):
    """Who belongs to the cluster, and how many of them may fail."""


@Operation(
    kind="leader",
    summary="take in a node at that address: it gets the next id, and a vote once it has caught up",
    example='{"op":"add_member","address":"10.0.0.4:8000"}',
    fields="`address`, as host:port; `learner`: it is not to vote",
    answer="`member` with its `id`, once that is committed",
)
class AddMember(Request, tag="add_member", kw_only=True, gc=False):
    """Take in a newcomer at that address; it gets the next id, and a vote once it has caught up."""

    address: Annotated[str, msgspec.Meta(max_length=300)]
    learner: bool = False
    """Whether it is never to vote, unless it is promoted."""

    def __post_init__(self) -> None:
        """Normalise the address. Raises AddressError, which the decoder turns into its own error."""
        self.address = str(parse_address(self.address))


@Operation(
    kind="leader",
    summary='let a member go for good; "force":true though no majority of the others is live',
    example='{"op":"remove_member","member":2}',
    fields="`member`; `force`: even if no majority of the others is live. A new leader waits until it knows who is",
    answer="once that is committed",
)
class RemoveMember(Request, tag="remove_member", kw_only=True, gc=False):
    """Let a member go, for good."""

    member: Node
    force: bool = False
    """Whether to do it though no majority of the others is live."""


@Operation(
    kind="leader",
    summary="let a learner vote once it has caught up",
    example='{"op":"promote_member","member":3}',
    fields="`member`, a learner",
    answer="`member`; it votes as soon as it has caught up",
)
class PromoteMember(Request, tag="promote_member", kw_only=True, gc=False):
    """Let a learner vote, once it has caught up."""

    member: Node


@Operation(
    kind="leader",
    summary="let that node lead, or the one that has most",
    example='{"op":"transfer_leadership","target":1}',
    fields="`target`; without it the node that has most",
    answer="`leader` and `term`, once another leads",
)
class TransferLeadership(Request, tag="transfer_leadership", kw_only=True, gc=False):
    """Let that node lead, or the one that has most."""

    target: Node | None = None


@Operation(
    kind="task",
    summary="let this node write a snapshot now, and shorten its log",
    example='{"op":"snapshot"}',
    fields="",
    answer="`index`, `keys`, `bytes`, once this node has written one; `no_quorum` where it has applied nothing yet",
    codes=("no_space", "internal"),
)
class Snapshot(Request, tag="snapshot", kw_only=True, gc=False):
    """Let this node write a snapshot, and shorten its log."""


@Operation(
    kind="local",
    summary="a piece of this node's newest snapshot, as text, from an offset on",
    example='{"op":"read_snapshot","index":1234,"offset":0}',
    fields="`index` of this node's newest snapshot, `offset`: 0, then where the last piece ended, in bytes",
    answer="`data`: whole lines of it as text; `done`, `size`",
    large=True,
    codes=("compacted", "no_space", "internal"),
)
class ReadSnapshot(Request, tag="read_snapshot", kw_only=True, gc=False):
    """A piece of this node's newest snapshot, which must be the one that ends there."""

    index: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
    offset: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)] = 0


@Operation(
    kind="lease",
    level=2,
    summary="let a lease live on for all its time, or up to 10000 of them: leases",
    example='{"op":"lease_keepalive","lease":1234}',
    fields="`lease`, or `leases`: a list of at most 10000",
    answer="with `lease` no more, `lease_expired` where it has ended; with `leases` `expired`: those that have ended",
    codes=("lease_expired",),
)
class LeaseKeepalive(Request, tag="lease_keepalive", kw_only=True, gc=False):
    """Let leases live on: their full time begins again."""

    lease: Index | None = None
    leases: Annotated[list[Index], msgspec.Meta(max_length=MOST_LEASES)] | None = None

    def __post_init__(self) -> None:
        """Raise ValueError, which the decoder turns into its own error, unless just one of the two is given."""
        if (self.lease is None) == (self.leases is None):
            raise ValueError("it takes either 'lease' or 'leases'")

    @property
    def named(self) -> Sequence[int]:
        """The leases, whichever field names them."""
        return self.leases or (() if self.lease is None else (self.lease,))


@Operation(
    kind="lease",
    level=2,
    summary="the leases that live, as the leader sees them; takes after, limit",
    example='{"op":"leases"}',
    fields="`after`: a lease, `limit` (1000; at most 10000)",
    answer="`leases` in the order of their numbers (`lease`, `ttl_ms`, `keys`, and `remaining_ms`: until the leader"
    " ends it, up to 1¼ of `ttl_ms`), `more`, `at`",
    large=True,
)
class Leases(Request, tag="leases", kw_only=True, gc=False):
    """The leases that live."""

    after: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)] = 0
    limit: Limit = USUAL_LIMIT


@Operation(
    kind="local",
    summary="break this node's links or its disk, on a node started with --allow-faults; alone: the faults in force",
    example='{"op":"fault","kind":"cut","nodes":[1]}',
    fields='nothing; or `kind`: `"cut"`, `"slow"` with `ms`, `"drop"` with `percent`, and `nodes`: the peers, `way`:'
    ' `"to"` them, `"from"` them, or `"both"` (default); or `kind`: `"disk"`; `for_ms`: how long, else until it is'
    " healed; or `heal`: true: all, or those of that `kind`, of these `nodes`, that `way`",
    answer="`node`, `faults` in force (`kind`, `node`, `way`, `ms`, `percent`; `left_ms`, where one ends by itself);"
    " `bad_request` where the node was started without `--allow-faults`",
    codes=("bad_request",),
)
class Fault(FaultRequest, tag="fault", kw_only=True, gc=False):
    """Set or heal faults of this node, or show them."""


UNREAD: Final = Operation.unlisted("local")
"""The operation of a line that could not be read."""


def described() -> list[dict[str, str]]:
    """The operations as `help` lists them in JSON: name, summary, example."""
    return [{"op": row.name, "summary": row.summary, "example": row.example} for row in OPERATIONS.values()]


def help_text() -> str:
    """The operations as lines of text, for a person at netcat."""
    width = max(len(row.example) for row in OPERATIONS.values())
    rows = [f"  {row.example:{width}}  {row.summary}" for row in OPERATIONS.values()]
    words = [f"{row.name} KEY" if row.takes_key else row.name for row in OPERATIONS.values() if row.word]
    return "\n".join(["One request a line, one reply a line:", *rows, f"Or, without JSON: {', '.join(words)}", ""])
