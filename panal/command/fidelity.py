"""`panal fidelity`: what in a cluster nobody acts on: fields without effect, and objects that are stored only.

The table of such fields is the one that the API server warns from (panal/unacted.py). `gathered` is pure; the rest
fetches and prints. What a controller made of a template is left out where the template is listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import click

from panal import unacted
from panal.acting import ACTS
from panal.resources import Resource, all_resources

from .failure import Failure
from .running import cluster
from .status import from_api, table

_OWN = ("kubernetes.io/bootstrapping", "apf.kubernetes.io/autoupdate-spec")
"""Labels and annotations of what every cluster brings along."""
_UNTOLD = frozenset(("csinodes.storage.k8s.io", "apiservices.apiregistration.k8s.io", "servicecidrs.networking.k8s.io",
                     "ipaddresses.networking.k8s.io"))  # fmt: skip
"""Kept by the cluster for itself."""


class Row(NamedTuple):
    """One field, or one object, that has no effect."""

    namespace: str
    resource: str
    name: str
    field: str
    why: str


def gathered(resource: Resource, items: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """The rows of one resource's objects."""
    name = resource.group_resource
    for item in items:
        metadata = item["metadata"]
        if any(owner.get("controller") for owner in metadata.get("ownerReferences") or ()) or _brought_along(metadata):
            continue
        where = (metadata.get("namespace", ""), name, metadata["name"])
        if name not in ACTS:
            yield Row(*where, "", "stored and validated only")
        for field, why in unacted.in_use(name, item).items():
            yield Row(*where, field, why)


def _brought_along(metadata: Mapping[str, Any]) -> bool:
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    return any(each in marks for each in _OWN)


def asked() -> list[Resource]:
    """The resources whose objects may have no effect, or fields without."""
    return [
        each
        for each in all_resources()
        if "list" in each.verbs
        and each.group_resource not in _UNTOLD
        and (each.group_resource in unacted.FIELDS or each.group_resource not in ACTS)
    ]


HEADINGS = ("NAMESPACE", "RESOURCE", "NAME", "FIELD", "WHY")


def fidelity(name: str | None, output: str, environ: Mapping[str, str]) -> None:
    """Print the table. Raises Failure."""
    paths = cluster(name, environ)
    if not from_api(paths, "/api/v1/nodes"):
        raise Failure("the API server does not answer.")
    rows: list[Row] = []
    seen: set[str] = set()
    for resource in asked():
        if resource.group_resource in seen:  # another version of the same objects
            continue
        seen.add(resource.group_resource)
        rows += gathered(resource, from_api(paths, resource.path("", "")))
    _print(sorted(rows), output)


def _print(rows: Sequence[Row], output: str) -> None:
    if output == "json":
        import orjson

        click.echo(orjson.dumps([row._asdict() for row in rows], option=orjson.OPT_INDENT_2))
    elif rows:
        table(HEADINGS, rows)
    else:
        click.echo("Everything that is in use here acts.")
