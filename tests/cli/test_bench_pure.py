"""What a load makes of its figures, and what it sends: without nodes, processes and clocks."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trioraft_cli.bench.figures import Figures, Histogram, together
from trioraft_cli.bench.kinds import EVENT, GET, PUT
from trioraft_cli.bench.limit import NodeUse, Use, limit_of
from trioraft_cli.bench.plan import Plan
from trioraft_cli.bench.report import fields_of, lines_of, time_of
from trioraft_cli.bench.requests import STAMP_DIGITS, Requests, Wishes

TIMES = st.lists(st.integers(0, 10**12), min_size=1, max_size=300)
SECOND = 1_000_000_000
PLAN = Plan(
    workload="put",
    connections=4,
    pipeline=2,
    value_size=100,
    keys=1000,
    seconds=5.0,
    requests=None,
    processes=1,
    through="leader",
    writes=0.1,
    stale=False,
    rate=None,
    warm_up=0.5,
    prefix="bench/3fa2c1/",
)
IDLE = Use(load=[0.2], machine=0.3, processors=4, nodes=[], is_local=False)


def plan(**changes: Any) -> Plan:
    return msgspec.structs.replace(PLAN, **changes)


def use(**changes: Any) -> Use:
    return msgspec.structs.replace(IDLE, **changes)


def histogram(times: list[int]) -> Histogram:
    counted = Histogram()
    for time in times:
        counted.add(time)
    return counted


def figures(times: list[int], kind: str = PUT, **changes: Any) -> Figures:
    return Figures(latencies={kind: histogram(times)}, began=SECOND, ended=3 * SECOND, **changes)


@given(TIMES, st.sampled_from([0.5, 0.9, 0.99, 0.999, 1.0]))
def test_a_percentile_is_that_of_the_sorted_times_to_one_part_in_a_hundred(times: list[int], share: float) -> None:
    rank = max(1, -(-len(times) * round(1000 * share) // 1000))
    exact = sorted(times)[rank - 1]
    assert histogram(times).percentile(share) == pytest.approx(exact, rel=0.01, abs=1)


@given(TIMES, TIMES)
def test_two_histograms_together_are_that_of_all_times(some: list[int], others: list[int]) -> None:
    whole = histogram(some)
    whole.merge(histogram(others))
    assert whole == histogram(some + others)
    assert (whole.least, whole.most, whole.count) == (min(some + others), max(some + others), len(some + others))
    whole.merge(Histogram())
    assert whole == histogram(some + others)


@given(st.lists(st.integers(0, 10**9)), st.integers(1, 5))
def test_many_equal_times_are_as_if_each_came_alone(times: list[int], count: int) -> None:
    at_once = Histogram()
    for time in times:
        at_once.add(time, count)
    assert at_once == histogram([time for time in times for _ in range(count)])


@given(TIMES)
def test_what_a_process_says_is_what_it_has_seen(times: list[int]) -> None:
    seen = figures(times, errors={"no_quorum": 2}, lost={"gone": 1})
    assert msgspec.json.decode(msgspec.json.encode(seen), type=Figures) == seen


def test_several_processes_are_summed() -> None:
    one = figures([1000], errors={"overloaded": 2}, messages={"overloaded": "too much"}, longest_gap=5, processor=1.0)
    two = figures([3000], kind=GET, errors={"overloaded": 1}, lost={"gone": 3}, unanswered=3, longest_gap=9)
    two.ended = 4 * SECOND
    whole = together([one, two])
    assert (whole.answered, whole.refused, whole.seconds, whole.longest_gap) == (2, 3, 3.0, 9)
    assert (whole.lost, whole.unanswered, whole.messages) == ({"gone": 3}, 3, {"overloaded": "too much"})
    assert one.busy == 0.5


def test_nothing_at_all_has_no_rate() -> None:
    whole = together([])
    assert (whole.rate, whole.busy, whole.answered, whole.events, Histogram().mean) == (0, 0, 0, 0, 0)


@given(TIMES, st.sampled_from([PUT, EVENT]), st.booleans())
def test_the_report_fits_a_terminal_and_its_bars_are_all_times(times: list[int], kind: str, in_unicode: bool) -> None:
    watch = plan(workload="watch" if kind == EVENT else "put", rate=50.0 if in_unicode else None)
    whole = figures(times, kind, longest_gap=max(times))
    lines = "\n".join(lines_of(watch, whole, limit_of(watch, whole, IDLE), IDLE, in_unicode=in_unicode)).split("\n")
    assert all(len(line) <= 80 for line in lines)
    assert in_unicode or all(line.isascii() for line in lines)
    shares = [float(line.split(" %")[0].split()[-1]) for line in lines if " -" in line and " %" in line]
    assert 1 <= len(shares) <= 17
    assert sum(shares) == pytest.approx(100, abs=1)


def test_errors_are_in_the_report() -> None:
    whole = figures([1000], errors={"no_quorum": 3}, messages={"no_quorum": "no leader"}, lost={"reset": 1})
    whole.unanswered, whole.unconnected = 2, {"refused": 1}
    text = "\n".join(lines_of(PLAN, whole, limit_of(PLAN, whole, IDLE), IDLE, in_unicode=False))
    for part in ("3 no_quorum: no leader", "1 connection lost: reset", "2 requests unanswered", "not open at the end"):
        assert part in text


def test_a_program_gets_every_figure() -> None:
    whole = figures([1000, 2000, 3_000_000], errors={"no_quorum": 1})
    fields = fields_of(PLAN, whole, limit_of(PLAN, whole, IDLE), IDLE)
    assert (fields["answered"], fields["rate"], fields["errors"]) == (3, 1.5, {"no_quorum": 1})
    latency = fields["latency"]["put"]
    assert (latency["count"], latency["min_us"], latency["max_us"]) == (3, 1.0, 3000.0)
    assert latency["p50_us"] == pytest.approx(2.0, rel=0.01)
    assert sum(count for _, count in latency["histogram"]) == 3


@pytest.mark.parametrize(
    ("time", "text"),
    [(0, "0.00 us"), (999, "1.00 us"), (9996, "10.0 us"), (99_960, "100 us"), (999_600, "1.00 ms"), (12e9, "12.0 s")],
)
def test_a_time_has_three_digits(time: float, text: str) -> None:
    assert time_of(time) == text


LEADER = NodeUse(2, is_leader=True, processor=0.5, disk=0.4)


@pytest.mark.parametrize(
    ("changed", "used", "what", "said"),
    [
        ({}, {"load": [0.97, 0.4]}, "load", "use more --processes"),
        ({"connections": 1}, {"load": [0.97]}, "load", "use more --connections and --processes"),
        ({}, {"load": [0.97], "processors": 1}, "load", "no more processors here"),
        ({}, {"load": [0.97], "machine": 0.99, "is_local": True}, "machine", "its 4 processors were busy 99 %"),
        ({}, {"machine": 0.99}, "waiting", "8 requests under way"),
        ({}, {"nodes": [msgspec.structs.replace(LEADER, processor=0.96)]}, "node", "node 2, the leader"),
        ({}, {"nodes": [msgspec.structs.replace(LEADER, disk=0.85)]}, "disk", "the disk of node 2"),
        ({}, {"nodes": [LEADER, NodeUse(1, is_leader=False)]}, "waiting", "More --connections or --pipeline"),
        ({"connections": 1, "pipeline": 1}, {}, "waiting", "one request at a time"),
        ({"workload": "watch", "pipeline": 1}, {}, "waiting", "one request at a time"),
        ({"rate": 1.0}, {}, "rate", "answered all of the 1 requests"),
        ({"rate": 100.0}, {}, "waiting", "nothing was busy"),
    ],
)
def test_what_was_busy_is_called_the_limit(changed: dict[str, Any], used: dict[str, Any], what: str, said: str) -> None:
    found = limit_of(plan(**changed), figures([1000, 2000]), use(**used))
    assert (found.what, said in found.message) == (what, True), found


def test_an_outage_is_called_the_limit_whoever_was_busy() -> None:
    busy = use(load=[1.0])
    assert "`trioraft status`" in limit_of(PLAN, Figures(), busy).message
    assert "the errors" in limit_of(PLAN, Figures(errors={"no_quorum": 1}), busy).message
    found = limit_of(PLAN, figures([1000], longest_gap=SECOND, lost={"gone": 1}), busy)
    assert (found.what, found.message) == ("outage", "an outage: there was no answer for 1.0 s")
    assert limit_of(PLAN, figures([1000], longest_gap=SECOND), busy).what == "load"


def parsed(requests: Requests, counts: list[int], now: int = 0) -> list[dict[str, Any]]:
    """The requests that are sent when so many are asked for, each time. Their kinds are checked."""
    found = []
    for count in counts:
        data, kinds = requests.next(count, now)
        lines = [json.loads(line) for line in data.splitlines()]
        assert [line["op"] for line in lines] == [kind for kind, number in kinds for _ in range(number)]
        assert len(lines) == count
        found += lines
    return found


@given(st.integers(1, 50), st.lists(st.integers(1, 120), min_size=1), st.sampled_from(['é"\\', "bench/"]))
def test_each_key_is_asked_for_as_often_as_the_others(keys: int, counts: list[int], prefix: str) -> None:
    found = parsed(Requests(Wishes(prefix, keys, 10, 1.0), 3), counts)
    times = [sum(line["key"] == f"{prefix}{number:09d}" for line in found) for number in range(keys)]
    assert sum(times) == len(found)
    assert max(times) - min(times) <= 1
    assert all(line["value"] == "x" * 10 for line in found)


@pytest.mark.parametrize("writes", [0.0001, 0.25, 0.9999])
def test_a_mixed_load_has_its_share_of_writes(writes: float) -> None:
    found = parsed(Requests(Wishes("", 7, 1, writes), 1), [3, 1, 996, 4000, 5000])
    assert sum(line["op"] == "put" for line in found) == 10_000 * writes


def test_reads_are_stale_if_they_may_be() -> None:
    assert {line["read"] for line in parsed(Requests(Wishes("", 7, 1, 0.0, stale=True), 1), [5])} == {"stale"}
    assert "read" not in parsed(Requests(Wishes("", 7, 1, 0.0), 1), [1])[0]


@pytest.mark.parametrize("size", [STAMP_DIGITS, 50])
def test_a_watched_value_says_when_it_was_sent(size: int) -> None:
    requests = Requests(Wishes("p/", 7, size, 1.0, stamped=True), 1)
    for line in parsed(requests, [1, 9], now=123_456):
        assert (int(line["value"][:STAMP_DIGITS]), len(line["value"])) == (123_456, size)


@given(st.integers(1, 100), st.integers(1, 10), st.integers(1, 1000))
def test_processes_share_all_out(connections: int, processes: int, requests: int) -> None:
    processes = min(processes, connections, requests)
    jobs = plan(connections=connections, processes=processes, requests=requests, rate=50.0).jobs([])
    assert len(jobs) == processes
    assert sum(job.connections for job in jobs) == connections
    assert sum(job.requests or 0 for job in jobs) == requests
    assert [job.first for job in jobs] == [sum(job.connections for job in jobs[:at]) for at in range(processes)]
    assert {job.interval for job in jobs} == {processes * SECOND // 50}


def test_of_a_watch_one_process_more_writes() -> None:
    *watchers, writer = plan(workload="watch", connections=5, processes=2, requests=10).jobs([])
    assert [job.connections for job in watchers] == [3, 2]
    assert all(job.watches and job.requests is None and job.seconds is None for job in watchers)
    assert (writer.watches, writer.connections, writer.requests, writer.wishes.stamped) == (False, 1, 10, True)
