"""The entry point: what a person or a script calls."""

from __future__ import annotations

import gc
import signal
import sys


def main() -> None:
    """Run the command line; the exit code says how it went."""
    gc.disable()
    handler = signal.getsignal(signal.SIGINT)
    caught = handler is signal.default_int_handler
    if caught:  # until the program is loaded, Ctrl-C ends the process without a word
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from trioraft_cli.main import run
    from trioraft_cli.outcomes import INTERRUPTED

    gc.freeze()  # what a program loads is no garbage: it would be looked through ten times, and at the end
    gc.enable()
    try:
        if caught:
            signal.signal(signal.SIGINT, handler)
        code = run()
    except KeyboardInterrupt:  # just before, or just after, a command
        code = INTERRUPTED
    if caught:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)


if __name__ == "__main__":
    main()
