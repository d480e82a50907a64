"""Framing, entries, and messages between peers."""

from __future__ import annotations

import json
from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioraft.raft.messages import AppendEntries, AppendEntriesReply, InstallSnapshot, PreVote, RequestVoteReply
from trioraft.raft.runs import RUN_BYTES, Entries
from trioraft.wire import peers
from trioraft.wire.codec import BadLine, seal_line
from trioraft.wire.commands import commands_of, decode_command
from trioraft.wire.entries import UnknownKind, parse, payload, seal, seal_commands
from trioraft.wire.framing import LineBuffer, LineTooLong
from trioraft.wire.peers import (
    PART_BYTES,
    FormationView,
    NotProposed,
    PeerDecoder,
    PeerMessage,
    Propose,
    Proposed,
    ReadIndexReply,
    ReadIndexRequest,
    Underway,
    decode_handshake,
    encode,
)

ENTRIES = [seal(4, 2, "command", b'{"op":"delete","key":"a"}'), seal(5, 3, "noop", b"null")]
MESSAGES: list[PeerMessage] = [
    AppendEntries(3, 3, 2, 1, 9, ENTRIES),
    AppendEntries(3, 3, 2, 1, 9, []),
    AppendEntriesReply(3, False, 0, 1, 7, 5, 2),
    PreVote(4, 5, 3),
    RequestVoteReply(4, True),
    FormationView("c"),
    FormationView(None),
    Propose(1, [b'{"op":"delete","key":"a"}', b'{"op":"delete","key":"b"}']),
    Proposed(1, 2, 6, 3),
    NotProposed(1, 2, "overloaded", "m", "h"),
    ReadIndexRequest(8),
    ReadIndexReply(8, None),
]


@given(st.lists(st.binary(min_size=1, max_size=30)), st.integers(1, 7))
def test_lines_are_the_same_however_the_bytes_come(parts: list[bytes], step: int) -> None:
    data = b"\n".join(parts)
    whole, pieces = LineBuffer(1000), LineBuffer(1000)
    lines = [line for start in range(0, len(data), step) for line in pieces.feed(data[start : start + step])]
    assert lines == whole.feed(data)
    assert pieces.finish() == whole.finish()


def test_lines_end_in_newline_or_return_and_newline_and_blank_ones_are_dropped() -> None:
    buffer = LineBuffer(10)
    assert buffer.feed(b"a\r\n\n  \r\nb\rc\nd") == [b"a", b"b\rc"]
    assert buffer.finish() == b"d"


def test_a_line_over_the_limit_is_said_after_those_before_it() -> None:
    assert LineBuffer(4).feed(b"abcd\r\n") == [b"abcd"]
    with pytest.raises(LineTooLong) as caught:
        LineBuffer(4).feed(b"ab\nabcde\n")
    assert caught.value.lines == [b"ab"]
    buffer = LineBuffer(4)
    with pytest.raises(LineTooLong):
        for _ in range(10):
            buffer.feed(b"x")


def test_an_entry_is_its_line() -> None:
    for entry in ENTRIES:
        assert parse(entry.line) == entry
    assert ENTRIES[0].line.startswith(b'{"crc":"')
    assert ENTRIES[0].line.endswith(b'","index":4,"term":2,"command":{"op":"delete","key":"a"}}')
    assert payload(ENTRIES[0]) == b'{"op":"delete","key":"a"}'
    assert payload(ENTRIES[1]) == b"null"


def test_a_flipped_bit_anywhere_in_an_entry_is_seen() -> None:
    line = ENTRIES[0].line
    for position in range(len(line)):
        for bit in range(8):
            with pytest.raises(BadLine):
                parse(line[:position] + bytes([line[position] ^ 1 << bit]) + line[position + 1 :])


def test_an_entry_of_a_newer_kind_asks_for_an_upgrade() -> None:
    with pytest.raises(UnknownKind, match="upgrade"):
        parse(seal_line(b'"index":1,"term":1,"hologram":{}}'))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("step", [1, 7, 100, 10_000])
def test_what_a_peer_says_arrives_as_it_was_said_however_the_bytes_come(message: PeerMessage, step: int) -> None:
    data = encode(message) * 3
    decoder = PeerDecoder()
    heard = [said for start in range(0, len(data), step) for said in decoder.feed(data[start : start + step])]
    assert heard == [message] * 3
    assert list(decoder.feed(data[:-1])) == [message] * 2


LONG = b'{"op":"put","key":"a","value":"%b"}' % (b"x" * 1_000_000)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (AppendEntries(2, 7, 2, 6, 5, seal_commands(8, 2, [LONG])), AppendEntries(2, 7, 2, 6, 5, [])),
        (InstallSnapshot(2, 9, 1, 0, False, LONG + b"\n"), AppendEntries(2, 0, 0, 0, 0, [])),
        (Propose(3, [LONG], 2), Underway(2)),
    ],
    ids=["entries", "a piece of a snapshot", "writes"],
)
def test_who_sends_what_is_long_is_heard_before_it_is_whole(message: PeerMessage, said: PeerMessage) -> None:
    decoder = PeerDecoder()
    data = encode(message)
    for _ in range(2):
        heard = [said for start in range(0, len(data), 1000) for said in decoder.feed(data[start : start + 1000])]
        assert heard.pop() == message
        assert heard == [said] * (len(data) // PART_BYTES + 1)
    assert list(decoder.feed(data)) == [message], "where it comes at once there is nothing to tell"


def test_entries_of_several_terms_and_kinds_arrive_as_they_were_sent() -> None:
    commands = [b'{"op":"delete","key":"%d"}' % number for number in range(4)]
    entries = [*seal_commands(4, 2, commands), seal(8, 3, "noop", b"null")]
    entries += [*seal_commands(9, 3, commands), seal(13, 5, "noop", b"null")]
    entries += seal_commands(14, 6, commands)
    assert entries[1] == seal(5, 2, "command", commands[1])
    for start in range(len(entries)):
        for end in range(start, len(entries) + 1):
            before = entries[start - 1] if start else seal(3, 1, "noop", b"null")
            message = AppendEntries(6, before.index, before.term, 1, 9, entries[start:end])
            assert list(PeerDecoder().feed(encode(message))) == [message]


def test_commands_that_come_together_are_a_run_and_many_are_several() -> None:
    for count, value in ((1, b"1"), (300, b"1"), (300, b'"%b"' % (b"x" * 2000)), (1, b'"%b"' % (b"x" * 300_000))):
        entries = seal_commands(8, 2, [b'{"op":"put","key":"a","value":%b}' % value] * count)
        (message,) = PeerDecoder().feed(encode(AppendEntries(2, 7, 2, 7, 0, entries)))
        assert isinstance(message, AppendEntries)
        assert isinstance(message.entries, Entries)
        assert message.entries.runs == entries.runs
        assert all(run.count == 1 or len(run.data) <= RUN_BYTES for run in entries.runs)


def test_what_was_said_before_something_senseless_is_heard() -> None:
    messages = PeerDecoder().feed(encode(MESSAGES[0]) + b"nonsense\n")
    assert next(messages) == MESSAGES[0]
    with pytest.raises(BadLine):
        next(messages)


def announced(lines: list[bytes], **changes: object) -> bytes:
    """The last fields of a header, and the lines that follow it."""
    data = b"".join(line + b"\n" for line in lines)
    fields = {"count": len(lines), "bytes": len(data), "crc": f"{crc32(data):08x}"} | changes
    return json.dumps(fields).encode()[1:] + b"\n" + data


def append(lines: list[bytes], term: int, prev_index: int, prev_term: int, **changes: object) -> bytes:
    return (
        b'{"type":"append_entries","term":%d,"prev_index":%d,"prev_term":%d,"commit_index":0,"round":0,'
        % (term, prev_index, prev_term)
    ) + announced(lines, **changes)


COMMANDS = [entry.line for entry in seal_commands(8, 2, [b'{"op":"delete","key":"b"}', b'{"op":"incr","key":"c"}'] * 3)]
PREVIOUS = (3, 7, 2)


def test_these_tests_announce_as_it_is_done() -> None:
    for changes in ({}, {"commands_of": 2}):
        (message,) = PeerDecoder().feed(append(COMMANDS, *PREVIOUS, **changes))
        assert isinstance(message, AppendEntries)
        assert message.entries == [parse(line) for line in COMMANDS]


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\n",
        b'{"type":"unheard_of"}\n',
        b'{"type":"pre_vote","term":-1,"last_index":0,"last_term":0}\n',
        b'{"type":"pre_vote","term":9223372036854775808,"last_index":0,"last_term":0}\n',
        append([], 1, 1, 2),
        append([], 1, 0, 0, count=9999999),
        append([], 1, 0, 0, bytes=2**40),
        append([ENTRIES[0].line], 3, 2, 2),
        append([ENTRIES[0].line], 1, 3, 1),
        append(COMMANDS, *PREVIOUS, count=5),
        append(COMMANDS, *PREVIOUS, count=7),
        append(COMMANDS, *PREVIOUS, crc="00000000"),
        append(COMMANDS, *PREVIOUS, crc=7),
        append(COMMANDS, *PREVIOUS, commands_of=3),
        append(COMMANDS, *PREVIOUS, commands_of=1),
        append(COMMANDS, *PREVIOUS, commands_of=4),
        append(COMMANDS, *PREVIOUS, commands_of="2"),
        append(COMMANDS, 3, 8, 2, commands_of=2),
        append(COMMANDS[1:], *PREVIOUS, commands_of=2),
        append([*COMMANDS[:3], *COMMANDS[4:]], *PREVIOUS, commands_of=2),
        append([*COMMANDS[:5], seal(13, 2, "noop", b"null").line], *PREVIOUS, commands_of=2),
        append([*COMMANDS[:5], COMMANDS[5].replace(b'"c"', b'"d"')], *PREVIOUS, commands_of=2),
        append([], *PREVIOUS, commands_of=2),
        append([b"", *COMMANDS], *PREVIOUS, commands_of=2),
        b'{"type":"propose","number":1,' + announced([b"{}"], crc="00000000"),
        b'{"type":"propose","number":1,' + announced([b"{}", b"{}"], count=1),
        b'{"type":"propose","number":1,"count":1,"bytes":2,"crc":"%08x"}\n{}' % crc32(b"{}"),
    ],
)
def test_what_makes_no_sense_is_refused(data: bytes) -> None:
    with pytest.raises(BadLine):
        list(PeerDecoder().feed(data))


def test_a_flipped_bit_anywhere_in_what_a_header_announces_is_seen() -> None:
    data = append(COMMANDS, *PREVIOUS, commands_of=2)
    for position in range(data.index(b"\n") + 1, len(data)):
        for bit in range(8):
            with pytest.raises(BadLine):
                list(PeerDecoder().feed(data[:position] + bytes([data[position] ^ 1 << bit]) + data[position + 1 :]))


def test_entries_that_were_damaged_in_memory_after_they_were_sealed_are_not_taken() -> None:
    run = seal_commands(8, 2, [b'{"op":"put","key":"a","value":1}'] * 3).runs[0]
    damaged = msgspec.structs.replace(run, data=run.data.replace(b'"value":1', b'"value":3', 1))
    with pytest.raises(BadLine):
        list(PeerDecoder().feed(encode(AppendEntries(3, 7, 2, 7, 0, Entries([damaged])))))


def test_a_line_that_never_ends_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "MAX_HEADER", 100)
    decoder = PeerDecoder()
    with pytest.raises(BadLine):
        for _ in range(11):
            assert not list(decoder.feed(b"x" * 10))


@given(st.binary(max_size=100))
def test_no_bytes_can_do_more_than_be_refused(line: bytes) -> None:
    for read in (decode_handshake, lambda line: list(PeerDecoder().feed(line + b"\n")), parse):
        with pytest.raises(BadLine):
            read(line)


def test_what_is_applied_at_once_is_what_each_entry_carries() -> None:
    entry = ENTRIES[0]
    carried, other = Entries.of([entry, ENTRIES[1]]).runs
    assert commands_of(carried) == [decode_command(payload(entry))]
    assert commands_of(other) == []
