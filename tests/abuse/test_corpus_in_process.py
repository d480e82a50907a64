"""Every hostile line through the decoders alone."""

from __future__ import annotations

import json

import pytest

from trioraft.replica.session import HTTP_REFUSAL
from trioraft.wire.codec import BadLine
from trioraft.wire.entries import parse
from trioraft.wire.peers import PeerDecoder, PeerHello, decode_handshake

from ..helpers.decoders import replies_to, strict_json
from ..helpers.lines import INTRODUCTIONS, PEERS, REQUESTS, TRUE_INTRODUCTION, Introduction, Peer, Request


def check(reply: bytes, request: Request) -> None:
    """Check that there is one reply, the right one."""
    assert reply.endswith(b"\n")
    if request.says == "http":
        assert reply == HTTP_REFUSAL
        return
    assert reply.count(b"\n") == 1
    told = strict_json(reply)
    if request.says == "ok":
        assert told["ok"] is True, told
        return
    assert told["ok"] is False
    assert told["error"]["code"] == request.says, told
    assert told["error"]["message"]
    assert told["error"]["hint"]
    assert len(reply) < 4096 or told.get("id"), "an error is short, but for the sender's own id"


@pytest.mark.parametrize("piece", [1 << 30, 64 * 1024, 1])
def test_every_hostile_request_gets_one_reply_that_says_so(piece: int) -> None:
    for request in REQUESTS:
        if piece == 1 and len(request.line) > 10_000:
            continue
        try:
            check(replies_to(request.line + b"\n", piece), request)
        except (AssertionError, ValueError) as error:
            raise AssertionError(f"{request.name}: {error}") from error


def test_good_requests_around_a_hostile_one_are_answered_unless_it_closes_the_connection() -> None:
    good = b'{"op":"ping"}\n'
    for request in REQUESTS:
        replies = replies_to(good + request.line + b"\n" + good, 64 * 1024)
        before, _, rest = replies.partition(b"\n")
        assert before == b'{"ok":true}', request.name
        if not request.closes:
            rest, _, after = rest.removesuffix(b"\n").rpartition(b"\n")
            assert after == b'{"ok":true}', request.name
            rest += b"\n"
        check(rest, request)


@pytest.mark.parametrize("peer", PEERS, ids=str)
def test_what_a_member_must_not_say_is_refused(peer: Peer) -> None:
    decoder = PeerDecoder()
    with pytest.raises(BadLine):
        for line in peer.lines:
            assert not list(decoder.feed(line + b"\n")), "none of it is a whole message"


@pytest.mark.parametrize("introduction", INTRODUCTIONS, ids=str)
def test_an_introduction_is_refused_or_understood(introduction: Introduction) -> None:
    line = json.dumps(TRUE_INTRODUCTION | introduction.change).encode()
    try:
        assert isinstance(decode_handshake(line), PeerHello)
    except BadLine as error:
        assert str(error)


def test_no_hostile_line_is_an_entry_or_anything_that_a_member_says() -> None:
    lines = [request.line for request in REQUESTS] + [line for peer in PEERS for line in peer.lines[:1]]
    for line in lines:
        with pytest.raises(BadLine):
            parse(line)
        with pytest.raises(BadLine):
            decode_handshake(b'{"peer"' + line)
    for request in REQUESTS:
        with pytest.raises(BadLine):
            list(PeerDecoder().feed(request.line + b"\n"))
