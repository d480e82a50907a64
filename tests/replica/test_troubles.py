"""What a node tells in its status of the peers that it cannot reach, or refuses."""

from __future__ import annotations

from trioraft.replica.troubles import KEPT_TICKS, Trouble, Troubles
from trioraft.wire.peers import PeerRefused

REFUSED = PeerRefused("membership", "its folder was emptied", "start it with its own", reason="other_folder")


def trouble(node: int, message: str = "m") -> Trouble:
    return Trouble(node, "to", "connect", message, "")


def test_the_newest_of_each_peer_and_way_is_told_in_order() -> None:
    troubles = Troubles()
    troubles.met(trouble(2))
    troubles.met(trouble(1, "before"))
    troubles.met(trouble(1, "now"))
    troubles.refuses(1, "from", REFUSED)
    assert [(met.node, met.way, met.message) for met in troubles.present] == [
        (1, "from", REFUSED.message),
        (1, "to", "now"),
        (2, "to", "m"),
    ]
    assert troubles.present[0].reason == "other_folder"


def test_one_is_over_with_a_connection_that_way() -> None:
    troubles = Troubles()
    troubles.met(trouble(1))
    troubles.refuses(1, "from", REFUSED)
    troubles.over(1, "to")
    assert [met.way for met in troubles.present] == ["from"]
    troubles.refuses(1, "at", REFUSED)
    troubles.over(1, "to", "at")
    assert [met.way for met in troubles.present] == ["from"]
    troubles.over(1, "from")
    troubles.over(1, "from")
    assert troubles.present == []


def test_one_that_is_not_met_again_is_over() -> None:
    troubles = Troubles()
    troubles.met(trouble(1))
    troubles.pass_time(KEPT_TICKS)
    troubles.met(trouble(2))
    assert [met.node for met in troubles.present] == [1, 2]
    troubles.pass_time(1)
    assert [met.node for met in troubles.present] == [2]
