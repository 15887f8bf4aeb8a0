"""Binds claims and volumes, provisions folders of the chosen node, and reclaims what claims leave behind."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable
from pathlib import Path

from panal.controllers import Controller
from panal.errors import AlreadyExists, NotFound
from panal.informer import Applied, Deleted, Delta
from panal.resources import NODES, PERSISTENTVOLUMECLAIMS, PODS, resource

from ... import volumebinding as facts
from ..context import Context
from ..meta import Object, annotations_of, is_deleting, key, name, namespace, spec, status, uid
from . import decide
from .folders import Folders

VOLUMES, CLASSES = resource("persistentvolumes"), resource("storageclasses")
RETRY_SECONDS = 15.0
"""A failed provisioning or deletion is tried again this late."""

Item = tuple[str, str, str]
"""(claim or volume, namespace, name)"""


def by_claim(pod: Object) -> Iterable[Hashable]:
    """(namespace, name) of the claims that a pod uses."""
    for claim in facts.claim_names(pod):
        yield namespace(pod), claim


def by_class(volume: Object) -> Iterable[Hashable]:
    """Free volumes by class, others by the claim they are meant for."""
    if reference := spec(volume).get("claimRef"):
        yield reference.get("namespace"), reference.get("name")
    else:
        yield facts.class_of(volume)


def unbound(claim: Object) -> Iterable[Hashable]:
    if not facts.is_bound(claim):
        yield facts.class_of(claim)


class Binder:
    def __init__(self, context: Context) -> None:
        informers = context.informers
        self._context = context
        self._events = context.recorder("persistentvolume-controller")
        self._provisioner = context.recorder(decide.PROVISIONER)
        self._claims, self._volumes = informers.of(PERSISTENTVOLUMECLAIMS), informers.of(VOLUMES)
        self._classes, self._nodes, self._pods = informers.of(CLASSES), informers.of(NODES), informers.of(PODS)
        self._candidates = informers.index(VOLUMES, by_class)
        self._unbound = informers.index(PERSISTENTVOLUMECLAIMS, unbound)
        self._users = informers.index(PODS, by_claim)
        folder = context.settings.volume_folder
        self._folders = Folders(Path(folder)) if folder else None
        self._controller: Controller[Item] = Controller("persistentvolume-binder", self.reconcile, workers=1)
        self._claims.subscribe(self._on_claim)
        self._volumes.subscribe(self._on_volume)
        self._classes.subscribe(self._on_class)

    async def run(self) -> None:
        await self._context.ready(self._claims, self._volumes, self._classes, self._nodes, self._pods)
        if self._folders is not None:
            names = {name(volume) for volume in self._volumes.all()}
            await asyncio.to_thread(self._folders.sweep, names.__contains__)
        await self._controller.run()

    def _on_claim(self, delta: Delta) -> None:
        claim = delta.new if isinstance(delta, Applied) else delta.old
        self._controller.queue.add(("claim", *key(claim)))
        if volume := spec(claim).get("volumeName"):
            self._controller.queue.add(("volume", "", str(volume)))
        if isinstance(delta, Deleted):
            self._controller.queue.add(("volume", "", decide.volume_name(claim)))

    def _on_volume(self, delta: Delta) -> None:
        volume = delta.new if isinstance(delta, Applied) else delta.old
        self._controller.queue.add(("volume", "", name(volume)))
        if reference := spec(volume).get("claimRef"):
            where = reference.get("namespace") or "", reference.get("name") or ""
            self._controller.queue.add(("claim", *where))
        elif isinstance(delta, Applied) and status(volume).get("phase") == "Available":
            self._look_at_class(facts.class_of(volume))

    def _on_class(self, delta: Delta) -> None:
        if isinstance(delta, Applied):
            self._look_at_class(name(delta.new))

    def _look_at_class(self, which: str) -> None:
        for claim in self._unbound.get(which):
            self._controller.queue.add(("claim", *key(claim)))

    async def reconcile(self, item: Item) -> float | None:
        kind, *where = item
        if kind == "claim":
            claim = self._claims.get(where[0], where[1])
            return await self._look_at_claim(claim) if claim is not None else None
        volume = self._volumes.get("", where[1])
        return await self._look_at_volume(volume) if volume is not None else None

    # ---- claims ----

    async def _look_at_claim(self, claim: Object) -> float | None:
        class_name = facts.class_of(claim)
        candidates = [*self._candidates.get(key(claim)), *self._candidates.get(class_name)]
        waiting = next((name(pod) for pod in self._users.get(key(claim)) if not spec(pod).get("nodeName")), None)
        storage_class = self._classes.get("", class_name) if class_name else None
        match decide.for_claim(claim, self._named, candidates, storage_class, waiting):
            case decide.Bind(volume):
                await self._bind(claim, volume)
            case decide.Provision(storage_class):
                return await self._provision(claim, storage_class)
            case decide.Phase(phase, event):
                if event is not None:
                    self._events.event(claim, *event)
                await self._write_claim_status(claim, {**status(claim), "phase": phase})
        return None

    def _named(self, which: str) -> Object | None:
        return self._volumes.get("", which)

    async def _bind(self, claim: Object, volume: Object) -> None:
        """In upstream's order, so that whoever is killed in between goes on where it ended."""
        client = self._context.client
        wanted = decide.with_claim(volume, claim)
        if wanted is not volume:
            volume = await client.update(VOLUMES, wanted)
        if status(volume).get("phase") != "Bound":
            await client.update_status(VOLUMES, {**volume, "status": {**status(volume), "phase": "Bound"}})
        bound = decide.with_volume(claim, volume)
        if bound is not claim:
            claim = await client.update(PERSISTENTVOLUMECLAIMS, bound)
        await self._write_claim_status(claim, decide.bound_status(claim, volume))

    async def _write_claim_status(self, claim: Object, wanted: Object) -> None:
        if wanted != status(claim):
            await self._context.client.update_status(PERSISTENTVOLUMECLAIMS, {**claim, "status": wanted})

    async def _provision(self, claim: Object, storage_class: Object) -> float | None:
        provisioner = str(storage_class.get("provisioner"))
        if is_deleting(claim):
            return None
        if provisioner == facts.NO_PROVISIONER:
            words = "no persistent volumes available for this claim and no storage class is set"
            self._events.event(claim, "Normal", "FailedBinding", words)
            return None
        asking = decide.asking(claim, provisioner)
        if asking is not claim:
            claim = await self._context.client.update(PERSISTENTVOLUMECLAIMS, asking)
        if provisioner != decide.PROVISIONER or self._folders is None:
            words = (
                "Waiting for a volume to be created either by the external provisioner "
                f"'{provisioner}' or manually by the system administrator. If volume creation is delayed, please "
                "verify that the provisioner is running and correctly registered."
            )
            self._events.event(claim, "Normal", "ExternalProvisioning", words)
            return None
        return await self._make(claim, storage_class, self._folders)

    async def _make(self, claim: Object, storage_class: Object, folders: Folders) -> float | None:
        chosen = annotations_of(claim).get(facts.SELECTED_NODE)
        node = self._nodes.get("", chosen) if chosen else None
        if chosen and node is None:
            await self._choose_again(claim)
            return None
        described = f"{namespace(claim)}/{name(claim)}"
        why, which = decide.refusal(claim, node), decide.volume_name(claim)
        if why is None and node is not None:
            words = f'External provisioner is provisioning volume for claim "{described}"'
            self._provisioner.event(claim, "Normal", "Provisioning", words)
            try:
                path = await asyncio.to_thread(folders.make, which)
                await self._context.client.create(VOLUMES, decide.new_volume(claim, storage_class, node, str(path)))
            except AlreadyExists:
                return None
            except OSError as error:
                why = error.strerror or str(error)
            else:
                self._provisioner.event(
                    claim, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {which}"
                )
                return None
        words = f'failed to provision volume with StorageClass "{name(storage_class)}": {why}'
        self._provisioner.event(claim, "Warning", "ProvisioningFailed", words)
        return RETRY_SECONDS

    async def _choose_again(self, claim: Object) -> None:
        """The node is gone: the scheduler chooses another."""
        notes = {key: value for key, value in annotations_of(claim).items() if key != facts.SELECTED_NODE}
        wanted = {**claim, "metadata": {**claim["metadata"], "annotations": notes}}
        await self._context.client.update(PERSISTENTVOLUMECLAIMS, wanted)

    # ---- volumes ----

    async def _look_at_volume(self, volume: Object) -> float | None:
        reference = spec(volume).get("claimRef") or {}
        claim = self._claims.get(reference.get("namespace") or "", reference.get("name") or "")
        if claim is not None and uid(claim) != reference.get("uid"):
            claim = None
        if claim is None and reference.get("uid"):
            claim = await self._live_claim(reference)
        plan = decide.for_volume(volume, claim)
        if plan.phase != status(volume).get("phase"):
            volume = await self._write_phase(volume, plan.phase)
        return await self._reclaim(volume) if plan.reclaim else None

    async def _live_claim(self, reference: Object) -> Object | None:
        """Asks the API itself before data is given up: the informer may be behind."""
        try:
            found = await self._context.client.get(
                PERSISTENTVOLUMECLAIMS, str(reference.get("name")), str(reference.get("namespace"))
            )
        except NotFound:
            return None
        return found if uid(found) == reference.get("uid") else None

    async def _write_phase(self, volume: Object, phase: str, message: str = "") -> Object:
        wanted = {key: value for key, value in status(volume).items() if key not in ("message", "reason")}
        wanted["phase"] = phase
        if message:
            wanted["message"] = message
        return await self._context.client.update_status(VOLUMES, {**volume, "status": wanted})

    async def _reclaim(self, volume: Object) -> float | None:
        policy = spec(volume).get("persistentVolumeReclaimPolicy")
        provisioner = annotations_of(volume).get(facts.PROVISIONED_BY)
        if policy == "Recycle":
            await self._failed(volume, "VolumeFailedRecycle", "No recycler plugin found for the volume!")
            return None
        if policy != "Delete" or (provisioner and provisioner != decide.PROVISIONER):
            return None
        which = decide.folder_name(volume)
        if which is None or self._folders is None:
            words = f'error getting deleter volume plugin for volume "{name(volume)}": no volume plugin matched'
            await self._failed(volume, "VolumeFailedDelete", words)
            return None
        try:
            await asyncio.to_thread(self._folders.remove, which)
        except OSError as error:
            await self._failed(volume, "VolumeFailedDelete", error.strerror or str(error))
            return RETRY_SECONDS
        try:
            await self._context.client.delete(VOLUMES, name(volume), uid=uid(volume))
        except NotFound:
            pass
        return None

    async def _failed(self, volume: Object, reason: str, words: str) -> None:
        if status(volume).get("phase") != "Failed" or status(volume).get("message") != words:
            await self._write_phase(volume, "Failed", words)
            self._events.event(volume, "Warning", reason, words)
