"""How any key and value is shown: one row a key, nothing that a terminal obeys, and JSON that is still the same."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from trioraft_cli import membership, outcomes, render
from trioraft_cli.escapes import ascii_json, escape_unencodable, safe, safe_json
from trioraft_cli.words import shell_word

from trioraft.client import Refused, Reply
from trioraft.kv.items import Item
from trioraft.kv.queries import Page
from trioraft.raft.messages import Entry
from trioraft.wire.codec import encode
from trioraft.wire.entries import seal
from trioraft.wire.replies import as_of, error_reply, log_reply, scan_reply

ODD = st.sampled_from(
    list("ab'\"\\ \t\n\r\x00\x1b[7m\x7f\x85\x9b-{é日😀\u00a0\u061c\u200b\u2028\u202e\u2066\ufeff\U000e0041")
)
TEXTS = st.text(ODD | st.characters(codec="utf-8"), min_size=1, max_size=120)
FORGED = 'a\nforged  "x"  7\x1b[2K\x9b1A\u2028'
VALUES = st.recursive(st.none() | st.integers() | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner))
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    """A standard output that is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Pipe(io.StringIO):
    """A standard output that is a pipe."""

    encoding = "utf-8"


def printed(out: io.StringIO, show: Callable[[], object]) -> str:
    with contextlib.redirect_stdout(out):
        show()
    return out.getvalue()


def raw_json(value: object, blank: str) -> bytes:
    """JSON in UTF-8 with as few escapes as possible, and any blanks between its tokens."""
    return json.dumps(value, ensure_ascii=False, separators=(f",{blank}", f":{blank}")).encode()


def scanned(rows: list[tuple[str, bytes]], keys_only: bool = False) -> Reply:
    items = [(key, Item(value, 5 + number, 5, 1)) for number, (key, value) in enumerate(rows)]
    line = scan_reply(b"1", Page(items, False, keys_only), as_of(9))
    return Reply(line if isinstance(line, bytes) else b"".join(line))


def is_shown(text: str) -> bool:
    """Whether a terminal only shows the text, in lines, and obeys nothing in it."""
    return all(line.isprintable() for line in text.split("\n"))


ROWS = st.lists(st.tuples(TEXTS, st.builds(raw_json, VALUES, st.sampled_from(["", "\t", " "]))), max_size=5)


@given(ROWS)
@example([(FORGED, b'"\x7f"'), ("b", '"\u2028\u009b"'.encode())])
def test_a_scan_has_a_row_a_key_in_a_pipe_and_on_a_terminal(rows: list[tuple[str, bytes]]) -> None:
    piped = printed(Pipe(), lambda: render.show_scan(scanned(rows), keys_only=False))
    assert is_shown(piped)
    assert len(piped.splitlines()) == 1 + len(rows)
    seen = COLOURS.sub("", printed(Terminal(), lambda: render.show_scan(scanned(rows), keys_only=False)))
    assert is_shown(seen)
    assert sum(not line.startswith(" ") for line in seen.splitlines()) == 1 + len(rows)


@given(st.lists(TEXTS, max_size=5))
@example([FORGED, '"a"', "\\n", "two words "])
def test_keys_alone_are_a_line_each_from_which_each_key_can_be_told(keys: list[str]) -> None:
    for out in (Terminal(), Pipe()):
        reply = scanned([(key, b"1") for key in keys], keys_only=True)
        shown = printed(out, lambda reply=reply: render.show_scan(reply, keys_only=True))  # type: ignore[misc]
        assert is_shown(shown)
        lines = shown.splitlines()
        assert [json.loads(line) if line.startswith('"') else line for line in lines] == keys


def test_keys_that_the_output_has_no_characters_for_are_json_strings() -> None:
    class Latin(Pipe):
        encoding = "latin-1"

    shown = printed(Latin(), lambda: render.show_scan(scanned([("é", b"1"), ("日", b"2")], True), keys_only=True))
    assert shown == 'é\n"日"\n'  # the stream's error handler escapes within the quotes


@given(st.lists(st.builds(lambda key, value: encode({"op": "put", "key": key, "value": value}), TEXTS, TEXTS)))
def test_a_log_has_a_row_an_entry(commands: list[bytes]) -> None:
    entries: list[Entry] = [seal(index, 1, "command", command) for index, command in enumerate(commands, 1)]
    answer = log_reply(b"1", entries, 1, 1, False)
    reply = Reply(answer if isinstance(answer, bytes) else b"".join(answer))
    piped = printed(Pipe(), lambda: render.show_log(reply))
    assert is_shown(piped)
    assert len(piped.splitlines()) == 1 + len(entries)


@given(TEXTS)
def test_members_whose_addresses_could_be_anything_are_a_row_each(address: str) -> None:
    shown = membership.Members([membership.Member(0, address, "voter"), membership.Member(1, "b:1", address)], 2, 2, 0)
    piped = printed(Pipe(), lambda: membership.show_members(shown))
    assert is_shown(piped)
    assert len(piped.splitlines()) == 4


@given(TEXTS, TEXTS)
def test_what_a_node_says_of_a_failure_is_one_line(message: str, hint: str) -> None:
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        outcomes.complain(Refused(Reply(error_reply(b"1", "conflict", message, hint, "no"))))
    assert is_shown(told.getvalue())
    assert told.getvalue().count("\n") == 1


@given(VALUES, st.sampled_from(["", "\t", "\r", " "]))
def test_json_that_cannot_be_shown_or_sent_as_it_is_becomes_the_same_json(value: object, blank: str) -> None:
    text = raw_json(value, blank).decode()
    assert json.loads(safe_json(text)) == json.loads(ascii_json(text)) == value
    assert safe_json(text).isprintable()
    assert ascii_json(text).isascii()
    assert printed(Pipe(), lambda: render.show_json(text.encode())) == text + "\n"
    assert printed(Terminal(), lambda: render.show_json(text.encode())) == safe_json(text) + "\n"
    assert printed(Pipe(), lambda: render.show_value(text.encode())) == text + "\n"
    seen = COLOURS.sub("", printed(Terminal(), lambda: render.show_value(text.encode())))
    assert is_shown(seen)
    assert json.loads(seen) == value


@given(TEXTS)
def test_a_string_without_its_quotes_is_only_shown_on_a_terminal(text: str) -> None:
    value = encode(text)
    seen = printed(Terminal(), lambda: render.show_raw(value))
    assert is_shown(seen.replace("\t", " "))
    written = io.TextIOWrapper(io.BytesIO(), "ascii")
    with contextlib.redirect_stdout(written):
        render.show_raw(value)
        written.flush()
    assert written.buffer.getvalue() == text.encode() + b"\n"


@given(st.text(st.characters() | ODD), st.sampled_from(["ascii", "latin-1", "utf-16-le", "utf-8", "cp1252"]))
def test_any_text_can_be_printed_in_any_encoding(text: str, encoding: str) -> None:
    codecs.register_error("test-escapes", escape_unencodable)
    assert safe(safe(text).encode(encoding, "test-escapes").decode(encoding)).isprintable()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_key_in_a_hint_can_be_given_to_a_shell_as_it_stands() -> None:
    keys = [
        "plain",
        "it's",
        '"',
        "two words",
        "$HOME `id`",
        "a\nb",
        "\x1b[31m",
        "\x9b1",
        "é\u202e'\\",
        "-x",
        "~",
        "\t7",
    ]
    words = " ".join(map(shell_word, keys))
    assert is_shown(words)
    done = subprocess.run(["bash", "-c", rf"printf '%s\0' {words}"], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == keys
