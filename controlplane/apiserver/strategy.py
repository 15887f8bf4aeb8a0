"""What a kind does at each step of the recipe for writes: the pure hooks that the registry calls in order.

Create: `decode.decode` -> `default` -> `apply.track_update(old=None)` -> mutating admission -> `before_create`
(metadata, then `prepare_for_create`) -> `validate` -> validating admission -> store. Update: decode -> default ->
`apply.track_update` -> mutating admission -> `before_update` (metadata, then `prepare_for_update`) ->
`validate_update` -> validating admission -> store. Hooks whose names say default or prepare may change `obj` (the
caller owns it), never `old`; the others change nothing. Time and randomness come in as arguments.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from panal.errors import BadRequest, Conflict, conflict
from panal.resources import Resource

from . import names
from .cache import Item
from .custom.resource import CustomResource
from .fielderrors import FieldError
from .validation import meta

Object = dict[str, Any]


@dataclass(frozen=True)
class RequestContext:
    """Who asks for what, when. `now` is RFC 3339 in UTC to the second, as `2026-01-31T12:00:00Z`."""

    user: str
    namespace: str = ""
    name: str = ""
    now: str = ""
    dry_run: bool = False
    field_manager: str = ""
    subresource: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Strategy:
    """The behaviour that every kind has; kinds override what differs in `strategies/`."""

    allow_create_on_update: ClassVar[bool] = False
    """Whether a PUT may create the object."""
    allow_unconditional_update: ClassVar[bool] = True
    """Whether a PUT may leave out metadata.resourceVersion."""
    has_generation: ClassVar[bool] = False
    """Whether metadata.generation starts at 1 and rises when the specification changes."""
    resets_status: ClassVar[bool] = True
    """Whether the main resource ignores `status`, which only the subresource writes (where there is one)."""
    specification: ClassVar[tuple[str, ...]] = ("spec",)
    """The top-level fields whose change raises the generation."""

    converts: ClassVar[bool] = False
    """Whether `present` and `to_store` do anything."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.has_status = "status" in resource.subresources

    def default(self, obj: Object) -> None:
        """Fill in the kind's defaults."""

    def canonicalize(self, obj: Object) -> None:
        """Bring a validated object into its one form (field order and synonyms), before it is stored."""

    def prepare_for_create(self, ctx: RequestContext, obj: Object) -> None:
        """Bring a new object into the state that it may be created in."""
        if self.has_status and self.resets_status:
            self._set_status(obj, self.empty_status(obj))
        if self.has_generation:
            obj["metadata"]["generation"] = 1
        self._prepare_create(ctx, obj)

    def prepare_for_update(self, ctx: RequestContext, obj: Object, old: Object) -> None:
        """Take back what the request may not change, and raise the generation where it must rise."""
        if ctx.subresource == "status":
            self._keep_all_but_status(obj, old)
        elif not ctx.subresource and self.has_status and self.resets_status:
            self._set_status(obj, old.get("status"))
        self._prepare_update(ctx, obj, old)
        if self.has_generation and not ctx.subresource:
            generation = old["metadata"].get("generation", 0)
            obj["metadata"]["generation"] = generation + (1 if self.specification_changed(obj, old) else 0)
        elif "generation" in old["metadata"]:
            obj["metadata"]["generation"] = old["metadata"]["generation"]
        else:
            obj["metadata"].pop("generation", None)

    def specification_changed(self, obj: Object, old: Object) -> bool:
        return any(obj.get(name) != old.get(name) for name in self.specification)

    def empty_status(self, obj: Object) -> Any:
        """The status of a new object; None where it has none yet."""
        from .schema import schema

        return schema().empty(self.resource).get("status")

    def validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        """Everything wrong with a new object."""
        return self.validate_metadata(obj) + self._validate(ctx, obj)

    def validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        """Everything wrong with a changed object."""
        errors = meta.validate_update(obj["metadata"], old["metadata"])
        if ctx.subresource == "status":
            return errors + self._validate_status(ctx, obj, old)
        return errors + self._validate_update(ctx, obj, old)

    def validate_metadata(self, obj: Object) -> list[FieldError]:
        return meta.validate(obj["metadata"], self.resource.namespaced, self.validate_name)

    def validate_name(self, name: str) -> list[str]:
        """Complaints about an object's name; `generateName` is checked as a prefix by the caller."""
        return meta.subdomain_or_message(name)

    def warnings(self, ctx: RequestContext, obj: Object, old: Object | None = None) -> list[str]:
        """What the answer's Warning headers say."""
        return []

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        """The fields that field selectors may ask for, and their values."""
        metadata = obj["metadata"]
        return {"metadata.name": metadata.get("name", ""), "metadata.namespace": metadata.get("namespace", "")}

    def selectable_names(self) -> frozenset[str]:
        """The names `selectable_fields` has for any object."""
        return frozenset(self.selectable_fields({"metadata": {}}))

    def unknown_field(self, name: str) -> str:
        """The words for a field selector of another field."""
        if type(self).selectable_fields is Strategy.selectable_fields:
            return f'"{name}" is not a known field selector: only "metadata.name", "metadata.namespace"'
        return f"field label not supported: {name}"

    def deletion_grace(self, ctx: RequestContext, obj: Object, options: Mapping[str, Any]) -> int | None:
        """Seconds that a deletion leaves the object to end by itself; 0 deletes now, None: the kind knows no grace."""
        return None

    def prepare_for_delete(self, ctx: RequestContext, obj: Object) -> None:
        """Note the deletion in the object itself where the kind does (a namespace becomes Terminating)."""

    def default_propagation(self) -> str:
        """What happens to dependents when a deletion does not say: "Background" or "Orphan"."""
        return "Background"

    def remains_after_delete(self, obj: Object) -> bool:
        """Whether a deleted object stays for other reasons than its metadata.finalizers or its grace."""
        return False

    def present(self, item: Item) -> Item:
        """A stored object as clients see it."""
        return item

    def to_store(self, obj: Object) -> Object:
        """An object as it lies in the store; changes nothing."""
        return obj

    def _prepare_create(self, ctx: RequestContext, obj: Object) -> None:
        """What the kind adds to prepare_for_create."""

    def _prepare_update(self, ctx: RequestContext, obj: Object, old: Object) -> None:
        """What the kind adds to prepare_for_update."""

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return []

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return self._validate(ctx, obj)

    def _validate_status(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return []

    def _keep_all_but_status(self, obj: Object, old: Object) -> None:
        """A write of the status changes neither specification nor owners nor labels that the kind owns."""
        for key in [key for key in obj if key not in ("apiVersion", "kind", "metadata", "status")]:
            if key not in old:
                del obj[key]
        for key, value in old.items():
            if key not in ("apiVersion", "kind", "metadata", "status"):
                obj[key] = value
        for key in ("deletionTimestamp", "ownerReferences"):
            keep(obj["metadata"], old["metadata"], key)

    @staticmethod
    def _set_status(obj: Object, status: Any) -> None:
        if status is None:
            obj.pop("status", None)
        else:
            obj["status"] = status


def keep(target: Object, source: Mapping[str, Any], key: str) -> None:
    """What `source` has under this key, or nothing as well."""
    if key in source:
        target[key] = source[key]
    else:
        target.pop(key, None)


def before_create(strategy: Strategy, ctx: RequestContext, obj: Object, *, uid: str, rng: random.Random) -> None:
    """Metadata of a new object (namespace, generated name, uid, time), then the kind's own preparation."""
    metadata = obj.setdefault("metadata", {})
    if strategy.resource.namespaced:
        if metadata.get("namespace", "") not in ("", ctx.namespace):
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
        metadata["namespace"] = ctx.namespace
    else:
        metadata.pop("namespace", None)
    for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion", "generation"):
        metadata.pop(key, None)
    generate_name(obj, rng)
    metadata["uid"] = uid
    metadata["creationTimestamp"] = ctx.now
    strategy.prepare_for_create(ctx, obj)


def generate_name(obj: Object, rng: random.Random) -> None:
    """Give an object that asks for it a name of its own; admission sees it already."""
    metadata = obj["metadata"]
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = names.generate(metadata["generateName"], rng)


def before_update(strategy: Strategy, ctx: RequestContext, obj: Object, old: Object) -> None:
    """Metadata that no update changes, preconditions on uid, then the kind's own preparation."""
    metadata, before = obj.setdefault("metadata", {}), old["metadata"]
    if strategy.resource.namespaced:
        if metadata.get("namespace", "") not in ("", before.get("namespace", "")):
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
        metadata["namespace"] = before.get("namespace", "")
    if metadata.get("uid") and metadata["uid"] != before.get("uid"):
        raise uid_conflict(strategy.resource, before, metadata["uid"])
    for key in ("uid", "creationTimestamp", "deletionGracePeriodSeconds", "generateName"):
        if key == "generateName" and metadata.get("generateName"):
            continue
        keep(metadata, before, key)
    if not metadata.get("deletionTimestamp"):
        keep(metadata, before, "deletionTimestamp")
    metadata.pop("selfLink", None)
    strategy.prepare_for_update(ctx, obj, old)


def uid_conflict(resource: Resource, stored: Mapping[str, Any], uid: str) -> Conflict:
    """The words for an update of an object that is another one by now."""
    group = f"{resource.group}/" if resource.group else ""
    namespace = f"{stored.get('namespace')}/" if resource.namespaced else ""
    key = f"/registry/{group}{resource.plural}/{namespace}{stored.get('name')}"
    why = (
        f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: "
        f"Precondition failed: UID in precondition: {uid}, UID in object meta: {stored.get('uid')}"
    )
    return conflict(resource.plural, resource.group, str(stored.get("name")), why)


_strategies: dict[Resource, Strategy] = {}


def strategy_for(resource: Resource) -> Strategy:
    """The one strategy of a resource; a generic one where the kind has none of its own."""
    if isinstance(resource, CustomResource):
        return resource.strategy
    found = _strategies.get(resource)
    if found is None:
        from .strategies import strategy_class

        found = _strategies[resource] = strategy_class(resource)(resource)
    return found
