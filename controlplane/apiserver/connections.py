"""aiohttp's server with this API's bounds, and with a Status for who does not speak HTTP as it should."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import orjson
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod, LineTooLong

from panal.errors import BadRequest, MethodNotSupported, StatusError

from .authn import User

_log = logging.getLogger(__name__)

LINE_LIMIT = 256 * 1024
"""Bytes of a request line or of one header at most: selectors that name hundreds of values are ordinary."""
HEADERS_LIMIT = 256
"""Headers of a request at most."""
KEEPALIVE = 3600.0
"""Seconds an idle connection stays open: clients close theirs first, so that no request meets a closing socket."""


class Connection(web.RequestHandler):
    """One client's connection."""

    certified: User | None = None
    """Whom its certificate names; that does not change while it lasts."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what aiohttp could not read; its connection is closed afterwards."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        error = _refusal(status, exc)
        if error.code == 500:
            _log.error("a request failed before it was understood", exc_info=exc)
        else:
            _log.info("refused what is no request: %s", type(exc).__name__)
        body = orjson.dumps(error.status())
        response = web.Response(body=body, status=error.code, content_type="application/json")
        response.force_close()
        return response


def _refusal(status: int, why: BaseException | None) -> StatusError:
    if isinstance(why, BadHttpMethod):
        return MethodNotSupported("the server does not allow this method on the requested resource", details={})
    if isinstance(why, LineTooLong):
        return StatusError("Request Header Fields Too Large", code=431, reason="BadRequest")
    if status < 500:
        return BadRequest("the request could not be read as HTTP")
    return StatusError("Internal error occurred: see the server's log")


class Server(web.Server):  # type: ignore[type-arg, unused-ignore]
    """Makes a `Connection` for each."""

    def __init__(self, application: Any) -> None:
        self._options: dict[str, Any] = {
            "keepalive_timeout": KEEPALIVE,
            "access_log": None,
            "max_line_size": LINE_LIMIT,
            "max_field_size": LINE_LIMIT,
            "max_headers": HEADERS_LIMIT,
        }
        super().__init__(application, handler_cancellation=True, **self._options)

    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=asyncio.get_running_loop(), **self._options)
