"""Nodes that `panal node rm` has removed: certificates they had until then are good for nothing any more. Pure.

Kubernetes has no such list: there a node that was deleted can register again as long as its certificate lasts. The
ConfigMap `panal-removed-nodes` in kube-system holds the moment of each removal by the node's name; a machine that joins
again gets a newer certificate.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import datetime
from typing import Any

NAMESPACE, NAME = "kube-system", "panal-removed-nodes"
USER = "system:node:"
BACKDATE = 300.0
"""Seconds by which the cluster's certificates begin before they were signed."""


def is_removed(certificate: Mapping[str, Any], user: str, removed: Mapping[str, Any]) -> bool:
    """Whether the node was removed after this certificate (as `getpeercert` has it) was signed."""
    text = (removed.get("data") or {}).get(user.removeprefix(USER))
    if not user.startswith(USER) or not isinstance(text, str):
        return False
    try:
        signed = ssl.cert_time_to_seconds(str(certificate["notBefore"])) + BACKDATE
        return signed <= datetime.fromisoformat(text).timestamp()
    except (KeyError, ValueError):
        return True
