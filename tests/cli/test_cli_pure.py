"""The command line's decisions without a cluster: values, lines of the prompt, completion, addresses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from trioraft_cli.commands import COMMANDS, PromptError, complete_command, key_to_complete, parse_line
from trioraft_cli.values import to_json, unquoted

from trioraft.addresses import Address, AddressError, ServersFileError, parse_address, read_servers


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
    ("line", "name", "fields"),
    [
        ("get name", "get", {"key": "name"}),
        ("  get 'two words' ", "get", {"key": "two words"}),
        ("scan", "scan", {}),
        ("show-log 3", "show_log", {"limit": 3}),
        ("incr n -2", "incr", {"key": "n", "by": -2}),
        ("help put", "help", {"about": ["put"]}),
        ("quit", "exit", {}),
    ],
)
def test_a_line_of_the_prompt(line: str, name: str, fields: dict[str, object]) -> None:
    assert parse_line(line) == (name, fields)


def test_a_value_at_the_prompt_is_the_rest_of_the_line() -> None:
    name, fields = parse_line('put "my key" {"a": "b  c"}')
    assert (name, fields["key"], bytes(fields["value"])) == ("put", "my key", b'{"a": "b  c"}')


@pytest.mark.parametrize("line", ["foo", "get", "put a", "get 'a", "incr a b", "status now"])
def test_a_wrong_line_says_what_to_type(line: str) -> None:
    with pytest.raises(PromptError):
        parse_line(line)


def test_completion() -> None:
    assert complete_command("") == list(COMMANDS)
    assert complete_command("s") == ["scan", "show_log", "snapshot", "status"]
    assert complete_command("get na") == []
    assert key_to_complete("get na") == ("na", 2)
    assert key_to_complete("get ") == ("", 0)
    assert key_to_complete("get") is None
    assert key_to_complete("put 'two w") == ("two w", 6)
    assert key_to_complete("put name v") is None
    assert key_to_complete("status ") is None


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
