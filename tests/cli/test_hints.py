"""What helps while a line is typed: the usage that is still to come, the colours, and whether JSON goes on."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prompt_toolkit.document import Document
from trioraft_cli.hints import usage_to_come
from trioraft_cli.main import cli
from trioraft_cli.prompt_commands import COMMANDS
from trioraft_cli.tree import prompt_tree
from trioraft_cli.typed import is_open
from trioraft_cli.typing_colours import LineColours

from .test_shown import TEXTS

ROOT = prompt_tree(cli, COMMANDS)
LINES = st.builds(
    lambda words, end: " ".join(words) + end,
    st.lists(
        st.sampled_from(["put", "get", "members", "add", "--raw", "--ttl", "-", '"', "'", "{", '"a"', "|", ">", "7"])
        | TEXTS,
        max_size=5,
    ),
    st.sampled_from(["", " ", "\n", ' {"a": [1, "']),
)


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("", ""),
        ("  ", ""),
        ("pu", ""),
        ("put name", " VALUE"),
        ("put name ", "VALUE"),
        ("put 'my name' ", "VALUE"),
        ("put name v", ""),
        ("get", " KEY [--raw] [--stale]"),
        ("get k --raw ", "[--stale]"),
        ("get k --raw --st", ""),
        ("delete k --limit", " INTEGER"),
        ("delete k --limit ", "INTEGER"),
        ("incr k ", "[BY]"),
        ("members", " "),
        ("members add", " ADDRESS [--learner]"),
        ("add_member", " ADDRESS [--learner]"),
        ("lease keepalive 41 ", "LEASE..."),
        ("unlock name", " [LEASE]"),
        ("frobnicate it", ""),
        ("get k | jq", ""),
        ("get 'k", ""),
        (r"\watch 2", " COMMAND"),
        (r"\watch 2 get k", ""),
    ],
)
def test_the_usage_that_is_still_to_come(typed: str, hint: str) -> None:
    shown = usage_to_come(ROOT, typed)
    assert shown.startswith(hint)
    assert bool(shown) == bool(hint)


@given(LINES)
@example("\\")
@example("get k\x00")
def test_whatever_is_typed_has_a_hint_and_colours_and_fails_nowhere(line: str) -> None:
    hint = usage_to_come(ROOT, line)
    assert hint.isprintable()
    is_open(ROOT, line)
    document = Document(line)
    coloured = LineColours(ROOT).lex_document(document)
    assert ["".join(part[1] for part in coloured(number)) for number in range(len(document.lines))] == document.lines


@pytest.mark.parametrize(
    ("line", "styles"),
    [
        ("put k v", {"put": "class:command"}),
        ("members add x", {"members": "class:command", "add": "class:command"}),
        ("add-member x", {"add-member": "class:command"}),
        ("get get", {"get": "class:command"}),
        ("frob --raw", {"--raw": "class:option"}),
        ('get "a b"', {"get": "class:command", '"a b"': "class:string"}),
        ("get k | jq .", {"get": "class:command", "| jq .": "class:sink"}),
        ('put k {"a": [1]}', {"put": "class:command", '"a"': "class:key", "1": "class:number"}),
        ("put k true", {"put": "class:command", "true": "class:word"}),
        ("put k 1 2", {"put": "class:command"}),
    ],
)
def test_what_has_which_colour(line: str, styles: dict[str, str]) -> None:
    parts = LineColours(ROOT).lex_document(Document(line))(0)
    assert {part[1]: part[0] for part in parts if part[0]} == styles


@pytest.mark.parametrize(
    ("text", "goes_on"),
    [
        ('put k {"a":', True),
        ("put k [1,\n2,", True),
        ("put k {", True),
        ("get a\nput k {", True),
        ('put k {"a": 1}', False),
        ('put k {"a', False),
        ("put k }", False),
        ("put k hello {", False),
        ('put a {"x":\n1}\nget [a', False),
        ("get {", False),
        ("put {", False),
        ("", False),
    ],
)
def test_enter_goes_on_only_within_json(text: str, goes_on: bool) -> None:
    assert is_open(ROOT, text) == goes_on
