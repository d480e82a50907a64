"""Lines that nobody asked for are told apart from replies and handed on in order, or refused; none becomes a reply."""

from __future__ import annotations

from typing import Any

import pytest

from trioraft.client import Client, NoNode, Push, Unknown, attempts
from trioraft.client.protocol import NotANode, Protocol

from ..helpers.fake_nodes import Make

EVENT = {"event": "put", "id": 7, "key": "cfg/a", "value": 1, "rev": 12}
PROGRESS = {"event": "progress", "at": 40}


def conversation() -> tuple[Protocol, list[Push]]:
    pushes: list[Push] = []
    protocol = Protocol(pushes.append)
    protocol.send({"op": "get", "key": "k"})
    return protocol, pushes


def test_pushes_before_between_and_behind_replies_are_none_of_them() -> None:
    protocol, pushes = conversation()
    protocol.send({"op": "get", "key": "k"})
    replies = protocol.receive(
        b'{"id":1,"event":"put","key":"a","rev":12}\n{"id":1,"ok":true,"value":1}\n{"event":"progress","at":12}\n'
        b'{"id":2,"ok":true,"value":2}\n{"id":1,"event":"closed","error":{"code":"compacted","message":""}}\n'
    )
    assert [reply["value"] for reply in replies] == [1, 2]
    assert [(push.event, push.id) for push in pushes] == [("put", 1), ("progress", None), ("closed", 1)]
    assert pushes[0]["key"] == "a"
    protocol.send({"op": "ping"})
    assert len(protocol.receive(b'{"id":3,"ok":true}\n')) == 1, "the next reply is this one's"


def test_a_reply_that_tells_of_an_event_is_a_reply() -> None:
    protocol, pushes = conversation()
    assert [reply["event"] for reply in protocol.receive(b'{"id":1,"ok":true,"event":"put"}\n')] == ["put"]
    assert pushes == []


@pytest.mark.parametrize("line", [b'{"event":7}\n', b'{"event":null,"id":1}\n', b'{"event":"put","id":"x"}\n'])
def test_a_push_that_says_neither_what_nor_to_whom_comes_from_no_node(line: bytes) -> None:
    protocol, pushes = conversation()
    with pytest.raises(NotANode):
        protocol.receive(line)
    assert pushes == []


def test_without_a_hook_a_push_is_refused_with_words() -> None:
    protocol = Protocol()
    protocol.send({"op": "get", "key": "k"})
    with pytest.raises(ValueError, match="an event came that was not asked for"):
        protocol.receive(b'{"id":1,"event":"put","value":2}\n{"id":1,"ok":true,"value":1}\n')


def test_a_client_with_a_hook_gets_its_replies_and_the_pushes(fake: Make) -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] == "get":
            node.push({**EVENT, "id": request["id"]})
            node.push(PROGRESS)
        return {"value": 1}

    node = fake(answer)
    pushes: list[Push] = []
    with Client([node.address], on_push=pushes.append) as client:
        assert [client.call("get", key="k")["value"] for _ in range(2)] == [1, 1]
    assert [push.event for push in pushes] == ["put", "progress"] * 2
    assert [push.id for push in pushes] == [2, None, 3, None]  # behind the ping


@pytest.mark.parametrize("op", ["get", "put"])
def test_a_client_without_one_takes_a_push_for_the_failure_of_the_connection(
    fake: Make, op: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "RETRY_SECONDS", 0.0)

    def confused(request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] != "ping":
            node.push({**EVENT, "id": request["id"]})
        return {"value": 2}

    node, other = fake(confused), fake(lambda _: {"value": 1})
    with Client([node.address]) as client, pytest.raises((NoNode, Unknown), match="an event came that was not asked"):
        client.call(op, key="k", value=1)
    monkeypatch.undo()
    with Client([node.address, other.address]) as client:
        if op == "get":
            assert client.call("get", key="k")["value"] == 1  # of the other connection
        else:
            with pytest.raises(Unknown, match="may have been applied"):
                client.call("put", key="k", value=1)
            assert other.asked == []
