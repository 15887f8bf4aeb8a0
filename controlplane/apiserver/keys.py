"""Where an object lies in the store: /registry/GROUP/PLURAL/NAMESPACE/NAME, one place for a resource's versions."""

from __future__ import annotations

from typing import NamedTuple

from panal.resources import Resource

ROOT = "/registry/"


class Location(NamedTuple):
    """The place of a resource. Versions and groups that show the same objects share one."""

    group: str
    plural: str

    @property
    def prefix(self) -> str:
        return f"{ROOT}{self.group or 'core'}/{self.plural}/"

    def key(self, namespace: str, name: str) -> str:
        """`namespace` is "" for what is cluster-scoped."""
        return f"{self.prefix}{namespace}/{name}" if namespace else self.prefix + name

    def prefix_in(self, namespace: str) -> str:
        return f"{self.prefix}{namespace}/" if namespace else self.prefix


_SHARED = {("events.k8s.io", "events"): Location("", "events")}
"""Resources that are another view of the objects of another group."""


def location(resource: Resource) -> Location:
    place = (resource.group, resource.plural)
    return _SHARED.get(place) or Location(*place)


def parse(key: str) -> tuple[Location, str, str]:
    """The location, the namespace ("" if there is none) and the name that a key stands for."""
    group, plural, *rest = key[len(ROOT) :].split("/")
    namespace = rest[0] if len(rest) == 2 else ""
    return Location("" if group == "core" else group, plural), namespace, rest[-1]
