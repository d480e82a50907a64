"""Small requests with large replies: how much they may cost a node."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from trioraft.kv.items import Item
from trioraft.kv.queries import Page
from trioraft.kv.results import Conflict
from trioraft.replica.session import MAX_UNANSWERED, MAX_UNANSWERED_BYTES, Session
from trioraft.wire.replies import Reply, as_of, get_reply, joined, result_reply, scan_reply

VALUE = b'"%b"' % (b"x" * 1_000_000)
ITEM = Item(VALUE, 7, 6, 5)


@pytest.mark.parametrize(
    "reply",
    [
        get_reply(b"1", ITEM, as_of(9)),
        scan_reply(b"1", Page([("a", ITEM), ("b", ITEM)], False, False), as_of(9)),
        result_reply(Raw(b"1"), Conflict("no", "no", 7, VALUE)),
    ],
    ids=["get", "scan", "conflict"],
)
def test_a_large_value_is_not_copied_into_the_replies_that_hold_it(reply: Reply) -> None:
    assert isinstance(reply, list)
    assert any(piece is VALUE for piece in reply)
    assert sum(len(piece) for piece in reply if piece is not VALUE) < 1000
    assert VALUE.decode().strip('"') in json.dumps(json.loads(b"".join(reply)))


def test_small_reads_of_large_values_wait_for_room_though_they_come_together() -> None:
    session = Session(1 << 20, lambda: None, lambda _, requests: len(requests) * len(VALUE))
    session.receive(b'{"op":"get","key":"k"}\n' * 100)
    answered = 0
    while slots := session.requests(0):
        assert sum(slot.count for slot in slots) * len(VALUE) < MAX_UNANSWERED_BYTES + 2 * len(VALUE)
        for slot in slots:
            slot.answer(joined([get_reply(b"", ITEM, as_of(9))] * slot.count))
        while replies := session.take_replies(MAX_UNANSWERED_BYTES):
            answered += replies.count(b"\n")
    assert answered == 100


def test_a_client_that_does_not_read_is_given_no_more_than_fits() -> None:
    session = Session(1 << 20, lambda: None, lambda *_: 0)
    one, other = b'{"op":"get","key":"k"}\n', b'{"op":"get","key":"k","read":"stale"}\n'
    session.receive(one * (MAX_UNANSWERED // 2) + other * (MAX_UNANSWERED // 2))
    slots = session.requests(0)
    assert sum(slot.count for slot in slots) == MAX_UNANSWERED
    for slot in slots:
        slot.answer(joined([get_reply(b"", ITEM, as_of(9))] * slot.count))
    assert session.take_replies(0) == b""
    sent = 0
    while replies := session.take_replies(3_000_000):
        assert len(replies) <= 3_000_000
        sent += replies.count(b"\n")
    assert sent == MAX_UNANSWERED
    assert not session.done
    session.receive(b"")
    assert session.done
