"""What an admission plugin is told, and what it may look up."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from panal.resources import Resource

if TYPE_CHECKING:
    from ..strategy import RequestContext

Object = dict[str, Any]


class Reader(Protocol):
    """Objects as they are stored now; never changed by who reads."""

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None: ...
    def list(self, resource: Resource, namespace: str = "") -> Iterable[Object]: ...


@dataclass
class Attributes:
    """One request. `obj` is the caller's own copy; `old` is None for CREATE."""

    operation: str
    """CREATE, UPDATE, DELETE or CONNECT."""
    resource: Resource
    subresource: str
    namespace: str
    name: str
    obj: Object
    old: Object | None
    user: str
    rng: random.Random
    groups: tuple[str, ...] = ()
    """The user's."""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The user's, too."""
    dry_run: bool = False
    requested: Resource | None = None
    """What the client asked for, where `resource` is another version of it."""
    warnings: list[str] = field(default_factory=list)
    """What plugins want the client to be warned of."""
    options_kind: str = ""
    """The kind of `obj` where it is the options of a connection."""

    def creates(self, resource: Resource) -> bool:
        """Whether this creates an object of that resource itself."""
        return self.operation == "CREATE" and not self.subresource and self.resource == resource


Plugin = Callable[[Attributes, Reader], None]


class Webhooks(Protocol):
    """Who else is asked: servers that users have registered."""

    async def mutate(self, ctx: RequestContext, attributes: Attributes, default: Callable[[Object], None]) -> None:
        """Change `attributes.obj` in place, and fill in the kind's defaults again where somebody did."""

    async def validate(self, ctx: RequestContext, attributes: Attributes) -> None:
        """Raises what a webhook refuses with."""

    async def connect(self, ctx: RequestContext, attributes: Attributes) -> None:
        """Raises what a webhook refuses with; `attributes.obj` are the options."""
