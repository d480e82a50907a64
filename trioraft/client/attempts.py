"""What a client does next: which node it tries, for how long, whether a request goes out again, what it raises. Pure.

Times are seconds; `now` is a monotonic clock, read by whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from trioraft.addresses import Address
from trioraft.client.errors import NoNode, Refused, Unknown
from trioraft.client.protocol import Reply, RequestFields
from trioraft.wire.operations import OPERATIONS

FIRST_LOOK_SECONDS: Final = 0.4
"""How long a node gets to accept a connection and to answer a ping while others have not been tried."""
SECOND_LOOK_SECONDS: Final = 2.0
"""How long it gets once none has answered at the first look."""
CONNECT_SECONDS: Final = 5.0
"""How long the search for a node that answers may take, however many there are."""
SILENCE_SECONDS: Final = 0.9
"""A node that sends no byte of a reply for this long is asked whether it is there, and gets as long to say so."""
FRESH_SECONDS: Final = 0.5
"""An answer this recent shows that the node is there. After an older one it is asked before the next request."""
REPLY_SECONDS: Final = 15.0
"""How long a reply may take: longer than a node needs to report that it cannot do what was asked."""
LONG_REPLY_SECONDS: Final = 600.0
"""How long the reply to an operation that takes long may take, as long as the node is there."""
RETRY_SECONDS: Final = 3.0
"""How long a request that failed for the moment is tried again."""
FIRST_PAUSE_SECONDS: Final = 0.02
"""The pause once every node has failed; it doubles with each further failure."""
LONGEST_PAUSE_SECONDS: Final = 1.0
SHORTEST_WAIT: Final = 0.001
"""A timeout of zero would make a socket non-blocking."""

MOMENTARY: Final = frozenset(("shutting_down", "leader_changed", "not_leader", "no_quorum"))
"""Error codes that another node, or the same node a moment later, may not repeat."""

_WHERE_HINT: Final = "start the nodes, or say where they are with --servers FILE or --connect HOST:PORT"


class Nodes:
    """The addresses of a cluster, in the order in which they are tried."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._order = list(addresses)

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Address]:
        return iter(self._order)

    def answered(self, address: Address) -> None:
        """Try this node first from now on, and last those that were tried before it."""
        place = self._order.index(address)
        self._order = [*self._order[place:], *self._order[:place]]

    def failed(self, address: Address | None) -> None:
        """Try this node last from now on."""
        if address in self._order:
            self._order.remove(address)
            self._order.append(address)


class Search:
    """One search for a node that answers: each gets a short look, and those that were silent then a longer one."""

    def __init__(self, nodes: Nodes, timeout: float | None, now: float) -> None:
        """`timeout` bounds the search, in seconds; without one, CONNECT_SECONDS does."""
        self._nodes = list(nodes)
        limit = CONNECT_SECONDS if timeout is None else min(timeout, CONNECT_SECONDS)
        self._deadline = now + limit
        first = min(FIRST_LOOK_SECONDS, limit / len(self._nodes)) if len(self._nodes) > 1 else 0.0
        self._looks = ((node, seconds) for seconds in (first, SECOND_LOOK_SECONDS) for node in self._nodes)
        self._failures: dict[Address, str] = {}
        self._gone: set[Address] = set()

    def next(self, now: float) -> tuple[Address, float] | None:
        """The node to try and the seconds that it gets; None once the search has failed."""
        for node, patience in self._looks:
            seconds = min(patience, self._deadline - now)
            if seconds > 0 and node not in self._gone:
                return node, seconds
        return None

    def failed(self, node: Address, why: str, *, silent: bool) -> None:
        """Note why a node was not reached. One that was not merely silent gets no second look."""
        self._failures[node] = why
        if not silent:
            self._gone.add(node)

    def error(self) -> NoNode:
        """The error of a search that has failed; it names every node."""
        told = "; ".join(f"{node}: {self._failures.get(node, 'not tried')}" for node in self._nodes)
        return NoNode(f"no node can be reached ({told})", _WHERE_HINT)


class Attempts:
    """One request on its way to a reply: after each failure, either the pause before the next attempt or an error.

    A read goes to another node whatever happened; a write only where it is certain that it was not applied.
    """

    def __init__(self, request: RequestFields, nodes: int, now: float) -> None:
        """`nodes` is how many addresses there are to go to."""
        self._writes = changes(request["op"])
        self._passed_on = request.get("forward") is not False
        self._nodes = nodes
        self._deadline = now + RETRY_SECONDS
        self._failures = 0

    def unreachable(self, error: NoNode) -> NoNode:
        """The error where no node was found, which tells of a write that it was not applied."""
        error.applied = "no" if self._writes else None
        return error

    def lost(self, node: Address | None, why: str, now: float) -> float:
        """The seconds to pause after a node did not answer a request that was sent to it.

        Raises Unknown for a write, and NoNode where no time is left.
        """
        if self._writes:
            raise Unknown(
                f"{node} did not answer ({why}): the write may have been applied",
                "read the key before you write it again",
            ) from None
        if now > self._deadline:
            raise NoNode(f"{node} did not answer: {why}", _WHERE_HINT) from None
        return self._pause(now)

    def refused(self, reply: Reply, now: float) -> float:
        """The seconds to pause after a node replied with an error. Raises Refused where it would be repeated."""
        refused = Refused(reply)
        harmless = not self._writes or refused.applied == "no"
        elsewhere = self._nodes > 1 and self._passed_on
        if refused.code not in MOMENTARY or not harmless or not elsewhere or now > self._deadline:
            raise refused
        return self._pause(now)

    def _pause(self, now: float) -> float:
        """No pause while there are nodes that have not been asked."""
        self._failures += 1
        rounds = self._failures - self._nodes
        if rounds < 0:
            return 0.0
        return min(FIRST_PAUSE_SECONDS * 2.0**rounds, LONGEST_PAUSE_SECONDS, max(0.0, self._deadline - now))


def changes(op: str) -> bool:
    """Whether an operation may change something; of one that this version does not know, nobody can tell."""
    return op not in OPERATIONS or OPERATIONS[op].changes


def pipeline_lost(node: Address | None, why: str, replies: int, requests: int) -> Unknown:
    """The error of a pipeline whose connection was lost after so many `replies`."""
    return Unknown(f"{node} was lost after {replies} of {requests} replies: {why}", "read before you write again")


def reply_seconds(op: str, timeout: float | None) -> float:
    """How long the reply to that operation may take; `timeout` is what the user says of it."""
    takes_long = op in OPERATIONS and OPERATIONS[op].takes_long
    return timeout or (LONG_REPLY_SECONDS if takes_long else REPLY_SECONDS)


def next_wait(left: float) -> tuple[float, bool]:
    """How long to wait for a node before it is asked whether it is there, and whether that is the last wait.

    `left` is how long it may be waited for in all.
    """
    return max(SHORTEST_WAIT, min(SILENCE_SECONDS, left)), left <= SILENCE_SECONDS


def share(left: float, places: int) -> float:
    """How long the next of the `places` that a name resolves to may take, of the time that is left for all of them."""
    return max(SHORTEST_WAIT, left / places)


def is_fresh(heard: float, now: float) -> bool:
    """Whether a node that was heard then needs not be asked whether it is there."""
    return now - heard < FRESH_SECONDS
