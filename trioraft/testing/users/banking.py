"""Moves money between accounts in transactions: at any moment they hold nothing together."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from trioraft.testing.answers import Asked
from trioraft.testing.store_model import StoreModel
from trioraft.testing.users.user import USED, Next, User

_ACCOUNTS: Final = [f"{USED}account-{number}" for number in range(4)]


class Banking(User):
    """One client that moves money, if nobody else has moved it since it looked."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.moved = 0
        """How often it has moved money."""
        self._random = random
        self._waiting = False

    def __str__(self) -> str:
        return f"moved money {self.moved} times"

    @property
    def done(self) -> bool:
        """Whether it is to do no more: its transactions leave nothing behind."""
        return self.finishing and not self._waiting

    def connected(self) -> Next:
        """Look at all accounts."""
        self._waiting = False
        return self._look()

    def idle(self) -> Next:
        """Look at all accounts again."""
        return self._look()

    def _look(self) -> Next:
        if self._waiting or self.finishing:
            return []
        self._waiting = True
        return [{"op": "txn", "then": [{"op": "get", "key": key} for key in _ACCOUNTS]}]

    def answered(self, asked: Asked, reply: dict[str, Any]) -> Next:
        """Move money after a look."""
        self._waiting = False
        if not reply["ok"]:
            return None
        if "checks" in asked:
            self.moved += bool(reply["succeeded"])
            return []
        seen = {key: shown["rev"] for key, shown in zip(_ACCOUNTS, reply["results"], strict=True)}
        total = sum(shown["value"] or 0 for shown in reply["results"])
        assert total == 0, f"the accounts hold {total} together: {reply}"
        payer, payee = self._random.sample(_ACCOUNTS, 2)
        amount = self._random.randint(1, 100)
        self._waiting = True
        move = {
            "op": "txn",
            "checks": [{"key": key, "rev": seen[key]} for key in (payer, payee)],
            "then": [
                {"op": "incr", "key": payer, "by": -amount},
                {"op": "get", "key": payer},
                {"op": "incr", "key": payee, "by": amount},
            ],
            "else": [{"op": "get", "key": payer}],
        }
        return [move]

    def verify(self, model: StoreModel) -> None:
        """Compare the sum."""
        total = sum(int(model.keys[key].value) for key in _ACCOUNTS if key in model.keys)
        assert total == 0, f"the accounts hold {total} together"
