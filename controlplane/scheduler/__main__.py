"""kube-scheduler: gives every pod a node."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence

from panal import leaderelection, log
from panal.client import Client, Unreachable, until_reachable
from panal.events import Recorder
from panal.tasks import run_until_signal

from .configuration import Configuration, read
from .profiles import NAME
from .scheduler import Scheduler

COMPONENT = "kube-scheduler"


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog=COMPONENT, description=__doc__, allow_abbrev=False)
    found.add_argument("--kubeconfig", required=True, help="how to reach the API server")
    found.add_argument("--config", default="", help="a KubeSchedulerConfiguration: profiles, back-off")
    leaderelection.add_flags(found, COMPONENT)
    return found


async def run(client: Client, election: leaderelection.Election | None, found: Configuration) -> None:
    """Schedule while this one leads, until cancelled, from when the API server first answers."""
    while True:
        try:
            await until_reachable(client, seconds=60)
            break
        except Unreachable:
            continue
    host = socket.gethostname()
    me, events = leaderelection.identity(host, os.environ), Recorder(client, NAME)

    async def work() -> None:
        await Scheduler(client, lambda name: Recorder(client, name, host, series=True), configuration=found).run()

    await leaderelection.lead(client, election, me, events, work)


def main(argv: Sequence[str]) -> int:
    options = parser().parse_args(argv)
    log.setup(COMPONENT)
    try:
        election = leaderelection.from_flags(options)
        found = read(options.config) if options.config else Configuration()
        client = Client.from_kubeconfig(options.kubeconfig, user_agent=COMPONENT)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{COMPONENT}: {error}\n")
        return 1

    async def work() -> None:
        try:
            await run(client, election, found)
        finally:
            await client.close()

    return run_until_signal(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
