"""One request and its response: chooses an endpoint, sends the request there, and brings the answer back.

Bodies pass through untouched; only their ends are looked for. What fails before a byte of the answer is tried on the
next endpoint where that is safe (RFC 9110, 9.2.2).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from panal.tasks import spawn

from . import accesslog
from .bodies import Body
from .canaries import set_cookie, token
from .forwarding import own_answer, request_head, response_head, upgrade_head
from .heads import BadMessage, Request, Response, parse_response
from .routes import Address, Route
from .traces import trail_of
from .upstreams import Upstream

if TYPE_CHECKING:
    from .downstream import Downstream

IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
MAX_PENDING = 64 * 1024
"""Bytes of a body held back while the connection is being opened."""

_log = logging.getLogger(__name__)


class Exchange:
    """Between one client connection and one backend connection, for as long as one request takes."""

    __slots__ = (
        "_body_size", "_client", "_head", "_head_only", "_path", "_pending", "_response", "_response_body",
        "_tries", "_upstream", "added", "address", "backend", "body", "id", "keep_alive", "over", "received",
        "replaced", "request", "route", "sent", "session", "started", "status", "trail", "tunnel", "upstream_status",
    )  # fmt: skip

    def __init__(self, client: Downstream, request: Request, request_id: bytes, started: float) -> None:
        self._body_size = 0
        self._client = client
        self._head = b""
        """The answer's head, until the first of its body is here."""
        self._head_only = request.method == b"HEAD"
        self._path = request.path
        self._pending: list[bytes] = []
        self._response: Response | None = None
        self._response_body: Body | None = None
        self._tries: list[Address] = []
        self._upstream: Upstream | None = None
        self.added = b""
        """Header lines for the final answer."""
        self.address: Address | None = None
        self.backend = ""
        self.body = Body(request.framing)
        self.id = request_id
        self.keep_alive = request.keep_alive
        self.over = False
        self.received = 0
        self.replaced: frozenset[bytes] = frozenset()
        """Headers of the backend's answer that are left out."""
        self.request = request
        self.route: Route | None = None
        self.sent = 0
        self.session: Address | None = None
        """The endpoint that the client's cookie names."""
        self.started = started
        self.status = 0
        self.trail = trail_of(request_id)
        """Of a traced request."""
        self.tunnel = False
        self.upstream_status = 0

    # From the client.

    def forward(self, route: Route, path: bytes, tries: list[Address]) -> None:
        """Send the request to the first of `tries` that takes it."""
        self.route, self.backend = route, route.backend.name
        self._path = path
        self._tries = tries[: route.options.next_upstream_tries or None]
        self._attempt()

    def answer(self, status: int, location: bytes | None = None, added: bytes = b"") -> None:
        """Answer without a backend. Where the rest of the request's body would still come, the connection ends."""
        self._let_go()
        if not self.body.done:
            self.keep_alive = False
        if self.status:  # an answer has begun: there is no taking it back
            self._client.abort()
            return
        self.status = status
        added = self.added + added if self.added else added
        self._send(
            own_answer(status, keep_alive=self.keep_alive, head_only=self._head_only, location=location, added=added)
        )
        self._finish()

    def client_data(self, data: bytes) -> int:
        """Bytes of the request's body; how many of them belong to it. Raises BadMessage."""
        used = self.body.feed(data)
        if used:
            self.received += used
            self._check_size(used)
            part = data if used == len(data) else data[:used]
            if self._upstream is not None:
                self._upstream.write(part)
            elif not self.over:
                self._pending.append(part)
                if sum(map(len, self._pending)) > MAX_PENDING:
                    self._client.pause(True)
        if self.body.done and self.over:
            self._client.next()
        return used

    def _check_size(self, size: int) -> None:
        self._body_size += size
        limit = self.route.options.body_size if self.route is not None else 0
        if limit and self._body_size > limit and not self.over:
            raise BadMessage(413, "the body is larger than allowed")

    def client_tunnelled(self, data: bytes) -> None:
        self.received += len(data)
        if self._upstream is not None:
            self._upstream.write(data)

    def client_lost(self) -> None:
        """Nobody waits for the answer any more."""
        if not self.over:
            self.status = self.status or 499
            self._let_go()
            self._finish()

    def client_paused(self, paused: bool) -> None:
        if self._upstream is not None:
            self._upstream.pause(paused)

    def timed_out(self) -> None:
        if self.tunnel or self.status:
            self._client.abort()
        else:
            self.answer(504 if self.body.done else 408)

    # To the backend.

    def _attempt(self) -> None:
        if not self._tries:
            self.answer(502)
            return
        self.address = self._tries.pop(0)
        assert self.route is not None
        upstream = self._client.proxy.pool.take(self.address, self.route.backend.tls)
        if upstream is not None:
            self._start(upstream)
        else:
            spawn(self._connect(self.address), name=f"connect to {self.address[0]}:{self.address[1]}")

    async def _connect(self, address: Address) -> None:
        assert self.route is not None
        pool = self._client.proxy.pool
        try:
            upstream = await pool.connect(address, self.route.options.connect_timeout, self.route.backend.tls)
        except TimeoutError:
            self._failed(address, "timed out while connecting", 504)
        except OSError as error:
            self._failed(address, str(error), 502)
        else:
            if self.over:
                pool.keep(upstream)
            else:
                self._start(upstream)

    def _failed(self, address: Address, why: str, status: int) -> None:
        if self.over:
            return
        _log.warning("%s: endpoint %s:%d: %s", self.backend, address[0], address[1], why)
        if self.trail is not None:
            self.trail.refused.append((address, why))
        if self._tries and self._is_condition("timeout" if status == 504 else "error"):
            self._attempt()
        else:
            self.answer(status)

    def _start(self, upstream: Upstream) -> None:
        assert self.route is not None
        self._upstream = upstream
        upstream.begin(self)
        proxy = self._client.proxy
        if self.trail is not None:
            self.trail.source, self.trail.reused = upstream.local, not upstream.fresh
            self.trail.sent_at = proxy.now()
        head = request_head(
            self.request, self.route, self._path, self._client.peer, self.id, trust_forwarded=proxy.trust_forwarded
        )
        if self._pending:
            upstream.write(b"".join([head, *self._pending]))
            self._pending = []
            self._client.pause(False)
        else:
            upstream.write(head)

    # From the backend.

    def upstream_head(self, head: bytes) -> bool:
        try:
            response = parse_response(head)
        except BadMessage as error:
            self._broken(f"sent {error}")
            return False
        if response.status < 200:
            return self._interim(response)
        if self._tries and self._is_condition(f"http_{response.status}") and self._is_repeatable():
            self._log_failure(f"answered {response.status}")
            self._let_go()
            self._attempt()
            return False
        self._response = response
        self.status = self.upstream_status = response.status
        self._response_body = Body(0) if self._head_only else Body(response.framing)
        self._begin_answer(response)
        return False

    def _begin_answer(self, response: Response) -> None:
        request = self.request
        dechunked = response.framing == "chunked" and not request.minor
        if dechunked:
            self._response_body = Body(0) if self._head_only else Body("chunked", collect=True)
        endless = response.framing == "close" and not self._head_only
        if endless or dechunked or (not self.body.done and request.expects_continue) or self._client.proxy.closing:
            self.keep_alive = False
        # Goes out with the first of the body, in one write.
        self._head = response_head(
            response, minor=request.minor, keep_alive=self.keep_alive, dechunked=dechunked, added=self._added(),
            replaced=self.replaced,
        )  # fmt: skip

    def _added(self) -> bytes:
        """With the cookie that names who has answered, where the session has none or its endpoint is gone."""
        route, address = self.route, self.address
        if route is None or not route.options.affinity or address is None or address == self.session:
            return self.added
        if self.session is not None and not route.options.cookie_change_on_failure:
            return self.added
        proxy = self._client.proxy
        secure = self._client.peer.scheme == b"https"
        cookie = set_cookie(
            route.options, token(self.backend, address), route.path, secure=secure, now=proxy.wall_clock()
        )
        return self.added + cookie

    def _interim(self, response: Response) -> bool:
        if response.status == 101:
            if not self.request.upgrade:
                self._broken("changed protocols unasked")
                return False
            self.status = self.upstream_status = 101
            self.tunnel = True
            self._send(upgrade_head(response))
            self._client.tunnel()
        elif self.request.minor:
            self._client.write(response_head(response, minor=1, keep_alive=True))
        return response.status != 101

    def upstream_data(self, data: bytes) -> bool:
        self._client.active()
        if self.tunnel:
            if data:
                self._send(data)
            return False
        body = self._response_body
        assert body is not None
        try:
            used = body.feed(data) if data else 0
        except BadMessage as error:
            self._broken(f"sent {error}")
            return False
        if used and not self.request.minor and self._response is not None and self._response.framing == "chunked":
            part = body.payload()
        else:
            part = data if used == len(data) else data[:used]
        if self._head:
            part, self._head = self._head + part, b""
        if part:
            self._send(part)
        if body.done:
            self._complete(clean=used == len(data))
        return body.done

    def upstream_lost(self, error: Exception | None) -> None:
        """The backend closed the connection or broke it."""
        upstream, self._upstream = self._upstream, None
        if self.tunnel:
            self._client.close()
            self._finish()
        elif self._response is not None:
            if self._response.framing == "close" and error is None:
                self._finish()
            else:
                self._client.abort(reset=self._response.framing == "close")
        elif self._may_retry(upstream):
            self._attempt()
        else:
            if upstream is not None:
                upstream.abort()
            self._log_failure(f"closed the connection without an answer: {error or 'end of stream'}")
            self.answer(502)

    def upstream_paused(self, paused: bool) -> None:
        self._client.pause(paused)
        if paused:
            self._client.sending()

    def _may_retry(self, upstream: Upstream | None) -> bool:
        """A kept connection may have been closed by the backend just as the request was sent: once more, anew."""
        if self.address is None or not self._is_repeatable():
            return False
        if upstream is not None and not upstream.fresh:
            self._tries.insert(0, self.address)
            return True
        return bool(self._tries) and self._is_condition("error")

    def _is_repeatable(self) -> bool:
        """Whether sending it twice does no harm, and there is nothing of a body that has gone already."""
        return self.request.framing == 0 and (self.request.method in IDEMPOTENT or self._is_condition("non_idempotent"))

    def _is_condition(self, name: str) -> bool:
        return self.route is not None and name in self.route.options.next_upstream

    def _broken(self, why: str) -> None:
        self._log_failure(why)
        self._let_go()
        if self._response is not None or self.status:
            self._client.abort()
        else:
            self.answer(502)

    def _log_failure(self, why: str) -> None:
        host, port = self.address or ("-", 0)
        if self.trail is not None and self.address is not None:
            self.trail.refused.append((self.address, why))
        _log.warning("%s: endpoint %s:%d %s", self.backend, host, port, why)

    # The end.

    def _complete(self, *, clean: bool) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            if clean and self.body.done and self._keeps_connection():
                upstream.end()
            else:
                upstream.abort()
        self._finish()

    def _keeps_connection(self) -> bool:
        """Whether both sides mean the connection to the backend to serve another request."""
        if self.route is not None and self.route.backend.through_service:
            return False
        return self._response is not None and self._response.keep_alive

    def _let_go(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()

    def _send(self, data: bytes) -> None:
        self.sent += len(data)
        self._client.write(data)

    def _finish(self) -> None:
        if self.over:
            return
        self.over = True
        self._client.proxy.finished(self, self._client.peer)
        if self.trail is not None:
            self._client.proxy.traces.keep(self, self._client.client, self._client.proxy.now())
        self._client.finished(self)

    def log_entry(self, now: float, client: bytes) -> accesslog.Entry:
        request = self.request
        return accesslog.Entry(
            client, b"%b %b HTTP/1.%d" % (request.method, request.target, request.minor), self.status, self.sent,
            request.referer, request.user_agent, self.received, now - self.started, self.backend,
            f"{self.address[0]}:{self.address[1]}" if self.address else "", self.upstream_status, self.id,
        )  # fmt: skip
