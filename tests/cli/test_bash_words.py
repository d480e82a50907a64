"""How a line of bash is read, and what is put into it: a key that is completed is that key again."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from trioraft_cli.bash_words import BashCursor, before_cursor, quoted

BREAKS = " \t\n\"'@><=;|&(:"
ODD = st.sampled_from(list("ab'\"\\ -{[=#$`:@!|&;()<>~*?é日😀"))


@given(st.text(ODD, min_size=1, max_size=8), st.sampled_from(["", "'", '"']))
@example("it's", "'")
def test_what_is_put_into_a_line_is_read_as_the_same_key(key: str, quote: str) -> None:
    typed = quoted(key, quote)
    if typed is not None:
        end = "" if typed.endswith(quote) else quote  # bash ends a quote only where it sees none at the end
        assert before_cursor(f"trioraft get {quote}{typed}{end} ", BREAKS).words == ["trioraft", "get", key]


@given(st.text(ODD, min_size=1, max_size=8))
def test_what_bash_keeps_begins_what_is_typed(line: str) -> None:
    at = before_cursor(line, BREAKS)
    assert at.incomplete.startswith(at.kept)


@pytest.mark.parametrize(
    ("line", "cursor"),
    [
        ("trioraft ", BashCursor(["trioraft"], "", "", "")),
        ("trioraft get a:b", BashCursor(["trioraft", "get"], "a:b", "a:", "")),
        ("trioraft get 'two w", BashCursor(["trioraft", "get"], "two w", "", "'")),
        ('trioraft get a"b c', BashCursor(["trioraft", "get"], "ab c", "a", '"')),
        (r"trioraft get two\ w", BashCursor(["trioraft", "get"], "two w", "", "")),
        ("trioraft get x@h", BashCursor(["trioraft", "get"], "x@h", "x", "")),
        ('trioraft get "" ', BashCursor(["trioraft", "get", ""], "", "", "")),
    ],
)
def test_what_stands_before_the_cursor(line: str, cursor: BashCursor) -> None:
    assert before_cursor(line, BREAKS) == cursor


@pytest.mark.parametrize(
    ("text", "quote", "typed"),
    [
        ("two words", "", r"two\ words"),
        ("two words", "'", "two words"),
        ("it's", "'", r"it'\''s"),
        ("$HOME", '"', r"\$HOME"),
        ("a!", '"', None),
        ("a\nb", "'", None),
        ("a\nb", "", r"a$'\012'b"),
        ("ends'", "'", r"ends'\'''"),
    ],
)
def test_how_a_key_is_typed(text: str, quote: str, typed: str | None) -> None:
    assert quoted(text, quote) == typed
