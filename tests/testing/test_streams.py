"""The events of what goes on are held to what is open on their connection."""

from __future__ import annotations

from typing import Any

import pytest

from trioraft.testing.history import Request
from trioraft.testing.streams import Streams, is_push
from trioraft.wire.codec import encode

_WATCH = {"op": "watch", "id": 7, "prefix": ""}
_LOCK = {"op": "lock", "id": "a", "name": "n", "lease": 3}
_WAITING = {"ok": True, "waiting": True, "at": 5}


def streams() -> Streams:
    """A connection with a watch and a waiting lock."""
    some = Streams()
    some.replied(Request(0, 0, 0, _WATCH, 0.0), _WAITING)
    some.replied(Request(0, 0, 1, _LOCK, 0.0), _WAITING)
    return some


def test_events_are_told_from_replies_that_show_the_word() -> None:
    assert is_push(b'{"id":7,"event":"synced","at":5}')
    assert is_push(b'{"event":"progress","at":5}')
    assert not is_push(b'{"id":7,"ok":true,"value":{"event":"synced"},"rev":1}')


def test_events_are_matched_with_what_they_belong_to() -> None:
    some = streams()
    stream, push = some.take(b'{"id":7,"event":"put","key":"k","value":1,"rev":6,"created":6,"version":1}')
    assert stream is not None
    assert (stream.asked, push.rev) == (_WATCH, 6)
    assert some.take(b'{"event":"progress","at":6}')[0] is None
    stream, push = some.take(b'{"id":"a","event":"locked","fence":9}')
    assert stream is not None
    assert (stream.asked, push.fence) == (_LOCK, 9)
    assert [stream.asked for stream in some.open.values()] == [_WATCH]


def test_progress_neither_goes_back_nor_overtakes_an_event() -> None:
    some = streams()
    some.take(b'{"event":"progress","at":6}')
    with pytest.raises(AssertionError, match="goes back"):
        some.take(b'{"event":"progress","at":5}')
    with pytest.raises(AssertionError, match="every event was sent"):
        some.take(b'{"id":7,"event":"put","key":"k","value":1,"rev":6,"created":6,"version":1}')


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
    some.replied(Request(0, 0, 2, {"op": "cancel", "request": 7}, 0.0), {"ok": True})
    for line in (b'{"id":"a","event":"locked","fence":9}', b'{"id":7,"event":"synced","at":9}'):
        with pytest.raises(AssertionError, match="not open"):
            some.take(line)
