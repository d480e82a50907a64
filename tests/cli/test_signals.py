"""Signals to a prompt in this process: what they interrupt, what they do not, and the exit code."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from trioraft_cli.signals import Interrupts, Leaving, undisturbed

ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TO_LEAVE = (signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def harmless() -> Iterator[None]:
    """Turn a signal that a test forgets to catch into an exception, and restore the handlers at the end."""

    def miss(number: int, _: object) -> None:
        raise AssertionError(f"signal {number} was not handled")

    before = {number: signal.signal(number, miss) for number in ALL}
    yield
    missed = [number for number in ALL if signal.getsignal(number) is not miss]
    for number, handler in before.items():
        signal.signal(number, handler)
    assert missed == []


def breaks_off() -> bool:
    """Whether Ctrl-C raises KeyboardInterrupt, which would end the tests."""
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        return True
    return False


def test_ctrl_c_breaks_off_a_command_once_and_nothing_beside_one() -> None:
    with Interrupts() as interrupts:
        assert not breaks_off()
        with interrupts.breaking_off():
            assert breaks_off()
            assert not breaks_off()  # cleaning up on the way out
        assert not breaks_off()
        with interrupts.breaking_off():
            pass
        assert not breaks_off()


@pytest.mark.parametrize("number", TO_LEAVE)
def test_who_is_told_to_leave_does_and_what_fails_on_the_way_changes_nothing(number: signal.Signals) -> None:
    for failure in (None, OSError("the terminal is gone")):
        with pytest.raises(SystemExit) as end, Leaving():
            try:
                signal.raise_signal(number)
            finally:
                for again in TO_LEAVE:
                    signal.raise_signal(again)
                if failure is not None:
                    raise failure
        assert end.value.code == 128 + number


@pytest.mark.parametrize("number", TO_LEAVE)
def test_what_must_not_be_broken_off_is_asked_to_end(number: signal.Signals) -> None:
    done: list[str] = []
    with pytest.raises(SystemExit) as end, Leaving() as leaving:
        with leaving.by_asking(lambda: done.append("asked")):
            assert not leaving.told
            signal.raise_signal(number)
            assert leaving.told
            done.append("ended")
        done.append("went on")
    assert done == ["asked", "ended"]
    assert end.value.code == 128 + number


def test_a_signal_that_is_ignored_stays_so_and_where_none_comes_nothing_is_raised() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Leaving() as leaving, leaving.by_asking(lambda: None):
        signal.raise_signal(signal.SIGHUP)
    assert signal.signal(signal.SIGHUP, before) is signal.SIG_IGN


def test_what_is_seen_to_at_the_end_is_not_disturbed() -> None:
    with undisturbed():
        for number in ALL:
            signal.raise_signal(number)
