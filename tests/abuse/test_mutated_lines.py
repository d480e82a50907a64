"""Lines that are nearly right: valid lines, changed at random, many thousand times.

Whatever comes in, a client gets one line of strict JSON for each of its lines. A member or a log gives a valid message
or a BadLine that says why. The first seeds are the same in each run; one more is new each time, and is printed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import TypeVar

import msgspec
import pytest

from trioraft.kv.commands import Command, Delete, Incr, Put
from trioraft.kv.store import Store
from trioraft.raft.messages import AppendEntries, AppendEntriesReply, PreVote, RequestVote
from trioraft.replica.session import HTTP_REFUSAL
from trioraft.wire.codec import BadLine
from trioraft.wire.commands import UnknownCommand, decode_command, encode_commands
from trioraft.wire.entries import parse, payload, seal, seal_commands
from trioraft.wire.operations import OPERATIONS
from trioraft.wire.peers import PeerDecoder, decode_handshake, encode

from ..helpers.decoders import replies_to, strict_json
from ..helpers.lines import PEERS, REQUESTS, TRUE_INTRODUCTION

Said = TypeVar("Said", bytes, list[bytes])

NEW = random.SystemRandom().randrange(1000, 10**9)
SEEDS = [0, pytest.param(NEW, id="new"), *[pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 12)]]
TRIES = 20_000

COMMANDS: list[Command] = [
    Put("k", msgspec.Raw(b'{"a":[1,2.5e3,"\\u00e9"]}')),
    Put("k", msgspec.Raw(b"1"), 7),
    Delete("k"),
    Incr("k", -3),
]
ENTRIES = seal_commands(1, 3, encode_commands(COMMANDS))
MESSAGES = [
    encode(message).split(b"\n")[:-1]
    for message in (
        AppendEntries(3, 0, 0, 2, 5, ENTRIES),
        AppendEntriesReply(3, True, 4, 5),
        PreVote(4, 4, 3),
        RequestVote(4, 4, 3),
    )
]
ASKED = [row.example.encode() for row in OPERATIONS.values()] + [one.line for one in REQUESTS if len(one.line) < 2000]
SAID = list(MESSAGES) + [peer.lines for peer in PEERS if sum(map(len, peer.lines)) < 4000]
PIECES = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\\u", b"\\ud800", b"\r", b"\0", b"\xff", b"\xc3", b"null"]
PIECES += [b"-1", b"1e999", b"NaN", b"9" * 30, b"0", b"true", b"\xe2\x80\xa8", b'"op":"put",', b'"id":1,', b"[" * 200]


def mutate(line: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """The line with one to four changes."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        start = chance.randrange(len(line) + 1)
        end = min(len(line), start + chance.choice((0, 1, 1, 2, 5, 20)))
        match chance.randrange(6):
            case 0:
                line = line[:start] + bytes([chance.randrange(256)]) + line[start + 1 :]
            case 1:
                line = line[:start] + line[end:]
            case 2:
                line = line[:start] + chance.choice(PIECES) + line[end:]
            case 3:
                line = line[:end] + line[start:]
            case 4:
                other = chance.choice(others)
                line = line[:start] + other[chance.randrange(len(other) + 1) :]
            case _:
                line = line[:start]
    return line.replace(b"\n", b" ")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_client_gets_one_line_for_each_line_whatever_it_holds(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(TRIES):
        line = mutate(chance.choice(ASKED), ASKED, chance)
        reply = replies_to(line + b"\n", 1 << 30)
        if reply == HTTP_REFUSAL:
            continue
        if not reply:
            assert not line.strip(), line  # a blank line is not a request
            continue
        assert reply.count(b"\n") == 1, (line, reply)
        told = strict_json(reply)
        assert told["ok"] is True or (told["error"]["message"] and told["error"]["hint"]), (line, reply)


def understood(decode: Callable[[Said], object], said: Said) -> bool:
    try:
        decode(said)
    except BadLine as error:
        assert str(error), said
        return False
    return True


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_member_says_is_understood_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    others = [line for lines in SAID for line in lines]
    hello = json.dumps(TRUE_INTRODUCTION).encode()
    taken = 0
    for _ in range(TRIES):
        lines = list(chance.choice(SAID))
        spoilt = chance.randrange(len(lines))
        lines[spoilt] = mutate(lines[spoilt], others, chance)
        taken += understood(lambda lines: list(PeerDecoder().feed(b"".join(line + b"\n" for line in lines))), lines)
        understood(decode_handshake, mutate(hello, [hello, *others], chance))
    assert taken, "some change spoils nothing"


@pytest.mark.parametrize("seed", SEEDS)
def test_an_entry_is_refused_unless_its_checksum_holds(seed: int) -> None:
    chance = random.Random(seed)
    lines = [entry.line for entry in ENTRIES]
    for _ in range(TRIES):
        line = mutate(chance.choice(lines), lines, chance)
        assert understood(parse, line) == (line in lines), line


@pytest.mark.parametrize("seed", SEEDS)
def test_a_command_that_is_understood_can_be_applied(seed: int) -> None:
    chance = random.Random(seed)
    commands = encode_commands(COMMANDS)
    store = Store()
    applied = 0
    for index in range(1, TRIES):
        line = mutate(chance.choice(commands), commands, chance)
        try:
            command = decode_command(payload(seal(index, 1, "command", line)))
        except (BadLine, UnknownCommand):
            continue
        command.apply(store, index)
        applied += 1
    assert applied
