"""Approves what kubelets may ask for, signs what is approved, and removes requests that are done with."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from panal.controllers import Controller
from panal.errors import NotFound
from panal.informer import Applied, Delta
from panal.resources import NODES, resource

from ..context import Context
from ..meta import Object, name, spec, status, uid
from . import decide

AGAIN = 1.0
"""Seconds after which a request is looked at again that came before the news of its node."""


class Certificates:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._resource = resource("certificatesigningrequests")
        self._requests = context.informers.of(self._resource)
        self._nodes = context.informers.of(NODES)
        self._controller: Controller[str] = Controller("certificates", self.reconcile, workers=1)
        self._requests.subscribe(self._on_request)

    async def run(self) -> None:
        await self._context.ready(self._requests, self._nodes)
        await self._controller.run()

    def _on_request(self, delta: Delta) -> None:
        if isinstance(delta, Applied):
            self._controller.queue.add(name(delta.new))

    async def reconcile(self, which: str) -> float | None:
        request = self._requests.get("", which)
        if request is None:
            return None
        left = decide.keep_for(request, self._context.now())
        try:
            if left <= 0:
                await self._context.client.delete(self._resource, which, uid=uid(request))
                return None
            if decide.is_pending(request):
                await self._approve(request)
            elif decide.is_to_be_signed(request):
                await self._sign(request)
        except NotFound:
            return None
        return min(left, AGAIN) if decide.waits_for_its_node(request, self._context.now()) else left

    async def _approve(self, request: Object) -> None:
        from . import signing  # cryptography: rarely needed

        try:
            _, asked = signing.read(_pem(request))
        except ValueError:
            return
        rights = list(decide.reviews(asked, request))
        node = self._nodes.get("", asked.common_name.removeprefix("system:node:"))
        if decide.serves_itself(asked, request, node):
            rights.append(decide.SELF_SERVER)
        for right in rights:
            if await self._may(request, right):
                message, now = decide.approval(right), self._context.now()
                wanted = decide.with_verdict(request, "Approved", "AutoApproved", message, now)
                await self._context.client.update(self._resource, wanted, subresource="approval")
                return

    async def _may(self, request: Object, right: str) -> bool:
        """Whether who asked may create requests of that sort."""
        body = spec(request)
        where = {"group": "certificates.k8s.io", "resource": "certificatesigningrequests", "verb": "create"}
        asks = {"user": body.get("username"), "groups": body.get("groups") or [], "uid": body.get("uid") or ""}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {**asks, "resourceAttributes": {**where, "subresource": right}},
        }
        answer: dict[str, Any] = orjson.loads(
            await self._context.client.request(
                "POST",
                "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                body=orjson.dumps(review),
                headers={"Content-Type": "application/json"},
            )
        )
        return bool(status(answer).get("allowed"))

    async def _sign(self, request: Object) -> None:
        from . import signing

        settings, now, usages = self._context.settings, self._context.now(), spec(request).get("usages") or ()
        if not settings.signing_key:
            return
        try:
            found, asked = signing.read(_pem(request))
            said = decide.problem(str(spec(request).get("signerName")), asked, usages)
            if said is not None:
                raise ValueError(said)
            life = decide.lifetime(request)
            made = signing.sign(
                found, usages, settings.signing_certificate.encode(), settings.signing_key.encode(), life, now
            )
        except ValueError as problem:
            wanted = decide.with_verdict(request, "Failed", "SignerValidationFailure", str(problem), now)
        else:
            wanted = {**request, "status": {**status(request), "certificate": base64.b64encode(made).decode()}}
        await self._context.client.update_status(self._resource, wanted)


def _pem(request: Object) -> bytes:
    """Raises ValueError."""
    try:
        return base64.b64decode(str(spec(request).get("request") or ""), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
