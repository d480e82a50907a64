from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from trioraft.kv.bounds import MAX_INTEGER
from trioraft.kv.commands import Delete, Incr, Put
from trioraft.kv.items import LARGE_VALUE
from trioraft.kv.results import Conflict, Counted, Deleted, Result, Written
from trioraft.kv.store import Store

Single = Put | Delete | Incr
KEYS = st.sampled_from(["", "a", "aa", "ab", "b", "é", "😀"])
LARGE = [b'"%b"' % (b"x" * (size - 2)) for size in (LARGE_VALUE - 1, LARGE_VALUE, 2 * LARGE_VALUE)]
NUMBERS = [b"0", b"7", b"-12", b"%d" % MAX_INTEGER, b"%d" % (MAX_INTEGER + 1)]
VALUES = st.sampled_from([*NUMBERS, b'"x"', b"1.0", b"true", *LARGE])
REVISIONS = st.none() | st.integers(0, 12)
COMMANDS = st.lists(
    st.builds(lambda key, value, rev: Put(key, msgspec.Raw(value), rev), KEYS, VALUES, REVISIONS)
    | st.builds(Delete, KEYS, REVISIONS)
    | st.builds(Incr, KEYS, st.sampled_from([1, -1, 5, MAX_INTEGER, -MAX_INTEGER]))
)


class Model:
    """A model of the store, as plain as possible."""

    def __init__(self) -> None:
        self.items: dict[str, tuple[bytes, int, int, int]] = {}

    def apply(self, index: int, command: Single) -> tuple[object, ...]:
        old = self.items.get(command.key)
        rev = old[1] if old else 0
        if not isinstance(command, Incr) and command.if_rev not in (None, rev):
            return ("conflict", rev, old[0] if old else None)
        if isinstance(command, Delete):
            return ("deleted", 1, index) if self.items.pop(command.key, None) else ("deleted", 0, 0)
        value = bytes(command.value) if isinstance(command, Put) else b""
        if isinstance(command, Incr):
            text = old[0].decode() if old else "0"
            if not text.removeprefix("-").isdigit() or abs(int(text)) > MAX_INTEGER:
                return ("conflict", rev, old[0] if old else None)
            total = int(text) + command.by
            if abs(total) > MAX_INTEGER:
                return ("conflict", rev, old[0] if old else None)
            value = str(total).encode()
        self.items[command.key] = (value, index, old[2] if old else index, old[3] + 1 if old else 1)
        return ("counted", int(value), index) if isinstance(command, Incr) else ("written", index)


def plain(result: Result) -> tuple[object, ...]:
    match result:
        case Written(rev):
            return ("written", rev)
        case Deleted(deleted, rev):
            return ("deleted", deleted, rev)
        case Counted(value, rev):
            return ("counted", value, rev)
        case Conflict(_, _, rev, value):
            return ("conflict", rev, value)
    raise TypeError(result)


@given(COMMANDS, KEYS, st.none() | KEYS, st.integers(1, 5))
def test_the_store_does_what_its_plain_model_does(
    commands: list[Single], prefix: str, after: str | None, limit: int
) -> None:
    store, model = Store(), Model()
    others = {}
    for index, command in enumerate(commands, 1):
        result = command.apply(store, index)
        assert plain(result) == model.apply(index, command)
        if result != Written(index):
            others[index] = result
    for key in ["", "a", "aa", "ab", "b", "é", "😀"]:
        item = store.get(key)
        assert (item and (item.value, item.rev, item.created, item.version)) == model.items.get(key)
        assert store.value_size(key) == (len(item.value) if item else 0)
    together = Store()
    assert together.apply_all(1, commands) == others
    assert together.scan("", None, 100, 10**6) == store.scan("", None, 100, 10**6)
    wanted = [key for key in sorted(model.items) if key.startswith(prefix) and (after is None or key > after)]
    found, more = store.scan(prefix, after, limit, 10**6)
    assert [key for key, _ in found] == wanted[:limit]
    assert more == (len(wanted) > limit)


def test_a_large_value_is_not_copied_for_those_who_read_it() -> None:
    store = Store()
    store.apply_all(1, [Put("a", msgspec.Raw(LARGE[0])), Put("a", msgspec.Raw(LARGE[1]))])
    first, second = store.get("a"), store.get("a")
    assert first is not None
    assert second is not None
    assert first.value is second.value


def test_a_scan_is_bounded_in_bytes_but_gives_one_item_in_any_case() -> None:
    store = Store()
    for index, key in enumerate("abc", 1):
        Put(key, msgspec.Raw(b'"%b"' % (b"x" * 100))).apply(store, index)
    assert [key for key, _ in store.scan("", None, 10, 250)[0]] == ["a", "b"]
    assert [key for key, _ in store.scan("", None, 10, 1)[0]] == ["a"]
    assert store.scan("", None, 10, 1)[1]
    assert [key for key, _ in store.scan("", None, 10, 2, keys_only=True)[0]] == ["a", "b"]
    assert store.scan("", None, 10, 3, keys_only=True)[1] is False
