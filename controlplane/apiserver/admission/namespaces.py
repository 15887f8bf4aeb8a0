"""NamespaceLifecycle: nothing is created in a namespace that is not there or is being deleted; some always stay."""

from __future__ import annotations

from panal.errors import Forbidden, not_found
from panal.resources import NAMESPACES

from .attributes import Attributes, Reader

_IMMORTAL = ("default", "kube-system", "kube-public")


def admit(attributes: Attributes, reader: Reader) -> None:
    if attributes.operation == "DELETE" and attributes.resource == NAMESPACES and attributes.name in _IMMORTAL:
        details = {"name": attributes.name, "kind": "namespaces"}
        raise Forbidden(
            f'namespaces "{attributes.name}" is forbidden: this namespace may not be deleted', details=details
        )
    if attributes.operation != "CREATE" or not attributes.resource.namespaced or attributes.subresource:
        return
    namespace = reader.get(NAMESPACES, "", attributes.namespace)
    if namespace is None:
        raise not_found("namespaces", "", attributes.namespace)
    if namespace.get("status", {}).get("phase") == "Terminating":
        raise _terminating(attributes)


def _terminating(attributes: Attributes) -> Forbidden:
    resource, name = attributes.resource, attributes.obj["metadata"].get("name", "")
    why = f"unable to create new content in namespace {attributes.namespace} because it is being terminated"
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {attributes.namespace} is being terminated",
        "field": "metadata.namespace",
    }
    details = {
        "name": name,
        **({"group": resource.group} if resource.group else {}),
        "kind": resource.plural,
        "causes": [cause],
    }
    return Forbidden(f'{resource.group_resource} "{name}" is forbidden: {why}', details=details)
