"""A store in memory that plugins may look things up in, and requests for them."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

from panal.controlplane.apiserver.admission import Attributes
from panal.resources import Resource

Object = dict[str, Any]


class Stored:
    """The plugins' Reader, over a dict."""

    def __init__(self) -> None:
        self._objects: dict[tuple[Resource, str, str], Object] = {}

    def put(self, resource: Resource, obj: Object) -> None:
        metadata = obj["metadata"]
        self._objects[resource, metadata.get("namespace", ""), metadata["name"]] = obj

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        return copy.deepcopy(self._objects.get((resource, namespace, name)))

    def list(self, resource: Resource, namespace: str = "") -> Iterator[Object]:
        for (kind, where, _), obj in sorted(self._objects.items(), key=lambda item: item[0][1:]):
            if kind == resource and namespace in ("", where):
                yield copy.deepcopy(obj)


def asking(
    resource: Resource, obj: Object, *, operation: str = "CREATE", old: Object | None = None, subresource: str = ""
) -> Attributes:
    """A request for `obj`, by alice."""
    metadata = obj["metadata"]
    return Attributes(
        operation=operation,
        resource=resource,
        subresource=subresource,
        namespace=metadata.get("namespace", ""),
        name=metadata.get("name", ""),
        obj=obj,
        old=old,
        user="alice",
        rng=random.Random(7),
    )


def pod(name: str = "web", *containers: Object, **spec: Any) -> Object:
    """A pod in namespace `shop`, with one container `c` unless others are given."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"containers": list(containers) or [{"name": "c", "image": "i"}], **spec},
    }


def container(name: str, requests: Object | None = None, limits: Object | None = None) -> Object:
    resources = {key: value for key, value in (("requests", requests), ("limits", limits)) if value}
    return {"name": name, "image": "i", "resources": resources}
