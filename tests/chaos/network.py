"""The network between the nodes as the harness controls it, and the shapes of partitions."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Self

from ..helpers.processes import _die_with_us as die_with_us

Link = tuple[int, int]
"""The dialling node, and the dialled one."""


class Network:
    """The process of `proxies`. A context, with which the process ends."""

    def __init__(self, ports: list[int], real_ports: list[int]) -> None:
        self._process = subprocess.Popen(
            [
                *die_with_us(),
                sys.executable,
                str(Path(__file__).with_name("proxies.py")),
                json.dumps(ports),
                json.dumps(real_ports),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._rules: dict[Link, list[object]] = {}

    def affect(self, links: Iterable[Link], mode: str, delay: float = 0.0, rate: float = 0.0) -> None:
        """Set the rule of these links; the rules of other links stay."""
        self._rules |= {link: [*link, mode, delay, rate] for link in links}
        self._tell({"rules": list(self._rules.values())})

    def heal(self, links: Iterable[Link] | None = None) -> None:
        """Remove the rules of these links, or of all."""
        for link in list(self._rules) if links is None else links:
            self._rules.pop(link, None)
        self._tell({"rules": list(self._rules.values())})

    def refuse(self, node: int) -> None:
        """Refuse all dials to that node, as if its process were dead."""
        self._tell({"refuse": node})

    def hang_up(self, node: int) -> None:
        """Break all connections to that node."""
        self._tell({"hang_up": node})

    def listen(self, node: int) -> None:
        self._tell({"listen": node})

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._process.stdin.close()

    def _tell(self, command: dict[str, object]) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer == b"ok\n", f"the proxies are gone: {answer!r}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def every_link(nodes: int) -> list[Link]:
    return [(sender, receiver) for sender in range(nodes) for receiver in range(nodes) if sender != receiver]


def isolate(nodes: int, alone: int) -> list[Link]:
    """The links that isolate a node in both directions."""
    return [link for link in every_link(nodes) if alone in link]


def split(nodes: int, random: Random) -> list[Link]:
    """The links between two groups, one of them a majority."""
    order = random.sample(range(nodes), nodes)
    group = set(order[: random.randint(1, nodes // 2)])
    return [link for link in every_link(nodes) if (link[0] in group) != (link[1] in group)]


def one_way(nodes: int, node: int, random: Random) -> list[Link]:
    """The links that let a node be heard but not hear, or the other way round."""
    side = random.randrange(2)
    return [link for link in every_link(nodes) if link[side] == node]


def bridge(nodes: int, random: Random) -> list[Link]:
    """The links between two groups, with one node that still reaches both."""
    _, *order = random.sample(range(nodes), nodes)
    group = set(order[: len(order) // 2])
    others = set(order[len(order) // 2 :])
    return [
        link
        for link in every_link(nodes)
        if (link[0] in group and link[1] in others) or (link[1] in group and link[0] in others)
    ]


def some_links(nodes: int, random: Random) -> list[Link]:
    """Random links."""
    share = random.uniform(0.1, 0.7)
    return [link for link in every_link(nodes) if random.random() < share]
