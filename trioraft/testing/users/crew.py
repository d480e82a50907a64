"""The users of a run, drawn from its seed, and what they must find together at its end."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Final

from trioraft.testing.store_model import StoreModel
from trioraft.testing.users.banking import Banking
from trioraft.testing.users.counting import Counting, verify_sum
from trioraft.testing.users.locking import Locking
from trioraft.testing.users.user import USED, User
from trioraft.testing.users.waiting import Waiting
from trioraft.testing.users.watching import Watching

NUMBERS: Final = 1000
"""The number of the first user; clients have lower ones."""


_KINDS: Final = ("counting", "banking", "locking", "watching", "waiting")
"""The kinds of users."""


def draw_users(random: Random, tick_ms: int = 10) -> list[User]:
    """Draw some users of a few kinds. `tick_ms`: how much of a ttl a hundredth of a second uses up."""
    users: list[User] = []
    for kind in random.sample(_KINDS, random.choice((0, 1, 2, 3))):
        match kind:
            case "counting":
                users += [Counting(random.choice((1, 1, 3))) for _ in range(random.randint(1, 3))]
            case "banking":
                users += [Banking(random) for _ in range(2)]
            case "locking":
                users += [
                    Locking(random, max(1000, 100 * tick_ms), 1.0, random.random() < 0.7)
                    for _ in range(random.randint(2, 4))
                ]
            case "watching":
                users += [Watching(random, where) for where in random.sample(_WATCHED, random.randint(1, 2))]
            case "waiting":
                users.append(Waiting(f"{USED}count"))
    return users


_WATCHED: Final = (
    {"prefix": "", "progress_ms": 200},
    {"prefix": "any", "initial": True, "progress_ms": 500},
    {"prefix": USED, "progress_ms": 1000},
    {"prefix": "", "initial": True, "progress_ms": 100},
    {"key": f"{USED}count", "progress_ms": 200},
)


def verify(users: Iterable[User], model: StoreModel) -> None:
    """Compare what each user was told with the log, and what all of them did. Raises AssertionError."""
    users = list(users)
    for user in users:
        user.verify(model)
    verify_sum(users, model)
