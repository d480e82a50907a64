"""Transactions in short notation, in a shell and at the prompt, and what is said of wrong ones."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from trioraft_cli.notation import NotationError, of_words, words_of_line

from trioraft.wire.codec import decode, encode


def from_shell(line: str) -> dict[str, Any]:
    return from_words(shlex.split(line))


def from_words(words: list[str]) -> dict[str, Any]:
    place = words.index("--") if "--" in words else len(words)
    return plain(of_words(words[:place], words[place + 1 :]))


def from_prompt(line: str) -> dict[str, Any]:
    return from_words(words_of_line(line))


def plain(fields: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = decode(encode(fields), dict)
    return found


PUT = {"op": "put", "key": "a", "value": 1}
CHECKS = [{"key": "a", "exists": True}, {"key": "b", "exists": False}]
GET = {"op": "get", "key": "a"}


@pytest.mark.parametrize("read", [from_shell, from_prompt])
@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("'rev a = 7' -- put a 1 -- get a", {"checks": [{"key": "a", "rev": 7}], "then": [PUT], "else": [GET]}),
        ("rev a = 7 -- put a 1", {"checks": [{"key": "a", "rev": 7}], "then": [PUT]}),
        ("-- put a 1 , get a", {"then": [PUT, GET]}),
        ("-- 'put a 1' 'get a'", {"then": [PUT, GET]}),
        ("-- 'put a 1' , get a", {"then": [PUT, GET]}),
        ("-- -- get a", {"then": [], "else": [GET]}),
        ("'exists a' 'missing b' -- -- get a", {"checks": CHECKS, "then": [], "else": [GET]}),
        ("exists a , missing b -- get a", {"checks": CHECKS, "then": [GET]}),
        (
            "'lock deploy = 41' 'lease 40' -- get a",
            {"checks": [{"lock": "deploy", "fence": 41}, {"lease": 40}], "then": [GET]},
        ),
        ("""'value a = {"x": [1, 2]}' -- get a""", {"checks": [{"key": "a", "value": {"x": [1, 2]}}], "then": [GET]}),
        ("'value a = two words' -- get a", {"checks": [{"key": "a", "value": "two words"}], "then": [GET]}),
        ("-- incr n , incr m -5", {"then": [{"op": "incr", "key": "n"}, {"op": "incr", "key": "m", "by": -5}]}),
        ("-- delete a", {"then": [{"op": "delete", "key": "a"}]}),
        ("""-- 'get "two words"'""", {"then": [{"op": "get", "key": "two words"}]}),
        ("""-- 'put "-- , =" "it, is"'""", {"then": [{"op": "put", "key": "-- , =", "value": "it, is"}]}),
        ("""-- 'put a "x,"' , 'get "a,"'""", {"then": [{**PUT, "value": "x,"}, {**GET, "key": "a,"}]}),
        ("""-- 'put a [1, 2]'""", {"then": [{**PUT, "value": [1, 2]}]}),
        ("-- put = 1", {"then": [{"op": "put", "key": "=", "value": 1}]}),
    ],
)
def test_what_is_typed_is_what_is_asked(read: Any, line: str, fields: dict[str, Any]) -> None:
    assert read(line) == fields


def test_a_value_in_a_shell_is_one_word_and_at_the_prompt_the_rest() -> None:
    both = {"then": [{"op": "put", "key": "a", "value": {"x": 1, "y": [2]}}, GET]}
    assert from_shell("""-- put a '{"x": 1, "y": [2]}' , get a""") == both
    assert from_prompt("""-- put a {"x": 1, "y": [2]} , get a""") == both
    assert from_shell("""-- put "two words" "three more words" """) == {
        "then": [{"op": "put", "key": "two words", "value": "three more words"}]
    }
    assert from_prompt("-- put a three more words") == {
        "then": [{"op": "put", "key": "a", "value": "three more words"}]
    }


def test_an_empty_word_is_an_empty_string() -> None:
    assert from_shell("value a = '' -- put a '' , put '' 1") == {
        "checks": [{"key": "a", "value": ""}],
        "then": [{"op": "put", "key": "a", "value": ""}, {"op": "put", "key": "", "value": 1}],
    }


def test_numbers_keep_their_digits() -> None:
    fields = of_words([], ["put", "a", "1.50"])
    assert encode(fields["then"][0]["value"]) == b"1.50"


@pytest.mark.parametrize("read", [from_shell, from_prompt])
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "there is nothing to do"),
        ("'rev a = 7'", "there is nothing to do"),
        ("'rev a = 7' -- --", "there is nothing to do"),
        ("-- get a -- get a -- get a", "a third '--'"),
        ("'rev a 7' -- get a", "7 stands where '=' has to"),
        ("'rev a = seven' -- get a", "seven is no whole number"),
        ("'rev a =' -- get a", "it ends too early"),
        ("'rev a = 7 8' -- get a", "it goes on too long: a value with blanks stands in double quotes"),
        ("-- '  '", "an operation is one of"),
        ("-- put a 1, put d 2", "1, ends in a comma"),
        ("-- 'put a 1, put d 2'", "1, ends in a comma"),
        ("-- 'put a 1 , put d 2'", ", ends in a comma"),
        ("-- put a 1,", "put a blank before one that ends an operation"),
        ("-- get a, get b", "a, ends in a comma"),
        ("exists a, missing b -- get a", "a, ends in a comma"),
        ("rev a = 7, missing b -- get a", "7, ends in a comma"),
        ("value a = x, -- get a", "x, ends in a comma"),
        ("'version a = 7' -- get a", "a check is one of: rev KEY = REVISION; value KEY"),
        ("-- scan a", "an operation is one of: get KEY; put KEY VALUE"),
        ("-- put a", "it ends too early"),
        ("-- get a b", "it goes on too long"),
        ("-- incr a 1 2", "it goes on too long"),
        ("-- incr a 1.5", "1.5 is no whole number"),
        ("""-- 'get "a'""", "the quote has no end"),
    ],
)
def test_what_cannot_be_read_is_said(read: Any, line: str, said: str) -> None:
    with pytest.raises(NotationError) as error:
        read(line)
    assert said in str(error.value)


def test_a_word_too_many_in_a_shell_is_no_longer_value() -> None:
    with pytest.raises(NotationError, match="it goes on too long"):
        from_shell("-- put a 1 2")
