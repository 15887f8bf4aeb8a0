"""The one recipe for every write of every kind: decode, default, admit, prepare, validate, admit, store.

`strategy.py` says what a kind does at each step; this is the order of the steps, the optimistic concurrency around
them, and deletion with finalizers and grace. Reads are reading.py's.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from panal import unacted
from panal.addresses import in_loopback
from panal.errors import BadRequest, Conflict, StatusError, already_exists, conflict, not_found
from panal.resources import RESOURCEQUOTAS, SERVICES, Resource

from ..store import Mismatch, Store
from . import admission, allocation, encoding, keys
from .admission.stored import StoredObjects
from .apply import track_update
from .cache import Cache, Item
from .custom.resource import CustomResource
from .decode import FieldValidation, Unreadable, decode
from .deletion import DeleteOptions, mark
from .fielderrors import invalid
from .strategy import RequestContext, Strategy, before_create, before_update, generate_name, strategy_for

if TYPE_CHECKING:
    from .custom.conversion import Conversions

Object = dict[str, Any]

_ATTEMPTS = 16
"""How often a write that names no revision is tried again when others write the same object."""
_NAME_ATTEMPTS = 8

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


@dataclass(frozen=True)
class Written:
    """The outcome of a write: the object as it is now, and what to warn the client of."""

    body: bytes
    created: bool = False
    warnings: tuple[str, ...] = ()
    deleted: bool = False


class Registry:
    """Writes of one API server."""

    def __init__(
        self,
        store: Store,
        cache: Cache,
        rng: random.Random,
        ranges: allocation.Ranges,
        validating: tuple[admission.Plugin, ...] = admission.VALIDATING,
        webhooks: admission.Webhooks | None = None,
        filling: tuple[admission.Plugin, ...] = (),
        conversions: Conversions | None = None,
    ) -> None:
        """`filling` are mutating plugins that need more than what is stored."""
        self._conversions = conversions
        self._store = store
        self._ranges = ranges
        self._cache = cache
        self._rng = rng
        self._stored = StoredObjects(cache)
        self._mutating = (*admission.mutating(in_loopback()), *filling)
        self._validating = validating
        self._webhooks = webhooks
        self._allocating = asyncio.Lock()
        self._quotas = cache.shelf(keys.location(RESOURCEQUOTAS))
        self._in_namespace: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def create(
        self, ctx: RequestContext, resource: Resource, obj: Object, *, field_validation: FieldValidation = "Warn"
    ) -> Written:
        """Raises Invalid, AlreadyExists, Forbidden, BadRequest."""
        async with self._turn(ctx, resource):
            return await self._create(ctx, resource, obj, field_validation, posted=True)

    async def _create(
        self,
        ctx: RequestContext,
        resource: Resource,
        obj: Object,
        field_validation: FieldValidation,
        tracked: bool = False,
        posted: bool = False,
    ) -> Written:
        strategy = strategy_for(resource)
        check_kind(resource, obj)
        warnings = decode(resource, obj, field_validation)
        revised = posted and obj["metadata"].get("resourceVersion") not in (None, "", "0")
        for _ in range(_NAME_ATTEMPTS):
            generated = not obj["metadata"].get("name")
            attempt = _copy(obj) if generated else obj  # with a name there is one attempt
            admitted = await self._prepare_new(ctx, strategy, attempt, tracked)
            warnings += strategy.warnings(ctx, attempt) + admitted.warnings
            warnings += unacted.warnings(resource.group_resource, resource.kind, attempt, None)
            if revised and not ctx.dry_run:
                raise StatusError("resourceVersion should not be set on objects to be created", reason="")
            try:
                body = await self._put(ctx, resource, attempt, 0)
            except Mismatch:
                if not generated:
                    break
            else:
                return Written(body, created=True, warnings=tuple(warnings))
        raise already_exists(resource.plural, resource.group, str(attempt["metadata"]["name"]))

    async def _prepare_new(
        self, ctx: RequestContext, strategy: Strategy, obj: Object, tracked: bool
    ) -> admission.Attributes:
        resource = strategy.resource
        strategy.default(obj)
        if not tracked:
            track_update(resource, None, obj, manager=ctx.field_manager, now=ctx.now, subresource="")
        generate_name(obj, self._rng)
        attributes = self._attributes(ctx, resource, "CREATE", obj, None)
        admission.admit(self._mutating, attributes, self._stored)
        if self._webhooks is not None:
            await self._webhooks.mutate(ctx, attributes, lambda found: _checked(strategy, found))
        before_create(strategy, ctx, obj, uid=str(uuid.UUID(int=self._rng.getrandbits(128), version=4)), rng=self._rng)
        if errors := strategy.validate(ctx, obj):
            raise invalid(resource.kind, resource.group, str(obj["metadata"].get("name", "")), errors)
        self._allocate(ctx, resource, obj, None)
        strategy.canonicalize(obj)
        await self._validated(ctx, attributes)
        return attributes

    async def _validated(self, ctx: RequestContext, attributes: admission.Attributes) -> None:
        """Ask the validating plugins and webhooks, and the quotas last. Raises Forbidden, Invalid."""
        admission.admit(self._validating, attributes, self._stored)
        if self._webhooks is not None:
            await self._webhooks.validate(ctx, attributes)
        admission.admit(admission.LAST, attributes, self._stored)

    def _turn(self, ctx: RequestContext, resource: Resource) -> AbstractAsyncContextManager[object]:
        """Writes that depend on what else is there take their turn.

        Services, so that two never get the same address; whatever is in a namespace with quotas, so that all of them
        together stay within.
        """
        if resource == SERVICES:
            return self._allocating
        if not resource.namespaced or ctx.subresource or not self._quotas.has(ctx.namespace):
            return nullcontext()
        return self._in_namespace.setdefault(ctx.namespace, asyncio.Lock())

    def _allocate(self, ctx: RequestContext, resource: Resource, obj: Object, old: Object | None) -> None:
        """Addresses and node ports for Services. Raises Invalid."""
        if resource != SERVICES:
            return
        meta = obj["metadata"]
        used = allocation.in_use(self._stored.list(SERVICES), (meta["namespace"], meta["name"]))
        before = old.get("spec", {}) if old else None
        if ctx.dry_run:
            errors = allocation.dry_run(obj["spec"], before, self._ranges)
        else:
            errors = allocation.allocate(obj["spec"], before, used, self._ranges, self._rng)
        if errors:
            raise invalid(resource.kind, resource.group, meta["name"], errors)

    async def connect(self, ctx: RequestContext, resource: Resource, options: Object) -> None:
        """Ask the webhooks about a connection. Raises what they refuse it with."""
        if self._webhooks is not None:
            attributes = self._attributes(ctx, resource, "CONNECT", options, None)
            attributes.options_kind = str(options["kind"])
            await self._webhooks.connect(ctx, attributes)

    def _attributes(
        self, ctx: RequestContext, resource: Resource, operation: str, obj: Object, old: Object | None
    ) -> admission.Attributes:
        return admission.Attributes(
            operation=operation,
            resource=resource,
            subresource=ctx.subresource,
            namespace=ctx.namespace,
            name=ctx.name,
            obj=obj,
            old=old,
            user=ctx.user,
            rng=self._rng,
            groups=ctx.groups,
            extra=ctx.extra,
            dry_run=ctx.dry_run,
        )

    async def update(
        self,
        ctx: RequestContext,
        resource: Resource,
        change: Callable[[Object], Object],
        *,
        create: Callable[[], Object] | None = None,
        field_validation: FieldValidation = "Warn",
        tracked: bool = False,
        managed_as: str = "",
        unfit: Callable[[Object, Unreadable], StatusError] | None = None,
    ) -> Written:
        """Replace an object by what `change` makes of the current one (its argument is a copy of its own).

        `change` may be called again when somebody else wrote meanwhile, unless the new object names a revision.
        `unfit` makes the error for what `change` made and cannot be read.
        `managed_as` is the subresource that managedFields note, if it is not the context's.
        `tracked` says that managedFields are right already (server-side apply). Raises NotFound, Conflict, Invalid.
        """
        async with self._turn(ctx, resource):
            return await self._update(ctx, resource, change, create, field_validation, tracked, managed_as, unfit)

    async def _update(
        self,
        ctx: RequestContext,
        resource: Resource,
        change: Callable[[Object], Object],
        create: Callable[[], Object] | None,
        field_validation: FieldValidation,
        tracked: bool,
        managed_as: str,
        unfit: Callable[[Object, Unreadable], StatusError] | None,
    ) -> Written:
        strategy = strategy_for(resource)
        shelf = self._cache.shelf(keys.location(resource))
        for _ in range(_ATTEMPTS):
            item = shelf.get(ctx.namespace if resource.namespaced else "", ctx.name)
            if item is None:
                if create is None:
                    raise not_found(resource.plural, resource.group, ctx.name)
                return await self._create(ctx, resource, create(), field_validation, tracked)
            item = await self._shown(resource, item)
            old = item.decode()
            new = change(item.decode())
            check_kind(resource, new)
            try:
                warnings = decode(resource, new, field_validation)
            except Unreadable as error:
                if unfit is None:
                    raise
                raise unfit(new, error) from None
            self._check(resource, strategy, new, old, ctx)
            admitted = await self._prepare_changed(ctx, strategy, new, old, managed_as or ctx.subresource, tracked)
            warnings += strategy.warnings(ctx, new, old) + admitted.warnings
            if not ctx.subresource:
                warnings += unacted.warnings(resource.group_resource, resource.kind, new, old)
            if encoding.same(new, old):
                return Written(item.body, warnings=tuple(warnings))
            try:
                if _finished(strategy, new):
                    return await self._remove(ctx, resource, item, new, tuple(warnings))
                return Written(await self._put(ctx, resource, new, item.revision), warnings=tuple(warnings))
            except Mismatch as mismatch:
                await self._cache.reached(mismatch.actual)
        raise conflict(resource.plural, resource.group, ctx.name, MODIFIED)

    async def _shown(self, resource: Resource, item: Item) -> Item:
        """A stored object as the resource shows it. Raises StatusError where a webhook cannot convert it."""
        if self._conversions is not None and isinstance(resource, CustomResource):
            await self._conversions.settle(resource, lambda: (item,))
        return strategy_for(resource).present(item)

    def _check(self, resource: Resource, strategy: Strategy, new: Object, old: Object, ctx: RequestContext) -> None:
        """Raises Conflict for an object that names another revision than the current one."""
        metadata = new.setdefault("metadata", {})
        name = metadata.setdefault("name", ctx.name)
        if name != ctx.name:
            raise BadRequest(f"the name of the object ({name}) does not match the name on the URL ({ctx.name})")
        wanted = metadata.get("resourceVersion")
        if not wanted:
            if not strategy.allow_unconditional_update:
                raise invalid_revision(resource, ctx.name)
        elif wanted != old["metadata"]["resourceVersion"]:
            raise conflict(resource.plural, resource.group, ctx.name, MODIFIED)

    async def _prepare_changed(
        self, ctx: RequestContext, strategy: Strategy, new: Object, old: Object, managed_as: str, tracked: bool
    ) -> admission.Attributes:
        resource = strategy.resource
        strategy.default(new)
        if not tracked:
            track_update(resource, old, new, manager=ctx.field_manager, now=ctx.now, subresource=managed_as)
        attributes = self._attributes(ctx, resource, "UPDATE", new, old)
        admission.admit(self._mutating, attributes, self._stored)
        if self._webhooks is not None:
            await self._webhooks.mutate(ctx, attributes, lambda found: _checked(strategy, found))
        before_update(strategy, ctx, new, old)
        if errors := strategy.validate_update(ctx, new, old):
            raise invalid(resource.kind, resource.group, ctx.name, errors)
        if not ctx.subresource:
            self._allocate(ctx, resource, new, old)
        strategy.canonicalize(new)
        await self._validated(ctx, attributes)
        return attributes

    async def delete(self, ctx: RequestContext, resource: Resource, options: DeleteOptions) -> Written:
        """Delete, or mark for deletion what has finalizers or time to end. Raises NotFound, Conflict."""
        strategy = strategy_for(resource)
        shelf = self._cache.shelf(keys.location(resource))
        for _ in range(_ATTEMPTS):
            item = shelf.get(ctx.namespace if resource.namespaced else "", ctx.name)
            if item is None:
                raise not_found(resource.plural, resource.group, ctx.name)
            item = await self._shown(resource, item)
            old = item.decode()
            options.check(resource, ctx.name, old)
            warnings = await self._admit_deletion(ctx, resource, item)
            new = mark(strategy, ctx, item.decode(), options)
            try:
                if _finished(strategy, new):
                    return await self._remove(ctx, resource, item, new, warnings)
                if new == old:
                    return Written(item.body, warnings=warnings)
                return Written(await self._put(ctx, resource, new, item.revision), warnings=warnings)
            except Mismatch as mismatch:
                await self._cache.reached(mismatch.actual)
        raise conflict(resource.plural, resource.group, ctx.name, MODIFIED)

    async def _admit_deletion(self, ctx: RequestContext, resource: Resource, item: Item) -> tuple[str, ...]:
        """The warnings that go with it. Raises Forbidden."""
        obj = item.decode()
        attributes = self._attributes(ctx, resource, "DELETE", obj, obj)
        admission.admit(self._mutating, attributes, self._stored)
        if self._webhooks is not None:
            await self._webhooks.mutate(ctx, attributes, lambda _: None)
        await self._validated(ctx, attributes)
        return tuple(attributes.warnings)

    async def _put(self, ctx: RequestContext, resource: Resource, obj: Object, expect: int) -> bytes:
        """Store; the encoded object with its revision. Raises Mismatch, StatusError for what cannot be converted."""
        shown = stored = encoding.encode(obj)
        converted = self._conversions is not None and _by_webhook(resource, obj)
        if converted and self._conversions is not None:
            stored = encoding.encode(await self._conversions.to_store(resource, obj))
        elif (kept := strategy_for(resource).to_store(obj)) is not obj:
            stored = encoding.encode(kept)
        key = self._key(resource, obj)
        namespace = obj["metadata"].get("namespace", "") if resource.namespaced else ""
        shelf = self._cache.shelf(keys.location(resource))
        if ctx.dry_run:
            current = shelf.get(namespace, obj["metadata"]["name"])
            actual = current.revision if current else 0
            if actual != expect:
                raise Mismatch(key, actual)
            return encoding.with_revision(shown, expect) if expect else shown
        revision = await self._store.append(key, stored, expect=expect)
        await self._cache.reached(revision)
        if not converted:
            return encoding.with_revision(shown, revision)
        item = shelf.get(namespace, obj["metadata"]["name"])
        if item is None or item.revision != revision:
            item = Item(namespace, obj["metadata"]["name"], revision, encoding.with_revision(stored, revision))
        return (await self._shown(resource, item)).body

    async def _remove(
        self, ctx: RequestContext, resource: Resource, item: Item, last: Object, warnings: tuple[str, ...]
    ) -> Written:
        """Take an object out of the store; the last state is what a client that updated it gets."""
        body = encoding.with_revision(encoding.encode(last), item.revision)
        if not ctx.dry_run:
            key = keys.location(resource).key(item.namespace, item.name)
            revision = await self._store.append(key, None, expect=item.revision)
            await self._cache.reached(revision)
        return Written(body, warnings=warnings, deleted=True)

    def _key(self, resource: Resource, obj: Mapping[str, Any]) -> str:
        metadata = obj["metadata"]
        namespace = metadata["namespace"] if resource.namespaced else ""
        return keys.location(resource).key(namespace, metadata["name"])


def _by_webhook(resource: Resource, obj: Object) -> bool:
    """Whether a webhook has to bring the object into the version that is stored."""
    if not isinstance(resource, CustomResource) or resource.webhook is None:
        return False
    return bool(obj["apiVersion"] != f"{resource.group}/{resource.storage}")


def check_kind(resource: Resource, obj: Object) -> None:
    """Fill in kind and apiVersion, or refuse an object of another kind."""
    obj["kind"] = obj.get("kind") or resource.kind
    obj["apiVersion"] = obj.get("apiVersion") or resource.api_version
    kind, version = obj["kind"], obj["apiVersion"]
    if (kind, version) == (resource.kind, resource.api_version):
        return
    short = str(version).rpartition("/")[2]
    raise BadRequest(
        f'{kind} in version "{short}" cannot be handled as a {resource.kind}: '
        + _why(resource, str(kind), str(version), short)
    )


def _why(resource: Resource, kind: str, version: str, short: str) -> str:
    from panal.resources import by_kind

    if by_kind(version, kind) is None:
        return f'no kind "{kind}" is registered for version "{version}" in scheme "pkg/api/legacyscheme/scheme.go:30"'
    internal = resource.group.partition(".")[0] or "core"
    return f"converting ({short}.{kind}) to ({internal}.{resource.kind}): unknown conversion"


def invalid_revision(resource: Resource, name: str) -> StatusError:
    from .fielderrors import bad

    error = bad("metadata.resourceVersion", 0, "must be specified for an update")
    return invalid(resource.kind, resource.group, name, [error])


def _finished(strategy: Strategy, obj: Object) -> bool:
    """Whether nothing keeps an object that is being deleted any longer."""
    metadata = obj["metadata"]
    return (
        bool(metadata.get("deletionTimestamp"))
        and not metadata.get("finalizers")
        and not metadata.get("deletionGracePeriodSeconds")
        and not strategy.remains_after_delete(obj)
    )


def _checked(strategy: Strategy, obj: Object) -> None:
    """What somebody else made of an object, as if the client had sent it."""
    check_kind(strategy.resource, obj)
    decode(strategy.resource, obj, "Ignore")
    strategy.default(obj)


def _copy(obj: Object) -> Object:
    """A copy whose metadata is its own at least; the rest is copied too, because hooks change what they own."""
    import orjson

    copied: Object = orjson.loads(orjson.dumps(obj))
    if not isinstance(copied.setdefault("metadata", {}), dict):
        copied["metadata"] = {}
    return copied


__all__ = ["Conflict", "Registry", "Written"]
