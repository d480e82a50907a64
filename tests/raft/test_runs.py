"""The log in runs, compared with a list of entries."""

from __future__ import annotations

import random
from zlib import crc32

import pytest

from trioraft.raft import runs
from trioraft.raft.log import Log
from trioraft.raft.messages import Entry
from trioraft.raft.runs import Entries
from trioraft.wire.entries import parse, seal, seal_commands


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RUN_BYTES", 400)


def drawn(chance: random.Random, first: int, term: int) -> tuple[Entries, int]:
    """Draw some entries from that index on. Return them and the term of the last one."""
    entries: list[Entry] = []
    for _ in range(chance.randrange(4)):
        if chance.random() < 0.4:
            term += chance.randrange(3)
            entries.append(seal(first + len(entries), term, "noop", b"null"))
        else:
            payloads = [b'{"op":"incr","key":"%b"}' % (b"k" * chance.randrange(80)) for _ in range(chance.randrange(9))]
            entries += seal_commands(first + len(entries), term, payloads)
    return Entries.of(entries), term


@pytest.mark.parametrize("seed", range(200))
def test_the_log_holds_what_a_list_would(seed: int) -> None:
    chance = random.Random(seed)
    base = chance.choice((0, 0, 7))
    term = 3
    log, model = Log((), base, term if base else 0), dict[int, Entry]()
    base_term = log.base_term
    for _ in range(30):
        last = base + len(model)
        move = chance.random()
        if move < 0.5:
            new, term = drawn(chance, last + 1, term)
            log.append(new)
            model |= {entry.index: entry for entry in new}
        elif move < 0.65 and model:
            index = chance.randint(base + 1, last)
            log.truncate_from(index)
            model = {at: entry for at, entry in model.items() if at < index}
        elif move < 0.75 and model:
            index = chance.randint(base + 1, last)
            base_term = model[index].term
            log.compact(index)
            model = {at: entry for at, entry in model.items() if at > index}
            base = index
        last = base + len(model)
        held = list(model.values())
        assert (log.base_index, log.last_index, log.first_index) == (base, last, base + 1)
        assert log.last_term == (held[-1].term if held else base_term)
        assert list(log.slice(0, last + 5)) == held == log.slice(base + 1, last)
        first, end = sorted(chance.randint(base, last + 2) for _ in range(2))
        part = [entry for entry in held if first <= entry.index <= end]
        assert list(log.slice(first, end)) == part
        assert list(reversed(log.slice(first, end))) == part[::-1]
        assert log.slice(first, end).size == sum(len(entry.line) for entry in part)
        data = b"".join(entry.line + b"\n" for entry in part)
        assert log.slice(first, end).in_one_piece() == (data, crc32(data))
        assert all(run.crc == crc32(run.data) for run in log.slice(first, end).runs)
        assert all(log.entry(entry.index) == entry == parse(entry.line) for entry in part)
        for index in range(max(0, base - 1), last + 3):
            at = model[index].term if index in model else base_term if index == base else 0 if index == 0 else None
            assert log.term_at(index) == at
        most = chance.randrange(1000)
        given = log.slice_bytes(first, most)
        size = 0
        fitting = [one for one in held if one.index >= first and (size := size + len(one.line)) <= most]
        assert list(given) == (fitting or [one for one in held if one.index >= first][:1])
        start = chance.randint(0, len(part))
        assert log.slice(first, end)[start:] == part[start:]
        assert len(log.slice(first, end)) == len(part)
        with pytest.raises(IndexError):
            log.entry(chance.choice((base, last + 1)))


@pytest.mark.parametrize("seed", range(100))
def test_where_logs_differ_first_is_found(seed: int) -> None:
    chance = random.Random(seed)
    mine, term = drawn(chance, 1, 1)
    log = Log(mine)
    same = chance.randint(0, len(mine))
    others, _ = drawn(chance, same + 1, term + 1)
    theirs = Entries.of([*mine[:same], *(seal(one.index, one.term + 1, "noop", b"null") for one in others)])
    assert log.first_conflict(theirs) == same


def test_a_long_batch_is_several_runs_of_which_each_is_short_or_one_entry() -> None:
    payloads = [b'{"op":"incr","key":"%b"}' % (b"k" * size) for size in (1, 900, 1, 1, 1, 300, 300, 1)]
    entries = seal_commands(5, 2, payloads)
    assert [entry.index for entry in entries] == list(range(5, 13))
    assert all(run.count == 1 or len(run.data) <= 400 for run in entries.runs)
    assert 1 < len(entries.runs) < 8
