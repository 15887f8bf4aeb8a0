"""Commands that use something up: memory and CPU, or the log."""

from __future__ import annotations

import os
import random
import sys
import time

from panal import durations, quantity

from .flags import Usage, number, parse

_NAMESPACES = ("default", "kube-system", "ns")
_METHODS = ("GET", "POST", "PUT")


def stress(argv: list[str]) -> int:
    """Take `--mem-total` in steps, and keep `--cpus` busy, until it is ended."""
    known = {"mem-total": "0", "mem-alloc-size": "4Ki", "mem-alloc-sleep": "1ms", "cpus": "0", "logtostderr": "true"}
    values, _ = parse(argv, known, {"m": "mem-total"})
    try:
        total, step = quantity.whole(values["mem-total"]), quantity.whole(values["mem-alloc-size"])
        pause = durations.seconds(values["mem-alloc-sleep"])
    except ValueError as error:
        raise Usage(f"Error: {error}") from None
    for _ in range(min(number(values, "cpus"), 64)):
        if os.fork() == 0:
            while True:
                pass
    sys.stderr.write(
        f"Allocating {values['mem-total']} memory, in {values['mem-alloc-size']} chunks, with a {pause}s sleep\n"
    )
    held, taken = [], 0
    while taken < total:
        size = max(min(step, total - taken), 1)
        held.append(bytearray(os.urandom(1)) * size)  # every page is written to
        taken += size
        if pause:
            time.sleep(pause)
    sys.stderr.write(f"Allocated {taken} bytes\n")
    while True:
        time.sleep(3600)


def logs_generator(argv: list[str]) -> int:
    """So many lines, evenly over so long a time, each with its number."""
    values, _ = parse(
        argv, {"log-lines-total": "0", "run-duration": "0s"}, {"t": "log-lines-total", "d": "run-duration"}
    )
    total, duration = number(values, "log-lines-total"), durations.seconds(values["run-duration"])
    if total <= 0:
        raise Usage("Invalid total number of lines: 0")
    if duration <= 0:
        raise Usage("Invalid duration: 0s")
    began, chance = time.monotonic(), random.Random()
    for line in range(total):
        time.sleep(max(began + line * duration / total - time.monotonic(), 0))
        name = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=chance.randint(3, 5)))
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        place = f"/api/v1/namespaces/{chance.choice(_NAMESPACES)}/endpoints/{name}"
        sys.stdout.write(f"{now} {line} {chance.choice(_METHODS)} {place} {chance.randint(200, 599)}\n")
        sys.stdout.flush()
    return 0
