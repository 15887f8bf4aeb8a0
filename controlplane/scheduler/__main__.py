"""kube-scheduler: gives every pod a node."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from panal import log
from panal.client import Client, Unreachable, until_reachable
from panal.events import Recorder
from panal.tasks import run_until_signal

from .scheduler import NAME, Scheduler

COMPONENT = "kube-scheduler"


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog=COMPONENT, description=__doc__, allow_abbrev=False)
    found.add_argument("--kubeconfig", required=True, help="how to reach the API server")
    found.add_argument("--leader-elect", nargs="?", const="true", default="false", choices=("true", "false"))
    return found


async def run(client: Client) -> None:
    """Schedule until cancelled, from when the API server first answers."""
    scheduler = Scheduler(client, Recorder(client, NAME))
    while True:
        try:
            await until_reachable(client, seconds=60)
            break
        except Unreachable:
            continue
    await scheduler.run()


def main(argv: Sequence[str]) -> int:
    options = parser().parse_args(argv)
    log.setup(COMPONENT)
    try:
        client = Client.from_kubeconfig(options.kubeconfig, user_agent=COMPONENT)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{COMPONENT}: {error}\n")
        return 1

    async def work() -> None:
        try:
            await run(client)
        finally:
            await client.close()

    return run_until_signal(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
