"""A finding of `check`: its cause in a sentence, and the steps that mend it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from trioraft_cli.checking.evidence import Source
from trioraft_cli.words import shell_word

Severity = Literal["down", "now", "remark", "ok"]
"""`down`: because of it nothing can be written; `now`: it needs doing; `remark`: good to know; `ok`: all is well."""

_SEVERITIES: Final[tuple[Severity, ...]] = ("down", "now", "ok", "remark")


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step to take: words, and the command, where one can be typed as it stands."""

    do: str
    command: str | None = None
    at_prompt: bool = False
    """Whether the command is for the prompt at which the check was typed, and not for a shell."""


class Finding(msgspec.Struct, frozen=True):
    """One cause, about these nodes."""

    code: str
    severity: Severity
    nodes: list[int]
    message: str
    steps: list[Step] = []

    @property
    def needs_doing(self) -> bool:
        """Whether something has to be done."""
        return self.severity in ("down", "now")


CODES: Final = {
    "other_cluster": "a node belongs to another cluster",
    "wiped": "a member runs with another data folder than its own",
    "older_copy": "a member runs with an older copy of its folder",
    "two_processes": "two processes run as one member",
    "other_node": "a node with another id answers at a member's address",
    "disk_full": "a node's disk is nearly full",
    "lists_differ": "nodes that are to form a cluster have different lists",
    "not_running": "nobody listens at a member's address",
    "not_a_node": "something else answers there",
    "silent": "a member takes connections, and answers nothing: its process is stopped, or hangs",
    "hung_up": "a member closes each connection without a word",
    "failing": "a member answers with errors",
    "overloaded": "a member has no place for another connection",
    "no_answer": "a member's machine does not answer",
    "no_way": "this machine has no way to a member's",
    "unresolved": "a member's name does not resolve",
    "needs_upgrade": "a member's program is too old for the cluster",
    "protocol": "two programs speak no common version between nodes",
    "refused": "a member is refused by others, for another reason",
    "faults_on": "faults are switched on",
    "cut_between": "two nodes that run cannot reach each other",
    "cut_from_leader": "the leader does not hear a member that runs",
    "no_leader": "a majority runs, and none leads",
    "lagging": "a member is behind, and does not come nearer",
    "impostor": "another process introduces itself as a member",
    "never_started": "a member was taken in, and never started",
    "newcomer_moved": "a newcomer's own servers.txt has it at another address",
    "waits_outside": "a node waits to be taken in",
    "waits_for_cluster": "every list has a '-', so all wait to be taken in",
    "forming": "the cluster is about to form",
    "healthy": "all is well: who leads, and how many may fail",
    "disk_low": "a node's disk has not much room",
    "catching_up": "a member is behind, and comes nearer",
    "joining": "a newcomer is about to join",
    "versions_differ": "the nodes run different versions",
    "settings_differ": "the nodes run with different settings",
    "none_to_spare": "the cluster is so small that no node may fail",
    "unreachable_from_here": "the others hear a member that this machine cannot reach",
    "removed_runs": "a removed node still runs",
    "list_differs": "a servers.txt differs from the members",
    "clocks_differ": "clocks differ",
}
"""Each code, the worst first, and what it means."""
_RANK: Final = {code: rank for rank, code in enumerate(CODES)}


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """In the order in which they are shown."""
    return sorted(findings, key=lambda found: (_SEVERITIES.index(found.severity), _RANK[found.code], found.nodes))


class Advice:
    """Steps with commands that can be typed as they stand."""

    def __init__(self, source: Source, next_id: int = 0) -> None:
        """`next_id` is the id of the next newcomer."""
        self.file = shell_word(source.file or "servers.txt")
        self._options = source.options
        self._at_prompt = source.typed_at != "shell"
        self._in_demo = source.typed_at == "demo"
        self._next_id = next_id

    def start(self, node: int, do: str) -> Step:
        """Start that node, on its machine."""
        if self._in_demo:
            return Step(f"start node {node} again", rf"\restart {node}", at_prompt=True)
        return Step(do, f"trioraft node {node} {self.file}")

    def let_go_on(self, node: int, do: str) -> Step:
        """Let the stopped process of that node go on, on its machine."""
        if self._in_demo:
            return Step(do, rf"\resume {node}", at_prompt=True)
        return Step(do, f"pkill -CONT -f 'trioraft.* node {node} '")

    def heal_faults(self, do: str) -> Step:
        """Switch all faults off."""
        return Step(do, r"\heal", at_prompt=True) if self._in_demo else self.ask("fault heal", do)

    def ask(self, words: str, do: str) -> Step:
        """A command to the cluster."""
        if self._at_prompt:
            return Step(do, words, at_prompt=True)
        return Step(do, f"trioraft {words}{self._options}")

    def take_in(self, address: str, gone: Sequence[int] = ()) -> list[Step]:
        """Take in a machine, and start the newcomer there; `gone`: those whose places in the list are to have a '-'."""
        if self._in_demo:
            return [Step("take in a newcomer", r"\add", at_prompt=True)]
        new = self._next_id
        self._next_id += 1
        places = [*(f"'-' at position {position}" for position in gone), f"{address} at position {new}"]
        return [
            self.ask(f"members add {shell_word(address)}", "take its machine in, as a newcomer"),
            Step(f"write into {self.file}, whose positions count from 0: {listed(places)}"),
            self.start(new, f"start it there as node {new}, with an empty folder"),
        ]


def listed(labels: Sequence[str]) -> str:
    """Several things in a sentence."""
    return "".join(labels) if len(labels) < 2 else f"{', '.join(labels[:-1])} and {labels[-1]}"
