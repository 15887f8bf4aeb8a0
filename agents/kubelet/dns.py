"""A pod's resolv.conf by its dnsPolicy and dnsConfig. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import podspec
from .podspec import Pod

MAX_SERVERS, MAX_SEARCHES = 3, 32
"""What Kubernetes' validation allows; more are cut off, as the resolver would."""


@dataclass(frozen=True)
class Resolv:
    """The three lists of a resolv.conf."""

    servers: Sequence[str] = ()
    searches: Sequence[str] = ()
    options: Sequence[str] = ()


def parse(text: str) -> Resolv:
    """A resolv.conf(5), as far as a pod inherits it."""
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        match words[:1]:
            case ["nameserver"]:
                servers += words[1:2]
            case ["search"]:
                searches = words[1:]
            case ["options"]:
                options = words[1:]
    return Resolv(servers, [item for item in searches if item != "."], options)


def resolv(pod: Pod, *, cluster_dns: str, domain: str, node: Resolv) -> Resolv:
    """What the pod's policy gives it, merged with its dnsConfig."""
    policy = pod["spec"].get("dnsPolicy") or "ClusterFirst"
    if policy == "ClusterFirst" and podspec.host_network(pod):
        policy = "Default"
    match policy:
        case "None":
            base = Resolv()
        case "Default":
            base = node
        case _:
            suffixes = [f"{podspec.namespace(pod)}.svc.{domain}", f"svc.{domain}", domain]
            base = Resolv([cluster_dns], [*suffixes, *node.searches], ["ndots:5"])
    return _merged(base, pod["spec"].get("dnsConfig") or {})


def _merged(base: Resolv, config: Mapping[str, Any]) -> Resolv:
    options = {item.partition(":")[0]: item for item in base.options}
    for option in config.get("options") or ():
        value = option.get("value")
        options[option["name"]] = option["name"] if value in (None, "") else f"{option['name']}:{value}"
    return Resolv(
        _unique([*base.servers, *(config.get("nameservers") or ())])[:MAX_SERVERS],
        _unique([*base.searches, *(config.get("searches") or ())])[:MAX_SEARCHES],
        list(options.values()),
    )


def _unique(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))
