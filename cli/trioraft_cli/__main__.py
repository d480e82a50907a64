"""The entry point: what a person or a script calls."""

from __future__ import annotations

import sys

from trioraft_cli.main import run


def main() -> None:
    """Run the command line; the exit code says how it went."""
    sys.exit(run())


if __name__ == "__main__":
    main()
