"""`webhook` and `crd-conversion-webhook`: HTTPS servers that an API server asks about admission and conversion."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from . import conversions, reviews
from .flags import Usage, number, parse
from .servers import Handler, serve, until_told

Judge = Callable[[Mapping[str, Any]], Mapping[str, Any]]

_FLAGS = {"tls-cert-file": "", "tls-private-key-file": "", "port": "443", "sidecar-image": ""}
_JUDGES: dict[str, Judge] = {
    "always-deny": reviews.always_deny,
    "add-label": reviews.add_label,
    "pods/attach": reviews.attaching_pods,
    "mutating-pods": reviews.mutating_pods,
    "configmaps": reviews.configmaps,
    "mutating-configmaps": reviews.mutating_configmaps,
    "custom-resource": reviews.custom_resource,
    "mutating-custom-resource": reviews.mutating_custom_resource,
    "crd": reviews.crd,
}
_DELAY = 5.0
"""How long /always-allow-delay-5s waits, in seconds."""


def webhook(argv: list[str]) -> int:
    values, _ = parse(argv, _FLAGS)
    judged = {**_JUDGES, "mutating-pods-sidecar": reviews.sidecar(values["sidecar-image"])}
    routes = [web.post(f"/{path}", _admission(judge)) for path, judge in judged.items()]
    routes += [web.post("/pods", _pods), web.post("/always-allow-delay-5s", _late), web.get("/readyz", _ready)]
    return asyncio.run(_serve(routes, values))


def conversion(argv: list[str]) -> int:
    values, _ = parse(argv, _FLAGS)
    return asyncio.run(_serve([web.post("/crdconvert", _crdconvert), web.get("/readyz", _ready)], values))


async def _serve(routes: Sequence[web.AbstractRouteDef], values: Mapping[str, str]) -> int:
    await serve(routes, number(values, "port"), _tls(values["tls-cert-file"], values["tls-private-key-file"]))
    await until_told()
    return 0


def _tls(certificate: str, key: str) -> ssl.SSLContext:
    """Raises Usage."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(_place(certificate), _place(key))
    except (OSError, ssl.SSLError) as error:
        raise Usage(f"Error: tls: {error}") from None
    return context


def _place(path: str) -> str:
    """Where a file of the container is, in one without a root of its own too."""
    inside = os.environ.get("PANAL_ROOT", "") + path
    return inside if os.path.exists(inside) else path


def _admission(judge: Judge) -> Handler:
    async def page(request: web.Request) -> web.Response:
        review = await request.json()
        return _answered(review, judge(review["request"]))

    return page


async def _pods(request: web.Request) -> web.Response:
    review = await request.json()
    if reviews.waits_forever(review["request"]):
        await asyncio.Event().wait()
    return _answered(review, reviews.pods(review["request"]))


async def _late(request: web.Request) -> web.Response:
    review = await request.json()
    await asyncio.sleep(_DELAY)
    status = {"metadata": {}, "message": "this webhook allows all requests"}
    return _answered(review, {"allowed": True, "status": status})


def _answered(review: Mapping[str, Any], answer: Mapping[str, Any]) -> web.Response:
    response = {"uid": review["request"]["uid"], **answer}
    return web.json_response({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response})


async def _crdconvert(request: web.Request) -> web.Response:
    review = await request.json()
    response = conversions.convert_review(review["request"])
    return web.json_response({"apiVersion": review["apiVersion"], "kind": "ConversionReview", "response": response})


async def _ready(request: web.Request) -> web.Response:
    return web.Response(text="ok")
