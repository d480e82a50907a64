"""Framing, entries, and what peers say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioraft.raft.messages import AppendEntries, AppendEntriesReply, PreVote, RequestVoteReply
from trioraft.wire.codec import BadLine, seal_line
from trioraft.wire.commands import commands_of, decode_command
from trioraft.wire.entries import UnknownKind, parse, parse_commands, payload, seal, seal_commands
from trioraft.wire.framing import LineBuffer, LineTooLong
from trioraft.wire.peers import (
    FormationView,
    NotProposed,
    PeerDecoder,
    PeerMessage,
    Propose,
    Proposed,
    ReadIndexReply,
    ReadIndexRequest,
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
def test_what_a_peer_says_arrives_as_it_was_said(message: PeerMessage) -> None:
    lines = encode(message).splitlines()
    assert list(PeerDecoder().feed(lines)) == [message]
    assert list(PeerDecoder().feed(lines * 3)) == [message] * 3
    decoder = PeerDecoder()
    *before, last = lines
    assert [list(decoder.feed([line])) for line in before] == [[]] * len(before)
    assert list(decoder.feed([last])) == [message]


def test_entries_of_several_terms_and_kinds_arrive_as_they_were_sent() -> None:
    commands = [b'{"op":"delete","key":"%d"}' % number for number in range(4)]
    entries = [*seal_commands(4, 2, commands), seal(8, 3, "noop", b"null")]
    entries += [*seal_commands(9, 3, commands), seal(13, 5, "noop", b"null")]
    entries += seal_commands(14, 6, commands)
    assert entries[1] == seal(5, 2, "command", commands[1])
    message = AppendEntries(6, 3, 1, 1, 9, entries)
    assert list(PeerDecoder().feed(encode(message).splitlines())) == [message]


def test_what_was_said_before_something_senseless_is_heard() -> None:
    messages = PeerDecoder().feed([*encode(MESSAGES[0]).splitlines(), b"nonsense"])
    assert next(messages) == MESSAGES[0]
    with pytest.raises(BadLine):
        next(messages)


@pytest.mark.parametrize(
    "lines",
    [
        [b"nonsense"],
        [b'{"type":"unheard_of"}'],
        [b'{"type":"pre_vote","term":-1,"last_index":0,"last_term":0}'],
        [b'{"type":"pre_vote","term":9223372036854775808,"last_index":0,"last_term":0}'],
        [b'{"type":"append_entries","term":1,"prev_index":1,"prev_term":2,"commit_index":0,"round":0,"count":0}'],
        [b'{"type":"append_entries","term":1,"prev_index":0,"prev_term":0,"commit_index":0,"round":0,"count":9999999}'],
        [
            b'{"type":"append_entries","term":3,"prev_index":2,"prev_term":2,"commit_index":0,"round":0,"count":1}',
            ENTRIES[0].line,
        ],
        [
            b'{"type":"append_entries","term":1,"prev_index":3,"prev_term":1,"commit_index":0,"round":0,"count":1}',
            ENTRIES[0].line,
        ],
    ],
)
def test_what_makes_no_sense_is_refused(lines: list[bytes]) -> None:
    with pytest.raises(BadLine):
        list(PeerDecoder().feed(lines))


@given(st.binary(max_size=100))
def test_no_bytes_can_do_more_than_be_refused(line: bytes) -> None:
    for read in (decode_handshake, lambda line: list(PeerDecoder().feed([line])), parse):
        with pytest.raises(BadLine):
            read(line)


def test_the_quick_reading_takes_just_what_is_expected_and_reads_it_as_the_careful_one_does() -> None:
    commands = seal_commands(8, 2, [b'{"op":"delete","key":"b"}', b'{"op":"incr","key":"c"}'])
    lines = [entry.line for entry in commands]
    assert parse_commands(lines, 8, 2) == commands == [parse(line) for line in lines]
    assert parse_commands(lines, 9, 2) is None
    assert parse_commands(lines, 8, 3) is None
    assert parse_commands(lines[::-1], 8, 2) is None
    assert parse_commands([lines[0], seal(9, 2, "noop", b"null").line], 8, 2) is None
    for changed in range(2):
        line = lines[changed]
        for position in range(len(line)):
            for byte in (b"0", b"}", b"\\", b"a", b"", b"00"):
                other = line[:position] + byte + line[position + 1 :]
                if other != line:
                    assert parse_commands([*lines[:changed], other, *lines[changed + 1 :]], 8, 2) is None
        assert parse_commands([*lines[:changed], b"", *lines[changed + 1 :]], 8, 2) is None
    capitals = [seal(8, 2, "command", b'{"op":"delete","key":"%d"}' % key).line for key in range(20)]
    capitals = [line[:8] + line[8:16].upper() + line[16:] for line in capitals if line[8:16] != line[8:16].upper()]
    assert capitals
    assert all(parse_commands([line], 8, 2) is None for line in capitals)


def test_what_is_applied_at_once_is_what_each_entry_carries() -> None:
    entry = ENTRIES[0]
    assert commands_of([entry, ENTRIES[1]]) == [(4, decode_command(payload(entry)))]


def test_entries_are_read_as_they_are_where_the_index_gets_a_digit_more() -> None:
    entries = seal_commands(8, 2, [b'{"op":"incr","key":"c"}'] * 5)
    header = b'{"type":"append_entries","term":2,"prev_index":7,"prev_term":2,"commit_index":7,"round":0,"count":5}'
    (message,) = PeerDecoder().feed([header, *[entry.line for entry in entries]])
    assert isinstance(message, AppendEntries)
    assert message.entries == entries
