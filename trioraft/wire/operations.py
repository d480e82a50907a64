"""The table of operations: each type of request that a client may send, under its row.

All else that depends on the operation is derived from here: how a line is read, which requests write, what a client may
try again, `help`, the word commands, the prompt's commands, and the table in docs/protocol.md. To add an operation, add
a type of request with its row. The row of a write names its `command`, a class of `trioraft.kv.commands`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import starmap
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar, get_args

import msgspec

from trioraft.addresses import parse_address
from trioraft.kv import commands
from trioraft.kv.bounds import MAX_INTEGER, Key, Prefix, Revision, Step
from trioraft.kv.commands import Command
from trioraft.kv.queries import ScanQuery
from trioraft.wire import cluster_commands
from trioraft.wire.cluster_commands import CLUSTER_DIGITS, ClusterCommand, Once
from trioraft.wire.codec import encode
from trioraft.wire.replies import Reply, get_reply, scan_reply

MOST_LEASES: Final = 10_000
"""The most leases that one keepalive names."""

Milliseconds = Annotated[int, msgspec.Meta(ge=1, le=86_400_000)]
Node = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
Lease = Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)]
Read = Literal["linearizable", "stale"]
Client = Annotated[str, msgspec.Meta(pattern=rf"^[0-9a-f]{{{CLUSTER_DIGITS}}}-[1-9][0-9]{{0,17}}$")]

Kind = Literal["write", "read", "local", "leader", "task", "lease"]
"""How a node carries a request out.

- `write`: it puts a command into the log; the result of applying it is the reply.
- `read`: it answers from the state of the cluster, and changes nothing.
- `local`: this node answers at once, about itself.
- `leader`: the leader carries it out, which takes a while; any other node forwards it.
- `task`: this node carries it out, which takes a while.
- `lease`: the leader answers it by its clock, and changes nothing; any other node passes it on.
"""

_NO_ID: Final = msgspec.Raw(b"")


class Request(msgspec.Struct, tag_field="op", forbid_unknown_fields=True, kw_only=True, gc=False):
    """The fields of every request: an id for the reply, the time it may take, and whether it may be forwarded."""

    id: msgspec.Raw = _NO_ID
    timeout_ms: Milliseconds | None = None
    forward: bool = True

    @property
    def is_stale(self) -> bool:
        """Whether this node alone may answer, from what it has applied so far."""
        return getattr(self, "read", None) == "stale"


class ReadRequest(Request, kw_only=True, gc=False):
    """The fields of a request that reads the state of the cluster."""

    min_rev: Revision = 0
    """The revision that the state must hold: an earlier `at` or `rev`, so that no client goes back at any node."""


class KeyRead(ReadRequest, kw_only=True, gc=False):
    """The fields of a request that reads keys, and may ask for less than the newest state."""

    read: Read = "linearizable"
    max_age_ms: Milliseconds | None = None
    """How old a stale read may be, by what the leader has told this node."""

    def __post_init__(self) -> None:
        """Raise ValueError, which the decoder turns into its own error, where a read that is never old has a bound."""
        if self.max_age_ms is not None and self.read != "stale":
            raise ValueError('\'max_age_ms\' is for reads with "read":"stale": others are never old')


class PlainRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A request with no optional field but an id. It is quicker to read, and always goes the usual way.

    `op` is a field here and not a tag: the decoder of a single type would accept a request without its tag.
    """

    id: msgspec.Raw = _NO_ID

    @property
    def timeout_ms(self) -> None:
        """None: the request has no deadline of its own."""

    @property
    def forward(self) -> bool:
        """True: it may be forwarded to the leader."""
        return True

    @property
    def is_stale(self) -> bool:
        """False: it reads the newest state."""
        return False


AnyRequest = Request | PlainRequest


class InSession(Request, kw_only=True, gc=False):
    """A request that may belong to a session."""

    client: Client | None = None

    @property
    def session(self) -> int:
        """The session's number, where there is one."""
        assert self.client is not None
        return int(self.client[CLUSTER_DIGITS + 1 :])

    def is_of_another(self, cluster: str) -> bool:
        """Whether its session is one of another cluster than the one with that id."""
        return self.client is not None and self.client[:CLUSTER_DIGITS] != cluster[:CLUSTER_DIGITS]


class Write(InSession, kw_only=True, gc=False):
    """A write: with `client` and `seq` it is applied once, however often it is asked."""

    seq: Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)] | None = None
    acked: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)] | None = None
    """No number up to this one will be asked again."""

    def __post_init__(self) -> None:
        """Check that the fields of a session come together. Raises ValueError."""
        if (self.client is None) != (self.seq is None):
            raise ValueError("'client' and 'seq' come together")
        if self.acked is not None and self.client is None:
            raise ValueError("'acked' comes with 'client' and 'seq'")

    def enveloped(self, command: Command) -> Command | ClusterCommand:
        """The command that the log is to carry for this request, whose own command is given."""
        if self.seq is None:
            return command
        return Once(self.session, self.seq, msgspec.Raw(encode(command)), self.acked or 0)


R = TypeVar("R", bound=Request)


class Prompt(msgspec.Struct, frozen=True):
    """How an operation is typed at the command line's prompt."""

    usage: str
    """The operation's name and a word for each field; the words in brackets may be left out."""
    summary: str
    fields: tuple[str, ...] = ()
    """The fields of the request that the words give, in order."""
    hint: str = ""
    """A sentence that is added to the usage where a line does not follow it."""

    @property
    def name(self) -> str:
        """The first word of the usage."""
        return self.usage.partition(" ")[0]


class Operation(msgspec.Struct, eq=False, kw_only=True):
    """A row of the table, which decorates the type of its requests."""

    kind: Kind
    summary: str
    """One line for `help` that says what it does."""
    example: str
    """A whole request that can be typed as it is."""
    fields: str
    """The fields of its requests, for docs/protocol.md."""
    answer: str
    """The fields of the reply, for docs/protocol.md."""
    prompt: Prompt | str
    """How it is typed at the prompt, or the reason why it cannot be."""
    word: bool = False
    """Whether its name alone, or with a key if it has one, may be typed without JSON."""
    spoken: type[Request] | None = None
    """The type that its word command is read into, where that is not the type for JSON."""
    plain: type[PlainRequest] | None = None
    """The type of its plain requests, which can be read many at once; None where it has no plain form."""
    command: type[Command] | type[ClusterCommand] | None = None
    """The command that a write puts into the log. Its fields, or the first few, are fields of the request too."""
    query: Callable[[Any], Any] | None = None
    """Gives the query that a read is for the state machine."""
    reply: Callable[[msgspec.Raw, Any, bytes], Reply] | None = None
    """Makes the reply to a read, from its id, the answer of the state machine, and its own end (`replies.as_of`)."""
    large: bool = False
    """Whether the reply may be as large as all the data."""
    codes: tuple[str, ...] = ()
    """The error codes of this operation, beside those that all operations of its kind share."""
    level: int = 1
    """The level that the cluster must have for it."""
    newer: tuple[str, ...] = ()
    """The fields of its requests that need level 2, beside those of all writes."""
    name: str = ""
    request: type[Request] = Request
    _newer: dict[str, Any] = {}
    """The fields that need level 2, with their defaults."""
    _fields_of: dict[type[AnyRequest], Callable[[Any], tuple[Any, ...]]] = {}
    """For each type of its requests: a getter for the fields that the command takes."""

    def __call__(self, request: type[R]) -> type[R]:
        """Enter this row in the table, with `request` as the type of its requests."""
        self.name = str(request.__struct_config__.tag)
        self.request = request
        names = (*self.newer, "client") if issubclass(request, Write) else self.newer
        self._newer = {field.name: field.default for field in msgspec.structs.fields(request) if field.name in names}
        OPERATIONS[self.name] = self
        types: list[type[AnyRequest] | None] = [request, self.plain, self.spoken]
        for one in types:
            if one is not None:
                OPERATION_OF[one] = self
            if one is not None and self.command is not None:
                self._fields_of[one] = _getter(one, self.command)
        return request

    @property
    def changes(self) -> bool:
        """Whether it changes keys, members or the leader; a failure then says whether it was applied."""
        return self.kind in ("write", "leader")

    @property
    def takes_long(self) -> bool:
        """Whether its duration depends on the size of the data, or on other nodes."""
        return self.large or self.kind in ("leader", "task", "lease")

    @property
    def takes_key(self) -> bool:
        """Whether it is about one key."""
        return "key" in self.request.__struct_fields__

    @property
    def numbers(self) -> set[str]:
        """The names of the fields of its requests that are whole numbers."""
        fields = msgspec.structs.fields(self.request)
        return {field.name for field in fields if any(part is int for part in _parts(field.type))}

    def level_of(self, request: AnyRequest) -> int:
        """The level that the cluster must have for this request."""
        if self.level == 1 and isinstance(request, self.request):
            return 2 if any(getattr(request, name) != default for name, default in self._newer.items()) else 1
        return self.level

    def commands(self, requests: Sequence[AnyRequest]) -> list[Any]:
        """Turn requests of this operation, all of one type, into commands for the log.

        Those with fields of a session come alone.
        """
        assert self.command is not None
        first = requests[0]
        commands: list[Any] = list(starmap(self.command, map(self._fields_of[type(first)], requests)))
        if len(commands) == 1 and isinstance(first, Write):
            return [first.enveloped(commands[0])]
        return commands


def _parts(type: Any) -> Iterator[Any]:
    """Yield the type and, recursively, the types that it is made of (a union, or a type with bounds)."""
    yield type
    for part in get_args(type):
        yield from _parts(part)


def _getter(request: type[AnyRequest], command: type[msgspec.Struct]) -> Callable[[Any], tuple[Any, ...]]:
    names = [name for name in command.__struct_fields__ if hasattr(request, name)]
    if not names:
        return lambda _: ()
    assert tuple(names) == command.__struct_fields__[: len(names)], f"{command} and {request} do not fit"
    several: Callable[[Any], tuple[Any, ...]] = attrgetter(*names)
    return several if len(names) > 1 else lambda one: (several(one),)


OPERATIONS: Final[dict[str, Operation]] = {}
"""The table: each row by its name."""
OPERATION_OF: Final[dict[type[AnyRequest], Operation]] = {}
"""Each row by the types of its requests."""


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
    prompt=Prompt("get KEY", "the value of a key", ("key",)),
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
    fields="`key`, `value`; `if_rev`: the revision it must have, 0: must not exist",
    answer="`rev`",
    prompt=Prompt("put KEY VALUE", "give a key a value: JSON if it reads as JSON, else a string", ("key", "value")),
    plain=PlainPut,
    command=commands.Put,
)
class Put(Write, tag="put", kw_only=True, gc=False):
    """Give a key a value."""

    key: Key
    value: msgspec.Raw
    if_rev: Revision | None = None


@Operation(
    kind="write",
    summary="remove a key; takes if_rev too",
    example='{"op":"delete","key":"name"}',
    fields="`key`; `if_rev`",
    answer="`deleted` 0 or 1, `rev`, 0 where there was nothing",
    prompt=Prompt("delete KEY", "remove a key", ("key",)),
    command=commands.Delete,
)
class Delete(Write, tag="delete", kw_only=True, gc=False):
    """Remove a key."""

    key: Key
    if_rev: Revision | None = None


@Operation(
    kind="read",
    summary="the keys with a prefix, in order; takes after, limit, keys_only, read",
    example='{"op":"scan","prefix":"na","limit":10}',
    fields="`prefix`, `after`, `limit` (1000; at most 10000), `keys_only`, `read`, `max_age_ms`, `min_rev`",
    answer="`items` in key order, at most 1 MiB of keys and values, with `keys_only` of keys, `more`, and `at`",
    prompt=Prompt("scan [PREFIX]", "the keys with a prefix, in order", ("prefix",)),
    query=lambda scan: ScanQuery(scan.prefix, scan.after, scan.limit, scan.keys_only),
    reply=scan_reply,
    large=True,
)
class Scan(KeyRead, tag="scan", kw_only=True, gc=False):
    """The keys with a prefix, in order."""

    prefix: Prefix = ""
    after: Prefix | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1000
    keys_only: bool = False


@Operation(
    kind="write",
    summary="add to the integer at a key",
    example='{"op":"incr","key":"visits","by":1}',
    fields="`key`, `by` (1)",
    answer="`value` after, `rev`; integers within ±(2^63−1), a missing key counts as 0",
    prompt=Prompt("incr KEY [BY]", "add to the integer at a key", ("key", "by")),
    command=commands.Incr,
    codes=("conflict",),
)
class Incr(Write, tag="incr", kw_only=True, gc=False):
    """Add to the integer at a key."""

    key: Key
    by: Step = 1


@Operation(
    kind="write",
    summary="open a session: writes with its client and seq 1, 2, ... are applied once, however often they are asked",
    example='{"op":"open_session"}',
    fields="",
    answer="`client`, for the writes of this session",
    prompt="it is for programs",
    command=cluster_commands.OpenSession,
    level=2,
)
class OpenSession(Request, tag="open_session", kw_only=True, gc=False):
    """Open a session."""


@Operation(
    kind="write",
    summary="close a session; what it remembers is forgotten",
    example='{"op":"close_session","client":"3fa9c2d1-118"}',
    fields="`client`",
    answer="also where it was not open",
    prompt="it is for programs",
    command=cluster_commands.CloseSession,
    codes=("session_expired",),
    level=2,
)
class CloseSession(InSession, tag="close_session", kw_only=True, gc=False):
    """Close a session."""

    client: Client


@Operation(
    kind="local",
    summary="who leads, the term, and how far this node is",
    example='{"op":"status"}',
    fields="",
    answer="`node`, `role`, `term`, `leader`, `leader_address`, `commit_index`, `last_applied`, `first_index`,"
    " `last_index`, `at`, `members`, `level`: the cluster's, as applied here, `supported_level`: this program's; a node"
    " of no cluster yet has the `role` `unformed`, and `waiting_for`: for which nodes it waits, and why; empty while"
    " they agree; a node that knows that it was removed has the `role` `removed`, and as `members` those that it was"
    " told of",
    prompt="there it asks every node, and says who does not answer",
    word=True,
)
class Status(Request, tag="status", kw_only=True, gc=False):
    """How this node sees itself and the cluster."""


@Operation(
    kind="local",
    summary="entries of this node's log; takes from, limit",
    example='{"op":"show_log","limit":10}',
    fields="`from`, `limit` (100, the newest; at most 1000)",
    answer="`entries` (`index`, `term`, `command`, `committed`, `applied`), at most 1 MiB or one entry, and `more`",
    prompt=Prompt("show_log [LIMIT]", "the newest entries of a node's log", ("limit",)),
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
    prompt="status shows who answers",
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
    prompt="there it is about what can be typed",
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
    prompt="it is for programs",
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
    prompt=Prompt(
        "members",
        "who belongs to the cluster, and how many may fail",
        hint="to change them: add_member, remove_member, promote_member",
    ),
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
    prompt=Prompt("add_member ADDRESS", "take in a node: it gets the next id", ("address",)),
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
    prompt=Prompt("remove_member ID", "let a member go, for good", ("member",)),
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
    prompt=Prompt("promote_member ID", "let a learner vote", ("member",)),
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
    prompt=Prompt("transfer [ID]", "let another node lead", ("target",)),
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
    prompt=Prompt("snapshot", "let the node write a snapshot now"),
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
    prompt="it is for programs; `trioraft backup` reads a whole snapshot",
    large=True,
    codes=("compacted", "no_space", "internal"),
)
class ReadSnapshot(Request, tag="read_snapshot", kw_only=True, gc=False):
    """A piece of this node's newest snapshot, which must be the one that ends there."""

    index: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
    offset: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)] = 0


@Operation(
    kind="lease",
    summary="let a lease live on for all its time, or up to 10000 of them: leases",
    example='{"op":"lease_keepalive","lease":1234}',
    fields="`lease`, or `leases`: a list of at most 10000",
    answer="with `lease` no more, `lease_expired` where it has ended; with `leases` `expired`: those that have ended",
    prompt="a lease is kept alive for longer than a line; `trioraft lease keepalive` does it",
    codes=("lease_expired",),
)
class LeaseKeepalive(Request, tag="lease_keepalive", kw_only=True, gc=False):
    """Let leases live on: their full time begins again."""

    lease: Lease | None = None
    leases: Annotated[list[Lease], msgspec.Meta(max_length=MOST_LEASES)] | None = None

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
    summary="the leases that live, as the leader sees them; takes after, limit",
    example='{"op":"leases"}',
    fields="`after`: a lease, `limit` (1000; at most 10000)",
    answer="`leases` in the order of their numbers (`lease`, `ttl_ms`, `keys`, and `remaining_ms`: until the leader"
    " ends it, up to 1¼ of `ttl_ms`), `more`, `at`",
    prompt="`trioraft lease list` shows them",
    large=True,
)
class Leases(Request, tag="leases", kw_only=True, gc=False):
    """The leases that live."""

    after: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1000


UNREAD: Final = Operation(kind="local", summary="", example="", fields="", answer="", prompt="")
"""The operation of a line that could not be read. It is not in the table."""


def described() -> list[dict[str, str]]:
    """The operations as `help` lists them in JSON: name, summary, example."""
    return [{"op": row.name, "summary": row.summary, "example": row.example} for row in OPERATIONS.values()]


def help_text() -> str:
    """The operations as lines of text, for a person at netcat."""
    width = max(len(row.example) for row in OPERATIONS.values())
    rows = [f"  {row.example:{width}}  {row.summary}" for row in OPERATIONS.values()]
    words = [f"{row.name} KEY" if row.takes_key else row.name for row in OPERATIONS.values() if row.word]
    return "\n".join(["One request a line, one reply a line:", *rows, f"Or, without JSON: {', '.join(words)}", ""])
