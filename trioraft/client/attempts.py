"""What a client does next: which node it tries, for how long, whether a request goes out again, what it raises. Pure.

Times are seconds; `now` is a monotonic clock, read by whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from trioraft.addresses import Address
from trioraft.client.errors import NoNode, Refused, Unknown
from trioraft.client.protocol import Push, Reply, RequestFields
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
REPEAT_SECONDS: Final = 15.0
"""How long a write that is applied once is tried again when an attempt left open whether it was applied."""
FIRST_PAUSE_SECONDS: Final = 0.02
"""The pause once every node has failed; it doubles with each further failure."""
LONGEST_PAUSE_SECONDS: Final = 1.0
_MOST_DOUBLINGS: Final = 16
MARGIN: Final = 0.1
"""The part of the time for an answer that is left for its way here."""
MOST_MARGIN_SECONDS: Final = 0.2
SHORTEST_WAIT: Final = 0.001
"""A timeout of zero would make a socket non-blocking."""

MOMENTARY: Final = frozenset(("shutting_down", "leader_changed", "not_leader", "no_quorum"))
"""Error codes that another node, or the same node a moment later, may not repeat."""
OF_THE_ATTEMPT: Final = MOMENTARY | {"timeout", "overloaded"}
"""Error codes that tell of one attempt alone, and nothing of those before it."""
_FORGOTTEN: Final = frozenset(("session_expired", "seq_too_old"))
"""Error codes of a write whose session does not tell any more whether it was applied."""

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

    A read, and a write that may be asked twice, go to another node whatever happened. Any other write does so only
    where it is certain that it was not applied.
    """

    def __init__(
        self,
        request: RequestFields,
        nodes: int,
        now: float,
        seconds: float | None = None,
        *,
        insists: bool = False,
        persists: bool = False,
    ) -> None:
        """`nodes` is how many addresses there are to go to, `seconds` how long it goes on.

        With `persists`, it goes on where no node can be reached, and where the only node cannot do it now, too. With
        `insists`, it does so, and to ask again does no harm.
        """
        self._writes = changes(request["op"])
        self._repeats = insists or not self._writes or repeatable(request)
        self._persists = persists
        self._elsewhere = insists or ((persists or nodes > 1) and request.get("forward") is not False)
        self._nodes = nodes
        self._codes = MOMENTARY
        if insists or persists:  # one that waits for a time of its own is told when that is over
            self._codes = OF_THE_ATTEMPT - {"timeout"} if "wait_ms" in request else OF_THE_ATTEMPT
        self._deadline = now + (RETRY_SECONDS if seconds is None else seconds)
        self._uncertain_deadline = self._deadline
        if "seq" in request and (seconds is None or persists):
            self._uncertain_deadline = max(self._deadline, now + REPEAT_SECONDS)
        self._failures = 0
        self._is_uncertain = False

    @property
    def is_uncertain(self) -> bool:
        """Whether an earlier attempt at a write may have been applied, or may be yet."""
        return self._is_uncertain

    def unreachable(self, error: NoNode, now: float) -> float:
        """The seconds to pause after no node was found, where it persists or an earlier attempt may have been applied.

        Raises the error, which tells of a write that it was not applied, or Unknown.
        """
        if not self._is_uncertain:
            if self._persists and now <= self._end:
                return self._pause(now)
            error.applied = "no" if self._writes else None
            raise error from None
        if now > self._end:
            raise _unknown(error.message) from None
        return self._pause(now)

    def lost(self, node: Address | None, why: str, now: float) -> float:
        """The seconds to pause after a node did not answer a request that was sent to it.

        Raises Unknown for a write, and NoNode where no time is left.
        """
        self._is_uncertain = self._writes
        if not self._repeats or (self._writes and now > self._end):
            raise _unknown(f"{node} did not answer ({why})") from None
        if now > self._end:
            raise NoNode(f"{node} did not answer: {why}", _WHERE_HINT) from None
        return self._pause(now)

    def refused(self, line: Reply | Push, now: float) -> float:
        """The seconds to pause after a node replied with an error. Raises Refused where it would be repeated.

        Raises Unknown for a write that this attempt did not apply, and an earlier one may have.
        """
        refused = Refused(line)
        harmless = self._repeats or refused.applied == "no"
        unsure = self._writes and refused.applied == "unknown" and refused.code not in _FORGOTTEN
        momentary = (refused.code in self._codes and self._elsewhere) or (unsure and self._repeats)
        if refused.code == "unknown_op" and self._elsewhere:
            momentary = self._failures + 1 < self._nodes  # this node may be older than others
        was_uncertain, self._is_uncertain = self._is_uncertain, self._is_uncertain or unsure
        if harmless and momentary and now <= self._end:
            return self._pause(now)
        if was_uncertain and refused.code in OF_THE_ATTEMPT:
            raise _unknown(refused.message)
        raise refused

    @property
    def _end(self) -> float:
        """When it is tried no more: later where that may still tell what became of a write."""
        return self._uncertain_deadline if self._is_uncertain else self._deadline

    def _pause(self, now: float) -> float:
        """No pause while there are nodes that have not been asked."""
        self._failures += 1
        rounds = self._failures - self._nodes
        if rounds < 0:
            return 0.0
        return min(growing_pause(rounds), max(0.0, self._end - now))


def growing_pause(failures: int) -> float:
    """The seconds to pause after that many failures before the last: they double, up to LONGEST_PAUSE_SECONDS."""
    return min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures, _MOST_DOUBLINGS), LONGEST_PAUSE_SECONDS)


def changes(op: str) -> bool:
    """Whether an operation may change something; of one that this version does not know, nobody can tell."""
    return op not in OPERATIONS or OPERATIONS[op].changes


def repeatable(request: RequestFields) -> bool:
    """Whether a write may be asked again, whatever became of the first attempt: it is applied once, or harmless."""
    return "seq" in request or (request["op"] in OPERATIONS and OPERATIONS[request["op"]].repeatable)


def pipeline_lost(node: Address | None, why: str, replies: int, requests: int) -> Unknown:
    """The error of a pipeline whose connection was lost after so many `replies`."""
    return Unknown(f"{node} was lost after {replies} of {requests} replies: {why}", "read before you write again")


def _unknown(what: str) -> Unknown:
    return Unknown(f"{what}: the write may have been applied", "read the key before you write it again")


def reply_seconds(op: str, timeout: float | None) -> float:
    """How long the reply to that operation may take; `timeout` is what the user says of it."""
    takes_long = op in OPERATIONS and OPERATIONS[op].takes_long
    return timeout or (LONG_REPLY_SECONDS if takes_long else REPLY_SECONDS)


def timeout_ms(left: float) -> int:
    """The time that a node is given, in milliseconds: its answer is to come while there are `left` seconds still."""
    return max(1, int((left - min(left * MARGIN, MOST_MARGIN_SECONDS)) * 1000))


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
