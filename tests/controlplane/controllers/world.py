"""A cluster in memory for random histories: an API that keeps its promises, informers that lag, nodes that do as told.

The controllers are the real ones, shells included; only what they watch arrives late, each resource by itself, a write
may fail, and the test says when anything happens. Nothing here waits: a step is a step, and time passes when told to.
"""

from __future__ import annotations

import asyncio
import copy
import os
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from panal.controllers import Controller
from panal.controlplane.controllers.context import Context, Informers, Settings
from panal.controlplane.controllers.meta import controller_of, labels, metadata, name, spec, timestamp
from panal.controlplane.controllers.pods import is_active, is_terminal
from panal.errors import AlreadyExists, Conflict, InternalError, NotFound, StatusError
from panal.informer import Informer, key_of
from panal.resources import NODES, PODS, Resource
from panal.workqueue import WorkQueue

Object = dict[str, Any]
Step = tuple[Any, ...]
START = 1_700_000_000.0
NS = "default"
EVERYTHING = bool(os.environ.get("PANAL_TEST_ALL"))
MANY = settings(
    max_examples=500 if EVERYTHING else 20,
    derandomize=not EVERYTHING,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
"""By default the same few histories each time, with PANAL_TEST_ALL=1 many new ones. Shown as they are: to shorten
one takes longer than a test may.
"""

number = st.integers(0, 20)
news = st.tuples(st.just("hear"), st.integers(0, 5), st.integers(1, 6))
look = st.tuples(st.just("work"), st.integers(0, 5), st.sampled_from(["", "", "heard", "heard", "refused"]))
anyhow: tuple[st.SearchStrategy[Step], ...] = (news, news, news, look, look, look, st.tuples(st.just("kill")))
"""What may happen in any history: news arrive, a controller works, the manager is killed."""
pods: tuple[st.SearchStrategy[Step], ...] = (
    st.tuples(st.just("bind"), number),
    st.tuples(st.just("kubelet"), number, st.sampled_from(["Running", "Running", "Failed"])),
    st.tuples(st.just("delete pod"), number),
    st.tuples(st.just("relabel pod"), number),
)
"""What may happen wherever there are pods."""


def histories(*more: st.SearchStrategy[Step], shortest: int = 40, longest: int = 120) -> st.SearchStrategy[list[Step]]:
    return st.lists(st.one_of(*anyhow, *more), min_size=shortest, max_size=longest)


class Api:
    """What a controller asks of `panal.client.Client`, on a dictionary; `log` is what watches would say."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.log: list[tuple[Resource, str, Object]] = []
        self.most: dict[str, int] = {}
        """Most active pods that an owner ever had, by its uid."""
        self._number = 0
        self.refusals = 0
        """Writes that will fail."""
        self.written: Callable[[], None] = lambda: None
        """Called after each write, before whoever wrote goes on."""
        self.now: Callable[[], float] = lambda: START

    @contextmanager
    def _writing(self) -> Any:
        if self.refusals:
            self.refusals -= 1
            raise InternalError("the store has a bad moment")
        yield
        self.written()

    def all(self, resource: Resource) -> list[Object]:
        return [obj for (plural, _, _), obj in self.objects.items() if plural == resource.group_resource]

    async def get(self, resource: Resource, wanted: str, namespace: str | None = None) -> Object:
        return copy.deepcopy(self._find(resource, namespace or "", wanted))

    async def list(self, resource: Resource, namespace: str | None = None) -> Object:
        found = [obj for obj in self.all(resource) if namespace in (None, metadata(obj).get("namespace"))]
        return {"items": copy.deepcopy(found)}

    async def create(self, resource: Resource, obj: Object, namespace: str | None = None) -> Object:
        with self._writing():
            return self._create(resource, obj, namespace)

    def _create(self, resource: Resource, obj: Object, namespace: str | None) -> Object:
        self._number += 1
        meta = dict(obj["metadata"])
        meta["name"] = meta.get("name") or f"{meta.pop('generateName')}{self._number}"
        where = resource.group_resource, namespace or "", meta["name"]
        if where in self.objects:
            raise AlreadyExists(f'{resource.group_resource} "{meta["name"]}" already exists')
        meta |= {"uid": f"u{self._number}", "generation": 1, "creationTimestamp": timestamp(self.now())}
        if namespace:
            meta["namespace"] = namespace
        head = {"apiVersion": resource.api_version, "kind": resource.kind}
        made = {**head, **copy.deepcopy(obj), "metadata": meta}
        if resource is PODS:
            made["status"] = {"phase": "Pending"}
        return self._keep(resource, where, made, "ADDED")

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        with self._writing():
            before = self._current(resource, obj)
            if subresource == "approval":
                return self._change(resource, before, {**before, "status": copy.deepcopy(obj["status"])})
            wanted = {**copy.deepcopy(obj), "status": before.get("status", {})}
            if not subresource and "finalizers" in spec(before):
                wanted["spec"] = {**wanted["spec"], "finalizers": spec(before)["finalizers"]}
            kept = self._change(resource, before, wanted)
            if subresource == "finalize" and not spec(kept).get("finalizers") and metadata(kept)["deletionTimestamp"]:
                self.remove(resource, kept)
            return kept

    async def update_status(self, resource: Resource, obj: Object) -> Object:
        with self._writing():
            before = self._current(resource, obj)
            return self._change(resource, before, {**before, "status": copy.deepcopy(obj.get("status") or {})})

    async def patch(
        self, resource: Resource, wanted: str, patch: Object, namespace: str | None = None, **how: Any
    ) -> Object:
        with self._writing():
            before = self._find(resource, namespace or "", wanted)
            for field in ("uid", "resourceVersion"):
                if patch.get("metadata", {}).get(field) not in (None, before["metadata"][field]):
                    raise Conflict("the object has been modified")
            return self._change(resource, before, _merged(before, patch))

    async def delete(
        self,
        resource: Resource,
        wanted: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        propagation: str = "Background",
        grace_seconds: int | None = None,
    ) -> None:
        with self._writing():
            self._delete(resource, wanted, namespace, uid, propagation, grace_seconds)

    def _delete(
        self,
        resource: Resource,
        wanted: str,
        namespace: str | None,
        uid: str | None,
        propagation: str,
        grace_seconds: int | None,
    ) -> None:
        found = self._find(resource, namespace or "", wanted)
        if uid not in (None, found["metadata"]["uid"]):
            raise Conflict("another uid")
        graceful = resource is PODS and spec(found).get("nodeName") and is_active(found) and grace_seconds != 0
        if graceful or "kubernetes" in (spec(found).get("finalizers") or ()):
            ending = {**metadata(found), "deletionTimestamp": timestamp(self.now())}
            self._change(resource, found, {**found, "metadata": ending})
        elif finalizers := _finalizers(metadata(found).get("finalizers") or [], propagation):
            ending = {**metadata(found), "deletionTimestamp": timestamp(self.now()), "finalizers": finalizers}
            self._change(resource, found, {**found, "metadata": ending})
        elif not metadata(found).get("deletionTimestamp"):
            self.remove(resource, found)

    def remove(self, resource: Resource, obj: Object) -> None:
        """Gone at once, whoever holds it."""
        gone = self.objects.pop((resource.group_resource, metadata(obj).get("namespace", ""), name(obj)))
        self._number += 1
        last = {**gone, "metadata": {**metadata(gone), "resourceVersion": str(self._number)}}
        self.log.append((resource, "DELETED", last))

    def _find(self, resource: Resource, namespace: str, wanted: str) -> Object:
        found = self.objects.get((resource.group_resource, namespace, wanted))
        if found is None:
            raise NotFound(f'{resource.group_resource} "{wanted}" not found')
        return found

    def _current(self, resource: Resource, obj: Object) -> Object:
        before = self._find(resource, metadata(obj).get("namespace", ""), name(obj))
        for field in ("uid", "resourceVersion"):
            if metadata(obj).get(field) not in (None, before["metadata"][field]):
                raise Conflict("the object has been modified")
        return before

    def _change(self, resource: Resource, before: Object, wanted: Object) -> Object:
        if wanted == before:
            return copy.deepcopy(before)
        meta = dict(wanted["metadata"])
        if wanted.get("spec") != before.get("spec"):
            meta["generation"] = before["metadata"]["generation"] + 1
        where = resource.group_resource, meta.get("namespace", ""), meta["name"]
        kept = self._keep(resource, where, {**wanted, "metadata": meta}, "MODIFIED")
        if before["metadata"].get("finalizers") and meta.get("deletionTimestamp") and not meta.get("finalizers"):
            self.remove(resource, kept)
        return kept

    def _keep(self, resource: Resource, where: tuple[str, str, str], obj: Object, kind: str) -> Object:
        self._number += 1
        obj["metadata"]["resourceVersion"] = str(self._number)
        self.objects[where] = obj
        self.log.append((resource, kind, obj))
        if resource is PODS:
            self._count(controller_of(obj))
        return copy.deepcopy(obj)

    def _count(self, owner: Object | None) -> None:
        if owner is not None:
            uid = owner["uid"]
            mine = [pod for pod in self.all(PODS) if (controller_of(pod) or {}).get("uid") == uid and is_active(pod)]
            self.most[uid] = max(self.most.get(uid, 0), len(mine))


def _finalizers(have: Sequence[str], propagation: str) -> list[str]:
    """Those of an object whose deletion is asked for."""
    added = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(propagation)
    kept = [each for each in have if each not in ("foregroundDeletion", "orphan")]
    return [*kept, added] if added else kept


def _merged(before: Any, patch: Any) -> Any:
    if not isinstance(patch, dict) or not isinstance(before, dict):
        return copy.deepcopy(patch)
    kept = {key: value for key, value in before.items() if patch.get(key, key) is not None}
    return kept | {key: _merged(before.get(key), value) for key, value in patch.items() if value is not None}


class World:
    """`make` builds controllers; each has queues of keys and, for each, a `reconcile`.

    `begins` names those whose `run` does something before it works on keys: it does.
    """

    def __init__(
        self,
        *make: Callable[[Context], Any],
        settings: Settings | None = None,
        begins: tuple[type, ...] = (),
        api: Api | None = None,
    ) -> None:
        self.api = api or Api()
        self.api.now = lambda: self.now
        self.now = START
        self._make, self._settings, self._begins = make, settings or Settings(), begins
        self.restart()

    def restart(self) -> None:
        """The controller manager is killed, and another one starts from what the API says."""
        client: Any = self.api
        self._informers = Informers(client)
        context = Context(client, self._informers, self._settings, now=lambda: self.now)
        context.recorder = lambda component: Silent()  # type: ignore[method-assign,assignment,return-value]
        self.loops = [each(context) for each in self._make]
        self._controllers: list[Controller[Any]] = [
            found for loop in self.loops for found in vars(loop).values() if isinstance(found, Controller)
        ]
        self._later: list[tuple[float, WorkQueue[Any], Any]] = []
        for controller in self._controllers:
            queue = controller.queue
            queue.add_after = self._timer(queue)  # type: ignore[method-assign]
        self._at: dict[Resource, int] = {}
        for informer in self._followed():
            self._at[informer.resource] = len(self.api.log)
            for obj in self.api.all(informer.resource):
                informer._apply(copy.deepcopy(obj))
            informer._synced.set()
        for loop in self.loops:
            if isinstance(loop, self._begins):
                _begin(loop)

    def _timer(self, queue: WorkQueue[Any]) -> Callable[[Any, float], None]:
        return lambda key, seconds: self._later.append((self.now + seconds, queue, key))

    def _ring(self) -> None:
        """Keys whose time has come."""
        due = [item for item in self._later if item[0] <= self.now]
        self._later = [item for item in self._later if item[0] > self.now]
        for _, queue, key in due:
            queue.add(key)

    def _followed(self) -> Sequence[Informer]:
        return list(self._informers._informers.values())

    def deliver(self, which: int, many: int) -> None:
        """One informer hears of some more of what has happened."""
        followed = self._followed()
        self._hear(followed[which % len(followed)], many)

    def _hear(self, informer: Informer, many: int) -> None:
        at = self._at[informer.resource]
        while at < len(self.api.log) and many > 0:
            resource, kind, obj = self.api.log[at]
            at += 1
            if resource.group_resource == informer.resource.group_resource:
                many -= 1
                if kind == "DELETED":
                    informer._delete(key_of(obj), copy.deepcopy(obj))
                else:
                    informer._apply(copy.deepcopy(obj))
        self._at[informer.resource] = at

    def hear_all(self) -> None:
        for informer in self._followed():
            self._hear(informer, 10**6)

    async def work(self, which: int, how: str = "") -> bool:
        """One controller looks at one key; whether there was any.

        With `how` "heard", all news arrive whenever it waits for a write of its own; "refused", its first write fails.
        """
        self._ring()
        controller = self._controllers[which % len(self._controllers)]
        queue: WorkQueue[Any] = controller.queue
        if not len(queue):
            return False
        key = await queue.get()
        self.api.refusals = int(how == "refused")
        self.api.written = self.hear_all if how == "heard" else lambda: None
        try:
            if (again := await controller._reconcile(key)) is not None:
                queue.add_after(key, again)
        except (StatusError, ExceptionGroup):
            queue.add(key)
        finally:
            self.api.refusals, self.api.written = 0, lambda: None
            queue.done(key)
        return True

    async def bind(self, which: int) -> None:
        """The scheduler: a waiting pod goes to the node it is pinned to, or to any."""
        waiting = [pod for pod in self.api.all(PODS) if not spec(pod).get("nodeName")]
        if waiting:
            pod = waiting[which % len(waiting)]
            node = _pinned(pod) or "n0"
            await self.api.update(PODS, {**pod, "spec": {**spec(pod), "nodeName": node}})

    async def kubelet(self, which: int, phase: str = "Running") -> None:
        """A bound pod becomes Ready, or fails; one that is being deleted goes."""
        bound = [pod for pod in self.api.all(PODS) if spec(pod).get("nodeName")]
        if not bound:
            return
        pod = bound[which % len(bound)]
        if metadata(pod).get("deletionTimestamp") and not metadata(pod).get("finalizers"):
            self.api.remove(PODS, pod)
        elif metadata(pod).get("deletionTimestamp"):
            if not is_terminal(pod):
                await self.api.update_status(PODS, {**pod, "status": {**pod["status"], "phase": "Failed"}})
        elif is_active(pod):
            at = timestamp(self.now)
            ready = {"type": "Ready", "status": str(phase == "Running"), "lastTransitionTime": at}
            address = f"10.0.{int(pod['metadata']['uid'][1:]) // 250}.{int(pod['metadata']['uid'][1:]) % 250}"
            began = pod["status"].get("startTime", at)
            status = {"phase": phase, "startTime": began, "conditions": [ready], "podIP": address}
            status["podIPs"] = [{"ip": address}]
            await self.api.update_status(PODS, {**pod, "status": status})

    async def step(self, what: str, *rest: Any) -> None:
        """One step of `anyhow` or `pods`."""
        match what:
            case "hear":
                self.deliver(*rest)
            case "work":
                await self.work(*rest)
            case "kill":
                self.restart()
            case "bind":
                await self.bind(*rest)
            case "kubelet":
                await self.kubelet(*rest)
            case "delete pod" if found := self.api.all(PODS):
                pod = found[rest[0] % len(found)]
                await self.api.delete(PODS, name(pod), metadata(pod)["namespace"])
            case "relabel pod" if found := self.api.all(PODS):
                pod = found[rest[0] % len(found)]
                if not metadata(pod).get("deletionTimestamp"):
                    own = {**labels(pod), "app": "elsewhere" if labels(pod).get("app") == "web" else "web"}
                    await self.api.update(PODS, {**pod, "metadata": {**metadata(pod), "labels": own}})

    async def settle(self, rounds: int = 400, horizon: float = 0.0, kubelets: bool = True) -> None:
        """Everything is heard of and done, pods are bound, become Ready and end, until nothing more happens.

        Whoever wants to look again within `horizon` seconds does so then.
        """
        until = self.now + horizon
        for _ in range(rounds):
            before = len(self.api.log)
            self.hear_all()
            busy = False
            for index in range(len(self._controllers)):
                for _ in range(50):  # who fails for want of news tries again when there is some
                    if not await self.work(index):
                        break
                    busy = True
            if kubelets:
                await self._run_pods()
            if len(self.api.log) == before and not busy:
                soonest = min((item[0] for item in self._later), default=until)
                if soonest >= until:
                    self.now = max(self.now, until)
                    return
                self.now = max(self.now, soonest)
        raise AssertionError(f"still busy after {rounds} rounds: {self.api.log[-6:]}")

    async def _run_pods(self) -> None:
        for pod in self.api.all(PODS):
            if not spec(pod).get("nodeName"):
                await self.bind(0)
        for index, pod in enumerate(self.api.all(PODS)):
            ready = any(item.get("status") == "True" for item in pod["status"].get("conditions") or ())
            if metadata(pod).get("deletionTimestamp") or (is_active(pod) and not ready):
                await self.kubelet(_place(self.api, index))

    def active(self, **wanted: str) -> list[Object]:
        return [pod for pod in self.api.all(PODS) if is_active(pod) and wanted.items() <= labels(pod).items()]

    async def add_node(self, number: int, **more: Any) -> None:
        meta = {"name": f"n{number}", "labels": {"kubernetes.io/hostname": f"n{number}"}}
        await self.api.create(NODES, {"metadata": meta, "spec": {}, **more})


def _begin(loop: Any) -> None:
    """What `run` does once all is synced; it has nothing to wait for."""

    async def nothing() -> None:
        return None

    loop._controller.run = nothing
    coroutine = loop.run()
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("it waited")


def _place(api: Api, index: int) -> int:
    """Of the pod at the index among all, its index among those that are bound."""
    return sum(bool(spec(pod).get("nodeName")) for pod in api.all(PODS)[:index])


def _pinned(pod: Object) -> str | None:
    from panal.controlplane.scheduler.matching import pinned_node

    return pinned_node(pod)


class Silent:
    def event(self, *what: Any, **how: Any) -> None:
        return None


def run(history: Callable[[], Any]) -> None:
    """A history, on a loop of its own."""
    asyncio.run(history())
