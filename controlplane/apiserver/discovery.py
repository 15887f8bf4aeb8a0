"""Discovery: which groups, versions and resources there are, in the legacy and the aggregated form.

The documents are made once, from the recorded discovery of a real API server (panal.resources.discovery).
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import orjson

from panal import resources
from panal.errors import StatusError

from . import metricsapi
from .answers import Answer, json, text
from .custom.served import Served
from .negotiation import Form

VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2",
    "gitCommit": b"panal".hex(),  # clients expect hexadecimal digits
    "gitTreeState": "clean",
    "buildDate": "2026-06-09T00:00:00Z",
    "goVersion": "go1.26.10",
    "compiler": "gc",
    "platform": "linux/amd64",
}
"""What /version tells: the version whose API this is."""


@cache
def _known() -> dict[str, Any]:
    """The recorded discovery, and what this server answers beside it."""
    recorded = resources.discovery()
    return {
        "groups": [*recorded["groups"], metricsapi.DISCOVERY],
        "resources": {**recorded["resources"], metricsapi.API: list(metricsapi.RESOURCES)},
    }


def _everything(custom: Served | None) -> dict[str, Any]:
    """Built-in and custom resources."""
    if custom is None or not len(custom):
        return _known()
    found: dict[str, Any] | None = custom.memo.get("discovery")
    if found is None:
        from .custom.discovery import merged

        found = custom.memo["discovery"] = merged(_known(), custom.all())
    return found


def serve(path: str, form: Form, address: str, known: str = "", custom: Served | None = None) -> Answer | None:
    """The answer to a discovery path, None for another one. `address` is HOST:PORT of this server.

    `known` is If-None-Match: what the client has already.
    """
    parts = [part for part in path.split("/") if part]
    match parts:
        case ["api"] if form.kind == "APIGroupDiscoveryList":
            return _aggregated("", form, known, None)
        case ["apis"] if form.kind == "APIGroupDiscoveryList":
            return _aggregated("named", form, known, custom)
        case ["api"]:
            where = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
            return json({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": where})
        case ["apis"]:
            groups = [_group(entry) for entry in _everything(custom)["groups"]]
            return json({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        case ["apis", name]:
            found = next((entry for entry in _everything(custom)["groups"] if entry["name"] == name), None)
            if found is None:
                return text("404 page not found\n", 404)
            return json({"kind": "APIGroup", "apiVersion": "v1", **_group(found)})
        case ["api", version]:
            return _resources(version, custom)
        case ["apis", group, version]:
            return _resources(f"{group}/{version}", custom)
    return None


def paths() -> list[str]:
    """Where discovery answers."""
    found = ["/api", "/api/v1", "/apis"]
    for entry in _known()["groups"]:
        root = f"/apis/{entry['name']}"
        found += [root, *(f"{root}/{version}" for version in entry["versions"])]
    return found


def _group(entry: dict[str, Any]) -> dict[str, Any]:
    name = entry["name"]
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in entry["versions"]]
    preferred = {"groupVersion": f"{name}/{entry['preferred']}", "version": entry["preferred"]}
    return {"name": name, "versions": versions, "preferredVersion": preferred}


def _resources(group_version: str, custom: Served | None) -> Answer:
    entries = _everything(custom)["resources"].get(group_version)
    if entries is None:
        if "/" in group_version:
            return text("404 page not found\n", 404)
        raise StatusError("the server could not find the requested resource", code=404, reason="NotFound", details={})
    listed = [_with_hash(group_version, entry) for entry in entries]
    return json({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed})


def _with_hash(group_version: str, entry: dict[str, Any]) -> dict[str, Any]:
    if "/" in entry["name"] or "create" not in entry["verbs"] or "list" not in entry["verbs"]:
        return entry
    return {**entry, "storageVersionHash": _hash(f"{group_version}/{entry['kind']}")}


def _hash(text: str) -> str:
    import base64

    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def _aggregated(which: str, form: Form, known: str, custom: Served | None) -> Answer:
    if custom is None or not len(custom):
        body = _aggregated_body(which, form.version)
    else:
        key = ("aggregated", form.version)
        body = custom.memo.get(key) or b""
        if not body:
            body = custom.memo[key] = _aggregated_document(_everything(custom), which, form.version)
    etag = f'"{hashlib.sha256(body).hexdigest().upper()}"'
    headers = {"ETag": etag, "Vary": "Accept"}
    if known == etag:
        return Answer(b"", 304, content_type=form.content_type, headers=headers)
    return Answer(body, content_type=form.content_type, headers=headers)


@cache
def _aggregated_body(which: str, version: str) -> bytes:
    return _aggregated_document(_known(), which, version)


def _aggregated_document(known: dict[str, Any], which: str, version: str) -> bytes:
    groups = known["groups"] if which else [{"name": "", "versions": ["v1"], "preferred": "v1"}]
    items = [_aggregated_group(known, entry) for entry in groups]
    return orjson.dumps(
        {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": f"apidiscovery.k8s.io/{version}",
            "metadata": {},
            "items": items,
        }
    )


def _aggregated_group(known: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    name = entry["name"]
    versions = []
    ordered = sorted(entry["versions"], key=lambda version: version != entry["preferred"])
    for version in ordered:
        group_version = f"{name}/{version}" if name else version
        versions.append(
            {
                "version": version,
                "resources": _aggregated_resources(name, version, known["resources"][group_version]),
                "freshness": "Current",
            }
        )
    metadata = {"name": name, "creationTimestamp": None} if name else {"creationTimestamp": None}
    return {"metadata": metadata, "versions": versions}


def _aggregated_resources(group: str, version: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        parent, slash, child = entry["name"].partition("/")
        kind = {
            "group": entry.get("group", group if not entry.get("version") else ""),
            "version": entry.get("version", version),
            "kind": entry["kind"],
        }
        if slash:
            subresource = {"subresource": child, "responseKind": kind, "verbs": entry["verbs"]}
            parent_entry = found.setdefault(parent, {"resource": parent, "verbs": []})
            parent_entry.setdefault("subresources", []).append(subresource)
            continue
        found[parent] = {
            "resource": parent,
            "responseKind": kind,
            "scope": "Namespaced" if entry["namespaced"] else "Cluster",
            "singularResource": entry["singularName"],
            "verbs": entry["verbs"],
            **({"shortNames": entry["shortNames"]} if entry.get("shortNames") else {}),
            **({"categories": entry["categories"]} if entry.get("categories") else {}),
        }
    return list(found.values())
