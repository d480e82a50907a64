"""The one rule of quoting at the prompt: a key that is completed and then read is the same key, whatever is in it."""

from __future__ import annotations

import codecs
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from trioraft_cli.escapes import escape_unencodable
from trioraft_cli.typed import before_cursor, split_commands
from trioraft_cli.words import beginning_of, line_of, quote, shell_word, words_of

from ..helpers.prompts import ROOT, asked_by

ODD = st.sampled_from(list("ab'\"\\ \t\n\r\x00\x1b\x7f\x9b-{[=#$`é日😀\u00a0\u2028\u202e\ufeff"))
KEYS = st.text(ODD | st.characters(codec="utf-8"), min_size=1, max_size=8)
COMMANDS = {"get": "", "delete": "", "scan": "", "incr": " 5", "put": ' {"a":  1}'}


@given(KEYS, st.sampled_from(sorted(COMMANDS)), st.sampled_from(["plain", "as shown", "escaped", "single"]), st.data())
@example("it's", "put", "plain", None)
@example('"', "get", "plain", None)
@example("😀", "get", "escaped", None)
@example("0 0 ", "delete", "plain", None)
def test_a_key_that_is_completed_and_then_read_is_that_key(
    key: str, command: str, style: str, data: st.DataObject | None
) -> None:
    typed = {
        "plain": key,
        "as shown": quote(key),
        "escaped": json.dumps(key),
        "single": f"'{key}",
    }[style]
    for cut in range(len(typed) + 1) if data is None else [data.draw(st.integers(0, len(typed)))]:
        text = f"{command} {typed[:cut]}"
        cursor = before_cursor(ROOT, text)
        if cursor is None:
            continue  # nothing is offered
        if cursor.words != [command]:
            assert style == "plain"
            continue  # a blank in it has ended the word
        if not key.startswith(cursor.incomplete):
            continue  # the typed text begins another key, so this one is not offered
        asked = asked_by(text[: len(text) - len(cursor.typed)] + quote(key) + COMMANDS[command])
        assert asked is not None
        assert (asked["op"], asked.get("key", asked.get("prefix"))) == (command, key)
        if command == "put":
            assert bytes(asked["value"]) == b'{"a":  1}'


@given(KEYS, st.data())
def test_a_key_is_offered_at_each_moment_of_its_typing(key: str, data: st.DataObject) -> None:
    typed = quote(key)
    ended = len(typed) if typed[0] == '"' else len(typed) + 1
    cut = data.draw(st.integers(0, ended - 1))
    prefix = beginning_of(typed[:cut])
    assert prefix is not None
    assert key.startswith(prefix)
    assert typed[0] == '"' or prefix == typed[:cut]


@given(st.lists(st.text(ODD, max_size=5), max_size=4))
def test_words_that_are_quoted_and_read_are_the_same_words(words: list[str]) -> None:
    assert words_of(" \t".join(map(quote, words))) == words


@given(st.text(ODD | st.characters()))
def test_what_is_shown_quoted_holds_nothing_that_a_terminal_obeys(key: str) -> None:
    assert quote(key).isprintable()


@given(KEYS, st.sampled_from(["ascii", "latin-1", "utf-8", "cp1252"]))
@example("é", "ascii")
@example("\\u00e9", "ascii")
def test_what_an_encoding_has_not_is_escaped_so_that_the_key_can_be_told_and_typed(key: str, encoding: str) -> None:
    codecs.register_error("test-escapes", escape_unencodable)
    shown = quote(key, encoding).encode(encoding, "test-escapes").decode(encoding)
    assert words_of(shown) == [key]
    line = line_of(key, encoding).encode(encoding, "test-escapes").decode(encoding)
    assert (json.loads(line) if line[0] == '"' else line) == key
    shell_word(key, encoding).encode(encoding)


@pytest.mark.parametrize("key", ["name", "a/b:c", "it's", "a|b", "C:\\dir", "日本", "x=1,y=2", "{a}", "#"])
def test_plain_keys_stay_plain(key: str) -> None:
    assert quote(key) == key


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("", '""'),
        ("two words", '"two words"'),
        ('"', r'"\""'),
        ("a\nb", r'"a\nb"'),
        ("\x9b\x7f", r'"\u009b\u007f"'),
        ("a b\\", r'"a b\\"'),
        ("-5", '"-5"'),
        ("|", '"|"'),
        (">x", '">x"'),
    ],
)
def test_others_are_shown_as_json_has_them(key: str, shown: str) -> None:
    assert quote(key) == shown


@given(KEYS)
def test_put_and_get_read_a_key_alike(key: str) -> None:
    for typed in (quote(key), json.dumps(key), key):
        got = asked_by(f"get {typed}")
        put = asked_by(f"put {typed} 1")
        if got is not None and not typed.startswith("-"):
            assert put is not None
            assert put["key"] == got["key"]


@pytest.mark.parametrize("line", ['get "a', "get 'a", 'put "a"b 1', r'put "\x" 1', r'get "\ud8', 'put "a"', "put"])
def test_quotes_that_cannot_be_read_are_no_other_key(line: str) -> None:
    assert asked_by(line) is None


@pytest.mark.parametrize(
    ("pasted", "commands"),
    [
        ("put a 1\nput b 2", ["put a 1", "put b 2"]),
        ("put a 1\r\n\r\n  get a\r", ["put a 1", "  get a"]),
        ("", []),
        (" \n ", []),
        ('put a {\n "x": [1,\n"}"]\n}\nget a', ['put a {\n "x": [1,\n"}"]\n}', "get a"]),
        ("put a {broken\nget a", ["put a {broken", "get a"]),
        ("put a [1\nput b 2]", ["put a [1", "put b 2]"]),
        ("put a ]\nget a", ["put a ]", "get a"]),
        ("put 'a\nget b", ["put 'a", "get b"]),
    ],
)
def test_pasted_lines_are_a_command_each(pasted: str, commands: list[str]) -> None:
    assert split_commands(ROOT, pasted) == commands


def test_a_paste_of_many_lines_is_taken_apart_quickly() -> None:
    lines = [f"put k{number} [" for number in range(1000)]
    assert split_commands(ROOT, "\n".join(lines)) == lines
