"""Functions that spawned test processes run."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence


def hello(argv: Sequence[str]) -> int:
    print("hello", *argv, os.environ.get("GREETING"))
    print("to stderr", file=sys.stderr)
    return 7


def explode(argv: Sequence[str]) -> int:
    raise RuntimeError("boom")


def leave(argv: Sequence[str]) -> int:
    sys.exit("no more")


def wait(argv: Sequence[str]) -> int:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(9))
    print("ready", flush=True)
    while True:
        time.sleep(60)


def loop(argv: Sequence[str]) -> int:
    import asyncio

    async def main() -> int:
        await asyncio.sleep(0.01)
        return 5

    return asyncio.run(main())


def signals(argv: Sequence[str]) -> int:
    print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    print(sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1], os.getsid(0) == os.getpid(), os.getcwd())
    return 0
