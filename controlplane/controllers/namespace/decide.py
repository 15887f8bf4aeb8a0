"""The end of a namespace: what to say while content remains, and what to ask of the API when none does. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..meta import Object, is_deleting, spec, status, timestamp, with_condition

FINALIZER = "kubernetes"


@dataclass(frozen=True)
class Remaining:
    """What a round of deletions left behind."""

    counts: Mapping[str, int]
    """Objects left, by resource as messages name it (deployments.apps)."""
    finalizers: Mapping[str, int]
    """How many of the objects left wait for each finalizer."""
    failures: Sequence[str] = ()
    """Deletions that were refused."""
    undiscovered: Sequence[str] = ()
    """Groups whose resources could not be found out."""

    @property
    def empty(self) -> bool:
        return not self.counts and not self.failures and not self.undiscovered


def is_ending(namespace: Object) -> bool:
    return is_deleting(namespace) or status(namespace).get("phase") == "Terminating"


def must_finalize(namespace: Object) -> bool:
    return is_deleting(namespace) and FINALIZER in (spec(namespace).get("finalizers") or ())


def finalized(namespace: Object) -> Object:
    """The namespace without the finalizer, for its `finalize` subresource."""
    left = [item for item in spec(namespace).get("finalizers") or () if item != FINALIZER]
    return {**namespace, "spec": {**spec(namespace), "finalizers": left}}


def _counted(items: Mapping[str, int], form: str) -> str:
    return ", ".join(form.format(key, count) for key, count in sorted(items.items()))


def new_status(namespace: Object, left: Remaining, now: float) -> Object:
    """The phase and the five conditions that say why the namespace is still here."""
    discovery = (
        ("True", "DiscoveryFailed", "Discovery failed for some groups, " + ", ".join(left.undiscovered))
        if left.undiscovered
        else ("False", "ResourcesDiscovered", "All resources successfully discovered")
    )
    parsing = ("False", "ParsedGroupVersions", "All legacy kube types successfully parsed")
    deletion = (
        ("True", "ContentDeletionFailed", "Failed to delete all resource types, " + ", ".join(left.failures))
        if left.failures
        else ("False", "ContentDeleted", "All content successfully deleted, may be waiting on finalization")
    )
    content = (
        (
            "True",
            "SomeResourcesRemain",
            "Some resources are remaining: " + _counted(left.counts, "{} has {} resource instances"),
        )
        if left.counts
        else ("False", "ContentRemoved", "All content successfully removed")
    )
    finalizers = (
        (
            "True",
            "SomeFinalizersRemain",
            "Some content in the namespace has finalizers remaining: "
            + _counted(left.finalizers, "{} in {} resource instances"),
        )
        if left.finalizers
        else ("False", "ContentHasNoFinalizers", "All content-preserving finalizers finished")
    )
    said = {
        "NamespaceDeletionDiscoveryFailure": discovery,
        "NamespaceDeletionGroupVersionParsingFailure": parsing,
        "NamespaceDeletionContentFailure": deletion,
        "NamespaceContentRemaining": content,
        "NamespaceFinalizersRemaining": finalizers,
    }
    conditions = list(status(namespace).get("conditions") or ())
    for kind, (value, reason, message) in said.items():
        new = {
            "type": kind,
            "status": value,
            "lastTransitionTime": timestamp(now),
            "reason": reason,
            "message": message,
        }
        conditions = _renewed(conditions, new)
    return {**status(namespace), "phase": "Terminating", "conditions": conditions}


def _renewed(conditions: list[Object], new: Object) -> list[Object]:
    """Replaced in place, also when only the message differs, so that counts stay true."""
    for index, item in enumerate(conditions):
        if item.get("type") == new["type"]:
            if item.get("status") == new["status"]:
                new = {**new, "lastTransitionTime": item.get("lastTransitionTime", new["lastTransitionTime"])}
            return [*conditions[:index], new, *conditions[index + 1 :]]
    return with_condition(conditions, new)


def wait(attempt: int, left: Remaining, longest_grace: float) -> float:
    """Seconds until the next round: soon at first; the events of what goes bring it earlier."""
    growth = float(2 ** min(attempt, 16))
    if left.failures or left.undiscovered:
        return min(0.1 * growth, 5.0)
    return min(0.05 * growth, max(1.0, longest_grace / 4), 5.0)
