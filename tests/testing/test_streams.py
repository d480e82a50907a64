"""The events of what goes on are held to what is open on their connection."""

from __future__ import annotations

from typing import Any

import pytest

from trioraft.testing.streams import Streams, is_push
from trioraft.wire.codec import encode

_WATCH = {"op": "watch", "id": 7, "prefix": ""}
_LOCK = {"op": "lock", "id": "a", "name": "n", "lease": 3}
_WAITING = {"ok": True, "waiting": True, "at": 5}


def streams() -> Streams:
    """A connection with a watch and a waiting lock."""
    some = Streams()
    some.replied(_WATCH, _WAITING)
    some.replied(_LOCK, _WAITING)
    return some


def test_events_are_told_from_replies_that_show_the_word() -> None:
    assert is_push(b'{"id":7,"event":"synced","at":5}')
    assert is_push(b'{"event":"progress","at":5}')
    assert not is_push(b'{"id":7,"ok":true,"value":{"event":"synced"},"rev":1}')


def test_events_are_kept_with_what_they_belong_to() -> None:
    some = streams()
    some.take(b'{"id":7,"event":"put","key":"k","value":1,"rev":6,"created":6,"version":1}')
    some.take(b'{"event":"progress","at":6}')
    some.take(b'{"id":"a","event":"locked","fence":9}')
    watch, lock = some.all
    assert [event.event for event in watch.events] == ["put", "progress"]
    assert [event.event for event in lock.events] == ["locked"]
    assert list(some.open.values()) == [watch]


@pytest.mark.parametrize(
    "event",
    [
        {"id": 8, "event": "synced", "at": 5},
        {"id": 7, "event": "locked", "fence": 5},
        {"id": "a", "event": "put", "key": "k", "value": 1, "rev": 6},
        {"id": 7, "event": "closed", "error": {"code": "conflict"}, "at": 5},
        {"event": "put", "key": "k", "value": 1, "rev": 6},
    ],
    ids=str,
)
def test_what_cannot_come_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        streams().take(encode(event))


def test_nothing_comes_after_the_last_event_or_after_a_cancel_is_answered() -> None:
    some = streams()
    some.take(b'{"id":"a","event":"closed","error":{"code":"timeout"}}')
    some.replied({"op": "cancel", "request": 7}, {"ok": True})
    for line in (b'{"id":"a","event":"locked","fence":9}', b'{"id":7,"event":"synced","at":9}'):
        with pytest.raises(AssertionError, match="not open"):
            some.take(line)
