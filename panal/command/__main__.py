"""The program's door: Control-C is one line and exit code 130 from here on, also while the commands are imported."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """What the script `panal` and `python -m panal.command` call."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # nohup(1)
        signal.signal(signal.SIGINT, _end)
    from .cli import run

    run()


def _end(number: int, frame: object) -> None:
    """Nothing has been begun yet. An exception might be caught by whatever is being imported."""
    os.write(2, b"panal: interrupted.\n")
    os._exit(130)


if __name__ == "__main__":
    main()
