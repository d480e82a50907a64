"""`python -m benchmarks`: print a table of figures; with --against, beside those of another commit."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import msgspec

from benchmarks import guard, history, results, turns
from benchmarks.results import Figures, Result

PARTS = (*guard.PARTS, "cluster", "operations")
"""What is measured."""
LOADS = ((1, 1), (64, 1), (256, 1), (64, 16))
"""For each load: the number of connections, and of outstanding requests on each."""


def _measure(part: str, seconds: float, folder: Path) -> list[Result]:
    from benchmarks import inside, operations

    measures: dict[str, Callable[[], list[Result]]] = {
        "core": lambda: inside.measure_core(seconds),
        "codec": lambda: inside.measure_codec(seconds),
        "store": lambda: inside.measure_store(seconds),
        "log": lambda: inside.measure_log(seconds, folder),
        "cluster": lambda: _measure_cluster(seconds, folder),
        "operations": lambda: operations.measure_operations(seconds, folder),
    }
    return measures[part]()


def _measure_cluster(seconds: float, folder: Path) -> list[Result]:
    """Measure three nodes and their clients, all on this machine, with every write synced."""
    from benchmarks import load

    found = []
    with (
        load.limit_of_open_files(4096),
        tempfile.TemporaryDirectory(dir=folder) as scratch,
        load.Cluster(Path(scratch)) as cluster,
    ):
        leader = [cluster.addresses[cluster.leader]]
        for kind, make in (("put", load.put(100_000, 100)), ("get", load.get(100_000))):
            for connections, depth in LOADS:
                before = cluster.processor_times()
                one = load.run(leader, make, connections, depth, seconds=2 * seconds)
                spent = [after - start for start, after in zip(before, cluster.processor_times(), strict=True)]
                costs = [1e6 * each / one.count for each in spent]
                name = f"cluster: {kind}, {connections} connections x {depth}"
                found.append(Result(name, one.rate, "requests/s"))
                found.append(Result(f"{name}, median", one.p50 * 1e3, "ms"))
                found.append(Result(f"{name}, p99", one.p99 * 1e3, "ms"))
                found.append(Result(f"{name}, leader's processor time", costs.pop(cluster.leader), "us/request"))
                followers = sum(costs) / len(costs)
                found.append(Result(f"{name}, each follower's processor time", followers, "us/request"))
    return found


def give(part: str, seconds: float, folder: Path) -> None:
    """Measure a part, and write the results to standard output as JSON."""
    sys.stdout.buffer.write(msgspec.json.encode(_measure(part, seconds, folder)))


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option(
    "--seconds", default=1.0, show_default=True, help="How long each figure is measured; clusters twice that."
)
@click.option("--against", metavar="COMMIT", help="Measure that commit too, in turns, and show the ratio.")
@click.option(
    "--beside-etcd",
    is_flag=True,
    help="Measure the operations alone, in turns with those of an etcd that is installed.",
)
@click.option("--rounds", default=5, show_default=True, help="How many turns, with --against or --beside-etcd.")
@click.option(
    "--guard", "guarded", is_flag=True, help="With --against: end with 1 if slower by a tenth, three times in a row."
)
@click.option("--record", is_flag=True, help=f"Keep the figures in {history.PLACE}, a line for each commit measured.")
@click.option(
    "--repository",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    default=turns.ROOT,
    help="Where git knows the commits.  [default: this checkout]",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    default=".",
    help="Where data is written: on a disk, for in memory a sync costs nothing.  [default: here]",
)
def main(
    parts: tuple[str, ...],
    seconds: float,
    against: str | None,
    beside_etcd: bool,
    rounds: int,
    guarded: bool,
    record: bool,
    repository: Path,
    folder: Path,
) -> None:
    """Measure PARTS of trioraft, or all of them, and show a table."""
    chosen = parts or PARTS
    if beside_etcd and (against is not None or record):
        raise click.UsageError("--beside-etcd goes neither with --against nor with --record")
    if record and history.is_changed(repository):
        raise click.ClickException("the program has changes that are not committed: its figures are of no commit")
    if guarded and (against is None or record):
        raise click.UsageError("--guard goes with --against, and not with --record")
    if beside_etcd:
        _show_beside_etcd(parts, seconds, rounds, folder)
        return
    measured: dict[str, Figures] = {}
    if against is None:
        found = [one for part in chosen for one in _measure(part, seconds, folder)]
        results.show(found)
        measured["HEAD"] = {one.name: [one] for one in found}
    else:
        try:
            with turns.unpacked(against, repository) as tree:

                def measure(some: Sequence[str], rounds: int) -> tuple[Figures, Figures]:
                    return turns.in_turns(some, tree, rounds=rounds, seconds=seconds, folder=folder)

                if guarded:
                    sys.exit(guard.guard(measure, rounds, click.echo))
                ours, theirs = measure(chosen, rounds)
                measured = {against: theirs, "HEAD": ours}
        except LookupError as error:
            raise click.ClickException(str(error)) from None
        results.show_comparison(ours, theirs, against)
    if record:
        lines = [history.line_of(history.commit_of(repository, name), each) for name, each in measured.items() if each]
        history.record(repository / history.PLACE, lines)


def _show_beside_etcd(parts: tuple[str, ...], seconds: float, rounds: int, folder: Path) -> None:
    """Show the figures of the operations beside etcd's. Raises click's errors where that cannot be."""
    from benchmarks import etcd, operations

    if parts not in ((), ("operations",)):
        raise click.UsageError("--beside-etcd goes with the operations alone")
    if not etcd.is_installed():
        raise click.ClickException("etcd is not installed (apt-get install etcd-server)")
    results.show_comparison(*operations.beside_etcd(seconds, folder, rounds), "etcd")


if __name__ == "__main__":
    main()
