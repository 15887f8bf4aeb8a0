"""What a custom kind does at each step of a write: as its definition says."""

from __future__ import annotations

from typing import Any

import orjson

from .. import encoding
from ..cache import Item
from ..fielderrors import FieldError
from ..strategy import Object, RequestContext, Strategy
from . import conversion, jsonpath, pruning, values
from .resource import CustomResource


class CustomStrategy(Strategy):
    has_generation = True
    converts = True
    allow_unconditional_update = False

    def __init__(self, resource: CustomResource) -> None:
        super().__init__(resource)
        self._custom = resource
        self._fields = {
            each["jsonPath"].removeprefix("."): jsonpath.parse(each["jsonPath"])
            for each in resource.version_spec.get("selectableFields") or ()
        }

    def default(self, obj: Object) -> None:
        pruning.default(self._custom.schema, obj)

    def empty_status(self, obj: Object) -> Any:
        return None

    def specification_changed(self, obj: Object, old: Object) -> bool:
        apart = {"metadata", "apiVersion", *(("status",) if self.has_status else ())}
        return any(obj.get(key) != old.get(key) for key in (obj.keys() | old.keys()) - apart)

    def present(self, item: Item) -> Item:
        """The stored object as this version shows it: pruned and defaulted by today's schema.

        What a webhook has to convert is converted already (`Conversions.settle`). Raises StatusError where it is not.
        """
        resource = self._custom
        if (known := item.shown_as(resource)) is not None:
            return known
        if item.revision > resource.since and resource.version == resource.storage and self.is_mine(item):
            return item
        obj = self.read(item)
        if obj["apiVersion"] != resource.api_version:
            if resource.webhook is not None:
                raise conversion.failed(f"conversion webhook for {conversion.kind_of(obj)} was not asked")
            obj["apiVersion"] = resource.api_version
        return self.show(item, obj)

    def read(self, item: Item) -> Object:
        """The object as it was stored, by today's schema of the version it was stored in."""
        obj = item.decode()
        schema = self._custom.schema_of(obj["apiVersion"].rpartition("/")[2])
        pruning.prune(schema, obj)
        pruning.default(schema, obj)
        return obj

    def show(self, item: Item, obj: Object) -> Item:
        """Remember what the stored object is in this version."""
        pruning.prune(self._custom.schema, obj)
        body = encoding.with_revision(encoding.encode(obj), item.revision)
        if body == item.body:
            return item.show(self._custom, item)
        return item.show(self._custom, Item(item.namespace, item.name, item.revision, body))

    def is_mine(self, item: Item) -> bool:
        """Whether the object was stored in this version."""
        head = orjson.dumps({"kind": self.resource.kind, "apiVersion": self.resource.api_version})[:-1]
        return item.body.startswith(head)

    def to_store(self, obj: Object) -> Object:
        """In the version that is stored; what a webhook converted is that already."""
        version = f"{self.resource.group}/{self._custom.storage}"
        if obj["apiVersion"] == version:
            return obj
        kept: Object = orjson.loads(orjson.dumps({**obj, "apiVersion": version}))
        pruning.prune(self._custom.schema_of(self._custom.storage), kept)
        return kept

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        found = super().selectable_fields(obj)
        for name, path in self._fields.items():
            value = next(iter(path.find(obj)), None)
            found[name] = "" if value is None else jsonpath.text(value)
        return found

    def _keep_all_but_status(self, obj: Object, old: Object) -> None:
        """A write of the status changes nothing else, metadata neither."""
        status, managed = obj.get("status"), obj["metadata"].get("managedFields")
        revision = obj["metadata"].get("resourceVersion")
        version = obj["apiVersion"]
        kept = orjson.loads(orjson.dumps(old))
        obj.clear()
        obj.update(kept, apiVersion=version)
        self._set_status(obj, status)
        for key, value in (("managedFields", managed), ("resourceVersion", revision)):
            if value is None:
                obj["metadata"].pop(key, None)
            else:
                obj["metadata"][key] = value

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return self._errors(obj, None)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return self._errors(obj, old)

    def _validate_status(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return self._errors(obj, old)

    def _errors(self, obj: Object, old: Object | None) -> list[FieldError]:
        found = values.validate(self._custom.schema, obj)
        rules = self._custom.rules
        if rules is not None and not any(each.type in ("Required", "TypeInvalid", "Duplicate") for each in found):
            found += rules.check(obj, old)
        return found
