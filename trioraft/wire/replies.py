"""The replies to clients: each is one line of compact JSON, with raw values spliced in as they were given.

A large value is not copied into its reply. The reply then consists of pieces, one of which is the store's own bytes or
a view of the log's. Many replies with one value, waiting for a client that does not read, cost no more than one reply.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Protocol

from msgspec import Raw

from trioraft.kv.items import LARGE_VALUE, Item
from trioraft.kv.queries import Page
from trioraft.kv.results import Conflict, Counted, Deleted, Result, Written
from trioraft.raft.messages import Entry
from trioraft.raft.runs import Entries
from trioraft.wire.codec import encode
from trioraft.wire.entries import payloads

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


def write_replies(requests: Sequence[HasId], first: int, results: Mapping[int, Result]) -> Sequence[Reply]:
    """Make the replies to writes that became the entries from index `first` on. No result means simply written."""
    if results:
        return [
            result_reply(request.id, results.get(index) or Written(index))
            for index, request in enumerate(requests, first)
        ]
    return [
        b'{"id":%b,"ok":true,"rev":%d}\n' % (request.id, rev) if request.id else b'{"ok":true,"rev":%d}\n' % rev
        for rev, request in enumerate(requests, first)
    ]


def result_reply(raw: Raw, result: Result) -> Reply:
    """Make the reply to a write that was applied, or that the state refused."""
    if type(result) is Written:  # by far the most frequent; a match would cost more than all the rest
        return b'%b,"rev":%d}\n' % (_ok(raw), result.rev)
    id = bytes(raw)
    match result:
        case Deleted(deleted, rev):
            return b'%b,"deleted":%d,"rev":%d}\n' % (_ok(id), deleted, rev)
        case Counted(value, rev):
            return b'%b,"value":%d,"rev":%d}\n' % (_ok(id), value, rev)
        case Conflict(message, hint, rev, value):
            reply = _error(id, "conflict", message, hint, "no", b',"rev":%d,"value":' % rev)
            return _gathered([reply[:-3], value or b"null", reply[-3:]])
    raise TypeError(f"{result!r} is no result")


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


def get_reply(id: bytes | Raw, item: Item | None) -> Reply:
    """Make the reply to a get; null and zeros where the key is missing."""
    if item is None:
        return b'%b,"value":null,"rev":0,"created":0,"version":0}\n' % _ok(id)
    if len(item.value) < LARGE_VALUE:  # most values are small, and a call would cost half as much as all this
        start = b'{"id":%b,' % id if id else b"{"
        return b'%b"ok":true,"value":%b,"rev":%d,"created":%d,"version":%d}\n' % (
            start,
            item.value,
            item.rev,
            item.created,
            item.version,
        )
    return [b'%b,"value":' % _ok(id), item.value, b",%b}\n" % _numbers(item)]


def scan_reply(id: bytes | Raw, page: Page) -> Reply:
    """Make the reply to a scan: keys in order, and whether there are more."""
    start, end = b'%b,"items":[' % _ok(id), b'],"more":%b}\n' % encode(page.more)
    if page.keys_only:
        return start + b",".join([b'{"key":%b,%b}' % (encode(key), _numbers(item)) for key, item in page.items]) + end
    pieces: list[Piece] = [start]
    comma = b""
    for key, item in page.items:
        pieces += (b'%b{"key":%b,"value":' % (comma, encode(key)), item.value, b",%b}" % _numbers(item))
        comma = b","
    pieces.append(end)
    return _gathered(pieces)


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


def _gathered(pieces: Sequence[Piece]) -> Reply:
    """Join the small pieces, and leave the large ones as they are."""
    gathered: list[Piece] = []
    for large, alike in groupby(pieces, lambda piece: len(piece) >= LARGE_VALUE):
        if large:
            gathered += alike
        else:
            gathered.append(b"".join(alike))
    return gathered[0] if len(gathered) == 1 and isinstance(gathered[0], bytes) else gathered


def _numbers(item: Item) -> bytes:
    return b'"rev":%d,"created":%d,"version":%d' % (item.rev, item.created, item.version)
