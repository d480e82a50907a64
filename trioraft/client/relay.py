"""Requests from elsewhere, passed on to one node after another as they are: what goes out again, what is told. Pure.

The lines of a pipeline go to a node unchanged, and its replies come back unchanged and in order. When a node is lost,
what does no harm twice is asked again of the next, and of every other request its sender is told that nobody knows.
Times are seconds; `now` is a monotonic clock, read by whoever asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from trioraft.client.attempts import MOMENTARY, OF_THE_ATTEMPT, changes, repeatable
from trioraft.client.errors import NoNode
from trioraft.client.protocol import NotANode, Push, Reply
from trioraft.client.standing import Standing, Waiting, Watching
from trioraft.wire.codec import DecodeError, Decoder, decode, encode
from trioraft.wire.replies import error_reply

MOST_REQUESTS: Final = 1024
"""How many requests may lack their replies: a node reads no more."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""How many bytes these may have, in all but the first."""
NO_NODE_CODE: Final = "no_node"
"""The code of what was not sent to any node, or was lost and could not be asked again."""
LOST_CODE: Final = "lost"
"""The code of a write that was sent to a node which was lost then."""
_ELSEWHERE: Final = MOMENTARY | {"overloaded"}
"""The codes with which a node ends, or does not take up, what may go on at another."""
_PING: Final = b'{"op":"ping"}'
_NOT_AT_ALL: Final = b"0"
_READ_AGAIN: Final = "read the key before you write it again, or write in a session"
_GIVE_ID: Final = "give it one: its events carry it, and another node is asked to go on by it"


class _Told(msgspec.Struct):
    """What tells replies and pushes apart, and how a reply went."""

    ok: bool | None = None
    event: str | None = None
    id: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


class _Error(msgspec.Struct):
    code: str
    applied: str | None = None


_OF_THE_PLACE: Final = ("after_rev", "cluster", "wait_ms")
"""The fields that say where a request goes on."""
_EVENTS: Final = {"wait": b"held", "lock": b"locked"}
"""The event that answers what waited, by its operation."""
_fields_of: Final = Decoder(dict[str, msgspec.Raw])
_told_by: Final = Decoder(_Told)


class _Asked:
    """A request on its way."""

    __slots__ = (
        "answer",
        "changes",
        "fields",
        "id",
        "is_repeatable",
        "is_silent",
        "line",
        "op",
        "refusal",
        "standing",
        "was_lost",
        "was_sent",
    )

    def __init__(self, line: bytes, id: bytes = b"") -> None:
        self.line = line
        self.id = id
        self.op = ""
        self.changes = False
        self.is_repeatable = True
        """Whether it does no harm twice."""
        self.is_silent = False
        """Whether its reply is for nobody but this client."""
        self.standing: Standing | None = None
        """How it goes on after its reply; None where it does not."""
        self.fields: dict[str, msgspec.Raw] = {}
        """The fields of one that goes on."""
        self.was_lost = False
        """Whether a node was lost that may have carried it out."""
        self.was_sent = False
        """Whether the present node may carry it out, or has done so."""
        self.answer: bytes | None = None
        self.refusal: bytes = b""
        """The reply of a node that is stopping, until it is clear whether another may be asked in its place."""

    @property
    def is_uncertain(self) -> bool:
        """Whether it may have changed something, and nobody has told."""
        return self.changes and (self.was_lost or (self.was_sent and self.answer is None))


class Relay:
    """A pipeline that outlives its nodes. Lines go in by `ask`, and to a node by `take`; replies by `receive`."""

    def __init__(self) -> None:
        self.first_refusal: Reply | Push | None = None
        """The first reply that was an error, or the first end that was one."""
        self._waiting: deque[_Asked] = deque()
        """The requests whose replies were not handed out yet, in their order."""
        self._bytes = 0
        """How many bytes these have."""
        self._unsent: deque[_Asked] = deque()
        self._expected: deque[_Asked] = deque()
        """What was sent to this node, and was not answered yet."""
        self._stopping: list[_Asked] = []
        """What this node would not do because it stops."""
        self._open: dict[bytes, _Asked] = {}
        """What goes on, by its id."""
        self._probe: _Asked | None = None
        """The ping before whose answer nothing else is sent."""
        self._leaves = False
        """Whether this node takes no more requests."""
        self._out: list[bytes] = []

    @property
    def has_room(self) -> bool:
        """Whether more may be asked now."""
        return len(self._waiting) < MOST_REQUESTS and self._bytes < MOST_BYTES

    @property
    def is_done(self) -> bool:
        """Whether all is answered, and nothing goes on."""
        return not self._waiting and not self._open

    @property
    def expects(self) -> bool:
        """Whether a reply is to come from this node."""
        return bool(self._expected)

    @property
    def goes_on(self) -> bool:
        """Whether pushes may come."""
        return bool(self._open)

    @property
    def can_send(self) -> bool:
        """Whether there is something to send."""
        return bool(self._unsent) and not self._leaves and self._probe in (None, self._unsent[0])

    @property
    def is_leaving(self) -> bool:
        """Whether this node takes no more requests."""
        return self._leaves

    @property
    def next_op(self) -> str:
        """The operation whose reply is the next to come."""
        return self._expected[0].op

    @property
    def wants_node(self) -> bool:
        """Whether a node is needed."""
        return bool(self._unsent or self._expected or self._open)

    @property
    def is_uncertain(self) -> bool:
        """Whether nobody can tell of a request that was not answered whether it was applied."""
        return any(asked.is_uncertain for asked in self._waiting)

    @property
    def is_through(self) -> bool:
        """Whether this node takes no more requests, and has answered those that it took."""
        return self._leaves and not self._expected

    def ask(self, line: bytes, now: float) -> None:
        """Take a request, a line without its end. What is none is answered at once."""
        asked = _Asked(line)
        self._waiting.append(asked)
        self._bytes += len(line)
        if line.lstrip()[:1] != b"{":
            self._refuse(asked, "bad_json", "a request is one line, a JSON object", f"for example {_PING.decode()}")
            return
        try:
            fields = _fields_of.decode(line)
        except DecodeError:
            self._unsent.append(asked)  # the node says what is wrong with it
            return
        asked.id = _raw(fields, "id")
        try:
            op = decode(_raw(fields, "op"), str)
        except DecodeError:
            self._unsent.append(asked)
            return
        asked.op = op
        asked.changes = changes(op)
        asked.is_repeatable = not asked.changes or repeatable({**fields, "op": op})
        if op == "watch" or (op in _EVENTS and _raw(fields, "wait_ms") != _NOT_AT_ALL):
            if not asked.id:
                self._refuse(asked, "bad_request", f"a {op} that goes on needs an 'id' here", _GIVE_ID)
                return
            asked.fields = fields
            asked.standing = _standing(op, fields, now)
        self._unsent.append(asked)

    def refuse_long(self, most: int) -> None:
        """Answer a line that was too long to be taken."""
        asked = _Asked(b"")
        self._waiting.append(asked)
        self._refuse(asked, "line_too_long", f"a line is longer than {most} bytes", "no node takes it")

    def probe(self) -> None:
        """Ask whether the node is there, before anything else is sent to it."""
        self._probe = _Asked(_PING)
        self._probe.is_silent = True
        self._unsent.appendleft(self._probe)

    def take(self, most: int) -> bytes:
        """The next lines to send, of so many bytes or a little more. From now on this node may carry them out."""
        lines: list[bytes] = []
        size = 0
        while size < most and self.can_send:
            asked = self._unsent.popleft()
            asked.was_sent = True
            self._expected.append(asked)
            lines.append(asked.line)
            size += len(asked.line)
        return b"\n".join([*lines, b""])

    def receive(self, lines: Sequence[bytes]) -> None:
        """Take lines from the node. Raises ValueError where they are no answer to what was asked."""
        for line in lines:
            try:
                told: _Told = _told_by.decode(line)
            except DecodeError:
                raise NotANode from None
            if told.ok is None and told.event is not None:
                self._pushed(line)
                continue
            if told.ok is None or not self._expected or bytes(told.id) not in (b"", self._expected[0].id):
                raise ValueError("a reply came that was not asked for")
            asked = self._expected.popleft()
            if asked.is_silent:
                self._answered_silently(asked, line, told)
            else:
                self._answered(asked, line, told)

    def answers(self) -> list[bytes]:
        """The lines to hand out since the last call, in order, without their ends."""
        out, self._out = self._out, []
        return out

    def lost(self, node: object, why: str) -> None:
        """Take up the loss of the node: tell of what nobody knows, and have the rest asked again."""
        if any(not asked.is_repeatable for asked in self._expected):
            self._let_be_refused()
        for asked in self._expected:
            asked.was_lost = True
            if not asked.is_repeatable and not asked.is_silent:
                message = f"{node} did not answer ({why}): the write may have been applied"
                self._answer(asked, error_reply(asked.id, LOST_CODE, message, _READ_AGAIN, "unknown")[:-1])
        self._expected.clear()
        self._begin_anew()

    def begin(self, now: float) -> None:
        """Take up a connection to another node: what goes on is asked first."""
        self._unsent.extendleft([_again(asked, now) for asked in self._open.values()])

    def give_up(self, error: NoNode) -> None:
        """Answer everything: no node can be reached."""
        self._expected.clear()
        for asked in self._waiting:
            if asked.answer is None:
                applied = ("unknown" if asked.is_uncertain else "no") if asked.changes else None
                asked.answer = error_reply(asked.id, NO_NODE_CODE, error.message, error.hint, applied)[:-1]
        self._hand_out()
        for asked in list(self._open.values()):
            fields = {"code": NO_NODE_CODE, "message": error.message, "hint": error.hint}
            self._end(asked, b'{"id":%b,"event":"closed","error":%b}' % (asked.id, encode(fields)))
        self._unsent.clear()

    def _begin_anew(self) -> None:
        """Have all that was not answered sent again, in order."""
        self._unsent = deque(asked for asked in self._waiting if asked.answer is None)
        for asked in self._unsent:
            asked.was_sent = False
        self._stopping.clear()
        self._probe = None
        self._leaves = False
        self._hand_out()

    def _answered(self, asked: _Asked, line: bytes, told: _Told) -> None:
        if told.ok:
            if self._stopping:
                self._let_be_refused()
            if asked.standing is not None and not self._goes_on(asked, line):
                asked.standing = None
            self._answer(asked, line)
            return
        error = decode(bytes(told.error), _Error)
        if asked.was_lost and error.applied == "no" and error.code in OF_THE_ATTEMPT:
            line = _unsure(line)
        if error.code == "shutting_down" and error.applied != "unknown":
            asked.was_sent = False
            asked.refusal = line
            self._stopping.append(asked)
            self._leaves = True
            return
        if error.code == "line_too_long":  # it reads no more of this connection
            self._expected.clear()
            self._leaves = True
        self._answer(asked, line)

    def _let_be_refused(self) -> None:
        """Hand out the refusals of a node that stops: a later request was carried out, and would be overtaken."""
        for asked in self._stopping:
            self._answer(asked, asked.refusal)
        self._stopping.clear()

    def _goes_on(self, asked: _Asked, line: bytes) -> bool:
        """Whether the request goes on after this reply; it is known by its id from now on."""
        assert asked.standing is not None
        asked.standing.answered(Reply(line))
        if asked.standing.has_ended:
            return False
        self._open[asked.id] = asked
        return True

    def _answer(self, asked: _Asked, line: bytes) -> None:
        asked.answer = line
        self._hand_out()

    def _refuse(self, asked: _Asked, code: str, message: str, hint: str) -> None:
        self._answer(asked, error_reply(asked.id, code, message, hint, None)[:-1])

    def _hand_out(self) -> None:
        """Hand out the replies whose turn it is."""
        waiting = self._waiting
        while waiting and waiting[0].answer is not None:
            asked = waiting.popleft()
            assert asked.answer is not None
            self._bytes -= len(asked.line)
            self._out.append(asked.answer)
            if self.first_refusal is None and b'"ok":true' not in asked.answer[: len(asked.id) + 32]:
                reply = Reply(asked.answer)
                self.first_refusal = None if reply.ok else reply
            if asked.op == "cancel":
                self._open.pop(_raw(_fields_of.decode(asked.line), "request"), None)

    def _pushed(self, line: bytes) -> None:
        """Hand out a push, if it tells something new."""
        push, id = _push(line)
        if push.event == "progress":
            for asked in self._open.values():
                assert asked.standing is not None
                asked.standing.take(push)
            self._out.append(line)
            return
        found = self._open.get(id)
        if found is None:
            self._out.append(line)
        elif push.event == "closed":
            self._ended(found, push.error.code, line)
        else:
            assert found.standing is not None
            if found.standing.take(push) is not None:
                self._out.append(line)
            if found.standing.has_ended:
                del self._open[found.id]

    def _ended(self, asked: _Asked, code: str, line: bytes) -> None:
        """Take up that a node has ended what went on, or would not take it up: another may."""
        if code in _ELSEWHERE or (code == "timeout" and "wait_ms" not in asked.fields):
            self._leaves = True
        else:
            self._end(asked, line)

    def _end(self, asked: _Asked, line: bytes) -> None:
        """Hand out the end of what went on, which is an error."""
        del self._open[asked.id]
        self._out.append(line)
        if self.first_refusal is None:
            self.first_refusal, _ = _push(line)

    def _answered_silently(self, asked: _Asked, line: bytes, told: _Told) -> None:
        """Take the reply to a ping, or that of another node to what goes on."""
        if asked is self._probe:
            self._probe = None
        found = self._open.get(asked.id)
        if found is None or found.standing is not asked.standing or asked.standing is None:
            return
        if not told.ok:
            code = decode(bytes(told.error), _Error).code
            self._ended(found, code, b'{"id":%b,"event":"closed","error":%b}' % (found.id, bytes(told.error)))
        elif (reply := asked.standing.answered(Reply(line))) is not None:  # what was waited for: told as an event
            fields = {name: raw for name, raw in reply.fields.items() if name not in ("id", "ok")}
            self._out.append(b'{"id":%b,"event":"%b",%b' % (found.id, _EVENTS[found.op], encode(fields)[1:]))
            del self._open[found.id]


def _push(line: bytes) -> tuple[Push, bytes]:
    """A push, and the id that it came with, which is whatever its request had."""
    fields: dict[str, msgspec.Raw] = _fields_of.decode(line)
    id = _raw(fields, "id")
    fields.pop("id", None)
    return Push(line, fields), id


def _unsure(line: bytes) -> bytes:
    """The refusal of a write that this node did not apply, and an earlier one may have."""
    fields: dict[str, msgspec.Raw] = _fields_of.decode(line)
    error: dict[str, msgspec.Raw] = _fields_of.decode(bytes(fields["error"]))
    error["applied"] = msgspec.Raw(encode("unknown"))
    fields["error"] = msgspec.Raw(encode(error))
    return encode(fields)


def _raw(fields: dict[str, msgspec.Raw], name: str) -> bytes:
    """A field's JSON; empty where it is missing."""
    return bytes(fields.get(name, b""))


def _standing(op: str, fields: dict[str, msgspec.Raw], now: float) -> Standing:
    """How a request goes on after its reply, at another node too."""
    if op == "watch":
        return Watching({"initial": _raw(fields, "initial") == b"true"})
    try:
        seconds = decode(_raw(fields, "wait_ms"), int) / 1000
    except (DecodeError, OverflowError):  # there is none, or the node refuses it
        seconds = None
    return Waiting({"op": op}, seconds, now)


def _again(asked: _Asked, now: float) -> _Asked:
    """The request with which another node is asked to go on."""
    assert asked.standing is not None
    changed = {name: value for name, value in asked.standing.request(now).items() if name in _OF_THE_PLACE}
    fields = {**asked.fields, **changed}
    if "after_rev" in changed:
        fields.pop("initial", None)
    again = _Asked(encode(fields), asked.id)
    again.op, again.is_silent, again.standing = asked.op, True, asked.standing
    return again
