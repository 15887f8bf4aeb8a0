"""`make bench-net`: the network's parts against their real peers, in interleaved pairs, and how fast changes arrive.

Parts are chosen by name (`net.py dns rules`); without any, all run. Each says what it measured in lines of its own.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import platform
import sys

PARTS = ("forward", "ingress", "dns", "rules", "changes")
"""Modules net_NAME.py with `run(rounds, seconds)`, which yields lines."""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of each measurement")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run of a pair")
    options = parser.parse_args(argv)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    print(
        f"{datetime.date.today()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, uid {os.geteuid()}, load {os.getloadavg()[0]:.1f}"
    )
    print(f"{options.rounds} rounds of {options.seconds:g} s each; medians", flush=True)
    for part in options.parts or PARTS:
        print(flush=True)
        for line in importlib.import_module(f"net_{part}").run(options.rounds, options.seconds):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
