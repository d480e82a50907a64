"""The results of a load as text for people, and as one object for programs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any, Final

from trioraft_cli.bench.figures import Figures, Histogram
from trioraft_cli.bench.kinds import MIXED, WATCH
from trioraft_cli.bench.limit import Limit, Use, percent
from trioraft_cli.bench.plan import ANY, LEADER, Plan
from trioraft_cli.counts import counted

_SHARES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
_WIDTH: Final = 80
_MOST_ROWS: Final = 16
_STEPS: Final = ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
"""Where the rows of a histogram begin, in each power of ten: the finest that makes no more than _MOST_ROWS."""
_UNITS: Final = ((1e9, "s"), (1e6, "ms"), (1e3, "us"))


def lines_of(plan: Plan, whole: Figures, limit: Limit, use: Use, *, in_unicode: bool) -> list[str]:
    """What is printed for people, at most 80 characters wide but for long messages."""
    lines = [_heading(plan), ""]
    asked = f"{whole.answered:,} requests in {whole.seconds:.2f} s: {_a_second(whole.answered, whole.seconds)}"
    lines.append(_row("answered", asked))
    if plan.workload == WATCH:
        lines.append(_row("events", f"{whole.events:,}: {_a_second(whole.events, whole.seconds)}"))
    lines += _errors(whole)
    lines.append(_row("longest gap", f"{time_of(whole.longest_gap)} without an answer"))
    lines += _latencies(whole)
    for kind, times in whole.latencies.items():
        if times.count:
            lines += ["", *_bars(kind, times, in_unicode=in_unicode)]
    lines += ["", *_wrapped("latency", _meaning(plan))]
    lines += [_row("" if at else "busy", text) for at, text in enumerate(_busy(use))]
    lines += _wrapped("limit", limit.message)
    return lines


def fields_of(plan: Plan, whole: Figures, limit: Limit, use: Use) -> dict[str, Any]:
    """The one object for programs. Times are microseconds, shares are between 0 and 1."""
    return {
        "workload": plan.workload,
        "connections": plan.connections,
        "pipeline": plan.pipeline,
        "value_size": plan.value_size,
        "keys": plan.keys,
        "processes": plan.processes,
        "through": plan.through,
        "rate_asked": plan.rate,
        "seconds": whole.seconds,
        "answered": whole.answered,
        "rate": whole.rate,
        "events": whole.events,
        "errors": whole.errors,
        "messages": whole.messages,
        "lost_connections": whole.lost,
        "unanswered": whole.unanswered,
        "unconnected": whole.unconnected,
        "longest_gap_us": whole.longest_gap / 1e3,
        "latency": {kind: _times(times) for kind, times in whole.latencies.items()},
        "busy": {
            "load": use.load,
            "machine": use.machine,
            "nodes": [{"node": node.node, "processor": node.processor, "disk": node.disk} for node in use.nodes],
        },
        "limit": limit.what,
        "limit_message": limit.message,
    }


def time_of(nanoseconds: float) -> str:
    """A time in three digits, with its unit."""
    for size, unit in _UNITS:
        if nanoseconds >= 0.9995 * size or unit == "us":
            number = nanoseconds / size
            return f"{number:.{2 if number < 9.995 else 1 if number < 99.95 else 0}f} {unit}"
    raise AssertionError("the last unit takes all")


def _times(times: Histogram) -> dict[str, Any]:
    return {
        "count": times.count,
        "mean_us": times.mean / 1e3,
        "min_us": times.least / 1e3,
        **{f"{name}_us": times.percentile(share) / 1e3 for name, share in _SHARES.items()},
        "max_us": times.most / 1e3,
        "histogram": [[round(middle / 1e3, 3), count] for middle, count in times.middles()],
    }


def _heading(plan: Plan) -> str:
    where = {LEADER: "the leader", ANY: "any node"}.get(plan.through, plan.through)
    requests = counted(plan.pipeline, "request")
    if plan.workload == WATCH:
        load = f"watch: {counted(plan.connections, 'watcher')}, {requests} of a writer under way, through {where}"
    else:
        load = (
            f"{plan.workload}: {counted(plan.connections, 'connection')}, {requests} under way on each, through {where}"
        )
    kinds = f"{100 * plan.writes:g} % writes, " if plan.workload == MIXED else ""
    return (
        f"{load}\n{kinds}values of {plan.value_size:,} bytes, {counted(plan.keys, 'key')} below {plan.prefix}, "
        f"{counted(plan.processes, 'process', 'processes')} of load"
    )


def _a_second(count: int, seconds: float) -> str:
    return f"{count / seconds if seconds else 0:,.0f} a second"


def _errors(whole: Figures) -> list[str]:
    lines = [f"{count:,} {code}: {whole.messages.get(code, '')}" for code, count in sorted(whole.errors.items())]
    lines += [f"{counted(count, 'connection')} lost: {why}" for why, count in sorted(whole.lost.items())]
    if whole.unanswered:
        lines.append(f"{counted(whole.unanswered, 'request')} unanswered on these")
    lines += [f"{counted(count, 'connection')} not open at the end: {why}" for why, count in whole.unconnected.items()]
    return [_row("" if at else "errors", line) for at, line in enumerate(lines or ["none"])]


def _latencies(whole: Figures) -> list[str]:
    lines = [f"  {'':<9}{'count':>12}{'mean':>9}" + "".join(f"{name:>9}" for name in (*_SHARES, "max"))]
    for kind, times in whole.latencies.items():
        if times.count:
            cells = [times.mean, *(times.percentile(share) for share in _SHARES.values()), times.most]
            lines.append(f"  {kind:<9}{times.count:>12,}" + "".join(f"{time_of(cell):>9}" for cell in cells))
    return ["", *lines] if len(lines) > 1 else []


def _bars(kind: str, times: Histogram, *, in_unicode: bool) -> list[str]:
    """One row for each part of the scale, with its share of all."""
    bounds = _bounds(times)
    counts = [0] * (len(bounds) - 1)
    at = 0
    for middle, count in times.middles():
        while middle >= bounds[at + 1]:
            at += 1
        counts[at] += count
    widest = _WIDTH - 40
    most = max(counts)
    lines = []
    for low, high, count in zip(bounds, bounds[1:], counts, strict=False):
        bar = ("█" if in_unicode else "#") * round(widest * count / most)
        some = ("▏" if in_unicode else ".") if count and not bar else ""
        share = f"{100 * count / times.count:.1f} %"
        lines.append(f"  {kind:<7}{time_of(low):>9} -{time_of(high):>9} {share:>7} {bar}{some}".rstrip())
    return lines


def _bounds(times: Histogram) -> list[float]:
    """Round numbers from below the least time to above the greatest one."""
    most = max(times.most, 1)
    for steps in _STEPS:
        scale = [step * 10.0**power for power in range(15) for step in steps]
        first = max((at for at, bound in enumerate(scale) if bound <= max(times.least, 1)), default=0)
        last = next((at for at, bound in enumerate(scale) if bound > most), len(scale) - 1)
        bounds = scale[first : last + 1]
        if len(bounds) <= _MOST_ROWS + 1:
            break
    bounds[0], bounds[-1] = min(bounds[0], 0.99 * times.least), max(bounds[-1], 1.01 * most)
    return bounds


def _meaning(plan: Plan) -> str:
    if plan.rate is not None:
        return "from when a request was due to its answer, at the rate asked for"
    if plan.workload == WATCH:
        return "put: from request to answer; event: from that request to each watcher"
    return "from a request to its answer; the next one is sent when that has come"


def _busy(use: Use) -> Sequence[str]:
    load = ", ".join(percent(share) for share in use.load)
    lines = [f"this program {load}"]
    if use.machine is not None:
        lines.append(f"this machine {percent(use.machine)} of {counted(use.processors, 'processor')}")
    for node in use.nodes:
        parts = [] if node.processor is None else [f"process {percent(node.processor)}"]
        parts += [] if node.disk is None else [f"disk {percent(node.disk)}"]
        if parts:
            lines.append(f"{node.name}: {', '.join(parts)}")
    return lines


def _row(name: str, text: str) -> str:
    return f"  {name:<13} {text}".rstrip()


def _wrapped(name: str, text: str) -> list[str]:
    """A row, over several lines where it is long."""
    lines = wrap(text, _WIDTH - 16, break_long_words=False, break_on_hyphens=False)
    return [_row("" if at else name, line) for at, line in enumerate(lines)]
