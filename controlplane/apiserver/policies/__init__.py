"""Admission policies: rules in CEL that an administrator writes, and the bindings that put them into force.

`expressions.py` runs CEL, `policy.py` decides purely what a policy says of a request, `lookup.py` reads policies and
params from the watch cache. Here the verdicts of all ValidatingAdmissionPolicies become a refusal, warnings, or
nothing; `mutating.py` is the counterpart that changes objects.
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from panal.resources import NAMESPACES, Resource, resource

from ..admission.attributes import Attributes, Reader
from ..cache import Cache
from ..webhooks import equivalents
from .lookup import Bound, refusal
from .policy import Binding, Misconfigured, Policy

_POLICIES = resource("validatingadmissionpolicies")
_BINDINGS = resource("validatingadmissionpolicybindings")


class Policies:
    """A validating admission plugin."""

    def __init__(self, cache: Cache, custom: Callable[[str, str], Resource | None]) -> None:
        """`custom` finds the custom resource of an apiVersion and kind."""
        self._bound = Bound(cache, _POLICIES, _BINDINGS, custom)

    def __call__(self, attributes: Attributes, reader: Reader) -> None:
        """Raises StatusError for what a policy denies."""
        denied = [
            (policy, binding, decision)
            for policy, binding, found in self._bound.concerning(attributes, reader)
            for decision in self._decide(policy, binding, equivalents.view(attributes, found), reader)
            if "Deny" in binding.actions
        ]
        if denied:
            policy, binding, (why, reason) = denied[0]
            words = f"ValidatingAdmissionPolicy '{policy.name}' with binding '{binding.name}' denied request: {why}"
            raise refusal(attributes, words, reason)

    def _decide(self, policy: Policy, binding: Binding, asked: Attributes, reader: Reader) -> Iterator[tuple[str, str]]:
        """The (message, reason) of everything that fails; clients are warned here where the binding says so."""
        space = reader.get(NAMESPACES, "", asked.namespace) if asked.resource.namespaced else None
        try:
            params = list(self._bound.params(policy, binding, asked, reader))
        except Misconfigured as error:
            if policy.fails_closed:
                yield f"failed to configure binding: {error}", ""
            return
        for each in params:
            for message, reason in policy.evaluate(asked, each, space):
                if "Warn" in binding.actions:
                    asked.warnings.append(
                        f"Validation failed for ValidatingAdmissionPolicy '{policy.name}' with binding "
                        f"'{binding.name}': {message}"
                    )
                yield message, reason
