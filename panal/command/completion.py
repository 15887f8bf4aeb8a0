"""What the shell offers for a word that is being typed: clusters, nodes, hosts, components and lessons that are there.

click calls these with the command line so far. A shell wants no words of complaint: what can't be found is not offered.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

import click

from .failure import Failure

Complete = Callable[[click.Context, click.Parameter, str], list[str]]

SHELLS = ("bash", "zsh", "fish")


def script(shell: str, command: click.Command) -> str:
    """The lines that make the shell ask: `source <(panal completion bash)`."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    return kind(command, {}, "panal", "_PANAL_COMPLETE").source()


def _offering(find: Callable[[str | None], Iterable[str]]) -> Complete:
    """`find` gets the chosen cluster's name."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        try:
            found = find(context.params.get("name") or os.environ.get("PANAL_CLUSTER"))
            return sorted({word for word in found if word.startswith(incomplete)})
        except (Failure, OSError):
            return []

    return complete


def _clusters(name: str | None) -> Sequence[str]:
    from .running import names

    return names(os.environ)


def _nodes(name: str | None) -> Sequence[str]:
    from .running import cluster, configuration

    return [node.name for node in configuration(cluster(name, os.environ)).nodes]


def _hosts(name: str | None) -> Sequence[str]:
    from .running import cluster, configuration
    from .shell import hosts as hosts_of

    return list(hosts_of(configuration(cluster(name, os.environ))))


def _components(name: str | None) -> Sequence[str]:
    from .logs import available
    from .running import cluster

    return available(cluster(name, os.environ))


def _lessons(name: str | None) -> Iterable[str]:
    from .lesson.walk import listed

    return listed(os.environ, "en")


clusters, nodes, hosts = _offering(_clusters), _offering(_nodes), _offering(_hosts)
components, lessons = _offering(_components), _offering(_lessons)
