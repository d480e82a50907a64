from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trioraft.wire.operations import Get, PlainPut, Put
from trioraft.wire.parsing import MAX_DEPTH, HttpRequest, RequestError, is_plain, parse_alike, parse_request


def refusal(line: bytes) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse_request(line)
    return caught.value


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"op":"put","key":"","value":6}', "'key' is empty"),
        (b'{"op":"put","key":5,"value":6}', "'key' must be a string, and not a whole number"),
        (b'{"op":"put","value":6}', "the field 'key' is missing"),
        (b'{"op":"put","key":"a","value":1,"x":1}', "there is no field 'x' here"),
        (b'{"op":"put","key":"a","value":1,"if_rev":-1}', "'if_rev' must be at least 0"),
        (b'{"op":"show_log","limit":0}', "'limit' must be at least 1"),
        (b'{"op":"close_session","client":"x"}', "'client' must be one that open_session gave"),
        (b'{"op":"incr","key":"a","client":"3FA9C2D1-1","seq":1}', "'client' must be one that open_session gave"),
        (b'{"op":"show_log","limit":5000}', "'limit' must be at most 1000"),
        (b'{"op":"show_log","limit":1.5}', "'limit' must be a whole number, and not a number with a fraction"),
        (b'{"op":"scan","after":[]}', "'after' must be a string or null, and not an array"),
        (b'{"op":"get","key":"a","read":"x"}', "'read' cannot be 'x'"),
        (b'{"op":"get","key":"a","forward":1}', "'forward' must be true or false, and not a whole number"),
        (b'{"op":"incr","key":"a","by":1e400}', "'by' is out of the range of numbers"),
        (b'{"op":"get","key":"%b"}' % (b"a" * 1025), "'key' may have at most 1024 bytes"),
        (b'{"op":"get","key":"\\ud800"}', "half of a surrogate pair stands alone, which is no text"),
        (b'{"op":"get","key":"\\udc00"}', "half of a surrogate pair stands alone, which is no text"),
        (b'{"op":"get","key":"a', "the line is not JSON: it ends before it is whole"),
    ],
)
def test_what_is_wrong_is_said_in_words(line: bytes, message: str) -> None:
    assert refusal(line).message == message


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"op":"pit"}', "unknown_op"),
        (b'{"key":"a"}', "bad_request"),
        (b'{"op":"put","key":5,"value":1}', "bad_request"),
        (b'{"op":"put","key":"a"}', "bad_request"),
        (b'{"op":"put","key":"a","value":1,"extra":2}', "bad_request"),
        (b'{"op":"put","key":"","value":1}', "bad_request"),
        (b'{"op":"put","key":"a","value":1,"if_rev":-1}', "bad_request"),
        (b'{"op":"put","key":"a","value":1,"if_rev":9223372036854775808}', "bad_request"),
        (b'{"op":"put","key":"a","value":1,"if_rev":true}', "bad_request"),
        (b'{"op":"put","key":"a","value":1,"timeout_ms":0}', "bad_request"),
        (b'{"op":"scan","limit":10001}', "bad_request"),
        (b'{"op":"help","words":true}', "bad_request"),
        (b'{"op":"incr","key":"a","by":1.5}', "bad_request"),
        (b'{"id":[1],"op":"ping"}', "bad_request"),
        (b'{"op":"put","key":"a","value":NaN}', "bad_json"),
        (b'{"op":"put","key":"a","value":01}', "bad_json"),
        (b'{"op":"put","key":"a","value":1.}', "bad_json"),
        (b'{"op":"put","key":"a","value":[1,]}', "bad_json"),
        (b'{"op":"put","key":"a","value":"\\x"}', "bad_json"),
        (b'{"op":"put","key":"a","value":"\t"}', "bad_json"),
        (b'{"op":"put","key":"a","value":"\xff"}', "bad_json"),
        (b'{"op":"put","key":"a","value":"\\ud800"}', "bad_json"),
        (b'{"op":"put","key":"a","value":"\\udc00"}', "bad_json"),
        (b'{"op":"put","key":"a","value":"\\ud800\\ud800"}', "bad_json"),
        (b'{"op":"put","key":"a","value":1} x', "bad_json"),
        (b"\xff\xfe", "bad_json"),
        (b"put a 1", "bad_request"),
        (b"gte a", "bad_json"),
        (b"get a b", "bad_request"),
    ],
)
def test_what_is_wrong_has_a_code_and_says_what_to_do(line: bytes, code: str) -> None:
    error = refusal(line)
    assert error.code == code
    assert error.message
    assert error.hint


@pytest.mark.parametrize(
    "value",
    [
        b'{"a" : [ 1, 2.50 ]}',
        b"1" * 5000,
        b"-0",
        b"1e400",
        b'"\\ud83d\\ude00"',
        b'"\\\\ud800"',
        '"😀"'.encode(),
        b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
        b'"' + b"[" * 1000 + b'"',
        b"[" + b"[]," * 1000 + b"[]]",
    ],
)
def test_a_value_is_kept_byte_for_byte(value: bytes) -> None:
    request = parse_request(b'{"op":"put","key":"a","value":%b}' % value)
    assert isinstance(request, Put)
    assert bytes(request.value) == value


@pytest.mark.parametrize("nest", [b"[", b'{"a":'])
def test_a_value_nests_at_most_so_deep(nest: bytes) -> None:
    close = b"]" if nest == b"[" else b"}"

    def line(depth: int) -> bytes:
        return b'{"id":"me","op":"put","key":"a","value":%b1%b}' % (nest * depth, close * depth)

    assert isinstance(parse_request(line(MAX_DEPTH)), Put)
    error = refusal(line(MAX_DEPTH + 1))
    assert (error.code, error.applied, error.id) == ("too_deep", "no", b'"me"')
    assert refusal(line(100_000)).code == "too_deep"
    assert refusal(b'{"op":"put","key":"a","value":' + nest * 100_000).code == "too_deep"


@pytest.mark.parametrize("id", [b"7", b'"x"', b"true", b"null", b"1.50", b"9" * 5000, b'"\\u0041"'])
def test_an_id_comes_back_byte_for_byte_in_errors_too(id: bytes) -> None:
    assert bytes(parse_request(b'{"id":%b,"op":"ping"}' % id).id) == id
    assert refusal(b'{"id":%b,"op":"nothing"}' % id).id == id
    assert refusal(b'{"id":%b,"op":"get"}' % id).id == id


def test_of_a_duplicate_the_last_counts() -> None:
    request = parse_request(b'{"op":"get","key":"a","op":"put","key":"b","value":1,"value":2}')
    assert isinstance(request, Put)
    assert (request.key, bytes(request.value)) == ("b", b"2")


def test_a_failed_write_says_that_it_was_not_applied() -> None:
    assert refusal(b'{"op":"put","key":"a"}').applied == "no"
    assert refusal(b'{"op":"get"}').applied is None


def test_keys_are_counted_in_bytes() -> None:
    assert isinstance(parse_request(b'{"op":"get","key":"%b"}' % (b"k" * 1024)), Get)
    assert refusal(b'{"op":"get","key":"%b"}' % (b"k" * 1025)).code == "bad_request"
    assert isinstance(parse_request('{"op":"get","key":"%s"}'.replace("%s", "é" * 512).encode()), Get)
    assert refusal('{"op":"get","key":"%s"}'.replace("%s", "é" * 513).encode()).code == "bad_request"
    assert refusal(b'{"op":"get","key":"%b"}' % (b"\\u00e9" * 513)).code == "bad_request"


@given(st.binary(min_size=1, max_size=200).filter(lambda line: b"\n" not in line and line.strip()))
@example(b"A:")
@example(b"GET / HTTP/1.1\r")
def test_no_bytes_can_do_more_than_be_refused(line: bytes) -> None:
    for attempt in (line, b'{"op":"put","key":"a","value":' + line + b"}", b'{"op":"' + line):
        try:
            parse_request(attempt)
        except HttpRequest:
            assert attempt is line, "what begins as JSON is not taken for HTTP"
        except RequestError as error:
            assert error.code in ("bad_json", "bad_request", "unknown_op", "too_deep")


PIECES = [
    b'{"op":"get","key":"a"}',
    b'{"id":1,"op":"get","key":"b"}',
    b'{"op":"put","key":"k","value":"v"}',
    b'{"op":"get","key":"get"}',
    b'{"id":"x","op":"put","key":"k","value":1.50}',
    b'{"op":"put","key":"k","value":"v","if_rev":3}',
    b'{"op":"get","key":"a","read":"stale"}',
    b'{"op":"get","key":"a","key":"b"}',
    b'{"op":"put","key":"k","value":"put","op":"get"}',
    b'{"op":"get","key":"k","value":1,"op":"put"}',
    b'{"key":"k","value":1}',
    b'{"key":"k"}',
    b'{"op":"put","key":"k","value":[1]}',
    b'{"op":"put","key":"k","value":"{"}',
    b'{"op":"put","key":"\xc3\xa9","value":1}',
    b'{"op":"ping"}',
    b'{"op":"put","key":"k","value":"x',
    b'{y"}',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b'"',
    b" ",
    b"\r",
    b"\\",
    b"\\u0041",
    b'"value":',
    b"get a",
]


def said(request: object) -> dict[str, object]:
    """The fields of a request, whether it was read as a plain one or not."""
    fields = ("id", "key", "value", "if_rev", "is_stale", "timeout_ms", "forward")
    return {name: value for name in fields if (value := getattr(request, name, None)) is not None}


@given(st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(b"".join)))
def test_lines_read_at_once_are_what_they_are_one_by_one(lines: list[bytes]) -> None:
    together = parse_alike(b"".join([line + b"\n" for line in lines]), 100)
    if together:
        alone = [parse_request(line) for line in lines]
        assert list(map(said, together)) == list(map(said, alone))
        assert all(map(is_plain, alone))
        assert {type(request) for request in alone} == {Put if type(together[0]) is PlainPut else Get}


@pytest.mark.parametrize("line", PIECES[:5])
def test_plain_lines_are_read_at_once(line: bytes) -> None:
    together = parse_alike((line + b"\n") * 3, 3)
    assert together is not None
    assert list(map(said, together)) == [said(parse_request(line))] * 3


def test_lines_are_not_read_at_once_where_they_are_too_many() -> None:
    assert parse_alike(b'{"op":"get","key":"a"}\n' * 4, 3) is None


@pytest.mark.parametrize(
    "lines",
    [
        b'{"op":"put","key":"k","value":"x\n{y"}\n',
        b'{"op":"get","key":"a"},{"op":"get","key":"b\nc"}\n',
        b'{"op":"get","key":"a"}{"op":"get","key":\n"b"}\n',
        b'{"op":"get","key":"a"}\n{"op":"get","key":"b"}]\n',
        b'{"op":"get","key":"a"}\n{"op":"get",\n"key":"b"}\n',
        b'{"op":"put","key":"k","value":\n{"op":"put","key":"k","value":1}\n}\n',
        b'{"op":"put","key":"k","value":1}{"op":"put","key":"k","value":\n1}\n',
        b'{"op":"put","key":"k","value":1\n}\n',
        b'{"op":"put","key":"}",\n"value":"{"}\n',
        b'{"key":"put","value":1}\n{"key":"put","value":2}\n',
        b'{"key":"get"}\n{"key":"get"}\n',
    ],
)
def test_what_is_no_request_by_itself_is_none_with_its_neighbour(lines: bytes) -> None:
    assert parse_alike(lines, 100) is None
