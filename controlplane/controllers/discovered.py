"""The resources the API server has right now, built-in and custom, from its aggregated discovery."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from panal.client import Client
from panal.resources import Resource

ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


async def resources(client: Client) -> list[Resource]:
    """Every resource once, in its group's preferred version. Raises StatusError and Unreachable."""
    found: list[Resource] = []
    for path in ("/api", "/apis"):
        answer = orjson.loads(await client.request("GET", path, headers={"Accept": ACCEPT}))
        if answer.get("kind") == "APIGroupDiscoveryList":
            found += parse(answer)
        else:
            found += await _one_by_one(client, path, answer)
    return found


def parse(answer: dict[str, Any]) -> Iterator[Resource]:
    """The resources of an APIGroupDiscoveryList."""
    for group in answer.get("items") or ():
        seen: set[str] = set()
        for version in group.get("versions") or ():
            for item in version.get("resources") or ():
                if item["resource"] in seen:
                    continue
                seen.add(item["resource"])
                yield Resource(
                    group=group["metadata"].get("name") or "",
                    version=version["version"],
                    plural=item["resource"],
                    kind=(item.get("responseKind") or {}).get("kind", ""),
                    namespaced=item.get("scope") == "Namespaced",
                    singular=item.get("singularResource", ""),
                    verbs=tuple(item.get("verbs") or ()),
                )


async def _one_by_one(client: Client, path: str, answer: dict[str, Any]) -> list[Resource]:
    """From a server that does not aggregate: each group's preferred version."""
    if path == "/api":
        versions = [("", version) for version in answer.get("versions") or ()]
    else:
        versions = [(group["name"], group["preferredVersion"]["version"]) for group in answer.get("groups") or ()]
    found = []
    for group, version in versions:
        where = f"{path}/{group}/{version}" if group else f"{path}/{version}"
        listed = orjson.loads(await client.request("GET", where))
        found += [
            Resource(
                group=group,
                version=version,
                plural=item["name"],
                kind=item["kind"],
                namespaced=item["namespaced"],
                singular=item.get("singularName", ""),
                verbs=tuple(item.get("verbs") or ()),
            )
            for item in listed.get("resources") or ()
            if "/" not in item["name"]
        ]
    return found
