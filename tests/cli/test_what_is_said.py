"""The words of the commands: what happened, to what, whether it was applied, and what to do."""

from __future__ import annotations

import errno
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trioraft_cli import keys, main, member_plan, outcomes
from trioraft_cli.counts import snapshot_taken
from trioraft_cli.lines import run_line
from trioraft_cli.membership import Member, Members
from trioraft_cli.tree import ELSEWHERE
from trioraft_cli.typed import split_commands

from trioraft.addresses import Address
from trioraft.client import Client, NoNode, Unknown

from ..helpers.fake_nodes import Make
from ..helpers.prompts import COMMANDS, ROOT, prompt_at

NOBODY = Address("127.0.0.1", 1)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line. Return its exit code, and its standard output and standard error."""
    monkeypatch.delenv("TRIORAFT_SERVERS", raising=False)
    monkeypatch.setenv("COLUMNS", "500")

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["trioraft", *words])
        code = main.run()
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture
def prompt(capsys: pytest.CaptureFixture[str]) -> Run:
    """Type a line into the prompt of a cluster at that address."""

    def prompt(address: Address, line: str) -> tuple[int, str, str]:
        prompt = prompt_at([address])
        code = run_line(prompt, line)
        prompt.connection._client.close()
        told = capsys.readouterr()
        assert code is not None
        return code, told.out, told.err

    return prompt


def test_without_a_word_the_help_is_shown_once_as_it_is(run: Run) -> None:
    code, _, err = run()
    assert code == outcomes.USAGE
    assert err.count("Usage:") == 1
    assert "\n  backup " in err
    assert "\\n" not in err


WRITES = [
    ("put", "k", "1"),
    ("delete", "k"),
    ("incr", "k"),
    ("transfer", "1"),
    ("members", "add", "127.0.0.1:9"),
    ("members", "remove", "1"),
    ("members", "promote", "1"),
]


@pytest.mark.parametrize("words", WRITES, ids="-".join)
def test_a_write_that_finds_no_node_was_not_applied(run: Run, words: tuple[str, ...]) -> None:
    code, _, err = run(*words, "--connect", str(NOBODY))
    assert code == outcomes.NO_NODE
    assert "Connection refused). It was not applied. (start the nodes" in err


@pytest.mark.parametrize("words", [("get", "k"), ("scan",), ("members",), ("snapshot",), ("show-log",)], ids="-".join)
def test_of_what_is_no_write_nothing_is_said_of_that(run: Run, words: tuple[str, ...]) -> None:
    code, _, err = run(*words, "--connect", str(NOBODY))
    assert code == outcomes.NO_NODE
    assert "applied" not in err


def test_at_the_prompt_what_to_do_is_not_an_option_that_it_does_not_have(prompt: Run) -> None:
    _, _, err = prompt(NOBODY, "put k 1")
    assert "It was not applied. (start the nodes;" in err
    assert "'trioraft shell --servers FILE'" in err


class Scan:
    """Make a node with that many keys, which returns some of them."""

    def __init__(self, shown: int, more: bool) -> None:
        self.items = [
            {"key": f"m{number}", "rev": 1, "created": 1, "version": 1, "value": 1} for number in range(shown)
        ]
        self.entries = [
            {"index": number, "term": 1, "command": None, "committed": True, "applied": True}
            for number in range(1, shown + 1)
        ]
        self.more = more

    def __call__(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"items": self.items, "entries": self.entries, "more": self.more}


@pytest.mark.parametrize(("shown", "said"), [(1, "more than 1 key: "), (3, "more than 3 keys: ")])
def test_a_list_that_stops_says_where_and_how_to_go_on(run: Run, fake: Make, shown: int, said: str) -> None:
    where = "--connect", str(fake(Scan(shown, more=True)).address)
    code, _, err = run("scan", *where)
    assert code == 0
    assert f"{said}go on with --after m{shown - 1}\n" in err
    code, _, err = run("show-log", "--from", "1", *where)
    assert code == 0
    assert f"more entries: go on with --from {shown + 1}\n" in err
    whole = "--connect", str(fake(Scan(shown, more=False)).address)
    assert run("scan", *whole)[2] == run("show-log", *whole)[2] == ""


def test_help_says_how_many_rows_there_are_at_most(run: Run) -> None:
    assert "up to 10000; 1000 where" in run("scan", "--help")[1]
    assert "up to 1000; 100 where" in run("show-log", "--help")[1]


def test_status_as_json_says_who_does_not_answer(run: Run, fake: Make) -> None:
    status = {"node": 0, "role": "leader", "term": 1, "leader": 0, "leader_address": None}
    indexes = {"commit_index": 9, "last_applied": 9, "first_index": 1, "last_index": 9}
    lone = [{"id": 0, "address": "h:1", "role": "voter"}, {"id": 1, "address": str(NOBODY), "role": "voter"}]
    node = fake(lambda _: {**status, **indexes, "members": lone[1:]})
    _, out, err = run("status", "-o", "json", "--connect", str(node.address))
    assert out.count("\n") == 1
    assert f"no answer from {NOBODY}: Connection refused\n" in err


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2p1\r\n", b'{"status":400}\n', b"[]\n", b"\xff\xfe\n"],
)
def test_what_answers_and_is_no_node_is_told_as_that(run: Run, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(said)
                while connection.recv(4096):
                    pass

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        code, _, err = run("get", "k", "--connect", f"{host}:{port}")
        thread.join(10)
    assert code == outcomes.NO_NODE
    assert f"({host}:{port}: what answers there is no trioraft node)" in err


@pytest.mark.parametrize(
    "words", [("get", "k", "--connect"), ("members", "add"), ("recover", "--data-dir", "x", "--force-members")]
)
def test_several_addresses_where_one_is_wanted(run: Run, words: tuple[str, ...]) -> None:
    code, _, err = run(*words, "127.0.0.1:8001,127.0.0.1:8002")
    assert code == outcomes.USAGE
    assert "holds a comma, and one address alone is wanted" in err


@pytest.mark.parametrize("named", ["x", "a:b,c:d", "h:8000,", "h:99999"])
def test_what_is_wrong_with_the_environment_is_said_of_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRIORAFT_SERVERS", named)
    code, _, err = run("get", "k") if named != "h:8000," else (outcomes.USAGE, "", "TRIORAFT_SERVERS")
    assert code == outcomes.USAGE
    assert "TRIORAFT_SERVERS" in err


def test_an_address_where_a_file_is_wanted(run: Run) -> None:
    assert "--servers takes a file, and --connect an address: h:1,h:2 does" in run("scan", "--servers", "h:1,h:2")[2]


def test_what_the_system_says_is_told_without_its_number(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert f"{tmp_path} cannot be read: Is a directory\n" in run("scan", "--servers", str(tmp_path))[2]

    def reset(*_: object) -> None:
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    monkeypatch.setattr(Client, "_ask_somebody", reset)
    code, _, err = run("put", "k", "1", "--connect", str(NOBODY))
    assert code == outcomes.UNKNOWN
    assert "(Connection reset by peer): the write may have been applied" in err


@pytest.mark.parametrize(
    ("words", "is_said"), [(["put", "k", "1"], True), (["get", "k"], False), (["members", "remove", "1"], True)]
)
def test_a_write_that_is_broken_off_may_have_been_applied(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str], is_said: bool
) -> None:
    def call(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "call", call)
    code, _, err = run(*words, "--connect", str(NOBODY))
    assert code == outcomes.INTERRUPTED
    assert ("may have been applied" in err) is is_said


@pytest.mark.parametrize(
    ("file", "typed"), [("two.txt", "two.txt"), ("my two.txt", "'my two.txt'"), ("\udcff\n", r"$'\377\012'")]
)
def test_a_newcomer_is_started_with_the_file_that_was_given(
    monkeypatch: pytest.MonkeyPatch, file: str, typed: str
) -> None:
    monkeypatch.setattr(member_plan, "_do", lambda *_, **__: iter(()))
    monkeypatch.setattr(member_plan, "wait_for_vote", lambda *_: None)
    told: list[str] = []
    present = Members([Member(0, "h:1", "voter")], 1, 0, 1)
    steps = [member_plan.Step("add_member", 1, "h:2")]
    list(member_plan.carry_out(Client, present, steps, Path(file), told.append))
    assert told[0] == f"added node 1 at h:2: start it with 'trioraft node 1 {typed}'"


@pytest.mark.parametrize("then", ["the members cannot be asked for", "it cannot be tried again"])
def test_a_change_that_may_have_been_applied_is_never_told_as_not_applied(
    monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    def ask_members(_: Client) -> Members:
        if then == "the members cannot be asked for":
            raise NoNode("gone", "")
        return Members([Member(1, "h:2", "voter")], 2, 0, 1)

    failures = [Unknown("did not answer: the write may have been applied", "read"), NoNode("gone", "")]

    def call(*_: object, **__: object) -> None:
        raise failures.pop(0)

    monkeypatch.setattr(member_plan, "ask_members", ask_members)
    monkeypatch.setattr(Client, "call", call)
    with Client([NOBODY]) as client, pytest.raises(Unknown):
        list(member_plan._do(client, member_plan.Step("remove_member", 1, "h:2"), member=1))


@pytest.mark.parametrize(
    "words", [("sim", "--seed"), ("demo", "--nodes"), ("sim", "--seeds", "0..1", "--jobs")], ids="-".join
)
def test_what_is_no_number_is_told_as_that(run: Run, words: tuple[str, ...]) -> None:
    assert "'x' is not a valid integer." in run(*words, "x")[2]
    assert run(*words, "-7")[0] == outcomes.USAGE


@pytest.mark.parametrize(
    "line", ['incr "my key" {}', "show_log --from {}", "remove_member {}", "members promote {}", "transfer {}"]
)
@pytest.mark.parametrize("word", ["x", "1.5", "-"])
def test_what_is_no_number_at_the_prompt_is_told_with_the_usage(prompt: Run, line: str, word: str) -> None:
    code, _, err = prompt(NOBODY, line.format(word))
    assert code == outcomes.USAGE
    assert f"{word!r} is not a valid integer" in err
    assert f"; usage: {line.split()[0].replace('_', '-').replace('remove-member', 'members remove')}" in err


def test_the_choices_of_a_missing_argument_are_told_in_its_line(run: Run) -> None:
    assert run("completion")[2].endswith("Choose from: bash, zsh, fish\n")


@pytest.mark.parametrize(
    "words",
    ["put k --onc", "put --onc k", "put k 1 --onc", "incr --onc", "incr k --onc"],
)
def test_a_mistyped_option_is_no_key_and_no_value(run: Run, words: str) -> None:
    code, _, err = run(*words.split())
    assert code == outcomes.USAGE
    assert "No such option '--onc'. Did you mean '--once'?" in err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("GET a", "did you mean 'get'?"),
        ("Show-Log", "did you mean 'show-log'?"),
        ("help GETT", "did you mean 'get'?"),
        ("zzz", "did you mean 'help'?"),
        ("set a 1", "did you mean 'put'?"),
        ("ls", "did you mean 'scan'?"),
        ("trioraft get a", "this prompt takes commands without that word"),
        ("node 0", "type 'trioraft node' into a shell outside"),
        ("lease Grant", "did you mean 'lease grant'?"),
    ],
)
def test_a_command_that_there_is_not_is_told_with_one_that_there_is(prompt: Run, line: str, said: str) -> None:
    code, _, err = prompt(NOBODY, line)
    assert code == outcomes.USAGE
    assert said in err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["GET", "a"], "trioraft get"),
        (["help"], "trioraft --help"),
        (["zzz"], "trioraft --help"),
        (["keys"], "trioraft scan"),
        (["members", "ls"], "trioraft members --help"),
        (["members", "Add"], "trioraft members add"),
        (["members", "h:1"], "trioraft members --help"),
    ],
)
def test_a_command_of_another_place_is_told_with_that_of_the_command_line(
    run: Run, words: list[str], meant: str
) -> None:
    code, _, err = run(*words)
    assert code == outcomes.USAGE
    assert f"did you mean '{meant}'?" in err


@pytest.mark.parametrize("words", [("add_member", "h"), ("add-member", "h"), ("members", "add", "h")], ids="-".join)
def test_what_was_typed_in_former_versions_is_taken(run: Run, prompt: Run, words: tuple[str, ...]) -> None:
    assert "'h' is no address" in run(*words, "--connect", str(NOBODY))[2]
    assert "'h' is no address" in prompt(NOBODY, " ".join(words))[2]


def test_the_prompt_has_all_commands_but_those_for_a_shell() -> None:
    assert set(COMMANDS.commands) - set(ROOT.commands) == set(ELSEWHERE) & set(COMMANDS.commands)
    assert set(ROOT.commands) - set(COMMANDS.commands) == {"help", "exit"}


@pytest.mark.parametrize(
    ("value", "is_said"),
    [('{"a":', True), ("[1,", True), ('"a', True), ('{"a": 1}', False), ('"{"', False), ("a{", False)],
)
def test_json_with_a_slip_is_stored_as_a_string_and_that_is_said(
    prompt: Run, run: Run, fake: Make, monkeypatch: pytest.MonkeyPatch, value: str, is_said: bool
) -> None:
    node = fake(lambda _: {"rev": 17})
    where = "--connect", str(node.address)
    assert run("put", "x", value, *where) == prompt(node.address, f"put x {value}") == (0, "", "")  # as in scripts
    monkeypatch.setattr(keys, "as_table", lambda: True)
    for code, out, err in (run("put", "x", value, *where), prompt(node.address, f"put x {value}")):
        assert (code, out) == (0, "revision 17\n")
        assert ("stored as a string" in err) is is_said
    assert "stored" not in run("put", "x", value, "--string", *where)[2]


@pytest.mark.parametrize(
    ("value", "is_said"),
    [
        ("1 > file", True),
        ("x | jq .", True),
        ("- < file", True),
        (">>file", True),
        ('{"a": "b > c"}', False),
        ("a>b", False),
        ("x", False),
    ],
)
def test_a_value_that_a_shell_would_take_apart_is_stored_whole_and_the_prompt_says_so(
    prompt: Run, run: Run, fake: Make, monkeypatch: pytest.MonkeyPatch, value: str, is_said: bool
) -> None:
    node = fake(lambda _: {"rev": 17})
    monkeypatch.setattr(keys, "as_table", lambda: True)
    assert ("stored as it stands" in prompt(node.address, f"put x {value}")[2]) is is_said
    assert "stored" not in run("put", "x", value, "--connect", str(node.address))[2]


def test_remarks_are_no_commands(prompt: Run) -> None:
    assert split_commands(ROOT, "# all\nput a 1\n  # twice\nput b {\n# within\n}\n") == ["put a 1", "put b {\n}"]
    assert prompt(NOBODY, "  # nothing is asked") == (0, "", "")


def test_one_is_one(prompt: Run, fake: Make) -> None:
    node = fake(lambda _: {"keys": 1, "index": 2, "bytes": 600})
    assert prompt(node.address, "snapshot")[1] == "1 key up to entry 2, 600 bytes\n"
    assert snapshot_taken(0, 2, 1) == "0 keys up to entry 2, 1 byte"
