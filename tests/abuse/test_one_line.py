"""Single lines that once stopped a node, or kept it busy for minutes."""

from __future__ import annotations

import time

import pytest

from trioraft.wire.operations import Put
from trioraft.wire.parsing import MAX_DEPTH, RequestError, parse_request

MEBIBYTE = 1 << 20
PLENTY_OF_SECONDS = 5.0
"""How long a line may take: it once took minutes, and takes a few hundredths of a second now on any machine."""


def refusal(line: bytes) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse_request(line)
    return caught.value


@pytest.mark.parametrize("op", [b"[]", b"{}", b"7", b"true", b"9" * 5000, b"1e999999", b'["get"]'])
def test_an_op_that_is_no_string_is_a_bad_request(op: bytes) -> None:
    error = refusal(b'{"id":1,"op":%b,"key":"k"}' % op)
    assert (error.code, error.id) == ("bad_request", b"1")
    assert "'op'" in error.message


@pytest.mark.parametrize(
    "blanks", [b"\x1c", b"\x1f\x1e", b"\x85".decode("latin1").encode(), b"\xc2\xa0", b"\xe3\x80\x80"]
)
def test_blanks_that_only_unicode_knows_are_no_command(blanks: bytes) -> None:
    assert refusal(blanks).code == "bad_json"


@pytest.mark.parametrize("id", [b"[1]", b"{}", b'[["deep"]]'])
@pytest.mark.parametrize("rest", [b'"op":"nothing"', b'"op":"get"', b'"key":"k"', b'"op":"put","value":' + b"[" * 200])
def test_what_is_no_scalar_does_not_come_back_as_an_id(id: bytes, rest: bytes) -> None:
    assert refusal(b'{"id":%b,%b}' % (id, rest)).id == b""


@pytest.mark.parametrize(
    "line",
    [
        b'{"op":"%b"}' % (b"a" * MEBIBYTE),
        b'{"op":"%b"}' % (b"\x7f" * MEBIBYTE),
        b'{"op":%b}' % (b"1" * MEBIBYTE),
        b'{"op":"ping","%b":1}' % (b"a" * MEBIBYTE),
        b'{"op":"get","key":"k","read":"%b"}' % (b"a" * MEBIBYTE),
        b"a" * MEBIBYTE,
        b"get " + b"a" * MEBIBYTE,
    ],
    ids=["op", "control characters", "number", "field", "read", "word", "key"],
)
def test_an_error_does_not_say_a_whole_megabyte_again(line: bytes) -> None:
    error = refusal(line)
    assert len(error.message) + len(error.hint) < 1000


@pytest.mark.parametrize(
    "value",
    [
        b"[" * 200 + b'"' + b'\\"' * (MEBIBYTE // 2),
        b"[" * 200 + b'"' + b"\\\\" * (MEBIBYTE // 2),
        b'"",' * (MEBIBYTE // 3) + b"[" * 200,
        b"[" * 200 + b'"' + b"x" * MEBIBYTE,
        b"[" + b",".join([b"[" * 100 + b"]" * 100] * 5000) + b"]",
        b'"\\u0041' + b"\\n" * (MEBIBYTE // 2) + b'"',
        b'"' + b"\\ud83d\\ude00" * (MEBIBYTE // 12) + b'"',
        b'"\\u0041' + b"\\\\n" * (MEBIBYTE // 3) + b'"',
    ],
    ids=["quotes", "backslashes", "strings", "no end", "brackets", "escapes", "pairs", "words"],
)
def test_no_line_keeps_a_node_from_everything_else(value: bytes) -> None:
    began = time.monotonic()
    try:
        assert isinstance(parse_request(b'{"op":"put","key":"k","value":%b}' % value), Put)
    except RequestError as error:
        assert error.code in ("too_deep", "bad_json")
    assert time.monotonic() - began < PLENTY_OF_SECONDS


@pytest.mark.parametrize(
    ("value", "deep"),
    [
        (b"[" * (MAX_DEPTH - 1) + b'"[[[\\"[[["' + b"]" * (MAX_DEPTH - 1), False),
        (b'["\\\\",' + b"[" * MAX_DEPTH + b'"[' + b'"' + b"]" * MAX_DEPTH + b"]", True),
        (b'["\\\\",' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"]", True),
        (b"[" + b",".join([b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1)] * 3) + b"]", False),
    ],
)
def test_depth_is_counted_outside_of_strings(value: bytes, deep: bool) -> None:
    line = b'{"op":"put","key":"k","value":%b}' % value
    if deep:
        assert refusal(line).code == "too_deep"
    else:
        assert isinstance(parse_request(line), Put)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (b"\\ud83d\\ude00", True),
        (b"\\\\ud800", True),
        (b'\\"\\uD83D\\uDE00\\\\', True),
        (b"\\ud800", False),
        (b"\\\\\\ud800", False),
        (b"\\ude00\\ud83d", False),
        (b"\\ud83d \\ude00", False),
        (b"\\ud83d\\ud83d\\ude00", False),
        (b"\\ud83d\\ude00\\ude00", False),
    ],
)
def test_half_a_surrogate_pair_is_found_wherever_it_stands(text: bytes, whole: bool) -> None:
    line = b'{"op":"put","key":"k","value":{"a":["%b"]}}' % text
    if whole:
        assert isinstance(parse_request(line), Put)
    else:
        assert refusal(line).code == "bad_json"
