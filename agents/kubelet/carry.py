"""Carries bytes between a container's streams and a user somewhere, both ways, until one of the two ends."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from panal import channels
from panal.tasks import cancel, spawn

from ..runtime.contract import RuntimeFailure, Session
from .descriptors import Descriptor

LINGER = 1.0
"""Seconds of silence after which outputs count as ended when the process has, and something it left holds them."""
_TYPED_AHEAD = 32
"""Messages of input that wait for the process; then the connection does."""


class Remote(Protocol):
    """A user's end of the streams."""

    async def receive(self) -> tuple[str, bytes | None] | None:
        """What comes next on `stdin` or `resize`, None as data for the end of it; None when the user has gone."""

    async def send(self, stream: str, data: bytes) -> None:
        """Waits while the user is slow. Raises ConnectionError."""

    async def finish(self, status: bytes) -> None:
        """Tell how it ended, a Status object, and close. Raises nothing."""

    async def close(self) -> None:
        """Close without a word; twice is no error. Raises nothing."""


async def carry(session: Session, remote: Remote) -> int:
    """The exit code, when all output has been sent. Raises ConnectionError when the user goes first, RuntimeFailure."""
    typed: asyncio.Queue[bytes | None] = asyncio.Queue(_TYPED_AHEAD)
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    gone = spawn(_receive(session, remote, typed), name="user's input")
    feeding = spawn(_feed(session, typed), name="container's input")
    output = spawn(_output(session, remote, lost), name="container's output")
    try:
        await asyncio.wait({gone, output, lost}, return_when=asyncio.FIRST_COMPLETED)
        if lost.done() or not output.done():
            raise ConnectionResetError("the user has gone")
        return await session.wait()
    finally:
        lost.cancel()
        for task in (gone, feeding, output):
            await cancel(task)


async def _receive(session: Session, remote: Remote, typed: asyncio.Queue[bytes | None]) -> None:
    with contextlib.suppress(ConnectionError):
        while (event := await remote.receive()) is not None:
            stream, data = event
            if stream == "stdin":
                await typed.put(data or None)
            elif stream == "resize" and data and (size := channels.size(data)) is not None:
                session.resize(*size)


async def _feed(session: Session, typed: asyncio.Queue[bytes | None]) -> None:
    """What nobody reads any more is read and thrown away."""
    number = session.streams.get("stdin")
    descriptor = Descriptor(number) if number is not None else None
    while True:
        data = await typed.get()
        if descriptor is None:
            continue
        try:
            if data is not None:
                await descriptor.write(data)
                continue
        except OSError:
            pass
        descriptor = None
        session.close("stdin")


async def _output(session: Session, remote: Remote, lost: asyncio.Future[None]) -> None:
    descriptors = {name: Descriptor(number) for name, number in session.streams.items() if name != "stdin"}
    copying = [
        spawn(_copy(name, descriptor, remote, lost), name=f"container's {name}")
        for name, descriptor in descriptors.items()
    ]
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []
    try:
        with contextlib.suppress(RuntimeFailure):  # whoever waits for the code hears of it
            await session.wait()
        timers = [loop.call_later(LINGER, descriptor.expire) for descriptor in descriptors.values()]
        await asyncio.gather(*copying)
    finally:
        for timer in timers:
            timer.cancel()
        for task in copying:
            await cancel(task)


async def _copy(name: str, descriptor: Descriptor, remote: Remote, lost: asyncio.Future[None]) -> None:
    try:
        while data := await descriptor.read():
            await remote.send(name, data)
    except ConnectionError:
        if not lost.done():
            lost.set_result(None)
