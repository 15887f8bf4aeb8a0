"""PodSecurity: upstream's words for what each level forbids, and who is refused, warned or left alone."""

from __future__ import annotations

from typing import Any

import pytest

from panal.controlplane.apiserver.admission import podsecurity
from panal.controlplane.apiserver.admission.podsecurity.policy import Level, of
from panal.errors import Forbidden
from panal.resources import DEPLOYMENTS, NAMESPACES, PODS

from .conftest import Object, Stored, asking, pod

ENFORCE = "pod-security.kubernetes.io/enforce"
GOOD = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def namespace(**labels: str) -> Object:
    return {"metadata": {"name": "shop", "labels": {f"pod-security.kubernetes.io/{k}": v for k, v in labels.items()}}}


def stored(**labels: str) -> Stored:
    made = Stored()
    made.put(NAMESPACES, {**namespace(**labels)})
    return made


def secured(name: str = "web", **context: Any) -> Object:
    return pod(name, {"name": "c", "image": "i", "securityContext": {**GOOD, **context}})


def test_an_ordinary_pod_is_refused_by_the_restricted_level_in_kubernetes_words() -> None:
    with pytest.raises(Forbidden) as refused:
        podsecurity.validate(asking(PODS, pod()), stored(enforce="restricted"))
    assert refused.value.message == (
        'pods "web" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false '
        '(container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities '
        '(container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container '
        '"c" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set '
        'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
    )


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"hostNetwork": True, "hostPID": True}, "host namespaces (hostNetwork=true, hostPID=true)"),
        (
            {"volumes": [{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "hostPath": {"path": "/"}}]},
            'hostPath volumes (volumes "a", "b")',
        ),
        (
            {"containers": [{"name": "c", "ports": [{"hostPort": 80}, {"hostPort": 90}]}]},
            'hostPort (container "c" uses hostPorts 80, 90)',
        ),
        (
            {"containers": [{"name": n, "securityContext": {"privileged": True}} for n in ("c", "d")]},
            'privileged (containers "c", "d" must not set securityContext.privileged=true)',
        ),
        (
            {"containers": [{"name": "c", "securityContext": {"capabilities": {"add": ["NET_RAW", "CHOWN"]}}}]},
            'non-default capabilities (container "c" must not include "NET_RAW" in securityContext.capabilities.add)',
        ),
        ({"securityContext": {"sysctls": [{"name": "kernel.msgmax"}]}}, "forbidden sysctls (kernel.msgmax)"),
        (
            {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
            'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
        (
            {"containers": [{"name": "c", "livenessProbe": {"httpGet": {"host": "1.2.3.4"}}}]},
            'probe or lifecycle host (container "c" uses probe or lifecycle host "1.2.3.4")',
        ),
        (
            {"securityContext": {"seLinuxOptions": {"type": "x", "user": "u"}}},
            'seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type "x"; user may not be set)',
        ),
        (
            {"containers": [{"name": "c", "securityContext": {"procMount": "Unmasked"}}]},
            'procMount (container "c" must not set securityContext.procMount to "Unmasked")',
        ),
        (
            {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}},
            'forbidden AppArmor profile (pod must not set AppArmor profile type to "Unconfined")',
        ),
        (
            {"securityContext": {"windowsOptions": {"hostProcess": True}}},
            "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
        ),
    ],
)
def test_what_the_baseline_forbids(spec: Object, told: str) -> None:
    found = podsecurity.violations(Level("baseline"), {}, {"containers": [{"name": "c"}], **spec})
    assert [str(each) for each in found] == [told]
    assert podsecurity.violations(Level("privileged"), {}, spec) == []


def test_the_restricted_level_lets_a_careful_pod_in_and_tells_what_is_not() -> None:
    podsecurity.validate(asking(PODS, secured()), stored(enforce="restricted"))
    bad = secured(runAsUser=0, capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}, runAsNonRoot=False)
    bad["spec"]["volumes"] = [{"name": "v", "hostPath": {"path": "/"}}, {"name": "w", "emptyDir": {}}]
    found = podsecurity.violations(Level("restricted"), {}, bad["spec"])
    assert [str(each) for each in found] == [
        'unrestricted capabilities (container "c" must not include "SYS_ADMIN" in securityContext.capabilities.add)',
        'restricted volume types (volume "v" uses restricted volume type "hostPath")',
        'runAsNonRoot != true (container "c" must not set securityContext.runAsNonRoot=false)',
        'runAsUser=0 (container "c" must not set runAsUser=0)',
    ]


def test_a_version_means_the_standards_of_that_version() -> None:
    bad = pod("web", {"name": "c", "livenessProbe": {"httpGet": {"host": "h"}}})
    assert podsecurity.violations(Level("baseline", 33), {}, bad["spec"]) == []
    assert podsecurity.violations(Level("baseline", 34), {}, bad["spec"]) != []
    own = {**secured(runAsNonRoot=False)["spec"], "hostUsers": False}
    assert podsecurity.violations(Level("restricted", 34), {}, own) != []
    assert podsecurity.violations(Level("restricted"), {}, own) == []
    assert str(of({ENFORCE: "baseline", f"{ENFORCE}-version": "v1.30"}).enforce) == "baseline:v1.30"


def test_the_warn_level_warns_and_lets_in_and_templates_are_never_refused() -> None:
    asked = asking(PODS, secured(privileged=True))
    podsecurity.validate(asked, stored(enforce="privileged", warn="baseline"))
    words = 'privileged (container "c" must not set securityContext.privileged=true)'
    assert asked.warnings == [f'would violate PodSecurity "baseline:latest": {words}']
    template = {"metadata": {}, "spec": secured(privileged=True)["spec"]}
    deployment = {"metadata": {"name": "d", "namespace": "shop"}, "spec": {"template": template}}
    asked = asking(DEPLOYMENTS, deployment)
    podsecurity.validate(asked, stored(enforce="baseline"))
    assert asked.warnings == [f'would violate PodSecurity "baseline:latest": {words}']


def test_an_update_that_changes_nothing_that_is_checked_passes() -> None:
    labelled = pod()
    labelled["metadata"]["labels"] = {"a": "b"}
    podsecurity.validate(asking(PODS, labelled, operation="UPDATE", old=pod()), stored(enforce="restricted"))
    other = pod("web", {"name": "c", "image": "other"})
    asked = asking(PODS, other, operation="UPDATE", old=pod())
    with pytest.raises(Forbidden):
        podsecurity.validate(asked, stored(enforce="restricted"))
    debugged = pod("web", ephemeralContainers=[{"name": "debug", "image": "sh"}])
    asked = asking(PODS, debugged, operation="UPDATE", old=pod(), subresource="ephemeralcontainers")
    with pytest.raises(Forbidden, match='containers "c", "debug"'):
        podsecurity.validate(asked, stored(enforce="restricted"))


def test_labels_that_say_nothing_are_refused() -> None:
    with pytest.raises(Forbidden) as refused:
        podsecurity.validate(asking(NAMESPACES, namespace(enforce="strict")), Stored())
    assert (refused.value.code, refused.value.message) == (
        422,
        'namespaces "shop" is forbidden: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: '
        '"strict": must be one of privileged, baseline, restricted',
    )
    with pytest.raises(Forbidden, match=r'"1\.30": must be "latest" or "v1\.x"'):
        podsecurity.validate(asking(NAMESPACES, {**namespace(**{"warn-version": "1.30"})}), Stored())


def test_a_stricter_level_warns_of_the_pods_that_are_there() -> None:
    reader = stored()
    for name in ("a", "b"):
        reader.put(PODS, pod(name, hostNetwork=True))
    reader.put(PODS, pod("c", hostPID=True, volumes=[{"name": "v", "hostPath": {"path": "/"}}]))
    asked = asking(NAMESPACES, namespace(enforce="baseline"), operation="UPDATE", old=namespace())
    podsecurity.validate(asked, reader)
    assert asked.warnings == [
        'existing pods in namespace "shop" violate the new PodSecurity enforce level "baseline:latest"',
        "a (and 1 other pod): host namespaces",
        "c: host namespaces, hostPath volumes",
    ]
    relaxed = asking(NAMESPACES, namespace(), operation="UPDATE", old=namespace(enforce="baseline"))
    podsecurity.validate(relaxed, reader)
    assert relaxed.warnings == []
