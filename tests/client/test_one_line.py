"""A request is one line with the given fields, whatever is in them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trioraft_cli.values import to_json

from trioraft.client.protocol import Protocol, Unsendable

BLANKS = st.text(" \t\r\n", max_size=3)
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """The value as JSON, with any blanks wherever JSON allows them."""
    match value:
        case list():
            body = "[%s]" % (",".join(draw(written(item)) for item in value) or draw(BLANKS))
        case dict():
            fields = (f"{draw(written(name))}:{draw(written(item))}" for name, item in value.items())
            body = "{%s}" % (",".join(fields) or draw(BLANKS))
        case _:
            body = json.dumps(value, ensure_ascii=draw(st.booleans()))
    return draw(BLANKS) + body + draw(BLANKS)


def fields_of(line: bytes) -> dict[str, Any]:
    """Read a request as a node does; it must be one line, with one field of each name."""
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    pairs: list[tuple[str, Any]] = json.loads(line, object_pairs_hook=list)
    assert len(dict(pairs)) == len(pairs)
    fields: dict[str, Any] = json.loads(line)
    return fields


@given(TEXT, JSON_VALUES.flatmap(lambda value: st.tuples(st.just(value), written(value))))
def test_any_value_with_any_blanks_is_sent_in_one_line_and_is_the_same_value(
    key: str, value_and_text: tuple[Any, str]
) -> None:
    value, text = value_and_text
    for raw in (to_json(text), msgspec.Raw(text.encode())):
        fields = fields_of(Protocol().send({"op": "put", "key": key, "value": raw}))
        assert fields == {"id": 1, "op": "put", "key": key, "value": value}


@given(TEXT, JSON_VALUES)
def test_any_value_of_python_is_sent_in_one_line(key: str, value: Any) -> None:
    assert fields_of(Protocol().send({"op": "put", "key": key, "value": value}))["value"] == value


def test_blanks_become_spaces_and_the_rest_of_a_value_stays_byte_for_byte() -> None:
    assert bytes(to_json('\n[\r\n1.50,\t"a\\nb",\n1e2]\r\n')) == b'[  1.50,\t"a\\nb", 1e2]'


@pytest.mark.parametrize(
    "fields",
    [
        {"value": msgspec.Raw(b'1}\n{"op":"delete","key":"victim"')},
        {"value": msgspec.Raw(b'1,"op":"delete","key":"victim"')},
        {"value": [msgspec.Raw(b'1]}\n{"op":"delete","key":"victim"')]},
        {"value": msgspec.Raw(b'"a\nb"')},
        {"value": msgspec.Raw(b"")},
        {"value": msgspec.Raw(b'"\xff"')},
        {"key": "\udcff"},
        {"key": {"\udcff": 1}},
        {"value": print},
        {"id": 7},
        {1: 1},
    ],
)
def test_what_is_no_request_is_refused_with_words_and_takes_no_reply_from_another(fields: dict[Any, Any]) -> None:
    protocol = Protocol()
    with pytest.raises(Unsendable):
        protocol.send({"op": "put", **fields})
    protocol.send({"op": "ping"})
    assert len(protocol.receive(b'{"id":1,"ok":true}\n')) == 1


def test_line_ends_in_raw_parts_at_any_depth_are_blanks() -> None:
    line = Protocol().send({"op": "put", "value": {"a": [msgspec.Raw(b"[\n1\n]")]}, "key": msgspec.Raw(b'\n"k"\n')})
    assert fields_of(line) == {"id": 1, "op": "put", "value": {"a": [[1]]}, "key": "k"}
