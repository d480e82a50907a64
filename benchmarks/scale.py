"""The cost of size: `python -m benchmarks.scale` measures the curves of docs/performance.md, and draws them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
from rich.console import Console

from benchmarks import load
from benchmarks.results import machine

MEMBERS = (1, 3, 5, 7)
CONNECTIONS = (1, 4, 16, 64, 256, 1000)
VALUES = (10, 100, 1_000, 10_000, 100_000)
PREPARED_KEYS = 10_000

say = Console(stderr=True).print


class Curve(msgspec.Struct):
    """One line of a plot."""

    label: str
    x: list[float] = msgspec.field(default_factory=list)
    y: list[float] = msgspec.field(default_factory=list)

    def add(self, x: float, y: float) -> None:
        """Add a point, and print it."""
        self.x.append(x)
        self.y.append(y)
        say(f"  {self.label} at {x:,.0f}: {y:,.4g}")


class Plot(msgspec.Struct):
    """A picture: the labels of its axes, and its curves."""

    name: str
    x_label: str
    y_label: str
    curves: list[Curve]
    logarithmic: bool = False
    """Whether the y axis is logarithmic; the x axis always is, except where it counts members."""


@contextmanager
def _cluster(folder: Path, size: int = 3) -> Iterator[tuple[load.Cluster, list[load.Address]]]:
    with tempfile.TemporaryDirectory(dir=folder) as scratch, load.Cluster(Path(scratch), size) as cluster:
        yield cluster, [cluster.addresses[cluster.leader]]


def by_members(folder: Path, seconds: float) -> Plot:
    """Measure 1 to 7 members, which share the processor of this machine."""
    curves = [Curve("put, 64 connections"), Curve("put, 64 connections x 16"), Curve("get, 64 connections")]
    for size in MEMBERS:
        with _cluster(folder, size) as (_, leader):
            curves[0].add(size, load.run(leader, load.put(PREPARED_KEYS, 100), 64, 1, seconds=seconds).rate)
            curves[1].add(size, load.run(leader, load.put(PREPARED_KEYS, 100), 64, 16, seconds=seconds).rate)
            curves[2].add(size, load.run(leader, load.get(PREPARED_KEYS), 64, 1, seconds=seconds).rate)
    return Plot("members", "members", "requests a second", curves)


def by_connections(folder: Path, seconds: float) -> Plot:
    """Measure 1 to 1,000 clients, each with one outstanding request."""
    curves = [Curve("put"), Curve("get")]
    with _cluster(folder) as (_, leader):
        for connections in CONNECTIONS:
            curves[0].add(
                connections, load.run(leader, load.put(PREPARED_KEYS, 100), connections, 1, seconds=seconds).rate
            )
            curves[1].add(connections, load.run(leader, load.get(PREPARED_KEYS), connections, 1, seconds=seconds).rate)
    return Plot("connections", "connections", "requests a second", curves)


def by_value(folder: Path, seconds: float) -> Plot:
    """Measure values of 10 bytes to 100 KB on 64 connections."""
    curves = [Curve("put"), Curve("get")]
    for size in VALUES:
        with _cluster(folder) as (_, leader):
            curves[0].add(size, load.run(leader, load.put(1_000, size), 64, 1, seconds=seconds).rate)
            curves[1].add(size, load.run(leader, load.get(1_000), 64, 1, seconds=seconds).rate)
    return Plot("values", "bytes of the value", "requests a second", curves, logarithmic=True)


def by_keys(folder: Path, seconds: float, sizes: Sequence[int]) -> list[Plot]:
    """Measure rates, memory and the time of a restart, from 1,000 keys on."""
    rates = [Curve("put of a new key, 64 x 16"), Curve("put of a key that is there, 64 x 1"), Curve("get, 64 x 1")]
    memory, restarts = Curve("a node's memory by key, beyond an empty node's"), Curve("restart")
    for keys in sizes:
        with _cluster(folder) as (cluster, leader):
            empty = cluster.memory(cluster.leader)
            rates[0].add(keys, load.run(leader, load.put_in_order(100), 64, 16, total=keys).rate)
            rates[1].add(keys, load.run(leader, load.put(keys, 100), 64, 1, seconds=seconds).rate)
            rates[2].add(keys, load.run(leader, load.get(keys), 64, 1, seconds=seconds).rate)
            memory.add(keys, (cluster.memory(cluster.leader) - empty) / keys)
            follower = (cluster.leader + 1) % len(cluster.addresses)
            restarts.add(keys, cluster.restart(follower))
    return [
        Plot("keys-rate", "keys", "requests a second", rates),
        Plot("keys-memory", "keys", "bytes a key", [memory], logarithmic=True),
        Plot("keys-restart", "keys", "seconds until it has all again", [restarts], logarithmic=True),
    ]


def by_place_of_reading(folder: Path, seconds: float) -> Plot:
    """Measure reads at the leader alone, and spread over all three nodes."""
    makers: dict[str, Callable[[], load.Make]] = {
        "linearizable": lambda: load.get(PREPARED_KEYS),
        "stale": lambda: load.get(PREPARED_KEYS, "stale"),
    }
    curves = []
    with _cluster(folder) as (cluster, leader):
        load.run(leader, load.put(PREPARED_KEYS, 100), 64, 16, seconds=seconds)
        for read, make in makers.items():
            for where, addresses in (("the leader", leader), ("all three", cluster.addresses)):
                curve = Curve(f"{read}, of {where}")
                for connections in (4, 16, 64, 256):
                    curve.add(connections, load.run(addresses, make(), connections, 1, seconds=seconds).rate)
                curves.append(curve)
    return Plot("reads", "connections", "gets a second", curves)


def draw(plot: Plot, folder: Path) -> None:
    """Draw the picture as an SVG file."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = plot.name  # the same figures make the same file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    for curve in plot.curves:
        axes.plot(curve.x, curve.y, marker="o", label=curve.label)
    if plot.name != "members":
        axes.set_xscale("log")
    if plot.logarithmic:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(plot.x_label)
    axes.set_ylabel(plot.y_label)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(folder / f"{plot.name}.svg", metadata={"Date": None})
    pyplot.close(figure)


@click.command()
@click.option("--seconds", default=3.0, show_default=True, help="How long each point is measured.")
@click.option("--most-keys", default=1_000_000, show_default=True, help="480 bytes of memory for each, a node.")
@click.option("--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".", help="For data.")
@click.option(
    "--plots", type=click.Path(file_okay=False, path_type=Path), default="docs/plots", help="For the pictures."
)
def main(seconds: float, most_keys: int, folder: Path, plots: Path) -> None:
    """Measure all curves, and draw them; the figures go to curves.json beside the pictures."""
    sizes = [size for size in (1_000, 10_000, 100_000, 1_000_000) if size < most_keys] + [most_keys]
    plots.mkdir(parents=True, exist_ok=True)
    drawn = []
    with load.limit_of_open_files(4096):
        for measure in (by_members, by_connections, by_value, by_place_of_reading):
            say(measure.__name__)
            drawn.append(measure(folder, seconds))
        say(by_keys.__name__)
        drawn += by_keys(folder, seconds, sizes)
    for plot in drawn:
        draw(plot, plots)
    found = {"machine": machine(), "plots": drawn}
    (plots / "curves.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


if __name__ == "__main__":
    main()
