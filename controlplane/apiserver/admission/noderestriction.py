"""NodeRestriction: a node's kubelet writes its own Node, its own pods and its own Lease, and nobody else's.

https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
"""

from __future__ import annotations

from panal.errors import Forbidden
from panal.resources import LEASES, NODES, PODS

from .attributes import Attributes, Reader

_USER = "system:node:"
_GROUP = "system:nodes"
_MIRROR = "kubernetes.io/config.mirror"
_LEASES = "kube-node-lease"


def validate(attributes: Attributes, reader: Reader) -> None:
    """Raises Forbidden."""
    if not attributes.user.startswith(_USER) or _GROUP not in attributes.groups:
        return
    node = attributes.user.removeprefix(_USER)
    if attributes.resource == NODES:
        why = _node(attributes, node)
    elif attributes.resource == PODS:
        why = _pod(attributes, node)
    elif attributes.resource == LEASES:
        why = _lease(attributes, node)
    else:
        why = ""
    if why:
        raise _forbidden(attributes, why)


def _name(attributes: Attributes) -> str:
    return str(attributes.obj["metadata"].get("name") or attributes.name)


def _node(attributes: Attributes, node: str) -> str:
    name = _name(attributes)
    return "" if name == node else f'node "{node}" is not allowed to modify node "{name}"'


def _pod(attributes: Attributes, node: str) -> str:
    obj = attributes.old or attributes.obj
    own = (obj.get("spec") or {}).get("nodeName") == node
    if attributes.operation == "CREATE":
        if _MIRROR not in (obj["metadata"].get("annotations") or {}):
            return f'pod does not have "{_MIRROR}" annotation, node "{node}" can only create mirror pods'
        return "" if own else f'node "{node}" can only create pods with spec.nodeName set to itself'
    if own:
        return ""
    if attributes.operation == "DELETE":
        return f'node "{node}" can only delete pods with spec.nodeName set to itself'
    return f'node "{node}" can only update pod status for pods with spec.nodeName set to itself'


def _lease(attributes: Attributes, node: str) -> str:
    if attributes.namespace != _LEASES:
        return f'can only access leases in the "{_LEASES}" system namespace'
    return "" if _name(attributes) == node else "can only access node lease with the same name as the requesting node"


def _forbidden(attributes: Attributes, why: str) -> Forbidden:
    resource, name = attributes.resource, _name(attributes)
    details = {"name": name, **({"group": resource.group} if resource.group else {}), "kind": resource.plural}
    return Forbidden(f'{resource.group_resource} "{name}" is forbidden: {why}', details=details)
