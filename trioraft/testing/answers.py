"""The possible replies to legal requests: from which node, with which fields, and with which errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final, Literal, TypeVar

import msgspec

from trioraft.addresses import parse_address
from trioraft.raft.messages import NodeId
from trioraft.raft.ready import Role
from trioraft.wire.codec import DecodeError, Decoder, encode
from trioraft.wire.operations import OPERATION_OF, OPERATIONS, described
from trioraft.wire.parsing import parse_request
from trioraft.wire.table import Operation

Asked = Mapping[str, Any]
"""A request's fields."""

R = TypeVar("R", bound="type[_Reply]")
_replies_to: Final[dict[str, type[_Reply]]] = {}
"""For each operation: the type of its reply when it succeeded."""


class _Reply(msgspec.Struct):
    """The fields of a reply; a newer version may add more."""

    def fits(self, asked: Asked) -> bool:
        """Whether it can be the reply to that request."""
        del asked
        return True

    @property
    def seen(self) -> int:
        """The index that a node must have applied to give this reply, as far as the reply shows."""
        return 0


def _reply_to(op: str) -> Callable[[R], R]:
    """Mark a class as the reply to a successful `op`. A write without its own class is answered like a put."""

    def enter(kind: R) -> R:
        _replies_to[op] = kind
        return kind

    return enter


@_reply_to("get")
class _Found(_Reply):
    value: msgspec.Raw
    rev: int
    created: int
    version: int
    at: int

    def fits(self, asked: Asked) -> bool:
        del asked
        if self.rev:
            return 0 < self.created <= self.rev and self.version > 0
        return bytes(self.value) == b"null" and self.created == self.version == 0

    @property
    def seen(self) -> int:
        return self.rev


@_reply_to("put")
class _Written(_Reply):
    rev: int

    def fits(self, asked: Asked) -> bool:
        return self.rev > int(asked.get("if_rev", 0))

    @property
    def seen(self) -> int:
        return self.rev


@_reply_to("delete")
class _Deleted(_Reply):
    deleted: int
    rev: int
    more: bool = False

    def fits(self, asked: Asked) -> bool:
        most = asked.get("limit", 1000) if "prefix" in asked else 1
        right: bool = (self.rev > asked.get("if_rev", 0)) if self.deleted else self.rev == 0
        return right and 0 <= self.deleted <= most and (self.deleted == most or not self.more)

    @property
    def seen(self) -> int:
        return self.rev


@_reply_to("incr")
class _Counted(_Reply):
    value: int
    rev: int

    @property
    def seen(self) -> int:
        return self.rev


class Item(msgspec.Struct):
    """A key as a scan shows it."""

    key: str
    rev: int
    created: int
    version: int
    value: msgspec.Raw = msgspec.Raw()
    """The value, raw; empty where only keys are shown."""


@_reply_to("scan")
class Scanned(_Reply):
    """The reply to a scan."""

    items: list[Item]
    more: bool
    at: int

    def fits(self, asked: Asked) -> bool:
        """Whether it can be the reply to that request."""
        keys = [item.key for item in self.items]
        begin, after = asked.get("prefix", ""), asked.get("after")
        return (
            keys == sorted(set(keys))
            and all(key.startswith(begin) and (after is None or key > after) for key in keys)
            and len(keys) <= asked.get("limit", 1000)
            and all((not bytes(item.value)) == asked.get("keys_only", False) for item in self.items)
            and all(0 < item.created <= item.rev and item.version > 0 for item in self.items)
        )

    @property
    def seen(self) -> int:
        """The highest revision that it shows."""
        return max((item.rev for item in self.items), default=0)


@_reply_to("txn")
class _Transacted(_Reply):
    succeeded: bool
    results: list[dict[str, Any]] | None
    rev: int
    at: int = 0

    def fits(self, asked: Asked) -> bool:
        branch = asked.get("then" if self.succeeded else "else", [])
        return self.results is None or len(self.results) == len(branch)

    @property
    def seen(self) -> int:
        return max(self.rev, self.at)


@_reply_to("lease_grant")
class _Granted(_Reply):
    lease: int


class _Lease(msgspec.Struct):
    lease: int
    ttl_ms: int
    remaining_ms: int
    keys: int


@_reply_to("leases")
class _Leases(_Reply):
    leases: list[_Lease]
    at: int
    more: bool = False

    def fits(self, asked: Asked) -> bool:
        numbers = [lease.lease for lease in self.leases]
        after = asked.get("after")
        return (
            numbers == sorted(set(numbers))
            and len(numbers) <= asked.get("limit", 1000)
            and all(number > after for number in numbers if after is not None)
            and all(0 <= one.remaining_ms <= 2 * one.ttl_ms and one.keys >= 0 for one in self.leases)
            and all(number <= self.at for number in numbers)
        )


@_reply_to("lease_keepalive")
class _KeptAlive(_Reply):
    expired: list[int] = []

    def fits(self, asked: Asked) -> bool:
        return set(self.expired) <= set(asked.get("leases", []))


@_reply_to("lock")
class _Locked(_Reply):
    fence: int = 0
    waiting: bool = False
    ahead: int = 0

    def fits(self, asked: Asked) -> bool:
        return self.ahead > 0 and asked.get("wait_ms") != 0 if self.waiting else self.fence > 0

    @property
    def seen(self) -> int:
        return self.fence


class _Lock(msgspec.Struct):
    name: str
    lease: int
    fence: int
    waiters: int


@_reply_to("locks")
class _Locks(_Reply):
    locks: list[_Lock]
    at: int
    more: bool = False

    def fits(self, asked: Asked) -> bool:
        names = [lock.name for lock in self.locks]
        after = asked.get("after")
        return (
            names == sorted(set(names))
            and len(names) <= asked.get("limit", 1000)
            and all(name > after for name in names if after is not None)
            and all(one.waiters >= 0 and one.lease < one.fence for one in self.locks)
        )

    @property
    def seen(self) -> int:
        return max([lock.fence for lock in self.locks] + [self.at])


@_reply_to("open_session")
class _Opened(_Reply):
    client: str


@_reply_to("watch")
class _Watching(_Reply):
    waiting: Literal[True]
    at: int
    cluster: str

    def fits(self, asked: Asked) -> bool:
        return self.at == int(asked.get("after_rev", self.at))


@_reply_to("wait")
class _Held(_Reply):
    waiting: bool = False
    at: int = 0
    value: msgspec.Raw = msgspec.Raw(b"null")
    rev: int = 0

    def fits(self, asked: Asked) -> bool:
        return not (self.waiting and asked.get("wait_ms") == 0)

    @property
    def seen(self) -> int:
        return max(self.rev, self.at)


class _Member(msgspec.Struct):
    id: int
    address: str
    role: Literal["voter", "learner"]


@_reply_to("status")
class _Status(_Reply):
    node: int
    role: Role | Literal["unformed", "removed"]
    term: int
    leader: int | None
    leader_address: str | None
    commit_index: int
    last_applied: int
    first_index: int
    last_index: int
    at: int
    members: list[_Member]

    def fits(self, asked: Asked) -> bool:
        del asked
        leads = self.role != "leader" or self.leader == self.node
        return leads and self.at == self.last_applied <= self.commit_index <= self.last_index >= self.first_index - 1

    @property
    def seen(self) -> int:
        return self.last_applied


class _Entry(msgspec.Struct):
    index: int
    term: int
    command: msgspec.Raw
    committed: bool
    applied: bool


@_reply_to("show_log")
class _Log(_Reply):
    entries: list[_Entry]
    more: bool

    def fits(self, asked: Asked) -> bool:
        entries = self.entries
        if not entries:
            return not self.more
        return (
            len(entries) <= asked.get("limit", 100)
            and entries[0].index >= asked.get("from", 1)
            and all(
                after.index == before.index + 1
                and after.term >= before.term
                and after.applied <= before.applied
                and after.committed <= before.committed
                for before, after in pairwise(entries)
            )
            and all(entry.applied <= entry.committed for entry in entries)
        )

    @property
    def seen(self) -> int:
        return max((entry.index for entry in self.entries if entry.applied), default=0)


@_reply_to("members")
class _Members(_Reply):
    members: list[_Member]
    next_id: int
    voters: int
    can_lose: int | None = None

    def fits(self, asked: Asked) -> bool:
        del asked
        ids = {member.id for member in self.members}
        voters = sum(member.role == "voter" for member in self.members)
        return len(ids) == len(self.members) and max(ids, default=-1) < self.next_id and self.voters == voters


@_reply_to("add_member")
class _Added(_Reply):
    member: _Member

    def fits(self, asked: Asked) -> bool:
        return self.member.address == str(parse_address(asked["address"]))


@_reply_to("promote_member")
class _Promoted(_Reply):
    member: _Member

    def fits(self, asked: Asked) -> bool:
        return self.member.id == int(asked["member"])


@_reply_to("transfer_leadership")
class _Led(_Reply):
    leader: int
    term: int


@_reply_to("snapshot")
class _Taken(_Reply):
    index: int
    keys: int
    bytes: int

    def fits(self, asked: Asked) -> bool:
        del asked
        return self.index > 0 and self.bytes > 0

    @property
    def seen(self) -> int:
        return self.index


@_reply_to("read_snapshot")
class _Piece(_Reply):
    data: str
    done: bool
    size: int


@_reply_to("help")
class _Helped(_Reply):
    operations: list[dict[str, str]]

    def fits(self, asked: Asked) -> bool:
        del asked
        return self.operations == described()


@_reply_to("hello")
class _Greeted(_Reply):
    version: str
    node: int
    protocol: tuple[int, int]


@_reply_to("metrics")
class _Figures(_Reply):
    node: int
    version: str
    role: Role | Literal["unformed", "removed"]
    term: int
    commit_index: int
    last_applied: int
    last_index: int
    keys: int

    def fits(self, asked: Asked) -> bool:
        del asked
        return self.last_applied <= self.commit_index <= self.last_index

    @property
    def seen(self) -> int:
        return self.last_applied


class _Fault(msgspec.Struct):
    kind: str
    node: int | None = None
    way: str | None = None
    ms: int | None = None
    percent: int | None = None
    left_ms: int | None = None


@_reply_to("fault")
class _Faults(_Reply):
    node: int
    faults: list[_Fault]

    def fits(self, asked: Asked) -> bool:
        shown = {(fault.kind, fault.node, fault.way) for fault in self.faults}
        if len(shown) < len(self.faults) or any((fault.left_ms or 1) < 1 for fault in self.faults):
            return False
        if asked.get("heal", False):
            return bool({"kind", "nodes", "way"} & asked.keys()) or not shown
        ways = ("to", "from") if asked.get("way", "both") == "both" else (asked["way"],)
        return all((asked["kind"], node, way) in shown for node in asked.get("nodes", ()) for way in ways)


@_reply_to("lease_revoke")
@_reply_to("unlock")
@_reply_to("close_session")
@_reply_to("set_history")
@_reply_to("cancel")
@_reply_to("ping")
@_reply_to("remove_member")
class _Done(_Reply):
    """A reply with no further fields."""


class _Error(msgspec.Struct):
    code: str
    message: str
    hint: str
    applied: Literal["no", "unknown"] | None = None
    rev: int = 0


class _Failed(msgspec.Struct):
    error: _Error


_FIELDS_THAT_FAIL: Final = {
    "if_rev": ("conflict",),
    "client": ("session_expired", "seq_too_old", "seq_reused"),
    "lock": ("fenced",),
    "lease": ("lease_expired",),
    "leases": ("lease_expired",),
    "max_age_ms": ("no_quorum", "timeout"),  # a leader confirms it, and may be behind
    "cluster": ("membership",),
    "after_rev": ("compacted",),
    "wait_ms": ("timeout",),
}
"""The error codes with which a request may fail because of a field."""


def _row_of(asked: Asked) -> Operation:
    """The row of a request: that of a transaction depends on what is in it."""
    return OPERATION_OF[type(parse_request(encode(asked)))]


def codes(asked: Asked) -> set[str]:
    """The error codes with which a legal request may fail."""
    operation = _row_of(asked)
    possible = set(operation.codes)
    if "timeout_ms" in asked or "min_rev" in asked:
        possible.add("timeout")
    for field, fails in _FIELDS_THAT_FAIL.items():
        if field in asked:
            possible.update(fails)
    match operation.kind:
        case "write":
            possible |= {"no_quorum", "leader_changed", "timeout", "overloaded", "shutting_down"}
        case "leader":
            possible |= {"no_quorum", "leader_changed", "membership", "timeout"}
        case "task":
            possible.add("no_quorum")
        case "read":
            possible.add("leader_changed")  # where an earlier write of the connection has an unknown outcome
            if asked.get("read") != "stale":
                possible |= {"no_quorum", "timeout"}
        case "stream" | "lease":
            possible |= {"no_quorum", "leader_changed", "timeout", "overloaded", "shutting_down"}
    if not asked.get("forward", True):
        possible.add("not_leader")
    if operation.level_with(asked) > 1:
        possible |= {"needs_upgrade", "no_quorum"}
    return possible


def _may_write(asked: Asked) -> bool:
    """Whether it is a transaction that writes, or may: then its `min_rev` means nothing."""
    inside = [*asked.get("then", ()), *asked.get("else", ())]
    return "client" in asked or "lock" in asked or any(one["op"] != "get" for one in inside)


class Judge:
    """Compares a node's replies on one connection with the requests, and with its earlier replies."""

    def __init__(self) -> None:
        self._node: NodeId | None = None
        """The node that answers, once a reply has named it."""
        self._seen = 0
        """The highest index that a reply has shown to be applied; it never falls."""

    def take(self, asked: Asked, line: bytes) -> dict[str, Any]:
        """Decode the reply to that request. Raises AssertionError where the line cannot be its reply."""
        try:
            reply: dict[str, Any] = _replies.decode(line)
            wrong = self._wrong(asked, reply, line)
        except DecodeError as error:
            wrong = f"it is no such reply: {error}"
        assert wrong is None, f"{asked} is answered by {line!r}: {wrong}"
        return reply

    def _wrong(self, asked: Asked, reply: dict[str, Any], line: bytes) -> str | None:
        if reply.get("id", _ABSENT) != asked.get("id", _ABSENT):
            return "the id is another"
        if reply["ok"] is not True:
            return self._wrong_failure(asked, _failures.decode(line).error)
        said = _dones[asked["op"]].decode(line)
        if not said.fits(asked):
            return "that cannot be"
        if isinstance(said, _Status | _Greeted | _Figures):
            if self._node not in (None, said.node):
                return f"it is another node's than {self._node}"
            self._node = said.node
        if isinstance(said, _Status | _Taken | _Figures) and said.seen < self._seen:
            return f"it had applied entry {self._seen}"
        if (wrong := self._wrong_revision(asked, reply, said)) is not None:
            return wrong
        # The members are not compared with earlier replies: a change that is under way may be taken back.
        self._seen = max(self._seen, said.seen)
        return None

    def _wrong_revision(self, asked: Asked, reply: Mapping[str, Any], said: _Reply) -> str | None:
        """Compare what it reflects with what it shows, and with what was known before it was asked."""
        at = reply.get("at") if "replayed" not in reply else None
        if at is not None and OPERATIONS[asked["op"]].kind not in _OF_OTHERS:
            if at < max(said.seen, 0 if _may_write(asked) else asked.get("min_rev", 0)):
                return "it reflects less than it shows or was to show"
            if at < self._seen:
                return f"it reflects less than entry {self._seen}, which was applied"
            self._seen = at
        elif (
            isinstance(said, _Written | _Deleted | _Counted) and 0 < said.rev <= self._seen and "replayed" not in reply
        ):
            return f"it was written before entry {self._seen}, as of which an earlier request was answered"
        return None

    def _wrong_failure(self, asked: Asked, error: _Error) -> str | None:
        if error.code not in codes(asked):
            return f"it may fail with {sorted(codes(asked))}"
        if error.code == "internal" and "the snapshot" not in error.message:
            return "only a disk may fail so"
        if (error.applied is not None) != _row_of(asked).changes and asked["op"] != "cancel":
            return "what changes something, and nothing else, says whether it was applied"
        if not error.message or not error.hint:
            return "it says too little"
        self._seen = max(self._seen, error.rev)
        return None


_ABSENT: Final = object()
_OF_OTHERS: Final = ("stream", "lease")
"""The kinds of operation whose `at` may be a position that was asked for, or what the leader has applied."""
_replies: Final = Decoder(dict)
_failures: Final = Decoder(_Failed)
_dones: Final = {
    op: Decoder(_replies_to.get(op, _Written) if row.kind == "write" else _replies_to[op])
    for op, row in OPERATIONS.items()
}


def scanned(line: bytes) -> Scanned:
    """Decode the reply to a scan that succeeded."""
    shown: Scanned = _dones["scan"].decode(line)
    return shown
