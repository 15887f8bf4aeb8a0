"""Gives every namespace its ServiceAccount `default`, and gives it back when it is deleted."""

from __future__ import annotations

from panal.controllers import Controller
from panal.errors import AlreadyExists, StatusError
from panal.informer import Applied, Deleted, Delta
from panal.resources import NAMESPACES, SERVICEACCOUNTS

from ..context import Context
from ..meta import name, namespace
from ..podcontrol import is_terminating
from . import decide


class ServiceAccounts:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._namespaces = context.informers.of(NAMESPACES)
        self._accounts = context.informers.of(SERVICEACCOUNTS)
        self._controller: Controller[str] = Controller("serviceaccount", self.reconcile, workers=2)
        self._namespaces.subscribe(self._on_namespace)
        self._accounts.subscribe(self._on_account)

    async def run(self) -> None:
        await self._context.ready(self._namespaces, self._accounts)
        await self._controller.run()

    def _on_namespace(self, delta: Delta) -> None:
        if isinstance(delta, Applied):
            self._controller.queue.add(name(delta.new))

    def _on_account(self, delta: Delta) -> None:
        if isinstance(delta, Deleted):
            self._controller.queue.add(namespace(delta.old))

    async def reconcile(self, which: str) -> float | None:
        found = self._namespaces.get("", which)
        if found is None:
            return None
        existing = {wanted for wanted in decide.NAMES if self._accounts.get(which, wanted) is not None}
        for account in decide.missing(found, existing):
            try:
                await self._context.client.create(SERVICEACCOUNTS, account, which)
            except AlreadyExists:
                continue
            except StatusError as error:
                if not is_terminating(error):
                    raise
        return None
