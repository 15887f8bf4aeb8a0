"""Random histories of what follows pods: mirrored slices, disruption budgets, autoscalers and quotas end up true."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from panal.controlplane.controllers.deployment.reconcile import Deployments
from panal.controlplane.controllers.disruption.reconcile import BUDGETS, Disruption
from panal.controlplane.controllers.endpointslice.decide import SERVICE_NAME
from panal.controlplane.controllers.meta import is_deleting, labels, metadata, name, spec
from panal.controlplane.controllers.mirroring import decide as mirrors
from panal.controlplane.controllers.mirroring.reconcile import Mirroring
from panal.controlplane.controllers.podautoscaler.reconcile import HorizontalPodAutoscalers
from panal.controlplane.controllers.pods import is_active, is_ready
from panal.controlplane.controllers.quota.reconcile import Quotas
from panal.controlplane.controllers.replicaset.reconcile import ReplicaSets
from panal.resources import (
    DEPLOYMENTS,
    ENDPOINTS,
    ENDPOINTSLICES,
    PODS,
    REPLICASETS,
    RESOURCEQUOTAS,
    SERVICES,
    resource,
)

from .served import Served
from .world import MANY, NS, Object, Step, World, histories, number, pods, run


def template() -> Object:
    asks = {"requests": {"cpu": "100m"}}
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "resources": asks}]}}


def sized(replicas: int) -> Object:
    body = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template()}
    return {"metadata": {"name": "web"}, "spec": body}


SELECTS = {"selector": {"matchLabels": {"app": "web"}}}


async def resize(world: World, kind: Any, replicas: int) -> None:
    found = await world.api.get(kind, "web", NS)
    await world.api.update(kind, {**found, "spec": {**spec(found), "replicas": replicas}})


@MANY
@given(
    histories(
        st.tuples(st.just("write"), st.lists(st.integers(1, 9), unique=True, max_size=8), st.booleans()),
        st.tuples(st.just("write"), st.lists(st.integers(1, 9), unique=True, max_size=8), st.booleans()),
        st.tuples(st.just("delete"), number),
        st.tuples(st.just("selector"), st.booleans()),
        st.tuples(st.just("lose a slice"), number),
    )
)
def test_mirrors_end_as_the_endpoints_they_mirror(history: list[Step]) -> None:
    async def story() -> None:
        world = World(Mirroring)
        await world.api.create(SERVICES, {"metadata": {"name": "db"}, "spec": {"ports": [{"port": 5432}]}}, NS)
        for what, *rest in history:
            there = world.api.all(ENDPOINTS)
            match what:
                case "write":
                    addresses = [{"ip": f"192.168.0.{each}"} for each in rest[0]]
                    body = {"subsets": [{"addresses": addresses, "ports": [{"port": 5432}]}] if addresses else []}
                    marks = {"labels": {mirrors.SKIP: "true"} if rest[1] and len(rest[0]) % 3 == 0 else {}}
                    if there:
                        meta = {**metadata(there[0]), **marks}
                        await world.api.update(ENDPOINTS, {**there[0], **body, "metadata": meta})
                    else:
                        await world.api.create(ENDPOINTS, {"metadata": {"name": "db", **marks}, **body}, NS)
                case "delete":
                    if there:
                        await world.api.delete(ENDPOINTS, "db", NS)
                case "selector":
                    service = await world.api.get(SERVICES, "db", NS)
                    chosen = {"selector": {"app": "db"} if rest[0] else {}}
                    await world.api.update(SERVICES, {**service, "spec": {**spec(service), **chosen}})
                case "lose a slice":
                    if slices := world.api.all(ENDPOINTSLICES):
                        await world.api.delete(ENDPOINTSLICES, name(slices[rest[0] % len(slices)]), NS)
                case _:
                    await world.step(what, *rest)
        await world.settle()
        selects = bool(spec(await world.api.get(SERVICES, "db", NS)).get("selector"))
        wanted = [
            address["ip"]
            for item in world.api.all(ENDPOINTS)
            if not selects and not labels(item).get(mirrors.SKIP)
            for subset in item.get("subsets") or ()
            for address in subset["addresses"]
        ]
        found = world.api.all(ENDPOINTSLICES)
        assert sorted(each["addresses"][0] for item in found for each in item["endpoints"]) == sorted(wanted)
        assert all(labels(item)[SERVICE_NAME] == "db" and len(item["endpoints"]) <= mirrors.LIMIT for item in found)

    limit, mirrors.LIMIT = mirrors.LIMIT, 3
    try:
        run(story)
    finally:
        mirrors.LIMIT = limit


@MANY
@given(
    histories(*pods, st.tuples(st.just("scale"), st.integers(0, 6))),
    st.sampled_from([{"minAvailable": 2}, {"minAvailable": "50%"}, {"maxUnavailable": 1}, {"maxUnavailable": "34%"}]),
)
def test_a_budget_ends_with_the_numbers_of_the_pods_there_are(history: list[Step], asked: Object) -> None:
    async def story() -> None:
        world = World(Disruption, ReplicaSets)
        await world.api.create(REPLICASETS, sized(3), NS)
        budget = {"metadata": {"name": "web"}, "spec": {**asked, "selector": {"matchLabels": {"app": "web"}}}}
        await world.api.create(BUDGETS, budget, NS)
        size = 3
        for what, *rest in history:
            if what == "scale":
                size = rest[0]
                await resize(world, REPLICASETS, size)
            else:
                await world.step(what, *rest)
        await world.settle()
        mine = [pod for pod in world.active(app="web") if is_ready(pod)]
        status = (await world.api.get(BUDGETS, "web", NS))["status"]
        strangers = sum("ownerReferences" not in metadata(pod) for pod in mine)
        expected = len(mine) if asked.get("minAvailable") == 2 else (size if len(mine) > strangers else 0) + strangers
        share = next(iter(asked.values()))
        amount = math.ceil(int(share[:-1]) * expected / 100) if isinstance(share, str) else share
        wanted = amount if "minAvailable" in asked else max(0, expected - amount)
        assert (status["currentHealthy"], status["expectedPods"]) == (len(mine), expected)
        assert status["desiredHealthy"] == wanted
        assert status["disruptionsAllowed"] == (max(0, len(mine) - wanted) if expected else 0)

    run(story)


def test_a_budget_hears_of_a_pod_that_is_relabelled_away_and_of_a_size_that_is_news_after_its_pods() -> None:
    async def story() -> None:
        world = World(Disruption)
        await world.api.create(BUDGETS, {"metadata": {"name": "web"}, "spec": {"maxUnavailable": 1, **SELECTS}}, NS)
        rs = await world.api.create(REPLICASETS, sized(2), NS)
        mine = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": metadata(rs)["uid"]}
        for each in ("a", "b", "c"):
            meta = {"name": each, "labels": {"app": "web"}}
            meta |= {"ownerReferences": [{**mine, "controller": True}]} if each != "c" else {}
            await world.api.create(PODS, {"metadata": meta, "spec": template()["spec"]}, NS)
        await world.settle()

        async def wanted() -> int:
            return (await world.api.get(BUDGETS, "web", NS))["status"]["desiredHealthy"]

        assert await wanted() == 2
        pod = await world.api.get(PODS, "c", NS)
        await world.api.update(PODS, {**pod, "metadata": {**metadata(pod), "labels": {}}})
        await world.settle()
        assert await wanted() == 1
        await resize(world, REPLICASETS, 5)
        await world.settle()
        assert await wanted() == 4

    run(story)


@settings(MANY, max_examples=max(8, MANY.max_examples // 5))
@given(
    histories(
        *pods[:3],
        st.tuples(st.just("load"), st.integers(0, 900)),
        st.tuples(st.just("time"), st.integers(1, 60)),
        st.tuples(st.just("scale"), st.integers(1, 9)),
        longest=80,
    ),
    st.integers(0, 900),
)
def test_an_autoscaler_ends_with_as_many_as_the_load_needs(history: list[Step], load: int) -> None:
    async def story() -> None:
        api = Served()
        world = World(HorizontalPodAutoscalers, Deployments, ReplicaSets, api=api)
        await world.api.create(DEPLOYMENTS, sized(2), NS)
        target = {"type": "Utilization", "averageUtilization": 50}
        metric = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
        body = {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1,
            "maxReplicas": 10,
            "metrics": [metric],
        }
        autoscalers = resource("horizontalpodautoscalers")
        await world.api.create(autoscalers, {"metadata": {"name": "web"}, "spec": body}, NS)
        for what, *rest in history:
            match what:
                case "load":
                    api.load = rest[0]
                case "time":
                    world.now += rest[0]
                case "scale":
                    await resize(world, DEPLOYMENTS, rest[0])
                case _:
                    await world.step(what, *rest)
        api.load = load
        await world.settle(horizon=900)
        replicas = spec(await world.api.get(DEPLOYMENTS, "web", NS))["replicas"]
        each = math.ceil(load / replicas)  # thousandths of a core, as whole ones are reported
        asked = min(10, max(1, math.ceil(replicas * each / 50)))
        assert replicas == asked or abs(each / 50 - 1) <= 0.1
        status = (await world.api.get(autoscalers, "web", NS))["status"]
        assert status["currentReplicas"] == status["desiredReplicas"] == replicas == len(world.active(app="web"))

    run(story)


@MANY
@given(
    histories(
        *pods[:3],
        st.tuples(st.just("pod"), st.sampled_from(["100m", "250m"])),
        st.tuples(st.just("pod"), st.sampled_from(["100m", "250m"])),
        st.tuples(st.just("hard"), st.integers(1, 9)),
    )
)
def test_a_quota_ends_with_what_is_used(history: list[Step]) -> None:
    async def story() -> None:
        world = World(Quotas)
        hard = {"pods": "5", "requests.cpu": "2"}
        await world.api.create(RESOURCEQUOTAS, {"metadata": {"name": "all"}, "spec": {"hard": hard}}, NS)
        for count, (what, *rest) in enumerate(history):
            match what:
                case "pod":
                    body = {"containers": [{"name": "c", "resources": {"requests": {"cpu": rest[0]}}}]}
                    await world.api.create(PODS, {"metadata": {"name": f"p{count}"}, "spec": body}, NS)
                case "hard":
                    quota = await world.api.get(RESOURCEQUOTAS, "all", NS)
                    hard = {**hard, "pods": str(rest[0])}
                    await world.api.update(RESOURCEQUOTAS, {**quota, "spec": {"hard": hard}})
                case _:
                    await world.step(what, *rest)
        await world.settle(kubelets=False)
        here = [pod for pod in world.api.all(PODS) if is_active(pod) or is_deleting(pod)]
        cpu = sum(int(spec(pod)["containers"][0]["resources"]["requests"]["cpu"][:-1]) for pod in here)
        status = (await world.api.get(RESOURCEQUOTAS, "all", NS))["status"]
        assert status["hard"] == hard
        assert status["used"]["pods"] == str(len(here))
        assert status["used"]["requests.cpu"] in (f"{cpu}m", f"{cpu / 1000:g}")

    run(story)
