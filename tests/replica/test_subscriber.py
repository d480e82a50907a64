"""The listener at a connection tells nothing that is no longer so once its client reads it."""

from __future__ import annotations

from trioraft.replica.subscriber import Opened, Stream, Subscriber


class Surroundings:
    now = 0

    def wake(self, subscriber: Subscriber) -> None: ...

    def close(self, opened: Opened) -> None: ...


def test_progress_does_not_leave_behind_the_answer_that_opens_a_watch_which_is_not_so_far() -> None:
    subscriber = Subscriber(lambda: None, Surroundings(), 1000)
    first, second = object(), object()
    subscriber.open(Stream(subscriber, b"1", None, 0), first)
    subscriber.tell_progress(18)
    subscriber.open(Stream(subscriber, b"2", None, 0), second)
    assert subscriber.take(1000, ()) == []
    subscriber.tell_progress(18)
    assert b"".join(subscriber.take(1000, ())) == b'{"event":"progress","at":18}\n'
