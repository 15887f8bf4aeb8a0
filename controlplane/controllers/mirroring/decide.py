"""A user's Endpoints object in, the EndpointSlices that say the same out. Pure.

What serves a Service without a selector (a database outside the cluster, say) is written by hand as Endpoints;
proxies read slices only.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..endpointslice.decide import LIMIT, MANAGED_BY, SERVICE_NAME, Plan, Ports, slice_ports
from ..meta import Object, annotations_of, controller_reference, is_deleting, labels, metadata, name, namespace

MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"


def is_mirrored(endpoints: Object | None, service: Object | None) -> bool:
    """Kept by hand, for a Service that selects nothing."""
    if endpoints is None or service is None or is_deleting(endpoints):
        return False
    if (namespace(service), name(service)) == ("default", "kubernetes"):
        return False  # the API server writes both itself
    if labels(endpoints).get(SKIP) == "true" or LEADER in annotations_of(endpoints):
        return False
    return not (service.get("spec") or {}).get("selector")


def plan(endpoints: Object | None, slices: Sequence[Object]) -> Plan:
    """`endpoints` is None when nothing is to be mirrored."""
    existing = [item for item in slices if not is_deleting(item)]
    if endpoints is None:
        return Plan(delete=tuple(existing))
    wanted = _wanted(endpoints)
    create: list[Object] = []
    update: list[Object] = []
    for item in wanted:
        found = next((each for each in existing if _shape(each) == _shape(item)), None)
        if found is None:
            create.append(item)
            continue
        existing.remove(found)
        kept = {**metadata(found), "labels": item["metadata"]["labels"]}
        if found.get("endpoints") != item["endpoints"] or kept != metadata(found):
            update.append({**found, "metadata": kept, "endpoints": item["endpoints"]})
    return Plan(tuple(create), tuple(update), tuple(existing))


def _shape(item: Object) -> tuple[str, Ports]:
    return str(item.get("addressType")), slice_ports(item)


def _wanted(endpoints: Object) -> list[Object]:
    found = []
    for subset in endpoints.get("subsets") or ():
        listed = [(item, True) for item in subset.get("addresses") or ()]
        listed += [(item, False) for item in subset.get("notReadyAddresses") or ()]
        for family in ("IPv4", "IPv6"):
            mine = [_endpoint(item, up) for item, up in listed if (":" in str(item.get("ip"))) == (family == "IPv6")]
            parts = [mine[start : start + LIMIT] for start in range(0, len(mine), LIMIT)]
            found += [_slice(endpoints, family, subset.get("ports") or [], part) for part in parts]
    return found


def _endpoint(address: Object, ready: bool) -> Object:
    kept: Object = {field: address[field] for field in ("hostname", "nodeName", "targetRef") if field in address}
    return {"addresses": [address["ip"]], "conditions": {"ready": ready}, **kept}


def _slice(endpoints: Object, family: str, ports: list[Object], items: list[Object]) -> Object:
    own = {key: value for key, value in labels(endpoints).items() if key not in (SERVICE_NAME, MANAGED_BY)}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{name(endpoints)}-",
            "namespace": namespace(endpoints),
            "labels": {**own, SERVICE_NAME: name(endpoints), MANAGED_BY: MANAGER},
            "ownerReferences": [controller_reference(endpoints, "v1", "Endpoints")],
        },
        "addressType": family,
        "endpoints": items,
        "ports": [{"protocol": "TCP", "name": "", **port} for port in ports],
    }
