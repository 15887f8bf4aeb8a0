"""default/kubernetes: the Service and the endpoints through which pods reach this API server.

Written when the server starts; `standing.keep` writes them again when somebody changes or deletes them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from panal.errors import AlreadyExists
from panal.resources import ENDPOINTS, ENDPOINTSLICES, SERVICES, Resource

from . import keys
from .clock import timestamp
from .context import Parts
from .strategy import RequestContext

NAME, NAMESPACE = "kubernetes", "default"


def objects(service_cidr: ipaddress.IPv4Network, address: str, port: int) -> list[tuple[Resource, dict[str, Any]]]:
    """What has to be there, purely."""
    labels = {"component": "apiserver", "provider": "kubernetes"}
    first = str(service_cidr[1])
    meta = {"name": NAME, "namespace": NAMESPACE}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**meta, "labels": labels},
        "spec": {
            "clusterIP": first,
            "type": "ClusterIP",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
        },
    }
    skipped = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    endpoints = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {**meta, "labels": skipped},
        "subsets": [{"addresses": [{"ip": address}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}],
    }
    endpoint_slice = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**meta, "labels": {"kubernetes.io/service-name": NAME}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
    return [(SERVICES, service), (ENDPOINTS, endpoints), (ENDPOINTSLICES, endpoint_slice)]


async def publish(parts: Parts, port: int) -> None:
    """Create what is missing, and bring the endpoints to this server's address. Raises StatusError."""
    chosen = parts.options
    for resource, wanted in objects(chosen.service_cluster_ip_range, chosen.advertise_address, port):
        item = parts.cache.shelf(keys.location(resource)).get(NAMESPACE, NAME)
        ctx = RequestContext(
            user="system:apiserver",
            namespace=NAMESPACE,
            name=NAME,
            now=timestamp(parts.now()),
            field_manager="kube-apiserver",
            groups=("system:masters",),
        )
        if item is None:
            try:
                await parts.registry.create(ctx, resource, wanted)
            except AlreadyExists:
                continue
        elif resource is not SERVICES and not _says(item.decode(), wanted):
            await parts.registry.update(ctx, resource, _with(wanted))


def _says(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(current.get(field) == wanted.get(field) for field in ("subsets", "endpoints", "ports"))


def _with(wanted: Mapping[str, Any]) -> Any:
    def change(current: dict[str, Any]) -> dict[str, Any]:
        return {**current, **{field: wanted[field] for field in ("subsets", "endpoints", "ports") if field in wanted}}

    return change
