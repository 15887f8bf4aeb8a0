"""Admission webhooks: servers that users register are asked about writes, and may change or refuse them.

Mutating ones are asked one after the other, in the order of their configurations' names, and once more where one that
comes later changed the object (`reinvocationPolicy: IfNeeded`); validating ones are asked all at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Callable

import orjson

from panal.errors import BadRequest, Forbidden, InternalError, StatusError
from panal.resources import Resource, resource

from .. import keys
from ..admission import Attributes
from ..admission.attributes import Object, Reader
from ..cache import Cache
from ..strategy import RequestContext
from . import equivalents, matching, review
from .calling import Caller, Unreachable
from .conversions import Conversions
from .matching import Webhook
from .review import Failure, Verdict

_log = logging.getLogger(__name__)

_MUTATING = resource("mutatingwebhookconfigurations")
_VALIDATING = resource("validatingwebhookconfigurations")


class Registered:
    """The configurations of one kind as webhooks, read again when one changes."""

    def __init__(self, cache: Cache, kind: Resource) -> None:
        self._shelf = cache.shelf(keys.location(kind))
        self._revision = -1
        self._found: list[Webhook] = []

    def all(self) -> list[Webhook]:
        if self._revision != self._shelf.revision:
            self._found = matching.webhooks(item.decode() for item in self._shelf.list())
            self._revision = self._shelf.revision
        return self._found


class Webhooks:
    """Asks the registered webhooks."""

    def __init__(
        self, cache: Cache, reader: Reader, caller: Caller, conversions: Conversions, rng: random.Random
    ) -> None:
        self._mutating = Registered(cache, _MUTATING)
        self._validating = Registered(cache, _VALIDATING)
        self._reader = reader
        self._caller = caller
        self._conversions = conversions
        self._rng = rng

    async def mutate(self, ctx: RequestContext, attributes: Attributes, default: Callable[[Object], None]) -> None:
        """Change `attributes.obj` in place. Raises what a webhook refuses with, InternalError for one that fails."""
        hooks = self._mutating.all()
        if not hooks:
            return
        if attributes.resource.namespaced:
            attributes.obj["metadata"].setdefault("namespace", attributes.namespace)
        before: dict[int, bytes] = {}
        for turn in range(2):
            for index, hook in enumerate(hooks):
                if turn and not self._again(hook, before.get(index), attributes.obj):
                    continue
                if (seen := await self._concerned(hook, attributes)) is not None:
                    found = await self._ask(ctx, hook, seen)
                    if found is not None and found.patch:
                        _change(hook, seen, found.patch)
                        await self._accept(attributes, seen)
                        default(attributes.obj)
                    before[index] = _encoded(attributes.obj)

    async def _concerned(self, hook: Webhook, asked: Attributes) -> Attributes | None:
        """The request as it is to be asked about it, None if not. Raises Forbidden for a condition that fails."""
        found = matching.concerns(hook, asked, self._reader)
        if found is None:
            return None
        attributes = await self._view(asked, found)
        conditions = hook.spec.get("matchConditions")
        if not conditions:
            return attributes
        from ..policies import expressions

        try:
            holds = expressions.conditions_hold(conditions, expressions.seen(attributes))
            return attributes if holds else None
        except expressions.Failed as error:
            if hook.ignores_failures:
                return None
            where, name = asked.resource, str(_own_name(attributes) or attributes.name)
            details = {"name": name, **({"group": where.group} if where.group else {}), "kind": where.plural}
            raise Forbidden(f'{where.group_resource} "{name}" is forbidden: {error}', details=details) from error

    async def _view(self, asked: Attributes, resource: Resource) -> Attributes:
        """The request as it would be about that resource. Raises StatusError for what cannot be converted."""
        found = equivalents.view(asked, resource)
        if found is not asked and equivalents.by_webhook(resource):
            found.obj = await self._conversions.convert(asked.obj, resource)
            found.old = None if asked.old is None else await self._conversions.convert(asked.old, resource)
        return found

    async def _accept(self, asked: Attributes, seen: Attributes) -> None:
        """Take over what a webhook made of the object that it saw."""
        if seen is not asked and equivalents.by_webhook(asked.resource):
            made = await self._conversions.convert(seen.obj, asked.resource)
            asked.obj.clear()
            asked.obj.update(made)
        else:
            equivalents.accept(asked, seen)

    @staticmethod
    def _again(hook: Webhook, left: bytes | None, obj: Object) -> bool:
        """Whether somebody changed what this webhook had seen, and it wants to see that."""
        return left is not None and hook.spec.get("reinvocationPolicy") == "IfNeeded" and left != _encoded(obj)

    async def validate(self, ctx: RequestContext, attributes: Attributes) -> None:
        """Raises what the first webhook refuses with, InternalError for one that fails."""
        seen = [(hook, await self._concerned(hook, attributes)) for hook in self._validating.all()]
        if concerned := [(hook, asked) for hook, asked in seen if asked is not None]:
            await asyncio.gather(*(self._ask(ctx, hook, asked) for hook, asked in concerned))

    async def connect(self, ctx: RequestContext, attributes: Attributes) -> None:
        """Raises what a webhook refuses a connection with. What a mutating one would change of it is not changed."""
        for hook in self._mutating.all():
            if (asked := await self._concerned(hook, attributes)) is not None:
                await self._ask(ctx, hook, asked)
        await self.validate(ctx, attributes)

    async def _ask(self, ctx: RequestContext, hook: Webhook, attributes: Attributes) -> Verdict | None:
        """The verdict of a webhook that allows it, None for one whose failure does not matter."""
        if ctx.dry_run and hook.has_side_effects:
            raise BadRequest(f'admission webhook "{hook.name}" does not support dry run')
        uid = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        try:
            asked = review.request(ctx, attributes, uid, review.version(hook.spec))
            verdict = review.verdict(await self._call(hook, orjson.dumps(asked)), uid)
        except Failure as failure:
            _log.warning("webhook %s of %s failed: %s", hook.name, hook.configuration, failure)
            if hook.ignores_failures:
                return None
            raise _failed(hook, str(failure)) from failure
        attributes.warnings += verdict.warnings
        if not verdict.allowed:
            raise review.refusal(hook.name, verdict.status)
        return verdict

    async def _call(self, hook: Webhook, body: bytes) -> bytes:
        """Raises Failure."""
        try:
            return await self._caller.call(hook.spec.get("clientConfig") or {}, hook.seconds, body)
        except Unreachable as why:
            raise Failure(f"{why.while_}: {why}") from why


def _own_name(attributes: Attributes) -> str:
    return str((attributes.obj.get("metadata") or {}).get("name") or "")


def _failed(hook: Webhook, why: str) -> InternalError:
    message = f'failed calling webhook "{hook.name}": {why}'
    return InternalError(f"Internal error occurred: {message}", details={"causes": [{"message": message}]})


def _change(hook: Webhook, attributes: Attributes, operations: object) -> None:
    from ..patch.jsonpatches import json_patch

    try:
        changed = json_patch(attributes.obj, operations)
    except StatusError as error:
        raise _failed(hook, f"the patch cannot be applied: {error.message}") from error
    if not isinstance(changed.get("metadata"), dict):
        raise _failed(hook, "the patched object has no metadata")
    attributes.obj.clear()
    attributes.obj.update(changed)


def _encoded(obj: Object) -> bytes:
    return orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)
