"""Standard streams of every kind: closed, full, left by their reader, a terminal, in any encoding, or not text."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click
import pytest
from trioraft_cli.main import cli

from ..helpers.processes import Cluster
from ..helpers.terminals import output_on_terminal

SLOW = pytest.mark.slow
KEY: Final = "stream"
ODD_KEY: Final = "odd\nforged  1  7\x1b[2K\x9b1A\u202e"
ODD_VALUE: Final = '"\x7f\x9b31m\u202e\u2028"'

COMMANDS: Final[dict[str, list[tuple[str, int, bool]]]] = {
    "get": [(f"get {KEY}", 0, True), ("get nothing", 1, False), (f"get --raw {KEY}", 0, True)],
    "put": [(f"put {KEY} 1", 0, False), (f"put {KEY} 1 -o json", 0, True), (f"put {KEY} 1 --if-rev 1", 1, False)],
    "delete": [("delete nothing", 1, False)],
    "scan": [("scan", 0, True), ("scan --keys-only", 0, True), ("scan nothing --keys-only", 0, False)],
    "incr": [("incr counted", 0, True)],
    "status": [("status", 0, True)],
    "show-log": [("show-log", 0, True)],
    "members": [("members", 0, True)],
    "members add": [("members add nonsense", 2, False)],
    "members remove": [("members remove 99", 4, False), ("members remove 99 -o json", 4, True)],
    "members promote": [("members promote 99", 4, False)],
    "members apply": [("members apply SERVERS --dry-run", 0, True)],
    "transfer": [("transfer 99", 4, False)],
    "snapshot": [("snapshot", 0, True)],
    "backup": [("backup FILE", 0, True)],
    "restore": [("restore FOLDER/none --data-dir FOLDER/new --node 0 --address a:1", 2, False)],
    "recover": [("recover --data-dir FOLDER/none --force-members a:1", 1, False)],
    "watch": [("watch --after nonsense", 2, False)],
    "wait": [(f"wait {KEY} --exists", 0, True), ("wait nothing --exists --timeout 0.1", 4, False)],
    "txn": [("txn nonsense", 2, False)],
    "lease": [("lease", 2, False)],
    "lease grant": [("lease grant", 0, True)],
    "lease keepalive": [("lease keepalive 1", 1, False)],
    "lease revoke": [("lease revoke 1", 0, False)],
    "lease list": [("lease list", 0, True)],
    "lock": [("lock held -- true", 0, False)],
    "locks": [("locks", 0, True)],
    "lead": [("lead led -- true", 0, False), ("lead nobody --show", 1, False)],
    "pipe": [("pipe", 0, False)],
    "unlock": [("unlock", 2, False)],
    "shell": [("shell", 0, False)],
    "top": [("top --once", 0, True)],
    "bench": [("bench nonsense", 2, False)],
    "fault": [("fault", 2, False)],
    **{
        f"fault {name}": [(f"fault {name} --connect a", 2, False)]
        for name in ("cut", "disk", "drop", "heal", "partition", "show", "slow")
    },
    "check": [("check --connect a", 2, False)],
    "completion": [("completion bash", 0, True), ("completion tcsh", 2, False)],
    "demo": [("demo --nodes 0", 2, False)],
    "sim": [("sim --seed 1 --steps 100", 0, True)],
    "node": [("node 9 SERVERS", 2, False)],
    "": [("--help", 0, True), ("--version", 0, True), ("frobnicate", 2, False)],
}
"""For each command: its arguments, its exit code, and whether it prints to standard output."""
BRIEFLY: Final = (f"get {KEY}", f"put {KEY} 1", "shell")


def all_commands(group: click.Group, before: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        yield before + name
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{before}{name} ")


def calls() -> list[Any]:
    """All calls, most of which run only in the slow part, and the help of each command."""
    table = [call for called in COMMANDS.values() for call in called]
    table += [(f"{name} --help", 0, True) for name in all_commands(cli)]
    return [pytest.param(*call, marks=[] if call[0] in BRIEFLY else SLOW, id=call[0]) for call in table]


def test_no_command_is_left_out() -> None:
    assert set(COMMANDS) == {"", *all_commands(cli)}


class Called:
    """Call the command line with standard streams of the caller's choice."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder

    def program(self, words: Sequence[str | bytes]) -> list[str | bytes]:
        return [sys.executable, "-m", "trioraft_cli", *words]

    def environment(self, more: dict[str, str]) -> dict[str, str]:
        return {**os.environ, "TRIORAFT_SERVERS": str(self.cluster.servers), **more}

    def __call__(
        self,
        words: str | list[str | bytes],
        stdin: bytes = b"",
        before: str = "",
        stdout: int = subprocess.PIPE,
        **environment: str,
    ) -> subprocess.CompletedProcess[bytes]:
        """`before`: a shell's redirections of the streams, such as '>&-'."""
        if isinstance(words, str):
            words = [word.replace("FOLDER", str(self.folder)) for word in words.split()]
            words = [str(self.cluster.servers) if word == "SERVERS" else word for word in words]
            words = [str(self.folder / "file") if word == "FILE" else word for word in words]
        program = self.program(words)
        return subprocess.run(
            ["bash", "-c", f'"$@" {before}', "bash", *program] if before else program,
            input=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=self.environment(environment),
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def call(steady: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Called:
    called = Called(steady, tmp_path_factory.mktemp("called"))
    assert called(["put", KEY, '"text"']).returncode == 0
    assert called(["put", ODD_KEY, ODD_VALUE]).returncode == 0
    return called


def is_plain(stderr: bytes) -> bool:
    """Whether the text is meant for people, and not from the interpreter."""
    return not any(word in stderr for word in (b"Traceback", b"internal error", b"Exception", b"BrokenPipe"))


@pytest.mark.parametrize(("words", "code", "prints"), calls())
def test_output_that_cannot_be_written_is_a_failure(call: Called, words: str, code: int, prints: bool) -> None:
    for before, why in ((">&-", b"Bad file descriptor"), (">/dev/full", b"No space left on device")):
        result = call(words, before=before)
        assert is_plain(result.stderr)
        if prints:
            assert result.returncode == 74
            assert result.stderr.endswith(b"trioraft: standard output cannot be written: %b\n" % why)
        else:
            assert result.returncode == code


@pytest.mark.parametrize(("words", "code", "prints"), calls())
def test_a_reader_that_leaves_is_a_quiet_end(call: Called, words: str, code: int, prints: bool) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = call(words, stdout=writer)
    finally:
        os.close(writer)
    if prints:
        assert (result.returncode, result.stderr) == (141, b"")
    else:
        assert (result.returncode, is_plain(result.stderr)) == (code, True)


@pytest.mark.parametrize(("words", "code", "prints"), calls())
def test_messages_that_cannot_be_written_change_nothing_else(call: Called, words: str, code: int, prints: bool) -> None:
    for before in ("2>&-", "2>/dev/full", "2> >(true)"):
        result = call(words, before=before)
        assert (result.returncode, result.stdout != b"") == (code, prints)


@pytest.mark.parametrize(("words", "code", "prints"), calls())
def test_an_input_that_is_closed_matters_only_to_who_reads_it(
    call: Called, words: str, code: int, prints: bool
) -> None:
    result = call(words, before="<&-")
    assert is_plain(result.stderr)
    if words in ("shell", "pipe"):
        assert result.returncode == 74
        assert result.stderr == b"trioraft: standard input cannot be read: Bad file descriptor\n"
    else:
        assert (result.returncode, result.stdout != b"") == (code, prints)
    assert call(words, before="<&- >&- 2>&-").returncode == (74 if prints or words in ("shell", "pipe") else code)


def test_a_reader_that_leaves_in_the_middle_is_a_quiet_end_too(call: Called) -> None:
    typed = b"".join(b"put many/%d %d\n" % (number, number) for number in range(100)) + b"scan many/\n" * 100
    result = call("shell", stdin=typed, before="| head -c 100; exit ${PIPESTATUS[0]}")
    assert (result.returncode, len(result.stdout), result.stderr) == (141, 100, b"")


@pytest.mark.parametrize(
    "words",
    [
        ["get"],
        ["put", "k"],
        *[pytest.param(words, marks=SLOW) for words in (["put"], ["delete"], ["scan"], ["scan", "--after"], ["incr"])],
    ],
)
def test_arguments_that_are_no_text_are_refused_and_nothing_is_sent(call: Called, words: list[str | bytes]) -> None:
    for odd in (b"\xff", b"a\xc3", b"\xed\xa0\x80"):
        result = call([*words, odd, *(["1"] if words == ["put"] else [])])
        assert result.returncode == 2
        assert result.stderr.count(b"bytes that are no UTF-8, from byte ") == 1
        assert b"applied" not in result.stderr


@pytest.mark.parametrize("odd", [b"--\xff", b"-\x9b", b"get\xff"])
def test_options_and_commands_that_are_no_text_are_unknown_ones(call: Called, odd: bytes) -> None:
    result = call([odd])
    assert (result.returncode, is_plain(result.stderr)) == (2, True)
    assert result.stderr.isascii()


LOCALES: Final = (
    {"LC_ALL": "C.UTF-8"},
    {"LC_ALL": "C"},
    {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1:strict"},
    {"PYTHONIOENCODING": "utf-16"},
    {"PYTHONIOENCODING": "utf-8:strict", "PYTHONUNBUFFERED": "1"},
)
in_locales = pytest.mark.parametrize(
    "environment",
    [pytest.param(one, marks=[] if number in (2, 5) else SLOW) for number, one in enumerate(LOCALES)],
    ids=str,
)
"""Each encoding; by default the two that are farthest from UTF-8."""


@in_locales
def test_values_from_standard_input_are_utf_8_whatever_the_locale(call: Called, environment: dict[str, Any]) -> None:
    assert call(["put", "in", "-"], stdin='"\u263e\xe9"'.encode(), **environment).returncode == 0
    assert json.loads(call(["get", "in"], **environment).stdout) == "\u263e\xe9"
    result = call(["put", "in", "-"], stdin=b'"\xe9"', **environment)
    assert result.returncode == 2
    told = result.stderr.replace(b"\0", b"")  # for UTF-16
    assert told.endswith(b"standard input holds bytes that are no UTF-8, from byte 2 on\n")
    assert json.loads(call(["get", "in"]).stdout) == "\u263e\xe9"


@in_locales
def test_in_any_locale_keys_are_those_that_were_typed_and_json_is_the_same(
    call: Called, environment: dict[str, Any]
) -> None:
    encoding = environment.get("PYTHONIOENCODING", "utf-8").partition(":")[0]
    encoding = "utf-16-le" if encoding == "utf-16" else encoding
    assert call(["put", "m\u263e\xe9", '"\u263e\xe9"'], **environment).returncode == 0
    assert json.loads(call(["get", "m\u263e\xe9"], **environment).stdout.decode(encoding)) == "\u263e\xe9"
    assert call(["get", "--raw", "m\u263e\xe9"], **environment).stdout == "\u263e\xe9\n".encode()
    shown = call(["scan", "m\u263e", "--keys-only"], **environment).stdout.decode(encoding).rstrip("\n")
    assert (json.loads(shown) if shown.startswith('"') else shown) == "m\u263e\xe9"
    result = call(["get", "no\u263e"], **environment)
    assert (result.returncode, is_plain(result.stderr)) == (1, True)
    table = call(["scan", "m\u263e"], **environment)
    assert (table.returncode, table.stderr) == (0, b"")


def test_files_may_have_any_name(call: Called, tmp_path: Path) -> None:
    servers = os.fsencode(tmp_path) + b"/s\xff\n.txt"
    Path(os.fsdecode(servers)).write_bytes(call.cluster.servers.read_bytes())
    commands: list[list[str | bytes]] = [["get", KEY], ["members", "apply", servers]]
    for words in commands:
        assert call([*words, "--servers", servers]).returncode == 0
    assert call(["get", KEY], TRIORAFT_SERVERS=os.fsdecode(servers)).returncode == 0
    backup = os.fsencode(tmp_path) + b"/b\xfe\n"
    assert call(["backup", backup]).returncode == 0
    data = os.fsencode(tmp_path) + b"/d\xfd\n"
    result = call(["restore", backup, "--data-dir", data, "--node", "0", "--address", "127.0.0.1:1"])
    assert result.returncode == 0
    assert result.stdout.count(b"\n") == 3
    missing = call(["get", KEY, "--servers", os.fsencode(tmp_path) + b"/none\xff\n"])
    assert missing.returncode == 2
    assert missing.stderr.endswith(b"\\udcff\\n does not exist: write one host:port a line into it\n")


def on_terminal(call: Called, *words: str, **environment: str) -> str:
    """Read the output to a terminal as it comes: a terminal holds only some kilobytes."""
    sent, stderr = output_on_terminal(call.program(list(words)), call.environment(environment))
    assert is_plain(stderr)
    return sent


def test_a_terminal_is_sent_nothing_that_it_obeys(call: Called) -> None:
    more_than_a_terminal_holds = json.dumps("odd" * 10000)
    assert call(["put", "large", "-"], stdin=more_than_a_terminal_holds.encode()).returncode == 0
    for words in (
        ["get", "large"],
        ["get", ODD_KEY],
        ["get", ODD_KEY, "--raw"],
        ["get", ODD_KEY, "-o", "json"],
        ["scan", "odd"],
        ["scan", "odd", "--keys-only"],
        ["scan", "odd", "-o", "json"],
        ["show-log", "--limit", "1000"],
    ):
        sent = on_terminal(call, *words, NO_COLOR="1", TERM="dumb")
        assert "odd" in sent or "\\u007f" in sent
        assert all(line.isprintable() for line in sent.split("\r\n"))
    assert call(["get", ODD_KEY]).stdout == f"{ODD_VALUE}\n".encode()
    assert call(["get", ODD_KEY, "--raw"]).stdout == f"{json.loads(ODD_VALUE)}\n".encode()


def test_colour_is_for_who_wants_it_and_the_table_for_everybody(call: Called) -> None:
    coloured = on_terminal(call, "status", TERM="xterm")
    assert "\x1b[" in coloured
    assert on_terminal(call, "status", TERM="xterm", NO_COLOR="") == coloured
    for environment in ({"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = on_terminal(call, "status", **environment)
        assert not re.search(r"\x1b\[[0-9;]*3[0-9]", plain)
        assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == re.sub(r"\x1b\[[0-9;]*m", "", plain)
