"""Values are equal when they are the same bytes once the blanks outside strings are removed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioraft.kv.equality import equal

pytestmark = pytest.mark.quick

BLANKS = st.text(" \t\n\r", max_size=3)
STRINGS = st.text(st.characters(codec="utf-8") | st.sampled_from(' "\\\t\n{}[],:'), max_size=8)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | STRINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRINGS, inner, max_size=3),
    max_leaves=8,
)


def spaced(value: Any, draw: st.DrawFn) -> str:
    """The value as JSON, with blanks wherever JSON allows them."""

    def blanks() -> str:
        return draw(BLANKS)

    match value:
        case list():
            inner = f"{blanks()},".join(spaced(one, draw) for one in value)
            return f"{blanks()}[{inner}{blanks()}]{blanks()}"
        case dict():
            pairs = [f"{blanks()}{json.dumps(key)}{blanks()}:{spaced(one, draw)}" for key, one in value.items()]
            return f"{blanks()}{{{','.join(pairs)}{blanks()}}}{blanks()}"
        case _:
            return f"{blanks()}{json.dumps(value)}{blanks()}"


@st.composite
def spellings(draw: st.DrawFn, value: Any) -> bytes:
    return spaced(value, draw).encode()


def dense(text: str) -> str:
    """The text without blanks outside strings, found letter by letter."""
    kept, within, escaped = [], False, False
    for letter in text:
        if within:
            within = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            within = True
        elif letter in " \t\n\r":
            continue
        kept.append(letter)
    return "".join(kept)


@given(st.data(), VALUES)
def test_a_value_equals_itself_however_it_is_spaced(data: st.DataObject, value: Any) -> None:
    one, other = data.draw(spellings(value)), data.draw(spellings(value))
    assert equal(one, other)
    assert equal(other, one)


@given(st.data(), VALUES, VALUES)
def test_two_values_are_equal_exactly_where_their_letters_are(data: st.DataObject, first: Any, second: Any) -> None:
    one, other = data.draw(spellings(first)), data.draw(spellings(second))
    assert equal(one, other) == (dense(one.decode()) == dense(other.decode()))


@given(STRINGS, STRINGS)
def test_blanks_within_strings_count(first: str, second: str) -> None:
    one, other = json.dumps([first]).encode(), json.dumps([second]).encode()
    assert equal(one, other) == (first == second)


@pytest.mark.parametrize(
    ("one", "other"), [(b"1.0", b"1"), (b'"a"', b'"\\u0061"'), (b'{"a":1,"b":2}', b'{"b":2,"a":1}'), (b'"1"', b"1")]
)
def test_nothing_else_is_made_alike(one: bytes, other: bytes) -> None:
    assert not equal(one, other)


@pytest.mark.parametrize("open_end", [b'"' * 300_000, b'["' + b"\\" * 300_001, b" " * 300_000 + b'"a', b'" ' * 150_000])
def test_what_no_value_looks_like_is_compared_in_one_pass_too(open_end: bytes) -> None:
    assert equal(open_end, open_end + b" ") == (open_end.count(b'"') % 2 == 0)
