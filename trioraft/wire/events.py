"""The lines that reply to no request: they tell what has happened to something that is open, or to a connection.

An event is a head, which names the request, and a tail, which all share who are told of the same thing.
"""

from __future__ import annotations

from typing import Final

from trioraft.kv.items import Item
from trioraft.wire.codec import encode
from trioraft.wire.replies import as_of, item_fields

SYNCED: Final = "synced"
PROGRESS: Final = "progress"
HELD: Final = b'"event":"held",'
"""The beginning of the event of a key that is in the state that was waited for; the state follows."""


def head(id: bytes) -> bytes:
    """The part of an event that names the request with that id, which is empty where it has none."""
    return b'{"id":%b,' % id if id else b"{"


def put(key: str, item: Item, more: bool, initial: bool = False) -> bytes:
    """The event of a key that was written; `initial`: it was there before."""
    start = b'"event":"put","key":%b,' % encode(key)
    return b"%b%b%b%b}\n" % (start, item_fields(item), _MORE if more else b"", _INITIAL if initial else b"")


def delete(key: str, rev: int, by_lease: bool, more: bool) -> bytes:
    """The event of a key that was removed; `by_lease`: with its lease."""
    start = b'"event":"delete","key":%b,"rev":%d' % (encode(key), rev)
    return b"%b%b%b}\n" % (start, _BY_LEASE if by_lease else b"", _MORE if more else b"")


def state(item: Item | None, at: int) -> bytes:
    """The state of a key at that revision, as the end of a line; null and zeros where the key is missing."""
    return item_fields(item) + as_of(at)


def held(item: Item | None, at: int) -> bytes:
    """The event of a key that was, at that revision, in the state that was waited for."""
    return HELD + state(item, at)


def told(event: str, at: int) -> bytes:
    """An event with nothing but a revision."""
    return b'"event":"%b","at":%d}\n' % (event.encode(), at)


def locked(fence: int) -> bytes:
    """The event of a lock that is held now."""
    return b"%b%d}\n" % (_LOCKED, fence)


def fence_of(tail: bytes) -> int | None:
    """The fence in the event of a lock that is held now; None for every other event."""
    return int(tail[len(_LOCKED) : -2]) if tail.startswith(_LOCKED) else None


def closed(at: int, code: str, message: str, hint: str, **more: object) -> bytes:
    """The last event of what ends with an error; `more` are fields of the error."""
    error = encode({"code": code, "message": message, "hint": hint, **more})
    return b'"event":"closed","error":%b,"at":%d}\n' % (error, at)


_LOCKED: Final = b'"event":"locked","fence":'
_MORE: Final = b',"more":true'
_INITIAL: Final = b',"initial":true'
_BY_LEASE: Final = b',"by":"lease"'
