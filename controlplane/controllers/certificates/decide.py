"""A CertificateSigningRequest in; whether to approve, sign, refuse or remove it, out. Pure.

https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#kubernetes-signers
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..meta import Object, condition, created, metadata, parse_time, spec, status, timestamp

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
SIGNERS = frozenset({CLIENT, KUBELET_CLIENT, KUBELET_SERVING})
SELF_SERVER = "selfnodeserver"
"""The right that lets a node's request for its own serving certificate be approved by itself."""
LAN_CLIENT, LAN_GROUPS = "lanclient", ("panal:lan",)
LAN_USERS = ("panal:load-balancer", "panal:external-dns")
"""The right, the group and the users of hosts of the LAN, which join by a token of their own."""
NEW = 30.0
"""Seconds that a node's request for a serving certificate is looked at again and again."""
SETTLED_KEPT, PENDING_KEPT = 3600.0, 86400.0
"""Seconds that requests are kept once settled, and while nobody decides."""
LONGEST, SHORTEST = 365 * 86400.0, 600.0
"""Seconds a certificate may live; `expirationSeconds` may ask for less."""


@dataclass(frozen=True)
class Asked:
    """What the PKCS#10 request asks for."""

    common_name: str
    organizations: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


def problem(signer: str, asked: Asked, usages: Sequence[str]) -> str | None:
    """Why the signer may not sign this; None if it may."""
    if signer == CLIENT:
        allowed = {"client auth", "digital signature", "key encipherment"}
        return None if "client auth" in usages and set(usages) <= allowed else "usages did not match"
    if asked.organizations != ("system:nodes",):
        return "subject organization is not system:nodes"
    if not asked.common_name.startswith("system:node:"):
        return "subject common name does not begin with system:node:"
    if asked.emails:
        return "Email subjectAltNames are not allowed"
    if asked.uris:
        return "URI subjectAltNames are not allowed"
    serving = signer == KUBELET_SERVING
    if serving and not (asked.dns or asked.addresses):
        return "DNS or IP subjectAltName is required"
    if not serving and asked.dns:
        return "DNS subjectAltNames are not allowed"
    if not serving and asked.addresses:
        return "IP subjectAltNames are not allowed"
    wanted = {"digital signature", "server auth" if serving else "client auth"}
    return None if set(usages) in (wanted, wanted | {"key encipherment"}) else "usages did not match"


def _has(request: Object, kind: str) -> bool:
    found = condition(status(request).get("conditions"), kind)
    return found is not None and found.get("status", "True") == "True"


def is_pending(request: Object) -> bool:
    return not _has(request, "Approved") and not _has(request, "Denied")


def is_to_be_signed(request: Object) -> bool:
    ours = spec(request).get("signerName") in SIGNERS
    done = bool(status(request).get("certificate")) or _has(request, "Failed") or _has(request, "Denied")
    return ours and _has(request, "Approved") and not done


def reviews(asked: Asked, request: Object) -> tuple[str, ...]:
    """The rights (subresources) of which one lets a client request be approved by itself: a kubelet's, a LAN host's."""
    if is_of_the_lan(asked, request):
        return (LAN_CLIENT,)
    if spec(request).get("signerName") != KUBELET_CLIENT:
        return ()
    if problem(KUBELET_CLIENT, asked, spec(request).get("usages") or ()) is not None:
        return ()
    own = asked.common_name == spec(request).get("username")
    return ("selfnodeclient", "nodeclient") if own else ("nodeclient",)


def is_of_the_lan(asked: Asked, request: Object) -> bool:
    """Whether the load balancer or the DNS server outside the cluster asks for its client certificate."""
    if spec(request).get("signerName") != CLIENT or problem(CLIENT, asked, spec(request).get("usages") or ()):
        return False
    return asked in (Asked(user, LAN_GROUPS) for user in LAN_USERS)


def serves_itself(asked: Asked, request: Object, node: Object | None) -> bool:
    """Whether a node asks for a serving certificate of its own name and addresses, and nothing else.

    Kubernetes leaves these to whoever runs the cluster; here a node's own Node object vouches for its addresses.
    """
    if spec(request).get("signerName") != KUBELET_SERVING or node is None:
        return False
    if problem(KUBELET_SERVING, asked, spec(request).get("usages") or ()) is not None:
        return False
    own = f"system:node:{metadata(node).get('name')}"
    if asked.common_name != own or spec(request).get("username") != own:
        return False
    known = {item.get("address") for item in status(node).get("addresses") or ()}
    return set(asked.dns) <= {metadata(node).get("name")} and set(asked.addresses) <= known


def waits_for_its_node(request: Object, now: float) -> bool:
    """Whether this is a new request of a node that may not have been heard of yet."""
    if spec(request).get("signerName") != KUBELET_SERVING or not is_pending(request):
        return False
    return now - (parse_time(created(request)) or now) < NEW


def approval(right: str) -> str:
    if right == LAN_CLIENT:
        return "Auto approving LAN host client certificate after SubjectAccessReview."
    if right == SELF_SERVER:
        return "Auto approving self kubelet serving certificate after SubjectAccessReview."
    return (
        "Auto approving self kubelet client certificate after SubjectAccessReview."
        if right == "selfnodeclient"
        else "Auto approving kubelet client certificate after SubjectAccessReview."
    )


def with_verdict(request: Object, kind: str, reason: str, message: str, now: float) -> Object:
    """The request with one condition more: Approved or Failed."""
    at = timestamp(now)
    new = {"type": kind, "status": "True", "reason": reason, "message": message}
    conditions = [*(status(request).get("conditions") or ()), {**new, "lastUpdateTime": at, "lastTransitionTime": at}]
    return {**request, "status": {**status(request), "conditions": conditions}}


def lifetime(request: Object) -> float:
    """Seconds the certificate is to live."""
    asked = spec(request).get("expirationSeconds")
    return LONGEST if asked is None else min(LONGEST, max(SHORTEST, float(asked)))


def keep_for(request: Object, now: float) -> float:
    """Seconds until the request is cleared away; 0 or less for now."""
    begun = parse_time(created(request)) or now
    settled = [
        parse_time(item.get("lastUpdateTime")) or begun
        for item in status(request).get("conditions") or ()
        if item.get("type") in ("Approved", "Denied", "Failed")
    ]
    assert metadata(request)
    return (max(settled) + SETTLED_KEPT if settled else begun + PENDING_KEPT) - now
