"""The process that holds a pod's shared namespaces: it waits, and reaps whatever is orphaned to it."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Until SIGTERM or SIGINT."""
    waited = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    while signal.sigwait(waited) == signal.SIGCHLD:
        _reap()
    return 0


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
