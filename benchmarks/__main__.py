"""`python -m benchmarks`: a table of figures; with --against, beside those of another commit."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
from rich.console import Console

from benchmarks import results
from benchmarks.results import Result

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("core", "codec", "store", "log", "cluster")


def _measure(part: str, seconds: float, folder: Path) -> list[Result]:
    from benchmarks import inside

    measures: dict[str, Callable[[], list[Result]]] = {
        "core": lambda: inside.measure_core(seconds),
        "codec": lambda: inside.measure_codec(seconds),
        "store": lambda: inside.measure_store(seconds),
        "log": lambda: inside.measure_log(seconds, folder),
        "cluster": lambda: _measure_cluster(seconds, folder),
    }
    return measures[part]()


def _measure_cluster(seconds: float, folder: Path) -> list[Result]:
    """Three nodes and the clients, all on this machine; every write synced."""
    from benchmarks import load

    found = []
    with (
        load.limit_of_open_files(4096),
        tempfile.TemporaryDirectory(dir=folder) as scratch,
        load.Cluster(Path(scratch)) as cluster,
    ):
        leader = [cluster.addresses[cluster.leader]]
        for kind, make in (("put", load.put(100_000, 100)), ("get", load.get(100_000))):
            for connections, depth in ((1, 1), (64, 1), (256, 1), (64, 16)):
                one = load.run(leader, make, connections, depth, seconds=2 * seconds)
                name = f"cluster: {kind}, {connections} connections x {depth}"
                found.append(Result(name, one.rate, "requests/s"))
                found.append(Result(f"{name}, median", one.p50 * 1e3, "ms"))
                found.append(Result(f"{name}, p99", one.p99 * 1e3, "ms"))
    return found


def _run_in(tree: Path, part: str, seconds: float, folder: Path) -> list[Result]:
    """The part in a process of its own, with the program of that tree; nothing where that has it not yet."""
    path = os.pathsep.join(map(str, (tree, tree / "cli", ROOT)))
    code = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import benchmarks; "
        "benchmarks.__path__ = [sys.argv[2]]; from benchmarks.__main__ import give; "
        "give(sys.argv[3], float(sys.argv[4]), pathlib.Path(sys.argv[5]))"
    )
    command = [sys.executable, "-c", code, str(tree), str(ROOT / "benchmarks"), part, str(seconds), str(folder)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=False)
    if done.returncode:
        last = done.stderr.decode().strip().rpartition("\n")[2]
        Console(stderr=True).print(f"{part} cannot be measured in {tree.name}: {last}")
        return []
    return msgspec.json.decode(done.stdout, type=list[Result])


def give(part: str, seconds: float, folder: Path) -> None:
    """Measure, and write the results to the standard output as JSON."""
    sys.stdout.buffer.write(msgspec.json.encode(_measure(part, seconds, folder)))


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option(
    "--seconds", default=1.0, show_default=True, help="How long each figure is measured; clusters twice that."
)
@click.option("--against", metavar="COMMIT", help="Measure that commit too, in turns, and show the ratio.")
@click.option("--rounds", default=5, show_default=True, help="How many turns, with --against.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    default=".",
    help="Where data is written: on a disk, for in memory a sync costs nothing.  [default: here]",
)
def main(parts: tuple[str, ...], seconds: float, against: str | None, rounds: int, folder: Path) -> None:
    """Measure PARTS of trioraft, or all of them, and show a table."""
    chosen = parts or PARTS
    if against is None:
        results.show([one for part in chosen for one in _measure(part, seconds, folder)])
        return
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / against.replace("/", "-")
        tree.mkdir()
        archive = subprocess.run(["git", "-C", ROOT, "archive", against], capture_output=True, check=False)
        if archive.returncode:
            raise click.ClickException(f"git knows no {against}: {archive.stderr.decode().strip()}")
        subprocess.run(["tar", "-x", "-C", tree], input=archive.stdout, check=True)
        ours: dict[str, list[Result]] = {}
        theirs: dict[str, list[Result]] = {}
        for _ in range(rounds):
            for part in chosen:
                for place, found in ((tree, theirs), (ROOT, ours)):
                    for one in _run_in(place, part, seconds, folder):
                        found.setdefault(one.name, []).append(one)
        results.show_comparison(ours, theirs, against)


if __name__ == "__main__":
    main()
