"""Limits count bytes, and are the same on every path: one line, many at once, typed, escaped, or in pieces."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trioraft.kv.bounds import MAX_KEY_BYTES
from trioraft.kv.commands import Put
from trioraft.kv.store import Store
from trioraft.replica.session import MAX_UNANSWERED, MAX_UNANSWERED_BYTES, ReplySize, Session
from trioraft.replica.slots import Slot
from trioraft.wire.codec import decode
from trioraft.wire.framing import LineBuffer, LineTooLong
from trioraft.wire.parsing import RequestError, parse_alike, parse_request

LIMIT = 100

# A part of a key as it is written, and how many bytes of the key it is; None where it is no text.
UNITS: dict[bytes, int | None] = {
    b"a": 1,
    "é".encode(): 2,
    "€".encode(): 3,
    "😀".encode(): 4,
    b"\\n": 1,
    b'\\"': 1,
    b"\\u0061": 1,
    b"\\u00e9": 2,
    b"\\ud83d\\ude00": 4,
    b"\\ud83d": None,
}
WAYS: dict[str, bytes] = {
    "get": b'{"op":"get","key":"%b"}',
    "put": b'{"op":"put","key":"%b","value":1}',
    "delete": b'{"op":"delete","key":"%b"}',
    "incr": b'{"op":"incr","key":"%b"}',
    "prefix": b'{"op":"scan","prefix":"%b"}',
    "after": b'{"op":"scan","after":"%b"}',
    "delete by prefix": b'{"op":"delete","prefix":"%b"}',
    "name": b'{"op":"lock","name":"%b","lease":7}',
    "lock": b'{"op":"incr","key":"a","lock":"%b","fence":7}',
    "after a name": b'{"op":"locks","after":"%b"}',
    "checked key": b'{"op":"txn","checks":[{"key":"%b","rev":0}],"then":[]}',
    "checked lock": b'{"op":"txn","checks":[{"lock":"%b","fence":1}],"then":[]}',
    "got": b'{"op":"txn","then":[{"op":"get","key":"%b"}]}',
    "put if": b'{"op":"txn","then":[{"op":"put","key":"%b","value":1}]}',
    "counted else": b'{"op":"txn","then":[],"else":[{"op":"incr","key":"%b"}]}',
}


def accepted(line: bytes) -> bool:
    try:
        parse_request(line)
    except RequestError:
        return False
    return True


@pytest.mark.parametrize("unit", UNITS, ids=ascii)
@pytest.mark.parametrize("way", WAYS)
def test_what_is_named_is_counted_in_bytes(way: str, unit: bytes) -> None:
    size = UNITS[unit]
    for more in (-1, 0, 1):
        count = MAX_KEY_BYTES // (size or 3) + more
        named = unit * count
        fits = size is not None and count * size <= MAX_KEY_BYTES
        line = WAYS[way] % named
        assert accepted(line) == fits
        plain = WAYS[way] % b"plain"
        for together in ([line], [line, plain], [plain, line], [plain, line, line]):
            found = parse_alike(b"".join(one + b"\n" for one in together), 10)
            assert found is None or (fits and len(found) == len(together))


@pytest.mark.parametrize(
    "unit", [unit for unit, size in UNITS.items() if size and not unit.startswith(b"\\")], ids=ascii
)
def test_a_key_that_is_typed_is_counted_in_bytes_too(unit: bytes) -> None:
    most = MAX_KEY_BYTES // len(unit)
    assert accepted(b"get " + unit * most)
    assert not accepted(b"get " + unit * (most + 1))


# Lines


def as_they_come(data: bytes) -> list[bytes]:
    return [data]


def byte_by_byte(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


def without_its_end(data: bytes) -> list[bytes]:
    return [data[:-1], data[-1:]]


@pytest.mark.parametrize("cut", [as_they_come, byte_by_byte, without_its_end])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("before", [b"", b"x\n", b"x\r\n", b"x\n" * LIMIT])
def test_a_line_is_as_long_as_the_limit_at_most_however_it_comes(
    cut: Callable[[bytes], list[bytes]], end: bytes, before: bytes
) -> None:
    for size in (LIMIT, LIMIT + 1, 3 * LIMIT):
        buffer = LineBuffer(LIMIT)
        lines: list[bytes] = []
        try:
            for part in cut(before + b"y" * size + end):
                lines += buffer.feed(part)
        except LineTooLong as error:
            lines += error.lines
            assert size > LIMIT
        else:
            assert size == LIMIT
            assert lines.pop() == b"y" * LIMIT
        assert lines == [b"x"] * before.count(b"x")


def session(reply_size: ReplySize = lambda *_: 0, limit: int = 1024 * 1024) -> Session:
    return Session(limit, lambda: None, reply_size)


def take(one: Session) -> list[Slot]:
    """The requests that may be carried out now."""
    slots: list[Slot] = []
    while more := one.requests(0):
        slots += more
    return slots


@pytest.mark.parametrize("place", [0, 1, 2, 7])
def test_of_lines_that_come_together_none_may_be_longer_than_the_limit(place: int) -> None:
    one = session(limit=LIMIT)
    lines = [b'{"op":"put","key":"k","value":%d}\n' % number for number in range(8)]
    lines[place] = b'{"op":"put","key":"k","value":"%b"}\n' % (b"x" * LIMIT)
    one.receive(b"".join(lines))
    slots = take(one)
    assert sum(slot.count for slot in slots) == place
    for slot in slots:
        slot.answer([b"{}\n"] * slot.count)
    take(one)  # this end is reported once everything before it is answered
    replies = one.take_replies().splitlines()
    assert len(replies) == place + 1
    assert decode(replies[-1])["error"]["code"] == "line_too_long"
    assert one.closing


PUT, GET = b'{"op":"put","key":"k","value":1}\n', b'{"op":"get","key":"k"}\n'


@pytest.mark.parametrize("line", [PUT, GET])
@pytest.mark.parametrize("first", [1, 2, 1000, MAX_UNANSWERED])
def test_no_more_are_under_way_at_once_than_the_limit_however_they_come(line: bytes, first: int) -> None:
    one = session()
    one.receive(line * first)
    slots = take(one)
    one.receive(line * MAX_UNANSWERED)
    slots += take(one)
    assert sum(slot.count for slot in slots) <= MAX_UNANSWERED
    asked, answered = first + MAX_UNANSWERED, 0
    while slots:
        for slot in slots:
            slot.answer([b"{}\n"] * slot.count)
        answered += one.take_replies().count(b"\n")
        slots = take(one)
        assert sum(slot.count for slot in slots) <= MAX_UNANSWERED
    assert answered == asked


def test_replies_that_are_large_count_though_the_lines_are_read_at_once() -> None:
    one = session(lambda _, requests: len(requests) * MAX_UNANSWERED_BYTES // 10)
    one.receive(GET * 100)
    assert sum(slot.count for slot in take(one)) <= 11  # the last of them may exceed the limit


def test_a_page_of_a_scan_is_counted_in_bytes() -> None:
    store = Store()
    for number in range(20):
        Put("é" * 100 + str(number), b"1").apply(store, number + 1)  # type: ignore[arg-type]
    for most in (1000, 2000, 3000):
        found, more = store.scan("", None, 100, most)
        size = sum(len(key.encode()) + len(item.value) for key, item in found)
        assert most - 250 < size <= most
        assert more
