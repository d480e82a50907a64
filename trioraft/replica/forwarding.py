"""What a node passes on to a leader: to whom, under which number, and how long a deposed one may still answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from trioraft.raft.core import Core
from trioraft.raft.messages import NodeId
from trioraft.replica.answering import Answering
from trioraft.replica.slots import Slot
from trioraft.wire import replies

FAREWELL_TICKS: Final = 30
"""How long a deposed leader gets to report the fate of the writes forwarded to it."""

T = TypeVar("T")
SlotT = TypeVar("SlotT", bound=Slot)


class Lead(NamedTuple):
    """A leader, in one of its terms."""

    leader: NodeId | None
    term: int


class _One(NamedTuple, Generic[T]):
    what: T
    lead: Lead
    numbers: int


class Numbers:
    """The numbers of what is passed on. None is used again, on no connection and for no leader."""

    def __init__(self) -> None:
        self._next = 0

    def take(self, count: int) -> int:
        """Take up `count` numbers in a row; return the first."""
        number, self._next = self._next, self._next + count
        return number


class PassedOn(Generic[T]):
    """What was passed on to a leader and is not answered yet, by number, in the order in which it was sent.

    As no number comes twice, a late answer to an earlier request is not taken for one to what is under way now.
    """

    def __init__(self, numbers: Numbers | None = None) -> None:
        """`numbers` are shared by all that is answered by one kind of message; its own where not given."""
        self._by_number: dict[int, _One[T]] = {}
        self._numbers = numbers or Numbers()

    def __len__(self) -> int:
        return len(self._by_number)

    @property
    def first(self) -> T:
        """What has been under way for longest."""
        return next(iter(self._by_number.values())).what

    def add(self, what: T, lead: Lead, count: int = 1) -> int:
        """Note what is sent to that leader, and return the first of the `count` numbers that it takes up."""
        number = self._numbers.take(count)
        self._by_number[number] = _One(what, lead, count)
        return number

    def pop(self, sender: NodeId, number: int, count: int = 1) -> tuple[T, Lead] | None:
        """Remove what that peer answers, and return it with the lead that was asked; None if it was not asked that."""
        one = self._by_number.get(number)
        if one is None or one.lead.leader != sender or one.numbers != count:
            return None
        del self._by_number[number]
        return one.what, one.lead

    def pop_if(self, is_over: Callable[[T], bool]) -> list[T]:
        """Remove and return all for which `is_over` holds: no answer is waited for any more."""
        over = [number for number, one in self._by_number.items() if is_over(one.what)]
        return [self._by_number.pop(number).what for number in over]

    def pop_from(self, leader: NodeId) -> list[T]:
        """Remove and return what that leader was asked, as a link to or from it is lost and it will not answer."""
        lost = [number for number, one in self._by_number.items() if one.lead.leader == leader]
        return [self._by_number.pop(number).what for number in lost]

    def pop_all(self) -> list[T]:
        """Remove and return all of it, as no answer is accepted any more."""
        gone, self._by_number = self._by_number, {}
        return [one.what for one in gone.values()]


class Ports(Protocol):
    """What it needs of the node around it."""

    core: Core

    def linked(self, peer: NodeId) -> bool:
        """Whether a connection to that peer is up."""


class Forwarding:
    """The leader that this node passes requests on to, and the refusal of those that must not be passed on."""

    def __init__(self, node: Ports, answering: Answering) -> None:
        self.lead = Lead(None, 0)
        """The leader that was passed on to last, and the term in which it was taken for the leader."""
        self.admin_numbers = Numbers()
        """Of what is passed on as `AdminRequest`."""
        self._node = node
        self._answering = answering
        self._farewell: int | None = None
        """Until which tick a deposed leader may report the fate of the writes passed on to it."""
        self._deposed: Lead | None = None
        """The last that said itself that it leads no more."""

    @property
    def is_outdated(self) -> bool:
        """Whether there is another leader by now, or none, or it leads another term."""
        core = self._node.core
        return (core.leader, core.term) != self.lead

    def hears_from_old_leader(self, now: int) -> bool:
        """Whether the old leader may still report the fate of the writes passed on to it; newer ones wait for that."""
        if self._farewell is None:
            self._farewell = now + FAREWELL_TICKS
        leader = self.lead.leader
        return leader is not None and self._node.linked(leader) and now < self._farewell

    def update(self) -> None:
        """From now on, pass on to the leader that is known now, if any."""
        self.lead = Lead(self._node.core.leader, self._node.core.term)
        self._farewell = None

    def link_lost(self, peer: NodeId) -> bool:
        """A link to or from that peer broke. Return whether it is the leader: then nothing is answered any more."""
        if peer != self.lead.leader:
            return False
        self.lead = Lead(None, self.lead.term)
        return True

    def depose(self, lead: Lead) -> None:
        """Pass nothing more on to that leader in that term, as it says that it leads no more."""
        self._deposed = lead

    @property
    def to(self) -> NodeId | None:
        """The leader that accepts what is passed on now; None where there is none."""
        core = self._node.core
        leader = core.leader
        if leader is None or not self._node.linked(leader) or (leader, core.term) == self._deposed:
            return None
        return leader

    def kept(self, slots: Iterable[SlotT]) -> list[SlotT]:
        """Answer the requests that must not be passed on, and return the others; drop what is answered already."""
        kept = []
        for slot in slots:
            if slot.reply is not None:
                continue
            if not slot.request.forward:
                applied = "no" if slot.operation.changes else None
                self._answering.answer(slot, self.refusal(slot.id, applied))
            else:
                kept.append(slot)
        return kept

    def refusal(self, id: bytes, applied: str | None) -> bytes:
        """The reply to a request with `"forward":false`, which names the leader."""
        core = self._node.core
        member = None if core.leader is None else core.configuration.member(core.leader)
        return replies.error_reply(
            id,
            "not_leader",
            "this node does not lead, and the request is not to be passed on",
            'ask the leader, or leave out "forward":false' if member else "no leader is known: try again soon",
            applied,
            leader=core.leader,
            leader_address=member.address if member else None,
        )
