"""The simulation on the command line: one seed in full, or many seeds on all cores."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click
import msgspec

from trioraft.testing.faults import KINDS
from trioraft.testing.node_faults import Faults
from trioraft.testing.nodes import Report as WholeReport
from trioraft.testing.nodes import simulate_nodes
from trioraft.testing.outcome import SimulationFailed
from trioraft.testing.simulation import Report, simulate
from trioraft.wire.codec import encode
from trioraft_cli import colour
from trioraft_cli.counts import counted
from trioraft_cli.outcomes import NO

AnyReport = Report | WholeReport


class Task(msgspec.Struct, frozen=True):
    """What is to be simulated, apart from the seed."""

    nodes: int | None
    steps: int | None
    faults: tuple[str, ...] | None
    whole: bool
    """Whole nodes under Trio, not the core with its storage and its requests."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """All kinds of fault that it has."""
        return Faults.KINDS if self.whole else KINDS

    def command(self, seed: int) -> str:
        """The command line that runs that seed again."""
        words = ["trioraft", "sim", "--seed", str(seed)]
        if self.nodes is not None:
            words += ["--nodes", str(self.nodes)]
        if self.steps is not None:
            words += ["--steps", str(self.steps)]
        if self.faults is not None:
            words += ["--faults", ",".join(self.faults) or "none"]
        if self.whole:
            words.append("--whole-nodes")
        return shlex.join(words)


class Failed(msgspec.Struct, frozen=True):
    """A seed that failed, and what came before."""

    seed: int
    reason: str
    timeline: str


def parse_faults(text: str | None, task: Task) -> Task:
    """The task with the kinds of fault named, separated by commas. Raises click.UsageError."""
    if text in (None, "all"):
        return task
    if text == "none":
        return msgspec.structs.replace(task, faults=())
    known = {kind.replace("_", "-").replace(" ", "-"): kind for kind in task.kinds}
    named = [kind.strip().replace("_", "-").replace(" ", "-") for kind in text.split(",")]
    if unknown := [kind for kind in named if kind not in known]:
        raise click.UsageError(f"there is no fault {unknown[0]!r}; there are: {', '.join(known)}, all, none")
    return msgspec.structs.replace(task, faults=tuple(known[kind] for kind in named))


def parse_seeds(text: str) -> range:
    """A..B, both included. Raises click.UsageError."""
    first, dots, last = text.partition("..")
    if not dots or not first.isdecimal() or not last.isdecimal() or int(first) > int(last):
        raise click.UsageError(f"--seeds wants a first and a last seed, like 0..999, and got {text!r}")
    return range(int(first), int(last) + 1)


def run_one(seed: int, task: Task, output: str) -> int:
    """Run one seed and print its report; the exit code."""
    began = time.monotonic()
    result = _simulate((seed, task))
    if isinstance(result, Failed):
        _tell_failure(result, task)
        return NO
    if output == "json":
        print(encode(result).decode())
    else:
        _tell(result, time.monotonic() - began)
    return 0


def run_many(seeds: range, task: Task, jobs: int | None, output: str) -> int:
    """Run seeds on all cores until they are done or one fails; the exit code."""
    began = time.monotonic()
    reports: list[AnyReport] = []
    with _results(seeds, task, jobs or os.cpu_count() or 1) as results:
        for result in _with_progress(results, len(seeds)):
            if isinstance(result, Failed):
                _tell_failure(result, task)
                return NO
            reports.append(result)
            if output == "json":
                print(encode(result).decode())
    if output == "text":
        _sum_up(reports, time.monotonic() - began)
    return 0


def _simulate(work: tuple[int, Task]) -> AnyReport | Failed:
    seed, task = work
    faults = task.kinds if task.faults is None else task.faults
    try:
        if task.whole:
            return simulate_nodes(seed, nodes=task.nodes, faults=faults)
        return simulate(seed, nodes=task.nodes, steps=task.steps, faults=faults)
    except SimulationFailed as failure:
        return Failed(seed, failure.reason, failure.timeline)


@contextmanager
def _results(seeds: range, task: Task, jobs: int) -> Iterator[Iterable[AnyReport | Failed]]:
    work = ((seed, task) for seed in seeds)
    if jobs == 1:
        yield map(_simulate, work)
        return
    ignore_interrupts = (signal.SIGINT, signal.SIG_IGN)  # the parent ends its children
    with multiprocessing.get_context("forkserver").Pool(jobs, signal.signal, ignore_interrupts) as pool:
        yield pool.imap_unordered(_simulate, work, chunksize=4)


def _with_progress(results: Iterable[AnyReport | Failed], total: int) -> Iterator[AnyReport | Failed]:
    if not sys.stderr.isatty():
        yield from results
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("seeds"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=colour.console(sys.stderr), transient=True) as progress:
        bar = progress.add_task("seeds", total=total)
        for result in results:
            progress.advance(bar)
            yield result


def _tell(report: AnyReport, seconds: float) -> None:
    """One run, line by line."""
    print(f"seed {report.seed}")
    for name, value in msgspec.structs.asdict(report).items():
        if name == "seconds":
            print(f"  {name:<11} {value:.1f} of virtual time, in {seconds:.2f}")
        elif name != "seed":
            print(f"  {name:<11} {_counts(value) or 'none' if isinstance(value, dict) else value}")


def _sum_up(reports: list[AnyReport], seconds: float) -> None:
    """Many runs, together."""
    faults: Counter[str] = Counter()
    operations: Counter[str] = Counter()
    changes: Counter[str] = Counter()
    for report in reports:
        faults.update(report.faults)
        operations.update(report.operations)
        if isinstance(report, WholeReport):
            changes.update(report.changes)
    events = sum(report.turns if isinstance(report, WholeReport) else report.events for report in reports)
    sizes = Counter(report.nodes for report in reports)
    rows = {
        "nodes": ", ".join(f"{size}: {number}" for size, number in sorted(sizes.items())),
        "events": f"{events}, {events / seconds:.0f} a second",
        "virtual time": f"{sum(report.seconds for report in reports):.0f} s",
        "elections": sum(report.elections for report in reports),
        "committed": counted(sum(report.committed for report in reports), "write"),
        "operations": _counts(operations),
        "faults": _counts(faults) or "none",
        "changes": _counts(changes) or "none",
        "verdict": "every property held, and every history is linearizable",
    }
    eventful = sum(report.counts for report in reports)
    print(f"{counted(len(reports), 'seed')} in {seconds:.0f} s; {eventful} of them eventful enough")
    for name, value in rows.items():
        print(f"  {name:<11} {value}")


def _tell_failure(failed: Failed, task: Task) -> None:
    """The last events, a column a node; what is wrong; and how to see it again."""
    print(failed.timeline)
    print(f"\nseed {failed.seed} fails: {failed.reason}\nagain: {task.command(failed.seed)}")


def _counts(counts: dict[str, int] | Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items()) if number)
