"""JSON laid out for a person: the same tokens in the same order, whatever the width."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from trioraft_cli.colour import painted_json
from trioraft_cli.pretty import pretty, tokens

from .test_shown import TEXTS

NUMBERS = st.sampled_from(["0", "-1", "1.50", "1E+400", "0.1000000000000000055511151231257827", "9" * 50])
BLANKS = st.sampled_from(["", " ", "\n", "\t \r\n"])


@st.composite
def raw(draw: st.DrawFn, depth: int = 3) -> str:
    """JSON as anybody may have written it: any blanks, any digits, the same key twice."""
    kinds = ["number", "string", "word"] + (["list", "object"] if depth else [])
    match draw(st.sampled_from(kinds)):
        case "number":
            return draw(NUMBERS)
        case "string":
            return json.dumps(draw(TEXTS), ensure_ascii=draw(st.booleans()))
        case "word":
            return draw(st.sampled_from(["true", "false", "null"]))
        case "list":
            items = draw(st.lists(raw(depth - 1), max_size=4))
            return f"[{draw(BLANKS)}{f'{draw(BLANKS)},{draw(BLANKS)}'.join(items)}{draw(BLANKS)}]"
    members = draw(st.lists(st.tuples(TEXTS, raw(depth - 1)), max_size=4))
    pairs = [f"{json.dumps(key)}{draw(BLANKS)}:{draw(BLANKS)}{value}" for key, value in members]
    return f"{{{draw(BLANKS)}{','.join(pairs)}{draw(BLANKS)}}}"


def bare(text: str) -> list[str]:
    return [token.text for token in tokens(text)]


@given(raw(), st.integers(1, 100))
@example("[" * 200 + "]" * 200, 20)
@example('{"a":1,"a":1.0}', 5)
def test_no_token_changes_or_moves_and_no_line_is_blank(text: str, width: int) -> None:
    shown = pretty(text, width)
    assert bare(shown) == bare(text)
    assert all(line.strip() for line in shown.split("\n"))
    assert bare(re.sub(r"\x1b\[[0-9]+m", "", painted_json(shown))) == bare(text)


@given(raw(), st.integers(1, 100))
def test_what_fits_into_a_line_stands_in_one(text: str, width: int) -> None:
    line = pretty(text, 10**9)
    assert "\n" not in line
    assert (pretty(text, width) == line) or len(line) >= width


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ('{"a":1,"b":[1,2]}', 40, '{"a": 1, "b": [1, 2]}'),
        ('{"a":1,"b":[1,2]}', 13, '{\n  "a": 1,\n  "b": [\n    1,\n    2\n  ]\n}'),
        ('{"a":1,"b":[1,2]}', 16, '{\n  "a": 1,\n  "b": [1, 2]\n}'),
        ('[{},[ ],"x"]', 2, '[\n {},\n [],\n "x"\n]'),
        ('"\\"}{"', 1, '"\\"}{"'),
        ("1.50", 1, "1.50"),
    ],
)
def test_how_it_looks(text: str, width: int, shown: str) -> None:
    assert pretty(text, width) == shown


def test_each_kind_has_its_colour_and_a_key_another_than_a_string() -> None:
    assert painted_json('{"a": ["b", 1, null]}') == (
        '{\x1b[36m"a"\x1b[0m: [\x1b[32m"b"\x1b[0m, \x1b[33m1\x1b[0m, \x1b[35mnull\x1b[0m]}'
    )


@pytest.mark.parametrize("text", ["", "{", '{"a', '{"a":', "[1,", "}]", 'x{"', "nul"])
def test_the_beginning_of_json_has_tokens_too(text: str) -> None:
    assert "".join(bare(text)) == text
