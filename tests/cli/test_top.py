"""What `top` shows: figures, the strips of the logs, and the picture at any size, from what nodes say."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from trioraft_cli.outcomes import NO_NODE, NOT_NOW
from trioraft_cli.render import LogRow
from trioraft_cli.status import NodeStatus
from trioraft_cli.top_log import MOST_CELLS, LogTail, letter_of, ruler
from trioraft_cli.top_poll import Answer, Figures, Poll, Seen
from trioraft_cli.top_rows import cluster_of, shown
from trioraft_cli.top_view import count, duration, picture, size

from trioraft.addresses import Address
from trioraft.wire.codec import decode, encode

from ..helpers.fake_nodes import fake_nodes
from .conftest import Call


def at(node: int) -> Address:
    return Address("10.0.0.1", 8000 + node)


def entries(terms: str, first: int = 1, commit: int = 1_000_000) -> list[LogRow]:
    """A row for each letter, the term of which it stands for."""
    return [
        LogRow(index, ord(letter) - ord("a") + 1, encode({"op": "put", "key": f"k{index}"}), index <= commit, False)  # type: ignore[arg-type]
        for index, letter in enumerate(terms, first)
    ]


def strip(log: LogTail, first: int, last: int) -> str:
    return "".join(cell.sign for cell in log.cells(first, last))


# The strips


def test_a_capital_is_committed_and_a_small_letter_is_not() -> None:
    log = LogTail()
    log.take(1, 6, 4, entries("aabbbc", commit=4), 0)
    assert strip(log, 0, 8) == " AABBbc  "


def test_what_a_snapshot_covers_is_a_dot() -> None:
    log = LogTail()
    log.take(4, 6, 6, entries("bbb", 4), 0)
    assert strip(log, 1, 6) == "...BBB"


def test_an_entry_that_was_truncated_is_marked_for_a_while() -> None:
    log = LogTail()
    log.take(1, 5, 2, entries("aabbb", commit=2), 0)
    log.take(1, 3, 3, entries("c", 3, commit=3), 1)
    assert strip(log, 1, 5) == "AAC!!"
    log.take(1, 3, 3, [], 9)
    assert strip(log, 1, 5) == "AAC  "


def test_what_is_committed_is_not_asked_for_again() -> None:
    log = LogTail()
    assert log.wanted(5) == 5
    assert log.wanted(10_000) == MOST_CELLS
    log.take(1, 5, 3, entries("aabbb", commit=3), 0)
    assert log.wanted(5) == 2
    assert log.wanted(9) == 6
    log.take(1, 9, 9, entries("bbbbbb", 4), 1)
    assert log.wanted(9) == 0
    assert strip(log, 1, 9) == "AABBBBBBB"
    assert log.wanted(4) == 4, "a log that is shorter than it was may be another"


def test_entries_that_a_reply_had_no_room_for_are_not_known() -> None:
    log = LogTail()
    log.take(1, 9, 9, entries("b", 9), 0)
    assert strip(log, 7, 9) == "??B"


def test_a_log_that_grows_is_kept_in_bounds() -> None:
    log = LogTail()
    for begin in range(1, 5000, 100):
        log.take(1, begin + 99, begin + 99, entries("a" * 100, begin), begin)
    assert len(log.terms) == len(log.commands) == MOST_CELLS


def test_letters_begin_anew_after_z() -> None:
    assert [letter_of(term) for term in (1, 26, 27)] == ["a", "z", "a"]


@pytest.mark.parametrize(
    ("first", "last", "line"),
    [
        (1, 5, ""),
        (1, 11, "         10"),
        (8, 31, "  10        20        30"),
        (8, 30, "  10        20"),
        (1000, 1020, "1000      1010"),
        (99_999_999_995, 100_000_000_025, "     100000000000"),
    ],
)
def test_the_ruler_names_tens_where_there_is_room(first: int, last: int, line: str) -> None:
    assert ruler(first, last) == line


# The figures


def status(node: int, leader: int | None, *, members: int = 3, last: int = 5, **more: Any) -> NodeStatus:
    role = "leader" if leader == node else "follower"
    fields = {"node": node, "role": role, "term": 2, "leader": leader, "commit_index": last, "last_applied": last}
    rows = [{"id": member, "address": str(at(member)), "role": "voter"} for member in range(members)]
    return decode(encode({**fields, "first_index": 1, "last_index": last, "members": rows, **more}), NodeStatus)


def seen(node: int, answer: NodeStatus | str, now: float = 10.0, terms: str = "aabbb", **figures: Any) -> Seen:
    """A node that was asked once."""
    one = Seen(at(node))
    tell(one, answer, now, terms, **figures)
    return one


def tell(one: Seen, answer: NodeStatus | str, now: float, terms: str = "", **figures: Any) -> None:
    if isinstance(answer, str):
        one.take(answer, now)
    else:
        one.take(Answer(answer, decode(encode(figures), Figures), entries(terms, commit=answer.commit_index), now), now)


def whole() -> list[Seen]:
    """Three nodes, of which the third is silent."""
    heard: dict[str, Any] = {"peer_heard_ms": {"1": 40, "2": 7000}, "peer_lag_entries": {"1": 0, "2": 3}}
    syncs = {"count": 4, "sum": 0.008, "recent": 0.002}
    return [
        seen(0, status(0, 0), log_sync_seconds=syncs, rss_bytes=36 * 1024**2, failure_tolerance=0, **heard),
        seen(1, status(1, 0), leader_heard_ms=90),
        seen(2, "Connection refused", 4.0),
    ]


def text(nodes: list[Seen], width: int = 80, height: int | None = None, foot: str = "", now: float = 10.0) -> list[str]:
    lines = picture(cluster_of(nodes, now), nodes, width, height, foot)
    return ["".join(text for text, _ in line).rstrip() for line in lines]


def test_a_picture_of_a_cluster() -> None:
    assert text(whole()) == [
        "2 of 3 answer   node 0 leads   term 2   can lose 0",
        "",
        "NODE  ADDRESS        ROLE      TERM  COMMIT  LAG  HEARD    SYNC  REQ/S  MEM",
        "   0  10.0.0.1:8000  leader       2       5    0      -  2.0 ms      -  36M",
        "   1  10.0.0.1:8001  follower     2       5    0  40 ms       -      -    -",
        "   2  10.0.0.1:8002  no answer for 6.0 s, lacks 3: Connection refused",
        "",
        "LOG",
        "node 0  AABBB",
        "node 1  AABBB",
        "node 2",
        "A term 1  B term 2  capital: committed",
    ]


def test_rates_and_sync_times_are_of_the_time_between_two_looks() -> None:
    one = seen(
        0,
        status(0, 0, members=1),
        10.0,
        uptime_seconds=1.0,
        writes_total=5,
        reads_total=5,
        log_sync_seconds={"count": 10, "sum": 1.0, "recent": 0.1},
    )
    assert one.rate is None
    assert one.sync_seconds == 0.1
    after = {"count": 12, "sum": 1.006, "recent": 0.08}
    tell(one, status(0, 0, members=1, last=25), 12.0, uptime_seconds=3.0, writes_total=25, log_sync_seconds=after)
    assert one.rate == 7.5
    assert one.commits == 10.0
    assert one.sync_seconds == pytest.approx(0.003)
    tell(one, status(0, 0, members=1), 13.0, uptime_seconds=0.1, writes_total=1)
    assert one.rate is None, "it has been started again, and counts from nothing"


def test_who_is_silent_is_shown_as_it_was_seen_last_and_for_how_long() -> None:
    nodes = whole()
    tell(nodes[1], "timed out", 12.0)
    tell(nodes[1], "timed out", 13.0)
    lines = text(nodes, now=14.0)
    assert lines[0].startswith("1 of 3 answer   no leader")
    assert "   1  10.0.0.1:8001  no answer for 2.0 s: timed out" in lines
    assert "no leader has a majority: writes are not taken now" in lines
    assert "node 1  AABBB" in lines


def test_who_follows_nobody_is_no_follower() -> None:
    nodes = [*whole()[:2], seen(2, status(2, None))]
    assert "   2  10.0.0.1:8002  no leader" in text(nodes)[5]


def test_of_two_that_lead_the_one_of_the_newer_term_counts() -> None:
    nodes = [seen(0, status(0, 0)), seen(1, status(1, 1, term=3)), seen(2, status(2, 1, term=3))]
    assert cluster_of(nodes, 10.0).leader == 1


def test_members_are_shown_by_number_and_others_while_they_answer() -> None:
    other = Seen(Address("localhost", 8001))
    tell(other, status(1, 0), 10.0)
    gone = Seen(at(7))
    gone.take("Connection refused", 10.0)
    removed = seen(5, status(5, None, role="removed"))
    nodes = [gone, removed, other, *reversed(whole())]
    assert [str(one.address) for one in shown(nodes)] == [*(str(at(node)) for node in (0, 1, 2)), str(at(5))]
    assert shown([gone]) == [gone], "as long as no members are known"


def test_a_cluster_that_has_not_formed_says_for_whom_it_waits() -> None:
    waits = status(0, None, members=0, last=0, role="unformed", waiting_for=["node 1 at b:1"])
    lines = text([seen(0, waits, terms="")])
    assert "the cluster has not formed yet: waiting for node 1 at b:1" in lines
    assert "not formed" in lines[3]


@pytest.mark.parametrize("height", [1, 2, 3, 5, 8, 12, 24, 50])
@pytest.mark.parametrize("width", [1, 2, 5, 20, 40, 80, 200, 400])
def test_the_picture_fits_every_screen(width: int, height: int) -> None:
    lines = text(whole(), width, height, foot="q leaves")
    assert len(lines) == height
    assert all(len(line) <= width for line in lines)
    assert lines[-1] == "q leaves"[:width].rstrip()
    assert all(line.isascii() for line in lines)


def test_five_nodes_fit_the_usual_screen_and_a_large_one_has_the_newest_entries() -> None:
    nodes = [seen(node, status(node, 0, members=5, last=200_000), terms="b" * 5) for node in range(5)]
    for one in nodes:
        one.log.take(1, 200_000, 200_000, entries("c" * MOST_CELLS, 200_001 - MOST_CELLS), 10.0)
    lines = text(nodes, 80, 24, foot="q leaves")
    assert len([line for line in lines if re.match(r" +\d +(10\.0\.0\.1|~)", line)]) == 5
    assert len([line for line in lines if re.match(r"node \d  C{72}$", line)]) == 5
    large = text(nodes, 200, 50, foot="q leaves")
    assert '200000 C {"op":"put","key":"k200000"}' in large
    assert len([line for line in large if line.startswith("node") and line.endswith("C" * 192)]) == 5


def test_a_command_that_a_terminal_would_obey_is_escaped() -> None:
    node = seen(0, status(0, 0, members=1))
    node.log.commands[5] = b'{"op":"put","key":"\xc3\xa9","value":"\x1b[2J"}'
    assert any('"key":"\\u00e9","value":"\\u001b[2J"' in line for line in text([node], 80, 24))


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0"), (57.4, "57"), (9999, "9999"), (12_345, "12.3k"), (123_456, "123k"), (4.56e6, "4.6M")]
)
def test_counts_are_short(number: float, said: str) -> None:
    assert count(number) == said


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        (0, "0 ms"),
        (0.35, "350 us"),
        (2.54, "2.5 ms"),
        (70, "70 ms"),
        (1234, "1.2 s"),
        (61_000, "61 s"),
        (900_000, "15 min"),
        (10_800_000, "3 h"),
    ],
)
def test_times_are_short(milliseconds: float, said: str) -> None:
    assert duration(milliseconds) == said


@pytest.mark.parametrize(("number", "said"), [(0, "0"), (500, "500"), (36 * 1024**2, "36M"), (1.2 * 1024**3, "1.2G")])
def test_sizes_are_short(number: float, said: str) -> None:
    assert size(number) == said


# The nodes are asked


def answer_of(node: int, addresses: list[str]) -> Any:
    """A fake node's answers."""
    fields = {"node": node, "role": "leader" if node == 0 else "follower", "term": 1, "leader": 0}
    fields |= {"commit_index": 2, "last_applied": 2, "first_index": 1, "last_index": 2}
    rows = [{"index": index, "term": 1, "command": None, "committed": True, "applied": True} for index in (1, 2)]

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] == "show_log":
            return {"entries": rows[-request["limit"] :], "more": False}
        members = [{"id": place, "address": address, "role": "voter"} for place, address in enumerate(addresses)]
        return {**fields, "members": members} if request["op"] == "status" else {"writes_total": 3}

    return answer


def test_who_is_told_of_is_asked_too_and_who_is_silent_holds_up_nobody() -> None:
    with fake_nodes() as make:
        addresses: list[str] = []
        nodes = [make(answer_of(0, addresses)), make(answer_of(1, addresses)), make(None)]
        addresses += [str(node.address) for node in nodes]
        poll = Poll([nodes[0].address])
        poll.begin()
        while sum(one.answers for one in poll.nodes.values()) < 2:
            assert poll.collect(5)
        assert poll.nodes[nodes[2].address].failure is None, "it is waited for still"
        poll.round()
        assert poll.nodes[nodes[2].address].failure == "timed out"
        assert nodes[1].asked.count("show_log") == 1, "what is committed is not asked for again"
        nodes[1].go_away()
        poll.round()
        assert poll.nodes[nodes[1].address].failure == "Connection refused"


def test_entries_before_long_ones_are_asked_for_too() -> None:
    """A reply has room for one of the long ones: the newest is known, and those before them."""
    terms = "aaaabbbb"

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] == "status":
            return {**decode(encode(status(0, 0, members=1, last=8))), "members": []}
        first = request.get("from", 8)
        rows = [decode(encode(row)) for row in entries(terms)[first - 1 : first + min(3, request.get("limit", 1)) - 1]]
        return {"entries": rows, "more": False} if request["op"] == "show_log" else {}

    with fake_nodes() as make:
        node = make(answer)
        poll = Poll([node.address])
        poll.round()
        assert strip(poll.nodes[node.address].log, 1, 8) == "AAA????B"


def test_who_is_known_to_be_down_is_not_asked() -> None:
    with fake_nodes() as make:
        node = make(None)
        down: dict[Address, str] = {node.address: "paused"}
        poll = Poll([node.address], lambda: down)
        poll.round()
        assert poll.nodes[node.address].failure == "paused"
        down.clear()
        node.go_away()
        poll.round()
        assert poll.nodes[node.address].failure == "Connection refused"


def test_one_picture_in_plain_text_and_as_a_line_of_json(call: Call) -> None:
    with fake_nodes() as make:
        addresses: list[str] = []
        node = make(answer_of(0, addresses))
        addresses.append(str(node.address))
        code, told, errors = call(node, "top")
        assert (code, errors) == (0, "")
        assert told.startswith("1 of 1 answer   node 0 leads   term 1")
        assert "\nnode 0  AA\n" in told
        assert "\x1b" not in told
        code, told, _ = call(node, "top", "--once", "-o", "json")
        [row] = json.loads(told)["nodes"]
        assert code == 0
        assert (row["node"], row["role"], row["commit_index"]) == (0, "leader", 2)


def test_the_exit_code_says_whether_writes_are_taken(call: Call) -> None:
    with fake_nodes() as make:
        addresses: list[str] = []
        follower = make(answer_of(1, addresses))
        addresses += ["127.0.0.1:1", str(follower.address)]
        code, told, _ = call(follower, "top")
        assert code == NOT_NOW
        assert "no leader has a majority" in told
        follower.go_away()
        assert call(follower, "top")[0] == NO_NODE


def test_a_node_that_knows_no_metrics_is_shown_all_the_same(call: Call) -> None:
    with fake_nodes() as make:
        addresses: list[str] = []
        answer = answer_of(0, addresses)
        error = {"ok": False, "error": {"code": "unknown_op", "message": "no", "hint": ""}}
        node = make(lambda request: error if request["op"] == "metrics" else answer(request))
        addresses.append(str(node.address))
        code, told, _ = call(node, "top")
        assert code == 0
        assert "leader" in told


def test_who_answers_otherwise_is_no_node(call: Call) -> None:
    with fake_nodes() as make:
        node = make(lambda _: {"hello": "world"})
        code, told, _ = call(node, "top")
        assert code == NO_NODE
        assert "no node that this program knows" in told
