"""What a deletion does to an object before it may go: preconditions, finalizers by propagation policy, grace. Pure.

https://kubernetes.io/docs/concepts/architecture/garbage-collection/ and the DeleteOptions of meta/v1.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from panal.errors import BadRequest, Conflict, Invalid, conflict
from panal.resources import Resource

from . import requestoptions
from .fielderrors import bad, not_supported
from .request import Query
from .strategy import RequestContext, Strategy

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
_POLICIES = ("Background", "Foreground", "Orphan")


@dataclass(frozen=True)
class DeleteOptions:
    """A metav1.DeleteOptions."""

    grace_seconds: int | None = None
    uid: str = ""
    revision: str = ""
    propagation: str = ""
    dry_run: bool = False

    @classmethod
    def read(cls, body: Any, query: Query) -> DeleteOptions:
        """From the body, else from the query. Raises BadRequest, Invalid."""
        if body is not None and not isinstance(body, dict):
            raise BadRequest("the DeleteOptions are not an object")
        given = body or {}
        grace = given.get("gracePeriodSeconds")
        if grace is None:
            grace = query.integer("gracePeriodSeconds")
        if grace is not None and (not isinstance(grace, int) or isinstance(grace, bool)):
            raise BadRequest("gracePeriodSeconds is not an integer")
        preconditions = given.get("preconditions") or {}
        if not isinstance(preconditions, dict):
            raise BadRequest("preconditions is not an object")
        propagation = given.get("propagationPolicy") or query.get("propagationPolicy")
        orphan = given.get("orphanDependents")
        if not propagation and orphan is not None:
            propagation = "Orphan" if orphan else "Background"
        if propagation and propagation not in _POLICIES:
            raise _bad_policy(str(propagation))
        if given.get("propagationPolicy") and orphan is not None:
            both = "orphanDependents and deletionPropagation cannot be both set"
            raise requestoptions.refused("DeleteOptions", [bad("propagationPolicy", propagation, both)])
        dry_run = given.get("dryRun") or ([query.get("dryRun")] if query.get("dryRun") else [])
        if dry_run not in ([], ["All"]):
            raise requestoptions.refused("DeleteOptions", [not_supported("dryRun", dry_run, ("All",))])
        return cls(
            grace_seconds=None if grace is None else max(grace, 0),
            uid=str(preconditions.get("uid") or ""),
            revision=str(preconditions.get("resourceVersion") or ""),
            propagation=propagation or "",
            dry_run=bool(dry_run),
        )

    def as_mapping(self) -> dict[str, Any]:
        """As strategies read it."""
        return {} if self.grace_seconds is None else {"gracePeriodSeconds": self.grace_seconds}

    def check(self, resource: Resource, name: str, obj: dict[str, Any]) -> None:
        """Raises Conflict when a precondition does not hold."""
        metadata = obj["metadata"]
        if self.uid and self.uid != metadata.get("uid"):
            why = f"Precondition failed: UID in precondition: {self.uid}, UID in object meta: {metadata.get('uid')}"
            raise conflict(resource.plural, resource.group, name, why)
        actual = metadata.get("resourceVersion")
        if self.revision and self.revision != actual:
            raise Conflict(
                f'Operation cannot be fulfilled on {resource.kind} "{name}": the ResourceVersion in the precondition '
                f"({self.revision}) does not match the ResourceVersion in record ({actual}). "
                "The object might have been modified",
                details={"name": name, **({"group": resource.group} if resource.group else {}), "kind": resource.kind},
            )


def mark(strategy: Strategy, ctx: RequestContext, obj: dict[str, Any], options: DeleteOptions) -> dict[str, Any]:
    """The object as the deletion leaves it; changes and returns `obj`."""
    metadata = obj["metadata"]
    _set_finalizers(metadata, options.propagation or strategy.default_propagation(), options.propagation != "")
    grace = strategy.deletion_grace(ctx, obj, options.as_mapping())
    seconds = grace or 0
    known = metadata.get("deletionGracePeriodSeconds")
    if metadata.get("deletionTimestamp"):
        if known is not None and grace is not None and seconds < known:
            began = _parse(metadata["deletionTimestamp"]) - datetime.timedelta(seconds=known)
            metadata["deletionTimestamp"] = _format(began + datetime.timedelta(seconds=seconds))
            metadata["deletionGracePeriodSeconds"] = seconds
        return obj
    metadata["deletionTimestamp"] = _format(_parse(ctx.now) + datetime.timedelta(seconds=seconds))
    metadata["deletionGracePeriodSeconds"] = seconds
    if metadata.get("generation", 0) > 0:
        metadata["generation"] += 1
    strategy.prepare_for_delete(ctx, obj)
    return obj


def _set_finalizers(metadata: dict[str, Any], policy: str, explicit: bool) -> None:
    """Explicit policies win; without one, what the object already carries stays."""
    present = metadata.get("finalizers") or []
    if not explicit and (FOREGROUND in present or ORPHAN in present):
        return
    kept = [each for each in present if each not in (FOREGROUND, ORPHAN)]
    wanted = {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(policy, [])
    if kept + wanted:
        metadata["finalizers"] = kept + wanted
    else:
        metadata.pop("finalizers", None)


def _bad_policy(value: str) -> Invalid:
    message = f'Unsupported value: "{value}": supported values: "Foreground", "Background", "Orphan", "nil"'
    return Invalid(
        f'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: {message}',
        details={
            "group": "meta.k8s.io",
            "kind": "DeleteOptions",
            "causes": [{"reason": "FieldValueNotSupported", "message": message, "field": "propagationPolicy"}],
        },
    )


def _parse(text: str) -> datetime.datetime:
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")


def _format(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
