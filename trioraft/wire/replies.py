"""The replies to clients: each is one line of compact JSON, with raw values spliced in as they were given.

A large value is not copied into its reply. The reply then consists of pieces, one of which is the store's own bytes or
a view of the log's. Many replies with one value, waiting for a client that does not read, cost no more than one reply.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final, Protocol

from msgspec import Raw

from trioraft.kv.items import LARGE_VALUE, Item
from trioraft.kv.queries import LockPage, Page
from trioraft.kv.results import (
    Conflict,
    Counted,
    Deleted,
    Done,
    GivenUp,
    Granted,
    Locked,
    Queued,
    Refused,
    Result,
    Revoked,
    Unlocked,
    Written,
)
from trioraft.raft.messages import Entry
from trioraft.raft.runs import Entries
from trioraft.wire.cluster_commands import (
    CLUSTER_DIGITS,
    Closed,
    ClusterResult,
    Opened,
    Replayed,
    SessionRefused,
)
from trioraft.wire.codec import encode
from trioraft.wire.entries import payloads

MAX_TRANSACTION_BYTES: Final = 4 * 1024 * 1024
"""How many bytes of values a reply to a transaction shows."""
_MISSING: Final = b'"value":null,"rev":0,"created":0,"version":0'

Piece = bytes | memoryview
"""A part of a reply; a view where it is part of larger bytes that exist anyway."""
Reply = bytes | list[Piece]
"""One reply, as bytes or as pieces in order."""


class HasId(Protocol):
    """The part of a request that its reply depends on."""

    id: Raw


def size_of(reply: Reply) -> int:
    """How many bytes the client will read."""
    return sum(map(len, reply)) if isinstance(reply, list) else len(reply)


def made_of(reply: Reply) -> int:
    """How many of its bytes are not views of other bytes."""
    return sum(len(piece) for piece in reply if isinstance(piece, bytes)) if isinstance(reply, list) else len(reply)


def whole(reply: Reply) -> bytes:
    """The reply as bytes."""
    return b"".join(reply) if isinstance(reply, list) else reply


def joined(replies: Sequence[Reply]) -> Reply:
    """Join replies in order into one."""
    if len(replies) == 1:
        return replies[0]
    pieces: list[Piece] = []
    for reply in replies:
        if isinstance(reply, list):
            pieces.extend(reply)
        else:
            pieces.append(reply)
    return pieces


def _ok(id: bytes | Raw) -> bytes:
    return b'{"id":%b,"ok":true' % id if id else b'{"ok":true'


def write_replies(
    requests: Sequence[HasId], first: int, results: Mapping[int, Result | ClusterResult], cluster: str
) -> Sequence[Reply]:
    """Make the replies to writes that became the entries from index `first` on. No result means simply written.

    `cluster` is the cluster's id.
    """
    if results:
        return [
            result_reply(request.id, results.get(index) or Written(index), cluster)
            for index, request in enumerate(requests, first)
        ]
    return [
        b'{"id":%b,"ok":true,"rev":%d}\n' % (request.id, rev) if request.id else b'{"ok":true,"rev":%d}\n' % rev
        for rev, request in enumerate(requests, first)
    ]


def result_reply(raw: Raw, result: Result | ClusterResult, cluster: str = "") -> Reply:
    """Make the reply to a write that was applied, or that the state refused."""
    if type(result) is Written:  # by far the most frequent; a match would cost more than all the rest
        return b'%b,"rev":%d}\n' % (_ok(raw), result.rev)
    id = bytes(raw)
    match result:
        case Refused(code, message, hint, failed):
            return _error(id, code, message, hint, "no", _failed(failed))
        case Conflict(message, hint, rev, value, failed):
            tail = b'%b,"rev":%d' % (_failed(failed), rev)
            if value is None:  # of an outcome that is only remembered, nobody knows the value that there was
                return _error(id, "conflict", message, hint, "no", tail if rev else tail + b',"value":null')
            reply = _error(id, "conflict", message, hint, "no", tail + b',"value":')
            return _gathered([reply[:-3], value, reply[-3:]])
        case Done():
            return transaction_reply(id, result, as_of(result.at))
        case Opened(session):
            return b'%b,"client":"%b-%d"}\n' % (_ok(id), cluster[:CLUSTER_DIGITS].encode(), session)
        case Closed() | GivenUp():
            return b"%b}\n" % _ok(id)
        case Replayed(index, first):
            return b'%b,"replayed":true}\n' % whole(result_reply(raw, first or Written(index)))[:-2]
        case SessionRefused(code, message, hint, applied):
            return error_reply(id, code, message, hint, applied)
        case _:
            return b"%b,%b}\n" % (_ok(id), _fields(result))


def _fields(result: Result) -> bytes:
    """The fields of a success that are only numbers."""
    match result:
        case Written(rev) | Unlocked(rev):
            return b'"rev":%d' % rev
        case Deleted(deleted, rev, None) | Revoked(deleted, rev):
            return b'"deleted":%d,"rev":%d' % (deleted, rev)
        case Deleted(deleted, rev, more):
            return b'"deleted":%d,"more":%b,"rev":%d' % (deleted, encode(more), rev)
        case Counted(value, rev):
            return b'"value":%d,"rev":%d' % (value, rev)
        case Granted(lease):
            return b'"lease":%d' % lease
        case Locked(fence):
            return b'"fence":%d' % fence
        case Queued(ahead):
            return b'"waiting":true,"ahead":%d' % ahead
    raise TypeError(f"{result!r} is no result")


def transaction_reply(id: bytes | Raw, done: Done, end: bytes) -> Reply:
    """Make the reply to a transaction. Once the values reach their bound, later ones are left out.

    `end` is from `as_of`.
    """
    pieces: list[Piece] = [b'%b,"succeeded":%b,"results":' % (_ok(id), encode(done.succeeded))]
    if done.results is None:
        pieces.append(b"null")
    else:
        start, room = b"[", MAX_TRANSACTION_BYTES
        for result in done.results:
            pieces.append(start)
            if isinstance(result, Item):
                room -= len(result.value)
                shown: list[Piece] = [b'"value":', result.value] if room >= 0 else [b'"omitted":true']
                pieces += [b"{", *shown, b",%b}" % item_numbers(result)]
            elif result is None:
                pieces.append(b"{%b}" % _MISSING)
            else:
                pieces.append(b"{%b}" % _fields(result))
            start = b","
        pieces.append(b"]" if done.results else b"[]")
    pieces.append(b',"rev":%d%b' % (done.rev, end))
    return _gathered(pieces)


def _failed(place: int | None) -> bytes:
    """The place of the operation that cannot be done, in an error's fields."""
    return b"" if place is None else b',"failed":%d' % place


def place_of(result: object) -> int | None:
    """The entry that owns the place in a queue that the result tells of; None where it tells of none."""
    if isinstance(result, Replayed):
        result = result.result
    return result.entry if isinstance(result, Queued) else None


def error_reply(id: bytes, code: str, message: str, hint: str, applied: str | None, **more: object) -> bytes:
    """Make an error reply. `applied` is "no" or "unknown" for a request that changes something, else None."""
    return _error(
        id, code, message, hint, applied, b"".join(b",%b:%b" % (encode(k), encode(v)) for k, v in more.items())
    )


def _error(id: bytes, code: str, message: str, hint: str, applied: str | None, tail: bytes) -> bytes:
    fields = {"code": code, "message": message, "hint": hint}
    if applied is not None:
        fields["applied"] = applied
    start = b'{"id":%b,"ok":false' % id if id else b'{"ok":false'
    return b'%b,"error":%b%b}}\n' % (start, encode(fields)[:-1], tail)


def as_of(index: int) -> bytes:
    """The end of a reply that reflects the state after that entry."""
    return b',"at":%d}\n' % index


def get_reply(id: bytes | Raw, item: Item | None, end: bytes) -> Reply:
    """Make the reply to a get; null and zeros where the key is missing. `end` is from `as_of`."""
    if item is None:
        return b"%b,%b%b" % (_ok(id), _MISSING, end)
    # Most values are small, and have no lease: a call would cost half as much as all this.
    if len(item.value) < LARGE_VALUE and not item.lease:
        start = b'{"id":%b,' % id if id else b"{"
        return b'%b"ok":true,"value":%b,"rev":%d,"created":%d,"version":%d%b' % (
            start,
            item.value,
            item.rev,
            item.created,
            item.version,
            end,
        )
    return [b'%b,"value":' % _ok(id), item.value, b",%b%b" % (item_numbers(item), end)]


def scan_reply(id: bytes | Raw, page: Page, end: bytes) -> Reply:
    """Make the reply to a scan: keys in order, and whether there are more. `end` is from `as_of`."""
    start, end = b'%b,"items":[' % _ok(id), b'],"more":%b%b' % (encode(page.more), end)
    if page.keys_only:
        keys = [b'{"key":%b,%b}' % (encode(key), item_numbers(item)) for key, item in page.items]
        return start + b",".join(keys) + end
    pieces: list[Piece] = [start]
    comma = b""
    for key, item in page.items:
        pieces += (b'%b{"key":%b,"value":' % (comma, encode(key)), item.value, b",%b}" % item_numbers(item))
        comma = b","
    pieces.append(end)
    return _gathered(pieces)


def locks_reply(id: bytes | Raw, page: LockPage, end: bytes) -> Reply:
    """Make the reply to a query for locks. `end` is from `as_of`."""
    return b'%b,"locks":%b,"more":%b%b' % (_ok(id), encode(page.locks), encode(page.more), end)


def log_reply(id: bytes, entries: Iterable[Entry], commit_index: int, last_applied: int, more: bool) -> Reply:
    """Make the reply to `show_log`: entries, each with whether it is committed and applied."""
    pieces: list[Piece] = [b'%b,"entries":[' % _ok(id)]
    comma = b""
    for run in Entries.of(entries).runs:
        for index, command in enumerate(payloads(run), run.first):
            come = encode(index <= commit_index), encode(index <= last_applied)
            pieces += (
                b'%b{"index":%d,"term":%d,"command":' % (comma, index, run.term),
                command,
                b',"committed":%b,"applied":%b}' % come,
            )
            comma = b","
    pieces.append(b'],"more":%b}\n' % encode(more))
    return _gathered(pieces)


def with_id(id: bytes, reply: bytes) -> bytes:
    """Add an id to a reply that was made without one."""
    return b'{"id":%b,%b' % (id, reply[1:]) if id else reply


def object_reply(id: bytes, fields: dict[str, object]) -> bytes:
    """Make any other reply from its fields."""
    body = encode(fields)[1:-1]
    return b"%b%b%b}\n" % (_ok(id), b"," if body else b"", body)


def ok_reply(id: bytes, rest: bytes) -> bytes:
    """Make a reply whose further fields, the brace and the line's end are given."""
    return b"%b,%b" % (_ok(id), rest)


def _gathered(pieces: Sequence[Piece]) -> Reply:
    """Join the small pieces, and leave the large ones as they are."""
    gathered: list[Piece] = []
    for large, alike in groupby(pieces, lambda piece: len(piece) >= LARGE_VALUE):
        if large:
            gathered += alike
        else:
            gathered.append(b"".join(alike))
    return gathered[0] if len(gathered) == 1 and isinstance(gathered[0], bytes) else gathered


def item_fields(item: Item | None) -> bytes:
    """The fields of a key's state: its value and numbers, null and zeros where it is missing."""
    return _MISSING if item is None else b'"value":%b,%b' % (item.value, item_numbers(item))


def item_numbers(item: Item) -> bytes:
    """The fields of a key's state beside its value."""
    numbers = b'"rev":%d,"created":%d,"version":%d' % (item.rev, item.created, item.version)
    return b'%b,"lease":%d' % (numbers, item.lease) if item.lease else numbers
