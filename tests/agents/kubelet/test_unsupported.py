"""What has no effect is told by name."""

from __future__ import annotations

from typing import Any

from panal.agents.kubelet.unsupported import unsupported


def test_an_ordinary_pod_is_told_nothing(pod: Any) -> None:
    security = {"runAsUser": 1000, "capabilities": {"drop": ["ALL"]}, "procMount": "Default"}
    assert unsupported(pod({"name": "web", "securityContext": security}, hostNetwork=True)) == []


def test_each_field_without_effect_is_named_once(pod: Any) -> None:
    profile = {"seccompProfile": {"type": "RuntimeDefault"}}
    asked = pod(
        {"name": "web", "securityContext": profile},
        hostPID=True,
        securityContext={"sysctls": [{"name": "net.core.somaxconn", "value": "1"}], **profile},
    )
    assert unsupported(asked) == [
        "spec.hostPID has no effect: processes of the node are not shown",
        "spec.securityContext.sysctls has no effect: net.core.somaxconn",
        "spec.securityContext.seccompProfile has no effect: no system call is filtered",
        "securityContext of container web.seccompProfile has no effect: no system call is filtered",
    ]
