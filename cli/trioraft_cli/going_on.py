"""What goes on in the prompt between its commands: watches that print, and locks that are kept alive."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any, Final

from trioraft.addresses import Address
from trioraft.background import in_background
from trioraft.client import ClientError, KeptLease, Push, Stream, Watching
from trioraft_cli.counts import counted
from trioraft_cli.escapes import safe_json
from trioraft_cli.outcomes import complain
from trioraft_cli.render import event_line
from trioraft_cli.streams import StreamError, say
from trioraft_cli.words import quote

JOINED_SECONDS: Final = 0.1
"""How long events are gathered before they are printed: the line that is typed is drawn anew each time."""
MOST_LINES: Final = 20
"""The most events that are printed at once; the others are counted."""


class GoingOn:
    """The watches and locks of one prompt. All end with it."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses
        self._watches: list[Stream] = []
        self._locks: dict[str, ExitStack] = {}
        self._joined = _Joined()

    @property
    def events_shown(self) -> int:
        """How many events of watches have been printed, or counted, so far."""
        return self._joined.shown

    def watch(self, fields: dict[str, Any], *, as_json: bool = False) -> None:
        """Print the events of a watch with these fields from now on, as JSON if asked to."""
        stream = Stream(self._addresses, Watching(fields), say)
        self._watches.append(stream)
        in_background(lambda: self._print(stream, as_json))

    def end_watches(self) -> int:
        """End all watches; how many there were."""
        ended = self._watches[:]
        self._watches.clear()
        for stream in ended:
            stream.abandon()
        return len(ended)

    def break_off(self) -> None:
        """End all watches, as Ctrl-C does, and say so."""
        if ended := self.end_watches():
            say(f"no longer shown: the changes of {counted(ended, 'watch', 'watches')}")

    def hold(self, name: str, lock: ExitStack, kept: KeptLease) -> None:
        """Keep a lock: with `lock` it is given back."""
        self._locks[name] = lock
        kept.on_lost = lambda: self._lost(name, kept)
        if kept.lost.is_set():
            self._lost(name, kept)

    def holds(self, name: str) -> bool:
        """Whether this prompt holds the lock."""
        return name in self._locks

    def give_back(self, name: str) -> None:
        """Give back a lock that this prompt holds."""
        if (lock := self._locks.pop(name, None)) is not None:
            lock.close()

    @property
    def is_quiet(self) -> bool:
        """Whether no event may be printed now, as the output goes elsewhere."""
        return self._joined.is_quiet

    def quiet(self) -> AbstractContextManager[None]:
        """A context in which no event is printed: what has the terminal then is not to be written into."""
        return self._joined.quiet()

    def check(self) -> None:
        """Raise StreamError where an event could not be printed: it was told of nowhere."""
        if (failure := self._joined.take_failure()) is not None:
            raise failure

    def close(self) -> None:
        """End all watches, and give back all locks."""
        self.end_watches()
        for done in [in_background(partial(self.give_back, name)) for name in list(self._locks)]:
            done.result()  # at once, as a cluster that hangs is waited for each time

    def _print(self, stream: Stream, as_json: bool) -> None:
        try:
            for push in stream:
                if as_json:
                    self._joined.add(safe_json(push.line.decode()))
                elif isinstance(push, Push) and push.event != "synced":
                    self._joined.add(event_line(push))
        except ClientError as error:
            if stream in self._watches:
                self._watches.remove(stream)
                complain(error)

    def _lost(self, name: str, kept: KeptLease) -> None:
        if self._locks.pop(name, None) is not None:
            say(f"the lock {quote(name, sys.stderr.encoding)} is lost: {kept.why_lost}")


class _Joined:
    """Prints lines from several threads, joined."""

    def __init__(self) -> None:
        self.shown = 0
        """How many lines have been printed, or counted."""
        self._guard = threading.Lock()
        self._lines: list[str] = []
        self._others = 0
        self._is_due = False
        self.is_quiet = False
        self._failure: StreamError | None = None

    def take_failure(self) -> StreamError | None:
        """Return, once, why a line could not be printed."""
        failure, self._failure = self._failure, None
        return failure

    def add(self, line: str) -> None:
        """Print a line soon, or count it."""
        with self._guard:
            if len(self._lines) < MOST_LINES:
                self._lines.append(line)
            else:
                self._others += 1
            if self._is_due:
                return
            self._is_due = True
        timer = threading.Timer(JOINED_SECONDS, self._print)
        timer.daemon = True
        timer.start()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """A context in which nothing is printed; at its end what has come meanwhile is."""
        try:
            self.is_quiet = True  # in here, as Ctrl-C may come behind any line
            yield
        finally:
            self.is_quiet = False
            self._print()

    def _print(self) -> None:
        with self._guard:
            if self.is_quiet:
                return
            lines, others = self._lines, self._others
            self._lines, self._others, self._is_due = [], 0, False
        if not lines:
            return
        count = len(lines) + others
        if others:
            lines.append(f"... and {counted(others, 'more event')}")
        try:
            print("\n".join(lines), flush=True)
        except StreamError as error:  # which standard output raises once: the prompt has to hear of it
            self._failure = error
        self.shown += count
