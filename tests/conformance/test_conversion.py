"""One stored object in several versions: HorizontalPodAutoscalers as v1 and v2, Events of both groups."""

from __future__ import annotations

from typing import Any

import orjson

from .conftest import APPLY, JSON_PATCH, Api

TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
METRICS = "autoscaling.alpha.kubernetes.io/metrics"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def both(namespace: str) -> tuple[str, str]:
    return tuple(f"/apis/autoscaling/{v}/namespaces/{namespace}/horizontalpodautoscalers" for v in ("v1", "v2"))  # type: ignore[return-value]


def autoscaler(version: str, **spec: Any) -> dict[str, Any]:
    body = {"scaleTargetRef": TARGET, "maxReplicas": 5, **spec}
    return {
        "apiVersion": f"autoscaling/{version}",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": body,
    }


def resource(name: str, percent: int) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": name, "target": target}}


async def test_an_autoscaler_written_as_v1_is_read_listed_watched_and_shown_as_v2(api: Api, namespace: str) -> None:
    v1, v2 = both(namespace)
    async with api.watch(v2) as events:
        made = (await api.create(v1, autoscaler("v1", targetCPUUtilizationPercentage=70))).ok().body
        seen = (await events.next())["object"]
    assert (made["apiVersion"], made["spec"]["targetCPUUtilizationPercentage"]) == ("autoscaling/v1", 70)
    read = (await api.get(f"{v2}/web")).ok().body
    (listed,) = (await api.get(v2)).ok().body["items"]
    for found in (seen, read, listed):
        assert found.get("apiVersion", "autoscaling/v2") == "autoscaling/v2"
        assert found["spec"]["metrics"] == [resource("cpu", 70)]
        assert "targetCPUUtilizationPercentage" not in found["spec"]
        assert found["metadata"]["uid"] == made["metadata"]["uid"]
    cells = [(await api.get(path, Accept=TABLE)).ok().body["rows"][0]["cells"] for path in (v1, v2)]
    assert cells[0][:6] == cells[1][:6] == ["web", "Deployment/web", "cpu: <unknown>/70%", "1", 5, 0]


async def test_an_autoscaler_written_as_v2_keeps_what_v1_cannot_say_in_annotations(
    api: Api, namespace: str, settled: Any
) -> None:
    v1, v2 = both(namespace)
    pods = {
        "type": "Pods",
        "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "10"}},
    }
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 5}}
    written = autoscaler("v2", metrics=[resource("cpu", 60), resource("memory", 50), pods], behavior=behavior)
    made = (await api.create(v2, written)).ok().body
    old = (await settled(f"{v1}/web")).body
    assert old["spec"]["targetCPUUtilizationPercentage"] == 60
    assert "metrics" not in old["spec"]
    assert orjson.loads(old["metadata"]["annotations"][METRICS]) == [
        {"type": "Resource", "resource": {"name": "memory", "targetAverageUtilization": 50}},
        {"type": "Pods", "pods": {"metricName": "rps", "targetAverageValue": "10"}},
    ]
    assert orjson.loads(old["metadata"]["annotations"][BEHAVIOR])["ScaleDown"]["StabilizationWindowSeconds"] == 5
    old["spec"]["targetCPUUtilizationPercentage"] = 40
    (await api("PUT", f"{v1}/web", old)).ok()
    new = (await api.get(f"{v2}/web")).ok().body
    assert new["spec"]["metrics"] == [resource("memory", 50), pods, resource("cpu", 40)]
    assert new["spec"]["behavior"] == made["spec"]["behavior"]
    assert "annotations" not in new["metadata"]


async def test_an_autoscaler_is_patched_and_its_status_shown_in_either_version(api: Api, namespace: str) -> None:
    v1, v2 = both(namespace)
    (await api.create(v1, autoscaler("v1"))).ok()
    patch = [{"op": "replace", "path": "/spec/metrics/0/resource/target/averageUtilization", "value": 33}]
    (await api.patch(f"{v2}/web", orjson.dumps(patch), JSON_PATCH)).ok()
    assert (await api.get(f"{v1}/web")).body["spec"]["targetCPUUtilizationPercentage"] == 33
    usage = {
        "type": "Resource",
        "resource": {"name": "cpu", "current": {"averageUtilization": 9, "averageValue": "9m"}},
    }
    status = {"currentReplicas": 1, "desiredReplicas": 2, "currentMetrics": [usage]}
    (await api.patch(f"{v2}/web/status", {"status": status})).ok()
    assert (await api.get(f"{v1}/web")).body["status"]["currentCPUUtilizationPercentage"] == 9
    applied = autoscaler("v1", minReplicas=2, maxReplicas=6)
    (await api.patch(f"{v1}/web?fieldManager=me&force=true", applied, APPLY)).ok()
    found = (await api.get(f"{v2}/web")).body
    assert (found["spec"]["minReplicas"], found["spec"]["maxReplicas"]) == (2, 6)
    assert found["status"]["currentMetrics"] == [usage]


async def test_an_event_of_either_group_is_read_in_the_other_ones_words(api: Api, namespace: str) -> None:
    core = f"/api/v1/namespaces/{namespace}/events"
    new = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
    about = {"apiVersion": "v1", "kind": "Pod", "name": "p", "namespace": namespace}
    old_event = {
        "metadata": {"name": "old"},
        "involvedObject": about,
        "reason": "Started",
        "message": "it runs",
        "type": "Normal",
        "count": 3,
        "source": {"component": "kubelet"},
    }
    (await api.create(core, old_event)).ok()
    found = (await api.get(f"{new}/old")).ok().body
    assert (found["apiVersion"], found["regarding"]["name"], found["note"]) == ("events.k8s.io/v1", "p", "it runs")
    assert (found["deprecatedCount"], found["deprecatedSource"]) == (3, {"component": "kubelet"})
    assert "message" not in found
    new_event = {
        "metadata": {"name": "new"},
        "regarding": about,
        "reason": "Pulled",
        "note": "it is here",
        "type": "Normal",
        "action": "Pulling",
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "example.com/puller",
        "reportingInstance": "one",
    }
    (await api.create(new, new_event)).ok()
    found = (await api.get(f"{core}/new")).ok().body
    assert (found["apiVersion"], found["involvedObject"]["name"], found["message"]) == ("v1", "p", "it is here")
    assert found["reportingComponent"] == "example.com/puller"
    assert sorted((await api.get(f"{core}?fieldSelector=involvedObject.name%3Dp")).names) == ["new", "old"]
    assert sorted((await api.get(f"{new}?fieldSelector=regarding.name%3Dp")).names) == ["new", "old"]
