"""Keeps the rules of aggregated ClusterRoles the sum of those they select."""

from __future__ import annotations

from panal.controllers import Controller
from panal.informer import Applied, Delta
from panal.resources import CLUSTERROLES

from ..context import Context
from ..meta import labels, name
from . import decide


class RoleAggregation:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._roles = context.informers.of(CLUSTERROLES)
        self._controller: Controller[str] = Controller("clusterrole-aggregation", self.reconcile, workers=1)
        self._roles.subscribe(self._on_role)

    async def run(self) -> None:
        await self._context.ready(self._roles)
        for role in self._roles.all():
            self._consider(name(role))
        await self._controller.run()

    def _on_role(self, delta: Delta) -> None:
        """A change of a role may concern every aggregated one, of which there are few."""
        if not self._roles.has_synced:
            return
        if isinstance(delta, Applied) and delta.old is not None:
            old, new = delta.old, delta.new
            fields = ("rules", "aggregationRule")
            if labels(old) == labels(new) and all(old.get(field) == new.get(field) for field in fields):
                return
        for role in self._roles.all():
            self._consider(name(role))

    def _consider(self, which: str) -> None:
        role = self._roles.get("", which)
        if role is not None and decide.is_aggregated(role):
            self._controller.queue.add(which)

    async def reconcile(self, which: str) -> float | None:
        role = self._roles.get("", which)
        if role is None or not decide.is_aggregated(role):
            return None
        wanted = decide.wanted(role, self._roles.all())
        if wanted != (role.get("rules") or []):
            await self._context.client.update(CLUSTERROLES, {**role, "rules": wanted})
        return None
