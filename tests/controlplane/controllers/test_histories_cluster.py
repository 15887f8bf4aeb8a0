"""Random histories of nodes, namespaces, volumes, roles and certificates: the cluster's own house ends in order."""

from __future__ import annotations

import base64
import datetime
import functools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from panal import pki
from panal.controlplane.controllers.certificates import decide as certificates
from panal.controlplane.controllers.certificates.reconcile import Certificates
from panal.controlplane.controllers.context import Settings
from panal.controlplane.controllers.meta import is_deleting, labels, metadata, name, spec, timestamp
from panal.controlplane.controllers.namespace.reconcile import Namespaces
from panal.controlplane.controllers.nodeipam.reconcile import NodeIPAM
from panal.controlplane.controllers.nodelifecycle.reconcile import LEASE_NAMESPACE, NodeLifecycle
from panal.controlplane.controllers.persistentvolume.decide import CLAIM_PROTECTION, VOLUME_PROTECTION
from panal.controlplane.controllers.persistentvolume.protection import ClaimProtection, VolumeProtection
from panal.controlplane.controllers.persistentvolume.reconcile import VOLUMES, Binder
from panal.controlplane.controllers.podgc.reconcile import PodGC
from panal.controlplane.controllers.pods import is_terminal
from panal.controlplane.controllers.roleaggregation.reconcile import RoleAggregation
from panal.controlplane.controllers.rootca.reconcile import RootCA
from panal.controlplane.controllers.serviceaccount.reconcile import ServiceAccounts
from panal.resources import (
    CLUSTERROLES,
    CONFIGMAPS,
    LEASES,
    NAMESPACES,
    NODES,
    PERSISTENTVOLUMECLAIMS,
    PODS,
    SECRETS,
    SERVICEACCOUNTS,
    resource,
)

from .served import Served
from .world import MANY, NS, START, Object, Step, World, histories, number, run

FEW = settings(MANY, max_examples=max(10, MANY.max_examples // 3))
REQUESTS = resource("certificatesigningrequests")
few = st.integers(0, 4)


async def bound(world: World, number: int, node: str, **more: Any) -> Object:
    body = {"nodeName": node, "containers": [{"name": "c"}], **more}
    return await world.api.create(PODS, {"metadata": {"name": f"p{number}"}, "spec": body}, NS)


@MANY
@given(
    histories(
        st.tuples(st.just("pod"), few),
        st.tuples(st.just("pod"), few),
        st.tuples(st.just("node"), few),
        st.tuples(st.just("finish"), number),
        st.tuples(st.just("time"), st.integers(1, 50)),
    )
)
def test_in_the_end_there_are_pods_on_nodes_that_exist_only_and_few_that_are_finished(history: list[Step]) -> None:
    async def story() -> None:
        settings = Settings(pod_gc_quarantine=40, terminated_pods=3)
        world = World(PodGC, settings=settings, begins=(PodGC,))
        for count, (what, *rest) in enumerate(history):
            match what:
                case "pod":
                    await bound(world, count, f"n{rest[0]}")
                case "node":
                    there = {name(node): node for node in world.api.all(NODES)}
                    if node := there.get(f"n{rest[0]}"):
                        world.api.remove(NODES, node)
                    else:
                        await world.add_node(rest[0])
                case "finish" if pods := world.api.all(PODS):
                    pod = pods[rest[0] % len(pods)]
                    await world.api.update_status(PODS, {**pod, "status": {"phase": "Succeeded"}})
                case "time":
                    world.now += rest[0]
                case _:
                    await world.step(what, *rest)
        nodes = {name(node) for node in world.api.all(NODES)}
        at_home = {name(pod) for pod in world.api.all(PODS) if not is_terminal(pod) and spec(pod)["nodeName"] in nodes}
        await world.settle(horizon=120, kubelets=False)
        left = {name(pod) for pod in world.api.all(PODS) if not is_terminal(pod)}
        assert at_home == left
        assert sum(is_terminal(pod) for pod in world.api.all(PODS)) <= 3

    run(story)


def heart(world: World, which: str) -> Object:
    """The node's kubelet renews its Lease, and says that it is ready where somebody says otherwise."""
    return {"spec": {"holderIdentity": which, "renewTime": timestamp(world.now)[:-1] + ".000000Z"}}


async def beat(world: World, which: str) -> None:
    await world.api.patch(LEASES, which, heart(world, which), LEASE_NAMESPACE)
    node = await world.api.get(NODES, which)
    kinds = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
    good = [{"type": kind, "status": str(kind == "Ready")} for kind in kinds]
    if [{key: item[key] for key in ("type", "status")} for item in node["status"].get("conditions", ())] != good:
        await world.api.update_status(NODES, {**node, "status": {**node["status"], "conditions": good}})


@FEW
@given(
    histories(
        st.tuples(st.just("beat"), st.integers(0, 3)),
        st.tuples(st.just("beat"), st.integers(0, 3)),
        st.tuples(st.just("time"), st.integers(1, 30)),
        st.tuples(st.just("pod"), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("taint"), st.integers(0, 3)),
        longest=80,
    ),
    st.sets(st.integers(0, 3), max_size=2),
)
def test_in_the_end_silent_nodes_are_left_and_the_others_free_of_taints(history: list[Step], silent: set[int]) -> None:
    async def story() -> None:
        world = World(NodeLifecycle, settings=Settings(node_grace=40))
        for each in range(4):
            await world.add_node(each, status={})
            lease = {"metadata": {"name": f"n{each}"}, **heart(world, f"n{each}")}
            await world.api.create(LEASES, lease, LEASE_NAMESPACE)
            await beat(world, f"n{each}")
        forever = [{"operator": "Exists"}]
        tainted = set()
        for count, (what, *rest) in enumerate(history):
            match what:
                case "beat":
                    await beat(world, f"n{rest[0]}")
                case "time":
                    world.now += rest[0]
                case "pod":
                    await bound(world, count, f"n{rest[0]}", tolerations=forever if rest[1] else [])
                case "taint":
                    tainted.add(f"n{rest[0]}")
                    mine = [{"key": "mine", "effect": "PreferNoSchedule"}]
                    node = await world.api.get(NODES, f"n{rest[0]}")
                    kept = [item for item in spec(node).get("taints") or () if item["key"] != "mine"]
                    await world.api.update(NODES, {**node, "spec": {**spec(node), "taints": kept + mine}})
                case _:
                    await world.step(what, *rest)
        silence = {f"n{each}" for each in silent}
        for moment in range(12):
            for node in world.api.all(NODES):
                if name(node) not in silence:
                    await beat(world, name(node))
            if moment == 6:
                for each in range(4):
                    await bound(world, 1000 + each, f"n{each}")
                    await bound(world, 2000 + each, f"n{each}", tolerations=forever)
            await world.settle(horizon=30, kubelets=False)
        for node in world.api.all(NODES):
            ready = next(item["status"] for item in node["status"]["conditions"] if item["type"] == "Ready")
            taints = {(item["key"], item["effect"]) for item in spec(node).get("taints") or ()}
            assert (("mine", "PreferNoSchedule") in taints) == (name(node) in tainted), "others' taints stay"
            taints.discard(("mine", "PreferNoSchedule"))
            gone = {("node.kubernetes.io/unreachable", effect) for effect in ("NoSchedule", "NoExecute")}
            assert (ready, taints) == (("Unknown", gone) if name(node) in silence else ("True", set()))
        for pod in world.api.all(PODS):
            where, tolerant = spec(pod)["nodeName"], bool(spec(pod).get("tolerations"))
            assert not is_deleting(pod) or not tolerant
            if name(pod) == f"p100{where[1:]}":
                assert is_deleting(pod) == (where in silence)

    run(story)


@MANY
@given(
    histories(
        st.tuples(st.just("make"), st.sampled_from(["a", "b"]), st.integers(0, 1), st.booleans()),
        st.tuples(st.just("make"), st.sampled_from(["a", "b"]), st.integers(0, 1), st.booleans()),
        st.tuples(st.just("end"), st.sampled_from(["a"])),
        longest=60,
    )
)
def test_a_deleted_namespace_goes_with_all_it_has_once_no_finalizer_holds_any_of_it(history: list[Step]) -> None:
    async def story() -> None:
        world = World(Namespaces, api=Served())
        for each in "ab":
            made = {"metadata": {"name": each}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
            await world.api.create(NAMESPACES, made)
        kinds = (CONFIGMAPS, SECRETS)
        made_in = {"a": 0, "b": 0}
        for count, (what, *rest) in enumerate(history):
            match what:
                case "make":
                    where, kind, held = rest
                    if not is_deleting(await world.api.get(NAMESPACES, where)):
                        meta = {"name": f"o{count}", **({"finalizers": ["x/wait"]} if held else {})}
                        await world.api.create(kinds[kind], {"metadata": meta}, where)
                        made_in[where] += 1
                case "end":
                    await world.api.delete(NAMESPACES, "a")
                case _:
                    await world.step(what, *rest)
            if all(name(item) != "a" for item in world.api.all(NAMESPACES)):
                break
        ended = any(step[0] == "end" for step in history)
        await world.settle(horizon=30)
        held = [obj for kind in kinds for obj in world.api.all(kind) if is_deleting(obj)]
        there = {name(item): item for item in world.api.all(NAMESPACES)}
        if held:
            said = {item["type"]: item["status"] for item in there["a"]["status"]["conditions"]}
            assert (said["NamespaceFinalizersRemaining"], said["NamespaceContentRemaining"]) == ("True", "True")
        for obj in held:
            kind = CONFIGMAPS if obj["kind"] == "ConfigMap" else SECRETS
            await world.api.patch(kind, name(obj), {"metadata": {"finalizers": None}}, "a")
        await world.settle(horizon=300)
        assert [name(item) for item in world.api.all(NAMESPACES)] == (["b"] if ended else ["a", "b"])
        left = [metadata(obj)["namespace"] for kind in kinds for obj in world.api.all(kind)]
        assert (left.count("a"), left.count("b")) == (0 if ended else made_in["a"], made_in["b"])

    run(story)


@MANY
@given(
    histories(
        st.tuples(st.just("volume"), st.integers(1, 3), st.sampled_from(["", "slow"])),
        st.tuples(st.just("volume"), st.integers(1, 3), st.sampled_from(["", "slow"])),
        st.tuples(st.just("claim"), st.integers(1, 3), st.sampled_from(["", "slow"])),
        st.tuples(st.just("claim"), st.integers(1, 3), st.sampled_from(["", "slow"])),
        st.tuples(st.just("give up"), number, st.booleans()),
    )
)
def test_in_the_end_every_claim_that_a_volume_fits_has_one_of_its_own(history: list[Step]) -> None:
    async def story() -> None:
        world = World(Binder, ClaimProtection, VolumeProtection)
        modes = {"accessModes": ["ReadWriteOnce"]}
        for count, (what, *rest) in enumerate(history):
            match what:
                case "volume":
                    body = {**modes, "capacity": {"storage": f"{rest[0]}Gi"}, "storageClassName": rest[1]}
                    body["persistentVolumeReclaimPolicy"] = "Retain"
                    meta = {"name": f"v{count}", "finalizers": [VOLUME_PROTECTION]}
                    await world.api.create(VOLUMES, {"metadata": meta, "spec": body})
                case "claim":
                    asks = {"requests": {"storage": f"{rest[0]}Gi"}}
                    meta = {"name": f"c{count}", "finalizers": [CLAIM_PROTECTION]}
                    body = {**modes, "resources": asks, "storageClassName": rest[1]}
                    await world.api.create(PERSISTENTVOLUMECLAIMS, {"metadata": meta, "spec": body}, NS)
                case "give up":
                    kind = PERSISTENTVOLUMECLAIMS if rest[1] else VOLUMES
                    if found := world.api.all(kind):
                        obj = found[rest[0] % len(found)]
                        if not is_deleting(obj):
                            await world.api.delete(kind, name(obj), metadata(obj).get("namespace"))
                case _:
                    await world.step(what, *rest)
        await world.settle(horizon=60)
        claims = {name(claim): claim for claim in world.api.all(PERSISTENTVOLUMECLAIMS)}
        volumes = {name(volume): volume for volume in world.api.all(VOLUMES)}
        assert not any(is_deleting(obj) for obj in claims.values()), "nothing holds a claim that nobody uses"
        taken = [spec(claim)["volumeName"] for claim in claims.values() if spec(claim).get("volumeName")]
        assert len(taken) == len(set(taken)), "no volume has two claims"
        for claim in claims.values():
            phase = claim["status"].get("phase")
            if phase == "Bound":
                volume = volumes[spec(claim)["volumeName"]]
                assert spec(volume)["claimRef"]["uid"] == metadata(claim)["uid"]
                assert volume["status"]["phase"] == "Bound"
            else:
                assert phase == "Pending" or spec(claim)["volumeName"] not in volumes
        for volume in volumes.values():
            owner = (spec(volume).get("claimRef") or {}).get("name")
            if owner not in claims:
                assert volume["status"]["phase"] == ("Released" if owner else "Available")
                assert not is_deleting(volume)
            if not owner:
                size = int(spec(volume)["capacity"]["storage"][:-2])
                for claim in claims.values():
                    asked = int(spec(claim)["resources"]["requests"]["storage"][:-2])
                    same = spec(claim)["storageClassName"] == spec(volume)["storageClassName"]
                    assert claim["status"]["phase"] != "Pending" or not same or asked > size

    run(story)


rules = st.lists(st.sampled_from(["pods", "nodes", "events"]), unique=True, max_size=2)


@MANY
@given(
    histories(
        st.tuples(st.just("part"), few, st.sampled_from(["yes", "no"]), rules),
        st.tuples(st.just("part"), few, st.sampled_from(["yes", "no"]), rules),
        st.tuples(st.just("drop"), few),
        st.tuples(st.just("spoil")),
        longest=80,
    )
)
def test_an_aggregated_role_ends_as_the_sum_of_its_parts(history: list[Step]) -> None:
    def rule(kind: str) -> Object:
        return {"apiGroups": [""], "resources": [kind], "verbs": ["get"]}

    async def story() -> None:
        world = World(RoleAggregation, begins=(RoleAggregation,))
        chosen = {"clusterRoleSelectors": [{"matchLabels": {"sum": "yes"}}]}
        await world.api.create(CLUSTERROLES, {"metadata": {"name": "sum"}, "aggregationRule": chosen, "rules": []})
        for what, *rest in history:
            there = {name(role): role for role in world.api.all(CLUSTERROLES)}
            match what:
                case "part":
                    which = f"part{rest[0]}"
                    body = {"rules": [rule(kind) for kind in rest[2]]}
                    if which in there:
                        meta = {**metadata(there[which]), "labels": {"sum": rest[1]}}
                        await world.api.update(CLUSTERROLES, {**there[which], **body, "metadata": meta})
                    else:
                        meta = {"name": which, "labels": {"sum": rest[1]}}
                        await world.api.create(CLUSTERROLES, {"metadata": meta, **body})
                case "drop":
                    if f"part{rest[0]}" in there:
                        await world.api.delete(CLUSTERROLES, f"part{rest[0]}")
                case "spoil":
                    await world.api.update(CLUSTERROLES, {**there["sum"], "rules": [rule("secrets")]})
                case _:
                    await world.step(what, *rest)
        await world.settle()
        there = {name(role): role for role in world.api.all(CLUSTERROLES)}
        parts = [role for role in there.values() if labels(role).get("sum") == "yes"]
        wanted = {kind["resources"][0] for role in parts for kind in role["rules"]}
        assert sorted(item["resources"][0] for item in there["sum"]["rules"]) == sorted(wanted)

    run(story)


@MANY
@given(
    histories(
        st.tuples(st.just("namespace"), few),
        st.tuples(st.just("drop account"), few),
        st.tuples(st.just("spoil map"), few),
        st.tuples(st.just("drop map"), few),
        longest=80,
    )
)
def test_every_namespace_ends_with_its_account_and_the_clusters_ca(history: list[Step]) -> None:
    async def story() -> None:
        world = World(ServiceAccounts, RootCA, settings=Settings(root_ca="PEM"))
        for what, *rest in history:
            where = f"ns{rest[0]}" if rest else ""
            accounts = {metadata(obj)["namespace"] for obj in world.api.all(SERVICEACCOUNTS)}
            maps = {metadata(obj)["namespace"]: obj for obj in world.api.all(CONFIGMAPS)}
            match what:
                case "namespace":
                    if where not in {name(item) for item in world.api.all(NAMESPACES)}:
                        await world.api.create(NAMESPACES, {"metadata": {"name": where}})
                case "drop account":
                    if where in accounts:
                        await world.api.delete(SERVICEACCOUNTS, "default", where)
                case "spoil map":
                    if where in maps:
                        await world.api.update(CONFIGMAPS, {**maps[where], "data": {"ca.crt": "evil"}})
                case "drop map":
                    if where in maps:
                        await world.api.delete(CONFIGMAPS, name(maps[where]), where)
                case _:
                    await world.step(what, *rest)
        await world.settle()
        wanted = sorted(name(item) for item in world.api.all(NAMESPACES))
        assert sorted(metadata(obj)["namespace"] for obj in world.api.all(SERVICEACCOUNTS)) == wanted
        assert sorted(metadata(obj)["namespace"] for obj in world.api.all(CONFIGMAPS)) == wanted
        assert all(obj["data"] == {"ca.crt": "PEM"} for obj in world.api.all(CONFIGMAPS))

    run(story)


@MANY
@given(histories(st.tuples(st.just("node"), st.integers(0, 7)), st.tuples(st.just("node"), st.integers(0, 7))))
def test_every_node_ends_with_a_part_of_the_pod_network_of_its_own(history: list[Step]) -> None:
    async def story() -> None:
        world = World(NodeIPAM, settings=Settings(cluster_cidr="10.10.0.0/21", node_mask=24))
        for what, *rest in history:
            if what == "node":
                there = {name(node): node for node in world.api.all(NODES)}
                if node := there.get(f"n{rest[0]}"):
                    world.api.remove(NODES, node)
                else:
                    await world.add_node(rest[0])
            else:
                await world.step(what, *rest)
        await world.settle(horizon=60)
        given_ = [spec(node)["podCIDR"] for node in world.api.all(NODES)]
        assert len(given_) == len(set(given_))

    run(story)


@functools.cache
def authority() -> Any:
    return pki.Authority.create("history", datetime.datetime.fromtimestamp(START, datetime.UTC))


@functools.cache
def wish(who: str) -> str:
    """A PKCS#10 request for a client certificate of the node."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{who}"),
        ]
    )
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


@FEW
@given(
    histories(
        st.tuples(st.just("ask"), st.booleans()),
        st.tuples(st.just("ask"), st.booleans()),
        st.tuples(st.just("decide"), number, st.sampled_from(["Approved", "Denied"])),
        st.tuples(st.just("decide"), number, st.sampled_from(["Approved", "Denied"])),
        st.tuples(st.just("time"), st.integers(1, 600)),
        shortest=20,
        longest=50,
    ),
    st.booleans(),
)
def test_requests_end_signed_if_somebody_may_or_did_approve_them_and_go_in_time(
    history: list[Step], trusted: bool
) -> None:
    async def story() -> None:
        api, pair = Served(), authority().pair
        api.rights = {"nodeclient"} if trusted else set()
        signer = {"signing_certificate": pair.certificate.decode(), "signing_key": pair.key.decode()}
        world = World(Certificates, settings=Settings(**signer), api=api)
        decided: dict[str, str] = {}
        for count, (what, *rest) in enumerate(history):
            pending = [item for item in world.api.all(REQUESTS) if certificates.is_pending(item)]
            match what:
                case "ask":
                    body = {
                        "request": wish("a"),
                        "signerName": certificates.KUBELET_CLIENT if rest[0] else "example.com/somebody",
                        "usages": ["digital signature", "client auth"],
                        "username": "system:bootstrap:abcdef",
                    }
                    await world.api.create(REQUESTS, {"metadata": {"name": f"csr{count}"}, "spec": body})
                case "decide" if pending:
                    request = pending[rest[0] % len(pending)]
                    said = certificates.with_verdict(request, rest[1], "Test", "by hand", world.now)
                    await world.api.update(REQUESTS, said, subresource="approval")
                    decided[name(request)] = rest[1]
                case "time":
                    world.now += rest[0]
                case _:
                    await world.step(what, *rest)
        await world.settle()
        for request in world.api.all(REQUESTS):
            ours = spec(request)["signerName"] == certificates.KUBELET_CLIENT
            verdict = decided.get(name(request)) or ("Approved" if trusted and ours else None)
            status = request.get("status") or {}
            assert [item["type"] for item in status.get("conditions") or ()] == ([verdict] if verdict else [])
            assert bool(status.get("certificate")) == (ours and verdict == "Approved")
        world.now += 86_400
        await world.settle()
        assert world.api.all(REQUESTS) == []

    run(story)
