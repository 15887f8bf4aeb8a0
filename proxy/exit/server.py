"""The forward proxy itself: absolute-form requests and CONNECT tunnels, each decided by the policy and logged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Protocol

from panal.addresses import real_port
from panal.sockets import listening
from panal.tasks import cancel, spawn

from ..ingress.heads import BadMessage, Response, parse_response
from . import messages
from .messages import Asked, Line
from .names import Unknown
from .policy import Policy
from .source import Incomplete, Source

MAX_CONNECTIONS = 1024
HEAD_SECONDS = 60.0
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 120.0
"""Until the web server begins to answer, and between two parts of what it says."""
TUNNEL_SECONDS = 3600.0
"""Without a byte in either direction."""

_log = logging.getLogger(__name__)


class Resolver(Protocol):
    async def address(self, host: str) -> str:
        """Raises Unknown."""


class Refused(Exception):
    """The proxy answers itself."""

    def __init__(self, status: int, why: str, result: str = "TCP_DENIED") -> None:
        super().__init__(why)
        self.status, self.result = status, result


class ForwardProxy:
    """Serves until it is closed. `write` takes the lines of the access log."""

    def __init__(self, name: str, policy: Policy, names: Resolver, write: Callable[[str], object]) -> None:
        self._name = name
        self._policy = policy
        self._names = names
        self._write = write
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """Returns the port. Raises OSError."""
        self._server = await asyncio.start_server(self._connected, sock=listening(host, port))
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            await cancel(task)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = spawn(self._serve(reader, writer), name="a client of the forward proxy")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = str((writer.get_extra_info("peername") or ("-",))[0])
        source = Source(reader)
        try:
            while await self._one(client, source, writer):
                pass
        except (OSError, TimeoutError, Incomplete) as error:
            _log.info("%s: %s", client, error or "too slow")
        finally:
            with contextlib.suppress(OSError):
                writer.close()

    async def _one(self, client: str, source: Source, writer: asyncio.StreamWriter) -> bool:
        """One request; True when another one may follow on the connection."""
        line = Line(client)
        began = time.time()
        head_only = False
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                head = await source.head()
            if not head:
                return False
            began = time.time()
            asked = messages.read(head)
            line.url, line.method = asked.url, head.split(b" ", 1)[0].decode("latin-1")
            head_only = line.method == "HEAD"
            address = await self._allowed(asked)
            return await self._pass_on(asked, address, source, writer, line)
        except BadMessage as error:
            self._refuse(Refused(error.status, str(error), "NONE"), writer, line, head_only)
        except Refused as error:
            self._refuse(error, writer, line, head_only)
        finally:
            if line.status:
                self._write(line.text(time.time(), began))
        await writer.drain()
        return False

    def _refuse(self, error: Refused, writer: asyncio.StreamWriter, line: Line, head_only: bool) -> None:
        if line.status:  # an answer has begun: there is no taking it back
            writer.transport.abort()
            return
        line.status, line.result = error.status, error.result
        answer = messages.refusal(error.status, str(error), self._name, head_only=head_only)
        line.sent = len(answer)
        writer.write(answer)

    async def _allowed(self, asked: Asked) -> str:
        """The address to connect to. Raises Refused."""
        if why := self._policy.of_host(asked.host, asked.port, tunnel=asked.tunnel):
            raise Refused(403, why)
        try:
            address = await self._names.address(asked.host)
        except Unknown as error:
            raise Refused(502, str(error), "NONE") from error
        if why := self._policy.of_address(asked.host, address):
            raise Refused(403, why)
        return address

    async def _pass_on(
        self, asked: Asked, address: str, source: Source, writer: asyncio.StreamWriter, line: Line
    ) -> bool:
        line.result, line.server = "TCP_TUNNEL" if asked.tunnel else "TCP_MISS", address
        async with self._connection(asked, address) as (server_reader, server):
            if asked.tunnel:
                line.status = 200
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await _join(source, writer, Source(server_reader), server, line)
                return False
            return await self._exchange(asked, source, writer, Source(server_reader), server, line)

    @contextlib.asynccontextmanager
    async def _connection(
        self, asked: Asked, address: str
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        port = real_port(asked.port) if address.startswith("127.") else asked.port
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(address, port)
        except TimeoutError as error:
            raise Refused(504, f"{asked.host} ({address}) did not take the connection", "TCP_MISS") from error
        except OSError as error:
            raise Refused(502, f"{asked.host} ({address}): {error.strerror or error}", "TCP_MISS") from error
        try:
            yield reader, writer
        finally:
            writer.close()

    async def _exchange(
        self,
        asked: Asked,
        source: Source,
        writer: asyncio.StreamWriter,
        answers: Source,
        server: asyncio.StreamWriter,
        line: Line,
    ) -> bool:
        request = asked.request
        server.write(messages.onward(asked, self._name))
        sending = spawn(_send(source.body(request.framing), server), name="a request's body")
        try:
            response = await self._response(answers, writer, line)
            keep = request.keep_alive and response.framing != "close" and not request.expects_continue
            if response.framing == "chunked" and not request.minor:
                raise Refused(502, "the web server sent chunks to a client of HTTP/1.0", "TCP_MISS")
            line.status = response.status
            head = messages.back(response, self._name, keep_alive=keep)
            writer.write(head)
            line.sent += len(head)
            body = answers.body(0 if request.method == b"HEAD" else response.framing)
            async with contextlib.aclosing(_timed(body)) as parts:
                async for part in parts:
                    writer.write(part)
                    line.sent += len(part)
                    await writer.drain()
            return keep and sending.done() and not sending.cancelled() and sending.exception() is None
        except BadMessage as error:
            raise Refused(502, f"{asked.host} sent {error}", "TCP_MISS") from error
        except (Incomplete, OSError) as error:
            if line.status:
                writer.transport.abort()
                return False
            raise Refused(502, f"{asked.host}: {error}", "TCP_MISS") from error
        except TimeoutError as error:
            raise Refused(504, f"{asked.host} did not answer", "TCP_MISS") from error
        finally:
            await cancel(sending)

    async def _response(self, answers: Source, writer: asyncio.StreamWriter, line: Line) -> Response:
        """The final response's head; those before it (100, 103) are passed on."""
        while True:
            async with asyncio.timeout(ANSWER_SECONDS):
                head = await answers.head()
            if not head:
                raise Incomplete("closed the connection without an answer")
            response = parse_response(head)
            if response.status >= 200:
                return response
            if response.status == 101:
                raise BadMessage(502, "another protocol unasked")
            interim = messages.back(response, self._name, keep_alive=True)
            writer.write(interim)
            line.sent += len(interim)


async def _send(body: AsyncIterator[bytes], server: asyncio.StreamWriter) -> None:
    """A body that is wrong ends the connection to the server, which answers or not."""
    try:
        async for part in body:
            server.write(part)
            await server.drain()
    except (BadMessage, Incomplete, OSError) as error:
        _log.info("a request's body: %s", error)
        server.transport.abort()


async def _timed(parts: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    while True:
        try:
            part = await asyncio.wait_for(anext(parts), ANSWER_SECONDS)
        except StopAsyncIteration:
            return
        yield part


async def _join(
    source: Source, writer: asyncio.StreamWriter, answers: Source, server: asyncio.StreamWriter, line: Line
) -> None:
    """Both directions of a tunnel, until both have ended or nothing has come for long."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(TUNNEL_SECONDS) as patience:

        async def copy(parts: AsyncIterator[bytes], to: asyncio.StreamWriter, *, counted: bool) -> None:
            async for part in parts:
                patience.reschedule(loop.time() + TUNNEL_SECONDS)
                to.write(part)
                line.sent += len(part) if counted else 0
                await to.drain()
            if to.can_write_eof():
                to.write_eof()

        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(copy(source.rest(), server, counted=False), name="tunnel out")
                group.create_task(copy(answers.rest(), writer, counted=True), name="tunnel in")
