"""Random histories: whatever users, nodes and lagging watches do, and however often the manager is killed, the cluster
ends as the specs ask, and never has more than they ever asked for."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from panal.controlplane.controllers.daemonset.reconcile import DaemonSets
from panal.controlplane.controllers.deployment.reconcile import Deployments
from panal.controlplane.controllers.endpoints.reconcile import Endpoints
from panal.controlplane.controllers.endpointslice import decide as slices
from panal.controlplane.controllers.endpointslice.reconcile import EndpointSlices
from panal.controlplane.controllers.meta import controller_of, metadata, name, spec
from panal.controlplane.controllers.pods import is_ready
from panal.controlplane.controllers.replicaset.reconcile import ReplicaSets, ReplicationControllers
from panal.controlplane.controllers.statefulset.reconcile import StatefulSets
from panal.resources import (
    DAEMONSETS,
    DEPLOYMENTS,
    ENDPOINTS,
    ENDPOINTSLICES,
    NODES,
    PODS,
    REPLICASETS,
    REPLICATIONCONTROLLERS,
    SERVICES,
    STATEFULSETS,
)

from .world import MANY, NS, Object, Step, World, histories, run
from .world import pods as common


def template(image: str = "a") -> Object:
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}


def owner(replicas: int = 3, **more: Any) -> Object:
    body = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template(), **more}
    return {"metadata": {"name": "web"}, "spec": body}


async def change(world: World, resource: Any, **fields: Any) -> None:
    found = await world.api.get(resource, "web", NS)
    await world.api.update(resource, {**found, "spec": {**spec(found), **fields}})


def mine(world: World, controller: Object) -> list[Object]:
    uid = metadata(controller)["uid"]
    return [pod for pod in world.active() if (controller_of(pod) or {}).get("uid") == uid]


@MANY
@given(histories(*common, st.tuples(st.just("scale"), st.integers(0, 6))), st.booleans(), st.booleans())
def test_a_replicaset_has_its_pods_in_the_end_and_never_more_than_it_ever_wanted(
    history: list[Step], older: bool, adopts: bool
) -> None:
    if not adopts:
        history = [item for item in history if item[0] != "relabel pod"]
    resource = REPLICATIONCONTROLLERS if older else REPLICASETS

    async def story() -> None:
        world = World(ReplicationControllers if older else ReplicaSets)
        made = owner()
        if older:
            made["spec"]["selector"] = {"app": "web"}
        rs = await world.api.create(resource, made, NS)
        wanted = most = 3
        for what, *rest in history:
            if what == "scale":
                wanted = rest[0]
                most = max(most, wanted)
                await change(world, resource, replicas=wanted)
            else:
                await world.step(what, *rest)
        await world.settle()
        rs = await world.api.get(resource, "web", NS)
        assert len(mine(world, rs)) == wanted
        assert rs["status"]["replicas"] == wanted
        assert rs["status"].get("readyReplicas", 0) == wanted
        assert adopts or world.api.most.get(rs["metadata"]["uid"], 0) <= most

    run(story)


@MANY
@given(
    histories(
        *common,
        st.tuples(st.just("scale"), st.integers(0, 6)),
        st.tuples(st.just("image"), st.sampled_from("abc")),
        st.tuples(st.just("pause"), st.booleans()),
    ),
    st.sampled_from([("Recreate", None), ("RollingUpdate", (1, 0)), ("RollingUpdate", ("50%", "25%"))]),
)
def test_a_deployment_ends_with_one_set_of_the_last_template(
    history: list[Step], strategy: tuple[str, tuple[Any, Any] | None]
) -> None:
    async def story() -> None:
        world = World(Deployments, ReplicaSets)
        kind, limits = strategy
        rolling = {"maxSurge": limits[0], "maxUnavailable": limits[1]} if limits else None
        how = {"type": kind, **({"rollingUpdate": rolling} if rolling else {})}
        await world.api.create(DEPLOYMENTS, owner(strategy=how, revisionHistoryLimit=2), NS)
        wanted, image = 3, "a"
        for what, *rest in history:
            match what:
                case "scale":
                    wanted = rest[0]
                    await change(world, DEPLOYMENTS, replicas=wanted)
                case "image":
                    image = rest[0]
                    await change(world, DEPLOYMENTS, template=template(image))
                case "pause":
                    await change(world, DEPLOYMENTS, paused=rest[0])
                case _:
                    await world.step(what, *rest)
        await change(world, DEPLOYMENTS, paused=False)
        await world.settle()
        sets = {name(rs): rs for rs in world.api.all(REPLICASETS)}
        sizes = {each: spec(rs)["replicas"] for each, rs in sets.items()}
        assert sum(sizes.values()) == wanted, sizes
        pods = [pod for rs in sets.values() for pod in mine(world, rs)]
        assert {pod["spec"]["containers"][0]["image"] for pod in pods} <= {image}
        assert len(pods) == wanted
        found = await world.api.get(DEPLOYMENTS, "web", NS)
        assert found["status"].get("availableReplicas", 0) == wanted == found["status"].get("updatedReplicas", 0)
        assert sum(not size for size in sizes.values()) <= 2 + (wanted == 0), "the history is cleaned up"

    run(story)


@MANY
@given(
    histories(
        *common,
        st.tuples(st.just("scale"), st.integers(0, 5)),
        st.tuples(st.just("image"), st.sampled_from("abc")),
    ),
    st.sampled_from(["OrderedReady", "Parallel"]),
    st.integers(0, 2),
)
def test_a_statefulset_ends_with_its_ordinals_of_the_revisions_that_the_partition_asks_for(
    history: list[Step], policy: str, partition: int
) -> None:
    async def story() -> None:
        world = World(StatefulSets)
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}
        made = owner(podManagementPolicy=policy, updateStrategy=strategy, serviceName="web")
        await world.api.create(STATEFULSETS, made, NS)
        wanted, image = 3, "a"
        for what, *rest in history:
            match what:
                case "scale":
                    wanted = rest[0]
                    await change(world, STATEFULSETS, replicas=wanted)
                case "image":
                    image = rest[0]
                    await change(world, STATEFULSETS, template=template(image))
                case "relabel pod":
                    continue  # a stranger with the name of an ordinal blocks it, rightly, for ever
                case _:
                    await world.step(what, *rest)
        await world.settle()
        pods = {name(pod): pod["spec"]["containers"][0]["image"] for pod in world.active()}
        assert sorted(pods) == [f"web-{ordinal}" for ordinal in range(wanted)]
        assert {pods[f"web-{ordinal}"] for ordinal in range(min(partition, wanted), wanted)} <= {image}
        status = (await world.api.get(STATEFULSETS, "web", NS))["status"]
        assert (status["replicas"], status.get("readyReplicas", 0)) == (wanted, wanted)

    run(story)


@MANY
@given(
    histories(
        *common,
        st.tuples(st.just("node"), st.integers(0, 4)),
        st.tuples(st.just("image"), st.sampled_from("abc")),
    ),
    st.sampled_from([{"maxUnavailable": 1}, {"maxSurge": 1, "maxUnavailable": 0}]),
)
def test_a_daemonset_ends_with_one_pod_of_the_last_template_on_each_node(history: list[Step], rolling: Object) -> None:
    async def story() -> None:
        world = World(DaemonSets)
        world._controllers[0]._reconcile.__self__._hold_back = lambda daemon, plan: (plan, None)
        strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
        await world.api.create(DAEMONSETS, owner(updateStrategy=strategy), NS)
        nodes, image = {0, 1}, "a"
        for each in nodes:
            await world.add_node(each)
        for what, *rest in history:
            match what:
                case "node" if rest[0] in nodes:
                    nodes.remove(rest[0])
                    world.api.remove(NODES, await world.api.get(NODES, f"n{rest[0]}"))
                    for pod in world.api.all(PODS):  # what the pod garbage collector does
                        if spec(pod).get("nodeName") == f"n{rest[0]}":
                            world.api.remove(PODS, pod)
                case "node":
                    nodes.add(rest[0])
                    await world.add_node(rest[0])
                case "image":
                    image = rest[0]
                    await change(world, DAEMONSETS, template=template(image))
                case "bind":
                    await _bind_where_nodes_are(world, nodes, *rest)
                case _:
                    await world.step(what, *rest)
                    world._controllers[0]._reconcile.__self__._hold_back = lambda daemon, plan: (plan, None)
        await world.settle()
        daemon = await world.api.get(DAEMONSETS, "web", NS)
        pods = mine(world, daemon)
        assert sorted(spec(pod)["nodeName"] for pod in pods) == sorted(f"n{each}" for each in nodes)
        assert {pod["spec"]["containers"][0]["image"] for pod in pods} <= {image}
        assert daemon["status"]["desiredNumberScheduled"] == len(nodes) == daemon["status"]["numberReady"]
        assert daemon["status"].get("updatedNumberScheduled", 0) == len(nodes)

    run(story)


async def _bind_where_nodes_are(world: World, nodes: set[int], which: int) -> None:
    """The scheduler binds to no node that is gone."""
    from panal.controlplane.scheduler.matching import pinned_node

    waiting = [pod for pod in world.api.all(PODS) if not spec(pod).get("nodeName")]
    if waiting and pinned_node(waiting[which % len(waiting)]) in {f"n{each}" for each in nodes}:
        await world.bind(which)


@MANY
@given(
    histories(
        *common,
        st.tuples(st.just("pod")),
        st.tuples(st.just("pod")),
        st.tuples(st.just("port"), st.integers(80, 82)),
    )
)
def test_slices_and_endpoints_end_with_just_the_pods_there_are(history: list[Step]) -> None:
    async def story() -> None:
        world = World(EndpointSlices, Endpoints)
        service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}
        await world.api.create(SERVICES, service, NS)
        for count, (what, *rest) in enumerate(history):
            match what:
                case "pod":
                    meta = {"name": f"p{count}", "labels": {"app": "web"}}
                    await world.api.create(PODS, {"metadata": meta, "spec": template()["spec"]}, NS)
                case "port":
                    await change(world, SERVICES, ports=[{"port": rest[0]}])
                case _:
                    await world.step(what, *rest)
        await world.settle(horizon=1)
        port = spec(await world.api.get(SERVICES, "web", NS))["ports"][0]["port"]
        pods = {pod["status"]["podIP"] for pod in world.active(app="web") if is_ready(pod)}
        found = world.api.all(ENDPOINTSLICES)
        endpoints = [each for item in found for each in item["endpoints"]]
        assert sorted(each["addresses"][0] for each in endpoints if each["conditions"]["ready"]) == sorted(pods)
        assert all(len(item["endpoints"]) <= slices.LIMIT for item in found)
        assert {item["ports"][0]["port"] for item in found if item["endpoints"]} <= {port}
        subsets = (await world.api.get(ENDPOINTS, "web", NS)).get("subsets") or []
        assert sorted(each["ip"] for item in subsets for each in item.get("addresses", ())) == sorted(pods)

    limit, slices.LIMIT = slices.LIMIT, 3
    try:
        run(story)
    finally:
        slices.LIMIT = limit


def test_a_deletion_that_came_too_late_to_be_seen_is_not_waited_for() -> None:
    """A node's daemon has ended, and goes while the DaemonSet writes what its template is."""

    async def story() -> None:
        world = World(DaemonSets)
        await world.api.create(DAEMONSETS, owner(), NS)
        await world.add_node(0)
        await world.settle()
        await world.kubelet(0, "Failed")
        await change(world, DAEMONSETS, template=template("b"))
        world.hear_all()
        (pod,) = world.api.all(PODS)
        world.api.remove(PODS, pod)
        await world.work(0, "heard")
        await world.settle()
        assert [each["spec"]["containers"][0]["image"] for each in world.active()] == ["b"]

    run(story)
