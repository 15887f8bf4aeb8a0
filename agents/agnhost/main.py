"""The commands, and which code each runs; what a command needs is imported when it is called."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Callable, Sequence

from .flags import Usage

_HERE = "panal.agents.agnhost"
COMMANDS = {
    "connect": ("small:connect", "Attempts a TCP connection and returns useful errors"),
    "crd-conversion-webhook": ("webhooks:conversion", "Serves /crdconvert over HTTPS"),
    "dns-server-list": ("small:dns_server_list", "Prints the host's DNS servers"),
    "dns-suffix": ("small:dns_suffix", "Prints the host's DNS suffixes"),
    "entrypoint-tester": ("small:entrypoint_tester", "Prints the arguments it is passed"),
    "etc-hosts": ("small:etc_hosts", "Prints the host's /etc/hosts file"),
    "guestbook": ("guestbook:main", "Serves a guestbook: a primary, replicas, a front page"),
    "inclusterclient": ("inclusterclient:main", "Asks the API server's /healthz again and again"),
    "liveness": ("servers:liveness", "Is alive for 10 seconds, then reports unhealthy"),
    "logs-generator": ("hogs:logs_generator", "Outputs lines of logs to stdout uniformly"),
    "mounttest": ("mounttest:main", "Makes files in volumes, and tells file systems, owners, modes and contents"),
    "nc": ("netcat:main", "Looks whether a port is open, and talks to it"),
    "netexec": ("netexec:main", "Serves HTTP and UDP with various endpoints"),
    "nettest": ("nettest:main", "Serves what it heard from its peers, and lets them hear from it"),
    "pause": ("small:pause", "Pauses"),
    "porter": ("porter:main", "Serves the value of each SERVE_PORT_n and SERVE_TLS_PORT_n on port n"),
    "serve-hostname": ("servers:serve_hostname", "Serves the host's name over HTTP, TCP or UDP"),
    "stress": ("hogs:stress", "Takes memory and CPU"),
    "test-webserver": ("servers:test_webserver", "Serves the files of / over HTTP on port 80"),
    "webhook": ("webhooks:webhook", "Answers admission reviews over HTTPS"),
}


def main(argv: Sequence[str]) -> int:
    if not argv or argv[0] in ("help", "--help", "-h"):
        _help()
        return 0
    if argv[0] not in COMMANDS:
        sys.stderr.write(f'Error: unknown command "{argv[0]}" for "app"\nRun \'app --help\' for usage.\n')
        return 1
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    module, _, function = COMMANDS[argv[0]][0].partition(":")
    run: Callable[[list[str]], int] = getattr(importlib.import_module(f"{_HERE}.{module}"), function)
    try:
        return run(list(argv[1:]))
    except Usage as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _help() -> None:
    lines = ["Usage:", "  app [command]", "", "Available Commands:"]
    lines += [f"  {name:<24}{words}" for name, (_, words) in COMMANDS.items()]
    sys.stdout.write("\n".join(lines) + "\n")
