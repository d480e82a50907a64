"""Sessions: each write is applied once, by the log alone; held to a model that forgets nothing."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.stores import contents_of
from trioraft.key_values import key_value_machine
from trioraft.kv.commands import Command, Delete, Incr, Put
from trioraft.kv.results import Conflict, Counted
from trioraft.machine import Machine, MachineView
from trioraft.raft.runs import Entries
from trioraft.replica.exactly_once import OUTCOME_OVERHEAD, Bounds, Sessions
from trioraft.replica.replicated import Replicated
from trioraft.wire.cluster_commands import (
    Closed,
    CloseSession,
    Once,
    Opened,
    OpenSession,
    RaiseLevel,
    Replayed,
    SessionRefused,
)
from trioraft.wire.codec import encode
from trioraft.wire.commands import UnknownCommand, decode_command, encode_commands
from trioraft.wire.entries import seal_commands
from trioraft.wire.results import decode_outcome, encode_outcome

COUNTED = Counted(1_234_567, 1_234_567)
SMALL = Bounds(sessions=3, bytes=5 * (OUTCOME_OVERHEAD + 30), recent=6, window=4)


def machine_of(bounds: Bounds = SMALL) -> Replicated:
    """An empty key-value store with sessions, at level 2."""
    machine = Replicated(key_value_machine().machine, encode_outcome, decode_outcome, bounds)
    machine.raise_level(2, 0)
    return machine


def once(session: int, seq: int, command: Command, acked: int = 0) -> Once:
    return Once(session, seq, msgspec.Raw(encode(command)), acked)


def put(key: str, value: int, if_rev: int | None = None) -> Put:
    return Put(key, msgspec.Raw(b"%d" % value), if_rev)


def apply(machine: Machine, index: int, command: Any) -> Any:
    return machine.apply(index, [command]).get(index)


def lines_of(view: MachineView, slice: int = 2) -> dict[str, list[bytes]]:
    """The lines of a view by section; it is closed."""
    lines = b"".join(data for data, _ in view.slices(slice, 1000)).splitlines()
    view.close()
    remaining = iter(lines)
    sections = {name: list(itertools.islice(remaining, count)) for name, count in view.sections.items()}
    assert next(remaining, None) is None
    return sections


def loaded(lines: dict[str, list[bytes]]) -> Replicated:
    machine = Replicated(key_value_machine().machine, encode_outcome, decode_outcome, SMALL)
    for section, some in lines.items():
        machine.load(section, some)
    return machine


class Model:
    """What is to come of each entry, told from all entries so far."""

    def __init__(self) -> None:
        self.store = key_value_machine().machine
        self.sessions: dict[int, dict[int, tuple[bytes, int, Any]]] = {}
        """For each session that is open: of each number its command, its entry and its result."""
        self.floors: dict[int, int] = {}
        self.used: dict[int, int] = {}

    def apply(self, index: int, command: Any) -> Any:
        match command:
            case OpenSession():
                return self._open(index)
            case CloseSession(session):
                self._drop(session)
                return Closed()
            case Once():
                return self._once(index, command)
        return apply(self.store, index, command)

    def _open(self, index: int) -> Any:
        if len(self.sessions) == SMALL.sessions:
            oldest = self._longest_unused()
            if index - self.used[oldest] < SMALL.recent:
                return "overloaded"
            self._drop(oldest)
        self.sessions[index], self.floors[index], self.used[index] = {}, 0, index
        return Opened(index)

    def _once(self, index: int, once: Once) -> Any:
        session, seq = once.session, once.seq
        if session not in self.sessions:
            return "session_expired"
        self.used[session] = index
        self.floors[session] = max(self.floors[session], once.acked)
        if seq <= self.floors[session]:
            return "seq_too_old"
        content = bytes(once.command)
        if seq in self.sessions[session]:
            first, entry, result = self.sessions[session][seq]
            return Replayed(entry, result) if first == content else "seq_reused"
        result = apply(self.store, index, decode_command(content))
        self.sessions[session][seq] = content, index, result
        self.floors[session] = max(self.floors[session], seq - SMALL.window)
        while self.bytes > SMALL.bytes:
            self._drop(self._longest_unused())
        return result

    @property
    def bytes(self) -> int:
        """What is remembered, as it is reckoned."""
        return sum(
            OUTCOME_OVERHEAD + (0 if result is None else len(encode_outcome(result)))
            for session, outcomes in self.sessions.items()
            for seq, (_, _, result) in outcomes.items()
            if seq > self.floors[session]
        )

    def _longest_unused(self) -> int:
        return min(self.sessions, key=self.used.__getitem__)

    def _drop(self, session: int) -> None:
        for one in (self.sessions, self.floors, self.used):
            one.pop(session, None)


def as_remembered(result: Any) -> Any:
    """A result, or the code of a refusal; of a conflict that is replayed not the value."""
    if isinstance(result, SessionRefused):
        assert result.applied == ("no" if result.code in ("overloaded", "seq_reused") else "unknown")
        return result.code
    if isinstance(result, Replayed) and isinstance(result.result, Conflict):
        return Replayed(result.index, msgspec.structs.replace(result.result, value=None))
    return result


KEYS = st.sampled_from("ab")
COMMANDS = st.one_of(
    st.builds(put, KEYS, st.integers(0, 1), st.sampled_from((None, None, 0, 3))),
    st.builds(Incr, KEYS),
    st.builds(Delete, KEYS),
)
SESSIONS = st.sampled_from((*[1, 2, 3] * 4, *range(4, 13)))
"""Mostly those that are open at first: numbers that meet again are what this is about."""
NUMBERS = st.sampled_from((*[1, 2, 3] * 3, *range(4, 13)))
ENTRIES = st.one_of(
    st.builds(OpenSession),
    st.builds(CloseSession, SESSIONS),
    COMMANDS,
    *[st.builds(once, SESSIONS, NUMBERS, COMMANDS, st.sampled_from((0, 0, 0, 0, 0, 1, 3, 9)))] * 6,
)
FEW_AT_FIRST = [OpenSession(), OpenSession(), OpenSession()]


@given(st.lists(ENTRIES, min_size=20, max_size=60), st.integers(0, 60), st.integers(0, 30), st.integers(1, 8))
def test_every_write_is_applied_once_and_a_snapshot_at_any_moment_goes_on_alike(
    entries: list[Any], frozen_at: int, read_after: int, together: int
) -> None:
    log = FEW_AT_FIRST + entries
    model, machine = Model(), machine_of()
    view: MachineView | None = None
    for begin in range(0, len(log), together):  # a block at a time, as a node applies them
        if view is None and begin >= frozen_at:
            view, at = machine.freeze(), begin
        results = machine.apply(begin + 1, log[begin : begin + together])
        for index, command in enumerate(log[begin : begin + together], begin + 1):
            right = model.apply(index, command)
            assert as_remembered(results.get(index)) == as_remembered(right), (index, command)
        assert machine.sessions.bytes == model.bytes
        if view is not None and begin >= at + read_after:
            break
    if view is None:
        return
    before = machine_of()
    before.apply(1, log[:at])
    lines = lines_of(view)
    assert lines == lines_of(before.freeze())
    again = loaded(lines)
    assert again.sessions.bytes == before.sessions.bytes
    for index, command in enumerate(log[at:], at + 1):
        assert apply(again, index, command) == apply(before, index, command)
    assert contents_of(again) == contents_of(before)
    assert lines_of(again.freeze()) == lines_of(before.freeze())


@given(st.lists(ENTRIES, max_size=20))
def test_what_a_follower_reads_from_its_log_is_what_the_node_that_was_asked_holds(entries: list[Any]) -> None:
    machine = machine_of()
    [run] = seal_commands(7, 3, encode_commands(entries)).runs if entries else [None]
    if run is not None:
        assert machine.decode(run) == entries
        for command in entries:
            assert machine.decode_one(encode(command)) == command


def test_a_retry_gets_the_first_answer_also_where_much_has_happened_since() -> None:
    machine = machine_of()
    apply(machine, 1, OpenSession())
    assert apply(machine, 2, once(1, 1, Incr("n", 5))) == Counted(5, 2)
    assert apply(machine, 3, once(1, 2, put("n", 1))) is None
    assert apply(machine, 4, once(1, 1, Incr("n", 5))) == Replayed(2, Counted(5, 2))
    assert apply(machine, 5, once(1, 2, put("n", 1))) == Replayed(3, None)
    assert machine.read("n").rev == 3


def test_another_write_under_a_known_number_is_refused() -> None:
    machine = machine_of()
    apply(machine, 1, OpenSession())
    assert apply(machine, 2, once(1, 1, Incr("n", 5))) == Counted(5, 2)
    for another in (Incr("n", 6), Incr("m", 5), Delete("n")):
        refused = apply(machine, 3, once(1, 1, another))
        assert (refused.code, refused.applied) == ("seq_reused", "no")
    assert machine.read("n").rev == 2


def test_a_refusal_by_the_state_is_an_outcome_and_is_remembered() -> None:
    machine = machine_of()
    apply(machine, 1, OpenSession())
    apply(machine, 2, put("k", 1))
    refused = apply(machine, 3, once(1, 1, put("k", 2, if_rev=0)))
    assert isinstance(refused, Conflict)
    apply(machine, 4, Delete("k"))
    again = apply(machine, 5, once(1, 1, put("k", 2, if_rev=0)))
    assert again == Replayed(3, msgspec.structs.replace(refused, value=None))
    assert machine.read("k") is None


def test_the_floor_is_exact() -> None:
    machine = machine_of()
    apply(machine, 1, OpenSession())
    apply(machine, 2, once(1, 10, Incr("n")))
    assert apply(machine, 3, once(1, 10 - SMALL.window, Incr("n"))).code == "seq_too_old"
    assert apply(machine, 4, once(1, 10 - SMALL.window + 1, Incr("n"))) == Counted(2, 4)
    assert apply(machine, 5, once(1, 10, Incr("n"), acked=9)) == Replayed(2, Counted(1, 2))
    assert apply(machine, 6, once(1, 9, Incr("n"))).code == "seq_too_old"
    assert apply(machine, 7, once(1, 10, Incr("n"), acked=10)).code == "seq_too_old"
    assert machine.sessions.bytes == 0


def test_who_was_used_last_stays_and_none_goes_that_was_used_just_now() -> None:
    machine = machine_of()
    for index in (1, 2, 3):
        apply(machine, index, OpenSession())
    apply(machine, 4, once(1, 1, Incr("n")))
    refused = apply(machine, 7, OpenSession())
    assert (refused.code, refused.applied) == ("overloaded", "no")
    assert apply(machine, 8, OpenSession()) == Opened(8)
    assert apply(machine, 9, once(2, 1, Incr("n"))).code == "session_expired"
    assert apply(machine, 10, once(1, 1, Incr("n"))) == Replayed(4, Counted(1, 4))


def test_at_level_1_a_snapshot_is_as_nodes_of_before_read_it() -> None:
    machine = key_value_machine()
    machine.apply(1, [put("k", 1)])
    assert lines_of(machine.freeze()) == {"keys": [b'{"key":"k","value":1,"rev":1,"created":1,"version":1}']}
    machine.apply(2, [RaiseLevel(2), OpenSession()])
    assert machine.level == machine.machine.level == 2
    lines = lines_of(machine.freeze())
    assert lines["cluster"] == [b'{"level":2}']
    assert lines["sessions"] == [b'{"session":3,"used":3,"highest":0,"acked":0,"outcomes":[]}']
    assert loaded(lines).level == 2


@pytest.mark.parametrize(
    "command",
    [
        b'{"op":"raise_level","level":3}',
        b'{"op":"once","session":1,"seq":1,"command":{"op":"append","key":"k"}}',
        b'{"op":"once","session":1,"seq":1,"command":{"op":"incr","key":"k"},"until":3}',
        b'{"op":"append","key":"k"}',
    ],
)
def test_a_command_of_a_newer_version_is_refused_wherever_it_stands(command: bytes) -> None:
    machine = machine_of()
    apply(machine, 1, OpenSession())
    run = Entries.of(seal_commands(5, 1, [encode(put("k", 1)), command])).runs[0]
    with pytest.raises(UnknownCommand, match="upgrade this node"):
        machine.decode_one(command)
    with pytest.raises(UnknownCommand, match="upgrade this node"):
        machine.apply(5, machine.decode(run))


def test_the_new_cluster_knows_no_session_of_the_old_one() -> None:
    machine = machine_of()
    apply(machine, 1, OpenSession())
    apply(machine, 2, once(1, 1, Incr("n")))
    machine.renounce(10**12)
    assert len(machine.sessions) == machine.sessions.bytes == 0
    assert machine.read("n").rev == 2


def test_memory_follows_what_is_reckoned() -> None:
    """So that the bound on outcomes is one on memory."""
    sessions = Sessions(encode_outcome, decode_outcome)
    for index in range(1, 11):
        sessions.open(index)
    attempts = [once(1 + number // 1000, 1 + number % 1000, Incr("n")) for number in range(10_000)]
    tracemalloc.start()
    for index, attempt in enumerate(attempts, 1_000_000):
        sessions.apply(index, attempt, lambda: COUNTED)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.6 < used / sessions.bytes < 1.1
