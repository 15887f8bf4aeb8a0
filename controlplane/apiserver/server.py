"""The HTTP side: one coroutine takes a request from its bytes to its answer, the same way for all of them.

parse -> authenticate (and act as somebody else, where asked and allowed) -> classify -> authorize -> find the handler
-> answer;
every StatusError becomes a Status object, and whatever else goes wrong is logged and answered 500 without its details.
"""

from __future__ import annotations

import dataclasses
import logging
import time

from aiohttp import web

from panal import resources
from panal.errors import MethodNotSupported, NotFound, StatusError

from . import (
    answers,
    componentstatuses,
    discovery,
    handlers,
    impersonation,
    inflight,
    keys,
    metricsapi,
    reviews,
    streams,
    subresources,
)
from .answers import Answer
from .authn import User, from_certificate
from .authz import Attributes
from .clock import timestamp
from .connections import Connection
from .context import Call, Parts
from .custom.resource import CustomResource
from .flowcontrol import FlowControl
from .handlers import Handler
from .inflight import Places
from .measured import labels_of
from .negotiation import JSON, Form, accept
from .nonresource import serve as serve_path
from .request import Query, Target, parse

_log = logging.getLogger(__name__)

_SCHEMAS = resources.resource("flowschemas")
_LEVELS = resources.resource("prioritylevelconfigurations")
_UNKNOWN = Target("get", "")
"""Of a request whose path leads nowhere."""


class Application:
    """Answers requests with the server's parts."""

    def __init__(self, parts: Parts, address: str) -> None:
        self._parts = parts
        self._address = address
        options = parts.options
        self._places = Places(options.max_requests_inflight, options.max_mutating_requests_inflight)
        shelves = (parts.cache.shelf(keys.location(each)) for each in (_SCHEMAS, _LEVELS))
        self._flows = FlowControl(*shelves)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        began = time.perf_counter()
        media = "application/json"
        target = _UNKNOWN
        try:
            path, _, text = request.path_qs.partition("?")
            query = Query(text)
            target = parse(request.method, path, query)
            answer = await self._answer(request, target, query)
        except StatusError as error:
            answer = answers.failure(error)
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            answer = answers.failure(StatusError("Internal error occurred: see the server's log"))
        if isinstance(answer, web.StreamResponse):
            self._count(request, target, answer.status, None, 0)
            return answer
        self._count(request, target, answer.status, time.perf_counter() - began, len(answer.body))
        encodings = request.headers.get("Accept-Encoding", "")
        accepted = request.headers.get("Accept", "")
        if "yaml" in accepted or "protobuf" in accepted:
            media = _media(request)
        more = request.get("flow", {})
        return await answers.response(answer, media=media, gzip_accepted="gzip" in encodings, headers=more)

    def _count(self, request: web.BaseRequest, target: Target, code: int, seconds: float | None, size: int) -> None:
        media = request.headers.get("Content-Type", "") if target.verb == "patch" else ""
        self._parts.measured.request(labels_of(target, media), code, seconds, size)

    async def _answer(self, request: web.BaseRequest, target: Target, query: Query) -> Answer | web.StreamResponse:
        user = self._authenticate(request)
        of = inflight.kind(target)
        exempt = False
        if of or target.verb == "watch":
            flow = self._flows.flow(user, target)
            request["flow"], exempt = flow.headers, flow.exempt
        if not of:
            labels = labels_of(target)
            self._parts.measured.long_running(labels, 1)
            try:
                return await self._allowed(request, target, query, user)
            finally:
                self._parts.measured.long_running(labels, -1)
        if not self._places.enter(of, exempt):
            self._parts.measured.refused(labels_of(target))
            return inflight.refused()
        try:
            return await self._allowed(request, target, query, user)
        finally:
            self._places.leave(of)

    async def _allowed(
        self, request: web.BaseRequest, target: Target, query: Query, user: User
    ) -> Answer | web.StreamResponse:
        """The answer for a known user, if he may have it. Raises Forbidden."""
        try:
            self._parts.authorizer.require(user, Attributes.of(target, query))
        except StatusError:
            self._parts.measured.authorized("denied")
            raise
        self._parts.measured.authorized("allowed")
        if target.resource:
            return await self._resource(request, target, query, user)
        if target.path == "/metrics" and request.method == "GET":
            from . import exposition

            return exposition.answer(self._parts, self._places)
        return await self._path(request, target, query)

    def _authenticate(self, request: web.BaseRequest) -> User:
        transport = request.transport
        connection = request.protocol
        user = connection.certified if isinstance(connection, Connection) else None
        if user is None:
            certificate = transport.get_extra_info("peercert") if transport is not None else None
            try:
                user = self._parts.authenticator.authenticate(certificate, request.headers.get("Authorization", ""))
            except StatusError:
                self._parts.measured.authenticated("failure")
                raise
            if certificate and isinstance(connection, Connection):
                connection.certified = from_certificate(certificate)
        self._parts.measured.authenticated("success")
        wanted = impersonation.requested(request.headers.items())
        if wanted is None:
            return user
        for need in wanted.needs:
            self._parts.authorizer.require(user, need)
        return wanted.user

    async def _path(self, request: web.BaseRequest, target: Target, query: Query) -> Answer:
        if target.path.startswith("/api") and request.method in ("GET", "HEAD"):
            form = accept(request.headers.get("Accept", ""))
            form = dataclasses.replace(form, media=JSON)  # made as JSON, turned into other media at the end
            known = request.headers.get("If-None-Match", "")
            if (answer := discovery.serve(target.path, form, self._address, known, self._parts.custom)) is not None:
                return answer
        answer = await serve_path(self._parts, request, target, query)
        return answer if answer is not None else answers.text("404 page not found\n", 404)

    async def _resource(
        self, request: web.BaseRequest, target: Target, query: Query, user: User
    ) -> Answer | web.StreamResponse:
        if target.group == metricsapi.GROUP:
            return await metricsapi.serve(
                self._parts, target, query, dataclasses.replace(accept(request.headers.get("Accept", "")), media=JSON)
            )
        resource = resources.find(target.group, target.version, target.resource)
        if resource is None:
            resource = self._parts.custom.find(target.group, target.version, target.resource)
        if resource is None:
            raise _nothing()
        if target.namespace and not resource.namespaced and resource.plural != "namespaces":
            raise _nothing()
        if target.name and resource.namespaced and not target.namespace:
            raise _nothing()
        handler = self._handler(target, resource)
        form = self._form(request, target, resource)
        now = timestamp(self._parts.now())
        answer = await handler(self._parts, Call(request, target, query, user, form, resource, now))
        old = resource.deprecation if isinstance(resource, CustomResource) else _DEPRECATED.get(resource, "")
        if old and isinstance(answer, Answer):
            return dataclasses.replace(answer, warnings=(old, *answer.warnings))
        return answer

    def _form(self, request: web.BaseRequest, target: Target, resource: resources.Resource) -> Form:
        if target.subresource in ("log", "proxy", *streams.NAMES):
            return Form()
        header = request.headers.get("Accept", "")
        tables = isinstance(resource, CustomResource) or reviews.find(resource.plural) is None
        if "protobuf" not in header:
            return accept(header, tables=tables)
        from . import protobuf

        return accept(header, protobuf.known(resource.api_version, resource.kind), tables)

    def _handler(self, target: Target, resource: resources.Resource) -> Handler:
        if target.subresource:
            found = subresources.find(resource, target.subresource, target.verb)
        elif target.verb in resource.verbs or (target.verb == "get" and "get" in resource.verbs):
            found = handlers.VERBS.get(target.verb)
            if not isinstance(resource, CustomResource):
                found = reviews.find(resource.plural) or found
            if resource == COMPONENTSTATUSES:
                found = componentstatuses.VERBS.get(target.verb)
            if not _complete(target, resource):
                found = None
        else:
            found = None
        if found is None:
            if target.subresource and target.subresource not in resource.subresources:
                raise _nothing()
            raise MethodNotSupported("the server does not allow this method on the requested resource", details={})
        return found


COMPONENTSTATUSES = resources.resource("componentstatuses")
_DEPRECATED = {
    COMPONENTSTATUSES: "v1 ComponentStatus is deprecated in v1.19+",
    resources.resource("endpoints"): "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
}
"""What every answer about a kind warns of."""


def _complete(target: Target, resource: resources.Resource) -> bool:
    """Whether the path leads where the verb can be done: to one object, or to a collection in its namespace."""
    if target.verb in ("create", "update", "patch", "delete") and (target.name == "") != (target.verb == "create"):
        return False
    return bool(target.namespace) or not resource.namespaced or target.verb in ("list", "watch")


def _media(request: web.BaseRequest) -> str:
    try:
        return accept(request.headers.get("Accept", "")).media
    except StatusError:
        return "application/json"


def _nothing() -> NotFound:
    return NotFound("the server could not find the requested resource", details={})
