"""A resource that a CustomResourceDefinition defines: it carries its own schema, strategy, columns and subresources.

Everything below is made when first used, from the definition's bytes, so that definitions nobody uses cost little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from panal.resources import Resource

if TYPE_CHECKING:
    from ..schema import Type
    from ..strategy import Strategy
    from .rules import Rules

Node = dict[str, Any]

VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")


@dataclass(frozen=True, eq=False)
class CustomResource(Resource):
    """One served version of a custom kind. Objects of all versions lie in the store in the version `storage`."""

    list_kind: str = ""
    storage: str = ""
    source: bytes = b""
    """The CustomResourceDefinition, encoded."""
    since: int = 0
    """Objects of this revision and later were written under this very definition."""
    terminating: bool = False
    """The definition is being deleted: nothing new is created."""
    watchers: set[Callable[[], None]] = field(default_factory=set, compare=False)
    """Called when this definition is none any more."""

    @cached_property
    def version_spec(self) -> Node:
        """The entry of spec.versions."""
        return self._version_spec(self.version) or {}

    def _version_spec(self, version: str) -> Node | None:
        versions = orjson.loads(self.source)["spec"]["versions"]
        return next((each for each in versions if each["name"] == version), None)

    @cached_property
    def schema(self) -> Node:
        """The OpenAPI v3 schema of the whole object."""
        found: Node = (self.version_spec.get("schema") or {}).get("openAPIV3Schema") or {}
        return found

    def schema_of(self, version: str) -> Node:
        """That of another version; this one's where there is no such version any more."""
        if version == self.version:
            return self.schema
        found = self._other_schemas.get(version)
        if found is None:
            spec = self._version_spec(version)
            found = self.schema if spec is None else (spec.get("schema") or {}).get("openAPIV3Schema") or {}
            self._other_schemas[version] = found
        return found

    @cached_property
    def _other_schemas(self) -> dict[str, Node]:
        return {}

    @cached_property
    def webhook(self) -> Node | None:
        """What converts between the versions; None where they differ in their names only."""
        if b'"Webhook"' not in self.source:
            return None
        found: Node = orjson.loads(self.source)["spec"].get("conversion") or {}
        return found.get("webhook") if found.get("strategy") == "Webhook" else None

    @cached_property
    def siblings(self) -> tuple[CustomResource, ...]:
        """The other served versions."""
        from ..cache import Item
        from .served import parse

        definition = Item("", f"{self.plural}.{self.group}", self.since, self.source)
        return tuple(each for each in parse(definition) if each.version != self.version)

    @cached_property
    def type(self) -> Type:
        """What server-side apply walks."""
        from .types import root

        return root(self.schema)

    @cached_property
    def strategy(self) -> Strategy:
        from .strategy import CustomStrategy

        return CustomStrategy(self)

    @cached_property
    def rules(self) -> Rules | None:
        """The compiled x-kubernetes-validations, None where there are none."""
        if b'"x-kubernetes-validations"' not in self.source:
            return None
        from .rules import Rules

        return Rules(self.schema)

    @cached_property
    def deprecation(self) -> str:
        """What every answer in this version warns of; empty for a version that is not deprecated."""
        spec, mine = orjson.loads(self.source)["spec"], self.version_spec
        if not mine.get("deprecated"):
            return ""
        if mine.get("deprecationWarning"):
            return str(mine["deprecationWarning"])
        from .discovery import priority

        words = f"{self.api_version} {self.kind} is deprecated"
        better = [each["name"] for each in spec["versions"] if each.get("served") and not each.get("deprecated")]
        best = max(better, key=priority, default=self.version)
        return f"{words}; use {self.group}/{best} {self.kind}" if priority(best) > priority(self.version) else words

    @property
    def definition_name(self) -> str:
        """Its name in OpenAPI documents: com.example.v1.Widget."""
        return ".".join((*reversed(self.group.split(".")), self.version, self.kind))

    @property
    def scale_paths(self) -> Node:
        found: Node = (self.version_spec.get("subresources") or {}).get("scale") or {}
        return found

    def end(self) -> None:
        """Tell who watches that the definition changed or went."""
        for each in tuple(self.watchers):
            each()
