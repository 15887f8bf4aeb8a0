"""`panal host`: this machine, or container, is one host of the company LAN, in the foreground.

The configuration is the cluster's; which of its hosts this machine is, and so what runs here, follows from the name.
What the process does itself ends here: it becomes the steward (panal.agents.node.alone), with the same process number.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import click

from panal import bytecode, cleanup
from panal.config import Alone, ClusterConfig, dump
from panal.kubeconfig import write_private
from panal.paths import ClusterPaths

from .failure import Failure
from .launch import PADDING, PRIVATE
from .resolve import Resolved, Wish, name_of, probe, read, resolve
from .running import home
from .up import check_length, sockets_of

PROGRAM = "panal.agents.node.alone"
API_PORT = 6443


@dataclass(frozen=True)
class Host:
    """The command line of `panal host`."""

    name: str | None
    config: Path
    join: Path
    apply: tuple[Path, ...] = ()
    grace: float = 0.0


def run(host: Host, environ: Mapping[str, str]) -> NoReturn:
    """Be that host until SIGTERM. Raises Failure."""
    config, paths = configuration(host, environ)
    check_length([paths.steward_socket, *sockets_of(config, paths)], paths)
    try:
        paths.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        paths.logs.mkdir(exist_ok=True, mode=0o700)
        write_private(paths.config, dump(config))
    except OSError as error:
        raise Failure(f"{paths.root} can't be used: {error.strerror}; choose another place with PANAL_HOME.") from error
    kept = {key: value for key, value in environ.items() if key not in PRIVATE}
    sys.stdout.flush()
    os.execve(
        sys.executable,
        [sys.executable, *bytecode.options(environ), "-P", "-m", PROGRAM, os.fspath(paths.root), PADDING],
        {**kept, cleanup.MARK: os.fspath(paths.root)},
    )


def configuration(host: Host, environ: Mapping[str, str]) -> tuple[ClusterConfig, ClusterPaths]:
    """The cluster's, for this host; and where its files are. Raises Failure."""
    wish = Wish(config=host.config, network="machine")
    document = read(wish)
    resolved = resolve(wish, document, probe(environ))
    name = host.name or os.uname().nodename.partition(".")[0]
    role = role_of(resolved.config, name)
    for note in _notes(resolved, role):
        click.echo(note)
    alone = Alone(name, str(host.join.absolute()), tuple(str(folder.absolute()) for folder in host.apply), host.grace)
    config = replace(resolved.config, alone=alone, api_port=API_PORT)
    return config, ClusterPaths.of(home(environ), name_of(wish, document))


def role_of(config: ClusterConfig, name: str) -> str:
    """What this host does, in a word or two. Raises Failure for one that the cluster does not have."""
    roles = {
        **{node.name: "control plane" if node.control_plane else "worker" for node in config.nodes},
        **{host.name: host.role for host in config.hosts},
        config.load_balancer.name: "loadbalancer",
        config.external_dns.name: "dns",
        **({config.forward_proxy.name: "forward proxy"} if config.forward_proxy is not None else {}),
    }
    if name not in roles:
        raise Failure(f"the cluster {config.name!r} has no host called {name!r}; name one of {', '.join(roles)}.")
    return roles[name]


def _notes(resolved: Resolved, role: str) -> list[str]:
    return list(resolved.notes) if role in ("control plane", "worker") else []
