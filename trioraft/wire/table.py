"""The table of operations: how a row is made, what requests have in common, and what is derived from a row.

The rows are in `trioraft.wire.operations`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import starmap
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar

import msgspec

from trioraft.kv.bounds import MAX_INTEGER, Index, Key, Revision
from trioraft.kv.commands import Command, Fenced
from trioraft.wire.cluster_commands import CLUSTER_DIGITS, ClusterCommand, Once
from trioraft.wire.codec import encode
from trioraft.wire.replies import Reply

Milliseconds = Annotated[int, msgspec.Meta(ge=1, le=86_400_000)]
Node = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
WaitMs = Annotated[int, msgspec.Meta(ge=0, le=86_400_000)]
"""How many milliseconds something may go on waiting after its first answer."""
Read = Literal["linearizable", "stale"]
Client = Annotated[str, msgspec.Meta(pattern=rf"^[0-9a-f]{{{CLUSTER_DIGITS}}}-[1-9][0-9]{{0,17}}$")]

Kind = Literal["write", "read", "local", "stream", "leader", "task", "lease"]
"""How a node carries a request out.

- `write`: it puts a command into the log; the result of applying it is the reply.
- `read`: it answers from the state of the cluster, and changes nothing.
- `local`: this node answers at once, about itself.
- `stream`: it is answered like a read, may go on as events until it ends, and changes nothing.
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

    inside: ClassVar[int] = 1
    """How deep in the request its values stand."""

    @property
    def is_stale(self) -> bool:
        """Whether this node alone may answer, from what it has applied so far."""
        return getattr(self, "read", None) == "stale"

    @property
    def parts(self) -> Iterable[msgspec.Struct]:
        """Its parts that have keys of their own."""
        return ()

    def narrowed(self) -> Request:
        """The request as the type that decides how it is carried out."""
        return self


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
        """Whether its session, which it must have, is one of another cluster than the one with that id."""
        assert self.client is not None
        return self.client[:CLUSTER_DIGITS] != cluster[:CLUSTER_DIGITS]


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


class FencedWrite(Write, kw_only=True, gc=False):
    """A write that the store refuses unless that lock is held under that fence, if it names one."""

    lock: Key | None = None
    fence: Index | None = None

    def __post_init__(self) -> None:
        """Check that the fields of a session, and those of a fence, come together. Raises ValueError."""
        if self.client is None and self.seq is None and self.acked is None and self.lock is None and self.fence is None:
            return  # as mostly: a call here costs as much as a tenth of the decoding
        Write.__post_init__(self)
        if (self.lock is None) != (self.fence is None):
            raise ValueError("'lock' and 'fence' come together")

    def enveloped(self, command: Command) -> Command | ClusterCommand:
        """The command that the log is to carry for this request, whose own command is given."""
        if self.lock is not None and self.fence is not None:
            assert not isinstance(command, Fenced)
            command = Fenced(self.lock, self.fence, command)
        return Write.enveloped(self, command)


R = TypeVar("R", bound=Request)


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
    repeatable: bool = False
    """Whether a client may ask for it again, whatever became of the first: it is applied once, or leaves what ends."""
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
        names = (*self.newer, "client", "lock") if issubclass(request, Write) else self.newer
        self._newer = {field.name: field.default for field in msgspec.structs.fields(request) if field.name in names}
        OPERATIONS[self.name] = self
        types: list[type[AnyRequest] | None] = [request, self.plain, self.spoken]
        for one in types:
            if one is not None:
                OPERATION_OF[one] = self
            if one is not None and self.command is not None:
                self._fields_of[one] = _getter(one, self.command)
        return request

    @classmethod
    def unlisted(cls, kind: Kind) -> Operation:
        """Make a row that is not in the table: no client can ask for it."""
        return cls(kind=kind, summary="", example="", fields="", answer="")

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

    def level_of(self, request: AnyRequest) -> int:
        """The level that the cluster must have for this request."""
        if self.level == 1 and isinstance(request, self.request):
            newer = self._newer.items()
            return self.level_with([name for name, default in newer if getattr(request, name) != default])
        return self.level

    def level_with(self, fields: Iterable[str]) -> int:
        """The level that the cluster must have for a request with these fields."""
        return self.level if self._newer.keys().isdisjoint(fields) else max(self.level, 2)

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
