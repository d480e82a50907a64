"""The command line's decisions without a cluster: values, lines of the prompt, completion, addresses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from trioraft_cli.typed import PromptError, Sink, before_cursor, read_line
from trioraft_cli.values import to_json, unquoted

from trioraft.addresses import Address, AddressError, ServersFileError, parse_address, read_servers

from ..helpers.prompts import ROOT, asked_by


@pytest.mark.parametrize(
    ("typed", "json"),
    [
        ("1", b"1"),
        ("-5", b"-5"),
        ("1.50", b"1.50"),
        ("1" * 40, b"1" * 40),
        ('{"a": [1]}', b'{"a": [1]}'),
        ("two words", b'"two words"'),
        ("😀", '"😀"'.encode()),
        ('"quoted"', b'"quoted"'),
        ("{broken", b'"{broken"'),
        ("", b'""'),
        ("NaN", b'"NaN"'),
    ],
)
def test_a_value_is_json_if_it_reads_as_json_and_else_a_string(typed: str, json: bytes) -> None:
    assert bytes(to_json(typed)) == json


def test_a_string_can_be_forced_and_comes_back_without_its_quotes() -> None:
    assert bytes(to_json("1", string=True)) == b'"1"'
    assert unquoted(b'"1"') == "1"
    assert unquoted(b"[1]") is None


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("get name", {"op": "get", "key": "name"}),
        ("  get 'two words' ", {"op": "get", "key": "two words"}),
        ("get a --stale", {"op": "get", "key": "a", "read": "stale"}),
        ('get "-x"', {"op": "get", "key": "-x"}),
        ('get "--" --stale', {"op": "get", "key": "--", "read": "stale"}),
        ("scan", {"op": "scan", "prefix": "", "keys_only": False}),
        ("scan a --after 'a b'", {"op": "scan", "prefix": "a", "after": "a b", "keys_only": False}),
        ("show_log --from 3", {"op": "show_log", "from": 3}),
        ("incr n -2", {"op": "incr", "key": "n", "by": -2}),
        ("delete a --lock 'my lock' --fence 7", {"op": "delete", "key": "a", "lock": "my lock", "fence": 7}),
        ("remove-member 2 --force", {"op": "remove_member", "member": 2, "force": True}),
        ("members promote 2", {"op": "promote_member", "member": 2}),
        ("txn --once -- get a", {"op": "txn", "then": [{"op": "get", "key": "a"}]}),
    ],
)
def test_a_line_of_the_prompt_is_read_as_the_command_line_reads_it(line: str, asked: dict[str, object]) -> None:
    assert asked_by(line) == asked


@pytest.mark.parametrize(
    ("line", "key", "value", "others"),
    [
        ('put "my key" {"a": "b  c"}', "my key", b'{"a": "b  c"}', {}),
        ("put --if-rev 0 --lease=7 k v --once", "k", b'"v --once"', {"if_rev": 0, "lease": 7}),
        ("put k -", "k", b'"-"', {}),
        ("put k --", "k", b'"--"', {}),
        ("put -x -5", "-x", b"-5", {}),
        ("put k a | b > c", "k", b'"a | b > c"', {}),
        ("put --string k 5", "k", b'"5"', {}),
        ('put "--string" 5', "--string", b"5", {}),
    ],
)
def test_a_value_at_the_prompt_is_the_rest_of_the_line(
    line: str, key: str, value: bytes, others: dict[str, object]
) -> None:
    asked = asked_by(line)
    assert asked is not None
    assert (asked.pop("op"), asked.pop("key"), bytes(asked.pop("value"))) == ("put", key, value)
    assert asked == others


@pytest.mark.parametrize(
    "line", ["foo", "get", "put a", "put --if-rev 0", "get 'a", "incr a b", "status now", "get -x", "| jq", "get a >"]
)
def test_a_wrong_line_asks_nothing(line: str) -> None:
    assert asked_by(line) is None


@pytest.mark.parametrize(
    ("line", "words", "sink"),
    [
        ("get a | jq .x | less", ["get", "a"], Sink("|", "jq .x | less")),
        ("get a |jq", ["get", "a"], Sink("|", "jq")),
        ("scan > 'my file'", ["scan"], Sink(">", "my file")),
        ("scan >>f", ["scan"], Sink(">>", "f")),
        ("get 'a | b' a|b", ["get", "a | b", "a|b"], None),
        ('get "|"', ["get", "|"], None),
        ("txn -- get a > f", ["txn", "--", "get a"], Sink(">", "f")),
        ("""txn -- put a {"x": "1 > 2"} , get b""", ["txn", "--", """put a {"x": "1 > 2"}""", ",", "get b"], None),
        ("txn -- 'put b |'", ["txn", "--", "put b |"], None),
        ("put a b | c", ["put", "a", "b | c"], None),
        ("put a b > c", ["put", "a", "b > c"], None),
    ],
)
def test_where_the_output_goes_is_no_part_of_a_command_but_of_the_value_of_a_put(
    line: str, words: list[str], sink: Sink | None
) -> None:
    typed = read_line(ROOT, line)
    assert list(map(str, typed.words)) == words
    assert typed.sink == sink


@pytest.mark.parametrize("command", ["get {}", "put {} 1", "delete {}"])
@pytest.mark.parametrize(("typed", "key"), [('"-5"', "-5"), ("'--help'", "--help"), ('"--"', "--")])
def test_a_word_in_quotes_is_no_option(command: str, typed: str, key: str) -> None:
    asked = asked_by(command.format(typed))
    assert asked is not None
    assert asked["key"] == key


@pytest.mark.parametrize("line", ["get a |", "scan >", "scan > a b", "| jq", "scan > 'a"])
def test_a_sink_that_cannot_be_read_is_refused(line: str) -> None:
    with pytest.raises(PromptError):
        read_line(ROOT, line)


@pytest.mark.parametrize(
    ("text", "cursor"),
    [
        ("", ([], "", "")),
        ("get na", (["get"], "na", "na")),
        ("get ", (["get"], "", "")),
        ("get", ([], "get", "get")),
        ("put 'two w", (["put"], "two w", "'two w")),
        ("put name v", None),
        ("put name ", None),
        ("put --if-rev 0 na", (["put", "--if-rev", "0"], "na", "na")),
        ("put --if", (["put"], "--if", "--if")),
        ("put --if-rev 0", (["put", "--if-rev"], "0", "0")),
        ("put --if-rev 0 name v", None),
        ("members rem", (["members"], "rem", "rem")),
        ("get a | j", None),
        ("scan > f", None),
        ('get "a"', None),
        ("txn exists na", (["get"], "na", "na")),
        ("txn exists a -- put b 1 , incr 'x", (["get"], "x", "'x")),
        ("txn --on", (["txn"], "--on", "--on")),
        ("txn --lock l", (["txn", "--lock"], "l", "l")),
        ("txn -- put b v", None),
        ("txn lock l", (["unlock"], "l", "l")),
    ],
)
def test_what_stands_before_the_cursor(text: str, cursor: tuple[list[str], str, str] | None) -> None:
    found = before_cursor(ROOT, text)
    assert (found and (found.words, found.incomplete, found.typed)) == cursor


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8000", Address("127.0.0.1", 8000)),
        ("http://node:1/", Address("node", 1)),
        ("[::1]:8000", Address("::1", 8000)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":1", "host:0", "host:65536", "::1:80", "a b:1", "h:1x", "[::1]"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(AddressError):
        parse_address(text)


def test_a_servers_file(tmp_path: Path) -> None:
    path = tmp_path / "servers.txt"
    path.write_text("# the cluster\n\nhttp://a:1/\n-\n[::1]:3  # the third\n")
    assert read_servers(path) == [Address("a", 1), None, Address("::1", 3)]
    path.write_text("a:1\nnonsense\n")
    with pytest.raises(ServersFileError, match=r"servers\.txt, line 2: 'nonsense'"):
        read_servers(path)
    path.write_text("a:1\na:1\n")
    with pytest.raises(ServersFileError, match="line 2"):
        read_servers(path)


@pytest.mark.parametrize("words", [["--help"], ["get", "--help"], ["get", "k", "--connect", "127.0.0.1:1"]])
def test_neither_help_nor_a_single_operation_loads_trio_or_the_prompt(words: list[str]) -> None:
    program = (
        f"import sys; sys.argv[1:] = {words!r}\n"
        "from trioraft_cli.main import run\n"
        "run()\n"
        "assert not {'trio', 'prompt_toolkit', 'rich'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
