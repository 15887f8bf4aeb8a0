"""What every write of the cluster's own components costs: far under a millisecond, because only changes are walked."""

from __future__ import annotations

import copy
import time
from typing import Any

from panal.controlplane.apiserver.apply import track_update
from panal.controlplane.apiserver.decode import decode
from panal.controlplane.apiserver.strategy import RequestContext, before_update, strategy_for
from panal.resources import PODS

CTX = RequestContext(user="kubelet", namespace="n", name="a", now="2026-01-01T00:00:00Z", subresource="status")


def a_pod(containers: int) -> dict[str, Any]:
    spec = {
        "containers": [
            {
                "name": f"c{number}",
                "image": "nginx:1",
                "ports": [{"containerPort": 80 + number}],
                "env": [{"name": f"E{index}", "value": "x"} for index in range(10)],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
                "readinessProbe": {"httpGet": {"path": "/", "port": 80}},
            }
            for number in range(containers)
        ]
    }
    pod: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "n"}, "spec": spec}
    decode(PODS, pod)
    strategy_for(PODS).default(pod)
    track_update(PODS, None, pod, manager="me", now=CTX.now)
    return pod


def test_a_status_update_takes_well_under_a_millisecond() -> None:
    old = a_pod(3)
    strategy = strategy_for(PODS)
    new = copy.deepcopy(old)
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": CTX.now} for kind in ("Ready", "Initialized")]
    new["status"] = {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}], "conditions": conditions}
    times = []
    for _ in range(30):
        obj = copy.deepcopy(new)
        started = time.perf_counter()
        decode(PODS, obj)
        strategy.default(obj)
        track_update(PODS, old, obj, manager="kubelet", now=CTX.now, subresource="status")
        before_update(strategy, CTX, obj, old)
        assert strategy.validate_update(CTX, obj, old) == []
        times.append(time.perf_counter() - started)
    assert sorted(times)[len(times) // 4] < 0.001
