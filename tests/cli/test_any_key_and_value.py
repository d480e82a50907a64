"""Any key and any value: completed, typed, parsed, stored and shown at the prompt, it is the same key and value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.shell_completion import CompletionItem
from hypothesis import assume, example, given
from hypothesis import strategies as st
from trioraft_cli import candidates
from trioraft_cli.completion import offers
from trioraft_cli.words import next_word, quote

from ..helpers.prompts import asked_by
from .test_typed_and_stored import JSON, TEXTS, Both

SIGNS = st.sampled_from(
    [" | ", " > ", " >> ", " , ", " -- ", "-", "|", ">", "'", '"', "\\", "{", "[1", "=", ",", "--", ":", " "]
)
KEYS = st.lists(TEXTS | SIGNS, min_size=1, max_size=4).map("".join)
VALUES = st.recursive(
    JSON | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)
FORMS = st.sampled_from(["as shown", "as JSON", "in single quotes", "plain"])


def beginning(key: str, form: str, cut: int) -> str:
    """The key as somebody begins to type it."""
    begun = {
        "as shown": json.dumps(key, ensure_ascii=False)[: cut + 1],
        "as JSON": json.dumps(key)[: cut + 1],
        "in single quotes": f"'{key[:cut]}",
        "plain": key[:cut],
    }
    return begun[form]


def completed(both: Both, text: str, key: str) -> str | None:
    """The line to which the text is completed with that key; None where the key is not offered."""

    def keys(_: Any, begins: str) -> list[CompletionItem[str]]:
        rows = both.node.call("scan", prefix=begins)
        found = [row["key"] for row in json.loads(rows.line)["items"]]
        return candidates._items(begins, ((one, "") for one in found))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trioraft_cli.arguments.KEY._find", keys)
        patch.setattr("trioraft_cli.arguments.PREFIX._find", keys)
        for offer in offers(both.prompt, text):
            if offer.text == quote(key):
                return text[: len(text) + offer.start] + offer.text
    return None


@given(KEYS, VALUES, FORMS, st.integers(0, 6), st.booleans())
@example("it's", {"a | b": "c > d , e -- f"}, "in single quotes", 2, True)
@example("-x", "-", "as JSON", 0, False)
@example('a"b', {"x": " > y"}, "plain", 1, True)
@example("|", "| jq", "as shown", 0, False)
@example(",", [" , "], "as JSON", 1, False)
def test_any_key_and_any_value_go_through_the_prompt_unchanged(
    key: str, value: Any, form: str, cut: int, escaped: bool
) -> None:
    both = Both()
    both.node.call("put", key=key, value=0)
    typed = json.dumps(value, ensure_ascii=escaped)
    line = completed(both, f"put {beginning(key, form, cut)}", key)
    assume(line is not None)
    assert line is not None
    both.types(f"{line} {typed}")
    item = both.node.item(key)
    assert json.loads(item.value) == value
    assert json.loads(both.types(line.replace("put ", "get ", 1))) == value
    [row] = both.types(line.replace("put ", "scan ", 1)).splitlines()[1:]
    assert next_word(row)[0] == key
    in_txn = completed(both, f"txn value {beginning(key, 'as JSON', min(cut, len(key)))}", key)
    assert in_txn is not None
    asked = asked_by(f"{in_txn} = {typed} -- put{in_txn.removeprefix('txn value')} {typed} , get a")
    assert asked is not None
    assert [check["key"] for check in asked["checks"]] == [key]
    assert [one["key"] for one in asked["then"]] == [key, "a"]
    assert [json.loads(bytes(asked[part][0]["value"])) for part in ("checks", "then")] == [value, value]


@given(KEYS, KEYS.filter(lambda text: text == text.strip()))
def test_any_text_is_a_value_that_comes_back(key: str, text: str) -> None:
    """What does not read as JSON is a string, whatever signs are in it."""
    try:
        json.loads(text)
    except ValueError:
        both = Both()
        both.types(f"put {json.dumps(key)} {text}")
        assert json.loads(both.types(f"get {json.dumps(key)}")) == text
