"""Programs that use something up: `stress`, and the page of the autoscaling walk-through."""

from __future__ import annotations

import argparse
import math
import mmap
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn, TextIO

from aiohttp import web

from .hello import run

_SIZE = re.compile(r"(\d+)([bkmgBKMG]?)")
_TIME = re.compile(r"(\d+)([smhdySMHDY]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "y": 31557600}
_MOST = 64
"""Workers of one kind at most."""
_PAGE = 4096


def hpa_example(argv: list[str]) -> int:
    """registry.k8s.io/hpa-example: a page that costs CPU."""

    async def work(request: web.Request) -> web.Response:
        found = 0.0001
        for _ in range(1_000_001):
            found += math.sqrt(found)
        return web.Response(text="OK!")

    return run(80, work)


def stress(argv: list[str]) -> int:
    """polinux/stress and its like: workers that spin, sync, hold memory or write to the disk, as stress 1.0 has them.

    A worker's death ends all of it with exit code 1.
    """
    options = _options().parse_args(argv[1:] if argv[:1] == ["stress"] else argv)
    began = time.monotonic()
    if not options.quiet:
        kinds = ", ".join(f"{getattr(options, kind)} {kind}" for kind in ("cpu", "io", "vm", "hdd"))
        _say(f"info: [{os.getpid()}] dispatching hogs: {kinds}")
    work = [_spin] * options.cpu + [_sync] * options.io
    work += [lambda: _hold(options)] * options.vm + [lambda: _write(options)] * options.hdd
    workers = set()
    for worker in work:
        if (pid := os.fork()) == 0:
            _worker(worker, options.timeout)
        workers.add(pid)
    signal.signal(signal.SIGTERM, lambda number, frame: _end(workers, 128 + number))
    signal.signal(signal.SIGINT, lambda number, frame: _end(workers, 128 + number))
    failed = False
    while workers:
        pid, status = os.wait()
        workers.discard(pid)
        if os.waitstatus_to_exitcode(status) == 0 or failed:
            continue
        failed, code = True, os.waitstatus_to_exitcode(status)
        what = f"got signal {-code}" if code < 0 else f"returned error {code}"
        _say(f"FAIL: [{os.getpid()}] (415) <-- worker {pid} {what}", sys.stderr)
        _say(f"WARN: [{os.getpid()}] (417) now reaping child worker processes", sys.stderr)
        for other in workers:
            os.kill(other, signal.SIGKILL)
    took = f"{time.monotonic() - began:.0f}s"
    if failed:
        _say(f"FAIL: [{os.getpid()}] (451) failed run completed in {took}", sys.stderr)
    elif not options.quiet:
        _say(f"info: [{os.getpid()}] successful run completed in {took}")
    return int(failed)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stress", description="Impose certain types of stress on the system.")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("-t", "--timeout", type=_time, default=0, metavar="N", help="end after N seconds")
    parser.add_argument("--backoff", type=int, default=3000, metavar="N", help="taken and not used")
    for short, long, what in (
        ("-c", "--cpu", "spin"),
        ("-i", "--io", "sync"),
        ("-m", "--vm", "hold memory"),
        ("-d", "--hdd", "write"),
    ):
        parser.add_argument(short, long, type=_count, default=0, metavar="N", help=f"N workers that {what}")
    parser.add_argument("--vm-bytes", type=_size, default=256 << 20, metavar="B", help="bytes each holds")
    parser.add_argument("--vm-stride", type=_size, default=_PAGE, metavar="B", help="touch one in so many")
    parser.add_argument("--vm-hang", type=int, default=-1, metavar="N", help="seconds it holds them (0: for ever)")
    parser.add_argument("--vm-keep", action="store_true", help="touch them again instead of taking them anew")
    parser.add_argument("--hdd-bytes", type=_size, default=1 << 30, metavar="B", help="bytes each writes")
    return parser


def _worker(work: object, timeout: int) -> NoReturn:
    """In the child: it ends by itself after the timeout, which is success."""
    code = 1
    try:
        assert callable(work)
        if timeout:
            signal.signal(signal.SIGALRM, lambda number, frame: os._exit(0))
            signal.alarm(timeout)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work()
    except (MemoryError, OSError) as error:
        _say(f"FAIL: [{os.getpid()}] (494) hogvm malloc failed: {error}", sys.stderr)
    finally:
        os._exit(code)


def _spin() -> None:
    while True:
        math.sqrt(2.0)


def _sync() -> None:
    while True:
        os.sync()


def _hold(options: argparse.Namespace) -> None:
    stride, pages = options.vm_stride, max(options.vm_bytes, 1)
    touched = b"Z" * ((pages + stride - 1) // stride)
    while True:
        with mmap.mmap(-1, pages) as held:
            while True:
                held[::stride] = touched
                if options.vm_hang >= 0:
                    time.sleep(options.vm_hang or 1 << 30)
                if not options.vm_keep:
                    break


def _write(options: argparse.Namespace) -> None:
    place = Path(f"./stress.{os.getpid()}")
    block = b"\0" * (1 << 20)
    while True:
        with place.open("wb") as file:
            place.unlink()
            for _ in range(max(options.hdd_bytes >> 20, 1)):
                file.write(block)


def _end(workers: set[int], code: int) -> NoReturn:
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    os._exit(code)


def _count(text: str) -> int:
    if not text.isdigit() or int(text) > _MOST:
        raise argparse.ArgumentTypeError(f"{text}: a number up to {_MOST} is wanted")
    return int(text)


def _size(text: str) -> int:
    if not (found := _SIZE.fullmatch(text)):
        raise argparse.ArgumentTypeError(f"{text}: a number of bytes is wanted, with B, K, M or G")
    return int(found[1]) << {"": 0, "b": 0, "k": 10, "m": 20, "g": 30}[found[2].lower()]


def _time(text: str) -> int:
    if not (found := _TIME.fullmatch(text)):
        raise argparse.ArgumentTypeError(f"{text}: a time is wanted, with s, m, h, d or y")
    return int(found[1]) * _SECONDS[found[2].lower()]


def _say(line: str, stream: TextIO | None = None) -> None:
    stream = stream or sys.stdout
    stream.write(f"stress: {line}\n")
    stream.flush()
