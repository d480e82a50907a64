"""Which texts are addresses, for any text; two lists that look the same are the same."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from trioraft_cli import where

from trioraft.addresses import (
    Address,
    AddressError,
    ServersFileError,
    member_address,
    parse_address,
    read_servers,
)
from trioraft.wire.operations import AddMember
from trioraft.wire.parsing import RequestError, parse_request

LIKELY = st.text(alphabet="ab1-0._:[]%/xX @\t\x00\x1f\x7f\xe9\u00ad\u2028\ufeff\U0001f600", max_size=90)
NAMES = st.text(alphabet="aZ09.-_", min_size=1, max_size=260)
PORTS = st.one_of(st.integers(-1, 70000).map(str), st.sampled_from(["", "01", "1" * 5000, "\u0663"]))
TEXTS = st.one_of(
    st.text(),
    LIKELY,
    st.tuples(NAMES, PORTS).map(":".join),
    st.tuples(LIKELY, PORTS).map(":".join),
    st.tuples(st.ip_addresses(), PORTS).map(lambda pair: f"[{pair[0]}]:{pair[1]}"),
)


@given(TEXTS)
@example("a..b:8000")
@example("a" * 64 + ":1")
@example("a\x00b:1")
@example("a:" + "1" * 5000)
@example("b\xfccher.example:80")
@example("[fe80::1%eth0]:1")
def test_any_text_is_an_address_or_an_error_and_the_resolver_can_be_asked_for_it(text: str) -> None:
    try:
        address = parse_address(text)
    except AddressError as error:
        assert len(str(error)) < 300
        return
    assert parse_address(str(address)) == member_address(str(address)) == address
    assert str(address).isascii()
    assert str(address).isprintable()
    with contextlib.suppress(socket.gaierror):  # the name may belong to nobody; any other error is wrong
        socket.getaddrinfo(address.host, address.port, flags=socket.AI_NUMERICHOST)


@given(TEXTS)
def test_what_a_cluster_holds_is_read_by_the_rules_of_any_version(text: str) -> None:
    with contextlib.suppress(AddressError):
        address = member_address(text)
        assert 1 <= address.port <= 65535


@pytest.mark.parametrize(
    "text",
    [
        "my_node-1.zone_2:1",
        "_a:1",
        "xn--bcher-kva.example:80",
        "node.example.:1",
        "1a:1",
        "1.2.3.4.example:1",
        "a" * 63 + ":1",
        ".".join(["a" * 49] * 5) + ":65535",
        "0.0.0.0:1",
        "[::ffff:1.2.3.4]:1",
        "[fe80::1%eth0.5]:1",
    ],
)
def test_names_that_resolvers_answer_to_are_taken_as_they_are(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a..b:8000", "is empty"),
        (".a:1", "is empty"),
        ("a..:1", "is empty"),
        (".:1", "is empty"),
        ("a" * 64 + ":1", "at most 63"),
        (".".join(["a" * 50] * 5) + ":1", "at most 253"),
        ("300.1.1.1:1", "four numbers"),
        ("1.2.3:1", "four numbers"),
        ("127.0.0.1.:1", "four numbers"),
        ("010.0.0.1:1", "four numbers"),
        ("0x7f.1:1", "four numbers"),
        ("a.0x7f000001:1", "four numbers"),
        ("-a:1", "begins with '-'"),
        ("a.-b:1", "begins with '-'"),
        ("a\x00b:1", "is in no name"),
        ("a\x1b[31m:1", "is in no name"),
        ("a/b:1", "is in no name"),
        ("\ufeffa:1", r"U\+FEFF"),
        ("a\u200bb:1", r"U\+200B"),
        ("b\xfccher.example:80", "as 'xn--bcher-kva.example'"),
        ("a:" + "1" * 5000, "no port"),
        ("[a]:1", "IPv6"),
        ("[::1%]:1", "IPv6"),
        ("[::1\x00]:1", "IPv6"),
        ("[::g]:1", "IPv6"),
        ("[::1]a:1", "brackets"),
    ],
)
def test_what_no_resolver_can_be_asked_for_is_refused_and_why(text: str, reason: str) -> None:
    with pytest.raises(AddressError, match=reason):
        parse_address(text)


def test_the_protocol_refuses_such_an_address_before_any_effect() -> None:
    request = parse_request(b'{"op":"add_member","address":" http://a_b:08000/ "}')
    assert isinstance(request, AddMember)
    assert request.address == "a_b:8000"
    for address in (b"a..b:8000", b"a\\u0000b:1", b"a:" + b"1" * 290, b"nonsense"):
        with pytest.raises(RequestError) as refused:
            parse_request(b'{"id":7,"op":"add_member","address":"%b"}' % address)
        assert (refused.value.code, refused.value.applied, refused.value.id) == ("bad_request", "no", b"7")


SAME = b"a:1\n-\nb:2\n"


@pytest.mark.parametrize(
    "written",
    [
        SAME,
        b"\xef\xbb\xbf" + SAME,
        SAME.replace(b"\n", b"\r\n"),
        SAME.replace(b"\n", b"\r"),
        b"\xef\xbb\xbf# the cluster \xc3\xa9\r\n\r\n a:1 \t# first\r\n-\r\nhttp://b:2/",
        b"a:1\xc2\xa0\n-\n\x0cb:2\x1c\n",
    ],
)
def test_lists_that_look_the_same_are_the_same(tmp_path: Path, written: bytes) -> None:
    path = tmp_path / "servers.txt"
    path.write_bytes(written)
    assert read_servers(path) == [Address("a", 1), None, Address("b", 2)]


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("a:1\n\ufeffb:2\n", r"line 2: .*U\+FEFF"),
        ("a:1\nb\u200b:2\n", r"line 2: .*U\+200B"),
        ("a:1\u2028b:2\n", r"line 1: U\+2028"),
        ("a:1 # old\u0085b:2\n", r"line 1: U\+0085"),
        ("a:1\x0bb:2\n", r"line 1: U\+000B"),
        ("a:1\n\x00\n", "line 2"),
        ("a\x00:1\n", "line 1"),
    ],
)
def test_nothing_that_cannot_be_seen_becomes_a_part_of_a_list(tmp_path: Path, written: str, complaint: str) -> None:
    path = tmp_path / "servers.txt"
    path.write_text(written, encoding="utf-8")
    with pytest.raises(ServersFileError, match=complaint):
        read_servers(path)


def test_a_list_that_is_no_utf_8_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "servers.txt"
    path.write_text("a:1\n", encoding="utf-16")
    with pytest.raises(ServersFileError, match=r"servers\.txt is no UTF-8 text"):
        read_servers(path)


def test_the_environment_takes_the_forms_that_a_list_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "list"
    path.write_text("a:1\n")
    for named, found in {
        f"{path}": [Address("a", 1)],
        "a:1": [Address("a", 1)],
        " http://a:1/ ": [Address("a", 1)],
        "http://a:1/,[::1]:2,": [Address("a", 1), Address("::1", 2)],
    }.items():
        monkeypatch.setenv("TRIORAFT_SERVERS", named)
        assert where.addresses(None, ()) == found
    for named, complaint in {
        "a..b:1": "is empty",
        "a:1,b\x7f:2": "in no name",
        "x" * 300 + ":1": "at most 253",
        "no/such": "does not exist",
        ",": "does not exist",
    }.items():
        monkeypatch.setenv("TRIORAFT_SERVERS", named)
        with pytest.raises(Exception, match=complaint):
            where.addresses(None, ())
