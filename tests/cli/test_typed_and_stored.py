"""Keys and values from typing to the store and back, at the prompt and on the command line: they stay the same."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Self

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from trioraft_cli import asking, main
from trioraft_cli.asking import Asker
from trioraft_cli.lines import run_line
from trioraft_cli.outcomes import NO, conclude
from trioraft_cli.typed import PromptError, is_remark, read_line, split_commands
from trioraft_cli.values import NotText, is_json, to_json
from trioraft_cli.words import quote

from trioraft.addresses import Address
from trioraft.client import Refused, Reply
from trioraft.client.protocol import Protocol
from trioraft.kv.commands import Delete, Incr, Put
from trioraft.kv.items import Item
from trioraft.kv.queries import Page
from trioraft.kv.store import Store
from trioraft.wire import operations
from trioraft.wire.parsing import parse_request
from trioraft.wire.replies import Reply as Answer
from trioraft.wire.replies import as_of, get_reply, result_reply, scan_reply

from ..helpers.prompts import ROOT, asked_by, prompt_of

ODD = st.sampled_from(list("ab'\"\\ \t\n\r\x1b\x7f\x9b-{[,:]}=#$`é日😀\u00a0\u2028\u202e\ufeff"))
TEXTS = st.text(ODD | st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
VALUES = TEXTS | st.builds(
    lambda value, indent, escaped: json.dumps(value, indent=indent, ensure_ascii=escaped),
    JSON,
    st.sampled_from([None, 0, 1]),
    st.booleans(),
)
NOBODY = [Address("nobody", 1)]


class Node:
    """A node in memory that reads lines like any other; it stands in for a client."""

    def __init__(self, *_: object) -> None:
        self.store = Store()
        self.index = 0
        self.address = NOBODY[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def call(self, op: str, **fields: Any) -> Reply:
        given = {name: value for name, value in fields.items() if value is not None}
        line = Protocol().send({"op": op, **given})
        assert line.index(b"\n") == len(line) - 1
        answer = self._answer(parse_request(line[:-1]))
        reply = Reply(answer if isinstance(answer, bytes) else b"".join(answer))
        if not reply.ok:
            raise Refused(reply)
        return reply

    def _answer(self, request: Any) -> Answer:
        match request:
            case operations.Get() | operations.PlainGet():
                return get_reply(request.id, self.store.get(request.key), as_of(self.index))
            case operations.Scan():
                found = self.store.scan(request.prefix, request.after, request.limit, 10**6, request.keys_only)
                return scan_reply(request.id, Page(*found, request.keys_only), as_of(self.index))
            case operations.PlainPut():
                command: Put | Delete | Incr = Put(request.key, request.value)
            case operations.Put():
                command = Put(request.key, request.value, request.if_rev)
            case operations.Delete():
                assert request.key is not None  # nobody types a prefix here
                command = Delete(request.key, request.if_rev)
            case operations.Incr():
                command = Incr(request.key, request.by)
        self.index += 1
        return result_reply(msgspec.Raw(bytes(request.id)), command.apply(self.store, self.index))

    def item(self, key: str) -> Item:
        item = self.store.get(key)
        assert item is not None
        return item


class At(Asker):
    """Asks that node."""

    def __init__(self, node: Node) -> None:
        super().__init__(NOBODY)
        self._node = node

    def with_client(self, work: Callable[[Any], Any]) -> Any:
        return work(self._node)


class Both:
    """The prompt and the command line of one node."""

    def __init__(self) -> None:
        self.node = Node()
        self.prompt = prompt_of(At(self.node))

    def types(self, line: str) -> str:
        """The output to a pipe of a line typed at the prompt."""
        with printing() as out:
            assert run_line(self.prompt, line) == 0
        return out.getvalue()

    def calls(self, *words: str, code: int = 0) -> str:
        """The output to a pipe of the command with these arguments."""
        options, words = (*words[:1], "--connect", "nobody:1"), words[1:]
        with pytest.MonkeyPatch.context() as patch, printing() as out:
            patch.setattr(asking, "Client", lambda *_: self.node)
            patch.setattr("sys.argv", ["trioraft", *options, *words])
            assert conclude(main.command_line) == code
        return out.getvalue()


@contextlib.contextmanager
def printing() -> Iterator[Printed]:
    out = Printed()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        yield out


class Printed(io.TextIOWrapper):
    """A standard output that is a pipe, in UTF-8."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, "utf-8", newline="")

    def getvalue(self) -> str:
        self.flush()
        return self.bytes.getvalue().decode()


def ways_to_type(key: str) -> list[str]:
    """Draw one of the ways to type that key."""
    ways = [quote(key), json.dumps(key), json.dumps(key, ensure_ascii=False)]
    if "'" not in key:
        ways.append(f"'{key}'")
    if key[0] not in "\"'-|>" and not any(sign.isspace() for sign in key):
        ways.append(key)
    return ways


def one_value(text: str) -> str:
    """The text as the prompt reads it: without blanks around it."""
    return text.strip()


@given(TEXTS, VALUES)
@example("it's", '{"op": "delete",\n"key": "victim"}')
@example('"', "'")
@example("--force", "-5")
@example("a\nb", '"\\u0000"')
def test_what_is_typed_at_the_prompt_is_what_is_stored_and_what_is_shown_can_be_typed(key: str, value: str) -> None:
    value = one_value(value)
    assume(value)
    for typed in ways_to_type(key):
        both = Both()
        both.types(f"put {typed} {value}")
        stored = both.node.item(key).value.decode()
        assert json.loads(stored) == (json.loads(value) if is_json(value) else value)
        for again in ways_to_type(key):
            assert both.types(f"get {again}") == stored + "\n"
        [row] = both.types(f"scan {typed}").splitlines()[1:]
        assert asked_by(f"get {row[: len(quote(key))]}") == {"op": "get", "key": key}
        both.types(f"put {typed} {stored}")
        assert both.node.item(key).value.decode() == stored
        both.types(f"delete {typed}")
        assert both.types(f"incr {typed} 5") == "5\n"
        assert both.node.item(key).value == b"5"
        assert len(both.node.store) == 1


@given(TEXTS, VALUES)
@example("-x", "-")
@example("--if-rev", "--string")
@example("-", "1")
def test_the_command_line_and_the_prompt_mean_the_same_key_and_value(key: str, value: str) -> None:
    assume(value != "-")  # standard input
    both = Both()
    both.calls("put", "--", key, value)
    item = both.node.item(key)
    assert json.loads(item.value) == (json.loads(value) if is_json(value) else value)
    assert both.calls("get", "--", key) == both.types(f"get {quote(key)}") == f"{item.value.decode()}\n"
    [line] = both.calls("scan", "--keys-only", "--", key).splitlines()
    assert (json.loads(line) if line[0] == '"' else line) == key
    assert both.calls("put", "--if-rev", "0", "--", key, value, code=1) == ""
    both.calls("put", "--if-rev", str(item.rev), "--", key, "41")
    assert both.calls("incr", "--", key) == "42\n"
    assert both.types(f"get {quote(key)}") == "42\n"
    both.calls("delete", "--", key)
    assert len(both.node.store) == 0


def test_what_there_is_no_more_of_is_a_no_in_both_and_what_there_is_more_of_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    both = Both()
    for line in ("delete a", "get a", 'delete "two words"'):
        assert run_line(both.prompt, line) == NO
        assert both.calls(*line.replace('"two words"', "two").split(), code=NO) == ""
    assert capsys.readouterr().out == ""
    for key in ("a", "b c"):
        both.node.call("put", key=key, value="x" * 600_000)
    assert run_line(both.prompt, "scan") == 0
    assert "there are more than 1 key: go on with --after a\n" in capsys.readouterr().err


@given(st.text(ODD | st.characters(categories=["Cs"])), st.sampled_from(["put k ", "get ", "put k [", ""]))
def test_what_is_no_text_is_refused_with_words_and_nothing_else_is_raised(text: str, before: str) -> None:
    line = before + text
    lines = split_commands(ROOT, line)
    kept = "\n".join(part for part in re.split(r"[\r\n]+", line) if not is_remark(part))
    assert [part for part in "\n".join(lines) if not part.isspace()] == [part for part in kept if not part.isspace()]
    with contextlib.suppress(PromptError):
        read_line(ROOT, line)
        line.encode()
    with contextlib.suppress(NotText):
        assert json.loads(bytes(to_json(text, string=True))) == text
        text.encode()
