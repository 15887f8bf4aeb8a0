"""What a runtime daemon has around it in a cluster, for tests: it is started again when it dies, orphans are recorded.

    python holder.py CONFIG EXITS

The real one is the steward; this holds one daemon. It is process 1 of its namespace, or a subreaper.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time

from panal.agents.runtime import syscalls
from panal.agents.runtime.__main__ import main as daemon


def start(config: str) -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(daemon(["--config", config]))
    return pid


def main() -> None:
    config, exits = sys.argv[1:]
    syscalls.set_child_subreaper()
    current = start(config)
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            return
        if pid == current:
            current = start(config)
            continue
        with contextlib.suppress(OSError), open(exits, "a") as file:
            file.write(json.dumps({"pid": pid, "status": status, "time": time.time()}) + "\n")


if __name__ == "__main__":
    main()
