"""Requests that take their time: to change the members, to hand over the lead, and to write a snapshot.

Only the leader can do the first two. Any node accepts such a request and passes it on, once. The leader carries it out
and answers when it is done: a change when it is committed, a transfer when another node leads. Each node writes its
snapshot for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol

import msgspec

from trioraft.raft import membership
from trioraft.raft.core import Core
from trioraft.raft.membership import ChangeRefused, Configuration
from trioraft.raft.messages import NodeId
from trioraft.replica.answering import Answering
from trioraft.replica.failures import internal_reply
from trioraft.replica.forwarding import Forwarding, Lead, PassedOn
from trioraft.replica.ports import TICK_MS
from trioraft.replica.reports import snapshot_reply
from trioraft.replica.slots import Slot
from trioraft.replica.snapshots import Snapshots
from trioraft.storage.snapshots import Snapshot as TakenSnapshot
from trioraft.wire import replies
from trioraft.wire.operations import OPERATION_OF, AddMember, PromoteMember, RemoveMember, TransferLeadership
from trioraft.wire.parsing import RequestError, parse_request, without_id
from trioraft.wire.peers import AdminReply, AdminRequest
from trioraft.wire.table import AnyRequest, Operation, Request

Answer = Callable[[bytes, int], None]
"""Is called with a reply without an id, and with the index of the entry that made it true, or 0."""

_WAIT_HINT: Final = "see 'members'; a change waits for the one before it, and for a majority of the voters"
_UNKNOWN_HINT: Final = "see with 'members' whether it was made before you ask for it again"
_AGAIN_HINT: Final = "nothing has changed: try again, or see 'members' and 'status'"
_MEMBERS_HINT: Final = "'members' shows who belongs to the cluster, and where"


class Ports(Protocol):
    """What it needs of the node around it."""

    node: NodeId
    core: Core

    @property
    def snapshots(self) -> Snapshots | None:
        """None before the cluster has formed."""

    def send(self, peer: NodeId, message: AdminRequest | AdminReply) -> None:
        """Send to a peer, in order."""

    def ask_about_leases(self, peer: NodeId, number: int, request: AnyRequest) -> None:
        """Have a request about leases carried out that the peer has passed on under that number."""

    def whom_to_wait_for(self) -> tuple[str, str]:
        """Why there is no leader, and what to do, for a person."""

    @property
    def is_removed(self) -> bool:
        """Whether there will be no leader for this node."""


class _Task:
    """One request for the leader, of a client of this node or of a peer's."""

    def __init__(
        self,
        operation: Operation,
        request: AnyRequest,
        answer: Answer,
        since: int,
        refuse: Callable[[], None] | None = None,
    ) -> None:
        self.operation = operation
        self.request = request
        self.answer = answer
        self.since = since
        self.refuse = refuse
        """Tells the peer that passed it on that this node does not lead: it is not passed on a second time."""
        self.term = 0
        """The term in which it was begun; 0 before."""
        self.index = 0
        """The entry that carries the change; 0 for a transfer."""
        self.changed: Configuration | None = None
        """What it makes of the members: when it is answered, others may have changed them again."""
        self.member: NodeId | None = None
        """The member that the reply shows."""
        self.is_passed_on = False
        """Whether it is with a leader that has not answered yet."""
        self.told: bytes | None = None
        """The leader's reply, until this node has the entry that it is about."""
        self.slot: Slot | None = None
        """Its place on the connection of a client of this node."""
        self.asker: NodeId | None = None
        """The peer that passed it on."""

    @property
    def is_due(self) -> bool:
        """Whether all before it on its connection are answered, so that it finds what they did."""
        return self.slot is None or self.slot.is_first

    @property
    def is_waiting(self) -> bool:
        """Whether nobody has begun it, here or at the leader."""
        return not self.term and not self.is_passed_on and self.told is None

    def is_late(self, now: int) -> bool:
        """Whether it came from a peer whose client has given it up by that tick, and is answered there."""
        timeout = self.request.timeout_ms
        return self.slot is None and timeout is not None and self.since + timeout // TICK_MS < now


class Administration:
    """The requests that take their time at one node."""

    def __init__(self, node: Ports, forwarding: Forwarding, answering: Answering, hold_ticks: int) -> None:
        """`hold_ticks`: how long a request waits for a leader, or to be begun by it."""
        self._node = node
        self._forwarding = forwarding
        self._answering = answering
        self._hold_ticks = hold_ticks
        self._tasks: dict[_Task, None] = {}
        """In the order in which they came."""
        self._passed_on: PassedOn[_Task] = PassedOn(forwarding.admin_numbers)
        self._snapshots_wanted: list[Slot] = []
        """Requests for a snapshot that wait until they are first on their connection."""
        self._now = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._tasks

    def accept(self, slot: Slot) -> None:
        """Accept a client's request."""
        snapshots = self._node.snapshots
        if snapshots is None:
            applied = "no" if slot.operation.changes else None
            obstacle = self._node.whom_to_wait_for()
            self._answering.answer(slot, replies.error_reply(slot.id, "no_quorum", *obstacle, applied))
        elif slot.operation.kind == "leader":
            self._accept_task(slot)
        else:
            self._snapshots_wanted.append(slot)
            self._begin_snapshots(snapshots)

    def _begin_snapshots(self, snapshots: Snapshots) -> None:
        """Have the snapshots taken whose requests are first on their connections."""
        waiting, self._snapshots_wanted = self._snapshots_wanted, []
        for slot in waiting:
            if slot.reply is not None:
                continue
            if not slot.is_first:
                self._snapshots_wanted.append(slot)
            elif self._node.core.last_applied:
                snapshots.want(partial(self._tell_of_snapshot, slot))
            else:
                why = "nothing has been applied here yet, and so there is nothing to write a snapshot of"
                hint = "try again once a leader is known"
                self._answering.answer(slot, replies.error_reply(slot.id, "no_quorum", why, hint, None))

    def _tell_of_snapshot(self, slot: Slot, outcome: TakenSnapshot | Exception) -> None:
        self._answering.answer(slot, snapshot_reply(slot.id, outcome))

    def _accept_task(self, slot: Slot) -> None:
        id = slot.id

        def answer(reply: bytes, index: int) -> None:  # noqa: ARG001
            self._answering.answer(slot, replies.with_id(id, reply))

        task = _Task(slot.operation, slot.request, answer, self._now)
        task.slot = slot
        self._tasks[task] = None

    def withdraw(self, slots: Sequence[Slot]) -> set[Slot]:
        """Forget those requests of clients that nobody has begun, and return them: they never will be."""
        late = set(slots)
        waiting = {task.slot: task for task in self._tasks if task.slot in late and task.is_waiting}
        for task in waiting.values():
            del self._tasks[task]
        return late.intersection(waiting)

    def on_request(self, sender: NodeId, message: AdminRequest) -> None:
        """A peer passes on a request."""

        def answer(reply: bytes, index: int) -> None:
            self._node.core.want_commit(sender, index)
            self._node.send(sender, AdminReply(message.number, msgspec.Raw(reply.rstrip(b"\n")), index=index))

        def refuse() -> None:
            self._node.send(sender, AdminReply(message.number, msgspec.Raw(b"null"), leads=False))

        try:
            request = parse_request(bytes(message.request))
        except RequestError as error:
            answer(replies.error_reply(b"", error.code, error.message, error.hint, "no"), 0)
            return
        except Exception as error:
            answer(internal_reply(b"", "no", error), 0)
            return
        operation = OPERATION_OF[type(request)]
        if operation.kind == "leader":
            task = _Task(operation, request, answer, self._now, refuse)
            task.asker = sender
            self._tasks[task] = None
        elif operation.kind == "lease":
            self._node.ask_about_leases(sender, message.number, request)

    def on_reply(self, sender: NodeId, message: AdminReply) -> None:
        """The leader answers."""
        if (answered := self._passed_on.pop(sender, message.number)) is None:
            return
        task, lead = answered
        task.is_passed_on = False
        if not message.leads:
            self._forwarding.depose(lead)  # the next leader is asked
        else:
            # What follows on its connection must find it done here as well.
            task.told, task.index = bytes(message.reply) + b"\n", message.index

    def link_lost(self, peer: NodeId) -> None:
        """Fail what was passed on to that peer, and forget what it passed on.

        The peer has told its own clients that the outcome is unknown. When it comes back it may be another process that
        counts its requests anew, and would take an answer to an old one for that to a new one.
        """
        for task in self._passed_on.pop_from(peer):
            self._fail(task, "leader_changed", "the connection to the leader broke", _UNKNOWN_HINT, "unknown")
        self._tasks = {task: None for task in self._tasks if task.asker != peer}

    def pass_time(self, ticks: int) -> None:
        """Note that time has passed: what is accepted from now on came after that."""
        self._now += ticks

    def give_up_late(self) -> None:
        """Give up what has waited too long."""
        for task in list(self._tasks):
            if not task.is_due:
                task.since = self._now
            if task.is_waiting and task.is_late(self._now):
                self._fail(task, "timeout", "the time given with the request is over", _WAIT_HINT, "no")
                continue
            if task.since + self._hold_ticks > self._now:
                continue
            if task.told is not None:
                if task.since + 2 * self._hold_ticks <= self._now:
                    self._finish(task, task.told)
            elif task.term:
                # It may be committed at any time, and is waited for twice as long.
                if task.since + 2 * self._hold_ticks <= self._now:
                    what = "the change is not committed yet" if task.index else "no leader is known since the transfer"
                    self._fail(task, "timeout", what, _UNKNOWN_HINT, "unknown")
            elif not task.is_passed_on:
                self._fail(task, *self._obstacle(), "no")
            elif task.since + 3 * self._hold_ticks <= self._now:
                self._fail(task, "timeout", "the leader was asked, and has not answered", _UNKNOWN_HINT, "unknown")

    def advance(self) -> None:
        """Begin the requests that can be begun, and end those that are done."""
        if self._snapshots_wanted and self._node.snapshots is not None:
            self._begin_snapshots(self._node.snapshots)
        for task in list(self._tasks):
            if task.told is not None:
                if self._node.core.commit_index >= task.index:
                    self._finish(task, task.told)
                continue
            if task.is_passed_on or not task.is_due:
                continue
            if task.term:
                self._look_after(task)
            elif self._node.core.role == "leader":
                self._begin(task)
            elif task.refuse is not None:
                del self._tasks[task]
                task.refuse()
            elif not task.request.forward:
                self._finish(task, self._forwarding.refusal(b"", "no"))
            elif self._node.is_removed:
                self._fail(task, *self._obstacle(), "no")
            else:
                self._pass_on(task)

    def _pass_on(self, task: _Task) -> None:
        leader = self._forwarding.to
        if leader is not None:
            task.is_passed_on = True
            number = self._passed_on.add(task, Lead(leader, self._node.core.term))
            self._node.send(leader, AdminRequest(number, msgspec.Raw(without_id(task.request))))

    # As leader

    def _begin(self, task: _Task) -> None:
        try:
            begun = _BEGINNINGS[task.operation.request](self, task, task.request)
        except ChangeRefused as error:
            self._fail(task, "membership", str(error), _MEMBERS_HINT, "no")
            return
        if begun:
            task.term = self._node.core.term

    def _begin_transfer(self, task: _Task, request: TransferLeadership) -> bool:
        core = self._node.core
        if core.transferring:
            return False
        if request.target == core.node:
            self._finish(task, self._leads(core.node))
            return False
        core.transfer_leadership(request.target)
        return True

    def _add(self, task: _Task, request: AddMember) -> bool:
        changed = membership.with_learner(self._node.core.configuration, request.address, not request.learner)
        task.member = changed.members[-1].id
        return self._propose(task, changed)

    def _promote(self, task: _Task, request: PromoteMember) -> bool:
        task.member = request.member
        return self._propose(task, membership.with_promotion(self._node.core.configuration, request.member))

    def _remove(self, task: _Task, request: RemoveMember) -> bool:
        core = self._node.core
        configuration = membership.without(core.configuration, request.member)
        if not self._may_be_spared(request, configuration):
            return False
        if self._is_own_end(request):
            if not core.transferring:  # who comes next carries it out
                core.transfer_leadership(None)
            return False
        return self._propose(task, configuration)

    def _propose(self, task: _Task, changed: Configuration) -> bool:
        core = self._node.core
        if not core.may_change:
            return False
        task.index, task.changed = core.propose_configuration(changed), changed
        return True

    def _is_own_end(self, request: RemoveMember) -> bool:
        return request.member == self._node.node and len(self._node.core.configuration.voters) > 1

    def _may_be_spared(self, request: RemoveMember, changed: Configuration) -> bool:
        """Whether a majority of those that would vote then lives; False while that is not known yet.

        Raises ChangeRefused where none does: the cluster could not even commit the change.
        """
        core = self._node.core
        live = request.force or core.is_live(changed)
        if live is not False:
            return live is True
        silent = [voter for voter in changed.voters if (one := core.progress.get(voter)) is not None and one.silent]
        raise ChangeRefused(
            f"without node {request.member} no majority of those that vote would be live, and nothing could be "
            f"written, while {_nodes(silent)} not answer: start what can be started, and remove what cannot; "
            '"force":true (--force) does it all the same'
        )

    def _look_after(self, task: _Task) -> None:
        core = self._node.core
        if not task.index:
            self._look_after_transfer(task)
        elif core.term == task.term and core.role == "leader":
            if core.commit_index >= task.index:
                self._finish(task, replies.object_reply(b"", self._result(task)), task.index)
        elif core.commit_index >= task.index and core.log.term_at(task.index) == task.term:
            self._finish(task, replies.object_reply(b"", self._result(task)), task.index)
        else:
            what = "the leader changed while the change was under way"
            self._fail(task, "leader_changed", what, _UNKNOWN_HINT, "unknown")

    def _look_after_transfer(self, task: _Task) -> None:
        core = self._node.core
        if core.role == "leader" and core.term == task.term:
            if not core.transferring:
                what = "the other node did not take over in time; this one goes on"
                self._fail(task, "timeout", what, _AGAIN_HINT, "no")
        elif core.leader is not None:
            self._finish(task, self._leads(core.leader))

    def _leads(self, leader: NodeId) -> bytes:
        return replies.object_reply(b"", {"leader": leader, "term": self._node.core.term})

    def _result(self, task: _Task) -> dict[str, object]:
        assert task.changed is not None
        member = None if task.member is None else task.changed.member(task.member)
        return {"member": member} if member is not None else {}

    # Ends

    def _obstacle(self) -> tuple[str, str, str]:
        if self._node.core.role == "leader":
            return "membership", "another change is under way, or this leader is too new", _WAIT_HINT
        return "no_quorum", *self._node.whom_to_wait_for()

    def _fail(self, task: _Task, code: str, message: str, hint: str, applied: str) -> None:
        self._finish(task, replies.error_reply(b"", code, message, hint, applied))

    def _finish(self, task: _Task, reply: bytes, index: int = 0) -> None:
        del self._tasks[task]
        if task.is_passed_on:
            self._passed_on.pop_if(lambda one: one is task)
        task.answer(reply, index)


def _nodes(nodes: Sequence[NodeId]) -> str:
    """These, as the subject of a sentence whose verb is to do."""
    names = " and ".join(str(node) for node in nodes)
    return f"node {names} does" if len(nodes) == 1 else f"nodes {names} do"


_BEGINNINGS: Final[dict[type[Request], Callable[[Administration, _Task, Any], bool]]] = {
    AddMember: Administration._add,
    RemoveMember: Administration._remove,
    PromoteMember: Administration._promote,
    TransferLeadership: Administration._begin_transfer,
}
"""By operation: begins it as leader, and tells whether it could. Raises ChangeRefused."""
