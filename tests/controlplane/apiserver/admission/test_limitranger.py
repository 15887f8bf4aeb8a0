"""LimitRanger: defaults for containers that do not say, and bounds for all."""

from __future__ import annotations

import pytest

from panal.controlplane.apiserver.admission import limitranger
from panal.errors import Forbidden
from panal.resources import LIMITRANGES, PERSISTENTVOLUMECLAIMS, PODS

from .conftest import Object, Stored, asking, container, pod


def limited(*limits: Object) -> Stored:
    stored = Stored()
    stored.put(LIMITRANGES, {"metadata": {"name": "lr", "namespace": "shop"}, "spec": {"limits": list(limits)}})
    return stored


def refused(stored: Stored, obj: Object) -> str:
    with pytest.raises(Forbidden) as caught:
        limitranger.validate(asking(PODS, obj), stored)
    assert caught.value.details == {"name": "web", "kind": "pods"}
    return caught.value.message.removeprefix('pods "web" is forbidden: ')


def test_a_container_that_asks_for_nothing_gets_the_defaults_and_the_pod_a_note() -> None:
    stored = limited(
        {"type": "Container", "default": {"memory": "1Gi"}, "defaultRequest": {"cpu": "1", "memory": "1Gi"}}
    )
    obj = pod(
        "web", container("a"), container("b", {"cpu": "2"}), initContainers=[container("i", None, {"memory": "2Gi"})]
    )
    limitranger.admit(asking(PODS, obj), stored)
    resources = [each["resources"] for each in obj["spec"]["containers"]]
    assert resources == [
        {"limits": {"memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}},
        {"limits": {"memory": "1Gi"}, "requests": {"cpu": "2", "memory": "1Gi"}},
    ]
    assert obj["metadata"]["annotations"] == {
        "kubernetes.io/limit-ranger": "LimitRanger plugin set: cpu, memory request for container a; "
        "memory limit for container a; memory request for container b; memory limit for container b; "
        "cpu, memory request for init container i"
    }


def test_a_pod_that_says_everything_is_left_alone() -> None:
    stored = limited({"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}})
    obj = pod("web", container("a", {"cpu": "2"}, {"cpu": "2"}))
    limitranger.admit(asking(PODS, obj), stored)
    assert "annotations" not in obj["metadata"]


def test_an_update_of_a_pod_is_not_limited_because_its_containers_cannot_change() -> None:
    stored = limited({"type": "Container", "min": {"cpu": "1"}})
    limitranger.validate(asking(PODS, pod(), operation="UPDATE", old=pod()), stored)


@pytest.mark.parametrize(
    ("limit", "requests", "limits", "words"),
    [
        ({"min": {"cpu": "1"}}, {}, {}, "minimum cpu usage per Container is 1.  No request is specified"),
        ({"min": {"cpu": "1"}}, {"cpu": "500m"}, {}, "minimum cpu usage per Container is 1, but request is 500m"),
        ({"min": {"cpu": "1"}}, {"cpu": "1"}, {"cpu": "1m"}, "minimum cpu usage per Container is 1, but limit is 1m"),
        ({"max": {"memory": "1Gi"}}, {}, {}, "maximum memory usage per Container is 1Gi.  No limit is specified"),
        (
            {"max": {"memory": "1Gi"}}, {}, {"memory": "2Gi"},
            "maximum memory usage per Container is 1Gi, but limit is 2Gi",
        ),
        (
            {"max": {"memory": "1Gi"}}, {"memory": "3Gi"}, {"memory": "1Gi"},
            "maximum memory usage per Container is 1Gi, but request is 3Gi",
        ),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}}, {}, {"cpu": "1"},
            "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
        ),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}}, {"cpu": "1"}, {},
            "cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0",
        ),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}}, {"cpu": "1"}, {"cpu": "3"},
            "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
        ),
    ],
)  # fmt: skip
def test_what_is_out_of_bounds_is_refused(limit: Object, requests: Object, limits: Object, words: str) -> None:
    stored = limited({"type": "Container", **limit})
    assert refused(stored, pod("web", container("c", requests, limits))) == words


def test_several_complaints_come_in_brackets() -> None:
    stored = limited({"type": "Container", "min": {"cpu": "1"}, "max": {"cpu": "2"}})
    assert refused(stored, pod()) == (
        "[minimum cpu usage per Container is 1.  No request is specified, "
        "maximum cpu usage per Container is 2.  No limit is specified]"
    )


def test_a_pod_counts_as_a_whole_and_its_largest_init_container_instead_if_that_is_more() -> None:
    stored = limited({"type": "Pod", "max": {"cpu": "3"}})
    fits = [container(name, None, {"cpu": "1500m"}) for name in "ab"]
    limitranger.validate(asking(PODS, pod("web", *fits)), stored)
    large = container("i", None, {"cpu": "4"})
    words = refused(stored, pod("web", *fits, initContainers=[large]))
    assert words == "maximum cpu usage per Pod is 3, but limit is 4"


def test_a_claim_is_bounded_by_what_it_requests() -> None:
    stored = limited({"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}})
    claim = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"resources": {"requests": {"storage": "3Gi"}}}}
    with pytest.raises(Forbidden, match="maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"):
        limitranger.validate(asking(PERSISTENTVOLUMECLAIMS, claim), stored)
