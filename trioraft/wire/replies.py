"""What clients are answered: compact JSON, one line each, raw values spliced in as they were given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trioraft.kv.results import Conflict, Counted, Deleted, Result, Written
from trioraft.kv.store import Item
from trioraft.raft.messages import Entry
from trioraft.wire.codec import encode
from trioraft.wire.entries import payload


def _ok(id: bytes) -> bytes:
    return b'{"id":%b,"ok":true' % id if id else b'{"ok":true'


def result_reply(id: bytes, result: Result) -> bytes:
    """The reply to a write that was applied, or was refused by the state that it met."""
    if type(result) is Written:  # by far the most frequent, and a match would cost more than the rest
        return b'%b,"rev":%d}\n' % (_ok(id), result.rev)
    match result:
        case Deleted(deleted, rev):
            return b'%b,"deleted":%d,"rev":%d}\n' % (_ok(id), deleted, rev)
        case Counted(value, _):
            return b'%b,"value":%d}\n' % (_ok(id), value)
        case Conflict(message, hint, rev, value):
            tail = b',"rev":%d,"value":%b' % (rev, value or b"null")
            return _error(id, "conflict", message, hint, "no", tail)
    raise TypeError(f"{result!r} is no result")


def error_reply(id: bytes, code: str, message: str, hint: str, applied: str | None, **more: object) -> bytes:
    """A failure: `applied` is "no" or "unknown" for a write, None for anything else."""
    return _error(
        id, code, message, hint, applied, b"".join(b",%b:%b" % (encode(k), encode(v)) for k, v in more.items())
    )


def _error(id: bytes, code: str, message: str, hint: str, applied: str | None, tail: bytes) -> bytes:
    fields = {"code": code, "message": message, "hint": hint}
    if applied is not None:
        fields["applied"] = applied
    start = b'{"id":%b,"ok":false' % id if id else b'{"ok":false'
    return b'%b,"error":%b%b}}\n' % (start, encode(fields)[:-1], tail)


def get_reply(id: bytes, item: Item | None) -> bytes:
    """A key as it is; null and zeros where it is missing."""
    if item is None:
        return b'%b,"value":null,"rev":0,"created":0,"version":0}\n' % _ok(id)
    return b'%b,"value":%b,%b}\n' % (_ok(id), item.value, _numbers(item))


def scan_reply(id: bytes, items: Sequence[tuple[str, Item]], more: bool, keys_only: bool) -> bytes:
    """Keys in order, and whether there are more."""
    if keys_only:
        rows = [b'{"key":%b,%b}' % (encode(key), _numbers(item)) for key, item in items]
    else:
        rows = [b'{"key":%b,"value":%b,%b}' % (encode(key), item.value, _numbers(item)) for key, item in items]
    return b'%b,"items":[%b],"more":%b}\n' % (_ok(id), b",".join(rows), encode(more))


def log_reply(id: bytes, entries: Iterable[Entry], commit_index: int, last_applied: int, more: bool) -> bytes:
    """Entries of a node's own log, with how far each has come."""
    rows = [
        b'{"index":%d,"term":%d,"command":%b,"committed":%b,"applied":%b}'
        % (
            entry.index,
            entry.term,
            payload(entry),
            encode(entry.index <= commit_index),
            encode(entry.index <= last_applied),
        )
        for entry in entries
    ]
    return b'%b,"entries":[%b],"more":%b}\n' % (_ok(id), b",".join(rows), encode(more))


def object_reply(id: bytes, fields: dict[str, object]) -> bytes:
    """Any other reply: its fields as they are."""
    body = encode(fields)[1:-1]
    return b"%b%b%b}\n" % (_ok(id), b"," if body else b"", body)


def _numbers(item: Item) -> bytes:
    return b'"rev":%d,"created":%d,"version":%d' % (item.rev, item.created, item.version)
